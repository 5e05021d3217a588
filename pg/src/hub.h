/* The listeners of a pool, for pool.c and answer.c. */
#ifndef PG_SRC_HUB_H
#define PG_SRC_HUB_H

#include "conn.h"

typedef struct pg_hub pg_hub;

/* A NotificationResponse came on a connection. Returns false when it is malformed. */
bool pg_hub_told(pg_conn *c, str body);
/* Whether it is the one that listens. */
bool pg_hub_has(const pg_conn *c);
/* The connection has ended. */
void pg_hub_conn_ended(const pg_conn *c);
/* Ends it with its pool. Nulls the pointer; NULL is allowed. */
YIELDS void pg_hub_close(pg_hub **owner);

#endif
