/* Composites as cells. As text, which is what is asked for, their fields have no type, since only
 * the server's catalog knows it; in binary each has its OID before it.
 *
 * A composite of one field that is NULL is written as one of no fields is: "()" is the former. */
#include "decoder.h"
#include "quoted.h"
#include "reader.h"
#include "value_text.h"

#include "core/fiber.h"
#include "pg/cells.h"

#define SPECIALS "(),"

static pg_cell *cells_room(arena *a, size_t count)
{
    invariant(a != NULL);
    return arena_try_alloc(a, count * sizeof(pg_cell), _Alignof(pg_cell));
}

static bool read_bytes(arena *a, str bytes, pg_record *out)
{
    pg_reader r = pg_reader_of(bytes);
    const size_t count = pg_reader_u32(&r);
    if (r.failed || count > pg_reader_left(&r) / 8)
        return false;
    pg_cell *cells = cells_room(a, count);
    if (!cells)
        return false;
    for (size_t i = 0; i < count; i++) {
        const pg_oid oid = pg_reader_u32(&r);
        const uint32_t len = pg_reader_u32(&r);
        const str field = len == UINT32_MAX ? STR_NONE : pg_reader_bytes(&r, len);
        cells[i] = (pg_cell){ oid, PG_BINARY, field };
    }
    *out = (pg_record){ cells, count };
    return pg_reader_done(&r);
}

static bool read_text(arena *a, str text, pg_record *out)
{
    if (text.len < 2 || text.ptr[0] != '(')
        return false;
    size_t most = 1;
    for (size_t i = 0; i < text.len; i++)
        most += text.ptr[i] == ',';
    pg_cell *cells = cells_room(a, most);
    if (!cells)
        return false;
    size_t count = 0;
    str rest = text;
    do {
        rest = str_slice(rest, 1, rest.len); /* past the parenthesis or comma */
        str field;
        if (!pg_quoted_take(a, &rest, ",)", &field))
            return false;
        cells[count++] = (pg_cell){ 0, PG_TEXT, field };
    } while (rest.ptr[0] == ',');
    *out = (pg_record){ cells, count };
    return rest.len == 1;
}

static bool read_pg_record(arena *a, const pg_cell *cell, void *out)
{
    pg_record record = { 0 };
    if (cell->oid != PG_OID_RECORD && pg_type_is_known(cell->oid))
        return false;
    if (!(cell->format == PG_TEXT ? read_text : read_bytes)(a, cell->bytes, &record))
        return false;
    *(pg_record *)out = record;
    return true;
}
PG_DECODERS(pg_record, pg_record, PG_OID_RECORD)

const pg_cell *pg_record_cell(const pg_record *record, size_t index)
{
    static const pg_cell NONE = { 0, PG_TEXT, { NULL, 0 } };
    return index < record->count ? &record->cells[index] : &NONE;
}

/* --- to send ---------------------------------------------------------------------------------- */

error pg_record_of(arena *a, pg_values fields, pg_record *out)
{
    if (fields.count > PG_RECORD_FIELDS_MAX)
        return error_set(&PG_INVALID_ARGUMENT, "a composite of %zu fields", fields.count);
    pg_cell *cells = ARENA_NEW_ARRAY(a, pg_cell, fields.count);
    for (size_t i = 0; i < fields.count; i++) {
        const pg_value *field = &fields.items[i];
        cells[i] = (pg_cell){ 0, PG_TEXT, STR_NONE };
        if (!field->is_null && !pg_value_text(a, field, &cells[i].bytes))
            return error_set(&PG_INVALID_ARGUMENT,
                             "%s (OID %u) has no text to stand in a composite",
                             pg_type_name(field->oid), field->oid);
    }
    *out = (pg_record){ cells, fields.count };
    return OK;
}

str pg_record_format(arena *a, const pg_record *record)
{
    buf out;
    buf_init_arena(&out, a, SIZE_MAX / 2);
    buf_append_char(&out, '(');
    for (size_t i = 0; i < record->count; i++) {
        const pg_cell *cell = &record->cells[i];
        if (i > 0)
            buf_append_char(&out, ',');
        invariant(cell->format == PG_TEXT);
        if (cell->bytes.ptr)
            pg_quoted_put(&out, cell->bytes, SPECIALS);
    }
    buf_append_char(&out, ')');
    return buf_str(&out);
}

PG_LITERAL_PARAMS(pg_record)
