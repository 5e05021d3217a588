/* Connections that are kept: who gets which, in what order, how they end, and what is sent again
 * when one has ended unseen. */
#include "tests/support/called.h"

#define EMPTY_OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

/* One call from beginning to end; on `*fd`, or on a new connection when that is -1. */
static void call_over(int *fd, const char *path)
{
    asked a;
    ask_get(&a, path);
    if (*fd < 0)
        *fd = peer_accept(listening);
    assert_str_equal(first_line(take_request(*fd, 0)),
                     str_format(fiber_arena(), "GET %s HTTP/1.1", path));
    serve_text(*fd, EMPTY_OK);
    assert_answer(&a, 200, "");
}

static void test_connection_is_used_again(void **state)
{
    (void)state;
    int fd = -1;
    open_client(NULL);
    for (int i = 0; i < 5; i++)
        call_over(&fd, "/again");
    const http_client_stats stats = http_client_stats_of(client);
    assert_int_equal(stats.open, 1);
    assert_int_equal(stats.idle, 1);
    assert_int_equal(stats.servers, 1);
    assert_nobody_connects();
    close(fd);
    eventually(http_client_stats_of(client).open == 0);
}

static void test_connection_used_last_is_used_first(void **state)
{
    (void)state;
    asked a[3];
    int fds[3];
    open_client(NULL);
    for (int i = 0; i < 3; i++) {
        ask_get(&a[i], "/");
        fds[i] = peer_accept(listening);
        take_request(fds[i], 0);
    }
    for (int i = 0; i < 3; i++) { /* the second is given back last */
        const int n = (int[]){ 0, 2, 1 }[i];
        serve_text(fds[n], EMPTY_OK);
        assert_answer(&a[n], 200, "");
    }
    call_over(&fds[1], "/1");
    call_over(&fds[1], "/2");
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

static void test_closing_answers_end_the_connection(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        EMPTY_OK "x",
        EMPTY_OK EMPTY_OK,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx",
    };
    open_client(NULL);
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        asked a;
        ask_get(&a, "/");
        const int fd = peer_accept(listening);
        take_request(fd, 0);
        serve_text(fd, answers[i]);
        answered(&a);
        assert_ok(a.result);
        assert_ended(fd);
        assert_int_equal(http_client_stats_of(client).open, 0);
        close(fd);
    }
}

static void test_idle_connection_that_speaks_or_ends_is_dropped(void **state)
{
    (void)state;
    open_client(NULL);
    for (int i = 0; i < 3; i++) {
        int fd = -1;
        call_over(&fd, "/");
        if (i == 0)
            serve_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged");
        else if (i == 1)
            shutdown(fd, SHUT_WR);
        else
            peer_reset(&fd);
        eventually(http_client_stats_of(client).open == 0);
        if (fd >= 0)
            close(fd);
    }
    int fd = -1;
    call_over(&fd, "/fresh");
    close(fd);
}

static void test_idle_connection_is_kept_for_its_time(void **state)
{
    (void)state;
    int fd = -1;
    open_client(&(http_client_options){ .idle_timeout_ms = 1000 });
    call_over(&fd, "/");
    assert_int_equal(http_client_stats_of(client).idle, 1);
    eventually(http_client_stats_of(client).open == 0);
    assert_ended(fd);
    close(fd);
}

static void test_most_idle_connections_are_kept_by_age(void **state)
{
    (void)state;
    asked a[3];
    int fds[3];
    open_client(&(http_client_options){ .idle_max = 2 });
    for (int i = 0; i < 3; i++) {
        ask_get(&a[i], "/");
        fds[i] = peer_accept(listening);
        take_request(fds[i], 0);
    }
    for (int i = 0; i < 3; i++) {
        serve_text(fds[i], EMPTY_OK);
        assert_answer(&a[i], 200, "");
    }
    assert_ended(fds[0]);
    assert_int_equal(http_client_stats_of(client).open, 2);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

static void test_calls_wait_for_their_turn_in_order(void **state)
{
    (void)state;
    asked a[6];
    char path[32];
    open_client(&(http_client_options){ .connections_max = 1 });
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "/%d", i);
        ask_get(&a[i], path);
    }
    const int fd = peer_accept(listening);
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof path, "GET /%d ", i);
        assert_true(str_starts_with(take_request(fd, 0), str_from_c(path)));
        assert_int_equal(http_client_stats_of(client).waiting, 5 - i);
        serve_text(fd, EMPTY_OK);
        assert_answer(&a[i], 200, "");
    }
    assert_nobody_connects();
    close(fd);
}

static void test_waiting_call_gets_the_place_of_a_lost_connection(void **state)
{
    (void)state;
    asked a, b;
    open_client(&(http_client_options){ .connections_max = 1 });
    ask_get(&a, "/a");
    ask_get(&b, "/b");
    int fd = peer_accept(listening);
    take_request(fd, 0);
    peer_reset(&fd);
    assert_no_answer(HTTP_CALL_LOST, &a);
    fd = peer_accept(listening);
    assert_true(str_starts_with(take_request(fd, 0), STR("GET /b ")));
    serve_text(fd, EMPTY_OK);
    assert_answer(&b, 200, "");
    close(fd);
}

static void test_waiting_call_that_is_canceled_leaves_the_line(void **state)
{
    (void)state;
    asked a, b, c;
    open_client(&(http_client_options){ .connections_max = 1 });
    ask_get(&a, "/a");
    ask_get(&b, "/b");
    ask_get(&c, "/c");
    const int fd = peer_accept(listening);
    take_request(fd, 0);
    fiber_cancel(b.fiber, &CANCELED);
    assert_no_answer(CANCELED, &b);
    assert_int_equal(http_client_stats_of(client).waiting, 1);
    serve_text(fd, EMPTY_OK);
    assert_answer(&a, 200, "");
    assert_true(str_starts_with(take_request(fd, 0), STR("GET /c ")));
    serve_text(fd, EMPTY_OK);
    assert_answer(&c, 200, "");
    close(fd);
}

static void test_call_that_waits_for_too_long_is_told(void **state)
{
    (void)state;
    asked a, b;
    open_client(&(http_client_options){ .connections_max = 1 });
    ask_get(&a, "/a");
    b = (asked){ .request = { .url = url_of("/b"), .timeout_ms = 50 } };
    ask(&b);
    const int fd = peer_accept(listening);
    assert_no_answer(HTTP_CALL_TIMED_OUT, &b);
    take_request(fd, 0);
    serve_text(fd, EMPTY_OK);
    assert_answer(&a, 200, "");
    close(fd);
}

/* --- sent again ------------------------------------------------------------------------------- */

/* A kept connection that dies when it is used: by a reset, or an end, in place of an answer. */
static void kill_at_use(http_method method, bool reset, asked *a)
{
    int fd = -1;
    call_over(&fd, "/first");
    *a = (asked){ .request = { .method = method, .url = url_of("/second") } };
    ask(a);
    take_request(fd, 0);
    if (reset)
        peer_reset(&fd);
    else
        close(fd);
}

static void test_request_on_a_dead_connection_is_sent_again_if_it_may_be(void **state)
{
    (void)state;
    static const struct {
        http_method method;
        bool again;
    } rows[] = {
        { HTTP_GET, true },     { HTTP_HEAD, true },  { HTTP_PUT, true },   { HTTP_DELETE, true },
        { HTTP_OPTIONS, true }, { HTTP_TRACE, true }, { HTTP_POST, false }, { HTTP_PATCH, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        asked a;
        open_client(NULL);
        kill_at_use(rows[i].method, i % 2, &a);
        if (!rows[i].again) {
            assert_no_answer(HTTP_CALL_LOST, &a);
            assert_nobody_connects();
            continue;
        }
        const int fd = peer_accept(listening);
        take_request(fd, 0);
        serve_text(fd, EMPTY_OK);
        assert_answer(&a, 200, "");
        close(fd);
    }
}

static void test_request_is_sent_again_only_once(void **state)
{
    (void)state;
    asked a;
    open_client(NULL);
    kill_at_use(HTTP_GET, false, &a);
    const int fd = peer_accept(listening);
    take_request(fd, 0);
    close(fd);
    assert_no_answer(HTTP_CALL_LOST, &a);
    assert_nobody_connects();
}

static void test_request_on_a_fresh_connection_is_not_sent_again(void **state)
{
    (void)state;
    asked a;
    open_client(NULL);
    ask_get(&a, "/");
    const int fd = peer_accept(listening);
    take_request(fd, 0);
    close(fd);
    assert_no_answer(HTTP_CALL_LOST, &a);
    assert_nobody_connects();
}

static void test_request_that_was_answered_in_part_is_not_sent_again(void **state)
{
    (void)state;
    int fd = -1;
    asked a;
    open_client(NULL);
    call_over(&fd, "/first");
    ask_get(&a, "/second");
    take_request(fd, 0);
    serve_text(fd, "H");
    close(fd);
    assert_no_answer(HTTP_CALL_LOST, &a);
    assert_nobody_connects();
}

static void test_request_sent_again_takes_no_kept_connection(void **state)
{
    (void)state;
    asked a[2];
    int fds[2];
    open_client(&(http_client_options){ .connections_max = 2 });
    for (int i = 0; i < 2; i++) {
        ask_get(&a[i], "/");
        fds[i] = peer_accept(listening);
        take_request(fds[i], 0);
    }
    for (int i = 0; i < 2; i++) {
        serve_text(fds[i], EMPTY_OK);
        assert_answer(&a[i], 200, "");
    }
    ask_get(&a[0], "/again");
    take_request(fds[1], 0);
    close(fds[1]);
    const int fd = peer_accept(listening); /* not fds[0], which may be as dead */
    assert_true(str_starts_with(take_request(fd, 0), STR("GET /again ")));
    serve_text(fd, EMPTY_OK);
    assert_answer(&a[0], 200, "");
    close(fd);
    close(fds[0]);
}

/* The server ends a kept connection, and before the client's loop has seen it, a call is there. */
static void test_post_on_a_connection_that_had_ended_is_sent_fresh(void **state)
{
    (void)state;
    int fd = -1;
    open_client(NULL);
    call_over(&fd, "/first");
    asked a = { .request = { .method = HTTP_POST, .url = url_of("/second"), .body = STR("x") } };
    ask(&a); /* its fiber runs when this one waits: by then the end is in the socket */
    close(fd);
    fd = peer_accept(listening);
    assert_true(str_starts_with(take_request(fd, 1), STR("POST /second ")));
    serve_text(fd, EMPTY_OK);
    assert_answer(&a, 200, "");
    close(fd);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void test_client_that_is_closed_ends_all_calls(void **state)
{
    (void)state;
    asked asking, waiting, reading;
    open_client(&(http_client_options){ .connections_max = 2 });
    ask_get(&asking, "/asking");
    ask_get(&reading, "/reading");
    ask_get(&waiting, "/waiting");
    const int one = peer_accept(listening), two = peer_accept(listening);
    take_request(one, 0);
    take_request(two, 0);
    serve_text(two, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    assert_ok(fiber_sleep(20));
    http_client_close(&client);
    assert_null(client);
    assert_no_answer(HTTP_CLIENT_CLOSED, &asking);
    assert_no_answer(HTTP_CLIENT_CLOSED, &reading);
    assert_no_answer(HTTP_CLIENT_CLOSED, &waiting);
    assert_ended(one);
    assert_ended(two);
    close(one);
    close(two);
}

static uint64_t counted(const char *name, const char *labels)
{
    for (uint32_t i = 0; i < HTTP_CLIENT_METRICS.count; i++) {
        const metric *m = &HTTP_CLIENT_METRICS.items[i];
        if (strcmp(m->name, name) == 0 && (!labels || strcmp(m->labels, labels) == 0))
            return metrics_total(&HTTP_CLIENT_METRICS, i);
    }
    fail_msg("no metric %s", name);
    return 0;
}

static void test_client_counts_what_it_does(void **state)
{
    (void)state;
    const uint64_t answers = counted("http_client_requests_total", "class=\"2xx\""),
                   opened = counted("http_client_connections_opened_total", NULL),
                   reused = counted("http_client_connections_reused_total", NULL),
                   retried = counted("http_client_retries_total", NULL),
                   lost = counted("http_client_errors_total", "reason=\"lost\"");
    asked a;
    open_client(NULL);
    kill_at_use(HTTP_GET, false, &a);
    const int fd = peer_accept(listening);
    take_request(fd, 0);
    assert_int_equal(counted("http_client_connections", NULL), 1);
    close(fd);
    assert_no_answer(HTTP_CALL_LOST, &a);
    assert_int_equal(counted("http_client_requests_total", "class=\"2xx\"") - answers, 1);
    assert_int_equal(counted("http_client_connections_opened_total", NULL) - opened, 2);
    assert_int_equal(counted("http_client_connections_reused_total", NULL) - reused, 1);
    assert_int_equal(counted("http_client_retries_total", NULL) - retried, 1);
    assert_int_equal(counted("http_client_errors_total", "reason=\"lost\"") - lost, 1);
    assert_int_equal(counted("http_client_connections", NULL), 0);
    assert_int_equal(counted("http_client_waiting", NULL), 0);
}

/* For the metrics to be those of the process. */
static int open_metrics(void **state)
{
    static const metrics_table *const tables[] = { &HTTP_CLIENT_METRICS };
    const error e = metrics_open(tables, 1, 1);
    metrics_use_slot(0);
    return e.kind ? -1 : called_setup(state);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connection_is_used_again),
        cmocka_unit_test(test_connection_used_last_is_used_first),
        cmocka_unit_test(test_closing_answers_end_the_connection),
        cmocka_unit_test(test_idle_connection_that_speaks_or_ends_is_dropped),
        cmocka_unit_test(test_idle_connection_is_kept_for_its_time),
        cmocka_unit_test(test_most_idle_connections_are_kept_by_age),
        cmocka_unit_test(test_calls_wait_for_their_turn_in_order),
        cmocka_unit_test(test_waiting_call_gets_the_place_of_a_lost_connection),
        cmocka_unit_test(test_waiting_call_that_is_canceled_leaves_the_line),
        cmocka_unit_test(test_call_that_waits_for_too_long_is_told),
        cmocka_unit_test(test_request_on_a_dead_connection_is_sent_again_if_it_may_be),
        cmocka_unit_test(test_request_is_sent_again_only_once),
        cmocka_unit_test(test_request_on_a_fresh_connection_is_not_sent_again),
        cmocka_unit_test(test_request_that_was_answered_in_part_is_not_sent_again),
        cmocka_unit_test(test_request_sent_again_takes_no_kept_connection),
        cmocka_unit_test(test_post_on_a_connection_that_had_ended_is_sent_fresh),
        cmocka_unit_test(test_client_that_is_closed_ends_all_calls),
        cmocka_unit_test(test_client_counts_what_it_does),
    };
    return cmocka_run_group_tests(tests, open_metrics, called_teardown);
}

int main(void)
{
    return run_in_fiber(run);
}
