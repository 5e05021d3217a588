/* Moves much over one connection, as fast as the server goes:
 *
 *   transfer get PORT PATH          the body is dropped by the kernel, unread
 *   transfer put PORT PATH BYTES    so many zero bytes; the answer's body is printed last
 *
 * of 127.0.0.1. Prints lines "bytes N" and "seconds S". The status must be 200. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PIECE_BYTES ((size_t)1 << 20)

static void fail(const char *what)
{
    (void)fprintf(stderr, "transfer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int connect_to(unsigned long port)
{
    const struct sockaddr_in at = { .sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct timeval patience = { .tv_sec = 60 };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
        connect(fd, (const struct sockaddr *)(const void *)&at, sizeof at) < 0)
        fail("connect");
    return fd;
}

static void send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        const ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            fail("send");
        bytes += sent;
        len -= (size_t)sent;
    }
}

/* Reads a head, a byte at a time so that no body comes along; `out` gets all of it. */
static void read_head(int fd, char *out, size_t bytes)
{
    size_t len = 0;
    while (len < 4 || memcmp(out + len - 4, "\r\n\r\n", 4) != 0) {
        if (len + 1 >= bytes || recv(fd, out + len, 1, 0) != 1)
            fail("head");
        out[++len] = '\0';
    }
    if (strncmp(out, "HTTP/1.1 200", 12) != 0) {
        (void)fprintf(stderr, "%s", out);
        exit(1);
    }
}

static uint64_t length_of(const char *head)
{
    const char *field = strcasestr(head, "\r\nContent-Length:");
    if (!field)
        fail("no length");
    return strtoull(field + 17, NULL, 10);
}

static void get(unsigned long port, const char *path)
{
    static char text[4096];
    const int fd = connect_to(port);
    const double from_s = now_s();
    const int len = snprintf(text, sizeof text,
                             "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    send_all(fd, text, (size_t)len);
    read_head(fd, text, sizeof text);
    const uint64_t announced = length_of(text);
    uint64_t bytes = 0;
    for (ssize_t got; bytes < announced; bytes += (uint64_t)got) {
        got = recv(fd, NULL, PIECE_BYTES, MSG_TRUNC); /* tcp(7): dropped, not copied */
        if (got <= 0)
            fail("body");
    }
    printf("bytes %llu\nseconds %.3f\n", (unsigned long long)bytes, now_s() - from_s);
}

static void put(unsigned long port, const char *path, uint64_t bytes)
{
    static char zeros[PIECE_BYTES];
    static char text[4096];
    const int fd = connect_to(port);
    const double from_s = now_s();
    const int len =
        snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %llu\r\n\r\n",
                 path, (unsigned long long)bytes);
    send_all(fd, text, (size_t)len);
    for (uint64_t left = bytes; left > 0;) {
        const size_t piece = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        send_all(fd, zeros, piece);
        left -= piece;
    }
    read_head(fd, text, sizeof text);
    const uint64_t answer = length_of(text);
    printf("bytes %llu\nseconds %.3f\n", (unsigned long long)bytes, now_s() - from_s);
    if (answer >= sizeof text || recv(fd, text, (size_t)answer, MSG_WAITALL) != (ssize_t)answer)
        fail("answer");
    printf("%.*s", (int)answer, text);
}

int main(int argc, char **argv)
{
    const unsigned long port = argc > 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (port > 0 && port <= UINT16_MAX && argc == 4 && strcmp(argv[1], "get") == 0) {
        get(port, argv[3]);
        return 0;
    }
    if (port > 0 && port <= UINT16_MAX && argc == 5 && strcmp(argv[1], "put") == 0) {
        put(port, argv[3], strtoull(argv[4], NULL, 10));
        return 0;
    }
    (void)fprintf(stderr, "usage: transfer get PORT PATH | transfer put PORT PATH BYTES\n");
    return 2;
}
