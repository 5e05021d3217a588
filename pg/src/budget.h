/* How many connections all workers of a program may have together: PG_CONNECTIONS_MAX.
 *
 * Each connection, from before it is opened until its stream is gone, takes one of them; they are
 * counted in the ledger (core/ledger.h), so there is no lock, and what a killed worker had is free
 * again. A worker that gets none says that it wants one, and tries again soon. The others look
 * every now and then, and let one go:
 *
 *   - that nobody uses; their last only when nobody has used it for a second, or who wants has
 * none;
 *   - that is used, when they have at least two more than who wants: it takes no more work and
 *     ends when it has done what it has.
 *
 * What is free goes first to those who have less. */
#ifndef PG_SRC_BUDGET_H
#define PG_SRC_BUDGET_H

#include "pool.h"

/* Makes it ready; the pool has its loop and its settings. */
void pg_budget_init(pg_pool *pool);
/* The pool lends nothing and wants nothing any more. */
void pg_budget_stop(pg_pool *pool);

/* Takes one for a connection that is about to be opened; false: there is none, and those who have
 * some have been asked. */
bool pg_budget_take(pg_pool *pool);
/* The same, where nobody needs it: nobody is asked for it. */
bool pg_budget_try(pg_pool *pool);
/* Whether the last one asked for was refused. */
bool pg_budget_is_short(const pg_pool *pool);
/* Whether the pool has all there may be. */
bool pg_budget_is_all_of(const pg_pool *pool);
/* Gives it back. */
void pg_budget_give(pg_pool *pool);

#endif
