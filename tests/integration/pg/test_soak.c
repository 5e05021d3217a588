/* Everything at once, for as long as one likes: queries, reads, batches, transactions and commits
 * with a statement, cursors, streams, COPY and listeners, with deadlines and cancels, on two pools,
 * of which one speaks TLS, through proxies that do what networks do, to a server whose sessions are
 * ended and which crashes and comes back. Where there is TLS bits are changed too: without it
 * nobody could know.
 *
 * After each round all are at rest, and every counter balances: what was begun has ended, what was
 * given out is back but for the listeners' connections, each thing that the tracers saw start they
 * saw end, nobody waits, the pools have as many connections as the server has sessions and as the
 * ledger of all workers says, and the heap is as large as after the first rounds. So is what the
 * process has in memory, where no sanitizer keeps what was freed.
 *
 * BRIO_TEST_SOAK_S says for how many seconds (./dev soak); a few without it. */
#include "core/clock.h"
#include "core/ledger.h"
#include "core/scope.h"
#include "tests/support/chaos_proxy.h"
#include "tests/support/database.h"
#include "tests/support/secure_postgres.h"

#include <malloc.h>

#if defined(__SANITIZE_ADDRESS__) /* the library's header is the other compiler's */
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

#define WORKERS        16
#define POOLS          2 /* the second one's connections have TLS */
#define CONNECTIONS    5
#define CEILING        "12" /* of both together; each may want seven */
#define SECONDS        6
#define ROUND_MS       2000
#define HEAP_BYTES     ((size_t)4 << 20) /* by which rounds may differ: statements, stacks */
#define RESIDENT_BYTES ((size_t)8 << 20)
#define WARM_ROUNDS    3
#define SAMPLES        12 /* of memory, in what is printed */

static own_postgres server;
static chaos_proxy proxies[POOLS];
static pg_pool *pools[POOLS];
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

static error ask_new(pg_pool *db)
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

/* As its types say, as values, as text: one statement for the server. */
static error ask_as(pg_target on)
{
    static const pg_rows_as KINDS[] = { PG_ROWS_BY_TYPE, PG_ROWS_AS_VALUES, PG_ROWS_AS_TEXT };
    const int64_t own = (int64_t)random_below(&dice, 1000000);
    const pg_rows_as as = KINDS[random_below(&dice, ARRAY_LEN(KINDS))];
    pg_rows rows;
    pg_numeric total = { 0 };
    int64_t found = -1;
    TRY(pg_query(on, &rows, pg_sql_as(PG_SQL("select ($1::int8 / 100.0)::numeric(12, 2)"), as),
                 own));
    TRY(pg_get(&rows, 0, 0, &total));
    TRY(pg_numeric_to_int8(&total, 2, &found));
    row_checks++;
    return found == own ? OK
                        : error_set(&SOAK_WRONG_ROW, "%lld got the value %lld", (long long)own,
                                    (long long)found);
}

/* To its end, closed before it, or left; slowly now and then, so that the server is held up. */
static error read_stream(pg_target on)
{
    const int64_t own = (int64_t)(random_next(&dice) >> 1);
    const bool slowly = random_below(&dice, 8) == 0;
    const uint32_t rows_wanted = 3000;
    size_t seen = 0;
    pg_stream *s;
    pg_rows rows;
    TRY(pg_stream_open(on, &s, "select $1, repeat('x', $2) from generate_series(1, $3)", own,
                       slowly ? 150 : 10, (int32_t)rows_wanted));
    for (;;) {
        TRY(pg_stream_next(s, &rows));
        TRY(own_rows(&rows, own, rows.count));
        seen += rows.count;
        if (rows.count == 0 || random_below(&dice, 8) == 0)
            break;
        if (slowly)
            TRY(fiber_sleep(3));
    }
    if (rows.count == 0 && seen != rows_wanted)
        return error_set(&SOAK_WRONG_ROW, "a stream of %zu rows", seen);
    return random_below(&dice, 4) ? pg_stream_close(&s) : OK;
}

#define GRAIN_FIELDS(F) F(n, int8) F(name, text)
SHAPE(grain, GRAIN_FIELDS)

/* Structs into a table and out of a query. */
static error copy_structs(pg_target on)
{
    pg_copy *c;
    grain g;
    TRY(pg_copy_in(on, &c, "copy soak_grains from stdin (format binary)"));
    for (uint64_t left = random_below(&dice, 200); left > 0; left--) {
        g = (grain){ .n = (int64_t)left, .name = STR("a grain") };
        TRY(pg_copy_item(c, grain, &g));
    }
    if (random_below(&dice, 4) == 0)
        return OK;
    TRY(pg_copy_finish(&c, NULL));
    TRY(pg_copy_out(on, &c,
                    "copy (select n, n::text from generate_series(1, 5000::int8) n) to stdout "
                    "(format binary)"));
    int64_t count = 0;
    for (bool more = true; random_below(&dice, 2000) > 0;) {
        TRY(pg_copy_next(c, grain, &g, &more));
        if (!more)
            break;
        row_checks++;
        if (g.n != ++count || !str_eq(g.name, str_format(fiber_arena(), "%lld", (long long)g.n)))
            return error_set(&SOAK_WRONG_ROW, "grain %lld as %lld", (long long)g.n,
                             (long long)count);
    }
    return pg_copy_finish(&c, NULL);
}

/* The COMMIT leaves with the last statement, the BEGIN with the first. */
static error commit_with(pg_pool *db)
{
    const int64_t own = (int64_t)(random_next(&dice) >> 1);
    pg_tx *tx;
    pg_rows rows;
    TRY(pg_begin(db, &tx));
    if (random_below(&dice, 2))
        TRY(ask(pg_target_tx(tx)));
    if (random_below(&dice, 2))
        return pg_commit_execute(&tx, NULL, "insert into soak values ($1)", own);
    TRY(pg_commit_query(&tx, &rows, "select $1 from generate_series(1, 20)", own));
    return own_rows(&rows, own, 20);
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

/* In scopes of their own: what is left open there has failed the transaction. */
static error stream_in(void *arg)
{
    return read_stream(pg_target_tx((pg_tx *)arg));
}

static error copy_structs_in(void *arg)
{
    return copy_structs(pg_target_tx((pg_tx *)arg));
}

static error transact(pg_tx *tx, void *arg)
{
    (void)arg;
    pg_tx *inner;
    TRY(ask(pg_target_tx(tx)));
    TRY(pg_execute(tx, NULL, "insert into soak values (1)"));
    TRY(pg_begin(tx, &inner));
    switch (random_below(&dice, 4)) {
    case 0:
        TRY(read_all(pg_target_tx(inner)));
        break;
    case 1:
        TRY(copy_in(pg_target_tx(inner)));
        break;
    case 2:
        TRY(scope_call(NULL, copy_structs_in, inner));
        break;
    default:
        TRY(scope_call(NULL, stream_in, inner));
    }
    TRY(random_below(&dice, 2) ? pg_commit(&inner) : pg_rollback(&inner));
    return ask_together(pg_target_tx(tx), random_below(&dice, 2));
}

static error listen_a_while(pg_pool *db)
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
    pg_pool *db = arg;
    const pg_target pool = pg_target_pool(db);
    switch (random_below(&dice, 18)) {
    case 0:
    case 1:
        return ask(pool);
    case 2:
    case 3:
        return ask(pg_read_only(db));
    case 4:
        return ask_new(db);
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
        return random_below(&dice, 8) ? ask(pool) : listen_a_while(db);
    case 10:
        return ask_as(random_below(&dice, 2) ? pool : pg_read_only(db));
    case 11:
    case 12:
        return read_stream(random_below(&dice, 4) ? pool : pg_read_only(db));
    case 13:
        return copy_structs(pool);
    case 14:
    case 15:
        return commit_with(db);
    default:
        return pg_transaction(db, NULL, transact, NULL);
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
        &PG_ROLLED_BACK,     /* what was left open in a nested transaction has failed that */
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
    while (!enough) {
        const uint32_t ms = random_below(&dice, 3) ? 3000 : 1 + (uint32_t)random_below(&dice, 40);
        begun++;
        const error e = scope_call(&(scope_options){ .deadline_ms = ms }, do_one, arg);
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

/* --- what the tracers see --------------------------------------------------------------------- */

typedef struct seen {
    uint64_t started, ended;
} seen;

static seen queries_seen, batches_seen, copies_seen, prepares_seen, connects_seen, acquires_seen;
static uint64_t connected, given_out, given_back;

#define SEEN(what)                         \
    static void what##_started(pg_span *s) \
    {                                      \
        (void)s;                           \
        what##_seen.started++;             \
    }

#define SEEN_WHOLE(what)                 \
    SEEN(what)                           \
    static void what##_ended(pg_span *s) \
    {                                    \
        (void)s;                         \
        what##_seen.ended++;             \
    }

SEEN_WHOLE(queries)
SEEN_WHOLE(batches)
SEEN_WHOLE(copies)
SEEN_WHOLE(prepares)
SEEN(connects)
SEEN(acquires)

static void connects_ended(pg_span *s)
{
    connects_seen.ended++;
    connected += !s->result.kind;
}

static void acquires_ended(pg_span *s)
{
    acquires_seen.ended++;
    given_out += !s->result.kind;
}

static void release_ended(pg_span *s)
{
    (void)s;
    given_back++;
}

static const pg_trace TRACE = {
    .query = { queries_started, queries_ended },
    .batch = { batches_started, batches_ended },
    .copy = { copies_started, copies_ended },
    .prepare = { prepares_started, prepares_ended },
    .connect = { connects_started, connects_ended },
    .acquire = { acquires_started, acquires_ended },
    .release = { .ended = release_ended },
};

static void assert_ended(const char *what, const seen *s)
{
    if (s->started != s->ended)
        fail_msg("%s: %llu started, %llu ended", what, (unsigned long long)s->started,
                 (unsigned long long)s->ended);
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
    return pg_execute((pg_pool *)arg, NULL,
                      "select pg_terminate_backend(pid) from pg_stat_activity where "
                      "application_name = 'soak' and pid <> pg_backend_pid() and random() < 0.5");
}

/* A worker, of the pool that its number gives it. */
static void start_worker(fiber **workers, uint64_t i)
{
    assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, work, pools[i % POOLS],
                          &workers[i]));
}

static void sabotage(fiber **workers)
{
    /* The last one where there is TLS. */
    static const chaos_faults FAULTS[] = {
        { .delay_ms = 3 },        { .piece_bytes = 11 }, { .piece_bytes = 700, .delay_ms = 1 },
        { .stalls = true },       { .cut_one_in = 50 },  { 0 },
        { .corrupt_one_in = 40 },
    };
    const uint64_t which_pool = random_below(&dice, POOLS);
    chaos_proxy *proxy = &proxies[which_pool];
    pg_pool *db = pools[which_pool];
    error e = OK;
    switch (random_below(&dice, 6)) {
    case 0:
        e = scope_call(&(scope_options){ .deadline_ms = 500 }, end_sessions, db);
        break;
    case 1:
        chaos_proxy_break(proxy);
        break;
    case 2:
        e = pg_execute(db, NULL, "deallocate all");
        break;
    case 3: {
        const uint64_t which = random_below(&dice, WORKERS);
        fiber_cancel(workers[which], &CANCELED);
        const error left = fiber_join(&workers[which]);
        if (left.kind && !is_expected(left))
            assert_ok(left);
        start_worker(workers, which);
        break;
    }
    default:
        proxy->faults = FAULTS[random_below(&dice, ARRAY_LEN(FAULTS) - (which_pool == 0))];
        assert_ok(fiber_sleep(1 + (uint32_t)random_below(&dice, 200)));
        proxy->faults = (chaos_faults){ 0 };
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

static size_t resident_bytes(void)
{
    char line[128];
    size_t kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    assert_non_null(f);
    while (kib == 0 && fgets(line, sizeof line, f)) {
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtoull(line + 6, NULL, 10);
    }
    (void)fclose(f);
    return kib * 1024;
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

/* Both pools together. */
static pg_pool_stats stats_of_all(void)
{
    pg_pool_stats all = { 0 };
    for (int i = 0; i < POOLS; i++) {
        const pg_pool_stats one = pg_pool_stats_of(pools[i]);
        all.open += one.open;
        all.opening += one.opening;
        all.leased += one.leased;
        all.waiting += one.waiting;
        all.acquired += one.acquired;
        all.released += one.released;
    }
    return all;
}

static bool is_at_rest(const pg_pool_stats *stats, int64_t there)
{
    return stats->leased <= POOLS && stats->opening == 0 && there == stats->open &&
           ledger_own(ledger_line_of("pg.held")) == stats->open;
}

/* When what was given up has been canceled, and what was cut off was noticed. */
static void assert_balanced(void)
{
    int64_t there = sessions();
    pg_pool_stats stats = stats_of_all();
    for (int tries = 0; tries < 1000 && !is_at_rest(&stats, there); tries++) {
        assert_ok(fiber_sleep(10));
        there = sessions();
        stats = stats_of_all();
    }
    assert_int_equal(begun, ended);
    assert_int_equal(stats.waiting, 0);
    assert_in_range(stats.leased, 0, POOLS); /* the listeners' */
    assert_int_equal(stats.acquired - stats.released, stats.leased);
    assert_int_equal(there, stats.open);
    assert_int_equal(ledger_own(ledger_line_of("pg.held")), stats.open);
    assert_int_equal(given_out, stats.acquired);
    assert_int_equal(given_back, stats.released);
    assert_ended("queries", &queries_seen);
    assert_ended("batches", &batches_seen);
    assert_ended("copies", &copies_seen);
    assert_ended("preparations", &prepares_seen);
    assert_ended("connecting", &connects_seen);
    assert_ended("acquiring", &acquires_seen);
}

typedef struct memory {
    size_t heap, resident; /* bytes, at rest */
} memory;

static memory run_round(bool restarts)
{
    fiber *workers[WORKERS];
    const uint64_t until_ms = loop_now_ms(loop_self()) + ROUND_MS;
    enough = false;
    for (uint64_t i = 0; i < WORKERS; i++)
        start_worker(workers, i);
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
    return (memory){ heap_bytes(), resident_bytes() };
}

static void assert_flat(const memory *warm, const memory *now, uint32_t round)
{
    if (now->heap > warm->heap + HEAP_BYTES)
        fail_msg("the heap has grown from %zu to %zu bytes in round %u", warm->heap, now->heap,
                 round);
#if !defined(__SANITIZE_ADDRESS__) /* which keeps what was freed for a while */
    if (now->resident > warm->resident + RESIDENT_BYTES)
        fail_msg("the process has grown from %zu to %zu bytes in round %u", warm->resident,
                 now->resident, round);
#endif
}

static void print_result(void)
{
    uint32_t cut = 0, changed = 0, accepted = 0;
    for (int i = 0; i < POOLS; i++) {
        cut += proxies[i].cut;
        changed += proxies[i].corrupted;
        accepted += proxies[i].accepted;
    }
    print_message("%llu operations, %llu without a fault, %llu rows checked\n",
                  (unsigned long long)ended, (unsigned long long)succeeded,
                  (unsigned long long)row_checks);
    print_message("%u connections, %llu of them sessions; %u cut by the proxies, %u with a changed "
                  "bit; %llu given out, %llu given back\n",
                  accepted, (unsigned long long)connected, cut, changed,
                  (unsigned long long)given_out, (unsigned long long)given_back);
}

static uint64_t seconds_wanted(void)
{
    const char *given = getenv("BRIO_TEST_SOAK_S");
    return given ? strtoull(given, NULL, 10) : SECONDS;
}

static void test_soak_of_faults_leaves_every_counter_balanced(void **state)
{
    (void)state;
    const uint64_t began_ms = clock_real_ms(), wanted_ms = seconds_wanted() * 1000;
    memory warm = { 0 }, now = { 0 };
    uint64_t shown = 0;
    for (uint32_t round = 0; round <= WARM_ROUNDS || clock_real_ms() < began_ms + wanted_ms;
         round++) {
        now = run_round(round % 8 == 1);
        if (round == WARM_ROUNDS - 1)
            warm = now;
        if (round >= WARM_ROUNDS)
            assert_flat(&warm, &now, round);
        const uint64_t past_ms = clock_real_ms() - began_ms;
        if (past_ms * SAMPLES < shown * wanted_ms)
            continue;
        shown = past_ms * SAMPLES / wanted_ms + 1;
        print_message("%4llu s: heap %zu KiB, resident %zu KiB\n",
                      (unsigned long long)past_ms / 1000, now.heap / 1024, now.resident / 1024);
    }
    print_result();
    assert_true(succeeded > 0 && row_checks > 0);
    assert_true(proxies[1].corrupted > 0 || wanted_ms <= (uint64_t)SECONDS * 1000);
}

/* --- life ------------------------------------------------------------------------------------- */

static void open_pool(int i, const address *at, const char *password)
{
    char conninfo[512];
    chaos_proxy_open(&proxies[i], at);
    (void)snprintf(conninfo, sizeof conninfo,
                   "host=127.0.0.1 port=%u user=brio password=%s dbname=brio sslmode=%s "
                   "application_name=soak",
                   proxies[i].port, password, i == 0 ? "disable" : "require");
    const pg_pool_options options = { .conninfo = str_from_c(conninfo),
                                      .connections_max = CONNECTIONS,
                                      .trace = &TRACE };
    assert_ok(pg_pool_open(&options, &pools[i]));
}

static int open_all(void **state)
{
    (void)state;
    char password[128];
    address at;
    assert_true(tls_files_make());
    assert_int_equal(setenv("PG_CONNECTIONS_MAX", CEILING, 1), 0);
    own_postgres_do(&server, "start");
    secure_postgres(&server);
    secure_postgres_at(&server, &at, password, sizeof password);
    for (int i = 0; i < POOLS; i++)
        open_pool(i, &at, password);
    dice = proxies[0].dice;
    assert_ok(pg_execute(pools[0], NULL, "create unlogged table soak (n bigint)"));
    assert_ok(
        pg_execute(pools[0], NULL, "create unlogged table soak_grains (n bigint, name text)"));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    for (int i = 0; i < POOLS; i++)
        pg_pool_close(&pools[i]);
    assert_int_equal(given_out, given_back);
    assert_int_equal(ledger_own(ledger_line_of("pg.held")), 0);
    assert_int_equal(ledger_own(ledger_line_of("pg.wants")), 0);
    assert_int_equal(sessions(), 0);
    for (int i = 0; i < POOLS; i++)
        chaos_proxy_close(&proxies[i]);
    own_postgres_do(&server, "remove");
    tls_files_remove();
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
