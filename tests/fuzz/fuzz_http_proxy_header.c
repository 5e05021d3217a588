/* Any bytes as the header of a PROXY protocol: the answer to a part is "more" until it is the
 * answer to the whole, a header never has more bytes than there are, and what stands behind it has
 * no part in it. */
#include "proxy_header.h"

#include "tests/support/fuzz.h"

#include <stdlib.h>
#include <string.h>

static bool is_same(const http_proxy_header *a, const http_proxy_header *b)
{
    return a->bytes == b->bytes && a->source == b->source &&
           memcmp(&a->ip, &b->ip, sizeof a->ip) == 0;
}

static void check_cuts(str bytes, http_proxy_result result, const http_proxy_header *whole)
{
    http_proxy_header part;
    bool decided = false;
    for (size_t len = 0; len < bytes.len && len <= HTTP_PROXY_HEADER_BYTES_MAX; len++) {
        char *copy = malloc(len + (len == 0)); /* what is read behind its end is reported */
        invariant(copy);
        memcpy(copy, bytes.ptr, len);
        const http_proxy_result early = http_proxy_header_parse((str){ copy, len }, &part);
        free(copy);
        invariant(early == HTTP_PROXY_HEADER_INCOMPLETE ? !decided : early == result);
        invariant(early != HTTP_PROXY_HEADER_DONE || is_same(&part, whole));
        decided = early != HTTP_PROXY_HEADER_INCOMPLETE;
        if (decided && len > whole->bytes)
            break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const str bytes = fuzz_text(data, len);
    http_proxy_header header;
    const http_proxy_result result = http_proxy_header_parse(bytes, &header);
    if (result == HTTP_PROXY_HEADER_DONE)
        invariant(header.bytes > 0 && header.bytes <= len &&
                  header.bytes <= HTTP_PROXY_HEADER_BYTES_MAX);
    else
        invariant(result == HTTP_PROXY_HEADER_BAD || len < HTTP_PROXY_HEADER_BYTES_MAX);
    check_cuts(bytes, result, &header);
    return 0;
}
