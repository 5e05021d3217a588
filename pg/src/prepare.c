/* What has to be known before a statement can run: the types of its columns, of which their formats
 * follow, and where statements are named, a name. Each costs a round trip, once.
 *
 *   PG_STATEMENTS_NAMED     Parse "s…", Describe, Sync: on each connection, which keeps it
 *   PG_STATEMENTS_UNNAMED   Parse "", Describe, Sync: on any connection, for all of the pool. What
 *                           servers are left with is replaced by the next Parse, so it may be
 *                           another server that runs the statement
 *   PG_STATEMENTS_OFF       the same, each time
 *
 * While one fiber asks, others that want the same statement wait, and look again.
 *
 * What is known goes out of date when tables change and when sessions are reset, by us or by
 * somebody else. The server says so before the statement has begun to run, or its portal's
 * description does. Then it is forgotten: a statement whose columns have changed by all connections
 * of the pool, all statements of a session that has lost one. Other processes find out themselves.
 */
#include "query.h"
#include "span.h"

#include "core/loop.h"

#define TRIES_MAX 4 /* of one statement, on a connection that forgets it while it is prepared */

typedef struct preparation {
    str name;
    str sql;
    pg_values values;
} preparation;

static void write_prepare(pg_writer *w, const void *arg)
{
    const preparation *p = arg;
    pg_write_parse(w, p->name, p->sql, p->values.items, p->values.count);
    pg_write_describe_statement(w, p->name);
    pg_write_sync(w);
}

static pg_statement_cache *cache_of(pg_conn *c)
{
    return pg_conn_is_named(c) ? &c->statements : &c->pool->descriptions;
}

/* A new one, kept for the caller. NULL without memory. */
static pg_statement *make(pg_conn *c, str sql, pg_values values)
{
    pg_statement_cache *cache = cache_of(c);
    const uint64_t now_ms = loop_now_ms(c->pool->loop);
    pg_statement *s;
    if (c->pool->statements == PG_STATEMENTS_OFF)
        return pg_statement_new(sql, values.items, values.count);
    while ((s = pg_statement_surplus(cache, now_ms)))
        pg_statement_close(cache, s);
    s = pg_statement_add(cache, sql, values.items, values.count, now_ms);
    return s ? pg_statement_keep(s) : NULL;
}

/* The server was not asked: whoever waits for the answer asks. */
static void give_up(pg_statement *s)
{
    pg_statement_evict(s);
    pg_statement_wake(s);
}

/* Has the server describe it. `s` is as it was, ready, or out of the cache. */
static error ask_about(pg_conn *c, pg_lane lane, pg_statement *s, pg_values values,
                       pg_result *result)
{
    const uint32_t mark = pg_rewording_mark(&c->pool->rewording, s->hash);
    const preparation p = { pg_statement_name(s), pg_reworded(s->sql, mark), values };
    if (!p.sql.ptr) {
        give_up(s);
        return error_set(&ARENA_FULL, "no room for a statement");
    }
    *result = (pg_result){ .arena = fiber_arena() };
    const pg_request request = { .kind = PG_REQUEST_PREPARE,
                                 .result = result,
                                 .statement = s,
                                 .leased = lane == PG_LANE_LEASED,
                                 .repeats = lane != PG_LANE_LEASED };
    pg_pool_count(c->pool, PG_METRIC_PARSES, 1);
    const error e = pg_conn_ask(c, write_prepare, &p, &request);
    if (!e.kind)
        return pg_result_error(result);
    if (!result->sent)
        give_up(s);
    result->report = STR_NONE; /* it came when the wait had ended */
    return e;
}

static error describe(pg_conn *c, pg_lane lane, pg_statement *s, pg_values values,
                      pg_result *result)
{
    const pg_pool *pool = c->pool;
    if (LIKELY(!pool->trace))
        return ask_about(c, lane, s, values, result);
    pg_span span = { .sql = s->sql, .statements = 1 };
    const uint64_t began_us = loop_now_us(pool->loop);
    pg_span_start(pool, &pool->trace->prepare, &span);
    const error e = ask_about(c, lane, s, values, result);
    pg_span_end(pool, &pool->trace->prepare, &span, c, began_us, e);
    return e;
}

/* Whether a statement that was refused may be prepared after all: its name was taken, by somebody
 * else who has prepared in the same session, and now it is free; or a pooler gave us what it had by
 * the same text, which is out of date, and will not give us that any more. */
static bool may_be_prepared(pg_conn *c, const pg_statement *s, str refusal)
{
    pg_report report;
    if (!refusal.ptr || !pg_report_read(refusal, &report) || !pg_prepared_is_stale(&report))
        return false;
    if (str_eq(report.sqlstate, STR("0A000")))
        pg_rewording_renew(&c->pool->rewording, s->hash);
    return true;
}

/* Makes one and has it described. In the cache then, or not any more; NULL when a cancel struck it
 * that was meant for another one. */
static error prepare(pg_conn *c, pg_lane lane, str sql, pg_values values, bool *again, str *refusal,
                     pg_statement **out)
{
    pg_result result = { 0 };
    pg_statement *s = make(c, sql, values);
    if (!s)
        return error_set(&OUT_OF_MEMORY, "no memory for a statement");
    const error e = describe(c, lane, s, values, &result);
    if (!e.kind) {
        *out = s;
        return OK;
    }
    *again = may_be_prepared(c, s, result.report);
    *refusal = result.report;
    pg_statement_release(&s);
    *out = NULL;
    return result.struck ? OK : e;
}

static void waiter_forgotten(void *arg)
{
    pg_statement_waiter *w = arg;
    list_remove(&w->node);
}

error pg_prepared(pg_conn *c, pg_lane lane, str sql, pg_values values, pg_statement **out)
{
    str refusal;
    return pg_prepared_or_refused(c, lane, sql, values, &refusal, out);
}

error pg_prepared_or_refused(pg_conn *c, pg_lane lane, str sql, pg_values values, str *refusal,
                             pg_statement **out)
{
    for (int tries = 0; tries < TRIES_MAX;) {
        bool again = false;
        *refusal = STR_NONE;
        pg_statement *s = pg_statement_find(cache_of(c), sql, values.items, values.count,
                                            loop_now_ms(c->pool->loop));
        if (s && s->ready) {
            *out = pg_statement_keep(s);
            return OK;
        }
        if (s) {
            pg_statement_waiter w = { .fiber = fiber_self() };
            list_append(&s->waiters, &w.node);
            TRY(fiber_park("pg prepare", waiter_forgotten, &w));
            continue;
        }
        const error e = prepare(c, lane, sql, values, &again, refusal, &s);
        if (e.kind && (!again || tries > 0 || c->tx_status != 'I'))
            return e;                                /* in a transaction: that has failed */
        if (s && (s->cache || s->name[0] == '\0')) { /* without a name it cannot be lost */
            *out = s;
            return OK;
        }
        pg_statement_release(&s);
        tries++;
    }
    return error_set(&PG_STATEMENT_STALE, "a statement was forgotten as often as it was prepared");
}

error pg_show_as(pg_statement *s, pg_rows_as as)
{
    return LIKELY(pg_statement_show_as(s, as))
               ? OK
               : error_set(&OUT_OF_MEMORY, "no memory for a statement");
}

/* --- out of date ------------------------------------------------------------------------------ */

void pg_prepared_forget(pg_pool *pool, pg_statement *s)
{
    if (!s || !s->cache) /* whoever took it out has done this: what stands there now is newer */
        return;
    pg_statement_keep(s);
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        pg_statement *twin = pg_statement_twin(&c->statements, s);
        if (twin && twin->ready)
            pg_statement_expire(&c->statements, twin);
    }
    if (pool->statements == PG_STATEMENTS_NAMED)
        pg_rewording_renew(&pool->rewording, s->hash);
    pg_statement_evict(s); /* of the pool's, where they have no names */
    pg_statement_release(&s);
}

bool pg_prepared_is_stale(const pg_report *report)
{
    return str_eq(report->sqlstate, STR("26000")) || str_eq(report->sqlstate, STR("42P05")) ||
           (str_eq(report->sqlstate, STR("0A000")) &&
            str_eq(report->routine, STR("RevalidateCachedQuery"))) ||
           (str_eq(report->sqlstate, STR("08P01")) &&
            str_eq(report->routine, STR("PortalSetResultFormat")));
}

bool pg_prepared_forget_stale(pg_conn *c, pg_statement *s, const pg_result *result)
{
    pg_report report;
    if (result->bound || !result->report.ptr || !pg_report_read(result->report, &report) ||
        !pg_prepared_is_stale(&report))
        return false;
    if (!str_eq(report.sqlstate, STR("26000")))
        pg_prepared_forget(c->pool, s);
    else if (!s || s->cache) /* otherwise somebody else has told, and prepared anew */
        pg_statement_expire_all(&c->statements);
    return true;
}
