/* SIGTERM while requests wait for the database: all are answered, the program ends with 0, and
 * leaves no connection behind.
 *
 * The test holds a lock on the table, so what is asked stays under way until it lets go. */
#include "notes_test.h"

#define CROWD 24

typedef struct crowd {
    peer peers[CROWD];
    pg_tx *lock;
} crowd;

static char token[TOKEN_BYTES_MAX];
static int64_t first_note;

static int setup(void **state)
{
    (void)state;
    database_create();
    migrate();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    database_drop();
    return 0;
}

static void start(const char *workers, const char *drain_timeout)
{
    assert_ok(pg_execute(db, NULL, "truncate accounts, notes"));
    serve_notes(workers, drain_timeout, "PGAPPNAME=notes");
    sign_up(ADA, token);
    first_note = make_note(token, "First", "");
}

/* --- the crowd ------------------------------------------------------------------------------- */

/* A note whose body is sent when the server has said that it is read: then its handler runs. */
static void send_note(peer *p, int number)
{
    char body[64];
    answer a;
    const int len = snprintf(body, sizeof body, "{\"title\":\"crowd %d\",\"body\":\"\"}", number);
    peer_sendf(p,
               "POST /notes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nExpect: 100-continue"
               "\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
               token, len);
    peer_read(p, false, &a);
    check_status("Expect: 100-continue", &a, 100);
    answer_free(&a);
    peer_send(p, (str){ body, (size_t)len });
}

static void send_one(peer *p, int number)
{
    char request[64];
    switch (number % 4) {
    case 0:
        (void)snprintf(request, sizeof request, "GET /notes");
        break;
    case 1:
        (void)snprintf(request, sizeof request, "GET /notes/%ld", (long)first_note);
        break;
    default:
        send_note(p, number);
        return;
    }
    send_question(p, &(question){ .token = token, .request = request });
}

static bool somebody_waits(pg_tx *tx)
{
    pg_rows rows;
    int64_t waiting;
    assert_ok(pg_query(tx, &rows,
                       "select count(*) from pg_locks where not granted and "
                       "relation = 'notes'::regclass"));
    assert_ok(pg_get(&rows, 0, 0, &waiting));
    return waiting > 0;
}

static void gather(crowd *c)
{
    assert_ok(pg_begin(db, &c->lock));
    assert_ok(pg_execute(c->lock, NULL, "lock table notes in access exclusive mode"));
    for (int i = 0; i < CROWD; i++) {
        peer_connect(&c->peers[i], server.port);
        send_one(&c->peers[i], i);
    }
    await(somebody_waits(c->lock));
    assert_ok(fiber_sleep(100)); /* so that those that only read are under way too */
}

static void disperse(crowd *c)
{
    for (int i = 0; i < CROWD; i++)
        peer_close(&c->peers[i]);
}

static bool refuses_connections(void)
{
    peer p;
    if (!peer_try_connect(&p, server.port))
        return true;
    peer_close(&p);
    return false;
}

/* The processes of PostgreSQL that still serve the program. */
static int64_t connections_left(void)
{
    return count_of("select count(*) from pg_stat_activity where datname = current_database() and "
                    "backend_type = 'client backend' and pid <> pg_backend_pid() and "
                    "application_name = 'notes'");
}

/* --- tests ----------------------------------------------------------------------------------- */

static void run_drain(const char *workers)
{
    crowd c;
    start(workers, "HTTP_DRAIN_TIMEOUT=25s");
    gather(&c);
    kill(server.pid, SIGTERM);
    await(refuses_connections());
    assert_ok(pg_rollback(&c.lock));
    for (int i = 0; i < CROWD; i++) {
        answer a;
        peer_read(&c.peers[i], false, &a);
        check_status("in flight", &a, i % 4 < 2 ? 200 : 201);
        assert_true(a.closes);
        answer_free(&a);
        assert_true(peer_sees_end(&c.peers[i]));
    }
    disperse(&c);
    assert_int_equal(server_wait(&server), 0);
    await(connections_left() == 0);
    assert_int_equal(count_of("select count(*) from notes where title like 'crowd %'"), CROWD / 2);
}

static void test_drain_two_workers_answers_all_and_leaves_no_connection(void **state)
{
    (void)state;
    run_drain("WORKERS=2");
}

static void test_drain_no_workers_answers_all_and_leaves_no_connection(void **state)
{
    (void)state;
    run_drain("WORKERS=0");
}

static void test_drain_past_its_deadline_ends_and_leaves_no_connection(void **state)
{
    (void)state;
    crowd c;
    start("WORKERS=2", "HTTP_DRAIN_TIMEOUT=300ms");
    gather(&c);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
    disperse(&c);
    assert_ok(pg_rollback(&c.lock));
    await(connections_left() == 0);
}

static void test_stop_while_idle_leaves_no_connection(void **state)
{
    (void)state;
    start("WORKERS=2", "HTTP_DRAIN_TIMEOUT=25s");
    assert_true(connections_left() > 0);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
    await(connections_left() == 0);
}

/* A worker's end takes its connections along, and its successor makes its own. */
static void test_worker_killed_leaves_no_connection_and_its_successor_serves(void **state)
{
    (void)state;
    start("WORKERS=1", "HTTP_DRAIN_TIMEOUT=25s");
    char path[64], children[64] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)server.pid,
                   (int)server.pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(children, sizeof children, file));
    assert_int_equal(fclose(file), 0);
    kill((pid_t)strtol(children, NULL, 10), SIGKILL);
    await(server_logged(&server, "worker died"));
    expect(token, on_note("GET", first_note), NULL, 200, NOTE_OF("First", ""));
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
    await(connections_left() == 0);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_drain_two_workers_answers_all_and_leaves_no_connection,
                                  server_teardown),
        cmocka_unit_test_teardown(test_drain_no_workers_answers_all_and_leaves_no_connection,
                                  server_teardown),
        cmocka_unit_test_teardown(test_drain_past_its_deadline_ends_and_leaves_no_connection,
                                  server_teardown),
        cmocka_unit_test_teardown(test_stop_while_idle_leaves_no_connection, server_teardown),
        cmocka_unit_test_teardown(test_worker_killed_leaves_no_connection_and_its_successor_serves,
                                  server_teardown),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

int main(void)
{
    return run_with_database(run);
}
