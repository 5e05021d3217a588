/* Opens a pool's connections, and tries again after the server was away; for pool.c. Others ask by
 * pg_pool_open_another. */
#ifndef PG_SRC_OPENER_H
#define PG_SRC_OPENER_H

#include "pool.h"

/* Makes it ready; the pool has its loop. */
void pg_opener_init(pg_pool *pool);
/* Opens the first connection: at once where there is one worker, else within a second, so that all
 * of a program's workers do not come at the same moment. Whoever asks does not wait for it. */
void pg_opener_begin(pg_pool *pool);
/* It tries no more. */
void pg_opener_stop(pg_pool *pool);
/* A new connection is of no use: as if it had not been made. `why` is a literal. */
void pg_opener_refused(pg_pool *pool, const char *why);
/* Opens what could not be opened before, if it is still asked for. */
void pg_opener_go_on(pg_pool *pool);
/* The server has ended a connection. */
void pg_opener_lost_one(pg_pool *pool);

#endif
