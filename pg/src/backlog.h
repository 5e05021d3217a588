/* What a connection has to do: the requests under way, each at what its statement is known to take.
 *
 * The server answers one after the other, so a statement's cost is the time from the answer before
 * it, or from its own sending, to its answer. It is an average that forgets, and of this client's
 * clock: a guide to who is put where, and nothing else. */
#ifndef PG_SRC_BACKLOG_H
#define PG_SRC_BACKLOG_H

#include "conn.h"

#define PG_COST_UNKNOWN_NS 1000000 /* of a statement that was never answered here */

/* A request is under way, or about to be; `r->since_us` and its statement are given. */
void pg_backlog_add(pg_conn *c, pg_request *r);
/* It is not any more. `answered`: by the server, and its statement's cost is known better. */
void pg_backlog_remove(pg_conn *c, const pg_request *r, bool answered);

/* How long the connection is held up, in us: as long as its oldest request has waited already, or
 * as long as all of them are expected to take, whichever is longer. */
uint64_t pg_backlog_us(const pg_conn *c, uint64_t now_us);
/* The same by the oldest alone: how long the server has worked on it, or will by what is known. */
uint64_t pg_backlog_oldest_us(const pg_conn *c, uint64_t now_us);

#endif
