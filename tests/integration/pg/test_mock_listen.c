/* Who listens while a server is slow to take LISTEN or UNLISTEN. */
#include "core/scope.h"
#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"

#define WELCOME  MOCK_AUTH_OK MOCK_UTF8 MOCK_READY /* without a key: nothing is canceled */
#define PREPARED "1\0\0\0\4t\0\0\0\6\0\0n\0\0\0\4" MOCK_READY
#define LISTENS  "2\0\0\0\4C\0\0\0\13LISTEN\0" MOCK_READY

static error listen_for_a_while(void *arg)
{
    pg_listener *l;
    return pg_listen((pg_pool *)arg, STR("x"), &l);
}

/* The server has been told to stop, and may have: what is told then is heard by nobody. */
static void test_mock_listener_that_comes_with_unlisten_under_way_waits_for_the_next_listen(
    void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        MOCK_ACCEPT,        MOCK_SEND(WELCOME), MOCK_EXPECT("PDS"), MOCK_SEND(PREPARED),
        MOCK_EXPECT("BES"), MOCK_SEND(LISTENS), MOCK_EXPECT("PDS"), MOCK_SEND(PREPARED),
        MOCK_EXPECT("BES"), /* UNLISTEN, which is not answered */
        MOCK_STALL,
    };
    mock_pg m;
    pg_pool *db;
    pg_listener *first;
    mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
    const pg_pool_options one = { .conninfo = str_from_c(m.conninfo),
                                  .connections_max = 1,
                                  .statements = PG_STATEMENTS_NAMED };
    assert_ok(pg_pool_open(&one, &db));
    assert_ok(pg_listen(db, STR("x"), &first));
    pg_unlisten(&first);
    assert_ok(fiber_sleep(20)); /* the listening fiber has run */
    assert_fails(TIMED_OUT,
                 scope_call(&(scope_options){ .deadline_ms = 1000 }, listen_for_a_while, db));
    pg_pool_close(&db);
    assert_null(mock_pg_stop(&m));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_mock_listener_that_comes_with_unlisten_under_way_waits_for_the_next_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
