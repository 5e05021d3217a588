/* The log of slow statements. */
#ifndef PG_SRC_SLOW_H
#define PG_SRC_SLOW_H

#include "pace.h"
#include "watch.h"

#define PG_SLOW_SQL_BYTES 400 /* more of a statement's text is not needed */

/* Writes a line about statements that took `us` together, unless there were too many lines. */
void pg_slow_tell(const pg_watch *w, const pg_call *calls, size_t count, uint64_t us, error e);

#endif
