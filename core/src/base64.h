/* base64 for writers that have the room already. */
#ifndef CORE_SRC_BASE64_H
#define CORE_SRC_BASE64_H

#include "core/scalar.h"

/* Bytes that `bytes` bytes become, padded. */
static inline size_t base64_len(size_t bytes)
{
    return (bytes + 2) / 3 * 4;
}
/* Writes them padded to `out`, which has room for base64_len; returns how many. */
size_t base64_put(char *out, bytea in);

#endif
