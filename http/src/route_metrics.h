/* What is counted of each route: requests by class of status, their time, and those in flight. */
#ifndef HTTP_SRC_ROUTE_METRICS_H
#define HTTP_SRC_ROUTE_METRICS_H

#include "conn.h"

/* Makes the table of all routes of `r` in `a`, which is then http_router_metrics(r); labels are
 * pattern and method. */
void http_route_metrics_add(arena *a, router *r);

/* A request has found its route. */
void http_route_metrics_begin(const http_server *server, const router_endpoint *e);
/* It has been answered. */
void http_route_metrics_answered(const http_server *server, const router_endpoint *e, int status,
                                 uint64_t us);
/* It is over, answered or not. Once for each begin. */
void http_route_metrics_end(const http_server *server, const router_endpoint *e);

#endif
