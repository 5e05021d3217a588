/* Ticket keys: all who have the file give and take each other's tickets, over rotations and in the
 * hands of a successor, until a key is too old. */
#include "tickets.h"

#include "tests/support/tls_pair.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define ROTATION_MS 1000
#define BEGIN_MS    5000

/* A server's process: its map of the keys, and its configuration. */
typedef struct worker {
    http_tickets *tickets;
    tls_config *config;
} worker;

static worker first, second;

static void worker_begin(worker *w, int inherited)
{
    const tls_server_options options = server_options();
    assert_ok(http_tickets_open(inherited, BEGIN_MS, &w->tickets));
    assert_ok(tls_config_server(&options, &w->config));
}

static void worker_end(worker *w)
{
    http_tickets_free(&w->tickets);
    tls_config_free(&w->config);
}

/* Two with the same keys, and a client who knows neither. */
static int tickets_setup(void **state)
{
    pair_setup(state);
    configure(NULL, NULL);
    worker_begin(&first, -1);
    worker_begin(&second, dup(http_tickets_fd(first.tickets)));
    return 0;
}

static int tickets_teardown(void **state)
{
    worker_end(&first);
    worker_end(&second);
    return pair_teardown(state);
}

/* The client connects to `w`, and gets new tickets; whether it resumed. */
static bool visit(worker *w)
{
    assert_ok(http_tickets_use(w->tickets, w->config));
    connect_plain(NULL);
    assert_ok(stream_start_tls_server(server.stream, w->config));
    assert_ok(stream_start_tls_client(client.stream, client_config, STR("localhost")));
    eventually((client.opened && server.opened) || client.closed || server.closed);
    assert_true(client.opened && server.opened);
    const bool resumed = stream_tls_resumed(server.stream);
    talk();
    close_both();
    return resumed;
}

static void rotate(int times)
{
    static uint64_t now_ms = BEGIN_MS;
    for (int i = 0; i < times; i++)
        http_tickets_rotate(first.tickets, now_ms += ROTATION_MS, ROTATION_MS);
}

static void test_tickets_of_one_worker_are_good_at_another(void **state)
{
    (void)state;
    assert_false(visit(&first));
    assert_true(visit(&second));
    assert_true(visit(&first));
}

static void test_tickets_are_good_until_their_key_is_gone(void **state)
{
    (void)state;
    for (int rotations = 0; rotations <= 5; rotations++) {
        configure(NULL, NULL); /* forgets the tickets it has */
        assert_false(visit(&first));
        rotate(rotations);
        assert_int_equal(visit(&second), rotations <= 3);
        assert_true(visit(&first)); /* by a new ticket, under the newest key */
    }
}

static void test_tickets_opened_by_an_old_key_are_renewed(void **state)
{
    (void)state;
    assert_false(visit(&first));
    for (int i = 0; i < 12; i++) { /* round the ring, and never a full handshake again */
        rotate(3);
        assert_true(visit(i % 2 ? &first : &second));
    }
}

static void test_tickets_young_key_is_kept(void **state)
{
    (void)state;
    const http_tickets *t = first.tickets;
    struct {
        uint64_t magic, made_at_ms, newest;
    } before, after;
    assert_int_equal(pread(http_tickets_fd(t), &before, sizeof before, 0), sizeof before);
    http_tickets_rotate(first.tickets, before.made_at_ms + ROTATION_MS - 1, ROTATION_MS);
    assert_int_equal(pread(http_tickets_fd(t), &after, sizeof after, 0), sizeof after);
    assert_int_equal(after.newest, before.newest);
    http_tickets_rotate(first.tickets, before.made_at_ms + ROTATION_MS, ROTATION_MS);
    assert_int_equal(pread(http_tickets_fd(t), &after, sizeof after, 0), sizeof after);
    assert_int_equal(after.newest, before.newest + 1);
    assert_int_equal(after.made_at_ms, before.made_at_ms + ROTATION_MS);
}

/* A process that was forked learns of keys that are made later elsewhere. */
static void test_tickets_of_a_fork_follow_rotations(void **state)
{
    (void)state;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        http_tickets_rotate(first.tickets, (uint64_t)1 << 40, ROTATION_MS);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_false(visit(&first));
    http_tickets_rotate(first.tickets, ((uint64_t)1 << 40) + ROTATION_MS - 1, ROTATION_MS);
    assert_true(visit(&second));
}

static void test_tickets_file_that_is_not_ours_is_replaced(void **state)
{
    (void)state;
    const off_t bytes = lseek(http_tickets_fd(first.tickets), 0, SEEK_END);
    worker third = { 0 };
    const int empty = memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const int blank = memfd_create("blank", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const int loose = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(fcntl(empty, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    assert_int_equal(ftruncate(blank, bytes), 0);
    assert_int_equal(fcntl(blank, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    assert_int_equal(ftruncate(loose, bytes), 0);
    const int files[] = { empty, blank, loose, open("/dev/null", O_RDWR | O_CLOEXEC), 1 << 20 };
    assert_false(visit(&first));
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        worker_begin(&third, files[i]);
        assert_int_not_equal(http_tickets_fd(third.tickets), -1);
        assert_false(visit(&third)); /* keys of its own */
        assert_true(visit(&third));
        worker_end(&third);
    }
}

static void test_tickets_of_a_later_boot_are_not_believed(void **state)
{
    (void)state;
    rotate(1);
    worker third = { 0 };
    const tls_server_options options = server_options();
    assert_ok(http_tickets_open(dup(http_tickets_fd(first.tickets)), 1, &third.tickets));
    assert_ok(tls_config_server(&options, &third.config));
    assert_false(visit(&first));
    assert_false(visit(&third));
    worker_end(&third);
}

#define TICKETS_TEST(name) cmocka_unit_test_setup_teardown(name, tickets_setup, tickets_teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        TICKETS_TEST(test_tickets_of_one_worker_are_good_at_another),
        TICKETS_TEST(test_tickets_are_good_until_their_key_is_gone),
        TICKETS_TEST(test_tickets_opened_by_an_old_key_are_renewed),
        TICKETS_TEST(test_tickets_young_key_is_kept),
        TICKETS_TEST(test_tickets_of_a_fork_follow_rotations),
        TICKETS_TEST(test_tickets_file_that_is_not_ours_is_replaced),
        TICKETS_TEST(test_tickets_of_a_later_boot_are_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_with_files(run);
}
