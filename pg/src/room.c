/* The line: who was woken stays at its head until it has looked, so that nobody comes before it. */
#include "room.h"

#include "pool.h"

typedef struct room_waiter {
    list_node node;
    pg_conn *conn;
    fiber *fiber; /* NULL: woken */
} room_waiter;

void pg_room_init(pg_room *room)
{
    list_init(&room->line);
}

/* A cancel must not find what is sent after it. Whoever has a connection alone may have given up a
 * statement there, for which one is to come. Who waits for a connection that was lost is to be
 * told.
 */
static bool is_held_back(const pg_conn *c)
{
    return c->lessee ? !pg_cancel_is_over(c) : c->cancel.stream && c->state == PG_CONN_READY;
}

static bool fits(const pg_conn *c, const pg_flight *flight)
{
    const pg_room *room = &c->room;
    const uint32_t groups_max = c->pool->pipeline_max;
    if (UNLIKELY(is_held_back(c)))
        return false;
    if (room->requests == 0)
        return true;
    return room->requests + flight->requests <= PG_UNANSWERED_MAX &&
           room->bytes + flight->bytes <= PG_UNANSWERED_BYTES_MAX &&
           (groups_max == 0 || room->groups + flight->groups <= groups_max);
}

bool pg_room_is_free(const pg_conn *c, const pg_flight *flight)
{
    return list_is_empty(&c->room.line) && fits(c, flight);
}

bool pg_room_is_full(const pg_room *room)
{
    return room->requests >= PG_UNANSWERED_MAX || room->bytes >= PG_UNANSWERED_BYTES_MAX;
}

void pg_room_serve(pg_conn *c)
{
    if (list_is_empty(&c->room.line))
        return;
    room_waiter *w = CONTAINER_OF(c->room.line.head.next, room_waiter, node);
    fiber *waiting = w->fiber;
    w->fiber = NULL;
    if (waiting)
        fiber_wake(waiting, OK);
}

/* The next one may have room too, when this one has sent what it has; or goes without sending. */
static void leave(room_waiter *w)
{
    pg_conn *c = w->conn;
    list_remove(&w->node);
    if (!list_is_empty(&c->room.line) || !list_is_empty(&c->held))
        loop_post(c->pool->loop, &c->dispatch);
}

static void forgotten(void *arg)
{
    leave(arg);
}

error pg_room_await(pg_conn *c, const pg_flight *flight)
{
    if (LIKELY(pg_room_is_free(c, flight)))
        return OK;
    room_waiter w = { .conn = c };
    list_append(&c->room.line, &w.node);
    do {
        w.fiber = fiber_self();
        TRY(fiber_park("pg pipeline", forgotten, &w));
    } while (!fits(c, flight));
    leave(&w);
    return scope_status();
}

void pg_room_take(pg_conn *c, const pg_flight *flight)
{
    c->room.requests += (uint32_t)flight->requests;
    c->room.groups += (uint32_t)flight->groups;
    c->room.bytes += flight->bytes;
    metrics_record(c->pool->metrics, PG_METRIC_PIPELINE_DEPTH, c->room.requests);
}

void pg_room_give(pg_conn *c, bool ends_group, size_t bytes)
{
    invariant(c->room.requests > 0 && c->room.groups >= ends_group && c->room.bytes >= bytes);
    c->room.requests--;
    c->room.groups -= ends_group;
    c->room.bytes -= bytes;
    if (!ends_group)
        return;
    if (!list_is_empty(&c->room.line))
        pg_room_serve(c);
    else if (!list_is_empty(&c->held))
        loop_post(c->pool->loop, &c->dispatch);
}
