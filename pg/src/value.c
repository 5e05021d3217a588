/* From parameters to PostgreSQL's binary format. The size is known before anything is written, so
 * that a message is refused whole and written without a check.
 *
 * An array is a header (dimensions, a flag for NULLs, the element's type, then length and lower
 * bound of the one dimension), and each element behind its length. An empty one has no dimension.
 *
 * Invariant: pg_value_put writes exactly pg_value_size bytes. */
#include "value.h"

#include "big_endian.h"
#include "network.h"
#include "numeric.h"
#include "wire.h"

#define ARRAY_HEADER_BYTES 20
#define ARRAY_EMPTY_BYTES  12

/* Bytes of a scalar with a fixed size, 0 for the others. */
static size_t fixed_size(pg_oid oid)
{
    switch (oid) {
    case PG_OID_BOOL:
        return 1;
    case PG_OID_INT2:
        return 2;
    case PG_OID_INT4:
    case PG_OID_DATE:
        return 4;
    case PG_OID_INT8:
    case PG_OID_FLOAT8:
    case PG_OID_TIMESTAMPTZ:
    case PG_OID_TIMESTAMP:
    case PG_OID_TIME:
        return 8;
    case PG_OID_UUID:
    case PG_OID_INTERVAL:
        return 16;
    case PG_OID_MACADDR:
        return 6;
    case PG_OID_MACADDR8:
        return 8;
    default:
        return 0;
    }
}

/* The item at `index` of a list, as a value of its own. */
static pg_value list_item(const pg_value *list, pg_oid element, size_t index)
{
    pg_value v = { .oid = element };
    const void *items = list->as.list.items;
    switch (element) {
    case PG_OID_BOOL:
        v.as.boolean = ((const bool *)items)[index];
        break;
    case PG_OID_INT2:
        v.as.int2 = ((const int16_t *)items)[index];
        break;
    case PG_OID_INT4:
        v.as.int4 = ((const int32_t *)items)[index];
        break;
    case PG_OID_INT8:
        v.as.int8 = ((const int64_t *)items)[index];
        break;
    case PG_OID_FLOAT8:
        v.as.float8 = ((const double *)items)[index];
        break;
    case PG_OID_TIMESTAMPTZ:
        v.as.instant = ((const timestamptz *)items)[index];
        break;
    case PG_OID_UUID:
        v.as.uuid = ((const uuid *)items)[index];
        break;
    case PG_OID_TEXT:
        v.as.text = ((const str *)items)[index];
        break;
    case PG_OID_JSONB:
        v.as.text = ((const jsonb *)items)[index].text;
        break;
    case PG_OID_DATE:
        v.as.int4 = ((const pg_date *)items)[index].days;
        break;
    case PG_OID_TIME:
        v.as.int8 = ((const pg_time *)items)[index].us;
        break;
    case PG_OID_TIMESTAMP:
        v.as.int8 = ((const pg_timestamp *)items)[index].us;
        break;
    case PG_OID_INTERVAL:
        v.as.interval = ((const pg_interval *)items)[index];
        break;
    case PG_OID_INET:
        v.as.inet = ((const pg_inet *)items)[index];
        break;
    case PG_OID_MACADDR:
        v.as.macaddr = ((const pg_macaddr *)items)[index];
        break;
    case PG_OID_MACADDR8:
        v.as.macaddr8 = ((const pg_macaddr8 *)items)[index];
        break;
    case PG_OID_NUMERIC:
        v.as.numeric = ((const pg_numeric *)items)[index];
        break;
    case PG_OID_BYTEA:
        v.as.bytes = ((const bytea *)items)[index];
        break;
    default:
        unreachable();
    }
    return v;
}

static size_t scalar_size(const pg_value *value)
{
    const size_t fixed = fixed_size(value->oid);
    if (fixed)
        return fixed;
    if (value->oid == PG_OID_BYTEA)
        return value->as.bytes.len;
    if (value->oid == PG_OID_NUMERIC)
        return pg_numeric_size(&value->as.numeric);
    if (value->oid == PG_OID_INET)
        return pg_inet_size(&value->as.inet);
    return value->as.text.len + (value->oid == PG_OID_JSONB ? 1 : 0);
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
    case PG_OID_DATE:
        return pg_put32(at, (uint32_t)value->as.int4);
    case PG_OID_INT8:
    case PG_OID_TIME:
    case PG_OID_TIMESTAMP:
        return pg_put64(at, (uint64_t)value->as.int8);
    case PG_OID_FLOAT8:
        return put_float8(at, value->as.float8);
    case PG_OID_TIMESTAMPTZ:
        return pg_put64(at, (uint64_t)value->as.instant.us);
    case PG_OID_UUID:
        return pg_put_bytes(at, value->as.uuid.bytes, sizeof value->as.uuid.bytes);
    case PG_OID_BYTEA:
        return pg_put_bytes(at, value->as.bytes.ptr, value->as.bytes.len);
    case PG_OID_INTERVAL:
        at = pg_put64(at, (uint64_t)value->as.interval.us);
        at = pg_put32(at, (uint32_t)value->as.interval.days);
        return pg_put32(at, (uint32_t)value->as.interval.months);
    case PG_OID_INET:
        return pg_inet_put(&value->as.inet, at);
    case PG_OID_MACADDR:
        return pg_put_bytes(at, value->as.macaddr.bytes, sizeof value->as.macaddr.bytes);
    case PG_OID_MACADDR8:
        return pg_put_bytes(at, value->as.macaddr8.bytes, sizeof value->as.macaddr8.bytes);
    case PG_OID_NUMERIC:
        return pg_numeric_put(&value->as.numeric, at);
    case PG_OID_JSONB:
        at = pg_put8(at, 1); /* the format's version */
        return pg_put_bytes(at, value->as.text.ptr, value->as.text.len);
    default:
        return pg_put_bytes(at, value->as.text.ptr, value->as.text.len);
    }
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
