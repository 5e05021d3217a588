/* The read-only lane against a real server: batches of many fibers' reads, in which nobody gets
 * another's rows, error or fate. */
#include "core/scope.h"
#include "tests/support/database.h"

#define ROUNDS 50

static pg_pool *db;

static int open_pool(void **state)
{
    (void)state;
    assert_ok(pg_pool_open(NULL, &db));
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    pg_pool_close(&db);
    return 0;
}

static error read_number(int64_t number)
{
    pg_rows rows;
    int64_t found = -1;
    TRY(pg_query(pg_read_only(db), &rows, "select $1::int8 where $1 >= 0", number));
    invariant(rows.count == 1 && rows.column_count == 1);
    TRY(pg_get(&rows, 0, 0, &found));
    return found == number ? OK : error_set(&PG_FAILED, "%ld instead", (long)found);
}

static error read_own_numbers(void *arg)
{
    const intptr_t reader = (intptr_t)arg;
    for (int i = 0; i < ROUNDS; i++)
        TRY(read_number(reader * ROUNDS + i));
    return OK;
}

static void test_read_only_fibers_get_their_own_rows(void **state)
{
    (void)state;
    wait_group group;
    wait_group_init(&group);
    for (intptr_t i = 0; i < WAIT_GROUP_MAX; i++)
        assert_ok(wait_group_start(&group, read_own_numbers, (void *)i));
    assert_ok(wait_group_wait(&group));
}

/* In one batch now() is the same: the server has made one transaction of it. */
static error read_now(void *arg)
{
    pg_rows rows;
    TRY(pg_query(pg_read_only(db), &rows, "select now()"));
    return pg_get(&rows, 0, 0, (timestamptz *)arg);
}

static void test_read_only_fibers_that_ask_at_once_share_a_transaction(void **state)
{
    (void)state;
    timestamptz times[20];
    wait_group group;
    assert_ok(read_now(&times[0])); /* prepared, so that all are ready to ask at once */
    wait_group_init(&group);
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        assert_ok(wait_group_start(&group, read_now, &times[i]));
    assert_ok(wait_group_wait(&group));
    for (size_t i = 1; i < ARRAY_LEN(times); i++)
        assert_int_equal(times[i].us, times[0].us);
}

typedef struct division {
    int32_t by;
    int32_t result;
    const error_kind *failure;
} division;

static error divide(void *arg)
{
    division *d = arg;
    pg_rows rows;
    error e = pg_query(pg_read_only(db), &rows, "select 1000 / $1::int4", d->by);
    if (!e.kind)
        e = pg_get(&rows, 0, 0, &d->result);
    d->failure = e.kind;
    return OK;
}

/* The server skips what stands behind an error in its batch; they are asked again. */
static void test_read_only_error_is_its_own_readers(void **state)
{
    (void)state;
    division divisions[40];
    for (int round = 0; round < 5; round++) {
        wait_group group;
        wait_group_init(&group);
        for (int i = 0; i < (int)ARRAY_LEN(divisions); i++) {
            divisions[i] = (division){ .by = i % 7 };
            assert_ok(wait_group_start(&group, divide, &divisions[i]));
        }
        assert_ok(wait_group_wait(&group));
        for (int i = 0; i < (int)ARRAY_LEN(divisions); i++) {
            assert_int_equal(divisions[i].failure != NULL, i % 7 == 0);
            if (i % 7 > 0)
                assert_int_equal(divisions[i].result, 1000 / (i % 7));
        }
    }
}

static void test_read_only_writes_are_refused_by_the_server(void **state)
{
    (void)state;
    pg_rows rows;
    int64_t count;
    assert_ok(pg_execute(db, NULL, "drop table if exists not_to_be_written"));
    assert_ok(pg_execute(db, NULL, "create table not_to_be_written (a int)"));
    assert_fails(PG_READ_ONLY,
                 pg_execute(pg_read_only(db), NULL, "insert into not_to_be_written values (1)"));
    assert_fails(PG_READ_ONLY, pg_execute(pg_read_only(db), NULL, "drop table not_to_be_written"));
    assert_ok(pg_query(pg_read_only(db), &rows, "select count(*) from not_to_be_written"));
    assert_ok(pg_get(&rows, 0, 0, &count));
    assert_int_equal(count, 0);
    assert_ok(pg_execute(db, NULL, "insert into not_to_be_written values (1)"));
    assert_ok(pg_execute(db, NULL, "drop table not_to_be_written"));
}

static void test_read_only_statement_whose_columns_changed_is_prepared_again(void **state)
{
    (void)state;
    pg_rows rows;
    assert_ok(pg_execute(db, NULL, "drop table if exists lane_changing"));
    assert_ok(pg_execute(db, NULL, "create table lane_changing (a int)"));
    assert_ok(pg_query(pg_read_only(db), &rows, "select * from lane_changing"));
    assert_int_equal(rows.column_count, 1);
    assert_ok(pg_execute(db, NULL, "alter table lane_changing add b text"));
    assert_ok(pg_query(pg_read_only(db), &rows, "select * from lane_changing"));
    assert_int_equal(rows.column_count, 2);
    assert_ok(pg_execute(db, NULL, "drop table lane_changing"));
}

static error sleep_in_lane(void *arg)
{
    pg_rows rows;
    (void)arg;
    return pg_query(pg_read_only(db), &rows, "select pg_sleep(30)");
}

static error sleep_in_lane_for_a_moment(void *arg)
{
    return scope_call(&(scope_options){ .deadline_ms = 50 }, sleep_in_lane, arg);
}

static error give_up_on_many(void *arg)
{
    (void)arg;
    wait_group group;
    wait_group_init(&group);
    for (int i = 0; i < 10; i++)
        TRY(wait_group_start(&group, sleep_in_lane, NULL));
    return wait_group_wait(&group);
}

/* Both those that were sent and those that were still held are forgotten; what hangs is canceled.
 */
static void test_read_only_given_up_is_dropped_and_the_lane_goes_on(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_fails(TIMED_OUT, sleep_in_lane_for_a_moment(NULL));
    assert_fails(TIMED_OUT,
                 scope_call(&(scope_options){ .deadline_ms = 50 }, give_up_on_many, NULL));
    assert_ok(read_own_numbers((void *)(intptr_t)3));
}

static error end_the_lane(void *arg)
{
    (void)arg;
    return pg_execute(db, NULL,
                      "select pg_terminate_backend(pid) from pg_stat_activity where pid in "
                      "(select pid from pg_stat_activity where query like '%lane to be ended%') "
                      "and pid <> pg_backend_pid()");
}

static error sleep_until_ended(void *arg)
{
    pg_rows rows;
    (void)arg;
    return pg_query(pg_read_only(db), &rows, "select pg_sleep(30) /* lane to be ended */");
}

static void test_read_only_lost_connection_fails_its_readers_and_is_opened_again(void **state)
{
    (void)state;
    wait_group group;
    wait_group_init(&group);
    assert_ok(wait_group_start(&group, sleep_until_ended, NULL));
    assert_ok(fiber_sleep(200));
    assert_ok(end_the_lane(NULL));
    const error e = wait_group_wait(&group);
    assert_ptr_equal(e.kind, &PG_CONNECTION_LOST);
    assert_ok(read_own_numbers((void *)(intptr_t)5));
}

/* --- what one read does to the others ----------------------------------------------------------
 */

static error wait_for_the_lock(void *arg)
{
    (void)arg;
    return pg_execute(pg_read_only(db), NULL, "select pg_advisory_xact_lock_shared(726354)");
}

/* The slow one ends when the test lets it: whoever came behind it would never be answered. */
static void test_read_only_slow_one_does_not_hold_up_the_next(void **state)
{
    (void)state;
    pg_tx *tx;
    wait_group group;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "select pg_advisory_xact_lock(726354)"));
    wait_group_init(&group);
    assert_ok(wait_group_start(&group, wait_for_the_lock, NULL));
    assert_ok(fiber_sleep(50));
    assert_ok(read_own_numbers((void *)(intptr_t)7));
    assert_ok(pg_commit(&tx));
    assert_ok(wait_group_wait(&group));
}

static error show_isolation(pg_target on, str *out)
{
    pg_rows rows;
    TRY(pg_query(on, &rows, "show transaction_isolation"));
    return pg_get(&rows, 0, 0, out);
}

/* In a batch, which is one transaction, each statement is to see what is committed by then. */
static void test_read_only_is_read_committed_whatever_sessions_begin_with(void **state)
{
    (void)state;
    const char *mode = getenv("PG_STATEMENTS");
    pg_pool *strict;
    str isolation;
    if (mode && strcmp(mode, "named") != 0)
        skip(); /* there the session is not ours */
    assert_int_equal(setenv("PGOPTIONS", "-c default_transaction_isolation=serializable", 1), 0);
    assert_ok(pg_pool_open(NULL, &strict));
    assert_int_equal(unsetenv("PGOPTIONS"), 0);
    assert_ok(show_isolation(PG_TARGET(strict), &isolation));
    assert_str_equal(isolation, STR("serializable"));
    assert_ok(show_isolation(pg_read_only(strict), &isolation));
    assert_str_equal(isolation, STR("read committed"));
    pg_pool_close(&strict);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_only_fibers_get_their_own_rows),
        cmocka_unit_test(test_read_only_fibers_that_ask_at_once_share_a_transaction),
        cmocka_unit_test(test_read_only_error_is_its_own_readers),
        cmocka_unit_test(test_read_only_writes_are_refused_by_the_server),
        cmocka_unit_test(test_read_only_statement_whose_columns_changed_is_prepared_again),
        cmocka_unit_test(test_read_only_given_up_is_dropped_and_the_lane_goes_on),
        cmocka_unit_test(test_read_only_lost_connection_fails_its_readers_and_is_opened_again),
        cmocka_unit_test(test_read_only_slow_one_does_not_hold_up_the_next),
        cmocka_unit_test(test_read_only_is_read_committed_whatever_sessions_begin_with),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
