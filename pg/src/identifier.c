/* PostgreSQL's own numbers, in its text and its bytes. */
#include "decoder.h"

#include "pg/type.h"

/* --- transactions ----------------------------------------------------------------------------- */

str pg_xid8_format(arena *a, const pg_xid8 *xid)
{
    return str_format(a, "%llu", (unsigned long long)xid->value);
}

bool pg_xid8_parse(str text, pg_xid8 *out)
{
    return str_to_uint64(text, &out->value);
}

static bool read_pg_xid8(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return cell->oid == PG_OID_XID8 && pg_xid8_parse(cell->bytes, out);
    if (!pg_cell_is(cell, PG_OID_XID8, 8))
        return false;
    *(pg_xid8 *)out = (pg_xid8){ pg_get64(cell->bytes.ptr) };
    return true;
}

PG_DECODERS(pg_xid8, pg_xid8, PG_OID_XID8)

/* --- places in the log ------------------------------------------------------------------------ */

str pg_lsn_format(arena *a, const pg_lsn *lsn)
{
    return str_format(a, "%X/%X", (unsigned)(lsn->position >> 32), (unsigned)lsn->position);
}

static bool take_hex(str digits, uint64_t *out)
{
    if (digits.len == 0 || digits.len > 8)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        const int digit = str_hex_digit(digits.ptr[i]);
        if (digit < 0)
            return false;
        value = value << 4 | (uint64_t)digit;
    }
    *out = value;
    return true;
}

bool pg_lsn_parse(str text, pg_lsn *out)
{
    uint64_t high;
    uint64_t low;
    const str before = str_cut(&text, '/');
    if (!take_hex(before, &high) || !take_hex(text, &low))
        return false;
    *out = (pg_lsn){ high << 32 | low };
    return true;
}

static bool read_pg_lsn(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return cell->oid == PG_OID_LSN && pg_lsn_parse(cell->bytes, out);
    if (!pg_cell_is(cell, PG_OID_LSN, 8))
        return false;
    *(pg_lsn *)out = (pg_lsn){ pg_get64(cell->bytes.ptr) };
    return true;
}

PG_DECODERS(pg_lsn, pg_lsn, PG_OID_LSN)

/* --- versions of rows ------------------------------------------------------------------------- */

str pg_tid_format(arena *a, const pg_tid *tid)
{
    return str_format(a, "(%u,%u)", (unsigned)tid->block, (unsigned)tid->offset);
}

bool pg_tid_parse(str text, pg_tid *out)
{
    uint64_t page;
    uint64_t offset;
    if (text.len < 2 || text.ptr[0] != '(' || text.ptr[text.len - 1] != ')')
        return false;
    str inside = str_slice(text, 1, text.len - 2);
    const str before = str_cut(&inside, ',');
    if (!str_to_uint64(before, &page) || page > UINT32_MAX || !str_to_uint64(inside, &offset) ||
        offset > UINT16_MAX)
        return false;
    *out = (pg_tid){ (uint32_t)page, (uint16_t)offset };
    return true;
}

static bool read_pg_tid(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return cell->oid == PG_OID_TID && pg_tid_parse(cell->bytes, out);
    if (!pg_cell_is(cell, PG_OID_TID, 6))
        return false;
    const char *at = cell->bytes.ptr;
    *(pg_tid *)out = (pg_tid){ pg_get32(at), pg_get16(at + 4) };
    return true;
}

PG_DECODERS(pg_tid, pg_tid, PG_OID_TID)
