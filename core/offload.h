/* Offload: blocking or CPU-heavy calls (Argon2, getaddrinfo) on a few threads beside the loop,
 * while the fiber sleeps. The queue is bounded: past it callers are refused, not queued for ever.
 *
 * An offloaded function runs on another thread: it may touch only its argument, and allocate with
 * what that provides. It cannot be interrupted: when a fuse ends the caller's wait, the call still
 * waits for the function's end, because the argument may stand on the caller's stack. */
#ifndef CORE_OFFLOAD_H
#define CORE_OFFLOAD_H

#include "core/error.h"
#include "core/fiber.h"

#define OFFLOAD_THREADS   2  /* a loop, started with the first call */
#define OFFLOAD_QUEUE_MAX 64 /* calls waiting for a thread */

extern const error_kind OFFLOAD_FULL; /* UNAVAILABLE */

/* Runs `fn(arg)` on an offload thread.
 *   returns  what `fn` returned, with its error details
 *   yields   until `fn` has returned
 *   fails    OFFLOAD_FULL; CANCELED or TIMED_OUT when the fuse had blown before `fn` began */
YIELDS error offload(error (*fn)(void *arg), void *arg);

#endif
