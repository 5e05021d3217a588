/* The event loop: one a worker, one a thread. Everything of a loop is touched by its thread only,
 * but for loop_post_from_thread.
 *
 * A turn:  wait for I/O (until the next timer) -> I/O completions -> timers -> posted tasks ->
 * ready fibers until none is left -> end-of-turn tasks (stream flushes: one write a stream).
 *
 * Completion-shaped: a backend (loop_epoll.c; io_uring and kqueue fit beside it) moves the bytes
 * and tells streams what arrived and what was sent. */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H

#include "core/error.h"
#include "core/list.h"
#include "core/timer.h"

#include <stdbool.h>

typedef struct loop loop;

/* What a supervisor reads to tell a stuck worker from an idle one. Lives in shared memory. */
typedef struct loop_heartbeat {
    _Atomic uint64_t turns; /* grows with every turn and every fiber resumed */
    _Atomic uint64_t
        busy_since_ms; /* CLOCK_MONOTONIC when the present fiber or callback began; 0: waiting */
} loop_heartbeat;

typedef struct loop_options {
    uint32_t fibers_max;       /* running at once; 0: 100,000 */
    uint32_t fibers_spare;     /* of these, for fiber_options.may_be_spare only */
    loop_heartbeat *heartbeat; /* NULL: none */
} loop_options;

/* Makes this thread's loop; there is at most one a thread.
 *   fails  SYSTEM_FAILED, OUT_OF_MEMORY */
error loop_new(const loop_options *options, loop **out);
/* Frees a stopped loop without fibers, streams or listeners. Nulls the pointer. */
void loop_free(loop **owner);
/* The calling thread's loop, or NULL. */
loop *loop_self(void);

/* Runs turns until loop_stop. */
error loop_run(loop *loop);
/* Ends loop_run after the present turn. */
void loop_stop(loop *loop);
/* Runs `fn(arg)` as a fiber on a loop of its own and returns its result: how command-line programs
 * and tests enter fiber code.
 *   fails  as loop_new, or as `fn` */
error loop_run_fiber(error (*fn)(void *arg), void *arg);

/* --- turned by hand, for tests ---------------------------------------------------------------- */

/* Runs one turn, which waits for I/O for at most `wait_ms_max` of real time. Not on a fiber. */
void loop_turn(loop *loop, uint32_t wait_ms_max);
/* Whether there is nothing to do before I/O, another thread or a later time brings it. */
bool loop_is_settled(const loop *loop);
/* Whether something but time can bring it: a stream over a socket, a listener, an offloaded call.
 */
bool loop_has_io(const loop *loop);
/* Moves the fake clock (core/clock.h) by `ms`, from timer to timer: each fires at its own time, in
 * order, and the loop turns until it has settled before the next one does. Not on a fiber. */
void loop_advance(loop *loop, uint32_t ms);

/* --- time ------------------------------------------------------------------------------------- */

/* Monotonic time as of this turn's start, in ms; what timers are measured by. */
uint64_t loop_now_ms(const loop *loop);
uint64_t loop_now_us(const loop *loop);
/* Arms `t` to fire in `ms` from now by the clock (core/clock.h), never early; re-arms an armed one.
 */
void loop_timer_arm(loop *loop, timer *t, uint32_t ms);
void loop_timer_cancel(loop *loop, timer *t);

/* --- answers that come soon ------------------------------------------------------------------- */

#define LOOP_BUSY_POLL_US 50

/* `answers` were asked for that are likely to come within microseconds, as from a database on the
 * same machine: to sleep, and be woken, takes as long. While the loop awaits few of them, it looks
 * for what comes, for LOOP_BUSY_POLL_US at most, before it sleeps; seldom where that was in vain of
 * late, and where others want its core. Each begin is followed by one end of as many, when all are
 * there or nobody waits for them any more. */
void loop_busy_poll_begin(loop *loop, uint32_t answers);
void loop_busy_poll_end(loop *loop, uint32_t answers);

/* --- tasks and signals ------------------------------------------------------------------------ */

/* Work for later on the loop; the holder keeps it until it ran. */
typedef struct loop_task loop_task;
struct loop_task {
    list_node node;
    void (*run)(loop_task *task);
};
/* Runs the task once, in this turn after I/O and timers, or in the next. */
void loop_post(loop *loop, loop_task *task);
/* Runs the task once at the end of this turn, after all ready fibers. Harmless when posted already.
 */
void loop_at_turn_end(loop *loop, loop_task *task);
/* As loop_post, from any thread. */
void loop_post_from_thread(loop *loop, loop_task *task);

/* Runs `on_signal(signo, arg)` on the loop when the process gets the signal; NULL gives the default
 * back. Signals in SIGHUP SIGINT SIGTERM SIGUSR1 SIGUSR2 SIGCHLD SIGURG only.
 *   fails  SYSTEM_FAILED */
error loop_on_signal(loop *loop, int signo, void (*on_signal)(int signo, void *arg), void *arg);

/* "epoll": the backend in use. */
const char *loop_backend_name(const loop *loop);

#endif
