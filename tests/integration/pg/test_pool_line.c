/* Those who wait for a connection: in which order they get one, and what those are told who do not.
 * The clock stands still and is moved by the test. */
#include "pool.h"

#include "core/clock.h"
#include "core/ledger.h"
#include "tests/support/database.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static pg_pool *db;

static void pass(uint32_t ms)
{
    for (uint32_t i = 0; i < ms; i++) {
        clock_fake_advance(1000);
        assert_ok(fiber_yield());
    }
    for (int i = 0; i < 3; i++)
        assert_ok(fiber_yield());
}

static void set(const char *name, const char *value)
{
    if (value)
        assert_int_equal(setenv(name, value, 1), 0);
    else
        assert_int_equal(unsetenv(name), 0);
}

/* A pool of which `connections` are open. */
static pg_pool *open_pool(uint32_t connections)
{
    pg_pool *pool;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = connections }, &pool));
    pg_tx *txs[8];
    assert_true(connections <= ARRAY_LEN(txs));
    for (uint32_t i = 0; i < connections; i++)
        assert_ok(pg_begin(pool, &txs[i]));
    for (uint32_t i = 0; i < connections; i++)
        assert_ok(pg_rollback(&txs[i]));
    assert_int_equal(pg_pool_stats_of(pool).idle, connections);
    return pool;
}

static fiber *start(const char *name, fiber_fn fn, void *arg, uint32_t deadline_ms)
{
    fiber *f;
    const fiber_options options = { .name = name, .joinable = true, .deadline_ms = deadline_ms };
    assert_ok(fiber_start(loop_self(), &options, fn, arg, &f));
    assert_ok(fiber_yield());
    return f;
}

/* Takes a connection and gives it back at once. */
static error take(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(db, &tx));
    return pg_rollback(&tx);
}

static void expect_text(error e, const char *const *words)
{
    char text[1024];
    error_describe(e, text, sizeof text);
    for (; *words; words++) {
        if (!strstr(text, *words))
            fail_msg("\"%s\" is not in: %s", *words, text);
    }
}

/* --- order ------------------------------------------------------------------------------------ */

#define COMERS 400

typedef struct comer {
    uint32_t sleeps_ms, holds_ms;
    pg_lane lane;
    fiber *fiber;
} comer;

static comer comers[COMERS];
static uint32_t place_next, place_served, waited, at_once, gave_up;
static uint64_t seed;

static uint32_t chance(uint32_t below)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % below;
}

/* Those who wait are served in the order in which they came, whatever they want; nobody is served
 * at once while somebody waits. */
static error come(void *arg)
{
    const comer *c = arg;
    pg_conn *conn;
    TRY(fiber_sleep(c->sleeps_ms));
    const uint32_t place = ++place_next, waiting = pg_pool_stats_of(db).waiting;
    const uint64_t acquired = db->line_counts.acquired;
    const uint64_t before = clock_us();
    const error e = pg_pool_acquire(db, c->lane, NULL, &conn);
    const bool had_to_wait = clock_us() != before || db->line_counts.acquired != acquired + 1;
    if (e.kind) {
        gave_up++;
        return e;
    }
    if (had_to_wait) {
        waited++;
        assert_true(place > place_served);
        place_served = place;
    } else {
        at_once++;
        assert_int_equal(waiting, 0);
    }
    const error slept = fiber_sleep(c->holds_ms);
    pg_pool_release(&conn, c->lane == PG_LANE_LEASED);
    return slept;
}

static void test_line_serves_in_order_of_arrival_whatever_is_wanted(void **state)
{
    (void)state;
    set("PG_QUEUE_TARGET", "0");
    db = open_pool(3);
    for (uint64_t run = 1; run <= 5; run++) {
        seed = run;
        place_next = place_served = waited = at_once = gave_up = 0;
        print_message("seed %u\n", (unsigned)seed);
        for (uint32_t i = 0; i < COMERS; i++) {
            comers[i] = (comer){ 1 + chance(600), chance(12),
                                 chance(3) == 0 ? PG_LANE_SHARED : PG_LANE_LEASED, NULL };
            const fiber_options options = { .joinable = true,
                                            .deadline_ms =
                                                chance(10) == 0 ? 300 + chance(300) : 0 };
            assert_ok(fiber_start(loop_self(), &options, come, &comers[i], &comers[i].fiber));
        }
        pass(3000);
        for (uint32_t i = 0; i < COMERS; i++) {
            const error e = fiber_join(&comers[i].fiber);
            assert_true(!e.kind || error_is(e, &TIMED_OUT));
        }
        assert_true(waited > 100 && at_once > 0 && gave_up > 0);
        assert_int_equal(pg_pool_stats_of(db).waiting, 0);
        assert_int_equal(pg_pool_stats_of(db).idle, 3);
    }
    pg_pool_close(&db);
    set("PG_QUEUE_TARGET", NULL);
}

/* --- bounds ----------------------------------------------------------------------------------- */

static void test_line_that_is_full_refuses_at_once(void **state)
{
    (void)state;
    fiber *waiting[3];
    pg_tx *held;
    set("PG_WAITING_MAX", "3");
    db = open_pool(1);
    assert_ok(pg_begin(db, &held));
    for (int i = 0; i < 3; i++)
        waiting[i] = start("waits", take, NULL, 0);
    fiber *late = start("late", take, NULL, 0);
    const error e = fiber_join(&late);
    assert_fails(PG_POOL_FULL, e);
    assert_int_equal(error_class_of(e), ERROR_UNAVAILABLE);
    expect_text(e, (const char *[]){ "1 connections open, 1 leased, 3 fibers wait", NULL });
    assert_int_equal(pg_pool_stats_of(db).waiting, 3);
    assert_int_equal(pg_pool_stats_of(db).refused, 1);
    assert_ok(pg_rollback(&held));
    for (int i = 0; i < 3; i++)
        assert_ok(fiber_join(&waiting[i]));
    late = start("late", take, NULL, 0);
    assert_ok(fiber_join(&late));
    pg_pool_close(&db);
    set("PG_WAITING_MAX", NULL);
}

static void test_line_that_is_overloaded_drops_who_waits_too_long(void **state)
{
    (void)state;
    pg_tx *held;
    db = open_pool(1);
    assert_ok(pg_begin(db, &held));
    pass(1000); /* a new interval, in which nobody is served */
    fiber *first = start("first", take, NULL, 0);
    pass(940);
    fiber *second = start("second", take, NULL, 0);
    pass(59);
    assert_int_equal(pg_pool_stats_of(db).waiting, 2);
    assert_int_equal(pg_pool_stats_of(db).longest_wait_ms, 999);
    pass(1);
    assert_int_equal(pg_pool_stats_of(db).waiting, 1); /* after PG_QUEUE_INTERVAL */
    error e = fiber_join(&first);
    assert_fails(PG_POOL_OVERLOADED, e);
    assert_int_equal(error_class_of(e), ERROR_UNAVAILABLE);
    expect_text(e, (const char *[]){ "dropped after 1000 ms", "less than 50", NULL });
    pass(40);
    assert_int_equal(pg_pool_stats_of(db).waiting, 1);
    pass(1);
    assert_fails(PG_POOL_OVERLOADED, fiber_join(&second)); /* over twice PG_QUEUE_TARGET */
    assert_int_equal(pg_pool_stats_of(db).shed, 2);

    fiber *third = start("third", take, NULL, 0);
    pass(50);
    assert_ok(pg_rollback(&held)); /* within the target: when the interval ends, all is well */
    assert_ok(fiber_join(&third));
    assert_ok(pg_begin(db, &held));
    fiber *fourth = start("fourth", take, NULL, 0);
    pass(90);
    assert_ok(pg_rollback(&held));
    assert_ok(fiber_join(&fourth));
    pass(1000);
    assert_ok(pg_begin(db, &held));
    fiber *fifth = start("fifth", take, NULL, 0);
    pass(900);
    assert_ok(pg_rollback(&held));
    assert_ok(fiber_join(&fifth));
    assert_int_equal(pg_pool_stats_of(db).shed, 2);
    pg_pool_close(&db);
}

/* A server that takes connections and says nothing. */
static void test_line_waits_for_the_first_connection_however_long_that_takes(void **state)
{
    (void)state;
    char conninfo[128];
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server >= 0);
    assert_int_equal(bind(server, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(server, 8), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(conninfo, sizeof conninfo,
                   "host=127.0.0.1 port=%u user=nobody connect_timeout=4", ntohs(at.sin_port));
    assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = str_from_c(conninfo) }, &db));
    fiber *waiting = start("waits", take, NULL, 0);
    pass(3900);
    assert_int_equal(pg_pool_stats_of(db).waiting, 1);
    for (int i = 0; i < 1000 && pg_pool_stats_of(db).waiting > 0; i++)
        pass(10);
    assert_fails(PG_CONNECT_FAILED, fiber_join(&waiting));
    assert_int_equal(pg_pool_stats_of(db).shed, 0);
    pg_pool_close(&db);
    close(server);
}

/* --- what is told ----------------------------------------------------------------------------- */

typedef struct report {
    const char *about;
    const bool *done;
    bool made;
} report;

static error make_report(void *arg)
{
    report *r = arg;
    pg_tx *tx;
    fiber_set_about(r->about);
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL,
                   "select  $1::text,\n"
                   "  'a text that goes on and on, longer than anybody would want to read'",
                   STR("s3cr3t")));
    r->made = true;
    while (!*r->done)
        TRY(fiber_sleep(1));
    return pg_commit(&tx);
}

static void test_line_timed_out_tells_who_has_the_connections(void **state)
{
    (void)state;
    bool done = false;
    const char *const abouts[] = { "GET /first", "GET /second", "GET /third", "GET /fourth" };
    report reports[4];
    fiber *making[4];
    set("PG_QUEUE_TARGET", "0");
    db = open_pool(4);
    for (int i = 0; i < 4; i++) {
        reports[i] = (report){ abouts[i], &done, false };
        making[i] = start("report", make_report, &reports[i], 0);
        while (!reports[i].made)
            assert_ok(fiber_yield());
        pass(100);
    }
    fiber *waiting = start("waits", take, NULL, 0);
    fiber *hasty = start("hasty", take, NULL, 200);
    pass(200);
    error e = fiber_join(&hasty);
    assert_fails(TIMED_OUT, e);
    expect_text(e, (const char *[]){ "4 connections open, 4 leased", "report GET /first", NULL });
    pass(4799);
    assert_int_equal(pg_pool_stats_of(db).waiting, 1);
    pass(1);
    e = fiber_join(&waiting);
    assert_fails(PG_POOL_TIMED_OUT, e);
    char text[1024];
    error_describe(e, text, sizeof text);
    const char *first = strstr(text, "report GET /first 5400 ms (test_pool_line.c:");
    const char *sql = strstr(text, "), select $1::text, 'a text that");
    const char *second = strstr(text, "report GET /second 5300 ms");
    const char *third = strstr(text, "report GET /third 5200 ms");
    if (!first || !sql || !second || !third || first > sql || sql > second || second > third)
        fail_msg("%s", text);
    assert_null(strstr(text, "/fourth"));
    assert_null(strstr(text, "s3cr3t"));
    assert_null(strstr(text, "would want"));
    assert_int_equal(pg_pool_stats_of(db).timed_out, 1);
    done = true;
    pass(2);
    for (int i = 0; i < 4; i++)
        assert_ok(fiber_join(&making[i]));
    pg_pool_close(&db);
    set("PG_QUEUE_TARGET", NULL);
}

static error sleep_there(void *arg)
{
    (void)arg;
    return pg_execute(db, NULL, "select pg_sleep(600)");
}

static void test_line_tells_of_a_statement_that_nobody_waits_for_any_more(void **state)
{
    (void)state;
    db = open_pool(1);
    fiber *gone = start("gone", sleep_there, NULL, 50);
    const pg_conn *c = CONTAINER_OF(db->conns.head.next, pg_conn, node);
    for (const pg_request *r = NULL; !r || r->kind != PG_REQUEST_QUERY; r = pg_request_oldest(c))
        assert_ok(fiber_yield());
    pass(51);
    assert_fails(TIMED_OUT, fiber_join(&gone));
    fiber *hasty = start("hasty", take, NULL, 20);
    pass(20);
    const error e = fiber_join(&hasty);
    assert_fails(TIMED_OUT, e);
    expect_text(
        e, (const char *[]){ "longest: a fiber that has gone 7", ", select pg_sleep(600)", NULL });
    assert_int_equal(pg_pool_stats_of(db).idle, 0);
    while (pg_pool_stats_of(db).idle == 0) { /* until the server was asked to stop it, and has */
        const uint64_t real_ms = clock_real_ms();
        pass(100);
        while (clock_real_ms() < real_ms + 20)
            assert_ok(fiber_yield());
    }
    pg_pool_close(&db);
}

static void test_line_would_wait_for_itself_tells_so(void **state)
{
    (void)state;
    pg_tx *one, *two;
    db = open_pool(1);
    assert_ok(pg_begin(db, &one));
    const error e = pg_begin(db, &two);
    assert_fails(PG_NESTED_ACQUIRE, e);
    expect_text(e, (const char *[]){ "would wait for itself", "1 leased", NULL });
    assert_ok(pg_rollback(&one));
    pg_pool_close(&db);
}

/* "test_pool_line.c:42" is where `line` is 42. */
#define HERE(text_, line_) (void)snprintf(text_, sizeof(text_), "(test_pool_line.c:%d)", line_)

/* The pool's own limit is far; that of all workers is not. */
static void test_line_would_wait_for_itself_at_the_ceiling_tells_so_at_once(void **state)
{
    (void)state;
    pg_tx *one, *two;
    char first[64], second[64];
    set("PG_CONNECTIONS_MAX", "1");
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 8 }, &db));
    HERE(first, __LINE__ + 1);
    assert_ok(pg_begin(db, &one));
    HERE(second, __LINE__ + 1);
    const error e = pg_begin(db, &two);
    assert_fails(PG_NESTED_ACQUIRE, e);
    expect_text(e, (const char *[]){ first, second, "PG_CONNECTIONS_MAX, 1", NULL });
    HERE(second, __LINE__ + 1);
    const error f = pg_execute(db, NULL, "select 1");
    assert_fails(PG_NESTED_ACQUIRE, f);
    expect_text(f, (const char *[]){ first, second, NULL });
    assert_fails(PG_NESTED_ACQUIRE, pg_execute(pg_read_only(db), NULL, "select 1"));
    assert_ok(pg_rollback(&one));
    pass(100);
    assert_ok(pg_begin(db, &one)); /* as ever */
    assert_ok(pg_rollback(&one));
    pg_pool_close(&db);
    set("PG_CONNECTIONS_MAX", NULL);
}

static error ask_outside(pg_tx *tx, void *arg)
{
    TRY(pg_execute(tx, NULL, "select 1"));
    *(int *)arg = __LINE__ + 1;
    return pg_execute(db, NULL, "select 1");
}

/* The most frequent mistake: the pool is asked in a function that has a transaction. */
static void test_line_would_wait_for_itself_in_a_function_tells_both_places(void **state)
{
    (void)state;
    char first[64], second[64];
    int line;
    db = open_pool(1);
    HERE(first, __LINE__ + 1);
    const error e = pg_transaction(db, NULL, ask_outside, &line);
    assert_fails(PG_NESTED_ACQUIRE, e);
    HERE(second, line);
    expect_text(e, (const char *[]){ first, second, NULL });
    pg_pool_close(&db);
}

static error take_two(void *arg)
{
    pg_tx *one, *two;
    (void)arg;
    TRY(pg_begin(db, &one));
    TRY(pg_begin(db, &two));
    TRY(pg_rollback(&two));
    return pg_rollback(&one);
}

/* What the other lane has comes free. */
static void test_line_at_the_ceiling_waits_for_the_other_lane(void **state)
{
    (void)state;
    set("PG_CONNECTIONS_MAX", "2");
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 8 }, &db));
    assert_ok(pg_execute(db, NULL, "select 1"));
    assert_ok(pg_execute(pg_read_only(db), NULL, "select 1"));
    fiber *f = start("two", take_two, NULL, 0);
    for (int i = 0; i < 100000 && pg_pool_stats_of(db).acquired < 4; i++) {
        const uint64_t real_ms = clock_real_ms();
        pass(1);
        while (clock_real_ms() < real_ms + 1)
            assert_ok(fiber_yield());
    }
    assert_ok(fiber_join(&f));
    pg_pool_close(&db);
    set("PG_CONNECTIONS_MAX", NULL);
}

/* Of many workers each waits a moment, unless it is asked. */
static void test_line_of_one_of_many_workers_opens_its_first_later(void **state)
{
    (void)state;
    assert_ok(ledger_open(8));
    ledger_use_slot(3);
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 2 }, &db));
    assert_int_equal(pg_pool_stats_of(db).opening, 0);
    pass(80);
    assert_int_equal(pg_pool_stats_of(db).opening + pg_pool_stats_of(db).open, 1);
    pg_pool_close(&db);
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 2 }, &db));
    assert_ok(pg_execute(db, NULL, "select 1"));
    assert_int_equal(pg_pool_stats_of(db).open, 1);
    pass(80);
    assert_int_equal(pg_pool_stats_of(db).opening + pg_pool_stats_of(db).open, 1);
    pg_pool_close(&db);
    ledger_close();
}

static void test_line_counts_what_happened(void **state)
{
    (void)state;
    pg_tx *held;
    db = open_pool(2);
    const uint64_t waits = metrics_total(&PG_METRICS, PG_METRIC_ACQUIRE_WAIT);
    pg_pool_stats stats = pg_pool_stats_of(db);
    const uint64_t acquired = stats.acquired;
    assert_int_equal(stats.open, 2);
    assert_int_equal(stats.open_max, 2);
    assert_int_equal(stats.idle, 2);
    assert_ok(pg_begin(db, &held));
    stats = pg_pool_stats_of(db);
    assert_int_equal(stats.idle, 1);
    assert_int_equal(stats.leased, 1);
    assert_int_equal(stats.acquired, acquired + 1);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.longest_wait_ms, 0);
    assert_int_equal(metrics_total(&PG_METRICS, PG_METRIC_ACQUIRE_WAIT), waits + 1);
    assert_ok(pg_rollback(&held));
    pg_pool_close(&db);
}

static void assert_metrics(const char *const *names, const uint64_t *values)
{
    for (; *names; names++, values++) {
        uint32_t i = 0;
        while (i < PG_METRICS.count && strcmp(PG_METRICS.items[i].name, *names) != 0)
            i++;
        assert_in_range(i, 0, PG_METRICS.count - 1);
        if (metrics_total(&PG_METRICS, i) != *values)
            fail_msg("%s is %llu, not %llu", *names,
                     (unsigned long long)metrics_total(&PG_METRICS, i),
                     (unsigned long long)*values);
    }
}

static const char *const GAUGES[] = { "pg_connections",
                                      "pg_connections_idle",
                                      "pg_connections_max",
                                      "pg_connections_opening",
                                      "pg_transactions",
                                      "pg_waiting",
                                      NULL };

#define assert_gauges(...) assert_metrics(GAUGES, (const uint64_t[]){ __VA_ARGS__ })

/* The tests before this one have left no trace in what counts the present. */
static void test_line_is_in_the_metrics(void **state)
{
    (void)state;
    static const char *const COUNTERS[] = { "pg_acquire_timeouts_total", "pg_acquire_shed_total",
                                            "pg_acquire_refused_total", NULL };
    const uint64_t before[] = { metrics_total(&PG_METRICS, PG_METRIC_ACQUIRE_TIMEOUTS),
                                metrics_total(&PG_METRICS, PG_METRIC_ACQUIRE_SHED),
                                metrics_total(&PG_METRICS, PG_METRIC_ACQUIRE_REFUSED) };
    pg_tx *held;
    assert_gauges(0, 0, 0, 0, 0, 0);
    set("PG_QUEUE_TARGET", "0");
    set("PG_WAITING_MAX", "1");
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 3 }, &db));
    assert_gauges(0, 0, 3, 1, 0, 0);
    pg_pool_close(&db);
    assert_gauges(0, 0, 0, 0, 0, 0);
    db = open_pool(1);
    assert_gauges(1, 1, 1, 0, 0, 0);
    assert_ok(pg_begin(db, &held));
    assert_gauges(1, 0, 1, 0, 1, 0);
    fiber *waiting = start("waits", take, NULL, 0), *late = start("late", take, NULL, 0);
    assert_gauges(1, 0, 1, 0, 1, 1);
    assert_fails(PG_POOL_FULL, fiber_join(&late));
    assert_metrics(COUNTERS, (const uint64_t[]){ before[0], before[1], before[2] + 1 });
    pass(5000);
    assert_fails(PG_POOL_TIMED_OUT, fiber_join(&waiting));
    assert_metrics(COUNTERS, (const uint64_t[]){ before[0] + 1, before[1], before[2] + 1 });
    assert_ok(pg_rollback(&held));
    assert_gauges(1, 1, 1, 0, 0, 0);
    pg_pool_close(&db);
    assert_gauges(0, 0, 0, 0, 0, 0);

    set("PG_QUEUE_TARGET", "50");
    db = open_pool(1);
    assert_ok(pg_begin(db, &held));
    pass(1000);
    waiting = start("waits", take, NULL, 0);
    pass(1000);
    assert_fails(PG_POOL_OVERLOADED, fiber_join(&waiting));
    assert_metrics(COUNTERS, (const uint64_t[]){ before[0] + 1, before[1] + 1, before[2] + 1 });
    assert_ok(pg_rollback(&held));
    pg_pool_close(&db);
    set("PG_QUEUE_TARGET", NULL);
    set("PG_WAITING_MAX", NULL);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_serves_in_order_of_arrival_whatever_is_wanted),
        cmocka_unit_test(test_line_that_is_full_refuses_at_once),
        cmocka_unit_test(test_line_that_is_overloaded_drops_who_waits_too_long),
        cmocka_unit_test(test_line_waits_for_the_first_connection_however_long_that_takes),
        cmocka_unit_test(test_line_timed_out_tells_who_has_the_connections),
        cmocka_unit_test(test_line_tells_of_a_statement_that_nobody_waits_for_any_more),
        cmocka_unit_test(test_line_would_wait_for_itself_tells_so),
        cmocka_unit_test(test_line_would_wait_for_itself_at_the_ceiling_tells_so_at_once),
        cmocka_unit_test(test_line_would_wait_for_itself_in_a_function_tells_both_places),
        cmocka_unit_test(test_line_at_the_ceiling_waits_for_the_other_lane),
        cmocka_unit_test(test_line_of_one_of_many_workers_opens_its_first_later),
        cmocka_unit_test(test_line_counts_what_happened),
        cmocka_unit_test(test_line_is_in_the_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    clock_fake_begin(-1);
    return run_with_database(run);
}
