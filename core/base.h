/* The words every room uses: contracts, attributes and the size of an array.
 *
 * invariant(cond) is for programmer errors only and is always on: it prints the condition and
 * aborts. What a peer sends is never an invariant. */
#ifndef CORE_BASE_H
#define CORE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bools, as C23 has them: in C17 `true` is the int 1, which _Generic takes for a number, and a bool
 * column could not be compared with it. A C17 program may redefine these two (7.18). What `a == b`
 * and `!a` give stays an int: write (bool)(a == b) where the type counts. */
#if __STDC_VERSION__ < 202000L
#undef true
#undef false
#define true ((bool)1)
#define false ((bool)0)
#endif

/* A suspending function: the calling fiber may sleep in it, and other fibers run meanwhile. Worker
 * state read before the call is read again after it. */
#define YIELDS

#define NORETURN __attribute__((noreturn))
#define PRINTF_LIKE(format_index, first_index) \
    __attribute__((format(printf, format_index, first_index)))
#define UNUSED          __attribute__((unused))
#define COLD            __attribute__((cold))
#define RETURNS_NONNULL __attribute__((returns_nonnull))

#define LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* Number of elements of an array (not of a pointer). */
#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* The struct that holds `member` at `pointer`. */
#define CONTAINER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define invariant(condition) \
    (LIKELY(condition) ? (void)0 : invariant_failed(#condition, __FILE__, __LINE__))

#define unreachable() invariant_failed("unreachable", __FILE__, __LINE__)

/* Prints "file:line: invariant failed: what" to standard error and aborts. */
NORETURN COLD void invariant_failed(const char *what, const char *file, int line);

#endif
