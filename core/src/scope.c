/* Scopes: a stack of them in each fiber, each with a list of clean-ups, newest first.
 *
 * Closing a scope runs its clean-ups one after another, shielded from the fuses that may have ended
 * the function, each under a deadline of its own. A clean-up may register others: they run too.
 *
 * Invariant: the scope that closes is the innermost, and it stays so while its clean-ups run. */
#include "core/scope.h"

#include "fiber_private.h"

#include "core/clock.h"
#include "core/log.h"

deferred *scope_defer(const cleanup *what, void *arg)
{
    fiber *f = worker_self.fiber;
    invariant(f != NULL && f->scope != NULL && what->run != NULL);
    deferred *d = ARENA_NEW(f->arena, deferred);
    d->cleanup = what;
    d->arg = arg;
    d->outer = f->scope->newest;
    f->scope->newest = d;
    return d;
}

void scope_disarm(deferred **d)
{
    if (*d)
        (*d)->cleanup = NULL;
    *d = NULL;
}

/* One clean-up under the shield. */
static error run_cleanup(fiber *f, const deferred *d)
{
    const uint64_t outer_deadline_ms = f->shield_deadline_ms;
    const uint64_t own_deadline_ms = clock_deadline_ms(SCOPE_CLEANUP_MS);
    f->shielded++;
    f->shield_deadline_ms =
        own_deadline_ms < outer_deadline_ms ? own_deadline_ms : outer_deadline_ms;
    const error e = d->cleanup->run(d->arg);
    f->shield_deadline_ms = outer_deadline_ms;
    f->shielded--;
    return e;
}

error scope_close(fiber *f, error result)
{
    scope *s = f->scope;
    while (s->newest) {
        const deferred *d = s->newest;
        const cleanup *what = d->cleanup; /* which may disarm itself while it runs */
        s->newest = d->outer;
        if (!what)
            continue;
        error_slot kept;
        const bool keeps = result.kind && f->errors;
        if (keeps)
            error_slot_copy(&kept, f->errors);
        const error e = run_cleanup(f, d);
        if (error_is_ok(e))
            ;
        else if (error_is_ok(result))
            result = e;
        else
            log_error("clean-up failed", LOG_CSTR("cleanup", what->name), LOG_ERR(e));
        if (keeps)
            error_slot_copy(f->errors, &kept);
    }
    f->scope = s->outer;
    return result;
}

void scope_abandon_all(fiber *f)
{
    for (scope *s = f->scope; s; s = s->outer) {
        while (s->newest) {
            const deferred *d = s->newest;
            s->newest = d->outer;
            if (d->cleanup && d->cleanup->abandon)
                d->cleanup->abandon(d->arg);
        }
    }
    f->scope = NULL;
}

error scope_call(const scope_options *options, error (*fn)(void *arg), void *arg)
{
    fiber *f = worker_self.fiber;
    invariant(f != NULL && f->scope != NULL);
    scope inner = { .outer = f->scope, .deadline_ms = f->scope->deadline_ms };
    if (options && options->deadline_ms) {
        const uint64_t own_ms = options->from_ms ? options->from_ms + options->deadline_ms
                                                 : clock_deadline_ms(options->deadline_ms);
        if (own_ms < inner.deadline_ms)
            inner.deadline_ms = own_ms;
    }
    f->scope = &inner;
    return scope_close(f, fn(arg));
}

error scope_status(void)
{
    const fiber *f = worker_self.fiber;
    invariant(f != NULL);
    const error_kind *fuse = fiber_fuse(f);
    return fuse ? error_set(fuse, "before it was asked") : OK;
}

uint32_t scope_time_left_ms(void)
{
    const fiber *f = worker_self.fiber;
    invariant(f != NULL);
    const uint64_t deadline_ms = fiber_wait_deadline_ms(f);
    if (deadline_ms == UINT64_MAX)
        return UINT32_MAX;
    const uint64_t now_ms = clock_ms();
    if (now_ms >= deadline_ms)
        return 0;
    const uint64_t left_ms = deadline_ms - now_ms;
    return left_ms < UINT32_MAX ? (uint32_t)left_ms : UINT32_MAX - 1;
}
