/* Rows as they come: one statement on a connection of its own, whose rows are collected on the loop
 * while the fiber uses those before them.
 *
 *   pg_stream_open -> OPEN --pg_stream_next…--> OPEN --the server has said all--> ENDED
 *                      |                                                           |
 *                      +--pg_stream_close, the scope's end--> given up             +--> closed
 *
 * There are two arenas: one that is filled, one whose rows are given out. When enough has come and
 * was not taken, the connection's socket is not read any more, and the kernel holds up the server.
 * On a pool no transaction is begun for it: its Sync ends what the statement did. What is given up
 * is dropped on the loop as any answer that nobody waits for, and canceled when it goes on. */
#include "pg/stream.h"

#include "query.h"
#include "taker.h"
#include "watch.h"

#include "core/loop.h"

#define KEPT_BYTES_HIGH ((size_t)256 << 10) /* not taken yet, past which the server waits */
#define ARENA_BYTES_MAX ((size_t)2 * PG_MESSAGE_BYTES_MAX) /* a row of any message fits */

struct pg_stream {
    pg_pool *pool;
    pg_conn *conn; /* leased, or the transaction's; NULL: none yet, or none any more */
    pg_tx *tx;     /* NULL: it is leased */
    pg_tx *own;    /* the same, begun for it; NULL: somebody else's */
    pg_call call;
    pg_taker taker;
    arena arenas[2]; /* one is the result's, to be filled, the other has what was given out */
    size_t kept_bytes;
    uint64_t began_us;
    const pg_tracer *tracer; /* NULL: nobody follows it, or it has ended */
    pg_span span;
    deferred *left;
};

/* --- on the loop ------------------------------------------------------------------------------ */

/* It is in the result, unless that has failed. */
static void on_row(void *arg, str body)
{
    pg_stream *s = CONTAINER_OF(arg, pg_stream, taker);
    const size_t cells_bytes = s->call.result.column_count * sizeof(str);
    s->kept_bytes += sizeof(pg_row_node) + cells_bytes + body.len;
    if (s->kept_bytes > KEPT_BYTES_HIGH)
        stream_pause(s->conn->stream);
    pg_taker_wake(arg);
}

static const pg_sink SINK = { .data = on_row, .ended = pg_taker_end };

/* --- waiting ---------------------------------------------------------------------------------- */

/* For more, or for the end. */
static error wait_for_server(pg_stream *s)
{
    stream_resume(s->conn->stream);
    return pg_taker_wait(&s->taker, "pg stream");
}

/* Why there is nothing more, or OK: that was all. */
static error end_error(const pg_stream *s)
{
    return pg_taker_error(&s->taker, &s->call.result);
}

static error wait_for_rows(pg_stream *s)
{
    const pg_result *result = &s->call.result;
    while (result->count == 0 && !s->taker.ended && !result->failure)
        TRY(wait_for_server(s));
    return OK;
}

/* What has come is not wanted; but for the server's report, which is among it. */
static void drop_rows(pg_stream *s)
{
    pg_result *result = &s->call.result;
    if (result->report.ptr)
        return;
    result->first = result->last = NULL;
    result->count = s->kept_bytes = 0;
    arena_reset(result->arena);
}

static error wait_for_end(pg_stream *s)
{
    while (!s->taker.ended) {
        drop_rows(s);
        TRY(wait_for_server(s));
    }
    return OK;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void end_span(pg_stream *s, error e)
{
    const pg_tracer *tracer = s->tracer;
    s->tracer = NULL;
    if (LIKELY(!tracer))
        return;
    s->span.rows = s->call.result.affected;
    s->span.bytes = s->call.result.bytes;
    pg_span_end(s->pool, tracer, &s->span, s->conn, s->began_us, e);
}

/* What the server still says is dropped, on the loop. The connection goes back to who had it. */
static void let_go(pg_stream *s)
{
    if (!s->taker.ended) {
        invariant(s->conn);
        pg_taker_leave(&s->taker, s->conn);
    }
    if (s->tx) {
        pg_tx_note(s->tx, &s->call.result);
        s->tx->streams = false;
        s->conn = NULL;
    } else if (s->conn) {
        pg_pool_release(&s->conn, true);
    }
    s->tx = NULL;
    pg_statement_release(&s->call.statement);
}

static void drop_memory(pg_stream *s)
{
    arena_deinit(&s->arenas[0]);
    arena_deinit(&s->arenas[1]);
}

static void stream_abandoned(void *arg)
{
    let_go(arg);
    drop_memory(arg);
}

static error stream_left(void *arg)
{
    end_span(arg, (error){ &CANCELED }); /* without a detail: the scope has its own error */
    stream_abandoned(arg);
    return OK;
}

static const cleanup STREAM_LEFT = { .run = stream_left,
                                     .abandon = stream_abandoned,
                                     .name = "pg stream" };

/* --- opening ---------------------------------------------------------------------------------- */

static void write_statement(pg_writer *w, const void *arg)
{
    const pg_call *call = arg;
    pg_write_call(w, STR(""), call->statement, call->rows_as, call->sql, call->values);
    pg_write_execute(w, STR(""), 0);
    pg_write_sync(w);
}

/* The statement leaves, and its first rows come. */
static error ask(pg_stream *s)
{
    pg_call *call = &s->call;
    pg_result *result = &call->result;
    const bool leased = s->tx != NULL; /* in no transaction it may not begin one */
    const bool parses = !pg_conn_is_named(s->conn);
    TRY(pg_prepared(s->conn, leased ? PG_LANE_LEASED : PG_LANE_SHARED, call->sql, call->values,
                    &call->statement));
    TRY(pg_show_as(call->statement, call->rows_as));
    if (parses)
        pg_pool_count(s->pool, PG_METRIC_PARSES, 1);
    const pg_request request = { .kind = PG_REQUEST_QUERY,
                                 .result = result,
                                 .statement = call->statement,
                                 .rows_as = call->rows_as,
                                 .leased = leased,
                                 .parses = parses,
                                 .describes = parses,
                                 .sink = &SINK };
    TRY(pg_taker_feed(&s->taker, s->conn, write_statement, call, &request));
    TRY(wait_for_rows(s));
    if (result->count == 0)
        return end_error(s);
    if (result->outdated && leased) {
        result->failure = &PG_STATEMENT_STALE;
        result->failure_text = "the types of a statement's columns have changed";
        return pg_result_error(result);
    }
    if (!result->redescribed)
        return OK;
    result->columns = pg_columns_copy(fiber_arena(), result->columns, result->column_count);
    return result->columns ? OK : error_set(&ARENA_FULL, "no room for a description");
}

static error take_connection(pg_stream *s, pg_target on)
{
    s->tx = on.tx;
    if (!on.tx && on.read_only) {
        TRY(pg_begin_on(on, NULL, &s->own));
        s->tx = s->own;
    }
    s->left = scope_defer(&STREAM_LEFT, s); /* before the rollback of its own transaction */
    if (!s->tx)
        return pg_pool_acquire(on.pool, PG_LANE_LEASED, on.at, &s->conn);
    s->conn = s->tx->conn;
    return pg_tx_enter(s->tx);
}

/* `stale`: it has not run, because what was known of it was out of date. */
static error open_once(pg_stream *s, pg_target on, bool *stale)
{
    s->call.result = (pg_result){ .arena = &s->arenas[0] };
    error e = take_connection(s, on);
    if (!e.kind)
        e = ask(s);
    if (!e.kind) {
        if (s->tx)
            s->tx->streams = true;
        return OK;
    }
    *stale = s->conn && pg_prepared_forget_stale(s->conn, s->call.statement, &s->call.result);
    if (s->left)
        let_go(s);
    scope_disarm(&s->left);
    const error undone = pg_rollback(&s->own);
    if (!*stale || !undone.kind)
        return e;
    *stale = false; /* the scope's end rolls it back: it has its connection until then */
    return undone;
}

static void start_span(pg_stream *s)
{
    const pg_call *call = &s->call;
    s->tracer = &s->pool->trace->query;
    s->span = (pg_span){ .name = call->name,
                         .sql = call->sql,
                         .values = call->values.items,
                         .value_count = call->values.count,
                         .statements = 1 };
    pg_span_start(s->pool, s->tracer, &s->span);
    s->span.values = NULL; /* gone when it ends */
    s->span.value_count = 0;
}

error pg_stream_open_values(pg_target on, pg_sql sql, pg_values values, pg_stream **out)
{
    *out = NULL;
    TRY(pg_check_call(on.pool, sql.text, values));
    if (on.tx)
        TRY(pg_tx_check(on.tx));
    pg_stream *s = ARENA_NEW(fiber_arena(), pg_stream);
    s->pool = on.pool;
    s->taker.ended = true;
    s->began_us = loop_now_us(loop_self());
    s->call = (pg_call){ sql.text, sql.name, sql.rows_as, values };
    arena_init(&s->arenas[0], ARENA_BYTES_MAX);
    arena_init(&s->arenas[1], ARENA_BYTES_MAX);
    if (UNLIKELY(s->pool->trace))
        start_span(s);
    bool stale = false, again = false;
    error e;
    do {
        again = stale;
        drop_memory(s);
        e = open_once(s, on, &stale);
    } while (e.kind && stale && !again && !on.tx);
    s->call.values = (pg_values){ 0 }; /* they live until it is open */
    if (!e.kind) {
        *out = s;
        return OK;
    }
    pg_watch_count(s->pool, &s->call, s->began_us, e);
    end_span(s, e);
    drop_memory(s);
    return e;
}

/* --- reading ---------------------------------------------------------------------------------- */

error pg_stream_next(pg_stream *s, pg_rows *rows)
{
    pg_result *result = &s->call.result;
    *rows = (pg_rows){ 0 };
    TRY(wait_for_rows(s));
    if (result->count == 0)
        return end_error(s);
    TRY(pg_result_rows(result, rows));
    arena *spare = result->arena == &s->arenas[0] ? &s->arenas[1] : &s->arenas[0];
    arena_reset(spare);
    result->arena = spare;
    result->first = result->last = NULL;
    result->count = s->kept_bytes = 0;
    if (!s->taker.ended)
        stream_resume(s->conn->stream);
    return OK;
}

/* Of its own transaction: nothing is left of it, whatever the server says. */
static error give_up(pg_stream *s)
{
    pg_tx *own = s->own;
    end_span(s, (error){ &CANCELED });
    scope_disarm(&s->left);
    stream_abandoned(s);
    return pg_rollback(&own);
}

error pg_stream_close(pg_stream **owner)
{
    pg_stream *s = *owner;
    *owner = NULL;
    if (!s)
        return OK;
    if (!s->taker.ended && (s->own || !s->tx))
        return give_up(s);
    TRY(wait_for_end(s));
    error e = end_error(s);
    pg_tx *own = s->own;
    pg_watch_count(s->pool, &s->call, s->began_us, e);
    end_span(s, e);
    scope_disarm(&s->left);
    stream_abandoned(s);
    if (!own)
        return e;
    if (!e.kind)
        return pg_commit(&own);
    const error undone = pg_rollback(&own);
    return e.kind ? e : undone;
}
