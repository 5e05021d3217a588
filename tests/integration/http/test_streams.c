/* Bodies and responses in pieces: uploads that no memory could hold, downloads as fast as the
 * client takes them, JSON lists, events, and what a client sees when the handler fails half-way. */
#include "tests/support/http_test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void assert_str_at(const char *expected, str s, const char *file, int line)
{
    if (str_eq(s, str_from_c(expected)))
        return;
    print_error("\"%.*s\" is not \"%s\"\n", STR_ARG(s), expected);
    _fail(file, line);
}
#define assert_str(expected_, s_) assert_str_at((expected_), (s_), __FILE__, __LINE__)

static void serve_streams(const char *const *environment)
{
    server_start(&server, getenv("STREAMER"), environment);
}

static uint64_t fnv(uint64_t hash, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3U;
    return hash;
}
#define FNV_START 0xcbf29ce484222325U

/* "pieces bytes hash" of an upload's answer. */
static void check_upload(const answer *a, uint64_t bytes, uint64_t hash)
{
    unsigned long long pieces = 0, seen = 0, sum = 0;
    check_status("upload", (answer *)a, 200);
    assert_int_equal(sscanf(a->body.ptr, "%llu %llu %llx", &pieces, &seen, &sum), 3);
    assert_int_equal(seen, bytes);
    assert_int_equal(sum, hash);
}

static void test_stream_upload_arrives_whole_in_pieces(void **state)
{
    (void)state;
    static char block[100000];
    peer p;
    answer a;
    uint64_t hash = FNV_START;
    serve_streams(ENVIRONMENT("WORKERS=1"));
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)(i * 31);
    peer_connect(&p, server.port);
    for (int with_chunks = 0; with_chunks < 2; with_chunks++) {
        const size_t rounds = 200;
        if (with_chunks)
            peer_sendf(&p,
                       "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        else
            peer_sendf(&p, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                       rounds * sizeof block);
        hash = FNV_START;
        for (size_t i = 0; i < rounds; i++) {
            if (with_chunks)
                peer_sendf(&p, "%zx\r\n", sizeof block);
            peer_send(&p, (str){ block, sizeof block });
            if (with_chunks)
                peer_send(&p, STR("\r\n"));
            hash = fnv(hash, block, sizeof block);
        }
        if (with_chunks)
            peer_send(&p, STR("0\r\n\r\n"));
        peer_read(&p, false, &a);
        check_upload(&a, rounds * sizeof block, hash);
        answer_free(&a);
    }
    peer_close(&p);
}

static long resident_kib(pid_t leader)
{
    char path[64], line[256];
    long most = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)leader, (int)leader);
    FILE *children = fopen(path, "r");
    assert_non_null(children);
    int child;
    while (fscanf(children, "%d", &child) == 1) {
        (void)snprintf(path, sizeof path, "/proc/%d/status", child);
        FILE *status = fopen(path, "r");
        long kib = 0;
        while (status && fgets(line, sizeof line, status))
            (void)sscanf(line, "VmHWM: %ld", &kib);
        if (status)
            fclose(status);
        most = kib > most ? kib : most;
    }
    fclose(children);
    return most;
}

static void test_stream_upload_takes_no_memory(void **state)
{
    (void)state;
    static char block[1 << 20];
    peer p;
    answer a;
    serve_streams(ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    peer_sendf(&p, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
               256 * sizeof block);
    const long before = resident_kib(server.pid);
    for (int i = 0; i < 256; i++)
        peer_send(&p, (str){ block, sizeof block });
    peer_read(&p, false, &a);
    check_status("upload", &a, 200);
    const long after = resident_kib(server.pid);
    assert_true(before > 0 && after - before < 32768);
    answer_free(&a);
    peer_close(&p);
}

static void test_stream_upload_past_the_limit_is_refused(void **state)
{
    (void)state;
    peer p;
    answer a;
    serve_streams(ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    peer_sendf(&p, "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
    peer_read(&p, false, &a); /* refused by what is announced */
    check_status("announced", &a, 413);
    answer_free(&a);
    peer_close(&p);
    peer_connect(&p, server.port);
    peer_sendf(&p, "POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 6; i++)
        peer_sendf(&p, "c8\r\n%0200d\r\n", i);
    peer_read(&p, false, &a);
    check_status("in chunks", &a, 413);
    assert_true(a.closes);
    answer_free(&a);
    peer_close(&p);
}

static void test_stream_upload_broken_off_is_no_upload(void **state)
{
    (void)state;
    peer p;
    answer a;
    serve_streams(ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    peer_sendf(&p, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this");
    peer_end(&p);
    peer_read(&p, false, &a);
    check_status("ended early", &a, 400);
    answer_free(&a);
    peer_close(&p);
    peer_connect(&p, server.port);
    peer_sendf(&p, "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
    peer_read(&p, false, &a);
    check_status("bad chunk", &a, 400);
    answer_free(&a);
    peer_close(&p);
    check_get("/health", 200);
}

static void test_stream_upload_that_pauses_is_late(void **state)
{
    (void)state;
    peer p;
    answer a;
    serve_streams(ENVIRONMENT("WORKERS=1", "HTTP_BODY_TIMEOUT=100ms"));
    peer_connect(&p, server.port);
    peer_sendf(&p, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this");
    peer_read(&p, false, &a);
    check_status("late", &a, 408);
    answer_free(&a);
    peer_close(&p);
}

static void test_stream_body_left_unread_closes(void **state)
{
    (void)state;
    peer p;
    answer a;
    serve_streams(ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    peer_sendf(&p, "POST /glance HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nonly this");
    peer_read(&p, false, &a);
    check_status("glance", &a, 200);
    assert_true(a.closes);
    assert_str("something", a.body);
    answer_free(&a);
    peer_close(&p);
    peer_connect(&p, server.port); /* one that came with its head is read */
    peer_sendf(&p, "POST /glance HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nall."
                   "POST /glance HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    peer_read(&p, false, &a);
    check_status("all", &a, 200);
    assert_false(a.closes);
    answer_free(&a);
    peer_read(&p, false, &a);
    assert_str("nothing", a.body);
    answer_free(&a);
    peer_close(&p);
}

static void test_stream_expectation_is_answered_when_the_body_is_wanted(void **state)
{
    (void)state;
    peer p;
    answer a;
    serve_streams(ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    peer_sendf(&p, "POST /upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                   "Content-Length: 3\r\n\r\n");
    peer_read(&p, false, &a);
    assert_int_equal(a.status, 100);
    answer_free(&a);
    peer_send(&p, STR("abc"));
    peer_read(&p, false, &a);
    check_upload(&a, 3, fnv(FNV_START, "abc", 3));
    answer_free(&a);
    peer_close(&p);
}

static void send_parts(peer *p, const char *type, const char *body, int status, const char *answer_)
{
    answer a;
    peer_sendf(
        p, "POST /parts HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
        type, strlen(body), body);
    peer_read(p, false, &a);
    check_status(type, &a, status);
    if (answer_)
        assert_str(answer_, a.body);
    answer_free(&a);
}

static void test_stream_multipart_parts_arrive_one_by_one(void **state)
{
    (void)state;
    static char block[100000];
    const size_t blocks = 100;
    peer p;
    answer a;
    serve_streams(ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    send_parts(&p, "multipart/form-data; boundary=b",
               "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--\r\n", 200, "a:1;");
    send_parts(&p, "multipart/form-data; boundary=b", "nothing", 400, NULL);
    peer_close(&p);
    peer_connect(&p, server.port);
    send_parts(&p, "application/json", "{}", 415, NULL);
    peer_close(&p);
    peer_connect(&p, server.port);
    send_parts(&p, "multipart/form-data", "{}", 400, NULL);
    peer_close(&p);
    peer_connect(&p, server.port);
    send_parts(&p, "multipart/form-data; boundary=b",
               "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n12345678901\r\n--b--\r\n", 413,
               NULL);
    peer_close(&p);
    peer_connect(&p, server.port);
    const char *head = "--xx\r\nContent-Disposition: form-data; name=\"f\"; filename=\"big\"\r\n"
                       "Content-Type: application/octet-stream\r\n\r\n";
    const char *tail =
        "\r\n--xx\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\nend\r\n--xx--\r\n";
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)(i % 7 ? '\r' : '-');
    peer_sendf(&p,
               "POST /parts HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; "
               "boundary=xx\r\nContent-Length: %zu\r\n\r\n%s",
               strlen(head) + blocks * sizeof block + strlen(tail), head);
    for (size_t i = 0; i < blocks; i++)
        peer_send(&p, (str){ block, sizeof block });
    peer_send(&p, str_from_c(tail));
    peer_read(&p, false, &a);
    check_status("big", &a, 200);
    assert_str("f=10000000;t:end;", a.body);
    answer_free(&a);
    peer_close(&p);
}

/* --- responses -------------------------------------------------------------------------------- */

static void test_stream_response_is_chunked_and_the_connection_lives(void **state)
{
    (void)state;
    static const int64_t sizes[] = { 0, 1, 999, 1000, 1001, 300000, 5000000 };
    peer p;
    answer a;
    serve_streams(ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        peer_sendf(&p, "GET /bytes/%lld HTTP/1.1\r\nHost: x\r\n\r\n", (long long)sizes[i]);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        peer_read(&p, false, &a);
        check_status("bytes", &a, 200);
        assert_int_equal(a.body.len, sizes[i]);
        assert_str("chunked", answer_header(&a, "transfer-encoding"));
        assert_str("yes", answer_header(&a, "x-before"));
        assert_null(answer_header(&a, "content-length").ptr);
        for (size_t at = 0; at < a.body.len; at += 997)
            assert_int_equal(a.body.ptr[at], 'a' + at % 1000 % 26);
        answer_free(&a);
    }
    peer_close(&p);
}

static void test_stream_response_to_1_0_ends_with_the_connection(void **state)
{
    (void)state;
    peer p;
    answer a;
    serve_streams(ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    peer_sendf(&p, "GET /bytes/70000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    peer_read(&p, false, &a);
    check_status("1.0", &a, 200);
    assert_int_equal(a.body.len, 70000);
    assert_null(answer_header(&a, "transfer-encoding").ptr);
    assert_true(a.closes);
    answer_free(&a);
    peer_close(&p);
}

static void test_stream_response_to_head_has_no_body(void **state)
{
    (void)state;
    peer p;
    answer a;
    serve_streams(ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    peer_sendf(&p, "HEAD /bytes/70000 HTTP/1.1\r\nHost: x\r\n\r\n"
                   "GET /bytes/3 HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_read(&p, true, &a);
    check_status("HEAD", &a, 200);
    answer_free(&a);
    peer_read(&p, false, &a);
    assert_str("abc", a.body);
    answer_free(&a);
    peer_close(&p);
}

static void test_stream_json_list_has_its_items(void **state)
{
    (void)state;
    answer a;
    serve_streams(ENVIRONMENT("WORKERS=1"));
    http_get(server.port, "/numbers/0", &a);
    assert_str("[]", a.body);
    answer_free(&a);
    http_get(server.port, "/numbers/3", &a);
    assert_str("[{\"n\":0},{\"n\":1},{\"n\":2}]", a.body);
    assert_str("application/json", answer_header(&a, "content-type"));
    answer_free(&a);
    http_get(server.port, "/numbers/200000", &a);
    check_status("many", &a, 200);
    assert_true(str_ends_with(a.body, STR(",{\"n\":199999}]")));
    answer_free(&a);
}

static void test_stream_events_are_framed(void **state)
{
    (void)state;
    answer a;
    peer p;
    serve_streams(ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    peer_sendf(&p, "GET /events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 41\r\n\r\n");
    peer_read(&p, false, &a);
    assert_str("text/event-stream", answer_header(&a, "content-type"));
    assert_str("no-store", answer_header(&a, "cache-control"));
    assert_str("data: plain\n\n"
               "event: note\nid: 7\nretry: 1500\ndata: two\ndata: lines\ndata: or three\ndata: \n\n"
               ":\n\n"
               "data: 41\n\n",
               a.body);
    answer_free(&a);
    peer_close(&p);
}

static void test_stream_response_that_fails_is_seen_to_be_broken(void **state)
{
    (void)state;
    static const char *const paths[] = { "/breaks", "/crashes" };
    serve_streams(ENVIRONMENT("WORKERS=2"));
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        peer p;
        answer a;
        peer_connect(&p, server.port);
        peer_sendf(&p, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", paths[i]);
        peer_read(&p, false, &a);
        assert_int_equal(a.status, 0); /* half of it, and no last chunk */
        answer_free(&a);
        peer_close(&p);
        check_get("/health", 200);
    }
}

static void test_stream_client_that_takes_nothing_is_given_up(void **state)
{
    (void)state;
    peer p;
    serve_streams(ENVIRONMENT("WORKERS=1", "HTTP_WRITE_TIMEOUT=200ms"));
    peer_connect(&p, server.port);
    peer_sendf(&p, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 3000 && http_metric(server.port, "http_connections") > 1; i++)
        test_pause_ms(10);
    assert_true(http_metric(server.port, "http_connections") <= 1);
    peer_close(&p);
}

static void test_stream_client_that_goes_ends_the_handler(void **state)
{
    (void)state;
    serve_streams(ENVIRONMENT("WORKERS=1"));
    for (int i = 0; i < 20; i++) {
        peer p;
        peer_connect(&p, server.port);
        peer_sendf(&p, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
        test_pause_ms(5);
        peer_reset(&p);
    }
    for (int i = 0; i < 3000 && http_metric(server.port, "http_connections") > 1; i++)
        test_pause_ms(10);
    assert_true(http_metric(server.port, "http_connections") <= 1);
    check_get("/health", 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_stream_upload_arrives_whole_in_pieces, server_teardown),
        cmocka_unit_test_teardown(test_stream_upload_takes_no_memory, server_teardown),
        cmocka_unit_test_teardown(test_stream_upload_past_the_limit_is_refused, server_teardown),
        cmocka_unit_test_teardown(test_stream_upload_broken_off_is_no_upload, server_teardown),
        cmocka_unit_test_teardown(test_stream_upload_that_pauses_is_late, server_teardown),
        cmocka_unit_test_teardown(test_stream_body_left_unread_closes, server_teardown),
        cmocka_unit_test_teardown(test_stream_expectation_is_answered_when_the_body_is_wanted,
                                  server_teardown),
        cmocka_unit_test_teardown(test_stream_multipart_parts_arrive_one_by_one, server_teardown),
        cmocka_unit_test_teardown(test_stream_response_is_chunked_and_the_connection_lives,
                                  server_teardown),
        cmocka_unit_test_teardown(test_stream_response_to_1_0_ends_with_the_connection,
                                  server_teardown),
        cmocka_unit_test_teardown(test_stream_response_to_head_has_no_body, server_teardown),
        cmocka_unit_test_teardown(test_stream_json_list_has_its_items, server_teardown),
        cmocka_unit_test_teardown(test_stream_events_are_framed, server_teardown),
        cmocka_unit_test_teardown(test_stream_response_that_fails_is_seen_to_be_broken,
                                  server_teardown),
        cmocka_unit_test_teardown(test_stream_client_that_takes_nothing_is_given_up,
                                  server_teardown),
        cmocka_unit_test_teardown(test_stream_client_that_goes_ends_the_handler, server_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
