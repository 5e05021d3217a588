/* Arrays as cells: dimensions, NULLs, bounds, and everything that is no array. */
#include "type_test.h"

static void test_array_text_has_dimensions_bounds_and_nulls(void **state)
{
    (void)state;
    const pg_cell cell = { PG_OID_TEXT_ARRAY, PG_TEXT,
                           STR("[0:1][-1:1]={{a,\"b c\",NULL},{\"NULL\",\"\\\"\\\\,}\",\"\"}}") };
    static const str ITEMS[] = { { "a", 1 },    { "b c", 3 },    { NULL, 0 },
                                 { "NULL", 4 }, { "\"\\,}", 4 }, { "", 0 } };
    pg_array array;
    assert_ok(pg_decode_pg_array(&memory, &cell, &array));
    assert_int_equal(array.dimensions, 2);
    assert_int_equal(array.sides[0].lower, 0);
    assert_int_equal(array.sides[0].count, 2);
    assert_int_equal(array.sides[1].lower, -1);
    assert_int_equal(array.sides[1].count, 3);
    assert_int_equal(array.count, ARRAY_LEN(ITEMS));
    for (size_t i = 0; i < array.count; i++) {
        opt_text item;
        assert_ok(pg_decode_opt_text(NULL, &array.cells[i], &item));
        assert_int_equal(item.has, ITEMS[i].ptr != NULL);
        if (item.has)
            assert_str_equal(item.value, ITEMS[i]);
    }
}

static void test_array_binary_has_dimensions_bounds_and_nulls(void **state)
{
    (void)state;
    const str bytes = STR("\0\0\0\2\0\0\0\1\0\0\0\x15"
                          "\0\0\0\2\0\0\0\0\0\0\0\1\xFF\xFF\xFF\xFF"
                          "\0\0\0\2\0\7\xFF\xFF\xFF\xFF");
    pg_array array;
    for (size_t len = 0; len <= bytes.len; len++) {
        const str copy = exact_copy(str_slice(bytes, 0, len));
        const error e =
            pg_decode_pg_array(&memory, &(pg_cell){ PG_OID_INT2_ARRAY, PG_BINARY, copy }, &array);
        if (len < bytes.len)
            assert_fails(PG_TYPE_MISMATCH, e);
        else
            assert_ok(e);
        exact_free(copy);
    }
    assert_ok(
        pg_decode_pg_array(&memory, &(pg_cell){ PG_OID_INT2_ARRAY, PG_BINARY, bytes }, &array));
    assert_int_equal(array.dimensions, 2);
    assert_int_equal(array.count, 2);
    assert_int_equal(array.sides[1].lower, -1);
    int64_t seven;
    assert_ok(pg_decode_int8(NULL, &array.cells[0], &seven));
    assert_int_equal(seven, 7);
    assert_null(array.cells[1].bytes.ptr);
}

static void test_array_that_is_empty_or_null_has_no_items(void **state)
{
    (void)state;
    pg_array array;
    opt_pg_array maybe;
    assert_ok(
        pg_decode_pg_array(NULL, &(pg_cell){ PG_OID_NUMERIC_ARRAY, PG_TEXT, STR("{}") }, &array));
    assert_true(array.count == 0 && array.dimensions == 0);
    const pg_cell null = { PG_OID_INT4_ARRAY, PG_BINARY, STR_NONE };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_array(NULL, &null, &array));
    assert_ok(pg_decode_opt_pg_array(NULL, &null, &maybe));
    assert_true(!maybe.has && maybe.is_null);
}

static void test_array_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "",
        "{",
        "}",
        "{a",
        "a}",
        "{a}}",
        "{{a}",
        "{a,}",
        "{,a}",
        "{{a},{b,c}}",
        "{{a},b}",
        "{a,{b}}",
        "{\"a}",
        "{\"a\\\"}",
        "{a\\b}",
        "{a\"b}",
        "{{}}",
        "{{{{{{{a}}}}}}}",
        "[1:2]={a}",
        "[1:1]{a}",
        "[1:1]=",
        "[2:1]={a}",
        "[:1]={a}",
        "[1]={a}",
        "[1:1]={{a}}",
        "[1:1][1:1]={a}",
        "[1:1=={a}",
        "{a}b",
        "{\"a\"b}",
        "a",
        "[-9223372036854775808:9223372036854775807]={a}",
    };
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        pg_array array;
        const str copy = exact_copy(str_from_c(TEXTS[i]));
        const error e =
            pg_decode_pg_array(&memory, &(pg_cell){ PG_OID_TEXT_ARRAY, PG_TEXT, copy }, &array);
        exact_free(copy);
        if (!error_is(e, &PG_TYPE_MISMATCH))
            fail_msg("%s is read", TEXTS[i]);
    }
    static const struct {
        const char *bytes;
        size_t len;
    } BYTES[] = {
        { "\0\0\0\7\0\0\0\0\0\0\0\x15", 12 },
        { "\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\1\0\0\0\1\0\0\0\2\0\7", 26 },
        { "\0\0\0\1\0\0\0\0\0\0\0\x15\0\0\0\0\0\0\0\1", 20 },
        { "\0\0\0\1\0\0\0\0\0\0\0\x15\xFF\xFF\xFF\xFF\0\0\0\1\0\0\0\2\0\7", 26 },
        { "\0\0\0\1\0\0\0\0\0\0\0\x15\0\0\0\1\0\0\0\1\0\0\0\2\0\7x", 27 },
    };
    for (size_t i = 0; i < ARRAY_LEN(BYTES); i++) {
        pg_array array;
        const pg_cell cell = { PG_OID_INT2_ARRAY, PG_BINARY, { BYTES[i].bytes, BYTES[i].len } };
        assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_array(&memory, &cell, &array));
    }
}

int main(void)
{
    const struct CMUnitTest group[] = {
        TEST(test_array_text_has_dimensions_bounds_and_nulls),
        TEST(test_array_binary_has_dimensions_bounds_and_nulls),
        TEST(test_array_that_is_empty_or_null_has_no_items),
        TEST(test_array_that_is_none_is_refused),
    };
    return cmocka_run_group_tests_name("pg array", group, NULL, NULL);
}
