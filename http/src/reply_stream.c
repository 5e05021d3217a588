/* Responses that are written in pieces: bytes, the items of a JSON list, events, files. The head
 * leaves with the first of them, so what follows can no longer become another status: an error
 * afterwards breaks the connection off, and the client sees that the answer is not whole.
 *
 *   nothing staged --http_reply_start--> STARTED --handler returned OK--> ended (last chunk)
 *                                           `------an error, a fault-------> aborted
 *
 * Back-pressure: a write waits while the client has more than the stream's high watermark to take.
 */
#include "conn.h"
#include "status.h"

#include <string.h>

#define EVENT_BYTES_MAX ((size_t)1 << 20)
#define ITEM_BYTES_MAX  ((size_t)64 << 20)
#define ITEMS_BYTES     8192 /* gathered before they are written as one chunk */

ERROR_KIND(HTTP_CLIENT_SLOW, ERROR_CANCELED, "The client takes too little.");

static ERROR_KIND(HTTP_LENGTH_WRONG, ERROR_INTERNAL, "The server could not complete the request.");

static error start(http_request *req, int status, str content_type, uint64_t length)
{
    invariant(!req->streaming);
    if (!http_status_has_body(status) || status == 205)
        return error_set(&HTTP_BAD_STATUS, "%d is no answer that has a body", status);
    TRY(http_reply_bytes(req, status, content_type, STR("")));
    if (!req->conn->stream)
        return error_set(&HTTP_CLIENT_GONE, "before the response began");
    TRY(http_reply_seal(req));
    req->streaming = true;
    req->length = length;
    req->length_left = length;
    if (req->filter)
        req->filter->start(req);
    http_conn_start_reply(req);
    return OK;
}

uint64_t http_reply_length(const http_request *req)
{
    return req->filtered ? HTTP_LENGTH_UNKNOWN : req->length;
}

error http_reply_start(http_request *req, int status, str content_type)
{
    return start(req, status, content_type, HTTP_LENGTH_UNKNOWN);
}

error http_reply_start_sized(http_request *req, int status, str content_type, uint64_t bytes)
{
    invariant(bytes != HTTP_LENGTH_UNKNOWN);
    return start(req, status, content_type, bytes);
}

static void write_forgotten(void *arg)
{
    http_request *req = arg;
    req->write_waiter = NULL;
}

void http_reply_drained(http_request *req)
{
    fiber *waiter = req->write_waiter;
    req->write_waiter = NULL;
    if (waiter)
        fiber_wake(waiter, OK);
}

/* Waits until the client has taken what is queued. */
static error wait_for_client(http_request *req)
{
    req->write_waiter = fiber_self();
    return fiber_park("response taken", write_forgotten, req);
}

static void write_chunk(stream *s, str bytes)
{
    char size[24];
    size_t at = sizeof size;
    size[--at] = '\n';
    size[--at] = '\r';
    for (size_t left = bytes.len; left > 0; left >>= 4)
        size[--at] = "0123456789abcdef"[left & 15];
    stream_write(s, (str){ size + at, sizeof size - at });
    stream_write(s, bytes);
    stream_write(s, STR("\r\n"));
}

/* `bytes` are about to be written. */
static error account_for(http_request *req, uint64_t bytes)
{
    invariant(req->streaming);
    if (!req->conn->stream)
        return error_set(&HTTP_CLIENT_GONE, "in the middle of the response");
    if (req->head.method == HTTP_HEAD || req->length == HTTP_LENGTH_UNKNOWN)
        return OK;
    if (bytes > req->length_left)
        return error_set(&HTTP_LENGTH_WRONG, "more than the %llu bytes that were announced",
                         (unsigned long long)req->length);
    req->length_left -= bytes;
    return OK;
}

error http_reply_wait(http_request *req)
{
    const http_conn *c = req->conn;
    if (!c->stream)
        return error_set(&HTTP_CLIENT_GONE, "in the middle of the response");
    return stream_queued(c->stream) > HTTP_OUTPUT_BYTES_HIGH ? wait_for_client(req) : OK;
}

error http_reply_send(http_request *req, str bytes)
{
    stream *s = req->conn->stream;
    if (!s)
        return error_set(&HTTP_CLIENT_GONE, "in the middle of the response");
    if (http_reply_length(req) != HTTP_LENGTH_UNKNOWN || req->head.minor_version == 0)
        stream_write(s, bytes);
    else /* RFC 9112, 7.1 */
        write_chunk(s, bytes);
    return http_reply_wait(req);
}

error http_reply_write(http_request *req, str bytes)
{
    TRY(account_for(req, bytes.len));
    if (bytes.len == 0 || req->head.method == HTTP_HEAD)
        return OK;
    return req->filtered ? req->filter->write(req, bytes) : http_reply_send(req, bytes);
}

error http_reply_write_file(http_request *req, stream_file *f, const http_range *range)
{
    invariant(req->length != HTTP_LENGTH_UNKNOWN && !req->filtered);
    TRY(account_for(req, range->bytes));
    if (req->head.method != HTTP_HEAD)
        stream_write_file(req->conn->stream, f, range->at, range->bytes);
    return OK;
}

/* --- items ------------------------------------------------------------------------------------ */

error http_reply_items_start(http_request *req, int status)
{
    TRY(http_reply_start(req, status, STR("application/json")));
    buf_init(&req->scratch, ITEM_BYTES_MAX);
    buf_append_char(&req->scratch, '[');
    req->items = ITEMS_NONE_YET;
    return OK;
}

static error flush_items(http_request *req)
{
    TRY(buf_status(&req->scratch));
    TRY(http_reply_write(req, buf_str(&req->scratch)));
    buf_reset(&req->scratch);
    return OK;
}

error http_reply_item_shape(http_request *req, shape_fn *of, const void *value)
{
    invariant(req->items != ITEMS_NOT);
    if (req->items == ITEMS_SOME)
        buf_append_char(&req->scratch, ',');
    json_write_shape(&req->scratch, of(), value);
    req->items = ITEMS_SOME;
    return req->scratch.len < ITEMS_BYTES && !req->scratch.failed ? OK : flush_items(req);
}

error http_reply_finish(http_request *req)
{
    const bool sized = req->length != HTTP_LENGTH_UNKNOWN && req->head.method != HTTP_HEAD;
    if (sized && req->length_left > 0)
        return error_set(&HTTP_LENGTH_WRONG, "%llu bytes fewer than were announced",
                         (unsigned long long)req->length_left);
    if (req->items != ITEMS_NOT) {
        buf_append_char(&req->scratch, ']');
        TRY(flush_items(req));
    }
    return req->filtered && req->head.method != HTTP_HEAD ? req->filter->finish(req) : OK;
}

/* --- events ----------------------------------------------------------------------------------- */

error http_events_start(http_request *req)
{
    http_default_header(req, STR("Cache-Control"), STR("no-store"));
    req->own_type = STR_NONE; /* events have no other type than theirs */
    TRY(http_reply_start(req, 200, STR("text/event-stream")));
    buf_init(&req->scratch, EVENT_BYTES_MAX);
    req->events = true;
    return OK;
}

static bool is_one_line(str s)
{
    return str_index(s, '\n') == s.len && str_index(s, '\r') == s.len &&
           str_index(s, '\0') == s.len;
}

static void append_field(buf *out, str name, str value)
{
    buf_append(out, name);
    buf_append(out, value);
    buf_append_char(out, '\n');
}

/* A line each: LF, CR and CRLF all end one. */
static void append_data(buf *out, str data)
{
    for (;;) {
        size_t end = 0;
        while (end < data.len && data.ptr[end] != '\n' && data.ptr[end] != '\r')
            end++;
        append_field(out, STR("data: "), str_slice(data, 0, end));
        if (end == data.len)
            return;
        const bool both = data.ptr[end] == '\r' && end + 1 < data.len && data.ptr[end + 1] == '\n';
        data = str_slice(data, end + (both ? 2 : 1), data.len);
    }
}

error http_event_send(http_request *req, const http_event *event)
{
    buf *out = &req->scratch;
    invariant(req->events);
    if (!is_one_line(event->name) || !is_one_line(event->id))
        return error_set(&HTTP_BAD_HEADER, "a line break in an event's name or id");
    buf_reset(out);
    if (event->name.len)
        append_field(out, STR("event: "), event->name);
    if (event->id.ptr)
        append_field(out, STR("id: "), event->id);
    if (event->retry_ms)
        buf_append_format(out, "retry: %u\n", event->retry_ms);
    append_data(out, event->data);
    buf_append_char(out, '\n');
    TRY(buf_status(out));
    return http_reply_write(req, buf_str(out));
}

error http_event_keep_alive(http_request *req)
{
    invariant(req->events);
    return http_reply_write(req, STR(":\n\n"));
}
