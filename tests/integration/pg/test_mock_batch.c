/* Batches whose server leaves in their middle, and transactions whose beginning nobody waited for:
 * what is told is what is known, and no more. */
#include "core/scope.h"
#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"

#define PARSED      "1\0\0\0\4"
#define NO_PARAMS   "t\0\0\0\6\0\0"
#define ONE_COLUMN  "T\0\0\0\32\0\1n\0\0\0\0\0\0\0\0\0\0\24\0\10\377\377\377\377\0\0"
#define PREPARED    PARSED NO_PARAMS ONE_COLUMN MOCK_READY
#define NO_COLUMNS  PARSED NO_PARAMS "n\0\0\0\4"
#define REFUSAL     "E\0\0\0\36SERROR\0VERROR\0C26000\0Mno\0\0"
#define ROLLED_BACK "2\0\0\0\4C\0\0\0\15ROLLBACK\0"
#define ANSWER      "2\0\0\0\4D\0\0\0\22\0\1\0\0\0\10\0\0\0\0\0\0\0\7C\0\0\0\15SELECT 1\0"

typedef error run_fn(pg_target on, pg_batch *b);

/* Runs "select 7" twice; returns what the script says of itself. */
static const char *play(const mock_pg_step *steps, size_t count, run_fn *run, error *whole,
                        error each[2], pg_rows rows[2])
{
    static mock_pg m;
    pg_pool *db;
    mock_pg_start(&m, &(mock_pg_options){ steps, count });
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(m.conninfo), .connections_max = 1 }, &db));
    pg_batch *b = pg_batch_new();
    for (int i = 0; i < 2; i++)
        pg_batch_query(b, &rows[i], "select 7");
    *whole = run(PG_TARGET(db), b);
    for (size_t i = 0; i < 2; i++)
        each[i] = pg_batch_error(b, i);
    pg_pool_close(&db);
    return mock_pg_stop(&m);
}

static void test_mock_pipeline_cut_in_its_middle_keeps_what_was_answered(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        MOCK_ACCEPT,         MOCK_SEND(MOCK_WELCOME), MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED), MOCK_EXPECT("BESBES"),   MOCK_SEND(ANSWER MOCK_READY "2\0\0\0\4"),
        MOCK_CLOSE,
    };
    error whole, each[2];
    pg_rows rows[2];
    int64_t n = 0;
    assert_null(play(SCRIPT, ARRAY_LEN(SCRIPT), pg_pipeline_run_on, &whole, each, rows));
    assert_fails(PG_CONNECTION_LOST, whole);
    assert_ok(each[0]);
    assert_int_equal(rows[0].count, 1);
    assert_ok(pg_get(&rows[0], 0, 0, &n));
    assert_int_equal(n, 7);
    assert_fails(PG_CONNECTION_LOST, each[1]);
    assert_int_equal(rows[1].count, 0);
}

/* Its transaction ends with the Sync, which was not answered: it may stay. */
static void test_mock_batch_cut_before_its_end_is_not_said_to_be_undone(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        MOCK_ACCEPT,          MOCK_SEND(MOCK_WELCOME),  MOCK_EXPECT("PDS"), MOCK_SEND(PREPARED),
        MOCK_EXPECT("BEBES"), MOCK_SEND(ANSWER ANSWER), MOCK_CLOSE,
    };
    error whole, each[2];
    pg_rows rows[2];
    assert_null(play(SCRIPT, ARRAY_LEN(SCRIPT), pg_batch_run_on, &whole, each, rows));
    assert_fails(PG_CONNECTION_LOST, whole);
    for (int i = 0; i < 2; i++) {
        assert_fails(PG_CONNECTION_LOST, each[i]);
        assert_int_equal(rows[i].count, 0);
    }
}

static error give_up_first(void *arg)
{
    return pg_execute((pg_tx *)arg, NULL, "insert into t values (1)");
}

static error go_on_without_first(void *arg)
{
    pg_tx *tx;
    const scope_options soon = { .deadline_ms = 20 };
    TRY(pg_begin((pg_pool *)arg, &tx));
    const error e = scope_call(&soon, give_up_first, tx);
    if (!error_is(e, &TIMED_OUT))
        return error_set(&PG_FAILED, "it was answered");
    const error next = pg_execute(tx, NULL, "insert into t values (2)");
    if (!error_is(next, &PG_IN_FAILED_TRANSACTION))
        return error_set(&PG_FAILED, "it went on");
    return pg_commit(&tx);
}

/* BEGIN, which nobody waits for, fails: what comes next must not run outside of a transaction. */
static void test_mock_tx_whose_first_statement_was_given_up_takes_no_other(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        MOCK_ACCEPT,
        MOCK_SEND(MOCK_WELCOME),
        MOCK_EXPECT("PDS"),
        MOCK_SEND(NO_COLUMNS MOCK_READY),
        MOCK_EXPECT("PDS"),
        MOCK_SEND(NO_COLUMNS MOCK_READY),
        MOCK_EXPECT("BEBES"),
        MOCK_PAUSE(100),
        MOCK_SEND(REFUSAL MOCK_READY),
        MOCK_EXPECT("PDS"),
        MOCK_SEND(NO_COLUMNS MOCK_READY),
        MOCK_EXPECT("BES"),
        MOCK_SEND(ROLLED_BACK MOCK_READY),
    };
    static mock_pg m;
    pg_pool *db;
    mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(m.conninfo), .connections_max = 1 }, &db));
    assert_fails(PG_ROLLED_BACK, scope_call(NULL, go_on_without_first, db));
    pg_pool_close(&db);
    assert_null(mock_pg_stop(&m));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mock_pipeline_cut_in_its_middle_keeps_what_was_answered),
        cmocka_unit_test(test_mock_batch_cut_before_its_end_is_not_said_to_be_undone),
        cmocka_unit_test(test_mock_tx_whose_first_statement_was_given_up_takes_no_other),
    };
    return cmocka_run_group_tests_name("pg batches of a mock server", tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
