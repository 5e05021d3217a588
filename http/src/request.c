/* A request on its fiber: routed, guarded, handled, and every error made into an answer. Also what
 * handlers ask of a request. */
#include "departure.h"
#include "file.h"
#include "method.h"
#include "route_metrics.h"
#include "shed.h"

#include "core/scope.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

ERROR_KIND(HTTP_BAD_REQUEST, ERROR_INVALID, "The request is malformed.");
ERROR_KIND(HTTP_BODY_TOO_LARGE, ERROR_TOO_LARGE, "The body is larger than this resource takes.");
ERROR_KIND(HTTP_UNSUPPORTED_MEDIA, ERROR_INVALID, "The body must be of type application/json.");
ERROR_KIND(HTTP_NOT_FOUND, ERROR_NOT_FOUND, "There is nothing at this address.");
ERROR_KIND(HTTP_PRECONDITION_FAILED, ERROR_INVALID,
           "The resource is not in the state the request expects.");
ERROR_KIND(HTTP_CLIENT_GONE, ERROR_CANCELED, "The client has gone.");
ERROR_KIND(HTTP_BAD_HEADER, ERROR_INTERNAL, "The server could not complete the request.");
ERROR_KIND(HTTP_METHOD_NOT_ALLOWED, ERROR_INVALID, "This resource has no such method.");
static ERROR_KIND(HTTP_NO_ANSWER, ERROR_INTERNAL, "The server could not complete the request.");
static ERROR_KIND(HTTP_PAGE_INVALID, ERROR_INVALID, "The query has invalid fields.");

/* --- running --------------------------------------------------------------------------------- */

/* "Allow: GET, HEAD, OPTIONS" */
static error set_allow(http_request *req, uint32_t allowed)
{
    const uint32_t methods = allowed | 1U << HTTP_OPTIONS;
    return http_set_header(req, STR("Allow"), http_method_list(&req->conn->arena, methods));
}

/* What is inside all layers when no route wants the request. */
static error no_route(http_request *req)
{
    if (req->match.allowed == 0)
        return error_set(&HTTP_NOT_FOUND, "no route");
    TRY(set_allow(req, req->match.allowed));
    if (req->head.method == HTTP_OPTIONS)
        return http_reply_empty(req, 204);
    return error_set(&HTTP_METHOD_NOT_ALLOWED, "no route for the method");
}

/* What is inside all layers. */
static error guard_and_handle(http_request *req)
{
    const http_route *route = req->match.route;
    if (!route)
        return no_route(req);
    TRY(route->guard(req));
    TRY(route->handler(req));
    if (req->status == 0)
        return error_set(&HTTP_NO_ANSWER, "the handler of %s gave no answer", req->match.pattern);
    return OK;
}

error http_proceed(http_request *req, const http_next *next)
{
    const http_layer *layer = next->rest;
    if (!layer->run)
        return guard_and_handle(req);
    const http_next inner = { layer->options, layer + 1 };
    return layer->run(req, &inner);
}

static error handle(void *arg)
{
    http_request *req = arg;
    const http_next all = { NULL, req->match.layers };
    TRY(http_proceed(req, &all));
    if (req->status == 0) /* of a layer that neither proceeds nor answers */
        return error_set(&HTTP_NO_ANSWER, "a layer gave no answer");
    return OK;
}

static error route_and_handle(http_request *req)
{
    arena *a = &req->conn->arena;
    const http_settings *settings = req->conn->server->settings;
    if (!http_target_parse(a, req->head.target, &req->target))
        return error_set(&HTTP_BAD_REQUEST, "bad target");
    if (str_eq(req->target.path, STR("*"))) /* OPTIONS, of the server as a whole */
        return http_reply_empty(req, 204);
    http_router_find(req->conn->server->router, a, req->head.method, req->target.path, &req->match);
    fiber_set_about(req->match.pattern);
    const router_endpoint *e = req->match.endpoint;
    scope_options options = { .deadline_ms = (uint32_t)settings->handler_timeout_ms,
                              .from_ms = (req->whole_us + 999) / 1000 /* up: never early */ };
    req->body_bytes_max = (size_t)settings->body_bytes_max;
    if (e)
        http_route_metrics_begin(req->conn->server, e);
    if (e && e->route->on_disconnect == HTTP_ENDS)
        http_departure_consider(req);
    if (e && e->limits.body_bytes_max)
        req->body_bytes_max = e->limits.body_bytes_max;
    if (e && e->limits.timeout_ms)
        options.deadline_ms = e->limits.timeout_ms;
    if (req->conn->probe && !(e && e->route->priority == HTTP_PRIORITY_HIGH))
        return error_set(&HTTP_NOT_FOUND, "not for probes");
    if (!http_shed_admit(req))
        return OK;
    return scope_call(&options, handle, req);
}

error http_request_run(void *arg)
{
    http_request *req = arg;
    log_set_request_id(req->shown_id);
    buf_init_arena(&req->headers, &req->conn->arena, HTTP_HEADERS_BYTES_MAX);
    if (UNLIKELY(req->conn->server->settings->access_log))
        (void)http_client_ip(req); /* its line is written on the loop, which cannot find out */
    error e = route_and_handle(req);
    if (!e.kind && req->sends_file)
        e = http_file_send(req);
    if (!e.kind && req->streaming)
        e = http_reply_finish(req);
    if (e.kind && req->streaming) {
        if (error_class_of(e) == ERROR_CANCELED)
            log_debug("response broken off", LOG_ERR(e));
        else
            log_error("response broken off", LOG_CSTR("route", req->match.pattern), LOG_ERR(e));
        return e;
    }
    if (error_is_ok(e))
        e = http_reply_seal(req);
    if (e.kind) {
        http_problem_stage(req, e);
        const error late = http_reply_seal(req);
        if (late.kind)
            log_error("answer without its defaults", LOG_ERR(late));
    }
    if (req->filter && !req->streaming)
        req->filter->staged(req);
    return OK;
}

error http_public(http_request *req)
{
    (void)req;
    return OK;
}

/* --- asking ---------------------------------------------------------------------------------- */

http_method http_request_method(const http_request *req)
{
    return req->head.method;
}

str http_request_method_name(const http_request *req)
{
    return req->head.method_name;
}

str http_request_path(const http_request *req)
{
    str decoded;
    return http_percent_decode(&req->conn->arena, req->target.path, false, &decoded)
               ? decoded
               : req->target.path;
}

const http_route *http_request_route(const http_request *req)
{
    return req->match.route;
}

const char *http_request_pattern(const http_request *req)
{
    return req->match.pattern;
}

str http_request_id(const http_request *req)
{
    return req->shown_id;
}

arena *http_request_arena(const http_request *req)
{
    return &req->conn->arena;
}

str http_header(const http_request *req, str name)
{
    return http_head_find(&req->head, name);
}

NORETURN COLD static void no_parameter(const http_request *req, const char *name)
{
    char what[256];
    (void)snprintf(what, sizeof what, "the pattern %s has a parameter %s", req->match.pattern,
                   name);
    invariant_failed(what, __FILE__, __LINE__);
}

str http_path_text(const http_request *req, const char *name)
{
    const str wanted = str_from_c(name);
    for (uint32_t i = 0; i < req->match.param_count; i++) {
        const router_param *p = &req->match.params[i];
        if (str_eq((str){ p->name, p->name_len }, wanted))
            return p->value;
    }
    no_parameter(req, name);
}

int64_t http_path_int8(const http_request *req, const char *name)
{
    int64_t value = 0;
    const bool is_int8 = str_to_int64(http_path_text(req, name), &value);
    invariant(is_int8); /* the pattern says <int8>, so the router has checked it */
    return value;
}

uuid http_path_uuid(const http_request *req, const char *name)
{
    uuid value = { 0 };
    const bool is_uuid = uuid_parse(http_path_text(req, name), &value);
    invariant(is_uuid);
    return value;
}

str http_query(const http_request *req, str name)
{
    return http_query_find(&req->conn->arena, req->target.query, name);
}

/* What cannot be decoded is as wrong as what is empty, and not as good as absent. */
static str page_parameter(const http_request *req, str name)
{
    const str value = http_query(req, name);
    const bool there = value.ptr || http_query_has(&req->conn->arena, req->target.query, name);
    return value.ptr || !there ? value : STR("");
}

page_query http_page_query(const http_request *req)
{
    static const error_field bad_limit[] = {
        { { "limit", 5 }, { "out_of_range", 12 }, { "must be an integer from 1 to 500", 32 } }
    };
    static_assert(PAGE_LIMIT_MAX == 500, "the message above says so");
    page_query query = { .limit = PAGE_LIMIT_DEFAULT,
                         .cursor = page_parameter(req, STR("cursor")) };
    const str limit = page_parameter(req, STR("limit"));
    uint64_t value;
    if (!limit.ptr)
        return query;
    if (!str_to_uint64(limit, &value) || value < 1 || value > PAGE_LIMIT_MAX)
        query.invalid = error_set_fields(&HTTP_PAGE_INVALID, bad_limit, 1);
    else
        query.limit = (uint32_t)value;
    return query;
}

/* --- values ---------------------------------------------------------------------------------- */

void http_set_value(http_request *req, const http_key *key, void *value)
{
    http_stored *stored = ARENA_NEW(&req->conn->arena, http_stored);
    *stored = (http_stored){ key, value, req->values };
    req->values = stored;
}

void *http_value(const http_request *req, const http_key *key)
{
    for (const http_stored *s = req->values; s; s = s->next) {
        if (s->key == key)
            return s->value;
    }
    return NULL;
}
