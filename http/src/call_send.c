/* What a call sends: the head, with the fields that say how its body ends, and the body.
 *
 * Invariant: nothing that a caller gives can end a line or say anything of the message's length. */
#include "client.h"
#include "method.h"

#include <string.h>

#define HEAD_BYTES_MAX ((size_t)64 << 10)
#define PART_BYTES     ((size_t)64 << 10) /* of a body that are queued at once */

/* --- what may be sent ------------------------------------------------------------------------- */

/* How the message ends, where it goes and what the connection does is ours to say. */
static bool is_reserved(str name)
{
    static const str names[] = {
        { "Connection", 10 },
        { "Content-Length", 14 },
        { "Expect", 6 },
        { "Host", 4 },
        { "HTTP2-Settings", 14 },
        { "Keep-Alive", 10 },
        { "Proxy-Connection", 16 },
        { "TE", 2 },
        { "Trailer", 7 },
        { "Transfer-Encoding", 17 },
        { "Upgrade", 7 },
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq_nocase(names[i], name))
            return true;
    }
    return false;
}

error http_call_check(const http_client_request *request)
{
    invariant(request->method <= HTTP_TRACE);
    if (request->headers.count > HTTP_CLIENT_HEADERS_MAX)
        return error_set(&HTTP_BAD_HEADER, "%zu header fields", request->headers.count);
    if (!http_is_value(request->content_type))
        return error_set(&HTTP_BAD_HEADER, "control character in the content type");
    for (size_t i = 0; i < request->headers.count; i++) {
        const http_client_field *f = &request->headers.items[i];
        if (!http_is_token(f->name))
            return error_set(&HTTP_BAD_HEADER, "header name of %zu bytes is no token", f->name.len);
        if (is_reserved(f->name))
            return error_set(&HTTP_BAD_HEADER, "header %.*s is the client's", STR_ARG(f->name));
        if (!http_is_value(f->value))
            return error_set(&HTTP_BAD_HEADER, "control character in header %.*s",
                             STR_ARG(f->name));
    }
    return OK;
}

/* --- the head --------------------------------------------------------------------------------- */

static void append_field(buf *out, str name, str value)
{
    buf_append(out, name);
    buf_append(out, STR(": "));
    buf_append(out, value);
    buf_append(out, STR("\r\n"));
}

/* Whether a field still goes along after redirects. */
static bool goes_along(const http_call *call, str name)
{
    const bool secret = str_eq_nocase(name, STR("Authorization")) ||
                        str_eq_nocase(name, STR("Cookie")) ||
                        str_eq_nocase(name, STR("Proxy-Authorization"));
    const bool of_body = str_eq_nocase(str_slice(name, 0, 8), STR("Content-"));
    return !(call->foreign && secret) && !(call->bodiless && of_body);
}

/* RFC 9110, 8.6: a method that usually has a body says so when there is none. */
static void append_length(buf *out, const http_client_request *r)
{
    const bool expected =
        r->method == HTTP_POST || r->method == HTTP_PUT || r->method == HTTP_PATCH;
    if (r->body_streamed == HTTP_CLIENT_LENGTH_NONE)
        append_field(out, STR("Transfer-Encoding"), STR("chunked"));
    else if (r->body_streamed > 0 || r->body.ptr || expected)
        buf_append_format(out, "Content-Length: %llu\r\n",
                          (unsigned long long)(r->body_streamed ? r->body_streamed : r->body.len));
}

static void append_head(buf *out, const http_call *call)
{
    const http_client_request *r = &call->request;
    bool names_agent = false;
    buf_append(out, str_from_c(http_method_name(r->method)));
    buf_append_char(out, ' ');
    buf_append(out, call->url.target);
    buf_append(out, STR(" HTTP/1.1\r\n"));
    append_field(out, STR("Host"), call->url.authority);
    for (size_t i = 0; i < r->headers.count; i++) {
        const http_client_field *f = &r->headers.items[i];
        names_agent |= str_eq_nocase(f->name, STR("User-Agent"));
        if (goes_along(call, f->name))
            append_field(out, f->name, f->value);
    }
    if (!names_agent && call->client->options.user_agent.len > 0)
        append_field(out, STR("User-Agent"), call->client->options.user_agent);
    if (r->content_type.ptr)
        append_field(out, STR("Content-Type"), r->content_type);
    append_length(out, r);
    buf_append(out, STR("\r\n"));
}

static void queue(http_call *call, str bytes)
{
    stream_write(call->conn->stream, bytes);
    call->written += bytes.len;
}

error http_call_send_head(http_call *call)
{
    buf head;
    buf_init_arena(&head, call->arena, HEAD_BYTES_MAX);
    append_head(&head, call);
    const error e = buf_status(&head);
    if (e.kind)
        return error_wrap(e, &HTTP_BAD_HEADER, "a head of over %zu bytes", HEAD_BYTES_MAX);
    http_reply_head_init(&call->head);
    call->state = HTTP_CALL_ASKING;
    queue(call, buf_str(&head));
    return OK;
}

/* --- the body --------------------------------------------------------------------------------- */

/* Waits until the server has taken what is queued. One that takes some, however slowly, is waited
 * for. */
static error wait_for_room(http_call *call)
{
    call->choked = true;
    while (call->choked && call->state == HTTP_CALL_ASKING) {
        const size_t before = stream_queued(call->conn->stream);
        const error e =
            http_call_wait(call, "http request taken", call->client->options.stall_timeout_ms);
        const bool moves = call->rang && call->state == HTTP_CALL_ASKING &&
                           stream_queued(call->conn->stream) < before &&
                           loop_now_ms(call->client->loop) < call->deadline_ms;
        if (e.kind && !(moves && error_is(e, &HTTP_CALL_TIMED_OUT)))
            return e;
    }
    return OK;
}

static void queue_chunk_size(http_call *call, size_t bytes)
{
    char size[24];
    size_t at = sizeof size;
    size[--at] = '\n';
    size[--at] = '\r';
    for (size_t left = bytes; left > 0; left >>= 4)
        size[--at] = "0123456789abcdef"[left & 15];
    queue(call, (str){ size + at, sizeof size - at });
}

error http_call_send_bytes(http_call *call, str bytes)
{
    const bool chunked = call->request.body_streamed == HTTP_CLIENT_LENGTH_NONE;
    while (bytes.len > 0 && call->state == HTTP_CALL_ASKING) {
        const str part = str_slice(bytes, 0, PART_BYTES);
        bytes = str_slice(bytes, part.len, bytes.len);
        if (chunked)
            queue_chunk_size(call, part.len);
        queue(call, part);
        if (chunked)
            queue(call, STR("\r\n"));
        if (stream_queued(call->conn->stream) > HTTP_CALL_OUTPUT_HIGH)
            TRY(wait_for_room(call));
    }
    return OK;
}

void http_call_send_end(http_call *call)
{
    if (call->ended || call->state != HTTP_CALL_ASKING)
        return;
    if (call->request.body_streamed == HTTP_CLIENT_LENGTH_NONE)
        queue(call, STR("0\r\n\r\n"));
    call->ended = true;
}
