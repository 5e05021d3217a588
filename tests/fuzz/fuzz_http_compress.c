/* Any bytes as a body, cut into any pieces, through each encoder: every piece can be read when it
 * was written, by the library's own decoder, and the whole is what went in; at once too. The first
 * three bytes say which coding, which level and how the rest is cut. */
#include "encoder.h"

#include "core/memory.h"
#include "tests/support/decoder.h"
#include "tests/support/fuzz.h"

#include <string.h>

#define BODY_BYTES_MAX  ((size_t)1 << 17)
#define CODED_BYTES_MAX ((size_t)1 << 22) /* each of many pieces has its own overhead */
#define HEAD_BYTES      3

static const struct {
    const char *name;
    const http_codec *codec;
    int level_max;
} CODINGS[] = {
    { "zstd", &HTTP_CODEC_ZSTD, 9 },
    { "br", &HTTP_CODEC_BR, 9 },
    { "gzip", &HTTP_CODEC_GZIP, 9 },
};

static http_encoders *pool; /* from one input to the next: what was left behind must not show */
static char coded[CODED_BYTES_MAX], decoded[BODY_BYTES_MAX + 1]; /* room that a full one leaves */

static size_t encode(http_encoder *e, str in, bool ends, size_t room)
{
    http_encode_io io = { .in = in, .out = coded, .ends = ends };
    http_encoded result;
    do {
        invariant((size_t)(io.out - coded) + room <= sizeof coded);
        io.room = room;
        result = http_encoder_step(e, &io);
        invariant(result != HTTP_ENCODED_BROKEN);
    } while (result == HTTP_ENCODED_FULL);
    invariant(io.in.len == 0);
    return (size_t)(io.out - coded);
}

static void check_pieces(size_t coding, int level, str body, size_t cut)
{
    http_encoder *e = http_encoder_acquire(&pool, CODINGS[coding].codec, 1);
    decoder *d = decoder_new(CODINGS[coding].name);
    size_t read = 0;
    invariant(e && d && http_encoder_begin(e, level, HTTP_ENCODE_PIECES));
    for (size_t at = 0, n = 0; at < body.len; n++) {
        const str piece = str_slice(body, at, 1 + (cut * (n + 1) * 2654435761U >> 7) % (cut * 8));
        const size_t len = encode(e, piece, false, HTTP_ENCODE_ROOM_MIN + cut * n % 300);
        at += piece.len;
        invariant(
            decoder_take(d, (str){ coded, len }, decoded + read, sizeof decoded - read, &read));
        invariant(read == at && !decoder_at_end(d));
    }
    const size_t len = encode(e, STR(""), true, HTTP_ENCODE_ROOM_MIN);
    invariant(decoder_take(d, (str){ coded, len }, decoded + read, sizeof decoded - read, &read));
    invariant(decoder_at_end(d) && str_eq((str){ decoded, read }, body));
    decoder_free(&d);
    http_encoder_release(&e);
}

static void check_whole(size_t coding, int level, str body)
{
    http_encoder *e = http_encoder_acquire(&pool, CODINGS[coding].codec, 1);
    size_t len = 0;
    invariant(e && http_encoder_begin(e, level, body.len));
    http_encode_io io = { .in = body, .out = coded, .room = sizeof coded, .ends = true };
    invariant(http_encoder_step(e, &io) == HTTP_ENCODED_ALL);
    invariant(decode_all(CODINGS[coding].name, str_between(coded, io.out), decoded, sizeof decoded,
                         &len));
    invariant(str_eq((str){ decoded, len }, body));
    http_encoder_release(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < HEAD_BYTES || len > BODY_BYTES_MAX / 8)
        return 0;
    const size_t coding = data[0] % ARRAY_LEN(CODINGS);
    const int level = 1 + data[1] % CODINGS[coding].level_max;
    str body = str_slice(fuzz_text(data, len), HEAD_BYTES, len);
    static char repeated[BODY_BYTES_MAX];
    if (data[2] & 1) { /* eight times over, so that there is something to compress */
        for (size_t i = 0; i < 8; i++)
            memcpy(repeated + i * body.len, body.ptr, body.len);
        body = (str){ repeated, 8 * body.len };
    }
    check_pieces(coding, level, body, 1 + (data[2] >> 1));
    check_whole(coding, level, body);
    return 0;
}
