/* What a call to another server costs: the parsing of an answer's head, and whole calls over a kept
 * connection to a server of a few lines on the same loop, so that one thread does both ends. */
#include "measure.h"

#include "core/loop.h"
#include "core/scope.h"
#include "http/client.h"
#include "http/src/reply_head.h"

#include <stdio.h>
#include <unistd.h>

#define HEAD_SHORT "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
#define HEAD_USUAL                                                                      \
    "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"       \
    "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: keep-alive\r\n" \
    "ETag: \"38f-5e0c1d2b3a4f0\"\r\nCache-Control: max-age=300\r\nVary: Accept-Encoding\r\n\r\n"

static http_client *client;
static str url;

static void parse(void *state)
{
    static http_reply_head head;
    http_reply_head_init(&head);
    invariant(http_reply_head_parse(&head, *(const str *)state, 32768) == HTTP_REPLY_DONE);
}

static error get(void *arg)
{
    http_client_reply reply;
    (void)arg;
    TRY(http_client_get(client, url, &reply));
    invariant(reply.status == 200 && str_eq(reply.body, STR("{}")));
    return OK;
}

static void call(void *state)
{
    (void)state;
    invariant(error_is_ok(scope_call(NULL, get, NULL)));
    arena_reset(fiber_arena());
}

/* --- the server ------------------------------------------------------------------------------- */

static size_t serve(stream *s, str bytes)
{
    if (stream_at_end(s))
        stream_close(s, 1000);
    else if (!str_ends_with(bytes, STR("\r\n\r\n")))
        return 0;
    else
        stream_write(s, STR(HEAD_USUAL "{}"));
    return bytes.len;
}

static void closed(stream *s, error why)
{
    (void)s;
    (void)why;
}

static const stream_handler SERVER = { .data = serve, .closed = closed };

static void accepted(int fd, void *arg)
{
    stream *s;
    (void)arg;
    invariant(error_is_ok(stream_from_fd(loop_self(), fd, &SERVER, NULL, NULL, &s)));
}

typedef struct arguments {
    int count;
    char **texts;
    int status;
} arguments;

static error run(void *arg)
{
    static str heads[] = { { HEAD_SHORT, sizeof HEAD_SHORT - 1 },
                           { HEAD_USUAL, sizeof HEAD_USUAL - 1 } };
    static char text[64];
    const measure_case cases[] = {
        { "client_head_38_bytes", parse, &heads[0] },
        { "client_head_224_bytes", parse, &heads[1] },
        { "client_call", call, NULL },
    };
    arguments *a = arg;
    address at;
    int fd;
    listener *server;
    invariant(address_parse(STR("127.0.0.1:0"), &at));
    TRY(listener_bind(&at, false, &fd));
    at = listener_address(fd);
    TRY(listener_start(loop_self(), fd, accepted, NULL, &server));
    TRY(http_client_open(NULL, &client));
    const str where = address_text(fiber_arena(), &at);
    const int len = snprintf(text, sizeof text, "http://%.*s/a/resource", STR_ARG(where));
    url = (str){ text, (size_t)len };
    a->status = measure_main(a->count, a->texts, cases, ARRAY_LEN(cases));
    http_client_close(&client);
    listener_stop(&server);
    close(fd);
    return OK;
}

int main(int argc, char **argv)
{
    arguments a = { argc, argv, 1 };
    return loop_run_fiber(run, &a).kind ? 1 : a.status;
}
