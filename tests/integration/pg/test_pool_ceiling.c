/* The ceiling of all workers together, with workers that are processes: never exceeded, whatever
 * they ask for; free again when one is killed; lent by who does not need it to who does. */
#include "core/ledger.h"
#include "tests/support/database.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS_MAX 4
#define WAIT_MS     60000 /* a hang, and not a time that is measured */

/* What the test tells its workers, and what they tell. */
typedef struct board {
    _Atomic uint32_t wanted[WORKERS_MAX];  /* transactions that a worker is to hold at once */
    _Atomic uint32_t held[WORKERS_MAX];    /* that it holds */
    _Atomic uint32_t rounds[WORKERS_MAX];  /* that it has ended */
    _Atomic uint32_t queries[WORKERS_MAX]; /* without a transaction, that are to run at once */
    _Atomic uint32_t answered[WORKERS_MAX];
    _Atomic uint32_t reads[WORKERS_MAX]; /* of the read-only lane that succeeded */
    _Atomic bool short_ones;             /* transactions end by themselves */
    _Atomic bool reading;
    _Atomic uint32_t failed;
    _Atomic bool ends;
    _Atomic uint32_t most; /* connections seen at once */
    _Atomic uint32_t now;
} board;

static board *shared;
static pid_t pids[WORKERS_MAX + 1];
static uint32_t worker_count;
static char name[64]; /* of the workers' connections */

/* --- in a worker ------------------------------------------------------------------------------ */

static uint32_t me;
static pg_pool *db;

static error hold(void *arg)
{
    (void)arg;
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "select 1"));
    shared->held[me]++;
    while (!shared->ends && !shared->short_ones && shared->held[me] <= shared->wanted[me])
        TRY(fiber_sleep(2));
    const error e = pg_execute(tx, NULL, "select pg_sleep(0.002)");
    shared->held[me]--;
    TRY(e);
    TRY(pg_commit(&tx));
    shared->rounds[me]++;
    return OK;
}

static error query(void *arg)
{
    (void)arg;
    TRY(pg_execute(db, NULL, "select pg_sleep(0.01)"));
    shared->answered[me]++;
    return OK;
}

static error read_once(void *arg)
{
    (void)arg;
    TRY(pg_execute(pg_read_only(db), NULL, "select 1"));
    shared->reads[me]++;
    return OK;
}

static uint32_t fibers[3];

static void ended(fiber *f, error result, void *arg)
{
    (void)f;
    uint32_t *count = arg;
    (*count)--;
    if (!result.kind)
        return;
    char text[512];
    error_describe(result, text, sizeof text);
    (void)fprintf(stderr, "worker %u: %s\n", me, text);
    shared->failed++;
}

static void keep(uint32_t which, uint32_t wanted, error (*fn)(void *))
{
    while (fibers[which] < wanted && !shared->ends) {
        const fiber_options options = { .ended = ended, .ended_arg = &fibers[which] };
        fibers[which]++;
        if (fiber_start(loop_self(), &options, fn, NULL, NULL).kind)
            _exit(2);
    }
}

static error work(void *arg)
{
    (void)arg;
    TRY(pg_pool_open(&(pg_pool_options){ .acquire_timeout_ms = WAIT_MS }, &db));
    while (!shared->ends || fibers[0] + fibers[1] + fibers[2] > 0) {
        keep(0, shared->wanted[me], hold);
        keep(1, shared->queries[me], query);
        keep(2, shared->reading, read_once);
        TRY(fiber_sleep(2));
    }
    pg_pool_close(&db);
    return OK;
}

/* Beside the workers: counts what the server has. */
static error observe(void *arg)
{
    (void)arg;
    TRY(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &db));
    while (!shared->ends) {
        pg_rows rows;
        int64_t count;
        arena_reset(fiber_arena());
        TRY(pg_query(db, &rows, "select count(*) from pg_stat_activity where application_name = $1",
                     str_from_c(name)));
        TRY(pg_get(&rows, 0, 0, &count));
        shared->now = (uint32_t)count;
        if (shared->now > shared->most)
            shared->most = shared->now;
        TRY(fiber_sleep(1));
    }
    pg_pool_close(&db);
    return OK;
}

/* --- in the test ------------------------------------------------------------------------------ */

static pid_t start(error (*fn)(void *), uint32_t slot)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    me = slot;
    if (slot < WORKERS_MAX)
        ledger_use_slot(slot);
    else
        unsetenv("PG_CONNECTIONS_MAX");
    const error e = loop_run_fiber(fn, NULL);
    if (e.kind)
        (void)fprintf(stderr, "worker %u ended with %s\n", slot, e.kind->name);
    _exit(e.kind ? 1 : 0);
}

static void start_workers(uint32_t count, uint32_t ceiling)
{
    char number[16];
    (void)snprintf(number, sizeof number, "%u", ceiling);
    (void)snprintf(name, sizeof name, "ceiling %d %p", (int)getpid(), (void *)shared);
    setenv("PGAPPNAME", name, 1);
    setenv("PG_CONNECTIONS_MAX", number, 1);
    setenv("PG_QUEUE_TARGET", "0", 1); /* whoever waits is to get one, however long it takes */
    worker_count = count;
    for (uint32_t i = 0; i < count; i++)
        pids[i] = start(work, i);
    setenv("PGAPPNAME", "observer", 1);
    pids[WORKERS_MAX] = start(observe, WORKERS_MAX);
}

static void end_workers(void)
{
    shared->ends = true;
    for (uint32_t i = 0; i <= WORKERS_MAX; i++) {
        int status;
        if (pids[i] == 0)
            continue;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
        pids[i] = 0;
    }
    assert_int_equal(shared->failed, 0);
    assert_int_equal(ledger_sum(ledger_line_of("pg.held")), 0);
    assert_int_equal(ledger_sum(ledger_line_of("pg.wants")), 0);
}

#define await(condition_)                                    \
    for (uint32_t left_ = WAIT_MS; !(condition_); left_--) { \
        assert_true(left_ > 0 && shared->failed == 0);       \
        usleep(1000);                                        \
    }

static int open_board(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED || ledger_open(WORKERS_MAX).kind ? -1 : 0;
}

static int close_board(void **state)
{
    (void)state;
    for (uint32_t i = 0; i <= WORKERS_MAX; i++) { /* of a test that has failed */
        if (pids[i] > 0)
            kill(pids[i], SIGKILL);
        pids[i] = 0;
    }
    munmap(shared, sizeof *shared);
    ledger_close();
    return 0;
}

static void test_ceiling_of_many_workers_is_never_exceeded(void **state)
{
    (void)state;
    shared->short_ones = true;
    start_workers(4, 5);
    for (uint32_t i = 0; i < 4; i++)
        shared->wanted[i] = shared->queries[i] = 3;
    for (uint32_t i = 0; i < 4; i++)
        await(shared->rounds[i] >= 60 && shared->answered[i] >= 60);
    await(shared->most == 5); /* as many as there may be */
    end_workers();
    assert_int_equal(shared->most, 5);
}

static void test_ceiling_killed_worker_gives_back_its_connections(void **state)
{
    (void)state;
    int status;
    start_workers(2, 2);
    shared->wanted[0] = 2;
    await(shared->held[0] == 2);
    shared->wanted[1] = 2;
    usleep(200000); /* time for a mistake */
    assert_int_equal(shared->held[1], 0);
    kill(pids[0], SIGKILL);
    assert_int_equal(waitpid(pids[0], &status, 0), pids[0]);
    pids[0] = 0;
    ledger_use_slot(0); /* as the supervisor does */
    await(shared->held[1] == 2);
    end_workers();
}

static void test_ceiling_idle_worker_lends_to_who_wants(void **state)
{
    (void)state;
    start_workers(2, 4);
    shared->wanted[0] = 4;
    await(shared->held[0] == 4);
    shared->wanted[0] = 0;
    await(shared->held[0] == 0 && shared->now == 4);
    shared->wanted[1] = 4; /* its last one too: nobody uses it */
    await(shared->held[1] == 4);
    shared->wanted[1] = 0;
    shared->queries[0] = 1;
    await(shared->answered[0] >= 10);
    end_workers();
    assert_in_range(shared->most, 1, 4);
}

static void test_ceiling_busy_worker_gives_some_to_who_has_none(void **state)
{
    (void)state;
    start_workers(2, 4);
    await(shared->now == 2); /* each has its first */
    shared->wanted[0] = 3;
    await(shared->held[0] == 3);
    shared->wanted[0] = 0;
    shared->queries[0] = 16; /* on three connections, none of which is ever idle */
    await(shared->answered[0] >= 50);
    shared->wanted[1] = 2;
    await(shared->held[1] == 2);
    end_workers();
    assert_in_range(shared->most, 1, 4);
}

static void test_ceiling_last_idle_connection_goes_to_who_has_none(void **state)
{
    (void)state;
    start_workers(4, 2);
    for (uint32_t i = 0; i < 4; i++)
        shared->queries[i] = 1;
    for (uint32_t i = 0; i < 4; i++) {
        await(shared->answered[i] >= 5);
        shared->queries[i] = 0;
    }
    end_workers();
    assert_in_range(shared->most, 1, 2);
}

static void test_ceiling_own_lane_gives_way_to_the_other(void **state)
{
    (void)state;
    start_workers(1, 1);
    shared->reading = true;
    await(shared->reads[0] >= 5);
    shared->reading = false;
    shared->queries[0] = 1;
    await(shared->answered[0] >= 5);
    end_workers();
    assert_int_equal(shared->most, 1);
}

int main(void)
{
    if (!getenv("DATABASE_URL")) {
        (void)fprintf(stderr, "skipped: DATABASE_URL is not set\n");
        return EXIT_SKIPPED;
    }
#define WITH_BOARD(test) cmocka_unit_test_setup_teardown(test, open_board, close_board)
    const struct CMUnitTest tests[] = {
        WITH_BOARD(test_ceiling_of_many_workers_is_never_exceeded),
        WITH_BOARD(test_ceiling_killed_worker_gives_back_its_connections),
        WITH_BOARD(test_ceiling_idle_worker_lends_to_who_wants),
        WITH_BOARD(test_ceiling_busy_worker_gives_some_to_who_has_none),
        WITH_BOARD(test_ceiling_last_idle_connection_goes_to_who_has_none),
        WITH_BOARD(test_ceiling_own_lane_gives_way_to_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
