/* A connection in use: writes requests, reads answers.
 *
 * Every answer belongs to the oldest request. Its messages are checked against what was asked: what
 * makes no sense ends the connection, because nobody could tell any more whose answer is whose. */
#include "conn.h"

#include "pool.h"

#include "core/log.h"
#include "core/memory.h"
#include "core/scope.h"

#include <string.h>

#define GOODBYE_MS 1000

pg_conn *pg_conn_new(pg_pool *pool)
{
    pg_conn *c = MEMORY_NEW(pg_conn);
    if (!c)
        return NULL;
    c->pool = pg_pool_ref(pool);
    c->state = PG_CONN_OPENING;
    c->references = 1;
    list_init(&c->requests);
    pg_statement_cache_init(&c->statements, (uint64_t)(uintptr_t)c);
    pg_cancel_init(c);
    return c;
}

void pg_conn_release(pg_conn **owner)
{
    pg_conn *c = *owner;
    *owner = NULL;
    if (--c->references > 0)
        return;
    invariant(!c->stream && list_is_empty(&c->requests) && !list_linked(&c->node));
    pg_statement_cache_deinit(&c->statements);
    pg_pool_unref(&c->pool);
    memory_free(c);
}

/* --- the end of a request --------------------------------------------------------------------- */

static void wake_preparing(pg_statement *s)
{
    LIST_EACH (pg_statement_waiter, w, &s->waiters, node) {
        list_remove(&w->node);
        fiber_wake(w->fiber, OK); /* it looks again */
    }
}

/* Unlinks a request and lets everybody who waits for it go on. `lost`: the answer never came. */
static void request_end(pg_conn *c, pg_request *r, const error_kind *lost, const char *text)
{
    list_remove(&r->node);
    if (r->kind == PG_REQUEST_PREPARE) {
        if (!r->statement->ready)
            pg_statement_evict(&c->statements, r->statement);
        wake_preparing(r->statement);
    }
    pg_statement_release(&r->statement);
    if (!r->fiber) {
        c->abandoned--;
        pg_cancel_go_on(c);
    }
    if (r->fiber && lost) {
        fiber_wake(r->fiber, fiber_error_set(r->fiber, lost, "%s", text));
    } else if (r->fiber) {
        r->result->tx_status = c->tx_status;
        fiber_wake(r->fiber, OK);
    }
    pg_pool_give_request(c->pool, r);
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
    list_node *n;
    while ((n = c->requests.head.next) != &c->requests.head)
        request_end(c, CONTAINER_OF(n, pg_request, node), kind, text);
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

static void violation(pg_conn *c, const char *what)
{
    pg_conn_end(c, false, &PG_PROTOCOL_VIOLATION, what);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void fail(const pg_request *r, const error_kind *kind, const char *text)
{
    if (!r->fiber || r->result->failure)
        return;
    r->result->failure = kind;
    r->result->failure_text = text;
}

/* Copies the row into the waiting fiber's arena: cells and bytes in one piece. */
static void add_row(pg_conn *c, const pg_request *r, str body)
{
    const uint32_t count = r->statement->column_count;
    pg_result *result = r->result;
    if (!r->fiber || result->failure || result->report.ptr)
        return;
    const size_t cell_bytes = sizeof(pg_row_node) + count * sizeof(str);
    pg_row_node *row = arena_try_alloc(result->arena, cell_bytes + body.len, _Alignof(pg_row_node));
    if (!row) {
        fail(r, &ARENA_FULL, "no room for the answer");
        return;
    }
    char *bytes = (char *)row + cell_bytes;
    memcpy(bytes, body.ptr, body.len);
    if (!pg_row_read((str){ bytes, body.len }, row->cells, count)) {
        violation(c, "a row does not match its description");
        return;
    }
    row->next = NULL;
    if (result->last)
        result->last->next = row;
    else
        result->first = row;
    result->last = row;
    result->count++;
}

static void statement_described(pg_conn *c, pg_request *r, str body, bool has_columns)
{
    pg_statement *s = r->statement;
    error e = OK;
    r->done = true;
    if (has_columns)
        e = pg_columns_read(body, &s->columns, &s->column_count);
    s->ready = error_is_ok(e);
    if (error_is(e, &PG_PROTOCOL_VIOLATION))
        violation(c, "a malformed description of columns");
    else if (e.kind)
        fail(r, e.kind, "no memory for a description");
}

static void command_complete(pg_request *r, str tag)
{
    if (r->begins) {
        r->begins = r->bound = false;
        if (r->fiber)
            r->result->began = true;
        return;
    }
    r->done = true;
    if (!r->fiber)
        return;
    pg_reader reader = pg_reader_of(tag);
    const str text = pg_reader_cstring(&reader);
    r->result->affected = pg_tag_rows(text);
    r->result->rolled_back = str_eq(text, STR("ROLLBACK"));
}

static void server_error(pg_conn *c, pg_request *r, str body)
{
    pg_report report;
    if (!pg_report_read(body, &report)) {
        violation(c, "a malformed error");
        return;
    }
    if (pg_report_is_fatal(&report))
        pg_report_text(&report, c->why, sizeof c->why);
    if (r)
        r->done = true;
    if (!r || !r->fiber || r->result->report.ptr)
        return;
    char *copy = arena_try_alloc(r->result->arena, body.len + 1, 1);
    if (!copy) {
        fail(r, &ARENA_FULL, "no room for the answer");
        return;
    }
    memcpy(copy, body.ptr, body.len);
    r->result->report = (str){ copy, body.len };
}

static void ready_for_query(pg_conn *c, pg_request *r, str body)
{
    if (body.len != 1 || !strchr("ITE", body.ptr[0]) || body.ptr[0] == '\0') {
        violation(c, "a malformed ReadyForQuery");
        return;
    }
    if (!r->done) { /* no rows, and no description, is not what it means */
        violation(c, "a ReadyForQuery without an answer before it");
        return;
    }
    c->tx_status = body.ptr[0];
    const bool left_open = c->tx_status != 'I' && !r->leased;
    if (left_open)
        fail(r, &PG_INVALID_ARGUMENT, "the statement left a transaction open: use pg_begin");
    request_end(c, r, NULL, NULL);
    if (left_open) /* nobody else may get into it */
        pg_conn_end(c, false, &PG_CONNECTION_LOST,
                    "a statement left a transaction open: use pg_begin");
    else
        pg_pool_conn_served(c);
}

static void notice(str body)
{
    pg_report report;
    if (pg_report_read(body, &report) && str_eq(report.severity, STR("WARNING")))
        log_warn("pg notice", LOG_STR("sqlstate", report.sqlstate),
                 LOG_STR("text", report.message));
}

static void parameter_status(pg_conn *c, str body)
{
    pg_reader r = pg_reader_of(body);
    const str name = pg_reader_cstring(&r), value = pg_reader_cstring(&r);
    if (!pg_reader_done(&r))
        violation(c, "a malformed ParameterStatus");
    else if (str_eq(name, STR("client_encoding")) && !str_eq(value, STR("UTF8")))
        violation(c, "client_encoding must stay UTF8");
}

/* The server waits for data that nobody has: it will never come to the next request. */
static void copy_in(pg_conn *c, pg_request *r)
{
    fail(r, &PG_INVALID_ARGUMENT, "COPY FROM STDIN cannot be run as a query");
    request_end(c, r, NULL, NULL);
    pg_conn_end(c, false, &PG_CONNECTION_LOST, "a statement was COPY FROM STDIN");
}

/* Each of these takes one message of the oldest request's answer, and returns false when it makes
 * no sense there. */
static bool answer_prepare(pg_conn *c, pg_request *r, const pg_message *m)
{
    if (r->done)
        return false;
    switch (m->type) {
    case PG_MSG_PARSE_COMPLETE:
    case PG_MSG_PARAMETER_DESCRIPTION:
        return true;
    case PG_MSG_ROW_DESCRIPTION:
    case PG_MSG_NO_DATA:
        statement_described(c, r, m->body, m->type == PG_MSG_ROW_DESCRIPTION);
        return true;
    default:
        return false;
    }
}

static bool answer_bind(pg_request *r)
{
    if (r->bound || r->done)
        return false;
    r->bound = true;
    if (r->fiber && !r->begins)
        r->result->bound = true;
    return true;
}

static bool answer_query(pg_conn *c, pg_request *r, const pg_message *m)
{
    if (m->type == PG_MSG_BIND_COMPLETE)
        return answer_bind(r);
    if (!r->bound || r->done)
        return false;
    if (m->type == PG_MSG_COMMAND_COMPLETE) {
        command_complete(r, m->body);
        return true;
    }
    if (r->begins)
        return false;
    switch (m->type) {
    case PG_MSG_DATA_ROW:
        add_row(c, r, m->body);
        return true;
    case PG_MSG_EMPTY_QUERY:
        r->done = true;
        return true;
    case PG_MSG_COPY_OUT: /* its data is dropped */
    case PG_MSG_COPY_DATA:
    case PG_MSG_COPY_DONE:
        return true;
    case PG_MSG_COPY_IN:
    case PG_MSG_COPY_BOTH:
        copy_in(c, r);
        return true;
    default:
        return false;
    }
}

static bool answer_script(pg_conn *c, pg_request *r, const pg_message *m)
{
    switch (m->type) {
    case PG_MSG_COMMAND_COMPLETE:
    case PG_MSG_EMPTY_QUERY:
        r->done = true;
        return true;
    case PG_MSG_ROW_DESCRIPTION: /* rows are of no interest */
    case PG_MSG_DATA_ROW:
    case PG_MSG_COPY_OUT:
    case PG_MSG_COPY_DATA:
    case PG_MSG_COPY_DONE:
        return true;
    case PG_MSG_COPY_IN:
    case PG_MSG_COPY_BOTH:
        copy_in(c, r);
        return true;
    default:
        return false;
    }
}

/* Messages that need a request; `r` is the oldest. */
static void answer(pg_conn *c, pg_request *r, const pg_message *m)
{
    if (m->type == PG_MSG_READY_FOR_QUERY) {
        ready_for_query(c, r, m->body);
        return;
    }
    bool sense = false;
    switch (r->kind) {
    case PG_REQUEST_PREPARE:
        sense = answer_prepare(c, r, m);
        break;
    case PG_REQUEST_QUERY:
        sense = answer_query(c, r, m);
        break;
    case PG_REQUEST_SCRIPT:
        sense = answer_script(c, r, m);
        break;
    }
    if (sense)
        return;
    if (m->type == PG_MSG_DATA_ROW)
        violation(c, "a row that was not asked for");
    else if (m->type == PG_MSG_ROW_DESCRIPTION || m->type == PG_MSG_NO_DATA)
        violation(c, "a description that was not asked for");
    else
        violation(c, "a message out of place");
}

static void on_message(pg_conn *c, const pg_message *m)
{
    pg_request *r =
        list_is_empty(&c->requests) ? NULL : CONTAINER_OF(c->requests.head.next, pg_request, node);
    switch (m->type) {
    case PG_MSG_NOTICE:
        notice(m->body);
        break;
    case PG_MSG_PARAMETER_STATUS:
        parameter_status(c, m->body);
        break;
    case PG_MSG_NOTIFICATION:
    case PG_MSG_CLOSE_COMPLETE:
        break;
    case PG_MSG_ERROR:
        server_error(c, r, m->body);
        break;
    default:
        if (r)
            answer(c, r, m);
        else
            violation(c, "an answer that nobody asked for");
    }
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

/* While opening: one message at a time, when the opener asks for one. */
static size_t opening_data(pg_conn *c, str bytes)
{
    pg_message m;
    size_t len;
    if (!c->reader) {
        stream_pause(c->stream);
        return 0;
    }
    const pg_frame frame = pg_frame_read(bytes, &m, &len);
    if (frame == PG_FRAME_PARTIAL)
        return 0;
    char *copy = frame == PG_FRAME_WHOLE
                     ? arena_try_alloc(fiber_arena_of(c->reader), m.body.len + 1, 1)
                     : NULL;
    if (!copy) {
        violation(c, "this is no PostgreSQL server");
        return bytes.len;
    }
    memcpy(copy, m.body.ptr, m.body.len);
    c->message = (pg_message){ m.type, { copy, m.body.len } };
    fiber *reader = c->reader;
    c->reader = NULL;
    stream_pause(c->stream); /* pg_conn_await resumes it, and what is left comes again */
    fiber_wake(reader, OK);
    return len;
}

/* A row that is longer than anything we keep: its request fails, its bytes are dropped. */
static bool skip_row(pg_conn *c, const pg_message *m, size_t len)
{
    if (m->type != PG_MSG_DATA_ROW || list_is_empty(&c->requests))
        return false;
    fail(CONTAINER_OF(c->requests.head.next, pg_request, node), &PG_MESSAGE_TOO_LARGE,
         "a row is longer than 64 MiB");
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
        switch (pg_frame_read((str){ bytes.ptr + at, bytes.len - at }, &m, &len)) {
        case PG_FRAME_WHOLE:
            on_message(c, &m);
            at += len;
            break;
        case PG_FRAME_TOO_LONG:
            if (!skip_row(c, &m, len))
                violation(c, "a message that is too long");
            break;
        case PG_FRAME_BAD:
            violation(c, "a message of an impossible length");
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
    if (c->state == PG_CONN_OPENING)
        used = opening_data(c, bytes);
    else if (c->state == PG_CONN_READY)
        used = ready_data(c, bytes);
    if (!stream_at_end(s))
        return used;
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
    if (c->state == PG_CONN_OPENING) {
        opening_failed(c, text);
        return;
    }
    pg_conn_end(c, false, &PG_CONNECTION_LOST, c->why[0] ? c->why : text);
    pg_pool_conn_closed(c);
}

const stream_handler PG_CONN_STREAM = {
    .data = on_data,
    .opened = on_opened,
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

void pg_conn_start(pg_conn *c)
{
    c->state = PG_CONN_READY;
    c->tx_status = 'I';
    stream_resume(c->stream);
}

/* --- requests --------------------------------------------------------------------------------- */

static void request_forgotten(void *arg)
{
    pg_request *r = arg;
    r->conn->abandoned++;
    r->fiber = NULL;
    r->result = NULL;
    pg_cancel_consider(r->conn);
}

error pg_conn_write(pg_conn *c, void (*write)(pg_writer *w, const void *arg), const void *arg)
{
    if (!c->stream || c->state == PG_CONN_CLOSING)
        return error_set(&PG_CONNECTION_LOST, "%s", c->why[0] ? c->why : "the connection closed");
    pg_writer counted = { 0 };
    write(&counted, arg);
    const bool is_big = counted.bytes > BLOCK_CAPACITY;
    block *big = is_big ? block_acquire(counted.bytes) : NULL;
    if (is_big && !big)
        return error_set(&OUT_OF_MEMORY, "no memory to send %zu bytes", counted.bytes);
    char *at = big ? big->data : stream_reserve(c->stream, counted.bytes);
    if (!at) /* it has broken, or there was no memory: it is about to say so to all */
        return error_set(&PG_CONNECTION_LOST, "the connection is closing");
    pg_writer written = { .at = at };
    write(&written, arg);
    invariant(written.bytes == counted.bytes);
    if (big)
        stream_write_block(c->stream, big, (str){ at, written.bytes });
    else
        stream_commit(c->stream, written.bytes);
    block_release(&big);
    return OK;
}

error pg_conn_ask(pg_conn *c, void (*write)(pg_writer *w, const void *arg), const void *arg,
                  const pg_request *request)
{
    TRY(scope_status());
    pg_request *r = pg_pool_take_request(c->pool);
    if (!r)
        return error_set(&OUT_OF_MEMORY, "no memory for a request");
    const error e = pg_conn_write(c, write, arg);
    if (e.kind) {
        pg_pool_give_request(c->pool, r);
        return e;
    }
    *r = *request;
    r->node = (list_node){ 0 };
    r->conn = c;
    r->fiber = fiber_self();
    r->result->sent = true;
    if (r->statement)
        pg_statement_keep(r->statement);
    list_append(&c->requests, &r->node);
    return fiber_park("pg answer", request_forgotten, r);
}
