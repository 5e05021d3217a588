/* The epoll backend: edge-triggered, one registration a socket, of which only the wish to write
 * comes and goes.
 *
 * An edge says only that something changed, so the stream's flags remember readiness that nobody
 * has used up: reading goes on until the kernel gives less than was asked for, writing until it
 * takes less. A busy peer is put behind the others after READS_MAX reads, one that takes all there
 * is after SENT_BYTES_MAX.
 *
 * Invariant: after stop or unwatch, no event of the present batch reaches that object. */
#include "backend.h"

#include "core/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define EVENTS_MAX     256
#define READS_MAX      16
#define SENT_BYTES_MAX ((size_t)1 << 20)

#define IS_WATCH ((uintptr_t)1) /* low bit of an event's pointer */

typedef struct epoll_state {
    int fd;
    int count; /* events of the batch that is being delivered */
    struct epoll_event events[EVENTS_MAX];
} epoll_state;

static error epoll_open(loop *l)
{
    epoll_state *e = calloc(1, sizeof *e);
    if (!e)
        return error_set(&OUT_OF_MEMORY, "no memory for epoll events");
    e->fd = epoll_create1(EPOLL_CLOEXEC);
    if (e->fd < 0) {
        const int why = errno;
        free(e);
        return error_set_errno(&SYSTEM_FAILED, why, "epoll_create1");
    }
    l->backend_state = e;
    return OK;
}

static void epoll_close(loop *l)
{
    epoll_state *e = l->backend_state;
    l->backend_state = NULL;
    close(e->fd);
    free(e);
}

static error epoll_add(loop *l, int fd, uint32_t events, uintptr_t pointer)
{
    const epoll_state *e = l->backend_state;
    struct epoll_event event = { .events = events, .data.u64 = pointer };
    if (epoll_ctl(e->fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return error_set_errno(&SYSTEM_FAILED, errno, "epoll_ctl");
    l->descriptors++;
    return OK;
}

/* Takes an object out of the kernel's set and out of the batch. */
static void epoll_remove(loop *l, int fd, uintptr_t pointer)
{
    epoll_state *e = l->backend_state;
    epoll_ctl(e->fd, EPOLL_CTL_DEL, fd, NULL);
    l->descriptors--;
    for (int i = 0; i < e->count; i++) {
        if (e->events[i].data.u64 == pointer)
            e->events[i].data.u64 = 0;
    }
}

static error epoll_watch(loop *l, watch *w)
{
    return epoll_add(l, w->fd, EPOLLIN, (uintptr_t)w | IS_WATCH);
}

static void epoll_unwatch(loop *l, watch *w)
{
    epoll_remove(l, w->fd, (uintptr_t)w | IS_WATCH);
}

/* Of a socket that is only read. One that can be written is no news, but a Unix socket's would be
 * told each time its peer has read. */
#define READ_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

static error epoll_start(loop *l, stream *s)
{
    const bool connects = !stream_flags(s)->writable;
    stream_flags(s)->awaits_writable = connects;
    return epoll_add(l, stream_fd(s), READ_EVENTS | (connects ? EPOLLOUT : 0), (uintptr_t)s);
}

/* Asks to be told when a socket that is full can be written again, until all is sent. */
static void await_writable(loop *l, stream *s, bool awaits)
{
    const epoll_state *e = l->backend_state;
    if (stream_flags(s)->awaits_writable == awaits)
        return;
    stream_flags(s)->awaits_writable = awaits;
    struct epoll_event event = { .events = READ_EVENTS | (awaits ? EPOLLOUT : 0),
                                 .data.u64 = (uintptr_t)s };
    const int failed = epoll_ctl(e->fd, EPOLL_CTL_MOD, stream_fd(s), &event);
    invariant(!failed);
}

static void epoll_stop(loop *l, stream *s)
{
    epoll_remove(l, stream_fd(s), (uintptr_t)s);
    stream_socket_close(s);
}

static void epoll_receive(loop *l, stream *s);

/* The peer is gone, but its last words may be there to be read: why it went, say. */
static void send_failed(loop *l, stream *s, int system_errno)
{
    stream_flags(s)->readable = true;
    stream_flags(s)->peer_ended = true;
    epoll_receive(l, s);
    stream_failed(s, system_errno);
}

/* One call; -1 with errno. */
static ssize_t send_memory(stream *s, stream_outgoing *out)
{
    size_t offered = 0;
    for (int i = 0; i < out->count; i++)
        offered += out->iov[i].iov_len;
    const int flags = MSG_NOSIGNAL | (out->file_follows ? MSG_MORE : 0);
    const struct msghdr message = {
        .msg_iov = out->iov,
        .msg_iovlen = (size_t)out->count,
        .msg_control = (void *)(uintptr_t)out->control.ptr,
        .msg_controllen = out->control.len,
    };
    /* What is in one piece costs the kernel less without the list. */
    const ssize_t sent = out->count == 1 && out->control.len == 0
                             ? send(stream_fd(s), out->iov[0].iov_base, out->iov[0].iov_len, flags)
                             : sendmsg(stream_fd(s), &message, flags);
    if (sent >= 0 && (size_t)sent < offered)
        stream_flags(s)->writable = false;
    return sent;
}

/* Whether the errno is about the socket; any other of sendfile is about the file. */
static bool is_of_socket(int system_errno)
{
    return system_errno == EAGAIN || system_errno == EINTR || system_errno == EPIPE ||
           system_errno == ECONNRESET || system_errno == ETIMEDOUT || system_errno == ENOBUFS ||
           system_errno == EHOSTUNREACH || system_errno == ENETUNREACH || system_errno == ENETDOWN;
}

/* From a file that is not sent by the kernel; what the socket does not take is read again. */
static ssize_t send_copy(stream *s, const stream_range *r, size_t len, bool *file_ended)
{
    block *b = block_acquire(BLOCK_CAPACITY);
    if (!b) {
        errno = ENOMEM;
        *file_ended = true;
        return -1;
    }
    const ssize_t got =
        stream_file_read(r->file, r->at, b->data, len < b->capacity ? len : b->capacity);
    *file_ended = got <= 0;
    const ssize_t sent = got > 0 ? send(stream_fd(s), b->data, (size_t)got, MSG_NOSIGNAL) : got;
    if (sent >= 0 && sent < got)
        stream_flags(s)->writable = false;
    block_release(&b);
    return sent;
}

/* One call for at most `bytes_max`; -1 with errno. It may take less for reasons of its own, so only
 * EAGAIN says that the socket is full. `*file_ended`: the file is to blame. */
static ssize_t send_file(stream *s, const stream_range *r, size_t bytes_max, bool *file_ended)
{
    const size_t len = r->bytes < bytes_max ? r->bytes : bytes_max;
    if (r->file->copies)
        return send_copy(s, r, len, file_ended);
    off_t at = (off_t)r->at;
    ssize_t sent = -1;
    errno = EINVAL;
    if (!fault_point("stream.sendfile"))
        sent = sendfile(stream_fd(s), r->file->fd, &at, len);
    *file_ended = sent == 0 || (sent < 0 && !is_of_socket(errno));
    if (sent >= 0 || (errno != EINVAL && errno != ENOSYS))
        return sent;
    r->file->copies = true;
    return send_copy(s, r, len, file_ended);
}

static void send_all(loop *l, stream *s)
{
    stream_outgoing out;
    for (size_t total = 0; stream_flags(s)->writable && stream_output(s, &out);) {
        if (total >= SENT_BYTES_MAX) {
            stream_send_later(s);
            return;
        }
        bool file_ended = false;
        const ssize_t sent = out.count > 0 ? send_memory(s, &out)
                                           : send_file(s, &out.file, SENT_BYTES_MAX, &file_ended);
        if (file_ended) {
            stream_file_ended(s, sent < 0 ? errno : 0);
            return;
        }
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            stream_flags(s)->writable = false;
            if (errno != EAGAIN)
                send_failed(l, s, errno);
            return;
        }
        total += (size_t)sent;
        stream_sent(s, (size_t)sent);
    }
}

static void epoll_send(loop *l, stream *s)
{
    send_all(l, s);
    if (stream_fd(s) >= 0)
        await_writable(l, s, !stream_flags(s)->writable);
}

static void epoll_receive(loop *l, stream *s)
{
    for (int reads = 0; stream_flags(s)->readable && stream_wants_input(s); reads++) {
        if (reads == READS_MAX) {
            stream_read_later(l, s);
            return;
        }
        size_t space;
        char *into = stream_input_space(s, &space);
        if (!into)
            return;
        const ssize_t got = recv(stream_fd(s), into, space, 0);
        if (got < 0) {
            if (errno == EINTR)
                continue;
            stream_flags(s)->readable = false;
            stream_input_unused(s);
            if (errno != EAGAIN)
                stream_failed(s, errno);
            return;
        }
        /* Less than asked for: drained, unless the peer's end is also there to be read. */
        if ((size_t)got < space && !stream_flags(s)->peer_ended)
            stream_flags(s)->readable = false;
        stream_received(s, (size_t)got);
    }
}

/* Nobody reads who would find it out. But a paused stream whose peer has left in good order still
 * has its bytes to read. */
static void hung_up(stream *s)
{
    const int pending = stream_socket_error(s);
    if (pending || stream_at_end(s))
        stream_failed(s, pending);
}

static void deliver(loop *l, stream *s, uint32_t events)
{
    stream_io_flags *flags = stream_flags(s);
    const bool had_ended = flags->peer_ended;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        flags->peer_ended = true;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        flags->readable = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        const bool was_blocked = !flags->writable;
        flags->writable = true;
        if (stream_is_connecting(s)) {
            await_writable(l, s, false);
            stream_connected(s);
        } else if (was_blocked)
            epoll_send(l, s);
    }
    if ((events & (EPOLLHUP | EPOLLERR)) && !stream_is_connecting(s) && !stream_wants_input(s))
        hung_up(s);
    else
        epoll_receive(l, s);
    if (flags->peer_ended && !had_ended)
        stream_peer_ended(s);
}

static bool epoll_wait_and_deliver(loop *l, int timeout_ms)
{
    epoll_state *e = l->backend_state;
    const int count = epoll_wait(e->fd, e->events, EVENTS_MAX, timeout_ms);
    e->count = count < 0 ? 0 : count;
    loop_woke(l);
    for (int i = 0; i < e->count; i++) {
        const uintptr_t pointer = (uintptr_t)e->events[i].data.u64;
        if (pointer & IS_WATCH) {
            watch *w = (watch *)(pointer & ~IS_WATCH);
            w->readable(w);
        } else if (pointer) {
            deliver(l, (stream *)pointer, e->events[i].events);
        }
    }
    e->count = 0;
    return count > 0;
}

const backend_ops backend_epoll = {
    .name = "epoll",
    .open = epoll_open,
    .close = epoll_close,
    .wait = epoll_wait_and_deliver,
    .watch = epoll_watch,
    .unwatch = epoll_unwatch,
    .sockets = {
        .start = epoll_start,
        .stop = epoll_stop,
        .send = epoll_send,
        .receive = epoll_receive,
        .end = stream_socket_end,
        .peer = stream_socket_peer,
        .kept = stream_socket_kept,
    },
};
