/* LISTEN and NOTIFY on a real server: everything told is heard, in order, or a gap is. */
#include "core/scope.h"
#include "tests/support/database.h"

#include <string.h>

static pg_pool *db;

/* One connection, which listeners must not take away from queries. */
static int open_pool(void **state)
{
    (void)state;
    assert_ok(
        pg_pool_open(&(pg_pool_options){ .connections_max = 1, .acquire_timeout_ms = 5000 }, &db));
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    pg_pool_close(&db);
    return 0;
}

static void assert_told(pg_listener *l, str payload)
{
    pg_notification n;
    assert_ok(pg_listener_next(l, &n));
    assert_false(n.gap);
    assert_str_equal(n.payload, payload);
    assert_true(n.process > 0);
}

static error next_within_50_ms(void *arg)
{
    pg_notification n;
    return pg_listener_next(arg, &n);
}

static void assert_silence(pg_listener *l)
{
    assert_fails(TIMED_OUT,
                 scope_call(&(scope_options){ .deadline_ms = 50 }, next_within_50_ms, l));
}

static void test_listen_hears_what_is_told_in_order(void **state)
{
    (void)state;
    pg_listener *l;
    assert_ok(pg_listen(db, STR("one"), &l));
    for (int i = 0; i < 100; i++)
        assert_ok(pg_notify(db, STR("one"), str_format(fiber_arena(), "number %d", i)));
    assert_ok(pg_notify(db, STR("another"), STR("not for it")));
    assert_ok(pg_notify(db, STR("one"), STR("")));
    for (int i = 0; i < 100; i++)
        assert_told(l, str_format(fiber_arena(), "number %d", i));
    assert_told(l, STR(""));
    assert_silence(l);
    pg_unlisten(&l);
    assert_null(l);
}

static void test_listen_hears_a_transaction_when_it_commits(void **state)
{
    (void)state;
    pg_listener *l;
    pg_tx *tx;
    assert_ok(pg_listen(db, STR("tx"), &l));
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_notify(tx, STR("tx"), STR("rolled back")));
    assert_ok(pg_rollback(&tx));
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_notify(tx, STR("tx"), STR("committed")));
    assert_silence(l);
    assert_ok(pg_commit(&tx));
    assert_told(l, STR("committed"));
    pg_unlisten(&l);
}

static void test_listen_takes_names_as_they_stand(void **state)
{
    (void)state;
    static const char *const names[] = { "Upper Case", "a\"b\"\"", "'; drop table x; --",
                                         "\xC3\xA4\xE2\x82\xAC" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        pg_listener *l;
        assert_ok(pg_listen(db, str_from_c(names[i]), &l));
        assert_ok(pg_notify(db, str_from_c(names[i]), STR("'quoted' \"text\"")));
        assert_told(l, STR("'quoted' \"text\""));
        pg_unlisten(&l);
    }
    char name[PG_CHANNEL_BYTES_MAX + 1];
    memset(name, 'n', sizeof name);
    pg_listener *l;
    assert_fails(PG_INVALID_ARGUMENT, pg_listen(db, (str){ name, sizeof name }, &l));
    assert_fails(PG_INVALID_ARGUMENT, pg_listen(db, STR(""), &l));
    assert_fails(PG_INVALID_ARGUMENT, pg_listen(db, STR("a\0b"), &l));
    assert_fails(PG_INVALID_ARGUMENT, pg_listen(db, STR("\xFF"), &l));
    assert_null(l);
    assert_ok(pg_listen(db, (str){ name, PG_CHANNEL_BYTES_MAX }, &l));
    assert_ok(pg_notify(db, (str){ name, PG_CHANNEL_BYTES_MAX }, STR("x")));
    assert_told(l, STR("x"));
    pg_unlisten(&l);
    char *payload = arena_alloc(fiber_arena(), PG_NOTIFICATION_BYTES_MAX + 1, 1);
    memset(payload, 'p', PG_NOTIFICATION_BYTES_MAX + 1);
    assert_ok(pg_notify(db, STR("long"), (str){ payload, PG_NOTIFICATION_BYTES_MAX }));
    assert_fails(PG_INVALID_ARGUMENT,
                 pg_notify(db, STR("long"), (str){ payload, PG_NOTIFICATION_BYTES_MAX + 1 }));
}

static void test_listeners_of_one_channel_all_hear(void **state)
{
    (void)state;
    pg_listener *l[5];
    for (size_t i = 0; i < ARRAY_LEN(l); i++)
        assert_ok(pg_listen(db, STR("many"), &l[i]));
    assert_ok(pg_notify(db, STR("many"), STR("first")));
    for (size_t i = 0; i < ARRAY_LEN(l); i++)
        assert_told(l[i], STR("first"));
    for (size_t i = 1; i < ARRAY_LEN(l); i++)
        pg_unlisten(&l[i]);
    assert_ok(pg_notify(db, STR("many"), STR("second")));
    assert_told(l[0], STR("second"));
    pg_unlisten(&l[0]);
    assert_ok(pg_listen(db, STR("many"), &l[0])); /* UNLISTEN has been sent, or is on its way */
    assert_ok(pg_notify(db, STR("many"), STR("third")));
    assert_told(l[0], STR("third"));
    pg_unlisten(&l[0]);
}

static error listen_and_return(void *arg)
{
    pg_listener *l;
    (void)arg;
    TRY(pg_listen(db, STR("scoped"), &l));
    return pg_notify(db, STR("scoped"), STR("never taken"));
}

/* Beside the one of the pool there is one more, however many listen to whatever. */
static void test_listeners_share_one_connection(void **state)
{
    (void)state;
    pg_listener *listeners[12];
    pg_rows rows;
    int64_t count;
    for (int i = 0; i < 12; i++)
        assert_ok(pg_listen(db, str_format(fiber_arena(), "shared %d", i % 5), &listeners[i]));
    assert_int_equal(pg_pool_stats_of(db).open, 2);
    assert_ok(pg_query(db, &rows,
                       "select count(*) from pg_stat_activity where pid <> pg_backend_pid() and "
                       "query ~* '^(un)?listen \"shared'"));
    assert_ok(pg_get(&rows, 0, 0, &count));
    assert_int_equal(count, 1);
    for (int i = 0; i < 5; i++)
        assert_ok(pg_notify(db, str_format(fiber_arena(), "shared %d", i), STR("all of you")));
    for (int i = 0; i < 12; i++) {
        assert_told(listeners[i], STR("all of you"));
        pg_unlisten(&listeners[i]);
    }
}

static void test_listen_ends_with_its_scope(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        assert_ok(scope_call(NULL, listen_and_return, NULL));
}

static error end_connections(void)
{
    return pg_execute(db, NULL,
                      "select pg_terminate_backend(pid) from pg_stat_activity where query like "
                      "'listen \"%' and pid <> pg_backend_pid()");
}

static void test_listen_is_told_of_the_gap_when_the_connection_was_lost(void **state)
{
    (void)state;
    pg_listener *one, *two;
    pg_notification n;
    const timestamptz began = timestamptz_now();
    assert_ok(pg_listen(db, STR("lost one"), &one));
    assert_ok(pg_listen(db, STR("lost two"), &two));
    assert_ok(pg_notify(db, STR("lost one"), STR("before")));
    assert_told(one, STR("before"));
    const timestamptz lost = timestamptz_now();
    assert_ok(end_connections());
    assert_ok(pg_listener_next(one, &n)); /* heard again by now */
    assert_true(n.gap);
    assert_true(n.since.us >= began.us && n.since.us <= lost.us);
    assert_ok(pg_notify(db, STR("lost one"), STR("after")));
    assert_told(one, STR("after"));
    assert_ok(pg_listener_next(two, &n));
    assert_true(n.gap);
    assert_ok(pg_notify(db, STR("lost two"), STR("after")));
    assert_told(two, STR("after"));
    pg_unlisten(&one);
    pg_unlisten(&two);
}

static void test_listen_slower_than_what_is_told_is_told_of_the_gap(void **state)
{
    (void)state;
    pg_listener *l;
    pg_notification n;
    bool gap = false;
    const timestamptz began = timestamptz_now();
    assert_ok(pg_listen(db, STR("flood"), &l));
    const timestamptz heard = timestamptz_now();
    assert_ok(
        pg_execute(db, NULL, "select pg_notify('flood', n::text) from generate_series(1, 5000) n"));
    assert_ok(pg_notify(db, STR("flood"), STR("last")));
    do {
        assert_ok(pg_listener_next(l, &n));
        gap = gap || n.gap;
        assert_true(!n.gap || (n.since.us >= began.us && n.since.us <= heard.us));
    } while (!str_eq(n.payload, STR("last")));
    assert_true(gap);
    pg_unlisten(&l);
}

static error listen_until_closed(void *arg)
{
    pg_listener *l;
    pg_notification n;
    TRY(pg_listen((pg_pool *)arg, STR("closing"), &l));
    return pg_listener_next(l, &n);
}

static void test_listen_fails_when_its_pool_is_closed(void **state)
{
    (void)state;
    pg_pool *pool;
    fiber *f;
    assert_ok(pg_pool_open(NULL, &pool));
    assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, listen_until_closed,
                          pool, &f));
    assert_ok(fiber_sleep(100));
    pg_pool_close(&pool);
    assert_fails(PG_POOL_CLOSED, fiber_join(&f));
}

static void test_listen_without_a_server_fails(void **state)
{
    (void)state;
    pg_pool *pool;
    pg_listener *l;
    const pg_pool_options nobody = { .conninfo = STR("host=127.0.0.1 port=1 user=a dbname=b") };
    assert_ok(pg_pool_open(&nobody, &pool));
    assert_fails(PG_CONNECT_FAILED, pg_listen(pool, STR("x"), &l));
    assert_null(l);
    pg_pool_close(&pool);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listen_hears_what_is_told_in_order),
        cmocka_unit_test(test_listen_hears_a_transaction_when_it_commits),
        cmocka_unit_test(test_listen_takes_names_as_they_stand),
        cmocka_unit_test(test_listeners_of_one_channel_all_hear),
        cmocka_unit_test(test_listeners_share_one_connection),
        cmocka_unit_test(test_listen_ends_with_its_scope),
        cmocka_unit_test(test_listen_is_told_of_the_gap_when_the_connection_was_lost),
        cmocka_unit_test(test_listen_slower_than_what_is_told_is_told_of_the_gap),
        cmocka_unit_test(test_listen_fails_when_its_pool_is_closed),
        cmocka_unit_test(test_listen_without_a_server_fails),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
