/* What a request may be, and how slowly it may come and its answer be taken: each limit from both
 * sides, its status, and whether the connection lives on. */
#include "tests/support/http_test.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define HOST           "Host: x\r\n"
#define TEXT_BYTES_MAX 4096

/* --- helpers ---------------------------------------------------------------------------------- */

/* Reads an answer, and sees to it that the connection closes just when it should: another request
 * is answered where it does not. */
static void check_answer(const char *what, peer *p, int status, bool closes)
{
    answer a;
    peer_read(p, false, &a);
    check_status(what, &a, status);
    if (a.closes != closes)
        fail_msg("%s: the connection %s", what, a.closes ? "closes" : "stays open");
    answer_free(&a);
    if (closes) {
        assert_true(peer_sees_end(p));
        return;
    }
    peer_sendf(p, "GET /fast HTTP/1.1\r\n" HOST "\r\n");
    peer_read(p, false, &a);
    check_status(what, &a, 200);
    answer_free(&a);
}

static void check_request(const char *what, const char *text, int status, bool closes)
{
    peer p;
    peer_connect(&p, server.port);
    peer_send(&p, str_from_c(text));
    check_answer(what, &p, status, closes);
    peer_close(&p);
}

/* `count` times `c` behind `before`, then `after`. */
static const char *filled(const char *before, char c, size_t count, const char *after)
{
    static char text[TEXT_BYTES_MAX];
    char middle[TEXT_BYTES_MAX / 2];
    assert_true(count < sizeof middle);
    memset(middle, c, count);
    middle[count] = '\0';
    const int len = snprintf(text, sizeof text, "%s%s%s", before, middle, after);
    assert_true(len > 0 && (size_t)len < sizeof text);
    return text;
}

/* --- heads ------------------------------------------------------------------------------------ */

static void test_head_past_its_limits_is_refused_by_status(void **state)
{
    (void)state;
    const char *end = " HTTP/1.1\r\n" HOST "\r\n", *many = "GET /fast HTTP/1.1\r\n" HOST;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_REQUEST_LINE_BYTES_MAX=200", "HTTP_HEADER_BYTES_MAX=1000",
                      "HTTP_HEADER_FIELDS_MAX=5"));
    /* A line and a header are counted with all their CRLF. */
    check_request("line of 200 bytes", filled("GET /", 'a', 200 - 16, end), 404, false);
    check_request("line of 201 bytes", filled("GET /", 'a', 201 - 16, end), 414, true);
    const size_t others = strlen(HOST "A: \r\n\r\n");
    check_request("header of 1,000 bytes",
                  filled("GET /fast HTTP/1.1\r\n" HOST "A: ", 'a', 1000 - others, "\r\n\r\n"), 200,
                  false);
    check_request("header of 1,001 bytes",
                  filled("GET /fast HTTP/1.1\r\n" HOST "A: ", 'a', 1001 - others, "\r\n\r\n"), 431,
                  true);
    check_request("unfinished header", filled("GET /fast HTTP/1.1\r\n", 'a', 1001, ""), 431, true);
    check_request("5 fields", filled(many, 'A', 1, ": 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n"), 200,
                  false);
    check_request("6 fields", filled(many, 'A', 1, ": 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n"),
                  431, true);
}

/* Larger than those that are the default, too. */
static void test_head_limits_can_be_raised(void **state)
{
    (void)state;
    static char text[200000];
    serve(
        ENVIRONMENT("WORKERS=1", "HTTP_REQUEST_LINE_BYTES_MAX=64K", "HTTP_HEADER_BYTES_MAX=128K"));
    memset(text, 'a', sizeof text);
    memcpy(text, "GET /", 5);
    size_t len = 60000;
    len += (size_t)snprintf(text + len, sizeof text - len, " HTTP/1.1\r\n" HOST "A: ");
    text[len] = 'a';
    len += 120000;
    memcpy(text + len, "\r\n\r\n", 5);
    check_request("line of 60 kB, header of 120 kB", text, 404, false);
}

/* --- bodies ----------------------------------------------------------------------------------- */

static void check_body(const char *path, const char *fields, const char *body, int status,
                       bool closes)
{
    char text[TEXT_BYTES_MAX];
    (void)snprintf(text, sizeof text, "POST %s HTTP/1.1\r\n" HOST "%s\r\n%s", path, fields, body);
    check_request(fields, text, status, closes);
}

static void test_body_past_its_limit_is_refused_by_status(void **state)
{
    (void)state;
    const char *chunked = "Transfer-Encoding: chunked\r\n";
    serve(ENVIRONMENT("WORKERS=1", "HTTP_BODY_BYTES_MAX=20"));
    check_body("/echo", "Content-Length: 20\r\n", "01234567890123456789", 200, false);
    check_body("/echo", "Content-Length: 21\r\n", "", 413, true);
    check_body("/echo", chunked, "14\r\n01234567890123456789\r\n0\r\n\r\n", 200, false);
    check_body("/echo", chunked, "15\r\n012345678901234567890\r\n0\r\n\r\n", 413, true);
    /* A route's own limit wins, be it lower or higher. */
    check_body("/echo/small", "Content-Length: 16\r\n", "0123456789012345", 200, false);
    check_body("/echo/small", "Content-Length: 17\r\n", "", 413, true);
    check_body("/echo/large", "Content-Length: 21\r\n", "012345678901234567890", 200, false);
    /* Piece by piece it is the same. */
    check_body("/count", "Content-Length: 20\r\n", "01234567890123456789", 200, false);
    check_body("/count", "Content-Length: 21\r\n", "", 413, true);
    check_body("/count", chunked, "14\r\n01234567890123456789\r\n0\r\n\r\n", 200, false);
    check_body("/count", chunked, "15\r\n012345678901234567890\r\n0\r\n\r\n", 413, true);
}

static void test_chunks_and_trailers_past_their_limits_are_refused(void **state)
{
    (void)state;
    const char *chunked = "Transfer-Encoding: chunked\r\n";
    serve(ENVIRONMENT("WORKERS=1", "HTTP_CHUNK_EXTENSION_BYTES_MAX=8", "HTTP_TRAILER_BYTES_MAX=6"));
    check_body("/echo", chunked, "1;a=b\r\nx\r\n0;c=d\r\nA: 456\r\n\r\n", 200, false);
    check_body("/echo", chunked, "1;a=b\r\nx\r\n0;c=de\r\n\r\n", 400, true);
    check_body("/echo", chunked, "1\r\nx\r\n0\r\nA: 4567\r\n\r\n", 400, true);
    check_body("/count", chunked, "1;a=b\r\nx\r\n0;c=d\r\nA: 456\r\n\r\n", 200, false);
    check_body("/count", chunked, "1;a=b\r\nx\r\n0;c=de\r\n\r\n", 400, true);
}

/* --- connections ------------------------------------------------------------------------------ */

static void run_to_the_last_request(const char *path)
{
    peer p;
    answer a;
    peer_connect(&p, server.port);
    for (int i = 1; i <= 3; i++) {
        peer_sendf(&p, "GET %s HTTP/1.1\r\n" HOST "\r\n", path);
        peer_read(&p, false, &a);
        check_status(path, &a, 200);
        assert_int_equal(a.closes, i == 3);
        answer_free(&a);
    }
    assert_true(peer_sees_end(&p));
    peer_close(&p);
}

static void test_connection_ends_with_the_last_request_that_it_may_have(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_CONNECTION_REQUESTS_MAX=3"));
    run_to_the_last_request("/fast");
    run_to_the_last_request("/pieces/1"); /* it says so before its body */
}

/* Looks at a connection for some time: true when it ended meanwhile, without a word. */
static bool ends_within(const peer *p, int ms)
{
    struct pollfd wait = { .fd = p->fd, .events = POLLIN };
    char byte;
    return poll(&wait, 1, ms) == 1 && recv(p->fd, &byte, 1, MSG_PEEK) == 0;
}

static void answer_one(peer *p)
{
    answer a;
    peer_sendf(p, "GET /fast HTTP/1.1\r\n" HOST "\r\n");
    peer_read(p, false, &a);
    check_status("a request", &a, 200);
    answer_free(&a);
}

static void test_connection_that_says_nothing_ends_and_a_used_one_stays(void **state)
{
    (void)state;
    peer silent, used;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_FIRST_BYTE_TIMEOUT=300ms", "HTTP_IDLE_TIMEOUT=60s"));
    peer_connect(&used, server.port);
    answer_one(&used);
    peer_connect(&silent, server.port);
    assert_true(peer_sees_end(&silent));
    assert_false(ends_within(&used, 600));
    answer_one(&used);
    peer_close(&silent);
    peer_close(&used);
}

static void test_connection_that_was_used_ends_and_a_new_one_stays(void **state)
{
    (void)state;
    peer silent, used;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_FIRST_BYTE_TIMEOUT=60s", "HTTP_IDLE_TIMEOUT=300ms"));
    peer_connect(&silent, server.port);
    peer_connect(&used, server.port);
    answer_one(&used);
    assert_true(peer_sees_end(&used));
    assert_false(ends_within(&silent, 600));
    answer_one(&silent);
    peer_close(&silent);
    peer_close(&used);
}

/* --- time ------------------------------------------------------------------------------------- */

/* Counted from the first byte: those that follow do not begin it anew. */
static void test_head_that_drips_is_late_and_one_in_time_is_not(void **state)
{
    (void)state;
    static const char text[] =
        "GET /fast HTTP/1.1\r\n" HOST "X-Slow: aaaaaaaaaaaaaaaaaaaaaa\r\n\r\n";
    peer slow, good;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_HEADER_TIMEOUT=1500ms", "HTTP_IDLE_TIMEOUT=60s"));
    peer_connect(&slow, server.port);
    peer_connect(&good, server.port);
    test_pause_ms(200);
    for (size_t i = 0; i + 20 < sizeof text; i++) {
        peer_send(&slow, (str){ text + i, 1 });
        test_pause_ms(50);
    }
    check_answer("a head that drips", &slow, 408, true);
    peer_send(&good, str_slice(str_from_c(text), 0, 30));
    test_pause_ms(300);
    peer_send(&good, str_slice(str_from_c(text), 30, sizeof text - 1));
    check_answer("a head in two parts", &good, 200, false);
    peer_close(&slow);
    peer_close(&good);
}

static void test_handler_past_its_time_is_ended_by_status(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_HANDLER_TIMEOUT=1s"));
    check_request("in time", "GET /slow/100 HTTP/1.1\r\n" HOST "\r\n", 200, false);
    check_request("too late", "GET /slow/30000 HTTP/1.1\r\n" HOST "\r\n", 504, false);
    check_request("the route's own time", "GET /short/30000 HTTP/1.1\r\n" HOST "\r\n", 504, false);
    check_request("a longer one", "GET /long/1500 HTTP/1.1\r\n" HOST "\r\n", 200, false);
}

/* Sends `count` bytes of a body, one at a time. */
static void drip(peer *p, const char *path, int length, int count, long pause_ms)
{
    peer_connect(p, server.port);
    peer_sendf(p, "POST %s HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", path, length);
    for (int i = 0; i < count; i++) {
        test_pause_ms(pause_ms);
        peer_send(p, STR("b"));
    }
}

/* No pause is too long, and still they are cut off: whole, and piece by piece. */
static void test_body_that_trickles_is_late(void **state)
{
    (void)state;
    static const char *const paths[] = { "/echo", "/count" };
    serve(ENVIRONMENT("WORKERS=1", "HTTP_BODY_TIMEOUT=1s", "HTTP_BODY_RATE_MIN=1000"));
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        peer p;
        drip(&p, paths[i], 100, 30, 50);
        check_answer(paths[i], &p, 408, true);
        peer_close(&p);
    }
}

/* In a loop that lags, more bytes have come whenever it gets to look: that is not in time. Another
 * client holds the loop up by pipelined requests, as many as are taken in one turn, again and
 * again. */
static void test_body_that_trickles_is_late_in_a_loop_that_lags(void **state)
{
    (void)state;
    enum {
        HOLDS = 800,
        ANSWER_BYTES_MIN = 80
    };
    peer holder, p;
    int answered = 0;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_BODY_TIMEOUT=300ms", "HTTP_BODY_RATE_MIN=1000"));
    peer_connect(&holder, server.port);
    peer_connect(&p, server.port);
    peer_sendf(&p, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5000\r\n\r\n");
    for (int i = 0; i < HOLDS; i++)
        peer_sendf(&holder, "GET /hold/10 HTTP/1.1\r\n" HOST "\r\n");
    for (struct pollfd came = { .fd = p.fd, .events = POLLIN }; poll(&came, 1, 20) == 0;) {
        peer_send(&p, STR("a"));
        assert_int_equal(ioctl(holder.fd, FIONREAD, &answered), 0);
        assert_true(answered < HOLDS * ANSWER_BYTES_MIN); /* it still lags */
    }
    check_answer("trickles", &p, 408, true);
    peer_close(&p);
    peer_close(&holder);
}

static void test_body_that_pauses_is_late(void **state)
{
    (void)state;
    static const char *const paths[] = { "/echo", "/count" };
    serve(ENVIRONMENT("WORKERS=1", "HTTP_BODY_TIMEOUT=300ms", "HTTP_BODY_RATE_MIN=0"));
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        peer p;
        drip(&p, paths[i], 2, 1, 0);
        check_answer(paths[i], &p, 408, true);
        peer_close(&p);
    }
}

static void test_body_that_is_slow_and_fast_enough_is_taken(void **state)
{
    (void)state;
    static const char *const paths[] = { "/echo", "/count" };
    serve(ENVIRONMENT("WORKERS=1", "HTTP_BODY_TIMEOUT=1s", "HTTP_BODY_RATE_MIN=1"));
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        peer p;
        drip(&p, paths[i], 30, 30, 50);
        check_answer(paths[i], &p, 200, false);
        peer_close(&p);
    }
}

/* The handler sleeps between pieces, for longer than the client would be allowed to. */
static void test_body_that_a_handler_reads_slowly_is_not_late(void **state)
{
    (void)state;
    peer p;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_BODY_TIMEOUT=1s", "HTTP_BODY_RATE_MIN=1000"));
    peer_connect(&p, server.port);
    peer_sendf(&p, "POST /count/slowly HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                   "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n0\r\n\r\n"); /* 500 ms each */
    check_answer("read slowly", &p, 200, false);
    peer_close(&p);
}

/* --- answers ---------------------------------------------------------------------------------- */

/* With little room in the kernels, so that a client that takes little is noticed soon. */
static void ask_in_small_steps(peer *p, const char *path)
{
    const int little = 4096;
    peer_connect(p, server.port);
    assert_int_equal(setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little), 0);
    peer_sendf(p, "GET %s HTTP/1.1\r\n" HOST "\r\n", path);
}

static bool nobody_else_is_there(void)
{
    return http_metric(server.port, "http_connections") < 2.0;
}

/* Takes little bits until the server has let go of the connection. */
static void take_little_until_the_end(peer *p)
{
    char some[256];
    for (const uint64_t end_ms = test_clock_ms() + PEER_WAIT_MS; !nobody_else_is_there();) {
        assert_true(test_clock_ms() < end_ms);
        (void)recv(p->fd, some, sizeof some, MSG_DONTWAIT);
        test_pause_ms(20);
    }
    peer_close(p);
}

static void test_answer_that_is_taken_in_driblets_is_broken_off(void **state)
{
    (void)state;
    static const char *const paths[] = { "/endless", "/big/30000000" };
    serve(ENVIRONMENT("WORKERS=1", "HTTP_WRITE_TIMEOUT=1s", "HTTP_WRITE_RATE_MIN=1M",
                      "HTTP_IDLE_TIMEOUT=60s"));
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        peer p;
        ask_in_small_steps(&p, paths[i]);
        take_little_until_the_end(&p);
    }
}

/* It takes longer than any of the server's times for it, but it goes on. */
static void test_answer_that_is_taken_slowly_enough_comes_whole(void **state)
{
    (void)state;
    enum {
        BYTES = 20000000
    };
    static const char *const paths[] = { "/big/20000000", "/pieces/20000000" };
    static char some[65536];
    serve(ENVIRONMENT("WORKERS=1", "HTTP_WRITE_TIMEOUT=1s", "HTTP_WRITE_RATE_MIN=1K",
                      "HTTP_IDLE_TIMEOUT=1s"));
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        peer p;
        size_t total = 0;
        peer_connect(&p, server.port);
        peer_sendf(&p, "GET %s HTTP/1.1\r\n" HOST "\r\n", paths[i]);
        while (total < BYTES) {
            const ssize_t got = recv(p.fd, some, sizeof some, 0);
            assert_true(got > 0);
            total += (size_t)got;
            if (total < BYTES / 2)
                test_pause_ms(20);
        }
        peer_close(&p);
    }
}

#define limits_test(name_) cmocka_unit_test_teardown(name_, server_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        limits_test(test_head_past_its_limits_is_refused_by_status),
        limits_test(test_head_limits_can_be_raised),
        limits_test(test_body_past_its_limit_is_refused_by_status),
        limits_test(test_chunks_and_trailers_past_their_limits_are_refused),
        limits_test(test_connection_ends_with_the_last_request_that_it_may_have),
        limits_test(test_connection_that_says_nothing_ends_and_a_used_one_stays),
        limits_test(test_connection_that_was_used_ends_and_a_new_one_stays),
        limits_test(test_head_that_drips_is_late_and_one_in_time_is_not),
        limits_test(test_handler_past_its_time_is_ended_by_status),
        limits_test(test_body_that_trickles_is_late),
        limits_test(test_body_that_trickles_is_late_in_a_loop_that_lags),
        limits_test(test_body_that_pauses_is_late),
        limits_test(test_body_that_is_slow_and_fast_enough_is_taken),
        limits_test(test_body_that_a_handler_reads_slowly_is_not_late),
        limits_test(test_answer_that_is_taken_in_driblets_is_broken_off),
        limits_test(test_answer_that_is_taken_slowly_enough_comes_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
