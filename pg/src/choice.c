/* Which connection a fiber is given. A transaction gets one that nobody uses; a batch of reads the
 * first with room, past those where a slow one is in the way.
 *
 * A query shares one. While little is under way, it goes where most is, as long as that is soon
 * done: a server process that is awake answers for less than one that has to be woken, and the
 * others stay free for transactions. When there is more to do it goes where least is, so that all
 * work, and commits leave together. Never where a statement holds up what is behind it, if there is
 * another choice. Decision 0020 has the measurements. */
#include "choice.h"

#include "backlog.h"
#include "health.h"
#include "hooks.h"

#define PACKED_MAX 8    /* queries under way in the pool, up to which they share a connection */
#define PACKED_US  300  /* of work, past which a connection gets no more of these */
#define HELD_UP_US 2000 /* past which one is avoided */

#define READS_HELD_UP_US 5000 /* of one read, past which others go around it */

/* Not where a statement still runs for somebody who has stopped waiting: it may be one that hangs,
 * and a cancel may be on its way. */
static bool takes_more(const pg_conn *c, uint32_t below)
{
    return c->state == PG_CONN_READY && !c->retiring && c->health == PG_HEALTH_GOOD &&
           !c->resetting && !c->lessee && c->abandoned == 0 && !c->cancel.stream &&
           c->load < below && !pg_room_is_full(&c->room);
}

/* Fibers that may share a connection. */
static uint32_t load_max(const pg_pool *pool)
{
    return pool->pipeline_max > 0 && pool->pipeline_max < PG_LOAD_MAX ? pool->pipeline_max
                                                                      : PG_LOAD_MAX;
}

static pg_conn *find_unused(const pg_pool *pool)
{
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        if (!c->read_only && takes_more(c, 1))
            return c;
    }
    return NULL;
}

/* The first that nobody uses; asks for another when there is none. */
static pg_conn *unused(pg_pool *pool)
{
    pg_conn *c;
    do
        c = find_unused(pool);
    while (c && !pg_health_check(c));
    if (!c)
        pg_pool_open_another(pool, false);
    return c;
}

typedef struct candidate {
    pg_conn *conn; /* NULL: none */
    uint64_t backlog_us;
} candidate;

/* Whether `a` has less to do than `b`: among those held up, the one that is soonest free. */
static bool has_less(const candidate *a, const candidate *b)
{
    const bool a_held_up = a->backlog_us > HELD_UP_US, b_held_up = b->backlog_us > HELD_UP_US;
    if (a_held_up != b_held_up)
        return b_held_up;
    return a_held_up ? a->backlog_us < b->backlog_us : a->conn->load < b->conn->load;
}

/* Where a query would go now; NULL when no connection takes it. `*enough`: no other is wanted. */
static pg_conn *find_shared(const pg_pool *pool, bool *enough)
{
    const uint64_t now_us = loop_now_us(pool->loop);
    candidate least = { 0 };
    pg_conn *busiest = NULL;
    uint32_t load = 0;
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        if (c->read_only || !takes_more(c, load_max(pool)))
            continue;
        const candidate it = { c, pg_backlog_us(c, now_us) };
        if (!least.conn || has_less(&it, &least))
            least = it;
        if (it.backlog_us > HELD_UP_US)
            continue;
        load += c->load;
        if (it.backlog_us < PACKED_US && (!busiest || c->load > busiest->load))
            busiest = c;
    }
    const bool packs = busiest && load < PACKED_MAX;
    *enough = packs || (least.conn && least.conn->load == 0);
    return packs ? busiest : least.conn;
}

static pg_conn *shared(pg_pool *pool)
{
    pg_conn *c;
    bool enough;
    do
        c = find_shared(pool, &enough);
    while (c && c->load == 0 && !pg_health_check(c));
    if (!enough)
        pg_pool_open_another(pool, false);
    return c;
}

/* The first read-only connection with room that is not held up. When all are, another is opened and
 * waited for; when there may be no other, it is the one that is soonest free. */
static pg_conn *first_read_only(pg_pool *pool)
{
    const uint64_t now_us = loop_now_us(pool->loop);
    candidate least = { 0 };
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        if (!c->read_only || !takes_more(c, PG_LOAD_MAX))
            continue;
        const candidate it = { c, pg_backlog_oldest_us(c, now_us) };
        if (it.backlog_us > READS_HELD_UP_US) {
            if (!least.conn || has_less(&it, &least))
                least = it;
        } else if (c->load > 0 || pg_health_check(c)) {
            return c;
        }
    }
    pg_pool_open_another(pool, true);
    return pool->opening_read_only == 0 ? least.conn : NULL;
}

static pg_conn *choose(pg_pool *pool, pg_lane lane)
{
    switch (lane) {
    case PG_LANE_READ_ONLY:
        return first_read_only(pool);
    case PG_LANE_LEASED:
        return unused(pool);
    case PG_LANE_SHARED:
        break;
    }
    return shared(pool);
}

pg_conn *pg_choose(pg_pool *pool, pg_lane lane)
{
    pg_conn *c;
    do
        c = choose(pool, lane);
    while (c && UNLIKELY(pool->hooks) && !pg_hooks_before_acquire(c));
    return c;
}
