/* Addresses in text, bound sockets, and listeners that must neither lose a connection nor spin. */
#include "core/fault.h"
#include "tests/support/stream_pair.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

static int setup(void **state)
{
    (void)state;
    fault_clear();
    return 0;
}

/* --- addresses ------------------------------------------------------------------------------- */

static void test_address_in_text_comes_back_the_same(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "127.0.0.1:0",   "0.0.0.0:65535", "[::1]:8080", "[2001:db8::ff00:42:8329]:1",
        "/tmp/x.socket", "@abstract",     "@a",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        address at;
        assert_true(address_parse(str_from_c(texts[i]), &at));
        assert_str_equal(address_text(fiber_arena(), &at), str_from_c(texts[i]));
    }
}

static void test_address_that_is_none_is_refused(void **state)
{
    (void)state;
    static const str texts[] = {
        STR(""),
        STR(":"),
        STR("127.0.0.1"),
        STR("127.0.0.1:"),
        STR("127.0.0.1:65536"),
        STR("127.0.0.1:-1"),
        STR("127.0.0.1: 80"),
        STR("127.0.0.1:80x"),
        STR("127.0.0.1:99999999999999999999"),
        STR("127.0.0.1:8:0"),
        STR("127.1:80"),
        STR("1.2.3.4.5:80"),
        STR("localhost:80"),
        STR("::1:80"),
        STR("[::1]"),
        STR("[::1]80"),
        STR("[::1]:"),
        STR("[127.0.0.1]:80"),
        STR("[]:80"),
        STR("[:80"),
        STR("[fe80::1%lo]:80"),
        STR("127.0.0.1\0:80"),
        STR("/"),
        STR("@"),
        STR("/nul\0inside"),
        STR("/0123456789012345678901234567890123456789012345678901234567890123456789"
            "01234567890123456789012345678901234567"),
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        address at;
        if (address_parse(texts[i], &at))
            print_error("accepted: %.*s\n", STR_ARG(texts[i]));
        assert_false(address_parse(texts[i], &at));
    }
    /* The longest path that there is room for. */
    char path[108];
    memset(path, 'p', sizeof path);
    path[0] = '/';
    address at;
    assert_false(address_parse((str){ path, 108 }, &at));
    assert_true(address_parse((str){ path, 107 }, &at));
    assert_str_equal(address_text(fiber_arena(), &at), ((str){ path, 107 }));
    path[0] = '@';
    assert_true(address_parse((str){ path, 108 }, &at));
    assert_str_equal(address_text(fiber_arena(), &at), ((str){ path, 108 }));
}

static void test_address_of_this_machine_is_local(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool local;
    } rows[] = {
        { "127.0.0.1:80", true },      { "127.255.0.9:80", true },
        { "[::1]:80", true },          { "[::ffff:127.0.0.1]:80", true },
        { "/run/a.socket", true },     { "@abstract", true },
        { "128.0.0.1:80", false },     { "10.0.0.1:80", false },
        { "[2001:db8::1]:80", false }, { "[::ffff:10.0.0.1]:80", false },
        { "0.0.0.0:80", false },       { "[::]:80", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        address at;
        assert_true(address_parse(str_from_c(rows[i].text), &at));
        if (address_is_local(&at) != rows[i].local)
            fail_msg("%s", rows[i].text);
    }
    assert_false(address_is_local(&(address){ 0 }));
}

static void test_address_unknown_has_a_text(void **state)
{
    (void)state;
    assert_str_equal(address_text(fiber_arena(), &(address){ 0 }), STR("unknown"));
}

static void test_address_resolve_finds_numbers_names_and_sockets(void **state)
{
    (void)state;
    address at[4];
    size_t count = 0;
    assert_ok(address_resolve(STR("127.0.0.1"), 5432, at, 4, &count));
    assert_int_equal(count, 1);
    assert_str_equal(address_text(fiber_arena(), &at[0]), STR("127.0.0.1:5432"));
    assert_ok(address_resolve(STR("::1"), 1, at, 4, &count));
    assert_str_equal(address_text(fiber_arena(), &at[0]), STR("[::1]:1"));
    assert_ok(address_resolve(STR("/run/x.sock"), 1, at, 4, &count));
    assert_str_equal(address_text(fiber_arena(), &at[0]), STR("/run/x.sock"));
    assert_ok(address_resolve(STR("localhost"), 80, at, 1, &count));
    assert_int_equal(count, 1);
    assert_true(str_ends_with(address_text(fiber_arena(), &at[0]), STR(":80")));
}

static void test_address_resolve_refuses_what_is_no_name(void **state)
{
    (void)state;
    char longest[2000];
    memset(longest, 'n', sizeof longest);
    const str hosts[] = {
        STR(""),
        { longest, 70 }, /* a label of more than 63: no server needs to be asked */
        STR("nul\0inside"),
        { longest, sizeof longest },
    };
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        address at;
        size_t count = 7;
        assert_fails(STREAM_CONNECT_FAILED, address_resolve(hosts[i], 80, &at, 1, &count));
        assert_int_equal(count, 0);
    }
    longest[0] = '/';
    address at;
    size_t count;
    assert_fails(STREAM_CONNECT_FAILED,
                 address_resolve((str){ longest, sizeof longest }, 80, &at, 1, &count));
}

/* --- bound sockets --------------------------------------------------------------------------- */

static address parsed(const char *text)
{
    address at;
    assert_true(address_parse(str_from_c(text), &at));
    return at;
}

static void test_listener_bind_that_fails_names_the_address(void **state)
{
    (void)state;
    int first, second;
    address at = parsed("127.0.0.1:0");
    assert_ok(listener_bind(&at, false, &first));
    at = listener_address(first);
    error e = listener_bind(&at, false, &second);
    assert_fails(SYSTEM_FAILED, e);
    assert_int_equal(error_detail_of(e)->system_errno, EADDRINUSE);
    assert_true(str_ends_with(error_detail_of(e)->text, address_text(fiber_arena(), &at)));
    close(first);

    at = parsed("/no/such/folder/x.socket");
    e = listener_bind(&at, false, &second);
    assert_fails(SYSTEM_FAILED, e);
    assert_int_equal(error_detail_of(e)->system_errno, ENOENT);
    assert_str_equal(error_detail_of(e)->text, STR("bind on /no/such/folder/x.socket"));

    at = parsed("192.0.2.1:80"); /* nobody's */
    e = listener_bind(&at, false, &second);
    assert_int_equal(error_detail_of(e)->system_errno, EADDRNOTAVAIL);
    assert_str_equal(error_detail_of(e)->text, STR("bind on 192.0.2.1:80"));
}

static void test_listener_bind_shares_a_port_when_asked(void **state)
{
    (void)state;
    int first, second;
    address at = parsed("127.0.0.1:0");
    assert_ok(listener_bind(&at, true, &first));
    at = listener_address(first);
    assert_ok(listener_bind(&at, true, &second));
    assert_true(fcntl(first, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(first, F_GETFD) & FD_CLOEXEC);
    close(first);
    close(second);
}

static void test_listener_bind_replaces_a_dead_unix_socket_only(void **state)
{
    (void)state;
    char folder[] = "/tmp/brio-test.XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/s", folder);
    const address at = parsed(path);
    int first, second;
    assert_ok(listener_bind(&at, false, &first));
    assert_fails(SYSTEM_FAILED, listener_bind(&at, false, &second)); /* alive */
    /* Alive, and so busy that nobody can connect. */
    assert_int_equal(listen(first, 0), 0);
    int waiting[3];
    for (size_t i = 0; i < ARRAY_LEN(waiting); i++) {
        waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(waiting[i], (const struct sockaddr *)(const void *)at.sockaddr, at.len);
    }
    assert_fails(SYSTEM_FAILED, listener_bind(&at, false, &second));
    for (size_t i = 0; i < ARRAY_LEN(waiting); i++)
        close(waiting[i]);
    close(first);
    assert_ok(listener_bind(&at, false, &second)); /* dead */
    close(second);
    assert_int_equal(unlink(path), 0);
    /* A file that is no socket stays. */
    const int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    close(file);
    assert_fails(SYSTEM_FAILED, listener_bind(&at, false, &second));
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* --- accepting ------------------------------------------------------------------------------- */

typedef struct counter {
    listener *listener;
    uint32_t accepted;
    uint32_t stop_after; /* 0: never */
} counter;

static void count_accepted(int fd, void *arg)
{
    counter *c = arg;
    c->accepted++;
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    close(fd);
    if (c->accepted == c->stop_after)
        listener_stop(&c->listener);
}

static void test_listener_accepts_all_that_wait(void **state)
{
    (void)state;
    enum {
        MANY = 200
    };
    for (size_t kind = 0; kind < 2; kind++) {
        counter c = { 0 };
        address at;
        const int fd = pair_listen(kind == 1, &at);
        int peers[MANY];
        for (size_t i = 0; i < MANY; i++)
            peers[i] = peer_connect(&at, 0);
        assert_ok(listener_start(loop_self(), fd, count_accepted, &c, &c.listener));
        eventually(c.accepted == MANY);
        for (size_t i = 0; i < MANY; i++)
            close(peers[i]);
        listener_stop(&c.listener);
        listener_stop(&c.listener);
        assert_null(c.listener);
        /* The socket is the caller's still: who comes now waits for the next listener. */
        const int late = peer_connect(&at, 0);
        assert_ok(fiber_sleep(5));
        assert_int_equal(c.accepted, MANY);
        assert_ok(listener_start(loop_self(), fd, count_accepted, &c, &c.listener));
        eventually(c.accepted == MANY + 1);
        listener_stop(&c.listener);
        close(late);
        close(fd);
    }
}

static void test_listener_may_be_stopped_by_its_own_callback(void **state)
{
    (void)state;
    counter c = { .stop_after = 3 };
    address at;
    const int fd = pair_listen(false, &at);
    int peers[5];
    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        peers[i] = peer_connect(&at, 0);
    assert_ok(listener_start(loop_self(), fd, count_accepted, &c, &c.listener));
    eventually(c.accepted == 3);
    assert_null(c.listener);
    assert_ok(fiber_sleep(5));
    assert_int_equal(c.accepted, 3);
    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        close(peers[i]);
    close(fd);
}

static void test_listener_without_descriptors_pauses_and_goes_on(void **state)
{
    (void)state;
    counter c = { 0 };
    address at;
    const int fd = pair_listen(false, &at);
    fault_always("listener.accept");
    assert_ok(listener_start(loop_self(), fd, count_accepted, &c, &c.listener));
    const int first = peer_connect(&at, 0);
    assert_ok(fiber_sleep(50));
    assert_int_equal(c.accepted, 0);
    assert_true(fault_passed("listener.accept") <= 2); /* it does not spin */
    fault_clear();
    eventually(c.accepted == 1);
    /* Stopped while it pauses. */
    fault_always("listener.accept");
    const int second = peer_connect(&at, 0);
    eventually(fault_passed("listener.accept") > 0);
    listener_stop(&c.listener);
    fault_clear();
    assert_ok(fiber_sleep(150));
    assert_int_equal(c.accepted, 1);
    close(first);
    close(second);
    close(fd);
}

/* The loop's processor time while a listening socket is broken for good. */
static void test_listener_on_a_broken_socket_does_not_spin(void **state)
{
    (void)state;
    counter c = { 0 };
    address at;
    const int fd = pair_listen(false, &at);
    assert_ok(listener_start(loop_self(), fd, count_accepted, &c, &c.listener));
    assert_int_equal(shutdown(fd, SHUT_RDWR), 0); /* accept fails for ever, and is always ready */
    struct rusage before, after;
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    assert_ok(fiber_sleep(300));
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
    const int64_t us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 +
                       (after.ru_utime.tv_usec - before.ru_utime.tv_usec) +
                       (after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 +
                       (after.ru_stime.tv_usec - before.ru_stime.tv_usec);
    assert_true(us < 150000); /* processor time, not the clock's */
    listener_stop(&c.listener);
    close(fd);
}

#define LISTENER_TEST(name) cmocka_unit_test_setup(name, setup)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        LISTENER_TEST(test_address_in_text_comes_back_the_same),
        LISTENER_TEST(test_address_that_is_none_is_refused),
        LISTENER_TEST(test_address_unknown_has_a_text),
        LISTENER_TEST(test_address_of_this_machine_is_local),
        LISTENER_TEST(test_address_resolve_finds_numbers_names_and_sockets),
        LISTENER_TEST(test_address_resolve_refuses_what_is_no_name),
        LISTENER_TEST(test_listener_bind_that_fails_names_the_address),
        LISTENER_TEST(test_listener_bind_shares_a_port_when_asked),
        LISTENER_TEST(test_listener_bind_replaces_a_dead_unix_socket_only),
        LISTENER_TEST(test_listener_accepts_all_that_wait),
        LISTENER_TEST(test_listener_may_be_stopped_by_its_own_callback),
        LISTENER_TEST(test_listener_without_descriptors_pauses_and_goes_on),
        LISTENER_TEST(test_listener_on_a_broken_socket_does_not_spin),
    };
    return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
