/* Service files: groups, lines, who overrides whom, and where they are looked for. */
#include "conninfo_test.h"
#include "service_file.h"

#include <fcntl.h>
#include <sys/stat.h>

static char directory[64];

static void write_file(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    const int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static int set_up_files(void **state)
{
    set_up(state);
    (void)snprintf(directory, sizeof directory, "/tmp/brio-service-XXXXXX");
    assert_non_null(mkdtemp(directory));
    setenv("HOME", directory, 1);
    setenv("PGSYSCONFDIR", directory, 1);
    setenv("PGUSER", "ada", 1);
    return 0;
}

static int tear_down_files(void **state)
{
    static const char *const NAMES[] = { ".pg_service.conf", "pg_service.conf", "named" };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", directory, NAMES[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(directory), 0);
    unsetenv("PGUSER");
    return tear_down(state);
}

/* --- groups and lines ------------------------------------------------------------------------- */

static error read_text(const char *text, pg_parameters *out, bool *found)
{
    *out = (pg_parameters){ 0 };
    /* Values are views of it. */
    return pg_service_file_read(str_copy(&memory, str_from_c(text)), STR("shop"), out, found);
}

static void test_service_group_gives_its_lines(void **state)
{
    (void)state;
    static const char TEXT[] = "# all of them\n"
                               "[other]\nhost=no\n\n"
                               "  [shop]  \r\n"
                               "  # a comment\n"
                               "host=db1,db2\n"
                               "\tport=5433  \n"
                               "options=-c a=b\n"
                               "user =spaced\n"
                               "host=late\n"
                               "[shop]\ndbname=no\n";
    pg_parameters p;
    bool found;
    assert_fails(PG_CONNINFO_INVALID, read_text(TEXT, &p, &found)); /* "user " is no name */
    static const char GOOD[] = "[other]\nhost=no\nbroken\n[shop]\r\nhost=db1,db2\r\n\tport=5433  \n"
                               "options=-c a=b\nuser= spaced\nhost=late\n[shop]\ndbname=no\n";
    assert_ok(read_text(GOOD, &p, &found));
    assert_true(found);
    assert_str_equal(pg_parameters_get(&p, PG_PARAM_HOST), STR("db1,db2"));
    assert_str_equal(pg_parameters_get(&p, PG_PARAM_PORT), STR("5433"));
    assert_str_equal(pg_parameters_get(&p, PG_PARAM_OPTIONS), STR("-c a=b"));
    assert_str_equal(pg_parameters_get(&p, PG_PARAM_USER), STR(" spaced"));
    assert_str_equal(pg_parameters_get(&p, PG_PARAM_DATABASE), STR(""));
}

static void test_service_names_are_whole(void **state)
{
    (void)state;
    static const char *const ROWS[] = {
        "[sho]\nhost=a", "[shop2]\nhost=a", "[shop\nhost=a", "shop]\nhost=a", "", "[Shop]\nhost=a"
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        pg_parameters p;
        bool found;
        assert_ok(read_text(ROWS[i], &p, &found));
        assert_false(found);
        assert_null(p.given[PG_PARAM_HOST].value.ptr);
    }
}

static void test_service_bad_lines_are_told_by_number_only(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *said;
    } rows[] = {
        { "[shop]\nhunter2\n", "line 2" },
        { "\n[shop]\n\nhots=hunter2\n", "hots at line 4" },
        { "[shop]\nHUNTER2=x", "unknown parameter at line 2" },
        { "[shop]\nservice=hunter2", "cannot name another" },
        { "[shop]\nservicefile=hunter2", "cannot name another" },
        { "[shop]\nkrbsrvname=hunter2", "not supported" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        pg_parameters p;
        bool found;
        const error e = read_text(rows[i].text, &p, &found);
        assert_fails(PG_CONNINFO_INVALID, e);
        const char *text = str_to_c(&memory, error_detail_of(e)->text);
        if (!strstr(text, rows[i].said) || strstr(text, "unter2") || strstr(text, "HUNTER2"))
            fail_msg("%s: %s", rows[i].text, text);
    }
    static char large[2048] = "[shop]\noptions=";
    memset(large + strlen(large), 'x', sizeof large - strlen(large) - 1);
    pg_parameters p;
    bool found;
    assert_fails(PG_CONNINFO_INVALID, read_text(large, &p, &found));
    assert_fails(PG_CONNINFO_INVALID,
                 pg_service_file_read(STR("[shop]\nhost=a\0b"), STR("shop"), &p, &found));
}

/* --- where they are, and who overrides whom --------------------------------------------------- */

static void test_service_comes_after_the_text_and_before_the_variables(void **state)
{
    (void)state;
    pg_conninfo info;
    write_file(".pg_service.conf",
               "[shop]\nhost=service\nport=1\ndbname=service\nsslmode=require\n");
    setenv("PGPORT", "2", 1);
    setenv("PGDATABASE", "variable", 1);
    setenv("PGAPPNAME", "variable", 1);
    assert_ok(parse(STR("service=shop host=text"), &info));
    assert_str_equal(info.hosts[0].name, STR("text"));
    assert_int_equal(info.hosts[0].port, 1);
    assert_str_equal(info.database, STR("service"));
    assert_str_equal(info.application_name, STR("variable"));
    assert_int_equal(info.ssl.mode, PG_SSLMODE_REQUIRE);
    assert_ok(parse(STR("postgresql:///?service=shop"), &info));
    assert_str_equal(info.hosts[0].name, STR("service"));
    setenv("PGSERVICE", "shop", 1);
    assert_ok(parse(STR(""), &info));
    assert_str_equal(info.hosts[0].name, STR("service"));
    /* A value that is refused is told with its line. */
    write_file(".pg_service.conf", "[shop]\nhost=a\nport=hunter2\n");
    const error e = parse(STR(""), &info);
    assert_fails(PG_CONNINFO_INVALID, e);
    const char *text = str_to_c(&memory, error_detail_of(e)->text);
    assert_non_null(strstr(text, "port at line 3 of the service file"));
    assert_null(strstr(text, "hunter2"));
}

static void test_service_files_are_found_in_turn(void **state)
{
    (void)state;
    pg_conninfo info;
    char named[96];
    write_file("pg_service.conf", "[shop]\nhost=system\n[only]\nhost=only\n");
    assert_ok(parse(STR("service=shop"), &info));
    assert_str_equal(info.hosts[0].name, STR("system"));
    write_file(".pg_service.conf", "[shop]\nhost=home\n");
    assert_ok(parse(STR("service=shop"), &info));
    assert_str_equal(info.hosts[0].name, STR("home"));
    assert_ok(parse(STR("service=only"), &info));
    assert_str_equal(info.hosts[0].name, STR("only"));
    write_file("named", "[shop]\nhost=named\n");
    (void)snprintf(named, sizeof named, "%s/named", directory);
    setenv("PGSERVICEFILE", named, 1);
    assert_ok(parse(STR("service=shop"), &info));
    assert_str_equal(info.hosts[0].name, STR("named"));
    assert_ok(parse(STR("service=only"), &info)); /* not there, but in the system's */
    assert_str_equal(info.hosts[0].name, STR("only"));
    assert_fails(PG_CONNINFO_INVALID, parse(STR("service=none"), &info));
    assert_fails(PG_CONNINFO_INVALID, parse(STR("service=shop servicefile=/nonexistent"), &info));
    assert_ok(parse(STR("servicefile=/nonexistent"), &info)); /* no service is asked for */
}

int main(void)
{
#define FILES_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_files, tear_down_files)
    const struct CMUnitTest tests[] = {
        TEST(test_service_group_gives_its_lines),
        TEST(test_service_names_are_whole),
        TEST(test_service_bad_lines_are_told_by_number_only),
        FILES_TEST(test_service_comes_after_the_text_and_before_the_variables),
        FILES_TEST(test_service_files_are_found_in_turn),
    };
    return cmocka_run_group_tests_name("service_file", tests, NULL, NULL);
}
