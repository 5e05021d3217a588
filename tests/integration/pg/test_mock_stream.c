/* Streams of rows whose server forgets statements at the wrong moment. */
#include "core/scope.h"
#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"

#define WELCOME    MOCK_AUTH_OK MOCK_UTF8 MOCK_READY /* without a key: nothing is canceled */
#define PARSED     "1\0\0\0\4t\0\0\0\6\0\0n\0\0\0\4"
#define ONE_COLUMN "T\0\0\0\32\0\1n\0\0\0\0\0\0\0\0\0\0\24\0\10\377\377\377\377\0\0"
#define BEGAN      "2\0\0\0\4C\0\0\0\12BEGIN\0"
#define UNDONE     "2\0\0\0\4C\0\0\0\15ROLLBACK\0"
#define UNKNOWN    "E\0\0\0\40SERROR\0VERROR\0C26000\0Mgone\0\0"
#define IN_TX      "Z\0\0\0\5T"
#define BROKEN     "Z\0\0\0\5E"

static error open_stream(void *arg)
{
    pg_stream *s;
    return pg_stream_open(pg_read_only((pg_pool *)arg), &s, "select 1::int8 as n");
}

/* It would run again; but its transaction could not be undone in time, and has the connection. */
static void test_mock_stream_whose_deadline_passes_before_it_runs_again_is_late(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        MOCK_ACCEPT,
        MOCK_SEND(WELCOME),
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PARSED MOCK_READY),
        MOCK_EXPECT("BES"),
        MOCK_SEND(BEGAN IN_TX),
        MOCK_EXPECT("PDS"),
        MOCK_SEND("1\0\0\0\4t\0\0\0\6\0\0" ONE_COLUMN IN_TX),
        MOCK_EXPECT("BES"),
        MOCK_SEND(UNKNOWN BROKEN),
        MOCK_EXPECT("CCPDS"),
        MOCK_PAUSE(1100),
        MOCK_SEND("3\0\0\0\4"
                  "3\0\0\0\4" PARSED BROKEN),
        MOCK_EXPECT("BES"),
        MOCK_SEND(UNDONE MOCK_READY),
        MOCK_STALL,
    };
    mock_pg m;
    pg_pool *db;
    mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
    const pg_pool_options one = { .conninfo = str_from_c(m.conninfo),
                                  .connections_max = 1,
                                  .statements = PG_STATEMENTS_NAMED };
    assert_ok(pg_pool_open(&one, &db));
    assert_fails(TIMED_OUT, scope_call(&(scope_options){ .deadline_ms = 1000 }, open_stream, db));
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
    pg_pool_close(&db);
    const char *problem = mock_pg_stop(&m);
    assert_string_equal(problem ? problem : "", "");
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mock_stream_whose_deadline_passes_before_it_runs_again_is_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
