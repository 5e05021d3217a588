/* Results of any size: a portal in a transaction, of which the next rows are asked for when the
 * last ones have been used. So the server makes no more than is wanted, and memory holds one piece.
 *
 * How many rows a piece has follows from the size of those before it. */
#include "query.h"
#include "watch.h"

#include <stdio.h>

#define PIECE_BYTES     ((size_t)256 << 10)
#define PIECE_ROWS      64U /* the first */
#define PIECE_ROWS_MAX  4096U
#define ARENA_BYTES_MAX ((size_t)256 << 20)

struct pg_cursor {
    pg_tx *tx;
    pg_tx *own; /* the same, begun for it; NULL: somebody else's */
    pg_statement *statement;
    pg_rows_as rows_as;
    const char *name; /* of the statement; NULL: none */
    char portal[24];
    arena arena;   /* of the rows given out */
    pg_rows first; /* fetched when it was opened */
    uint32_t rows_max;
    bool done;
    deferred *left;
};

static void let_go(pg_cursor *c)
{
    pg_statement_release(&c->statement);
    arena_deinit(&c->arena);
}

static error cursor_left(void *arg)
{
    let_go(arg);
    return OK;
}

static void cursor_abandoned(void *arg)
{
    let_go(arg);
}

static const cleanup CURSOR_LEFT = { .run = cursor_left,
                                     .abandon = cursor_abandoned,
                                     .name = "pg cursor" };

/* --- fetching --------------------------------------------------------------------------------- */

typedef struct fetch {
    const pg_cursor *cursor;
    const pg_values *bind; /* NULL: the portal is there */
} fetch;

static void write_fetch(pg_writer *w, const void *arg)
{
    const fetch *f = arg;
    const pg_cursor *c = f->cursor;
    const str portal = str_from_c(c->portal);
    if (f->bind)
        pg_write_call(w, portal, c->statement, c->rows_as, c->statement->sql, *f->bind);
    pg_write_execute(w, portal, c->rows_max);
    pg_write_sync(w);
}

static size_t bytes_of(const pg_rows *rows)
{
    size_t bytes = 0;
    for (size_t i = 0; i < rows->count; i++) {
        for (uint32_t j = 0; j < rows->column_count; j++)
            bytes += rows->items[i].cells[j].len;
    }
    return bytes;
}

static void learn(pg_cursor *c, const pg_rows *rows)
{
    if (rows->count == 0)
        return;
    const size_t fits = PIECE_BYTES / (bytes_of(rows) / rows->count + 16) + 1;
    c->rows_max = fits < PIECE_ROWS_MAX ? (uint32_t)fits : PIECE_ROWS_MAX;
}

static error fetch_piece(pg_cursor *c, const pg_values *bind, pg_result *result, pg_rows *rows)
{
    const bool is_unnamed = !pg_conn_is_named(c->tx->conn);
    const pg_request request = { .kind = PG_REQUEST_QUERY,
                                 .result = result,
                                 .statement = c->statement,
                                 .rows_as = c->rows_as,
                                 .leased = true,
                                 .partly = true,
                                 .parses = is_unnamed && bind,
                                 .bound = !bind,
                                 .describes = is_unnamed && bind };
    arena_reset(&c->arena);
    const error e = pg_conn_ask(c->tx->conn, write_fetch, &(fetch){ c, bind }, &request);
    pg_tx_note(c->tx, result);
    c->done = e.kind || !result->suspended;
    TRY(e);
    if (pg_prepared_forget_stale(c->tx->conn, c->statement, result))
        return pg_result_error(result);
    if (result->redescribed && !result->failure) { /* and c->statement is the old description */
        result->failure = &PG_STATEMENT_STALE;
        result->failure_text = "a statement's columns have changed";
    }
    TRY(pg_result_error(result));
    TRY(pg_result_rows(result, rows));
    learn(c, rows);
    return OK;
}

/* Each piece is watched as a statement of its own: between them the time is the caller's. */
static error fetch_rows(pg_cursor *c, const pg_values *bind, pg_rows *rows)
{
    pg_watch w;
    pg_call call = { .sql = c->statement->sql, .name = c->name };
    call.result.arena = &c->arena;
    if (bind)
        call.values = *bind;
    pg_watch_call(&w, c->tx->pool, &call, PG_LANE_LEASED);
    pg_watch_conn(&w, c->tx->conn);
    const error e = fetch_piece(c, bind, &call.result, rows);
    pg_watch_end(&w, &call, 1, e);
    return e;
}

/* --- life ------------------------------------------------------------------------------------- */

static error open_portal(pg_cursor *c, pg_target on, str sql, pg_values values)
{
    if (!on.tx) {
        TRY(pg_begin_on(on, NULL, &c->own));
        c->tx = c->own;
    }
    TRY(pg_tx_check(c->tx));
    TRY(pg_tx_enter(c->tx));
    pg_conn *conn = c->tx->conn;
    (void)snprintf(c->portal, sizeof c->portal, "p%u", ++conn->portals);
    pg_pool_count(conn->pool, PG_METRIC_PORTALS, 1);
    TRY(pg_prepared(conn, PG_LANE_LEASED, sql, values, &c->statement));
    TRY(pg_show_as(c->statement, c->rows_as));
    return fetch_rows(c, &values, &c->first);
}

error pg_cursor_open_values(pg_target on, pg_sql sql, pg_values values, pg_cursor **out)
{
    *out = NULL;
    TRY(pg_check_call(on.pool, sql.text, values));
    pg_cursor *c = ARENA_NEW(fiber_arena(), pg_cursor);
    c->tx = on.tx;
    c->name = sql.name;
    c->rows_as = sql.rows_as;
    c->rows_max = PIECE_ROWS;
    arena_init(&c->arena, ARENA_BYTES_MAX);
    c->left = scope_defer(&CURSOR_LEFT, c);
    const error e = open_portal(c, on, sql.text, values);
    if (!e.kind) {
        *out = c;
        return OK;
    }
    scope_disarm(&c->left);
    let_go(c);
    const error undone = pg_rollback(&c->own);
    return e.kind ? e : undone;
}

error pg_cursor_next(pg_cursor *c, pg_rows *rows)
{
    *rows = c->first;
    c->first = (pg_rows){ 0 };
    if (rows->count > 0 || c->done)
        return OK;
    TRY(pg_tx_check(c->tx));
    return fetch_rows(c, NULL, rows);
}

static void write_close(pg_writer *w, const void *arg)
{
    pg_write_close_portal(w, str_from_c(arg));
}

error pg_cursor_close(pg_cursor **owner)
{
    pg_cursor *c = *owner;
    *owner = NULL;
    if (!c)
        return OK;
    error e = OK;
    invariant(c->tx->conn != NULL); /* closed before its transaction ends */
    if (!c->own)                    /* needs no answer, and no Sync: the next statement's does */
        e = pg_conn_write(c->tx->conn, write_close, c->portal);
    pg_tx *own = c->own;
    scope_disarm(&c->left);
    let_go(c);
    return own ? pg_commit(&own) : e;
}
