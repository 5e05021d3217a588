/* Encoders: what turns the bytes of an answer into a content coding (RFC 9110, 8.4.1), all at once
 * or piece by piece, by one of several libraries.
 *
 * An encoder's working memory is large and is what it costs to begin, so a worker keeps a few that
 * nobody uses. Acquired and released on the worker's thread; begun and run on any one thread. */
#ifndef HTTP_SRC_ENCODER_H
#define HTTP_SRC_ENCODER_H

#include "core/list.h"
#include "core/str.h"

#define HTTP_ENCODE_PIECES       SIZE_MAX
#define HTTP_ENCODE_ROOM_MIN     16 /* less might never be enough to flush a piece */
#define HTTP_ENCODER_PIECE_BYTES 8192

typedef enum http_encoded {
    HTTP_ENCODED_ALL =
        1,               /* all that was given has been taken, and all that was asked for written */
    HTTP_ENCODED_FULL,   /* there is no room for the rest */
    HTTP_ENCODED_BROKEN, /* out of memory, or the library's own mistake: the coded bytes are void */
} http_encoded;

/* Moves on with every step. */
typedef struct http_encode_io {
    str in;      /* still to be taken */
    char *out;   /* where the coded bytes go */
    size_t room; /* bytes there */
    bool ends;   /* nothing comes behind `in`; else a decoder is to get all of it out of what is
                    written now */
} http_encode_io;

/* How a library is used: one constant each, in the file that wraps it. */
typedef struct http_codec {
    void *(*open)(void); /* NULL without memory */
    /* Forgets what was encoded before. `bytes`: of the whole body, which is then encoded by a
     * single step that ends it; HTTP_ENCODE_PIECES: it comes in any number of steps, and the memory
     * for it stays small. */
    bool (*begin)(void *context, int level, size_t bytes);
    http_encoded (*step)(void *context, http_encode_io *io);
    void (*close)(void *context);
} http_codec;

extern const http_codec HTTP_CODEC_ZSTD; /* levels 1 to 19; RFC 8878 */
extern const http_codec HTTP_CODEC_BR;   /* 1 to 11; RFC 7932 */
extern const http_codec HTTP_CODEC_GZIP; /* 1 to 9; RFC 1952 */

typedef struct http_encoders http_encoders; /* of a worker */

typedef struct http_encoder {
    list_node idle;
    http_encoders *of;
    const http_codec *codec;
    void *context;
    bool held;
    bool stepping;                        /* a library is at work */
    char piece[HTTP_ENCODER_PIECE_BYTES]; /* for what a step writes */
} http_encoder;

/* One of that library, from `*pool`, which is made with the first. `held_max`: 0 for one that is
 * given back as soon as it has encoded; else it may be held for as long as a client likes, and only
 * so many are at once.
 *   returns  NULL when those are out, or without memory */
http_encoder *http_encoder_acquire(http_encoders **pool, const http_codec *codec,
                                   uint32_t held_max);
/* Gives it back, in whatever state it is; nulls the pointer, and NULL is allowed. */
void http_encoder_release(http_encoder **owner);
/* As the codec's; false without memory. */
bool http_encoder_begin(http_encoder *e, int level, size_t bytes);
http_encoded http_encoder_step(http_encoder *e, http_encode_io *io);
/* Frees those that nobody uses, and the pool with the last that somebody does; nulls the pointer,
 * and NULL is allowed. */
void http_encoders_free(http_encoders **owner);

#endif
