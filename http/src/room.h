/* Room for connections: a cap, and who gives way at it. */
#ifndef HTTP_SRC_ROOM_H
#define HTTP_SRC_ROOM_H

#include "conn.h"

/* The connection waits for a request from now on, or has one, or is about to close. */
void http_room_idle(http_conn *c);
void http_room_busy(http_conn *c);
/* Whether one more connection may come, of a probe or of others. At the cap of these the one that
 * has been idle for longest is closed for it. */
bool http_room_make(http_server *server, bool probe);
/* Whether http_room_make would succeed, but for a probe. */
bool http_room_is_there(http_server *server);
/* A connection has come: without room for another, accepting pauses (on_full). */
void http_room_taken(http_server *server);
/* A connection is being freed: accepting goes on (on_room). */
void http_room_left(http_conn *c);

#endif
