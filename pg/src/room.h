/* How much may be under way on a connection: sent, and not answered yet. Who finds no room waits,
 * in order, so that neither what is queued for a slow server nor what is to be kept of its answers
 * piles up. Nothing waits for itself: a connection on which nothing is under way takes whatever
 * comes, one group of requests of any size. While a cancel is under way nothing is sent; and a
 * transaction that has given up a statement waits until that has ended too.
 *
 * Invariant: while a fiber waits in line, something is under way, be it a cancel, or the first of
 * them was woken. */
#ifndef PG_SRC_ROOM_H
#define PG_SRC_ROOM_H

#include "core/error.h"
#include "core/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PG_UNANSWERED_MAX       128 /* requests */
#define PG_UNANSWERED_BYTES_MAX ((size_t)256 << 10)

typedef struct pg_conn pg_conn;

typedef struct pg_room {
    uint32_t requests; /* under way */
    uint32_t groups;   /* of them, each up to its Sync */
    size_t bytes;
    list line; /* of fibers that wait for room */
} pg_room;

/* Groups of requests that leave together. */
typedef struct pg_flight {
    size_t requests;
    size_t groups;
    size_t bytes;
} pg_flight;

void pg_room_init(pg_room *room);
/* Whether it may be sent now, by one that is not in line. */
bool pg_room_is_free(const pg_conn *c, const pg_flight *flight);
/* Whether what is under way is as much as may be. */
bool pg_room_is_full(const pg_room *room);
/* Waits until it may be sent, which must then be done without another wait. Who asks is alone with
 * the connection, or bears that others come in between.
 *   fails  TIMED_OUT, CANCELED */
YIELDS error pg_room_await(pg_conn *c, const pg_flight *flight);
/* It has left. */
void pg_room_take(pg_conn *c, const pg_flight *flight);
/* A request is answered, or its answer lost; `bytes` of its group, with the last of that. */
void pg_room_give(pg_conn *c, bool ends_group, size_t bytes);
/* Lets the first in line look again. */
void pg_room_serve(pg_conn *c);

#endif
