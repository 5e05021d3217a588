/* Scopes: a deadline and deferred clean-ups that end with a function, whatever it returns.
 *
 * Every fiber has one; scope_call nests another. What must be undone is registered when it is
 * acquired, so an early return leaks nothing. Clean-ups run last-in first-out on the fiber, and
 * their waiting calls are shielded: the fiber's deadline and cancel do not touch them; they have
 * SCOPE_CLEANUP_MS of their own. */
#ifndef CORE_SCOPE_H
#define CORE_SCOPE_H

#include "core/error.h"
#include "core/fiber.h"

#define SCOPE_CLEANUP_MS 5000 /* deadline of each clean-up */

/* One kind of clean-up. */
typedef struct cleanup {
    /* On the fiber, at the scope's end. An error becomes the scope's result if that was OK, and is
     * logged otherwise. */
    error (*run)(void *arg);
    /* On the loop, instead of `run`, when the fiber faulted and can never run again: gives back
     * what is safe to give back without waiting. NULL: nothing is. */
    void (*abandon)(void *arg);
    const char *name; /* for logs, a literal */
} cleanup;

typedef struct deferred deferred;

/* Registers a clean-up in the running fiber's innermost scope; lives in the fiber's arena. */
deferred *scope_defer(const cleanup *what, void *arg);
/* Drops a clean-up without running it: what it was for is done. Nulls the pointer; NULL is allowed.
 */
void scope_disarm(deferred **d);

typedef struct scope_options {
    uint32_t deadline_ms; /* from now; 0: only the outer scopes' */
    uint64_t from_ms;     /* when that now was, for who has just read core/clock.h; 0: read it */
} scope_options;

/* Runs `fn(arg)` in a scope of its own. Its deadline is the earliest of its own and the outer ones.
 */
YIELDS error scope_call(const scope_options *options, error (*fn)(void *arg), void *arg);

/* OK, or the fuse that ends the running fiber's waits: TIMED_OUT or what it was canceled with. For
 * drivers, which must not send what they could not wait for. */
error scope_status(void);

/* Milliseconds until the innermost deadline; UINT32_MAX without one, 0 when it has passed. */
uint32_t scope_time_left_ms(void);

#endif
