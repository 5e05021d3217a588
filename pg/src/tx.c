/* Transactions: a leased connection that belongs to the scope it was begun in.
 *
 *   pg_begin -> LEASED --first statement--> BEGUN --pg_commit, pg_rollback, the scope's end--> gone
 *
 * BEGIN travels with the first statement, so an empty transaction costs nothing. COMMIT and
 * ROLLBACK that a fuse keeps from being sent leave the rest to the scope's end, where waits are
 * shielded. A connection whose transaction could not be ended is closed: nobody else gets into it.
 *
 * A transaction in a transaction is a savepoint, which is set at once: a first statement that the
 * server refuses must not fail what is around it. Only the innermost one is used. */
#include "query.h"
#include "session.h"
#include "watch.h"

#include <stdio.h>
#include <sys/random.h>

#define ATTEMPTS_DEFAULT 5
#define PAUSE_FIRST_MS   4U
#define PAUSE_MS_MAX     500U

/* BEGIN, COMMIT, ROLLBACK. */
static error run_word(const pg_tx *tx, str sql, pg_result *result)
{
    pg_call call = { .sql = sql };
    pg_watch w;
    pg_watch_call(&w, tx->pool, &call, PG_LANE_LEASED);
    const error e = pg_run_on(tx->conn, &(pg_run){ .lane = PG_LANE_LEASED }, &call, 1);
    pg_watch_end(&w, &call, 1, e);
    *result = call.result;
    return e;
}

/* Gives the connection back, to the pool or to the transaction around it. */
static void end(pg_tx *tx)
{
    scope_disarm(&tx->left);
    if (tx->parent)
        tx->parent->child = NULL; /* this one, or none */
    else if (tx->conn)
        pg_pool_release(&tx->conn, true);
    tx->conn = NULL;
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

/* Undoes what came after the savepoint. One after the other: while the transaction has failed, the
 * server prepares nothing but the way out. */
static error undo(const pg_tx *tx, pg_result *result)
{
    TRY(run_word(tx,
                 str_format(fiber_arena(), "rollback to savepoint %.*s", STR_ARG(tx->savepoint)),
                 result));
    return run_word(tx, str_format(fiber_arena(), "release savepoint %.*s", STR_ARG(tx->savepoint)),
                    result);
}

/* `last`: nobody will try again. */
static error roll_back(pg_tx *tx, bool last)
{
    error e = OK;
    pg_result result;
    if (is_open(tx)) {
        e = tx->parent ? undo(tx, &result) : run_word(tx, STR("rollback"), &result);
        if (!tx->parent && result.answered)
            pg_pool_count(tx->pool, PG_METRIC_ROLLBACKS, 1);
        if (!last && !result.sent && is_open(tx) && scope_status().kind)
            return e; /* a fuse: clean-ups have time of their own */
        if (result.tx_status != (tx->parent ? 'T' : 'I'))
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

error pg_tx_check(const pg_tx *tx)
{
    invariant(tx->conn != NULL);  /* committed or rolled back */
    invariant(tx->child == NULL); /* the innermost is to be used */
    invariant(!tx->streams);      /* a pg_stream of it is to be closed first */
    return tx->refused ? error_set(&PG_IN_FAILED_TRANSACTION,
                                   "the transaction's first statement was refused, or not "
                                   "answered")
                       : OK;
}

/* "begin isolation level serializable read only deferrable" */
static str begin_text(const pg_tx_options *o, bool read_only)
{
    static const char *const levels[] = {
        [PG_ISOLATION_DEFAULT] = "",
        [PG_READ_COMMITTED] = " isolation level read committed",
        [PG_REPEATABLE_READ] = " isolation level repeatable read",
        [PG_SERIALIZABLE] = " isolation level serializable",
    };
    if (o->isolation == PG_ISOLATION_DEFAULT && !read_only && !o->deferrable)
        return STR("begin");
    return str_format(fiber_arena(), "begin%s%s%s", levels[o->isolation],
                      read_only ? " read only" : "", o->deferrable ? " deferrable" : "");
}

void pg_tx_note(pg_tx *tx, const pg_result *result)
{
    if (result->tx_status == 'I') {
        for (pg_tx *t = tx; t; t = t->parent)
            t->begun = false;
    } else if (result->tx_status || result->sent) {
        tx->begun = true; /* perhaps, when nobody waited for the answer */
    }
}

/* Nobody knows whether the server has begun it, when nobody waited for the answer: what is sent
 * now might run on its own. */
static void note_begin(pg_tx *tx, const pg_result *result)
{
    const bool begun = tx->begun;
    pg_tx_note(tx, result);
    if (!begun && result->sent && !result->tx_status)
        tx->refused = true;
}

static error run_begin(pg_tx *tx, bool *stale)
{
    pg_result result;
    const error e = run_word(tx, tx->begin, &result);
    note_begin(tx, &result);
    *stale = result.stale;
    return e;
}

error pg_tx_enter(pg_tx *tx)
{
    bool stale;
    if (tx->begun)
        return OK;
    const error e = run_begin(tx, &stale);
    return stale && !tx->begun ? run_begin(tx, &stale) : e;
}

static error begin_nested(pg_tx *parent, pg_tx *tx)
{
    char name[16];
    uint32_t depth = 1;
    bool stale;
    for (const pg_tx *t = parent; t->parent; t = t->parent)
        depth++;
    (void)snprintf(name, sizeof name, "s%u", depth);
    tx->savepoint = str_copy(fiber_arena(), str_from_c(name));
    tx->begin = str_format(fiber_arena(), "savepoint %s", name);
    tx->parent = parent;
    tx->conn = parent->conn;
    TRY(pg_tx_enter(parent));
    TRY(run_begin(tx, &stale));
    parent->child = tx;
    return OK;
}

error pg_begin_on(pg_target on, const pg_tx_options *options, pg_tx **out)
{
    static const pg_tx_options defaults = { 0 };
    const pg_tx_options *o = options ? options : &defaults;
    pg_tx *tx = ARENA_NEW(fiber_arena(), pg_tx);
    *out = NULL;
    if (on.tx)
        TRY(pg_tx_check(on.tx));
    tx->pool = on.pool;
    tx->begin = begin_text(o, o->read_only || on.read_only);
    tx->left =
        scope_defer(&TX_LEFT, tx); /* first: it needs memory, and without it the fiber ends */
    const error e = on.tx ? begin_nested(on.tx, tx)
                          : pg_pool_acquire(on.pool, PG_LANE_LEASED, on.at, &tx->conn);
    if (e.kind) {
        end(tx);
        return e;
    }
    if (!on.tx)
        tx->conn->declared_read_only = o->read_only || on.read_only;
    if (o->session)
        tx->conn->changed |= PG_SESSION_ALL;
    *out = tx;
    return OK;
}

pg_target pg_target_tx(pg_tx *tx)
{
    return (pg_target){ .pool = tx->pool, .tx = tx };
}

static error run_once(pg_tx *tx, bool sync_each, pg_call *calls, size_t count)
{
    const pg_run run = { .lane = PG_LANE_LEASED,
                         .begin = tx->begun ? STR_NONE : tx->begin,
                         .sync_each = sync_each };
    const error e = pg_run_on(tx->conn, &run, calls, count);
    const pg_result *last = &calls[count - 1].result;
    const error_detail *detail = error_detail_of(e);
    note_begin(tx, last);
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

/* Nothing has run then. */
static bool is_begin_stale(const pg_tx *tx, const pg_call *first)
{
    return first->result.stale && !first->result.began && !tx->begun;
}

error pg_tx_run(pg_tx *tx, bool sync_each, pg_call *calls, size_t count)
{
    const pg_result *last = &calls[count - 1].result;
    TRY(pg_tx_check(tx));
    if (sync_each && count > 1) /* behind a BEGIN that failed, the second would run on its own */
        TRY(pg_tx_enter(tx));
    error e = run_once(tx, sync_each, calls, count);
    if (is_begin_stale(tx, calls))
        e = run_once(tx, sync_each, calls, count);
    return last->bound && last->tx_status == 'I' ? ended_inside(e) : e;
}

error pg_script(pg_tx *tx, str sql)
{
    pg_result result;
    TRY(pg_tx_check(tx));
    TRY(pg_tx_enter(tx));
    const error e = pg_run_script(tx->conn, sql, &result);
    pg_tx_note(tx, &result);
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

/* It may have begun, and its first statement was given up. */
static error commit_refused(pg_tx *tx)
{
    TRY(roll_back(tx, false));
    return error_set(&PG_ROLLED_BACK, "the transaction's first statement was not answered");
}

/* A commit that the server has refused is undone at once: nobody has the transaction any more who
 * could. One that a fuse kept from being sent is rolled back with the scope. */
static error undo_refused(pg_tx *tx, const pg_result *result, error e)
{
    if (!is_open(tx) || (!result->tx_status && scope_status().kind))
        return e;
    const error undone = roll_back(tx, false);
    return undone.kind ? error_wrap(undone, e.kind, "it was refused, and not rolled back") : e;
}

/* What commits it: what is nested joins the transaction around it. */
static str commit_text(const pg_tx *tx)
{
    return tx->parent ? str_format(fiber_arena(), "release savepoint %.*s", STR_ARG(tx->savepoint))
                      : STR("commit");
}

/* The server is in no transaction any more. What its answer to COMMIT says holds, whatever became
 * of the statement that COMMIT came with. */
static error conclude(pg_tx *tx, const pg_result *result, error e)
{
    const bool committed = result->answered && !result->report.ptr && !result->rolled_back;
    pg_pool_count(tx->pool, committed ? PG_METRIC_COMMITS : PG_METRIC_ROLLBACKS, 1);
    end(tx);
    if (committed)
        return e.kind ? error_wrap(e, &PG_COMMIT_UNKNOWN,
                                   "it was committed, and the last answer could not be kept")
                      : OK;
    return e.kind ? e
                  : error_set(&PG_ROLLED_BACK, "the server answered COMMIT with ROLLBACK: an "
                                               "earlier statement of the transaction had failed");
}

/* `result`, `e`: of commit_text. `refused`: a statement was with which it came, so that it was not
 * carried out. */
static error commit_answered(pg_tx *tx, const pg_result *result, bool refused, error e)
{
    if (!tx->parent && result->tx_status == 'I')
        return conclude(tx, result, e);
    if (tx->parent && !e.kind) {
        end(tx);
        return OK;
    }
    if (e.kind && (tx->parent || refused || !result->sent || result->tx_status)) {
        if (!is_open(tx))
            end(tx);
        return undo_refused(tx, result, e); /* certainly not committed */
    }
    break_off(tx, "a commit was not answered");
    end(tx);
    return e.kind ? error_wrap(e, &PG_COMMIT_UNKNOWN, "COMMIT was not answered")
                  : error_set(&PG_COMMIT_UNKNOWN, "COMMIT left the transaction open");
}

error pg_commit(pg_tx **owner)
{
    pg_tx *tx = *owner;
    pg_result result;
    *owner = NULL;
    invariant(tx && tx->conn && !tx->child && !tx->streams); /* and not committed twice */
    if (!tx->begun)
        return commit_nothing(tx);
    if (tx->refused)
        return commit_refused(tx);
    if (tx->parent && tx->conn->tx_status == 'E') {
        TRY(roll_back(tx, false));
        return error_set(&PG_ROLLED_BACK, "an earlier statement of the transaction had failed");
    }
    const error e = run_word(tx, commit_text(tx), &result);
    return commit_answered(tx, &result, false, e);
}

static error run_last(pg_tx *tx, pg_call *calls, size_t count)
{
    pg_watch w;
    pg_watch_batch(&w, tx->pool, calls, count);
    error e = run_once(tx, false, calls, count);
    if (is_begin_stale(tx, calls))
        e = run_once(tx, false, calls, count);
    pg_watch_end(&w, calls, count, e);
    return e;
}

/* By the server. The last words of a session do not say so: they may be a pooler's own, of a server
 * whose answers it has lost. */
static bool was_refused(const pg_result *result)
{
    pg_report report;
    return result->report.ptr && pg_report_read(result->report, &report) &&
           !pg_report_is_fatal(&report);
}

error pg_commit_values(pg_tx **owner, pg_sql sql, pg_values values, pg_rows *rows,
                       uint64_t *affected)
{
    pg_tx *tx = *owner;
    *owner = NULL;
    invariant(tx && tx->conn && !tx->child && !tx->streams); /* and not committed twice */
    if (rows)
        *rows = (pg_rows){ 0 };
    if (tx->refused)
        return tx->begun ? commit_refused(tx) : commit_nothing(tx);
    pg_rows last_rows = { 0 };
    pg_call calls[] = { { sql.text, sql.name, sql.rows_as, values }, { .sql = commit_text(tx) } };
    calls[0].rows = rows ? &last_rows : NULL;
    error e = pg_check_call(tx->pool, sql.text, values);
    if (!e.kind)
        e = run_last(tx, calls, ARRAY_LEN(calls));
    const pg_result *last = &calls[0].result;
    TRY(commit_answered(tx, &calls[1].result, was_refused(last), e));
    if (last->rolled_back)
        return error_set(&PG_INVALID_ARGUMENT, "what was to be committed ended with a ROLLBACK");
    if (rows)
        *rows = last_rows;
    if (affected)
        *affected = last->affected;
    return OK;
}

error pg_rollback(pg_tx **owner)
{
    pg_tx *tx = *owner;
    *owner = NULL;
    invariant(!tx || !tx->streams); /* a pg_stream of it is to be closed first */
    return tx ? roll_back(tx, false) : OK;
}

/* --- function form ---------------------------------------------------------------------------- */

typedef struct attempt {
    pg_target on;
    const pg_tx_options *options;
    error (*fn)(pg_tx *tx, void *arg);
    void *arg;
} attempt;

/* In a scope of its own: it is rolled back when that ends. */
static error run_attempt(void *arg)
{
    const attempt *a = arg;
    pg_tx *tx;
    TRY(pg_begin_on(a->on, a->options, &tx));
    TRY(a->fn(tx, a->arg));
    return pg_commit(&tx);
}

static bool may_succeed_again(const pg_tx_options *options, error e)
{
    return pg_error_retryable(e) ||
           (options && options->retries_locks && error_is(e, &PG_LOCK_NOT_AVAILABLE));
}

/* Two that were in each other's way do not meet again at once. */
static error pause_before(uint32_t number)
{
    uint32_t chance = 0;
    const uint32_t ms_max = number < 8 ? PAUSE_FIRST_MS << number : PAUSE_MS_MAX;
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) != sizeof chance)
        chance = ms_max;
    return fiber_sleep(1 + chance % (ms_max < PAUSE_MS_MAX ? ms_max : PAUSE_MS_MAX));
}

error pg_transaction_on(pg_target on, const pg_tx_options *options,
                        error (*fn)(pg_tx *tx, void *arg), void *arg)
{
    attempt a = { on, options, fn, arg };
    const uint32_t asked = options ? options->attempts_max : 0;
    const uint32_t attempts_max = on.tx ? 1 : asked ? asked : ATTEMPTS_DEFAULT;
    for (uint32_t i = 1;; i++) {
        const error e = scope_call(NULL, run_attempt, &a);
        if (!may_succeed_again(options, e) || i == attempts_max)
            return e;
        TRY(pause_before(i));
    }
}
