/* The client behind a network that holds bytes up, cuts them into pieces of any size, lets few or
 * none through, changes some, or breaks off. Meanwhile answers are the askers' own or errors of the
 * connection; afterwards all is as before, without anybody's help. */
#include "core/scope.h"
#include "tests/support/chaos_proxy.h"
#include "tests/support/database.h"

#define ASKERS 6
#define ROUNDS 15

static chaos_proxy proxy;
static pg_pool *db;
static uint32_t wrong, answered, lost;
static bool may_be_changed; /* by a byte on its way: that cannot be seen from here */

static error ask_own(int64_t own)
{
    pg_rows rows;
    TRY(pg_query(db, &rows, "select $1, repeat('x', 300) from generate_series(1, 20)", own));
    bool good = rows.count == 20;
    for (size_t i = 0; i < rows.count && good; i++) {
        int64_t found = -1;
        good = !pg_get(&rows, i, 0, &found).kind && found == own;
    }
    answered++;
    wrong += !good && !may_be_changed;
    return OK;
}

static error write_both(void *arg)
{
    const int64_t *own = arg;
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into proxy_test values ($1)", *own));
    TRY(pg_execute(tx, NULL, "insert into proxy_test values ($1)", *own));
    return pg_commit(&tx);
}

static error one_round(void *arg)
{
    const int64_t *own = arg;
    return *own % 3 ? ask_own(*own) : write_both(arg);
}

static error ask_often(void *arg)
{
    int64_t own = 1000 * *(const int64_t *)arg;
    for (int i = 0; i < ROUNDS; i++) {
        own++;
        const error e = scope_call(&(scope_options){ .deadline_ms = 600 }, one_round, &own);
        lost += e.kind != NULL;
        if (e.kind && error_class_of(e) != ERROR_UNAVAILABLE &&
            error_class_of(e) != ERROR_TIMED_OUT && !may_be_changed &&
            !error_is(e, &PG_PROTOCOL_VIOLATION))
            return e;
        TRY(e.kind ? fiber_sleep(10) : OK);
    }
    return OK;
}

static void ask_all(void)
{
    fiber *fibers[ASKERS];
    int64_t names[ASKERS];
    for (int i = 0; i < ASKERS; i++) {
        names[i] = i + 1;
        assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, ask_often,
                              &names[i], &fibers[i]));
    }
    for (int i = 0; i < ASKERS; i++)
        assert_ok(fiber_join(&fibers[i]));
}

/* By itself, and soon: the pool pauses for 2 s at most between attempts. */
static void assert_recovers(const char *name)
{
    error e = ask_own(0);
    for (int tries = 0; tries < 200 && e.kind; tries++) {
        assert_ok(fiber_sleep(50));
        e = scope_call(&(scope_options){ .deadline_ms = 2000 }, one_round, &(int64_t){ 1 });
    }
    if (e.kind)
        fail_msg("%s: %s", name, e.kind->name);
    const pg_pool_stats stats = pg_pool_stats_of(db);
    assert_int_equal(stats.leased, 0);
    assert_int_equal(stats.waiting, 0);
}

/* Whatever became of a transaction: both of its rows are there, or none. */
static void assert_whole(void)
{
    pg_rows rows;
    int64_t halves = -1;
    assert_ok(pg_query(db, &rows,
                       "select count(*) from (select n from proxy_test group by n having "
                       "count(*) % 2 <> 0) halves"));
    assert_ok(pg_get(&rows, 0, 0, &halves));
    assert_int_equal(halves, 0);
}

static void test_proxy_faults_are_errors_or_delays_and_pass(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        chaos_faults faults;
        bool harmless; /* slow, but all comes */
    } rows[] = {
        { "delay", { .delay_ms = 4 }, true },
        { "small pieces", { .piece_bytes = 61 }, false },
        { "pieces and delay", { .piece_bytes = 2000, .delay_ms = 2 }, true },
        { "little bandwidth", { .piece_bytes = 400 }, false },
        { "stall", { .stalls = true }, false },
        { "cuts", { .cut_one_in = 12 }, false },
        { "changed bits", { .corrupt_one_in = 12 }, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        lost = 0;
        may_be_changed = rows[i].faults.corrupt_one_in > 0;
        proxy.faults = rows[i].faults;
        ask_all();
        proxy.faults = (chaos_faults){ 0 };
        if (may_be_changed)
            chaos_proxy_break(&proxy); /* a length that was changed is waited for */
        assert_recovers(rows[i].name);
        if (!may_be_changed)
            assert_whole();
        may_be_changed = false;
        if (wrong > 0 || (rows[i].harmless && lost > 0))
            fail_msg("%s: %u answers of others, %u lost", rows[i].name, wrong, lost);
        print_message("%s: %u answered so far, %u lost\n", rows[i].name, answered, lost);
    }
    assert_true(proxy.cut > 0 && proxy.corrupted > 0);
}

/* --- life ------------------------------------------------------------------------------------- */

/* "…@127.0.0.1:PORT/…" */
static int open_all(void **state)
{
    (void)state;
    const char *url = getenv("DATABASE_URL_TCP");
    const char *at = url ? strstr(url, "@127.0.0.1:") : NULL;
    char text[64], conninfo[512];
    address server;
    assert_non_null(at);
    const size_t digits = strspn(at + 11, "0123456789");
    (void)snprintf(text, sizeof text, "127.0.0.1:%.*s", (int)digits, at + 11);
    assert_true(address_parse(str_from_c(text), &server));
    chaos_proxy_open(&proxy, &server);
    (void)snprintf(conninfo, sizeof conninfo, "%.*s@127.0.0.1:%u%s?sslmode=disable",
                   (int)(at - url), url, proxy.port, at + 11 + digits);
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(conninfo), .connections_max = 3 }, &db));
    assert_ok(pg_execute(db, NULL, "drop table if exists proxy_test"));
    assert_ok(pg_execute(db, NULL, "create table proxy_test (n bigint)"));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "drop table proxy_test"));
    pg_pool_close(&db);
    chaos_proxy_close(&proxy);
    return 0;
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proxy_faults_are_errors_or_delays_and_pass),
    };
    return cmocka_run_group_tests_name("pg proxy", tests, open_all, close_all);
}

int main(void)
{
    return run_with_database(run);
}
