/* Rows that are for something: one statement, whose columns come in the formats that each use of it
 * asks for, wherever it runs and whatever becomes of its columns. The types one by one: see
 * round_trip.h. */
#include "tests/support/database.h"
#include "tests/support/random.h"

static pg_pool *db;

#define BILLS                                                                                        \
    "select n, n * 1.25 as total, date '2024-01-01' + n as due, array[n * 0.5, null] as parts from " \
    "generate_series(1, $1) n"

static const pg_rows_as KINDS[] = { PG_ROWS_BY_TYPE, PG_ROWS_AS_VALUES, PG_ROWS_AS_TEXT };

static int open_pool(void **state)
{
    (void)state;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &db));
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    pg_pool_close(&db);
    return 0;
}

static pg_sql bills(pg_rows_as as)
{
    return pg_sql_as(PG_SQL(BILLS), as);
}

/* A C type reads its column in either format. */
static error read_bill(const pg_rows *rows, size_t i, pg_rows_as as, int64_t n)
{
    int32_t number;
    pg_numeric total;
    pg_date due;
    opt_pg_numeric_list parts;
    TRY(pg_get(rows, i, 0, &number));
    TRY(pg_get(rows, i, 1, &total));
    TRY(pg_get(rows, i, 2, &due));
    TRY(pg_get(rows, i, 3, &parts));
    const str expected = str_format(fiber_arena(), "%lld.%02lld", (long long)(n * 125 / 100),
                                    (long long)(n * 125 % 100));
    const bool same = number == n && due.days == 8766 + n && parts.count == 2 &&
                      !parts.items[1].has &&
                      str_eq(pg_numeric_format(fiber_arena(), &total), expected);
    const pg_format formats[] = { as == PG_ROWS_AS_TEXT ? PG_TEXT : PG_BINARY,
                                  as == PG_ROWS_AS_VALUES ? PG_BINARY : PG_TEXT };
    for (uint32_t c = 0; c < 4; c++) {
        if (rows->columns[c].format != formats[c > 0])
            return error_set(&PG_FAILED, "column %u came in the wrong format", c);
    }
    return same ? OK : error_set(&PG_FAILED, "another bill than %lld", (long long)n);
}

static error read_bills(const pg_rows *rows, pg_rows_as as, int64_t count)
{
    if (rows->count != (size_t)count)
        return error_set(&PG_FAILED, "%zu bills", rows->count);
    for (int64_t n = 1; n <= count; n++)
        TRY(read_bill(rows, (size_t)n - 1, as, n));
    return OK;
}

static error ask(pg_target on, pg_rows_as as, int64_t count)
{
    pg_rows rows;
    TRY(pg_query(on, &rows, bills(as), (int32_t)count));
    return read_bills(&rows, as, count);
}

/* --- one statement ---------------------------------------------------------------------------- */

static void test_rows_as_anything_are_of_one_prepared_statement(void **state)
{
    (void)state;
    pg_rows rows;
    int64_t prepared;
    for (size_t i = 0; i < 9; i++)
        assert_ok(ask(PG_TARGET(db), KINDS[i % 3], 3));
    assert_ok(pg_query(
        db, &rows, "select count(*) from pg_prepared_statements where statement = $1", STR(BILLS)));
    assert_ok(pg_get(&rows, 0, 0, &prepared));
    assert_in_range(prepared, 0, 1); /* 0: it has no name */
}

static void test_rows_as_values_are_no_text(void **state)
{
    (void)state;
    pg_rows rows;
    str text;
    assert_ok(pg_query(db, &rows, bills(PG_ROWS_AS_VALUES), 1));
    assert_fails(PG_TYPE_MISMATCH, pg_get(&rows, 0, 1, &text));
    assert_ok(pg_query(db, &rows,
                       PG_AS_VALUES("select due::text, due from (select date "
                                    "'2024-02-29') as x (due)")));
    assert_ok(pg_get(&rows, 0, 0, &text));
    assert_str_equal(text, STR("2024-02-29"));
}

static void assert_texts(const pg_rows *rows, const char *const *texts, size_t count)
{
    assert_int_equal(rows->column_count, count);
    for (uint32_t c = 0; c < count; c++) {
        str text;
        assert_int_equal(rows->columns[c].format, PG_TEXT);
        assert_ok(pg_get(rows, 0, c, &text));
        assert_str_equal(text, str_from_c(texts[c]));
    }
}

static void test_rows_as_text_are_what_the_server_writes(void **state)
{
    (void)state;
    static const char *const TEXTS[] = { "t",          "-7",
                                         "0.1",        "a \\ b",
                                         "\\x00ff",    "00010203-0405-0607-0809-0a0b0c0d0e0f",
                                         "{\"a\": 1}", "{1,NULL}",
                                         "12.50",      "[1,5)",
                                         "(1,\"x y\")" };
    pg_rows rows;
    assert_ok(pg_query(db, &rows,
                       PG_AS_TEXT("select true, -7::int8, 0.1::float8, 'a \\ b'::text, "
                                  "'\\x00ff'::bytea, '00010203-0405-0607-0809-0a0b0c0d0e0f'::uuid, "
                                  "'{\"a\":1}'::jsonb, array[1, null], 12.50, int4range(1, 5), "
                                  "(1, 'x y')")));
    assert_texts(&rows, TEXTS, ARRAY_LEN(TEXTS));
    bool yes;
    int64_t minus_seven;
    double tenth;
    bytea bytes;
    uuid id;
    jsonb document;
    opt_int4_list numbers;
    assert_ok(pg_get(&rows, 0, 0, &yes));
    assert_ok(pg_get(&rows, 0, 1, &minus_seven));
    assert_ok(pg_get(&rows, 0, 2, &tenth));
    assert_ok(pg_get(&rows, 0, 4, &bytes));
    assert_ok(pg_get(&rows, 0, 5, &id));
    assert_ok(pg_get(&rows, 0, 6, &document));
    assert_ok(pg_get(&rows, 0, 7, &numbers));
    assert_true(yes && minus_seven == -7 && tenth == 0.1 && bytes.len == 2 && bytes.ptr[1] == 255);
    assert_int_equal(id.bytes[15], 15);
    assert_str_equal(document.text, STR("{\"a\": 1}"));
    assert_true(numbers.count == 2 && numbers.items[0].value == 1 && !numbers.items[1].has);
}

static void test_rows_as_anything_may_be_none_and_have_no_columns(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        pg_rows rows;
        assert_ok(ask(PG_TARGET(db), KINDS[i], 0));
        assert_ok(pg_query(db, &rows, pg_sql_as(PG_SQL("select"), KINDS[i])));
        assert_int_equal(rows.column_count, 0);
        assert_ok(pg_query(db, &rows, pg_sql_as(PG_SQL("vacuum pg_catalog.pg_am"), KINDS[i])));
        assert_ok(pg_execute(db, NULL, bills(KINDS[i]), 1));
    }
}

/* --- wherever it runs ------------------------------------------------------------------------- */

static void test_rows_as_anything_stand_in_batches_beside_each_other(void **state)
{
    (void)state;
    const pg_target targets[] = { PG_TARGET(db), pg_read_only(db) };
    for (size_t t = 0; t < 4; t++) {
        pg_rows rows[6];
        pg_batch *b = pg_batch_new();
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
            pg_batch_query(b, &rows[i], bills(KINDS[i % 3]), (int32_t)i);
        assert_ok(t < 2 ? pg_batch_run(targets[t], b) : pg_pipeline_run(targets[t - 2], b));
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
            assert_ok(read_bills(&rows[i], KINDS[i % 3], (int64_t)i));
    }
}

static error ask_often(void *arg)
{
    random_state *r = arg;
    for (int i = 0; i < 30; i++) {
        const pg_target on = random_below(r, 2) ? PG_TARGET(db) : pg_read_only(db);
        TRY(ask(on, KINDS[random_below(r, 3)], (int64_t)random_below(r, 20)));
    }
    return OK;
}

static void test_rows_as_anything_come_to_many_fibers_at_once(void **state)
{
    (void)state;
    random_state r = random_start();
    wait_group group;
    wait_group_init(&group);
    for (int i = 0; i < 16; i++)
        assert_ok(wait_group_start(&group, ask_often, &r));
    assert_ok(wait_group_wait(&group));
}

static void test_rows_as_anything_come_as_a_stream(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        pg_stream *s;
        pg_rows rows;
        int64_t n = 0;
        assert_ok(pg_stream_open(db, &s, bills(KINDS[i]), 5000));
        do {
            assert_ok(pg_stream_next(s, &rows));
            for (size_t at = 0; at < rows.count; at++)
                assert_ok(read_bill(&rows, at, KINDS[i], ++n));
        } while (rows.count > 0);
        assert_int_equal(n, 5000);
        assert_ok(pg_stream_close(&s));
    }
}

static void test_rows_as_anything_come_out_of_cursors_and_with_commit(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        pg_cursor *c;
        pg_rows rows;
        pg_tx *tx;
        int64_t n = 0;
        assert_ok(pg_cursor_open(db, &c, bills(KINDS[i]), 5000));
        do {
            assert_ok(pg_cursor_next(c, &rows));
            for (size_t at = 0; at < rows.count; at++)
                assert_ok(read_bill(&rows, at, KINDS[i], ++n));
        } while (rows.count > 0);
        assert_int_equal(n, 5000);
        assert_ok(pg_cursor_close(&c));
        assert_ok(pg_begin(db, &tx));
        assert_ok(ask(PG_TARGET(tx), KINDS[(i + 1) % 3], 2));
        assert_ok(pg_commit_query(&tx, &rows, bills(KINDS[i]), 4));
        assert_ok(read_bills(&rows, KINDS[i], 4));
    }
}

/* --- whatever becomes of it ------------------------------------------------------------------- */

static error read_changing(pg_rows_as as, str *text)
{
    pg_rows rows;
    pg_interval span;
    TRY(pg_query(db, &rows, pg_sql_as(PG_SQL("select a from rows_as_test"), as)));
    if (as == PG_ROWS_AS_TEXT)
        return pg_get(&rows, 0, 0, text);
    TRY(pg_get(&rows, 0, 0, &span));
    *text = pg_interval_format(fiber_arena(), &span);
    return OK;
}

/* Formats are those of the columns that there are now. Without names the first that meets a change
 * may be told what the column is instead. */
static void test_rows_as_anything_follow_a_column_that_changes(void **state)
{
    (void)state;
    str text;
    pg_numeric n;
    pg_rows rows;
    assert_ok(pg_execute(db, NULL, "create table rows_as_test as select 7.50 as a"));
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        assert_ok(pg_query(db, &rows, pg_sql_as(PG_SQL("select a from rows_as_test"), KINDS[i])));
        assert_ok(pg_get(&rows, 0, 0, &n));
        assert_str_equal(pg_numeric_format(fiber_arena(), &n), STR("7.50"));
    }
    assert_ok(pg_execute(
        db, NULL, "alter table rows_as_test alter a type interval using a * interval '1 s'"));
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        assert_ok(read_changing(KINDS[i], &text));
        assert_str_equal(text, STR("00:00:07.5"));
    }
    assert_ok(pg_execute(db, NULL,
                         "alter table rows_as_test alter a type regclass using "
                         "'pg_class'::regclass"));
    for (int tries = 0; tries < 2; tries++) {
        assert_ok(pg_query(db, &rows, PG_AS_VALUES("select a from rows_as_test")));
        const error e = pg_get(&rows, 0, 0, &text); /* asked for as an interval was: a number */
        if (tries == 1 || e.kind == NULL) {
            assert_ok(e);
            assert_str_equal(text, STR("pg_class"));
        }
    }
    assert_ok(pg_execute(db, NULL, "drop table rows_as_test"));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_as_anything_are_of_one_prepared_statement),
        cmocka_unit_test(test_rows_as_values_are_no_text),
        cmocka_unit_test(test_rows_as_text_are_what_the_server_writes),
        cmocka_unit_test(test_rows_as_anything_may_be_none_and_have_no_columns),
        cmocka_unit_test(test_rows_as_anything_stand_in_batches_beside_each_other),
        cmocka_unit_test(test_rows_as_anything_come_to_many_fibers_at_once),
        cmocka_unit_test(test_rows_as_anything_come_as_a_stream),
        cmocka_unit_test(test_rows_as_anything_come_out_of_cursors_and_with_commit),
        cmocka_unit_test(test_rows_as_anything_follow_a_column_that_changes),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
