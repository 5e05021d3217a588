/* What other clients of PostgreSQL have fallen into, against a real server; README.md beside this
 * says which trap is tested where. */
#include "tests/support/database.h"

#define ASKERS       300 /* many times what one connection takes at once */
#define PARAM_BYTES  ((size_t)10 << 20)
#define FLOOD_ROUNDS 6

static pg_pool *db;
static uint32_t inside, asked;

static int open_pool(void **state)
{
    (void)state;
    assert_ok(
        pg_pool_open(&(pg_pool_options){ .connections_max = 2, .acquire_timeout_ms = 20000 }, &db));
    assert_ok(pg_execute(db, NULL, "drop table if exists traps"));
    assert_ok(pg_execute(db, NULL, "create table traps (n bigint)"));
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "drop table traps"));
    pg_pool_close(&db);
    return 0;
}

/* --- BEGIN among the statements of others ------------------------------------------------------
 */

static error look_at_the_table(void *arg)
{
    (void)arg;
    pg_rows rows;
    int64_t n = -1;
    TRY(pg_query(db, &rows, "select count(*) from traps"));
    TRY(pg_get(&rows, 0, 0, &n));
    inside += n != 0;
    asked++;
    return OK;
}

static error insert_and_roll_back(void *arg)
{
    (void)arg;
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    for (int i = 0; i < 5; i++)
        TRY(pg_execute(tx, NULL, "insert into traps values (1)"));
    return pg_rollback(&tx);
}

/* Every connection is as full as it can be when transactions begin: a statement of another that got
 * into one would see its rows. */
static void test_trap_begin_among_many_statements_takes_none_of_them_in(void **state)
{
    (void)state;
    fiber *fibers[ASKERS];
    for (int i = 0; i < ASKERS; i++)
        assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true },
                              i % 20 == 10 ? insert_and_roll_back : look_at_the_table, NULL,
                              &fibers[i]));
    for (int i = 0; i < ASKERS; i++)
        assert_ok(fiber_join(&fibers[i]));
    assert_int_equal(inside, 0);
    assert_int_equal(asked, ASKERS - ASKERS / 20);
}

/* --- both ends write ----------------------------------------------------------------------------
 */

static error send_into_a_flood(void *arg)
{
    const int64_t *own = arg;
    char *bytes = arena_alloc(fiber_arena(), PARAM_BYTES, 1);
    memset(bytes, 'a' + (int)*own, PARAM_BYTES);
    pg_rows rows;
    int64_t back = -1;
    TRY(pg_query(db, &rows, "select traps_flood($1, $2)", *own, ((str){ bytes, PARAM_BYTES })));
    TRY(pg_get(&rows, 0, 0, &back));
    return back == *own ? OK : error_set(&PG_FAILED, "another's row");
}

/* The server says thousands of notices and reads nothing meanwhile; the client sends parameters of
 * ten megabytes one behind the other. Whoever only writes until it is done waits for ever. */
static void test_trap_flood_of_notices_meets_large_parameters(void **state)
{
    (void)state;
    fiber *fibers[FLOOD_ROUNDS];
    int64_t own[FLOOD_ROUNDS];
    assert_ok(pg_execute(db, NULL,
                         "create or replace function traps_flood(own bigint, t text) returns "
                         "bigint language plpgsql as $$ begin for i in 1..3000 loop raise notice "
                         "'%', repeat('x', 1000); end loop; return own; end $$"));
    for (int i = 0; i < FLOOD_ROUNDS; i++) {
        own[i] = i;
        assert_ok(fiber_start(loop_self(),
                              &(fiber_options){ .joinable = true, .deadline_ms = 100000 },
                              send_into_a_flood, &own[i], &fibers[i]));
    }
    for (int i = 0; i < FLOOD_ROUNDS; i++)
        assert_ok(fiber_join(&fibers[i]));
    assert_ok(pg_execute(db, NULL, "drop function traps_flood"));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_begin_among_many_statements_takes_none_of_them_in),
        cmocka_unit_test(test_trap_flood_of_notices_meets_large_parameters),
    };
    return cmocka_run_group_tests_name("pg traps", tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
