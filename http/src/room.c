/* The cap of connections. At it the oldest idle connection gives way to the new one; while none has
 * been idle for IDLE_GIVES_WAY_MS, accepting pauses, and clients wait in the socket's queue.
 *
 * A connection that has just been made or just been answered does not give way: a request is
 * probably on its way on it, and a crowd of new clients would only displace each other. Nor does
 * one whose request has come, and only waits until the loop gets to it.
 *
 * What asks a server for its health must not wait with its clients. So probes may have an address
 * of their own, with a queue and a little room of their own: accepting from it does not pause,
 * routes of high priority are all that there is, and a connection is closed with its answer.
 *
 * Invariant: idle_conns holds, the oldest first, open connections that wait for a request, and all
 * of them but probes' and those whose request was seen to have come;
 * conn_count - probe_count - displaced <= connections_max. */
#include "room.h"

#define IDLE_GIVES_WAY_MS 100

void http_room_idle(http_conn *c)
{
    if (c->probe)
        return;
    c->idle_since_ms = loop_now_ms(c->server->loop);
    list_remove(&c->idle);
    list_append(&c->server->idle_conns, &c->idle);
}

void http_room_busy(http_conn *c)
{
    list_remove(&c->idle);
}

static bool is_full(const http_server *server)
{
    return server->conn_count - server->probe_count - server->displaced >= server->connections_max;
}

/* The one that may give way, or NULL. */
static http_conn *oldest_idle(http_server *server)
{
    LIST_EACH (http_conn, c, &server->idle_conns, idle) {
        if (loop_now_ms(server->loop) - c->idle_since_ms < IDLE_GIVES_WAY_MS)
            return NULL;
        if (!stream_has_arrived(c->stream))
            return c;
        http_room_busy(c);
    }
    return NULL;
}

bool http_room_is_there(http_server *server)
{
    return !is_full(server) || oldest_idle(server);
}

bool http_room_make(http_server *server, bool probe)
{
    if (probe)
        return server->probe_count < HTTP_PROBES_MAX;
    if (!is_full(server))
        return true;
    http_conn *c = oldest_idle(server);
    if (!c)
        return false;
    invariant(c->stream && !c->request);
    http_room_busy(c);
    c->displaced = true;
    server->displaced++;
    metrics_add(server->metrics, HTTP_METRIC_CONNECTIONS_DISPLACED, 1);
    http_conn_abort(c);
    return true;
}

void http_room_taken(http_server *server)
{
    if (!http_room_is_there(server) && server->on_full)
        server->on_full(server);
}

void http_room_left(http_conn *c)
{
    http_server *server = c->server;
    http_room_busy(c);
    server->displaced -= c->displaced;
    server->probe_count -= c->probe;
    if (!is_full(server) && server->on_room)
        server->on_room(server);
}
