/* Vectors from and to pgvector's text. A text says itself how many numbers there are in it, and no
 * more are read than the server has. */
#include "decoder.h"
#include "text.h"

#include "core/buf.h"
#include "core/fiber.h"

#include <math.h>

/* The text between two characters. */
static bool unwrap(str *text, char first, char last)
{
    if (text->len < 2 || text->ptr[0] != first || text->ptr[text->len - 1] != last)
        return false;
    *text = str_slice(*text, 1, text->len - 2);
    return true;
}

static size_t count_commas(str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == ',';
    return count;
}

static bool parse_number(str text, float *out)
{
    return pg_float4_parse(text, out) && isfinite(*out);
}

static void put_number(buf *out, float value)
{
    char text[PG_FLOAT4_TEXT_MAX];
    buf_append(out, (str){ text, pg_float4_format(text, value) });
}

/* --- vector, halfvec -------------------------------------------------------------------------- */

bool pg_vector_parse(arena *a, str text, pg_vector *out)
{
    str rest = text;
    if (!unwrap(&rest, '[', ']'))
        return false;
    const size_t count = count_commas(rest) + 1;
    if (count > PG_VECTOR_DIMENSIONS_MAX)
        return false;
    invariant(a != NULL);
    float *items = arena_try_alloc(a, count * sizeof *items, _Alignof(float));
    if (!items)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!parse_number(str_cut(&rest, ','), &items[i]))
            return false;
    }
    *out = (pg_vector){ items, count };
    return true;
}

str pg_vector_format(arena *a, const pg_vector *vector)
{
    buf out;
    buf_init_arena(&out, a, SIZE_MAX / 2);
    buf_append_char(&out, '[');
    for (size_t i = 0; i < vector->count; i++) {
        if (i > 0)
            buf_append_char(&out, ',');
        put_number(&out, vector->items[i]);
    }
    buf_append_char(&out, ']');
    return buf_str(&out);
}

/* --- sparsevec -------------------------------------------------------------------------------- */

/* "3:0.5", of an index behind `before`. */
static bool parse_item(str text, int64_t before, int64_t last, pg_sparsevec_item *out)
{
    int64_t index;
    const str number = str_cut(&text, ':');
    if (!pg_int_parse(number, before + 1, last, &index) || !text.ptr ||
        !parse_number(text, &out->value))
        return false;
    out->index = (uint32_t)index;
    return true;
}

bool pg_sparsevec_parse(arena *a, str text, pg_sparsevec *out)
{
    str dimensions = text;
    str rest = str_cut(&dimensions, '/');
    int64_t count_of_all;
    if (!dimensions.ptr ||
        !pg_int_parse(dimensions, 1, PG_SPARSEVEC_DIMENSIONS_MAX, &count_of_all) ||
        !unwrap(&rest, '{', '}'))
        return false;
    const size_t count = rest.len > 0 ? count_commas(rest) + 1 : 0;
    if (count > PG_VECTOR_DIMENSIONS_MAX)
        return false;
    invariant(a != NULL || count == 0);
    pg_sparsevec_item *items = NULL;
    if (count > 0)
        items = arena_try_alloc(a, count * sizeof *items, _Alignof(pg_sparsevec_item));
    if (count > 0 && !items)
        return false;
    for (size_t i = 0; i < count; i++) {
        const int64_t before = i > 0 ? items[i - 1].index : 0;
        if (!parse_item(str_cut(&rest, ','), before, count_of_all, &items[i]))
            return false;
    }
    *out = (pg_sparsevec){ items, count, (uint32_t)count_of_all };
    return true;
}

str pg_sparsevec_format(arena *a, const pg_sparsevec *vector)
{
    buf out;
    buf_init_arena(&out, a, SIZE_MAX / 2);
    buf_append_char(&out, '{');
    for (size_t i = 0; i < vector->count; i++) {
        if (i > 0)
            buf_append_char(&out, ',');
        buf_append_uint64(&out, vector->items[i].index);
        buf_append_char(&out, ':');
        put_number(&out, vector->items[i].value);
    }
    buf_append(&out, STR("}/"));
    buf_append_uint64(&out, vector->dimensions);
    return buf_str(&out);
}

/* --- as columns and parameters ---------------------------------------------------------------- */

static bool read_pg_vector(arena *a, const pg_cell *cell, void *out)
{
    return pg_cell_is_foreign(cell) && pg_vector_parse(a, cell->bytes, out);
}
PG_DECODERS(pg_vector, pg_vector, 0)
PG_LITERAL_PARAMS(pg_vector)

static bool read_pg_sparsevec(arena *a, const pg_cell *cell, void *out)
{
    return pg_cell_is_foreign(cell) && pg_sparsevec_parse(a, cell->bytes, out);
}
PG_DECODERS(pg_sparsevec, pg_sparsevec, 0)
PG_LITERAL_PARAMS(pg_sparsevec)
