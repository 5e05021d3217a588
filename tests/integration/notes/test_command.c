/* notes as its operator meets it on the command line: help, settings that are wrong or missing,
 * and migrations. */
#include "notes_test.h"

#include "auth/auth.h"
#include "orm/migrate.h"

static int forget_all(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "drop schema public cascade"));
    assert_ok(pg_execute(db, NULL, "create schema public"));
    return 0;
}

/* --- help ------------------------------------------------------------------------------------ */

/* What the HTTP server reads; the other libraries show their tables. */
static const char *const HTTP_SETTINGS[] = { "HOST",
                                             "PORT",
                                             "WORKERS",
                                             "HTTP_BODY_BYTES_MAX",
                                             "HTTP_HANDLER_TIMEOUT",
                                             "HTTP_HEADER_TIMEOUT",
                                             "HTTP_BODY_TIMEOUT",
                                             "HTTP_IDLE_TIMEOUT",
                                             "HTTP_DRAIN_TIMEOUT",
                                             "HTTP_RETIRE_TIMEOUT",
                                             "HTTP_CONNECTIONS_MAX",
                                             "HTTP_REQUEST_MEMORY_MAX",
                                             "HTTP_ACCESS_LOG",
                                             "HTTP_CONTAIN_FAULTS",
                                             "LOG_LEVEL",
                                             "LOG_FORMAT" };

static void check_listed(const char *help, const char *name)
{
    char line[128];
    (void)snprintf(line, sizeof line, "\n  %s ", name);
    if (!strstr(help, line))
        print_error("--help does not list %s:\n%s", name, help);
    assert_non_null(strstr(help, line));
}

static void test_help_lists_commands_and_every_setting(void **state)
{
    (void)state;
    static char help[65536];
    const config_entry *const tables[] = { PG_SETTINGS, AUTH_SETTINGS, ORM_MIGRATE_SETTINGS };
    /* Help is there however wrong the environment is. */
    const int status =
        run_notes(NOTES("--help"), ENVIRONMENT("PORT=x", "AUTH_SECRET=short"), help, sizeof help);
    assert_int_equal(status, 0);
    assert_non_null(strstr(help, "usage: notes "));
    assert_non_null(strstr(help, "notes migrate up"));
    for (size_t i = 0; i < ARRAY_LEN(HTTP_SETTINGS); i++)
        check_listed(help, HTTP_SETTINGS[i]);
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        for (const config_entry *e = tables[i]; e->name; e++) {
            check_listed(help, e->name);
            assert_non_null(strstr(help, e->meaning));
        }
    }
    assert_null(strstr(help, "short\n")); /* nobody's secret */
}

static void test_command_unknown_is_refused_with_a_hint(void **state)
{
    (void)state;
    char log[4096];
    assert_int_equal(run_notes(NOTES("serve"), NULL, log, sizeof log), 2);
    assert_non_null(strstr(log, "\"serve\""));
    assert_non_null(strstr(log, "--help"));
}

/* --- settings -------------------------------------------------------------------------------- */

typedef struct setting_case {
    const char *setting; /* "NAME=value"; NAME alone: it is not set */
    const char *says;    /* beside the name: the range */
} setting_case;

#define SHORT_SECRET "31 bytes are one byte too short"

static const setting_case SETTING_CASES[] = {
    { "AUTH_SECRET", "must be set to a secret of 32 to 1024 bytes" },
    { "AUTH_SECRET=", "32 to 1024 bytes" }, /* empty is as good as not set */
    { "AUTH_SECRET=" SHORT_SECRET, "32 to 1024 bytes" },
    { "AUTH_SECRET_OLD=" SHORT_SECRET, "32 to 1024 bytes" },
    { "AUTH_TOKEN_LIFETIME=0s", "from 1s to 720h" },
    { "AUTH_TOKEN_LIFETIME=1000h", "from 1s to 720h" },
    { "AUTH_TOKEN_LIFETIME=an hour", "from 1s to 720h" },
    { "AUTH_ARGON2_MEMORY=1", "from 1M to 256M" },
    { "AUTH_ARGON2_MEMORY=1T", "from 1M to 256M" },
    { "AUTH_ARGON2_PASSES=0", "from 1 to 16" },
    { "AUTH_ARGON2_LANES=17", "from 1 to 16" },
    { "PORT=65536", "from 0 to 65535" },
    { "PORT=-1", "from 0 to 65535" },
    { "PORT=80 ", "from 0 to 65535" },
    { "PORT=0x50", "from 0 to 65535" },
    { "PORT=99999999999999999999", "from 0 to 65535" },
    { "WORKERS=257", "from -1 to 256" },
    { "WORKERS=two", "from -1 to 256" },
    { "PG_POOL_MAX=0", "from 1 to 1000" },
    { "PG_POOL_MAX=1e2", "from 1 to 1000" },
    { "PG_ACQUIRE_TIMEOUT=0", "from 1ms to 1h" },
    { "PG_CONNECT_TIMEOUT=2h", "from 1ms to 1h" },
    { "HTTP_BODY_BYTES_MAX=-1", "from 0 to 4G" },
    { "HTTP_BODY_BYTES_MAX=1MB", "from 0 to 4G" },
    { "HTTP_HANDLER_TIMEOUT=0s", "from 1ms to 24h" },
    { "HTTP_DRAIN_TIMEOUT=25h", "from 0ms to 24h" },
    { "HTTP_ACCESS_LOG=maybe", "true or false" },
    { "HTTP_CONTAIN_FAULTS=2", "true or false" },
    { "LOG_LEVEL=loud", "debug, info, warn, error, off" },
    { "LOG_FORMAT=xml", "auto, logfmt, json" },
    { "MIGRATIONS_DIR=a\tb", "1 to 1024 bytes" },
};

static void test_setting_that_is_wrong_refuses_to_start_with_name_and_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(SETTING_CASES); i++) {
        const setting_case *c = &SETTING_CASES[i];
        char log[8192], name[64];
        const int status = run_notes(
            NOTES(NULL), ENVIRONMENT(SECRET_SETTING, "WORKERS=0", c->setting), log, sizeof log);
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(c->setting, "="), c->setting);
        if (status != 2 || !strstr(log, name) || !strstr(log, c->says))
            print_error("%s: status %d\n%s\n", c->setting, status, log);
        assert_int_equal(status, 2);
        assert_non_null(strstr(log, name));
        assert_non_null(strstr(log, c->says));
        assert_null(strstr(log, SHORT_SECRET));
        assert_null(strstr(log, "serving"));
    }
}

static void test_settings_that_are_wrong_are_all_told_at_once(void **state)
{
    (void)state;
    char log[8192];
    const int status =
        run_notes(NOTES(NULL), ENVIRONMENT("PORT=x", "PG_POOL_MAX=x", "AUTH_SECRET", "LOG_LEVEL=x"),
                  log, sizeof log);
    assert_int_equal(status, 2);
    assert_non_null(strstr(log, "PORT"));
    assert_non_null(strstr(log, "PG_POOL_MAX"));
    assert_non_null(strstr(log, "AUTH_SECRET"));
    assert_non_null(strstr(log, "LOG_LEVEL"));
}

static void test_log_format_is_that_of_every_line(void **state)
{
    (void)state;
    static char log[65536];
    json line;
    int lines = 0;
    serve_notes("WORKERS=2", "LOG_FORMAT=json", "HTTP_ACCESS_LOG=on");
    refuse(NULL, "POST /login", "{'email':'" ADA "','password':'" PASSWORD "'}", 500);
    kill(server.pid, SIGTERM);
    assert_int_equal(program_end(&server, log, sizeof log), 0);
    for (str rest = str_from_c(log); rest.len > 0; lines++) {
        const str text = str_cut(&rest, '\n');
        if (json_parse(fiber_arena(), text, &line).kind)
            print_error("no JSON: %.*s\n", STR_ARG(text));
        assert_ok(json_parse(fiber_arena(), text, &line));
    }
    assert_true(lines >= 3); /* serving, what failed, the request */
}

static void test_database_url_that_is_none_refuses_to_start_without_its_password(void **state)
{
    (void)state;
    static const char *const URLS[] = { "DATABASE_URL=mysql://u:s3cr3t@localhost/x",
                                        "DATABASE_URL=postgresql://u:s3cr3t@localhost:port/x",
                                        "DATABASE_URL=postgresql://u:s3cr3t@localhost/x?colour=red",
                                        "DATABASE_URL=postgresql://u:s3cr3t%zz@localhost/x" };
    for (size_t i = 0; i < 2 * ARRAY_LEN(URLS); i++) {
        char log[8192];
        const char *workers = i % 2 ? "WORKERS=1" : "WORKERS=0";
        const int status = run_notes(NOTES(NULL), ENVIRONMENT(SECRET_SETTING, workers, URLS[i / 2]),
                                     log, sizeof log);
        if (status != 1)
            print_error("%s: status %d\n%s\n", URLS[i / 2], status, log);
        assert_int_equal(status, 1);
        assert_non_null(strstr(log, "PG_CONNINFO_INVALID"));
        assert_null(strstr(log, "s3cr3t"));
        assert_int_equal(
            run_notes(NOTES("migrate", "status"), ENVIRONMENT(URLS[i / 2]), log, sizeof log), 2);
        assert_null(strstr(log, "s3cr3t"));
    }
}

/* --- migrations ------------------------------------------------------------------------------ */

static int group_setup(void **state)
{
    (void)state;
    database_create();
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    database_drop();
    return 0;
}

static void test_migrate_by_many_at_once_applies_each_once(void **state)
{
    (void)state;
    server_process runs[4];
    char log[4096];
    int applied = 0;
    for (size_t i = 0; i < ARRAY_LEN(runs); i++)
        program_launch(&runs[i], NOTES("migrate", "up"), ENVIRONMENT(database_setting));
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        const int status = program_end(&runs[i], log, sizeof log);
        if (status != 0)
            print_error("%s\n", log);
        assert_int_equal(status, 0);
        for (const char *at = strstr(log, "applied 000"); at; at = strstr(at + 1, "applied 000"))
            applied++;
    }
    assert_int_equal(applied, 2);
    assert_int_equal(count_of("select count(*) from brio_migrations"), 2);
    assert_int_equal(count_of("select count(*) from notes"), 0);
}

static void test_migrate_up_status_down_and_up_again(void **state)
{
    (void)state;
    char log[4096];
    const char *const *in = ENVIRONMENT(database_setting);
    assert_int_equal(run_notes(NOTES("migrate", "status"), in, log, sizeof log), 0);
    assert_non_null(strstr(log, "create_accounts"));
    assert_int_equal(run_notes(NOTES("migrate", "up"), in, log, sizeof log), 0);
    assert_int_equal(run_notes(NOTES("migrate", "up"), in, log, sizeof log), 0);
    assert_null(strstr(log, "applied 000"));
    assert_int_equal(run_notes(NOTES("migrate", "down", "2"), in, log, sizeof log), 0);
    assert_int_equal(count_of("select count(*) from pg_tables where tablename in "
                              "('notes', 'accounts')"),
                     0);
    assert_int_equal(run_notes(NOTES("migrate", "up"), in, log, sizeof log), 0);
    assert_int_equal(count_of("select count(*) from notes"), 0);
    assert_int_equal(count_of("select count(*) from accounts"), 0);
}

static void test_migrate_used_wrongly_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    char log[4096];
    const char *const *in = ENVIRONMENT(database_setting);
    assert_int_equal(run_notes(NOTES("migrate"), in, log, sizeof log), 2);
    assert_int_equal(run_notes(NOTES("migrate", "sideways"), in, log, sizeof log), 2);
    assert_int_equal(run_notes(NOTES("migrate", "down", "-1"), in, log, sizeof log), 2);
    assert_int_equal(run_notes(NOTES("migrate", "up", "now"), in, log, sizeof log), 2);
    assert_int_equal(count_of("select count(*) from pg_tables where schemaname = 'public'"), 0);
}

static void test_migrate_without_a_database_says_so_without_the_password(void **state)
{
    (void)state;
    char log[4096];
    const char *const *in = ENVIRONMENT("DATABASE_URL=postgresql://u:s3cr3t@127.0.0.1:1/x");
    assert_int_equal(run_notes(NOTES("migrate", "up"), in, log, sizeof log), 1);
    assert_non_null(strstr(log, "127.0.0.1"));
    assert_null(strstr(log, "s3cr3t"));
}

static void test_schema_missing_is_500_that_tells_nothing(void **state)
{
    (void)state;
    answer a;
    serve_notes("WORKERS=1");
    ask(NULL, "POST /register", "{'email':'" ADA "','password':'" PASSWORD "'}", &a);
    check_problem("no tables", &a, 500, NULL);
    answer_free(&a);
    await(server_logged(&server, "42P01"));
    expect(NULL, "GET /health", NULL, 200, "{'status':'ok'}");
    server_kill(&server);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_lists_commands_and_every_setting),
        cmocka_unit_test(test_command_unknown_is_refused_with_a_hint),
        cmocka_unit_test(test_setting_that_is_wrong_refuses_to_start_with_name_and_range),
        cmocka_unit_test(test_settings_that_are_wrong_are_all_told_at_once),
        cmocka_unit_test_setup_teardown(test_log_format_is_that_of_every_line, forget_all,
                                        server_teardown),
        cmocka_unit_test(test_database_url_that_is_none_refuses_to_start_without_its_password),
        cmocka_unit_test_setup(test_migrate_by_many_at_once_applies_each_once, forget_all),
        cmocka_unit_test_setup(test_migrate_up_status_down_and_up_again, forget_all),
        cmocka_unit_test_setup(test_migrate_used_wrongly_is_refused_and_changes_nothing,
                               forget_all),
        cmocka_unit_test(test_migrate_without_a_database_says_so_without_the_password),
        cmocka_unit_test_setup_teardown(test_schema_missing_is_500_that_tells_nothing, forget_all,
                                        server_teardown),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

int main(void)
{
    return run_with_database(run);
}
