/* Everything at once, for as long as one likes: queries, reads, batches, transactions, cursors,
 * COPY and listeners, with deadlines and cancels, through a proxy that does what networks do, to a
 * server whose sessions are ended and which crashes and comes back. After each round all are at
 * rest, and every counter balances: what was begun has ended, nothing is leased, nobody waits, the
 * pool has as many connections as the server, and the heap is as large as after the round before.
 *
 * BRIO_TEST_SOAK_S says for how many seconds; a few without it. */
#include "core/clock.h"
#include "core/scope.h"
#include "tests/support/chaos_proxy.h"
#include "tests/support/database.h"
#include "tests/support/own_postgres.h"

#include <malloc.h>

#if defined(__SANITIZE_ADDRESS__) /* the library's header is the other compiler's */
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

#define WORKERS     16
#define CONNECTIONS 5
#define SECONDS     6
#define ROUND_MS    2000
#define HEAP_BYTES  ((size_t)4 << 20) /* by which rounds may differ: statements, stacks */
#define WARM_ROUNDS 2

static own_postgres server;
static chaos_proxy proxy;
static pg_pool *db;
static random_state dice;
static bool enough;
static uint64_t begun, ended, succeeded, failures_of[16], row_checks;

static ERROR_KIND(SOAK_WRONG_ROW, ERROR_INTERNAL, "A row of another.");

/* --- work ------------------------------------------------------------------------------------- */

static error own_rows(const pg_rows *rows, int64_t own, size_t count)
{
    if (rows->count != count)
        return error_set(&SOAK_WRONG_ROW, "%zu rows of %zu", rows->count, count);
    for (size_t i = 0; i < count; i++) {
        int64_t found = -1;
        TRY(pg_get(rows, i, 0, &found));
        row_checks++;
        if (found != own)
            return error_set(&SOAK_WRONG_ROW, "%lld got the row of %lld", (long long)own,
                             (long long)found);
    }
    return OK;
}

static error ask(pg_target on)
{
    const int64_t own = (int64_t)(random_next(&dice) >> 1);
    const int32_t count = (int32_t)random_below(&dice, 40);
    pg_rows rows;
    TRY(pg_query(on, &rows, "select $1 from generate_series(1, $2)", own, count));
    return own_rows(&rows, own, (size_t)count);
}

static error ask_new(void)
{
    const int64_t own = (int64_t)random_below(&dice, 500);
    pg_rows rows;
    TRY(pg_query(db, &rows, str_format(fiber_arena(), "select %lld::bigint", (long long)own)));
    return own_rows(&rows, own, 1);
}

static error ask_together(pg_target on, bool pipelined)
{
    const int64_t own = (int64_t)(random_next(&dice) >> 1);
    pg_rows rows[4];
    pg_batch *b = pg_batch_new();
    for (int i = 0; i < 4; i++)
        pg_batch_query(b, &rows[i], "select $1", own);
    TRY(pipelined ? pg_pipeline_run(on, b) : pg_batch_run(on, b));
    for (int i = 0; i < 4; i++)
        TRY(own_rows(&rows[i], own, 1));
    return OK;
}

static error read_all(pg_target on)
{
    const int64_t own = (int64_t)(random_next(&dice) >> 1);
    pg_cursor *c;
    pg_rows rows;
    TRY(pg_cursor_open(on, &c, "select $1 from generate_series(1, 3000)", own));
    do {
        TRY(pg_cursor_next(c, &rows));
        TRY(own_rows(&rows, own, rows.count));
    } while (rows.count > 0 && random_below(&dice, 4));
    return pg_cursor_close(&c);
}

static error copy_in(pg_target on)
{
    pg_copy *c;
    TRY(pg_copy_in(on, &c, "copy soak from stdin (format binary)"));
    for (uint64_t left = random_below(&dice, 200); left > 0; left--)
        TRY(pg_copy_row(c, (int64_t)left));
    return random_below(&dice, 4) ? pg_copy_finish(&c, NULL) : OK;
}

static error copy_out(pg_target on)
{
    pg_copy *c;
    str bytes;
    TRY(pg_copy_out(on, &c, "copy (select n from generate_series(1, 20000) n) to stdout"));
    do
        TRY(pg_copy_read(c, &bytes));
    while (bytes.len > 0 && random_below(&dice, 8));
    return bytes.len > 0 ? OK : pg_copy_finish(&c, NULL);
}

static error transact(pg_tx *tx, void *arg)
{
    (void)arg;
    pg_tx *inner;
    TRY(ask(pg_target_tx(tx)));
    TRY(pg_execute(tx, NULL, "insert into soak values (1)"));
    TRY(pg_begin(tx, &inner));
    TRY(random_below(&dice, 2) ? read_all(pg_target_tx(inner)) : copy_in(pg_target_tx(inner)));
    TRY(random_below(&dice, 2) ? pg_commit(&inner) : pg_rollback(&inner));
    return ask_together(pg_target_tx(tx), random_below(&dice, 2));
}

static error listen_a_while(void)
{
    pg_listener *l;
    pg_notification n;
    TRY(pg_listen(db, STR("soak"), &l));
    TRY(pg_notify(db, STR("soak"), STR("now")));
    TRY(pg_listener_next(l, &n));
    pg_unlisten(&l);
    return OK;
}

static error do_one(void *arg)
{
    const pg_target pool = pg_target_pool(db);
    switch (random_below(&dice, 12)) {
    case 0:
    case 1:
        return ask(pool);
    case 2:
    case 3:
        return ask(pg_read_only(db));
    case 4:
        return ask_new();
    case 5:
        return ask_together(random_below(&dice, 2) ? pool : pg_read_only(db),
                            random_below(&dice, 2));
    case 6:
        return read_all(pool);
    case 7:
        return copy_in(pool);
    case 8:
        return copy_out(pool);
    case 9:
        return random_below(&dice, 8) ? ask(pool) : listen_a_while();
    default:
        return pg_transaction(db, NULL, transact, arg);
    }
}

/* What faults may lead to; any other is a mistake. */
static bool is_expected(error e)
{
    static const error_kind *const KINDS[] = {
        &CANCELED,           &TIMED_OUT,          &PG_CONNECTION_LOST,    &PG_CONNECT_FAILED,
        &PG_ADMIN_SHUTDOWN,  &PG_COMMIT_UNKNOWN,  &PG_CANNOT_CONNECT_NOW, &PG_IN_FAILED_TRANSACTION,
        &PG_POOL_TIMED_OUT,  &PG_POOL_OVERLOADED, &PG_POOL_FULL,          &PG_QUERY_CANCELED,
        &PG_STATEMENT_STALE, /* forgotten within a transaction, or twice */
    };
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        if (!error_is(e, KINDS[i]))
            continue;
        failures_of[i]++;
        return true;
    }
    /* Forgotten within a transaction; the details are lost when its connection is too. */
    const error_detail *detail = error_detail_of(e);
    while (detail && !detail->sqlstate[0])
        detail = detail->cause;
    return error_is(e, &PG_FAILED) && (!detail || strcmp(detail->sqlstate, "26000") == 0);
}

static error work(void *arg)
{
    (void)arg;
    while (!enough) {
        const uint32_t ms = random_below(&dice, 3) ? 3000 : 1 + (uint32_t)random_below(&dice, 40);
        begun++;
        const error e = scope_call(&(scope_options){ .deadline_ms = ms }, do_one, NULL);
        ended++;
        succeeded += !e.kind;
        if (e.kind && !is_expected(e)) {
            char text[512];
            error_describe(e, text, sizeof text);
            print_error("%s\n", text);
            return e;
        }
        TRY(scope_status());
        arena_reset(fiber_arena());
        TRY(fiber_sleep(e.kind ? 20 : 0));
    }
    return OK;
}

/* --- faults ----------------------------------------------------------------------------------- */

static void restart_server(void)
{
    own_postgres_begin(&server, "kill");
    while (own_postgres_busy(&server))
        assert_ok(fiber_sleep(5));
    own_postgres_end(&server);
    own_postgres_begin(&server, "start");
    while (own_postgres_busy(&server))
        assert_ok(fiber_sleep(5));
    own_postgres_end(&server);
}

static error end_sessions(void *arg)
{
    (void)arg;
    return pg_execute(db, NULL,
                      "select pg_terminate_backend(pid) from pg_stat_activity where "
                      "application_name = 'soak' and pid <> pg_backend_pid() and random() < 0.5");
}

static void sabotage(fiber **workers)
{
    static const chaos_faults FAULTS[] = {
        { .delay_ms = 3 },  { .piece_bytes = 11 }, { .piece_bytes = 700, .delay_ms = 1 },
        { .stalls = true }, { .cut_one_in = 50 },  { 0 },
    };
    error e = OK;
    switch (random_below(&dice, 6)) {
    case 0:
        e = scope_call(&(scope_options){ .deadline_ms = 500 }, end_sessions, NULL);
        break;
    case 1:
        chaos_proxy_break(&proxy);
        break;
    case 2:
        e = pg_execute(db, NULL, "deallocate all");
        break;
    case 3: {
        fiber **which = &workers[random_below(&dice, WORKERS)];
        fiber_cancel(*which, &CANCELED);
        const error left = fiber_join(which);
        if (left.kind && !is_expected(left))
            assert_ok(left);
        assert_ok(
            fiber_start(loop_self(), &(fiber_options){ .joinable = true }, work, NULL, which));
        break;
    }
    default:
        proxy.faults = FAULTS[random_below(&dice, ARRAY_LEN(FAULTS))];
        assert_ok(fiber_sleep(1 + (uint32_t)random_below(&dice, 200)));
        proxy.faults = (chaos_faults){ 0 };
    }
    if (e.kind && !is_expected(e))
        assert_ok(e);
}

/* --- balance ---------------------------------------------------------------------------------- */

static size_t heap_bytes(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return __sanitizer_get_current_allocated_bytes();
#else
    return mallinfo2().uordblks;
#endif
}

static int64_t sessions(void)
{
    pg_pool *admin;
    pg_rows rows;
    int64_t n = -1;
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(server.url), .connections_max = 1 }, &admin));
    assert_ok(pg_query(admin, &rows,
                       "select count(*) from pg_stat_activity where application_name = 'soak'"));
    assert_ok(pg_get(&rows, 0, 0, &n));
    pg_pool_close(&admin);
    return n;
}

/* When what was given up has been canceled, and what was cut off was noticed. */
static void assert_balanced(void)
{
    pg_pool_stats stats = pg_pool_stats_of(db);
    int64_t there = sessions();
    for (int tries = 0; tries < 1000; tries++) {
        if (stats.leased <= 1 && stats.opening == 0 && there == stats.open)
            break;
        assert_ok(fiber_sleep(10));
        stats = pg_pool_stats_of(db);
        there = sessions();
    }
    assert_int_equal(begun, ended);
    assert_int_equal(stats.waiting, 0);
    assert_in_range(stats.leased, 0, 1); /* the listener's */
    assert_int_equal(there, stats.open);
}

/* Returns the heap's size at rest. */
static size_t run_round(bool restarts)
{
    fiber *workers[WORKERS];
    const uint64_t until_ms = loop_now_ms(loop_self()) + ROUND_MS;
    enough = false;
    for (int i = 0; i < WORKERS; i++)
        assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, work, NULL,
                              &workers[i]));
    if (restarts)
        restart_server();
    while (loop_now_ms(loop_self()) < until_ms) {
        sabotage(workers);
        assert_ok(fiber_sleep((uint32_t)random_below(&dice, 60)));
    }
    enough = true;
    for (int i = 0; i < WORKERS; i++) {
        const error e = fiber_join(&workers[i]);
        if (e.kind && !is_expected(e))
            assert_ok(e);
    }
    assert_balanced();
    arena_reset(fiber_arena());
    return heap_bytes();
}

static uint64_t seconds_wanted(void)
{
    const char *given = getenv("BRIO_TEST_SOAK_S");
    return given ? strtoull(given, NULL, 10) : SECONDS;
}

static void test_soak_of_faults_leaves_every_counter_balanced(void **state)
{
    (void)state;
    const uint64_t until_ms = clock_real_ms() + seconds_wanted() * 1000;
    size_t warm = 0, heap = 0;
    for (uint32_t round = 0; round <= WARM_ROUNDS || clock_real_ms() < until_ms; round++) {
        heap = run_round(round % 8 == 1);
        if (round == WARM_ROUNDS - 1)
            warm = heap;
        if (round >= WARM_ROUNDS && heap > warm + HEAP_BYTES)
            fail_msg("the heap has grown from %zu to %zu bytes in round %u", warm, heap, round);
    }
    print_message(
        "%llu operations, %llu rows checked, %llu without a fault; %u connections, %u cut; "
        "heap %zu, then %zu bytes\n",
        (unsigned long long)ended, (unsigned long long)row_checks, (unsigned long long)succeeded,
        proxy.accepted, proxy.cut, warm, heap);
    assert_true(succeeded > 0 && row_checks > 0);
}

/* --- life ------------------------------------------------------------------------------------- */

static void read_home(const char *name, char *out, size_t bytes)
{
    char path[768], home[512];
    (void)snprintf(path, sizeof path, "%s/home", server.dir);
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(path, "re");
        assert_non_null(f);
        assert_non_null(fgets(i ? out : home, i ? (int)bytes : (int)sizeof home, f));
        (void)fclose(f);
        home[strcspn(home, "\n")] = '\0';
        (void)snprintf(path, sizeof path, "%s/%s", home, name);
    }
    out[strcspn(out, "\n")] = '\0';
}

static int open_all(void **state)
{
    (void)state;
    char port[16], password[128], conninfo[512], at[64];
    address server_at;
    own_postgres_do(&server, "start");
    read_home("port", port, sizeof port);
    read_home("password", password, sizeof password);
    (void)snprintf(at, sizeof at, "127.0.0.1:%s", port);
    assert_true(address_parse(str_from_c(at), &server_at));
    chaos_proxy_open(&proxy, &server_at);
    dice = proxy.dice;
    (void)snprintf(conninfo, sizeof conninfo,
                   "host=127.0.0.1 port=%u user=brio password=%s dbname=brio sslmode=disable "
                   "application_name=soak",
                   proxy.port, password);
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(conninfo), .connections_max = CONNECTIONS },
        &db));
    assert_ok(pg_execute(db, NULL, "create unlogged table soak (n bigint)"));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    pg_pool_close(&db);
    assert_int_equal(sessions(), 0);
    chaos_proxy_close(&proxy);
    own_postgres_do(&server, "remove");
    return 0;
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_soak_of_faults_leaves_every_counter_balanced),
    };
    return cmocka_run_group_tests_name("pg soak", tests, open_all, close_all);
}

int main(void)
{
    if (!getenv("BRIO_TEST_PG")) {
        (void)fprintf(stderr, "skipped: BRIO_TEST_PG is not set\n");
        return EXIT_SKIPPED;
    }
    return run_in_fiber(run);
}
