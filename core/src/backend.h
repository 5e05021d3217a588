/* The seam between the loop and the kernel: one table of functions a backend, chosen at loop_new.
 *
 * Completion-shaped: the loop says what it wants of a stream (start, send, receive), and the
 * backend tells when bytes arrived (stream_received) or left (stream_sent). epoll does the system
 * calls when it hears of readiness; a ring would submit them and report their completions. */
#ifndef CORE_SRC_BACKEND_H
#define CORE_SRC_BACKEND_H

#include "loop_private.h"
#include "stream_file.h"

#include "core/stream.h"

#include <sys/uio.h>

/* How a stream's bytes move: by a backend over a socket, or in memory (stream_memory.c). */
typedef struct stream_transport {
    /* Takes the stream in. Reading begins; writability is known after a connect. */
    error (*start)(loop *l, stream *s);
    /* Lets go of it, and of what it moved its bytes by; no completion comes after this. */
    void (*stop)(loop *l, stream *s);
    /* Sends what stream_output gives until it gives nothing or the other side takes no more; in the
     * latter case goes on by itself later. */
    void (*send)(loop *l, stream *s);
    /* Reads on after the stream had stopped taking input. */
    void (*receive)(loop *l, stream *s);
    /* Ends our side: all of it was sent. */
    void (*end)(stream *s);
    address (*peer)(const stream *s);
    /* Bytes that were sent and the peer has not taken (over TCP: acknowledged). */
    int64_t (*kept)(const stream *s);
} stream_transport;

struct backend_ops {
    const char *name;
    error (*open)(loop *l);
    void (*close)(loop *l);
    /* Waits at most `timeout_ms` (-1: for ever), calls loop_woke, and delivers what completed;
     * false: nothing had. */
    bool (*wait)(loop *l, int timeout_ms);

    error (*watch)(loop *l, watch *w);
    void (*unwatch)(loop *l, watch *w);

    stream_transport sockets;
};

extern const backend_ops backend_epoll;

#define STREAM_IOV_MAX 16

/* --- what streams offer to backends ----------------------------------------------------------- */

/* Readiness that nobody has used up yet; a readiness backend keeps it here. */
typedef struct stream_io_flags {
    bool readable;
    bool writable;
    bool awaits_writable; /* epoll's: it will tell when that changes */
    bool peer_ended;      /* reading must go on until 0 or an error */
} stream_io_flags;
stream_io_flags *stream_flags(stream *s);

/* Of a socket; -1 when it has none. */
int stream_fd(const stream *s);
/* What stream_make was given. */
void *stream_transport_state(const stream *s);
/* Whether the peer is to see a reset when the stream stops. */
bool stream_resets(const stream *s);
/* A transport's `stop`, `end`, `peer` and `kept` as far as the socket is concerned. */
void stream_socket_close(stream *s);
void stream_socket_end(stream *s);
address stream_socket_peer(const stream *s);
int64_t stream_socket_kept(const stream *s);
/* The socket's pending error, taken; 0: none. */
int stream_socket_error(const stream *s);
/* Whether the backend may read for it now. */
bool stream_wants_input(const stream *s);
/* Where the next bytes go: at least one, at most what is free; NULL when memory is out (the stream
 * is then failing). */
char *stream_input_space(stream *s, size_t *bytes);
/* Nothing was read into it after all. */
void stream_input_unused(stream *s);
/* `bytes` were read into that space; 0: the peer's end. The stream may be closed by its owner. */
void stream_received(stream *s, size_t bytes);
/* What is to be sent, oldest first: bytes in memory, or of a file. */
typedef struct stream_outgoing {
    struct iovec iov[STREAM_IOV_MAX];
    int count;         /* entries; 0: `file` */
    bool file_follows; /* directly on the entries, so that both may leave in one packet */
    str control;       /* ancillary data that goes with the entries; empty: none */
    stream_range file;
} stream_outgoing;
/* Fills `out`; false when there is nothing to be sent. */
bool stream_output(stream *s, stream_outgoing *out);
/* `bytes` of it were taken by the kernel. */
void stream_sent(stream *s, size_t bytes);
/* Has the backend send on at the end of the next turn: others are to have theirs before. */
void stream_send_later(stream *s);
/* The file cannot be read (an errno), or ends before its range (0). The connection breaks off. */
void stream_file_ended(stream *s, int system_errno);
/* The socket became writable the first time after a connect. */
void stream_connected(stream *s);
bool stream_is_connecting(const stream *s);
/* Lets the loop call stream_read_again once the others had their turn. */
void stream_read_later(loop *l, stream *s);
/* Delivers what was not consumed, and reads on. */
void stream_read_again(stream *s);
stream *stream_of_unread(list_node *n);
/* The peer has ended its side, and reading has not come so far (`peer_ended` says so too). */
void stream_peer_ended(stream *s);
/* The connection broke. */
void stream_failed(stream *s, int system_errno);
/* An open stream with a transport that stream_begin starts; until then `free` ends it. NULL without
 * memory. */
stream *stream_make(loop *l, const stream_transport *transport, void *transport_state,
                    const stream_handler *handler, const stream_options *options, void *owner);
error stream_begin(stream *s);

#endif
