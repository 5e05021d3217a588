/* How a server starts, stops, and loses its processes: what is in flight is finished, what waits
 * for a dead worker is served by its successor, and nobody is left behind. */
#include "tests/support/http_test.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CROWD 50

/* Waits for a condition that is sure to come. */
#define wait_until(condition_)                                                      \
    for (const uint64_t end_ms_ = test_clock_ms() + PEER_WAIT_MS; !(condition_);) { \
        assert_true(test_clock_ms() < end_ms_);                                     \
        test_pause_ms(5);                                                           \
    }

static void request(peer *p, const char *path)
{
    peer_connect(p, server.port);
    peer_sendf(p, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
}

static pid_t pid_of(const answer *a)
{
    return (pid_t)strtol(a->body.ptr + strcspn(a->body.ptr, ":") + 1, NULL, 10);
}

static pid_t some_worker(void)
{
    answer a;
    http_get(server.port, "/worker", &a);
    check_status("/worker", &a, 200);
    const pid_t pid = pid_of(&a);
    answer_free(&a);
    return pid;
}

static void expect(peer *p, const char *what, int status)
{
    answer a;
    peer_read(p, false, &a);
    check_status(what, &a, status);
    answer_free(&a);
}

/* --- stopping -------------------------------------------------------------------------------- */

static bool refuses_connections(void)
{
    peer p;
    if (!peer_try_connect(&p, server.port))
        return true;
    peer_close(&p);
    return false;
}

/* Idle connections, requests under way, half a head and half a body, when the signal comes. */
static void run_drain(int signo)
{
    peer idle, fresh, half_head, half_body, crowd[CROWD], last;
    answer a;
    request(&idle, "/fast");
    expect(&idle, "idle", 200);
    peer_connect(&half_head, server.port);
    peer_send(&half_head, STR("GET /fast HTTP/1.1\r\nHo"));
    peer_connect(&half_body, server.port);
    peer_send(&half_body, STR("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234"));
    request(&last, "/slow/2000");
    for (int i = 0; i < CROWD; i++)
        request(&crowd[i], "/slow/400");
    peer_connect(&fresh, server.port);
    test_pause_ms(100); /* so that they are under way, and not only in the accept queue */
    kill(server.pid, signo);
    kill(server.pid, signo); /* told twice is told once */
    assert_true(peer_sees_end(&idle));
    assert_true(peer_sees_end(&fresh));
    wait_until(refuses_connections());
    peer_send(&half_head, STR("st: x\r\n\r\n"));
    expect(&half_head, "half a head", 200);
    peer_send(&half_body, STR("56789"));
    peer_read(&half_body, false, &a);
    check_status("half a body", &a, 200);
    assert_true(a.closes);
    answer_free(&a);
    for (int i = 0; i < CROWD; i++) {
        peer_read(&crowd[i], false, &a);
        check_status("under way", &a, 200);
        assert_true(a.closes);
        answer_free(&a);
        peer_close(&crowd[i]);
    }
    expect(&last, "the last", 200);
    peer_close(&idle);
    peer_close(&fresh);
    peer_close(&half_head);
    peer_close(&half_body);
    peer_close(&last);
    assert_int_equal(server_wait(&server), 0);
    assert_true(server_logged(&server, "stopped in good order"));
    assert_false(server_logged(&server, "worker ended"));
    assert_false(server_logged(&server, "worker died"));
}

static void test_drain_two_workers_finishes_what_is_in_flight(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=2"));
    run_drain(SIGTERM);
}

static void test_drain_no_workers_finishes_what_is_in_flight(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=0"));
    run_drain(SIGTERM);
}

static void test_drain_by_interrupt_finishes_what_is_in_flight(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=1"));
    run_drain(SIGINT);
}

static void test_drain_deadline_ends_what_takes_too_long(void **state)
{
    (void)state;
    peer p;
    serve(ENVIRONMENT("WORKERS=2", "HTTP_DRAIN_TIMEOUT=200ms"));
    request(&p, "/slow/29000");
    test_pause_ms(100);
    const uint64_t told_ms = test_clock_ms();
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
    assert_true(test_clock_ms() - told_ms < 20000);
    expect(&p, "too slow", 0);
    peer_close(&p);
    assert_true(server_logged(&server, "connections left at the drain deadline"));
}

static void test_stop_that_faults_still_ends(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=2", "FAULTY_START=faults-at-stop"));
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
    assert_true(server_logged(&server, "on_worker_stop"));
}

/* A worker that does not hear the signal is killed in the end. */
static void test_stop_of_a_worker_that_hangs_is_forced(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=1", "HTTP_DRAIN_TIMEOUT=100ms"));
    kill(some_worker(), SIGSTOP);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
    assert_true(server_logged(&server, "worker died"));
}

static void test_drain_answers_pipelined_requests_it_has_begun(void **state)
{
    (void)state;
    peer p;
    answer a;
    serve(ENVIRONMENT("WORKERS=1"));
    peer_connect(&p, server.port);
    peer_send(&p, STR("GET /slow/300 HTTP/1.1\r\nHost: x\r\n\r\n"
                      "GET /fast HTTP/1.1\r\nHost: x\r\n\r\n"));
    test_pause_ms(100);
    kill(server.pid, SIGTERM);
    peer_read(&p, false, &a);
    check_status("begun", &a, 200);
    assert_true(a.closes);
    answer_free(&a);
    assert_true(peer_sees_end(&p));
    peer_close(&p);
    assert_int_equal(server_wait(&server), 0);
}

/* --- lost processes -------------------------------------------------------------------------- */

/* A stopped worker accepts nothing: what connects meanwhile waits in its socket's queue. */
static void test_killed_worker_leaves_its_queue_to_the_next(void **state)
{
    (void)state;
    peer crowd[CROWD];
    serve(ENVIRONMENT("WORKERS=1"));
    const pid_t worker = some_worker();
    kill(worker, SIGSTOP);
    for (int i = 0; i < CROWD; i++)
        request(&crowd[i], "/fast");
    kill(worker, SIGKILL);
    for (int i = 0; i < CROWD; i++) {
        expect(&crowd[i], "queued", 200);
        peer_close(&crowd[i]);
    }
    assert_int_not_equal(some_worker(), worker);
    assert_true(server_logged(&server, "worker died"));
}

static void test_killed_worker_leaves_the_others_alone(void **state)
{
    (void)state;
    peer crowd[CROWD];
    pid_t worker[CROWD];
    answer a;
    int lost = 0, others = 0;
    serve(ENVIRONMENT("WORKERS=2"));
    for (int i = 0; i < CROWD; i++) {
        request(&crowd[i], "/worker");
        peer_read(&crowd[i], false, &a);
        check_status("/worker", &a, 200);
        worker[i] = pid_of(&a);
        answer_free(&a);
        peer_sendf(&crowd[i], "GET /slow/500 HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    test_pause_ms(50);
    kill(worker[0], SIGKILL);
    for (int i = 0; i < CROWD; i++) {
        peer_read(&crowd[i], false, &a);
        if (worker[i] != worker[0]) {
            check_status("the other worker's", &a, 200);
            others++;
        } else {
            lost++;
        }
        answer_free(&a);
        peer_close(&crowd[i]);
    }
    assert_true(lost > 0 && others > 0);
    for (int i = 0; i < CROWD; i++)
        check_get("/fast", 200);
    wait_until((int)http_metric(server.port, "http_connections") == 1); /* the one that asks */
}

/* A replacement that cannot start is tried again, until it can; meanwhile clients wait. */
static void test_killed_worker_that_cannot_start_again_is_tried_again(void **state)
{
    (void)state;
    char mark[64], variable[96];
    peer p;
    (void)snprintf(mark, sizeof mark, "/tmp/brio-faulty.%d", (int)getpid());
    (void)snprintf(variable, sizeof variable, "FAULTY_MARK=%s", mark);
    (void)unlink(mark);
    serve(ENVIRONMENT("WORKERS=1", variable));
    const pid_t worker = some_worker();
    const int fd = open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    kill(worker, SIGKILL);
    request(&p, "/fast");
    wait_until(server_logged(&server, "worker cannot start"));
    assert_int_equal(unlink(mark), 0);
    expect(&p, "when it starts again", 200);
    peer_close(&p);
}

/* The server's log cannot be written any more, and there is much to be logged. */
static void test_server_whose_log_nobody_reads_goes_on(void **state)
{
    (void)state;
    char port[32];
    peer probe;
    serve(ENVIRONMENT("WORKERS=0")); /* its port is free again when it has gone */
    server_kill(&server);
    const uint16_t free_port = server.port;
    (void)snprintf(port, sizeof port, "PORT=%u", free_port);
    server_launch(&server, getenv("FAULTY"),
                  ENVIRONMENT("WORKERS=1", "LOG_LEVEL=debug", "FAULTY_START=unheard", port));
    server.port = free_port;
    wait_until(peer_try_connect(&probe, free_port));
    peer_close(&probe);
    for (int round = 0; round < 3; round++) {
        const pid_t worker = some_worker();
        check_get("/no-answer", 500);
        check_get("/fault/null", 500);
        kill(worker, SIGKILL);
    }
    check_get("/fast", 200);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
}

/* Descriptors run out: who cannot be accepted waits, and is served when others have gone. */
static void test_clients_past_the_descriptors_are_served_in_turn(void **state)
{
    (void)state;
    peer crowd[CROWD];
    answer a;
    serve(ENVIRONMENT("WORKERS=1"));
    const struct rlimit few = { 40, 40 };
    assert_int_equal(prlimit(some_worker(), RLIMIT_NOFILE, &few, NULL), 0);
    for (int i = 0; i < CROWD; i++)
        request(&crowd[i], "/fast");
    for (int i = 0; i < CROWD; i++) {
        peer_read(&crowd[i], false, &a);
        check_status("in turn", &a, 200);
        answer_free(&a);
        peer_close(&crowd[i]);
    }
    check_get("/fast", 200);
    check_get("/static/page.html", 200);
}

static void test_killed_supervisor_takes_its_workers_along(void **state)
{
    (void)state;
    peer p;
    serve(ENVIRONMENT("WORKERS=2"));
    const pid_t worker = some_worker();
    request(&p, "/slow/300");
    test_pause_ms(100);
    kill(server.pid, SIGKILL);
    expect(&p, "in flight when the supervisor died", 200);
    peer_close(&p);
    int ended = 0;
    for (bool saw_worker = false; ended < 3;) {
        int status;
        const pid_t pid = waitpid(-server.pid, &status, WNOHANG);
        wait_until(pid != 0 || waitid(P_PGID, (id_t)server.pid, NULL, WEXITED | WNOWAIT) == 0);
        if (pid <= 0)
            continue;
        ended++;
        saw_worker |= pid == worker;
        if (pid != server.pid)
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_true(ended < 3 || saw_worker);
    }
    assert_true(refuses_connections());
}

/* --- starting -------------------------------------------------------------------------------- */

typedef struct start_case {
    const char *name;
    const char *environment[3];
    int status;
    const char *says[2];
} start_case;

static const start_case START_CASES[] = {
    { "bad port", { "PORT=99999" }, 2, { "PORT", "65535" } },
    { "bad duration", { "HTTP_IDLE_TIMEOUT=soon" }, 2, { "HTTP_IDLE_TIMEOUT", "soon" } },
    { "two bad ones",
      { "WORKERS=many", "HTTP_ACCESS_LOG=perhaps" },
      2,
      { "WORKERS", "HTTP_ACCESS_LOG" } },
    { "bad setting of the app's", { "FAULTY_NUMBER=10" }, 2, { "FAULTY_NUMBER", "10" } },
    { "bad host", { "HOST=localhost" }, 1, { "HOST", "IP address" } },
    { "not our address", { "HOST=192.0.2.1" }, 1, { "cannot start", "192.0.2.1" } },
    { "unguarded route", { "FAULTY_START=unguarded" }, 1, { "GET /fast", "guard" } },
    { "conflicting routes", { "FAULTY_START=conflicting" }, 1, { "/items/:name", "/items/:id" } },
    { "failing start",
      { "FAULTY_START=fails", "WORKERS=2" },
      1,
      { "told to fail", "on_worker_start" } },
    { "failing start, no workers",
      { "FAULTY_START=fails", "WORKERS=0" },
      1,
      { "told to fail", "NOT_TODAY" } },
    { "faulting start",
      { "FAULTY_START=faults", "WORKERS=1" },
      1,
      { "on_worker_start", "crashed" } },
};

static void test_start_with_a_mistake_is_refused_with_its_name(void **state)
{
    (void)state;
    char log[16384];
    for (size_t i = 0; i < ARRAY_LEN(START_CASES); i++) {
        const start_case *c = &START_CASES[i];
        const int status = server_run_to_end(getenv("FAULTY"), c->environment, log, sizeof log);
        if (status == c->status && strstr(log, c->says[0]) && strstr(log, c->says[1]))
            continue;
        print_error("%s: status %d, log:\n%s\n", c->name, status, log);
        fail();
    }
}

static void test_command_line_is_answered(void **state)
{
    (void)state;
    static const struct {
        const char *argument, *second;
        int status;
        const char *says;
    } rows[] = {
        { "--help", NULL, 0, "HTTP_IDLE_TIMEOUT" },
        { "--help", NULL, 0, "FAULTY_NUMBER" },
        { "help", NULL, 0, "usage: faulty" },
        { "help", NULL, 0, "say WORD" },
        { "dance", NULL, 2, "unknown command \"dance\"" },
        { "say", "cheese", 0, "says cheese" },
        { "say", NULL, 2, "one word is wanted" },
        { "say", "bad", 1, "a bad word" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char log[16384];
        server_process program;
        program_launch(&program, ENVIRONMENT(getenv("FAULTY"), rows[i].argument, rows[i].second),
                       ENVIRONMENT(NULL));
        assert_int_equal(program_end(&program, log, sizeof log), rows[i].status);
        assert_non_null(strstr(log, rows[i].says));
    }
}

static void test_start_on_a_taken_port_is_refused(void **state)
{
    (void)state;
    char log[4096], port[32];
    serve(ENVIRONMENT("WORKERS=0"));
    (void)snprintf(port, sizeof port, "PORT=%u", server.port);
    const int status =
        server_run_to_end(getenv("FAULTY"), ENVIRONMENT("WORKERS=1", port), log, sizeof log);
    print_message("%s", log);
    assert_int_equal(status, 1);
    assert_non_null(strstr(log, port + 5));
}

/* Told to stop while on_worker_start is still waiting. */
static void run_stop_during_start(const char *workers)
{
    const uint64_t began_ms = test_clock_ms();
    server_launch(&server, getenv("FAULTY"), ENVIRONMENT("FAULTY_START=waits", workers));
    wait_until(server_logged(&server, "serving"));
    test_pause_ms(100);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
    assert_true(test_clock_ms() - began_ms < 20000);
    server_kill(&server);
}

/* Clients that wait for a worker that is still starting are served before it stops. */
static void test_stop_during_the_start_serves_who_waits(void **state)
{
    (void)state;
    peer crowd[CROWD];
    serve(ENVIRONMENT("WORKERS=0")); /* its port is free again when it has gone */
    server_kill(&server);
    const uint16_t free_port = server.port;
    char port[32];
    (void)snprintf(port, sizeof port, "PORT=%u", free_port);
    server_launch(&server, getenv("FAULTY"),
                  ENVIRONMENT("WORKERS=2", "FAULTY_START=dawdles", port));
    wait_until(server_logged(&server, "serving"));
    server.port = free_port;
    for (int i = 0; i < CROWD; i++)
        request(&crowd[i], "/fast");
    kill(server.pid, SIGTERM);
    for (int i = 0; i < CROWD; i++) {
        expect(&crowd[i], "waiting for the start", 200);
        peer_close(&crowd[i]);
    }
    assert_int_equal(server_wait(&server), 0);
}

static void test_stop_during_the_start_is_obeyed(void **state)
{
    (void)state;
    run_stop_during_start("WORKERS=2");
    run_stop_during_start("WORKERS=0");
}

/* --- cores ------------------------------------------------------------------------------------ */

/* Each worker has a core of its own, of those that the program may use. */
static void test_workers_are_pinned_to_different_cores(void **state)
{
    (void)state;
    cpu_set_t allowed, pinned[2];
    pid_t workers[2];
    assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    if (CPU_COUNT(&allowed) < 2) {
        print_message("skipped: there is one core, on which all workers are anyway\n");
        skip();
    }
    serve(ENVIRONMENT("WORKERS=2"));
    workers[0] = some_worker();
    while ((workers[1] = some_worker()) == workers[0])
        ;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sched_getaffinity(workers[i], sizeof pinned[i], &pinned[i]), 0);
        assert_int_equal(CPU_COUNT(&pinned[i]), 1);
        CPU_AND(&pinned[i], &pinned[i], &allowed);
        assert_int_equal(CPU_COUNT(&pinned[i]), 1);
    }
    assert_false(CPU_EQUAL(&pinned[0], &pinned[1]));
}

#define lifecycle_test(name_) cmocka_unit_test_teardown(name_, server_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        lifecycle_test(test_drain_two_workers_finishes_what_is_in_flight),
        lifecycle_test(test_drain_no_workers_finishes_what_is_in_flight),
        lifecycle_test(test_drain_by_interrupt_finishes_what_is_in_flight),
        lifecycle_test(test_drain_deadline_ends_what_takes_too_long),
        lifecycle_test(test_stop_that_faults_still_ends),
        lifecycle_test(test_stop_of_a_worker_that_hangs_is_forced),
        lifecycle_test(test_drain_answers_pipelined_requests_it_has_begun),
        lifecycle_test(test_killed_worker_leaves_its_queue_to_the_next),
        lifecycle_test(test_killed_worker_leaves_the_others_alone),
        lifecycle_test(test_killed_worker_that_cannot_start_again_is_tried_again),
        lifecycle_test(test_server_whose_log_nobody_reads_goes_on),
        lifecycle_test(test_clients_past_the_descriptors_are_served_in_turn),
        lifecycle_test(test_killed_supervisor_takes_its_workers_along),
        lifecycle_test(test_start_with_a_mistake_is_refused_with_its_name),
        lifecycle_test(test_command_line_is_answered),
        lifecycle_test(test_start_on_a_taken_port_is_refused),
        lifecycle_test(test_stop_during_the_start_serves_who_waits),
        lifecycle_test(test_stop_during_the_start_is_obeyed),
        lifecycle_test(test_workers_are_pinned_to_different_cores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
