/* Slices: cutting, numbers, UTF-8. */
#include "core/arena.h"
#include "core/str.h"
#include "tests/support/in_fiber.h"

static void test_str_cut_walks_all_parts(void **state)
{
    (void)state;
    str rest = STR("a,,b");
    assert_str_equal(str_cut(&rest, ','), STR("a"));
    assert_str_equal(str_cut(&rest, ','), STR(""));
    assert_non_null(rest.ptr);
    assert_str_equal(str_cut(&rest, ','), STR("b"));
    assert_null(rest.ptr);
}

static void test_str_slice_clips_to_what_is_there(void **state)
{
    (void)state;
    assert_str_equal(str_slice(STR("abc"), 1, 100), STR("bc"));
    assert_str_equal(str_slice(STR("abc"), 7, 1), STR(""));
    assert_str_equal(str_trim(STR(" \t x y\t"), STR(" \t")), STR("x y"));
}

static void test_str_to_int64_takes_exactly_the_range(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } rows[] = {
        { "0", true, 0 },
        { "-1", true, -1 },
        { "9223372036854775807", true, INT64_MAX },
        { "-9223372036854775808", true, INT64_MIN },
        { "9223372036854775808", false, 0 },
        { "-9223372036854775809", false, 0 },
        { "99999999999999999999999", false, 0 },
        { "", false, 0 },
        { "-", false, 0 },
        { "+1", false, 0 },
        { " 1", false, 0 },
        { "1 ", false, 0 },
        { "1x", false, 0 },
        { "--1", false, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t value = 42;
        assert_int_equal(str_to_int64(str_from_c(rows[i].text), &value), rows[i].good);
        assert_int_equal(value, rows[i].good ? rows[i].value : 42);
    }
}

static void test_str_is_utf8_refuses_every_malformed_class(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        { "", true },
        { "plain ascii of more than eight bytes", true },
        { "gr\xC3\xBC\xC3\x9F", true },
        { "\xE2\x82\xAC", true },
        { "\xF0\x9F\x98\x80", true },
        { "\xF4\x8F\xBF\xBF", true },
        { "\xC0\x80", false },         /* overlong */
        { "\xE0\x80\x80", false },     /* overlong */
        { "\xF0\x80\x80\x80", false }, /* overlong */
        { "\xED\xA0\x80", false },     /* surrogate */
        { "\xF4\x90\x80\x80", false }, /* past U+10FFFF */
        { "\xF5\x80\x80\x80", false },
        { "\xFF", false },
        { "\x80", false },
        { "\xC3", false },
        { "12345678\xE2\x82", false },
        { "\xE2\x28\xA1", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(str_is_utf8(str_from_c(rows[i].text)), rows[i].good);
}

static void test_str_hash_differs_by_seed_and_by_every_byte(void **state)
{
    (void)state;
    char text[40];
    memset(text, 'x', sizeof text);
    for (size_t len = 1; len <= sizeof text; len++) {
        const str s = { text, len };
        const uint64_t h = str_hash(s, 1);
        assert_int_equal(h, str_hash(s, 1));
        assert_int_not_equal(h, str_hash(s, 2));
        for (size_t i = 0; i < len; i++) {
            text[i] = 'y';
            assert_int_not_equal(h, str_hash(s, 1));
            text[i] = 'x';
        }
    }
}

static void test_str_compare_and_equality_agree(void **state)
{
    (void)state;
    assert_true(str_compare(STR("a"), STR("ab")) < 0);
    assert_true(str_compare(STR("b"), STR("ab")) > 0);
    assert_int_equal(str_compare(STR("ab"), STR("ab")), 0);
    assert_true(str_eq_nocase(STR("Content-LENGTH"), STR("content-length")));
    assert_false(str_eq_nocase(STR("a"), STR("b")));
    assert_true(str_eq_constant_time(STR("secret"), STR("secret")));
    assert_false(str_eq_constant_time(STR("secret"), STR("secreT")));
    assert_true(str_starts_with(STR("abc"), STR("ab")));
    assert_true(str_ends_with(STR("abc"), STR("bc")));
    assert_false(str_ends_with(STR("c"), STR("bc")));
}

static int ascii_lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static void test_str_eq_nocase_knows_letters_at_every_place(void **state)
{
    (void)state;
    char a[20], b[20];
    for (size_t len = 1; len <= sizeof a; len++) {
        for (size_t at = 0; at < len; at++) {
            memset(a, 'x', len);
            memset(b, 'X', len);
            for (int c = 0; c < 256; c++) {
                const int others[] = { c, c ^ 0x20, c + 1, c ^ 0x80 };
                for (size_t i = 0; i < 4; i++) {
                    const int d = others[i] & 0xFF;
                    a[at] = (char)c;
                    b[at] = (char)d;
                    assert_int_equal(str_eq_nocase((str){ a, len }, (str){ b, len }),
                                     ascii_lower(c) == ascii_lower(d));
                }
            }
        }
    }
}

static void test_str_copies_live_in_the_arena(void **state)
{
    (void)state;
    arena a;
    arena_init(&a, 1 << 20);
    assert_string_equal(str_to_c(&a, STR("abc")), "abc");
    assert_str_equal(str_format(&a, "%d-%s", 7, "x"), STR("7-x"));
    assert_null(str_copy(&a, STR_NONE).ptr);
    assert_non_null(str_copy(&a, STR("")).ptr);
    arena_deinit(&a);
}

static void test_str_none_is_taken_everywhere(void **state)
{
    (void)state;
    str rest = STR_NONE;
    assert_null(str_slice(STR_NONE, 0, 5).ptr);
    assert_null(str_cut(&rest, ',').ptr);
    assert_null(rest.ptr);
    assert_int_equal(str_index(STR_NONE, 'a'), 0);
    assert_int_equal(str_trim(STR_NONE, STR(" ")).len, 0);
    assert_true(str_eq(STR_NONE, STR("")));
    assert_true(str_eq_nocase(STR_NONE, STR("")));
    assert_true(str_starts_with(STR_NONE, STR("")));
    assert_true(str_ends_with(STR_NONE, STR_NONE));
    assert_int_equal(str_compare(STR_NONE, STR("")), 0);
    assert_int_equal(str_hash(STR_NONE, 1), str_hash(STR(""), 1));
    assert_true(str_is_utf8(STR_NONE));
    assert_null(str_from_c(NULL).ptr);
    arena a;
    arena_init(&a, 1 << 16);
    assert_string_equal(str_to_c(&a, STR_NONE), "");
    arena_deinit(&a);
}

static void test_str_to_uint64_takes_exactly_the_range(void **state)
{
    (void)state;
    uint64_t value = 42;
    assert_true(str_to_uint64(STR("18446744073709551615"), &value));
    assert_true(value == UINT64_MAX);
    assert_true(str_to_uint64(STR("000000000000000000000000000007"), &value));
    assert_int_equal(value, 7);
    static const char *const BAD[] = {
        "18446744073709551616", "184467440737095516150", "-0", "", "1_0", "0x1"
    };
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        assert_false(str_to_uint64(str_from_c(BAD[i]), &value));
        assert_int_equal(value, 7);
    }
    assert_false(str_to_uint64((str){ "1\0", 2 }, &value));
}

/* Seeds, lengths and single bits: the low bits must differ as much as the high ones, because
 * tables are indexed by them. */
static void test_str_hash_spreads_numbered_keys_over_a_table(void **state)
{
    (void)state;
    enum {
        KEYS = 1 << 14,
        SLOTS = 1 << 12
    };
    static uint32_t low[SLOTS], high[SLOTS];
    char text[24];
    for (uint32_t i = 0; i < KEYS; i++) {
        const int len = snprintf(text, sizeof text, "key:%u", i);
        const uint64_t h = str_hash((str){ text, (size_t)len }, 7);
        low[h % SLOTS]++;
        high[h >> 52]++;
    }
    for (uint32_t i = 0; i < SLOTS; i++) { /* the mean is 4: 25 is out of any random reach */
        assert_in_range(low[i], 0, 24);
        assert_in_range(high[i], 0, 24);
    }
}

static void test_str_format_longer_than_a_block_is_whole(void **state)
{
    (void)state;
    arena a;
    arena_init(&a, 1 << 20);
    const str s = str_format(&a, "%050000d|", 5);
    assert_int_equal(s.len, 50001);
    assert_true(str_ends_with(s, STR("05|")));
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str_cut_walks_all_parts),
        cmocka_unit_test(test_str_slice_clips_to_what_is_there),
        cmocka_unit_test(test_str_to_int64_takes_exactly_the_range),
        cmocka_unit_test(test_str_is_utf8_refuses_every_malformed_class),
        cmocka_unit_test(test_str_hash_differs_by_seed_and_by_every_byte),
        cmocka_unit_test(test_str_compare_and_equality_agree),
        cmocka_unit_test(test_str_eq_nocase_knows_letters_at_every_place),
        cmocka_unit_test(test_str_copies_live_in_the_arena),
        cmocka_unit_test(test_str_none_is_taken_everywhere),
        cmocka_unit_test(test_str_to_uint64_takes_exactly_the_range),
        cmocka_unit_test(test_str_hash_spreads_numbered_keys_over_a_table),
        cmocka_unit_test(test_str_format_longer_than_a_block_is_whole),
    };
    return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
