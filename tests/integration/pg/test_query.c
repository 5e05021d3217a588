/* Queries against a real server: every type both ways, NULLs, many rows, the server's errors, and
 * fibers that share a connection. */
#include "tests/support/database.h"

#include <math.h>

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
    assert_null(db);
    return 0;
}

static void test_query_without_parameters_returns_rows(void **state)
{
    (void)state;
    pg_rows rows;
    assert_ok(pg_query(db, &rows, "select 1 as one, 'two'::text as two union all select 3, null"));
    assert_int_equal(rows.count, 2);
    assert_int_equal(rows.column_count, 2);
    assert_str_equal(rows.columns[0].name, STR("one"));
    int32_t one;
    opt_text two;
    assert_ok(pg_get(&rows, 0, 0, &one));
    assert_ok(pg_get(&rows, 0, 1, &two));
    assert_int_equal(one, 1);
    assert_true(two.has);
    assert_str_equal(two.value, STR("two"));
    assert_ok(pg_get(&rows, 1, 1, &two));
    assert_false(two.has);
    str text;
    assert_fails(PG_TYPE_MISMATCH, pg_get(&rows, 1, 1, &text));
    assert_fails(PG_TYPE_MISMATCH, pg_get(&rows, 0, 0, &text));
}

static void test_query_settings_are_those_that_the_server_reports(void **state)
{
    (void)state;
    pg_tx *tx;
    int64_t major = 0;
    assert_ok(pg_execute(db, NULL, "select 1")); /* somebody is connected */
    const str version = pg_reported(db, "server_version");
    assert_true(str_to_int64(str_slice(version, 0, str_index(version, '.')), &major));
    assert_true(major >= 12);
    assert_str_equal(pg_reported(db, "standard_conforming_strings"), STR("on"));
    assert_null(pg_reported(db, "work_mem").ptr); /* it is not told of */
    const str zone = pg_reported(db, "TimeZone");
    assert_true(zone.len > 0 && !str_eq(zone, STR("Asia/Tokyo")));
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "set local timezone = 'Asia/Tokyo'"));
    assert_str_equal(pg_reported(tx, "TimeZone"), STR("Asia/Tokyo"));
    assert_ok(pg_rollback(&tx));
    assert_ok(pg_execute(db, NULL, "select 1")); /* behind the reset */
    assert_str_equal(pg_reported(db, "TimeZone"), zone);
}

static void test_query_longer_than_a_message_may_be_fails_alone(void **state)
{
    (void)state;
    pg_pool *strict;
    pg_rows rows;
    static char big[(1 << 20) + 1];
    memset(big, 'x', sizeof big);
    const str longer = { big, sizeof big };
    assert_int_equal(setenv("PG_MESSAGE_MAX", "1M", 1), 0);
    const error opened = pg_pool_open(&(pg_pool_options){ .connections_max = 1 }, &strict);
    assert_int_equal(unsetenv("PG_MESSAGE_MAX"), 0);
    assert_ok(opened);
    assert_fails(PG_MESSAGE_TOO_LARGE, pg_query(strict, &rows, "select $1::text", longer));
    assert_fails(PG_MESSAGE_TOO_LARGE,
                 pg_query(strict, &rows, "select repeat('x', 1048577) from generate_series(1, 3)"));
    assert_ok(pg_query(strict, &rows, "select 1"));            /* on the same connection */
    assert_ok(pg_query(db, &rows, "select $1::text", longer)); /* elsewhere it is no length */
    pg_pool_close(&strict);
}

static void test_query_every_type_comes_back_as_it_went(void **state)
{
    (void)state;
    const uint8_t bytes[] = { 0, 1, 0xff, '\\' };
    const bool yes = true;
    const int16_t two = INT16_MIN;
    const int32_t four = INT32_MIN;
    const int64_t eight = INT64_MIN;
    const double number = 0.1;
    const str text = STR("h\xC3\xA9llo");
    const bytea raw = { bytes, sizeof bytes };
    const timestamptz instant = { 123456789 };
    const uuid id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };
    const jsonb document = { STR("{\"a\": [1, 2]}") };
    pg_rows rows;
    assert_ok(pg_query(db, &rows, "select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10", yes, two, four,
                       eight, number, text, raw, instant, id, document));
    bool yes_back;
    int16_t two_back;
    int32_t four_back;
    int64_t eight_back;
    double number_back;
    str text_back;
    bytea raw_back;
    timestamptz instant_back;
    uuid id_back;
    jsonb document_back;
    assert_ok(pg_get(&rows, 0, 0, &yes_back));
    assert_ok(pg_get(&rows, 0, 1, &two_back));
    assert_ok(pg_get(&rows, 0, 2, &four_back));
    assert_ok(pg_get(&rows, 0, 3, &eight_back));
    assert_ok(pg_get(&rows, 0, 4, &number_back));
    assert_ok(pg_get(&rows, 0, 5, &text_back));
    assert_ok(pg_get(&rows, 0, 6, &raw_back));
    assert_ok(pg_get(&rows, 0, 7, &instant_back));
    assert_ok(pg_get(&rows, 0, 8, &id_back));
    assert_ok(pg_get(&rows, 0, 9, &document_back));
    assert_true(yes_back);
    assert_int_equal(two_back, two);
    assert_int_equal(four_back, four);
    assert_true(eight_back == eight);
    assert_memory_equal(&number_back, &number, sizeof number);
    assert_str_equal(text_back, text);
    assert_int_equal(raw_back.len, sizeof bytes);
    assert_memory_equal(raw_back.ptr, bytes, sizeof bytes);
    assert_true(instant_back.us == instant.us);
    assert_memory_equal(&id_back, &id, sizeof id);
    assert_str_equal(document_back.text, document.text);
}

static void test_query_null_of_every_type(void **state)
{
    (void)state;
    pg_rows rows;
    const opt_int8 none = { 0 };
    assert_ok(pg_query(db, &rows, "select $1, $2, $3, $4", none, (opt_text){ 0 },
                       (opt_timestamptz){ 0 }, (opt_uuid){ 0 }));
    for (size_t i = 0; i < 4; i++)
        assert_null(rows.items[0].cells[i].ptr);
    opt_int8 back = { .has = true };
    assert_ok(pg_get(&rows, 0, 0, &back));
    assert_false(back.has);
}

static void test_query_list_parameter_selects_many(void **state)
{
    (void)state;
    int64_t ids[] = { 3, 5, 9 };
    pg_rows rows;
    assert_ok(pg_query(db, &rows,
                       "select n from generate_series(1, 10) n where n = any($1) order by n",
                       ((int8_list){ ids, ARRAY_LEN(ids) })));
    assert_int_equal(rows.count, 3);
    int32_t n;
    assert_ok(pg_get(&rows, 2, 0, &n));
    assert_int_equal(n, 9);
}

static void test_query_other_types_come_as_text(void **state)
{
    (void)state;
    pg_rows rows;
    str text;
    assert_ok(pg_query(db, &rows, "select 12345678901234567890.5::numeric, '1 day'::interval"));
    assert_ok(pg_get(&rows, 0, 0, &text));
    assert_str_equal(text, STR("12345678901234567890.5"));
    assert_ok(pg_get(&rows, 0, 1, &text));
    assert_str_equal(text, STR("1 day"));
}

static void test_query_many_rows_all_arrive(void **state)
{
    (void)state;
    pg_rows rows;
    assert_ok(
        pg_query(db, &rows, "select n, repeat('x', n % 100) from generate_series(1, 50000) n"));
    assert_int_equal(rows.count, 50000);
    assert_int_equal(rows.affected, 50000);
    int64_t sum = 0;
    for (size_t i = 0; i < rows.count; i++) {
        int32_t n;
        assert_ok(pg_get(&rows, i, 0, &n));
        sum += n;
    }
    assert_true(sum == 50000LL * 50001 / 2);
}

static void test_query_big_values_go_both_ways(void **state)
{
    (void)state;
    const size_t len = 3000000;
    char *text = arena_alloc(fiber_arena(), len, 1);
    memset(text, 'b', len);
    pg_rows rows;
    str back;
    assert_ok(pg_query(db, &rows, "select $1 || '!'", ((str){ text, len })));
    assert_ok(pg_get(&rows, 0, 0, &back));
    assert_int_equal(back.len, len + 1);
    assert_int_equal(back.ptr[len], '!');
}

static void test_query_larger_than_the_arena_is_refused_and_the_connection_lives(void **state)
{
    (void)state;
    pg_rows rows;
    assert_fails(ARENA_FULL,
                 pg_query(db, &rows, "select repeat('x', 1000000) from generate_series(1, 80)"));
    assert_fails(PG_MESSAGE_TOO_LARGE, pg_query(db, &rows, "select repeat('x', 70 * 1024 * 1024)"));
    assert_ok(pg_query(db, &rows, "select 1"));
    assert_int_equal(rows.count, 1);
}

static void test_query_error_has_state_and_position(void **state)
{
    (void)state;
    pg_rows rows;
    const error e = pg_query(db, &rows, "select nothing_like_this from pg_class");
    assert_fails(PG_UNDEFINED_COLUMN, e);
    const error_detail *detail = error_detail_of(e);
    assert_non_null(detail);
    assert_string_equal(detail->sqlstate, "42703");
    char text[512];
    error_describe(e, text, sizeof text);
    assert_non_null(strstr(text, "at character 8"));
    assert_fails(PG_SYNTAX, pg_query(db, &rows, "selec 1"));
    const int32_t zero = 0;
    assert_fails(PG_DATA_EXCEPTION, pg_query(db, &rows, "select 1 / $1", zero));
    assert_fails(PG_DATA_EXCEPTION, pg_query(db, &rows, "select 1 / $1", zero));
    assert_int_equal(rows.count, 0);
}

static void test_query_constraint_is_named(void **state)
{
    (void)state;
    pg_rows rows;
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(
        tx, NULL, "create temp table t (id int constraint t_only_once unique) on commit drop"));
    assert_ok(pg_execute(tx, NULL, "insert into t values (1)"));
    const error e = pg_query(tx, &rows, "insert into t values (1)");
    assert_fails(PG_UNIQUE_VIOLATION, e);
    assert_str_equal(error_detail_of(e)->constraint, STR("t_only_once"));
    assert_ok(pg_rollback(&tx));
}

static void test_query_error_has_all_that_the_server_said(void **state)
{
    (void)state;
    const error e = pg_execute(
        db, NULL,
        "do $$ begin raise 'no %', 'luck' using errcode = 'P0099', detail = 'd', hint = 'h', "
        "column = 'c', constraint = 'k', datatype = 't', table = 'tab', schema = 's'; end $$");
    const pg_report *r = pg_error_report(e);
    assert_non_null(r);
    assert_str_equal(r->severity, STR("ERROR"));
    assert_str_equal(r->sqlstate, STR("P0099"));
    assert_str_equal(r->message, STR("no luck"));
    assert_str_equal(r->detail, STR("d"));
    assert_str_equal(r->hint, STR("h"));
    assert_str_equal(r->column, STR("c"));
    assert_str_equal(r->constraint, STR("k"));
    assert_str_equal(r->data_type, STR("t"));
    assert_str_equal(r->table, STR("tab"));
    assert_str_equal(r->schema, STR("s"));
    assert_true(str_starts_with(r->where, STR("PL/pgSQL function")));
    assert_true(r->file.len > 0 && r->line.len > 0 && r->routine.len > 0);
    assert_null(r->position.ptr);
    const error wrapped = error_wrap(e, &PG_FAILED, "around it");
    assert_ptr_equal(pg_error_report(wrapped), r);
    assert_null(pg_error_report(error_set(&PG_FAILED, "ours")));
}

static void test_query_misuse_is_refused(void **state)
{
    (void)state;
    pg_rows rows;
    assert_fails(PG_INVALID_ARGUMENT, pg_query(db, &rows, ((str){ "select 1\0;", 10 })));
    assert_fails(PG_INVALID_ARGUMENT, pg_execute(db, NULL, "begin"));
    assert_fails(PG_INVALID_ARGUMENT, pg_execute(db, NULL, "copy pg_class from stdin"));
    assert_ok(pg_query(db, &rows, "select 1"));
    assert_ok(pg_query(db, &rows, ""));
    assert_int_equal(rows.count, 0);
    assert_ok(pg_execute(db, NULL, "copy (select 1) to stdout"));
    assert_ok(pg_query(db, &rows, "select 1"));
}

/* More than a signed 16-bit count holds, and then more than the protocol has room for. */
static void test_query_many_parameters_arrive_and_too_many_are_refused(void **state)
{
    (void)state;
    static pg_value numbers[PG_VALUES_MAX + 1];
    static const size_t counts[] = { 32767, 32768, PG_VALUES_MAX };
    pg_rows rows;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        numbers[i] = pg_param((int32_t)i);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        int32_t first, last;
        const str sql = str_format(fiber_arena(), "select $1, $%zu", counts[i]);
        assert_ok(
            pg_query_values(PG_TARGET(db), PG_SQL(sql), (pg_values){ numbers, counts[i] }, &rows));
        assert_ok(pg_get(&rows, 0, 0, &first));
        assert_ok(pg_get(&rows, 0, 1, &last));
        assert_int_equal(first, 0);
        assert_int_equal(last, counts[i] - 1);
    }
    assert_fails(PG_INVALID_ARGUMENT,
                 pg_query_values(PG_TARGET(db), PG_SQL("select 1"),
                                 (pg_values){ numbers, PG_VALUES_MAX + 1 }, &rows));
    assert_ok(pg_query(db, &rows, "select 1"));
}

static void test_query_statement_whose_columns_changed_is_prepared_again(void **state)
{
    (void)state;
    pg_rows rows;
    assert_ok(pg_execute(db, NULL, "drop table if exists changing"));
    assert_ok(pg_execute(db, NULL, "create table changing (a int)"));
    assert_ok(pg_execute(db, NULL, "insert into changing values (1)"));
    assert_ok(pg_query(db, &rows, "select * from changing"));
    assert_int_equal(rows.column_count, 1);
    assert_ok(pg_execute(db, NULL, "alter table changing add b text default 'x'"));
    assert_ok(pg_query(db, &rows, "select * from changing"));
    assert_int_equal(rows.column_count, 2);
    assert_ok(pg_execute(db, NULL, "deallocate all"));
    assert_ok(pg_query(db, &rows, "select * from changing"));
    assert_int_equal(rows.count, 1);
    assert_ok(pg_execute(db, NULL, "drop table changing"));
}

static void test_query_more_statements_than_the_cache_holds(void **state)
{
    (void)state;
    for (int i = 0; i < 700; i++) {
        pg_rows rows;
        int32_t n;
        assert_ok(pg_query(db, &rows, str_format(fiber_arena(), "select %d", i)));
        assert_ok(pg_get(&rows, 0, 0, &n));
        assert_int_equal(n, i);
    }
    pg_rows rows;
    int64_t prepared;
    assert_ok(pg_query(db, &rows, "select count(*) from pg_prepared_statements"));
    assert_ok(pg_get(&rows, 0, 0, &prepared));
    assert_true(prepared <= 300);
}

/* --- many fibers ------------------------------------------------------------------------------ */

static error ask_for_own_number(void *arg)
{
    const int64_t own = (int64_t)(intptr_t)arg;
    for (int64_t i = 0; i < 20; i++) {
        pg_rows rows;
        int64_t back;
        TRY(pg_query(db, &rows, "select $1 * 1000 + $2", own, i));
        TRY(pg_get(&rows, 0, 0, &back));
        if (back != own * 1000 + i)
            return error_set(&PG_FAILED, "fiber %lld got the row of another", (long long)own);
    }
    return OK;
}

static void test_query_fibers_share_connections_and_get_their_own_rows(void **state)
{
    (void)state;
    wait_group group;
    wait_group_init(&group);
    for (intptr_t i = 0; i < WAIT_GROUP_MAX; i++)
        assert_ok(wait_group_start(&group, ask_for_own_number, (void *)i));
    assert_ok(wait_group_wait(&group));
    assert_true(pg_pool_stats_of(db).open <= 8);
}

static error ask_slowly(void *arg)
{
    (void)arg;
    return pg_execute(db, NULL, "select pg_sleep(0.3)");
}

static error give_up(void *arg)
{
    return scope_call(&(scope_options){ .deadline_ms = 30 }, ask_slowly, arg);
}

static void test_query_given_up_is_dropped_and_nobody_gets_its_rows(void **state)
{
    (void)state;
    wait_group group;
    wait_group_init(&group);
    for (intptr_t i = 0; i < 20; i++)
        assert_ok(wait_group_start(&group, ask_for_own_number, (void *)i));
    for (int i = 0; i < 4; i++)
        assert_fails(TIMED_OUT, give_up(NULL));
    assert_ok(wait_group_wait(&group));
    assert_ok(ask_for_own_number((void *)(intptr_t)7));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_query_without_parameters_returns_rows),
        cmocka_unit_test(test_query_settings_are_those_that_the_server_reports),
        cmocka_unit_test(test_query_longer_than_a_message_may_be_fails_alone),
        cmocka_unit_test(test_query_every_type_comes_back_as_it_went),
        cmocka_unit_test(test_query_null_of_every_type),
        cmocka_unit_test(test_query_list_parameter_selects_many),
        cmocka_unit_test(test_query_other_types_come_as_text),
        cmocka_unit_test(test_query_many_rows_all_arrive),
        cmocka_unit_test(test_query_big_values_go_both_ways),
        cmocka_unit_test(test_query_larger_than_the_arena_is_refused_and_the_connection_lives),
        cmocka_unit_test(test_query_error_has_state_and_position),
        cmocka_unit_test(test_query_constraint_is_named),
        cmocka_unit_test(test_query_error_has_all_that_the_server_said),
        cmocka_unit_test(test_query_misuse_is_refused),
        cmocka_unit_test(test_query_many_parameters_arrive_and_too_many_are_refused),
        cmocka_unit_test(test_query_statement_whose_columns_changed_is_prepared_again),
        cmocka_unit_test(test_query_more_statements_than_the_cache_holds),
        cmocka_unit_test(test_query_fibers_share_connections_and_get_their_own_rows),
        cmocka_unit_test(test_query_given_up_is_dropped_and_nobody_gets_its_rows),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
