/* The coding zstd, by libzstd. A context is reset and keeps its memory; the library itself shrinks
 * what has been far too large for 128 bodies in a row.
 *
 * A body in pieces has a window of 64 KiB and small tables, so that thousands of events may be on
 * their way at once; a whole one has the level's, and never more than the 8 MiB that RFC 9659 lets
 * a browser refuse to go beyond: levels end at 19. */
#include "encoder.h"

#include "core/memory.h"

#include <zstd.h>
#include <zstd_errors.h>

#define PIECES_WINDOW_LOG 16
#define PIECES_HASH_LOG   15
#define PIECES_CHAIN_LOG  15

typedef struct zstd_context {
    ZSTD_CCtx *cctx;
    bool whole;
} zstd_context;

static void *zstd_open(void)
{
    zstd_context *c = MEMORY_NEW(zstd_context);
    if (!c)
        return NULL;
    c->cctx = ZSTD_createCCtx();
    if (!c->cctx) {
        memory_free(c);
        return NULL;
    }
    return c;
}

static void zstd_close(void *context)
{
    zstd_context *c = context;
    ZSTD_freeCCtx(c->cctx);
    memory_free(c);
}

static bool set(ZSTD_CCtx *cctx, ZSTD_cParameter what, int value)
{
    return !ZSTD_isError(ZSTD_CCtx_setParameter(cctx, what, value));
}

static bool zstd_begin(void *context, int level, size_t bytes)
{
    zstd_context *c = context;
    c->whole = bytes != HTTP_ENCODE_PIECES;
    if (ZSTD_isError(ZSTD_CCtx_reset(c->cctx, ZSTD_reset_session_and_parameters)) ||
        !set(c->cctx, ZSTD_c_compressionLevel, level))
        return false;
    return c->whole || (set(c->cctx, ZSTD_c_windowLog, PIECES_WINDOW_LOG) &&
                        set(c->cctx, ZSTD_c_hashLog, PIECES_HASH_LOG) &&
                        set(c->cctx, ZSTD_c_chainLog, PIECES_CHAIN_LOG));
}

/* Straight from one buffer to the other. What a lack of room leaves there is void. */
static http_encoded encode_whole(const zstd_context *c, http_encode_io *io)
{
    invariant(io->ends);
    const size_t len = ZSTD_compress2(c->cctx, io->out, io->room, io->in.ptr, io->in.len);
    if (ZSTD_isError(len))
        return ZSTD_getErrorCode(len) == ZSTD_error_dstSize_tooSmall ? HTTP_ENCODED_FULL
                                                                     : HTTP_ENCODED_BROKEN;
    io->in = str_slice(io->in, io->in.len, 0);
    io->out += len;
    io->room -= len;
    return HTTP_ENCODED_ALL;
}

static http_encoded zstd_step(void *context, http_encode_io *io)
{
    const zstd_context *c = context;
    if (c->whole)
        return encode_whole(c, io);
    ZSTD_inBuffer in = { io->in.ptr, io->in.len, 0 };
    ZSTD_outBuffer out = { io->out, io->room, 0 };
    const size_t left =
        ZSTD_compressStream2(c->cctx, &out, &in, io->ends ? ZSTD_e_end : ZSTD_e_flush);
    if (ZSTD_isError(left))
        return HTTP_ENCODED_BROKEN;
    io->in = str_slice(io->in, in.pos, io->in.len);
    io->out += out.pos;
    io->room -= out.pos;
    return left == 0 && io->in.len == 0 ? HTTP_ENCODED_ALL : HTTP_ENCODED_FULL;
}

const http_codec HTTP_CODEC_ZSTD = { zstd_open, zstd_begin, zstd_step, zstd_close };
