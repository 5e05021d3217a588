/* NULL and lists around the readers of types.
 *
 * Lengths are checked against the bytes received before anything is read or allocated: a list takes
 * at most thirty times the bytes it came in. A list that came as text is read as any array is
 * (array.c) and its items then each by the type's reader. */
#include "decoder.h"

#include "reader.h"

COLD static error mismatch(const pg_cell *cell, const char *wanted)
{
    const char *format = cell->format == PG_TEXT ? ", in text format" : "";
    if (!cell->bytes.ptr)
        return error_set(&PG_TYPE_MISMATCH, "NULL in a column of %s (OID %u) that is read as %s",
                         pg_type_name(cell->oid), cell->oid, wanted);
    return error_set(&PG_TYPE_MISMATCH, "%s (OID %u%s) of %zu bytes cannot be read as %s",
                     pg_type_name(cell->oid), cell->oid, format, cell->bytes.len, wanted);
}

error pg_decode_one(const pg_decoder *d, arena *a, const pg_cell *cell, void *out)
{
    if (UNLIKELY(!cell->bytes.ptr || !d->read(a, cell, out)))
        return mismatch(cell, d->name);
    return OK;
}

static bool takes_element(const pg_decoder *d, pg_oid element)
{
    for (size_t i = 0; i < ARRAY_LEN(d->elements) && d->elements[i]; i++) {
        if (d->elements[i] == element)
            return true;
    }
    return false;
}

/* Reads an array's header: false when it is no array of at most one dimension whose elements may
 * all be there. */
static bool read_array_header(pg_reader *r, pg_oid element, uint32_t *count)
{
    const uint32_t dimensions = pg_reader_u32(r);
    const uint32_t has_null = pg_reader_u32(r);
    const pg_oid sent = pg_reader_u32(r);
    *count = 0;
    if (r->failed || dimensions > 1 || has_null > 1 || sent != element)
        return false;
    if (dimensions == 0)
        return pg_reader_done(r);
    *count = pg_reader_u32(r);
    pg_reader_i32(r); /* the lower bound */
    return !r->failed && *count <= pg_reader_left(r) / 4;
}

static error list_room(arena *a, size_t count, const pg_decoder *d, char **out)
{
    *out = NULL;
    if (count == 0)
        return OK;
    invariant(a != NULL);
    *out = arena_try_alloc(a, count * d->bytes, d->align);
    return *out ? OK : error_set(&OUT_OF_MEMORY, "a list of %zu items", count);
}

COLD static error null_in_list(const pg_decoder *d)
{
    return error_set(&PG_TYPE_MISMATCH, "NULL in an array that is read as %s", d->list_name);
}

static error decode_text_items(const pg_decoder *d, arena *a, const pg_cell *cell, void **items,
                               size_t *count)
{
    pg_array array;
    TRY(pg_decode_pg_array(a, cell, &array));
    if (array.dimensions > 1)
        return mismatch(cell, d->list_name);
    char *to;
    TRY(list_room(a, array.count, d, &to));
    for (size_t i = 0; i < array.count; i++) {
        if (!array.cells[i].bytes.ptr)
            return null_in_list(d);
        TRY(pg_decode_one(d, a, &array.cells[i], to + i * d->bytes));
    }
    *items = to;
    *count = array.count;
    return OK;
}

static error decode_binary_items(const pg_decoder *d, arena *a, const pg_cell *cell, void **items,
                                 size_t *item_count)
{
    const pg_oid element = pg_type_element(cell->oid);
    pg_reader r = pg_reader_of(cell->bytes);
    uint32_t count;
    if (!read_array_header(&r, element, &count))
        return mismatch(cell, d->list_name);
    char *to;
    TRY(list_room(a, count, d, &to));
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t len = pg_reader_u32(&r);
        if (len == UINT32_MAX)
            return null_in_list(d);
        const pg_cell item = { element, PG_BINARY, pg_reader_bytes(&r, len) };
        if (r.failed)
            return mismatch(cell, d->list_name);
        TRY(pg_decode_one(d, a, &item, to + (size_t)i * d->bytes));
    }
    if (!pg_reader_done(&r))
        return mismatch(cell, d->list_name);
    *items = to;
    *item_count = count;
    return OK;
}

error pg_decode_items(const pg_decoder *d, arena *a, const pg_cell *cell, void **items,
                      size_t *count)
{
    const pg_oid element = pg_type_element(cell->oid);
    if (!cell->bytes.ptr || !element || !takes_element(d, element))
        return mismatch(cell, d->list_name);
    if (cell->format == PG_BINARY)
        return decode_binary_items(d, a, cell, items, count);
    /* a type that is asked for in binary has no reader of its text */
    if (pg_type_format(cell->oid) == PG_BINARY)
        return mismatch(cell, d->list_name);
    return decode_text_items(d, a, cell, items, count);
}
