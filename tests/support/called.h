/* A server that a test plays by hand, and calls that go to it: the call runs on a fiber of its own,
 * in the arena of the test's, so that the test may look at what it brought. */
#ifndef TESTS_SUPPORT_CALLED_H
#define TESTS_SUPPORT_CALLED_H

#include "http/client.h"
#include "tests/support/stream_pair.h"

static int listening = -1;
static address listening_at;
static http_client *client;

/* "http://127.0.0.1:PORT" and the path, in the fiber's arena. */
static inline str url_of(const char *path)
{
    return str_format(fiber_arena(), "http://%.*s%s",
                      STR_ARG(address_text(fiber_arena(), &listening_at)), path);
}

static inline int called_setup(void **state)
{
    (void)state;
    listening = pair_listen(false, &listening_at);
    return 0;
}

static inline int called_teardown(void **state)
{
    (void)state;
    http_client_close(&client);
    close(listening);
    listening = -1;
    return 0;
}

/* What test_client.c and its like begin with. */
static inline void open_client(const http_client_options *options)
{
    http_client_close(&client);
    assert_ok(http_client_open(options, &client));
}

/* --- calls ------------------------------------------------------------------------------------ */

typedef struct asked {
    http_client_request request;
    http_client_reply reply;
    error result;
    bool done;
    char why[512];                     /* the result in words */
    error (*instead)(struct asked *a); /* of http_client_send */
    fiber *fiber;
} asked;

static inline error asked_run(void *arg)
{
    asked *a = arg;
    a->result = a->instead ? a->instead(a) : http_client_send(client, &a->request, &a->reply);
    if (a->result.kind)
        error_describe(a->result, a->why, sizeof a->why);
    a->done = true;
    return OK;
}

static inline void ask(asked *a)
{
    const fiber_options options = { .name = "asked", .joinable = true, .arena = fiber_arena() };
    a->done = false;
    assert_ok(fiber_start(loop_self(), &options, asked_run, a, &a->fiber));
}

static inline void ask_get(asked *a, const char *path)
{
    *a = (asked){ .request.url = url_of(path) };
    ask(a);
}

static inline void answered(asked *a)
{
    eventually(a->done);
    assert_ok(fiber_join(&a->fiber));
}

#define assert_answer(a_, status_, body_) \
    assert_answer_at((a_), (status_), (body_), __FILE__, __LINE__)
static inline void assert_answer_at(asked *a, int status, const char *body, const char *file,
                                    int line)
{
    answered(a);
    if (a->result.kind) {
        print_error("failed: %s\n", a->why);
        _fail(file, line);
    }
    if (a->reply.status != status || !str_eq(a->reply.body, str_from_c(body))) {
        print_error("%d \"%.*s\" instead of %d \"%s\"\n", a->reply.status, STR_ARG(a->reply.body),
                    status, body);
        _fail(file, line);
    }
}

#define assert_no_answer(kind_, a_) assert_no_answer_at(&(kind_), (a_), __FILE__, __LINE__)
static inline void assert_no_answer_at(const error_kind *kind, asked *a, const char *file, int line)
{
    answered(a);
    if (a->result.kind == kind)
        return;
    print_error("%s instead of %s\n", a->result.kind ? a->why : "an answer", kind->name);
    _fail(file, line);
}

/* --- the server ------------------------------------------------------------------------------- */

/* The next request: all up to its empty line, and `body_bytes` behind it. In the fiber's arena. */
static inline str take_request(int fd, size_t body_bytes)
{
    buf got;
    buf_init_arena(&got, fiber_arena(), (size_t)64 << 20);
    while (got.len < 4 || !str_ends_with(buf_str(&got), STR("\r\n\r\n")))
        peer_receive(fd, &got, got.len + 1);
    peer_receive(fd, &got, got.len + body_bytes);
    return buf_str(&got);
}

/* The value of a request's field, STR_NONE without it. */
static inline str field_of(str request, const char *name)
{
    while (request.ptr) {
        str line = str_trim(str_cut(&request, '\n'), STR("\r"));
        const str key = str_cut(&line, ':');
        if (line.ptr && str_eq_nocase(key, str_from_c(name)))
            return str_trim(line, STR(" "));
    }
    return STR_NONE;
}

static inline str first_line(str request)
{
    return str_trim(str_cut(&request, '\n'), STR("\r"));
}

static inline void serve_text(int fd, const char *text)
{
    peer_send(fd, str_from_c(text));
}

/* Whether the client has ended the connection, in whatever way. */
static inline void assert_ended(int fd)
{
    buf rest;
    buf_init_arena(&rest, fiber_arena(), 1 << 20);
    ssize_t got = -1;
    for (int idle = 0; got == -1 && idle < 20000; idle++) {
        got = peer_receive_some(fd, &rest, 1024);
        if (got > 0)
            got = -1;
        if (got == -1)
            assert_ok(fiber_sleep(1));
    }
    assert_true(got == 0 || got == -2);
}

static inline void assert_nobody_connects(void)
{
    assert_ok(fiber_sleep(20));
    const int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd < 0);
}

#endif
