/* Pages by every kind of key, of a table whose names are SQL's own words, and what becomes of
 * cursors that clients have changed. */
#include "orm/orm.h"
#include "tests/support/database.h"

#include <math.h>

#define WORD_FIELDS(F)                                  \
    F(id, int8, .primary_key = true, .generated = true) \
    F(order, int2)                                      \
    F(limit, int4)                                      \
    F(user, text)                                       \
    F(table, float8)                                    \
    F(select, timestamptz)                              \
    F(where, uuid)                                      \
    F(from, bool)                                       \
    F(end, bytea)                                       \
    F(null, opt_int8)
ORM_TABLE(word, "page_test.group", WORD_FIELDS)

/* The same columns, another table. */
ORM_TABLE(other, "page_test.other", WORD_FIELDS)

/* Nothing that an insert must give. */
#define COUNTER_FIELDS(F)                               \
    F(id, int8, .primary_key = true, .generated = true) \
    F(note, opt_text)
ORM_TABLE(counter, "page_test.counter", COUNTER_FIELDS)

static pg_pool *db;

#define ROWS 61

static word row_of(int64_t i)
{
    static const double NUMBERS[] = {
        0, -0.0, 1.5, -1e300, (double)INFINITY, -(double)INFINITY, (double)NAN
    };
    static const str TEXTS[] = { { "", 0 },
                                 { "a", 1 },
                                 { "A", 1 },
                                 { "\"'\\", 3 },
                                 { "z", 1 },
                                 { "\xC3\xA9", 2 },
                                 { "a longer one that is no slice of a block", 40 } };
    static const uint8_t BYTES[] = { 0, 0, 255, 1, 2, 3 };
    word w = { .order = (int16_t)(i % 5 - 2),
               .limit = i % 7 == 0 ? INT32_MIN : (int32_t)(i % 3),
               .user = TEXTS[i % 7],
               .table = NUMBERS[i % 7],
               .select = { i % 4 ? (i % 4) * 1000000 : INT64_MAX },
               .from = i % 2,
               .end = { BYTES, (size_t)(i % 6) } };
    w.where.bytes[i % 3] = (uint8_t)(i * 37);
    if (i % 3)
        w.null = (opt_int8){ .has = true, .value = i % 4 };
    return w;
}

static int open_pool(void **state)
{
    (void)state;
    assert_ok(pg_pool_open(NULL, &db));
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_script(
        tx, STR("drop schema if exists page_test cascade; create schema page_test;"
                "create table page_test.\"group\" (id bigint generated always as identity primary "
                "key, \"order\" smallint not null, \"limit\" int not null, \"user\" text not null,"
                "\"table\" float8 not null, \"select\" timestamptz not null, \"where\" uuid not "
                "null, \"from\" boolean not null, \"end\" bytea not null, \"null\" bigint);"
                "create table page_test.other (like page_test.\"group\" including all);"
                "create table page_test.counter (id bigint generated always as identity primary "
                "key, note text default 'made');"
                "create function page_test.keep_out() returns trigger language plpgsql as "
                "'begin return null; end';")));
    for (int64_t i = 0; i < ROWS; i++) {
        word w = row_of(i);
        assert_ok(orm_insert(tx, word, &w));
    }
    assert_ok(pg_commit(&tx));
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "drop schema page_test cascade"));
    pg_pool_close(&db);
    return 0;
}

typedef struct order_row {
    const char *name;
    word_order order;
    word_order whole; /* with the primary key */
} order_row;

#define BY(column)                                                         \
    { #column, orm_asc(word, column),                                      \
      orm_order_by(word, orm_asc(word, column), orm_asc(word, id)) },      \
    {                                                                      \
#column " falling", orm_desc(word, column),                        \
            orm_order_by(word, orm_desc(word, column), orm_desc(word, id)) \
    }

#define ORDERS                                                                                   \
    {                                                                                            \
        BY(order), BY(limit), BY(user), BY(table), BY(select), BY(where), BY(from), BY(end),     \
            { "id", orm_asc(word, id), orm_asc(word, id) },                                      \
            { "none", orm_any_order(word), orm_asc(word, id) },                                  \
        {                                                                                        \
            "several", orm_order_by(word, orm_asc(word, from), orm_asc(word, order)),            \
                orm_order_by(word, orm_asc(word, from), orm_asc(word, order), orm_asc(word, id)) \
        }                                                                                        \
    }

static void assert_pages(const order_row *row, uint32_t limit)
{
    word_list all;
    word_page page = { 0 };
    size_t seen = 0;
    assert_ok(orm_list(db, word, &all, row->whole, 1000));
    assert_int_equal(all.count, ROWS);
    do {
        const page_query query = { .limit = limit,
                                   .cursor = page.next.has ? page.next.value : STR_NONE };
        assert_ok(orm_page(db, word, &page, query, row->order));
        for (size_t i = 0; i < page.items.count; i++, seen++) {
            if (seen >= all.count || page.items.items[i].id != all.items[seen].id)
                fail_msg("by %s, pages of %u: row %zu is wrong", row->name, limit, seen);
        }
    } while (page.next.has);
    assert_int_equal(seen, ROWS);
}

static void test_page_by_every_kind_of_key_shows_every_row_once(void **state)
{
    (void)state;
    const order_row rows[] = ORDERS;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_pages(&rows[i], 1);
        assert_pages(&rows[i], 7);
        assert_pages(&rows[i], ROWS);
        assert_pages(&rows[i], 500);
    }
}

/* Whether the cursor is refused; what is not must be a page like any other. */
static bool is_refused(const order_row *row, str cursor)
{
    word_page page;
    const page_query query = { .limit = 5, .cursor = cursor };
    const error e = orm_page(db, word, &page, query, row->order);
    if (e.kind && error_class_of(e) != ERROR_INVALID)
        assert_ok(e);
    if (e.kind)
        return true;
    assert_in_range(page.items.count, 0, 5);
    for (size_t i = 0; i < page.items.count; i++)
        assert_in_range(page.items.items[i].id, 1, ROWS);
    return false;
}

static str first_cursor(const order_row *row)
{
    word_page page;
    assert_ok(orm_page(db, word, &page, ((page_query){ .limit = 30 }), row->order));
    assert_true(page.next.has);
    return page.next.value;
}

static error change_cursor(void *arg)
{
    static const char OTHERS[] = "A_-9z=+ \xff";
    const order_row *row = arg;
    const str cursor = first_cursor(row);
    assert_false(is_refused(row, cursor));
    char *changed = arena_alloc(fiber_arena(), cursor.len + 5, 1);
    for (size_t at = 0; at < cursor.len; at++) {
        memcpy(changed, cursor.ptr, cursor.len);
        for (size_t i = 0; i < sizeof OTHERS; i++) {
            changed[at] = OTHERS[i];
            const bool refused = is_refused(row, (str){ changed, cursor.len });
            /* The first eight bytes say of which list it is. */
            if (at < 10 && changed[at] != cursor.ptr[at])
                assert_true(refused);
        }
        memcpy(changed, cursor.ptr, cursor.len);
        assert_true(is_refused(row, (str){ changed, at }));
    }
    memcpy(changed + cursor.len, "AAAA", 4);
    for (size_t more = 1; more <= 4; more++)
        assert_true(is_refused(row, (str){ changed, cursor.len + more }));
    return OK;
}

static void test_page_changed_cursor_is_refused_or_a_place_in_the_list(void **state)
{
    (void)state;
    order_row rows[] = ORDERS;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fiber *f; /* of its own: an arena of its own */
        assert_ok(fiber_start(loop_self(), &(fiber_options){ .joinable = true }, change_cursor,
                              &rows[i], &f));
        assert_ok(fiber_join(&f));
    }
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
}

static bool is_same_order(const orm_order *a, const orm_order *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->keys[i].offset != b->keys[i].offset || a->keys[i].falling != b->keys[i].falling)
            return false;
    }
    return true;
}

static void test_page_cursor_of_another_list_is_refused(void **state)
{
    (void)state;
    const order_row rows[] = ORDERS;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const str cursor = first_cursor(&rows[i]);
        for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
            if (!is_same_order(&rows[i].whole.order, &rows[k].whole.order))
                assert_true(is_refused(&rows[k], cursor));
        }
        other_page page;
        const page_query query = { .limit = 5, .cursor = cursor };
        assert_fails(ORM_BAD_CURSOR,
                     orm_page(db, other, &page, query, ((other_order){ rows[i].order.order })));
    }
}

static void test_page_keys_too_long_for_a_cursor_do_not_end_the_list(void **state)
{
    (void)state;
    char *text = arena_alloc(fiber_arena(), 70000, 1);
    memset(text, 'x', 70000);
    other o = { 0 };
    for (int i = 0; i < 2; i++) {
        o.user = (str){ text, 70000 };
        assert_ok(orm_insert(db, other, &o));
    }
    other_page page;
    assert_fails(PG_MESSAGE_TOO_LARGE,
                 orm_page(db, other, &page, ((page_query){ .limit = 1 }), orm_asc(other, user)));
    assert_ok(orm_page(db, other, &page, ((page_query){ .limit = 1 }), orm_asc(other, id)));
    assert_true(page.next.has);
}

static int64_t count_of(word_filter filter)
{
    int64_t n = -1;
    assert_ok(orm_count(db, word, &n, filter));
    return n;
}

/* What is not known of a row is not true of it; its opposite is neither, but orm_not's is. */
static void test_page_filters_and_null(void **state)
{
    (void)state;
    const int64_t nulls = count_of(orm_where_null(word, null));
    const int64_t ones = count_of(orm_where(word, null, EQ, 1));
    assert_true(nulls > 0 && ones > 0);
    assert_int_equal(count_of(orm_where_not_null(word, null)), ROWS - nulls);
    assert_int_equal(count_of(orm_where(word, null, NE, 1)), ROWS - nulls - ones);
    assert_int_equal(count_of(orm_not(word, orm_where(word, null, EQ, 1))), ROWS - ones);
    assert_int_equal(count_of(orm_where(word, null, LT, ((opt_int8){ 0 }))), 0);
    assert_int_equal(count_of(orm_not(word, orm_where(word, null, LT, ((opt_int8){ 0 })))), ROWS);
    assert_int_equal(count_of(orm_where(word, null, IN, ((int8_list){ 0 }))), 0);
    assert_int_equal(count_of(orm_not(word, orm_where(word, null, IN, ((int8_list){ 0 })))), ROWS);
    assert_int_equal(count_of(orm_not(word, orm_all_of(word))), 0);
    assert_int_equal(count_of(orm_not(word, orm_any_of(word))), ROWS);
}

static void test_page_words_of_sql_are_names_like_others(void **state)
{
    (void)state;
    word w = row_of(1);
    assert_ok(orm_insert(db, word, &w));
    const word_filter this = orm_where(word, id, EQ, w.id);
    assert_ok(orm_update(db, word, &w, this, orm_set(word, select, ((timestamptz){ 7 })),
                         orm_set(word, null, ((opt_int8){ .is_null = true }))));
    assert_true(w.select.us == 7);
    assert_false(w.null.has);
    assert_fails(PG_DATA_EXCEPTION, orm_update(db, word, &w, this, orm_set(word, order, 70000)));
    assert_ok(orm_delete(db, word, this));
    assert_fails(ORM_NOT_FOUND, orm_delete(db, word, this));
}

static void test_page_rows_that_give_or_change_nothing(void **state)
{
    (void)state;
    counter c = { 0 };
    uint64_t affected = 7;
    assert_ok(orm_insert(db, counter, &c));
    assert_int_equal(c.id, 1);
    assert_str_equal(c.note.value, STR("made"));
    assert_ok(orm_update_rows(pg_target_pool(db), &counter_table, &affected,
                              orm_all_of(counter).node, NULL));
    assert_int_equal(affected, 0);
    assert_ok(orm_update_row(pg_target_pool(db), &counter_table, &c,
                             orm_where(counter, id, EQ, 1).node, NULL));
    assert_ok(orm_update_all(db, counter, &affected, orm_all_of(counter),
                             orm_set(counter, note, STR("new"))));
    assert_int_equal(affected, 1);
    assert_ok(pg_execute(db, NULL,
                         "create trigger keep_out before insert on page_test.counter for each row "
                         "execute function page_test.keep_out()"));
    assert_fails(ORM_NOT_FOUND, orm_insert(db, counter, &c));
    assert_ok(orm_delete_all(db, counter, &affected, orm_all_of(counter)));
    assert_int_equal(affected, 1);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_by_every_kind_of_key_shows_every_row_once),
        cmocka_unit_test(test_page_changed_cursor_is_refused_or_a_place_in_the_list),
        cmocka_unit_test(test_page_cursor_of_another_list_is_refused),
        cmocka_unit_test(test_page_keys_too_long_for_a_cursor_do_not_end_the_list),
        cmocka_unit_test(test_page_filters_and_null),
        cmocka_unit_test(test_page_words_of_sql_are_names_like_others),
        cmocka_unit_test(test_page_rows_that_give_or_change_nothing),
    };
    return cmocka_run_group_tests_name("orm pages", tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
