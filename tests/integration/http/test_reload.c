/* SIGHUP: the program starts anew, in the same process and on the same sockets, and nobody who asks
 * it for something notices. What would not start does not replace what serves. */
#include "tests/support/http_load.h"
#include "tests/support/http_test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#define RELOADS 20
#define CLIENTS 4

/* Waits for a condition that is sure to come. */
#define wait_until(condition_)                                                      \
    for (const uint64_t end_ms_ = test_clock_ms() + PEER_WAIT_MS; !(condition_);) { \
        if (test_clock_ms() >= end_ms_)                                             \
            server_print_log(&server);                                              \
        assert_true(test_clock_ms() < end_ms_);                                     \
        test_pause_ms(5);                                                           \
    }

/* --- the file of settings, and what the log says ---------------------------------------------- */

static char config_path[64];
static char config_variable[96]; /* "CONFIG_FILE=…" */

static void write_config(const char *text)
{
    char fresh[80];
    (void)snprintf(fresh, sizeof fresh, "%s.new", config_path);
    const int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    assert_int_equal(rename(fresh, config_path), 0);
}

static int count_logged(const char *text)
{
    static char log[1 << 20];
    const ssize_t got = pread(server.log_fd, log, sizeof log - 1, 0);
    int count = 0;
    log[got > 0 ? got : 0] = '\0';
    for (const char *at = log; (at = strstr(at, text)); at += strlen(text))
        count++;
    return count;
}

static void reload_and_wait(const char *outcome)
{
    const int before = count_logged(outcome);
    kill(server.pid, SIGHUP);
    wait_until(count_logged(outcome) > before);
}

static long worker_pid(void)
{
    answer a;
    http_get(server.port, "/worker", &a);
    check_status("/worker", &a, 200);
    const long pid = strtol(a.body.ptr + strcspn(a.body.ptr, ":") + 1, NULL, 10);
    answer_free(&a);
    return pid;
}

static int post_status(size_t bytes)
{
    static const char body[4096];
    peer p;
    answer a;
    peer_connect(&p, server.port);
    peer_sendf(&p, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", bytes);
    peer_send(&p, (str){ body, bytes });
    peer_read(&p, false, &a);
    const int status = a.status;
    answer_free(&a);
    peer_close(&p);
    return status;
}

/* --- good reloads ----------------------------------------------------------------------------- */

static void test_reload_under_load_fails_no_request(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=2"));
    const pid_t supervisor = server.pid;
    const long before = worker_pid();
    http_load *load = load_start(server.port, CLIENTS);
    for (int i = 0; i < RELOADS; i++) {
        const uint64_t answered = atomic_load(&load->answered);
        reload_and_wait("\"reloaded\"");
        wait_until(atomic_load(&load->answered) > answered + 100);
    }
    assert_true(load_end(load));
    print_message("%d reloads: %lu requests answered, %lu failed\n", RELOADS,
                  (unsigned long)load->answered, (unsigned long)load->failed);
    if (load->failed > 0)
        server_print_log(&server);
    assert_int_equal(load->failed, 0);
    load_free(load);
    assert_int_not_equal(worker_pid(), before);
    assert_int_equal(count_logged("worker died"), 0);
    assert_int_equal(count_logged("worker ended"), 0);
    assert_int_equal(waitpid(supervisor, NULL, WNOHANG), 0); /* the process that was started */
    kill(supervisor, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
}

static void test_reload_lets_requests_in_flight_finish(void **state)
{
    (void)state;
    peer slow, idle;
    answer a;
    serve(ENVIRONMENT("WORKERS=1"));
    peer_connect(&idle, server.port);
    peer_sendf(&idle, "GET /fast HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_read(&idle, false, &a);
    answer_free(&a);
    peer_connect(&slow, server.port);
    peer_sendf(&slow, "GET /slow/1500 HTTP/1.1\r\nHost: x\r\n\r\n");
    test_pause_ms(100);
    const long before = worker_pid();
    reload_and_wait("\"reloaded\"");
    assert_int_not_equal(worker_pid(), before);
    peer_sendf(&idle, "GET /worker HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_read(&idle, false, &a);
    check_status("one more on an old connection", &a, 200);
    assert_int_equal(strtol(a.body.ptr + strcspn(a.body.ptr, ":") + 1, NULL, 10), before);
    assert_true(a.closes);
    answer_free(&a);
    peer_read(&slow, false, &a);
    check_status("in flight", &a, 200);
    answer_free(&a);
    peer_close(&idle);
    peer_close(&slow);
    wait_until(kill((pid_t)before, 0) < 0);
}

static void test_reload_reads_the_configuration_again(void **state)
{
    (void)state;
    write_config("# the body\nHTTP_BODY_BYTES_MAX=1000\n\nHTTP_ACCESS_LOG=off\n");
    serve(ENVIRONMENT("WORKERS=2", "HTTP_ACCESS_LOG=on", config_variable));
    assert_int_equal(post_status(1000), 200);
    assert_int_equal(post_status(1001), 413);
    wait_until(server_logged(&server, "\"target\":\"/echo\"")); /* the environment wins */
    write_config("HTTP_BODY_BYTES_MAX=2000\n");
    reload_and_wait("\"reloaded\"");
    wait_until(post_status(1001) == 200);
    assert_int_equal(post_status(2001), 413);
    write_config("");
    reload_and_wait("\"reloaded\"");
    wait_until(post_status(2001) == 200);
}

static void test_reload_changes_the_number_of_workers(void **state)
{
    (void)state;
    write_config("WORKERS=4\n");
    serve(ENVIRONMENT("WORKERS", config_variable));
    http_load *load = load_start(server.port, CLIENTS);
    static const char *const counts[] = { "WORKERS=1\n", "WORKERS=3\n", "WORKERS=2\n" };
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        write_config(counts[i]);
        const uint64_t answered = atomic_load(&load->answered);
        reload_and_wait("\"reloaded\"");
        wait_until(atomic_load(&load->answered) > answered + 50);
    }
    assert_true(load_end(load));
    assert_int_equal(load->failed, 0);
    load_free(load);
}

static void test_reload_asked_for_many_times_is_done(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=2"));
    for (int i = 0; i < 50; i++) {
        kill(server.pid, SIGHUP);
        test_pause_ms(2);
    }
    wait_until(count_logged("\"reloaded\"") > 0);
    check_get("/fast", 200);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
    assert_int_equal(count_logged("reload failed"), 0);
    assert_int_equal(count_logged("worker died"), 0);
}

/* --- bad ones --------------------------------------------------------------------------------- */

static void test_reload_that_would_not_start_leaves_the_present_one(void **state)
{
    (void)state;
    static const struct {
        const char *config, *says;
    } rows[] = {
        { "WORKERS=many\n", "WORKERS" },
        { "FAULTY_START=fails\n", "told to fail" },
        { "FAULTY_START=faults\n", "on_worker_start" },
        { "LISTEN=127.0.0.1:0 192.0.2.1:80\n", "192.0.2.1:80" },
        { "no assignment\n", "line 1" },
        { "WORKERS=0\n", "WORKERS cannot become 0" },
    };
    write_config("WORKERS=2\n");
    serve(ENVIRONMENT("WORKERS", "FAULTY_START", config_variable));
    const long before = worker_pid();
    http_load *load = load_start(server.port, 2);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const int said = count_logged(rows[i].says);
        write_config(rows[i].config);
        reload_and_wait("reload refused");
        if (count_logged(rows[i].says) > said)
            continue;
        print_error("%s", rows[i].config);
        server_print_log(&server);
        fail();
    }
    assert_true(load_end(load));
    assert_int_equal(load->failed, 0);
    load_free(load);
    assert_int_equal(kill((pid_t)before, 0), 0);
    write_config("WORKERS=1\n");
    reload_and_wait("\"reloaded\"");
    check_get("/fast", 200);
}

static void copy_program(const char *to)
{
    static char bytes[65536];
    ssize_t got;
    const int from = open(getenv("FAULTY"), O_RDONLY | O_CLOEXEC);
    const int into = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    assert_true(from >= 0 && into >= 0);
    while ((got = read(from, bytes, sizeof bytes)) > 0)
        assert_int_equal(write(into, bytes, (size_t)got), got);
    close(from);
    close(into);
}

static void test_reload_takes_the_program_that_is_there_now(void **state)
{
    (void)state;
    char path[96];
    (void)snprintf(path, sizeof path, "%s.program", config_path);
    copy_program(path);
    server_start(&server, path, ENVIRONMENT("WORKERS=1"));
    assert_int_equal(unlink(path), 0);
    reload_and_wait("reload refused"); /* nothing is there */
    check_get("/fast", 200);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
    assert_int_equal(write(fd, "not a program\n", 14), 14);
    close(fd);
    reload_and_wait("reload refused");
    check_get("/fast", 200);
    assert_int_equal(unlink(path), 0);
    copy_program(path);
    reload_and_wait("\"reloaded\"");
    check_get("/fast", 200);
    unlink(path);
}

static void test_stop_during_a_reload_is_obeyed(void **state)
{
    (void)state;
    write_config("WORKERS=1\n");
    serve(ENVIRONMENT("WORKERS", config_variable));
    write_config("FAULTY_START=waits\n");
    kill(server.pid, SIGHUP);
    wait_until(count_logged("reload begins") > 0);
    test_pause_ms(100);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
}

/* --- starting --------------------------------------------------------------------------------- */

static void test_inheritance_of_another_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        { "HTTP_INHERITED=nonsense", "version" },
        { "HTTP_INHERITED=1 exec 1 0", "version" },
        { "HTTP_INHERITED=3 exec 1 0 0", "version" },
        { "HTTP_INHERITED=2 other 1 0 0", "purpose" },
        { "HTTP_INHERITED=2 exec 1 0 0", "pid" },
        { "HTTP_INHERITED=2 rehearse 1 0 1 7=127.0.0.1:0", "pid" },
        { "HTTP_INHERITED=2 exec", "pid" },
        { "HTTP_INHERITED=2 exec 99999999999999999999 0 0", "pid" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char log[4096], wanted[96];
        const int status = server_run_to_end(
            getenv("FAULTY"), ENVIRONMENT("WORKERS=1", rows[i].text), log, sizeof log);
        (void)snprintf(wanted, sizeof wanted, "HTTP_INHERITED is not for this process: %s",
                       rows[i].says);
        if (status != 1 || !strstr(log, wanted))
            print_error("%s: status %d, log:\n%s\n", rows[i].text, status, log);
        assert_int_equal(status, 1);
        assert_non_null(strstr(log, wanted));
    }
}

/* As a supervisor would write it, but for one thing. */
static void test_inheritance_with_a_wrong_part_is_refused(void **state)
{
    (void)state;
    const int file = open("/dev/null", O_RDONLY);
    assert_true(file > 2);
    const struct {
        const char *format;
        int fd;
        const char *says;
    } rows[] = {
        { "HTTP_INHERITED=2 rehearse %d 0 1 %d=127.0.0.1:0", file, "a socket" },
        { "HTTP_INHERITED=2 rehearse %d 0 1 %d=127.0.0.1:0", 1, "a socket" },
        { "HTTP_INHERITED=2 rehearse %d 0 1 %d=127.0.0.1:0", 9999, "a socket" },
        { "HTTP_INHERITED=2 rehearse %d 0 100000 %d=127.0.0.1:0", file, "number of sockets" },
        { "HTTP_INHERITED=2 rehearse %d 0 0 %d", 5, "a worker" },
        { "HTTP_INHERITED=2 rehearse %d %d 0", file, "the file of ticket keys" },
        { "HTTP_INHERITED=2 rehearse %d %d 0", 1, "the file of ticket keys" },
        { "HTTP_INHERITED=2 rehearse %d %d 0", 9999, "the file of ticket keys" },
        { "HTTP_INHERITED=2 rehearse %d x%d 0", 0, "ticket keys" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char log[4096], variable[128], wanted[96];
        (void)snprintf(variable, sizeof variable, rows[i].format, (int)getpid(), rows[i].fd);
        const int status = server_run_to_end(getenv("FAULTY"), ENVIRONMENT("WORKERS=1", variable),
                                             log, sizeof log);
        (void)snprintf(wanted, sizeof wanted, "HTTP_INHERITED is not for this process: %s",
                       rows[i].says);
        if (status != 1 || !strstr(log, wanted))
            print_error("%s: status %d, log:\n%s\n", variable, status, log);
        assert_int_equal(status, 1);
        assert_non_null(strstr(log, wanted));
    }
    close(file);
}

static void test_config_file_with_a_mistake_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *config, *says;
    } rows[] = {
        { "WORKERS=1\nthis is wrong\n", "line 2: must be NAME=value" },
        { "WORKERS=1\n\n# note\nWORKERS=2\n", "line 4: WORKERS is set a second time" },
        { "WORKERS=1\r\n", "line 1: has a carriage return" },
        { "lower=1\n", "line 1: must be NAME=value" },
        { "=1\n", "line 1: must be NAME=value" },
        { "1ST=1\n", "line 1: must be NAME=value" },
    };
    char log[4096];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        write_config(rows[i].config);
        const int status = server_run_to_end(
            getenv("FAULTY"), ENVIRONMENT("WORKERS", config_variable), log, sizeof log);
        if (status != 2 || !strstr(log, rows[i].says))
            print_error("%s: status %d, log:\n%s\n", rows[i].config, status, log);
        assert_int_equal(status, 2);
        assert_non_null(strstr(log, rows[i].says));
    }
    assert_int_equal(server_run_to_end(getenv("FAULTY"), ENVIRONMENT("CONFIG_FILE=/nowhere/at.all"),
                                       log, sizeof log),
                     2);
    assert_non_null(strstr(log, "/nowhere/at.all"));
}

static int begin(void **state)
{
    (void)state;
    (void)snprintf(config_path, sizeof config_path, "/tmp/brio-reload-%d", (int)getpid());
    (void)snprintf(config_variable, sizeof config_variable, "CONFIG_FILE=%s", config_path);
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink(config_path);
    return 0;
}

#define reload_test(name_) cmocka_unit_test_teardown(name_, server_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        reload_test(test_reload_under_load_fails_no_request),
        reload_test(test_reload_lets_requests_in_flight_finish),
        reload_test(test_reload_reads_the_configuration_again),
        reload_test(test_reload_changes_the_number_of_workers),
        reload_test(test_reload_asked_for_many_times_is_done),
        reload_test(test_reload_that_would_not_start_leaves_the_present_one),
        reload_test(test_reload_takes_the_program_that_is_there_now),
        reload_test(test_stop_during_a_reload_is_obeyed),
        reload_test(test_inheritance_of_another_is_refused),
        reload_test(test_inheritance_with_a_wrong_part_is_refused),
        reload_test(test_config_file_with_a_mistake_is_refused_with_its_line),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
