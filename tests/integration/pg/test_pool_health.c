/* Connections that were not used for a while, and servers that shut down or become another kind of
 * server: by a clock that the test moves, against servers that play a script. */
#include "core/clock.h"
#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 30000 /* a hang, and not a time that is measured */

#define COLUMN     "n\0\0\0\0\0\0\0\0\0\0\24\0\10\377\377\377\377\0\0" /* n int8 */
#define ONE_COLUMN "T\0\0\0\32\0\1" COLUMN
#define PREPARED   "1\0\0\0\4t\0\0\0\6\0\0" ONE_COLUMN MOCK_READY
#define ANSWER     "2\0\0\0\4D\0\0\0\22\0\1\0\0\0\10\0\0\0\0\0\0\0\7C\0\0\0\15SELECT 1\0" MOCK_READY
#define NOTHING    "I\0\0\0\4" MOCK_READY
#define REFUSED    "E\0\0\0\36SERROR\0VERROR\0C25006\0Mno\0\0"
#define SHUTDOWN   "E\0\0\0\36SFATAL\0VFATAL\0C57P01\0Mno\0\0"
#define BEGUN      "2\0\0\0\4C\0\0\0\12BEGIN\0"
#define ROLLED     "2\0\0\0\4C\0\0\0\15ROLLBACK\0"

#define STANDBY_ON    "S\0\0\0\26in_hot_standby\0on\0"
#define STANDBY_OFF   "S\0\0\0\27in_hot_standby\0off\0"
#define READ_ONLY_ON  "S\0\0\0\45default_transaction_read_only\0on\0"
#define READ_ONLY_OFF "S\0\0\0\46default_transaction_read_only\0off\0"
#define PRIMARY       STANDBY_OFF READ_ONLY_OFF
#define STANDBY       STANDBY_ON READ_ONLY_OFF

#define CONNECTED  MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME)
#define IS_KIND(k) MOCK_ACCEPT, MOCK_SEND(MOCK_AUTH_OK k MOCK_STARTED)
#define PREPARES   MOCK_EXPECT("PDS"), MOCK_SEND(PREPARED)
#define ANSWERS    MOCK_EXPECT("BES"), MOCK_SEND(ANSWER)
#define LEFT       MOCK_EXPECT("X"), MOCK_CLOSE /* by the client, with a good-bye */

static pg_pool *db;
static mock_pg servers[2];
static uint32_t server_count;

#define await(condition_)                                                      \
    for (const uint64_t end_ms_ = clock_real_ms() + WAIT_MS; !(condition_);) { \
        assert_true(clock_real_ms() < end_ms_);                                \
        assert_ok(fiber_yield());                                              \
    }

static uint64_t count_of(const char *name)
{
    for (uint32_t i = 0; i < PG_METRICS.count; i++) {
        if (strcmp(PG_METRICS.items[i].name, name) == 0)
            return metrics_total(&PG_METRICS, i);
    }
    fail_msg("no metric %s", name);
    return 0;
}

static uint64_t count_retired(void)
{
    return count_of("pg_connections_retired_total");
}

static void play(const mock_pg_step *steps, size_t count)
{
    mock_pg_start(&servers[server_count++], &(mock_pg_options){ steps, count });
}
#define PLAY(...)                                             \
    do {                                                      \
        static const mock_pg_step steps_[] = { __VA_ARGS__ }; \
        play(steps_, ARRAY_LEN(steps_));                      \
    } while (0)

/* On the first server, or on all of them with `more` = target_session_attrs. */
static void open_pool(uint32_t max, const char *more)
{
    str conninfo = str_format(fiber_arena(), "%s %s", servers[0].conninfo, more);
    if (server_count == 2) {
        const char *ports[2];
        for (int i = 0; i < 2; i++) {
            ports[i] = strstr(servers[i].conninfo, "port=");
            assert_non_null(ports[i]);
            ports[i] += 5;
        }
        conninfo = str_format(fiber_arena(), "%s host=127.0.0.1,127.0.0.1 port=%.*s,%.*s %s",
                              servers[0].conninfo, (int)strspn(ports[0], "0123456789"), ports[0],
                              (int)strspn(ports[1], "0123456789"), ports[1], more);
    }
    assert_ok(
        pg_pool_open(&(pg_pool_options){ .conninfo = conninfo, .connections_max = max }, &db));
    await(pg_pool_stats_of(db).open == 1);
}

static error ask(void *arg)
{
    pg_rows rows;
    int64_t n = 0;
    (void)arg;
    TRY(pg_query(db, &rows, "select n"));
    TRY(pg_get(&rows, 0, 0, &n));
    return n == 7 ? OK : error_set(&PG_FAILED, "another row");
}

static void let_pass(uint32_t ms)
{
    clock_fake_advance((uint64_t)ms * 1000);
    for (int i = 0; i < 20; i++)
        assert_ok(fiber_yield());
}

static int setup(void **state)
{
    (void)state;
    server_count = 0;
    setenv("PG_POOL_MIN", "0", 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pg_pool_close(&db);
    for (uint32_t i = 0; i < server_count; i++) {
        const char *problem = mock_pg_stop(&servers[i]);
        if (problem)
            print_error("server %u: %s\n", i, problem);
        if (problem)
            return -1;
    }
    return 0;
}

/* --- idle ones -------------------------------------------------------------------------------- */

/* Until the kernel here has the server's end of the connection. */
static void while_the_loop_is_busy_the_server_goes(void)
{
    struct tcp_info info = { .tcpi_state = TCP_ESTABLISHED };
    for (int i = 0; i < WAIT_MS && info.tcpi_state == TCP_ESTABLISHED; i++) {
        socklen_t len = sizeof info;
        usleep(1000);
        if (getsockopt(atomic_load(&servers[0].client), IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
            return; /* gone altogether */
    }
}

static void test_connection_that_the_server_has_closed_is_not_given_out(void **state)
{
    (void)state;
    PLAY(CONNECTED, PREPARES, ANSWERS, MOCK_PAUSE(100), MOCK_CLOSE, CONNECTED, PREPARES, ANSWERS);
    open_pool(1, "");
    assert_ok(ask(NULL));
    clock_fake_advance(2000000);
    assert_ok(fiber_yield()); /* the loop knows the time */
    while_the_loop_is_busy_the_server_goes();
    assert_ok(ask(NULL));
}

static void test_connection_idle_for_long_is_asked_first(void **state)
{
    (void)state;
    PLAY(CONNECTED, PREPARES, ANSWERS, MOCK_EXPECT("Q"), MOCK_SEND(NOTHING), ANSWERS, ANSWERS);
    open_pool(2, "");
    assert_ok(ask(NULL));
    let_pass(31000);
    assert_ok(ask(NULL));
    let_pass(29000);
    assert_ok(ask(NULL)); /* not idle for as long */
    assert_int_equal(pg_pool_stats_of(db).open, 1);
}

static void test_connection_idle_for_long_is_asked_before_a_transaction(void **state)
{
    (void)state;
    pg_tx *tx;
    PLAY(CONNECTED, PREPARES, ANSWERS, MOCK_EXPECT("Q"), MOCK_SEND(NOTHING));
    open_pool(1, "");
    assert_ok(ask(NULL));
    let_pass(31000);
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_rollback(&tx));
}

static void test_connection_that_does_not_answer_is_replaced_and_ended(void **state)
{
    (void)state;
    fiber *asker;
    const uint64_t lost = count_of("pg_connections_lost_total");
    PLAY(CONNECTED, PREPARES, ANSWERS, MOCK_EXPECT("Q"), MOCK_LEAVE, CONNECTED, PREPARES, ANSWERS);
    open_pool(2, "");
    assert_ok(ask(NULL));
    let_pass(31000);
    assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, ask, NULL, &asker));
    let_pass(0);
    let_pass(200);
    assert_int_equal(pg_pool_stats_of(db).opening, 0); /* it may yet answer */
    let_pass(100);
    assert_ok(fiber_join(&asker));
    assert_int_equal(pg_pool_stats_of(db).open, 2);
    let_pass(5000);
    assert_int_equal(pg_pool_stats_of(db).open, 1);
    assert_int_equal(count_of("pg_connections_lost_total") - lost, 1);
}

/* --- the one that listens --------------------------------------------------------------------- */

#define LISTENS                                                              \
    MOCK_EXPECT("PDS"), MOCK_SEND(DESCRIBED MOCK_READY), MOCK_EXPECT("BES"), \
        MOCK_SEND("2\0\0\0\4C\0\0\0\13LISTEN\0" MOCK_READY)
#define TOLD      "A\0\0\0\23\0\0\0\1news\0hello\0"
#define HEARTBEAT MOCK_EXPECT("PDS"), MOCK_SEND(DESCRIBED MOCK_READY), MOCK_EXPECT("BES")
#define DESCRIBED "1\0\0\0\4t\0\0\0\6\0\0n\0\0\0\4"

/* A listener on a fiber of its own, which notes what it hears. */
typedef struct hearer {
    uint32_t gaps, told;
} hearer;

static error hear(void *arg)
{
    hearer *h = arg;
    pg_listener *l;
    pg_notification n;
    TRY(pg_listen(db, STR("news"), &l));
    for (;;) {
        TRY(pg_listener_next(l, &n));
        h->gaps += n.gap;
        h->told += !n.gap;
    }
}

static fiber *start_to_hear(hearer *h)
{
    fiber *f;
    assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, hear, h, &f));
    await(pg_pool_stats_of(db).leased == 1);
    return f;
}

static void stop_hearing(fiber **f)
{
    fiber_cancel(*f, &CANCELED);
    assert_fails(CANCELED, fiber_join(f));
}

/* It is asked now and then, and stays. */
static void test_listener_of_a_quiet_server_stays(void **state)
{
    (void)state;
    hearer h = { 0 };
    PLAY(CONNECTED, LISTENS, MOCK_SEND(TOLD), HEARTBEAT,
         MOCK_SEND("2\0\0\0\4C\0\0\0\15SELECT 1\0" MOCK_READY TOLD), MOCK_EXPECT("BES"),
         MOCK_SEND("2\0\0\0\4C\0\0\0\15SELECT 1\0" MOCK_READY TOLD));
    open_pool(2, "");
    fiber *f = start_to_hear(&h);
    await(h.told == 1);
    for (uint32_t i = 0; i < 2; i++) {
        let_pass(30000);
        await(h.told == 2 + i); /* the answer came, and what was told behind it */
        for (int k = 0; k < 50; k++)
            assert_ok(fiber_yield());
    }
    assert_int_equal(h.gaps, 0);
    stop_hearing(&f);
}

/* A connection that is cut off without a word is noticed by that, and what was missed is told. */
static void test_listener_that_was_cut_off_is_told_of_the_gap(void **state)
{
    (void)state;
    hearer h = { 0 };
    PLAY(CONNECTED, LISTENS, MOCK_SEND(TOLD), MOCK_EXPECT("PDS"), MOCK_LEAVE, CONNECTED, LISTENS,
         MOCK_SEND(TOLD));
    open_pool(2, "");
    fiber *f = start_to_hear(&h);
    await(h.told == 1);
    const uint64_t lost = count_of("pg_connections_lost_total");
    let_pass(30000); /* it is asked */
    let_pass(10000); /* and says nothing */
    await(count_of("pg_connections_lost_total") > lost);
    for (int i = 0; i < 200 && h.told < 2; i++) /* and opened anew, in its time */
        let_pass(100);
    await(h.told == 2);
    assert_int_equal(h.gaps, 1);
    stop_hearing(&f);
}

/* --- servers that change ---------------------------------------------------------------------- */

static void test_primary_that_becomes_a_standby_is_left_for_another_host(void **state)
{
    (void)state;
    const uint64_t retired = count_retired();
    PLAY(IS_KIND(PRIMARY), PREPARES, ANSWERS, MOCK_SEND(STANDBY_ON), LEFT, IS_KIND(STANDBY));
    PLAY(IS_KIND(PRIMARY), PREPARES, ANSWERS);
    open_pool(1, "target_session_attrs=read-write");
    assert_ok(ask(NULL));
    await(count_retired() > retired);
    assert_ok(ask(NULL));
}

static void test_server_that_begins_sessions_read_only_is_left_too(void **state)
{
    (void)state;
    const uint64_t retired = count_retired();
    PLAY(IS_KIND(PRIMARY), PREPARES, ANSWERS, MOCK_SEND(READ_ONLY_ON), LEFT);
    open_pool(1, "target_session_attrs=read-write");
    assert_ok(ask(NULL));
    await(count_retired() > retired);
    assert_int_equal(pg_pool_stats_of(db).open, 0);
}

#define SET_IN_TX                                                                             \
    IS_KIND(PRIMARY), PREPARES, ANSWERS, MOCK_EXPECT("PDS"), MOCK_SEND(DESCRIBED MOCK_READY), \
        MOCK_EXPECT("BEBES"), MOCK_SEND(BEGUN READ_ONLY_ON FOUND IN_TX), MOCK_EXPECT("PDS"),  \
        MOCK_SEND(DESCRIBED IN_TX), MOCK_EXPECT("BES"), MOCK_SEND(ROLLED MOCK_READY),         \
        MOCK_EXPECT("Q")
#define IN_TX  "Z\0\0\0\5T"
#define FOUND  "2\0\0\0\4D\0\0\0\22\0\1\0\0\0\10\0\0\0\0\0\0\0\7C\0\0\0\15SELECT 1\0"
#define RESET_ "C\0\0\0\12RESET\0"

static error set_in_transaction(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(db, &tx));
    return pg_execute(tx, NULL, "select n");
}

/* What a transaction sets for its own session is not the server's: nothing else retires. */
static void test_setting_of_one_transaction_leaves_no_host(void **state)
{
    (void)state;
    const uint64_t retired = count_retired();
    PLAY(SET_IN_TX, MOCK_SEND(READ_ONLY_OFF RESET_ MOCK_READY), ANSWERS);
    open_pool(1, "target_session_attrs=read-write");
    assert_ok(ask(NULL));
    assert_ok(scope_call(&(scope_options){ 0 }, set_in_transaction, NULL));
    assert_ok(ask(NULL));
    assert_int_equal(count_retired(), retired);
}

/* What is still so when that was taken back, is the server's. */
static void test_server_that_changes_under_a_transaction_is_left_after_it(void **state)
{
    (void)state;
    const uint64_t retired = count_retired();
    PLAY(SET_IN_TX, MOCK_SEND(RESET_ MOCK_READY), LEFT);
    open_pool(1, "target_session_attrs=read-write");
    assert_ok(ask(NULL));
    assert_ok(scope_call(&(scope_options){ 0 }, set_in_transaction, NULL));
    await(count_retired() > retired);
    assert_int_equal(pg_pool_stats_of(db).open, 0);
}

static void test_standby_that_becomes_a_primary_is_kept_when_any_will_do(void **state)
{
    (void)state;
    PLAY(IS_KIND(STANDBY), PREPARES, ANSWERS, MOCK_SEND(STANDBY_OFF), ANSWERS);
    open_pool(1, "target_session_attrs=any");
    assert_ok(ask(NULL));
    assert_ok(ask(NULL));
}

static void test_refused_write_ends_the_connection_after_its_statement(void **state)
{
    (void)state;
    PLAY(CONNECTED, PREPARES, ANSWERS, MOCK_EXPECT("BES"), MOCK_SEND(REFUSED MOCK_READY), LEFT,
         CONNECTED, PREPARES, ANSWERS);
    open_pool(1, "");
    assert_ok(ask(NULL));
    let_pass(11000);
    assert_fails(PG_READ_ONLY, ask(NULL));
    assert_ok(ask(NULL));
}

static void test_refused_write_on_a_new_connection_is_no_news(void **state)
{
    (void)state;
    PLAY(CONNECTED, PREPARES, MOCK_EXPECT("BES"), MOCK_SEND(REFUSED MOCK_READY), ANSWERS);
    open_pool(1, "");
    assert_fails(PG_READ_ONLY, ask(NULL));
    assert_ok(ask(NULL));
}

static void test_refused_write_of_a_server_that_says_it_writes_is_no_news(void **state)
{
    (void)state;
    PLAY(IS_KIND(PRIMARY), PREPARES, ANSWERS, MOCK_EXPECT("BES"), MOCK_SEND(REFUSED MOCK_READY),
         ANSWERS);
    open_pool(1, "");
    assert_ok(ask(NULL));
    let_pass(11000);
    assert_fails(PG_READ_ONLY, ask(NULL));
    assert_ok(ask(NULL));
}

static error write_in_read_only(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin_with(db, &(pg_tx_options){ .read_only = true }, &tx));
    return pg_execute(tx, NULL, "select n");
}

static void test_refused_write_of_a_read_only_transaction_is_no_news(void **state)
{
    (void)state;
    PLAY(CONNECTED, PREPARES, ANSWERS, MOCK_EXPECT("PDS"),
         MOCK_SEND("1\0\0\0\4t\0\0\0\6\0\0n\0\0\0\4" MOCK_READY), MOCK_EXPECT("BEBES"),
         MOCK_SEND(BEGUN REFUSED "Z\0\0\0\5E"), MOCK_EXPECT("PDS"),
         MOCK_SEND("1\0\0\0\4t\0\0\0\6\0\0n\0\0\0\4"
                   "Z\0\0\0\5E"),
         MOCK_EXPECT("BES"), MOCK_SEND(ROLLED MOCK_READY), ANSWERS);
    open_pool(1, "");
    assert_ok(ask(NULL));
    let_pass(11000);
    assert_fails(PG_READ_ONLY, scope_call(&(scope_options){ 0 }, write_in_read_only, NULL));
    assert_ok(ask(NULL));
}

static void test_server_that_shuts_down_gets_nothing_new(void **state)
{
    (void)state;
    PLAY(CONNECTED, PREPARES, ANSWERS, MOCK_SEND(SHUTDOWN), MOCK_LEAVE, CONNECTED, PREPARES,
         ANSWERS);
    open_pool(2, "");
    assert_ok(ask(NULL));
    await(pg_pool_stats_of(db).open == 0 || pg_pool_stats_of(db).opening > 0);
    assert_ok(ask(NULL));
}

static int run(void)
{
#define WITH_SERVERS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_SERVERS(test_connection_that_the_server_has_closed_is_not_given_out),
        WITH_SERVERS(test_connection_idle_for_long_is_asked_first),
        WITH_SERVERS(test_connection_idle_for_long_is_asked_before_a_transaction),
        WITH_SERVERS(test_connection_that_does_not_answer_is_replaced_and_ended),
        WITH_SERVERS(test_listener_of_a_quiet_server_stays),
        WITH_SERVERS(test_listener_that_was_cut_off_is_told_of_the_gap),
        WITH_SERVERS(test_primary_that_becomes_a_standby_is_left_for_another_host),
        WITH_SERVERS(test_server_that_begins_sessions_read_only_is_left_too),
        WITH_SERVERS(test_setting_of_one_transaction_leaves_no_host),
        WITH_SERVERS(test_server_that_changes_under_a_transaction_is_left_after_it),
        WITH_SERVERS(test_standby_that_becomes_a_primary_is_kept_when_any_will_do),
        WITH_SERVERS(test_refused_write_ends_the_connection_after_its_statement),
        WITH_SERVERS(test_refused_write_on_a_new_connection_is_no_news),
        WITH_SERVERS(test_refused_write_of_a_server_that_says_it_writes_is_no_news),
        WITH_SERVERS(test_refused_write_of_a_read_only_transaction_is_no_news),
        WITH_SERVERS(test_server_that_shuts_down_gets_nothing_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    clock_fake_begin(-1);
    return run_in_fiber(run);
}
