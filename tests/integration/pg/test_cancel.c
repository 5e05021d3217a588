/* Cancels and what is sent beside them: a server that plays a script holds the cancel's stream open
 * as long as it likes. */
#include "core/scope.h"
#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"

#define QUIET_MS 150 /* in which nothing may be said */

#define PREPARED    "1\0\0\0\4t\0\0\0\6\0\0n\0\0\0\4"
#define BOUND       "2\0\0\0\4"
#define DONE        "C\0\0\0\15SELECT 0\0"
#define BEGUN       BOUND "C\0\0\0\12BEGIN\0"
#define SAVED       BOUND "C\0\0\0\16SAVEPOINT\0"
#define ROLLED      BOUND "C\0\0\0\15ROLLBACK\0"
#define RELEASED    BOUND "C\0\0\0\14RELEASE\0"
#define COMMITTED   BOUND "C\0\0\0\13COMMIT\0"
#define IN_TX       "Z\0\0\0\5T"
#define FAILED      "Z\0\0\0\5E"
#define CANCELED_   "E\0\0\0\44SERROR\0VERROR\0C57014\0Mcanceled\0\0"
#define REFUSED     "E\0\0\0\36SERROR\0VERROR\0C25P02\0Mno\0\0"
#define CANCEL      "\4\322\26\56\0\0\0\1\0\0\0\2"
#define OTHER       MOCK_LEAVE, MOCK_ACCEPT_RAW, MOCK_STARTUP_OF(CANCEL)
#define PREPARES(z) MOCK_EXPECT("PDS"), MOCK_SEND(PREPARED z)
#define RUNS(a)     MOCK_EXPECT("BES"), MOCK_SEND(a)

static mock_pg m;
static pg_pool *db;

static void play(const mock_pg_step *steps, size_t count)
{
    mock_pg_start(&m, &(mock_pg_options){ .steps = steps, .step_count = count });
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(m.conninfo), .connections_max = 1 }, &db));
}
#define PLAY(...)                                             \
    do {                                                      \
        static const mock_pg_step steps_[] = { __VA_ARGS__ }; \
        play(steps_, ARRAY_LEN(steps_));                      \
    } while (0)

static void stop(void)
{
    pg_pool_close(&db);
    const char *problem = mock_pg_stop(&m);
    if (problem)
        fail_msg("%s", problem);
}

static error run_a(void *tx)
{
    return pg_execute((pg_tx *)tx, NULL, "a");
}

static error give_up_a(pg_tx *tx)
{
    return scope_call(&(scope_options){ .deadline_ms = 30 }, run_a, tx);
}

static error go_on_in_transaction(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "b"));
    assert_fails(TIMED_OUT, give_up_a(tx));
    TRY(pg_execute(tx, NULL, "b"));
    return pg_commit(&tx);
}

#define HANGS_IN_TX                                                                   \
    MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), PREPARES(MOCK_READY), PREPARES(MOCK_READY), \
        MOCK_EXPECT("BEBES"), MOCK_SEND(BEGUN BOUND DONE IN_TX), PREPARES(IN_TX),     \
        MOCK_EXPECT("BES"), OTHER

/* The statement that was given up ends by itself while its cancel is on the way: what comes next in
 * the transaction waits until that has come to nothing. */
static void test_cancel_on_its_way_holds_back_the_next_statement(void **state)
{
    (void)state;
    PLAY(HANGS_IN_TX, MOCK_TURN, MOCK_SEND(BOUND DONE IN_TX), MOCK_LISTEN(QUIET_MS), MOCK_TURN,
         MOCK_BACK, RUNS(BOUND DONE IN_TX), PREPARES(IN_TX), RUNS(COMMITTED MOCK_READY));
    const error e =
        scope_call(&(scope_options){ .deadline_ms = 20000 }, go_on_in_transaction, NULL);
    stop();
    assert_ok(e);
}

/* The cancel is over first: what comes next waits for the answer too. */
static void test_statement_given_up_holds_back_the_next_one(void **state)
{
    (void)state;
    PLAY(HANGS_IN_TX, MOCK_BACK, MOCK_LISTEN(QUIET_MS), MOCK_SEND(CANCELED_ FAILED),
         MOCK_EXPECT("BES"), MOCK_SEND(REFUSED FAILED), PREPARES(FAILED), RUNS(ROLLED MOCK_READY));
    const error e =
        scope_call(&(scope_options){ .deadline_ms = 20000 }, go_on_in_transaction, NULL);
    stop();
    assert_fails(PG_IN_FAILED_TRANSACTION, e);
}

static error go_on_after_savepoint(void *arg)
{
    pg_tx *tx, *inner;
    (void)arg;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "b"));
    TRY(pg_begin(tx, &inner));
    assert_fails(TIMED_OUT, give_up_a(inner));
    TRY(pg_rollback(&inner));
    TRY(pg_execute(tx, NULL, "b"));
    return pg_commit(&tx);
}

/* The rollback to the savepoint, and what comes after it. */
static void test_cancel_on_its_way_holds_back_the_inner_rollback(void **state)
{
    (void)state;
    PLAY(MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), PREPARES(MOCK_READY), PREPARES(MOCK_READY),
         MOCK_EXPECT("BEBES"), MOCK_SEND(BEGUN BOUND DONE IN_TX), /* */
         PREPARES(IN_TX), RUNS(SAVED IN_TX), PREPARES(IN_TX), MOCK_EXPECT("BES"), OTHER, MOCK_TURN,
         MOCK_SEND(BOUND DONE IN_TX), MOCK_LISTEN(QUIET_MS), MOCK_TURN, MOCK_BACK, PREPARES(IN_TX),
         RUNS(ROLLED IN_TX), PREPARES(IN_TX), RUNS(RELEASED IN_TX), RUNS(BOUND DONE IN_TX),
         PREPARES(IN_TX), RUNS(COMMITTED MOCK_READY));
    const error e =
        scope_call(&(scope_options){ .deadline_ms = 20000 }, go_on_after_savepoint, NULL);
    stop();
    assert_ok(e);
}

static error wait_for_cancel(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(db, &tx));
    assert_fails(TIMED_OUT, give_up_a(tx));
    return pg_rollback(&tx);
}

/* Who waits so is told when the connection ends meanwhile. */
static void test_connection_lost_under_a_cancel_ends_the_wait(void **state)
{
    (void)state;
    PLAY(MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), PREPARES(MOCK_READY), PREPARES(MOCK_READY),
         MOCK_EXPECT("BEBES"), MOCK_SEND(BEGUN), OTHER, MOCK_TURN, MOCK_RESET);
    const error e = scope_call(&(scope_options){ .deadline_ms = 20000 }, wait_for_cancel, NULL);
    stop();
    assert_fails(PG_CONNECTION_LOST, e);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel_on_its_way_holds_back_the_next_statement),
        cmocka_unit_test(test_statement_given_up_holds_back_the_next_one),
        cmocka_unit_test(test_cancel_on_its_way_holds_back_the_inner_rollback),
        cmocka_unit_test(test_connection_lost_under_a_cancel_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
