/* Several statements of one fiber at once: collected first, then sent together. */
#include "query.h"
#include "watch.h"

#include "core/arena.h"

struct pg_batch {
    pg_call *calls; /* in the arena of the fiber that made it */
    size_t count;
    size_t capacity;
    bool undone;  /* it was one transaction, and the server said that it failed */
    bool unknown; /* it was one, and its end was not answered */
};

pg_batch *pg_batch_new(void)
{
    return ARENA_NEW(fiber_arena(), pg_batch);
}

void pg_batch_add(pg_batch *b, pg_sql sql, pg_values values, pg_rows *rows, uint64_t *affected)
{
    arena *a = fiber_arena();
    if (b->count == b->capacity) {
        const size_t capacity = b->capacity ? 2 * b->capacity : 8;
        b->calls = arena_grow(a, b->calls, b->count * sizeof(pg_call), capacity * sizeof(pg_call),
                              _Alignof(pg_call));
        b->capacity = capacity;
    }
    pg_value *copies = arena_alloc(a, values.count * sizeof(pg_value), _Alignof(pg_value));
    for (size_t i = 0; i < values.count; i++)
        copies[i] = values.items[i];
    pg_call *call = &b->calls[b->count++];
    *call = (pg_call){ .sql = sql.text, .name = sql.name, .values = { copies, values.count } };
    call->rows_as = sql.rows_as;
    call->rows = rows;
    call->affected = affected;
}

size_t pg_batch_count(const pg_batch *b)
{
    return b->count;
}

static error check(const pg_pool *pool, const pg_batch *b)
{
    if (b->count > PG_BATCH_MAX)
        return error_set(&PG_INVALID_ARGUMENT, "%zu statements; at most %d are possible", b->count,
                         PG_BATCH_MAX);
    for (size_t i = 0; i < b->count; i++) {
        if (b->calls[i].rows)
            *b->calls[i].rows = (pg_rows){ 0 };
        TRY(pg_check_call(pool, b->calls[i].sql, b->calls[i].values));
    }
    return OK;
}

static error run_all(pg_target on, const pg_run *run, pg_batch *b)
{
    pg_watch w;
    pg_watch_batch(&w, on.pool, b->calls, b->count);
    const error e = on.tx ? pg_tx_run(on.tx, run->sync_each, b->calls, b->count)
                          : pg_run_on_pool(on.pool, run, b->calls, b->count);
    b->calls[0].watch = NULL;
    pg_watch_end(&w, b->calls, b->count, e);
    return e;
}

static bool is_refused(const pg_batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        if (b->calls[i].result.report.ptr)
            return true;
    }
    return false;
}

error pg_batch_run_on(pg_target on, pg_batch *b)
{
    b->undone = b->unknown = false;
    TRY(check(on.pool, b));
    if (b->count == 0)
        return OK;
    const error e = run_all(on, &(pg_run){ .lane = pg_lane_of(on), .at = on.at }, b);
    b->undone = e.kind && is_refused(b);
    b->unknown = e.kind && !b->undone && !b->calls[b->count - 1].result.answered;
    return e;
}

/* Those that were out of date have not run, the others have. `any`: whether there was one.
 *   fails  when one has no answer again; what the server says, pg_batch_error tells */
static error run_stale_again(pg_pool *pool, const pg_run *run, pg_batch *b, bool *any)
{
    *any = false;
    for (size_t i = 0; i < b->count; i++) {
        if (!b->calls[i].result.stale)
            continue;
        *any = true;
        const error e = pg_run_on_pool(pool, run, &b->calls[i], 1);
        if (!b->calls[i].result.answered)
            TRY(e);
    }
    return OK;
}

/* A part of them. */
static error run_piece(pg_target on, const pg_run *run, pg_batch *b)
{
    bool any;
    const error e = run_all(on, run, b);
    if (on.tx)
        return e;
    TRY(run_stale_again(on.pool, run, b, &any));
    if (!any)
        return e;
    for (size_t i = 0; i < b->count; i++)
        TRY(pg_batch_error(b, i));
    return OK;
}

/* How many of them, from `at` on, may be under way at once; one at least. */
static size_t piece_at(const pg_pool *pool, const pg_batch *b, size_t at)
{
    const size_t max = pool->pipeline_max && pool->pipeline_max < PG_UNANSWERED_MAX
                           ? pool->pipeline_max
                           : PG_UNANSWERED_MAX;
    size_t bytes = 0, count = 0;
    for (; at + count < b->count && count < max; count++) {
        bytes += pg_call_size(b->calls[at + count].sql, b->calls[at + count].values);
        if (count > 0 && bytes > PG_UNANSWERED_BYTES_MAX)
            break;
    }
    return count;
}

error pg_pipeline_run_on(pg_target on, pg_batch *b)
{
    const pg_run run = { .lane = pg_lane_of(on), .sync_each = true, .at = on.at };
    error first = OK;
    b->undone = b->unknown = false;
    TRY(check(on.pool, b));
    for (size_t at = 0, count; at < b->count; at += count) {
        count = piece_at(on.pool, b, at);
        pg_batch piece = { .calls = b->calls + at, .count = count };
        const error e = run_piece(on, &run, &piece);
        if (!first.kind)
            first = e;
    }
    return first;
}

/* The first that failed by itself; their count when none did. */
static size_t first_failed(const pg_batch *b)
{
    size_t i = 0;
    while (i < b->count && !b->calls[i].result.failure && !b->calls[i].result.report.ptr)
        i++;
    return i;
}

size_t pg_batch_failed(const pg_batch *b)
{
    const size_t failed = first_failed(b);
    size_t i = 0;
    if (failed < b->count)
        return failed;
    while (i < b->count && b->calls[i].result.answered && !b->unknown)
        i++;
    return i;
}

error pg_batch_error(const pg_batch *b, size_t i)
{
    invariant(i < b->count);
    const pg_result *result = &b->calls[i].result;
    const size_t failed = first_failed(b);
    TRY(pg_result_error(result));
    if (result->skipped || (failed < b->count && !result->sent))
        return error_set(&PG_ROLLED_BACK, "not run: #%zu failed", failed);
    if (b->undone && result->answered)
        return error_set(&PG_ROLLED_BACK, "undone: #%zu failed", failed);
    if (b->unknown && result->answered)
        return error_set(&PG_CONNECTION_LOST, "whether it stays was not answered");
    return result->answered ? OK : error_set(&PG_CONNECTION_LOST, "it was not answered");
}
