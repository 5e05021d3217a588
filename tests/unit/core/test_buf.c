/* The growable buffer: growth, the ceiling, failure that sticks. */
#include "core/arena.h"
#include "core/block.h"
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

static void test_buf_format_at_the_ceiling_fits_exactly(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 5);
    buf_append_format(&b, "%s", "12345");
    assert_ok(buf_status(&b));
    assert_str_equal(buf_str(&b), STR("12345"));
    buf_deinit(&b);
    buf_init(&b, 4);
    buf_append_format(&b, "%s", "12345");
    assert_fails(BUF_FULL, buf_status(&b));
    assert_int_equal(b.len, 0);
    buf_deinit(&b);
}

static void test_buf_format_long_at_the_ceiling_fits_exactly(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 1000);
    buf_append_format(&b, "%01000d", 7);
    assert_int_equal(b.len, 1000);
    assert_false(b.failed);
    buf_reset(&b);
    buf_append_format(&b, "%01001d", 7);
    assert_true(b.failed);
    buf_deinit(&b);
}

static void test_buf_format_longer_than_any_short_buffer_is_whole(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 10000);
    buf_append_format(&b, "<%05000d>", 7);
    assert_ok(buf_status(&b));
    assert_int_equal(b.len, 5002);
    assert_str_equal(str_slice(buf_str(&b), 4999, 10), STR("07>"));
    buf_deinit(&b);
}

static void test_buf_reserve_beyond_every_ceiling_fails(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, SIZE_MAX);
    assert_non_null(buf_reserve(&b, 0));
    buf_append(&b, STR("abc"));
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_fails(BUF_FULL, buf_status(&b));
    buf_reset(&b);
    buf_append(&b, STR("abc"));
    fault_at("buf.grow", 1);
    assert_null(buf_reserve(&b, SIZE_MAX - 4096)); /* doubling stops short of an overflow */
    fault_clear();
    assert_fails(OUT_OF_MEMORY, buf_status(&b));
    assert_str_equal(buf_str(&b), STR("abc"));
    buf_deinit(&b);
}

static void test_buf_in_an_arena_moves_with_its_content(void **state)
{
    (void)state;
    arena a;
    arena_init(&a, 1 << 22);
    buf b;
    buf_init_arena(&b, &a, 1 << 20);
    for (int i = 0; i < 60000; i++) {
        buf_append_char(&b, (char)('a' + i % 26));
        if (i % 1000 == 0)
            memset(arena_alloc(&a, 8, 8), 0xFF, 8); /* so that it cannot grow in place */
    }
    assert_ok(buf_status(&b));
    assert_int_equal(b.len, 60000);
    for (size_t i = 0; i < b.len; i++)
        assert_int_equal(b.data[i], 'a' + (int)(i % 26));
    buf_deinit(&b);
    arena_deinit(&a);
}

static void test_buf_reserve_and_commit_append(void **state)
{
    (void)state;
    buf b;
    buf_init(&b, 100);
    assert_str_equal(buf_str(&b), STR(""));
    char *to = buf_reserve(&b, 10);
    memcpy(to, "0123456789", 10);
    buf_commit(&b, 3);
    buf_append_int64(&b, INT64_MIN);
    assert_str_equal(buf_str(&b), STR("012-9223372036854775808"));
    buf_consume(&b, b.len);
    assert_str_equal(buf_str(&b), STR(""));
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_grows_and_keeps_content),
        cmocka_unit_test(test_buf_past_its_ceiling_fails_and_stays_failed),
        cmocka_unit_test(test_buf_without_memory_reports_it),
        cmocka_unit_test(test_buf_format_appends_without_a_nul),
        cmocka_unit_test(test_buf_format_at_the_ceiling_fits_exactly),
        cmocka_unit_test(test_buf_format_long_at_the_ceiling_fits_exactly),
        cmocka_unit_test(test_buf_format_longer_than_any_short_buffer_is_whole),
        cmocka_unit_test(test_buf_reserve_beyond_every_ceiling_fails),
        cmocka_unit_test(test_buf_in_an_arena_moves_with_its_content),
        cmocka_unit_test(test_buf_reserve_and_commit_append),
    };
    const int failed = cmocka_run_group_tests_name("buf", tests, NULL, NULL);
    block_pool_trim();
    return failed;
}
