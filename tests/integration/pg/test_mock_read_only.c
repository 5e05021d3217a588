/* What batches of the read-only lane are on the wire, and what a server may do to them: fail in
 * their middle, say too much or too little, leave. */
#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"

#define PARSED     "1\0\0\0\4"
#define ONE_INT8   "t\0\0\0\12\0\1\0\0\0\24"
#define ONE_COLUMN "T\0\0\0\32\0\1n\0\0\0\0\0\0\0\0\0\0\24\0\10\377\377\377\377\0\0"
#define PREPARED   PARSED ONE_INT8 ONE_COLUMN MOCK_READY
#define BOUND      "2\0\0\0\4"
#define ROW(n)     "D\0\0\0\22\0\1\0\0\0\10\0\0\0\0\0\0\0" n
#define DONE       "C\0\0\0\15SELECT 1\0"
#define ANSWER(n)  BOUND ROW(n) DONE
#define FAILURE    "E\0\0\0\44SERROR\0VERROR\0C23505\0Mdup\0nkey\0\0"

/* The pool's own connection is left alone; the lane's has prepared the statement. */
#define LANE                                                                                \
    MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), MOCK_LEAVE, MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), \
        MOCK_EXPECT("PDS"), MOCK_SEND(PREPARED), MOCK_EXPECT("BES"),                        \
        MOCK_SEND(ANSWER("\1") MOCK_READY)

#define READERS 3

typedef struct reading {
    pg_pool *db;
    int64_t found;
    const error_kind *failure;
} reading;

static error read_one(void *arg)
{
    reading *r = arg;
    pg_rows rows;
    error e = pg_query(pg_read_only(r->db), &rows, "select $1::int8 as n", (int64_t)0);
    if (!e.kind && rows.count != 1)
        e = error_set(&PG_FAILED, "%zu rows", rows.count);
    if (!e.kind)
        e = pg_get(&rows, 0, 0, &r->found);
    r->failure = e.kind;
    return OK;
}

/* Readers at once, behind one that was alone; returns what the script says of itself. */
static const char *play(const mock_pg_step *steps, size_t count, reading *readings)
{
    static mock_pg m;
    pg_pool *db;
    mock_pg_start(&m, &(mock_pg_options){ steps, count });
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(m.conninfo), .connections_max = 1 }, &db));
    reading alone = { .db = db };
    assert_ok(read_one(&alone));
    assert_null(alone.failure);
    assert_int_equal(alone.found, 1);
    wait_group group;
    wait_group_init(&group);
    for (int i = 0; i < READERS; i++) {
        readings[i] = (reading){ .db = db };
        assert_ok(wait_group_start(&group, read_one, &readings[i]));
    }
    assert_ok(wait_group_wait(&group));
    pg_pool_close(&db);
    return mock_pg_stop(&m);
}

#define PLAY(script, readings) play(script, ARRAY_LEN(script), readings)

static void test_mock_reads_asked_at_once_have_one_sync(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        LANE,
        MOCK_EXPECT("BEBEBES"),
        MOCK_SEND(ANSWER("\1") ANSWER("\2") ANSWER("\3") MOCK_READY),
    };
    reading r[READERS];
    assert_null(PLAY(SCRIPT, r));
    for (int i = 0; i < READERS; i++) {
        assert_null(r[i].failure);
        assert_int_equal(r[i].found, i + 1);
    }
}

static void test_mock_reads_behind_an_error_are_asked_again_alone(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        LANE,
        MOCK_EXPECT("BEBEBES"),
        MOCK_SEND(BOUND FAILURE MOCK_READY),
        MOCK_EXPECT("BESBES"),
        MOCK_SEND(ANSWER("\2") MOCK_READY ANSWER("\3") MOCK_READY),
    };
    reading r[READERS];
    assert_null(PLAY(SCRIPT, r));
    assert_ptr_equal(r[0].failure, &PG_UNIQUE_VIOLATION);
    assert_null(r[1].failure);
    assert_null(r[2].failure);
    assert_int_equal(r[1].found, 2);
    assert_int_equal(r[2].found, 3);
}

/* What was answered stays so; the rest fails, each once. */
static void assert_lost_after(const mock_pg_step *steps, size_t count, const error_kind *kind)
{
    reading r[READERS];
    (void)play(steps, count, r);
    assert_null(r[0].failure);
    assert_int_equal(r[0].found, 1);
    for (int i = 1; i < READERS; i++)
        assert_ptr_equal(r[i].failure, kind);
}

static void test_mock_connection_lost_in_a_batch_fails_what_was_not_answered(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        LANE,
        MOCK_EXPECT("BEBEBES"),
        MOCK_SEND(ANSWER("\1") BOUND),
        MOCK_CLOSE,
    };
    assert_lost_after(SCRIPT, ARRAY_LEN(SCRIPT), &PG_CONNECTION_LOST);
}

static void test_mock_ready_in_the_middle_of_a_batch_is_a_violation(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        LANE,
        MOCK_EXPECT("BEBEBES"),
        MOCK_SEND(ANSWER("\1") MOCK_READY ANSWER("\2") ANSWER("\3")),
        MOCK_STALL,
    };
    assert_lost_after(SCRIPT, ARRAY_LEN(SCRIPT), &PG_PROTOCOL_VIOLATION);
}

static void test_mock_answer_behind_an_error_in_a_batch_is_a_violation(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        LANE,
        MOCK_EXPECT("BEBEBES"),
        MOCK_SEND(BOUND FAILURE ANSWER("\3") MOCK_READY),
        MOCK_STALL,
    };
    reading r[READERS];
    (void)PLAY(SCRIPT, r);
    assert_ptr_equal(r[0].failure, &PG_UNIQUE_VIOLATION);
    assert_true(r[1].failure && r[2].failure); /* asked again, or lost: never another's row */
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mock_reads_asked_at_once_have_one_sync),
        cmocka_unit_test(test_mock_reads_behind_an_error_are_asked_again_alone),
        cmocka_unit_test(test_mock_connection_lost_in_a_batch_fails_what_was_not_answered),
        cmocka_unit_test(test_mock_ready_in_the_middle_of_a_batch_is_a_violation),
        cmocka_unit_test(test_mock_answer_behind_an_error_in_a_batch_is_a_violation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
