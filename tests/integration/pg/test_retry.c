/* What pg_transaction runs again, and what it does not; and how long it waits in between: by
 * chance, longer each time, up to a limit. Sleeping is left out, and what was asked for is kept. */
#include "tests/support/database.h"

#define PAUSES_MAX     64
#define PAUSE_FIRST_MS 4
#define PAUSE_MS_MAX   500

static pg_pool *db, *admin;

/* --- sleep ------------------------------------------------------------------------------------ */

static uint32_t pauses[PAUSES_MAX];
static size_t pause_count;
static bool sleeps; /* really */

/* NOLINTBEGIN(readability-identifier-naming,bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp):
 * the linker's names. */
error __real_fiber_sleep(uint32_t ms);
error __wrap_fiber_sleep(uint32_t ms);

error __wrap_fiber_sleep(uint32_t ms)
{
    if (sleeps)
        return __real_fiber_sleep(ms);
    if (pause_count < PAUSES_MAX)
        pauses[pause_count++] = ms;
    return fiber_yield();
}
/* NOLINTEND(readability-identifier-naming,bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
 */

/* --- again ------------------------------------------------------------------------------------ */

typedef struct work {
    uint32_t runs;
    const char *sql; /* what it ends with */
} work;

static error run_and_fail(pg_tx *tx, void *arg)
{
    work *w = arg;
    w->runs++;
    TRY(pg_execute(tx, NULL, "insert into retry values (1)"));
    return pg_script(tx, str_from_c(w->sql));
}

static uint32_t runs_of(const char *sql, const error_kind *kind)
{
    work w = { .sql = sql };
    pause_count = 0;
    const error e = pg_transaction(db, NULL, run_and_fail, &w);
    if (e.kind != kind)
        fail_msg("%s: %s", sql, e.kind ? e.kind->name : "OK");
    assert_int_equal(pause_count, w.runs - 1);
    return w.runs;
}

#define RAISE(code) "do $$ begin raise sqlstate '" code "'; end $$"

static void test_retry_is_for_those_that_were_in_each_others_way(void **state)
{
    (void)state;
    assert_int_equal(runs_of(RAISE("40001"), &PG_SERIALIZATION_FAILURE), 5);
    assert_int_equal(runs_of(RAISE("40P01"), &PG_DEADLOCK), 5);
}

static void test_retry_is_not_for_others(void **state)
{
    (void)state;
    assert_int_equal(runs_of(RAISE("55P03"), &PG_LOCK_NOT_AVAILABLE), 1);
    assert_int_equal(runs_of(RAISE("57014"), &PG_QUERY_CANCELED), 1);
    assert_int_equal(runs_of(RAISE("23505"), &PG_UNIQUE_VIOLATION), 1);
    assert_int_equal(runs_of("select 1 / 0", &PG_DATA_EXCEPTION), 1);
}

static int64_t count(void)
{
    pg_rows rows;
    int64_t n = -1;
    assert_ok(pg_query(admin, &rows, "select count(*) from retry"));
    assert_ok(pg_get(&rows, 0, 0, &n));
    return n;
}

/* What may have happened is not done twice. */
static void test_retry_is_not_for_lost_connections(void **state)
{
    (void)state;
    assert_int_equal(runs_of("select pg_terminate_backend(pg_backend_pid())", &PG_CONNECTION_LOST),
                     1);
    assert_int_equal(count(), 0);
}

static error run_script(const char *sql)
{
    pg_tx *tx;
    TRY(pg_begin(admin, &tx));
    TRY(pg_script(tx, str_from_c(sql)));
    return pg_commit(&tx);
}

/* A trigger ends the session while it commits. */
static void test_retry_is_not_for_a_commit_that_was_not_answered(void **state)
{
    (void)state;
    assert_ok(run_script("create function end_session() returns trigger language plpgsql as $$ "
                         "begin perform pg_terminate_backend(pg_backend_pid()); return null; end "
                         "$$; create constraint trigger ends after insert on retry deferrable "
                         "initially deferred for each row execute function end_session()"));
    assert_int_equal(runs_of("select 1", &PG_COMMIT_UNKNOWN), 1);
    assert_ok(run_script("drop trigger ends on retry; drop function end_session()"));
    assert_int_equal(count(), 0);
}

/* --- pauses ----------------------------------------------------------------------------------- */

static void test_retry_waits_by_chance_and_longer_each_time(void **state)
{
    (void)state;
    const pg_tx_options often = { .attempts_max = 12 };
    uint32_t longest[12] = { 0 }, shortest[12];
    memset(shortest, 0xFF, sizeof shortest);
    for (int round = 0; round < 60; round++) {
        work w = { .sql = RAISE("40001") };
        pause_count = 0;
        assert_fails(PG_SERIALIZATION_FAILURE,
                     pg_transaction_on(pg_target_pool(db), &often, run_and_fail, &w));
        assert_int_equal(pause_count, 11);
        for (size_t i = 0; i < pause_count; i++) {
            const uint32_t most = i < 6 ? (uint32_t)PAUSE_FIRST_MS << (i + 1) : PAUSE_MS_MAX;
            assert_in_range(pauses[i], 1, most < PAUSE_MS_MAX ? most : PAUSE_MS_MAX);
            longest[i] = pauses[i] > longest[i] ? pauses[i] : longest[i];
            shortest[i] = pauses[i] < shortest[i] ? pauses[i] : shortest[i];
        }
    }
    for (size_t i = 0; i < 11; i++)
        assert_true(longest[i] > shortest[i]);
    assert_true(longest[10] > PAUSE_FIRST_MS << 3); /* it has grown */
}

/* --- life ------------------------------------------------------------------------------------- */

static int open_pools(void **state)
{
    (void)state;
    sleeps = true;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &admin));
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &db));
    assert_ok(pg_execute(admin, NULL, "drop table if exists retry"));
    assert_ok(pg_execute(admin, NULL, "create table retry (n int)"));
    assert_ok(pg_execute(db, NULL, "select 1"));
    sleeps = false;
    return 0;
}

static int close_pools(void **state)
{
    (void)state;
    sleeps = true;
    assert_ok(pg_execute(admin, NULL, "drop table retry"));
    pg_pool_close(&db);
    pg_pool_close(&admin);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pools, close_pools)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_retry_is_for_those_that_were_in_each_others_way),
        TEST(test_retry_is_not_for_others),
        TEST(test_retry_is_not_for_lost_connections),
        TEST(test_retry_is_not_for_a_commit_that_was_not_answered),
        TEST(test_retry_waits_by_chance_and_longer_each_time),
    };
    return cmocka_run_group_tests_name("pg retry", tests, NULL, NULL);
}

int main(void)
{
    return run_with_database(run);
}
