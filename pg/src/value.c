/* From parameters to PostgreSQL's binary format. The size is known before anything is written, so
 * that a message is refused whole and written without a check.
 *
 * An array is a header (dimensions, a flag for NULLs, the element's type, then length and lower
 * bound of the one dimension), and each element behind its length. An empty one has no dimension.
 *
 * Invariant: pg_value_put writes exactly pg_value_size bytes. */
#include "value.h"

#include "bits.h"
#include "decoder.h"
#include "geometry.h"
#include "network.h"
#include "numeric.h"
#include "range.h"
#include "wire.h"

#define ARRAY_HEADER_BYTES 20
#define ARRAY_EMPTY_BYTES  12

/* A C type, and where it stands in its opt_X. */
typedef struct c_layout {
    uint32_t bytes;
    uint32_t optional_bytes;
    uint32_t offset;
} c_layout;
#define C_LAYOUT(name, c_type)                                          \
    {                                                                   \
        sizeof(c_type), sizeof(opt_##name), offsetof(opt_##name, value) \
    }

/* --- types of pg/ ----------------------------------------------------------------------------- */

/* How a type is written that stands in no switch below. `value` points to its C value, which a
 * pg_value and a list hold alike. */
typedef struct encoding {
    pg_oid oid;
    c_layout c;
    uint32_t wire_bytes;               /* 0: it varies */
    size_t (*size)(const void *value); /* when it varies */
    char *(*put)(const void *value, char *at);
    bool elsewhere; /* a pg_value has just its address, in as.numrange */
} encoding;

/* 32 bits of whatever type, and 64. */
static char *put_four(const void *value, char *at)
{
    uint32_t bits;
    memcpy(&bits, value, sizeof bits);
    return pg_put32(at, bits);
}

static char *put_eight(const void *value, char *at)
{
    uint64_t bits;
    memcpy(&bits, value, sizeof bits);
    return pg_put64(at, bits);
}

static char *put_interval(const void *value, char *at)
{
    const pg_interval *interval = value;
    at = pg_put64(at, (uint64_t)interval->us);
    at = pg_put32(at, (uint32_t)interval->days);
    return pg_put32(at, (uint32_t)interval->months);
}

static char *put_timetz(const void *value, char *at)
{
    const pg_timetz *time = value;
    at = pg_put64(at, (uint64_t)time->us);
    return pg_put32(at, (uint32_t)time->west_s);
}

static char *put_macaddr(const void *value, char *at)
{
    return pg_put_bytes(at, value, sizeof(pg_macaddr));
}

static char *put_macaddr8(const void *value, char *at)
{
    return pg_put_bytes(at, value, sizeof(pg_macaddr8));
}

static char *put_tid(const void *value, char *at)
{
    const pg_tid *tid = value;
    return pg_put16(pg_put32(at, tid->block), tid->offset);
}

static char *put_eights(const char *value, size_t count, char *at)
{
    for (size_t i = 0; i < count; i++)
        at = put_eight(value + i * 8, at);
    return at;
}

static char *put_two_eights(const void *value, char *at)
{
    return put_eights(value, 2, at);
}

static char *put_three_eights(const void *value, char *at)
{
    return put_eights(value, 3, at);
}

static char *put_four_eights(const void *value, char *at)
{
    return put_eights(value, 4, at);
}

static size_t path_size(const void *value)
{
    return pg_path_size(value);
}

static char *put_path(const void *value, char *at)
{
    return pg_path_put(value, at);
}

static size_t polygon_size(const void *value)
{
    return pg_polygon_size(value);
}

static char *put_polygon(const void *value, char *at)
{
    return pg_polygon_put(value, at);
}

static size_t numeric_size(const void *value)
{
    return pg_numeric_size(value);
}

static char *put_numeric(const void *value, char *at)
{
    return pg_numeric_put(value, at);
}

static size_t inet_size(const void *value)
{
    return pg_inet_size(value);
}

static char *put_inet(const void *value, char *at)
{
    return pg_inet_put(value, at);
}

static size_t bits_size(const void *value)
{
    return pg_bits_size(value);
}

static char *put_bits(const void *value, char *at)
{
    return pg_bits_put(value, at);
}

#define RANGE_ENCODING(name, oid, function)              \
    static size_t name##_size(const void *value)         \
    {                                                    \
        return function##_size(oid, value);              \
    }                                                    \
    static char *put_##name(const void *value, char *at) \
    {                                                    \
        return function##_put(oid, value, at);           \
    }
RANGE_ENCODING(int4range, PG_OID_INT4RANGE, pg_range)
RANGE_ENCODING(numrange, PG_OID_NUMRANGE, pg_range)
RANGE_ENCODING(tsrange, PG_OID_TSRANGE, pg_range)
RANGE_ENCODING(tstzrange, PG_OID_TSTZRANGE, pg_range)
RANGE_ENCODING(daterange, PG_OID_DATERANGE, pg_range)
RANGE_ENCODING(int8range, PG_OID_INT8RANGE, pg_range)
RANGE_ENCODING(int4multirange, PG_OID_INT4MULTIRANGE, pg_multirange)
RANGE_ENCODING(nummultirange, PG_OID_NUMMULTIRANGE, pg_multirange)
RANGE_ENCODING(tsmultirange, PG_OID_TSMULTIRANGE, pg_multirange)
RANGE_ENCODING(tstzmultirange, PG_OID_TSTZMULTIRANGE, pg_multirange)
RANGE_ENCODING(datemultirange, PG_OID_DATEMULTIRANGE, pg_multirange)
RANGE_ENCODING(int8multirange, PG_OID_INT8MULTIRANGE, pg_multirange)

/* NULL for text, and for what is written like it. */
static const encoding *find_encoding(pg_oid oid)
{
    static const encoding ENCODINGS[] = {
        { PG_OID_NUMERIC, C_LAYOUT(pg_numeric, pg_numeric), 0, numeric_size, put_numeric },
        { PG_OID_DATE, C_LAYOUT(pg_date, pg_date), 4, NULL, put_four },
        { PG_OID_TIMESTAMP, C_LAYOUT(pg_timestamp, pg_timestamp), 8, NULL, put_eight },
        { PG_OID_TIME, C_LAYOUT(pg_time, pg_time), 8, NULL, put_eight },
        { PG_OID_INTERVAL, C_LAYOUT(pg_interval, pg_interval), 16, NULL, put_interval },
        { PG_OID_FLOAT4, C_LAYOUT(float4, float), 4, NULL, put_four },
        { PG_OID_INET, C_LAYOUT(pg_inet, pg_inet), 0, inet_size, put_inet },
        { PG_OID_MACADDR, C_LAYOUT(pg_macaddr, pg_macaddr), 6, NULL, put_macaddr },
        { PG_OID_MACADDR8, C_LAYOUT(pg_macaddr8, pg_macaddr8), 8, NULL, put_macaddr8 },
        { PG_OID_TIMETZ, C_LAYOUT(pg_timetz, pg_timetz), 12, NULL, put_timetz },
        { PG_OID_VARBIT, C_LAYOUT(pg_bits, pg_bits), 0, bits_size, put_bits },
        { PG_OID_MONEY, C_LAYOUT(pg_money, pg_money), 8, NULL, put_eight },
        { PG_OID_XID8, C_LAYOUT(pg_xid8, pg_xid8), 8, NULL, put_eight },
        { PG_OID_LSN, C_LAYOUT(pg_lsn, pg_lsn), 8, NULL, put_eight },
        { PG_OID_TID, C_LAYOUT(pg_tid, pg_tid), 6, NULL, put_tid },
        { PG_OID_POINT, C_LAYOUT(pg_point, pg_point), 16, NULL, put_two_eights },
        { PG_OID_LINE, C_LAYOUT(pg_line, pg_line), 24, NULL, put_three_eights },
        { PG_OID_LSEG, C_LAYOUT(pg_lseg, pg_lseg), 32, NULL, put_four_eights },
        { PG_OID_BOX, C_LAYOUT(pg_box, pg_box), 32, NULL, put_four_eights },
        { PG_OID_CIRCLE, C_LAYOUT(pg_circle, pg_circle), 24, NULL, put_three_eights },
        { PG_OID_PATH, C_LAYOUT(pg_path, pg_path), 0, path_size, put_path },
        { PG_OID_POLYGON, C_LAYOUT(pg_polygon, pg_polygon), 0, polygon_size, put_polygon },
        { PG_OID_INT4RANGE, C_LAYOUT(pg_int4range, pg_int4range), 0, int4range_size,
          put_int4range },
        { PG_OID_NUMRANGE, C_LAYOUT(pg_numrange, pg_numrange), 0, numrange_size, put_numrange,
          true },
        { PG_OID_TSRANGE, C_LAYOUT(pg_tsrange, pg_tsrange), 0, tsrange_size, put_tsrange },
        { PG_OID_TSTZRANGE, C_LAYOUT(pg_tstzrange, pg_tstzrange), 0, tstzrange_size,
          put_tstzrange },
        { PG_OID_DATERANGE, C_LAYOUT(pg_daterange, pg_daterange), 0, daterange_size,
          put_daterange },
        { PG_OID_INT8RANGE, C_LAYOUT(pg_int8range, pg_int8range), 0, int8range_size,
          put_int8range },
        { PG_OID_INT4MULTIRANGE, C_LAYOUT(pg_int4multirange, pg_int4multirange), 0,
          int4multirange_size, put_int4multirange },
        { PG_OID_NUMMULTIRANGE, C_LAYOUT(pg_nummultirange, pg_nummultirange), 0, nummultirange_size,
          put_nummultirange },
        { PG_OID_TSMULTIRANGE, C_LAYOUT(pg_tsmultirange, pg_tsmultirange), 0, tsmultirange_size,
          put_tsmultirange },
        { PG_OID_TSTZMULTIRANGE, C_LAYOUT(pg_tstzmultirange, pg_tstzmultirange), 0,
          tstzmultirange_size, put_tstzmultirange },
        { PG_OID_DATEMULTIRANGE, C_LAYOUT(pg_datemultirange, pg_datemultirange), 0,
          datemultirange_size, put_datemultirange },
        { PG_OID_INT8MULTIRANGE, C_LAYOUT(pg_int8multirange, pg_int8multirange), 0,
          int8multirange_size, put_int8multirange },
        { PG_OID_OID, { 0 }, 4, NULL, put_four },
        { PG_OID_XID, { 0 }, 4, NULL, put_four },
        { PG_OID_CID, { 0 }, 4, NULL, put_four },
    };
    for (size_t i = 0; i < ARRAY_LEN(ENCODINGS); i++) {
        if (ENCODINGS[i].oid == oid)
            return &ENCODINGS[i];
    }
    return NULL;
}

/* --- one value -------------------------------------------------------------------------------- */

/* Bytes of a scalar with a fixed size, 0 for the others. */
static size_t fixed_size(pg_oid oid)
{
    switch (oid) {
    case PG_OID_BOOL:
        return 1;
    case PG_OID_INT2:
        return 2;
    case PG_OID_INT4:
        return 4;
    case PG_OID_INT8:
    case PG_OID_FLOAT8:
    case PG_OID_TIMESTAMPTZ:
        return 8;
    case PG_OID_UUID:
        return 16;
    case PG_OID_TEXT:
    case PG_OID_BYTEA:
    case PG_OID_JSONB:
    case 0:
        return 0;
    default:
        break;
    }
    const encoding *e = find_encoding(oid);
    return e ? e->wire_bytes : 0;
}

static const void *c_value(const encoding *e, const pg_value *value)
{
    return e->elsewhere ? (const void *)value->as.numrange : &value->as;
}

/* The types that most parameters have, before any table is looked through; false for the others. */
static inline bool plain_size(const pg_value *value, size_t *out)
{
    switch (value->oid) {
    case PG_OID_BOOL:
        *out = 1;
        return true;
    case PG_OID_INT2:
        *out = 2;
        return true;
    case PG_OID_INT4:
        *out = 4;
        return true;
    case PG_OID_INT8:
    case PG_OID_FLOAT8:
    case PG_OID_TIMESTAMPTZ:
        *out = 8;
        return true;
    case PG_OID_UUID:
        *out = 16;
        return true;
    case PG_OID_BYTEA:
        *out = value->as.bytes.len;
        return true;
    case PG_OID_JSONB:
        *out = 1 + value->as.text.len;
        return true;
    case PG_OID_TEXT:
    case 0:
        *out = value->as.text.len;
        return true;
    default:
        return false;
    }
}

static size_t scalar_size(const pg_value *value)
{
    size_t plain;
    if (plain_size(value, &plain))
        return plain;
    const encoding *e = find_encoding(value->oid);
    if (!e)
        return value->as.text.len;
    return e->wire_bytes ? e->wire_bytes : e->size(c_value(e, value));
}

static char *put_float8(char *at, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return pg_put64(at, bits);
}

/* Of those types; NULL for the others. */
static char *put_plain(const pg_value *value, char *at)
{
    switch (value->oid) {
    case PG_OID_BOOL:
        return pg_put8(at, value->as.boolean);
    case PG_OID_INT2:
        return pg_put16(at, (uint16_t)value->as.int2);
    case PG_OID_INT4:
        return pg_put32(at, (uint32_t)value->as.int4);
    case PG_OID_INT8:
        return pg_put64(at, (uint64_t)value->as.int8);
    case PG_OID_FLOAT8:
        return put_float8(at, value->as.float8);
    case PG_OID_TIMESTAMPTZ:
        return pg_put64(at, (uint64_t)value->as.instant.us);
    case PG_OID_UUID:
        return pg_put_bytes(at, value->as.uuid.bytes, sizeof value->as.uuid.bytes);
    case PG_OID_BYTEA:
        return pg_put_bytes(at, value->as.bytes.ptr, value->as.bytes.len);
    case PG_OID_JSONB:
        at = pg_put8(at, 1); /* the format's version */
        return pg_put_bytes(at, value->as.text.ptr, value->as.text.len);
    case PG_OID_TEXT:
    case 0:
        return pg_put_bytes(at, value->as.text.ptr, value->as.text.len);
    default:
        return NULL;
    }
}

static char *put_scalar(const pg_value *value, char *at)
{
    char *end = put_plain(value, at);
    if (end)
        return end;
    const encoding *e = find_encoding(value->oid);
    return e ? e->put(c_value(e, value), at)
             : pg_put_bytes(at, value->as.text.ptr, value->as.text.len);
}

/* --- lists ------------------------------------------------------------------------------------ */

static c_layout layout_of(pg_oid element)
{
    static const struct {
        pg_oid oid;
        c_layout c;
    } LAYOUTS[] = {
        { PG_OID_BOOL, C_LAYOUT(bool, bool) },
        { PG_OID_INT2, C_LAYOUT(int2, int16_t) },
        { PG_OID_INT4, C_LAYOUT(int4, int32_t) },
        { PG_OID_INT8, C_LAYOUT(int8, int64_t) },
        { PG_OID_FLOAT8, C_LAYOUT(float8, double) },
        { PG_OID_TEXT, C_LAYOUT(text, str) },
        { PG_OID_BYTEA, C_LAYOUT(bytea, bytea) },
        { PG_OID_TIMESTAMPTZ, C_LAYOUT(timestamptz, timestamptz) },
        { PG_OID_UUID, C_LAYOUT(uuid, uuid) },
        { PG_OID_JSONB, C_LAYOUT(jsonb, jsonb) },
    };
    for (size_t i = 0; i < ARRAY_LEN(LAYOUTS); i++) {
        if (LAYOUTS[i].oid == element)
            return LAYOUTS[i].c;
    }
    const encoding *e = find_encoding(element);
    invariant(e != NULL && e->c.bytes > 0);
    return e->c;
}

/* The item at `index` of a list, as a value of its own. Text without a pointer is NULL. */
static pg_value list_item(const pg_value *list, c_layout c, pg_oid element, size_t index)
{
    pg_value v = { .oid = element };
    const char *item = list->as.list.items;
    item += index * (list->of_optional ? c.optional_bytes : c.bytes);
    if (list->of_optional) {
        pg_optional head;
        memcpy(&head, item, sizeof head);
        v.is_null = !head.has;
        item += c.offset;
    }
    if (element == PG_OID_NUMRANGE) {
        v.as.numrange = (const void *)item; /* too large to be copied */
    } else if (!v.is_null) {
        invariant(c.bytes <= sizeof v.as);
        memcpy(&v.as, item, c.bytes);
    }
    if (element == PG_OID_TEXT || element == PG_OID_JSONB)
        v.is_null = v.is_null || !v.as.text.ptr;
    return v;
}

static size_t list_size(const pg_value *list, pg_oid element)
{
    const size_t count = list->as.list.count;
    if (count == 0)
        return ARRAY_EMPTY_BYTES;
    if (count > PG_MESSAGE_BYTES_MAX / 4)
        return SIZE_MAX;
    const size_t fixed = fixed_size(element);
    if (fixed && !list->of_optional)
        return ARRAY_HEADER_BYTES + count * (4 + fixed);
    const c_layout c = layout_of(element);
    size_t total = ARRAY_HEADER_BYTES;
    for (size_t i = 0; i < count; i++) {
        const pg_value item = list_item(list, c, element, i);
        total += 4 + (item.is_null ? 0 : scalar_size(&item));
        if (total > PG_MESSAGE_BYTES_MAX)
            return SIZE_MAX;
    }
    return total;
}

pg_value pg_value_item(const pg_value *list, size_t index)
{
    const pg_oid element = pg_type_element(list->oid);
    return list_item(list, layout_of(element), element, index);
}

size_t pg_value_size(const pg_value *value)
{
    if (value->is_null)
        return 0;
    size_t size;
    if (!plain_size(value, &size)) {
        const pg_oid element = pg_type_element(value->oid);
        if (value->written)
            size = value->as.text.len;
        else
            size = element ? list_size(value, element) : scalar_size(value);
    }
    return size > PG_MESSAGE_BYTES_MAX ? SIZE_MAX : size;
}

static char *put_list(const pg_value *list, pg_oid element, char *at)
{
    const size_t count = list->as.list.count;
    at = pg_put32(at, count > 0); /* dimensions */
    char *has_null = at;
    at = pg_put32(at, 0);
    at = pg_put32(at, element);
    if (count == 0)
        return at;
    at = pg_put32(at, (uint32_t)count);
    at = pg_put32(at, 1); /* the lower bound */
    const c_layout c = layout_of(element);
    for (size_t i = 0; i < count; i++) {
        const pg_value item = list_item(list, c, element, i);
        if (item.is_null) {
            pg_put32(has_null, 1);
            at = pg_put32(at, UINT32_MAX);
            continue;
        }
        at = pg_put32(at, (uint32_t)scalar_size(&item));
        at = put_scalar(&item, at);
    }
    return at;
}

char *pg_value_put(const pg_value *value, char *at)
{
    invariant(!value->is_null);
    char *end = put_plain(value, at);
    if (end)
        return end;
    if (value->written)
        return pg_put_bytes(at, value->as.text.ptr, value->as.text.len);
    const pg_oid element = pg_type_element(value->oid);
    return element ? put_list(value, element, at) : put_scalar(value, at);
}

pg_format pg_value_format(const pg_value *value)
{
    return value->oid == 0 || value->written == PG_WRITTEN_TEXT ? PG_TEXT : PG_BINARY;
}
