/* The client: connections by origin, and who gets which.
 *
 * All calls to an origin stand in one line. Whoever is first gets the connection that was idle
 * last, or may open another while the origin has fewer than its share; else waits until one is
 * given back or dropped. An origin without connections and calls is forgotten.
 *
 * Invariant: while somebody stands in the line of an origin, it has no connection that they could
 * have. */
#include "client.h"

#include "core/log.h"
#include "core/memory.h"

#include <string.h>

#define GOODBYE_MS 1000 /* for a server to take our end */

ERROR_KIND(HTTP_CALL_BAD_URL, ERROR_INVALID, "The URL cannot be called.");
ERROR_KIND(HTTP_CALL_TIMED_OUT, ERROR_TIMED_OUT, "Another server did not answer in time.");
ERROR_KIND(HTTP_CALL_LOST, ERROR_UNAVAILABLE, "Another server ended the connection.");
ERROR_KIND(HTTP_CALL_BAD_REPLY, ERROR_UNAVAILABLE, "Another server's answer makes no sense.");
ERROR_KIND(HTTP_CALL_REPLY_TOO_LARGE, ERROR_UNAVAILABLE, "Another server's answer is too large.");
ERROR_KIND(HTTP_CALL_BAD_REDIRECT, ERROR_UNAVAILABLE, "Another server refers us to nowhere.");
ERROR_KIND(HTTP_CLIENT_CLOSED, ERROR_UNAVAILABLE, "The server is stopping.");

static const metric METRICS[HTTP_CLIENT_METRIC_COUNT] = {
    [HTTP_CLIENT_METRIC_2XX] = { "http_client_requests_total", "class=\"2xx\"", METRIC_COUNTER,
                                 "Calls that were answered." },
    [HTTP_CLIENT_METRIC_3XX] = { "http_client_requests_total", "class=\"3xx\"", METRIC_COUNTER,
                                 "" },
    [HTTP_CLIENT_METRIC_4XX] = { "http_client_requests_total", "class=\"4xx\"", METRIC_COUNTER,
                                 "" },
    [HTTP_CLIENT_METRIC_5XX] = { "http_client_requests_total", "class=\"5xx\"", METRIC_COUNTER,
                                 "" },
    [HTTP_CLIENT_METRIC_ERRORS_CONNECT] = { "http_client_errors_total", "reason=\"connect\"",
                                            METRIC_COUNTER, "Calls that failed." },
    [HTTP_CLIENT_METRIC_ERRORS_TLS] = { "http_client_errors_total", "reason=\"tls\"",
                                        METRIC_COUNTER, "" },
    [HTTP_CLIENT_METRIC_ERRORS_TIMEOUT] = { "http_client_errors_total", "reason=\"timeout\"",
                                            METRIC_COUNTER, "" },
    [HTTP_CLIENT_METRIC_ERRORS_LOST] = { "http_client_errors_total", "reason=\"lost\"",
                                         METRIC_COUNTER, "" },
    [HTTP_CLIENT_METRIC_ERRORS_REPLY] = { "http_client_errors_total", "reason=\"reply\"",
                                          METRIC_COUNTER, "" },
    [HTTP_CLIENT_METRIC_ERRORS_OTHER] = { "http_client_errors_total", "reason=\"other\"",
                                          METRIC_COUNTER, "" },
    [HTTP_CLIENT_METRIC_CONNECTIONS] = { "http_client_connections", NULL, METRIC_GAUGE,
                                         "Connections to other servers." },
    [HTTP_CLIENT_METRIC_OPENED] = { "http_client_connections_opened_total", NULL, METRIC_COUNTER,
                                    "Connections that calls have opened." },
    [HTTP_CLIENT_METRIC_REUSED] = { "http_client_connections_reused_total", NULL, METRIC_COUNTER,
                                    "Calls that were given a connection used before." },
    [HTTP_CLIENT_METRIC_RETRIED] = { "http_client_retries_total", NULL, METRIC_COUNTER,
                                     "Calls sent again, because a connection used before had "
                                     "ended." },
    [HTTP_CLIENT_METRIC_WAITING] = { "http_client_waiting", NULL, METRIC_GAUGE,
                                     "Calls that wait for a connection." },
    [HTTP_CLIENT_METRIC_DURATION] = { "http_client_request_duration_seconds", NULL,
                                      METRIC_HISTOGRAM, "Time to the head of the answer." },
};

const metrics_table HTTP_CLIENT_METRICS = { METRICS, HTTP_CLIENT_METRIC_COUNT };

static void serve(http_origin *o);

void http_client_count(const http_client *client, uint32_t which, int64_t n)
{
    metrics_add(client->metrics, which, (uint64_t)n);
}

/* --- origins ---------------------------------------------------------------------------------- */

static http_origin *origin_of(http_client *client, const http_url *url)
{
    LIST_EACH (http_origin, o, &client->origins, node) {
        if (o->tls == url->tls && o->port == url->port &&
            str_eq((str){ o->host, o->host_len }, url->host))
            return o;
    }
    http_origin *o = MEMORY_NEW(http_origin);
    if (!o)
        return NULL;
    o->client = client;
    o->tls = url->tls;
    o->port = url->port;
    o->host_len = url->host.len;
    memcpy(o->host, url->host.ptr, url->host.len);
    list_init(&o->idle);
    list_init(&o->turns);
    list_append(&client->origins, &o->node);
    return o;
}

static void origin_forget_if_unused(http_origin *o)
{
    if (o->open > 0 || !list_is_empty(&o->turns))
        return;
    list_remove(&o->node);
    memory_free(o);
}

/* --- idle connections ------------------------------------------------------------------------- */

static void leave_idle(http_client_conn *c)
{
    if (!list_linked(&c->idle))
        return;
    list_remove(&c->idle);
    list_remove(&c->idle_any);
    c->client->idle_count--;
}

/* Takes a connection out of its origin and ends it; nobody is served. */
static void detach(http_client_conn *c)
{
    stream *s = c->stream;
    const bool was_idle = list_linked(&c->idle);
    leave_idle(c);
    c->origin->open--;
    c->origin = NULL;
    c->client->open--;
    http_client_count(c->client, HTTP_CLIENT_METRIC_CONNECTIONS, -1);
    if (c->call)
        c->call->conn = NULL;
    c->call = NULL;
    c->stream = NULL;
    if (s && was_idle)
        stream_close(s, GOODBYE_MS);
    else if (s)
        stream_abort(s);
    http_client_conn_settle(c);
}

void http_client_drop(http_client_conn *c)
{
    http_origin *o = c->origin;
    detach(c);
    serve(o);
}

static http_client_conn *newest_idle(const http_origin *o)
{
    return list_is_empty(&o->idle) ? NULL : CONTAINER_OF(o->idle.head.prev, http_client_conn, idle);
}

/* Keeps a connection for the next call, in the place of the one idle longest if there are many. */
static void keep_idle(http_client_conn *c)
{
    http_client *client = c->client;
    c->call = NULL;
    list_append(&c->origin->idle, &c->idle);
    list_append(&client->idle, &c->idle_any);
    client->idle_count++;
    stream_set_timeout(c->stream, client->options.idle_timeout_ms);
    stream_resume(c->stream); /* to see the server's end */
    if (client->idle_count > client->options.idle_max)
        http_client_drop(CONTAINER_OF(client->idle.head.next, http_client_conn, idle_any));
}

/* --- the line --------------------------------------------------------------------------------- */

void http_client_leave_line(http_call *call)
{
    http_origin *o = call->origin;
    if (!o)
        return;
    call->origin = NULL;
    list_remove(&call->turn);
    call->client->waiting--;
    http_client_count(call->client, HTTP_CLIENT_METRIC_WAITING, -1);
    serve(o);
}

/* A connection for the first in line, NULL when there is none and none may be opened. */
static http_client_conn *next_connection(http_origin *o, const http_call *call)
{
    const bool full = o->open >= o->client->options.connections_max;
    http_client_conn *c = newest_idle(o);
    if (c && !call->fresh)
        return c;
    if (c && full)
        detach(c); /* makes room for the fresh one */
    else if (full)
        return NULL;
    return http_client_conn_new(o);
}

/* Lets those go on who are first in line, as far as there are connections. */
static void serve(http_origin *o)
{
    while (!list_is_empty(&o->turns)) {
        http_call *call = CONTAINER_OF(o->turns.head.next, http_call, turn);
        const bool could = o->open < o->client->options.connections_max || newest_idle(o);
        http_client_conn *c = next_connection(o, call);
        if (!c && !could)
            return;
        list_remove(&call->turn);
        call->origin = NULL;
        o->client->waiting--;
        http_client_count(o->client, HTTP_CLIENT_METRIC_WAITING, -1);
        if (!c) {
            http_call_fail(call, &OUT_OF_MEMORY, 0, "no memory for a connection");
            continue;
        }
        call->reused = c->opened;
        leave_idle(c);
        c->call = call;
        call->conn = c;
        http_call_wake(call);
    }
    origin_forget_if_unused(o);
}

error http_client_acquire(http_call *call)
{
    http_client *client = call->client;
    if (client->closed)
        return error_set(&HTTP_CLIENT_CLOSED, "before the call");
    http_origin *o = origin_of(client, &call->url);
    if (!o)
        return error_set(&OUT_OF_MEMORY, "no memory for a server");
    call->origin = o;
    list_append(&o->turns, &call->turn);
    client->waiting++;
    http_client_count(client, HTTP_CLIENT_METRIC_WAITING, 1);
    serve(o);
    while (call->origin) {
        const error e = http_call_wait(call, "http connection", UINT32_MAX);
        if (e.kind) {
            http_client_leave_line(call);
            return e;
        }
    }
    if (call->why)
        return http_call_failure(call);
    if (call->reused) {
        stream_set_timeout(call->conn->stream, 0);
        http_client_count(client, HTTP_CLIENT_METRIC_REUSED, 1);
    }
    return OK;
}

void http_client_release(http_call *call, bool keeps)
{
    http_client_conn *c = call->conn;
    call->conn = NULL;
    if (!c)
        return;
    c->call = NULL;
    if (!keeps || !c->stream || c->client->closed) {
        http_client_drop(c);
        return;
    }
    http_origin *o = c->origin;
    keep_idle(c);
    serve(o);
}

/* --- life ------------------------------------------------------------------------------------- */

http_client *http_client_ref(http_client *client)
{
    client->references++;
    return client;
}

void http_client_unref(http_client **owner)
{
    http_client *client = *owner;
    *owner = NULL;
    if (--client->references > 0)
        return;
    invariant(list_is_empty(&client->conns) && list_is_empty(&client->origins));
    tls_config_free(&client->tls);
    memory_free(client);
}

void http_client_settle(http_client *client)
{
    if (!client->closer || !list_is_empty(&client->conns) || client->lookups > 0)
        return;
    fiber *closer = client->closer;
    client->closer = NULL;
    fiber_wake(closer, OK);
}

static void set_defaults(http_client_options *o)
{
#define DEFAULT(member_, value_)   \
    do {                           \
        if (o->member_ == 0)       \
            o->member_ = (value_); \
    } while (0)
    DEFAULT(connections_max, 16);
    DEFAULT(idle_max, 64);
    DEFAULT(idle_timeout_ms, 30000);
    DEFAULT(connect_timeout_ms, 5000);
    DEFAULT(reply_timeout_ms, 30000);
    DEFAULT(stall_timeout_ms, 30000);
    DEFAULT(timeout_ms, 60000);
    DEFAULT(head_bytes_max, 32768);
    DEFAULT(body_bytes_max, (size_t)8 << 20);
#undef DEFAULT
    if (!o->user_agent.ptr)
        o->user_agent = STR("brio");
    o->tls.alpn = STR("http/1.1");
    o->tls.handshake_ms_max = o->connect_timeout_ms;
}

/* What the options' texts say is copied or read here: none of them is looked at later. */
static error take_texts(http_client *client)
{
    http_client_options *o = &client->options;
    const str agent = o->user_agent;
    if (agent.len > sizeof client->user_agent || !http_is_value(agent))
        return error_set(&HTTP_BAD_HEADER, "user agent of %zu bytes", agent.len);
    memcpy(client->user_agent, agent.ptr, agent.len);
    o->user_agent.ptr = client->user_agent;
    TRY(tls_config_client(&o->tls, &client->tls));
    o->tls = (tls_client_options){ 0 };
    return OK;
}

error http_client_open(const http_client_options *options, http_client **out)
{
    invariant(loop_self() != NULL);
    *out = NULL;
    http_client *client = MEMORY_NEW(http_client);
    if (!client)
        return error_set(&OUT_OF_MEMORY, "no memory for a client");
    client->loop = loop_self();
    client->references = 1;
    client->metrics = metrics_cells_of(&HTTP_CLIENT_METRICS);
    list_init(&client->origins);
    list_init(&client->conns);
    list_init(&client->idle);
    if (options)
        client->options = *options;
    set_defaults(&client->options);
    const error e = take_texts(client);
    if (e.kind) {
        http_client_unref(&client);
        return e;
    }
    *out = client;
    return OK;
}

static void closer_forgotten(void *arg)
{
    http_client *client = arg;
    client->closer = NULL;
}

static void end_all(http_client *client)
{
    LIST_EACH (http_origin, o, &client->origins, node) {
        while (!list_is_empty(&o->turns)) {
            http_call *call = CONTAINER_OF(o->turns.head.next, http_call, turn);
            list_remove(&call->turn);
            call->origin = NULL;
            client->waiting--;
            http_client_count(client, HTTP_CLIENT_METRIC_WAITING, -1);
            http_call_fail(call, &HTTP_CLIENT_CLOSED, 0, "while it waited for a connection");
        }
        origin_forget_if_unused(o);
    }
    list_node *n = client->conns.head.next, *next;
    for (; n != &client->conns.head; n = next) {
        http_client_conn *c = CONTAINER_OF(n, http_client_conn, node);
        next = n->next; /* dropping frees no other */
        if (c->call)
            http_call_fail(c->call, &HTTP_CLIENT_CLOSED, 0, "in the middle of a call");
        if (c->origin)
            http_client_drop(c);
    }
}

void http_client_close(http_client **owner)
{
    http_client *client = *owner;
    *owner = NULL;
    if (!client)
        return;
    client->closed = true;
    end_all(client);
    if (!list_is_empty(&client->conns) || client->lookups > 0) {
        client->closer = fiber_self();
        if (fiber_park("http client close", closer_forgotten, client).kind)
            log_warn("connections to other servers were still closing");
    }
    http_client_unref(&client);
}

http_client_stats http_client_stats_of(const http_client *client)
{
    http_client_stats stats = { .open = client->open,
                                .idle = client->idle_count,
                                .waiting = client->waiting };
    LIST_EACH (http_origin, o, &client->origins, node)
        stats.servers += o->open > 0 || !list_is_empty(&o->turns);
    return stats;
}
