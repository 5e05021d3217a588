/* notes at its limits: answers larger than a request may take, a database that does not answer,
 * more log-ins at once than it can hash, and clients that go away. One client's trouble is its
 * own, and afterwards all is as before. */
#include "notes_test.h"

#define CROWD 64

static char ada[TOKEN_BYTES_MAX];
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

static void start(const char *first, const char *second)
{
    assert_ok(pg_execute(db, NULL, "truncate accounts, notes"));
    serve_notes(first, second);
    sign_up(ADA, ada);
    first_note = make_note(ada, "First", "");
}

/* The program works, has crashed nowhere, and ends as it should: under a sanitizer also without a
 * leak. */
static void stop_in_good_health(void)
{
    expect(ada, on_note("GET", first_note), NULL, 200, NOTE_OF("First", ""));
    assert_true(http_metric(server.port, "http_faults_total") == 0);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
    assert_false(server_logged(&server, "worker died"));
}

static void expect_problem(const char *token, const char *request, const char *body, int status)
{
    answer a;
    ask(token, request, body, &a);
    check_problem(request, &a, status, NULL);
    answer_free(&a);
}

static void test_page_too_large_is_503_and_smaller_ones_are_served(void **state)
{
    (void)state;
    answer a;
    start("WORKERS=1", "LOG_LEVEL=info");
    assert_ok(pg_execute(db, NULL,
                         "insert into notes (account_id, title, body) select a.id, 'huge', "
                         "repeat(U&'\\+01F600', 65536) from generate_series(1, 400), accounts a"));
    for (int i = 0; i < 3; i++)
        expect_problem(ada, "GET /notes?limit=400", NULL, 503);
    ask(ada, "GET /notes?limit=50", NULL, &a);
    check_status("50 notes", &a, 200);
    assert_true(a.body.len > (size_t)50 * 4 * 65536);
    answer_free(&a);
    stop_in_good_health();
}

static bool is_served(const char *request)
{
    answer a;
    ask(ada, request, NULL, &a);
    const bool served = a.status == 200;
    answer_free(&a);
    return served;
}

/* A crowd asks for its notes at once; each answer has one of two statuses. */
static void crowd_lists(int status, int other)
{
    static peer crowd[CROWD];
    for (int i = 0; i < CROWD; i++) {
        peer_connect(&crowd[i], server.port);
        send_question(&crowd[i], &(question){ .token = ada, .request = "GET /notes" });
    }
    for (int i = 0; i < CROWD; i++) {
        answer a;
        peer_read(&crowd[i], false, &a);
        check_status("GET /notes", &a, a.status == other ? other : status);
        answer_free(&a);
        peer_close(&crowd[i]);
    }
}

static void test_database_that_does_not_answer_is_504_and_costs_only_who_asked(void **state)
{
    (void)state;
    pg_tx *lock;
    start("WORKERS=1", "HTTP_HANDLER_TIMEOUT=1s");
    make_admin(ADA, ada);
    for (int i = 0; i < 20; i++) /* every connection there may be has prepared the statement */
        crowd_lists(200, 200);
    assert_ok(pg_begin(db, &lock));
    assert_ok(pg_execute(lock, NULL, "lock table notes in access exclusive mode"));
    for (int round = 0; round < 2; round++) {
        crowd_lists(504, 503);
        expect(NULL, "GET /health", NULL, 200, "{'status':'ok'}");
        await(is_served("GET /users")); /* which does not need the table */
    }
    assert_ok(pg_rollback(&lock));
    stop_in_good_health();
}

static void test_workers_together_keep_to_one_number_of_connections(void **state)
{
    (void)state;
    start("WORKERS=4", "PG_CONNECTIONS_MAX=3");
    for (int i = 0; i < 20; i++) {
        crowd_lists(200, 503);
        assert_in_range(count_of("select count(*) from pg_stat_activity"
                                 " where datname = current_database() and pid <> pg_backend_pid()"),
                        1, 3);
    }
    for (int i = 0; i < 40; i++) /* whichever worker it meets */
        expect(ada, on_note("GET", first_note), NULL, 200, NOTE_OF("First", ""));
    stop_in_good_health();
}

static void test_logins_without_end_are_served_or_503(void **state)
{
    (void)state;
    static peer crowd[4 * CROWD];
    int served = 0;
    start("WORKERS=1", "AUTH_ARGON2_MEMORY=4M");
    for (size_t i = 0; i < ARRAY_LEN(crowd); i++) {
        peer_connect(&crowd[i], server.port);
        send_question(&crowd[i], &(question){ .request = "POST /login",
                                              .type = "application/json",
                                              .body = json_unquote(
                                                  fiber_arena(), "{'email':'" ADA
                                                                 "','password':'" PASSWORD "'}") });
    }
    for (size_t i = 0; i < ARRAY_LEN(crowd); i++) {
        answer a;
        peer_read(&crowd[i], false, &a);
        served += a.status == 200;
        if (a.status != 200)
            check_problem("POST /login", &a, 503, NULL);
        answer_free(&a);
        peer_close(&crowd[i]);
    }
    assert_true(served > 0);
    print_message("  %d of %zu\n", served, ARRAY_LEN(crowd));
    stop_in_good_health();
}

static void test_clients_that_go_away_cost_nothing(void **state)
{
    (void)state;
    static peer crowd[CROWD];
    start("WORKERS=1", "LOG_LEVEL=info");
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < CROWD; i++) {
            char body[64];
            (void)snprintf(body, sizeof body, "{\"title\":\"gone %d-%d\",\"body\":\"\"}", round, i);
            peer_connect(&crowd[i], server.port);
            send_question(&crowd[i], &(question){ .token = ada,
                                                  .request = "POST /notes",
                                                  .type = "application/json",
                                                  .body = str_from_c(body) });
        }
        for (int i = 0; i < CROWD; i++) {
            if (i % 2)
                peer_reset(&crowd[i]);
            else
                peer_close(&crowd[i]);
        }
        expect(ada, on_note("GET", first_note), NULL, 200, NOTE_OF("First", ""));
    }
    assert_int_equal(count_of("select count(*) from notes group by title having count(*) > 1"
                              " union all select 0 order by 1 desc limit 1"),
                     0);
    stop_in_good_health();
}

static void test_secret_changed_takes_the_tokens_of_the_old_one(void **state)
{
    (void)state;
    start("WORKERS=1", "LOG_LEVEL=info");
    server_kill(&server);
    server_start(&server, getenv("NOTES"),
                 ENVIRONMENT(database_setting, "AUTH_SECRET=the new secret, of 32 bytes or more",
                             "WORKERS=1", "AUTH_ARGON2_MEMORY=1M"));
    expect_problem(ada, "GET /notes", NULL, 401);
    server_kill(&server);
    server_start(&server, getenv("NOTES"),
                 ENVIRONMENT(database_setting, "AUTH_SECRET=the new secret, of 32 bytes or more",
                             "AUTH_SECRET_OLD=a secret of the tests, and of nothing else",
                             "WORKERS=1", "AUTH_ARGON2_MEMORY=1M"));
    expect(ada, on_note("GET", first_note), NULL, 200, NOTE_OF("First", ""));
    char fresh[TOKEN_BYTES_MAX];
    log_in(ADA, fresh); /* hashed at another cost */
    expect(fresh, on_note("GET", first_note), NULL, 200, NOTE_OF("First", ""));
    stop_in_good_health();
}

#define limits_test(name_) cmocka_unit_test_teardown(name_, server_teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        limits_test(test_page_too_large_is_503_and_smaller_ones_are_served),
        limits_test(test_database_that_does_not_answer_is_504_and_costs_only_who_asked),
        limits_test(test_workers_together_keep_to_one_number_of_connections),
        limits_test(test_logins_without_end_are_served_or_503),
        limits_test(test_clients_that_go_away_cost_nothing),
        limits_test(test_secret_changed_takes_the_tokens_of_the_old_one),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

int main(void)
{
    return run_with_database(run);
}
