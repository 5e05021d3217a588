/* How much is under way on a connection, seen from its other end: a server that does not answer, or
 * does not even read, is sent so much and no more, and who has more to say waits in order. */
#include "core/scope.h"
#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"
#include "tests/support/scraped.h"

#define PARSED "1\0\0\0\4"
#define PREPARED           \
    PARSED "t\0\0\0\6\0\0" \
           "n\0\0\0\4" MOCK_READY
#define DONE "2\0\0\0\4C\0\0\0\17INSERT 0 1\0" MOCK_READY
/* The statement is known, so that fibers are told apart by when they ask for it. */
#define BEGUN                                                                      \
    MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), MOCK_EXPECT("PDS"), MOCK_SEND(PREPARED), \
        MOCK_EXPECT("BES"), MOCK_SEND(DONE)
#define FIBERS 8
#define BYTES  ((size_t)100 << 10) /* of each one's parameter: two fit */

static pg_pool *db;
static mock_pg server;
static char *text; /* of BYTES */
static uint32_t order[FIBERS], ended;

static error insert(str value)
{
    return pg_execute(db, NULL, "insert into t values ($1)", value);
}

static void start(const mock_pg_step *steps, size_t count)
{
    text = arena_alloc(fiber_arena(), BYTES, 1);
    memset(text, 'x', BYTES);
    ended = 0;
    mock_pg_start(&server, &(mock_pg_options){ steps, count });
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(server.conninfo), .connections_max = 1 }, &db));
    assert_ok(insert(STR("x")));
}

static void stop(void)
{
    pg_pool_close(&db);
    const char *problem = mock_pg_stop(&server);
    if (problem)
        fail_msg("%s", problem);
}

static error insert_big(void *arg)
{
    TRY(insert((str){ text, BYTES }));
    order[ended++] = *(const uint32_t *)arg;
    return OK;
}

static double sent(void)
{
    return scraped("pg_sent_bytes_total");
}

/* Each in a fiber of its own, one after the other. */
static void start_fibers(fiber *fibers[FIBERS], error (*fn)(void *arg))
{
    static uint32_t numbers[FIBERS];
    for (uint32_t i = 0; i < FIBERS; i++) {
        numbers[i] = i;
        assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, fn, &numbers[i],
                              &fibers[i]));
    }
}

/* LISTEN: while it says nothing, nothing more comes. */
static void test_room_for_bytes_is_made_by_answers(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        BEGUN,
        MOCK_EXPECT("BESBES"),
        MOCK_LISTEN(100),
        MOCK_SEND(DONE),
        MOCK_EXPECT("BES"),
        MOCK_LISTEN(100),
        MOCK_SEND(DONE DONE),
        MOCK_EXPECT("BESBES"),
        MOCK_SEND(DONE DONE),
        MOCK_EXPECT("BESBES"),
        MOCK_LISTEN(20),
        MOCK_SEND(DONE DONE),
        MOCK_EXPECT("BES"),
        MOCK_SEND(DONE),
    };
    fiber *fibers[FIBERS];
    start(SCRIPT, ARRAY_LEN(SCRIPT));
    start_fibers(fibers, insert_big);
    for (uint32_t i = 0; i < FIBERS; i++)
        assert_ok(fiber_join(&fibers[i]));
    for (uint32_t i = 0; i < FIBERS; i++)
        assert_int_equal(order[i], i);
    stop();
}

/* The kernel's buffers are full, and what we queue for it stays what it is. */
static void test_room_of_a_server_that_does_not_read_is_bounded(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        BEGUN,
        MOCK_PAUSE(300),
        MOCK_EXPECT("BESBES"),
        MOCK_SEND(DONE DONE),
        MOCK_EXPECT("BESBES"),
        MOCK_CLOSE,
    };
    fiber *fibers[FIBERS];
    uint32_t failed = 0;
    start(SCRIPT, ARRAY_LEN(SCRIPT));
    const double before = sent();
    start_fibers(fibers, insert_big);
    assert_ok(fiber_sleep(150));
    assert_true(sent() - before > (double)(2 * BYTES));
    assert_true(sent() - before < (double)((size_t)256 << 10));
    for (uint32_t i = 0; i < FIBERS; i++)
        failed += error_is(fiber_join(&fibers[i]), &PG_CONNECTION_LOST);
    assert_int_equal(failed, FIBERS - 2); /* those that waited, too */
    stop();
}

static error insert_huge_then_small(void *arg)
{
    const uint32_t number = *(const uint32_t *)arg;
    if (number > 1)
        return OK;
    char *huge = arena_alloc(fiber_arena(), 10 * BYTES, 1);
    memset(huge, 'x', 10 * BYTES);
    TRY(insert((str){ huge, number == 0 ? 10 * BYTES : 1 }));
    order[ended++] = number;
    return OK;
}

/* And nothing goes with it. */
static void test_room_is_there_for_one_of_any_size(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        BEGUN,           MOCK_EXPECT("BES"), MOCK_LISTEN(50),
        MOCK_SEND(DONE), MOCK_EXPECT("BES"), MOCK_SEND(DONE),
    };
    fiber *fibers[FIBERS];
    start(SCRIPT, ARRAY_LEN(SCRIPT));
    start_fibers(fibers, insert_huge_then_small);
    for (uint32_t i = 0; i < FIBERS; i++)
        assert_ok(fiber_join(&fibers[i]));
    assert_int_equal(order[0], 0);
    stop();
}

static error insert_or_give_up(void *arg)
{
    const uint32_t number = *(const uint32_t *)arg;
    const uint32_t deadline_ms = number == 2 ? 20 : 0;
    return scope_call(&(scope_options){ .deadline_ms = deadline_ms }, insert_big, arg);
}

/* Who waits at the head of the line and gives up has sent nothing, and does not hold up the rest.
 */
static void test_room_that_its_fiber_no_longer_waits_for_is_the_next_ones(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        BEGUN,
        MOCK_EXPECT("BESBES"),
        MOCK_LISTEN(100),
        MOCK_SEND(DONE DONE),
        MOCK_EXPECT("BESBES"),
        MOCK_SEND(DONE DONE),
        MOCK_EXPECT("BESBES"),
        MOCK_SEND(DONE DONE),
        MOCK_EXPECT("BES"),
        MOCK_SEND(DONE),
    };
    fiber *fibers[FIBERS];
    start(SCRIPT, ARRAY_LEN(SCRIPT));
    start_fibers(fibers, insert_or_give_up);
    for (uint32_t i = 0; i < FIBERS; i++) {
        const error e = fiber_join(&fibers[i]);
        if (i == 2)
            assert_fails(TIMED_OUT, e);
        else
            assert_ok(e);
    }
    assert_int_equal(ended, FIBERS - 1);
    stop();
}

#define FOUR(x)    x x x x
#define SIXTEEN(x) FOUR(FOUR(x))

/* 128 of them, and the rest when these are answered. */
static void test_room_for_statements_of_a_pipeline_is_bounded(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        BEGUN,
        MOCK_EXPECT(FOUR(SIXTEEN("BES")) FOUR(SIXTEEN("BES"))),
        MOCK_LISTEN(50),
        MOCK_FLOOD(DONE, 128),
        MOCK_EXPECT(SIXTEEN("BES")),
        MOCK_FLOOD(DONE, 16),
    };
    start(SCRIPT, ARRAY_LEN(SCRIPT));
    pg_batch *b = pg_batch_new();
    for (int i = 0; i < 144; i++)
        pg_batch_execute(b, NULL, "insert into t values ($1)", STR("x"));
    assert_ok(pg_pipeline_run(db, b));
    assert_int_equal(pg_batch_failed(b), 144);
    stop();
}

static void test_room_for_bytes_of_a_pipeline_is_bounded(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        BEGUN,
        MOCK_EXPECT("BESBES"),
        MOCK_LISTEN(50),
        MOCK_SEND(DONE DONE),
        MOCK_EXPECT("BES"),
        MOCK_SEND(DONE),
    };
    start(SCRIPT, ARRAY_LEN(SCRIPT));
    pg_batch *b = pg_batch_new();
    const str value = { text, BYTES };
    for (int i = 0; i < 3; i++)
        pg_batch_execute(b, NULL, "insert into t values ($1)", value);
    assert_ok(pg_pipeline_run(db, b));
    stop();
}

/* The room that is left beside it is too little for a Parse, and too much to be none. */
#define NEARLY_ALL (((size_t)256 << 10) - 120)

static error insert_nearly_all(void *arg)
{
    (void)arg;
    char *value = arena_alloc(fiber_arena(), NEARLY_ALL, 1);
    memset(value, 'x', NEARLY_ALL);
    return insert((str){ value, NEARLY_ALL });
}

static error update(void *arg)
{
    (void)arg;
    return pg_execute(db, NULL,
                      "update t set a = 'a text that is longer than the room that is left beside "
                      "what is nearly all of it, so that its Parse has to wait'");
}

/* One waits for room to prepare a statement, another for what that brings; the first gives up. */
static void test_room_to_prepare_that_is_given_up_is_left_to_who_waits_too(void **state)
{
    (void)state;
    static const mock_pg_step STEPS[] = { BEGUN,
                                          MOCK_EXPECT("BES"),
                                          MOCK_LISTEN(150),
                                          MOCK_SEND(DONE),
                                          MOCK_EXPECT("PDS"),
                                          MOCK_SEND(PREPARED),
                                          MOCK_EXPECT("BES"),
                                          MOCK_SEND(DONE) };
    const fiber_options hurries = { .joinable = true, .deadline_ms = 30 };
    const fiber_options waits = { .joinable = true, .deadline_ms = 20000 };
    fiber *fills, *first, *second;
    start(STEPS, ARRAY_LEN(STEPS));
    assert_ok(fiber_start(loop_self(), &waits, insert_nearly_all, NULL, &fills));
    assert_ok(fiber_start(loop_self(), &hurries, update, NULL, &first));
    assert_ok(fiber_start(loop_self(), &waits, update, NULL, &second));
    assert_fails(TIMED_OUT, fiber_join(&first));
    assert_ok(fiber_join(&fills));
    const error e = fiber_join(&second);
    stop();
    assert_ok(e);
}

static int open_metrics(void **state)
{
    (void)state;
    static const metrics_table *const tables[] = { &PG_METRICS };
    assert_ok(metrics_open(tables, 1, 1));
    metrics_use_slot(0);
    return 0;
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room_for_bytes_is_made_by_answers),
        cmocka_unit_test(test_room_of_a_server_that_does_not_read_is_bounded),
        cmocka_unit_test(test_room_is_there_for_one_of_any_size),
        cmocka_unit_test(test_room_that_its_fiber_no_longer_waits_for_is_the_next_ones),
        cmocka_unit_test(test_room_for_statements_of_a_pipeline_is_bounded),
        cmocka_unit_test(test_room_for_bytes_of_a_pipeline_is_bounded),
        cmocka_unit_test(test_room_to_prepare_that_is_given_up_is_left_to_who_waits_too),
    };
    return cmocka_run_group_tests(tests, open_metrics, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
