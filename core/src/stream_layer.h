/* The seam between a stream and what stands between its owner's bytes and the socket's: TLS. A
 * stream knows it by this table, so that programs without TLS link none.
 *
 *   owner's writes -> the stream's queue -> layer -> wire -> backend
 *   backend -> wire -> layer -> the stream's input -> `data`
 *
 * Invariant: the stream's `queued` counts what is in its queue and, told by stream_layer_queued,
 * what is in the layer's wire. */
#ifndef CORE_SRC_STREAM_LAYER_H
#define CORE_SRC_STREAM_LAYER_H

#include "core/stream.h"

#include <sys/uio.h>

typedef struct stream_layer stream_layer;

typedef struct stream_layer_ops {
    /* `data`, in which the layer was added, has returned, and left so many bytes. */
    void (*begin)(stream_layer *y, size_t left);
    /* Where bytes of the wire go; NULL without memory. */
    char *(*input_space)(stream_layer *y, size_t *bytes);
    /* `bytes` were read into it, 0: none. */
    void (*received)(stream_layer *y, size_t bytes);
    /* Goes on with what has come from the wire, as far as the owner takes input. */
    void (*advance)(stream_layer *y);
    /* Drops what has come from the wire. */
    void (*drop_input)(stream_layer *y);
    /* Turns the stream's queue into wire, as far as there is room; then, if the stream is to end,
     * the end. */
    void (*fill)(stream_layer *y);
    /* What of the wire is to be sent, oldest first; the number of entries, at most `max`. */
    int (*output)(stream_layer *y, struct iovec *iov, int max);
    /* `bytes` of it were sent. */
    void (*sent)(stream_layer *y, size_t bytes);
    /* The stream is gone: nothing may come of it any more. Memory stays until `free`. */
    void (*stop)(stream_layer *y);
    void (*free)(stream_layer *y);
} stream_layer_ops;

struct stream_layer {
    const stream_layer_ops *ops;
    stream *stream;
    bool fresh;    /* begun inside `data`: input left over is not of the layer */
    bool opening;  /* reads and writes on its own account; the owner's bytes wait */
    bool blocked;  /* reads nothing more before what it has to say is sent */
    bool holding;  /* has bytes of the wire left, for `advance`, which the owner did not take */
    bool wire_end; /* the socket's end was read */
    bool filling;  /* in `fill` */
    bool below;    /* the socket does what the layer did for output: it takes the stream's queue as
                      it is, and then what the layer has, with `control` */
    str control;   /* ancillary data */
};

/* --- what a stream offers to its layer -------------------------------------------------------- */

/* Puts it in, opening; the stream owns it from then on.
 *   fails  STREAM_CLOSED; the layer is then the caller's still */
error stream_add_layer(stream *s, stream_layer *y);
stream_layer *stream_layer_of(const stream *s);
/* Unconsumed input; inside `data`, which may consume it yet: 0. */
size_t stream_input_left(const stream *s);
/* After it, nothing may be done with the stream but to ask. */
bool stream_is_gone(const stream *s);
/* Whether `data` may be called. */
bool stream_takes_input(const stream *s);
/* Takes all unconsumed input, `bytes` of it, out; in `begin` only. The stream then goes on with
 * `advance`, soon. */
void stream_layer_take_input(stream *s, char *to, size_t bytes);
/* Whether our side is to end once all is sent. */
bool stream_is_ending(const stream *s);
/* Where the owner's next bytes go, as stream_input_space. */
char *stream_layer_space(stream *s, size_t *bytes);
/* Nothing was put there, after all. */
void stream_input_idle(stream *s);
/* `bytes` were put there, and are not told yet. */
void stream_layer_filled(stream *s, size_t bytes);
/* Tells `data` of them, and of the peer's end if it has come. */
void stream_layer_deliver(stream *s, bool at_end);
/* The oldest bytes of the queue that lie together in memory, and their removal. */
str stream_layer_queue(const stream *s);
void stream_layer_taken(stream *s, size_t bytes);
/* Whether so much of one file, which the kernel can send, is in the queue. */
bool stream_layer_has_file(const stream *s, uint64_t bytes_min);
/* The stream's socket; -1 when it has none. */
int stream_layer_socket(const stream *s);
/* Copies the oldest `bytes` of the queue, there must be as many, and removes them; false when they
 * are a file's that cannot be read: the stream is then gone. */
bool stream_layer_read(stream *s, char *to, size_t bytes);
/* `bytes` were added to the wire, to be sent at the turn's end or, in `fill`, after it. */
void stream_layer_queued(stream *s, size_t bytes);
/* The layer is through with opening. */
void stream_layer_opened(stream *s);
/* The end: sends what is on the wire, then closes. `text` lives as long as the layer. */
void stream_layer_failed(stream *s, const error_kind *why, int system_errno, const char *text);

#endif
