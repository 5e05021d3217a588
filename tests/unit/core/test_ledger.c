/* The ledger: what workers reserve never exceeds the limit, and goes back when one of them dies. */
#include "core/base.h"
#include "core/ledger.h"

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WORKERS = 4,
    LIMIT = 3,
    ROUNDS = 20000
};

static int open_ledger(void **state)
{
    (void)state;
    return ledger_open(WORKERS).kind ? -1 : 0;
}

static int close_ledger(void **state)
{
    (void)state;
    ledger_close();
    return 0;
}

static pid_t start(void (*work)(void *arg), uint32_t slot, void *arg)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        ledger_use_slot(slot);
        work(arg);
        _exit(0);
    }
    return pid;
}

static int wait_for(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void test_line_without_ledger_is_the_process_own(void **state)
{
    (void)state;
    const ledger_line a = ledger_line_of("a"), b = ledger_line_of("12345678");
    assert_int_not_equal(a, b);
    assert_int_equal(ledger_line_of("a"), a);
    assert_int_equal(ledger_columns(), 1);
    assert_true(ledger_reserve(a, 2) && ledger_reserve(a, 2));
    assert_false(ledger_reserve(a, 2));
    assert_int_equal(ledger_own(a), 2);
    ledger_return(a);
    assert_true(ledger_reserve(a, 2));
    assert_int_equal(ledger_own(b), 0);
    ledger_close();
    assert_int_equal(ledger_own(ledger_line_of("a")), 0);
    ledger_close();
}

static void set_own(void *arg)
{
    (void)ledger_line_of("other");
    ledger_set(ledger_line_of("line"), *(const uint64_t *)arg);
}

static void test_line_of_workers_is_the_same_one(void **state)
{
    (void)state;
    uint64_t values[] = { 5, 7 };
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(wait_for(start(set_own, i + 1, &values[i])), 0);
    const ledger_line line = ledger_line_of("line");
    assert_int_equal(ledger_sum(line), 12);
    assert_int_equal(ledger_max(line), 7);
    assert_int_equal(ledger_at(line, 1), 5);
    assert_int_equal(ledger_own(line), 0);
    assert_int_equal(ledger_columns(), WORKERS);
}

static void hold_for_ever(void *arg)
{
    int *ready = arg;
    const ledger_line line = ledger_line_of("held");
    while (ledger_reserve(line, LIMIT))
        continue;
    (void)!write(ready[1], "", 1);
    for (;;)
        pause();
}

static void test_slot_of_killed_worker_gives_back_what_it_held(void **state)
{
    (void)state;
    int ready[2];
    char byte;
    const ledger_line line = ledger_line_of("held");
    assert_int_equal(pipe(ready), 0);
    const pid_t pid = start(hold_for_ever, 2, ready);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(ledger_sum(line), LIMIT);
    assert_false(ledger_reserve(line, LIMIT));
    kill(pid, SIGKILL);
    assert_true(WIFSIGNALED(wait_for(pid)));
    ledger_use_slot(2); /* as the supervisor does */
    assert_true(ledger_reserve(line, LIMIT));
    ledger_return(line);
    close(ready[0]);
    close(ready[1]);
}

typedef struct crowd {
    _Atomic uint64_t inside;
    _Atomic uint64_t most;
    _Atomic uint64_t served;
} crowd;

static void come_and_go(void *arg)
{
    crowd *c = arg;
    const ledger_line line = ledger_line_of("crowd");
    for (int i = 0; i < ROUNDS; i++) {
        if (!ledger_reserve(line, LIMIT))
            continue;
        const uint64_t now = ++c->inside;
        uint64_t most = c->most;
        while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now))
            continue;
        c->served++;
        c->inside--;
        ledger_return(line);
    }
}

static void test_reserving_at_once_never_exceeds_the_limit(void **state)
{
    (void)state;
    pid_t pids[WORKERS];
    crowd *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(c != MAP_FAILED);
    for (uint32_t i = 0; i < WORKERS; i++)
        pids[i] = start(come_and_go, i, c);
    for (uint32_t i = 0; i < WORKERS; i++)
        assert_int_equal(wait_for(pids[i]), 0);
    assert_true(c->served > 0);
    assert_in_range(c->most, 1, LIMIT);
    assert_int_equal(c->inside, 0);
    assert_int_equal(ledger_sum(ledger_line_of("crowd")), 0);
    munmap(c, sizeof *c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_without_ledger_is_the_process_own),
        cmocka_unit_test_setup_teardown(test_line_of_workers_is_the_same_one, open_ledger,
                                        close_ledger),
        cmocka_unit_test_setup_teardown(test_slot_of_killed_worker_gives_back_what_it_held,
                                        open_ledger, close_ledger),
        cmocka_unit_test_setup_teardown(test_reserving_at_once_never_exceeds_the_limit, open_ledger,
                                        close_ledger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
