/* What a stream is made of, for the files that are it: stream.c, stream_socket.c (where its bytes
 * come from and go) and stream_layer.c (what a layer may do to it). */
#ifndef CORE_SRC_STREAM_PRIVATE_H
#define CORE_SRC_STREAM_PRIVATE_H

#include "backend.h"
#include "stream_layer.h"
#include "stream_queue.h"

typedef enum stream_state {
    STREAM_CONNECTING = 1,
    STREAM_OPEN,
    STREAM_ENDING,    /* stream_close: what is queued leaves first */
    STREAM_LINGERING, /* our side ended, the peer's bytes are dropped */
    STREAM_GONE,
} stream_state;

struct stream {
    list_node unread; /* first: in loop->unread */
    loop *loop;
    const stream_transport *transport;
    void *transport_state;
    stream_layer *layer; /* NULL: plain */
    const stream_handler *handler;
    void *owner;
    int fd; /* -1: in memory, or gone */
    stream_state state;
    stream_io_flags io;
    bool at_end;   /* the peer's side has ended */
    bool end_told; /* and `data` has been told */
    bool paused;
    bool choked; /* output passed the high watermark and has not drained since */
    bool full_duplex;
    bool end_wanted; /* stream_end */
    bool end_sent;
    bool in_data; /* inside handler->data */
    bool resets;

    block *in;
    uint32_t in_from;
    uint32_t in_to;
    size_t input_bytes_max;

    stream_queue queue;
    size_t queued;
    size_t output_bytes_high;

    timer timer;
    uint64_t timeout_at_ms; /* 0: none; the timer may be armed for an earlier time */
    uint32_t linger_ms;

    timer send_timer; /* armed while the kernel has refused output, and maybe a little longer */
    bool send_watched;
    uint32_t send_timeout_ms;
    uint32_t send_rate_min;
    uint64_t sent; /* bytes handed to the kernel, ever */
    int64_t taken; /* of them by the peer, when the timer was armed */

    loop_task flush;
    loop_task gone;
    const error_kind *why; /* of the end; NULL: as the owner wanted */
    int why_errno;
    const char *why_text;
};

/* Whether its owner may still write. */
bool stream_writable(const stream *s);
/* Gives the owner its plain input, if it takes any. */
void stream_lend(stream *s);

#endif
