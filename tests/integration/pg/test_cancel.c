/* Cancels and what is sent beside them: a server that plays a script holds the cancel's stream open
 * as long as it likes. */
#include "pool.h"

#include "core/clock.h"
#include "core/scope.h"
#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"

#define QUIET_MS 150 /* in which nothing may be said */

#define PREPARED    "1\0\0\0\4t\0\0\0\6\0\0n\0\0\0\4"
#define BOUND       "2\0\0\0\4"
#define DONE        "C\0\0\0\15SELECT 0\0"
#define CALLED      "C\0\0\0\11CALL\0"
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

/* Who waits so is told when the connection ends meanwhile, though the cancel goes on. */
static void test_connection_lost_under_a_cancel_ends_the_wait(void **state)
{
    (void)state;
    assert_int_equal(setenv("PG_CONNECT_TIMEOUT", "60s", 1), 0); /* a cancel's too */
    PLAY(MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), PREPARES(MOCK_READY), PREPARES(MOCK_READY),
         MOCK_EXPECT("BEBES"), MOCK_SEND(BEGUN), OTHER, MOCK_TURN, MOCK_RESET, MOCK_TURN,
         MOCK_STALL);
    assert_int_equal(unsetenv("PG_CONNECT_TIMEOUT"), 0);
    const error e = scope_call(&(scope_options){ .deadline_ms = 20000 }, wait_for_cancel, NULL);
    stop();
    assert_fails(PG_CONNECTION_LOST, e);
}

/* --- others behind it ------------------------------------------------------------------------- */

static uint64_t total_of(const char *name)
{
    for (uint32_t i = 0; i < PG_METRICS.count; i++) {
        if (strcmp(PG_METRICS.items[i].name, name) == 0)
            return metrics_total(&PG_METRICS, i);
    }
    fail_msg("no metric %s", name);
    return 0;
}

static error ask_for(void *sql)
{
    return pg_execute(db, NULL, (const char *)sql);
}

static error run_both(void)
{
    TRY(pg_execute(db, NULL, "a"));
    return pg_execute(db, NULL, "b");
}

/* "a", which has run before, is given up while "b" waits on the same connection. */
static error wait_behind(void)
{
    fiber *hangs, *waits;
    const fiber_options hurries = { .joinable = true, .deadline_ms = 30 };
    const fiber_options waits_long = { .joinable = true, .deadline_ms = 20000 };
    static char a[] = "a", b[] = "b";
    TRY(fiber_start(loop_self(), &hurries, ask_for, a, &hangs));
    TRY(fiber_start(loop_self(), &waits_long, ask_for, b, &waits));
    assert_fails(TIMED_OUT, fiber_join(&hangs));
    return fiber_join(&waits);
}

#define BOTH_RUN(tag)                                                                        \
    MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), PREPARES(MOCK_READY), RUNS(BOUND DONE MOCK_READY), \
        PREPARES(MOCK_READY), RUNS(BOUND tag MOCK_READY), MOCK_EXPECT("BES"), MOCK_EXPECT("BES")

/* The statement that hung goes on, and then the one behind it: that had waited for the cancel. */
static void test_cancel_frees_those_behind_a_statement_that_hangs(void **state)
{
    (void)state;
    PLAY(BOTH_RUN(DONE), OTHER, MOCK_BACK, MOCK_SEND(CANCELED_ MOCK_READY BOUND DONE MOCK_READY));
    assert_ok(run_both());
    const error e = wait_behind();
    stop();
    assert_ok(e);
}

/* The statement that hung ends just before the cancel is there, which strikes the one behind it. */
static void test_cancel_that_strikes_the_next_statement_has_it_run_again(void **state)
{
    (void)state;
    PLAY(BOTH_RUN(DONE), OTHER, MOCK_BACK,
         MOCK_SEND(BOUND DONE MOCK_READY BOUND CANCELED_ MOCK_READY), RUNS(BOUND DONE MOCK_READY));
    assert_ok(run_both());
    const error e = wait_behind();
    stop();
    assert_ok(e);
}

/* What is only being prepared has run nothing yet. */
static void test_cancel_that_strikes_a_preparation_has_it_prepared_again(void **state)
{
    (void)state;
    PLAY(MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), PREPARES(MOCK_READY), RUNS(BOUND DONE MOCK_READY),
         MOCK_EXPECT("BES"), MOCK_EXPECT("PDS"), OTHER, MOCK_BACK,
         MOCK_SEND(BOUND DONE MOCK_READY CANCELED_ MOCK_READY), MOCK_EXPECT("CPDS"),
         MOCK_SEND("3\0\0\0\4" PREPARED MOCK_READY), RUNS(BOUND DONE MOCK_READY));
    assert_ok(pg_execute(db, NULL, "a"));
    const error e = wait_behind();
    stop();
    assert_ok(e);
}

/* A procedure may have committed half of its work. */
static void test_cancel_is_not_sent_before_what_cannot_be_run_again(void **state)
{
    (void)state;
    const uint64_t sent = total_of("pg_cancels_total");
    PLAY(BOTH_RUN(CALLED), MOCK_LISTEN(2 * QUIET_MS),
         MOCK_SEND(BOUND DONE MOCK_READY BOUND CALLED MOCK_READY));
    assert_ok(run_both());
    const error e = wait_behind();
    stop();
    assert_ok(e);
    assert_int_equal(total_of("pg_cancels_total"), sent);
}

/* What the server cancels otherwise, by statement_timeout or for an administrator, is the caller's.
 */
static void test_cancel_of_somebody_elses_is_an_error(void **state)
{
    (void)state;
    PLAY(MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), PREPARES(MOCK_READY),
         RUNS(BOUND CANCELED_ MOCK_READY));
    const error e = pg_execute(db, NULL, "a");
    stop();
    assert_fails(PG_QUERY_CANCELED, e);
}

/* --- how many --------------------------------------------------------------------------------- */

#define WAIT_MS 30000 /* a hang, and not a time that is measured */

#define await(condition_)                                                      \
    for (const uint64_t end_ms_ = clock_real_ms() + WAIT_MS; !(condition_);) { \
        assert_true(clock_real_ms() < end_ms_);                                \
        assert_ok(fiber_yield());                                              \
    }

static void let_pass(uint32_t ms)
{
    clock_fake_advance((uint64_t)ms * 1000);
    for (int i = 0; i < 20; i++)
        assert_ok(fiber_yield());
}

static error ask(void *arg)
{
    (void)arg;
    return pg_execute(db, NULL, "a");
}

#define CANCELED_ONCE OTHER, MOCK_BACK, MOCK_SEND(CANCELED_ MOCK_READY)

/* The one connection has as many that hang as it can, and then one more. */
static size_t script_of_many(mock_pg_step *to)
{
    static const mock_pg_step BEGINS[] = { MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME),
                                           PREPARES(MOCK_READY), RUNS(BOUND DONE MOCK_READY) };
    static const mock_pg_step ASKED[] = { MOCK_EXPECT("BES") };
    static const mock_pg_step CANCELS[] = { CANCELED_ONCE };
    size_t count = 0;
#define ADD(some)                               \
    do {                                        \
        memcpy(&to[count], some, sizeof(some)); \
        count += ARRAY_LEN(some);               \
    } while (0)
    ADD(BEGINS);
    for (int i = 0; i < PG_LOAD_MAX; i++)
        ADD(ASKED);
    for (int i = 0; i < PG_LOAD_MAX; i++)
        ADD(CANCELS);
    ADD(ASKED);
    ADD(CANCELS);
    return count;
}

static void give_up_together(fiber **asking, size_t count)
{
    const fiber_options options = { .joinable = true, .deadline_ms = 20 };
    for (size_t i = 0; i < count; i++)
        assert_ok(fiber_start(loop_self(), &options, ask, NULL, &asking[i]));
    for (int i = 0; i < 20; i++)
        assert_ok(fiber_yield()); /* all have asked */
    let_pass(21);
    for (size_t i = 0; i < count; i++)
        assert_fails(TIMED_OUT, fiber_join(&asking[i]));
}

static void test_cancels_past_the_limit_wait_for_the_next_second(void **state)
{
    (void)state;
    static mock_pg_step steps[PG_LOAD_MAX * 8];
    fiber *asking[PG_LOAD_MAX];
    const uint64_t sent = total_of("pg_cancels_total");
    const uint64_t put_off = total_of("pg_cancels_put_off_total");
    play(steps, script_of_many(steps));
    await(pg_pool_stats_of(db).open == 1);
    const pg_conn *c = CONTAINER_OF(db->conns.head.next, pg_conn, node);
    assert_ok(ask(NULL));
    give_up_together(asking, PG_LOAD_MAX);
    assert_int_equal(c->abandoned, PG_LOAD_MAX);
    let_pass(100);
    for (uint32_t left = PG_LOAD_MAX; left-- > 0;) {
        await(c->abandoned == left && !c->cancel.stream);
        let_pass(5);
    }
    assert_int_equal(total_of("pg_cancels_total") - sent, PG_LOAD_MAX);
    assert_int_equal(total_of("pg_cancels_put_off_total"), put_off);
    give_up_together(asking, 1);
    let_pass(100);
    assert_int_equal(total_of("pg_cancels_total") - sent, PG_LOAD_MAX);
    assert_int_equal(total_of("pg_cancels_put_off_total"), put_off + 1);
    let_pass(1000);
    await(c->abandoned == 0 && !c->cancel.stream);
    assert_int_equal(total_of("pg_cancels_total") - sent, PG_LOAD_MAX + 1);
    stop();
}

static int run_by_clock(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancels_past_the_limit_wait_for_the_next_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel_on_its_way_holds_back_the_next_statement),
        cmocka_unit_test(test_statement_given_up_holds_back_the_next_one),
        cmocka_unit_test(test_cancel_on_its_way_holds_back_the_inner_rollback),
        cmocka_unit_test(test_connection_lost_under_a_cancel_ends_the_wait),
        cmocka_unit_test(test_cancel_frees_those_behind_a_statement_that_hangs),
        cmocka_unit_test(test_cancel_that_strikes_the_next_statement_has_it_run_again),
        cmocka_unit_test(test_cancel_that_strikes_a_preparation_has_it_prepared_again),
        cmocka_unit_test(test_cancel_is_not_sent_before_what_cannot_be_run_again),
        cmocka_unit_test(test_cancel_of_somebody_elses_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    const int failed = run_in_fiber(run);
    clock_fake_begin(-1);
    return run_in_fiber(run_by_clock) | failed;
}
