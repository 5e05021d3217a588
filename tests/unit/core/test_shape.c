/* Shapes: what SHAPE makes of a list of fields, and values read from plain text, with every
 * constraint. */
#include "core/json.h"
#include "tests/support/exact_copy.h"
#include "tests/support/in_fiber.h"
#include "tests/support/wide_shape.h"

// clang-format off
#define SAMPLE_FIELDS(F)                                               \
    F(id, int8, .primary_key = true, .generated = true)                \
    F(owner, int8, .hidden = true, .references = "owners")             \
    F(short_number, int2, .range = SHAPE_RANGE(-5, 5))                 \
    F(number, int4)                                                    \
    F(ratio, float8, .range = SHAPE_RANGE(0, 1))                       \
    F(name, text, .min_len = 2, .max_len = 4, .unique = true)          \
    F(email, text, .format = FORMAT_EMAIL)                             \
    F(flag, bool)                                                      \
    F(bytes, bytea, .min_len = 1, .max_len = 3)                        \
    F(at, timestamptz)                                                 \
    F(key, uuid)                                                       \
    F(document, jsonb)                                                 \
    F(maybe, opt_int4, .nullable = true, .range = SHAPE_RANGE(1, 9))   \
    F(maybe_text, opt_text, .max_len = 2)                              \
    F(where, point, .read_only = true)                                 \
    F(path, point_list, .optional = true)
// clang-format on
SHAPE(sample, SAMPLE_FIELDS)

/* One field is a shape too, and shapes nest. */
#define HOLDER_FIELDS(F) F(samples, sample_list)
SHAPE(holder, HOLDER_FIELDS)

/* SHAPE_OF is constant: it stands in static tables. */
static shape_fn *const TABLE[] = { SHAPE_OF(sample), PAGE_OF(sample), SHAPE_OF(holder) };

static arena a;

static int setup(void **state)
{
    (void)state;
    arena_init(&a, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&a);
    return 0;
}

static const shape_field *field_of(const char *name)
{
    const shape *s = sample_shape();
    for (uint32_t i = 0; i < s->field_count; i++) {
        if (str_eq(s->fields[i].name, str_from_c(name)))
            return &s->fields[i];
    }
    fail_msg("no field %s", name);
    return NULL;
}

/* --- the macro ------------------------------------------------------------------------------- */

static void test_shape_describes_its_struct(void **state)
{
    (void)state;
    const shape *s = TABLE[0]();
    assert_ptr_equal(s, sample_shape());
    assert_str_equal(s->name, STR("sample"));
    assert_int_equal(s->bytes, sizeof(sample));
    assert_int_equal(s->field_count, 16);
    assert_str_equal(s->fields[0].name, STR("id"));
    assert_true(s->fields[0].primary_key && s->fields[0].generated && !s->fields[0].hidden);
    assert_true(s->fields[1].hidden);
    assert_string_equal(s->fields[1].references, "owners");
    assert_true(field_of("name")->unique && field_of("name")->max_len == 4);
    assert_true(field_of("maybe")->nullable && !field_of("maybe_text")->nullable);
    assert_int_equal(field_of("where")->offset, offsetof(sample, where));
    assert_ptr_equal(field_of("where")->type->nested, point_shape);
    assert_true(field_of("ratio")->range.set && field_of("ratio")->range.max == 1);
    assert_false(field_of("number")->range.set);
    assert_int_equal(TABLE[2]()->fields[0].type->value_bytes, sizeof(sample));
}

static void test_shape_types_know_kind_arity_and_layout(void **state)
{
    (void)state;
    static const struct {
        shape_kind kind;
        uint32_t one, optional, value_offset;
    } kinds[] = {
        { SHAPE_BOOL, sizeof(bool), sizeof(opt_bool), offsetof(opt_bool, value) },
        { SHAPE_INT2, sizeof(int16_t), sizeof(opt_int2), offsetof(opt_int2, value) },
        { SHAPE_INT4, sizeof(int32_t), sizeof(opt_int4), offsetof(opt_int4, value) },
        { SHAPE_INT8, sizeof(int64_t), sizeof(opt_int8), offsetof(opt_int8, value) },
        { SHAPE_FLOAT8, sizeof(double), sizeof(opt_float8), offsetof(opt_float8, value) },
        { SHAPE_TEXT, sizeof(str), sizeof(opt_text), offsetof(opt_text, value) },
        { SHAPE_BYTEA, sizeof(bytea), sizeof(opt_bytea), offsetof(opt_bytea, value) },
        { SHAPE_TIMESTAMPTZ, sizeof(timestamptz), sizeof(opt_timestamptz),
          offsetof(opt_timestamptz, value) },
        { SHAPE_UUID, sizeof(uuid), sizeof(opt_uuid), offsetof(opt_uuid, value) },
        { SHAPE_JSONB, sizeof(jsonb), sizeof(opt_jsonb), offsetof(opt_jsonb, value) },
        { SHAPE_STRUCT, sizeof(point), sizeof(opt_point), offsetof(opt_point, value) },
    };
    const shape *s = wide_shape(); /* three fields a kind */
    assert_int_equal(s->field_count, 3 * ARRAY_LEN(kinds));
    uint32_t behind = 0;
    for (uint32_t i = 0; i < s->field_count; i++) {
        const shape_type *type = s->fields[i].type;
        assert_int_equal(type->kind, kinds[i / 3].kind);
        assert_int_equal(type->value_bytes, kinds[i / 3].one);
        assert_int_equal(type->arity, i % 3);
        const uint32_t bytes[] = { kinds[i / 3].one, kinds[i / 3].optional, sizeof(text_list) };
        assert_int_equal(type->bytes, bytes[i % 3]);
        assert_int_equal(type->value_offset, i % 3 == 1 ? kinds[i / 3].value_offset : 0);
        assert_true(type->kind == SHAPE_STRUCT ? type->nested == point_shape : !type->nested);
        assert_true(s->fields[i].offset >= behind);
        behind = s->fields[i].offset + type->bytes;
    }
    assert_true(behind <= s->bytes);
}

static void test_shape_page_holds_items_and_the_next_cursor(void **state)
{
    (void)state;
    const shape *s = TABLE[1]();
    assert_str_equal(s->name, STR("sample_page"));
    assert_int_equal(s->bytes, sizeof(sample_page));
    assert_int_equal(s->field_count, 2);
    assert_str_equal(s->fields[0].name, STR("items"));
    assert_int_equal(s->fields[0].type->arity, SHAPE_LIST);
    assert_ptr_equal(s->fields[0].type->nested, sample_shape);
    assert_int_equal(s->fields[0].offset, offsetof(sample_page, items));
    assert_str_equal(s->fields[1].name, STR("next"));
    assert_int_equal(s->fields[1].type->arity, SHAPE_OPTIONAL);
    assert_int_equal(s->fields[1].offset, offsetof(sample_page, next));
}

/* --- plain text ------------------------------------------------------------------------------ */

static void test_shape_text_is_checked_against_the_field(void **state)
{
    (void)state;
    static const struct {
        const char *field, *text, *code; /* NULL: taken */
    } rows[] = {
        { "flag", "true", NULL },
        { "flag", "false", NULL },
        { "flag", "TRUE", "wrong_type" },
        { "flag", "1", "wrong_type" },
        { "flag", "", "wrong_type" },
        { "short_number", "5", NULL },
        { "short_number", "-5", NULL },
        { "short_number", "6", "too_big" },
        { "short_number", "-6", "too_small" },
        { "short_number", "32768", "out_of_range" },
        { "short_number", "-32769", "out_of_range" },
        { "short_number", "99999999999999999999", "out_of_range" },
        { "short_number", "-99999999999999999999", "out_of_range" },
        { "short_number", "003", NULL },
        { "short_number", "1.0", "wrong_type" },
        { "short_number", "1e0", "wrong_type" },
        { "short_number", "", "wrong_type" },
        { "short_number", "-", "wrong_type" },
        { "short_number", "--1", "wrong_type" },
        { "short_number", "+1", "wrong_type" },
        { "short_number", " 1", "wrong_type" },
        { "short_number", "0x1", "wrong_type" },
        { "number", "2147483647", NULL },
        { "number", "-2147483648", NULL },
        { "number", "2147483648", "out_of_range" },
        { "id", "9223372036854775807", NULL },
        { "id", "-9223372036854775808", NULL },
        { "id", "9223372036854775808", "out_of_range" },
        { "ratio", "0", NULL },
        { "ratio", "1", NULL },
        { "ratio", "0.25", NULL },
        { "ratio", "5e-324", NULL },
        { "ratio", "-0.0001", "too_small" },
        { "ratio", "1.0000001", "too_big" },
        { "ratio", "1e999", "out_of_range" },
        { "ratio", "NaN", "wrong_type" },
        { "ratio", "inf", "wrong_type" },
        { "ratio", ".5", "wrong_type" },
        { "ratio", "", "wrong_type" },
        { "name", "ab", NULL },
        { "name", "abcd", NULL },
        { "name", "a", "too_short" },
        { "name", "", "too_short" },
        { "name", "abcde", "too_long" },
        { "name", "\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xF0\x9F\x98\x80", NULL },
        { "name", "\xE2\x82\xAC", "too_short" },
        { "name", "ab\xFF", "format" },
        { "bytes", "AA==", NULL },
        { "bytes", "", "too_short" },
        { "bytes", "AAAAAA==", "too_long" },
        { "bytes", "AA", "format" },
        { "at", "2026-01-31T12:00:00Z", NULL },
        { "at", "2026-01-31", "format" },
        { "key", "00112233-4455-6677-8899-aabbccddeeff", NULL },
        { "key", "00112233", "format" },
        { "document", "{\"a\": [1]}", NULL },
        { "document", "{a:1}", "format" },
        { "document", "", "format" },
        { "maybe", "9", NULL },
        { "maybe", "10", "too_big" },
        { "maybe", "null", "wrong_type" },
        { "maybe_text", "", NULL },
        { "maybe_text", "abc", "too_long" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        sample s = { 0 };
        str message = STR_NONE;
        const shape_field *field = field_of(rows[i].field);
        const str copy = exact_copy(str_from_c(rows[i].text));
        const char *code = shape_parse_text(&a, field, copy, (char *)&s + field->offset, &message);
        exact_free(copy);
        if (rows[i].code ? !code || strcmp(code, rows[i].code) != 0 : code != NULL)
            fail_msg("%s: \"%s\" gave %s", rows[i].field, rows[i].text, code ? code : "no fault");
        assert_int_equal(code != NULL, message.len > 0);
    }
}

static void test_shape_text_is_stored_in_the_members_type(void **state)
{
    (void)state;
    static const struct {
        const char *field, *text;
    } rows[] = {
        { "id", "-9223372036854775808" },
        { "short_number", "-3" },
        { "number", "70000" },
        { "ratio", "0.5" },
        { "name", "n\xC3\xA4me" },
        { "flag", "true" },
        { "bytes", "AQI=" },
        { "at", "2000-01-01T00:00:01Z" },
        { "key", "ff000000-0000-0000-0000-000000000000" },
        { "document", " [1] " },
        { "maybe", "4" },
        { "maybe_text", "x" },
    };
    sample s = { 0 };
    s.maybe.is_null = true;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        str message;
        const shape_field *field = field_of(rows[i].field);
        assert_null(shape_parse_text(&a, field, str_from_c(rows[i].text),
                                     (char *)&s + field->offset, &message));
    }
    assert_true(s.id == INT64_MIN && s.short_number == -3 && s.number == 70000 && s.ratio == 0.5);
    assert_str_equal(s.name, STR("n\xC3\xA4me"));
    assert_true(s.flag && s.bytes.len == 2 && s.bytes.ptr[1] == 2);
    assert_true(s.at.us == 1000000 && s.key.bytes[0] == 0xFF);
    assert_str_equal(s.document.text, STR(" [1] "));
    assert_true(s.maybe.has && !s.maybe.is_null && s.maybe.value == 4);
    assert_true(s.maybe_text.has);
    assert_str_equal(s.maybe_text.value, STR("x"));
    assert_true(s.owner == 0 && s.email.ptr == NULL);
}

static void test_shape_text_with_a_nul_is_refused(void **state)
{
    (void)state;
    str out, message;
    const str with_nul = STR("a\0b");
    assert_string_equal(shape_parse_text(&a, field_of("name"), with_nul, &out, &message), "format");
}

/* --- e-mail addresses ------------------------------------------------------------------------ */

static void test_shape_email_is_one_mailbox_at_one_host(void **state)
{
    (void)state;
#define TEN   "abcdefghij"
#define SIXTY TEN TEN TEN TEN TEN TEN
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        { "a@b.c", true },
        { "ada.lovelace+notes@example.com", true },
        { "!#$%&'*+-/=?^_`{|}~@example.com", true },
        { "1@2.3", true },
        { "a@xn--bcher-kva.example", true },
        { "a@b-c.d", true },
        { SIXTY "1234@example.com", true },
        { SIXTY "12345@example.com", false },
        { "a@" SIXTY "123.com", true },
        { "a@" SIXTY "1234.com", false },
        { SIXTY "1234@" SIXTY "123." SIXTY "123." SIXTY "1", true },
        { SIXTY "1234@" SIXTY "123." SIXTY "123." SIXTY "12", false },
        { "", false },
        { "a", false },
        { "@", false },
        { "a@", false },
        { "@b.c", false },
        { "a@b", false },
        { "a@@b.c", false },
        { "a@b@c.d", false },
        { ".a@b.c", false },
        { "a.@b.c", false },
        { "a..b@c.d", false },
        { "a@.b.c", false },
        { "a@b..c", false },
        { "a@b.c.", false },
        { "a@-b.c", false },
        { "a@b-.c", false },
        { "a@b_c.d", false },
        { "a b@c.d", false },
        { "a@b.c ", false },
        { "a@b.c\n", false },
        { "a@[127.0.0.1]", false },
        { "\"a\"@b.c", false },
        { "a,b@c.d", false },
        { "a<b@c.d>", false },
        { "\xC3\xA4@b.c", false },
        { "a@\xC3\xA4.c", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        str out, message;
        const str copy = exact_copy(str_from_c(rows[i].text));
        const char *code = shape_parse_text(&a, field_of("email"), copy, &out, &message);
        exact_free(copy);
        if ((code == NULL) != rows[i].good)
            fail_msg("%s: %s", rows[i].text, code ? code : "taken");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_shape_describes_its_struct),
        TEST(test_shape_types_know_kind_arity_and_layout),
        TEST(test_shape_page_holds_items_and_the_next_cursor),
        TEST(test_shape_text_is_checked_against_the_field),
        TEST(test_shape_text_is_stored_in_the_members_type),
        TEST(test_shape_text_with_a_nul_is_refused),
        TEST(test_shape_email_is_one_mailbox_at_one_host),
    };
    return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}
