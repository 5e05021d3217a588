/* Integers in network order, at any alignment: what every PostgreSQL message is made of. */
#ifndef PG_SRC_BIG_ENDIAN_H
#define PG_SRC_BIG_ENDIAN_H

#include "core/base.h"

#include <assert.h>
#include <string.h>

static inline uint16_t pg_get16(const void *at)
{
    uint16_t v;
    memcpy(&v, at, sizeof v);
    return __builtin_bswap16(v);
}
static inline uint32_t pg_get32(const void *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return __builtin_bswap32(v);
}
static inline uint64_t pg_get64(const void *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return __builtin_bswap64(v);
}

/* Each returns the place behind what it wrote. */
static inline char *pg_put8(char *at, uint8_t v)
{
    *at = (char)v;
    return at + 1;
}
static inline char *pg_put16(char *at, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(at, &v, sizeof v);
    return at + sizeof v;
}
static inline char *pg_put32(char *at, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(at, &v, sizeof v);
    return at + sizeof v;
}
static inline char *pg_put64(char *at, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(at, &v, sizeof v);
    return at + sizeof v;
}
static inline char *pg_put_bytes(char *at, const void *bytes, size_t len)
{
    if (len > 0)
        memcpy(at, bytes, len);
    return at + len;
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "swapping is for little-endian CPUs");

#endif
