/* Streams of rows: read to the end, closed before it, left to the scope, with others' asks between
 * their rows. One is an ask from its opening to its end.
 *
 * What is given out is all that the client has read until then, in order and nobody else's; it
 * stays as it was until the next call. */
#include "pool.h"
#include "walk_ask.h"

#include "core/scope.h"

#include <stdio.h>

typedef struct reading {
    walk_actor *actor;
    pg_target on;
    walk_ask *ask;
    pg_stream *stream;
    walk_saying said;
    pg_rows rows; /* the last ones */
} reading;

static walk_saying say(walk_actor *a, walk_ask *k)
{
    static const char *const verbs[] = { "rows", "rows", "rows", "rows", "wide", "returning" };
    walk_saying s = walk_say(a, k);
    if (k->bad || walk_chance(a, 8))
        return s;
    const char *verb = verbs[walk_up_to(a, ARRAY_LEN(verbs) - 1)];
    const bool is_wide = verb[0] == 'w' && walk_chance(a, 25);
    if (verb[0] == 'w' && !is_wide)
        verb = "rows";
    s.has_rows = true;
    s.rows = walk_up_to(a, is_wide ? 20 : 40);
    k->changes = verb[1] == 'e';
    k->row_bytes = is_wide ? WALK_WIDE_BYTES : 22;
    (void)snprintf(s.text, sizeof s.text, "%s %u", verb, walk_up_to(a, 7));
    return s;
}

static void check_wide(const walk_ask *k, const pg_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        str all = { 0 };
        if (pg_get(rows, i, 2, &all).kind || all.len != WALK_WIDE_BYTES || all.ptr[0] != 'w' ||
            all.ptr[all.len - 1] != 'w')
            walk_problem("stream %llu has a row of %zu bytes", (unsigned long long)k->tag, all.len);
    }
}

/* Those that were given out last, as they are now. */
static void check_given(const reading *r)
{
    const uint32_t count = (uint32_t)r->rows.count;
    walk_check_rows(r->ask, &r->rows, count, r->ask->seen - count);
    if (r->ask->row_bytes == WALK_WIDE_BYTES)
        check_wide(r->ask, &r->rows);
}

/* The server's error comes behind its rows, and again. */
static void check_end(reading *r, error e)
{
    const walk_ask *k = r->ask;
    pg_rows none;
    walk_ask_judge(k, e);
    if (k->verdict == WALK_FAILED && walk_ask_answered(k) && k->seen != k->came)
        walk_problem("stream %llu failed with %u rows of %u", (unsigned long long)k->tag, k->seen,
                     k->came);
    if (!e.kind && r->said.has_rows && k->seen != r->said.rows)
        walk_problem("stream %llu gave %u rows of %u", (unsigned long long)k->tag, k->seen,
                     r->said.rows);
    if (!walk_chance(r->actor, 30) || !walk_ask_answered(k))
        return;
    const error again = pg_stream_next(r->stream, &none);
    if (none.count > 0 || again.kind != e.kind)
        walk_problem("stream %llu ended with %s, and goes on with %s and %zu rows",
                     (unsigned long long)k->tag, e.kind ? e.kind->name : "OK",
                     again.kind ? again.kind->name : "OK", none.count);
}

/* What the fiber does with its rows, and meanwhile. */
static error use_rows(const reading *r)
{
    walk_actor *a = r->actor;
    if (r->on.tx || !walk_chance(a, 15))
        return walk_gate(a);
    const error e = walk_ask_one(a, walk_chance(a, 50) ? pg_target_pool(the_actors->pool)
                                                       : pg_read_only(the_actors->pool));
    return e.kind ? scope_status() : OK;
}

/* Until the end, or until it is enough. */
static error read_rows(reading *r)
{
    walk_ask *k = r->ask;
    while (!walk_chance(r->actor, 10)) {
        check_given(r);
        const error e = pg_stream_next(r->stream, &r->rows);
        if (e.kind || r->rows.count == 0) {
            check_end(r, e);
            return e;
        }
        if (r->rows.count != k->came - k->seen)
            walk_problem("stream %llu gave %zu rows, and the client has %u",
                         (unsigned long long)k->tag, r->rows.count, k->came - k->seen);
        k->seen += (uint32_t)r->rows.count;
        check_given(r);
        TRY(use_rows(r));
    }
    return OK;
}

/* On a pool nobody waits for the rest of one that is closed early, but for the end of the
 * transaction in which reads are. */
static error end_early(reading *r)
{
    walk_ask *k = r->ask;
    walk_ask_leave(k);
    const error e = pg_stream_close(&r->stream);
    if (e.kind &&
        !(r->on.read_only && (walk_ask_is_cut_off(k, e) || error_is(e, &PG_STATEMENT_STALE))))
        walk_problem("stream %llu, closed early, was told %s", (unsigned long long)k->tag,
                     e.kind->name);
    return e;
}

static error end(reading *r)
{
    walk_ask *k = r->ask;
    if (!r->on.tx && !walk_ask_answered(k) && !walk_ask_is_dead(k))
        return end_early(r);
    k->closing = true;
    const error e = pg_stream_close(&r->stream);
    if (r->on.read_only)
        walk_ask_end_loosely(k, e);
    else
        walk_ask_end(k, e);
    return e;
}

error walk_use_stream(void *arg)
{
    const walk_use *use = arg;
    reading r = { .actor = use->actor, .on = use->on };
    walk_ask *k = r.ask = walk_ask_begin(use->actor, use->on.tx != NULL);
    r.said = say(use->actor, k);
    k->streams = true;
    k->reads = use->on.read_only;
    const int64_t tag = (int64_t)k->tag;
    const int32_t count = (int32_t)r.said.rows, fate = (int32_t)r.said.fate;
    const error e = pg_stream_open(use->on, &r.stream, str_from_c(r.said.text), tag, count, fate);
    if (e.kind) {
        walk_ask_end(k, e);
        return e;
    }
    const error left = read_rows(&r);
    if (walk_chance(use->actor, 80))
        return end(&r);
    walk_ask_leave(k); /* its scope ends it */
    return left;
}
