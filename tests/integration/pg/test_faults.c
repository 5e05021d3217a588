/* The client when something ends too early: fibers told to stop at any moment, arenas and memory
 * that run out, prepared statements that the server forgets, pools closed under whoever uses them.
 * Whatever happens, no connection stays taken, no statement gets into another's transaction, and
 * the next query has its own answer. */
#include "core/block.h"
#include "core/crash.h"
#include "core/fault.h"
#include "tests/support/database.h"
#include "tests/support/mock_pg.h"

#include <signal.h>
#include <unistd.h>

static pg_pool *db;

static int open_pool_of(uint32_t connections)
{
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = connections }, &db));
    assert_ok(pg_execute(db, NULL, "create table if not exists fault_test (n bigint)"));
    assert_ok(pg_execute(db, NULL, "truncate fault_test"));
    return 0;
}

static int open_one(void **state)
{
    (void)state;
    return open_pool_of(1);
}

static int open_three(void **state)
{
    (void)state;
    return open_pool_of(3);
}

static int close_pool(void **state)
{
    (void)state;
    pg_pool_close(&db);
    return 0;
}

/* Nothing is taken, and a query has its own answer. */
static void assert_in_order(void)
{
    static int64_t asked;
    int64_t answered = -1;
    pg_rows rows;
    asked++;
    assert_ok(pg_query(db, &rows, "select $1", asked));
    assert_int_equal(rows.count, 1);
    assert_ok(pg_get(&rows, 0, 0, &answered));
    assert_int_equal(answered, asked);
    const pg_pool_stats stats = pg_pool_stats_of(db);
    assert_int_equal(stats.leased, 0);
    assert_int_equal(stats.waiting, 0);
}

/* Rows as a connection of its own sees them. */
static int64_t count(void)
{
    pg_pool *other;
    pg_rows rows;
    int64_t n = -1;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &other));
    assert_ok(pg_query(other, &rows, "select count(*) from fault_test"));
    assert_ok(pg_get(&rows, 0, 0, &n));
    pg_pool_close(&other);
    return n;
}

static fiber *start(error (*fn)(void *arg), void *arg)
{
    fiber *f;
    assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, fn, arg, &f));
    return f;
}

static void yield_times(uint32_t times)
{
    for (uint32_t i = 0; i < times; i++)
        assert_ok(fiber_yield());
}

/* --- transactions and who shares their connection --------------------------------------------- */

static error insert_two(void *arg)
{
    (void)arg;
    return pg_execute(db, NULL, "insert into fault_test values (2)");
}

static error insert_in_tx(void *arg)
{
    (void)arg;
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into fault_test values (1)"));
    return pg_commit(&tx);
}

/* It waits for its statement to be prepared when the transaction wants the connection. */
static void test_tx_lease_waits_for_a_query_that_is_being_prepared(void **state)
{
    (void)state;
    assert_ok(insert_in_tx(NULL)); /* its own statements are prepared */
    fiber *other = start(insert_two, NULL);
    assert_ok(fiber_yield());
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "insert into fault_test values (1)"));
    assert_ok(pg_rollback(&tx));
    assert_ok(fiber_join(&other));
    assert_int_equal(count(), 2);
    assert_in_order();
}

static error sleep_first(void *arg)
{
    (void)arg;
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    return pg_execute(tx, NULL, "select pg_sleep(0.2)");
}

/* BEGIN was sent with it, and nobody has read so. */
static void test_tx_first_statement_that_nobody_waits_for_is_rolled_back(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "select pg_sleep(0.2)")); /* prepared */
    assert_ok(scope_call(NULL, sleep_first, NULL));
    assert_fails(TIMED_OUT, scope_call(&(scope_options){ .deadline_ms = 40 }, sleep_first, NULL));
    assert_in_order();
    assert_ok(insert_two(NULL));
    assert_int_equal(count(), 1);
}

static void test_tx_first_statement_that_is_refused_fails_the_transaction(void **state)
{
    (void)state;
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_fails(PG_UNDEFINED_TABLE, pg_execute(tx, NULL, "insert into no_such_table values (1)"));
    assert_ok(insert_two(NULL));
    assert_fails(PG_IN_FAILED_TRANSACTION,
                 pg_execute(tx, NULL, "insert into fault_test values (1)"));
    assert_fails(PG_IN_FAILED_TRANSACTION, pg_script(tx, STR("select 1")));
    assert_fails(PG_ROLLED_BACK, pg_commit(&tx));
    assert_in_order();
    assert_int_equal(count(), 1);
}

static error commit_late(void *arg)
{
    (void)arg;
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into fault_test values (1)"));
    const error late = fiber_sleep(10000);
    assert_fails(TIMED_OUT, late);
    const error e = pg_commit(&tx);
    assert_null(tx);
    return e;
}

static error roll_back_late(void *arg)
{
    (void)arg;
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into fault_test values (1)"));
    const error late = fiber_sleep(10000);
    assert_fails(TIMED_OUT, late);
    return pg_rollback(&tx);
}

static int32_t backend(void)
{
    pg_rows rows;
    int32_t pid = 0;
    assert_ok(pg_query(db, &rows, "select pg_backend_pid()"));
    assert_ok(pg_get(&rows, 0, 0, &pid));
    return pid;
}

static void test_tx_commit_past_its_deadline_is_not_sent(void **state)
{
    (void)state;
    const int32_t pid = backend();
    const scope_options soon = { .deadline_ms = 40 };
    assert_fails(TIMED_OUT, scope_call(&soon, commit_late, NULL));
    assert_int_equal(count(), 0);
    assert_fails(TIMED_OUT, scope_call(&soon, roll_back_late, NULL));
    assert_int_equal(count(), 0);
    assert_in_order();
    assert_int_equal(backend(), pid); /* the connection was worth keeping */
}

static void test_tx_ended_by_a_statement_of_its_own_is_an_error(void **state)
{
    (void)state;
    static const char *const ENDS[] = { "commit", "rollback", "end" };
    for (size_t i = 0; i < ARRAY_LEN(ENDS); i++) {
        pg_tx *tx;
        assert_ok(pg_begin(db, &tx));
        assert_ok(pg_execute(tx, NULL, "insert into fault_test values (1)"));
        assert_fails(PG_INVALID_ARGUMENT, pg_execute(tx, NULL, ENDS[i]));
        assert_ok(pg_rollback(&tx));
        assert_ok(pg_begin(db, &tx));
        assert_fails(PG_INVALID_ARGUMENT, pg_execute(tx, NULL, ENDS[i]));
        assert_ok(pg_rollback(&tx));
        assert_in_order();
    }
    assert_int_equal(count(), 2);
    pg_tx *tx; /* points to go back to are none */
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "savepoint here"));
    assert_ok(pg_execute(tx, NULL, "insert into fault_test values (1)"));
    assert_fails(PG_UNDEFINED_TABLE, pg_execute(tx, NULL, "select * from no_such_table"));
    assert_ok(pg_execute(tx, NULL, "rollback to here"));
    assert_ok(pg_execute(tx, NULL, "insert into fault_test values (2)"));
    assert_ok(pg_commit(&tx));
    assert_int_equal(count(), 3);
}

static void test_tx_goes_on_after_the_server_forgot_all_statements(void **state)
{
    (void)state;
    int64_t committed = 0;
    for (int round = 0; round < 3; round++) {
        assert_ok(scope_call(NULL, insert_in_tx, NULL));
        committed++;
        assert_ok(pg_execute(db, NULL, "deallocate all"));
        for (int tries = 0; tries < 4; tries++)
            committed += error_is_ok(scope_call(NULL, insert_in_tx, NULL));
        assert_in_order();
        assert_int_equal(count(), committed);
    }
    assert_in_range(committed, 9, 15);
}

static error commit_forgotten(void *arg)
{
    const bool *fails = arg;
    pg_tx *tx;
    pg_rows rows;
    str name;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into fault_test values (1)"));
    TRY(pg_query(tx, &rows, "select name from pg_prepared_statements where statement = 'commit'"));
    assert_int_equal(rows.count, 1);
    TRY(pg_get(&rows, 0, 0, &name));
    TRY(pg_execute(tx, NULL, str_format(fiber_arena(), "deallocate %.*s", STR_ARG(name))));
    const error e = pg_commit(&tx);
    assert_true(*fails == (e.kind != NULL));
    assert_int_equal(pg_pool_stats_of(db).leased, 0); /* at once, and not with the scope */
    return e;
}

/* Each statement of a pipeline has a Sync: one whose BEGIN failed must not run outside of it. */
static void test_tx_pipeline_whose_begin_the_server_forgot_stays_inside(void **state)
{
    (void)state;
    pg_tx *tx;
    assert_ok(scope_call(NULL, insert_in_tx, NULL)); /* BEGIN is prepared */
    assert_ok(pg_execute(db, NULL, "deallocate all"));
    assert_ok(pg_begin(db, &tx));
    pg_batch *b = pg_batch_new();
    pg_batch_execute(b, NULL, "insert into fault_test values (2)");
    pg_batch_execute(b, NULL, "insert into fault_test values (3)");
    assert_ok(pg_pipeline_run(tx, b));
    assert_ok(pg_rollback(&tx));
    assert_in_order();
    assert_int_equal(count(), 1);
}

/* A nested one that cannot be committed is undone, and what is around it goes on. */
static void test_tx_nested_commit_that_the_server_forgot_is_undone(void **state)
{
    (void)state;
    pg_tx *outer, *inner;
    assert_ok(pg_begin(db, &outer));
    assert_ok(pg_begin(outer, &inner));
    assert_ok(pg_commit(&inner)); /* RELEASE is prepared */
    assert_ok(pg_begin(outer, &inner));
    assert_ok(pg_execute(inner, NULL, "insert into fault_test values (1)"));
    assert_ok(pg_execute(inner, NULL, "deallocate all"));
    assert_fails(PG_STATEMENT_STALE, pg_commit(&inner));
    assert_ok(pg_execute(outer, NULL, "insert into fault_test values (2)"));
    assert_ok(pg_commit(&outer));
    assert_int_equal(count(), 1);
}

static void test_tx_commit_that_the_server_forgot_is_rolled_back(void **state)
{
    (void)state;
    bool fails = true;
    assert_ok(scope_call(NULL, insert_in_tx, NULL));
    assert_fails(PG_STATEMENT_STALE, scope_call(NULL, commit_forgotten, &fails)); /* not unknown */
    assert_in_order();
    assert_int_equal(count(), 1);
    assert_ok(scope_call(NULL, insert_in_tx, NULL));
    assert_int_equal(count(), 2);
}

static void test_query_goes_on_after_the_server_forgot_all_statements(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_in_order();
        assert_ok(pg_execute(db, NULL, "deallocate all"));
    }
    assert_in_order();
    assert_ok(pg_execute(db, NULL, "alter table fault_test add column more text"));
    pg_rows rows;
    for (int i = 0; i < 3; i++) {
        assert_ok(pg_query(db, &rows, "select * from fault_test"));
        assert_int_equal(rows.column_count, 2 + i);
        assert_ok(pg_execute(
            db, NULL,
            str_format(fiber_arena(), "alter table fault_test add column more%d text", i)));
    }
    assert_ok(pg_execute(db, NULL, "drop table fault_test"));
}

/* --- COPY, and what clients must not send ----------------------------------------------------- */

static error copy_in(void *arg)
{
    (void)arg;
    return pg_execute(db, NULL, "copy fault_test from stdin");
}

static void test_query_copy_from_fails_alone_and_copy_to_is_drained(void **state)
{
    (void)state;
    assert_ok(insert_two(NULL));
    uint64_t affected = 0;
    assert_ok(pg_execute(db, &affected, "copy fault_test to stdout"));
    assert_int_equal(affected, 1);
    assert_in_order();
    assert_fails(PG_INVALID_ARGUMENT, copy_in(NULL));
    assert_in_order();
    fiber *copying = start(copy_in, NULL), *asking = start(insert_two, NULL);
    assert_fails(PG_INVALID_ARGUMENT, fiber_join(&copying));
    const error e = fiber_join(&asking); /* it may have waited on the same connection */
    assert_true(!e.kind || error_is(e, &PG_CONNECTION_LOST));
    assert_in_order();
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_fails(PG_INVALID_ARGUMENT, pg_script(tx, STR("copy fault_test from stdin")));
    assert_ok(pg_rollback(&tx));
    assert_in_order();
}

static void test_query_text_that_postgresql_cannot_hold_is_the_callers_fault(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        str text;
    } BAD[] = {
        { "a NUL", { "a\0b", 3 } },
        { "no UTF-8", { "a\xff", 2 } },
        { "a surrogate", { "\xed\xa0\x80", 3 } },
    };
    pg_rows rows;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        const error e = pg_query(db, &rows, "select $1", BAD[i].text);
        if (!error_is(e, &PG_DATA_EXCEPTION))
            fail_msg("%s", BAD[i].name);
        assert_int_equal(error_class_of(e), ERROR_INVALID);
        str items[] = { BAD[i].text };
        assert_fails(PG_DATA_EXCEPTION,
                     pg_query(db, &rows, "select $1", ((text_list){ items, 1 })));
    }
    const jsonb document = { STR("{\"a\":\"\\u0000\"}") };
    assert_fails(PG_DATA_EXCEPTION, pg_query(db, &rows, "select $1", document));
    assert_in_order();
}

static void test_query_that_begins_leaves_nobody_in_its_transaction(void **state)
{
    (void)state;
    assert_fails(PG_INVALID_ARGUMENT, pg_execute(db, NULL, "begin"));
    assert_ok(insert_two(NULL));
    assert_int_equal(count(), 1);
    assert_in_order();
}

/* Also when it is told to stop. */
static error sleep_alone(void *arg)
{
    (void)arg;
    return pg_execute(db, NULL,
                      "do $$ begin perform pg_sleep(2); exception when query_canceled then "
                      "perform pg_sleep(2); end $$");
}

static void test_query_given_up_does_not_hold_up_others(void **state)
{
    (void)state;
    while (pg_pool_stats_of(db).open < 2) { /* a second connection is opened beside a busy one */
        fiber *both[] = { start(insert_two, NULL), start(insert_two, NULL) };
        assert_ok(fiber_join(&both[0]));
        assert_ok(fiber_join(&both[1]));
        assert_ok(fiber_sleep(1));
    }
    assert_fails(TIMED_OUT, scope_call(&(scope_options){ .deadline_ms = 50 }, sleep_alone, NULL));
    for (int i = 0; i < 5; i++) {
        pg_rows rows;
        int64_t sleeping = 0;
        assert_ok(pg_query(db, &rows,
                           "select count(*) from pg_stat_activity where state = 'active' and "
                           "query like 'do $$ begin perform pg_sleep(2);%'"));
        assert_ok(pg_get(&rows, 0, 0, &sleeping));
        assert_int_equal(sleeping, 1); /* nobody is behind it */
    }
}

/* --- limits ----------------------------------------------------------------------------------- */

static str list_of(const char *start, const char *format, int count, const char *end)
{
    buf text;
    buf_init_arena(&text, fiber_arena(), (size_t)4 << 20);
    buf_append_format(&text, "%s", start);
    for (int i = 1; i <= count; i++) {
        buf_append(&text, i > 1 ? STR(",") : STR(""));
        buf_append_format(&text, format, i);
    }
    buf_append_format(&text, "%s", end);
    assert_ok(buf_status(&text));
    return buf_str(&text);
}

static void test_query_takes_as_many_parameters_as_the_protocol(void **state)
{
    (void)state;
    static pg_value values[PG_VALUES_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        values[i] = pg_param_int8((int64_t)i + 1);
    pg_rows rows;
    int64_t sum = 0;
    const str sql =
        list_of("select sum(n)::bigint from unnest(array[", "$%d", PG_VALUES_MAX, "]::bigint[]) n");
    assert_ok(pg_query_values(pg_target_pool(db), PG_SQL(sql), (pg_values){ values, PG_VALUES_MAX },
                              &rows));
    assert_ok(pg_get(&rows, 0, 0, &sum));
    assert_int_equal(sum, 65535LL * 65536 / 2);
    assert_fails(PG_INVALID_ARGUMENT,
                 pg_query_values(pg_target_pool(db), PG_SQL(sql),
                                 (pg_values){ values, PG_VALUES_MAX + 1 }, &rows));
    /* More than the statement uses; fewer than it has: the server says so, and nothing hangs. */
    assert_ok(pg_query(db, &rows, "select 1", sum));
    const error e = pg_query(db, &rows, "select $1::int + $2::int", sum);
    assert_true(e.kind != NULL && error_class_of(e) == ERROR_INTERNAL);
    assert_in_order();
}

static void test_query_takes_as_many_columns_as_the_server(void **state)
{
    (void)state;
    pg_rows rows;
    int32_t last = 0;
    assert_ok(pg_query(db, &rows, list_of("select ", "%d", 1664, "")));
    assert_int_equal(rows.column_count, 1664);
    assert_ok(pg_get(&rows, 0, 1663, &last));
    assert_int_equal(last, 1664);
    assert_fails(PG_FAILED, pg_query(db, &rows, list_of("select ", "%d", 1665, "")));
    assert_ok(pg_query(db, &rows, "select")); /* no column at all */
    assert_int_equal(rows.count, 1);
    assert_int_equal(rows.column_count, 0);
    assert_ok(pg_query(db, &rows, "")); /* no statement */
    assert_int_equal(rows.count, 0);
    assert_ok(pg_query(db, &rows, "select 1 as \"\xC3\xA9\" limit 0"));
    assert_int_equal(rows.count, 0);
    assert_int_equal(rows.column_count, 1);
    assert_in_order();
}

#define HEAVY_BYTES ((size_t)3 << 20)

static error carry_both_ways(void *arg)
{
    const int *letter = arg;
    char *bytes = arena_alloc(fiber_arena(), HEAVY_BYTES, 1);
    memset(bytes, *letter, HEAVY_BYTES);
    const str sent = { bytes, HEAVY_BYTES };
    pg_rows rows;
    str back;
    TRY(pg_query(db, &rows, "select $1 from generate_series(1, 3)", sent));
    for (size_t i = 0; i < 3; i++) {
        TRY(rows.count == 3 ? pg_get(&rows, i, 0, &back) : error_set(&PG_FAILED, "rows"));
        if (!str_eq(back, sent))
            return error_set(&PG_FAILED, "another's row");
    }
    return OK;
}

/* Both sides have more to write than any buffer holds. */
static void test_query_heavy_traffic_both_ways_does_not_stand_still(void **state)
{
    (void)state;
    fiber *fibers[12];
    int letters[ARRAY_LEN(fibers)];
    for (size_t i = 0; i < ARRAY_LEN(fibers); i++) {
        letters[i] = 'a' + (int)i;
        fibers[i] = start(carry_both_ways, &letters[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(fibers); i++)
        assert_ok(fiber_join(&fibers[i]));
    assert_in_order();
}

/* --- memory ----------------------------------------------------------------------------------- */

typedef struct small_fiber {
    size_t leave; /* bytes free in the newest block of its arena */
    int32_t rows;
    bool in_tx;
} small_fiber;

static error ask_in_little_memory(void *arg)
{
    const small_fiber *s = arg;
    pg_rows rows;
    (void)arena_alloc(fiber_arena(), 1, 1);
    const size_t room = (size_t)(fiber_arena()->end - fiber_arena()->pos);
    if (room > s->leave)
        (void)arena_alloc(fiber_arena(), room - s->leave, 1);
    pg_tx *tx = NULL;
    if (s->in_tx)
        TRY(pg_begin(db, &tx));
    const char *sql = "select n, repeat('x', 100) as some_long_name from generate_series(1, $1) n";
    TRY(tx ? pg_query(tx, &rows, sql, s->rows) : pg_query(db, &rows, sql, s->rows));
    if ((int32_t)rows.count != s->rows)
        return error_set(&PG_FAILED, "%zu rows", rows.count);
    return tx ? pg_commit(&tx) : OK;
}

static void ask_in(size_t arena_bytes, const small_fiber *s)
{
    fiber *f;
    small_fiber copy = *s;
    const fiber_options options = { .joinable = true, .arena_bytes_max = arena_bytes };
    assert_ok(fiber_start(loop_self(), &options, ask_in_little_memory, &copy, &f));
    const error e = fiber_join(&f);
    if (e.kind && !error_is(e, &ARENA_FULL))
        assert_ok(e);
    if (pg_pool_stats_of(db).leased > 0)
        fail_msg("still leased: %zu bytes, %d rows", s->leave, s->rows);
}

static void test_query_arena_that_is_full_gives_everything_back(void **state)
{
    (void)state;
    for (int in_tx = 0; in_tx < 2; in_tx++) {
        for (size_t leave = 0; leave < 1024; leave += 8)
            ask_in(BLOCK_CAPACITY, &(small_fiber){ leave, 1, in_tx });
        for (int32_t rows = 60; rows < 160; rows++)
            ask_in(BLOCK_CAPACITY, &(small_fiber){ BLOCK_CAPACITY, rows, in_tx });
        for (int32_t rows = 180; rows < 300; rows++)
            ask_in(2 * BLOCK_CAPACITY, &(small_fiber){ BLOCK_CAPACITY, rows, in_tx });
        assert_in_order();
    }
}

/* Everything the client does, once. */
static error whole_life(void *arg)
{
    (void)arg;
    pg_pool *own;
    pg_rows rows;
    pg_tx *tx;
    int64_t n = 0;
    TRY(pg_pool_open(&(pg_pool_options){ .connections_max = 2 }, &own));
    error e = pg_query(own, &rows, "select 7::bigint");
    if (!e.kind)
        e = pg_get(&rows, 0, 0, &n);
    if (!e.kind && n != 7)
        e = error_set(&PG_FAILED, "%lld is not 7", (long long)n);
    if (!e.kind)
        e = pg_begin(own, &tx);
    if (!e.kind)
        e = pg_execute(tx, NULL, "insert into fault_test values ($1)", n);
    if (!e.kind)
        e = pg_query(tx, &rows, "select repeat('x', 40000), $1", STR("a parameter"));
    if (!e.kind)
        e = pg_commit(&tx);
    const pg_pool_stats stats = pg_pool_stats_of(own);
    if (!e.kind && (stats.leased || stats.waiting))
        e = error_set(&PG_FAILED, "%u leased, %u waiting", stats.leased, stats.waiting);
    pg_pool_close(&own);
    return e;
}

/* In a scope and a fiber of its own, as memory that is out may end it anywhere. */
static error whole_life_in_scope(void *arg)
{
    return scope_call(&(scope_options){ .deadline_ms = 20000 }, whole_life, arg);
}

static void test_client_anything_that_fails_is_a_clean_error(void **state)
{
    (void)state;
    static const char *const POINTS[] = { "memory", "stream.new", "stream.send", "block.acquire" };
    for (size_t i = 0; i < ARRAY_LEN(POINTS); i++) {
        bool passed = true;
        uint32_t n = 1;
        for (; passed && n < 1000; n++) {
            const int64_t before = count();
            block_pool_trim();
            fault_at(POINTS[i], n);
            fiber *f;
            error e = fiber_start(loop_self(), &(fiber_options){ .joinable = true },
                                  whole_life_in_scope, NULL, &f);
            if (!e.kind)
                e = fiber_join(&f);
            passed = fault_passed(POINTS[i]) >= n;
            fault_clear();
            if (error_is(e, &TIMED_OUT) || (!passed && e.kind))
                assert_ok(e);
            if (!error_is(e, &PG_COMMIT_UNKNOWN))
                assert_int_equal(count(), before + !e.kind);
        }
        assert_in_range(n, 2, 999);
        print_message("%s: failed in %u places\n", POINTS[i], n - 2);
    }
}

/* --- fibers that crash ------------------------------------------------------------------------ */

static void crashed(const crash_report *report, void *arg)
{
    (void)report;
    ++*(uint32_t *)arg;
}

static error crash_in_transaction(void *arg)
{
    (void)arg;
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into fault_test values (1)"));
    (void)raise(SIGFPE);
    return pg_commit(&tx);
}

static error sleep_a_little(void *arg)
{
    (void)arg;
    return pg_execute(db, NULL, "select pg_sleep(0.05)");
}

static error crash_beside_queries(void *arg)
{
    wait_group group;
    wait_group_init(&group);
    for (int i = 0; i < 3; i++)
        TRY(wait_group_start(&group, sleep_a_little, arg));
    TRY(fiber_sleep(10));
    (void)raise(SIGFPE);
    return wait_group_wait(&group);
}

static void test_client_fiber_that_crashes_leaves_no_transaction_and_no_answer(void **state)
{
    (void)state;
    uint32_t crashes = 0;
    assert_ok(crash_contain(loop_self(), crashed, &crashes));
    assert_ok(sleep_a_little(NULL));
    for (int i = 0; i < 3; i++) {
        fiber *fibers[] = { start(sleep_a_little, NULL), start(crash_in_transaction, NULL),
                            start(crash_beside_queries, NULL) };
        assert_fails(FIBER_CRASHED, fiber_join(&fibers[1]));
        assert_fails(FIBER_CRASHED, fiber_join(&fibers[2]));
        assert_ok(fiber_join(&fibers[0]));
        assert_in_order();
    }
    assert_int_equal(crashes, 6);
    assert_int_equal(count(), 0);
}

/* --- told to stop at any moment --------------------------------------------------------------- */

static error ask_own_number(void *arg)
{
    const int64_t *number = arg;
    for (int i = 0; i < 3; i++) {
        pg_rows rows;
        int64_t n = -1;
        TRY(pg_query(db, &rows, "select $1, 'a', 'b'", *number));
        TRY(pg_get(&rows, 0, 0, &n));
        if (n != *number)
            return error_set(&PG_FAILED, "%lld got the row of %lld", (long long)*number,
                             (long long)n);
    }
    return OK;
}

static error write_own_number(void *arg)
{
    const int64_t *number = arg;
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into fault_test values ($1)", *number));
    TRY(pg_execute(tx, NULL, "insert into fault_test values ($1)", *number));
    return pg_commit(&tx);
}

#define ACTORS 6

/* Several fibers at work; after `turns` of the loop one is told to stop. */
static uint32_t stop_one_after(uint32_t turns)
{
    fiber *fibers[ACTORS];
    int64_t numbers[ACTORS];
    uint32_t stopped = 0;
    for (int64_t i = 0; i < ACTORS; i++) {
        numbers[i] = (int64_t)turns * 100 + i;
        fibers[i] = start(i % 2 ? write_own_number : ask_own_number, &numbers[i]);
    }
    yield_times(turns);
    fiber_cancel(fibers[turns % ACTORS], &CANCELED);
    for (uint32_t i = 0; i < ACTORS; i++) {
        const error e = fiber_join(&fibers[i]);
        stopped += error_is(e, &CANCELED) || error_is(e, &PG_COMMIT_UNKNOWN);
        if (e.kind && i != turns % ACTORS)
            assert_ok(e);
        if (e.kind && !error_is(e, &CANCELED))
            assert_fails(PG_COMMIT_UNKNOWN, e);
    }
    assert_in_order();
    return stopped;
}

static void test_client_fiber_told_to_stop_at_any_moment_disturbs_nobody(void **state)
{
    (void)state;
    uint32_t stopped = 0;
    for (uint32_t turns = 0; turns < 300; turns++)
        stopped += stop_one_after(turns);
    print_message("%u of 300 were still at work\n", stopped);
    assert_true(stopped > 20);
    pg_rows rows;
    int64_t halves = -1;
    assert_ok(pg_query(db, &rows,
                       "select count(*) from (select n from fault_test group by n having "
                       "count(*) <> 2) halves"));
    assert_ok(pg_get(&rows, 0, 0, &halves));
    assert_int_equal(halves, 0);
}

static error use_until_closed(void *arg)
{
    const int64_t *number = arg;
    for (;;)
        TRY(*number % 2 ? scope_call(NULL, write_own_number, arg) : ask_own_number(arg));
}

static void close_after(uint32_t turns)
{
    fiber *fibers[ACTORS];
    int64_t numbers[ACTORS];
    assert_int_equal(open_pool_of(turns % 3 + 1), 0);
    for (int64_t i = 0; i < ACTORS; i++) {
        numbers[i] = i;
        fibers[i] = start(use_until_closed, &numbers[i]);
    }
    yield_times(turns * 3);
    pg_pool *closing = db; /* the others still look at it */
    pg_pool_close(&closing);
    for (uint32_t i = 0; i < ACTORS; i++) {
        const error e = fiber_join(&fibers[i]);
        if (!error_is(e, &PG_CONNECTION_LOST) && !error_is(e, &PG_COMMIT_UNKNOWN))
            assert_fails(PG_POOL_CLOSED, e);
    }
}

/* Nobody waits for its connections, which may still be opening. */
static error close_in_a_hurry(void *arg)
{
    const uint32_t *turns = arg;
    pg_pool *own;
    assert_ok(pg_pool_open(NULL, &own));
    yield_times(*turns);
    fiber_cancel(fiber_self(), &CANCELED);
    pg_pool_close(&own);
    return OK;
}

static void test_pool_closed_at_any_moment_fails_who_uses_it(void **state)
{
    (void)state;
    for (uint32_t turns = 0; turns < 100; turns++)
        close_after(turns);
    for (uint32_t turns = 0; turns < 200; turns += 2) {
        fiber *f = start(close_in_a_hurry, &turns);
        assert_ok(fiber_join(&f));
        assert_ok(fiber_sleep(2)); /* the server has room for a hundred */
    }
    assert_ok(fiber_sleep(200)); /* they have gone by themselves */
}

static void leave_at_once(const mock_pg_step *steps, size_t count, uint32_t stall_ms)
{
    mock_pg m;
    pg_pool *own;
    mock_pg_start(&m, &(mock_pg_options){ steps, count });
    assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = str_from_c(m.conninfo) }, &own));
    assert_ok(fiber_sleep(10));
    (void)usleep(stall_ms * 1000); /* the last words and the reset come together */
    const error e = pg_execute(own, NULL, "select 1");
    assert_int_equal(error_class_of(e), ERROR_UNAVAILABLE);
    pg_pool_close(&own);
    (void)mock_pg_stop(&m);
}

static void test_pool_server_that_leaves_at_once_is_a_failed_connection(void **state)
{
    (void)state;
    static const mock_pg_step RESETS[] = { MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), MOCK_RESET };
    static const mock_pg_step CLOSES[] = { MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), MOCK_CLOSE };
    static const mock_pg_step LATER[] = { MOCK_ACCEPT, MOCK_SEND(MOCK_AUTH_OK MOCK_UTF8 MOCK_KEY),
                                          MOCK_PAUSE(20), MOCK_SEND(MOCK_READY), MOCK_RESET };
    for (uint32_t i = 0; i < 10; i++) {
        leave_at_once(RESETS, ARRAY_LEN(RESETS), i);
        leave_at_once(CLOSES, ARRAY_LEN(CLOSES), i);
        leave_at_once(LATER, ARRAY_LEN(LATER), 30);
    }
}

#define PARSED        "1\0\0\0\4t\0\0\0\6\0\0n\0\0\0\4"
#define BEGAN         "2\0\0\0\4C\0\0\0\12BEGIN\0"
#define INSERTED      "2\0\0\0\4C\0\0\0\17INSERT 0 1\0"
#define COMMITTED     "2\0\0\0\4C\0\0\0\13COMMIT\0"
#define IDLE          "Z\0\0\0\5I"
#define IN_TX         "Z\0\0\0\5T"
#define NOTE          "N\0\0\0\40SNOTICE\0VNOTICE\0C00000\0Mhi\0\0"
/* All that a server says until COMMIT has reached it. */
#define BEFORE_COMMIT MOCK_WELCOME PARSED IDLE PARSED IDLE BEGAN INSERTED IN_TX PARSED IN_TX

static const mock_pg_step TRANSACTION[] = {
    MOCK_ACCEPT,          MOCK_SEND(MOCK_WELCOME),
    MOCK_EXPECT("PDS"),   MOCK_SEND(PARSED IDLE),
    MOCK_EXPECT("PDS"),   MOCK_SEND(PARSED IDLE),
    MOCK_EXPECT("BEBES"), MOCK_SEND(BEGAN INSERTED IN_TX),
    MOCK_EXPECT("PDS"),   MOCK_SEND(PARSED IN_TX),
    MOCK_EXPECT("BES"),   MOCK_SEND(COMMITTED NOTE IDLE),
};

static error insert_and_commit(void *arg)
{
    pg_pool *const *own = arg;
    pg_tx *tx;
    TRY(pg_begin(*own, &tx));
    TRY(pg_execute(tx, NULL, "insert into fault_test values (1)"));
    return pg_commit(&tx);
}

/* A server that breaks off after any byte: the commit is unknown exactly when COMMIT was sent. */
static void test_tx_commit_is_unknown_exactly_when_it_may_have_happened(void **state)
{
    (void)state;
    const size_t before = sizeof BEFORE_COMMIT - 1;
    const size_t whole = before + sizeof COMMITTED NOTE IDLE - 1;
    for (size_t cut = 1; cut <= whole; cut++) {
        mock_pg m;
        pg_pool *own;
        mock_pg_start(&m,
                      &(mock_pg_options){ TRANSACTION, ARRAY_LEN(TRANSACTION), .cut_after = cut });
        const pg_pool_options options = { .conninfo = str_from_c(m.conninfo),
                                          .connections_max = 1 };
        assert_ok(pg_pool_open(&options, &own));
        const error e =
            scope_call(&(scope_options){ .deadline_ms = 20000 }, insert_and_commit, &own);
        assert_int_equal(pg_pool_stats_of(own).leased, 0);
        pg_pool_close(&own);
        (void)mock_pg_stop(&m);
        const bool unknown = error_is(e, &PG_COMMIT_UNKNOWN);
        if (unknown != (cut >= before && cut < whole) || (cut == whole) != !e.kind)
            fail_msg("cut after %zu of %zu bytes: %s", cut, whole, e.kind ? e.kind->name : "OK");
        assert_true(!e.kind || error_class_of(e) == ERROR_UNAVAILABLE);
    }
}

/* Messages that are well formed and come at the wrong time. */
typedef struct misplaced {
    const char *name;
    str prepared;
    str answered; /* to BEGIN and the statement */
} misplaced;

#define BYTES(literal)                  \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    }
#define NO_ROW  "D\0\0\0\6\0\0"
#define BOUND   "2\0\0\0\4"
#define DONE    "C\0\0\0\17INSERT 0 1\0"
#define REFUSED "E\0\0\0\40SERROR\0VERROR\0C42601\0Mnope\0\0"

static const misplaced MISPLACED[] = {
    { "BindComplete to Parse", BYTES(BOUND PARSED IDLE), { 0 } },
    { "CommandComplete to Parse", BYTES(PARSED DONE IDLE), { 0 } },
    { "EmptyQuery to Parse", BYTES("I\0\0\0\4" PARSED IDLE), { 0 } },
    { "CopyIn to Parse", BYTES("G\0\0\0\7\0\0\0" PARSED IDLE), { 0 } },
    { "a description after an error", BYTES(REFUSED PARSED IDLE), { 0 } },
    { "nothing but a Sync", BYTES(IDLE), { 0 } },
    { "ready after BEGIN alone", BYTES(PARSED IDLE), BYTES(BEGAN IN_TX) },
    { "a row of BEGIN", BYTES(PARSED IDLE), BYTES(BOUND NO_ROW DONE INSERTED IN_TX) },
    { "an empty BEGIN", BYTES(PARSED IDLE), BYTES(BOUND "I\0\0\0\4" INSERTED IN_TX) },
    { "BEGIN done, not bound", BYTES(PARSED IDLE), BYTES(DONE INSERTED IN_TX) },
    { "done, not bound", BYTES(PARSED IDLE), BYTES(BEGAN DONE IN_TX) },
    { "a row, not bound", BYTES(PARSED IDLE), BYTES(BEGAN NO_ROW INSERTED IN_TX) },
    { "bound twice", BYTES(PARSED IDLE), BYTES(BEGAN BOUND INSERTED IN_TX) },
    { "done twice", BYTES(PARSED IDLE), BYTES(BEGAN INSERTED DONE IN_TX) },
    { "done after an error", BYTES(PARSED IDLE), BYTES(BEGAN REFUSED DONE IN_TX) },
    { "a row after an error", BYTES(PARSED IDLE), BYTES(BEGAN BOUND REFUSED NO_ROW IN_TX) },
    { "ParseComplete to Bind", BYTES(PARSED IDLE), BYTES("1\0\0\0\4" BEGAN INSERTED IN_TX) },
    { "a copy after the end", BYTES(PARSED IDLE), BYTES(BEGAN INSERTED "c\0\0\0\4" IN_TX) },
};

static void test_client_message_at_the_wrong_time_ends_the_connection(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(MISPLACED); i++) {
        const mock_pg_step script[] = {
            MOCK_ACCEPT,          MOCK_SEND(MOCK_WELCOME),
            MOCK_EXPECT("PDS"),   { .action = MOCK_DO_SEND, .bytes = MISPLACED[i].prepared },
            MOCK_EXPECT("PDS"),   MOCK_SEND(PARSED IDLE),
            MOCK_EXPECT("BEBES"), { .action = MOCK_DO_SEND, .bytes = MISPLACED[i].answered },
        };
        mock_pg m;
        pg_pool *own;
        mock_pg_start(&m, &(mock_pg_options){ script, ARRAY_LEN(script) });
        const pg_pool_options options = { .conninfo = str_from_c(m.conninfo),
                                          .connections_max = 1 };
        assert_ok(pg_pool_open(&options, &own));
        const error e =
            scope_call(&(scope_options){ .deadline_ms = 20000 }, insert_and_commit, &own);
        if (!error_is(e, &PG_PROTOCOL_VIOLATION))
            fail_msg("%s: %s", MISPLACED[i].name, e.kind ? e.kind->name : "OK");
        assert_int_equal(pg_pool_stats_of(own).leased, 0);
        pg_pool_close(&own);
        (void)mock_pg_stop(&m);
    }
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tx_lease_waits_for_a_query_that_is_being_prepared,
                                        open_one, close_pool),
        cmocka_unit_test_setup_teardown(
            test_tx_first_statement_that_nobody_waits_for_is_rolled_back, open_one, close_pool),
        cmocka_unit_test_setup_teardown(
            test_tx_first_statement_that_is_refused_fails_the_transaction, open_three, close_pool),
        cmocka_unit_test_setup_teardown(test_tx_commit_past_its_deadline_is_not_sent, open_one,
                                        close_pool),
        cmocka_unit_test_setup_teardown(test_tx_ended_by_a_statement_of_its_own_is_an_error,
                                        open_one, close_pool),
        cmocka_unit_test_setup_teardown(test_tx_goes_on_after_the_server_forgot_all_statements,
                                        open_one, close_pool),
        cmocka_unit_test_setup_teardown(test_tx_commit_that_the_server_forgot_is_rolled_back,
                                        open_one, close_pool),
        cmocka_unit_test_setup_teardown(test_tx_pipeline_whose_begin_the_server_forgot_stays_inside,
                                        open_one, close_pool),
        cmocka_unit_test_setup_teardown(test_tx_nested_commit_that_the_server_forgot_is_undone,
                                        open_one, close_pool),
        cmocka_unit_test_setup_teardown(test_query_goes_on_after_the_server_forgot_all_statements,
                                        open_one, close_pool),
        cmocka_unit_test_setup_teardown(test_query_copy_from_fails_alone_and_copy_to_is_drained,
                                        open_one, close_pool),
        cmocka_unit_test_setup_teardown(
            test_query_text_that_postgresql_cannot_hold_is_the_callers_fault, open_one, close_pool),
        cmocka_unit_test_setup_teardown(test_query_that_begins_leaves_nobody_in_its_transaction,
                                        open_one, close_pool),
        cmocka_unit_test_setup_teardown(test_query_given_up_does_not_hold_up_others, open_three,
                                        close_pool),
        cmocka_unit_test_setup_teardown(test_query_takes_as_many_parameters_as_the_protocol,
                                        open_one, close_pool),
        cmocka_unit_test_setup_teardown(test_query_takes_as_many_columns_as_the_server, open_one,
                                        close_pool),
        cmocka_unit_test_setup_teardown(test_query_heavy_traffic_both_ways_does_not_stand_still,
                                        open_one, close_pool),
        cmocka_unit_test_setup_teardown(test_query_arena_that_is_full_gives_everything_back,
                                        open_one, close_pool),
        cmocka_unit_test_setup_teardown(test_client_anything_that_fails_is_a_clean_error, open_one,
                                        close_pool),
        cmocka_unit_test_setup_teardown(
            test_client_fiber_told_to_stop_at_any_moment_disturbs_nobody, open_three, close_pool),
        cmocka_unit_test_setup_teardown(
            test_client_fiber_that_crashes_leaves_no_transaction_and_no_answer, open_three,
            close_pool),
        cmocka_unit_test(test_pool_closed_at_any_moment_fails_who_uses_it),
        cmocka_unit_test(test_pool_server_that_leaves_at_once_is_a_failed_connection),
        cmocka_unit_test(test_tx_commit_is_unknown_exactly_when_it_may_have_happened),
        cmocka_unit_test(test_client_message_at_the_wrong_time_ends_the_connection),
    };
    return cmocka_run_group_tests_name("pg faults", tests, NULL, NULL);
}

int main(void)
{
    return run_with_database(run);
}
