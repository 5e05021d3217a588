/* Streams: byte connections over TCP, Unix sockets and memory, with callbacks on the loop.
 *
 *   stream_connect -> CONNECTING --ok--> OPEN --peer's end--> HALF_OPEN (still writable)
 *   listener, stream_pair ------------>  |                       |
 *                                        +--- stream_close ------+--> CLOSING -> closed()
 *
 * Bytes arrive in a block of the worker's pool, and `data` is lent all that it has not yet
 * consumed, contiguous. It returns how many bytes it is done with; the rest comes again, with more
 * behind it, perhaps at another address. A stream whose bytes are all consumed owns no block. To
 * keep slices of the bytes past the callback, take a reference with stream_keep_block.
 *
 * Writes are gathered and leave in one system call at the end of the loop's turn. What the socket
 * refuses is queued; past the high watermark the stream stops reading its peer until it has
 * drained, unless it is full duplex.
 *
 * Invariant: closed() is called exactly once, on the loop and never inside a call of the owner's,
 * and after it the stream is gone. */
#ifndef CORE_STREAM_H
#define CORE_STREAM_H

#include "core/block.h"
#include "core/error.h"
#include "core/loop.h"
#include "core/str.h"

typedef struct stream stream;
typedef struct listener listener;

extern const error_kind STREAM_CONNECT_FAILED; /* UNAVAILABLE */
extern const error_kind STREAM_CLOSED;         /* UNAVAILABLE: peer reset or vanished */
extern const error_kind STREAM_STALLED;     /* TIMED_OUT: the peer takes less than send_rate_min */
extern const error_kind STREAM_INPUT_FULL;  /* TOO_LARGE: unconsumed input passed input_bytes_max */
extern const error_kind STREAM_FILE_FAILED; /* INTERNAL: a file ended early, or cannot be read */

/* What a stream tells its owner. `data` and `closed` are required. */
typedef struct stream_handler {
    /* Bytes came, or the peer ended its side (stream_at_end; `bytes` may then be empty).
     *   returns how many of `bytes` are consumed, from the front */
    size_t (*data)(stream *s, str bytes);
    /* The connection stands (streams made by stream_connect), or its TLS handshake is done. */
    void (*opened)(stream *s);
    /* Everything written was handed to the kernel, after more than the high watermark was queued.
     */
    void (*drained)(stream *s);
    /* The peer has ended its side while the stream does not read: `data` will tell so behind what
     * came before it. NULL: no matter. */
    void (*ended)(stream *s);
    /* stream_set_timeout's time passed. */
    void (*timeout)(stream *s);
    /* The end: `why` is OK after stream_close, else what happened. The stream is freed after it. */
    void (*closed)(stream *s, error why);
} stream_handler;

typedef struct stream_options {
    size_t input_bytes_max;   /* unconsumed input kept; 0: 1 MiB. Past it: STREAM_INPUT_FULL */
    size_t output_bytes_high; /* queued output past which reading stops; 0: 256 KiB */
    /* Goes on reading past it: for a client that writes much before it reads the answers. Two ends
     * that both stop reading wait for each other for ever. */
    bool full_duplex;
    /* While output is queued the peer must take some of it in each such time, and at least
     * `send_rate_min` bytes a second; one that does not is gone: STREAM_STALLED. stream_close waits
     * for the others as long as it takes. 0: for ever, but no longer than its linger_ms at a time
     * once the stream is closing. */
    uint32_t send_timeout_ms;
    uint32_t send_rate_min; /* 0: any */
    /* stream_connect over TCP: a peer that has acknowledged nothing for so long, what was sent or
     * that it is still there, is gone, and the stream closed; 0: the system's quarter of an hour,
     * and for ever while idle. */
    uint32_t peer_timeout_ms;
    /* stream_connect over TCP: how an idle peer is probed, where that is not to follow from
     * peer_timeout_ms; 0: as that, or as the system has it. */
    uint32_t keepalive_idle_s;
    uint32_t keepalive_interval_s;
    uint32_t keepalive_probes;
    bool keepalive;         /* it is probed, as the system has it, where none of these says how */
    bool without_keepalive; /* an idle peer is not probed at all */
} stream_options;

/* Where to connect or listen: a numeric IP and port, or a Unix socket path. */
typedef struct address {
    uint32_t len; /* of sockaddr */
    _Alignas(8) char sockaddr[112];
} address;

/* "127.0.0.1:8080", "[::1]:8080", "/path/of.socket", "@abstract". Names are not resolved: see
 * address_resolve. Returns false on anything else. */
bool address_parse(str text, address *out);
/* Whether what is sent there stays on this machine: Unix sockets and loopback addresses. */
bool address_is_local(const address *at);
/* The address in text, in `a`. */
str address_text(arena *a, const address *at);
/* Looks `host` up (numeric or name; a path is a Unix socket directory entry as is) on an offload
 * thread and fills at most `max` addresses.
 *   yields  until getaddrinfo answered
 *   fails   STREAM_CONNECT_FAILED with its reason */
YIELDS error address_resolve(str host, uint16_t port, address *out, size_t max, size_t *count);

/* Starts connecting; `opened` or `closed` follows. The handler must outlive the stream.
 *   fails  STREAM_CONNECT_FAILED at once (no descriptor, say); then no callback comes */
error stream_connect(loop *loop, const address *to, const stream_handler *handler,
                     const stream_options *options, void *owner, stream **out);
/* Takes a connected nonblocking socket over. On failure `fd` is closed. */
error stream_from_fd(loop *loop, int fd, const stream_handler *handler,
                     const stream_options *options, void *owner, stream **out);

/* One end of a stream_pair. */
typedef struct stream_pair_end {
    const stream_handler *handler;
    const stream_options *options; /* may be NULL */
    void *owner;
    const address *peer; /* what stream_peer says of the other end; NULL: unknown */
} stream_pair_end;
/* Two streams connected through memory, without a socket: for tests, and programs that talk to
 * themselves. All is as over one: bytes arrive in a later round of the loop, a reader that stops
 * holds the writer up when `bytes` (0: 64 KiB) are on their way, an end or a reset is seen behind
 * them.
 *   fails  OUT_OF_MEMORY; then there is neither */
error stream_pair(loop *loop, const stream_pair_end ends[2], size_t bytes, stream *out[2]);

/* What it was given as `owner`. */
void *stream_owner(const stream *s);
/* The loop it belongs to. */
loop *stream_loop(const stream *s);
/* The peer's address; len 0 when unknown. */
address stream_peer(const stream *s);
/* The user that the process at the other end of a Unix socket ran as when it began to listen, or to
 * connect; false for other streams. */
bool stream_peer_uid(const stream *s, uint32_t *uid);
/* Whether the peer has ended its side. */
bool stream_at_end(const stream *s);
/* The same, known before `data` has come to it: as `ended` tells. */
bool stream_peer_has_ended(const stream *s);
/* Whether bytes of the peer wait in the socket that `data` has not been lent yet. Asks the kernel.
 */
bool stream_has_arrived(const stream *s);
/* Whether the peer has neither sent what `data` has not been lent yet, nor ended, nor broken it
 * off. Asks the kernel; of a stream in memory always so. */
bool stream_is_silent(const stream *s);

/* Queues a copy of `bytes`; ignored on a closing stream. */
void stream_write(stream *s, str bytes);
/* Queues `bytes` of `b` without copying, keeping a reference until they are sent. */
void stream_write_block(stream *s, block *b, str bytes);
/* Room for up to `bytes` (at most BLOCK_CAPACITY) at the end of the queue, contiguous; then
 * stream_commit what was written. NULL when memory is out: the stream is then closing. */
char *stream_reserve(stream *s, size_t bytes);
void stream_commit(stream *s, size_t bytes);
/* Bytes queued and not yet taken by the kernel. */
size_t stream_queued(const stream *s);

/* A file that ranges are sent of, open until its last reference has gone: that of whoever made it,
 * or of a stream that has a range of it queued. Belongs to its thread. */
typedef struct stream_file stream_file;
/* Takes `fd` over, a regular file open for reading. On failure it is closed. Has SIGPIPE ignored if
 * it would end the process: the kernel raises it for files, whatever the socket says.
 *   fails  OUT_OF_MEMORY */
error stream_file_new(int fd, stream_file **out);
/* Lets go of the caller's reference, and nulls the pointer; NULL is allowed. */
void stream_file_release(stream_file **owner);
/* The descriptor, to look at and to read from; the file's still. */
int stream_file_fd(const stream_file *f);
/* Sees to it that a range can be sent without waiting for a disk: what is not in the kernel's cache
 * is read on an offload thread. A megabyte or less at a time, the next while one is being sent.
 *   yields  when it has to be read
 *   fails   STREAM_FILE_FAILED, OUT_OF_MEMORY; as offload */
YIELDS error stream_file_load(stream_file *f, uint64_t offset, uint64_t bytes);
/* Queues `bytes` of `f` from `offset` on, behind what was written before, and keeps a reference to
 * `f` until they are sent. Memory for them there is none: the kernel sends them out of its cache;
 * over TLS, or where it cannot, they are read piece by piece. A range not loaded before holds the
 * loop up while the disk reads it. A file that ends early closes the stream at once, with
 * STREAM_FILE_FAILED: the peer gets what there was and nothing else in its place. Ignored on a
 * closing stream. */
void stream_write_file(stream *s, stream_file *f, uint64_t offset, uint64_t bytes);

/* Stops and restarts reading: back-pressure to the peer. After stream_resume `data` is called again
 * with what was not consumed, at the latest in the next turn. */
void stream_pause(stream *s);
void stream_resume(stream *s);

/* One more reference to the block that `data` was lent bytes of, NULL before there is one. Valid in
 * `data` only. Release with block_release. */
block *stream_keep_block(stream *s);

/* One timer a stream: calls `timeout` in `ms`, never early; 0 disarms. */
void stream_set_timeout(stream *s, uint32_t ms);
/* The same at `at_ms` of clock_ms, for those who know what time it is; 0 disarms. */
void stream_set_deadline(stream *s, uint64_t at_ms);

/* Ends our side after everything queued was sent; the peer may still send. */
void stream_end(stream *s);
/* Sends what is queued, ends our side, reads and drops what the peer still sends until its end,
 * then closes: no answer is lost to a reset. A peer that takes nothing for `linger_ms` (or the
 * option send_timeout_ms), or then does not end for `linger_ms`, is not waited for. closed()
 * follows. */
void stream_close(stream *s, uint32_t linger_ms);
/* Closes at once, dropping what is queued. closed() follows in the next turn. */
void stream_abort(stream *s);
/* The same, and over TCP and in memory the peer sees the connection break instead of end. */
void stream_reset(stream *s);

/* --- listeners -------------------------------------------------------------------------------- */

/* Makes a bound, listening, nonblocking socket; TCP ones with SO_REUSEADDR and, when asked for,
 * SO_REUSEPORT. A Unix path that a dead server left is replaced, a live one is not.
 *   fails  SYSTEM_FAILED, naming the address */
error listener_bind(const address *at, bool reuse_port, int *fd_out);
/* The address a socket is bound to (the port chosen for port 0). */
address listener_address(int fd);

/* Accepts on `fd` (stays the caller's). `accepted(fd, arg)` owns each connection's descriptor
 * (nonblocking, close-on-exec). When descriptors or memory run out, accepting pauses for 100 ms
 * instead of spinning. */
error listener_start(loop *loop, int fd, void (*accepted)(int fd, void *arg), void *arg,
                     listener **out);
/* Stops accepting and frees the listener; the socket stays open. Nulls the pointer. */
void listener_stop(listener **owner);

#endif
