/* Rows as JSON beside the server's own: values of every type, at random and the special ones, are
 * what to_json makes of them, or what pg/json.h says instead. Then wherever rows come from. Cells
 * by hand: unit/pg/test_json.c; a server that sends what is none: test_mock_json.c. */
#include "round_trip.h"

#include "tests/support/json_same.h"

#define ROUNDS 40

/* --- beside to_json --------------------------------------------------------------------------- */

/* Both are the same document: to the byte, so that numbers have the same digits, but for the
 * escapes that the server has of its own (\b, \f). */
static void check_same(str what, str ours, str server)
{
    json one, other;
    if (str_eq(ours, server))
        return;
    if (error_is_ok(json_parse(fiber_arena(), ours, &one)) && one.type != JSON_NUMBER &&
        one.type != JSON_INTEGER && error_is_ok(json_parse(fiber_arena(), server, &other)) &&
        json_same(&one, &other))
        return;
    fail_msg("%.*s: %.*s is not %.*s", STR_ARG(what), STR_ARG(ours), STR_ARG(server));
}

static void check_valid(str text)
{
    if (!json_is_valid(text))
        fail_msg("%.*s is no JSON", STR_ARG(text));
}

/* Every other column is what the one behind it says, as the server's text. */
static void check_columns(str what, const pg_rows *rows)
{
    for (uint32_t c = 0; c < rows->column_count; c += 2) {
        const pg_row cell = { rows->items[0].cells + c };
        str text, expected;
        assert_ok(pg_rows_json(&(pg_rows){ &cell, 1, &rows->columns[c], 1, 1 }, &text));
        assert_ok(pg_get(rows, 0, c + 1, &expected));
        check_valid(text);
        const size_t before = rows->columns[c].name.len + 5; /* [{"name": */
        check_same(what, str_slice(text, before, text.len - before - 2), expected);
    }
}

/* A type's values. */
typedef struct json_type_row {
    const char *type;
    const char *as; /* what to_json of x stands for x as JSON, as SQL */
    str (*random)(random_state *r);
    const char *specials[9];
} json_type_row;

/* Alone, in arrays, and what is none. */
static void check_value(pg_target on, const json_type_row *t, str value)
{
    const str sql = str_format(
        fiber_arena(),
        "select x, coalesce(to_json(%s)::text, 'null'), array[x, null, x], to_json(array[%s, null, %s])::text, "
        "array[array[x, x], array[null, x]], to_json(array[array[%s, %s], array[null, %s]])::text, "
        "array[]::%s[], '[]', null::%s[], 'null', null::%s, 'null' "
        "from (select $1::text::%s as x) as y",
        t->as, t->as, t->as, t->as, t->as, t->as, t->type, t->type, t->type, t->type);
    pg_rows rows;
    const str what = str_format(fiber_arena(), "%s of %.*s", t->type, STR_ARG(value));
    assert_ok(pg_query(on, &rows, PG_AS_JSON(sql), value));
    check_columns(what, &rows);
}

static str random_whole(random_state *r, int64_t least, int64_t most)
{
    return str_format(fiber_arena(), "%lld", (long long)random_between(r, least, most));
}

static str random_int2(random_state *r)
{
    return random_whole(r, INT16_MIN, INT16_MAX);
}

static str random_int4(random_state *r)
{
    return random_whole(r, INT32_MIN, INT32_MAX);
}

static str random_int8(random_state *r)
{
    return random_whole(r, INT64_MIN, INT64_MAX);
}

static str random_oid(random_state *r)
{
    return random_whole(r, 0, UINT32_MAX);
}

static str random_digits(random_state *r)
{
    const size_t len = random_below(r, random_below(r, 8) ? 20 : 400);
    char *text = arena_alloc(fiber_arena(), len + 1, 1);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('0' + random_below(r, 10));
    return (str){ text, len };
}

static str random_numeric(random_state *r)
{
    const str whole = random_digits(r), fraction = random_digits(r);
    return str_format(fiber_arena(), "%s0%.*s.%.*s", random_below(r, 2) ? "-" : "", STR_ARG(whole),
                      STR_ARG(fraction));
}

/* Any bits that are a number, or a short one. */
static str random_float8(random_state *r)
{
    double value = (double)random_between(r, -100000, 100000) / 100;
    for (uint64_t bits; random_below(r, 2);) {
        bits = random_next(r);
        memcpy(&value, &bits, sizeof value);
    }
    return str_format(fiber_arena(), "%.17g", value);
}

static str random_float4(random_state *r)
{
    float value;
    const uint32_t bits = (uint32_t)random_next(r);
    memcpy(&value, &bits, sizeof value);
    return str_format(fiber_arena(), "%.9g", (double)value);
}

/* Characters of one to four bytes, controls, quotes and backslashes among them. */
static str random_text(random_state *r)
{
    static const char *const PIECES[] = { "\"",
                                          "\\",
                                          "/",
                                          "\n",
                                          "\r",
                                          "\t",
                                          "\b",
                                          "\f",
                                          "\x01",
                                          "\x1F",
                                          "\x7F",
                                          "é",
                                          "€",
                                          "😀",
                                          "\xEF\xBF\xBF",
                                          "{",
                                          "}",
                                          ",",
                                          "NULL",
                                          "<",
                                          "\\u0000",
                                          " ",
                                          "plain text of some length" };
    buf b;
    buf_init_arena(&b, fiber_arena(), 1 << 20);
    for (size_t n = random_below(r, random_below(r, 4) ? 6 : 80); n > 0; n--) {
        if (random_below(r, 2))
            buf_append_char(&b, (char)('a' + random_below(r, 26)));
        else
            buf_append(&b, str_from_c(PIECES[random_below(r, ARRAY_LEN(PIECES))]));
    }
    return buf_str(&b);
}

static str random_document(random_state *r)
{
    buf b;
    buf_init_arena(&b, fiber_arena(), 1 << 20);
    buf_append(&b, STR("{ \"a\": ["));
    json_write_string(&b, random_text(r));
    buf_append(&b, STR(", "));
    buf_append(&b, random_numeric(r).len > 30 ? STR("null") : random_int8(r));
    buf_append(&b, STR("], \"b\" :{}}"));
    return buf_str(&b);
}

static str random_bytea(random_state *r)
{
    buf b;
    buf_init_arena(&b, fiber_arena(), 4096);
    buf_append(&b, STR("\\x"));
    for (size_t n = random_below(r, 50); n > 0; n--)
        buf_append_format(&b, "%02x", (unsigned)random_below(r, 256));
    return buf_str(&b);
}

static str random_bits(random_state *r)
{
    return random_below(r, 2) ? STR("1010001") : STR("1");
}

static str random_uuid(random_state *r)
{
    uuid id;
    char *text = arena_alloc(fiber_arena(), UUID_TEXT_LEN, 1);
    random_bytes(r, id.bytes, sizeof id.bytes);
    return (str){ text, uuid_format(text, id) };
}

static str random_date(random_state *r)
{
    const pg_date date = { (int32_t)random_between(r, -730119, 2145031948) };
    return pg_date_format(fiber_arena(), &date);
}

/* From the year 1 on, before which years are counted otherwise. */
static str random_timestamp(random_state *r)
{
    const pg_timestamp t = { random_between(r, INT64_C(-63082281600000000),
                                            INT64_C(9223371331199999999)) };
    return pg_timestamp_format(fiber_arena(), &t);
}

static str random_instant(random_state *r)
{
    const str t = random_timestamp(r);
    return str_format(fiber_arena(), "%.*s+00", STR_ARG(t));
}

static str random_time(random_state *r)
{
    const pg_time time = { random_between(r, 0, INT64_C(86400000000)) };
    return pg_time_format(fiber_arena(), &time);
}

static str random_interval(random_state *r)
{
    return str_format(fiber_arena(), "%d mons %d days %lld us", (int)random_between(r, -9999, 9999),
                      (int)random_between(r, -9999, 9999),
                      (long long)random_between(r, INT64_MIN / 4, INT64_MAX / 4));
}

static str random_inet(random_state *r)
{
    return str_format(fiber_arena(), "10.%d.%d.1/%d", (int)random_below(r, 256),
                      (int)random_below(r, 256), (int)random_below(r, 33));
}

static str random_point(random_state *r)
{
    const str x = random_int4(r);
    return str_format(fiber_arena(), "(%.*s,%d)", STR_ARG(x), (int)random_below(r, 9));
}

static str random_box(random_state *r)
{
    return str_format(fiber_arena(), "(%d,%d),(0,0)", (int)random_below(r, 100),
                      (int)random_below(r, 100));
}

static str random_bool(random_state *r)
{
    return random_below(r, 2) ? STR("true") : STR("false");
}

static str random_range(random_state *r)
{
    return str_format(fiber_arena(), "[%d,%d)", (int)random_below(r, 100),
                      (int)random_below(r, 100) + 100);
}

#define FINITE "case when x in ('NaN', 'Infinity', '-Infinity') then null else x end"
#define IN_UTC \
    "case when isfinite(x) then (to_json(x at time zone 'UTC') #>> '{}') || 'Z' else x::text end"

static const json_type_row TYPES[] = {
    /* as the server writes them */
    { "int2", "x", random_int2, { "0", "-1", "-32768" } },
    { "int4", "x", random_int4, { "0", "2147483647", "-2147483648" } },
    { "int8", "x", random_int8, { "0", "9223372036854775807", "-9223372036854775808" } },
    { "bool", "x", random_bool, { "true", "false" } },
    { "text", "x", random_text, { "", "NULL", "\"", "\\", "\x7F" } },
    { "varchar(4000)", "x", random_text, { "", "{}" } },
    { "char(4000)", "x", random_text, { "", "x" } },
    { "name", "x", random_int8, { "", "a b" } },
    { "json", "x", random_document, { " 1 ", "\"\\u00e9\"", "null", "[1, {\"a\":1,\"a\":2}]" } },
    { "jsonb", "x", random_document, { "1e5", "[]", "null", "{\"b\":1.500}" } },
    { "uuid", "x", random_uuid, { "00000000-0000-0000-0000-000000000000" } },
    { "date", "x", random_date, { "infinity", "-infinity", "0001-01-01", "10000-01-01" } },
    { "time", "x", random_time, { "00:00", "24:00", "23:59:59.999999" } },
    { "timetz", "x", random_time, { "24:00-15:59:59", "00:00+05:30" } },
    { "timestamp", "x", random_timestamp, { "infinity", "-infinity", "0001-01-01", "9999-12-31" } },
    { "interval", "x", random_interval, { "0", "-1 day", "178000000 years" } },
    { "inet", "x", random_inet, { "::1", "0.0.0.0/0" } },
    { "cidr", "x", NULL, { "::/0", "10.0.0.0/8" } },
    { "macaddr", "x", NULL, { "08:00:2b:01:02:03" } },
    { "bit(7)", "x", NULL, { "1010001" } },
    { "varbit", "x", random_bits, { "", "0" } },
    { "money", "x", NULL, { "0", "-12.50" } },
    { "xid", "x", random_oid, { "0" } },
    { "xid8", "x", NULL, { "0", "18446744073709551615" } },
    { "pg_lsn", "x", NULL, { "0/0", "16/B374D848" } },
    { "tid", "x", NULL, { "(0,1)" } },
    { "point", "x", random_point, { "(1e300,-0)", "(NaN,Infinity)" } },
    { "box", "x", random_box, { "(1,1),(0,0)" } },
    { "path", "x", NULL, { "[(0,0),(1,1)]", "((0,0),(1,1))" } },
    { "tsvector", "x", NULL, { "", "'a\"b':1A 'c\\\\d'" } },
    { "xml", "x", NULL, { "<a b=\"c\">&amp;\\</a>" } },
    { "jsonpath", "x", NULL, { "$.\"a\"[*] ? (@ == \"\\\\\")" } },
    { "\"char\"", "x", NULL, { "a", "\"", "\\", "", "," } },
    { "regclass", "x", NULL, { "pg_class", "pg_catalog.pg_type" } },
    { "int4range", "x", random_range, { "empty", "(,)", "[1,)" } },
    { "int4multirange", "x", NULL, { "{}", "{[1,3),[5,)}" } },
    { "tsrange", "x", NULL, { "[2026-01-01,2026-02-01 12:00)" } },
    /* as they say here */
    { "oid", "x::int8", random_oid, { "0", "4294967295" } },
    { "numeric",
      FINITE,
      random_numeric,
      { "0", "0.000", "-0.0001", "NaN", "Infinity", "-Infinity" } },
    { "float8",
      FINITE,
      random_float8,
      { "0", "-0", "1e22", "5e-324", "1.7976931348623157e308", "0.1", "NaN", "Infinity",
        "-Infinity" } },
    { "float4",
      FINITE,
      random_float4,
      { "0", "-0", "1e-45", "3.4028235e38", "0.1", "16777216", "NaN", "-Infinity" } },
    { "bytea", "translate(encode(x, 'base64'), E'\\n', '')", random_bytea, { "\\x", "\\x00ff" } },
    { "timestamptz",
      IN_UTC,
      random_instant,
      { "infinity", "-infinity", "2026-11-21 20:10:03.5+05:30", "0001-01-01 00:00:00+00" } },
};

static void check_type(pg_target on, const json_type_row *t, random_state *r)
{
    for (size_t i = 0; i < ARRAY_LEN(t->specials) && t->specials[i]; i++)
        check_value(on, t, str_from_c(t->specials[i]));
    for (int i = 0; i < ROUNDS && t->random; i++)
        check_value(on, t, t->random(r));
}

static void test_json_is_what_the_server_writes(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++)
        check_type(PG_TARGET(db), &TYPES[i], &r);
}

/* Those of which a setting changes the text, as if none were. */
static void test_json_does_not_depend_on_settings(void **state)
{
    (void)state;
    static const char *const NAMES[] = {
        "date", "timestamp", "timestamptz", "bytea", "json", "bool"
    };
    random_state r = random_start();
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_script(tx, STR("set local datestyle = 'German'; set local timezone = "
                                "'Asia/Kolkata'; set local bytea_output = 'escape'")));
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++) {
        for (size_t n = 0; n < ARRAY_LEN(NAMES); n++) {
            if (strcmp(TYPES[i].type, NAMES[n]) != 0)
                continue;
            json_type_row iso = TYPES[i]; /* the random texts are read as ISO in any style */
            check_type(PG_TARGET(tx), &iso, &r);
        }
    }
    assert_ok(pg_commit(&tx));
}

typedef struct json_row {
    const char *sql;
    const char *expected; /* of its only column, x */
} json_row;

static void check_rows(const json_row *expected, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pg_rows rows;
        str text;
        assert_ok(pg_query(db, &rows, PG_AS_JSON(expected[i].sql)));
        assert_ok(pg_rows_json(&rows, &text));
        assert_str_equal(text, str_format(fiber_arena(), "[{\"x\":%s}]", expected[i].expected));
    }
}

static void test_json_is_what_the_header_says(void **state)
{
    (void)state;
    static const json_row ROWS[] = {
        { "select date '0044-03-15 BC' as x", "\"-0043-03-15\"" },
        { "select date '0001-12-31 BC' as x", "\"0000-12-31\"" },
        { "select timestamp '0044-03-15 12:00 BC' as x", "\"-0043-03-15T12:00:00\"" },
        { "select timestamptz '4713-01-01 00:00+00 BC' as x", "\"-4712-01-01T00:00:00Z\"" },
        { "select timestamp '294276-12-31 23:59:59.5' as x", "\"294276-12-31T23:59:59.5\"" },
        { "select (1, 'a b', null)::record as x", "\"(1,\\\"a b\\\",)\"" },
        { "select array[(1, 'a \"b\"'), null] as x", "[\"(1,\\\"a \\\"\\\"b\\\"\\\"\\\")\",null]" },
        { "select '1 2'::int2vector as x", "\"1 2\"" },
        { "select 'json_mood'::json_mood as x", "\"json_mood\"" },
        { "select array['json_mood', null]::json_mood[] as x", "\"{json_mood,NULL}\"" },
        { "select array['json_mood', null]::json_mood[]::text[] as x", "[\"json_mood\",null]" },
        { "select 7::json_domain as x", "7" },
        { "select array[7]::json_domain[] as x", "\"{7}\"" },
        { "select '[2:3][0:0]={{1},{2}}'::int4[] as x", "[[1],[2]]" },
        { "select null as x", "null" },
        { "select 'unknown' as x", "\"unknown\"" },
        { "select pg_sleep(0) as x", "\"\"" },
    };
    assert_ok(pg_execute(db, NULL, "create type json_mood as enum ('json_mood')"));
    assert_ok(pg_execute(db, NULL, "create domain json_domain as int4"));
    check_rows(ROWS, ARRAY_LEN(ROWS));
    assert_ok(pg_execute(db, NULL, "drop type json_mood"));
    assert_ok(pg_execute(db, NULL, "drop domain json_domain"));
}

static void test_json_of_hstore_is_that_of_its_cast(void **state)
{
    (void)state;
    static const json_row ROWS[] = {
        { "select 'a=>1, b=>NULL'::hstore::jsonb as x", "{\"a\": \"1\", \"b\": null}" },
        { "select ''::hstore::jsonb as x", "{}" },
        { "select 'a=>1'::hstore as x", "\"\\\"a\\\"=>\\\"1\\\"\"" },
    };
    const error e = pg_execute(db, NULL, "create extension if not exists hstore");
    if (e.kind) {
        print_message("no hstore\n");
        skip();
    }
    check_rows(ROWS, ARRAY_LEN(ROWS));
}

/* --- wherever rows come from ------------------------------------------------------------------ */

#define MANY                                                                                            \
    "select n, repeat('x', n % 50) || '\"' as label, n / 8.0 as part, date '2026-01-01' + n % 99 as d " \
    "from generate_series(1, $1) as n"
#define MANY_ROWS 30000

static void check_many(str text)
{
    pg_rows rows;
    str server;
    assert_ok(pg_query(db, &rows, "select json_agg(row_to_json(m))::text from (" MANY ") as m",
                       MANY_ROWS));
    assert_ok(pg_get(&rows, 0, 0, &server));
    /* the server puts a space behind each comma */
    buf ours;
    buf_init(&ours, (size_t)64 << 20);
    for (size_t i = 0; i < text.len; i++) {
        buf_append_char(&ours, text.ptr[i]);
        if (i + 1 < text.len && text.ptr[i] == ',' && text.ptr[i + 1] == '{')
            buf_append(&ours, STR(" "));
    }

    assert_true(str_eq(buf_str(&ours), server));
    buf_deinit(&ours);
}

static void test_json_of_many_rows_is_the_servers_list(void **state)
{
    (void)state;
    pg_rows rows;
    str text;
    assert_ok(pg_query(db, &rows, PG_AS_JSON(MANY), MANY_ROWS));
    assert_ok(pg_rows_json(&rows, &text));
    check_many(text);
}

/* What is taken from the fiber's arena does not grow with the rows. */
static void test_json_of_a_stream_takes_the_memory_of_a_piece(void **state)
{
    (void)state;
    pg_stream *s;
    pg_rows rows;
    str piece;
    size_t pieces = 0, before = 0;
    buf all;
    buf_init(&all, (size_t)64 << 20);
    pg_json *j = pg_json_new();
    assert_ok(pg_stream_open(db, &s, PG_AS_JSON(MANY), MANY_ROWS));
    do {
        assert_ok(pg_stream_next(s, &rows));
        assert_ok(pg_json_next(j, &rows, &piece));
        buf_append(&all, piece);
        if (++pieces == 4)
            before = fiber_arena()->bytes;
    } while (rows.count > 0);
    assert_in_range(pieces, 6, SIZE_MAX);
    assert_in_range(fiber_arena()->bytes, before, before + ((size_t)4 << 20));
    assert_ok(pg_stream_close(&s));
    check_many(buf_str(&all));
    buf_deinit(&all);
}

static void test_json_of_a_cursor_is_the_same(void **state)
{
    (void)state;
    pg_cursor *c;
    pg_rows rows;
    str piece;
    buf all;
    buf_init(&all, (size_t)64 << 20);
    pg_json *j = pg_json_new();
    assert_ok(pg_cursor_open(db, &c, PG_AS_JSON(MANY), MANY_ROWS));
    do {
        assert_ok(pg_cursor_next(c, &rows));
        assert_ok(pg_json_next(j, &rows, &piece));
        buf_append(&all, piece);
    } while (rows.count > 0);
    assert_ok(pg_cursor_close(&c));
    check_many(buf_str(&all));
    buf_deinit(&all);
}

static void test_json_of_a_batch_stands_beside_other_rows(void **state)
{
    (void)state;
    pg_rows rows[3];
    str text;
    int32_t n;
    pg_batch *b = pg_batch_new();
    for (int i = 0; i < 3; i++)
        pg_batch_query(b, &rows[i],
                       pg_sql_as(PG_SQL(MANY), i == 1 ? PG_ROWS_AS_JSON : PG_ROWS_BY_TYPE), 1);
    assert_ok(pg_batch_run(db, b));
    assert_ok(pg_get(&rows[0], 0, 0, &n));
    assert_ok(pg_rows_json(&rows[1], &text));
    assert_str_equal(text, STR("[{\"n\":1,\"label\":\"x\\\"\",\"part\":0.12500000000000000000,"
                               "\"d\":\"2026-01-02\"}]"));
    assert_fails(PG_INVALID_ARGUMENT, pg_rows_json(&rows[2], &text));
    assert_ok(pg_query(pg_read_only(db), &rows[0], PG_AS_JSON("select 1 as a, 2 as b")));
    assert_ok(pg_rows_json(&rows[0], &text));
    assert_str_equal(text, STR("[{\"a\":1,\"b\":2}]"));
}

static void test_json_of_no_rows_is_an_empty_list(void **state)
{
    (void)state;
    pg_rows rows;
    str text;
    assert_ok(pg_query(db, &rows, PG_AS_JSON(MANY), 0));
    assert_ok(pg_rows_json(&rows, &text));
    assert_str_equal(text, STR("[]"));
    assert_ok(pg_query(db, &rows, PG_AS_JSON("vacuum pg_catalog.pg_am")));
    assert_ok(pg_rows_json(&rows, &text));
    assert_str_equal(text, STR("[]"));
    assert_ok(pg_query(db, &rows, PG_AS_JSON("select")));
    assert_ok(pg_rows_json(&rows, &text));
    assert_str_equal(text, STR("[{}]"));
}

/* Formats are those of the columns that there are now. */
static void test_json_follows_a_column_that_changes(void **state)
{
    (void)state;
    static const char *const CHANGES[][2] = {
        { "date using date '2026-11-21'", "[{\"a\":\"2026-11-21\"}]" },
        { "int8 using 7", "[{\"a\":7}]" },
        { "jsonb using '[]'", "[{\"a\":[]}]" },
        { "text using 'x'", "[{\"a\":\"x\"}]" },
    };
    pg_rows rows;
    str text;
    assert_ok(pg_execute(db, NULL, "create table json_test as select 1.5 as a"));
    for (size_t i = 0; i < ARRAY_LEN(CHANGES); i++) {
        assert_ok(pg_query(db, &rows, PG_AS_JSON("select a from json_test")));
        assert_ok(pg_rows_json(&rows, &text));
        assert_ok(pg_execute(
            db, NULL,
            str_format(fiber_arena(), "alter table json_test alter a type %s", CHANGES[i][0])));
        /* without names the first that meets a change may have rows of the old formats */
        assert_ok(pg_query(db, &rows, PG_AS_JSON("select a from json_test")));
        const error e = pg_rows_json(&rows, &text);
        if (e.kind) {
            assert_fails(PG_INVALID_ARGUMENT, e);
            assert_ok(pg_query(db, &rows, PG_AS_JSON("select a from json_test")));
            assert_ok(pg_rows_json(&rows, &text));
        }
        assert_str_equal(text, str_from_c(CHANGES[i][1]));
    }
    assert_ok(pg_execute(db, NULL, "drop table json_test"));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_is_what_the_server_writes),
        cmocka_unit_test(test_json_does_not_depend_on_settings),
        cmocka_unit_test(test_json_is_what_the_header_says),
        cmocka_unit_test(test_json_of_hstore_is_that_of_its_cast),
        cmocka_unit_test(test_json_of_many_rows_is_the_servers_list),
        cmocka_unit_test(test_json_of_a_stream_takes_the_memory_of_a_piece),
        cmocka_unit_test(test_json_of_a_cursor_is_the_same),
        cmocka_unit_test(test_json_of_a_batch_stands_beside_other_rows),
        cmocka_unit_test(test_json_of_no_rows_is_an_empty_list),
        cmocka_unit_test(test_json_follows_a_column_that_changes),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
