/* Arrays of any number of dimensions, with NULLs, as cells that any decoder reads. In binary they
 * are a header and items behind their lengths; as text, {{a,"b c"},{NULL,"\""}}, behind the bounds
 * where those do not begin at 1. Dimensions are checked against what is there: a row that is
 * shorter than another is no array. What is allocated is at most 24 bytes for each received. */
#include "array.h"

#include "decoder.h"
#include "value_text.h"

#include "core/fiber.h"
#include "pg/cells.h"

COLD static error mismatch(const pg_cell *cell)
{
    if (!cell->bytes.ptr)
        return error_set(&PG_TYPE_MISMATCH, "NULL in a column that is read as an array");
    return error_set(&PG_TYPE_MISMATCH, "%s (OID %u) of %zu bytes cannot be read as an array",
                     pg_type_name(cell->oid), cell->oid, cell->bytes.len);
}

static error cells_room(arena *a, size_t count, pg_array *out)
{
    if (count == 0)
        return OK;
    invariant(a != NULL);
    out->cells = arena_try_alloc(a, count * sizeof *out->cells, _Alignof(pg_cell));
    return out->cells ? OK : error_set(&OUT_OF_MEMORY, "an array of %zu items", count);
}

/* --- binary ----------------------------------------------------------------------------------- */

bool pg_array_read_header(pg_reader *r, pg_oid element, pg_array *out)
{
    out->dimensions = pg_reader_u32(r);
    const uint32_t has_null = pg_reader_u32(r);
    const pg_oid sent = pg_reader_u32(r);
    if (r->failed || out->dimensions > PG_ARRAY_DIMENSIONS_MAX || has_null > 1 || sent != element)
        return false;
    out->count = out->dimensions > 0;
    for (uint32_t i = 0; i < out->dimensions; i++) {
        out->sides[i].count = pg_reader_u32(r);
        out->sides[i].lower = pg_reader_i32(r);
        if (out->sides[i].count == 0 ||
            __builtin_mul_overflow(out->count, out->sides[i].count, &out->count))
            return false;
    }
    return !r->failed && out->count <= pg_reader_left(r) / 4;
}

static error read_binary(arena *a, const pg_cell *cell, pg_array *out)
{
    const pg_oid element = pg_type_element(cell->oid);
    pg_reader r = pg_reader_of(cell->bytes);
    if (element == 0 || !pg_array_read_header(&r, element, out))
        return mismatch(cell);
    TRY(cells_room(a, out->count, out));
    for (size_t i = 0; i < out->count; i++) {
        const uint32_t len = pg_reader_u32(&r);
        const str bytes = len == UINT32_MAX ? STR_NONE : pg_reader_bytes(&r, len);
        out->cells[i] = (pg_cell){ element, PG_BINARY, bytes };
        if (r.failed)
            return mismatch(cell);
    }
    return pg_reader_done(&r) ? OK : mismatch(cell);
}

/* --- text ------------------------------------------------------------------------------------- */

typedef struct text_reader {
    arena *a;
    str rest;
    char separator;
    uint32_t depth; /* of braces that are open */
    uint32_t seen[PG_ARRAY_DIMENSIONS_MAX];
} text_reader;

/* "[0:1][-1:3]=", into the lower bounds and the counts; `*given` tells how many. */
static bool take_bounds(str *rest, pg_array *out, uint32_t *given)
{
    *given = 0;
    if (rest->len == 0 || rest->ptr[0] != '[')
        return true;
    str bounds = str_cut(rest, '=');
    for (; bounds.len > 0; ++*given) {
        int64_t lower;
        int64_t upper;
        if (bounds.ptr[0] != '[' || *given == PG_ARRAY_DIMENSIONS_MAX ||
            str_index(bounds, ']') == bounds.len)
            return false;
        str high = str_cut(&bounds, ']');
        const str low = str_cut(&high, ':');
        if (!str_to_int64(str_slice(low, 1, low.len), &lower) || !str_to_int64(high, &upper) ||
            lower < INT32_MIN || upper > INT32_MAX || upper < lower || upper - lower >= UINT32_MAX)
            return false;
        out->sides[*given].lower = (int32_t)lower;
        out->sides[*given].count = (uint32_t)(upper - lower + 1);
    }
    return true;
}

/* An item between quotes, without the backslashes in it. */
static bool take_quoted(text_reader *r, str *out)
{
    size_t end = 1;
    bool escaped = false;
    for (; end < r->rest.len && r->rest.ptr[end] != '"'; end++) {
        if (r->rest.ptr[end] == '\\') {
            escaped = true;
            end++;
        }
    }
    if (end >= r->rest.len)
        return false;
    *out = str_slice(r->rest, 1, end - 1);
    r->rest = str_slice(r->rest, end + 1, r->rest.len);
    if (!escaped)
        return true;
    char *text = arena_try_alloc(r->a, out->len, 1);
    if (!text)
        return false;
    size_t len = 0;
    for (size_t i = 0; i < out->len; i++) {
        if (out->ptr[i] == '\\')
            i++;
        text[len++] = out->ptr[i];
    }
    *out = (str){ text, len };
    return true;
}

static bool take_item(text_reader *r, str *out)
{
    if (r->rest.ptr[0] == '"')
        return take_quoted(r, out);
    size_t len = 0;
    for (; len < r->rest.len && r->rest.ptr[len] != r->separator; len++) {
        const char c = r->rest.ptr[len];
        if (c == '}')
            break;
        if (c == '{' || c == '"' || c == '\\')
            return false;
    }
    if (len == 0)
        return false;
    *out = str_slice(r->rest, 0, len);
    if (str_eq(*out, STR("NULL")))
        *out = STR_NONE;
    r->rest = str_slice(r->rest, len, r->rest.len);
    return true;
}

/* Closes a brace: its items must be as many as those of the others at its depth. */
static bool close_brace(text_reader *r, pg_array *out)
{
    r->depth--;
    uint32_t *count = &out->sides[r->depth].count;
    if (*count != 0 && *count != r->seen[r->depth])
        return false;
    *count = r->seen[r->depth];
    if (r->depth > 0)
        r->seen[r->depth - 1]++;
    return true;
}

/* All braces and items, after the bounds. out->dimensions is 0 until the first item is reached. */
static bool take_braces(text_reader *r, pg_oid element, pg_array *out)
{
    bool wants_item = true;
    do {
        if (r->rest.len == 0)
            return false;
        const char c = r->rest.ptr[0];
        const bool opens = wants_item && c == '{';
        if (wants_item && !opens) {
            if (out->dimensions == 0)
                out->dimensions = r->depth;
            str item;
            if (r->depth == 0 || r->depth != out->dimensions || !take_item(r, &item))
                return false;
            out->cells[out->count++] = (pg_cell){ element, PG_TEXT, item };
            r->seen[r->depth - 1]++;
            wants_item = false;
            continue;
        }
        r->rest = str_slice(r->rest, 1, r->rest.len);
        if (opens) {
            if (r->depth == PG_ARRAY_DIMENSIONS_MAX ||
                (out->dimensions > 0 && r->depth >= out->dimensions))
                return false;
            r->seen[r->depth++] = 0;
        } else if (c == r->separator) {
            wants_item = true;
        } else if (c != '}' || !close_brace(r, out)) {
            return false;
        }
    } while (r->depth > 0);
    return r->rest.len == 0;
}

static error read_text(arena *a, const pg_cell *cell, pg_array *out)
{
    text_reader r = { .a = a, .rest = cell->bytes };
    r.separator = cell->oid == PG_OID_BOX_ARRAY ? ';' : ','; /* the only one */
    if (str_eq(r.rest, STR("{}")))
        return OK;
    for (size_t i = 0; i < PG_ARRAY_DIMENSIONS_MAX; i++)
        out->sides[i].lower = 1;
    uint32_t given;
    if (!take_bounds(&r.rest, out, &given))
        return mismatch(cell);
    size_t room = 1;
    for (size_t i = 0; i < r.rest.len; i++)
        room += r.rest.ptr[i] == r.separator;
    TRY(cells_room(a, room, out));
    if (!take_braces(&r, pg_type_element(cell->oid), out) ||
        (given > 0 && given != out->dimensions))
        return mismatch(cell);
    return OK;
}

error pg_decode_pg_array(arena *a, const pg_cell *cell, pg_array *out)
{
    pg_array array = { 0 };
    if (!cell->bytes.ptr)
        return mismatch(cell);
    array.element = pg_type_element(cell->oid);
    if (cell->format == PG_BINARY)
        TRY(read_binary(a, cell, &array));
    else
        TRY(read_text(a, cell, &array));
    *out = array;
    return OK;
}

error pg_decode_opt_pg_array(arena *a, const pg_cell *cell, opt_pg_array *out)
{
    if (!cell->bytes.ptr) {
        *out = (opt_pg_array){ .is_null = true };
        return OK;
    }
    TRY(pg_decode_pg_array(a, cell, &out->value));
    out->has = true;
    out->is_null = false;
    return OK;
}

/* --- to send ---------------------------------------------------------------------------------- */

/* The type of all values; NULLs among literals are of any. False when there are several. */
static bool common_type(pg_values values, pg_oid *out)
{
    *out = values.count > 0 ? values.items[0].oid : 0;
    for (size_t i = 0; i < values.count; i++) {
        if (values.items[i].oid != *out)
            return false;
    }
    return pg_type_element(*out) == 0;
}

error pg_array_of(arena *a, pg_values values, uint32_t dimensions, const uint32_t *counts,
                  pg_array *out)
{
    pg_array array = { .dimensions = dimensions, .count = dimensions > 0 };
    if (dimensions > PG_ARRAY_DIMENSIONS_MAX)
        return error_set(&PG_INVALID_ARGUMENT, "an array of %u dimensions", dimensions);
    for (uint32_t d = 0; d < dimensions; d++) {
        array.sides[d].count = counts[d];
        array.sides[d].lower = 1;
        if (__builtin_mul_overflow(array.count, counts[d], &array.count))
            return error_set(&PG_INVALID_ARGUMENT, "an array of too many items");
    }
    if (array.count != values.count || array.count > PG_ARRAY_ITEMS_MAX ||
        (dimensions > 0 && array.count == 0))
        return error_set(&PG_INVALID_ARGUMENT, "an array of %zu items for %zu values", array.count,
                         values.count);
    if (!common_type(values, &array.element))
        return error_set(&PG_INVALID_ARGUMENT, "an array of values that are not of one type");
    array.cells = ARENA_NEW_ARRAY(a, pg_cell, array.count);
    for (size_t i = 0; i < array.count; i++) {
        const pg_value *value = &values.items[i];
        array.cells[i] = (pg_cell){ array.element, PG_TEXT, STR_NONE };
        if (!value->is_null && !pg_value_text(a, value, &array.cells[i].bytes))
            return error_set(&PG_INVALID_ARGUMENT, "%s (OID %u) has no text to stand in an array",
                             pg_type_name(value->oid), value->oid);
    }
    *out = array;
    return OK;
}

static void check_sides(const pg_array *array)
{
    size_t count = array->dimensions > 0;
    invariant(array->dimensions <= PG_ARRAY_DIMENSIONS_MAX);
    for (uint32_t d = 0; d < array->dimensions; d++)
        invariant(!__builtin_mul_overflow(count, array->sides[d].count, &count));
    invariant(count == array->count && (count > 0 || array->dimensions == 0));
    for (size_t i = 1; i < count; i++)
        invariant(array->cells[i].format == array->cells[0].format);
}

static str binary_array(arena *a, const pg_array *array)
{
    size_t size = 12 + (size_t)array->dimensions * 8;
    bool has_null = false;
    for (size_t i = 0; i < array->count; i++) {
        size += 4 + array->cells[i].bytes.len;
        has_null = has_null || !array->cells[i].bytes.ptr;
    }
    char *bytes = arena_alloc(a, size, 1);
    char *at = pg_put32(bytes, array->dimensions);
    at = pg_put32(at, has_null);
    at = pg_put32(at, array->element);
    for (uint32_t d = 0; d < array->dimensions; d++) {
        at = pg_put32(at, array->sides[d].count);
        at = pg_put32(at, (uint32_t)array->sides[d].lower);
    }
    for (size_t i = 0; i < array->count; i++) {
        const str item = array->cells[i].bytes;
        at = pg_put32(at, item.ptr ? (uint32_t)item.len : UINT32_MAX);
        at = pg_put_bytes(at, item.ptr, item.len);
    }
    return (str){ bytes, size };
}

pg_value pg_param_pg_array(pg_array array)
{
    check_sides(&array);
    pg_value value = { .oid = pg_type_array(array.element), .written = PG_WRITTEN_TEXT };
    const bool binary = array.count == 0 || array.cells[0].format == PG_BINARY;
    if (value.oid && binary) {
        value.written = PG_WRITTEN_BINARY;
        value.as.text = binary_array(fiber_arena(), &array);
        return value;
    }
    invariant(pg_array_text(fiber_arena(), &array, &value.as.text));
    return value;
}

pg_value pg_param_opt_pg_array(opt_pg_array array)
{
    return array.has ? pg_param_pg_array(array.value) : pg_param_null(0);
}
