/* Ranges and multiranges of whatever type, as cells; and of values, to send. */
#include "decoder.h"
#include "range.h"
#include "range_parts.h"
#include "value_text.h"

#include "core/fiber.h"
#include "pg/cells.h"

static pg_range range_of(const pg_range_parts *p, pg_oid bound, pg_format format)
{
    return (pg_range){ .lower = { bound, format, p->is.empty ? STR_NONE : p->lower },
                       .upper = { bound, format, p->is.empty ? STR_NONE : p->upper },
                       .lower_exclusive = p->is.lower_exclusive,
                       .upper_inclusive = p->is.upper_inclusive,
                       .lower_unbounded = p->is.lower_unbounded,
                       .upper_unbounded = p->is.upper_unbounded,
                       .empty = p->is.empty };
}

COLD static error mismatch(const pg_cell *cell, const char *wanted)
{
    return error_set(&PG_TYPE_MISMATCH, "%s (OID %u) of %zu bytes cannot be read as %s",
                     pg_type_name(cell->oid), cell->oid, cell->bytes.len, wanted);
}

error pg_decode_pg_range(arena *a, const pg_cell *cell, pg_range *out)
{
    pg_range_parts p;
    pg_oid bound;
    if (!cell->bytes.ptr || !pg_range_bound_type(cell->oid, false, &bound) ||
        !pg_range_take_apart(a, cell->bytes, cell->format, &p))
        return mismatch(cell, "pg_range");
    *out = range_of(&p, bound, cell->format);
    return OK;
}

error pg_decode_pg_multirange(arena *a, const pg_cell *cell, pg_multirange *out)
{
    pg_oid bound;
    size_t most;
    str rest = cell->bytes;
    if (!rest.ptr || !pg_range_bound_type(cell->oid, true, &bound) ||
        !pg_multirange_open(&rest, cell->format, &most))
        return mismatch(cell, "pg_multirange");
    pg_range *ranges = NULL;
    if (most > 0)
        ranges = arena_try_alloc(a, most * sizeof *ranges, _Alignof(pg_range));
    if (most > 0 && !ranges)
        return error_set(&OUT_OF_MEMORY, "%zu ranges", most);
    size_t count = 0;
    while (rest.len > 0) {
        pg_range_parts p;
        if (count == most || !pg_multirange_next(a, &rest, cell->format, count == 0, &p) ||
            p.is.empty)
            return mismatch(cell, "pg_multirange");
        ranges[count++] = range_of(&p, bound, cell->format);
    }
    if (cell->format == PG_BINARY && count != most)
        return mismatch(cell, "pg_multirange");
    *out = (pg_multirange){ ranges, count };
    return OK;
}

#define DECODE_OPTIONAL(name)                                                  \
    error pg_decode_opt_##name(arena *a, const pg_cell *cell, opt_##name *out) \
    {                                                                          \
        if (!cell->bytes.ptr) {                                                \
            *out = (opt_##name){ .is_null = true };                            \
            return OK;                                                         \
        }                                                                      \
        TRY(pg_decode_##name(a, cell, &out->value));                           \
        out->has = true;                                                       \
        out->is_null = false;                                                  \
        return OK;                                                             \
    }
DECODE_OPTIONAL(pg_range)
DECODE_OPTIONAL(pg_multirange)

/* The text of a bound, STR_NONE of one that is NULL. */
static error bound_text(arena *a, const pg_value *value, str *out)
{
    *out = STR_NONE;
    if (!value->is_null && !pg_value_text(a, value, out))
        return error_set(&PG_INVALID_ARGUMENT, "%s (OID %u) has no text to be a range's bound",
                         pg_type_name(value->oid), value->oid);
    return OK;
}

error pg_range_of(arena *a, pg_value lower, pg_value upper, pg_range *out)
{
    pg_range_parts p = { .is = { .lower_unbounded = lower.is_null,
                                 .upper_unbounded = upper.is_null } };
    TRY(bound_text(a, &lower, &p.lower));
    TRY(bound_text(a, &upper, &p.upper));
    *out = range_of(&p, 0, PG_TEXT);
    return OK;
}

static void put_any(buf *out, const pg_range *range)
{
    const pg_range_parts p = { .is = { .lower_exclusive = range->lower_exclusive,
                                       .upper_inclusive = range->upper_inclusive,
                                       .lower_unbounded = range->lower_unbounded,
                                       .upper_unbounded = range->upper_unbounded,
                                       .empty = range->empty },
                               .lower = range->lower.bytes,
                               .upper = range->upper.bytes };
    invariant(range->lower.format == PG_TEXT && range->upper.format == PG_TEXT);
    pg_range_put_text(out, &p);
}

str pg_range_format(arena *a, const pg_range *range)
{
    buf out;
    buf_init_arena(&out, a, SIZE_MAX / 2);
    put_any(&out, range);
    return buf_str(&out);
}

str pg_multirange_format(arena *a, const pg_multirange *ranges)
{
    buf out;
    buf_init_arena(&out, a, SIZE_MAX / 2);
    buf_append_char(&out, '{');
    for (size_t i = 0; i < ranges->count; i++) {
        if (i > 0)
            buf_append_char(&out, ',');
        put_any(&out, &ranges->items[i]);
    }
    buf_append_char(&out, '}');
    return buf_str(&out);
}

PG_LITERAL_PARAMS(pg_range)
PG_LITERAL_PARAMS(pg_multirange)
