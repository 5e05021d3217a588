/* Addresses and their sockets. A TCP address has a socket for each worker (SO_REUSEPORT), so that
 * the kernel deals connections out and no two workers race for one; a Unix address has a single
 * socket, which all workers accept from.
 *
 * Sockets outlive the program that bound them: a successor adopts them by the text of their address
 * and binds only what is missing. It never closes one of an address that stays, not even when there
 * are fewer workers than before: connections may wait in its queue. Workers then have several.
 *
 * Invariant: the sockets of one address are numbered by `turn` without a gap. */
#include "listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* --- configuration --------------------------------------------------------------------------- */

/* "660": the permissions of a socket's file. */
static bool parse_mode(str text, int *mode)
{
    *mode = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7')
            return false;
        *mode = *mode * 8 + (text.ptr[i] - '0');
    }
    return text.len == 3 || (text.len == 4 && text.ptr[0] == '0');
}

/* "/run/app.sock?mode=660", "@abstract" */
static bool parse_unix(str text, http_address *out)
{
    str mode = text;
    const str path = str_cut(&mode, '?');
    out->is_unix = true;
    if (mode.ptr && (!str_starts_with(mode, STR("mode=")) || path.len == 0 || path.ptr[0] != '/' ||
                     !parse_mode(str_slice(mode, 5, mode.len), &out->mode)))
        return false;
    return path.len > 0 && (path.ptr[0] == '/' || path.ptr[0] == '@') &&
           address_parse(path, &out->at);
}

/* "tls:127.0.0.1:443", "proxy+tls:unix:/run/app.sock": what stands before the address. */
static str parse_scheme(str text, http_address *out)
{
    static const struct {
        str name;
        bool proxy, tls, probe;
    } schemes[] = {
        { { "tls:", 4 }, false, true, false },
        { { "proxy:", 6 }, true, false, false },
        { { "proxy+tls:", 10 }, true, true, false },
        { { "probe:", 6 }, false, false, true },
    };
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (!str_starts_with(text, schemes[i].name))
            continue;
        out->proxy = schemes[i].proxy;
        out->tls = schemes[i].tls;
        out->probe = schemes[i].probe;
        return str_slice(text, schemes[i].name.len, text.len);
    }
    return text;
}

static bool parse_one(str text, http_address *out)
{
    *out = (http_address){ .text = text, .mode = -1 };
    text = parse_scheme(text, out);
    if (str_starts_with(text, STR("unix:")))
        return parse_unix(str_slice(text, 5, text.len), out);
    return text.len > 0 && text.ptr[0] != '/' && text.ptr[0] != '@' &&
           address_parse(text, &out->at);
}

static bool has_port(const address *at)
{
    struct sockaddr_in in; /* the port of IPv6 stands at the same place */
    memcpy(&in, at->sockaddr, sizeof in);
    return in.sin_port != 0;
}

/* Whether a socket of the one can be of the other. Port 0 is another port each time; who has
 * several such addresses finds them again by their texts. */
static bool is_same_address(const http_address *a, const http_address *b)
{
    if (str_eq(a->text, b->text))
        return true;
    return a->at.len == b->at.len && memcmp(a->at.sockaddr, b->at.sockaddr, a->at.len) == 0 &&
           (a->is_unix || has_port(&a->at));
}

static error add(http_listening *l, str text)
{
    if (l->address_count == HTTP_ADDRESSES_MAX)
        return error_set(&CONFIG_INVALID, "LISTEN has more than %d addresses", HTTP_ADDRESSES_MAX);
    http_address *new = &l->addresses[l->address_count];
    if (!parse_one(text, new))
        return error_set(&CONFIG_INVALID,
                         "LISTEN: \"%.*s\" must be an IP address with a port, or unix:/path; "
                         "before it may stand tls:, proxy:, proxy+tls: or probe:",
                         STR_ARG(text));
    for (uint32_t i = 0; i < l->address_count; i++) {
        if (is_same_address(&l->addresses[i], new))
            return error_set(&CONFIG_INVALID, "LISTEN names %.*s twice", STR_ARG(text));
    }
    l->address_count++;
    return OK;
}

error http_listening_parse(arena *a, const http_settings *settings, http_listening *out)
{
    str rest = settings->listen;
    if (rest.len == 0) {
        const bool is_ipv6 = str_index(settings->host, ':') < settings->host.len;
        const str text = str_format(a, is_ipv6 ? "[%.*s]:%ld" : "%.*s:%ld", STR_ARG(settings->host),
                                    (long)settings->port);
        http_address *only = &out->addresses[0];
        *only = (http_address){ .text = text, .mode = -1 };
        out->address_count = 1;
        const bool is_path = settings->host.ptr[0] == '/' || settings->host.ptr[0] == '@';
        return !is_path && address_parse(text, &only->at)
                   ? OK
                   : error_set(&CONFIG_INVALID, "HOST must be an IP address");
    }
    while (rest.ptr) {
        const str one = str_cut(&rest, ' ');
        if (one.len > 0)
            TRY(add(out, one));
    }
    return out->address_count > 0 ? OK : error_set(&CONFIG_INVALID, "LISTEN names no address");
}

/* --- sockets --------------------------------------------------------------------------------- */

str http_socket_text(arena *a, const http_listening *l, const http_socket *s)
{
    const http_address *of = &l->addresses[s->address];
    const address at = listener_address(s->fd);
    const str text = address_text(a, &at);
    return str_format(a, "%s%s%s%.*s", of->probe ? "probe:" : "",
                      of->proxy ? of->tls ? "proxy+" : "proxy:" : "", of->tls ? "tls:" : "",
                      STR_ARG(text));
}

error http_listening_open(http_listening *l, uint32_t workers, uint32_t inherited)
{
    l->socket_max = l->address_count * workers + inherited;
    l->sockets = MEMORY_NEW_ARRAY(http_socket, l->socket_max);
    return l->sockets ? OK : error_set(&OUT_OF_MEMORY, "no memory for sockets");
}

static uint32_t sockets_of(const http_listening *l, uint32_t address_index, int *first_fd)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < l->socket_count; i++) {
        if (l->sockets[i].address != address_index)
            continue;
        if (count++ == 0)
            *first_fd = l->sockets[i].fd;
    }
    return count;
}

static void append(http_listening *l, uint32_t address_index, int fd)
{
    int first;
    invariant(l->socket_count < l->socket_max);
    const uint32_t turn = sockets_of(l, address_index, &first);
    l->sockets[l->socket_count++] =
        (http_socket){ .fd = fd, .address = address_index, .turn = turn };
}

static const char *path_of(const http_address *a)
{
    const char *path = a->at.sockaddr + offsetof(struct sockaddr_un, sun_path);
    return a->is_unix && path[0] != '\0' ? path : NULL;
}

bool http_listening_adopt(http_listening *l, int fd, str text)
{
    http_address was;
    const bool known = text.len > 0 && parse_one(text, &was);
    for (uint32_t i = 0; i < l->address_count && known; i++) {
        if (!is_same_address(&l->addresses[i], &was))
            continue;
        append(l, i, fd);
        return true;
    }
    close(fd);
    return false;
}

void http_listening_forget(str text)
{
    http_address was;
    if (text.len > 0 && parse_one(text, &was) && path_of(&was))
        unlink(path_of(&was));
}

/* A file gets its permissions when it is made, not a moment later. */
static error bind_unix(const http_address *a, int *fd)
{
    const mode_t before = a->mode >= 0 ? umask(0777 & ~(mode_t)a->mode) : 0;
    const error e = listener_bind(&a->at, false, fd);
    if (a->mode >= 0)
        umask(before);
    return e;
}

/* Without SO_REUSEPORT: what another server has bound would be shared with it, unnoticed. */
static error probe(const address *at)
{
    int fd;
    if (!has_port(at))
        return OK;
    TRY(listener_bind(at, false, &fd));
    close(fd);
    return OK;
}

static error tune(const http_listening *l, const http_socket *s, const http_settings *settings)
{
    const http_address *a = &l->addresses[s->address];
    if (a->mode >= 0 && chmod(path_of(a), (mode_t)a->mode) < 0) /* one that was adopted */
        return error_set_errno(&SYSTEM_FAILED, errno, "permissions of %.*s", STR_ARG(a->text));
    const int wait_s = (int)((settings->defer_accept_ms + 999) / 1000);
    if (!a->is_unix && setsockopt(s->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &wait_s, sizeof wait_s) < 0)
        return error_set_errno(&SYSTEM_FAILED, errno, "TCP_DEFER_ACCEPT on %.*s", STR_ARG(a->text));
    if (listen(s->fd, (int)settings->backlog) < 0)
        return error_set_errno(&SYSTEM_FAILED, errno, "listen on %.*s", STR_ARG(a->text));
    return OK;
}

static error bind_address(http_listening *l, uint32_t index, uint32_t workers)
{
    int fd;
    const http_address *a = &l->addresses[index];
    uint32_t have = sockets_of(l, index, &fd);
    if (a->is_unix) {
        if (have > 0)
            return OK;
        TRY(bind_unix(a, &fd));
        append(l, index, fd);
        return OK;
    }
    if (have == 0)
        TRY(probe(&a->at));
    /* port 0: all share the one that was chosen */
    address at = have > 0 ? listener_address(fd) : a->at;
    for (; have < workers; have++) {
        TRY(listener_bind(&at, true, &fd));
        append(l, index, fd);
        at = listener_address(fd);
    }
    return OK;
}

error http_listening_bind(http_listening *l, const http_settings *settings, uint32_t workers)
{
    for (uint32_t i = 0; i < l->address_count; i++) {
        const error e = bind_address(l, i, workers);
        if (e.kind)
            return error_wrap(e, &SYSTEM_FAILED, "listening on %.*s",
                              STR_ARG(l->addresses[i].text));
    }
    for (uint32_t i = 0; i < l->socket_count; i++)
        TRY(tune(l, &l->sockets[i], settings));
    return OK;
}

/* One more socket on an address that is served already would be given connections by the kernel,
 * and take them along when it is closed: of those there is nothing to try. */
error http_listening_rehearse(const http_listening *l)
{
    int fd;
    for (uint32_t i = 0; i < l->address_count; i++) {
        const http_address *a = &l->addresses[i];
        if (sockets_of(l, i, &fd) > 0)
            continue;
        if (!a->is_unix) {
            TRY(probe(&a->at));
            continue;
        }
        TRY(bind_unix(a, &fd));
        close(fd);
    }
    http_listening_unlink(l);
    return OK;
}

bool http_socket_is_of(const http_listening *l, const http_socket *s, uint32_t place,
                       uint32_t workers)
{
    return l->addresses[s->address].is_unix || s->turn % workers == place;
}

void http_listening_close(http_listening *l)
{
    for (uint32_t i = 0; i < l->socket_count; i++)
        close(l->sockets[i].fd);
    l->socket_count = 0;
}

/* Whether the file is a socket that refuses: its server has gone, and no other took its place. */
static bool is_abandoned(const struct sockaddr *sa, socklen_t len, const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    const bool refused = connect(fd, sa, len) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

void http_listening_unlink(const http_listening *l)
{
    for (uint32_t i = 0; i < l->address_count; i++) {
        const address *at = &l->addresses[i].at;
        const char *path = path_of(&l->addresses[i]);
        if (path &&
            is_abandoned((const struct sockaddr *)(const void *)at->sockaddr, at->len, path))
            unlink(path);
    }
}
