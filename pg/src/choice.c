/* Which connection a fiber is given: a shared one that has least to do, one that nobody uses for a
 * transaction, the first with room for a batch of reads. */
#include "choice.h"

#include "health.h"

/* Not where a statement still runs for somebody who has stopped waiting: it may be one that hangs,
 * and a cancel may be on its way. */
static bool takes_more(const pg_conn *c, uint32_t below)
{
    return c->state == PG_CONN_READY && !c->retiring && c->health == PG_HEALTH_GOOD && !c->lessee &&
           c->abandoned == 0 && !c->cancel.stream && c->load < below;
}

static pg_conn *find_least_busy(const pg_pool *pool, uint32_t below)
{
    pg_conn *best = NULL;
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        if (!c->read_only && takes_more(c, below) && (!best || c->load < best->load))
            best = c;
    }
    return best;
}

/* The connection that has least to do, for a lease one that has nothing; asks for another when even
 * that one has something. */
static pg_conn *least_busy(pg_pool *pool, bool leases)
{
    pg_conn *best;
    do
        best = find_least_busy(pool, leases ? 1 : PG_LOAD_MAX);
    while (best && best->load == 0 && !pg_health_check(best));
    if (!best || best->load > 0)
        pg_pool_open_another(pool, false);
    return best;
}

/* The first read-only connection with room; asks for another when there is none. */
static pg_conn *first_read_only(pg_pool *pool)
{
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        if (c->read_only && takes_more(c, PG_LOAD_MAX) && (c->load > 0 || pg_health_check(c)))
            return c;
    }
    pg_pool_open_another(pool, true);
    return NULL;
}

pg_conn *pg_choose(pg_pool *pool, pg_lane lane)
{
    return lane == PG_LANE_READ_ONLY ? first_read_only(pool)
                                     : least_busy(pool, lane == PG_LANE_LEASED);
}
