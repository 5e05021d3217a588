/* Calls on other threads: results, the bounded queue, and every moment at which a fuse can blow. */
#include "worker.h"

#include "core/fault.h"
#include "core/log.h"
#include "core/offload.h"
#include "tests/support/in_fiber.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static ERROR_KIND(BOOM, ERROR_INTERNAL, "boom");
static ERROR_KIND(LOUDER, ERROR_CONFLICT, "louder");

/* --- jobs ------------------------------------------------------------------------------------ */

static error note_thread(void *arg)
{
    *(pthread_t *)arg = pthread_self();
    return OK;
}

/* A job that stays on its thread until it is let go. */
typedef struct gate {
    sem_t go;
    _Atomic int entered;
    _Atomic int left;
} gate;

static error pass_gate(void *arg)
{
    gate *g = arg;
    atomic_fetch_add(&g->entered, 1);
    while (sem_wait(&g->go) != 0)
        ;
    atomic_fetch_add(&g->left, 1);
    return OK;
}

static void gate_init(gate *g)
{
    *g = (gate){ .entered = 0 };
    assert_int_equal(sem_init(&g->go, 0, 0), 0);
}

static void gate_open(gate *g, int times)
{
    for (int i = 0; i < times; i++)
        sem_post(&g->go);
}

static void wait_until(const _Atomic int *counter, int value)
{
    for (int i = 0; i < 20000 && atomic_load(counter) < value; i++)
        assert_ok(fiber_sleep(1));
    assert_int_equal(atomic_load(counter), value);
}

static error offload_gate(void *arg)
{
    return offload(pass_gate, arg);
}

static fiber *start(fiber_fn fn, void *arg, uint32_t deadline_ms)
{
    fiber *f;
    const fiber_options options = { .joinable = true, .deadline_ms = deadline_ms };
    assert_ok(fiber_start(loop_self(), &options, fn, arg, &f));
    return f;
}

/* Fills every thread; the queue is empty behind it. */
static void occupy_threads(gate *g, fiber *fibers[OFFLOAD_THREADS])
{
    for (int i = 0; i < OFFLOAD_THREADS; i++)
        fibers[i] = start(offload_gate, g, 0);
    wait_until(&g->entered, OFFLOAD_THREADS);
}

static void join_all(fiber **fibers, int count)
{
    for (int i = 0; i < count; i++)
        assert_ok(fiber_join(&fibers[i]));
}

/* --- results --------------------------------------------------------------------------------- */

static void test_offload_runs_on_another_thread(void **state)
{
    (void)state;
    pthread_t thread = pthread_self();
    assert_ok(offload(note_thread, &thread));
    assert_false(pthread_equal(thread, pthread_self()));
}

static error call_a_thousand_times(void *arg)
{
    (void)arg;
    pthread_t thread;
    for (int i = 0; i < 1000; i++)
        TRY(offload(note_thread, &thread));
    return OK;
}

static void test_offload_of_many_calls_takes_no_memory_of_the_fiber(void **state)
{
    (void)state;
    arena small;
    fiber *f;
    arena_init(&small, 64 << 10);
    const fiber_options options = { .joinable = true, .arena = &small };
    assert_ok(fiber_start(loop_self(), &options, call_a_thousand_times, NULL, &f));
    assert_ok(fiber_join(&f));
    arena_deinit(&small);
}

static error fail_with_cause(void *arg)
{
    const error cause = error_set(&BOOM, "because of %d", *(int *)arg);
    return error_wrap(cause, &LOUDER, "so it failed");
}

static void test_offload_hands_over_the_error_with_its_causes(void **state)
{
    (void)state;
    int number = 7;
    const error e = offload(fail_with_cause, &number);
    assert_fails(LOUDER, e);
    const error_detail *detail = error_detail_of(e);
    assert_str_equal(detail->text, STR("so it failed"));
    assert_ptr_equal(detail->cause->kind, &BOOM);
    assert_str_equal(detail->cause->text, STR("because of 7"));
}

static error fail_without_detail(void *arg)
{
    (void)arg;
    return (error){ &BOOM };
}

static void test_offload_error_without_details_has_none_of_an_earlier_one(void **state)
{
    (void)state;
    int number = 8;
    for (int i = 0; i < 4; i++)
        assert_fails(LOUDER, offload(fail_with_cause, &number));
    const error e = offload(fail_without_detail, NULL);
    assert_fails(BOOM, e);
    assert_null(error_detail_of(e));
}

static error note_mask(void *arg)
{
    pthread_sigmask(SIG_BLOCK, NULL, arg);
    return OK;
}

static void test_offload_threads_take_no_signals(void **state)
{
    (void)state;
    sigset_t mask;
    sigemptyset(&mask);
    assert_ok(offload(note_mask, &mask));
    assert_true(sigismember(&mask, SIGTERM) && sigismember(&mask, SIGCHLD));
}

static error note_request_id(void *arg)
{
    *(str *)arg = worker_self.log_request_id;
    return OK;
}

static void test_offload_lines_carry_the_callers_request_id(void **state)
{
    (void)state;
    str seen[2 * OFFLOAD_THREADS];
    log_set_request_id(STR("r-1"));
    for (size_t i = 0; i < ARRAY_LEN(seen); i++)
        assert_ok(offload(note_request_id, &seen[i]));
    log_set_request_id(STR_NONE);
    for (size_t i = 0; i < ARRAY_LEN(seen); i++)
        assert_str_equal(seen[i], STR("r-1"));
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
        assert_ok(offload(note_request_id, &seen[i]));
        assert_null(seen[i].ptr);
    }
}

static error add_one(void *arg)
{
    atomic_fetch_add((_Atomic int *)arg, 1);
    return OK;
}

static error call_often(void *arg)
{
    for (int i = 0; i < 200; i++)
        TRY(offload(add_one, arg));
    return OK;
}

static void test_offload_many_callers_are_all_served(void **state)
{
    (void)state;
    enum {
        CALLERS = OFFLOAD_QUEUE_MAX /* each has one call under way */
    };
    _Atomic int sum = 0;
    fiber *fibers[CALLERS];
    for (int i = 0; i < CALLERS; i++)
        fibers[i] = start(call_often, &sum, 0);
    join_all(fibers, CALLERS);
    assert_int_equal(atomic_load(&sum), 200 * CALLERS);
}

/* --- waiting --------------------------------------------------------------------------------- */

static void test_offload_other_fibers_run_meanwhile(void **state)
{
    (void)state;
    gate g;
    gate_init(&g);
    fiber *f = start(offload_gate, &g, 0);
    wait_until(&g.entered, 1);
    for (int i = 0; i < 100; i++)
        assert_ok(fiber_yield());
    assert_int_equal(atomic_load(&g.left), 0);
    gate_open(&g, 1);
    assert_ok(fiber_join(&f));
    assert_int_equal(atomic_load(&g.left), 1);
}

static void test_offload_past_the_queue_is_refused_and_then_works_again(void **state)
{
    (void)state;
    gate g;
    gate_init(&g);
    fiber *running[OFFLOAD_THREADS], *queued[OFFLOAD_QUEUE_MAX];
    occupy_threads(&g, running);
    for (int i = 0; i < OFFLOAD_QUEUE_MAX; i++)
        queued[i] = start(offload_gate, &g, 0);
    assert_ok(fiber_sleep(1));
    const error e = offload_gate(&g);
    assert_fails(OFFLOAD_FULL, e);
    assert_int_equal(error_class_of(e), ERROR_UNAVAILABLE);
    assert_int_equal(atomic_load(&g.entered), OFFLOAD_THREADS);
    gate_open(&g, OFFLOAD_THREADS + OFFLOAD_QUEUE_MAX);
    join_all(running, OFFLOAD_THREADS);
    join_all(queued, OFFLOAD_QUEUE_MAX);
    assert_int_equal(atomic_load(&g.left), OFFLOAD_THREADS + OFFLOAD_QUEUE_MAX);
    gate_open(&g, 1);
    assert_ok(offload_gate(&g));
}

/* --- fuses ----------------------------------------------------------------------------------- */

static error offload_after_sleep(void *arg)
{
    (void)fiber_sleep(60000).kind;
    return offload(add_one, arg);
}

static void test_offload_after_the_fuse_blew_does_not_run(void **state)
{
    (void)state;
    _Atomic int count = 0;
    fiber *f = start(offload_after_sleep, &count, 0);
    assert_ok(fiber_yield());
    fiber_cancel(f, &CANCELED);
    assert_fails(CANCELED, fiber_join(&f));
    f = start(offload_after_sleep, &count, 5);
    assert_fails(TIMED_OUT, fiber_join(&f));
    assert_int_equal(atomic_load(&count), 0);
}

static void test_offload_canceled_in_the_queue_never_runs(void **state)
{
    (void)state;
    gate g, never;
    gate_init(&g);
    gate_init(&never);
    fiber *running[OFFLOAD_THREADS], *queued[OFFLOAD_QUEUE_MAX];
    occupy_threads(&g, running);
    for (int round = 0; round < 3; round++) { /* the queue has room again each time */
        for (int i = 0; i < OFFLOAD_QUEUE_MAX; i++)
            queued[i] = start(offload_gate, &never, round == 2 ? 5 : 0);
        assert_ok(fiber_sleep(1));
        for (int i = 0; round < 2 && i < OFFLOAD_QUEUE_MAX; i++)
            fiber_cancel(queued[i], &CANCELED);
        for (int i = 0; i < OFFLOAD_QUEUE_MAX; i++) {
            const error e = fiber_join(&queued[i]);
            assert_fails(*(round < 2 ? &CANCELED : &TIMED_OUT), e);
        }
    }
    gate_open(&g, OFFLOAD_THREADS);
    join_all(running, OFFLOAD_THREADS);
    int number = 1; /* both threads still take calls, and none of those that were forgotten */
    for (int i = 0; i < 2 * OFFLOAD_THREADS; i++)
        assert_fails(LOUDER, offload(fail_with_cause, &number));
    assert_int_equal(atomic_load(&never.entered), 0);
}

/* The argument stands on the caller's stack: it must not return before the function did. */
static error offload_own_gate(void *arg)
{
    gate own;
    gate_init(&own);
    *(gate **)arg = &own;
    const error e = offload(pass_gate, &own);
    return atomic_load(&own.left) == 1 ? e : error_set(&BOOM, "returned too early");
}

static void test_offload_canceled_while_it_runs_waits_for_the_end(void **state)
{
    (void)state;
    for (int by_deadline = 0; by_deadline < 2; by_deadline++) {
        gate *its_gate = NULL;
        fiber *f = start(offload_own_gate, &its_gate, by_deadline ? 20 : 0);
        while (!its_gate)
            assert_ok(fiber_yield());
        wait_until(&its_gate->entered, 1);
        if (!by_deadline)
            fiber_cancel(f, &CANCELED);
        assert_ok(fiber_sleep(40));
        gate_open(its_gate, 1);
        assert_ok(fiber_join(&f)); /* what the function returned */
    }
}

static error finish_then_cancel(void *arg)
{
    return offload(add_one, arg);
}

/* The fuse and the end of the call meet in one turn, in either order. */
static void test_offload_fuse_and_end_at_once_leave_one_result(void **state)
{
    (void)state;
    int ran = 0, canceled = 0;
    _Atomic int count = 0;
    for (int i = 0; i < 2000; i++) {
        fiber *f = start(finish_then_cancel, &count, 0);
        for (int turns = i % 4; turns > 0; turns--)
            assert_ok(fiber_yield());
        fiber_cancel(f, &CANCELED);
        const error e = fiber_join(&f);
        assert_true(error_is_ok(e) || error_is(e, &CANCELED));
        ran += error_is_ok(e);
        canceled += !error_is_ok(e);
    }
    assert_int_equal(atomic_load(&count), ran);
    assert_int_equal(ran + canceled, 2000);
}

/* --- threads that do not start ---------------------------------------------------------------- */

static error without_threads(void *arg)
{
    error *results = arg;
    _Atomic int count = 0;
    fault_always("offload.thread");
    results[0] = offload(add_one, &count);
    fault_clear();
    fault_at("offload.thread", 2);
    results[1] = offload(add_one, &count);
    fault_clear();
    results[2] = offload(add_one, &count);
    return atomic_load(&count) == 2 ? OK : error_set(&BOOM, "ran %d times", atomic_load(&count));
}

/* On a loop of its own, which has no threads yet. */
static void test_offload_without_threads_fails_and_works_with_one(void **state)
{
    (void)state;
    error results[3];
    assert_ok(loop_run_fiber(without_threads, results));
    assert_fails(SYSTEM_FAILED, results[0]);
    assert_ok(results[1]);
    assert_ok(results[2]);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offload_runs_on_another_thread),
        cmocka_unit_test(test_offload_of_many_calls_takes_no_memory_of_the_fiber),
        cmocka_unit_test(test_offload_hands_over_the_error_with_its_causes),
        cmocka_unit_test(test_offload_error_without_details_has_none_of_an_earlier_one),
        cmocka_unit_test(test_offload_threads_take_no_signals),
        cmocka_unit_test(test_offload_lines_carry_the_callers_request_id),
        cmocka_unit_test(test_offload_many_callers_are_all_served),
        cmocka_unit_test(test_offload_other_fibers_run_meanwhile),
        cmocka_unit_test(test_offload_past_the_queue_is_refused_and_then_works_again),
        cmocka_unit_test(test_offload_after_the_fuse_blew_does_not_run),
        cmocka_unit_test(test_offload_canceled_in_the_queue_never_runs),
        cmocka_unit_test(test_offload_canceled_while_it_runs_waits_for_the_end),
        cmocka_unit_test(test_offload_fuse_and_end_at_once_leave_one_result),
    };
    return cmocka_run_group_tests_name("offload", tests, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(test_offload_without_threads_fails_and_works_with_one),
    };
    const int failed = cmocka_run_group_tests_name("offload alone", alone, NULL, NULL);
    return failed + run_in_fiber(run);
}
