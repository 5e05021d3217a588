/* Documents, characters of every kind, paths, and arrays of any element: random ones go there and
 * come back in both formats as the server writes them. */
#include "round_trip.h"

#include "core/buf.h"

#define ROUNDS     200
#define TEXT_BYTES 65536

/* --- making ----------------------------------------------------------------------------------- */

static str random_characters(random_state *r, size_t most)
{
    static const char *const LETTERS[] = {
        "a", "Z", "0", " ", "\"", "\\", "'", "\t", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x8C\x8A",
        "/", "{", "]"
    };
    buf out;
    buf_init(&out, TEXT_BYTES);
    for (size_t left = random_below(r, most + 1); left > 0; left--)
        buf_append(&out, str_from_c(LETTERS[random_below(r, ARRAY_LEN(LETTERS))]));
    const str text = str_copy(fiber_arena(), buf_str(&out));
    buf_deinit(&out);
    return text;
}

static void put_json_string(buf *out, random_state *r)
{
    const str text = random_characters(r, 6);
    buf_append_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c == '"' || c == '\\')
            buf_append_char(out, '\\');
        if (c == '\t')
            buf_append(out, STR("\\t"));
        else
            buf_append_char(out, c);
    }
    if (random_below(r, 8) == 0)
        buf_append(out, STR("\\u00e9\\n"));
    buf_append_char(out, '"');
}

static void put_json_scalar(buf *out, random_state *r)
{
    static const char *const SCALARS[] = {
        "null",  "true",    "false", "0",     "-0.50",
        "1e300", "1.5E-10", "[]",    "{ }",   "12345678901234567890",
        "-7",    "0.1",     "{}",    "[ [] ]"
    };
    if (random_below(r, 3) == 0)
        put_json_string(out, r);
    else
        buf_append(out, str_from_c(SCALARS[random_below(r, ARRAY_LEN(SCALARS))]));
}

/* Levels of objects and arrays by turns, each of a few members of which one goes deeper. */
static str random_json(random_state *r)
{
    buf out;
    const uint64_t depth = random_below(r, 6);
    buf_init(&out, TEXT_BYTES);
    for (uint64_t level = 0; level < depth; level++) {
        const bool is_object = level % 2 == 0;
        buf_append(&out, is_object ? STR("{ ") : STR("["));
        for (uint64_t left = random_below(r, 4); left > 0; left--) {
            if (is_object)
                buf_append_format(&out, "\"k%u\": ", (unsigned)random_below(r, 20));
            put_json_scalar(&out, r);
            buf_append(&out, STR(" , "));
        }
        if (is_object)
            buf_append(&out, STR("\"next\":"));
    }
    put_json_scalar(&out, r);
    for (uint64_t level = depth; level > 0; level--)
        buf_append(&out, (level - 1) % 2 == 0 ? STR(" }") : STR("]"));
    const str text = str_copy(fiber_arena(), buf_str(&out));
    buf_deinit(&out);
    return text;
}

/* --- documents -------------------------------------------------------------------------------- */

static void check_jsonb(str text)
{
    pg_rows rows;
    jsonb got, read;
    str server;
    bool same = false;
    assert_ok(pg_query(db, &rows, "select $1, $1::text", ((jsonb){ text })));
    assert_ok(pg_get(&rows, 0, 0, &got));
    assert_ok(pg_get(&rows, 0, 1, &server));
    assert_str_equal(got.text, server);
    const pg_cell cell = { PG_OID_JSONB, PG_TEXT, server };
    assert_ok(pg_decode_jsonb(fiber_arena(), &cell, &read));
    assert_str_equal(read.text, server);
    assert_ok(pg_query(db, &rows, "select $1 = $2 and $1 = $3::jsonb", got, read,
                       pg_param_literal(text)));
    assert_ok(pg_get(&rows, 0, 0, &same));
    assert_true(same);
}

/* json is kept as it was written. */
static void check_json(str text)
{
    pg_rows rows;
    str got, server;
    jsonb document;
    assert_ok(
        pg_query(db, &rows, "select $1::json, $1::json::text, $1::json", pg_param_literal(text)));
    assert_ok(pg_get(&rows, 0, 0, &got));
    assert_ok(pg_get(&rows, 0, 1, &server));
    assert_ok(pg_get(&rows, 0, 2, &document));
    assert_str_equal(got, text);
    assert_str_equal(server, text);
    assert_str_equal(document.text, text);
}

static void test_documents_go_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (int i = 0; i < ROUNDS; i++) {
        const str text = random_json(&r);
        check_jsonb(text);
        check_json(text);
    }
}

/* --- characters ------------------------------------------------------------------------------- */

static void check_characters(const char *type, str text)
{
    pg_rows rows;
    str got, server;
    bool same = false;
    const str sql =
        str_format(fiber_arena(), "select $1::%s, format('%%s', $1::%s), $1::%s = $2::%s", type,
                   type, type, type);
    assert_ok(pg_query(db, &rows, sql, text, pg_param_literal(text)));
    assert_ok(pg_get(&rows, 0, 0, &got));
    assert_ok(pg_get(&rows, 0, 1, &server));
    assert_ok(pg_get(&rows, 0, 2, &same));
    assert_str_equal(got, server);
    assert_true(same);
}

static void test_characters_of_every_kind_go_there_and_back(void **state)
{
    (void)state;
    static const char *const TYPES[] = { "text",   "varchar", "varchar(7)", "bpchar", "char(9)",
                                         "bpchar", "name",    "\"char\"",   "unknown" };
    random_state r = random_start();
    for (int i = 0; i < ROUNDS; i++) {
        for (size_t t = 0; t + 1 < ARRAY_LEN(TYPES); t++)
            check_characters(TYPES[t], random_characters(&r, 12));
    }
}

/* --- paths ------------------------------------------------------------------------------------ */

static str random_path(random_state *r, bool is_query)
{
    static const char *const ITEMS[] = { "*", "*{2}", "*{1,3}", "a@", "Ab*", "!b", "a|b_1*|c@" };
    buf out;
    buf_init(&out, TEXT_BYTES);
    const uint64_t count = random_below(r, 6) + is_query;
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(&out, '.');
        if (is_query && random_below(r, 2))
            buf_append(&out, str_from_c(ITEMS[random_below(r, ARRAY_LEN(ITEMS))]));
        else
            buf_append_format(&out, "L%u_x", (unsigned)random_below(r, 1000));
    }
    const str text = str_copy(fiber_arena(), buf_str(&out));
    buf_deinit(&out);
    return text;
}

static void check_path(pg_tx *tx, const char *type, str path)
{
    pg_rows rows;
    str got, server;
    bool same = false;
    assert_ok(pg_query(tx, &rows,
                       str_format(fiber_arena(), "select $1::%s, $1::%s::text", type, type),
                       pg_param_literal(path)));
    assert_ok(pg_get(&rows, 0, 0, &got));
    assert_ok(pg_get(&rows, 0, 1, &server));
    assert_str_equal(got, server);
    assert_ok(pg_query(tx, &rows, str_format(fiber_arena(), "select $1::%s::text = $2", type),
                       pg_param_literal(got), server));
    assert_ok(pg_get(&rows, 0, 0, &same));
    assert_true(same);
}

static void test_paths_go_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_script(tx, STR("create extension ltree")));
    for (int i = 0; i < ROUNDS; i++) {
        check_path(tx, "ltree", random_path(&r, false));
        check_path(tx, "lquery", random_path(&r, true));
    }
    assert_ok(pg_rollback(&tx));
}

/* --- arrays of any element -------------------------------------------------------------------- */

typedef struct element {
    const char *type;
    const char *samples[4]; /* NULL: no more */
} element;

static const element ELEMENTS[] = {
    { "bool", { "t", "f" } },
    { "int2", { "-32768", "0", "32767" } },
    { "int4", { "-2147483648", "0", "2147483647" } },
    { "int8", { "-9223372036854775808", "1", "9223372036854775807" } },
    { "float4", { "NaN", "-Infinity", "1e-40", "3.4028235e+38" } },
    { "float8", { "NaN", "Infinity", "-0", "5e-324" } },
    { "numeric", { "NaN", "-Infinity", "0.000", "-12345678901234567890.0123456789" } },
    { "money", { "-1.05", "0", "92233720368547758.07" } },
    { "text", { "", "NULL", "a\"b\\c,{}", "\xC3\xA9 x" } },
    { "varchar", { "", "null", " " } },
    { "bpchar", { "a  ", "b" } },
    { "name", { "a_name", "" } },
    { "\"char\"", { "x", "" } },
    { "bytea", { "\\x", "\\x00ff5c22" } },
    { "uuid", { "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff" } },
    { "json", { "{ \"a\":[1]}", "null", "\"a,b\"" } },
    { "jsonb", { "{\"a\": [1]}", "null", "\"\\\\\"" } },
    { "xml", { "<a b=\"c\"/>", "" } },
    { "jsonpath", { "$.\"a\"[*]?(@ > 1)", "strict $" } },
    { "date", { "infinity", "-infinity", "4713-11-24 BC", "5874897-12-31" } },
    { "time", { "00:00", "24:00", "12:34:56.789012" } },
    { "timetz", { "00:00+15:59", "24:00-15:59:59", "12:34:56.789012+02" } },
    { "timestamp",
      { "infinity", "-infinity", "4713-11-24 00:00 BC", "294276-12-31 23:59:59.999999" } },
    { "timestamptz", { "infinity", "2026-11-21 01:02:03.4+05:30", "0044-03-15 12:00+00 BC" } },
    { "interval", { "1 mon -2 days 03:04:05.6", "0", "-178000000 years" } },
    { "inet", { "127.0.0.1", "10.0.0.1/8", "::1", "2001:db8::/32" } },
    { "cidr", { "10.0.0.0/8", "::/0" } },
    { "macaddr", { "08:00:2b:01:02:03" } },
    { "macaddr8", { "08:00:2b:01:02:03:04:05" } },
    { "bit(3)", { "101", "000" } },
    { "varbit", { "", "1", "0101010101010101" } },
    { "point", { "(1,2)", "(NaN,-Infinity)" } },
    { "line", { "{1,2,3}" } },
    { "lseg", { "[(1,2),(3,4)]" } },
    { "box", { "(3,4),(1,2)" } },
    { "path", { "((1,2),(3,4))", "[(1,2)]" } },
    { "polygon", { "((1,2),(3,4),(5,6))" } },
    { "circle", { "<(1,2),3>" } },
    { "int4range", { "[1,5)", "empty", "(,7)" } },
    { "tstzrange", { "[2026-01-01 00:00+00,infinity)", "(,)" } },
    { "int8multirange", { "{[1,5),[7,9)}", "{}" } },
    { "oid", { "0", "4294967295" } },
    { "xid8", { "18446744073709551615" } },
    { "pg_lsn", { "FFFFFFFF/FFFFFFFF", "0/0" } },
    { "tid", { "(4294967295,65535)" } },
    { "regtype", { "int8", "\"char\"" } },
    { "tsvector", { "'a':1A,2 'b c'", "" } },
    { "tsquery", { "'a' & !( 'b' | 'c' <2> 'd' )", "" } },
};

/* A constructor of `dimensions`, whose items are samples and NULLs: array[[x, y], [z, null]]. */
static void put_array(buf *out, random_state *r, const element *e, uint32_t dimensions)
{
    uint32_t counts[3] = { 1, 1, 1 };
    size_t samples = 0, total = 1;
    while (samples < ARRAY_LEN(e->samples) && e->samples[samples])
        samples++;
    invariant(samples > 0);
    for (uint32_t d = 0; d < dimensions; d++)
        total *= counts[d] = 1 + (uint32_t)random_below(r, 3);
    buf_append(out, STR("array"));
    for (size_t i = 0; i < total; i++) {
        size_t part = total;
        for (uint32_t d = 0; d < dimensions; part /= counts[d], d++)
            buf_append(out, i % part == 0 ? STR("[") : STR(""));
        const char *text = random_below(r, 4) ? e->samples[random_below(r, samples)] : NULL;
        if (text)
            buf_append_format(out, "$x$%s$x$::%s", text, e->type);
        else
            buf_append_format(out, "null::%s", e->type);
        part = total;
        for (uint32_t d = 0; d < dimensions; part /= counts[d], d++)
            buf_append(out, (i + 1) % part == 0 ? STR("]") : STR(""));
        buf_append(out, i + 1 < total ? STR(", ") : STR(""));
    }
}

static void check_array(const element *e, str constructor)
{
    pg_rows rows;
    pg_array got, read;
    str text, back[2];
    assert_ok(pg_query(db, &rows,
                       str_format(fiber_arena(), "select x, x::text from (select %.*s as x) as q",
                                  STR_ARG(constructor))));
    assert_ok(pg_get(&rows, 0, 0, &got));
    assert_ok(pg_get(&rows, 0, 1, &text));
    const pg_cell cell = { rows.columns[0].oid, PG_TEXT, text };
    assert_ok(pg_decode_pg_array(fiber_arena(), &cell, &read));
    assert_int_equal(got.dimensions, read.dimensions);
    assert_int_equal(got.count, read.count);
    assert_ok(pg_query(
        db, &rows,
        str_format(fiber_arena(), "select $1::%s[]::text, $2::%s[]::text", e->type, e->type), got,
        read));
    for (size_t i = 0; i < 2; i++) {
        assert_ok(pg_get(&rows, 0, i, &back[i]));
        assert_str_equal(back[i], text);
    }
}

static void test_arrays_of_any_element_go_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ARRAY_LEN(ELEMENTS); i++) {
        for (uint32_t dimensions = 1; dimensions <= 3; dimensions++) {
            buf out;
            buf_init(&out, TEXT_BYTES);
            put_array(&out, &r, &ELEMENTS[i], dimensions);
            check_array(&ELEMENTS[i], buf_str(&out));
            buf_deinit(&out);
        }
    }
}

static int run(void)
{
    const struct CMUnitTest group[] = {
        cmocka_unit_test(test_documents_go_there_and_back),
        cmocka_unit_test(test_characters_of_every_kind_go_there_and_back),
        cmocka_unit_test(test_paths_go_there_and_back),
        cmocka_unit_test(test_arrays_of_any_element_go_there_and_back),
    };
    return cmocka_run_group_tests_name("pg documents", group, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
