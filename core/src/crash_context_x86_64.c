/* The interrupted context on x86-64 Linux. `target` switches stacks before it touches one, so the
 * stack pointer is left alone. */
#include "crash_context.h"

#include <ucontext.h>

#define FLAG_DIRECTION 0x400 /* set within a backward copy, and clear wherever C runs */

const void *crash_context_pc(const void *context)
{
    const ucontext_t *c = context;
    return (const void *)c->uc_mcontext.gregs[REG_RIP];
}

uintptr_t crash_context_frame(const void *context)
{
    const ucontext_t *c = context;
    return (uintptr_t)c->uc_mcontext.gregs[REG_RBP];
}

void crash_context_redirect(void *context, void (*target)(void *argument), void *argument)
{
    ucontext_t *c = context;
    c->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)target;
    c->uc_mcontext.gregs[REG_RDI] = (greg_t)(uintptr_t)argument;
    c->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)FLAG_DIRECTION;
}
