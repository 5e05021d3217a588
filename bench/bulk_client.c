/* Takes and gives bytes as fast as a server will: what it reads it never copies (MSG_TRUNC), so
 * that the server is the one that is measured.
 *
 *   bulk_client get PORT PATH COUNT     COUNT requests, each on a connection of its own, to its end
 *   bulk_client put PORT PATH BYTES     one POST of BYTES
 *
 * of 127.0.0.1; prints gigabytes a second. */
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

static char piece[PIECE_BYTES];

static void fail(const char *what)
{
    (void)fprintf(stderr, "bulk_client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_connection(const char *port)
{
    const struct sockaddr_in at = { .sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct timeval patience = { .tv_sec = 10 };
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
        if (sent < 0)
            fail("send");
        bytes += sent;
        len -= (size_t)sent;
    }
}

/* The answer's status is 200, and the first read of it is kept in `piece`; returns its bytes. */
static uint64_t receive_all(int fd)
{
    ssize_t got = recv(fd, piece, sizeof piece - 1, 0);
    if (got < 12 || memcmp(piece + 9, "200", 3) != 0) {
        errno = got < 0 ? errno : EPROTO;
        fail("answer");
    }
    uint64_t bytes = 0;
    while (got > 0) {
        bytes += (uint64_t)got;
        got = recv(fd, NULL, PIECE_BYTES, MSG_TRUNC);
    }
    if (got < 0)
        fail("recv");
    return bytes;
}

static uint64_t get(const char *port, const char *path, uint64_t count)
{
    uint64_t bytes = 0;
    char head[512];
    const int len = snprintf(head, sizeof head,
                             "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    for (; count > 0; count--) {
        const int fd = open_connection(port);
        send_all(fd, head, (size_t)len);
        bytes += receive_all(fd);
        close(fd);
    }
    return bytes;
}

static uint64_t put(const char *port, const char *path, uint64_t bytes)
{
    char head[512];
    const int fd = open_connection(port);
    const int len =
        snprintf(head, sizeof head,
                 "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %llu\r\nConnection: close\r\n\r\n",
                 path, (unsigned long long)bytes);
    send_all(fd, head, (size_t)len);
    for (uint64_t left = bytes; left > 0;) {
        const size_t part = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        send_all(fd, piece, part);
        left -= part;
    }
    (void)receive_all(fd);
    close(fd);
    return bytes;
}

int main(int argc, char **argv)
{
    struct timespec from, to;
    if (argc != 5)
        return 2;
    const uint64_t amount = strtoull(argv[4], NULL, 10);
    clock_gettime(CLOCK_MONOTONIC, &from);
    const uint64_t bytes =
        strcmp(argv[1], "get") == 0 ? get(argv[2], argv[3], amount) : put(argv[2], argv[3], amount);
    clock_gettime(CLOCK_MONOTONIC, &to);
    const double ns =
        (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)to.tv_nsec - (double)from.tv_nsec;
    printf("%.3f\n", (double)bytes / ns);
    return 0;
}
