/* CoDel for a line of fibers: the shortest wait of each interval, and what follows from it. A line
 * that nobody looked at for an interval was empty, or its times are of the past: it is steady. When
 * nobody was served in an interval, the first in line has waited at least that long.
 *
 * Invariant: while the line is overloaded, nobody waits longer than twice the target. */
#include "codel.h"

#include "core/base.h"

void pg_codel_init(pg_codel *codel, uint32_t target_ms, uint32_t interval_ms)
{
    invariant(interval_ms > 0);
    *codel = (pg_codel){ .target_ms = target_ms,
                         .interval_ms = interval_ms,
                         .shortest_ms = PG_CODEL_EVER };
}

static void roll(pg_codel *codel, uint64_t now_ms, uint64_t oldest_ms)
{
    if (now_ms < codel->interval_end_ms)
        return;
    const bool is_current = now_ms - codel->interval_end_ms < codel->interval_ms;
    const uint64_t shortest_ms =
        codel->shortest_ms == PG_CODEL_EVER ? oldest_ms : codel->shortest_ms;
    codel->overloaded = codel->target_ms > 0 && is_current && shortest_ms != PG_CODEL_EVER &&
                        shortest_ms > codel->target_ms;
    codel->interval_end_ms = now_ms + codel->interval_ms;
    codel->shortest_ms = PG_CODEL_EVER;
}

void pg_codel_served(pg_codel *codel, uint64_t now_ms, uint64_t wait_ms)
{
    roll(codel, now_ms, wait_ms);
    if (wait_ms < codel->shortest_ms)
        codel->shortest_ms = wait_ms;
}

uint64_t pg_codel_wait_max_ms(pg_codel *codel, uint64_t now_ms, uint64_t oldest_ms)
{
    roll(codel, now_ms, oldest_ms);
    return codel->overloaded ? 2 * (uint64_t)codel->target_ms : PG_CODEL_EVER;
}

uint64_t pg_codel_next_ms(const pg_codel *codel, uint64_t since_ms)
{
    if (codel->target_ms == 0)
        return PG_CODEL_EVER;
    const uint64_t too_long_ms = since_ms + 2 * (uint64_t)codel->target_ms + 1;
    return codel->overloaded && too_long_ms < codel->interval_end_ms ? too_long_ms
                                                                     : codel->interval_end_ms;
}
