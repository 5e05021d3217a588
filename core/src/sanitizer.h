/* What AddressSanitizer and valgrind must be told about stacks that change under them. Nothing is
 * left of it in a build without them. */
#ifndef CORE_SRC_SANITIZER_H
#define CORE_SRC_SANITIZER_H

#include "core/base.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZER_ADDRESS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZER_ADDRESS 1
#endif

#if defined(SANITIZER_ADDRESS)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

/* Before a switch: to where, and where to keep the fake stack of what is left (NULL: it ends). */
static inline void sanitizer_switch_begin(void **keep, const void *bottom, size_t bytes)
{
    __sanitizer_start_switch_fiber(keep, bottom, bytes);
}
/* After it, on the new stack: its fake stack, and the bounds of the stack that was left. */
static inline void sanitizer_switch_end(void *kept, const void **bottom, size_t *bytes)
{
    __sanitizer_finish_switch_fiber(kept, bottom, bytes);
}
static inline void sanitizer_memory_clean(const void *memory, size_t bytes)
{
    __asan_unpoison_memory_region(memory, bytes);
}
#else
static inline void sanitizer_switch_begin(void **keep, const void *bottom, size_t bytes)
{
    (void)keep;
    (void)bottom;
    (void)bytes;
}
/* NOLINTNEXTLINE(readability-non-const-parameter): an out parameter in the other variant */
static inline void sanitizer_switch_end(void *kept, const void **bottom, size_t *bytes)
{
    (void)kept;
    (void)bottom;
    (void)bytes;
}
static inline void sanitizer_memory_clean(const void *memory, size_t bytes)
{
    (void)memory;
    (void)bytes;
}
#endif

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#define SANITIZER_VALGRIND 1
#endif
#endif

#if defined(SANITIZER_VALGRIND)
#include <valgrind/valgrind.h>
static inline unsigned sanitizer_stack_known(const void *low, const void *top)
{
    return (unsigned)VALGRIND_STACK_REGISTER(low, top);
}
static inline void sanitizer_stack_forget(unsigned id)
{
    VALGRIND_STACK_DEREGISTER(id);
}
#else
static inline unsigned sanitizer_stack_known(const void *low, const void *top)
{
    (void)low;
    (void)top;
    return 0;
}
static inline void sanitizer_stack_forget(unsigned id)
{
    (void)id;
}
#endif

#endif
