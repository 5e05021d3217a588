/* Many fibers at work on one pool while connections are killed, statements forgotten and fibers
 * told to stop at random. Every row is its asker's own; what was committed is there whole, what was
 * not is not there at all, and afterwards nothing is taken. BRIO_TEST_SEED repeats a run's choices.
 */
#include "tests/support/database.h"
#include "tests/support/random.h"

#define WORKERS     24
#define ROUNDS      40
#define OPERATIONS  12
#define SABOTAGES   3
#define CONNECTIONS 4
#define LEDGER_MAX  (ROUNDS * WORKERS * OPERATIONS)

/* What a transaction was told about itself. */
typedef enum fate {
    NOT_TRIED = 0,
    COMMITTED,
    UNDONE,
    UNKNOWN,
} fate;

static pg_pool *db, *admin;
static random_state dice;
static fate ledger[LEDGER_MAX];
static int64_t next_entry;
static uint32_t answered, failed;

static int open_pools(void **state)
{
    (void)state;
    const pg_pool_options options = { .connections_max = CONNECTIONS, .acquire_timeout_ms = 20000 };
    dice = random_start();
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &admin));
    assert_ok(pg_execute(admin, NULL, "drop table if exists chaos_test"));
    assert_ok(pg_execute(admin, NULL, "create table chaos_test (entry bigint, part int)"));
    (void)setenv("PGAPPNAME", "chaos", 1);
    assert_ok(pg_pool_open(&options, &db));
    (void)unsetenv("PGAPPNAME");
    return 0;
}

static int close_pools(void **state)
{
    (void)state;
    pg_pool_close(&db);
    assert_ok(pg_execute(admin, NULL, "drop table chaos_test"));
    pg_pool_close(&admin);
    return 0;
}

/* Errors that sabotage may lead to; any other is a mistake. */
static error expected(error e)
{
    static const error_kind *const KINDS[] = {
        &CANCELED,
        &TIMED_OUT,
        &PG_CONNECTION_LOST,
        &PG_CONNECT_FAILED,
        &PG_ADMIN_SHUTDOWN,
        &PG_COMMIT_UNKNOWN,
        &PG_IN_FAILED_TRANSACTION,
        &PG_STATEMENT_STALE /* forgotten within a transaction */
    };
    if (!e.kind) {
        answered++;
        return OK;
    }
    failed++;
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        if (error_is(e, KINDS[i]))
            return OK;
    }
    return e;
}

/* Fibers do not assert: cmocka would jump to another's stack. */
static ERROR_KIND(WRONG_ANSWER, ERROR_INTERNAL, "An answer that is not one's own.");

static error wrong(int64_t asked)
{
    return error_set(&WRONG_ANSWER, "the answer to %lld", (long long)asked);
}

static error select_own(void)
{
    const int64_t own = (int64_t)(random_next(&dice) >> 1);
    const size_t len = random_below(&dice, 3000);
    const int32_t rows_wanted = (int32_t)(random_below(&dice, 5));
    char *text = arena_alloc(fiber_arena(), len + 1, 1);
    memset(text, 'a' + (int)(own % 26), len);
    pg_rows rows;
    TRY(pg_query(db, &rows, "select $1, $2 from generate_series(1, $3)", own, ((str){ text, len }),
                 rows_wanted));
    if (rows.count != (size_t)rows_wanted)
        return wrong(own);
    for (size_t i = 0; i < rows.count; i++) {
        int64_t n = 0;
        str back;
        TRY(pg_get(&rows, i, 0, &n));
        TRY(pg_get(&rows, i, 1, &back));
        if (n != own || !str_eq(back, (str){ text, len }))
            return wrong(own);
    }
    return OK;
}

/* One of many texts, so that statements are prepared and closed all the time. */
static error select_from_many_texts(void)
{
    const int64_t which = (int64_t)(random_below(&dice, 600));
    int64_t n = -1;
    pg_rows rows;
    TRY(pg_query(db, &rows, str_format(fiber_arena(), "select %lld::bigint", (long long)which)));
    TRY(rows.count == 1 ? pg_get(&rows, 0, 0, &n) : wrong(which));
    return n == which ? OK : wrong(which);
}

static error select_wrongly(void)
{
    const int32_t zero = 0;
    const error e = pg_execute(db, NULL, "select 1 / $1", zero);
    return error_is(e, &PG_DATA_EXCEPTION) ? OK : e;
}

static error write_entry(int64_t entry)
{
    pg_tx *tx;
    const int32_t one = 1, two = 2;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into chaos_test values ($1, $2)", entry, one));
    if (entry % 5 == 0)
        TRY(fiber_yield());
    TRY(pg_execute(tx, NULL, "insert into chaos_test values ($1, $2)", entry, two));
    if (entry % 7 == 0) {
        ledger[entry] = UNDONE;
        return entry % 2 ? pg_rollback(&tx) : OK; /* or by the scope's end */
    }
    const error e = pg_commit(&tx);
    ledger[entry] = !e.kind ? COMMITTED : error_is(e, &PG_COMMIT_UNKNOWN) ? UNKNOWN : UNDONE;
    return e;
}

static error write_next_entry(void *arg)
{
    (void)arg;
    const int64_t entry = next_entry++;
    ledger[entry] = UNDONE; /* until told otherwise */
    return write_entry(entry);
}

static error work(void *arg)
{
    (void)arg;
    for (int i = 0; i < OPERATIONS; i++) {
        const uint64_t what = random_below(&dice, 10);
        if (what < 4)
            TRY(expected(select_own()));
        else if (what < 6)
            TRY(expected(select_from_many_texts()));
        else if (what < 7)
            TRY(expected(select_wrongly()));
        else
            TRY(expected(scope_call(NULL, write_next_entry, NULL)));
    }
    return OK;
}

static void sabotage(fiber *const *workers)
{
    pg_rows rows;
    switch (random_below(&dice, 6)) {
    case 0:
        assert_ok(pg_query(admin, &rows,
                           "select pg_terminate_backend(pid) from pg_stat_activity where pid <> "
                           "pg_backend_pid() and datname = current_database() and "
                           "application_name = 'chaos' order by random() limit 1"));
        break;
    case 1:
        assert_ok(expected(pg_execute(db, NULL, "deallocate all")));
        break;
    default:
        fiber_cancel(workers[random_below(&dice, WORKERS)], &CANCELED);
    }
}

static void run_round(void)
{
    fiber *workers[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        const fiber_options options = { .joinable = true,
                                        .deadline_ms =
                                            random_below(&dice, 8) ? 0 : (uint32_t)(1 + i % 16) };
        assert_ok(fiber_start(loop_self(), &options, work, NULL, &workers[i]));
    }
    for (int i = 0; i < SABOTAGES; i++) {
        for (uint64_t turns = random_below(&dice, 100); turns > 0; turns--)
            assert_ok(fiber_yield());
        sabotage(workers);
    }
    for (size_t i = 0; i < WORKERS; i++)
        assert_ok(fiber_join(&workers[i]));
    const pg_pool_stats stats = pg_pool_stats_of(db);
    assert_int_equal(stats.leased, 0);
    assert_int_equal(stats.waiting, 0);
    assert_in_range(stats.open + stats.opening, 0, CONNECTIONS);
}

static void check_ledger(void)
{
    pg_rows rows;
    static int32_t parts[LEDGER_MAX];
    assert_ok(
        pg_query(admin, &rows,
                 "select entry, count(*)::int, sum(part)::int from chaos_test group by entry"));
    for (size_t i = 0; i < rows.count; i++) {
        int64_t entry = 0;
        int32_t count = 0, sum = 0;
        assert_ok(pg_get(&rows, i, 0, &entry));
        assert_ok(pg_get(&rows, i, 1, &count));
        assert_ok(pg_get(&rows, i, 2, &sum));
        assert_int_equal(count, 2); /* whole */
        assert_int_equal(sum, 3);
        parts[entry] = count;
    }
    uint32_t of_fate[4] = { 0 };
    for (int64_t i = 0; i < next_entry; i++) {
        of_fate[ledger[i]]++;
        if ((ledger[i] == COMMITTED && !parts[i]) || (ledger[i] == UNDONE && parts[i]))
            fail_msg("entry %lld was told %d and has %d rows", (long long)i, (int)ledger[i],
                     parts[i]);
    }
    print_message("%u answers, %u errors; %u committed, %u undone, %u unknown\n", answered, failed,
                  of_fate[COMMITTED], of_fate[UNDONE], of_fate[UNKNOWN]);
    assert_true(of_fate[COMMITTED] > 0 && of_fate[UNDONE] > 0);
}

static void test_chaos_loses_mixes_and_keeps_nothing(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++)
        run_round();
    check_ledger();
    for (int i = 0; i < 20; i++) {
        const error e = select_own(); /* the pool may have to come back first */
        if (e.kind)
            assert_ok(expected(e));
        assert_ok(fiber_sleep(i < 10 && e.kind ? 100 : 0));
    }
    assert_ok(select_own());
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chaos_loses_mixes_and_keeps_nothing),
    };
    return cmocka_run_group_tests_name("pg chaos", tests, open_pools, close_pools);
}

int main(void)
{
    return run_with_database(run);
}
