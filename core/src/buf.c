/* The growable buffer: doubles up to its ceiling. Failure is sticky, so that a writer of many
 * pieces asks once at the end. */
#include "core/buf.h"

#include "core/arena.h"
#include "core/fault.h"
#include "core/scalar.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_BYTES_FIRST    256
#define FORMAT_BYTES_SHORT 256

ERROR_KIND(BUF_FULL, ERROR_TOO_LARGE, "The result is too large.");

void buf_init(buf *b, size_t bytes_max)
{
    *b = (buf){ .bytes_max = bytes_max };
}

void buf_init_arena(buf *b, arena *a, size_t bytes_max)
{
    *b = (buf){ .bytes_max = bytes_max, .arena = a };
}

void buf_deinit(buf *b)
{
    if (!b->arena)
        free(b->data);
    *b = (buf){ .bytes_max = b->bytes_max, .arena = b->arena };
}

void buf_reset(buf *b)
{
    b->len = 0;
    b->failed = b->out_of_memory = false;
}

/* There is always one byte more than the capacity, for the NUL that printf insists on. */
static bool grow(buf *b, size_t needed)
{
    size_t capacity = b->capacity ? b->capacity : BUF_BYTES_FIRST;
    while (capacity < needed)
        capacity = capacity <= SIZE_MAX / 2 ? capacity * 2 : needed;
    if (capacity > b->bytes_max)
        capacity = b->bytes_max;
    char *data;
    if (b->arena)
        data = arena_grow(b->arena, b->data, b->data ? b->capacity + 1 : 0, capacity + 1, 16);
    else
        data = fault_point("buf.grow") ? NULL : realloc(b->data, capacity + 1);
    if (!data) {
        b->failed = b->out_of_memory = true;
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

char *buf_reserve(buf *b, size_t bytes)
{
    if (b->failed)
        return NULL;
    if (bytes > b->bytes_max - b->len) {
        b->failed = true;
        return NULL;
    }
    if (bytes > b->capacity - b->len || !b->data) {
        if (!grow(b, b->len + (bytes ? bytes : 1)))
            return NULL;
    }
    return b->data + b->len;
}

void buf_commit(buf *b, size_t bytes)
{
    invariant(bytes <= b->capacity - b->len);
    b->len += bytes;
}

void buf_append(buf *b, str bytes)
{
    if (bytes.len == 0)
        return;
    char *to = buf_reserve(b, bytes.len);
    if (!to)
        return;
    memcpy(to, bytes.ptr, bytes.len);
    b->len += bytes.len;
}

void buf_append_char(buf *b, char c)
{
    char *to = buf_reserve(b, 1);
    if (!to)
        return;
    *to = c;
    b->len++;
}

void buf_append_uint64(buf *b, uint64_t value)
{
    char text[UINT64_TEXT_MAX];
    buf_append(b, (str){ text, uint64_format(text, value) });
}

void buf_append_int64(buf *b, int64_t value)
{
    char text[INT64_TEXT_MAX];
    buf_append(b, (str){ text, int64_format(text, value) });
}

/* Short texts take one pass; long ones are measured first, and need a byte for printf's NUL. */
void buf_append_format(buf *b, const char *format, ...)
{
    char text[FORMAT_BYTES_SHORT];
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    invariant(len >= 0);
    if ((size_t)len < sizeof text) {
        buf_append(b, (str){ text, (size_t)len });
        return;
    }
    char *to = buf_reserve(b, (size_t)len);
    if (!to)
        return;
    va_start(args, format);
    const int written = vsnprintf(to, (size_t)len + 1, format, args);
    va_end(args);
    invariant(written == len);
    b->len += (size_t)len;
}

void buf_consume(buf *b, size_t bytes)
{
    invariant(bytes <= b->len);
    b->len -= bytes;
    if (b->len > 0 && bytes > 0)
        memmove(b->data, b->data + bytes, b->len);
}

error buf_status(const buf *b)
{
    if (!b->failed)
        return OK;
    if (b->out_of_memory)
        return error_set(&OUT_OF_MEMORY, "buffer of %zu bytes cannot grow", b->capacity);
    return error_set(&BUF_FULL, "buffer reached its ceiling of %zu bytes", b->bytes_max);
}
