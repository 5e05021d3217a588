/* Byte ranges (RFC 9110, 14): the Range field of a request, read against a size. */
#ifndef HTTP_SRC_RANGE_H
#define HTTP_SRC_RANGE_H

#include "core/str.h"

#define HTTP_RANGES_MAX 16 /* a request with more gets the whole */

typedef struct http_range {
    uint64_t at;
    uint64_t bytes; /* at least 1; `at + bytes` is within the size */
} http_range;

typedef enum http_range_result {
    HTTP_RANGE_WHOLE = 1, /* no range, one that is not to be heeded, or all of it anyway */
    HTTP_RANGE_PARTS,
    HTTP_RANGE_BEHIND_END, /* 416 */
} http_range_result;

/* Reads "bytes=0-99,-5" for a representation of `size` bytes, into `parts` in the order asked for.
 * (room for HTTP_RANGES_MAX). Ranges that begin behind the end are left out. Another unit, bad
 * syntax, more than HTTP_RANGES_MAX ranges, or ranges that overlap give the whole: a server may
 * always answer so, and none of these comes from a client that saves anything by it. */
http_range_result http_range_parse(str value, uint64_t size, http_range *parts, size_t *count);

#endif
