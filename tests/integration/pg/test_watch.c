/* What is counted and logged of statements, against a real server. */
#include "core/fault.h"
#include "core/scope.h"
#include "tests/support/database.h"
#include "tests/support/logged.h"
#include "tests/support/scraped.h"

static pg_pool *db;
static logged seen;

#define COUNT_OF(name) "pg_statement_duration_seconds_count{statement=\"" name "\"}"
#define ROWS_OF(name)  "pg_statement_rows_total{statement=\"" name "\"}"
#define ERRORS_OF(class, name) \
    "pg_statement_errors_total{class=\"" class "\",statement=\"" name "\"}"

static int open_pool(void **state)
{
    (void)state;
    static const metrics_table *const tables[] = { &PG_METRICS };
    assert_ok(metrics_open(tables, 1, 1));
    metrics_use_slot(0);
    setenv("PG_SLOW_QUERY", "50ms", 1);
    assert_ok(pg_pool_open(NULL, &db));
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    pg_pool_close(&db);
    return 0;
}

/* --- metrics ---------------------------------------------------------------------------------- */

static void test_statement_with_a_name_is_counted(void **state)
{
    (void)state;
    static const pg_sql THREE = PG_NAMED("test.three", "select generate_series(1, $1::int4)");
    pg_rows rows;
    uint64_t affected;
    for (int i = 0; i < 4; i++)
        assert_ok(pg_query(db, &rows, THREE, 3));
    assert_ok(pg_execute(db, &affected, PG_NAMED("test.other", "select 1")));
    assert_true(scraped(COUNT_OF("test.three")) == 4);
    assert_true(scraped(ROWS_OF("test.three")) == 12);
    assert_true(scraped(ROWS_OF("test.other")) == 1);
    assert_true(scraped(ERRORS_OF("invalid", "test.three")) == -1); /* nothing: left out */
    assert_true(scraped("pg_statement_duration_seconds_sum{statement=\"test.three\"}") > 0);
}

static void test_statement_without_a_name_is_not_counted_by_one(void **state)
{
    (void)state;
    pg_rows rows;
    const double before = scraped("pg_queries_total");
    assert_ok(pg_query(db, &rows, "select 1"));
    assert_true(scraped("pg_queries_total") > before);
    assert_true(scraped(COUNT_OF("other")) == -1);
}

static void test_statement_with_a_name_is_counted_without_memory(void **state)
{
    (void)state;
    static const pg_sql named = PG_NAMED("test.no_memory", "select 'no memory'");
    pg_pool *pool;
    pg_rows rows;
    assert_ok(pg_pool_open(NULL, &pool));
    assert_ok(
        pg_query(pool, &rows, named.text)); /* all that it needs is there but the name's place */
    fault_always("memory");
    assert_ok(pg_query(pool, &rows, named));
    assert_true(fault_passed("memory") > 0);
    fault_clear();
    assert_ok(pg_query(pool, &rows, named));
    assert_true(scraped(COUNT_OF("test.no_memory")) == 2);
    pg_pool_close(&pool);
}

static void test_statement_names_past_the_limit_are_one(void **state)
{
    (void)state;
    static char names[700][24]; /* more than are told apart, or have a place */
    pg_pool *pool;
    pg_rows rows;
    assert_ok(pg_pool_open(NULL, &pool));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 700; i++) {
            (void)snprintf(names[i], sizeof names[i], "many.%d", i);
            const pg_sql many = { STR("select 1"), names[i] };
            assert_ok(pg_query(pool, &rows, many));
        }
    }
    assert_true(scraped(COUNT_OF("many.0")) == 2);
    assert_true(scraped(COUNT_OF("many.699")) == -1);
    double counted = scraped(COUNT_OF("other"));
    assert_true(counted > 2 * 400);
    for (int i = 0; i < 700; i++) {
        char line[96];
        (void)snprintf(line, sizeof line,
                       "pg_statement_duration_seconds_count{statement=\"many.%d\"}", i);
        const double own = scraped(line);
        counted += own < 0 ? 0 : own;
    }
    assert_true(counted == 1400);
    pg_pool_close(&pool);
}

static void test_statement_that_sleeps_has_its_time(void **state)
{
    (void)state;
    pg_rows rows;
    assert_ok(pg_query(db, &rows, PG_NAMED("test.sleep", "select pg_sleep(0.2)")));
    const double took = scraped("pg_statement_duration_seconds_sum{statement=\"test.sleep\"}");
    assert_true(took >= 0.2);
}

static void test_statement_that_fails_counts_by_class(void **state)
{
    (void)state;
    pg_rows rows;
    static const pg_sql DIVIDE = PG_NAMED("test.divide", "select 1 / $1::int4");
    const double before = scraped("pg_server_errors_total{class=\"22\"}");
    assert_fails(PG_DATA_EXCEPTION, pg_query(db, &rows, DIVIDE, 0));
    assert_ok(pg_query(db, &rows, DIVIDE, 1));
    assert_fails(PG_SYNTAX, pg_query(db, &rows, PG_NAMED("test.syntax", "selec 1")));
    assert_true(scraped(ERRORS_OF("invalid", "test.divide")) == 1);
    assert_true(scraped(COUNT_OF("test.divide")) == 2);
    assert_true(scraped(ROWS_OF("test.divide")) == 1);
    assert_true(scraped(ERRORS_OF("internal", "test.syntax")) == 1);
    assert_true(scraped("pg_server_errors_total{class=\"22\"}") - (before < 0 ? 0 : before) == 1);
}

static error sleep_long(void *arg)
{
    (void)arg;
    pg_rows rows;
    return pg_query(db, &rows, PG_NAMED("test.abandoned", "select pg_sleep(30)"));
}

static void test_statement_whose_wait_times_out_is_counted_and_canceled(void **state)
{
    (void)state;
    const double abandoned = scraped("pg_abandoned_total"), cancels = scraped("pg_cancels_total");
    assert_fails(TIMED_OUT, scope_call(&(scope_options){ .deadline_ms = 30 }, sleep_long, NULL));
    assert_true(scraped(ERRORS_OF("timed_out", "test.abandoned")) == 1);
    assert_true(scraped("pg_abandoned_total") == abandoned + 1);
    for (int i = 0; i < 1000 && scraped("pg_cancels_total") == cancels; i++)
        assert_ok(fiber_sleep(10));
    assert_true(scraped("pg_cancels_total") > cancels);
}

static void test_statements_of_a_batch_count_each(void **state)
{
    (void)state;
    pg_rows rows;
    pg_batch *b = pg_batch_new();
    pg_batch_query(b, &rows, PG_NAMED("test.first", "select 1"));
    pg_batch_execute(b, NULL, PG_NAMED("test.second", "select 1 / 0"));
    pg_batch_execute(b, NULL, PG_NAMED("test.third", "select 1"));
    assert_fails(PG_DATA_EXCEPTION, pg_batch_run(db, b));
    assert_true(scraped(COUNT_OF("test.first")) == 1);
    assert_true(scraped(ERRORS_OF("invalid", "test.second")) == 1);
    assert_true(scraped(COUNT_OF("test.third")) == -1); /* it was not run */
    assert_fails(PG_DATA_EXCEPTION, pg_pipeline_run(db, b));
    assert_true(scraped(COUNT_OF("test.first")) == 2);
    assert_true(scraped(COUNT_OF("test.third")) == 1);
}

static void test_statement_in_a_transaction_and_its_end_are_counted(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_rows rows;
    const double commits = scraped("pg_transactions_total{end=\"commit\"}");
    const double rollbacks = scraped("pg_transactions_total{end=\"rollback\"}");
    const double leases = scraped("pg_lease_duration_seconds_count");
    const double queries = scraped("pg_query_duration_seconds_count");
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_query(tx, &rows, PG_NAMED("test.inside", "select 1")));
    assert_ok(pg_commit(&tx));
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_query(tx, &rows, PG_NAMED("test.inside", "select 1")));
    assert_ok(pg_rollback(&tx));
    assert_true(scraped(COUNT_OF("test.inside")) == 2);
    assert_true(scraped("pg_lease_duration_seconds_count") == leases + 2);
    assert_true(scraped("pg_query_duration_seconds_count") == queries + 4);
    assert_true(scraped("pg_transactions_total{end=\"commit\"}") == commits + 1);
    assert_true(scraped("pg_transactions_total{end=\"rollback\"}") == rollbacks + 1);
}

static void test_cursor_counts_its_pieces_and_copy_its_rows(void **state)
{
    (void)state;
    pg_cursor *c;
    pg_copy *copy;
    pg_rows rows;
    size_t pieces = 0;
    const double portals = scraped("pg_portals_total");
    assert_ok(pg_cursor_open(db, &c, PG_NAMED("test.cursor", "select generate_series(1, 1000)")));
    do {
        assert_ok(pg_cursor_next(c, &rows));
        pieces += rows.count > 0;
    } while (rows.count > 0);
    assert_ok(pg_cursor_close(&c));
    assert_true(pieces > 1);
    assert_true(scraped("pg_portals_total") == portals + 1);
    assert_true(scraped(COUNT_OF("test.cursor")) == (double)pieces);
    assert_true(scraped(ROWS_OF("test.cursor")) == 1000);
    assert_ok(pg_copy_out(db, &copy,
                          PG_NAMED("test.copy", "copy (select generate_series(1, 7)) to stdout")));
    assert_ok(pg_copy_finish(&copy, NULL));
    assert_true(scraped(COUNT_OF("test.copy")) == 1);
    assert_true(scraped(ROWS_OF("test.copy")) == 7);
}

static error read_one(void *arg)
{
    pg_rows rows;
    (void)arg;
    return pg_query(pg_read_only(db), &rows, PG_NAMED("test.read", "select 1"));
}

static void test_read_only_batches_and_depth_are_counted(void **state)
{
    (void)state;
    wait_group group;
    assert_ok(read_one(NULL)); /* prepared, so that all are ready to ask at once */
    wait_group_init(&group);
    const double statements = scraped("pg_batch_size_sum");
    for (int i = 0; i < 20; i++)
        assert_ok(wait_group_start(&group, read_one, NULL));
    assert_ok(wait_group_wait(&group));
    assert_true(scraped("pg_batch_size_sum") == statements + 20);
    assert_true(scraped("pg_batch_size_bucket{le=\"+Inf\"}") >
                scraped("pg_batch_size_bucket{le=\"7\"}"));
    assert_true(scraped("pg_pipeline_depth_bucket{le=\"+Inf\"}") >
                scraped("pg_pipeline_depth_bucket{le=\"7\"}"));
    assert_true(scraped(COUNT_OF("test.read")) == 21);
}

static void test_bytes_and_parses_are_counted(void **state)
{
    (void)state;
    pg_rows rows;
    const double sent = scraped("pg_sent_bytes_total"), parses = scraped("pg_parses_total");
    const double received = scraped("pg_received_bytes_total");
    char text[3000];
    memset(text, 'x', sizeof text);
    const str value = { text, sizeof text };
    for (int i = 0; i < 5; i++)
        assert_ok(pg_query(db, &rows, "select $1 || 'counted'", value));
    assert_true(scraped("pg_parses_total") - parses >= 1);
    assert_true(scraped("pg_sent_bytes_total") - sent > 15000);
    assert_true(scraped("pg_sent_bytes_total") - sent < 20000);
    assert_true(scraped("pg_received_bytes_total") - received > 15000);
    assert_true(scraped("pg_received_bytes_total") - received < 20000);
}

/* --- slow statements -------------------------------------------------------------------------- */

static void test_slow_query_is_logged_by_its_name(void **state)
{
    (void)state;
    pg_rows rows;
    const double before = scraped("pg_slow_queries_total");
    logged_begin(&seen, LOG_WARN);
    log_set_request_id(STR("0123456789abcdef"));
    assert_ok(pg_query(db, &rows, PG_NAMED("test.slow", "select pg_sleep(0.1), $1::text"),
                       STR("secret")));
    log_set_request_id(STR_NONE);
    const char *text = logged_end(&seen);
    assert_non_null(strstr(text, "slow query"));
    assert_non_null(strstr(text, "\"statement\":\"test.slow\""));
    assert_non_null(strstr(text, "\"rows\":1,"));
    assert_non_null(strstr(text, "\"process\":"));
    assert_non_null(strstr(text, "\"host\":"));
    assert_non_null(strstr(text, "0123456789abcdef"));
    assert_null(strstr(text, "secret"));
    assert_true(scraped("pg_slow_queries_total") == before + 1);
}

static void test_slow_query_without_a_name_is_logged_by_its_text(void **state)
{
    (void)state;
    pg_rows rows;
    logged_begin(&seen, LOG_WARN);
    assert_ok(pg_query(db, &rows, "select\n\t   pg_sleep(0.1)  \n"));
    const char *text = logged_end(&seen);
    assert_non_null(strstr(text, "\"sql\":\"select pg_sleep(0.1)\""));
}

static void test_slow_query_that_is_long_is_cut(void **state)
{
    (void)state;
    pg_rows rows;
    char sql[4000];
    size_t len = (size_t)snprintf(sql, sizeof sql, "select pg_sleep(0.1) --");
    while (len + 3 < sizeof sql)
        len += (size_t)snprintf(sql + len, sizeof sql - len, "\xC3\xA4");
    logged_begin(&seen, LOG_WARN);
    assert_ok(pg_query(db, &rows, sql));
    const char *text = logged_end(&seen);
    assert_non_null(strstr(text, "select pg_sleep(0.1) --"));
    assert_true(strlen(text) < 1000);
}

static void test_slow_query_in_a_batch_is_the_one_that_was_slow(void **state)
{
    (void)state;
    pg_batch *b = pg_batch_new();
    logged_begin(&seen, LOG_WARN);
    pg_batch_execute(b, NULL, PG_NAMED("test.quick", "select 1"));
    pg_batch_execute(b, NULL, PG_NAMED("test.slow", "select pg_sleep(0.2)"));
    pg_batch_execute(b, NULL, PG_NAMED("test.quick", "select 1"));
    assert_ok(pg_pipeline_run(db, b));
    const char *text = logged_end(&seen);
    assert_non_null(strstr(text, "\"statement\":\"test.slow\""));
    assert_non_null(strstr(text, "\"statements\":3"));
}

static void test_slow_query_that_failed_says_so(void **state)
{
    (void)state;
    logged_begin(&seen, LOG_WARN);
    assert_fails(TIMED_OUT, scope_call(&(scope_options){ .deadline_ms = 100 }, sleep_long, NULL));
    const char *text = logged_end(&seen);
    assert_non_null(strstr(text, "\"statement\":\"test.abandoned\""));
    assert_non_null(strstr(text, "\"failed\":\"TIMED_OUT\""));
}

static void test_slow_copy_is_logged(void **state)
{
    (void)state;
    pg_copy *c;
    logged_begin(&seen, LOG_WARN);
    assert_ok(pg_copy_out(db, &c, "copy (select 'row' from pg_sleep(0.1)) to stdout"));
    assert_ok(pg_copy_finish(&c, NULL));
    const char *text = logged_end(&seen);
    assert_non_null(strstr(text, "\"sql\":\"copy (select 'row' from pg_sleep(0.1)) to stdout\""));
    assert_non_null(strstr(text, "\"rows\":1,\"bytes\":4,"));
    assert_non_null(strstr(text, "\"process\":"));
}

static error copy_slowly(void *arg)
{
    pg_copy *c;
    str bytes;
    (void)arg;
    TRY(pg_copy_out(db, &c,
                    PG_NAMED("test.copied",
                             "copy (select repeat('x', 1000), pg_sleep(n / 50 * 60) from "
                             "generate_series(1, 50) n) to stdout")));
    do
        TRY(pg_copy_read(c, &bytes));
    while (bytes.len > 0);
    return OK;
}

static void test_slow_copy_that_was_left_is_logged(void **state)
{
    (void)state;
    logged_begin(&seen, LOG_WARN);
    assert_fails(TIMED_OUT, scope_call(&(scope_options){ .deadline_ms = 100 }, copy_slowly, NULL));
    const char *text = logged_end(&seen);
    assert_non_null(strstr(text, "\"statement\":\"test.copied\""));
    assert_non_null(strstr(text, "\"failed\":\"CANCELED\""));
}

static void test_slow_use_of_a_copy_is_no_slow_copy(void **state)
{
    (void)state;
    pg_copy *c;
    str bytes;
    logged_begin(&seen, LOG_WARN);
    assert_ok(pg_copy_out(db, &c, "copy (select 1) to stdout"));
    assert_ok(fiber_sleep(100));
    assert_ok(pg_copy_read(c, &bytes));
    assert_ok(fiber_sleep(100));
    assert_ok(pg_copy_finish(&c, NULL));
    assert_null(strstr(logged_end(&seen), "slow query"));
}

static error hold(void *arg)
{
    pg_pool *one = arg;
    pg_tx *tx;
    pg_rows rows;
    TRY(pg_begin(one, &tx));
    TRY(pg_query(tx, &rows, "select pg_sleep(0.2)"));
    return pg_commit(&tx);
}

static void test_slow_query_that_waited_for_a_connection_says_so(void **state)
{
    (void)state;
    pg_pool *one;
    pg_rows rows;
    fiber *holder;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &one));
    assert_ok(pg_query(one, &rows, "select 1"));
    logged_begin(&seen, LOG_WARN);
    assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, hold, one, &holder));
    assert_ok(fiber_yield());
    assert_ok(pg_query(one, &rows, PG_NAMED("test.waits", "select 1")));
    assert_ok(fiber_join(&holder));
    const char *text = logged_end(&seen);
    const char *line = strstr(text, "\"statement\":\"test.waits\"");
    assert_non_null(line);
    assert_non_null(strstr(line, "\"waited_ms\":"));
    pg_pool_close(&one);
}

static error sleep_shortly(void *pool)
{
    pg_rows rows;
    return pg_query((pg_pool *)pool, &rows, "select pg_sleep(0.002)");
}

static void test_slow_queries_are_logged_at_a_pace(void **state)
{
    (void)state;
    setenv("PG_SLOW_QUERY", "1ms", 1);
    pg_pool *pool;
    wait_group group;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &pool));
    assert_ok(sleep_shortly(pool));
    assert_ok(fiber_sleep(1001)); /* a second of its own */
    logged_begin(&seen, LOG_WARN);
    wait_group_init(&group);
    for (int i = 0; i < 60; i++) /* one after the other on the one connection */
        assert_ok(wait_group_start(&group, sleep_shortly, pool));
    assert_ok(wait_group_wait(&group));
    assert_ok(fiber_sleep(1001));
    assert_ok(sleep_shortly(pool));
    const char *text = logged_end(&seen);
    assert_true(logged_count(text, "slow query") < 61);
    assert_true(logged_count(text, "slow query") >= 11);
    assert_non_null(strstr(text, "\"kept_back\":"));
    pg_pool_close(&pool);
    setenv("PG_SLOW_QUERY", "50ms", 1);
}

static void test_slow_query_shows_parameters_when_told_to(void **state)
{
    (void)state;
    setenv("PG_LOG_PARAMETERS", "on", 1);
    pg_pool *pool;
    pg_rows rows;
    static const int16_t items[] = { 1, 2 };
    const int2_list numbers = { (int16_t *)(uintptr_t)items, 2 };
    const opt_int4 none = { .is_null = true };
    char text_value[200];
    memset(text_value, 'y', sizeof text_value);
    const str long_one = { text_value, sizeof text_value };
    assert_ok(pg_pool_open(NULL, &pool));
    logged_begin(&seen, LOG_WARN);
    assert_ok(pg_query(pool, &rows,
                       "select pg_sleep(0.1), $1::int8, $2::text, $3::bool, $4::text, $5::int4, "
                       "$6::float8, $7::int2[]",
                       (int64_t)-7, STR("it's"), true, long_one, none, 0.5, numbers));
    const char *text = logged_end(&seen);
    assert_non_null(strstr(text, "$1=-7, $2='it's', $3=true, $4='yyyy"));
    assert_non_null(strstr(text, "yyyy…', $5=null, $6=0.5, $7=(32 bytes of type 1005)"));
    assert_null(
        strstr(text, "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"));
    pg_pool_close(&pool);
    unsetenv("PG_LOG_PARAMETERS");
}

static void test_slow_query_log_can_be_off(void **state)
{
    (void)state;
    setenv("PG_SLOW_QUERY", "0", 1);
    pg_pool *pool;
    pg_rows rows;
    assert_ok(pg_pool_open(NULL, &pool));
    logged_begin(&seen, LOG_WARN);
    assert_ok(pg_query(pool, &rows, "select pg_sleep(0.1)"));
    assert_string_equal(logged_end(&seen), "");
    pg_pool_close(&pool);
    setenv("PG_SLOW_QUERY", "50ms", 1);
}

/* --- notices ---------------------------------------------------------------------------------- */

static void test_notices_are_logged_by_severity_and_at_a_pace(void **state)
{
    (void)state;
    const double before = scraped("pg_notices_total");
    assert_ok(fiber_sleep(1001)); /* a second of its own */
    logged_begin(&seen, LOG_WARN);
    assert_ok(pg_execute(db, NULL, "do $$ begin raise notice 'a notice'; end $$"));
    assert_ok(pg_execute(
        db, NULL, "do $$ begin for i in 1..100 loop raise warning 'a warning'; end loop; end $$"));
    const char *text = logged_end(&seen);
    assert_null(strstr(text, "a notice")); /* of level debug */
    assert_true(logged_count(text, "a warning") >= 10);
    assert_true(logged_count(text, "a warning") <= 20); /* a second may have begun meanwhile */
    assert_non_null(strstr(text, "\"process\":"));
    assert_true(scraped("pg_notices_total") == before + 101);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statement_with_a_name_is_counted),
        cmocka_unit_test(test_statement_without_a_name_is_not_counted_by_one),
        cmocka_unit_test(test_statement_that_sleeps_has_its_time),
        cmocka_unit_test(test_statement_that_fails_counts_by_class),
        cmocka_unit_test(test_statement_whose_wait_times_out_is_counted_and_canceled),
        cmocka_unit_test(test_statements_of_a_batch_count_each),
        cmocka_unit_test(test_statement_in_a_transaction_and_its_end_are_counted),
        cmocka_unit_test(test_cursor_counts_its_pieces_and_copy_its_rows),
        cmocka_unit_test(test_read_only_batches_and_depth_are_counted),
        cmocka_unit_test(test_bytes_and_parses_are_counted),
        cmocka_unit_test(test_slow_query_is_logged_by_its_name),
        cmocka_unit_test(test_slow_query_without_a_name_is_logged_by_its_text),
        cmocka_unit_test(test_slow_query_that_is_long_is_cut),
        cmocka_unit_test(test_slow_query_in_a_batch_is_the_one_that_was_slow),
        cmocka_unit_test(test_slow_query_that_failed_says_so),
        cmocka_unit_test(test_slow_copy_is_logged),
        cmocka_unit_test(test_slow_copy_that_was_left_is_logged),
        cmocka_unit_test(test_slow_use_of_a_copy_is_no_slow_copy),
        cmocka_unit_test(test_slow_query_that_waited_for_a_connection_says_so),
        cmocka_unit_test(test_slow_queries_are_logged_at_a_pace),
        cmocka_unit_test(test_slow_query_shows_parameters_when_told_to),
        cmocka_unit_test(test_slow_query_log_can_be_off),
        cmocka_unit_test(test_statement_with_a_name_is_counted_without_memory),
        cmocka_unit_test(test_notices_are_logged_by_severity_and_at_a_pace),
        /* last: it takes all names */
        cmocka_unit_test(test_statement_names_past_the_limit_are_one),
    };
    return cmocka_run_group_tests_name("watch", tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
