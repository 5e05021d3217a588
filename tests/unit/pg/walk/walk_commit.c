/* Commits, and what comes of them: COMMIT alone, and with a statement that leaves with it. The
 * COMMIT is an ask of its own, whose tag the backend gives to the next one that comes. */
#include "pool.h"
#include "walk_ask.h"

typedef struct ending {
    walk_ask *commit;
    walk_backend *backend; /* NULL: its connection has gone */
    bool begun, refused, gone;
} ending;

static walk_backend *backend_of(const pg_tx *tx)
{
    for (size_t i = 0; i < WALK_BACKENDS; i++) {
        walk_backend *b = &the_server->backends[i];
        if (tx->conn && b->conn == tx->conn)
            return b;
    }
    return NULL;
}

static ending begin(walk_actor *a, const pg_tx *tx)
{
    ending x = { .backend = backend_of(tx),
                 .begun = tx->begun && !tx->refused,
                 .refused = tx->refused,
                 .gone = tx->conn->state == PG_CONN_CLOSING };
    x.commit = walk_ask_begin(a, true);
    x.commit->loose = true; /* one that is refused is rolled back before its caller hears of it */
    x.commit->commits = true;
    if (x.backend)
        x.backend->commit_tag = x.commit->tag;
    return x;
}

static void end(walk_actor *a, const ending *x, bool right, error e)
{
    walk_ask *k = x->commit;
    if (x->backend && x->backend->commit_tag == k->tag)
        x->backend->commit_tag = 0;
    if (!right)
        walk_problem("commit %llu was told %s; it was %ssent, the server said %d %s%s",
                     (unsigned long long)k->tag, e.kind ? e.kind->name : "OK",
                     k->backend ? "" : "not ", (int)k->verdict, k->state,
                     walk_ask_answered(k) ? ", and it is there" : "");
    walk_tx_tell(a, !e.kind                           ? WALK_STAYS
                    : error_is(e, &PG_COMMIT_UNKNOWN) ? WALK_UNKNOWN
                                                      : WALK_UNDONE);
}

/* COMMIT was not sent, or there was nothing to commit. */
static bool is_right_unsent(const ending *x, const walk_ask *k, error e)
{
    if ((x->gone && error_is(e, &PG_CONNECTION_LOST)) || (x->refused && e.kind))
        return true;
    if (!e.kind)
        return !x->begun;
    return error_is(e, &PG_ROLLED_BACK) ? !x->begun : walk_ask_is_explained(k, e);
}

error walk_tx_commit(walk_actor *a, pg_tx **tx)
{
    const ending x = begin(a, *tx);
    walk_ask *k = x.commit;
    const error e = pg_commit(tx);
    end(a, &x,
        !k->backend            ? is_right_unsent(&x, k, e)
        : walk_ask_answered(k) ? walk_ask_is_said(k, e)
                               : error_is(e, &PG_COMMIT_UNKNOWN),
        e);
    walk_ask_close(k, !e.kind, e);
    return e;
}

/* --- with a statement ------------------------------------------------------------------------- */

/* Runs the statement that `k` is with what commits it. */
static error run(walk_actor *a, walk_ask *k, pg_tx **tx)
{
    const walk_saying s = walk_say(a, k);
    const int64_t tag = (int64_t)k->tag;
    const int32_t count = (int32_t)s.rows, fate = (int32_t)s.fate;
    pg_rows rows = { 0 };
    uint64_t affected = UINT64_MAX;
    const error e = s.has_rows
                        ? pg_commit_query(tx, &rows, str_from_c(s.text), tag, count, fate)
                        : pg_commit_execute(tx, &affected, str_from_c(s.text), tag, count, fate);
    if (*tx)
        walk_problem("%llu has left its transaction to its caller", (unsigned long long)k->tag);
    if (s.has_rows)
        walk_check_rows(k, &rows, e.kind ? 0 : s.rows, 0);
    else if (affected != (e.kind ? UINT64_MAX : s.rows))
        walk_problem("%llu was told of %llu rows of %u", (unsigned long long)k->tag,
                     (unsigned long long)affected, s.rows);
    return e;
}

static bool has_failed(const walk_ask *k)
{
    return walk_ask_answered(k) && k->verdict == WALK_FAILED && !walk_ask_comes_again(k);
}

/* The answer to COMMIT says it, and without one the statement's: that it was refused. */
static bool is_right_with(const ending *x, const walk_ask *k, error e)
{
    const walk_ask *commit = x->commit;
    if (!walk_ask_in_flight(k))
        return e.kind && ((x->gone && error_is(e, &PG_CONNECTION_LOST)) || x->refused ||
                          walk_ask_is_explained(k, e));
    if (has_failed(k))
        return walk_ask_is_said(k, e) ||
               (!walk_ask_answered(commit) && walk_ask_is_cut_off(commit, e));
    return walk_ask_answered(commit) ? walk_ask_is_said(commit, e)
                                     : error_is(e, &PG_COMMIT_UNKNOWN);
}

error walk_tx_commit_with(walk_actor *a, pg_tx **tx)
{
    walk_ask *k = walk_ask_begin(a, true);
    const ending x = begin(a, *tx);
    const error e = run(a, k, tx);
    const bool right = is_right_with(&x, k, e);
    walk_ask_close(x.commit, !e.kind, e);
    walk_ask_close(k, true, e); /* its change is there when the transaction's are */
    end(a, &x, right, e);
    return e;
}

/* Nested, it is a part of the transaction around it from then on, or undone. */
error walk_join_with(walk_actor *a, pg_tx **inner)
{
    walk_ask *k = walk_ask_begin(a, true);
    k->loose = true; /* one that has failed is undone before its caller hears of it */
    const bool refused = (*inner)->refused;
    const error e = run(a, k, inner);
    const bool right = !walk_ask_in_flight(k) ? e.kind && (refused || walk_ask_is_explained(k, e))
                       : has_failed(k)        ? walk_ask_is_said(k, e) || walk_ask_is_cut_off(k, e)
                       : walk_ask_answered(k)
                           ? !e.kind || walk_ask_is_cut_off(k, e) ||
                                 error_is(e, &PG_STATEMENT_STALE) /* what joins it */
                           : e.kind && walk_ask_is_cut_off(k, e);
    if (!right)
        walk_problem("%llu, the last of a nested transaction, was told %s; the server said %d %s",
                     (unsigned long long)k->tag, e.kind ? e.kind->name : "OK", (int)k->verdict,
                     k->state);
    walk_ask_close(k, true, e);
    return e;
}
