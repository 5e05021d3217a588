/* Load on a server under test, by processes of its own: each keeps a connection, sends one request
 * after another, counts those that were not answered as they must be, notes in whose hands they
 * were, and how long the others took. The server has a route /worker that tells its process. */
#ifndef TESTS_SUPPORT_HTTP_LOAD_H
#define TESTS_SUPPORT_HTTP_LOAD_H

#include "tests/support/http_client.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOAD_CLIENTS_MAX  16
#define LOAD_PER_CONN_MAX 50 /* requests, then a new connection */
#define LOAD_LOST_MAX     1024
#define LOAD_TIMED_MAX    (1 << 20)

typedef struct http_load {
    _Atomic bool ends;
    _Atomic uint64_t answered;
    _Atomic uint64_t failed;
    _Atomic uint64_t refused; /* connections; they count as failed too */
    _Atomic uint32_t lost;
    _Atomic pid_t lost_by[LOAD_LOST_MAX]; /* the worker of each request that failed; 0: not known */
    _Atomic uint32_t timed;               /* requests that were answered, as far as there is room */
    _Atomic uint32_t took_us[LOAD_TIMED_MAX]; /* and 1, so that 0 is one that is being written */
    uint16_t port;
    bool (*connect)(peer *p, uint16_t port);
    int per_conn;
    int clients;
    pid_t pids[LOAD_CLIENTS_MAX];
} http_load;

static void load_failed(http_load *load, pid_t worker)
{
    const uint32_t i = atomic_fetch_add(&load->lost, 1);
    if (i < LOAD_LOST_MAX)
        atomic_store(&load->lost_by[i], worker);
    atomic_fetch_add(&load->failed, 1);
}

static uint64_t load_clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void load_answered(http_load *load, uint64_t took_us)
{
    atomic_fetch_add(&load->answered, 1);
    if (atomic_load(&load->timed) < LOAD_TIMED_MAX - LOAD_CLIENTS_MAX)
        atomic_store(&load->took_us[atomic_fetch_add(&load->timed, 1)], (uint32_t)took_us + 1);
}

static int load_compare(const void *a, const void *b)
{
    const uint32_t *one = a, *other = b;
    return (*one > *other) - (*one < *other);
}

/* What half of the answered requests number `from` up to `to` took at most, in microseconds; 0:
 * there are none. */
UNUSED static uint32_t load_median_us(http_load *load, uint32_t from, uint32_t to)
{
    uint32_t *sorted = calloc(to - from + 1, sizeof *sorted);
    if (!sorted || to <= from) {
        free(sorted);
        return 0;
    }
    for (uint32_t i = from; i < to; i++)
        sorted[i - from] = atomic_load(&load->took_us[i]);
    qsort(sorted, to - from, sizeof *sorted, load_compare);
    const uint32_t median = sorted[(to - from) / 2];
    free(sorted);
    return median;
}

/* One request; false when the connection is not to be used again. `*worker` is set by "/worker". */
static bool load_ask(http_load *load, peer *p, const char *path, pid_t *worker)
{
    answer a;
    const uint64_t from_us = load_clock_us();
    peer_sendf(p, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    peer_read(p, false, &a);
    const bool good = a.status == 200;
    const bool goes_on = good && !a.closes;
    if (!good)
        load_failed(load, *worker);
    else
        load_answered(load, load_clock_us() - from_us);
    if (good && strcmp(path, "/worker") == 0)
        *worker = (pid_t)strtol(a.body.ptr + strcspn(a.body.ptr, ":") + 1, NULL, 10);
    answer_free(&a);
    return goes_on;
}

static void load_client(http_load *load)
{
    static const char *const paths[] = { "/fast", "/slow/3", "/big/20000", "/fast" };
    for (unsigned turn = (unsigned)getpid(); !atomic_load(&load->ends);) {
        peer p;
        pid_t worker = 0;
        if (!load->connect(&p, load->port)) {
            atomic_fetch_add(&load->refused, 1);
            load_failed(load, 0);
            continue;
        }
        bool goes_on = load_ask(load, &p, "/worker", &worker);
        for (int i = 1; goes_on && i < load->per_conn && !atomic_load(&load->ends); i++)
            goes_on = load_ask(load, &p, paths[turn++ % 4], &worker);
        peer_close(&p);
    }
}

/* Starts `clients` of them, which `connect`, send `per_conn` requests and make a new connection. */
UNUSED static http_load *load_start_by(bool (*connect)(peer *, uint16_t), uint16_t port,
                                       int clients, int per_conn)
{
    http_load *load =
        mmap(NULL, sizeof *load, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (load == MAP_FAILED || clients > LOAD_CLIENTS_MAX)
        _exit(1);
    load->port = port;
    load->connect = connect;
    load->clients = clients;
    load->per_conn = per_conn;
    for (int i = 0; i < clients; i++) {
        const pid_t pid = fork();
        if (pid != 0) {
            load->pids[i] = pid;
            continue;
        }
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        load_client(load);
        _exit(0);
    }
    return load;
}

UNUSED static http_load *load_start_with(uint16_t port, int clients, int per_conn)
{
    return load_start_by(peer_try_connect, port, clients, per_conn);
}

UNUSED static http_load *load_start(uint16_t port, int clients)
{
    return load_start_with(port, clients, LOAD_PER_CONN_MAX);
}

/* Ends it; returns whether every client ended well. */
UNUSED static bool load_end(http_load *load)
{
    bool good = true;
    atomic_store(&load->ends, true);
    for (int i = 0; i < load->clients; i++) {
        int status;
        good &= waitpid(load->pids[i], &status, 0) == load->pids[i] && status == 0;
    }
    return good;
}

UNUSED static void load_free(http_load *load)
{
    munmap(load, sizeof *load);
}

#endif
