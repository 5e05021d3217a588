/* Writing while the server goes: its sessions are ended all the time, it stands still, it crashes
 * and comes back, it is lost and its standby is promoted. Fibers write rows with numbers of their
 * own and keep a ledger of what they were told. Afterwards every acknowledged row is there once,
 * none that certainly failed is, and the client has come back by itself. */
#include "core/scope.h"
#include "tests/support/database.h"
#include "tests/support/own_postgres.h"

#include <dirent.h>
#include <signal.h>

#define WRITERS    8
#define LEDGER_MAX 400000
#define STORMS     40
#define NEEDED     200 /* rows after an outage, so that it counts as over */

typedef enum fate {
    NOT_TRIED = 0,
    THERE,
    NOT_THERE,
    UNKNOWN,
} fate;

static own_postgres primary, standby;
static pg_pool *db;
static fate *ledger;
static int64_t next_entry;
static uint32_t written, failed;
static bool enough;

/* --- writing ---------------------------------------------------------------------------------- */

/* What may have been carried out although it failed; in a transaction only an unanswered COMMIT. */
static fate fate_of(error e, bool in_tx)
{
    if (!e.kind)
        return THERE;
    if (error_is(e, &PG_COMMIT_UNKNOWN))
        return UNKNOWN;
    return in_tx ? NOT_THERE : UNKNOWN;
}

static error write_in_tx(void *arg)
{
    const int64_t *entry = arg;
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into outages values ($1)", *entry));
    return pg_commit(&tx);
}

static error write_alone(void *arg)
{
    const int64_t *entry = arg;
    return pg_execute(db, NULL, "insert into outages values ($1)", *entry);
}

static bool is_expected(error e)
{
    static const error_kind *const KINDS[] = {
        &TIMED_OUT,         &PG_CONNECTION_LOST, &PG_CONNECT_FAILED,     &PG_ADMIN_SHUTDOWN,
        &PG_COMMIT_UNKNOWN, &PG_POOL_TIMED_OUT,  &PG_CANNOT_CONNECT_NOW, &PG_POOL_OVERLOADED,
        &PG_READ_ONLY,
    };
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        if (error_is(e, KINDS[i]))
            return true;
    }
    return false;
}

static error write_all_the_time(void *arg)
{
    (void)arg;
    while (!enough && next_entry < LEDGER_MAX) {
        int64_t entry = next_entry++;
        const bool in_tx = entry % 2;
        ledger[entry] = UNKNOWN;
        const error e = scope_call(&(scope_options){ .deadline_ms = 2000 },
                                   in_tx ? write_in_tx : write_alone, &entry);
        ledger[entry] = fate_of(e, in_tx);
        written += !e.kind;
        failed += e.kind != NULL;
        if (e.kind && !is_expected(e))
            return e;
        TRY(fiber_sleep(e.kind ? 5 : 0));
    }
    return OK;
}

static fiber *writers[WRITERS];

static void start_writers(void)
{
    enough = false;
    for (int i = 0; i < WRITERS; i++)
        assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, write_all_the_time,
                              NULL, &writers[i]));
}

/* Until so many more rows are written. */
static void await_writes(uint32_t more)
{
    const uint32_t wanted = written + more;
    for (int tries = 0; tries < 60000 && written < wanted; tries++)
        assert_ok(fiber_sleep(1));
    assert_true(written >= wanted);
}

static void stop_writers(void)
{
    enough = true;
    for (int i = 0; i < WRITERS; i++)
        assert_ok(fiber_join(&writers[i]));
}

/* On whichever server is written to now. */
static void check_ledger(void)
{
    pg_rows rows;
    uint32_t there = 0;
    static uint8_t found[LEDGER_MAX];
    memset(found, 0, sizeof found);
    assert_ok(pg_query(db, &rows, "select n from outages"));
    for (size_t i = 0; i < rows.count; i++) {
        int64_t n = -1;
        assert_ok(pg_get(&rows, i, 0, &n));
        found[n]++;
    }
    for (int64_t i = 0; i < next_entry; i++) {
        if (found[i] > 1 || (ledger[i] == THERE && !found[i]) ||
            (ledger[i] == NOT_THERE && found[i]))
            fail_msg("row %lld was told %d and is there %u times", (long long)i, (int)ledger[i],
                     found[i]);
        there += found[i];
    }
    const pg_pool_stats stats = pg_pool_stats_of(db);
    assert_int_equal(stats.leased, 0);
    assert_int_equal(stats.waiting, 0);
    print_message("%u rows, %u acknowledged, %u attempts failed\n", there, written, failed);
}

/* --- servers ---------------------------------------------------------------------------------- */

static void read_line(const own_postgres *pg, const char *name, char *out, size_t bytes)
{
    char path[768];
    (void)snprintf(path, sizeof path, "%s/%s", pg->dir, name);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_non_null(fgets(out, (int)bytes, f));
    out[strcspn(out, "\n")] = '\0';
    (void)fclose(f);
}

static void read_home(const own_postgres *pg, const char *name, char *out, size_t bytes)
{
    own_postgres home = { 0 };
    read_line(pg, "home", home.dir, sizeof home.dir);
    read_line(&home, name, out, bytes);
}

/* Both of them; where one of them may be written to. */
static const char *conninfo(void)
{
    static char text[1024];
    char socket[2][256], port[2][16], password[128];
    read_home(&primary, "socket_dir", socket[0], sizeof socket[0]);
    read_home(&standby, "socket_dir", socket[1], sizeof socket[1]);
    read_home(&primary, "port", port[0], sizeof port[0]);
    read_home(&standby, "port", port[1], sizeof port[1]);
    read_home(&primary, "password", password, sizeof password);
    (void)snprintf(text, sizeof text,
                   "host=%s,%s port=%s,%s user=brio password=%s dbname=brio "
                   "application_name=outages target_session_attrs=read-write",
                   socket[0], socket[1], port[0], port[1], password);
    return text;
}

/* A signal to the server and all its processes. */
static void signal_server(int signo)
{
    char first[32];
    read_home(&primary, "data/postmaster.pid", first, sizeof first);
    const pid_t server = (pid_t)strtol(first, NULL, 10);
    assert_true(server > 1);
    DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (const struct dirent *d; (d = readdir(proc));) {
        char path[300], text[512];
        const pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);
        (void)snprintf(path, sizeof path, "/proc/%s/stat", d->d_name);
        FILE *f = pid > 1 ? fopen(path, "re") : NULL;
        if (!f)
            continue;
        const char *line = fgets(text, sizeof text, f);
        const char *name_end = line ? strrchr(line, ')') : NULL;
        if (name_end && (pid_t)strtol(name_end + 4, NULL, 10) == server)
            (void)kill(pid, signo);
        (void)fclose(f);
    }
    (void)closedir(proc);
    (void)kill(server, signo);
}

static void do_meanwhile(own_postgres *pg, const char *verb)
{
    own_postgres_begin(pg, verb);
    while (own_postgres_busy(pg))
        assert_ok(fiber_sleep(5));
    own_postgres_end(pg);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_outages_sessions_ended_all_the_time_lose_nothing(void **state)
{
    (void)state;
    pg_pool *admin;
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(primary.url), .connections_max = 1 }, &admin));
    start_writers();
    await_writes(NEEDED);
    for (int i = 0; i < STORMS; i++) {
        assert_ok(pg_execute(admin, NULL,
                             "select pg_terminate_backend(pid) from pg_stat_activity where "
                             "application_name = 'outages'"));
        assert_ok(fiber_sleep(20));
    }
    await_writes(NEEDED);
    stop_writers();
    pg_pool_close(&admin);
    check_ledger();
}

/* Everybody's time is up; then it goes on as if nothing had been. */
static void test_outages_server_that_stands_still_loses_nothing(void **state)
{
    (void)state;
    start_writers();
    await_writes(NEEDED);
    signal_server(SIGSTOP);
    const uint32_t before = failed;
    for (int tries = 0; tries < 20000 && failed == before; tries++)
        assert_ok(fiber_sleep(1));
    signal_server(SIGCONT);
    assert_true(failed > before);
    await_writes(NEEDED);
    stop_writers();
    check_ledger();
}

static void test_outages_crash_and_return_lose_nothing(void **state)
{
    (void)state;
    start_writers();
    await_writes(NEEDED);
    do_meanwhile(&primary, "kill");
    do_meanwhile(&primary, "start");
    await_writes(NEEDED);
    stop_writers();
    check_ledger();
}

/* The last one: the primary stays away. What it has acknowledged its standby has too. */
static void test_outages_standby_that_is_promoted_takes_over(void **state)
{
    (void)state;
    start_writers();
    await_writes(NEEDED);
    do_meanwhile(&primary, "kill");
    do_meanwhile(&standby, "promote");
    await_writes(NEEDED);
    stop_writers();
    check_ledger();
}

/* --- life ------------------------------------------------------------------------------------- */

static void await_standby(pg_pool *admin)
{
    pg_rows rows;
    int64_t n = 0;
    for (int tries = 0; tries < 20000 && n == 0; tries++) {
        assert_ok(fiber_sleep(1));
        assert_ok(pg_query(admin, &rows,
                           "select count(*) from pg_stat_replication where state = 'streaming'"));
        assert_ok(pg_get(&rows, 0, 0, &n));
    }
    assert_int_equal(n, 1);
}

/* A commit is acknowledged when the standby has it, and is not forgotten in a crash. */
static int open_servers(void **state)
{
    static const char *const STATEMENTS[] = {
        "create table outages (n bigint)",
        "alter system set fsync = on",
        "alter system set synchronous_commit = on",
        "alter system set synchronous_standby_names = '*'",
        "select pg_reload_conf()",
    };
    (void)state;
    pg_pool *admin;
    (void)snprintf(primary.dir, sizeof primary.dir, "/tmp/brio-primary.%d", (int)getpid());
    (void)snprintf(standby.dir, sizeof standby.dir, "/tmp/brio-standby.%d", (int)getpid());
    own_postgres_do(&primary, "start");
    own_postgres_standby(&standby, &primary);
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(primary.url), .connections_max = 1 }, &admin));
    await_standby(admin);
    for (size_t i = 0; i < ARRAY_LEN(STATEMENTS); i++)
        assert_ok(pg_execute(admin, NULL, str_from_c(STATEMENTS[i])));
    pg_pool_close(&admin);
    ledger = calloc(LEDGER_MAX, sizeof *ledger);
    assert_non_null(ledger);
    const pg_pool_options options = { .conninfo = str_from_c(conninfo()), .connections_max = 4 };
    assert_ok(pg_pool_open(&options, &db));
    return 0;
}

static int close_servers(void **state)
{
    (void)state;
    pg_pool_close(&db);
    free(ledger);
    own_postgres_do(&standby, "remove");
    own_postgres_do(&primary, "remove");
    return 0;
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outages_sessions_ended_all_the_time_lose_nothing),
        cmocka_unit_test(test_outages_server_that_stands_still_loses_nothing),
        cmocka_unit_test(test_outages_crash_and_return_lose_nothing),
        cmocka_unit_test(test_outages_standby_that_is_promoted_takes_over),
    };
    return cmocka_run_group_tests_name("pg outages", tests, open_servers, close_servers);
}

int main(void)
{
    if (!getenv("BRIO_TEST_PG")) {
        (void)fprintf(stderr, "skipped: BRIO_TEST_PG is not set\n");
        return EXIT_SKIPPED;
    }
    return run_in_fiber(run);
}
