/* Fibers: straight-line code that waits without holding up the loop.
 *
 *                      fiber_start                        fn returned, scope closed
 *   (pooled stack) ------------------> READY -> RUNNING ------------------------> ENDED -> (pool)
 *                                        ^         | fiber_park
 *                                 wake   |         v
 *                                        +------ PARKED
 *
 * A fiber belongs to the loop that started it and never leaves its thread. It gives way only in
 * functions marked YIELDS. It has an arena, and a stack of scopes (see scope.h) with deadlines and
 * deferred clean-ups. Fuses end a fiber from outside: after its deadline or fiber_cancel, every
 * waiting call returns TIMED_OUT or the cancel's kind; past the arena's cap it ends on the spot. */
#ifndef CORE_FIBER_H
#define CORE_FIBER_H

#include "core/arena.h"
#include "core/error.h"
#include "core/list.h"

typedef struct loop loop;
typedef struct fiber fiber;

/* Work for a fiber. The error it returns is the fiber's result. */
typedef error (*fiber_fn)(void *arg);

/* UNAVAILABLE: loop_options.fibers_max reached, or 16,384 where Linux is older than 6.13 */
extern const error_kind FIBER_TOO_MANY;

#define FIBER_STACK_BYTES     131072   /* reserved a fiber, the guard at its low end included */
#define FIBER_ARENA_BYTES_MAX 67108864 /* default cap of a fiber's arena: 64 MiB */

typedef struct fiber_options {
    const char *name;       /* for logs and debuggers; a literal */
    uint32_t deadline_ms;   /* from now; 0: none */
    size_t arena_bytes_max; /* 0: FIBER_ARENA_BYTES_MAX */
    arena *arena;      /* NULL: one of its own; else the caller's, which must outlive the fiber */
    bool joinable;     /* keeps the result until fiber_join, which then must be called */
    bool may_be_spare; /* it may be one of the last, which loop_options.fibers_spare keeps back */
    bool at_once; /* started on the loop, it runs until it waits before fiber_start returns: it may
                     have ended then */
    void (*ended)(fiber *f, error result,
                  void *arg); /* on the loop, after a detached fiber's end */
    void *ended_arg;
} fiber_options;

/* Starts `fn(arg)` on a fiber; it first runs when the caller returns to the loop or waits, unless
 * it is to run at once.
 *   options  NULL: all defaults
 *   out      the handle of a joinable fiber; may be NULL otherwise
 *   fails    FIBER_TOO_MANY, OUT_OF_MEMORY */
error fiber_start(loop *loop, const fiber_options *options, fiber_fn fn, void *arg, fiber **out);

/* The running fiber, or NULL on the loop and outside. */
fiber *fiber_self(void);
/* The running fiber's arena. There must be a running fiber. */
arena *fiber_arena(void);
/* The arena of a fiber that has not ended. */
arena *fiber_arena_of(fiber *f);
const char *fiber_name(const fiber *f);
/* What it works on, for logs and debuggers (a route's pattern); NULL: nobody has said. */
const char *fiber_about(const fiber *f);
/* Says it of the running fiber; the text must outlive it. */
void fiber_set_about(const char *about);
/* What a parked fiber waits for, as fiber_park was told; NULL while it does not. */
const char *fiber_waits_for(const fiber *f);

/* Waits for a joinable fiber's end, takes its result (details included) and frees the handle.
 * Always waits it out, whatever the caller's fuses: cancel it first to hurry it. */
YIELDS error fiber_join(fiber **handle);

/* Sleeps at least `ms`; fails TIMED_OUT or as canceled. */
YIELDS error fiber_sleep(uint32_t ms);
/* Lets everything else have its turn: the fibers that are ready, the sockets, the timers. */
YIELDS error fiber_yield(void);

/* Blows the cancel fuse: the fiber's present or next waiting call fails with `kind` (&CANCELED,
 * say), and so do all after it, but not those of clean-ups. Harmless on a fiber that is canceled
 * already. */
void fiber_cancel(fiber *f, const error_kind *kind);

/* --- for drivers: how a waiting call is made -------------------------------------------------- */

/* Parks the running fiber until fiber_wake.
 *   forget   called on the loop when a fuse ends the wait instead: whoever would wake the fiber
 *            must forget it; fiber_wake must not be called after it
 *   what     for logs and debuggers, a literal: "pg result"
 *   returns  what fiber_wake was given; TIMED_OUT; the cancel's kind */
YIELDS error fiber_park(const char *what, void (*forget)(void *arg), void *arg);
/* Makes a parked fiber ready; fiber_park returns `result`. Details of `result` are the waker's to
 * record, with fiber_error_set. Once a park. */
void fiber_wake(fiber *f, error result);
/* error_set into another fiber's slot, for a driver on the loop that is about to wake it. */
#define fiber_error_set(f_, kind_, ...) \
    fiber_error_set_at((f_), (kind_), __FILE__, __LINE__, __VA_ARGS__)
error fiber_error_set_at(fiber *f, const error_kind *kind, const char *file, int line,
                         const char *format, ...) PRINTF_LIKE(5, 6);

/* Between the two no YIELDS function may be called: an invariant. Nests. */
void fiber_no_yield_begin(void);
void fiber_no_yield_end(void);

/* Ends the running fiber here: its clean-ups run and `result` is its result. The fuse of arenas;
 * outside a fiber it is an invariant failure. */
NORETURN void fiber_end_now(error result);

/* --- several things at once ------------------------------------------------------------------- */

#define WAIT_GROUP_MAX 64

/* Runs functions on fibers of their own and waits for all. They allocate in the caller's arena, so
 * what they made is the caller's. Canceled with the caller; never outlives the scope it was made
 * in. */
typedef struct wait_group {
    fiber *fibers[WAIT_GROUP_MAX];
    uint32_t count;
    struct deferred *cleanup;
} wait_group;

/* An empty group, in the caller's storage. After wait_group_wait it is empty again. */
void wait_group_init(wait_group *group);
/* Starts one more; fails as fiber_start, or FIBER_TOO_MANY past WAIT_GROUP_MAX. */
error wait_group_start(wait_group *group, fiber_fn fn, void *arg);
/* Waits for all; the first error in order of start is the result, and cancels those still running.
 */
YIELDS error wait_group_wait(wait_group *group);

/* Counters of a loop's fibers. */
typedef struct fiber_stats {
    uint32_t running; /* started and not ended */
    uint32_t pooled;  /* stacks kept for reuse */
    uint64_t started;
    bool only_spare_left;        /* a fiber that may not be spare would fail to start */
    uint32_t guards_by_mprotect; /* 1 when the kernel has no MADV_GUARD_INSTALL */
} fiber_stats;
/* A copy of them, as of now. */
fiber_stats fiber_stats_of(const loop *loop);

#endif
