/* Who follows a pool is told of all that it does: begun and ended, on one fiber, in order. */
#include "core/scope.h"
#include "tests/support/database.h"

#define EVENTS_MAX 4096

typedef enum what {
    QUERY = 0,
    BATCH,
    COPY,
    PREPARE,
    CONNECT,
    ACQUIRE,
    RELEASE,
    WHATS
} what;

typedef struct event {
    what what;
    bool ended;
    fiber *on;
    pg_span span;
    char name[32];
    char sql[64];
} event;

static event events[EVENTS_MAX];
static size_t event_count;
static size_t open_spans[WHATS], ended_spans[WHATS];
static size_t notices;
static int own; /* whose address a span carries */

static void record(what w, bool ended, pg_span *s)
{
    invariant(s->arg == &own && event_count < EVENTS_MAX);
    event *e = &events[event_count++];
    *e = (event){ .what = w, .ended = ended, .on = fiber_self(), .span = *s };
    (void)snprintf(e->name, sizeof e->name, "%s", s->name ? s->name : "");
    (void)snprintf(e->sql, sizeof e->sql, "%.*s", (int)s->sql.len, s->sql.ptr ? s->sql.ptr : "");
    if (ended) {
        invariant(w == RELEASE || s->data == &open_spans[w]);
        ended_spans[w]++;
    } else {
        invariant(s->data == NULL);
        s->data = &open_spans[w];
        open_spans[w]++;
    }
}

#define TRACER(name_, what_)                \
    static void name_##_started(pg_span *s) \
    {                                       \
        record((what_), false, s);          \
    }                                       \
    static void name_##_ended(pg_span *s)   \
    {                                       \
        record((what_), true, s);           \
    }
TRACER(query, QUERY)
TRACER(batch, BATCH)
TRACER(copy, COPY)
TRACER(prepare, PREPARE)
TRACER(connect, CONNECT)
TRACER(acquire, ACQUIRE)

static void release_ended(pg_span *s)
{
    record(RELEASE, true, s);
}

static void noticed(void *arg, const pg_report *report)
{
    invariant(arg == &own && report->message.len > 0);
    notices++;
}

static const pg_trace TRACE = {
    .query = { query_started, query_ended },
    .batch = { batch_started, batch_ended },
    .copy = { copy_started, copy_ended },
    .prepare = { prepare_started, prepare_ended },
    .connect = { connect_started, connect_ended },
    .acquire = { acquire_started, acquire_ended },
    .release = { .ended = release_ended },
    .notice = noticed,
    .arg = &own,
};

static pg_pool *db;

static int setup(void **state)
{
    (void)state;
    pg_rows rows;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 2, .trace = &TRACE }, &db));
    assert_ok(pg_query(db, &rows, "select 'connected'"));
    event_count = 0;
    memset(open_spans, 0, sizeof open_spans);
    memset(ended_spans, 0, sizeof ended_spans);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pg_pool_close(&db);
    for (int w = 0; w < WHATS; w++) { /* what has started has ended */
        if (w != RELEASE && w != CONNECT && open_spans[w] != ended_spans[w])
            return -1;
    }
    return ended_spans[ACQUIRE] >= ended_spans[RELEASE] ? 0 : -1;
}

/* The events of the running fiber are these, in this order. */
static void check_events(const event *expected, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < event_count; i++) {
        if (events[i].on != fiber_self())
            continue;
        assert_true(at < count);
        assert_int_equal(events[i].what, expected[at].what);
        assert_int_equal(events[i].ended, expected[at].ended);
        at++;
    }
    assert_int_equal(at, count);
}

static const event *last(what w)
{
    for (size_t i = event_count; i-- > 0;) {
        if (events[i].what == w && events[i].ended)
            return &events[i];
    }
    fail_msg("nothing of that kind has ended");
    return NULL;
}

static void test_trace_follows_a_query(void **state)
{
    (void)state;
    pg_rows rows;
    static const event first[] = { { QUERY, false },   { ACQUIRE, false }, { ACQUIRE, true },
                                   { PREPARE, false }, { PREPARE, true },  { RELEASE, true },
                                   { QUERY, true } };
    static const event again[] = {
        { QUERY, false }, { ACQUIRE, false }, { ACQUIRE, true }, { RELEASE, true }, { QUERY, true }
    };
    static const pg_sql TWO = PG_NAMED("test.two", "select generate_series(1, $1::int4)");
    assert_ok(pg_query(db, &rows, TWO, 2));
    check_events(first, ARRAY_LEN(first));
    event_count = 0;
    assert_ok(pg_query(db, &rows, TWO, 2));
    check_events(again, ARRAY_LEN(again));
    const event *e = last(QUERY);
    assert_string_equal(e->name, "test.two");
    assert_string_equal(e->sql, "select generate_series(1, $1::int4)");
    assert_int_equal(e->span.value_count, 1);
    assert_int_equal(e->span.statements, 1);
    assert_int_equal(e->span.rows, 2);
    assert_true(e->span.bytes > 0);
    assert_true(e->span.host.len > 0 && e->span.process > 0);
    assert_ok(e->span.result);
}

static void test_trace_tells_what_failed(void **state)
{
    (void)state;
    pg_rows rows;
    assert_fails(PG_DATA_EXCEPTION, pg_query(db, &rows, "select 1 / 0"));
    assert_fails(PG_DATA_EXCEPTION, last(QUERY)->span.result);
    assert_fails(PG_SYNTAX, pg_query(db, &rows, "selec"));
    assert_fails(PG_SYNTAX, last(PREPARE)->span.result);
    assert_fails(PG_SYNTAX, last(QUERY)->span.result);
}

static error sleep_long(void *arg)
{
    (void)arg;
    pg_rows rows;
    return pg_query(db, &rows, "select pg_sleep(30)");
}

static void test_trace_tells_the_time_of_a_query_that_timed_out(void **state)
{
    (void)state;
    assert_fails(TIMED_OUT, scope_call(&(scope_options){ .deadline_ms = 100 }, sleep_long, NULL));
    const event *e = last(QUERY);
    assert_fails(TIMED_OUT, e->span.result);
    assert_true(e->span.us >= 90000);
}

static void test_trace_follows_batches(void **state)
{
    (void)state;
    pg_batch *b = pg_batch_new();
    pg_batch_execute(b, NULL, PG_NAMED("test.first", "select generate_series(1, 3)"));
    pg_batch_execute(b, NULL, "select 1");
    assert_ok(pg_batch_run(db, b));
    const event *e = last(BATCH);
    assert_string_equal(e->name, "test.first");
    assert_int_equal(e->span.statements, 2);
    assert_int_equal(e->span.rows, 4);
    assert_int_equal(open_spans[QUERY], 0);
    assert_int_equal(open_spans[PREPARE], 2);
    assert_ok(pg_pipeline_run(db, b));
    assert_int_equal(ended_spans[BATCH], 2);
}

static void test_trace_follows_transactions(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_rows rows;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_query(tx, &rows, "select 1")); /* BEGIN with it */
    assert_ok(pg_commit(&tx));
    assert_int_equal(ended_spans[QUERY], 2);
    assert_string_equal(last(QUERY)->sql, "commit");
    assert_int_equal(ended_spans[ACQUIRE], 1);
    assert_int_equal(ended_spans[RELEASE], 1);
    assert_int_equal(last(RELEASE)->span.process, last(QUERY)->span.process);
}

static error leave_a_copy(void *arg)
{
    pg_copy *c;
    TRY(pg_copy_out(db, &c, "copy (select generate_series(1, 5)) to stdout"));
    return arg ? OK : pg_copy_finish(&c, NULL);
}

static void test_trace_follows_copies_to_their_end(void **state)
{
    (void)state;
    pg_copy *c;
    assert_ok(scope_call(NULL, leave_a_copy, NULL));
    assert_ok(last(COPY)->span.result);
    assert_int_equal(last(COPY)->span.rows, 5);
    assert_ok(scope_call(NULL, leave_a_copy, &own)); /* to the scope's end */
    assert_fails(CANCELED, last(COPY)->span.result);
    assert_fails(PG_INVALID_ARGUMENT, pg_copy_out(db, &c, "select 1"));
    assert_fails(PG_INVALID_ARGUMENT, last(COPY)->span.result);
    assert_int_equal(ended_spans[COPY], 3);
}

static void test_trace_follows_cursors_by_the_piece(void **state)
{
    (void)state;
    pg_cursor *c;
    pg_rows rows;
    assert_ok(pg_cursor_open(db, &c, PG_NAMED("test.cursor", "select generate_series(1, 100)")));
    do
        assert_ok(pg_cursor_next(c, &rows));
    while (rows.count > 0);
    assert_ok(pg_cursor_close(&c));
    size_t pieces = 0, count = 0;
    for (size_t i = 0; i < event_count; i++) {
        if (!events[i].ended || strcmp(events[i].name, "test.cursor") != 0)
            continue;
        pieces++;
        count += events[i].span.rows;
    }
    assert_true(pieces >= 2);
    assert_int_equal(count, 100);
}

static error leave_a_stream(void *arg)
{
    pg_stream *s;
    pg_rows rows;
    TRY(pg_stream_open(db, &s, PG_NAMED("test.stream", "select generate_series(1, $1)"), 1000));
    do
        TRY(pg_stream_next(s, &rows));
    while (rows.count > 0);
    return arg ? OK : pg_stream_close(&s);
}

static void test_trace_follows_streams_to_their_end(void **state)
{
    (void)state;
    pg_stream *s;
    assert_ok(scope_call(NULL, leave_a_stream, NULL));
    assert_ok(last(QUERY)->span.result);
    assert_int_equal(last(QUERY)->span.rows, 1000);
    assert_true(last(QUERY)->span.bytes >= 8000);
    assert_string_equal(last(QUERY)->name, "test.stream");
    assert_ok(scope_call(NULL, leave_a_stream, &own)); /* to the scope's end */
    assert_fails(CANCELED, last(QUERY)->span.result);
    assert_fails(PG_UNDEFINED_TABLE, pg_stream_open(db, &s, "select * from nowhere"));
    assert_fails(PG_UNDEFINED_TABLE, last(QUERY)->span.result);
    assert_int_equal(ended_spans[QUERY], 3);
}

static void test_trace_tells_of_notices(void **state)
{
    (void)state;
    const size_t before = notices;
    assert_ok(pg_execute(db, NULL, "do $$ begin raise notice 'one'; raise notice 'two'; end $$"));
    assert_int_equal(notices, before + 2);
}

static error hold(void *arg)
{
    pg_tx *tx;
    pg_rows rows;
    (void)arg;
    TRY(pg_begin(db, &tx));
    TRY(pg_query(tx, &rows, "select pg_sleep(0.2)"));
    return pg_commit(&tx);
}

static void test_trace_tells_of_the_wait_for_a_connection(void **state)
{
    (void)state;
    wait_group group;
    wait_group_init(&group);
    for (int i = 0; i < 4; i++) /* on two connections */
        assert_ok(wait_group_start(&group, hold, NULL));
    assert_ok(wait_group_wait(&group));
    uint64_t longest_us = 0;
    for (size_t i = 0; i < event_count; i++) {
        if (events[i].what == ACQUIRE && events[i].ended && events[i].span.us > longest_us)
            longest_us = events[i].span.us;
    }
    assert_true(longest_us >= 150000);
}

static void test_trace_follows_connecting(void **state)
{
    (void)state;
    pg_pool *pool;
    pg_rows rows;
    const size_t before = open_spans[CONNECT];
    assert_ok(pg_pool_open(&(pg_pool_options){ .trace = &TRACE }, &pool));
    assert_ok(pg_query(pool, &rows, "select 1"));
    assert_int_equal(open_spans[CONNECT], before + 1);
    assert_ok(last(CONNECT)->span.result);
    assert_true(last(CONNECT)->span.process > 0 && last(CONNECT)->on != fiber_self());
    pg_pool_close(&pool);
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = STR("host=127.0.0.1 port=1"), .trace = &TRACE }, &pool));
    assert_fails(PG_CONNECT_FAILED, pg_query(pool, &rows, "select 1"));
    assert_fails(PG_CONNECT_FAILED, last(CONNECT)->span.result);
    assert_fails(PG_CONNECT_FAILED, last(ACQUIRE)->span.result);
    pg_pool_close(&pool);
}

static error ask_for_ever(void *arg)
{
    pg_rows rows;
    for (;;)
        TRY(pg_query((pg_pool *)arg, &rows, "select pg_sleep(0.001)"));
}

static void test_trace_of_a_pool_that_closes_ends_what_began(void **state)
{
    (void)state;
    pg_pool *pool;
    fiber *askers[8];
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 2, .trace = &TRACE }, &pool));
    for (size_t i = 0; i < ARRAY_LEN(askers); i++)
        assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, ask_for_ever, pool,
                              &askers[i]));
    assert_ok(fiber_sleep(50));
    pg_pool_close(&pool);
    for (size_t i = 0; i < ARRAY_LEN(askers); i++)
        assert_false(error_is_ok(fiber_join(&askers[i])));
}

static void test_trace_may_have_few_functions(void **state)
{
    (void)state;
    static const pg_trace none = { 0 };
    pg_pool *pool;
    pg_rows rows;
    assert_ok(pg_pool_open(&(pg_pool_options){ .trace = &none }, &pool));
    assert_ok(pg_query(pool, &rows, "select 1"));
    assert_ok(pg_execute(pool, NULL, "do $$ begin raise notice 'one'; end $$"));
    pg_pool_close(&pool);
}

#define TRACE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        TRACE_TEST(test_trace_follows_a_query),
        TRACE_TEST(test_trace_tells_what_failed),
        TRACE_TEST(test_trace_tells_the_time_of_a_query_that_timed_out),
        TRACE_TEST(test_trace_follows_batches),
        TRACE_TEST(test_trace_follows_transactions),
        TRACE_TEST(test_trace_follows_copies_to_their_end),
        TRACE_TEST(test_trace_follows_cursors_by_the_piece),
        TRACE_TEST(test_trace_follows_streams_to_their_end),
        TRACE_TEST(test_trace_tells_of_notices),
        TRACE_TEST(test_trace_tells_of_the_wait_for_a_connection),
        TRACE_TEST(test_trace_follows_connecting),
        TRACE_TEST(test_trace_of_a_pool_that_closes_ends_what_began),
        TRACE_TEST(test_trace_may_have_few_functions),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}

int main(void)
{
    return run_with_database(run);
}
