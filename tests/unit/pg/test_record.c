/* Composites, arrays and ranges of any type as cells, and what is written of them. */
#include "type_test.h"
#include "value.h"

/* --- composites ------------------------------------------------------------------------------- */

static void test_record_text_is_its_fields(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t count;
        const char *fields[4]; /* NULL: NULL */
    } ROWS[] = {
        { "()", 1, { NULL } },
        { "(1)", 1, { "1" } },
        { "(,)", 2, { NULL, NULL } },
        { "(1,a,)", 3, { "1", "a", NULL } },
        { "(\"\",\"a b\")", 2, { "", "a b" } },
        { "(\"a\"\"b\",\"c\\\\d\",\"e,f\",\"(g)\")", 4, { "a\"b", "c\\d", "e,f", "(g)" } },
        { "(\"(1,\"\"a b\"\")\",\"{1,2}\")", 2, { "(1,\"a b\")", "{1,2}" } },
    };
    static const pg_oid OIDS[] = { PG_OID_RECORD, 0, 99999 };
    for (size_t i = 0; i < ARRAY_LEN(ROWS) * ARRAY_LEN(OIDS); i++) {
        const str text = exact_copy(str_from_c(ROWS[i / 3].text));
        const pg_cell cell = { OIDS[i % 3], PG_TEXT, text };
        pg_record record;
        assert_ok(pg_decode_pg_record(&memory, &cell, &record));
        assert_int_equal(record.count, ROWS[i / 3].count);
        for (size_t j = 0; j < record.count; j++) {
            const pg_cell *field = pg_record_cell(&record, j);
            assert_int_equal(field->oid, 0);
            assert_int_equal(field->bytes.ptr == NULL, ROWS[i / 3].fields[j] == NULL);
            assert_str_equal(field->bytes, str_from_c(ROWS[i / 3].fields[j]));
        }
        assert_str_equal(pg_record_format(&memory, &record), text);
        exact_free(text);
    }
}

static void test_record_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const TEXTS[] = { "",     "(",     "(1",    "1)",    "(1))",    "(1)x",
                                         "(1,2", "(\"1)", "(1\\)", "{1,2}", "(1,\"2)", "(1\\" };
    pg_record record;
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        const str copy = exact_copy(str_from_c(TEXTS[i]));
        const error e =
            pg_decode_pg_record(&memory, &(pg_cell){ PG_OID_RECORD, PG_TEXT, copy }, &record);
        exact_free(copy);
        if (!error_is(e, &PG_TYPE_MISMATCH))
            fail_msg("%s is read", TEXTS[i]);
    }
    const pg_cell text = { PG_OID_TEXT, PG_TEXT, STR("(1)") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_record(&memory, &text, &record));
    const pg_cell null = { PG_OID_RECORD, PG_TEXT, STR_NONE };
    opt_pg_record maybe;
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_record(&memory, &null, &record));
    assert_ok(pg_decode_opt_pg_record(&memory, &null, &maybe));
    assert_true(maybe.is_null && !maybe.has);
}

static void test_record_binary_has_types(void **state)
{
    (void)state;
    const str bytes = STR("\0\0\0\3\0\0\0\x17\0\0\0\4\0\0\0\7"
                          "\0\0\0\x19\xFF\xFF\xFF\xFF\0\1\x86\x9F\0\0\0\2hi");
    pg_record record;
    for (size_t len = 0; len < bytes.len; len++) {
        const str cut = exact_copy((str){ bytes.ptr, len });
        assert_fails(
            PG_TYPE_MISMATCH,
            pg_decode_pg_record(&memory, &(pg_cell){ PG_OID_RECORD, PG_BINARY, cut }, &record));
        exact_free(cut);
    }
    assert_ok(pg_decode_pg_record(&memory, &(pg_cell){ 99999, PG_BINARY, bytes }, &record));
    assert_int_equal(record.count, 3);
    int64_t seven;
    opt_text text;
    assert_ok(pg_get_cell(pg_record_cell(&record, 0), &seven));
    assert_int_equal(seven, 7);
    assert_ok(pg_get_cell(pg_record_cell(&record, 1), &text));
    assert_true(text.is_null);
    assert_int_equal(pg_record_cell(&record, 2)->oid, 99999);
    assert_str_equal(pg_record_cell(&record, 2)->bytes, STR("hi"));
    const pg_cell none = { PG_OID_RECORD, PG_BINARY, STR("\xFF\xFF\xFF\xFF\0\0\0\x17\0\0\0\0") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_record(&memory, &none, &record));
}

static void test_record_is_written_of_any_values(void **state)
{
    (void)state;
    pg_record inner;
    pg_record record;
    int32_t int4s[] = { 1, -2 };
    str texts[] = { STR("a b"), STR_NONE };
    pg_box boxes[] = { { { 1, 1 }, { 0, 0 } }, { { 2, 2 }, { 0, 0 } } };
    assert_ok(pg_record_of(&memory, PG_VALUES(7, STR("x\"y")), &inner));
    assert_ok(
        pg_record_of(&memory,
                     PG_VALUES(true, 1.5, 0.1F, STR(""), ((bytea){ (const uint8_t *)"\0\xAB", 2 }),
                               inner, ((int4_list){ int4s, 2 }), ((text_list){ texts, 2 }),
                               ((pg_int4range){ .lower = 1, .upper = 3 }),
                               ((timestamptz){ 1000000 }), ((opt_int8){ .is_null = true }),
                               ((pg_box_list){ boxes, 2 }), ((jsonb){ STR("{\"a\": 1}") })),
                     &record));
    assert_str_equal(pg_record_format(&memory, &record),
                     STR("(t,1.5,0.1,\"\",\"\\\\x00ab\",\"(7,\"\"x\"\"\"\"y\"\")\",\"{1,-2}\","
                         "\"{\"\"a b\"\",NULL}\",\"[1,3)\",\"2000-01-01 00:00:01+00\",,"
                         "\"{(1,1),(0,0);(2,2),(0,0)}\",\"{\"\"a\"\": 1}\")"));
    const pg_value value = pg_param(record);
    assert_int_equal(value.oid, 0);
    assert_int_equal(pg_value_format(&value), PG_TEXT);
    assert_fails(PG_INVALID_ARGUMENT, pg_record_of(&memory, PG_VALUES(((pg_money){ 1 })), &record));
    pg_money cents[] = { { 1 } };
    assert_fails(PG_INVALID_ARGUMENT,
                 pg_record_of(&memory, PG_VALUES(((pg_money_list){ cents, 1 })), &record));
    const pg_values many = { &value, PG_RECORD_FIELDS_MAX + 1 };
    assert_fails(PG_INVALID_ARGUMENT, pg_record_of(&memory, many, &record));
    assert_null(pg_record_cell(&inner, 2)->bytes.ptr); /* behind its end */
}

/* --- arrays ----------------------------------------------------------------------------------- */

static void assert_written(const pg_value *value, pg_oid oid, pg_format format, str expected)
{
    assert_int_equal(value->oid, oid);
    assert_int_equal(pg_value_format(value), format);
    const size_t size = pg_value_size(value);
    char *bytes = arena_alloc(&memory, size, 1);
    assert_ptr_equal(pg_value_put(value, bytes), bytes + size);
    assert_str_equal(((str){ bytes, size }), expected);
}

static void test_array_of_values_has_dimensions(void **state)
{
    (void)state;
    pg_array array;
    assert_ok(pg_array_of(&memory, PG_VALUES(1, 2, pg_param_null(PG_OID_INT4), 4, 5, 6), 2,
                          (const uint32_t[]){ 3, 2 }, &array));
    const pg_value value = pg_param(array);
    assert_written(&value, PG_OID_INT4_ARRAY, PG_TEXT, STR("{{1,2},{NULL,4},{5,6}}"));
    array.sides[0].lower = 0;
    array.sides[1].lower = -1;
    const pg_value moved = pg_param(array);
    assert_written(&moved, PG_OID_INT4_ARRAY, PG_TEXT, STR("[0:2][-1:0]={{1,2},{NULL,4},{5,6}}"));
    assert_ok(pg_array_of(&memory, PG_VALUES(STR("a"), STR(""), STR("null"), STR("x\"\\y")), 3,
                          (const uint32_t[]){ 1, 2, 2 }, &array));
    const pg_value texts = pg_param(array);
    assert_written(&texts, PG_OID_TEXT_ARRAY, PG_TEXT,
                   STR("{{{a,\"\"},{\"null\",\"x\\\"\\\\y\"}}}"));
    assert_ok(pg_array_of(&memory, PG_VALUES(pg_param_literal(STR("so so"))), 1,
                          (const uint32_t[]){ 1 }, &array));
    const pg_value literals = pg_param(array);
    assert_written(&literals, 0, PG_TEXT, STR("{\"so so\"}"));
    assert_ok(pg_array_of(&memory, PG_VALUES(), 0, NULL, &array));
    const pg_value empty = pg_param(array);
    assert_written(&empty, 0, PG_TEXT, STR("{}"));
    const pg_value none = pg_param(((opt_pg_array){ .is_null = true }));
    assert_true(none.is_null);
}

static void test_array_of_received_cells_goes_back_as_it_came(void **state)
{
    (void)state;
    const str bytes = STR("\0\0\0\2\0\0\0\1\0\0\0\x15"
                          "\0\0\0\2\0\0\0\0\0\0\0\1\xFF\xFF\xFF\xFF"
                          "\0\0\0\2\0\7\xFF\xFF\xFF\xFF");
    pg_array array;
    pg_record record;
    assert_ok(
        pg_decode_pg_array(&memory, &(pg_cell){ PG_OID_INT2_ARRAY, PG_BINARY, bytes }, &array));
    const pg_value value = pg_param(array);
    assert_written(&value, PG_OID_INT2_ARRAY, PG_BINARY, bytes);
    assert_ok(pg_record_of(&memory, PG_VALUES(array), &record));
    assert_str_equal(pg_record_format(&memory, &record), STR("(\"[0:1][-1:-1]={{7},{NULL}}\")"));
    const pg_cell lies = { PG_OID_INT2_ARRAY, PG_BINARY,
                           STR("\0\0\0\1\0\0\0\0\0\0\0\x15\0\0\0\1\0\0\0\1\0\0\0\1\7") };
    assert_ok(pg_decode_pg_array(&memory, &lies, &array));
    assert_fails(PG_INVALID_ARGUMENT, pg_record_of(&memory, PG_VALUES(array), &record));
    const pg_cell numbers = { PG_OID_NUMERIC_ARRAY, PG_TEXT, STR("[2:3]={1.50,NULL}") };
    assert_ok(pg_decode_pg_array(&memory, &numbers, &array));
    const pg_value decimals = pg_param(array);
    assert_written(&decimals, PG_OID_NUMERIC_ARRAY, PG_TEXT, numbers.bytes);
    const pg_cell nothing = { PG_OID_INT4_ARRAY, PG_BINARY, STR("\0\0\0\0\0\0\0\0\0\0\0\x17") };
    assert_ok(pg_decode_pg_array(&memory, &nothing, &array));
    const pg_value empty = pg_param(array);
    assert_written(&empty, PG_OID_INT4_ARRAY, PG_BINARY, nothing.bytes);
}

static void test_array_that_the_server_would_not_take_is_refused(void **state)
{
    (void)state;
    pg_array array;
    const uint32_t seven[] = { 1, 1, 1, 1, 1, 1, 1 };
    assert_fails(PG_INVALID_ARGUMENT, pg_array_of(&memory, PG_VALUES(1), 7, seven, &array));
    assert_fails(PG_INVALID_ARGUMENT,
                 pg_array_of(&memory, PG_VALUES(1, 2), 1, (const uint32_t[]){ 3 }, &array));
    assert_fails(PG_INVALID_ARGUMENT, pg_array_of(&memory, PG_VALUES(1), 0, NULL, &array));
    assert_fails(PG_INVALID_ARGUMENT,
                 pg_array_of(&memory, PG_VALUES(), 1, (const uint32_t[]){ 0 }, &array));
    assert_fails(PG_INVALID_ARGUMENT,
                 pg_array_of(&memory, PG_VALUES(1, 2L), 1, (const uint32_t[]){ 2 }, &array));
    assert_fails(PG_INVALID_ARGUMENT, pg_array_of(&memory, PG_VALUES(((int4_list){ 0 })), 1,
                                                  (const uint32_t[]){ 1 }, &array));
    assert_fails(PG_INVALID_ARGUMENT, pg_array_of(&memory, PG_VALUES(((pg_money){ 1 })), 1,
                                                  (const uint32_t[]){ 1 }, &array));
    const uint32_t huge[] = { UINT32_MAX, UINT32_MAX, UINT32_MAX };
    assert_fails(PG_INVALID_ARGUMENT, pg_array_of(&memory, PG_VALUES(1), 3, huge, &array));
    const pg_value value = pg_param(1);
    const pg_values many = { &value, PG_ARRAY_ITEMS_MAX + 1 };
    assert_fails(
        PG_INVALID_ARGUMENT,
        pg_array_of(&memory, many, 1, (const uint32_t[]){ PG_ARRAY_ITEMS_MAX + 1 }, &array));
}

/* --- ranges ----------------------------------------------------------------------------------- */

static void test_range_of_any_type_is_two_cells(void **state)
{
    (void)state;
    pg_range range;
    pg_multirange ranges;
    const pg_cell custom = { 99999, PG_TEXT, STR("(\"a,\\\"\"\"\",]") };
    assert_ok(pg_decode_pg_range(&memory, &custom, &range));
    assert_int_equal(range.lower.oid, 0);
    assert_str_equal(range.lower.bytes, STR("a,\"\""));
    assert_true(range.lower_exclusive && range.upper_unbounded && !range.upper_inclusive);
    const pg_cell known = { PG_OID_INT4RANGE, PG_BINARY, STR("\x12\0\0\0\4\0\0\0\7") };
    assert_ok(pg_decode_pg_range(&memory, &known, &range));
    int32_t seven;
    assert_ok(pg_get_cell(&range.lower, &seven));
    assert_int_equal(seven, 7);
    const pg_cell several = { 99999, PG_TEXT, STR("{[1.5,2),[3,)}") };
    assert_ok(pg_decode_pg_multirange(&memory, &several, &ranges));
    assert_int_equal(ranges.count, 2);
    assert_str_equal(pg_multirange_format(&memory, &ranges), several.bytes);
    const pg_value value = pg_param(ranges);
    assert_written(&value, 0, PG_TEXT, several.bytes);
    const pg_cell text = { PG_OID_TEXT, PG_TEXT, STR("[1,2)") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_range(&memory, &text, &range));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_multirange(&memory, &known, &ranges));
    const pg_cell null = { 99999, PG_TEXT, STR_NONE };
    opt_pg_range maybe;
    opt_pg_multirange maybe_several;
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_range(&memory, &null, &range));
    assert_ok(pg_decode_opt_pg_range(&memory, &null, &maybe));
    assert_ok(pg_decode_opt_pg_multirange(&memory, &null, &maybe_several));
    assert_true(maybe.is_null && maybe_several.is_null);
}

static void test_range_of_values_is_half_open(void **state)
{
    (void)state;
    pg_range range;
    assert_ok(pg_range_of(&memory, pg_param(1.5), pg_param_null(0), &range));
    assert_str_equal(pg_range_format(&memory, &range), STR("[1.5,)"));
    assert_ok(pg_range_of(&memory, pg_param(STR("a b")), pg_param(STR("")), &range));
    range.upper_inclusive = true;
    assert_str_equal(pg_range_format(&memory, &range), STR("[\"a b\",\"\"]"));
    assert_fails(PG_INVALID_ARGUMENT,
                 pg_range_of(&memory, pg_param(((pg_money){ 1 })), pg_param(1), &range));
}

static int run(void)
{
    const struct CMUnitTest group[] = {
        TEST(test_record_text_is_its_fields),
        TEST(test_record_that_is_none_is_refused),
        TEST(test_record_binary_has_types),
        TEST(test_record_is_written_of_any_values),
        TEST(test_array_of_values_has_dimensions),
        TEST(test_array_of_received_cells_goes_back_as_it_came),
        TEST(test_array_that_the_server_would_not_take_is_refused),
        TEST(test_range_of_any_type_is_two_cells),
        TEST(test_range_of_values_is_half_open),
    };
    return cmocka_run_group_tests_name("pg record", group, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
