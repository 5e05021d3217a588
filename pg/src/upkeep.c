/* A connection's age: one timer a connection, which is not touched when the connection is used: it
 * looks when it fires, and is armed again for what is left. */
#include "upkeep.h"

#include "chance.h"
#include "hub.h"

#include "core/log.h"

#define HEIR_MS      1000 /* before looking whether another has been opened in its place */
#define HEIR_MS_MAX  60000
#define AGE_MS_AHEAD 86400000 /* a timer's longest */

static bool is_unused(const pg_conn *c)
{
    return c->state == PG_CONN_READY && c->load == 0 && !c->cancel.stream &&
           list_is_empty(&c->requests) && list_is_empty(&c->held);
}

/* Those of the shared and leased lanes that take work. */
static uint32_t count_working(const pg_pool *pool)
{
    uint32_t count = 0;
    LIST_EACH (pg_conn, c, &pool->conns, node)
        count += c->state == PG_CONN_READY && !c->read_only && !pg_hub_has(c) && !c->retiring;
    return count;
}

static bool is_spare(const pg_conn *c)
{
    return c->read_only || count_working(c->pool) > c->pool->connections_min;
}

/* --- letting go ------------------------------------------------------------------------------- */

void pg_upkeep_unused(pg_conn *c)
{
    if (!is_unused(c))
        return;
    if (c->health == PG_HEALTH_GOOD) /* or it was only asked */
        c->idle_since_ms = loop_now_ms(c->pool->loop);
    if (!c->retiring)
        return;
    c->retired = true;
    log_debug("PostgreSQL connection closed", LOG_CSTR("why", c->retires_why));
    pg_conn_end(c, true, &PG_CONNECTION_LOST, c->retires_why);
}

void pg_upkeep_retire(pg_conn *c, const char *why)
{
    if (c->state != PG_CONN_READY || c->retiring)
        return;
    c->retiring = true;
    c->retires_why = why;
    pg_upkeep_unused(c);
}

bool pg_upkeep_lend_idle_of(pg_pool *pool, bool read_only, uint32_t idle_ms)
{
    const uint64_t now = loop_now_ms(pool->loop);
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        if (c->read_only == read_only && !c->retiring && is_unused(c) &&
            now - c->idle_since_ms >= idle_ms) {
            pg_upkeep_retire(c, "another worker needs it");
            return true;
        }
    }
    return false;
}

bool pg_upkeep_lend_idle(pg_pool *pool, uint32_t idle_ms)
{
    return pg_upkeep_lend_idle_of(pool, true, idle_ms) ||
           pg_upkeep_lend_idle_of(pool, false, idle_ms);
}

void pg_upkeep_lend_used(pg_pool *pool)
{
    pg_conn *best = NULL;
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        if (c->state != PG_CONN_READY || pg_hub_has(c))
            continue;
        if (c->retiring)
            return; /* one at a time */
        if (!c->lessee && (!best || c->load < best->load))
            best = c;
    }
    if (best)
        pg_upkeep_retire(best, "another worker needs it");
}

/* --- growing old ------------------------------------------------------------------------------ */

/* Whether it must stay until there is another in its place, which is asked for: one that works is
 * not given up when perhaps no other can be had. */
static bool awaits_heir(pg_conn *c)
{
    if (is_spare(c) || pg_pool_is_enough(c->pool, false))
        return false;
    pg_pool_open_another(c->pool, false);
    c->heir_ms = c->heir_ms == 0 ? HEIR_MS : c->heir_ms * 2;
    if (c->heir_ms > HEIR_MS_MAX)
        c->heir_ms = HEIR_MS_MAX;
    return true;
}

static void arm(pg_conn *c, uint64_t at_ms)
{
    const uint64_t now = loop_now_ms(c->pool->loop);
    const uint64_t left = at_ms > now ? at_ms - now : 1;
    loop_timer_arm(c->pool->loop, &c->age, left < AGE_MS_AHEAD ? (uint32_t)left : AGE_MS_AHEAD);
}

/* When to look again. */
static void arm_next(pg_conn *c, uint64_t now)
{
    uint64_t next = c->dies_at_ms;
    if (c->pool->idle_timeout_ms > 0) {
        uint64_t idle_at = (is_unused(c) ? c->idle_since_ms : now) + c->pool->idle_timeout_ms;
        if (idle_at <= now) /* it is kept all the same */
            idle_at = now + c->pool->idle_timeout_ms;
        next = next == 0 || idle_at < next ? idle_at : next;
    }
    if (next > 0)
        arm(c, next);
}

static void look(timer *t)
{
    pg_conn *c = CONTAINER_OF(t, pg_conn, age);
    const pg_pool *pool = c->pool;
    const uint64_t now = loop_now_ms(pool->loop);
    if (c->state != PG_CONN_READY || c->retiring || pg_hub_has(c))
        return;
    if (c->dies_at_ms > 0 && c->dies_at_ms <= now) {
        if (awaits_heir(c))
            arm(c, now + c->heir_ms);
        else
            pg_upkeep_retire(c, "it is old");
    } else if (pool->idle_timeout_ms > 0 && is_unused(c) &&
               c->idle_since_ms + pool->idle_timeout_ms <= now && is_spare(c)) {
        pg_upkeep_retire(c, "nobody uses it");
    } else {
        arm_next(c, now);
    }
}

/* Those that were opened together do not end together. */
static uint64_t end_of_life(const pg_pool *pool, uint64_t now)
{
    const uint32_t life = pool->lifetime_ms;
    return life > 0 ? now + life - pg_chance_below(life / 10 + 1) : 0;
}

void pg_upkeep_begin(pg_conn *c)
{
    const uint64_t now = loop_now_ms(c->pool->loop);
    c->age.fire = look;
    c->idle_since_ms = c->opened_at_ms = now;
    c->dies_at_ms = end_of_life(c->pool, now);
    arm_next(c, now);
}

void pg_upkeep_end(pg_conn *c)
{
    loop_timer_cancel(c->pool->loop, &c->age);
}

void pg_upkeep_fill(pg_pool *pool)
{
    if (count_working(pool) < pool->connections_min)
        pg_pool_open_another(pool, false);
}
