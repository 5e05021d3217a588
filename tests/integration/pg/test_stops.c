/* Every operation, told to stop at each of the places where it waits: at the first, then at the
 * second, and so on until it comes to its end. Both as it is about to wait, when what it asks for
 * has not left yet, and while it waits.
 *
 * Beside it others ask, on the same connections, each with a number of its own in every row.
 * Whatever was stopped where: nobody has another's row, nothing stays taken, no transaction stays
 * open, what was changed is there whole or not at all, and the next query is answered.
 *
 * This program is linked with --wrap=fiber_park, where all of pg's waiting passes. */
#include "pg/large_object.h"
#include "tests/support/database.h"

#define CONNECTIONS 3
#define NEIGHBOURS  3
#define PLACES_MAX  200

typedef enum when {
    ABOUT_TO_WAIT = 0,
    WAITING,
} when;

static pg_pool *db, *admin;
static pg_oid object;
static const fiber *victim;
static uint32_t places, place; /* it has waited at; to stop it at */
static when how;
static bool enough; /* for the neighbours */
static uint32_t answered;
static char wrong[256];

/* --- stopping --------------------------------------------------------------------------------- */

typedef struct stopper {
    loop_task task;
    fiber *target;
} stopper;

static stopper at_next_turn;

static void stop_now(loop_task *task)
{
    stopper *s = CONTAINER_OF(task, stopper, task);
    if (s->target)
        fiber_cancel(s->target, &CANCELED);
    s->target = NULL;
}

/* NOLINTBEGIN(readability-identifier-naming): the linker's names */
error __real_fiber_park(const char *what, void (*forget)(void *arg), void *arg);
error __wrap_fiber_park(const char *what, void (*forget)(void *arg), void *arg);
error __wrap_fiber_park(const char *what, void (*forget)(void *arg), void *arg)
{
    if (fiber_self() == victim && ++places == place) {
        if (how == ABOUT_TO_WAIT) {
            fiber_cancel(fiber_self(), &CANCELED);
        } else {
            at_next_turn = (stopper){ { .run = stop_now }, fiber_self() };
            loop_post(loop_self(), &at_next_turn.task);
        }
    }
    return __real_fiber_park(what, forget, arg);
}

/* NOLINTEND(readability-identifier-naming) */

/* --- those beside it -------------------------------------------------------------------------- */

static error ask_own(pg_target on, int64_t own)
{
    pg_rows rows;
    int64_t found = -1;
    TRY(pg_query(on, &rows, "select $1 from generate_series(1, 3)", own));
    for (size_t i = 0; i < rows.count; i++) {
        TRY(pg_get(&rows, i, 0, &found));
        if (found != own)
            (void)snprintf(wrong, sizeof wrong, "%lld got the row of %lld", (long long)own,
                           (long long)found);
    }
    if (rows.count != 3)
        (void)snprintf(wrong, sizeof wrong, "%lld got %zu rows", (long long)own, rows.count);
    answered++;
    return OK;
}

static error ask_all_the_time(void *arg)
{
    int64_t own = 1000000 * *(const int64_t *)arg;
    while (!enough) {
        const pg_target on = own % 2 ? pg_read_only(db) : pg_target_pool(db);
        const error e = ask_own(on, ++own);
        /* A connection whose transaction could not be ended takes others' statements with it. */
        if (e.kind && !error_is(e, &PG_CONNECTION_LOST))
            return e;
        TRY(fiber_sleep(1));
    }
    return OK;
}

/* --- operations ------------------------------------------------------------------------------- */

static error use_query(void *arg)
{
    (void)arg;
    return ask_own(pg_target_pool(db), 7);
}

static error use_new_query(void *arg)
{
    static int64_t serial;
    pg_rows rows;
    (void)arg;
    return pg_query(db, &rows, str_format(fiber_arena(), "select %lld", (long long)++serial));
}

static error use_read_only(void *arg)
{
    (void)arg;
    TRY(ask_own(pg_read_only(db), 8));
    return ask_own(pg_read_only(db), 9);
}

static error use_execute(void *arg)
{
    (void)arg;
    return pg_execute(db, NULL, "insert into stops select n, $1 from generate_series(1, 2) n",
                      (int64_t)1);
}

static pg_batch *two_inserts(void)
{
    pg_batch *b = pg_batch_new();
    pg_batch_execute(b, NULL, "insert into stops values (1, $1)", (int64_t)2);
    pg_batch_execute(b, NULL, "insert into stops values (2, $1)", (int64_t)2);
    return b;
}

static error use_batch(void *arg)
{
    (void)arg;
    return pg_batch_run(db, two_inserts());
}

static error use_reading_batch(void *arg)
{
    pg_rows first, second;
    (void)arg;
    pg_batch *b = pg_batch_new();
    pg_batch_query(b, &first, "select 1");
    pg_batch_query(b, &second, "select 2");
    TRY(pg_batch_run(pg_read_only(db), b));
    return pg_pipeline_run(pg_read_only(db), b);
}

static error use_pipeline_in_tx(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(db, &tx));
    TRY(pg_pipeline_run(tx, two_inserts()));
    return pg_commit(&tx);
}

static error use_tx(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into stops values (1, $1)", (int64_t)3));
    TRY(fiber_yield());
    TRY(pg_execute(tx, NULL, "insert into stops values (2, $1)", (int64_t)3));
    return pg_commit(&tx);
}

static error use_commit_with_last(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into stops values (1, $1)", (int64_t)3));
    return pg_commit_execute(&tx, NULL, "insert into stops values (2, $1)", (int64_t)3);
}

static error use_rollback(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into stops values (1, $1)", (int64_t)4));
    return pg_rollback(&tx);
}

static error use_nested(void *arg)
{
    pg_tx *outer, *inner;
    (void)arg;
    TRY(pg_begin(db, &outer));
    TRY(pg_begin(outer, &inner));
    TRY(pg_execute(inner, NULL, "insert into stops values (1, $1)", (int64_t)5));
    TRY(pg_commit(&inner));
    TRY(pg_begin(outer, &inner));
    TRY(pg_execute(inner, NULL, "insert into stops values (9, $1)", (int64_t)5));
    TRY(pg_rollback(&inner));
    TRY(pg_execute(outer, NULL, "insert into stops values (2, $1)", (int64_t)5));
    return pg_commit(&outer);
}

static error use_failed_nested(void *arg)
{
    pg_tx *outer, *inner;
    (void)arg;
    TRY(pg_begin(db, &outer));
    TRY(pg_begin(outer, &inner));
    const error e = pg_execute(inner, NULL, "select 1 / $1", (int64_t)0);
    if (!error_is(e, &PG_DATA_EXCEPTION))
        return e;
    TRY(pg_rollback(&inner));
    return pg_commit(&outer);
}

static error insert_both(pg_tx *tx, void *arg)
{
    (void)arg;
    return pg_batch_run(tx, two_inserts());
}

static error use_function_form(void *arg)
{
    return pg_transaction(db, &(pg_tx_options){ .isolation = PG_SERIALIZABLE }, insert_both, arg);
}

static error use_script(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(db, &tx));
    TRY(pg_script(tx, STR("insert into stops values (1, 6); insert into stops values (2, 6)")));
    return pg_commit(&tx);
}

static error read_cursor(pg_target on)
{
    pg_cursor *c;
    pg_rows rows;
    TRY(pg_cursor_open(on, &c, "select n from generate_series(1, 200) n"));
    do
        TRY(pg_cursor_next(c, &rows));
    while (rows.count > 0);
    return pg_cursor_close(&c);
}

static error use_cursor(void *arg)
{
    (void)arg;
    return read_cursor(pg_target_pool(db));
}

static error use_cursor_in_tx(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(db, &tx));
    TRY(read_cursor(pg_target_tx(tx)));
    TRY(pg_execute(tx, NULL, "select 1"));
    return pg_commit(&tx);
}

/* Left early when `rows_max` have come. */
static error read_stream(pg_target on, size_t rows_max)
{
    pg_stream *s;
    pg_rows rows;
    size_t count = 0;
    TRY(pg_stream_open(on, &s, "select n from generate_series(1, 3000) n"));
    do {
        TRY(pg_stream_next(s, &rows));
        count += rows.count;
    } while (rows.count > 0 && count < rows_max);
    return pg_stream_close(&s);
}

static error use_stream(void *arg)
{
    (void)arg;
    TRY(read_stream(pg_target_pool(db), 10000));
    return read_stream(pg_target_pool(db), 1);
}

static error use_stream_in_tx(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(db, &tx));
    TRY(read_stream(pg_target_tx(tx), 10000));
    TRY(read_stream(pg_target_tx(tx), 1));
    return pg_commit(&tx);
}

static error use_stream_read_only(void *arg)
{
    (void)arg;
    TRY(read_stream(pg_read_only(db), 10000));
    return read_stream(pg_read_only(db), 1);
}

static error copy_in(pg_target on)
{
    pg_copy *c;
    TRY(pg_copy_in(on, &c, "copy stops from stdin"));
    TRY(pg_copy_write(c, STR("1\t7\n")));
    TRY(fiber_yield());
    TRY(pg_copy_write(c, STR("2\t7\n")));
    return pg_copy_finish(&c, NULL);
}

static error use_copy_in(void *arg)
{
    (void)arg;
    return copy_in(pg_target_pool(db));
}

static error use_copy_in_tx(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(db, &tx));
    TRY(copy_in(pg_target_tx(tx)));
    return pg_commit(&tx);
}

static error use_copy_out(void *arg)
{
    pg_copy *c;
    str bytes;
    (void)arg;
    TRY(pg_copy_out(db, &c, "copy (select n from generate_series(1, 3000) n) to stdout"));
    do
        TRY(pg_copy_read(c, &bytes));
    while (bytes.len > 0);
    return pg_copy_finish(&c, NULL);
}

static error hold_lease(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "select pg_sleep(0.01)"));
    return pg_commit(&tx);
}

/* More of them than connections: some wait in line. */
static error use_full_pool(void *arg)
{
    wait_group group;
    wait_group_init(&group);
    for (int i = 0; i < CONNECTIONS; i++)
        TRY(wait_group_start(&group, hold_lease, NULL));
    TRY(fiber_yield());
    const error e = use_tx(arg);
    const error held = wait_group_wait(&group);
    return e.kind ? e : held;
}

static error use_new_pool(void *arg)
{
    pg_pool *own;
    (void)arg;
    TRY(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &own));
    const error e = pg_execute(own, NULL, "select 1");
    pg_pool_close(&own);
    return e;
}

static error use_listener(void *arg)
{
    pg_listener *l;
    pg_notification n;
    (void)arg;
    TRY(pg_listen(db, STR("stops"), &l));
    TRY(pg_notify(db, STR("stops"), STR("go on")));
    TRY(pg_listener_next(l, &n));
    pg_unlisten(&l);
    return OK;
}

static error use_large_object(void *arg)
{
    pg_tx *tx;
    pg_lo *lo;
    str bytes;
    (void)arg;
    TRY(pg_begin(db, &tx));
    TRY(pg_lo_open(tx, object, PG_LO_WRITE, &lo));
    TRY(pg_lo_write(lo, STR("twelve bytes")));
    TRY(pg_lo_seek(lo, 0));
    TRY(pg_lo_read(lo, 100, &bytes));
    TRY(pg_lo_truncate(lo, 0));
    TRY(pg_lo_close(&lo));
    return pg_commit(&tx);
}

static const struct {
    const char *name;
    fiber_fn run;
} OPERATIONS[] = {
    { "query", use_query },
    { "query not met before", use_new_query },
    { "read-only lane", use_read_only },
    { "execute", use_execute },
    { "batch", use_batch },
    { "batch and pipeline of reads", use_reading_batch },
    { "pipeline in a transaction", use_pipeline_in_tx },
    { "begin, commit", use_tx },
    { "commit with the last statement", use_commit_with_last },
    { "rollback", use_rollback },
    { "nested", use_nested },
    { "nested that failed", use_failed_nested },
    { "function form", use_function_form },
    { "script", use_script },
    { "cursor", use_cursor },
    { "cursor in a transaction", use_cursor_in_tx },
    { "stream", use_stream },
    { "stream in a transaction", use_stream_in_tx },
    { "stream, read only", use_stream_read_only },
    { "copy in", use_copy_in },
    { "copy in, in a transaction", use_copy_in_tx },
    { "copy out", use_copy_out },
    { "a full pool", use_full_pool },
    { "connect", use_new_pool },
    { "listen and notify", use_listener },
    { "large object", use_large_object },
};

/* --- the proof -------------------------------------------------------------------------------- */

static int64_t number(const char *sql)
{
    pg_rows rows;
    int64_t n = -1;
    assert_ok(pg_query(admin, &rows, str_from_c(sql)));
    assert_ok(pg_get(&rows, 0, 0, &n));
    return n;
}

#define OPEN_TRANSACTIONS                                                         \
    "select count(*) from pg_stat_activity where application_name = 'stops' and " \
    "state like 'idle in transaction%'"
#define BROKEN_PAIRS \
    "select count(*) from (select tag from stops group by tag having count(*) % 2 <> 0) broken"

/* Nothing is taken any more, at the latest when what goes on was canceled. */
static void assert_in_order(const char *name)
{
    pg_pool_stats stats = pg_pool_stats_of(db);
    for (int tries = 0; tries < 5000 && stats.leased > 1; tries++) { /* 1: the listener's */
        assert_ok(fiber_sleep(1));
        stats = pg_pool_stats_of(db);
    }
    if (stats.leased > 1 || wrong[0])
        fail_msg("%s, stopped at %u (%d): %u leased. %s", name, place, (int)how, stats.leased,
                 wrong);
    const error e = ask_own(pg_target_pool(db), (int64_t)place);
    if (e.kind && !error_is(e, &PG_CONNECTION_LOST))
        assert_ok(e);
    int64_t open = number(OPEN_TRANSACTIONS);
    for (int tries = 0; tries < 5000 && open > 0;
         tries++) { /* a server that hears of a closed one */
        assert_ok(fiber_sleep(1));
        open = number(OPEN_TRANSACTIONS);
    }
    if (open > 0)
        fail_msg("%s, stopped at %u (%d): a transaction is open", name, place, (int)how);
}

/* Returns whether it was stopped, and did not come to its end. */
static bool stop_at(size_t which, uint32_t at)
{
    fiber *f;
    places = 0;
    place = at;
    assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, OPERATIONS[which].run,
                          NULL, &f));
    victim = f;
    const error e = fiber_join(&f);
    victim = NULL;
    at_next_turn.target = NULL;
    if (e.kind && !error_is(e, &CANCELED) && !error_is(e, &PG_COMMIT_UNKNOWN) &&
        !error_is(e, &PG_CONNECTION_LOST)) {
        print_error("%s, stopped at %u\n", OPERATIONS[which].name, at);
        assert_fails(CANCELED, e);
    }
    assert_in_order(OPERATIONS[which].name);
    return places >= at;
}

static void stop_everywhere(size_t which)
{
    uint32_t at = 1;
    while (at < PLACES_MAX && stop_at(which, at))
        at++;
    assert_in_range(at, 2, PLACES_MAX - 1); /* it waits somewhere, and ends */
    assert_int_equal(number(BROKEN_PAIRS), 0);
}

static void test_stops_at_every_place_leave_nothing_behind(void **state)
{
    (void)state;
    fiber *neighbours[NEIGHBOURS];
    int64_t names[NEIGHBOURS];
    for (int i = 0; i < NEIGHBOURS; i++) {
        names[i] = i + 1;
        assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, ask_all_the_time,
                              &names[i], &neighbours[i]));
    }
    for (size_t which = 0; which < ARRAY_LEN(OPERATIONS); which++) {
        for (how = ABOUT_TO_WAIT; how <= WAITING; how++)
            stop_everywhere(which);
    }
    enough = true;
    for (int i = 0; i < NEIGHBOURS; i++)
        assert_ok(fiber_join(&neighbours[i]));
    print_message("%u answers beside it\n", answered);
}

/* --- life ------------------------------------------------------------------------------------- */

static int open_pools(void **state)
{
    (void)state;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &admin));
    assert_ok(pg_execute(admin, NULL, "drop table if exists stops"));
    assert_ok(pg_execute(admin, NULL, "create table stops (part bigint, tag bigint)"));
    assert_ok(pg_lo_create(admin, &object));
    (void)setenv("PGAPPNAME", "stops", 1);
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .connections_max = CONNECTIONS, .acquire_timeout_ms = 20000 }, &db));
    return 0;
}

/* Its connections have gone with it. */
static int close_pools(void **state)
{
    (void)state;
    pg_pool_close(&db);
    for (int tries = 0; tries < 5000; tries++) {
        if (number("select count(*) from pg_stat_activity where application_name = 'stops'") == 0)
            break;
        assert_ok(fiber_sleep(1));
    }
    assert_int_equal(
        number("select count(*) from pg_stat_activity where application_name = 'stops'"), 0);
    assert_ok(pg_lo_unlink(admin, object));
    assert_ok(pg_execute(admin, NULL, "drop table stops"));
    pg_pool_close(&admin);
    return 0;
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stops_at_every_place_leave_nothing_behind),
    };
    return cmocka_run_group_tests_name("pg stops", tests, open_pools, close_pools);
}

int main(void)
{
    return run_with_database(run);
}
