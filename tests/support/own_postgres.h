/* A PostgreSQL of the test's own, which it may stop: made by the script that BRIO_TEST_PG names, in
 * /tmp, gone with the test. */
#ifndef TESTS_SUPPORT_OWN_POSTGRES_H
#define TESTS_SUPPORT_OWN_POSTGRES_H

#include "tests/support/http_test.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct own_postgres {
    char dir[64];
    char url[512]; /* over its Unix socket */
} own_postgres;

/* Begins "start", "stop", "kill" (as a crash) or "remove"; `command` is then a program that runs.
 */
UNUSED static void own_postgres_begin(own_postgres *pg, const char *verb, server_process *command)
{
    char parent[16];
    const bool starts = strcmp(verb, "start") == 0;
    if (!pg->dir[0])
        (void)snprintf(pg->dir, sizeof pg->dir, "/tmp/brio-own.%d", (int)getpid());
    (void)snprintf(parent, sizeof parent, "%d", (int)getpid());
    program_launch(command,
                   (const char *const[]){ getenv("BRIO_TEST_PG"), verb, pg->dir,
                                          starts ? "--throwaway" : NULL, "--parent", parent, NULL },
                   NULL);
}

UNUSED static bool own_postgres_busy(const server_process *command)
{
    siginfo_t ended = { 0 };
    assert_int_equal(waitid(P_PID, (id_t)command->pid, &ended, WEXITED | WNOHANG | WNOWAIT), 0);
    return ended.si_pid == 0;
}

/* Waits until it is done; a start tells the URL. */
UNUSED static void own_postgres_end(own_postgres *pg, server_process *command)
{
    char said[4096];
    const int status = program_end(command, said, sizeof said);
    if (status != 0)
        print_error("%s: %s", pg->dir, said);
    assert_int_equal(status, 0);
    if (strncmp(said, "postgresql:", 11) == 0)
        (void)snprintf(pg->url, sizeof pg->url, "%.*s", (int)strcspn(said, "\n"), said);
}

UNUSED static void own_postgres_do(own_postgres *pg, const char *verb)
{
    server_process command;
    own_postgres_begin(pg, verb, &command);
    own_postgres_end(pg, &command);
}

#endif
