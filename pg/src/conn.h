/* One connection to a server: a stream, the requests that wait for its answers, and its prepared
 * statements.
 *
 *   OPENING --connect.c, on a fiber--> READY --pg_conn_end, the server, an error--> CLOSING ->
 * freed
 *
 * Requests are answered in the order in which they were sent (request.h). The reader belongs to the
 * connection: a request whose fiber is gone is read to its end and dropped.
 *
 * Invariant: in CLOSING no request is left; memory stays until the last reference is released. */
#ifndef PG_SRC_CONN_H
#define PG_SRC_CONN_H

#include "cancel.h"
#include "prober.h"
#include "reported.h"
#include "request.h"
#include "room.h"
#include "statement_cache.h"
#include "wire.h"

#include "core/fiber.h"
#include "core/stream.h"
#include "pg/pg.h"

#define PG_OUTPUT_BYTES_HIGH ((size_t)256 << 10) /* queued, past which a COPY waits */

typedef enum pg_conn_state {
    PG_CONN_OPENING = 1,
    PG_CONN_READY,
    PG_CONN_CLOSING,
} pg_conn_state;

typedef struct pg_conn pg_conn;

/* Whether it is given out: see health.h. */
typedef enum pg_health {
    PG_HEALTH_GOOD = 0,
    PG_HEALTH_UNHEARD, /* the server has said something, which will be read in this turn or the next
                        */
    PG_HEALTH_ASKED,   /* it was asked whether it is there */
    PG_HEALTH_LATE,    /* and has not answered yet */
} pg_health;

/* What a server may have told. */
typedef enum pg_known {
    PG_KNOWN_NOT = 0,
    PG_KNOWN_OFF,
    PG_KNOWN_ON,
} pg_known;

struct pg_conn {
    list_node node; /* in the pool's list, until it is closed */
    pg_pool *pool;
    pg_conn_state state;
    uint32_t references; /* the pool, and fibers that are in the middle of something with it */
    stream *stream;      /* NULL before it is opened and after it has closed */
    list requests;       /* sent, the oldest first */
    list held;           /* to be sent in batches, see request.c */
    loop_task dispatch;
    uint32_t batches; /* sent, and not yet answered */
    pg_room room;
    uint32_t load;      /* fibers that use it now */
    uint32_t abandoned; /* requests whose fibers have stopped waiting: the server still works */
    pg_cancel cancel;
    bool retiring; /* takes no new work, and ends when nobody uses it: upkeep.h */
    bool retired;  /* and so has ended */
    const char *retires_why;
    timer age;
    pg_health health;
    timer ask;
    uint64_t heard_at_ms;    /* of the answer to that */
    bool declared_read_only; /* the transaction that has it */
    uint64_t opened_at_ms;
    uint64_t dies_at_ms;    /* 0: never */
    uint64_t idle_since_ms; /* while nobody uses it */
    uint32_t heir_ms;       /* between looks for the one in its place */
    fiber *lessee;          /* the one of them that has it alone, by a transaction; NULL: shared */
    uint64_t leased_since_us;
    const char *leased_at; /* pg_target.at */
    uint64_t backlog_ns;   /* see backlog.h */
    uint64_t answered_us;  /* the last request, by the loop's clock */
    uint32_t changed;      /* of its session, see session.h */
    bool resetting;        /* and that is being taken back */
    bool sets_up;          /* and then `setup` is run again */
    str setup;             /* what its session begins with, by a hook; STR_NONE: nothing */
    pg_connection seen;    /* what hooks see of it */
    bool given;            /* to a fiber, once at least */
    bool read_only;        /* its transactions are, unless they say otherwise */
    pg_reported_list reported;
    pg_statement_cache statements;
    uint32_t portals; /* made so far, for their names */
    char tx_status;
    size_t skip_bytes;   /* of a row too long to keep */
    size_t unused_bytes; /* received and counted, and not yet a whole message */
    char why[256];       /* what the server said before it closed */
    /* opening */
    fiber *opener; /* NULL when it has ended */
    fiber *reader; /* the opener, while it waits for a message or for the stream */
    pg_message message;
    struct pg_lookup *lookup;       /* that the opener waits for */
    struct pg_addresses *addresses; /* for what it finds */
    bool all_read;                  /* the server has ended its side and nothing is left to read */
    bool dropping;    /* the opener waits for the stream's end, and for nothing else */
    bool awaits_byte; /* of no message: the answer to a request for TLS */
    char byte;
    bool auth_begun;            /* the server has asked who we are, or needs not to know */
    uint16_t protocol;          /* 3.x */
    const struct pg_host *host; /* where it leads, of the pool's */
    pg_login login;             /* who asks there */
    bool looks;                 /* it is opened for that alone: prober.h */
    pg_host_view view;          /* and has seen this */
    bool in_hook;               /* the opener is in one of the program's */
    pg_known in_hot_standby;
    pg_known begins_read_only; /* its sessions do */
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
/* Only looks at `c->host`: opens it as far as that goes, and fills `c->view`. */
YIELDS error pg_conn_look(pg_conn *c);
/* The opened connection takes part: answers are now those of requests. */
void pg_conn_start(pg_conn *c);

/* The running fiber waits for the opening stream, or for its next message (a copy in the fiber's
 * arena). `what` is for debuggers. */
YIELDS error pg_conn_await(pg_conn *c, const char *what);
/* The same for one byte of no message. */
YIELDS error pg_conn_await_byte(pg_conn *c, const char *what, char *out);
/* Gives up the opening stream, so that another can be opened.
 *   yields  until it is gone
 *   fails   as pg_conn_await; the opening is then to be given up too */
YIELDS error pg_conn_drop(pg_conn *c);
/* Forgets what the stream before said. */
void pg_conn_restart(pg_conn *c);
/* Streams of connections. */
extern const stream_handler PG_CONN_STREAM;

/* Sends a group of messages.
 *   fails  PG_CONNECTION_LOST, OUT_OF_MEMORY; nothing was sent then */
error pg_conn_write(pg_conn *c, pg_write_fn *write, const void *arg);
/* The same when their size is known. */
error pg_conn_write_sized(pg_conn *c, size_t bytes, pg_write_fn *write, const void *arg);

/* Takes a message that came after the opening. */
void pg_conn_answer(pg_conn *c, const pg_message *m);
/* Fails the oldest request, if it is waited for and has not failed already; `text` is a literal. */
void pg_conn_fail_oldest(pg_conn *c, const error_kind *kind, const char *text);

/* Ends it: everything that waits fails with `kind` and the text. `gracefully`: with Terminate. */
void pg_conn_end(pg_conn *c, bool gracefully, const error_kind *kind, const char *text);
/* Ends it because the server has said what makes no sense. */
void pg_conn_violation(pg_conn *c, const char *what);

#endif
