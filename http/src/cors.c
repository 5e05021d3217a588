/* Cross-origin resource sharing, as the Fetch standard (3.2) has it. The fields are set before the
 * handler runs, so that errors and streamed answers have them; a preflight never gets to a handler.
 *
 * What an origin may do does not depend on whether the path or the method exists: a page that asks
 * for what is not there shall be able to read that answer too. Nothing of the request is sent back
 * but an origin that is on the list.
 *
 * Invariant: Access-Control-Allow-Credentials never goes with "*". */
#include "conn.h"
#include "head_fields.h"
#include "layer.h"
#include "method.h"
#include "origin.h"

#define LIST_BYTES_MAX 2048

typedef struct cors {
    const http_cors_options *options;
    bool everybody;
    str methods; /* STR_NONE: those that the path has */
    str headers;
    str exposed; /* STR_NONE: none */
    str max_age; /* STR_NONE: none */
} cors;

/* --- the start ------------------------------------------------------------------------------- */

static error invalid(const char *why, const char *what)
{
    return error_set(&HTTP_LAYER_INVALID, "http_cors: %s: \"%s\"", why, what);
}

static error check_origins(const http_cors_options *options, bool *everybody)
{
    if (!options->origins[0])
        return error_set(&HTTP_LAYER_INVALID, "http_cors: no origins");
    for (size_t i = 0; i < HTTP_CORS_ORIGINS_MAX && options->origins[i]; i++) {
        const str rule = str_from_c(options->origins[i]);
        if (!http_is_origin_rule(rule))
            return invalid("an origin is scheme://host or scheme://host:port in lower case, "
                           "scheme://*.name.name, or *",
                           options->origins[i]);
        if (!str_eq(rule, STR("*")))
            continue;
        *everybody = true;
        if (i > 0 || options->origins[1])
            return error_set(&HTTP_LAYER_INVALID, "http_cors: the origin \"*\" stands alone");
        if (options->credentials)
            return error_set(&HTTP_LAYER_INVALID,
                             "http_cors: credentials need a list of origins, not \"*\"");
    }
    return OK;
}

/* "a, b"; STR_NONE for an empty list. */
static error join(arena *a, const http_cors_options *options, const char *const *names, str *out)
{
    buf text;
    buf_init_arena(&text, a, LIST_BYTES_MAX);
    for (size_t i = 0; i < HTTP_CORS_NAMES_MAX && names[i]; i++) {
        if (!http_is_token(str_from_c(names[i])))
            return invalid("no name of a method or header field", names[i]);
        if (options->credentials && str_eq(str_from_c(names[i]), STR("*")))
            return error_set(&HTTP_LAYER_INVALID,
                             "http_cors: with credentials \"*\" is just a name; list them");
        if (i > 0)
            buf_append(&text, STR(", "));
        buf_append(&text, str_from_c(names[i]));
    }
    *out = text.len > 0 ? buf_str(&text) : STR_NONE;
    if (text.failed)
        return error_set(&HTTP_LAYER_INVALID, "http_cors: a list of over %d bytes", LIST_BYTES_MAX);
    return OK;
}

error http_cors_prepare(arena *a, const void *options, const void **out)
{
    if (!options)
        return error_set(&HTTP_LAYER_INVALID, "http_cors needs options");
    cors *c = ARENA_NEW(a, cors);
    c->options = options;
    TRY(check_origins(c->options, &c->everybody));
    TRY(join(a, c->options, c->options->methods, &c->methods));
    TRY(join(a, c->options, c->options->headers, &c->headers));
    TRY(join(a, c->options, c->options->exposed, &c->exposed));
    if (!c->headers.ptr)
        c->headers = STR("Authorization, Content-Type");
    if (c->options->max_age_s > 0)
        c->max_age = str_format(a, "%u", c->options->max_age_s);
    *out = c;
    return OK;
}

/* --- requests -------------------------------------------------------------------------------- */

static bool is_listed(const http_cors_options *options, str origin)
{
    if (!http_is_origin(origin))
        return false;
    for (size_t i = 0; i < HTTP_CORS_ORIGINS_MAX && options->origins[i]; i++) {
        if (http_origin_matches(str_from_c(options->origins[i]), origin))
            return true;
    }
    return false;
}

/* "GET, POST": those that need no leave (GET, HEAD, POST) do no harm in it; TRACE is allowed to no
 * script (Fetch, 2.2.1). */
static str methods_of_path(const http_request *req)
{
    const uint32_t methods = req->match.allowed & ~(1U << HTTP_TRACE);
    return http_method_list(&req->conn->arena, methods);
}

static error set_unless_empty(http_request *req, str name, str value)
{
    return value.len > 0 ? http_set_header(req, name, value) : OK;
}

static error answer_preflight(http_request *req, const cors *c)
{
    TRY(set_unless_empty(req, STR("Access-Control-Allow-Methods"),
                         c->methods.ptr ? c->methods : methods_of_path(req)));
    TRY(set_unless_empty(req, STR("Access-Control-Allow-Headers"), c->headers));
    TRY(set_unless_empty(req, STR("Access-Control-Max-Age"), c->max_age));
    return http_reply_empty(req, 204);
}

error http_cors(http_request *req, const http_next *next)
{
    const cors *c = next->options;
    const str origin = http_head_only(&req->head, STR("Origin"));
    const bool allowed = origin.ptr && (c->everybody || is_listed(c->options, origin));
    const bool preflight = origin.ptr && req->head.method == HTTP_OPTIONS &&
                           http_header(req, STR("Access-Control-Request-Method")).ptr;
    TRY(http_set_header(req, STR("Vary"), STR("Origin")));
    if (allowed) {
        TRY(http_set_header(req, STR("Access-Control-Allow-Origin"),
                            c->everybody ? STR("*") : origin));
        if (c->options->credentials)
            TRY(http_set_header(req, STR("Access-Control-Allow-Credentials"), STR("true")));
    }
    if (preflight)
        return allowed ? answer_preflight(req, c) : http_reply_empty(req, 204);
    if (allowed)
        TRY(set_unless_empty(req, STR("Access-Control-Expose-Headers"), c->exposed));
    return http_proceed(req, next);
}
