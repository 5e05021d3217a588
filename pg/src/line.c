/* The line: who is given a connection at once, who waits, first come first served, and how the wait
 * ends: served, timed out, forgotten, hopeless. */
#include "choice.h"

typedef struct pg_waiter {
    list_node node;
    fiber *fiber;
    timer timer;
    pg_pool *pool;
    pg_lane lane;
    pg_conn *conn; /* what it was given */
} pg_waiter;

static list *line_of(pg_pool *pool, pg_lane lane)
{
    return lane == PG_LANE_READ_ONLY ? &pool->read_only_waiters : &pool->waiters;
}

static pg_conn *give(pg_conn *c, pg_lane lane, fiber *to)
{
    c->load++;
    if (lane == PG_LANE_LEASED) {
        c->lessee = to;
        c->pool->leased++;
        pg_pool_count(c->pool, PG_METRIC_TRANSACTIONS, 1);
    }
    return pg_conn_keep(c);
}

static void end_wait(pg_waiter *w)
{
    list_remove(&w->node);
    w->pool->waiting--;
    pg_pool_count(w->pool, PG_METRIC_WAITING, -1);
    loop_timer_cancel(w->pool->loop, &w->timer);
}

static void wait_timed_out(timer *t)
{
    pg_waiter *w = CONTAINER_OF(t, pg_waiter, timer);
    pg_pool *pool = w->pool;
    end_wait(w);
    pg_pool_count(pool, PG_METRIC_ACQUIRE_TIMEOUTS, 1);
    fiber_wake(w->fiber,
               fiber_error_set(w->fiber, &PG_POOL_TIMED_OUT,
                               "no connection in %u ms: %u open, %u of them in transactions, %u "
                               "others waiting",
                               pool->acquire_timeout_ms, pool->open, pool->leased, pool->waiting));
    pg_pool_serve(pool); /* it may have been the only one who could not be served */
}

static void wait_forgotten(void *arg)
{
    pg_waiter *w = arg;
    end_wait(w);
    pg_pool_serve(w->pool);
}

/* Why nobody can be served now or soon; NULL when they can. */
static const error_kind *hopeless(const pg_pool *pool, const char **text)
{
    *text = pool->closed ? "the pool was closed" : pool->last_error;
    if (pool->closed)
        return &PG_POOL_CLOSED;
    return pool->open == 0 && pool->failures > 0 ? &PG_CONNECT_FAILED : NULL;
}

static void serve_line(pg_pool *pool, list *line)
{
    while (!list_is_empty(line)) {
        pg_waiter *w = CONTAINER_OF(line->head.next, pg_waiter, node);
        const char *text;
        const error_kind *why = hopeless(pool, &text);
        pg_conn *c = why ? NULL : pg_choose(pool, w->lane);
        if (!why && !c)
            return;
        end_wait(w);
        w->conn = c ? give(c, w->lane, w->fiber) : NULL;
        fiber_wake(w->fiber, why ? fiber_error_set(w->fiber, why, "%s", text) : OK);
    }
}

void pg_pool_serve(pg_pool *pool)
{
    serve_line(pool, &pool->waiters);
    serve_line(pool, &pool->read_only_waiters);
}

/* Whether the fiber is one of those that have everything, and would wait for what they give back
 * while they wait for it. */
static bool waits_for_itself(const pg_pool *pool, pg_lane lane, const fiber *f)
{
    bool holds_one = false;
    if (lane == PG_LANE_READ_ONLY || pool->opening > 0 || !pg_pool_is_enough(pool, false))
        return false;
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        if (c->state == PG_CONN_READY && !c->read_only && !c->lessee)
            return false;
        holds_one = holds_one || c->lessee == f;
    }
    return holds_one;
}

error pg_pool_acquire(pg_pool *pool, pg_lane lane, pg_conn **out)
{
    const char *text;
    const error_kind *why = hopeless(pool, &text);
    if (why)
        return error_set(why, "%s", text);
    list *line = line_of(pool, lane);
    pg_conn *c = list_is_empty(line) ? pg_choose(pool, lane) : NULL;
    if (c) {
        *out = give(c, lane, fiber_self());
        return OK;
    }
    if (waits_for_itself(pool, lane, fiber_self()))
        return error_set(&PG_NESTED_ACQUIRE,
                         "all %u connections are leased, one of them by this fiber, which would "
                         "wait for itself",
                         pool->leased);
    pg_waiter w = {
        .fiber = fiber_self(), .timer.fire = wait_timed_out, .pool = pool, .lane = lane
    };
    list_append(line, &w.node);
    pool->waiting++;
    pg_pool_count(pool, PG_METRIC_WAITING, 1);
    loop_timer_arm(pool->loop, &w.timer, pool->acquire_timeout_ms);
    TRY(fiber_park("pg connection", wait_forgotten, &w));
    *out = w.conn;
    return OK;
}

void pg_pool_release(pg_conn **owner, bool leased)
{
    pg_conn *c = *owner;
    pg_pool *pool = c->pool;
    c->load--;
    if (leased) {
        c->lessee = NULL;
        pool->leased--;
        pg_pool_count(pool, PG_METRIC_TRANSACTIONS, -1);
    }
    pg_pool_serve(pool);
    pg_conn_release(owner);
}
