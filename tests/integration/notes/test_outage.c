/* The database goes away under load, in good order and by a crash, or stands still, and comes back.
 * Until it does, who asks gets a 503 at once, or at its deadline a 504; afterwards the program
 * serves by itself. Nothing that was answered with success is lost, and nothing is done twice.
 *
 * The clients go in step: each round every one of them has a request under way, while the
 * database's stop or start runs beside them. */
#include "notes_test.h"

#include "tests/support/own_postgres.h"

#define CLIENTS      12
#define SEQUENCE_MAX 50000
#define ENOUGH       150

typedef struct client {
    peer p;
    int made;          /* notes asked for; each has a title of its own */
    int64_t last_id;   /* of the newest note that was answered 201, or 0 */
    int changes;       /* of its diary, a note whose body counts them */
    int changes_known; /* the last that was answered 200 */
    int64_t diary_id;
    int turn;
} client;

static client clients[CLIENTS];
static int64_t ids[CLIENTS][SEQUENCE_MAX]; /* of notes that were answered 201; 0: it was not */
static char token[TOKEN_BYTES_MAX];
static own_postgres postgres;
static bool frozen; /* then requests end with their deadline */
static unsigned long written, refused;

/* --- one client ------------------------------------------------------------------------------ */

typedef enum turn {
    TURN_HEALTH = 0,
    TURN_CREATE,
    TURN_SHOW,
    TURN_CREATE_AGAIN,
    TURN_LIST,
    TURN_CHANGE,
    TURN_USERS, /* refused, database or not */
    TURN_COUNT
} turn;

static void send_turn(client *c, int number)
{
    char request[128], body[128] = "";
    switch ((turn)(c->turn % TURN_COUNT)) {
    case TURN_HEALTH:
        (void)snprintf(request, sizeof request, "GET /health");
        break;
    case TURN_CREATE:
    case TURN_CREATE_AGAIN:
        assert_true(c->made + 1 < SEQUENCE_MAX);
        (void)snprintf(request, sizeof request, "POST /notes");
        (void)snprintf(body, sizeof body, "{\"title\":\"%d-%d\",\"body\":\"\"}", number, ++c->made);
        break;
    case TURN_SHOW:
        (void)snprintf(request, sizeof request, "GET /notes/%ld",
                       (long)(c->last_id ? c->last_id : c->diary_id));
        break;
    case TURN_LIST:
        (void)snprintf(request, sizeof request, "GET /notes?limit=5");
        break;
    case TURN_CHANGE:
        (void)snprintf(request, sizeof request, "PATCH /notes/%ld", (long)c->diary_id);
        (void)snprintf(body, sizeof body, "{\"body\":\"%d\"}", ++c->changes);
        break;
    case TURN_USERS:
        (void)snprintf(request, sizeof request, "GET /users");
        break;
    case TURN_COUNT:
        unreachable();
    }
    send_question(&c->p, &(question){ .token = token,
                                      .request = request,
                                      .type = body[0] ? "application/json" : NULL,
                                      .body = body[0] ? str_from_c(body) : STR_NONE });
}

static int64_t id_in(const answer *a)
{
    json note;
    arena memory;
    arena_init(&memory, 1 << 20);
    assert_ok(json_parse(&memory, a->body, &note));
    const json *id = json_find(&note, STR("id"));
    assert_non_null(id);
    const int64_t value = id->integer;
    arena_deinit(&memory);
    return value;
}

static void check_unavailable(const answer *a)
{
    assert_str_equal(answer_header(a, "content-type"), STR("application/problem+json"));
    assert_true(json_matches(
        a->body,
        a->status == 503
            ? "{'type':'about:blank','title':'Service Unavailable','status':503,'detail':'<text>'}"
            : "{'type':'about:blank','title':'Gateway Timeout','status':504,'detail':'<text>'}"));
    refused++;
}

static void read_turn(client *c, int number)
{
    static const int SUCCESS[TURN_COUNT] = { 200, 201, 200, 201, 200, 200, 403 };
    const int kind = c->turn++ % TURN_COUNT;
    answer a;
    peer_read(&c->p, false, &a);
    check_discreet("under load", &a);
    if ((a.status == 503 || (frozen && a.status == 504)) && kind != TURN_HEALTH &&
        kind != TURN_USERS) {
        check_unavailable(&a);
    } else {
        check_status("under load", &a, SUCCESS[kind]);
        if (kind == TURN_CREATE || kind == TURN_CREATE_AGAIN) {
            c->last_id = ids[number][c->made] = id_in(&a);
            written++;
        } else if (kind == TURN_CHANGE) {
            c->changes_known = c->changes;
            written++;
        }
    }
    assert_false(a.closes);
    answer_free(&a);
}

static void send_round(void)
{
    for (int i = 0; i < CLIENTS; i++)
        send_turn(&clients[i], i);
}

static void read_round(void)
{
    for (int i = 0; i < CLIENTS; i++)
        read_turn(&clients[i], i);
}

static void run_round(void)
{
    send_round();
    read_round();
}

static void run_until_more(const unsigned long *counter)
{
    const unsigned long enough = *counter + ENOUGH;
    for (const uint64_t end_ms = test_clock_ms() + PEER_WAIT_MS; *counter < enough;) {
        assert_true(test_clock_ms() < end_ms);
        run_round();
    }
}

/* --- the story ------------------------------------------------------------------------------- */

static void stop_clients(void)
{
    for (int i = 0; i < CLIENTS; i++)
        peer_close(&clients[i].p);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
}

static void start_clients(void)
{
    open_database();
    assert_ok(pg_execute(db, NULL, "truncate accounts, notes"));
    pg_pool_close(&db);
    memset(ids, 0, sizeof ids);
    sign_up(ADA, token);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (client){ .turn = i };
        char title[32];
        (void)snprintf(title, sizeof title, "diary %d", i);
        clients[i].diary_id = make_note(token, title, "0");
        peer_connect(&clients[i].p, server.port);
    }
}

static void run_during(const char *verb)
{
    own_postgres_begin(&postgres, verb);
    while (own_postgres_busy(&postgres))
        run_round();
    own_postgres_end(&postgres);
}

static void check_notes(void)
{
    pg_rows rows;
    assert_int_equal(count_of("select count(*) from notes group by title having count(*) > 1"
                              " union all select 0 order by 1 desc limit 1"),
                     0);
    assert_ok(pg_query(db, &rows, "select title, id from notes where title not like 'diary%'"));
    for (size_t i = 0; i < rows.count; i++) {
        str title;
        int64_t id, number, sequence;
        assert_ok(pg_get(&rows, i, 0, &title));
        assert_ok(pg_get(&rows, i, 1, &id));
        assert_true(str_to_int64(str_cut(&title, '-'), &number));
        assert_true(str_to_int64(title, &sequence));
        assert_true(ids[number][sequence] == 0 || ids[number][sequence] == id);
        ids[number][sequence] = 0;
    }
    for (int i = 0; i < CLIENTS; i++) {
        for (int k = 0; k <= clients[i].made; k++)
            assert_int_equal(ids[i][k], 0); /* else it was answered 201 and is lost */
    }
}

static void check_diaries(void)
{
    for (int i = 0; i < CLIENTS; i++) {
        pg_rows rows;
        str body;
        int64_t changes;
        assert_ok(pg_query(db, &rows, "select body from notes where id = $1", clients[i].diary_id));
        assert_ok(pg_get(&rows, 0, 0, &body));
        assert_true(str_to_int64(body, &changes));
        assert_in_range(changes, clients[i].changes_known, clients[i].changes);
    }
}

/* The server ends every connection of the program, again and again, while it works on requests. */
static void run_terminations(void)
{
    open_database();
    for (int i = 0; i < 20; i++) {
        send_round();
        assert_ok(pg_execute(db, NULL,
                             "select pg_terminate_backend(pid) from pg_stat_activity where "
                             "backend_type = 'client backend' and pid <> pg_backend_pid()"));
        read_round();
    }
    pg_pool_close(&db);
    run_until_more(&written);
}

static int setup(void **state)
{
    (void)state;
    own_postgres_do(&postgres, "start");
    set_database(postgres.url, "brio");
    open_database();
    /* What was committed is to survive a crash of the server, as it does anywhere. */
    assert_ok(pg_execute(db, NULL, "alter database brio set synchronous_commit = on"));
    pg_pool_close(&db);
    migrate();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    own_postgres_do(&postgres, "remove");
    return 0;
}

static void test_outage_under_load_refuses_then_recovers_and_loses_nothing(void **state)
{
    (void)state;
    serve_notes("WORKERS=2");
    start_clients();
    for (int round = 0; round < 2; round++) {
        run_until_more(&written);
        run_during(round == 0 ? "stop" : "kill");
        run_until_more(&refused);
        run_during("start");
        run_until_more(&written);
    }
    run_terminations();
    print_message("  %lu writes, %lu refusals\n", written, refused);
    open_database();
    check_notes();
    check_diaries();
    pg_pool_close(&db);
    stop_clients();
}

static void test_outage_at_the_start_serves_when_the_database_comes(void **state)
{
    (void)state;
    const char *body = "{'email':'" BOB "','password':'" PASSWORD "'}";
    own_postgres_do(&postgres, "stop");
    serve_notes("WORKERS=1");
    expect(NULL, "GET /health", NULL, 200, "{'status':'ok'}");
    refuse(NULL, "POST /login", body, 503);
    refuse(NULL, "POST /register", body, 503);
    own_postgres_do(&postgres, "start");
    for (const uint64_t end_ms = test_clock_ms() + PEER_WAIT_MS;;) {
        answer a;
        assert_true(test_clock_ms() < end_ms);
        ask(NULL, "POST /register", body, &a);
        const int status = a.status;
        answer_free(&a);
        if (status == 201)
            break;
        assert_int_equal(status, 503);
        test_pause_ms(5);
    }
}

/* --- a database that stands still ------------------------------------------------------------- */

/* One line of a file that the directory of the database names. */
static void read_line(const char *path, char *line, size_t bytes)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, (int)bytes, file));
    assert_int_equal(fclose(file), 0);
    line[strcspn(line, "\n")] = '\0';
}

/* Tells all processes of the database. */
static void signal_database(int signo)
{
    char path[256], home[128], line[4096];
    (void)snprintf(path, sizeof path, "%s/home", postgres.dir);
    read_line(path, home, sizeof home);
    (void)snprintf(path, sizeof path, "%s/data/postmaster.pid", home);
    read_line(path, line, sizeof line);
    const pid_t postmaster = (pid_t)strtol(line, NULL, 10);
    assert_int_equal(kill(postmaster, signo), 0); /* first: it makes no more of them */
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)postmaster,
                   (int)postmaster);
    read_line(path, line, sizeof line);
    str rest = str_from_c(line);
    while (rest.len > 0) {
        int64_t pid;
        if (str_to_int64(str_cut(&rest, ' '), &pid))
            (void)kill((pid_t)pid, signo); /* it may just have ended */
    }
}

/* Also when the test has failed: who stands still cannot be stopped. */
static int thaw(void **state)
{
    signal_database(SIGCONT);
    return server_teardown(state);
}

static void test_outage_of_a_frozen_database_meets_the_deadline_and_loses_nothing(void **state)
{
    (void)state;
    serve_notes("WORKERS=2", "HTTP_HANDLER_TIMEOUT=1s", "PG_CONNECT_TIMEOUT=2s");
    start_clients();
    run_until_more(&written);
    frozen = true;
    signal_database(SIGSTOP);
    for (int i = 0; i < 4; i++)
        run_round();
    signal_database(SIGCONT);
    run_until_more(&written);
    open_database();
    check_notes();
    pg_pool_close(&db);
    stop_clients();
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_outage_under_load_refuses_then_recovers_and_loses_nothing,
                                  server_teardown),
        cmocka_unit_test_teardown(
            test_outage_of_a_frozen_database_meets_the_deadline_and_loses_nothing, thaw),
        cmocka_unit_test_teardown(test_outage_at_the_start_serves_when_the_database_comes,
                                  server_teardown),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

int main(void)
{
    if (!getenv("BRIO_TEST_PG")) {
        (void)fprintf(stderr, "skipped: BRIO_TEST_PG is not set\n");
        return EXIT_SKIPPED;
    }
    return run_in_fiber(run);
}
