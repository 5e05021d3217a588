/* Ranges and multiranges, typed and as cells.
 *
 * All typed forms come from one macro, so that a table says where their members are and one
 * function of each kind does for all: bounds are read by their type's decoder and written as the
 * parameters that they would be. What text or bytes say is first taken apart into cells, which is
 * also the form of ranges whose type has no name here.
 *
 * A bound that is not there is zero and not exclusive, so that equal ranges have equal members. */
#include "range.h"

#include "decoder.h"
#include "quoted.h"
#include "reader.h"
#include "value.h"
#include "value_text.h"
#include "wire.h"

#include "core/fiber.h"

#include <assert.h>
#include <string.h>

/* --- one that is taken apart ------------------------------------------------------------------ */

#define FLAG_EMPTY           0x01
#define FLAG_LOWER_INCLUSIVE 0x02
#define FLAG_UPPER_INCLUSIVE 0x04
#define FLAG_LOWER_UNBOUNDED 0x08
#define FLAG_UPPER_UNBOUNDED 0x10
#define FLAGS                0x1F

/* What stands behind the two bounds in every typed range. */
typedef struct range_flags {
    bool lower_exclusive;
    bool upper_inclusive;
    bool lower_unbounded;
    bool upper_unbounded;
    bool empty;
} range_flags;

/* A range whose bounds are still text or bytes. */
typedef struct parts {
    range_flags is;
    str lower;
    str upper;
} parts;

static parts with_its_flags(parts p)
{
    p.is.lower_exclusive = p.is.lower_exclusive && !p.is.lower_unbounded;
    p.is.upper_inclusive = p.is.upper_inclusive && !p.is.upper_unbounded;
    return p;
}

static bool take_bytes(str bytes, parts *out)
{
    pg_reader r = pg_reader_of(bytes);
    const uint8_t flags = pg_reader_u8(&r);
    parts p = { .is = { .lower_exclusive = !(flags & FLAG_LOWER_INCLUSIVE),
                        .upper_inclusive = flags & FLAG_UPPER_INCLUSIVE,
                        .lower_unbounded = flags & FLAG_LOWER_UNBOUNDED,
                        .upper_unbounded = flags & FLAG_UPPER_UNBOUNDED } };
    if (r.failed || (flags & ~FLAGS))
        return false;
    if (flags & FLAG_EMPTY) {
        *out = (parts){ .is.empty = true };
        return pg_reader_done(&r);
    }
    if (!p.is.lower_unbounded)
        p.lower = pg_reader_bytes(&r, pg_reader_u32(&r));
    if (!p.is.upper_unbounded)
        p.upper = pg_reader_bytes(&r, pg_reader_u32(&r));
    *out = with_its_flags(p);
    return pg_reader_done(&r);
}

/* Takes "empty" or "[lower,upper)" off `rest`. */
static bool take_text(arena *a, str *rest, parts *out)
{
    parts p = { 0 };
    if (str_starts_with(*rest, STR("empty"))) {
        p.is.empty = true;
        *rest = str_slice(*rest, 5, rest->len);
        *out = p;
        return true;
    }
    if (rest->len == 0 || (rest->ptr[0] != '[' && rest->ptr[0] != '('))
        return false;
    p.is.lower_exclusive = rest->ptr[0] == '(';
    *rest = str_slice(*rest, 1, rest->len);
    if (!pg_quoted_take(a, rest, ",", &p.lower))
        return false;
    *rest = str_slice(*rest, 1, rest->len);
    if (!pg_quoted_take(a, rest, "])", &p.upper))
        return false;
    p.is.upper_inclusive = rest->ptr[0] == ']';
    *rest = str_slice(*rest, 1, rest->len);
    p.is.lower_unbounded = !p.lower.ptr;
    p.is.upper_unbounded = !p.upper.ptr;
    *out = with_its_flags(p);
    return true;
}

/* Reads all of a range. */
static bool take_apart(arena *a, str bytes, pg_format format, parts *out)
{
    if (format == PG_BINARY)
        return take_bytes(bytes, out);
    return take_text(a, &bytes, out) && bytes.len == 0;
}

/* Writes "[lower,upper)"; bounds as text. */
static void put_text(buf *out, const parts *p)
{
    if (p->is.empty) {
        buf_append(out, STR("empty"));
        return;
    }
    buf_append_char(out, p->is.lower_exclusive || p->is.lower_unbounded ? '(' : '[');
    if (!p->is.lower_unbounded)
        pg_quoted_put(out, p->lower, "()[],");
    buf_append_char(out, ',');
    if (!p->is.upper_unbounded)
        pg_quoted_put(out, p->upper, "()[],");
    buf_append_char(out, p->is.upper_inclusive && !p->is.upper_unbounded ? ']' : ')');
}

/* The next range of a multirange, behind the comma where it is not the first. */
static bool next_of_multirange(arena *a, str *rest, pg_format format, bool first, parts *out)
{
    if (format == PG_BINARY) {
        pg_reader r = pg_reader_of(*rest);
        const str bytes = pg_reader_bytes(&r, pg_reader_u32(&r));
        if (r.failed || !take_apart(a, bytes, PG_BINARY, out))
            return false;
        *rest = pg_reader_rest(&r);
        return true;
    }
    if (!first) {
        if (rest->len == 0 || rest->ptr[0] != ',')
            return false;
        *rest = str_slice(*rest, 1, rest->len);
    }
    return take_text(a, rest, out);
}

/* How many ranges there are at most, and the bytes of them. */
static bool open_multirange(str *bytes, pg_format format, size_t *count)
{
    if (format == PG_BINARY) {
        pg_reader r = pg_reader_of(*bytes);
        *count = pg_reader_u32(&r);
        if (r.failed || *count > pg_reader_left(&r) / 5)
            return false;
        *bytes = pg_reader_rest(&r);
        return true;
    }
    if (bytes->len < 2 || bytes->ptr[0] != '{' || bytes->ptr[bytes->len - 1] != '}')
        return false;
    *bytes = str_slice(*bytes, 1, bytes->len - 2);
    *count = bytes->len > 0;
    for (size_t i = 0; i < bytes->len; i++)
        *count += bytes->ptr[i] == ',';
    *count =
        (*count + 1) / 2; /* a comma in each range, and one between two; those quoted are more */
    return true;
}

/* --- typed ones ------------------------------------------------------------------------------- */

/* A typed range: its bounds come first, then a range_flags. */
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

static range_flags flags_of(const range_kind *k, const void *range)
{
    range_flags flags;
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

/* From its parts into the C type. */
static bool assemble(const range_kind *k, arena *a, const parts *p, pg_format format, char *out)
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
    parts p;
    return cell->oid == oid && take_apart(a, cell->bytes, cell->format, &p) &&
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
    if (cell->oid != oid || !open_multirange(&rest, cell->format, &most))
        return false;
    invariant(a != NULL || most == 0);
    char *ranges = most > 0 ? arena_try_alloc(a, most * k->bytes, k->align) : NULL;
    if (most > 0 && !ranges)
        return false;
    size_t count = 0;
    while (rest.len > 0) {
        parts p;
        if (count == most || !next_of_multirange(a, &rest, cell->format, count == 0, &p) ||
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
    const range_flags is = flags_of(k, range);
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
    const range_flags is = flags_of(k, range);
    if (is.empty)
        return pg_put8(at, FLAG_EMPTY);
    const int flags = (is.lower_unbounded   ? FLAG_LOWER_UNBOUNDED
                       : is.lower_exclusive ? 0
                                            : FLAG_LOWER_INCLUSIVE) |
                      (is.upper_unbounded   ? FLAG_UPPER_UNBOUNDED
                       : is.upper_inclusive ? FLAG_UPPER_INCLUSIVE
                                            : 0);
    at = pg_put8(at, (uint8_t)flags);
    for (int upper = 0; upper < 2; upper++) {
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
    parts p = { .is = flags_of(k, range) };
    const pg_value lower = bound_of(k, range, false);
    const pg_value upper = bound_of(k, range, true);
    if (!p.is.empty && !p.is.lower_unbounded)
        invariant(pg_value_text(a, &lower, &p.lower));
    if (!p.is.empty && !p.is.upper_unbounded)
        invariant(pg_value_text(a, &upper, &p.upper));
    put_text(out, &p);
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

/* --- of any type ------------------------------------------------------------------------------ */

/* The type of the bounds of a range, or of a multirange, in the list of pg/type.h; false when `oid`
 * is in that list as another type. */
static bool bound_type(pg_oid oid, bool several, pg_oid *out)
{
    *out = 0;
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        if ((several ? KINDS[i].multirange : KINDS[i].oid) == oid)
            *out = KINDS[i].bound;
    }
    return *out != 0 || !pg_type_is_known(oid);
}

static pg_range range_of(const parts *p, pg_oid bound, pg_format format)
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
    parts p;
    pg_oid bound;
    if (!cell->bytes.ptr || !bound_type(cell->oid, false, &bound) ||
        !take_apart(a, cell->bytes, cell->format, &p))
        return mismatch(cell, "pg_range");
    *out = range_of(&p, bound, cell->format);
    return OK;
}

error pg_decode_pg_multirange(arena *a, const pg_cell *cell, pg_multirange *out)
{
    pg_oid bound;
    size_t most;
    str rest = cell->bytes;
    if (!rest.ptr || !bound_type(cell->oid, true, &bound) ||
        !open_multirange(&rest, cell->format, &most))
        return mismatch(cell, "pg_multirange");
    pg_range *ranges = NULL;
    if (most > 0)
        ranges = arena_try_alloc(a, most * sizeof *ranges, _Alignof(pg_range));
    if (most > 0 && !ranges)
        return error_set(&OUT_OF_MEMORY, "%zu ranges", most);
    size_t count = 0;
    while (rest.len > 0) {
        parts p;
        if (count == most || !next_of_multirange(a, &rest, cell->format, count == 0, &p) ||
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
    parts p = { .is = { .lower_unbounded = lower.is_null, .upper_unbounded = upper.is_null } };
    TRY(bound_text(a, &lower, &p.lower));
    TRY(bound_text(a, &upper, &p.upper));
    *out = range_of(&p, 0, PG_TEXT);
    return OK;
}

static void put_any(buf *out, const pg_range *range)
{
    const parts p = { .is = { .lower_exclusive = range->lower_exclusive,
                              .upper_inclusive = range->upper_inclusive,
                              .lower_unbounded = range->lower_unbounded,
                              .upper_unbounded = range->upper_unbounded,
                              .empty = range->empty },
                      .lower = range->lower.bytes,
                      .upper = range->upper.bytes };
    invariant(range->lower.format == PG_TEXT && range->upper.format == PG_TEXT);
    put_text(out, &p);
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

/* --- the public functions --------------------------------------------------------------------- */

#define RANGE(name, multi, oid, multi_oid)                                       \
    static_assert(offsetof(name, upper) == sizeof(((name *)0)->lower) &&         \
                      offsetof(name, empty) - offsetof(name, lower_exclusive) == \
                          offsetof(range_flags, empty),                          \
                  "a range_flags behind the bounds");                            \
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
