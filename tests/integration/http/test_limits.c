/* What a worker does at its limits: connections, descriptors, load, routes that crash again and
 * again, and workers that are killed. */
#include "tests/support/http_load.h"
#include "tests/support/http_test.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#define KILLS   50
#define CLIENTS 4
#define CROWD   60

/* Waits for a condition that is sure to come. */
#define wait_until(condition_)                                                      \
    for (const uint64_t end_ms_ = test_clock_ms() + PEER_WAIT_MS; !(condition_);) { \
        if (test_clock_ms() >= end_ms_)                                             \
            server_print_log(&server);                                              \
        assert_true(test_clock_ms() < end_ms_);                                     \
        test_pause_ms(5);                                                           \
    }

static void request(peer *p, const char *path)
{
    peer_connect(p, server.port);
    peer_sendf(p, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
}

static void expect(peer *p, const char *what, int status)
{
    answer a;
    peer_read(p, false, &a);
    check_status(what, &a, status);
    answer_free(&a);
}

static pid_t some_worker(void)
{
    answer a;
    http_get(server.port, "/worker", &a);
    check_status("/worker", &a, 200);
    const pid_t pid = (pid_t)strtol(a.body.ptr + strcspn(a.body.ptr, ":") + 1, NULL, 10);
    answer_free(&a);
    return pid;
}

/* User and system time of a process, in ms. */
static long cpu_ms(pid_t pid)
{
    char path[64], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    const size_t len = fread(text, 1, sizeof text - 1, file);
    text[len] = '\0';
    (void)fclose(file);
    const char *at = strrchr(text, ')');
    assert_non_null(at);
    for (int field = 2; field < 14; field++) {
        at = strchr(at + 1, ' ');
        assert_non_null(at);
    }
    char *rest;
    const long user = strtol(at, &rest, 10);
    return (user + strtol(rest, NULL, 10)) * 1000 / sysconf(_SC_CLK_TCK);
}

/* --- connections ------------------------------------------------------------------------------ */

static void test_cap_reached_lets_the_oldest_idle_give_way(void **state)
{
    (void)state;
    peer idle[5], more[3];
    serve(ENVIRONMENT("WORKERS=1", "HTTP_CONNECTIONS_MAX=5"));
    test_pause_ms(50);
    for (int i = 0; i < 5; i++) {
        request(&idle[i], "/fast");
        expect(&idle[i], "idle", 200);
        test_pause_ms(10);
    }
    for (int i = 0; i < 3; i++) {
        request(&more[i], "/fast");
        expect(&more[i], "past the cap", 200);
    }
    for (int i = 0; i < 3; i++)
        assert_true(peer_sees_end(&idle[i])); /* the oldest */
    for (int i = 3; i < 5; i++) {
        peer_sendf(&idle[i], "GET /fast HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(&idle[i], "still there", 200);
    }
    for (int i = 0; i < 5; i++)
        peer_close(&idle[i]);
    for (int i = 0; i < 3; i++)
        peer_close(&more[i]);
    assert_int_equal((int)http_metric(server.port, "http_connections_refused_total"), 0);
    wait_until(http_metric(server.port, "http_connections_displaced_total") >= 3);
}

static void test_cap_with_none_idle_makes_clients_wait(void **state)
{
    (void)state;
    peer busy[5], waiting[20];
    serve(ENVIRONMENT("WORKERS=1", "HTTP_CONNECTIONS_MAX=5"));
    test_pause_ms(50);
    const pid_t worker = some_worker();
    for (int i = 0; i < 5; i++)
        request(&busy[i], "/slow/1500");
    test_pause_ms(200);
    const long before_ms = cpu_ms(worker);
    for (int i = 0; i < 20; i++)
        request(&waiting[i], "/fast");
    for (int i = 0; i < 5; i++) {
        expect(&busy[i], "busy", 200);
        if (i == 0)
            assert_true(cpu_ms(worker) - before_ms < 300); /* it slept */
    }
    for (int i = 0; i < 20; i++) {
        expect(&waiting[i], "waiting", 200);
        peer_close(&waiting[i]);
    }
    for (int i = 0; i < 5; i++)
        peer_close(&busy[i]);
    assert_int_equal((int)http_metric(server.port, "http_connections_refused_total"), 0);
}

/* Where the address behind `prefix` was said to be. */
static uint16_t logged_port(const char *prefix)
{
    static char log[65536];
    const ssize_t got = pread(server.log_fd, log, sizeof log - 1, 0);
    log[got > 0 ? got : 0] = '\0';
    const char *at = strstr(log, prefix);
    assert_non_null(at);
    return (uint16_t)strtoul(at + strlen(prefix), NULL, 10);
}

static int status_at(uint16_t port, const char *path)
{
    answer a;
    http_get(port, path, &a);
    const int status = a.status;
    answer_free(&a);
    return status;
}

/* Clients hold all connections, and more of them wait: probes have an address where they do not. */
static void test_cap_with_none_idle_answers_probes(void **state)
{
    (void)state;
    peer busy[5], waiting[20];
    serve(
        ENVIRONMENT("WORKERS=1", "HTTP_CONNECTIONS_MAX=5", "LISTEN=127.0.0.1:0 probe:127.0.0.1:0"));
    const uint16_t probes = logged_port("probe:127.0.0.1:");
    for (int i = 0; i < 5; i++)
        request(&busy[i], "/long/3000");
    test_pause_ms(200);
    for (int i = 0; i < 20; i++)
        request(&waiting[i], "/fast");
    for (int i = 0; i < 30; i++) {
        assert_int_equal(status_at(probes, "/health"), 200);
        assert_int_equal(status_at(probes, "/metrics"), 200);
        assert_int_equal(status_at(probes, "/high"), 200);
        assert_int_equal(status_at(probes, "/fast"), 404);
        assert_int_equal(status_at(probes, "/nothing/here"), 404);
    }
    assert_int_equal((int)http_metric(probes, "http_connections"), 6);
    for (int i = 0; i < 5; i++) {
        expect(&busy[i], "busy", 200);
        peer_close(&busy[i]);
    }
    for (int i = 0; i < 20; i++) {
        expect(&waiting[i], "waiting", 200);
        peer_close(&waiting[i]);
    }
}

/* They are few, and those that say nothing do not stay. */
static void test_probes_past_their_cap_are_refused(void **state)
{
    (void)state;
    peer silent[16], p;
    answer a;
    serve(ENVIRONMENT("WORKERS=1", "LISTEN=127.0.0.1:0 probe:127.0.0.1:0"));
    const uint16_t probes = logged_port("probe:127.0.0.1:");
    for (size_t i = 0; i < ARRAY_LEN(silent); i++)
        peer_connect(&silent[i], probes);
    assert_int_equal(status_at(probes, "/health"), 0);
    check_get("/health", 200); /* as on any other address */
    wait_until(status_at(probes, "/health") == 200);
    for (size_t i = 0; i < ARRAY_LEN(silent); i++) {
        assert_true(peer_sees_end(&silent[i]));
        peer_close(&silent[i]);
    }
    assert_true(http_metric(server.port, "http_connections_refused_total") >= 1);
    request(&p, "/fast");
    peer_close(&p);
    peer_connect(&p, probes);
    peer_sendf(&p, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_read(&p, false, &a);
    check_status("probe", &a, 200);
    assert_true(a.closes);
    answer_free(&a);
    peer_close(&p);
}

/* Told to stop at its cap: who waits in the queue by then is served as those before them go, and
 * who comes after them all is refused. */
static void run_stop_at_the_cap(const char *workers)
{
    peer busy[5], waiting[20], late;
    serve(ENVIRONMENT(workers, "HTTP_CONNECTIONS_MAX=5"));
    for (int i = 0; i < 5; i++)
        request(&busy[i], "/slow/1500");
    test_pause_ms(300);
    for (int i = 0; i < 20; i++)
        request(&waiting[i], "/fast");
    kill(server.pid, SIGTERM);
    for (int i = 0; i < 5; i++) {
        expect(&busy[i], "busy", 200);
        peer_close(&busy[i]);
    }
    for (int i = 0; i < 20; i++) {
        expect(&waiting[i], "waiting", 200);
        peer_close(&waiting[i]);
    }
    assert_int_equal(server_wait(&server), 0);
    assert_false(peer_try_connect(&late, server.port));
    assert_false(server_logged(&server, "drain deadline"));
}

static void test_stop_at_the_cap_serves_those_who_wait(void **state)
{
    (void)state;
    run_stop_at_the_cap("WORKERS=1");
    run_stop_at_the_cap("WORKERS=0");
}

/* With a successor on the same sockets they are his. */
static void test_reload_at_the_cap_serves_those_who_wait(void **state)
{
    (void)state;
    peer busy[5], waiting[20];
    serve(ENVIRONMENT("WORKERS=1", "HTTP_CONNECTIONS_MAX=5"));
    for (int i = 0; i < 5; i++)
        request(&busy[i], "/slow/1500");
    test_pause_ms(300);
    kill(server.pid, SIGHUP);
    for (int i = 0; i < 20; i++)
        request(&waiting[i], "/fast");
    for (int i = 0; i < 20; i++) {
        expect(&waiting[i], "waiting", 200);
        peer_close(&waiting[i]);
    }
    for (int i = 0; i < 5; i++) {
        expect(&busy[i], "busy", 200);
        peer_close(&busy[i]);
    }
    wait_until(server_logged(&server, "\"reloaded\""));
}

/* All at once, more than ten times as many as there is room for. */
static void test_cap_under_a_crowd_serves_everybody(void **state)
{
    (void)state;
    peer crowd[CROWD];
    serve(ENVIRONMENT("WORKERS=1", "HTTP_CONNECTIONS_MAX=5"));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CROWD; i++)
            request(&crowd[i], "/fast");
        for (int i = 0; i < CROWD; i++)
            expect(&crowd[i], "crowd", 200);
        for (int i = 0; i < CROWD; i++)
            peer_close(&crowd[i]);
    }
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
}

/* The limit of open files at the start lowers the cap. */
static void test_few_descriptors_lower_the_cap(void **state)
{
    (void)state;
    peer crowd[CROWD];
    peer idle[CROWD];
    program_launch(&server, ENVIRONMENT("/bin/sh", "-c", "ulimit -n 60; exec \"$FAULTY\""),
                   ENVIRONMENT("WORKERS=1"));
    wait_until(server_logged(&server, "\"serving\""));
    char log[65536];
    const ssize_t got = pread(server.log_fd, log, sizeof log - 1, 0);
    log[got > 0 ? got : 0] = '\0';
    const char *at = strstr(log, "127.0.0.1:");
    assert_non_null(at);
    server.port = (uint16_t)strtoul(at + 10, NULL, 10);
    assert_true(server_logged(&server, "fewer open files"));
    for (int i = 0; i < CROWD; i++) {
        request(&idle[i], "/fast");
        expect(&idle[i], "idle", 200);
    }
    test_pause_ms(150);
    for (int i = 0; i < CROWD; i++) {
        request(&crowd[i], "/fast");
        expect(&crowd[i], "after them", 200);
    }
    for (int i = 0; i < CROWD; i++) {
        peer_close(&idle[i]);
        peer_close(&crowd[i]);
    }
    assert_int_equal((int)http_metric(server.port, "http_connections_refused_total"), 0);
}

/* Descriptors run out while the cap is far away: the worker sleeps until some are free. */
static void test_descriptors_run_out_without_a_spin(void **state)
{
    (void)state;
    peer busy[CROWD], waiting[5];
    serve(ENVIRONMENT("WORKERS=1"));
    const pid_t worker = some_worker();
    const struct rlimit few = { 30, 30 };
    assert_int_equal(prlimit(worker, RLIMIT_NOFILE, &few, NULL), 0);
    for (int i = 0; i < CROWD; i++)
        request(&busy[i], "/slow/2000");
    test_pause_ms(100);
    for (int i = 0; i < 5; i++)
        request(&waiting[i], "/fast");
    const long before_ms = cpu_ms(worker);
    test_pause_ms(1500);
    assert_true(cpu_ms(worker) - before_ms < 500);
    for (int i = 0; i < CROWD; i++) {
        expect(&busy[i], "busy", 200);
        peer_close(&busy[i]);
    }
    for (int i = 0; i < 5; i++) {
        expect(&waiting[i], "waiting", 200);
        peer_close(&waiting[i]);
    }
    check_get("/fast", 200);
}

/* --- workers that are killed ------------------------------------------------------------------ */

/* Whether one of the killed had the request in its hands, or may have had. */
static bool was_killed(pid_t worker, const pid_t *victims)
{
    for (int i = 0; i < KILLS; i++) {
        if (worker == 0 || worker == victims[i])
            return true;
    }
    return false;
}

/* A client has one request under way at a time, so a killed worker has at most all clients' in its
 * hands. The others' go on, and nobody is refused: the sockets outlive the workers. */
static void test_worker_killed_again_and_again_loses_only_its_own(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=2"));
    http_load *load = load_start(server.port, CLIENTS);
    pid_t victims[KILLS];
    peer witness;
    for (int i = 0; i < KILLS; i++) {
        const uint64_t answered = atomic_load(&load->answered);
        /* A request of the other worker is under way, and must be answered. */
        answer a;
        peer_connect(&witness, server.port);
        peer_sendf(&witness, "GET /worker HTTP/1.1\r\nHost: x\r\n\r\n");
        peer_read(&witness, false, &a);
        const pid_t other = (pid_t)strtol(a.body.ptr + strcspn(a.body.ptr, ":") + 1, NULL, 10);
        answer_free(&a);
        while ((victims[i] = some_worker()) == other)
            ;
        peer_sendf(&witness, "GET /slow/20 HTTP/1.1\r\nHost: x\r\n\r\n");
        kill(victims[i], SIGKILL);
        expect(&witness, "the other worker's", 200);
        peer_close(&witness);
        wait_until(atomic_load(&load->answered) > answered + 10);
    }
    assert_true(load_end(load));
    print_message("%d kills: %lu requests answered, %lu lost\n", KILLS,
                  (unsigned long)load->answered, (unsigned long)load->failed);
    assert_true(load->failed <= (uint64_t)KILLS * CLIENTS);
    assert_int_equal(load->refused, 0);
    for (uint32_t i = 0; i < load->lost; i++)
        assert_true(was_killed(load->lost_by[i], victims));
    load_free(load);
    for (int i = 0; i < CROWD; i++)
        check_get("/fast", 200);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
}

/* --- quarantine ------------------------------------------------------------------------------- */

static void run_quarantine(const char *workers)
{
    serve(ENVIRONMENT(workers));
    for (int i = 0; i < 3; i++)
        check_get("/fault/null", 500);
    for (int i = 0; i < 10; i++)
        check_get("/fault/null", 503);                 /* in every worker */
    wait_until(server_logged(&server, "quarantined")); /* a thread writes the log */
    check_get("/fault/zero", 500);                     /* another route */
    check_get("/fast", 200);
    check_get("/health", 200);
    assert_int_equal((int)http_metric(server.port, "http_requests_quarantined_total"), 10);
    assert_int_equal((int)http_metric(server.port, "http_faults_total"), 4);
}

static void test_route_that_faults_again_and_again_is_quarantined(void **state)
{
    (void)state;
    run_quarantine("WORKERS=0");
    server_kill(&server);
    run_quarantine("WORKERS=2");
    kill(server.pid, SIGHUP);
    wait_until(server_logged(&server, "\"reloaded\""));
    wait_until(http_metric(server.port, "http_requests_quarantined_total") == 0.0);
    check_get("/fault/null", 500); /* a new program, a new chance */
}

static void test_route_that_faults_seldom_is_not_quarantined(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_QUARANTINE_WINDOW=150ms"));
    for (int i = 0; i < 5; i++) {
        check_get("/fault/abort", 500);
        test_pause_ms(100);
    }
    server_kill(&server);
    serve(ENVIRONMENT("WORKERS=1", "HTTP_QUARANTINE_FAULTS=0"));
    for (int i = 0; i < 6; i++)
        check_get("/fault/abort", 500);
}

/* --- load ------------------------------------------------------------------------------------- */

static void test_load_past_the_threshold_sheds_low_priority(void **state)
{
    (void)state;
    peer busy[20], low;
    answer a;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_SHED_REQUESTS=10"));
    check_get("/low", 200);
    for (int i = 0; i < 20; i++)
        request(&busy[i], "/slow/1000");
    test_pause_ms(200);
    /* Its body has not been sent, and will not be. */
    peer_connect(&low, server.port);
    peer_sendf(&low, "POST /low HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    peer_read(&low, false, &a);
    check_status("low", &a, 503);
    assert_true(str_eq(answer_header(&a, "Retry-After"), STR("1")));
    assert_true(a.closes);
    answer_free(&a);
    peer_close(&low);
    check_get("/low", 503);
    check_get("/fast", 200);
    check_get("/high", 200);
    check_get("/health", 200);
    assert_int_equal((int)http_metric(server.port, "http_requests_shed_total"), 2);
    for (int i = 0; i < 20; i++) {
        expect(&busy[i], "busy", 200);
        peer_close(&busy[i]);
    }
    wait_until(http_metric(server.port, "http_connections") < 2.0);
    check_get("/low", 200);
}

static void test_load_past_the_last_threshold_sheds_all_but_high_priority(void **state)
{
    (void)state;
    peer busy[10];
    serve(ENVIRONMENT("WORKERS=1", "HTTP_REQUESTS_MAX=10", "HTTP_SHED_REQUESTS=0"));
    for (int i = 0; i < 10; i++)
        request(&busy[i], "/slow/1000");
    test_pause_ms(200);
    check_get("/low", 503);
    check_get("/fast", 503);
    check_get("/high", 200);
    check_get("/health", 200);
    check_get("/metrics", 200);
    check_get("/nothing/here", 404);
    for (int i = 0; i < 10; i++) {
        expect(&busy[i], "busy", 200);
        peer_close(&busy[i]);
    }
    check_get("/fast", 200);
}

/* All fibers are taken, but for those that are kept for what must be answered. */
static void test_fibers_run_out_for_all_but_high_priority(void **state)
{
    (void)state;
    peer busy[100];
    int served = 0;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_FIBERS_MAX=128"));
    for (size_t i = 0; i < ARRAY_LEN(busy); i++)
        request(&busy[i], "/slow/1500");
    test_pause_ms(300);
    check_get("/fast", 503);
    check_get("/low", 503);
    check_get("/nothing/here", 503);
    for (int i = 0; i < 100; i++) {
        check_get("/high", 200);
        check_get("/health", 200);
        check_get("/metrics", 200);
    }
    for (size_t i = 0; i < ARRAY_LEN(busy); i++) {
        answer a;
        peer_read(&busy[i], false, &a);
        assert_true(a.status == 200 || a.status == 503);
        served += a.status == 200;
        answer_free(&a);
        peer_close(&busy[i]);
    }
    assert_in_range(served, 60, 64);
    check_get("/fast", 200);
    check_get("/nothing/here", 404);
}

/* A handler holds the loop up; what came in meanwhile is judged by that. */
static void test_lag_of_the_loop_sheds_low_priority(void **state)
{
    (void)state;
    peer low, normal, hold;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_SHED_LAG=100ms"));
    peer_connect(&low, server.port);
    peer_connect(&normal, server.port);
    test_pause_ms(50);
    request(&hold, "/hold/500");
    test_pause_ms(100);
    peer_sendf(&low, "GET /low HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_sendf(&normal, "GET /fast HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(&hold, "holds", 200);
    expect(&normal, "normal", 200);
    expect(&low, "low", 503);
    peer_close(&low);
    peer_close(&normal);
    peer_close(&hold);
    wait_until(http_metric(server.port, "http_requests_shed_total") == 1.0);
    answer a;
    do { /* it recovers, however slow the machine */
        http_get(server.port, "/low", &a);
        const int status = a.status;
        answer_free(&a);
        if (status == 200)
            break;
        assert_int_equal(status, 503);
        test_pause_ms(20);
    } while (true);
}

/* --- requests in flight ----------------------------------------------------------------------- */

#define TOKEN "0123456789abcdef"

static int debug_status(const char *authorization, answer *a)
{
    peer p;
    peer_connect(&p, server.port);
    peer_sendf(&p, "GET /-/requests HTTP/1.1\r\nHost: x\r\n%s\r\n", authorization);
    peer_read(&p, false, a);
    peer_close(&p);
    return a->status;
}

static bool body_has(const answer *a, const char *text)
{
    return memmem(a->body.ptr, a->body.len, text, strlen(text)) != NULL;
}

/* Copies what is listed of the request with that target; false without one. */
static bool find_listed(const answer *a, const char *target, char *out, size_t bytes)
{
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "\"target\":\"%s\"", target);
    const char *at = memmem(a->body.ptr, a->body.len, wanted, strlen(wanted));
    if (!at)
        return false;
    const size_t left = (size_t)(a->body.ptr + a->body.len - at);
    const char *end = memchr(at, '}', left);
    assert_non_null(end);
    (void)snprintf(out, bytes, "%.*s", (int)(end - at), at);
    return true;
}

static long listed_age_ms(const char *listed)
{
    const char *at = strstr(listed, "\"age_ms\":");
    assert_non_null(at);
    return strtol(at + strlen("\"age_ms\":"), NULL, 10);
}

/* A connection to a worker other than `not_to`; returns which. */
static pid_t connect_to_another(peer *p, pid_t not_to)
{
    for (;;) {
        answer a;
        request(p, "/worker");
        peer_read(p, false, &a);
        check_status("/worker", &a, 200);
        const pid_t pid = (pid_t)strtol(a.body.ptr + strcspn(a.body.ptr, ":") + 1, NULL, 10);
        answer_free(&a);
        if (pid != not_to)
            return pid;
        peer_close(p);
    }
}

static void test_requests_in_flight_are_listed_for_those_who_may(void **state)
{
    (void)state;
    peer slow, body;
    answer a;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_DEBUG_PATH=/-/requests", "HTTP_DEBUG_TOKEN=" TOKEN));
    request(&slow, "/slow/2000");
    peer_connect(&body, server.port);
    peer_sendf(&body, "POST /echo?x=%%22 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
    test_pause_ms(100);
    assert_int_equal(debug_status("", &a), 401);
    assert_false(body_has(&a, "/slow"));
    answer_free(&a);
    assert_int_equal(debug_status("Authorization: Bearer " TOKEN "0\r\n", &a), 401);
    answer_free(&a);
    assert_int_equal(debug_status("Authorization: Basic " TOKEN "\r\n", &a), 401);
    answer_free(&a);
    assert_int_equal(debug_status("Authorization: Bearer " TOKEN "\r\n", &a), 200);
    print_message("%.*s\n", STR_ARG(a.body));
    assert_true(body_has(&a, "\"target\":\"/slow/2000\",\"route\":\"/slow/:ms<int8>\""));
    assert_true(body_has(&a, "\"target\":\"/echo?x=%22\",\"route\":\"/echo\""));
    assert_true(body_has(&a, "\"body\":\"reading\""));
    assert_true(body_has(&a, "\"waits_for\":null")); /* the one that asks */
    char listed[512];
    assert_true(find_listed(&a, "/slow/2000", listed, sizeof listed));
    assert_non_null(strstr(listed, "\"waits_for\":\"sleep\""));
    const long age_ms = listed_age_ms(listed);
    assert_true(find_listed(&a, "/-/requests", listed, sizeof listed));
    assert_true(listed_age_ms(listed) <= age_ms);
    assert_true(find_listed(&a, "/echo?x=%22", listed, sizeof listed));
    assert_non_null(strstr(listed, "\"waits_for\":\"request body\""));
    answer_free(&a);
    test_pause_ms(50);
    assert_int_equal(debug_status("Authorization: Bearer " TOKEN "\r\n", &a), 200);
    assert_true(find_listed(&a, "/slow/2000", listed, sizeof listed));
    assert_true(listed_age_ms(listed) >= age_ms + 50);
    answer_free(&a);
    peer_send(&body, STR("12345"));
    expect(&body, "body", 200);
    expect(&slow, "slow", 200);
    peer_close(&body);
    peer_close(&slow);
}

static bool is_listed(const char *target)
{
    char listed[512];
    answer a;
    assert_int_equal(debug_status("Authorization: Bearer " TOKEN "\r\n", &a), 200);
    const bool found = find_listed(&a, target, listed, sizeof listed);
    answer_free(&a);
    return found;
}

/* Whichever worker is asked, the others say what they have; until one is killed. */
static void test_requests_in_flight_in_all_workers_are_listed(void **state)
{
    (void)state;
    peer one, other;
    char listed[512];
    answer a;
    serve(ENVIRONMENT("WORKERS=2", "HTTP_DEBUG_PATH=/-/requests", "HTTP_DEBUG_TOKEN=" TOKEN));
    const pid_t first = connect_to_another(&one, 0), second = connect_to_another(&other, first);
    peer_sendf(&one, "GET /slow/60001 HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_sendf(&other, "GET /slow/60002 HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_until(is_listed("/slow/60001") && is_listed("/slow/60002"));
    for (int i = 0; i < 20; i++) { /* whoever is asked */
        assert_int_equal(debug_status("Authorization: Bearer " TOKEN "\r\n", &a), 200);
        assert_true(find_listed(&a, "/slow/60001", listed, sizeof listed));
        assert_non_null(strstr(listed, "\"waits_for\":\"sleep\""));
        assert_true(find_listed(&a, "/slow/60002", listed, sizeof listed));
        answer_free(&a);
    }
    kill(second, SIGKILL);
    wait_until(server_logged(&server, "worker died"));
    assert_true(is_listed("/slow/60001"));
    assert_false(is_listed("/slow/60002"));
    peer_close(&one);
    peer_close(&other);
}

static bool debug_says(peer *p, const char *text)
{
    answer a;
    peer_sendf(p, "GET /-/requests HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " TOKEN "\r\n\r\n");
    peer_read(p, false, &a);
    check_status("debug", &a, 200);
    const bool says = body_has(&a, text);
    answer_free(&a);
    return says;
}

/* A worker that is stuck is listed as one that says nothing. */
static void test_worker_that_is_stuck_is_listed_as_silent(void **state)
{
    (void)state;
    peer stuck, p;
    char silent[64];
    serve(ENVIRONMENT("WORKERS=2", "HTTP_DEBUG_PATH=/-/requests", "HTTP_DEBUG_TOKEN=" TOKEN));
    const pid_t first = connect_to_another(&stuck, 0);
    connect_to_another(&p, first);
    peer_sendf(&stuck, "GET /hold/5000 HTTP/1.1\r\nHost: x\r\n\r\n");
    (void)snprintf(silent, sizeof silent, "{\"pid\":%d,\"silent\":true}", (int)first);
    wait_until(debug_says(&p, silent));
    expect(&stuck, "stuck", 200);
    assert_false(debug_says(&p, "silent"));
    peer_close(&stuck);
    peer_close(&p);
}

static void test_requests_in_flight_are_nobodys_business_by_default(void **state)
{
    (void)state;
    answer a;
    char log[4096];
    serve(ENVIRONMENT("WORKERS=1", "HTTP_DEBUG_TOKEN=" TOKEN));
    assert_int_equal(debug_status("Authorization: Bearer " TOKEN "\r\n", &a), 404);
    answer_free(&a);
    const int status = server_run_to_end(
        getenv("FAULTY"), ENVIRONMENT("WORKERS=1", "HTTP_DEBUG_PATH=/x"), log, sizeof log);
    assert_int_equal(status, 1);
    assert_non_null(strstr(log, "HTTP_DEBUG_TOKEN"));
}

#define limits_test(name_) cmocka_unit_test_teardown(name_, server_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        limits_test(test_cap_reached_lets_the_oldest_idle_give_way),
        limits_test(test_cap_with_none_idle_makes_clients_wait),
        limits_test(test_cap_with_none_idle_answers_probes),
        limits_test(test_probes_past_their_cap_are_refused),
        limits_test(test_cap_under_a_crowd_serves_everybody),
        limits_test(test_stop_at_the_cap_serves_those_who_wait),
        limits_test(test_reload_at_the_cap_serves_those_who_wait),
        limits_test(test_few_descriptors_lower_the_cap),
        limits_test(test_descriptors_run_out_without_a_spin),
        limits_test(test_worker_killed_again_and_again_loses_only_its_own),
        limits_test(test_route_that_faults_again_and_again_is_quarantined),
        limits_test(test_route_that_faults_seldom_is_not_quarantined),
        limits_test(test_load_past_the_threshold_sheds_low_priority),
        limits_test(test_load_past_the_last_threshold_sheds_all_but_high_priority),
        limits_test(test_fibers_run_out_for_all_but_high_priority),
        limits_test(test_lag_of_the_loop_sheds_low_priority),
        limits_test(test_requests_in_flight_are_listed_for_those_who_may),
        limits_test(test_requests_in_flight_in_all_workers_are_listed),
        limits_test(test_worker_that_is_stuck_is_listed_as_silent),
        limits_test(test_requests_in_flight_are_nobodys_business_by_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
