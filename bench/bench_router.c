/* What finding a route costs among 1,000 of them: 250 resources with four routes each. The paths
 * are a literal, an integer parameter, a nested parameter, and one that leads nowhere. */
#include "measure.h"

#include "core/memory.h"
#include "http/src/router.h"

#include <stdio.h>

#define RESOURCES  250
#define ROUTES     (RESOURCES * 4)
#define NAME_BYTES 64

static router *routes_tree;
static arena decoded; /* parameters */

static error handler(http_request *req)
{
    return http_reply_empty(req, 204);
}

static error build(arena *a)
{
    static const char *const patterns[] = { "/v1/resource%03d", "/v1/resource%03d/:id<int8>",
                                            "/v1/resource%03d/:id<int8>/history/:version",
                                            "/v1/resource%03d/search" };
    static http_route routes[ROUTES];
    static char names[ROUTES][NAME_BYTES];
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        const char *const pattern = patterns[i % 4];
        (void)snprintf(names[i], NAME_BYTES, pattern, (int)(i / 4));
        routes[i] = (http_route){ HTTP_GET, names[i], handler, http_public };
    }
    const http_group group = { .routes = HTTP_ROUTES(routes) };
    return http_router_build(a, NULL, &group, 1, &routes_tree);
}

static void find(void *state)
{
    router_match match;
    arena_reset(&decoded);
    http_router_find(routes_tree, &decoded, HTTP_GET, *(const str *)state, &match);
}

static bool found(str path)
{
    router_match match;
    http_router_find(routes_tree, &decoded, HTTP_GET, path, &match);
    return match.route != NULL;
}

int main(int argc, char **argv)
{
    arena tree;
    arena_init(&tree, (size_t)16 << 20);
    arena_init(&decoded, (size_t)1 << 20);
    if (build(&tree).kind)
        return 1;
    str paths[] = { STR("/v1/resource124/search"), STR("/v1/resource124/4711"),
                    STR("/v1/resource249/4711/history/latest"),
                    STR("/v1/resource125/4711/nothing") };
    const measure_case cases[] = {
        { "router_literal", find, &paths[0] },
        { "router_parameter", find, &paths[1] },
        { "router_nested", find, &paths[2] },
        { "router_nothing", find, &paths[3] },
    };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        invariant(found(paths[i]) == (i < 3));
    const int status = measure_main(argc, argv, cases, ARRAY_LEN(cases));
    arena_deinit(&decoded);
    arena_deinit(&tree);
    return status;
}
