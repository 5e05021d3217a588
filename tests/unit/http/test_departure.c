/* Clients that leave while their request is handled, and those that have only ended their side: the
 * former end a handler that wants it so, the latter get their answer. */
#include "core/clock.h"
#include "http/test.h"
#include "tests/support/in_fiber.h"

static int begun, ended_by_client, ended_well;

static error nap(http_request *req)
{
    begun++;
    const error e = fiber_sleep((uint32_t)http_path_int8(req, "ms"));
    ended_by_client += error_is(e, &HTTP_CLIENT_GONE);
    TRY(e);
    ended_well++;
    return http_reply_text(req, 200, STR("slept"));
}

static error read_and_nap(http_request *req)
{
    str body;
    TRY(http_body_bytes(req, &body));
    return nap(req);
}

static error start_and_nap(http_request *req)
{
    TRY(http_reply_start(req, 200, STR("text/plain")));
    begun++;
    TRY(fiber_sleep(1000));
    ended_well++;
    return http_reply_write(req, STR("slept"));
}

static error send_events(http_request *req)
{
    TRY(http_events_start(req));
    begun++;
    const error e = fiber_sleep(20000);
    ended_by_client += error_is(e, &HTTP_CLIENT_GONE);
    return e;
}

static const http_route routes[] = {
    { HTTP_GET, "/nap/:ms<int8>", nap, http_public, .on_disconnect = HTTP_ENDS },
    { HTTP_POST, "/nap/:ms<int8>", read_and_nap, http_public, .on_disconnect = HTTP_ENDS },
    { HTTP_GET, "/started", start_and_nap, http_public, .on_disconnect = HTTP_ENDS },
    { HTTP_GET, "/usual/:ms<int8>", nap, http_public },
    { HTTP_GET, "/finish/:ms<int8>", nap, http_public, .on_disconnect = HTTP_FINISHES },
    { HTTP_POST, "/finish/:ms<int8>", read_and_nap, http_public, .on_disconnect = HTTP_FINISHES },
    { HTTP_GET, "/events", send_events, http_public, .on_disconnect = HTTP_FINISHES },
};
static const http_app app = { .name = "departure", .routes = HTTP_ROUTES(routes) };

static http_test *t;
static http_test_conn *c;

static int setup(void **state)
{
    (void)state;
    begun = ended_by_client = ended_well = 0;
    assert_ok(http_test_open(&app, NULL, &t));
    c = http_test_connect(t);
    assert_non_null(c);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_test_disconnect(&c);
    assert_ok(http_test_close(&t));
    return 0;
}

static void get(const char *target)
{
    http_test_request(c, "GET", target, STR_NONE, STR_NONE);
}

static void test_departure_ends_the_waits_of_a_handler(void **state)
{
    (void)state;
    get("/nap/60000");
    http_test_disconnect(&c);
    http_test_advance(t, 99);
    assert_int_equal(ended_by_client, 0);
    http_test_advance(t, 10);
    assert_int_equal(ended_by_client, 1);
    assert_int_equal(ended_well, 0);
}

static void test_departure_does_not_concern_other_routes(void **state)
{
    (void)state;
    get("/usual/25000");
    http_test_disconnect(&c);
    http_test_advance(t, 25001);
    assert_int_equal(ended_by_client, 0);
    assert_int_equal(ended_well, 1);
}

static void test_departure_of_a_side_is_none(void **state)
{
    (void)state;
    get("/nap/25000");
    http_test_end(c);
    http_test_advance(t, 25001);
    for (int i = 0; i < 4; i++) /* no more, however long it takes */
        assert_int_equal(http_test_read(c).status, 100);
    const http_test_reply r = http_test_read(c);
    assert_int_equal(r.status, 200);
    assert_str_equal(r.body, STR("slept"));
    assert_int_equal(ended_by_client, 0);
}

static void test_departure_after_the_side_was_ended_is_found_out(void **state)
{
    (void)state;
    get("/nap/60000");
    http_test_end(c);
    http_test_advance(t, 200);
    assert_int_equal(http_test_read(c).status, 100);
    assert_int_equal(ended_by_client, 0);
    http_test_disconnect(&c);
    http_test_advance(t, 6000);
    assert_int_equal(ended_by_client, 1);
}

static void test_departure_is_not_asked_about_before_a_quick_answer(void **state)
{
    (void)state;
    get("/nap/90");
    http_test_end(c);
    http_test_advance(t, 91);
    assert_int_equal(http_test_read(c).status, 200);
    assert_true(http_test_has_ended(c));
}

static void test_departure_with_the_request_itself_is_found_out(void **state)
{
    (void)state;
    http_test_write(c, STR("GET /nap/60000 HT")); /* so that the end comes along with the rest */
    http_test_write(c, STR("TP/1.1\r\nHost: x\r\n\r\n"));
    http_test_disconnect(&c);
    http_test_advance(t, 200);
    assert_int_equal(begun, 1);
    assert_int_equal(ended_by_client, 1);
}

static void test_departure_behind_pipelined_requests_ends_the_one_that_runs(void **state)
{
    (void)state;
    get("/nap/50");
    get("/nap/60000");
    get("/nap/60000");
    http_test_disconnect(&c);
    http_test_advance(t, 51);
    assert_int_equal(ended_well, 1);
    http_test_advance(t, 1000);
    assert_int_equal(begun, 2); /* nobody waits for the third */
    assert_int_equal(ended_by_client, 1);
}

static void test_departure_of_a_side_leaves_pipelined_requests_their_answers(void **state)
{
    (void)state;
    get("/nap/500");
    get("/nap/500");
    http_test_end(c);
    http_test_advance(t, 501);
    http_test_advance(t, 501);
    assert_int_equal(http_test_read(c).status, 100);
    assert_int_equal(http_test_read(c).status, 200);
    assert_int_equal(http_test_read(c).status, 100);
    assert_int_equal(http_test_read(c).status, 200);
    assert_int_equal(ended_well, 2);
}

static void test_departure_after_a_body_is_found_out(void **state)
{
    (void)state;
    http_test_write(c,
                    STR("POST /nap/60000 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234"));
    http_test_write(c, STR("56789"));
    assert_int_equal(begun, 1);
    http_test_disconnect(&c);
    http_test_advance(t, 200);
    assert_int_equal(ended_by_client, 1);
}

static void test_departure_is_not_asked_about_by_http_1_0(void **state)
{
    (void)state;
    http_test_write(c, STR("GET /nap/1000 HTTP/1.0\r\n\r\n"));
    http_test_end(c);
    http_test_advance(t, 1001);
    assert_int_equal(http_test_read(c).status, 200);
}

static void test_departure_is_not_asked_about_within_an_answer(void **state)
{
    (void)state;
    get("/started");
    http_test_end(c);
    http_test_advance(t, 1001);
    const http_test_reply r = http_test_read(c);
    assert_int_equal(r.status, 200);
    assert_str_equal(r.body, STR("slept"));
}

static void test_departure_by_a_reset_ends_most_handlers(void **state)
{
    static const char *const targets[] = { "/usual/25000", "/nap/25000", "/events" };
    (void)state;
    for (int i = 0; i < 3; i++) {
        get(targets[i]);
        http_test_reset(c);
        http_test_advance(t, 1);
        assert_int_equal(ended_by_client, i + 1);
        http_test_disconnect(&c);
        c = http_test_connect(t);
    }
}

static void test_departure_leaves_a_handler_that_finishes_alone(void **state)
{
    (void)state;
    get("/finish/25000");
    http_test_reset(c);
    http_test_advance(t, 25001);
    assert_int_equal(ended_by_client, 0);
    assert_int_equal(ended_well, 1);
}

static void test_departure_within_a_body_ends_it_anyway(void **state)
{
    (void)state;
    http_test_write(c,
                    STR("POST /finish/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234"));
    http_test_reset(c);
    http_test_advance(t, 10);
    assert_int_equal(begun, 0); /* and the app ends, or else the test's end fails */
}

#define DEPARTURE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DEPARTURE_TEST(test_departure_ends_the_waits_of_a_handler),
        DEPARTURE_TEST(test_departure_does_not_concern_other_routes),
        DEPARTURE_TEST(test_departure_of_a_side_is_none),
        DEPARTURE_TEST(test_departure_after_the_side_was_ended_is_found_out),
        DEPARTURE_TEST(test_departure_is_not_asked_about_before_a_quick_answer),
        DEPARTURE_TEST(test_departure_with_the_request_itself_is_found_out),
        DEPARTURE_TEST(test_departure_behind_pipelined_requests_ends_the_one_that_runs),
        DEPARTURE_TEST(test_departure_of_a_side_leaves_pipelined_requests_their_answers),
        DEPARTURE_TEST(test_departure_after_a_body_is_found_out),
        DEPARTURE_TEST(test_departure_is_not_asked_about_by_http_1_0),
        DEPARTURE_TEST(test_departure_is_not_asked_about_within_an_answer),
        DEPARTURE_TEST(test_departure_by_a_reset_ends_most_handlers),
        DEPARTURE_TEST(test_departure_leaves_a_handler_that_finishes_alone),
        DEPARTURE_TEST(test_departure_within_a_body_ends_it_anyway),
    };
    return cmocka_run_group_tests_name("departure", tests, NULL, NULL);
}
