/* The fiber's inside, shared by fiber.c, scope.c, wait_group.c and crash.c. Private to core/.
 *
 * The struct stands at the top of its own stack: one mapping, one touched page, one cache walk. */
#ifndef CORE_SRC_FIBER_PRIVATE_H
#define CORE_SRC_FIBER_PRIVATE_H

#include "loop_private.h"
#include "worker.h"

#include "core/arena.h"
#include "core/fiber.h"
#include "core/scope.h"
#include "core/timer.h"

typedef enum fiber_state {
    FIBER_READY = 1, /* in loop->ready, or in loop->yielded */
    FIBER_RUNNING,
    FIBER_PARKED,
    FIBER_ENDED, /* result set, stack still there until recycled or joined */
    FIBER_LOST,  /* crashed: its stack is never used again */
} fiber_state;

struct deferred {
    struct deferred *outer; /* registered before this one in the same scope */
    const cleanup *cleanup; /* NULL: disarmed */
    void *arg;
};

typedef struct scope {
    struct scope *outer;
    deferred *newest;
    uint64_t deadline_ms; /* of the loop's clock; UINT64_MAX: none. Never later than outer's */
} scope;

struct fiber {
    void *context;     /* stack pointer while not running */
    list_node node;    /* in loop->ready or loop->yielded */
    list_node sibling; /* in loop->fibers */
    loop *loop;
    struct stack *stack;
    fiber_state state;
    const char *name;
    const char *about;     /* NULL: not said */
    const char *waits_for; /* while parked */
    fiber_fn fn;
    void *arg;
    error result;

    arena *arena;
    arena own_arena;
    scope root;
    scope *scope;       /* innermost */
    error_slot *errors; /* made with the first error, kept with the stack */

    const error_kind *canceled;  /* the cancel fuse, blown; NULL: not */
    uint32_t shielded;           /* > 0: fuses do not touch waits (clean-ups, offloaded calls) */
    uint64_t shield_deadline_ms; /* of the clean-up that runs; UINT64_MAX: none */
    uint32_t no_yield;
    timer deadline;
    error wake_result;
    void (*forget)(void *arg);
    void *forget_arg;

    bool joinable;
    fiber *joiner;
    wait_group *group; /* that this fiber waits for: canceled along */
    void (*ended)(fiber *f, error result, void *arg);
    void *ended_arg;
    str log_request_id;
    void *sanitizer_stack; /* AddressSanitizer's fake stack while not running */
};

/* As fiber_park, but no fuse ends the wait. */
YIELDS error fiber_park_shielded(const char *what);
/* The fuse that ends the running fiber's waits now, or NULL. */
const error_kind *fiber_fuse(const fiber *f);
/* When it ends them by itself; UINT64_MAX: never. */
uint64_t fiber_wait_deadline_ms(const fiber *f);

/* Runs the clean-ups of the innermost scope and leaves it; `result` is what its function returned.
 * Returns the scope's result. */
error scope_close(fiber *f, error result);
/* Runs the `abandon` part of every clean-up of a crashed fiber, on the loop. */
void scope_abandon_all(fiber *f);

#endif
