/* Typed queries against a real server. */
#include "orm/orm.h"
#include "tests/support/database.h"

#define PET_FIELDS(F)                                   \
    F(id, int8, .primary_key = true, .generated = true) \
    F(name, text, .unique = true)                       \
    F(legs, int4)                                       \
    F(weight, opt_float8)                               \
    F(born, timestamptz)                                \
    F(tags, text_list)                                  \
    F(photo, opt_bytea)                                 \
    F(note, opt_jsonb)                                  \
    F(chip, opt_uuid)                                   \
    F(tame, bool)
ORM_TABLE(pet, "orm_test.pets", PET_FIELDS)

#define PET_PATCH_FIELDS(F) \
    F(name, opt_text)       \
    F(legs, opt_int4)       \
    F(weight, opt_float8)
SHAPE(pet_patch, PET_PATCH_FIELDS)

static pg_pool *db;

static int open_pool(void **state)
{
    (void)state;
    assert_ok(pg_pool_open(NULL, &db));
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_script(tx, STR("drop schema if exists orm_test cascade; create schema orm_test;"
                                "create table orm_test.pets ("
                                "id bigint generated always as identity primary key,"
                                "name text not null constraint pets_name_once unique,"
                                "legs int not null check (legs >= 0), weight float8 default 1.5,"
                                "born timestamptz not null, tags text[] not null, photo bytea,"
                                "note jsonb, chip uuid, tame boolean not null)")));
    assert_ok(pg_commit(&tx));
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "drop schema orm_test cascade"));
    pg_pool_close(&db);
    return 0;
}

static int empty_table(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "truncate orm_test.pets restart identity"));
    return 0;
}

static pet new_pet(const char *name, int32_t legs)
{
    return (pet){ .name = str_from_c(name), .legs = legs, .born = { 1000000LL * legs } };
}

static void insert_many(int count)
{
    for (int i = 0; i < count; i++) {
        pet p = new_pet(str_to_c(fiber_arena(), str_format(fiber_arena(), "pet %03d", i)), i % 7);
        assert_ok(orm_insert(db, pet, &p));
        assert_int_equal(p.id, i + 1);
    }
}

static void test_table_insert_reads_back_what_the_database_made(void **state)
{
    (void)state;
    str tags[] = { STR("small"), STR("gr\xC3\xBCn") };
    pet p = { .name = STR("Rex"),
              .legs = 4,
              .born = { 42 },
              .tags = { tags, 2 },
              .photo = { .has = true, .value = { (const uint8_t *)"\0\1\2", 3 } },
              .note = { .has = true, .value = { STR("{\"a\": 1}") } },
              .chip = { .has = true, .value = { { 1, 2, 3 } } },
              .tame = true };
    assert_ok(orm_insert(db, pet, &p));
    assert_int_equal(p.id, 1);
    assert_true(p.weight.has); /* left out: the database's default */
    pet back;
    assert_ok(orm_get(db, pet, &back, orm_where(pet, id, EQ, p.id)));
    assert_str_equal(back.name, STR("Rex"));
    assert_int_equal(back.legs, 4);
    assert_true(back.weight.value > 1.4 && back.weight.value < 1.6);
    assert_int_equal(back.tags.count, 2);
    assert_str_equal(back.tags.items[1], tags[1]);
    assert_int_equal(back.photo.value.len, 3);
    assert_str_equal(back.note.value.text, STR("{\"a\": 1}"));
    assert_memory_equal(&back.chip.value, &p.chip.value, 16);
    assert_true(back.tame);
    assert_true(back.born.us == 42);
}

static void test_table_explicit_null_is_stored(void **state)
{
    (void)state;
    pet p = new_pet("Nul", 2);
    p.weight.is_null = true;
    assert_ok(orm_insert(db, pet, &p));
    assert_false(p.weight.has);
    assert_ok(orm_get(db, pet, &p, orm_where_null(pet, weight)));
    assert_fails(ORM_NOT_FOUND, orm_get(db, pet, &p, orm_where_not_null(pet, weight)));
    assert_ok(orm_get(db, pet, &p, orm_where(pet, weight, EQ, (opt_float8){ 0 })));
}

static void test_table_get_wants_exactly_one(void **state)
{
    (void)state;
    pet p;
    bool known = true;
    insert_many(3);
    assert_fails(ORM_NOT_FOUND, orm_get(db, pet, &p, orm_where(pet, id, EQ, 99)));
    assert_ok(orm_find(db, pet, &p, &known, orm_where(pet, id, EQ, 99)));
    assert_false(known);
    assert_ok(orm_find(db, pet, &p, &known, orm_where(pet, id, EQ, 2)));
    assert_true(known);
    assert_str_equal(p.name, STR("pet 001"));
    assert_fails(ORM_MANY_ROWS, orm_get(db, pet, &p));
}

static int64_t count_of(pet_filter filter)
{
    int64_t count = -1;
    assert_ok(orm_count(db, pet, &count, filter));
    return count;
}

static void test_table_conditions(void **state)
{
    (void)state;
    int32_t few[] = { 0, 6 };
    insert_many(70);
    assert_int_equal(count_of(orm_all_of(pet)), 70);
    assert_int_equal(count_of(orm_any_of(pet)), 0);
    assert_int_equal(count_of(orm_where(pet, legs, EQ, 3)), 10);
    assert_int_equal(count_of(orm_where(pet, legs, NE, 3)), 60);
    assert_int_equal(count_of(orm_where(pet, legs, LT, 2)), 20);
    assert_int_equal(count_of(orm_where(pet, legs, GE, 2)), 50);
    assert_int_equal(count_of(orm_where(pet, legs, IN, ((int4_list){ few, 2 }))), 20);
    assert_int_equal(count_of(orm_where(pet, name, LIKE, STR("pet 00%"))), 10);
    assert_int_equal(count_of(orm_where(pet, name, ILIKE, STR("PET 00%"))), 10);
    assert_int_equal(
        count_of(orm_any_of(pet, orm_where(pet, legs, EQ, 1), orm_where(pet, legs, EQ, 2))), 20);
    assert_int_equal(count_of(orm_all_of(pet, orm_where(pet, legs, EQ, 1),
                                         orm_not(pet, orm_where(pet, name, LIKE, STR("%1"))))),
                     9);
    assert_int_equal(count_of(orm_where(pet, id, EQ, INT64_MAX)), 0);
    assert_int_equal(count_of(orm_where(pet, tame, NE, true)), 70);
    assert_int_equal(count_of(orm_where(pet, tame, EQ, true)), 0);
    /* A value that would be another after narrowing is not narrowed. */
    assert_int_equal(count_of(orm_where(pet, legs, EQ, ((int64_t)1 << 32) + 3)), 0);
}

static void test_table_value_is_never_read_as_sql(void **state)
{
    (void)state;
    pet p = new_pet("x'; drop table orm_test.pets; --", 1);
    assert_ok(orm_insert(db, pet, &p));
    assert_ok(
        orm_get(db, pet, &p, orm_where(pet, name, EQ, STR("x'; drop table orm_test.pets; --"))));
    assert_int_equal(count_of(orm_all_of(pet)), 1);
}

static void test_table_list_orders_and_limits(void **state)
{
    (void)state;
    pet_list pets;
    insert_many(20);
    assert_ok(
        orm_list(db, pet, &pets, orm_order_by(pet, orm_desc(pet, legs), orm_asc(pet, id)), 5));
    assert_int_equal(pets.count, 5);
    assert_int_equal(pets.items[0].legs, 6);
    assert_int_equal(pets.items[0].id, 7);
    assert_int_equal(pets.items[1].id, 14);
    assert_ok(orm_list(db, pet, &pets, orm_any_order(pet), 50, orm_where(pet, legs, EQ, 0)));
    assert_int_equal(pets.count, 3);
    assert_ok(orm_list(db, pet, &pets, orm_any_order(pet), 50, orm_where(pet, legs, EQ, 99)));
    assert_int_equal(pets.count, 0);
}

static void test_table_pages_show_every_row_once(void **state)
{
    (void)state;
    insert_many(25);
    page_query query = { .limit = 10 };
    bool seen[26] = { false };
    size_t pages = 0, rows = 0;
    int32_t legs_before = 99;
    for (bool more = true; more; pages++) {
        pet_page page;
        assert_ok(orm_page(db, pet, &page, query, orm_desc(pet, legs)));
        for (size_t i = 0; i < page.items.count; i++, rows++) {
            const pet *p = &page.items.items[i];
            assert_true(p->legs <= legs_before);
            legs_before = p->legs;
            assert_false(seen[p->id]);
            seen[p->id] = true;
        }
        query.cursor = page.next.value;
        more = page.next.has;
    }
    assert_int_equal(pages, 3);
    assert_int_equal(rows, 25);
}

static void test_table_pages_by_text(void **state)
{
    (void)state;
    pet_page page;
    insert_many(5);
    assert_ok(orm_page(db, pet, &page, (page_query){ .limit = 3 }, orm_asc(pet, name)));
    assert_ok(orm_page(db, pet, &page, ((page_query){ .limit = 3, .cursor = page.next.value }),
                       orm_asc(pet, name), orm_where(pet, legs, GE, 0)));
    assert_int_equal(page.items.count, 2);
    assert_str_equal(page.items.items[0].name, STR("pet 003"));
    assert_false(page.next.has);
}

static void test_table_bad_cursors_are_refused(void **state)
{
    (void)state;
    pet_page page;
    insert_many(5);
    assert_ok(orm_page(db, pet, &page, (page_query){ .limit = 2 }, orm_asc(pet, name)));
    const str good = page.next.value;
    const str bad[] = { STR(""), STR("!"), STR("AAAA"), str_slice(good, 0, good.len - 4),
                        str_format(fiber_arena(), "%.*sAAAA", STR_ARG(good)) };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(ORM_BAD_CURSOR,
                     orm_page(db, pet, &page, ((page_query){ .limit = 2, .cursor = bad[i] }),
                              orm_asc(pet, name)));
    assert_fails(ORM_BAD_CURSOR,
                 orm_page(db, pet, &page, ((page_query){ .limit = 2, .cursor = good }),
                          orm_desc(pet, name)));
    assert_fails(
        ORM_BAD_CURSOR,
        orm_page(db, pet, &page, ((page_query){ .limit = 2, .cursor = good }), orm_asc(pet, legs)));
}

static void test_table_update_changes_what_is_named(void **state)
{
    (void)state;
    pet p;
    insert_many(3);
    assert_ok(orm_update(db, pet, &p, orm_where(pet, id, EQ, 2), orm_set(pet, legs, 8),
                         orm_set(pet, weight, (opt_float8){ 0 })));
    assert_int_equal(p.legs, 8);
    assert_false(p.weight.has);
    assert_str_equal(p.name, STR("pet 001"));
    assert_int_equal(count_of(orm_where(pet, legs, EQ, 8)), 1);
    assert_fails(ORM_NOT_FOUND,
                 orm_update(db, pet, &p, orm_where(pet, id, EQ, 99), orm_set(pet, legs, 8)));
    assert_fails(PG_UNIQUE_VIOLATION, orm_update(db, pet, &p, orm_where(pet, id, EQ, 2),
                                                 orm_set(pet, name, STR("pet 000"))));
    assert_fails(PG_CHECK_VIOLATION,
                 orm_update(db, pet, &p, orm_where(pet, id, EQ, 2), orm_set(pet, legs, -1)));
}

static void test_table_update_some_changes_what_was_given(void **state)
{
    (void)state;
    pet p;
    insert_many(1);
    pet_patch in = { .legs = { .has = true, .value = 3 }, .weight = { .is_null = true } };
    assert_ok(orm_update(db, pet, &p, orm_where(pet, id, EQ, 1),
                         orm_set_some(pet, in, name, legs, weight)));
    assert_str_equal(p.name, STR("pet 000"));
    assert_int_equal(p.legs, 3);
    assert_false(p.weight.has);
    in = (pet_patch){ 0 };
    assert_ok(orm_update(db, pet, &p, orm_where(pet, id, EQ, 1),
                         orm_set_some(pet, in, name, legs, weight)));
    assert_int_equal(p.legs, 3);
}

static void test_table_one_slip_does_not_change_many_rows(void **state)
{
    (void)state;
    pet p;
    uint64_t affected;
    insert_many(14);
    assert_fails(ORM_MANY_ROWS,
                 orm_update(db, pet, &p, orm_where(pet, legs, EQ, 1), orm_set(pet, legs, 9)));
    assert_fails(ORM_MANY_ROWS, orm_delete(db, pet));
    assert_fails(ORM_MANY_ROWS, orm_delete(db, pet, orm_where(pet, id, GT, 1)));
    assert_fails(ORM_MANY_ROWS, orm_delete(db, pet,
                                           orm_any_of(pet, orm_where(pet, id, EQ, 1),
                                                      orm_where(pet, legs, EQ, 1))));
    assert_int_equal(count_of(orm_all_of(pet)), 14);
    assert_ok(orm_delete(db, pet, orm_where(pet, name, EQ, STR("pet 000"))));
    assert_ok(orm_delete(db, pet, orm_where(pet, legs, EQ, 1), orm_where(pet, id, EQ, 2)));
    assert_fails(ORM_NOT_FOUND, orm_delete(db, pet, orm_where(pet, id, EQ, 2)));
    assert_ok(
        orm_update_all(db, pet, &affected, orm_where(pet, legs, EQ, 3), orm_set(pet, legs, 9)));
    assert_int_equal(affected, 2);
    assert_ok(orm_delete_all(db, pet, &affected, orm_all_of(pet)));
    assert_int_equal(affected, 12);
}

static void test_table_in_a_transaction(void **state)
{
    (void)state;
    pg_tx *tx;
    pet p = new_pet("Tx", 4);
    assert_ok(pg_begin(db, &tx));
    assert_ok(orm_insert(tx, pet, &p));
    assert_ok(orm_get(tx, pet, &p, orm_where(pet, id, EQ, p.id)));
    assert_fails(ORM_NOT_FOUND, orm_get(db, pet, &p, orm_where(pet, id, EQ, p.id)));
    assert_ok(pg_rollback(&tx));
    assert_int_equal(count_of(orm_all_of(pet)), 0);
}

static void test_table_that_is_not_as_declared_is_a_clear_error(void **state)
{
    (void)state;
    pet p;
    insert_many(1);
    assert_ok(pg_execute(db, NULL, "alter table orm_test.pets alter legs type bigint"));
    const error e = orm_get(db, pet, &p, orm_where(pet, id, EQ, 1));
    char text[512];
    assert_fails(PG_TYPE_MISMATCH, e);
    error_describe(e, text, sizeof text);
    assert_non_null(strstr(text, "legs"));
    assert_ok(pg_execute(db, NULL, "alter table orm_test.pets alter legs type int"));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_table_insert_reads_back_what_the_database_made, empty_table),
        cmocka_unit_test_setup(test_table_explicit_null_is_stored, empty_table),
        cmocka_unit_test_setup(test_table_get_wants_exactly_one, empty_table),
        cmocka_unit_test_setup(test_table_conditions, empty_table),
        cmocka_unit_test_setup(test_table_value_is_never_read_as_sql, empty_table),
        cmocka_unit_test_setup(test_table_list_orders_and_limits, empty_table),
        cmocka_unit_test_setup(test_table_pages_show_every_row_once, empty_table),
        cmocka_unit_test_setup(test_table_pages_by_text, empty_table),
        cmocka_unit_test_setup(test_table_bad_cursors_are_refused, empty_table),
        cmocka_unit_test_setup(test_table_update_changes_what_is_named, empty_table),
        cmocka_unit_test_setup(test_table_update_some_changes_what_was_given, empty_table),
        cmocka_unit_test_setup(test_table_one_slip_does_not_change_many_rows, empty_table),
        cmocka_unit_test_setup(test_table_in_a_transaction, empty_table),
        cmocka_unit_test_setup(test_table_that_is_not_as_declared_is_a_clear_error, empty_table),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
