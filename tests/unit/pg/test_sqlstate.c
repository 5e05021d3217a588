/* SQLSTATEs: the list against those of the servers that are installed, and errors by them. */
#include "pg/sqlstate.h"
#include "tests/support/in_fiber.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#define FEWEST 200 /* codes of a server: fewer were not read right */

/* --- against servers -------------------------------------------------------------------------- */

/* One line of errcodes.txt: "23505 E ERRCODE_UNIQUE_VIOLATION unique_violation". False: none. */
static bool check_line(const char *line, const char *file)
{
    char code[8], kind[4], macro[128], name[128];
    const int fields = sscanf(line, "%7s %3s ERRCODE_%127s %127s", code, kind, macro, name);
    if (fields < 4 || strlen(code) != 5 || line[0] == '#')
        return false;
    const pg_sqlstate state = pg_sqlstate_parse(str_from_c(code));
    if (state == PG_SQLSTATE_UNKNOWN)
        fail_msg("%s has %s (%s), the list has not", file, code, name);
    if (!str_eq(pg_sqlstate_name(state), str_from_c(name)))
        fail_msg("%s calls %s %s", file, code, name);
    return true;
}

static size_t check_file(const char *file)
{
    char line[512];
    size_t count = 0;
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        count += check_line(line, file);
    assert_int_equal(fclose(f), 0);
    return count;
}

static void test_sqlstates_are_those_of_the_servers_here(void **state)
{
    (void)state;
    glob_t found = { 0 };
    char newer[512];
    const char *bin = getenv("BRIO_TEST_PG18");
    const int missing = glob("/usr/share/postgresql/*/errcodes.txt", 0, NULL, &found);
    assert_true(missing == 0 || missing == GLOB_NOMATCH);
    for (size_t i = 0; i < found.gl_pathc; i++)
        assert_true(check_file(found.gl_pathv[i]) >= FEWEST);
    if (bin && bin[0]) {
        (void)snprintf(newer, sizeof newer, "%s/../share/postgresql/errcodes.txt", bin);
        assert_true(check_file(newer) >= FEWEST);
    } else if (found.gl_pathc == 0) {
        print_message("no server is installed: nothing to compare with\n");
        skip();
    }
    globfree(&found);
}

/* --- codes and names -------------------------------------------------------------------------- */

static void test_sqlstate_code_is_found_by_code(void **state)
{
    (void)state;
    static const char *const codes[] = { "",
#define CODE_OF(name, code, text) code,
                                         PG_SQLSTATES(CODE_OF)
#undef CODE_OF
    };
    for (size_t i = 1; i < ARRAY_LEN(codes); i++) {
        assert_int_equal(pg_sqlstate_parse(str_from_c(codes[i])), i);
        assert_str_equal(pg_sqlstate_code((pg_sqlstate)i), str_from_c(codes[i]));
        assert_true(pg_sqlstate_name((pg_sqlstate)i).len > 0);
    }
    assert_int_equal(pg_sqlstate_parse(STR("23505")), PG_SQLSTATE_UNIQUE_VIOLATION);
    assert_str_equal(pg_sqlstate_name(PG_SQLSTATE_UNIQUE_VIOLATION), STR("unique_violation"));
}

static void test_sqlstate_that_nobody_knows_is_unknown(void **state)
{
    (void)state;
    static const str rows[] = { { "ZZ999", 5 }, { "00000 ", 6 }, { "2350", 4 },
                                { NULL, 0 },    { "!!!!!", 5 },  { "~~~~~", 5 } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(pg_sqlstate_parse(rows[i]), PG_SQLSTATE_UNKNOWN);
    assert_int_equal(pg_sqlstate_code(PG_SQLSTATE_UNKNOWN).len, 0);
}

/* --- errors ----------------------------------------------------------------------------------- */

static error fail_with(const char *code)
{
    const error e = error_set(&PG_FAILED, "as the server says");
    error_add_sqlstate(code, STR_NONE, NULL);
    return e;
}

static void test_error_has_the_code_of_its_nearest_cause(void **state)
{
    (void)state;
    const error e = error_wrap(fail_with("42701"), &PG_INVALID_ARGUMENT, "around it");
    assert_int_equal(pg_sqlstate_of(e), PG_SQLSTATE_DUPLICATE_COLUMN);
    assert_true(pg_error_in_class(e, "42"));
    assert_false(pg_error_in_class(e, "23"));
}

static void test_error_of_an_unknown_code_has_its_class(void **state)
{
    (void)state;
    const error e = fail_with("23ZZZ");
    assert_int_equal(pg_sqlstate_of(e), PG_SQLSTATE_UNKNOWN);
    assert_true(pg_error_in_class(e, "23"));
}

static void test_error_without_a_server_has_no_code(void **state)
{
    (void)state;
    const error e = error_set(&PG_CONNECT_FAILED, "nobody there");
    assert_int_equal(pg_sqlstate_of(e), PG_SQLSTATE_UNKNOWN);
    assert_false(pg_error_in_class(e, "08"));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sqlstates_are_those_of_the_servers_here),
        cmocka_unit_test(test_sqlstate_code_is_found_by_code),
        cmocka_unit_test(test_sqlstate_that_nobody_knows_is_unknown),
        cmocka_unit_test(test_error_has_the_code_of_its_nearest_cause),
        cmocka_unit_test(test_error_of_an_unknown_code_has_its_class),
        cmocka_unit_test(test_error_without_a_server_has_no_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
