/* Load shedding: which requests a worker takes on. */
#ifndef HTTP_SRC_SHED_H
#define HTTP_SRC_SHED_H

#include "conn.h"

typedef struct http_shed {
    timer timer;
    http_server *server;
    uint64_t armed_at_us;
    uint64_t lag_us; /* as measured last */
    bool asked;      /* a request has come since */
} http_shed;

void http_shed_init(http_shed *shed, http_server *server);
/* Whether the request may go to its route, or to none: on its fiber, before layers, guard and body.
 * When not, its answer is staged: 503. */
bool http_shed_admit(http_request *req);

#endif
