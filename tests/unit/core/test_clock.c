/* The clock that a test sets, and a loop that is turned by hand under it. */
#include "core/clock.h"
#include "core/offload.h"
#include "tests/support/in_fiber.h"

#include <unistd.h>

#define DAY_MS 86400000U

static loop *l;

static int setup(void **state)
{
    (void)state;
    clock_fake_begin(1000000000);
    assert_ok(loop_new(NULL, &l));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(&l);
    clock_fake_end();
    return 0;
}

/* --- the clock ------------------------------------------------------------------------------- */

static void test_clock_real_goes_on(void **state)
{
    (void)state;
    assert_false(clock_is_fake());
    const uint64_t ns = clock_ns(), us = clock_us(), ms = clock_ms(), real_ms = clock_real_ms();
    assert_true(ns / 1000 <= us && us / 1000 <= ms && ms <= real_ms);
    assert_true(clock_deadline_ms(5) >= real_ms + 5);
    while (clock_ms() == ms)
        usleep(100);
    assert_true(clock_us() > us);
    assert_true(llabs(clock_wall_s() - time(NULL)) <= 1);
}

static void test_clock_fake_stands_still_and_is_moved(void **state)
{
    (void)state;
    const uint64_t ms = clock_ms();
    assert_true(clock_is_fake());
    assert_int_equal(clock_us(), ms * 1000);
    assert_int_equal(clock_ns(), ms * 1000000);
    assert_int_equal(clock_deadline_ms(7), ms + 7);
    assert_int_equal(clock_wall_s(), 1000000000);
    assert_int_equal(clock_wall().tv_nsec, 0);
    const uint64_t real_ms = clock_real_ms();
    usleep(3000);
    assert_true(clock_real_ms() > real_ms);
    assert_int_equal(clock_us(), ms * 1000);

    clock_fake_advance(1500250);
    assert_int_equal(clock_us(), ms * 1000 + 1500250);
    assert_int_equal(clock_ms(), ms + 1500);
    assert_int_equal(clock_deadline_ms(7), ms + 1508); /* never early */
    assert_int_equal(clock_wall_s(), 1000000001);
    assert_int_equal(clock_wall().tv_nsec, 500250000);
}

static void test_clock_fake_begins_no_earlier_than_the_real_one(void **state)
{
    (void)state;
    const uint64_t ns = clock_ns();
    const int64_t wall_s = clock_wall_s();
    clock_fake_begin(-1);
    assert_true(clock_ns() >= ns);
    assert_true(clock_wall_s() - wall_s <= 1 && clock_wall_s() >= wall_s);
    assert_int_equal(clock_wall().tv_nsec, 0);
    clock_fake_end();
    assert_false(clock_is_fake());
    clock_fake_end(); /* harmless */
}

/* --- a loop under it -------------------------------------------------------------------------- */

typedef struct alarm_clock {
    timer timer;
    uint64_t rang_at_ms;
    int order;
    uint32_t again_ms; /* 0: once */
} alarm_clock;

static int rung;

static void ring(timer *t)
{
    alarm_clock *a = CONTAINER_OF(t, alarm_clock, timer);
    a->rang_at_ms = clock_ms();
    a->order = ++rung;
    assert_int_equal(loop_now_ms(l), a->rang_at_ms);
    if (a->again_ms)
        loop_timer_arm(l, t, a->again_ms);
}

static void test_loop_advance_fires_each_timer_at_its_time_in_order(void **state)
{
    (void)state;
    static const uint32_t after_ms[] = { 5000, 2, 64, 63, DAY_MS, 4096, 1, 65 };
    static const int order[] = { 7, 2, 4, 3, 8, 6, 1, 5 };
    alarm_clock alarms[ARRAY_LEN(after_ms)] = { 0 };
    const uint64_t from_ms = clock_ms();
    rung = 0;
    for (size_t i = 0; i < ARRAY_LEN(alarms); i++) {
        alarms[i].timer.fire = ring;
        loop_timer_arm(l, &alarms[i].timer, after_ms[i]);
    }
    loop_advance(l, 4999);
    assert_int_equal(rung, 6);
    loop_advance(l, 1);
    assert_int_equal(rung, 7);
    loop_advance(l, DAY_MS);
    assert_int_equal(rung, 8);
    assert_int_equal(clock_ms(), from_ms + 5000 + DAY_MS);
    for (size_t i = 0; i < ARRAY_LEN(alarms); i++) {
        assert_int_equal(alarms[i].order, order[i]);
        assert_int_equal(alarms[i].rang_at_ms, from_ms + after_ms[i]);
    }
}

static void test_loop_advance_fires_what_is_armed_on_the_way(void **state)
{
    (void)state;
    alarm_clock a = { .timer.fire = ring, .again_ms = 20 };
    rung = 0;
    loop_timer_arm(l, &a.timer, 20);
    loop_advance(l, 30000);
    assert_int_equal(rung, 1500);
    loop_timer_cancel(l, &a.timer);
}

static void test_loop_turn_does_not_wait_for_fake_time(void **state)
{
    (void)state;
    alarm_clock a = { .timer.fire = ring };
    rung = 0;
    loop_timer_arm(l, &a.timer, 10);
    for (int i = 0; i < 20; i++)
        loop_turn(l, 2); /* of real time: twice as long as the timer's */
    assert_int_equal(rung, 0);
    loop_advance(l, 10);
    assert_int_equal(rung, 1);
}

static int steps;

static error sleep_twice(void *arg)
{
    (void)arg;
    TRY(fiber_sleep(1000));
    steps++;
    TRY(fiber_sleep(1000));
    steps++;
    return OK;
}

static error sleep_late(void *arg)
{
    (void)arg;
    const error e = fiber_sleep(60000);
    steps += error_is(e, &TIMED_OUT) ? 10 : 0;
    return OK;
}

static void test_loop_advance_runs_fibers_between_timers(void **state)
{
    (void)state;
    steps = 0;
    assert_ok(fiber_start(l, NULL, sleep_twice, NULL, NULL));
    assert_ok(fiber_start(l, &(fiber_options){ .deadline_ms = 1500 }, sleep_late, NULL, NULL));
    assert_false(loop_is_settled(l));
    loop_advance(l, 999);
    assert_true(loop_is_settled(l));
    assert_false(loop_has_io(l));
    assert_int_equal(steps, 0);
    loop_advance(l, 1);
    assert_int_equal(steps, 1);
    loop_advance(l, 499);
    assert_int_equal(steps, 1);
    loop_advance(l, 1); /* the other's deadline */
    assert_int_equal(steps, 11);
    loop_advance(l, 500);
    assert_int_equal(steps, 12);
    assert_int_equal(fiber_stats_of(l).running, 0);
}

static error work(void *arg)
{
    usleep(20000);
    *(int *)arg += 1;
    return OK;
}

static error offload_work(void *arg)
{
    TRY(offload(work, arg));
    *(int *)arg += 1;
    return fiber_sleep(5);
}

static void test_loop_advance_waits_for_offloaded_calls(void **state)
{
    (void)state;
    int done = 0;
    assert_ok(fiber_start(l, NULL, offload_work, &done, NULL));
    loop_turn(l, 0);
    assert_false(loop_is_settled(l));
    assert_true(loop_has_io(l));
    loop_advance(l, 0);
    assert_int_equal(done, 2);
    assert_true(loop_is_settled(l));
    assert_false(loop_has_io(l));
    assert_int_equal(fiber_stats_of(l).running, 1);
    loop_advance(l, 5);
    assert_int_equal(fiber_stats_of(l).running, 0);
}

static error yield_for_ever(void *arg)
{
    const bool *enough = arg;
    while (!*enough)
        TRY(fiber_yield());
    return OK;
}

static void test_loop_advance_leaves_one_that_never_settles(void **state)
{
    (void)state;
    bool enough = false;
    alarm_clock a = { .timer.fire = ring };
    rung = 0;
    assert_ok(fiber_start(l, NULL, yield_for_ever, &enough, NULL));
    loop_timer_arm(l, &a.timer, 3);
    loop_advance(l, 3);
    assert_int_equal(rung, 1);
    enough = true;
    loop_advance(l, 0);
    assert_true(loop_is_settled(l));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_real_goes_on),
        cmocka_unit_test_setup_teardown(test_clock_fake_stands_still_and_is_moved, setup, teardown),
        cmocka_unit_test(test_clock_fake_begins_no_earlier_than_the_real_one),
        cmocka_unit_test_setup_teardown(test_loop_advance_fires_each_timer_at_its_time_in_order,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop_advance_fires_what_is_armed_on_the_way, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_loop_turn_does_not_wait_for_fake_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_loop_advance_runs_fibers_between_timers, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_loop_advance_waits_for_offloaded_calls, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_loop_advance_leaves_one_that_never_settles, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
