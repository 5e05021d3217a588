/* Request bodies. What arrived with the head is lent as it lies; the rest is read only when the
 * handler asks, into a buffer that grows with what really comes, never by what was announced. */
#include "conn.h"

#include <string.h>

ERROR_KIND(HTTP_BODY_LATE, ERROR_TIMED_OUT, "The body did not arrive in time.");

static void body_settled(http_request *req, body_state state)
{
    req->body_state = state;
    if (state == BODY_COMPLETE)
        req->body = buf_str(&req->body_parts);
    stream_pause(req->conn->stream);
    if (req->body_waiter) {
        fiber *waiter = req->body_waiter;
        req->body_waiter = NULL;
        fiber_wake(waiter, OK);
    }
}

/* --- piece by piece --------------------------------------------------------------------------- */

/* What the waiter asked for is there: a piece, the end, or a reason why neither will come. */
static void piece_settled(http_request *req, body_state state, str piece)
{
    fiber *waiter = req->body_waiter;
    req->body_state = state;
    req->piece = piece;
    req->body_waiter = NULL;
    if (piece.len > 0)
        req->piece_block = stream_keep_block(req->conn->stream);
    stream_pause(req->conn->stream);
    fiber_wake(waiter, OK);
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
        piece_settled(req, BODY_COMPLETE, STR(""));
        break;
    case HTTP_CHUNKED_BAD:
        piece_settled(req, BODY_BROKEN, STR(""));
        break;
    case HTTP_CHUNKED_MORE:
        break;
    }
    return bytes.len - rest.len;
}

static size_t take_piece(http_request *req, str bytes)
{
    if (!req->body_waiter)
        return 0;
    const size_t taken =
        req->head.chunked ? piece_of_chunked(req, bytes) : piece_of_known_length(req, bytes);
    if (req->body_waiter && stream_at_end(req->conn->stream))
        piece_settled(req, BODY_BROKEN, STR(""));
    return taken;
}

/* --- whole ------------------------------------------------------------------------------------ */

static size_t take_known_length(http_request *req, str bytes)
{
    const size_t part = req->body_left < bytes.len ? (size_t)req->body_left : bytes.len;
    buf_append(&req->body_parts, str_slice(bytes, 0, part));
    req->body_left -= part;
    if (req->body_parts.failed)
        body_settled(req, BODY_TOO_LARGE);
    else if (req->body_left == 0)
        body_settled(req, BODY_COMPLETE);
    return part;
}

static size_t take_chunked(http_request *req, str bytes)
{
    str rest = bytes;
    for (;;) {
        str data;
        switch (http_chunked_next(&req->chunked, &rest, &data)) {
        case HTTP_CHUNKED_DATA:
            buf_append(&req->body_parts, data);
            if (!req->body_parts.failed)
                continue;
            body_settled(req, BODY_TOO_LARGE);
            break;
        case HTTP_CHUNKED_END:
            body_settled(req, BODY_COMPLETE);
            break;
        case HTTP_CHUNKED_BAD:
            body_settled(req, BODY_BROKEN);
            break;
        case HTTP_CHUNKED_MORE:
            break;
        }
        return bytes.len - rest.len;
    }
}

size_t http_body_take(http_request *req, str bytes)
{
    if (req->body_state == BODY_PIECES)
        return take_piece(req, bytes);
    if (req->body_state != BODY_READING)
        return 0;
    stream_set_timeout(req->conn->stream, (uint32_t)req->conn->server->settings->body_timeout_ms);
    const size_t taken =
        req->head.chunked ? take_chunked(req, bytes) : take_known_length(req, bytes);
    if (req->body_state == BODY_READING && stream_at_end(req->conn->stream))
        body_settled(req, BODY_BROKEN);
    return taken;
}

void http_body_late(http_request *req)
{
    if (req->body_state == BODY_READING)
        body_settled(req, BODY_LATE);
    else if (req->body_state == BODY_PIECES && req->body_waiter)
        piece_settled(req, BODY_LATE, STR(""));
}

static void body_forgotten(void *arg)
{
    http_request *req = arg;
    req->body_waiter = NULL;
}

/* Waits until the loop has read the body. */
static error body_read(http_request *req)
{
    http_conn *c = req->conn;
    if (req->body_left > req->body_bytes_max) {
        req->body_state = BODY_TOO_LARGE;
        return OK;
    }
    if (!c->stream)
        return error_set(&HTTP_CLIENT_GONE, "before its body was read");
    if (req->head.expects_continue)
        stream_write(c->stream, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    req->body_parts.bytes_max = req->body_bytes_max;
    req->body_state = BODY_READING;
    req->body_waiter = fiber_self();
    stream_set_timeout(c->stream, (uint32_t)c->server->settings->body_timeout_ms);
    stream_resume(c->stream);
    TRY(fiber_park("request body", body_forgotten, req));
    if (c->stream)
        stream_set_timeout(c->stream, 0);
    return OK;
}

error http_body_bytes(http_request *req, str *out)
{
    if (req->body_state == BODY_WAITING)
        TRY(body_read(req));
    switch (req->body_state) {
    case BODY_NONE:
        *out = STR("");
        return OK;
    case BODY_COMPLETE:
        *out = req->body;
        if (req->body.len <= req->body_bytes_max)
            return OK;
        break;
    case BODY_TOO_LARGE:
        break;
    case BODY_LATE:
        return error_set(&HTTP_BODY_LATE, "the body paused for too long");
    case BODY_WAITING:
    case BODY_READING:
    case BODY_PIECES:
    case BODY_BROKEN:
        return error_set(&HTTP_BAD_REQUEST, "the body is broken off or badly chunked");
    }
    return error_set(&HTTP_BODY_TOO_LARGE, "body of over %zu bytes", req->body_bytes_max);
}

/* Waits for the next piece, or for the end. */
static error piece_read(http_request *req)
{
    http_conn *c = req->conn;
    if (!c->stream)
        return error_set(&HTTP_CLIENT_GONE, "in the middle of its body");
    req->body_waiter = fiber_self();
    stream_set_timeout(c->stream, (uint32_t)c->server->settings->body_timeout_ms);
    stream_resume(c->stream);
    TRY(fiber_park("request body", body_forgotten, req));
    if (c->stream)
        stream_set_timeout(c->stream, 0);
    return OK;
}

/* The first call decides that the body is taken piece by piece. */
static error pieces_begin(http_request *req)
{
    http_conn *c = req->conn;
    req->body_state = BODY_PIECES;
    if (req->body_left > req->body_bytes_max) {
        req->body_state = BODY_TOO_LARGE;
        return OK;
    }
    if (req->head.expects_continue && c->stream)
        stream_write(c->stream, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    return OK;
}

error http_body_read(http_request *req, str *piece)
{
    block_release(&req->piece_block);
    req->piece = STR("");
    *piece = STR("");
    if (req->body_state == BODY_WAITING)
        TRY(pieces_begin(req));
    if (req->body_state == BODY_PIECES)
        TRY(piece_read(req));
    else if (req->body_state == BODY_COMPLETE) { /* what came along with the head, once */
        req->piece = req->body;
        req->body = STR("");
    }
    req->body_read += req->piece.len;
    if (req->body_read > req->body_bytes_max)
        req->body_state = BODY_TOO_LARGE;
    if (req->body_state == BODY_TOO_LARGE)
        return error_set(&HTTP_BODY_TOO_LARGE, "body of over %zu bytes", req->body_bytes_max);
    if (req->body_state == BODY_LATE)
        return error_set(&HTTP_BODY_LATE, "the body paused for too long");
    if (req->body_state == BODY_BROKEN)
        return error_set(&HTTP_BAD_REQUEST, "the body is broken off or badly chunked");
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
