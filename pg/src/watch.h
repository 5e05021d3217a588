/* What is seen of statements, from the moment they are asked for to their answers: metrics of those
 * that have a name, a line in the log for those that are slow.
 *
 * The time is from asking to the turn of the loop that had the answer. On the read-only lane, where
 * a look at the clock would be a good part of what a statement costs, it begins with the turn of
 * asking for those without a name: it counts what that turn did before. */
#ifndef PG_SRC_WATCH_H
#define PG_SRC_WATCH_H

#include "query.h"
#include "span.h"

/* Of a call of pg_query or its like; on its stack. */
typedef struct pg_watch {
    pg_pool *pool; /* a reference */
    uint64_t began_us;
    uint64_t waited_us;         /* of that for a connection */
    const struct pg_host *host; /* where it ran; NULL: nowhere yet */
    uint32_t process;           /* the server's */
    const pg_tracer *tracer;    /* NULL: nobody follows it */
    pg_span span;               /* if somebody does */
} pg_watch;

/* Begins to watch what is about to run: one statement, or those of a batch. Each is ended, whatever
 * becomes of the statements. */
void pg_watch_call(pg_watch *w, pg_pool *pool, pg_call *call, pg_lane lane);
void pg_watch_batch(pg_watch *w, pg_pool *pool, pg_call *calls, size_t count);
/* They run on this connection. */
void pg_watch_conn(pg_watch *w, const pg_conn *c);
/* They have ended with `e`; each call has its own result. */
void pg_watch_end(pg_watch *w, const pg_call *calls, size_t count, error e);

/* How many rows an answer has, or a statement changed; of a piece of a result its own. */
static inline uint64_t pg_watch_rows(const pg_result *result)
{
    return result->affected > result->count ? result->affected : result->count;
}
/* Counts one that was not watched, if it has a name. */
void pg_watch_count(pg_pool *pool, const pg_call *call, uint64_t began_us, error e);

/* Metrics of one statement: PG_STATEMENT_METRICS has these for each name. */
enum {
    PG_STATEMENT_DURATION,
    PG_STATEMENT_ROWS,
    PG_STATEMENT_ERRORS, /* one for each class, from ERROR_INVALID */
    PG_STATEMENT_METRIC_COUNT = PG_STATEMENT_ERRORS + ERROR_INTERNAL,
};
extern const metrics_table PG_STATEMENT_METRICS;
/* Errors that servers have sent, one metric for each class of SQLSTATE. */
extern const metrics_table PG_SQLSTATE_METRICS;

/* Where a pool finds the cells of a name again. */
typedef struct pg_names pg_names;

/* A server has sent an error. */
void pg_watch_server_error(const pg_report *report);

#endif
