/* Requests: sent, waited for, forgotten, ended; and held, until there is room for a batch.
 *
 * A batch is what has been asked for meanwhile, up to a limit: so it is as large as the server is
 * busy, and a single request waits for nobody. Two are under way, so that the server has the next
 * one before it has answered the last. */
#include "backlog.h"
#include "pool.h"

#include "core/scope.h"

#define BATCHES_MAX     2
#define BATCH_COUNT_MAX 32
#define BATCH_BYTES_MAX ((size_t)32 << 10)

static void dispatch(loop_task *task);

void pg_requests_init(pg_conn *c)
{
    list_init(&c->requests);
    list_init(&c->held);
    pg_room_init(&c->room);
    c->dispatch.run = dispatch;
}

pg_request *pg_request_oldest(const pg_conn *c)
{
    return list_is_empty(&c->requests) ? NULL
                                       : CONTAINER_OF(c->requests.head.next, pg_request, node);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Whatever of it was refused: a pooler may know its name all the same. */
static void give_up_preparing(pg_statement *s, bool lost)
{
    if (s->cache && lost)
        pg_statement_evict(s);
    else if (s->cache)
        pg_statement_close(s->cache, s);
}

/* Unlinks a request and lets everybody who waits for it go on. `lost`: the answer never came. */
static void end(pg_request *r, const error_kind *lost, const char *text)
{
    pg_conn *c = r->conn;
    list_remove(&r->node);
    pg_backlog_remove(c, r, !lost);
    if (r->kind == PG_REQUEST_PREPARE) {
        if (!r->statement->ready)
            give_up_preparing(r->statement, lost != NULL);
        pg_statement_wake(r->statement);
    }
    pg_statement_release(&r->statement);
    if (!r->write)
        pg_room_give(c, r->syncs, r->bytes);
    if (r->resets) {
        c->resetting = false;
    } else if (!r->fiber) {
        c->abandoned--;
        pg_cancel_go_on(c);
    } else if (!lost) {
        r->result->answered = !r->result->skipped;
        r->result->ended_us = loop_now_us(c->pool->loop);
        r->result->tx_status = r->syncs ? c->tx_status : 0;
    }
    if (r->sink && !lost)
        stream_resume(c->stream); /* it may have been paused for that one */
    if (r->sink)
        r->sink->ended(r->sink_arg, lost, text);
    else if (r->fiber && !r->more)
        fiber_wake(r->fiber, lost ? fiber_error_set(r->fiber, lost, "%s", text) : OK);
    if (r->batch) {
        c->batches--;
        loop_post(c->pool->loop, &c->dispatch);
    }
    pg_pool_give_request(c->pool, r);
}

void pg_request_end(pg_request *r)
{
    pg_pool_count_answer(r->conn->pool);
    end(r, NULL, NULL);
}

static void lose_all(list *requests, const error_kind *kind, const char *text)
{
    list_node *n;
    while ((n = requests->head.next) != &requests->head)
        end(CONTAINER_OF(n, pg_request, node), kind, text);
}

void pg_requests_lose(pg_conn *c, const error_kind *kind, const char *text)
{
    lose_all(&c->requests, kind, text);
    lose_all(&c->held, kind, text);
    pg_room_serve(c);
}

str pg_conn_preamble(const pg_conn *c)
{
    return c->read_only && (!pg_conn_is_named(c) || c->pool->says_read_only)
               ? STR("select pg_catalog.set_config('transaction_read_only', 'on', true)")
               : STR_NONE;
}

/* --- asking ----------------------------------------------------------------------------------- */

static pg_request *make(pg_conn *c, const pg_request *like)
{
    pg_request *r = pg_pool_take_request(c->pool);
    if (!r)
        return NULL;
    *r = *like;
    r->node = (list_node){ 0 };
    r->conn = c;
    r->fiber = fiber_self();
    r->since_us = loop_now_us(c->pool->loop);
    if (r->statement)
        pg_statement_keep(r->statement);
    if (r->statement && r->kind == PG_REQUEST_QUERY) {
        r->result->columns = pg_statement_columns(r->statement, r->rows_as);
        r->result->column_count = r->statement->column_count;
    }
    pg_backlog_add(c, r);
    return r;
}

static void drop(pg_request *r)
{
    list_remove(&r->node);
    pg_backlog_remove(r->conn, r, false);
    pg_statement_release(&r->statement);
    pg_pool_give_request(r->conn->pool, r);
}

static void drop_all(list *requests)
{
    LIST_EACH (pg_request, r, requests, node)
        drop(r);
}

/* The fiber stops waiting: for this request, and for those of its own before it. */
static void forgotten(void *arg)
{
    const pg_request *last = arg;
    pg_conn *c = last->conn;
    const fiber *gone = last->fiber;
    LIST_EACH (pg_request, r, &c->requests, node) {
        if (r->fiber != gone)
            continue;
        r->fiber = NULL;
        r->result = NULL;
        c->abandoned++;
        pg_pool_count(c->pool, PG_METRIC_ABANDONED, 1);
    }
    pg_cancel_consider(c);
}

/* The running fiber waits for the end of a request of its own, the last of so many groups. */
static error await_answer(pg_request *r, uint32_t groups, void (*on_forgotten)(void *arg))
{
    loop *l = r->conn->pool->loop;
    const uint32_t polled = r->conn->pool->busy_polls ? groups : 0;
    loop_busy_poll_begin(l, polled);
    const error e = fiber_park("pg answer", on_forgotten, r);
    loop_busy_poll_end(l, polled);
    return e;
}

typedef struct group {
    pg_conn *conn;
    pg_write_fn *write;
    const void *arg;
} group;

/* Before it the statements are closed that were given up: that needs no answer. Those that somebody
 * is about to use go on a little: a pooler ends the connection of who uses a name that it does not
 * know. */
static void write_group(pg_writer *w, const void *arg)
{
    const group *g = arg;
    LIST_EACH (pg_statement, s, &g->conn->statements.closing, used) {
        if (pg_statement_may_close(s))
            pg_write_close_statement(w, pg_statement_name(s));
    }
    g->write(w, g->arg);
}

/* Tells its size, as of when there was room: what is to be closed may change meanwhile. */
static error await_room(pg_conn *c, const group *g, pg_flight *flight)
{
    pg_writer counted = { 0 };
    write_group(&counted, g);
    flight->bytes = counted.bytes;
    if (LIKELY(pg_room_is_free(c, flight)))
        return OK;
    TRY(pg_room_await(c, flight));
    counted = (pg_writer){ 0 };
    write_group(&counted, g);
    flight->bytes = counted.bytes;
    return OK;
}

error pg_conn_ask_all(pg_conn *c, pg_write_fn *write, const void *arg, const pg_request *requests,
                      size_t count)
{
    const group g = { c, write, arg };
    pg_flight flight = { .requests = count };
    list made;
    for (size_t i = 0; i < count; i++)
        flight.groups += requests[i].syncs;
    list_init(&made);
    TRY(scope_status());
    TRY(await_room(c, &g, &flight));
    for (size_t i = 0; i < count; i++) {
        pg_request *r = make(c, &requests[i]);
        if (!r) {
            drop_all(&made);
            return error_set(&OUT_OF_MEMORY, "no memory for a request");
        }
        r->more = i + 1 < count;
        list_append(&made, &r->node);
    }
    const error e = pg_conn_write_sized(c, flight.bytes, write_group, &g);
    if (e.kind) {
        drop_all(&made);
        return e;
    }
    pg_statement_cache_closed(&c->statements);
    pg_request *last = CONTAINER_OF(made.head.prev, pg_request, node);
    invariant(last->syncs);
    last->bytes = flight.bytes;
    for (size_t i = 0; i < count; i++)
        requests[i].result->sent = true;
    list_append_all(&c->requests, &made);
    pg_room_take(c, &flight);
    return await_answer(last, (uint32_t)flight.groups, forgotten);
}

error pg_conn_ask(pg_conn *c, pg_write_fn *write, const void *arg, const pg_request *request)
{
    pg_request one = *request;
    one.syncs = true;
    return pg_conn_ask_all(c, write, arg, &one, 1);
}

void pg_request_write_query(pg_writer *w, const void *sql)
{
    pg_write_query(w, *(const str *)sql);
}

error pg_conn_tell(pg_conn *c, pg_write_fn *write, const void *arg, bool resets)
{
    pg_request *r = pg_pool_take_request(c->pool);
    if (!r)
        return error_set(&OUT_OF_MEMORY, "no memory for a request");
    *r = (pg_request){ .conn = c,
                       .kind = PG_REQUEST_SCRIPT,
                       .leased = resets,
                       .syncs = true,
                       .resets = resets,
                       .since_us = loop_now_us(c->pool->loop) };
    const error e = pg_conn_write(c, write, arg);
    if (e.kind) {
        pg_pool_give_request(c->pool, r);
        return e;
    }
    list_append(&c->requests, &r->node);
    pg_room_take(c, &(pg_flight){ .requests = 1, .groups = 1 });
    if (resets)
        c->resetting = true;
    else
        c->abandoned++;
    return OK;
}

/* --- sinks ------------------------------------------------------------------------------------ */

error pg_conn_feed(pg_conn *c, pg_write_fn *write, const void *arg, const pg_request *request)
{
    const group g = { c, write, arg };
    pg_flight flight = { .requests = 1, .groups = 1 };
    TRY(scope_status());
    TRY(await_room(c, &g, &flight));
    pg_request *r = make(c, request);
    if (!r)
        return error_set(&OUT_OF_MEMORY, "no memory for a request");
    const error e = pg_conn_write_sized(c, flight.bytes, write_group, &g);
    if (e.kind) {
        drop(r);
        return e;
    }
    pg_statement_cache_closed(&c->statements);
    r->syncs = true;
    r->bytes = flight.bytes;
    r->result->sent = true;
    list_append(&c->requests, &r->node);
    pg_room_take(c, &flight);
    return OK;
}

void pg_conn_forget_sink(pg_conn *c, const void *sink_arg)
{
    LIST_EACH (pg_request, r, &c->requests, node) {
        if (!r->sink || r->sink_arg != sink_arg)
            continue;
        r->sink = NULL;
        forgotten(r);
        return;
    }
}

/* --- batches ---------------------------------------------------------------------------------- */

static void held_forgotten(void *arg)
{
    pg_request *r = arg;
    if (r->write)
        drop(r);
    else
        forgotten(r);
}

error pg_conn_ask_held(pg_conn *c, pg_write_fn *write, const void *arg, const pg_request *request)
{
    TRY(scope_status());
    if (c->state != PG_CONN_READY)
        return error_set(&PG_CONNECTION_LOST, "%s", c->why[0] ? c->why : "the connection closed");
    pg_request *r = make(c, request);
    if (!r)
        return error_set(&OUT_OF_MEMORY, "no memory for a request");
    r->write = write;
    r->arg = arg;
    list_append(&c->held, &r->node);
    loop_post(c->pool->loop, &c->dispatch); /* after the fibers that are ready too */
    return await_answer(r, 1, held_forgotten);
}

typedef struct batch {
    list *held;
    str preamble;
    size_t count;
    size_t bytes;
} batch;

/* The next of those held, as many as one batch takes. */
static batch next_batch(pg_conn *c)
{
    pg_writer w = { 0 };
    batch b = { .held = &c->held, .preamble = pg_conn_preamble(c) };
    if (b.preamble.ptr)
        pg_write_run(&w, b.preamble);
    LIST_EACH (pg_request, r, &c->held, node) {
        r->write(&w, r->arg);
        if (b.count == BATCH_COUNT_MAX || (b.count > 0 && w.bytes > BATCH_BYTES_MAX))
            break;
        b.count++;
        b.bytes = w.bytes;
    }
    w = (pg_writer){ 0 };
    pg_write_sync(&w);
    b.bytes += w.bytes;
    return b;
}

static void write_batch(pg_writer *w, const void *arg)
{
    const batch *b = arg;
    size_t left = b->count;
    if (b->preamble.ptr)
        pg_write_run(w, b->preamble);
    LIST_EACH (pg_request, r, b->held, node) {
        if (left-- == 0)
            break;
        r->write(w, r->arg);
    }
    pg_write_sync(w);
}

static void send_batch(pg_conn *c, const batch *b)
{
    const error e = pg_conn_write_sized(c, b->bytes, write_batch, b);
    if (e.kind) { /* and the connection does not outlive it */
        pg_conn_end(c, false, e.kind, "a batch could not be sent");
        return;
    }
    for (size_t left = b->count; left-- > 0;) {
        pg_request *r = CONTAINER_OF(c->held.head.next, pg_request, node);
        r->begins = r->begin_parses = b->preamble.ptr && left + 1 == b->count;
        list_remove(&r->node);
        r->write = NULL;
        r->syncs = r->batch = left == 0;
        r->bytes = left == 0 ? b->bytes : 0;
        r->result->sent = true;
        list_append(&c->requests, &r->node);
    }
    c->batches++;
    pg_room_take(c, &(pg_flight){ b->count, 1, b->bytes });
    metrics_record(c->pool->metrics, PG_METRIC_BATCH_SIZE, b->count);
}

static void dispatch(loop_task *task)
{
    pg_conn *c = CONTAINER_OF(task, pg_conn, dispatch);
    pg_room_serve(c);
    while (c->state == PG_CONN_READY && c->batches < BATCHES_MAX && !list_is_empty(&c->held)) {
        const batch b = next_batch(c);
        if (!pg_room_is_free(c, &(pg_flight){ b.count, 1, b.bytes }))
            return;
        send_batch(c, &b);
    }
}
