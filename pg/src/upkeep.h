/* Keeping connections: how many, for how long, and how they are let go.
 *
 *   READY --too old, idle, lent, its host not what is wanted--> retiring --nobody uses it-->
 * CLOSING
 *
 * A connection that retires takes no new work; what it has, a transaction too, goes on to its end.
 * One that the pool cannot do without is replaced first, where there is room for another. */
#ifndef PG_SRC_UPKEEP_H
#define PG_SRC_UPKEEP_H

#include "pool.h"

/* A connection is ready, or has ended. */
void pg_upkeep_begin(pg_conn *c);
void pg_upkeep_end(pg_conn *c);

/* Nobody may be using it any more: ends it if it retires. */
void pg_upkeep_unused(pg_conn *c);
/* It takes no new work, and ends when nobody uses it; perhaps here and now. `why`: a literal. */
void pg_upkeep_retire(pg_conn *c, const char *why);

/* Opens what is missing to PG_POOL_MIN. */
void pg_upkeep_fill(pg_pool *pool);

/* For budget.c: retires one of that lane, or of any, that nobody has used for so long. Returns
 * false without one.
 */
bool pg_upkeep_lend_idle_of(pg_pool *pool, bool read_only, uint32_t idle_ms);
bool pg_upkeep_lend_idle(pg_pool *pool, uint32_t idle_ms);
/* Retires the one of the shared ones that has least to do. */
void pg_upkeep_lend_used(pg_pool *pool);

#endif
