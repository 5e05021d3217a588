/* SHA-256 (FIPS 180-4), for telling contents apart where no secret is involved. */
#ifndef HTTP_SRC_SHA256_H
#define HTTP_SRC_SHA256_H

#include "core/str.h"

#define HTTP_SHA256_BYTES 32

typedef struct http_sha256 {
    uint32_t state[8];
    uint64_t bytes; /* taken so far */
    uint8_t block[64];
} http_sha256;

void http_sha256_init(http_sha256 *h);
void http_sha256_add(http_sha256 *h, str bytes);
/* The digest of all that was added; `h` is used up. */
void http_sha256_end(http_sha256 *h, uint8_t out[HTTP_SHA256_BYTES]);

#endif
