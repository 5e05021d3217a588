/* Any bytes as a column of any type, read by every reader. What was read is written as a parameter
 * that reads the same. The first byte picks the column's type, the second its format; the rest is
 * the column. */
#include "value.h"

#include "core/arena.h"
#include "tests/support/fuzz.h"

#include <string.h>

#define ARENA_BYTES ((size_t)64 << 20)
#define VALUE_BYTES 64

static const pg_oid OIDS[] = {
    PG_OID_BOOL,          PG_OID_BYTEA,
    PG_OID_NAME,          PG_OID_INT8,
    PG_OID_INT2,          PG_OID_INT4,
    PG_OID_TEXT,          PG_OID_OID,
    PG_OID_JSON,          PG_OID_FLOAT4,
    PG_OID_FLOAT8,        PG_OID_UNKNOWN,
    PG_OID_BPCHAR,        PG_OID_VARCHAR,
    PG_OID_TIMESTAMPTZ,   PG_OID_UUID,
    PG_OID_JSONB,         PG_OID_BOOL_ARRAY,
    PG_OID_BYTEA_ARRAY,   PG_OID_NAME_ARRAY,
    PG_OID_INT2_ARRAY,    PG_OID_INT4_ARRAY,
    PG_OID_TEXT_ARRAY,    PG_OID_BPCHAR_ARRAY,
    PG_OID_VARCHAR_ARRAY, PG_OID_INT8_ARRAY,
    PG_OID_FLOAT4_ARRAY,  PG_OID_FLOAT8_ARRAY,
    PG_OID_OID_ARRAY,     PG_OID_TIMESTAMPTZ_ARRAY,
    PG_OID_JSON_ARRAY,    PG_OID_UUID_ARRAY,
    PG_OID_JSONB_ARRAY,   PG_OID_NUMERIC,
    PG_OID_NUMERIC_ARRAY, 60000,
    PG_OID_DATE,          PG_OID_DATE_ARRAY,
    PG_OID_TIME,          PG_OID_TIME_ARRAY,
    PG_OID_TIMESTAMP,     PG_OID_TIMESTAMP_ARRAY,
    PG_OID_INTERVAL,      PG_OID_INTERVAL_ARRAY,
    PG_OID_INET,          PG_OID_INET_ARRAY,
    PG_OID_CIDR,          PG_OID_CIDR_ARRAY,
    PG_OID_MACADDR,       PG_OID_MACADDR_ARRAY,
    PG_OID_MACADDR8,      PG_OID_MACADDR8_ARRAY,
    PG_OID_TIMETZ,        PG_OID_TIMETZ_ARRAY,
    PG_OID_BIT,           PG_OID_BIT_ARRAY,
    PG_OID_VARBIT,        PG_OID_VARBIT_ARRAY,
    PG_OID_XID8,          PG_OID_XID8_ARRAY,
    PG_OID_LSN,           PG_OID_LSN_ARRAY,
    PG_OID_TID,           PG_OID_TID_ARRAY,
    PG_OID_MONEY,         PG_OID_MONEY_ARRAY,
    PG_OID_XID,           PG_OID_REGCLASS,
    PG_OID_XML,           PG_OID_JSONPATH,
    PG_OID_CHAR,          PG_OID_POINT,
    PG_OID_POINT_ARRAY,   PG_OID_LINE,
    PG_OID_LINE_ARRAY,    PG_OID_LSEG,
    PG_OID_LSEG_ARRAY,    PG_OID_BOX,
    PG_OID_BOX_ARRAY,     PG_OID_CIRCLE,
    PG_OID_CIRCLE_ARRAY,  PG_OID_PATH,
    PG_OID_PATH_ARRAY,    PG_OID_POLYGON,
    PG_OID_POLYGON_ARRAY, 0, /* text of no type */
    PG_OID_TSVECTOR,      PG_OID_TSVECTOR_ARRAY,
    PG_OID_TSQUERY,       PG_OID_TSQUERY_ARRAY,
};

#define READERS_OF(name) &shape_type_##name, &shape_type_opt_##name, &shape_type_##name##_list
static const shape_type *const READERS[] = {
    READERS_OF(bool), READERS_OF(int2),  READERS_OF(int4),        READERS_OF(int8),
    READERS_OF(text), READERS_OF(bytea), READERS_OF(timestamptz), READERS_OF(float8),
    READERS_OF(uuid), READERS_OF(jsonb),
};

static str encode(arena *a, const pg_value *value)
{
    if (value->is_null)
        return STR_NONE;
    const size_t size = pg_value_size(value);
    invariant(size != SIZE_MAX);
    char *room = arena_alloc(a, size, 1);
    invariant(pg_value_put(value, room) == room + size);
    return (str){ room, size };
}

static void read_as(arena *a, const pg_cell *cell, const shape_type *type)
{
    _Alignas(16) char member[VALUE_BYTES];
    _Alignas(16) char again[VALUE_BYTES];
    memset(member, 0x55, sizeof member);
    const error e = pg_decode_member(a, cell, type, member);
    if (!error_is_ok(e)) {
        invariant(error_is(e, &PG_TYPE_MISMATCH));
        for (size_t i = 0; i < sizeof member && type->arity == SHAPE_ONE; i++)
            invariant(member[i] == 0x55);
        return;
    }
    const pg_value value = pg_param_member(type, member);
    const str bytes = encode(a, &value);
    const pg_cell written = { value.oid, PG_BINARY, bytes };
    memset(again, 0x55, sizeof again);
    invariant(error_is_ok(pg_decode_member(a, &written, type, again)));
    const pg_value value_again = pg_param_member(type, again);
    const str bytes_again = encode(a, &value_again);
    invariant(str_eq(bytes, bytes_again) && !bytes.ptr == !bytes_again.ptr);
    if (cell->oid == value.oid && cell->format == PG_BINARY && type->arity != SHAPE_LIST)
        invariant(str_eq(bytes, cell->bytes)); /* a list may come with another lower bound */
}

/* What is no shape's field: each is read, written and read again, and that gives the same bytes. */
#define READ_AS(name)                                                                  \
    static void read_as_##name(arena *a, const pg_cell *cell)                          \
    {                                                                                  \
        name value;                                                                    \
        const error e = pg_decode_##name(a, cell, &value);                             \
        if (error_is_ok(e)) {                                                          \
            const pg_value as_value = pg_param(value);                                 \
            const str bytes = encode(a, &as_value);                                    \
            const pg_cell written = { as_value.oid, PG_BINARY, bytes };                \
            name again;                                                                \
            invariant(error_is_ok(pg_decode_##name(a, &written, &again)));             \
            const pg_value again_value = pg_param(again);                              \
            invariant(str_eq(bytes, encode(a, &again_value)));                         \
            const str text = name##_format(a, &value);                                 \
            const pg_cell textual = { cell->oid, PG_TEXT, text };                      \
            invariant(error_is_ok(pg_decode_##name(a, &textual, &again)));             \
            invariant(str_eq(text, name##_format(a, &again)));                         \
        }                                                                              \
        name##_list list;                                                              \
        if (error_is_ok(pg_decode_##name##_list(a, cell, &list))) {                    \
            const pg_value as_value = pg_param(list);                                  \
            const pg_cell written = { as_value.oid, PG_BINARY, encode(a, &as_value) }; \
            name##_list again;                                                         \
            invariant(error_is_ok(pg_decode_##name##_list(a, &written, &again)));      \
            invariant(again.count == list.count);                                      \
        }                                                                              \
        opt_##name##_list maybe;                                                       \
        if (error_is_ok(pg_decode_opt_##name##_list(a, cell, &maybe))) {               \
            const pg_value as_value = pg_param(maybe);                                 \
            const pg_cell written = { as_value.oid, PG_BINARY, encode(a, &as_value) }; \
            opt_##name##_list again;                                                   \
            invariant(error_is_ok(pg_decode_opt_##name##_list(a, &written, &again)));  \
            invariant(again.count == maybe.count);                                     \
            for (size_t i = 0; i < maybe.count; i++)                                   \
                invariant(again.items[i].has == maybe.items[i].has);                   \
        }                                                                              \
    }
READ_AS(pg_numeric)
READ_AS(pg_date)
READ_AS(pg_time)
READ_AS(pg_timestamp)
READ_AS(pg_interval)
READ_AS(pg_inet)
READ_AS(pg_macaddr)
READ_AS(pg_macaddr8)
READ_AS(pg_timetz)
READ_AS(pg_bits)
READ_AS(pg_xid8)
READ_AS(pg_lsn)
READ_AS(pg_tid)
READ_AS(pg_point)
READ_AS(pg_line)
READ_AS(pg_lseg)
READ_AS(pg_box)
READ_AS(pg_circle)
READ_AS(pg_path)
READ_AS(pg_polygon)

/* What is no parameter: each is read, written as text and read again, and that gives the same text.
 */
#define READ_TEXT_AS(name)                                                 \
    static void read_as_##name(arena *a, const pg_cell *cell)              \
    {                                                                      \
        name value;                                                        \
        name again;                                                        \
        if (error_is_ok(pg_decode_##name(a, cell, &value))) {              \
            const str text = name##_format(a, &value);                     \
            const pg_cell written = { cell->oid, PG_TEXT, text };          \
            invariant(error_is_ok(pg_decode_##name(a, &written, &again))); \
            invariant(str_eq(text, name##_format(a, &again)));             \
        }                                                                  \
        name##_list several;                                               \
        if (error_is_ok(pg_decode_##name##_list(a, cell, &several)))       \
            invariant(several.count == 0 || several.items != NULL);        \
    }
READ_TEXT_AS(pg_tsvector)
READ_TEXT_AS(pg_tsquery)

static void read_as_plain(arena *a, const pg_cell *cell)
{
    float narrow;
    double wide;
    pg_money money;
    if (error_is_ok(pg_decode_float4(a, cell, &narrow)))
        invariant(error_is_ok(pg_decode_float8(a, cell, &wide)));
    if (error_is_ok(pg_decode_pg_money(a, cell, &money))) {
        const pg_value value = pg_param(money);
        invariant(str_eq(encode(a, &value), cell->bytes));
    }
}

/* Any array is as many cells as its dimensions say. */
static void read_as_array(arena *a, const pg_cell *cell)
{
    pg_array array;
    if (!error_is_ok(pg_decode_pg_array(a, cell, &array)))
        return;
    invariant(array.dimensions <= PG_ARRAY_DIMENSIONS_MAX);
    size_t count = array.dimensions > 0;
    for (uint32_t i = 0; i < array.dimensions; i++)
        count *= array.sides[i].count;
    invariant(count == array.count);
    for (size_t i = 0; i < array.count; i++) {
        opt_text item;
        if (error_is_ok(pg_decode_opt_text(NULL, &array.cells[i], &item)) && item.has)
            str_hash(item.value, 0); /* its bytes are there */
    }
}

static void (*const OTHER_READERS[])(arena *a, const pg_cell *cell) = {
    read_as_array,        read_as_pg_numeric,  read_as_pg_date, read_as_pg_time,
    read_as_pg_timestamp, read_as_pg_interval, read_as_pg_inet, read_as_pg_macaddr,
    read_as_pg_macaddr8,  read_as_pg_timetz,   read_as_pg_bits, read_as_pg_xid8,
    read_as_pg_lsn,       read_as_pg_tid,      read_as_plain,   read_as_pg_tsvector,
    read_as_pg_tsquery,   read_as_pg_point,    read_as_pg_line, read_as_pg_lseg,
    read_as_pg_box,       read_as_pg_circle,   read_as_pg_path, read_as_pg_polygon,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    const str column = fuzz_text(data + 2, len - 2);
    const pg_cell cell = {
        .oid = OIDS[data[0] % ARRAY_LEN(OIDS)],
        .format = data[1] & 1 ? PG_BINARY : PG_TEXT,
        .bytes = data[1] & 2 ? STR_NONE : column,
    };
    for (size_t i = 0; i < ARRAY_LEN(READERS); i++) {
        arena a;
        arena_init(&a, ARENA_BYTES);
        read_as(&a, &cell, READERS[i]);
        arena_deinit(&a);
    }
    for (size_t i = 0; i < ARRAY_LEN(OTHER_READERS); i++) {
        arena a;
        arena_init(&a, ARENA_BYTES);
        OTHER_READERS[i](&a, &cell);
        arena_deinit(&a);
    }
    return 0;
}
