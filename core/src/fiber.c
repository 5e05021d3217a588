/* Fibers over the stack pool and the switch.
 *
 * The loop resumes a ready fiber, the fiber switches back when it parks or ends: control only ever
 * goes loop -> fiber -> loop, so the loop's own stack pointer is one field. A fiber that has ended
 * is recycled by the loop, because nobody can free the stack he stands on.
 *
 * Fuses are looked at where a wait begins and where it is woken: fiber_fuse says which, if any,
 * ends the running fiber's waits. Clean-ups and offloaded calls raise `shielded`.
 *
 * Invariant: a fiber stands in loop->ready or loop->yielded exactly when its state is READY, and
 * its deadline timer is armed only while it is PARKED. */
#include "core/fiber.h"

#include "fiber_private.h"
#include "fiber_switch.h"
#include "sanitizer.h"
#include "stack.h"

#include "core/clock.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIBERS_MAX_DEFAULT 100000

ERROR_KIND(FIBER_TOO_MANY, ERROR_UNAVAILABLE, "The server is busy; try again later.");
ERROR_KIND(FIBER_CRASHED, ERROR_INTERNAL, "The server could not complete the request.");

error fibers_open(loop *l)
{
    list_init(&l->ready);
    list_init(&l->yielded);
    list_init(&l->fibers);
    if (l->fibers_max == 0)
        l->fibers_max = FIBERS_MAX_DEFAULT;
    l->stacks = stack_pool_new();
    return l->stacks ? OK : error_set(&OUT_OF_MEMORY, "no memory for a stack pool");
}

void fibers_close(loop *l)
{
    stack_pool_free(&l->stacks);
}

fiber *fiber_self(void)
{
    return worker_self.fiber;
}

arena *fiber_arena(void)
{
    invariant(worker_self.fiber != NULL);
    return worker_self.fiber->arena;
}

arena *fiber_arena_of(fiber *f)
{
    return f->arena;
}

const char *fiber_name(const fiber *f)
{
    return f->name;
}

const char *fiber_about(const fiber *f)
{
    return f->about;
}

void fiber_set_about(const char *about)
{
    invariant(worker_self.fiber != NULL);
    worker_self.fiber->about = about;
}

const char *fiber_waits_for(const fiber *f)
{
    return f->state == FIBER_PARKED ? f->waits_for : NULL;
}

/* Whether there is no fiber left but `spare`. */
static bool too_many(const loop *l, uint32_t spare)
{
    return l->fiber_stats.running + (uint64_t)spare >= l->fibers_max ||
           stack_pool_is_full(l->stacks, spare);
}

fiber_stats fiber_stats_of(const loop *l)
{
    fiber_stats stats = l->fiber_stats;
    stats.pooled = stack_pool_count(l->stacks);
    stats.only_spare_left = too_many(l, l->fibers_spare);
    stats.guards_by_mprotect = stack_pool_uses_mprotect(l->stacks);
    return stats;
}

/* Leaves the running fiber for the loop, until it is resumed. */
static void switch_to_loop(fiber *f)
{
    loop *l = f->loop;
    sanitizer_switch_begin(&f->sanitizer_stack, l->stack_bottom, l->stack_bytes);
    fiber_switch(&f->context, l->context);
    sanitizer_switch_end(f->sanitizer_stack, NULL, NULL);
}

/* Gives everything but the result back; the handle stays for a joiner. What is left to do is to
 * load the context that it returns. */
static void *fiber_finish(fiber *f, error result)
{
    while (f->scope)
        result = scope_close(f, result);
    f->result = result;
    f->state = FIBER_ENDED;
    sanitizer_switch_begin(NULL, f->loop->stack_bottom, f->loop->stack_bytes);
    return f->loop->context;
}

static void *fiber_main(void *arg)
{
    fiber *f = arg;
    sanitizer_switch_end(NULL, &f->loop->stack_bottom, &f->loop->stack_bytes);
    return fiber_finish(f, f->fn(f->arg));
}

void fiber_end_now(error result)
{
    fiber *f = worker_self.fiber;
    invariant(f != NULL); /* an arena's fuse blew outside a fiber: use arena_try_alloc there */
    fiber_switch_load(fiber_finish(f, result));
}

static void deadline_passed(timer *t);

/* The struct at the top of a fresh stack, everything zero that is not said. */
static fiber *fiber_place(loop *l, stack *s, const fiber_options *o)
{
    char *top = s->top - sizeof(fiber);
    top -= (uintptr_t)top % 64;
    fiber *f = (fiber *)(void *)top;
    *f = (fiber){
        .loop = l,
        .stack = s,
        .name = o->name ? o->name : "fiber",
        .errors = s->errors,
        .joinable = o->joinable,
        .ended = o->ended,
        .ended_arg = o->ended_arg,
        .root.deadline_ms = o->deadline_ms ? clock_deadline_ms(o->deadline_ms) : UINT64_MAX,
        .shield_deadline_ms = UINT64_MAX,
        .deadline.fire = deadline_passed,
    };
    f->scope = &f->root;
    if (f->errors)
        f->errors->count = 0;
    arena_init(&f->own_arena, o->arena_bytes_max ? o->arena_bytes_max : FIBER_ARENA_BYTES_MAX);
    f->arena = o->arena ? o->arena : &f->own_arena;
    return f;
}

static void fiber_resume(loop *l, fiber *f);

static void make_ready(fiber *f)
{
    f->state = FIBER_READY;
    list_append(&f->loop->ready, &f->node);
}

error fiber_start(loop *l, const fiber_options *options, fiber_fn fn, void *arg, fiber **out)
{
    static const fiber_options defaults = { 0 };
    const fiber_options *o = options ? options : &defaults;
    invariant(!o->joinable || (out && !o->ended));
    if (too_many(l, o->may_be_spare ? 0 : l->fibers_spare))
        return error_set(&FIBER_TOO_MANY, "%u fibers are running", l->fiber_stats.running);
    stack *s = stack_acquire(l->stacks);
    if (!s)
        return error_set(&OUT_OF_MEMORY, "no stack for fiber %u", l->fiber_stats.running + 1);
    fiber *f = fiber_place(l, s, o);
    f->fn = fn;
    f->arg = arg;
    f->context = fiber_switch_prepare(f, fiber_main, f);
    list_append(&l->fibers, &f->sibling);
    l->fiber_stats.running++;
    l->fiber_stats.started++;
    if (out)
        *out = f;
    if (o->at_once && !worker_self.fiber)
        fiber_resume(l, f);
    else
        make_ready(f);
    return OK;
}

/* Returns the stack of a fiber that has ended and whose result was taken. */
static void fiber_recycle(fiber *f)
{
    stack *s = f->stack;
    arena_deinit(&f->own_arena);
    stack_release(f->loop->stacks, s);
}

/* On the loop, after a fiber's last switch. */
static void fiber_ended(fiber *f)
{
    loop *l = f->loop;
    list_remove(&f->sibling);
    l->fiber_stats.running--;
    if (f->joinable) {
        if (f->joiner)
            fiber_wake(f->joiner, OK);
        return;
    }
    if (f->ended)
        f->ended(f, f->result, f->ended_arg);
    fiber_recycle(f);
}

/* Keeps an arena's memory until the loop ends, and empties the arena: the group that a crashed
 * fiber has left, or the fiber whose group it was in, uses the same one. */
static void arena_lose(loop *l, arena *a)
{
    while (a->blocks) {
        block *b = a->blocks;
        a->blocks = b->next;
        b->next = l->lost;
        l->lost = b;
    }
    arena_init(a, a->bytes_max);
}

/* Gives the others back what a runaway took: their deadlines were not theirs to keep meanwhile. */
static void put_deadlines_off(loop *l, uint64_t ms)
{
    LIST_EACH (fiber, f, &l->fibers, sibling) {
        for (scope *s = f->scope; s; s = s->outer) {
            if (s->deadline_ms != UINT64_MAX)
                s->deadline_ms += ms;
        }
        if (f->shield_deadline_ms != UINT64_MAX)
            f->shield_deadline_ms += ms;
        if (timer_armed(&f->deadline))
            timer_wheel_arm(&l->timers, &f->deadline, f->deadline.expires_ms + ms);
    }
}

/* On the loop's stack, to which the signal handler has redirected the thread. */
static void fiber_crashed(fiber *f)
{
    loop *l = f->loop;
    l->crashed = 0;
    f->result = (error){ &FIBER_CRASHED };
    f->state = FIBER_LOST;
    list_remove(&f->sibling);
    l->fiber_stats.running--;
    if (l->crash.signo == SIGUSR1)
        put_deadlines_off(l, clock_ms() - l->now_ms);
    l->on_crash(&l->crash, l->on_crash_arg);
    scope_abandon_all(f);
    arena_lose(l, f->arena);
    if (f->joiner)
        fiber_wake(f->joiner, OK);
}

static void fiber_resume(loop *l, fiber *f)
{
    worker *w = &worker_self;
    void *loop_fake_stack = NULL;
    f->state = FIBER_RUNNING;
    w->fiber = f;
    w->log_request_id = f->log_request_id;
    loop_count_turn(l);
    sanitizer_switch_begin(&loop_fake_stack, f->stack->low,
                           (size_t)(f->stack->top - f->stack->low));
    fiber_switch(&l->context, f->context);
    if (UNLIKELY(l->crashed)) /* its scopes, still to be abandoned, may lie in its fake stack */
        sanitizer_switch_begin(&f->sanitizer_stack, l->stack_bottom, l->stack_bytes);
    sanitizer_switch_end(loop_fake_stack, NULL, NULL);
    f->log_request_id = w->log_request_id;
    w->fiber = NULL;
    w->log_request_id = STR_NONE;
    if (UNLIKELY(l->crashed))
        fiber_crashed(f);
    else if (f->state == FIBER_ENDED)
        fiber_ended(f);
}

void fibers_run(loop *l)
{
    list batch;
    list_init(&batch);
    list_append_all(&batch, &l->ready);
    for (list_node *n; (n = list_take_first(&batch));)
        fiber_resume(l, CONTAINER_OF(n, fiber, node));
}

/* --- waiting --------------------------------------------------------------------------------- */

const error_kind *fiber_fuse(const fiber *f)
{
    if (f->canceled && !f->shielded)
        return f->canceled;
    const uint64_t deadline_ms = fiber_wait_deadline_ms(f);
    return deadline_ms != UINT64_MAX && clock_ms() >= deadline_ms ? &TIMED_OUT : NULL;
}

uint64_t fiber_wait_deadline_ms(const fiber *f)
{
    return f->shielded ? f->shield_deadline_ms : f->scope->deadline_ms;
}

/* Ends a parked fiber's wait from outside. */
static void interrupt(fiber *f, const error_kind *kind)
{
    invariant(f->state == FIBER_PARKED);
    if (f->forget)
        f->forget(f->forget_arg);
    fiber_wake(f, fiber_error_set(f, kind, "while waiting for %s", f->waits_for));
}

static void deadline_passed(timer *t)
{
    interrupt(CONTAINER_OF(t, fiber, deadline), &TIMED_OUT);
}

static error park(fiber *f, const char *what)
{
    loop *l = f->loop;
    invariant(f->no_yield == 0);
    f->waits_for = what;
    f->state = FIBER_PARKED;
    const uint64_t deadline_ms = fiber_wait_deadline_ms(f);
    if (deadline_ms != UINT64_MAX)
        timer_wheel_arm(&l->timers, &f->deadline, deadline_ms);
    switch_to_loop(f);
    f->waits_for = NULL;
    f->forget = NULL;
    return f->wake_result;
}

error fiber_park(const char *what, void (*forget)(void *arg), void *arg)
{
    fiber *f = worker_self.fiber;
    invariant(f != NULL);
    const error_kind *fuse = fiber_fuse(f);
    if (fuse) {
        if (forget)
            forget(arg);
        return error_set(fuse, "before waiting for %s", what);
    }
    f->forget = forget;
    f->forget_arg = arg;
    return park(f, what);
}

error fiber_park_shielded(const char *what)
{
    fiber *f = worker_self.fiber;
    invariant(f != NULL);
    const uint64_t outer_deadline_ms = f->shield_deadline_ms;
    f->shielded++;
    f->shield_deadline_ms = UINT64_MAX;
    const error e = park(f, what);
    f->shield_deadline_ms = outer_deadline_ms;
    f->shielded--;
    return e;
}

void fiber_wake(fiber *f, error result)
{
    invariant(f->state == FIBER_PARKED);
    timer_wheel_cancel(&f->loop->timers, &f->deadline);
    f->wake_result = result;
    make_ready(f);
}

error fiber_error_set_at(fiber *f, const error_kind *kind, const char *file, int line,
                         const char *format, ...)
{
    char text[ERROR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof text, format, args) < 0)
        text[0] = '\0';
    va_end(args);
    fiber *running = worker_self.fiber;
    worker_self.fiber = f;
    const error e = error_set_at(kind, file, line, "%s", text);
    worker_self.fiber = running;
    return e;
}

static bool has_ended(const fiber *f)
{
    return f->state == FIBER_ENDED || f->state == FIBER_LOST;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as wait groups are nested */
void fiber_cancel(fiber *f, const error_kind *kind)
{
    if (f->canceled || has_ended(f))
        return;
    f->canceled = kind;
    if (f->group) {
        for (uint32_t i = 0; i < f->group->count; i++) {
            if (f->group->fibers[i])
                fiber_cancel(f->group->fibers[i], kind);
        }
    }
    if (f->state == FIBER_PARKED && !f->shielded)
        interrupt(f, kind);
}

typedef struct sleep_timer {
    timer timer;
    fiber *fiber;
} sleep_timer;

static void sleep_ended(timer *t)
{
    fiber_wake(CONTAINER_OF(t, sleep_timer, timer)->fiber, OK);
}

static void sleep_forgotten(void *arg)
{
    sleep_timer *s = arg;
    timer_wheel_cancel(&s->fiber->loop->timers, &s->timer);
}

error fiber_sleep(uint32_t ms)
{
    sleep_timer s = { .timer.fire = sleep_ended, .fiber = worker_self.fiber };
    invariant(s.fiber != NULL);
    loop_timer_arm(s.fiber->loop, &s.timer, ms);
    return fiber_park("sleep", sleep_forgotten, &s);
}

error fiber_yield(void)
{
    fiber *f = worker_self.fiber;
    invariant(f != NULL && f->no_yield == 0);
    const error_kind *fuse = fiber_fuse(f);
    if (fuse)
        return error_set(fuse, "at a yield");
    f->state = FIBER_READY;
    list_append(&f->loop->yielded, &f->node);
    switch_to_loop(f);
    return OK;
}

error fiber_join(fiber **handle)
{
    fiber *child = *handle;
    fiber *f = worker_self.fiber;
    invariant(f != NULL && child != f && child->joinable && !child->joiner);
    if (!has_ended(child)) {
        child->joiner = f;
        const error woken = fiber_park_shielded("join");
        invariant(error_is_ok(woken));
    }
    const error result = child->result;
    if (result.kind && child->errors) {
        error_slot_copy(error_slot_current(), child->errors);
        if (child->arena == &child->own_arena)
            error_slot_drop_arena(error_slot_current());
    }
    *handle = NULL;
    if (child->state == FIBER_LOST)
        return error_set(&FIBER_CRASHED, "fiber %s crashed", child->name);
    fiber_recycle(child);
    return result;
}

void fiber_no_yield_begin(void)
{
    invariant(worker_self.fiber != NULL);
    worker_self.fiber->no_yield++;
}

void fiber_no_yield_end(void)
{
    invariant(worker_self.fiber != NULL && worker_self.fiber->no_yield > 0);
    worker_self.fiber->no_yield--;
}
