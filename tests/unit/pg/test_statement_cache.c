/* What is known of statements: found by text and types, the least used given up, freed when nobody
 * uses it, under names that never mean another statement than the server has. */
#include "statement_cache.h"

#include "core/fault.h"
#include "core/memory.h"
#include "tests/support/in_fiber.h"
#include "tests/support/random.h"

static const pg_value INT8 = { .oid = PG_OID_INT8 };
static const pg_value TEXT = { .oid = PG_OID_TEXT };

static pg_statement *find(pg_statement_cache *cache, const char *sql)
{
    return pg_statement_find(cache, str_from_c(sql), NULL, 0, 0);
}

static pg_statement *add(pg_statement_cache *cache, const char *sql)
{
    pg_statement *s = pg_statement_add(cache, str_from_c(sql), NULL, 0, 0);
    assert_non_null(s);
    s->ready = true;
    return s;
}

static void test_statement_cache_finds_by_the_whole_text_and_all_types(void **state)
{
    (void)state;
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, true);
    char sql[] = "select $1";
    pg_statement *number = pg_statement_add(&cache, str_from_c(sql), &INT8, 1, 0);
    memset(sql, 'x', sizeof sql - 1); /* the text is a copy */
    pg_statement *word = pg_statement_add(&cache, STR("select $1"), &TEXT, 1, 0);
    assert_ptr_equal(pg_statement_find(&cache, STR("select $1"), &INT8, 1, 0), number);
    assert_ptr_equal(pg_statement_find(&cache, STR("select $1"), &TEXT, 1, 0), word);
    assert_null(find(&cache, "select $1"));
    assert_null(pg_statement_find(&cache, STR("select $1 "), &INT8, 1, 0));
    assert_null(pg_statement_find(&cache, STR("select $"), &INT8, 1, 0));
    assert_false(str_eq(pg_statement_name(number), pg_statement_name(word)));
    assert_int_equal(cache.count, 2);
    pg_statement_cache_deinit(&cache);
}

/* Who finds a text where it stood before does not read it by its hash, but reads it. */
static void test_statement_cache_text_in_memory_used_again_is_another(void **state)
{
    (void)state;
    static const char *const TEXTS[] = { "select 1", "select 2", "select " };
    char memory[16];
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, true);
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++)
        add(&cache, TEXTS[i]);
    for (size_t round = 0; round < 9; round++) {
        const char *text = TEXTS[round * round % 3];
        memcpy(memory, text, strlen(text) + 1);
        assert_str_equal(find(&cache, memory)->sql, str_from_c(text));
        assert_str_equal(find(&cache, memory)->sql, str_from_c(text));
        assert_null(pg_statement_find(&cache, str_from_c(memory), &INT8, 1, 0)); /* its types */
    }
    cache.context = 7;
    assert_null(find(&cache, memory));
    cache.context = 0;
    pg_statement_close(&cache, find(&cache, memory));
    assert_null(find(&cache, memory));
    pg_statement_expire_all(&cache);
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++)
        assert_null(find(&cache, TEXTS[i]));
    pg_statement_cache_deinit(&cache);
}

static void test_statement_cache_in_another_context_has_others(void **state)
{
    (void)state;
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, true);
    pg_statement *here = add(&cache, "select * from t");
    cache.context = 1;
    assert_null(find(&cache, "select * from t"));
    pg_statement *there = add(&cache, "select * from t");
    assert_false(str_eq(pg_statement_name(here), pg_statement_name(there)));
    assert_ptr_equal(find(&cache, "select * from t"), there);
    cache.context = 0;
    assert_ptr_equal(find(&cache, "select * from t"), here);
    pg_statement_cache_deinit(&cache);
}

static void test_statement_cache_gives_up_the_least_recently_used(void **state)
{
    (void)state;
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, true);
    char sql[32];
    for (unsigned i = 0; i < PG_STATEMENTS_MAX; i++) {
        assert_null(pg_statement_surplus(&cache, 0));
        (void)snprintf(sql, sizeof sql, "select %u", i);
        add(&cache, sql);
    }
    const pg_statement *first = pg_statement_surplus(&cache, 0);
    assert_ptr_equal(find(&cache, "select 0"), first);
    /* Finding it has made it the most recent: the next one is to go. */
    pg_statement *oldest = pg_statement_surplus(&cache, 0);
    assert_str_equal(oldest->sql, STR("select 1"));
    /* One that a request uses, or that is not described yet, stays. */
    pg_statement *kept = pg_statement_keep(oldest);
    assert_str_equal(pg_statement_surplus(&cache, 0)->sql, STR("select 2"));
    find(&cache, "select 3")->ready = false;
    find(&cache, "select 2")->ready = false;
    assert_str_equal(pg_statement_surplus(&cache, 0)->sql, STR("select 4"));
    pg_statement_evict(kept);
    assert_null(find(&cache, "select 1"));
    assert_null(pg_statement_surplus(&cache, 0));
    assert_str_equal(kept->sql, STR("select 1")); /* still the request's */
    pg_statement_evict(kept);                     /* again: harmless */
    pg_statement_release(&kept);
    assert_null(kept);
    pg_statement_cache_deinit(&cache);
}

static void test_statement_cache_gives_up_what_takes_too_much(void **state)
{
    (void)state;
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, true);
    char *sql = memory_new(1, PG_STATEMENT_BYTES_MAX / 4);
    memset(sql, 'x', PG_STATEMENT_BYTES_MAX / 4);
    for (int i = 0; i < 4; i++) {
        assert_null(pg_statement_surplus(&cache, 0));
        sql[0] = (char)('a' + i);
        pg_statement *s =
            pg_statement_add(&cache, (str){ sql, PG_STATEMENT_BYTES_MAX / 4 }, NULL, 0, 0);
        s->ready = true;
    }
    pg_statement *s = pg_statement_surplus(&cache, 0);
    assert_non_null(s);
    assert_int_equal(s->sql.ptr[0], 'a');
    pg_statement_close(&cache, s);
    assert_null(pg_statement_surplus(&cache, 0));
    /* Columns count too. */
    pg_column *columns = memory_new(PG_STATEMENT_BYTES_MAX / 4, 1);
    pg_statement_described(add(&cache, "wide"), columns,
                           PG_STATEMENT_BYTES_MAX / 4 / sizeof(pg_column));
    assert_int_equal(pg_statement_surplus(&cache, 0)->sql.ptr[0], 'b');
    memory_free(sql);
    pg_statement_cache_deinit(&cache);
}

static pg_statement *described(pg_statement_cache *cache, const char *sql, const pg_oid *oids,
                               uint32_t count)
{
    pg_column *columns = memory_new(count, sizeof *columns);
    for (uint32_t i = 0; i < count; i++)
        columns[i] = (pg_column){ .oid = oids[i], .format = pg_type_format(oids[i]) };
    pg_statement *s = add(cache, sql);
    pg_statement_described(s, columns, count);
    return s;
}

static void test_statement_columns_have_the_formats_of_what_rows_are_for(void **state)
{
    (void)state;
    static const pg_oid MIXED[] = { PG_OID_INT8, PG_OID_NUMERIC, PG_OID_XML, PG_OID_DATE };
    static const pg_oid PLAIN[] = { PG_OID_INT8, PG_OID_TEXT };
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, true);
    pg_statement *s = described(&cache, "mixed", MIXED, ARRAY_LEN(MIXED));
    const size_t bytes = cache.bytes;
    for (int times = 0; times < 2; times++) {
        assert_true(pg_statement_show_as(s, PG_ROWS_BY_TYPE));
        assert_true(pg_statement_show_as(s, PG_ROWS_AS_VALUES));
        assert_true(pg_statement_show_as(s, PG_ROWS_AS_TEXT));
        assert_true(pg_statement_show_as(s, PG_ROWS_AS_JSON));
        assert_int_equal(cache.bytes, bytes + 3 * ARRAY_LEN(MIXED) * sizeof(pg_column));
    }
    static const pg_format EXPECTED[][4] = {
        [PG_ROWS_BY_TYPE] = { PG_BINARY, PG_TEXT, PG_TEXT, PG_TEXT },
        [PG_ROWS_AS_VALUES] = { PG_BINARY, PG_BINARY, PG_TEXT, PG_BINARY },
        [PG_ROWS_AS_TEXT] = { PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT },
        [PG_ROWS_AS_JSON] = { PG_TEXT, PG_TEXT, PG_TEXT, PG_BINARY }
    };
    for (size_t as = 0; as < ARRAY_LEN(EXPECTED); as++) {
        for (size_t i = 0; i < ARRAY_LEN(MIXED); i++)
            assert_int_equal(pg_statement_columns(s, (pg_rows_as)as)[i].format, EXPECTED[as][i]);
    }
    s = described(&cache, "plain", PLAIN, ARRAY_LEN(PLAIN));
    assert_true(pg_statement_show_as(s, PG_ROWS_AS_VALUES));
    assert_ptr_equal(pg_statement_columns(s, PG_ROWS_AS_VALUES), s->columns);
    s = add(&cache, "no rows");
    pg_statement_described(s, NULL, 0);
    assert_true(pg_statement_show_as(s, PG_ROWS_AS_TEXT));
    assert_null(pg_statement_columns(s, PG_ROWS_AS_TEXT));
    pg_statement_cache_deinit(&cache);
}

static void test_statement_columns_without_memory_are_asked_for_again(void **state)
{
    (void)state;
    static const pg_oid DATE[] = { PG_OID_DATE };
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, true);
    pg_statement *s = described(&cache, "a date", DATE, 1);
    fault_at("memory", 1);
    assert_false(pg_statement_show_as(s, PG_ROWS_AS_VALUES));
    fault_clear();
    assert_true(pg_statement_show_as(s, PG_ROWS_AS_VALUES));
    assert_int_equal(pg_statement_columns(s, PG_ROWS_AS_VALUES)[0].format, PG_BINARY);
    pg_statement_cache_deinit(&cache);
}

static void test_statement_cache_gives_up_what_was_not_used_for_long(void **state)
{
    (void)state;
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, true);
    add(&cache, "old");
    add(&cache, "used");
    assert_non_null(pg_statement_find(&cache, STR("used"), NULL, 0, 1));
    assert_null(pg_statement_surplus(&cache, PG_STATEMENT_UNUSED_MS - 1));
    pg_statement *s = pg_statement_surplus(&cache, PG_STATEMENT_UNUSED_MS);
    assert_str_equal(s->sql, STR("old"));
    pg_statement_close(&cache, s);
    assert_null(pg_statement_surplus(&cache, PG_STATEMENT_UNUSED_MS));
    assert_str_equal(pg_statement_surplus(&cache, PG_STATEMENT_UNUSED_MS + 1)->sql, STR("used"));
    pg_statement_cache_deinit(&cache);
}

static void test_statement_cache_names_follow_from_the_content(void **state)
{
    (void)state;
    pg_statement_cache one, other;
    pg_statement_cache_init(&one, true);
    pg_statement_cache_init(&other, true);
    add(&other, "select 2");
    assert_string_equal(add(&one, "select 1")->name, add(&other, "select 1")->name);
    assert_string_not_equal(add(&one, "select 2")->name, find(&one, "select 1")->name);
    /* Closed because there was no room: it comes back as the same. */
    char name[sizeof find(&one, "select 1")->name];
    memcpy(name, find(&one, "select 1")->name, sizeof name);
    pg_statement_close(&one, find(&one, "select 1"));
    assert_string_equal(add(&one, "select 1")->name, name);
    /* Out of date: somebody may be about to use it by that name. */
    pg_statement_expire(&one, find(&one, "select 1"));
    assert_string_not_equal(add(&one, "select 1")->name, name);
    pg_statement_cache_deinit(&one);
    pg_statement_cache_deinit(&other);
}

static void test_statement_cache_with_colliding_names_keeps_them_apart(void **state)
{
    (void)state;
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, true);
    pg_statement *s = add(&cache, "select 1");
    char name[sizeof s->name];
    memcpy(name, s->name, sizeof name);
    /* As if it were another text of the same hash. */
    ((char *)(uintptr_t)s->sql.ptr)[7] = '2';
    assert_null(find(&cache, "select 1"));
    pg_statement *second = add(&cache, "select 1");
    assert_int_equal(s->hash, second->hash);
    assert_string_not_equal(second->name, name);
    assert_ptr_equal(find(&cache, "select 1"), second);
    pg_statement_cache_deinit(&cache);
}

static size_t count_of(const list *l)
{
    size_t count = 0;
    for (const list_node *n = l->head.next; n != &l->head; n = n->next)
        count++;
    return count;
}

static void test_statement_cache_remembers_what_the_server_is_to_close(void **state)
{
    (void)state;
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, true);
    pg_statement *used = pg_statement_keep(add(&cache, "used"));
    add(&cache, "other");
    pg_statement *asked = pg_statement_add(&cache, STR("asked"), NULL, 0, 0);
    pg_statement_expire_all(&cache);
    assert_int_equal(cache.count, 1); /* it is being described */
    assert_ptr_equal(find(&cache, "asked"), asked);
    assert_int_equal(count_of(&cache.closing), 2);
    pg_statement_close(&cache, used); /* again: harmless */
    assert_int_equal(count_of(&cache.closing), 2);
    pg_statement_cache_closed(&cache); /* but for the one whose name is about to be used */
    assert_int_equal(count_of(&cache.closing), 1);
    assert_str_equal(used->sql, STR("used"));
    pg_statement_release(&used);
    pg_statement_cache_closed(&cache);
    assert_int_equal(count_of(&cache.closing), 0);
    pg_statement_keep(asked); /* that was refused: it has no use */
    pg_statement_close(&cache, asked);
    pg_statement_cache_closed(&cache);
    assert_int_equal(count_of(&cache.closing), 0);
    pg_statement_release(&asked);
    pg_statement_cache_deinit(&cache);
    /* One without names has nobody to tell. */
    pg_statement_cache_init(&cache, false);
    assert_string_equal(add(&cache, "select 1")->name, "");
    pg_statement_close(&cache, find(&cache, "select 1"));
    assert_true(list_is_empty(&cache.closing));
    pg_statement_cache_deinit(&cache);
}

static void test_statement_cache_twin_is_the_same_of_another(void **state)
{
    (void)state;
    pg_statement_cache one, other;
    pg_statement_cache_init(&one, true);
    pg_statement_cache_init(&other, true);
    pg_statement *s = pg_statement_add(&one, STR("select $1"), &INT8, 1, 0);
    pg_statement_add(&other, STR("select $1"), &TEXT, 1, 0);
    assert_null(pg_statement_twin(&other, s));
    pg_statement *twin = pg_statement_add(&other, STR("select $1"), &INT8, 1, 0);
    assert_ptr_equal(pg_statement_twin(&other, s), twin);
    pg_statement_evict(twin);
    assert_null(pg_statement_twin(&other, s));
    pg_statement_cache_deinit(&one);
    pg_statement_cache_deinit(&other);
}

static void test_statement_cache_outlived_by_a_statement_in_use(void **state)
{
    (void)state;
    pg_statement_cache cache;
    pg_statement_cache_init(&cache, true);
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
    pg_statement_cache_init(&cache, true);
    fault_at("memory", 1);
    assert_null(pg_statement_add(&cache, STR("select 1"), NULL, 0, 0));
    fault_clear();
    assert_int_equal(cache.count, 0);
    assert_null(find(&cache, "select 1"));
    pg_statement_cache_deinit(&cache);
}

/* --- against a model -------------------------------------------------------------------------- */

#define TEXTS 400
#define STEPS 40000

/* What the cache should know of each text, and what a server would: which names it holds, and what
 * was prepared under them. */
typedef struct model {
    bool is_in[TEXTS];
    uint64_t used[TEXTS]; /* the step */
    pg_statement *held[TEXTS];
    char name[TEXTS][28]; /* that the server knows it by; "" when it does not */
} model;

static str text_of(unsigned i, char out[16])
{
    return (str){ out, (size_t)snprintf(out, 16, "select %u", i) };
}

static unsigned number_of(const pg_statement *s)
{
    unsigned n = 0;
    for (size_t i = sizeof "select"; i < s->sql.len; i++)
        n = 10 * n + (unsigned)(s->sql.ptr[i] - '0');
    return n;
}

static void model_closes(model *m, pg_statement_cache *cache)
{
    LIST_EACH (pg_statement, s, &cache->closing, used) {
        for (unsigned i = 0; i < TEXTS; i++) {
            if (strcmp(m->name[i], s->name) == 0)
                m->name[i][0] = '\0';
        }
    }
    pg_statement_cache_closed(cache);
}

/* As prepare.c does it: makes room, then Close of what was given up and Parse leave together. */
static void model_prepare(model *m, pg_statement_cache *cache, unsigned i, uint64_t step)
{
    char text[16];
    pg_statement *s;
    while ((s = pg_statement_surplus(cache, step))) {
        const unsigned gone = number_of(s);
        for (unsigned k = 0; k < TEXTS;
             k++) /* nobody else was used less lately, but what is held */
            assert_true(!m->is_in[k] || m->held[k] || m->used[k] >= m->used[gone]);
        assert_ptr_not_equal(m->held[gone], s);
        m->is_in[gone] = false;
        pg_statement_close(cache, s);
    }
    s = pg_statement_add(cache, text_of(i, text), NULL, 0, step);
    s->ready = true;
    model_closes(m, cache);
    for (unsigned k = 0; k < TEXTS; k++) /* else the server says 42P05, or runs another one */
        assert_string_not_equal(m->name[k], s->name);
    memcpy(m->name[i], s->name, sizeof m->name[i]);
    m->is_in[i] = true;
    m->used[i] = step;
}

static void model_step(model *m, pg_statement_cache *cache, random_state *dice, uint64_t step)
{
    char text[16];
    const unsigned i = (unsigned)random_below(dice, TEXTS);
    pg_statement *s = pg_statement_find(cache, text_of(i, text), NULL, 0, step);
    assert_true(m->is_in[i] == (s != NULL));
    if (s)
        m->used[i] = step;
    switch (random_below(dice, 16)) {
    case 0: /* the server says that it is out of date */
        if (s)
            pg_statement_expire(cache, s);
        m->is_in[i] = false;
        break;
    case 1:
        if (random_below(dice, 50) != 0)
            break;
        pg_statement_expire_all(cache); /* the session was reset */
        memset(m->is_in, 0, sizeof m->is_in);
        break;
    case 2:
    case 3: /* a request keeps it */
        if (s && !m->held[i])
            m->held[i] = pg_statement_keep(s);
        break;
    case 4:
    case 5:
    case 6:
        pg_statement_release(&m->held[i]);
        break;
    default:
        if (!s)
            model_prepare(m, cache, i, step);
        else
            assert_string_equal(m->name[i], s->name); /* Bind finds the right one */
    }
}

static void test_statement_cache_random_walk_agrees_with_a_model(void **state)
{
    (void)state;
    pg_statement_cache cache;
    random_state dice = random_start();
    model *m = MEMORY_NEW(model);
    pg_statement_cache_init(&cache, true);
    for (uint64_t step = 1; step <= STEPS; step++) {
        size_t count = 0;
        model_step(m, &cache, &dice, step);
        for (unsigned i = 0; i < TEXTS; i++)
            count += m->is_in[i];
        assert_int_equal(cache.count, count);
        assert_true(count <= PG_STATEMENTS_MAX);
    }
    for (unsigned i = 0; i < TEXTS; i++)
        pg_statement_release(&m->held[i]);
    pg_statement_cache_deinit(&cache);
    memory_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statement_cache_finds_by_the_whole_text_and_all_types),
        cmocka_unit_test(test_statement_cache_text_in_memory_used_again_is_another),
        cmocka_unit_test(test_statement_cache_in_another_context_has_others),
        cmocka_unit_test(test_statement_cache_gives_up_the_least_recently_used),
        cmocka_unit_test(test_statement_cache_gives_up_what_takes_too_much),
        cmocka_unit_test(test_statement_columns_have_the_formats_of_what_rows_are_for),
        cmocka_unit_test(test_statement_columns_without_memory_are_asked_for_again),
        cmocka_unit_test(test_statement_cache_gives_up_what_was_not_used_for_long),
        cmocka_unit_test(test_statement_cache_names_follow_from_the_content),
        cmocka_unit_test(test_statement_cache_with_colliding_names_keeps_them_apart),
        cmocka_unit_test(test_statement_cache_remembers_what_the_server_is_to_close),
        cmocka_unit_test(test_statement_cache_twin_is_the_same_of_another),
        cmocka_unit_test(test_statement_cache_outlived_by_a_statement_in_use),
        cmocka_unit_test(test_statement_cache_without_memory_adds_nothing),
        cmocka_unit_test(test_statement_cache_random_walk_agrees_with_a_model),
    };
    return cmocka_run_group_tests_name("pg statement_cache", tests, NULL, NULL);
}
