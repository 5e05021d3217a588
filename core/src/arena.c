/* Arenas over the block pool: the newest block is bumped; what does not fit takes the next pooled
 * block, and what is larger than one takes a block of its own size, put behind the newest so that
 * the bump goes on where it was.
 *
 * Invariant: `bytes` is the sum of the capacities in `blocks` and never passes `bytes_max`. */
#include "core/arena.h"

#include "core/block.h"
#include "core/error.h"
#include "core/fiber.h"

#include <string.h>

#define ARENA_ALIGN_MAX 64

void arena_init(arena *a, size_t bytes_max)
{
    *a = (arena){ .bytes_max = bytes_max };
}

static void release_chain(block *b)
{
    while (b) {
        block *next = b->next;
        block_release(&b);
        b = next;
    }
}

void arena_deinit(arena *a)
{
    release_chain(a->blocks);
    arena_init(a, a->bytes_max);
}

void arena_reset(arena *a)
{
    block *kept = a->blocks;
    if (!kept || kept->capacity != BLOCK_CAPACITY) {
        arena_deinit(a);
        return;
    }
    release_chain(kept->next);
    kept->next = NULL;
    a->pos = kept->data;
    a->end = kept->data + kept->capacity;
    a->bytes = kept->capacity;
}

/* A block for `bytes`, linked in; NULL past the cap or out of memory. */
static block *arena_add_block(arena *a, size_t bytes)
{
    const size_t capacity = bytes <= BLOCK_CAPACITY ? BLOCK_CAPACITY : bytes;
    if (capacity > a->bytes_max - a->bytes)
        return NULL;
    block *b = block_acquire(capacity);
    if (!b)
        return NULL;
    a->bytes += b->capacity;
    const bool keeps_newest = bytes > BLOCK_CAPACITY && a->blocks;
    if (keeps_newest) {
        b->next = a->blocks->next;
        a->blocks->next = b;
    } else {
        b->next = a->blocks;
        a->blocks = b;
        a->pos = b->data;
        a->end = b->data + b->capacity;
    }
    return b;
}

static char *align_up(char *p, size_t align)
{
    const size_t low = (size_t)((uintptr_t)p & (align - 1));
    return low ? p + (align - low) : p;
}

void *arena_try_alloc(arena *a, size_t bytes, size_t align)
{
    invariant(align > 0 && align <= ARENA_ALIGN_MAX && (align & (align - 1)) == 0);
    if (LIKELY(a->pos != NULL)) {
        char *at = align_up(a->pos, align);
        if (LIKELY(at <= a->end && bytes <= (size_t)(a->end - at))) {
            a->pos = at + bytes;
            return at;
        }
    }
    size_t needed;
    if (__builtin_add_overflow(bytes, align, &needed))
        return NULL;
    block *b = arena_add_block(a, needed);
    if (!b)
        return NULL;
    char *at = align_up(b->data, align);
    if (b == a->blocks)
        a->pos = at + bytes;
    return at;
}

void *arena_alloc(arena *a, size_t bytes, size_t align)
{
    void *p = arena_try_alloc(a, bytes, align);
    if (LIKELY(p != NULL))
        return p;
    size_t left = a->bytes_max - a->bytes;
    fiber_end_now(bytes > left ? error_set(&ARENA_FULL, "arena of %zu bytes cannot take %zu more",
                                           a->bytes_max, bytes)
                               : error_set(&OUT_OF_MEMORY, "no memory for %zu bytes", bytes));
}

void *arena_alloc_zero(arena *a, size_t count, size_t bytes, size_t align)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        fiber_end_now(error_set(&ARENA_FULL, "array of %zu times %zu bytes", count, bytes));
    return memset(arena_alloc(a, total, align), 0, total);
}

void *arena_grow(arena *a, void *ptr, size_t bytes_old, size_t bytes_new, size_t align)
{
    invariant(bytes_new >= bytes_old);
    if (ptr && (char *)ptr + bytes_old == a->pos &&
        bytes_new - bytes_old <= (size_t)(a->end - a->pos)) {
        a->pos += bytes_new - bytes_old;
        return ptr;
    }
    void *moved = arena_alloc(a, bytes_new, align);
    if (ptr && bytes_old)
        memcpy(moved, ptr, bytes_old);
    return moved;
}
