/* The wheel. Level k has slots of 64^k ticks; a timer stands on the lowest level whose horizon
 * reaches its expiry, so a slot of level 0 holds timers of exactly one tick. When the clock enters
 * a new slot of level k, the timers in it move down (cascade).
 *
 * Bitmaps say which slots may hold timers: advancing over a quiet hour costs a few steps, not
 * 3.6 million.
 *
 * Invariant: a timer in the wheel has expires_ms > now_ms, and its slot's bit is set. */
#include "core/timer.h"

#include <assert.h>

#define SLOT_BITS 6
#define SLOT_MASK (TIMER_SLOTS - 1)

static_assert(1 << SLOT_BITS == TIMER_SLOTS, "a slot index is SLOT_BITS wide");

void timer_wheel_init(timer_wheel *w, uint64_t now_ms)
{
    w->now_ms = now_ms;
    w->armed = 0;
    for (uint32_t level = 0; level < TIMER_LEVELS; level++) {
        w->occupied[level] = 0;
        for (uint32_t slot = 0; slot < TIMER_SLOTS; slot++)
            list_init(&w->slots[level][slot]);
    }
}

static uint32_t slot_of(uint64_t ms, uint32_t level)
{
    return (uint32_t)(ms >> (SLOT_BITS * level)) & SLOT_MASK;
}

/* The lowest level on which `ms` and now lie in the same turn of the wheel. */
static uint32_t level_of(const timer_wheel *w, uint64_t ms)
{
    const uint64_t differs = ms ^ w->now_ms;
    uint32_t level = 0;
    while (level + 1 < TIMER_LEVELS && differs >> (SLOT_BITS * (level + 1)))
        level++;
    return level;
}

static void place(timer_wheel *w, timer *t)
{
    const uint32_t level = level_of(w, t->expires_ms);
    uint64_t at = t->expires_ms;
    if (level == TIMER_LEVELS - 1) {
        /* A slot of the top level comes round again: what is further off waits in the last one that
         * is still ahead, and is placed again from there. */
        const uint64_t last = w->now_ms + (((uint64_t)TIMER_SLOTS - 1) << (SLOT_BITS * level));
        at = at < last ? at : last;
    }
    const uint32_t slot = slot_of(at, level);
    list_append(&w->slots[level][slot], &t->node);
    w->occupied[level] |= (uint64_t)1 << slot;
}

void timer_wheel_arm(timer_wheel *w, timer *t, uint64_t at_ms)
{
    invariant(t->fire != NULL);
    timer_wheel_cancel(w, t);
    t->expires_ms = at_ms > w->now_ms ? at_ms : w->now_ms + 1;
    place(w, t);
    w->armed++;
}

void timer_wheel_cancel(timer_wheel *w, timer *t)
{
    if (!timer_armed(t))
        return;
    list_remove(&t->node);
    w->armed--;
}

/* The first tick after now at which a slot that may hold timers begins; UINT64_MAX without one. */
uint64_t timer_wheel_next_ms(const timer_wheel *w)
{
    if (w->armed == 0)
        return UINT64_MAX;
    uint64_t next = UINT64_MAX;
    for (uint32_t level = 0; level < TIMER_LEVELS; level++) {
        if (w->occupied[level] == 0)
            continue;
        const uint32_t shift = SLOT_BITS * level;
        const uint32_t current = slot_of(w->now_ms, level);
        /* Rotated so that bit 0 is the slot after the present one. */
        const uint32_t by = (current + 1) & SLOT_MASK;
        const uint64_t ahead = by ? (w->occupied[level] >> by) | (w->occupied[level] << (64 - by))
                                  : w->occupied[level];
        const uint64_t distance = (uint64_t)__builtin_ctzll(ahead) + 1;
        const uint64_t begins = ((w->now_ms >> shift) + distance) << shift;
        if (begins < next)
            next = begins;
    }
    return next;
}

/* Moves the timers of the slot that begins now on `level` to where they belong. */
static void cascade(timer_wheel *w, uint32_t level)
{
    const uint32_t slot = slot_of(w->now_ms, level);
    list batch;
    list_init(&batch);
    list_append_all(&batch, &w->slots[level][slot]);
    w->occupied[level] &= ~((uint64_t)1 << slot);
    for (list_node *n; (n = list_take_first(&batch));)
        place(w, CONTAINER_OF(n, timer, node));
}

/* Enters tick `ms`: cascades from the top, then fires the level-0 slot. */
static void enter(timer_wheel *w, uint64_t ms)
{
    w->now_ms = ms;
    for (uint32_t level = TIMER_LEVELS - 1; level > 0; level--) {
        const uint64_t below = ((uint64_t)1 << (SLOT_BITS * level)) - 1;
        if ((ms & below) == 0)
            cascade(w, level);
    }
    const uint32_t slot = slot_of(ms, 0);
    list *due = &w->slots[0][slot];
    w->occupied[0] &= ~((uint64_t)1 << slot);
    /* Whatever `fire` arms lands in a later tick, so the list only shrinks. */
    for (list_node *n; (n = list_take_first(due));) {
        w->armed--;
        timer *t = CONTAINER_OF(n, timer, node);
        t->fire(t);
    }
}

void timer_wheel_advance(timer_wheel *w, uint64_t now_ms)
{
    while (w->now_ms < now_ms) {
        const uint64_t next = timer_wheel_next_ms(w);
        if (next > now_ms) {
            w->now_ms = now_ms;
            return;
        }
        enter(w, next);
    }
}
