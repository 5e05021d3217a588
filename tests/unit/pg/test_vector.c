/* pgvector's texts, and the numbers in them. */
#include "text.h"
#include "type_test.h"

#include "tests/support/random.h"

#include <float.h>
#include <math.h>

static void assert_float_text(float value, const char *expected)
{
    char text[PG_FLOAT4_TEXT_MAX];
    const str written = { text, pg_float4_format(text, value) };
    assert_str_equal(written, str_from_c(expected));
}

static void test_float_text_is_shortest(void **state)
{
    (void)state;
    assert_float_text(0.0F, "0");
    assert_float_text(-0.0F, "-0");
    assert_float_text(1.0F, "1");
    assert_float_text(0.1F, "0.1");
    assert_float_text(-123.5F, "-123.5");
    assert_float_text(0.0001F, "0.0001");
    assert_float_text(0.00001F, "1e-05");
    assert_float_text(123456.0F, "123456");
    assert_float_text(1234567.0F, "1.234567e+06");
    assert_float_text(1e6F, "1e+06");
    assert_float_text(16777216.0F, "1.6777216e+07");
    assert_float_text(FLT_MAX, "3.4028235e+38");
    assert_float_text(FLT_MIN, "1.1754944e-38");
    assert_float_text(FLT_TRUE_MIN, "1e-45");
    assert_float_text(9.5367431640625e-07F, "9.536743e-07");
    assert_float_text(99999.996F, "99999.99");
    assert_float_text(NAN, "NaN");
    assert_float_text(-INFINITY, "-Infinity");
}

static void test_float_of_any_bits_reads_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (unsigned i = 0; i < 50000; i++) {
        const uint32_t bits = (uint32_t)random_next(&r);
        float value;
        float back;
        char text[PG_FLOAT4_TEXT_MAX];
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        assert_true(pg_float4_parse((str){ text, pg_float4_format(text, value) }, &back));
        assert_memory_equal(&back, &value, sizeof value);
    }
}

static void test_vector_text_is_its_numbers(void **state)
{
    (void)state;
    pg_vector vector;
    const pg_cell cell = { 99999, PG_TEXT, STR("[1,-2.5,1e-05,0.1]") };
    const str copy = exact_copy(cell.bytes);
    assert_ok(pg_decode_pg_vector(&memory, &(pg_cell){ 99999, PG_TEXT, copy }, &vector));
    exact_free(copy);
    assert_int_equal(vector.count, 4);
    assert_true(vector.items[1] == -2.5F && vector.items[3] == 0.1F);
    assert_str_equal(pg_vector_format(&memory, &vector), cell.bytes);
    const pg_value value = pg_param(vector);
    assert_int_equal(value.oid, 0);
    assert_str_equal(value.as.text, cell.bytes);
}

static void test_vector_sparse_text_is_its_numbers(void **state)
{
    (void)state;
    static const char *const TEXTS[] = { "{1:0.5,3:2}/5", "{}/1",
                                         "{1000000000:-1e-05}/1000000000" };
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        pg_sparsevec vector;
        const str copy = exact_copy(str_from_c(TEXTS[i]));
        assert_ok(pg_decode_pg_sparsevec(&memory, &(pg_cell){ 0, PG_TEXT, copy }, &vector));
        exact_free(copy);
        assert_str_equal(pg_sparsevec_format(&memory, &vector), str_from_c(TEXTS[i]));
    }
    pg_sparsevec vector;
    assert_true(pg_sparsevec_parse(&memory, STR("{1:0.5,3:2}/5"), &vector));
    assert_int_equal(vector.count, 2);
    assert_int_equal(vector.dimensions, 5);
    assert_int_equal(vector.items[1].index, 3);
    assert_true(vector.items[1].value == 2.0F);
}

static void test_vector_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const VECTORS[] = { "",           "[",    "[]",     "[1",     "1]",
                                           "[1,]",       "[,1]", "[1 ,2]", "[x]",    "[NaN]",
                                           "[Infinity]", "[1]x", "{1}",    "[1e39]", "[[1]]" };
    static const char *const SPARSE[] = {
        "",          "{}",     "{}/",     "{}/0",      "{}/-1",       "{}/1000000001", "{1}/5",
        "{1:}/5",    "{:1}/5", "{0:1}/5", "{6:1}/5",   "{2:1,2:1}/5", "{2:1,1:1}/5",   "{1:1,}/5",
        "{1:NaN}/5", "{1:1}5", "1:1/5",   "{1:1}/5/6", "{1:1:1}/5"
    };
    pg_vector vector;
    pg_sparsevec sparse;
    for (size_t i = 0; i < ARRAY_LEN(VECTORS); i++) {
        const str copy = exact_copy(str_from_c(VECTORS[i]));
        const error e = pg_decode_pg_vector(&memory, &(pg_cell){ 99999, PG_TEXT, copy }, &vector);
        exact_free(copy);
        if (!error_is(e, &PG_TYPE_MISMATCH))
            fail_msg("%s is read", VECTORS[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(SPARSE); i++) {
        const str copy = exact_copy(str_from_c(SPARSE[i]));
        const error e =
            pg_decode_pg_sparsevec(&memory, &(pg_cell){ 99999, PG_TEXT, copy }, &sparse);
        exact_free(copy);
        if (!error_is(e, &PG_TYPE_MISMATCH))
            fail_msg("%s is read", SPARSE[i]);
    }
    const pg_cell text = { PG_OID_TEXT, PG_TEXT, STR("[1]") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_vector(&memory, &text, &vector));
}

static void test_vector_of_more_numbers_than_the_server_has_is_refused(void **state)
{
    (void)state;
    for (size_t count = PG_VECTOR_DIMENSIONS_MAX; count <= PG_VECTOR_DIMENSIONS_MAX + 1; count++) {
        char *text = arena_alloc(&memory, 2 * count + 1, 1);
        text[0] = '[';
        for (size_t i = 0; i < count; i++) {
            text[1 + 2 * i] = '1';
            text[2 + 2 * i] = i + 1 < count ? ',' : ']';
        }
        pg_vector vector;
        assert_int_equal(pg_vector_parse(&memory, (str){ text, 2 * count + 1 }, &vector),
                         count == PG_VECTOR_DIMENSIONS_MAX);
    }
}

static int run(void)
{
    const struct CMUnitTest group[] = {
        TEST(test_float_text_is_shortest),
        TEST(test_float_of_any_bits_reads_back),
        TEST(test_vector_text_is_its_numbers),
        TEST(test_vector_sparse_text_is_its_numbers),
        TEST(test_vector_that_is_none_is_refused),
        TEST(test_vector_of_more_numbers_than_the_server_has_is_refused),
    };
    return cmocka_run_group_tests_name("pg vector", group, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
