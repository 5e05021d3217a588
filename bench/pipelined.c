/* How long requests that are sent together take, for ./dev bench:
 *
 *   pipelined PORT PATH DEPTH CONNECTIONS SECONDS
 *
 * Each connection to 127.0.0.1 sends DEPTH requests in one write, and again when all their answers
 * are there. Prints "percentiles_us P50 P99 P99.9" of the time from the write to the last byte, as
 * wrk's load.lua does for single requests. wrk itself takes what it counts for single ones.
 *
 * All answers must be as long as the first: they are counted by their bytes. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024
#define DEPTH_MAX       64
#define TIMES_MAX       (1 << 22)
#define EVENTS_MAX      256

typedef struct conn {
    int fd;
    size_t left; /* bytes of answers */
    uint64_t sent_us;
} conn;

static conn conns[CONNECTIONS_MAX];
static uint32_t times_us[TIMES_MAX];
static size_t times;
static char requests[DEPTH_MAX * 512];
static size_t requests_len, answers_len;

static void fail(const char *what)
{
    (void)fprintf(stderr, "pipelined: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int connect_to(unsigned long port)
{
    const struct sockaddr_in at = { .sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)(const void *)&at, sizeof at) < 0)
        fail("connect");
    return fd;
}

/* The length of one answer: all that comes for one request, until nothing has for a while. */
static size_t learn_answer(unsigned long port, size_t request_len)
{
    static char bytes[16384];
    const struct timeval silence = { .tv_usec = 300000 };
    const int fd = connect_to(port);
    size_t len = 0;
    if (send(fd, requests, request_len, MSG_NOSIGNAL) != (ssize_t)request_len ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence) < 0)
        fail("send");
    for (ssize_t got; (got = recv(fd, bytes + len, sizeof bytes - len, 0)) > 0;)
        len += (size_t)got;
    close(fd);
    if (len < 12 || memcmp(bytes, "HTTP/1.1 200", 12) != 0)
        fail("the answer is no 200");
    return len;
}

static void ask(conn *c)
{
    c->left = answers_len;
    c->sent_us = now_us();
    if (send(c->fd, requests, requests_len, MSG_NOSIGNAL) != (ssize_t)requests_len)
        fail("send");
}

static void take(conn *c)
{
    static char bytes[65536];
    const ssize_t got = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got <= 0 || (size_t)got > c->left)
        fail("an answer of another length");
    c->left -= (size_t)got;
    if (c->left > 0)
        return;
    if (times < TIMES_MAX)
        times_us[times++] = (uint32_t)(now_us() - c->sent_us);
    ask(c);
}

static int compare(const void *a, const void *b)
{
    const uint32_t *one = a, *other = b;
    return (*one > *other) - (*one < *other);
}

static uint32_t percentile(double part)
{
    return times_us[(size_t)(part * (double)(times - 1))];
}

static void run(int epoll_fd, uint64_t until_us)
{
    static struct epoll_event events[EVENTS_MAX];
    while (now_us() < until_us) {
        const int count = epoll_wait(epoll_fd, events, EVENTS_MAX, 100);
        for (int i = 0; i < count; i++)
            take(events[i].data.ptr);
    }
}

int main(int argc, char **argv)
{
    if (argc != 6)
        fail("pipelined PORT PATH DEPTH CONNECTIONS SECONDS");
    const unsigned long port = strtoul(argv[1], NULL, 10), depth = strtoul(argv[3], NULL, 10);
    const unsigned long count = strtoul(argv[4], NULL, 10), seconds = strtoul(argv[5], NULL, 10);
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    char request[512];
    const int len = snprintf(request, sizeof request,
                             "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%lu\r\n\r\n", argv[2], port);
    if (epoll_fd < 0 || len < 0 || (size_t)len >= sizeof request || depth < 1 ||
        depth > DEPTH_MAX || count < 1 || count > CONNECTIONS_MAX)
        fail("arguments");
    for (; requests_len < depth * (size_t)len; requests_len += (size_t)len)
        memcpy(requests + requests_len, request, (size_t)len);
    answers_len = depth * learn_answer(port, (size_t)len);
    for (unsigned long i = 0; i < count; i++) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = &conns[i] };
        conns[i].fd = connect_to(port);
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, conns[i].fd, &event) < 0)
            fail("epoll_ctl");
        ask(&conns[i]);
    }
    run(epoll_fd, now_us() + seconds * 1000000);
    if (times == 0)
        fail("nothing was answered");
    qsort(times_us, times, sizeof times_us[0], compare);
    return printf("percentiles_us %u %u %u\n", percentile(0.5), percentile(0.99),
                  percentile(0.999)) < 0;
}
