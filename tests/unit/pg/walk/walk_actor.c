/* What the actors do, on their fibers. */
#include "walk_actor.h"

#include "walk_ask.h"

#include "core/clock.h"
#include "core/scope.h"

#include <stdio.h>
#include <stdlib.h>

walk_actors *the_actors;
ERROR_KIND(WALK_GIVEN_UP, ERROR_CANCELED, "The walk wants no more of it.");

bool walk_chance(walk_actor *a, uint32_t percent)
{
    return random_below(&a->dice, 100) < percent;
}

uint32_t walk_up_to(walk_actor *a, uint32_t most)
{
    return (uint32_t)random_below(&a->dice, most + 1);
}

/* --- the gate --------------------------------------------------------------------------------- */

static void gate_forgotten(void *arg)
{
    ((walk_actor *)arg)->at_gate = false;
}

error walk_gate(walk_actor *a)
{
    if (walk_chance(a, 60))
        return scope_status();
    a->at_gate = true;
    return fiber_park("walk gate", gate_forgotten, a);
}

void walk_actor_go_on(walk_actor *a)
{
    a->at_gate = false;
    fiber_wake(a->fiber, OK);
}

/* --- single statements ------------------------------------------------------------------------ */

walk_saying walk_say(walk_actor *a, walk_ask *k)
{
    walk_saying s = { .has_rows = walk_chance(a, 60), .rows = walk_up_to(a, 6) };
    const uint32_t number = walk_chance(a, 90) ? walk_up_to(a, 7) : walk_up_to(a, 400);
    k->bad = walk_chance(a, 3);
    (void)snprintf(s.text, sizeof s.text, "%s %u",
                   k->bad                              ? "bad"
                   : !s.has_rows                       ? "update"
                   : (k->changes = walk_chance(a, 15)) ? "returning"
                                                       : "rows",
                   number);
    s.has_rows = s.has_rows && !k->bad;
    k->changes = !k->bad && (k->changes || !s.has_rows);
    if (walk_chance(a, 15))
        s.fate = (walk_fate)(1 + walk_up_to(a, WALK_FATES - 2));
    if (s.fate == WALK_FAILS_WITH_ROWS && !s.has_rows)
        s.fate = WALK_FAILS_AT_ONCE;
    return s;
}

void walk_check_rows(const walk_ask *k, const pg_rows *rows, uint32_t count, uint32_t from)
{
    if (rows->count != count)
        walk_problem("ask %llu has %zu rows of %u", (unsigned long long)k->tag, rows->count, count);
    for (uint32_t i = 0; i < rows->count; i++) {
        int64_t tag = 0;
        int32_t seq = -1;
        if (pg_get(rows, i, 0, &tag).kind || pg_get(rows, i, 1, &seq).kind ||
            (uint64_t)tag != k->tag || (uint32_t)seq != from + i)
            walk_problem("ask %llu has a row of %lld", (unsigned long long)k->tag, (long long)tag);
    }
}

error walk_ask_one(walk_actor *a, pg_target on)
{
    walk_ask *k = walk_ask_begin(a, on.tx != NULL);
    const walk_saying s = walk_say(a, k);
    const int64_t tag = (int64_t)k->tag;
    const int32_t count = (int32_t)s.rows, fate = (int32_t)s.fate;
    pg_rows rows = { 0 };
    uint64_t affected = 0;
    k->read_only = k->reads = on.read_only;
    const error e = s.has_rows ? pg_query(on, &rows, str_from_c(s.text), tag, count, fate)
                               : pg_execute(on, &affected, str_from_c(s.text), tag, count, fate);
    walk_ask_end(k, e);
    if (e.kind)
        return e;
    if (s.has_rows)
        walk_check_rows(k, &rows, s.rows, 0);
    else if (affected != s.rows)
        walk_problem("ask %llu changed %llu rows of %u", (unsigned long long)k->tag,
                     (unsigned long long)affected, s.rows);
    return OK;
}

/* --- batches ---------------------------------------------------------------------------------- */

static error ask_together(walk_actor *a, pg_target on)
{
    const uint32_t count = 1 + walk_up_to(a, WALK_TOGETHER - 1);
    const bool pipelined = walk_chance(a, 50);
    pg_batch *b = pg_batch_new();
    walk_ask *asks[WALK_TOGETHER];
    walk_saying said[WALK_TOGETHER];
    pg_rows rows[WALK_TOGETHER];
    for (uint32_t i = 0; i < count; i++) {
        walk_ask *k = asks[i] = walk_ask_begin(a, on.tx != NULL);
        said[i] = walk_say(a, k);
        k->pipelined = pipelined;
        k->together = count > 1;
        k->reads = on.read_only;
        k->read_only = on.read_only && (count == 1 || pipelined);
        const int64_t tag = (int64_t)k->tag;
        const int32_t rows_wanted = (int32_t)said[i].rows, fate = (int32_t)said[i].fate;
        const str sql = str_copy(fiber_arena(), str_from_c(said[i].text));
        if (said[i].has_rows)
            pg_batch_query(b, &rows[i], sql, tag, rows_wanted, fate);
        else
            pg_batch_execute(b, NULL, sql, tag, rows_wanted, fate);
    }
    const error e = pipelined ? pg_pipeline_run(on, b) : pg_batch_run(on, b);
    walk_asks_end(asks, count, b, e);
    for (uint32_t i = 0; i < count; i++) {
        if (!pg_batch_error(b, i).kind && said[i].has_rows)
            walk_check_rows(asks[i], &rows[i], said[i].rows, 0);
    }
    return e;
}

/* --- cursors and COPY ------------------------------------------------------------------------- */

/* Those with a transaction of their own have it committed or rolled back by the client. */
static void tell_own(walk_ask *k, pg_target on, error e)
{
    if (on.tx)
        return;
    walk_ask_tell(k, !e.kind                           ? WALK_STAYS
                     : error_is(e, &PG_COMMIT_UNKNOWN) ? WALK_UNKNOWN
                                                       : WALK_UNDONE);
}

static error read_cursor(walk_actor *a, walk_ask *k, pg_cursor *c, const walk_saying *s)
{
    for (uint32_t seen = 0;;) {
        pg_rows rows;
        walk_ask_again(k);
        const error e = pg_cursor_next(c, &rows);
        walk_ask_end(k, e);
        if (e.kind)
            return e;
        walk_check_rows(k, &rows, (uint32_t)rows.count, seen);
        seen += (uint32_t)rows.count;
        if (rows.count == 0 && seen != s->rows)
            walk_problem("cursor %llu gave %u rows of %u", (unsigned long long)k->tag, seen,
                         s->rows);
        if (rows.count == 0 || walk_chance(a, 10))
            return OK;
        TRY(walk_gate(a));
    }
}

static error use_cursor(walk_actor *a, pg_target on)
{
    walk_ask *k = walk_ask_begin(a, true);
    walk_saying s = walk_say(a, k);
    const int64_t tag = (int64_t)k->tag;
    const int32_t fate = (int32_t)s.fate;
    pg_cursor *c;
    k->repeats = true;
    k->loose = !on.tx; /* a failed one's transaction is rolled back before its caller hears of it */
    k->bad = k->changes = false;
    s.rows = walk_up_to(a, 200);
    const int32_t rows_wanted = (int32_t)s.rows;
    (void)snprintf(s.text, sizeof s.text, "rows %u", walk_up_to(a, 7));
    error e = pg_cursor_open(on, &c, str_from_c(s.text), tag, rows_wanted, fate);
    walk_ask_end(k, e);
    TRY(e);
    TRY(read_cursor(a, k, c, &s));
    return pg_cursor_close(&c);
}

static error copy_in(walk_actor *a, walk_ask *k, pg_target on, const char *sql)
{
    pg_copy *c;
    error e = pg_copy_in(on, &c, sql);
    for (uint32_t pieces = walk_up_to(a, 4); !e.kind && pieces > 0; pieces--) {
        e = pg_copy_write(c, str_format(fiber_arena(), "%llu line\n", (unsigned long long)k->tag));
        if (!e.kind)
            e = walk_gate(a);
    }
    if (!e.kind && walk_chance(a, 90))
        e = pg_copy_finish(&c, NULL);
    else if (!e.kind)
        e = error_set(&WALK_GIVEN_UP, "by its scope");
    return e;
}

static error copy_out(walk_actor *a, const walk_ask *k, pg_target on, const char *sql,
                      uint32_t lines)
{
    pg_copy *c;
    uint32_t seen = 0;
    str bytes;
    TRY(pg_copy_out(on, &c, sql));
    do {
        TRY(pg_copy_read(c, &bytes));
        for (size_t at = 0; at < bytes.len; seen++) {
            char wanted[48];
            const int len =
                snprintf(wanted, sizeof wanted, "%llu %u\n", (unsigned long long)k->tag, seen);
            if (!str_eq(str_slice(bytes, at, (size_t)len), (str){ wanted, (size_t)len }))
                walk_problem("a COPY has other data than its own");
            at += (size_t)len;
        }
        TRY(walk_gate(a));
    } while (bytes.len > 0);
    if (seen != lines)
        walk_problem("a COPY gave %u lines of %u", seen, lines);
    return pg_copy_finish(&c, NULL);
}

/* In a scope of its own: what is not finished is given up there. */
static error use_copy(void *arg)
{
    const walk_use *use = arg;
    walk_actor *a = use->actor;
    walk_ask *k = walk_ask_begin(a, true);
    const uint32_t lines = walk_up_to(a, 5);
    walk_fate fate = WALK_FINE;
    char sql[80];
    if (walk_chance(a, 20))
        fate = walk_chance(a, 50) ? WALK_FAILS_AT_ONCE : WALK_FAILS_WITH_ROWS;
    const bool in = walk_chance(a, 50);
    (void)snprintf(sql, sizeof sql, "%s %llu %u %u", in ? "copyin" : "copyout",
                   (unsigned long long)k->tag, in ? 0 : lines, (unsigned)fate);
    k->loose = true;
    k->changes = in;
    const error e = in ? copy_in(a, k, use->on, sql) : copy_out(a, k, use->on, sql, lines);
    walk_ask_end_loosely(k, e);
    tell_own(k, use->on, e);
    return e;
}

/* --- transactions ----------------------------------------------------------------------------- */

static error run_script(walk_actor *a, pg_tx *tx)
{
    walk_ask *k = walk_ask_begin(a, true);
    char sql[80];
    (void)snprintf(sql, sizeof sql, "script %llu %u %u", (unsigned long long)k->tag,
                   walk_up_to(a, 4), walk_chance(a, 20) ? (unsigned)WALK_FAILS_WITH_ROWS : 0U);
    const error e = pg_script(tx, str_copy(fiber_arena(), str_from_c(sql)));
    walk_ask_end(k, e);
    return e;
}

typedef struct tx_use {
    walk_actor *actor;
    pg_tx *tx;
    uint32_t depth;
} tx_use;

static error in_tx(tx_use *use, uint32_t depth);

/* Some of them have little time, and the transaction goes on without them. */
static error ask_one_of_tx(void *arg)
{
    const tx_use *use = arg;
    const pg_target on = pg_target_tx(use->tx);
    switch (walk_up_to(use->actor, 5)) {
    case 0:
    case 1:
        return use_copy(&(walk_use){ use->actor, on });
    case 2:
        return walk_use_stream(&(walk_use){ use->actor, on });
    default:
        return walk_ask_one(use->actor, on);
    }
}

error walk_hurry(walk_actor *a, error (*fn)(void *arg), void *arg)
{
    const uint64_t before = a->deadline_ms;
    const uint64_t own = clock_ms() + 30;
    a->deadline_ms = own < before ? own : before;
    const error e = scope_call(&(scope_options){ .deadline_ms = 30 }, fn, arg);
    a->deadline_ms = before;
    return e;
}

/* NOLINTBEGIN(misc-no-recursion): three deep at most, by `depth` */
static error nest(tx_use *use)
{
    walk_actor *a = use->actor;
    const uint32_t from = a->in_tx_count;
    pg_tx *inner;
    TRY(pg_begin(use->tx, &inner));
    tx_use inside = { a, inner, use->depth + 1 };
    const error e = in_tx(&inside, use->depth + 1);
    TRY(scope_status());
    if (!e.kind && walk_chance(a, 60)) {
        const error left = walk_chance(a, 60) ? pg_commit(&inner) : walk_join_with(a, &inner);
        if (left.kind)
            walk_tx_undone(a, from);
        return left;
    }
    walk_tx_undone(a, from);
    TRY(pg_rollback(&inner));
    return error_is(e, &PG_CONNECTION_LOST) ? e : OK;
}

static error do_one(tx_use *use)
{
    walk_actor *a = use->actor;
    const pg_target on = pg_target_tx(use->tx);
    switch (walk_up_to(a, 10)) {
    case 0:
        return use->depth < 3 ? nest(use) : OK;
    case 1:
        return run_script(a, use->tx);
    case 2:
        return use_cursor(a, on);
    case 3:
        return scope_call(NULL, use_copy, &(walk_use){ a, on });
    case 4:
    case 5:
        return ask_together(a, on);
    case 6:
    case 7:
        return walk_hurry(a, ask_one_of_tx, use);
    case 8:
        return scope_call(NULL, walk_use_stream, &(walk_use){ a, on });
    default:
        return walk_ask_one(a, on);
    }
}

static error in_tx(tx_use *use, uint32_t depth)
{
    walk_actor *a = use->actor;
    use->depth = depth;
    for (uint32_t left = walk_up_to(a, 4); left > 0 && a->in_tx_count < WALK_IN_TX - 10; left--) {
        const error e = do_one(use);
        TRY(walk_gate(a));
        if (e.kind && walk_chance(a, 80))
            return e; /* others go on, and are told that it has failed */
    }
    return OK;
}

/* NOLINTEND(misc-no-recursion) */

typedef struct commit_use {
    walk_actor *actor;
    pg_tx **tx;
} commit_use;

static error commit(void *arg)
{
    const commit_use *use = arg;
    return walk_chance(use->actor, 50) ? walk_tx_commit(use->actor, use->tx)
                                       : walk_tx_commit_with(use->actor, use->tx);
}

static error run_tx(void *arg)
{
    walk_actor *a = arg;
    pg_tx *tx;
    a->in_tx_count = 0;
    TRY(pg_begin(the_actors->pool, &tx));
    a->tx = tx;
    tx_use use = { a, tx, 0 };
    TRY(walk_gate(a));
    const error e = in_tx(&use, 0);
    if (e.kind && walk_chance(a, 70)) {
        walk_tx_undone(a, 0);
        return e; /* rolled back by the scope */
    }
    TRY(walk_gate(a));
    if (walk_chance(a, 15)) {
        walk_tx_undone(a, 0);
        return pg_rollback(&tx);
    }
    commit_use last = { a, &tx };
    return walk_chance(a, 80) ? commit(&last) : walk_hurry(a, commit, &last);
}

/* What came to no commit is not there. */
static error use_tx(walk_actor *a)
{
    const error e = scope_call(NULL, run_tx, a);
    walk_tx_undone(a, 0);
    a->tx = NULL;
    a->in_tx_count = 0;
    return e;
}

static error function_form(pg_tx *tx, void *arg)
{
    walk_actor *a = arg;
    a->tx = tx;
    walk_tx_undone(a, 0); /* an attempt before */
    a->in_tx_count = 0;
    return walk_ask_one(a, pg_target_tx(tx));
}

static error use_function_form(walk_actor *a)
{
    a->in_tx_count = 0;
    const error e = pg_transaction(the_actors->pool, NULL, function_form, a);
    if (!e.kind || error_is(e, &PG_COMMIT_UNKNOWN))
        walk_tx_tell(a, e.kind ? WALK_UNKNOWN : WALK_STAYS);
    walk_tx_undone(a, 0);
    a->tx = NULL;
    a->in_tx_count = 0;
    return e;
}

/* --- programs --------------------------------------------------------------------------------- */

static error play(walk_actor *a)
{
    pg_pool *pool = the_actors->pool;
    switch (walk_up_to(a, 15)) {
    case 0:
    case 1:
        return walk_ask_one(a, pg_target_pool(pool));
    case 2:
    case 3:
        return walk_ask_one(a, pg_read_only(pool));
    case 4:
        return ask_together(a, pg_target_pool(pool));
    case 5:
        return ask_together(a, pg_read_only(pool));
    case 6:
        return use_cursor(a, walk_chance(a, 70) ? pg_target_pool(pool) : pg_read_only(pool));
    case 7:
        return scope_call(NULL, use_copy, &(walk_use){ a, pg_target_pool(pool) });
    case 8:
        return use_function_form(a);
    case 9:
    case 10:
        return scope_call(NULL, walk_use_stream, &(walk_use){ a, pg_target_pool(pool) });
    case 11:
        return scope_call(NULL, walk_use_stream, &(walk_use){ a, pg_read_only(pool) });
    case 12:
        return walk_chance(a, 30) ? scope_call(NULL, walk_listen, a) : OK;
    default:
        return use_tx(a);
    }
}

static error act(void *arg)
{
    walk_actor *a = arg;
    for (uint32_t left = 1 + walk_up_to(a, 3); left > 0 && !the_actors->draining; left--) {
        const error e = play(a); /* judged where it was asked */
        TRY(scope_status());
        if (e.kind && walk_chance(a, 20))
            return e;
        TRY(walk_gate(a));
    }
    return OK;
}

static void ended(fiber *f, error result, void *arg)
{
    (void)f;
    (void)result;
    walk_actor *a = arg;
    if (a->ask_count > 0)
        walk_problem("a fiber ended with %u asks open", a->ask_count);
    a->fiber = NULL;
    a->at_gate = false;
}

bool walk_actor_start(random_state *dice)
{
    for (size_t i = 0; i < WALK_ACTORS; i++) {
        walk_actor *a = &the_actors->all[i];
        const bool hurries = random_below(dice, 8) == 0;
        const fiber_options options = {
            .name = "walk",
            .deadline_ms = hurries ? 1 + (uint32_t)random_below(dice, 300) : 0,
            .ended = ended,
            .ended_arg = a,
        };
        if (a->fiber)
            continue;
        *a = (walk_actor){ .dice = { random_next(dice) } };
        a->deadline_ms = hurries ? clock_deadline_ms(options.deadline_ms) : UINT64_MAX;
        if (fiber_start(the_actors->loop, &options, act, a, &a->fiber).kind)
            walk_problem("no fiber");
        return true;
    }
    return false;
}

void walk_actor_cancel(walk_actor *a)
{
    a->canceled = true;
    fiber_cancel(a->fiber, &CANCELED);
}
