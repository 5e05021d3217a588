/* A PostgreSQL of the test's own, which it may stop: made by the script that BRIO_TEST_PG names, in
 * /tmp, gone with the test. */
#ifndef TESTS_SUPPORT_OWN_POSTGRES_H
#define TESTS_SUPPORT_OWN_POSTGRES_H

#include "tests/support/in_fiber.h"

#include <poll.h>
#include <unistd.h>

typedef struct own_postgres {
    char dir[64];
    char url[512]; /* over its Unix socket */
    FILE *command; /* what runs, between begin and end */
} own_postgres;

/* Begins "start", "stop", "kill" (as a crash), "promote" or "remove" and does not wait for it. */
UNUSED static void own_postgres_begin(own_postgres *pg, const char *verb)
{
    char line[512], options[64] = "";
    if (!pg->dir[0])
        (void)snprintf(pg->dir, sizeof pg->dir, "/tmp/brio-own.%d", (int)getpid());
    if (strcmp(verb, "start") == 0)
        (void)snprintf(options, sizeof options, "--throwaway --parent %d", (int)getpid());
    (void)snprintf(line, sizeof line, "%s %s %s %s", getenv("BRIO_TEST_PG"), verb, pg->dir,
                   options);
    pg->command = popen(line, "re");
    assert_non_null(pg->command);
}

UNUSED static bool own_postgres_busy(const own_postgres *pg)
{
    struct pollfd ended = { .fd = fileno(pg->command), .events = POLLIN };
    return poll(&ended, 1, 0) == 0;
}

/* Waits until it is done; a start tells the URL. */
UNUSED static void own_postgres_end(own_postgres *pg)
{
    char said[sizeof pg->url];
    while (fgets(said, sizeof said, pg->command)) {
        if (strncmp(said, "postgresql:", 11) == 0)
            (void)snprintf(pg->url, sizeof pg->url, "%.*s", (int)strcspn(said, "\n"), said);
    }
    assert_int_equal(pclose(pg->command), 0);
}

/* Makes and starts a streaming standby of one that runs. */
UNUSED static void own_postgres_standby(own_postgres *pg, const own_postgres *of)
{
    char line[512];
    (void)snprintf(line, sizeof line, "%s standby %s %s --parent %d", getenv("BRIO_TEST_PG"),
                   pg->dir, of->dir, (int)getpid());
    pg->command = popen(line, "re");
    assert_non_null(pg->command);
    own_postgres_end(pg);
}

UNUSED static void own_postgres_do(own_postgres *pg, const char *verb)
{
    own_postgres_begin(pg, verb);
    own_postgres_end(pg);
}

#endif
