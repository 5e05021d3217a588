/* Looks at all hosts of a connection string every now and then: which are there, which are
 * standbys, how far those are behind, how soon they answer. What it finds is where connections are
 * opened first, and which of them are let go for better ones.
 *
 *   WAITS --interval--> LOOKS, at one host after the other --the last--> judges -> WAITS
 *
 * It looks where something hangs on it: load_balance_hosts=least-latency, PG_REPLICA_LAG_MAX, or
 * target_session_attrs=prefer-standby, with several hosts. Each look is a connection of its own,
 * for as long as it takes, which counts for PG_CONNECTIONS_MAX; without room for it nobody looks.
 */
#ifndef PG_SRC_PROBER_H
#define PG_SRC_PROBER_H

#include "conninfo.h"

#include "core/timer.h"

typedef struct pg_pool pg_pool;
typedef struct pg_conn pg_conn;

/* What was found when a host was looked at. */
typedef struct pg_host_view {
    uint64_t at_ms; /* by the loop's clock; 0: never */
    bool there;
    bool standby;
    uint32_t lag_ms;     /* of a standby, as it knows itself */
    uint32_t latency_us; /* of an answer: an average that forgets */
} pg_host_view;

typedef struct pg_prober {
    timer timer;
    uint32_t interval_ms; /* 0: it never looks */
    uint32_t lag_ms_max;  /* 0: any */
    uint32_t next;        /* host to look at */
    pg_host_view views[PG_HOSTS_MAX];
} pg_prober;

/* Which hosts are better than others: the lowest is to be tried first. */
typedef enum pg_host_class {
    PG_HOST_FIT = 0, /* also while nothing is known of it */
    PG_HOST_OTHER,   /* no standby, where one is preferred */
    PG_HOST_LAGS,    /* a standby, too far behind */
    PG_HOST_USELESS, /* it is not there, or of a kind that is not wanted */
} pg_host_class;

/* Begins to look, where something hangs on it; the pool has its connection string. */
void pg_prober_begin(pg_pool *pool, uint32_t interval_ms, uint32_t lag_ms_max);
void pg_prober_stop(pg_pool *pool);

/* What is known of a host now. */
pg_host_class pg_prober_class_of(const pg_pool *pool, uint32_t host);
/* Puts those first that are better; the others stay as they are. */
void pg_prober_rank(const pg_pool *pool, uint32_t *order, uint32_t count);

#endif
