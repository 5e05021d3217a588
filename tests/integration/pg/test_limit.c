/* Timeouts of the server's own, which our sessions ask for: that they are there, stay there, act,
 * and are done without where a server or a pooler refuses them. */
#include "tests/support/database.h"
#include "tests/support/mock_pg.h"

#define IDLE "show idle_in_transaction_session_timeout"

static pg_pool *open_with(const char *name, const char *value, str conninfo)
{
    pg_pool *db;
    if (name)
        assert_int_equal(setenv(name, value, 1), 0);
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = conninfo, .statements = PG_STATEMENTS_NAMED }, &db));
    if (name)
        assert_int_equal(unsetenv(name), 0);
    return db;
}

static void assert_shown(pg_target on, const char *sql, const char *expected)
{
    pg_rows rows;
    str shown;
    assert_ok(pg_query(on, &rows, sql));
    assert_ok(pg_get(&rows, 0, 0, &shown));
    assert_str_equal(shown, str_from_c(expected));
}

static void test_limit_of_idle_transactions_is_there_whatever_is_done_to_it(void **state)
{
    (void)state;
    pg_pool *db = open_with(NULL, NULL, STR_NONE);
    pg_tx *tx;
    assert_shown(PG_TARGET(db), IDLE, "1min");
    assert_shown(pg_read_only(db), IDLE, "1min");
    for (int round = 0; round < 2; round++) {
        const pg_tx_options options = { .session = round == 1 };
        assert_ok(pg_begin_with(db, &options, &tx));
        assert_ok(pg_execute(tx, NULL, "set idle_in_transaction_session_timeout = 0"));
        assert_shown(PG_TARGET(tx), IDLE, "0");
        assert_ok(pg_commit(&tx));
        assert_shown(PG_TARGET(db), IDLE, "1min");
    }
    pg_pool_close(&db);
}

static void test_limit_is_what_the_settings_or_the_string_say(void **state)
{
    (void)state;
    pg_pool *db = open_with("PG_IDLE_IN_TRANSACTION_TIMEOUT", "7s", STR_NONE);
    assert_shown(PG_TARGET(db), IDLE, "7s");
    pg_pool_close(&db);
    db = open_with("PG_IDLE_IN_TRANSACTION_TIMEOUT", "0", STR_NONE);
    assert_shown(PG_TARGET(db), IDLE, "0"); /* as the server has it */
    pg_pool_close(&db);
    db = open_with("PGOPTIONS", "-c idle_in_transaction_session_timeout=3min", STR_NONE);
    assert_shown(PG_TARGET(db), IDLE, "3min");
    pg_pool_close(&db);
    assert_ok(pg_pool_open(&(pg_pool_options){ .statements = PG_STATEMENTS_UNNAMED }, &db));
    assert_shown(PG_TARGET(db), IDLE, "0"); /* the session may be a pooler's */
    pg_pool_close(&db);
}

static void test_limit_ends_a_transaction_that_stands_still(void **state)
{
    (void)state;
    pg_pool *db = open_with("PG_IDLE_IN_TRANSACTION_TIMEOUT", "100ms", STR_NONE);
    pg_tx *tx;
    pg_rows rows;
    int32_t process;
    int64_t left = 1;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "select pg_sleep(0.2)")); /* it does not stand still */
    assert_ok(pg_query(tx, &rows, "select pg_backend_pid()"));
    assert_ok(pg_get(&rows, 0, 0, &process));
    while (left > 0) {
        assert_ok(fiber_sleep(10));
        assert_ok(
            pg_query(db, &rows, "select count(*) from pg_stat_activity where pid = $1", process));
        assert_ok(pg_get(&rows, 0, 0, &left));
    }
    const error e = pg_execute(tx, NULL, "select 1");
    char text[512];
    assert_fails(PG_CONNECTION_LOST, e);
    error_describe(e, text, sizeof text);
    assert_non_null(strstr(text, "25P03"));
    assert_true(pg_commit(&tx).kind != NULL);
    assert_ok(pg_execute(db, NULL, "select 1"));
    pg_pool_close(&db);
}

/* PostgreSQL 17 has it; on older ones it is done without. */
static void test_limit_of_all_transactions_is_there_where_the_server_has_it(void **state)
{
    (void)state;
    pg_pool *db = open_with("PG_TRANSACTION_TIMEOUT", "5s", STR_NONE);
    pg_rows rows;
    str shown;
    assert_shown(PG_TARGET(db), IDLE, "1min");
    assert_ok(pg_query(db, &rows,
                       "select coalesce(max(setting || unit), '5000ms') from pg_settings where "
                       "name = 'transaction_timeout'"));
    assert_ok(pg_get(&rows, 0, 0, &shown));
    assert_str_equal(shown, STR("5000ms"));
    pg_pool_close(&db);
}

static void test_limit_of_statements_ends_one_and_no_more(void **state)
{
    (void)state;
    pg_pool *db = open_with("PG_STATEMENT_TIMEOUT", "500ms", STR_NONE);
    assert_shown(PG_TARGET(db), "show statement_timeout", "500ms");
    assert_fails(PG_QUERY_CANCELED, pg_execute(db, NULL, "select pg_sleep(100)"));
    assert_shown(PG_TARGET(db), IDLE, "1min");
    pg_pool_close(&db);
}

/* --- servers that refuse ---------------------------------------------------------------------- */

#define WHO    "\0\3\0\0user\0ada\0database\0shop\0"
#define UTF8   "client_encoding\0UTF8\0"
#define LIMIT  "idle_in_transaction_session_timeout\0"
#define ERROR_ "E\0\0\0\136SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: "

static error ask(pg_pool *db)
{
    return pg_execute(db, NULL, "select 1");
}

/* Both connections of the pool are opened with one question too many in all. */
static void test_limit_that_is_refused_is_left_out_from_then_on(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        MOCK_ACCEPT_RAW,
        MOCK_STARTUP_OF(WHO UTF8 LIMIT "60000\0\0"),
        MOCK_SEND(ERROR_ LIMIT "\0"),
        MOCK_CLOSE,
        MOCK_ACCEPT_RAW,
        MOCK_STARTUP_OF(WHO UTF8 "\0"),
        MOCK_SEND(MOCK_WELCOME),
        MOCK_EXPECT("PDS"),
        MOCK_RESET,
        MOCK_ACCEPT_RAW,
        MOCK_STARTUP_OF(WHO UTF8 "\0"),
        MOCK_SEND(MOCK_WELCOME),
        MOCK_EXPECT("PDS"),
        MOCK_RESET,
    };
    mock_pg m;
    mock_pg_start(&m, &(mock_pg_options){ .steps = SCRIPT, .step_count = ARRAY_LEN(SCRIPT) });
    pg_pool *db =
        open_with(NULL, NULL, str_format(fiber_arena(), "%s sslmode=disable", m.conninfo));
    assert_fails(PG_CONNECTION_LOST, ask(db));
    assert_fails(PG_CONNECTION_LOST, ask(db));
    pg_pool_close(&db);
    const char *problem = mock_pg_stop(&m);
    assert_string_equal(problem ? problem : "", "");
}

/* That is not the fault of what was asked for, and not a reason to ask again. */
static void test_limit_is_not_to_blame_for_other_refusals(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        MOCK_ACCEPT,
        MOCK_SEND("E\0\0\0\60SFATAL\0VFATAL\0C08P01\0Mnot today, thank you\0\0"),
        MOCK_CLOSE,
    };
    mock_pg m;
    mock_pg_start(&m, &(mock_pg_options){ .steps = SCRIPT, .step_count = ARRAY_LEN(SCRIPT) });
    pg_pool *db = open_with(NULL, NULL, str_from_c(m.conninfo));
    assert_fails(PG_CONNECT_FAILED, ask(db));
    pg_pool_close(&db);
    const char *problem = mock_pg_stop(&m);
    assert_string_equal(problem ? problem : "", "");
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit_of_idle_transactions_is_there_whatever_is_done_to_it),
        cmocka_unit_test(test_limit_is_what_the_settings_or_the_string_say),
        cmocka_unit_test(test_limit_ends_a_transaction_that_stands_still),
        cmocka_unit_test(test_limit_of_all_transactions_is_there_where_the_server_has_it),
        cmocka_unit_test(test_limit_of_statements_ends_one_and_no_more),
        cmocka_unit_test(test_limit_that_is_refused_is_left_out_from_then_on),
        cmocka_unit_test(test_limit_is_not_to_blame_for_other_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_with_database(run);
}
