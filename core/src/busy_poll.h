/* Whether a loop looks for what it awaits before it sleeps.
 *
 * To sleep, and to be woken, takes a machine about as long as a database beside us takes to answer:
 * who looks for as long as that, and no longer, pays twice at worst. Where looking is in vain it is
 * done ever more seldom: when the answer came later, because the database is far away or has much
 * to do, and when the core was lost between two looks, because another process wants it, the
 * database even.
 *
 * Invariant: of waits that are not worth looking through, one in REST_MAX is. */
#ifndef CORE_SRC_BUSY_POLL_H
#define CORE_SRC_BUSY_POLL_H

#include <stdbool.h>
#include <stdint.h>

#define BUSY_POLL_AWAITED_MAX 4 /* with more, those that come while we sleep are taken together */

typedef struct busy_poll {
    uint32_t awaited; /* answers that are likely to come soon */
    uint32_t pause;   /* waits to be slept through, each time it was in vain */
    uint32_t rest;    /* of them, still to come */
} busy_poll;

/* Whether the coming wait, in which the loop could sleep, is to be looked through; at most
 * LOOP_BUSY_POLL_US of it. */
static inline bool busy_poll_is_due(busy_poll *b)
{
    if (b->awaited == 0 || b->awaited > BUSY_POLL_AWAITED_MAX)
        return false;
    if (b->rest == 0)
        return true;
    b->rest--;
    return false;
}

/* It was. `found`: what ended it was seen; `lost_core`: but somebody else had the core. */
void busy_poll_ended(busy_poll *b, bool found, bool lost_core);

#endif
