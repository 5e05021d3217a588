/* Token buckets by key: their arithmetic, the table when it is full, and processes that share it.
 */
#include "layer.h"
#include "rate_table.h"

#include "tests/support/in_fiber.h"

#include <sys/wait.h>
#include <unistd.h>

#define S      ((uint64_t)1000000000)
#define NOW    (1000 * S)
#define PER_S  ((http_rate){ .interval_ns = S, .burst = 3 })
#define KEY(n) ((str){ (const char *)&(n), sizeof(n) })

static http_rate_table table;

static int setup(void **state)
{
    (void)state;
    assert_ok(http_rate_table_open(&table, 1024));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_rate_table_close(&table);
    http_rate_table_close(&table);
    return 0;
}

static void check_take(http_rate rate, str key, uint64_t now_ns, http_rate_result wanted)
{
    const http_rate_result r = http_rate_take(&table, rate, key, now_ns);
    assert_int_equal(r.allowed, wanted.allowed);
    assert_int_equal(r.left, wanted.left);
    assert_int_equal(r.wait_ns, wanted.wait_ns);
    assert_int_equal(r.full_ns, wanted.full_ns);
}

static void test_rate_bucket_empties_and_fills_with_time(void **state)
{
    const str key = STR("somebody");
    (void)state;
    check_take(PER_S, key, NOW, (http_rate_result){ true, 2, 0, S });
    check_take(PER_S, key, NOW, (http_rate_result){ true, 1, 0, 2 * S });
    check_take(PER_S, key, NOW, (http_rate_result){ true, 0, S, 3 * S });
    check_take(PER_S, key, NOW, (http_rate_result){ false, 0, S, 3 * S });
    /* what was refused costs nothing */
    check_take(PER_S, key, NOW + S - 1, (http_rate_result){ false, 0, 1, 2 * S + 1 });
    check_take(PER_S, key, NOW + S, (http_rate_result){ true, 0, S, 3 * S });
    /* half a token is none */
    check_take(PER_S, key, NOW + 2 * S + S / 2, (http_rate_result){ true, 0, S / 2, 5 * S / 2 });
    /* it never has more than a bucket holds */
    check_take(PER_S, key, NOW + 1000 * S, (http_rate_result){ true, 2, 0, S });
}

/* In a table so wide that five of them do not meet in one set: with 1,024 places they do once in
 * sixty runs, the seed being random. */
static void test_rate_of_one_key_is_not_anothers(void **state)
{
    (void)state;
    http_rate_table wide;
    assert_ok(http_rate_table_open(&wide, 65536));
    for (uint32_t who = 0; who < 100; who++) {
        for (int i = 0; i < 3; i++)
            assert_true(http_rate_take(&wide, PER_S, KEY(who), NOW).allowed);
        assert_false(http_rate_take(&wide, PER_S, KEY(who), NOW).allowed);
    }
    assert_true(http_rate_take(&wide, PER_S, STR(""), NOW).allowed);
    http_rate_table_close(&wide);
}

static void test_rate_table_that_is_full_forgets_no_debt(void **state)
{
    (void)state;
    http_rate_table small;
    uint64_t allowed = 0;
    assert_ok(http_rate_table_open(&small, 1)); /* one set */
    for (uint32_t who = 0; who < 1000; who++)
        allowed += http_rate_take(&small, PER_S, KEY(who), NOW).allowed;
    assert_int_equal(allowed, HTTP_RATE_WAYS * 3);
    for (uint32_t who = 0; who < 1000; who++)
        allowed += http_rate_take(&small, PER_S, KEY(who), NOW + S).allowed;
    assert_int_equal(allowed, HTTP_RATE_WAYS * 4);
    http_rate_table_close(&small);
}

/* One that uses its bucket keeps it while others come and go. */
static void test_rate_bucket_in_debt_outlives_idle_ones(void **state)
{
    (void)state;
    http_rate_table small;
    const str busy = STR("busy");
    assert_ok(http_rate_table_open(&small, HTTP_RATE_WAYS));
    for (int i = 0; i < 3; i++)
        assert_true(http_rate_take(&small, PER_S, busy, NOW).allowed);
    for (uint32_t who = 0; who < HTTP_RATE_WAYS - 1; who++)
        assert_true(http_rate_take(&small, PER_S, KEY(who), NOW).allowed);
    for (uint32_t who = 100; who < 103; who++) {
        assert_true(http_rate_take(&small, PER_S, KEY(who), NOW).allowed);
        assert_false(http_rate_take(&small, PER_S, busy, NOW).allowed);
    }
    http_rate_table_close(&small);
}

#define PROCESSES 4
#define TAKES     20000
#define SHARED    5000

static void test_rate_table_shared_by_processes_counts_once(void **state)
{
    const http_rate rate = { .interval_ns = S, .burst = SHARED };
    (void)state;
    int sums[2];
    uint64_t allowed = 0;
    assert_true(http_rate_take(&table, rate, STR("shared"), NOW).allowed);
    assert_int_equal(pipe(sums), 0);
    for (int p = 0; p < PROCESSES; p++) {
        if (fork() != 0)
            continue;
        uint64_t mine = 0;
        for (int i = 0; i < TAKES; i++)
            mine += http_rate_take(&table, rate, STR("shared"), NOW).allowed;
        _exit(write(sums[1], &mine, sizeof mine) == sizeof mine ? 0 : 1);
    }
    for (int p = 0; p < PROCESSES; p++) {
        uint64_t one;
        int status;
        assert_true(wait(&status) > 0 && status == 0);
        assert_int_equal(read(sums[0], &one, sizeof one), sizeof one);
        allowed += one;
    }
    close(sums[0]);
    close(sums[1]);
    assert_int_equal(allowed, SHARED - 1);
}

static void test_rate_options_that_are_bad_are_refused(void **state)
{
    static const http_rate_limit_options bad[] = {
        { .requests = 0 },
        { .requests = 1, .per_ms = 86400001 },
        { .requests = 1, .keys_max = (1U << 24) + 1 },
        { .requests = 1, .name = "" },
        { .requests = 1, .name = "a\"b" },
        { .requests = 1, .name = "a\nb" },
        { .requests = 4000000000, .per_ms = 1000 },
        { .requests = 1, .per_ms = 86400000, .burst = 31 },
    };
    static const http_rate_limit_options good = {
        .requests = 1, .per_ms = 86400000, .burst = 30, .keys_max = 1
    };
    (void)state;
    arena a;
    const void *made;
    arena_init(&a, (size_t)1 << 20);
    assert_fails(HTTP_LAYER_INVALID, http_rate_limit_prepare(&a, NULL, &made));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(HTTP_LAYER_INVALID, http_rate_limit_prepare(&a, &bad[i], &made));
    assert_ok(http_rate_limit_prepare(&a, &good, &made));
    arena_deinit(&a);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rate_bucket_empties_and_fills_with_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_rate_of_one_key_is_not_anothers, setup, teardown),
        cmocka_unit_test(test_rate_table_that_is_full_forgets_no_debt),
        cmocka_unit_test(test_rate_bucket_in_debt_outlives_idle_ones),
        cmocka_unit_test_setup_teardown(test_rate_table_shared_by_processes_counts_once, setup,
                                        teardown),
        cmocka_unit_test(test_rate_options_that_are_bad_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
