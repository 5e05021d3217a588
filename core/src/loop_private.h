/* What the core's rooms share of a loop. Private to core/. */
#ifndef CORE_SRC_LOOP_PRIVATE_H
#define CORE_SRC_LOOP_PRIVATE_H

#include "busy_poll.h"

#include "core/crash.h"
#include "core/fiber.h"
#include "core/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

struct stack_pool;

/* A descriptor whose readability the loop itself needs (wake-up, signals, listeners). */
typedef struct watch {
    void (*readable)(struct watch *w);
    void *arg;
    int fd;
} watch;

typedef struct backend_ops backend_ops;

#define LOOP_SIGNALS 6

struct loop {
    const backend_ops *backend;
    void *backend_state;
    timer_wheel timers;
    uint64_t now_ms;
    uint64_t now_us; /* the same moment */
    bool stopping;
    busy_poll busy_poll;

    list posted;          /* loop_task, for this turn or the next */
    list turn_end;        /* loop_task, for the end of this turn */
    list unread;          /* stream: may have input that the backend will not announce again */
    uint32_t streams;     /* open */
    uint32_t descriptors; /* in the backend's hands, the loop's own two included */
    uint32_t offloaded;   /* calls that wait for a thread, or run */
    loop_heartbeat *heartbeat;

    list ready;   /* fiber, to be resumed in this turn */
    list yielded; /* fiber, to be resumed in the next */
    list fibers;  /* fiber, all that have not ended, for debuggers and shutdown */
    uint32_t fibers_max;
    uint32_t fibers_spare;
    fiber_stats fiber_stats;
    struct stack_pool *stacks;
    block *lost;   /* memory of crashed fibers, not to be used before the loop has ended */
    void *context; /* the loop's stack pointer while a fiber runs */
    const void *stack_bottom; /* of the loop's own stack, for the sanitizer */
    size_t stack_bytes;

    void (*on_crash)(const crash_report *report, void *arg);
    void *on_crash_arg;
    volatile sig_atomic_t crashed; /* set by the signal handler, read after the switch */
    crash_report crash;

    struct offload *offload;

    watch wake;
    pthread_mutex_t remote_lock;
    list remote; /* loop_task from other threads, under remote_lock */

    watch signals;
    struct {
        int signo;
        void (*on_signal)(int signo, void *arg);
        void *arg;
    } handlers[LOOP_SIGNALS];
};

/* A turn's work begins: takes the time. The backend calls it after its wait. */
void loop_woke(loop *l);

error fibers_open(loop *l);
void fibers_close(loop *l);
/* Resumes the fibers that are ready now, each once. */
void fibers_run(loop *l);

void offload_free(struct offload **o);

/* Tells who watches the heartbeat that the loop gets on. This process alone writes it. */
static inline void loop_count_turn(loop *l)
{
    if (!l->heartbeat)
        return;
    const uint64_t turns = atomic_load_explicit(&l->heartbeat->turns, memory_order_relaxed);
    atomic_store_explicit(&l->heartbeat->turns, turns + 1, memory_order_relaxed);
}

#endif
