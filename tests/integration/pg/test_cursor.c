/* Results read piece by piece from a real server: all of them, part of them, in transactions. */
#include "core/scope.h"
#include "tests/support/database.h"

static pg_pool *db;

static int open_pool(void **state)
{
    (void)state;
    assert_ok(
        pg_pool_open(&(pg_pool_options){ .connections_max = 2, .acquire_timeout_ms = 300 }, &db));
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    pg_pool_close(&db);
    return 0;
}

/* Reads numbers in order; returns how many, and the largest piece. */
static error read_all(pg_cursor *c, int64_t *count, size_t *piece_max)
{
    *count = 0;
    *piece_max = 0;
    for (;;) {
        pg_rows rows;
        TRY(pg_cursor_next(c, &rows));
        if (rows.count == 0)
            return OK;
        *piece_max = rows.count > *piece_max ? rows.count : *piece_max;
        for (size_t i = 0; i < rows.count; i++) {
            int64_t number;
            TRY(pg_get(&rows, i, 0, &number));
            if (number != ++*count)
                return error_set(&PG_FAILED, "%ld as row %ld", (long)number, (long)*count);
        }
    }
}

static void test_cursor_gives_all_rows_in_pieces(void **state)
{
    (void)state;
    static const int64_t sizes[] = { 0, 1, 63, 64, 65, 100000 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        pg_cursor *c;
        int64_t count;
        size_t piece_max;
        assert_ok(pg_cursor_open(db, &c, "select generate_series(1, $1::int8)", sizes[i]));
        assert_ok(read_all(c, &count, &piece_max));
        assert_int_equal(count, sizes[i]);
        assert_true(piece_max <= 4096);
        pg_rows rows;
        assert_ok(pg_cursor_next(c, &rows)); /* the end stays the end */
        assert_int_equal(rows.count, 0);
        assert_ok(pg_cursor_close(&c));
        assert_null(c);
        assert_int_equal(pg_pool_stats_of(db).leased, 0);
    }
}

/* A gigabyte of text passes through a piece's memory. */
static void test_cursor_of_a_gigabyte_stays_small(void **state)
{
    (void)state;
    pg_cursor *c;
    uint64_t bytes = 0;
    size_t piece_max = 0;
    assert_ok(pg_cursor_open(db, &c, "select repeat('x', 1000000) from generate_series(1, 1000)"));
    for (;;) {
        pg_rows rows;
        assert_ok(pg_cursor_next(c, &rows));
        if (rows.count == 0)
            break;
        size_t piece = 0;
        for (size_t i = 0; i < rows.count; i++) {
            str text;
            assert_ok(pg_get(&rows, i, 0, &text));
            piece += text.len;
        }
        bytes += piece;
        if (bytes > 64 * 1000000)
            piece_max = piece > piece_max ? piece : piece_max;
    }
    assert_int_equal(bytes, 1000000000);
    assert_true(piece_max <= 1000000); /* once the size of a row was known */
    assert_ok(pg_cursor_close(&c));
}

static void test_cursor_closed_early_gives_its_connection_back(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        pg_cursor *c;
        pg_rows rows;
        assert_ok(pg_cursor_open(db, &c, "select generate_series(1, 1000000000)"));
        assert_ok(pg_cursor_next(c, &rows));
        assert_true(rows.count > 0);
        assert_ok(pg_cursor_close(&c));
    }
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
    assert_ok(pg_execute(db, NULL, "select 1"));
}

static error open_and_return(void *arg)
{
    pg_cursor *c;
    pg_rows rows;
    (void)arg;
    TRY(pg_cursor_open(db, &c, "select generate_series(1, 1000000)"));
    return pg_cursor_next(c, &rows);
}

static void test_cursor_left_by_a_return_is_closed(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_ok(scope_call(NULL, open_and_return, NULL));
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
}

static void test_cursors_of_one_transaction_do_not_mix(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_cursor *one, *two;
    pg_rows rows;
    int64_t count;
    size_t piece_max;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_cursor_open(tx, &one, "select generate_series(1, 1000::int8)"));
    assert_ok(pg_cursor_open(tx, &two, "select generate_series(1, $1::int8)", (int64_t)500));
    assert_ok(pg_query(tx, &rows, "select 1"));
    assert_ok(read_all(two, &count, &piece_max));
    assert_int_equal(count, 500);
    assert_ok(read_all(one, &count, &piece_max));
    assert_int_equal(count, 1000);
    assert_ok(pg_cursor_close(&one));
    assert_ok(pg_cursor_close(&two));
    assert_ok(pg_cursor_open(tx, &one, "select generate_series(1, 1000::int8)"));
    assert_ok(pg_cursor_close(&one)); /* its portal with it */
    assert_ok(pg_query(tx, &rows, "select string_agg(name, ' ') from pg_cursors"));
    str open;
    assert_ok(pg_get(&rows, 0, 0, &open));
    assert_str_equal(open, STR("")); /* of this query */
    assert_ok(pg_commit(&tx));
}

static void test_cursor_error_comes_with_its_row(void **state)
{
    (void)state;
    pg_cursor *c;
    pg_rows rows;
    assert_fails(PG_UNDEFINED_TABLE, pg_cursor_open(db, &c, "select * from no_such_table"));
    assert_null(c);
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
    assert_ok(pg_cursor_open(db, &c, "select 1 / (500 - n) from generate_series(1, 1000) n"));
    error e = OK;
    size_t seen = 0;
    while (!e.kind) {
        e = pg_cursor_next(c, &rows);
        seen += rows.count;
    }
    assert_true(seen < 500);
    assert_string_equal(error_detail_of(e)->sqlstate, "22012");
    assert_ok(pg_cursor_next(c, &rows));
    assert_int_equal(rows.count, 0);
    assert_fails(PG_ROLLED_BACK, pg_cursor_close(&c));
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
}

static error read_up_to_an_error(void *arg)
{
    pg_cursor *c;
    pg_rows rows;
    (void)arg;
    TRY(pg_cursor_open(db, &c, "select 1 / (500 - n) from generate_series(1, 1000) n"));
    for (;;)
        TRY(pg_cursor_next(c, &rows));
}

static void test_cursor_report_outlives_its_cursor(void **state)
{
    (void)state;
    const error e = scope_call(NULL, read_up_to_an_error, NULL);
    const pg_report *report = pg_error_report(e);
    pg_rows rows; /* takes the memory that the cursor had */
    assert_ok(pg_query(db, &rows, "select repeat('x', 500) from generate_series(1, 5000)"));
    assert_non_null(report);
    assert_str_equal(report->message, STR("division by zero"));
    assert_str_equal(report->sqlstate, STR("22012"));
}

static void test_cursor_of_a_change_returns_its_rows_and_commits(void **state)
{
    (void)state;
    pg_cursor *c;
    int64_t count;
    size_t piece_max;
    pg_rows rows;
    assert_ok(pg_execute(db, NULL, "drop table if exists cursor_test"));
    assert_ok(pg_execute(db, NULL, "create table cursor_test (n bigint)"));
    assert_ok(pg_cursor_open(
        db, &c, "insert into cursor_test select generate_series(1, 1000) returning n"));
    assert_ok(read_all(c, &count, &piece_max));
    assert_int_equal(count, 1000);
    assert_ok(pg_cursor_close(&c));
    assert_ok(pg_query(db, &rows, "select count(*) from cursor_test"));
    assert_ok(pg_get(&rows, 0, 0, &count));
    assert_int_equal(count, 1000);
    assert_ok(pg_execute(db, NULL, "drop table cursor_test"));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursor_gives_all_rows_in_pieces),
        cmocka_unit_test(test_cursor_of_a_gigabyte_stays_small),
        cmocka_unit_test(test_cursor_closed_early_gives_its_connection_back),
        cmocka_unit_test(test_cursor_left_by_a_return_is_closed),
        cmocka_unit_test(test_cursors_of_one_transaction_do_not_mix),
        cmocka_unit_test(test_cursor_error_comes_with_its_row),
        cmocka_unit_test(test_cursor_report_outlives_its_cursor),
        cmocka_unit_test(test_cursor_of_a_change_returns_its_rows_and_commits),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
