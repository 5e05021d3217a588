/* Stops statements that nobody waits for any more, so that those who time out at a locked table do
 * not take one connection of the pool after the other with them.
 *
 *   a request's fiber stops waiting --patience--> CancelRequest, on a stream of its own
 *   --the server ends it: the signal is sent--> once more, if the next request is such a one
 *
 * A cancel is aimed at a connection, not at a statement. So the pool gives a connection to nobody
 * while somebody's statement is left on it or a cancel is under way, and who has it already sends
 * nothing meanwhile (pg_room_await). A transaction sends nothing behind a statement that it gave
 * up, its rollback neither, until that is answered too.
 *
 * What was sent before the cancel, behind the statement that hangs, may be struck in its place,
 * should that have ended just then. Such a request is `exposed`, and runs again: the server has
 * undone it. Where somebody waits for one that could not be run again, no cancel is sent.
 *
 * Otherwise nothing is left that could strike: the server ends the stream when it has sent the
 * signal, and a process that has a signal to take takes it before it reads another byte of ours;
 * idle, it pays no heed to it. Decision 0032 has the whole of it.
 *
 * The request carries what proves that we may, so it goes to the same address and, where the
 * connection has TLS, over TLS, begun in the same way and held to the same certificate.
 *
 * Invariant: while a cancel is under way, nothing is sent for which somebody waits. */
#include "cancel.h"

#include "pool.h"

#include "core/tls.h"

#define PATIENCE_MS 100  /* for statements that are about to end anyway */
#define NEXT_MS     5    /* for the one behind a statement that was canceled */
#define AGAIN_MS    1000 /* for one that was canceled and goes on */
#define SECOND_MS   1000

#define SSL_REQUEST_BYTES 8
#define CANCEL_BYTES_MAX  (12 + PG_CANCEL_KEY_BYTES_MAX)

static void patience_ended(timer *t);

void pg_cancel_init(pg_conn *c)
{
    c->cancel.patience.fire = patience_ended;
}

static void wait_ms(pg_conn *c, uint32_t ms)
{
    if (c->state == PG_CONN_READY && c->abandoned > 0 && c->cancel.process != 0 &&
        !c->cancel.stream && !timer_armed(&c->cancel.patience))
        loop_timer_arm(c->pool->loop, &c->cancel.patience, ms);
}

bool pg_cancel_is_over(const pg_conn *c)
{
    return c->state != PG_CONN_READY || (c->abandoned == 0 && !c->cancel.stream);
}

void pg_cancel_consider(pg_conn *c)
{
    wait_ms(c, PATIENCE_MS);
}

/* What hung there hangs here too, more likely than not. */
void pg_cancel_go_on(pg_conn *c)
{
    if (c->cancel.target)
        loop_timer_cancel(c->pool->loop, &c->cancel.patience);
    wait_ms(c, c->cancel.target ? NEXT_MS : PATIENCE_MS);
    c->cancel.target = NULL;
}

/* --- the stream ------------------------------------------------------------------------------- */

static void send_request(pg_conn *c)
{
    char bytes[CANCEL_BYTES_MAX];
    LIST_EACH (pg_request, r, &c->requests, node)
        r->exposed = true;
    pg_writer w = { .at = bytes };
    pg_write_cancel(&w, c->cancel.process, (str){ c->cancel.key, c->cancel.key_bytes });
    c->cancel.sent = true;
    stream_write(c->cancel.stream, (str){ bytes, w.bytes });
}

static bool start_tls(const pg_conn *c)
{
    return !stream_start_tls_client(c->cancel.stream, c->pool->tls, c->host->name).kind;
}

/* Connected or, the second time, with TLS. */
static void on_opened(stream *s)
{
    pg_conn *c = stream_owner(s);
    char bytes[SSL_REQUEST_BYTES];
    pg_writer w = { .at = bytes };
    if (!c->cancel.tls || stream_is_tls(s)) {
        send_request(c);
        return;
    }
    pg_write_ssl_request(&w);
    stream_write(s, (str){ bytes, w.bytes });
}

/* The answer to the request for TLS: one byte. A server that has it for the one connection and not
 * for the other is not the one that we know. */
static size_t on_answer(const pg_conn *c, stream *s, str bytes)
{
    if (bytes.len == 0 || bytes.ptr[0] != 'S' || !start_tls(c))
        stream_abort(s);
    return bytes.len > 0 ? 1 : 0;
}

static size_t on_data(stream *s, str bytes)
{
    pg_conn *c = stream_owner(s);
    if (!c->cancel.sent)
        return on_answer(c, s, bytes);
    if (stream_at_end(s)) {
        c->cancel.taken = true;
        stream_abort(s);
    }
    return bytes.len;
}

/* What was sent and not seen to be taken could strike later, whoever has the connection then. */
static void on_closed(stream *s, error why)
{
    (void)why;
    pg_conn *c = stream_owner(s);
    pg_pool *pool = pg_pool_ref(c->pool);
    const pg_request *r = pg_request_oldest(c);
    c->cancel.stream = NULL;
    if (c->cancel.sent && !c->cancel.taken)
        pg_conn_end(c, false, &PG_CONNECTION_LOST, "a cancel request was not confirmed");
    wait_ms(c, r == c->cancel.target ? AGAIN_MS : NEXT_MS);
    loop_post(c->pool->loop, &c->dispatch);
    pg_pool_conn_closed(c);
    pg_conn_release(&c);
    pg_pool_serve(pool);
    pg_pool_unref(&pool);
}

static const stream_handler CANCEL_STREAM = {
    .data = on_data,
    .opened = on_opened,
    .timeout = stream_abort,
    .closed = on_closed,
};

static bool send_cancel(pg_conn *c)
{
    const stream_options options = { 0 };
    const address to = stream_peer(c->stream);
    if (to.len == 0 ||
        stream_connect(c->pool->loop, &to, &CANCEL_STREAM, &options, c, &c->cancel.stream).kind)
        return false;
    pg_conn_keep(c);
    c->pool->cancels.sent++;
    pg_pool_count(c->pool, PG_METRIC_CANCELS, 1);
    c->cancel.tls = c->stream && stream_is_tls(c->stream);
    if (c->cancel.tls && c->pool->info.ssl.direct && !start_tls(c))
        stream_abort(c->cancel.stream);
    stream_set_timeout(c->cancel.stream, c->pool->cancel_timeout_ms);
    c->cancel.sent = false;
    c->cancel.taken = false;
    c->cancel.target = pg_request_oldest(c);
    return true;
}

/* For each the server starts a process: a pool whose statements all hang is no reason to start
 * hundreds. Half of the pool a second is enough; but a connection may have many that hang, one
 * behind the other, and these take a cancel each. */
static bool may_send(pg_pool *pool)
{
    const uint64_t now_ms = loop_now_ms(pool->loop);
    const uint32_t half = pool->connections_max / 2;
    const uint32_t most = half > PG_LOAD_MAX ? half : PG_LOAD_MAX;
    if (now_ms - pool->cancels.since_ms >= SECOND_MS) {
        pool->cancels.since_ms = now_ms;
        pool->cancels.sent = 0;
    }
    if (pool->cancels.sent < most)
        return true;
    pg_pool_count(pool, PG_METRIC_CANCELS_LATER, 1);
    return false;
}

/* Whether nothing of it stays when it is struck: it runs nothing, cannot change anything, or is
 * undone. */
static bool is_undone(const pg_conn *c, const pg_request *r)
{
    return r->kind == PG_REQUEST_PREPARE || c->read_only || (r->statement && r->statement->dml);
}

/* Whether all who wait there would bear to be struck in its place. What transactions wait for is
 * never sent behind a statement that was given up. */
static bool may_strike(const pg_conn *c)
{
    LIST_EACH (pg_request, r, &c->requests, node) {
        if (r->fiber && !(r->repeats && is_undone(c, r)))
            return false;
    }
    return true;
}

static void patience_ended(timer *t)
{
    pg_conn *c = CONTAINER_OF(t, pg_conn, cancel.patience);
    const pg_request *r = pg_request_oldest(c);
    if (!r || r->fiber || !may_strike(c) || !may_send(c->pool) || !send_cancel(c))
        wait_ms(c, PATIENCE_MS);
}

/* --- the end ---------------------------------------------------------------------------------- */

void pg_cancel_stop(pg_conn *c)
{
    loop_timer_cancel(c->pool->loop, &c->cancel.patience);
}

void pg_cancel_abort(pg_conn *c)
{
    if (c->cancel.stream)
        stream_abort(c->cancel.stream);
}
