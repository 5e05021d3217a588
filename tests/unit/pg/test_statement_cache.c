/* Prepared statements of a connection: found by text and types, the least used dropped, freed when
 * nobody uses them. */
#include "statement_cache.h"

#include "core/fault.h"
#include "tests/support/in_fiber.h"

static const pg_value INT8 = { .oid = PG_OID_INT8 };
static const pg_value TEXT = { .oid = PG_OID_TEXT };

static pg_statement *find(pg_statement_cache *cache, const char *sql)
{
    return pg_statement_find(cache, str_from_c(sql), NULL, 0);
}

static pg_statement *add(pg_statement_cache *cache, const char *sql)
{
    pg_statement *s = pg_statement_add(cache, str_from_c(sql), NULL, 0);
    assert_non_null(s);
    s->ready = true;
    return s;
}

static void test_statement_cache_finds_by_the_whole_text_and_all_types(void **state)
{
    (void)state;
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, 7);
    char sql[] = "select $1";
    pg_statement *number = pg_statement_add(&cache, str_from_c(sql), &INT8, 1);
    memset(sql, 'x', sizeof sql - 1); /* the text is a copy */
    pg_statement *word = pg_statement_add(&cache, STR("select $1"), &TEXT, 1);
    assert_ptr_equal(pg_statement_find(&cache, STR("select $1"), &INT8, 1), number);
    assert_ptr_equal(pg_statement_find(&cache, STR("select $1"), &TEXT, 1), word);
    assert_null(find(&cache, "select $1"));
    assert_null(pg_statement_find(&cache, STR("select $1 "), &INT8, 1));
    assert_null(pg_statement_find(&cache, STR("select $"), &INT8, 1));
    assert_false(str_eq(pg_statement_name(number), pg_statement_name(word)));
    assert_int_equal(cache.count, 2);
    pg_statement_cache_deinit(&cache);
}

static void test_statement_cache_gives_up_the_least_recently_used(void **state)
{
    (void)state;
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, 7);
    char sql[32];
    for (unsigned i = 0; i <= PG_STATEMENTS_MAX; i++) {
        assert_null(pg_statement_surplus(&cache));
        (void)snprintf(sql, sizeof sql, "select %u", i);
        add(&cache, sql);
    }
    const pg_statement *first = pg_statement_surplus(&cache);
    assert_ptr_equal(find(&cache, "select 0"), first);
    /* Finding it has made it the most recent: the next one is to go. */
    pg_statement *oldest = pg_statement_surplus(&cache);
    assert_str_equal(oldest->sql, STR("select 1"));
    /* One that a request uses, or that is not described yet, stays. */
    pg_statement *kept = pg_statement_keep(oldest);
    assert_str_equal(pg_statement_surplus(&cache)->sql, STR("select 2"));
    find(&cache, "select 3")->ready = false;
    find(&cache, "select 2")->ready = false;
    assert_str_equal(pg_statement_surplus(&cache)->sql, STR("select 4"));
    pg_statement_evict(&cache, kept);
    assert_null(find(&cache, "select 1"));
    assert_null(pg_statement_surplus(&cache));
    assert_str_equal(kept->sql, STR("select 1")); /* still the request's */
    pg_statement_evict(&cache, kept);             /* again: harmless */
    pg_statement_release(&kept);
    assert_null(kept);
    pg_statement_cache_deinit(&cache);
}

static void test_statement_cache_names_are_never_used_again(void **state)
{
    (void)state;
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, 7);
    pg_statement *s = add(&cache, "select 1");
    char name[16];
    memcpy(name, s->name, sizeof name);
    pg_statement_evict(&cache, s);
    s = add(&cache, "select 1");
    assert_string_not_equal(s->name, name);
    pg_statement_cache_deinit(&cache);
}

static void test_statement_cache_outlived_by_a_statement_in_use(void **state)
{
    (void)state;
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, 7);
    pg_statement *s = pg_statement_keep(add(&cache, "select 1"));
    pg_statement_cache_deinit(&cache);
    assert_str_equal(s->sql, STR("select 1"));
    pg_statement_release(&s);
    pg_statement_release(&s); /* NULL */
}

static void test_statement_cache_without_memory_adds_nothing(void **state)
{
    (void)state;
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, 7);
    fault_at("memory", 1);
    assert_null(pg_statement_add(&cache, STR("select 1"), NULL, 0));
    fault_clear();
    assert_int_equal(cache.count, 0);
    assert_null(find(&cache, "select 1"));
    pg_statement_cache_deinit(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statement_cache_finds_by_the_whole_text_and_all_types),
        cmocka_unit_test(test_statement_cache_gives_up_the_least_recently_used),
        cmocka_unit_test(test_statement_cache_names_are_never_used_again),
        cmocka_unit_test(test_statement_cache_outlived_by_a_statement_in_use),
        cmocka_unit_test(test_statement_cache_without_memory_adds_nothing),
    };
    return cmocka_run_group_tests_name("pg statement_cache", tests, NULL, NULL);
}
