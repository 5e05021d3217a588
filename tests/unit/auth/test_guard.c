/* Guards over a real server and real sockets: what comes without a token, with a bad one, with one
 * that is not enough, and with a good one; and what a program says that was not configured. */
#include "claims.h"

#include "auth/auth.h"
#include "http/http.h"
#include "tests/support/in_fiber.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECRET        "0123456789abcdef0123456789abcdef"
#define OTHER_SECRET  "fedcba9876543210fedcba9876543210"
#define WAIT_MS       20000 /* far longer than anything takes */
#define LOG_BYTES_MAX 65536

/* --- the program under test ------------------------------------------------------------------- */

#define WHO_FIELDS(F) \
    F(id, int8)       \
    F(role, text)
SHAPE(who, WHO_FIELDS)

#define TOKEN_FIELDS(F) F(token, text)
SHAPE(token_reply, TOKEN_FIELDS)

static error show_user(http_request *req)
{
    const auth_identity *user = auth_user(req);
    return http_reply(req, 200, who, (&(who){ user->id, user->role }));
}

static error give_token(http_request *req)
{
    token_reply out = { auth_issue(http_path_int8(req, "id"), http_path_text(req, "role")) };
    return http_reply(req, 200, token_reply, &out);
}

static error check_password(http_request *req)
{
    TRY(auth_verify_password(http_path_text(req, "password"), STR_NONE));
    return http_reply_empty(req, 204);
}

static error require_admin(http_request *req)
{
    return auth_require_role(req, STR("admin"));
}

/* One guard after another: the token is read once, and challenged once. */
static error require_both(http_request *req)
{
    TRY(auth_required(req));
    return auth_require_role(req, STR("admin"));
}

static const http_route ROUTES[] = {
    { HTTP_GET, "/me", show_user, auth_required },
    { HTTP_GET, "/admin", show_user, require_admin },
    { HTTP_GET, "/both", show_user, require_both },
    { HTTP_GET, "/unguarded", show_user, http_public },
    { HTTP_GET, "/token/:id<int8>/:role", give_token, http_public },
    { HTTP_GET, "/password/:password", check_password, http_public },
};

/* --- starting and asking it ------------------------------------------------------------------- */

typedef struct program {
    pid_t pid; /* 0: none */
    int log_fd;
    uint16_t port;
    char log[LOG_BYTES_MAX];
    size_t log_len;
} program;

static program server;

static void run_program(const config_entry *settings, int log_fd)
{
    char name[] = "guarded";
    char *argv[] = { name, NULL };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(log_fd, STDERR_FILENO);
    exit(http_main(
        1, argv,
        &(http_app){ .name = name, .routes = HTTP_ROUTES(ROUTES), .settings = { settings } }));
}

/* Takes what the program has to say; false at the end. */
static bool read_log(void)
{
    struct pollfd p = { .fd = server.log_fd, .events = POLLIN };
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    const size_t room = sizeof server.log - 1 - server.log_len;
    assert_true(room > 0);
    const ssize_t n = read(server.log_fd, server.log + server.log_len, room);
    assert_true(n >= 0);
    server.log_len += (size_t)n;
    server.log[server.log_len] = '\0';
    return n > 0;
}

static void start(const config_entry *settings)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    server = (program){ .log_fd = ends[0] };
    server.pid = fork();
    assert_true(server.pid >= 0);
    if (server.pid == 0)
        run_program(settings, ends[1]);
    close(ends[1]);
}

static void serve(const config_entry *settings)
{
    static const char BEFORE_PORT[] = "127.0.0.1:";
    start(settings);
    const char *at = NULL;
    while (!at || !strchr(at, '\n')) {
        if (!read_log())
            fail_msg("the program ended: %s", server.log);
        at = strstr(server.log, BEFORE_PORT);
    }
    server.port = (uint16_t)strtoul(at + sizeof BEFORE_PORT - 1, NULL, 10);
}

static int wait_for_end(void)
{
    int status = 0;
    while (read_log()) {
    }
    assert_int_equal(waitpid(server.pid, &status, 0), server.pid);
    close(server.log_fd);
    server.pid = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void stop(void)
{
    kill(server.pid, SIGTERM);
    const int status = wait_for_end();
    if (status != 0)
        fail_msg("exit status %d: %s", status, server.log);
}

/* One request on a connection of its own; the whole answer, NUL-terminated. */
static const char *ask(const char *path, const char *fields)
{
    static char answer[16384];
    char request[16384];
    const int len =
        snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", path, fields);
    assert_true(len > 0 && (size_t)len < sizeof request);
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons(server.port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval wait = { .tv_sec = WAIT_MS / 1000 };
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, request, (size_t)len, MSG_NOSIGNAL), len);
    size_t got = 0;
    ssize_t n;
    while ((n = recv(fd, answer + got, sizeof answer - 1 - got, 0)) > 0)
        got += (size_t)n;
    assert_int_equal(n, 0);
    answer[got] = '\0';
    close(fd);
    return answer;
}

static const char *ask_with(const char *path, str token)
{
    char fields[12288];
    (void)snprintf(fields, sizeof fields, "Authorization: Bearer %.*s\r\n", STR_ARG(token));
    return ask(path, fields);
}

static int status_of(const char *answer)
{
    assert_int_equal(strncmp(answer, "HTTP/1.1 ", 9), 0);
    return (int)strtol(answer + 9, NULL, 10);
}

/* Checks status and challenge; NULL: there is none. */
static void check_at(const char *answer, int status, const char *wanted, int line)
{
    char field[256];
    const char *found = strstr(answer, "\r\nWWW-Authenticate: ");
    (void)snprintf(field, sizeof field, "\r\nWWW-Authenticate: %s\r\n", wanted ? wanted : "");
    const bool good = wanted ? found && strncmp(found, field, strlen(field)) == 0 &&
                                   !strstr(found + 2, "\r\nWWW-Authenticate: ")
                             : !found;
    if (status_of(answer) == status && good)
        return;
    print_error("wanted %d and %s, got: %s\nlog: %s\n", status, wanted ? wanted : "no challenge",
                answer, server.log);
    _fail(__FILE__, line);
}
#define check(answer_, status_, wanted_) check_at((answer_), (status_), (wanted_), __LINE__)

/* A token of any key, from `age_s` ago, good for an hour. */
static str token_of(const char *secret, int64_t age_s, const auth_identity *user)
{
    static char text[1024];
    arena a;
    str token;
    arena_init(&a, 1 << 20);
    auth_policy policy = { .lifetime_s = 3600 };
    assert_ok(auth_mac_new(str_from_c(secret), &policy.keys.current));
    const int64_t now_s = timestamptz_to_unix(timestamptz_now());
    assert_ok(auth_token_make(&a, &policy, user, now_s - age_s, &token));
    assert_true(token.len < sizeof text);
    memcpy(text, token.ptr, token.len);
    auth_mac_free(&policy.keys.current);
    arena_deinit(&a);
    return (str){ text, token.len };
}

static const auth_identity MEMBER = { 7, { "member", 6 } };
static const auth_identity ADMIN = { 1, { "admin", 5 } };

#define REALM        "Bearer realm=\"api\""
#define INVALID      REALM ", error=\"invalid_token\""
#define EXPIRED      INVALID ", error_description=\"The token has expired\""
#define INSUFFICIENT REALM ", error=\"insufficient_scope\""

static int setup(void **state)
{
    (void)state;
    setenv("AUTH_SECRET", SECRET, 1);
    unsetenv("AUTH_SECRET_OLD");
    serve(AUTH_SETTINGS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (server.pid == 0)
        return 0;
    kill(server.pid, SIGKILL);
    waitpid(server.pid, NULL, 0);
    close(server.log_fd);
    server.pid = 0;
    return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_guard_without_token_answers_401(void **state)
{
    (void)state;
    static const char *const FIELDS[] = {
        "",
        "Authorization:\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer    \r\n",
        "Authorization: Basic YTpi\r\n",
        "Authorization: Bearerx a.b.c\r\n",
        "Authorization: a.b.c\r\n",
        "X-Authorization: Bearer a.b.c\r\n",
        "Cookie: token=a.b.c\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++)
        check(ask("/me", FIELDS[i]), 401, REALM);
    check(ask("/admin", ""), 401, REALM);
    check(ask("/me?access_token=a.b.c", ""), 401, REALM);
    assert_non_null(strstr(ask("/me", ""), "application/problem+json"));
    stop();
}

static void test_guard_with_bad_token_answers_401_invalid_token(void **state)
{
    (void)state;
    check(ask_with("/me", STR("a.b.c")), 401, INVALID);
    check(ask_with("/me", STR("a b c")), 401, INVALID);
    check(ask_with("/me", STR("\xff\xfe")), 401, INVALID);
    check(ask_with("/me", token_of(OTHER_SECRET, 0, &MEMBER)), 401, INVALID);
    check(ask_with("/me", token_of(SECRET, -3600, &MEMBER)), 401, INVALID);
    check(ask_with("/me", token_of(SECRET, 7200, &MEMBER)), 401, EXPIRED);
    check(ask_with("/admin", token_of(SECRET, 7200, &ADMIN)), 401, EXPIRED);
    static char huge[9000];
    memset(huge, 'a', sizeof huge);
    check(ask_with("/me", (str){ huge, sizeof huge }), 401, INVALID);
    char two[2048];
    const str token = token_of(SECRET, 0, &MEMBER);
    (void)snprintf(two, sizeof two, "%.*s %.*s", STR_ARG(token), STR_ARG(token));
    check(ask_with("/me", str_from_c(two)), 401, INVALID);
    stop();
}

static void test_guard_with_good_token_lets_in(void **state)
{
    (void)state;
    const char *answer = ask_with("/me", token_of(SECRET, 0, &MEMBER));
    check(answer, 200, NULL);
    assert_non_null(strstr(answer, "\r\n\r\n{\"id\":7,\"role\":\"member\"}"));
    char fields[1024];
    (void)snprintf(fields, sizeof fields, "authorization: bEaReR   %.*s  \r\n",
                   STR_ARG(token_of(SECRET, 0, &MEMBER)));
    check(ask("/me", fields), 200, NULL);
    check(ask_with("/both", token_of(SECRET, 0, &ADMIN)), 200, NULL);
    check(ask("/health", ""), 200, NULL);
    stop();
}

static void test_guard_of_role_answers_403_to_others(void **state)
{
    (void)state;
    check(ask_with("/admin", token_of(SECRET, 0, &MEMBER)), 403, INSUFFICIENT);
    check(ask_with("/both", token_of(SECRET, 0, &MEMBER)), 403, INSUFFICIENT);
    static const char *const NEAR[] = { "Admin", "admin ", "admi", "admins" };
    for (size_t i = 0; i < ARRAY_LEN(NEAR); i++) {
        const auth_identity user = { 1, str_from_c(NEAR[i]) };
        check(ask_with("/admin", token_of(SECRET, 0, &user)), 403, INSUFFICIENT);
    }
    const char *answer = ask_with("/admin", token_of(SECRET, 0, &ADMIN));
    check(answer, 200, NULL);
    assert_non_null(strstr(answer, "{\"id\":1,\"role\":\"admin\"}"));
    stop();
}

static void test_token_issued_by_server_is_taken_by_it(void **state)
{
    (void)state;
    const char *answer = ask("/token/-12/member", "");
    check(answer, 200, NULL);
    const char *at = strstr(answer, "{\"token\":\"");
    assert_non_null(at);
    char token[1024];
    (void)snprintf(token, sizeof token, "%.*s", (int)strcspn(at + 10, "\""), at + 10);
    answer = ask_with("/me", str_from_c(token));
    check(answer, 200, NULL);
    assert_non_null(strstr(answer, "{\"id\":-12,\"role\":\"member\"}"));
    stop();
}

static void test_wrong_credentials_answer_401(void **state)
{
    (void)state;
    const char *answer = ask("/password/secret", "");
    assert_int_equal(status_of(answer), 401);
    assert_non_null(strstr(answer, "The account does not exist or the password is wrong."));
    assert_null(strstr(answer, "hash"));
    stop();
}

/* A handler that asks for a user on a route that lets in anybody is a programmer's error: it costs
 * its request, and nobody is taken for somebody. */
static void test_user_on_unguarded_route_is_a_fault(void **state)
{
    (void)state;
    assert_int_equal(status_of(ask_with("/unguarded", token_of(SECRET, 0, &ADMIN))), 500);
    check(ask_with("/me", token_of(SECRET, 0, &MEMBER)), 200, NULL);
}

static void test_old_secret_verifies_and_does_not_sign(void **state)
{
    (void)state;
    teardown(NULL);
    setenv("AUTH_SECRET", OTHER_SECRET, 1);
    setenv("AUTH_SECRET_OLD", SECRET, 1);
    serve(AUTH_SETTINGS);
    check(ask_with("/me", token_of(SECRET, 0, &MEMBER)), 200, NULL);
    check(ask_with("/me", token_of(OTHER_SECRET, 0, &MEMBER)), 200, NULL);
    char token[1024];
    const char *at = strstr(ask("/token/7/member", ""), "{\"token\":\"");
    assert_non_null(at);
    (void)snprintf(token, sizeof token, "%.*s", (int)strcspn(at + 10, "\""), at + 10);
    stop();
    unsetenv("AUTH_SECRET_OLD");
    serve(AUTH_SETTINGS);
    check(ask_with("/me", str_from_c(token)), 200, NULL);
    check(ask_with("/me", token_of(SECRET, 0, &MEMBER)), 401, INVALID);
    stop();
}

/* --- what was not configured ------------------------------------------------------------------ */

static void check_refuses_to_start(const char *name, const char *value, const char *message)
{
    setenv("AUTH_SECRET", SECRET, 1);
    unsetenv("AUTH_SECRET_OLD");
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
    start(AUTH_SETTINGS);
    assert_int_equal(wait_for_end(), 2);
    if (!strstr(server.log, message))
        fail_msg("said: %s", server.log);
    assert_null(strstr(server.log, "hidden"));
    unsetenv(name);
}

static void test_program_without_secret_refuses_to_start(void **state)
{
    (void)state;
    teardown(NULL);
    check_refuses_to_start("AUTH_SECRET", NULL,
                           "AUTH_SECRET: must be set to a secret of 32 to 1024 bytes");
    check_refuses_to_start("AUTH_SECRET", "", "AUTH_SECRET: must be set to a secret");
    check_refuses_to_start("AUTH_SECRET", "hidden-31-bytes-hidden-31-bytes",
                           "AUTH_SECRET: must be a secret of 32 to 1024 bytes");
    check_refuses_to_start("AUTH_SECRET_OLD", "hidden", "AUTH_SECRET_OLD: must be");
    check_refuses_to_start("AUTH_TOKEN_LIFETIME", "0s", "AUTH_TOKEN_LIFETIME");
    check_refuses_to_start("AUTH_ARGON2_MEMORY", "1G", "AUTH_ARGON2_MEMORY");
}

/* It did not list AUTH_SETTINGS, so nothing stopped it: then no token is made and none is taken. */
static void test_program_without_settings_answers_500(void **state)
{
    (void)state;
    teardown(NULL);
    unsetenv("AUTH_SECRET");
    serve(NULL);
    check(ask("/token/7/member", ""), 500, NULL);
    check(ask_with("/me", token_of(SECRET, 0, &MEMBER)), 500, NULL);
    check(ask("/me", ""), 401, REALM);
    stop();
    assert_non_null(strstr(server.log, "AUTH_NOT_CONFIGURED"));
    assert_non_null(strstr(server.log, "AUTH_SECRET: must be set"));
}

#define GUARD_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUARD_TEST(test_guard_without_token_answers_401),
        GUARD_TEST(test_guard_with_bad_token_answers_401_invalid_token),
        GUARD_TEST(test_guard_with_good_token_lets_in),
        GUARD_TEST(test_guard_of_role_answers_403_to_others),
        GUARD_TEST(test_token_issued_by_server_is_taken_by_it),
        GUARD_TEST(test_wrong_credentials_answer_401),
        GUARD_TEST(test_user_on_unguarded_route_is_a_fault),
        GUARD_TEST(test_old_secret_verifies_and_does_not_sign),
        GUARD_TEST(test_program_without_secret_refuses_to_start),
        GUARD_TEST(test_program_without_settings_answers_500),
    };
    setenv("HOST", "127.0.0.1", 1);
    setenv("PORT", "0", 1);
    setenv("WORKERS", "0", 1);
    setenv("LOG_FORMAT", "logfmt", 1);
    setenv("LOG_LEVEL", "info", 1);
    setenv("AUTH_ARGON2_MEMORY", "1M", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
