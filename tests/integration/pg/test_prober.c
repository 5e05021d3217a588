/* Several hosts that are looked at: a primary, its standby, and a proxy that makes the way to the
 * primary long. Which of them is used, and when that changes. */
#include "pool.h"

#include "core/clock.h"
#include "tests/support/chaos_proxy.h"
#include "tests/support/database.h"
#include "tests/support/own_postgres.h"

#define WAIT_MS  60000 /* a hang, and not a time that is measured */
#define DELAY_MS 100   /* of the long way */

static own_postgres primary, standby;
static pg_pool *on_primary, *on_standby;

#define await(condition_)                                                 \
    for (const uint64_t end_ms_ = clock_ms() + WAIT_MS; !(condition_);) { \
        assert_true(clock_ms() < end_ms_);                                \
        assert_ok(fiber_sleep(5));                                        \
    }

static void read_line(const own_postgres *pg, const char *name, char *out, size_t bytes)
{
    char path[768], home[256];
    FILE *f;
    (void)snprintf(path, sizeof path, "%s/home", pg->dir);
    assert_non_null(f = fopen(path, "re"));
    assert_non_null(fgets(home, sizeof home, f));
    (void)fclose(f);
    (void)snprintf(path, sizeof path, "%.*s/%s", (int)strcspn(home, "\n"), home, name);
    assert_non_null(f = fopen(path, "re"));
    assert_non_null(fgets(out, (int)bytes, f));
    (void)fclose(f);
    out[strcspn(out, "\n")] = '\0';
}

/* The standby first, where that is what is asked for. */
static str hosts_of(bool standby_first, const char *more)
{
    const own_postgres *const servers[] = { standby_first ? &standby : &primary,
                                            standby_first ? &primary : &standby };
    char socket[2][256], port[2][16], password[128];
    for (int i = 0; i < 2; i++) {
        read_line(servers[i], "socket_dir", socket[i], sizeof socket[i]);
        read_line(servers[i], "port", port[i], sizeof port[i]);
    }
    read_line(&primary, "password", password, sizeof password);
    return str_format(fiber_arena(), "host=%s,%s port=%s,%s user=brio dbname=brio password=%s %s",
                      socket[0], socket[1], port[0], port[1], password, more);
}

static pg_pool *open_on(str conninfo, const char *lag_max)
{
    pg_pool *db;
    assert_int_equal(setenv("PG_HOSTS_INTERVAL", "50ms", 1), 0);
    assert_int_equal(setenv("PG_REPLICA_LAG_MAX", lag_max, 1), 0);
    assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = conninfo, .connections_max = 2 }, &db));
    assert_int_equal(unsetenv("PG_HOSTS_INTERVAL"), 0);
    assert_int_equal(unsetenv("PG_REPLICA_LAG_MAX"), 0);
    return db;
}

typedef struct answer {
    bool there, standby;
} answer;

static answer ask(pg_target on)
{
    pg_rows rows;
    answer a = { 0 };
    if (pg_query(on, &rows, "select pg_is_in_recovery()").kind)
        return a;
    assert_ok(pg_get(&rows, 0, 0, &a.standby));
    a.there = true;
    return a;
}

static bool is_on_standby(pg_target on)
{
    const answer a = ask(on);
    return a.there && a.standby;
}

static bool is_on_primary(pg_target on)
{
    const answer a = ask(on);
    return a.there && !a.standby;
}

/* The standby falls behind, and stays there. */
static void pause_replay(void)
{
    assert_ok(pg_execute(on_standby, NULL, "select pg_wal_replay_pause()"));
    assert_ok(pg_execute(on_primary, NULL, "create table if not exists news (n int)"));
    assert_ok(pg_execute(on_primary, NULL, "insert into news values (1)"));
}

static void resume_replay(void)
{
    assert_ok(pg_execute(on_standby, NULL, "select pg_wal_replay_resume()"));
}

/* --- order ------------------------------------------------------------------------------------ */

static void assert_ranked(const pg_pool *pool, uint32_t first, uint32_t second, uint32_t third,
                          uint32_t fourth)
{
    uint32_t order[] = { 0, 1, 2, 3 };
    pg_prober_rank(pool, order, 4);
    assert_int_equal(order[0], first);
    assert_int_equal(order[1], second);
    assert_int_equal(order[2], third);
    assert_int_equal(order[3], fourth);
}

static void test_prober_ranks_by_what_was_seen(void **state)
{
    (void)state;
    static const pg_host hosts[4];
    static pg_pool pool;
    const uint64_t now = loop_now_ms(loop_self());
    pool.loop = loop_self();
    pool.info.hosts = hosts;
    pool.info.host_count = 4;
    assert_ranked(&pool, 0, 1, 2, 3); /* it does not look */
    pool.prober.interval_ms = 1000;
    pool.prober.lag_ms_max = 500;
    assert_ranked(&pool, 0, 1, 2, 3); /* nor has it yet */
    pool.prober.views[0] = (pg_host_view){ .at_ms = now };
    pool.prober.views[1] = (pg_host_view){ now, true, true, 501, 10 };
    pool.prober.views[2] = (pg_host_view){ now, true, true, 500, 400 };
    pool.prober.views[3] = (pg_host_view){ now, true, false, 0, 300 };
    assert_ranked(&pool, 2, 3, 1, 0);
    pool.info.least_latency = true;
    assert_ranked(&pool, 3, 2, 1, 0);
    pool.info.session_attrs = PG_SESSION_PREFER_STANDBY;
    assert_ranked(&pool, 2, 3, 1, 0);
    pool.info.session_attrs = PG_SESSION_STANDBY;
    assert_ranked(&pool, 2, 1, 0, 3); /* the primary is of no use */
    pool.info.session_attrs = PG_SESSION_READ_WRITE;
    assert_ranked(&pool, 3, 0, 1, 2);
    pool.prober.lag_ms_max = 0;
    pool.info.session_attrs = PG_SESSION_ANY;
    assert_ranked(&pool, 1, 3, 2, 0);
    pool.prober.views[0].at_ms = pool.prober.views[1].at_ms = now - 3001; /* too long ago */
    assert_ranked(&pool, 0, 1, 3, 2);
}

/* --- lag -------------------------------------------------------------------------------------- */

static void test_prober_standby_that_lags_is_left_and_taken_again(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        pg_pool *db = open_on(hosts_of(first, "target_session_attrs=prefer-standby"), "300ms");
        await(is_on_standby(PG_TARGET(db)));
        await(is_on_standby(pg_read_only(db)));
        pause_replay();
        await(is_on_primary(PG_TARGET(db)));
        await(is_on_primary(pg_read_only(db)));
        resume_replay();
        await(is_on_standby(PG_TARGET(db)));
        await(is_on_standby(pg_read_only(db)));
        pg_pool_close(&db);
    }
}

/* What lags is better than nothing. */
static void test_prober_only_standby_is_used_however_far_behind(void **state)
{
    (void)state;
    pg_pool *db = open_on(hosts_of(false, "target_session_attrs=standby"), "300ms");
    await(is_on_standby(PG_TARGET(db)));
    pause_replay();
    await(pg_prober_class_of(db, 1) == PG_HOST_LAGS);
    for (uint64_t seen_ms = db->prober.views[1].at_ms; db->prober.views[1].at_ms == seen_ms;)
        assert_ok(fiber_sleep(5)); /* the round in which it was found is over */
    assert_true(is_on_standby(PG_TARGET(db)));
    resume_replay();
    pg_pool_close(&db);
    db = open_on(hosts_of(false, "target_session_attrs=standby"), "300ms");
    await(is_on_standby(PG_TARGET(db)));
    pg_pool_close(&db);
}

/* Nobody says that it is back but a look. */
static void test_prober_standby_that_is_back_is_taken_again(void **state)
{
    (void)state;
    pg_pool *db = open_on(hosts_of(false, "target_session_attrs=prefer-standby"), "0");
    await(is_on_standby(PG_TARGET(db)));
    own_postgres_do(&standby, "stop");
    await(is_on_primary(PG_TARGET(db)));
    own_postgres_do(&standby, "start");
    await(is_on_standby(PG_TARGET(db)));
    pg_pool_close(&db);
}

/* --- latency ---------------------------------------------------------------------------------- */

static void test_prober_host_that_answers_first_is_tried_first(void **state)
{
    (void)state;
    chaos_proxy proxy;
    address server;
    size_t count;
    char port[16], password[128];
    read_line(&primary, "port", port, sizeof port);
    read_line(&primary, "password", password, sizeof password);
    const uint16_t at = (uint16_t)strtoul(port, NULL, 10);
    assert_ok(address_resolve(STR("127.0.0.1"), at, &server, 1, &count));
    chaos_proxy_open(&proxy, &server);
    const str conninfo =
        str_format(fiber_arena(),
                   "host=127.0.0.1,127.0.0.1 port=%u,%u user=brio dbname=brio password=%s "
                   "sslmode=disable load_balance_hosts=least-latency",
                   proxy.port, at, password);
    pg_pool *db = open_on(conninfo, "0");
    pg_tx *txs[2];
    assert_ok(pg_begin(db, &txs[0]));
    assert_int_equal(txs[0]->conn->host - db->info.hosts, 0); /* nothing was known yet */
    proxy.faults = (chaos_faults){ .delay_ms = DELAY_MS };
    await(db->prober.views[0].latency_us > db->prober.views[1].latency_us &&
          db->prober.views[1].latency_us > 0);
    assert_true(db->prober.views[0].there && db->prober.views[1].there);
    assert_ok(pg_begin(db, &txs[1]));
    assert_int_equal(txs[1]->conn->host - db->info.hosts, 1);
    proxy.faults = (chaos_faults){ 0 };
    for (int i = 0; i < 2; i++)
        assert_ok(pg_rollback(&txs[i]));
    pg_pool_close(&db);
    chaos_proxy_close(&proxy);
}

/* --- bounds ----------------------------------------------------------------------------------- */

static void test_prober_looks_leave_nothing_behind(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 30; i++) {
        pg_pool *db = open_on(hosts_of(false, "target_session_attrs=prefer-standby"), "0");
        assert_ok(fiber_sleep(i));
        pg_pool_close(&db);
    }
    pg_pool *db = open_on(hosts_of(false, "target_session_attrs=prefer-standby "
                                          "application_name=looked"),
                          "0");
    await(is_on_standby(PG_TARGET(db)));
    for (int rounds = 0; rounds < 10; rounds++) {
        const uint64_t seen_ms = db->prober.views[0].at_ms;
        await(db->prober.views[0].at_ms != seen_ms);
    }
    assert_int_equal(pg_pool_stats_of(db).open, 1);
    assert_int_equal(pg_pool_stats_of(db).opening, 0);
    pg_pool_close(&db);
    pg_rows rows;
    int64_t left = -1;
    await((assert_ok(pg_query(on_primary, &rows,
                              "select count(*) from pg_stat_activity where application_name = "
                              "'looked'")),
           assert_ok(pg_get(&rows, 0, 0, &left)), left == 0));
}

/* Who works goes before who looks. */
static void test_prober_without_room_does_not_look(void **state)
{
    (void)state;
    pg_tx *tx;
    assert_int_equal(setenv("PG_CONNECTIONS_MAX", "1", 1), 0);
    pg_pool *db = open_on(hosts_of(true, "target_session_attrs=prefer-standby"), "0");
    assert_int_equal(unsetenv("PG_CONNECTIONS_MAX"), 0);
    await(!pg_begin(db, &tx).kind);
    const uint64_t seen_ms = db->prober.views[0].at_ms;
    assert_ok(fiber_sleep(300));
    assert_true(db->prober.views[0].at_ms == seen_ms);
    assert_ok(pg_rollback(&tx));
    pg_pool_close(&db);
    assert_int_equal(ledger_own(ledger_line_of("pg.held")), 0);
}

/* --- life ------------------------------------------------------------------------------------- */

static int open_servers(void **state)
{
    (void)state;
    (void)snprintf(primary.dir, sizeof primary.dir, "/tmp/brio-looked.%d", (int)getpid());
    (void)snprintf(standby.dir, sizeof standby.dir, "/tmp/brio-looked-2.%d", (int)getpid());
    own_postgres_do(&primary, "start");
    own_postgres_standby(&standby, &primary);
    const pg_pool_options options[] = {
        { .conninfo = str_from_c(primary.url), .connections_max = 1 },
        { .conninfo = str_from_c(standby.url), .connections_max = 1 },
    };
    assert_ok(pg_pool_open(&options[0], &on_primary));
    assert_ok(pg_pool_open(&options[1], &on_standby));
    return 0;
}

static int close_servers(void **state)
{
    (void)state;
    pg_pool_close(&on_primary);
    pg_pool_close(&on_standby);
    own_postgres_do(&standby, "remove");
    own_postgres_do(&primary, "remove");
    return 0;
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prober_ranks_by_what_was_seen),
        cmocka_unit_test(test_prober_standby_that_lags_is_left_and_taken_again),
        cmocka_unit_test(test_prober_only_standby_is_used_however_far_behind),
        cmocka_unit_test(test_prober_host_that_answers_first_is_tried_first),
        cmocka_unit_test(test_prober_looks_leave_nothing_behind),
        cmocka_unit_test(test_prober_without_room_does_not_look),
        cmocka_unit_test(test_prober_standby_that_is_back_is_taken_again),
    };
    return cmocka_run_group_tests(tests, open_servers, close_servers);
}

int main(void)
{
    if (!getenv("BRIO_TEST_PG")) {
        (void)fprintf(stderr, "skipped: BRIO_TEST_PG is not set\n");
        return EXIT_SKIPPED;
    }
    return run_in_fiber(run);
}
