/* Lengths are believed when their bytes are there; until then a row is cut, and is read once more
 * from its beginning. */
#include "copy_row.h"

#include "reader.h"
#include "wire.h"

#define SIGNATURE_BYTES 11
#define CRITICAL_FLAGS  0xFFFF0000U /* whose meaning one must know */
#define EXTENSION_MAX   65536       /* nobody has written one yet */
#define END_OF_ROWS     UINT16_MAX
#define NULL_CELL       UINT32_MAX

static pg_copy_part cut(const pg_reader *r)
{
    return r->failed ? PG_COPY_PART_CUT : PG_COPY_PART_WHOLE;
}

pg_copy_part pg_copy_header_read(str *bytes)
{
    static const str signature = { "PGCOPY\n\377\r\n\0", SIGNATURE_BYTES };
    pg_reader r = pg_reader_of(*bytes);
    const size_t there = bytes->len < SIGNATURE_BYTES ? bytes->len : SIGNATURE_BYTES;
    if (!str_eq(str_slice(*bytes, 0, there), str_slice(signature, 0, there)))
        return PG_COPY_PART_BAD;
    (void)pg_reader_take(&r, SIGNATURE_BYTES);
    const uint32_t flags = pg_reader_u32(&r), extension = pg_reader_u32(&r);
    if (flags & CRITICAL_FLAGS || extension > EXTENSION_MAX)
        return PG_COPY_PART_BAD;
    (void)pg_reader_take(&r, extension);
    if (!r.failed)
        *bytes = str_between(r.at, r.end);
    return cut(&r);
}

pg_copy_part pg_copy_row_read(str *bytes, str *cells, size_t count)
{
    pg_reader r = pg_reader_of(*bytes);
    const uint16_t sent = pg_reader_u16(&r);
    if (r.failed)
        return PG_COPY_PART_CUT;
    if (sent == END_OF_ROWS) {
        *bytes = str_between(r.at, r.end);
        return PG_COPY_PART_END;
    }
    if (sent != count)
        return sent > INT16_MAX ? PG_COPY_PART_BAD : PG_COPY_PART_OTHER;
    for (size_t i = 0; i < count && !r.failed; i++) {
        const uint32_t len = pg_reader_u32(&r);
        cells[i] = STR_NONE;
        if (len == NULL_CELL)
            continue;
        if (len > PG_MESSAGE_BYTES_MAX)
            return PG_COPY_PART_BAD;
        cells[i] = pg_reader_bytes(&r, len);
    }
    if (!r.failed)
        *bytes = str_between(r.at, r.end);
    return cut(&r);
}
