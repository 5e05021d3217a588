/* Opening connections.
 *
 *   STEADY:   as many at once as fibers wait, at most 1, after each that succeeds 2, then 4
 *      |  ^
 *      |  +-- an attempt succeeds
 *      v
 *   FAILING:  a pause by chance, up to 100 ms, 200 ms, … 2 s; then one attempt
 *
 * A server that comes back is not to be met by everybody at once. So the workers that are failing
 * take turns, by way of the ledger: their failures together make the pauses longer, a pause is one
 * for all of them, and one at a time tries. What is asked for meanwhile is remembered by those who
 * wait, and asked for again. */
#include "opener.h"

#include "budget.h"
#include "chance.h"
#include "span.h"
#include "upkeep.h"

#include "core/clock.h"
#include "core/log.h"

#include <stdio.h>

#define BACKOFF_FIRST_MS 100U
#define BACKOFF_MS_MAX   2000U
#define PAUSE_MS_MIN     10
#define TURN_MS          40 /* between looking whether it is one's turn, at most */
#define OPENING_MAX      4
#define BEGIN_EACH_MS    10 /* a worker, over which their first attempts are spread */
#define BEGIN_MS_MAX     1000

/* --- taking turns ----------------------------------------------------------------------------- */

/* Returns how long nobody is to try again, in ms. */
static uint64_t note_failure(pg_pool *pool)
{
    pool->failures++;
    ledger_set(pool->failing, ledger_own(pool->failing) + 1);
    uint64_t pause_ms = BACKOFF_MS_MAX;
    const uint64_t failed = ledger_sum(pool->failing);
    if (failed <= 5)
        pause_ms = BACKOFF_FIRST_MS << (failed - 1);
    pause_ms = PAUSE_MS_MIN + pg_chance_below((uint32_t)pause_ms);
    ledger_set(pool->not_before, clock_ms() + pause_ms);
    return pause_ms;
}

static void note_success(pg_pool *pool)
{
    ledger_set(pool->failing, ledger_own(pool->failing) - pool->failures);
    pool->failures = 0;
}

static void end_turn(pg_pool *pool)
{
    if (pool->probing)
        ledger_return(pool->probes);
    pool->probing = false;
}

static void look_again_in(pg_pool *pool, uint64_t ms)
{
    if (!pool->closed)
        loop_timer_arm(pool->loop, &pool->retry, (uint32_t)ms + 1 + pg_chance_below(TURN_MS));
}

/* Whether it may try; else it looks again later. */
static bool take_turn(pg_pool *pool)
{
    const uint64_t not_before = ledger_max(pool->not_before), now = clock_ms();
    if (not_before > now) {
        look_again_in(pool, not_before - now < BACKOFF_MS_MAX ? not_before - now : BACKOFF_MS_MAX);
        return false;
    }
    pool->probing = ledger_reserve(pool->probes, 1);
    if (!pool->probing)
        look_again_in(pool, 0);
    return pool->probing;
}

static void conn_failed(pg_pool *pool)
{
    pool->opening_max = 1;
    pool->away = pool->open == 0;
    pg_pool_count(pool, PG_METRIC_CONNECT_FAILURES, 1);
    if (timer_armed(&pool->retry)) /* one of several that were under way */
        return;
    const uint64_t pause_ms = note_failure(pool);
    end_turn(pool);
    look_again_in(pool, pause_ms);
}

void pg_opener_refused(pg_pool *pool, const char *why)
{
    (void)snprintf(pool->last_error, sizeof pool->last_error, "%s", why);
    conn_failed(pool);
}

void pg_opener_go_on(pg_pool *pool)
{
    if (pool->open == 0 && pool->failures > 0)
        pg_pool_open_another(pool, false);
    else
        pg_pool_serve(pool); /* who waits asks for what is missing */
}

static void retry(timer *t)
{
    pg_pool *pool = CONTAINER_OF(t, pg_pool, retry);
    pg_opener_go_on(pool);
    pg_upkeep_fill(pool);
}

/* --- one connection --------------------------------------------------------------------------- */

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

static void opened(pg_conn *c)
{
    pg_pool *pool = c->pool;
    if (pool->away)
        log_info("connected to PostgreSQL", LOG_STR("host", pg_host_text(c->host)),
                 LOG_STR("database", pool->info.database));
    pool->away = false;
    note_success(pool);
    end_turn(pool);
    pool->opening_max = pool->opening_max * 2 < OPENING_MAX ? pool->opening_max * 2 : OPENING_MAX;
    pool->open++;
    pool->open_read_only += c->read_only;
    pg_pool_count(pool, PG_METRIC_CONNECTIONS, 1);
    pg_pool_count(pool, PG_METRIC_CONNECTIONS_IDLE, 1);
    pg_upkeep_begin(c);
    pg_conn_start(c);
    pg_upkeep_fill(pool);
}

static void open_ended(fiber *f, error result, void *arg)
{
    (void)f;
    pg_conn *c = arg;
    pg_pool *pool = pg_pool_ref(c->pool);         /* the connection may hold the last reference */
    const bool lost = !result.kind && !c->stream; /* as soon as it was ready */
    c->opener = NULL;
    pool->opening--;
    pg_pool_count(pool, PG_METRIC_CONNECTIONS_OPENING, -1);
    pool->opening_read_only -= c->read_only;
    if (lost)
        (void)snprintf(pool->last_error, sizeof pool->last_error,
                       "the server closed the connection");
    else if (error_is(result, &ARENA_FULL) || error_is(result, &OUT_OF_MEMORY)) /* ended at once */
        (void)snprintf(pool->last_error, sizeof pool->last_error, "%s", result.kind->name);
    if (result.kind || lost || c->state != PG_CONN_OPENING) {
        if ((result.kind || lost) && !pool->closed)
            conn_failed(pool);
        pg_conn_end(c, false, &PG_CONNECT_FAILED, pool->last_error);
        if (c->stream)
            stream_abort(c->stream); /* also one made after the pool was closed */
        else
            pg_pool_conn_closed(c);
    } else {
        opened(c);
    }
    pg_pool_serve(pool);
    pg_pool_unref(&pool);
}

/* --- asking for one --------------------------------------------------------------------------- */

bool pg_pool_is_enough(const pg_pool *pool, bool read_only)
{
    if (read_only)
        return pool->open_read_only + pool->opening_read_only >= pool->read_only_max;
    return pool->open + pool->opening >=
           pool->open_read_only + pool->opening_read_only + pool->listening + pool->connections_max;
}

/* Not more at once than there are fibers to use them; idle ones that are about to answer count. */
static bool opens_enough(const pg_pool *pool, bool read_only)
{
    const uint32_t soon = pool->opening + pool->asked[read_only];
    return soon > 0 && (soon >= pool->opening_max || soon >= pool->waiting);
}

void pg_pool_open_another(pg_pool *pool, bool read_only)
{
    if (pool->closed || opens_enough(pool, read_only) || pg_pool_is_enough(pool, read_only) ||
        timer_armed(&pool->retry))
        return;
    if (pool->failures > 0 && !take_turn(pool))
        return;
    if (!pg_budget_take(pool)) {
        end_turn(pool);
        return;
    }
    pg_conn *c = pg_conn_new(pool);
    const fiber_options options = { .name = "pg connect", .ended = open_ended, .ended_arg = c };
    if (!c || fiber_start(pool->loop, &options, open_on_fiber, c, &c->opener).kind) {
        if (c)
            pg_conn_release(&c);
        pg_budget_give(pool);
        (void)snprintf(pool->last_error, sizeof pool->last_error, "out of memory");
        conn_failed(pool);
        return;
    }
    c->read_only = read_only;
    list_append(&pool->conns, &c->node);
    pool->opening++;
    pg_pool_count(pool, PG_METRIC_CONNECTIONS_OPENING, 1);
    pool->opening_read_only += read_only;
}

void pg_opener_lost_one(pg_pool *pool)
{
    pool->opening_max = 1;
    pool->away = pool->open == 0;
    if (pool->open == 0)
        pg_pool_open_another(pool, false);
}

/* --- life ------------------------------------------------------------------------------------- */

/* A wrong address or password is in the log from the start. */
static void begin(timer *t)
{
    pg_pool *pool = CONTAINER_OF(t, pg_pool, begin);
    if (pool->open + pool->opening == 0)
        pg_pool_open_another(pool, false);
}

void pg_opener_begin(pg_pool *pool)
{
    const uint32_t workers = ledger_columns();
    if (workers == 1) {
        begin(&pool->begin);
        return;
    }
    const uint32_t spread_ms =
        workers < BEGIN_MS_MAX / BEGIN_EACH_MS ? workers * BEGIN_EACH_MS : BEGIN_MS_MAX;
    loop_timer_arm(pool->loop, &pool->begin, 1 + pg_chance_below(spread_ms));
}

void pg_opener_init(pg_pool *pool)
{
    pool->begin.fire = begin;
    pool->retry.fire = retry;
    pool->opening_max = 1;
    pool->probes = ledger_line_of("pg.probe");
    pool->failing = ledger_line_of("pg.fails");
    pool->not_before = ledger_line_of("pg.after");
}

void pg_opener_stop(pg_pool *pool)
{
    loop_timer_cancel(pool->loop, &pool->begin);
    loop_timer_cancel(pool->loop, &pool->retry);
    note_success(pool); /* it does not count any more */
    end_turn(pool);
}
