/* Transactions: a leased connection that belongs to the scope it was begun in.
 *
 *   pg_begin -> LEASED --first statement--> BEGUN --pg_commit, pg_rollback, the scope's end--> gone
 *
 * BEGIN travels with the first statement, so an empty transaction costs nothing. A connection whose
 * transaction could not be ended is closed: nobody else gets into it. */
#include "query.h"

#include <stdio.h>

/* Gives the connection back. */
static void end(pg_tx *tx)
{
    scope_disarm(&tx->left);
    if (tx->conn)
        pg_pool_release(&tx->conn, true);
}

/* The state of the transaction is not known. */
static void break_off(pg_tx *tx, const char *text)
{
    if (tx->conn)
        pg_conn_end(tx->conn, false, &PG_CONNECTION_LOST, text);
}

static error roll_back(pg_tx *tx)
{
    error e = OK;
    pg_result result;
    if (tx->conn && tx->begun && tx->conn->state == PG_CONN_READY) {
        e = pg_run_on(tx->conn, true, false, STR("rollback"), (pg_values){ 0 }, &result, NULL);
        if (e.kind)
            break_off(tx, "a transaction could not be rolled back");
    }
    end(tx);
    return e;
}

static error tx_left(void *arg)
{
    return roll_back(arg);
}

static void tx_abandoned(void *arg)
{
    pg_tx *tx = arg;
    break_off(tx, "the fiber of a transaction faulted");
    tx->left = NULL;
    end(tx);
}

static const cleanup TX_LEFT = { .run = tx_left, .abandon = tx_abandoned, .name = "pg rollback" };

error pg_begin(pg_pool *pool, pg_tx **out)
{
    pg_tx *tx = ARENA_NEW(fiber_arena(), pg_tx);
    *out = NULL;
    tx->pool = pool;
    TRY(pg_pool_acquire(pool, true, &tx->conn));
    tx->left = scope_defer(&TX_LEFT, tx);
    *out = tx;
    return OK;
}

pg_target pg_target_tx(pg_tx *tx)
{
    return (pg_target){ tx->pool, tx };
}

error pg_tx_run(pg_tx *tx, str sql, pg_values values, pg_result *result, pg_rows *rows)
{
    invariant(tx->conn != NULL); /* committed or rolled back */
    const error e = pg_run_on(tx->conn, true, !tx->begun, sql, values, result, rows);
    if (result->tx_status)
        tx->begun = result->tx_status != 'I';
    return e;
}

error pg_script(pg_tx *tx, str sql)
{
    pg_result result;
    invariant(tx->conn != NULL);
    if (!tx->begun) {
        TRY(pg_run_on(tx->conn, true, false, STR("begin"), (pg_values){ 0 }, &result, NULL));
        tx->begun = true;
    }
    const error e = pg_run_script(tx->conn, sql, &result);
    if (result.tx_status != 'I')
        return e;
    tx->begun = false;
    if (e.kind)
        return error_wrap(e, &PG_INVALID_ARGUMENT, "the script ended its transaction, and failed");
    return error_set(&PG_INVALID_ARGUMENT, "the script ended its transaction");
}

error pg_commit(pg_tx **owner)
{
    pg_tx *tx = *owner;
    pg_result result;
    *owner = NULL;
    invariant(tx->conn != NULL);
    if (!tx->begun) {
        end(tx);
        return OK;
    }
    const bool sent = tx->conn->state == PG_CONN_READY;
    const error e =
        pg_run_on(tx->conn, true, false, STR("commit"), (pg_values){ 0 }, &result, NULL);
    const bool answered = result.tx_status != '\0';
    if (e.kind && !answered)
        break_off(tx, "a commit was not answered");
    end(tx);
    if (!e.kind && result.rolled_back)
        return error_set(&PG_ROLLED_BACK, "the server answered COMMIT with ROLLBACK: an earlier "
                                          "statement of the transaction had failed");
    if (e.kind && !answered && sent)
        return error_wrap(e, &PG_COMMIT_UNKNOWN, "COMMIT was not answered");
    return e;
}

error pg_rollback(pg_tx **owner)
{
    pg_tx *tx = *owner;
    *owner = NULL;
    return tx ? roll_back(tx) : OK;
}
