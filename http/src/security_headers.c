/* Fields that tell a browser to be careful with an answer. The good ones for an API are the
 * defaults; what a handler sets itself is left alone.
 *
 * Invariant: the values were checked at the start, so setting them does not fail for what they
 * are. */
#include "layer.h"

#include <string.h>

#define FIELDS_MAX 8

typedef struct security_fields {
    size_t count;
    struct {
        str name, value;
    } items[FIELDS_MAX];
} security_fields;

static error add(security_fields *fields, str name, const char *given, const char *otherwise)
{
    const str value = str_from_c(given ? given : otherwise);
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < 0x20 || value.ptr[i] == 0x7F)
            return error_set(&HTTP_LAYER_INVALID,
                             "http_security_headers: a character that %.*s cannot have",
                             STR_ARG(name));
    }
    if (value.len == 0)
        return OK;
    invariant(fields->count < FIELDS_MAX);
    fields->items[fields->count].name = name;
    fields->items[fields->count++].value = value;
    return OK;
}

static error add_hsts(arena *a, security_fields *fields, const http_security_options *options)
{
    if (options->hsts_max_age_s == 0) {
        if (options->hsts_subdomains)
            return error_set(&HTTP_LAYER_INVALID,
                             "http_security_headers: hsts_subdomains without hsts_max_age_s");
        return OK;
    }
    const str value = str_format(a, "max-age=%u%s", options->hsts_max_age_s,
                                 options->hsts_subdomains ? "; includeSubDomains" : "");
    return add(fields, STR("Strict-Transport-Security"), str_to_c(a, value), "");
}

error http_security_prepare(arena *a, const void *given, const void **out)
{
    static const http_security_options defaults = { 0 };
    const http_security_options *options = given ? given : &defaults;
    const char *frame = options->frame_options;
    security_fields *fields = ARENA_NEW(a, security_fields);
    if (frame && frame[0] && strcmp(frame, "DENY") != 0 && strcmp(frame, "SAMEORIGIN") != 0)
        return error_set(&HTTP_LAYER_INVALID,
                         "http_security_headers: frame_options is DENY or SAMEORIGIN, not \"%s\"",
                         frame);
    TRY(add(fields, STR("X-Content-Type-Options"), "nosniff", ""));
    TRY(add(fields, STR("Referrer-Policy"), options->referrer_policy, "no-referrer"));
    TRY(add(fields, STR("X-Frame-Options"), frame, "DENY"));
    TRY(add(fields, STR("Content-Security-Policy"), options->content_security_policy,
            "frame-ancestors 'none'"));
    TRY(add(fields, STR("Cross-Origin-Opener-Policy"), options->opener_policy, "same-origin"));
    TRY(add(fields, STR("Cross-Origin-Resource-Policy"), options->resource_policy, "same-origin"));
    TRY(add_hsts(a, fields, options));
    *out = fields;
    return OK;
}

error http_security_headers(http_request *req, const http_next *next)
{
    const security_fields *fields = next->options;
    for (size_t i = 0; i < fields->count; i++)
        http_default_header(req, fields->items[i].name, fields->items[i].value);
    return http_proceed(req, next);
}
