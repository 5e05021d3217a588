/* Crash containment: a fault costs one fiber, not the process.
 *
 * SIGSEGV, SIGBUS, SIGFPE, SIGILL or SIGABRT while a fiber runs (its stack's overflow included) is
 * caught on an alternate stack. The handler only redirects the thread to the loop's stack, where
 * `on_crash` is told; the fiber is never resumed and its stack never reused, the `abandon` parts of
 * its clean-ups run, whoever joins it gets FIBER_CRASHED. The process's memory may be damaged, so
 * its owner should retire it soon. The same for SIGUSR1, sent from outside to stop a fiber that
 * never yields; the deadlines of the others are then put off by the time it took. Outside a fiber
 * these signals do what they always did. */
#ifndef CORE_CRASH_H
#define CORE_CRASH_H

#include "core/fiber.h"

#define CRASH_FRAMES_MAX 32

extern const error_kind FIBER_CRASHED; /* INTERNAL */

typedef struct crash_report {
    int signo;           /* SIGUSR1: a runaway that was stopped */
    const void *address; /* that could not be accessed, or NULL */
    fiber *fiber;        /* still readable: fiber_name, fiber_arena_of */
    fiber_fn fiber_fn;   /* what it ran, */
    void *fiber_arg;     /* with this: who started it knows it by both */
    str invariant;       /* that failed, with its place, or STR_NONE */
    /* Where it struck, then the calls that led there, innermost first. After an abort() that is not
     * an invariant's only what the C library shows: it keeps no frame pointers. */
    const void *frames[CRASH_FRAMES_MAX];
    uint32_t frame_count;
} crash_report;

/* Turns containment on for the calling thread's loop. `on_crash` runs on the loop.
 *   fails  SYSTEM_FAILED */
error crash_contain(loop *loop, void (*on_crash)(const crash_report *report, void *arg), void *arg);
/* One frame as "binary+0xoffset (symbol)", for the log; always NUL-terminated. */
void crash_describe_frame(const void *frame, char *out, size_t bytes);

#endif
