/* The chunked transfer coding (RFC 9112 section 7.1), decoded from pieces cut anywhere. */
#ifndef HTTP_SRC_CHUNKED_H
#define HTTP_SRC_CHUNKED_H

#include "core/str.h"

#define CHUNK_EXTENSION_BYTES_MAX 1024 /* a body, all its chunks together */
#define CHUNK_TRAILER_BYTES_MAX   4096

typedef enum http_chunked_result {
    HTTP_CHUNKED_MORE = 1, /* the input is used up */
    HTTP_CHUNKED_DATA,     /* `*data` is a piece of the body */
    HTTP_CHUNKED_END,      /* the last chunk and the trailers were read */
    HTTP_CHUNKED_BAD,
} http_chunked_result;

typedef struct http_chunked {
    uint8_t state;
    uint8_t size_digits;
    uint64_t left; /* bytes of the present chunk */
    uint32_t extension_bytes;
    uint32_t trailer_bytes;
    bool trailer_line_empty;
} http_chunked;

/* A zeroed http_chunked is ready. Takes bytes off the front of `*input`. Trailers are checked and
 * dropped. */
http_chunked_result http_chunked_next(http_chunked *c, str *input, str *data);

#endif
