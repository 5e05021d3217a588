/* Metrics by route: their labels, and what a server counts in them. */
#include "route_metrics.h"

#include "tests/support/in_fiber.h"

static error handler(http_request *req)
{
    (void)req;
    return OK;
}

static const http_route ROUTES[] = {
    { HTTP_GET, "/notes/:id<int8>", handler, http_public },
    { HTTP_DELETE, "/notes/:id<int8>", handler, http_public },
    { HTTP_GET, "/odd\"\\\n/*rest", handler, http_public },
};
static const http_route BARE[] = { { HTTP_POST, "/bare", handler, http_public } };

static arena memory;
static http_server server;

static int setup(void **state)
{
    (void)state;
    const http_group group = { "/v1", HTTP_ROUTES(ROUTES), { { 0 } } };
    router *r;
    arena_init(&memory, (size_t)16 << 20);
    if (http_router_build(&memory, NULL, &group, 1, &r).kind ||
        http_router_add_bare(&memory, r, HTTP_ROUTES(BARE)).kind)
        return -1;
    http_route_metrics_add(&memory, r);
    const metrics_table *table = http_router_metrics(r);
    if (metrics_open(&table, 1, 2).kind)
        return -1;
    server = (http_server){ .router = r, .route_metrics = metrics_cells_of(table) };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&memory);
    return 0;
}

static const router_endpoint *find(http_method method, const char *path)
{
    router_match m;
    http_router_find(server.router, &memory, method, str_from_c(path), &m);
    assert_non_null(m.endpoint);
    return m.endpoint;
}

/* Whether /metrics has that line. */
static void check_line(const char *line)
{
    buf out;
    buf_init(&out, 1 << 20);
    metrics_expose(&out);
    buf_append_char(&out, '\0');
    assert_ok(buf_status(&out));
    const char *at = strstr(out.data, line);
    if (!at || (at != out.data && at[-1] != '\n') || at[strlen(line)] != '\n')
        fail_msg("%s is not in:\n%s", line, out.data);
    buf_deinit(&out);
}

static void test_route_metrics_are_counted_by_pattern_method_and_class(void **state)
{
    (void)state;
    const router_endpoint *get = find(HTTP_GET, "/v1/notes/7");
    const router_endpoint *delete = find(HTTP_DELETE, "/v1/notes/8");
    const router_endpoint *bare = find(HTTP_POST, "/bare");
    for (int i = 0; i < 3; i++)
        http_route_metrics_begin(&server, get);
    http_route_metrics_answered(&server, get, 200, 250000);
    http_route_metrics_end(&server, get);
    http_route_metrics_answered(&server, get, 204, 500000);
    http_route_metrics_end(&server, get);
    http_route_metrics_begin(&server, delete);
    http_route_metrics_answered(&server, delete, 599, 1);
    http_route_metrics_begin(&server, bare);
    http_route_metrics_answered(&server, bare, 304, 0);
    http_route_metrics_end(&server, bare);
    check_line("# TYPE http_route_requests_total counter");
    check_line("# TYPE http_route_request_duration_seconds summary");
    check_line("# TYPE http_route_requests_in_flight gauge");
#define NOTES "{route=\"/v1/notes/:id<int8>\",method="
    check_line("http_route_requests_total" NOTES "\"GET\",class=\"2xx\"} 2");
    check_line("http_route_requests_total" NOTES "\"GET\",class=\"5xx\"} 0");
    check_line("http_route_requests_total" NOTES "\"DELETE\",class=\"5xx\"} 1");
    check_line("http_route_requests_total{route=\"/bare\",method=\"POST\",class=\"3xx\"} 1");
    check_line("http_route_request_duration_seconds_sum" NOTES "\"GET\"} 0.75");
    check_line("http_route_request_duration_seconds_count" NOTES "\"GET\"} 2");
    check_line("http_route_requests_in_flight" NOTES "\"GET\"} 1");
    check_line("http_route_requests_in_flight" NOTES "\"DELETE\"} 1");
    check_line("http_route_requests_in_flight{route=\"/bare\",method=\"POST\"} 0");
}

static void test_route_metrics_labels_are_escaped(void **state)
{
    (void)state;
    (void)find(HTTP_GET, "/v1/odd%22%5C%0A/x");
    check_line(
        "http_route_requests_in_flight{route=\"/v1/odd\\\"\\\\\\n/*rest\",method=\"GET\"} 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_route_metrics_are_counted_by_pattern_method_and_class),
        cmocka_unit_test(test_route_metrics_labels_are_escaped),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
