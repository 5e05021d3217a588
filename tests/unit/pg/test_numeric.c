/* Exact decimal numbers: from integers, text and the server's bytes, and to them. */
#include "type_test.h"
#include "value.h"

#include "tests/support/random.h"

static pg_numeric parsed(str text)
{
    pg_numeric n;
    const str copy = exact_copy(text);
    if (!pg_numeric_parse(&memory, copy, &n))
        fail_msg("\"%.*s\" does not parse", STR_ARG(text));
    exact_free(copy);
    return n;
}

static str encoded(const pg_numeric *n)
{
    const pg_value value = pg_param(*n);
    const size_t size = pg_value_size(&value);
    char *room = arena_alloc(&memory, size, 1);
    assert_ptr_equal(pg_value_put(&value, room), room + size);
    return (str){ room, size };
}

static void test_numeric_text_and_bytes_agree(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *written;
        size_t len;
        const char *bytes;
    } ROWS[] = {
        { "0", "0", 8, "\0\0\0\0\0\0\0\0" },
        { "0.00", "0.00", 8, "\0\0\0\0\0\0\0\2" },
        { "-0.0", "0.0", 8, "\0\0\0\0\0\0\0\1" },
        { "1", "1", 10, "\0\1\0\0\0\0\0\0\0\1" },
        { "-1.50", "-1.50", 12, "\0\2\0\0\x40\0\0\2\0\1\x13\x88" },
        { "10000", "10000", 10, "\0\1\0\1\0\0\0\0\0\1" },
        { "12345.678", "12345.678", 14, "\0\3\0\1\0\0\0\3\0\1\x09\x29\x1A\x7C" },
        { "0.00001", "0.00001", 10, "\0\1\xFF\xFE\0\0\0\5\x03\xE8" },
        { "+007.", "7", 10, "\0\1\0\0\0\0\0\0\0\7" },
        { ".5", "0.5", 10, "\0\1\xFF\xFF\0\0\0\1\x13\x88" },
        { "NaN", "NaN", 8, "\0\0\0\0\xC0\0\0\0" },
        { "Infinity", "Infinity", 8, "\0\0\0\0\xD0\0\0\0" },
        { "-Infinity", "-Infinity", 8, "\0\0\0\0\xF0\0\0\0" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const pg_numeric n = parsed(str_from_c(ROWS[i].text));
        const str bytes = { ROWS[i].bytes, ROWS[i].len };
        assert_str_equal(pg_numeric_format(&memory, &n), str_from_c(ROWS[i].written));
        assert_str_equal(encoded(&n), bytes);
        pg_numeric again;
        const str copy = exact_copy(bytes);
        const pg_cell cell = { PG_OID_NUMERIC, PG_BINARY, copy };
        assert_ok(pg_decode_pg_numeric(&memory, &cell, &again));
        exact_free(copy);
        assert_str_equal(pg_numeric_format(&memory, &again), str_from_c(ROWS[i].written));
    }
}

static void test_numeric_of_many_digits_is_exact(void **state)
{
    (void)state;
    char text[131072 + 1 + 16383];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('1' + i % 9);
    text[131072] = '.';
    const str all = { text, sizeof text };
    const pg_numeric n = parsed(all);
    assert_int_equal(n.count, 36864);
    assert_true(str_eq(pg_numeric_format(&memory, &n), all));
    const pg_cell cell = { PG_OID_NUMERIC, PG_BINARY, encoded(&n) };
    pg_numeric again;
    assert_ok(pg_decode_pg_numeric(&memory, &cell, &again));
    assert_true(str_eq(pg_numeric_format(&memory, &again), all));
    assert_false(pg_numeric_parse(&memory, str_format(&memory, "9%.*s", STR_ARG(all)), &again));
    assert_false(pg_numeric_parse(&memory, str_format(&memory, "%.*s9", STR_ARG(all)), &again));
}

static void test_numeric_text_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const TEXTS[] = { "",      ".",    "-",   "+",   "-.",   "1e5",
                                         "1.2.3", " 1",   "1 ",  "--1", "0x10", "nan",
                                         "1,5",   "-NaN", "inf", "1-2", "1.-2", "+Infinity" };
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        pg_numeric n = pg_numeric_of_int8(7, 0);
        if (pg_numeric_parse(&memory, str_from_c(TEXTS[i]), &n))
            fail_msg("\"%s\" parses", TEXTS[i]);
        assert_int_equal(n.digits.few[0], 7);
    }
}

static void test_numeric_to_int8_is_exact_or_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned scale;
        bool fits;
        int64_t value;
    } ROWS[] = {
        { "0", 0, true, 0 },
        { "12.34", 2, true, 1234 },
        { "12.3400", 2, true, 1234 },
        { "-12.34", 4, true, -123400 },
        { "12.345", 2, false, 0 },
        { "0.00000001", 2, false, 0 },
        { "0.00000001", 9, true, 10 },
        { "12.34", 0, false, 0 },
        { "9223372036854775807", 0, true, INT64_MAX },
        { "9223372036854775808", 0, false, 0 },
        { "-9223372036854775808", 0, true, INT64_MIN },
        { "-9223372036854775809", 0, false, 0 },
        { "-92233720368547758.08", 2, true, INT64_MIN },
        { "92233720368547758.08", 2, false, 0 },
        { "10000000000000000000000000000", 0, false, 0 },
        { "1000000000000000000", 0, true, INT64_C(1000000000000000000) },
        { "1", 18, true, INT64_C(1000000000000000000) },
        { "1", 19, false, 0 },
        { "0", 16383, true, 0 },
        { "NaN", 0, false, 0 },
        { "Infinity", 0, false, 0 },
        { "-Infinity", 0, false, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const pg_numeric n = parsed(str_from_c(ROWS[i].text));
        int64_t value = 42;
        const error e = pg_numeric_to_int8(&n, ROWS[i].scale, &value);
        if (error_is_ok(e) != ROWS[i].fits || value != (ROWS[i].fits ? ROWS[i].value : 42))
            fail_msg("%s at scale %u gives %lld", ROWS[i].text, ROWS[i].scale, (long long)value);
        if (!ROWS[i].fits)
            assert_true(error_is(e, &PG_DATA_EXCEPTION));
    }
}

static void test_numeric_of_int8_has_the_scale(void **state)
{
    (void)state;
    static const int64_t VALUES[] = { 0,      1,       -1,        9999,      10000,  123456789,
                                      -90000, 1000000, INT64_MAX, INT64_MIN, 100000, -12345 };
    for (size_t i = 0; i < ARRAY_LEN(VALUES); i++) {
        for (unsigned scale = 0; scale <= 18; scale++) {
            const pg_numeric n = pg_numeric_of_int8(VALUES[i], scale);
            const str text = pg_numeric_format(&memory, &n);
            const pg_numeric again = parsed(text);
            assert_int_equal(n.scale, scale);
            assert_str_equal(encoded(&n), encoded(&again));
            int64_t back;
            assert_ok(pg_numeric_to_int8(&n, scale, &back));
            assert_true(back == VALUES[i]);
        }
    }
    const pg_numeric price = pg_numeric_of_int8(-5, 2);
    assert_str_equal(pg_numeric_format(&memory, &price), STR("-0.05"));
}

/* 2^127, which is one more than fits. */
#define PAST_INT128 "170141183460469231731687303715884105728"
#define TEN_TO_19   ((__int128)10 * INT64_C(1000000000000000000))
#define INT128_MOST ((__int128)(~(unsigned __int128)0 >> 1))

static void test_numeric_to_int128_is_exact_or_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned scale;
        bool fits;
        __int128 value;
    } ROWS[] = {
        { "170141183460469231731687303715884105727", 0, true, INT128_MOST },
        { PAST_INT128, 0, false, 0 },
        { "-" PAST_INT128, 0, true, -INT128_MOST - 1 },
        { "-170141183460469231731687303715884105729", 0, false, 0 },
        { "-1701411834604692317316.87303715884105728", 17, true, -INT128_MOST - 1 },
        { "1701411834604692317316.87303715884105728", 17, false, 0 },
        { "1", 38, true, TEN_TO_19 * TEN_TO_19 },
        { "1", 39, false, 0 },
        { "9223372036854775808", 0, true, (__int128)INT64_MAX + 1 },
        { "0.000000000000000001", 18, true, 1 },
        { "0.000000000000000001", 17, false, 0 },
        { "0", 16383, true, 0 },
        { "NaN", 0, false, 0 },
        { "-Infinity", 0, false, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const pg_numeric n = parsed(str_from_c(ROWS[i].text));
        __int128 value = 42;
        const error e = pg_numeric_to_int128(&n, ROWS[i].scale, &value);
        if (error_is_ok(e) != ROWS[i].fits || value != (ROWS[i].fits ? ROWS[i].value : 42))
            fail_msg("%s at scale %u", ROWS[i].text, ROWS[i].scale);
        if (!ROWS[i].fits)
            assert_true(error_is(e, &PG_DATA_EXCEPTION));
    }
}

static void test_numeric_of_int128_goes_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (int i = 0; i < 20000; i++) {
        const unsigned scale = (unsigned)random_below(&r, 60);
        const unsigned __int128 bits =
            ((unsigned __int128)random_next(&r) << 64 | random_next(&r)) >> random_below(&r, 128);
        const __int128 value = random_below(&r, 2) ? (__int128)bits : (__int128)(0 - bits);
        const pg_numeric n = pg_numeric_of_int128(&memory, value, scale);
        const pg_numeric again = parsed(pg_numeric_format(&memory, &n));
        __int128 back = 0;
        assert_int_equal(n.scale, scale);
        assert_str_equal(encoded(&n), encoded(&again));
        assert_ok(pg_numeric_to_int128(&n, scale, &back));
        assert_true(back == value);
        if (value == (int64_t)value && scale <= 18) {
            const pg_numeric small = pg_numeric_of_int8((int64_t)value, scale);
            assert_str_equal(encoded(&n), encoded(&small));
        }
        arena_reset(&memory);
    }
    const pg_numeric least = pg_numeric_of_int128(&memory, -INT128_MOST - 1, 2);
    assert_str_equal(pg_numeric_format(&memory, &least),
                     STR("-1701411834604692317316873037158841057.28"));
}

static void test_numeric_bytes_that_are_none_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        size_t len;
        const char *bytes;
    } ROWS[] = {
        { "nothing", 0, "" },
        { "a head cut short", 7, "\0\0\0\0\0\0\0" },
        { "a digit too few", 10, "\0\2\0\0\0\0\0\0\0\1" },
        { "a digit too many", 12, "\0\1\0\0\0\0\0\0\0\1\0\1" },
        { "a digit over 9999", 10, "\0\1\0\0\0\0\0\0\x27\x10" },
        { "an unknown sign", 8, "\0\0\0\0\x80\0\0\0" },
        { "a scale over 16383", 8, "\0\0\0\0\0\0\x40\0" },
        { "places behind the scale", 10, "\0\1\xFF\xFF\0\0\0\1\0\1" },
        { "a digit behind the scale", 10, "\0\1\xFF\xFE\0\0\0\1\0\1" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const str copy = exact_copy((str){ ROWS[i].bytes, ROWS[i].len });
        const pg_cell cell = { PG_OID_NUMERIC, PG_BINARY, copy };
        pg_numeric n;
        if (!error_is(pg_decode_pg_numeric(&memory, &cell, &n), &PG_TYPE_MISMATCH))
            fail_msg("%s is read", ROWS[i].why);
        exact_free(copy);
    }
}

static void test_numeric_column_is_text_that_a_str_reads_too(void **state)
{
    (void)state;
    assert_int_equal(pg_type_format(PG_OID_NUMERIC), PG_TEXT);
    assert_int_equal(pg_type_format(PG_OID_NUMERIC_ARRAY), PG_TEXT);
    const pg_cell cell = { PG_OID_NUMERIC, PG_TEXT, STR("1.50") };
    str text;
    assert_ok(pg_decode_text(NULL, &cell, &text));
    assert_str_equal(text, STR("1.50"));
    opt_pg_numeric n;
    assert_ok(pg_decode_opt_pg_numeric(&memory, &cell, &n));
    assert_true(n.has);
    assert_str_equal(pg_numeric_format(&memory, &n.value), text);
    assert_ok(
        pg_decode_opt_pg_numeric(&memory, &(pg_cell){ PG_OID_NUMERIC, PG_TEXT, STR_NONE }, &n));
    assert_true(!n.has && n.is_null);
    int64_t integer;
    assert_fails(PG_TYPE_MISMATCH, pg_decode_int8(NULL, &cell, &integer));
    const pg_cell other = { PG_OID_TEXT, PG_TEXT, STR("1.50") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_numeric(&memory, &other, &n.value));
}

static void test_numeric_list_is_read_from_both_formats(void **state)
{
    (void)state;
    const pg_cell text = { PG_OID_NUMERIC_ARRAY, PG_TEXT, STR("{1,-2.50,\"NaN\"}") };
    pg_numeric_list numbers;
    assert_ok(pg_decode_pg_numeric_list(&memory, &text, &numbers));
    assert_int_equal(numbers.count, 3);
    assert_str_equal(pg_numeric_format(&memory, &numbers.items[1]), STR("-2.50"));
    assert_int_equal(numbers.items[2].kind, PG_NUMERIC_NAN);
    const pg_value value = pg_param(numbers);
    const size_t size = pg_value_size(&value);
    char *room = arena_alloc(&memory, size, 1);
    assert_ptr_equal(pg_value_put(&value, room), room + size);
    const pg_cell binary = { PG_OID_NUMERIC_ARRAY, PG_BINARY, { room, size } };
    pg_numeric_list again;
    assert_ok(pg_decode_pg_numeric_list(&memory, &binary, &again));
    assert_int_equal(again.count, 3);
    assert_str_equal(pg_numeric_format(&memory, &again.items[1]), STR("-2.50"));
    const pg_cell empty = { PG_OID_NUMERIC_ARRAY, PG_TEXT, STR("{}") };
    assert_ok(pg_decode_pg_numeric_list(NULL, &empty, &again));
    assert_int_equal(again.count, 0);
    const pg_cell from_zero = { PG_OID_NUMERIC_ARRAY, PG_TEXT, STR("[0:1]={1,2}") };
    assert_ok(pg_decode_pg_numeric_list(&memory, &from_zero, &again));
    assert_int_equal(again.count, 2);
    static const char *const WRONG[] = { "",       "{",     "{1",   "1}",        "{1,}",
                                         "{NULL}", "{{1}}", "{1 }", "[0:1]={1}", "{\"1}" };
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        const pg_cell cell = { PG_OID_NUMERIC_ARRAY, PG_TEXT, str_from_c(WRONG[i]) };
        if (!error_is(pg_decode_pg_numeric_list(&memory, &cell, &again), &PG_TYPE_MISMATCH))
            fail_msg("%s is read", WRONG[i]);
    }
}

int main(void)
{
    const struct CMUnitTest group[] = {
        TEST(test_numeric_text_and_bytes_agree),
        TEST(test_numeric_of_many_digits_is_exact),
        TEST(test_numeric_text_that_is_none_is_refused),
        TEST(test_numeric_to_int128_is_exact_or_an_error),
        TEST(test_numeric_of_int128_goes_there_and_back),
        TEST(test_numeric_to_int8_is_exact_or_an_error),
        TEST(test_numeric_of_int8_has_the_scale),
        TEST(test_numeric_bytes_that_are_none_are_refused),
        TEST(test_numeric_column_is_text_that_a_str_reads_too),
        TEST(test_numeric_list_is_read_from_both_formats),
    };
    return cmocka_run_group_tests_name("pg numeric", group, NULL, NULL);
}
