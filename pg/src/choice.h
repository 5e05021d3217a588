/* Which connection a fiber is given. */
#ifndef PG_SRC_CHOICE_H
#define PG_SRC_CHOICE_H

#include "pool.h"

/* The connection that serves the lane best; NULL when none can now. Asks for another to be opened
 * where that would help. */
pg_conn *pg_choose(pg_pool *pool, pg_lane lane);

#endif
