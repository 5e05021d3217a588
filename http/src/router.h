/* The router: a tree over path segments, built once from constant tables.
 *
 * At each segment a literal wins over `:name<int8>`, `:name<uuid>`, `:name` in this order, and all
 * of them over `*name`, which takes the whole rest. A choice that leads nowhere is taken back. */
#ifndef HTTP_SRC_ROUTER_H
#define HTTP_SRC_ROUTER_H

#include "core/arena.h"
#include "core/error.h"
#include "http/http.h"

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

typedef struct router_match {
    const http_route *route; /* NULL: none for this method */
    uint32_t allowed;        /* bit m: the path has a route of http_method m; 0: no such path */
    uint32_t param_count;
    router_param params[ROUTER_PARAMS_MAX];
} router_match;

/* Builds a router in `a`, which must outlive it; several tables are merged.
 *   fails  HTTP_ROUTES_INVALID, naming the routes */
error http_router_build(arena *a, const http_routes *tables, size_t table_count, router **out);
/* Finds the route of a normalised, still encoded path. HEAD is served by GET where it has no route
 * of its own. Decoded values live in `a`. */
void http_router_find(const router *r, arena *a, http_method method, str path, router_match *out);

#endif
