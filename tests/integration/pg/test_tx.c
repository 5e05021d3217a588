/* Transactions against a real server: committed or not at all, ended with their scope, alone on
 * their connection. */
#include "tests/support/database.h"

static pg_pool *db;

static int open_pool(void **state)
{
    (void)state;
    assert_ok(
        pg_pool_open(&(pg_pool_options){ .connections_max = 3, .acquire_timeout_ms = 300 }, &db));
    assert_ok(pg_execute(db, NULL, "create table if not exists tx_test (n bigint primary key)"));
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "drop table tx_test"));
    pg_pool_close(&db);
    return 0;
}

static int empty_table(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "truncate tx_test"));
    return 0;
}

static int64_t count(void)
{
    pg_rows rows;
    int64_t n = -1;
    assert_ok(pg_query(db, &rows, "select count(*) from tx_test"));
    assert_ok(pg_get(&rows, 0, 0, &n));
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
    return n;
}

static void test_tx_committed_stays(void **state)
{
    (void)state;
    pg_tx *tx;
    uint64_t affected;
    const int64_t one = 1, two = 2;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, &affected, "insert into tx_test values ($1), ($2)", one, two));
    assert_int_equal(affected, 2);
    assert_ok(pg_commit(&tx));
    assert_null(tx);
    assert_int_equal(count(), 2);
}

static void test_tx_rolled_back_is_gone(void **state)
{
    (void)state;
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "insert into tx_test values (1)"));
    assert_ok(pg_rollback(&tx));
    assert_null(tx);
    assert_ok(pg_rollback(&tx));
    assert_int_equal(count(), 0);
}

static void test_tx_empty_costs_nothing(void **state)
{
    (void)state;
    pg_tx *tx;
    const uint64_t before = pg_pool_stats_of(db).queries;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_commit(&tx));
    assert_int_equal(pg_pool_stats_of(db).queries, before);
    assert_int_equal(count(), 0);
}

ERROR_KIND(CHANGED_MY_MIND, ERROR_INVALID, "No.");

static error leave_early(void *arg)
{
    (void)arg;
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into tx_test values (1)"));
    return error_set(&CHANGED_MY_MIND, "an early return");
}

static void test_tx_left_by_an_early_return_is_rolled_back(void **state)
{
    (void)state;
    assert_fails(CHANGED_MY_MIND, scope_call(NULL, leave_early, NULL));
    assert_int_equal(count(), 0);
}

static error run_late(void *arg)
{
    (void)arg;
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into tx_test values (1)"));
    return pg_execute(tx, NULL, "select pg_sleep(0.3)");
}

static void test_tx_past_its_deadline_is_rolled_back(void **state)
{
    (void)state;
    assert_fails(TIMED_OUT, scope_call(&(scope_options){ .deadline_ms = 60 }, run_late, NULL));
    assert_int_equal(count(), 0);
}

static void test_tx_first_statement_that_fails_leaves_a_failed_transaction(void **state)
{
    (void)state;
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    const int32_t zero = 0;
    assert_fails(PG_DATA_EXCEPTION, pg_execute(tx, NULL, "select 1 / $1", zero));
    assert_fails(PG_IN_FAILED_TRANSACTION, pg_execute(tx, NULL, "insert into tx_test values (1)"));
    assert_fails(PG_ROLLED_BACK, pg_commit(&tx));
    assert_null(tx);
    assert_int_equal(count(), 0);
}

static void test_tx_commit_refused_by_a_deferred_constraint_says_so(void **state)
{
    (void)state;
    pg_tx *tx;
    assert_ok(
        pg_execute(db, NULL,
                   "create table if not exists tx_child (n bigint references tx_test deferrable "
                   "initially deferred)"));
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "insert into tx_child values (77)"));
    assert_fails(PG_FOREIGN_KEY_VIOLATION, pg_commit(&tx));
    assert_ok(pg_execute(db, NULL, "drop table tx_child"));
    assert_int_equal(count(), 0);
}

static void test_tx_is_alone_on_its_connection(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_rows rows;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "insert into tx_test values (1)"));
    for (int i = 0; i < 10; i++) {
        int64_t seen;
        assert_ok(pg_query(db, &rows, "select count(*) from tx_test"));
        assert_ok(pg_get(&rows, 0, 0, &seen));
        assert_int_equal(seen, 0);
    }
    assert_ok(pg_commit(&tx));
    assert_int_equal(count(), 1);
}

/* A fiber that has none waits in vain; one that has one would wait for itself. */
static error begin_one_more(void *arg)
{
    pg_tx *one_more;
    (void)arg;
    return pg_begin(db, &one_more);
}

static error query_beside(void *arg)
{
    (void)arg;
    return pg_execute(db, NULL, "select 1");
}

static error on_another_fiber(error (*fn)(void *arg))
{
    fiber *f;
    assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, fn, NULL, &f));
    return fiber_join(&f);
}

static void test_tx_none_free_times_out_and_the_next_is_served(void **state)
{
    (void)state;
    pg_tx *taken[3], *one_more;
    for (size_t i = 0; i < 3; i++)
        assert_ok(pg_begin(db, &taken[i]));
    assert_fails(PG_POOL_TIMED_OUT, on_another_fiber(begin_one_more));
    assert_fails(PG_POOL_TIMED_OUT, on_another_fiber(query_beside));
    assert_fails(PG_NESTED_ACQUIRE, pg_begin(db, &one_more));
    assert_fails(PG_NESTED_ACQUIRE, pg_execute(db, NULL, "select 1"));
    assert_null(one_more);
    assert_int_equal(pg_pool_stats_of(db).waiting, 0);
    for (size_t i = 0; i < 3; i++)
        assert_ok(pg_rollback(&taken[i]));
    assert_ok(pg_begin(db, &one_more));
    assert_ok(pg_rollback(&one_more));
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
}

typedef struct turn {
    int64_t number;
    int64_t *served;
} turn;

static error take_turn(void *arg)
{
    const turn *t = arg;
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    if (*t->served != t->number)
        return error_set(&PG_FAILED, "%lld served as number %lld", (long long)t->number,
                         (long long)*t->served);
    ++*t->served;
    TRY(pg_execute(tx, NULL, "insert into tx_test values ($1)", t->number));
    return pg_commit(&tx);
}

static void test_tx_waiters_are_served_in_order(void **state)
{
    (void)state;
    pg_tx *taken[3];
    turn turns[20];
    int64_t served = 0;
    wait_group group;
    wait_group_init(&group);
    for (size_t i = 0; i < 3; i++)
        assert_ok(pg_begin(db, &taken[i]));
    for (size_t i = 0; i < ARRAY_LEN(turns); i++) {
        turns[i] = (turn){ (int64_t)i, &served };
        assert_ok(wait_group_start(&group, take_turn, &turns[i]));
    }
    assert_ok(fiber_yield());
    for (size_t i = 0; i < 3; i++)
        assert_ok(pg_rollback(&taken[i]));
    assert_ok(wait_group_wait(&group));
    assert_int_equal(count(), 20);
}

static void test_tx_script_runs_many_statements_or_none(void **state)
{
    (void)state;
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_script(tx, STR("insert into tx_test values (1); select 1; -- nothing\n"
                                "insert into tx_test values (2);")));
    assert_ok(pg_commit(&tx));
    assert_int_equal(count(), 2);
    assert_ok(pg_begin(db, &tx));
    assert_fails(PG_UNIQUE_VIOLATION, pg_script(tx, STR("insert into tx_test values (3); "
                                                        "insert into tx_test values (3);")));
    assert_ok(pg_rollback(&tx));
    assert_int_equal(count(), 2);
}

static void test_tx_script_that_ends_its_transaction_is_an_error(void **state)
{
    (void)state;
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_fails(PG_INVALID_ARGUMENT,
                 pg_script(tx, STR("insert into tx_test values (1); commit;")));
    assert_ok(pg_rollback(&tx));
    assert_int_equal(count(), 1);
}

static void test_tx_whose_connection_is_killed_fails_and_says_unknown_only_for_commit(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_rows rows;
    int32_t pid;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_query(tx, &rows, "select pg_backend_pid()"));
    assert_ok(pg_get(&rows, 0, 0, &pid));
    assert_ok(pg_execute(tx, NULL, "insert into tx_test values (1)"));
    assert_ok(pg_execute(db, NULL, "select pg_terminate_backend($1)", pid));
    const error e = pg_execute(tx, NULL, "insert into tx_test values (2)");
    assert_true(error_is(e, &PG_ADMIN_SHUTDOWN) || error_is(e, &PG_CONNECTION_LOST));
    assert_fails(PG_CONNECTION_LOST, pg_commit(&tx)); /* not sent: certainly not committed */
    assert_int_equal(count(), 0);
}

static void test_tx_nested_undone_leaves_the_outer(void **state)
{
    (void)state;
    pg_tx *outer, *inner, *innermost;
    assert_ok(pg_begin(db, &outer));
    assert_ok(pg_begin(outer, &inner)); /* the outer one has not begun yet */
    assert_ok(pg_execute(inner, NULL, "insert into tx_test values (1)"));
    assert_ok(pg_rollback(&inner));
    assert_ok(pg_execute(outer, NULL, "insert into tx_test values (2)"));
    assert_ok(pg_begin(outer, &inner));
    assert_ok(pg_execute(inner, NULL, "insert into tx_test values (3)"));
    assert_ok(pg_begin(inner, &innermost));
    assert_ok(pg_execute(innermost, NULL, "insert into tx_test values (4)"));
    assert_ok(pg_rollback(&innermost));
    assert_ok(pg_commit(&inner));
    assert_ok(pg_commit(&outer));
    pg_rows rows;
    assert_ok(pg_query(db, &rows, "select array_agg(n order by n) from tx_test"));
    int8_list kept;
    assert_ok(pg_get(&rows, 0, 0, &kept));
    assert_int_equal(kept.count, 2);
    assert_int_equal(kept.items[0], 2);
    assert_int_equal(kept.items[1], 3);
}

/* Refused when it is prepared, and when it is run. */
static void test_tx_nested_failure_does_not_fail_the_outer(void **state)
{
    (void)state;
    pg_tx *outer, *inner;
    assert_ok(pg_begin(db, &outer));
    assert_ok(pg_execute(outer, NULL, "insert into tx_test values (1)"));
    assert_ok(pg_begin(outer, &inner));
    assert_fails(PG_UNDEFINED_TABLE,
                 pg_execute(inner, NULL, "insert into no_such_table values (1)"));
    assert_ok(pg_rollback(&inner));
    assert_ok(pg_begin(outer, &inner));
    assert_fails(PG_UNIQUE_VIOLATION, pg_execute(inner, NULL, "insert into tx_test values (1)"));
    assert_fails(PG_ROLLED_BACK, pg_commit(&inner));
    assert_ok(pg_execute(outer, NULL, "insert into tx_test values (2)"));
    assert_ok(pg_commit(&outer));
    assert_int_equal(count(), 2);
}

/* On a connection that has not undone one yet: in a failed transaction the server prepares no
 * RELEASE, only the way out. */
static void test_tx_nested_failure_is_undone_on_a_fresh_connection_too(void **state)
{
    (void)state;
    pg_pool *fresh;
    pg_tx *outer, *inner;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &fresh));
    assert_ok(pg_begin(fresh, &outer));
    assert_ok(pg_execute(outer, NULL, "insert into tx_test values (1)"));
    assert_ok(pg_begin(outer, &inner));
    assert_fails(PG_UNIQUE_VIOLATION, pg_execute(inner, NULL, "insert into tx_test values (1)"));
    assert_ok(pg_rollback(&inner));
    assert_ok(pg_commit(&outer));
    pg_pool_close(&fresh);
    assert_int_equal(count(), 1);
}

static error insert_and_return_early(void *arg)
{
    pg_tx *inner;
    TRY(pg_begin((pg_tx *)arg, &inner));
    TRY(pg_execute(inner, NULL, "insert into tx_test values (1)"));
    return error_set(&PG_FAILED, "for a reason of its own");
}

static void test_tx_nested_left_by_an_early_return_is_undone(void **state)
{
    (void)state;
    pg_tx *outer;
    assert_ok(pg_begin(db, &outer));
    assert_fails(PG_FAILED, scope_call(NULL, insert_and_return_early, outer));
    assert_ok(pg_execute(outer, NULL, "insert into tx_test values (2)"));
    assert_ok(pg_commit(&outer));
    assert_int_equal(count(), 1);
}

static void assert_setting(pg_tx *tx, const char *name, str value)
{
    pg_rows rows;
    str text;
    assert_ok(pg_query(tx, &rows, "select current_setting($1)", str_from_c(name)));
    assert_ok(pg_get(&rows, 0, 0, &text));
    assert_str_equal(text, value);
}

static void test_tx_options_reach_the_server(void **state)
{
    (void)state;
    pg_tx *tx;
    const pg_tx_options all = { .isolation = PG_SERIALIZABLE,
                                .read_only = true,
                                .deferrable = true };
    assert_ok(pg_begin_with(db, &all, &tx));
    assert_setting(tx, "transaction_isolation", STR("serializable"));
    assert_setting(tx, "transaction_read_only", STR("on"));
    assert_setting(tx, "transaction_deferrable", STR("on"));
    assert_fails(PG_READ_ONLY, pg_execute(tx, NULL, "insert into tx_test values (1)"));
    assert_ok(pg_rollback(&tx));
    assert_ok(pg_begin_with(db, &(pg_tx_options){ .isolation = PG_REPEATABLE_READ }, &tx));
    assert_setting(tx, "transaction_isolation", STR("repeatable read"));
    assert_setting(tx, "transaction_read_only", STR("off"));
    assert_ok(pg_commit(&tx));
    assert_ok(pg_begin(pg_read_only(db), &tx));
    assert_setting(tx, "transaction_read_only", STR("on"));
    assert_ok(pg_commit(&tx));
}

typedef struct work {
    int runs;
    int good_run; /* the one that ends well */
    const char *raises;
} work;

static error insert_or_raise(pg_tx *tx, void *arg)
{
    work *w = arg;
    w->runs++;
    TRY(pg_execute(tx, NULL, "insert into tx_test values ($1)", w->runs));
    if (w->runs == w->good_run)
        return OK;
    return pg_script(
        tx, str_format(fiber_arena(), "do $$ begin raise sqlstate '%s'; end $$", w->raises));
}

static void test_tx_function_is_run_again_only_when_the_server_asks_for_it(void **state)
{
    work w = { .good_run = 3, .raises = "40001" };
    assert_ok(pg_transaction(db, NULL, insert_or_raise, &w));
    assert_int_equal(w.runs, 3);
    assert_int_equal(count(), 1);
    empty_table(state);
    w = (work){ .good_run = 2, .raises = "40P01" };
    assert_ok(pg_transaction(db, NULL, insert_or_raise, &w));
    assert_int_equal(w.runs, 2);
    assert_int_equal(count(), 1);
    empty_table(state);
    w = (work){ .raises = "40001" };
    assert_fails(PG_SERIALIZATION_FAILURE,
                 pg_transaction(db, &(pg_tx_options){ .attempts_max = 2 }, insert_or_raise, &w));
    assert_int_equal(w.runs, 2);
    w = (work){ .raises = "57014" };
    assert_true(pg_transaction(db, NULL, insert_or_raise, &w).kind != NULL);
    assert_int_equal(w.runs, 1);
    assert_int_equal(count(), 0);
}

/* Reads both and writes one: two of these at once cannot both be serializable. */
static error move_one(pg_tx *tx, void *arg)
{
    pg_rows rows;
    (void)arg;
    TRY(pg_query(tx, &rows, "select sum(n) from tx_test"));
    TRY(fiber_yield());
    return pg_execute(tx, NULL, "insert into tx_test select max(n) + 1 from tx_test");
}

static error move_often(void *arg)
{
    for (int i = 0; i < 10; i++)
        TRY(pg_transaction(db,
                           &(pg_tx_options){ .isolation = PG_SERIALIZABLE, .attempts_max = 100 },
                           move_one, arg));
    return OK;
}

static void test_tx_serializable_ones_in_each_others_way_all_get_through(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "insert into tx_test values (0)"));
    wait_group group;
    wait_group_init(&group);
    for (size_t i = 0; i < 3; i++)
        assert_ok(wait_group_start(&group, move_often, NULL));
    assert_ok(wait_group_wait(&group));
    assert_int_equal(count(), 31);
}

static error insert_in_place(pg_tx *tx, void *arg)
{
    (void)arg;
    return pg_execute(tx, NULL, "insert into tx_test values (1)");
}

static void test_tx_function_inside_a_transaction_is_a_part_of_it(void **state)
{
    (void)state;
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_transaction(tx, NULL, insert_in_place, NULL));
    assert_fails(PG_UNIQUE_VIOLATION, pg_transaction(tx, NULL, insert_in_place, NULL));
    assert_ok(pg_execute(tx, NULL, "insert into tx_test values (2)"));
    assert_ok(pg_commit(&tx));
    assert_int_equal(count(), 2);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_tx_committed_stays, empty_table),
        cmocka_unit_test_setup(test_tx_rolled_back_is_gone, empty_table),
        cmocka_unit_test_setup(test_tx_empty_costs_nothing, empty_table),
        cmocka_unit_test_setup(test_tx_left_by_an_early_return_is_rolled_back, empty_table),
        cmocka_unit_test_setup(test_tx_past_its_deadline_is_rolled_back, empty_table),
        cmocka_unit_test_setup(test_tx_first_statement_that_fails_leaves_a_failed_transaction,
                               empty_table),
        cmocka_unit_test_setup(test_tx_commit_refused_by_a_deferred_constraint_says_so,
                               empty_table),
        cmocka_unit_test_setup(test_tx_is_alone_on_its_connection, empty_table),
        cmocka_unit_test_setup(test_tx_none_free_times_out_and_the_next_is_served, empty_table),
        cmocka_unit_test_setup(test_tx_waiters_are_served_in_order, empty_table),
        cmocka_unit_test_setup(test_tx_script_runs_many_statements_or_none, empty_table),
        cmocka_unit_test_setup(test_tx_script_that_ends_its_transaction_is_an_error, empty_table),
        cmocka_unit_test_setup(
            test_tx_whose_connection_is_killed_fails_and_says_unknown_only_for_commit, empty_table),
        cmocka_unit_test_setup(test_tx_nested_undone_leaves_the_outer, empty_table),
        cmocka_unit_test_setup(test_tx_nested_failure_does_not_fail_the_outer, empty_table),
        cmocka_unit_test_setup(test_tx_nested_failure_is_undone_on_a_fresh_connection_too,
                               empty_table),
        cmocka_unit_test_setup(test_tx_nested_left_by_an_early_return_is_undone, empty_table),
        cmocka_unit_test_setup(test_tx_options_reach_the_server, empty_table),
        cmocka_unit_test_setup(test_tx_function_is_run_again_only_when_the_server_asks_for_it,
                               empty_table),
        cmocka_unit_test_setup(test_tx_serializable_ones_in_each_others_way_all_get_through,
                               empty_table),
        cmocka_unit_test_setup(test_tx_function_inside_a_transaction_is_a_part_of_it, empty_table),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
