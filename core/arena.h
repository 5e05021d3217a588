/* Arenas: memory that goes all at once. A request's strings, rows and JSON live in one.
 *
 * Chunks come from the worker's block pool, so a worker in steady state calls malloc for none of
 * it. Allocation inside a fiber never returns NULL: past the arena's cap, or when memory is out,
 * the fiber ends there (its clean-ups run, its result is ARENA_FULL or OUT_OF_MEMORY). Code on the
 * loop, outside a fiber, uses arena_try_alloc. */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

#include "core/base.h"

typedef struct block block;

typedef struct arena {
    block *blocks; /* newest first */
    char *pos;     /* free bytes of the newest: [pos, end) */
    char *end;
    size_t bytes;     /* taken from the pool so far, headers excluded */
    size_t bytes_max; /* cap on `bytes` */
} arena;
/* Invariant: pos <= end, and both are NULL exactly when `blocks` is. */

/* An empty arena that holds at most `bytes_max` bytes. Takes no memory yet. */
void arena_init(arena *a, size_t bytes_max);
/* Gives everything back; safe twice. */
void arena_deinit(arena *a);
/* Empties the arena and keeps its first chunk when that is of pool size. */
void arena_reset(arena *a);

/* `bytes` uninitialised bytes aligned to `align` (a power of two, at most 64). Zero bytes give a
 * valid pointer. Ends the fiber past the cap. */
void *arena_alloc(arena *a, size_t bytes, size_t align) RETURNS_NONNULL;
/* The same, but NULL past the cap or out of memory. */
void *arena_try_alloc(arena *a, size_t bytes, size_t align);
/* Zeroed array; ends the fiber when count * bytes overflows or passes the cap. */
void *arena_alloc_zero(arena *a, size_t count, size_t bytes, size_t align) RETURNS_NONNULL;
/* Grows the newest allocation in place where possible, else moves it. `ptr` may be NULL. */
void *arena_grow(arena *a, void *ptr, size_t bytes_old, size_t bytes_new, size_t align);

/* One zeroed `type`, or an array of `count`. */
#define ARENA_NEW(arena, type) ((type *)arena_alloc_zero((arena), 1, sizeof(type), _Alignof(type)))
#define ARENA_NEW_ARRAY(arena, type, count) \
    ((type *)arena_alloc_zero((arena), (count), sizeof(type), _Alignof(type)))

#endif
