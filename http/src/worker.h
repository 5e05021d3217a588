/* Workers and their supervisor: who serves, and what they share. */
#ifndef HTTP_SRC_WORKER_H
#define HTTP_SRC_WORKER_H

#include "reload.h"

#include <stdatomic.h>
#include <sys/types.h>

/* Exit statuses of a worker. */
#define WORKER_EXIT_RETIRED                                                                    \
    3                       /* a fault was contained; a replacement is wanted or there already \
                             */
#define WORKER_EXIT_START 4 /* could not start */

typedef enum worker_state {
    WORKER_STARTING = 0,
    WORKER_SERVING,
    WORKER_RETIRING, /* accepts no more because of a fault */
} worker_state;

/* One per worker slot, in the mapping that supervisor and workers share. */
typedef struct worker_slot {
    loop_heartbeat heartbeat;
    _Atomic int state;
} worker_slot;

/* A socket to accept from, and how its connections begin. */
typedef struct worker_door {
    int fd;
    bool proxy;
    bool tls;
    bool probe;
} worker_door;

typedef struct worker_start {
    const http_app *app;
    const http_settings *settings;
    const router *router;
    worker_slot *slot;
    struct http_quarantine *quarantine;
    struct http_roster *roster; /* NULL: none */
    uint32_t place;             /* of the worker in it */
    uint32_t index;
    struct http_tickets *tickets; /* NULL: no listener has TLS */
    worker_door *doors;           /* the sockets become the worker's */
    uint32_t door_count;
    pid_t supervisor; /* 0: alone in its process */
    bool rehearsal;   /* starts, serves nobody, and stops */
    bool by_hand;     /* a test's, which turns the loop: it hears no signals */
} worker_start;

/* Serves until told to stop; returns the exit status. */
int http_worker_run(const worker_start *start);

/* The parts of that, for one who turns the loop until the slot's state is WORKER_SERVING, and, once
 * it was stopped, until it has ended. `start` must outlive it. */
typedef struct worker_process worker_process;
error http_worker_open(const worker_start *start, worker_process **out);
http_server *http_worker_server(worker_process *p);
/* As SIGTERM. */
void http_worker_stop(worker_process *p);
bool http_worker_has_ended(const worker_process *p);
/* Frees it, and the loop that has nothing left; returns the exit status. Nulls the pointer. */
int http_worker_close(worker_process **owner);

typedef struct supervisor_start {
    const http_app *app;
    const http_settings *settings;
    const router *router;
    http_program program;
} supervisor_start;

/* Binds, forks and minds the workers until SIGTERM or SIGINT; returns the exit status. */
int http_supervisor_run(const supervisor_start *start);

#endif
