/* Calls: on the fiber the exchange from beginning to end, with its retry and redirects; on the loop
 * what the server sends, taken as far as the fiber wants it.
 *
 *   fiber:  begin: check, line, connect, head, body -> receive: end, wait for the head -> read …
 *   loop:   bytes -> head, 1xx passed over -> a piece each time one is wanted -> whole
 *
 * What one does the other sees in the call's state; a fiber that waits is woken to look.
 *
 * Invariant: a connection goes back to the others only when request and reply are whole, the reply
 * says that it may, and nothing came behind it. */
#include "client.h"

#include "core/clock.h"
#include "core/metrics.h"

#include <stdio.h>
#include <string.h>

#define INTERIMS_MAX    16    /* 1xx replies before the final one */
#define DRAIN_BYTES_MAX 65536 /* of a redirect's body that are read to keep the connection */

/* --- waiting ---------------------------------------------------------------------------------- */

void http_call_wake(http_call *c)
{
    fiber *f = c->fiber;
    if (!f)
        return;
    c->fiber = NULL;
    loop_timer_cancel(c->client->loop, &c->timer);
    fiber_wake(f, OK);
}

static void call_rang(timer *t)
{
    http_call *c = CONTAINER_OF(t, http_call, timer);
    c->rang = true;
    http_call_wake(c);
}

static void call_forgotten(void *arg)
{
    http_call *c = arg;
    c->fiber = NULL;
    loop_timer_cancel(c->client->loop, &c->timer);
}

error http_call_wait(http_call *c, const char *what, uint32_t ms)
{
    loop *l = c->client->loop;
    const uint64_t now_ms = loop_now_ms(l);
    const uint64_t left_ms = c->deadline_ms > now_ms ? c->deadline_ms - now_ms : 0;
    const bool bounded = ms != UINT32_MAX || c->deadline_ms != UINT64_MAX;
    if (left_ms == 0)
        return error_set(&HTTP_CALL_TIMED_OUT, "%s: the call has used up its time", what);
    c->rang = false;
    c->fiber = fiber_self();
    if (bounded)
        loop_timer_arm(l, &c->timer, left_ms < ms ? (uint32_t)left_ms : ms);
    TRY(fiber_park(what, call_forgotten, c));
    return c->rang ? error_set(&HTTP_CALL_TIMED_OUT, "%s of %.*s", what, STR_ARG(c->url.authority))
                   : OK;
}

void http_call_fail(http_call *c, const error_kind *why, int system_errno, const char *text)
{
    if (c->state == HTTP_CALL_WHOLE || c->state == HTTP_CALL_FAILED)
        return;
    c->state = HTTP_CALL_FAILED;
    c->why = why;
    c->why_errno = system_errno;
    (void)snprintf(c->why_text, sizeof c->why_text, "%s", text);
    http_call_wake(c);
}

error http_call_failure(const http_call *c)
{
    if (c->why_errno)
        return error_set_errno(c->why, c->why_errno, "%s", c->why_text);
    return error_set(c->why, "%s", c->why_text);
}

/* --- what comes, on the loop ------------------------------------------------------------------ */

/* What the server sends makes no sense: nothing behind it is looked at. */
static void refuse(http_call *c, const error_kind *why, const char *text)
{
    http_call_fail(c, why, 0, text);
    stream_pause(c->conn->stream);
}

/* The reply is all there; `unasked`: so is more. */
static void whole(http_call *c, bool unasked)
{
    c->state = HTTP_CALL_WHOLE;
    c->wants = false;
    c->unasked = unasked;
    http_call_wake(c);
}

/* Looks at what pieces the end of the connection makes of a body that has no bytes left. */
static void body_at_end(http_call *c)
{
    str none = STR(""), data;
    if (http_reply_pieces_next(&c->pieces, &none, true, &data) == HTTP_PIECE_END)
        whole(c, true);
    else
        http_call_fail(c, &HTTP_CALL_LOST, 0, "the server ended before its reply was whole");
}

static void head_is_there(http_call *c, str head, str behind, bool at_end)
{
    char *copy = arena_try_alloc(c->arena, head.len, 1);
    if (!copy) {
        refuse(c, &OUT_OF_MEMORY, "no memory for a reply's head");
        return;
    }
    memcpy(copy, head.ptr, head.len);
    http_fields_slice(&c->head.fields, copy);
    http_reply_pieces_init(&c->pieces, &c->head, c->request.method);
    c->state = HTTP_CALL_READING;
    if (c->pieces.kind == HTTP_REPLY_NO_BODY) {
        whole(c, behind.len > 0 || at_end);
        return;
    }
    if (at_end && behind.len == 0) {
        body_at_end(c);
        return;
    }
    stream_pause(c->conn->stream);
    http_call_wake(c);
}

/* Whether the request has not begun to leave: whatever comes is not about it. */
static bool nothing_left(const http_call *c)
{
    return stream_queued(c->conn->stream) >= c->written;
}

static size_t refuse_unasked(http_call *c, str bytes)
{
    if (bytes.len == 0)
        refuse(c, &HTTP_CALL_LOST, "the server ended before it was asked");
    else
        refuse(c, c->reused ? &HTTP_CALL_LOST : &HTTP_CALL_BAD_REPLY, "the server spoke unasked");
    return bytes.len;
}

static size_t take_head(http_call *c, str bytes, bool at_end)
{
    str rest = bytes;
    for (;;) {
        switch (http_reply_head_parse(&c->head, rest, c->client->options.head_bytes_max)) {
        case HTTP_REPLY_INCOMPLETE:
            if (at_end)
                refuse(c, &HTTP_CALL_LOST, "the server ended before its reply");
            return bytes.len - rest.len;
        case HTTP_REPLY_BAD:
            refuse(c, &HTTP_CALL_BAD_REPLY, c->head.reason);
            return bytes.len;
        case HTTP_REPLY_TOO_LARGE:
            refuse(c, &HTTP_CALL_REPLY_TOO_LARGE, c->head.reason);
            return bytes.len;
        case HTTP_REPLY_DONE:
            break;
        }
        const str head = str_slice(rest, 0, c->head.bytes);
        rest = str_slice(rest, head.len, rest.len);
        if (c->head.status >= 200) {
            head_is_there(c, head, rest, at_end);
            return bytes.len - rest.len;
        }
        if (c->head.status == 101 || ++c->interims > INTERIMS_MAX) {
            refuse(c, &HTTP_CALL_BAD_REPLY, "an interim reply that nobody asked for");
            return bytes.len;
        }
        http_reply_head_init(&c->head);
    }
}

static size_t take_piece(http_call *c, str bytes, bool at_end)
{
    str rest = bytes, data;
    switch (http_reply_pieces_next(&c->pieces, &rest, at_end, &data)) {
    case HTTP_PIECE_MORE:
        return bytes.len - rest.len;
    case HTTP_PIECE_END:
        whole(c, rest.len > 0 || at_end);
        return bytes.len - rest.len;
    case HTTP_PIECE_CUT:
        refuse(c, &HTTP_CALL_LOST, "the server ended before its reply was whole");
        return bytes.len;
    case HTTP_PIECE_BAD:
        refuse(c, &HTTP_CALL_BAD_REPLY, "malformed chunks");
        return bytes.len;
    case HTTP_PIECE_DATA:
        break;
    }
    c->piece = data;
    c->piece_block = stream_keep_block(c->conn->stream);
    c->wants = false;
    if (c->pieces.kind == HTTP_REPLY_SIZED && c->pieces.left == 0) {
        whole(c, rest.len > 0 || at_end);
    } else if (at_end && rest.len == 0) {
        body_at_end(c);
    } else {
        stream_pause(c->conn->stream);
        http_call_wake(c);
    }
    return bytes.len - rest.len;
}

size_t http_call_take(http_call *c, str bytes)
{
    const bool at_end = stream_at_end(c->conn->stream);
    switch (c->state) {
    case HTTP_CALL_ASKING:
        if (nothing_left(c))
            return refuse_unasked(c, bytes);
        c->answered |= bytes.len > 0;
        return take_head(c, bytes, at_end);
    case HTTP_CALL_READING:
        if (c->wants)
            return take_piece(c, bytes, at_end);
        stream_pause(c->conn->stream); /* whoever wanted it has stopped waiting */
        return 0;
    case HTTP_CALL_CONNECTING:
        return refuse_unasked(c, bytes);
    case HTTP_CALL_WHOLE:
        c->unasked = true;
        return bytes.len;
    case HTTP_CALL_FAILED:
        return bytes.len;
    }
    unreachable();
}

/* --- counting --------------------------------------------------------------------------------- */

static uint32_t metric_of(error e)
{
    if (error_is(e, &STREAM_CONNECT_FAILED))
        return HTTP_CLIENT_METRIC_ERRORS_CONNECT;
    if (error_is(e, &TLS_FAILED))
        return HTTP_CLIENT_METRIC_ERRORS_TLS;
    if (error_is(e, &HTTP_CALL_TIMED_OUT) || error_is(e, &TIMED_OUT))
        return HTTP_CLIENT_METRIC_ERRORS_TIMEOUT;
    if (error_is(e, &HTTP_CALL_LOST))
        return HTTP_CLIENT_METRIC_ERRORS_LOST;
    if (error_is(e, &HTTP_CALL_BAD_REPLY) || error_is(e, &HTTP_CALL_REPLY_TOO_LARGE) ||
        error_is(e, &HTTP_CALL_BAD_REDIRECT))
        return HTTP_CLIENT_METRIC_ERRORS_REPLY;
    return HTTP_CLIENT_METRIC_ERRORS_OTHER;
}

/* A call counts once: by its answer, or by what went wrong before it or after. */
static error counted(http_call *c, error e)
{
    if (!e.kind || c->counted)
        return e;
    c->counted = true;
    http_client_count(c->client, metric_of(e), 1);
    return e;
}

static void count_answer(http_call *c)
{
    static const uint32_t metrics[] = { HTTP_CLIENT_METRIC_2XX, HTTP_CLIENT_METRIC_3XX,
                                        HTTP_CLIENT_METRIC_4XX, HTTP_CLIENT_METRIC_5XX };
    c->counted = true;
    http_client_count(c->client, metrics[c->head.status / 100 - 2], 1);
    metrics_record_us(c->client->metrics, HTTP_CLIENT_METRIC_DURATION, clock_us() - c->started_us);
}

/* --- the exchange, on the fiber --------------------------------------------------------------- */

/* Gives the connection back, or up. */
static void let_go(http_call *c)
{
    const bool keeps = c->state == HTTP_CALL_WHOLE && c->ended && !c->unasked && c->conn &&
                       c->conn->stream && stream_queued(c->conn->stream) == 0 &&
                       http_reply_keeps_alive(&c->head, c->request.method);
    http_client_release(c, keeps);
}

/* Whether sending it twice does what sending it once does (RFC 9110, 9.2.2). */
static bool is_idempotent(http_method method)
{
    switch (method) {
    case HTTP_GET:
    case HTTP_HEAD:
    case HTTP_PUT:
    case HTTP_DELETE:
    case HTTP_OPTIONS:
    case HTTP_TRACE:
        return true;
    case HTTP_POST:
    case HTTP_PATCH:
    case HTTP_CONNECT:
    case HTTP_METHOD_OTHER:
        break;
    }
    return false;
}

/* One attempt: a connection, and on it the head, and the body that is there already. */
static error attempt(http_call *c)
{
    c->state = HTTP_CALL_CONNECTING;
    c->why = NULL;
    c->why_errno = 0;
    c->answered = c->ended = c->unasked = false;
    c->interims = 0;
    c->written = 0;
    TRY(http_client_acquire(c));
    if (!c->reused)
        TRY(http_client_connect(c));
    else if (!is_idempotent(c->request.method))
        TRY(fiber_yield()); /* the server's end may be there already: then nothing is sent */
    if (c->state == HTTP_CALL_FAILED)
        return OK; /* told by whoever receives */
    TRY(http_call_send_head(c));
    if (c->request.body_streamed > 0)
        return OK;
    TRY(http_call_send_bytes(c, c->request.body));
    http_call_send_end(c);
    return OK;
}

static bool may_be_repeated(const http_call *c)
{
    return c->written == 0 || (is_idempotent(c->request.method) && !c->streamed);
}

/* Sends the request again, if a connection that was used before has ended instead of answering. */
static error retry(http_call *c)
{
    const bool stale = c->reused && !c->answered && c->why == &HTTP_CALL_LOST;
    if (!stale || c->retried || !may_be_repeated(c))
        return http_call_failure(c);
    http_client_count(c->client, HTTP_CLIENT_METRIC_RETRIED, 1);
    c->retried = c->fresh = true;
    let_go(c);
    return attempt(c);
}

/* Waits for a reply's head, whatever it takes. */
static error await_head(http_call *c)
{
    for (;;) {
        if (c->state == HTTP_CALL_FAILED)
            TRY(retry(c));
        else if (c->state == HTTP_CALL_ASKING)
            TRY(http_call_wait(c, "http reply", c->client->options.reply_timeout_ms));
        else
            return OK;
        http_call_send_end(c); /* of one that was sent again */
    }
}

/* --- redirects -------------------------------------------------------------------------------- */

static bool is_redirect(const http_call *c)
{
    const uint16_t status = c->head.status;
    const bool repeats = status == 307 || status == 308;
    return c->client->options.redirects_max > 0 &&
           (repeats || status == 301 || status == 302 || status == 303) &&
           !(repeats && c->request.body_streamed > 0) &&
           http_fields_find(&c->head.fields, STR("location")).ptr;
}

/* RFC 9110, 15.4: 303 asks for another thing; 301 and 302 have always made a POST into a GET. */
static void change_method(http_call *c)
{
    http_client_request *r = &c->request;
    const uint16_t status = c->head.status;
    const bool gets = status == 303 ? r->method != HTTP_HEAD && r->method != HTTP_GET
                                    : (status == 301 || status == 302) && r->method == HTTP_POST;
    if (!gets)
        return;
    r->method = HTTP_GET;
    r->body = r->content_type = STR_NONE;
    r->body_streamed = 0;
    c->bodiless = true;
}

static YIELDS error read_piece(http_call *c, str *piece);

/* Reads what little a redirect says, so that its connection can be used again. */
static error drain(http_call *c)
{
    size_t bytes = 0;
    str piece = STR("x");
    while (piece.len > 0 && bytes < DRAIN_BYTES_MAX && c->state != HTTP_CALL_FAILED) {
        const error e = read_piece(c, &piece);
        if (e.kind && c->state == HTTP_CALL_FAILED)
            break; /* its connection is of no more use, and that is all */
        TRY(e);
        bytes += piece.len;
    }
    return OK;
}

static error follow(http_call *c)
{
    const str location = http_fields_find(&c->head.fields, STR("location"));
    http_url next;
    if (c->redirects++ >= c->client->options.redirects_max)
        return error_set(&HTTP_CALL_BAD_REDIRECT, "more than %u redirects",
                         c->client->options.redirects_max);
    const char *wrong = http_url_resolve(c->arena, &c->url, location, &next);
    if (wrong)
        return error_set(&HTTP_CALL_BAD_REDIRECT, "location with %s", wrong);
    if (c->url.tls && !next.tls)
        return error_set(&HTTP_CALL_BAD_REDIRECT, "from https to %.*s", STR_ARG(next.authority));
    TRY(drain(c));
    let_go(c);
    block_release(&c->piece_block);
    c->piece = STR("");
    c->foreign |= !http_url_same_origin(&c->url, &next);
    change_method(c);
    c->url = next;
    c->retried = c->fresh = false;
    return attempt(c);
}

/* --- in pieces -------------------------------------------------------------------------------- */

static void drop(http_call *c)
{
    if (!c->client)
        return;
    call_forgotten(c);
    http_lookup_forget(c);
    http_client_leave_line(c);
    let_go(c);
    block_release(&c->piece_block);
    http_client_unref(&c->client);
}

static error left_run(void *arg)
{
    drop(arg);
    return OK;
}

static void left_abandon(void *arg)
{
    drop(arg);
}

static const cleanup CALL_LEFT = { .run = left_run, .abandon = left_abandon, .name = "http call" };

static error call_new(http_client *client, const http_client_request *request, http_call **out)
{
    http_url url;
    TRY(http_call_check(request));
    const char *wrong = http_url_parse(fiber_arena(), request->url, &url);
    if (wrong)
        return error_set(&HTTP_CALL_BAD_URL, "a URL of %zu bytes with %s", request->url.len, wrong);
    const uint32_t ms = request->timeout_ms ? request->timeout_ms : client->options.timeout_ms;
    http_call *c = ARENA_NEW(fiber_arena(), http_call);
    c->left = scope_defer(&CALL_LEFT, c); /* which may end the fiber: nothing is held yet */
    c->client = http_client_ref(client);
    c->arena = fiber_arena();
    c->request = *request;
    if (!c->request.method)
        c->request.method = HTTP_GET;
    c->url = url;
    c->timer.fire = call_rang;
    c->started_us = clock_us();
    c->deadline_ms =
        ms == HTTP_CLIENT_TIMEOUT_NONE ? UINT64_MAX : loop_now_ms(client->loop) + ms + 1;
    c->body_left = request->body_streamed;
    *out = c;
    return OK;
}

error http_call_begin(http_client *client, const http_client_request *request, http_call **out)
{
    invariant(!(request->body_streamed > 0 && request->body.ptr));
    *out = NULL;
    http_call *c = NULL;
    TRY(call_new(client, request, &c));
    invariant(c != NULL);
    const error e = counted(c, attempt(c));
    if (e.kind)
        http_call_end(&c);
    *out = c;
    return e;
}

error http_call_write(http_call *c, str bytes)
{
    invariant(c->request.body_streamed > 0 && !c->ended);
    if (c->request.body_streamed != HTTP_CLIENT_LENGTH_NONE) {
        invariant(bytes.len <= c->body_left); /* the length was announced */
        c->body_left -= bytes.len;
    }
    if (c->state == HTTP_CALL_FAILED && c->written == 0) /* the connection ended in the pool */
        TRY(counted(c, retry(c)));
    c->streamed |= bytes.len > 0;
    TRY(counted(c, http_call_send_bytes(c, bytes)));
    return c->state == HTTP_CALL_FAILED ? counted(c, http_call_failure(c)) : OK;
}

static error receive(http_call *c)
{
    for (;;) {
        if (c->state == HTTP_CALL_FAILED && c->written == 0)
            TRY(retry(c));
        const bool sized = c->request.body_streamed != HTTP_CLIENT_LENGTH_NONE;
        if (c->state == HTTP_CALL_ASKING && c->request.body_streamed > 0)
            invariant(!sized || c->body_left == 0);
        http_call_send_end(c);
        TRY(await_head(c));
        if (!is_redirect(c))
            return OK;
        TRY(follow(c));
    }
}

error http_call_receive(http_call *c, http_client_reply *out)
{
    *out = (http_client_reply){ .body = STR("") };
    TRY(counted(c, receive(c)));
    if (!c->counted)
        count_answer(c);
    *out = (http_client_reply){
        .status = c->head.status, .body = STR(""), .url = c->url.text, .head = &c->head
    };
    return OK;
}

static error read_piece(http_call *c, str *piece)
{
    block_release(&c->piece_block);
    c->piece = *piece = STR("");
    while (c->state == HTTP_CALL_READING && c->piece.len == 0) {
        c->wants = true;
        stream_resume(c->conn->stream);
        const error e = http_call_wait(c, "http reply body", c->client->options.stall_timeout_ms);
        c->wants = false;
        TRY(e);
    }
    *piece = c->piece;
    if (c->piece.len > 0)
        return OK;
    return c->state == HTTP_CALL_FAILED ? http_call_failure(c) : OK;
}

error http_call_read(http_call *c, str *piece)
{
    invariant(c->state != HTTP_CALL_CONNECTING && c->state != HTTP_CALL_ASKING); /* received */
    TRY(counted(c, read_piece(c, piece)));
    if (piece->len == 0)
        let_go(c);
    return OK;
}

void http_call_end(http_call **owner)
{
    http_call *c = *owner;
    *owner = NULL;
    if (!c)
        return;
    scope_disarm(&c->left);
    drop(c);
}
