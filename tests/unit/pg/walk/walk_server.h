/* The other side of the walk: PostgreSQL backends in memory, at the other ends of streams in
 * memory, which do nothing until they are told to, one message at a time.
 *
 * They are the model as well. What a backend has been asked for stands in its list of requests, as
 * the client must have it too: of which kind, up to which Sync, how far answered. That an answer
 * is whole at the client is a matter of bytes: `ends_at` of those that the backend has said. They
 * are delivered when the client has read them, which it does at once unless it holds up a stream of
 * rows.
 *
 *   received --walk_backend_work--> said --walk_backend_deliver--> sent --the client--> delivered
 *
 * Invariant: a backend answers its messages in their order, as PostgreSQL's documentation says. */
#ifndef TESTS_UNIT_PG_WALK_SERVER_H
#define TESTS_UNIT_PG_WALK_SERVER_H

#include "conn.h"

#include "core/buf.h"

#define WALK_BACKENDS   12
#define WALK_CANCELS    8
#define WALK_REQUESTS   256  /* in the client's hands at once, of one backend */
#define WALK_PROCESSES  4096 /* that are remembered */
#define WALK_MESSAGES   1024
#define WALK_STATEMENTS 1024
#define WALK_PORTALS    64
#define WALK_SAVEPOINTS 8
#define WALK_CHANNELS   3 /* c0, c1, … */
#define WALK_EFFECTS    512
#define WALK_SQL_BYTES  96
#define WALK_BODY_BYTES 192
#define WALK_WIDE_BYTES 40000 /* of a row of "wide" */
#define WALK_NEVER      UINT64_MAX

/* How a statement ends, by its third parameter. */
typedef enum walk_fate {
    WALK_FINE = 0,
    WALK_FAILS_AT_BIND,      /* 22P02 */
    WALK_FAILS_AT_ONCE,      /* 23505 */
    WALK_FAILS_WITH_ROWS,    /* 22012, behind half of its rows */
    WALK_FAILS_TO_SERIALIZE, /* 40001 */
    WALK_FAILS_INSIDE,       /* 26000, of what it has run itself */
    WALK_FATES,
} walk_fate;

typedef enum walk_verdict {
    WALK_WAITS = 0,
    WALK_DONE,
    WALK_SUSPENDED,
    WALK_FAILED,
    WALK_SKIPPED,
} walk_verdict;

/* What the client has asked for and must wait for. */
typedef struct walk_request {
    pg_request_kind kind;
    char sql[WALK_SQL_BYTES];
    uint64_t tag; /* of the ask; 0: BEGIN, COMMIT and their like */
    walk_verdict verdict;
    char state[6];     /* SQLSTATE, when it failed */
    char status;       /* of the transaction, behind it */
    uint64_t begun_at; /* BEGIN before it was answered */
    uint64_t done_at;  /* the message that says how it ended */
    uint64_t ends_at;  /* that, or its ReadyForQuery */
    bool begins;
    bool syncs;
    bool partly;
    bool bound;
    bool rolled_back; /* a COMMIT */
} walk_request;

typedef struct walk_message {
    char type;
    uint32_t len;
    uint64_t request; /* what it belongs to */
    char body[WALK_BODY_BYTES];
} walk_message;

typedef struct walk_statement {
    char name[28]; /* "": a free place */
    char sql[WALK_SQL_BYTES];
    bool live;   /* the server knows it */
    bool closed; /* and was told to forget it */
} walk_statement;

typedef struct walk_portal {
    char name[24];
    char sql[WALK_SQL_BYTES];
    uint64_t tag;
    uint32_t rows;
    uint32_t given;
    walk_fate fate;
    bool live;
} walk_portal;

typedef struct walk_savepoint {
    uint32_t name;    /* 2: s2 */
    uint32_t effects; /* there were when it was set */
} walk_savepoint;

typedef enum walk_stage {
    WALK_FREE = 0,
    WALK_CONNECTING, /* asked for, not answered */
    WALK_STARTUP,    /* waits for the startup message */
    WALK_SERVING,
    WALK_GONE, /* for the server; the client finds out */
} walk_stage;

typedef struct walk_backend {
    walk_stage stage;
    uint32_t process;
    stream *near; /* the client's end; NULL: closed */
    stream *far;  /* ours */
    const stream_handler *handler;
    pg_conn *conn;
    bool read_only;
    bool retires;           /* the client takes no more work for it */
    uint32_t retiring_load; /* fibers that have used it since */
    bool was_taken;         /* by a statement that nobody waits for, or by a cancel */
    uint32_t taken_load;    /* and so many had it */
    buf in;
    buf out;
    uint64_t said, sent, delivered; /* bytes since it is ready */
    uint64_t violates_at;           /* what makes no sense ends there */
    bool asked_to_leave;            /* Terminate, or the client's end */
    /* As the client sends: */
    walk_request requests[WALK_REQUESTS];
    uint64_t first, next;
    bool group_open;    /* requests without their Sync yet */
    bool begin_pending; /* an Execute of BEGIN, alone or with what follows */
    /* As the backend works: */
    walk_message messages[WALK_MESSAGES];
    uint64_t worked, came;
    walk_statement statements[WALK_STATEMENTS];
    uint32_t statement_count;
    walk_portal portals[WALK_PORTALS]; /* 0: the one without a name, as messages come */
    walk_portal portal;                /* the same, as they are worked on */
    char tx_status;
    char client_status;   /* the same, as the client knows it */
    bool group_failed;    /* what follows is passed over, to its Sync */
    bool interrupted;     /* by a cancel */
    bool hangs;           /* works no more until then, or for now */
    bool is_canceled;     /* the client has a cancel under way */
    uint64_t canceled_at; /* what it asks for first behind that */
    bool tx_reads;        /* its transaction is read-only */
    uint64_t running;     /* the request whose rows it is about to say, or WALK_NEVER */
    walk_portal *runs;    /* the portal */
    uint32_t runs_left;   /* rows */
    uint32_t runs_piece;
    bool runs_suspends; /* behind them the portal has more */
    uint64_t copying;   /* the request whose data it waits for, or WALK_NEVER */
    uint32_t copied;
    uint64_t effects[WALK_EFFECTS]; /* tags, of what is not committed */
    uint32_t effect_count;
    walk_savepoint savepoints[WALK_SAVEPOINTS];
    uint32_t savepoint_count;
    uint64_t commit_tag; /* whose COMMIT comes next; 0: nobody's */
    bool commit_fails;
    bool listens[WALK_CHANNELS];
} walk_backend;

typedef enum walk_cancel_stage {
    WALK_CANCEL_FREE = 0,
    WALK_CANCEL_CONNECTING,
    WALK_CANCEL_ASKED, /* it has come, or will */
    WALK_CANCEL_DONE,  /* the signal was sent */
} walk_cancel_stage;

typedef struct walk_cancel {
    walk_cancel_stage stage;
    stream *near;
    stream *far;
    const stream_handler *handler;
    uint32_t process; /* 0: not told yet */
    bool was_read;
} walk_cancel;

typedef struct walk_server {
    walk_backend backends[WALK_BACKENDS];
    walk_cancel cancels[WALK_CANCELS];
    loop_task connect; /* those that have been asked for */
    uint32_t next_process;
    bool refuses;                     /* nobody gets in */
    uint64_t notified[WALK_CHANNELS]; /* so often */
    uint32_t late_cancel; /* the process of a request that may have been lost; 0: none */
    uint64_t jitter;
    bool traces;
    bool goodbyes[WALK_PROCESSES]; /* processes that have said FATAL */
    char problem[400];             /* the first one; "": none */
} walk_server;

/* The one server: of which stream_connect of this program connects to. */
extern walk_server *the_server;

walk_server *walk_server_new(void);
void walk_server_free(walk_server **owner);
/* Notes that client and model differ; the first is kept. */
void walk_problem(const char *format, ...) PRINTF_LIKE(1, 2);

/* Says what happens, if the server `traces`: for a walk that has failed and is repeated. */
void walk_note(const char *format, ...) PRINTF_LIKE(1, 2);

/* Takes the messages that have come. */
void walk_backend_take(walk_backend *b);
/* Whether it has a message to work on. */
bool walk_backend_busy(const walk_backend *b);
/* Works on the next one. */
void walk_backend_work(walk_backend *b);
/* Has the client get `bytes` more of what was said. */
void walk_backend_deliver(walk_backend *b, size_t bytes);
size_t walk_backend_undelivered(const walk_backend *b);
/* Says a whole message that nobody asked for. */
void walk_backend_say(walk_backend *b, char type, str body);
/* Tells those that listen to a channel its next number. */
void walk_notify(uint32_t channel);
/* Whether a statement has rows. */
bool walk_has_rows(const char *sql);
/* Whether a Query resets a session, which nobody has asked for. */
bool walk_is_reset(const char *sql);
/* Says what makes no sense: the client must end the connection there. */
void walk_backend_violate(walk_backend *b, size_t how);
/* Says FATAL, and whether a process has done so. */
void walk_backend_say_goodbye(walk_backend *b);
bool walk_said_goodbye(uint32_t process);
/* Ends: in good order, or as a crash; what was not delivered is lost. */
void walk_backend_leave(walk_backend *b, bool crashes);
/* The request, or NULL when it was answered and delivered. */
const walk_request *walk_backend_request(const walk_backend *b, uint64_t id);
/* Whether the client has its whole answer. */
bool walk_backend_has_told(const walk_backend *b, const walk_request *r);
/* Takes those off that the client has whole answers to. */
void walk_backend_settle(walk_backend *b);

/* A cancel request: the signal reaches the backend; then the connection ends, `well` or not. */
void walk_cancel_signal(walk_cancel *c);
void walk_cancel_end(walk_cancel *c, bool well);
/* The signal of one that has ended badly, after all. */
void walk_cancel_late(void);

/* For the work: what a Bind says, and what it is about. */
bool walk_read_bind(walk_backend *b, const walk_message *m, walk_portal *out);
walk_portal *walk_backend_portal(walk_backend *b, str name);
walk_statement *walk_backend_statement(walk_backend *b, str name);

/* What the asks hear of it: a request has come for `tag`; it has ended so; the client
 * has the answer, a row of it; what it did is there, or undone. */
void walk_heard_request(uint64_t tag, walk_backend *b, uint64_t request);
void walk_heard_verdict(const walk_backend *b, uint64_t request);
void walk_heard_delivery(const walk_backend *b, uint64_t request);
void walk_heard_row(const walk_backend *b, uint64_t tag);
/* The client has read a notification, on a connection that it listens on. */
void walk_heard_notification(uint32_t channel, uint64_t number);
void walk_heard_effect(uint64_t tag, bool stays);
/* A connection of the client's has gone. */
void walk_heard_death(void);

#endif
