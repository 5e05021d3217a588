/* Who waits for a connection: a line for those who write, lease, or do not say, and one for the
 * read-only lane. First come, first served: who needs a connection alone is not passed by those who
 * would share it, so whoever stands in line is served after exactly those who came before.
 *
 *   asked --one is free, and nobody waits--> given
 *         --otherwise--> in line --its turn--> given
 *                                --acquire timeout, deadline, overload, the pool's end--> an error
 *         --the line is full, or it would wait for itself, or nobody can connect--> an error
 *
 * Invariant: while somebody waits, no free connection passes them by. */
#ifndef PG_SRC_LINE_H
#define PG_SRC_LINE_H

#include "codel.h"

#include "core/list.h"
#include "core/timer.h"

typedef struct pg_pool pg_pool;

typedef struct pg_waiting_line {
    pg_pool *pool;
    list waiters; /* of pg_waiter, the oldest first */
    pg_codel codel;
    timer watch; /* armed while somebody waits: looks after the overload */
} pg_waiting_line;

/* What the lines have seen. */
typedef struct pg_waiting_counts {
    uint64_t acquired; /* connections given out */
    uint64_t released; /* and given back */
    uint64_t timed_out;
    uint64_t shed;
    uint64_t refused; /* the line was full */
} pg_waiting_counts;

/* An empty line. `target_ms` 0: it is never overloaded. */
void pg_waiting_line_init(pg_waiting_line *line, pg_pool *pool, uint32_t target_ms,
                          uint32_t interval_ms);
/* How long the first in line has waited, in ms; 0 when nobody waits. */
uint64_t pg_waiting_line_longest_ms(const pg_waiting_line *line);

#endif
