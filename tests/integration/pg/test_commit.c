/* COMMIT that leaves with the last statement: in one flight with it, committed or not at all, and
 * unknown exactly when it may have happened. Where COMMIT is alone: test_tx.c. */
#include "tests/support/database.h"
#include "tests/support/mock_pg.h"

static pg_pool *db;

static int open_pool(void **state)
{
    (void)state;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 2 }, &db));
    assert_ok(pg_execute(db, NULL,
                         "create table if not exists commit_test (n bigint primary key, parent "
                         "bigint references commit_test deferrable initially deferred)"));
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "drop table commit_test"));
    pg_pool_close(&db);
    return 0;
}

static int empty_table(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "truncate commit_test"));
    return 0;
}

/* Rows that stay; and nothing is taken. */
static int64_t count(void)
{
    pg_rows rows;
    int64_t n = -1;
    assert_ok(pg_query(db, &rows, "select count(*) from commit_test"));
    assert_ok(pg_get(&rows, 0, 0, &n));
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
    return n;
}

/* --- a real server ---------------------------------------------------------------------------- */

static void test_commit_with_a_statement_keeps_all_of_it(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_rows rows;
    uint64_t affected = 0;
    int64_t n = 0;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "insert into commit_test values (1)"));
    const int64_t two = 2, three = 3;
    assert_ok(
        pg_commit_execute(&tx, &affected, "insert into commit_test values ($1), ($2)", two, three));
    assert_null(tx);
    assert_int_equal(affected, 2);
    assert_int_equal(count(), 3);
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "insert into commit_test values (4)"));
    assert_ok(pg_commit_query(&tx, &rows, "insert into commit_test values (5) returning n"));
    assert_null(tx);
    assert_int_equal(rows.count, 1);
    assert_ok(pg_get(&rows, 0, 0, &n));
    assert_int_equal(n, 5);
    assert_int_equal(count(), 5);
}

static void test_commit_with_the_only_statement_is_a_whole_transaction(void **state)
{
    (void)state;
    pg_tx *tx;
    for (int64_t n = 1; n <= 3; n++) {
        assert_ok(pg_begin_with(db, &(pg_tx_options){ .isolation = PG_SERIALIZABLE }, &tx));
        assert_ok(pg_commit_execute(&tx, NULL, "insert into commit_test values ($1)", n));
        assert_int_equal(count(), n);
    }
}

static pg_tx *begin_one(bool begun)
{
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    if (begun)
        assert_ok(pg_execute(tx, NULL, "insert into commit_test values (1)"));
    return tx;
}

/* Refused when it is prepared, when it is run, and before that. */
static void test_commit_with_a_statement_that_fails_commits_nothing(void **state)
{
    (void)state;
    for (int begun = 0; begun < 2; begun++) {
        uint64_t affected = 77;
        pg_tx *tx = begin_one(begun);
        assert_fails(PG_UNDEFINED_TABLE,
                     pg_commit_execute(&tx, &affected, "insert into no_such_table values (1)"));
        assert_null(tx);
        assert_int_equal(count(), 0);
        tx = begin_one(begun);
        assert_fails(
            PG_DATA_EXCEPTION,
            pg_commit_execute(&tx, &affected, "insert into commit_test values (1 / (select 0))"));
        assert_null(tx);
        assert_int_equal(count(), 0);
        tx = begin_one(begun);
        const str with_nul = { "select\0", 7 };
        assert_fails(PG_INVALID_ARGUMENT, pg_commit_execute(&tx, &affected, with_nul));
        assert_null(tx);
        assert_int_equal(count(), 0);
        assert_int_equal(affected, 77);
    }
}

static void test_commit_with_a_statement_of_a_failed_transaction_rolls_back(void **state)
{
    (void)state;
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "insert into commit_test values (1)"));
    assert_fails(PG_UNIQUE_VIOLATION, pg_execute(tx, NULL, "insert into commit_test values (1)"));
    assert_fails(PG_IN_FAILED_TRANSACTION,
                 pg_commit_execute(&tx, NULL, "insert into commit_test values (2)"));
    assert_null(tx);
    assert_int_equal(count(), 0);
    assert_ok(pg_begin(db, &tx)); /* whose first statement was refused before BEGIN */
    assert_fails(PG_UNDEFINED_TABLE, pg_query(tx, &(pg_rows){ 0 }, "select * from no_such_table"));
    const error e = pg_commit_execute(&tx, NULL, "insert into commit_test values (2)");
    assert_true(error_is(e, &PG_ROLLED_BACK) || error_is(e, &PG_IN_FAILED_TRANSACTION));
    assert_int_equal(count(), 0);
}

/* The statement is right, and its COMMIT is not: rows are not given out. */
static void test_commit_that_is_refused_undoes_the_statement_it_came_with(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_rows rows;
    assert_ok(pg_begin(db, &tx));
    assert_fails(PG_FOREIGN_KEY_VIOLATION,
                 pg_commit_query(&tx, &rows, "insert into commit_test values (1, 77) returning n"));
    assert_null(tx);
    assert_int_equal(rows.count, 0);
    assert_int_equal(count(), 0);
}

static void test_commit_of_a_rollback_is_an_error(void **state)
{
    (void)state;
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "insert into commit_test values (1)"));
    assert_fails(PG_INVALID_ARGUMENT, pg_commit_execute(&tx, NULL, "rollback"));
    assert_null(tx);
    assert_int_equal(count(), 0);
}

static void test_commit_of_a_nested_one_joins_the_outer(void **state)
{
    (void)state;
    pg_tx *outer, *inner;
    assert_ok(pg_begin(db, &outer));
    assert_ok(pg_begin(outer, &inner));
    assert_ok(pg_commit_execute(&inner, NULL, "insert into commit_test values (1)"));
    assert_null(inner);
    assert_ok(pg_begin(outer, &inner));
    assert_ok(pg_execute(inner, NULL, "insert into commit_test values (2)"));
    assert_fails(PG_UNIQUE_VIOLATION,
                 pg_commit_execute(&inner, NULL, "insert into commit_test values (1)"));
    assert_null(inner);
    assert_ok(pg_commit_execute(&outer, NULL, "insert into commit_test values (3)"));
    assert_int_equal(count(), 2);
}

static error commit_slowly(void *arg)
{
    pg_tx *tx;
    const char *sql = arg;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into commit_test values (1)"));
    const error e = pg_commit_execute(&tx, NULL, sql);
    assert_null(tx);
    return e;
}

static void test_commit_that_is_given_up_is_unknown(void **state)
{
    (void)state;
    assert_ok(scope_call(NULL, commit_slowly, (char[]){ "select pg_sleep(0.2)" }));
    assert_int_equal(count(), 1);
    empty_table(state);
    assert_fails(PG_COMMIT_UNKNOWN, scope_call(&(scope_options){ .deadline_ms = 60 }, commit_slowly,
                                               (char[]){ "select pg_sleep(0.2)" }));
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
}

static error commit_late(void *arg)
{
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into commit_test values (1)"));
    const error late = fiber_sleep(10000);
    assert_fails(TIMED_OUT, late);
    (void)arg;
    return pg_commit_execute(&tx, NULL, "insert into commit_test values (2)");
}

static void test_commit_past_its_deadline_is_not_sent(void **state)
{
    (void)state;
    assert_fails(TIMED_OUT, scope_call(&(scope_options){ .deadline_ms = 40 }, commit_late, NULL));
    assert_int_equal(count(), 0);
}

static error commit_long_row(void *arg)
{
    pg_tx *tx;
    pg_rows rows;
    (void)arg;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "insert into commit_test values (1)"));
    return pg_commit_query(&tx, &rows, "select repeat('x', 66 << 20)");
}

/* It was committed: whoever is told of another failure would do it again. */
static void test_commit_whose_rows_find_no_room_is_unknown(void **state)
{
    (void)state;
    assert_fails(PG_COMMIT_UNKNOWN, scope_call(NULL, commit_long_row, NULL));
    assert_int_equal(count(), 1);
}

/* --- trying again ----------------------------------------------------------------------------- */

typedef struct locked {
    pg_tx *holder;
    int runs;
    int free_at;
} locked;

static error lock_or_fail(pg_tx *tx, void *arg)
{
    locked *l = arg;
    if (++l->runs == l->free_at)
        TRY(pg_commit(&l->holder));
    return pg_execute(tx, NULL, "lock table commit_test in exclusive mode nowait");
}

static void test_transaction_tries_for_a_lock_again_when_told_to(void **state)
{
    (void)state;
    const pg_tx_options patient = { .retries_locks = true };
    locked l = { .free_at = 3 };
    assert_ok(pg_begin(db, &l.holder));
    assert_ok(pg_execute(l.holder, NULL, "lock table commit_test in exclusive mode"));
    assert_fails(PG_LOCK_NOT_AVAILABLE, pg_transaction(db, NULL, lock_or_fail, &l));
    assert_int_equal(l.runs, 1);
    l.runs = 0;
    assert_ok(pg_transaction(db, &patient, lock_or_fail, &l));
    assert_int_equal(l.runs, 3);
    l = (locked){ .free_at = 0 };
    assert_ok(pg_begin(db, &l.holder));
    assert_ok(pg_execute(l.holder, NULL, "lock table commit_test in exclusive mode"));
    const pg_tx_options twice = { .retries_locks = true, .attempts_max = 2 };
    assert_fails(PG_LOCK_NOT_AVAILABLE, pg_transaction(db, &twice, lock_or_fail, &l));
    assert_int_equal(l.runs, 2);
    assert_ok(pg_rollback(&l.holder));
}

/* --- a server that plays a script ------------------------------------------------------------- */

#define PARSED    "1\0\0\0\4t\0\0\0\6\0\0n\0\0\0\4"
#define BEGAN     "2\0\0\0\4C\0\0\0\12BEGIN\0"
#define INSERTED  "2\0\0\0\4C\0\0\0\17INSERT 0 1\0"
#define COMMITTED "2\0\0\0\4C\0\0\0\13COMMIT\0"
#define UNDONE    "2\0\0\0\4C\0\0\0\15ROLLBACK\0"
#define RETRY     "2\0\0\0\4E\0\0\0\40SERROR\0VERROR\0C40001\0Mretr\0\0"
#define UNKNOWN   "E\0\0\0\40SERROR\0VERROR\0C26000\0Mgone\0\0"
#define FATAL     "E\0\0\0\40SFATAL\0VFATAL\0C08P01\0Mgone\0\0"
#define IDLE      "Z\0\0\0\5I"
#define BROKEN    "Z\0\0\0\5E"
#define NOTE      "N\0\0\0\40SNOTICE\0VNOTICE\0C00000\0Mhi\0\0"

/* BEGIN, the statement and COMMIT, prepared and on the wire. */
#define PREPARED                                                                      \
    MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), MOCK_EXPECT("PDS"), MOCK_SEND(PARSED IDLE), \
        MOCK_EXPECT("PDS"), MOCK_SEND(PARSED IDLE), MOCK_EXPECT("PDS"), MOCK_SEND(PARSED IDLE)
#define ALL_SENT         PREPARED, MOCK_EXPECT("BEBEBES")
#define BEFORE_COMMITTED MOCK_WELCOME PARSED IDLE PARSED IDLE PARSED IDLE

static error commit_on(void *arg)
{
    pg_pool *const *own = arg;
    pg_tx *tx;
    TRY(pg_begin(*own, &tx));
    const error e = pg_commit_execute(&tx, NULL, "insert into commit_test values (1)");
    assert_null(tx);
    return e;
}

static error play(const mock_pg_options *options, const char **problem)
{
    mock_pg m;
    pg_pool *own;
    mock_pg_start(&m, options);
    const pg_pool_options one = { .conninfo = str_from_c(m.conninfo),
                                  .connections_max = 1,
                                  .statements = PG_STATEMENTS_NAMED };
    assert_ok(pg_pool_open(&one, &own));
    const error e = scope_call(&(scope_options){ .deadline_ms = 20000 }, commit_on, &own);
    assert_int_equal(pg_pool_stats_of(own).leased, 0);
    pg_pool_close(&own);
    *problem = mock_pg_stop(&m);
    return e;
}

static error play_all(const mock_pg_step *steps, size_t count)
{
    const char *problem;
    const error e = play(&(mock_pg_options){ steps, count }, &problem);
    assert_string_equal(problem ? problem : "", "");
    return e;
}

#define PLAY(steps) play_all(steps, ARRAY_LEN(steps))

static void test_commit_answers_tell_what_is_known(void **state)
{
    (void)state;
    static const mock_pg_step GOOD[] = { ALL_SENT, MOCK_SEND(BEGAN INSERTED COMMITTED IDLE) };
    assert_ok(PLAY(GOOD));
    static const mock_pg_step ROLLED[] = { ALL_SENT, MOCK_SEND(BEGAN INSERTED UNDONE IDLE) };
    assert_fails(PG_ROLLED_BACK, PLAY(ROLLED));
    static const mock_pg_step LATE[] = { ALL_SENT, MOCK_SEND(BEGAN INSERTED RETRY IDLE) };
    assert_fails(PG_SERIALIZATION_FAILURE, PLAY(LATE));
    static const mock_pg_step FAILED[] = { ALL_SENT,           MOCK_SEND(BEGAN RETRY BROKEN),
                                           MOCK_EXPECT("PDS"), MOCK_SEND(PARSED BROKEN),
                                           MOCK_EXPECT("BES"), MOCK_SEND(UNDONE IDLE) };
    assert_fails(PG_SERIALIZATION_FAILURE, PLAY(FAILED));
    static const mock_pg_step LOST[] = { ALL_SENT, MOCK_SEND(BEGAN INSERTED), MOCK_RESET };
    assert_fails(PG_COMMIT_UNKNOWN, PLAY(LOST));
    static const mock_pg_step REFUSED[] = { ALL_SENT, MOCK_SEND(BEGAN RETRY), MOCK_CLOSE };
    assert_fails(PG_CONNECTION_LOST, PLAY(REFUSED)); /* COMMIT was passed over */
    static const mock_pg_step LEFT[] = { ALL_SENT, MOCK_SEND(BEGAN FATAL), MOCK_CLOSE };
    assert_fails(PG_COMMIT_UNKNOWN, PLAY(LEFT)); /* a pooler's, whose server answers no more */
    static const mock_pg_step OPEN[] = { ALL_SENT, MOCK_SEND(BEGAN INSERTED COMMITTED "Z\0\0\0\5T"),
                                         MOCK_LEAVE };
    assert_fails(PG_COMMIT_UNKNOWN, PLAY(OPEN));
}

static void test_commit_of_forgotten_statements_runs_once(void **state)
{
    (void)state;
    static const mock_pg_step AGAIN[] = { ALL_SENT,
                                          MOCK_SEND(UNKNOWN IDLE),
                                          MOCK_EXPECT("CCCPDS"),
                                          MOCK_SEND(PARSED IDLE),
                                          MOCK_EXPECT("PDS"),
                                          MOCK_SEND(PARSED IDLE),
                                          MOCK_EXPECT("PDS"),
                                          MOCK_SEND(PARSED IDLE),
                                          MOCK_EXPECT("BEBEBES"),
                                          MOCK_SEND(BEGAN INSERTED COMMITTED IDLE) };
    assert_ok(PLAY(AGAIN)); /* BEGIN was: nothing has run */
    static const mock_pg_step LATER[] = { ALL_SENT,
                                          MOCK_SEND(BEGAN INSERTED UNKNOWN BROKEN),
                                          MOCK_EXPECT("CCCPDS"),
                                          MOCK_SEND(PARSED BROKEN),
                                          MOCK_EXPECT("BES"),
                                          MOCK_SEND(UNDONE IDLE) };
    assert_fails(PG_STATEMENT_STALE, PLAY(LATER));
}

/* A server that breaks off after any byte of its answer. */
static void test_commit_is_unknown_exactly_when_it_may_have_happened(void **state)
{
    (void)state;
    static const mock_pg_step STEPS[] = { ALL_SENT, MOCK_SEND(BEGAN INSERTED COMMITTED NOTE IDLE) };
    const size_t before = sizeof BEFORE_COMMITTED - 1;
    const size_t whole = before + sizeof BEGAN INSERTED COMMITTED NOTE IDLE - 1;
    for (size_t cut = 1; cut <= whole; cut++) {
        const char *problem;
        const error e =
            play(&(mock_pg_options){ STEPS, ARRAY_LEN(STEPS), .cut_after = cut }, &problem);
        const bool unknown = error_is(e, &PG_COMMIT_UNKNOWN);
        if (unknown != (cut >= before && cut < whole) || (cut == whole) != !e.kind)
            fail_msg("cut after %zu of %zu bytes: %s", cut, whole, e.kind ? e.kind->name : "OK");
    }
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_commit_with_a_statement_keeps_all_of_it, empty_table),
        cmocka_unit_test_setup(test_commit_with_the_only_statement_is_a_whole_transaction,
                               empty_table),
        cmocka_unit_test_setup(test_commit_with_a_statement_that_fails_commits_nothing,
                               empty_table),
        cmocka_unit_test_setup(test_commit_with_a_statement_of_a_failed_transaction_rolls_back,
                               empty_table),
        cmocka_unit_test_setup(test_commit_that_is_refused_undoes_the_statement_it_came_with,
                               empty_table),
        cmocka_unit_test_setup(test_commit_of_a_rollback_is_an_error, empty_table),
        cmocka_unit_test_setup(test_commit_of_a_nested_one_joins_the_outer, empty_table),
        cmocka_unit_test_setup(test_commit_that_is_given_up_is_unknown, empty_table),
        cmocka_unit_test_setup(test_commit_past_its_deadline_is_not_sent, empty_table),
        cmocka_unit_test_setup(test_commit_whose_rows_find_no_room_is_unknown, empty_table),
        cmocka_unit_test_setup(test_transaction_tries_for_a_lock_again_when_told_to, empty_table),
        cmocka_unit_test(test_commit_answers_tell_what_is_known),
        cmocka_unit_test(test_commit_of_forgotten_statements_runs_once),
        cmocka_unit_test(test_commit_is_unknown_exactly_when_it_may_have_happened),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
