/* Columns into C values: hand-written bytes of every type, and every way in which a server's bytes
 * do not fit their reader. */
#include "type_test.h"

#include <math.h>

static pg_cell binary(pg_oid oid, str bytes)
{
    return (pg_cell){ oid, PG_BINARY, bytes };
}

/* Decodes through the shape's descriptor from memory of exactly the cell's size. Slices in `out`
 * are dead afterwards. */
static error decode_exact(const shape_type *type, pg_cell cell, void *out)
{
    const str copy = exact_copy(cell.bytes);
    const error e = pg_decode_member(&memory, &(pg_cell){ cell.oid, cell.format, copy }, type, out);
    exact_free(copy);
    return e;
}

/* --- scalars ---------------------------------------------------------------------------------- */

static void test_type_bool_is_one_byte_of_0_or_1(void **state)
{
    (void)state;
    bool value = false;
    assert_ok(pg_decode_bool(NULL, &(pg_cell){ PG_OID_BOOL, PG_BINARY, STR("\1") }, &value));
    assert_true(value);
    assert_ok(pg_decode_bool(NULL, &(pg_cell){ PG_OID_BOOL, PG_BINARY, STR("\0") }, &value));
    assert_false(value);
    const pg_cell two = binary(PG_OID_BOOL, STR("\2"));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_bool(NULL, &two, &value));
}

static void test_type_integers_widen_and_never_narrow(void **state)
{
    (void)state;
    const pg_cell int2_cell = binary(PG_OID_INT2, STR("\xFF\xFE"));
    const pg_cell int4_cell = binary(PG_OID_INT4, STR("\x80\0\0\0"));
    const pg_cell int8_cell = binary(PG_OID_INT8, STR("\x01\x23\x45\x67\x89\xAB\xCD\xEF"));
    const pg_cell oid_cell = binary(PG_OID_OID, STR("\xFF\xFF\xFF\xFF"));
    int16_t int2 = 0;
    int32_t int4 = 0;
    int64_t int8 = 0;
    assert_ok(pg_decode_int2(NULL, &int2_cell, &int2));
    assert_int_equal(int2, -2);
    assert_ok(pg_decode_int4(NULL, &int2_cell, &int4));
    assert_int_equal(int4, -2);
    assert_ok(pg_decode_int8(NULL, &int2_cell, &int8));
    assert_int_equal(int8, -2);
    assert_ok(pg_decode_int4(NULL, &int4_cell, &int4));
    assert_int_equal(int4, INT32_MIN);
    assert_ok(pg_decode_int8(NULL, &int4_cell, &int8));
    assert_int_equal(int8, INT32_MIN);
    assert_ok(pg_decode_int8(NULL, &int8_cell, &int8));
    assert_int_equal(int8, 0x0123456789ABCDEF);
    assert_ok(pg_decode_int8(NULL, &oid_cell, &int8));
    assert_int_equal(int8, UINT32_MAX);
    assert_fails(PG_TYPE_MISMATCH, pg_decode_int2(NULL, &int4_cell, &int2));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_int2(NULL, &int8_cell, &int2));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_int4(NULL, &int8_cell, &int4));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_int4(NULL, &oid_cell, &int4));
    assert_int_equal(int2, -2); /* left alone */
}

static void test_type_float8_takes_all_values_of_both_widths(void **state)
{
    (void)state;
    double value = 0;
    const pg_cell wide = binary(PG_OID_FLOAT8, STR("\xC0\x04\0\0\0\0\0\0"));
    assert_ok(pg_decode_float8(NULL, &wide, &value));
    assert_true(value == -2.5);
    const pg_cell narrow = binary(PG_OID_FLOAT4, STR("\x3F\x80\0\0"));
    assert_ok(pg_decode_float8(NULL, &narrow, &value));
    assert_true(value == 1.0);
    const pg_cell infinity = binary(PG_OID_FLOAT8, STR("\xFF\xF0\0\0\0\0\0\0"));
    assert_ok(pg_decode_float8(NULL, &infinity, &value));
    assert_true(isinf(value) && value < 0);
    const pg_cell nan_cell = binary(PG_OID_FLOAT8, STR("\x7F\xF8\0\0\0\0\0\0"));
    assert_ok(pg_decode_float8(NULL, &nan_cell, &value));
    assert_true(isnan(value));
    const pg_cell integer = binary(PG_OID_INT8, STR("\0\0\0\0\0\0\0\0"));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_float8(NULL, &integer, &value));
}

static void test_type_text_is_a_view_of_every_textual_column(void **state)
{
    (void)state;
    static const pg_oid OIDS[] = { PG_OID_TEXT, PG_OID_VARCHAR, PG_OID_BPCHAR,
                                   PG_OID_NAME, PG_OID_JSON,    PG_OID_UNKNOWN };
    for (size_t i = 0; i < ARRAY_LEN(OIDS); i++) {
        const pg_cell cell = binary(OIDS[i], STR("h\xC3\xA9llo"));
        str value;
        assert_ok(pg_decode_text(NULL, &cell, &value));
        assert_ptr_equal(value.ptr, cell.bytes.ptr);
        assert_int_equal(value.len, 6);
    }
    str value;
    const pg_cell empty = binary(PG_OID_TEXT, STR(""));
    assert_ok(pg_decode_text(NULL, &empty, &value));
    assert_true(value.ptr && value.len == 0);
    const pg_cell json = binary(PG_OID_JSONB, STR("\1{\"a\":1}"));
    assert_ok(pg_decode_text(NULL, &json, &value));
    assert_str_equal(value, STR("{\"a\":1}"));
    const pg_cell integer = binary(PG_OID_INT4, STR("\0\0\0\1"));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_text(NULL, &integer, &value));
}

static void test_type_text_format_is_text_for_every_type(void **state)
{
    (void)state;
    static const pg_cell CELLS[] = {
        { 1700, PG_TEXT, { "12.50", 5 } },
        { PG_OID_INT8, PG_TEXT, { "12.50", 5 } },
        { PG_OID_INT4_ARRAY, PG_TEXT, { "12.50", 5 } },
        { 99999, PG_TEXT, { "12.50", 5 } },
        { 0, PG_TEXT, { "12.50", 5 } },
    };
    for (size_t i = 0; i < ARRAY_LEN(CELLS); i++) {
        str text;
        assert_ok(pg_decode_text(NULL, &CELLS[i], &text));
        assert_str_equal(text, STR("12.50"));
    }
}

/* As text in a cell of `oid`, and in one of no type. */
#define ASSERT_TEXT(name, c_type, oid, text, same)                 \
    do {                                                           \
        const pg_oid oids_[] = { oid, 0 };                         \
        for (size_t i_ = 0; i_ < ARRAY_LEN(oids_); i_++) {         \
            c_type value;                                          \
            const str copy_ = exact_copy(STR(text));               \
            const pg_cell cell_ = { oids_[i_], PG_TEXT, copy_ };   \
            assert_ok(pg_decode_##name(&memory, &cell_, &value));  \
            if (!(same))                                           \
                fail_msg("%s is read as another %s", text, #name); \
            exact_free(copy_);                                     \
        }                                                          \
    } while (0)

static void test_type_text_says_the_same_as_binary(void **state)
{
    (void)state;
    ASSERT_TEXT(bool, bool, PG_OID_BOOL, "t", value);
    ASSERT_TEXT(bool, bool, PG_OID_BOOL, "f", !value);
    ASSERT_TEXT(int2, int16_t, PG_OID_INT2, "-32768", value == INT16_MIN);
    ASSERT_TEXT(int4, int32_t, PG_OID_INT4, "2147483647", value == INT32_MAX);
    ASSERT_TEXT(int4, int32_t, PG_OID_INT2, "-7", value == -7);
    ASSERT_TEXT(int8, int64_t, PG_OID_INT8, "-9223372036854775808", value == INT64_MIN);
    ASSERT_TEXT(int8, int64_t, PG_OID_OID, "4294967295", value == UINT32_MAX);
    ASSERT_TEXT(float8, double, PG_OID_FLOAT8, "-1.5e-07", value == -1.5e-07);
    ASSERT_TEXT(float8, double, PG_OID_FLOAT8, "NaN", isnan(value));
    ASSERT_TEXT(float8, double, PG_OID_FLOAT8, "-Infinity", isinf(value) && value < 0);
    ASSERT_TEXT(bytea, bytea, PG_OID_BYTEA, "\\x00ff10",
                value.len == 3 && value.ptr[0] == 0 && value.ptr[1] == 255 && value.ptr[2] == 16);
    ASSERT_TEXT(bytea, bytea, PG_OID_BYTEA, "\\x", value.len == 0);
    ASSERT_TEXT(bytea, bytea, PG_OID_BYTEA, "a\\\\\\377\\000",
                value.len == 4 && !memcmp(value.ptr, "a\\\xFF", 4));
    ASSERT_TEXT(bytea, bytea, PG_OID_BYTEA, "", value.len == 0);
    ASSERT_TEXT(timestamptz, timestamptz, PG_OID_TIMESTAMPTZ, "2000-01-01 00:00:01+00",
                value.us == 1000000);
    ASSERT_TEXT(timestamptz, timestamptz, PG_OID_TIMESTAMPTZ, "2000-01-01 01:30:00.5+01:30",
                value.us == 500000);
    ASSERT_TEXT(timestamptz, timestamptz, PG_OID_TIMESTAMPTZ, "1999-12-31 19:03:58-04:56:02",
                value.us == 0);
    ASSERT_TEXT(timestamptz, timestamptz, PG_OID_TIMESTAMPTZ, "0001-12-31 23:00:00-01 BC",
                value.us == INT64_C(-63082281600000000));
    ASSERT_TEXT(timestamptz, timestamptz, PG_OID_TIMESTAMPTZ, "-infinity", value.us == INT64_MIN);
    ASSERT_TEXT(uuid, uuid, PG_OID_UUID, "00112233-4455-6677-8899-aabbccddeeff",
                value.bytes[15] == 0xFF);
    ASSERT_TEXT(jsonb, jsonb, PG_OID_JSONB, "{\"a\": 1}", value.text.len == 8);
    ASSERT_TEXT(pg_numeric, pg_numeric, PG_OID_NUMERIC, "1.50", value.scale == 2);
    ASSERT_TEXT(pg_date, pg_date, PG_OID_DATE, "2000-01-02", value.days == 1);
    ASSERT_TEXT(pg_inet, pg_inet, PG_OID_INET, "10.0.0.1", value.prefix == 32);
    ASSERT_TEXT(float4, float, PG_OID_FLOAT4, "-1.1754944e-38", value == -1.1754944e-38f);
    ASSERT_TEXT(float4, float, PG_OID_FLOAT4, "NaN", isnan(value));
    ASSERT_TEXT(float4, float, PG_OID_FLOAT4, "-Infinity", isinf(value) && value < 0);
    /* the nearest double lies in the middle of two floats, the number itself does not */
    ASSERT_TEXT(float4, float, PG_OID_FLOAT4, "1.00000005960464477539063", value == 1.00000012f);
    ASSERT_TEXT(float4, float, PG_OID_FLOAT4, "1.00000005960464477539062", value == 1.0f);
    const pg_cell float4 = { PG_OID_FLOAT4, PG_TEXT, STR("0.1") };
    double wide;
    assert_ok(pg_decode_float8(NULL, &float4, &wide));
    assert_true(wide == (double)0.1f);
}

#define REFUSES_TEXT(name, c_type, oid_, ...)                                          \
    do {                                                                               \
        static const char *const TEXTS[] = { __VA_ARGS__ };                            \
        for (size_t i_ = 0; i_ < ARRAY_LEN(TEXTS); i_++) {                             \
            c_type value;                                                              \
            const str copy_ = exact_copy(str_from_c(TEXTS[i_]));                       \
            const error e_ =                                                           \
                pg_decode_##name(&memory, &(pg_cell){ oid_, PG_TEXT, copy_ }, &value); \
            exact_free(copy_);                                                         \
            if (!error_is(e_, &PG_TYPE_MISMATCH))                                      \
                fail_msg("\"%s\" is read as %s", TEXTS[i_], #name);                    \
        }                                                                              \
    } while (0)

static void test_type_text_that_is_no_such_value_is_refused(void **state)
{
    (void)state;
    REFUSES_TEXT(bool, bool, PG_OID_BOOL, "", "\1", "true", "1", "T");
    REFUSES_TEXT(int2, int16_t, PG_OID_INT2, "", "32768", "-32769", " 1", "1 ", "+1", "1.0");
    REFUSES_TEXT(int2, int16_t, PG_OID_INT4, "1");
    REFUSES_TEXT(int4, int32_t, PG_OID_INT4, "2147483648", "-2147483649", "x");
    REFUSES_TEXT(int4, int32_t, PG_OID_INT8, "1");
    REFUSES_TEXT(int8, int64_t, PG_OID_INT8, "9223372036854775808", "12345678x", "0x1");
    REFUSES_TEXT(int8, int64_t, PG_OID_NUMERIC, "1");
    REFUSES_TEXT(float8, double, PG_OID_FLOAT8, "", "nan", "inf", "--Infinity", "-NaN", "1e999",
                 "1,5");
    REFUSES_TEXT(float8, double, PG_OID_FLOAT4, "1e39");
    REFUSES_TEXT(float4, float, PG_OID_FLOAT4, "", "1e39", "x", "1e");
    REFUSES_TEXT(float4, float, PG_OID_FLOAT8, "1");
    REFUSES_TEXT(bytea, bytea, PG_OID_BYTEA, "\\x0", "\\x0g", "\\", "a\\00", "\\400", "\\18x");
    REFUSES_TEXT(bytea, bytea, PG_OID_TEXT, "\\x00");
    REFUSES_TEXT(timestamptz, timestamptz, PG_OID_TIMESTAMPTZ, "", "2000-01-01 00:00:00",
                 "2000-01-01", "2000-01-01+00", "2000-01-01 00:00:00+", "2000-01-01 00:00:00+1",
                 "2000-01-01 00:00:00+01:", "2000-01-01 00:00:00+01:60",
                 "2000-01-01 00:00:00+01:00:00:00", "2000-01-01 00:00:00 UTC", "infinity+00",
                 "2000-01-01 00:00:00+-1", "01/02/2000 00:00:00 CET", "+00", " BC",
                 "2000-01-01 00:00:00+00 AD");
    REFUSES_TEXT(timestamptz, timestamptz, PG_OID_TIMESTAMP, "2000-01-01 00:00:00+00");
    REFUSES_TEXT(uuid, uuid, PG_OID_UUID, "", "00112233-4455-6677-8899-aabbccddeef");
    REFUSES_TEXT(uuid, uuid, PG_OID_TEXT, "00112233-4455-6677-8899-aabbccddeeff");
}

static void test_type_lists_of_optionals_have_nulls(void **state)
{
    (void)state;
    const pg_cell cells[] = {
        { PG_OID_INT4_ARRAY, PG_BINARY,
          STR("\0\0\0\1\0\0\0\1\0\0\0\x17\0\0\0\3\0\0\0\1\0\0\0\4\0\0\0\7"
              "\xFF\xFF\xFF\xFF\0\0\0\4\xFF\xFF\xFF\xFF") },
        { PG_OID_INT4_ARRAY, PG_TEXT, STR("{7,NULL,-1}") },
        { 99999, PG_TEXT, STR("{7,NULL,-1}") }, /* of a domain */
        { 0, PG_TEXT, STR("{7,NULL,-1}") },
    };
    for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
        opt_int8_list numbers;
        assert_ok(pg_decode_opt_int8_list(&memory, &cells[i], &numbers));
        assert_int_equal(numbers.count, 3);
        assert_true(numbers.items[0].has && numbers.items[0].value == 7);
        assert_true(!numbers.items[1].has && numbers.items[1].is_null);
        assert_true(numbers.items[2].has && numbers.items[2].value == -1);
        int8_list none;
        assert_fails(PG_TYPE_MISMATCH, pg_decode_int8_list(&memory, &cells[i], &none));
        opt_bool_list other;
        assert_fails(PG_TYPE_MISMATCH, pg_decode_opt_bool_list(&memory, &cells[i], &other));
    }
    const pg_cell labels = { 99999, PG_TEXT, STR("{red,NULL,\"dark blue\"}") };
    opt_text_list texts;
    assert_ok(pg_decode_opt_text_list(&memory, &labels, &texts));
    assert_int_equal(texts.count, 3);
    assert_str_equal(texts.items[2].value, STR("dark blue"));
    const pg_cell nulls = { PG_OID_NUMERIC_ARRAY, PG_TEXT, STR("{NULL,1.5}") };
    opt_pg_numeric_list decimals;
    assert_ok(pg_decode_opt_pg_numeric_list(&memory, &nulls, &decimals));
    assert_true(decimals.items[0].is_null && decimals.items[1].value.scale == 1);
    const pg_cell no_array = { 99999, PG_TEXT, STR("red") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_opt_text_list(&memory, &no_array, &texts));
    const pg_cell scalar = { PG_OID_TEXT, PG_TEXT, STR("{red}") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_opt_text_list(&memory, &scalar, &texts));
    const pg_cell bytes = { 99999, PG_BINARY, STR("\0\0\0\0\0\0\0\0\0\0\0\x17") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_opt_int8_list(&memory, &bytes, &(opt_int8_list){ 0 }));
}

static void test_type_float4_takes_real_only(void **state)
{
    (void)state;
    float value = 7;
    const pg_cell half = binary(PG_OID_FLOAT4, STR("\x3F\0\0\0"));
    assert_ok(pg_decode_float4(NULL, &half, &value));
    assert_true(value == 0.5F);
    const pg_cell wide = binary(PG_OID_FLOAT8, STR("\x3F\xE0\0\0\0\0\0\0"));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_float4(NULL, &wide, &value));
    assert_true(value == 0.5F);
}

static void test_type_money_has_no_text(void **state)
{
    (void)state;
    pg_money money;
    str text;
    const pg_cell cents = binary(PG_OID_MONEY, STR("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE"));
    assert_ok(pg_decode_pg_money(NULL, &cents, &money));
    assert_true(money.cents == -2);
    assert_fails(PG_TYPE_MISMATCH, pg_decode_text(NULL, &cents, &text));
    const pg_cell written = { PG_OID_MONEY, PG_TEXT, STR("$1.00") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_money(NULL, &written, &money));
    const pg_cell short_cell = binary(PG_OID_MONEY, STR("\0\0\0\1"));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_money(NULL, &short_cell, &money));
}

static void test_type_text_of_xml_and_jsonpath_is_read_from_binary(void **state)
{
    (void)state;
    str text;
    const pg_cell xml = binary(PG_OID_XML, STR("<a/>"));
    assert_ok(pg_decode_text(NULL, &xml, &text));
    assert_str_equal(text, STR("<a/>"));
    const pg_cell path = binary(PG_OID_JSONPATH, STR("\1$"));
    assert_ok(pg_decode_text(NULL, &path, &text));
    assert_str_equal(text, STR("$"));
    const pg_cell version = binary(PG_OID_JSONPATH, STR("\2$"));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_text(NULL, &version, &text));
    const pg_cell empty = binary(PG_OID_JSONPATH, STR(""));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_text(NULL, &empty, &text));
    jsonb json;
    assert_fails(PG_TYPE_MISMATCH, pg_decode_jsonb(NULL, &path, &json));
}

static void test_type_nobody_has_heard_of_is_text_or_a_mismatch(void **state)
{
    (void)state;
    str text;
    opt_text none;
    const pg_cell as_text = { 60000, PG_TEXT, STR("happy") };
    assert_ok(pg_decode_text(NULL, &as_text, &text));
    assert_str_equal(text, STR("happy"));
    const pg_cell as_bytes = binary(60000, STR("\0\1"));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_text(NULL, &as_bytes, &text));
    const pg_cell null = binary(60000, STR_NONE);
    assert_ok(pg_decode_opt_text(NULL, &null, &none));
    assert_true(none.is_null);
    pg_array array;
    const pg_cell labels = { 60001, PG_TEXT, STR("{sad,NULL}") };
    assert_ok(pg_decode_pg_array(&memory, &labels, &array));
    assert_int_equal(array.count, 2);
}

static void test_type_bytes_instants_uuids_and_json(void **state)
{
    (void)state;
    const pg_cell bytes_cell = binary(PG_OID_BYTEA, STR("\0\xFF\x10"));
    bytea bytes;
    assert_ok(pg_decode_bytea(NULL, &bytes_cell, &bytes));
    assert_int_equal(bytes.len, 3);
    assert_int_equal(bytes.ptr[1], 0xFF);

    timestamptz instant;
    const pg_cell second = binary(PG_OID_TIMESTAMPTZ, STR("\0\0\0\0\0\x0F\x42\x40"));
    assert_ok(pg_decode_timestamptz(NULL, &second, &instant));
    assert_int_equal(instant.us, 1000000);
    const pg_cell infinity = binary(PG_OID_TIMESTAMPTZ, STR("\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"));
    assert_ok(pg_decode_timestamptz(NULL, &infinity, &instant));
    assert_true(instant.us == TIMESTAMPTZ_INFINITY.us);

    uuid id;
    const pg_cell uuid_cell = binary(PG_OID_UUID, STR("0123456789abcdef"));
    assert_ok(pg_decode_uuid(NULL, &uuid_cell, &id));
    assert_memory_equal(id.bytes, "0123456789abcdef", 16);

    jsonb json;
    const pg_cell jsonb_cell = binary(PG_OID_JSONB, STR("\1[1]"));
    assert_ok(pg_decode_jsonb(NULL, &jsonb_cell, &json));
    assert_str_equal(json.text, STR("[1]"));
    const pg_cell json_cell = binary(PG_OID_JSON, STR("[1]"));
    assert_ok(pg_decode_jsonb(NULL, &json_cell, &json));
    assert_str_equal(json.text, STR("[1]"));
    const pg_cell version_2 = binary(PG_OID_JSONB, STR("\2[1]"));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_jsonb(NULL, &version_2, &json));
    const pg_cell no_version = binary(PG_OID_JSONB, STR(""));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_jsonb(NULL, &no_version, &json));
}

/* --- all pairs -------------------------------------------------------------------------------- */

typedef struct sample {
    pg_oid oid;
    str bytes;
    const char *readers; /* names of the descriptors below that take it */
} sample;

#define ARRAY_OF(oid_, item) "\0\0\0\1\0\0\0\0\0\0" oid_ "\0\0\0\1\0\0\0\1" item

static const sample SAMPLES[] = {
    { PG_OID_BOOL, { "\1", 1 }, "bool" },
    { PG_OID_INT2, { "\0\1", 2 }, "int2 int4 int8" },
    { PG_OID_INT4, { "\0\0\0\1", 4 }, "int4 int8" },
    { PG_OID_INT8, { "\0\0\0\0\0\0\0\1", 8 }, "int8" },
    { PG_OID_OID, { "\0\0\0\1", 4 }, "int8" },
    { PG_OID_FLOAT4, { "\0\0\0\1", 4 }, "float8" },
    { PG_OID_FLOAT8, { "\0\0\0\0\0\0\0\1", 8 }, "float8" },
    { PG_OID_TEXT, { "text", 4 }, "text" },
    { PG_OID_BYTEA, { "text", 4 }, "bytea" },
    { PG_OID_TIMESTAMPTZ, { "\0\0\0\0\0\0\0\1", 8 }, "timestamptz" },
    { PG_OID_UUID, { "0123456789abcdef", 16 }, "uuid" },
    { PG_OID_JSON, { "[]", 2 }, "jsonb text" },
    { PG_OID_JSONB, { "\1[]", 3 }, "jsonb text" },
    { 1700, { "\0\0\0\0\0\0\0\0", 8 }, "" }, /* numeric, in a format that was not asked for */
    { 1114, { "\0\0\0\0\0\0\0\1", 8 }, "" }, /* timestamp: no instant without a zone */
    { PG_OID_BOOL_ARRAY, { ARRAY_OF("\0\x10", "\0\0\0\1\1"), 25 }, "bool_list" },
    { PG_OID_INT2_ARRAY,
      { ARRAY_OF("\0\x15", "\0\0\0\2\0\1"), 26 },
      "int2_list int4_list int8_list" },
    { PG_OID_INT4_ARRAY, { ARRAY_OF("\0\x17", "\0\0\0\4\0\0\0\1"), 28 }, "int4_list int8_list" },
    { PG_OID_INT8_ARRAY, { ARRAY_OF("\0\x14", "\0\0\0\x08\0\0\0\0\0\0\0\1"), 32 }, "int8_list" },
    { PG_OID_FLOAT8_ARRAY,
      { ARRAY_OF("\2\xBD", "\0\0\0\x08\0\0\0\0\0\0\0\1"), 32 },
      "float8_list" },
    { PG_OID_FLOAT4_ARRAY, { ARRAY_OF("\2\xBC", "\0\0\0\4\0\0\0\1"), 28 }, "float8_list" },
    { PG_OID_TEXT_ARRAY, { ARRAY_OF("\0\x19", "\0\0\0\3abc"), 27 }, "text_list" },
    { PG_OID_VARCHAR_ARRAY, { ARRAY_OF("\4\x13", "\0\0\0\3abc"), 27 }, "text_list" },
    { PG_OID_BYTEA_ARRAY, { ARRAY_OF("\0\x11", "\0\0\0\3abc"), 27 }, "bytea_list" },
    { PG_OID_TIMESTAMPTZ_ARRAY,
      { ARRAY_OF("\4\xA0", "\0\0\0\x08\0\0\0\0\0\0\0\1"), 32 },
      "timestamptz_list" },
    { PG_OID_UUID_ARRAY,
      { ARRAY_OF("\x0B\x86", "\0\0\0\x10"
                             "0123456789abcdef"),
        40 },
      "uuid_list" },
    { PG_OID_JSONB_ARRAY, { ARRAY_OF("\x0E\xDA", "\0\0\0\3\1[]"), 27 }, "jsonb_list text_list" },
    { PG_OID_JSON_ARRAY, { ARRAY_OF("\0\x72", "\0\0\0\2[]"), 26 }, "jsonb_list text_list" },
};

typedef struct reader_row {
    const char *name;
    const shape_type *one;
    const shape_type *optional;
    bool is_list;
} reader_row;

#define SCALAR_READER(name)                                      \
    {                                                            \
#name, &shape_type_##name, &shape_type_opt_##name, false \
    }
#define LIST_READER(name)                                    \
    {                                                        \
#name "_list", &shape_type_##name##_list, NULL, true \
    }

static const reader_row READERS[] = {
    SCALAR_READER(bool),  SCALAR_READER(int2),        SCALAR_READER(int4),
    SCALAR_READER(int8),  SCALAR_READER(float8),      SCALAR_READER(text),
    SCALAR_READER(bytea), SCALAR_READER(timestamptz), SCALAR_READER(uuid),
    SCALAR_READER(jsonb), LIST_READER(bool),          LIST_READER(int2),
    LIST_READER(int4),    LIST_READER(int8),          LIST_READER(float8),
    LIST_READER(text),    LIST_READER(bytea),         LIST_READER(timestamptz),
    LIST_READER(uuid),    LIST_READER(jsonb),
};

static bool has_word(const char *words, const char *word)
{
    str rest = str_from_c(words);
    while (rest.ptr) {
        if (str_eq(str_cut(&rest, ' '), str_from_c(word)))
            return true;
    }
    return false;
}

/* Every type read as every other: exactly the pairs that the header names work. */
static void test_type_every_column_fits_exactly_its_readers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(SAMPLES); i++) {
        const pg_cell cell = binary(SAMPLES[i].oid, SAMPLES[i].bytes);
        for (size_t k = 0; k < ARRAY_LEN(READERS); k++) {
            const reader_row *reader = &READERS[k];
            char out[64];
            const bool wanted = has_word(SAMPLES[i].readers, reader->name);
            const error e = decode_exact(reader->one, cell, out);
            if (!error_is(e, wanted ? NULL : &PG_TYPE_MISMATCH))
                fail_msg("%s as %s", pg_type_name(cell.oid), reader->name);
            if (reader->optional && !error_is(decode_exact(reader->optional, cell, out),
                                              wanted ? NULL : &PG_TYPE_MISMATCH))
                fail_msg("%s as opt_%s", pg_type_name(cell.oid), reader->name);
        }
    }
}

static bool is_of_any_length(pg_oid oid)
{
    return oid == PG_OID_TEXT || oid == PG_OID_BYTEA || oid == PG_OID_JSON || oid == PG_OID_JSONB;
}

static void test_type_cut_or_longer_bytes_are_mismatches(void **state)
{
    (void)state;
    char longer[64];
    for (size_t i = 0; i < ARRAY_LEN(SAMPLES); i++) {
        const sample *s = &SAMPLES[i];
        if (is_of_any_length(s->oid))
            continue;
        assert_true(s->bytes.len < sizeof longer);
        memcpy(longer, s->bytes.ptr, s->bytes.len);
        longer[s->bytes.len] = 0;
        for (size_t k = 0; k < ARRAY_LEN(READERS); k++) {
            char out[64];
            for (size_t len = 0; len < s->bytes.len; len++)
                assert_fails(
                    PG_TYPE_MISMATCH,
                    decode_exact(READERS[k].one, binary(s->oid, str_slice(s->bytes, 0, len)), out));
            assert_fails(PG_TYPE_MISMATCH,
                         decode_exact(READERS[k].one,
                                      binary(s->oid, (str){ longer, s->bytes.len + 1 }), out));
        }
    }
}

/* --- NULL ------------------------------------------------------------------------------------- */

static void test_type_null_fits_optional_readers_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(SAMPLES); i++) {
        const pg_cell null = binary(SAMPLES[i].oid, STR_NONE);
        for (size_t k = 0; k < ARRAY_LEN(READERS); k++) {
            union {
                struct {
                    bool has;
                    bool is_null;
                } head;
                char bytes[64];
            } out;
            memset(&out, 0x55, sizeof out);
            assert_fails(PG_TYPE_MISMATCH, pg_decode_member(&memory, &null, READERS[k].one, &out));
            assert_int_equal(out.bytes[0], 0x55);
            if (!READERS[k].optional)
                continue;
            out.head.has = true;
            assert_ok(pg_decode_member(&memory, &null, READERS[k].optional, &out));
            assert_false(out.head.has);
            assert_true(out.head.is_null);
        }
    }
}

static void test_type_optional_value_is_set_and_left_alone_on_failure(void **state)
{
    (void)state;
    opt_int8 value = { .is_null = true };
    const pg_cell good = binary(PG_OID_INT4, STR("\0\0\0\7"));
    assert_ok(pg_decode_opt_int8(NULL, &good, &value));
    assert_true(value.has && !value.is_null);
    assert_int_equal(value.value, 7);
    const pg_cell bad = binary(PG_OID_INT4, STR("\0\0\0"));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_opt_int8(NULL, &bad, &value));
    assert_true(value.has && value.value == 7);
    const pg_cell null = binary(PG_OID_INT4, STR_NONE);
    assert_ok(pg_decode_opt_int8(NULL, &null, &value));
    assert_true(!value.has && value.is_null);
}

/* --- lists ------------------------------------------------------------------------------------ */

static void test_type_lists_hold_their_items_in_order(void **state)
{
    (void)state;
    const pg_cell cell = binary(PG_OID_TEXT_ARRAY, STR("\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\3\0\0\0\1"
                                                       "\0\0\0\1a\0\0\0\0\0\0\0\2bc"));
    text_list values;
    assert_ok(pg_decode_text_list(&memory, &cell, &values));
    assert_int_equal(values.count, 3);
    assert_str_equal(values.items[0], STR("a"));
    assert_true(values.items[1].ptr && values.items[1].len == 0);
    assert_str_equal(values.items[2], STR("bc"));

    const pg_cell wide = binary(PG_OID_INT2_ARRAY, STR("\0\0\0\1\0\0\0\0\0\0\0\x15\0\0\0\2\0\0\0\1"
                                                       "\0\0\0\2\xFF\xFF\0\0\0\2\0\7"));
    int8_list numbers;
    assert_ok(pg_decode_int8_list(&memory, &wide, &numbers));
    assert_int_equal(numbers.items[0], -1);
    assert_int_equal(numbers.items[1], 7);
}

static void test_type_empty_lists_need_no_arena(void **state)
{
    (void)state;
    int4_list values = { .count = 7 };
    const pg_cell none = binary(PG_OID_INT4_ARRAY, STR("\0\0\0\0\0\0\0\0\0\0\0\x17"));
    assert_ok(pg_decode_int4_list(NULL, &none, &values));
    assert_int_equal(values.count, 0);
    values.count = 7;
    const pg_cell no_items =
        binary(PG_OID_INT4_ARRAY, STR("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\0\0\0\0\1"));
    assert_ok(pg_decode_int4_list(NULL, &no_items, &values));
    assert_int_equal(values.count, 0);
}

static void test_type_arrays_that_lie_are_mismatches(void **state)
{
    (void)state;
#define ONE "\0\0\0\4\0\0\0\1"
    static const struct {
        const char *name;
        str bytes;
    } rows[] = {
        { "two dimensions", STR("\0\0\0\2\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1" ONE) },
        { "2^32 - 1 dimensions", STR("\xFF\xFF\xFF\xFF\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1" ONE) },
        { "an unknown flag", STR("\0\0\0\1\0\0\0\2\0\0\0\x17\0\0\0\1\0\0\0\1" ONE) },
        { "another element type", STR("\0\0\0\1\0\0\0\0\0\0\0\x14\0\0\0\1\0\0\0\1" ONE) },
        { "no element type", STR("\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\1" ONE) },
        { "more items than bytes", STR("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\2\0\0\0\1" ONE) },
        { "2^32 - 1 items", STR("\0\0\0\1\0\0\0\0\0\0\0\x17\xFF\xFF\xFF\xFF\0\0\0\1" ONE) },
        { "2^31 items", STR("\0\0\0\1\0\0\0\0\0\0\0\x17\x80\0\0\0\0\0\0\1" ONE) },
        { "fewer items than bytes", STR("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1" ONE ONE) },
        { "no items but bytes", STR("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\0\0\0\0\1" ONE) },
        { "no dimension but bytes", STR("\0\0\0\0\0\0\0\0\0\0\0\x17" ONE) },
        { "an item of 2^32 - 2 bytes",
          STR("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1\xFF\xFF\xFF\xFE\0\0\0\1") },
        { "an item of 2^31 bytes",
          STR("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1\x80\0\0\0\0\0\0\1") },
        { "an item that is too short",
          STR("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1\0\0\0\3\0\0\1") },
        { "an item that is too long",
          STR("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1\0\0\0\5\0\0\0\0\1") },
        { "a NULL", STR("\0\0\0\1\0\0\0\1\0\0\0\x17\0\0\0\1\0\0\0\1\xFF\xFF\xFF\xFF") },
        { "a NULL without the flag",
          STR("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1\xFF\xFF\xFF\xFF") },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int4_list values = { .count = 7 };
        const pg_cell cell = binary(PG_OID_INT4_ARRAY, rows[i].bytes);
        const error e = decode_exact(&shape_type_int4_list, cell, &values);
        if (!error_is(e, &PG_TYPE_MISMATCH))
            fail_msg("%s was taken", rows[i].name);
        assert_int_equal(values.count, 7);
    }
}

static void test_type_list_without_memory_fails(void **state)
{
    (void)state;
    arena none;
    arena_init(&none, 0);
    int4_list values;
    const pg_cell cell = binary(PG_OID_INT4_ARRAY,
                                STR("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0\1"));
    assert_fails(OUT_OF_MEMORY, pg_decode_int4_list(&none, &cell, &values));
    arena_deinit(&none);
}

/* --- the catalog ------------------------------------------------------------------------------ */

static void test_type_catalog_knows_types_and_their_arrays(void **state)
{
    (void)state;
    assert_string_equal(pg_type_name(PG_OID_INT8), "int8");
    assert_string_equal(pg_type_name(PG_OID_TEXT_ARRAY), "text[]");
    assert_string_equal(pg_type_name(PG_OID_NUMERIC), "numeric");
    assert_string_equal(pg_type_name(60000), "type");
    assert_string_equal(pg_type_name(0), "type");
    assert_int_equal(pg_type_format(PG_OID_INT8), PG_BINARY);
    assert_int_equal(pg_type_format(PG_OID_JSONB_ARRAY), PG_BINARY);
    assert_int_equal(pg_type_format(1700), PG_TEXT);
    assert_int_equal(pg_type_format(0), PG_TEXT);
    static const struct {
        pg_oid oid;
        pg_format by_type, as_values, as_json;
    } FORMATS[] = {
        { PG_OID_INT8, PG_BINARY, PG_BINARY, PG_TEXT },
        { PG_OID_TEXT, PG_BINARY, PG_BINARY, PG_BINARY },
        { PG_OID_MONEY, PG_BINARY, PG_BINARY, PG_TEXT },
        { PG_OID_NUMERIC, PG_TEXT, PG_BINARY, PG_TEXT },
        { PG_OID_DATE_ARRAY, PG_TEXT, PG_BINARY, PG_BINARY },
        { PG_OID_TSQUERY, PG_TEXT, PG_BINARY, PG_TEXT },
        { PG_OID_INT4RANGE, PG_TEXT, PG_TEXT, PG_TEXT },
        { PG_OID_RECORD, PG_TEXT, PG_TEXT, PG_TEXT },
        { PG_OID_REGCLASS, PG_TEXT, PG_TEXT, PG_TEXT },
        { PG_OID_XML, PG_TEXT, PG_TEXT, PG_TEXT },
        { PG_OID_JSONPATH_ARRAY, PG_TEXT, PG_TEXT, PG_TEXT },
        { 0, PG_TEXT, PG_TEXT, PG_TEXT },
        { 60000, PG_TEXT, PG_TEXT, PG_TEXT },
        { PG_OID_INT4_ARRAY, PG_BINARY, PG_BINARY, PG_TEXT },
        { PG_OID_TEXT_ARRAY, PG_BINARY, PG_BINARY, PG_BINARY },
        { PG_OID_TIMESTAMP, PG_TEXT, PG_BINARY, PG_BINARY },
        { PG_OID_UUID, PG_BINARY, PG_BINARY, PG_TEXT },
        { PG_OID_JSONB, PG_BINARY, PG_BINARY, PG_BINARY },
    };
    for (size_t i = 0; i < ARRAY_LEN(FORMATS); i++) {
        assert_int_equal(pg_type_format(FORMATS[i].oid), FORMATS[i].by_type);
        assert_int_equal(pg_type_format_as(FORMATS[i].oid, PG_ROWS_BY_TYPE), FORMATS[i].by_type);
        assert_int_equal(pg_type_format_as(FORMATS[i].oid, PG_ROWS_AS_VALUES),
                         FORMATS[i].as_values);
        assert_int_equal(pg_type_format_as(FORMATS[i].oid, PG_ROWS_AS_TEXT), PG_TEXT);
        assert_int_equal(pg_type_format_as(FORMATS[i].oid, PG_ROWS_AS_JSON), FORMATS[i].as_json);
    }
    assert_int_equal(pg_type_element(PG_OID_UUID_ARRAY), PG_OID_UUID);
    assert_int_equal(pg_type_element(PG_OID_UUID), 0);
    assert_int_equal(pg_type_element(PG_OID_UNKNOWN), 0);
    assert_int_equal(pg_type_element(0), 0);
    assert_int_equal(pg_type_of_shape(&shape_type_int8), PG_OID_INT8);
    assert_int_equal(pg_type_of_shape(&shape_type_opt_text), PG_OID_TEXT);
    assert_int_equal(pg_type_of_shape(&shape_type_jsonb_list), PG_OID_JSONB_ARRAY);
    assert_int_equal(pg_type_of_shape(&(shape_type){ .kind = SHAPE_STRUCT }), 0);
}

static void test_type_mismatch_tells_types_and_no_values(void **state)
{
    (void)state;
    int64_t value;
    const pg_cell cell = binary(PG_OID_TEXT, STR("hunter2"));
    const error e = pg_decode_int8(NULL, &cell, &value);
    assert_fails(PG_TYPE_MISMATCH, e);
    assert_str_equal(error_detail_of(e)->text,
                     STR("text (OID 25) of 7 bytes cannot be read as int8"));
    const pg_cell null = binary(PG_OID_TEXT, STR_NONE);
    const error e2 = pg_decode_int8(NULL, &null, &value);
    assert_str_equal(error_detail_of(e2)->text,
                     STR("NULL in a column of text (OID 25) that is read as int8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_type_bool_is_one_byte_of_0_or_1),
        TEST(test_type_integers_widen_and_never_narrow),
        TEST(test_type_float8_takes_all_values_of_both_widths),
        TEST(test_type_text_is_a_view_of_every_textual_column),
        TEST(test_type_float4_takes_real_only),
        TEST(test_type_money_has_no_text),
        TEST(test_type_text_of_xml_and_jsonpath_is_read_from_binary),
        TEST(test_type_nobody_has_heard_of_is_text_or_a_mismatch),
        TEST(test_type_text_format_is_text_for_every_type),
        TEST(test_type_text_says_the_same_as_binary),
        TEST(test_type_text_that_is_no_such_value_is_refused),
        TEST(test_type_lists_of_optionals_have_nulls),
        TEST(test_type_bytes_instants_uuids_and_json),
        TEST(test_type_every_column_fits_exactly_its_readers),
        TEST(test_type_cut_or_longer_bytes_are_mismatches),
        TEST(test_type_null_fits_optional_readers_only),
        TEST(test_type_optional_value_is_set_and_left_alone_on_failure),
        TEST(test_type_lists_hold_their_items_in_order),
        TEST(test_type_empty_lists_need_no_arena),
        TEST(test_type_arrays_that_lie_are_mismatches),
        TEST(test_type_list_without_memory_fails),
        TEST(test_type_catalog_knows_types_and_their_arrays),
        TEST(test_type_mismatch_tells_types_and_no_values),
    };
    return cmocka_run_group_tests_name("pg type", tests, NULL, NULL);
}
