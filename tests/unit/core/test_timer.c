/* The wheel against a model: a plain array of expiries. */
#include "core/timer.h"
#include "tests/support/in_fiber.h"

#include <time.h>

typedef struct probe {
    timer timer;
    timer_wheel *wheel;
    uint64_t due_ms;
    uint64_t fired_ms; /* 0: not */
    uint64_t again_ms; /* re-arms itself by this much, once */
    timer *victim;     /* cancels this one */
} probe;

static void fired(timer *t)
{
    probe *p = CONTAINER_OF(t, probe, timer);
    p->fired_ms = p->wheel->now_ms;
    if (p->victim)
        timer_wheel_cancel(p->wheel, p->victim);
    if (p->again_ms) {
        p->due_ms = p->wheel->now_ms + p->again_ms;
        timer_wheel_arm(p->wheel, t, p->due_ms);
        p->again_ms = 0;
    }
}

static timer_wheel wheel;

static void arm(probe *p, uint64_t at_ms)
{
    p->timer.fire = fired;
    p->wheel = &wheel;
    p->fired_ms = 0;
    p->due_ms = at_ms > wheel.now_ms ? at_ms : wheel.now_ms + 1;
    timer_wheel_arm(&wheel, &p->timer, at_ms);
}

static void test_timer_fires_at_its_tick_whatever_the_distance(void **state)
{
    (void)state;
    static const uint64_t distances[] = { 0,
                                          1,
                                          2,
                                          63,
                                          64,
                                          65,
                                          127,
                                          128,
                                          4095,
                                          4096,
                                          4097,
                                          262143,
                                          262144,
                                          16777216,
                                          1073741824,
                                          (uint64_t)1 << 36,
                                          ((uint64_t)1 << 36) + 5 };
    static const uint64_t starts[] = { 0, 1, 63, 64, 4095, 123456789 };
    for (size_t s = 0; s < ARRAY_LEN(starts); s++) {
        for (size_t d = 0; d < ARRAY_LEN(distances); d++) {
            probe p = { 0 };
            timer_wheel_init(&wheel, starts[s]);
            arm(&p, starts[s] + distances[d]);
            timer_wheel_advance(&wheel, p.due_ms - 1);
            assert_int_equal(p.fired_ms, 0);
            assert_true(timer_wheel_next_ms(&wheel) <= p.due_ms);
            timer_wheel_advance(&wheel, p.due_ms);
            assert_int_equal(p.fired_ms, p.due_ms);
            assert_int_equal(timer_wheel_next_ms(&wheel), UINT64_MAX);
        }
    }
}

static void test_timer_agrees_with_the_model_over_random_steps(void **state)
{
    (void)state;
    enum {
        COUNT = 500
    };
    static probe probes[COUNT];
    const unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    memset(probes, 0, sizeof probes);
    timer_wheel_init(&wheel, (uint64_t)rand());
    for (int step = 0; step < 200000; step++) {
        probe *p = &probes[rand() % COUNT];
        const int what = rand() % 10;
        if (what < 5) {
            const uint64_t distance = (uint64_t)rand() % (1U << (rand() % 24 + 1));
            arm(p, wheel.now_ms + distance);
        } else if (what < 7) {
            timer_wheel_cancel(&wheel, &p->timer);
            p->due_ms = 0;
        } else {
            const uint64_t to_ms = wheel.now_ms + (uint64_t)rand() % (1U << (rand() % 12));
            timer_wheel_advance(&wheel, to_ms);
            for (int i = 0; i < COUNT; i++) {
                probe *q = &probes[i];
                if (q->due_ms && q->due_ms <= to_ms) {
                    assert_int_equal(q->fired_ms, q->due_ms);
                    q->due_ms = 0;
                } else if (q->due_ms) {
                    assert_int_equal(q->fired_ms, 0);
                    assert_true(timer_armed(&q->timer));
                }
            }
        }
    }
}

static void test_timer_callbacks_may_rearm_and_cancel_in_the_same_tick(void **state)
{
    (void)state;
    timer_wheel_init(&wheel, 1000);
    probe first = { .again_ms = 64 }, second = { 0 }, third = { .again_ms = 1 };
    first.victim = &second.timer;
    arm(&first, 1100);
    arm(&second, 1100);
    arm(&third, 1100);
    timer_wheel_advance(&wheel, 1100);
    assert_int_equal(first.fired_ms, 1100);
    assert_int_equal(second.fired_ms, 0);
    assert_int_equal(third.fired_ms, 1100);
    timer_wheel_advance(&wheel, 5000);
    assert_int_equal(first.fired_ms, 1164);
    assert_int_equal(third.fired_ms, 1101);
    assert_int_equal(wheel.armed, 0);
}

static void test_timer_clock_going_back_is_ignored(void **state)
{
    (void)state;
    timer_wheel_init(&wheel, 1000);
    probe p = { 0 };
    arm(&p, 1005);
    timer_wheel_advance(&wheel, 500);
    assert_int_equal(wheel.now_ms, 1000);
    timer_wheel_advance(&wheel, 1010);
    assert_int_equal(p.fired_ms, 1005);
}

/* --- callbacks that change the wheel ---------------------------------------------------------- */

typedef struct heaped {
    timer timer;
    int *fired;
} heaped;

static void free_holder(timer *t)
{
    heaped *h = CONTAINER_OF(t, heaped, timer);
    (*h->fired)++;
    free(h);
}

static void test_timer_callback_may_free_its_holder(void **state)
{
    (void)state;
    timer_wheel_init(&wheel, 0);
    int fired_count = 0;
    for (int i = 0; i < 100; i++) {
        heaped *h = calloc(1, sizeof *h);
        assert_non_null(h);
        h->timer.fire = free_holder;
        h->fired = &fired_count;
        timer_wheel_arm(&wheel, &h->timer, 1 + (uint64_t)(i / 10) * 5000);
    }
    timer_wheel_advance(&wheel, 100000);
    assert_int_equal(fired_count, 100);
    assert_int_equal(wheel.armed, 0);
}

enum {
    ACTORS = 300
};
static probe actors[ACTORS];
static uint64_t last_tick_ms;

static void arm_somewhere(probe *p)
{
    const uint64_t random = (uint64_t)rand() << 20 ^ (uint64_t)rand();
    const uint64_t distance = random % ((uint64_t)2 << (rand() % 41));
    arm(p, wheel.now_ms + distance);
}

/* Fires, and does something to another timer, or to itself, that may stand in the same slot. */
static void act(timer *t)
{
    probe *p = CONTAINER_OF(t, probe, timer);
    assert_int_equal(wheel.now_ms, p->due_ms);
    assert_true(wheel.now_ms >= last_tick_ms);
    assert_false(timer_armed(t));
    last_tick_ms = wheel.now_ms;
    p->due_ms = 0;
    probe *other = &actors[rand() % ACTORS];
    switch (rand() % 6) {
    case 0:
        timer_wheel_cancel(&wheel, &other->timer);
        other->due_ms = 0;
        break;
    case 1:
        arm_somewhere(other);
        other->timer.fire = act;
        break;
    case 2:
        arm(p, wheel.now_ms); /* as soon as possible: the next tick */
        p->timer.fire = act;
        break;
    default:
        break;
    }
}

static uint64_t earliest_due_ms(void)
{
    uint64_t earliest_ms = UINT64_MAX;
    for (int i = 0; i < ACTORS; i++) {
        if (actors[i].due_ms && actors[i].due_ms < earliest_ms)
            earliest_ms = actors[i].due_ms;
    }
    return earliest_ms;
}

static void test_timer_callbacks_that_change_the_wheel_agree_with_the_model(void **state)
{
    (void)state;
    const unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    memset(actors, 0, sizeof actors);
    timer_wheel_init(&wheel, (uint64_t)rand());
    last_tick_ms = 0;
    for (int step = 0; step < 20000; step++) {
        probe *p = &actors[rand() % ACTORS];
        arm_somewhere(p);
        p->timer.fire = act;
        const uint64_t due_ms = earliest_due_ms();
        assert_true(timer_wheel_next_ms(&wheel) <= due_ms);
        assert_true(timer_wheel_next_ms(&wheel) > wheel.now_ms);
        switch (rand() % 4) {
        case 0: /* exactly there */
            timer_wheel_advance(&wheel, due_ms);
            break;
        case 1: /* a far jump over many */
            timer_wheel_advance(&wheel, wheel.now_ms + ((uint64_t)1 << (rand() % 42)));
            break;
        case 2: /* as the loop does: from one wake-up to the next */
            timer_wheel_advance(&wheel, timer_wheel_next_ms(&wheel));
            break;
        default:
            break;
        }
        assert_true(earliest_due_ms() > wheel.now_ms);
        uint64_t armed = 0;
        for (int i = 0; i < ACTORS; i++)
            armed += actors[i].due_ms != 0;
        assert_int_equal(wheel.armed, armed);
    }
}

static void test_timer_beyond_the_range_fires_at_its_time(void **state)
{
    (void)state;
    timer_wheel_init(&wheel, 77);
    probe far = { 0 }, never = { 0 };
    arm(&far, (uint64_t)5 << 36);
    arm(&never, UINT64_MAX);
    int wakes = 0;
    while (!far.fired_ms) {
        const uint64_t next_ms = timer_wheel_next_ms(&wheel);
        assert_true(next_ms <= far.due_ms);
        timer_wheel_advance(&wheel, next_ms);
        wakes++;
    }
    assert_int_equal(far.fired_ms, (uint64_t)5 << 36);
    assert_true(wakes < 64); /* a wake-up a turn of the top level and one a level, not one a tick */
    assert_true(timer_armed(&never.timer));
    timer_wheel_cancel(&wheel, &never.timer);
    assert_int_equal(timer_wheel_next_ms(&wheel), UINT64_MAX);
}

static void test_timer_cancel_is_harmless_at_any_time(void **state)
{
    (void)state;
    timer_wheel_init(&wheel, 0);
    probe p = { 0 };
    timer_wheel_cancel(&wheel, &p.timer);
    arm(&p, 10);
    timer_wheel_cancel(&wheel, &p.timer);
    timer_wheel_cancel(&wheel, &p.timer);
    assert_int_equal(wheel.armed, 0);
    timer_wheel_advance(&wheel, 20);
    assert_int_equal(p.fired_ms, 0);
    arm(&p, 5); /* passed already: with the next tick */
    assert_int_equal(timer_wheel_next_ms(&wheel), 21);
    timer_wheel_advance(&wheel, 21);
    assert_int_equal(p.fired_ms, 21);
    timer_wheel_cancel(&wheel, &p.timer);
    assert_int_equal(wheel.armed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timer_fires_at_its_tick_whatever_the_distance),
        cmocka_unit_test(test_timer_agrees_with_the_model_over_random_steps),
        cmocka_unit_test(test_timer_callbacks_may_rearm_and_cancel_in_the_same_tick),
        cmocka_unit_test(test_timer_clock_going_back_is_ignored),
        cmocka_unit_test(test_timer_callback_may_free_its_holder),
        cmocka_unit_test(test_timer_callbacks_that_change_the_wheel_agree_with_the_model),
        cmocka_unit_test(test_timer_beyond_the_range_fires_at_its_time),
        cmocka_unit_test(test_timer_cancel_is_harmless_at_any_time),
    };
    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
