/* A worker's connections and who waits for them.
 *
 * Queries share connections (choice.c), and when those that are open have enough to do, another is
 * opened beside. A transaction leases one alone, and only one that
 * nobody uses: a fiber that is about to run its statement there would get into the transaction. Who
 * finds none waits in line (line.h).
 *
 * Read-only connections are a lane of their own, opened when first asked for, with their own line.
 * What they are asked for goes to the first that has room, so that it leaves in large batches.
 *
 *   no server:  see opener.c; meanwhile whoever asks fails at once */
#ifndef PG_SRC_POOL_H
#define PG_SRC_POOL_H

#include "conn.h"
#include "conninfo.h"
#include "limit.h"
#include "line.h"
#include "pace.h"
#include "prober.h"
#include "rewording.h"
#include "scram_cache.h"

#include "core/ledger.h"
#include "core/scope.h"
#include "core/timer.h"
#include "core/tls.h"

#define PG_LOAD_MAX 64 /* fibers that use one shared connection at once */

typedef struct pg_request_chunk pg_request_chunk;

enum {
    PG_METRIC_QUERIES,
    PG_METRIC_CONNECTIONS,
    PG_METRIC_CONNECTIONS_IDLE,
    PG_METRIC_CONNECTIONS_OPENING,
    PG_METRIC_CONNECTIONS_MAX,
    PG_METRIC_TRANSACTIONS,
    PG_METRIC_WAITING,
    PG_METRIC_ACQUIRE_WAIT,
    PG_METRIC_ACQUIRE_TIMEOUTS,
    PG_METRIC_ACQUIRE_SHED,
    PG_METRIC_ACQUIRE_REFUSED,
    PG_METRIC_CONNECT_FAILURES,
    PG_METRIC_CONNECTIONS_LOST,
    PG_METRIC_QUERY_DURATION,
    PG_METRIC_LEASE_DURATION,
    PG_METRIC_PARSES,
    PG_METRIC_PORTALS,
    PG_METRIC_REQUEUES,
    PG_METRIC_DUPLICATES,
    PG_METRIC_ABANDONED,
    PG_METRIC_CANCELS,
    PG_METRIC_CANCELS_LATER,
    PG_METRIC_SLOW_QUERIES,
    PG_METRIC_NOTICES,
    PG_METRIC_COMMITS,
    PG_METRIC_ROLLBACKS,
    PG_METRIC_BYTES_SENT,
    PG_METRIC_BYTES_RECEIVED,
    PG_METRIC_PIPELINE_DEPTH,
    PG_METRIC_BATCH_SIZE,
    PG_METRIC_CONNECTIONS_RETIRED,
    PG_METRIC_COUNT,
};

/* How a connection is used. */
typedef enum pg_lane {
    PG_LANE_SHARED,    /* with others, each with a Sync of its own */
    PG_LANE_LEASED,    /* alone, by a transaction */
    PG_LANE_READ_ONLY, /* with others, in batches */
} pg_lane;

struct pg_pool {
    loop *loop;
    uint32_t references; /* its owner and each connection */
    arena arena;         /* of conninfo's text */
    pg_conninfo info;
    tls_config *tls; /* NULL: no connection has TLS */
    pg_scram_cache scram_keys;
    uint32_t scram_iterations_min;
    pg_prober prober;
    uint32_t connections_max;
    uint32_t connections_min;
    uint32_t process_max;     /* of all workers together; 0: any number */
    uint32_t idle_timeout_ms; /* 0: none, as of the next */
    uint32_t lifetime_ms;
    uint32_t message_bytes_max;
    uint32_t read_only_max;
    pg_limit limits[PG_LIMITS];
    bool says_read_only; /* each batch of reads does: sessions cannot begin so */
    uint32_t acquire_timeout_ms;
    uint32_t cancel_timeout_ms; /* of a cancel's stream */
    list conns;
    list lookups; /* of hosts' names, under way: see lookup.c */
    uint32_t open;
    uint32_t open_read_only; /* of them */
    uint32_t opening;
    uint32_t opening_read_only; /* of them */
    uint32_t asked[2];          /* connections that were idle for long, by whether they only read */
    uint32_t opening_max;       /* at once; grows with every one that succeeds */
    uint32_t leased;
    pg_waiting_line line;
    pg_waiting_line read_only_line;
    uint32_t waiting; /* in both */
    uint32_t waiting_max;
    pg_waiting_counts line_counts;
    list spare_requests;
    pg_request_chunk *request_chunks; /* all memory of requests */
    uint32_t failures;                /* attempts to connect since the last that succeeded */
    bool away;   /* the server, and the log has said so: it will say when it is back */
    timer begin; /* the first connection is opened, unless somebody has asked for one before */
    timer retry;
    timer ask_again; /* for a connection of all workers' */
    timer lend;      /* one to another worker */
    bool wants_more; /* and the ledger says so */
    bool probing;    /* the one of all workers that tries whether the server is back */
    /* of the ledger: connections held; pools that want more; who probes; attempts that failed; and
     * by whose clock_ms nobody is to try again */
    ledger_line held, wants, probes, failing, not_before;
    char last_error[256]; /* why the last attempt failed */
    bool behind_pooler;   /* it has shown itself: whose a named pool's sessions are nobody knows */
    bool told_open;       /* the log says that connections are not encrypted, or not verified */
    bool told_iterations; /* the log says that the server asks for few iterations of SCRAM */
    bool closed;
    fiber *closer;                   /* in pg_pool_close */
    struct pg_hub *hub;              /* NULL: nobody has listened yet */
    uint32_t listening;              /* connections that the hub has, beside connections_max */
    pg_statements statements;        /* never the default */
    uint32_t pipeline_max;           /* groups under way on a connection; 0: no limit */
    bool busy_polls;                 /* its answers are looked for before the loop sleeps */
    pg_statement_cache descriptions; /* of statements, where they are not named */
    pg_rewording rewording;          /* of those that are */
    uint64_t queries;
    metrics_cells metrics;
    struct pg_names *names; /* NULL: no statement with a name yet; see watch.c */
    struct {
        uint64_t from_us; /* what takes as long is logged */
        bool parameters;  /* with their values */
        pg_pace pace;
    } slow;
    pg_pace notices;
    struct {
        uint64_t since_ms; /* of the second that runs */
        uint32_t sent;     /* in it */
    } cancels;
    const pg_trace *trace; /* NULL: nobody follows */
    const pg_hooks *hooks; /* NULL: none */
};

struct pg_tx {
    pg_pool *pool;
    pg_conn *conn; /* leased; of a nested one the outermost's. NULL: ended */
    pg_tx *parent; /* NULL: the outermost */
    pg_tx *child;  /* nested in it and not ended */
    str begin;     /* the statement that begins it */
    str savepoint; /* a nested one's name */
    deferred *left;
    bool begun;   /* the server has seen BEGIN, or may have */
    bool refused; /* its first statement was, or was given up: the transaction has failed */
    bool streams; /* a pg_stream has it, and nothing else may run */
};

/* A connection of the lane for the running fiber.
 *   at      pg_target.at
 *   yields  until there is one
 *   fails   PG_CONNECT_FAILED, PG_POOL_TIMED_OUT, PG_POOL_FULL, PG_POOL_OVERLOADED,
 *           PG_NESTED_ACQUIRE, PG_POOL_CLOSED; TIMED_OUT, CANCELED
 *   owns    a reference; pg_pool_release gives it back. The connection may end at any time */
YIELDS error pg_pool_acquire(pg_pool *pool, pg_lane lane, const char *at, pg_conn **out);
/* Lets those go on who wait, as far as there are connections. */
void pg_pool_serve(pg_pool *pool);
/* Nulls the pointer. */
void pg_pool_release(pg_conn **owner, bool leased);

/* Opens one more connection unless enough are open, one is being opened, or it is not yet time to
 * try again. */
void pg_pool_open_another(pg_pool *pool, bool read_only);
/* Whether as many are open as may be. */
bool pg_pool_is_enough(const pg_pool *pool, bool read_only);
/* `n`: -1 for what a gauge lost. */
static inline void pg_pool_count(const pg_pool *pool, uint32_t which, int64_t n)
{
    metrics_add(pool->metrics, which, (uint64_t)n);
}

/* Whether its statements have names. */
static inline bool pg_conn_is_named(const pg_conn *c)
{
    return c->pool->statements == PG_STATEMENTS_NAMED;
}

pg_pool *pg_pool_ref(pg_pool *pool);
/* Nulls the pointer; frees the pool with the last reference. */
void pg_pool_unref(pg_pool **owner);

/* What connections tell their pool. */
void pg_pool_count_answer(pg_pool *pool);
void pg_pool_conn_ended(pg_conn *c, bool was_ready, const char *why);
void pg_pool_conn_closed(pg_conn *c);
/* The last one may be waited for. */
void pg_pool_lookup_ended(pg_pool *pool);

/* Requests are kept and used again. NULL without memory. */
pg_request *pg_pool_take_request(pg_pool *pool);
void pg_pool_give_request(pg_pool *pool, pg_request *request);

#endif
