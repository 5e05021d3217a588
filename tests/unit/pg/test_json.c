/* Rows as JSON without a server: cells of each kind, those that are none, lists in pieces, names
 * and ceilings. What the server itself writes: integration/pg/test_json.c. */
#include "type_test.h"

#include "core/json.h"

#define NEVER STR_NONE /* no value of its type */

static pg_rows rows_of(pg_column *columns, uint32_t count, const str *cells, size_t row_count)
{
    pg_row *items = ARENA_NEW_ARRAY(&memory, pg_row, row_count);
    for (size_t i = 0; i < row_count; i++)
        items[i].cells = cells + i * count;
    for (uint32_t i = 0; i < count; i++)
        columns[i].format = pg_type_format_as(columns[i].oid, PG_ROWS_AS_JSON);
    return (pg_rows){ items, row_count, columns, count, row_count };
}

/* One cell, from memory of its size, is written as `expected`, or refused. */
static void check_cell(pg_oid oid, str cell, str expected)
{
    pg_column column = { .name = STR("x"), .oid = oid };
    const str exact = cell.ptr ? exact_copy(cell) : STR_NONE;
    const pg_rows rows = rows_of(&column, 1, &exact, 1);
    str written = STR("as it was");
    const error e = pg_rows_json(&rows, &written);
    if (cell.ptr)
        exact_free(exact);
    if (!expected.ptr) {
        assert_fails(PG_TYPE_MISMATCH, e);
        assert_str_equal(written, STR("as it was"));
        return;
    }
    assert_ok(e);
    assert_str_equal(written, str_format(fiber_arena(), "[{\"x\":%.*s}]", STR_ARG(expected)));
    assert_true(json_is_valid(written));
}

typedef struct cell_row {
    pg_oid oid;
    str cell;
    str expected;
} cell_row;

static void check_cells(const cell_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_cell(rows[i].oid, rows[i].cell, rows[i].expected);
}

/* A literal as it is written. */
#define SAME(oid, text)                    \
    {                                      \
        (oid), { text, sizeof(text) - 1 }, \
        {                                  \
            text, sizeof(text) - 1         \
        }                                  \
    }
#define CELL(oid, text, json_)             \
    {                                      \
        (oid), { text, sizeof(text) - 1 }, \
        {                                  \
            json_, sizeof(json_) - 1       \
        }                                  \
    }
#define NONE(oid, text)                    \
    {                                      \
        (oid), { text, sizeof(text) - 1 }, \
        {                                  \
            NULL, 0                        \
        }                                  \
    }

/* --- cells ------------------------------------------------------------------------------------ */

static void test_json_numbers_keep_all_their_digits(void **state)
{
    (void)state;
    static const cell_row ROWS[] = {
        SAME(PG_OID_INT2, "0"),
        SAME(PG_OID_INT2, "-7"),
        SAME(PG_OID_INT4, "12"),
        SAME(PG_OID_INT4, "123"),
        SAME(PG_OID_INT4, "1234"),
        SAME(PG_OID_INT4, "-12345"),
        SAME(PG_OID_INT8, "1234567"),
        SAME(PG_OID_INT8, "12345678"),
        SAME(PG_OID_INT8, "123456789"),
        SAME(PG_OID_INT8, "-1234567890123456"),
        SAME(PG_OID_INT8, "1234567890123456"),
        SAME(PG_OID_INT8, "12345678901234567"),
        SAME(PG_OID_INT8, "9223372036854775807"),
        SAME(PG_OID_INT8, "-9223372036854775808"),
        SAME(PG_OID_OID, "4294967295"),
        SAME(PG_OID_FLOAT8, "0.1"),
        SAME(PG_OID_FLOAT8, "-0"),
        SAME(PG_OID_FLOAT8, "1e+22"),
        SAME(PG_OID_FLOAT8, "5e-324"),
        SAME(PG_OID_FLOAT4, "3.4028235e+38"),
        SAME(PG_OID_NUMERIC, "0.000"),
        SAME(PG_OID_NUMERIC, "-12345678901234567890.123456789012345678901234567890"),
        CELL(PG_OID_NUMERIC, "NaN", "null"),
        CELL(PG_OID_NUMERIC, "Infinity", "null"),
        CELL(PG_OID_FLOAT8, "-Infinity", "null"),
        CELL(PG_OID_FLOAT4, "NaN", "null"),
    };
    check_cells(ROWS, ARRAY_LEN(ROWS));
}

static void test_json_numbers_that_are_none_are_refused(void **state)
{
    (void)state;
    static const cell_row ROWS[] = {
        NONE(PG_OID_INT4, ""),
        NONE(PG_OID_INT4, "-"),
        NONE(PG_OID_INT4, "+1"),
        NONE(PG_OID_INT4, "01"),
        NONE(PG_OID_INT4, "-01"),
        NONE(PG_OID_INT4, "0123"),
        NONE(PG_OID_INT4, "0123456789"),
        NONE(PG_OID_INT4, "1 "),
        NONE(PG_OID_INT8, "123x"),
        NONE(PG_OID_INT8, "x123"),
        NONE(PG_OID_INT8, "12:4"),
        NONE(PG_OID_INT8, "12/4"),
        NONE(PG_OID_INT8, "1234,6789"),
        NONE(PG_OID_INT8, "1234567:"),
        NONE(PG_OID_INT8, "12345678\"}]"),
        NONE(PG_OID_INT8, "\xB1\xB2\xB3\xB4"),
        NONE(PG_OID_INT8, "0x10"),
        NONE(PG_OID_FLOAT8, "1."),
        NONE(PG_OID_FLOAT8, ".5"),
        NONE(PG_OID_FLOAT8, "1e"),
        NONE(PG_OID_FLOAT8, "1e+"),
        NONE(PG_OID_FLOAT8, "nan"),
        NONE(PG_OID_FLOAT8, "inf"),
        NONE(PG_OID_NUMERIC, "1.5.5"),
        NONE(PG_OID_NUMERIC, "1,5"),
        NONE(PG_OID_NUMERIC, "Infinity1"),
        NONE(PG_OID_NUMERIC, "12345678901234567890x"),
        NONE(PG_OID_BOOL, ""),
        NONE(PG_OID_BOOL, "t"),
        NONE(PG_OID_BOOL, "\1\1"),
        NONE(PG_OID_BOOL, "\2"),
        NONE(PG_OID_DATE, "\0\0\0"),
        NONE(PG_OID_DATE, "2026-11-21"),
        NONE(PG_OID_TIMESTAMP, "\0\0\0\0"),
        NONE(PG_OID_TIMESTAMPTZ, "\0\0\0\0\0\0\0\0\0"),
    };
    check_cells(ROWS, ARRAY_LEN(ROWS));
    for (int c = 0; c < 256; c++) { /* any byte among digits */
        const char text[] = { '1', '2', '3', (char)c, '5', '6', '7', '8' };
        const str cell = { text, sizeof text };
        const bool good = (c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E';
        check_cell(PG_OID_INT8, cell, good ? cell : NEVER);
    }
}

static void test_json_strings_are_escaped_and_mended(void **state)
{
    (void)state;
    static const cell_row ROWS[] = {
        CELL(PG_OID_TEXT, "", "\"\""),
        CELL(PG_OID_TEXT, "a \"b\" \\ c", "\"a \\\"b\\\" \\\\ c\""),
        CELL(PG_OID_VARCHAR, "\x01\n\t\r\x1F", "\"\\u0001\\n\\t\\r\\u001f\""),
        CELL(PG_OID_BPCHAR, "x   ", "\"x   \""),
        CELL(PG_OID_NAME, "\xF0\x9F\x98\x80", "\"\xF0\x9F\x98\x80\""),
        CELL(PG_OID_TEXT, "\xED\xA0\xBD",
             "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""), /* half a pair */
        CELL(PG_OID_TEXT, "a\xFF", "\"a\xEF\xBF\xBD\""),
        CELL(PG_OID_UUID, "00010203-0405-0607-0809-0a0b0c0d0e0f",
             "\"00010203-0405-0607-0809-0a0b0c0d0e0f\""),
        CELL(PG_OID_TIME, "08:15:00", "\"08:15:00\""),
        CELL(PG_OID_RECORD, "(1,\"a b\")", "\"(1,\\\"a b\\\")\""),
        CELL(60000, "happy", "\"happy\""),
        CELL(0, "{1}", "\"{1}\""),
        CELL(PG_OID_MONEY, "$1.00", "\"$1.00\""),
        CELL(PG_OID_VOID, "", "\"\""),
        CELL(PG_OID_BYTEA, "", "\"\""),
        CELL(PG_OID_BYTEA, "\0\xFF", "\"AP8=\""),
        { PG_OID_TEXT, { NULL, 0 }, { "null", 4 } },
        { PG_OID_INT4, { NULL, 0 }, { "null", 4 } },
        { PG_OID_INT4_ARRAY, { NULL, 0 }, { "null", 4 } },
    };
    check_cells(ROWS, ARRAY_LEN(ROWS));
}

static void test_json_days_and_instants_are_iso_8601(void **state)
{
    (void)state;
    static const cell_row ROWS[] = {
        CELL(PG_OID_DATE, "\0\0\0\0", "\"2000-01-01\""),
        CELL(PG_OID_DATE, "\0\0\x26\x5D", "\"2026-11-21\""),
        CELL(PG_OID_DATE, "\xFF\xF4\xDB\xF8", "\"0000-12-31\""), /* 1 BC */
        CELL(PG_OID_DATE, "\xFF\xF4\x9D\x7B", "\"-0043-03-15\""),
        CELL(PG_OID_DATE, "\x7F\xDA\x97\x0C", "\"5874897-12-31\""),
        CELL(PG_OID_DATE, "\x7F\xFF\xFF\xFF", "\"infinity\""),
        CELL(PG_OID_DATE, "\x80\0\0\0", "\"-infinity\""),
        CELL(PG_OID_TIMESTAMP, "\0\0\0\0\0\0\0\0", "\"2000-01-01T00:00:00\""),
        CELL(PG_OID_TIMESTAMP, "\0\0\0\0\0\7\xA1\x20", "\"2000-01-01T00:00:00.5\""),
        CELL(PG_OID_TIMESTAMP, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
             "\"1999-12-31T23:59:59.999999\""),
        CELL(PG_OID_TIMESTAMP, "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "\"infinity\""),
        CELL(PG_OID_TIMESTAMP, "\x80\0\0\0\0\0\0\0", "\"-infinity\""),
        CELL(PG_OID_TIMESTAMPTZ, "\0\0\0\0\0\0\0\0", "\"2000-01-01T00:00:00Z\""),
        CELL(PG_OID_TIMESTAMPTZ, "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFE",
             "\"294277-01-09T04:00:54.775806Z\""),
        CELL(PG_OID_TIMESTAMPTZ, "\x80\0\0\0\0\0\0\0", "\"-infinity\""),
        CELL(PG_OID_BOOL, "\1", "true"),
        CELL(PG_OID_BOOL, "\0", "false"),
    };
    check_cells(ROWS, ARRAY_LEN(ROWS));
}

static void test_json_documents_are_checked(void **state)
{
    (void)state;
    static const cell_row ROWS[] = {
        SAME(PG_OID_JSON, "{\"a\": [1, null]}"),
        SAME(PG_OID_JSON, " 7 "),
        CELL(PG_OID_JSONB, "\1{\"a\": 1e400}", "{\"a\": 1e400}"),
        NONE(PG_OID_JSON, ""),
        NONE(PG_OID_JSON, "{\"a\":1},{"),
        NONE(PG_OID_JSON, "\1{}"),
        NONE(PG_OID_JSON, "\"\xFF\""),
        NONE(PG_OID_JSONB, ""),
        NONE(PG_OID_JSONB, "\1"),
        NONE(PG_OID_JSONB, "{}"),
        NONE(PG_OID_JSONB, "\2{}"),
        NONE(PG_OID_JSONB, "\1[1,]"),
    };
    check_cells(ROWS, ARRAY_LEN(ROWS));
}

/* --- arrays ----------------------------------------------------------------------------------- */

#define BINARY_2X2 "\0\0\0\2\0\0\0\1\0\0\0\x19\0\0\0\2\0\0\0\1\0\0\0\2\0\0\0\0"

static void test_json_arrays_are_lists(void **state)
{
    (void)state;
    static const cell_row ROWS[] = {
        CELL(PG_OID_INT4_ARRAY, "{}", "[]"),
        CELL(PG_OID_INT4_ARRAY, "{1,NULL,-3}", "[1,null,-3]"),
        CELL(PG_OID_INT4_ARRAY, "[0:1][-1:0]={{1,2},{3,4}}", "[[1,2],[3,4]]"),
        CELL(PG_OID_INT4_ARRAY, "{{{{{{7}}}}}}", "[[[[[[7]]]]]]"),
        CELL(PG_OID_NUMERIC_ARRAY, "{1.50,NaN}", "[1.50,null]"),
        CELL(PG_OID_FLOAT8_ARRAY, "{1e+22,-Infinity}", "[1e+22,null]"),
        CELL(PG_OID_INTERVAL_ARRAY, "{\"1 day\",01:00:00}", "[\"1 day\",\"01:00:00\"]"),
        CELL(PG_OID_XML_ARRAY, "{\"<a b=\\\"\\\\\\\"/>\",\"\",\"NULL\"}",
             "[\"<a b=\\\"\\\\\\\"/>\",\"\",\"NULL\"]"),
        CELL(PG_OID_BOX_ARRAY, "{(1,1),(0,0);(2,2),(1,1)}", "[\"(1,1),(0,0)\",\"(2,2),(1,1)\"]"),
        CELL(PG_OID_TEXT_ARRAY, "\0\0\0\0\0\0\0\0\0\0\0\x19", "[]"),
        CELL(PG_OID_TEXT_ARRAY,
             BINARY_2X2 "\0\0\0\1a\377\377\377\377\0\0\0\0\0\0\0\2\"}", /* two rows of two */
             "[[\"a\",null],[\"\",\"\\\"}\"]]"),
        CELL(PG_OID_BOOL_ARRAY, "\0\0\0\1\0\0\0\0\0\0\0\x10\0\0\0\2\0\0\0\1\0\0\0\1\1\0\0\0\1\0",
             "[true,false]"),
        CELL(PG_OID_JSONB_ARRAY, "\0\0\0\1\0\0\0\0\0\0\x0E\xDA\0\0\0\1\0\0\0\1\0\0\0\3\1[]",
             "[[]]"),
        CELL(PG_OID_DATE_ARRAY, "\0\0\0\1\0\0\0\0\0\0\x04\x3A\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0\0",
             "[\"2000-01-01\"]"),
    };
    check_cells(ROWS, ARRAY_LEN(ROWS));
}

static void test_json_arrays_that_are_none_are_refused(void **state)
{
    (void)state;
    static const cell_row ROWS[] = {
        NONE(PG_OID_INT4_ARRAY, ""),
        NONE(PG_OID_INT4_ARRAY, "7"),
        NONE(PG_OID_INT4_ARRAY, "{1"),
        NONE(PG_OID_INT4_ARRAY, "{1,"),
        NONE(PG_OID_INT4_ARRAY, "{1,}"),
        NONE(PG_OID_INT4_ARRAY, "{,1}"),
        NONE(PG_OID_INT4_ARRAY, "{1}}"),
        NONE(PG_OID_INT4_ARRAY, "{1}x"),
        NONE(PG_OID_INT4_ARRAY, "{1 2}"),
        NONE(PG_OID_INT4_ARRAY, "{{}}"),
        NONE(PG_OID_INT4_ARRAY, "{1{2}}"),
        NONE(PG_OID_INT4_ARRAY, "{{1}2}"),
        NONE(PG_OID_INT4_ARRAY, "{{{{{{{7}}}}}}}"),
        NONE(PG_OID_INT4_ARRAY, "{null}"),
        NONE(PG_OID_INT4_ARRAY, "{\"NULL\"}"),
        NONE(PG_OID_INT4_ARRAY, "[0:1]"),
        NONE(PG_OID_INT4_ARRAY, "[0:1]="),
        NONE(PG_OID_XML_ARRAY, "{\"a}"),
        NONE(PG_OID_XML_ARRAY, "{\"a\\"),
        NONE(PG_OID_XML_ARRAY, "{\"a\"b}"),
        NONE(PG_OID_XML_ARRAY, "{a\"b\"}"),
        NONE(PG_OID_TEXT_ARRAY, "\0\0\0\0\0\0\0\0\0\0\0\x10"), /* of another type */
        NONE(PG_OID_TEXT_ARRAY, "\0\0\0\7\0\0\0\0\0\0\0\x19"),
        NONE(PG_OID_TEXT_ARRAY, "\0\0\0\1\0\0\0\0\0\0\0\x19\xFF\xFF\xFF\xFF\0\0\0\1"),
        NONE(PG_OID_TEXT_ARRAY, "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1\0\0\0\2x"),
        NONE(PG_OID_TEXT_ARRAY, "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1\0\0\0\1xy"),
        NONE(PG_OID_TEXT_ARRAY, "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\0\0\0\0\1"),
        NONE(PG_OID_BOOL_ARRAY, "\0\0\0\1\0\0\0\0\0\0\0\x10\0\0\0\1\0\0\0\1\0\0\0\1t"),
    };
    check_cells(ROWS, ARRAY_LEN(ROWS));
}

/* --- rows ------------------------------------------------------------------------------------- */

static void test_json_rows_are_objects_of_their_columns(void **state)
{
    (void)state;
    pg_column columns[] = { { .name = STR("id"), .oid = PG_OID_INT4 },
                            { .name = STR("a \"name\" of many bytes\n"), .oid = PG_OID_TEXT } };
    const str cells[] = { STR("1"), STR("one"), STR("2"), STR_NONE };
    const pg_rows rows = rows_of(columns, 2, cells, 2);
    str text;
    assert_ok(pg_rows_json(&rows, &text));
    assert_str_equal(text, STR("[{\"id\":1,\"a \\\"name\\\" of many bytes\\n\":\"one\"},"
                               "{\"id\":2,\"a \\\"name\\\" of many bytes\\n\":null}]"));
    assert_ok(pg_rows_json(&(pg_rows){ 0 }, &text));
    assert_str_equal(text, STR("[]"));
    const pg_rows none = rows_of(columns, 0, cells, 2);
    assert_ok(pg_rows_json(&none, &text));
    assert_str_equal(text, STR("[{},{}]"));
}

static void test_json_names_must_differ(void **state)
{
    (void)state;
    static const char *const NAMES[][3] = {
        { "a", "b", "a" },
        { "", "", "x" },
        { "x", "?column?", "?column?" },
        { "\xFF", "b", "\xFE" }, /* mended into the same */
    };
    const str cells[] = { STR("1"), STR("2"), STR("3") };
    pg_column columns[3] = { { .oid = PG_OID_INT4 },
                             { .oid = PG_OID_INT4 },
                             { .oid = PG_OID_INT4 } };
    str text;
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        for (size_t c = 0; c < 3; c++)
            columns[c].name = str_from_c(NAMES[i][c]);
        const pg_rows rows = rows_of(columns, 3, cells, 1);
        assert_fails(PG_INVALID_ARGUMENT, pg_rows_json(&rows, &text));
    }
    for (size_t c = 0; c < 3; c++)
        columns[c].name = str_slice(STR("aaa"), 0, c + 1);
    const pg_rows rows = rows_of(columns, 3, cells, 1);
    assert_ok(pg_rows_json(&rows, &text));
    assert_str_equal(text, STR("[{\"a\":1,\"aa\":2,\"aaa\":3}]"));
}

static void test_json_takes_as_many_columns_as_the_server_has(void **state)
{
    (void)state;
    const uint32_t most = PG_JSON_COLUMNS_MAX;
    pg_column *columns = ARENA_NEW_ARRAY(&memory, pg_column, most + 1);
    str *cells = ARENA_NEW_ARRAY(&memory, str, most + 1);
    for (uint32_t i = 0; i <= most; i++) {
        columns[i] = (pg_column){ .name = str_format(&memory, "c%u", i), .oid = PG_OID_INT4 };
        cells[i] = STR("7");
    }
    str text;
    json document;
    pg_rows rows = rows_of(columns, most, cells, 1);
    assert_ok(pg_rows_json(&rows, &text));
    assert_ok(json_parse(&memory, text, &document));
    assert_int_equal(document.array.items[0].object.count, most);
    rows = rows_of(columns, most + 1, cells, 1);
    assert_fails(PG_INVALID_ARGUMENT, pg_rows_json(&rows, &text));
}

static void test_json_of_rows_in_other_formats_is_refused(void **state)
{
    (void)state;
    pg_column columns[] = { { .name = STR("n"), .oid = PG_OID_INT4 } };
    const str cells[] = { STR("\0\0\0\1") };
    const pg_rows rows = rows_of(columns, 1, cells, 1);
    columns[0].format = PG_BINARY;
    str text;
    assert_fails(PG_INVALID_ARGUMENT, pg_rows_json(&rows, &text));
}

/* --- pieces ----------------------------------------------------------------------------------- */

static void test_json_pieces_make_one_list(void **state)
{
    (void)state;
    pg_column columns[][1] = { { { .name = STR("n"), .oid = PG_OID_INT4 } },
                               { { .name = STR("n"), .oid = PG_OID_INT4 } } };
    const str cells[] = { STR("1"), STR("2") };
    const pg_rows none = { 0 };
    str piece;
    for (size_t count = 0; count < 3; count++) {
        pg_json *pieces = pg_json_new();
        buf all;
        buf_init_arena(&all, &memory, 4096);
        for (size_t i = 0; i < count; i++) {
            const pg_rows rows = rows_of(columns[i], 1, cells, 1 + i);
            assert_ok(pg_json_next(pieces, &rows, &piece));
            buf_append(&all, piece);
        }
        assert_ok(pg_json_next(pieces, &none, &piece));
        buf_append(&all, piece);
        static const char *const EXPECTED[] = { "[]", "[{\"n\":1}]",
                                                "[{\"n\":1},{\"n\":1},{\"n\":2}]" };
        assert_str_equal(buf_str(&all), str_from_c(EXPECTED[count]));
    }
}

static void test_json_pieces_are_of_one_statement(void **state)
{
    (void)state;
    pg_column numbers[] = { { .name = STR("n"), .oid = PG_OID_INT4 },
                            { .name = STR("m"), .oid = PG_OID_INT4 } };
    pg_column texts[] = { { .name = STR("n"), .oid = PG_OID_TEXT },
                          { .name = STR("m"), .oid = PG_OID_INT4 } };
    pg_column others[] = { { .name = STR("n"), .oid = PG_OID_INT4 },
                           { .name = STR("mm"), .oid = PG_OID_INT4 } };
    const str cells[] = { STR("1"), STR("2") };
    pg_column copies[] = { numbers[0], numbers[1] };
    const pg_rows rows = rows_of(numbers, 2, cells, 1), same = rows_of(copies, 2, cells, 1);
    const pg_rows foreign[] = { rows_of(texts, 2, cells, 1), rows_of(others, 2, cells, 1),
                                rows_of(numbers, 1, cells, 1) };
    str piece;
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        buf out;
        buf_init_arena(&out, &memory, 4096);
        pg_json *pieces = pg_json_new();
        assert_ok(pg_json_next(pieces, &rows, &piece));
        assert_fails(PG_INVALID_ARGUMENT, pg_json_next(pieces, &foreign[i], &piece));
        assert_fails(PG_INVALID_ARGUMENT, pg_json_write_row(&out, pieces, &foreign[i], 0));
        assert_ok(pg_json_write_row(&out, pieces, &same, 0));
        assert_str_equal(buf_str(&out), STR("{\"n\":1,\"m\":2}"));
    }
}

/* What could not be learned of columns is not known the next time either. */
static void test_json_pieces_of_columns_that_are_none_fail_again(void **state)
{
    (void)state;
    pg_column columns[] = { { .name = STR("n"), .oid = PG_OID_INT4 },
                            { .name = STR("n"), .oid = PG_OID_INT4 } };
    const str cells[] = { STR("1"), STR("2") };
    const pg_rows rows = rows_of(columns, 2, cells, 1);
    pg_json *pieces = pg_json_new();
    str piece;
    for (int times = 0; times < 2; times++)
        assert_fails(PG_INVALID_ARGUMENT, pg_json_next(pieces, &rows, &piece));
    columns[1].name = STR("m");
    assert_ok(pg_json_next(pieces, &rows, &piece));
    assert_str_equal(piece, STR("[{\"n\":1,\"m\":2}"));
}

/* --- ceilings --------------------------------------------------------------------------------- */

static void test_json_rows_are_whole_or_not_there(void **state)
{
    (void)state;
    pg_column columns[] = { { .name = STR("n"), .oid = PG_OID_INT4 },
                            { .name = STR("list"), .oid = PG_OID_TEXT_ARRAY },
                            { .name = STR("text"), .oid = PG_OID_TEXT } };
    const str cells[] = { STR("12345"), STR(BINARY_2X2 "\0\0\0\1a\0\0\0\1b\0\0\0\1c\0\0\0\1d"),
                          STR("a \"b\" c") };
    const str expected =
        STR("{\"n\":12345,\"list\":[[\"a\",\"b\"],[\"c\",\"d\"]],\"text\":\"a \\\"b\\\" c\"}");
    const pg_rows rows = rows_of(columns, 3, cells, 1);
    bool written = false;
    for (size_t max = 1; max < 512; max++) {
        buf out;
        buf_init(&out, max);
        buf_append_char(&out, '>');
        const error e = pg_json_write_row(&out, pg_json_new(), &rows, 0);
        if (!e.kind) {
            assert_str_equal(str_slice(buf_str(&out), 1, SIZE_MAX), expected);
            written = true;
        } else {
            assert_false(written);
            assert_fails(BUF_FULL, e);
            assert_str_equal(buf_str(&out), STR(">"));
        }
        buf_deinit(&out);
    }
    assert_true(written);
}

static void test_json_past_its_ceiling_is_too_large(void **state)
{
    (void)state;
    pg_column column = { .name = STR("text"), .oid = PG_OID_TEXT };
    char *bytes = arena_alloc(&memory, 1 << 20, 1);
    memset(bytes, 1, 1 << 20); /* each is six when it is escaped */
    str cells[3];
    for (size_t i = 0; i < ARRAY_LEN(cells); i++)
        cells[i] = (str){ bytes, 1 << 20 };
    str text = STR_NONE;
    const pg_rows two = rows_of(&column, 1, cells, 2);
    assert_ok(pg_rows_json(&two, &text));
    assert_int_equal(text.len, 2 * (6 * (1 << 20) + 11) + 3);
    const pg_rows three = rows_of(&column, 1, cells, 3);
    const error e = pg_rows_json(&three, &text);
    assert_fails(BUF_FULL, e);
    assert_int_equal(error_class_of(e), ERROR_TOO_LARGE);
}

/* A row has all of the room that there is, whatever is written the longer way. */
static void test_json_of_a_long_cell_takes_its_room_once(void **state)
{
    (void)state;
    pg_column columns[] = { { .name = STR("a"), .oid = PG_OID_JSON },
                            { .name = STR("b"), .oid = PG_OID_TEXT },
                            { .name = STR("c"), .oid = PG_OID_JSON } };
    const size_t len = 1000000;
    char *bytes = arena_alloc(&memory, len, 1);
    memset(bytes, '7', len);
    const str cells[] = { { bytes, len }, STR("\n"), { bytes, len } };
    const pg_rows rows = rows_of(columns, 3, cells, 1);
    buf out;
    buf_init(&out, 2 * len + 256);
    assert_ok(pg_json_write_row(&out, pg_json_new(), &rows, 0));
    assert_int_equal(out.len, 2 * len + sizeof "{'a':,'b':'?n','c':}" - 1);
    buf_deinit(&out);
}

static int run(void)
{
    const struct CMUnitTest group[] = {
        TEST(test_json_numbers_keep_all_their_digits),
        TEST(test_json_numbers_that_are_none_are_refused),
        TEST(test_json_strings_are_escaped_and_mended),
        TEST(test_json_days_and_instants_are_iso_8601),
        TEST(test_json_documents_are_checked),
        TEST(test_json_arrays_are_lists),
        TEST(test_json_arrays_that_are_none_are_refused),
        TEST(test_json_rows_are_objects_of_their_columns),
        TEST(test_json_names_must_differ),
        TEST(test_json_takes_as_many_columns_as_the_server_has),
        TEST(test_json_of_rows_in_other_formats_is_refused),
        TEST(test_json_pieces_make_one_list),
        TEST(test_json_pieces_are_of_one_statement),
        TEST(test_json_pieces_of_columns_that_are_none_fail_again),
        TEST(test_json_rows_are_whole_or_not_there),
        TEST(test_json_past_its_ceiling_is_too_large),
        TEST(test_json_of_a_long_cell_takes_its_room_once),
    };
    return cmocka_run_group_tests_name("pg json", group, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
