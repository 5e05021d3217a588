/* The statements' metrics. A name is a literal, so that its address tells it from others: a small
 * table a pool leads from there to the cells, and only a name's first use looks for its text. Two
 * literals of the same text have the same cells. */
#include "watch.h"

#include "slow.h"

#include "core/clock.h"
#include "core/loop.h"
#include "core/memory.h"

#define NAMES_MAX   256 /* statements told apart */
#define CLASSES_MAX 64  /* of SQLSTATE; PostgreSQL has 44 */
#define PLACES      512
#define PLACES_BITS 9
#define PROBES_MAX  8

struct pg_names {
    const char *names[PLACES];
    metrics_cells cells[PLACES];
};

#define ERRORS_OF(class_, label_)                                                              \
    [PG_STATEMENT_ERRORS + (class_)-ERROR_INVALID] = { "pg_statement_errors_total",            \
                                                       "class=\"" label_ "\"", METRIC_COUNTER, \
                                                       "Statements that have failed, by the "  \
                                                       "error's class." }
static const metric STATEMENT_ROWS[PG_STATEMENT_METRIC_COUNT] = {
    [PG_STATEMENT_DURATION] = { "pg_statement_duration_seconds", NULL, METRIC_HISTOGRAM,
                                "From asking for a statement to its answer, the wait for a "
                                "connection included." },
    [PG_STATEMENT_ROWS] = { "pg_statement_rows_total", NULL, METRIC_COUNTER,
                            "Rows that statements have returned or changed." },
    ERRORS_OF(ERROR_INVALID, "invalid"),
    ERRORS_OF(ERROR_UNAUTHENTICATED, "unauthenticated"),
    ERRORS_OF(ERROR_FORBIDDEN, "forbidden"),
    ERRORS_OF(ERROR_NOT_FOUND, "not_found"),
    ERRORS_OF(ERROR_CONFLICT, "conflict"),
    ERRORS_OF(ERROR_TOO_LARGE, "too_large"),
    ERRORS_OF(ERROR_TOO_MANY, "too_many"),
    ERRORS_OF(ERROR_CANCELED, "canceled"),
    ERRORS_OF(ERROR_TIMED_OUT, "timed_out"),
    ERRORS_OF(ERROR_UNAVAILABLE, "unavailable"),
    ERRORS_OF(ERROR_INTERNAL, "internal"),
};
const metrics_table PG_STATEMENT_METRICS = { STATEMENT_ROWS, PG_STATEMENT_METRIC_COUNT,
                                             .label = "statement", .values_max = NAMES_MAX };

static const metric SQLSTATE_ROWS[] = {
    { "pg_server_errors_total", NULL, METRIC_COUNTER,
      "Errors that servers have sent, by the class of their SQLSTATE." },
};
const metrics_table PG_SQLSTATE_METRICS = { SQLSTATE_ROWS, ARRAY_LEN(SQLSTATE_ROWS),
                                            .label = "class", .values_max = CLASSES_MAX,
                                            .next = &PG_STATEMENT_METRICS };

/* --- names ------------------------------------------------------------------------------------ */

static metrics_cells cells_by_text(const char *name)
{
    return metrics_cells_of_value(&PG_STATEMENT_METRICS, str_from_c(name));
}

static metrics_cells cells_of(pg_pool *pool, const char *name)
{
    pg_names *n = pool->names;
    if (UNLIKELY(!n))
        n = pool->names = MEMORY_NEW(pg_names);
    if (UNLIKELY(!n))
        return cells_by_text(name);
    size_t place = (size_t)((uint64_t)(uintptr_t)name * 0x9E3779B97F4A7C15U >> (64 - PLACES_BITS));
    for (int i = 0; i < PROBES_MAX; i++, place = (place + 1) % PLACES) {
        if (LIKELY(n->names[place] == name))
            return n->cells[place];
        if (n->names[place])
            continue;
        n->names[place] = name;
        n->cells[place] = cells_by_text(name);
        return n->cells[place];
    }
    return cells_by_text(name);
}

/* --- counting --------------------------------------------------------------------------------- */

/* Why a statement failed; `e` is what all of them together gave. NULL: it did not, or was not run.
 */
static const error_kind *failure_of(const pg_result *result, error e)
{
    pg_report report;
    if (result->failure)
        return result->failure;
    if (result->report.ptr && pg_report_read(result->report, &report))
        return pg_error_kind(report.sqlstate);
    return result->answered || result->skipped ? NULL : e.kind;
}

void pg_watch_count(pg_pool *pool, const pg_call *call, uint64_t began_us, error e)
{
    if (!call->name)
        return;
    const pg_result *result = &call->result;
    const error_kind *failure = failure_of(result, e);
    if (!failure && !result->answered)
        return;
    const uint64_t ended_us = result->answered ? result->ended_us : loop_now_us(pool->loop);
    const metrics_cells cells = cells_of(pool, call->name);
    metrics_record_us(cells, PG_STATEMENT_DURATION, ended_us > began_us ? ended_us - began_us : 0);
    if (failure)
        metrics_add(cells, PG_STATEMENT_ERRORS + (uint32_t)failure->class - ERROR_INVALID, 1);
    else
        metrics_add(cells, PG_STATEMENT_ROWS, pg_watch_rows(result));
}

void pg_watch_server_error(const pg_report *report)
{
    const str class = str_slice(report->sqlstate, 0, report->sqlstate.len < 2 ? 0 : 2);
    metrics_add(metrics_cells_of_value(&PG_SQLSTATE_METRICS, class), 0, 1);
}

/* --- watching --------------------------------------------------------------------------------- */

/* The span's room is left as it is: without a trace nobody looks. */
static void begin(pg_watch *w, pg_pool *pool, pg_call *calls, bool exact)
{
    w->pool = pg_pool_ref(pool);
    w->began_us = exact ? clock_us() : loop_now_us(pool->loop);
    w->waited_us = 0;
    w->host = NULL;
    w->process = 0;
    w->tracer = NULL;
    calls[0].watch = w;
}

static void start_span(pg_watch *w, const pg_tracer *tracer, const pg_call *first, size_t count)
{
    w->tracer = tracer;
    w->span = (pg_span){ .name = first->name,
                         .sql = first->sql,
                         .values = first->values.items,
                         .value_count = first->values.count,
                         .statements = count };
    pg_span_start(w->pool, tracer, &w->span);
}

void pg_watch_call(pg_watch *w, pg_pool *pool, pg_call *call, pg_lane lane)
{
    begin(w, pool, call, lane != PG_LANE_READ_ONLY || call->name || pool->trace);
    if (UNLIKELY(pool->trace))
        start_span(w, &pool->trace->query, call, 1);
}

void pg_watch_batch(pg_watch *w, pg_pool *pool, pg_call *calls, size_t count)
{
    begin(w, pool, calls, true);
    if (UNLIKELY(pool->trace))
        start_span(w, &pool->trace->batch, calls, count);
}

static void end_span(pg_watch *w, const pg_call *calls, size_t count, uint64_t us, error e)
{
    pg_span *s = &w->span;
    s->us = us;
    s->waited_us = w->waited_us;
    for (size_t i = 0; i < count; i++) {
        s->rows += pg_watch_rows(&calls[i].result);
        s->bytes += calls[i].result.bytes;
    }
    if (w->host)
        s->host = pg_host_text(w->host);
    s->process = w->process;
    pg_span_tell_end(w->tracer, s, e);
}

void pg_watch_conn(pg_watch *w, const pg_conn *c)
{
    w->host = c->host;
    w->process = c->cancel.process;
}

void pg_watch_end(pg_watch *w, const pg_call *calls, size_t count, error e)
{
    const uint64_t now_us = loop_now_us(w->pool->loop);
    const uint64_t us = now_us > w->began_us ? now_us - w->began_us : 0;
    metrics_record_us(w->pool->metrics, PG_METRIC_QUERY_DURATION, us);
    for (size_t i = 0; i < count; i++)
        pg_watch_count(w->pool, &calls[i], w->began_us, e);
    if (UNLIKELY(us >= w->pool->slow.from_us))
        pg_slow_tell(w, calls, count, us, e);
    if (UNLIKELY(w->tracer))
        end_span(w, calls, count, us, e);
    pg_pool_unref(&w->pool);
}
