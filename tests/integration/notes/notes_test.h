/* What the tests of notes share: the program, on a database of its own; requests with JSON; and
 * what must be true of every answer. In JSON that stands in a test, ' is ". */
#ifndef TESTS_INTEGRATION_NOTES_TEST_H
#define TESTS_INTEGRATION_NOTES_TEST_H

#include "tests/support/database.h"
#include "tests/support/http_test.h"
#include "tests/support/json_match.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define SECRET_SETTING  "AUTH_SECRET=a secret of the tests, and of nothing else"
#define SECRET          (&SECRET_SETTING[12])
#define PASSWORD        "correct horse battery"
#define ADA             "ada@example.com"
#define BOB             "bob@example.com"
#define TOKEN_BYTES_MAX 1024

#define ACCOUNT_OF(email_) \
    "{'id':'<integer>','email':'" email_ "','role':'member','created_at':'<time>'}"
#define NOTE_OF(title_, body_) \
    "{'id':'<integer>','title':'" title_ "','body':'" body_ "','created_at':'<time>'}"

/* Waits for a condition that is sure to come, while the test's own connections are served. */
#define await(condition_)                                                           \
    for (const uint64_t end_ms_ = test_clock_ms() + PEER_WAIT_MS; !(condition_);) { \
        assert_true(test_clock_ms() < end_ms_);                                     \
        assert_ok(fiber_sleep(5));                                                  \
    }

/* --- the database ---------------------------------------------------------------------------- */

static pg_pool *db; /* the test's own look at what the program stores */
static char database_name[64];
static char database_setting[1024]; /* "DATABASE_URL=…", for the program */

/* `url` with another database's name in it. */
static void set_database(const char *url, const char *name)
{
    const char *authority = strstr(url, "//");
    assert_non_null(authority);
    const char *path = strchr(authority + 2, '/');
    assert_non_null(path);
    (void)snprintf(database_setting, sizeof database_setting, "DATABASE_URL=%.*s/%s%s",
                   (int)(path - url), url, name, path + strcspn(path, "?"));
    (void)snprintf(database_name, sizeof database_name, "%s", name);
}

/* Connects at once: the test's loop stands still while it waits for the program. */
static void open_database(void)
{
    assert_ok(
        pg_pool_open(&(pg_pool_options){ .conninfo = str_from_c(strchr(database_setting, '=') + 1),
                                         .connections_max = 1 },
                     &db));
    assert_ok(pg_execute(db, NULL, "select 1"));
}

static void administer(const char *verb, const char *rest)
{
    pg_pool *server_pool;
    assert_ok(pg_pool_open(NULL, &server_pool));
    assert_ok(
        pg_execute(server_pool, NULL,
                   str_format(fiber_arena(), "%s database %s %s", verb, database_name, rest)));
    pg_pool_close(&server_pool);
}

/* Runs `notes ARGUMENT…`; returns its status and, in `log`, what it printed. */
#define NOTES(...) ((const char *const[]){ getenv("NOTES"), __VA_ARGS__, NULL })
UNUSED static int run_notes(const char *const *arguments, const char *const *environment, char *log,
                            size_t bytes)
{
    server_process s;
    program_launch(&s, arguments, environment);
    return program_end(&s, log, bytes);
}

UNUSED static void migrate(void)
{
    char log[4096];
    const int status =
        run_notes(NOTES("migrate", "up"), ENVIRONMENT(database_setting), log, sizeof log);
    if (status != 0)
        print_error("migrate up: status %d\n%s\n", status, log);
    assert_int_equal(status, 0);
}

/* A database of this process, without tables; opens `db`. */
UNUSED static void database_create(void)
{
    char name[64];
    (void)snprintf(name, sizeof name, "notes_%d", (int)getpid());
    set_database(getenv("DATABASE_URL"), name);
    administer("create", "");
    open_database();
}

UNUSED static void database_drop(void)
{
    pg_pool_close(&db);
    administer("drop", "with (force)");
}

UNUSED static int64_t count_of(const char *sql)
{
    pg_rows rows;
    int64_t count;
    assert_ok(pg_query(db, &rows, sql));
    assert_ok(pg_get(&rows, 0, 0, &count));
    return count;
}

/* Everything stored, as one short text: the same exactly when nothing has changed. */
UNUSED static str stored(void)
{
    pg_rows rows;
    str digest;
    assert_ok(pg_query(db, &rows,
                       "select md5(coalesce((select string_agg(a::text, '|' order by id)"
                       " from accounts a), '') || '/' || coalesce("
                       "(select string_agg(n::text, '|' order by id) from notes n), ''))"));
    assert_ok(pg_get(&rows, 0, 0, &digest));
    return digest;
}

/* --- the program ----------------------------------------------------------------------------- */

/* Starts it with more of an environment than every test has. */
#define serve_notes(...)                                                                \
    server_start(&server, getenv("NOTES"),                                              \
                 ENVIRONMENT(database_setting, SECRET_SETTING, "AUTH_ARGON2_MEMORY=1M", \
                             "AUTH_ARGON2_PASSES=1", __VA_ARGS__))

/* A group on one server: `db` is open, the schema is there. */
UNUSED static int notes_setup(void **state)
{
    (void)state;
    database_create();
    migrate();
    serve_notes("WORKERS=2", "LOG_LEVEL=debug");
    return 0;
}

UNUSED static int notes_teardown(void **state)
{
    server_teardown(state);
    database_drop();
    return 0;
}

/* --- asking ---------------------------------------------------------------------------------- */

/* Nothing of the inside may show: no column that is hidden, no SQL, no word of the server's, no
 * source file. */
static void check_discreet(const char *what, const answer *a)
{
    static const char *const INSIDE[] = {
        "password_hash", "account_id", "argon2", PASSWORD,   SECRET,      "sqlstate", "violates",
        "constraint",    "relation",   "select", "insert ",  "delete ",   "syntax",   "postgres",
        "notes_",        "accounts_",  "byte s", "encoding", "migration", ".c:",      "/work",
        "/tmp",          "PG_",        "ORM_",   "invariant"
    };
    for (size_t i = 0; a->bytes && i < ARRAY_LEN(INSIDE); i++) {
        if (!strcasestr(a->bytes, INSIDE[i]))
            continue;
        print_error("%s: the answer says \"%s\": %s\n", what, INSIDE[i], a->bytes);
        fail();
    }
}

/* What a request is made of; NULL leaves a part out. */
typedef struct question {
    const char *token;
    const char *request; /* "POST /notes" */
    const char *type;    /* of the body */
    const char *header;  /* one more, whole */
    str body;
} question;

static void send_question(peer *p, const question *q)
{
    buf out;
    buf_init(&out, (size_t)8 << 20);
    buf_append_format(&out, "%s HTTP/1.1\r\nHost: localhost\r\n", q->request);
    if (q->token)
        buf_append_format(&out, "Authorization: Bearer %s\r\n", q->token);
    if (q->type)
        buf_append_format(&out, "Content-Type: %s\r\n", q->type);
    if (q->header)
        buf_append_format(&out, "%s\r\n", q->header);
    if (q->body.ptr)
        buf_append_format(&out, "Content-Length: %zu\r\n", q->body.len);
    buf_append(&out, STR("\r\n"));
    if (q->body.ptr)
        buf_append(&out, q->body);
    assert_ok(buf_status(&out));
    peer_send(p, buf_str(&out));
    buf_deinit(&out);
}

static void ask_question(const question *q, answer *out)
{
    peer p;
    peer_connect(&p, server.port);
    send_question(&p, q);
    peer_read(&p, strncmp(q->request, "HEAD ", 5) == 0, out);
    peer_close(&p);
    check_discreet(q->request, out);
}

/* A JSON body, or none. */
UNUSED static void ask(const char *token, const char *request, const char *body, answer *out)
{
    ask_question(&(question){ .token = token,
                              .request = request,
                              .type = body ? "application/json" : NULL,
                              .body = body ? json_unquote(fiber_arena(), body) : STR_NONE },
                 out);
}

/* --- answers --------------------------------------------------------------------------------- */

static void check_body(const char *what, answer *a, int status, const char *type,
                       const char *pattern)
{
    check_status(what, a, status);
    if (pattern && !json_matches(a->body, pattern)) {
        print_error("%s: answered %.*s instead of %s\n", what, STR_ARG(a->body), pattern);
        fail();
    }
    assert_str_equal(answer_header(a, "content-type"), pattern ? str_from_c(type) : STR_NONE);
}

/* Asks, and wants this status and a JSON body of this pattern; NULL: no body. */
UNUSED static void expect(const char *token, const char *request, const char *body, int status,
                          const char *pattern)
{
    answer a;
    ask(token, request, body, &a);
    check_body(request, &a, status, "application/json", pattern);
    answer_free(&a);
}

/* An answer with a problem: its status in the body too, and `detail`; NULL: any. */
UNUSED static void check_problem(const char *what, answer *a, int status, const char *detail)
{
    json body;
    check_status(what, a, status);
    assert_str_equal(answer_header(a, "content-type"), STR("application/problem+json"));
    assert_ok(json_parse(fiber_arena(), a->body, &body));
    assert_int_equal(body.type, JSON_OBJECT);
    assert_str_equal(json_find(&body, STR("type"))->string, STR("about:blank"));
    assert_int_equal(json_find(&body, STR("status"))->integer, status);
    assert_int_equal(json_find(&body, STR("title"))->type, JSON_STRING);
    const json *said = json_find(&body, STR("detail"));
    assert_true(said && said->type == JSON_STRING);
    if (detail && !str_eq(said->string, str_from_c(detail))) {
        print_error("%s: \"%.*s\" instead of \"%s\"\n", what, STR_ARG(said->string), detail);
        fail();
    }
    assert_int_equal(body.object.count, status == 422 ? 5 : 4);
}

UNUSED static void refuse(const char *token, const char *request, const char *body, int status)
{
    answer a;
    ask(token, request, body, &a);
    check_problem(request, &a, status, NULL);
    answer_free(&a);
}

/* --- accounts and notes ---------------------------------------------------------------------- */

/* The member of an answer's body. */
static const json *member_of(const answer *a, const char *name)
{
    json *body = ARENA_NEW(fiber_arena(), json);
    assert_ok(json_parse(fiber_arena(), a->body, body));
    const json *found = json_find(body, str_from_c(name));
    assert_non_null(found);
    return found;
}

UNUSED static void log_in(const char *email, char token[TOKEN_BYTES_MAX])
{
    char body[1024];
    answer a;
    (void)snprintf(body, sizeof body, "{'email':'%s','password':'" PASSWORD "'}", email);
    ask(NULL, "POST /login", body, &a);
    check_body("POST /login", &a, 200, "application/json", "{'token':'<text>'}");
    const str text = member_of(&a, "token")->string;
    (void)snprintf(token, TOKEN_BYTES_MAX, "%.*s", STR_ARG(text));
    answer_free(&a);
}

UNUSED static void sign_up(const char *email, char token[TOKEN_BYTES_MAX])
{
    char body[1024];
    (void)snprintf(body, sizeof body, "{'email':'%s','password':'" PASSWORD "'}", email);
    answer a;
    ask(NULL, "POST /register", body, &a);
    check_status("POST /register", &a, 201);
    answer_free(&a);
    log_in(email, token);
}

UNUSED static void make_admin(const char *email, char token[TOKEN_BYTES_MAX])
{
    uint64_t changed;
    assert_ok(pg_execute(db, &changed, "update accounts set role = 'admin' where email = $1",
                         str_from_c(email)));
    assert_int_equal(changed, 1);
    log_in(email, token);
}

UNUSED static int64_t make_note(const char *token, const char *title, const char *body)
{
    char text[1024];
    answer a;
    (void)snprintf(text, sizeof text, "{'title':'%s','body':'%s'}", title, body);
    ask(token, "POST /notes", text, &a);
    check_status("POST /notes", &a, 201);
    const int64_t id = member_of(&a, "id")->integer;
    answer_free(&a);
    return id;
}

/* "GET /notes/7" */
UNUSED static const char *on_note(const char *method, int64_t id)
{
    return str_to_c(fiber_arena(), str_format(fiber_arena(), "%s /notes/%ld", method, (long)id));
}

/* A JWT of these parts, signed as the program would with `secret`. */
UNUSED static const char *make_token(const char *secret, const char *header, const char *payload)
{
    arena *a = fiber_arena();
    uint8_t mac[32];
    unsigned mac_bytes = 0;
    const str parts[] = { json_unquote(a, header), json_unquote(a, payload) };
    const str first = base64url_encode(a, (bytea){ (const uint8_t *)parts[0].ptr, parts[0].len });
    const str second = base64url_encode(a, (bytea){ (const uint8_t *)parts[1].ptr, parts[1].len });
    const str body = str_format(a, "%.*s.%.*s", STR_ARG(first), STR_ARG(second));
    assert_non_null(HMAC(EVP_sha256(), secret, (int)strlen(secret), (const uint8_t *)body.ptr,
                         body.len, mac, &mac_bytes));
    const str signature = base64url_encode(a, (bytea){ mac, mac_bytes });
    return str_to_c(a, str_format(a, "%.*s.%.*s", STR_ARG(body), STR_ARG(signature)));
}

#endif
