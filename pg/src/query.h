/* Running one statement on a connection, for query.c and tx.c. */
#ifndef PG_SRC_QUERY_H
#define PG_SRC_QUERY_H

#include "pool.h"

/* Runs the statement on the connection; `begins`: with a BEGIN before it. With PG_LANE_READ_ONLY it
 * may end as `result->skipped`: it has not run, and is to be run again in another lane.
 *   yields  until the server answered
 *   fails   as pg_query
 *   rows    NULL: not wanted */
YIELDS error pg_run_on(pg_conn *c, pg_lane lane, bool begins, str sql, pg_values values,
                       pg_result *result, pg_rows *rows);
/* Runs a text of several statements by the simple protocol. */
YIELDS error pg_run_script(pg_conn *c, str sql, pg_result *result);

/* Runs the statement in the transaction, and before the first one BEGIN. */
YIELDS error pg_tx_run(pg_tx *tx, str sql, pg_values values, pg_result *result, pg_rows *rows);

#endif
