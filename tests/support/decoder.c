/* One decoder for three libraries. What stands behind a body's end is a mistake. */
#include "tests/support/decoder.h"

#include "core/memory.h"

#include <brotli/decode.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

struct decoder {
    ZSTD_DCtx *zstd;
    BrotliDecoderState *br;
    z_stream *gzip;
    bool identity;
    bool ended;
};

static z_stream *inflate_new(void)
{
    z_stream *z = MEMORY_NEW(z_stream);
    invariant(z && inflateInit2(z, 15 + 16) == Z_OK);
    return z;
}

decoder *decoder_new(const char *coding)
{
    decoder *d = MEMORY_NEW(decoder);
    invariant(d);
    const str name = str_from_c(coding);
    if (str_eq(name, STR("zstd")))
        d->zstd = ZSTD_createDCtx();
    else if (str_eq(name, STR("br")))
        d->br = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    else if (str_eq(name, STR("gzip")))
        d->gzip = inflate_new();
    else
        d->identity = str_eq(name, STR("identity"));
    if (!d->zstd && !d->br && !d->gzip && !d->identity)
        memory_free(d), d = NULL;
    return d;
}

void decoder_free(decoder **owner)
{
    decoder *d = *owner;
    *owner = NULL;
    if (!d)
        return;
    (void)ZSTD_freeDCtx(d->zstd);
    if (d->br)
        BrotliDecoderDestroyInstance(d->br);
    if (d->gzip)
        (void)inflateEnd(d->gzip);
    memory_free(d->gzip);
    memory_free(d);
}

static bool take_zstd(decoder *d, str bytes, char *out, size_t room, size_t *len)
{
    ZSTD_inBuffer in = { bytes.ptr, bytes.len, 0 };
    ZSTD_outBuffer to = { out, room, 0 };
    size_t left = 1, before;
    do {
        before = to.pos + in.pos;
        left = ZSTD_decompressStream(d->zstd, &to, &in);
        if (ZSTD_isError(left))
            return false;
    } while (left > 0 && to.pos + in.pos > before);
    d->ended = left == 0;
    *len += to.pos;
    return in.pos == in.size && (d->ended || to.pos < room);
}

static bool take_br(decoder *d, str bytes, char *out, size_t room, size_t *len)
{
    size_t left = bytes.len, space = room;
    const uint8_t *in = (const uint8_t *)bytes.ptr;
    uint8_t *to = (uint8_t *)out;
    const BrotliDecoderResult result =
        BrotliDecoderDecompressStream(d->br, &left, &in, &space, &to, NULL);
    d->ended = result == BROTLI_DECODER_RESULT_SUCCESS;
    *len += room - space;
    return left == 0 && (d->ended || result == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT);
}

static bool take_gzip(decoder *d, str bytes, char *out, size_t room, size_t *len)
{
    z_stream *z = d->gzip;
    z->next_in = (Bytef *)(uintptr_t)bytes.ptr;
    z->avail_in = (uInt)bytes.len;
    z->next_out = (Bytef *)out;
    z->avail_out = (uInt)room;
    const int result = inflate(z, Z_SYNC_FLUSH);
    d->ended = result == Z_STREAM_END;
    *len += room - z->avail_out;
    return z->avail_in == 0 && (d->ended || result == Z_OK || result == Z_BUF_ERROR) &&
           (d->ended || z->avail_out > 0);
}

static bool take_identity(decoder *d, str bytes, char *out, size_t room, size_t *len)
{
    if (bytes.len > room)
        return false;
    memcpy(out, bytes.ptr, bytes.len);
    *len += bytes.len;
    d->ended = false;
    return true;
}

bool decoder_take(decoder *d, str bytes, char *out, size_t room, size_t *len)
{
    if (bytes.len == 0)
        return true;
    if (d->ended)
        return false;
    if (d->zstd)
        return take_zstd(d, bytes, out, room, len);
    if (d->br)
        return take_br(d, bytes, out, room, len);
    return d->gzip ? take_gzip(d, bytes, out, room, len) : take_identity(d, bytes, out, room, len);
}

bool decoder_at_end(const decoder *d)
{
    return d->ended || d->identity;
}

bool decode_all(const char *coding, str bytes, char *out, size_t room, size_t *len)
{
    decoder *d = decoder_new(coding);
    *len = 0;
    const bool good = d && decoder_take(d, bytes, out, room, len) && decoder_at_end(d);
    decoder_free(&d);
    return good;
}
