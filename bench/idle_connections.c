/* What an idle keep-alive connection costs a server in memory: opens many, sends a request on each
 * and reads its answer, and compares the resident memory of the server's process before and after.
 *
 *   idle_connections PORT PID COUNT     of 127.0.0.1; prints lines "name bytes"
 *
 * The first WARM connections are open before the first look, so that what a server allocates once
 * (its pools, its timers) is not counted as a connection's. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define WARM      64
#define COUNT_MAX 15000

static int fds[COUNT_MAX];

static void fail(const char *what)
{
    (void)fprintf(stderr, "idle_connections: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The sum of all mappings; the counters in /proc/PID/status may lag behind. */
static uint64_t resident_bytes(const char *pid)
{
    char path[64];
    char line[256];
    uint64_t kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%s/smaps_rollup", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        fail(path);
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "Rss:", 4) == 0)
            kib = strtoull(line + 4, NULL, 10);
    }
    (void)fclose(f);
    return kib * 1024;
}

static int open_connection(uint16_t port)
{
    const struct sockaddr_in at = { .sin_family = AF_INET,
                                    .sin_port = htons(port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct timeval patience = { .tv_sec = 5 };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
        connect(fd, (const struct sockaddr *)(const void *)&at, sizeof at) < 0)
        fail("connect");
    return fd;
}

/* One request; its answer is small enough to come in one piece. */
static void request(int fd)
{
    static const char text[] = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    char answer[1024];
    if (write(fd, text, sizeof text - 1) != (ssize_t)sizeof text - 1 ||
        recv(fd, answer, sizeof answer, 0) < 12 || memcmp(answer, "HTTP/1.1 200", 12) != 0)
        fail("request");
}

static void open_some(uint16_t port, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        fds[i] = open_connection(port);
        request(fds[i]);
    }
}

int main(int argc, char **argv)
{
    const unsigned long port = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
    const unsigned long count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    if (port == 0 || port > UINT16_MAX || count <= WARM || count > COUNT_MAX) {
        (void)fprintf(stderr, "usage: idle_connections PORT PID COUNT, of %d to %d\n", WARM + 1,
                      COUNT_MAX);
        return 2;
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    open_some((uint16_t)port, 0, WARM);
    const uint64_t before = resident_bytes(argv[2]);
    open_some((uint16_t)port, WARM, count);
    const uint64_t after = resident_bytes(argv[2]);
    printf("resident_before %llu\nresident_after %llu\nidle_connection %.0f\n",
           (unsigned long long)before, (unsigned long long)after,
           ((double)after - (double)before) / (double)(count - WARM));
    return 0;
}
