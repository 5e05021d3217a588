/* The test client: what goes over it, and all that hangs on time, to the millisecond. */
#include "core/clock.h"
#include "core/offload.h"
#include "http/test.h"
#include "tests/support/in_fiber.h"

#include <unistd.h>

/* --- an app ----------------------------------------------------------------------------------- */

#define POINT_FIELDS(F) \
    F(x, int4)          \
    F(label, text, .max_len = 10)
SHAPE(point, POINT_FIELDS)

static int starts, stops, ended_by_client, ended_by_time;

static error mirror(http_request *req)
{
    point p;
    TRY(http_body(req, point, &p));
    p.x = -p.x;
    return http_reply(req, 201, point, &p);
}

static error echo(http_request *req)
{
    str body;
    TRY(http_body_bytes(req, &body));
    TRY(http_set_header(req, STR("X-Client"), http_client_address(req)));
    return http_reply_bytes(req, 200, STR("application/octet-stream"), body);
}

static error sleep_long(http_request *req)
{
    const error e = fiber_sleep((uint32_t)http_path_int8(req, "ms"));
    ended_by_client += error_is(e, &HTTP_CLIENT_GONE);
    ended_by_time += error_is(e, &TIMED_OUT);
    TRY(e);
    return http_reply_text(req, 200, STR("slept"));
}

static error count_bytes(void *arg)
{
    usleep(2000);
    *(int *)arg += 1;
    return OK;
}

static error offloaded(http_request *req)
{
    int count = 0;
    TRY(offload(count_bytes, &count));
    return http_reply_text(req, count == 1 ? 200 : 500, STR("by a thread"));
}

static error pour(http_request *req)
{
    static const char zeros[65536];
    TRY(http_reply_start(req, 200, STR("application/octet-stream")));
    for (int64_t left = http_path_int8(req, "bytes"); left > 0; left -= (int64_t)sizeof zeros) {
        const size_t part = left < (int64_t)sizeof zeros ? (size_t)left : sizeof zeros;
        TRY(http_reply_write(req, (str){ zeros, part }));
    }
    return OK;
}

static error tick(http_request *req)
{
    TRY(http_events_start(req));
    for (int n = 1;; n++) {
        TRY(fiber_sleep(1000));
        TRY(http_event_send(req, &(http_event){ .data = str_format(fiber_arena(), "%d", n) }));
    }
}

static error fault(http_request *req)
{
    (void)req;
    abort();
}

static error hello(http_request *req)
{
    return http_reply_text(req, 200, STR("hello"));
}

static const http_rate_limit_options three_a_minute = { .requests = 3 };

static const http_route routes[] = {
    { HTTP_GET, "/hello", hello, http_public },
    { HTTP_POST, "/mirror", mirror, http_public, .body = SHAPE_OF(point),
      .reply = SHAPE_OF(point) },
    { HTTP_POST, "/echo", echo, http_public, .body_bytes_max = 8 << 20 },
    { HTTP_GET, "/sleep/:ms<int8>", sleep_long, http_public },
    { HTTP_GET, "/quick/:ms<int8>", sleep_long, http_public, .timeout_ms = 250 },
    { HTTP_GET, "/offloaded", offloaded, http_public },
    { HTTP_GET, "/pour/:bytes<int8>", pour, http_public },
    { HTTP_GET, "/tick", tick, http_public, .timeout_ms = 100000 },
    { HTTP_GET, "/fault", fault, http_public },
};
static const http_route limited[] = { { HTTP_GET, "/limited", hello, http_public } };
static const http_group groups[] = {
    { NULL, HTTP_ROUTES(limited), { { http_rate_limit, &three_a_minute } } },
};

static error on_worker_start(void)
{
    starts++;
    return fiber_sleep(100);
}

static void on_worker_stop(void)
{
    stops += error_is_ok(fiber_sleep(100));
}

static const http_app app = {
    .name = "in_process",
    .routes = HTTP_ROUTES(routes),
    .groups = HTTP_GROUPS(groups),
    .on_worker_start = on_worker_start,
    .on_worker_stop = on_worker_stop,
};

static http_test *t;

static int open_with(const http_test_options *options)
{
    starts = stops = ended_by_client = ended_by_time = 0;
    assert_ok(http_test_open(&app, options, &t));
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return open_with(&(http_test_options){ .starts_at_s = 784111777 });
}

static int teardown(void **state)
{
    (void)state;
    assert_ok(http_test_close(&t));
    assert_null(t);
    assert_ok(http_test_close(&t)); /* harmless */
    assert_false(clock_is_fake());
    assert_int_equal(starts, 1);
    assert_int_equal(stops, 1);
    return 0;
}

static void expect(http_test_reply r, int status, const char *body)
{
    if (r.status != status)
        print_error("%.*s%.*s\n", STR_ARG(r.head), STR_ARG(r.body));
    assert_int_equal(r.status, status);
    assert_true(r.whole);
    if (body)
        assert_str_equal(r.body, str_from_c(body));
}

/* --- what goes over it ------------------------------------------------------------------------ */

static void test_client_requests_are_answered(void **state)
{
    (void)state;
    const http_test_reply r = http_test_get(t, "/hello");
    expect(r, 200, "hello");
    assert_str_equal(http_test_header(&r, "content-length"), STR("5"));
    assert_null(http_test_header(&r, "X-Nothing").ptr);
    expect(http_test_get(t, "/nothing"), 404, NULL);
    const http_test_reply head = http_test_send(t, "HEAD", "/hello", STR_NONE, STR_NONE);
    expect(head, 200, "");
    assert_str_equal(http_test_header(&head, "Content-Length"), STR("5"));
    expect(http_test_get(t, "/offloaded"), 200, "by a thread");
    expect(http_test_send(t, "POST", "/echo", STR_NONE, STR_NONE), 200, "");
    expect(http_test_get(t, "/health"), 200, NULL);
}

static void test_client_shapes_go_both_ways(void **state)
{
    (void)state;
    const point in = { .x = 7, .label = STR("seven") };
    point out;
    const http_test_reply r = http_test_send_as(t, "POST", "/mirror", STR_NONE, point, &in);
    expect(r, 201, NULL);
    assert_ok(http_test_body(t, &r, point, &out));
    assert_int_equal(out.x, -7);
    assert_str_equal(out.label, STR("seven"));
    const point bad = { .label = STR("much too long for it") };
    const http_test_reply refused = http_test_send_as(t, "POST", "/mirror", STR_NONE, point, &bad);
    expect(refused, 422, NULL);
    assert_int_equal(http_test_body(t, &refused, point, &out).kind != NULL, 1);
}

static void test_client_large_bodies_arrive(void **state)
{
    (void)state;
    enum {
        BYTES = 3000000
    };
    char *bytes = malloc(BYTES);
    assert_non_null(bytes);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (char)(i * 2654435761U >> 24);
    const http_test_reply r =
        http_test_send(t, "POST", "/echo", STR("X-Any: thing\r\n"), (str){ bytes, BYTES });
    expect(r, 200, NULL);
    assert_int_equal(r.body.len, BYTES);
    assert_memory_equal(r.body.ptr, bytes, BYTES);
    free(bytes);
    assert_str_equal(http_test_header(&r, "X-Client"), STR("127.0.0.1"));
    const http_test_reply poured = http_test_get(t, "/pour/5000000"); /* in chunks */
    expect(poured, 200, NULL);
    assert_int_equal(poured.body.len, 5000000);
}

static void test_client_raw_bytes_cut_anywhere_are_one_request(void **state)
{
    (void)state;
    static const char request[] = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
                                  "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for (size_t cut = 1; cut < sizeof request - 1; cut++) {
        http_test_conn *c = http_test_connect(t);
        assert_non_null(c);
        http_test_write(c, (str){ request, cut });
        assert_int_equal(http_test_received(c).len, 0);
        http_test_write(c, (str){ request + cut, sizeof request - 1 - cut });
        expect(http_test_read(c), 200, "abcde");
        assert_false(http_test_has_ended(c));
        http_test_disconnect(&c);
        assert_null(c);
    }
}

static void test_client_pipelined_answers_come_in_order(void **state)
{
    (void)state;
    http_test_conn *c = http_test_connect(t);
    http_test_request(c, "GET", "/sleep/50", STR_NONE, STR_NONE);
    http_test_request(c, "HEAD", "/hello", STR_NONE, STR_NONE);
    http_test_request(c, "GET", "/hello", STR("Connection: close\r\n"), STR_NONE);
    assert_int_equal(http_test_read(c).status, 0); /* only time would bring it */
    http_test_advance(t, 50);
    expect(http_test_read(c), 200, "slept");
    expect(http_test_read(c), 200, "");
    expect(http_test_read(c), 200, "hello");
    assert_true(http_test_has_ended(c));
    assert_false(http_test_is_broken(c));
    assert_int_equal(http_test_read(c).status, 0);
    http_test_disconnect(&c);
}

static void test_client_that_expects_100_is_told_to_go_on(void **state)
{
    (void)state;
    http_test_conn *c = http_test_connect(t);
    http_test_write(c, STR("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                           "Content-Length: 2\r\n\r\n"));
    expect(http_test_read(c), 100, "");
    http_test_write(c, STR("hi"));
    expect(http_test_read(c), 200, "hi");
    http_test_disconnect(&c);
}

static void test_client_malformed_request_is_refused_and_closed(void **state)
{
    (void)state;
    http_test_conn *c = http_test_connect(t);
    http_test_write(c, STR("GET /hello HTTP/1.1\nHost: x\n\n"));
    expect(http_test_read(c), 400, NULL);
    assert_true(http_test_has_ended(c));
}

static void test_client_that_goes_ends_its_handler(void **state)
{
    (void)state;
    http_test_conn *c = http_test_connect(t);
    http_test_request(c, "GET", "/sleep/20000", STR_NONE, STR_NONE);
    http_test_reset(c);
    assert_int_equal(ended_by_client, 1);
    assert_true(http_test_has_ended(c));
    http_test_conn *half = http_test_connect(t);
    http_test_request(half, "GET", "/sleep/20000", STR_NONE, STR_NONE);
    http_test_end(half); /* it may still be answered */
    http_test_advance(t, 20000);
    expect(http_test_read(half), 200, "slept");
    assert_int_equal(ended_by_client, 1);
}

static void test_client_address_and_settings_are_the_tests(void **state)
{
    (void)state;
    assert_int_equal(setenv("HTTP_BODY_BYTES_MAX", "77", 1), 0);
    open_with(&(http_test_options){
        .client = "[2001:db8::7]:1",
        .settings = { { "HTTP_CONNECTIONS_MAX", "2" }, { "HTTP_BODY_BYTES_MAX", NULL } } });
    const http_test_reply r = http_test_send(t, "POST", "/echo", STR_NONE, STR("x"));
    assert_str_equal(http_test_header(&r, "X-Client"), STR("2001:db8::7"));
    assert_null(getenv("HTTP_BODY_BYTES_MAX"));
    http_test_conn *a = http_test_connect(t), *b = http_test_connect(t);
    assert_true(a && b);
    http_test_request(a, "GET", "/sleep/5", STR_NONE, STR_NONE);
    http_test_request(b, "GET", "/sleep/5", STR_NONE, STR_NONE);
    assert_null(http_test_connect(t)); /* full, and none is idle */
    teardown(NULL);
    assert_string_equal(getenv("HTTP_BODY_BYTES_MAX"), "77");
    assert_null(getenv("HTTP_CONNECTIONS_MAX"));
    assert_int_equal(unsetenv("HTTP_BODY_BYTES_MAX"), 0);
}

static error start_fails(void)
{
    return error_set(&TIMED_OUT, "there is no database");
}

static void test_client_app_that_cannot_start_is_an_error(void **state)
{
    (void)state;
    static const http_route unguarded[] = { { HTTP_GET, "/", hello, NULL } };
    http_test *none = NULL;
    const http_test_options off = { .settings = { { "LOG_LEVEL", "off" } } };
    assert_true(
        http_test_open(&(http_app){ .name = "x", .routes = HTTP_ROUTES(unguarded) }, &off, &none)
            .kind != NULL);
    assert_fails(
        HTTP_TEST_FAILED,
        http_test_open(&(http_app){ .name = "x", .on_worker_start = start_fails }, &off, &none));
    assert_fails(
        CONFIG_INVALID,
        http_test_open(&app, &(http_test_options){ .settings = { { "PORT", "many" } } }, &none));
    assert_fails(HTTP_TEST_FAILED,
                 http_test_open(&app, &(http_test_options){ .client = "somewhere" }, &none));
    assert_null(none);
    assert_false(clock_is_fake());
    assert_null(getenv("LOG_LEVEL"));
}

static void test_client_with_the_real_clock_waits(void **state)
{
    (void)state;
    open_with(&(http_test_options){ .real_clock = true });
    assert_false(clock_is_fake());
    expect(http_test_get(t, "/sleep/20"), 200, "slept");
    teardown(NULL);
}

static void test_client_closing_ends_what_is_in_flight(void **state)
{
    (void)state;
    open_with(NULL);
    http_test_conn *c = http_test_connect(t), *d = http_test_connect(t);
    http_test_request(c, "GET", "/sleep/20000", STR_NONE, STR_NONE);
    http_test_request(d, "GET", "/tick", STR_NONE, STR_NONE);
    http_test_advance(t, 3000);
    teardown(NULL);
    assert_int_equal(ended_by_client, 1);
}

/* --- time ------------------------------------------------------------------------------------- */

static void test_time_idle_connection_is_closed_at_its_timeout(void **state)
{
    (void)state;
    open_with(&(http_test_options){
        .settings = { { "HTTP_FIRST_BYTE_TIMEOUT", "40s" }, { "HTTP_IDLE_TIMEOUT", "75s" } } });
    http_test_conn *fresh = http_test_connect(t), *used = http_test_connect(t);
    http_test_advance(t, 30000);
    http_test_request(used, "GET", "/hello", STR_NONE, STR_NONE);
    expect(http_test_read(used), 200, "hello");
    http_test_advance(t, 9999);
    assert_false(http_test_has_ended(fresh));
    http_test_advance(t, 1);
    assert_true(http_test_has_ended(fresh));
    assert_int_equal(http_test_received(fresh).len, 0);
    http_test_advance(t, 64999);
    assert_false(http_test_has_ended(used));
    http_test_advance(t, 1);
    assert_true(http_test_has_ended(used));
    teardown(NULL);
}

static void test_time_head_that_does_not_arrive_is_408_at_its_timeout(void **state)
{
    (void)state;
    open_with(&(http_test_options){ .settings = { { "HTTP_HEADER_TIMEOUT", "10s" } } });
    http_test_conn *c = http_test_connect(t);
    http_test_write(c, STR("GET /hello HTTP/1.1\r\n"));
    for (int i = 0; i < 9; i++) {
        http_test_advance(t, 1000);
        http_test_write(c, STR("X-Slow: loris\r\n")); /* which does not help */
    }
    http_test_advance(t, 999);
    assert_int_equal(http_test_received(c).len, 0);
    http_test_advance(t, 1);
    expect(http_test_read(c), 408, NULL);
    assert_true(http_test_has_ended(c));
    teardown(NULL);
}

static void test_time_body_that_pauses_is_408_at_its_timeout(void **state)
{
    (void)state;
    open_with(&(http_test_options){ .settings = { { "HTTP_BODY_TIMEOUT", "20s" },
                                                  { "HTTP_BODY_RATE_MIN", "0" },
                                                  { "HTTP_HANDLER_TIMEOUT", "1h" } } });
    http_test_conn *c = http_test_connect(t);
    http_test_write(c, STR("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"));
    for (int i = 0; i < 5; i++) {
        http_test_advance(t, 19999);
        http_test_write(c, STR("a"));
    }
    http_test_advance(t, 19999);
    assert_int_equal(http_test_received(c).len, 0);
    http_test_advance(t, 1);
    expect(http_test_read(c), 408, NULL);
    teardown(NULL);
}

/* 20 s, and a second more for each 256 bytes that came. */
static void test_time_body_that_trickles_is_408_when_its_time_is_up(void **state)
{
    (void)state;
    static char bytes[1024];
    open_with(&(http_test_options){ .settings = { { "HTTP_BODY_TIMEOUT", "20s" },
                                                  { "HTTP_BODY_RATE_MIN", "256" },
                                                  { "HTTP_HANDLER_TIMEOUT", "1h" } } });
    http_test_conn *c = http_test_connect(t);
    http_test_write(c, STR("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"));
    http_test_write(c, (str){ bytes, sizeof bytes });
    for (int i = 0; i < 23; i++) {
        http_test_advance(t, 1000);
        http_test_write(c, STR("a")); /* 4 ms more each */
    }
    http_test_advance(t, 1000);
    assert_int_equal(http_test_received(c).len, 0);
    http_test_advance(t, 100);
    expect(http_test_read(c), 408, NULL);
    teardown(NULL);
}

static void test_time_handler_is_timed_out_at_its_deadline(void **state)
{
    (void)state;
    open_with(&(http_test_options){ .settings = { { "HTTP_HANDLER_TIMEOUT", "5s" } } });
    http_test_conn *c = http_test_connect(t), *d = http_test_connect(t), *e = http_test_connect(t);
    http_test_request(c, "GET", "/sleep/60000", STR_NONE, STR_NONE);
    http_test_request(d, "GET", "/quick/60000", STR_NONE, STR_NONE); /* its route's own: 250 ms */
    http_test_request(e, "GET", "/sleep/4999", STR_NONE, STR_NONE);
    http_test_advance(t, 249);
    assert_int_equal(http_test_received(d).len, 0);
    http_test_advance(t, 1);
    expect(http_test_read(d), 504, NULL);
    assert_int_equal(ended_by_time, 1);
    http_test_advance(t, 4749);
    expect(http_test_read(e), 200, "slept");
    assert_int_equal(http_test_received(c).len, 0);
    http_test_advance(t, 1);
    expect(http_test_read(c), 504, NULL);
    assert_int_equal(ended_by_time, 2);
    http_test_request(c, "GET", "/hello", STR_NONE, STR_NONE); /* the connection goes on */
    expect(http_test_read(c), 200, "hello");
    teardown(NULL);
}

static void test_time_client_that_takes_nothing_is_dropped_at_the_timeout(void **state)
{
    (void)state;
    open_with(&(http_test_options){
        .settings = { { "HTTP_WRITE_TIMEOUT", "15s" }, { "HTTP_HANDLER_TIMEOUT", "1h" } } });
    http_test_conn *c = http_test_connect(t);
    http_test_pause(c);
    http_test_request(c, "GET", "/pour/10000000", STR_NONE, STR_NONE);
    http_test_advance(t, 14999);
    assert_int_equal(http_test_received(c).len, 0);
    http_test_resume(c); /* just in time: all that had come before */
    http_test_pause(c);
    http_test_advance(t, 14999);
    http_test_resume(c);
    expect(http_test_read(c), 200, NULL);

    http_test_pause(c);
    http_test_request(c, "GET", "/pour/10000000", STR_NONE, STR_NONE);
    http_test_advance(t, 15000);
    http_test_resume(c);
    const http_test_reply cut = http_test_read(c);
    assert_int_equal(cut.status, 200);
    assert_false(cut.whole);
    assert_true(http_test_is_broken(c));
    teardown(NULL);
}

static void test_time_date_changes_once_a_second(void **state)
{
    (void)state;
    open_with(&(http_test_options){ .starts_at_s = 784111777 });
    const int64_t passed_ms = ((int64_t)clock_wall().tv_sec - 784111777) * 1000 +
                              clock_wall().tv_nsec / 1000000; /* while the app started */
    http_test_advance(t, (uint32_t)(1000 - passed_ms % 1000));
    const int64_t from_s = clock_wall_s() - 784111777;
    char want[2][40];
    for (int i = 0; i < 2; i++)
        (void)snprintf(want[i], sizeof want[i], "Sun, 06 Nov 1994 08:49:%02d GMT",
                       37 + (int)from_s + i);
    http_test_reply r = http_test_get(t, "/hello");
    assert_str_equal(http_test_header(&r, "Date"), str_from_c(want[0]));
    http_test_advance(t, 999);
    r = http_test_get(t, "/hello");
    assert_str_equal(http_test_header(&r, "Date"), str_from_c(want[0]));
    http_test_advance(t, 1);
    r = http_test_get(t, "/hello");
    assert_str_equal(http_test_header(&r, "Date"), str_from_c(want[1]));
    http_test_advance(t, 86400000U);
    r = http_test_get(t, "/hello");
    assert_true(str_eq(str_slice(http_test_header(&r, "Date"), 0, 16), STR("Mon, 07 Nov 1994")));
    teardown(NULL);
}

static void test_time_events_come_when_they_are_due(void **state)
{
    (void)state;
    http_test_conn *c = http_test_connect(t);
    http_test_request(c, "GET", "/tick", STR_NONE, STR_NONE);
    http_test_advance(t, 999);
    const size_t head = http_test_received(c).len;
    assert_true(head > 0);
    http_test_advance(t, 1);
    const size_t one = http_test_received(c).len - head;
    assert_true(one > 0);
    http_test_advance(t, 7000);
    assert_int_equal(http_test_received(c).len, head + 8 * one);
}

static void test_time_rate_limit_refills_when_it_says(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        expect(http_test_get(t, "/limited"), 200, NULL);
    const http_test_reply r = http_test_get(t, "/limited");
    expect(r, 429, NULL);
    assert_str_equal(http_test_header(&r, "Retry-After"), STR("20"));
    http_test_advance(t, 19999);
    expect(http_test_get(t, "/limited"), 429, NULL);
    http_test_advance(t, 1);
    expect(http_test_get(t, "/limited"), 200, NULL);
    expect(http_test_get(t, "/limited"), 429, NULL);
    http_test_advance(t, 60000);
    for (int i = 0; i < 3; i++)
        expect(http_test_get(t, "/limited"), 200, NULL);
    expect(http_test_get(t, "/limited"), 429, NULL);
}

static void test_time_faults_count_within_the_window(void **state)
{
    (void)state;
    const http_test_options three_in_a_minute = { .settings = { { "HTTP_QUARANTINE_FAULTS", "3" },
                                                                { "HTTP_QUARANTINE_WINDOW", "60s" },
                                                                { "LOG_LEVEL", "off" } } };
    open_with(&three_in_a_minute);
    for (int i = 0; i < 5; i++) {
        expect(http_test_get(t, "/fault"), 500, NULL);
        http_test_advance(t, i % 2 ? 30001 : 30000); /* never three in 60,000 ms */
    }
    expect(http_test_get(t, "/fault"), 500, NULL);
    http_test_advance(t, 1);
    expect(http_test_get(t, "/fault"), 500, NULL); /* now */
    expect(http_test_get(t, "/fault"), 503, NULL);
    http_test_advance(t, 3600000);
    expect(http_test_get(t, "/fault"), 503, NULL); /* until a reload */
    expect(http_test_get(t, "/hello"), 200, NULL);
    teardown(NULL);
    open_with(&three_in_a_minute); /* a new program, a new chance */
    expect(http_test_get(t, "/fault"), 500, NULL);
    teardown(NULL);
}

#define WITH_APP(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_APP(test_client_requests_are_answered),
        WITH_APP(test_client_shapes_go_both_ways),
        WITH_APP(test_client_large_bodies_arrive),
        WITH_APP(test_client_raw_bytes_cut_anywhere_are_one_request),
        WITH_APP(test_client_pipelined_answers_come_in_order),
        WITH_APP(test_client_that_expects_100_is_told_to_go_on),
        WITH_APP(test_client_malformed_request_is_refused_and_closed),
        WITH_APP(test_client_that_goes_ends_its_handler),
        cmocka_unit_test(test_client_address_and_settings_are_the_tests),
        cmocka_unit_test(test_client_app_that_cannot_start_is_an_error),
        cmocka_unit_test(test_client_with_the_real_clock_waits),
        cmocka_unit_test(test_client_closing_ends_what_is_in_flight),
        cmocka_unit_test(test_time_idle_connection_is_closed_at_its_timeout),
        cmocka_unit_test(test_time_head_that_does_not_arrive_is_408_at_its_timeout),
        cmocka_unit_test(test_time_body_that_pauses_is_408_at_its_timeout),
        cmocka_unit_test(test_time_body_that_trickles_is_408_when_its_time_is_up),
        cmocka_unit_test(test_time_handler_is_timed_out_at_its_deadline),
        cmocka_unit_test(test_time_client_that_takes_nothing_is_dropped_at_the_timeout),
        cmocka_unit_test(test_time_date_changes_once_a_second),
        WITH_APP(test_time_events_come_when_they_are_due),
        WITH_APP(test_time_rate_limit_refills_when_it_says),
        cmocka_unit_test(test_time_faults_count_within_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
