/* What everybody does through a PgBouncer in transaction mode, from many fibers, each of which
 * knows its own rows: the same for one that knows prepared statements and one that does not, in
 * each of the modes that are made for it. */
#ifndef TESTS_INTEGRATION_PG_BOUNCED_H
#define TESTS_INTEGRATION_PG_BOUNCED_H

#include "core/scope.h"
#include "pg/stream.h"
#include "tests/support/database.h"
#include "tests/support/own_pgbouncer.h"

#define READERS 48
#define ROUNDS  25

static own_pgbouncer bouncer;
static pg_statements mode;
static pg_pool *db;    /* through the bouncer: four servers for eight connections */
static pg_pool *admin; /* to the server itself */

static pg_pool *open_on(const own_pgbouncer *b, const char *database, pg_statements statements,
                        uint32_t connections_max)
{
    pg_pool *pool;
    assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = own_pgbouncer_conninfo(b, database),
                                               .connections_max = connections_max,
                                               .statements = statements },
                           &pool));
    return pool;
}

static int open_unnamed(void **state)
{
    (void)state;
    mode = PG_STATEMENTS_UNNAMED;
    db = open_on(&bouncer, "tx", mode, 8);
    return 0;
}

static int open_off(void **state)
{
    (void)state;
    mode = PG_STATEMENTS_OFF;
    db = open_on(&bouncer, "tx", mode, 8);
    return 0;
}

static int close_db(void **state)
{
    (void)state;
    pg_pool_close(&db);
    return 0;
}

/* --- everybody gets their own ----------------------------------------------------------------- */

static ERROR_KIND(WRONG_ANSWER, ERROR_INTERNAL, "An answer that is not one's own.");

static error wrong(const char *what, int64_t tag)
{
    return error_set(&WRONG_ANSWER, "%s of %lld", what, (long long)tag);
}

/* Each of these gives a row that only the tag's owner can expect, of other types than the others:
 * one fiber's statement run with another's parameters, or described as another, would show. */
static error ask_number(pg_target on, int64_t tag)
{
    pg_rows rows;
    int64_t n;
    TRY(pg_query(on, &rows, "select $1::int8 + 1", tag));
    if (rows.count != 1 || rows.column_count != 1)
        return wrong("a number", tag);
    TRY(pg_get(&rows, 0, 0, &n));
    return n == tag + 1 ? OK : wrong("a number", tag);
}

static error ask_text(pg_target on, int64_t tag)
{
    pg_rows rows;
    str text;
    TRY(pg_query(on, &rows, "select 'tag ' || $1::int8 from generate_series(1, 3)", tag));
    if (rows.count != 3 || rows.column_count != 1)
        return wrong("a text", tag);
    TRY(pg_get(&rows, 2, 0, &text));
    return str_eq(text, str_format(fiber_arena(), "tag %lld", (long long)tag))
               ? OK
               : wrong("a text", tag);
}

static error ask_several(pg_target on, int64_t tag)
{
    pg_rows rows;
    double half;
    bool odd;
    int64_t n;
    TRY(pg_query(on, &rows, "select $1::int8 / 2::float8, $1 % 2 = 1, $1, $2::text", tag,
                 STR("same types, other columns")));
    if (rows.count != 1 || rows.column_count != 4)
        return wrong("a row", tag);
    TRY(pg_get(&rows, 0, 0, &half));
    TRY(pg_get(&rows, 0, 1, &odd));
    TRY(pg_get(&rows, 0, 2, &n));
    return n == tag && odd == (bool)(tag % 2 == 1) && half > (double)tag / 2 - 0.25 &&
                   half < (double)tag / 2 + 0.25
               ? OK
               : wrong("a row", tag);
}

static error ask_any(pg_target on, int64_t tag)
{
    switch (tag % 3) {
    case 0:
        return ask_number(on, tag);
    case 1:
        return ask_text(on, tag);
    default:
        return ask_several(on, tag);
    }
}

/* Runs `fn` on many fibers; each has its number as argument. */
static void run_readers(fiber_fn fn, size_t count)
{
    wait_group group;
    wait_group_init(&group);
    for (size_t i = 0; i < count; i++)
        assert_ok(wait_group_start(&group, fn, (void *)(uintptr_t)(i + 1)));
    assert_ok(wait_group_wait(&group));
}

static error query_much(void *arg)
{
    for (int64_t i = 0; i < ROUNDS; i++)
        TRY(ask_any(PG_TARGET(db), (int64_t)(uintptr_t)arg * 1000 + i));
    return OK;
}

static void test_bouncer_queries_have_their_own_rows(void **state)
{
    (void)state;
    run_readers(query_much, READERS);
}

static error read_much(void *arg)
{
    for (int64_t i = 0; i < ROUNDS; i++)
        TRY(ask_any(pg_read_only(db), (int64_t)(uintptr_t)arg * 1000 + i));
    return OK;
}

static void test_bouncer_reads_in_batches_have_their_own_rows(void **state)
{
    (void)state;
    run_readers(read_much, READERS);
}

static error run_batches(void *arg)
{
    for (int64_t i = 0; i < 8; i++) {
        pg_rows rows[5];
        const int64_t tag = (int64_t)(uintptr_t)arg * 1000 + i * 10;
        pg_batch *b = pg_batch_new();
        for (int64_t k = 0; k < 5; k++)
            pg_batch_query(b, &rows[k], k % 2 ? "select $1::int8, 1::int4" : "select -$1::int8",
                           tag + k);
        TRY(i % 2 ? pg_batch_run(db, b) : pg_pipeline_run(db, b));
        for (int64_t k = 0; k < 5; k++) {
            int64_t n;
            if (rows[k].count != 1 || rows[k].column_count != 1 + k % 2)
                return wrong("a batch", tag);
            TRY(pg_get(&rows[k], 0, 0, &n));
            if (n != (k % 2 ? tag + k : -tag - k))
                return wrong("a batch", tag);
        }
    }
    return OK;
}

static void test_bouncer_batches_and_pipelines_have_their_own_rows(void **state)
{
    (void)state;
    run_readers(run_batches, 24);
}

/* All statements of a transaction run on one server, and nobody else's in between. */
static error run_transactions(void *arg)
{
    for (int64_t i = 0; i < 8; i++) {
        const int64_t tag = (int64_t)(uintptr_t)arg * 1000 + i;
        pg_rows rows;
        int32_t process[2];
        int64_t count;
        pg_tx *tx;
        TRY(pg_begin(db, &tx));
        for (int k = 0; k < 2; k++) {
            TRY(pg_execute(tx, NULL, "insert into bounced values ($1)", tag));
            TRY(ask_any(PG_TARGET(tx), tag));
            TRY(pg_query(tx, &rows, "select pg_backend_pid()"));
            TRY(pg_get(&rows, 0, 0, &process[k]));
        }
        TRY(pg_query(tx, &rows, "select count(*) from bounced where tag = $1", tag));
        TRY(pg_get(&rows, 0, 0, &count));
        if (process[0] != process[1] || count != 2)
            return wrong("a transaction", tag);
        TRY(i % 2 ? pg_commit(&tx) : pg_rollback(&tx));
    }
    return OK;
}

static void test_bouncer_transactions_stay_on_one_server(void **state)
{
    (void)state;
    pg_rows rows;
    int64_t count;
    assert_ok(pg_execute(admin, NULL, "truncate bounced"));
    run_readers(run_transactions, 24);
    assert_ok(pg_query(admin, &rows, "select count(*) from bounced"));
    assert_ok(pg_get(&rows, 0, 0, &count));
    assert_int_equal(count, 24 * 4 * 2); /* those that were committed */
}

static error read_cursors(void *arg)
{
    const int64_t tag = (int64_t)(uintptr_t)arg * 1000000;
    pg_cursor *c;
    int64_t next = tag;
    TRY(pg_cursor_open(db, &c, "select $1::int8 + n from generate_series(1, 3000) n", tag));
    for (;;) {
        pg_rows rows;
        TRY(pg_cursor_next(c, &rows));
        if (rows.count == 0)
            break;
        for (size_t i = 0; i < rows.count; i++) {
            int64_t n;
            TRY(pg_get(&rows, i, 0, &n));
            if (n != ++next)
                return wrong("a cursor", tag);
        }
    }
    TRY(pg_cursor_close(&c));
    return next == tag + 3000 ? OK : wrong("a cursor", tag);
}

static void test_bouncer_cursors_have_their_own_rows(void **state)
{
    (void)state;
    run_readers(read_cursors, 12);
}

static error read_streams(void *arg)
{
    const int64_t tag = (int64_t)(uintptr_t)arg * 1000000;
    pg_stream *s;
    pg_rows rows;
    int64_t next = tag;
    TRY(pg_stream_open(tag % 2000000 ? PG_TARGET(db) : pg_read_only(db), &s,
                       "select $1::int8 + n from generate_series(1, 3000) n", tag));
    do {
        TRY(pg_stream_next(s, &rows));
        for (size_t i = 0; i < rows.count; i++) {
            int64_t n;
            TRY(pg_get(&rows, i, 0, &n));
            if (n != ++next)
                return wrong("a stream", tag);
        }
    } while (rows.count > 0);
    TRY(pg_stream_close(&s));
    return next == tag + 3000 ? OK : wrong("a stream", tag);
}

static void test_bouncer_streams_have_their_own_rows(void **state)
{
    (void)state;
    run_readers(read_streams, 12);
}

static error copy_some(void *arg)
{
    const int64_t tag = (int64_t)(uintptr_t)arg;
    uint64_t copied;
    pg_copy *c;
    str bytes;
    size_t len = 0;
    TRY(pg_copy_in(db, &c, "copy bounced (tag) from stdin (format binary)"));
    for (int i = 0; i < 1000; i++)
        TRY(pg_copy_row(c, tag));
    TRY(pg_copy_finish(&c, &copied));
    if (copied != 1000)
        return wrong("a copy", tag);
    TRY(pg_copy_out(db, &c,
                    str_format(fiber_arena(),
                               "copy (select tag from bounced where tag = %lld) to stdout",
                               (long long)tag)));
    do {
        TRY(pg_copy_read(c, &bytes));
        len += bytes.len;
    } while (bytes.len > 0);
    TRY(pg_copy_finish(&c, &copied));
    return copied == 1000 && len == (tag < 10 ? 2000 : 3000) ? OK : wrong("a copy", tag);
}

static void test_bouncer_copies_go_both_ways(void **state)
{
    (void)state;
    assert_ok(pg_execute(admin, NULL, "truncate bounced"));
    run_readers(copy_some, 12);
}

/* --- what the session is not used for --------------------------------------------------------- */

/* Over a single server, which both lanes get in turn. */
static void test_bouncer_reads_only_read_and_leave_nothing_behind(void **state)
{
    (void)state;
    pg_pool *one = open_on(&bouncer, "single", mode, 2);
    pg_batch *b = pg_batch_new();
    pg_rows rows;
    for (int64_t i = 0; i < 10; i++) {
        assert_fails(PG_READ_ONLY,
                     pg_execute(pg_read_only(one), NULL, "insert into bounced values ($1)", i));
        assert_ok(ask_any(pg_read_only(one), i));
        assert_ok(pg_execute(one, NULL, "insert into bounced values ($1)", i));
    }
    pg_batch_query(b, &rows, "select 1");
    pg_batch_execute(b, NULL, "insert into bounced values (1)");
    assert_fails(PG_READ_ONLY, pg_batch_run(pg_read_only(one), b));
    assert_fails(PG_READ_ONLY, pg_pipeline_run(pg_read_only(one), b));
    assert_ok(pg_batch_error(b, 0));
    assert_ok(pg_batch_run(one, b));
    pg_pool_close(&one);
}

static error sleep_too_long(void *arg)
{
    (void)arg;
    return pg_execute(db, NULL, "select pg_sleep(600)");
}

/* Sooner or later. */
static void assert_nobody_sleeps(void)
{
    pg_rows rows;
    int64_t sleeping = -1;
    for (int i = 0; i < 600 && sleeping != 0; i++) {
        assert_ok(fiber_sleep(50));
        assert_ok(pg_query(admin, &rows,
                           "select count(*) from pg_stat_activity where state = 'active' and query "
                           "like 'select pg_sleep(600)%' and pid <> pg_backend_pid()"));
        assert_ok(pg_get(&rows, 0, 0, &sleeping));
    }
    assert_int_equal(sleeping, 0);
}

static void test_bouncer_cancels_what_nobody_waits_for(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_fails(TIMED_OUT,
                     scope_call(&(scope_options){ .deadline_ms = 100 }, sleep_too_long, NULL));
    }
    assert_nobody_sleeps();
    run_readers(query_much, 8);
}

static void test_bouncer_listening_is_refused(void **state)
{
    (void)state;
    char text[512];
    for (int i = 0; i < 2; i++) {
        pg_listener *l;
        const error e = pg_listen(db, STR("bounced"), &l);
        assert_ptr_equal(e.kind, &PG_INVALID_ARGUMENT);
        error_describe(e, text, sizeof text);
        assert_non_null(strstr(text, "pooler"));
        assert_null(l);
    }
    assert_ok(pg_notify(db, STR("bounced"), STR("telling needs no session")));
}

static void test_bouncer_tables_change_under_way(void **state)
{
    (void)state;
    static const char *const CHANGES[] = {
        "alter table bounced_changing add b text default 'x'",
        "alter table bounced_changing drop b",
        "alter table bounced_changing rename a to c",
    };
    pg_rows rows;
    assert_ok(pg_execute(admin, NULL, "drop table if exists bounced_changing"));
    assert_ok(pg_execute(admin, NULL, "create table bounced_changing (a int8)"));
    assert_ok(pg_execute(admin, NULL, "insert into bounced_changing values (7)"));
    for (size_t i = 0; i <= ARRAY_LEN(CHANGES); i++) {
        for (int k = 0; k < 6; k++) {
            int64_t n;
            assert_ok(pg_query(db, &rows, "select * from bounced_changing"));
            assert_int_equal(rows.column_count, 1 + (i == 1));
            assert_str_equal(rows.columns[0].name, i == 3 ? STR("c") : STR("a"));
            assert_ok(pg_get(&rows, 0, 0, &n));
            assert_int_equal(n, 7);
        }
        if (i < ARRAY_LEN(CHANGES))
            assert_ok(pg_execute(admin, NULL, CHANGES[i]));
    }
    assert_ok(pg_execute(admin, NULL, "drop table bounced_changing"));
}

/* pool_mode = statement: another server after each statement, and no transactions. */
static void test_bouncer_of_statements_runs_all_but_transactions(void **state)
{
    (void)state;
    pg_pool *was = db;
    pg_tx *tx;
    db = open_on(&bouncer, "statement", mode, 8);
    run_readers(query_much, 16);
    run_readers(read_much, 16);
    run_readers(run_batches, 8);
    assert_ok(pg_begin(db, &tx));
    assert_true(pg_execute(tx, NULL, "select 1").kind != NULL);
    assert_ok(pg_rollback(&tx));
    pg_pool_close(&db);
    db = was;
}

/* --- all of them ------------------------------------------------------------------------------ */

static int bounced_start(void **state)
{
    (void)state;
    own_pgbouncer_start(&bouncer, "");
    assert_ok(pg_pool_open(NULL, &admin));
    assert_ok(pg_execute(admin, NULL, "drop table if exists bounced"));
    assert_ok(pg_execute(admin, NULL, "create table bounced (tag int8)"));
    return 0;
}

static int bounced_stop(void **state)
{
    (void)state;
    assert_ok(pg_execute(admin, NULL, "drop table bounced"));
    pg_pool_close(&admin);
    own_pgbouncer_stop(&bouncer);
    return 0;
}

#define FOR(open, test)  cmocka_unit_test_setup_teardown(test, open, close_db)
#define IN_UNNAMED(test) FOR(open_unnamed, test)
#define IN_OFF(test)     FOR(open_off, test)

#endif
