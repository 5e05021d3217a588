/* The router: a tree over path segments, built once from constant tables.
 *
 * At each segment a literal wins over `:name<int8>`, `:name<uuid>`, `:name` in this order, and all
 * of them over `*name`, which takes the whole rest. A choice that leads nowhere is taken back. */
#ifndef HTTP_SRC_ROUTER_H
#define HTTP_SRC_ROUTER_H

#include "core/arena.h"
#include "core/error.h"
#include "http/layers.h"

#define ROUTER_PARAMS_MAX   16
#define ROUTER_SEGMENTS_MAX 32

extern const error_kind
    HTTP_ROUTES_INVALID; /* INTERNAL: a conflict, a bad pattern, a missing guard */

typedef struct router router;

typedef struct router_param {
    const char *name;
    size_t name_len;
    str value; /* decoded */
} router_param;

/* A route as it is found: with its whole pattern, the layers around it, and what they say of its
 * limits. */
typedef struct router_endpoint {
    const http_route *route;
    const char *pattern;
    const http_layer *layers;   /* ended by a NULL function */
    http_limits_options limits; /* the route's own, else those of the closest layer; 0: none */
    uint32_t index;             /* of all, from 0 on */
    const struct router_endpoint *next;
} router_endpoint;

typedef struct router_match {
    const router_endpoint *endpoint; /* NULL: none for this method */
    const http_route *route;         /* its */
    const char *pattern;             /* its */
    const http_layer *layers; /* without a route: of the path's first one, or the outer ones */
    uint32_t allowed;         /* bit m: the path has a route of http_method m; 0: no such path */
    uint32_t param_count;
    router_param params[ROUTER_PARAMS_MAX];
} router_match;

/* Builds a router in `a`, which must outlive it; several groups are merged.
 *   outer  the layers around all of them, ended by a NULL function; NULL: none
 *   fails  HTTP_ROUTES_INVALID, naming the routes; HTTP_LAYER_INVALID */
error http_router_build(arena *a, const http_layer *outer, const http_group *groups,
                        size_t group_count, router **out);
/* Adds routes that have no layers at all, not even the outer ones.
 *   fails  HTTP_ROUTES_INVALID */
error http_router_add_bare(arena *a, router *r, http_routes routes);
/* All of them, the last one first; NULL: none. */
const router_endpoint *http_router_endpoints(const router *r);
/* What is counted of them, in whatever order route_metrics.c has; set when all are there. */
void http_router_set_metrics(router *r, const metrics_table *table);
const metrics_table *http_router_metrics(const router *r);
/* Finds the route of a normalised, still encoded path. HEAD is served by GET where it has no route
 * of its own. Decoded values live in `a`. */
void http_router_find(const router *r, arena *a, http_method method, str path, router_match *out);

#endif
