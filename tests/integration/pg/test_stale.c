/* What is known of statements goes out of date under way: tables change, sessions are reset, the
 * same name comes to mean another table. Statements of their own do not notice; a transaction fails
 * as one that pg_transaction runs again; and no row is ever read as what it is not. */
#include "core/scope.h"
#include "tests/support/database.h"

static pg_pool *db;
static pg_pool *admin;

static int open_pools(void **state)
{
    (void)state;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 2 }, &db));
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &admin));
    assert_ok(pg_execute(admin, NULL, "drop table if exists aging"));
    assert_ok(pg_execute(admin, NULL, "create table aging (a int8)"));
    assert_ok(pg_execute(admin, NULL, "insert into aging values (7)"));
    return 0;
}

static int close_pools(void **state)
{
    (void)state;
    assert_ok(pg_execute(admin, NULL, "drop table aging"));
    pg_pool_close(&db);
    pg_pool_close(&admin);
    return 0;
}

static error read_a(pg_target on, uint32_t *columns)
{
    pg_rows rows;
    int64_t a;
    TRY(pg_query(on, &rows, "select * from aging"));
    *columns = rows.column_count;
    TRY(pg_get(&rows, 0, 0, &a));
    return rows.count == 1 && a == 7 ? OK : error_set(&PG_FAILED, "another row");
}

/* Both connections have prepared it; the one that finds out tells the other. */
static void test_stale_statement_is_forgotten_by_all_connections(void **state)
{
    (void)state;
    uint32_t columns;
    pg_tx *first, *second;
    assert_ok(pg_begin(db, &first));
    assert_ok(pg_begin(db, &second));
    assert_ok(read_a(PG_TARGET(first), &columns));
    assert_ok(read_a(PG_TARGET(second), &columns));
    assert_ok(pg_commit(&first));
    assert_ok(pg_commit(&second));
    assert_ok(pg_execute(admin, NULL, "alter table aging add b text"));
    assert_ok(read_a(PG_TARGET(db), &columns)); /* by one of them */
    assert_int_equal(columns, 2);
    assert_ok(pg_begin(db, &first));
    assert_ok(pg_begin(db, &second));
    assert_ok(read_a(PG_TARGET(first), &columns)); /* where it could not be run again */
    assert_int_equal(columns, 2);
    assert_ok(read_a(PG_TARGET(second), &columns));
    assert_int_equal(columns, 2);
    assert_ok(pg_rollback(&first));
    assert_ok(pg_rollback(&second));
}

typedef struct attempts {
    uint32_t count;
    uint32_t columns;
} attempts;

static error read_in_tx(pg_tx *tx, void *arg)
{
    attempts *a = arg;
    a->count++;
    return read_a(PG_TARGET(tx), &a->columns);
}

static void test_stale_statement_in_a_transaction_is_run_again_with_it(void **state)
{
    (void)state;
    attempts a = { 0 };
    pg_tx *tx;
    pg_pool *one;
    assert_ok(pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &one));
    assert_ok(read_a(PG_TARGET(one), &a.columns));
    assert_ok(pg_execute(admin, NULL, "alter table aging add b text"));
    assert_ok(pg_begin(one, &tx));
    const error e = read_a(PG_TARGET(tx), &a.columns);
    assert_ptr_equal(e.kind, &PG_STATEMENT_STALE);
    assert_string_equal(error_detail_of(e)->sqlstate, "0A000");
    assert_fails(PG_IN_FAILED_TRANSACTION, pg_execute(tx, NULL, "select 1"));
    assert_ok(pg_rollback(&tx));
    assert_ok(read_a(PG_TARGET(one), &a.columns));
    assert_ok(pg_execute(admin, NULL, "alter table aging add c text"));
    assert_ok(pg_transaction(one, NULL, read_in_tx, &a));
    assert_int_equal(a.count, 2);
    assert_int_equal(a.columns, 3);
    pg_pool_close(&one);
}

#define READERS 16

static bool over;
static uint32_t reads[READERS];

static error read_until_over(void *arg)
{
    error e = OK;
    while (!over && !e.kind) {
        uint32_t columns;
        arena_reset(fiber_arena());
        e = read_a(PG_TARGET(db), &columns);
        if (!e.kind)
            e = read_a(pg_read_only(db), &columns);
        reads[(uintptr_t)arg]++;
    }
    over = true; /* for all */
    return e;
}

/* Every reader has begun anew: none can meet two changes at once. */
static error wait_for_readers(void)
{
    for (int i = 0; i < READERS; i++) {
        for (const uint32_t before = reads[i]; !over && reads[i] < before + 2;)
            TRY(fiber_sleep(1));
    }
    return OK;
}

static error read_or_find_it_stale(pg_tx *tx)
{
    uint32_t columns;
    const error e = read_a(PG_TARGET(tx), &columns);
    return error_is(e, &PG_STATEMENT_STALE) ? OK : e;
}

/* A session that lost its statements is found out by whoever uses it next, which may be long after:
 * a reader could meet two of them. */
static error use_every_connection(void)
{
    pg_tx *first, *second;
    TRY(pg_begin(db, &first));
    TRY(pg_begin(db, &second));
    TRY(read_or_find_it_stale(first));
    TRY(read_or_find_it_stale(second));
    TRY(pg_rollback(&first));
    return pg_rollback(&second);
}

static error change_until_over(void)
{
    static const char *const CHANGES[] = { "alter table aging add b int",
                                           "alter table aging drop b", NULL };
    error e = OK;
    for (size_t i = 0; i < 4 * ARRAY_LEN(CHANGES) && !e.kind && !over; i++) {
        const char *sql = CHANGES[i % ARRAY_LEN(CHANGES)];
        e = sql ? pg_execute(admin, NULL, sql) : pg_execute(db, NULL, "deallocate all");
        if (!e.kind)
            e = wait_for_readers();
        if (!e.kind)
            e = use_every_connection();
    }
    over = true;
    return e;
}

static void test_stale_statements_of_many_fibers_are_not_noticed(void **state)
{
    (void)state;
    fiber *readers[READERS];
    over = false;
    for (uintptr_t i = 0; i < READERS; i++)
        assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, read_until_over,
                              (void *)i, &readers[i]));
    const error changed = change_until_over();
    for (int i = 0; i < READERS; i++)
        assert_ok(fiber_join(&readers[i]));
    assert_ok(changed);
}

typedef struct visit {
    const char *schema;
    uint32_t count;
    bool is_number;
    double number;
    str text;
} visit;

static error visit_schema(pg_tx *tx, void *arg)
{
    visit *v = arg;
    pg_rows rows;
    v->count++;
    TRY(pg_execute(tx, NULL, str_format(fiber_arena(), "set local search_path = %s", v->schema)));
    TRY(pg_query(tx, &rows, "select v from tenants"));
    v->is_number = rows.columns[0].oid == PG_OID_FLOAT8;
    return v->is_number ? pg_get(&rows, 0, 0, &v->number) : pg_get(&rows, 0, 0, &v->text);
}

/* Since 18 servers report a search_path. */
static bool path_is_reported(void)
{
    pg_rows rows;
    int32_t version = 0;
    assert_ok(pg_query(admin, &rows, "select current_setting('server_version_num')::int"));
    assert_ok(pg_get(&rows, 0, 0, &version));
    return version >= 180000;
}

/* The same text means a table of each schema, of other types. Where the path is reported nothing
 * has to be found out. */
static void test_stale_by_a_search_path_is_never_misread(void **state)
{
    (void)state;
    const bool once = path_is_reported();
    assert_ok(pg_execute(admin, NULL, "drop schema if exists tenant_a cascade"));
    assert_ok(pg_execute(admin, NULL, "drop schema if exists tenant_b cascade"));
    assert_ok(pg_execute(admin, NULL, "create schema tenant_a"));
    assert_ok(pg_execute(admin, NULL, "create schema tenant_b"));
    assert_ok(pg_execute(admin, NULL, "create table tenant_a.tenants as select 1.5::float8 as v"));
    assert_ok(
        pg_execute(admin, NULL, "create table tenant_b.tenants as select 'eight b.'::text as v"));
    for (int i = 0; i < 6; i++) {
        visit v = { .schema = i % 2 ? "tenant_b" : "tenant_a" };
        assert_ok(pg_transaction(db, NULL, visit_schema, &v));
        assert_true(v.is_number == (i % 2 == 0));
        if (v.is_number)
            assert_true(v.number > 1.4 && v.number < 1.6);
        else
            assert_str_equal(v.text, STR("eight b."));
        assert_in_range(v.count, 1, once ? 1 : 3); /* each connection may find it out */
    }
    assert_ok(pg_execute(admin, NULL, "drop schema tenant_a cascade"));
    assert_ok(pg_execute(admin, NULL, "drop schema tenant_b cascade"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pools, close_pools)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_stale_statement_is_forgotten_by_all_connections),
        TEST(test_stale_statement_in_a_transaction_is_run_again_with_it),
        TEST(test_stale_statements_of_many_fibers_are_not_noticed),
        TEST(test_stale_by_a_search_path_is_never_misread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_with_database(run);
}
