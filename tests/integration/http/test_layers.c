/* Groups and layers over the wire: the order they run in, those that answer or forgive, and what
 * happens to requests that no route wants. */
#include "tests/support/http_test.h"

#include <string.h>

typedef struct layer_case {
    const char *path;
    int status;
    const char *layers; /* the values of X-Layers, joined */
    const char *body;   /* NULL: whatever */
} layer_case;

static const layer_case CASES[] = {
    { "/hello", 200, "a -a", "/hello" },
    { "/locked", 404, "a guard -a!", NULL },
    { "/nowhere", 404, "a -a!", NULL },
    { "/api/1", 200, "a b -b -a", "/api/:version" },
    { "/api/1/hello", 200, "a b -b -a", "/api/:version/hello" },
    { "/api/1/hello?shut=yes", 403, "a b -b -a", "shut" },
    { "/api/1/hello?shut=silent", 500, "a b -b -a", NULL },
    { "/api/1/fails", 200, "a b -b -a", "forgiven" },
    { "/api/1/nowhere", 404, "a -a!", NULL },
    { "/health", 200, "", "{\"status\":\"ok\"}" },
};

/* All fields of that name, with spaces between. */
static void join_fields(str head, const char *name, char *out, size_t bytes)
{
    const size_t name_len = strlen(name);
    size_t len = 0;
    while (head.ptr) {
        const str line = str_trim(str_cut(&head, '\n'), STR("\r"));
        if (line.len <= name_len + 2 || strncasecmp(line.ptr, name, name_len) != 0 ||
            line.ptr[name_len] != ':')
            continue;
        const str value = str_trim(str_slice(line, name_len + 1, line.len), STR(" "));
        assert_true(len + value.len + 2 < bytes);
        if (len > 0)
            out[len++] = ' ';
        memcpy(out + len, value.ptr, value.len);
        len += value.len;
    }
    out[len] = '\0';
}

static void test_layers_run_in_order_around_guard_and_handler(void **state)
{
    (void)state;
    server_start(&server, getenv("LAYERED"), ENVIRONMENT("WORKERS=1"));
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const layer_case *c = &CASES[i];
        answer a;
        char layers[256];
        http_get(server.port, c->path, &a);
        check_status(c->path, &a, c->status);
        join_fields(a.head, "X-Layers", layers, sizeof layers);
        assert_string_equal(layers, c->layers);
        if (c->body)
            assert_true(str_eq(a.body, str_from_c(c->body)));
        answer_free(&a);
    }
}

static void test_layers_meet_what_has_another_method(void **state)
{
    (void)state;
    peer p;
    answer a;
    char layers[256];
    server_start(&server, getenv("LAYERED"), ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    peer_sendf(&p, "POST /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_read(&p, false, &a);
    check_status("POST", &a, 405);
    join_fields(a.head, "X-Layers", layers, sizeof layers);
    assert_string_equal(layers, "a -a!");
    answer_free(&a);
    peer_sendf(&p, "OPTIONS /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_read(&p, false, &a);
    check_status("OPTIONS", &a, 204);
    join_fields(a.head, "X-Layers", layers, sizeof layers);
    assert_string_equal(layers, "a -a");
    answer_free(&a);
    peer_close(&p);
}

static void check_limited(const char *path, int bytes, int status)
{
    peer p;
    answer a;
    peer_connect(&p, server.port);
    peer_sendf(&p, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%0*d", path, bytes,
               bytes, 0);
    peer_read(&p, false, &a);
    check_status(path, &a, status);
    answer_free(&a);
    peer_close(&p);
}

static void test_layers_of_limits_hold_for_their_group(void **state)
{
    (void)state;
    server_start(&server, getenv("LAYERED"), ENVIRONMENT("WORKERS=1"));
    check_limited("/limited/body", 10, 200);
    check_limited("/limited/body", 11, 413);
    check_limited("/limited/body/own", 20, 200);
    check_limited("/limited/body/own", 21, 413);
    check_get("/limited/sleep", 504);
}

/* The line of /metrics that begins so, as a number. */
static double metric_line(const char *line)
{
    answer a;
    http_get(server.port, "/metrics", &a);
    check_status("/metrics", &a, 200);
    const char *at = memmem(a.body.ptr, a.body.len, line, strlen(line));
    if (!at)
        fail_msg("no %s", line);
    const double value = strtod(at + strlen(line), NULL);
    answer_free(&a);
    return value;
}

static void wait_for_line(const char *line, double value)
{
    for (const uint64_t end_ms = test_clock_ms() + PEER_WAIT_MS; metric_line(line) != value;)
        assert_true(test_clock_ms() < end_ms);
}

static void test_layers_or_not_requests_are_counted_by_route(void **state)
{
    (void)state;
#define BODY "{route=\"/limited/body\",method=\"POST\""
    const char *in_flight = "http_route_requests_in_flight"
                            "{route=\"/limited/body/own\",method=\"POST\"} ";
    peer slow;
    server_start(&server, getenv("LAYERED"), ENVIRONMENT("WORKERS=2"));
    check_get("/api/1/hello", 200);
    check_get("/api/2/hello", 200);
    check_limited("/limited/body", 10, 200);
    check_limited("/limited/body", 11, 413);
    check_get("/nowhere", 404);
    assert_true(metric_line("http_route_requests_total{route=\"/api/:version/hello\","
                            "method=\"GET\",class=\"2xx\"} ") == 2);
    assert_true(metric_line("http_route_requests_total" BODY ",class=\"2xx\"} ") == 1);
    assert_true(metric_line("http_route_requests_total" BODY ",class=\"4xx\"} ") == 1);
    assert_true(metric_line("http_route_request_duration_seconds_count" BODY "} ") == 2);
    peer_connect(&slow, server.port);
    peer_sendf(&slow, "POST /limited/body/own HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
    wait_for_line(in_flight, 1);
    peer_close(&slow); /* gone, so not answered, and over all the same */
    wait_for_line(in_flight, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_layers_run_in_order_around_guard_and_handler,
                                  server_teardown),
        cmocka_unit_test_teardown(test_layers_meet_what_has_another_method, server_teardown),
        cmocka_unit_test_teardown(test_layers_of_limits_hold_for_their_group, server_teardown),
        cmocka_unit_test_teardown(test_layers_or_not_requests_are_counted_by_route,
                                  server_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
