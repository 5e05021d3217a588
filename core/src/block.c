/* The worker's pool of I/O blocks: a singly linked stack, so the block freed last, whose lines are
 * still in cache, is handed out first. Larger blocks bypass the pool.
 *
 * Invariant: a pooled block has references == 0 and capacity == BLOCK_CAPACITY. */
#include "core/block.h"

#include "worker.h"

#include "core/fault.h"

#include <stdlib.h>

#define BLOCK_BYTES_MAX ((size_t)1 << 30)
#define BLOCK_POOL_MAX  4096 /* free blocks kept: 64 MiB */

static block *block_from_system(size_t bytes)
{
    if (fault_point("block.acquire"))
        return NULL;
    block *b = malloc(sizeof(block) + bytes);
    if (!b)
        return NULL;
    worker_self.blocks.stats.system++;
    b->capacity = (uint32_t)bytes;
    return b;
}

block *block_acquire(size_t bytes)
{
    block_pool *pool = &worker_self.blocks;
    block *b;
    if (bytes > BLOCK_CAPACITY) {
        if (bytes > BLOCK_BYTES_MAX)
            return NULL;
        b = block_from_system(bytes);
    } else if (pool->free) {
        b = pool->free;
        pool->free = b->next;
        pool->stats.pooled--;
        invariant(b->references == 0);
    } else {
        b = block_from_system(BLOCK_CAPACITY);
    }
    if (!b)
        return NULL;
    pool->stats.acquired++;
    b->references = 1;
    b->next = NULL;
    return b;
}

void block_release(block **owner)
{
    block *b = *owner;
    *owner = NULL;
    if (!b)
        return;
    invariant(b->references > 0);
    if (--b->references > 0)
        return;
    block_pool *pool = &worker_self.blocks;
    if (b->capacity != BLOCK_CAPACITY || pool->stats.pooled >= BLOCK_POOL_MAX) {
        free(b);
        return;
    }
    b->next = pool->free;
    pool->free = b;
    pool->stats.pooled++;
}

block_stats block_pool_stats(void)
{
    return worker_self.blocks.stats;
}

void block_pool_trim(void)
{
    block_pool *pool = &worker_self.blocks;
    while (pool->free) {
        block *b = pool->free;
        pool->free = b->next;
        free(b);
    }
    pool->stats.pooled = 0;
}
