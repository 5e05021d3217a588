/* A program's own hooks (pg/hooks.h), called where the pool has come to them. Nothing here is
 * called without hooks. */
#ifndef PG_SRC_HOOKS_H
#define PG_SRC_HOOKS_H

#include "pool.h"

/* Who asks the host that is tried: `c->login`, until it is open.
 *   fails  PG_CONNECT_FAILED, PG_POOL_CLOSED */
YIELDS error pg_hooks_before_connect(pg_conn *c);
/* What its session is to begin with: `c->setup`, which is the connection's.
 *   fails  PG_CONNECT_FAILED, PG_POOL_CLOSED, OUT_OF_MEMORY */
YIELDS error pg_hooks_after_connect(pg_conn *c);
/* Whether it may be given out; it retires when not. */
bool pg_hooks_before_acquire(pg_conn *c);
/* Whether it may be used again. */
bool pg_hooks_after_release(pg_conn *c);
void pg_hooks_before_close(pg_conn *c);
/* What our private key is encrypted with; of no connection.
 *   fails  PG_CONNINFO_INVALID */
error pg_hooks_key_password(const pg_hooks *hooks, str key_file, str *password);

#endif
