/* Opening, one connection at a time. An attempt that fails is followed by a pause, which doubles
 * with every further one; what is asked for meanwhile is remembered by those who wait, and asked
 * for again when the pause is over. */
#include "opener.h"

#include "span.h"

#include "core/log.h"

#include <stdio.h>
#include <sys/random.h>

#define BACKOFF_FIRST_MS 100U
#define BACKOFF_MS_MAX   2000U

static void conn_failed(pg_pool *pool)
{
    uint32_t pause_ms = BACKOFF_MS_MAX, jitter = 0;
    if (pool->failures < 5)
        pause_ms = BACKOFF_FIRST_MS << pool->failures;
    pool->failures++;
    pool->away = pool->open == 0;
    pg_pool_count(pool, PG_METRIC_CONNECT_FAILURES, 1);
    if (getrandom(&jitter, sizeof jitter, GRND_NONBLOCK) != sizeof jitter)
        jitter = 0;
    if (!pool->closed)
        loop_timer_arm(pool->loop, &pool->retry, pause_ms / 2 + jitter % (pause_ms / 2 + 1));
}

static void retry(timer *t)
{
    pg_pool *pool = CONTAINER_OF(t, pg_pool, retry);
    if (pool->open == 0)
        pg_pool_open_another(pool, false);
    else
        pg_pool_serve(pool); /* who waits asks for what is missing */
}

static error open_conn(pg_conn *c)
{
    const pg_pool *pool = c->pool;
    if (LIKELY(!pool->trace))
        return pg_conn_open(c);
    pg_span span = { 0 };
    const uint64_t began_us = loop_now_us(pool->loop);
    pg_span_start(pool, &pool->trace->connect, &span);
    const error e = pg_conn_open(c);
    pg_span_end(pool, &pool->trace->connect, &span, c, began_us, e);
    return e;
}

static error open_on_fiber(void *arg)
{
    pg_conn *c = arg;
    const error e = open_conn(c);
    if (!e.kind || c->pool->closed)
        return e;
    const error_detail *detail = error_detail_of(e);
    (void)snprintf(c->pool->last_error, sizeof c->pool->last_error, "%.*s",
                   STR_ARG(detail ? detail->text : str_from_c(e.kind->name)));
    log_warn("cannot connect to PostgreSQL", LOG_ERR(e),
             LOG_UINT("attempt", c->pool->failures + 1));
    return e;
}

static void open_ended(fiber *f, error result, void *arg)
{
    (void)f;
    pg_conn *c = arg;
    pg_pool *pool = pg_pool_ref(c->pool);         /* the connection may hold the last reference */
    const bool lost = !result.kind && !c->stream; /* as soon as it was ready */
    c->opener = NULL;
    pool->opening--;
    if (lost)
        (void)snprintf(pool->last_error, sizeof pool->last_error,
                       "the server closed the connection");
    else if (error_is(result, &ARENA_FULL) || error_is(result, &OUT_OF_MEMORY)) /* ended at once */
        (void)snprintf(pool->last_error, sizeof pool->last_error, "%s", result.kind->name);
    if (result.kind || lost || c->state != PG_CONN_OPENING) {
        if (result.kind || lost)
            conn_failed(pool);
        pg_conn_end(c, false, &PG_CONNECT_FAILED, pool->last_error);
        if (c->stream)
            stream_abort(c->stream); /* also one made after the pool was closed */
        else
            pg_pool_conn_closed(c);
    } else {
        if (pool->away)
            log_info("connected to PostgreSQL", LOG_STR("host", pg_host_text(c->host)),
                     LOG_STR("database", pool->info.database));
        pool->away = false;
        pool->failures = 0;
        pool->open++;
        pool->open_read_only += c->read_only;
        pg_pool_count(pool, PG_METRIC_CONNECTIONS, 1);
        pg_conn_start(c);
    }
    pg_pool_serve(pool);
    pg_pool_unref(&pool);
}

bool pg_pool_is_enough(const pg_pool *pool, bool read_only)
{
    return read_only ? pool->open_read_only >= pool->read_only_max
                     : pool->open - pool->open_read_only - pool->listening >= pool->connections_max;
}

void pg_pool_open_another(pg_pool *pool, bool read_only)
{
    if (pool->closed || pool->opening > 0 || pg_pool_is_enough(pool, read_only) ||
        timer_armed(&pool->retry))
        return;
    pg_conn *c = pg_conn_new(pool);
    const fiber_options options = { .name = "pg connect", .ended = open_ended, .ended_arg = c };
    if (!c || fiber_start(pool->loop, &options, open_on_fiber, c, &c->opener).kind) {
        if (c)
            pg_conn_release(&c);
        (void)snprintf(pool->last_error, sizeof pool->last_error, "out of memory");
        conn_failed(pool);
        return;
    }
    c->read_only = read_only;
    list_append(&pool->conns, &c->node);
    pool->opening++;
}

void pg_opener_init(pg_pool *pool)
{
    pool->retry.fire = retry;
}

void pg_opener_stop(pg_pool *pool)
{
    loop_timer_cancel(pool->loop, &pool->retry);
}
