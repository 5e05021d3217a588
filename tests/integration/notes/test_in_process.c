/* apps/notes in the test's own process, on a database of its own: its loop serves PostgreSQL while
 * the clock stands still, so a token's life is tested to the second. */
#include "apps/notes/notes.h"
#include "http/test.h"
#include "tests/support/database.h"
#include "tests/support/json_match.h"

#include <unistd.h>

#define STARTS_AT_S 1900000000
#define CREDENTIALS "{'email':'ada@example.com','password':'correct horse battery'}"
#define JSON_TYPE   "Content-Type: application/json\r\n"

static http_test *t;
static char name[64], url[1024];
static char create[] = "create", drop[] = "drop";
static arena scratch;

/* --- the database ---------------------------------------------------------------------------- */

static error administer(void *arg)
{
    pg_pool *server;
    TRY(pg_pool_open(NULL, &server));
    const error e = pg_execute(server, NULL,
                               str_format(fiber_arena(), "%s database %s %s", (const char *)arg,
                                          name, arg == drop ? "with (force)" : ""));
    pg_pool_close(&server);
    return e;
}

static int setup_database(void **state)
{
    (void)state;
    const char *given = getenv("DATABASE_URL");
    const char *path = strchr(strstr(given, "//") + 2, '/');
    (void)snprintf(name, sizeof name, "notes_in_process_%d", (int)getpid());
    (void)snprintf(url, sizeof url, "%.*s/%s%s", (int)(path - given), given, name,
                   path + strcspn(path, "?"));
    assert_ok(loop_run_fiber(administer, create));
    char *before = strdup(given);
    assert_int_equal(setenv("DATABASE_URL", url, 1), 0);
    char up[] = "up";
    char *arguments[] = { up, NULL };
    const command *migrate = &notes_app.commands[0];
    assert_ok(migrate->run(migrate, 1, arguments));
    assert_int_equal(setenv("DATABASE_URL", before, 1), 0);
    free(before);
    return 0;
}

static int teardown_database(void **state)
{
    (void)state;
    assert_ok(loop_run_fiber(administer, drop));
    return 0;
}

static int setup(void **state)
{
    (void)state;
    const http_test_options options = {
        .starts_at_s = STARTS_AT_S,
        .settings = { { "DATABASE_URL", url },
                      { "AUTH_SECRET", "a secret of the tests, and of nothing else" },
                      { "AUTH_TOKEN_LIFETIME", "1h" },
                      { "AUTH_ARGON2_MEMORY", "1M" },
                      { "AUTH_ARGON2_PASSES", "1" } },
    };
    arena_init(&scratch, (size_t)16 << 20);
    assert_ok(http_test_open(&notes_app, &options, &t));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_ok(http_test_close(&t));
    arena_deinit(&scratch);
    return 0;
}

/* --- asking ---------------------------------------------------------------------------------- */

static str bearer(str token)
{
    return str_format(&scratch, "%sAuthorization: Bearer %.*s\r\n", JSON_TYPE, STR_ARG(token));
}

/* `token` empty: none; `body` NULL: none, else JSON with ' for ". */
static http_test_reply ask(str token, const char *method, const char *target, const char *body)
{
    return http_test_send(t, method, target, token.len ? bearer(token) : STR(JSON_TYPE),
                          body ? json_unquote(&scratch, body) : STR_NONE);
}

static void expect(http_test_reply r, int status, const char *pattern)
{
    const bool good = r.status == status && r.whole && (!pattern || json_matches(r.body, pattern));
    if (!good)
        print_error("%d instead: %.*s\n", r.status, STR_ARG(r.body));
    assert_true(good);
}

/* As json_matches has found it to be: {"token":"…"}. */
static str token_in(http_test_reply r)
{
    expect(r, 200, "{'token':'<text>'}");
    return str_slice(r.body, 10, r.body.len - 12);
}

/* --- the tests ------------------------------------------------------------------------------- */

static void test_notes_account_and_its_notes(void **state)
{
    (void)state;
    expect(ask(STR(""), "POST", "/register", CREDENTIALS), 201, NULL);
    expect(ask(STR(""), "POST", "/register", CREDENTIALS), 409, NULL);
    const str ada = token_in(ask(STR(""), "POST", "/login", CREDENTIALS));
    expect(ask(STR(""), "GET", "/notes", NULL), 401, NULL);
    expect(ask(ada, "GET", "/notes", NULL), 200, "{'items':[],'next':null}");
    expect(ask(ada, "POST", "/notes", "{'title':'First','body':'Hello'}"), 201, NULL);
    expect(ask(ada, "POST", "/notes", "{'title':'','body':7}"), 422, NULL);
    expect(ask(ada, "GET", "/notes", NULL), 200,
           "{'items':[{'id':'<integer>','title':'First','body':'Hello','created_at':'<time>'}],"
           "'next':null}");
    expect(ask(ada, "GET", "/users", NULL), 403, NULL);
}

/* The orm names its statements: /metrics has them. */
static void test_notes_statements_are_counted_by_name(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "\npg_statement_duration_seconds_count{statement=\"accounts.find\"} 1\n",
        "\npg_statement_duration_seconds_count{statement=\"notes.insert\"} 1\n",
        "\npg_statement_duration_seconds_count{statement=\"notes.page\"} 2\n",
        "\npg_statement_rows_total{statement=\"notes.insert\"} 1\n",
    };
    (void)ask(STR(""), "POST", "/register", CREDENTIALS);
    const str ada = token_in(ask(STR(""), "POST", "/login", CREDENTIALS));
    expect(ask(ada, "POST", "/notes", "{'title':'Counted','body':''}"), 201, NULL);
    expect(ask(ada, "GET", "/notes?limit=1", NULL), 200, NULL);
    expect(ask(ada, "GET", "/notes?limit=1", NULL), 200, NULL);
    const http_test_reply r = http_test_get(t, "/metrics");
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (!memmem(r.body.ptr, r.body.len, lines[i], strlen(lines[i])))
            fail_msg("no %s in %.*s", lines[i], STR_ARG(r.body));
    }
}

static void test_notes_token_is_good_to_the_second(void **state)
{
    (void)state;
    const str ada = token_in(ask(STR(""), "POST", "/login", CREDENTIALS));
    http_test_advance(t, 3600 * 1000 + 29 * 1000); /* its life, and what clocks may be apart */
    expect(ask(ada, "GET", "/notes", NULL), 200, NULL);
    http_test_advance(t, 1000);
    expect(ask(ada, "GET", "/notes", NULL), 401, NULL);
    const str next = token_in(ask(STR(""), "POST", "/login", CREDENTIALS));
    expect(ask(next, "GET", "/notes", NULL), 200, NULL);
}

static void test_notes_requests_at_once_share_the_pool(void **state)
{
    (void)state;
    enum {
        COUNT = 40
    };
    http_test_conn *conns[COUNT];
    const str ada = token_in(ask(STR(""), "POST", "/login", CREDENTIALS));
    for (int i = 0; i < COUNT; i++) {
        conns[i] = http_test_connect(t);
        assert_non_null(conns[i]);
        http_test_request(conns[i], "GET", "/notes", bearer(ada), STR_NONE);
    }
    for (int i = COUNT; i-- > 0;) {
        expect(http_test_read(conns[i]), 200, NULL);
        http_test_disconnect(&conns[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_notes_account_and_its_notes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_notes_statements_are_counted_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_notes_token_is_good_to_the_second, setup, teardown),
        cmocka_unit_test_setup_teardown(test_notes_requests_at_once_share_the_pool, setup,
                                        teardown),
    };
    if (!getenv("DATABASE_URL")) {
        (void)fprintf(stderr, "skipped: DATABASE_URL is not set\n");
        return EXIT_SKIPPED;
    }
    return cmocka_run_group_tests(tests, setup_database, teardown_database);
}
