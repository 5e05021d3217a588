/* The growable buffer: growth, the ceiling, failure that sticks. */
#include "core/fault.h"
#include "tests/support/in_fiber.h"

static void test_buf_grows_and_keeps_content(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 5000; i++)
        buf_append_int64(&b, i % 10);
    assert_ok(buf_status(&b));
    assert_int_equal(b.len, 5000);
    for (size_t i = 0; i < b.len; i++)
        assert_int_equal(b.data[i], '0' + (int)(i % 10));
    buf_consume(&b, 4990);
    assert_str_equal(buf_str(&b), STR("0123456789"));
    buf_deinit(&b);
    buf_deinit(&b);
}

static void test_buf_past_its_ceiling_fails_and_stays_failed(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 10);
    buf_append(&b, STR("0123456789"));
    assert_ok(buf_status(&b));
    buf_append_char(&b, 'x');
    buf_append(&b, STR(""));
    assert_fails(BUF_FULL, buf_status(&b));
    assert_str_equal(buf_str(&b), STR("0123456789"));
    buf_reset(&b);
    buf_append(&b, STR("again"));
    assert_ok(buf_status(&b));
    buf_deinit(&b);
}

static void test_buf_without_memory_reports_it(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 1000);
    fault_at("buf.grow", 1);
    buf_append(&b, STR("lost"));
    assert_fails(OUT_OF_MEMORY, buf_status(&b));
    fault_clear();
    buf_deinit(&b);
}

static void test_buf_format_appends_without_a_nul(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 100);
    buf_append_format(&b, "%d:%s", 12, "ab");
    buf_append_uint64(&b, UINT64_MAX);
    assert_str_equal(buf_str(&b), STR("12:ab18446744073709551615"));
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_grows_and_keeps_content),
        cmocka_unit_test(test_buf_past_its_ceiling_fails_and_stays_failed),
        cmocka_unit_test(test_buf_without_memory_reports_it),
        cmocka_unit_test(test_buf_format_appends_without_a_nul),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
