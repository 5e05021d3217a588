/* Load on a server under test, by processes of its own: each keeps a connection and sends one
 * request after another, and counts those that were not answered as they must be. */
#ifndef TESTS_SUPPORT_HTTP_LOAD_H
#define TESTS_SUPPORT_HTTP_LOAD_H

#include "tests/support/http_client.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOAD_CLIENTS_MAX  16
#define LOAD_PER_CONN_MAX 50 /* requests, then a new connection */

typedef struct http_load {
    _Atomic bool ends;
    _Atomic uint64_t answered;
    _Atomic uint64_t failed;
    uint16_t port;
    int per_conn;
    int clients;
    pid_t pids[LOAD_CLIENTS_MAX];
} http_load;

/* One request; false when the connection is not to be used again. */
static bool load_ask(http_load *load, peer *p, const char *path)
{
    answer a;
    peer_sendf(p, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    peer_read(p, false, &a);
    atomic_fetch_add(a.status == 200 ? &load->answered : &load->failed, 1);
    const bool goes_on = a.status == 200 && !a.closes;
    answer_free(&a);
    return goes_on;
}

static void load_client(http_load *load)
{
    static const char *const paths[] = { "/fast", "/slow/3", "/big/20000", "/fast" };
    for (unsigned turn = (unsigned)getpid(); !atomic_load(&load->ends);) {
        peer p;
        if (!peer_try_connect(&p, load->port)) {
            atomic_fetch_add(&load->failed, 1);
            continue;
        }
        for (int i = 0; i < load->per_conn && !atomic_load(&load->ends); i++) {
            if (!load_ask(load, &p, paths[turn++ % 4]))
                break;
        }
        peer_close(&p);
    }
}

/* Starts `clients` of them, which send `per_conn` requests and make a new connection. */
UNUSED static http_load *load_start_with(uint16_t port, int clients, int per_conn)
{
    http_load *load =
        mmap(NULL, sizeof *load, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (load == MAP_FAILED || clients > LOAD_CLIENTS_MAX)
        _exit(1);
    load->port = port;
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
