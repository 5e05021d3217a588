/* A server whose handlers call another, whose URL is in UPSTREAM: what test_client_servers.c talks
 * to when a call is part of a request. */
#include <brio/http.h>
#include <stdlib.h>

static http_client *client;

static str upstream(const char *path)
{
    const char *base = getenv("UPSTREAM"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    return str_format(fiber_arena(), "%s%s", base ? base : "", path);
}

/* Passes an answer on. */
static error ask(http_request *req)
{
    http_client_reply reply;
    const http_client_request call = {
        .url = upstream("/numbers/3"),
        .headers = HTTP_CLIENT_HEADERS({ STR("traceparent"), http_request_trace(req)->parent }),
    };
    TRY(http_client_send(client, &call, &reply));
    return http_reply_bytes(req, reply.status, http_client_header(&reply, STR("content-type")),
                            reply.body);
}

#define NUMBER_FIELDS(F) F(n, int8)
SHAPE(number, NUMBER_FIELDS)

/* What is wrong with another server's answer is not the client's fault. */
static error misread(http_request *req)
{
    http_client_reply reply;
    number n;
    TRY(http_client_get(client, upstream("/numbers/3"), &reply)); /* a list, and no object */
    TRY(http_client_body(&reply, number, &n));
    return http_reply(req, 200, number, &n);
}

static error nobody(http_request *req)
{
    http_client_reply reply;
    (void)req;
    return http_client_get(client, STR("http://127.0.0.1:1/"), &reply);
}

/* Gives up on a stream that never ends. */
static error glance(http_request *req)
{
    http_call *call;
    http_client_reply reply;
    str piece;
    TRY(http_call_begin(client, &(http_client_request){ .url = upstream("/endless") }, &call));
    TRY(http_call_receive(call, &reply));
    TRY(http_call_read(call, &piece));
    return http_reply_text(req, 200, piece.len > 0 ? STR("something") : STR("nothing"));
}

/* Longer than the route may take. */
static error endless(http_request *req)
{
    http_call *call;
    http_client_reply reply;
    str piece;
    (void)req;
    TRY(http_call_begin(client, &(http_client_request){ .url = upstream("/endless") }, &call));
    TRY(http_call_receive(call, &reply));
    do
        TRY(http_call_read(call, &piece));
    while (piece.len > 0);
    return OK;
}

/* Hidden from the sanitizers: what is tested is the signal. */
__attribute__((noinline, no_sanitize("address", "undefined"))) static error crash(http_request *req)
{
    http_call *call;
    http_client_reply reply;
    (void)req;
    TRY(http_call_begin(client, &(http_client_request){ .url = upstream("/endless") }, &call));
    TRY(http_call_receive(call, &reply));
    *(volatile int *)NULL = 1; /* NOLINT(clang-analyzer-core.NullDereference): it is the point */
    return OK;
}

static const http_route routes[] = {
    { HTTP_GET, "/ask", ask, http_public },
    { HTTP_GET, "/misread", misread, http_public },
    { HTTP_GET, "/nobody", nobody, http_public },
    { HTTP_GET, "/glance", glance, http_public },
    { HTTP_GET, "/endless", endless, http_public, .timeout_ms = 300 },
    { HTTP_GET, "/crash", crash, http_public },
};

static error on_worker_start(void)
{
    return http_client_open(&(http_client_options){ .connections_max = 4 }, &client);
}

static void on_worker_stop(void)
{
    http_client_close(&client);
}

int main(int argc, char **argv)
{
    return http_main(argc, argv,
                     &(http_app){ .name = "caller",
                                  .routes = HTTP_ROUTES(routes),
                                  .on_worker_start = on_worker_start,
                                  .on_worker_stop = on_worker_stop,
                                  .metrics = { &HTTP_CLIENT_METRICS } });
}
