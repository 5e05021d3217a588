/* A round of looks, and what follows from it. A connection is let go only when a better host was
 * seen in the same round: one that lags is better than none. */
#include "prober.h"

#include "budget.h"
#include "chance.h"
#include "hub.h"
#include "pool.h"
#include "startup.h"
#include "upkeep.h"

#include "core/log.h"

#define ROUNDS_KEPT 3 /* after which nothing is known any more of a host */

/* --- what is known ---------------------------------------------------------------------------- */

static bool is_of_the_kind_wanted(const pg_pool *pool, const pg_host_view *v)
{
    switch (pool->info.session_attrs) {
    case PG_SESSION_STANDBY:
    case PG_SESSION_PREFER_STANDBY:
        return v->standby;
    case PG_SESSION_PRIMARY:
    case PG_SESSION_READ_WRITE:
        return !v->standby;
    case PG_SESSION_ANY:
    case PG_SESSION_READ_ONLY:
        return true;
    }
    unreachable();
}

static bool is_known(const pg_pool *pool, const pg_host_view *v)
{
    const uint64_t age_ms = loop_now_ms(pool->loop) - v->at_ms;
    return v->at_ms > 0 && age_ms <= (uint64_t)ROUNDS_KEPT * pool->prober.interval_ms;
}

pg_host_class pg_prober_class_of(const pg_pool *pool, uint32_t host)
{
    const pg_host_view *v = &pool->prober.views[host];
    const uint32_t lag_ms_max = pool->prober.lag_ms_max;
    if (!is_known(pool, v))
        return PG_HOST_FIT;
    const bool wanted = is_of_the_kind_wanted(pool, v);
    if (!v->there || (!wanted && pool->info.session_attrs != PG_SESSION_PREFER_STANDBY))
        return PG_HOST_USELESS;
    if (v->standby && lag_ms_max > 0 && v->lag_ms > lag_ms_max)
        return PG_HOST_LAGS;
    return wanted ? PG_HOST_FIT : PG_HOST_OTHER;
}

/* By class, then by latency where that is asked for; of whose nothing is known come between. */
static uint64_t rank_of(const pg_pool *pool, uint32_t host)
{
    const pg_host_view *v = &pool->prober.views[host];
    const bool timed = pool->info.least_latency && is_known(pool, v) && v->there;
    return (uint64_t)pg_prober_class_of(pool, host) << 32 | (timed ? v->latency_us : 0);
}

void pg_prober_rank(const pg_pool *pool, uint32_t *order, uint32_t count)
{
    if (pool->prober.interval_ms == 0)
        return;
    for (uint32_t i = 1; i < count; i++) {
        const uint32_t host = order[i];
        const uint64_t rank = rank_of(pool, host);
        uint32_t k = i;
        for (; k > 0 && rank_of(pool, order[k - 1]) > rank; k--)
            order[k] = order[k - 1];
        order[k] = host;
    }
}

/* --- what follows ----------------------------------------------------------------------------- */

/* The best that was seen; those of which nothing is known do not count. */
static pg_host_class best_class(const pg_pool *pool)
{
    pg_host_class best = PG_HOST_USELESS;
    for (uint32_t i = 0; i < pool->info.host_count; i++) {
        const pg_host_class class = pg_prober_class_of(pool, i);
        if (is_known(pool, &pool->prober.views[i]) && class < best)
            best = class;
    }
    return best;
}

static void judge(pg_pool *pool)
{
    const pg_host_class best = best_class(pool);
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        if (c->state != PG_CONN_READY || pg_hub_has(c))
            continue;
        const pg_host_class class =
            pg_prober_class_of(pool, (uint32_t)(c->host - pool->info.hosts));
        if (class > best && class != PG_HOST_USELESS) /* those end by themselves */
            pg_upkeep_retire(c, "another host is better");
    }
}

/* --- looking ---------------------------------------------------------------------------------- */

static void note(pg_pool *pool, uint32_t host, const pg_host_view *seen)
{
    pg_host_view *v = &pool->prober.views[host];
    const pg_host_class before = pg_prober_class_of(pool, host);
    const uint32_t was_us = v->there ? v->latency_us : 0;
    *v = *seen;
    v->at_ms = loop_now_ms(pool->loop);
    if (was_us > 0)
        v->latency_us = (uint32_t)((was_us * 3ULL + seen->latency_us) / 4);
    if (pg_prober_class_of(pool, host) != before)
        log_info("a PostgreSQL host has changed",
                 LOG_STR("host", pg_host_text(&pool->info.hosts[host])),
                 LOG_BOOL("there", v->there), LOG_BOOL("standby", v->standby),
                 LOG_UINT("lag_ms", v->lag_ms));
}

static void look_next(pg_pool *pool);

static error look(void *arg)
{
    return pg_conn_look(arg);
}

static void looked(fiber *f, error result, void *arg)
{
    (void)f;
    pg_conn *c = arg;
    pg_pool *pool = pg_pool_ref(c->pool);
    pg_host_view seen = c->view;
    seen.there = !result.kind;
    c->opener = NULL;
    if (!pool->closed)
        note(pool, pool->prober.next++, &seen);
    if (c->state != PG_CONN_OPENING && c->stream) /* made after the pool was closed */
        stream_abort(c->stream);
    pg_conn_end(c, true, &PG_CONNECTION_LOST, "it was looked at");
    if (!c->stream)
        pg_pool_conn_closed(c);
    if (!pool->closed)
        look_next(pool);
    pg_pool_unref(&pool);
}

/* At the next host; false: there is no room for that now. */
static bool begin_look(pg_pool *pool)
{
    if (!pg_budget_try(pool))
        return false;
    pg_conn *c = pg_conn_new(pool);
    const fiber_options options = { .name = "pg look", .ended = looked, .ended_arg = c };
    if (!c || fiber_start(pool->loop, &options, look, c, &c->opener).kind) {
        if (c)
            pg_conn_release(&c);
        pg_budget_give(pool);
        return false;
    }
    c->host = &pool->info.hosts[pool->prober.next];
    c->looks = true;
    list_append(&pool->conns, &c->node);
    return true;
}

static void look_next(pg_pool *pool)
{
    pg_prober *p = &pool->prober;
    if (p->next < pool->info.host_count && begin_look(pool))
        return;
    if (p->next == pool->info.host_count)
        judge(pool);
    p->next = 0;
    if (!pool->closed)
        loop_timer_arm(pool->loop, &p->timer,
                       p->interval_ms - pg_chance_below(p->interval_ms / 5 + 1));
}

static void look_again(timer *t)
{
    look_next(CONTAINER_OF(t, pg_pool, prober.timer));
}

/* --- life ------------------------------------------------------------------------------------- */

void pg_prober_begin(pg_pool *pool, uint32_t interval_ms, uint32_t lag_ms_max)
{
    const bool needed = pool->info.least_latency || lag_ms_max > 0 ||
                        pool->info.session_attrs == PG_SESSION_PREFER_STANDBY;
    pool->prober.timer.fire = look_again;
    if (!needed || pool->info.host_count < 2 || interval_ms == 0)
        return;
    pool->prober.interval_ms = interval_ms;
    pool->prober.lag_ms_max = lag_ms_max;
    loop_timer_arm(pool->loop, &pool->prober.timer, 1 + pg_chance_below(interval_ms / 10 + 1));
}

void pg_prober_stop(pg_pool *pool)
{
    loop_timer_cancel(pool->loop, &pool->prober.timer);
}
