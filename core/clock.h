/* What time it is: the one place in Brio that asks the system, so that a test can say it instead.
 *
 * The clock of a process is real until clock_fake_begin; from then on it stands still, and only
 * clock_fake_advance moves it. Loops go by this clock, so that timers and deadlines fire when a
 * test has moved it past them, in their order, and never by themselves.
 *
 * Invariant: clock_ms and clock_us never go back. */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Monotonic time, as CLOCK_MONOTONIC, rounded down. */
uint64_t clock_ms(void);
uint64_t clock_us(void);
uint64_t clock_ns(void);
/* What clock_ms will say when `ms` have passed from now, rounded up: a deadline is never early. */
uint64_t clock_deadline_ms(uint32_t ms);
/* Time of day, since 1970 (CLOCK_REALTIME); it may go back. */
struct timespec clock_wall(void);
int64_t clock_wall_s(void);

/* --- for tests -------------------------------------------------------------------------------- */

/* Stops the process's clock, at a whole millisecond, and sets the time of day to `wall_s` seconds
 * since 1970; negative: leaves it, at a whole second. A clock that is faked already is a
 * programmer's error. */
void clock_fake_begin(int64_t wall_s);
/* Moves both times. What is due on a loop happens in its next turn. */
void clock_fake_advance(uint64_t us);
/* Back to the real clock; not while this thread has a loop, whose timers were set by
 * the other. Harmless when the clock is real. */
void clock_fake_end(void);
/* Whether it is faked. */
bool clock_is_fake(void);
/* CLOCK_MONOTONIC in ms, faked or not: how long a test has been waiting. */
uint64_t clock_real_ms(void);

#endif
