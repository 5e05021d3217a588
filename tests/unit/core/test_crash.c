/* Containment: whatever a fiber does to get a signal, it alone is lost, and what it shared with
 * others stays as it was. */
#include "fiber_private.h"

#include "core/crash.h"
#include "core/fault.h"
#include "core/offload.h"
#include "tests/support/in_fiber.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char trace[64];
static void note(char c)
{
    const size_t len = strlen(trace);
    if (len + 1 < sizeof trace) {
        trace[len] = c;
        trace[len + 1] = '\0';
    }
}

static crash_report last_crash;
static const char *last_name;
static uint32_t crashes;
static void crashed(const crash_report *report, void *arg)
{
    last_crash = *report;
    last_name = fiber_name(report->fiber);
    crashes += arg == &crashes;
    note('c');
}

static int setup(void **state)
{
    (void)state;
    trace[0] = '\0';
    crashes = 0;
    fault_clear();
    return 0;
}

/* cmocka puts its own handlers in for each test, so containment is turned on inside. */
static void contain(void)
{
    assert_ok(crash_contain(loop_self(), crashed, &crashes));
}

static error note_cleanup(void *arg)
{
    note((char)(*(const char *)arg - 'a' + 'A'));
    return OK;
}
static void abandoned(void *arg)
{
    note(*(const char *)arg);
}
/* Deferred with a letter: small when abandoned, capital when run. */
static const cleanup NOTE = { .run = note_cleanup, .abandon = abandoned, .name = "note" };
static const cleanup NO_ABANDON = { .run = note_cleanup, .name = "no abandon" };

static deferred *defer(const cleanup *what, const char *letter)
{
    return scope_defer(what, (void *)(uintptr_t)letter);
}

static fiber *start(fiber_fn fn, void *arg)
{
    fiber *f;
    const fiber_options options = { .joinable = true, .name = "test" };
    assert_ok(fiber_start(loop_self(), &options, fn, arg, &f));
    return f;
}

static error add_one(void *arg)
{
    TRY(fiber_sleep(1));
    (*(int *)arg)++;
    return OK;
}

/* The loop and other fibers go on. */
static void assert_still_works(void)
{
    int count = 0;
    fiber *f = start(add_one, &count);
    assert_ok(fiber_join(&f));
    assert_int_equal(count, 1);
}

/* --- every signal ---------------------------------------------------------------------------- */

static error dereference_null(void *arg)
{
    (void)arg;
    *(volatile int *)(uintptr_t)64 = 1; /* a null struct pointer, one member in */
    return OK;
}

static error call_abort(void *arg)
{
    (void)arg;
    abort();
}

static error break_invariant(void *arg)
{
    invariant(arg != NULL);
    return OK;
}

static error raise_it(void *arg)
{
    (void)raise(*(const int *)arg);
    return OK;
}

static error jump_to_null(void *arg)
{
    void (*volatile nowhere)(void) = NULL;
    (void)arg;
    __asm__ volatile("" ::: "memory");
    nowhere();
    return OK;
}

static error recurse(void *arg);
static error (*volatile recurse_again)(void *arg) = recurse;
/* NOLINTNEXTLINE(misc-no-recursion): that is the test */
static error recurse(void *arg)
{
    volatile char frame[512];
    frame[0] = (char)(arg != NULL);
    const error e = recurse_again((void *)(uintptr_t)frame);
    frame[1] = frame[0];
    return e;
}

static void test_crash_by_each_signal_costs_one_fiber(void **state)
{
    (void)state;
    static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGUSR1 };
    contain();
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        int signo = signals[i];
        fiber *f = start(raise_it, &signo);
        const fiber *const started = f;
        assert_fails(FIBER_CRASHED, fiber_join(&f));
        assert_int_equal(last_crash.signo, signo);
        assert_ptr_equal(last_crash.fiber, started);
        assert_ptr_equal(last_crash.fiber_fn, raise_it);
        assert_ptr_equal(last_crash.fiber_arg, &signo);
        assert_string_equal(last_name, "test");
        assert_true(last_crash.frame_count > 0);
        assert_still_works();
    }
    assert_int_equal(crashes, ARRAY_LEN(signals));
}

static void test_crash_by_a_wild_pointer_says_where(void **state)
{
    (void)state;
    contain();
    fiber *f = start(dereference_null, NULL);
    const error e = fiber_join(&f);
    assert_fails(FIBER_CRASHED, e);
    assert_str_equal(error_detail_of(e)->text, STR("fiber test crashed"));
    assert_int_equal(last_crash.signo, SIGSEGV);
    assert_int_equal((uintptr_t)last_crash.address, 64);
    /* Down to fiber_main, whatever stands between. */
    assert_true(last_crash.frame_count >= 2);
    for (uint32_t i = 0; i < last_crash.frame_count; i++) {
        char text[256] = "";
        crash_describe_frame(last_crash.frames[i], text, sizeof text);
        assert_non_null(strstr(text, "+0x"));
    }
    f = start(jump_to_null, NULL);
    assert_fails(FIBER_CRASHED, fiber_join(&f));
    assert_null(last_crash.frames[0]);
    char text[8];
    crash_describe_frame(NULL, text, sizeof text);
    assert_true(strlen(text) < sizeof text);
    assert_still_works();
}

static void test_crash_by_abort_is_contained_again_and_again(void **state)
{
    (void)state;
    contain();
    for (int i = 0; i < 50; i++) {
        fiber *f = start(call_abort, NULL);
        assert_fails(FIBER_CRASHED, fiber_join(&f));
        assert_int_equal(last_crash.signo, SIGABRT);
    }
    assert_int_equal(crashes, 50);
    assert_still_works();
}

static void test_crash_by_invariant_says_which_and_who_called(void **state)
{
    (void)state;
    contain();
    fiber *f = start(break_invariant, NULL);
    assert_fails(FIBER_CRASHED, fiber_join(&f));
    assert_int_equal(last_crash.signo, SIGABRT);
    assert_non_null(memmem(last_crash.invariant.ptr, last_crash.invariant.len, "test_crash.c", 12));
    assert_true(str_ends_with(last_crash.invariant, STR(": invariant failed: arg != NULL")));
    /* The C library, break_invariant, and down to fiber_main. */
    assert_true(last_crash.frame_count >= 3);
    f = start(call_abort, NULL);
    assert_fails(FIBER_CRASHED, fiber_join(&f));
    assert_null(last_crash.invariant.ptr);
    assert_still_works();
}

static void test_crash_by_stack_overflow_is_contained(void **state)
{
    (void)state;
    contain();
    fiber *f = start(recurse, NULL);
    const struct stack *const overflown = f->stack;
    assert_fails(FIBER_CRASHED, fiber_join(&f));
    assert_int_equal(last_crash.signo, SIGSEGV);
    assert_int_equal(last_crash.frame_count, CRASH_FRAMES_MAX);
    /* Its stack is out of use for ever. */
    fiber *others[100];
    int count = 0;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        others[i] = start(add_one, &count);
        assert_ptr_not_equal(others[i]->stack, overflown);
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_ok(fiber_join(&others[i]));
    assert_int_equal(count, ARRAY_LEN(others));
}

/* A frame larger than a page, or than the guard, does not step over it. */
static error skip_a_page(void *arg);
static error (*volatile skip_again)(void *arg) = skip_a_page;
/* NOLINTNEXTLINE(misc-no-recursion): that is the test */
static error skip_a_page(void *arg)
{
    volatile char frame[90000];
    frame[0] = (char)(arg != NULL); /* the lowest byte; nothing between is touched */
    const error e = skip_again((void *)(uintptr_t)frame);
    frame[0]++;
    return e;
}

static void test_crash_by_large_frames_is_contained(void **state)
{
    (void)state;
    contain();
    fiber *f = start(skip_a_page, NULL);
    assert_fails(FIBER_CRASHED, fiber_join(&f));
    assert_int_equal(last_crash.signo, SIGSEGV);
    assert_still_works();
}

#if defined(__x86_64__)
/* Faults within a backward copy: C code that runs after it must not copy backwards. */
static error fault_with_direction_set(void *arg)
{
    (void)arg;
    __asm__ volatile("std\n\tmovb $1, 64" ::: "memory", "cc");
    return OK;
}

static void test_crash_leaves_no_processor_state_behind(void **state)
{
    (void)state;
    contain();
    fiber *f = start(fault_with_direction_set, NULL);
    assert_fails(FIBER_CRASHED, fiber_join(&f));
    uint64_t flags;
    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags)::"memory");
    assert_int_equal(flags & 0x400, 0);
    assert_still_works();
}
#endif

/* --- runaways -------------------------------------------------------------------------------- */

static _Atomic bool runs_away;

static error never_yield(void *arg)
{
    (void)arg;
    runs_away = true;
    for (;;)
        __asm__ volatile("");
    return OK;
}

static error signal_when_it_runs_away(void *arg)
{
    (void)arg;
    while (!runs_away)
        usleep(1000);
    kill(getpid(), SIGUSR1);
    return OK;
}

static error offload_signal(void *arg)
{
    return offload(signal_when_it_runs_away, arg);
}

static void test_crash_stops_a_runaway_when_told_from_outside(void **state)
{
    (void)state;
    contain();
    runs_away = false;
    fiber *killer = start(offload_signal, NULL);
    assert_ok(fiber_yield());
    fiber *f = start(never_yield, NULL);
    assert_fails(FIBER_CRASHED, fiber_join(&f));
    assert_int_equal(last_crash.signo, SIGUSR1);
    assert_ok(fiber_join(&killer));
}

static void signal_on_the_loop(loop_task *task)
{
    (void)task;
    (void)raise(SIGUSR1);
    note('s');
}

static void test_crash_signal_for_a_runaway_that_gave_way_is_ignored(void **state)
{
    (void)state;
    contain();
    loop_task task = { .run = signal_on_the_loop };
    loop_post(loop_self(), &task);
    assert_ok(fiber_yield());
    assert_string_equal(trace, "s");
    assert_int_equal(crashes, 0);
}

/* --- scopes ---------------------------------------------------------------------------------- */

static error crash_inside(void *arg)
{
    defer(&NOTE, "d");
    deferred *dropped = defer(&NOTE, "x");
    scope_disarm(&dropped);
    return dereference_null(arg);
}

static error crash_in_nested_scope(void *arg)
{
    defer(&NOTE, "a");
    defer(&NO_ABANDON, "n");
    defer(&NOTE, "b");
    return scope_call(NULL, crash_inside, arg);
}

static void test_crash_abandons_every_scope_innermost_first(void **state)
{
    (void)state;
    contain();
    fiber *f = start(crash_in_nested_scope, NULL);
    assert_fails(FIBER_CRASHED, fiber_join(&f));
    assert_string_equal(trace, "cdba");
}

static error crashing_cleanup(void *arg)
{
    TRY(note_cleanup(arg));
    return dereference_null(NULL);
}
static const cleanup CRASHING = { .run = crashing_cleanup, .abandon = abandoned, .name = "crash" };

static error with_crashing_cleanup(void *arg)
{
    (void)arg;
    defer(&NOTE, "a");
    defer(&CRASHING, "b");
    defer(&NOTE, "d");
    return OK;
}

static void test_crash_in_a_cleanup_abandons_those_that_did_not_run(void **state)
{
    (void)state;
    contain();
    fiber *f = start(with_crashing_cleanup, NULL);
    assert_fails(FIBER_CRASHED, fiber_join(&f));
    assert_string_equal(trace, "DBca");
}

static void never_called(fiber *f, error result, void *arg)
{
    (void)f;
    (void)result;
    (void)arg;
    note('!');
}

static void test_crash_of_a_detached_fiber_is_told_to_on_crash_only(void **state)
{
    (void)state;
    contain();
    const uint32_t running = fiber_stats_of(loop_self()).running;
    const fiber_options options = { .name = "detached", .ended = never_called };
    assert_ok(fiber_start(loop_self(), &options, dereference_null, NULL, NULL));
    assert_ok(fiber_yield());
    assert_string_equal(trace, "c");
    assert_string_equal(last_name, "detached");
    assert_int_equal(fiber_stats_of(loop_self()).running, running);
}

/* --- groups: memory that a crashed fiber shared ----------------------------------------------- */

#define SHARED_BYTES 3000

typedef struct family {
    char *shared; /* in the parent's arena */
    bool spoilt;
    _Atomic bool thread_may_go;
    uint32_t ended;
    error child_result;
} family;

static bool all_are(const char *bytes, char c)
{
    for (size_t i = 0; i < SHARED_BYTES; i++) {
        if (bytes[i] != c)
            return false;
    }
    return true;
}

/* Takes memory from the pool as others would, and writes all over it. */
static void use_the_pool(void)
{
    arena others;
    arena_init(&others, 100 * BLOCK_CAPACITY);
    for (int i = 0; i < 50; i++)
        memset(arena_alloc(&others, BLOCK_CAPACITY / 2, 8), '#', BLOCK_CAPACITY / 2);
    arena_deinit(&others);
}

static error child_sleeps(void *arg)
{
    family *us = arg;
    const error e = fiber_sleep(60000);
    use_the_pool();
    us->spoilt = us->spoilt || !all_are(us->shared, 's');
    us->child_result = e;
    us->ended++;
    return e;
}

static error blocks(void *arg)
{
    family *us = arg;
    while (!us->thread_may_go)
        usleep(100);
    return OK;
}

static error child_offloads(void *arg)
{
    family *us = arg;
    const error e = offload(blocks, us);
    use_the_pool();
    us->spoilt = us->spoilt || !all_are(us->shared, 's');
    us->ended++;
    return e;
}

static void share(family *us)
{
    us->shared = arena_alloc(fiber_arena(), SHARED_BYTES, 8);
    memset(us->shared, 's', SHARED_BYTES);
}

static error parent_crashes(void *arg)
{
    family *us = arg;
    share(us);
    wait_group *group = ARENA_NEW(fiber_arena(), wait_group);
    wait_group_init(group);
    TRY(wait_group_start(group, child_sleeps, us));
    TRY(wait_group_start(group, child_offloads, us));
    TRY(fiber_sleep(20)); /* a thread has the call */
    return dereference_null(NULL);
}

static void test_crash_of_a_waiter_ends_its_group_and_keeps_their_memory(void **state)
{
    (void)state;
    contain();
    family us = { 0 };
    fiber *f = start(parent_crashes, &us);
    assert_fails(FIBER_CRASHED, fiber_join(&f));
    use_the_pool();
    for (int i = 0; i < 1000 && us.ended < 1; i++)
        assert_ok(fiber_sleep(1));
    assert_fails(CANCELED, us.child_result);
    use_the_pool();
    us.thread_may_go = true;
    for (int i = 0; i < 1000 && us.ended < 2; i++)
        assert_ok(fiber_sleep(1));
    assert_int_equal(us.ended, 2);
    assert_false(us.spoilt);
    assert_int_equal(fiber_stats_of(loop_self()).running, 1);
}

static error child_crashes(void *arg)
{
    (void)arg;
    memset(arena_alloc(fiber_arena(), SHARED_BYTES, 8), 'c', SHARED_BYTES);
    return dereference_null(NULL);
}

static error parent_waits(void *arg)
{
    family *us = arg;
    share(us);
    wait_group group;
    wait_group_init(&group);
    TRY(wait_group_start(&group, child_crashes, us));
    TRY(wait_group_start(&group, child_sleeps, us));
    const error e = wait_group_wait(&group);
    use_the_pool();
    us->spoilt = us->spoilt || !all_are(us->shared, 's');
    memset(arena_alloc(fiber_arena(), SHARED_BYTES, 8), 'p', SHARED_BYTES);
    return e;
}

static void test_crash_in_a_group_is_the_waiters_error(void **state)
{
    (void)state;
    contain();
    family us = { 0 };
    fiber *f = start(parent_waits, &us);
    assert_fails(FIBER_CRASHED, fiber_join(&f));
    assert_fails(CANCELED, us.child_result);
    assert_false(us.spoilt);
    assert_string_equal(last_name, "wait group"); /* none of the parent's arguments */
    assert_int_equal(crashes, 1);
    assert_int_equal(fiber_stats_of(loop_self()).running, 1);
}

/* --- outside --------------------------------------------------------------------------------- */

static void crash_on_the_loop(loop_task *task)
{
    (void)task;
    (void)dereference_null(NULL);
}

static error post_the_crash(void *arg)
{
    (void)arg;
    static loop_task task = { .run = crash_on_the_loop };
    TRY(crash_contain(loop_self(), crashed, NULL));
    loop_post(loop_self(), &task);
    return fiber_sleep(60000);
}

static error abort_on_a_thread(void *arg)
{
    (void)arg;
    abort();
}

static error offload_the_abort(void *arg)
{
    TRY(crash_contain(loop_self(), crashed, NULL));
    return offload(abort_on_a_thread, arg);
}

/* The signal that ends a process which runs `fn` on a loop of its own; 0 when none does. */
static int fatal_signal_of(fiber_fn fn)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = { 0 };
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)loop_run_fiber(fn, NULL);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_crash_outside_a_fiber_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(fatal_signal_of(post_the_crash), SIGSEGV);
    assert_int_equal(fatal_signal_of(offload_the_abort), SIGABRT);
}

#define CRASH_TEST(name) cmocka_unit_test_setup(name, setup)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        CRASH_TEST(test_crash_by_each_signal_costs_one_fiber),
        CRASH_TEST(test_crash_by_a_wild_pointer_says_where),
        CRASH_TEST(test_crash_by_abort_is_contained_again_and_again),
        CRASH_TEST(test_crash_by_invariant_says_which_and_who_called),
        CRASH_TEST(test_crash_by_stack_overflow_is_contained),
        CRASH_TEST(test_crash_by_large_frames_is_contained),
#if defined(__x86_64__)
        CRASH_TEST(test_crash_leaves_no_processor_state_behind),
#endif
        CRASH_TEST(test_crash_stops_a_runaway_when_told_from_outside),
        CRASH_TEST(test_crash_signal_for_a_runaway_that_gave_way_is_ignored),
        CRASH_TEST(test_crash_abandons_every_scope_innermost_first),
        CRASH_TEST(test_crash_in_a_cleanup_abandons_those_that_did_not_run),
        CRASH_TEST(test_crash_of_a_detached_fiber_is_told_to_on_crash_only),
        CRASH_TEST(test_crash_of_a_waiter_ends_its_group_and_keeps_their_memory),
        CRASH_TEST(test_crash_in_a_group_is_the_waiters_error),
    };
    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}

int main(void)
{
    /* Before this process has a loop and threads, which a child could not use. */
    const struct CMUnitTest forking[] = {
        cmocka_unit_test(test_crash_outside_a_fiber_ends_the_process),
    };
    const int failed = cmocka_run_group_tests_name("crash outside", forking, NULL, NULL);
    return run_in_fiber(run) + failed != 0;
}
