/* What is asked of listening sockets reaches the kernel, which is asked in turn: their queue and
 * TCP_DEFER_ACCEPT, of sockets that are bound here and of those that a predecessor bound. */
#include "listen.h"

#include "tests/support/in_fiber.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS 2

static arena texts;

/* As a server with these settings would listen, with a socket that it inherits unless -1. */
static void listen_with(http_listening *l, const http_settings *settings, int heir)
{
    *l = (http_listening){ .address_count = 0 };
    assert_ok(http_listening_parse(&texts, settings, l));
    assert_ok(http_listening_open(l, WORKERS, heir >= 0));
    if (heir >= 0)
        assert_true(http_listening_adopt(l, heir, settings->listen));
    assert_ok(http_listening_bind(l, settings, WORKERS));
    assert_int_equal(l->socket_count, WORKERS);
}

static void listen_end(http_listening *l)
{
    http_listening_close(l);
    memory_free(l->sockets);
}

/* How many connections may wait in a listening socket's queue. */
static uint32_t queue_of(int fd)
{
    struct tcp_info info = { .tcpi_state = 0 };
    socklen_t len = sizeof info;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    if (len == sizeof(int)) /* an emulated kernel (qemu-user) has all options for ints */
        skip();
    return info.tcpi_sacked; /* that is what it holds of a socket that listens */
}

static int deferred_s(int fd)
{
    int seconds = -1;
    socklen_t len = sizeof seconds;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &len), 0);
    return seconds;
}

static http_settings settings_with(int64_t backlog, int64_t defer_accept_ms)
{
    return (http_settings){ .listen = STR("127.0.0.1:0"),
                            .backlog = backlog,
                            .defer_accept_ms = defer_accept_ms };
}

static void test_listen_backlog_is_the_length_of_each_queue(void **state)
{
    (void)state;
    http_listening l;
    const http_settings settings = settings_with(77, 0);
    listen_with(&l, &settings, -1);
    for (uint32_t i = 0; i < l.socket_count; i++)
        assert_int_equal(queue_of(l.sockets[i].fd), 77);
    listen_end(&l);
}

static void test_listen_defer_accept_is_rounded_up_to_seconds(void **state)
{
    (void)state;
    http_listening l;
    const http_settings none = settings_with(10, 0), some = settings_with(10, 2001);
    listen_with(&l, &none, -1);
    for (uint32_t i = 0; i < l.socket_count; i++)
        assert_int_equal(deferred_s(l.sockets[i].fd), 0);
    listen_end(&l);
    listen_with(&l, &some, -1);
    for (uint32_t i = 0; i < l.socket_count; i++) /* the kernel rounds up to its retransmissions */
        assert_true(deferred_s(l.sockets[i].fd) >= 3);
    listen_end(&l);
}

/* By a reload both may change. */
static void test_listen_settings_hold_for_an_adopted_socket(void **state)
{
    (void)state;
    http_listening l;
    const http_settings before = settings_with(77, 5000), after = settings_with(55, 0);
    listen_with(&l, &before, -1);
    const int heir = dup(l.sockets[0].fd);
    assert_true(heir >= 0);
    listen_end(&l);
    listen_with(&l, &after, heir);
    for (uint32_t i = 0; i < l.socket_count; i++) {
        assert_int_equal(queue_of(l.sockets[i].fd), 55);
        assert_int_equal(deferred_s(l.sockets[i].fd), 0);
    }
    listen_end(&l);
}

static int setup(void **state)
{
    (void)state;
    arena_init(&texts, 65536);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&texts);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listen_backlog_is_the_length_of_each_queue),
        cmocka_unit_test(test_listen_defer_accept_is_rounded_up_to_seconds),
        cmocka_unit_test(test_listen_settings_hold_for_an_adopted_socket),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
