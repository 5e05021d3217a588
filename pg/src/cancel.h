/* What asks the server to stop a connection's statements that nobody waits for any more. */
#ifndef PG_SRC_CANCEL_H
#define PG_SRC_CANCEL_H

#include "core/stream.h"
#include "core/timer.h"

typedef struct pg_conn pg_conn;

#define PG_CANCEL_KEY_BYTES_MAX 256

typedef struct pg_cancel {
    uint32_t process;                  /* of the server, for this connection; 0: it did not say */
    uint32_t key_bytes;                /* 4 before protocol 3.2 */
    char key[PG_CANCEL_KEY_BYTES_MAX]; /* proves that we may */
    timer patience;
    stream *stream;     /* a cancel request under way, or NULL; holds a reference to the pg_conn */
    const void *target; /* the request it was last aimed at */
    bool tls;           /* it goes over TLS, as the connection does */
    bool sent;
    bool taken; /* the server has ended the stream: what it was asked is done */
} pg_cancel;

void pg_cancel_init(pg_conn *c);
/* Whether nothing is left there that somebody gave up, and no cancel can strike any more. */
bool pg_cancel_is_over(const pg_conn *c);
/* A request's fiber has stopped waiting. */
void pg_cancel_consider(pg_conn *c);
/* Such a request has ended: the next one may be its like. */
void pg_cancel_go_on(pg_conn *c);
/* The connection has ended: nothing is left to cancel. */
void pg_cancel_stop(pg_conn *c);
/* The pool closes: gives up a request under way too. */
void pg_cancel_abort(pg_conn *c);

#endif
