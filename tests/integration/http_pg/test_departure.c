/* Clients that leave while a statement runs for them, over real sockets, in clear and over TLS: on
 * routes that say so it is canceled, and nothing of its transaction stays; on others it is carried
 * out. */
#include "tests/support/database.h"
#include "tests/support/secured.h"

#include <sys/socket.h>
#include <sys/un.h>

#define LISTEN "LISTEN=127.0.0.1:0 tls:127.0.0.1:0 unix:@%s"

static pg_pool *db; /* the test's own look at what happens */

/* The abstract name of the server's Unix socket. */
static const char *socket_name(void)
{
    static char name[64];
    (void)snprintf(name, sizeof name, "brio-leaver-%d", (int)getpid());
    return name;
}

static int open_group(void **state)
{
    if (secured_begin(state) < 0)
        return -1;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &db));
    assert_ok(pg_execute(db, NULL, "drop table if exists leaver"));
    assert_ok(pg_execute(db, NULL, "create table leaver (mark int8)"));
    return 0;
}

static int close_group(void **state)
{
    const error dropped = pg_execute(db, NULL, "drop table if exists leaver");
    pg_pool_close(&db);
    return secured_end(state) < 0 || dropped.kind ? -1 : 0;
}

static int setup(void **state)
{
    (void)state;
    char listen[128];
    (void)snprintf(listen, sizeof listen, LISTEN, socket_name());
    server_start(&server, getenv("LEAVER"),
                 ENVIRONMENT("WORKERS=1", listen, file_variable("TLS_CERT_FILE", "server")));
    return 0;
}

static int64_t number(str sql)
{
    pg_rows rows;
    int64_t found = -1;
    assert_ok(pg_query(db, &rows, sql));
    assert_ok(pg_get(&rows, 0, 0, &found));
    return found;
}

/* Sleeps, that is: while it is prepared it is active too. */
static bool runs(int mark)
{
    return number(str_format(fiber_arena(),
                             "select count(*) from pg_stat_activity where wait_event = 'PgSleep' "
                             "and query like 'select pg_sleep(%%leaver %d */'",
                             mark)) > 0;
}

static bool is_written(int mark)
{
    return number(str_format(fiber_arena(), "select count(*) from leaver where mark = %d", mark)) >
           0;
}

static void join(peer *p, bool tls)
{
    if (tls)
        assert_true(tls_peer_connect(p, port_of("tls:"), &(tls_ask){ 0 }));
    else
        peer_connect(p, server.port);
}

static void ask(peer *p, const char *method, const char *path, int mark)
{
    peer_sendf(p, "%s /%s/%d HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", method, path, mark);
}

/* The first that is no interim one. */
static int final_status(peer *p)
{
    answer a;
    int status;
    do {
        peer_read(p, false, &a);
        status = a.status;
        answer_free(&a);
    } while (status == 100);
    return status;
}

/* The server and its database are as good as before. */
static void check_serves(bool tls)
{
    peer p;
    join(&p, tls);
    ask(&p, "GET", "nap", 0);
    assert_int_equal(final_status(&p), 200);
    peer_close(&p);
}

static void leave_in_a_statement(bool tls)
{
    peer p;
    join(&p, tls);
    ask(&p, "GET", "sleep", 1);
    wait_until(runs(1));
    peer_close(&p);
    wait_until(!runs(1));
    wait_until(http_metric(server.port, "pg_cancels_total") >= 1);
    check_serves(tls);
}

static void test_departure_cancels_the_statement(void **state)
{
    (void)state;
    leave_in_a_statement(false);
}

static void test_departure_cancels_the_statement_over_tls(void **state)
{
    (void)state;
    leave_in_a_statement(true);
}

static void test_departure_cancels_the_statement_over_a_unix_socket(void **state)
{
    (void)state;
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    const char *name = socket_name();
    const socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    memcpy(un.sun_path + 1, name, strlen(name));
    peer p = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    assert_int_equal(connect(p.fd, (struct sockaddr *)(void *)&un, len), 0);
    ask(&p, "GET", "sleep", 10);
    wait_until(runs(10));
    peer_close(&p);
    wait_until(!runs(10));
    check_serves(false);
}

static void test_departure_by_a_reset_cancels_the_statement(void **state)
{
    (void)state;
    peer p;
    join(&p, false);
    ask(&p, "GET", "sleep", 2);
    wait_until(runs(2));
    peer_reset(&p);
    wait_until(!runs(2));
}

static void leave_in_a_transaction(bool tls)
{
    peer p;
    join(&p, tls);
    ask(&p, "POST", "undone", 3);
    wait_until(runs(3));
    peer_close(&p);
    wait_until(!runs(3));
    wait_until(http_metric(server.port, "pg_transactions") == 0);
    assert_false(is_written(3));
    check_serves(tls);
}

static void test_departure_undoes_the_transaction(void **state)
{
    (void)state;
    leave_in_a_transaction(false);
}

static void test_departure_undoes_the_transaction_over_tls(void **state)
{
    (void)state;
    leave_in_a_transaction(true);
}

static void leave_other_route(bool tls, int mark)
{
    peer p;
    join(&p, tls);
    ask(&p, "POST", "written", mark);
    wait_until(runs(mark));
    peer_close(&p);
    wait_until(is_written(mark));
    assert_true(http_metric(server.port, "pg_abandoned_total") == 0);
}

static void test_departure_leaves_other_routes_to_finish(void **state)
{
    (void)state;
    leave_other_route(false, 4);
}

static void test_departure_leaves_other_routes_to_finish_over_tls(void **state)
{
    (void)state;
    leave_other_route(true, 5);
}

static void end_a_side(bool tls)
{
    peer p;
    join(&p, tls);
    ask(&p, "GET", "nap", 6);
    peer_end(&p);
    assert_int_equal(final_status(&p), 200);
    peer_close(&p);
    assert_true(http_metric(server.port, "pg_abandoned_total") == 0);
}

static void test_departure_of_a_side_waits_for_the_answer(void **state)
{
    (void)state;
    end_a_side(false);
}

static void test_departure_of_a_side_waits_for_the_answer_over_tls(void **state)
{
    (void)state;
    end_a_side(true);
}

static void test_departure_leaves_pipelined_requests_undone(void **state)
{
    (void)state;
    peer p;
    join(&p, false);
    ask(&p, "GET", "sleep", 7);
    ask(&p, "POST", "undone", 8);
    ask(&p, "POST", "written", 8);
    wait_until(runs(7));
    peer_close(&p);
    wait_until(!runs(7));
    check_serves(false); /* time enough for what should not happen */
    assert_false(runs(8));
    assert_false(is_written(8));
    assert_true(http_metric(server.port, "pg_abandoned_total") == 1);
}

static void test_departure_of_many_leaves_no_statement(void **state)
{
    (void)state;
    peer peers[12];
    for (int i = 0; i < 12; i++) {
        join(&peers[i], i % 2 == 1);
        ask(&peers[i], "GET", "sleep", 9);
    }
    wait_until(runs(9));
    for (int i = 0; i < 12; i++)
        peer_close(&peers[i]);
    wait_until(!runs(9));
    check_serves(false);
}

#define DEPARTURE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, server_teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        DEPARTURE_TEST(test_departure_cancels_the_statement),
        DEPARTURE_TEST(test_departure_cancels_the_statement_over_tls),
        DEPARTURE_TEST(test_departure_cancels_the_statement_over_a_unix_socket),
        DEPARTURE_TEST(test_departure_by_a_reset_cancels_the_statement),
        DEPARTURE_TEST(test_departure_undoes_the_transaction),
        DEPARTURE_TEST(test_departure_undoes_the_transaction_over_tls),
        DEPARTURE_TEST(test_departure_leaves_other_routes_to_finish),
        DEPARTURE_TEST(test_departure_leaves_other_routes_to_finish_over_tls),
        DEPARTURE_TEST(test_departure_of_a_side_waits_for_the_answer),
        DEPARTURE_TEST(test_departure_of_a_side_waits_for_the_answer_over_tls),
        DEPARTURE_TEST(test_departure_leaves_pipelined_requests_undone),
        DEPARTURE_TEST(test_departure_of_many_leaves_no_statement),
    };
    return cmocka_run_group_tests_name("departure", tests, open_group, close_group);
}

int main(void)
{
    return run_with_database(run);
}
