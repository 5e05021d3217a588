/* Through Debian's PgBouncer in transaction mode, which gives a server to somebody else after each
 * transaction and knows nothing of prepared statements: all that this client can do, in the modes
 * that are made for it, and in the mode that is not, an error that says what to set. */
#include "bounced.h"

/* --- named, where it cannot work -------------------------------------------------------------- */

static int stale;
static char stale_text[512];

static error query_in_spite(void *arg)
{
    for (int64_t i = 0; i < 100 && !stale; i++) {
        const error e = ask_any(PG_TARGET(db), (int64_t)(uintptr_t)arg * 1000 + i);
        if (error_is(e, &PG_STATEMENT_STALE)) {
            stale++;
            error_describe(e, stale_text, sizeof stale_text);
        } else if (e.kind) {
            return e; /* a wrong row, above all */
        }
    }
    return OK;
}

static void test_bouncer_named_fails_and_tells_what_to_set(void **state)
{
    (void)state;
    db = open_on(&bouncer, "tx", PG_STATEMENTS_NAMED, 8);
    for (int i = 0; i < 20 && !stale; i++)
        run_readers(query_in_spite, READERS);
    assert_true(stale > 0);
    assert_non_null(strstr(stale_text, "PG_STATEMENTS=unnamed"));
    pg_pool_close(&db);
}

static void test_bouncer_of_sessions_is_a_server(void **state)
{
    (void)state;
    db = open_on(&bouncer, "session", PG_STATEMENTS_NAMED, 4);
    run_readers(query_much, 16);
    run_readers(run_batches, 8);
    run_readers(read_cursors, 4);
    pg_pool_close(&db);
}

/* --- what it refuses at the door -------------------------------------------------------------- */

static void assert_refused(pg_target on, const char *said)
{
    char text[768];
    pg_rows rows;
    const error e = pg_query(on, &rows, "select 1");
    assert_true(e.kind != NULL);
    error_describe(e, text, sizeof text);
    if (!strstr(text, said))
        fail_msg("\"%s\" is not in: %s", said, text);
}

static void test_bouncer_refusing_a_parameter_is_told_with_what_to_set(void **state)
{
    (void)state;
    pg_pool *pool;
    const str conninfo = str_format(fiber_arena(), "%.*s options='-c geqo=off'",
                                    STR_ARG(own_pgbouncer_conninfo(&bouncer, "tx")));
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = conninfo, .statements = PG_STATEMENTS_UNNAMED }, &pool));
    assert_refused(PG_TARGET(pool), "ignore_startup_parameters");
    pg_pool_close(&pool);
}

static error hold_the_only_server(pg_pool *pool, pg_tx **out)
{
    TRY(pg_begin(pool, out));
    return pg_execute(*out, NULL, "select 1");
}

/* PgBouncer's own errors have no V: its last words are known as such, and are the reason. */
static void test_bouncer_ending_a_wait_says_why(void **state)
{
    own_pgbouncer hurries = { 0 };
    pg_rows rows;
    pg_tx *tx;
    (void)state;
    own_pgbouncer_start(&hurries, "query_wait_timeout = 1");
    pg_pool *holder = open_on(&hurries, "single", PG_STATEMENTS_UNNAMED, 1);
    pg_pool *waiter = open_on(&hurries, "single", PG_STATEMENTS_UNNAMED, 1);
    assert_ok(hold_the_only_server(holder, &tx));
    assert_fails(PG_CONNECTION_LOST, pg_query(waiter, &rows, "select 1"));
    char text[512];
    error_describe((error){ &PG_CONNECTION_LOST }, text, sizeof text);
    assert_non_null(strstr(text, "FATAL 08P01: query_wait_timeout"));
    assert_ok(pg_rollback(&tx));
    assert_ok(pg_query(waiter, &rows, "select 1"));
    pg_pool_close(&waiter);
    pg_pool_close(&holder);
    own_pgbouncer_stop(&hurries);
}

#define IN_BOTH(test) IN_UNNAMED(test), IN_OFF(test)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        IN_BOTH(test_bouncer_queries_have_their_own_rows),
        IN_BOTH(test_bouncer_reads_in_batches_have_their_own_rows),
        IN_BOTH(test_bouncer_batches_and_pipelines_have_their_own_rows),
        IN_BOTH(test_bouncer_transactions_stay_on_one_server),
        IN_BOTH(test_bouncer_cursors_have_their_own_rows),
        IN_BOTH(test_bouncer_streams_have_their_own_rows),
        IN_BOTH(test_bouncer_copies_go_both_ways),
        IN_BOTH(test_bouncer_reads_only_read_and_leave_nothing_behind),
        IN_BOTH(test_bouncer_cancels_what_nobody_waits_for),
        IN_BOTH(test_bouncer_listening_is_refused),
        IN_BOTH(test_bouncer_tables_change_under_way),
        IN_BOTH(test_bouncer_of_statements_runs_all_but_transactions),
        cmocka_unit_test(test_bouncer_named_fails_and_tells_what_to_set),
        cmocka_unit_test(test_bouncer_of_sessions_is_a_server),
        cmocka_unit_test(test_bouncer_refusing_a_parameter_is_told_with_what_to_set),
        cmocka_unit_test(test_bouncer_ending_a_wait_says_why),
    };
    return cmocka_run_group_tests_name("pgbouncer", tests, bounced_start, bounced_stop);
}

int main(void)
{
    if (access(PGBOUNCER, X_OK) != 0 || !getenv("DATABASE_URL_TCP")) {
        (void)fprintf(stderr, "skipped: no PgBouncer here, or DATABASE_URL_TCP is not set\n");
        return EXIT_SKIPPED;
    }
    return run_with_database(run);
}
