/* Timers: a hashed hierarchical wheel of 1 ms ticks, O(1) to arm and cancel, driven by the clock.
 *
 * 6 levels of 64 slots cover 2^36 ms (two years); longer ones wait in the last slot and are placed
 * again. A timer never fires early, and at most one tick late once the wheel is advanced.
 *
 * Invariant: an armed timer stands in exactly one slot list; a fired or cancelled one in none. */
#ifndef CORE_TIMER_H
#define CORE_TIMER_H

#include "core/list.h"

#define TIMER_LEVELS 6
#define TIMER_SLOTS  64

typedef struct timer timer;
struct timer {
    list_node node;
    uint64_t expires_ms;    /* absolute, of the wheel's clock */
    void (*fire)(timer *t); /* may arm this and other timers again, or free the timer's holder */
};

typedef struct timer_wheel {
    uint64_t now_ms;                 /* everything up to here has fired */
    uint64_t occupied[TIMER_LEVELS]; /* bit s: slot s of the level may hold timers */
    list slots[TIMER_LEVELS][TIMER_SLOTS];
    uint64_t armed; /* timers in the wheel */
} timer_wheel;

/* An empty wheel whose clock stands at `now_ms`. */
void timer_wheel_init(timer_wheel *wheel, uint64_t now_ms);
/* Arms or re-arms: fires in the first advance to `at_ms` or later; a time already passed fires with
 * the next tick. `fire` must be set. */
void timer_wheel_arm(timer_wheel *wheel, timer *t, uint64_t at_ms);
/* Cancels; harmless when not armed. */
void timer_wheel_cancel(timer_wheel *wheel, timer *t);
/* Fires everything due up to `now_ms`, in order of tick. A clock that went back is ignored. */
void timer_wheel_advance(timer_wheel *wheel, uint64_t now_ms);
/* The earliest time at which advancing may have work (never later than the next expiry; it may be
 * earlier, by a cascade), or UINT64_MAX when nothing is armed. */
uint64_t timer_wheel_next_ms(const timer_wheel *wheel);

/* Whether it will fire: false for a zeroed, fired or cancelled one. */
static inline bool timer_armed(const timer *t)
{
    return list_linked(&t->node);
}

#endif
