/* How long connections are kept, and how many: by a clock that the test moves. Whatever is closed,
 * no statement fails and no transaction ends for it. */
#include "core/clock.h"
#include "tests/support/database.h"

#define MINUTE_US ((uint64_t)60000000)
#define WAIT_MS   30000 /* a hang, and not a time that is measured */

static pg_pool *db;

#define await(condition_)                                                      \
    for (const uint64_t end_ms_ = clock_real_ms() + WAIT_MS; !(condition_);) { \
        assert_true(clock_real_ms() < end_ms_);                                \
        assert_ok(fiber_yield());                                              \
    }

static uint32_t count_open(void)
{
    return pg_pool_stats_of(db).open;
}

static uint64_t count_of(const char *name)
{
    for (uint32_t i = 0; i < PG_METRICS.count; i++) {
        if (strcmp(PG_METRICS.items[i].name, name) == 0)
            return metrics_total(&PG_METRICS, i);
    }
    fail_msg("no metric %s", name);
    return 0;
}

/* Lets everything happen that is due. */
static void settle(void)
{
    for (int i = 0; i < 200; i++)
        assert_ok(fiber_yield());
}

/* Connecting takes the server's time, not that of the test's clock: it is waited for first. */
static void move_clock(uint64_t us)
{
    await(pg_pool_stats_of(db).opening == 0);
    clock_fake_advance(us);
}

static void let_pass(uint64_t us)
{
    move_clock(us);
    settle();
}

static void open_pool(uint32_t max)
{
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = max }, &db));
    await(count_open() > 0);
}

/* Holds `count` transactions at once, so that as many connections are open. */
static void open_many(uint32_t count)
{
    pg_tx *held[16];
    for (uint32_t i = 0; i < count; i++) {
        assert_ok(pg_begin(db, &held[i]));
        assert_ok(pg_execute(held[i], NULL, "select 1"));
    }
    for (uint32_t i = 0; i < count; i++)
        assert_ok(pg_commit(&held[i]));
    assert_int_equal(count_open(), count);
}

static error ask_process(void *arg)
{
    pg_rows rows;
    TRY(pg_query(db, &rows, "select pg_backend_pid()::bigint"));
    return pg_get(&rows, 0, 0, (int64_t *)arg);
}

/* The server's process that the pool's next statement meets; on a fiber with an arena of its own,
 * so that a test may ask often. */
static int64_t process(void)
{
    int64_t found;
    fiber *asker;
    assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, ask_process, &found,
                          &asker));
    assert_ok(fiber_join(&asker));
    return found;
}

static int64_t process_of(pg_tx *tx)
{
    pg_rows rows;
    int64_t found;
    assert_ok(pg_query(tx, &rows, "select pg_backend_pid()::bigint"));
    assert_ok(pg_get(&rows, 0, 0, &found));
    return found;
}

static int reset(void **state)
{
    (void)state;
    unsetenv("PG_POOL_MIN");
    unsetenv("PG_CONNECTIONS_MAX");
    unsetenv("PG_IDLE_TIMEOUT");
    unsetenv("PG_MAX_LIFETIME");
    return 0;
}

static int close_pool(void **state)
{
    pg_pool_close(&db);
    return reset(state);
}

static void test_connection_idle_too_long_is_closed_down_to_the_minimum(void **state)
{
    (void)state;
    const uint64_t retired = count_of("pg_connections_retired_total"),
                   lost = count_of("pg_connections_lost_total");
    open_pool(4);
    open_many(4);
    let_pass(9 * MINUTE_US);
    assert_int_equal(count_open(), 4);
    let_pass(2 * MINUTE_US);
    await(count_open() == 1);
    let_pass(30 * MINUTE_US);
    assert_int_equal(count_open(), 1);
    assert_ok(pg_execute(db, NULL, "select 1"));
    assert_int_equal(count_of("pg_connections_retired_total") - retired, 3);
    assert_int_equal(count_of("pg_connections_lost_total") - lost, 0);
}

static void test_connection_in_use_is_not_idle(void **state)
{
    (void)state;
    open_pool(2);
    open_many(2);
    for (int i = 0; i < 4; i++) {
        pg_tx *a, *b;
        let_pass(8 * MINUTE_US);
        assert_ok(pg_begin(db, &a));
        assert_ok(pg_begin(db, &b));
        assert_ok(pg_execute(a, NULL, "select 1"));
        assert_ok(pg_execute(b, NULL, "select 1"));
        assert_ok(pg_commit(&a));
        assert_ok(pg_commit(&b));
        assert_int_equal(count_open(), 2);
    }
}

static void test_connection_of_reads_that_is_idle_is_closed(void **state)
{
    (void)state;
    open_pool(2);
    assert_ok(pg_execute(pg_read_only(db), NULL, "select 1"));
    assert_int_equal(count_open(), 2);
    let_pass(11 * MINUTE_US);
    await(count_open() == 1);
    assert_ok(pg_execute(pg_read_only(db), NULL, "select 1"));
}

static void test_minimum_of_zero_lets_all_go(void **state)
{
    (void)state;
    setenv("PG_POOL_MIN", "0", 1);
    setenv("PG_IDLE_TIMEOUT", "5s", 1);
    open_pool(2);
    let_pass(6000000);
    await(count_open() == 0);
    settle();
    assert_int_equal(pg_pool_stats_of(db).opening, 0);
    assert_ok(pg_execute(db, NULL, "select 1"));
    assert_int_equal(count_open(), 1);
}

static void test_minimum_is_open_from_the_start_and_after_a_loss(void **state)
{
    (void)state;
    setenv("PG_POOL_MIN", "3", 1);
    open_pool(4);
    await(count_open() == 3);
    pg_pool *other;
    const uint64_t lost = count_of("pg_connections_lost_total");
    const int64_t first = process();
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &other));
    assert_ok(pg_execute(other, NULL, "select pg_terminate_backend($1::bigint::integer)", first));
    pg_pool_close(&other);
    await(count_of("pg_connections_lost_total") > lost);
    await(process() != first);
    await(count_open() == 3);
    settle();
    assert_int_equal(count_open(), 3);
}

static void test_old_connection_is_replaced_before_it_goes(void **state)
{
    (void)state;
    open_pool(2);
    const int64_t first = process();
    let_pass(53 * MINUTE_US);
    assert_int_equal(process(), first);
    move_clock(8 * MINUTE_US);
    await(count_open() == 2);
    for (int64_t now = first; now == first;) {
        move_clock(1000000);
        assert_ok(fiber_yield());
        assert_in_range(count_open(), 1, 2);
        now = process();
    }
    await(count_open() == 1);
}

static void test_old_connection_at_the_maximum_goes_first(void **state)
{
    (void)state;
    open_pool(1);
    const int64_t first = process();
    move_clock(61 * MINUTE_US);
    await(process() != first);
    assert_int_equal(count_open(), 1);
}

static void test_old_connection_finishes_its_transaction(void **state)
{
    (void)state;
    pg_tx *tx;
    open_pool(1);
    assert_ok(pg_begin(db, &tx));
    const int64_t first = process_of(tx);
    let_pass(61 * MINUTE_US);
    let_pass(61 * MINUTE_US);
    assert_int_equal(process_of(tx), first);
    assert_ok(pg_commit(&tx));
    assert_true(process() != first);
}

static error ask_for_ever(void *arg)
{
    const bool *ends = arg;
    while (!*ends) {
        arena_reset(fiber_arena());
        TRY(pg_execute(db, NULL, "select pg_sleep(0.001)"));
    }
    return OK;
}

static void test_old_connections_under_load_fail_nothing(void **state)
{
    (void)state;
    bool ends = false;
    fiber *fibers[8];
    open_pool(2);
    open_many(2);
    const uint64_t retired = count_of("pg_connections_retired_total");
    for (size_t i = 0; i < ARRAY_LEN(fibers); i++)
        assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, ask_for_ever,
                              &ends, &fibers[i]));
    for (uint64_t left = 8; left > 0; left--) {
        const uint64_t before = count_of("pg_connections_retired_total");
        move_clock(61 * MINUTE_US);
        await(count_of("pg_connections_retired_total") > before);
    }
    ends = true;
    for (size_t i = 0; i < ARRAY_LEN(fibers); i++)
        assert_ok(fiber_join(&fibers[i]));
    assert_true(count_of("pg_connections_retired_total") - retired >= 8);
}

static void test_connections_opened_together_do_not_end_together(void **state)
{
    (void)state;
    uint32_t most = 0;
    setenv("PG_IDLE_TIMEOUT", "0", 1);
    open_pool(8);
    open_many(8);
    let_pass(53 * MINUTE_US);
    const uint64_t start = count_of("pg_connections_retired_total");
    uint64_t before = start;
    for (int s = 0; s < 8 * 60; s++) {
        move_clock(1000000);
        for (int i = 0; i < 10; i++)
            assert_ok(fiber_yield());
        const uint64_t now = count_of("pg_connections_retired_total");
        most = now - before > most ? (uint32_t)(now - before) : most;
        before = now;
    }
    assert_in_range(before - start, 8, 9); /* the last one's heir may have made it to its end */
    assert_in_range(most, 1, 6);
}

static error begin_and_end(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(db, &tx));
    return pg_commit(&tx);
}

static void test_wait_at_the_ceiling_ends_with_an_error_that_says_so(void **state)
{
    (void)state;
    char text[1024];
    pg_tx *tx;
    fiber *second;
    setenv("PG_CONNECTIONS_MAX", "1", 1);
    open_pool(4);
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "select 1"));
    assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, begin_and_end, NULL,
                          &second));
    settle();
    let_pass(5100000);
    const error e = fiber_join(&second);
    assert_fails(PG_POOL_TIMED_OUT, e);
    error_describe(e, text, sizeof text);
    assert_non_null(strstr(text, "PG_CONNECTIONS_MAX, 1"));
    assert_ok(pg_commit(&tx));
}

static int run(void)
{
#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, reset, close_pool)
    const struct CMUnitTest tests[] = {
        WITH_POOL(test_connection_idle_too_long_is_closed_down_to_the_minimum),
        WITH_POOL(test_connection_in_use_is_not_idle),
        WITH_POOL(test_connection_of_reads_that_is_idle_is_closed),
        WITH_POOL(test_minimum_of_zero_lets_all_go),
        WITH_POOL(test_minimum_is_open_from_the_start_and_after_a_loss),
        WITH_POOL(test_old_connection_is_replaced_before_it_goes),
        WITH_POOL(test_old_connection_at_the_maximum_goes_first),
        WITH_POOL(test_old_connection_finishes_its_transaction),
        WITH_POOL(test_old_connections_under_load_fail_nothing),
        WITH_POOL(test_wait_at_the_ceiling_ends_with_an_error_that_says_so),
        WITH_POOL(test_connections_opened_together_do_not_end_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    clock_fake_begin(-1);
    return run_with_database(run);
}
