/* Stacks for fibers: reserved in slabs, guarded at the low end, pooled and reused hot. */
#ifndef CORE_SRC_STACK_H
#define CORE_SRC_STACK_H

#include "core/base.h"
#include "core/list.h"

typedef struct stack_pool stack_pool;

typedef struct stack {
    list_node node; /* in the pool's free list */
    char *low;      /* lowest usable byte, above the guard */
    char *top;      /* one past the highest; shifted by the stack's colour */
    void *errors;   /* the error slot that stays with the stack, or NULL */
    unsigned valgrind_id;
} stack;

stack_pool *stack_pool_new(void);
void stack_pool_free(stack_pool **owner);
/* A stack of FIBER_STACK_BYTES, or NULL when memory or mappings are out. */
stack *stack_acquire(stack_pool *pool);
void stack_release(stack_pool *pool, stack *s);
uint32_t stack_pool_count(const stack_pool *pool);
/* Whether there are at most `spare` stacks to be had, and no more may be made: those of mprotect
 * are capped. */
bool stack_pool_is_full(const stack_pool *pool, uint32_t spare);
/* Whether guards are made by mprotect, one mapping each, for want of MADV_GUARD_INSTALL. */
bool stack_pool_uses_mprotect(const stack_pool *pool);

#endif
