/* From parameters to PostgreSQL's binary format. The size is known before anything is written, so
 * that a message is refused whole and written without a check.
 *
 * An array is a header (dimensions, a flag for NULLs, the element's type, then length and lower
 * bound of the one dimension), and each element behind its length. An empty one has no dimension.
 *
 * Invariant: pg_value_put writes exactly pg_value_size bytes. */
#include "value.h"

#include "big_endian.h"
#include "bits.h"
#include "geometry.h"
#include "network.h"
#include "numeric.h"
#include "wire.h"

#define ARRAY_HEADER_BYTES 20
#define ARRAY_EMPTY_BYTES  12

/* --- types of pg/ ----------------------------------------------------------------------------- */

/* How a type is written that stands in no switch below. `value` points to its C value, which a
 * pg_value and a list hold alike. */
typedef struct encoding {
    pg_oid oid;
    uint32_t c_bytes;
    uint32_t wire_bytes;               /* 0: it varies */
    size_t (*size)(const void *value); /* when it varies */
    char *(*put)(const void *value, char *at);
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

/* NULL for text, and for what is written like it. */
static const encoding *find_encoding(pg_oid oid)
{
    static const encoding ENCODINGS[] = {
        { PG_OID_NUMERIC, sizeof(pg_numeric), 0, numeric_size, put_numeric },
        { PG_OID_DATE, sizeof(pg_date), 4, NULL, put_four },
        { PG_OID_TIMESTAMP, sizeof(pg_timestamp), 8, NULL, put_eight },
        { PG_OID_TIME, sizeof(pg_time), 8, NULL, put_eight },
        { PG_OID_INTERVAL, sizeof(pg_interval), 16, NULL, put_interval },
        { PG_OID_FLOAT4, sizeof(float), 4, NULL, put_four },
        { PG_OID_INET, sizeof(pg_inet), 0, inet_size, put_inet },
        { PG_OID_MACADDR, sizeof(pg_macaddr), 6, NULL, put_macaddr },
        { PG_OID_MACADDR8, sizeof(pg_macaddr8), 8, NULL, put_macaddr8 },
        { PG_OID_TIMETZ, sizeof(pg_timetz), 12, NULL, put_timetz },
        { PG_OID_VARBIT, sizeof(pg_bits), 0, bits_size, put_bits },
        { PG_OID_MONEY, sizeof(pg_money), 8, NULL, put_eight },
        { PG_OID_XID8, sizeof(pg_xid8), 8, NULL, put_eight },
        { PG_OID_LSN, sizeof(pg_lsn), 8, NULL, put_eight },
        { PG_OID_TID, sizeof(pg_tid), 6, NULL, put_tid },
        { PG_OID_POINT, sizeof(pg_point), 16, NULL, put_two_eights },
        { PG_OID_LINE, sizeof(pg_line), 24, NULL, put_three_eights },
        { PG_OID_LSEG, sizeof(pg_lseg), 32, NULL, put_four_eights },
        { PG_OID_BOX, sizeof(pg_box), 32, NULL, put_four_eights },
        { PG_OID_CIRCLE, sizeof(pg_circle), 24, NULL, put_three_eights },
        { PG_OID_PATH, sizeof(pg_path), 0, path_size, put_path },
        { PG_OID_POLYGON, sizeof(pg_polygon), 0, polygon_size, put_polygon },
        { PG_OID_OID, sizeof(uint32_t), 4, NULL, put_four },
        { PG_OID_XID, sizeof(uint32_t), 4, NULL, put_four },
        { PG_OID_CID, sizeof(uint32_t), 4, NULL, put_four },
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

static size_t scalar_size(const pg_value *value)
{
    const size_t fixed = fixed_size(value->oid);
    if (fixed)
        return fixed;
    switch (value->oid) {
    case PG_OID_BYTEA:
        return value->as.bytes.len;
    case PG_OID_JSONB:
        return 1 + value->as.text.len;
    case PG_OID_TEXT:
    case 0:
        return value->as.text.len;
    default:
        break;
    }
    const encoding *e = find_encoding(value->oid);
    return e ? e->size(&value->as) : value->as.text.len;
}

static char *put_float8(char *at, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return pg_put64(at, bits);
}

static char *put_scalar(const pg_value *value, char *at)
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
        break;
    }
    const encoding *e = find_encoding(value->oid);
    return e ? e->put(&value->as, at) : pg_put_bytes(at, value->as.text.ptr, value->as.text.len);
}

/* --- lists ------------------------------------------------------------------------------------ */

/* The item at `index` of a list, as a value of its own. */
static pg_value list_item(const pg_value *list, pg_oid element, size_t index)
{
    pg_value v = { .oid = element };
    const void *items = list->as.list.items;
    switch (element) {
    case PG_OID_BOOL:
        v.as.boolean = ((const bool *)items)[index];
        return v;
    case PG_OID_INT2:
        v.as.int2 = ((const int16_t *)items)[index];
        return v;
    case PG_OID_INT4:
        v.as.int4 = ((const int32_t *)items)[index];
        return v;
    case PG_OID_INT8:
        v.as.int8 = ((const int64_t *)items)[index];
        return v;
    case PG_OID_FLOAT8:
        v.as.float8 = ((const double *)items)[index];
        return v;
    case PG_OID_TIMESTAMPTZ:
        v.as.instant = ((const timestamptz *)items)[index];
        return v;
    case PG_OID_UUID:
        v.as.uuid = ((const uuid *)items)[index];
        return v;
    case PG_OID_TEXT:
        v.as.text = ((const str *)items)[index];
        return v;
    case PG_OID_JSONB:
        v.as.text = ((const jsonb *)items)[index].text;
        return v;
    case PG_OID_BYTEA:
        v.as.bytes = ((const bytea *)items)[index];
        return v;
    default:
        break;
    }
    const encoding *e = find_encoding(element);
    invariant(e != NULL && e->c_bytes <= sizeof v.as);
    memcpy(&v.as, (const char *)items + index * e->c_bytes, e->c_bytes);
    return v;
}

/* Text without a pointer is NULL. */
static bool item_is_null(const pg_value *item)
{
    return (item->oid == PG_OID_TEXT || item->oid == PG_OID_JSONB) && !item->as.text.ptr;
}

static size_t list_size(const pg_value *list, pg_oid element)
{
    const size_t count = list->as.list.count;
    if (count == 0)
        return ARRAY_EMPTY_BYTES;
    if (count > PG_MESSAGE_BYTES_MAX / 4)
        return SIZE_MAX;
    const size_t fixed = fixed_size(element);
    if (fixed)
        return ARRAY_HEADER_BYTES + count * (4 + fixed);
    size_t total = ARRAY_HEADER_BYTES;
    for (size_t i = 0; i < count; i++) {
        const pg_value item = list_item(list, element, i);
        total += 4 + (item_is_null(&item) ? 0 : scalar_size(&item));
        if (total > PG_MESSAGE_BYTES_MAX)
            return SIZE_MAX;
    }
    return total;
}

size_t pg_value_size(const pg_value *value)
{
    if (value->is_null)
        return 0;
    const pg_oid element = pg_type_element(value->oid);
    const size_t size = element ? list_size(value, element) : scalar_size(value);
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
    for (size_t i = 0; i < count; i++) {
        const pg_value item = list_item(list, element, i);
        if (item_is_null(&item)) {
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
    const pg_oid element = pg_type_element(value->oid);
    return element ? put_list(value, element, at) : put_scalar(value, at);
}

pg_format pg_value_format(const pg_value *value)
{
    return value->oid == 0 ? PG_TEXT : PG_BINARY;
}
