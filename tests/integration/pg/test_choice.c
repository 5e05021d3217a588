/* Which connection a query gets: little work stays together, and nobody waits behind a statement
 * that takes its time while another connection is there. */
#include "backlog.h"
#include "choice.h"

#include "tests/support/database.h"

static pg_pool *db;

/* A pool whose connections are all open. */
static void open_pool(uint32_t connections)
{
    pg_tx *txs[8];
    assert_true(connections <= ARRAY_LEN(txs));
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = connections }, &db));
    for (uint32_t i = 0; i < connections; i++)
        assert_ok(pg_begin(db, &txs[i]));
    for (uint32_t i = 0; i < connections; i++)
        assert_ok(pg_rollback(&txs[i]));
}

static pg_conn *acquire(pg_lane lane)
{
    pg_conn *c;
    assert_ok(pg_pool_acquire(db, lane, NULL, &c));
    return c;
}

static void test_choice_of_little_work_is_one_connection(void **state)
{
    (void)state;
    pg_conn *conns[40];
    uint32_t others = 0;
    open_pool(3);
    for (size_t i = 0; i < ARRAY_LEN(conns); i++)
        conns[i] = acquire(PG_LANE_SHARED);
    for (size_t i = 0; i < 8; i++)
        assert_ptr_equal(conns[i], conns[0]);
    for (size_t i = 8; i < ARRAY_LEN(conns); i++)
        others += conns[i] != conns[0];
    assert_true(others >= 26); /* what is more is shared out */
    assert_true(conns[0]->load <= 14);
    for (size_t i = 0; i < ARRAY_LEN(conns); i++)
        pg_pool_release(&conns[i], false);
    pg_pool_close(&db);
}

static void test_choice_for_a_transaction_is_a_connection_that_nobody_uses(void **state)
{
    (void)state;
    open_pool(3);
    pg_conn *one = acquire(PG_LANE_SHARED), *two = acquire(PG_LANE_LEASED),
            *three = acquire(PG_LANE_LEASED), *four = acquire(PG_LANE_SHARED);
    assert_true(one != two && one != three && two != three);
    assert_ptr_equal(one, four);
    pg_pool_release(&one, false);
    pg_pool_release(&two, true);
    pg_pool_release(&three, true);
    pg_pool_release(&four, false);
    pg_pool_close(&db);
}

/* --- statements that take their time ---------------------------------------------------------- */

static error sleep_long(void *arg)
{
    (void)arg;
    return pg_execute(db, NULL, "select pg_sleep(600)");
}

static error ask_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++)
        TRY(pg_execute(db, NULL, "select 1"));
    return OK;
}

static void test_choice_is_never_behind_a_statement_that_goes_on(void **state)
{
    (void)state;
    fiber *sleeping[2], *asking[20];
    const fiber_options options = { .joinable = true, .deadline_ms = 60000 };
    open_pool(3);
    for (size_t i = 0; i < ARRAY_LEN(sleeping); i++) {
        assert_ok(fiber_start(loop_self(), &options, sleep_long, NULL, &sleeping[i]));
        assert_ok(fiber_sleep(50));
    }
    for (size_t i = 0; i < ARRAY_LEN(asking); i++)
        assert_ok(fiber_start(loop_self(), &options, ask_often, NULL, &asking[i]));
    for (size_t i = 0; i < ARRAY_LEN(asking); i++)
        assert_ok(fiber_join(&asking[i]));
    for (size_t i = 0; i < ARRAY_LEN(sleeping); i++) {
        assert_non_null(fiber_waits_for(sleeping[i])); /* still */
        fiber_cancel(sleeping[i], &CANCELED);
        assert_fails(CANCELED, fiber_join(&sleeping[i]));
    }
    while (pg_pool_stats_of(db).idle < 3)
        assert_ok(fiber_sleep(10));
    pg_pool_close(&db);
}

static error sleep_awhile(void *arg)
{
    (void)arg;
    return pg_execute(db, NULL, "select pg_sleep(0.03)");
}

static void test_choice_knows_what_a_statement_takes(void **state)
{
    (void)state;
    fiber *sleeping;
    open_pool(1);
    const pg_conn *c = CONTAINER_OF(db->conns.head.next, pg_conn, node);
    assert_ok(sleep_awhile(NULL));
    assert_ok(ask_often(NULL));
    assert_int_equal(c->backlog_ns, 0);
    assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, sleep_awhile, NULL,
                          &sleeping));
    while (list_is_empty(&c->requests))
        assert_ok(fiber_yield());
    const pg_request *r = pg_request_oldest(c);
    assert_true(r->cost_ns > 20000000);
    assert_true(pg_backlog_us(c, r->since_us) > 20000); /* at once, before it is old */
    assert_true(pg_backlog_us(c, r->since_us + 3600000000) >= 3600000000);
    assert_ok(fiber_join(&sleeping));
    assert_int_equal(c->backlog_ns, 0);
    assert_int_equal(c->room.requests, 0);
    pg_pool_close(&db);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice_of_little_work_is_one_connection),
        cmocka_unit_test(test_choice_for_a_transaction_is_a_connection_that_nobody_uses),
        cmocka_unit_test(test_choice_is_never_behind_a_statement_that_goes_on),
        cmocka_unit_test(test_choice_knows_what_a_statement_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_with_database(run);
}
