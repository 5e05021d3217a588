/* Connections: from bytes to a request on a fiber, from the fiber's end to bytes. Everything here
 * runs on the loop; the request itself runs in request.c, on its fiber.
 *
 * Invariant: a connection is freed when its stream is gone and no fiber works for it, whichever
 * comes last. */
#include "departure.h"
#include "entrance.h"
#include "file.h"
#include "prebuilt.h"
#include "room.h"
#include "route_metrics.h"
#include "status.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#define LINGER_MS         1000
#define INPUT_BYTES_SPARE 4096 /* unconsumed, past the longest head */
#define HEAD_BYTES_MAX    512  /* of a response head without the handler's own fields */
#define IN_A_ROW_MAX      32   /* requests of one connection, before others have their turn */
/* When draining, an idle connection is kept this long: a request may be on its way, and on a
 * connection that has just been made one surely is. */
#define DRAIN_IDLE_MS     100
#define DRAIN_NEW_MS      1000
#define DRAIN_CALM_MS     5000 /* either, when there is no hurry */

/* A Date field (RFC 9110, 6.6.1), made once a second. */
static const char *date_field(http_server *server)
{
    const uint64_t now_ms = loop_now_ms(server->loop);
    if (server->date_field[0] && now_ms - server->date_at_ms < 1000)
        return server->date_field;
    char date[HTTP_DATE_LEN + 1];
    http_date_format(date, clock_wall_s());
    memcpy(server->date_field, "\r\nDate: ", HTTP_DATE_FIELD_BYTES - HTTP_DATE_LEN);
    memcpy(server->date_field + HTTP_DATE_FIELD_BYTES - HTTP_DATE_LEN, date, HTTP_DATE_LEN);
    server->date_at_ms = now_ms;
    return server->date_field;
}

/* --- the end --------------------------------------------------------------------------------- */

static void request_free(http_conn *c)
{
    http_request *req = c->request;
    c->request = NULL;
    if (req) {
        if (req->match.endpoint)
            http_route_metrics_end(c->server, req->match.endpoint);
        if (req->filter)
            req->filter->release(req);
        http_file_close(&req->file);
        block_release(&req->head_block);
        block_release(&req->piece_block);
        buf_deinit(&req->body_parts);
        buf_deinit(&req->scratch);
    }
    arena_deinit(&c->arena);
}

static void conn_free_if_done(http_conn *c)
{
    if (c->stream || (c->request && c->request->fiber))
        return;
    http_server *server = c->server;
    request_free(c);
    list_remove(&c->node);
    server->conn_count--;
    http_room_left(c);
    metrics_set(server->metrics, HTTP_METRIC_CONNECTIONS, server->conn_count);
    memory_free(c);
    if (server->draining && server->conn_count == 0 && server->on_drained)
        server->on_drained(server);
}

static void conn_closed(stream *s, error why)
{
    http_conn *c = stream_owner(s);
    http_entrance_closed(c, why);
    if (error_is(why, &STREAM_FILE_FAILED)) /* else, how a client goes is its own affair */
        log_error("response broken off", LOG_ERR(why));
    c->stream = NULL;
    if (c->request && c->request->fiber && http_departure_ends(c->request))
        fiber_cancel(c->request->fiber,
                     error_is(why, &STREAM_STALLED) ? &HTTP_CLIENT_SLOW : &HTTP_CLIENT_GONE);
    conn_free_if_done(c);
}

static void conn_close(http_conn *c)
{
    if (c->closing || !c->stream)
        return;
    c->closing = true;
    http_room_busy(c);
    stream_close(c->stream, LINGER_MS);
}

void http_conn_abort(http_conn *c)
{
    c->closing = true;
    stream_abort(c->stream);
}

/* --- answers --------------------------------------------------------------------------------- */

static size_t put(char *out, size_t at, str s)
{
    memcpy(out + at, s.ptr, s.len);
    return at + s.len;
}

/* Of those that a connection may have. */
static bool is_last_request(const http_conn *c)
{
    return c->probe || c->request_count >= c->server->settings->connection_requests_max;
}

/* Writes the response head to `out`, which has HEAD_BYTES_MAX and the size of `headers`. */
static size_t put_head(http_conn *c, char *out, int status, str content_type, uint64_t length,
                       str headers, bool close)
{
    const uint8_t minor_version = c->request ? c->request->head.minor_version : 1;
    size_t at = put(out, 0, STR("HTTP/1.1 "));
    at += uint64_format(out + at, (uint64_t)status);
    out[at++] = ' ';
    at = put(out, at, http_status_text(status));
    at = put(out, at, (str){ date_field(c->server), HTTP_DATE_FIELD_BYTES });
    if (content_type.len && http_status_has_body(status)) {
        at = put(out, at, STR("\r\nContent-Type: "));
        at = put(out, at, content_type);
    }
    if (length == HTTP_LENGTH_UNKNOWN) {
        if (minor_version > 0)
            at = put(out, at, STR("\r\nTransfer-Encoding: chunked"));
    } else if (http_status_has_body(status)) {
        at = put(out, at, STR("\r\nContent-Length: "));
        at += uint64_format(out + at, length);
    }
    if (close)
        at = put(out, at, STR("\r\nConnection: close"));
    else if (minor_version == 0)
        at = put(out, at, STR("\r\nConnection: keep-alive"));
    at = put(out, at, STR("\r\n"));
    if (headers.len)
        at = put(out, at, headers);
    return put(out, at, STR("\r\n"));
}

/* What is counted of an answer. */
typedef struct answered {
    const router_endpoint *endpoint; /* NULL: no route's */
    uint64_t started_us;
    int status;
} answered;

/* Those of requests that came together: they leave together too, at the end of the row. */
struct http_row {
    uint32_t count;
    answered answers[IN_A_ROW_MAX];
};

static void count_answer(const http_server *server, const answered *a, uint64_t now_us)
{
    const uint32_t class = a->status >= 100 && a->status <= 599 ? (uint32_t)a->status / 100 - 1 : 4;
    const uint64_t us = now_us - a->started_us;
    metrics_add(server->metrics, HTTP_METRIC_REQUESTS_1XX + class, 1);
    metrics_record_us(server->metrics, HTTP_METRIC_DURATION, us);
    if (a->endpoint)
        http_route_metrics_answered(server, a->endpoint, a->status, us);
}

static void respond(http_conn *c, int status, str content_type, str body, str headers, bool no_body,
                    bool close)
{
    stream *s = c->stream;
    if (!s)
        return;
    static_assert(HEAD_BYTES_MAX + HTTP_HEADERS_BYTES_MAX + HTTP_CONTENT_TYPE_BYTES_MAX <=
                      BLOCK_CAPACITY,
                  "a response head fits into a block");
    const size_t head_max = HEAD_BYTES_MAX + headers.len + content_type.len;
    invariant(head_max <= BLOCK_CAPACITY);
    const str sent = no_body || !http_status_has_body(status) ? STR("") : body;
    const bool together = sent.len <= BLOCK_CAPACITY - head_max;
    char *out = stream_reserve(s, head_max + (together ? sent.len : 0));
    if (!out)
        return;
    size_t len = put_head(c, out, status, content_type, body.len, headers, close);
    if (together && sent.len)
        len = put(out, len, sent);
    stream_commit(s, len);
    if (!together)
        stream_write(s, sent);
    if (close)
        conn_close(c);
}

static void respond_constant(const http_request *req, bool close)
{
    http_conn *c = req->conn;
    http_constant_send(req, date_field(c->server), close);
    if (close)
        conn_close(c);
}

void http_conn_start_reply(http_request *req)
{
    http_conn *c = req->conn;
    const str headers = buf_str(&req->headers);
    const uint64_t length = http_reply_length(req);
    /* RFC 9112, 6.3: to a client of 1.0 the end of the connection is the end of the body. */
    const bool ends_it = length == HTTP_LENGTH_UNKNOWN && req->head.minor_version == 0;
    const bool close =
        ends_it || !req->head.keep_alive || c->server->draining || is_last_request(c);
    char *out = stream_reserve(c->stream, HEAD_BYTES_MAX + headers.len + req->content_type.len);
    if (!out)
        return;
    req->closes = close;
    stream_commit(c->stream,
                  put_head(c, out, req->status, req->content_type, length, headers, close));
}

/* An answer without a request behind it, from memory that is always there. Closes. */
static void refuse(http_conn *c, int status, const char *reason)
{
    char body[256];
    const size_t len = http_problem_brief(body, sizeof body, status, reason);
    const bool no_body = c->request && c->request->head.method == HTTP_HEAD;
    respond(c, status, STR("application/problem+json"), (str){ body, len }, STR(""), no_body, true);
    const uint64_t now_us = clock_us();
    const answered a =
        c->request /* which may not even have begun */
            ? (answered){ c->request->match.endpoint, c->request->started_us, status }
            : (answered){ NULL, now_us, status };
    count_answer(c->server, &a, now_us);
}

/* --- a request's life ------------------------------------------------------------------------ */

static void wait_for_request(http_conn *c, uint64_t now_us)
{
    http_room_idle(c);
    const uint64_t from_ms = (now_us + 999) / 1000; /* up: never early */
    stream_set_deadline(c->stream, from_ms + (uint64_t)c->server->settings->idle_timeout_ms);
    stream_resume(c->stream);
}

static bool may_be_reused(const http_conn *c, const http_request *req)
{
    return req->head.keep_alive && !c->server->draining && !stream_at_end(c->stream) &&
           (req->body_state == BODY_NONE || req->body_state == BODY_COMPLETE) &&
           !is_last_request(c);
}

static void log_access(const http_request *req, uint64_t now_us)
{
    log_set_request_id(req->shown_id);
    log_info("request", LOG_STR("method", req->head.method_name),
             LOG_STR("target", req->head.target), LOG_INT("status", req->status),
             LOG_UINT("us", now_us - req->started_us), LOG_STR("client", http_client_known(req)));
    log_set_request_id(STR_NONE);
}

/* Returns what time it is; in a row, when that began. */
static uint64_t response_left(const http_request *req)
{
    const http_conn *c = req->conn;
    const answered a = { req->match.endpoint, req->started_us, req->status };
    const bool logs = c->server->settings->access_log;
    if (c->row && LIKELY(!logs)) {
        c->row->answers[c->row->count++] = a;
        return c->now_us;
    }
    const uint64_t now_us = clock_us();
    count_answer(c->server, &a, now_us);
    if (logs)
        log_access(req, now_us);
    return now_us;
}

/* The fiber of a streamed response has ended. */
static void stream_ended(http_conn *c, http_request *req, error result)
{
    const uint64_t now_us = response_left(req);
    if (result.kind) {
        http_conn_abort(c); /* without its end, the client knows that it is not whole */
        return;
    }
    if (http_reply_length(req) == HTTP_LENGTH_UNKNOWN && req->head.minor_version > 0 &&
        req->head.method != HTTP_HEAD)
        stream_write(c->stream, STR("0\r\n\r\n"));
    const bool reuse = !req->closes && may_be_reused(c, req);
    request_free(c);
    if (reuse)
        wait_for_request(c, now_us);
    else
        conn_close(c);
}

/* The fiber has ended: its staged response leaves. */
static void request_ended(fiber *f, error result, void *arg)
{
    (void)f;
    http_request *req = arg;
    http_conn *c = req->conn;
    req->fiber = NULL;
    if (!c->stream) {
        conn_free_if_done(c);
        return;
    }
    if (req->streaming) {
        stream_ended(c, req, result);
        return;
    }
    if (result.kind || req->status == 0) {
        /* Only the arena's fuse ends a request without a staged answer. */
        log_error("request ended early", LOG_STR("target", req->head.target), LOG_ERR(result));
        refuse(c, result.kind ? http_status_of(result) : 500, NULL);
        return;
    }
    const bool reuse = may_be_reused(c, req);
    if (req->constant)
        respond_constant(req, !reuse);
    else
        respond(c, req->status, req->content_type, req->reply, buf_str(&req->headers),
                req->head.method == HTTP_HEAD, !reuse);
    const uint64_t now_us = response_left(req);
    request_free(c);
    if (reuse)
        wait_for_request(c, now_us);
}

static void crash_settled(loop_task *task)
{
    conn_free_if_done(CONTAINER_OF(task, http_conn, crash_settled));
}

void http_conn_crashed(http_request *req, int status)
{
    http_conn *c = req->conn;
    req->fiber = NULL;
    if (!req->streaming)
        refuse(c, status, NULL);
    else if (c->stream)
        http_conn_abort(c);
    if (c->stream)
        return; /* freed when it has closed */
    /* Later: the fiber's clean-ups, still to be abandoned, lie in the request's arena. */
    c->crash_settled.run = crash_settled;
    loop_post(c->server->loop, &c->crash_settled);
}

/* Eight hexadecimal digits, all at once: a nibble a byte, then a letter's distance for those past
 * nine. */
static void put_hex8(char *out, uint32_t value)
{
    const uint64_t ones = 0x0101010101010101U;
    uint64_t x = value;
    x = (x | x << 16) & 0x0000FFFF0000FFFFU;
    x = (x | x << 8) & 0x00FF00FF00FF00FFU;
    x = (x | x << 4) & 0x0F0F0F0F0F0F0F0FU;
    const uint64_t letters = (x + 6 * ones) >> 4 & ones;
    x = __builtin_bswap64(x + '0' * ones + letters * ('a' - '9' - 1));
    memcpy(out, &x, sizeof x);
}

static void name_request(http_request *req)
{
    http_server *server = req->conn->server;
    /* An odd multiplier visits every 64-bit value once: ids of a worker never repeat. */
    const uint64_t id = (server->request_seed + ++server->request_count) * 0x9E3779B97F4A7C15U;
    put_hex8(req->id, (uint32_t)(id >> 32));
    put_hex8(req->id + 8, (uint32_t)id);
    req->shown_id = (str){ req->id, sizeof req->id };
}

/* When the row began. */
static uint64_t row_now_us(http_conn *c)
{
    if (!c->now_us)
        c->now_us = clock_us();
    return c->now_us;
}

/* A request for the first bytes of one; NULL without memory. */
static http_request *request_begin(http_conn *c)
{
    arena_init(&c->arena, (size_t)c->server->settings->arena_bytes_max);
    http_request *req = arena_try_alloc(&c->arena, sizeof *req, _Alignof(http_request));
    if (!req)
        return NULL;
    http_head_init(&req->head);
    memset(&req->match, 0, offsetof(router_match, params));
    memset(&req->target, 0, sizeof *req - offsetof(http_request, target));
    req->conn = c;
    req->started_us = row_now_us(c);
    buf_init(&req->body_parts, (size_t)c->server->settings->body_bytes_max);
    c->request = req;
    c->request_count++;
    http_room_busy(c);
    return req;
}

/* The head is whole: what of the body came along is taken, and the fiber starts. */
static size_t request_start(http_conn *c, http_request *req, str bytes)
{
    size_t consumed = req->head.bytes;
    req->head_block = stream_keep_block(c->stream);
    if (req->head.chunked) {
        req->body_state = BODY_WAITING;
    } else if (req->head.content_length > 0) {
        req->body_state = BODY_WAITING;
        req->body_left = req->head.content_length;
        if (req->body_left <= bytes.len - consumed) {
            req->body = str_slice(bytes, consumed, (size_t)req->body_left);
            req->body_state = BODY_COMPLETE;
            consumed += req->body.len;
        }
    }
    stream_pause(c->stream);
    stream_set_timeout(c->stream, 0);
    req->whole_us = row_now_us(c);
    name_request(req);
    const fiber_options options = {
        .name = "request",
        .arena = &c->arena,
        .may_be_spare = true, /* http_shed_admit gives it back, but for routes of high priority */
        .at_once = true,
        .ended = request_ended,
        .ended_arg = req,
    };
    const error e = fiber_start(c->server->loop, &options, http_request_run, req, &req->fiber);
    if (e.kind)
        refuse(c, 503, "too many requests at once");
    return consumed;
}

static http_head_limits head_limits(const http_settings *settings)
{
    return (http_head_limits){
        .request_line_bytes_max = (uint32_t)settings->request_line_bytes_max,
        .fields_bytes_max = (uint32_t)settings->header_bytes_max,
        .fields_max = (uint32_t)settings->header_fields_max,
    };
}

/* Bytes of the connection's request: of its head, or of its body. */
static size_t take_request(http_conn *c, str bytes)
{
    if (c->request && c->request->fiber)
        return http_body_take(c->request, bytes);
    if (bytes.len == 0) {
        conn_close(c); /* the client ended; half a request is nobody's */
        return 0;
    }
    const bool begins = !c->request;
    http_request *req = begins ? request_begin(c) : c->request;
    if (!req) {
        refuse(c, 503, "out of memory");
        return bytes.len;
    }
    const http_head_limits limits = head_limits(c->server->settings);
    switch (http_head_parse(&req->head, bytes, &limits)) {
    case HTTP_HEAD_INCOMPLETE:
        if (stream_at_end(c->stream))
            conn_close(c);
        else if (begins) /* most heads come whole, and need no time */
            stream_set_timeout(c->stream, (uint32_t)c->server->settings->header_timeout_ms);
        return 0;
    case HTTP_HEAD_DONE:
        return request_start(c, req, bytes);
    case HTTP_HEAD_BAD:
        refuse(c, req->head.status, req->head.reason);
        return bytes.len;
    }
    unreachable();
}

/* Whether the request that was taken is answered already, and another may be. */
static bool takes_another(const http_conn *c)
{
    return !c->request && c->stream && !c->closing &&
           stream_queued(c->stream) < HTTP_OUTPUT_BYTES_HIGH;
}

static void row_ended(const http_server *server, const struct http_row *row)
{
    const uint64_t now_us = row->count > 0 ? clock_us() : 0;
    for (uint32_t i = 0; i < row->count; i++)
        count_answer(server, &row->answers[i], now_us);
}

/* Those that came together are answered one after another, while what they use is in cache. */
static size_t take_requests(http_conn *c, str bytes)
{
    struct http_row row;
    row.count = 0;
    c->row = &row;
    c->now_us = 0;
    size_t consumed = take_request(c, bytes);
    for (int taken = 1; taken < IN_A_ROW_MAX && consumed < bytes.len && takes_another(c); taken++)
        consumed += take_request(c, str_slice(bytes, consumed, bytes.len));
    c->row = NULL;
    row_ended(c->server, &row);
    return consumed;
}

/* Bytes before the first request; what stands behind a header is taken at once. */
static size_t enter(http_conn *c, str bytes)
{
    size_t consumed;
    if (!http_entrance_take(c, bytes, &consumed)) {
        conn_close(c);
        return bytes.len;
    }
    const str rest = str_slice(bytes, consumed, bytes.len);
    if (c->stage == HTTP_STAGE_REQUESTS && (rest.len > 0 || stream_at_end(c->stream)))
        consumed += take_requests(c, rest);
    return consumed;
}

static size_t conn_data(stream *s, str bytes)
{
    http_conn *c = stream_owner(s);
    if (c->closing)
        return bytes.len;
    return LIKELY(c->stage == HTTP_STAGE_REQUESTS) ? take_requests(c, bytes) : enter(c, bytes);
}

static void conn_timeout(stream *s)
{
    http_conn *c = stream_owner(s);
    if (!c->request) {
        http_entrance_late(c);
        conn_close(c);
    } else if (!c->request->fiber) {
        refuse(c, 408, "the request did not arrive in time");
    } else if (c->request->body_waiter) {
        http_body_late(c->request);
    } else {
        http_departure_probe(c->request);
    }
}

static void conn_ended(stream *s)
{
    const http_conn *c = stream_owner(s);
    if (c->request)
        http_departure_consider(c->request);
}

static void conn_drained(stream *s)
{
    const http_conn *c = stream_owner(s);
    if (c->request)
        http_reply_drained(c->request);
}

/* Its handshake is done. */
static void conn_opened(stream *s)
{
    http_entrance_shaken(stream_owner(s));
}

static const stream_handler CONN_HANDLER = {
    .data = conn_data,
    .opened = conn_opened,
    .ended = conn_ended,
    .timeout = conn_timeout,
    .drained = conn_drained,
    .closed = conn_closed,
};

static stream_options options_of(const http_server *server)
{
    const http_settings *settings = server->settings;
    return (stream_options){
        .input_bytes_max = (size_t)settings->request_line_bytes_max +
                           (size_t)settings->header_bytes_max + INPUT_BYTES_SPARE,
        .output_bytes_high = HTTP_OUTPUT_BYTES_HIGH,
        .send_timeout_ms = (uint32_t)settings->write_timeout_ms,
        .send_rate_min = (uint32_t)settings->write_rate_min,
    };
}

/* NULL: there is no room for it. */
static http_conn *conn_make(http_server *server, const http_entrance *entrance)
{
    http_conn *c = http_room_make(server, entrance->probe) ? http_entrance_conn(entrance) : NULL;
    if (c) {
        c->server = server;
        c->probe = entrance->probe;
    } else
        metrics_add(server->metrics, HTTP_METRIC_CONNECTIONS_REFUSED, 1);
    return c;
}

/* `made`: whether its stream stands. */
static void conn_begin(http_conn *c, const http_entrance *entrance, error made)
{
    http_server *server = c->server;
    if (made.kind) {
        memory_free(c);
        metrics_add(server->metrics, HTTP_METRIC_CONNECTIONS_REFUSED, 1);
        return;
    }
    list_append(&server->conns, &c->node);
    server->conn_count++;
    server->probe_count += c->probe;
    metrics_add(server->metrics, HTTP_METRIC_CONNECTIONS_ACCEPTED, 1);
    metrics_set(server->metrics, HTTP_METRIC_CONNECTIONS, server->conn_count);
    if (!http_entrance_begin(c, entrance))
        conn_close(c);
    else if (server->draining) /* it waited in the queue before */
        stream_set_timeout(c->stream, DRAIN_NEW_MS);
    http_room_taken(server);
}

void http_server_accept(int fd, void *entrance_arg)
{
    const http_entrance *entrance = entrance_arg;
    http_server *server = entrance->server;
    http_conn *c = conn_make(server, entrance);
    if (!c) {
        close(fd);
        return;
    }
    const stream_options options = options_of(server);
    conn_begin(c, entrance,
               stream_from_fd(server->loop, fd, &CONN_HANDLER, &options, c, &c->stream));
}

error http_server_pair(http_server *server, const stream_pair_end *client, const address *peer,
                       stream **out)
{
    const http_entrance plain = { .server = server };
    http_conn *c = conn_make(server, &plain);
    if (!c)
        return error_set(&STREAM_CONNECT_FAILED, "there is no room for another connection");
    const stream_options options = options_of(server);
    const stream_pair_end ends[2] = {
        { .handler = &CONN_HANDLER, .options = &options, .owner = c, .peer = peer },
        *client,
    };
    stream *both[2] = { NULL, NULL };
    const error e = stream_pair(server->loop, ends, 0, both);
    c->stream = both[0];
    *out = both[1];
    conn_begin(c, &plain, e);
    return e;
}

void http_server_drain(http_server *server, bool hurry)
{
    server->draining = true;
    LIST_EACH (http_conn, c, &server->conns, node) {
        const uint32_t ms = c->request_count > 0 ? DRAIN_IDLE_MS : DRAIN_NEW_MS;
        if (!c->request && c->stream)
            stream_set_timeout(c->stream, hurry ? ms : DRAIN_CALM_MS);
    }
    if (server->conn_count == 0 && server->on_drained)
        server->on_drained(server);
}
