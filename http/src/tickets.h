/* The keys of TLS session tickets: one set for all workers of a server, and for those of the
 * program that takes its place. */
#ifndef HTTP_SRC_TICKETS_H
#define HTTP_SRC_TICKETS_H

#include "core/error.h"
#include "core/tls.h"

typedef struct http_tickets http_tickets;

/* Takes over the keys in the file `inherited` of a predecessor, which it owns then; or, when that
 * is -1 or holds no keys that this program knows, makes new ones. fails  SYSTEM_FAILED,
 * OUT_OF_MEMORY */
error http_tickets_open(int inherited, uint64_t now_ms, http_tickets **out);
/* Unmaps the keys, which others may go on using. Nulls the pointer; NULL is allowed. */
void http_tickets_free(http_tickets **owner);
/* The descriptor of the file in memory that holds the keys; -1 of NULL. */
int http_tickets_fd(const http_tickets *t);

/* Makes a new key when the newest is older than `rotation_ms`; for one process at a time. Without
 * randomness the newest goes on. */
void http_tickets_rotate(http_tickets *t, uint64_t now_ms, uint64_t rotation_ms);
/* Gives the configuration the keys as they are now, unless this process has already.
 *   fails  as tls_config_set_ticket_keys */
error http_tickets_use(http_tickets *t, tls_config *config);

#endif
