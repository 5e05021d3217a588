/* Cutting SQL into statements: what hides a semicolon, what a migration must not say. */
#include "migrate_script.h"

#include "orm/migrate.h"
#include "tests/support/in_fiber.h"

#define STATEMENTS_MAX 5

typedef struct cut_row {
    const char *name;
    const char *text;
    const char *statements[STATEMENTS_MAX]; /* as many as there are */
    uint32_t lines[STATEMENTS_MAX];
} cut_row;

static const cut_row CUTS[] = {
    { "nothing", "", { NULL }, { 0 } },
    { "only space", " \t\r\n\v\f ", { NULL }, { 0 } },
    { "only comments", "-- a; b\n/* c; */", { NULL }, { 0 } },
    { "only semicolons", ";; ;\n;", { NULL }, { 0 } },
    { "without a semicolon", "select 1", { "select 1" }, { 1 } },
    { "two", "select 1;\nselect 2;\n", { "select 1", "select 2" }, { 1, 2 } },
    { "two on a line", "select 1;select 2", { "select 1", "select 2" }, { 1, 1 } },
    { "over lines", "\n\nselect\n1\n;\n\n select 2;", { "select\n1", "select 2" }, { 3, 7 } },
    { "CRLF", "select 1;\r\nselect 2;\r\n", { "select 1", "select 2" }, { 1, 2 } },
    { "comments around",
      "-- x;\nselect 1 /* ; */ + 1 -- ;\n; -- y",
      { "select 1 /* ; */ + 1" },
      { 2 } },
    { "nested comment",
      "select /* a /* ; */ ; */ 1; select 2",
      { "select /* a /* ; */ ; */ 1", "select 2" },
      { 1, 1 } },
    { "line comment at the end", "select 1; -- no line break", { "select 1" }, { 1 } },
    { "minus minus in a string",
      "select '--', 1; select 2",
      { "select '--', 1", "select 2" },
      { 1, 1 } },
    { "string", "select 'a;b'; select 2", { "select 'a;b'", "select 2" }, { 1, 1 } },
    { "doubled quote", "select 'a'';b'; select 2", { "select 'a'';b'", "select 2" }, { 1, 1 } },
    { "backslash ends no plain string",
      "select 'a\\'; select 2",
      { "select 'a\\'", "select 2" },
      { 1, 1 } },
    { "escape string", "select E'a\\';b'; select 2", { "select E'a\\';b'", "select 2" }, { 1, 1 } },
    { "escape string, small e",
      "select e'\\\\'; select 2",
      { "select e'\\\\'", "select 2" },
      { 1, 1 } },
    { "escape string goes on",
      "select E'a'\n '\\';'; select 2",
      { "select E'a'\n '\\';'", "select 2" },
      { 1, 2 } },
    { "escape string on one line does not",
      "select E'a' '\\'; select 2",
      { "select E'a' '\\'", "select 2" },
      { 1, 1 } },
    { "name that ends in e",
      "select 1 as type'\\'; select 2",
      { "select 1 as type'\\'", "select 2" },
      { 1, 1 } },
    { "quoted name",
      "select 1 as \"a;\"\"b\"; select 2",
      { "select 1 as \"a;\"\"b\"", "select 2" },
      { 1, 1 } },
    { "unicode string",
      "select U&'a;b', u&\"c;d\"; select 2",
      { "select U&'a;b', u&\"c;d\"", "select 2" },
      { 1, 1 } },
    { "dollar quote", "select $$a;'b$$; select 2", { "select $$a;'b$$", "select 2" }, { 1, 1 } },
    { "tagged dollar quote",
      "do $x$ begin; $$;$$ $X$; end $x$; select 2",
      { "do $x$ begin; $$;$$ $X$; end $x$", "select 2" },
      { 1, 1 } },
    { "dollar in a name", "select a$b$; select 2", { "select a$b$", "select 2" }, { 1, 1 } },
    { "parameter", "select $1; select $2", { "select $1", "select $2" }, { 1, 1 } },
    { "numbers", "select 1.5e3, 0x1f; select 2", { "select 1.5e3, 0x1f", "select 2" }, { 1, 1 } },
    { "rule",
      "create rule r as on insert to t do (select 1; select 2); select 3",
      { "create rule r as on insert to t do (select 1; select 2)", "select 3" },
      { 1, 1 } },
    { "closing without opening", "select 1); select 2", { "select 1)", "select 2" }, { 1, 1 } },
    { "routine body",
      "create function f() returns int begin atomic select 1; select 2; end;\nselect 3",
      { "create function f() returns int begin atomic select 1; select 2; end", "select 3" },
      { 1, 2 } },
    { "routine body with case",
      "Create Or Replace Procedure p() Begin Atomic select case when true then 1 end; end; select 3",
      { "Create Or Replace Procedure p() Begin Atomic select case when true then 1 end; end",
        "select 3" },
      { 1, 1 } },
    { "case outside a routine",
      "select case when true then 1 end; select 2",
      { "select case when true then 1 end", "select 2" },
      { 1, 1 } },
    { "atomic outside a routine",
      "select 1 as begin atomic; select 2",
      { "select 1 as begin atomic", "select 2" },
      { 1, 1 } },
    { "UTF-8 name",
      "select 1 as \xc3\xa4; select 2",
      { "select 1 as \xc3\xa4", "select 2" },
      { 1, 1 } },
    { "savepoints",
      "savepoint a; rollback to a; rollback work to savepoint a; release a",
      { "savepoint a", "rollback to a", "rollback work to savepoint a", "release a" },
      { 1, 1, 1, 1 } },
    { "copy on the server",
      "copy t from '/dev/null'; copy t to '/tmp/from stdin'",
      { "copy t from '/dev/null'", "copy t to '/tmp/from stdin'" },
      { 1, 1 } },
    { "prepare",
      "prepare p as select 1; deallocate p",
      { "prepare p as select 1", "deallocate p" },
      { 1, 1 } },
    { "words of control elsewhere",
      "select 1 as commit; comment on table t is 'begin'",
      { "select 1 as commit", "comment on table t is 'begin'" },
      { 1, 1 } },
};

static void test_script_text_gives_statements(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CUTS); i++) {
        const cut_row *row = &CUTS[i];
        orm_script script;
        orm_statement s;
        orm_script_init(&script, STR("f.sql"), str_from_c(row->text), 1);
        for (size_t k = 0; k < STATEMENTS_MAX && row->statements[k]; k++) {
            assert_ok(orm_script_next(&script, &s));
            if (!str_eq(s.sql, str_from_c(row->statements[k])) || s.line != row->lines[k])
                fail_msg("%s: statement %zu is \"%.*s\" in line %u", row->name, k, STR_ARG(s.sql),
                         s.line);
        }
        assert_ok(orm_script_next(&script, &s));
        if (s.sql.len != 0)
            fail_msg("%s: one more statement, \"%.*s\"", row->name, STR_ARG(s.sql));
        assert_ok(orm_script_next(&script, &s)); /* and the end stays the end */
        assert_int_equal(s.sql.len, 0);
    }
}

typedef struct refused_row {
    const char *name;
    const char *text;
    uint32_t line; /* where the message says it is */
} refused_row;

static const refused_row REFUSED[] = {
    { "string", "select 1 +\n\n'abc;", 3 },
    { "string that ends in a doubled quote", "select 'abc''", 1 },
    { "escape string", "select E'abc\\'", 1 },
    { "escape string with a last backslash", "select E'abc\\", 1 },
    { "escape string that goes on", "select E'abc'\n'", 1 },
    { "quoted name", "select \"abc;", 1 },
    { "dollar quote", "select 1,\n$a$ $b$ $A$ $", 2 },
    { "comment", "select 1;\n\n/* /* */ ;", 3 },
    { "begin", "begin", 1 },
    { "begin work", "\nBEGIN WORK;", 2 },
    { "start", "start transaction", 1 },
    { "commit", "-- so\n/* and */ Commit and chain", 2 },
    { "end", "end", 1 },
    { "abort", "abort", 1 },
    { "rollback", "rollback", 1 },
    { "rollback work", "rollback work", 1 },
    { "rollback prepared", "rollback prepared 'x'", 1 },
    { "prepare transaction", "prepare transaction 'x'", 1 },
    { "copy from the client", "copy t (a, b) from\nstdin with (format csv)", 1 },
    { "copy to the client", "copy (select 1) to STDOUT", 1 },
    { "psql's include", "\\i other.sql", 1 },
};

static void test_script_unfit_statement_is_refused_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(REFUSED); i++) {
        const refused_row *row = &REFUSED[i];
        orm_script script;
        orm_statement s = { .sql = STR("x") };
        orm_script_init(&script, STR("f.sql"), str_from_c(row->text), 1);
        error e = OK;
        while (!e.kind && s.sql.len > 0)
            e = orm_script_next(&script, &s);
        if (!error_is(e, &ORM_MIGRATION_BAD))
            fail_msg("%s: was not refused", row->name);
        char expected[32];
        (void)snprintf(expected, sizeof expected, "f.sql:%u: ", row->line);
        if (!str_starts_with(error_detail_of(e)->text, str_from_c(expected)))
            fail_msg("%s: %.*s", row->name, STR_ARG(error_detail_of(e)->text));
    }
}

/* Every byte sequence ends, and what it gives lies within. */
static void test_script_random_text_stays_in_bounds(void **state)
{
    (void)state;
    static const char *const PIECES[] = { "'",
                                          "\"",
                                          "$$",
                                          "$a$",
                                          "$",
                                          "E'",
                                          "\\",
                                          ";",
                                          "(",
                                          ")",
                                          "/*",
                                          "*/",
                                          "--",
                                          "\n",
                                          "a",
                                          " ",
                                          "begin atomic ",
                                          "create function ",
                                          "end ",
                                          "case ",
                                          "1",
                                          "\xff" };
    const unsigned seed = 20240607;
    unsigned r = seed;
    for (int round = 0; round < 20000; round++) {
        char text[64];
        size_t len = 0;
        while (len < 40) {
            r = r * 1103515245u + 12345u;
            const char *piece = PIECES[(r >> 16) % ARRAY_LEN(PIECES)];
            memcpy(text + len, piece, strlen(piece));
            len += strlen(piece);
        }
        char *exact = malloc(len); /* so that a byte too far is seen */
        assert_non_null(exact);
        memcpy(exact, text, len);
        orm_script script;
        orm_statement s = { .sql = STR("x") };
        orm_script_init(&script, STR("f"), (str){ exact, len }, 1);
        error e = OK;
        for (size_t n = 0; !e.kind && s.sql.len > 0; n++) {
            e = orm_script_next(&script, &s);
            if (n > len || s.sql.ptr < exact || s.sql.ptr + s.sql.len > exact + len)
                fail_msg("seed %u, round %d: \"%.*s\"", seed, round, (int)len, exact);
        }
        free(exact);
    }
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_script_text_gives_statements),
        cmocka_unit_test(test_script_unfit_statement_is_refused_with_its_line),
        cmocka_unit_test(test_script_random_text_stays_in_bounds),
    };
    return cmocka_run_group_tests_name("migrate_script", tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
