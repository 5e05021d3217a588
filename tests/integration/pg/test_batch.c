/* Several statements at once against a real server: all or nothing, each for itself, and in
 * transactions. */
#include "core/scope.h"
#include "tests/support/database.h"

#include <string.h>

static pg_pool *db;

static int open_pool(void **state)
{
    (void)state;
    assert_ok(pg_pool_open(NULL, &db));
    assert_ok(pg_execute(db, NULL, "drop table if exists batched"));
    assert_ok(pg_execute(db, NULL, "create table batched (a int primary key, b text)"));
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "drop table batched"));
    pg_pool_close(&db);
    return 0;
}

static int empty_table(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "truncate batched"));
    return 0;
}

static int64_t rows_in_table(void)
{
    pg_rows rows;
    int64_t count = -1;
    assert_ok(pg_query(db, &rows, "select count(*) from batched"));
    assert_ok(pg_get(&rows, 0, 0, &count));
    return count;
}

static void add_insert(pg_batch *b, int32_t a, uint64_t *affected)
{
    pg_batch_execute(b, affected, "insert into batched values ($1, $2)", a, STR("text"));
}

static void test_batch_of_statements_has_all_answers(void **state)
{
    (void)state;
    pg_rows before, after;
    uint64_t inserted[3] = { 0 }, deleted = 0;
    pg_batch *b = pg_batch_new();
    pg_batch_query(b, &before, "select * from batched");
    for (int32_t i = 0; i < 3; i++)
        add_insert(b, i, &inserted[i]);
    pg_batch_execute(b, &deleted, "delete from batched where a > $1", 0);
    pg_batch_query(b, &after, "select a, b from batched");
    assert_int_equal(pg_batch_count(b), 6);
    assert_ok(pg_batch_run(db, b));
    assert_int_equal(before.count, 0);
    assert_int_equal(after.count, 1);
    assert_int_equal(deleted, 2);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(inserted[i], 1);
    for (size_t i = 0; i < 6; i++)
        assert_ok(pg_batch_error(b, i));
    str text;
    assert_ok(pg_get(&after, 0, 1, &text));
    assert_str_equal(text, STR("text"));
}

static void test_batch_empty_is_no_error(void **state)
{
    (void)state;
    pg_batch *b = pg_batch_new();
    assert_ok(pg_batch_run(db, b));
    assert_ok(pg_pipeline_run(db, b));
}

static void test_batch_that_fails_leaves_nothing(void **state)
{
    (void)state;
    pg_rows rows = { .count = 7 };
    pg_batch *b = pg_batch_new();
    add_insert(b, 1, NULL);
    add_insert(b, 1, NULL);
    pg_batch_query(b, &rows, "select * from batched");
    assert_fails(PG_UNIQUE_VIOLATION, pg_batch_run(db, b));
    assert_fails(PG_ROLLED_BACK, pg_batch_error(b, 0));
    assert_fails(PG_UNIQUE_VIOLATION, pg_batch_error(b, 1));
    assert_fails(PG_ROLLED_BACK, pg_batch_error(b, 2));
    assert_str_equal(error_detail_of(pg_batch_error(b, 0))->text, STR("undone: #1 failed"));
    assert_str_equal(error_detail_of(pg_batch_error(b, 2))->text, STR("not run: #1 failed"));
    assert_int_equal(pg_batch_failed(b), 1);
    assert_int_equal(rows.count, 0);
    assert_int_equal(rows_in_table(), 0);
}

/* It fails before anything is run. */
static void test_batch_with_a_statement_of_no_sense_tells_which(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_rows rows;
    pg_batch *b = pg_batch_new();
    add_insert(b, 1, NULL);
    pg_batch_query(b, &rows, "select * from there_is_no_such_table");
    add_insert(b, 2, NULL);
    for (int in_tx = 0; in_tx < 2; in_tx++) {
        assert_ok(pg_begin(db, &tx));
        const error e = in_tx ? pg_batch_run(tx, b) : pg_batch_run(db, b);
        assert_fails(PG_UNDEFINED_TABLE, e);
        assert_int_equal(pg_batch_failed(b), 1);
        assert_fails(PG_ROLLED_BACK, pg_batch_error(b, 0));
        assert_fails(PG_UNDEFINED_TABLE, pg_batch_error(b, 1));
        assert_fails(PG_ROLLED_BACK, pg_batch_error(b, 2));
        assert_ok(pg_rollback(&tx));
    }
    assert_int_equal(rows_in_table(), 0);
    assert_ok(pg_begin(db, &tx));
    assert_fails(PG_UNDEFINED_TABLE, pg_pipeline_run(tx, b));
    assert_int_equal(pg_batch_failed(b), 1);
    assert_fails(PG_UNDEFINED_TABLE, pg_batch_error(b, 1));
    assert_ok(pg_rollback(&tx));
    assert_int_equal(rows_in_table(), 0);
}

/* The server finds it out when the batch's transaction ends. */
static void test_batch_that_fails_at_its_end_leaves_nothing(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "drop table if exists batched_late"));
    assert_ok(pg_execute(db, NULL,
                         "create table batched_late (a int references batched "
                         "deferrable initially deferred)"));
    pg_batch *b = pg_batch_new();
    pg_batch_execute(b, NULL, "insert into batched_late values (1)");
    add_insert(b, 2, NULL);
    assert_fails(PG_FOREIGN_KEY_VIOLATION, pg_batch_run(db, b));
    assert_int_equal(rows_in_table(), 0);
    assert_ok(pg_execute(db, NULL, "drop table batched_late"));
}

static void test_batch_run_again_runs_again(void **state)
{
    (void)state;
    pg_rows rows;
    pg_batch *b = pg_batch_new();
    pg_batch_execute(b, NULL, "insert into batched select coalesce(max(a), 0) + 1 from batched");
    pg_batch_query(b, &rows, "select * from batched");
    for (size_t i = 1; i <= 3; i++) {
        assert_ok(pg_batch_run(db, b));
        assert_int_equal(rows.count, i);
    }
}

static void test_batch_that_cannot_be_sent_is_refused_whole(void **state)
{
    (void)state;
    pg_batch *b = pg_batch_new();
    add_insert(b, 1, NULL);
    pg_batch_add(b, PG_SQL(STR("select '\0'")), (pg_values){ 0 }, NULL, NULL);
    assert_fails(PG_INVALID_ARGUMENT, pg_batch_run(db, b));
    assert_fails(PG_INVALID_ARGUMENT, pg_pipeline_run(db, b));
    b = pg_batch_new();
    add_insert(b, 1, NULL);
    pg_batch_execute(b, NULL, "insert into there_is_no_such_table values (1)");
    assert_fails(PG_UNDEFINED_TABLE, pg_batch_run(db, b));
    assert_int_equal(rows_in_table(), 0);
}

static void test_pipeline_runs_each_for_itself(void **state)
{
    (void)state;
    uint64_t affected = 0;
    pg_rows rows;
    pg_batch *b = pg_batch_new();
    add_insert(b, 1, NULL);
    add_insert(b, 1, NULL);
    add_insert(b, 2, &affected);
    pg_batch_query(b, &rows, "select * from batched");
    assert_fails(PG_UNIQUE_VIOLATION, pg_pipeline_run(db, b));
    assert_ok(pg_batch_error(b, 0));
    assert_fails(PG_UNIQUE_VIOLATION, pg_batch_error(b, 1));
    assert_ok(pg_batch_error(b, 2));
    assert_ok(pg_batch_error(b, 3));
    assert_int_equal(pg_batch_failed(b), 1);
    assert_int_equal(affected, 1);
    assert_int_equal(rows.count, 2);
    assert_int_equal(rows_in_table(), 2);
}

/* Those that the server does not even understand keep no other from running. */
static void test_pipeline_with_statements_of_no_sense_runs_the_others(void **state)
{
    (void)state;
    uint64_t affected = 0;
    pg_rows rows;
    pg_batch *b = pg_batch_new();
    pg_batch_query(b, &rows, "select * from there_is_no_such_table");
    add_insert(b, 1, &affected);
    pg_batch_query(b, &rows, "selec");
    assert_fails(PG_UNDEFINED_TABLE, pg_pipeline_run(db, b));
    assert_int_equal(pg_batch_failed(b), 0);
    assert_fails(PG_UNDEFINED_TABLE, pg_batch_error(b, 0));
    assert_ok(pg_batch_error(b, 1));
    assert_fails(PG_SYNTAX, pg_batch_error(b, 2));
    assert_int_equal(affected, 1);
    assert_int_equal(rows_in_table(), 1);
    b = pg_batch_new();
    pg_batch_query(b, &rows, "selec");
    pg_batch_query(b, &rows, "select 1 from");
    assert_fails(PG_SYNTAX, pg_pipeline_run(db, b));
    assert_fails(PG_SYNTAX, pg_batch_error(b, 1));
}

/* Prepared forms that are out of date are made again, and no statement runs twice. */
static void run_with_stale_statements(error (*run)(pg_target on, pg_batch *b), int64_t inserted)
{
    pg_rows rows;
    pg_batch *b = pg_batch_new();
    pg_batch_execute(b, NULL, "insert into batched select count(*) from batched");
    pg_batch_query(b, &rows, "select * from batched_changing");
    pg_batch_execute(b, NULL, "insert into batched select count(*) from batched");
    assert_ok(pg_execute(db, NULL, "drop table if exists batched_changing"));
    assert_ok(pg_execute(db, NULL, "create table batched_changing (a int)"));
    assert_ok(run(PG_TARGET(db), b));
    assert_int_equal(rows.column_count, 1);
    assert_ok(pg_execute(db, NULL, "alter table batched_changing add b int"));
    assert_ok(run(PG_TARGET(db), b));
    assert_int_equal(rows.column_count, 2);
    assert_int_equal(rows_in_table(), inserted);
    assert_ok(pg_execute(db, NULL, "drop table batched_changing"));
}

static void test_batch_with_stale_statement_runs_once(void **state)
{
    (void)state;
    run_with_stale_statements(pg_batch_run_on, 4);
}

static void test_pipeline_with_stale_statement_runs_each_once(void **state)
{
    (void)state;
    run_with_stale_statements(pg_pipeline_run_on, 4);
}

static void test_batch_in_transaction_is_part_of_it(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_rows rows;
    assert_ok(pg_begin(db, &tx));
    pg_batch *b = pg_batch_new();
    add_insert(b, 1, NULL);
    pg_batch_query(b, &rows, "select * from batched");
    assert_ok(pg_batch_run(tx, b));
    assert_int_equal(rows.count, 1);
    assert_int_equal(rows_in_table(), 0); /* of another transaction */
    assert_ok(pg_rollback(&tx));
    assert_int_equal(rows_in_table(), 0);

    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_pipeline_run(tx, b));
    assert_ok(pg_commit(&tx));
    assert_int_equal(rows_in_table(), 1);

    assert_ok(pg_begin(db, &tx));
    assert_fails(PG_UNIQUE_VIOLATION, pg_batch_run(tx, b));
    assert_fails(PG_IN_FAILED_TRANSACTION, pg_execute(tx, NULL, "select 1"));
    assert_fails(PG_ROLLED_BACK, pg_commit(&tx));
}

static void test_batch_that_ends_its_transaction_is_told(void **state)
{
    (void)state;
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    pg_batch *b = pg_batch_new();
    add_insert(b, 1, NULL);
    pg_batch_execute(b, NULL, "commit");
    assert_fails(PG_INVALID_ARGUMENT, pg_batch_run(tx, b));
    assert_ok(pg_rollback(&tx));
    b = pg_batch_new();
    pg_batch_execute(b, NULL, "begin");
    assert_fails(PG_INVALID_ARGUMENT, pg_batch_run(db, b));
    assert_int_equal(rows_in_table(), 1);
}

static void test_batch_on_the_read_only_lane_reads(void **state)
{
    (void)state;
    pg_rows one, two;
    pg_batch *b = pg_batch_new();
    pg_batch_query(b, &one, "select now()");
    pg_batch_query(b, &two, "select now()");
    assert_ok(pg_batch_run(pg_read_only(db), b));
    timestamptz first, second;
    assert_ok(pg_get(&one, 0, 0, &first));
    assert_ok(pg_get(&two, 0, 0, &second));
    assert_int_equal(first.us, second.us);
    b = pg_batch_new();
    add_insert(b, 1, NULL);
    assert_fails(PG_READ_ONLY, pg_batch_run(pg_read_only(db), b));
}

/* Larger than what either side's socket holds, so that both are full at once. */
static void test_batch_of_megabytes_both_ways_goes_through(void **state)
{
    (void)state;
    enum {
        COUNT = 300,
        BYTES = 100000
    };
    static pg_rows rows[COUNT];
    char *text = arena_alloc(fiber_arena(), BYTES, 1);
    memset(text, 'x', BYTES);
    const str sent = { text, BYTES };
    pg_batch *b = pg_batch_new();
    for (size_t i = 0; i < COUNT; i++)
        pg_batch_query(b, &rows[i], "select length($1), repeat($1, 1)", sent);
    assert_ok(pg_batch_run(db, b));
    for (size_t i = 0; i < COUNT; i++) {
        str back;
        assert_ok(pg_get(&rows[i], 0, 1, &back));
        assert_int_equal(back.len, BYTES);
    }
}

static error run_slow_batch(void *arg)
{
    pg_batch *b = pg_batch_new();
    (void)arg;
    pg_batch_execute(b, NULL, "insert into batched values (1, '')");
    pg_batch_execute(b, NULL, "select pg_sleep(30)");
    pg_batch_execute(b, NULL, "insert into batched values (2, '')");
    return pg_batch_run(db, b);
}

static void test_batch_given_up_is_canceled_and_leaves_nothing(void **state)
{
    (void)state;
    assert_fails(TIMED_OUT,
                 scope_call(&(scope_options){ .deadline_ms = 100 }, run_slow_batch, NULL));
    /* Waits for the other 1, until the cancel has struck. */
    assert_ok(pg_execute(db, NULL, "insert into batched values (1, 'another')"));
    assert_int_equal(rows_in_table(), 1);
}

#define TEST(name) cmocka_unit_test_setup(name, empty_table)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_batch_of_statements_has_all_answers),
        TEST(test_batch_empty_is_no_error),
        TEST(test_batch_that_fails_leaves_nothing),
        TEST(test_batch_with_a_statement_of_no_sense_tells_which),
        TEST(test_batch_that_fails_at_its_end_leaves_nothing),
        TEST(test_batch_run_again_runs_again),
        TEST(test_batch_that_cannot_be_sent_is_refused_whole),
        TEST(test_pipeline_runs_each_for_itself),
        TEST(test_pipeline_with_statements_of_no_sense_runs_the_others),
        TEST(test_batch_with_stale_statement_runs_once),
        TEST(test_pipeline_with_stale_statement_runs_each_once),
        TEST(test_batch_in_transaction_is_part_of_it),
        TEST(test_batch_that_ends_its_transaction_is_told),
        TEST(test_batch_on_the_read_only_lane_reads),
        TEST(test_batch_of_megabytes_both_ways_goes_through),
        TEST(test_batch_given_up_is_canceled_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
