/* Many transactions on the same rows: all wait for one lock, or for each other. Nothing is lost or
 * done twice, deadlocks end by running again, and those who may not wait so long are canceled
 * without harm to the others. */
#include "core/scope.h"
#include "tests/support/database.h"
#include "tests/support/random.h"

#define FIBERS      32
#define ROUNDS      8
#define CONNECTIONS 6
#define ROWS        3

static pg_pool *db;
static random_state dice;
static uint32_t committed, undone, unknown, runs;

static int open_all(void **state)
{
    (void)state;
    dice = random_start();
    committed = undone = unknown = runs = 0;
    assert_int_equal(setenv("PG_QUEUE_TARGET", "0", 1), 0); /* all are to be served */
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .connections_max = CONNECTIONS, .acquire_timeout_ms = 120000 }, &db));
    assert_ok(pg_execute(db, NULL, "drop table if exists storm"));
    assert_ok(pg_execute(db, NULL,
                         "create table storm as select i as id, 0::int8 as n from "
                         "generate_series(1, $1) i",
                         ROWS));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    const pg_pool_stats stats = pg_pool_stats_of(db);
    assert_int_equal(stats.leased, 0);
    assert_int_equal(stats.acquired, stats.released);
    assert_ok(pg_execute(db, NULL, "drop table storm"));
    pg_pool_close(&db);
    return 0;
}

static void run_all(fiber_fn fn)
{
    fiber *fibers[FIBERS];
    error first = OK;
    for (int i = 0; i < FIBERS; i++)
        assert_ok(
            fiber_start(loop_self(), &(fiber_options){ .joinable = true }, fn, NULL, &fibers[i]));
    for (int i = 0; i < FIBERS; i++) {
        const error e = fiber_join(&fibers[i]);
        if (!first.kind)
            first = e;
    }
    assert_ok(first);
}

static int64_t sum(void)
{
    pg_rows rows;
    int64_t n = -1;
    assert_ok(pg_query(db, &rows, "select sum(n)::int8 from storm"));
    assert_ok(pg_get(&rows, 0, 0, &n));
    return n;
}

/* --- one row ---------------------------------------------------------------------------------- */

static error add_one(pg_tx *tx, void *arg)
{
    (void)arg;
    pg_rows rows;
    int64_t n = -1, after = -1;
    TRY(pg_query(tx, &rows, "select n from storm where id = 1 for update"));
    TRY(pg_get(&rows, 0, 0, &n));
    TRY(fiber_yield());
    TRY(pg_query(tx, &rows, "update storm set n = $1 where id = 1 returning n", n + 1));
    TRY(pg_get(&rows, 0, 0, &after));
    return after == n + 1 ? OK : error_set(&PG_FAILED, "somebody else was there");
}

static error add_often(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        arena_reset(fiber_arena());
        TRY(pg_transaction(db, NULL, add_one, arg));
    }
    return OK;
}

static void test_lock_storm_on_one_row_loses_nothing(void **state)
{
    (void)state;
    run_all(add_often);
    assert_int_equal(sum(), FIBERS * ROUNDS);
}

/* --- canceled while they wait ----------------------------------------------------------------- */

static error add_one_in_time(void *arg)
{
    return pg_transaction(db, NULL, add_one, arg);
}

static error add_or_give_up(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        const uint32_t ms = 1 + (uint32_t)random_below(&dice, 60);
        arena_reset(fiber_arena());
        const error e = scope_call(&(scope_options){ .deadline_ms = ms }, add_one_in_time, arg);
        if (e.kind && !error_is(e, &TIMED_OUT) && !error_is(e, &PG_COMMIT_UNKNOWN) &&
            !error_is(e, &PG_QUERY_CANCELED) && !error_is(e, &PG_CONNECTION_LOST))
            return e;
        committed += !e.kind;
        unknown += error_is(e, &PG_COMMIT_UNKNOWN) || error_is(e, &TIMED_OUT);
        undone += e.kind != NULL;
    }
    return OK;
}

/* Who was told that it is done, is: those who were told nothing may be. */
static void test_lock_storm_of_the_impatient_keeps_what_was_told(void **state)
{
    (void)state;
    run_all(add_or_give_up);
    for (int tries = 0; tries < 1000 && pg_pool_stats_of(db).leased > 0; tries++)
        assert_ok(fiber_sleep(10));
    assert_in_range(sum(), committed, committed + unknown);
    assert_int_equal(committed + undone, FIBERS * ROUNDS);
    assert_ok(pg_transaction(db, NULL, add_one, NULL));
}

/* --- each other's ----------------------------------------------------------------------------- */

/* Rows in any order, so that some wait for others who wait for them. */
static error add_everywhere(pg_tx *tx, void *arg)
{
    (void)arg;
    runs++;
    TRY(pg_execute(tx, NULL, "set local deadlock_timeout = '10ms'"));
    const int32_t first = (int32_t)random_below(&dice, ROWS);
    const int32_t step = random_below(&dice, 2) ? 1 : ROWS - 1;
    for (int32_t i = 0; i < ROWS; i++)
        TRY(pg_execute(tx, NULL, "update storm set n = n + 1 where id = $1",
                       1 + (first + i * step) % ROWS));
    return OK;
}

static error add_everywhere_often(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        arena_reset(fiber_arena());
        TRY(pg_transaction_on(pg_target_pool(db), &(pg_tx_options){ .attempts_max = 1000 },
                              add_everywhere, arg));
    }
    return OK;
}

static void test_lock_storm_of_deadlocks_ends_and_is_run_once(void **state)
{
    (void)state;
    run_all(add_everywhere_often);
    assert_int_equal(sum(), FIBERS * ROUNDS * ROWS);
    assert_true(runs > FIBERS * ROUNDS); /* some were in one */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lock_storm_on_one_row_loses_nothing),
        TEST(test_lock_storm_of_the_impatient_keeps_what_was_told),
        TEST(test_lock_storm_of_deadlocks_ends_and_is_run_once),
    };
    return cmocka_run_group_tests_name("pg lock storm", tests, NULL, NULL);
}

int main(void)
{
    return run_with_database(run);
}
