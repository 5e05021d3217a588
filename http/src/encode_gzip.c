/* The coding gzip, by zlib. A stream's memory is taken once, 256 KiB with a window of 32 KiB, and
 * serves every body after that. */
#include "encoder.h"

#include "core/memory.h"

#include <limits.h>

#define ZLIB_CONST
#include <zlib.h>

#define WINDOW_BITS   (15 + 16) /* of deflate; 16 more: with gzip's header and trailer */
#define MEMORY_LEVEL  8
#define LEVEL_DEFAULT 5

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is zlib's */
static void *gzip_take(void *opaque, uInt count, uInt bytes)
{
    (void)opaque;
    return memory_new(count, bytes);
}

static void gzip_give(void *opaque, void *memory)
{
    (void)opaque;
    memory_free(memory);
}

static void *gzip_open(void)
{
    z_stream *z = MEMORY_NEW(z_stream);
    if (!z)
        return NULL;
    z->zalloc = gzip_take;
    z->zfree = gzip_give;
    if (deflateInit2(z, LEVEL_DEFAULT, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        memory_free(z);
        return NULL;
    }
    return z;
}

static void gzip_close(void *context)
{
    z_stream *z = context;
    (void)deflateEnd(z); /* in the middle of a body it says so */
    memory_free(z);
}

/* The memory does not depend on the body. */
static bool gzip_begin(void *context, int level, size_t bytes)
{
    (void)bytes;
    z_stream *z = context;
    return deflateReset(z) == Z_OK && deflateParams(z, level, Z_DEFAULT_STRATEGY) == Z_OK;
}

/* zlib counts in 32 bits. */
static uInt clip(size_t bytes)
{
    return bytes < INT_MAX ? (uInt)bytes : INT_MAX;
}

static http_encoded gzip_step(void *context, http_encode_io *io)
{
    z_stream *z = context;
    for (;;) {
        const uInt taken = clip(io->in.len), room = clip(io->room);
        const bool last = taken == io->in.len;
        const int flush = !last ? Z_NO_FLUSH : io->ends ? Z_FINISH : Z_SYNC_FLUSH;
        z->next_in = (const Bytef *)io->in.ptr;
        z->avail_in = taken;
        z->next_out = (Bytef *)io->out;
        z->avail_out = room;
        const int result = deflate(z, flush);
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return HTTP_ENCODED_BROKEN;
        io->in = str_slice(io->in, taken - z->avail_in, io->in.len);
        io->out += room - z->avail_out;
        io->room -= room - z->avail_out;
        if (io->in.len == 0 && (io->ends ? result == Z_STREAM_END : z->avail_out > 0))
            return HTTP_ENCODED_ALL;
        if (io->room == 0)
            return HTTP_ENCODED_FULL;
        if (last && z->avail_out > 0)
            return HTTP_ENCODED_BROKEN;
    }
}

const http_codec HTTP_CODEC_GZIP = { gzip_open, gzip_begin, gzip_step, gzip_close };
