/* A stream's socket: how it is opened, what can be asked of it, and how it is let go. */
#include "stream_private.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- asked of it ------------------------------------------------------------------------------ */

/* As recv of one byte, which stays. */
static ssize_t peek(const stream *s)
{
    char first;
    return recv(s->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
}

bool stream_has_arrived(const stream *s)
{
    return s->fd >= 0 && peek(s) == 1;
}

bool stream_is_silent(const stream *s)
{
    return s->fd < 0 || (peek(s) < 0 && (errno == EAGAIN || errno == EINTR));
}

bool stream_peer_uid(const stream *s, uint32_t *uid)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    int family = AF_UNSPEC;
    socklen_t family_len = sizeof family;
    if (s->fd < 0 || getsockopt(s->fd, SOL_SOCKET, SO_DOMAIN, &family, &family_len) != 0 ||
        family != AF_UNIX || getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    *uid = peer.uid;
    return true;
}

int stream_socket_error(const stream *s)
{
    int pending = 0;
    socklen_t len = sizeof pending;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &pending, &len) < 0)
        return errno;
    return pending;
}

int64_t stream_socket_kept(const stream *s)
{
    int kept = 0;
    return ioctl(s->fd, SIOCOUTQ, &kept) < 0 ? 0 : kept;
}

void stream_socket_close(stream *s)
{
    const struct linger at_once = { .l_onoff = 1 };
    if (s->resets)
        (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(s->fd);
    s->fd = -1;
}

void stream_socket_end(stream *s)
{
    shutdown(s->fd, SHUT_WR);
}

address stream_socket_peer(const stream *s)
{
    address a = { 0 };
    socklen_t len = sizeof a.sockaddr;
    if (getpeername(s->fd, (struct sockaddr *)(void *)a.sockaddr, &len) == 0)
        a.len = len;
    return a;
}

/* --- opened ----------------------------------------------------------------------------------- */

static error stream_new(loop *l, int fd, stream_state state, const stream_handler *handler,
                        const stream_options *options, void *owner, stream **out)
{
    stream *s = stream_make(l, &l->backend->sockets, NULL, handler, options, owner);
    if (!s) {
        close(fd);
        return error_set(&OUT_OF_MEMORY, "no memory for a stream");
    }
    s->fd = fd;
    s->state = state;
    s->io.writable = state == STREAM_OPEN;
    const error e = stream_begin(s);
    if (e.kind) {
        close(fd);
        free(s);
        return e;
    }
    *out = s;
    return OK;
}

error stream_from_fd(loop *l, int fd, const stream_handler *handler, const stream_options *options,
                     void *owner, stream **out)
{
    return stream_new(l, fd, STREAM_OPEN, handler, options, owner, out);
}

/* Best effort: what the system refuses leaves it as it was. */
static void set_tcp_option(int fd, int which, uint32_t value)
{
    const int number = value > INT_MAX ? INT_MAX : (int)value;
    if (number > 0)
        (void)setsockopt(fd, IPPROTO_TCP, which, &number, sizeof number);
}

static void set_tcp_options(int fd, const stream_options *o)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!o)
        return;
    const uint32_t ms = o->peer_timeout_ms;
    const uint32_t probe_s = ms == 0 ? 0 : ms / 3000 > 0 ? ms / 3000 : 1;
    const uint32_t idle_s = o->keepalive_idle_s ? o->keepalive_idle_s : probe_s;
    const uint32_t interval_s = o->keepalive_interval_s ? o->keepalive_interval_s : probe_s;
    const uint32_t probes = o->keepalive_probes ? o->keepalive_probes : ms > 0 ? 2 : 0;
    set_tcp_option(fd, TCP_USER_TIMEOUT, ms);
    const bool says_how = idle_s > 0 || interval_s > 0 || probes > 0;
    if (o->without_keepalive || !(o->keepalive || says_how))
        return;
    set_tcp_option(fd, TCP_KEEPIDLE, idle_s);
    set_tcp_option(fd, TCP_KEEPINTVL, interval_s);
    set_tcp_option(fd, TCP_KEEPCNT, probes);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

error stream_connect(loop *l, const address *to, const stream_handler *handler,
                     const stream_options *options, void *owner, stream **out)
{
    const struct sockaddr *target = (const struct sockaddr *)(const void *)to->sockaddr;
    const int fd = socket(target->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(&STREAM_CONNECT_FAILED, errno, "socket");
    if (target->sa_family != AF_UNIX)
        set_tcp_options(fd, options);
    if (connect(fd, target, to->len) < 0 && errno != EINPROGRESS) {
        const int why = errno;
        close(fd);
        return error_set_errno(&STREAM_CONNECT_FAILED, why, "connect");
    }
    return stream_new(l, fd, STREAM_CONNECTING, handler, options, owner, out);
}
