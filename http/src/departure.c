/* A client that closes its connection in good order looks just like one that has only ended its
 * side: who has sent all it wants to say and waits for the answer, as it may. What tells them apart
 * is what they do with bytes that are sent to them: the first one's system refuses them, which ends
 * the connection and with it the fiber's waits, the second reads them. So it is sent an interim
 * answer: "100 Continue" means nothing to who did not ask for it, and every client passes over it
 * (RFC 9110 section 15.2.1).
 *
 *   the client ends its side --moment--> 100 Continue --refused--> HTTP_CLIENT_GONE
 *                                             ^ |
 *                                             +-+ taken: in a while once more, a few times
 *
 * A client of HTTP/1.0 may not be sent one (section 15.2): it gets its answer. The moment leaves
 * out the requests that are about to be answered anyway. */
#include "departure.h"

#define MOMENT_MS  100
#define AGAIN_MS   5000 /* who had ended its side only may leave later */
#define PROBES_MAX 4    /* there are clients that count interim answers */

static bool may_probe(const http_request *req)
{
    const http_route *route = req->match.route;
    return route && route->on_disconnect == HTTP_ENDS && req->fiber && !req->streaming &&
           !req->body_waiter && req->head.minor_version > 0 && req->conn->stream &&
           req->probes < PROBES_MAX && stream_peer_has_ended(req->conn->stream);
}

void http_departure_consider(http_request *req)
{
    if (may_probe(req))
        stream_set_timeout(req->conn->stream, req->probes == 0 ? MOMENT_MS : AGAIN_MS);
}

bool http_departure_ends(const http_request *req)
{
    const http_route *route = req->match.route;
    return !route || route->on_disconnect != HTTP_FINISHES || req->streaming || req->body_waiter;
}

void http_departure_probe(http_request *req)
{
    if (!may_probe(req))
        return;
    req->probes++;
    stream_write(req->conn->stream, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    http_departure_consider(req);
}
