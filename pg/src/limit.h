/* Timeouts of the server's own for our sessions: what ends a transaction or a statement whose
 * worker stands still, or is cut off, and would keep its locks for ever. Our own deadlines need a
 * worker that runs.
 *
 * They are asked for in the startup message, so that nothing that a session does to its settings
 * takes them back, and a server that does not know one, or a pooler, which has none for its
 * clients, is asked again without. */
#ifndef PG_SRC_LIMIT_H
#define PG_SRC_LIMIT_H

#include "core/error.h"
#include "core/str.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct pg_pool pg_pool;
typedef struct pg_conn pg_conn;

enum {
    PG_LIMIT_IDLE_IN_TRANSACTION,
    PG_LIMIT_TRANSACTION,
    PG_LIMIT_STATEMENT,
    PG_LIMITS
};

typedef struct pg_limit {
    str name;
    str value; /* in ms; STR_NONE: nothing is asked for */
    char text[16];
} pg_limit;

/* Sets pool->limits, of a pool that has its connection string and its PG_STATEMENTS: `ms` of each,
 * 0: none. Nor is there one where the session may be others' too, or the string's options name it.
 */
void pg_limits_init(pg_pool *pool, const int64_t ms[PG_LIMITS]);
/* Which of them are asked for now: a bit each. */
uint32_t pg_limits_asked(const pg_pool *pool);
/* Whether an attempt that may have asked for these was refused for one, which is left out from now
 * on. */
bool pg_limits_refused(const pg_conn *c, uint32_t asked, error e);

#endif
