/* Through a PgBouncer that knows prepared statements, in transaction mode and with named
 * statements: all that this client can do; and what such a pooler does that a server does not. It
 * keeps one statement for all clients that have prepared the same text, prepares it on whatever
 * server a Bind goes to, and closes there what was not used for long, all without a word to them.
 */
#include "bounced.h"

#include "tests/support/logged.h"

#include <signal.h>

#define FEW  4  /* statements that a server of the bouncer `scarce` keeps */
#define MANY 24 /* connections, so that who waits for slow servers waits in the pooler's line */

static int open_named(void **state)
{
    (void)state;
    mode = PG_STATEMENTS_NAMED;
    db = open_on(&bouncer, "tx", mode, 8);
    return 0;
}

static void start_another(own_pgbouncer *b, const char *more)
{
    *b = (own_pgbouncer){ .program = bouncer.program };
    own_pgbouncer_start(b, more);
}

static void do_everything(void)
{
    assert_ok(pg_execute(admin, NULL, "truncate bounced"));
    run_readers(query_much, 24);
    run_readers(read_much, 24);
    run_readers(run_batches, 12);
    run_readers(run_transactions, 12);
    run_readers(read_cursors, 6);
    run_readers(read_streams, 6);
}

/* --- whose statement is whose ----------------------------------------------------------------- */

static pg_pool *workers[2];

static error query_as_workers(void *arg)
{
    const uintptr_t n = (uintptr_t)arg;
    for (int64_t i = 0; i < ROUNDS; i++) {
        TRY(ask_any(PG_TARGET(workers[n % 2]), (int64_t)n * 1000 + i));
        TRY(ask_any(pg_read_only(workers[n % 2]), (int64_t)n * 1000 + i));
    }
    return OK;
}

static void test_named_pools_share_statements_of_one_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(workers); i++)
        workers[i] = open_on(&bouncer, "tx", mode, 4);
    run_readers(query_as_workers, READERS);
    for (size_t i = 0; i < ARRAY_LEN(workers); i++)
        pg_pool_close(&workers[i]);
}

/* Every fiber has texts of its own, of types of their own. */
static error query_many_texts(void *arg)
{
    const int64_t tag = (int64_t)(uintptr_t)arg;
    for (int64_t i = 0; i < 40; i++) {
        pg_rows rows;
        int64_t n, i_told;
        TRY(pg_query(db, &rows,
                     str_format(fiber_arena(), "select $1::int8 * %lld%s",
                                (long long)(tag * 40 + i), i % 2 ? ", $1" : ""),
                     i));
        if (rows.count != 1 || rows.column_count != 1 + i % 2)
            return wrong("a text of many", tag);
        TRY(pg_get(&rows, 0, 0, &n));
        TRY(pg_get(&rows, 0, (size_t)i % 2, &i_told));
        if (n != i * (tag * 40 + i) || (i % 2 && i_told != i))
            return wrong("a text of many", tag);
        TRY(ask_any(PG_TARGET(db), tag * 1000 + i));
    }
    return OK;
}

static int64_t ask_count(pg_pool *pool, const char *sql)
{
    pg_rows rows;
    int64_t count;
    assert_ok(pg_query(pool, &rows, str_from_c(sql)));
    assert_ok(pg_get(&rows, 0, 0, &count));
    return count;
}

static void test_named_statements_that_the_pooler_gives_up_come_back(void **state)
{
    (void)state;
    own_pgbouncer scarce;
    pg_pool *was = db;
    char more[64];
    (void)snprintf(more, sizeof more, "max_prepared_statements = %d", FEW);
    start_another(&scarce, more);
    db = open_on(&scarce, "tx", mode, MANY);
    run_readers(query_many_texts, 16);
    do_everything();
    assert_in_range(ask_count(db, "select count(*) from pg_prepared_statements"), 1, FEW);
    pg_pool_close(&db);
    db = was;
    own_pgbouncer_stop(&scarce);
}

/* A Parse that fails leaves nothing behind that would be in the way of the next one. */
static void test_named_statement_that_was_refused_can_be_prepared_later(void **state)
{
    (void)state;
    pg_rows rows;
    for (int i = 0; i < 3; i++) {
        assert_fails(PG_UNDEFINED_TABLE, pg_query(db, &rows, "select * from bounced_later"));
        assert_fails(PG_UNDEFINED_TABLE,
                     pg_query(pg_read_only(db), &rows, "select * from bounced_later"));
    }
    assert_ok(pg_execute(admin, NULL, "create table bounced_later (a int8)"));
    for (int i = 0; i < 8; i++) {
        assert_ok(pg_query(db, &rows, "select * from bounced_later"));
        assert_ok(pg_query(pg_read_only(db), &rows, "select * from bounced_later"));
    }
    assert_ok(pg_execute(admin, NULL, "drop table bounced_later"));
    run_readers(query_much, 8);
}

/* Errors at every place of a group: what the pooler notes of statements is of those that were
 * carried out. */
static error fail_in_batches(void *arg)
{
    for (int64_t i = 0; i < 12; i++) {
        const int64_t tag = (int64_t)(uintptr_t)arg * 1000 + i * 10;
        pg_rows rows[4];
        pg_batch *b = pg_batch_new();
        for (int64_t k = 0; k < 4; k++)
            pg_batch_query(b, &rows[k],
                           str_format(fiber_arena(), "select 1 / ($1::int8 - %lld), %lld",
                                      (long long)(tag + i % 4), (long long)k),
                           tag + k);
        const error e = i % 2 ? pg_batch_run(db, b) : pg_pipeline_run(db, b);
        if (!error_is(e, &PG_DATA_EXCEPTION))
            return e.kind ? e : wrong("a batch that fails", tag);
        TRY(ask_any(PG_TARGET(db), tag));
    }
    return OK;
}

static void test_named_statements_survive_others_errors(void **state)
{
    (void)state;
    run_readers(fail_in_batches, 24);
}

/* --- out of date ------------------------------------------------------------------------------ */

static error select_all(void *arg)
{
    const int32_t columns = *(const int32_t *)arg;
    for (int i = 0; i < 6; i++) {
        for (size_t w = 0; w < ARRAY_LEN(workers); w++) {
            pg_rows rows;
            TRY(pg_query(i % 2 ? PG_TARGET(workers[w]) : pg_read_only(workers[w]), &rows,
                         "select * from bounced_growing"));
            if (rows.count != 1 || rows.column_count != (uint32_t)columns)
                return wrong("a table that grows", columns);
        }
    }
    return OK;
}

/* The pooler would prepare the same text for the same statement, of which its servers have the old
 * form, for ever. */
static void test_named_tables_change_again_and_again(void **state)
{
    (void)state;
    int32_t columns = 1;
    assert_ok(pg_execute(admin, NULL, "create table bounced_growing (c1 int8)"));
    assert_ok(pg_execute(admin, NULL, "insert into bounced_growing values (1)"));
    for (size_t i = 0; i < ARRAY_LEN(workers); i++)
        workers[i] = open_on(&bouncer, "tx", mode, 4);
    for (; columns <= 12; columns++) {
        wait_group group;
        wait_group_init(&group);
        for (int i = 0; i < 8; i++)
            assert_ok(wait_group_start(&group, select_all, &columns));
        assert_ok(wait_group_wait(&group));
        if (columns % 4 == 0) { /* a worker that is new */
            pg_pool_close(&workers[1]);
            workers[1] = open_on(&bouncer, "tx", mode, 4);
        }
        assert_ok(pg_execute(
            admin, NULL,
            str_format(fiber_arena(), "alter table bounced_growing add c%d int4", columns + 1)));
    }
    for (size_t i = 0; i < ARRAY_LEN(workers); i++)
        pg_pool_close(&workers[i]);
    assert_ok(pg_execute(admin, NULL, "drop table bounced_growing"));
}

static error read_changing(pg_tx *tx, void *arg)
{
    pg_rows rows;
    TRY(pg_query(tx, &rows, "select * from bounced_changed"));
    *(uint32_t *)arg = rows.column_count;
    return OK;
}

static void test_named_transaction_meets_a_changed_table_and_runs_again(void **state)
{
    (void)state;
    uint32_t columns;
    assert_ok(pg_execute(admin, NULL, "create table bounced_changed (a int8)"));
    for (uint32_t i = 1; i <= 5; i++) {
        for (int k = 0; k < 4; k++) {
            assert_ok(pg_transaction(db, NULL, read_changing, &columns));
            assert_int_equal(columns, i);
        }
        assert_ok(pg_execute(
            admin, NULL, str_format(fiber_arena(), "alter table bounced_changed add b%u text", i)));
    }
    assert_ok(pg_execute(admin, NULL, "drop table bounced_changed"));
}

/* --- servers that come and go ----------------------------------------------------------------- */

static void test_named_servers_are_recycled_under_way(void **state)
{
    (void)state;
    own_pgbouncer hasty;
    pg_pool *was = db;
    start_another(&hasty, "server_lifetime = 0\nserver_idle_timeout = 1");
    db = open_on(&hasty, "tx", mode, MANY);
    do_everything();
    pg_pool_close(&db);
    db = was;
    own_pgbouncer_stop(&hasty);
}

static bool done;

static error query_until_done(void *arg)
{
    for (int64_t i = 0; !done; i++) {
        TRY(ask_any(PG_TARGET(db), (int64_t)(uintptr_t)arg * 1000 + i));
        TRY(ask_any(pg_read_only(db), (int64_t)(uintptr_t)arg * 1000 + i));
    }
    return OK;
}

/* PAUSE and RESUME as signals, which wait for nobody. A server that is about to log in when a pause
 * begins counts as one that has failed. */
static void test_named_bouncer_reconnects_and_pauses(void **state)
{
    (void)state;
    own_pgbouncer restless;
    wait_group group;
    pg_pool *was = db;
    start_another(&restless, "server_login_retry = 0.05");
    db = open_on(&restless, "tx", mode, MANY);
    wait_group_init(&group);
    done = false;
    for (uintptr_t i = 1; i <= 16; i++)
        assert_ok(wait_group_start(&group, query_until_done, (void *)i));
    for (int i = 0; i < 5; i++) {
        assert_ok(fiber_sleep(50));
        own_pgbouncer_say(&restless, "reconnect");
        assert_ok(fiber_sleep(50));
        assert_int_equal(kill(restless.process, SIGUSR1), 0);
        assert_ok(fiber_sleep(50));
        assert_int_equal(kill(restless.process, SIGUSR2), 0);
    }
    done = true;
    assert_ok(wait_group_wait(&group));
    pg_pool_close(&db);
    db = was;
    own_pgbouncer_stop(&restless);
}

/* --- sessions --------------------------------------------------------------------------------- */

/* `discard all` behind a transaction takes the statements of a server with it, which the pooler
 * sees. */
static error discard_much(void *arg)
{
    for (int64_t i = 0; i < 8; i++) {
        const int64_t tag = (int64_t)(uintptr_t)arg * 1000 + i;
        pg_tx *tx;
        TRY(pg_begin_with(db, &(pg_tx_options){ .session = i % 2 == 0 }, &tx));
        TRY(pg_execute(tx, NULL, "set local statement_timeout = 60000"));
        TRY(ask_any(PG_TARGET(tx), tag));
        TRY(pg_commit(&tx));
        TRY(ask_any(PG_TARGET(db), tag + 1));
        TRY(ask_any(pg_read_only(db), tag + 2));
    }
    return OK;
}

static void test_named_sessions_are_reset(void **state)
{
    (void)state;
    run_readers(discard_much, 16);
}

/* --- cancels ---------------------------------------------------------------------------------- */

static pg_pool *sleepers;

static error sleep_for_long(void *arg)
{
    (void)arg;
    return pg_execute(sleepers, NULL, "select pg_sleep(600)");
}

static error give_up_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        const error e = scope_call(&(scope_options){ .deadline_ms = 50 }, sleep_for_long, NULL);
        if (!error_is(e, &TIMED_OUT))
            return e.kind ? e : wrong("a sleep", i);
    }
    return OK;
}

/* Of two workers one gives up what hangs on servers that both have in turn. Whoever is canceled and
 * has not asked for it says so: PG_QUERY_CANCELED is no answer of readers'. */
static void test_named_cancels_strike_nobody_else(void **state)
{
    (void)state;
    wait_group readers;
    sleepers = open_on(&bouncer, "tx", mode, 2);
    wait_group_init(&readers);
    done = false;
    for (uintptr_t i = 1; i <= 12; i++)
        assert_ok(wait_group_start(&readers, query_until_done, (void *)i));
    run_readers(give_up_often, 3);
    assert_nobody_sleeps();
    done = true;
    assert_ok(wait_group_wait(&readers));
    pg_pool_close(&sleepers);
}

/* --- the door --------------------------------------------------------------------------------- */

/* Asked to ignore what makes the session of a read-only connection one. */
static void test_named_reads_only_read_where_the_pooler_swallows_that(void **state)
{
    (void)state;
    own_pgbouncer swallows;
    start_another(&swallows, "ignore_startup_parameters = default_transaction_read_only, "
                             "default_transaction_isolation, idle_in_transaction_session_timeout");
    pg_pool *pool = open_on(&swallows, "tx", mode, 8);
    for (int64_t i = 0; i < 10; i++) {
        assert_fails(PG_READ_ONLY,
                     pg_execute(pg_read_only(pool), NULL, "insert into bounced values ($1)", i));
        assert_ok(ask_any(pg_read_only(pool), i));
    }
    pg_pool_close(&pool);
    own_pgbouncer_stop(&swallows);
}

/* In session mode they are heard, in the others not, and who listens cannot tell. */
static void test_named_listener_is_warned_of_the_pooler(void **state)
{
    (void)state;
    static logged log;
    pg_listener *l;
    pg_notification n;
    logged_begin(&log, LOG_WARN);
    pg_pool *pool = open_on(&bouncer, "session", mode, 2);
    assert_ok(pg_listen(pool, STR("bounced"), &l));
    assert_ok(pg_notify(pool, STR("bounced"), STR("heard")));
    assert_ok(pg_listener_next(l, &n));
    assert_str_equal(n.payload, STR("heard"));
    pg_unlisten(&l);
    pg_pool_close(&pool);
    assert_int_equal(logged_count(logged_end(&log), "a pooler is in between"), 1);
}

/* --- where it is not set ---------------------------------------------------------------------- */

static void test_named_without_prepared_statements_is_told_what_to_set(void **state)
{
    (void)state;
    own_pgbouncer without;
    char text[512] = "";
    pg_pool *was = db;
    start_another(&without, "max_prepared_statements = 0");
    db = open_on(&without, "tx", mode, 8);
    for (int i = 0; i < 20 && !text[0]; i++) {
        wait_group group;
        wait_group_init(&group);
        for (uintptr_t n = 1; n <= READERS; n++)
            assert_ok(wait_group_start(&group, query_much, (void *)n));
        const error e = wait_group_wait(&group);
        if (!e.kind)
            continue;
        assert_ptr_equal(e.kind, &PG_STATEMENT_STALE);
        error_describe(e, text, sizeof text);
    }
    assert_non_null(strstr(text, "PG_STATEMENTS=unnamed"));
    assert_non_null(strstr(text, "max_prepared_statements"));
    pg_pool_close(&db);
    db = was;
    own_pgbouncer_stop(&without);
}

#define NAMED(test)  FOR(open_named, test)
#define IN_ALL(test) NAMED(test), IN_UNNAMED(test), IN_OFF(test)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        IN_ALL(test_bouncer_queries_have_their_own_rows),
        IN_ALL(test_bouncer_reads_in_batches_have_their_own_rows),
        IN_ALL(test_bouncer_batches_and_pipelines_have_their_own_rows),
        IN_ALL(test_bouncer_transactions_stay_on_one_server),
        IN_ALL(test_bouncer_cursors_have_their_own_rows),
        IN_ALL(test_bouncer_streams_have_their_own_rows),
        IN_ALL(test_bouncer_copies_go_both_ways),
        IN_ALL(test_bouncer_reads_only_read_and_leave_nothing_behind),
        IN_ALL(test_bouncer_cancels_what_nobody_waits_for),
        IN_UNNAMED(test_bouncer_listening_is_refused),
        IN_ALL(test_bouncer_tables_change_under_way),
        IN_ALL(test_bouncer_of_statements_runs_all_but_transactions),
        NAMED(test_named_pools_share_statements_of_one_name),
        NAMED(test_named_statements_that_the_pooler_gives_up_come_back),
        NAMED(test_named_statement_that_was_refused_can_be_prepared_later),
        NAMED(test_named_statements_survive_others_errors),
        NAMED(test_named_tables_change_again_and_again),
        NAMED(test_named_transaction_meets_a_changed_table_and_runs_again),
        NAMED(test_named_servers_are_recycled_under_way),
        NAMED(test_named_bouncer_reconnects_and_pauses),
        NAMED(test_named_sessions_are_reset),
        NAMED(test_named_cancels_strike_nobody_else),
        NAMED(test_named_reads_only_read_where_the_pooler_swallows_that),
        NAMED(test_named_listener_is_warned_of_the_pooler),
        NAMED(test_named_without_prepared_statements_is_told_what_to_set),
    };
    return cmocka_run_group_tests_name("pgbouncer_named", tests, bounced_start, bounced_stop);
}

int main(void)
{
    bouncer.program = getenv("BRIO_TEST_PGBOUNCER");
    if (!bouncer.program || !bouncer.program[0] || !getenv("DATABASE_URL_TCP")) {
        (void)fprintf(stderr, "skipped: BRIO_TEST_PGBOUNCER or DATABASE_URL_TCP is not set\n");
        return EXIT_SKIPPED;
    }
    return run_with_database(run);
}
