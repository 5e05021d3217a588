/* What one thread keeps: the core's only writable global, thread-local and valid when zero.
 *
 * A worker process has one thread that runs a loop; its offload threads have a `worker` of their
 * own in which only the block pool and the error slot are used. */
#ifndef CORE_SRC_WORKER_H
#define CORE_SRC_WORKER_H

#include "core/block.h"
#include "core/error.h"

typedef struct fiber fiber;
typedef struct loop loop;

#define ERROR_CAUSES_MAX 3   /* details kept of one chain, the newest included */
#define ERROR_TEXT_BYTES 384 /* of one detail */
#define ERROR_NAME_BYTES 64  /* of a constraint name, NUL included */

/* The last error and its causes: entry 0 is the root cause, entry count-1 the newest. */
typedef struct error_slot {
    uint32_t count;
    error_detail details[ERROR_CAUSES_MAX];
    char texts[ERROR_CAUSES_MAX][ERROR_TEXT_BYTES];
    char constraints[ERROR_CAUSES_MAX][ERROR_NAME_BYTES];
} error_slot;

typedef struct block_pool {
    block *free;
    block_stats stats;
} block_pool;

typedef struct worker {
    fiber *fiber; /* running now; NULL on the loop and outside */
    loop *loop;   /* of this thread, or NULL */
    block_pool blocks;
    error_slot errors;    /* outside a fiber */
    str log_request_id;   /* STR_NONE outside a request; follows the running fiber */
    bool pipes_looked_at; /* whether SIGPIPE would end the process: see stream_file.c */
    /* Of the invariant that has failed and is about to abort: what is printed, and the frame of
     * invariant_failed. For crash.c. */
    str invariant;
    uintptr_t invariant_frame;
} worker;

/* -ftls-model is left to the linker: in an executable this is one segment-relative access. */
extern _Thread_local worker worker_self;

/* The slot of the running fiber, or the thread's. Never NULL. */
error_slot *error_slot_current(void);
/* Copies the chain of `from` over that of `to`. */
void error_slot_copy(error_slot *to, const error_slot *from);
/* Drops what lives in the arena of the fiber that set the errors, which is about to go. */
void error_slot_drop_arena(error_slot *slot);

#endif
