/* A statement's way: what has to be known of it is found, or asked for in one round trip
 * (prepare.c); then it leaves in one flight and the rows come back. Several statements go the same
 * way at once: one after the other is prepared, and all leave together.
 *
 *   named            Bind, Execute, Sync
 *   unnamed and off  Parse "", Bind, Describe, Execute, Sync; without Describe, and without having
 *                    asked before, where nobody wants rows
 *
 * In the second the portal's description is held against what its formats were chosen by. When that
 * was out of date the values are given out as what they are, so that none is misread.
 *
 * A statement that the server no longer knows, or whose columns have changed, is forgotten; it
 * never began to run, so it is prepared and run once more, but for a transaction, which has failed
 * by then. One that a cancel struck in another's place was undone, and is run once more too. */
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
    if (result->bound || !pg_prepared_is_stale(&report))
        return pg_report_error(&report);
    return pg_report_error_as(&report, &PG_STATEMENT_STALE,
                              "; behind a pooler that shares its servers, set "
                              "PG_STATEMENTS=unnamed, or have it know prepared statements "
                              "(max_prepared_statements)");
}

/* Nothing here may end the fiber: it holds a connection and statements. */
error pg_result_rows(const pg_result *result, pg_rows *out)
{
    pg_row *items =
        arena_try_alloc(result->arena, result->count * sizeof(pg_row), _Alignof(pg_row));
    const pg_column *columns =
        items ? pg_columns_copy(result->arena, result->columns, result->column_count) : NULL;
    if (!columns)
        return error_set(&ARENA_FULL, "no room for %zu rows", result->count);
    size_t i = 0;
    for (const pg_row_node *row = result->first; row; row = row->next)
        items[i++].cells = row->cells;
    *out = (pg_rows){ .items = items,
                      .count = result->count,
                      .columns = columns,
                      .column_count = result->column_count,
                      .affected = result->affected };
    return OK;
}

/* --- running ---------------------------------------------------------------------------------- */

typedef struct execution {
    const pg_run *run;
    str before;          /* goes before the first statement; STR_NONE: nothing */
    bool before_each;    /* before each group of them */
    bool parses;         /* they have no names */
    pg_statement *begin; /* `before`, prepared; NULL: it has no name */
    const pg_call *calls;
    size_t count;
} execution;

static bool has_before(const execution *x, size_t i)
{
    return x->before.ptr && (i == 0 || (x->before_each && x->run->sync_each));
}

static void write_before(pg_writer *w, const execution *x)
{
    if (!x->begin) {
        pg_write_run(w, x->before);
        return;
    }
    pg_write_bind(w, STR(""), pg_statement_name(x->begin), NULL, 0, NULL, 0);
    pg_write_execute(w, STR(""), 0);
}

void pg_write_call(pg_writer *w, str portal, const pg_statement *s, pg_rows_as as, str sql,
                   pg_values values)
{
    const str name = s ? pg_statement_name(s) : STR("");
    if (name.len == 0)
        pg_write_parse(w, name, sql, values.items, values.count);
    pg_write_bind(w, portal, name, values.items, values.count,
                  s ? pg_statement_columns(s, as) : NULL, s ? s->column_count : 0);
    if (s && name.len == 0)
        pg_write_describe_portal(w, portal);
}

/* Without the last Sync. */
static void write_held(pg_writer *w, const void *arg)
{
    const execution *x = arg;
    bool any = false;
    for (size_t i = 0; i < x->count; i++) {
        if (x->calls[i].refused)
            continue;
        if (any && x->run->sync_each)
            pg_write_sync(w);
        any = true;
        if (has_before(x, i))
            write_before(w, x);
        const pg_call *call = &x->calls[i];
        pg_write_call(w, STR(""), call->statement, call->rows_as, call->sql, call->values);
        pg_write_execute(w, STR(""), 0);
    }
}

static void write_execution(pg_writer *w, const void *arg)
{
    write_held(w, arg);
    pg_write_sync(w);
}

error pg_check_call(const pg_pool *pool, str sql, pg_values values)
{
    const size_t most = pool->message_bytes_max;
    size_t bytes = sql.len;
    if (sql.len > 0 && memchr(sql.ptr, '\0', sql.len))
        return error_set(&PG_INVALID_ARGUMENT, "a NUL in a statement");
    if (values.count > PG_VALUES_MAX)
        return error_set(&PG_INVALID_ARGUMENT, "%zu parameters; at most %d are possible",
                         values.count, PG_VALUES_MAX);
    for (size_t i = 0; i < values.count; i++) {
        const size_t value_bytes = pg_value_size(&values.items[i]);
        if (value_bytes > most || (bytes += value_bytes) > most)
            return error_set(&PG_MESSAGE_TOO_LARGE,
                             "parameter %zu makes the statement longer than PG_MESSAGE_MAX, %zu "
                             "bytes",
                             i + 1, most);
    }
    return OK;
}

size_t pg_call_size(str sql, pg_values values)
{
    size_t bytes = sql.len;
    for (size_t i = 0; i < values.count; i++)
        bytes += pg_value_size(&values.items[i]);
    return bytes;
}

/* Forgets what was out of date. In one transaction the others are likely to be as old, and it is
 * run again once only. */
static void note_stale(pg_conn *c, const execution *x, pg_call *call)
{
    pg_result *result = &call->result;
    const bool alone = x->run->sync_each && (!x->begin || result->began);
    result->stale = pg_prepared_forget_stale(c, call->statement, result);
    if (result->stale && !alone) {
        if (!x->calls[0].result.began)
            pg_prepared_forget(c->pool, x->begin);
        for (size_t i = 0; i < x->count; i++)
            pg_prepared_forget(c->pool, x->calls[i].statement);
    }
    if (result->outdated && x->run->lane == PG_LANE_READ_ONLY)
        result->stale = true;
}

static pg_request request_of(const execution *x, size_t i, pg_call *call)
{
    return (pg_request){ .kind = PG_REQUEST_QUERY,
                         .result = &call->result,
                         .statement = call->statement,
                         .rows_as = call->rows_as,
                         .leased = x->run->lane == PG_LANE_LEASED,
                         .begins = has_before(x, i),
                         .begin_parses = has_before(x, i) && !x->begin,
                         .parses = x->parses,
                         .describes = x->parses && call->statement,
                         .syncs = x->run->sync_each || i + 1 == x->count,
                         .repeats = x->count == 1 && x->run->lane != PG_LANE_LEASED };
}

static error ask_for_all(pg_conn *c, const execution *x, pg_call *calls)
{
    pg_request *requests =
        arena_try_alloc(fiber_arena(), x->count * sizeof *requests, _Alignof(pg_request));
    if (!requests)
        return error_set(&ARENA_FULL, "no room for %zu requests", x->count);
    size_t count = 0;
    for (size_t i = 0; i < x->count; i++) {
        if (!calls[i].refused)
            requests[count++] = request_of(x, i, &calls[i]);
    }
    return count > 0 ? pg_conn_ask_all(c, write_execution, x, requests, count) : OK;
}

static error ask(pg_conn *c, const execution *x, pg_call *calls)
{
    if (x->count > 1)
        return ask_for_all(c, x, calls);
    const pg_request request = request_of(x, 0, calls);
    return x->run->lane == PG_LANE_READ_ONLY ? pg_conn_ask_held(c, write_held, x, &request)
                                             : pg_conn_ask(c, write_execution, x, &request);
}

static error finish(const execution *x, pg_call *call)
{
    TRY(pg_result_error(&call->result));
    if (call->result.outdated && x->run->lane == PG_LANE_LEASED) {
        call->result.failure = &PG_STATEMENT_STALE;
        call->result.failure_text = "the types of a statement's columns have changed";
        return pg_result_error(&call->result);
    }
    if (call->affected)
        *call->affected = call->result.affected;
    const error e = call->rows ? pg_result_rows(&call->result, call->rows) : OK;
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
    if (x->parses)
        pg_pool_count(c->pool, PG_METRIC_PARSES, (int64_t)x->count);
    error first = ask(c, x, calls);
    const bool cut_off = first.kind != NULL;
    for (size_t i = 0; i < x->count; i++) {
        pg_call *call = &calls[i];
        if (cut_off && !(x->run->sync_each && call->result.answered))
            continue;
        if (!cut_off)
            note_stale(c, x, call);
        const bool failed = call->result.failure || call->result.report.ptr;
        if (call->result.skipped || (failed && first.kind))
            continue;
        const error e = finish(x, call);
        if (!first.kind)
            first = e;
    }
    return first;
}

/* Of those that are transactions of their own one that is refused keeps no other from running. */
static error prepare_call(pg_conn *c, const execution *x, pg_call *call)
{
    const bool alone = x->run->sync_each && x->count > 1 && x->run->lane != PG_LANE_LEASED;
    const error e = pg_prepared_or_refused(c, x->run->lane, call->sql, call->values,
                                           &call->result.report, &call->statement);
    call->refused = e.kind && alone && call->result.report.ptr;
    return call->refused ? OK : e;
}

static error prepare_all(pg_conn *c, const execution *x, pg_call *calls, pg_statement **begin)
{
    if (x->run->begin.ptr && !x->parses)
        TRY(pg_prepared(c, x->run->lane, x->run->begin, (pg_values){ 0 }, begin));
    for (size_t i = 0; i < x->count; i++) {
        pg_call *call = &calls[i];
        if (!call->rows && x->parses)
            continue;
        TRY(prepare_call(c, x, call));
        if (call->statement)
            TRY(pg_show_as(call->statement, call->rows_as));
    }
    return OK;
}

static void forget_statements(pg_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pg_statement_release(&calls[i].statement);
}

error pg_run_on(pg_conn *c, const pg_run *run, pg_call *calls, size_t count)
{
    const str preamble = pg_conn_preamble(c);
    execution x = { .run = run,
                    .before = run->begin.ptr ? run->begin : preamble,
                    .before_each = !run->begin.ptr,
                    .parses = !pg_conn_is_named(c),
                    .calls = calls,
                    .count = count };
    if (run->lane == PG_LANE_READ_ONLY && count == 1)
        x.before = STR_NONE; /* the batch in which it will leave has it */
    if (calls[0].watch)
        pg_watch_conn(calls[0].watch, c);
    for (size_t i = 0; i < count; i++) {
        calls[i].result = (pg_result){ .arena = calls[i].arena ? calls[i].arena : fiber_arena() };
        calls[i].statement = NULL;
        calls[i].refused = false;
    }
    error e = prepare_all(c, &x, calls, &x.begin);
    if (!e.kind)
        e = execute(c, &x, calls);
    pg_statement_release(&x.begin);
    forget_statements(calls, count);
    return e;
}

error pg_run_script(pg_conn *c, str sql, pg_result *result)
{
    *result = (pg_result){ .arena = fiber_arena() };
    TRY(pg_check_call(c->pool, sql, (pg_values){ 0 }));
    const pg_request request = { .kind = PG_REQUEST_SCRIPT, .result = result, .leased = true };
    TRY(pg_conn_ask(c, pg_request_write_query, &sql, &request));
    return pg_result_error(result);
}

/* Whether to run them once more, and how: a statement that was out of date has not run, and with it
 * nothing of its transaction; nor has one that was skipped. One that was struck is undone. */
static bool again(pg_run *run, const pg_call *calls, size_t count, bool *was_stale)
{
    bool stale = false;
    for (size_t i = 0; i < count; i++)
        stale = stale || calls[i].result.stale;
    if (count == 1 && calls->result.skipped) {
        run->lane = PG_LANE_SHARED; /* now with a Sync of its own: not to be skipped again */
        return true;
    }
    if (calls->result.struck)
        return true;
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
        TRY(pg_pool_acquire(pool, how->lane, how->at, &c));
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
    TRY(pg_check_call(on.pool, call->sql, call->values));
    pg_watch_call(&w, on.pool, call, pg_lane_of(on));
    const pg_run run = { .lane = pg_lane_of(on), .at = on.at };
    const error e =
        on.tx ? pg_tx_run(on.tx, false, call, 1) : pg_run_on_pool(on.pool, &run, call, 1);
    pg_watch_end(&w, call, 1, e);
    return e;
}

error pg_query_values(pg_target on, pg_sql sql, pg_values values, pg_rows *rows)
{
    pg_call call = { sql.text, sql.name, sql.rows_as, values, .rows = rows };
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
