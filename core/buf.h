/* A growable byte buffer with a ceiling. Appending never fails on the spot: past the ceiling or out
 * of memory the buffer turns `failed`, ignores further appends, and buf_status tells once at the
 * end.
 *
 * Memory is the heap's, or an arena's when it was initialised with one. */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include "core/error.h"
#include "core/str.h"

typedef struct buf {
    char *data;
    size_t len;       /* bytes written */
    size_t capacity;  /* bytes allocated */
    size_t bytes_max; /* ceiling of `len` */
    arena *arena;     /* NULL: heap */
    bool failed;
    bool out_of_memory;
} buf;
/* Invariant: len <= capacity, len <= bytes_max. */

/* BUF_FULL: TOO_LARGE, past the ceiling. */
extern const error_kind BUF_FULL;

/* An empty buffer for at most `bytes_max` bytes, on the heap: buf_deinit it. */
void buf_init(buf *b, size_t bytes_max);
/* The same in `a`, which frees it. */
void buf_init_arena(buf *b, arena *a, size_t bytes_max);
/* Frees heap memory; safe twice; arena memory stays the arena's. */
void buf_deinit(buf *b);
/* Empties, keeps the memory, clears `failed`. */
void buf_reset(buf *b);

/* Appends a copy of the bytes, one character, a number in decimal, or printf's text (without a
 * NUL): all of it or, with `failed` set, nothing. */
void buf_append(buf *b, str bytes);
void buf_append_char(buf *b, char c);
void buf_append_int64(buf *b, int64_t value);
void buf_append_uint64(buf *b, uint64_t value);
void buf_append_format(buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
/* Room for `bytes` more; NULL when failed. Write there, then buf_commit what was written. */
char *buf_reserve(buf *b, size_t bytes);
/* Counts the first `bytes` of what was reserved as written. */
void buf_commit(buf *b, size_t bytes);
/* Drops the first `bytes`, moving the rest down. */
void buf_consume(buf *b, size_t bytes);

/* Everything written, a view valid until the next append. */
static inline str buf_str(const buf *b)
{
    return (str){ b->data ? b->data : "", b->len };
}
/* OK, BUF_FULL or OUT_OF_MEMORY. */
error buf_status(const buf *b);

#endif
