/* A program's own hooks: who asks, what a session begins with, which connections are used; and what
 * becomes of the pool when they fail, wait, or refuse. */
#include "core/clock.h"
#include "core/scope.h"
#include "tests/support/database.h"

#define WAIT_MS 60000 /* a hang, and not a time that is measured */

static char user[64], password[128]; /* that DATABASE_URL has */
static char stranger[512];           /* it, with others that the server does not know */

static void read_url(void)
{
    const char *url = getenv("DATABASE_URL"), *at = strchr(url, '@');
    assert_non_null(at);
    assert_int_equal(sscanf(url, "postgresql://%63[^:]:%127[^@]@", user, password), 2);
    (void)snprintf(stranger, sizeof stranger, "postgresql://nobody:wrong%s", at);
}

static pg_pool *open_with(const pg_hooks *hooks, const char *conninfo, uint32_t connections)
{
    pg_pool *db;
    assert_ok(
        pg_pool_open(&(pg_pool_options){ .conninfo = conninfo ? str_from_c(conninfo) : STR_NONE,
                                         .connections_max = connections,
                                         .hooks = hooks },
                     &db));
    return db;
}

static str ask_text(pg_target on, const char *sql)
{
    pg_rows rows;
    str text;
    assert_ok(pg_query(on, &rows, sql));
    assert_ok(pg_get(&rows, 0, 0, &text));
    return text;
}

static int32_t ask_process(pg_target on)
{
    pg_rows rows;
    int32_t process;
    assert_ok(pg_query(on, &rows, "select pg_backend_pid()"));
    assert_ok(pg_get(&rows, 0, 0, &process));
    return process;
}

static void assert_told(error e, const char *text)
{
    char told[1024];
    assert_fails(PG_CONNECT_FAILED, e);
    error_describe(e, told, sizeof told);
    if (!strstr(told, text))
        fail_msg("\"%s\" is not in: %s", text, told);
}

/* --- before_connect --------------------------------------------------------------------------- */

static uint32_t calls;

static error use_token(pg_connection *c, pg_login *login)
{
    calls++;
    assert_str_equal(login->user, STR("nobody"));
    assert_str_equal(login->password, STR("wrong"));
    assert_true(c->host.len > 0 && c->port > 0 && c->process == 0 && c->data == NULL);
    TRY(fiber_sleep(5)); /* somebody is asked for it */
    login->user = str_format(fiber_arena(), "%s", user);
    login->password = str_format(fiber_arena(), "%s", password);
    return OK;
}

static void test_hook_before_connect_says_who_asks_each_time(void **state)
{
    (void)state;
    static const pg_hooks HOOKS = { .before_connect = use_token };
    pg_pool *db = open_with(&HOOKS, stranger, 2);
    pg_tx *txs[2];
    calls = 0;
    for (size_t i = 0; i < 2; i++)
        assert_ok(pg_begin(db, &txs[i]));
    assert_int_equal(calls, 2);
    assert_str_equal(ask_text(PG_TARGET(txs[1]), "select current_user::text"), str_from_c(user));
    for (size_t i = 0; i < 2; i++)
        assert_ok(pg_rollback(&txs[i]));
    pg_pool_close(&db);
}

static error have_no_token(pg_connection *c, pg_login *login)
{
    (void)c;
    (void)login;
    return error_set(&PG_FAILED, "no token today");
}

static error use_nul(pg_connection *c, pg_login *login)
{
    (void)c;
    login->password = (str){ "a\0b", 3 };
    return OK;
}

static void test_hook_before_connect_that_fails_is_told_to_who_waits(void **state)
{
    (void)state;
    static const pg_hooks FAILS = { .before_connect = have_no_token },
                          NUL = { .before_connect = use_nul };
    pg_pool *db = open_with(&FAILS, NULL, 1);
    assert_told(pg_execute(db, NULL, "select 1"), "before_connect: no token today");
    assert_told(pg_execute(db, NULL, "select 1"), "before_connect: no token today");
    pg_pool_close(&db);
    db = open_with(&NUL, NULL, 1);
    assert_told(pg_execute(db, NULL, "select 1"), "a NUL in it");
    pg_pool_close(&db);
}

static bool waits;

static error wait_for_ever(pg_connection *c, pg_login *login)
{
    (void)c;
    (void)login;
    waits = true;
    return fiber_sleep(WAIT_MS);
}

static void test_hook_before_connect_that_waits_has_an_end(void **state)
{
    (void)state;
    static const pg_hooks HOOKS = { .before_connect = wait_for_ever };
    assert_int_equal(setenv("PG_CONNECT_TIMEOUT", "50ms", 1), 0);
    pg_pool *db = open_with(&HOOKS, NULL, 1);
    assert_told(pg_execute(db, NULL, "select 1"), "before_connect: ");
    pg_pool_close(&db);
    assert_int_equal(unsetenv("PG_CONNECT_TIMEOUT"), 0);

    const uint64_t began_ms = clock_ms();
    assert_int_equal(setenv("PG_CONNECT_TIMEOUT", "1h", 1), 0);
    waits = false;
    db = open_with(&HOOKS, NULL, 1);
    while (!waits)
        assert_ok(fiber_yield());
    pg_pool_close(&db);
    assert_true(clock_ms() - began_ms < WAIT_MS);
    assert_int_equal(unsetenv("PG_CONNECT_TIMEOUT"), 0);
}

/* --- after_connect ---------------------------------------------------------------------------- */

static error name_session(pg_connection *c, str *sql)
{
    assert_true(c->process > 0 && !sql->ptr && c->arg == &calls);
    TRY(fiber_sleep(1));
    *sql = c->read_only ? STR("set application_name = 'reads'")
                        : STR("select 1; set application_name = 'hooked'; listen hooked");
    return OK;
}

#define SHOW "show application_name"

static void test_hook_after_connect_sets_up_each_session_whatever_is_done_to_it(void **state)
{
    (void)state;
    static const pg_hooks HOOKS = { .after_connect = name_session, .arg = &calls };
    pg_pool *db = open_with(&HOOKS, NULL, 1);
    pg_tx *tx;
    assert_str_equal(ask_text(PG_TARGET(db), SHOW), STR("hooked"));
    assert_str_equal(ask_text(pg_read_only(db), SHOW), STR("reads"));
    const int32_t process = ask_process(PG_TARGET(db));
    for (int round = 0; round < 3; round++) {
        const pg_tx_options options = { .session = round == 2 }; /* all is discarded */
        assert_ok(pg_begin_with(db, &options, &tx));
        assert_ok(pg_execute(tx, NULL, "set application_name = 'another'"));
        if (round == 1)
            assert_ok(pg_execute(tx, NULL, "unlisten *"));
        assert_ok(pg_commit(&tx));
        assert_str_equal(ask_text(PG_TARGET(db), SHOW), STR("hooked"));
        assert_str_equal(ask_text(PG_TARGET(db), "select pg_listening_channels()"), STR("hooked"));
        assert_int_equal(ask_process(PG_TARGET(db)), process);
    }
    pg_pool_close(&db);
}

static const char *setup;

static error set_up(pg_connection *c, str *sql)
{
    (void)c;
    *sql = str_from_c(setup);
    return OK;
}

static void test_hook_after_connect_whose_sql_is_refused_is_told_to_who_waits(void **state)
{
    (void)state;
    static const pg_hooks HOOKS = { .after_connect = set_up };
    static const char *const rows[][2] = {
        { "set application_name = 'a'; select 1/0", "SQL is refused: 22012" },
        { "begin", "leaves a transaction open" },
        { "copy (select 1) to stdout", "a message of type" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        setup = rows[i][0];
        pg_pool *db = open_with(&HOOKS, NULL, 1);
        assert_told(pg_execute(db, NULL, "select 1"), rows[i][1]);
        pg_pool_close(&db);
    }
}

/* Of prepared statements a reset knows nothing, so the second one is refused. */
static void test_hook_after_connect_whose_sql_runs_once_costs_a_connection(void **state)
{
    (void)state;
    static const pg_hooks HOOKS = { .after_connect = set_up };
    setup = "prepare once as select 1";
    pg_pool *db = open_with(&HOOKS, NULL, 1);
    pg_tx *tx;
    const int32_t process = ask_process(PG_TARGET(db));
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "set application_name = 'another'"));
    assert_ok(pg_commit(&tx));
    assert_true(ask_process(PG_TARGET(db)) != process);
    pg_pool_close(&db);
}

/* --- before_acquire, after_release, before_close ---------------------------------------------- */

typedef struct seen {
    uint32_t opened, closed, refused;
    uint32_t bad;   /* process that is refused */
    bool all_bad;   /* or all of them */
    bool drops;     /* what is given back */
    uint32_t given; /* asked about */
} seen;

static seen all;

static error mark(pg_connection *c, str *sql)
{
    (void)sql;
    all.opened++;
    c->data = &all;
    return OK;
}

static bool may_be_given(pg_connection *c)
{
    seen *s = c->data;
    assert_ptr_equal(s, &all);
    s->given++;
    const bool bad = s->all_bad || c->process == s->bad;
    s->refused += bad;
    return !bad;
}

static bool may_stay(pg_connection *c)
{
    return !((seen *)c->data)->drops;
}

static void note_end(pg_connection *c)
{
    ((seen *)c->data)->closed++;
}

static const pg_hooks WATCH = { .after_connect = mark,
                                .before_acquire = may_be_given,
                                .after_release = may_stay,
                                .before_close = note_end };

static void test_hook_before_acquire_refuses_one_and_another_is_given(void **state)
{
    (void)state;
    all = (seen){ 0 };
    pg_pool *db = open_with(&WATCH, NULL, 1);
    all.bad = (uint32_t)ask_process(PG_TARGET(db));
    assert_true((uint32_t)ask_process(PG_TARGET(db)) != all.bad);
    assert_int_equal(all.refused, 1);
    assert_int_equal(all.opened, 2);
    assert_int_equal(all.closed, 1);
    pg_pool_close(&db);
    assert_int_equal(all.closed, 2);
}

static pg_pool *shared;

static error ask_in_tx(void *arg)
{
    pg_tx *tx;
    (void)arg;
    TRY(pg_begin(shared, &tx));
    TRY(pg_execute(tx, NULL, "select 1"));
    return pg_commit(&tx);
}

static error ask_twice(void *arg)
{
    (void)arg;
    TRY(pg_execute(shared, NULL, "select 1"));
    return pg_execute(pg_read_only(shared), NULL, "select 1");
}

/* Each that comes free is refused, while others stand in line for it. */
static void test_hook_before_acquire_refuses_while_others_wait(void **state)
{
    (void)state;
    all = (seen){ 0 };
    shared = open_with(&WATCH, NULL, 2);
    for (int round = 0; round < 5; round++) {
        wait_group group;
        pg_tx *txs[2];
        for (size_t i = 0; i < ARRAY_LEN(txs); i++) {
            assert_ok(pg_begin(shared, &txs[i]));
            all.bad = (uint32_t)ask_process(PG_TARGET(txs[i]));
        }
        wait_group_init(&group);
        for (int i = 0; i < 12; i++)
            assert_ok(wait_group_start(&group, i % 3 ? ask_in_tx : ask_twice, NULL));
        assert_ok(fiber_sleep(2));
        for (size_t i = ARRAY_LEN(txs); i-- > 0;)
            assert_ok(pg_commit(&txs[i]));
        assert_ok(wait_group_wait(&group));
        all.bad = 0;
    }
    assert_true(all.refused >= 5);
    pg_pool_close(&shared);
    assert_int_equal(all.opened, all.closed);
}

/* As when nobody can connect: at once, and with pauses between the attempts. */
static void test_hook_before_acquire_that_refuses_all_fails_who_asks(void **state)
{
    (void)state;
    all = (seen){ .all_bad = true };
    pg_pool *db = open_with(&WATCH, NULL, 4);
    const uint64_t end_ms = clock_ms() + 500;
    while (clock_ms() < end_ms) {
        assert_told(pg_execute(db, NULL, "select 1"), "before_acquire refused a new connection");
        assert_ok(fiber_sleep(1));
    }
    assert_in_range(all.opened, 1, 40); /* not one in each turn */
    all.all_bad = false;
    error e = OK;
    for (const uint64_t late_ms = clock_ms() + WAIT_MS; clock_ms() < late_ms;) {
        e = pg_execute(db, NULL, "select 1");
        if (!e.kind)
            break;
        assert_ok(fiber_sleep(5));
    }
    assert_ok(e);
    pg_pool_close(&db);
    assert_int_equal(all.opened, all.closed);
}

static void test_hook_after_release_drops_what_was_given_back(void **state)
{
    (void)state;
    pg_tx *tx;
    all = (seen){ 0 };
    pg_pool *db = open_with(&WATCH, NULL, 1);
    const int32_t first = ask_process(PG_TARGET(db));
    assert_int_equal(ask_process(PG_TARGET(db)), first);
    assert_ok(pg_begin(db, &tx));
    assert_int_equal(ask_process(PG_TARGET(tx)), first);
    assert_ok(pg_execute(tx, NULL, "set application_name = 'another'"));
    all.drops = true;
    assert_ok(pg_commit(&tx));
    all.drops = false;
    const int32_t second = ask_process(PG_TARGET(db));
    assert_true(second != first);
    all.drops = true;
    assert_ok(pg_execute(db, NULL, "select 1"));
    all.drops = false;
    assert_true(ask_process(PG_TARGET(db)) != second);
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
    pg_pool_close(&db);
    assert_int_equal(all.opened, 3);
    assert_int_equal(all.closed, 3);
}

static void test_hook_before_close_sees_one_that_is_lost(void **state)
{
    (void)state;
    all = (seen){ 0 };
    pg_pool *db = open_with(&WATCH, NULL, 1);
    assert_fails(PG_CONNECTION_LOST,
                 pg_execute(db, NULL, "select pg_terminate_backend(pg_backend_pid())"));
    assert_ok(pg_execute(db, NULL, "select 1"));
    assert_int_equal(all.closed, 1);
    pg_pool_close(&db);
    assert_int_equal(all.closed, 2);
    static const pg_hooks NONE = { 0 };
    db = open_with(&NONE, NULL, 1);
    assert_ok(pg_execute(db, NULL, "select 1"));
    pg_pool_close(&db);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hook_before_connect_says_who_asks_each_time),
        cmocka_unit_test(test_hook_before_connect_that_fails_is_told_to_who_waits),
        cmocka_unit_test(test_hook_before_connect_that_waits_has_an_end),
        cmocka_unit_test(test_hook_after_connect_sets_up_each_session_whatever_is_done_to_it),
        cmocka_unit_test(test_hook_after_connect_whose_sql_is_refused_is_told_to_who_waits),
        cmocka_unit_test(test_hook_after_connect_whose_sql_runs_once_costs_a_connection),
        cmocka_unit_test(test_hook_before_acquire_refuses_one_and_another_is_given),
        cmocka_unit_test(test_hook_before_acquire_refuses_while_others_wait),
        cmocka_unit_test(test_hook_before_acquire_that_refuses_all_fails_who_asks),
        cmocka_unit_test(test_hook_after_release_drops_what_was_given_back),
        cmocka_unit_test(test_hook_before_close_sees_one_that_is_lost),
    };
    read_url();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_with_database(run);
}
