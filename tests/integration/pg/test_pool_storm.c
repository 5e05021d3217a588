/* A server that is away, and workers that are processes and ask for it all the time: how often it
 * is asked, and that it is not met by all at once when it is back. The server is a listener of the
 * test's, which sees every attempt. */
#include "core/clock.h"
#include "core/ledger.h"
#include "tests/support/database.h"
#include "tests/support/mock_pg.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS   8
#define FIBERS    8     /* a worker, all of which ask again and again */
#define AWAY_MS   3000  /* how long attempts are counted */
#define SILENT_MS 200   /* how long a server that is back takes to answer */
#define WAIT_MS   60000 /* a hang, and not a time that is measured */

/* Each tries once. Then the pauses of all of them together, whose mean soon is a second: 16 more
 * would need a chance of one to 10^10. */
#define ATTEMPTS_MAX (WORKERS + 16)

static _Atomic bool *ends;
static pid_t pids[WORKERS];
static int listening;
static char conninfo[128];

/* --- in a worker ------------------------------------------------------------------------------ */

static pg_pool *db;

static uint32_t askers;

static error ask_for_ever(void *arg)
{
    (void)arg;
    while (!*ends) {
        arena_reset(fiber_arena());
        if (!pg_execute(db, NULL, "select 1").kind)
            break;
        TRY(fiber_sleep(1));
    }
    askers--;
    return OK;
}

static error work(void *arg)
{
    (void)arg;
    TRY(pg_pool_open(&(pg_pool_options){ .conninfo = str_from_c(conninfo), .connections_max = 1 },
                     &db));
    for (askers = 0; askers < FIBERS; askers++)
        TRY(fiber_start(loop_self(), &(fiber_options){ .name = "asker" }, ask_for_ever, NULL,
                        NULL));
    while (!*ends)
        TRY(fiber_sleep(5));
    pg_pool_close(&db);
    while (askers > 0)
        TRY(fiber_sleep(1));
    return OK;
}

/* --- in the test ------------------------------------------------------------------------------ */

static int setup(void **state)
{
    (void)state;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    struct sockaddr *any = (struct sockaddr *)(void *)&at;
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ends = mmap(NULL, sizeof *ends, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (listening < 0 || ends == MAP_FAILED || bind(listening, any, len) || listen(listening, 64) ||
        getsockname(listening, any, &len) || ledger_open(WORKERS).kind)
        return -1;
    (void)snprintf(conninfo, sizeof conninfo,
                   "host=127.0.0.1 port=%d user=u dbname=d sslmode=disable connect_timeout=60",
                   ntohs(at.sin_port));
    for (uint32_t i = 0; i < WORKERS; i++) {
        pids[i] = fork();
        if (pids[i] < 0)
            return -1;
        if (pids[i] > 0)
            continue;
        ledger_use_slot(i);
        close(listening);
        _exit(loop_run_fiber(work, NULL).kind ? 1 : 0);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < WORKERS; i++) { /* of a test that has failed */
        if (pids[i] > 0)
            kill(pids[i], SIGKILL);
        pids[i] = 0;
    }
    close(listening);
    munmap((void *)ends, sizeof *ends);
    ledger_close();
    return 0;
}

/* The next attempt; -1: none in that time. */
static int next_attempt(uint64_t ms)
{
    struct pollfd p = { .fd = listening, .events = POLLIN };
    return poll(&p, 1, (int)ms) == 1 ? accept4(listening, NULL, NULL, SOCK_CLOEXEC) : -1;
}

/* Closes what comes, for so long; returns how many came. */
static uint32_t refuse_for(uint64_t ms)
{
    uint32_t count = 0;
    const uint64_t end_ms = clock_real_ms() + ms;
    for (uint64_t now; (now = clock_real_ms()) < end_ms;) {
        const int fd = next_attempt(end_ms - now);
        if (fd < 0)
            continue;
        count++;
        close(fd);
    }
    return count;
}

static void welcome(int fd)
{
    char startup[512];
    assert_true(read(fd, startup, sizeof startup) > 8);
    assert_int_equal(send(fd, MOCK_WELCOME, sizeof MOCK_WELCOME - 1, MSG_NOSIGNAL),
                     sizeof MOCK_WELCOME - 1);
}

static void end_workers(void)
{
    *ends = true;
    for (uint32_t i = 0; i < WORKERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
        pids[i] = 0;
    }
    assert_int_equal(ledger_sum(ledger_line_of("pg.fails")), 0);
    assert_int_equal(ledger_sum(ledger_line_of("pg.probe")), 0);
}

static void test_workers_without_server_ask_for_it_seldom(void **state)
{
    (void)state;
    const int first = next_attempt(WAIT_MS);
    assert_true(first >= 0);
    close(first);
    assert_in_range(refuse_for(AWAY_MS), 1, ATTEMPTS_MAX);
    end_workers();
}

static void test_workers_meet_a_server_that_is_back_one_by_one(void **state)
{
    (void)state;
    int fds[WORKERS];
    (void)refuse_for(AWAY_MS);
    for (uint32_t i = 0; i < WORKERS; i++) {
        fds[i] = next_attempt(WAIT_MS);
        assert_true(fds[i] >= 0);
        assert_int_equal(next_attempt(SILENT_MS), -1); /* nobody else while this one tries */
        welcome(fds[i]);
    }
    end_workers();
    for (uint32_t i = 0; i < WORKERS; i++)
        close(fds[i]);
}

static void test_worker_that_dies_trying_holds_up_nobody(void **state)
{
    (void)state;
    (void)refuse_for(AWAY_MS);
    const int fd = next_attempt(WAIT_MS);
    assert_true(fd >= 0);
    for (uint32_t i = 0; i < WORKERS; i++) {
        int status;
        if (ledger_at(ledger_line_of("pg.probe"), i) == 0)
            continue;
        kill(pids[i], SIGKILL);
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        ledger_use_slot(i); /* as the supervisor does, which starts another one */
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            ledger_use_slot(i);
            close(listening);
            _exit(loop_run_fiber(work, NULL).kind ? 1 : 0);
        }
        break;
    }
    close(fd);
    const int next = next_attempt(WAIT_MS);
    assert_true(next >= 0);
    close(next);
    (void)refuse_for(100);
    end_workers();
}

int main(void)
{
#define WITH_WORKERS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_WORKERS(test_workers_without_server_ask_for_it_seldom),
        WITH_WORKERS(test_workers_meet_a_server_that_is_back_one_by_one),
        WITH_WORKERS(test_worker_that_dies_trying_holds_up_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
