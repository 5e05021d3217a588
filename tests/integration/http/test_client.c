/* The client against a server that the test plays byte by byte: what it sends, what it takes for an
 * answer, and what it does when none comes. */
#include "core/json.h"
#include "tests/support/called.h"

#define LENGTH_3 "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"

/* --- what goes out ---------------------------------------------------------------------------- */

static void test_get_sends_just_what_it_should(void **state)
{
    (void)state;
    asked a;
    open_client(NULL);
    ask_get(&a, "/a/./b?c=d#e");
    const int fd = peer_accept(listening);
    const str at = address_text(fiber_arena(), &listening_at);
    assert_str_equal(take_request(fd, 0),
                     str_format(fiber_arena(),
                                "GET /a/b?c=d HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: brio\r\n\r\n",
                                STR_ARG(at)));
    serve_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"x\"\r\n\r\nabc");
    assert_answer(&a, 200, "abc");
    assert_str_equal(http_client_header(&a.reply, STR("etag")), STR("\"x\""));
    assert_null(http_client_header(&a.reply, STR("date")).ptr);
    assert_str_equal(a.reply.url, url_of("/a/b?c=d"));
    close(fd);
}

static void test_post_sends_fields_and_body(void **state)
{
    (void)state;
    open_client(&(http_client_options){ .user_agent = STR("tests/1") });
    asked a = { .request = { .method = HTTP_POST,
                             .url = url_of("/"),
                             .headers = HTTP_CLIENT_HEADERS({ STR("X-A"), STR("1") },
                                                            { STR("Accept"), STR("text/csv") }),
                             .content_type = STR("text/plain"),
                             .body = STR("hello") } };
    ask(&a);
    const int fd = peer_accept(listening);
    const str request = take_request(fd, 5);
    assert_str_equal(first_line(request), STR("POST / HTTP/1.1"));
    assert_str_equal(field_of(request, "X-A"), STR("1"));
    assert_str_equal(field_of(request, "Accept"), STR("text/csv"));
    assert_str_equal(field_of(request, "Content-Type"), STR("text/plain"));
    assert_str_equal(field_of(request, "Content-Length"), STR("5"));
    assert_str_equal(field_of(request, "User-Agent"), STR("tests/1"));
    assert_true(str_ends_with(request, STR("\r\n\r\nhello")));
    serve_text(fd, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    assert_answer(&a, 201, "");
    close(fd);
}

static void test_request_without_body_says_so_where_one_is_usual(void **state)
{
    (void)state;
    static const struct {
        http_method method;
        const char *name;
        const char *length; /* NULL: none is said */
    } rows[] = {
        { HTTP_POST, "POST", "0" },        { HTTP_PUT, "PUT", "0" },
        { HTTP_PATCH, "PATCH", "0" },      { HTTP_DELETE, "DELETE", NULL },
        { HTTP_OPTIONS, "OPTIONS", NULL }, { HTTP_TRACE, "TRACE", NULL },
        { HTTP_HEAD, "HEAD", NULL },
    };
    open_client(NULL);
    int fd = -1;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        asked a = { .request = { .method = rows[i].method, .url = url_of("/x") } };
        ask(&a);
        if (fd < 0)
            fd = peer_accept(listening);
        const str request = take_request(fd, 0);
        assert_true(str_starts_with(request, str_from_c(rows[i].name)));
        assert_str_equal(field_of(request, "Content-Length"), str_from_c(rows[i].length));
        serve_text(fd, "HTTP/1.1 204 No Content\r\n\r\n");
        assert_answer(&a, 204, "");
    }
    close(fd);
}

static void test_bad_header_fields_are_refused_before_anything_is_sent(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        str value;
    } rows[] = {
        { "X-A", { "a\r\nB: c", 7 } },
        { "X-A", { "a\nb", 3 } },
        { "X-A", { "a\rb", 3 } },
        { "X-A", { "a\0b", 3 } },
        { "X-A", { "\x7F", 1 } },
        { "X A", { "b", 1 } },
        { "X-A:", { "b", 1 } },
        { "", { "b", 1 } },
        { "X\r\n", { "b", 1 } },
        { "Host", { "b", 1 } },
        { "host", { "b", 1 } },
        { "Content-Length", { "1", 1 } },
        { "Connection", { "b", 1 } },
        { "Keep-Alive", { "b", 1 } },
        { "Upgrade", { "b", 1 } },
        { "Expect", { "b", 1 } },
        { "TE", { "b", 1 } },
        { "Trailer", { "b", 1 } },
        { "transfer-encoding", { "chunked", 7 } },
    };
    open_client(NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        http_client_reply reply;
        const http_client_request request = {
            .url = url_of("/"),
            .headers = HTTP_CLIENT_HEADERS({ str_from_c(rows[i].name), rows[i].value }),
        };
        assert_fails(HTTP_BAD_HEADER, http_client_send(client, &request, &reply));
    }
    http_client_reply reply;
    const http_client_request typed = { .url = url_of("/"), .content_type = STR("a\r\nb") };
    assert_fails(HTTP_BAD_HEADER, http_client_send(client, &typed, &reply));
    http_client *none;
    assert_fails(HTTP_BAD_HEADER,
                 http_client_open(&(http_client_options){ .user_agent = STR("a\nb") }, &none));
    assert_null(none);
    assert_nobody_connects();
}

static void test_bad_urls_are_refused(void **state)
{
    (void)state;
    static const char *const urls[] = { "",
                                        "/a",
                                        "ftp://a/",
                                        "http://user@127.0.0.1/",
                                        "http://127.0.0.1:0/",
                                        "http://127.0.0.1/a b" };
    http_client_reply reply;
    open_client(NULL);
    for (size_t i = 0; i < ARRAY_LEN(urls); i++)
        assert_fails(HTTP_CALL_BAD_URL, http_client_get(client, str_from_c(urls[i]), &reply));
}

/* --- what comes back -------------------------------------------------------------------------- */

typedef struct answer_case {
    const char *name;
    str bytes;
    int status; /* 0: no answer */
    const char *body;
    const error_kind *kind;
    bool kept; /* the connection */
} answer_case;

#define BYTES(literal_)                   \
    {                                     \
        "" literal_, sizeof(literal_) - 1 \
    }
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

/* Each is followed by the server's end. */
static const answer_case ANSWERS[] = {
    { "sized", BYTES(LENGTH_3 "abc"), 200, "abc" },
    { "chunked", BYTES(CHUNKED "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), 200, "abc" },
    { "until close", BYTES("HTTP/1.1 200 OK\r\n\r\nabc"), 200, "abc" },
    { "empty until close", BYTES("HTTP/1.1 200 OK\r\n\r\n"), 200, "" },
    { "1.0", BYTES("HTTP/1.0 200 OK\r\n\r\nabc"), 200, "abc" },
    { "no content", BYTES("HTTP/1.1 204 No Content\r\n\r\n"), 204, "" },
    { "not modified", BYTES("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"), 304, "" },
    { "an error", BYTES("HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nabc"), 503, "abc" },
    { "interim before",
      BYTES("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: "
            "x\r\n\r\n" LENGTH_3 "abc"),
      200, "abc" },
    { "junk behind", BYTES(LENGTH_3 "abcHTTP/1.1 200 OK\r\n"), 200, "abc" },
    { "nothing", BYTES(""), 0, NULL, &HTTP_CALL_LOST },
    { "cut in the head", BYTES("HTTP/1.1 200 OK\r\nCont"), 0, NULL, &HTTP_CALL_LOST },
    { "cut in the body", BYTES(LENGTH_3 "ab"), 0, NULL, &HTTP_CALL_LOST },
    { "cut before the body", BYTES(LENGTH_3), 0, NULL, &HTTP_CALL_LOST },
    { "cut in a chunk", BYTES(CHUNKED "5\r\nab"), 0, NULL, &HTTP_CALL_LOST },
    { "cut before the last chunk", BYTES(CHUNKED "1\r\na\r\n"), 0, NULL, &HTTP_CALL_LOST },
    { "cut before any chunk", BYTES(CHUNKED), 0, NULL, &HTTP_CALL_LOST },
    { "bad chunk", BYTES(CHUNKED "x\r\n"), 0, NULL, &HTTP_CALL_BAD_REPLY },
    { "bad chunk behind a good one", BYTES(CHUNKED "1\r\na\r\nx\r\n"), 0, NULL,
      &HTTP_CALL_BAD_REPLY },
    { "garbage", BYTES("\x16\x03\x01\n"), 0, NULL, &HTTP_CALL_BAD_REPLY },
    { "two lengths", BYTES("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
      0, NULL, &HTTP_CALL_BAD_REPLY },
    { "both framings",
      BYTES("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
            "0\r\n\r\n"),
      0, NULL, &HTTP_CALL_BAD_REPLY },
    { "another protocol", BYTES("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), 0, NULL,
      &HTTP_CALL_BAD_REPLY },
    { "version 2", BYTES("HTTP/2 200\r\n\r\n"), 0, NULL, &HTTP_CALL_BAD_REPLY },
};

/* One answer, cut into steps of so many bytes. */
static void check_answer(const answer_case *c, size_t step)
{
    asked a;
    ask_get(&a, "/");
    int fd = peer_accept(listening);
    take_request(fd, 0);
    for (size_t at = 0; at < c->bytes.len; at += step) {
        const str part = str_slice(c->bytes, at, step);
        if (peer_send_some(fd, part) != (ssize_t)part.len)
            break; /* it has seen enough */
        if (step < c->bytes.len)
            assert_ok(fiber_yield());
    }
    close(fd);
    answered(&a);
    if (a.result.kind != c->kind)
        fail_msg("%s, by %zu: %s", c->name, step, a.result.kind ? a.why : "answered");
    if (!c->kind) {
        assert_int_equal(a.reply.status, c->status);
        assert_str_equal(a.reply.body, str_from_c(c->body));
    }
}

static void test_answers_are_taken_or_refused_however_they_are_cut(void **state)
{
    (void)state;
    open_client(NULL);
    for (size_t i = 0; i < ARRAY_LEN(ANSWERS); i++) {
        check_answer(&ANSWERS[i], 100000);
        check_answer(&ANSWERS[i], 1);
        check_answer(&ANSWERS[i], 7);
    }
    eventually(http_client_stats_of(client).open == 0);
    assert_int_equal(http_client_stats_of(client).servers, 0);
}

static void test_answer_to_head_has_no_body(void **state)
{
    (void)state;
    open_client(NULL);
    asked a = { .request = { .method = HTTP_HEAD, .url = url_of("/") } };
    ask(&a);
    const int fd = peer_accept(listening);
    take_request(fd, 0);
    serve_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    assert_answer(&a, 200, "");
    assert_str_equal(http_client_header(&a.reply, STR("content-length")), STR("1000"));
    assert_int_equal(http_client_stats_of(client).idle, 1);
    close(fd);
}

static void test_answer_past_a_limit_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        const error_kind *kind;
    } rows[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", NULL },
        { "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", &HTTP_CALL_REPLY_TOO_LARGE },
        { "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
          &HTTP_CALL_REPLY_TOO_LARGE },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n6\r\n567890\r\n",
          &HTTP_CALL_REPLY_TOO_LARGE },
        { "HTTP/1.1 200 OK\r\n\r\n01234567890", &HTTP_CALL_REPLY_TOO_LARGE },
        { "HTTP/1.1 200 OK\r\nX: 34567890123456789012345678901234567890123456789\r\n\r\n",
          &HTTP_CALL_REPLY_TOO_LARGE },
        { "HTTP/1.1 200 OK\r\nX: 34567890123456789012345678901234567890123456789",
          &HTTP_CALL_REPLY_TOO_LARGE },
    };
    open_client(&(http_client_options){ .body_bytes_max = 10, .head_bytes_max = 64 });
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        asked a;
        ask_get(&a, "/");
        const int fd = peer_accept(listening);
        take_request(fd, 0);
        serve_text(fd, rows[i].bytes);
        answered(&a);
        assert_ptr_equal(a.result.kind, rows[i].kind);
        close(fd);
        eventually(http_client_stats_of(client).open == 0);
    }
}

static void test_endless_interim_replies_are_refused(void **state)
{
    (void)state;
    asked a;
    open_client(NULL);
    ask_get(&a, "/");
    const int fd = peer_accept(listening);
    take_request(fd, 0);
    for (int i = 0; i < 17; i++)
        serve_text(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_no_answer(HTTP_CALL_BAD_REPLY, &a);
    assert_ended(fd);
    close(fd);
}

static void test_server_that_speaks_first_is_refused(void **state)
{
    (void)state;
    asked a;
    open_client(NULL);
    /* Held by the kernel until the client reads: it stands there before the request has left. */
    ask_get(&a, "/");
    const int fd = peer_accept(listening);
    serve_text(fd, "SSH-2.0-OpenSSH_9.2p1\r\n");
    answered(&a);
    assert_ptr_equal(a.result.kind, &HTTP_CALL_BAD_REPLY);
    close(fd);
}

/* --- time ------------------------------------------------------------------------------------- */

static void test_slow_servers_are_not_waited_for(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        http_client_options options;
        const char *sent;
    } rows[] = {
        { "no reply", { .reply_timeout_ms = 200 }, "" },
        { "half a head", { .reply_timeout_ms = 200 }, "HTTP/1.1 200 OK\r\nConte" },
        { "interim only", { .reply_timeout_ms = 200 }, "HTTP/1.1 100 Continue\r\n\r\n" },
        { "half a body", { .stall_timeout_ms = 200 }, LENGTH_3 "ab" },
        { "all of the call", { .timeout_ms = 1500 }, "" },
        { "all of the call, in the body", { .timeout_ms = 1500 }, LENGTH_3 "ab" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        asked a;
        open_client(&rows[i].options);
        ask_get(&a, "/");
        const int fd = peer_accept(listening);
        take_request(fd, 0);
        serve_text(fd, rows[i].sent);
        answered(&a);
        if (a.result.kind != &HTTP_CALL_TIMED_OUT)
            fail_msg("%s: %s", rows[i].name, a.result.kind ? a.why : "answered");
        assert_ended(fd);
        close(fd);
        assert_int_equal(http_client_stats_of(client).open, 0);
    }
}

static error in_scope(void *arg)
{
    asked *a = arg;
    return http_client_send(client, &a->request, &a->reply);
}

static error ask_in_scope(asked *a)
{
    return scope_call(&(scope_options){ .deadline_ms = 1500 }, in_scope, a);
}

static void test_deadline_of_the_scope_ends_a_call(void **state)
{
    (void)state;
    open_client(NULL);
    asked a = { .request.url = url_of("/"), .instead = ask_in_scope };
    ask(&a);
    const int fd = peer_accept(listening);
    take_request(fd, 0);
    assert_no_answer(TIMED_OUT, &a);
    assert_ended(fd);
    assert_int_equal(http_client_stats_of(client).open, 0);
    close(fd);
}

static void test_connecting_is_given_up_in_time(void **state)
{
    (void)state;
    /* A full accept queue answers no SYN. */
    const int full = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    assert_int_equal(bind(full, (const struct sockaddr *)(const void *)&in, sizeof in), 0);
    assert_int_equal(listen(full, 0), 0);
    assert_int_equal(getsockname(full, (struct sockaddr *)(void *)&in, &len), 0);
    const address at = listener_address(full);
    int fillers[8];
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
        fillers[i] = peer_connect(&at, 0);
    assert_ok(fiber_sleep(20));
    open_client(&(http_client_options){ .connect_timeout_ms = 200 });
    asked a = { .request.url =
                    str_format(fiber_arena(), "http://127.0.0.1:%u/", ntohs(in.sin_port)) };
    ask(&a);
    assert_no_answer(HTTP_CALL_TIMED_OUT, &a);
    for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
        close(fillers[i]);
    close(full);
}

static void test_nobody_listening_is_told(void **state)
{
    (void)state;
    address at;
    const int fd = pair_listen(false, &at);
    close(fd);
    open_client(NULL);
    asked a = { .request.url = str_format(fiber_arena(), "http://%.*s/",
                                          STR_ARG(address_text(fiber_arena(), &at))) };
    ask(&a);
    assert_no_answer(STREAM_CONNECT_FAILED, &a);
    assert_int_equal(http_client_stats_of(client).open, 0);
}

static void test_name_is_looked_up_and_all_its_addresses_tried(void **state)
{
    (void)state;
    open_client(NULL);
    const str at = address_text(fiber_arena(), &listening_at);
    /* Where localhost is ::1 too, nobody listens there. */
    asked a = { .request.url = str_format(fiber_arena(), "http://LocalHost%.*s/",
                                          STR_ARG(str_slice(at, str_index(at, ':'), at.len))) };
    ask(&a);
    const int fd = peer_accept(listening);
    assert_true(str_starts_with(field_of(take_request(fd, 0), "Host"), STR("localhost:")));
    serve_text(fd, LENGTH_3 "abc");
    assert_answer(&a, 200, "abc");
    close(fd);
}

static void test_name_that_is_none_is_told(void **state)
{
    (void)state;
    open_client(NULL);
    asked a = { .request.url = STR("http://no-such-name.invalid/") };
    ask(&a);
    assert_no_answer(STREAM_CONNECT_FAILED, &a);
}

/* --- shapes ----------------------------------------------------------------------------------- */

#define BOOK_FIELDS(F)                                  \
    F(id, int8, .primary_key = true, .generated = true) \
    F(title, text, .min_len = 1)                        \
    F(secret, text, .hidden = true)                     \
    F(place, opt_text)
SHAPE(book, BOOK_FIELDS)

static error send_book(asked *a)
{
    const book b = { .id = 1, .title = STR("Emma"), .secret = STR("x") };
    return http_client_send_as(client, &a->request, book, &b, &a->reply);
}

static void test_shapes_are_sent_and_read(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        const char *body;
        bool good;
    } rows[] = {
        { "201 Created\r\nContent-Type: application/json",
          "{\"id\":7,\"title\":\"Emma\",\"place\":null,\"more\":[1,{\"a\":2}],\"secret\":\"y\"}",
          true },
        { "200 OK\r\nContent-Type: application/hal+json; charset=utf-8",
          "{\"id\":7,\"title\":\"Emma\"}", true },
        { "200 OK\r\nContent-Type: text/html", "{\"id\":7,\"title\":\"Emma\"}", false },
        { "200 OK", "{\"id\":7,\"title\":\"Emma\"}", false },
        { "200 OK\r\nContent-Type: application/json", "{\"title\":\"Emma\"}", false },
        { "200 OK\r\nContent-Type: application/json", "{\"id\":\"7\",\"title\":\"Emma\"}", false },
        { "200 OK\r\nContent-Type: application/json", "{\"id\":7,\"title\":\"\"}", false },
        { "200 OK\r\nContent-Type: application/json", "{\"id\":7,", false },
        { "404 Not Found\r\nContent-Type: application/json", "{\"id\":7,\"title\":\"Emma\"}",
          false },
    };
    open_client(NULL);
    int fd = -1;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        asked a = { .request = { .method = HTTP_POST, .url = url_of("/books") },
                    .instead = send_book };
        ask(&a);
        if (fd < 0)
            fd = peer_accept(listening);
        const str sent = STR("{\"id\":1,\"title\":\"Emma\",\"place\":null}");
        const str request = take_request(fd, sent.len);
        assert_true(str_ends_with(request, sent));
        assert_str_equal(field_of(request, "Content-Type"), STR("application/json"));
        peer_send(fd, str_format(fiber_arena(), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
                                 rows[i].head, strlen(rows[i].body), rows[i].body));
        answered(&a);
        assert_ok(a.result);
        book b;
        if (!rows[i].good) {
            assert_fails(HTTP_CALL_BAD_REPLY, http_client_body(&a.reply, book, &b));
            continue;
        }
        assert_ok(http_client_body(&a.reply, book, &b));
        assert_int_equal(b.id, 7);
        assert_str_equal(b.title, STR("Emma"));
        assert_null(b.secret.ptr);
        assert_false(b.place.has);
    }
    close(fd);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_sends_just_what_it_should),
        cmocka_unit_test(test_post_sends_fields_and_body),
        cmocka_unit_test(test_request_without_body_says_so_where_one_is_usual),
        cmocka_unit_test(test_bad_header_fields_are_refused_before_anything_is_sent),
        cmocka_unit_test(test_bad_urls_are_refused),
        cmocka_unit_test(test_answers_are_taken_or_refused_however_they_are_cut),
        cmocka_unit_test(test_answer_to_head_has_no_body),
        cmocka_unit_test(test_answer_past_a_limit_is_refused),
        cmocka_unit_test(test_endless_interim_replies_are_refused),
        cmocka_unit_test(test_server_that_speaks_first_is_refused),
        cmocka_unit_test(test_slow_servers_are_not_waited_for),
        cmocka_unit_test(test_deadline_of_the_scope_ends_a_call),
        cmocka_unit_test(test_connecting_is_given_up_in_time),
        cmocka_unit_test(test_nobody_listening_is_told),
        cmocka_unit_test(test_name_is_looked_up_and_all_its_addresses_tried),
        cmocka_unit_test(test_name_that_is_none_is_told),
        cmocka_unit_test(test_shapes_are_sent_and_read),
    };
    return cmocka_run_group_tests(tests, called_setup, called_teardown);
}

int main(void)
{
    return run_in_fiber(run);
}
