/* A signal's interrupted context, one file a CPU. */
#ifndef CORE_SRC_CRASH_CONTEXT_H
#define CORE_SRC_CRASH_CONTEXT_H

#include "core/base.h"

/* Program counter and frame pointer where the signal struck. */
const void *crash_context_pc(const void *context);
uintptr_t crash_context_frame(const void *context);
/* Lets the handler return into target(argument). */
void crash_context_redirect(void *context, void (*target)(void *argument), void *argument);

#endif
