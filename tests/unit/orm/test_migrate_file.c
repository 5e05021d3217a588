/* Migration files: names, sections, checksums, directories. */
#include "migrate_file.h"

#include "orm/migrate.h"
#include "tests/support/in_fiber.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- names ----------------------------------------------------------------------------------- */

typedef struct name_row {
    const char *file_name;
    int64_t version; /* 0: refused */
    const char *name;
} name_row;

static const name_row NAMES[] = {
    { "0001_create_accounts.sql", 1, "create_accounts" },
    { "00000012_a.sql", 12, "a" },
    { "20240607123456_add_2nd.sql", 20240607123456, "add_2nd" },
    { "999999999999999999_z.sql", 999999999999999999, "z" },
    { "0001__.sql", 1, "_" },
    { "1000000000000000000_a.sql", 0, "" }, /* 19 digits */
    { "0000_zero.sql", 0, "" },
    { "001_three.sql", 0, "" },
    { "0001.sql", 0, "" },
    { "0001_.sql", 0, "" },
    { "0001-a.sql", 0, "" },
    { "-001_a.sql", 0, "" },
    { "+001_a.sql", 0, "" },
    { " 001_a.sql", 0, "" },
    { "000a_a.sql", 0, "" },
    { "0001_A.sql", 0, "" },
    { "0001_a b.sql", 0, "" },
    { "0001_a.b.sql", 0, "" },
    { "0001_\xc3\xa4.sql", 0, "" },
    { "0001_a.SQL", 0, "" },
    { "0001_a.sql~", 0, "" },
    { ".sql", 0, "" },
    { "_.sql", 0, "" },
    { "", 0, "" },
};

static void test_name_of_file_is_read_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        const name_row *row = &NAMES[i];
        orm_migration m = { 0 };
        const bool good = orm_migration_parse_name(str_from_c(row->file_name), &m);
        if (good != (row->version != 0) || m.version != row->version)
            fail_msg("\"%s\" gave %lld", row->file_name, (long long)m.version);
        if (good)
            assert_str_equal(m.name, str_from_c(row->name));
    }
}

static void test_name_of_201_bytes_is_refused(void **state)
{
    (void)state;
    char name[201];
    memset(name, 'a', sizeof name);
    assert_true(orm_migration_name_is_good((str){ name, 200 }));
    assert_false(orm_migration_name_is_good((str){ name, 201 }));
    assert_false(orm_migration_name_is_good(STR("")));
}

/* --- sections -------------------------------------------------------------------------------- */

typedef struct section_row {
    const char *name;
    const char *text;
    const char *up;
    const char *down;
    uint32_t up_line;
    uint32_t down_line;
    bool reversible;
} section_row;

static const section_row SECTIONS[] = {
    { "both", "-- migrate:up\nselect 1;\n-- migrate:down\nselect 2;\n", "select 1;\n",
      "select 2;\n", 2, 4, true },
    { "no down", "-- migrate:up\nselect 1;", "select 1;", "", 2, 0, false },
    { "empty down", "-- migrate:up\nselect 1;\n-- migrate:down\n", "select 1;\n", "", 2, 4, false },
    { "down of comments", "-- migrate:up\nselect 1;\n-- migrate:down\n-- none\n", "select 1;\n",
      "-- none\n", 2, 4, false },
    { "comments above", "-- What it is for.\n\n--migrate:up\nselect 1;", "select 1;", "", 4, 0,
      false },
    { "spaces around", "  --   migrate:up \t\nselect 1;\n\t-- migrate:down\nselect 2;",
      "select 1;\n", "select 2;", 2, 4, true },
    { "CRLF", "-- migrate:up\r\nselect 1;\r\n-- migrate:down\r\nselect 2;\r\n", "select 1;\r\n",
      "select 2;\r\n", 2, 4, true },
    { "down without a line break", "-- migrate:up\nselect 1;\n-- migrate:down", "select 1;\n", "",
      2, 4, false },
    { "much the same", "-- migrate:up\n-- migrates\nselect 1; -- migrate:down\n",
      "-- migrates\nselect 1; -- migrate:down\n", "", 2, 0, false },
};

static void test_sections_are_found_with_their_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(SECTIONS); i++) {
        const section_row *row = &SECTIONS[i];
        orm_migration_text t;
        bool reversible = false;
        assert_ok(orm_migration_parse(STR("f.sql"), str_from_c(row->text), &t, &reversible));
        if (!str_eq(t.up, str_from_c(row->up)) || !str_eq(t.down, str_from_c(row->down)))
            fail_msg("%s: up \"%.*s\", down \"%.*s\"", row->name, STR_ARG(t.up), STR_ARG(t.down));
        if (t.up_line != row->up_line || t.down_line != row->down_line ||
            reversible != row->reversible)
            fail_msg("%s: lines %u and %u, reversible %d", row->name, t.up_line, t.down_line,
                     reversible);
    }
}

typedef struct bad_row {
    const char *name;
    const char *text;
    const char *message; /* how it begins */
} bad_row;

static const bad_row BAD[] = {
    { "empty file", "", "f.sql: there is no section" },
    { "no marker", "-- just\n", "f.sql: there is no section" },
    { "SQL above", "-- x\nselect 1;\n-- migrate:up\nselect 2;", "f.sql:2: only comments" },
    { "down first", "-- migrate:down\nselect 1;\n-- migrate:up\nselect 2;",
      "f.sql:1: the section \"-- migrate:up\" must" },
    { "up twice", "-- migrate:up\nselect 1;\n-- migrate:up\nselect 2;", "f.sql:3: a second" },
    { "down twice", "-- migrate:up\nselect 1;\n-- migrate:down\n-- migrate:down\n",
      "f.sql:4: a second" },
    { "empty up", "\n-- migrate:up\n\n-- migrate:down\nselect 1;", "f.sql:2: the section" },
    { "up of comments", "-- migrate:up\n-- later\n;;\n", "f.sql:1: the section" },
    { "unknown section", "-- migrate:upp\nselect 1;", "f.sql:1: unknown section \"upp\"" },
    { "another case", "-- Migrate:Up\nselect 1;", "f.sql:1: unknown section \"Up\"" },
    { "no word", "-- migrate:\nselect 1;", "f.sql:1: unknown section \"\"" },
    { "a space too much", "-- migrate: up\nselect 1;", "f.sql:1: unknown section \"\"" },
    { "unknown option", "-- migrate:up transaction=false\nselect 1;",
      "f.sql:1: unknown option \"transaction=false\"" },
    { "unknown option of down", "-- migrate:up\nselect 1;\n-- migrate:down  x y\nselect 1;",
      "f.sql:3: unknown option \"x y\"" },
    { "byte order mark", "\xef\xbb\xbf-- migrate:up\nselect 1;", "f.sql: begins with a byte" },
    { "not UTF-8", "-- migrate:up\nselect '\xe4';", "f.sql: is not UTF-8" },
    { "marker inside a quote", "-- migrate:up\ndo $$\n-- migrate:down\n$$;", "f.sql:2: a quote" },
    { "commit in up", "-- migrate:up\nselect 1;\ncommit;", "f.sql:3: commit: " },
    { "commit in down", "-- migrate:up\nselect 1;\n-- migrate:down\n\ncommit;",
      "f.sql:5: commit: " },
};

static void test_sections_malformed_are_refused_by_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        orm_migration_text t;
        bool reversible;
        const error e = orm_migration_parse(STR("f.sql"), str_from_c(BAD[i].text), &t, &reversible);
        if (!error_is(e, &ORM_MIGRATION_BAD))
            fail_msg("%s: was not refused", BAD[i].name);
        if (!str_starts_with(error_detail_of(e)->text, str_from_c(BAD[i].message)))
            fail_msg("%s: %.*s", BAD[i].name, STR_ARG(error_detail_of(e)->text));
    }
    orm_migration_text t;
    bool reversible;
    assert_fails(
        ORM_MIGRATION_BAD,
        orm_migration_parse(STR("f.sql"), STR("-- migrate:up\nselect '\0'"), &t, &reversible));
}

static void test_checksum_is_sha256_of_the_trimmed_section(void **state)
{
    (void)state;
    static const uint8_t ABC[ORM_CHECKSUM_BYTES] = {
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
        0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
        0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
    };
    uint8_t sum[ORM_CHECKSUM_BYTES];
    assert_ok(orm_migration_checksum(STR("\n\n abc\r\n"), sum));
    assert_memory_equal(sum, ABC, sizeof sum);
    uint8_t other[ORM_CHECKSUM_BYTES];
    assert_ok(orm_migration_checksum(STR("a\r\nb\r\n\r\nc\rd"), sum));
    assert_ok(orm_migration_checksum(STR("a\nb\n\nc\rd"), other));
    assert_memory_equal(sum, other, sizeof sum);
    assert_ok(orm_migration_checksum(STR("a\nb\n\nc\nd"), other));
    assert_memory_not_equal(sum, other, sizeof sum);
}

/* --- directories ----------------------------------------------------------------------------- */

typedef struct directory {
    char path[64];
} directory;

static int make_directory(void **state)
{
    static directory d;
    (void)snprintf(d.path, sizeof d.path, "/tmp/brio-migrations.XXXXXX");
    *state = &d;
    return mkdtemp(d.path) ? 0 : -1;
}

static int remove_directory(void **state)
{
    directory *d = *state;
    char line[128];
    (void)snprintf(line, sizeof line, "rm -rf '%s'", d->path);
    return system(line);
}

static void put(const directory *d, const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", d->path, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_directory_lists_sql_files_by_number(void **state)
{
    const directory *d = *state;
    put(d, "0010_c.sql", "-- migrate:up\nselect 3;\n-- migrate:down\nselect 4;");
    put(d, "0002_b.sql", "-- migrate:up\nselect 2;");
    put(d, "00001_a.sql", "-- migrate:up\nselect 1;");
    put(d, "README.md", "not one");
    put(d, "0003_x.sql.orig", "not one");
    orm_migrations all;
    assert_ok(orm_migrations_list(fiber_arena(), str_from_c(d->path), &all));
    assert_int_equal(all.count, 3);
    assert_str_equal(all.items[0].title, STR("00001_a"));
    assert_str_equal(all.items[1].title, STR("0002_b"));
    assert_str_equal(all.items[2].title, STR("0010_c"));
    assert_ok(orm_migrations_read(fiber_arena(), &all));
    assert_false(all.items[0].reversible);
    assert_true(all.items[2].reversible);
    assert_memory_not_equal(all.items[0].checksum, all.items[1].checksum, ORM_CHECKSUM_BYTES);
    orm_migration_text t;
    assert_ok(orm_migration_load(fiber_arena(), &all.items[2], &t));
    assert_str_equal(t.down, STR("select 4;"));
    put(d, "0010_c.sql", "-- migrate:up\nselect 5;");
    assert_fails(ORM_MIGRATION_BAD, orm_migration_load(fiber_arena(), &all.items[2], &t));
}

static void test_directory_empty_lists_nothing(void **state)
{
    const directory *d = *state;
    orm_migrations all;
    assert_ok(orm_migrations_list(fiber_arena(), str_from_c(d->path), &all));
    assert_ok(orm_migrations_read(fiber_arena(), &all));
    assert_int_equal(all.count, 0);
}

static void test_directory_missing_fails(void **state)
{
    (void)state;
    orm_migrations all;
    const error e = orm_migrations_list(fiber_arena(), STR("/nowhere/at/all"), &all);
    assert_fails(SYSTEM_FAILED, e);
    assert_non_null(strstr(str_to_c(fiber_arena(), error_detail_of(e)->text), "/nowhere/at/all"));
}

static void test_directory_with_a_strange_name_is_refused(void **state)
{
    static const char *const STRANGE[] = { "1_a.sql", "0001_A.sql", ".#0001_a.sql", "0001_a.SQL" };
    const directory *d = *state;
    for (size_t i = 0; i < ARRAY_LEN(STRANGE); i++) {
        put(d, STRANGE[i], "");
        orm_migrations all;
        const error e = orm_migrations_list(fiber_arena(), str_from_c(d->path), &all);
        assert_fails(ORM_MIGRATION_BAD, e);
        assert_non_null(strstr(str_to_c(fiber_arena(), error_detail_of(e)->text), STRANGE[i]));
        assert_int_equal(unlink(str_to_c(fiber_arena(),
                                         str_format(fiber_arena(), "%s/%s", d->path, STRANGE[i]))),
                         0);
    }
}

static void test_directory_with_a_number_twice_is_refused(void **state)
{
    const directory *d = *state;
    put(d, "0001_a.sql", "");
    put(d, "00001_b.sql", "");
    orm_migrations all;
    assert_fails(ORM_MIGRATION_BAD, orm_migrations_list(fiber_arena(), str_from_c(d->path), &all));
}

static void test_directory_with_what_is_no_file_is_refused(void **state)
{
    const directory *d = *state;
    orm_migrations all;
    const char *path = str_to_c(fiber_arena(), str_format(fiber_arena(), "%s/0001_a.sql", d->path));
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_ok(orm_migrations_list(fiber_arena(), str_from_c(d->path), &all));
    assert_fails(ORM_MIGRATION_BAD, orm_migrations_read(fiber_arena(), &all));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_fails(ORM_MIGRATION_BAD, orm_migrations_read(fiber_arena(), &all));
}

static void test_directory_with_a_file_too_large_is_refused(void **state)
{
    const directory *d = *state;
    orm_migrations all;
    put(d, "0001_a.sql", "-- migrate:up\nselect 1;\n--");
    const char *path = str_to_c(fiber_arena(), str_format(fiber_arena(), "%s/0001_a.sql", d->path));
    assert_int_equal(truncate(path, ORM_MIGRATION_BYTES_MAX + 1), 0);
    assert_ok(orm_migrations_list(fiber_arena(), str_from_c(d->path), &all));
    const error e = orm_migrations_read(fiber_arena(), &all);
    assert_fails(ORM_MIGRATION_BAD, e);
    assert_true(str_ends_with(error_detail_of(e)->text, STR("larger than 16 MiB")));
}

static void test_new_takes_the_next_number(void **state)
{
    const directory *d = *state;
    str path;
    assert_ok(orm_migration_new(fiber_arena(), str_from_c(d->path), STR("first"), &path));
    assert_true(str_ends_with(path, STR("/0001_first.sql")));
    put(d, "20240607_b.sql", "-- migrate:up\nselect 1;");
    assert_ok(orm_migration_new(fiber_arena(), str_from_c(d->path), STR("later"), &path));
    assert_true(str_ends_with(path, STR("/20240608_later.sql")));
    /* What it made is a migration that still needs its statements. */
    orm_migrations all;
    assert_ok(orm_migrations_list(fiber_arena(), str_from_c(d->path), &all));
    assert_int_equal(all.count, 3);
    const error e = orm_migrations_read(fiber_arena(), &all);
    assert_fails(ORM_MIGRATION_BAD, e);
    assert_true(str_ends_with(error_detail_of(e)->text, STR("\"-- migrate:up\" is empty")));
}

static void test_new_past_the_last_number_is_refused(void **state)
{
    const directory *d = *state;
    str path;
    put(d, "999999999999999999_z.sql", "-- migrate:up\nselect 1;");
    assert_fails(ORM_MIGRATION_BAD,
                 orm_migration_new(fiber_arena(), str_from_c(d->path), STR("later"), &path));
}

static int run(void)
{
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_of_file_is_read_strictly),
        cmocka_unit_test(test_name_of_201_bytes_is_refused),
        cmocka_unit_test(test_sections_are_found_with_their_lines),
        cmocka_unit_test(test_sections_malformed_are_refused_by_line),
        cmocka_unit_test(test_checksum_is_sha256_of_the_trimmed_section),
        IN_DIRECTORY(test_directory_lists_sql_files_by_number),
        IN_DIRECTORY(test_directory_empty_lists_nothing),
        cmocka_unit_test(test_directory_missing_fails),
        IN_DIRECTORY(test_directory_with_a_strange_name_is_refused),
        IN_DIRECTORY(test_directory_with_a_number_twice_is_refused),
        IN_DIRECTORY(test_directory_with_what_is_no_file_is_refused),
        IN_DIRECTORY(test_directory_with_a_file_too_large_is_refused),
        IN_DIRECTORY(test_new_takes_the_next_number),
        IN_DIRECTORY(test_new_past_the_last_number_is_refused),
    };
    return cmocka_run_group_tests_name("migrate_file", tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
