/* The lines: who is given a connection at once, who waits, and how the wait ends: served, timed
 * out, dropped from an overloaded line, forgotten, hopeless. Every error says who has what the
 * fiber did not get. */
#include "line.h"

#include "budget.h"
#include "choice.h"
#include "holder.h"
#include "hooks.h"
#include "session.h"
#include "span.h"
#include "upkeep.h"

#include "core/clock.h"
#include "core/loop.h"

/* Who asks for a connection. */
typedef struct pg_asker {
    fiber *fiber;
    pg_lane lane;
    const char *at;
} pg_asker;

typedef struct pg_waiter {
    list_node node;
    pg_asker who;
    timer timer;
    pg_waiting_line *line;
    uint64_t since_us;
    pg_conn *conn;                  /* what it was given */
    char holders[PG_HOLDERS_BYTES]; /* who had them when a fuse ended the wait */
} pg_waiter;

static void watch(timer *t);

void pg_waiting_line_init(pg_waiting_line *line, pg_pool *pool, uint32_t target_ms,
                          uint32_t interval_ms)
{
    line->pool = pool;
    line->watch.fire = watch;
    list_init(&line->waiters);
    pg_codel_init(&line->codel, target_ms, interval_ms);
}

static pg_waiting_line *line_of(pg_pool *pool, pg_lane lane)
{
    return lane == PG_LANE_READ_ONLY ? &pool->read_only_line : &pool->line;
}

static pg_waiter *first_of(const pg_waiting_line *line)
{
    return list_is_empty(&line->waiters) ? NULL
                                         : CONTAINER_OF(line->waiters.head.next, pg_waiter, node);
}

static uint64_t wait_ms(const pg_waiter *w)
{
    return (clock_us() - w->since_us) / 1000;
}

uint64_t pg_waiting_line_longest_ms(const pg_waiting_line *line)
{
    const pg_waiter *first = first_of(line);
    return first ? wait_ms(first) : 0;
}

/* --- waiting ---------------------------------------------------------------------------------- */

/* `first`: in the line. */
static void arm_watch(pg_waiting_line *line, const pg_waiter *first)
{
    const uint64_t now_ms = clock_us() / 1000,
                   at_ms = pg_codel_next_ms(&line->codel, first->since_us / 1000);
    if (at_ms != PG_CODEL_EVER)
        loop_timer_arm(line->pool->loop, &line->watch,
                       at_ms > now_ms ? (uint32_t)(at_ms - now_ms) : 0);
}

static void begin_wait(pg_waiter *w)
{
    pg_waiting_line *line = w->line;
    pg_pool *pool = line->pool;
    const bool is_first = list_is_empty(&line->waiters);
    list_append(&line->waiters, &w->node);
    pool->waiting++;
    pg_pool_count(pool, PG_METRIC_WAITING, 1);
    loop_timer_arm(pool->loop, &w->timer, pool->acquire_timeout_ms);
    if (!is_first)
        return;
    (void)pg_codel_wait_max_ms(&line->codel, w->since_us / 1000, PG_CODEL_EVER);
    arm_watch(line, w);
}

static void end_wait(pg_waiter *w)
{
    pg_waiting_line *line = w->line;
    list_remove(&w->node);
    line->pool->waiting--;
    pg_pool_count(line->pool, PG_METRIC_WAITING, -1);
    loop_timer_cancel(line->pool->loop, &w->timer);
    if (list_is_empty(&line->waiters))
        loop_timer_cancel(line->pool->loop, &line->watch);
}

static void wait_timed_out(timer *t)
{
    pg_waiter *w = CONTAINER_OF(t, pg_waiter, timer);
    pg_pool *pool = w->line->pool;
    char holders[PG_HOLDERS_BYTES];
    end_wait(w);
    pool->line_counts.timed_out++;
    pg_pool_count(pool, PG_METRIC_ACQUIRE_TIMEOUTS, 1);
    pg_holders_describe(pool, holders);
    const bool fails = pool->failures > 0;
    fiber_wake(w->who.fiber,
               fiber_error_set(w->who.fiber, &PG_POOL_TIMED_OUT, "none came free in %u ms: %s%s%s",
                               pool->acquire_timeout_ms, holders,
                               fails ? "; connecting failed: " : "",
                               fails ? pool->last_error : ""));
    pg_pool_serve(pool); /* it may have been the only one who could not be served */
}

static void wait_forgotten(void *arg)
{
    pg_waiter *w = arg;
    end_wait(w);
    pg_holders_describe(w->line->pool, w->holders);
    pg_pool_serve(w->line->pool);
}

static void drop(pg_waiter *w)
{
    pg_pool *pool = w->line->pool;
    const pg_codel *codel = &w->line->codel;
    const uint64_t waited_ms = wait_ms(w);
    char holders[PG_HOLDERS_BYTES];
    end_wait(w);
    pool->line_counts.shed++;
    pg_pool_count(pool, PG_METRIC_ACQUIRE_SHED, 1);
    pg_holders_describe(pool, holders);
    fiber_wake(w->who.fiber,
               fiber_error_set(w->who.fiber, &PG_POOL_OVERLOADED,
                               "dropped after %llu ms, nobody waited less than %u: %s",
                               (unsigned long long)waited_ms, codel->target_ms, holders));
}

/* Drops those who have waited too long in an overloaded line. While there is no connection nobody
 * waits for others' sake. */
static void watch(timer *t)
{
    pg_waiting_line *line = CONTAINER_OF(t, pg_waiting_line, watch);
    pg_pool *pool = line->pool;
    pg_waiter *w = first_of(line);
    invariant(w != NULL);
    if (pool->open == 0)
        pg_codel_served_at_once(&line->codel);
    const uint64_t max_ms = pg_codel_wait_max_ms(&line->codel, clock_us() / 1000, wait_ms(w));
    for (; w && wait_ms(w) > max_ms; w = first_of(line))
        drop(w);
    pg_pool_serve(pool); /* those who could not be served may have been the only ones */
    w = first_of(line);
    if (w)
        arm_watch(line, w);
}

/* --- serving ---------------------------------------------------------------------------------- */

static pg_conn *give(pg_conn *c, const pg_asker *to, uint64_t wait_us)
{
    pg_pool *pool = c->pool;
    if (c->load++ == 0)
        pg_pool_count(pool, PG_METRIC_CONNECTIONS_IDLE, -1);
    if (to->lane == PG_LANE_LEASED) {
        c->lessee = to->fiber;
        c->leased_at = to->at;
        c->leased_since_us = loop_now_us(pool->loop);
        pool->leased++;
        pg_pool_count(pool, PG_METRIC_TRANSACTIONS, 1);
    }
    c->given = true;
    pool->line_counts.acquired++;
    metrics_record_us(pool->metrics, PG_METRIC_ACQUIRE_WAIT, wait_us);
    return pg_conn_keep(c);
}

/* Why nobody can be served now or soon; NULL when they can. */
static const error_kind *hopeless(const pg_pool *pool, const char **text)
{
    *text = pool->closed ? "the pool was closed" : pool->last_error;
    if (pool->closed)
        return &PG_POOL_CLOSED;
    return pool->open == 0 && pool->failures > 0 ? &PG_CONNECT_FAILED : NULL;
}

static void serve_line(pg_waiting_line *line)
{
    pg_pool *pool = line->pool;
    for (pg_waiter *w; (w = first_of(line));) {
        const char *text;
        const error_kind *why = hopeless(pool, &text);
        pg_conn *c = why ? NULL : pg_choose(pool, w->who.lane);
        if (!why && !c)
            return;
        if (UNLIKELY(w !=
                     first_of(line))) /* a hook refused one, which ended, and all were served */
            continue;
        const uint64_t now_us = clock_us(), wait_us = now_us - w->since_us;
        end_wait(w);
        if (c) {
            pg_codel_served(&line->codel, now_us / 1000, wait_us / 1000);
            w->conn = give(c, &w->who, wait_us);
        }
        fiber_wake(w->who.fiber, why ? fiber_error_set(w->who.fiber, why, "%s", text) : OK);
    }
}

void pg_pool_serve(pg_pool *pool)
{
    serve_line(&pool->line);
    serve_line(&pool->read_only_line);
}

/* --- asking ----------------------------------------------------------------------------------- */

/* Whether no other connection can be opened for it, be it for the pool's own limit or because the
 * pool has all that all workers together may have. */
static bool is_all(const pg_pool *pool, pg_lane lane, bool *own_limit)
{
    *own_limit = lane != PG_LANE_READ_ONLY && pg_pool_is_enough(pool, false);
    return pool->opening == 0 && (*own_limit || pg_budget_is_all_of(pool));
}

/* The connection by which the fiber is one of those that have everything, and would wait for what
 * they give back while they wait for it; NULL: there is none, or others may come free. */
static const pg_conn *waits_for_own(const pg_pool *pool, const pg_asker *who)
{
    const pg_conn *own = NULL;
    bool own_limit;
    if (!is_all(pool, who->lane, &own_limit))
        return NULL;
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        const bool counts = c->state == PG_CONN_READY && !c->read_only;
        if (counts ? !c->lessee : !own_limit) /* the others make room for one, below the limit */
            return NULL;
        if (counts && c->lessee == who->fiber)
            own = c;
    }
    return own;
}

/* Why the running fiber is not to wait, or OK. */
static error refuse(pg_pool *pool, const pg_asker *who)
{
    char holders[PG_HOLDERS_BYTES];
    const pg_conn *own = waits_for_own(pool, who);
    if (LIKELY(!own && pool->waiting < pool->waiting_max))
        return OK;
    pg_holders_describe(pool, holders);
    if (own)
        return error_set(&PG_NESTED_ACQUIRE,
                         "this fiber has a connection (%s), and would wait for itself (%s): %s",
                         own->leased_at ? own->leased_at : "?", who->at ? who->at : "?", holders);
    pool->line_counts.refused++;
    pg_pool_count(pool, PG_METRIC_ACQUIRE_REFUSED, 1);
    return error_set(&PG_POOL_FULL, "too many wait already: %s", holders);
}

static error acquire(pg_pool *pool, const pg_asker *who, pg_conn **out)
{
    const char *text;
    const error_kind *why = hopeless(pool, &text);
    if (why)
        return error_set(why, "%s", text);
    pg_waiting_line *line = line_of(pool, who->lane);
    pg_conn *c = list_is_empty(&line->waiters) ? pg_choose(pool, who->lane) : NULL;
    if (c) {
        pg_codel_served_at_once(&line->codel);
        *out = give(c, who, 0);
        return OK;
    }
    TRY(refuse(pool, who));
    pg_waiter w = {
        .who = *who, .timer.fire = wait_timed_out, .line = line, .since_us = clock_us()
    };
    begin_wait(&w);
    const error e = fiber_park("pg connection", wait_forgotten, &w);
    if (error_is(e, &TIMED_OUT)) /* the fiber's own deadline */
        return error_set(&TIMED_OUT, "while it waited for a connection: %s", w.holders);
    TRY(e);
    *out = w.conn;
    return OK;
}

error pg_pool_acquire(pg_pool *pool, pg_lane lane, const char *at, pg_conn **out)
{
    const pg_asker who = { fiber_self(), lane, at };
    if (LIKELY(!pool->trace))
        return acquire(pool, &who, out);
    pg_span span = { 0 };
    pg_pool *kept = pg_pool_ref(pool); /* it may be closed meanwhile */
    const uint64_t began_us = loop_now_us(pool->loop);
    pg_span_start(pool, &pool->trace->acquire, &span);
    const error e = acquire(pool, &who, out);
    pg_span_end(pool, &pool->trace->acquire, &span, e.kind ? NULL : *out, began_us, e);
    pg_pool_unref(&kept);
    return e;
}

void pg_pool_release(pg_conn **owner, bool leased)
{
    pg_conn *c = *owner;
    pg_pool *pool = c->pool;
    if (UNLIKELY(pool->trace)) {
        pg_span span = { .arg = pool->trace->arg };
        pg_span_end(pool, &pool->trace->release, &span, c, loop_now_us(pool->loop), OK);
    }
    pool->line_counts.released++;
    if (--c->load == 0 && c->state == PG_CONN_READY)
        pg_pool_count(pool, PG_METRIC_CONNECTIONS_IDLE, 1);
    if (UNLIKELY(pool->hooks) && !c->retiring && !pg_hooks_after_release(c)) {
        c->retiring = true;
        c->retires_why = "after_release refused it";
    }
    if (leased) {
        c->lessee = NULL;
        c->declared_read_only = false;
        pg_session_reset(c);
        pool->leased--;
        pg_pool_count(pool, PG_METRIC_TRANSACTIONS, -1);
        metrics_record_us(pool->metrics, PG_METRIC_LEASE_DURATION,
                          loop_now_us(pool->loop) - c->leased_since_us);
    }
    pg_upkeep_unused(c);
    pg_pool_serve(pool);
    pg_conn_release(owner);
}
