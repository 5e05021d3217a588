/* From accept to the first byte of HTTP:
 *
 *   accepted --> PROXY_HEADER --whole header--> HANDSHAKE --done--> REQUESTS
 *        |             |                            ^                  ^
 *        |             +---------- no TLS ----------|------------------+
 *        +------------------------------------------+------------------+
 *
 * by what the listener asks for. Whoever is not through has no request, so it is idle: it counts as
 * a connection, gives way when there are too many, is closed by a drain, and its time is bounded.
 * One that does not get through is closed without an answer, counted, and not logged: a log line
 * each would be theirs to fill.
 *
 * Invariant: no byte is taken for a request before both are done; the header, once read, is kept as
 * long as the connection. */
#include "entrance.h"

#include "room.h"
#include "tickets.h"

#include "core/clock.h"
#include "core/tls.h"

#define PROBE_SILENCE_MS 1000 /* of the few that there may be */

/* A connection of a listener behind proxies is so much larger. */
typedef struct proxied_conn {
    http_conn conn; /* first: it is what is freed */
    http_proxy_header header;
} proxied_conn;

http_conn *http_entrance_conn(const http_entrance *entrance)
{
    if (!entrance->proxy)
        return MEMORY_NEW(http_conn);
    proxied_conn *p = MEMORY_NEW(proxied_conn);
    return p ? &p->conn : NULL;
}

static http_proxy_header *header_of(http_conn *c)
{
    return c->proxied ? &CONTAINER_OF(c, proxied_conn, conn)->header : NULL;
}

const http_proxy_header *http_entrance_header(http_conn *c)
{
    return header_of(c);
}

static uint32_t first_byte_timeout_ms(const http_conn *c)
{
    const uint32_t ms = (uint32_t)c->server->settings->first_byte_timeout_ms;
    return c->probe && ms > PROBE_SILENCE_MS ? PROBE_SILENCE_MS : ms;
}

/* Waits for a request. A drain has set its own, shorter time. */
static void let_in(http_conn *c)
{
    c->stage = HTTP_STAGE_REQUESTS;
    if (!c->server->draining)
        stream_set_timeout(c->stream, first_byte_timeout_ms(c));
    http_room_idle(c);
}

/* The handshake has a deadline of its own. */
static bool begin_tls(http_conn *c, error (*start)(stream *, tls_config *))
{
    http_server *server = c->server;
    c->stage = HTTP_STAGE_HANDSHAKE;
    if (server->rotates_tickets)
        http_tickets_rotate(server->tickets, clock_ms(),
                            (uint64_t)server->settings->tls_ticket_rotation_ms);
    if (http_tickets_use(server->tickets, server->settings->tls).kind ||
        start(c->stream, server->settings->tls).kind)
        return false;
    if (!server->draining)
        stream_set_timeout(c->stream, 0);
    return true;
}

bool http_entrance_begin(http_conn *c, const http_entrance *entrance)
{
    c->tls = entrance->tls;
    c->proxied = entrance->proxy;
    if (c->proxied) {
        c->stage = HTTP_STAGE_PROXY_HEADER;
        stream_set_timeout(c->stream, (uint32_t)c->server->settings->header_timeout_ms);
        http_room_idle(c);
        return true;
    }
    let_in(c);
    return !c->tls || begin_tls(c, stream_start_tls_server);
}

bool http_entrance_take(http_conn *c, str bytes, size_t *consumed)
{
    http_proxy_header *header = header_of(c);
    invariant(c->stage == HTTP_STAGE_PROXY_HEADER);
    *consumed = bytes.len;
    switch (http_proxy_header_parse(bytes, header)) {
    case HTTP_PROXY_HEADER_INCOMPLETE:
        *consumed = 0;
        return !stream_at_end(c->stream);
    case HTTP_PROXY_HEADER_DONE:
        *consumed = header->bytes;
        let_in(c);
        return !c->tls || begin_tls(c, stream_start_tls_server_behind);
    case HTTP_PROXY_HEADER_BAD:
        metrics_add(c->server->metrics, HTTP_METRIC_PROXY_MALFORMED, 1);
        return false;
    }
    unreachable();
}

void http_entrance_shaken(http_conn *c)
{
    metrics_add(c->server->metrics,
                stream_tls_resumed(c->stream) ? HTTP_METRIC_TLS_RESUMED : HTTP_METRIC_TLS_FULL, 1);
    let_in(c);
}

void http_entrance_late(const http_conn *c)
{
    if (c->stage == HTTP_STAGE_PROXY_HEADER && !c->server->draining)
        metrics_add(c->server->metrics, HTTP_METRIC_PROXY_LATE, 1);
}

void http_entrance_closed(const http_conn *c, error why)
{
    if (c->stage != HTTP_STAGE_HANDSHAKE || c->closing || !why.kind)
        return;
    metrics_add(c->server->metrics,
                error_is(why, &TIMED_OUT) ? HTTP_METRIC_TLS_LATE : HTTP_METRIC_TLS_FAILED, 1);
}
