/* A statement's way: its prepared form on this connection is found, or made in one round trip; then
 * Bind, Execute and Sync leave together and the rows come back. Several statements go the same way
 * at once: one after the other is prepared, and all leave together.
 *
 * While one fiber prepares a statement, others that want it wait, and look again. A statement that
 * the server no longer knows, or whose columns have changed, is dropped; it never began to run, so
 * it is prepared and run once more, but for a transaction, which has failed by then. */
#include "query.h"

#include "value.h"
#include "watch.h"

#include "core/loop.h"

#include <string.h>

/* --- answers ---------------------------------------------------------------------------------- */

/* What the server said, as long as the error that points to it: rows may live shorter. NULL without
 * memory. */
static const char *lasting_report(const pg_result *result)
{
    arena *a = fiber_arena();
    if (result->arena == a)
        return result->report.ptr;
    char *copy = arena_try_alloc(a, result->report.len + 1, 1);
    if (copy)
        memcpy(copy, result->report.ptr, result->report.len);
    return copy;
}

error pg_result_error(const pg_result *result)
{
    if (result->failure)
        return error_set(result->failure, "%s", result->failure_text);
    if (!result->report.ptr)
        return OK;
    pg_report report;
    const str body = { lasting_report(result), result->report.len };
    if (!body.ptr)
        return error_set(&ARENA_FULL, "no room for the answer");
    if (!pg_report_read(body, &report))
        unreachable(); /* the connection has read it already */
    return pg_report_error(&report);
}

/* Columns and their names, copied: a statement may be gone before the rows are. NULL without
 * memory. */
static const pg_column *copy_columns(arena *a, const pg_statement *s)
{
    const size_t column_bytes = s->column_count * sizeof(pg_column);
    size_t name_bytes = 0;
    for (uint32_t i = 0; i < s->column_count; i++)
        name_bytes += s->columns[i].name.len;
    char *memory = arena_try_alloc(a, column_bytes + name_bytes, _Alignof(pg_column));
    if (!memory)
        return NULL;
    pg_column *columns = (pg_column *)(void *)memory;
    char *names = memory + column_bytes;
    for (uint32_t i = 0; i < s->column_count; i++) {
        columns[i] = s->columns[i];
        columns[i].name.ptr = names;
        names = pg_put_bytes(names, s->columns[i].name.ptr, s->columns[i].name.len);
    }
    return columns;
}

/* Nothing here may end the fiber: it holds a connection and statements. */
error pg_result_rows(const pg_result *result, const pg_statement *s, pg_rows *out)
{
    pg_row *items =
        arena_try_alloc(result->arena, result->count * sizeof(pg_row), _Alignof(pg_row));
    const pg_column *columns = items ? copy_columns(result->arena, s) : NULL;
    if (!columns)
        return error_set(&ARENA_FULL, "no room for %zu rows", result->count);
    size_t i = 0;
    for (const pg_row_node *row = result->first; row; row = row->next)
        items[i++].cells = row->cells;
    *out = (pg_rows){ .items = items,
                      .count = result->count,
                      .columns = columns,
                      .column_count = s->column_count,
                      .affected = result->affected };
    return OK;
}

/* --- preparing -------------------------------------------------------------------------------- */

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

static void write_close(pg_writer *w, const void *arg)
{
    pg_write_close_statement(w, *(const str *)arg);
}

/* Takes a statement out of the cache and has the server forget it, which needs no answer. */
static error drop_statement(pg_conn *c, pg_statement *s)
{
    const str name = pg_statement_name(s);
    const error e = c->state == PG_CONN_READY ? pg_conn_write(c, write_close, &name) : OK;
    pg_statement_evict(&c->statements, s);
    return e;
}

static error make_prepared(pg_conn *c, pg_lane lane, str sql, pg_values values)
{
    pg_statement *surplus = pg_statement_surplus(&c->statements);
    if (surplus)
        TRY(drop_statement(c, surplus));
    pg_statement *s = pg_statement_add(&c->statements, sql, values.items, values.count);
    if (!s)
        return error_set(&OUT_OF_MEMORY, "no memory for a statement");
    const preparation p = { pg_statement_name(s), sql, values };
    pg_result result = { .arena = fiber_arena() };
    const pg_request request = { .kind = PG_REQUEST_PREPARE,
                                 .result = &result,
                                 .statement = s,
                                 .leased = lane == PG_LANE_LEASED };
    pg_statement_keep(s);
    pg_pool_count(c->pool, PG_METRIC_PARSES, 1);
    const error e = pg_conn_ask(c, write_prepare, &p, &request);
    if (e.kind && s->references == 2 && !s->ready)
        pg_statement_evict(&c->statements, s); /* it was never sent */
    pg_statement_release(&s);
    TRY(e);
    return pg_result_error(&result);
}

static error prepare(pg_conn *c, pg_lane lane, str sql, pg_values values)
{
    const pg_pool *pool = c->pool;
    if (LIKELY(!pool->trace))
        return make_prepared(c, lane, sql, values);
    pg_span span = { .sql = sql, .statements = 1 };
    const uint64_t began_us = loop_now_us(pool->loop);
    pg_span_start(pool, &pool->trace->prepare, &span);
    const error e = make_prepared(c, lane, sql, values);
    pg_span_end(pool, &pool->trace->prepare, &span, c, began_us, e);
    return e;
}

static void waiter_forgotten(void *arg)
{
    pg_statement_waiter *w = arg;
    list_remove(&w->node);
}

error pg_prepared(pg_conn *c, pg_lane lane, str sql, pg_values values, pg_statement **out)
{
    for (;;) {
        pg_statement *s = pg_statement_find(&c->statements, sql, values.items, values.count);
        if (s && s->ready) {
            *out = pg_statement_keep(s);
            return OK;
        }
        if (!s) {
            TRY(prepare(c, lane, sql, values));
            continue;
        }
        pg_statement_waiter w = { .fiber = fiber_self() };
        list_append(&s->waiters, &w.node);
        TRY(fiber_park("pg prepare", waiter_forgotten, &w));
    }
}

/* --- running ---------------------------------------------------------------------------------- */

typedef struct execution {
    const pg_run *run;
    pg_statement *begin; /* NULL: none */
    const pg_call *calls;
    size_t count;
} execution;

static void write_one(pg_writer *w, const pg_statement *s, pg_values values)
{
    pg_write_bind(w, STR(""), pg_statement_name(s), values.items, values.count, s->columns,
                  s->column_count);
    pg_write_execute(w, STR(""), 0);
}

/* Without the last Sync. */
static void write_held(pg_writer *w, const void *arg)
{
    const execution *x = arg;
    if (x->begin)
        write_one(w, x->begin, (pg_values){ 0 });
    for (size_t i = 0; i < x->count; i++) {
        if (i > 0 && x->run->sync_each)
            pg_write_sync(w);
        write_one(w, x->calls[i].statement, x->calls[i].values);
    }
}

static void write_execution(pg_writer *w, const void *arg)
{
    write_held(w, arg);
    pg_write_sync(w);
}

error pg_check_call(str sql, pg_values values)
{
    size_t bytes = sql.len;
    if (sql.len > 0 && memchr(sql.ptr, '\0', sql.len))
        return error_set(&PG_INVALID_ARGUMENT, "a NUL in a statement");
    if (values.count > PG_VALUES_MAX)
        return error_set(&PG_INVALID_ARGUMENT, "%zu parameters; at most %d are possible",
                         values.count, PG_VALUES_MAX);
    for (size_t i = 0; i < values.count; i++) {
        const size_t value_bytes = pg_value_size(&values.items[i]);
        if (value_bytes > PG_MESSAGE_BYTES_MAX || (bytes += value_bytes) > PG_MESSAGE_BYTES_MAX)
            return error_set(&PG_MESSAGE_TOO_LARGE,
                             "parameter %zu makes the statement longer "
                             "than 64 MiB",
                             i + 1);
    }
    return OK;
}

/* In one transaction the others are likely to be as old, and it is run again once only. */
static error drop_all(pg_conn *c, const execution *x)
{
    if (x->begin)
        TRY(drop_statement(c, x->begin));
    for (size_t i = 0; i < x->count; i++)
        TRY(drop_statement(c, x->calls[i].statement));
    return OK;
}

/* When the server did not know a statement any more, or it has other columns now. */
static void drop_stale(pg_conn *c, const execution *x, pg_call *call)
{
    pg_report report;
    pg_result *result = &call->result;
    if (result->bound || !result->report.ptr || !pg_report_read(result->report, &report) ||
        !(str_eq(report.sqlstate, STR("26000")) || str_eq(report.sqlstate, STR("0A000"))))
        return;
    const bool alone = x->run->sync_each && (!x->begin || result->began);
    result->stale = error_is_ok(alone ? drop_statement(c, call->statement) : drop_all(c, x));
}

static pg_request request_of(const execution *x, size_t i, pg_call *call)
{
    return (pg_request){ .kind = PG_REQUEST_QUERY,
                         .result = &call->result,
                         .statement = call->statement,
                         .leased = x->run->lane == PG_LANE_LEASED,
                         .begins = i == 0 && x->begin,
                         .syncs = x->run->sync_each || i + 1 == x->count };
}

static error ask_for_all(pg_conn *c, const execution *x, pg_call *calls)
{
    pg_request *requests =
        arena_try_alloc(fiber_arena(), x->count * sizeof *requests, _Alignof(pg_request));
    if (!requests)
        return error_set(&ARENA_FULL, "no room for %zu requests", x->count);
    for (size_t i = 0; i < x->count; i++)
        requests[i] = request_of(x, i, &calls[i]);
    return pg_conn_ask_all(c, write_execution, x, requests, x->count);
}

static error ask(pg_conn *c, const execution *x, pg_call *calls)
{
    if (x->count > 1)
        return ask_for_all(c, x, calls);
    const pg_request request = request_of(x, 0, calls);
    return x->run->lane == PG_LANE_READ_ONLY ? pg_conn_ask_held(c, write_held, x, &request)
                                             : pg_conn_ask(c, write_execution, x, &request);
}

static error finish(pg_call *call)
{
    TRY(pg_result_error(&call->result));
    if (call->affected)
        *call->affected = call->result.affected;
    const error e = call->rows ? pg_result_rows(&call->result, call->statement, call->rows) : OK;
    if (e.kind) {
        call->result.failure = e.kind;
        call->result.failure_text = "no room for its rows";
    }
    return e;
}

/* Everything is prepared. The first error is the result; what has an answer gets it: when the wait
 * ended before the last one, those that were transactions of their own. */
static error execute(pg_conn *c, const execution *x, pg_call *calls)
{
    error first = ask(c, x, calls);
    const bool cut_off = first.kind != NULL;
    for (size_t i = 0; i < x->count; i++) {
        pg_call *call = &calls[i];
        if (cut_off && !(x->run->sync_each && call->result.answered))
            continue;
        if (!cut_off)
            drop_stale(c, x, call);
        const bool failed = call->result.failure || call->result.report.ptr;
        if (call->result.skipped || (failed && first.kind))
            continue;
        const error e = finish(call);
        if (!first.kind)
            first = e;
    }
    return first;
}

static void forget_statements(pg_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pg_statement_release(&calls[i].statement);
}

error pg_run_on(pg_conn *c, const pg_run *run, pg_call *calls, size_t count)
{
    pg_statement *begin = NULL;
    if (calls[0].watch)
        pg_watch_conn(calls[0].watch, c);
    for (size_t i = 0; i < count; i++) {
        calls[i].result = (pg_result){ .arena = calls[i].arena ? calls[i].arena : fiber_arena() };
        calls[i].statement = NULL;
    }
    error e = run->begin.ptr ? pg_prepared(c, run->lane, run->begin, (pg_values){ 0 }, &begin) : OK;
    for (size_t i = 0; i < count && !e.kind; i++)
        e = pg_prepared(c, run->lane, calls[i].sql, calls[i].values, &calls[i].statement);
    if (!e.kind)
        e = execute(c, &(execution){ run, begin, calls, count }, calls);
    pg_statement_release(&begin);
    forget_statements(calls, count);
    return e;
}

error pg_run_script(pg_conn *c, str sql, pg_result *result)
{
    *result = (pg_result){ .arena = fiber_arena() };
    TRY(pg_check_call(sql, (pg_values){ 0 }));
    const pg_request request = { .kind = PG_REQUEST_SCRIPT, .result = result, .leased = true };
    TRY(pg_conn_ask(c, pg_request_write_query, &sql, &request));
    return pg_result_error(result);
}

/* Whether to run them once more, and how: a statement that was out of date has not run, and with it
 * nothing of its transaction; nor has one that was skipped. */
static bool again(pg_run *run, const pg_call *calls, size_t count, bool *was_stale)
{
    bool stale = false;
    for (size_t i = 0; i < count; i++)
        stale = stale || calls[i].result.stale;
    if (count == 1 && calls->result.skipped) {
        run->lane = PG_LANE_SHARED; /* now with a Sync of its own: not to be skipped again */
        return true;
    }
    if (!stale || *was_stale || (run->sync_each && count > 1))
        return false;
    *was_stale = true;
    return true;
}

/* What was answered the last time is not what is answered now. */
static void forget_answers(pg_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        calls[i].result = (pg_result){ 0 };
}

error pg_run_on_pool(pg_pool *pool, const pg_run *how, pg_call *calls, size_t count)
{
    pg_run run = *how;
    bool was_stale = false;
    for (;;) {
        pg_conn *c;
        const uint64_t from_us = loop_now_us(pool->loop);
        forget_answers(calls, count);
        TRY(pg_pool_acquire(pool, how->lane, &c));
        if (calls[0].watch)
            calls[0].watch->waited_us += loop_now_us(pool->loop) - from_us;
        const error e = pg_run_on(c, &run, calls, count);
        const bool closed = pool->closed; /* and with the connection it may go */
        pg_pool_release(&c, false);
        if (!closed && again(&run, calls, count, &was_stale)) {
            pg_pool_count(pool, PG_METRIC_REQUEUES, 1);
            continue;
        }
        return calls->result.skipped && count == 1
                   ? error_set(&PG_POOL_CLOSED, "the pool was closed")
                   : e;
    }
}

error pg_run_call(pg_target on, pg_call *call)
{
    pg_watch w;
    TRY(pg_check_call(call->sql, call->values));
    pg_watch_call(&w, on.pool, call, pg_lane_of(on));
    const error e = on.tx ? pg_tx_run(on.tx, false, call, 1)
                          : pg_run_on_pool(on.pool, &(pg_run){ .lane = pg_lane_of(on) }, call, 1);
    pg_watch_end(&w, call, 1, e);
    return e;
}

error pg_query_values(pg_target on, pg_sql sql, pg_values values, pg_rows *rows)
{
    pg_call call = { .sql = sql.text, .name = sql.name, .values = values, .rows = rows };
    *rows = (pg_rows){ 0 };
    return pg_run_call(on, &call);
}

error pg_execute_values(pg_target on, pg_sql sql, pg_values values, uint64_t *affected)
{
    pg_call call = { .sql = sql.text, .name = sql.name, .values = values };
    call.affected = affected;
    return pg_run_call(on, &call);
}

pg_cell pg_cell_of(const pg_rows *rows, size_t row, size_t column)
{
    invariant(row < rows->count && column < rows->column_count);
    return (pg_cell){ .oid = rows->columns[column].oid,
                      .format = rows->columns[column].format,
                      .bytes = rows->items[row].cells[column] };
}
