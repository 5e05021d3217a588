/* The engine's own layers before the first request: their options are checked, and what each needs
 * is made once, by the process that then forks the workers. So a mistake stops the program at its
 * start, and what is mapped here is shared by all workers.
 *
 * Invariant: the same function with the same options is prepared once, however many groups name
 * it. */
#include "layer.h"

/* NULL in a program that does not name http_compress, which so is not linked with what that needs.
 */
#pragma weak http_compress
#pragma weak http_compress_prepare

ERROR_KIND(HTTP_LAYER_INVALID, ERROR_INVALID, "The options of a layer are invalid.");

struct http_prepared {
    http_layer from;
    http_layer made;
    http_prepared *next;
};

static const struct {
    http_layer_fn *run;
    http_layer_prepare_fn *prepare;
} OWN[] = {
    { http_security_headers, http_security_prepare },
    { http_compress, http_compress_prepare },
    { http_cors, http_cors_prepare },
    { http_etag, http_etag_prepare },
    { http_limits, http_limits_prepare },
    { http_rate_limit, http_rate_limit_prepare },
    { http_request_ids, http_request_ids_prepare },
};

static http_layer_prepare_fn *prepare_of(http_layer_fn *run)
{
    for (size_t i = 0; i < ARRAY_LEN(OWN); i++) {
        if (OWN[i].run == run)
            return OWN[i].prepare;
    }
    return NULL;
}

error http_layer_prepare(arena *a, http_prepared **known, const http_layer *layer, http_layer *out)
{
    *out = *layer;
    http_layer_prepare_fn *prepare = prepare_of(layer->run);
    if (!prepare)
        return OK;
    for (const http_prepared *p = *known; p; p = p->next) {
        if (p->from.run == layer->run && p->from.options == layer->options) {
            *out = p->made;
            return OK;
        }
    }
    TRY(prepare(a, layer->options, &out->options));
    http_prepared *p = ARENA_NEW(a, http_prepared);
    *p = (http_prepared){ *layer, *out, *known };
    *known = p;
    return OK;
}
