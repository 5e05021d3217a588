/* How the engine's own layers get from their options to what they run with. */
#ifndef HTTP_SRC_LAYER_H
#define HTTP_SRC_LAYER_H

#include "core/arena.h"
#include "http/layers.h"

/* Checks `options` (NULL: none given) and makes in `a` what the layer finds as next->options.
 *   fails  HTTP_LAYER_INVALID */
typedef error http_layer_prepare_fn(arena *a, const void *options, const void **out);

http_layer_prepare_fn http_security_prepare;
http_layer_prepare_fn http_compress_prepare;
http_layer_prepare_fn http_cors_prepare;
http_layer_prepare_fn http_etag_prepare;
http_layer_prepare_fn http_limits_prepare;
http_layer_prepare_fn http_rate_limit_prepare;
http_layer_prepare_fn http_request_ids_prepare;

/* Prepares a layer of a table: a copy of it, with what it needs for options. Another's layer stays
 * as it is. Once a layer and options: what two tables share is prepared once and handed in again as
 * `*known`, a list that begins with NULL.
 *   fails  HTTP_LAYER_INVALID */
typedef struct http_prepared http_prepared;
error http_layer_prepare(arena *a, http_prepared **known, const http_layer *layer, http_layer *out);

#endif
