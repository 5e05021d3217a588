/* Memory for objects with a life of their own: connections, pools, processes. What belongs to a
 * request lives in an arena (core/arena.h), bytes of I/O in blocks (core/block.h).
 *
 * The only way from the rooms above to the heap, so that tests can make any allocation fail:
 * fault_at("memory", n). */
#ifndef CORE_MEMORY_H
#define CORE_MEMORY_H

#include "core/base.h"

/* Zeroed memory for `count` objects of `bytes`, NULL when there is none or the size overflows. */
void *memory_new(size_t count, size_t bytes);
/* One zeroed `type`, or an array of `count`; NULL without memory. */
#define MEMORY_NEW(type)              ((type *)memory_new(1, sizeof(type)))
#define MEMORY_NEW_ARRAY(type, count) ((type *)memory_new((count), sizeof(type)))
/* Gives it back; NULL is allowed. */
void memory_free(void *memory);

#endif
