/* Running statements on a connection, for query.c, batch.c and tx.c. */
#ifndef PG_SRC_QUERY_H
#define PG_SRC_QUERY_H

#include "pool.h"

/* One statement: what is asked, where the answer goes, and the answer. */
typedef struct pg_call {
    str sql;
    const char *name; /* NULL: none */
    pg_rows_as rows_as;
    pg_values values;
    pg_rows *rows;           /* NULL: not wanted */
    uint64_t *affected;      /* NULL: not wanted */
    struct pg_watch *watch;  /* of the first call: who watches all of them; NULL: nobody */
    arena *arena;            /* of the rows; NULL: the fiber's */
    pg_statement *statement; /* what is known of it while it runs; NULL: nothing */
    bool refused;            /* when it was prepared: it does not run, others do */
    pg_result result;
} pg_call;

/* How statements run. */
typedef struct pg_run {
    pg_lane lane;
    str begin;      /* goes before the first; STR_NONE: nothing */
    bool sync_each; /* each is a transaction of its own; otherwise all are one */
    const char *at; /* pg_target.at */
} pg_run;

static inline pg_lane pg_lane_of(pg_target on)
{
    return on.read_only ? PG_LANE_READ_ONLY : PG_LANE_SHARED;
}

/* What cannot be sent.
 *   fails  PG_INVALID_ARGUMENT, PG_MESSAGE_TOO_LARGE */
error pg_check_call(const pg_pool *pool, str sql, pg_values values);

/* About how many bytes it is, of one that can be sent. */
size_t pg_call_size(str sql, pg_values values);

/* What is known of a statement that is to run on the connection, kept for the caller.
 *   yields  when it has to be asked for
 *   fails   as pg_query */
YIELDS error pg_prepared(pg_conn *c, pg_lane lane, str sql, pg_values values, pg_statement **out);
/* The same. `refusal`: what the server said when it refused it, in the fiber's arena, or STR_NONE.
 */
YIELDS error pg_prepared_or_refused(pg_conn *c, pg_lane lane, str sql, pg_values values,
                                    str *refusal, pg_statement **out);
/* Makes the columns of what pg_prepared gave known in the formats of `as`; before they are asked
 * for. fails  OUT_OF_MEMORY */
error pg_show_as(pg_statement *s, pg_rows_as as);
/* Whether a server's error says that it was out of date, if the statement did not begin to run. */
bool pg_prepared_is_stale(const pg_report *report);
/* Forgets a statement, on all connections of the pool; NULL is allowed. */
void pg_prepared_forget(pg_pool *pool, pg_statement *s);
/* Forgets what an answer says to be out of date; `s` (may be NULL) was used. Returns whether. */
bool pg_prepared_forget_stale(pg_conn *c, pg_statement *s, const pg_result *result);
/* [Parse] Bind [Describe], of what pg_prepared gave, or of NULL: rows are of no interest. */
void pg_write_call(pg_writer *w, str portal, const pg_statement *s, pg_rows_as as, str sql,
                   pg_values values);
/* The error that an answer is, or OK. */
error pg_result_error(const pg_result *result);
/* The rows of an answer, in its arena.
 *   fails  ARENA_FULL */
error pg_result_rows(const pg_result *result, pg_rows *out);

/* Runs the statements on the connection, all in one flight. One alone with PG_LANE_READ_ONLY may
 * end as `result.skipped`: it has not run, and is to be run again in another lane.
 *   yields  until the server answered
 *   fails   as pg_query, by the first that failed */
YIELDS error pg_run_on(pg_conn *c, const pg_run *run, pg_call *calls, size_t count);
/* The same on a connection of the pool, and again where that is right. */
YIELDS error pg_run_on_pool(pg_pool *pool, const pg_run *how, pg_call *calls, size_t count);
/* Runs one statement, as pg_query. */
YIELDS error pg_run_call(pg_target on, pg_call *call);
/* Runs a text of several statements by the simple protocol. */
YIELDS error pg_run_script(pg_conn *c, str sql, pg_result *result);

/* Why no statement may run in it any more, or OK. It must not have ended, nor have one inside. */
error pg_tx_check(const pg_tx *tx);
/* Begins the transaction now, if it has not begun, for what cannot travel with its BEGIN. */
YIELDS error pg_tx_enter(pg_tx *tx);
/* Takes note of what an answer has left the transaction in. */
void pg_tx_note(pg_tx *tx, const pg_result *result);
/* Runs the statements in the transaction, and before its first one BEGIN. */
YIELDS error pg_tx_run(pg_tx *tx, bool sync_each, pg_call *calls, size_t count);

#endif
