/* One connection to a server: a stream, the requests that wait for its answers, and its prepared
 * statements.
 *
 *   OPENING --connect.c, on a fiber--> READY --pg_conn_end, the server, an error--> CLOSING ->
 * freed
 *
 * Requests are answered in the order in which they were sent, each with a Sync of its own. The
 * reader belongs to the connection: a request whose fiber is gone is read to its end and dropped.
 *
 * Invariant: in CLOSING no request is left; memory stays until the last reference is released. */
#ifndef PG_SRC_CONN_H
#define PG_SRC_CONN_H

#include "cancel.h"
#include "statement_cache.h"
#include "wire.h"

#include "core/fiber.h"
#include "core/stream.h"
#include "pg/pg.h"

typedef enum pg_conn_state {
    PG_CONN_OPENING = 1,
    PG_CONN_READY,
    PG_CONN_CLOSING,
} pg_conn_state;

/* One row as received; the bytes follow the cells. */
typedef struct pg_row_node {
    struct pg_row_node *next;
    str cells[];
} pg_row_node;

/* What a request brings back. Stands on the stack of the waiting fiber. */
typedef struct pg_result {
    arena *arena;
    pg_row_node *first;
    pg_row_node *last;
    size_t count;
    uint64_t affected;
    const error_kind *failure; /* found here, not by the server; NULL: none */
    const char *failure_text;
    str report;       /* the server's ErrorResponse, in the arena; STR_NONE: none */
    bool sent;        /* the statement has left: it may run whatever else happens */
    bool began;       /* the BEGIN before it was carried out */
    bool bound;       /* the server accepted statement and parameters: it may have run */
    bool stale;       /* it had not: a prepared statement is out of date */
    bool rolled_back; /* the command tag was ROLLBACK */
    char tx_status;   /* I, T or E after it; 0: no answer came */
} pg_result;

typedef enum pg_request_kind {
    PG_REQUEST_QUERY = 1, /* [BEGIN] Bind Execute Sync */
    PG_REQUEST_PREPARE,   /* Parse Describe Sync */
    PG_REQUEST_SCRIPT,    /* Query */
} pg_request_kind;

typedef struct pg_conn pg_conn;

typedef struct pg_request {
    list_node node;
    pg_conn *conn;
    pg_request_kind kind;
    fiber *fiber;      /* NULL: nobody waits any more */
    pg_result *result; /* of that fiber */
    pg_statement *statement;
    bool leased; /* asked by a transaction */
    bool begins; /* a BEGIN goes before it and was not answered yet */
    bool bound;  /* BindComplete came, for the BEGIN or for the statement */
    bool done;   /* the server said how it ended; only ReadyForQuery is left to come */
} pg_request;

struct pg_conn {
    list_node node; /* in the pool's list, until it is closed */
    pg_pool *pool;
    pg_conn_state state;
    uint32_t references; /* the pool, and fibers that are in the middle of something with it */
    stream *stream;      /* NULL before it is opened and after it has closed */
    list requests;
    uint32_t load;      /* fibers that use it now */
    uint32_t abandoned; /* requests whose fibers have stopped waiting: the server still works */
    pg_cancel cancel;
    bool leased; /* by one of them, alone */
    pg_statement_cache statements;
    char tx_status;
    size_t skip_bytes; /* of a row too long to keep */
    char why[256];     /* what the server said before it closed */
    /* opening */
    fiber *opener; /* NULL when it has ended */
    fiber *reader; /* the opener, while it waits for a message or for the stream */
    pg_message message;
    bool all_read; /* the server has ended its side and nothing is left to read */
};

/* A new connection in OPENING, linked nowhere. NULL without memory. */
pg_conn *pg_conn_new(pg_pool *pool);
static inline pg_conn *pg_conn_keep(pg_conn *c)
{
    c->references++;
    return c;
}
/* Nulls the pointer. */
void pg_conn_release(pg_conn **owner);

/* Opens it: finds the server, connects, authenticates. On a fiber of its own.
 *   fails  PG_CONNECT_FAILED, PG_AUTH_FAILED, PG_PROTOCOL_VIOLATION, TIMED_OUT, and what the server
 *          answers */
YIELDS error pg_conn_open(pg_conn *c);
/* The opened connection takes part: answers are now those of requests. */
void pg_conn_start(pg_conn *c);

/* The running fiber waits for the opening stream, or for its next message (a copy in the fiber's
 * arena). `what` is for debuggers. */
YIELDS error pg_conn_await(pg_conn *c, const char *what);
/* Streams of connections. */
extern const stream_handler PG_CONN_STREAM;

/* Sends a group of messages. `write` is called twice, with a writer that counts and one that
 * writes. fails  PG_CONNECTION_LOST, OUT_OF_MEMORY; nothing was sent then */
error pg_conn_write(pg_conn *c, void (*write)(pg_writer *w, const void *arg), const void *arg);
/* The same for a request, of which kind, result, statement and flags are given; the running fiber
 * waits for the answer. `result->sent` says whether it was sent. A fuse that ends the wait leaves
 * the answer to be dropped. fails  as above; PG_CONNECTION_LOST when no answer came; TIMED_OUT,
 * CANCELED. What the server answered, an error too, is in the result */
YIELDS error pg_conn_ask(pg_conn *c, void (*write)(pg_writer *w, const void *arg), const void *arg,
                         const pg_request *request);

/* Ends it: everything that waits fails with `kind` and the text. `gracefully`: with Terminate. */
void pg_conn_end(pg_conn *c, bool gracefully, const error_kind *kind, const char *text);

#endif
