/* The switch itself, in assembly, one file a CPU. */
#ifndef CORE_SRC_FIBER_SWITCH_H
#define CORE_SRC_FIBER_SWITCH_H

#include "core/base.h"

/* Saves the callee-saved registers on this stack, stores the stack pointer in `*save`, and goes on
 * where `load` was saved. Floating-point control words are not switched: fibers share them. */
void fiber_switch(void **save, void *load);
/* The second half alone, for who never comes back; a signal handler may return to it. */
NORETURN void fiber_switch_load(void *load);
/* The context of a fresh stack: the first switch to it calls entry(arg) with an aligned stack and
 * no caller; what it returns is loaded. `top` is 16-byte aligned. */
void *fiber_switch_prepare(void *top, void *(*entry)(void *arg), void *arg);

#endif
