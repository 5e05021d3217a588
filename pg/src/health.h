/* Whether a connection is still good for what it is wanted for.
 *
 *   idle for a second      what has come meanwhile is looked at first: the server may have ended it
 *   idle for half a minute it is asked something first: the network may have forgotten it
 *   the server shuts down  nothing new is given to it
 *   another kind of server than target_session_attrs wants, since a failover: it retires, and all
 *                          others that lead to that host with it; what a transaction sets for its
 *                          own session is not the server's, and is looked at when that is reset
 */
#ifndef PG_SRC_HEALTH_H
#define PG_SRC_HEALTH_H

#include "pool.h"

/* For one that is about to be given out and that nobody uses. False: it is set aside until more is
 * known of it; then the pool's line is served. */
bool pg_health_check(pg_conn *c);
/* Everything that had come has been looked at, an answer among it. */
void pg_health_heard(pg_conn *c);
/* The connection has ended. */
void pg_health_end(pg_conn *c);

/* What the server has told, in an error or of its session. */
void pg_health_error(pg_conn *c, str sqlstate);
void pg_health_parameter(pg_conn *c, str name, str value);
/* What a transaction may have set for its session is taken back: what it is now, the server is. */
void pg_health_session_reset(const pg_conn *c);

#endif
