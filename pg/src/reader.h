/* A cursor over bytes that a server sent. Nothing is read past the end: a read that would do so
 * fails, and so does every later one, so that a decoder reads on and asks once. Failed reads give
 * zero, and slices of zero bytes. */
#ifndef PG_SRC_READER_H
#define PG_SRC_READER_H

#include "big_endian.h"

#include "core/str.h"

typedef struct pg_reader {
    const char *at;
    const char *end;
    bool failed;
} pg_reader;
/* Invariant: at <= end. */

static inline pg_reader pg_reader_of(str bytes)
{
    const char *at = bytes.ptr ? bytes.ptr : "";
    return (pg_reader){ .at = at, .end = at + bytes.len };
}
static inline size_t pg_reader_left(const pg_reader *r)
{
    return (size_t)(r->end - r->at);
}
/* Whether all was read and nothing failed. */
static inline bool pg_reader_done(const pg_reader *r)
{
    return !r->failed && r->at == r->end;
}

/* The next `len` bytes, and past them; NULL when there are fewer. */
static inline const char *pg_reader_take(pg_reader *r, size_t len)
{
    if (UNLIKELY(r->failed || len > pg_reader_left(r))) {
        r->failed = true;
        return NULL;
    }
    const char *at = r->at;
    r->at += len;
    return at;
}
static inline uint8_t pg_reader_u8(pg_reader *r)
{
    const char *at = pg_reader_take(r, 1);
    return at ? (uint8_t)*at : 0;
}
static inline uint16_t pg_reader_u16(pg_reader *r)
{
    const char *at = pg_reader_take(r, 2);
    return at ? pg_get16(at) : 0;
}
static inline int16_t pg_reader_i16(pg_reader *r)
{
    return (int16_t)pg_reader_u16(r);
}
static inline uint32_t pg_reader_u32(pg_reader *r)
{
    const char *at = pg_reader_take(r, 4);
    return at ? pg_get32(at) : 0;
}
static inline int32_t pg_reader_i32(pg_reader *r)
{
    return (int32_t)pg_reader_u32(r);
}
static inline int64_t pg_reader_i64(pg_reader *r)
{
    const char *at = pg_reader_take(r, 8);
    return at ? (int64_t)pg_get64(at) : 0;
}
static inline str pg_reader_bytes(pg_reader *r, size_t len)
{
    const char *at = pg_reader_take(r, len);
    return at ? (str){ at, len } : STR("");
}
/* Text up to a NUL, and past that; fails without one. */
static inline str pg_reader_cstring(pg_reader *r)
{
    const size_t left = pg_reader_left(r);
    const char *nul = r->failed || left == 0 ? NULL : memchr(r->at, 0, left);
    if (!nul) {
        r->failed = true;
        return STR("");
    }
    const str text = str_between(r->at, nul);
    r->at = nul + 1;
    return text;
}
/* What is left, and to the end. */
static inline str pg_reader_rest(pg_reader *r)
{
    return pg_reader_bytes(r, r->failed ? 0 : pg_reader_left(r));
}

#endif
