/* Texts that were out of date, and what marks them. */
#include "rewording.h"

#include "tests/support/in_fiber.h"

static void test_rewording_of_a_text_that_was_never_out_of_date_is_none(void **state)
{
    (void)state;
    const pg_rewording r = { 0 };
    const str sql = STR("select 1");
    const str as_is = pg_reworded(sql, pg_rewording_mark(&r, 7));
    assert_ptr_equal(as_is.ptr, sql.ptr);
    assert_int_equal(as_is.len, sql.len);
}

static void test_rewording_is_another_each_time(void **state)
{
    (void)state;
    pg_rewording r = { 0 };
    uint32_t before = 0;
    for (int i = 0; i < 1000; i++) {
        pg_rewording_renew(&r, 7);
        const uint32_t mark = pg_rewording_mark(&r, 7);
        assert_int_not_equal(mark, 0);
        assert_int_not_equal(mark, before);
        assert_int_equal(pg_rewording_mark(&r, 8), 0); /* another text, at another place */
        before = mark;
    }
}

static void test_rewording_puts_a_comment_behind(void **state)
{
    (void)state;
    assert_str_equal(pg_reworded(STR("select 1"), 0x1f), STR("select 1 /* again: 0000001f */"));
    assert_str_equal(pg_reworded(STR("select 1 -- one"), UINT32_MAX),
                     STR("select 1 -- one /* again: ffffffff */"));
    assert_str_equal(pg_reworded(STR(""), 1), STR(" /* again: 00000001 */"));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rewording_of_a_text_that_was_never_out_of_date_is_none),
        cmocka_unit_test(test_rewording_is_another_each_time),
        cmocka_unit_test(test_rewording_puts_a_comment_behind),
    };
    return cmocka_run_group_tests_name("rewording", tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
