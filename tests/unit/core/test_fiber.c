/* Fibers and scopes: every way a wait can end, clean-ups in every order. */
#include "fiber_private.h"

#include "core/fault.h"
#include "tests/support/in_fiber.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static ERROR_KIND(BOOM, ERROR_INTERNAL, "boom");
static ERROR_KIND(CLEANUP_BROKE, ERROR_INTERNAL, "cleanup");

static char trace[64];
static void note(char c)
{
    const size_t len = strlen(trace);
    trace[len] = c;
    trace[len + 1] = '\0';
}

static int setup(void **state)
{
    (void)state;
    trace[0] = '\0';
    fault_clear();
    return 0;
}

/* Deferred with a letter to note. */
static deferred *defer(const cleanup *what, const char *letter)
{
    return scope_defer(what, (void *)(uintptr_t)letter);
}

static error note_cleanup(void *arg)
{
    note(*(const char *)arg);
    return OK;
}
static error broken_cleanup(void *arg)
{
    note(*(const char *)arg);
    return error_set(&CLEANUP_BROKE, "broke");
}
static error waiting_cleanup(void *arg)
{
    const error e = fiber_sleep(5);
    note(error_is_ok(e) ? *(const char *)arg : '!');
    return e;
}
static const cleanup NOTE = { .run = note_cleanup, .name = "note" };
static const cleanup BROKEN = { .run = broken_cleanup, .name = "broken" };
static const cleanup WAITING = { .run = waiting_cleanup, .name = "waiting" };

static fiber *start(fiber_fn fn, void *arg, uint32_t deadline_ms)
{
    fiber *f;
    const fiber_options options = { .joinable = true,
                                    .deadline_ms = deadline_ms,
                                    .name = "test",
                                    .arena_bytes_max = 4 * BLOCK_CAPACITY };
    assert_ok(fiber_start(loop_self(), &options, fn, arg, &f));
    return f;
}

/* --- running and waiting --------------------------------------------------------------------- */

static error add_one(void *arg)
{
    (*(int *)arg)++;
    return OK;
}

/* One that runs at once: where it got to before fiber_start returned, seen from the loop. */
static error sleep_between_notes(void *arg)
{
    (void)arg;
    note('a');
    const error e = fiber_sleep(1);
    note('c');
    return e;
}

static const fiber_options AT_ONCE = { .at_once = true, .name = "at once" };

static void start_at_once(loop_task *task)
{
    (void)task;
    int count = 0;
    fiber *ended, *waiting;
    assert_ok(fiber_start(loop_self(), &AT_ONCE, add_one, &count, &ended));
    assert_int_equal(count, 1);
    assert_ok(fiber_start(loop_self(), &AT_ONCE, sleep_between_notes, NULL, &waiting));
    assert_string_equal(fiber_waits_for(waiting), "sleep");
    note('b');
}

static void test_fiber_started_at_once_runs_until_it_waits(void **state)
{
    (void)state;
    loop_task task = { .run = start_at_once };
    loop_post(loop_self(), &task);
    assert_ok(fiber_sleep(20));
    assert_string_equal(trace, "abc");
}

static void test_fiber_started_at_once_in_a_fiber_runs_when_that_waits(void **state)
{
    (void)state;
    int count = 0;
    assert_ok(fiber_start(loop_self(), &AT_ONCE, add_one, &count, NULL));
    assert_int_equal(count, 0);
    assert_ok(fiber_yield());
    assert_int_equal(count, 1);
}

static error die_between_notes(void *arg)
{
    (void)arg;
    note('d');
    fiber_end_now(error_set(&BOOM, "now"));
}

static void note_end(fiber *f, error result, void *arg)
{
    (void)f;
    (void)arg;
    note(error_is(result, &BOOM) ? 'e' : '!');
}

static void start_and_end_at_once(loop_task *task)
{
    (void)task;
    const fiber_options options = { .at_once = true, .ended = note_end };
    assert_ok(fiber_start(loop_self(), &options, die_between_notes, NULL, NULL));
    note('f');
}

static void test_fiber_that_ends_now_and_at_once_comes_back(void **state)
{
    (void)state;
    loop_task task = { .run = start_and_end_at_once };
    loop_post(loop_self(), &task);
    assert_ok(fiber_sleep(5));
    assert_string_equal(trace, "def");
}

static void test_fiber_join_gives_the_result_and_its_details(void **state)
{
    (void)state;
    int count = 0;
    fiber *f = start(add_one, &count, 0);
    assert_int_equal(count, 0);
    assert_ok(fiber_join(&f));
    assert_null(f);
    assert_int_equal(count, 1);
}

static error fail_with_detail(void *arg)
{
    (void)arg;
    return error_set(&BOOM, "because of %d", 3);
}

static void test_fiber_join_hands_the_error_detail_over(void **state)
{
    (void)state;
    fiber *f = start(fail_with_detail, NULL, 0);
    const error e = fiber_join(&f);
    assert_fails(BOOM, e);
    assert_str_equal(error_detail_of(e)->text, STR("because of 3"));
}

static error sleep_long(void *arg)
{
    const error e = fiber_sleep(60000);
    if (arg)
        *(error *)arg = fiber_sleep(60000);
    return e;
}

static void test_fiber_deadline_ends_a_sleep_and_every_wait_after(void **state)
{
    (void)state;
    error second = OK;
    fiber *f = start(sleep_long, &second, 10);
    assert_fails(TIMED_OUT, fiber_join(&f));
    assert_fails(TIMED_OUT, second);
}

static void test_fiber_cancel_ends_a_sleep_and_every_wait_after(void **state)
{
    (void)state;
    error second = OK;
    fiber *f = start(sleep_long, &second, 0);
    assert_ok(fiber_yield());
    fiber_cancel(f, &BOOM);
    fiber_cancel(f, &CANCELED);
    assert_fails(BOOM, fiber_join(&f));
    assert_fails(BOOM, second);
}

static void test_fiber_canceled_before_it_ran_does_not_wait(void **state)
{
    (void)state;
    fiber *f = start(sleep_long, NULL, 0);
    fiber_cancel(f, &CANCELED);
    assert_fails(CANCELED, fiber_join(&f));
}

static error yield_once(void *arg)
{
    (void)arg;
    return fiber_yield();
}

static void test_fiber_yield_of_a_canceled_fiber_fails(void **state)
{
    (void)state;
    fiber *f = start(yield_once, NULL, 0);
    fiber_cancel(f, &CANCELED);
    assert_fails(CANCELED, fiber_join(&f));
}

static uint32_t forgotten;
static void count_forgotten(void *arg)
{
    assert_ptr_equal(arg, &forgotten);
    forgotten++;
}

static error park(void *arg)
{
    const error e = fiber_park("a test", count_forgotten, &forgotten);
    if (arg)
        *(error *)arg = fiber_park("a test", count_forgotten, &forgotten);
    return e;
}

static void test_fiber_park_is_forgotten_once_a_wait(void **state)
{
    (void)state;
    error second = OK;
    forgotten = 0;
    fiber *f = start(park, &second, 10);
    assert_fails(TIMED_OUT, fiber_join(&f));
    assert_fails(TIMED_OUT, second);
    assert_int_equal(forgotten, 2); /* parked, and refused to */
    forgotten = 0;
    f = start(park, &second, 0);
    assert_ok(fiber_yield());
    fiber_cancel(f, &BOOM);
    const error e = fiber_join(&f);
    assert_fails(BOOM, e);
    assert_str_equal(error_detail_of(e)->text, STR("before waiting for a test"));
    assert_int_equal(forgotten, 2);
}

static void test_fiber_woken_is_not_forgotten_and_has_the_wakers_error(void **state)
{
    (void)state;
    forgotten = 0;
    fiber *f = start(park, NULL, 60000);
    assert_ok(fiber_yield());
    fiber_wake(f, fiber_error_set(f, &BOOM, "by the %s", "waker"));
    fiber_cancel(f, &CANCELED); /* too late for this wait */
    const error e = fiber_join(&f);
    assert_fails(BOOM, e);
    assert_str_equal(error_detail_of(e)->text, STR("by the waker"));
    assert_int_equal(forgotten, 0);
}

static error yield_for_ever(void *arg)
{
    (void)arg;
    for (;;)
        TRY(fiber_yield());
    return OK;
}

static error join_a_sleeper(void *arg)
{
    (void)arg;
    fiber *sleeper;
    const fiber_options options = { .joinable = true, .deadline_ms = 40 };
    TRY(fiber_start(loop_self(), &options, sleep_long, NULL, &sleeper));
    const error joined = fiber_join(&sleeper); /* waited out, past our own deadline */
    assert_fails(TIMED_OUT, joined);
    assert_int_equal(scope_time_left_ms(), 0);
    return fiber_sleep(1);
}

static void test_fiber_deadline_ends_yields_and_not_a_join(void **state)
{
    (void)state;
    fiber *f = start(yield_for_ever, NULL, 20);
    assert_fails(TIMED_OUT, fiber_join(&f));
    f = start(join_a_sleeper, NULL, 10);
    assert_fails(TIMED_OUT, fiber_join(&f));
}

static void test_fiber_past_the_cap_is_refused(void **state)
{
    (void)state;
    loop *l = loop_self();
    const uint32_t max = l->fibers_max;
    l->fibers_max = l->fiber_stats.running + 2;
    fiber *first = start(sleep_long, NULL, 10), *second = start(sleep_long, NULL, 10), *third;
    const fiber_options options = { .joinable = true };
    assert_fails(FIBER_TOO_MANY, fiber_start(l, &options, sleep_long, NULL, &third));
    assert_fails(TIMED_OUT, fiber_join(&first));
    third = start(sleep_long, NULL, 10); /* there is room again */
    assert_fails(TIMED_OUT, fiber_join(&second));
    assert_fails(TIMED_OUT, fiber_join(&third));
    l->fibers_max = max;
}

static void test_fiber_spare_is_for_those_who_may(void **state)
{
    (void)state;
    loop *l = loop_self();
    const uint32_t max = l->fibers_max;
    l->fibers_max = l->fiber_stats.running + 3;
    l->fibers_spare = 2;
    fiber *first = start(sleep_long, NULL, 10), *second, *third, *fourth;
    const fiber_options any = { .joinable = true };
    const fiber_options spare = { .joinable = true, .may_be_spare = true, .deadline_ms = 10 };
    assert_true(fiber_stats_of(l).only_spare_left);
    assert_fails(FIBER_TOO_MANY, fiber_start(l, &any, sleep_long, NULL, &fourth));
    assert_ok(fiber_start(l, &spare, sleep_long, NULL, &second));
    assert_ok(fiber_start(l, &spare, sleep_long, NULL, &third));
    assert_fails(FIBER_TOO_MANY, fiber_start(l, &spare, sleep_long, NULL, &fourth));
    assert_fails(TIMED_OUT, fiber_join(&first));
    assert_fails(TIMED_OUT, fiber_join(&second));
    assert_fails(TIMED_OUT, fiber_join(&third));
    assert_false(fiber_stats_of(l).only_spare_left);
    l->fibers_max = max;
    l->fibers_spare = 0;
}

static error note_own_name(void *arg)
{
    assert_ptr_equal(fiber_arena_of(fiber_self()), fiber_arena());
    *(const char **)arg = fiber_name(fiber_self());
    assert_null(fiber_about(fiber_self()));
    return OK;
}

static void test_fiber_without_options_has_a_name_and_an_arena(void **state)
{
    (void)state;
    const char *name = NULL;
    assert_ok(fiber_start(loop_self(), NULL, note_own_name, &name, NULL));
    assert_ok(fiber_yield());
    assert_string_equal(name, "fiber");
}

static error note_about(void *arg)
{
    *(const char **)arg = fiber_about(fiber_self());
    return OK;
}

static error tell_group(void *arg)
{
    wait_group group;
    fiber_set_about("GET /orders");
    wait_group_init(&group);
    TRY(wait_group_start(&group, note_about, arg));
    return wait_group_wait(&group);
}

static void test_fiber_says_what_it_works_on_and_its_group_works_on_the_same(void **state)
{
    (void)state;
    const char *about = NULL;
    fiber *f = start(tell_group, &about, 0);
    assert_ok(fiber_join(&f));
    assert_string_equal(about, "GET /orders");
}

/* --- scopes ---------------------------------------------------------------------------------- */

static error inner_scope(void *arg)
{
    defer(&NOTE, "1");
    defer(&NOTE, "2");
    return arg ? error_set(&BOOM, "inner") : OK;
}

static error outer_scope(void *arg)
{
    defer(&NOTE, "3");
    deferred *dropped = defer(&NOTE, "x");
    const error e = scope_call(NULL, inner_scope, arg);
    note(':');
    scope_disarm(&dropped);
    scope_disarm(&dropped);
    return e;
}

static void test_scope_cleanups_run_last_in_first_out_whatever_is_returned(void **state)
{
    (void)state;
    fiber *f = start(outer_scope, NULL, 0);
    assert_ok(fiber_join(&f));
    assert_string_equal(trace, "21:3");
    trace[0] = '\0';
    f = start(outer_scope, &f, 0);
    assert_fails(BOOM, fiber_join(&f));
    assert_string_equal(trace, "21:3");
}

static error with_broken_cleanup(void *arg)
{
    defer(&NOTE, "1");
    defer(&BROKEN, "2");
    return arg ? error_set(&BOOM, "function") : OK;
}

static void test_scope_cleanup_error_counts_only_when_the_function_had_none(void **state)
{
    (void)state;
    assert_fails(CLEANUP_BROKE, scope_call(NULL, with_broken_cleanup, NULL));
    const error e = scope_call(NULL, with_broken_cleanup, trace);
    assert_fails(BOOM, e);
    assert_str_equal(error_detail_of(e)->text, STR("function"));
    assert_string_equal(trace, "2121");
}

static error disarmed_cleanup(void *arg)
{
    scope_disarm(arg);
    return error_set(&CLEANUP_BROKE, "broke");
}
static const cleanup DISARMED = { .run = disarmed_cleanup, .name = "disarmed" };

static error with_cleanup_that_disarms_itself(void *arg)
{
    deferred **own = arg;
    *own = scope_defer(&DISARMED, own);
    return error_set(&BOOM, "function");
}

static void test_scope_cleanup_that_disarms_itself_may_fail(void **state)
{
    (void)state;
    deferred *own = NULL;
    assert_fails(BOOM, scope_call(NULL, with_cleanup_that_disarms_itself, &own));
    assert_null(own);
}

static error late_with_waiting_cleanup(void *arg)
{
    (void)arg;
    defer(&WAITING, "w");
    return fiber_sleep(60000);
}

static void test_scope_cleanups_may_wait_after_deadline_and_cancel(void **state)
{
    (void)state;
    fiber *f = start(late_with_waiting_cleanup, NULL, 5);
    assert_fails(TIMED_OUT, fiber_join(&f));
    f = start(late_with_waiting_cleanup, NULL, 0);
    assert_ok(fiber_yield());
    fiber_cancel(f, &CANCELED);
    assert_fails(CANCELED, fiber_join(&f));
    assert_string_equal(trace, "ww");
}

static error sleep_a_second(void *arg)
{
    (void)arg;
    assert_true(scope_time_left_ms() <= 21);
    return fiber_sleep(1000);
}

static void test_scope_deadline_is_its_own_and_ends_with_it(void **state)
{
    (void)state;
    const scope_options options = { .deadline_ms = 20 };
    assert_fails(TIMED_OUT, scope_call(&options, sleep_a_second, NULL));
    assert_int_equal(scope_time_left_ms(), UINT32_MAX);
    assert_ok(fiber_sleep(1));
}

static error late_status(void *arg)
{
    const error slept = sleep_a_second(arg);
    return slept.kind ? scope_status() : OK;
}

static error statuses(void *arg)
{
    (void)arg;
    const scope_options options = { .deadline_ms = 5 };
    assert_ok(scope_status());
    assert_fails(TIMED_OUT, scope_call(&options, sleep_a_second, NULL));
    assert_ok(scope_status());
    fiber_cancel(fiber_self(), &BOOM);
    return scope_status();
}

static void test_scope_status_is_the_fuse_that_has_blown(void **state)
{
    (void)state;
    fiber *f = start(statuses, NULL, 0);
    assert_fails(BOOM, fiber_join(&f));
    f = start(late_status, NULL, 5);
    assert_fails(TIMED_OUT, fiber_join(&f));
}

static error sleeps_past_the_outer(void *arg)
{
    const scope_options longer = { .deadline_ms = 60000 };
    const error e = scope_call(arg ? &longer : NULL, sleep_long, NULL);
    assert_int_equal(scope_time_left_ms(), 0);
    return e;
}

static void test_scope_deadline_is_never_later_than_the_outer(void **state)
{
    (void)state;
    const scope_options options = { .deadline_ms = 10 };
    assert_fails(TIMED_OUT, scope_call(&options, sleeps_past_the_outer, NULL));
    assert_fails(TIMED_OUT, scope_call(&options, sleeps_past_the_outer, trace));
}

static error registering_cleanup(void *arg)
{
    note(*(const char *)arg);
    defer(&NOTE, "r");
    return OK;
}
static const cleanup REGISTERING = { .run = registering_cleanup, .name = "registering" };

static error eating_cleanup(void *arg)
{
    note(*(const char *)arg);
    for (;;)
        memset(arena_alloc(fiber_arena(), 1000, 8), 1, 1000);
    return OK;
}
static const cleanup EATING = { .run = eating_cleanup, .name = "eating" };

static error with_cleanups(void *arg)
{
    (void)arg;
    defer(&NOTE, "1");
    defer(&EATING, "e");
    defer(&REGISTERING, "g");
    return OK;
}

static void test_scope_cleanups_may_register_others_and_blow_the_fuse(void **state)
{
    (void)state;
    fiber *f = start(with_cleanups, NULL, 0);
    assert_fails(ARENA_FULL, fiber_join(&f));
    assert_string_equal(trace, "gre1");
}

static error endless_cleanup(void *arg)
{
    const uint32_t left_ms = scope_time_left_ms();
    const error e = fiber_sleep(60000);
    note(left_ms <= SCOPE_CLEANUP_MS + 1 && error_is(e, &TIMED_OUT) ? *(const char *)arg : '!');
    return e;
}
static const cleanup ENDLESS = { .run = endless_cleanup, .name = "endless" };

static error with_endless_cleanup(void *arg)
{
    (void)arg;
    defer(&NOTE, "1");
    defer(&ENDLESS, "e");
    return OK;
}

static void test_scope_cleanup_has_a_deadline_of_its_own(void **state)
{
    (void)state;
    fiber *f = start(with_endless_cleanup, NULL, 0);
    assert_ok(fiber_sleep(10));
    fiber_cancel(f, &CANCELED); /* does not touch it */
    assert_fails(TIMED_OUT, fiber_join(&f));
    assert_string_equal(trace, "e1");
}

/* --- fuses of memory ------------------------------------------------------------------------- */

static error eat(void *arg)
{
    (void)arg;
    defer(&NOTE, "i");
    for (;;)
        memset(arena_alloc(fiber_arena(), 1000, 8), 1, 1000);
    return OK;
}

static error eat_inside(void *arg)
{
    defer(&WAITING, "o");
    const error e = scope_call(NULL, eat, arg);
    note('?'); /* never: the fiber ends where the fuse blew */
    return e;
}

static void test_fiber_past_its_arena_cap_ends_with_cleanups_run(void **state)
{
    (void)state;
    fiber *f = start(eat_inside, NULL, 0);
    assert_fails(ARENA_FULL, fiber_join(&f));
    assert_string_equal(trace, "io");
}

static void test_fiber_without_memory_ends_with_cleanups_run(void **state)
{
    (void)state;
    block_pool_trim();
    fault_at("block.acquire", 2);
    fiber *f = start(eat_inside, NULL, 0);
    assert_fails(OUT_OF_MEMORY, fiber_join(&f));
    assert_string_equal(trace, "io");
}

static error starts_until_refused(void *arg)
{
    (void)arg;
    return OK;
}

static void test_fiber_start_without_a_stack_is_refused(void **state)
{
    (void)state;
    fiber *held[200];
    size_t count = 0;
    fault_always("fiber.mmap");
    const fiber_options options = { .joinable = true };
    error e = OK;
    while (count < ARRAY_LEN(held)) {
        e = fiber_start(loop_self(), &options, starts_until_refused, NULL, &held[count]);
        if (e.kind)
            break;
        count++;
    }
    assert_fails(OUT_OF_MEMORY, e);
    fault_clear();
    while (count > 0)
        assert_ok(fiber_join(&held[--count]));
}

/* --- groups ---------------------------------------------------------------------------------- */

static error add_after_a_nap(void *arg)
{
    TRY(fiber_sleep(5));
    return add_one(arg);
}

static void test_wait_group_runs_all_at_once(void **state)
{
    (void)state;
    int count = 0;
    wait_group group;
    wait_group_init(&group);
    for (int i = 0; i < 10; i++)
        assert_ok(wait_group_start(&group, add_after_a_nap, &count));
    assert_ok(wait_group_wait(&group));
    assert_int_equal(count, 10);
}

static void test_wait_group_first_error_cancels_the_rest(void **state)
{
    (void)state;
    wait_group group;
    wait_group_init(&group);
    assert_ok(wait_group_start(&group, fail_with_detail, NULL));
    assert_ok(wait_group_start(&group, sleep_long, NULL));
    const error e = wait_group_wait(&group);
    assert_fails(BOOM, e);
    assert_str_equal(error_detail_of(e)->text, STR("because of 3"));
}

static error leaves_a_group_behind(void *arg)
{
    wait_group *group = ARENA_NEW(fiber_arena(), wait_group);
    wait_group_init(group);
    TRY(wait_group_start(group, sleep_long, NULL));
    TRY(wait_group_start(group, add_one, arg));
    TRY(fiber_yield());
    return error_set(&BOOM, "early");
}

static void test_wait_group_left_behind_is_canceled_and_joined(void **state)
{
    (void)state;
    int count = 0;
    assert_fails(BOOM, scope_call(NULL, leaves_a_group_behind, &count));
    assert_int_equal(count, 1);
    assert_int_equal(fiber_stats_of(loop_self()).running, 1);
}

static error waits_for_sleepers(void *arg)
{
    (void)arg;
    wait_group group;
    wait_group_init(&group);
    TRY(wait_group_start(&group, sleep_long, NULL));
    TRY(wait_group_start(&group, sleep_long, NULL));
    return wait_group_wait(&group);
}

static void test_wait_group_is_canceled_with_its_waiter(void **state)
{
    (void)state;
    fiber *f = start(waits_for_sleepers, NULL, 0);
    assert_ok(fiber_yield());
    fiber_cancel(f, &CANCELED);
    assert_fails(CANCELED, fiber_join(&f));
    f = start(waits_for_sleepers, NULL, 20);
    assert_fails(TIMED_OUT, fiber_join(&f));
}

static error more_than_a_group(void *arg)
{
    wait_group group;
    wait_group_init(&group);
    for (int i = 0; i < WAIT_GROUP_MAX; i++)
        TRY(wait_group_start(&group, add_one, arg));
    assert_fails(FIBER_TOO_MANY, wait_group_start(&group, add_one, arg));
    TRY(wait_group_wait(&group));
    TRY(wait_group_start(&group, add_one, arg)); /* it can be used again */
    return wait_group_wait(&group);
}

static void test_wait_group_is_bounded(void **state)
{
    (void)state;
    int count = 0;
    fiber *f = start(more_than_a_group, &count, 0);
    assert_ok(fiber_join(&f));
    assert_int_equal(count, WAIT_GROUP_MAX + 1);
}

static error starts_when_canceled(void *arg)
{
    assert_fails(CANCELED, fiber_sleep(60000));
    wait_group group;
    wait_group_init(&group);
    TRY(wait_group_start(&group, sleep_long, NULL));
    TRY(wait_group_start(&group, add_one, arg)); /* waits for nothing */
    return wait_group_wait(&group);
}

static void test_wait_group_of_a_canceled_fiber_is_canceled(void **state)
{
    (void)state;
    int count = 0;
    fiber *f = start(starts_when_canceled, &count, 0);
    assert_ok(fiber_yield());
    fiber_cancel(f, &CANCELED);
    assert_fails(CANCELED, fiber_join(&f));
    assert_int_equal(count, 1);
}

/* --- misuse ---------------------------------------------------------------------------------- */

static error sleeps_where_it_must_not(void *arg)
{
    fiber_no_yield_begin();
    fiber_no_yield_begin();
    fiber_no_yield_end();
    if (!arg)
        fiber_no_yield_end();
    return fiber_sleep(1);
}

/* Before this process has a loop and threads, which a child could not use. */
static void test_fiber_that_waits_where_it_must_not_aborts(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < 2; wrong++) {
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            const struct rlimit no_core = { 0 };
            (void)setrlimit(RLIMIT_CORE, &no_core);
            (void)close(STDERR_FILENO);
            (void)loop_run_fiber(sleeps_where_it_must_not, wrong ? &wrong : NULL);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WIFSIGNALED(status) ? WTERMSIG(status) : 0, wrong ? SIGABRT : 0);
    }
}

/* --- many ------------------------------------------------------------------------------------ */

static error nap(void *arg)
{
    (void)arg;
    return fiber_sleep(20);
}

static void test_fiber_thousands_park_at_once_and_their_stacks_are_reused(void **state)
{
    (void)state;
    enum {
        MANY = 2000
    };
    static fiber *held[MANY];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++)
            held[i] = start(nap, NULL, 0);
        for (int i = 0; i < MANY; i++)
            assert_ok(fiber_join(&held[i]));
    }
    assert_true(fiber_stats_of(loop_self()).pooled < MANY + 128);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fiber_started_at_once_runs_until_it_waits, setup),
        cmocka_unit_test_setup(test_fiber_started_at_once_in_a_fiber_runs_when_that_waits, setup),
        cmocka_unit_test_setup(test_fiber_that_ends_now_and_at_once_comes_back, setup),
        cmocka_unit_test_setup(test_fiber_join_gives_the_result_and_its_details, setup),
        cmocka_unit_test_setup(test_fiber_join_hands_the_error_detail_over, setup),
        cmocka_unit_test_setup(test_fiber_deadline_ends_a_sleep_and_every_wait_after, setup),
        cmocka_unit_test_setup(test_fiber_cancel_ends_a_sleep_and_every_wait_after, setup),
        cmocka_unit_test_setup(test_fiber_canceled_before_it_ran_does_not_wait, setup),
        cmocka_unit_test_setup(test_fiber_yield_of_a_canceled_fiber_fails, setup),
        cmocka_unit_test_setup(test_scope_cleanups_run_last_in_first_out_whatever_is_returned,
                               setup),
        cmocka_unit_test_setup(test_scope_cleanup_error_counts_only_when_the_function_had_none,
                               setup),
        cmocka_unit_test_setup(test_scope_cleanup_that_disarms_itself_may_fail, setup),
        cmocka_unit_test_setup(test_scope_cleanups_may_wait_after_deadline_and_cancel, setup),
        cmocka_unit_test_setup(test_scope_deadline_is_its_own_and_ends_with_it, setup),
        cmocka_unit_test_setup(test_scope_status_is_the_fuse_that_has_blown, setup),
        cmocka_unit_test_setup(test_fiber_past_its_arena_cap_ends_with_cleanups_run, setup),
        cmocka_unit_test_setup(test_fiber_without_memory_ends_with_cleanups_run, setup),
        cmocka_unit_test_setup(test_fiber_start_without_a_stack_is_refused, setup),
        cmocka_unit_test_setup(test_wait_group_runs_all_at_once, setup),
        cmocka_unit_test_setup(test_wait_group_first_error_cancels_the_rest, setup),
        cmocka_unit_test_setup(test_wait_group_left_behind_is_canceled_and_joined, setup),
        cmocka_unit_test_setup(test_wait_group_is_canceled_with_its_waiter, setup),
        cmocka_unit_test_setup(test_fiber_thousands_park_at_once_and_their_stacks_are_reused,
                               setup),
        cmocka_unit_test_setup(test_fiber_park_is_forgotten_once_a_wait, setup),
        cmocka_unit_test_setup(test_fiber_woken_is_not_forgotten_and_has_the_wakers_error, setup),
        cmocka_unit_test_setup(test_fiber_deadline_ends_yields_and_not_a_join, setup),
        cmocka_unit_test_setup(test_fiber_past_the_cap_is_refused, setup),
        cmocka_unit_test_setup(test_fiber_spare_is_for_those_who_may, setup),
        cmocka_unit_test_setup(test_fiber_without_options_has_a_name_and_an_arena, setup),
        cmocka_unit_test_setup(test_fiber_says_what_it_works_on_and_its_group_works_on_the_same,
                               setup),
        cmocka_unit_test_setup(test_scope_deadline_is_never_later_than_the_outer, setup),
        cmocka_unit_test_setup(test_scope_cleanups_may_register_others_and_blow_the_fuse, setup),
        cmocka_unit_test_setup(test_scope_cleanup_has_a_deadline_of_its_own, setup),
        cmocka_unit_test_setup(test_wait_group_is_bounded, setup),
        cmocka_unit_test_setup(test_wait_group_of_a_canceled_fiber_is_canceled, setup),
    };
    return cmocka_run_group_tests_name("fiber", tests, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest forking[] = {
        cmocka_unit_test(test_fiber_that_waits_where_it_must_not_aborts),
    };
    const int failed = cmocka_run_group_tests_name("fiber misuse", forking, NULL, NULL);
    return run_in_fiber(run) + failed != 0;
}
