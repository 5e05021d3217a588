/* How many lines a second: the first ten, and what was kept back is told. */
#include "pace.h"

#include "tests/support/in_fiber.h"

static void test_pace_lets_ten_lines_a_second_pass(void **state)
{
    (void)state;
    pg_pace p = { 0 };
    uint64_t kept_back;
    for (int i = 0; i < 25; i++) {
        assert_int_equal(pg_pace_take(&p, 5000 + (uint64_t)i, &kept_back), i < 10);
        assert_int_equal(kept_back, 0);
    }
    assert_false(pg_pace_take(&p, 5999, &kept_back));
    assert_true(pg_pace_take(&p, 6000, &kept_back));
    assert_int_equal(kept_back, 16);
    assert_true(pg_pace_take(&p, 6000, &kept_back));
    assert_int_equal(kept_back, 0);
}

static void test_pace_of_rare_lines_keeps_none_back(void **state)
{
    (void)state;
    pg_pace p = { 0 };
    uint64_t kept_back = 1;
    for (uint64_t ms = 0; ms < 100000; ms += 101) {
        assert_true(pg_pace_take(&p, ms, &kept_back));
        assert_int_equal(kept_back, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pace_lets_ten_lines_a_second_pass),
        cmocka_unit_test(test_pace_of_rare_lines_keeps_none_back),
    };
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
