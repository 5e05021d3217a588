/* Parameters as text, by the writers that each type has. */
#include "value_text.h"

#include "text.h"
#include "value.h"

#include <string.h>

/* A C value of each of these types is what a pg_value holds. */
#define FORMAT(name, oid)                             \
    case oid: {                                       \
        name c_value;                                 \
        memcpy(&c_value, &value->as, sizeof c_value); \
        return name##_format(a, &c_value);            \
    }

static str range_text(arena *a, const pg_value *value)
{
    switch (value->oid) {
        FORMAT(pg_int4range, PG_OID_INT4RANGE)
        FORMAT(pg_int8range, PG_OID_INT8RANGE)
        FORMAT(pg_tsrange, PG_OID_TSRANGE)
        FORMAT(pg_tstzrange, PG_OID_TSTZRANGE)
        FORMAT(pg_daterange, PG_OID_DATERANGE)
        FORMAT(pg_int4multirange, PG_OID_INT4MULTIRANGE)
        FORMAT(pg_int8multirange, PG_OID_INT8MULTIRANGE)
        FORMAT(pg_nummultirange, PG_OID_NUMMULTIRANGE)
        FORMAT(pg_tsmultirange, PG_OID_TSMULTIRANGE)
        FORMAT(pg_tstzmultirange, PG_OID_TSTZMULTIRANGE)
        FORMAT(pg_datemultirange, PG_OID_DATEMULTIRANGE)
    case PG_OID_NUMRANGE:
        return pg_numrange_format(a, value->as.numrange);
    default:
        return STR_NONE;
    }
}

static str geometry_text(arena *a, const pg_value *value)
{
    switch (value->oid) {
        FORMAT(pg_point, PG_OID_POINT)
        FORMAT(pg_line, PG_OID_LINE)
        FORMAT(pg_lseg, PG_OID_LSEG)
        FORMAT(pg_box, PG_OID_BOX)
        FORMAT(pg_circle, PG_OID_CIRCLE)
        FORMAT(pg_path, PG_OID_PATH)
        FORMAT(pg_polygon, PG_OID_POLYGON)
    default:
        return range_text(a, value);
    }
}

/* Types of pg/. */
static str other_text(arena *a, const pg_value *value)
{
    switch (value->oid) {
        FORMAT(pg_numeric, PG_OID_NUMERIC)
        FORMAT(pg_date, PG_OID_DATE)
        FORMAT(pg_time, PG_OID_TIME)
        FORMAT(pg_timetz, PG_OID_TIMETZ)
        FORMAT(pg_timestamp, PG_OID_TIMESTAMP)
        FORMAT(pg_interval, PG_OID_INTERVAL)
        FORMAT(pg_inet, PG_OID_INET)
        FORMAT(pg_macaddr, PG_OID_MACADDR)
        FORMAT(pg_macaddr8, PG_OID_MACADDR8)
        FORMAT(pg_bits, PG_OID_VARBIT)
        FORMAT(pg_xid8, PG_OID_XID8)
        FORMAT(pg_lsn, PG_OID_LSN)
        FORMAT(pg_tid, PG_OID_TID)
    default:
        return geometry_text(a, value);
    }
}

/* The zone stands before the era: "0044-03-15 12:00:00+00 BC". */
static str instant_text(arena *a, timestamptz instant)
{
    const pg_timestamp utc = { instant.us };
    const str text = pg_timestamp_format(a, &utc);
    if (instant.us == TIMESTAMPTZ_INFINITY.us || instant.us == TIMESTAMPTZ_MINUS_INFINITY.us)
        return text;
    const size_t era = str_ends_with(text, STR(" BC")) ? 3 : 0;
    const str clock = str_slice(text, 0, text.len - era);
    return str_format(a, "%.*s+00%s", STR_ARG(clock), era ? " BC" : "");
}

static str bytes_text(arena *a, bytea bytes)
{
    static const char HEX[] = "0123456789abcdef";
    char *text = arena_alloc(a, 2 + 2 * bytes.len, 1);
    memcpy(text, "\\x", 2);
    for (size_t i = 0; i < bytes.len; i++) {
        text[2 + 2 * i] = HEX[bytes.ptr[i] >> 4];
        text[3 + 2 * i] = HEX[bytes.ptr[i] & 15];
    }
    return (str){ text, 2 + 2 * bytes.len };
}

static str scalar_text(arena *a, const pg_value *value)
{
    char room[FLOAT8_TEXT_MAX > UUID_TEXT_LEN ? FLOAT8_TEXT_MAX : UUID_TEXT_LEN];
    switch (value->oid) {
    case 0:
    case PG_OID_TEXT:
    case PG_OID_JSONB:
        return value->as.text;
    case PG_OID_BOOL:
        return value->as.boolean ? STR("t") : STR("f");
    case PG_OID_INT2:
        return str_copy(a, (str){ room, int64_format(room, value->as.int2) });
    case PG_OID_INT4:
        return str_copy(a, (str){ room, int64_format(room, value->as.int4) });
    case PG_OID_INT8:
        return str_copy(a, (str){ room, int64_format(room, value->as.int8) });
    case PG_OID_OID:
    case PG_OID_XID:
    case PG_OID_CID:
        return str_copy(a, (str){ room, uint64_format(room, (uint32_t)value->as.int4) });
    case PG_OID_FLOAT4:
        return str_copy(a, (str){ room, pg_float4_format(room, value->as.float4) });
    case PG_OID_FLOAT8:
        return str_copy(a, (str){ room, float8_format(room, value->as.float8) });
    case PG_OID_UUID:
        return str_copy(a, (str){ room, uuid_format(room, value->as.uuid) });
    case PG_OID_TIMESTAMPTZ:
        return instant_text(a, value->as.instant);
    case PG_OID_BYTEA:
        return bytes_text(a, value->as.bytes);
    default:
        return other_text(a, value);
    }
}

/* --- arrays ----------------------------------------------------------------------------------- */

static bool must_quote(str item, char separator)
{
    if (item.len == 0 || str_eq_nocase(item, STR("NULL")))
        return true;
    for (size_t i = 0; i < item.len; i++) {
        const char c = item.ptr[i];
        if (c == separator || (c != 0 && strchr("{}\"\\ \t\n\v\f\r", c)))
            return true;
    }
    return false;
}

void pg_array_put_item(buf *out, str item, char separator)
{
    if (!item.ptr) {
        buf_append(out, STR("NULL"));
        return;
    }
    if (!must_quote(item, separator)) {
        buf_append(out, item);
        return;
    }
    buf_append_char(out, '"');
    for (size_t i = 0; i < item.len; i++) {
        if (item.ptr[i] == '"' || item.ptr[i] == '\\')
            buf_append_char(out, '\\');
        buf_append_char(out, item.ptr[i]);
    }
    buf_append_char(out, '"');
}

/* An array's text on its way. */
typedef struct array_writer {
    buf out;
    char separator;
    uint32_t dimensions;
    size_t strides[PG_ARRAY_DIMENSIONS_MAX]; /* items in each brace of a dimension */
} array_writer;

static void put_bounds(array_writer *w, const pg_array *array)
{
    bool usual = true;
    for (uint32_t d = 0; d < array->dimensions; d++)
        usual = usual && array->sides[d].lower == 1;
    for (uint32_t d = 0; d < array->dimensions && !usual; d++) {
        const int64_t lower = array->sides[d].lower;
        buf_append_format(&w->out, "[%lld:%lld]", (long long)lower,
                          (long long)lower + array->sides[d].count - 1);
    }
    if (!usual)
        buf_append_char(&w->out, '=');
}

static void put_braced(array_writer *w, size_t index, str item)
{
    if (index > 0)
        buf_append_char(&w->out, w->separator);
    for (uint32_t d = 0; d < w->dimensions; d++) {
        if (index % w->strides[d] == 0)
            buf_append_char(&w->out, '{');
    }
    pg_array_put_item(&w->out, item, w->separator);
    for (uint32_t d = 0; d < w->dimensions; d++) {
        if ((index + 1) % w->strides[d] == 0)
            buf_append_char(&w->out, '}');
    }
}

static array_writer begin_array(arena *a, pg_oid oid, uint32_t dimensions)
{
    array_writer w = { .separator = oid == PG_OID_BOX ? ';' : ',', .dimensions = dimensions };
    buf_init_arena(&w.out, a, SIZE_MAX / 2);
    if (dimensions == 0)
        buf_append(&w.out, STR("{}"));
    return w;
}

static bool list_text(arena *a, const pg_value *list, str *out)
{
    const size_t count = list->as.list.count;
    array_writer w = begin_array(a, pg_type_element(list->oid), count > 0);
    w.strides[0] = count;
    for (size_t i = 0; i < count; i++) {
        const pg_value value = pg_value_item(list, i);
        str item = STR_NONE;
        if (!value.is_null)
            item = scalar_text(a, &value);
        if (!value.is_null && !item.ptr)
            return false;
        put_braced(&w, i, item);
    }
    *out = buf_str(&w.out);
    return true;
}

/* --- cells ------------------------------------------------------------------------------------ */

#define TEXT_BY(name, c_type)                                  \
    do {                                                       \
        c_type c_value;                                        \
        if (!error_is_ok(pg_decode_##name(a, cell, &c_value))) \
            return STR_NONE;                                   \
        const pg_value as_value = pg_param_##name(c_value);    \
        return scalar_text(a, &as_value);                      \
    } while (0)

/* A cell that is not NULL as text; STR_NONE for bytes that are no value, or of a type that is not
 * asked for in binary. */
static str cell_text(arena *a, const pg_cell *cell)
{
    if (cell->format == PG_TEXT)
        return cell->bytes;
    switch (cell->oid) {
    case PG_OID_BOOL:
        TEXT_BY(bool, bool);
    case PG_OID_INT2:
    case PG_OID_INT4:
    case PG_OID_INT8:
    case PG_OID_OID:
    case PG_OID_XID:
    case PG_OID_CID:
        TEXT_BY(int8, int64_t);
    case PG_OID_FLOAT4:
        TEXT_BY(float4, float);
    case PG_OID_FLOAT8:
        TEXT_BY(float8, double);
    case PG_OID_BYTEA:
        TEXT_BY(bytea, bytea);
    case PG_OID_TIMESTAMPTZ:
        TEXT_BY(timestamptz, timestamptz);
    case PG_OID_UUID:
        TEXT_BY(uuid, uuid);
    default:
        TEXT_BY(text, str);
    }
}

bool pg_array_text(arena *a, const pg_array *array, str *out)
{
    array_writer w = begin_array(a, array->element, array->dimensions);
    size_t stride = 1;
    for (uint32_t d = array->dimensions; d-- > 0;)
        w.strides[d] = stride *= array->sides[d].count;
    put_bounds(&w, array);
    for (size_t i = 0; i < array->count; i++) {
        const pg_cell *cell = &array->cells[i];
        const str item = cell->bytes.ptr ? cell_text(a, cell) : STR_NONE;
        if (cell->bytes.ptr && !item.ptr)
            return false;
        put_braced(&w, i, item);
    }
    *out = buf_str(&w.out);
    return true;
}

bool pg_value_text(arena *a, const pg_value *value, str *out)
{
    if (value->written == PG_WRITTEN_BINARY) {
        const pg_cell cell = { value->oid, PG_BINARY, value->as.text };
        pg_array array;
        return error_is_ok(pg_decode_pg_array(a, &cell, &array)) && pg_array_text(a, &array, out);
    }
    if (pg_type_element(value->oid) && !value->written)
        return list_text(a, value, out);
    const str text = value->written ? value->as.text : scalar_text(a, value);
    if (!text.ptr)
        return false;
    *out = text;
    return true;
}
