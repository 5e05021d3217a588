/* Twenty thousand connections at once, held by one server of several workers: each is answered,
 * then idles while others are served, and is answered again at the end. What one costs in memory is
 * bounded. Both ends are several processes, because each may open some 20,000 files only. Where a
 * process may open fewer than its part takes, the test is skipped, and says so. */
#include "tests/support/http_load.h"
#include "tests/support/http_test.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#define HOLDERS        4
#define HELD_EACH      5000
#define FILES_SPARE    1000
#define CLIENTS        2
#define LONG_WAIT_MS   90000
#define CONN_BYTES_MAX 4096 /* with what the sanitizers put around each block */

typedef struct crowd {
    _Atomic int ready; /* connections that were answered, and are held */
    _Atomic bool asks; /* each once more */
    _Atomic int answered;
    uint16_t port;
} crowd;

/* Waits for a condition that is sure to come. */
#define wait_until(condition_)                                                      \
    for (const uint64_t end_ms_ = test_clock_ms() + LONG_WAIT_MS; !(condition_);) { \
        if (test_clock_ms() >= end_ms_)                                             \
            server_print_log(&server);                                              \
        assert_true(test_clock_ms() < end_ms_);                                     \
        test_pause_ms(20);                                                          \
    }

static bool is_answered(peer *p)
{
    answer a;
    peer_send(p, STR("GET /fast HTTP/1.1\r\nHost: x\r\n\r\n"));
    peer_read(p, false, &a);
    const bool good = a.status == 200 && !a.closes;
    answer_free(&a);
    free(p->in); /* an idle client holds no buffer either */
    *p = (peer){ .fd = p->fd };
    return good;
}

NORETURN static void hold(crowd *c)
{
    static peer held[HELD_EACH];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < HELD_EACH; i++) {
        if (!peer_try_connect(&held[i], c->port) || !is_answered(&held[i]))
            _exit(2);
        atomic_fetch_add(&c->ready, 1);
    }
    while (!atomic_load(&c->asks))
        test_pause_ms(20);
    for (int i = 0; i < HELD_EACH; i++) {
        if (!is_answered(&held[i]))
            _exit(3);
        atomic_fetch_add(&c->answered, 1);
    }
    _exit(0);
}

/* Resident memory of the server's workers. */
static uint64_t workers_bytes(const char *pids)
{
    uint64_t kib = 0;
    char *end;
    for (long pid; (pid = strtol(pids, &end, 10)) > 0; pids = end) {
        char path[64], line[256];
        (void)snprintf(path, sizeof path, "/proc/%ld/smaps_rollup", pid);
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        while (fgets(line, sizeof line, file)) {
            if (strncmp(line, "Rss:", 4) == 0)
                kib += strtoull(line + 4, NULL, 10);
        }
        (void)fclose(file);
    }
    return kib * 1024;
}

/* Their pids, as the kernel lists them. */
static void find_workers(char *pids, size_t bytes)
{
    char path[96];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)server.pid,
                   (int)server.pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    pids[fread(pids, 1, bytes - 1, file)] = '\0';
    (void)fclose(file);
}

/* Whether a process may open as many files as one of the holders takes, and some. */
static bool there_is_room(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return false;
    files.rlim_cur = files.rlim_max; /* the server inherits it */
    if (files.rlim_max >= HELD_EACH + FILES_SPARE && setrlimit(RLIMIT_NOFILE, &files) == 0)
        return true;
    (void)fprintf(stderr, "a process may open %lu files here, and %d are needed (ulimit -Hn)\n",
                  (unsigned long)files.rlim_max, HELD_EACH + FILES_SPARE);
    return false;
}

static void test_idle_crowd_is_held_while_others_are_served(void **state)
{
    (void)state;
    char pids[256];
    pid_t holders[HOLDERS];
    crowd *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(c != MAP_FAILED);
    serve(ENVIRONMENT("WORKERS=4", "HTTP_IDLE_TIMEOUT=10m",
                      /* What was freed is used again, not kept for the sanitizer's reports. */
                      "ASAN_OPTIONS=quarantine_size_mb=0:thread_local_quarantine_size_kb=0"));
    c->port = server.port;
    find_workers(pids, sizeof pids);
    http_load *load = load_start(server.port, CLIENTS);
    wait_until(atomic_load(&load->answered) > 500); /* what is allocated once is there */
    const uint64_t before = workers_bytes(pids);
    for (int i = 0; i < HOLDERS; i++) {
        holders[i] = fork();
        if (holders[i] == 0)
            hold(c);
        assert_true(holders[i] > 0);
    }
    const int all = HOLDERS * HELD_EACH;
    wait_until(c->ready == all);
    assert_true(http_metric(server.port, "http_connections") >= all);
    const uint64_t bytes = (workers_bytes(pids) - before) / (uint64_t)all;
    const uint64_t answered = atomic_load(&load->answered);
    wait_until(atomic_load(&load->answered) > answered + 1000);
    atomic_store(&c->asks, true);
    for (int i = 0; i < HOLDERS; i++) {
        int status;
        assert_int_equal(waitpid(holders[i], &status, 0), holders[i]);
        assert_int_equal(status, 0);
    }
    assert_true(load_end(load));
    print_message(
        "%d idle connections of %lu bytes each; %lu other requests answered, %lu failed\n", all,
        (unsigned long)bytes, (unsigned long)load->answered, (unsigned long)load->failed);
    assert_int_equal(load->failed, 0);
    assert_int_equal(c->answered, all);
    assert_true(bytes <= CONN_BYTES_MAX);
    load_free(load);
    munmap(c, sizeof *c);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_idle_crowd_is_held_while_others_are_served, server_teardown),
    };
    return there_is_room() ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
