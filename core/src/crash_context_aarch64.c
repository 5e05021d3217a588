/* The interrupted context on AArch64 Linux. `target` switches stacks before it touches one, so the
 * stack pointer is left alone. */
#include "crash_context.h"

#include <ucontext.h>

const void *crash_context_pc(const void *context)
{
    const ucontext_t *c = context;
    return (const void *)(uintptr_t)c->uc_mcontext.pc;
}

uintptr_t crash_context_frame(const void *context)
{
    const ucontext_t *c = context;
    return (uintptr_t)c->uc_mcontext.regs[29];
}

void crash_context_redirect(void *context, void (*target)(void *argument), void *argument)
{
    ucontext_t *c = context;
    c->uc_mcontext.pc = (uintptr_t)target;
    c->uc_mcontext.regs[0] = (uintptr_t)argument;
}
