/* Who is trusted with what: SCRAM's keys, how much they cost and where, what the server is told of
 * its name, and what the log says to those who did not ask for more. Against a server that plays a
 * script; every address is taken for one of another machine where a test says so. */
#include "scram.h"

#include "core/log.h"
#include "core/stream.h"
#include "tests/support/logged.h"
#include "tests/support/mock_pool.h"
#include "tests/support/tls_files.h"

#include <signal.h>
#include <sys/stat.h>

#define BY_SCRAM MOCK_ACCEPT, MOCK_SCRAM(MOCK_SCRAM_GOOD), MOCK_SEND(MOCK_STARTED)
#define WITH_TLS MOCK_ACCEPT_ASKED, MOCK_SEND("S"), MOCK_TLS, MOCK_STARTUP
#define GOODBYE  MOCK_EXPECT("X"), MOCK_CLOSE
#define UNSHOWN  "set sslmode=verify-full"

/* --- a look inside ---------------------------------------------------------------------------- */

static pthread_t loop_thread;
static atomic_int derived, derived_on_loop;
static bool is_elsewhere;

/* NOLINTBEGIN(readability-identifier-naming): the linker's names */
error __wrap_pg_scram_derive(pg_scram *s, str password);
error __real_pg_scram_derive(pg_scram *s, str password);
bool __wrap_address_is_local(const address *at);
bool __real_address_is_local(const address *at);

error __wrap_pg_scram_derive(pg_scram *s, str password)
{
    atomic_fetch_add(&derived, 1);
    if (pthread_equal(pthread_self(), loop_thread))
        atomic_fetch_add(&derived_on_loop, 1);
    return __real_pg_scram_derive(s, password);
}

bool __wrap_address_is_local(const address *at)
{
    return !is_elsewhere && __real_address_is_local(at);
}
/* NOLINTEND(readability-identifier-naming) */

/* --- a server --------------------------------------------------------------------------------- */

static mock_pool m;

static void play(const mock_pg_options *options)
{
    atomic_store(&derived, 0);
    mock_pg_start(&m.server, options);
}
#define PLAY(script, ...) \
    play(&(mock_pg_options){ .steps = script, .step_count = ARRAY_LEN(script), __VA_ARGS__ })

/* --- keys ------------------------------------------------------------------------------------- */

/* A million iterations take the better part of a second: other fibers run meanwhile. */
static void test_trust_keys_are_derived_beside_the_loop_and_once(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = { BY_SCRAM, MOCK_ANSWERS, MOCK_CLOSE, BY_SCRAM,
                                           MOCK_ANSWERS };
    PLAY(SCRIPT, .iterations = 20000);
    mock_pool_open(&m, "");
    assert_ok(mock_pool_ask(&m));
    assert_int_equal(atomic_load(&derived), 1);
    assert_int_equal(atomic_load(&derived_on_loop), 0);
    mock_pool_await_none(&m);
    assert_ok(mock_pool_ask(&m)); /* on a new connection */
    assert_int_equal(atomic_load(&derived), 1);
    mock_pool_stop(&m);
}

static void test_trust_few_iterations_are_told_once(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = { BY_SCRAM, MOCK_ANSWERS, MOCK_CLOSE, BY_SCRAM,
                                           MOCK_ANSWERS };
    static const struct {
        uint32_t iterations;
        size_t told;
    } rows[] = { { 4095, 1 }, { 4096, 0 } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        static logged log;
        PLAY(SCRIPT, .iterations = rows[i].iterations);
        logged_begin(&log, LOG_WARN);
        mock_pool_open(&m, "");
        assert_ok(mock_pool_ask(&m));
        mock_pool_await_none(&m);
        assert_ok(mock_pool_ask(&m));
        mock_pool_stop(&m);
        assert_int_equal(logged_count(logged_end(&log), "few iterations"), rows[i].told);
    }
}

static void test_trust_fewer_iterations_than_the_limit_get_no_proof(void **state)
{
    (void)state;
    static const mock_pg_step GETS[] = { BY_SCRAM, MOCK_ANSWERS };
    static const mock_pg_step GETS_NOT[] = { MOCK_ACCEPT, MOCK_SCRAM(MOCK_SCRAM_NOTHING_PROVED) };
    assert_int_equal(setenv("PG_SCRAM_ITERATIONS_MIN", "5000", 1), 0);
    PLAY(GETS, .iterations = 5000);
    mock_pool_open(&m, "");
    assert_ok(mock_pool_ask(&m));
    mock_pool_stop(&m);
    PLAY(GETS_NOT, .iterations = 4999);
    mock_pool_open(&m, "");
    const error e = mock_pool_ask(&m);
    char text[512];
    error_describe(e, text, sizeof text);
    pg_pool_close(&m.db);
    assert_non_null(mock_pg_stop(&m.server)); /* it waited for a proof in vain */
    assert_int_equal(unsetenv("PG_SCRAM_ITERATIONS_MIN"), 0);
    assert_non_null(strstr(text, "PG_SCRAM_ITERATIONS_MIN"));
    assert_int_equal(atomic_load(&derived), 0);
}

/* --- what the log says ------------------------------------------------------------------------ */

typedef struct open_row {
    const char *name;
    const char *more;
    bool elsewhere;
    bool tls;
    const char *said; /* NULL: nothing */
} open_row;

static void check_said(const open_row *row)
{
    static const mock_pg_step CLEAR[] = { MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), MOCK_ANSWERS,
                                          GOODBYE };
    static const mock_pg_step TLS[] = { WITH_TLS, MOCK_SEND(MOCK_WELCOME), MOCK_ANSWERS, GOODBYE };
    static logged log;
    char certificate[128];
    (void)snprintf(certificate, sizeof certificate, "%s", tls_file_path("server"));
    play(&(mock_pg_options){ .steps = row->tls ? TLS : CLEAR,
                             .step_count = row->tls ? ARRAY_LEN(TLS) : ARRAY_LEN(CLEAR),
                             .certificate = certificate });
    logged_begin(&log, LOG_WARN);
    is_elsewhere = row->elsewhere;
    mock_pool_open(&m, row->more);
    const error e = mock_pool_ask(&m);
    is_elsewhere = false;
    mock_pool_stop(&m);
    const char *text = logged_end(&log);
    assert_ok(e);
    if (logged_count(text, UNSHOWN) != (row->said ? 1 : 0) ||
        (row->said && !strstr(text, row->said)))
        fail_msg("%s: %s", row->name, text);
}

static void test_trust_that_nobody_asked_for_is_told_once(void **state)
{
    (void)state;
    static const open_row rows[] = {
        { "in clear", "", true, false, "not encrypted" },
        { "in clear, here", "", false, false, NULL },
        { "in clear, as asked", "sslmode=prefer", true, false, NULL },
        { "in clear, as demanded", "sslmode=disable", true, false, NULL },
        { "not verified", "", true, true, "not verified" },
        { "not verified, here", "", false, true, NULL },
        { "not verified, as asked", "sslmode=require", true, true, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_said(&rows[i]);
}

/* --- roots at their usual place --------------------------------------------------------------- */

static char home[64];

static void copy_file(const char *from, const char *to)
{
    char bytes[8192];
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    assert_true(in && out);
    const size_t len = fread(bytes, 1, sizeof bytes, in);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    assert_int_equal(fclose(in) | fclose(out), 0);
}

static int make_home(void **state)
{
    char path[128];
    (void)state;
    (void)snprintf(home, sizeof home, "/tmp/brio-home.XXXXXX");
    assert_non_null(mkdtemp(home));
    (void)snprintf(path, sizeof path, "%s/.postgresql", home);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/.postgresql/root.crt", home);
    copy_file(tls_file_path("ca"), path);
    assert_int_equal(setenv("HOME", home, 1), 0);
    return 0;
}

static int remove_home(void **state)
{
    char path[128];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/.postgresql/root.crt", home);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/.postgresql", home);
    (void)rmdir(path);
    (void)rmdir(home);
    assert_int_equal(setenv("HOME", "/nonexistent", 1), 0);
    return 0;
}

static const char *name_served(const char *certificate_name, const char *more, error *e)
{
    static const mock_pg_step TLS[] = { WITH_TLS, MOCK_SEND(MOCK_WELCOME), MOCK_ANSWERS, GOODBYE };
    char certificate[128];
    (void)snprintf(certificate, sizeof certificate, "%s", tls_file_path(certificate_name));
    PLAY(TLS, .certificate = certificate);
    mock_pool_open(&m, more);
    *e = mock_pool_ask(&m);
    pg_pool_close(&m.db);
    return mock_pg_stop(&m.server);
}

/* For what leaves the machine they mean verify-full: a certificate of theirs with another name is
 * not the server's, and there is no second try in clear. */
static void test_trust_roots_at_home_verify_what_leaves_the_machine(void **state)
{
    (void)state;
    error e;
    const char *problem = name_served("rsa", "host=rsa.test hostaddr=127.0.0.1", &e);
    assert_ok(e); /* to this machine: the chain, as libpq has it */
    assert_null(problem);
    is_elsewhere = true;
    problem = name_served("rsa", "host=rsa.test hostaddr=127.0.0.1", &e);
    assert_ok(e);
    assert_null(problem);
    (void)name_served("rsa", "host=other.test hostaddr=127.0.0.1", &e);
    assert_true(e.kind == &PG_CONNECT_FAILED);
    (void)name_served("self", "host=localhost hostaddr=127.0.0.1", &e);
    assert_true(e.kind == &PG_CONNECT_FAILED);
    is_elsewhere = false;
    problem = name_served("rsa", "host=other.test hostaddr=127.0.0.1", &e);
    assert_ok(e);
    assert_null(problem);
}

/* --- the server's name ------------------------------------------------------------------------ */

static void test_trust_server_is_told_its_name_unless_it_is_not_to_be(void **state)
{
    (void)state;
    error e;
    assert_null(name_served("server", "sslmode=require host=localhost hostaddr=127.0.0.1", &e));
    assert_string_equal(m.server.server_name, "localhost");
    assert_null(
        name_served("server", "sslmode=require sslsni=0 host=localhost hostaddr=127.0.0.1", &e));
    assert_string_equal(m.server.server_name, "");
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trust_keys_are_derived_beside_the_loop_and_once),
        cmocka_unit_test(test_trust_few_iterations_are_told_once),
        cmocka_unit_test(test_trust_fewer_iterations_than_the_limit_get_no_proof),
        cmocka_unit_test(test_trust_that_nobody_asked_for_is_told_once),
        cmocka_unit_test_setup_teardown(test_trust_roots_at_home_verify_what_leaves_the_machine,
                                        make_home, remove_home),
        cmocka_unit_test(test_trust_server_is_told_its_name_unless_it_is_not_to_be),
    };
    loop_thread = pthread_self();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    if (!tls_files_make())
        return 1;
    (void)setenv("HOME", "/nonexistent", 1);
    (void)signal(SIGPIPE, SIG_IGN);
    const int failed = run_in_fiber(run);
    tls_files_remove();
    return failed;
}
