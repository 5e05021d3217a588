/* Values between C and PostgreSQL: what a parameter is, and how a column's bytes become a C value.
 *
 *   int64_t id; str email; opt_timestamptz seen;
 *   TRY(pg_decode_int8(NULL, &cell, &id));
 *
 * Both directions use PostgreSQL's binary format. The C types are those of core/scalar.h, under
 * PostgreSQL's own names; a decoder accepts every column type that fits its C type without loss.
 *
 * A mismatch between a column and its reader is PG_TYPE_MISMATCH: the program's fault, but found in
 * what a server sent, and so never an invariant. */
#ifndef PG_TYPE_H
#define PG_TYPE_H

#include "core/arena.h"
#include "core/scalar.h"
#include "core/shape.h"
#include "pg/bits.h"
#include "pg/date.h"
#include "pg/error.h"
#include "pg/geometry.h"
#include "pg/hstore.h"
#include "pg/identifier.h"
#include "pg/network.h"
#include "pg/numeric.h"
#include "pg/range.h"
#include "pg/textsearch.h"
#include "pg/vector.h"

/* A type's number in the server's catalog. */
typedef uint32_t pg_oid;

/* PostgreSQL's real. */
SCALAR_OPTIONAL(float4, float);
SCALAR_LIST(float4, float);

#define PG_OID_BOOL          16
#define PG_OID_BYTEA         17
#define PG_OID_CHAR          18
#define PG_OID_NAME          19
#define PG_OID_INT8          20
#define PG_OID_INT2          21
#define PG_OID_INT2VECTOR    22
#define PG_OID_INT4          23
#define PG_OID_REGPROC       24
#define PG_OID_TEXT          25
#define PG_OID_OID           26
#define PG_OID_TID           27
#define PG_OID_XID           28
#define PG_OID_CID           29
#define PG_OID_OIDVECTOR     30
#define PG_OID_JSON          114
#define PG_OID_XML           142
#define PG_OID_POINT         600
#define PG_OID_LSEG          601
#define PG_OID_PATH          602
#define PG_OID_BOX           603
#define PG_OID_POLYGON       604
#define PG_OID_LINE          628
#define PG_OID_CIDR          650
#define PG_OID_FLOAT4        700
#define PG_OID_FLOAT8        701
#define PG_OID_UNKNOWN       705
#define PG_OID_CIRCLE        718
#define PG_OID_MACADDR8      774
#define PG_OID_MONEY         790
#define PG_OID_MACADDR       829
#define PG_OID_INET          869
#define PG_OID_BPCHAR        1042
#define PG_OID_VARCHAR       1043
#define PG_OID_DATE          1082
#define PG_OID_TIME          1083
#define PG_OID_TIMESTAMP     1114
#define PG_OID_TIMESTAMPTZ   1184
#define PG_OID_INTERVAL      1186
#define PG_OID_TIMETZ        1266
#define PG_OID_BIT           1560
#define PG_OID_VARBIT        1562
#define PG_OID_NUMERIC       1700
#define PG_OID_REGPROCEDURE  2202
#define PG_OID_REGOPER       2203
#define PG_OID_REGOPERATOR   2204
#define PG_OID_REGCLASS      2205
#define PG_OID_REGTYPE       2206
#define PG_OID_VOID          2278
#define PG_OID_UUID          2950
#define PG_OID_LSN           3220
#define PG_OID_TSVECTOR      3614
#define PG_OID_TSQUERY       3615
#define PG_OID_REGCONFIG     3734
#define PG_OID_REGDICTIONARY 3769
#define PG_OID_JSONB         3802
#define PG_OID_JSONPATH      4072
#define PG_OID_REGNAMESPACE  4089
#define PG_OID_REGROLE       4096
#define PG_OID_REGCOLLATION  4191
#define PG_OID_XID8          5069

#define PG_OID_XML_ARRAY           143
#define PG_OID_JSON_ARRAY          199
#define PG_OID_XID8_ARRAY          271
#define PG_OID_LINE_ARRAY          629
#define PG_OID_CIDR_ARRAY          651
#define PG_OID_CIRCLE_ARRAY        719
#define PG_OID_MACADDR8_ARRAY      775
#define PG_OID_MONEY_ARRAY         791
#define PG_OID_BOOL_ARRAY          1000
#define PG_OID_BYTEA_ARRAY         1001
#define PG_OID_CHAR_ARRAY          1002
#define PG_OID_NAME_ARRAY          1003
#define PG_OID_INT2_ARRAY          1005
#define PG_OID_INT2VECTOR_ARRAY    1006
#define PG_OID_INT4_ARRAY          1007
#define PG_OID_REGPROC_ARRAY       1008
#define PG_OID_TEXT_ARRAY          1009
#define PG_OID_TID_ARRAY           1010
#define PG_OID_XID_ARRAY           1011
#define PG_OID_CID_ARRAY           1012
#define PG_OID_OIDVECTOR_ARRAY     1013
#define PG_OID_BPCHAR_ARRAY        1014
#define PG_OID_VARCHAR_ARRAY       1015
#define PG_OID_INT8_ARRAY          1016
#define PG_OID_POINT_ARRAY         1017
#define PG_OID_LSEG_ARRAY          1018
#define PG_OID_PATH_ARRAY          1019
#define PG_OID_BOX_ARRAY           1020
#define PG_OID_FLOAT4_ARRAY        1021
#define PG_OID_FLOAT8_ARRAY        1022
#define PG_OID_POLYGON_ARRAY       1027
#define PG_OID_OID_ARRAY           1028
#define PG_OID_MACADDR_ARRAY       1040
#define PG_OID_INET_ARRAY          1041
#define PG_OID_TIMESTAMP_ARRAY     1115
#define PG_OID_DATE_ARRAY          1182
#define PG_OID_TIME_ARRAY          1183
#define PG_OID_TIMESTAMPTZ_ARRAY   1185
#define PG_OID_INTERVAL_ARRAY      1187
#define PG_OID_NUMERIC_ARRAY       1231
#define PG_OID_TIMETZ_ARRAY        1270
#define PG_OID_BIT_ARRAY           1561
#define PG_OID_VARBIT_ARRAY        1563
#define PG_OID_REGPROCEDURE_ARRAY  2207
#define PG_OID_REGOPER_ARRAY       2208
#define PG_OID_REGOPERATOR_ARRAY   2209
#define PG_OID_REGCLASS_ARRAY      2210
#define PG_OID_REGTYPE_ARRAY       2211
#define PG_OID_UUID_ARRAY          2951
#define PG_OID_LSN_ARRAY           3221
#define PG_OID_TSVECTOR_ARRAY      3643
#define PG_OID_TSQUERY_ARRAY       3645
#define PG_OID_REGCONFIG_ARRAY     3735
#define PG_OID_REGDICTIONARY_ARRAY 3770
#define PG_OID_JSONB_ARRAY         3807
#define PG_OID_JSONPATH_ARRAY      4073
#define PG_OID_REGNAMESPACE_ARRAY  4090
#define PG_OID_REGROLE_ARRAY       4097
#define PG_OID_REGCOLLATION_ARRAY  4192

/* Types made of others. */
#define PG_OID_RECORD               2249
#define PG_OID_RECORD_ARRAY         2287
#define PG_OID_INT4RANGE            3904
#define PG_OID_INT4RANGE_ARRAY      3905
#define PG_OID_INT4MULTIRANGE       4451
#define PG_OID_INT4MULTIRANGE_ARRAY 6150
#define PG_OID_NUMRANGE             3906
#define PG_OID_NUMRANGE_ARRAY       3907
#define PG_OID_NUMMULTIRANGE        4532
#define PG_OID_NUMMULTIRANGE_ARRAY  6151
#define PG_OID_TSRANGE              3908
#define PG_OID_TSRANGE_ARRAY        3909
#define PG_OID_TSMULTIRANGE         4533
#define PG_OID_TSMULTIRANGE_ARRAY   6152
#define PG_OID_TSTZRANGE            3910
#define PG_OID_TSTZRANGE_ARRAY      3911
#define PG_OID_TSTZMULTIRANGE       4534
#define PG_OID_TSTZMULTIRANGE_ARRAY 6153
#define PG_OID_DATERANGE            3912
#define PG_OID_DATERANGE_ARRAY      3913
#define PG_OID_DATEMULTIRANGE       4535
#define PG_OID_DATEMULTIRANGE_ARRAY 6155
#define PG_OID_INT8RANGE            3926
#define PG_OID_INT8RANGE_ARRAY      3927
#define PG_OID_INT8MULTIRANGE       4536
#define PG_OID_INT8MULTIRANGE_ARRAY 6157

typedef enum pg_format {
    PG_TEXT = 0,
    PG_BINARY = 1,
} pg_format;

/* What rows are for, which is what columns' formats follow from: see PG_AS_VALUES. */
typedef enum pg_rows_as {
    PG_ROWS_BY_TYPE = 0,
    PG_ROWS_AS_VALUES,
    PG_ROWS_AS_TEXT,
    PG_ROWS_AS_JSON,
} pg_rows_as;

/* The format to ask for in a column of this type, when nothing is said: binary for the types of
 * core/scalar.h, text for all others, which pg_decode_text then gives as the server writes them
 * (numeric, enums, …) and pg_decode_pg_numeric and its like parse. */
pg_format pg_type_format(pg_oid oid);
/* The same for rows that are for something: binary as values also for numbers, dates, times,
 * addresses, bits, shapes, lexemes and numbers of the system, and arrays of them; as JSON whichever
 * is next to it, see pg/json.h. */
pg_format pg_type_format_as(pg_oid oid, pg_rows_as as);
/* "int8", "text[]"; "type" for what is not in the list above. */
const char *pg_type_name(pg_oid oid);
/* The type of the array's elements, 0 for what is not an array in the list above. */
pg_oid pg_type_element(pg_oid oid);
/* The type that a shape's field is stored in; 0 for a nested shape. */
pg_oid pg_type_of_shape(const shape_type *type);

/* --- parameters ------------------------------------------------------------------------------- */

typedef enum pg_written {
    PG_WRITTEN_NOT = 0,
    PG_WRITTEN_TEXT,
    PG_WRITTEN_BINARY,
} pg_written;

/* One parameter of a statement. Made by pg_param; text, bytes, JSON and lists are views, which must
 * live until the statement was sent. */
typedef struct pg_value {
    pg_oid oid; /* 0: the server decides, and `text` is written as in a quoted literal */
    bool is_null;
    bool of_optional; /* a list whose items are opt_X */
    uint8_t written;  /* pg_written: whether `text` is already what is sent */
    union {
        bool boolean;
        int16_t int2;
        int32_t int4;
        int64_t int8;
        float float4;
        double float8;
        str text; /* also json and jsonb */
        bytea bytes;
        timestamptz instant;
        uuid uuid;
        pg_numeric numeric;
        pg_interval interval;
        pg_inet inet;
        pg_macaddr macaddr;
        pg_macaddr8 macaddr8;
        pg_timetz timetz;
        pg_bits bits;
        pg_tid tid;
        pg_point point;
        pg_line line;
        pg_lseg lseg;
        pg_box box;
        pg_circle circle;
        pg_path path;
        pg_polygon polygon;
        pg_int4range int4range;
        pg_tsrange tsrange;
        pg_tstzrange tstzrange;
        pg_daterange daterange;
        pg_int8range int8range;
        const pg_numrange *numrange;
        pg_int4multirange int4multirange;
        pg_nummultirange nummultirange;
        pg_tsmultirange tsmultirange;
        pg_tstzmultirange tstzmultirange;
        pg_datemultirange datemultirange;
        pg_int8multirange int8multirange;
        struct {
            const void *items; /* of the element's C type, or its opt_X */
            size_t count;
        } list;
    } as;
} pg_value;

/* The parameter that stands for a C value, by its type: bool, short, int, long, float, double, str,
 * bytea, timestamptz, uuid, jsonb, every type pg_X of pg/, their opt_X (NULL unless `has`),
 * and the arrays X_list and opt_X_list; a pg_value is handed on. Anything else, a char * or an
 * unsigned long say, does not compile. Mind that in C `a == b` and `!a` are ints: write (bool)(a ==
 * b). */
/* The four C types of a type of pg/, and what makes a parameter of each. */
#define PG_PARAM_OF_(name) \
    name:                  \
    pg_param_##name, opt_##name : pg_param_opt_##name, PG_PARAM_LISTS_OF_(name)
#define PG_PARAM_LISTS_OF_(name) \
    name##_list : pg_param_##name##_list, opt_##name##_list : pg_param_opt_##name##_list
/* The two of a type that goes as a literal. */
#define PG_PARAM_CELLS_OF_(name) \
    name:                        \
    pg_param_##name, opt_##name : pg_param_opt_##name
#define pg_param(value)                                                                            \
    _Generic(                                                                                      \
        (value), bool                                                                              \
        : pg_param_bool, signed char                                                               \
        : pg_param_int2, unsigned char                                                             \
        : pg_param_int2, short                                                                     \
        : pg_param_int2, unsigned short                                                            \
        : pg_param_int4, int                                                                       \
        : pg_param_int4, unsigned int                                                              \
        : pg_param_int8, long                                                                      \
        : pg_param_int8, long long                                                                 \
        : pg_param_int8, float                                                                     \
        : pg_param_float4, double                                                                  \
        : pg_param_float8, str                                                                     \
        : pg_param_text, bytea                                                                     \
        : pg_param_bytea, timestamptz                                                              \
        : pg_param_timestamptz, uuid                                                               \
        : pg_param_uuid, jsonb                                                                     \
        : pg_param_jsonb, opt_bool                                                                 \
        : pg_param_opt_bool, opt_int2                                                              \
        : pg_param_opt_int2, opt_int4                                                              \
        : pg_param_opt_int4, opt_int8                                                              \
        : pg_param_opt_int8, opt_float4                                                            \
        : pg_param_opt_float4, opt_float8                                                          \
        : pg_param_opt_float8, opt_text                                                            \
        : pg_param_opt_text, opt_bytea                                                             \
        : pg_param_opt_bytea, opt_timestamptz                                                      \
        : pg_param_opt_timestamptz, opt_uuid                                                       \
        : pg_param_opt_uuid, opt_jsonb                                                             \
        : pg_param_opt_jsonb, PG_PARAM_LISTS_OF_(bool), PG_PARAM_LISTS_OF_(int2),                  \
          PG_PARAM_LISTS_OF_(int4), PG_PARAM_LISTS_OF_(int8), PG_PARAM_LISTS_OF_(float4),          \
          PG_PARAM_LISTS_OF_(float8), PG_PARAM_LISTS_OF_(text), PG_PARAM_LISTS_OF_(bytea),         \
          PG_PARAM_LISTS_OF_(timestamptz), PG_PARAM_LISTS_OF_(uuid), PG_PARAM_LISTS_OF_(jsonb),    \
          PG_PARAM_OF_(pg_numeric), PG_PARAM_OF_(pg_date), PG_PARAM_OF_(pg_time),                  \
          PG_PARAM_OF_(pg_timestamp), PG_PARAM_OF_(pg_interval), PG_PARAM_OF_(pg_inet),            \
          PG_PARAM_OF_(pg_macaddr), PG_PARAM_OF_(pg_macaddr8), PG_PARAM_OF_(pg_timetz),            \
          PG_PARAM_OF_(pg_bits), PG_PARAM_OF_(pg_xid8), PG_PARAM_OF_(pg_lsn),                      \
          PG_PARAM_OF_(pg_tid), PG_PARAM_OF_(pg_money), PG_PARAM_OF_(pg_point),                    \
          PG_PARAM_OF_(pg_line), PG_PARAM_OF_(pg_lseg), PG_PARAM_OF_(pg_box),                      \
          PG_PARAM_OF_(pg_circle), PG_PARAM_OF_(pg_path), PG_PARAM_OF_(pg_polygon),                \
          PG_PARAM_OF_(pg_int4range), PG_PARAM_OF_(pg_int4multirange), PG_PARAM_OF_(pg_numrange),  \
          PG_PARAM_OF_(pg_nummultirange), PG_PARAM_OF_(pg_tsrange), PG_PARAM_OF_(pg_tsmultirange), \
          PG_PARAM_OF_(pg_tstzrange), PG_PARAM_OF_(pg_tstzmultirange), PG_PARAM_OF_(pg_daterange), \
          PG_PARAM_OF_(pg_datemultirange), PG_PARAM_OF_(pg_int8range),                             \
          PG_PARAM_OF_(pg_int8multirange), PG_PARAM_CELLS_OF_(pg_array),                           \
          PG_PARAM_CELLS_OF_(pg_record), PG_PARAM_CELLS_OF_(pg_range),                             \
          PG_PARAM_CELLS_OF_(pg_multirange), PG_PARAM_CELLS_OF_(pg_hstore),                        \
          PG_PARAM_CELLS_OF_(pg_vector), PG_PARAM_CELLS_OF_(pg_sparsevec), pg_value                \
        : pg_param_value)(value)

/* Parameters of a statement, in order. */
typedef struct pg_values {
    const pg_value *items;
    size_t count;
} pg_values;

/* NULL of a type. */
static inline pg_value pg_param_null(pg_oid oid)
{
    return (pg_value){ .oid = oid, .is_null = true };
}
/* Text whose type the server infers, as that of a quoted literal: for types without a C type, such
 * as an enum, xml or jsonpath. Where it cannot infer one, write a cast: $1::numeric. */
static inline pg_value pg_param_literal(str text)
{
    return (pg_value){ .oid = 0, .is_null = !text.ptr, .as.text = text };
}
static inline pg_value pg_param_value(pg_value value)
{
    return value;
}

/* Four constructors a type. Text and JSON without a pointer (STR_NONE) are NULL. */
#define PG_PARAM(name, c_type, oid_, member, value_, is_null_)                             \
    static inline pg_value pg_param_##name(c_type value)                                   \
    {                                                                                      \
        return (pg_value){ .oid = (oid_), .is_null = (is_null_), .as.member = (value_) };  \
    }                                                                                      \
    static inline pg_value pg_param_opt_##name(opt_##name value)                           \
    {                                                                                      \
        return value.has ? pg_param_##name(value.value) : pg_param_null(oid_);             \
    }                                                                                      \
    static inline pg_value pg_param_##name##_list(name##_list value)                       \
    {                                                                                      \
        return (pg_value){ .oid = oid_##_ARRAY, .as.list = { value.items, value.count } }; \
    }                                                                                      \
    static inline pg_value pg_param_opt_##name##_list(opt_##name##_list value)             \
    {                                                                                      \
        return (pg_value){ .oid = oid_##_ARRAY,                                            \
                           .of_optional = true,                                            \
                           .as.list = { value.items, value.count } };                      \
    }
PG_PARAM(bool, bool, PG_OID_BOOL, boolean, value, false)
PG_PARAM(int2, int16_t, PG_OID_INT2, int2, value, false)
PG_PARAM(int4, int32_t, PG_OID_INT4, int4, value, false)
PG_PARAM(int8, int64_t, PG_OID_INT8, int8, value, false)
PG_PARAM(float4, float, PG_OID_FLOAT4, float4, value, false)
PG_PARAM(float8, double, PG_OID_FLOAT8, float8, value, false)
PG_PARAM(text, str, PG_OID_TEXT, text, value, !value.ptr)
PG_PARAM(bytea, bytea, PG_OID_BYTEA, bytes, value, false)
PG_PARAM(timestamptz, timestamptz, PG_OID_TIMESTAMPTZ, instant, value, false)
PG_PARAM(uuid, uuid, PG_OID_UUID, uuid, value, false)
PG_PARAM(jsonb, jsonb, PG_OID_JSONB, text, value.text, !value.text.ptr)
PG_PARAM(pg_numeric, pg_numeric, PG_OID_NUMERIC, numeric, value, false)
PG_PARAM(pg_date, pg_date, PG_OID_DATE, int4, value.days, false)
PG_PARAM(pg_time, pg_time, PG_OID_TIME, int8, value.us, false)
PG_PARAM(pg_timestamp, pg_timestamp, PG_OID_TIMESTAMP, int8, value.us, false)
PG_PARAM(pg_interval, pg_interval, PG_OID_INTERVAL, interval, value, false)
PG_PARAM(pg_inet, pg_inet, PG_OID_INET, inet, value, false)
PG_PARAM(pg_macaddr, pg_macaddr, PG_OID_MACADDR, macaddr, value, false)
PG_PARAM(pg_macaddr8, pg_macaddr8, PG_OID_MACADDR8, macaddr8, value, false)
PG_PARAM(pg_timetz, pg_timetz, PG_OID_TIMETZ, timetz, value, false)
PG_PARAM(pg_bits, pg_bits, PG_OID_VARBIT, bits, value, false)
PG_PARAM(pg_xid8, pg_xid8, PG_OID_XID8, int8, (int64_t)value.value, false)
PG_PARAM(pg_lsn, pg_lsn, PG_OID_LSN, int8, (int64_t)value.position, false)
PG_PARAM(pg_tid, pg_tid, PG_OID_TID, tid, value, false)
PG_PARAM(pg_money, pg_money, PG_OID_MONEY, int8, value.cents, false)
PG_PARAM(pg_point, pg_point, PG_OID_POINT, point, value, false)
PG_PARAM(pg_line, pg_line, PG_OID_LINE, line, value, false)
PG_PARAM(pg_lseg, pg_lseg, PG_OID_LSEG, lseg, value, false)
PG_PARAM(pg_box, pg_box, PG_OID_BOX, box, value, false)
PG_PARAM(pg_circle, pg_circle, PG_OID_CIRCLE, circle, value, false)
PG_PARAM(pg_path, pg_path, PG_OID_PATH, path, value, false)
PG_PARAM(pg_polygon, pg_polygon, PG_OID_POLYGON, polygon, value, false)
PG_PARAM(pg_int4range, pg_int4range, PG_OID_INT4RANGE, int4range, value, false)
/* Too large for a parameter, which has the address of a copy in the fiber's arena. */
const pg_numrange *pg_numrange_copy(const pg_numrange *range);
PG_PARAM(pg_numrange, pg_numrange, PG_OID_NUMRANGE, numrange, pg_numrange_copy(&value), false)
PG_PARAM(pg_tsrange, pg_tsrange, PG_OID_TSRANGE, tsrange, value, false)
PG_PARAM(pg_tstzrange, pg_tstzrange, PG_OID_TSTZRANGE, tstzrange, value, false)
PG_PARAM(pg_daterange, pg_daterange, PG_OID_DATERANGE, daterange, value, false)
PG_PARAM(pg_int8range, pg_int8range, PG_OID_INT8RANGE, int8range, value, false)
PG_PARAM(pg_int4multirange, pg_int4multirange, PG_OID_INT4MULTIRANGE, int4multirange, value, false)
PG_PARAM(pg_nummultirange, pg_nummultirange, PG_OID_NUMMULTIRANGE, nummultirange, value, false)
PG_PARAM(pg_tsmultirange, pg_tsmultirange, PG_OID_TSMULTIRANGE, tsmultirange, value, false)
PG_PARAM(pg_tstzmultirange, pg_tstzmultirange, PG_OID_TSTZMULTIRANGE, tstzmultirange, value, false)
PG_PARAM(pg_datemultirange, pg_datemultirange, PG_OID_DATEMULTIRANGE, datemultirange, value, false)
PG_PARAM(pg_int8multirange, pg_int8multirange, PG_OID_INT8MULTIRANGE, int8multirange, value, false)

/* Types of extensions, as literals in the fiber's arena. */
pg_value pg_param_pg_hstore(pg_hstore value);
pg_value pg_param_opt_pg_hstore(opt_pg_hstore value);
pg_value pg_param_pg_vector(pg_vector value);
pg_value pg_param_opt_pg_vector(opt_pg_vector value);
pg_value pg_param_pg_sparsevec(pg_sparsevec value);
pg_value pg_param_opt_pg_sparsevec(opt_pg_sparsevec value);

/* Numbers of 32 bits in types to which an integer is not converted, or not in a COPY. */
static inline pg_value pg_param_oid(uint32_t oid)
{
    return (pg_value){ .oid = PG_OID_OID, .as.int4 = (int32_t)oid };
}
static inline pg_value pg_param_xid(uint32_t xid)
{
    return (pg_value){ .oid = PG_OID_XID, .as.int4 = (int32_t)xid };
}
static inline pg_value pg_param_cid(uint32_t cid)
{
    return (pg_value){ .oid = PG_OID_CID, .as.int4 = (int32_t)cid };
}

/* The parameter that stands for a shape's member at `member`. The type must not be a nested shape.
 */
pg_value pg_param_member(const shape_type *type, const void *member);

/* --- columns ---------------------------------------------------------------------------------- */

/* What a statement's result column is. */
typedef struct pg_column {
    str name;
    pg_oid oid;
    pg_format format;
    int32_t type_modifier; /* varchar(20): 24; -1: none */
    pg_oid table;          /* 0: not a table's column */
    uint16_t attribute;    /* its number in the table, 0 */
} pg_column;

/* One column of one row. */
typedef struct pg_cell {
    pg_oid oid; /* 0: nobody said; a field of a composite that came as text */
    pg_format format;
    str bytes; /* as received; STR_NONE is NULL */
} pg_cell;

/* Four decoders a type: pg_decode_int8, pg_decode_opt_int8, pg_decode_int8_list,
 * pg_decode_opt_int8_list, and so on.
 *   arena   holds a list's and a multirange's items, and what a value consists of where that is no
 *           view: a numeric's digits, bits and bytea of a text, a path's points, lexemes, pairs
 *           and vectors, what is quoted in a range; NULL is good for all others
 *   out     text, bytes and JSON are views of the cell's bytes; left alone on failure
 *   accepts the type of its name (float4: real, float8: double precision), and
 *           int4: int2
 *           int8: int2, int4, oid, xid, cid, and in binary format the regX
 *           float8: float4
 *           text: varchar, bpchar, name, json, jsonb, xml, jsonpath, unknown, and every type that
 *           came in text format
 *           jsonb: json
 *           pg_inet: cidr
 *           pg_bits: bit, varbit
 *           pg_hstore, pg_vector, pg_sparsevec: text of a type that has no OID here
 * Either format is taken (of pg_money binary only), as text that of DateStyle ISO and IntervalStyle
 * postgres, and text of no type (oid 0). A list: arrays of these of one dimension; as text also
 * those of types that have no name here, an enum's or a domain's. NULLs are for opt_X_list.
 *   fails   PG_TYPE_MISMATCH: another type, NULL for what is not opt_X, bytes of a wrong length
 *           OUT_OF_MEMORY: no room for a list */
#define PG_DECODE(name, c_type)                                                     \
    error pg_decode_##name(arena *a, const pg_cell *cell, c_type *out);             \
    error pg_decode_opt_##name(arena *a, const pg_cell *cell, opt_##name *out);     \
    error pg_decode_##name##_list(arena *a, const pg_cell *cell, name##_list *out); \
    error pg_decode_opt_##name##_list(arena *a, const pg_cell *cell, opt_##name##_list *out);
PG_DECODE(bool, bool)
PG_DECODE(int2, int16_t)
PG_DECODE(int4, int32_t)
PG_DECODE(int8, int64_t)
PG_DECODE(float4, float)
PG_DECODE(float8, double)
PG_DECODE(text, str)
PG_DECODE(bytea, bytea)
PG_DECODE(timestamptz, timestamptz)
PG_DECODE(uuid, uuid)
PG_DECODE(jsonb, jsonb)
PG_DECODE(pg_numeric, pg_numeric)
PG_DECODE(pg_date, pg_date)
PG_DECODE(pg_time, pg_time)
PG_DECODE(pg_timestamp, pg_timestamp)
PG_DECODE(pg_interval, pg_interval)
PG_DECODE(pg_inet, pg_inet)
PG_DECODE(pg_macaddr, pg_macaddr)
PG_DECODE(pg_macaddr8, pg_macaddr8)
PG_DECODE(pg_timetz, pg_timetz)
PG_DECODE(pg_bits, pg_bits)
PG_DECODE(pg_xid8, pg_xid8)
PG_DECODE(pg_lsn, pg_lsn)
PG_DECODE(pg_tid, pg_tid)
PG_DECODE(pg_money, pg_money)
PG_DECODE(pg_point, pg_point)
PG_DECODE(pg_line, pg_line)
PG_DECODE(pg_lseg, pg_lseg)
PG_DECODE(pg_box, pg_box)
PG_DECODE(pg_circle, pg_circle)
PG_DECODE(pg_path, pg_path)
PG_DECODE(pg_polygon, pg_polygon)
PG_DECODE(pg_tsvector, pg_tsvector)
PG_DECODE(pg_tsquery, pg_tsquery)
PG_DECODE(pg_hstore, pg_hstore)
PG_DECODE(pg_vector, pg_vector)
PG_DECODE(pg_sparsevec, pg_sparsevec)
PG_DECODE(pg_int4range, pg_int4range)
PG_DECODE(pg_int4multirange, pg_int4multirange)
PG_DECODE(pg_numrange, pg_numrange)
PG_DECODE(pg_nummultirange, pg_nummultirange)
PG_DECODE(pg_tsrange, pg_tsrange)
PG_DECODE(pg_tsmultirange, pg_tsmultirange)
PG_DECODE(pg_tstzrange, pg_tstzrange)
PG_DECODE(pg_tstzmultirange, pg_tstzmultirange)
PG_DECODE(pg_daterange, pg_daterange)
PG_DECODE(pg_datemultirange, pg_datemultirange)
PG_DECODE(pg_int8range, pg_int8range)
PG_DECODE(pg_int8multirange, pg_int8multirange)

/* Decodes into a shape's member at `member`, as the decoder of its type. The type must not be a
 * nested shape. */
error pg_decode_member(arena *a, const pg_cell *cell, const shape_type *type, void *member);

#include "pg/cells.h" // IWYU pragma: export

#endif
