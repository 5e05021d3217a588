/* Rows of bits: their text as the server writes it, and their bytes. */
#include "type_test.h"
#include "value.h"

static error decode_copy(pg_format format, str bytes, pg_bits *out)
{
    const str copy = exact_copy(bytes);
    pg_bits bits = { 0 };
    const error e = pg_decode_pg_bits(&memory, &(pg_cell){ PG_OID_VARBIT, format, copy }, &bits);
    if (error_is_ok(e)) { /* a view of the copy */
        const str text = pg_bits_format(&memory, &bits);
        assert_true(pg_bits_parse(&memory, text, out));
    }
    exact_free(copy);
    return e;
}

static void test_bits_text_and_bytes_agree(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *bytes;
        size_t size;
    } ROWS[] = {
        { "", "\0\0\0\0", 4 },
        { "1", "\0\0\0\1\x80", 5 },
        { "0000000", "\0\0\0\7\0", 5 },
        { "10110011", "\0\0\0\x08\xB3", 5 },
        { "101100111", "\0\0\0\x09\xB3\x80", 6 },
        { "0000000000000001", "\0\0\0\x10\0\1", 6 },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const str text = str_from_c(ROWS[i].text);
        const str bytes = { ROWS[i].bytes, ROWS[i].size };
        pg_bits bits;
        assert_ok(decode_copy(PG_TEXT, text, &bits));
        assert_int_equal(bits.count, text.len);
        assert_str_equal(pg_bits_format(&memory, &bits), text);
        const pg_value value = pg_param(bits);
        char room[8];
        assert_int_equal(pg_value_size(&value), bytes.len);
        assert_ptr_equal(pg_value_put(&value, room), room + bytes.len);
        assert_str_equal(((str){ room, bytes.len }), bytes);
        assert_ok(decode_copy(PG_BINARY, bytes, &bits));
        assert_str_equal(pg_bits_format(&memory, &bits), text);
        for (size_t len = 0; len < bytes.len; len++)
            assert_fails(PG_TYPE_MISMATCH, decode_copy(PG_BINARY, str_slice(bytes, 0, len), &bits));
    }
}

static void test_bits_behind_the_last_are_not_sent(void **state)
{
    (void)state;
    const pg_bits bits = { (const uint8_t *)"\xFF\xFF", 11 };
    assert_str_equal(pg_bits_format(&memory, &bits), STR("11111111111"));
    const pg_value value = pg_param(bits);
    char room[6];
    assert_ptr_equal(pg_value_put(&value, room), room + 6);
    assert_memory_equal(room, "\0\0\0\x0B\xFF\xE0", 6);
}

static void test_bits_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const TEXTS[] = { "2", "1 ", " 1", "0b1", "1\n", "-1", "B'1'" };
    pg_bits bits;
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        if (error_is_ok(decode_copy(PG_TEXT, str_from_c(TEXTS[i]), &bits)))
            fail_msg("\"%s\" is read", TEXTS[i]);
    }
    const str BYTES[] = {
        STR("\0\0\0\7\1"),       /* a bit behind the last */
        STR("\0\0\0\x08\1\1"),   /* a byte behind the last */
        STR("\xFF\xFF\xFF\xFF"), /* the length of NULL */
        STR("\x80\0\0\0\1"),     /* more than there are */
    };
    for (size_t i = 0; i < ARRAY_LEN(BYTES); i++)
        assert_fails(PG_TYPE_MISMATCH, decode_copy(PG_BINARY, BYTES[i], &bits));
    const pg_cell other = { PG_OID_TEXT, PG_TEXT, STR("101") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_bits(&memory, &other, &bits));
}

static void test_bits_too_many_for_a_message_have_no_size(void **state)
{
    (void)state;
    const pg_value many = pg_param(((pg_bits){ (const uint8_t *)"", SIZE_MAX }));
    assert_true(pg_value_size(&many) == SIZE_MAX);
}

static void test_bits_of_a_text_too_long_for_the_arena_are_refused(void **state)
{
    (void)state;
    arena small;
    arena_init(&small, 4096);
    char *text = malloc(1 << 20);
    assert_non_null(text);
    memset(text, '1', 1 << 20);
    pg_bits bits;
    assert_false(pg_bits_parse(&small, (str){ text, 1 << 20 }, &bits));
    free(text);
    arena_deinit(&small);
}

static void test_bits_lists_are_read_from_both_formats(void **state)
{
    (void)state;
    pg_bits_list several;
    const pg_cell text = { PG_OID_BIT_ARRAY, PG_TEXT, STR("{101,011}") };
    assert_ok(pg_decode_pg_bits_list(&memory, &text, &several));
    assert_int_equal(several.count, 2);
    assert_str_equal(pg_bits_format(&memory, &several.items[1]), STR("011"));
    const pg_value value = pg_param(several);
    assert_int_equal(value.oid, PG_OID_VARBIT_ARRAY);
    char room[64];
    const size_t size = pg_value_size(&value);
    assert_true(size <= sizeof room);
    assert_ptr_equal(pg_value_put(&value, room), room + size);
    const pg_cell binary = { PG_OID_VARBIT_ARRAY, PG_BINARY, { room, size } };
    assert_ok(pg_decode_pg_bits_list(&memory, &binary, &several));
    assert_int_equal(several.count, 2);
    assert_str_equal(pg_bits_format(&memory, &several.items[0]), STR("101"));
}

int main(void)
{
    const struct CMUnitTest group[] = {
        TEST(test_bits_text_and_bytes_agree),
        TEST(test_bits_behind_the_last_are_not_sent),
        TEST(test_bits_that_are_none_are_refused),
        TEST(test_bits_too_many_for_a_message_have_no_size),
        TEST(test_bits_of_a_text_too_long_for_the_arena_are_refused),
        TEST(test_bits_lists_are_read_from_both_formats),
    };
    return cmocka_run_group_tests_name("pg bits", group, NULL, NULL);
}
