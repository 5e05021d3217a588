/* Types of a database's own and of extensions, none of which is looked up: they come as text and go
 * as literals. */
#include "round_trip.h"

#define ROUNDS 200

static str random_word(random_state *r)
{
    static const char LETTERS[] = "ab\"\\ ,=>'\nN{}";
    const size_t len = random_below(r, 7);
    char *text = arena_alloc(fiber_arena(), len + 1, 1);
    for (size_t i = 0; i < len; i++)
        text[i] = LETTERS[random_below(r, sizeof LETTERS - 1)];
    return (str){ text, len };
}

static void test_hstore_goes_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_script(tx, STR("create extension hstore")));
    for (size_t i = 0; i < ROUNDS; i++) {
        pg_hstore_pair pairs[6];
        const size_t count = random_below(&r, 7);
        for (size_t j = 0; j < count; j++)
            pairs[j] = (pg_hstore_pair){ random_word(&r),
                                         random_below(&r, 4) ? random_word(&r) : STR_NONE };
        const pg_hstore sent = { pairs, count };
        pg_rows rows;
        pg_hstore got;
        opt_pg_hstore_list both;
        str text;
        assert_ok(pg_query(tx, &rows,
                           "select $1::hstore, $1::hstore::text, array[$1::hstore, null]", sent));
        assert_ok(pg_get(&rows, 0, 0, &got));
        assert_ok(pg_get(&rows, 0, 1, &text));
        assert_str_equal(pg_hstore_format(fiber_arena(), &got), text);
        assert_ok(pg_get(&rows, 0, 2, &both));
        assert_str_equal(pg_hstore_format(fiber_arena(), &both.items[0].value), text);
        assert_true(both.items[1].is_null);
        assert_true(got.count <= count);
        for (size_t j = 0; j < count; j++) { /* one of several with the same key is kept */
            const pg_hstore_pair *pair = pg_hstore_find(&got, pairs[j].key);
            bool kept = false;
            assert_non_null(pair);
            for (size_t k = 0; k < count; k++)
                kept = kept || (str_eq(pairs[k].key, pair->key) &&
                                !pairs[k].value.ptr == !pair->value.ptr &&
                                str_eq(pairs[k].value, pair->value));
            assert_true(kept);
        }
    }
    pg_rows rows;
    str red;
    const pg_hstore_pair pair = { STR("color"), STR("red") };
    assert_ok(pg_script(tx, STR("create temporary table things (tags hstore) on commit drop")));
    assert_ok(pg_execute(tx, NULL, "insert into things values ($1), ($2)",
                         ((pg_hstore){ &pair, 1 }), ((opt_pg_hstore){ .is_null = true })));
    assert_ok(pg_query(tx, &rows, "select tags -> 'color' from things where tags @> $1",
                       ((pg_hstore){ &pair, 1 })));
    assert_int_equal(rows.count, 1);
    assert_ok(pg_get(&rows, 0, 0, &red));
    assert_str_equal(red, STR("red"));
    assert_ok(pg_rollback(&tx));
}

static void test_enums_domains_citext_and_ltree_are_text(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_rows rows;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_script(tx, STR("create extension citext; create extension ltree;"
                                "create type mood as enum ('sad', 'so so');"
                                "create domain cents as bigint check (value >= 0);"
                                "create temporary table t (m mood, c cents, e citext, p ltree,"
                                " cs cents[], ms mood[]) on commit drop")));
    int64_t cents[] = { 5, 6 };
    str moods[] = { STR("so so"), STR("sad") };
    pg_array several;
    assert_ok(pg_array_of(fiber_arena(),
                          PG_VALUES(pg_param_literal(moods[0]), pg_param_literal(moods[1])), 1,
                          (const uint32_t[]){ 2 }, &several));
    assert_ok(pg_execute(tx, NULL, "insert into t values ($1, $2, $3, $4, $5, $6)",
                         pg_param_literal(STR("so so")), 7, STR("Ada@x"),
                         pg_param_literal(STR("a.b.c")), ((int8_list){ cents, 2 }), several));
    assert_ok(pg_query(tx, &rows,
                       "select * from t where m = $1 and e = $2::text::citext and p <@ $3",
                       pg_param_literal(STR("so so")), STR("aDA@X"), pg_param_literal(STR("a.b"))));
    assert_int_equal(rows.count, 1);
    str text;
    int64_t number;
    int8_list numbers;
    text_list texts;
    assert_ok(pg_get(&rows, 0, 0, &text));
    assert_str_equal(text, STR("so so"));
    assert_ok(pg_get(&rows, 0, 1, &number)); /* described as bigint, in binary */
    assert_int_equal(number, 7);
    assert_ok(pg_get(&rows, 0, 2, &text));
    assert_str_equal(text, STR("Ada@x"));
    assert_ok(pg_get(&rows, 0, 3, &text));
    assert_str_equal(text, STR("a.b.c"));
    assert_ok(pg_get(&rows, 0, 4, &numbers));
    assert_int_equal(numbers.items[1], 6);
    assert_ok(pg_get(&rows, 0, 5, &texts));
    assert_str_equal(texts.items[0], STR("so so"));
    assert_fails(PG_DATA_EXCEPTION,
                 pg_query(tx, &rows, "select $1::mood", pg_param_literal(STR("happy"))));
    assert_ok(pg_rollback(&tx));
}

/* A type of which nobody has heard never fails a row, nor one that has no binary form. */
static void test_unknown_types_are_cells(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_rows rows;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_script(tx, STR("create extension cube; create type pair as (a cube, b aclitem)")));
    assert_ok(pg_query(tx, &rows,
                       "select cube(1, 2), row(cube(1, 2), ('=r/' || current_user)::aclitem)::pair,"
                       " array[cube(1, 2)], row(cube(1, 2), 1), 5"));
    str text;
    pg_record record;
    text_list texts;
    int32_t five;
    assert_ok(pg_get(&rows, 0, 0, &text));
    assert_str_equal(text, STR("(1),(2)"));
    assert_ok(pg_get(&rows, 0, 1, &record));
    assert_ok(pg_get_cell(pg_record_cell(&record, 0), &text));
    assert_str_equal(text, STR("(1),(2)"));
    assert_ok(pg_get_cell(pg_record_cell(&record, 1), &text));
    assert_true(str_starts_with(text, STR("=r/")));
    assert_ok(pg_get(&rows, 0, 2, &texts));
    assert_str_equal(texts.items[0], STR("(1),(2)"));
    assert_ok(pg_get(&rows, 0, 3, &record));
    assert_ok(pg_get_cell(pg_record_cell(&record, 1), &five));
    assert_int_equal(five, 1);
    const pg_cell cell = pg_cell_of(&rows, 0, 0);
    assert_true(cell.oid > 16000 && cell.format == PG_TEXT);
    assert_ok(pg_get(&rows, 0, 4, &five));
    assert_int_equal(five, 5);
    assert_ok(pg_rollback(&tx));
}

/* Numbers of vectors are the server's reals: our text of them is its own, and reads the same. All
 * powers of two are among them, at which the distance to the next real changes. */
static void test_vectors_are_written_as_the_servers_reals(void **state)
{
    (void)state;
    random_state r = random_start();
    enum {
        COUNT = 4000
    };
    float *items = arena_alloc(fiber_arena(), COUNT * sizeof *items, sizeof *items);
    for (size_t i = 0; i < COUNT; i++) {
        uint32_t bits = (uint32_t)random_next(&r) & 0xBFFFFFFF;
        if (i < 255)
            bits = (uint32_t)i << 23;
        else if (i < 278)
            bits = (uint32_t)1 << (i - 255);
        else if (i < 2000)
            bits &= 0xBFFF0000; /* few digits */
        memcpy(&items[i], &bits, sizeof bits);
    }
    const pg_vector sent = { items, COUNT };
    const str all = pg_vector_format(fiber_arena(), &sent);
    const str inside = str_slice(all, 1, all.len - 2);
    pg_rows rows;
    str text;
    float4_list reals;
    pg_vector read;
    assert_ok(pg_query(db, &rows, "select x::text from unnest($1::real[]) as x",
                       ((float4_list){ items, COUNT })));
    assert_int_equal(rows.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        const pg_vector one = { &items[i], 1 };
        assert_ok(pg_get(&rows, i, 0, &text));
        text = str_format(fiber_arena(), "[%.*s]", STR_ARG(text));
        assert_str_equal(pg_vector_format(fiber_arena(), &one), text);
        assert_true(pg_vector_parse(fiber_arena(), text, &read));
        assert_memory_equal(read.items, &items[i], sizeof items[i]);
    }
    assert_ok(pg_query(db, &rows, "select $1::text::real[]",
                       str_format(fiber_arena(), "{%.*s}", STR_ARG(inside))));
    assert_ok(pg_get(&rows, 0, 0, &reals));
    assert_memory_equal(reals.items, items, COUNT * sizeof *items);
}

static int run(void)
{
    const struct CMUnitTest group[] = {
        cmocka_unit_test(test_hstore_goes_there_and_back),
        cmocka_unit_test(test_enums_domains_citext_and_ltree_are_text),
        cmocka_unit_test(test_unknown_types_are_cells),
        cmocka_unit_test(test_vectors_are_written_as_the_servers_reals),
    };
    return cmocka_run_group_tests(group, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
