/* What a server says of its settings, also one that says too much. */
#include "reported.h"

#include "tests/support/in_fiber.h"

static pg_reported_list said;

static int set_up(void **state)
{
    (void)state;
    pg_reported_init(&said);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pg_reported_clear(&said);
    assert_int_equal(said.count, 0);
    assert_int_equal(said.bytes, 0);
    return 0;
}

static void test_reported_value_is_the_last_one_said(void **state)
{
    (void)state;
    pg_reported_keep(&said, STR("TimeZone"), STR("UTC"));
    pg_reported_keep(&said, STR("server_version"), STR("15.4"));
    pg_reported_keep(&said, STR("TimeZone"), STR("Asia/Tokyo"));
    assert_str_equal(pg_reported_find(&said, STR("TimeZone")), STR("Asia/Tokyo"));
    assert_str_equal(pg_reported_find(&said, STR("server_version")), STR("15.4"));
    assert_int_equal(said.count, 2);
}

static void test_reported_empty_value_is_one_and_none_is_none(void **state)
{
    (void)state;
    pg_reported_keep(&said, STR("application_name"), STR(""));
    assert_non_null(pg_reported_find(&said, STR("application_name")).ptr);
    assert_null(pg_reported_find(&said, STR("timezone")).ptr);
}

static void test_reported_names_without_end_are_not_kept(void **state)
{
    (void)state;
    char name[16];
    for (int i = 0; i < 3 * PG_REPORTED_MAX; i++) {
        (void)snprintf(name, sizeof name, "name%d", i);
        pg_reported_keep(&said, str_from_c(name), STR("value"));
    }
    assert_int_equal(said.count, PG_REPORTED_MAX);
    assert_non_null(pg_reported_find(&said, STR("name0")).ptr);
    assert_null(pg_reported_find(&said, STR("name100")).ptr);
}

static void test_reported_value_without_end_is_not_kept(void **state)
{
    (void)state;
    static char big[PG_REPORTED_BYTES_MAX];
    pg_reported_keep(&said, STR("a"), (str){ big, sizeof big - 1 });
    assert_int_equal(said.bytes, PG_REPORTED_BYTES_MAX);
    pg_reported_keep(&said, STR("b"), STR(""));
    assert_null(pg_reported_find(&said, STR("b")).ptr);
    pg_reported_keep(&said, STR("a"), (str){ big, sizeof big }); /* what it was is not so */
    assert_null(pg_reported_find(&said, STR("a")).ptr);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reported_value_is_the_last_one_said),
        TEST(test_reported_empty_value_is_one_and_none_is_none),
        TEST(test_reported_names_without_end_are_not_kept),
        TEST(test_reported_value_without_end_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
