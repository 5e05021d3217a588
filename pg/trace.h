/* What a pool does, for who wants to follow it: functions that are called when something begins and
 * when it has ended, given in pg_pool_options.trace.
 *
 *   static void query_ended(pg_span *s)
 *   {
 *       if (s->result.kind)
 *           report(s->name, s->us, s->result.kind->name);
 *   }
 *   static const pg_trace TRACE = { .query = { .ended = query_ended } };
 *   TRY(pg_pool_open(&(pg_pool_options){ .trace = &TRACE }, &db));
 *
 * They run on the fiber that asked, those about connecting on one of the pool's, and must not wait,
 * use the pool or set errors. What has started ends, on the same fiber, whatever becomes of it,
 * unless that fiber faults. A pool without a trace does one comparison in each such place. */
#ifndef PG_TRACE_H
#define PG_TRACE_H

#include "pg/error.h"
#include "pg/type.h"

/* Something that is under way. What it points to is valid during the call only. */
typedef struct pg_span {
    void *arg;              /* pg_trace.arg */
    void *data;             /* the tracer's own: what `started` leaves here, `ended` finds here */
    const char *name;       /* of the statement, see PG_NAMED; NULL: none */
    str sql;                /* STR_NONE: it is about no statement. Of a batch the first one's */
    const pg_value *values; /* its parameters: they may be secret */
    size_t value_count;
    size_t statements; /* that are sent together: of a batch all */
    /* What follows is known when it has ended. */
    error result;       /* of a batch the first that failed */
    uint64_t us;        /* how long it took, by the loop's clock */
    uint64_t waited_us; /* of that for a connection */
    uint64_t rows;      /* returned or changed; of a batch all together */
    uint64_t bytes;     /* of those returned; of a COPY its data */
    str host;           /* of the connection; STR_NONE: there was none */
    uint32_t process;   /* its server's, as in pg_stat_activity */
} pg_span;

/* Either may be NULL. */
typedef struct pg_tracer {
    void (*started)(pg_span *span);
    void (*ended)(pg_span *span);
} pg_tracer;

typedef struct pg_trace {
    /* One statement, from asking to its answer, the wait for a connection included; also each piece
     * of a cursor, a stream up to its end, and BEGIN, COMMIT, ROLLBACK where they leave alone. */
    pg_tracer query;
    pg_tracer batch;   /* pg_batch_run, pg_pipeline_run */
    pg_tracer copy;    /* from pg_copy_in or pg_copy_out to pg_copy_finish, or the scope's end */
    pg_tracer prepare; /* a statement is made ready on a connection, within one of the above */
    pg_tracer connect; /* a connection is made: all hosts and addresses that are tried for it */
    pg_tracer acquire; /* a connection is asked for, also where there is one at once */
    pg_tracer release; /* it is given back; only `ended`, and it takes no time */
    /* A server has sent a notice or a warning; on the loop. Values of rows may stand in it. */
    void (*notice)(void *arg, const pg_report *report);
    void *arg;
} pg_trace;

#endif
