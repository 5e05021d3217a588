/* COPY: data to and from a table in a stream of its own, on a leased connection.
 *
 *   pg_copy_in  -> OPEN --pg_copy_write, pg_copy_row…--> OPEN --pg_copy_finish--> ENDED
 *   pg_copy_out -> OPEN --pg_copy_read…, ""-----------> ENDED
 *
 * Either end: what is written waits until the server has taken what came before it, and what the
 * server sends is read from its socket only as fast as it is asked for. An error of the server ends
 * it at once, and is what the next call says. A copy whose scope ends before it is finished is
 * refused to the server (CopyFail), or dropped: it leaves no trace, and its connection is good. */
#include "copy_row.h"
#include "query.h"
#include "slow.h"
#include "taker.h"
#include "value.h"

#include "core/loop.h"

#define WRITE_BYTES_MAX ((size_t)32 << 10)  /* of one message */
#define READ_BYTES_HIGH ((size_t)256 << 10) /* kept for the reader, past which the server waits */

struct pg_copy {
    pg_tx *tx;
    pg_tx *own; /* the same, begun for it; NULL: somebody else's */
    pg_taker taker;
    pg_pool *pool;
    str sql;          /* its beginning, for the log */
    const char *name; /* of the statement; NULL: none */
    uint64_t began_us;
    uint64_t waited_us;      /* for the server, or a connection */
    const pg_tracer *tracer; /* NULL: nobody follows it, or it has ended */
    pg_span span;
    pg_result result;
    bool opened;
    bool takes_data;
    bool binary;
    bool wrote;      /* bytes of its caller's own */
    bool begun_rows; /* the binary format's header is written */
    buf came;        /* and was not read yet */
    buf given;       /* to the reader; of one that takes data, rows that have not left yet */
    struct {
        bool begun; /* the header was read */
        bool ended;
        str unread; /* in `given`, or in `cut` */
        buf cut;    /* from the beginning of a row on that came in several pieces */
        arena row;  /* the one given out */
    } rows;         /* if they are read one by one */
    deferred *left;
};

/* --- on the loop ------------------------------------------------------------------------------ */

static void on_opened(void *arg, bool takes_data, bool binary)
{
    pg_copy *c = CONTAINER_OF(arg, pg_copy, taker);
    c->opened = true;
    c->binary = binary;
    c->takes_data = takes_data;
    pg_taker_wake(arg);
}

static void on_data(void *arg, str bytes)
{
    pg_copy *c = CONTAINER_OF(arg, pg_copy, taker);
    buf_append(&c->came, bytes);
    c->result.bytes += bytes.len;
    if (c->came.len > READ_BYTES_HIGH)
        stream_pause(c->tx->conn->stream);
    pg_taker_wake(arg);
}

static const pg_sink SINK = {
    .opened = on_opened,
    .data = on_data,
    .drained = pg_taker_wake,
    .ended = pg_taker_end,
};

/* --- waiting ---------------------------------------------------------------------------------- */

static error wait_for_server(pg_copy *c)
{
    const uint64_t from_us = loop_now_us(c->pool->loop);
    const error e = pg_taker_wait(&c->taker, "pg copy");
    c->waited_us += loop_now_us(c->pool->loop) - from_us;
    return e;
}

static error wait_for_end(pg_copy *c)
{
    while (!c->taker.ended) {
        if (c->came.len > 0) { /* nobody reads it any more */
            buf_reset(&c->came);
            stream_resume(c->tx->conn->stream);
        }
        TRY(wait_for_server(c));
    }
    return OK;
}

/* How it ended. */
static error end_error(const pg_copy *c)
{
    TRY(pg_taker_error(&c->taker, &c->result));
    if (!c->opened)
        return error_set(&PG_INVALID_ARGUMENT, "the statement is no COPY");
    return c->came.failed ? error_set(&OUT_OF_MEMORY, "no memory for a row") : OK;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void end_span(pg_copy *c, error e)
{
    const pg_tracer *tracer = c->tracer;
    c->tracer = NULL;
    if (LIKELY(!tracer))
        return;
    c->span.rows = c->result.affected;
    c->span.bytes = c->result.bytes;
    pg_span_end(c->pool, tracer, &c->span, c->tx ? c->tx->conn : NULL, c->began_us, e);
}

/* Judged by the time that its caller has waited: how long it takes to make a row, or to use one, is
 * not the server's doing. */
static void tell_slow(const pg_copy *c, const pg_call *call, error e)
{
    pg_watch w = { .pool = c->pool, .began_us = c->began_us };
    if (c->waited_us < c->pool->slow.from_us)
        return;
    if (c->tx && c->tx->conn)
        pg_watch_conn(&w, c->tx->conn);
    pg_slow_tell(&w, call, 1, c->waited_us, e);
}

static void count(pg_copy *c, error e)
{
    const pg_call call = { .sql = c->sql, .name = c->name, .result = c->result };
    pg_watch_count(c->pool, &call, c->began_us, e);
    tell_slow(c, &call, e);
    end_span(c, e);
}

static void let_go(pg_copy *c)
{
    buf_deinit(&c->came);
    buf_deinit(&c->given);
    buf_deinit(&c->rows.cut);
    arena_deinit(&c->rows.row);
}

static void write_failure(pg_writer *w, const void *arg)
{
    (void)arg;
    pg_write_copy_fail(w, STR("the client gave up"));
}

/* Nothing of it is to stay. What the server still says is dropped on the loop; when it goes on and
 * on, it is canceled as any statement that nobody waits for. A server that has not said yet what it
 * wants is refused too: one that wants data takes nothing else before, and others pay no heed. */
static void give_up(pg_copy *c)
{
    pg_conn *conn = c->tx->conn;
    if (!c->taker.ended) {
        const bool may_take = c->takes_data || !c->opened;
        if (may_take && pg_conn_write(conn, write_failure, NULL).kind)
            pg_conn_end(conn, false, &PG_CONNECTION_LOST, "a COPY could not be given up");
        pg_taker_leave(&c->taker, conn);
        pg_tx_note(c->tx, &c->result);
    }
    let_go(c);
}

static error copy_left(void *arg)
{
    const error why = { &CANCELED }; /* without a detail: the scope has its own error */
    const pg_copy *c = arg;
    const pg_call call = { .sql = c->sql, .name = c->name, .result = c->result };
    tell_slow(c, &call, why);
    end_span(arg, why);
    give_up(arg);
    return OK;
}

static void copy_abandoned(void *arg)
{
    give_up(arg);
}

static const cleanup COPY_LEFT = { .run = copy_left, .abandon = copy_abandoned, .name = "pg copy" };

/* --- opening ---------------------------------------------------------------------------------- */

static error start(pg_copy *c, pg_target on, str sql)
{
    if (!on.tx) {
        TRY(pg_begin_on(on, NULL, &c->own));
        c->tx = c->own;
    }
    TRY(pg_tx_check(c->tx));
    TRY(pg_tx_enter(c->tx));
    const pg_request request = {
        .kind = PG_REQUEST_COPY, .result = &c->result, .leased = true, .sink = &SINK
    };
    TRY(pg_taker_feed(&c->taker, c->tx->conn, pg_request_write_query, &sql, &request));
    while (!c->opened && !c->taker.ended)
        TRY(wait_for_server(c));
    return c->taker.ended ? end_error(c) : OK;
}

static void start_span(pg_copy *c, str sql)
{
    c->tracer = &c->pool->trace->copy;
    c->span = (pg_span){ .name = c->name, .sql = sql, .statements = 1 };
    pg_span_start(c->pool, c->tracer, &c->span);
}

static error open_copy(pg_target on, pg_sql sql, bool takes_data, pg_copy **out)
{
    *out = NULL;
    TRY(pg_check_call(on.pool, sql.text, (pg_values){ 0 }));
    pg_copy *c = ARENA_NEW(fiber_arena(), pg_copy);
    c->tx = on.tx;
    c->pool = on.pool;
    c->name = sql.name;
    c->sql = str_copy(fiber_arena(), str_slice(sql.text, 0, PG_SLOW_SQL_BYTES));
    c->began_us = loop_now_us(loop_self());
    if (UNLIKELY(c->pool->trace))
        start_span(c, sql.text);
    c->taker.ended = true;
    c->result.arena = fiber_arena();
    const size_t read_bytes_max = c->pool->message_bytes_max + READ_BYTES_HIGH;
    buf_init(&c->came, read_bytes_max);
    buf_init(&c->given, read_bytes_max);
    buf_init(&c->rows.cut, read_bytes_max);
    arena_init(&c->rows.row, read_bytes_max);
    error e = start(c, on, sql.text);
    c->waited_us = loop_now_us(c->pool->loop) - c->began_us;
    if (!e.kind && c->takes_data != takes_data)
        e = error_set(&PG_INVALID_ARGUMENT, "a COPY in the other direction");
    if (!e.kind) {
        c->left = scope_defer(&COPY_LEFT, c);
        *out = c;
        return OK;
    }
    count(c, e);
    if (c->tx)
        give_up(c);
    const error undone = pg_rollback(&c->own);
    return e.kind ? e : undone;
}

error pg_copy_in_sql(pg_target on, pg_sql sql, pg_copy **out)
{
    return open_copy(on, sql, true, out);
}

error pg_copy_out_sql(pg_target on, pg_sql sql, pg_copy **out)
{
    return open_copy(on, sql, false, out);
}

/* --- in --------------------------------------------------------------------------------------- */

static void write_data(pg_writer *w, const void *arg)
{
    pg_write_copy_data(w, *(const str *)arg);
}

/* Until the server has taken enough. */
static error wait_until_drained(pg_copy *c)
{
    const pg_conn *conn = c->tx->conn;
    while (!c->taker.ended && stream_queued(conn->stream) > PG_OUTPUT_BYTES_HIGH)
        TRY(wait_for_server(c));
    return c->taker.ended ? end_error(c) : OK;
}

static error check_writable(const pg_copy *c)
{
    invariant(c->takes_data);
    return c->taker.ended ? end_error(c) : scope_status();
}

error pg_copy_write(pg_copy *c, str bytes)
{
    TRY(check_writable(c));
    c->wrote = c->wrote || bytes.len > 0;
    while (bytes.len > 0) {
        const size_t len = bytes.len < WRITE_BYTES_MAX ? bytes.len : WRITE_BYTES_MAX;
        const str part = str_slice(bytes, 0, len);
        bytes = str_slice(bytes, len, bytes.len);
        TRY(pg_conn_write(c->tx->conn, write_data, &part));
        c->result.bytes += len;
        TRY(wait_until_drained(c));
    }
    return OK;
}

/* Signature, flags, length of the header's extension (PostgreSQL, COPY, "Binary Format"). */
static const str BINARY_HEADER = { "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19 };
static const str BINARY_TRAILER = { "\377\377", 2 };

/* Looked at once a row: a million of them is nothing special. */
static error row_size(pg_values values, size_t most, size_t *out)
{
    size_t bytes = 2;
    if (values.count > INT16_MAX)
        return error_set(&PG_INVALID_ARGUMENT, "%zu columns", values.count);
    for (size_t i = 0; i < values.count; i++) {
        const size_t value_bytes = pg_value_size(&values.items[i]);
        if (value_bytes > most || (bytes += 4 + value_bytes) > most)
            return error_set(&PG_MESSAGE_TOO_LARGE,
                             "column %zu makes the row longer than PG_MESSAGE_MAX, %zu bytes",
                             i + 1, most);
    }
    *out = bytes;
    return OK;
}

/* Rows leave together: a message is dearer than a row, to the server too. */
static error send_rows(pg_copy *c)
{
    const str rows = buf_str(&c->given);
    TRY(pg_conn_write(c->tx->conn, write_data, &rows));
    c->result.bytes += rows.len;
    buf_reset(&c->given);
    return OK;
}

error pg_copy_row_values(pg_copy *c, pg_values values)
{
    size_t bytes = 0;
    TRY(check_writable(c));
    TRY(row_size(values, c->pool->message_bytes_max, &bytes));
    if (!c->begun_rows)
        buf_append(&c->given, BINARY_HEADER);
    c->begun_rows = true;
    char *at = buf_reserve(&c->given, bytes);
    if (!at)
        return error_set(&OUT_OF_MEMORY, "no memory for a row");
    pg_writer w = { .at = at };
    pg_write_copy_row(&w, values.items, values.count);
    invariant(w.bytes == bytes);
    buf_commit(&c->given, bytes);
    if (c->given.len < WRITE_BYTES_MAX)
        return OK;
    TRY(send_rows(c));
    return wait_until_drained(c);
}

error pg_copy_item_shape(pg_copy *c, shape_fn *of, const void *value)
{
    const shape *s = of();
    arena_reset(&c->rows.row);
    pg_value *values = ARENA_NEW_ARRAY(&c->rows.row, pg_value, s->field_count);
    for (uint32_t i = 0; i < s->field_count; i++) {
        invariant(pg_type_of_shape(s->fields[i].type) != 0);
        values[i] = pg_param_member(s->fields[i].type, (const char *)value + s->fields[i].offset);
    }
    return pg_copy_row_values(c, (pg_values){ values, s->field_count });
}

/* --- out -------------------------------------------------------------------------------------- */

error pg_copy_read(pg_copy *c, str *bytes)
{
    invariant(!c->takes_data);
    *bytes = STR("");
    while (c->came.len == 0 && !c->taker.ended) {
        stream_resume(c->tx->conn->stream);
        TRY(wait_for_server(c));
    }
    if (c->came.len == 0 || c->came.failed)
        return end_error(c);
    const buf spare = c->given;
    c->given = c->came;
    c->came = spare;
    buf_reset(&c->came);
    *bytes = buf_str(&c->given);
    return OK;
}

static error not_binary(void)
{
    return error_set(&PG_PROTOCOL_VIOLATION, "data that is not COPY's binary format");
}

/* Behind what is left of a row; none at the end. */
static error more_unread(pg_copy *c)
{
    str bytes;
    buf *rest = &c->rows.cut;
    if (c->rows.unread.len == 0)
        buf_reset(rest);
    else if (rest->len > 0)
        buf_consume(rest, rest->len - c->rows.unread.len);
    else
        buf_append(rest, c->rows.unread);
    c->rows.unread = buf_str(rest);
    TRY(pg_copy_read(c, &bytes));
    if (bytes.len == 0)
        return not_binary();
    if (rest->len > 0)
        buf_append(rest, bytes);
    c->rows.unread = rest->len > 0 ? buf_str(rest) : bytes;
    return rest->failed ? error_set(&PG_MESSAGE_TOO_LARGE, "a row is longer than PG_MESSAGE_MAX")
                        : OK;
}

/* Behind the last row; an error of the server, too. */
static error end_of_rows(pg_copy *c)
{
    str bytes;
    c->rows.ended = true;
    if (c->rows.unread.len > 0)
        return not_binary();
    TRY(pg_copy_read(c, &bytes));
    return bytes.len > 0 ? not_binary() : OK;
}

/* The next row's cells; false in `more` at the end. */
static error next_row(pg_copy *c, const shape *s, str *cells, bool *more)
{
    for (;;) {
        str *unread = &c->rows.unread;
        const bool begun = c->rows.begun;
        switch (begun ? pg_copy_row_read(unread, cells, s->field_count)
                      : pg_copy_header_read(unread)) {
        case PG_COPY_PART_WHOLE:
            c->rows.begun = true;
            *more = begun;
            if (begun)
                return OK;
            break;
        case PG_COPY_PART_END:
            return end_of_rows(c);
        case PG_COPY_PART_CUT:
            TRY(more_unread(c));
            break;
        case PG_COPY_PART_OTHER:
            return error_set(&PG_TYPE_MISMATCH, "a row that has not the %u columns of %.*s",
                             s->field_count, STR_ARG(s->name));
        case PG_COPY_PART_BAD:
            return not_binary();
        }
    }
}

static error decode_row(pg_copy *c, const shape *s, const str *cells, void *out)
{
    for (uint32_t i = 0; i < s->field_count; i++) {
        const shape_field *f = &s->fields[i];
        const pg_cell cell = { pg_type_of_shape(f->type), PG_BINARY, cells[i] };
        invariant(cell.oid != 0);
        const error e = pg_decode_member(&c->rows.row, &cell, f->type, (char *)out + f->offset);
        if (e.kind)
            return error_wrap(e, e.kind, "column %.*s", STR_ARG(f->name));
    }
    return OK;
}

error pg_copy_next_shape(pg_copy *c, shape_fn *of, void *out, bool *more)
{
    const shape *s = of();
    *more = false;
    invariant(!c->takes_data);
    if (!c->binary)
        return error_set(&PG_INVALID_ARGUMENT, "rows are read of a COPY in binary format");
    if (c->rows.ended)
        return end_of_rows(c);
    arena_reset(&c->rows.row);
    str *cells = ARENA_NEW_ARRAY(&c->rows.row, str, s->field_count);
    TRY(next_row(c, s, cells, more));
    return *more ? decode_row(c, s, cells, out) : OK;
}

/* --- finishing -------------------------------------------------------------------------------- */

static void write_done(pg_writer *w, const void *arg)
{
    (void)arg;
    pg_write_copy_done(w);
}

static error end_data(pg_copy *c)
{
    const bool is_empty = c->binary && !c->begun_rows && !c->wrote;
    if (is_empty) /* the format's header is due also without a row */
        buf_append(&c->given, BINARY_HEADER);
    if (is_empty || c->begun_rows) {
        buf_append(&c->given, BINARY_TRAILER);
        TRY(buf_status(&c->given));
        TRY(send_rows(c));
    }
    return pg_conn_write(c->tx->conn, write_done, NULL);
}

error pg_copy_finish(pg_copy **owner, uint64_t *affected)
{
    pg_copy *c = *owner;
    *owner = NULL;
    if (!c->taker.ended) {
        TRY(scope_status()); /* what is left is given up with the scope */
        if (c->takes_data)
            TRY(end_data(c));
        TRY(wait_for_end(c));
    }
    pg_tx_note(c->tx, &c->result);
    const error e = end_error(c);
    pg_tx *own = c->own;
    count(c, e);
    if (!e.kind && affected)
        *affected = c->result.affected;
    scope_disarm(&c->left);
    let_go(c);
    if (!own)
        return e;
    if (!e.kind)
        return pg_commit(&own);
    const error undone = pg_rollback(&own);
    return e.kind ? e : undone;
}
