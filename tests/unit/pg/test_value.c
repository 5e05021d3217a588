/* C values into parameters: hand-written bytes of every type, and back through the decoders. */
#include "type_test.h"
#include "value.h"
#include "wire.h"

#include "tests/support/random.h"

#include <math.h>

/* The parameter's bytes; STR_NONE for NULL. Checks that what is written is what was announced. */
static str encode(const pg_value *value)
{
    const size_t size = pg_value_size(value);
    assert_true(size <= PG_MESSAGE_BYTES_MAX);
    if (value->is_null) {
        assert_int_equal(size, 0);
        return STR_NONE;
    }
    char *room = malloc(size + 1); /* so that AddressSanitizer sees one byte too many */
    assert_non_null(room);
    room[size] = 'x';
    const char *end = pg_value_put(value, room);
    assert_ptr_equal(end, room + size);
    assert_int_equal(room[size], 'x');
    const str bytes = str_copy(&memory, (str){ room, size });
    free(room);
    return bytes;
}

static void assert_encodes_at(pg_value value, pg_oid oid, str expected, int line)
{
    const str bytes = encode(&value);
    if (value.oid != oid || !str_eq(bytes, expected) || !bytes.ptr != !expected.ptr) {
        for (size_t i = 0; bytes.ptr && i < bytes.len; i++)
            print_error("\\x%02X", (unsigned char)bytes.ptr[i]);
        print_error(" of type %u\n", value.oid);
        _fail(__FILE__, line);
    }
}
#define assert_encodes(value, oid, bytes) \
    assert_encodes_at(pg_param(value), (oid), (bytes), __LINE__)

static const uuid ID = { "0123456789abcde" };
#define ID_BYTES "0123456789abcde\0"

/* --- scalars ---------------------------------------------------------------------------------- */

static void test_value_numbers_are_in_network_order(void **state)
{
    (void)state;
    assert_encodes(true, PG_OID_BOOL, STR("\1"));
    assert_encodes(false, PG_OID_BOOL, STR("\0"));
    assert_encodes((int16_t)-2, PG_OID_INT2, STR("\xFF\xFE"));
    assert_encodes((int16_t)0x0102, PG_OID_INT2, STR("\1\2"));
    assert_encodes((int32_t)0x01020304, PG_OID_INT4, STR("\1\2\3\4"));
    assert_encodes(INT32_MIN, PG_OID_INT4, STR("\x80\0\0\0"));
    assert_encodes((int64_t)0x0102030405060708, PG_OID_INT8, STR("\1\2\3\4\5\6\7\x08"));
    assert_encodes(INT64_MIN, PG_OID_INT8, STR("\x80\0\0\0\0\0\0\0"));
    assert_encodes(0.5F, PG_OID_FLOAT4, STR("\x3F\0\0\0"));
    assert_encodes((pg_money){ -2 }, PG_OID_MONEY, STR("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE"));
    assert_encodes(-2.5, PG_OID_FLOAT8, STR("\xC0\x04\0\0\0\0\0\0"));
    assert_encodes(-0.0, PG_OID_FLOAT8, STR("\x80\0\0\0\0\0\0\0"));
    assert_encodes((double)INFINITY, PG_OID_FLOAT8, STR("\x7F\xF0\0\0\0\0\0\0"));
}

static void test_value_c_integers_take_the_type_that_holds_them(void **state)
{
    (void)state;
    assert_encodes((signed char)-1, PG_OID_INT2, STR("\xFF\xFF"));
    assert_encodes((unsigned char)255, PG_OID_INT2, STR("\0\xFF"));
    assert_encodes((unsigned short)65535, PG_OID_INT4, STR("\0\0\xFF\xFF"));
    assert_encodes(4294967295U, PG_OID_INT8, STR("\0\0\0\0\xFF\xFF\xFF\xFF"));
    assert_encodes(1L, PG_OID_INT8, STR("\0\0\0\0\0\0\0\1"));
    assert_encodes(1LL, PG_OID_INT8, STR("\0\0\0\0\0\0\0\1"));
}

static void test_value_text_bytes_and_json_are_as_they_are(void **state)
{
    (void)state;
    assert_encodes(STR("h\xC3\xA9llo"), PG_OID_TEXT, STR("h\xC3\xA9llo"));
    assert_encodes(STR(""), PG_OID_TEXT, STR(""));
    assert_encodes(((bytea){ (const uint8_t *)"\0\xFF", 2 }), PG_OID_BYTEA, STR("\0\xFF"));
    assert_encodes(((bytea){ NULL, 0 }), PG_OID_BYTEA, STR(""));
    assert_encodes((jsonb){ STR("{\"a\":1}") }, PG_OID_JSONB, STR("\1{\"a\":1}"));
    assert_encodes(ID, PG_OID_UUID, STR(ID_BYTES));
    assert_encodes((timestamptz){ 1000000 }, PG_OID_TIMESTAMPTZ, STR("\0\0\0\0\0\x0F\x42\x40"));
    assert_encodes(TIMESTAMPTZ_INFINITY, PG_OID_TIMESTAMPTZ,
                   STR("\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"));
}

static void test_value_null_keeps_its_type(void **state)
{
    (void)state;
    assert_encodes(STR_NONE, PG_OID_TEXT, STR_NONE);
    assert_encodes((jsonb){ STR_NONE }, PG_OID_JSONB, STR_NONE);
    assert_encodes((opt_bool){ 0 }, PG_OID_BOOL, STR_NONE);
    assert_encodes((opt_int2){ 0 }, PG_OID_INT2, STR_NONE);
    assert_encodes((opt_int4){ 0 }, PG_OID_INT4, STR_NONE);
    assert_encodes((opt_int8){ 0 }, PG_OID_INT8, STR_NONE);
    assert_encodes((opt_float4){ 0 }, PG_OID_FLOAT4, STR_NONE);
    assert_encodes((opt_pg_bits){ 0 }, PG_OID_VARBIT, STR_NONE);
    assert_encodes((opt_float8){ 0 }, PG_OID_FLOAT8, STR_NONE);
    assert_encodes((opt_text){ .is_null = true }, PG_OID_TEXT, STR_NONE);
    assert_encodes((opt_bytea){ 0 }, PG_OID_BYTEA, STR_NONE);
    assert_encodes((opt_timestamptz){ 0 }, PG_OID_TIMESTAMPTZ, STR_NONE);
    assert_encodes((opt_uuid){ 0 }, PG_OID_UUID, STR_NONE);
    assert_encodes((opt_jsonb){ 0 }, PG_OID_JSONB, STR_NONE);
    assert_encodes(pg_param_null(PG_OID_INT8_ARRAY), PG_OID_INT8_ARRAY, STR_NONE);
}

static void test_value_optional_is_its_value_where_it_has_one(void **state)
{
    (void)state;
    assert_encodes(((opt_int8){ .has = true, .value = 7 }), PG_OID_INT8, STR("\0\0\0\0\0\0\0\7"));
    assert_encodes(((opt_text){ .has = true, .value = STR("a") }), PG_OID_TEXT, STR("a"));
    assert_encodes(((opt_text){ .has = true, .value = STR_NONE }), PG_OID_TEXT, STR_NONE);
    assert_encodes(((opt_bool){ .has = true, .value = true }), PG_OID_BOOL, STR("\1"));
    assert_encodes(((opt_uuid){ .has = true, .value = ID }), PG_OID_UUID, STR(ID_BYTES));
}

static void test_value_literal_has_no_type_and_goes_as_text(void **state)
{
    (void)state;
    const pg_value literal = pg_param_literal(STR("12.50"));
    assert_encodes(literal, 0, STR("12.50"));
    assert_int_equal(pg_value_format(&literal), PG_TEXT);
    assert_encodes(pg_param_literal(STR_NONE), 0, STR_NONE);
    const pg_value number = pg_param(7);
    assert_int_equal(pg_value_format(&number), PG_BINARY);
}

/* --- lists ------------------------------------------------------------------------------------ */

static void test_value_lists_are_arrays_of_one_dimension(void **state)
{
    (void)state;
    int32_t int4s[] = { 1, -1 };
    assert_encodes(((int4_list){ int4s, 2 }), PG_OID_INT4_ARRAY,
                   STR("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\2\0\0\0\1"
                       "\0\0\0\4\0\0\0\1\0\0\0\4\xFF\xFF\xFF\xFF"));
    bool bools[] = { true };
    assert_encodes(((bool_list){ bools, 1 }), PG_OID_BOOL_ARRAY,
                   STR("\0\0\0\1\0\0\0\0\0\0\0\x10\0\0\0\1\0\0\0\1\0\0\0\1\1"));
    str texts[] = { STR("a"), STR(""), STR("bc") };
    assert_encodes(((text_list){ texts, 3 }), PG_OID_TEXT_ARRAY,
                   STR("\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\3\0\0\0\1"
                       "\0\0\0\1a\0\0\0\0\0\0\0\2bc"));
    jsonb documents[] = { { STR("[]") } };
    assert_encodes(((jsonb_list){ documents, 1 }), PG_OID_JSONB_ARRAY,
                   STR("\0\0\0\1\0\0\0\0\0\0\x0E\xDA\0\0\0\1\0\0\0\1\0\0\0\3\1[]"));
    bytea bytes[] = { { (const uint8_t *)"\xFF", 1 } };
    assert_encodes(((bytea_list){ bytes, 1 }), PG_OID_BYTEA_ARRAY,
                   STR("\0\0\0\1\0\0\0\0\0\0\0\x11\0\0\0\1\0\0\0\1\0\0\0\1\xFF"));
    uuid ids[] = { ID };
    assert_encodes(((uuid_list){ ids, 1 }), PG_OID_UUID_ARRAY,
                   STR("\0\0\0\1\0\0\0\0\0\0\x0B\x86\0\0\0\1\0\0\0\1\0\0\0\x10" ID_BYTES));
}

static void test_value_empty_list_has_no_dimension(void **state)
{
    (void)state;
    assert_encodes(((int8_list){ NULL, 0 }), PG_OID_INT8_ARRAY, STR("\0\0\0\0\0\0\0\0\0\0\0\x14"));
    assert_encodes(((text_list){ NULL, 0 }), PG_OID_TEXT_ARRAY, STR("\0\0\0\0\0\0\0\0\0\0\0\x19"));
}

static void test_value_missing_text_in_a_list_is_null(void **state)
{
    (void)state;
    str texts[] = { STR("a"), STR_NONE };
    assert_encodes(((text_list){ texts, 2 }), PG_OID_TEXT_ARRAY,
                   STR("\0\0\0\1\0\0\0\1\0\0\0\x19\0\0\0\2\0\0\0\1"
                       "\0\0\0\1a\xFF\xFF\xFF\xFF"));
}

static void test_value_lists_of_optionals_have_nulls(void **state)
{
    (void)state;
    opt_int2 int2s[] = { { .has = true, .value = 7 }, { .is_null = true, .value = 8 }, { 0 } };
    assert_encodes(((opt_int2_list){ int2s, 3 }), PG_OID_INT2_ARRAY,
                   STR("\0\0\0\1\0\0\0\1\0\0\0\x15\0\0\0\3\0\0\0\1"
                       "\0\0\0\2\0\7\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"));
    opt_text texts[] = { { .is_null = true }, { .has = true, .value = STR("a") } };
    assert_encodes(((opt_text_list){ texts, 2 }), PG_OID_TEXT_ARRAY,
                   STR("\0\0\0\1\0\0\0\1\0\0\0\x19\0\0\0\2\0\0\0\1"
                       "\xFF\xFF\xFF\xFF\0\0\0\1a"));
    opt_pg_date dates[] = { { .has = true, .value = { 1 } } };
    assert_encodes(((opt_pg_date_list){ dates, 1 }), PG_OID_DATE_ARRAY,
                   STR("\0\0\0\1\0\0\0\0\0\0\4\x3A\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0\1"));
    assert_encodes(((opt_bool_list){ NULL, 0 }), PG_OID_BOOL_ARRAY,
                   STR("\0\0\0\0\0\0\0\0\0\0\0\x10"));
}

static void test_value_past_a_messages_size_is_refused_before_it_is_written(void **state)
{
    (void)state;
    const pg_value fits = pg_param(((str){ "", PG_MESSAGE_BYTES_MAX }));
    assert_int_equal(pg_value_size(&fits), PG_MESSAGE_BYTES_MAX);
    const pg_value text = pg_param(((str){ "", (size_t)PG_MESSAGE_BYTES_MAX + 1 }));
    assert_true(pg_value_size(&text) == SIZE_MAX);
    const pg_value document = pg_param(((jsonb){ { "", PG_MESSAGE_BYTES_MAX } }));
    assert_true(pg_value_size(&document) == SIZE_MAX);
    str texts[] = { { "", PG_MESSAGE_BYTES_MAX / 2 }, { "", PG_MESSAGE_BYTES_MAX / 2 } };
    const pg_value values = pg_param(((text_list){ texts, 2 }));
    assert_true(pg_value_size(&values) == SIZE_MAX);
    int64_t none = 0;
    const pg_value many = pg_param(((int8_list){ &none, PG_MESSAGE_BYTES_MAX / 12 + 1 }));
    assert_true(pg_value_size(&many) == SIZE_MAX);
    const pg_value absurd = pg_param(((int8_list){ &none, SIZE_MAX / 8 }));
    assert_true(pg_value_size(&absurd) == SIZE_MAX);
    str missing;
    const pg_value absurd_texts = pg_param(((text_list){ &missing, SIZE_MAX / 16 }));
    assert_true(pg_value_size(&absurd_texts) == SIZE_MAX);
}

/* --- shapes ----------------------------------------------------------------------------------- */

#define SAMPLE_FIELDS(F)   \
    F(flag, bool)          \
    F(small, int2)         \
    F(middle, opt_int4)    \
    F(large, int8)         \
    F(ratio, float8)       \
    F(name, opt_text)      \
    F(blob, bytea)         \
    F(at, opt_timestamptz) \
    F(id, opt_uuid)        \
    F(document, jsonb)     \
    F(numbers, int2_list)  \
    F(words, text_list)
SHAPE(sample, SAMPLE_FIELDS)

static void test_value_members_of_a_shape_are_their_parameters(void **state)
{
    (void)state;
    int16_t numbers[] = { 1 };
    str words[] = { STR("w") };
    const sample s = {
        .flag = true,
        .small = 2,
        .middle = { .has = true, .value = 3 },
        .large = 4,
        .ratio = 1.0,
        .name = { .is_null = true },
        .blob = { (const uint8_t *)"b", 1 },
        .id = { .has = true, .value = ID },
        .document = { STR("{}") },
        .numbers = { numbers, 1 },
        .words = { words, 1 },
    };
    static const struct {
        pg_oid oid;
        str bytes;
    } expected[] = {
        { PG_OID_BOOL, STR("\1") },
        { PG_OID_INT2, STR("\0\2") },
        { PG_OID_INT4, STR("\0\0\0\3") },
        { PG_OID_INT8, STR("\0\0\0\0\0\0\0\4") },
        { PG_OID_FLOAT8, STR("\x3F\xF0\0\0\0\0\0\0") },
        { PG_OID_TEXT, STR_NONE },
        { PG_OID_BYTEA, STR("b") },
        { PG_OID_TIMESTAMPTZ, STR_NONE },
        { PG_OID_UUID, STR(ID_BYTES) },
        { PG_OID_JSONB, STR("\1{}") },
        { PG_OID_INT2_ARRAY, STR("\0\0\0\1\0\0\0\0\0\0\0\x15\0\0\0\1\0\0\0\1\0\0\0\2\0\1") },
        { PG_OID_TEXT_ARRAY, STR("\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1\0\0\0\1w") },
    };
    const shape *self = SHAPE_OF(sample)();
    assert_int_equal(self->field_count, ARRAY_LEN(expected));
    sample back;
    memset(&back, 0x55, sizeof back);
    for (uint32_t i = 0; i < self->field_count; i++) {
        const shape_field *field = &self->fields[i];
        const pg_value value = pg_param_member(field->type, (const char *)&s + field->offset);
        assert_encodes(value, expected[i].oid, expected[i].bytes);
        const pg_cell cell = { value.oid, PG_BINARY, encode(&value) };
        assert_ok(pg_decode_member(&memory, &cell, field->type, (char *)&back + field->offset));
    }
    assert_true(back.flag && back.small == 2 && back.middle.has && back.middle.value == 3);
    assert_true(back.large == 4 && back.ratio == 1.0 && !back.name.has && back.name.is_null);
    assert_true(!back.at.has && back.id.has && memcmp(&back.id.value, &ID, sizeof ID) == 0);
    assert_str_equal(back.document.text, STR("{}"));
    assert_true(back.numbers.count == 1 && back.numbers.items[0] == 1);
    assert_true(back.words.count == 1 && str_eq(back.words.items[0], STR("w")));
}

/* --- there and back --------------------------------------------------------------------------- */

static void test_value_random_lists_come_back_as_they_went(void **state)
{
    (void)state;
    random_state random = random_start();
    for (unsigned round = 0; round < 2000; round++) {
        const size_t count = random_below(&random, 20);
        int64_t int8s[20];
        str texts[20];
        char letters[64];
        for (size_t i = 0; i < sizeof letters; i++)
            letters[i] = (char)random_next(&random);
        for (size_t i = 0; i < count; i++) {
            int8s[i] = (int64_t)random_next(&random);
            texts[i] = (str){ letters, random_below(&random, sizeof letters) };
        }
        const pg_value numbers = pg_param(((int8_list){ int8s, count }));
        int8_list int8s_back;
        assert_ok(pg_decode_int8_list(
            &memory, &(pg_cell){ numbers.oid, PG_BINARY, encode(&numbers) }, &int8s_back));
        assert_int_equal(int8s_back.count, count);
        for (size_t i = 0; i < count; i++)
            assert_true(int8s_back.items[i] == int8s[i]);
        const pg_value words = pg_param(((text_list){ texts, count }));
        text_list texts_back;
        assert_ok(pg_decode_text_list(&memory, &(pg_cell){ words.oid, PG_BINARY, encode(&words) },
                                      &texts_back));
        assert_int_equal(texts_back.count, count);
        for (size_t i = 0; i < count; i++)
            assert_str_equal(texts_back.items[i], texts[i]);
        arena_reset(&memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_value_numbers_are_in_network_order),
        TEST(test_value_c_integers_take_the_type_that_holds_them),
        TEST(test_value_text_bytes_and_json_are_as_they_are),
        TEST(test_value_null_keeps_its_type),
        TEST(test_value_optional_is_its_value_where_it_has_one),
        TEST(test_value_literal_has_no_type_and_goes_as_text),
        TEST(test_value_lists_are_arrays_of_one_dimension),
        TEST(test_value_empty_list_has_no_dimension),
        TEST(test_value_missing_text_in_a_list_is_null),
        TEST(test_value_lists_of_optionals_have_nulls),
        TEST(test_value_past_a_messages_size_is_refused_before_it_is_written),
        TEST(test_value_members_of_a_shape_are_their_parameters),
        TEST(test_value_random_lists_come_back_as_they_went),
    };
    return cmocka_run_group_tests_name("pg value", tests, NULL, NULL);
}
