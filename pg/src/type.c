/* What is known of types, and from a column's bytes to C values: every type has one small reader
 * for bytes that are there, and decoder.c does what is the same for all.
 *
 * The types of core/scalar.h are asked for in binary, and so are numbers that have no other type
 * (oid, xid, cid) and money, whose text is not the same on every server. Those of pg/ (numeric,
 * date, …) come as text, so that a str reads what the server writes, and their decoders parse it,
 * unless the rows are asked for as values; they take the binary form too, in which they stand
 * inside of COPY and of other values. Both say exactly the same. */
#include "pg/type.h"

#include "decoder.h"
#include "json_cell.h"
#include "network.h"
#include "numeric.h"
#include "text.h"

#include <assert.h>

#define DAY_US UINT64_C(86400000000)
#define ZONE_S (16 * 3600) /* no zone is as far from UTC */

/* --- the catalog ------------------------------------------------------------------------------ */

typedef enum comes {
    COMES_BINARY = 0,
    COMES_EITHER, /* binary as values, else text */
    COMES_TEXT,
} comes;

typedef struct type_row {
    pg_oid oid;
    pg_oid array;
    const char *name;
    const char *array_name;
    comes comes;
} type_row;

static const type_row TYPES[] = {
    { PG_OID_INT8, PG_OID_INT8_ARRAY, "int8", "int8[]" },
    { PG_OID_TEXT, PG_OID_TEXT_ARRAY, "text", "text[]" },
    { PG_OID_INT4, PG_OID_INT4_ARRAY, "int4", "int4[]" },
    { PG_OID_BOOL, PG_OID_BOOL_ARRAY, "bool", "bool[]" },
    { PG_OID_TIMESTAMPTZ, PG_OID_TIMESTAMPTZ_ARRAY, "timestamptz", "timestamptz[]" },
    { PG_OID_UUID, PG_OID_UUID_ARRAY, "uuid", "uuid[]" },
    { PG_OID_JSONB, PG_OID_JSONB_ARRAY, "jsonb", "jsonb[]" },
    { PG_OID_FLOAT8, PG_OID_FLOAT8_ARRAY, "float8", "float8[]" },
    { PG_OID_INT2, PG_OID_INT2_ARRAY, "int2", "int2[]" },
    { PG_OID_BYTEA, PG_OID_BYTEA_ARRAY, "bytea", "bytea[]" },
    { PG_OID_VARCHAR, PG_OID_VARCHAR_ARRAY, "varchar", "varchar[]" },
    { PG_OID_BPCHAR, PG_OID_BPCHAR_ARRAY, "bpchar", "bpchar[]" },
    { PG_OID_JSON, PG_OID_JSON_ARRAY, "json", "json[]" },
    { PG_OID_FLOAT4, PG_OID_FLOAT4_ARRAY, "float4", "float4[]" },
    { PG_OID_NAME, PG_OID_NAME_ARRAY, "name", "name[]" },
    { PG_OID_OID, PG_OID_OID_ARRAY, "oid", "oid[]" },
    { PG_OID_UNKNOWN, 0, "unknown", NULL },
    { PG_OID_NUMERIC, PG_OID_NUMERIC_ARRAY, "numeric", "numeric[]", COMES_EITHER },
    { PG_OID_DATE, PG_OID_DATE_ARRAY, "date", "date[]", COMES_EITHER },
    { PG_OID_TIME, PG_OID_TIME_ARRAY, "time", "time[]", COMES_EITHER },
    { PG_OID_TIMESTAMP, PG_OID_TIMESTAMP_ARRAY, "timestamp", "timestamp[]", COMES_EITHER },
    { PG_OID_INTERVAL, PG_OID_INTERVAL_ARRAY, "interval", "interval[]", COMES_EITHER },
    { PG_OID_INET, PG_OID_INET_ARRAY, "inet", "inet[]", COMES_EITHER },
    { PG_OID_CIDR, PG_OID_CIDR_ARRAY, "cidr", "cidr[]", COMES_EITHER },
    { PG_OID_MACADDR, PG_OID_MACADDR_ARRAY, "macaddr", "macaddr[]", COMES_EITHER },
    { PG_OID_MACADDR8, PG_OID_MACADDR8_ARRAY, "macaddr8", "macaddr8[]", COMES_EITHER },
    { PG_OID_XID, PG_OID_XID_ARRAY, "xid", "xid[]" },
    { PG_OID_CID, PG_OID_CID_ARRAY, "cid", "cid[]" },
    { PG_OID_MONEY, PG_OID_MONEY_ARRAY, "money", "money[]" },
    { PG_OID_TIMETZ, PG_OID_TIMETZ_ARRAY, "timetz", "timetz[]", COMES_EITHER },
    { PG_OID_BIT, PG_OID_BIT_ARRAY, "bit", "bit[]", COMES_EITHER },
    { PG_OID_VARBIT, PG_OID_VARBIT_ARRAY, "varbit", "varbit[]", COMES_EITHER },
    { PG_OID_XID8, PG_OID_XID8_ARRAY, "xid8", "xid8[]", COMES_EITHER },
    { PG_OID_LSN, PG_OID_LSN_ARRAY, "pg_lsn", "pg_lsn[]", COMES_EITHER },
    { PG_OID_TID, PG_OID_TID_ARRAY, "tid", "tid[]", COMES_EITHER },
    { PG_OID_POINT, PG_OID_POINT_ARRAY, "point", "point[]", COMES_EITHER },
    { PG_OID_LINE, PG_OID_LINE_ARRAY, "line", "line[]", COMES_EITHER },
    { PG_OID_LSEG, PG_OID_LSEG_ARRAY, "lseg", "lseg[]", COMES_EITHER },
    { PG_OID_BOX, PG_OID_BOX_ARRAY, "box", "box[]", COMES_EITHER },
    { PG_OID_CIRCLE, PG_OID_CIRCLE_ARRAY, "circle", "circle[]", COMES_EITHER },
    { PG_OID_PATH, PG_OID_PATH_ARRAY, "path", "path[]", COMES_EITHER },
    { PG_OID_POLYGON, PG_OID_POLYGON_ARRAY, "polygon", "polygon[]", COMES_EITHER },
    { PG_OID_TSVECTOR, PG_OID_TSVECTOR_ARRAY, "tsvector", "tsvector[]", COMES_EITHER },
    { PG_OID_TSQUERY, PG_OID_TSQUERY_ARRAY, "tsquery", "tsquery[]", COMES_EITHER },
    { PG_OID_INT4RANGE, PG_OID_INT4RANGE_ARRAY, "int4range", "int4range[]", COMES_TEXT },
    { PG_OID_NUMRANGE, PG_OID_NUMRANGE_ARRAY, "numrange", "numrange[]", COMES_TEXT },
    { PG_OID_TSRANGE, PG_OID_TSRANGE_ARRAY, "tsrange", "tsrange[]", COMES_TEXT },
    { PG_OID_TSTZRANGE, PG_OID_TSTZRANGE_ARRAY, "tstzrange", "tstzrange[]", COMES_TEXT },
    { PG_OID_DATERANGE, PG_OID_DATERANGE_ARRAY, "daterange", "daterange[]", COMES_TEXT },
    { PG_OID_INT8RANGE, PG_OID_INT8RANGE_ARRAY, "int8range", "int8range[]", COMES_TEXT },
    { PG_OID_INT4MULTIRANGE, PG_OID_INT4MULTIRANGE_ARRAY, "int4multirange", "int4multirange[]",
      COMES_TEXT },
    { PG_OID_NUMMULTIRANGE, PG_OID_NUMMULTIRANGE_ARRAY, "nummultirange", "nummultirange[]",
      COMES_TEXT },
    { PG_OID_TSMULTIRANGE, PG_OID_TSMULTIRANGE_ARRAY, "tsmultirange", "tsmultirange[]",
      COMES_TEXT },
    { PG_OID_TSTZMULTIRANGE, PG_OID_TSTZMULTIRANGE_ARRAY, "tstzmultirange", "tstzmultirange[]",
      COMES_TEXT },
    { PG_OID_DATEMULTIRANGE, PG_OID_DATEMULTIRANGE_ARRAY, "datemultirange", "datemultirange[]",
      COMES_TEXT },
    { PG_OID_INT8MULTIRANGE, PG_OID_INT8MULTIRANGE_ARRAY, "int8multirange", "int8multirange[]",
      COMES_TEXT },
    { PG_OID_RECORD, PG_OID_RECORD_ARRAY, "record", "record[]", COMES_TEXT },
    { PG_OID_CHAR, PG_OID_CHAR_ARRAY, "\"char\"", "\"char\"[]", COMES_TEXT },
    { PG_OID_XML, PG_OID_XML_ARRAY, "xml", "xml[]", COMES_TEXT },
    { PG_OID_JSONPATH, PG_OID_JSONPATH_ARRAY, "jsonpath", "jsonpath[]", COMES_TEXT },
    { PG_OID_REGPROC, PG_OID_REGPROC_ARRAY, "regproc", "regproc[]", COMES_TEXT },
    { PG_OID_REGPROCEDURE, PG_OID_REGPROCEDURE_ARRAY, "regprocedure", "regprocedure[]",
      COMES_TEXT },
    { PG_OID_REGOPER, PG_OID_REGOPER_ARRAY, "regoper", "regoper[]", COMES_TEXT },
    { PG_OID_REGOPERATOR, PG_OID_REGOPERATOR_ARRAY, "regoperator", "regoperator[]", COMES_TEXT },
    { PG_OID_REGCLASS, PG_OID_REGCLASS_ARRAY, "regclass", "regclass[]", COMES_TEXT },
    { PG_OID_REGTYPE, PG_OID_REGTYPE_ARRAY, "regtype", "regtype[]", COMES_TEXT },
    { PG_OID_REGROLE, PG_OID_REGROLE_ARRAY, "regrole", "regrole[]", COMES_TEXT },
    { PG_OID_REGNAMESPACE, PG_OID_REGNAMESPACE_ARRAY, "regnamespace", "regnamespace[]",
      COMES_TEXT },
    { PG_OID_REGCONFIG, PG_OID_REGCONFIG_ARRAY, "regconfig", "regconfig[]", COMES_TEXT },
    { PG_OID_REGDICTIONARY, PG_OID_REGDICTIONARY_ARRAY, "regdictionary", "regdictionary[]",
      COMES_TEXT },
    { PG_OID_REGCOLLATION, PG_OID_REGCOLLATION_ARRAY, "regcollation", "regcollation[]",
      COMES_TEXT },
    { PG_OID_OIDVECTOR, PG_OID_OIDVECTOR_ARRAY, "oidvector", "oidvector[]", COMES_TEXT },
    { PG_OID_INT2VECTOR, PG_OID_INT2VECTOR_ARRAY, "int2vector", "int2vector[]", COMES_TEXT },
    { PG_OID_VOID, 0, "void", NULL, COMES_TEXT },
};

/* The row in which `oid` is a type or its array; NULL when there is none. */
static const type_row *find_row(pg_oid oid)
{
    for (size_t i = 0; i < ARRAY_LEN(TYPES) && oid != 0; i++) {
        if (TYPES[i].oid == oid || TYPES[i].array == oid)
            return &TYPES[i];
    }
    return NULL;
}

pg_format pg_type_format(pg_oid oid)
{
    return pg_type_format_as(oid, PG_ROWS_BY_TYPE);
}

pg_format pg_type_format_as(pg_oid oid, pg_rows_as as)
{
    if (as == PG_ROWS_AS_JSON)
        return pg_json_type_of(oid).format;
    const type_row *row = as == PG_ROWS_AS_TEXT ? NULL : find_row(oid);
    const bool is_binary = row && (row->comes == COMES_BINARY ||
                                   (row->comes == COMES_EITHER && as == PG_ROWS_AS_VALUES));
    return is_binary ? PG_BINARY : PG_TEXT;
}

pg_oid pg_type_array(pg_oid element)
{
    const type_row *row = find_row(element);
    return row && row->oid == element ? row->array : 0;
}

bool pg_type_is_known(pg_oid oid)
{
    return find_row(oid) != NULL;
}

const char *pg_type_name(pg_oid oid)
{
    const type_row *row = find_row(oid);
    if (!row)
        return "type";
    return row->oid == oid ? row->name : row->array_name;
}

pg_oid pg_type_element(pg_oid oid)
{
    switch (oid) { /* asked for every parameter: the scalars stop here */
    case PG_OID_BOOL:
    case PG_OID_BYTEA:
    case PG_OID_INT8:
    case PG_OID_INT2:
    case PG_OID_INT4:
    case PG_OID_TEXT:
    case PG_OID_FLOAT8:
    case PG_OID_TIMESTAMPTZ:
    case PG_OID_UUID:
    case PG_OID_JSONB:
        return 0;
    default:
        break;
    }
    const type_row *row = find_row(oid);
    return row && row->array == oid ? row->oid : 0;
}

/* --- one value -------------------------------------------------------------------------------- */

/* Whether the cell is text of this type. */
static bool is_text_of(const pg_cell *cell, pg_oid oid)
{
    return cell->format == PG_TEXT && cell->oid == oid;
}

static bool read_bool(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (is_text_of(cell, PG_OID_BOOL))
        return pg_bool_parse(cell->bytes, out);
    if (!pg_cell_is(cell, PG_OID_BOOL, 1) || (unsigned char)cell->bytes.ptr[0] > 1)
        return false;
    *(bool *)out = cell->bytes.ptr[0] == 1;
    return true;
}

static bool read_int2(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT) {
        int64_t value;
        if (cell->oid != PG_OID_INT2 || !pg_int_parse(cell->bytes, INT16_MIN, INT16_MAX, &value))
            return false;
        *(int16_t *)out = (int16_t)value;
        return true;
    }
    if (!pg_cell_is(cell, PG_OID_INT2, 2))
        return false;
    *(int16_t *)out = (int16_t)pg_get16(cell->bytes.ptr);
    return true;
}

static bool read_int4(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT) {
        int64_t value;
        if ((cell->oid != PG_OID_INT4 && cell->oid != PG_OID_INT2) ||
            !pg_int_parse(cell->bytes, INT32_MIN, INT32_MAX, &value))
            return false;
        *(int32_t *)out = (int32_t)value;
        return true;
    }
    if (pg_cell_is(cell, PG_OID_INT4, 4))
        *(int32_t *)out = (int32_t)pg_get32(cell->bytes.ptr);
    else if (pg_cell_is(cell, PG_OID_INT2, 2))
        *(int32_t *)out = (int16_t)pg_get16(cell->bytes.ptr);
    else
        return false;
    return true;
}

/* Numbers without a sign; reg… are such in binary, names as text. */
static bool is_oid(pg_oid oid)
{
    switch (oid) {
    case PG_OID_OID:
    case PG_OID_XID:
    case PG_OID_CID:
    case PG_OID_REGPROC:
    case PG_OID_REGPROCEDURE:
    case PG_OID_REGOPER:
    case PG_OID_REGOPERATOR:
    case PG_OID_REGCLASS:
    case PG_OID_REGTYPE:
    case PG_OID_REGROLE:
    case PG_OID_REGNAMESPACE:
    case PG_OID_REGCONFIG:
    case PG_OID_REGDICTIONARY:
    case PG_OID_REGCOLLATION:
        return true;
    default:
        return false;
    }
}

/* The types that an int8 reads from text, in which those of reg… are names. */
static bool is_whole_number(pg_oid oid)
{
    switch (oid) {
    case PG_OID_INT8:
    case PG_OID_INT4:
    case PG_OID_INT2:
    case PG_OID_OID:
    case PG_OID_XID:
    case PG_OID_CID:
        return true;
    default:
        return false;
    }
}

static bool read_int8(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return is_whole_number(cell->oid) && str_to_int64(cell->bytes, out);
    if (pg_cell_is(cell, PG_OID_INT8, 8))
        *(int64_t *)out = (int64_t)pg_get64(cell->bytes.ptr);
    else if (pg_cell_is(cell, PG_OID_INT4, 4))
        *(int64_t *)out = (int32_t)pg_get32(cell->bytes.ptr);
    else if (pg_cell_is(cell, PG_OID_INT2, 2))
        *(int64_t *)out = (int16_t)pg_get16(cell->bytes.ptr);
    else if (is_oid(cell->oid) && pg_cell_is(cell, cell->oid, 4))
        *(int64_t *)out = pg_get32(cell->bytes.ptr);
    else
        return false;
    return true;
}

static bool read_float4(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (is_text_of(cell, PG_OID_FLOAT4))
        return pg_float4_parse(cell->bytes, out);
    if (!pg_cell_is(cell, PG_OID_FLOAT4, 4))
        return false;
    const uint32_t bits = pg_get32(cell->bytes.ptr);
    memcpy(out, &bits, sizeof bits);
    return true;
}

static bool read_float8(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (is_text_of(cell, PG_OID_FLOAT8))
        return pg_float8_parse(cell->bytes, out);
    if (pg_cell_is(cell, PG_OID_FLOAT8, 8)) {
        const uint64_t bits = pg_get64(cell->bytes.ptr);
        memcpy(out, &bits, sizeof bits);
        return true;
    }
    float narrow;
    if (!read_float4(a, cell, &narrow))
        return false;
    *(double *)out = (double)narrow;
    return true;
}

static bool is_text(pg_oid oid)
{
    switch (oid) {
    case PG_OID_TEXT:
    case PG_OID_VARCHAR:
    case PG_OID_BPCHAR:
    case PG_OID_NAME:
    case PG_OID_JSON:
    case PG_OID_XML:
    case PG_OID_UNKNOWN:
        return true;
    default:
        return false;
    }
}

/* The text behind the version of a binary format: that of jsonb, and of jsonpath. */
static bool read_versioned(const pg_cell *cell, pg_oid oid, str *out)
{
    if (cell->oid != oid || cell->format != PG_BINARY || cell->bytes.len < 1 ||
        cell->bytes.ptr[0] != 1)
        return false;
    *out = str_slice(cell->bytes, 1, cell->bytes.len);
    return true;
}

static bool read_text(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format != PG_TEXT && !is_text(cell->oid))
        return read_versioned(cell, cell->oid == PG_OID_JSONPATH ? PG_OID_JSONPATH : PG_OID_JSONB,
                              out);
    *(str *)out = cell->bytes;
    return true;
}

static bool read_bytea(arena *a, const pg_cell *cell, void *out)
{
    if (is_text_of(cell, PG_OID_BYTEA))
        return pg_bytea_parse(a, cell->bytes, out);
    if (cell->oid != PG_OID_BYTEA || cell->format != PG_BINARY)
        return false;
    *(bytea *)out = (bytea){ (const uint8_t *)cell->bytes.ptr, cell->bytes.len };
    return true;
}

static bool read_timestamptz(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (is_text_of(cell, PG_OID_TIMESTAMPTZ))
        return pg_timestamptz_parse(cell->bytes, out);
    if (!pg_cell_is(cell, PG_OID_TIMESTAMPTZ, 8))
        return false;
    *(timestamptz *)out = (timestamptz){ (int64_t)pg_get64(cell->bytes.ptr) };
    return true;
}

static bool read_uuid(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (is_text_of(cell, PG_OID_UUID))
        return uuid_parse(cell->bytes, out);
    if (!pg_cell_is(cell, PG_OID_UUID, 16))
        return false;
    memcpy(((uuid *)out)->bytes, cell->bytes.ptr, 16);
    return true;
}

static bool read_jsonb(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    jsonb *json = out;
    if (cell->oid != PG_OID_JSON && !is_text_of(cell, PG_OID_JSONB))
        return read_versioned(cell, PG_OID_JSONB, &json->text);
    json->text = cell->bytes;
    return true;
}

static bool read_pg_numeric(arena *a, const pg_cell *cell, void *out)
{
    if (cell->oid != PG_OID_NUMERIC)
        return false;
    return cell->format == PG_TEXT ? pg_numeric_parse(a, cell->bytes, out)
                                   : pg_numeric_read(a, cell->bytes, out);
}

static bool read_pg_date(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return cell->oid == PG_OID_DATE && pg_date_parse(cell->bytes, out);
    if (!pg_cell_is(cell, PG_OID_DATE, 4))
        return false;
    *(pg_date *)out = (pg_date){ (int32_t)pg_get32(cell->bytes.ptr) };
    return true;
}

static bool read_pg_time(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return cell->oid == PG_OID_TIME && pg_time_parse(cell->bytes, out);
    if (!pg_cell_is(cell, PG_OID_TIME, 8) || pg_get64(cell->bytes.ptr) > DAY_US)
        return false;
    *(pg_time *)out = (pg_time){ (int64_t)pg_get64(cell->bytes.ptr) };
    return true;
}

static bool read_pg_timetz(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return cell->oid == PG_OID_TIMETZ && pg_timetz_parse(cell->bytes, out);
    if (!pg_cell_is(cell, PG_OID_TIMETZ, 12) || pg_get64(cell->bytes.ptr) > DAY_US)
        return false;
    const int32_t west_s = (int32_t)pg_get32(cell->bytes.ptr + 8);
    if (west_s <= -ZONE_S || west_s >= ZONE_S)
        return false;
    *(pg_timetz *)out = (pg_timetz){ (int64_t)pg_get64(cell->bytes.ptr), west_s };
    return true;
}

static bool read_pg_timestamp(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return cell->oid == PG_OID_TIMESTAMP && pg_timestamp_parse(cell->bytes, out);
    if (!pg_cell_is(cell, PG_OID_TIMESTAMP, 8))
        return false;
    *(pg_timestamp *)out = (pg_timestamp){ (int64_t)pg_get64(cell->bytes.ptr) };
    return true;
}

static bool read_pg_interval(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return cell->oid == PG_OID_INTERVAL && pg_interval_parse(cell->bytes, out);
    if (!pg_cell_is(cell, PG_OID_INTERVAL, 16))
        return false;
    const char *at = cell->bytes.ptr;
    *(pg_interval *)out = (pg_interval){ (int64_t)pg_get64(at), (int32_t)pg_get32(at + 8),
                                         (int32_t)pg_get32(at + 12) };
    return true;
}

static bool read_pg_inet(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    const bool cidr = cell->oid == PG_OID_CIDR;
    if (!cidr && cell->oid != PG_OID_INET)
        return false;
    if (cell->format == PG_BINARY)
        return pg_inet_read(cell->bytes, cidr, out);
    return cidr ? pg_inet_parse_cidr(cell->bytes, out) : pg_inet_parse(cell->bytes, out);
}

static bool read_pg_macaddr(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return cell->oid == PG_OID_MACADDR && pg_macaddr_parse(cell->bytes, out);
    if (!pg_cell_is(cell, PG_OID_MACADDR, 6))
        return false;
    memcpy(((pg_macaddr *)out)->bytes, cell->bytes.ptr, 6);
    return true;
}

static bool read_pg_macaddr8(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (cell->format == PG_TEXT)
        return cell->oid == PG_OID_MACADDR8 && pg_macaddr8_parse(cell->bytes, out);
    if (!pg_cell_is(cell, PG_OID_MACADDR8, 8))
        return false;
    memcpy(((pg_macaddr8 *)out)->bytes, cell->bytes.ptr, 8);
    return true;
}

static bool read_pg_money(arena *a, const pg_cell *cell, void *out)
{
    (void)a;
    if (!pg_cell_is(cell, PG_OID_MONEY, 8))
        return false;
    *(pg_money *)out = (pg_money){ (int64_t)pg_get64(cell->bytes.ptr) };
    return true;
}

/* --- the public decoders -----------------------------------------------------------------------
 */

PG_DECODERS(bool, bool, PG_OID_BOOL)
PG_DECODERS(int2, int16_t, PG_OID_INT2)
PG_DECODERS(int4, int32_t, PG_OID_INT4, PG_OID_INT2)
PG_DECODERS(int8, int64_t, PG_OID_INT8, PG_OID_INT4, PG_OID_INT2, PG_OID_OID, PG_OID_XID,
            PG_OID_CID)
PG_DECODERS(float4, float, PG_OID_FLOAT4)
PG_DECODERS(float8, double, PG_OID_FLOAT8, PG_OID_FLOAT4)
PG_DECODERS(text, str, PG_OID_TEXT, PG_OID_VARCHAR, PG_OID_BPCHAR, PG_OID_NAME, PG_OID_JSON,
            PG_OID_JSONB)
PG_DECODERS(bytea, bytea, PG_OID_BYTEA)
PG_DECODERS(timestamptz, timestamptz, PG_OID_TIMESTAMPTZ)
PG_DECODERS(uuid, uuid, PG_OID_UUID)
PG_DECODERS(jsonb, jsonb, PG_OID_JSONB, PG_OID_JSON)
PG_DECODERS(pg_numeric, pg_numeric, PG_OID_NUMERIC)
PG_DECODERS(pg_date, pg_date, PG_OID_DATE)
PG_DECODERS(pg_time, pg_time, PG_OID_TIME)
PG_DECODERS(pg_timetz, pg_timetz, PG_OID_TIMETZ)
PG_DECODERS(pg_timestamp, pg_timestamp, PG_OID_TIMESTAMP)
PG_DECODERS(pg_interval, pg_interval, PG_OID_INTERVAL)
PG_DECODERS(pg_inet, pg_inet, PG_OID_INET, PG_OID_CIDR)
PG_DECODERS(pg_macaddr, pg_macaddr, PG_OID_MACADDR)
PG_DECODERS(pg_macaddr8, pg_macaddr8, PG_OID_MACADDR8)
PG_DECODERS(pg_money, pg_money, PG_OID_MONEY)

/* --- shapes ----------------------------------------------------------------------------------- */

typedef struct shape_row {
    pg_oid oid;
    pg_oid array;
    const pg_decoder *decoder;
} shape_row;

static const shape_row *row_of_shape(shape_kind kind)
{
    static const shape_row ROWS[] = {
        /* in the order of shape_kind, from SHAPE_BOOL */
        { PG_OID_BOOL, PG_OID_BOOL_ARRAY, &bool_decoder },
        { PG_OID_INT2, PG_OID_INT2_ARRAY, &int2_decoder },
        { PG_OID_INT4, PG_OID_INT4_ARRAY, &int4_decoder },
        { PG_OID_INT8, PG_OID_INT8_ARRAY, &int8_decoder },
        { PG_OID_FLOAT8, PG_OID_FLOAT8_ARRAY, &float8_decoder },
        { PG_OID_TEXT, PG_OID_TEXT_ARRAY, &text_decoder },
        { PG_OID_BYTEA, PG_OID_BYTEA_ARRAY, &bytea_decoder },
        { PG_OID_TIMESTAMPTZ, PG_OID_TIMESTAMPTZ_ARRAY, &timestamptz_decoder },
        { PG_OID_UUID, PG_OID_UUID_ARRAY, &uuid_decoder },
        { PG_OID_JSONB, PG_OID_JSONB_ARRAY, &jsonb_decoder },
    };
    static_assert(ARRAY_LEN(ROWS) == SHAPE_JSONB - SHAPE_BOOL + 1, "a row for every scalar");
    invariant(kind >= SHAPE_BOOL && kind <= SHAPE_JSONB);
    return &ROWS[kind - SHAPE_BOOL];
}

pg_oid pg_type_of_shape(const shape_type *type)
{
    if (type->kind == SHAPE_STRUCT)
        return 0;
    const shape_row *row = row_of_shape(type->kind);
    return type->arity == SHAPE_LIST ? row->array : row->oid;
}

/* What X_list begins with, whatever X is. */
typedef struct list_head {
    void *items;
    size_t count;
} list_head;

static_assert(offsetof(opt_uuid, has) == offsetof(pg_optional, has) &&
                  offsetof(opt_uuid, is_null) == offsetof(pg_optional, is_null) &&
                  offsetof(uuid_list, items) == offsetof(list_head, items) &&
                  offsetof(uuid_list, count) == offsetof(list_head, count),
              "members are read through these heads");

static pg_value param_scalar(shape_kind kind, const void *at)
{
    switch (kind) {
    case SHAPE_BOOL:
        return pg_param_bool(*(const bool *)at);
    case SHAPE_INT2:
        return pg_param_int2(*(const int16_t *)at);
    case SHAPE_INT4:
        return pg_param_int4(*(const int32_t *)at);
    case SHAPE_INT8:
        return pg_param_int8(*(const int64_t *)at);
    case SHAPE_FLOAT8:
        return pg_param_float8(*(const double *)at);
    case SHAPE_TEXT:
        return pg_param_text(*(const str *)at);
    case SHAPE_BYTEA:
        return pg_param_bytea(*(const bytea *)at);
    case SHAPE_TIMESTAMPTZ:
        return pg_param_timestamptz(*(const timestamptz *)at);
    case SHAPE_UUID:
        return pg_param_uuid(*(const uuid *)at);
    case SHAPE_JSONB:
        return pg_param_jsonb(*(const jsonb *)at);
    case SHAPE_STRUCT:
        break;
    }
    unreachable();
}

pg_value pg_param_member(const shape_type *type, const void *member)
{
    const shape_row *row = row_of_shape(type->kind);
    if (type->arity == SHAPE_LIST) {
        list_head head;
        memcpy(&head, member, sizeof head);
        return (pg_value){ .oid = row->array, .as.list = { head.items, head.count } };
    }
    if (type->arity == SHAPE_OPTIONAL) {
        pg_optional head;
        memcpy(&head, member, sizeof head);
        if (!head.has)
            return pg_param_null(row->oid);
    }
    return param_scalar(type->kind, (const char *)member + type->value_offset);
}

error pg_decode_member(arena *a, const pg_cell *cell, const shape_type *type, void *member)
{
    const pg_decoder *d = row_of_shape(type->kind)->decoder;
    if (type->arity == SHAPE_LIST) {
        list_head head;
        TRY(pg_decode_items(d, a, cell, false, &head.items, &head.count));
        memcpy(member, &head, sizeof head);
        return OK;
    }
    if (type->arity == SHAPE_ONE)
        return pg_decode_one(d, a, cell, member);
    pg_optional head = { .has = cell->bytes.ptr != NULL, .is_null = cell->bytes.ptr == NULL };
    if (head.has)
        TRY(pg_decode_one(d, a, cell, (char *)member + type->value_offset));
    memcpy(member, &head, sizeof head);
    return OK;
}
