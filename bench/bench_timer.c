/* What a timer costs: a million are armed at random distances, re-armed and cancelled, and fired.
 * Prints lines "case nanoseconds", each for one timer. */
#include "measure.h"

#include "core/loop.h"
#include "core/timer.h"

#include <stdio.h>

#define TIMERS 1000000

static uint64_t fired;

static void fire(timer *t)
{
    (void)t;
    fired++;
}

/* Distances as a server has them: most are request and idle timeouts of up to a minute. */
static uint32_t distance_ms(void)
{
    static uint64_t seed = 88172645463325252ULL; /* the same run every time */
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed % 60000) + 1;
}

int main(void)
{
    static timer_wheel the_wheel;
    static timer timers[TIMERS];
    static uint32_t distances_ms[TIMERS];
    timer_wheel *wheel = &the_wheel;
    timer_wheel_init(wheel, 0);
    for (uint32_t i = 0; i < TIMERS; i++) {
        timers[i].fire = fire;
        distances_ms[i] = distance_ms();
    }
    const double start_ns = measure_clock_ns();
    for (uint32_t i = 0; i < TIMERS; i++)
        timer_wheel_arm(wheel, &timers[i], distances_ms[i]);
    const double armed_ns = measure_clock_ns();
    for (uint32_t i = 0; i < TIMERS; i++)
        timer_wheel_arm(wheel, &timers[i], distances_ms[TIMERS - 1 - i]);
    const double rearmed_ns = measure_clock_ns();
    for (uint32_t i = 0; i < TIMERS; i++)
        timer_wheel_cancel(wheel, &timers[i]);
    const double cancelled_ns = measure_clock_ns();
    for (uint32_t i = 0; i < TIMERS; i++)
        timer_wheel_arm(wheel, &timers[i], distances_ms[i]);
    const double again_ns = measure_clock_ns();
    while (wheel->armed > 0)
        timer_wheel_advance(wheel, timer_wheel_next_ms(wheel));
    const double fired_ns = measure_clock_ns();

    printf("timer_arm %.1f\ntimer_rearm %.1f\ntimer_cancel %.1f\ntimer_fire %.1f\n",
           (armed_ns - start_ns) / TIMERS, (rearmed_ns - armed_ns) / TIMERS,
           (cancelled_ns - rearmed_ns) / TIMERS, (fired_ns - again_ns) / TIMERS);
    return fired != TIMERS;
}
