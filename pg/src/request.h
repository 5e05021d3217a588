/* What fibers ask of a connection, in the order in which it is answered.
 *
 *   [HELD ->] SENT --the answer's end, or the connection's--> ended, its fiber woken
 *                  --its fiber stops waiting--> ABANDONED --the answer's end--> ended
 *
 * The server answers messages up to a Sync as one: the first error makes it skip the rest of them.
 * So requests form groups, of one mostly: that request `syncs`. In a group of several only the last
 * one does, and the group is one transaction: the batches of one fiber, which all fail together,
 * and those of many fibers on a read-only connection, where those that were skipped ask again.
 *
 * Invariant: a group is sent whole, so whoever waits for an answer has its Sync on the way. */
#ifndef PG_SRC_REQUEST_H
#define PG_SRC_REQUEST_H

#include "statement_cache.h"
#include "wire.h"

typedef struct pg_conn pg_conn;

/* One row as received; the bytes follow the cells. */
typedef struct pg_row_node {
    struct pg_row_node *next;
    str cells[];
} pg_row_node;

/* What a request brings back. Belongs to the fiber that waits. */
typedef struct pg_result {
    arena *arena;
    const pg_column *columns; /* of the rows; in the arena, or the statement's */
    uint32_t column_count;
    pg_row_node *first;
    pg_row_node *last;
    size_t count;
    uint64_t affected;
    uint64_t bytes;            /* of its rows */
    uint64_t ended_us;         /* when it was answered, by the loop's clock */
    const error_kind *failure; /* found here, not by the server; NULL: none */
    const char *failure_text;
    str report;       /* the server's ErrorResponse, in the arena; STR_NONE: none */
    bool sent;        /* the statement has left: it may run whatever else happens */
    bool began;       /* the BEGIN before it was carried out */
    bool bound;       /* the server accepted statement and parameters: it may have run */
    bool stale;       /* it had not, or only read: what was known of it is out of date */
    bool redescribed; /* its columns are not those that were expected */
    bool outdated;    /* and come in formats that were meant for others */
    bool skipped;     /* the server did not look at it: one before it in its group failed */
    bool struck;      /* by a cancel that was meant for another one: it is undone */
    bool answered;    /* the server has said all of it */
    bool rolled_back; /* the command tag was ROLLBACK */
    bool suspended;   /* the portal has more rows */
    char tx_status;   /* I, T or E after it; 0: no answer came, or not to this one */
} pg_result;

typedef enum pg_request_kind {
    PG_REQUEST_QUERY = 1, /* [BEGIN] [Parse] Bind [Describe] Execute */
    PG_REQUEST_PREPARE,   /* Parse Describe */
    PG_REQUEST_SCRIPT,    /* Query */
    PG_REQUEST_COPY,      /* Query, a COPY: goes on until its sink is told of the end */
} pg_request_kind;

/* Who a COPY talks to, or a statement whose rows are taken as they come; on the loop. */
typedef struct pg_sink {
    void (*opened)(void *arg, bool takes_data, bool binary); /* of a COPY */
    void (*data)(void *arg, str bytes); /* of a COPY, or a row that the result has now */
    void (*drained)(void *arg);         /* what was written has left; may be NULL */
    /* With the answer in the result; `lost`: none came, for that reason. */
    void (*ended)(void *arg, const error_kind *lost, const char *text);
} pg_sink;

/* Writes a request's messages; called twice, with a writer that counts and one that writes. */
typedef void pg_write_fn(pg_writer *w, const void *arg);

/* That of a Query; `sql` is a str. */
void pg_request_write_query(pg_writer *w, const void *sql);

typedef struct pg_request {
    list_node node; /* in the connection's requests, or in those held */
    pg_conn *conn;
    pg_request_kind kind;
    fiber *fiber;            /* NULL: nobody waits any more */
    pg_result *result;       /* of that fiber */
    pg_statement *statement; /* NULL: its rows are of no interest */
    pg_rows_as rows_as;      /* in what formats they were asked for */
    bool leased;             /* asked by a transaction */
    bool begins;             /* a BEGIN, or its like, goes before it and was not answered yet */
    bool begin_parses;       /* Parse goes before the Bind of that */
    bool parses;             /* and before its own */
    bool parsed;             /* ParseComplete came, for the BEGIN or for the statement */
    bool bound;              /* BindComplete came, likewise */
    bool describes;          /* the portal's description is to come before its rows */
    bool done;               /* the server said how it ended; only ReadyForQuery is left to come */
    bool syncs;              /* a Sync follows it, and ReadyForQuery the answer */
    bool partly;             /* not all of its rows are asked for */
    bool more;               /* its fiber waits for others behind it, and is woken by the last */
    bool batch;              /* the last of a batch of held ones */
    bool repeats;            /* its fiber runs it again when it was struck */
    bool exposed;            /* a cancel was sent while it waited for its answer */
    bool resets;             /* the session, see session.h: nobody has asked */
    uint64_t since_us;       /* asked, by the loop's clock */
    uint32_t cost_ns;        /* in the connection's backlog */
    size_t bytes;            /* of its group, in the one that syncs */
    pg_write_fn *write;      /* while held */
    const void *arg;
    const pg_sink *sink; /* NULL: none, or nobody listens any more */
    void *sink_arg;
} pg_request;

/* What goes before each group of requests: on a read-only connection whose session cannot be begun
 * as one, because others have it too. It has no name. STR_NONE: nothing. */
str pg_conn_preamble(const pg_conn *c);

/* Sends one request, of which kind, result, statement and flags are given, with its Sync, and waits
 * for the answer. `result->sent` says whether it was sent. A fuse that ends the wait leaves the
 * answer to be dropped.
 *   fails  PG_CONNECTION_LOST, OUT_OF_MEMORY: not sent, or no answer came; TIMED_OUT, CANCELED.
 *          What the server answered, an error too, is in the result */
YIELDS error pg_conn_ask(pg_conn *c, pg_write_fn *write, const void *arg,
                         const pg_request *request);
/* The same for `count` of them, which leave as one; `write` writes all. The last one must sync. */
YIELDS error pg_conn_ask_all(pg_conn *c, pg_write_fn *write, const void *arg,
                             const pg_request *requests, size_t count);
/* The same for one without a Sync, which leaves with others in a batch; `result->skipped` when one
 * of these has failed. `write` and `arg` are used until it was sent. */
YIELDS error pg_conn_ask_held(pg_conn *c, pg_write_fn *write, const void *arg,
                              const pg_request *request);

/* The same for one whose sink is told of the answer: it does not wait for that.
 *   fails  as pg_conn_ask; not sent then */
YIELDS error pg_conn_feed(pg_conn *c, pg_write_fn *write, const void *arg,
                          const pg_request *request);
/* Sends a Query for whose answer no fiber waits. One that `resets` the session must succeed, and
 * the connection is `resetting` until it is answered; of any other the answer is dropped.
 *   fails  PG_CONNECTION_LOST, OUT_OF_MEMORY; not sent then */
error pg_conn_tell(pg_conn *c, pg_write_fn *write, const void *arg, bool resets);
/* The sink with that `sink_arg` hears no more of it, whatever is answered before: what still comes
 * is dropped, and what the server still wants is refused. */
void pg_conn_forget_sink(pg_conn *c, const void *sink_arg);

/* The oldest request that was sent; NULL without one. */
pg_request *pg_request_oldest(const pg_conn *c);
/* The answer is whole: whoever waits for it goes on. */
void pg_request_end(pg_request *r);
/* None will come to any of them. */
void pg_requests_lose(pg_conn *c, const error_kind *kind, const char *text);
void pg_requests_init(pg_conn *c);

#endif
