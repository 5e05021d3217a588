/* What stands before a connection's first request: a proxy's header, a TLS handshake, or nothing.
 */
#ifndef HTTP_SRC_ENTRANCE_H
#define HTTP_SRC_ENTRANCE_H

#include "conn.h"
#include "proxy_header.h"

/* Memory for a connection that comes in there; NULL without. */
http_conn *http_entrance_conn(const http_entrance *entrance);
/* The connection's stream is there. False when it cannot go on, and is to be closed. */
bool http_entrance_begin(http_conn *c, const http_entrance *entrance);
/* Takes bytes of one that is not through yet. False when it is to be closed without an answer. */
bool http_entrance_take(http_conn *c, str bytes, size_t *consumed);
/* The handshake is done. */
void http_entrance_shaken(http_conn *c);
/* It is closed for having taken too long; it has closed. For the counts. */
void http_entrance_late(const http_conn *c);
void http_entrance_closed(const http_conn *c, error why);

/* What a proxy's header said of the other end; NULL where none is asked for. */
const http_proxy_header *http_entrance_header(http_conn *c);

#endif
