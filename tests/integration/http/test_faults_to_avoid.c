/* Faults that other servers have been seen to have, each with the request that shows it. Those that
 * tests of a whole subject show as well stand there; http/README.md has the list. */
#include "tests/support/http_test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES ((size_t)3000000)
#define FAST       "GET /fast HTTP/1.1\r\nHost: x\r\n\r\n"

static char folder[64];
static int started_in = -1; /* the directory */

/* --- a chunk size that wraps a sum ------------------------------------------------------------ */

static long worker_pid(void)
{
    answer a;
    http_get(server.port, "/worker", &a);
    check_status("/worker", &a, 200);
    const long pid = strtol(a.body.ptr + strcspn(a.body.ptr, ":") + 1, NULL, 10);
    answer_free(&a);
    return pid;
}

/* Whoever reads the body, early, late, or not at all, and also where there is no route. */
static void test_chunk_size_that_wraps_harms_nobody(void **state)
{
    (void)state;
    static const char *const sizes[] = { "fffffffffffffffd", "ffffffffffffffff", "fffffffffffffff0",
                                         "8000000000000000", "7fffffffffffffff", "ffffffff",
                                         "7fffffff" };
    static const char *const paths[] = { "/echo", "/echo/late", "/ignore", "/nothing" };
    peer witness;
    answer a;
    serve(ENVIRONMENT("WORKERS=1"));
    const long pid = worker_pid();
    peer_connect(&witness, server.port);
    for (size_t i = 0; i < ARRAY_LEN(sizes) * ARRAY_LEN(paths); i++) {
        peer p;
        const char *path = paths[i % ARRAY_LEN(paths)];
        peer_connect(&p, server.port);
        peer_sendf(&p,
                   "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\n",
                   path);
        peer_sendf(&p, "%s\r\nabcdefgh\r\n0\r\n\r\n" FAST, sizes[i / ARRAY_LEN(paths)]);
        peer_end(&p);
        peer_read(&p, false, &a);
        if (strncmp(path, "/echo", 5) ==
            0) /* who reads is told, unless the client's end is first */
            assert_true(a.status == 0 || a.status == 400 || a.status == 413);
        answer_free(&a);
        peer_read(&p, false, &a);
        assert_int_equal(a.status, 0); /* what stands behind is no request */
        answer_free(&a);
        peer_close(&p);
    }
    peer_send(&witness, STR(FAST));
    peer_read(&witness, false, &a);
    check_status("a connection from before", &a, 200);
    answer_free(&a);
    peer_close(&witness);
    assert_int_equal(worker_pid(), pid);
}

/* --- a body that is taken for a request ------------------------------------------------------- */

#define HIDDEN "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"

static void test_body_of_unclear_length_is_never_a_request(void **state)
{
    (void)state;
    static const char *const framings[] = {
        "Content-Length: x",
        "Content-Length: +37",
        "Content-Length: -1",
        "Content-Length: 37 37",
        "Content-Length: 0\r\nContent-Length: 37",
        "Content-Length: 37\r\nContent-Length: 0",
        "Content-Length: 0, 37",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\vchunked",
        "Content-Length : 0",
        "X: y\n Content-Length: 0",
    };
    serve(ENVIRONMENT("WORKERS=1", "HTTP_ACCESS_LOG=on"));
    for (size_t i = 0; i < ARRAY_LEN(framings); i++) {
        peer p;
        answer a;
        peer_connect(&p, server.port);
        peer_sendf(&p, "POST /ignore HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n" HIDDEN HIDDEN, framings[i]);
        peer_read(&p, false, &a);
        if (a.status != 400 && a.status != 501)
            check_status(framings[i], &a, 400);
        answer_free(&a);
        peer_read(&p, false, &a);
        assert_int_equal(a.status, 0);
        answer_free(&a);
        peer_close(&p);
    }
    check_get("/fast", 200);
    assert_true(server_logged(&server, "\"target\":\"/fast\""));
    assert_false(server_logged(&server, "/hidden"));
}

/* --- heads that come in lines ----------------------------------------------------------------- */

/* A segment that ends where a line ends is not the end of the head. */
static void test_head_that_comes_line_by_line_is_one_request(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "POST /echo HTTP/1.1\r\n", "Host: x\r\n", "X-One: 1\r\n", "Content-Type: text/x\r\n",
        "Content-Length: 4\r\n",   "\r\n",        "bo",           "dy",
    };
    peer p;
    answer a;
    serve(ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        peer_send(&p, str_from_c(lines[i]));
        test_pause_ms(20);
    }
    peer_send(&p, STR(FAST));
    peer_read(&p, false, &a);
    check_status("by lines", &a, 200);
    assert_true(str_eq(a.body, STR("body")));
    assert_true(str_eq(answer_header(&a, "Content-Type"), STR("text/x")));
    answer_free(&a);
    peer_read(&p, false, &a);
    check_status("the next", &a, 200);
    assert_true(str_eq(a.body, STR("fast")));
    answer_free(&a);
    peer_close(&p);
}

/* --- sizes just around a buffer's ------------------------------------------------------------- */

/* Heads, bodies and answers one byte below, at and above each power of two, in one and in many
 * pieces: no size changes more than the answer's length. */
static void test_sizes_around_powers_of_two_are_all_the_same(void **state)
{
    (void)state;
    static char bytes[(1 << 20) + 1];
    peer p;
    answer a;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_BODY_BYTES_MAX=2M"));
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)('a' + i % 23);
    peer_connect(&p, server.port);
    for (size_t power = 1024; power <= 1 << 20; power *= 2) {
        for (size_t size = power - 1; size <= power + 1; size++) {
            const str body = { bytes, size };
            peer_sendf(&p, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", size);
            peer_send(&p, body);
            peer_read(&p, false, &a);
            check_status("a body", &a, 200);
            assert_true(str_eq(a.body, body));
            answer_free(&a);
            peer_sendf(&p,
                       "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n");
            peer_send(&p, str_slice(body, 0, 1));
            peer_sendf(&p, "\r\n%zx\r\n", size - 1);
            peer_send(&p, str_slice(body, 1, size));
            peer_send(&p, STR("\r\n0\r\n\r\n" FAST)); /* and one behind it */
            peer_read(&p, false, &a);
            check_status("chunks", &a, 200);
            assert_true(str_eq(a.body, body));
            answer_free(&a);
            peer_read(&p, false, &a);
            check_status("behind", &a, 200);
            answer_free(&a);
            if (size > 16000)
                continue; /* fields may have 32 KiB together */
            peer_send(&p, STR("GET /fast HTTP/1.1\r\nHost: x\r\nX-Long: "));
            peer_send(&p, body);
            peer_send(&p, STR("\r\n\r\n"));
            peer_read(&p, false, &a);
            check_status("a head", &a, 200);
            answer_free(&a);
        }
    }
    peer_close(&p);
}

/* --- files ------------------------------------------------------------------------------------ */

static char file_byte(size_t at)
{
    return (char)('A' + at * 7 % 61);
}

static void serve_file(void)
{
    static char bytes[FILE_BYTES];
    (void)snprintf(folder, sizeof folder, "/tmp/brio-faults-XXXXXX");
    assert_non_null(mkdtemp(folder));
    started_in = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(started_in >= 0 && chdir(folder) == 0);
    assert_int_equal(mkdir("site", 0700), 0);
    for (size_t i = 0; i < FILE_BYTES; i++)
        bytes[i] = file_byte(i);
    const int fd = open("site/file.bin", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, bytes, FILE_BYTES) == (ssize_t)FILE_BYTES);
    close(fd);
    server_start(&server, getenv("FILER"), ENVIRONMENT("WORKERS=1"));
}

static int teardown(void **state)
{
    server_teardown(state);
    if (folder[0]) {
        (void)unlink("site/file.bin");
        (void)rmdir("site");
        assert_int_equal(fchdir(started_in), 0);
        close(started_in);
        (void)rmdir(folder);
        folder[0] = '\0';
    }
    return 0;
}

static void expect_file(peer *p)
{
    answer a;
    peer_read(p, false, &a);
    check_status("the file", &a, 200);
    assert_int_equal(a.body.len, FILE_BYTES);
    for (size_t i = 0; i < FILE_BYTES; i++) {
        if (a.body.ptr[i] != file_byte(i))
            assert_int_equal(i, FILE_BYTES); /* other bytes stand between */
    }
    answer_free(&a);
}

static void expect_health(peer *p)
{
    answer a;
    peer_read(p, false, &a);
    check_status("/health", &a, 200);
    assert_true(a.body.len < 1000);
    answer_free(&a);
}

#define FILE_REQUEST   "GET /static/file.bin HTTP/1.1\r\nHost: x\r\n\r\n"
#define HEALTH_REQUEST "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"

/* What is asked behind a file is answered behind it, whether it came along or while it was on its
 * way; the client's small buffer lets that last. */
static void test_requests_behind_a_file_are_answered_behind_it(void **state)
{
    (void)state;
    serve_file();
    for (int round = 0; round < 3; round++) {
        peer p;
        const int little = 65536;
        peer_connect(&p, server.port);
        assert_int_equal(setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little), 0);
        peer_send(&p, STR(FILE_REQUEST HEALTH_REQUEST FILE_REQUEST));
        for (int i = 0; i < 5; i++) {
            test_pause_ms(10);
            peer_send(&p, STR(HEALTH_REQUEST));
        }
        expect_file(&p);
        expect_health(&p);
        expect_file(&p);
        for (int i = 0; i < 5; i++)
            expect_health(&p);
        peer_close(&p);
    }
}

/* --- answers without a body ------------------------------------------------------------------- */

/* One connection, so a byte too many or a wrong length would spoil the next answer. */
static void test_answers_without_a_body_are_framed_as_such(void **state)
{
    (void)state;
    peer p;
    answer head, get, none;
    serve(ENVIRONMENT("WORKERS=1"));
    static const char *const paths[] = { "/fast",
                                         "/big/100000",
                                         "/query",
                                         "/nothing",
                                         "/no-answer",
                                         "/static/page.html",
                                         "/header?value=a%0Ab",
                                         "/metrics" };
    peer_connect(&p, server.port);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const bool counts = strcmp(paths[i], "/metrics") == 0; /* its text changes by itself */
        peer_sendf(&p, "HEAD %s HTTP/1.1\r\nHost: x\r\n\r\nGET %s HTTP/1.1\r\nHost: x\r\n\r\n",
                   paths[i], paths[i]);
        peer_read(&p, true, &head);
        peer_read(&p, false, &get);
        assert_int_equal(head.status, get.status);
        assert_true(
            str_eq(answer_header(&head, "Content-Type"), answer_header(&get, "Content-Type")));
        assert_true(counts || str_eq(answer_header(&head, "Content-Length"),
                                     answer_header(&get, "Content-Length")));
        answer_free(&head);
        answer_free(&get);
    }
    peer_send(&p,
              STR("GET /empty HTTP/1.1\r\nHost: x\r\n\r\n"
                  "GET /static/page.html HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n\r\n" FAST));
    for (int i = 0; i < 2; i++) {
        peer_read(&p, false, &none);
        assert_int_equal(none.status, i == 0 ? 204 : 304);
        assert_null(answer_header(&none, "Content-Length").ptr);
        assert_null(answer_header(&none, "Content-Type").ptr);
        assert_null(answer_header(&none, "Transfer-Encoding").ptr);
        answer_free(&none);
    }
    peer_read(&p, false, &get);
    check_status("behind them", &get, 200);
    assert_true(str_eq(get.body, STR("fast")));
    answer_free(&get);
    peer_close(&p);
}

/* --- header fields that carry more than one --------------------------------------------------- */

static void test_response_fields_carry_no_line_break(void **state)
{
    (void)state;
    static const char *const attempts[] = {
        "value=a%0D%0AX-Forged:%201",
        "value=a%0AX-Forged:%201",
        "value=a%0DX-Forged:%201",
        "value=%0D%0A%0D%0AHTTP/1.1",
        "name=X-A%0D%0AX-Forged&value=1",
        "name=X-A:%20X-Forged&value=1",
        "name=&value=1",
    };
    serve(ENVIRONMENT("WORKERS=1"));
    for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
        answer a;
        char path[128];
        (void)snprintf(path, sizeof path, "/header?%s", attempts[i]);
        http_get(server.port, path, &a);
        check_status(path, &a, 500);
        assert_null(answer_header(&a, "X-Forged").ptr);
        assert_null(memmem(a.head.ptr, a.head.len, "Forged", 6));
        answer_free(&a);
    }
}

#define fault_test(name_) cmocka_unit_test_teardown(name_, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fault_test(test_chunk_size_that_wraps_harms_nobody),
        fault_test(test_body_of_unclear_length_is_never_a_request),
        fault_test(test_head_that_comes_line_by_line_is_one_request),
        fault_test(test_sizes_around_powers_of_two_are_all_the_same),
        fault_test(test_requests_behind_a_file_are_answered_behind_it),
        fault_test(test_answers_without_a_body_are_framed_as_such),
        fault_test(test_response_fields_carry_no_line_break),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
