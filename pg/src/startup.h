/* The beginning of a session: the startup message, the version of the protocol, what the server
 * tells of itself, and whether it is one of those that are wanted. */
#ifndef PG_SRC_STARTUP_H
#define PG_SRC_STARTUP_H

#include "conn.h"
#include "conninfo.h"

/* The next message but for notices and the like.
 *   fails  with what the server refuses us, by SQLSTATE; as pg_conn_await */
YIELDS error pg_startup_next(pg_conn *c, pg_message *out);
/* What a message that makes no sense there fails with. */
error pg_startup_unexpected(const pg_message *m);

/* Whether the session is asked to begin read-only. */
bool pg_startup_asks_read_only(const pg_conn *c);
/* Whether an attempt that may have asked for that (`asked`) was refused for it: from now on batches
 * of reads say it themselves. */
bool pg_startup_read_only_refused(pg_conn *c, bool asked, error e);
/* Introduces us. */
error pg_startup_send(pg_conn *c);
/* Takes the server's NegotiateProtocolVersion.
 *   fails  PG_PROTOCOL_VIOLATION; PG_CONNECT_FAILED for a version below min_protocol_version */
error pg_startup_negotiate(pg_conn *c, const pg_message *m);
/* After the authentication, until the server is ready. */
YIELDS error pg_startup_await_ready(pg_conn *c);
/* Whether the session is of the kind that target_session_attrs wants.
 *   fails  PG_CONNECT_FAILED when it is not */
YIELDS error pg_startup_check_session(pg_conn *c, pg_session_attrs wanted);
/* Instead: fills `c->view`.
 *   fails  PG_PROTOCOL_VIOLATION; with what the server refuses */
YIELDS error pg_startup_look(pg_conn *c);
/* Runs what after_connect has given (`c->setup`), if anything.
 *   fails  with what the server refuses; PG_AUTH_FAILED when it leaves a transaction open */
YIELDS error pg_startup_set_up(pg_conn *c);

#endif
