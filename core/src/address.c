/* Addresses in text and as the kernel wants them, and bound sockets. */
#include "core/arena.h"
#include "core/offload.h"
#include "core/stream.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG   4096
#define HOST_TEXT_MAX    64  /* of a numeric address, NUL included */
#define ADDRESS_TEXT_MAX 128 /* of any, NUL included */

static_assert(sizeof(struct sockaddr_un) <= sizeof(((address *)0)->sockaddr), "address holds any");

static bool parse_unix(str path, address *out)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    const bool abstract = path.ptr[0] == '@';
    if (path.len + !abstract > sizeof un.sun_path || str_index(path, '\0') < path.len)
        return false;
    memcpy(un.sun_path, path.ptr, path.len);
    if (abstract)
        un.sun_path[0] = '\0';
    *out = (address){ .len = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + path.len +
                                        !abstract) };
    memcpy(out->sockaddr, &un, sizeof un);
    return true;
}

static bool parse_host(str host, uint16_t port, address *out)
{
    char text[HOST_TEXT_MAX];
    if (host.len == 0 || host.len >= sizeof text || str_index(host, '\0') < host.len)
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        *out = (address){ .len = sizeof in };
        memcpy(out->sockaddr, &in, sizeof in);
        return true;
    }
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    if (inet_pton(AF_INET6, text, &in6.sin6_addr) != 1)
        return false;
    *out = (address){ .len = sizeof in6 };
    memcpy(out->sockaddr, &in6, sizeof in6);
    return true;
}

bool address_parse(str text, address *out)
{
    if (text.len > 0 && (text.ptr[0] == '/' || text.ptr[0] == '@'))
        return text.len > 1 && parse_unix(text, out);
    str host, port_text;
    if (text.len > 0 && text.ptr[0] == '[') {
        const size_t close = str_index(text, ']');
        if (close == text.len)
            return false;
        host = str_slice(text, 1, close - 1);
        port_text = str_slice(text, close + 1, text.len);
        if (!str_starts_with(port_text, STR(":")) || str_index(host, ':') == host.len)
            return false;
        port_text = str_slice(port_text, 1, port_text.len);
    } else {
        port_text = text;
        host = str_cut(&port_text, ':');
        if (!port_text.ptr || str_index(port_text, ':') < port_text.len)
            return false;
    }
    uint64_t port;
    return str_to_uint64(port_text, &port) && port <= UINT16_MAX &&
           parse_host(host, (uint16_t)port, out);
}

bool address_is_local(const address *at)
{
    sa_family_t family = AF_UNSPEC;
    if (at->len >= sizeof family)
        memcpy(&family, at->sockaddr, sizeof family);
    if (family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, at->sockaddr, sizeof in);
        return ntohl(in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    if (family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, at->sockaddr, sizeof in6);
        const bool mapped = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
        return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) ||
               (mapped && in6.sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
    }
    return family == AF_UNIX;
}

/* As address_parse reads it. */
static size_t print_address(const address *at, char text[ADDRESS_TEXT_MAX])
{
    char host[HOST_TEXT_MAX];
    sa_family_t family = AF_UNSPEC;
    if (at->len >= sizeof family)
        memcpy(&family, at->sockaddr, sizeof family);
    int len;
    if (family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, at->sockaddr, sizeof in);
        inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
        len = snprintf(text, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(in.sin_port));
    } else if (family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, at->sockaddr, sizeof in6);
        inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof host);
        len = snprintf(text, ADDRESS_TEXT_MAX, "[%s]:%u", host, ntohs(in6.sin6_port));
    } else if (family == AF_UNIX && at->len > offsetof(struct sockaddr_un, sun_path)) {
        const char *path = at->sockaddr + offsetof(struct sockaddr_un, sun_path);
        const int max = (int)(at->len - offsetof(struct sockaddr_un, sun_path));
        len = path[0] == '\0' ? snprintf(text, ADDRESS_TEXT_MAX, "@%.*s", max - 1, path + 1)
                              : snprintf(text, ADDRESS_TEXT_MAX, "%.*s", max, path);
    } else {
        len = snprintf(text, ADDRESS_TEXT_MAX, "unknown");
    }
    invariant(len >= 0 && len < ADDRESS_TEXT_MAX);
    return (size_t)len;
}

str address_text(arena *a, const address *at)
{
    char text[ADDRESS_TEXT_MAX];
    const size_t len = print_address(at, text);
    return str_copy(a, (str){ text, len });
}

/* --- names ----------------------------------------------------------------------------------- */

typedef struct lookup {
    char host[NI_MAXHOST];
    uint16_t port;
    address *out;
    size_t max;
    size_t count;
} lookup;

/* On an offload thread. */
static error look_up(void *arg)
{
    lookup *q = arg;
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found;
    const int failed = getaddrinfo(q->host, NULL, &hints, &found);
    if (failed)
        return error_set(&STREAM_CONNECT_FAILED, "%s: %s", q->host, gai_strerror(failed));
    for (const struct addrinfo *one = found; one && q->count < q->max; one = one->ai_next) {
        address *a = &q->out[q->count];
        if (one->ai_addrlen > sizeof a->sockaddr)
            continue;
        memcpy(a->sockaddr, one->ai_addr, one->ai_addrlen);
        a->len = one->ai_addrlen;
        const in_port_t port = htons(q->port);
        if (one->ai_family == AF_INET)
            memcpy(a->sockaddr + offsetof(struct sockaddr_in, sin_port), &port, sizeof port);
        else if (one->ai_family == AF_INET6)
            memcpy(a->sockaddr + offsetof(struct sockaddr_in6, sin6_port), &port, sizeof port);
        else
            continue;
        q->count++;
    }
    freeaddrinfo(found);
    if (q->count == 0)
        return error_set(&STREAM_CONNECT_FAILED, "%s has no usable address", q->host);
    return OK;
}

error address_resolve(str host, uint16_t port, address *out, size_t max, size_t *count)
{
    invariant(max > 0);
    *count = 1;
    if (host.len > 1 && (host.ptr[0] == '/' || host.ptr[0] == '@')) {
        if (parse_unix(host, out))
            return OK;
        return error_set(&STREAM_CONNECT_FAILED, "socket path %.*s is too long", STR_ARG(host));
    }
    if (parse_host(host, port, out))
        return OK;
    *count = 0;
    if (host.len == 0 || host.len >= NI_MAXHOST || str_index(host, '\0') < host.len)
        return error_set(&STREAM_CONNECT_FAILED, "host name of %zu bytes", host.len);
    lookup *q = ARENA_NEW(fiber_arena(), lookup);
    memcpy(q->host, host.ptr, host.len);
    q->port = port;
    q->out = out;
    q->max = max;
    TRY(offload(look_up, q));
    *count = q->count;
    return OK;
}

/* --- bound sockets --------------------------------------------------------------------------- */

static error bind_failed(int fd, const address *at, const char *what)
{
    const int why = errno;
    char text[ADDRESS_TEXT_MAX];
    print_address(at, text);
    if (fd >= 0)
        close(fd);
    return error_set_errno(&SYSTEM_FAILED, why, "%s on %s", what, text);
}

/* Whether somebody answers on the Unix socket. */
static bool unix_is_alive(const address *at)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true;
    const bool alive =
        connect(fd, (const struct sockaddr *)(const void *)at->sockaddr, at->len) == 0 ||
        errno != ECONNREFUSED;
    close(fd);
    return alive;
}

static int bind_unix(int fd, const address *at)
{
    const struct sockaddr *sa = (const struct sockaddr *)(const void *)at->sockaddr;
    if (bind(fd, sa, at->len) == 0)
        return 0;
    if (errno != EADDRINUSE)
        return -1;
    const char *path = at->sockaddr + offsetof(struct sockaddr_un, sun_path);
    struct stat st;
    if (path[0] == '\0' || lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode) || unix_is_alive(at)) {
        errno = EADDRINUSE;
        return -1;
    }
    unlink(path);
    return bind(fd, sa, at->len);
}

error listener_bind(const address *at, bool reuse_port, int *fd_out)
{
    const struct sockaddr *sa = (const struct sockaddr *)(const void *)at->sockaddr;
    const int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return bind_failed(fd, at, "socket");
    int bound;
    if (sa->sa_family == AF_UNIX) {
        bound = bind_unix(fd, at);
    } else {
        const int on = 1;
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
            (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0) ||
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
            return bind_failed(fd, at, "setsockopt");
        bound = bind(fd, sa, at->len);
    }
    if (bound < 0)
        return bind_failed(fd, at, "bind");
    if (listen(fd, LISTEN_BACKLOG) < 0)
        return bind_failed(fd, at, "listen");
    *fd_out = fd;
    return OK;
}

address listener_address(int fd)
{
    address a = { 0 };
    socklen_t len = sizeof a.sockaddr;
    if (getsockname(fd, (struct sockaddr *)(void *)a.sockaddr, &len) == 0)
        a.len = len;
    return a;
}
