/* Digests, by libcrypto: for telling contents apart. Passwords are auth/'s business. */
#ifndef CORE_DIGEST_H
#define CORE_DIGEST_H

#include "core/error.h"
#include "core/str.h"

#define DIGEST_SHA256_BYTES 32

/* SHA-256 (FIPS 180-4) of `count` slices, one behind the other.
 *   fails  OUT_OF_MEMORY */
error digest_sha256(const str *pieces, size_t count, uint8_t out[DIGEST_SHA256_BYTES]);

#endif
