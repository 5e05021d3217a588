/* What the tests of connection strings share: an environment without PG* variables, and without a
 * home that has files. */
#ifndef TESTS_UNIT_PG_CONNINFO_TEST_H
#define TESTS_UNIT_PG_CONNINFO_TEST_H

#include "conninfo.h"

#include "tests/support/exact_copy.h"
#include "tests/support/in_fiber.h"

#include <pwd.h>
#include <unistd.h>

static arena memory;

static inline int set_up(void **state)
{
    (void)state;
    static const char *const VARIABLES[] = {
        "PGAPPNAME",
        "PGCHANNELBINDING",
        "PGCLIENTENCODING",
        "PGCONNECT_TIMEOUT",
        "PGDATABASE",
        "PGDATESTYLE",
        "PGGEQO",
        "PGGSSENCMODE",
        "PGHOST",
        "PGHOSTADDR",
        "PGLOADBALANCEHOSTS",
        "PGMAXPROTOCOLVERSION",
        "PGMINPROTOCOLVERSION",
        "PGOPTIONS",
        "PGPASSFILE",
        "PGPASSWORD",
        "PGPORT",
        "PGREQUIREAUTH",
        "PGREQUIREPEER",
        "PGREQUIRESSL",
        "PGSERVICE",
        "PGSERVICEFILE",
        "PGSSLCERT",
        "PGSSLCERTMODE",
        "PGSSLCOMPRESSION",
        "PGSSLCRL",
        "PGSSLCRLDIR",
        "PGSSLKEY",
        "PGSSLMAXPROTOCOLVERSION",
        "PGSSLMINPROTOCOLVERSION",
        "PGSSLMODE",
        "PGSSLNEGOTIATION",
        "PGSSLROOTCERT",
        "PGSSLSNI",
        "PGSYSCONFDIR",
        "PGTARGETSESSIONATTRS",
        "PGTZ",
        "PGUSER",
    };
    for (size_t i = 0; i < ARRAY_LEN(VARIABLES); i++)
        unsetenv(VARIABLES[i]);
    setenv("HOME", "/nonexistent", 1); /* with no files of the user's */
    setenv("PGSYSCONFDIR", "/nonexistent", 1);
    arena_init(&memory, 1 << 20);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    arena_deinit(&memory);
    return 0;
}

/* Parses memory of exactly the text's size, which is gone when the result is looked at. */
static inline error parse(str text, pg_conninfo *out)
{
    const str copy = exact_copy(text);
    const error e = pg_conninfo_parse(&memory, copy, out);
    exact_free(copy);
    return e;
}

static inline str system_user(void)
{
    const struct passwd *entry = getpwuid(geteuid());
    return entry ? str_from_c(entry->pw_name) : STR("");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
