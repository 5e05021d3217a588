/* hstore's text, and what is none. */
#include "type_test.h"

static void test_hstore_text_is_its_pairs(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t count;
        const char *key; /* of the last pair */
        const char *value;
    } ROWS[] = {
        { "", 0, NULL, NULL },
        { "\"a\"=>\"1\"", 1, "a", "1" },
        { "\"a\"=>NULL", 1, "a", NULL },
        { "\"a\"=>\"NULL\"", 1, "a", "NULL" },
        { "\"\"=>\"\"", 1, "", "" },
        { "\"a\"=>\"1\", \"b\"=>\"2, 3\"", 2, "b", "2, 3" },
        { "\"a=>b\"=>\"c\"", 1, "a=>b", "c" },
        { "\"a\\\"\\\\\"=>\"\\\\\\\"\"", 1, "a\"\\", "\\\"" },
        { "\"k\"=>\"1\", \"k\"=>\"2\"", 2, "k", "2" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const str text = exact_copy(str_from_c(ROWS[i].text));
        const pg_cell cell = { 99999, PG_TEXT, text };
        pg_hstore hstore;
        assert_ok(pg_decode_pg_hstore(&memory, &cell, &hstore));
        assert_int_equal(hstore.count, ROWS[i].count);
        if (hstore.count > 0) {
            const pg_hstore_pair *last = &hstore.items[hstore.count - 1];
            assert_str_equal(last->key, str_from_c(ROWS[i].key));
            assert_int_equal(last->value.ptr == NULL, ROWS[i].value == NULL);
            assert_str_equal(last->value, str_from_c(ROWS[i].value));
            assert_ptr_equal(pg_hstore_find(&hstore, hstore.items[0].key), &hstore.items[0]);
        }
        assert_null(pg_hstore_find(&hstore, STR("none")));
        assert_str_equal(pg_hstore_format(&memory, &hstore), text);
        const pg_value value = pg_param(hstore);
        assert_int_equal(value.oid, 0);
        assert_str_equal(value.as.text, text);
        exact_free(text);
    }
}

static void test_hstore_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "a",
        "\"a\"",
        "\"a\"=>",
        "\"a\"=>1",
        "a=>\"1\"",
        "\"a\"=>\"1",
        "\"a\"=>\"1\\\"",
        "\"a\" => \"1\"",
        "\"a\"=>null",
        "\"a\"=>NULL,",
        "\"a\"=>NULL, ",
        "\"a\"=>NULL,\"b\"=>NULL",
        ", \"a\"=>NULL",
        "\"a\"=>NULLx",
        "=>",
    };
    pg_hstore hstore;
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        const str copy = exact_copy(str_from_c(TEXTS[i]));
        const error e = pg_decode_pg_hstore(&memory, &(pg_cell){ 99999, PG_TEXT, copy }, &hstore);
        exact_free(copy);
        if (!error_is(e, &PG_TYPE_MISMATCH))
            fail_msg("%s is read", TEXTS[i]);
    }
    const pg_cell text = { PG_OID_TEXT, PG_TEXT, STR("\"a\"=>NULL") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_hstore(&memory, &text, &hstore));
    const pg_cell binary = { 99999, PG_BINARY, STR("\0\0\0\0") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_hstore(&memory, &binary, &hstore));
}

static void test_hstore_lists_are_read_and_nulls_sent(void **state)
{
    (void)state;
    opt_pg_hstore_list several;
    const pg_cell cell = { 99999, PG_TEXT, STR("{\"\\\"a\\\"=>\\\"1\\\"\",NULL,\"\"}") };
    assert_ok(pg_decode_opt_pg_hstore_list(&memory, &cell, &several));
    assert_int_equal(several.count, 3);
    assert_str_equal(several.items[0].value.items[0].value, STR("1"));
    assert_true(several.items[1].is_null);
    assert_int_equal(several.items[2].value.count, 0);
    const pg_value null = pg_param(several.items[1]);
    assert_true(null.is_null);
}

static int run(void)
{
    const struct CMUnitTest group[] = {
        TEST(test_hstore_text_is_its_pairs),
        TEST(test_hstore_that_is_none_is_refused),
        TEST(test_hstore_lists_are_read_and_nulls_sent),
    };
    return cmocka_run_group_tests_name("pg hstore", group, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
