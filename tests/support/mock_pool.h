/* A pool of one connection to a server that plays a script, and the one statement that it is asked
 * for there. */
#ifndef TESTS_SUPPORT_MOCK_POOL_H
#define TESTS_SUPPORT_MOCK_POOL_H

#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"

/* Steps of the server: that statement, on a new connection. */
#define MOCK_ANSWERS                                                             \
    MOCK_EXPECT("PDS"), MOCK_SEND("1\0\0\0\4t\0\0\0\6\0\0n\0\0\0\4" MOCK_READY), \
        MOCK_EXPECT("BES"), MOCK_SEND("2\0\0\0\4C\0\0\0\15SELECT 0\0" MOCK_READY)

typedef struct mock_pool {
    mock_pg server; /* started by the test */
    pg_pool *db;
} mock_pool;

/* `more`: behind its connection string. */
UNUSED static void mock_pool_open(mock_pool *m, const char *more)
{
    const str conninfo = str_format(fiber_arena(), "%s %s", m->server.conninfo, more);
    assert_ok(
        pg_pool_open(&(pg_pool_options){ .conninfo = conninfo, .connections_max = 1 }, &m->db));
}

UNUSED static error mock_pool_execute(void *arg)
{
    const mock_pool *m = arg;
    return pg_execute(m->db, NULL, "select n");
}

/* Within 20 s. */
UNUSED static error mock_pool_ask(mock_pool *m)
{
    return scope_call(&(scope_options){ .deadline_ms = 20000 }, mock_pool_execute, m);
}

/* Until nobody has a connection: the server is seen to have left. */
UNUSED static void mock_pool_await_none(const mock_pool *m)
{
    for (int i = 0; i < 4000 && pg_pool_stats_of(m->db).open > 0; i++)
        assert_ok(fiber_sleep(5));
}

/* The server must have played all of its script. */
UNUSED static void mock_pool_stop(mock_pool *m)
{
    pg_pool_close(&m->db);
    const char *problem = mock_pg_stop(&m->server);
    if (problem)
        fail_msg("%s", problem);
}

#endif
