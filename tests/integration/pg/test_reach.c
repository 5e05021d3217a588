/* How servers are reached: all addresses of a name, looked up each time; sockets in the abstract
 * namespace; and what the system is asked to do for a connection. The resolver is the test's. */
#include "tests/support/mock_pool.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWERS MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), MOCK_ANSWERS

/* --- the resolver ----------------------------------------------------------------------------- */

static atomic_uint calls;
static _Atomic(const char *) moves_to; /* where "moving" is now */

typedef struct known {
    struct addrinfo info;
    struct sockaddr_storage at;
} known;

static struct addrinfo *know(const char *address, int kind, struct addrinfo *next)
{
    known *k = calloc(1, sizeof *k);
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&k->at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&k->at;
    const bool is_v6 = strchr(address, ':') != NULL;
    k->at.ss_family = is_v6 ? AF_INET6 : AF_INET;
    (void)inet_pton(k->at.ss_family, address,
                    is_v6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr);
    k->info = (struct addrinfo){ .ai_family = k->at.ss_family,
                                 .ai_socktype = kind,
                                 .ai_addr = (struct sockaddr *)(void *)&k->at,
                                 .ai_addrlen = is_v6 ? sizeof *v6 : sizeof *v4,
                                 .ai_next = next };
    return &k->info;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): theirs are reserved */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    const int kind = hints->ai_socktype;
    (void)service;
    calls++;
    if (strcmp(name, "four") == 0)
        *out =
            know("::1", kind,
                 know("127.0.0.3", kind, know("127.0.0.2", kind, know("127.0.0.1", kind, NULL))));
    else if (strcmp(name, "moving") == 0)
        *out = know(moves_to, kind, NULL);
    else
        return EAI_NONAME;
    return 0;
}

void freeaddrinfo(struct addrinfo *info)
{
    while (info) {
        struct addrinfo *next = info->ai_next;
        free(CONTAINER_OF(info, known, info));
        info = next;
    }
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

/* --- a server --------------------------------------------------------------------------------- */

static mock_pool m;

#define PLAY(...)                                                                  \
    do {                                                                           \
        static const mock_pg_step steps_[] = { __VA_ARGS__ };                      \
        mock_pg_start(&m.server, &(mock_pg_options){ steps_, ARRAY_LEN(steps_) }); \
    } while (0)

/* --- addresses -------------------------------------------------------------------------------- */

/* On the server's port nobody listens at the first three. */
static void test_reach_all_addresses_of_a_name_are_tried(void **state)
{
    (void)state;
    PLAY(ANSWERS);
    mock_pool_open(&m, "host=four");
    assert_ok(mock_pool_ask(&m));
    mock_pool_stop(&m);
}

static void test_reach_name_is_looked_up_for_each_connection(void **state)
{
    (void)state;
    PLAY(ANSWERS, MOCK_CLOSE, ANSWERS);
    calls = 0;
    moves_to = "127.0.0.1";
    mock_pool_open(&m, "host=moving");
    assert_ok(mock_pool_ask(&m));
    assert_int_equal(calls, 1);
    moves_to = "127.0.0.2"; /* where nobody is */
    for (int i = 0; i < 4000 && !(calls > 1 && pg_pool_stats_of(m.db).open == 0); i++)
        assert_ok(fiber_sleep(5));
    assert_fails(PG_CONNECT_FAILED, mock_pool_ask(&m));
    moves_to = "127.0.0.1";
    error e = mock_pool_ask(&m);
    for (int i = 0; i < 4000 && error_is(e, &PG_CONNECT_FAILED); i++) {
        assert_ok(fiber_sleep(5));
        e = mock_pool_ask(&m);
    }
    assert_ok(e);
    mock_pool_stop(&m);
}

static void test_reach_socket_in_the_abstract_namespace(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = { ANSWERS };
    char name[64];
    (void)snprintf(name, sizeof name, "brio-reach-%d", (int)getpid());
    mock_pg_start(
        &m.server,
        &(mock_pg_options){ .steps = SCRIPT, .step_count = ARRAY_LEN(SCRIPT), .abstract = name });
    mock_pool_open(&m, "");
    assert_ok(mock_pool_ask(&m));
    mock_pool_stop(&m);
}

/* --- the socket ------------------------------------------------------------------------------- */

/* Ours: its peer has the server's port. */
static int find_socket(void)
{
    const char *port = strstr(m.server.conninfo, "port=");
    assert_non_null(port);
    const int wanted = atoi(port + 5);
    for (int fd = 3; fd < 1024; fd++) {
        struct sockaddr_in peer = { 0 };
        socklen_t len = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin_family == AF_INET &&
            ntohs(peer.sin_port) == wanted)
            return fd;
    }
    fail_msg("no socket leads to the server");
    return -1;
}

static int option_of(int fd, int level, int which)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, which, &value, &len), 0);
    return value;
}

typedef struct socket_row {
    const char *more;
    const char *peer_timeout;               /* PG_PEER_TIMEOUT; NULL: not set */
    int on, idle, interval, count, timeout; /* -1: whatever the system has */
} socket_row;

static void check_socket(const socket_row *row)
{
    PLAY(ANSWERS);
    if (row->peer_timeout)
        assert_int_equal(setenv("PG_PEER_TIMEOUT", row->peer_timeout, 1), 0);
    mock_pool_open(&m, row->more);
    assert_int_equal(unsetenv("PG_PEER_TIMEOUT"), 0);
    assert_ok(mock_pool_ask(&m));
    const int fd = find_socket();
    print_message("  %s\n", row->more);
    assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), row->on);
    if (row->on && row->idle >= 0) {
        assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), row->idle);
        assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL), row->interval);
        assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPCNT), row->count);
    }
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), row->timeout);
    mock_pool_stop(&m);
}

static void test_reach_socket_has_what_the_connection_string_says(void **state)
{
    (void)state;
    static const socket_row rows[] = {
        { "", NULL, 1, 10, 10, 2, 30000 },
        { "keepalives_idle=77 keepalives_interval=8 keepalives_count=9 tcp_user_timeout=6000", NULL,
          1, 77, 8, 9, 6000 },
        { "keepalives=0 keepalives_idle=77", NULL, 0, 0, 0, 0, 30000 },
        { "tcp_user_timeout=0 keepalives_idle=77 keepalives_interval=8 keepalives_count=9", NULL, 1,
          77, 8, 9, 0 },
        { "", "12s", 1, 4, 4, 2, 12000 },
        { "tcp_user_timeout=6000", "12s", 1, 2, 2, 2, 6000 },
        { "", "0", 1, -1, -1, -1, 0 },
        { "keepalives=1 tcp_user_timeout=0", NULL, 1, -1, -1, -1, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_socket(&rows[i]);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reach_all_addresses_of_a_name_are_tried),
        cmocka_unit_test(test_reach_name_is_looked_up_for_each_connection),
        cmocka_unit_test(test_reach_socket_in_the_abstract_namespace),
        cmocka_unit_test(test_reach_socket_has_what_the_connection_string_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
