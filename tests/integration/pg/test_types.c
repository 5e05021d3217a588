/* Types of pg/ against a real server: random values and specials go out as parameters and come back
 * as text and in the binary form, and what we write of them is what the server writes. */
#include "round_trip.h"

#define ROUNDS 300

static str random_digits(random_state *r, size_t max)
{
    const size_t len = random_below(r, max + 1);
    char *text = arena_alloc(fiber_arena(), len + 1, 1);
    const bool sparse = random_below(r, 2);
    for (size_t i = 0; i < len; i++)
        text[i] = sparse && random_below(r, 8) ? '0' : (char)('0' + random_below(r, 10));
    return (str){ text, len };
}

static void test_numeric_goes_there_and_back(void **state)
{
    (void)state;
    static const char *const SPECIALS[] = { "0",         "NaN",    "Infinity",
                                            "-Infinity", "0.000",  "-0.0001",
                                            "10000",     "0.0001", "99999999.99999999" };
    for (size_t i = 0; i < ARRAY_LEN(SPECIALS); i++) {
        pg_numeric n;
        assert_true(pg_numeric_parse(fiber_arena(), str_from_c(SPECIALS[i]), &n));
        ROUND_TRIP(pg_numeric, "numeric", n, PG_OID_NUMERIC);
    }
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const size_t max = i % 10 == 0 ? 2000 : 24;
        const str whole = random_digits(&r, max);
        const str fraction = random_digits(&r, max);
        const str text = str_format(fiber_arena(), "%s0%.*s.%.*s", random_below(&r, 2) ? "-" : "",
                                    STR_ARG(whole), STR_ARG(fraction));
        pg_numeric n;
        assert_true(pg_numeric_parse(fiber_arena(), text, &n));
        ROUND_TRIP(pg_numeric, "numeric", n, PG_OID_NUMERIC);
    }
}

#define DATE_LEAST      (-2451507) /* 4713-01-01 BC, about */
#define DATE_MOST       2145031948 /* 5874897-12-31 */
#define TIMESTAMP_LEAST INT64_C(-211810204800000000)
#define TIMESTAMP_MOST  INT64_C(9223371331199999999)

static void test_date_goes_there_and_back(void **state)
{
    (void)state;
    ROUND_TRIP(pg_date, "date", PG_DATE_INFINITY, PG_OID_DATE);
    ROUND_TRIP(pg_date, "date", PG_DATE_MINUS_INFINITY, PG_OID_DATE);
    ROUND_TRIP(pg_date, "date", ((pg_date){ DATE_LEAST }), PG_OID_DATE);
    ROUND_TRIP(pg_date, "date", ((pg_date){ DATE_MOST }), PG_OID_DATE);
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const pg_date date = { (int32_t)random_between(&r, DATE_LEAST, DATE_MOST) };
        ROUND_TRIP(pg_date, "date", date, PG_OID_DATE);
    }
}

static void test_time_goes_there_and_back(void **state)
{
    (void)state;
    ROUND_TRIP(pg_time, "time", ((pg_time){ 0 }), PG_OID_TIME);
    ROUND_TRIP(pg_time, "time", ((pg_time){ INT64_C(86400000000) }), PG_OID_TIME);
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const pg_time time = { random_between(&r, 0, INT64_C(86400000000)) };
        ROUND_TRIP(pg_time, "time", time, PG_OID_TIME);
    }
}

static void test_timetz_goes_there_and_back(void **state)
{
    (void)state;
    static const pg_timetz SPECIALS[] = {
        { 0, 0 },
        { INT64_C(86400000000), 57599 },
        { INT64_C(86400000000), -57599 },
        { INT64_C(86399999999), -7200 },
    };
    for (size_t i = 0; i < ARRAY_LEN(SPECIALS); i++)
        ROUND_TRIP(pg_timetz, "timetz", SPECIALS[i], PG_OID_TIMETZ);
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const int32_t step = i % 3 == 0 ? 1 : i % 3 == 1 ? 60 : 3600;
        const int32_t west_s = (int32_t)random_between(&r, -57599, 57599) / step * step;
        const pg_timetz time = { random_between(&r, 0, INT64_C(86400000000)), west_s };
        ROUND_TRIP(pg_timetz, "timetz", time, PG_OID_TIMETZ);
    }
}

/* A zone's sign is the server's: its offset is to the east. */
static void test_timetz_is_so_many_seconds_to_the_west(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const pg_timetz time = { random_between(&r, 0, INT64_C(86399999999)),
                                 (int32_t)random_between(&r, -57599, 57599) };
        pg_rows rows;
        double east_s;
        assert_ok(pg_query(db, &rows, "select extract(timezone from $1::timetz)::float8", time));
        assert_ok(pg_get(&rows, 0, 0, &east_s));
        assert_true((double)-time.west_s == east_s);
    }
}

static void test_timestamp_goes_there_and_back(void **state)
{
    (void)state;
    ROUND_TRIP(pg_timestamp, "timestamp", PG_TIMESTAMP_INFINITY, PG_OID_TIMESTAMP);
    ROUND_TRIP(pg_timestamp, "timestamp", PG_TIMESTAMP_MINUS_INFINITY, PG_OID_TIMESTAMP);
    ROUND_TRIP(pg_timestamp, "timestamp", ((pg_timestamp){ TIMESTAMP_LEAST }), PG_OID_TIMESTAMP);
    ROUND_TRIP(pg_timestamp, "timestamp", ((pg_timestamp){ TIMESTAMP_MOST }), PG_OID_TIMESTAMP);
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const pg_timestamp t = { random_between(&r, TIMESTAMP_LEAST, TIMESTAMP_MOST) };
        ROUND_TRIP(pg_timestamp, "timestamp", t, PG_OID_TIMESTAMP);
    }
}

static void test_interval_goes_there_and_back(void **state)
{
    (void)state;
    static const pg_interval SPECIALS[] = {
        { 0, 0, 0 },         { INT64_MAX, 0, 0 },         { INT64_MIN, 0, 0 },
        { 0, INT32_MAX, 0 }, { 0, INT32_MIN, 0 },         { 0, 0, INT32_MAX },
        { 0, 0, INT32_MIN }, { 1, INT32_MIN, INT32_MAX }, { -1, 1, -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(SPECIALS); i++)
        ROUND_TRIP(pg_interval, "interval", SPECIALS[i], PG_OID_INTERVAL);
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const pg_interval span = {
            random_below(&r, 3) ? random_between(&r, INT64_MIN / 2, INT64_MAX / 2) : 0,
            random_below(&r, 3) ? (int32_t)random_between(&r, INT32_MIN, INT32_MAX) : 0,
            random_below(&r, 3) ? (int32_t)random_between(&r, INT32_MIN, INT32_MAX) : 0,
        };
        ROUND_TRIP(pg_interval, "interval", span, PG_OID_INTERVAL);
    }
}

/* Since 17; to those before they are the longest intervals that there are. */
static void test_interval_infinity_is_the_servers(void **state)
{
    (void)state;
    pg_rows rows;
    int32_t version;
    str text;
    assert_ok(pg_query(db, &rows, "select current_setting('server_version_num')::int4"));
    assert_ok(pg_get(&rows, 0, 0, &version));
    if (version >= 170000) {
        ROUND_TRIP(pg_interval, "interval", PG_INTERVAL_INFINITY, PG_OID_INTERVAL);
        ROUND_TRIP(pg_interval, "interval", PG_INTERVAL_MINUS_INFINITY, PG_OID_INTERVAL);
    }
    assert_ok(pg_query(db, &rows, "select format('%s', $1)", PG_INTERVAL_INFINITY));
    assert_ok(pg_get(&rows, 0, 0, &text));
    assert_str_equal(text, version >= 170000 ? STR("infinity")
                                             : STR("178956970 years 7 mons 2147483647 days "
                                                   "2562047788:00:54.775807"));
}

/* An instant in both formats, from before Christ to past the year 9999, in any session's zone. */
static void test_timestamptz_goes_there_and_back(void **state)
{
    (void)state;
    static const int64_t SPECIALS[] = {
        INT64_MAX, INT64_MIN, TIMESTAMP_LEAST, TIMESTAMP_MOST, 0, -1
    };
    static const char *const ZONES[] = { "UTC", "Asia/Kathmandu", "America/St_Johns",
                                         "Europe/Amsterdam", "Pacific/Auckland" };
    random_state r = random_start();
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    for (size_t i = 0; i < ROUNDS; i++) {
        const timestamptz sent = { i < ARRAY_LEN(SPECIALS)
                                       ? SPECIALS[i]
                                       : random_between(&r, TIMESTAMP_LEAST, TIMESTAMP_MOST) };
        pg_rows rows;
        timestamptz got;
        str text;
        bool same;
        assert_ok(pg_execute(tx, NULL, "select set_config('timezone', $1, true)",
                             str_from_c(ZONES[random_below(&r, ARRAY_LEN(ZONES))])));
        assert_ok(pg_query(tx, &rows, "select $1, format('%s', $1), isfinite($1)", sent));
        assert_ok(pg_get(&rows, 0, 0, &got));
        assert_true(got.us == sent.us);
        assert_ok(pg_get(&rows, 0, 1, &text));
        const pg_cell cell = { PG_OID_TIMESTAMPTZ, PG_TEXT, text };
        assert_ok(pg_decode_timestamptz(NULL, &cell, &got));
        assert_true(got.us == sent.us);
        assert_ok(pg_get(&rows, 0, 2, &same));
        assert_true(same == !timestamptz_is_infinite(sent));
    }
    assert_ok(pg_rollback(&tx));
}

static void test_inet_goes_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const bool old = random_below(&r, 2);
        pg_inet inet = { .version = old ? 4 : 6, .prefix = old ? 32 : 128 };
        random_bytes(&r, inet.bytes, old ? 4 : 16);
        if (random_below(&r, 2))
            inet.prefix = (uint8_t)random_below(&r, (size_t)inet.prefix + 1);
        ROUND_TRIP(pg_inet, "inet", inet, PG_OID_INET);
    }
}

static void test_cidr_comes_as_the_server_writes_it(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const bool old = random_below(&r, 2);
        pg_inet inet = { .version = old ? 4 : 6 };
        random_bytes(&r, inet.bytes, old ? 4 : 16);
        inet.prefix = (uint8_t)random_below(&r, old ? 33 : 129);
        pg_rows rows;
        str text;
        bytea bytes;
        pg_inet got;
        pg_inet_list several;
        assert_ok(pg_query(
            db, &rows, "select c::text, c, cidr_send(c), array[c] from (select $1::cidr) as x(c)",
            inet));
        assert_ok(pg_get(&rows, 0, 0, &text));
        assert_ok(pg_get(&rows, 0, 1, &got));
        assert_str_equal(pg_inet_format(fiber_arena(), &got), text);
        assert_ok(pg_get(&rows, 0, 2, &bytes));
        const pg_cell cell = { PG_OID_CIDR, PG_BINARY, { (const char *)bytes.ptr, bytes.len } };
        assert_ok(pg_decode_pg_inet(NULL, &cell, &got));
        assert_str_equal(pg_inet_format(fiber_arena(), &got), text);
        assert_ok(pg_get(&rows, 0, 3, &several));
        assert_int_equal(several.count, 1);
        assert_str_equal(pg_inet_format(fiber_arena(), &several.items[0]), text);
    }
}

static void test_macaddr_goes_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        pg_macaddr six;
        pg_macaddr8 eight;
        random_bytes(&r, six.bytes, sizeof six.bytes);
        random_bytes(&r, eight.bytes, sizeof eight.bytes);
        ROUND_TRIP(pg_macaddr, "macaddr", six, PG_OID_MACADDR);
        ROUND_TRIP(pg_macaddr8, "macaddr8", eight, PG_OID_MACADDR8);
    }
}

/* The array in row 0, column `column`, is what the server unnests in the rows. */
static void assert_unnests(const pg_array *array, const pg_rows *rows)
{
    assert_int_equal(array->count, rows->count);
    for (size_t i = 0; i < array->count; i++) {
        opt_text ours;
        opt_text server;
        assert_ok(pg_decode_opt_text(NULL, &array->cells[i], &ours));
        assert_ok(pg_get(rows, i, 0, &server));
        assert_int_equal(ours.has, server.has);
        if (ours.has)
            assert_str_equal(ours.value, server.value);
    }
}

static void test_array_with_nulls_is_what_the_server_unnests(void **state)
{
    (void)state;
    static const char *const ARRAYS[] = {
        "array['a', null, 'NULL', 'null', '', ' ', '{', '\\', '\"', ',', e'\\n\\\\']::text[]",
        "array[[['a'], ['b']], [[null], ['d,']]]::text[]",
        "'[-1:0][5:6]={{1,NULL},{3.50,NaN}}'::numeric[]",
        "'{integer,NULL,\"double precision\"}'::regtype[]",
        "array[null, timestamp '2000-01-01 00:00:01']",
        "array[box '(1,2),(3,4)', null, box '(0,0),(0,0)']",
        "'{}'::text[]",
        "'{}'::numeric[]",
    };
    for (size_t i = 0; i < ARRAY_LEN(ARRAYS); i++) {
        pg_rows rows;
        pg_rows unnested;
        pg_array array;
        str text;
        assert_ok(pg_query(
            db, &rows,
            str_format(fiber_arena(), "select %s, format('%%s', %s)", ARRAYS[i], ARRAYS[i])));
        assert_ok(
            pg_query(db, &unnested,
                     str_format(fiber_arena(), "select x::text from unnest(%s) as x", ARRAYS[i])));
        assert_ok(pg_get(&rows, 0, 0, &array));
        assert_unnests(&array, &unnested);
        assert_ok(pg_get(&rows, 0, 1, &text));
        const pg_cell cell = { rows.columns[0].oid, PG_TEXT, text };
        assert_ok(pg_decode_pg_array(fiber_arena(), &cell, &array));
        assert_unnests(&array, &unnested);
    }
}

/* A session's own style is no form that we know, and so an error and no wrong date. */
static void test_date_of_another_style_is_refused(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_rows rows;
    pg_date date;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "set local datestyle = 'German'"));
    assert_ok(pg_query(tx, &rows, "select date '2026-01-31'"));
    assert_fails(PG_TYPE_MISMATCH, pg_get(&rows, 0, 0, &date));
    assert_ok(pg_rollback(&tx));
}

static int run(void)
{
    const struct CMUnitTest group[] = {
        cmocka_unit_test(test_numeric_goes_there_and_back),
        cmocka_unit_test(test_date_goes_there_and_back),
        cmocka_unit_test(test_time_goes_there_and_back),
        cmocka_unit_test(test_timetz_goes_there_and_back),
        cmocka_unit_test(test_timetz_is_so_many_seconds_to_the_west),
        cmocka_unit_test(test_timestamp_goes_there_and_back),
        cmocka_unit_test(test_interval_goes_there_and_back),
        cmocka_unit_test(test_interval_infinity_is_the_servers),
        cmocka_unit_test(test_timestamptz_goes_there_and_back),
        cmocka_unit_test(test_inet_goes_there_and_back),
        cmocka_unit_test(test_cidr_comes_as_the_server_writes_it),
        cmocka_unit_test(test_macaddr_goes_there_and_back),
        cmocka_unit_test(test_array_with_nulls_is_what_the_server_unnests),
        cmocka_unit_test(test_date_of_another_style_is_refused),
    };
    return cmocka_run_group_tests(group, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
