/* Ids that a request brings along, so that one search finds it in the logs of every service it went
 * through. An id goes into logs and back to the client, so only harmless ones are taken.
 *
 * Invariant: whatever came, the request has an id of 1 to ID_LEN_MAX harmless characters. */
#include "conn.h"
#include "layer.h"
#include "proxy.h"

#include <string.h>

#define ID_LEN_MAX 128

typedef struct request_ids {
    str header;
    bool from_proxies_only;
} request_ids;

static bool is_harmless(str id)
{
    for (size_t i = 0; i < id.len; i++) {
        const char c = id.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c && strchr("-_.:+/=~@", c))))
            return false;
    }
    return id.len > 0 && id.len <= ID_LEN_MAX;
}

error http_request_ids_prepare(arena *a, const void *given, const void **out)
{
    static const http_request_ids_options defaults = { 0 };
    const http_request_ids_options *options = given ? given : &defaults;
    const char *header = options->header ? options->header : "X-Request-Id";
    request_ids *ids = ARENA_NEW(a, request_ids);
    if (!http_is_token(str_from_c(header)))
        return error_set(&HTTP_LAYER_INVALID, "http_request_ids: no name of a header field: \"%s\"",
                         header);
    ids->header = str_from_c(header);
    ids->from_proxies_only = options->from_proxies_only;
    *out = ids;
    return OK;
}

error http_request_ids(http_request *req, const http_next *next)
{
    const request_ids *ids = next->options;
    const str sent = http_header(req, ids->header);
    if (is_harmless(sent) && (!ids->from_proxies_only || http_peer_is_trusted(req))) {
        req->shown_id = sent;
        log_set_request_id(sent);
    }
    http_default_header(req, ids->header, req->shown_id);
    return http_proceed(req, next);
}
