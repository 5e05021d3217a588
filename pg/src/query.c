/* A statement's way: its prepared form on this connection is found, or made in one round trip; then
 * Bind, Execute and Sync leave together and the rows come back.
 *
 * While one fiber prepares a statement, others that want it wait, and look again. A statement that
 * the server no longer knows, or whose columns have changed, is dropped; it never began to run, so
 * it is prepared and run once more, but for a transaction, which has failed by then. */
#include "query.h"

#include "value.h"

#include <string.h>

/* --- answers ---------------------------------------------------------------------------------- */

/* The error that the answer is, if it is one. */
static error result_error(const pg_result *result)
{
    if (result->failure)
        return error_set(result->failure, "%s", result->failure_text);
    if (!result->report.ptr)
        return OK;
    pg_report report;
    if (!pg_report_read(result->report, &report))
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
static error collect_rows(const pg_result *result, const pg_statement *s, pg_rows *out)
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

static error prepare(pg_conn *c, pg_lane lane, str sql, pg_values values)
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
    const error e = pg_conn_ask(c, write_prepare, &p, &request);
    if (e.kind && s->references == 2 && !s->ready)
        pg_statement_evict(&c->statements, s); /* it was never sent */
    pg_statement_release(&s);
    TRY(e);
    return result_error(&result);
}

static void waiter_forgotten(void *arg)
{
    pg_statement_waiter *w = arg;
    list_remove(&w->node);
}

/* The prepared statement, kept for the caller. */
static error prepared(pg_conn *c, pg_lane lane, str sql, pg_values values, pg_statement **out)
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
    pg_statement *begin; /* NULL: none */
    pg_statement *statement;
    pg_values values;
} execution;

static void write_unsynced(pg_writer *w, const void *arg)
{
    const execution *x = arg;
    if (x->begin) {
        pg_write_bind(w, pg_statement_name(x->begin), NULL, 0, NULL, 0);
        pg_write_execute(w);
    }
    pg_write_bind(w, pg_statement_name(x->statement), x->values.items, x->values.count,
                  x->statement->columns, x->statement->column_count);
    pg_write_execute(w);
}

static void write_execution(pg_writer *w, const void *arg)
{
    write_unsynced(w, arg);
    pg_write_sync(w);
}

static error check_call(str sql, pg_values values)
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

/* Drops the statement that the server did not know any more, or that has other columns now. */
static void drop_stale(pg_conn *c, const execution *x, pg_result *result)
{
    pg_report report;
    if (result->bound || !result->report.ptr || !pg_report_read(result->report, &report) ||
        !(str_eq(report.sqlstate, STR("26000")) || str_eq(report.sqlstate, STR("0A000"))))
        return;
    pg_statement *stale = x->begin && !result->began ? x->begin : x->statement;
    result->stale = error_is_ok(drop_statement(c, stale));
}

static error execute(pg_conn *c, pg_lane lane, const execution *x, pg_result *result, pg_rows *rows)
{
    const pg_request request = { .kind = PG_REQUEST_QUERY,
                                 .result = result,
                                 .statement = x->statement,
                                 .leased = lane == PG_LANE_LEASED,
                                 .begins = x->begin != NULL };
    if (lane == PG_LANE_READ_ONLY)
        TRY(pg_conn_ask_held(c, write_unsynced, x, &request));
    else
        TRY(pg_conn_ask(c, write_execution, x, &request));
    if (result->skipped)
        return OK;
    drop_stale(c, x, result);
    TRY(result_error(result));
    return rows ? collect_rows(result, x->statement, rows) : OK;
}

error pg_run_on(pg_conn *c, pg_lane lane, bool begins, str sql, pg_values values, pg_result *result,
                pg_rows *rows)
{
    pg_statement *begin = NULL, *statement = NULL;
    *result = (pg_result){ .arena = fiber_arena() };
    error e = begins ? prepared(c, lane, STR("begin"), (pg_values){ 0 }, &begin) : OK;
    if (!e.kind)
        e = prepared(c, lane, sql, values, &statement);
    if (!e.kind)
        e = execute(c, lane, &(execution){ begin, statement, values }, result, rows);
    pg_statement_release(&begin);
    pg_statement_release(&statement);
    return e;
}

static void write_script(pg_writer *w, const void *arg)
{
    pg_write_query(w, *(const str *)arg);
}

error pg_run_script(pg_conn *c, str sql, pg_result *result)
{
    *result = (pg_result){ .arena = fiber_arena() };
    TRY(check_call(sql, (pg_values){ 0 }));
    const pg_request request = { .kind = PG_REQUEST_SCRIPT, .result = result, .leased = true };
    TRY(pg_conn_ask(c, write_script, &sql, &request));
    return result_error(result);
}

static error run_on_pool(pg_pool *pool, pg_lane lane, str sql, pg_values values, pg_result *result,
                         pg_rows *rows)
{
    pg_lane way = lane;
    for (bool again = false;;) {
        pg_conn *c;
        TRY(pg_pool_acquire(pool, lane, &c));
        const error e = pg_run_on(c, way, false, sql, values, result, rows);
        const bool stale = result->stale && !pool->closed; /* and with the connection it may go */
        pg_pool_release(&c, false);
        if (result->skipped)
            way = PG_LANE_SHARED; /* now with a Sync of its own: not to be skipped again */
        else if (!e.kind || !stale || again)
            return e;
        else
            again = true;
    }
}

static error run(pg_target on, str sql, pg_values values, pg_result *result, pg_rows *rows)
{
    TRY(check_call(sql, values));
    if (on.tx)
        return pg_tx_run(on.tx, sql, values, result, rows);
    return run_on_pool(on.pool, on.read_only ? PG_LANE_READ_ONLY : PG_LANE_SHARED, sql, values,
                       result, rows);
}

error pg_query_values(pg_target on, str sql, pg_values values, pg_rows *rows)
{
    pg_result result;
    *rows = (pg_rows){ 0 };
    return run(on, sql, values, &result, rows);
}

error pg_execute_values(pg_target on, str sql, pg_values values, uint64_t *affected)
{
    pg_result result;
    TRY(run(on, sql, values, &result, NULL));
    if (affected)
        *affected = result.affected;
    return OK;
}

pg_cell pg_cell_of(const pg_rows *rows, size_t row, size_t column)
{
    invariant(row < rows->count && column < rows->column_count);
    return (pg_cell){ .oid = rows->columns[column].oid,
                      .format = rows->columns[column].format,
                      .bytes = rows->items[row].cells[column] };
}
