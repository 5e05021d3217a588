/* The client behind each fault that a network has, in both directions and in one, in clear and over
 * TLS, while connections are made and while they are used. What must hold in each case: answers are
 * their askers' own, errors say that a connection was lost or was too slow, transactions are whole,
 * and when the fault has passed all is as before, without anybody's help. Where there is TLS also a
 * changed bit is such an error; in clear nobody could know. */
#include "core/scope.h"
#include "tests/support/chaos_proxy.h"
#include "tests/support/database.h"
#include "tests/support/secure_postgres.h"

#define ASKERS      5
#define ROUNDS      3
#define DEADLINE_MS 250
#define PATIENT_MS  60000
#define CONNECTIONS 3

static own_postgres server;
static chaos_proxy proxy;
static pg_pool *db;
static bool secured;
static uint32_t answered, lost;

static ERROR_KIND(WRONG_ROW, ERROR_INTERNAL, "A row of another.");

typedef struct gate {
    const char *name;
    chaos_faults faults;
    bool anew;     /* connections are made under it: all that were there break first */
    bool harmless; /* slow, but all comes */
    bool patient;  /* it takes long */
} gate;

/* --- work ------------------------------------------------------------------------------------- */

static error ask_own(int64_t own)
{
    pg_rows rows;
    TRY(pg_query(db, &rows, "select $1, repeat('x', 30) from generate_series(1, 5)", own));
    bool good = rows.count == 5;
    for (size_t i = 0; i < rows.count && good; i++) {
        int64_t found = -1;
        good = !pg_get(&rows, i, 0, &found).kind && found == own;
    }
    answered++;
    return good ? OK : error_set(&WRONG_ROW, "%lld got another's", (long long)own);
}

static error write_both(int64_t own)
{
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into gates values ($1)", own));
    TRY(pg_execute(tx, NULL, "insert into gates values ($1)", own));
    return pg_commit(&tx);
}

static error copy_both(int64_t own)
{
    pg_copy *c;
    TRY(pg_copy_in(db, &c, "copy gates from stdin (format binary)"));
    TRY(pg_copy_row(c, own));
    TRY(pg_copy_row(c, own));
    return pg_copy_finish(&c, NULL);
}

static error one_round(void *arg)
{
    const int64_t *own = arg;
    switch (*own % 4) {
    case 0:
        return write_both(*own);
    case 1:
        return copy_both(*own);
    default:
        return ask_own(*own);
    }
}

/* What a lost or slow connection is called. */
static bool is_expected(error e)
{
    return error_class_of(e) == ERROR_UNAVAILABLE || error_class_of(e) == ERROR_TIMED_OUT ||
           error_is(e, &PG_PROTOCOL_VIOLATION) || error_is(e, &PG_COMMIT_UNKNOWN);
}

static error ask_often(void *arg)
{
    static int64_t name;
    const gate *g = arg;
    const uint32_t ms = g->patient ? PATIENT_MS : DEADLINE_MS;
    for (int i = 0; i < (g->patient ? 1 : ROUNDS); i++) {
        int64_t own = ++name;
        const error e = scope_call(&(scope_options){ .deadline_ms = ms }, one_round, &own);
        lost += e.kind != NULL;
        if (e.kind && !is_expected(e))
            return e;
        TRY(e.kind ? fiber_sleep(10) : OK);
    }
    return OK;
}

static void ask_all(const gate *g, const char *name)
{
    gate copy = *g;
    fiber *fibers[ASKERS];
    error first = OK;
    for (int i = 0; i < ASKERS; i++)
        assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, ask_often, &copy,
                              &fibers[i]));
    for (int i = 0; i < ASKERS; i++) {
        const error e = fiber_join(&fibers[i]);
        if (!first.kind)
            first = e;
    }
    if (!first.kind)
        return;
    char text[512];
    error_describe(first, text, sizeof text);
    fail_msg("%s: %s", name, text);
}

/* --- afterwards ------------------------------------------------------------------------------- */

static int64_t ask_server(const char *sql)
{
    pg_pool *admin;
    pg_rows rows;
    int64_t n = -1;
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(server.url), .connections_max = 1 }, &admin));
    assert_ok(pg_query(admin, &rows, str_from_c(sql)));
    assert_ok(pg_get(&rows, 0, 0, &n));
    pg_pool_close(&admin);
    return n;
}

/* By itself, and soon: the pool pauses for 2 s at most between attempts. */
static void assert_recovers(const char *name)
{
    error e;
    int tries = 0;
    do {
        e = scope_call(&(scope_options){ .deadline_ms = 5000 }, one_round, &(int64_t){ 2 });
        assert_ok(e.kind ? fiber_sleep(20) : OK);
    } while (e.kind && ++tries < 500);
    if (e.kind)
        fail_msg("%s: %s", name, e.kind->name);
    const pg_pool_stats stats = pg_pool_stats_of(db);
    assert_int_equal(stats.leased, 0);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.acquired, stats.released);
}

/* Whatever became of a transaction: both of its rows are there, or none. */
static void assert_whole(const char *name)
{
    static const char HALVES[] = "select count(*) from (select n from gates group by n having "
                                 "count(*) % 2 <> 0) halves";
    if (ask_server(HALVES) != 0)
        fail_msg("%s: half of a transaction", name);
}

/* --- gates ------------------------------------------------------------------------------------ */

static const gate GATES[] = {
    { "delay", { .delay_ms = 4 }, false, true, true },
    { "delay of new ones", { .delay_ms = 4 }, true, false, false },
    { "little bandwidth", { .piece_bytes = 100 }, false, false, false },
    { "single bytes", { .piece_bytes = 1 }, false, true, true },
    { "single bytes of new ones", { .piece_bytes = 1 }, true, false, false },
    { "stall", { .stalls = true }, false, false, false },
    { "stall of new ones", { .stalls = true }, true, false, false },
    { "cut in one of so many pieces", { .cut_one_in = 8 }, false, false, false },
    { "cut in the middle of a message", { .cut_after = 777 }, false, false, false },
    { "cut by RST after the first byte", { .cut_after = 1 }, true, false, false },
    { "cut by RST while logging in", { .cut_after = 200 }, true, false, false },
    { "cut by FIN while logging in", { .cut_after = 200, .orderly = true }, true, false, false },
    { "cut by FIN in the middle", { .cut_after = 777, .orderly = true }, false, false, false },
    { "half closed", { .end_after = 500 }, false, false, false },
    { "half closed while logging in", { .end_after = 60 }, true, false, false },
    { "new ones refused", { .refuses = true }, true, false, false },
    { "changed bits", { .corrupt_one_in = 10 }, false, false, false },
    { "changed bits of new ones", { .corrupt_one_in = 10 }, true, false, false },
};

static void pass_gate(const gate *g, chaos_where where)
{
    static const char *const WHERE[] = { "both ways", "to the client", "to the server" };
    char name[128];
    (void)snprintf(name, sizeof name, "%s, %s, %s", g->name, WHERE[where],
                   secured ? "TLS" : "in clear");
    answered = lost = 0;
    if (g->anew)
        chaos_proxy_break(&proxy);
    proxy.faults = g->faults;
    proxy.faults.where = where;
    ask_all(g, name);
    proxy.faults = (chaos_faults){ 0 };
    assert_recovers(name);
    assert_whole(name);
    if (g->harmless && lost > 0)
        fail_msg("%s: %u lost", name, lost);
    print_message("%s: %u answered, %u lost\n", name, answered, lost);
}

static void test_gates_all_are_passed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(GATES); i++) {
        if (GATES[i].faults.corrupt_one_in && !secured)
            continue;
        for (chaos_where where = CHAOS_BOTH_WAYS; where <= CHAOS_TO_SERVER; where++)
            pass_gate(&GATES[i], where);
    }
    assert_true(proxy.cut > 0 && proxy.refused > 0 && (proxy.corrupted > 0) == secured);
}

/* --- life ------------------------------------------------------------------------------------- */

static int open_pool(bool with_tls)
{
    char password[128], conninfo[512];
    address at;
    secured = with_tls;
    secure_postgres_at(&server, &at, password, sizeof password);
    chaos_proxy_open(&proxy, &at);
    (void)snprintf(conninfo, sizeof conninfo,
                   "host=127.0.0.1 port=%u user=brio password=%s dbname=brio sslmode=%s "
                   "connect_timeout=1 application_name=gates",
                   proxy.port, password, secured ? "require" : "disable");
    assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = str_from_c(conninfo),
                                               .connections_max = CONNECTIONS,
                                               .acquire_timeout_ms = PATIENT_MS },
                           &db));
    assert_ok(pg_execute(db, NULL, "create table if not exists gates (n bigint)"));
    return 0;
}

static int open_in_clear(void **state)
{
    (void)state;
    return open_pool(false);
}

static int open_secured(void **state)
{
    (void)state;
    return open_pool(true);
}

static int close_pool(void **state)
{
    (void)state;
    pg_pool_close(&db);
    static const char THERE[] =
        "select count(*) from pg_stat_activity where application_name = 'gates'";
    for (int tries = 0; tries < 500 && ask_server(THERE) > 0; tries++)
        assert_ok(fiber_sleep(20));
    assert_int_equal(ask_server(THERE), 0);
    chaos_proxy_close(&proxy);
    return 0;
}

static int start_server(void **state)
{
    (void)state;
    assert_true(tls_files_make());
    assert_int_equal(setenv("PG_QUEUE_TARGET", "0", 1), 0); /* who waits is to be served */
    own_postgres_do(&server, "start");
    secure_postgres(&server);
    return 0;
}

static int remove_server(void **state)
{
    (void)state;
    own_postgres_do(&server, "remove");
    tls_files_remove();
    return 0;
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gates_all_are_passed, open_in_clear, close_pool),
        cmocka_unit_test_setup_teardown(test_gates_all_are_passed, open_secured, close_pool),
    };
    return cmocka_run_group_tests_name("pg gates", tests, start_server, remove_server);
}

int main(void)
{
    if (!getenv("BRIO_TEST_PG")) {
        (void)fprintf(stderr, "skipped: BRIO_TEST_PG is not set\n");
        return EXIT_SKIPPED;
    }
    return run_in_fiber(run);
}
