/* Quarantine: routes whose handlers crash again and again. */
#ifndef HTTP_SRC_QUARANTINE_H
#define HTTP_SRC_QUARANTINE_H

#include "http/http.h"

#define HTTP_QUARANTINE_FAULTS_MAX 16

typedef struct http_quarantine http_quarantine;

/* Makes one in memory that is shared with the processes forked from here on.
 *   fails  OUT_OF_MEMORY */
error http_quarantine_new(http_quarantine **out);
/* Unmaps it here. Nulls the pointer. */
void http_quarantine_free(http_quarantine **owner);
/* Counts a fault of the route; true when it is the `faults`-th within `window_ms`, and the route is
 * closed from now on. */
bool http_quarantine_count(http_quarantine *q, const http_route *route, uint64_t now_ms,
                           uint32_t faults, uint64_t window_ms);
/* Whether the route is closed. */
bool http_quarantine_holds(const http_quarantine *q, const http_route *route);

#endif
