/* NULL and lists around the readers of types.
 *
 * Lengths are checked against the bytes received before anything is read or allocated: a list takes
 * at most forty times the bytes it came in. An array of a type without a name here (an enum, a
 * domain) comes as text, and so do its items, of no type. A list that came as text is read as any
 * array is (array.c) and its items then each by the type's reader. */
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

/* Text of no type, or a mismatch. */
error pg_decode_otherwise(const pg_decoder *d, arena *a, const pg_cell *cell, void *out)
{
    const pg_cell untyped = { d->elements[0], PG_TEXT, cell->bytes };
    const bool is_untyped = cell->oid == 0 && cell->format == PG_TEXT;
    if (!cell->bytes.ptr || !d->read(a, is_untyped ? &untyped : cell, out))
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

/* A list on its way: items of the C type, or of its opt_X. */
typedef struct list {
    const pg_decoder *decoder;
    bool optional;
    size_t item_bytes;
    char *items;
} list;

static error list_room(arena *a, size_t count, list *out)
{
    out->items = NULL;
    out->item_bytes = out->optional ? out->decoder->optional_bytes : out->decoder->bytes;
    if (count == 0)
        return OK;
    invariant(a != NULL);
    out->items = arena_try_alloc(a, count * out->item_bytes, out->decoder->align);
    return out->items ? OK : error_set(&OUT_OF_MEMORY, "a list of %zu items", count);
}

static error take_item(const list *l, arena *a, const pg_cell *cell, size_t index)
{
    const pg_decoder *d = l->decoder;
    char *item = l->items + index * l->item_bytes;
    if (!l->optional) {
        if (!cell->bytes.ptr)
            return error_set(&PG_TYPE_MISMATCH, "NULL in an array that is read as %s",
                             d->list_name);
        return pg_decode_one(d, a, cell, item);
    }
    const pg_optional head = { .has = cell->bytes.ptr, .is_null = !cell->bytes.ptr };
    memset(item, 0, l->item_bytes);
    memcpy(item, &head, sizeof head);
    return head.has ? pg_decode_one(d, a, cell, item + d->optional_offset) : OK;
}

static error decode_text_items(list *l, arena *a, const pg_cell *cell, size_t *count)
{
    pg_array array;
    TRY(pg_decode_pg_array(a, cell, &array));
    if (array.dimensions > 1)
        return mismatch(cell, l->decoder->list_name);
    TRY(list_room(a, array.count, l));
    for (size_t i = 0; i < array.count; i++)
        TRY(take_item(l, a, &array.cells[i], i));
    *count = array.count;
    return OK;
}

static error decode_binary_items(list *l, arena *a, const pg_cell *cell, size_t *item_count)
{
    const pg_oid element = pg_type_element(cell->oid);
    pg_reader r = pg_reader_of(cell->bytes);
    uint32_t count;
    if (!read_array_header(&r, element, &count))
        return mismatch(cell, l->decoder->list_name);
    TRY(list_room(a, count, l));
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t len = pg_reader_u32(&r);
        const str bytes = len == UINT32_MAX ? STR_NONE : pg_reader_bytes(&r, len);
        if (r.failed)
            return mismatch(cell, l->decoder->list_name);
        TRY(take_item(l, a, &(pg_cell){ element, PG_BINARY, bytes }, i));
    }
    if (!pg_reader_done(&r))
        return mismatch(cell, l->decoder->list_name);
    *item_count = count;
    return OK;
}

error pg_decode_items(const pg_decoder *d, arena *a, const pg_cell *cell, bool optional,
                      void **items, size_t *count)
{
    list l = { .decoder = d, .optional = optional };
    const pg_oid element = pg_type_element(cell->oid);
    const bool taken = element ? takes_element(d, element)
                               : cell->format == PG_TEXT && !pg_type_is_known(cell->oid);
    if (!cell->bytes.ptr || !taken)
        return mismatch(cell, d->list_name);
    if (cell->format == PG_BINARY)
        TRY(decode_binary_items(&l, a, cell, count));
    else
        TRY(decode_text_items(&l, a, cell, count));
    *items = l.items;
    return OK;
}
