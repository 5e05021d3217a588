/* The switch itself, in assembly, one file a CPU. */
#ifndef CORE_SRC_FIBER_SWITCH_H
#define CORE_SRC_FIBER_SWITCH_H

#include "core/base.h"

/* Saves the callee-saved registers on this stack, stores the stack pointer in `*save`, and goes on
 * where `load` was saved. Floating-point control words are not switched: fibers share them. */
void fiber_switch(void **save, void *load);
/* The second half alone; fiber_switch's target for a signal handler to return to. */
void fiber_switch_load(void *load);
/* The context of a fresh stack: the first switch to it calls entry(arg) with an aligned stack and
 * no caller to return to. `top` is 16-byte aligned. */
void *fiber_switch_prepare(void *top, void (*entry)(void *arg), void *arg);

#endif
