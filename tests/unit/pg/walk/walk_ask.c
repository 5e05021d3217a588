/* The judgement. What a backend has said to an ask is noted as it is said; whether the client could
 * know it by then follows from the bytes that were delivered. */
#include "walk_ask.h"

#include "pool.h"

#include "core/clock.h"

#include <stdlib.h>

static walk_ask *ask_of(uint64_t tag)
{
    walk_ask *k = &the_actors->asks[tag % WALK_ASKS];
    return tag && k->tag == tag ? k : NULL;
}

const walk_ask *walk_ask_of(uint64_t tag)
{
    const walk_ask *k = ask_of(tag);
    return k && k->open ? k : NULL;
}

/* --- what there is ---------------------------------------------------------------------------- */

bool walk_ask_is_dead(const walk_ask *k)
{
    const walk_backend *b = k->backend;
    return b && (b->process != k->process || !b->conn || b->conn->state == PG_CONN_CLOSING);
}

bool walk_ask_answered(const walk_ask *k)
{
    const walk_backend *b = k->backend;
    if (!b || k->verdict == WALK_WAITS)
        return false;
    const walk_request *r = b->process == k->process ? walk_backend_request(b, k->request) : NULL;
    return r ? walk_backend_has_told(b, r) : k->delivered;
}

static bool was_stale(const walk_ask *k)
{
    return k->verdict == WALK_FAILED && !k->bound && strcmp(k->state, "26000") == 0;
}

/* A cancel that was meant for another one undid it. */
static bool was_struck(const walk_ask *k)
{
    return k->verdict == WALK_FAILED && strcmp(k->state, "57014") == 0;
}

/* It was not carried out, and the client runs it once more by itself. */
bool walk_ask_comes_again(const walk_ask *k)
{
    if (k->read_only && k->verdict == WALK_SKIPPED)
        return true;
    if (!k->in_tx && !k->together && was_struck(k))
        return true;
    const uint32_t most = k->in_tx || !k->pipelined ? 1 : k->together ? 2 : 3;
    const uint32_t times = k->together && !k->pipelined ? k->attempts : k->stale;
    return was_stale(k) && (!k->in_tx || k->at_begin) && times <= most;
}

/* It was behind an error in a batch of reads, or behind the last words of a server that has left,
 * or it is a stream whose statement was out of date: then it comes again too, if the client has
 * heard so much. */
static bool may_come_again(const walk_ask *k)
{
    if (!walk_ask_is_dead(k) || walk_ask_answered(k))
        return false;
    return (k->read_only && (k->verdict == WALK_SKIPPED || walk_said_goodbye(k->process))) ||
           (k->streams && was_stale(k));
}

/* It waits at the server, or for what the server says. */
bool walk_ask_in_flight(const walk_ask *k)
{
    return k->backend && !may_come_again(k) && !(walk_ask_comes_again(k) && walk_ask_answered(k));
}

static bool some_died(const walk_ask *k)
{
    if (the_actors->deaths > k->deaths)
        return true;
    LIST_EACH (pg_conn, c, &the_actors->pool->conns, node) {
        if (c->state == PG_CONN_CLOSING)
            return true;
    }
    return false;
}

/* --- what the server tells -------------------------------------------------------------------- */

void walk_heard_request(uint64_t tag, walk_backend *b, uint64_t request)
{
    walk_ask *k = ask_of(tag);
    if (!k || !k->open) {
        walk_problem("%llu is sent, and nobody asks for it", (unsigned long long)tag);
        return;
    }
    const bool undone = k->together && !k->pipelined; /* with another of its batch */
    const bool left = k->read_only && k->backend && walk_said_goodbye(k->process);
    if (k->attempts > 0 && !k->repeats && !k->loose && !undone && k->verdict != WALK_SKIPPED &&
        !was_stale(k) && !(walk_ask_comes_again(k) && was_struck(k)) && !left)
        walk_problem("%llu is sent a second time, after it was %d %s", (unsigned long long)tag,
                     (int)k->verdict, k->state);
    if (!k->read_only && b->read_only && k->in_tx)
        walk_problem("%llu of a transaction goes to a read-only connection",
                     (unsigned long long)tag);
    k->attempts++;
    k->backend = b;
    k->process = b->process;
    k->request = request;
    k->delivered = false;
    k->came = 0;
    k->verdict = WALK_WAITS;
    k->state[0] = '\0';
}

void walk_heard_row(const walk_backend *b, uint64_t tag)
{
    walk_ask *k = ask_of(tag);
    if (k && k->backend == b && k->process == b->process)
        k->came++;
}

void walk_heard_verdict(const walk_backend *b, uint64_t request)
{
    const walk_request *r = &b->requests[request % WALK_REQUESTS];
    walk_ask *k = ask_of(r->tag);
    if (!k || k->backend != b || k->process != b->process || k->request != request)
        return;
    k->verdict = r->verdict;
    k->bound = r->bound;
    k->rolled_back = r->rolled_back;
    k->at_begin = r->begins && r->begun_at == WALK_NEVER;
    memcpy(k->state, r->state, sizeof k->state);
    if (was_stale(k))
        k->stale++;
}

void walk_heard_delivery(const walk_backend *b, uint64_t request)
{
    walk_ask *k = ask_of(b->requests[request % WALK_REQUESTS].tag);
    if (k && k->backend == b && k->process == b->process && k->request == request)
        k->delivered = true;
}

void walk_heard_effect(uint64_t tag, bool stays)
{
    walk_ask *k = ask_of(tag);
    if (!k)
        return;
    if (stays && k->told == WALK_UNDONE)
        walk_problem("%llu is committed, and its caller was told that it is not",
                     (unsigned long long)tag);
    if (!stays && k->told == WALK_STAYS)
        walk_problem("%llu is undone, and its caller was told that it is there",
                     (unsigned long long)tag);
    if (stays && k->effect == WALK_STAYS)
        walk_problem("%llu was carried out twice", (unsigned long long)tag);
    if (stays && k->reads)
        walk_problem("%llu was to read, and has changed something", (unsigned long long)tag);
    k->effect = stays ? WALK_STAYS : WALK_UNDONE;
}

void walk_heard_death(void)
{
    the_actors->deaths++;
}

/* --- the judgement ---------------------------------------------------------------------------- */

static const char *name_of(error e)
{
    return e.kind ? e.kind->name : "OK";
}

/* An error that the server has not said of this very ask. */
bool walk_ask_is_explained(const walk_ask *k, error e)
{
    const walk_actor *a = k->actor;
    if (error_is(e, &CANCELED))
        return a->canceled;
    if (error_is(e, &TIMED_OUT))
        return clock_ms() >= a->deadline_ms;
    if (error_is(e, &PG_CONNECTION_LOST) || error_is(e, &PG_PROTOCOL_VIOLATION))
        return walk_ask_in_flight(k) ? walk_ask_is_dead(k) && !walk_ask_answered(k)
                                     : some_died(k) || (k->in_tx && a->tx && a->tx->conn &&
                                                        a->tx->conn->state == PG_CONN_CLOSING);
    if (error_is(e, &PG_ADMIN_SHUTDOWN)) /* the last words may be one's answer */
        return k->backend && walk_said_goodbye(k->process) && !walk_ask_answered(k);
    if (walk_ask_in_flight(k))
        return false;
    if (error_is(e, &PG_POOL_TIMED_OUT) || error_is(e, &PG_POOL_OVERLOADED) ||
        error_is(e, &PG_CONNECT_FAILED))
        return true;
    if (error_is(e, &PG_NESTED_ACQUIRE))
        return a->ask_count > 1; /* it has a stream */
    if (error_is(e, &PG_SYNTAX))
        return k->bad;
    /* That of BEGIN, or of a preparation in a transaction that has failed: */
    return (k->in_tx || (k->streams && k->reads)) &&
           (error_is(e, &PG_IN_FAILED_TRANSACTION) || error_is(e, &PG_STATEMENT_STALE));
}

bool walk_ask_is_cut_off(const walk_ask *k, error e)
{
    if (error_is(e, &CANCELED))
        return k->actor->canceled;
    if (error_is(e, &TIMED_OUT))
        return clock_ms() >= k->actor->deadline_ms;
    if (error_is(e, &PG_CONNECTION_LOST) || error_is(e, &PG_PROTOCOL_VIOLATION))
        return walk_ask_is_dead(k);
    return error_is(e, &PG_ADMIN_SHUTDOWN) && walk_said_goodbye(k->process);
}

/* What the server has said, when all of it is there. */
bool walk_ask_is_said(const walk_ask *k, error e)
{
    switch (k->verdict) {
    case WALK_DONE:
    case WALK_SUSPENDED:
        return k->rolled_back ? error_is(e, &PG_ROLLED_BACK) : !e.kind;
    case WALK_FAILED:
        if (was_struck(k))
            return false;
        return e.kind == (was_stale(k) ? &PG_STATEMENT_STALE : pg_error_kind(str_from_c(k->state)));
    case WALK_SKIPPED:
        return error_is(e, &PG_ROLLED_BACK);
    case WALK_WAITS:
        return false;
    }
    unreachable();
}

void walk_ask_judge(const walk_ask *k, error e)
{
    const bool known = walk_ask_in_flight(k) && walk_ask_answered(k);
    if (known ? walk_ask_is_said(k, e) : e.kind && walk_ask_is_explained(k, e))
        return;
    if (k->repeats && !e.kind && !k->backend) /* rows that were there already */
        return;
    walk_problem(
        "%llu was told %s; the server said %d %s, %s, %s%s%s%s%s", (unsigned long long)k->tag,
        name_of(e), (int)k->verdict, k->state, k->backend ? "it was sent" : "it was not sent",
        walk_ask_answered(k) ? "the answer is there" : "no answer is there",
        walk_ask_is_dead(k) ? ", its connection is gone" : "", k->in_tx ? ", in a transaction" : "",
        k->read_only ? ", read-only" : "", k->actor->canceled ? ", canceled" : "");
}

/* --- effects ---------------------------------------------------------------------------------- */

void walk_ask_tell(walk_ask *k, walk_effect told)
{
    k->told = told;
    if (!k->changes)
        return;
    if (told == WALK_STAYS && k->effect != WALK_STAYS)
        walk_problem("%llu was told that its change is there: it is not",
                     (unsigned long long)k->tag);
    if (told == WALK_UNDONE && k->effect == WALK_STAYS)
        walk_problem("%llu was told that its change is not there: it is",
                     (unsigned long long)k->tag);
}

/* Whether the server may carry it out, or has, as far as the caller knows. */
static bool is_open(const walk_ask *k)
{
    return walk_ask_in_flight(k) && !walk_ask_answered(k);
}

static void note_effect(walk_ask *k, bool good)
{
    walk_actor *a = k->actor;
    if (k->in_tx && (good || is_open(k))) {
        k->perhaps = !good;
        if (a->tx && a->in_tx_count < WALK_IN_TX)
            a->in_tx[a->in_tx_count++] = k->tag;
        return;
    }
    walk_ask_tell(k, good ? WALK_STAYS : is_open(k) ? WALK_UNKNOWN : WALK_UNDONE);
}

void walk_tx_tell(walk_actor *a, walk_effect told)
{
    for (uint32_t i = 0; i < a->in_tx_count; i++) {
        walk_ask *k = ask_of(a->in_tx[i]);
        if (k)
            walk_ask_tell(k, k->perhaps && told == WALK_STAYS ? WALK_UNKNOWN : told);
    }
    a->in_tx_count = 0;
}

void walk_tx_undone(walk_actor *a, uint32_t from)
{
    for (uint32_t i = from; i < a->in_tx_count; i++) {
        walk_ask *k = ask_of(a->in_tx[i]);
        if (k)
            walk_ask_tell(k, WALK_UNDONE);
    }
    if (a->in_tx_count > from)
        a->in_tx_count = from;
}

/* --- an ask's life ---------------------------------------------------------------------------- */

walk_ask *walk_ask_begin(walk_actor *a, bool in_tx)
{
    const uint64_t tag = ++the_actors->last_tag;
    walk_ask *k = &the_actors->asks[tag % WALK_ASKS];
    *k = (walk_ask){
        .tag = tag, .actor = a, .in_tx = in_tx, .open = true, .deaths = the_actors->deaths
    };
    a->asks[a->ask_count++] = k;
    the_actors->started++;
    walk_note("  %llu begins, of %d\n", (unsigned long long)tag, (int)(a - the_actors->all));
    return k;
}

void walk_ask_again(walk_ask *k)
{
    walk_actor *a = k->actor;
    k->open = true;
    k->backend = NULL;
    k->verdict = WALK_WAITS;
    a->asks[a->ask_count++] = k;
    the_actors->started++;
}

static void close_ask(walk_ask *k, error e)
{
    walk_actor *a = k->actor;
    k->open = false;
    a->ask_count--;
    walk_note("  %llu is told %s\n", (unsigned long long)k->tag, name_of(e));
    the_actors->finished++;
    the_actors->by_end[!e.kind                                         ? 0
                       : walk_ask_in_flight(k) && walk_ask_answered(k) ? 1
                       : error_is(e, &CANCELED)                        ? 2
                       : error_is(e, &TIMED_OUT)                       ? 3
                       : error_is(e, &PG_CONNECTION_LOST)              ? 4
                       : error_is(e, &PG_PROTOCOL_VIOLATION)           ? 5
                                                                       : 6]++;
}

void walk_ask_close(walk_ask *k, bool good, error e)
{
    note_effect(k, good);
    close_ask(k, e);
}

void walk_ask_end(walk_ask *k, error e)
{
    walk_ask_judge(k, e);
    walk_ask_close(k, !e.kind, e);
}

void walk_ask_leave(walk_ask *k)
{
    walk_ask_close(k, walk_ask_answered(k) && k->verdict == WALK_DONE, (error){ &WALK_GIVEN_UP });
}

/* Given up on the way, it may end as its caller likes; the rest is as always. */
void walk_ask_end_loosely(walk_ask *k, error e)
{
    const walk_actor *a = k->actor;
    const bool known = walk_ask_in_flight(k) && walk_ask_answered(k);
    const bool by_commit = error_is(e, &PG_COMMIT_UNKNOWN) ||
                           error_is(e, &PG_SERIALIZATION_FAILURE) ||
                           error_is(e, &PG_STATEMENT_STALE);
    if (!e.kind && !(known && k->verdict == WALK_DONE))
        walk_problem("%llu, a COPY, was told that it is done", (unsigned long long)k->tag);
    const bool by_fuse =
        walk_ask_is_explained(k, e) && (error_is(e, &CANCELED) || error_is(e, &TIMED_OUT));
    const bool by_caller = error_is(e, &WALK_GIVEN_UP);
    if (e.kind && !by_commit && !by_fuse && !by_caller && !(known && k->verdict == WALK_DONE))
        walk_ask_judge(k, e);
    if (k->in_tx && a->tx)
        note_effect(k, !e.kind);
    close_ask(k, e);
}

/* One of a pipeline that could not be prepared: the others run without it. */
static bool is_refused(const walk_ask *k, error own)
{
    return k->bad && k->pipelined && !k->in_tx && !walk_ask_in_flight(k) &&
           error_is(own, &PG_SYNTAX);
}

static bool all_answered(walk_ask *const *asks, uint32_t count, const pg_batch *b)
{
    for (uint32_t i = 0; i < count; i++) {
        if ((!walk_ask_in_flight(asks[i]) || !walk_ask_answered(asks[i])) &&
            !is_refused(asks[i], pg_batch_error(b, i)))
            return false;
    }
    return true;
}

static void judge_each(walk_ask *const *asks, uint32_t count, const pg_batch *b, error e)
{
    const walk_ask *first = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const walk_ask *k = asks[i];
        const error own = pg_batch_error(b, i);
        if ((k->verdict == WALK_FAILED || is_refused(k, own)) && !first)
            first = k;
        if (is_refused(k, own))
            continue;
        if (k->verdict == WALK_DONE && e.kind && !k->pipelined ? !error_is(own, &PG_ROLLED_BACK)
                                                               : !walk_ask_is_said(k, own))
            walk_problem("%llu in a batch was told %s; the server said %d %s",
                         (unsigned long long)k->tag, name_of(own), (int)k->verdict, k->state);
    }
    const bool by_fuse = first && !first->backend && e.kind && walk_ask_is_explained(first, e);
    if (first ? !walk_ask_is_said(first, e) && !is_refused(first, e) && !by_fuse : e.kind != NULL)
        walk_problem("a batch was told %s", name_of(e));
}

static bool any_explains(walk_ask *const *asks, uint32_t count, error e)
{
    for (uint32_t i = 0; i < count; i++) {
        if (walk_ask_is_explained(asks[i], e))
            return true;
    }
    return false;
}

static void note_all(walk_ask *const *asks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const walk_ask *k = asks[i];
        walk_note("  %llu: %d %s, %u attempts, %u stale, %s%s%s%s%s\n", (unsigned long long)k->tag,
                  (int)k->verdict, k->state, k->attempts, k->stale,
                  k->pipelined ? "pipelined " : "", k->in_tx ? "in a transaction " : "",
                  walk_ask_in_flight(k) ? "in flight " : "",
                  walk_ask_answered(k) ? "answered " : "", walk_ask_is_dead(k) ? "dead" : "");
    }
}

void walk_asks_end(walk_ask *const *asks, uint32_t count, const pg_batch *b, error e)
{
    const bool known = all_answered(asks, count, b);
    note_all(asks, count);
    if (known)
        judge_each(asks, count, b, e);
    else if (!e.kind || !any_explains(asks, count, e))
        walk_problem("a batch from %llu on was told %s", (unsigned long long)asks[0]->tag,
                     name_of(e));
    for (uint32_t i = 0; i < count; i++) {
        walk_ask *k = asks[i];
        const error own = pg_batch_error(b, i);
        const bool good = k->pipelined ? !own.kind : !e.kind;
        if (good && !walk_ask_answered(k))
            walk_problem("%llu in a pipeline was told OK", (unsigned long long)k->tag);
        if (!k->pipelined && !k->in_tx && error_is(own, &PG_ROLLED_BACK))
            walk_ask_tell(k, WALK_UNDONE);
        if (known || good)
            note_effect(k, good);
        else if (k->in_tx || k->attempts == 0 || k->pipelined)
            note_effect(k, false);
        else if (k->told != WALK_UNDONE)
            walk_ask_tell(k, WALK_UNKNOWN); /* as its transaction was not answered */
        close_ask(k, e);
    }
}

/* --- waiting ---------------------------------------------------------------------------------- */

uint64_t walk_ask_kept(const walk_ask *k)
{
    return (uint64_t)(k->came - k->seen) * k->row_bytes;
}

bool walk_holds_up(const walk_backend *b)
{
    for (size_t i = 0; i < WALK_ACTORS; i++) {
        const walk_actor *a = &the_actors->all[i];
        const walk_ask *k = a->ask_count > 0 ? a->asks[0] : NULL;
        if (k && k->streams && !k->closing && k->backend == b && k->process == b->process &&
            walk_ask_kept(k) > WALK_KEPT_BYTES / 2)
            return true;
    }
    return false;
}

/* A stream's caller waits for rows, or for the end of those that it does not want. */
static bool must_have_rows(const walk_ask *k)
{
    const char *what = fiber_waits_for(k->actor->fiber);
    if (!what || strcmp(what, "pg stream") != 0)
        return false;
    return walk_ask_answered(k) || walk_ask_is_dead(k) || (!k->closing && k->came > k->seen);
}

bool walk_actor_must_be_done(const walk_actor *a)
{
    bool waits = a->ask_count == 0;
    for (uint32_t i = 0; i < a->ask_count; i++) {
        const walk_ask *k = a->asks[i];
        if (k->streams && a->ask_count > 1) /* now it asks something else */
            continue;
        if (k->streams)
            return must_have_rows(k);
        if (k->commits && walk_ask_answered(k) && k->verdict == WALK_DONE && !k->rolled_back)
            return true;
        if (k->loose)
            return false;
        if (walk_ask_in_flight(k) && walk_ask_is_dead(k) && !walk_ask_answered(k))
            return true;
        waits = waits || !walk_ask_in_flight(k) || !walk_ask_answered(k);
    }
    if (!waits)
        note_all(a->asks, a->ask_count);
    return !waits;
}
