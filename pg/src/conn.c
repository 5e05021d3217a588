/* A connection: its life, and the messages that go out and come in. What they mean is told in
 * connect.c while it is opened, then in answer.c. */
#include "conn.h"

#include "health.h"

#include "core/memory.h"

#include <string.h>

#define GOODBYE_MS                1000
#define OPENING_MESSAGE_BYTES_MAX 65536

pg_conn *pg_conn_new(pg_pool *pool)
{
    pg_conn *c = MEMORY_NEW(pg_conn);
    if (!c)
        return NULL;
    c->pool = pg_pool_ref(pool);
    c->state = PG_CONN_OPENING;
    c->references = 1;
    pg_requests_init(c);
    pg_reported_init(&c->reported);
    pg_statement_cache_init(&c->statements, true);
    pg_cancel_init(c);
    return c;
}

void pg_conn_release(pg_conn **owner)
{
    pg_conn *c = *owner;
    *owner = NULL;
    if (--c->references > 0)
        return;
    invariant(!c->stream && list_is_empty(&c->requests) && list_is_empty(&c->held) &&
              !list_linked(&c->node));
    if (list_linked(&c->dispatch.node))
        list_remove(&c->dispatch.node);
    pg_statement_cache_deinit(&c->statements);
    pg_reported_clear(&c->reported);
    memory_free((void *)(uintptr_t)c->setup.ptr);
    pg_pool_unref(&c->pool);
    memory_free(c);
}

void pg_conn_end(pg_conn *c, bool gracefully, const error_kind *kind, const char *text)
{
    if (c->state == PG_CONN_CLOSING)
        return;
    const bool was_ready = c->state == PG_CONN_READY;
    c->state = PG_CONN_CLOSING;
    pg_cancel_stop(c);
    if (c->reader) {
        fiber *reader = c->reader;
        c->reader = NULL;
        fiber_wake(reader, fiber_error_set(reader, kind, "%s", text));
    }
    pg_requests_lose(c, kind, text);
    if (c->stream && gracefully) {
        char bytes[PG_HEADER_BYTES];
        pg_writer w = { .at = bytes };
        pg_write_terminate(&w);
        stream_write(c->stream, (str){ bytes, w.bytes });
        stream_close(c->stream, GOODBYE_MS);
    } else if (c->stream) {
        stream_abort(c->stream);
    }
    pg_pool_conn_ended(c, was_ready, text);
}

void pg_conn_violation(pg_conn *c, const char *what)
{
    pg_conn_end(c, false, &PG_PROTOCOL_VIOLATION, what);
}

/* --- the stream ------------------------------------------------------------------------------- */

/* Only this stream failed: the opener may try another address. */
static void opening_failed(pg_conn *c, const char *text)
{
    fiber *reader = c->reader;
    c->reader = NULL;
    if (reader)
        fiber_wake(reader, fiber_error_set(reader, &PG_CONNECT_FAILED, "%s", text));
}

static void wake_reader(pg_conn *c)
{
    fiber *reader = c->reader;
    c->reader = NULL;
    stream_pause(c->stream); /* pg_conn_await resumes it, and what is left comes again */
    fiber_wake(reader, OK);
}

/* While opening: one message at a time, when the opener asks for one. Before the server has asked
 * for anything it has no reason for long ones. */
static size_t opening_data(pg_conn *c, str bytes)
{
    pg_message m;
    size_t len = 0;
    if (!c->reader) {
        stream_pause(c->stream);
        return 0;
    }
    if (bytes.len == 0)
        return 0;
    if (c->awaits_byte) {
        c->byte = bytes.ptr[0];
        wake_reader(c);
        return 1;
    }
    const pg_frame frame = pg_frame_read(bytes, OPENING_MESSAGE_BYTES_MAX, &m, &len);
    if (frame == PG_FRAME_PARTIAL)
        return 0;
    char *copy = frame == PG_FRAME_WHOLE
                     ? arena_try_alloc(fiber_arena_of(c->reader), m.body.len + 1, 1)
                     : NULL;
    if (!copy) {
        opening_failed(c, "this is no PostgreSQL server");
        return bytes.len;
    }
    memcpy(copy, m.body.ptr, m.body.len);
    c->message = (pg_message){ m.type, { copy, m.body.len } };
    wake_reader(c);
    return len;
}

/* A row that is longer than anything we keep: its request fails, its bytes are dropped. */
static bool skip_row(pg_conn *c, const pg_message *m, size_t len)
{
    if (m->type != PG_MSG_DATA_ROW || list_is_empty(&c->requests))
        return false;
    pg_conn_fail_oldest(c, &PG_MESSAGE_TOO_LARGE, "a row is longer than PG_MESSAGE_MAX");
    c->skip_bytes = len;
    return true;
}

static size_t ready_data(pg_conn *c, str bytes)
{
    size_t at = 0;
    while (c->state == PG_CONN_READY) {
        if (c->skip_bytes > 0) {
            const size_t skipped = c->skip_bytes < bytes.len - at ? c->skip_bytes : bytes.len - at;
            c->skip_bytes -= skipped;
            at += skipped;
        }
        pg_message m;
        size_t len;
        const str rest = { bytes.ptr + at, bytes.len - at };
        switch (pg_frame_read(rest, c->pool->message_bytes_max, &m, &len)) {
        case PG_FRAME_WHOLE:
            pg_conn_answer(c, &m);
            at += len;
            break;
        case PG_FRAME_TOO_LONG:
            if (!skip_row(c, &m, len))
                pg_conn_violation(c, "a message that is too long");
            break;
        case PG_FRAME_BAD:
            pg_conn_violation(c, "a message of an impossible length");
            break;
        case PG_FRAME_PARTIAL:
            return at;
        }
    }
    return bytes.len;
}

static size_t on_data(stream *s, str bytes)
{
    pg_conn *c = stream_owner(s);
    size_t used = bytes.len;
    if (bytes.len > c->unused_bytes)
        pg_pool_count(c->pool, PG_METRIC_BYTES_RECEIVED, (int64_t)(bytes.len - c->unused_bytes));
    if (c->state == PG_CONN_OPENING)
        used = opening_data(c, bytes);
    else if (c->state == PG_CONN_READY)
        used = ready_data(c, bytes);
    c->unused_bytes = bytes.len - used;
    if (!stream_at_end(s)) {
        if (c->state == PG_CONN_READY)
            pg_health_heard(c);
        return used;
    }
    c->all_read = used == bytes.len;
    if (c->state == PG_CONN_READY)
        pg_conn_end(c, false, &PG_CONNECTION_LOST,
                    c->why[0] ? c->why : "the server closed the connection");
    else if (c->state == PG_CONN_OPENING && c->reader && used == 0)
        opening_failed(c, "the server closed the connection");
    return used;
}

static void on_opened(stream *s)
{
    pg_conn *c = stream_owner(s);
    if (!c->reader)
        return;
    fiber *reader = c->reader;
    c->reader = NULL;
    fiber_wake(reader, OK);
}

static void on_closed(stream *s, error why)
{
    pg_conn *c = stream_owner(s);
    char text[256] = "the connection closed";
    if (why.kind)
        error_describe(why, text, sizeof text);
    c->stream = NULL;
    if (c->state == PG_CONN_OPENING && c->dropping && c->reader) {
        fiber *reader = c->reader;
        c->reader = NULL;
        fiber_wake(reader, OK); /* why it was dropped stays the opener's last error */
        return;
    }
    if (c->state == PG_CONN_OPENING) {
        opening_failed(c, text);
        return;
    }
    pg_conn_end(c, false, &PG_CONNECTION_LOST, c->why[0] ? c->why : text);
    pg_pool_conn_closed(c);
}

static void on_drained(stream *s)
{
    const pg_request *r = pg_request_oldest(stream_owner(s));
    if (r && r->sink && r->sink->drained)
        r->sink->drained(r->sink_arg);
}

const stream_handler PG_CONN_STREAM = {
    .data = on_data,
    .opened = on_opened,
    .drained = on_drained,
    .closed = on_closed,
};

static void reader_forgotten(void *arg)
{
    pg_conn *c = arg;
    c->reader = NULL;
}

error pg_conn_await(pg_conn *c, const char *what)
{
    if (c->state != PG_CONN_OPENING)
        return error_set(&PG_POOL_CLOSED, "the pool was closed");
    invariant(!c->reader);
    if (!c->stream || c->all_read)
        return error_set(&PG_CONNECT_FAILED, "the server closed the connection");
    c->reader = fiber_self();
    stream_resume(c->stream);
    return fiber_park(what, reader_forgotten, c);
}

error pg_conn_await_byte(pg_conn *c, const char *what, char *out)
{
    c->awaits_byte = true;
    const error e = pg_conn_await(c, what);
    c->awaits_byte = false;
    *out = c->byte;
    return e;
}

error pg_conn_drop(pg_conn *c)
{
    if (c->state != PG_CONN_OPENING)
        return error_set(&PG_POOL_CLOSED, "the pool was closed");
    if (!c->stream)
        return OK;
    c->reader = fiber_self();
    c->dropping = true;
    stream_abort(c->stream);
    const error e = fiber_park("pg close", reader_forgotten, c);
    c->dropping = false;
    return e;
}

void pg_conn_restart(pg_conn *c)
{
    c->all_read = c->auth_begun = false;
    c->in_hot_standby = c->begins_read_only = PG_KNOWN_NOT;
    pg_reported_clear(&c->reported);
    c->cancel.process = c->cancel.key_bytes = 0;
    c->unused_bytes = 0;
}

void pg_conn_start(pg_conn *c)
{
    c->state = PG_CONN_READY;
    c->tx_status = 'I';
    c->login = (pg_login){ 0 }; /* a hook's, in the opener's arena */
    stream_resume(c->stream);
}

error pg_conn_write_sized(pg_conn *c, size_t bytes, pg_write_fn *write, const void *arg)
{
    if (!c->stream || c->state == PG_CONN_CLOSING)
        return error_set(&PG_CONNECTION_LOST, "%s", c->why[0] ? c->why : "the connection closed");
    const bool is_big = bytes > BLOCK_CAPACITY;
    block *big = is_big ? block_acquire(bytes) : NULL;
    if (is_big && !big)
        return error_set(&OUT_OF_MEMORY, "no memory to send %zu bytes", bytes);
    char *at = big ? big->data : stream_reserve(c->stream, bytes);
    if (!at) /* it has broken, or there was no memory: it is about to say so to all */
        return error_set(&PG_CONNECTION_LOST, "the connection is closing");
    pg_writer w = { .at = at };
    write(&w, arg);
    invariant(w.bytes == bytes);
    pg_pool_count(c->pool, PG_METRIC_BYTES_SENT, (int64_t)bytes);
    if (big)
        stream_write_block(c->stream, big, (str){ at, bytes });
    else
        stream_commit(c->stream, bytes);
    block_release(&big);
    return OK;
}

error pg_conn_write(pg_conn *c, pg_write_fn *write, const void *arg)
{
    pg_writer counted = { 0 };
    write(&counted, arg);
    return pg_conn_write_sized(c, counted.bytes, write, arg);
}
