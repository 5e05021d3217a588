/* Password files: which line fits, what its password is, and which files are not used. */
#include "conninfo_test.h"
#include "passfile.h"

#include <fcntl.h>
#include <sys/stat.h>

/* --- lines ------------------------------------------------------------------------------------ */

static str find(const char *text, const char *host, uint16_t port)
{
    str password;
    const pg_passfile_key key = { str_from_c(host), port, STR("shop"), STR("ada") };
    const str copy = exact_copy(str_from_c(text));
    assert_ok(pg_passfile_find(copy, &key, &memory, &password));
    exact_free(copy);
    return password;
}

typedef struct line_row {
    const char *text;
    const char *password; /* NULL: no line fits */
} line_row;

static void test_passfile_lines_are_read(void **state)
{
    (void)state;
    static const line_row ROWS[] = {
        { "", NULL },
        { "db:5432:shop:ada:secret", "secret" },
        { "db:5432:shop:ada:secret\n", "secret" },
        { "db:5432:shop:ada:secret\r\n", "secret" },
        { "*:*:*:*:secret", "secret" },
        { "*:*:*:ada:secret", "secret" },
        { "db:*:*:ada:secret", "secret" },
        { "db:5433:shop:ada:no\ndb:5432:shop:ada:yes", "yes" },
        { "db:5432:shop:ada:first\ndb:5432:shop:ada:second", "first" },
        { "db:5432:shop:ada:", "" },
        { "db:5432:shop:ada", NULL },
        { "db:5432:shop:bob:secret", NULL },
        { "db:5432:sho:ada:secret", NULL },
        { "db:5432:shopp:ada:secret", NULL },
        { "d:5432:shop:ada:secret", NULL },
        { "db2:5432:shop:ada:secret", NULL },
        { "db:05432:shop:ada:secret", NULL },
        { "# db:5432:shop:ada:secret", NULL },
        { "#*:*:*:*:no\n\n*:*:*:*:yes", "yes" },
        { " *:*:*:*:secret", NULL },
        { "d\\b:5432:shop:ada:secret", "secret" },
        { "**:5432:shop:ada:secret", NULL },
        { "*", NULL },
        { "*:", NULL },
        { "*:*:*:*:a\\:b\\\\c\\d", "a:b\\cd" },
        { "*:*:*:*:a:b", "a" },
        { "*:*:*:*:a b ", "a b " },
        { "*:*:*:*:a\\", "a\\" },
        { "db\\", NULL },
        { "*:*:*:*:gr\xC3\xBC\xC3\x9F", "gr\xC3\xBC\xC3\x9F" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const str found = find(ROWS[i].text, "db", 5432), told = str_from_c(ROWS[i].password);
        if (!found.ptr != !told.ptr || !str_eq(found, told))
            fail_msg("%s: \"%.*s\"", ROWS[i].text, (int)found.len, found.ptr ? found.ptr : "none");
    }
    assert_str_equal(find("\\:\\:1:5432:shop:ada:yes", "::1", 5432), STR("yes"));
    assert_str_equal(find("::1:5432:shop:ada:yes", "::1", 5432), STR("yes")); /* as libpq has it */
    assert_str_equal(find("*:1:*:*:no\n*:65535:*:*:yes", "db", 65535), STR("yes"));
}

static void test_passfile_cut_anywhere_never_reads_on(void **state)
{
    (void)state;
    const str whole = STR("# x\n\\:\\:1:5432:shop:ada:a\\:b\r\n*:*:*:*:c");
    for (size_t len = 0; len <= whole.len; len++) {
        const pg_passfile_key key = { STR("::1"), 5432, STR("shop"), STR("ada") };
        const str copy = exact_copy(str_slice(whole, 0, len));
        str password;
        assert_ok(pg_passfile_find(copy, &key, &memory, &password));
        exact_free(copy);
    }
}

/* --- files ------------------------------------------------------------------------------------ */

static char home[64];

static int set_up_home(void **state)
{
    set_up(state);
    (void)snprintf(home, sizeof home, "/tmp/brio-home-XXXXXX");
    assert_non_null(mkdtemp(home));
    setenv("HOME", home, 1);
    setenv("PGUSER", "ada", 1);
    return 0;
}

static int tear_down_home(void **state)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/.pgpass", home);
    unlink(path);
    rmdir(path);
    assert_int_equal(rmdir(home), 0);
    unsetenv("PGUSER");
    return tear_down(state);
}

static const char *write_passfile(const char *text, mode_t mode)
{
    static char path[96];
    (void)snprintf(path, sizeof path, "%s/.pgpass", home);
    const int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

static void assert_password(const char *conninfo, const char *password)
{
    pg_conninfo info;
    assert_ok(parse(str_from_c(conninfo), &info));
    assert_str_equal(info.hosts[0].password, str_from_c(password));
}

static void test_passfile_at_home_is_used(void **state)
{
    (void)state;
    write_passfile("localhost:*:*:*:socket\ndb:5433:shop:ada:tcp\n10.0.0.1:*:*:*:number\n", 0600);
    assert_password("", "socket");
    assert_password("host=/var/run/postgresql", "socket");
    assert_password("host=localhost", "socket");
    assert_password("host=/elsewhere", "");
    assert_password("host=db port=5433 dbname=shop", "tcp");
    assert_password("host=db dbname=shop", "");
    assert_password("hostaddr=10.0.0.1", "number");
    assert_password("host=x hostaddr=10.0.0.1", "");
    assert_password("password=given", "given");
    assert_password("password=''", "socket");
    pg_conninfo info;
    assert_ok(parse(STR("host=db,localhost,x port=5433 dbname=shop"), &info));
    assert_str_equal(info.hosts[0].password, STR("tcp"));
    assert_str_equal(info.hosts[1].password, STR("socket"));
    assert_str_equal(info.hosts[2].password, STR(""));
    setenv("PGPASSWORD", "variable", 1);
    assert_password("", "variable");
}

static void test_passfile_that_is_named_is_used(void **state)
{
    (void)state;
    const char *path = write_passfile("*:*:*:*:secret", 0400);
    char text[160];
    setenv("HOME", "/nonexistent", 1);
    assert_password("", "");
    (void)snprintf(text, sizeof text, "passfile=%s", path);
    assert_password(text, "secret");
    setenv("PGPASSFILE", path, 1);
    assert_password("", "secret");
    assert_password("passfile=/nonexistent", "");
}

static void test_passfile_that_others_can_read_is_not_used(void **state)
{
    (void)state;
    static const mode_t MODES[] = { 0640, 0604, 0660, 0610, 0602, 0777 };
    for (size_t i = 0; i < ARRAY_LEN(MODES); i++) {
        write_passfile("*:*:*:*:secret", MODES[i]);
        pg_conninfo info;
        assert_ok(parse(STR(""), &info));
        assert_str_equal(info.hosts[0].password, STR(""));
        assert_non_null(strstr(str_to_c(&memory, info.passfile_problem), "chmod 600"));
    }
}

static void test_passfile_that_is_no_file_is_not_used(void **state)
{
    (void)state;
    char path[96];
    (void)snprintf(path, sizeof path, "%s/.pgpass", home);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not keep us waiting for its writer */
    pg_conninfo info;
    assert_ok(parse(STR(""), &info));
    assert_true(info.passfile_problem.len > 0);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_ok(parse(STR(""), &info));
    assert_true(info.passfile_problem.len > 0);
}

int main(void)
{
#define HOME_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_home, tear_down_home)
    const struct CMUnitTest tests[] = {
        TEST(test_passfile_lines_are_read),
        TEST(test_passfile_cut_anywhere_never_reads_on),
        HOME_TEST(test_passfile_at_home_is_used),
        HOME_TEST(test_passfile_that_is_named_is_used),
        HOME_TEST(test_passfile_that_others_can_read_is_not_used),
        HOME_TEST(test_passfile_that_is_no_file_is_not_used),
    };
    return cmocka_run_group_tests_name("passfile", tests, NULL, NULL);
}
