/* JSON into structs and back: every kind of field, every fault with its path, limits. */
#include "core/json.h"
#include "tests/support/exact_copy.h"
#include "tests/support/random.h"
#include "tests/support/wide_shape.h"

#include <math.h>

#define PLACE_FIELDS(F)         \
    F(city, text, .min_len = 1) \
    F(zip, int4, .range = SHAPE_RANGE(1000, 99999))
SHAPE(place, PLACE_FIELDS)

#define LINE_FIELDS(F)                           \
    F(sku, text, .min_len = 2, .max_len = 4)     \
    F(count, int2, .range = SHAPE_RANGE(1, 100)) \
    F(note, opt_text, .max_len = 3, .nullable = true)
SHAPE(line, LINE_FIELDS)

// clang-format off
#define ORDER_FIELDS(F)                                               \
    F(id, int8, .primary_key = true, .generated = true)               \
    F(secret, text, .hidden = true)                                   \
    F(state, text, .read_only = true)                                 \
    F(email, text, .format = FORMAT_EMAIL)                            \
    F(lines, line_list, .min_len = 1, .max_len = 3)                   \
    F(ship_to, opt_place)                                             \
    F(tags, text_list, .optional = true)                              \
    F(price, float8, .range = SHAPE_RANGE(0, 1000), .optional = true) \
    F(token, bytea, .min_len = 1, .max_len = 4, .optional = true)     \
    F(key, uuid, .optional = true)                                    \
    F(at, timestamptz, .optional = true)                              \
    F(express, bool, .optional = true)                                \
    F(extra, jsonb, .optional = true)
// clang-format on
SHAPE(order, ORDER_FIELDS)

#define BOOK_FIELDS(F) F(samples, wide_list)
SHAPE(book, BOOK_FIELDS)

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

static str written(const shape *of, const void *value)
{
    buf b;
    buf_init_arena(&b, &a, 1 << 20);
    json_write_shape(&b, of, value);
    assert_ok(buf_status(&b));
    return buf_str(&b);
}

/* --- every kind ------------------------------------------------------------------------------ */

static void test_json_shape_every_kind_is_read(void **state)
{
    (void)state;
    wide w;
    memset(&w, 0xA5, sizeof w);
    assert_ok(json_parse_shape(&a, STR(WIDE_DOCUMENT), wide_shape(), &w));
    assert_true(w.b && w.ob.has && !w.ob.value && w.lb.count == 2);
    assert_true(w.lb.items[0] && !w.lb.items[1]);
    assert_true(w.i2 == INT16_MIN && w.oi2.value == INT16_MAX && w.li2.items[1] == -1);
    assert_true(w.i4 == INT32_MIN && w.oi4.value == INT32_MAX && w.li4.count == 0);
    assert_true(w.i8 == INT64_MIN && w.oi8.value == INT64_MAX && w.li8.items[0] == 0);
    assert_true(w.f8 == -0.1 && w.of8.value == 1e300 && w.lf8.count == 3);
    assert_true(signbit(w.lf8.items[1]) != 0);
    assert_str_equal(w.t, STR("gr\xC3\xBC\xC3\x9F \"dich\"\n"));
    assert_true(w.ot.has && w.ot.value.len == 0 && w.ot.value.ptr != NULL);
    assert_str_equal(w.lt.items[1], STR("\xF0\x9F\x98\x80"));
    assert_int_equal(w.by.len, 3);
    assert_memory_equal(w.by.ptr, "\x00\x01\x02", 3);
    assert_true(w.oby.has && w.oby.value.len == 0 && w.lby.count == 2);
    assert_int_equal(timestamptz_to_unix(w.ts), 1769860800);
    assert_true(w.ots.value.us == -999999);
    assert_true(w.lts.items[0].us == INT64_MAX);
    assert_int_equal(w.u.bytes[15], 0xff);
    assert_int_equal(w.u.bytes[1], 0x11);
    assert_int_equal(w.ou.value.bytes[0], 0xff);
    assert_str_equal(w.j.text, STR("{\"a\":[1, 2]}"));
    assert_str_equal(w.oj.value.text, STR("\"x\""));
    assert_int_equal(w.lj.count, 3);
    assert_str_equal(w.lj.items[2].text, STR("{}"));
    assert_true(w.p.x == 1 && w.p.label.has);
    assert_true(w.op.has && w.op.value.label.is_null && !w.op.value.label.has);
    assert_int_equal(w.lp.items[1].x, 4);
}

static void test_json_shape_writes_what_it_read(void **state)
{
    (void)state;
    wide w;
    assert_ok(json_parse_shape(&a, STR(WIDE_DOCUMENT), wide_shape(), &w));
    assert_str_equal(written(wide_shape(), &w), STR(WIDE_DOCUMENT));
}

/* The same members in any order, with any white space. */
static void test_json_shape_order_of_members_does_not_matter(void **state)
{
    (void)state;
    random_state r = random_start();
    json document;
    assert_ok(json_parse(&a, STR(WIDE_DOCUMENT), &document));
    for (int round = 0; round < 300; round++) {
        for (size_t i = document.object.count - 1; i > 0; i--) {
            const size_t j = random_below(&r, i + 1);
            const json_member kept = document.object.items[i];
            document.object.items[i] = document.object.items[j];
            document.object.items[j] = kept;
        }
        buf b;
        buf_init(&b, 1 << 20);
        json_write(&b, &document);
        assert_ok(buf_status(&b));
        arena once;
        arena_init(&once, 1 << 20);
        wide w;
        const str copy = exact_copy(buf_str(&b));
        assert_ok(json_parse_shape(&once, copy, wide_shape(), &w));
        assert_true(w.i8 == INT64_MIN && w.op.value.x == 2 && w.lp.count == 2);
        exact_free(copy);
        arena_deinit(&once);
        buf_deinit(&b);
    }
}

static void test_json_shape_absent_and_null_are_told_apart(void **state)
{
    (void)state;
    point p = { .label = { .has = true, .value = STR("before") } };
    assert_ok(json_parse_shape(&a, STR("{\"x\":1}"), point_shape(), &p));
    assert_true(p.label.has && !p.label.is_null); /* absent: left alone */
    assert_ok(json_parse_shape(&a, STR("{\"x\":1,\"label\":null}"), point_shape(), &p));
    assert_true(!p.label.has && p.label.is_null);
    assert_ok(json_parse_shape(&a, STR("{\"x\":1,\"label\":\"a\"}"), point_shape(), &p));
    assert_true(p.label.has && !p.label.is_null);
    assert_str_equal(p.label.value, STR("a"));
    p.label = (opt_text){ 0 };
    assert_str_equal(written(point_shape(), &p), STR("{\"x\":1,\"label\":null}"));
}

static void test_json_shape_jsonb_takes_null_as_a_value(void **state)
{
    (void)state;
    order o = { 0 };
    assert_ok(json_parse_shape(&a,
                               STR("{\"email\":\"a@b.c\",\"lines\":[{\"sku\":\"ab\",\"count\":1}],"
                                   "\"extra\": null }"),
                               order_shape(), &o));
    assert_str_equal(o.extra.text, STR("null"));
}

static void test_json_shape_output_leaves_hidden_fields_out(void **state)
{
    (void)state;
    line item = { .sku = STR("ab"), .count = 7, .note = { .has = true, .value = STR("n") } };
    const order o = { .id = 1,
                      .secret = STR("never"),
                      .state = STR("new"),
                      .email = STR("a@b.c"),
                      .lines = { &item, 1 },
                      .price = (double)NAN };
    assert_str_equal(written(order_shape(), &o),
                     STR("{\"id\":1,\"state\":\"new\",\"email\":\"a@b.c\","
                         "\"lines\":[{\"sku\":\"ab\",\"count\":7,\"note\":\"n\"}],\"ship_to\":null,"
                         "\"tags\":[],\"price\":null,\"token\":\"\","
                         "\"key\":\"00000000-0000-0000-0000-000000000000\","
                         "\"at\":\"2000-01-01T00:00:00Z\",\"express\":false,\"extra\":null}"));
}

static void test_json_shape_lists_and_pages_are_written(void **state)
{
    (void)state;
    point two[] = { { .x = 1 }, { .x = 2, .label = { .has = true, .value = STR("b") } } };
    buf b;
    buf_init_arena(&b, &a, 1 << 16);
    json_write_shape_list(&b, point_shape(), two, 2);
    assert_str_equal(buf_str(&b), STR("[{\"x\":1,\"label\":null},{\"x\":2,\"label\":\"b\"}]"));
    buf_reset(&b);
    json_write_shape_list(&b, point_shape(), NULL, 0);
    assert_str_equal(buf_str(&b), STR("[]"));
    point_page page = { .items = { two, 1 }, .next = { .has = true, .value = STR("c2") } };
    assert_str_equal(written(PAGE_OF(point)(), &page),
                     STR("{\"items\":[{\"x\":1,\"label\":null}],\"next\":\"c2\"}"));
    page = (point_page){ 0 };
    assert_str_equal(written(PAGE_OF(point)(), &page), STR("{\"items\":[],\"next\":null}"));
}

/* --- faults ---------------------------------------------------------------------------------- */

/* "path=code path=code", in the order they were found. */
static str faults_of(error e)
{
    const error_detail *detail = error_detail_of(e);
    assert_non_null(detail);
    buf b;
    buf_init_arena(&b, &a, 1 << 16);
    for (size_t i = 0; i < detail->field_count; i++) {
        const error_field *f = &detail->fields[i];
        assert_true(f->message.len > 0);
        if (i > 0)
            buf_append_char(&b, ' ');
        buf_append(&b, f->path);
        buf_append_char(&b, '=');
        buf_append(&b, f->code);
    }
    return buf_str(&b);
}

#define GOOD "\"email\":\"a@b.cd\",\"lines\":[{\"sku\":\"ab\",\"count\":1}]"

static void test_json_shape_every_fault_is_named_by_path(void **state)
{
    (void)state;
    static const struct {
        const char *text, *faults;
    } rows[] = {
        { "{" GOOD "}", "" },
        { "{}", "email=required lines=required" },
        { "[]", "=wrong_type" },
        { "null", "=wrong_type" },
        { "\"x\"", "=wrong_type" },
        { "{" GOOD ",\"nope\":1}", "nope=unknown_field" },
        { "{" GOOD ",\"Email\":1}", "Email=unknown_field" },
        { "{" GOOD ",\"\":{\"deep\":[1,{}]}}", "=unknown_field" },
        { "{" GOOD ",\"secret\":\"s\"}", "secret=unknown_field" },
        { "{" GOOD ",\"id\":1}", "id=read_only" },
        { "{" GOOD ",\"state\":\"paid\"}", "state=read_only" },
        { "{" GOOD ",\"email\":\"x@y.zz\"}", "email=duplicate" },
        { "{" GOOD ",\"nope\":1,\"nope\":2}", "nope=unknown_field nope=unknown_field" },
        { "{\"email\":1,\"lines\":{}}", "email=wrong_type lines=wrong_type" },
        { "{\"email\":null,\"lines\":null}", "email=null lines=null" },
        { "{\"email\":\"nobody\",\"lines\":[]}", "email=format lines=too_short" },
        { "{\"email\":\"a@b.cd\",\"lines\":[1,null,[]]}",
          "lines[0]=wrong_type lines[1]=null lines[2]=wrong_type" },
        { "{\"email\":\"a@b.cd\",\"lines\":[{\"sku\":\"ab\",\"count\":1},{\"sku\":\"a\"},"
          "{\"sku\":\"abcde\",\"count\":0,\"note\":\"long\"}]}",
          "lines[1].sku=too_short lines[1].count=required lines[2].sku=too_long "
          "lines[2].count=too_small lines[2].note=too_long" },
        { "{\"email\":\"a@b.cd\",\"lines\":[{},{},{},{},5,{}]}",
          "lines[0].sku=required lines[0].count=required lines[1].sku=required "
          "lines[1].count=required lines[2].sku=required lines[2].count=required lines=too_long" },
        { "{\"email\":\"a@b.cd\",\"lines\":[{\"sku\":\"\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\","
          "\"count\":100,\"note\":null}]}",
          "" },
        { "{\"email\":\"a@b.cd\",\"lines\":[{\"sku\":\"\xE2\x82\xAC\",\"count\":101}]}",
          "lines[0].sku=too_short lines[0].count=too_big" },
        { "{\"email\":\"a@b.cd\",\"lines\":[{\"sku\":\"ab\",\"count\":40000}]}",
          "lines[0].count=out_of_range" },
        { "{\"email\":\"a@b.cd\",\"lines\":[{\"sku\":\"ab\",\"count\":99999999999999999999}]}",
          "lines[0].count=out_of_range" },
        { "{\"email\":\"a@b.cd\",\"lines\":[{\"sku\":\"ab\",\"count\":1.0}]}",
          "lines[0].count=wrong_type" },
        { "{\"email\":\"a@b.cd\",\"lines\":[{\"sku\":\"ab\",\"count\":1e2}]}",
          "lines[0].count=wrong_type" },
        { "{" GOOD ",\"ship_to\":null}", "ship_to=null" },
        { "{" GOOD ",\"ship_to\":{}}", "ship_to.city=required ship_to.zip=required" },
        { "{" GOOD ",\"ship_to\":{\"city\":\"\",\"zip\":999,\"x\":0}}",
          "ship_to.city=too_short ship_to.zip=too_small ship_to.x=unknown_field" },
        { "{" GOOD ",\"tags\":[\"a\",2,null]}", "tags[1]=wrong_type tags[2]=null" },
        { "{" GOOD ",\"tags\":\"a\"}", "tags=wrong_type" },
        { "{" GOOD ",\"price\":-0.01}", "price=too_small" },
        { "{" GOOD ",\"price\":1000.5}", "price=too_big" },
        { "{" GOOD ",\"price\":1e999}", "price=out_of_range" },
        { "{" GOOD ",\"price\":\"1\"}", "price=wrong_type" },
        { "{" GOOD ",\"token\":\"\"}", "token=too_short" },
        { "{" GOOD ",\"token\":\"AAAAAAA=\"}", "token=too_long" },
        { "{" GOOD ",\"token\":\"*\"}", "token=format" },
        { "{" GOOD ",\"key\":\"00112233\"}", "key=format" },
        { "{" GOOD ",\"at\":\"yesterday\"}", "at=format" },
        { "{" GOOD ",\"at\":1}", "at=wrong_type" },
        { "{" GOOD ",\"express\":\"true\"}", "express=wrong_type" },
        { "{" GOOD ",\"express\":0}", "express=wrong_type" },
        { "{" GOOD ",\"extra\":[1,{\"a\":1,\"a\":2}]}", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        order o = { 0 };
        const str copy = exact_copy(str_from_c(rows[i].text));
        const error e = json_parse_shape(&a, copy, order_shape(), &o);
        const str found = error_is_ok(e) ? STR("") : faults_of(e);
        if (!str_eq(found, str_from_c(rows[i].faults)))
            fail_msg("%s gave %.*s", rows[i].text, STR_ARG(found));
        if (!error_is_ok(e))
            assert_fails(JSON_INVALID, e);
        exact_free(copy);
    }
}

static void test_json_shape_fault_messages_say_the_bound(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        { "{\"email\":\"a@b.cd\",\"lines\":[]}", "must have at least 1 item" },
        { "{\"email\":\"a@b.cd\",\"lines\":[{\"sku\":\"abcde\",\"count\":1}]}",
          "must have at most 4 characters" },
        { "{\"email\":\"a@b.cd\",\"lines\":[{\"sku\":\"abcd\",\"count\":0}]}",
          "must be at least 1" },
        { "{\"email\":\"a@b.cd\",\"lines\":[{\"sku\":\"abcd\",\"count\":101}]}",
          "must be at most 100" },
        { "{\"email\":\"a@b.cd\",\"lines\":[{\"sku\":\"abcd\",\"count\":-40000}]}",
          "must be from -32768 to 32767" },
        { "{" GOOD ",\"token\":\"AAAAAAA=\"}", "must have at most 4 bytes" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        order o = { 0 };
        const error e = json_parse_shape(&a, str_from_c(rows[i].text), order_shape(), &o);
        assert_fails(JSON_INVALID, e);
        assert_str_equal(error_detail_of(e)->fields[0].message, str_from_c(rows[i].message));
    }
}

static void test_json_shape_malformed_text_is_told_before_faults(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "{\"nope\":1,}",
        "{\"nope\":[1,}",
        "{\"nope\":\"\xFF\"}",
        "{\"email\":\"\\q\"}",
        "{\"email\":\"a",
        "{\"lines\":[{\"sku\":1",
        "{\"lines\":[{]}",
        "{\"lines\":[1 2]}",
        "{\"tags\":[tru]}",
        "{\"express\":trux}",
        "{\"price\":01}",
        "{\"price\":-}",
        "{\"price\":1.}",
        "{\"ship_to\":nul}",
        "{\"ship_to\":{\"city\"}}",
        "{\"extra\":{\"a\":[}}",
        "{\"extra\":}",
        "{\"email\" \"x\"}",
        "{} {}",
        "{}x",
        "[}",
        "{\"lines\":[{},{},{},{},{]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        order o = { 0 };
        const str copy = exact_copy(str_from_c(TEXTS[i]));
        const error e = json_parse_shape(&a, copy, order_shape(), &o);
        if (!error_is(e, &JSON_MALFORMED))
            fail_msg("taken: %s", TEXTS[i]);
        exact_free(copy);
    }
}

static void test_json_shape_faults_past_the_limit_are_left_out(void **state)
{
    (void)state;
    buf b;
    buf_init_arena(&b, &a, 1 << 20);
    buf_append(&b, STR("{"));
    for (int i = 0; i < 1000; i++)
        buf_append_format(&b, "%s\"f%d\":{\"x\":[%d]}", i ? "," : "", i, i);
    buf_append(&b, STR("}"));
    order o = { 0 };
    const error e = json_parse_shape(&a, buf_str(&b), order_shape(), &o);
    assert_fails(JSON_INVALID, e);
    assert_int_equal(error_detail_of(e)->field_count, JSON_FIELDS_MAX);
    assert_str_equal(error_detail_of(e)->fields[JSON_FIELDS_MAX - 1].path, STR("f99"));
}

/* A client's names are shown, but not at any length, and not cut within a character. */
static void test_json_shape_long_unknown_names_are_cut(void **state)
{
    (void)state;
    for (size_t pad = 0; pad < 5; pad++) {
        buf b;
        buf_init_arena(&b, &a, 1 << 20);
        buf_append(&b, STR("{" GOOD ",\""));
        buf_append(&b, str_slice(STR("xxxxx"), 0, pad));
        for (int i = 0; i < 10000; i++)
            buf_append(&b, STR("\xE2\x82\xAC"));
        buf_append(&b, STR("\":1}"));
        order o = { 0 };
        const error e = json_parse_shape(&a, buf_str(&b), order_shape(), &o);
        assert_fails(JSON_INVALID, e);
        const str path = error_detail_of(e)->fields[0].path;
        assert_in_range(path.len, 60, 70);
        assert_true(str_is_utf8(path));
        assert_true(str_ends_with(path, STR("\xE2\x82\xAC\xE2\x80\xA6")));
    }
}

static void test_json_shape_nesting_is_bounded_in_skipped_values_too(void **state)
{
    (void)state;
    static const char *const FRONTS[] = { "{\"nope\":", "{\"email\":", "{\"extra\":", "{\"lines\":",
                                          "{\"ship_to\":" };
    for (size_t i = 0; i < ARRAY_LEN(FRONTS); i++) {
        for (int object = 0; object < 2; object++) {
            buf b;
            buf_init_arena(&b, &a, 1 << 20);
            buf_append(&b, str_from_c(FRONTS[i]));
            for (int depth = 0; depth < 100000; depth++)
                buf_append(&b, object ? STR("{\"city\":") : STR("["));
            order o = { 0 };
            assert_fails(JSON_MALFORMED, json_parse_shape(&a, buf_str(&b), order_shape(), &o));
        }
    }
}

static void test_json_shape_long_lists_are_whole(void **state)
{
    (void)state;
    buf b;
    buf_init_arena(&b, &a, 1 << 22);
    buf_append(&b, STR("{" GOOD ",\"tags\":["));
    for (int i = 0; i < 5000; i++)
        buf_append_format(&b, "%s\"tag %d\"", i ? "," : "", i);
    buf_append(&b, STR("]}"));
    order o = { 0 };
    assert_ok(json_parse_shape(&a, buf_str(&b), order_shape(), &o));
    assert_int_equal(o.tags.count, 5000);
    assert_str_equal(o.tags.items[0], STR("tag 0"));
    assert_str_equal(o.tags.items[4999], STR("tag 4999"));
}

/* Each "{}" is three bytes of input, and would be a whole struct in memory. */
static void test_json_shape_wrong_items_take_no_memory_each(void **state)
{
    (void)state;
    enum {
        ITEMS = 300000
    };
    buf b;
    buf_init(&b, 1 << 20);
    buf_append(&b, STR("{\"samples\":[{}"));
    for (int i = 1; i < ITEMS; i++)
        buf_append(&b, STR(",{}"));
    buf_append(&b, STR("]}"));
    assert_ok(buf_status(&b));
    arena small;
    arena_init(&small, 1 << 20);
    book in = { 0 };
    const error e = json_parse_shape(&small, buf_str(&b), book_shape(), &in);
    assert_fails(JSON_INVALID, e);
    assert_int_equal(error_detail_of(e)->field_count, JSON_FIELDS_MAX);
    assert_str_equal(error_detail_of(e)->fields[1].path, STR("samples[0].lb"));
    arena_deinit(&small);
    buf_deinit(&b);
}

/* --- any bytes ------------------------------------------------------------------------------- */

/* A document with some bytes changed is read or refused, never more; what was read is written as
 * JSON that reads the same. */
static void test_json_shape_survives_damaged_documents(void **state)
{
    (void)state;
    random_state r = random_start();
    static const char BYTES[] = "{}[]\",:\\nulltrue0123456789.eE-+ \n\x01\xC3\xBC\xFF";
    int taken = 0;
    for (int i = 0; i < 20000; i++) {
        char text[sizeof(WIDE_DOCUMENT)];
        memcpy(text, WIDE_DOCUMENT, sizeof text);
        for (size_t changes = random_below(&r, 3) + 1; changes > 0; changes--)
            text[random_below(&r, sizeof text - 1)] = BYTES[random_below(&r, sizeof BYTES - 1)];
        const str copy = exact_copy((str){ text, sizeof text - 1 });
        wide w = { 0 }, back = { 0 };
        if (error_is_ok(json_parse_shape(&a, copy, wide_shape(), &w))) {
            taken++;
            const str once = written(wide_shape(), &w);
            assert_ok(json_parse_shape(&a, once, wide_shape(), &back));
            assert_str_equal(written(wide_shape(), &back), once);
        }
        exact_free(copy);
        arena_reset(&a);
    }
    assert_true(taken > 0);
}

/* --- what others wrote ------------------------------------------------------------------------ */

static void test_json_shape_foreign_text_is_read_as_output(void **state)
{
    (void)state;
    const order sent = { .id = 7,
                         .secret = STR("s"),
                         .state = STR("open"),
                         .email = STR("a@b.example"),
                         .lines = { .items = &(line){ .sku = STR("ab"), .count = 1 }, .count = 1 },
                         .token = { (const uint8_t *)"x", 1 } };
    order got = { 0 };
    const str text = written(order_shape(), &sent); /* ship_to and the line's note are null */
    assert_fails(JSON_INVALID, json_parse_shape(&a, text, order_shape(), &got));
    assert_ok(json_parse_shape_foreign(&a, text, order_shape(), &got));
    assert_int_equal(got.id, 7);
    assert_str_equal(got.state, STR("open"));
    assert_null(got.secret.ptr);
    assert_false(got.ship_to.has || got.ship_to.is_null);
    assert_true(got.lines.items[0].note.is_null && !got.lines.items[0].note.has);
    const str more = STR("{\"city\":\"x\",\"more\":{\"a\":[1,null]},\"zip\":1000,\"\":2}");
    place p = { 0 };
    assert_ok(json_parse_shape_foreign(&a, more, place_shape(), &p));
    assert_int_equal(p.zip, 1000);
}

static void test_json_shape_foreign_text_must_be_of_the_shape(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *path;
        const char *code;
    } rows[] = {
        { "{\"city\":\"x\"}", "zip", "required" },
        { "{\"city\":null,\"zip\":1000}", "city", "null" },
        { "{\"city\":1,\"zip\":1000}", "city", "wrong_type" },
        { "{\"city\":\"\",\"zip\":1000}", "city", "too_short" },
        { "{\"zip\":1000,\"zip\":1001,\"city\":\"x\"}", "zip", "duplicate" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        place p = { 0 };
        const error e = json_parse_shape_foreign(&a, str_from_c(rows[i].text), place_shape(), &p);
        assert_fails(JSON_INVALID, e);
        assert_str_equal(error_detail_of(e)->fields[0].path, str_from_c(rows[i].path));
        assert_str_equal(error_detail_of(e)->fields[0].code, str_from_c(rows[i].code));
    }
    order o = { 0 }; /* what a server makes itself must be in what it says */
    const error e = json_parse_shape_foreign(
        &a, STR("{\"email\":\"a@b.example\",\"lines\":[{\"sku\":\"ab\",\"count\":1}]}"),
        order_shape(), &o);
    assert_fails(JSON_INVALID, e);
    assert_int_equal(error_detail_of(e)->field_count, 2); /* id and state */
    assert_fails(JSON_MALFORMED, json_parse_shape_foreign(&a, STR("{\"city\":\"x\",\"more\":[1,}"),
                                                          place_shape(), &o));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_json_shape_every_kind_is_read),
        TEST(test_json_shape_writes_what_it_read),
        TEST(test_json_shape_order_of_members_does_not_matter),
        TEST(test_json_shape_absent_and_null_are_told_apart),
        TEST(test_json_shape_jsonb_takes_null_as_a_value),
        TEST(test_json_shape_output_leaves_hidden_fields_out),
        TEST(test_json_shape_lists_and_pages_are_written),
        TEST(test_json_shape_every_fault_is_named_by_path),
        TEST(test_json_shape_fault_messages_say_the_bound),
        TEST(test_json_shape_malformed_text_is_told_before_faults),
        TEST(test_json_shape_faults_past_the_limit_are_left_out),
        TEST(test_json_shape_long_unknown_names_are_cut),
        TEST(test_json_shape_nesting_is_bounded_in_skipped_values_too),
        TEST(test_json_shape_long_lists_are_whole),
        TEST(test_json_shape_wrong_items_take_no_memory_each),
        TEST(test_json_shape_survives_damaged_documents),
        TEST(test_json_shape_foreign_text_is_read_as_output),
        TEST(test_json_shape_foreign_text_must_be_of_the_shape),
    };
    return cmocka_run_group_tests_name("json_shape", tests, NULL, NULL);
}
