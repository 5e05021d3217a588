/* Connections of the client: their streams, and how they are opened.
 *
 * A name is looked up on a fiber of its own, because a resolver cannot be interrupted and a call
 * must be: whoever stops waiting leaves the lookup to end by itself.
 *
 * Invariant: a connection is freed when it is dropped and the last of its streams has closed. */
#include "client.h"

#include "core/memory.h"

#include <stdio.h>
#include <string.h>

#define INPUT_BYTES_MORE ((size_t)64 << 10) /* what may stand behind a reply's head */

/* --- streams ---------------------------------------------------------------------------------- */

http_client_conn *http_client_conn_new(http_origin *o)
{
    http_client_conn *c = MEMORY_NEW(http_client_conn);
    if (!c)
        return NULL;
    c->client = http_client_ref(o->client);
    c->origin = o;
    o->open++;
    c->client->open++;
    http_client_count(c->client, HTTP_CLIENT_METRIC_CONNECTIONS, 1);
    list_append(&c->client->conns, &c->node);
    return c;
}

void http_client_conn_settle(http_client_conn *c)
{
    if (c->origin || c->streams > 0)
        return;
    invariant(!c->call && !c->stream && !list_linked(&c->idle));
    list_remove(&c->node);
    http_client_settle(c->client);
    http_client_unref(&c->client);
    memory_free(c);
}

static void conn_opened(stream *s)
{
    http_client_conn *c = stream_owner(s);
    if (c->stream != s)
        return;
    c->opened = true;
    if (c->call)
        http_call_wake(c->call);
}

static size_t conn_data(stream *s, str bytes)
{
    http_client_conn *c = stream_owner(s);
    if (c->stream != s)
        return bytes.len;
    if (c->call)
        return http_call_take(c->call, bytes);
    http_client_drop(c); /* nobody asked for anything, or the server has ended */
    return bytes.len;
}

static void conn_drained(stream *s)
{
    http_client_conn *c = stream_owner(s);
    if (c->stream != s || !c->call)
        return;
    c->call->choked = false;
    http_call_wake(c->call);
}

/* It was idle for too long. */
static void conn_timeout(stream *s)
{
    http_client_conn *c = stream_owner(s);
    if (c->stream == s && !c->call)
        http_client_drop(c);
}

/* What the end of the connection means for its call. */
static void tell_call(const http_client_conn *c, error why)
{
    const error_detail *detail = error_detail_of(why);
    const error_kind *kind = why.kind;
    char text[sizeof c->call->why_text];
    if (!kind || (c->opened && !error_is(why, &OUT_OF_MEMORY)))
        kind = &HTTP_CALL_LOST;
    (void)snprintf(text, sizeof text, "%.*s",
                   STR_ARG(detail ? detail->text : STR("the connection was closed")));
    http_call_fail(c->call, kind, detail ? detail->system_errno : 0, text);
}

static void conn_closed(stream *s, error why)
{
    http_client_conn *c = stream_owner(s);
    c->streams--;
    if (c->stream == s) {
        c->stream = NULL;
        if (c->call) {
            tell_call(c, why);
        } else {
            http_client_drop(c);
            return;
        }
    }
    http_client_conn_settle(c);
}

static const stream_handler STREAM = {
    .data = conn_data,
    .opened = conn_opened,
    .drained = conn_drained,
    .timeout = conn_timeout,
    .closed = conn_closed,
};

/* --- names ------------------------------------------------------------------------------------ */

static error look_up(void *arg)
{
    http_lookup *l = arg;
    const error e = address_resolve((str){ l->host, l->host_len }, l->port, l->found,
                                    ARRAY_LEN(l->found), &l->count);
    const error_detail *detail = error_detail_of(e);
    if (e.kind)
        (void)snprintf(l->why_text, sizeof l->why_text, "%.*s",
                       STR_ARG(detail ? detail->text : str_from_c(e.kind->name)));
    return e;
}

static void look_up_ended(fiber *f, error result, void *arg)
{
    (void)f;
    http_lookup *l = arg;
    http_client *client = l->client;
    l->done = true;
    l->why = result.kind;
    client->lookups--;
    if (l->call)
        http_call_wake(l->call);
    else
        memory_free(l);
    http_client_settle(client);
    http_client_unref(&client);
}

void http_lookup_forget(http_call *call)
{
    http_lookup *l = call->lookup;
    call->lookup = NULL;
    if (!l)
        return;
    l->call = NULL;
    if (l->done)
        memory_free(l);
}

static error look_up_start(http_call *call)
{
    const http_url *url = &call->url;
    http_lookup *l = MEMORY_NEW(http_lookup);
    if (!l)
        return error_set(&OUT_OF_MEMORY, "no memory to look up a name");
    const fiber_options options = { .name = "http lookup", .ended = look_up_ended, .ended_arg = l };
    l->port = url->port;
    l->host_len = url->host.len;
    memcpy(l->host, url->host.ptr, url->host.len);
    const error e = fiber_start(call->client->loop, &options, look_up, l, NULL);
    if (e.kind) {
        memory_free(l);
        return e;
    }
    l->call = call;
    l->client = http_client_ref(call->client);
    l->client->lookups++;
    call->lookup = l;
    return OK;
}

/* The addresses of the call's host, in its arena. */
static error find_addresses(http_call *call, address **found, size_t *count)
{
    const http_url *url = &call->url;
    *found = ARENA_NEW_ARRAY(call->arena, address, HTTP_ADDRESSES_MAX);
    *count = 1;
    const char *open = url->is_ip6 ? "[" : "", *close = url->is_ip6 ? "]" : "";
    const str number =
        str_format(call->arena, "%s%.*s%s:%u", open, STR_ARG(url->host), close, url->port);
    if (address_parse(number, *found))
        return OK;
    TRY(look_up_start(call));
    while (!call->lookup->done && !call->why)
        TRY(http_call_wait(call, "http name", UINT32_MAX));
    if (call->why)
        return http_call_failure(call);
    http_lookup *l = call->lookup;
    *count = l->count;
    memcpy(*found, l->found, l->count * sizeof(address));
    const error e = l->why ? error_set(l->why, "%s", l->why_text) : OK;
    http_lookup_forget(call);
    return e;
}

/* --- opening ---------------------------------------------------------------------------------- */

static error open_stream(http_call *call, const address *to)
{
    http_client_conn *c = call->conn;
    const http_client *client = call->client;
    const stream_options options = { .input_bytes_max =
                                         client->options.head_bytes_max + INPUT_BYTES_MORE,
                                     .output_bytes_high = HTTP_CALL_OUTPUT_HIGH,
                                     .full_duplex = true };
    call->why = NULL; /* of the address before */
    call->state = HTTP_CALL_CONNECTING;
    c->opened = false;
    TRY(stream_connect(client->loop, to, &STREAM, &options, c, &c->stream));
    c->streams++;
    return call->url.tls ? stream_start_tls_client(c->stream, client->tls, call->url.host) : OK;
}

/* Gives up on an address; its stream closes by itself. */
static void give_up(http_call *call)
{
    http_client_conn *c = call->conn;
    if (!c || !c->stream)
        return;
    stream *s = c->stream;
    c->stream = NULL;
    stream_abort(s);
}

static error connect_to(http_call *call, const address *to)
{
    error e = open_stream(call, to);
    while (!e.kind && !call->why && !call->conn->opened)
        e = http_call_wait(call, "http connect", call->client->options.connect_timeout_ms);
    if (!e.kind && call->why)
        e = http_call_failure(call);
    if (!e.kind)
        return OK;
    give_up(call);
    return error_wrap(e, e.kind, "%.*s at %.*s", STR_ARG(call->url.authority),
                      STR_ARG(address_text(call->arena, to)));
}

error http_client_connect(http_call *call)
{
    address *found;
    size_t count;
    TRY(find_addresses(call, &found, &count));
    error e = error_set(&STREAM_CONNECT_FAILED, "the name has no address");
    for (size_t i = 0; i < count; i++) {
        if (!call->conn) /* taken away between two addresses */
            return error_set(&HTTP_CLIENT_CLOSED, "while connecting");
        e = connect_to(call, &found[i]);
        if (!e.kind) {
            http_client_count(call->client, HTTP_CLIENT_METRIC_OPENED, 1);
            return OK;
        }
        const bool next = error_is(e, &STREAM_CONNECT_FAILED) || error_is(e, &STREAM_CLOSED) ||
                          error_is(e, &TLS_FAILED) || error_is(e, &HTTP_CALL_TIMED_OUT);
        if (!next)
            return e;
    }
    return error_is(e, &STREAM_CLOSED)
               ? error_wrap(e, &STREAM_CONNECT_FAILED, "%.*s", STR_ARG(call->url.authority))
               : e;
}
