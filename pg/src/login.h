/* Proving who we are to the server, and having it prove the same. */
#ifndef PG_SRC_LOGIN_H
#define PG_SRC_LOGIN_H

#include "conn.h"

/* Answers what the server asks after the startup message, up to its AuthenticationOk.
 *   fails  PG_AUTH_FAILED: it asks for what is not spoken or not allowed, or did not prove itself;
 *          what it refuses us with; as pg_conn_await */
YIELDS error pg_authenticate(pg_conn *c);

#endif
