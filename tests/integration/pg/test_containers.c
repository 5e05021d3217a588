/* Values made of values against a real server: what goes out as a parameter comes back the same in
 * both formats, and our text of it is the server's. */
#include "tests/support/database.h"
#include "tests/support/random.h"

#include <string.h>

#define ROUNDS 200

static pg_pool *db;

static int open_pool(void **state)
{
    (void)state;
    return error_is_ok(pg_pool_open(NULL, &db)) ? 0 : -1;
}

static int close_pool(void **state)
{
    (void)state;
    pg_pool_close(&db);
    return 0;
}

static str random_text(random_state *r)
{
    static const char LETTERS[] = "ab{}()[]\",\\ \t\n=>NULL'x\xC3\xA9";
    const size_t len = random_below(r, 6);
    char *text = arena_alloc(fiber_arena(), len * 2 + 1, 1);
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        const char c = LETTERS[random_below(r, sizeof LETTERS - 1)];
        if ((unsigned char)c >= 0x80) {
            text[at++] = (char)0xC3;
            text[at++] = (char)0xA9;
        } else {
            text[at++] = c;
        }
    }
    return (str){ text, at };
}

/* --- lists with NULLs ------------------------------------------------------------------------- */

/* Sends a list whose items are `value` or NULL; wants it back from the column and from the server's
 * text of it. */
#define OPTIONAL_LIST_TRIP(name, sql_array, oid, value_)                                         \
    do {                                                                                         \
        opt_##name items_[8];                                                                    \
        memset(items_, 0, sizeof items_);                                                        \
        const opt_##name##_list sent_ = { items_, random_below(&r, ARRAY_LEN(items_) + 1) };     \
        for (size_t i_ = 0; i_ < sent_.count; i_++) {                                            \
            items_[i_].has = random_below(&r, 3) != 0;                                           \
            items_[i_].value = (value_);                                                         \
        }                                                                                        \
        pg_rows rows_;                                                                           \
        opt_##name##_list got_;                                                                  \
        opt_##name##_list read_;                                                                 \
        str text_;                                                                               \
        bool same_;                                                                              \
        assert_ok(                                                                               \
            pg_query(db, &rows_, "select $1::" sql_array ", $1::" sql_array "::text", sent_));   \
        assert_ok(pg_get(&rows_, 0, 0, &got_));                                                  \
        assert_ok(pg_get(&rows_, 0, 1, &text_));                                                 \
        const pg_cell cell_ = { (oid), PG_TEXT, text_ };                                         \
        assert_ok(pg_decode_opt_##name##_list(fiber_arena(), &cell_, &read_));                   \
        assert_int_equal(got_.count, sent_.count);                                               \
        for (size_t i_ = 0; i_ < sent_.count; i_++)                                              \
            assert_int_equal(got_.items[i_].is_null, !items_[i_].has);                           \
        assert_ok(pg_query(db, &rows_, "select $1::" sql_array " = $2 and $1 = $3", sent_, got_, \
                           read_));                                                              \
        assert_ok(pg_get(&rows_, 0, 0, &same_));                                                 \
        assert_true(same_);                                                                      \
    } while (0)

static uuid random_uuid(random_state *r)
{
    uuid id;
    for (size_t i = 0; i < sizeof id.bytes; i++)
        id.bytes[i] = (uint8_t)random_next(r);
    return id;
}

static double random_double(random_state *r)
{
    const uint64_t bits = random_next(r);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Years 4713 BC to some 290,000. */
static int64_t random_us(random_state *r)
{
    const uint64_t span = UINT64_C(9223371244800000000) + UINT64_C(210000000000000000);
    const uint64_t us = random_below(r, 2) ? random_next(r) % span : random_next(r) >> 12;
    return (int64_t)(us - UINT64_C(210000000000000000));
}

static void test_lists_with_nulls_go_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const str bytes = random_text(&r);
        OPTIONAL_LIST_TRIP(bool, "bool[]", PG_OID_BOOL_ARRAY, random_below(&r, 2) != 0);
        OPTIONAL_LIST_TRIP(int2, "int2[]", PG_OID_INT2_ARRAY, (int16_t)random_next(&r));
        OPTIONAL_LIST_TRIP(int4, "int4[]", PG_OID_INT4_ARRAY, (int32_t)random_next(&r));
        OPTIONAL_LIST_TRIP(int8, "int8[]", PG_OID_INT8_ARRAY, (int64_t)random_next(&r));
        OPTIONAL_LIST_TRIP(float8, "float8[]", PG_OID_FLOAT8_ARRAY, random_double(&r));
        OPTIONAL_LIST_TRIP(text, "text[]", PG_OID_TEXT_ARRAY, random_text(&r));
        OPTIONAL_LIST_TRIP(uuid, "uuid[]", PG_OID_UUID_ARRAY, random_uuid(&r));
        OPTIONAL_LIST_TRIP(bytea, "bytea[]", PG_OID_BYTEA_ARRAY,
                           ((bytea){ (const uint8_t *)bytes.ptr, bytes.len }));
        OPTIONAL_LIST_TRIP(jsonb, "jsonb[]", PG_OID_JSONB_ARRAY, (jsonb){ STR("{\"a\": [1]}") });
        OPTIONAL_LIST_TRIP(timestamptz, "timestamptz[]", PG_OID_TIMESTAMPTZ_ARRAY,
                           (timestamptz){ random_us(&r) });
        OPTIONAL_LIST_TRIP(pg_timestamp, "timestamp[]", PG_OID_TIMESTAMP_ARRAY,
                           (pg_timestamp){ random_us(&r) });
        OPTIONAL_LIST_TRIP(pg_date, "date[]", PG_OID_DATE_ARRAY,
                           (pg_date){ (int32_t)(random_next(&r) >> 40) });
        OPTIONAL_LIST_TRIP(
            pg_numeric, "numeric[]", PG_OID_NUMERIC_ARRAY,
            pg_numeric_of_int8((int64_t)random_next(&r), (unsigned)random_below(&r, 19)));
        OPTIONAL_LIST_TRIP(pg_interval, "interval[]", PG_OID_INTERVAL_ARRAY,
                           ((pg_interval){ (int64_t)(random_next(&r) >> 20),
                                           (int32_t)(random_next(&r) >> 40), -7 }));
    }
}

/* Instants in the text of any zone, also of those that once were no whole minutes off. */
static void test_instants_of_any_zone_are_read(void **state)
{
    (void)state;
    static const char *const ZONES[] = { "UTC", "Europe/Berlin", "America/St_Johns",
                                         "Asia/Kathmandu", "Africa/Monrovia" };
    random_state r = random_start();
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    for (size_t i = 0; i < ROUNDS; i++) {
        pg_rows rows;
        str text;
        timestamptz read;
        const timestamptz sent = { random_us(&r) };
        assert_ok(pg_execute(tx, NULL, "select set_config('TimeZone', $1, true)",
                             str_from_c(ZONES[i % ARRAY_LEN(ZONES)])));
        assert_ok(pg_query(tx, &rows, "select $1::timestamptz::text", sent));
        assert_ok(pg_get(&rows, 0, 0, &text));
        const pg_cell cell = { PG_OID_TIMESTAMPTZ, PG_TEXT, text };
        assert_ok(pg_decode_timestamptz(NULL, &cell, &read));
        if (read.us != sent.us)
            fail_msg("%.*s is read as %lld", STR_ARG(text), (long long)read.us);
    }
    assert_ok(pg_rollback(&tx));
}

/* Arrays of types that have no OID here come as text, and are read all the same. */
static void test_lists_of_unknown_types_are_read(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_rows rows;
    text_list labels;
    opt_text_list maybe;
    opt_int4_list numbers;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_script(tx, STR("create type mood as enum ('sad', 'so, so', '\"happy\"');"
                                "create domain positive as int check (value > 0)")));
    assert_ok(pg_query(tx, &rows,
                       "select array['sad', 'so, so', '\"happy\"']::mood[],"
                       " array['sad', null]::mood[], array[1, null, 3]::positive[]"));
    assert_ok(pg_get(&rows, 0, 0, &labels));
    assert_int_equal(labels.count, 3);
    assert_str_equal(labels.items[1], STR("so, so"));
    assert_str_equal(labels.items[2], STR("\"happy\""));
    assert_ok(pg_get(&rows, 0, 1, &maybe));
    assert_true(maybe.items[0].has && maybe.items[1].is_null);
    assert_ok(pg_get(&rows, 0, 2, &numbers));
    assert_int_equal(numbers.count, 3);
    assert_int_equal(numbers.items[2].value, 3);
    assert_ok(pg_rollback(&tx));
}

static int run(void)
{
    const struct CMUnitTest group[] = {
        cmocka_unit_test(test_lists_with_nulls_go_there_and_back),
        cmocka_unit_test(test_instants_of_any_zone_are_read),
        cmocka_unit_test(test_lists_of_unknown_types_are_read),
    };
    return cmocka_run_group_tests(group, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
