/* Blocks: the unit of memory that I/O and arenas share. A worker keeps freed ones in its pool and
 * uses the hottest first. Reference-counted, because a request's slices keep a block alive after
 * its stream has read on.
 *
 * Invariant: a block belongs to the thread that acquired it; references never cross threads. */
#ifndef CORE_BLOCK_H
#define CORE_BLOCK_H

#include "core/base.h"

#define BLOCK_BYTES 16384 /* of a pooled block, its header included */

typedef struct block {
    struct block *next;  /* free list, or the owner's chain */
    uint32_t references; /* 0 while in the pool */
    uint32_t capacity;   /* bytes of `data` */
    _Alignas(16) char data[];
} block;

#define BLOCK_CAPACITY (BLOCK_BYTES - sizeof(block)) /* bytes of data in a pooled block */

/* A block with one reference and room for `bytes` (pooled when that is <= BLOCK_CAPACITY).
 *   returns NULL when memory is out, or `bytes` is over 1 GiB */
block *block_acquire(size_t bytes);
/* One more reference. */
static inline block *block_keep(block *b)
{
    b->references++;
    return b;
}
/* One reference less; the last one returns it to the pool. Nulls the pointer; NULL is allowed. */
void block_release(block **owner);

/* What this thread's pool did so far: a steady worker's `system` does not grow. */
typedef struct block_stats {
    uint64_t acquired; /* blocks handed out */
    uint64_t system;   /* of them, taken from malloc */
    uint64_t pooled;   /* blocks free in the pool now */
} block_stats;
/* A copy of this thread's counters. */
block_stats block_pool_stats(void);
/* Frees every pooled block of this thread. */
void block_pool_trim(void);

#endif
