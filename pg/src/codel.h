/* When a line is too long: CoDel, "controlled delay" (RFC 8289), for fibers that wait instead of
 * packets.
 *
 * A line that empties again and again does its work, however long it is for a moment. One in which
 * even the luckiest waits longer than the target, for a whole interval, is a standing one: it makes
 * everybody late and serves nobody more. From then on those who have waited over twice the target
 * are dropped, until somebody is served within the target again.
 *
 *   STEADY --an interval, the shortest wait of which was over the target--> OVERLOADED
 *   OVERLOADED --an interval with a shorter one, or one in which nobody waited--> STEADY
 *
 * Arithmetic only: times are told by the caller, in ms of any clock that never goes back. */
#ifndef PG_SRC_CODEL_H
#define PG_SRC_CODEL_H

#include <stdbool.h>
#include <stdint.h>

#define PG_CODEL_EVER UINT64_MAX /* in place of a time that does not come */

typedef struct pg_codel {
    uint32_t target_ms; /* 0: nobody is ever dropped */
    uint32_t interval_ms;
    uint64_t interval_end_ms;
    uint64_t shortest_ms; /* wait of those served in this interval; PG_CODEL_EVER: none was */
    bool overloaded;
} pg_codel;

void pg_codel_init(pg_codel *codel, uint32_t target_ms, uint32_t interval_ms);
/* Somebody was served who had not to wait. */
static inline void pg_codel_served_at_once(pg_codel *codel)
{
    codel->shortest_ms = 0;
}
/* Somebody was served who had waited. */
void pg_codel_served(pg_codel *codel, uint64_t now_ms, uint64_t wait_ms);
/* How long one may wait; who has waited longer is to be dropped. `oldest_ms`: how long the first in
 * line has waited; PG_CODEL_EVER when nobody waits. */
uint64_t pg_codel_wait_max_ms(pg_codel *codel, uint64_t now_ms, uint64_t oldest_ms);
/* When to ask that again, if nothing else happens; `since_ms`: when the wait of the first in line
 * began. */
uint64_t pg_codel_next_ms(const pg_codel *codel, uint64_t since_ms);

#endif
