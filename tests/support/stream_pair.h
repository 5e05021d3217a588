/* A stream under test and its peer, a bare nonblocking socket that a test drives byte by byte.
 *
 * Callbacks run on the loop, where cmocka must not fail (it would jump across stacks): they record
 * into a `side`, and the test, on its fiber, looks at that. `eventually` waits for it. */
#ifndef TESTS_SUPPORT_STREAM_PAIR_H
#define TESTS_SUPPORT_STREAM_PAIR_H

#include "core/stream.h"
#include "tests/support/in_fiber.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/* Waits up to 20 s for `condition`. */
#define eventually(condition)                                                  \
    do {                                                                       \
        bool holds_ = (condition);                                             \
        for (int tries_ = 0; tries_ < 20000 && !holds_; tries_++) {            \
            if (!error_is_ok(fiber_sleep(1)))                                  \
                break;                                                         \
            holds_ = (condition);                                              \
        }                                                                      \
        if (!holds_)                                                           \
            print_error("%s:%d: never: %s\n", __FILE__, __LINE__, #condition); \
        assert_true(holds_);                                                   \
    } while (0)

typedef enum side_event {
    SIDE_NOTHING = 0,
    SIDE_OPENED,
    SIDE_DATA,
    SIDE_DRAINED,
    SIDE_TIMEOUT,
    SIDE_CLOSED,
} side_event;

/* One end of a connection that is a stream, and what has happened to it. */
typedef struct side side;
struct side {
    stream *stream; /* NULL before and after */
    buf got;        /* everything consumed */
    bool opened;
    bool at_end;
    bool closed;
    uint32_t data_calls;
    uint32_t drained;
    uint32_t ended; /* told while it did not read */
    uint32_t timeouts;
    uint32_t calls_after_closed; /* must stay 0 */
    error why;
    int why_errno;
    char why_text[200];

    /* What to do in `data` instead of taking everything; may be NULL. */
    size_t (*take)(side *s, str bytes);
    /* Called in every callback, after it was recorded; may be NULL. */
    void (*hook)(side *s, side_event event);
};

static inline void side_note(side *s, side_event event)
{
    s->calls_after_closed += s->closed && event != SIDE_CLOSED;
    if (s->hook)
        s->hook(s, event);
}
static inline void side_opened(stream *st)
{
    side *s = stream_owner(st);
    s->opened = true;
    side_note(s, SIDE_OPENED);
}
static inline size_t side_data(stream *st, str bytes)
{
    side *s = stream_owner(st);
    s->data_calls++;
    s->at_end = stream_at_end(st);
    size_t taken = bytes.len;
    if (s->take)
        taken = s->take(s, bytes);
    else
        buf_append(&s->got, bytes);
    side_note(s, SIDE_DATA);
    return taken;
}
static inline void side_drained(stream *st)
{
    side *s = stream_owner(st);
    s->drained++;
    side_note(s, SIDE_DRAINED);
}
static inline void side_ended(stream *st)
{
    side *s = stream_owner(st);
    s->ended++;
    side_note(s, SIDE_NOTHING);
}
static inline void side_timeout(stream *st)
{
    side *s = stream_owner(st);
    s->timeouts++;
    side_note(s, SIDE_TIMEOUT);
}
static inline void side_closed(stream *st, error why)
{
    side *s = stream_owner(st);
    const error_detail *detail = error_detail_of(why);
    s->why = why;
    s->why_errno = detail ? detail->system_errno : 0;
    if (detail)
        snprintf(s->why_text, sizeof s->why_text, "%.*s", STR_ARG(detail->text));
    s->stream = NULL;
    side_note(s, SIDE_CLOSED);
    s->closed = true;
}
static const stream_handler SIDE_HANDLER = {
    .data = side_data,
    .opened = side_opened,
    .drained = side_drained,
    .ended = side_ended,
    .timeout = side_timeout,
    .closed = side_closed,
};

static inline void side_init(side *s)
{
    *s = (side){ 0 };
    buf_init(&s->got, (size_t)1 << 28);
}
/* Aborts the stream if it still stands, and frees what was received. */
static inline void side_deinit(side *s)
{
    s->hook = NULL;
    if (s->stream)
        stream_abort(s->stream);
    for (int i = 0; i < 10000 && s->stream; i++) {
        if (!error_is_ok(fiber_sleep(1)))
            break;
    }
    buf_deinit(&s->got);
}

/* --- making one ------------------------------------------------------------------------------ */

typedef struct pair_kind {
    const char *name;
    bool is_unix;
    bool is_client; /* the stream connects; else it is accepted */
    /* What runs over the connection: begun on the stream, and spoken for the peer by whoever stands
     * before the bare socket that is returned. NULL: nothing. */
    error (*start)(stream *s, bool is_client);
    int (*dress)(int peer, bool is_client, int buffer_bytes);
    /* Makes both instead of all this, and returns the bare socket. */
    int (*open)(const stream_options *options, int buffer_bytes, side *s);
} pair_kind;

static const pair_kind PAIR_KINDS[] = {
    { .name = "tcp server" },
    { .name = "tcp client", .is_client = true },
    { .name = "unix server", .is_unix = true },
    { .name = "unix client", .is_unix = true, .is_client = true },
};

/* A fresh address to listen on: a free port, or an abstract name. */
static inline address pair_address(bool is_unix)
{
    static unsigned serial;
    char text[64];
    if (is_unix)
        snprintf(text, sizeof text, "@brio-test-%ld-%u", (long)getpid(), serial++);
    else
        snprintf(text, sizeof text, "127.0.0.1:0");
    address at;
    assert_true(address_parse(str_from_c(text), &at));
    return at;
}

/* A listening socket on a fresh address, which `*at` is set to. */
static inline int pair_listen(bool is_unix, address *at)
{
    *at = pair_address(is_unix);
    int fd;
    assert_ok(listener_bind(at, false, &fd));
    *at = listener_address(fd);
    return fd;
}

/* Both of a socket's buffers; before it connects, because a window once offered is not taken back
 * (a listening socket's go to those it accepts). 0: leaves the kernel's. */
static inline void peer_buffers(int fd, int bytes)
{
    if (bytes == 0)
        return;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes), 0);
}

/* A bare socket connected, or connecting, to `at`. */
static inline int peer_connect(const address *at, int buffer_bytes)
{
    const struct sockaddr *target = (const struct sockaddr *)(const void *)at->sockaddr;
    const int fd = socket(target->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    peer_buffers(fd, buffer_bytes);
    assert_true(connect(fd, target, at->len) == 0 || errno == EINPROGRESS);
    return fd;
}

static inline int peer_accept(int listening_fd)
{
    int fd = -1;
    eventually((fd = accept4(listening_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
    return fd;
}

static inline void peer_small_steps(int fd, bool is_unix)
{
    const int on = 1;
    if (!is_unix)
        assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
}

/* Connects `s` with a bare peer, which is returned. `buffer_bytes`: of the kernel's buffers on both
 * sides, 0 for what it gives. */
static inline int pair_open(const pair_kind *kind, const stream_options *options, int buffer_bytes,
                            side *s)
{
    address at;
    if (kind->open)
        return kind->open(options, buffer_bytes, s);
    const int listening = pair_listen(kind->is_unix, &at);
    peer_buffers(listening, buffer_bytes);
    int peer;
    if (kind->is_client) {
        assert_ok(stream_connect(loop_self(), &at, &SIDE_HANDLER, options, s, &s->stream));
        if (kind->start)
            assert_ok(kind->start(s->stream, true));
        peer = peer_accept(listening);
    } else {
        peer = peer_connect(&at, buffer_bytes);
        const int fd = peer_accept(listening);
        assert_ok(stream_from_fd(loop_self(), fd, &SIDE_HANDLER, options, s, &s->stream));
        if (kind->start)
            assert_ok(kind->start(s->stream, false));
    }
    close(listening);
    if (kind->dress)
        peer = kind->dress(peer, kind->is_client, buffer_bytes);
    if (kind->dress || kind->is_client)
        eventually(s->opened && (!s->stream || stream_queued(s->stream) == 0));
    peer_small_steps(peer, kind->is_unix);
    return peer;
}

/* --- the bare peer --------------------------------------------------------------------------- */

/* Sends as much as the kernel takes now; 0 when it takes nothing, -1 when it is broken. */
static inline ssize_t peer_send_some(int fd, str bytes)
{
    const ssize_t sent = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    return sent >= 0 ? sent : errno == EAGAIN ? 0 : -1;
}

static inline void peer_send(int fd, str bytes)
{
    for (int idle = 0; bytes.len > 0;) {
        const ssize_t sent = peer_send_some(fd, bytes);
        assert_true(sent >= 0);
        bytes = str_slice(bytes, (size_t)sent, bytes.len);
        idle = sent > 0 ? 0 : idle + 1;
        assert_true(idle < 20000);
        if (sent == 0)
            assert_ok(fiber_sleep(1));
    }
}

/* Reads what is there into `b`: bytes, 0 at the end, -1 nothing yet, -2 broken. */
static inline ssize_t peer_receive_some(int fd, buf *b, size_t bytes_max)
{
    char *to = buf_reserve(b, bytes_max);
    assert_non_null(to);
    const ssize_t got = recv(fd, to, bytes_max, 0);
    if (got > 0)
        buf_commit(b, (size_t)got);
    return got >= 0 ? got : errno == EAGAIN ? -1 : -2;
}

/* Waits until `b` holds `bytes`. */
static inline void peer_receive(int fd, buf *b, size_t bytes)
{
    for (int idle = 0; b->len < bytes;) {
        const ssize_t got = peer_receive_some(fd, b, bytes - b->len);
        assert_true(got > 0 || got == -1);
        idle = got > 0 ? 0 : idle + 1;
        assert_true(idle < 20000);
        if (got == -1)
            assert_ok(fiber_sleep(1));
    }
}

/* Reads until the stream's side has ended: a reset fails the test. */
static inline void peer_receive_to_end(int fd, buf *b)
{
    ssize_t got = -1;
    for (int idle = 0; got != 0 && idle < 20000; idle++) {
        got = peer_receive_some(fd, b, 65536);
        assert_int_not_equal(got, -2);
        if (got > 0)
            idle = 0;
        if (got == -1)
            assert_ok(fiber_sleep(1));
    }
    assert_int_equal(got, 0);
}

/* Breaks the connection so that the other side sees a reset. */
static inline void peer_reset(int *fd)
{
    const struct linger now = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(*fd);
    *fd = -1;
}

/* --- content that can be checked ------------------------------------------------------------- */

#define PATTERN_BYTES 65521 /* a prime: no buffer size hides a shift */

/* `len` bytes (at most PATTERN_BYTES) of an endless pattern, from its byte `from` on. */
static inline str pattern(size_t from, size_t len)
{
    static char table[2 * PATTERN_BYTES];
    if (!table[1]) {
        uint32_t x = 2463534242U;
        for (size_t i = 0; i < PATTERN_BYTES; i++) {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            table[i] = table[i + PATTERN_BYTES] = (char)x;
        }
        table[1] = table[1 + PATTERN_BYTES] = 1;
    }
    invariant(len <= PATTERN_BYTES);
    return (str){ table + from % PATTERN_BYTES, len };
}

/* Whether `bytes` are the pattern from its byte `from` on. */
static inline bool pattern_is(size_t from, str bytes)
{
    while (bytes.len > 0) {
        const size_t part = bytes.len < PATTERN_BYTES ? bytes.len : PATTERN_BYTES;
        if (!str_eq(str_slice(bytes, 0, part), pattern(from, part)))
            return false;
        from += part;
        bytes = str_slice(bytes, part, bytes.len);
    }
    return true;
}

#endif
