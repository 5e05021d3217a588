/* The tree. Patterns come from the program, so faults in them are found at the start; paths come
 * from anybody, and cost at most one visit a node for each way the patterns leave open.
 *
 * Invariant: a node's literals are sorted by key, its parameters stand in the order of param_type.
 */
#include "router.h"

#include "files.h"
#include "layer.h"
#include "method.h"
#include "target.h"

#include <stdlib.h>
#include <string.h>

ERROR_KIND(HTTP_ROUTES_INVALID, ERROR_INTERNAL, "The routes are invalid.");

#define METHODS (HTTP_METHOD_OTHER + 1)

typedef enum param_type {
    PARAM_INT8 = 0,
    PARAM_UUID,
    PARAM_TEXT,
    PARAM_TYPES,
} param_type;

typedef struct node node;
struct node {
    uint64_t key;                 /* of the literal: see key_of */
    str literal;                  /* how it is reached: a literal… */
    str name;                     /* …or a parameter's name */
    const router_endpoint *first; /* the route that gave the name */
    node **literals;
    uint32_t literal_count;
    node *params[PARAM_TYPES];
    node *rest;
    const router_endpoint *routes[METHODS];
    uint32_t allowed; /* bit m: one of them is of http_method m, or serves it */
};

/* Layers that are ready to run, and what those among them that only say so say of limits. */
typedef struct layering {
    const http_layer *layers;
    http_limits_options limits;
} layering;

struct router {
    node root;
    layering outer;             /* around what no route wants, too */
    router_endpoint *endpoints; /* the last one first */
    const metrics_table *metrics;
};

static const http_layer NO_LAYERS[] = { { NULL, NULL } };

/* --- building -------------------------------------------------------------------------------- */

static error invalid(const router_endpoint *e, const char *why)
{
    return error_set(&HTTP_ROUTES_INVALID, "route %s %s: %s", http_method_name(e->route->method),
                     e->pattern, why);
}

/* Made of a segment's first bytes, its last ones and its length, which tell most apart. */
static uint64_t key_of(str segment)
{
    uint64_t first = 0, last = 0;
    if (segment.len >= sizeof first) {
        memcpy(&first, segment.ptr, sizeof first);
        memcpy(&last, segment.ptr + segment.len - sizeof last, sizeof last);
    } else {
        for (size_t i = 0; i < segment.len; i++)
            first = first << 8 | (unsigned char)segment.ptr[i];
    }
    const uint64_t odd = UINT64_C(0x9E3779B97F4A7C15);
    return (first * odd ^ last ^ segment.len) * odd;
}

static int by_key(const void *a, const void *b)
{
    const node *const *left = a;
    const node *const *right = b;
    return ((*left)->key > (*right)->key) - ((*left)->key < (*right)->key);
}

static node *find_literal(const node *at, str segment)
{
    const uint64_t key = key_of(segment);
    uint32_t low = 0;
    for (uint32_t count = at->literal_count; count > 0;) { /* the first whose key is not less */
        const uint32_t half = count / 2;
        const bool is_less = at->literals[low + half]->key < key;
        low = is_less ? low + half + 1 : low;
        count = is_less ? count - half - 1 : half;
    }
    for (; low < at->literal_count && at->literals[low]->key == key; low++) {
        if (str_eq(at->literals[low]->literal, segment))
            return at->literals[low];
    }
    return NULL;
}

static node *add_literal(arena *a, node *at, str segment)
{
    node *child = find_literal(at, segment);
    if (child)
        return child;
    node **more = ARENA_NEW_ARRAY(a, node *, at->literal_count + 1);
    if (at->literal_count)
        memcpy(more, at->literals, at->literal_count * sizeof *more);
    child = ARENA_NEW(a, node);
    child->key = key_of(segment);
    child->literal = segment;
    more[at->literal_count++] = child;
    qsort(more, at->literal_count, sizeof *more, by_key);
    at->literals = more;
    return child;
}

static bool is_name(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.ptr[i];
        if (!(c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (i > 0 && c >= '0' && c <= '9')))
            return false;
    }
    return s.len > 0;
}

/* ":id<int8>" without the colon. */
static bool parse_param(str text, str *name, param_type *type)
{
    *type = PARAM_TEXT;
    const size_t open = str_index(text, '<');
    *name = str_slice(text, 0, open);
    if (!is_name(*name))
        return false;
    if (open == text.len)
        return true;
    const str kind = str_slice(text, open, text.len);
    if (str_eq(kind, STR("<int8>")))
        *type = PARAM_INT8;
    else if (str_eq(kind, STR("<uuid>")))
        *type = PARAM_UUID;
    else
        return str_eq(kind, STR("<text>"));
    return true;
}

/* The child in `*slot`, made when it is not there. NULL when it has another name. */
static node *named_child(arena *a, node **slot, str name, const router_endpoint *e)
{
    if (!*slot) {
        *slot = ARENA_NEW(a, node);
        (*slot)->name = name;
        (*slot)->first = e;
    }
    return str_eq((*slot)->name, name) ? *slot : NULL;
}

static error add_segment(arena *a, node **at, str segment, bool last, const router_endpoint *e,
                         uint32_t *params)
{
    if (segment.len == 0 || (segment.ptr[0] != ':' && segment.ptr[0] != '*')) {
        *at = add_literal(a, *at, segment);
        return OK;
    }
    if (++*params > ROUTER_PARAMS_MAX)
        return invalid(e, "too many parameters");
    str name = str_slice(segment, 1, segment.len);
    node **slot = &(*at)->rest;
    if (segment.ptr[0] == '*') {
        if (!last || !is_name(name))
            return invalid(e, "*name must be the last segment");
    } else {
        param_type type;
        if (!parse_param(name, &name, &type))
            return invalid(e, "a parameter is :name, :name<text>, :name<int8> or :name<uuid>");
        slot = &(*at)->params[type];
    }
    node *child = named_child(a, slot, name, e);
    if (!child)
        return error_set(
            &HTTP_ROUTES_INVALID, "routes %s %s and %s %s call one parameter \"%.*s\" and \"%.*s\"",
            http_method_name((*slot)->first->route->method), (*slot)->first->pattern,
            http_method_name(e->route->method), e->pattern, STR_ARG((*slot)->name), STR_ARG(name));
    *at = child;
    return OK;
}

static error check_route(const router_endpoint *e)
{
    const http_route *route = e->route;
    if (e->pattern[0] != '/')
        return invalid(e, "a pattern begins with /");
    if (!route->handler)
        return invalid(e, "it has no handler");
    if (!route->guard)
        return invalid(e, "it has no guard; http_public lets everybody in");
    if (route->method < HTTP_GET || route->method >= HTTP_CONNECT)
        return invalid(e, "its method cannot be routed");
    if (route->handler != http_files)
        return route->files ? invalid(e, ".files is for the handler http_files") : OK;
    return http_files_check(route, e->pattern);
}

static error add_route(arena *a, router *r, const router_endpoint *e)
{
    TRY(check_route(e));
    node *at = &r->root;
    str rest = str_from_c(e->pattern + 1);
    uint32_t segments = 0, params = 0;
    while (rest.ptr) {
        if (++segments > ROUTER_SEGMENTS_MAX)
            return invalid(e, "too many segments");
        const str segment = str_cut(&rest, '/');
        TRY(add_segment(a, &at, segment, !rest.ptr, e, &params));
    }
    const http_method method = e->route->method;
    if (at->routes[method])
        return error_set(&HTTP_ROUTES_INVALID, "routes %s %s and %s %s are the same",
                         http_method_name(method), at->routes[method]->pattern,
                         http_method_name(method), e->pattern);
    at->routes[method] = e;
    at->allowed |= 1U << method;
    if (method == HTTP_GET)
        at->allowed |= 1U << HTTP_HEAD;
    return OK;
}

static size_t count_layers(const http_layer *layers)
{
    size_t count = 0;
    while (count < HTTP_LAYERS_MAX && layers[count].run)
        count++;
    return count;
}

static http_limits_options closer_limits(const http_limits_options *outer,
                                         const http_limits_options *inner)
{
    return (http_limits_options){
        .body_bytes_max = inner->body_bytes_max ? inner->body_bytes_max : outer->body_bytes_max,
        .timeout_ms = inner->timeout_ms ? inner->timeout_ms : outer->timeout_ms,
    };
}

/* A copy of `layers` that is ready to run; those of limits have said all they have to say. */
static error prepare_layers(arena *a, http_prepared **known, const http_layer *layers,
                            layering *out)
{
    const size_t count = count_layers(layers);
    http_layer *ready = ARENA_NEW_ARRAY(a, http_layer, count + 1);
    out->layers = ready;
    for (size_t i = 0; i < count; i++) {
        TRY(http_layer_prepare(a, known, &layers[i], ready));
        if (layers[i].run == http_limits)
            out->limits = closer_limits(&out->limits, ready->options);
        else
            ready++;
    }
    *ready = (http_layer){ NULL, NULL };
    return OK;
}

/* The outer layers, then the inner ones. */
static layering join_layers(arena *a, const layering *outer, const layering *inner)
{
    const size_t outer_count = count_layers(outer->layers);
    const size_t inner_count = count_layers(inner->layers);
    http_layer *all = ARENA_NEW_ARRAY(a, http_layer, outer_count + inner_count + 1);
    memcpy(all, outer->layers, outer_count * sizeof *all);
    memcpy(all + outer_count, inner->layers, inner_count * sizeof *all);
    return (layering){ all, closer_limits(&outer->limits, &inner->limits) };
}

static error add_routes(arena *a, router *r, const char *prefix, http_routes routes,
                        const layering *around)
{
    for (size_t i = 0; i < routes.count; i++) {
        const http_route *route = &routes.items[i];
        router_endpoint *e = ARENA_NEW(a, router_endpoint);
        e->route = route;
        e->layers = around->layers;
        e->limits = closer_limits(
            &around->limits, &(http_limits_options){ route->body_bytes_max, route->timeout_ms });
        e->index = r->endpoints ? r->endpoints->index + 1 : 0;
        e->next = r->endpoints;
        r->endpoints = e;
        e->pattern = prefix && route->pattern
                         ? str_to_c(a, str_format(a, "%s%s", prefix, route->pattern))
                     : route->pattern ? route->pattern
                                      : "(no pattern)";
        TRY(add_route(a, r, e));
    }
    return OK;
}

error http_router_build(arena *a, const http_layer *outer, const http_group *groups,
                        size_t group_count, router **out)
{
    router *r = ARENA_NEW(a, router);
    http_prepared *known = NULL;
    TRY(prepare_layers(a, &known, outer ? outer : NO_LAYERS, &r->outer));
    for (size_t i = 0; i < group_count; i++) {
        layering inner = { 0 };
        TRY(prepare_layers(a, &known, groups[i].layers, &inner));
        const layering all = join_layers(a, &r->outer, &inner);
        TRY(add_routes(a, r, groups[i].prefix, groups[i].routes, &all));
    }
    *out = r;
    return OK;
}

error http_router_add_bare(arena *a, router *r, http_routes routes)
{
    return add_routes(a, r, NULL, routes, &(layering){ .layers = NO_LAYERS });
}

const router_endpoint *http_router_endpoints(const router *r)
{
    return r->endpoints;
}

void http_router_set_metrics(router *r, const metrics_table *table)
{
    r->metrics = table;
}

const metrics_table *http_router_metrics(const router *r)
{
    return r->metrics;
}

/* --- finding --------------------------------------------------------------------------------- */

static bool fits(param_type type, str segment)
{
    int64_t number;
    uuid id;
    switch (type) {
    case PARAM_INT8:
        return str_to_int64(segment, &number);
    case PARAM_UUID:
        return uuid_parse(segment, &id);
    case PARAM_TEXT:
        return segment.len > 0;
    case PARAM_TYPES:
        break;
    }
    unreachable();
}

/* Of a node that has routes. */
static const router_endpoint *first_route(const node *n)
{
    for (uint32_t m = HTTP_GET; m < METHODS; m++) {
        if (n->routes[m])
            return n->routes[m];
    }
    unreachable();
}

typedef struct search {
    arena *arena;
    http_method method;
    bool plain; /* nothing is to be decoded */
    router_match *out;
} search;

/* Settles on a node that has routes; the first found tells what is allowed. */
static bool arrive(const search *s, const node *n)
{
    if (!n->allowed)
        return false;
    const router_endpoint *e = n->routes[s->method];
    if (!e && s->method == HTTP_HEAD)
        e = n->routes[HTTP_GET];
    if (!e && s->out->allowed == 0) /* what its group says of other methods: preflights, say */
        s->out->layers = first_route(n)->layers;
    s->out->allowed |= n->allowed;
    if (!e)
        return false;
    s->out->endpoint = e;
    s->out->route = e->route;
    s->out->pattern = e->pattern;
    s->out->layers = e->layers;
    return true;
}

static void capture(const search *s, const node *n, str value)
{
    s->out->params[s->out->param_count++] = (router_param){ n->name.ptr, n->name.len, value };
}

static bool decode(const search *s, str part, str *out)
{
    *out = part;
    return s->plain || http_percent_decode(s->arena, part, false, out);
}

/* `rest` is the path behind the segments taken; STR_NONE when all are. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as the deepest pattern */
static bool descend(const search *s, const node *at, str rest)
{
    if (!rest.ptr)
        return arrive(s, at);
    const str whole = rest;
    str segment = str_cut(&rest, '/');
    str decoded;
    if (decode(s, segment, &decoded)) {
        const node *child = find_literal(at, decoded);
        if (child && descend(s, child, rest))
            return true;
        for (param_type type = PARAM_INT8; type < PARAM_TYPES; type++) {
            child = at->params[type];
            if (!child || !fits(type, decoded))
                continue;
            const uint32_t before = s->out->param_count;
            capture(s, child, decoded);
            if (descend(s, child, rest))
                return true;
            s->out->param_count = before;
        }
    }
    if (at->rest && decode(s, whole, &decoded)) {
        const uint32_t before = s->out->param_count;
        capture(s, at->rest, decoded);
        if (arrive(s, at->rest))
            return true;
        s->out->param_count = before;
    }
    return false;
}

void http_router_find(const router *r, arena *a, http_method method, str path, router_match *out)
{
    out->endpoint = NULL;
    out->route = NULL;
    out->pattern = NULL;
    out->layers = r->outer.layers;
    out->allowed = 0;
    out->param_count = 0;
    const search s = { a, method, http_path_is_plain(path), out };
    if (path.len > 0 && path.ptr[0] == '/')
        descend(&s, &r->root, str_slice(path, 1, path.len));
}
