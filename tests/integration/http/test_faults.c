/* Fault containment, for real: each kind of fault costs the request that caused it and nothing
 * else. Around each one, 200 good requests are under way and 200 more arrive. */
#include "tests/support/http_test.h"

#include <signal.h>
#include <string.h>

#define CROWD 200

typedef struct fault_case {
    const char *name;
    const char *path;
    int status;
} fault_case;

static const fault_case FAULTS[] = {
    { "null", "/fault/null", 500 },       { "zero", "/fault/zero", 500 },
    { "recurse", "/fault/recurse", 500 }, { "recurse in wide steps", "/fault/recurse-wide", 500 },
    { "abort", "/fault/abort", 500 },     { "illegal", "/fault/illegal", 500 },
    { "guard", "/fault/guard", 500 },     { "after-reply", "/fault/after-reply", 500 },
    { "cleanup", "/fault/cleanup", 500 }, { "parameter", "/fault/parameter", 500 },
    { "loop", "/fault/loop", 504 },
};

static long worker_pid(void)
{
    answer a;
    http_get(server.port, "/worker", &a);
    const long pid =
        a.status == 200 ? strtol(a.body.ptr + strcspn(a.body.ptr, ":") + 1, NULL, 10) : 0;
    answer_free(&a);
    return pid;
}

static void crowd_sends(peer crowd[CROWD], const char *path)
{
    for (int i = 0; i < CROWD; i++) {
        peer_connect(&crowd[i], server.port);
        peer_sendf(&crowd[i], "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    }
}

static void crowd_is_served(const char *name, peer crowd[CROWD])
{
    for (int i = 0; i < CROWD; i++) {
        answer a;
        peer_read(&crowd[i], false, &a);
        check_status(name, &a, 200);
        answer_free(&a);
        peer_close(&crowd[i]);
    }
}

/* The crowd's connections stay open and have served one request each. */
static void crowd_stays(peer crowd[CROWD])
{
    crowd_sends(crowd, "/fast");
    for (int i = 0; i < CROWD; i++) {
        answer a;
        peer_read(&crowd[i], false, &a);
        check_status("before the fault", &a, 200);
        answer_free(&a);
    }
}

/* On connections that are idle when the worker retires, a request may find nobody any more: then,
 * as every client does, once more on a fresh connection. */
static void crowd_goes_on(const char *name, peer crowd[CROWD])
{
    for (int i = 0; i < CROWD; i++)
        peer_sendf(&crowd[i], "GET /fast HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < CROWD; i++) {
        answer a;
        peer_read(&crowd[i], false, &a);
        if (a.status == 0)
            http_get(server.port, "/fast", &a);
        check_status(name, &a, 200);
        answer_free(&a);
        peer_close(&crowd[i]);
    }
}

static void run_fault(const fault_case *fault)
{
    static peer staying[CROWD], under_way[CROWD], arriving[CROWD];
    peer culprit;
    answer a;
    const double faults = http_metric(server.port, "http_faults_total");
    const long pid = worker_pid();
    crowd_stays(staying);
    crowd_sends(under_way, "/steps/3");
    peer_connect(&culprit, server.port);
    peer_sendf(&culprit, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", fault->path);
    crowd_sends(arriving, "/fast");
    crowd_goes_on(fault->name, staying);
    peer_read(&culprit, false, &a);
    check_status(fault->name, &a, fault->status);
    assert_true(a.closes);
    assert_memory_equal(answer_header(&a, "content-type").ptr, "application/problem+json", 24);
    answer_free(&a);
    assert_true(peer_sees_end(&culprit));
    peer_close(&culprit);
    crowd_is_served(fault->name, under_way);
    crowd_is_served(fault->name, arriving);
    assert_int_equal((int)http_metric(server.port, "http_faults_total"), (int)faults + 1);
    assert_int_not_equal(pid, 0);
    assert_int_not_equal(worker_pid(), 0);
}

static void run_faults(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        print_message("  %s\n", FAULTS[i].name);
        run_fault(&FAULTS[i]);
    }
    assert_true(server_logged(&server, "\"abandoned\""));
    assert_true(server_logged(&server, "\"backtrace\""));
    assert_true(server_logged(&server, "the pattern /fault/parameter has a parameter nope"));
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
}

static void test_fault_one_worker_costs_one_request(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_HANDLER_TIMEOUT=2s"));
    run_faults(ARRAY_LEN(FAULTS));
}

static void test_fault_two_workers_costs_one_request(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=2", "HTTP_HANDLER_TIMEOUT=2s"));
    run_faults(ARRAY_LEN(FAULTS));
}

/* Nobody watches a lone process, so the endless loop, the last of them, is left out. */
static void test_fault_no_workers_costs_one_request(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=0"));
    const long pid = worker_pid();
    run_faults(ARRAY_LEN(FAULTS) - 1);
    assert_int_equal(pid, server.pid);
}

static void test_fault_replaces_the_worker(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=1"));
    const long before = worker_pid();
    check_get("/fault/null", 500);
    const long after = worker_pid();
    assert_int_not_equal(after, 0);
    assert_int_not_equal(after, before);
    for (const uint64_t end_ms = test_clock_ms() + PEER_WAIT_MS; kill((pid_t)before, 0) == 0;) {
        assert_true(test_clock_ms() < end_ms);
        test_pause_ms(5);
    }
}

/* The fiber that faulted worked for a request, which hears of it and goes on. */
static void test_fault_in_a_child_fiber_fails_its_request(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=1"));
    const long before = worker_pid();
    for (int i = 1; i <= 3; i++) {
        check_get("/fault/child", 500);
        assert_int_equal((int)http_metric(server.port, "http_faults_total"), i);
    }
    assert_int_not_equal(worker_pid(), before);
    assert_true(server_logged(&server, "\"fiber\":\"child\""));
}

/* A fiber is a request's by what it runs, and not by a name that others may give theirs. */
static void test_fault_in_a_fiber_named_as_a_request_is_contained(void **state)
{
    (void)state;
    peer slow;
    answer a;
    serve(ENVIRONMENT("WORKERS=1"));
    const long before = worker_pid();
    peer_connect(&slow, server.port);
    peer_sendf(&slow, "GET /slow/500 HTTP/1.1\r\nHost: x\r\n\r\n");
    check_get("/worker", 200); /* so that the slow one has been accepted, before the fault */
    check_get("/fault/namesake", 200);
    peer_read(&slow, false, &a);
    check_status("slow", &a, 200);
    answer_free(&a);
    peer_close(&slow);
    for (const uint64_t end_ms = test_clock_ms() + PEER_WAIT_MS; worker_pid() == before;) {
        assert_true(test_clock_ms() < end_ms);
        test_pause_ms(5);
    }
    assert_int_equal((int)http_metric(server.port, "http_faults_total"), 1);
    assert_false(server_logged(&server, "worker died"));
    assert_false(server_logged(&server, "worker ended"));
}

static void test_fault_storm_is_survived(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=2", "HTTP_QUARANTINE_FAULTS=0"));
    for (int i = 0; i < 25; i++)
        check_get(FAULTS[i % 5].path, 500);
    check_get("/fast", 200);
    assert_int_equal((int)http_metric(server.port, "http_faults_total"), 25);
}

static void test_fault_after_the_client_has_gone_is_contained(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=1"));
    const long before = worker_pid();
    peer p;
    peer_connect(&p, server.port);
    peer_sendf(&p, "GET /fault/alone HTTP/1.1\r\nHost: x\r\n\r\n");
    test_pause_ms(100); /* the handler is asleep, or the reset comes before it starts */
    peer_reset(&p);
    for (const uint64_t end_ms = test_clock_ms() + PEER_WAIT_MS; worker_pid() == before;) {
        assert_true(test_clock_ms() < end_ms);
        test_pause_ms(5);
    }
    check_get("/fast", 200);
    assert_true(server_logged(&server, "orphan"));
    assert_false(server_logged(&server, "worker died"));
    assert_false(server_logged(&server, "worker ended"));
}

/* Not even a signal helps where no fiber runs: the worker is killed, and replaced. */
static void test_fault_outside_a_fiber_ends_the_worker(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_HANDLER_TIMEOUT=300ms"));
    const long before = worker_pid();
    check_get("/fault/stall", 0);
    check_get("/fast", 200);
    assert_int_not_equal(worker_pid(), before);
    assert_true(server_logged(&server, "worker died"));
}

/* More workers retire at once than there is room for: the next waits for one of them to end. */
static void test_fault_while_many_retire_is_survived(void **state)
{
    (void)state;
    peer slow[8];
    answer a;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_QUARANTINE_FAULTS=0"));
    for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
        peer_connect(&slow[i], server.port);
        peer_sendf(&slow[i], "GET /slow/1000 HTTP/1.1\r\nHost: x\r\n\r\n");
        check_get("/worker", 200); /* so that the slow one has been accepted, before the fault */
        check_get("/fault/null", 500);
    }
    for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
        peer_read(&slow[i], false, &a);
        check_status("slow", &a, 200);
        answer_free(&a);
        peer_close(&slow[i]);
    }
}

/* on_fault off: the process dies as the system lets it, and is replaced. */
static void test_fault_uncontained_ends_the_worker(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_CONTAIN_FAULTS=off"));
    check_get("/fault/abort", 0);
    check_get("/fast", 200);
    assert_true(server_logged(&server, "worker died"));
}

#define fault_test(name_) cmocka_unit_test_teardown(name_, server_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fault_test(test_fault_one_worker_costs_one_request),
        fault_test(test_fault_two_workers_costs_one_request),
        fault_test(test_fault_no_workers_costs_one_request),
        fault_test(test_fault_replaces_the_worker),
        fault_test(test_fault_in_a_child_fiber_fails_its_request),
        fault_test(test_fault_in_a_fiber_named_as_a_request_is_contained),
        fault_test(test_fault_storm_is_survived),
        fault_test(test_fault_after_the_client_has_gone_is_contained),
        fault_test(test_fault_outside_a_fiber_ends_the_worker),
        fault_test(test_fault_while_many_retire_is_survived),
        fault_test(test_fault_uncontained_ends_the_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
