/* Bodies in pieces, both ways, and redirects: against a server that the test plays by hand. */
#include "tests/support/called.h"

#define EMPTY_OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

/* --- request bodies --------------------------------------------------------------------------- */

static const char *const PIECES[] = { "a", "", "bcd", "ef" };

static error write_pieces(asked *a)
{
    http_call *call;
    TRY(http_call_begin(client, &a->request, &call));
    for (size_t i = 0; i < ARRAY_LEN(PIECES); i++)
        TRY(http_call_write(call, str_from_c(PIECES[i])));
    TRY(http_call_receive(call, &a->reply));
    http_call_end(&call);
    return OK;
}

static void test_body_of_known_length_is_written_in_pieces(void **state)
{
    (void)state;
    open_client(NULL);
    asked a = { .request = { .method = HTTP_POST, .url = url_of("/"), .body_streamed = 6 },
                .instead = write_pieces };
    ask(&a);
    const int fd = peer_accept(listening);
    const str request = take_request(fd, 6);
    assert_str_equal(field_of(request, "Content-Length"), STR("6"));
    assert_null(field_of(request, "Transfer-Encoding").ptr);
    assert_true(str_ends_with(request, STR("\r\n\r\nabcdef")));
    serve_text(fd, EMPTY_OK);
    assert_answer(&a, 200, "");
    assert_int_equal(http_client_stats_of(client).idle, 1);
    close(fd);
}

static void test_body_of_unknown_length_is_chunked(void **state)
{
    (void)state;
    const str chunks = STR("1\r\na\r\n3\r\nbcd\r\n2\r\nef\r\n0\r\n\r\n");
    open_client(NULL);
    asked a = { .request = { .method = HTTP_PUT,
                             .url = url_of("/"),
                             .body_streamed = HTTP_CLIENT_LENGTH_NONE },
                .instead = write_pieces };
    ask(&a);
    const int fd = peer_accept(listening);
    const str request = take_request(fd, chunks.len);
    assert_str_equal(field_of(request, "Transfer-Encoding"), STR("chunked"));
    assert_null(field_of(request, "Content-Length").ptr);
    assert_true(str_ends_with(request, chunks));
    serve_text(fd, EMPTY_OK);
    assert_answer(&a, 200, "");
    close(fd);
}

#define LARGE_BYTES ((size_t)3 << 20)

static error write_pattern(asked *a)
{
    http_call *call;
    TRY(http_call_begin(client, &a->request, &call));
    for (size_t at = 0; at < LARGE_BYTES;) {
        const size_t part = LARGE_BYTES - at < 50000 ? LARGE_BYTES - at : 50000;
        TRY(http_call_write(call, pattern(at, part)));
        at += part;
    }
    TRY(http_call_receive(call, &a->reply));
    http_call_end(&call);
    return OK;
}

static void test_large_body_waits_for_a_server_that_reads(void **state)
{
    (void)state;
    open_client(NULL);
    asked a = { .request = { .method = HTTP_PUT, .url = url_of("/"), .body_streamed = LARGE_BYTES },
                .instead = write_pattern };
    ask(&a);
    const int fd = peer_accept(listening);
    assert_ok(fiber_sleep(50)); /* it has stopped by now, and the rest is not in memory */
    assert_false(a.done);
    buf got;
    buf_init(&got, LARGE_BYTES + 4096);
    peer_receive(fd, &got, LARGE_BYTES);
    while (str_index(buf_str(&got), '\r') == got.len)
        peer_receive(fd, &got, got.len + 1);
    size_t head = 0;
    while (!str_starts_with(str_slice(buf_str(&got), head, 4), STR("\r\n\r\n")))
        head++;
    peer_receive(fd, &got, head + 4 + LARGE_BYTES);
    assert_true(pattern_is(0, str_slice(buf_str(&got), head + 4, LARGE_BYTES)));
    buf_deinit(&got);
    serve_text(fd, EMPTY_OK);
    assert_answer(&a, 200, "");
    close(fd);
}

static void test_server_that_takes_nothing_is_not_waited_for(void **state)
{
    (void)state;
    open_client(&(http_client_options){ .stall_timeout_ms = 100 });
    asked a = { .request = { .method = HTTP_PUT, .url = url_of("/"), .body_streamed = LARGE_BYTES },
                .instead = write_pattern };
    peer_buffers(listening, 4096);
    ask(&a);
    const int fd = peer_accept(listening);
    assert_no_answer(HTTP_CALL_TIMED_OUT, &a);
    close(fd);
}

/* A server that has seen enough answers and reads no more. */
static void test_early_answer_ends_the_upload(void **state)
{
    (void)state;
    open_client(NULL);
    asked a = { .request = { .method = HTTP_PUT, .url = url_of("/"), .body_streamed = LARGE_BYTES },
                .instead = write_pattern };
    peer_buffers(listening, 4096);
    ask(&a);
    const int fd = peer_accept(listening);
    take_request(fd, 1000);
    serve_text(fd, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
    assert_answer(&a, 413, "");
    assert_int_equal(http_client_stats_of(client).open, 0); /* half a request is in it */
    close(fd);
}

/* --- reply bodies ----------------------------------------------------------------------------- */

static error read_pattern(asked *a)
{
    http_call *call;
    str piece;
    size_t at = 0;
    TRY(http_call_begin(client, &a->request, &call));
    TRY(http_call_receive(call, &a->reply));
    do {
        TRY(http_call_read(call, &piece));
        if (!pattern_is(at, piece))
            return error_set(&HTTP_CALL_BAD_REPLY, "another byte behind %zu", at);
        at += piece.len;
    } while (piece.len > 0);
    TRY(http_call_read(call, &piece)); /* the end stays the end */
    if (at != LARGE_BYTES || piece.len > 0)
        return error_set(&HTTP_CALL_BAD_REPLY, "%zu bytes", at);
    http_call_end(&call);
    return OK;
}

static void serve_pattern(int fd, bool chunked)
{
    size_t at = 0;
    for (size_t n = 0; at < LARGE_BYTES; n++) {
        const size_t wanted = 1 + (n * 7919) % 40000;
        const size_t part = LARGE_BYTES - at < wanted ? LARGE_BYTES - at : wanted;
        if (chunked)
            peer_send(fd, str_format(fiber_arena(), "%zx\r\n", part));
        peer_send(fd, pattern(at, part));
        if (chunked)
            serve_text(fd, "\r\n");
        at += part;
    }
    if (chunked)
        serve_text(fd, "0\r\n\r\n");
}

static void test_large_answers_are_read_in_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool chunked;
        bool kept;
    } rows[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n", false, true },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, true },
        { "HTTP/1.1 200 OK\r\n\r\n", false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        open_client(NULL);
        asked a = { .request.url = url_of("/"), .instead = read_pattern };
        ask(&a);
        const int fd = peer_accept(listening);
        take_request(fd, 0);
        serve_text(fd, rows[i].head);
        serve_pattern(fd, rows[i].chunked);
        if (!rows[i].kept)
            shutdown(fd, SHUT_WR);
        assert_answer(&a, 200, "");
        assert_int_equal(http_client_stats_of(client).idle, rows[i].kept);
        close(fd);
    }
}

/* A reader that does not read stops the server. */
static error read_late(asked *a)
{
    http_call *call;
    TRY(http_call_begin(client, &a->request, &call));
    TRY(http_call_receive(call, &a->reply));
    TRY(fiber_sleep(100));
    http_call_end(&call);
    return OK;
}

static void test_answer_that_nobody_reads_is_not_taken(void **state)
{
    (void)state;
    open_client(NULL);
    asked a = { .request.url = url_of("/"), .instead = read_late };
    ask(&a);
    const int fd = peer_accept(listening);
    take_request(fd, 0);
    serve_text(fd, "HTTP/1.1 200 OK\r\n\r\n");
    size_t sent = 0;
    while (!a.done) {
        const ssize_t n = peer_send_some(fd, pattern(0, 60000));
        if (n > 0)
            sent += (size_t)n;
        assert_ok(fiber_sleep(1));
    }
    assert_true(sent < (size_t)64 << 20); /* what sockets hold; not what 100 ms could bring */
    assert_answer(&a, 200, "");
    close(fd);
}

/* Leaves a call in every state it can be left in, by returning from its scope. */
static error leave(void *arg)
{
    asked *a = arg;
    http_call *call;
    const int step = (int)a->request.timeout_ms - 60000;
    TRY(http_call_begin(client, &a->request, &call));
    if (step > 0)
        TRY(http_call_write(call, STR("abc")));
    if (step > 1)
        TRY(http_call_receive(call, &a->reply));
    str piece;
    if (step > 2)
        TRY(http_call_read(call, &piece));
    return OK;
}

static error leave_in_scope(asked *a)
{
    TRY(scope_call(NULL, leave, a));
    return http_client_stats_of(client).open == 0 ? OK
                                                  : error_set(&HTTP_CALL_LOST, "it is still open");
}

static void test_call_ends_with_its_scope(void **state)
{
    (void)state;
    for (uint32_t step = 0; step < 4; step++) {
        open_client(NULL);
        asked a = { .request = { .method = HTTP_POST,
                                 .url = url_of("/"),
                                 .body_streamed = 3,
                                 .timeout_ms = 60000 + step },
                    .instead = leave_in_scope };
        ask(&a);
        const int fd = peer_accept(listening);
        serve_text(fd, "");
        if (step > 1) {
            take_request(fd, 3);
            serve_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
        }
        answered(&a);
        assert_ok(a.result);
        assert_ended(fd);
        close(fd);
    }
}

/* --- redirects -------------------------------------------------------------------------------- */

static void test_redirect_is_the_answer_unless_asked_for(void **state)
{
    (void)state;
    asked a;
    open_client(NULL);
    ask_get(&a, "/");
    const int fd = peer_accept(listening);
    take_request(fd, 0);
    serve_text(fd, "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
    assert_answer(&a, 302, "");
    close(fd);
}

static void test_redirects_are_followed_as_their_status_says(void **state)
{
    (void)state;
    static const struct {
        int status;
        http_method method;
        const char *becomes;
        const char *body;
    } rows[] = {
        { 301, HTTP_GET, "GET", "" },     { 302, HTTP_GET, "GET", "" },
        { 303, HTTP_GET, "GET", "" },     { 307, HTTP_GET, "GET", "" },
        { 308, HTTP_GET, "GET", "" },     { 303, HTTP_HEAD, "HEAD", "" },
        { 301, HTTP_POST, "GET", "" },    { 302, HTTP_POST, "GET", "" },
        { 303, HTTP_POST, "GET", "" },    { 303, HTTP_PUT, "GET", "" },
        { 307, HTTP_POST, "POST", "xy" }, { 308, HTTP_POST, "POST", "xy" },
        { 301, HTTP_PUT, "PUT", "xy" },
    };
    open_client(&(http_client_options){ .redirects_max = 3 });
    int fd = -1;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const bool has_body = rows[i].method == HTTP_POST || rows[i].method == HTTP_PUT;
        asked a = { .request = {
                        .method = rows[i].method,
                        .url = url_of("/a/b?c"),
                        .headers = HTTP_CLIENT_HEADERS({ STR("Authorization"), STR("s") },
                                                       { STR("Content-Language"), STR("en") }) } };
        if (has_body) {
            a.request.body = STR("xy");
            a.request.content_type = STR("text/plain");
        }
        ask(&a);
        if (fd < 0)
            fd = peer_accept(listening);
        take_request(fd, has_body ? 2 : 0);
        peer_send(fd, str_format(fiber_arena(),
                                 "HTTP/1.1 %d X\r\nLocation: ../d?e#f\r\nContent-Length: %d"
                                 "\r\n\r\n%s",
                                 rows[i].status, rows[i].method == HTTP_HEAD ? 9 : 4,
                                 rows[i].method == HTTP_HEAD ? "" : "gone"));
        const bool keeps = rows[i].body[0] != '\0';
        const str request = take_request(fd, strlen(rows[i].body));
        assert_str_equal(first_line(request),
                         str_format(fiber_arena(), "%s /d?e HTTP/1.1", rows[i].becomes));
        assert_true(str_ends_with(request, str_from_c(rows[i].body)));
        assert_str_equal(field_of(request, "Content-Type"), keeps ? STR("text/plain") : STR_NONE);
        assert_str_equal(field_of(request, "Content-Length"), keeps ? STR("2") : STR_NONE);
        assert_int_equal(!field_of(request, "Content-Language").ptr, has_body && !keeps);
        assert_str_equal(field_of(request, "Authorization"), STR("s")); /* the same server */
        serve_text(fd, EMPTY_OK);
        assert_answer(&a, 200, "");
        assert_str_equal(a.reply.url, url_of("/d?e"));
    }
    assert_nobody_connects(); /* one connection for all */
    close(fd);
}

static void test_redirect_to_another_server_leaves_secrets_behind(void **state)
{
    (void)state;
    address other_at;
    const int other = pair_listen(false, &other_at);
    const str other_text = address_text(fiber_arena(), &other_at);
    open_client(&(http_client_options){ .redirects_max = 3 });
    asked a = { .request = { .url = url_of("/"),
                             .headers = HTTP_CLIENT_HEADERS({ STR("authorization"), STR("s") },
                                                            { STR("Cookie"), STR("a=b") },
                                                            { STR("X-A"), STR("1") }) } };
    ask(&a);
    const int fd = peer_accept(listening);
    assert_str_equal(field_of(take_request(fd, 0), "Authorization"), STR("s"));
    peer_send(fd, str_format(fiber_arena(),
                             "HTTP/1.1 307 X\r\nLocation: http://%.*s/x\r\nContent-Length: 0"
                             "\r\n\r\n",
                             STR_ARG(other_text)));
    const int there = peer_accept(other);
    str request = take_request(there, 0);
    assert_null(field_of(request, "Authorization").ptr);
    assert_null(field_of(request, "Cookie").ptr);
    assert_str_equal(field_of(request, "X-A"), STR("1"));
    peer_send(there, str_format(fiber_arena(),
                                "HTTP/1.1 307 X\r\nLocation: %.*s\r\nContent-Length: 0\r\n\r\n",
                                STR_ARG(url_of("/back"))));
    request = take_request(fd, 0); /* nor do they come back */
    assert_null(field_of(request, "Authorization").ptr);
    serve_text(fd, EMPTY_OK);
    assert_answer(&a, 200, "");
    close(fd);
    close(there);
    close(other);
}

static void test_redirects_to_nowhere_fail(void **state)
{
    (void)state;
    static const char *const locations[] = {
        "ftp://a/", "http://user@127.0.0.1/", "javascript:alert(1)", "/a b", "http://", "../../..",
    };
    open_client(&(http_client_options){ .redirects_max = 3 });
    for (size_t i = 0; i < ARRAY_LEN(locations); i++) {
        asked a;
        ask_get(&a, "/");
        const int fd = peer_accept(listening);
        take_request(fd, 0);
        peer_send(fd, str_format(fiber_arena(),
                                 "HTTP/1.1 302 X\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
                                 locations[i]));
        answered(&a);
        if (a.result.kind != &HTTP_CALL_BAD_REDIRECT)
            fail_msg("%s: %s", locations[i], a.result.kind ? a.why : "answered");
        close(fd);
        eventually(http_client_stats_of(client).open == 0);
    }
}

static void test_redirects_in_a_circle_end(void **state)
{
    (void)state;
    asked a;
    open_client(&(http_client_options){ .redirects_max = 3 });
    ask_get(&a, "/");
    const int fd = peer_accept(listening);
    for (int i = 0; i < 4; i++) {
        take_request(fd, 0);
        serve_text(fd, "HTTP/1.1 302 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
    }
    assert_no_answer(HTTP_CALL_BAD_REDIRECT, &a);
    close(fd);
}

static void test_redirect_with_a_large_body_costs_its_connection(void **state)
{
    (void)state;
    asked a;
    open_client(&(http_client_options){ .redirects_max = 3 });
    ask_get(&a, "/");
    const int fd = peer_accept(listening);
    take_request(fd, 0);
    serve_text(fd, "HTTP/1.1 302 X\r\nLocation: /x\r\nContent-Length: 100000\r\n\r\n");
    peer_send(fd, pattern(0, 65521));
    serve_text(fd, "and so on, and so on, and so on");
    const int next = peer_accept(listening);
    take_request(next, 0);
    serve_text(next, EMPTY_OK);
    assert_answer(&a, 200, "");
    close(fd);
    close(next);
}

/* A streamed body is gone: the redirect is the answer. */
static void test_redirect_of_a_streamed_body_is_the_answer(void **state)
{
    (void)state;
    open_client(&(http_client_options){ .redirects_max = 3 });
    asked a = { .request = { .method = HTTP_POST, .url = url_of("/"), .body_streamed = 6 },
                .instead = write_pieces };
    ask(&a);
    const int fd = peer_accept(listening);
    take_request(fd, 6);
    serve_text(fd, "HTTP/1.1 307 X\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
    assert_answer(&a, 307, "");
    close(fd);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_of_known_length_is_written_in_pieces),
        cmocka_unit_test(test_body_of_unknown_length_is_chunked),
        cmocka_unit_test(test_large_body_waits_for_a_server_that_reads),
        cmocka_unit_test(test_server_that_takes_nothing_is_not_waited_for),
        cmocka_unit_test(test_early_answer_ends_the_upload),
        cmocka_unit_test(test_large_answers_are_read_in_pieces),
        cmocka_unit_test(test_answer_that_nobody_reads_is_not_taken),
        cmocka_unit_test(test_call_ends_with_its_scope),
        cmocka_unit_test(test_redirect_is_the_answer_unless_asked_for),
        cmocka_unit_test(test_redirects_are_followed_as_their_status_says),
        cmocka_unit_test(test_redirect_to_another_server_leaves_secrets_behind),
        cmocka_unit_test(test_redirects_to_nowhere_fail),
        cmocka_unit_test(test_redirects_in_a_circle_end),
        cmocka_unit_test(test_redirect_with_a_large_body_costs_its_connection),
        cmocka_unit_test(test_redirect_of_a_streamed_body_is_the_answer),
    };
    return cmocka_run_group_tests(tests, called_setup, called_teardown);
}

int main(void)
{
    return run_in_fiber(run);
}
