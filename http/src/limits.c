/* Limits as a layer: something to name in a table. The router takes what it says when routes are
 * added (see router.c) and leaves it out, so that a request finds its limits beside its route. */
#include "layer.h"

error http_limits_prepare(arena *a, const void *options, const void **out)
{
    (void)a;
    const http_limits_options *limits = options;
    if (!limits || (limits->body_bytes_max == 0 && limits->timeout_ms == 0))
        return error_set(&HTTP_LAYER_INVALID, "http_limits needs options that limit something");
    *out = limits;
    return OK;
}

error http_limits(http_request *req, const http_next *next)
{
    return http_proceed(req, next);
}
