/* Stacks are cut from slabs of 64, one mmap each. The low end of each is a guard: by
 * MADV_GUARD_INSTALL (Linux 6.13), which marks page-table entries and does not split the mapping,
 * so that 100,000 stacks stay a few mappings; by mprotect elsewhere, which does split it, hence the
 * cap. The guard is some pages wide, because a frame may be larger than one and touch what lies
 * behind it first.
 *
 * Tops are coloured: shifted by a few cache lines from stack to stack, so that the hot ends of many
 * stacks do not fall into the same cache sets.
 *
 * Invariant: a stack in the free list is used by nobody; the first `hot` of them still have their
 * pages, the one used last at the front, and the others own none. */
#include "stack.h"

#include "sanitizer.h"

#include "core/fault.h"
#include "core/fiber.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

#define SLAB_STACKS         64
#define GUARD_BYTES_MIN     16384
#define COLOURS             32
#define COLOUR_BYTES        192 /* three cache lines: 32 colours walk 6 KiB */
#define MPROTECT_STACKS_MAX 16384
#define HOT_STACKS_MAX      1024 /* free stacks that keep their pages */

typedef struct slab {
    struct slab *next;
    char *base;
    stack stacks[SLAB_STACKS];
} slab;

struct stack_pool {
    list free;
    slab *slabs;
    uint32_t total;
    uint32_t pooled;
    uint32_t hot;       /* of the pooled */
    size_t guard_bytes; /* GUARD_BYTES_MIN in whole pages, which are that large on some machines */
    bool guards;        /* MADV_GUARD_INSTALL has been seen to work */
    bool mprotect;      /* it has been seen not to */
};

stack_pool *stack_pool_new(void)
{
    stack_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return NULL;
    list_init(&pool->free);
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    pool->guard_bytes = page_bytes > GUARD_BYTES_MIN ? page_bytes : GUARD_BYTES_MIN;
    return pool;
}

void stack_pool_free(stack_pool **owner)
{
    stack_pool *pool = *owner;
    *owner = NULL;
    if (!pool)
        return;
    while (pool->slabs) {
        slab *s = pool->slabs;
        pool->slabs = s->next;
        for (uint32_t i = 0; i < SLAB_STACKS; i++) {
            sanitizer_stack_forget(s->stacks[i].valgrind_id);
            free(s->stacks[i].errors);
        }
        munmap(s->base, (size_t)SLAB_STACKS * FIBER_STACK_BYTES);
        free(s);
    }
    free(pool);
}

/* Whether the kernel took the advice and knows it: an emulator (qemu's) may say yes to any advice,
 * and then finds a guarded page as easy to populate as another. */
static bool guard_install(const stack_pool *pool, char *low)
{
    return !fault_point("fiber.guard_install") &&
           madvise(low, pool->guard_bytes, MADV_GUARD_INSTALL) == 0 &&
           (pool->guards || madvise(low, pool->guard_bytes, MADV_POPULATE_READ) < 0);
}

/* Guards the low end of a stack; falls back to mprotect once the kernel has refused the cheap way.
 */
static bool guard(stack_pool *pool, char *low)
{
    if (!pool->mprotect) {
        pool->guards = guard_install(pool, low);
        if (pool->guards)
            return true;
        pool->mprotect = true;
    }
    return mprotect(low, pool->guard_bytes, PROT_NONE) == 0;
}

bool stack_pool_is_full(const stack_pool *pool, uint32_t spare)
{
    return pool->pooled <= spare && pool->mprotect &&
           pool->total + SLAB_STACKS > MPROTECT_STACKS_MAX;
}

static bool slab_add(stack_pool *pool)
{
    if (stack_pool_is_full(pool, 0))
        return false;
    slab *s = calloc(1, sizeof *s);
    if (!s)
        return false;
    const size_t bytes = (size_t)SLAB_STACKS * FIBER_STACK_BYTES;
    void *base = MAP_FAILED;
    if (!fault_point("fiber.mmap"))
        base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED) {
        free(s);
        return false;
    }
    s->base = base;
    madvise(base, bytes,
            MADV_NOHUGEPAGE); /* a huge page a stack would commit 2 MiB for each slab */
    for (uint32_t i = 0; i < SLAB_STACKS; i++) {
        if (!guard(pool, s->base + (size_t)i * FIBER_STACK_BYTES)) {
            munmap(base, bytes);
            free(s);
            return false;
        }
    }
    for (uint32_t i = SLAB_STACKS; i-- > 0;) {
        stack *one = &s->stacks[i];
        char *start = s->base + (size_t)i * FIBER_STACK_BYTES;
        one->low = start + pool->guard_bytes;
        one->top = start + FIBER_STACK_BYTES - (size_t)((pool->total + i) % COLOURS) * COLOUR_BYTES;
        one->valgrind_id = sanitizer_stack_known(one->low, one->top);
        list_prepend(&pool->free, &one->node);
    }
    s->next = pool->slabs;
    pool->slabs = s;
    pool->total += SLAB_STACKS;
    pool->pooled += SLAB_STACKS;
    return true;
}

stack *stack_acquire(stack_pool *pool)
{
    if (list_is_empty(&pool->free) && !slab_add(pool))
        return NULL;
    pool->pooled--;
    if (pool->hot > 0)
        pool->hot--;
    return CONTAINER_OF(list_take_first(&pool->free), stack, node);
}

void stack_release(stack_pool *pool, stack *s)
{
    sanitizer_memory_clean(s->low, (size_t)(s->top - s->low));
    if (pool->hot >= HOT_STACKS_MAX) {
        madvise(s->low, FIBER_STACK_BYTES - pool->guard_bytes, MADV_DONTNEED);
        list_append(&pool->free, &s->node);
    } else {
        list_prepend(&pool->free, &s->node);
        pool->hot++;
    }
    pool->pooled++;
}

uint32_t stack_pool_count(const stack_pool *pool)
{
    return pool->pooled;
}

bool stack_pool_uses_mprotect(const stack_pool *pool)
{
    return pool->mprotect;
}
