/* The text of typed queries: everything quoted, no value in it, the same text for the same call. */
#include "sql.h"

#include "tests/support/in_fiber.h"

/* Columns that are SQL's own words. */
#define WORD_FIELDS(F)                   \
    F(select, int8, .primary_key = true) \
    F(order, int4)                       \
    F(user, text, .unique = true)        \
    F(table, opt_text)                   \
    F(group, opt_int8)                   \
    F(Mixed_Case, bool)
ORM_TABLE(word, "public.order", WORD_FIELDS)

static orm_sql empty(void)
{
    orm_sql sql;
    orm_sql_init(&sql, &word_table, ORM_FIND);
    return sql;
}

static void assert_text(const orm_sql *sql, const char *text, size_t values)
{
    assert_ok(buf_status(&sql->text));
    assert_str_equal(buf_str(&sql->text), str_from_c(text));
    assert_int_equal(sql->value_count, values);
}

static void assert_condition(word_filter filter, const char *text, size_t values)
{
    orm_sql sql = empty();
    orm_sql_put_condition(&sql, filter.node);
    assert_text(&sql, text, values);
}

static void test_sql_names_are_quoted(void **state)
{
    (void)state;
    orm_sql sql = empty();
    orm_sql_put_table(&sql);
    assert_text(&sql, "\"public\".\"order\"", 0);
    sql = empty();
    orm_sql_put_columns(&sql);
    assert_text(&sql, "\"select\", \"order\", \"user\", \"table\", \"group\", \"Mixed_Case\"", 0);
}

static void test_sql_comparisons(void **state)
{
    (void)state;
    int64_t numbers[] = { 1, 2 };
    const opt_text none = { 0 }, nil = { .is_null = true };
    const opt_text some = { .has = true, .value = STR("x") };
    assert_condition(orm_where(word, order, EQ, 1), "\"order\" = $1", 1);
    assert_condition(orm_where(word, order, NE, 1), "\"order\" <> $1", 1);
    assert_condition(orm_where(word, order, LT, 1), "\"order\" < $1", 1);
    assert_condition(orm_where(word, order, LE, 1), "\"order\" <= $1", 1);
    assert_condition(orm_where(word, order, GT, 1), "\"order\" > $1", 1);
    assert_condition(orm_where(word, order, GE, 1), "\"order\" >= $1", 1);
    assert_condition(orm_where(word, user, LIKE, STR("%")), "\"user\" like $1", 1);
    assert_condition(orm_where(word, user, ILIKE, STR("%")), "\"user\" ilike $1", 1);
    assert_condition(orm_where(word, order, IN, ((int8_list){ numbers, 2 })), "\"order\" = any($1)",
                     1);
    assert_condition(orm_where(word, order, IN, ((int8_list){ 0 })), "\"order\" = any($1)", 1);
    assert_condition(orm_where(word, table, EQ, none), "\"table\" is null", 0);
    assert_condition(orm_where(word, table, EQ, nil), "\"table\" is null", 0);
    assert_condition(orm_where(word, table, NE, nil), "\"table\" is not null", 0);
    assert_condition(orm_where(word, table, EQ, some), "\"table\" = $1", 1);
    assert_condition(orm_where(word, table, LT, nil), "\"table\" < $1", 1); /* about no row true */
    assert_condition(orm_where_null(word, group), "\"group\" is null", 0);
    assert_condition(orm_where_not_null(word, group), "\"group\" is not null", 0);
}

static void test_sql_value_never_stands_in_the_text(void **state)
{
    (void)state;
    const char *evil = "\"'; drop table x; -- $1 \\";
    assert_condition(orm_where(word, user, EQ, str_from_c(evil)), "\"user\" = $1", 1);
    assert_condition(orm_where(word, table, NE, ((opt_text){ .has = true, .value = STR("'") })),
                     "\"table\" <> $1", 1);
}

static void test_sql_joins(void **state)
{
    (void)state;
    const word_filter one = orm_where(word, order, EQ, 1), two = orm_where(word, select, GT, 2);
    assert_condition(orm_all_of(word), "true", 0);
    assert_condition(orm_any_of(word), "false", 0);
    assert_condition(orm_not(word, orm_all_of(word)), "(true) is not true", 0);
    assert_condition(orm_not(word, orm_any_of(word)), "(false) is not true", 0);
    assert_condition(orm_all_of(word, one), "\"order\" = $1", 1);
    assert_condition(orm_all_of(word, one, two), "(\"order\" = $1 and \"select\" > $2)", 2);
    assert_condition(orm_any_of(word, one, two), "(\"order\" = $1 or \"select\" > $2)", 2);
    assert_condition(orm_all_of(word, one, orm_any_of(word, one, two)),
                     "(\"order\" = $1 and (\"order\" = $2 or \"select\" > $3))", 3);
    assert_condition(orm_not(word, one), "(\"order\" = $1) is not true", 1);
    assert_condition(orm_not(word, orm_any_of(word, one, two)),
                     "((\"order\" = $1 or \"select\" > $2)) is not true", 2);
}

/* A filter that is no condition lets every row pass, wherever it stands. */
static void test_sql_no_condition_is_true_of_every_row(void **state)
{
    (void)state;
    const word_filter none = { NULL }, one = orm_where(word, order, EQ, 1);
    assert_condition(orm_all_of(word, none), "true", 0);
    assert_condition(orm_all_of(word, none, one), "\"order\" = $1", 1);
    orm_sql sql = empty();
    orm_sql_put_where(&sql, orm_all_of(word, none).node);
    assert_text(&sql, "", 0);
    orm_sql_put_where(&sql, NULL);
    assert_text(&sql, "", 0);
    orm_sql_put_where(&sql, orm_any_of(word).node);
    assert_text(&sql, " where false", 0);
}

static word_filter nested(int depth)
{
    word_filter f = orm_where(word, select, EQ, 1);
    for (int i = 1; i < depth; i++)
        f = i % 2 ? orm_not(word, f) : orm_all_of(word, f, f);
    return f;
}

static word_filter chain(int depth)
{
    word_filter f = orm_where(word, select, EQ, 1);
    for (int i = 1; i < depth; i++)
        f = orm_all_of(word, f);
    return f;
}

static void test_sql_filter_as_deep_as_you_like_is_an_answer_or_an_error(void **state)
{
    (void)state;
    static const pg_target nowhere = { 0 }; /* it must not be asked */
    orm_sql sql = empty();
    orm_sql_put_condition(&sql, chain(ORM_FILTER_DEPTH_MAX).node);
    assert_text(&sql, "\"select\" = $1", 1);
    assert_false(sql.too_deep);
    orm_sql_put_condition(&sql, chain(ORM_FILTER_DEPTH_MAX + 1).node);
    assert_true(sql.too_deep);
    pg_rows rows;
    assert_fails(PG_INVALID_ARGUMENT, orm_sql_query(&sql, nowhere, &rows));
    assert_fails(PG_INVALID_ARGUMENT, orm_sql_execute(&sql, nowhere, NULL));
    word out;
    const word_filter deep = chain(100000);
    assert_fails(PG_INVALID_ARGUMENT, orm_get_row(nowhere, &word_table, &out, deep.node));
    assert_fails(ORM_MANY_ROWS, orm_delete_row(nowhere, &word_table, deep.node));
    sql = empty();
    orm_sql_put_condition(&sql, nested(12).node);
    assert_ok(buf_status(&sql.text));
}

static void test_sql_text_past_its_limit_is_an_error(void **state)
{
    (void)state;
    static const pg_target nowhere = { 0 };
    orm_sql sql = empty();
    orm_sql_put_condition(&sql, nested(31).node); /* 2^15 comparisons */
    pg_rows rows;
    assert_fails(BUF_FULL, orm_sql_query(&sql, nowhere, &rows));
}

static void test_sql_orders_and_limits(void **state)
{
    (void)state;
    orm_sql sql = empty();
    orm_sql_put_order(&sql, orm_any_order(word).order);
    assert_text(&sql, "", 0);
    orm_sql_put_order(&sql, orm_order_by(word, orm_asc(word, user), orm_desc(word, order),
                                         orm_asc(word, table), orm_desc(word, group))
                                .order);
    assert_text(&sql, " order by \"user\", \"order\" desc, \"table\", \"group\" desc nulls last",
                0);
    sql = empty();
    orm_sql_put_limit(&sql, 0);
    orm_sql_put_limit(&sql, INT64_MAX);
    assert_text(&sql, " limit $1 limit $2", 2);
}

static void test_sql_one_row_is_told_by_its_filter(void **state)
{
    (void)state;
    static const pg_target nowhere = { 0 };
    word out;
    const opt_int8 absent = { 0 };
    const word_filter not_enough[] = {
        orm_all_of(word),
        orm_where(word, order, EQ, 1),
        orm_where(word, select, GE, 1),
        orm_where(word, select, IN, ((int8_list){ 0 })),
        orm_where(word, select, EQ, absent),
        orm_not(word, orm_where(word, select, EQ, 1)),
        orm_any_of(word, orm_where(word, select, EQ, 1), orm_where(word, select, EQ, 2)),
        orm_where(word, user, LIKE, STR("a")),
    };
    const orm_change *change = orm_set(word, order, 1).node;
    for (size_t i = 0; i < ARRAY_LEN(not_enough); i++) {
        assert_fails(ORM_MANY_ROWS,
                     orm_update_row(nowhere, &word_table, &out, not_enough[i].node, change));
        assert_fails(ORM_MANY_ROWS, orm_delete_row(nowhere, &word_table, not_enough[i].node));
    }
}

static void test_sql_is_named_by_table_and_operation(void **state)
{
    static const char *const names[ORM_OPERATIONS] = {
        "public.order.find",       "public.order.list",   "public.order.page",
        "public.order.count",      "public.order.insert", "public.order.update",
        "public.order.update_all", "public.order.delete", "public.order.delete_all",
    };
    (void)state;
    for (orm_operation i = ORM_FIND; i < ORM_OPERATIONS; i++) {
        orm_sql sql;
        orm_sql_init(&sql, &word_table, i);
        assert_string_equal(sql.name, names[i]);
    }
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sql_is_named_by_table_and_operation),
        cmocka_unit_test(test_sql_names_are_quoted),
        cmocka_unit_test(test_sql_comparisons),
        cmocka_unit_test(test_sql_value_never_stands_in_the_text),
        cmocka_unit_test(test_sql_joins),
        cmocka_unit_test(test_sql_no_condition_is_true_of_every_row),
        cmocka_unit_test(test_sql_filter_as_deep_as_you_like_is_an_answer_or_an_error),
        cmocka_unit_test(test_sql_text_past_its_limit_is_an_error),
        cmocka_unit_test(test_sql_orders_and_limits),
        cmocka_unit_test(test_sql_one_row_is_told_by_its_filter),
    };
    return cmocka_run_group_tests_name("orm sql", tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
