/* What a transaction changes in its session is not there for the next one on that connection. */
#include "session.h"

#include "tests/support/database.h"
#include "tests/support/mock_pg.h"

static pg_pool *db;

static int setup(void **state)
{
    (void)state;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &db));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pg_pool_close(&db);
    return 0;
}

static void run_in(const pg_tx_options *options, const char *sql, bool as_script)
{
    pg_tx *tx;
    assert_ok(pg_begin_with(db, options, &tx));
    if (as_script)
        assert_ok(pg_script(tx, str_from_c(sql)));
    else
        assert_ok(pg_execute(tx, NULL, sql));
    assert_ok(pg_commit(&tx));
}

static int64_t number(const char *sql)
{
    pg_rows rows;
    int64_t n;
    assert_ok(pg_query(db, &rows, sql));
    assert_ok(pg_get(&rows, 0, 0, &n));
    return n;
}

typedef struct leftover {
    const char *name;
    const char *statement;
    const char *count; /* how much of it is there: 0 */
    bool announced;
} leftover;

static void test_session_has_nothing_of_the_transaction_before(void **state)
{
    (void)state;
    const leftover rows[] = {
        { "a setting", "set work_mem = '3MB'",
          "select (current_setting('work_mem') = '3MB')::int::bigint", false },
        { "a setting that the server tells", "set timezone = 'Asia/Tokyo'",
          "select (current_setting('timezone') = 'Asia/Tokyo')::int::bigint", false },
        { "one of those by a function", "select set_config('timezone', 'Asia/Tokyo', false)",
          "select (current_setting('timezone') = 'Asia/Tokyo')::int::bigint", false },
        { "any by a function", "select set_config('app.tenant', '7', false)",
          "select (current_setting('app.tenant', true) = '7')::int::bigint", true },
        { "a setting that only the transaction has", "set local work_mem = '3MB'",
          "select (current_setting('work_mem') = '3MB')::int::bigint", false },
        { "a role", "set role pg_read_all_stats",
          "select (current_user = 'pg_read_all_stats')::int::bigint", false },
        { "a channel", "listen session_test", "select count(*) from pg_listening_channels()",
          false },
        { "a cursor", "declare session_cursor cursor with hold for select 1",
          "select count(*) from pg_cursors where name = 'session_cursor'", false },
        { "a statement", "prepare session_statement as select 1",
          "select count(*) from pg_prepared_statements where name = 'session_statement'", false },
        { "a table", "create temp table session_table (n int)",
          "select count(*) from pg_class where relname = 'session_table'", false },
        { "a table of a query", "create temp table session_table as select 1 as n",
          "select count(*) from pg_class where relname = 'session_table'", false },
        { "a table of a selection", "select 1 as n into temp session_table",
          "select count(*) from pg_class where relname = 'session_table'", false },
        { "a lock", "select pg_advisory_lock(815)",
          "select count(*) from pg_locks where locktype = 'advisory' and objid = 815", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows) * 2; i++) {
        const leftover *row = &rows[i / 2];
        const int64_t process = number("select pg_backend_pid()::bigint");
        run_in(&(pg_tx_options){ .session = row->announced }, row->statement, i % 2 == 1);
        if (number(row->count) != 0)
            fail_msg("%s is left%s", row->name, i % 2 == 1 ? " by a script" : "");
        assert_int_equal(number("select pg_backend_pid()::bigint"), process);
        assert_int_equal(pg_pool_stats_of(db).open, 1);
    }
}

/* Preparing anew would cost every user of the connection a round trip. */
static void test_session_reset_keeps_prepared_statements(void **state)
{
    (void)state;
    const char *count = "select count(*) from pg_prepared_statements where statement like '%kept%'";
    assert_int_equal(number("select 1::bigint as kept"), 1);
    run_in(NULL, "set work_mem = '3MB'", false);
    assert_int_equal(number(count), 2); /* itself too */
    run_in(&(pg_tx_options){ .session = true }, "select 1", false);
    assert_int_equal(number(count), 1);
    assert_int_equal(number("select 1::bigint as kept"), 1); /* forgotten here too */
    assert_int_equal(number(count), 2);
}

static void test_session_of_a_shared_connection_must_not_be_changed(void **state)
{
    (void)state;
    const char *const statements[] = { "set work_mem = '3MB'", "listen session_test",
                                       "prepare session_statement as select 1" };
    for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
        assert_fails(PG_INVALID_ARGUMENT, pg_execute(db, NULL, statements[i]));
        assert_int_equal(number("select (current_setting('work_mem') = '3MB')::int::bigint"), 0);
        assert_int_equal(number("select count(*) from pg_listening_channels()"), 0);
    }
    assert_ok(pg_execute(db, NULL, "create table session_table (n int)")); /* that is none of it */
    assert_ok(pg_execute(db, NULL, "drop table session_table"));
}

/* --- a server that refuses -------------------------------------------------------------------- */

#define PREPARED "1\0\0\0\4t\0\0\0\6\0\0n\0\0\0\4"
#define BOUND    "2\0\0\0\4"
#define BEGUN    BOUND "C\0\0\0\12BEGIN\0"
#define DONE     BOUND "C\0\0\0\13UPDATE\0"
#define COMMITED BOUND "C\0\0\0\13COMMIT\0"
#define IN_TX    "Z\0\0\0\5T"
#define REFUSED  "E\0\0\0\44SERROR\0VERROR\0C57014\0Mdup\0nkey\0\0"

static const mock_pg_step REFUSES[] = {
    MOCK_ACCEPT,
    MOCK_SEND(MOCK_WELCOME),
    MOCK_EXPECT("PDS"),
    MOCK_SEND(PREPARED MOCK_READY),
    MOCK_EXPECT("PDS"),
    MOCK_SEND(PREPARED MOCK_READY),
    MOCK_EXPECT("BEBES"),
    MOCK_SEND(BEGUN DONE IN_TX),
    MOCK_EXPECT("PDS"),
    MOCK_SEND(PREPARED IN_TX),
    MOCK_EXPECT("BES"),
    MOCK_SEND(COMMITED MOCK_READY),
    MOCK_EXPECT("Q"),
    MOCK_SEND(REFUSED MOCK_READY),
    MOCK_ACCEPT, /* another connection */
    MOCK_SEND(MOCK_WELCOME),
    MOCK_EXPECT("PDS"),
    MOCK_SEND(PREPARED MOCK_READY),
    MOCK_EXPECT("BES"),
    MOCK_SEND(DONE MOCK_READY),
};

static void test_session_that_cannot_be_reset_ends(void **state)
{
    (void)state;
    mock_pg m;
    mock_pg_start(&m, &(mock_pg_options){ REFUSES, ARRAY_LEN(REFUSES) });
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(m.conninfo), .connections_max = 1 }, &db));
    run_in(&(pg_tx_options){ .session = true }, "update t set n = 1", false);
    assert_ok(pg_execute(db, NULL, "update t set n = 2")); /* not there */
    pg_pool_close(&db);
    assert_null(mock_pg_stop(&m));
}

/* --- many at once ----------------------------------------------------------------------------- */

static error change_and_look(void *arg)
{
    uint32_t *seed = arg;
    for (int i = 0; i < 40; i++) {
        pg_tx *tx;
        pg_rows rows;
        int64_t n;
        *seed = *seed * 1664525 + 1013904223;
        if (*seed >> 30 == 0) {
            TRY(pg_begin_with(db, &(pg_tx_options){ .session = *seed >> 29 & 1 }, &tx));
            TRY(pg_execute(tx, NULL, "set work_mem = '3MB'"));
            TRY(*seed >> 28 & 1 ? pg_commit(&tx) : pg_rollback(&tx));
        }
        TRY(pg_query(db, &rows, "select (current_setting('work_mem') = '3MB')::int::bigint"));
        TRY(pg_get(&rows, 0, 0, &n));
        if (n != 0)
            return error_set(&PG_FAILED, "the setting of another");
    }
    return OK;
}

static void test_session_of_nobody_is_seen_by_others_at_the_same_time(void **state)
{
    (void)state;
    uint32_t seeds[16];
    wait_group group;
    pg_pool_close(&db);
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 3 }, &db));
    wait_group_init(&group);
    for (uint32_t i = 0; i < ARRAY_LEN(seeds); i++) {
        seeds[i] = i;
        assert_ok(wait_group_start(&group, change_and_look, &seeds[i]));
    }
    assert_ok(wait_group_wait(&group));
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
}

static void test_session_change_is_told_by_the_tag(void **state)
{
    (void)state;
    assert_int_equal(pg_session_change_of(STR("SET"), false), PG_SESSION_SETTINGS);
    assert_int_equal(pg_session_change_of(STR("SET CONSTRAINTS"), false), 0);
    assert_int_equal(pg_session_change_of(STR("SELECT 1"), true), 0);
    assert_int_equal(pg_session_change_of(STR("SELECT 1"), false), PG_SESSION_TEMPORARY);
    assert_int_equal(pg_session_change_of(STR("CREATE VIEW"), false), PG_SESSION_TEMPORARY);
    assert_int_equal(pg_session_change_of(STR("LISTEN"), false), PG_SESSION_CHANNELS);
    assert_int_equal(pg_session_change_of(STR("PREPARE"), false), PG_SESSION_ALL);
    const char *const others[] = { "INSERT 0 1",     "UPDATE 3", "DELETE 0",  "COMMIT",
                                   "ROLLBACK",       "COPY 12",  "",          "NOTIFY",
                                   "DEALLOCATE ALL", "SETTING",  "SAVEPOINT", "MERGE 1" };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(pg_session_change_of(str_from_c(others[i]), false), 0);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_session_has_nothing_of_the_transaction_before, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_session_reset_keeps_prepared_statements, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_session_of_a_shared_connection_must_not_be_changed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_session_of_nobody_is_seen_by_others_at_the_same_time,
                                        setup, teardown),
        cmocka_unit_test(test_session_change_is_told_by_the_tag),
        cmocka_unit_test(test_session_that_cannot_be_reset_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_with_database(run);
}
