/* Request bodies. What arrived with the head is lent as it lies; the rest is read only when the
 * handler asks, into a buffer that grows with what really comes, never by what was announced.
 *
 * A client that pauses for HTTP_BODY_TIMEOUT is late, and so is one that trickles: with that time
 * in hand, it must have sent HTTP_BODY_RATE_MIN bytes for each second that it was waited for. What
 * a handler does between two pieces is not the client's time. */
#include "departure.h"

#include "core/clock.h"

#include <string.h>

ERROR_KIND(HTTP_BODY_LATE, ERROR_TIMED_OUT, "The body did not arrive in time.");

/* What the waiter asked for is there, or a reason why it will not come. */
static void settled(http_request *req, body_state state)
{
    fiber *waiter = req->body_waiter;
    req->body_state = state;
    req->body_waiter = NULL;
    stream_pause(req->conn->stream);
    fiber_wake(waiter, OK);
}

/* --- piece by piece --------------------------------------------------------------------------- */

static void piece_settled(http_request *req, body_state state, str piece)
{
    req->piece = piece;
    req->piece_block = stream_keep_block(req->conn->stream);
    settled(req, state);
}

static size_t piece_of_known_length(http_request *req, str bytes)
{
    const size_t len = req->body_left < bytes.len ? (size_t)req->body_left : bytes.len;
    req->body_left -= len;
    if (len > 0)
        piece_settled(req, req->body_left > 0 ? BODY_PIECES : BODY_COMPLETE,
                      str_slice(bytes, 0, len));
    return len;
}

static size_t piece_of_chunked(http_request *req, str bytes)
{
    str rest = bytes, data;
    switch (http_chunked_next(&req->chunked, &rest, &data)) {
    case HTTP_CHUNKED_DATA:
        piece_settled(req, BODY_PIECES, data);
        break;
    case HTTP_CHUNKED_END:
        settled(req, BODY_COMPLETE);
        break;
    case HTTP_CHUNKED_BAD:
        settled(req, BODY_BROKEN);
        break;
    case HTTP_CHUNKED_MORE:
        break;
    }
    return bytes.len - rest.len;
}

/* --- whole ------------------------------------------------------------------------------------ */

static void whole_settled(http_request *req)
{
    req->body = buf_str(&req->body_parts);
    settled(req, BODY_COMPLETE);
}

static size_t whole_of_known_length(http_request *req, str bytes)
{
    const size_t part = req->body_left < bytes.len ? (size_t)req->body_left : bytes.len;
    buf_append(&req->body_parts, str_slice(bytes, 0, part));
    req->body_left -= part;
    if (req->body_parts.failed)
        settled(req, BODY_TOO_LARGE);
    else if (req->body_left == 0)
        whole_settled(req);
    return part;
}

static size_t whole_of_chunked(http_request *req, str bytes)
{
    str rest = bytes;
    for (;;) {
        str data;
        switch (http_chunked_next(&req->chunked, &rest, &data)) {
        case HTTP_CHUNKED_DATA:
            buf_append(&req->body_parts, data);
            if (!req->body_parts.failed)
                continue;
            settled(req, BODY_TOO_LARGE);
            break;
        case HTTP_CHUNKED_END:
            whole_settled(req);
            break;
        case HTTP_CHUNKED_BAD:
            settled(req, BODY_BROKEN);
            break;
        case HTTP_CHUNKED_MORE:
            break;
        }
        return bytes.len - rest.len;
    }
}

static size_t take_whole(http_request *req, str bytes)
{
    return req->head.chunked ? whole_of_chunked(req, bytes) : whole_of_known_length(req, bytes);
}

static size_t take_piece(http_request *req, str bytes)
{
    return req->head.chunked ? piece_of_chunked(req, bytes) : piece_of_known_length(req, bytes);
}

/* --- on the loop ------------------------------------------------------------------------------ */

/* How long the next bytes may take; 0: they are late already. Then no timer waits for them: in a
 * loop that lags, the next ones come before any timer fires, again and again. */
static uint32_t patience_ms(const http_request *req)
{
    const http_settings *settings = req->conn->server->settings;
    const uint64_t pause_ms = (uint64_t)settings->body_timeout_ms;
    if (settings->body_rate_min == 0)
        return (uint32_t)pause_ms;
    const uint64_t bytes = req->body_read + req->body_parts.len;
    const uint64_t allowed_ms = pause_ms + bytes * 1000 / (uint64_t)settings->body_rate_min;
    const uint64_t waited_ms = req->body_waited_ms + (clock_ms() - req->body_waits_since_ms);
    if (allowed_ms <= waited_ms)
        return 0;
    return (uint32_t)(allowed_ms - waited_ms < pause_ms ? allowed_ms - waited_ms : pause_ms);
}

static void wait_for_more(http_request *req)
{
    const uint32_t ms = patience_ms(req);
    if (ms > 0)
        stream_set_timeout(req->conn->stream, ms);
    else
        http_body_late(req);
}

size_t http_body_take(http_request *req, str bytes)
{
    if (!req->body_waiter)
        return 0;
    const bool whole = req->body_state == BODY_READING;
    const size_t taken = whole ? take_whole(req, bytes) : take_piece(req, bytes);
    if (req->body_waiter && stream_at_end(req->conn->stream))
        settled(req, BODY_BROKEN);
    else if (req->body_waiter && whole)
        wait_for_more(req);
    return taken;
}

void http_body_late(http_request *req)
{
    settled(req, BODY_LATE);
}

/* --- on the fiber ----------------------------------------------------------------------------- */

static void body_forgotten(void *arg)
{
    http_request *req = arg;
    req->body_waiter = NULL;
    if (req->conn->stream)
        stream_pause(req->conn->stream);
}

/* Waits until the loop has settled what was asked for. */
static error body_wait(http_request *req)
{
    http_conn *c = req->conn;
    if (!c->stream)
        return error_set(&HTTP_CLIENT_GONE, "before its body was read");
    req->body_waits_since_ms = clock_ms();
    const uint32_t ms = patience_ms(req);
    if (ms == 0) {
        req->body_state = BODY_LATE;
        return OK;
    }
    req->body_waiter = fiber_self();
    stream_set_timeout(c->stream, ms);
    stream_resume(c->stream);
    const error e = fiber_park("request body", body_forgotten, req);
    req->body_waited_ms += clock_ms() - req->body_waits_since_ms;
    if (c->stream) {
        stream_set_timeout(c->stream, 0);
        http_departure_consider(req);
    }
    return e;
}

/* The first asking decides how the body is taken: `state` is READING or PIECES. */
static void body_begin(http_request *req, body_state state)
{
    http_conn *c = req->conn;
    if (req->body_left > req->body_bytes_max) {
        req->body_state = BODY_TOO_LARGE;
        return;
    }
    req->body_state = state;
    req->body_parts.bytes_max = req->body_bytes_max;
    const http_settings *settings = c->server->settings;
    const http_chunked_limits limits = {
        .extension_bytes_max = (uint32_t)settings->chunk_extension_bytes_max,
        .trailer_bytes_max = (uint32_t)settings->trailer_bytes_max,
    };
    http_chunked_init(&req->chunked, &limits);
    if (req->head.expects_continue && c->stream)
        stream_write(c->stream, STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

static error too_large(const http_request *req)
{
    return error_set(&HTTP_BODY_TOO_LARGE, "body of over %zu bytes", req->body_bytes_max);
}

/* Why there is no more of the body to be had, or OK. */
static error body_fault(const http_request *req)
{
    switch (req->body_state) {
    case BODY_TOO_LARGE:
        return too_large(req);
    case BODY_LATE:
        return error_set(&HTTP_BODY_LATE, "the body paused for too long, or trickled");
    case BODY_BROKEN:
        return error_set(&HTTP_BAD_REQUEST, "the body is broken off or badly chunked");
    case BODY_NONE:
    case BODY_WAITING:
    case BODY_READING:
    case BODY_PIECES:
    case BODY_COMPLETE:
        return OK;
    }
    unreachable();
}

error http_body_bytes(http_request *req, str *out)
{
    if (req->body_state == BODY_WAITING) {
        body_begin(req, BODY_READING);
        if (req->body_state == BODY_READING)
            TRY(body_wait(req));
    }
    TRY(body_fault(req));
    if (req->body_state != BODY_COMPLETE && req->body_state != BODY_NONE)
        return error_set(&HTTP_BAD_REQUEST, "the body was being read, and that was broken off");
    if (req->body.len > req->body_bytes_max) /* it came along with the head */
        return too_large(req);
    *out = req->body.ptr ? req->body : STR("");
    return OK;
}

error http_body_read(http_request *req, str *piece)
{
    block_release(&req->piece_block);
    req->piece = STR("");
    *piece = STR("");
    if (req->body_state == BODY_WAITING)
        body_begin(req, BODY_PIECES);
    if (req->body_state == BODY_PIECES) {
        TRY(body_wait(req));
    } else if (req->body_state == BODY_COMPLETE) { /* what came along with the head, once */
        req->piece = req->body;
        req->body = STR("");
    }
    req->body_read += req->piece.len;
    if (req->body_read > req->body_bytes_max)
        req->body_state = BODY_TOO_LARGE;
    TRY(body_fault(req));
    *piece = req->piece;
    return OK;
}

static bool is_json(str content_type)
{
    const str type = str_trim(str_cut(&content_type, ';'), STR(" \t"));
    return str_eq_nocase(type, STR("application/json"));
}

error http_body_shape(http_request *req, shape_fn *of, void *out)
{
    invariant(req->match.route &&
              req->match.route->body == of); /* the route declares what it reads */
    str text;
    if (!is_json(http_header(req, STR("content-type"))))
        return error_set(&HTTP_UNSUPPORTED_MEDIA, "content type is not application/json");
    TRY(http_body_bytes(req, &text));
    const shape *s = of();
    memset(out, 0, s->bytes);
    return json_parse_shape(&req->conn->arena, text, s, out);
}
