/* Bits, PostgreSQL's own numbers and names, money and what has no C type of its own, against a real
 * server. */
#include "round_trip.h"

#include <math.h>

#define ROUNDS 200

static void test_bits_go_there_and_back(void **state)
{
    (void)state;
    static const uint8_t ZEROS[16];
    ROUND_TRIP(pg_bits, "varbit", ((pg_bits){ ZEROS, 0 }), PG_OID_VARBIT);
    ROUND_TRIP(pg_bits, "varbit", ((pg_bits){ ZEROS, 1 }), PG_OID_VARBIT);
    ROUND_TRIP(pg_bits, "varbit", ((pg_bits){ ZEROS, 128 }), PG_OID_VARBIT);
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        uint8_t bytes[64];
        random_bytes(&r, bytes, sizeof bytes); /* and so are those behind the last bit */
        const pg_bits bits = { bytes, random_below(&r, i % 2 ? 16 : 513) };
        ROUND_TRIP(pg_bits, "varbit", bits, PG_OID_VARBIT);
    }
}

static void test_bits_fit_a_column_of_their_number(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        uint8_t bytes[2];
        random_bytes(&r, bytes, sizeof bytes);
        const pg_bits bits = { bytes, 11 };
        pg_rows rows;
        pg_bits got;
        int32_t third;
        bool same;
        bytea binary;
        assert_ok(pg_query(db, &rows,
                           "select b, get_bit(b, 3), b = $1, bit_send(b) "
                           "from (select $1::bit(11)) as x(b)",
                           bits));
        assert_ok(pg_get(&rows, 0, 0, &got));
        assert_ok(pg_get(&rows, 0, 1, &third));
        assert_ok(pg_get(&rows, 0, 2, &same));
        assert_ok(pg_get(&rows, 0, 3, &binary));
        assert_true(same);
        assert_int_equal(pg_bits_at(&got, 3), third);
        const pg_cell cell = { PG_OID_BIT, PG_BINARY, { (const char *)binary.ptr, binary.len } };
        pg_bits again;
        assert_ok(pg_decode_pg_bits(NULL, &cell, &again));
        assert_str_equal(pg_bits_format(fiber_arena(), &again),
                         pg_bits_format(fiber_arena(), &bits));
    }
    uint64_t changed;
    const pg_bits ten = { (const uint8_t *)"\xFF\xC0", 10 };
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "create temporary table b (flags bit(11)) on commit drop"));
    assert_fails(PG_DATA_EXCEPTION, pg_execute(tx, &changed, "insert into b values ($1)", ten));
    assert_ok(pg_rollback(&tx));
}

static void test_identifier_goes_there_and_back(void **state)
{
    (void)state;
    static const uint64_t SPECIALS[] = { 0, 1, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX };
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const uint64_t n =
            i < ARRAY_LEN(SPECIALS) ? SPECIALS[i] : random_next(&r) >> random_below(&r, 64);
        ROUND_TRIP_BY(pg_xid8, "xid8", "xid8send", ((pg_xid8){ n }), PG_OID_XID8);
        ROUND_TRIP(pg_lsn, "pg_lsn", ((pg_lsn){ n }), PG_OID_LSN);
        const pg_tid tid = { (uint32_t)n, (uint16_t)(n >> 32) };
        ROUND_TRIP_BY(pg_tid, "tid", "tidsend", tid, PG_OID_TID);
    }
}

static void test_identifier_of_a_row_finds_it(void **state)
{
    (void)state;
    pg_rows rows;
    pg_tid place;
    int64_t table;
    int64_t writer;
    int64_t command;
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "create temporary table t (n integer) on commit drop"));
    assert_ok(pg_query(tx, &rows, "insert into t values (7) returning ctid, tableoid, xmin, cmin"));
    assert_ok(pg_get(&rows, 0, 0, &place));
    assert_ok(pg_get(&rows, 0, 1, &table));
    assert_ok(pg_get(&rows, 0, 2, &writer));
    assert_ok(pg_get(&rows, 0, 3, &command));
    assert_true(table > 0 && writer > 0 && command >= 0);
    int32_t n;
    assert_ok(pg_query(tx, &rows,
                       "select n from t where ctid = $1 and tableoid = $2 and xmin = $3 "
                       "and cmin = $4 and tableoid = any ($5) and tableoid = $6",
                       place, table, pg_param_xid((uint32_t)writer),
                       pg_param_cid((uint32_t)command), ((int8_list){ &table, 1 }),
                       pg_param_oid((uint32_t)table)));
    assert_int_equal(rows.count, 1);
    assert_ok(pg_get(&rows, 0, 0, &n));
    assert_int_equal(n, 7);
    assert_ok(pg_rollback(&tx));
}

/* Names as text, numbers in binary, as inside of a COPY. */
static void test_identifier_of_the_catalog_is_a_name_or_a_number(void **state)
{
    (void)state;
    static const struct {
        pg_oid oid;
        const char *type;
        const char *name;
    } ROWS[] = {
        { PG_OID_REGCLASS, "regclass", "pg_class" },
        { PG_OID_REGTYPE, "regtype", "timestamp with time zone" },
        { PG_OID_REGPROC, "regproc", "pg_sleep" },
        { PG_OID_REGPROCEDURE, "regprocedure", "pg_sleep(double precision)" },
        { PG_OID_REGOPERATOR, "regoperator", "+(integer,integer)" },
        { PG_OID_REGNAMESPACE, "regnamespace", "pg_catalog" },
        { PG_OID_REGROLE, "regrole", "pg_monitor" },
        { PG_OID_REGCONFIG, "regconfig", "english" },
        { PG_OID_REGDICTIONARY, "regdictionary", "simple" },
        { PG_OID_REGCOLLATION, "regcollation", "\"default\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        pg_rows rows;
        str name;
        int64_t number;
        int64_t again;
        bytea binary;
        text_list names;
        const str sql = str_format(fiber_arena(),
                                   "select x, x::oid, %ssend(x), array[x, x] "
                                   "from (select $1::text::%s as x) as y",
                                   ROWS[i].type, ROWS[i].type);
        assert_ok(pg_query(db, &rows, sql, str_from_c(ROWS[i].name)));
        assert_int_equal(rows.columns[0].oid, ROWS[i].oid);
        assert_ok(pg_get(&rows, 0, 0, &name));
        assert_str_equal(name, str_from_c(ROWS[i].name));
        assert_fails(PG_TYPE_MISMATCH, pg_get(&rows, 0, 0, &number));
        assert_ok(pg_get(&rows, 0, 1, &number));
        assert_ok(pg_get(&rows, 0, 2, &binary));
        const pg_cell cell = { ROWS[i].oid, PG_BINARY, { (const char *)binary.ptr, binary.len } };
        assert_ok(pg_decode_int8(NULL, &cell, &again));
        assert_true(again == number && number > 0);
        pg_array several;
        assert_ok(pg_get(&rows, 0, 3, &several));
        assert_int_equal(several.count, 2);
        assert_ok(pg_decode_text(NULL, &several.cells[1], &name));
        assert_str_equal(name, str_from_c(ROWS[i].name));
        assert_fails(PG_TYPE_MISMATCH, pg_get(&rows, 0, 3, &names));
    }
}

static void test_money_is_counted_in_cents(void **state)
{
    (void)state;
    static const int64_t SPECIALS[] = { 0, 1, -1, INT64_MAX, INT64_MIN };
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const pg_money sent = { i < ARRAY_LEN(SPECIALS)
                                    ? SPECIALS[i]
                                    : random_between(&r, INT64_MIN, INT64_MAX) };
        pg_rows rows;
        pg_money got;
        pg_money_list several;
        bytea binary;
        str text;
        assert_ok(pg_query(db, &rows,
                           "select $1, array[$1, $1], cash_send($1), '\\x'::bytea || int8send($2)",
                           sent, sent.cents));
        assert_ok(pg_get(&rows, 0, 0, &got));
        assert_true(got.cents == sent.cents);
        assert_fails(PG_TYPE_MISMATCH, pg_get(&rows, 0, 0, &text)); /* no locale's text */
        assert_ok(pg_get(&rows, 0, 1, &several));
        assert_int_equal(several.count, 2);
        assert_true(several.items[1].cents == sent.cents);
        bytea expected;
        assert_ok(pg_get(&rows, 0, 2, &binary));
        assert_ok(pg_get(&rows, 0, 3, &expected));
        assert_int_equal(binary.len, 8);
        assert_memory_equal(binary.ptr, expected.ptr, 8);
    }
}

static void test_float4_goes_there_and_back(void **state)
{
    (void)state;
    static const float SPECIALS[] = { 0, -0.0F, 0.1F, (float)INFINITY, -(float)INFINITY, 1e-45F };
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        float sent;
        const uint32_t bits = (uint32_t)random_next(&r);
        memcpy(&sent, &bits, sizeof sent);
        if (i < ARRAY_LEN(SPECIALS))
            sent = SPECIALS[i];
        pg_rows rows;
        float got;
        double wide;
        float4_list several;
        bool same;
        assert_ok(
            pg_query(db, &rows, "select $1, array[$1, $1], pg_typeof($1) = 'real'::regtype", sent));
        assert_ok(pg_get(&rows, 0, 0, &got));
        assert_ok(pg_get(&rows, 0, 0, &wide));
        assert_ok(pg_get(&rows, 0, 1, &several));
        assert_ok(pg_get(&rows, 0, 2, &same));
        assert_true(same);
        assert_int_equal(several.count, 2);
        if (sent == sent) { /* the bits of a NaN may change on their way */
            assert_memory_equal(&got, &sent, sizeof sent);
            assert_memory_equal(&several.items[1], &sent, sizeof sent);
            assert_true(wide == (double)sent);
        } else {
            assert_true(got != got && wide != wide);
        }
    }
    opt_float4 none;
    pg_rows rows;
    assert_ok(pg_query(db, &rows, "select null::real, 0.5::float8 = $1", 0.5F));
    assert_ok(pg_get(&rows, 0, 0, &none));
    assert_true(none.is_null);
    bool same;
    assert_ok(pg_get(&rows, 0, 1, &same));
    assert_true(same);
}

/* Types without a C type are text; one that nobody has heard of is too, and its bytes, its format
 * and its OID can be had. */
static void test_other_types_are_text(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *text;
    } ROWS[] = {
        { "xml '<a>b</a>'", "<a>b</a>" },
        { "jsonpath '$.a[*] ? (@ > 1)'", "$.\"a\"[*]?(@ > 1)" },
        { "pg_sleep(0)", "" },
        { "'x'::\"char\"", "x" },
        { "''::\"char\"", "" },
        { "'1 2 3'::int2vector", "1 2 3" },
        { "'1 2 3'::oidvector", "1 2 3" },
        { "'10:20:10,14'::pg_snapshot", "10:20:10,14" },
        { "array['a', null]::\"char\"[]", "{a,NULL}" },
        { "array[xml '<a/>']", "{<a/>}" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        pg_rows rows;
        str text;
        assert_ok(pg_query(db, &rows, str_format(fiber_arena(), "select %s", ROWS[i].value)));
        assert_ok(pg_get(&rows, 0, 0, &text));
        assert_str_equal(text, str_from_c(ROWS[i].text));
    }
    pg_tx *tx;
    pg_rows rows;
    int64_t oid;
    int32_t n;
    opt_text none;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_script(tx, STR("create type pg_temp.mood as enum ('sad', 'happy')")));
    assert_ok(pg_query(tx, &rows,
                       "select 'happy'::pg_temp.mood, 'pg_temp.mood'::regtype::oid, 7, "
                       "null::pg_temp.mood, array['sad']::pg_temp.mood[]"));
    assert_ok(pg_get(&rows, 0, 1, &oid));
    const pg_cell cell = pg_cell_of(&rows, 0, 0);
    assert_int_equal(cell.oid, oid);
    assert_int_equal(cell.format, PG_TEXT);
    assert_str_equal(cell.bytes, STR("happy"));
    assert_fails(PG_TYPE_MISMATCH, pg_get(&rows, 0, 0, &n));
    assert_ok(pg_get(&rows, 0, 2, &n)); /* the row is good all the same */
    assert_int_equal(n, 7);
    assert_ok(pg_get(&rows, 0, 3, &none));
    assert_true(none.is_null);
    str several;
    assert_ok(pg_get(&rows, 0, 4, &several));
    assert_str_equal(several, STR("{sad}"));
    assert_ok(pg_rollback(&tx));
}

static void test_domain_is_read_as_what_is_beneath_it(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_rows rows;
    int32_t n;
    pg_lsn lsn;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_script(tx, STR("create domain pg_temp.small as integer check (value < 10);"
                                "create domain pg_temp.smaller as pg_temp.small;"
                                "create domain pg_temp.place as pg_lsn")));
    assert_ok(pg_query(tx, &rows, "select 7::pg_temp.smaller, '1/2'::pg_temp.place"));
    assert_ok(pg_get(&rows, 0, 0, &n));
    assert_int_equal(n, 7);
    assert_ok(pg_get(&rows, 0, 1, &lsn));
    assert_true(lsn.position == ((uint64_t)1 << 32 | 2));
    assert_ok(pg_rollback(&tx));
}

/* What we know of types is what the server's catalog says. */
static void test_types_are_those_of_the_servers_catalog(void **state)
{
    (void)state;
    pg_rows rows;
    size_t known = 0;
    assert_ok(pg_query(db, &rows, "select oid, typname::text, typarray from pg_type"));
    for (size_t i = 0; i < rows.count; i++) {
        int64_t oid;
        int64_t array;
        str name;
        assert_ok(pg_get(&rows, i, 0, &oid));
        assert_ok(pg_get(&rows, i, 1, &name));
        assert_ok(pg_get(&rows, i, 2, &array));
        const str ours = str_from_c(pg_type_name((pg_oid)oid));
        if (str_eq(ours, STR("type")) || str_ends_with(ours, STR("[]")))
            continue;
        known++;
        if (!str_eq(ours, name) && !(oid == PG_OID_CHAR && str_eq(ours, STR("\"char\""))))
            fail_msg("%.*s is %.*s", STR_ARG(name), STR_ARG(ours));
        if (array == 0)
            continue;
        assert_int_equal(pg_type_element((pg_oid)array), oid);
        assert_str_equal(str_from_c(pg_type_name((pg_oid)array)),
                         str_format(fiber_arena(), "%.*s[]", STR_ARG(ours)));
        assert_int_equal(pg_type_format((pg_oid)array), pg_type_format((pg_oid)oid));
    }
    assert_true(known > 45);
}

static int run(void)
{
    const struct CMUnitTest group[] = {
        cmocka_unit_test(test_bits_go_there_and_back),
        cmocka_unit_test(test_bits_fit_a_column_of_their_number),
        cmocka_unit_test(test_identifier_goes_there_and_back),
        cmocka_unit_test(test_identifier_of_a_row_finds_it),
        cmocka_unit_test(test_identifier_of_the_catalog_is_a_name_or_a_number),
        cmocka_unit_test(test_money_is_counted_in_cents),
        cmocka_unit_test(test_float4_goes_there_and_back),
        cmocka_unit_test(test_other_types_are_text),
        cmocka_unit_test(test_domain_is_read_as_what_is_beneath_it),
        cmocka_unit_test(test_types_are_those_of_the_servers_catalog),
    };
    return cmocka_run_group_tests(group, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
