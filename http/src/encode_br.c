/* The coding br, by libbrotli. Its encoder cannot be reset, only made anew, and takes its memory in
 * some ten pieces as it goes. So a context keeps these pieces when an encoder gives them back, and
 * the next one, which asks for the same sizes, gets them again.
 *
 * An allocator that returns NULL makes the library end the process (Debian builds it so). Ours
 * leaves it by a jump instead. All that the encoder has lies in the context's pieces, so what it
 * was about is simply forgotten.
 *
 * Invariant: an encoder owns nothing but pieces of its context; one that is not taken is nobody's.
 */
#include "encoder.h"

#include "core/memory.h"

#include <brotli/encode.h>
#include <setjmp.h>

#define PIECES_MAX        64
#define SLACK             2 /* a piece serves for what needs no less than a half of it */
#define PIECES_WINDOW_LOG 16
#define WHOLE_WINDOW_LOG  20 /* at most */

typedef struct piece {
    void *memory; /* NULL: none */
    size_t bytes;
    bool taken;
} piece;

typedef struct br_context {
    BrotliEncoderState *encoder; /* NULL: none */
    jmp_buf out_of_memory;       /* back to the function that has called the library */
    piece pieces[PIECES_MAX];
} br_context;

/* --- memory ----------------------------------------------------------------------------------- */

/* The smallest that fits and is not far too large. */
static piece *find_kept(br_context *c, size_t bytes)
{
    piece *best = NULL;
    for (piece *p = c->pieces; p < c->pieces + PIECES_MAX; p++) {
        if (p->memory && !p->taken && p->bytes >= bytes && p->bytes / SLACK <= bytes &&
            (!best || p->bytes < best->bytes))
            best = p;
    }
    return best;
}

/* One to put new memory in: empty, or the first that nobody has taken. NULL when all are. */
static piece *find_place(br_context *c)
{
    piece *place = NULL;
    for (piece *p = c->pieces; p < c->pieces + PIECES_MAX; p++) {
        if (!p->memory)
            return p;
        if (!p->taken && !place)
            place = p;
    }
    return place;
}

static piece *make_piece(br_context *c, size_t bytes)
{
    piece *p = find_place(c);
    void *memory = p ? memory_new(1, bytes) : NULL;
    if (!memory)
        longjmp(c->out_of_memory, 1);
    memory_free(p->memory);
    *p = (piece){ .memory = memory, .bytes = bytes };
    return p;
}

static void *br_take(void *opaque, size_t bytes)
{
    br_context *c = opaque;
    piece *p = find_kept(c, bytes);
    if (!p)
        p = make_piece(c, bytes);
    p->taken = true;
    return p->memory;
}

static void br_give(void *opaque, void *memory)
{
    br_context *c = opaque;
    for (piece *p = c->pieces; p < c->pieces + PIECES_MAX; p++) {
        if (memory && p->memory == memory)
            p->taken = false;
    }
}

/* The encoder has not ended, but its memory has. */
static void forget_encoder(br_context *c)
{
    c->encoder = NULL;
    for (piece *p = c->pieces; p < c->pieces + PIECES_MAX; p++)
        p->taken = false;
}

/* --- encoding --------------------------------------------------------------------------------- */

static void *br_open(void)
{
    return MEMORY_NEW(br_context);
}

static void drop_encoder(br_context *c)
{
    if (c->encoder)
        BrotliEncoderDestroyInstance(c->encoder);
    c->encoder = NULL;
}

static void br_close(void *context)
{
    br_context *c = context;
    drop_encoder(c);
    for (piece *p = c->pieces; p < c->pieces + PIECES_MAX; p++)
        memory_free(p->memory);
    memory_free(c);
}

static uint32_t window_log_for(size_t bytes)
{
    uint32_t log = PIECES_WINDOW_LOG;
    while (bytes != HTTP_ENCODE_PIECES && log < WHOLE_WINDOW_LOG && bytes >> log)
        log++;
    return log;
}

static bool br_begin(void *context, int level, size_t bytes)
{
    br_context *c = context;
    drop_encoder(c);
    if (setjmp(c->out_of_memory)) {
        forget_encoder(c);
        return false;
    }
    c->encoder = BrotliEncoderCreateInstance(br_take, br_give, c);
    if (!c->encoder)
        return false;
    if (bytes < UINT32_MAX &&
        !BrotliEncoderSetParameter(c->encoder, BROTLI_PARAM_SIZE_HINT, (uint32_t)bytes))
        return false;
    return BrotliEncoderSetParameter(c->encoder, BROTLI_PARAM_QUALITY, (uint32_t)level) &&
           BrotliEncoderSetParameter(c->encoder, BROTLI_PARAM_LGWIN, window_log_for(bytes));
}

static http_encoded encode(const br_context *c, http_encode_io *io)
{
    const BrotliEncoderOperation operation =
        io->ends ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_FLUSH;
    const uint8_t *in = (const uint8_t *)io->in.ptr;
    uint8_t *out = (uint8_t *)io->out;
    for (;;) {
        size_t left = io->in.len;
        if (!BrotliEncoderCompressStream(c->encoder, operation, &left, &in, &io->room, &out, NULL))
            return HTTP_ENCODED_BROKEN;
        io->in = str_slice(io->in, io->in.len - left, left);
        io->out = (char *)out;
        const bool more = BrotliEncoderHasMoreOutput(c->encoder);
        if (left == 0 && !more && (!io->ends || BrotliEncoderIsFinished(c->encoder)))
            return HTTP_ENCODED_ALL;
        if (io->room == 0)
            return HTTP_ENCODED_FULL;
    }
}

static http_encoded br_step(void *context, http_encode_io *io)
{
    br_context *c = context;
    if (!c->encoder) /* a step before has lost it */
        return HTTP_ENCODED_BROKEN;
    if (setjmp(c->out_of_memory)) {
        forget_encoder(c);
        return HTTP_ENCODED_BROKEN;
    }
    return encode(c, io);
}

const http_codec HTTP_CODEC_BR = { br_open, br_begin, br_step, br_close };
