/* LISTEN: several addresses of TCP and Unix sockets, each served by every worker; what cannot be
 * listened on is named. */
#include "tests/support/http_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CROWD 200

static char path[64];

static uint16_t logged_port(const char *before)
{
    static char log[65536];
    const ssize_t got = pread(server.log_fd, log, sizeof log - 1, 0);
    log[got > 0 ? got : 0] = '\0';
    const char *at = strstr(log, before);
    return at ? (uint16_t)strtoul(at + strlen(before), NULL, 10) : 0;
}

static bool connect_unix(peer *p, const char *to, size_t len)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    memcpy(un.sun_path, to, len);
    *p = (peer){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    assert_true(p->fd >= 0);
    const socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (connect(p->fd, (struct sockaddr *)(void *)&un, bytes) == 0)
        return true;
    peer_close(p);
    return false;
}

static void connect_ipv6(peer *p, uint16_t port)
{
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
                                .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                                .sin6_port = htons(port) };
    *p = (peer){ .fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    assert_int_equal(connect(p->fd, (struct sockaddr *)(void *)&in6, sizeof in6), 0);
}

static void expect_fast(peer *p)
{
    answer a;
    peer_sendf(p, "GET /fast HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_read(p, false, &a);
    check_status("/fast", &a, 200);
    answer_free(&a);
    peer_close(p);
}

static bool has_ipv6(void)
{
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    const bool has = fd >= 0 && bind(fd, (struct sockaddr *)(void *)&in6, sizeof in6) == 0;
    close(fd);
    return has;
}

static void run_several(const char *workers)
{
    char listen[160], abstract[32] = { 0 };
    peer p;
    const int len = snprintf(abstract + 1, sizeof abstract - 1, "brio-%d", (int)getpid()) + 1;
    const bool ipv6 = has_ipv6();
    (void)snprintf(listen, sizeof listen,
                   "LISTEN=127.0.0.1:0 %s unix:%s?mode=660  unix:@brio-%d 127.0.0.2:0",
                   ipv6 ? "[::1]:0" : "", path, (int)getpid());
    serve(ENVIRONMENT(workers, listen));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0660);
    for (int i = 0; i < CROWD; i++) {
        assert_true(connect_unix(&p, path, strlen(path)));
        expect_fast(&p);
        assert_true(connect_unix(&p, abstract, (size_t)len));
        expect_fast(&p);
        if (ipv6) {
            connect_ipv6(&p, logged_port("[::1]:"));
            expect_fast(&p);
        }
        check_get("/fast", 200);
    }
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
    assert_int_equal(stat(path, &st), -1); /* a file that nobody listens on misleads */
    server_kill(&server);
}

static void test_listeners_of_every_kind_are_served(void **state)
{
    (void)state;
    run_several("WORKERS=2");
    run_several("WORKERS=0");
}

static void test_listener_unix_is_shared_by_the_workers(void **state)
{
    (void)state;
    char listen[96];
    peer crowd[CROWD];
    long first = 0;
    bool others = false;
    answer a;
    (void)snprintf(listen, sizeof listen, "LISTEN=127.0.0.1:0 unix:%s", path);
    serve(ENVIRONMENT("WORKERS=2", listen));
    for (int i = 0; i < CROWD; i++) {
        assert_true(connect_unix(&crowd[i], path, strlen(path)));
        peer_sendf(&crowd[i], "GET /worker HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for (int i = 0; i < CROWD; i++) {
        peer_read(&crowd[i], false, &a);
        check_status("/worker", &a, 200);
        const long pid = strtol(a.body.ptr + strcspn(a.body.ptr, ":") + 1, NULL, 10);
        others |= first != 0 && pid != first;
        if (first == 0)
            first = pid;
        answer_free(&a);
    }
    if (!others) { /* one was quick enough for all: the other must do without it */
        peer p;
        kill((pid_t)first, SIGSTOP);
        assert_true(connect_unix(&p, path, strlen(path)));
        expect_fast(&p);
        kill((pid_t)first, SIGCONT);
    }
    for (int i = 0; i < CROWD; i++)
        peer_close(&crowd[i]);
}

static void test_listener_unix_survives_a_reload(void **state)
{
    (void)state;
    char listen[96];
    peer before, after;
    (void)snprintf(listen, sizeof listen, "LISTEN=127.0.0.1:0 unix:%s", path);
    serve(ENVIRONMENT("WORKERS=2", listen));
    assert_true(connect_unix(&before, path, strlen(path)));
    kill(server.pid, SIGHUP);
    for (const uint64_t end_ms = test_clock_ms() + PEER_WAIT_MS;
         !server_logged(&server, "\"reloaded\"");) {
        assert_true(test_clock_ms() < end_ms);
        assert_true(connect_unix(&after, path, strlen(path))); /* at any moment */
        expect_fast(&after);
    }
    expect_fast(&before);
    assert_true(connect_unix(&after, path, strlen(path)));
    expect_fast(&after);
}

static void write_config(const char *format)
{
    char name[80];
    (void)snprintf(name, sizeof name, "%s.conf", path);
    FILE *file = fopen(name, "we");
    assert_non_null(file);
    assert_true(fprintf(file, "LISTEN=127.0.0.1:0 ") > 0);
    if (*format)
        assert_true(fprintf(file, "unix:%s%s", path, format) > 0);
    assert_int_equal(fclose(file), 0);
}

static void reload_for(const char *sign)
{
    kill(server.pid, SIGHUP);
    for (const uint64_t end_ms = test_clock_ms() + PEER_WAIT_MS; !server_logged(&server, sign);) {
        assert_true(test_clock_ms() < end_ms);
        test_pause_ms(5);
    }
}

static void test_listener_unix_follows_the_configuration(void **state)
{
    (void)state;
    char variable[96];
    struct stat st;
    peer p;
    (void)snprintf(variable, sizeof variable, "CONFIG_FILE=%s.conf", path);
    write_config("?mode=600");
    serve(ENVIRONMENT("WORKERS=2", variable));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    write_config("?mode=666");
    reload_for("\"reloaded\"");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    assert_true(connect_unix(&p, path, strlen(path)));
    expect_fast(&p);
    write_config("");
    reload_for("no longer listening");
    for (const uint64_t end_ms = test_clock_ms() + PEER_WAIT_MS; stat(path, &st) == 0;) {
        assert_true(test_clock_ms() < end_ms);
        test_pause_ms(5);
    }
    check_get("/fast", 200);
    (void)snprintf(variable, sizeof variable, "%s.conf", path);
    unlink(variable);
}

static void test_listener_unix_path_of_a_dead_server_is_taken_over(void **state)
{
    (void)state;
    char listen[96], log[8192];
    peer p;
    (void)snprintf(listen, sizeof listen, "LISTEN=127.0.0.1:0 unix:%s", path);
    serve(ENVIRONMENT("WORKERS=1", listen));
    const int status =
        server_run_to_end(getenv("FAULTY"), ENVIRONMENT("WORKERS=1", listen), log, sizeof log);
    assert_int_equal(status, 1); /* it lives */
    assert_non_null(strstr(log, path));
    assert_non_null(strstr(log, strerror(EADDRINUSE)));
    server_kill(&server);
    serve(ENVIRONMENT("WORKERS=1", listen));
    assert_true(connect_unix(&p, path, strlen(path)));
    expect_fast(&p);
}

/* How many connections the server has accepted of ten that say nothing, and the one that asks. */
static int accepted_of_silent(void)
{
    peer silent[10];
    const double before = http_metric(server.port, "http_connections_accepted_total");
    for (size_t i = 0; i < ARRAY_LEN(silent); i++)
        peer_connect(&silent[i], server.port);
    test_pause_ms(200);
    const double after = http_metric(server.port, "http_connections_accepted_total");
    for (size_t i = 0; i < ARRAY_LEN(silent); i++)
        peer_close(&silent[i]);
    return (int)(after - before);
}

static void test_listener_deferring_leaves_silent_clients_to_the_kernel(void **state)
{
    (void)state;
    serve(ENVIRONMENT("WORKERS=2", "HTTP_DEFER_ACCEPT=5s", "HTTP_BACKLOG=16"));
    for (int i = 0; i < CROWD; i++)
        check_get("/fast", 200);
    assert_int_equal(accepted_of_silent(), 1);
    server_kill(&server);
    serve(ENVIRONMENT("WORKERS=2"));
    assert_int_equal(accepted_of_silent(), 11);
}

static void test_listener_that_cannot_be_is_refused_with_its_name(void **state)
{
    (void)state;
    static const struct {
        const char *listen;
        const char *says[2];
    } rows[] = {
        { "LISTEN=127.0.0.1:0 192.0.2.1:80", { "192.0.2.1:80", "assign requested address" } },
        { "LISTEN=unix:/nowhere/at.all", { "/nowhere/at.all", "No such file" } },
        { "LISTEN=localhost:80", { "LISTEN", "localhost:80" } },
        { "LISTEN=127.0.0.1", { "LISTEN", "127.0.0.1" } },
        { "LISTEN=/run/app.sock", { "LISTEN", "/run/app.sock" } },
        { "LISTEN=unix:relative", { "LISTEN", "unix:relative" } },
        { "LISTEN=unix:", { "LISTEN", "unix:" } },
        { "LISTEN=unix:/tmp/x?mode=999", { "LISTEN", "mode=999" } },
        { "LISTEN=unix:/tmp/x?mode=6600", { "LISTEN", "mode=6600" } },
        { "LISTEN=unix:/tmp/x?moda=660", { "LISTEN", "moda=660" } },
        { "LISTEN=unix:@x?mode=660", { "LISTEN", "mode=660" } },
        { "LISTEN=127.0.0.1:0 127.0.0.1:0", { "127.0.0.1:0", "twice" } },
        { "LISTEN=127.0.0.1:9 proxy:127.0.0.1:9", { "proxy:127.0.0.1:9", "twice" } },
        { "LISTEN=unix:/tmp/x unix:/tmp/x?mode=600", { "mode=600", "twice" } },
        { "LISTEN=127.0.0.1:9 probe:127.0.0.1:9", { "probe:127.0.0.1:9", "twice" } },
        { "LISTEN=probe:tls:127.0.0.1:0", { "LISTEN", "probe:tls:" } },
        { "LISTEN=tls:", { "LISTEN", "tls:" } },
        { "LISTEN=proxy:", { "LISTEN", "proxy:" } },
        { "LISTEN=tls:tls:127.0.0.1:0", { "LISTEN", "tls:tls:" } },
        { "LISTEN=tls+proxy:127.0.0.1:0", { "LISTEN", "tls+proxy:" } },
        { "LISTEN=proxy:unix:relative", { "LISTEN", "unix:relative" } },
        { "LISTEN=proxy+tls:/run/app.sock", { "LISTEN", "/run/app.sock" } },
        { "LISTEN=   ", { "LISTEN", "no address" } },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char log[8192];
        const int status = server_run_to_end(
            getenv("FAULTY"), ENVIRONMENT("WORKERS=2", rows[i].listen), log, sizeof log);
        if (status == 1 && strstr(log, rows[i].says[0]) && strstr(log, rows[i].says[1]))
            continue;
        print_error("%s: status %d, log:\n%s\n", rows[i].listen, status, log);
        fail();
    }
}

static int begin(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/brio-listeners-%d.sock", (int)getpid());
    return 0;
}

static int end(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

#define listener_test(name_) cmocka_unit_test_teardown(name_, server_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        listener_test(test_listeners_of_every_kind_are_served),
        listener_test(test_listener_unix_is_shared_by_the_workers),
        listener_test(test_listener_unix_survives_a_reload),
        listener_test(test_listener_unix_follows_the_configuration),
        listener_test(test_listener_unix_path_of_a_dead_server_is_taken_over),
        listener_test(test_listener_deferring_leaves_silent_clients_to_the_kernel),
        listener_test(test_listener_that_cannot_be_is_refused_with_its_name),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
