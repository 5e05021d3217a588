/* The least an HTTP server can do, for ./dev bench to measure Brio against: it finds the empty line
 * that ends a request and writes a constant answer. It reads no header, routes nothing, makes no
 * JSON and has no timeouts. One thread, keep-alive, and what was pipelined is answered in one
 * write.
 *
 *   bare_epoll RESPONSE-FILE     serves the bytes of the file on a free port of 127.0.0.1, which it
 *                                prints, until SIGTERM
 *
 * Invariant: a connection has no answer queued while it waits for input: one the socket does not
 * take at once is closed (the load generators read every answer). */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX     256
#define REQUESTS_MAX   16 /* answered in one write */
#define REQUEST_BYTES  16384
#define RESPONSE_BYTES 1024

/* A request whose end has not come yet; the array is indexed by descriptor. */
typedef struct conn {
    size_t len;
    char *bytes; /* NULL: nothing is waiting */
} conn;

#define CONNS_MAX 20000

static conn conns[CONNS_MAX];
static char answers[REQUESTS_MAX][RESPONSE_BYTES];
static size_t answer_len;

static void drop(int fd)
{
    free(conns[fd].bytes);
    conns[fd] = (conn){ 0 };
    close(fd);
}

static bool answer(int fd, size_t count)
{
    return write(fd, answers, count * answer_len) == (ssize_t)(count * answer_len);
}

/* Keeps the half request at the end of what was read. */
static bool keep(int fd, const char *from, size_t len)
{
    conn *c = &conns[fd];
    if (len == 0) {
        free(c->bytes);
        *c = (conn){ 0 };
        return true;
    }
    if (!c->bytes)
        c->bytes = malloc(REQUEST_BYTES);
    if (!c->bytes)
        return false;
    memmove(c->bytes, from, len);
    c->len = len;
    return true;
}

static void serve(int fd)
{
    static char fresh[REQUEST_BYTES];
    conn *c = &conns[fd];
    char *bytes = c->bytes ? c->bytes : fresh;
    const ssize_t got = recv(fd, bytes + c->len, REQUEST_BYTES - c->len, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            drop(fd);
        return;
    }
    const char *at = bytes;
    const char *end = bytes + c->len + (size_t)got;
    size_t count = 0;
    for (const char *line; (line = memmem(at, (size_t)(end - at), "\r\n\r\n", 4));) {
        at = line + 4;
        if (++count < REQUESTS_MAX)
            continue;
        if (!answer(fd, count)) {
            drop(fd);
            return;
        }
        count = 0;
    }
    const size_t rest = (size_t)(end - at);
    const bool answered = count == 0 || answer(fd, count);
    if (!answered || rest == REQUEST_BYTES || !keep(fd, at, rest))
        drop(fd);
}

static void accept_all(int epoll_fd, int listen_fd)
{
    for (;;) {
        const int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        const int on = 1;
        struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.fd = fd };
        if (fd >= CONNS_MAX || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            close(fd);
    }
}

/* Listens on a free port and prints it. */
static int listen_anywhere(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr *const address = (struct sockaddr *)(void *)&at;
    socklen_t len = sizeof at;
    if (fd < 0 || bind(fd, address, len) < 0 || listen(fd, 1024) < 0 ||
        getsockname(fd, address, &len) < 0)
        return -1;
    printf("%d\n", ntohs(at.sin_port));
    return fflush(stdout) == 0 ? fd : -1;
}

static bool load_answer(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    char *flat = answers[0];
    answer_len = fread(flat, 1, RESPONSE_BYTES, f);
    (void)fclose(f);
    for (size_t i = 1; i < REQUESTS_MAX; i++)
        memcpy(flat + i * answer_len, flat, answer_len);
    return answer_len > 0 && answer_len < RESPONSE_BYTES;
}

int main(int argc, char **argv)
{
    if (argc != 2 || !load_answer(argv[1])) {
        (void)fprintf(stderr, "usage: bare_epoll RESPONSE-FILE, of less than %d bytes\n",
                      RESPONSE_BYTES);
        return 2;
    }
    const int listen_fd = listen_anywhere();
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = listen_fd };
    if (listen_fd < 0 || epoll_fd < 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) < 0) {
        (void)fprintf(stderr, "bare_epoll: %s\n", strerror(errno));
        return 1;
    }
    for (;;) {
        static struct epoll_event events[EVENTS_MAX];
        const int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listen_fd)
                accept_all(epoll_fd, listen_fd);
            else
                serve(events[i].data.fd);
        }
    }
}
