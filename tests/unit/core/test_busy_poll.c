/* When a loop looks for what it awaits before it sleeps, and that a loop that has looked in vain
 * sleeps like any other. */
#include "busy_poll.h"

#include "core/loop.h"
#include "tests/support/in_fiber.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

/* Waits that are slept through before one is due. */
static uint32_t rests(busy_poll *b)
{
    uint32_t count = 0;
    while (!busy_poll_is_due(b))
        count++;
    return count;
}

static void test_busy_poll_is_due_while_few_answers_are_awaited(void **state)
{
    (void)state;
    busy_poll b = { 0 };
    assert_false(busy_poll_is_due(&b));
    for (b.awaited = 1; b.awaited <= BUSY_POLL_AWAITED_MAX; b.awaited++)
        assert_true(busy_poll_is_due(&b));
    assert_false(busy_poll_is_due(&b));
}

static void test_busy_poll_in_vain_is_done_ever_more_seldom(void **state)
{
    (void)state;
    static const uint32_t expected[] = { 1, 5, 21, 85, 255, 255, 255 };
    for (int lost_core = 0; lost_core <= 1; lost_core++) {
        busy_poll b = { .awaited = 1 };
        for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
            busy_poll_ended(&b, lost_core, lost_core);
            assert_int_equal(rests(&b), expected[i]);
        }
        busy_poll_ended(&b, true, false); /* the database is near again */
        assert_int_equal(rests(&b), 0);
        busy_poll_ended(&b, true, false);
        busy_poll_ended(&b, false, false);
        assert_int_equal(rests(&b), 253);
    }
}

static void test_busy_poll_goes_on_when_most_were_worth_it(void **state)
{
    (void)state;
    busy_poll b = { .awaited = 1 };
    uint32_t slept = 0;
    for (int i = 0; i < 1000; i++) {
        slept += rests(&b);
        busy_poll_ended(&b, i % 4 != 0, false);
    }
    assert_in_range(slept, 1, 1000);
}

static void test_busy_poll_rests_are_of_waits_it_concerns(void **state)
{
    (void)state;
    busy_poll b = { .awaited = 1 };
    busy_poll_ended(&b, false, false);
    b.awaited = 0;
    for (int i = 0; i < 100; i++)
        assert_false(busy_poll_is_due(&b));
    b.awaited = 1;
    assert_int_equal(rests(&b), 1);
}

/* --- in a loop -------------------------------------------------------------------------------- */

typedef struct sleeper {
    loop *loop;
    loop_heartbeat beat;
    loop_task task;
    _Atomic bool slept; /* the supervisor would have seen it idle */
} sleeper;

/* As a supervisor looks: a loop that sleeps is not busy. Bounded, for one that never seems to. */
static void *wake_when_idle(void *arg)
{
    sleeper *s = arg;
    uint64_t turns = 0;
    for (int looks = 0; looks < 2000; looks++) {
        const struct timespec pause = { .tv_nsec = 5000000 };
        nanosleep(&pause, NULL);
        const uint64_t now = atomic_load(&s->beat.turns);
        if (now == turns && atomic_load(&s->beat.busy_since_ms) == 0) {
            atomic_store(&s->slept, true);
            break;
        }
        turns = now;
    }
    loop_post_from_thread(s->loop, &s->task);
    return NULL;
}

static void nothing(loop_task *task)
{
    (void)task;
}

/* How often a loop counts in a turn in which it may sleep: when it goes to sleep, when it wakes,
 * and each time that it looks. */
static uint64_t turns_of_one(bool awaits, bool woken)
{
    loop *l;
    loop_heartbeat beat = { 0 };
    loop_task task = { .run = nothing };
    assert_ok(loop_new(&(loop_options){ .heartbeat = &beat }, &l));
    loop_busy_poll_begin(l, awaits);
    if (woken)
        loop_post_from_thread(l, &task);
    loop_turn(l, 1);
    loop_busy_poll_end(l, awaits);
    loop_free(&l);
    return atomic_load(&beat.turns);
}

static void test_busy_poll_looks_before_it_sleeps(void **state)
{
    (void)state;
    assert_int_equal(turns_of_one(false, false), 2);
    assert_int_equal(turns_of_one(false, true), 2);
    assert_in_range(turns_of_one(true, false), 3, UINT32_MAX);
    assert_int_equal(turns_of_one(true, true), 1); /* it was there, and nobody slept */
}

static void stop(loop_task *task)
{
    (void)task;
    loop_stop(loop_self());
}

static void test_busy_poll_in_vain_leaves_a_loop_that_sleeps_and_wakes(void **state)
{
    (void)state;
    sleeper s = { .task.run = stop };
    pthread_t waker;
    assert_ok(loop_new(&(loop_options){ .heartbeat = &s.beat }, &s.loop));
    loop_busy_poll_begin(s.loop, 1);
    assert_int_equal(pthread_create(&waker, NULL, wake_when_idle, &s), 0);
    assert_ok(loop_run(s.loop));
    assert_int_equal(pthread_join(waker, NULL), 0);
    assert_true(s.slept);
    loop_busy_poll_end(s.loop, 1);
    loop_free(&s.loop);
}

static void count(timer *t)
{
    (void)t;
    loop_stop(loop_self());
}

static void test_busy_poll_hurries_no_timer(void **state)
{
    (void)state;
    loop *l;
    assert_ok(loop_new(NULL, &l));
    loop_busy_poll_begin(l, 1);
    for (uint32_t ms = 0; ms < 20; ms++) {
        struct timespec before, after;
        timer t = { .fire = count };
        clock_gettime(CLOCK_MONOTONIC, &before);
        loop_timer_arm(l, &t, ms);
        assert_ok(loop_run(l));
        clock_gettime(CLOCK_MONOTONIC, &after);
        assert_true((after.tv_sec - before.tv_sec) * 1000000000 +
                        (after.tv_nsec - before.tv_nsec) >=
                    (int64_t)ms * 1000000);
    }
    loop_busy_poll_end(l, 1);
    loop_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_busy_poll_is_due_while_few_answers_are_awaited),
        cmocka_unit_test(test_busy_poll_in_vain_is_done_ever_more_seldom),
        cmocka_unit_test(test_busy_poll_goes_on_when_most_were_worth_it),
        cmocka_unit_test(test_busy_poll_rests_are_of_waits_it_concerns),
        cmocka_unit_test(test_busy_poll_looks_before_it_sleeps),
        cmocka_unit_test(test_busy_poll_in_vain_leaves_a_loop_that_sleeps_and_wakes),
        cmocka_unit_test(test_busy_poll_hurries_no_timer),
    };
    return cmocka_run_group_tests_name("busy_poll", tests, NULL, NULL);
}
