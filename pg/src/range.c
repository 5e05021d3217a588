/* The typed ranges and multiranges. All come from one macro, so that a table says where their
 * members are and one function of each kind does for all: bounds are read by their type's decoder,
 * and written as the parameters that they would be. */
#include "range.h"

#include "decoder.h"
#include "range_parts.h"
#include "value.h"
#include "value_text.h"
#include "wire.h"

#include "core/fiber.h"

#include <assert.h>
#include <string.h>

/* A typed range: its bounds come first, then a pg_range_flags. */
typedef struct range_kind {
    pg_oid oid;
    pg_oid multirange;
    pg_oid bound;
    uint32_t bound_bytes; /* of the C type of a bound */
    uint32_t flags;       /* where they are */
    uint32_t bytes;       /* of the C type of the range */
    uint32_t align;
    error (*decode)(arena *a, const pg_cell *cell, void *out); /* a bound */
} range_kind;

#define DECODE_BOUND(name, c_type)                                               \
    static error decode_##name##_bound(arena *a, const pg_cell *cell, void *out) \
    {                                                                            \
        return pg_decode_##name(a, cell, (c_type *)out);                         \
    }
DECODE_BOUND(int4, int32_t)
DECODE_BOUND(int8, int64_t)
DECODE_BOUND(pg_numeric, pg_numeric)
DECODE_BOUND(pg_timestamp, pg_timestamp)
DECODE_BOUND(timestamptz, timestamptz)
DECODE_BOUND(pg_date, pg_date)

#define KIND(name, oid_, multirange_, bound_, decode_)                                       \
    {                                                                                        \
        .oid = (oid_), .multirange = (multirange_), .bound = (bound_),                       \
        .bound_bytes = sizeof(((name *)0)->lower), .flags = offsetof(name, lower_exclusive), \
        .bytes = sizeof(name), .align = _Alignof(name), .decode = (decode_)                  \
    }
static const range_kind KINDS[] = {
    KIND(pg_int4range, PG_OID_INT4RANGE, PG_OID_INT4MULTIRANGE, PG_OID_INT4, decode_int4_bound),
    KIND(pg_int8range, PG_OID_INT8RANGE, PG_OID_INT8MULTIRANGE, PG_OID_INT8, decode_int8_bound),
    KIND(pg_numrange, PG_OID_NUMRANGE, PG_OID_NUMMULTIRANGE, PG_OID_NUMERIC,
         decode_pg_numeric_bound),
    KIND(pg_tsrange, PG_OID_TSRANGE, PG_OID_TSMULTIRANGE, PG_OID_TIMESTAMP,
         decode_pg_timestamp_bound),
    KIND(pg_tstzrange, PG_OID_TSTZRANGE, PG_OID_TSTZMULTIRANGE, PG_OID_TIMESTAMPTZ,
         decode_timestamptz_bound),
    KIND(pg_daterange, PG_OID_DATERANGE, PG_OID_DATEMULTIRANGE, PG_OID_DATE, decode_pg_date_bound),
};

static const range_kind *kind_of(pg_oid oid)
{
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        if (KINDS[i].oid == oid || KINDS[i].multirange == oid)
            return &KINDS[i];
    }
    unreachable();
}

bool pg_range_bound_type(pg_oid oid, bool several, pg_oid *out)
{
    *out = 0;
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        if ((several ? KINDS[i].multirange : KINDS[i].oid) == oid)
            *out = KINDS[i].bound;
    }
    return *out != 0 || !pg_type_is_known(oid);
}

static pg_range_flags flags_of(const range_kind *k, const void *range)
{
    pg_range_flags flags;
    memcpy(&flags, (const char *)range + k->flags, sizeof flags);
    return flags;
}

/* The bound as the parameter that it would be. */
static pg_value bound_of(const range_kind *k, const void *range, bool upper)
{
    pg_value v = { .oid = k->bound };
    memcpy(&v.as, (const char *)range + (upper ? k->bound_bytes : 0), k->bound_bytes);
    return v;
}

static bool read_bound(const range_kind *k, arena *a, str bytes, pg_format format, void *out)
{
    const pg_cell cell = { k->bound, format, bytes };
    return error_is_ok(k->decode(a, &cell, out));
}

/* From its pg_range_parts into the C type. */
static bool assemble(const range_kind *k, arena *a, const pg_range_parts *p, pg_format format,
                     char *out)
{
    _Alignas(pg_numrange) char range[sizeof(pg_numrange)] = { 0 };
    invariant(k->bytes <= sizeof range);
    const bool bounded = !p->is.empty;
    if ((bounded && !p->is.lower_unbounded && !read_bound(k, a, p->lower, format, range)) ||
        (bounded && !p->is.upper_unbounded &&
         !read_bound(k, a, p->upper, format, range + k->bound_bytes)))
        return false;
    memcpy(range + k->flags, &p->is, sizeof p->is);
    memcpy(out, range, k->bytes);
    return true;
}

static bool read_range(arena *a, const pg_cell *cell, pg_oid oid, void *out)
{
    pg_range_parts p;
    return cell->oid == oid && pg_range_take_apart(a, cell->bytes, cell->format, &p) &&
           assemble(kind_of(oid), a, &p, cell->format, out);
}

/* What all multiranges are. */
typedef struct range_items {
    const void *items;
    size_t count;
} range_items;

static bool read_multirange(arena *a, const pg_cell *cell, pg_oid oid, void *out)
{
    const range_kind *k = kind_of(oid);
    str rest = cell->bytes;
    size_t most;
    if (cell->oid != oid || !pg_multirange_open(&rest, cell->format, &most))
        return false;
    invariant(a != NULL || most == 0);
    char *ranges = most > 0 ? arena_try_alloc(a, most * k->bytes, k->align) : NULL;
    if (most > 0 && !ranges)
        return false;
    size_t count = 0;
    while (rest.len > 0) {
        pg_range_parts p;
        if (count == most || !pg_multirange_next(a, &rest, cell->format, count == 0, &p) ||
            p.is.empty || !assemble(k, a, &p, cell->format, ranges + count * k->bytes))
            return false;
        count++;
    }
    if (cell->format == PG_BINARY && count != most)
        return false;
    const range_items all = { ranges, count };
    memcpy(out, &all, sizeof all);
    return true;
}

/* --- as parameters ---------------------------------------------------------------------------- */

size_t pg_range_size(pg_oid oid, const void *range)
{
    const range_kind *k = kind_of(oid);
    const pg_range_flags is = flags_of(k, range);
    size_t size = 1;
    for (int upper = 0; upper < 2 && !is.empty; upper++) {
        if (upper ? is.upper_unbounded : is.lower_unbounded)
            continue;
        const pg_value bound = bound_of(k, range, upper);
        size += 4 + pg_value_size(&bound);
    }
    return size;
}

char *pg_range_put(pg_oid oid, const void *range, char *at)
{
    const range_kind *k = kind_of(oid);
    const pg_range_flags is = flags_of(k, range);
    at = pg_put8(at, pg_range_flags_byte(is));
    for (int upper = 0; upper < 2 && !is.empty; upper++) {
        if (upper ? is.upper_unbounded : is.lower_unbounded)
            continue;
        const pg_value bound = bound_of(k, range, upper);
        at = pg_put32(at, (uint32_t)pg_value_size(&bound));
        at = pg_value_put(&bound, at);
    }
    return at;
}

static const void *item_of(const range_kind *k, const range_items *ranges, size_t index)
{
    return (const char *)ranges->items + index * k->bytes;
}

size_t pg_multirange_size(pg_oid oid, const void *ranges)
{
    const range_kind *k = kind_of(oid);
    range_items all;
    memcpy(&all, ranges, sizeof all);
    size_t size = 4;
    for (size_t i = 0; i < all.count; i++) {
        size += 4 + pg_range_size(k->oid, item_of(k, &all, i));
        if (size > PG_MESSAGE_BYTES_MAX)
            return SIZE_MAX;
    }
    return size;
}

char *pg_multirange_put(pg_oid oid, const void *ranges, char *at)
{
    const range_kind *k = kind_of(oid);
    range_items all;
    memcpy(&all, ranges, sizeof all);
    at = pg_put32(at, (uint32_t)all.count);
    for (size_t i = 0; i < all.count; i++) {
        const void *range = item_of(k, &all, i);
        at = pg_put32(at, (uint32_t)pg_range_size(k->oid, range));
        at = pg_range_put(k->oid, range, at);
    }
    return at;
}

const pg_numrange *pg_numrange_copy(const pg_numrange *range)
{
    pg_numrange *copy = ARENA_NEW(fiber_arena(), pg_numrange);
    *copy = *range;
    return copy;
}

/* --- as text ---------------------------------------------------------------------------------- */

static void put_range(buf *out, arena *a, const range_kind *k, const void *range)
{
    pg_range_parts p = { .is = flags_of(k, range) };
    const pg_value lower = bound_of(k, range, false);
    const pg_value upper = bound_of(k, range, true);
    if (!p.is.empty && !p.is.lower_unbounded)
        invariant(pg_value_text(a, &lower, &p.lower));
    if (!p.is.empty && !p.is.upper_unbounded)
        invariant(pg_value_text(a, &upper, &p.upper));
    pg_range_put_text(out, &p);
}

static str range_text(arena *a, pg_oid oid, const void *range)
{
    buf out;
    buf_init_arena(&out, a, SIZE_MAX / 2);
    put_range(&out, a, kind_of(oid), range);
    return buf_str(&out);
}

static str multirange_text(arena *a, pg_oid oid, const void *ranges)
{
    const range_kind *k = kind_of(oid);
    range_items all;
    memcpy(&all, ranges, sizeof all);
    buf out;
    buf_init_arena(&out, a, SIZE_MAX / 2);
    buf_append_char(&out, '{');
    for (size_t i = 0; i < all.count; i++) {
        if (i > 0)
            buf_append_char(&out, ',');
        put_range(&out, a, k, item_of(k, &all, i));
    }
    buf_append_char(&out, '}');
    return buf_str(&out);
}

/* --- the public functions --------------------------------------------------------------------- */

#define RANGE(name, multi, oid, multi_oid)                                       \
    static_assert(offsetof(name, upper) == sizeof(((name *)0)->lower) &&         \
                      offsetof(name, empty) - offsetof(name, lower_exclusive) == \
                          offsetof(pg_range_flags, empty),                       \
                  "a pg_range_flags behind the bounds");                         \
    static bool read_##name(arena *a, const pg_cell *cell, void *out)            \
    {                                                                            \
        return read_range(a, cell, oid, out);                                    \
    }                                                                            \
    static bool read_##multi(arena *a, const pg_cell *cell, void *out)           \
    {                                                                            \
        return read_multirange(a, cell, multi_oid, out);                         \
    }                                                                            \
    PG_DECODERS(name, name, oid)                                                 \
    PG_DECODERS(multi, multi, multi_oid)                                         \
    str name##_format(arena *a, const name *range)                               \
    {                                                                            \
        return range_text(a, oid, range);                                        \
    }                                                                            \
    str multi##_format(arena *a, const multi *ranges)                            \
    {                                                                            \
        return multirange_text(a, multi_oid, ranges);                            \
    }                                                                            \
    bool name##_parse(arena *a, str text, name *out)                             \
    {                                                                            \
        return read_##name(a, &(pg_cell){ oid, PG_TEXT, text }, out);            \
    }                                                                            \
    bool multi##_parse(arena *a, str text, multi *out)                           \
    {                                                                            \
        return read_##multi(a, &(pg_cell){ multi_oid, PG_TEXT, text }, out);     \
    }
RANGE(pg_int4range, pg_int4multirange, PG_OID_INT4RANGE, PG_OID_INT4MULTIRANGE)
RANGE(pg_int8range, pg_int8multirange, PG_OID_INT8RANGE, PG_OID_INT8MULTIRANGE)
RANGE(pg_numrange, pg_nummultirange, PG_OID_NUMRANGE, PG_OID_NUMMULTIRANGE)
RANGE(pg_tsrange, pg_tsmultirange, PG_OID_TSRANGE, PG_OID_TSMULTIRANGE)
RANGE(pg_tstzrange, pg_tstzmultirange, PG_OID_TSTZRANGE, PG_OID_TSTZMULTIRANGE)
RANGE(pg_daterange, pg_datemultirange, PG_OID_DATERANGE, PG_OID_DATEMULTIRANGE)
