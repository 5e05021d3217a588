/* The pool when the server is not there: wrong addresses and passwords fail fast and clearly, a
 * server that goes away fails what waits, and the pool comes back by itself. */
#include "tests/support/database.h"
#include "tests/support/own_postgres.h"

static void test_pool_without_server_fails_fast_and_clearly(void **state)
{
    (void)state;
    pg_pool *db;
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = STR("host=127.0.0.1 port=1 user=nobody dbname=none") },
        &db));
    for (int i = 0; i < 5; i++) {
        const error e = pg_execute(db, NULL, "select 1");
        assert_fails(PG_CONNECT_FAILED, e);
        assert_int_equal(error_class_of(e), ERROR_UNAVAILABLE);
    }
    assert_int_equal(pg_pool_stats_of(db).open, 0);
    pg_pool_close(&db);
}

static void test_pool_bad_conninfo_is_refused_without_its_password(void **state)
{
    (void)state;
    pg_pool *db;
    const error e = pg_pool_open(
        &(pg_pool_options){ .conninfo = STR("postgresql://u:s3cr3t@localhost:notaport/x") }, &db);
    assert_fails(PG_CONNINFO_INVALID, e);
    char text[512];
    error_describe(e, text, sizeof text);
    assert_null(strstr(text, "s3cr3t"));
    assert_null(db);
}

static uint64_t connect_failures(void)
{
    for (uint32_t i = 0; i < PG_METRICS.count; i++) {
        if (strcmp(PG_METRICS.items[i].name, "pg_connect_failures_total") == 0)
            return metrics_total(&PG_METRICS, i);
    }
    fail_msg("no such metric");
    return 0;
}

static void test_pool_wrong_password_is_an_authentication_failure(void **state)
{
    (void)state;
    pg_pool *db;
    assert_non_null(getenv("DATABASE_URL"));
    char url[512];
    const char *given = getenv("DATABASE_URL");
    const char *at = strchr(given, '@');
    assert_non_null(at);
    (void)snprintf(url, sizeof url, "postgresql://brio:wrong%s", at);
    assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = str_from_c(url) }, &db));
    const uint64_t failures = connect_failures();
    const error e = pg_execute(db, NULL, "select 1");
    char text[1024];
    assert_fails(PG_CONNECT_FAILED, e);
    error_describe(e, text, sizeof text);
    assert_non_null(strstr(text, "28P01"));
    assert_int_equal(connect_failures(), failures + 1);
    pg_pool_close(&db);
}

static void test_pool_over_tcp_works(void **state)
{
    (void)state;
    const char *url = getenv("DATABASE_URL_TCP");
    if (!url)
        skip();
    pg_pool *db;
    assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = str_from_c(url) }, &db));
    assert_ok(pg_execute(db, NULL, "select 1"));
    pg_pool_close(&db);
}

static pg_pool *shared;
static uint32_t answered, refused;

/* Asks again and again; what fails must fail as unavailable. */
static error ask_for_ever(void *arg)
{
    const bool *stop = arg;
    while (!*stop) {
        const error e = pg_execute(shared, NULL, "select pg_sleep(0.001)");
        if (!e.kind)
            answered++;
        else if (error_class_of(e) == ERROR_UNAVAILABLE)
            refused++;
        else
            return e;
        TRY(fiber_sleep(1));
    }
    return OK;
}

static error wait_for(const uint32_t *counter, uint32_t more)
{
    const uint32_t from = *counter;
    for (int i = 0; i < 3000 && *counter < from + more; i++)
        TRY(fiber_sleep(10));
    return *counter >= from + more ? OK : error_set(&TIMED_OUT, "the counter stands still");
}

static void test_pool_server_stopped_and_started_under_load_recovers_by_itself(void **state)
{
    (void)state;
    own_postgres server = { 0 };
    bool stop = false;
    wait_group group;
    if (!getenv("BRIO_TEST_PG"))
        skip();
    own_postgres_do(&server, "start");
    assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = str_from_c(server.url) }, &shared));
    wait_group_init(&group);
    for (int i = 0; i < 16; i++)
        assert_ok(wait_group_start(&group, ask_for_ever, &stop));
    for (int round = 0; round < 2; round++) {
        assert_ok(wait_for(&answered, 100));
        own_postgres_do(&server, round == 0 ? "stop" : "kill");
        assert_ok(wait_for(&refused, 100));
        own_postgres_do(&server, "start");
        assert_ok(wait_for(&answered, 100));
    }
    stop = true;
    assert_ok(wait_group_wait(&group));
    assert_int_equal(pg_pool_stats_of(shared).waiting, 0);
    pg_pool_close(&shared);
    own_postgres_do(&server, "remove");
}

static error ask_once(void *arg)
{
    (void)arg;
    return pg_execute(shared, NULL, "select pg_sleep(5)");
}

static void test_pool_closed_fails_who_waits(void **state)
{
    (void)state;
    fiber *asking[12];
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &shared));
    for (size_t i = 0; i < ARRAY_LEN(asking); i++)
        assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, ask_once, NULL,
                              &asking[i]));
    assert_ok(fiber_sleep(100));
    pg_pool_close(&shared);
    for (size_t i = 0; i < ARRAY_LEN(asking); i++)
        assert_fails(PG_POOL_CLOSED, fiber_join(&asking[i]));
}

/* --- statements that nobody waits for any more ------------------------------------------------ */

static error ask_for_locked(void *arg)
{
    (void)arg;
    return pg_execute(shared, NULL, "select count(*) from pool_locked");
}

static error ask_in_transaction(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(shared, &tx));
    TRY(pg_execute(tx, NULL, "insert into pool_locked values (1)"));
    return pg_commit(&tx);
}

static error ask_hastily(void *arg)
{
    error (*const *ask)(void *arg) = arg;
    return scope_call(&(scope_options){ .deadline_ms = 300 }, *ask, NULL);
}

static int64_t count_waiting(pg_tx *tx)
{
    pg_rows rows;
    int64_t count;
    assert_ok(pg_query(tx, &rows,
                       "select count(*) from pg_locks where not granted and "
                       "relation = 'pool_locked'::regclass"));
    assert_ok(pg_get(&rows, 0, 0, &count));
    return count;
}

static void expect_hasty_to_time_out(error (*ask)(void *arg))
{
    fiber *asking[24];
    for (size_t i = 0; i < ARRAY_LEN(asking); i++)
        assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, ask_hastily, &ask,
                              &asking[i]));
    for (size_t i = 0; i < ARRAY_LEN(asking); i++)
        assert_fails(TIMED_OUT, fiber_join(&asking[i]));
}

static void test_pool_of_statements_that_hang_serves_others_and_stops_them(void **state)
{
    (void)state;
    pg_pool *other;
    pg_tx *lock;
    error (*const asks[])(void *) = { ask_for_locked, ask_in_transaction };
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &other));
    assert_ok(pg_execute(other, NULL, "drop table if exists pool_locked"));
    assert_ok(pg_execute(other, NULL, "create table pool_locked (n int)"));
    for (uint32_t connections = 1; connections <= 3; connections += 2) {
        assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = connections }, &shared));
        for (int i = 0; i < 2; i++)
            assert_ok(asks[i](NULL));
        assert_ok(pg_begin(other, &lock));
        assert_ok(pg_execute(lock, NULL, "lock table pool_locked in access exclusive mode"));
        for (int i = 0; i < 4; i++) {
            expect_hasty_to_time_out(asks[i % 2]);
            assert_ok(pg_execute(shared, NULL, "select 1")); /* within PG_ACQUIRE_TIMEOUT */
        }
        for (int i = 0; i < 3000 && count_waiting(lock) > 0; i++)
            assert_ok(fiber_sleep(10));
        assert_int_equal(count_waiting(lock), 0);
        assert_ok(pg_rollback(&lock));
        assert_ok(ask_for_locked(NULL));
        assert_ok(ask_in_transaction(NULL));
        assert_true(pg_pool_stats_of(shared).open <= connections);
        pg_pool_close(&shared);
    }
    assert_ok(pg_execute(other, NULL, "drop table pool_locked"));
    pg_pool_close(&other);
}

static error sleep_awhile(void *arg)
{
    (void)arg;
    return pg_execute(shared, NULL, "select pg_sleep(0.2)");
}

/* The pool closes before, while and after it asks the server to stop. */
static void test_pool_closed_while_it_stops_statements(void **state)
{
    (void)state;
    for (uint32_t ms = 80; ms <= 120; ms += 4) {
        fiber *asking;
        assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &shared));
        assert_ok(pg_execute(shared, NULL, "select 1"));
        assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true, .deadline_ms = 20 },
                              sleep_awhile, NULL, &asking));
        assert_fails(TIMED_OUT, fiber_join(&asking));
        assert_ok(fiber_sleep(ms));
        pg_pool_close(&shared);
    }
}

static void test_pool_closed_while_connecting(void **state)
{
    (void)state;
    pg_pool *db;
    assert_ok(pg_pool_open(NULL, &db));
    pg_pool_close(&db);
    assert_ok(pg_pool_open(NULL, &db));
    assert_ok(fiber_yield());
    pg_pool_close(&db);
    pg_pool_close(&db);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_without_server_fails_fast_and_clearly),
        cmocka_unit_test(test_pool_bad_conninfo_is_refused_without_its_password),
        cmocka_unit_test(test_pool_wrong_password_is_an_authentication_failure),
        cmocka_unit_test(test_pool_over_tcp_works),
        cmocka_unit_test(test_pool_closed_fails_who_waits),
        cmocka_unit_test(test_pool_closed_while_connecting),
        cmocka_unit_test(test_pool_of_statements_that_hang_serves_others_and_stops_them),
        cmocka_unit_test(test_pool_closed_while_it_stops_statements),
        cmocka_unit_test(test_pool_server_stopped_and_started_under_load_recovers_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_with_database(run);
}
