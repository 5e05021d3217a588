/* What a query costs in heap calls once everything is warm: none. Statements are prepared, requests
 * and stacks are kept, rows go to the fiber's arena, which keeps its blocks. And what a turn of the
 * loop costs in writes to a socket: one. The program is linked with --wrap, so that each such call
 * of ours is counted, with sanitizers as without. (Instructions: bench/budget.sh.) */
#include "core/scope.h"
#include "tests/support/database.h"

#include <sys/socket.h>

#define WARM   INT64_C(300)
#define ROUNDS INT64_C(1000)
#define FIBERS 32

/* NOLINTBEGIN(readability-identifier-naming,bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp):
 * the linker's names for the functions it puts these before. */
static volatile uint64_t heap_calls; /* compilers know that malloc changes nothing of ours */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
int __real_posix_memalign(void **out, size_t align, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
int __wrap_posix_memalign(void **out, size_t align, size_t bytes);

static uint32_t writes; /* to sockets */

ssize_t __real_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags)
{
    writes++;
    return __real_send(fd, bytes, len, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    writes++;
    return __real_sendmsg(fd, message, flags);
}

void *__wrap_malloc(size_t bytes)
{
    heap_calls++;
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    heap_calls++;
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    heap_calls++;
    return __real_realloc(old, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
    heap_calls++;
    return __real_aligned_alloc(align, bytes);
}

int __wrap_posix_memalign(void **out, size_t align, size_t bytes)
{
    heap_calls++;
    return __real_posix_memalign(out, align, bytes);
}
/* NOLINTEND(readability-identifier-naming,bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
 */

static pg_pool *db;

/* --- what is done ----------------------------------------------------------------------------- */

static error ask(pg_target on, int64_t own)
{
    pg_rows rows;
    int64_t n = -1;
    str text;
    TRY(pg_query(on, &rows, "select $1, 'of some length', null", own));
    TRY(pg_get(&rows, 0, 0, &n));
    TRY(pg_get(&rows, 0, 1, &text));
    return n == own && text.len == 14 ? OK : error_set(&PG_FAILED, "another row");
}

static error ask_pool(int64_t own)
{
    return ask(pg_target_pool(db), own);
}

static error ask_to_read(int64_t own)
{
    return ask(pg_read_only(db), own);
}

static error ask_for_many(int64_t own)
{
    pg_rows rows;
    TRY(pg_query(db, &rows, "select n, $1, repeat('x', 100) from generate_series(1, 100) n", own));
    for (size_t i = 0; i < rows.count; i++) {
        str text;
        TRY(pg_get(&rows, i, 2, &text));
        TRY(text.len == 100 ? OK : error_set(&PG_FAILED, "another text"));
    }
    return OK;
}

static error ask_for_json(int64_t own)
{
    pg_rows rows;
    str text;
    TRY(pg_query(db, &rows,
                 PG_AS_JSON("select n, $1 as own, now() as at, repeat('x', 50) as text, "
                            "array[n, $1] as both from generate_series(1, 50) n"),
                 own));
    TRY(pg_rows_json(&rows, &text));
    return text.len > 5000 ? OK : error_set(&PG_FAILED, "another document");
}

/* Of any size. */
static error stream_json(int64_t own)
{
    pg_stream *s;
    pg_rows rows;
    str piece;
    size_t bytes = 0;
    pg_json *pieces = pg_json_new();
    TRY(pg_stream_open(db, &s, PG_AS_JSON("select n, $1 as own from generate_series(1, 100) n"),
                       own));
    do {
        TRY(pg_stream_next(s, &rows));
        TRY(pg_json_next(pieces, &rows, &piece));
        bytes += piece.len;
    } while (rows.count > 0);
    TRY(pg_stream_close(&s));
    return bytes > 1000 ? OK : error_set(&PG_FAILED, "another document");
}

static error transact(int64_t own)
{
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(ask(pg_target_tx(tx), own));
    TRY(pg_execute(tx, NULL, "select $1, $2, $3", own, STR("text"), 1.5));
    return pg_commit(&tx);
}

static error ask_together(int64_t own)
{
    pg_rows rows[4];
    pg_batch *b = pg_batch_new();
    for (int i = 0; i < 4; i++)
        pg_batch_query(b, &rows[i], "select $1, 'of some length', null", own);
    return pg_batch_run(db, b);
}

static error divide(int64_t own)
{
    const error e = pg_execute(db, NULL, "select 1 / ($1 - $1)", own);
    return error_is(e, &PG_DATA_EXCEPTION) ? OK : error_set(&PG_FAILED, "no error");
}

static error copy_rows(int64_t own)
{
    pg_copy *c;
    TRY(pg_copy_in(db, &c, "copy budget from stdin (format binary)"));
    for (int64_t i = 0; i < 10; i++)
        TRY(pg_copy_row(c, own + i, STR("some text")));
    return pg_copy_finish(&c, NULL);
}

static const struct one_case {
    const char *name;
    error (*run)(int64_t own);
    uint64_t calls; /* that it may make */
} CASES[] = {
    { "a query", ask_pool },
    { "a read", ask_to_read },
    { "a hundred rows", ask_for_many },
    { "rows as JSON", ask_for_json },
    { "a stream as JSON", stream_json },
    { "a transaction", transact },
    { "a batch", ask_together },
    { "an error", divide },
    { "a copy", copy_rows, 2 } /* its buffers, however many rows there are */,
};

/* --- counting --------------------------------------------------------------------------------- */

typedef struct repeated {
    const struct one_case *what;
    int64_t times;
} repeated;

static error run_scoped(void *arg)
{
    const repeated *r = arg;
    return r->what->run(r->times);
}

static error run_often(void *arg)
{
    for (repeated r = *(const repeated *)arg; r.times > 0; r.times--) {
        TRY(scope_call(NULL, run_scoped, &r));
        arena_reset(fiber_arena());
    }
    return OK;
}

/* Many fibers at once, as many times altogether. */
static void run_on_fibers(const struct one_case *what, int64_t times)
{
    fiber *fibers[FIBERS];
    repeated each = { what, times / FIBERS };
    for (int i = 0; i < FIBERS; i++)
        assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, run_often, &each,
                              &fibers[i]));
    for (int i = 0; i < FIBERS; i++)
        assert_ok(fiber_join(&fibers[i]));
}

static void test_budget_of_heap_calls_is_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        repeated one = { &CASES[i], WARM };
        assert_ok(run_often(&one));
        const uint64_t before = heap_calls;
        one.times = ROUNDS;
        assert_ok(run_often(&one));
        if (heap_calls - before > (uint64_t)ROUNDS * CASES[i].calls)
            fail_msg("%s: %llu heap calls in %d", CASES[i].name,
                     (unsigned long long)(heap_calls - before), (int)ROUNDS);
    }
}

/* What fibers themselves need is theirs: how many calls there are must not depend on how much they
 * ask. */
static void test_budget_of_many_fibers_is_that_of_the_fibers(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        uint64_t calls[2];
        run_on_fibers(&CASES[i], 4 * WARM);
        for (int k = 0; k < 2; k++) {
            const uint64_t before = heap_calls;
            run_on_fibers(&CASES[i], (k + 1) * ROUNDS);
            calls[k] = heap_calls - before;
        }
        if (calls[1] > calls[0] + FIBERS) /* an arena's blocks, where fibers met more at once */
            fail_msg("%s: %llu heap calls, then %llu for twice as many", CASES[i].name,
                     (unsigned long long)calls[0], (unsigned long long)calls[1]);
    }
}

/* --- writes ----------------------------------------------------------------------------------- */

static pg_pool *single; /* of one connection */

static error ask_single(void *arg)
{
    return ask(pg_target_pool(single), (int64_t)(uintptr_t)arg);
}

static error write_in_a_transaction(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(single, &tx));
    return pg_commit_execute(&tx, NULL, "select 1");
}

static error ask_in_a_batch(void *arg)
{
    (void)arg;
    pg_rows rows[20];
    pg_batch *b = pg_batch_new();
    for (int i = 0; i < 20; i++)
        pg_batch_query(b, &rows[i], "select $1, 'of some length', null", (int64_t)i);
    return pg_batch_run(single, b);
}

/* What fibers ask for in one turn of the loop leaves in one write, each with its own Sync; so does
 * what one of them asks for together. */
static void test_budget_of_a_turn_is_one_write(void **state)
{
    (void)state;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &single));
    for (int round = 0; round < 3; round++) {
        fiber *fibers[20];
        uint32_t before = writes;
        for (uintptr_t i = 0; i < ARRAY_LEN(fibers); i++)
            assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, ask_single,
                                  (void *)i, &fibers[i]));
        for (size_t i = 0; i < ARRAY_LEN(fibers); i++)
            assert_ok(fiber_join(&fibers[i]));
        const uint32_t by_many = writes - before;
        before = writes;
        assert_ok(scope_call(NULL, ask_in_a_batch, NULL));
        const uint32_t by_batch = writes - before;
        before = writes;
        assert_ok(scope_call(NULL, write_in_a_transaction, NULL));
        if (round == 0)
            continue; /* connects, and prepares */
        assert_int_equal(by_many, 1);
        assert_int_equal(by_batch, 1);
        assert_int_equal(writes - before, 1);
    }
    pg_pool_close(&single);
}

/* The counter counts. */
static void test_budget_would_see_a_heap_call(void **state)
{
    (void)state;
    const uint64_t before = heap_calls;
    void *volatile memory = malloc(1);
    free(memory);
    assert_int_equal(heap_calls, before + 1);
}

static int open_pool(void **state)
{
    (void)state;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 4 }, &db));
    assert_ok(pg_execute(db, NULL, "drop table if exists budget"));
    assert_ok(pg_execute(db, NULL, "create unlogged table budget (n int8, t text)"));
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "drop table budget"));
    pg_pool_close(&db);
    return 0;
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget_would_see_a_heap_call),
        cmocka_unit_test(test_budget_of_heap_calls_is_none),
        cmocka_unit_test(test_budget_of_a_turn_is_one_write),
        cmocka_unit_test(test_budget_of_many_fibers_is_that_of_the_fibers),
    };
    return cmocka_run_group_tests_name("pg budget", tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
