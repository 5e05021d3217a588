/* Transactions: a leased connection that belongs to the scope it was begun in.
 *
 *   pg_begin -> LEASED --first statement--> BEGUN --pg_commit, pg_rollback, the scope's end--> gone
 *
 * BEGIN travels with the first statement, so an empty transaction costs nothing. COMMIT and
 * ROLLBACK that a fuse keeps from being sent leave the rest to the scope's end, where waits are
 * shielded. A connection whose transaction could not be ended is closed: nobody else gets into it.
 */
#include "query.h"

/* BEGIN, COMMIT, ROLLBACK. */
static error run_word(const pg_tx *tx, str sql, pg_result *result)
{
    pg_call call = { .sql = sql };
    const error e = pg_run_on(tx->conn, &(pg_run){ .lane = PG_LANE_LEASED }, &call, 1);
    *result = call.result;
    return e;
}

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

/* Whether the server may still be in the transaction. */
static bool is_open(const pg_tx *tx)
{
    return tx->conn && tx->begun && tx->conn->state == PG_CONN_READY;
}

/* `last`: nobody will try again. */
static error roll_back(pg_tx *tx, bool last)
{
    error e = OK;
    pg_result result;
    if (is_open(tx)) {
        e = run_word(tx, STR("rollback"), &result);
        if (!last && !result.sent && is_open(tx))
            return e; /* a fuse: clean-ups have time of their own */
        if (result.tx_status != 'I')
            break_off(tx, "a transaction could not be rolled back");
    }
    end(tx);
    return e;
}

static error tx_left(void *arg)
{
    return roll_back(arg, true);
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
    tx->left =
        scope_defer(&TX_LEFT, tx); /* first: it needs memory, and without it the fiber ends */
    const error e = pg_pool_acquire(pool, PG_LANE_LEASED, &tx->conn);
    if (e.kind)
        scope_disarm(&tx->left);
    else
        *out = tx;
    return e;
}

pg_target pg_target_tx(pg_tx *tx)
{
    return (pg_target){ .pool = tx->pool, .tx = tx };
}

/* Takes note of what a statement has left the transaction in. */
static void note_state(pg_tx *tx, const pg_result *result)
{
    if (result->tx_status)
        tx->begun = result->tx_status != 'I';
    else if (result->sent)
        tx->begun = true; /* perhaps: nobody waited for the answer */
}

static error run_once(pg_tx *tx, bool sync_each, pg_call *calls, size_t count)
{
    const pg_run run = { .lane = PG_LANE_LEASED, .begins = !tx->begun, .sync_each = sync_each };
    const error e = pg_run_on(tx->conn, &run, calls, count);
    const pg_result *last = &calls[count - 1].result;
    const error_detail *detail = error_detail_of(e);
    note_state(tx, last);
    if (!tx->begun && !last->sent && detail && detail->sqlstate[0])
        tx->refused = true; /* by the server, and before BEGIN: as if it had begun */
    return e;
}

/* A statement or script that has ended the transaction behind our back: `e` is what it gave. */
static error ended_inside(error e)
{
    if (e.kind)
        return error_wrap(e, &PG_INVALID_ARGUMENT, "it ended its transaction, and failed");
    return error_set(&PG_INVALID_ARGUMENT, "it ended its transaction: use pg_commit");
}

/* Why no statement may run any more. */
static error check_open(const pg_tx *tx)
{
    invariant(tx->conn != NULL); /* committed or rolled back */
    return tx->refused ? error_set(&PG_IN_FAILED_TRANSACTION,
                                   "the transaction's first statement was refused")
                       : OK;
}

error pg_tx_run(pg_tx *tx, bool sync_each, pg_call *calls, size_t count)
{
    const pg_result *first = &calls[0].result, *last = &calls[count - 1].result;
    TRY(check_open(tx));
    error e = run_once(tx, sync_each, calls, count);
    if (first->stale && !first->began && !tx->begun)
        e = run_once(tx, sync_each, calls, count); /* BEGIN was stale, and nothing has run */
    return last->bound && last->tx_status == 'I' ? ended_inside(e) : e;
}

error pg_script(pg_tx *tx, str sql)
{
    pg_result result;
    TRY(check_open(tx));
    if (!tx->begun) {
        const error e = run_word(tx, STR("begin"), &result);
        note_state(tx, &result);
        TRY(e);
    }
    const error e = pg_run_script(tx->conn, sql, &result);
    note_state(tx, &result);
    return result.tx_status == 'I' ? ended_inside(e) : e;
}

/* Nothing has reached the server, or all of it was undone there. */
static error commit_nothing(pg_tx *tx)
{
    const bool refused = tx->refused;
    end(tx);
    return refused ? error_set(&PG_ROLLED_BACK, "the transaction's first statement was refused")
                   : OK;
}

error pg_commit(pg_tx **owner)
{
    pg_tx *tx = *owner;
    pg_result result;
    *owner = NULL;
    invariant(tx && tx->conn); /* and not committed twice */
    if (!tx->begun)
        return commit_nothing(tx);
    const error e = run_word(tx, STR("commit"), &result);
    if (result.tx_status == 'I') {
        end(tx);
        return !e.kind && result.rolled_back
                   ? error_set(&PG_ROLLED_BACK, "the server answered COMMIT with ROLLBACK: an "
                                                "earlier statement of the transaction had failed")
                   : e;
    }
    if (e.kind && (!result.sent || result.tx_status)) {
        if (!is_open(tx))
            end(tx);
        return e; /* certainly not committed: what is left is rolled back with the scope */
    }
    break_off(tx, "a commit was not answered");
    end(tx);
    return e.kind ? error_wrap(e, &PG_COMMIT_UNKNOWN, "COMMIT was not answered")
                  : error_set(&PG_COMMIT_UNKNOWN, "COMMIT left the transaction open");
}

error pg_rollback(pg_tx **owner)
{
    pg_tx *tx = *owner;
    *owner = NULL;
    return tx ? roll_back(tx, false) : OK;
}
