/* Who takes an answer as it comes, and the fiber that waits for more of it: what a COPY and a
 * stream of rows have in common. A taker is the `sink_arg` of its request. */
#ifndef PG_SRC_TAKER_H
#define PG_SRC_TAKER_H

#include "request.h"

typedef struct pg_taker {
    fiber *waiter;
    bool ended;             /* nothing is under way: not sent, or the answer is whole, or lost */
    const error_kind *lost; /* the connection, before the end; NULL: it was not */
    char lost_text[256];
} pg_taker;

/* Something has come: the fiber goes on, if it waits. May be pg_sink.drained. */
void pg_taker_wake(void *taker);
/* That was all: pg_sink.ended. */
void pg_taker_end(void *taker, const error_kind *lost, const char *text);
/* Waits until something comes; `what` is for debuggers.
 *   fails  TIMED_OUT, CANCELED */
YIELDS error pg_taker_wait(pg_taker *t, const char *what);
/* Sends the request, which has a sink.
 *   fails  as pg_conn_feed; it has ended then */
YIELDS error pg_taker_feed(pg_taker *t, pg_conn *c, pg_write_fn *write, const void *arg,
                           const pg_request *request);
/* Nobody takes it any more: what still comes is dropped. */
void pg_taker_leave(pg_taker *t, pg_conn *c);
/* How it ended: why nothing more comes, or OK. */
error pg_taker_error(const pg_taker *t, const pg_result *result);

#endif
