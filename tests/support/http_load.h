/* Load on a server under test, by processes of its own: each keeps a connection and sends one
 * request after another, and counts those that were not answered as they must be, and notes in
 * whose hands they were. The server has a route /worker that tells its process. */
#ifndef TESTS_SUPPORT_HTTP_LOAD_H
#define TESTS_SUPPORT_HTTP_LOAD_H

#include "tests/support/http_client.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOAD_CLIENTS_MAX  16
#define LOAD_PER_CONN_MAX 50 /* requests, then a new connection */
#define LOAD_LOST_MAX     1024

typedef struct http_load {
    _Atomic bool ends;
    _Atomic uint64_t answered;
    _Atomic uint64_t failed;
    _Atomic uint64_t refused; /* connections; they count as failed too */
    _Atomic uint32_t lost;
    _Atomic pid_t lost_by[LOAD_LOST_MAX]; /* the worker of each request that failed; 0: not known */
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

/* One request; false when the connection is not to be used again. `*worker` is set by "/worker". */
static bool load_ask(http_load *load, peer *p, const char *path, pid_t *worker)
{
    answer a;
    peer_sendf(p, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    peer_read(p, false, &a);
    const bool good = a.status == 200;
    const bool goes_on = good && !a.closes;
    if (!good)
        load_failed(load, *worker);
    else
        atomic_fetch_add(&load->answered, 1);
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
