/* Entity tags of staged bodies: a client that has the body already is told so instead of being sent
 * it again. The tag is the beginning of a SHA-256 of type and body: the same on every worker and
 * host and after every restart, and nobody can make two bodies that share one.
 *
 * What is saved is the transfer; the handler runs as ever. A handler that knows its version better
 * sets ETag itself, and that is compared.
 *
 * Invariant: a 304 goes only to a client that named the tag of the very bytes it would have got. */
#include "etag.h"

#include "conditional.h"
#include "head_fields.h"
#include "layer.h"
#include "prebuilt.h"

#include "core/digest.h"

#include <assert.h>

#define BODY_BYTES_DEFAULT ((size_t)1 << 20)
#define TAG_BYTES          16

error http_etag_prepare(arena *a, const void *given, const void **out)
{
    http_etag_options *options = ARENA_NEW(a, http_etag_options);
    if (given)
        *options = *(const http_etag_options *)given;
    if (options->body_bytes_max == 0)
        options->body_bytes_max = BODY_BYTES_DEFAULT;
    *out = options;
    return OK;
}

error http_body_tag(char out[HTTP_BODY_TAG_LEN], str content_type, str body)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t digest[DIGEST_SHA256_BYTES];
    const str nul = { "", 1 }; /* no type has one */
    const str pieces[] = { content_type, nul, body };
    static_assert(HTTP_BODY_TAG_LEN == 2 * TAG_BYTES + 2, "digits and quotes");
    TRY(digest_sha256(pieces, ARRAY_LEN(pieces), digest));
    out[0] = '"';
    for (size_t i = 0; i < TAG_BYTES; i++) {
        out[1 + 2 * i] = hex[digest[i] >> 4];
        out[2 + 2 * i] = hex[digest[i] & 15];
    }
    out[HTTP_BODY_TAG_LEN - 1] = '"';
    return OK;
}

/* Whether there is a whole body that a tag may stand for. */
static bool is_tagged(const http_request *req, const http_etag_options *options)
{
    const bool is_get = req->head.method == HTTP_GET || req->head.method == HTTP_HEAD;
    return is_get && req->status == 200 && !req->streaming && !req->sends_file &&
           req->reply.len <= options->body_bytes_max &&
           !http_reply_lists(req, STR("Cache-Control"), STR("no-store"));
}

error http_etag(http_request *req, const http_next *next)
{
    TRY(http_proceed(req, next));
    if (!is_tagged(req, next->options))
        return OK;
    str tag = http_reply_header(req, STR("ETag"));
    if (!tag.ptr) {
        char *made = arena_alloc(&req->conn->arena, HTTP_BODY_TAG_LEN, 1);
        TRY(http_body_tag(made, req->content_type, req->reply));
        tag = (str){ made, HTTP_BODY_TAG_LEN };
        TRY(http_set_header(req, STR("ETag"), tag));
    }
    /* RFC 9110, 13.2.2; there is no date to compare. */
    const str match = http_head_list(&req->conn->arena, &req->head, STR("If-Match"));
    if (match.ptr && !http_etags_have(match, tag, true))
        return error_set(&HTTP_PRECONDITION_FAILED, "If-Match names another state");
    const str none_match = http_head_list(&req->conn->arena, &req->head, STR("If-None-Match"));
    if (!none_match.ptr || !http_etags_have(none_match, tag, false))
        return OK;
    TRY(http_constant_melt(req)); /* a 304 has the fields of the 200 */
    return http_reply_empty(req, 304);
}
