/* The chunked transfer coding (RFC 9112 section 7.1), decoded from pieces cut anywhere. */
#ifndef HTTP_SRC_CHUNKED_H
#define HTTP_SRC_CHUNKED_H

#include "core/str.h"

typedef enum http_chunked_result {
    HTTP_CHUNKED_MORE = 1, /* the input is used up */
    HTTP_CHUNKED_DATA,     /* `*data` is a piece of the body */
    HTTP_CHUNKED_END,      /* the last chunk and the trailers were read */
    HTTP_CHUNKED_BAD,
} http_chunked_result;

/* Of all that a body carries beside its data. */
typedef struct http_chunked_limits {
    uint32_t extension_bytes_max; /* of all its chunks together; BAD past it */
    uint32_t trailer_bytes_max;
} http_chunked_limits;

typedef struct http_chunked {
    uint8_t state;
    uint8_t size_digits;
    uint64_t left; /* bytes of the present chunk */
    uint32_t extension_bytes_left;
    uint32_t trailer_bytes_left;
    bool trailer_line_empty;
} http_chunked;

void http_chunked_init(http_chunked *c, const http_chunked_limits *limits);
/* Takes bytes off the front of `*input`. Extensions and trailers are checked, and dropped. */
http_chunked_result http_chunked_next(http_chunked *c, str *input, str *data);

#endif
