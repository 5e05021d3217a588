/* Rows of a real server as they come: all of them, a part, in transactions, and by a fiber that is
 * slower than the server. */
#include "core/arena.h"
#include "core/block.h"
#include "core/scope.h"
#include "tests/support/database.h"
#include "tests/support/scraped.h"

static pg_pool *db, *admin;

static int open_pool(void **state)
{
    (void)state;
    static const metrics_table *const tables[] = { &PG_METRICS };
    assert_ok(metrics_open(tables, 1, 1));
    metrics_use_slot(0);
    assert_ok(
        pg_pool_open(&(pg_pool_options){ .connections_max = 1, .acquire_timeout_ms = 10000 }, &db));
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &admin));
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    pg_pool_close(&db);
    pg_pool_close(&admin);
    return 0;
}

/* Which process of the server the pool's one connection has. */
static int32_t process(void)
{
    pg_rows rows;
    int32_t pid = 0;
    assert_ok(pg_query(db, &rows, "select pg_backend_pid()"));
    assert_ok(pg_get(&rows, 0, 0, &pid));
    return pid;
}

/* Nothing of it is taken, and the connection is the same. */
static void assert_free(int32_t pid)
{
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
    assert_int_equal(process(), pid);
}

static error read_all(pg_stream *s, int64_t *count)
{
    *count = 0;
    for (;;) {
        pg_rows rows;
        TRY(pg_stream_next(s, &rows));
        if (rows.count == 0)
            return OK;
        for (size_t i = 0; i < rows.count; i++) {
            int64_t number;
            TRY(pg_get(&rows, i, 0, &number));
            if (number != ++*count)
                return error_set(&PG_FAILED, "%ld as row %ld", (long)number, (long)*count);
        }
    }
}

static void test_stream_gives_all_rows_in_order(void **state)
{
    (void)state;
    static const int64_t sizes[] = { 0, 1, 2, 100, 100000 };
    const int32_t pid = process();
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        pg_stream *s;
        pg_rows rows;
        int64_t count;
        assert_ok(pg_stream_open(db, &s, "select generate_series(1, $1::int8)", sizes[i]));
        assert_int_equal(pg_pool_stats_of(db).leased, 1);
        assert_ok(read_all(s, &count));
        assert_int_equal(count, sizes[i]);
        assert_ok(pg_stream_next(s, &rows)); /* the end stays the end */
        assert_int_equal(rows.count, 0);
        assert_ok(pg_stream_close(&s));
        assert_null(s);
        assert_free(pid);
    }
    pg_stream *none = NULL;
    assert_ok(pg_stream_close(&none));
}

static void test_stream_tells_what_its_columns_are(void **state)
{
    (void)state;
    pg_stream *s;
    pg_rows rows;
    str text;
    opt_int8 nothing;
    assert_ok(pg_stream_open(db, &s, "select 'a'::text as name, null::int8, $1", 7));
    assert_ok(pg_stream_next(s, &rows));
    assert_int_equal(rows.count, 1);
    assert_int_equal(rows.column_count, 3);
    assert_str_equal(rows.columns[0].name, STR("name"));
    assert_ok(pg_get(&rows, 0, 0, &text));
    assert_str_equal(text, STR("a"));
    assert_ok(pg_get(&rows, 0, 1, &nothing));
    assert_false(nothing.has);
    assert_fails(PG_TYPE_MISMATCH, pg_get(&rows, 0, 0, &nothing));
    assert_ok(pg_stream_close(&s));
}

/* Neither the fiber's arena nor the worker's blocks grow with the rows. */
static void test_stream_of_a_million_rows_stays_small(void **state)
{
    (void)state;
    pg_stream *s;
    int64_t count = 0;
    size_t arena_bytes = 0;
    uint64_t blocks = 0;
    assert_ok(
        pg_stream_open(db, &s, "select n, repeat('x', 100) from generate_series(1, 1000000) n"));
    for (;;) {
        pg_rows rows;
        assert_ok(pg_stream_next(s, &rows));
        if (rows.count == 0)
            break;
        const str last = rows.items[rows.count - 1].cells[1];
        assert_int_equal(last.len, 100);
        /* Two arenas of what was kept, and what one read of the socket brings. */
        assert_true(rows.count * 160 < (size_t)1 << 20);
        count += (int64_t)rows.count;
        if (count < 100000) {
            arena_bytes = fiber_arena()->bytes;
            blocks = block_pool_stats().system;
        }
    }
    assert_int_equal(count, 1000000);
    assert_true(arena_bytes > 0 && fiber_arena()->bytes == arena_bytes);
    assert_true(block_pool_stats().system - blocks < 32);
    assert_ok(pg_stream_close(&s));
}

static double received(void)
{
    return scraped("pg_received_bytes_total");
}

/* What the process of the server waits for. */
static bool waits_to_write(int32_t pid)
{
    pg_rows rows;
    bool does = false;
    assert_ok(pg_query(admin, &rows,
                       "select coalesce(wait_event = 'ClientWrite', false) from pg_stat_activity "
                       "where pid = $1",
                       pid));
    assert_int_equal(rows.count, 1);
    assert_ok(pg_get(&rows, 0, 0, &does));
    return does;
}

/* A gigabyte is to come, and nobody takes it: the server stands still, and we hold little. */
static void test_stream_of_a_slow_fiber_holds_the_server_up(void **state)
{
    (void)state;
    pg_stream *s;
    pg_rows rows;
    const int32_t pid = process();
    const double before = received();
    assert_ok(
        pg_stream_open(db, &s, "select n, repeat('x', 10000) from generate_series(1, 100000) n"));
    for (int in_a_row = 0; in_a_row < 3;) {
        assert_ok(fiber_sleep(20));
        in_a_row = waits_to_write(pid) ? in_a_row + 1 : 0;
    }
    assert_true(received() - before < (double)((size_t)1 << 20));
    for (int i = 0; i < 100; i++) { /* and goes on where it stood */
        assert_ok(pg_stream_next(s, &rows));
        assert_true(rows.count > 0);
    }
    assert_ok(pg_stream_close(&s));
    assert_free(pid);
}

static void test_stream_of_a_row_of_megabytes_gives_it(void **state)
{
    (void)state;
    pg_stream *s;
    pg_rows rows;
    size_t bytes = 0;
    assert_ok(pg_stream_open(db, &s, "select repeat('x', 20000000) from generate_series(1, 3)"));
    for (;;) {
        assert_ok(pg_stream_next(s, &rows));
        if (rows.count == 0)
            break;
        for (size_t i = 0; i < rows.count; i++)
            bytes += rows.items[i].cells[0].len;
    }
    assert_int_equal(bytes, 60000000);
    assert_ok(pg_stream_close(&s));
}

/* --- leaving early ---------------------------------------------------------------------------- */

#define ENDLESS "select generate_series(1, 1000000000000)"

static void test_stream_closed_early_gives_its_connection_back(void **state)
{
    (void)state;
    const int32_t pid = process();
    for (int i = 0; i < 3; i++) {
        pg_stream *s;
        pg_rows rows;
        assert_ok(pg_stream_open(db, &s, ENDLESS));
        assert_ok(pg_stream_next(s, &rows));
        assert_ok(pg_stream_close(&s));
        assert_free(pid); /* when the server has been told to stop */
    }
}

static error open_and_return(void *arg)
{
    pg_stream *s;
    pg_rows rows;
    (void)arg;
    TRY(pg_stream_open(db, &s, ENDLESS));
    return pg_stream_next(s, &rows);
}

static void test_stream_left_by_a_return_is_closed(void **state)
{
    (void)state;
    const int32_t pid = process();
    assert_ok(scope_call(NULL, open_and_return, NULL));
    assert_free(pid);
}

static error read_slow_rows(void *arg)
{
    pg_stream *s;
    pg_rows rows;
    TRY(pg_stream_open(db, &s, "select pg_sleep($1), n from generate_series(1, 1000) n",
                       *(const double *)arg));
    do
        TRY(pg_stream_next(s, &rows));
    while (rows.count > 0);
    return pg_stream_close(&s);
}

static void test_stream_past_its_deadline_ends(void **state)
{
    (void)state;
    static const double seconds[] = { 0.005, 60 }; /* among its rows, and before the first */
    const int32_t pid = process();
    for (size_t i = 0; i < ARRAY_LEN(seconds); i++) {
        double sleeps = seconds[i];
        assert_fails(TIMED_OUT,
                     scope_call(&(scope_options){ .deadline_ms = 100 }, read_slow_rows, &sleeps));
        assert_free(pid);
    }
}

static void test_stream_of_a_canceled_fiber_ends(void **state)
{
    (void)state;
    fiber *reader;
    double sleeps = 0.005;
    const int32_t pid = process();
    assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, read_slow_rows,
                          &sleeps, &reader));
    while (pg_pool_stats_of(db).leased == 0)
        assert_ok(fiber_sleep(1));
    assert_ok(fiber_sleep(30));
    fiber_cancel(reader, &CANCELED);
    assert_fails(CANCELED, fiber_join(&reader));
    assert_free(pid);
}

/* --- errors ----------------------------------------------------------------------------------- */

static void test_stream_error_comes_behind_its_rows(void **state)
{
    (void)state;
    pg_stream *s;
    pg_rows rows;
    size_t seen = 0;
    error e = OK;
    const int32_t pid = process();
    assert_fails(PG_UNDEFINED_TABLE, pg_stream_open(db, &s, "select * from no_such_table"));
    assert_null(s);
    assert_fails(PG_DATA_EXCEPTION,
                 pg_stream_open(db, &s, "select 1 / (1 - n) from generate_series(1, 9) n"));
    assert_free(pid);
    assert_ok(pg_stream_open(db, &s, "select 1 / (50000 - n) from generate_series(1, 90000) n"));
    while (!e.kind) {
        e = pg_stream_next(s, &rows);
        seen += rows.count;
    }
    assert_int_equal(seen, 49999);
    assert_string_equal(error_detail_of(e)->sqlstate, "22012");
    e = pg_stream_next(s, &rows);
    assert_string_equal(error_detail_of(e)->sqlstate, "22012");
    e = pg_stream_close(&s);
    assert_string_equal(error_detail_of(e)->sqlstate, "22012");
    const pg_report *report = pg_error_report(e);
    assert_free(pid);
    assert_str_equal(report->message, STR("division by zero")); /* it outlives its stream */
}

static void test_stream_whose_server_is_terminated_fails(void **state)
{
    (void)state;
    pg_stream *s;
    pg_rows rows;
    error e = OK;
    const int32_t pid = process();
    assert_ok(pg_stream_open(db, &s, ENDLESS));
    assert_ok(pg_stream_next(s, &rows));
    assert_ok(pg_execute(admin, NULL, "select pg_terminate_backend($1)", pid));
    while (!e.kind)
        e = pg_stream_next(s, &rows);
    assert_true(error_is(e, &PG_CONNECTION_LOST));
    assert_fails(PG_CONNECTION_LOST, pg_stream_next(s, &rows));
    assert_fails(PG_CONNECTION_LOST, pg_stream_close(&s));
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
    assert_true(process() != pid);
}

/* It has no transaction of its own to end, and its session is not left to it. */
static void test_stream_that_begins_a_transaction_is_refused(void **state)
{
    (void)state;
    pg_stream *s;
    assert_fails(PG_INVALID_ARGUMENT, pg_stream_open(db, &s, "begin"));
    assert_ok(pg_stream_open(db, &s, "select 1"));
    assert_ok(pg_stream_close(&s));
    assert_fails(PG_INVALID_ARGUMENT, pg_stream_open(db, &s, "set statement_timeout = 0"));
    pg_rows rows;
    assert_ok(pg_query(db, &rows, "select 1"));
}

/* --- transactions ----------------------------------------------------------------------------- */

static void test_stream_of_a_change_returns_its_rows_and_commits(void **state)
{
    (void)state;
    pg_stream *s;
    int64_t count;
    pg_rows rows;
    assert_ok(pg_execute(db, NULL, "drop table if exists stream_test"));
    assert_ok(pg_execute(db, NULL, "create table stream_test (n bigint)"));
    assert_ok(pg_stream_open(
        db, &s, "insert into stream_test select generate_series(1, 1000) returning n"));
    assert_ok(read_all(s, &count));
    assert_int_equal(count, 1000);
    assert_ok(pg_stream_close(&s));
    assert_ok(pg_query(db, &rows, "select count(*) from stream_test"));
    assert_ok(pg_get(&rows, 0, 0, &count));
    assert_int_equal(count, 1000);
    assert_fails(PG_READ_ONLY, pg_stream_open(pg_read_only(db), &s,
                                              "insert into stream_test values (1) returning n"));
    assert_ok(pg_stream_open(pg_read_only(db), &s, "select * from stream_test order by n"));
    assert_ok(read_all(s, &count));
    assert_int_equal(count, 1000);
    assert_ok(pg_stream_close(&s));
    assert_ok(pg_stream_open(pg_read_only(db), &s, ENDLESS)); /* left early */
    assert_ok(pg_stream_close(&s));
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
    assert_ok(pg_execute(db, NULL, "drop table stream_test"));
}

static void test_stream_in_a_transaction_is_part_of_it(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_stream *s;
    pg_rows rows;
    int64_t count;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL,
                         "create temp table streamed on commit drop as select n from "
                         "generate_series(1, 50000::int8) n"));
    assert_ok(pg_stream_open(tx, &s, "select n from streamed"));
    assert_ok(read_all(s, &count));
    assert_int_equal(count, 50000);
    assert_ok(pg_stream_close(&s));
    assert_ok(pg_stream_open(tx, &s, "select n from streamed"));
    assert_ok(pg_stream_next(s, &rows));
    assert_ok(pg_stream_close(&s)); /* early: the rest is read, and the transaction goes on */
    assert_ok(pg_query(tx, &rows, "select count(*) from streamed"));
    assert_ok(pg_get(&rows, 0, 0, &count));
    assert_int_equal(count, 50000);
    assert_ok(pg_commit(&tx));
    assert_ok(pg_begin(db, &tx));
    assert_fails(PG_UNDEFINED_TABLE, pg_stream_open(tx, &s, "select * from streamed"));
    assert_fails(PG_IN_FAILED_TRANSACTION, pg_query(tx, &rows, "select 1"));
    assert_ok(pg_rollback(&tx));
}

static error stream_in_a_transaction_and_leave(void *arg)
{
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "create table stream_left (n int)"));
    return open_and_return(arg);
}

/* The stream is given up before its transaction is rolled back, not the other way. */
static error leave_both(void *arg)
{
    pg_tx *tx;
    pg_stream *s;
    pg_rows rows;
    (void)arg;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "create table stream_left (n int)"));
    TRY(pg_stream_open(tx, &s, ENDLESS));
    return pg_stream_next(s, &rows);
}

static void test_stream_left_in_a_transaction_is_rolled_back(void **state)
{
    (void)state;
    const int32_t pid = process();
    assert_ok(scope_call(NULL, leave_both, NULL));
    assert_free(pid);
    assert_fails(PG_UNDEFINED_TABLE, pg_execute(db, NULL, "drop table stream_left"));
    /* There is one connection, and the fiber has it. */
    assert_fails(PG_NESTED_ACQUIRE, scope_call(NULL, stream_in_a_transaction_and_leave, NULL));
    assert_free(pid);
}

/* --- out of date ------------------------------------------------------------------------------ */

static void test_stream_of_a_changed_table_is_opened_again(void **state)
{
    (void)state;
    static const char SQL[] = "select * from stream_changed";
    pg_stream *s;
    pg_rows rows;
    str text;
    assert_ok(pg_execute(db, NULL, "drop table if exists stream_changed"));
    assert_ok(pg_execute(db, NULL, "create table stream_changed as select 1 as n"));
    assert_ok(pg_stream_open(db, &s, SQL));
    assert_ok(pg_stream_close(&s));
    assert_ok(pg_execute(admin, NULL, "alter table stream_changed alter n type text"));
    assert_ok(pg_stream_open(db, &s, SQL));
    assert_ok(pg_stream_next(s, &rows));
    assert_ok(pg_get(&rows, 0, 0, &text));
    assert_str_equal(text, STR("1"));
    assert_ok(pg_stream_next(s, &rows));
    assert_int_equal(rows.count, 0);
    assert_ok(pg_stream_close(&s));
    assert_ok(pg_execute(db, NULL, "drop table stream_changed"));
}

static void test_stream_with_a_name_is_counted_once(void **state)
{
    (void)state;
    pg_stream *s;
    int64_t count;
    assert_ok(
        pg_stream_open(db, &s, PG_NAMED("test.stream", "select generate_series(1, 30000::int8)")));
    assert_ok(read_all(s, &count));
    assert_ok(pg_stream_close(&s));
    assert_true(scraped("pg_statement_duration_seconds_count{statement=\"test.stream\"}") == 1);
    assert_true(scraped("pg_statement_rows_total{statement=\"test.stream\"}") == 30000);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_gives_all_rows_in_order),
        cmocka_unit_test(test_stream_tells_what_its_columns_are),
        cmocka_unit_test(test_stream_of_a_million_rows_stays_small),
        cmocka_unit_test(test_stream_of_a_slow_fiber_holds_the_server_up),
        cmocka_unit_test(test_stream_of_a_row_of_megabytes_gives_it),
        cmocka_unit_test(test_stream_closed_early_gives_its_connection_back),
        cmocka_unit_test(test_stream_left_by_a_return_is_closed),
        cmocka_unit_test(test_stream_past_its_deadline_ends),
        cmocka_unit_test(test_stream_of_a_canceled_fiber_ends),
        cmocka_unit_test(test_stream_error_comes_behind_its_rows),
        cmocka_unit_test(test_stream_whose_server_is_terminated_fails),
        cmocka_unit_test(test_stream_that_begins_a_transaction_is_refused),
        cmocka_unit_test(test_stream_of_a_change_returns_its_rows_and_commits),
        cmocka_unit_test(test_stream_in_a_transaction_is_part_of_it),
        cmocka_unit_test(test_stream_left_in_a_transaction_is_rolled_back),
        cmocka_unit_test(test_stream_of_a_changed_table_is_opened_again),
        cmocka_unit_test(test_stream_with_a_name_is_counted_once),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
