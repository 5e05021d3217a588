/* JSON as text: what is a document and what is not, free-form values, the writer's strings and
 * numbers, and the scanners under both. Structs are test_json_shape.c's. */
#include "json_scan.h"

#include "core/json.h"
#include "tests/support/exact_copy.h"
#include "tests/support/json_same.h"
#include "tests/support/random.h"
#include "tests/support/wide_shape.h"

#include <math.h>

static arena a;

static int setup(void **state)
{
    (void)state;
    arena_init(&a, (size_t)64 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&a);
    return 0;
}

/* Parses a copy of exactly the text's size; the result's views are in the arena. */
static error parse(str text, json *out)
{
    const str copy = exact_copy(text);
    json from_copy;
    const error e = json_parse(&a, copy, &from_copy);
    const bool valid = json_is_valid(copy);
    exact_free(copy);
    if (error_is_ok(e))
        assert_true(valid);
    if (error_is_ok(e))
        return json_parse(&a, text, out);
    return e;
}

static str written(const json *value)
{
    buf b;
    buf_init_arena(&b, &a, (size_t)16 << 20);
    json_write(&b, value);
    assert_ok(buf_status(&b));
    return buf_str(&b);
}

/* --- what is JSON ---------------------------------------------------------------------------- */

/* Literals may hold NULs. */
#define TEXT(literal)                \
    {                                \
        literal, sizeof(literal) - 1 \
    }

static const str VALID[] = {
    TEXT("null"),
    TEXT("true"),
    TEXT("false"),
    TEXT("0"),
    TEXT("-0"),
    TEXT("1"),
    TEXT("-1"),
    TEXT("10"),
    TEXT("0.0"),
    TEXT("-0.5"),
    TEXT("1e5"),
    TEXT("1E+5"),
    TEXT("1e-05"),
    TEXT("0e00"),
    TEXT("12.50e+03"),
    TEXT("123456789012345678901234567890"),
    TEXT(" \t\r\n1 \t\r\n"),
    TEXT("\"\""),
    TEXT("\"a\""),
    TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    TEXT("\"\\u0041\\u00e9\\u20AC\\uFFFF\""),
    TEXT("\"\\ud83d\\uDE00\""),
    TEXT("\"\\uD800\\uDC00\\udbff\\udfff\""),
    TEXT("\"\x7F\""),
    TEXT("\"\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\""),
    TEXT("\"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\""),
    TEXT("[]"),
    TEXT("[ ]"),
    TEXT("[1]"),
    TEXT("[1,2 , 3]"),
    TEXT("[[],[[]],{}]"),
    TEXT("{}"),
    TEXT("{ }"),
    TEXT("{\"\":0}"),
    TEXT("{\"a\":1,\"b\":[{}],\"A\":null}"),
    TEXT("{\n  \"a\" : 1 ,\r\n  \"b\" :\t2\n}"),
};

static const str INVALID[] = {
    TEXT(""),
    TEXT(" "),
    TEXT("\0"),
    TEXT("nul"),
    TEXT("nulll"),
    TEXT("Null"),
    TEXT("True"),
    TEXT("tru"),
    TEXT("undefined"),
    TEXT("NaN"),
    TEXT("Infinity"),
    TEXT("-Infinity"),
    TEXT("-"),
    TEXT("+1"),
    TEXT("--1"),
    TEXT("- 1"),
    TEXT("01"),
    TEXT("-01"),
    TEXT("00"),
    TEXT("1."),
    TEXT(".5"),
    TEXT("-.5"),
    TEXT("1.e5"),
    TEXT("1e"),
    TEXT("1e+"),
    TEXT("1e5.5"),
    TEXT("0x10"),
    TEXT("1_000"),
    TEXT("1 2"),
    TEXT("1,2"),
    TEXT("'a'"),
    TEXT("\""),
    TEXT("\"a"),
    TEXT("\"a\\"),
    TEXT("\"a\\\""),
    TEXT("\"a\"b"),
    TEXT("\"\\x41\""),
    TEXT("\"\\'\""),
    TEXT("\"\\U0041\""),
    TEXT("\"\\\0\""),
    TEXT("\"\\u\""),
    TEXT("\"\\u12\""),
    TEXT("\"\\u12g4\""),
    TEXT("\"\\u 123\""),
    TEXT("\"\\u123"),
    TEXT("\"\\u0000\""), /* RFC 8259 has it, text here and in PostgreSQL does not */
    TEXT("\"\\ud800\""),
    TEXT("\"\\udc00\""),
    TEXT("\"\\ud800x\""),
    TEXT("\"\\ud800\\n\""),
    TEXT("\"\\ud800\\u0041\""),
    TEXT("\"\\ud800\\ud800\""),
    TEXT("\"\\udc00\\ud800\""),
    TEXT("\"\\ud83d\\u\""),
    TEXT("\"\\ud83d\\"),
    TEXT("\"\n\""),
    TEXT("\"\t\""),
    TEXT("\"\0\""),
    TEXT("\"\x1F\""),
    TEXT("\"\x80\""),
    TEXT("\"\xFF\""),
    TEXT("\"\xC3\""),
    TEXT("\"\xC3\"\xA9"),
    TEXT("\"\xC0\x80\""),
    TEXT("\"\xC1\xBF\""),
    TEXT("\"\xE0\x9F\xBF\""),
    TEXT("\"\xE2\x82\""),
    TEXT("\"\xED\xA0\x80\""),
    TEXT("\"\xED\xBF\xBF\""),
    TEXT("\"\xF0\x8F\xBF\xBF\""),
    TEXT("\"\xF4\x90\x80\x80\""),
    TEXT("\"\xF5\x80\x80\x80\""),
    TEXT("\"\xF0\x9F\x98\""),
    TEXT("\"plain then \\n \xFF\""),
    TEXT("["),
    TEXT("]"),
    TEXT("[1"),
    TEXT("[1,"),
    TEXT("[1,]"),
    TEXT("[,1]"),
    TEXT("[,]"),
    TEXT("[1 2]"),
    TEXT("[1}"),
    TEXT("[1]]"),
    TEXT("{"),
    TEXT("}"),
    TEXT("{a:1}"),
    TEXT("{1:1}"),
    TEXT("{null:1}"),
    TEXT("{\"a\"}"),
    TEXT("{\"a\":}"),
    TEXT("{\"a\" 1}"),
    TEXT("{\"a\":1,}"),
    TEXT("{,\"a\":1}"),
    TEXT("{\"a\":1 \"b\":2}"),
    TEXT("{\"a\":1]"),
    TEXT("{\"a\":1}}"),
    TEXT("{\"a\":1,\"b\"}"),
    TEXT("{'a':1}"),
    TEXT("// comment\n1"),
    TEXT("/**/1"),
    TEXT("1 // comment"),
    TEXT("\xEF\xBB\xBF"
         "1"), /* a byte order mark */
    TEXT("\xC2\xA0"
         "1"), /* a space, but not JSON's */
    TEXT("\v1"),
    TEXT("\f1"),
    TEXT("1\0"),
};

/* The document as the value of a struct's jsonb field. */
static error parse_as_field(str text)
{
    const str whole = str_format(&a, "{\"x\":1,\"unknown\":%.*s}", STR_ARG(text));
    point p = { 0 };
    const str copy = exact_copy(whole);
    const error e = json_parse_shape(&a, copy, point_shape(), &p);
    exact_free(copy);
    return e;
}

static void test_json_valid_document_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(VALID); i++) {
        json value;
        const error e = parse(VALID[i], &value);
        if (!error_is_ok(e) || !json_is_valid(VALID[i]))
            fail_msg("refused: %.*s", STR_ARG(VALID[i]));
        assert_fails(JSON_INVALID, parse_as_field(VALID[i])); /* an unknown field, but JSON */
    }
}

static void test_json_invalid_document_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(INVALID); i++) {
        json value;
        if (!error_is(parse(INVALID[i], &value), &JSON_MALFORMED) || json_is_valid(INVALID[i]))
            fail_msg("row %zu taken: %.*s", i, STR_ARG(INVALID[i]));
        if (str_index(INVALID[i], '\0') == INVALID[i].len) /* str_format cannot hold it */
            assert_fails(JSON_MALFORMED, parse_as_field(INVALID[i]));
    }
}

static void test_json_every_prefix_of_an_object_is_refused(void **state)
{
    (void)state;
    const str whole = STR(WIDE_DOCUMENT);
    json value;
    wide w = { 0 };
    for (size_t len = 0; len < whole.len; len++) {
        const str copy = exact_copy(str_slice(whole, 0, len));
        assert_fails(JSON_MALFORMED, json_parse(&a, copy, &value));
        assert_fails(JSON_MALFORMED, json_parse_shape(&a, copy, wide_shape(), &w));
        assert_false(json_is_valid(copy));
        exact_free(copy);
        arena_reset(&a);
    }
    assert_ok(parse(whole, &value));
}

static void test_json_malformed_text_says_where_and_why(void **state)
{
    (void)state;
    static const struct {
        str text;
        const char *why;
    } rows[] = {
        { TEXT("[1,2"), "',' or ']' is missing at byte 4" },
        { TEXT("{\"a\" 1}"), "':' is missing at byte 5" },
        { TEXT("{\"a\":1 \"b\":1}"), "',' or '}' is missing at byte 7" },
        { TEXT("[01]"), "a number begins with 0 at byte 2" },
        { TEXT("\"ab\x01\""), "a control character stands in a string at byte 3" },
        { TEXT("\"gr\xC3\xBC\xFF\""), "a string is not UTF-8 at byte 5" },
        { TEXT("\"\\ud800\""), "a surrogate stands alone at byte 7" },
        { TEXT("  tru"), "unknown word at byte 2" },
        { TEXT("1 x"), "something follows the value at byte 2" },
        { TEXT(""), "the text ends too early at byte 0" },
        { TEXT("1e999"), "a number is out of range at byte 5" },
        { TEXT("{\"a\":1,\"a\":2}"), "a key stands twice at byte 13" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json value;
        const error e = json_parse(&a, rows[i].text, &value);
        assert_fails(JSON_MALFORMED, e);
        assert_str_equal(error_detail_of(e)->text, str_from_c(rows[i].why));
    }
}

/* --- limits ---------------------------------------------------------------------------------- */

static str nested(const char *open, const char *close, size_t depth)
{
    buf b;
    buf_init_arena(&b, &a, 1 << 20);
    for (size_t i = 0; i < depth; i++)
        buf_append(&b, str_from_c(open));
    buf_append_char(&b, '1');
    for (size_t i = 0; i < depth; i++)
        buf_append(&b, str_from_c(close));
    return buf_str(&b);
}

static void test_json_nesting_ends_at_the_limit(void **state)
{
    (void)state;
    static const char *const PAIRS[][2] = { { "[", "]" },
                                            { "{\"k\":", "}" },
                                            { "[{\"k\":", "}]" } };
    for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++) {
        const size_t levels = i == 2 ? 2 : 1;
        json value;
        const str deepest = nested(PAIRS[i][0], PAIRS[i][1], JSON_DEPTH_MAX / levels);
        assert_true(json_is_valid(deepest));
        assert_ok(parse(deepest, &value));
        assert_str_equal(written(&value), deepest);
        const str deeper = nested(PAIRS[i][0], PAIRS[i][1], JSON_DEPTH_MAX / levels + 1);
        assert_false(json_is_valid(deeper));
        assert_fails(JSON_MALFORMED, parse(deeper, &value));
        /* The struct around it is a level too. */
        assert_fails(JSON_INVALID,
                     parse_as_field(nested(PAIRS[i][0], PAIRS[i][1], JSON_DEPTH_MAX / levels - 1)));
        assert_fails(JSON_MALFORMED, parse_as_field(deepest));
    }
    json value;
    assert_fails(JSON_MALFORMED, parse(nested("[", "", 100000), &value));
    assert_false(json_is_valid(nested("[", "", 100000)));
}

static void test_json_duplicate_keys_are_refused_however_many_members(void **state)
{
    (void)state;
    for (size_t count = 2; count < 40; count++) {
        for (size_t twin = 0; twin < count; twin++) { /* twin == last: none */
            buf b;
            buf_init_arena(&b, &a, 1 << 16);
            for (size_t i = 0; i < count; i++)
                buf_append_format(&b, "%c\"k%zu\":%zu", i ? ',' : '{',
                                  i == count - 1 ? twin : (i * 7) % (count * 7), i);
            buf_append_char(&b, '}');
            json value;
            bool unique = true;
            for (size_t i = 0; i + 1 < count; i++)
                unique &= i * 7 != twin;
            const error e = json_parse(&a, buf_str(&b), &value);
            assert_true(unique ? error_is_ok(e) : error_is(e, &JSON_MALFORMED));
            assert_true(json_is_valid(buf_str(&b)));
        }
        arena_reset(&a);
    }
    json value; /* the same key in two spellings */
    assert_fails(JSON_MALFORMED, json_parse(&a, STR("{\"a\":1,\"\\u0061\":2}"), &value));
    assert_ok(json_parse(&a, STR("{\"a\":{\"a\":1},\"b\":{\"a\":1}}"), &value));
}

/* --- numbers --------------------------------------------------------------------------------- */

static void test_json_integers_are_exact_over_the_whole_range(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        json_type type;
        int64_t integer;
        double number;
    } rows[] = {
        { "9223372036854775807", JSON_INTEGER, INT64_MAX, 0 },
        { "-9223372036854775808", JSON_INTEGER, INT64_MIN, 0 },
        { "9007199254740993", JSON_INTEGER, 9007199254740993, 0 },
        { "9223372036854775808", JSON_NUMBER, 0, 0x1p63 },
        { "-9223372036854775809", JSON_NUMBER, 0, -0x1p63 },
        { "18446744073709551615", JSON_NUMBER, 0, 0x1p64 },
        { "1e3", JSON_NUMBER, 0, 1000 },
        { "1.0", JSON_NUMBER, 0, 1 },
        { "-0.0", JSON_NUMBER, 0, -0.0 },
        { "-0", JSON_NUMBER, 0, -0.0 },
        { "0", JSON_INTEGER, 0, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json value;
        assert_ok(parse(str_from_c(rows[i].text), &value));
        assert_int_equal(value.type, rows[i].type);
        if (value.type == JSON_INTEGER) {
            assert_true(value.integer == rows[i].integer);
            assert_str_equal(written(&value), str_from_c(rows[i].text));
        } else {
            assert_memory_equal(&value.number, &rows[i].number, sizeof(double));
        }
    }
}

static void test_json_doubles_come_back_the_same(void **state)
{
    (void)state;
    random_state r = random_start();
    for (int i = 0; i < 200000; i++) {
        const uint64_t bits = random_next(&r);
        double number;
        memcpy(&number, &bits, sizeof number);
        if (!isfinite(number))
            continue;
        const json value = { .type = JSON_NUMBER, .number = number };
        char text[FLOAT8_TEXT_MAX];
        buf b;
        buf_init_arena(&b, &a, 64);
        json_write(&b, &value);
        json back;
        assert_ok(json_parse(&a, buf_str(&b), &back));
        if (back.type == JSON_INTEGER) /* 1e3 is written without its point */
            back.number = (double)back.integer;
        assert_memory_equal(&back.number, &number, sizeof number);
        assert_int_equal(b.len, float8_format(text, number));
        if (i % 1000 == 0)
            arena_reset(&a);
    }
}

static void test_json_infinite_doubles_are_written_as_null(void **state)
{
    (void)state;
    const double numbers[] = { (double)NAN, (double)INFINITY, -(double)INFINITY };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const json value = { .type = JSON_NUMBER, .number = numbers[i] };
        assert_str_equal(written(&value), STR("null"));
    }
}

/* --- strings --------------------------------------------------------------------------------- */

static void test_json_escapes_are_decoded(void **state)
{
    (void)state;
    static const struct {
        str text, value;
    } rows[] = {
        { TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), TEXT("\"\\/\b\f\n\r\t") },
        { TEXT("\"\\u0001\\u001F\\u007f\""), TEXT("\x01\x1F\x7F") },
        { TEXT("\"\\u0080\\u07FF\""), TEXT("\xC2\x80\xDF\xBF") },
        { TEXT("\"\\u0800\\uffff\\ud7ff\\ue000\""),
          TEXT("\xE0\xA0\x80\xEF\xBF\xBF\xED\x9F\xBF\xEE\x80\x80") },
        { TEXT("\"\\ud800\\udc00\\uDBFF\\uDFFF\""), TEXT("\xF0\x90\x80\x80\xF4\x8F\xBF\xBF") },
        { TEXT("\"gr\\u00fc\xC3\x9F\\\\\xE2\x82\xAC!\""),
          TEXT("gr\xC3\xBC\xC3\x9F\\\xE2\x82\xAC!") },
        { TEXT("\"a longer run of plain bytes, then \\n and a longer run again\""),
          TEXT("a longer run of plain bytes, then \n and a longer run again") },
        { TEXT("\"\\\\\\\\\\\\\""), TEXT("\\\\\\") },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json value;
        assert_ok(parse(rows[i].text, &value));
        assert_int_equal(value.type, JSON_STRING);
        assert_str_equal(value.string, rows[i].value);
    }
}

static void test_json_string_without_escapes_is_a_view(void **state)
{
    (void)state;
    const str text = STR("[\"plain\",\"gr\xC3\xBC\xC3\x9F\",\"with\\nescape\"]");
    json value;
    assert_ok(json_parse(&a, text, &value));
    assert_ptr_equal(value.array.items[0].string.ptr, text.ptr + 2);
    assert_ptr_equal(value.array.items[1].string.ptr, text.ptr + 10);
    const char *decoded = value.array.items[2].string.ptr;
    assert_true(decoded < text.ptr || decoded >= text.ptr + text.len);
}

static str quoted(str s)
{
    buf b;
    buf_init_arena(&b, &a, (size_t)16 << 20);
    json_write_string(&b, s);
    assert_ok(buf_status(&b));
    return buf_str(&b);
}

static void test_json_writer_escapes_what_it_must_and_nothing_else(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 128; c++) {
        const char one = (char)c;
        char expected[16];
        if (c == '"' || c == '\\')
            snprintf(expected, sizeof expected, "\"\\%c\"", (char)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            snprintf(expected, sizeof expected, "\"\\%c\"",
                     c == '\n'   ? 'n'
                     : c == '\r' ? 'r'
                                 : 't');
        else if (c < 0x20)
            snprintf(expected, sizeof expected, "\"\\u%04x\"", c);
        else
            snprintf(expected, sizeof expected, "\"%c\"", (char)c);
        assert_str_equal(quoted((str){ &one, 1 }), str_from_c(expected));
    }
    assert_str_equal(quoted(STR_NONE), STR("\"\""));
    assert_str_equal(quoted(STR("gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80/")),
                     STR("\"gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80/\""));
}

static void test_json_writer_repairs_broken_utf8(void **state)
{
    (void)state;
#define FFFD "\xEF\xBF\xBD"
    static const struct {
        str text, shown;
    } rows[] = {
        { TEXT("\xFF"), TEXT("\"" FFFD "\"") },
        { TEXT("a\xC3"), TEXT("\"a" FFFD "\"") },
        { TEXT("a\xC3z"), TEXT("\"a" FFFD "z\"") },
        { TEXT("\xE2\x82\xAC\xE2\x82"), TEXT("\"\xE2\x82\xAC" FFFD FFFD "\"") },
        { TEXT("\xED\xA0\x80"), TEXT("\"" FFFD FFFD FFFD "\"") },
        { TEXT("\xC3\n\xBC"), TEXT("\"" FFFD "\\n" FFFD "\"") },
        { TEXT("\xC3\"\xC3\xBC"), TEXT("\"" FFFD "\\\"\xC3\xBC\"") },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_str_equal(quoted(rows[i].text), rows[i].shown);
}

/* A string of any bytes but NUL, mostly plain, so that long runs and every special meet. */
static str random_string(random_state *r, char *memory, size_t len_max)
{
    static const char *const PIECES[] = { "\"",       "\\",           "\n",
                                          "\x01",     "\x1F",         "\x7F",
                                          "\xC3\xBC", "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
                                          "\xFF",     "\xC3" };
    const size_t target = random_below(r, len_max);
    const size_t plain_share = random_below(r, 40);
    size_t len = 0;
    while (len + 4 <= target) {
        if (random_below(r, 40) <= plain_share) {
            memory[len++] = (char)(' ' + random_below(r, 0x5F));
            continue;
        }
        const char *piece = PIECES[random_below(r, ARRAY_LEN(PIECES))];
        memcpy(memory + len, piece, strlen(piece));
        len += strlen(piece);
    }
    return (str){ memory, len };
}

static void test_json_random_strings_come_back_the_same(void **state)
{
    (void)state;
    random_state r = random_start();
    char memory[300];
    for (int i = 0; i < 30000; i++) {
        const str s = random_string(&r, memory, sizeof memory);
        const str text = quoted(s);
        assert_true(str_is_utf8(text));
        json value;
        assert_ok(parse(text, &value));
        if (str_is_utf8(s))
            assert_str_equal(value.string, s);
        assert_str_equal(quoted(value.string), text);
        arena_reset(&a);
    }
}

static void test_json_writer_into_a_full_buffer_fails_cleanly(void **state)
{
    (void)state;
    json value;
    assert_ok(json_parse(&a, STR(WIDE_DOCUMENT), &value));
    wide w = { 0 };
    assert_ok(json_parse_shape(&a, STR(WIDE_DOCUMENT), wide_shape(), &w));
    for (size_t max = 0; max <= sizeof(WIDE_DOCUMENT); max++) {
        buf generic, shaped;
        buf_init(&generic, max);
        buf_init(&shaped, max);
        json_write(&generic, &value);
        json_write_shape(&shaped, wide_shape(), &w);
        assert_true(generic.len <= max && shaped.len <= max);
        if (max < sizeof(WIDE_DOCUMENT) - 1)
            assert_fails(BUF_FULL, buf_status(&shaped));
        buf_deinit(&generic);
        buf_deinit(&shaped);
    }
}

/* --- free-form values ------------------------------------------------------------------------ */

static void test_json_find_gives_members_of_objects_only(void **state)
{
    (void)state;
    json value;
    assert_ok(parse(STR("{\"a\":1,\"\":2,\"c\":{\"a\":3},\"n\":null}"), &value));
    assert_int_equal(value.object.count, 4);
    assert_int_equal(json_find(&value, STR("a"))->integer, 1);
    assert_int_equal(json_find(&value, STR(""))->integer, 2);
    assert_int_equal(json_find(json_find(&value, STR("c")), STR("a"))->integer, 3);
    assert_int_equal(json_find(&value, STR("n"))->type, JSON_NULL);
    assert_null(json_find(&value, STR("b")));
    assert_null(json_find(&value, STR("A")));
    assert_null(json_find(json_find(&value, STR("a")), STR("a")));
    assert_ok(parse(STR("[1]"), &value));
    assert_null(json_find(&value, STR("0")));
}

static void test_json_types_have_names(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
    } rows[] = { { "null", "null" },  { "true", "boolean" }, { "1", "integer" },
                 { "1.5", "number" }, { "\"\"", "string" },  { "[]", "array" },
                 { "{}", "object" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json value;
        assert_ok(parse(str_from_c(rows[i].text), &value));
        assert_string_equal(json_type_name(value.type), rows[i].name);
    }
}

static json random_value(random_state *r, uint32_t depth);

static json random_container(random_state *r, uint32_t depth, bool object)
{
    json value = { .type = object ? JSON_OBJECT : JSON_ARRAY };
    const size_t count = random_below(r, 12);
    if (object)
        value.object.items = ARENA_NEW_ARRAY(&a, json_member, count);
    else
        value.array.items = ARENA_NEW_ARRAY(&a, json, count);
    for (size_t i = 0; i < count; i++) {
        if (object)
            value.object.items[i] =
                (json_member){ str_format(&a, "%zu\n%zu", random_below(r, 9), i),
                               random_value(r, depth + 1) };
        else
            value.array.items[i] = random_value(r, depth + 1);
    }
    if (object)
        value.object.count = count;
    else
        value.array.count = count;
    return value;
}

static json random_value(random_state *r, uint32_t depth)
{
    switch (random_below(r, depth < 5 ? 8 : 5)) {
    case 0:
        return (json){ .type = JSON_NULL };
    case 1:
        return (json){ .type = JSON_BOOL, .boolean = random_below(r, 2) };
    case 2:
        return (json){ .type = JSON_INTEGER,
                       .integer = (int64_t)(random_next(r) >> random_below(r, 64)) };
    case 3:
        return (json){ .type = JSON_NUMBER,
                       .number = (double)random_below(r, 1000000) / 1024 + 1e-9 };
    case 4: {
        char *memory = arena_alloc(&a, 40, 1);
        str s = random_string(r, memory, 40);
        return (json){ .type = JSON_STRING, .string = str_is_utf8(s) ? s : STR("") };
    }
    case 5:
        return random_container(r, depth, false);
    default:
        return random_container(r, depth, true);
    }
}

static void test_json_random_values_come_back_the_same(void **state)
{
    (void)state;
    random_state r = random_start();
    for (int i = 0; i < 1000; i++) {
        const json value = random_container(&r, 0, i % 2);
        const str text = written(&value);
        json back;
        assert_ok(parse(text, &back));
        if (!json_same(&value, &back))
            fail_msg("%.*s came back as %.*s", STR_ARG(text), STR_ARG(written(&back)));
        assert_str_equal(written(&back), text);
        arena_reset(&a);
    }
}

/* --- scanners -------------------------------------------------------------------------------- */

static size_t plain_by_definition(const char *p, size_t len)
{
    size_t i = 0;
    while (i < len && (unsigned char)p[i] >= 0x20 && (unsigned char)p[i] < 0x80 && p[i] != '"' &&
           p[i] != '\\')
        i++;
    return i;
}

static void check_scanners(const char *p, size_t len)
{
    const size_t expected = plain_by_definition(p, len);
    assert_int_equal(json_scan_plain_scalar(p, len), expected);
    assert_int_equal(json_scan_plain(p, len), expected);
#if defined(__x86_64__)
    assert_int_equal(json_scan_plain_sse2(p, len), expected);
    if (__builtin_cpu_supports("avx2"))
        assert_int_equal(json_scan_plain_avx2(p, len), expected);
#elif defined(__aarch64__)
    assert_int_equal(json_scan_plain_neon(p, len), expected);
#endif
    size_t text = 0;
    bool ascii = true;
    while (text < len && (unsigned char)p[text] >= 0x20 && p[text] != '"' && p[text] != '\\')
        ascii &= (unsigned char)p[text++] < 0x80;
    bool found_ascii;
    assert_int_equal(json_scan_text(p, len, &found_ascii), text);
    assert_int_equal(found_ascii, ascii);
}

/* Every byte at every place of runs of every length up to three vectors, the run's end at the end
 * of its memory, and its front at every alignment. */
static void test_json_scanners_agree_on_every_byte_at_every_place(void **state)
{
    (void)state;
    char *memory = malloc(128);
    assert_non_null(memory);
    for (size_t len = 0; len <= 100; len++) {
        char *p = memory + 128 - len;
        memset(p, 'x', len);
        check_scanners(p, len);
        for (size_t at = 0; at < len; at++) {
            for (unsigned byte = 0; byte < 256; byte += byte % 32 == 31 && len > 40 ? 7 : 1) {
                p[at] = (char)byte;
                check_scanners(p, len);
            }
            p[at] = 'x';
        }
    }
    free(memory);
}

static void test_json_scanners_agree_on_random_bytes(void **state)
{
    (void)state;
    random_state r = random_start();
    char memory[256];
    for (int i = 0; i < 100000; i++) {
        const size_t from = random_below(&r, 64), len = random_below(&r, sizeof memory - 64);
        const bool wild = i % 4 == 0;
        for (size_t at = 0; at < len; at++)
            memory[from + at] =
                (char)(wild || random_below(&r, 60) == 0 ? random_below(&r, 256)
                                                         : ' ' + random_below(&r, 0x60));
        check_scanners(memory + from, len);
    }
}

static void test_json_number_alone_is_told_from_all_else(void **state)
{
    (void)state;
    static const char *const numbers[] = { "0", "-0", "10", "-1.50", "0.5e-7", "1E+400" };
    static const char *const others[] = { "",   "-",  "+1",  ".5",   "1.",    "01",  "1e",  "1e+",
                                          "1 ", " 1", "NaN", "true", "\"1\"", "[1]", "1,2", "0x1" };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        assert_true(json_is_number(str_from_c(numbers[i])));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(json_is_number(str_from_c(others[i])));
    assert_false(json_is_number(STR_NONE));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_json_valid_document_is_taken),
        TEST(test_json_invalid_document_is_refused),
        TEST(test_json_every_prefix_of_an_object_is_refused),
        TEST(test_json_malformed_text_says_where_and_why),
        TEST(test_json_nesting_ends_at_the_limit),
        TEST(test_json_duplicate_keys_are_refused_however_many_members),
        TEST(test_json_integers_are_exact_over_the_whole_range),
        TEST(test_json_doubles_come_back_the_same),
        TEST(test_json_infinite_doubles_are_written_as_null),
        TEST(test_json_escapes_are_decoded),
        TEST(test_json_string_without_escapes_is_a_view),
        TEST(test_json_writer_escapes_what_it_must_and_nothing_else),
        TEST(test_json_writer_repairs_broken_utf8),
        TEST(test_json_random_strings_come_back_the_same),
        TEST(test_json_writer_into_a_full_buffer_fails_cleanly),
        TEST(test_json_find_gives_members_of_objects_only),
        TEST(test_json_types_have_names),
        TEST(test_json_random_values_come_back_the_same),
        TEST(test_json_scanners_agree_on_every_byte_at_every_place),
        TEST(test_json_scanners_agree_on_random_bytes),
        TEST(test_json_number_alone_is_told_from_all_else),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
