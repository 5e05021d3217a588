/* Ranges and multiranges: their text as the server writes it, and their bytes. */
#include "type_test.h"
#include "value.h"

/* Text and bytes say the same, each is written of what the other was read as, and every cut of the
 * bytes is refused. */
#define ASSERT_AGREE(name, oid_, text_, bytes_)                                                    \
    do {                                                                                           \
        const str text = STR(text_);                                                               \
        const str bytes = STR(bytes_);                                                             \
        name value;                                                                                \
        PARSES(&memory, name, (oid_), text, &value);                                               \
        assert_str_equal(name##_format(&memory, &value), text);                                    \
        const pg_value param = pg_param(value);                                                    \
        assert_int_equal(param.oid, oid_);                                                         \
        assert_int_equal(pg_value_size(&param), bytes.len);                                        \
        char room[256];                                                                            \
        assert_ptr_equal(pg_value_put(&param, room), room + bytes.len);                            \
        assert_str_equal(((str){ room, bytes.len }), bytes);                                       \
        for (size_t len = 0; len <= bytes.len; len++) {                                            \
            const str cut = exact_copy((str){ bytes.ptr, len });                                   \
            const error e = pg_decode_##name(&memory, &(pg_cell){ oid_, PG_BINARY, cut }, &value); \
            exact_free(cut);                                                                       \
            if (len < bytes.len)                                                                   \
                assert_fails(PG_TYPE_MISMATCH, e);                                                 \
            else                                                                                   \
                assert_ok(e);                                                                      \
        }                                                                                          \
        assert_str_equal(name##_format(&memory, &value), text);                                    \
    } while (0)

static void test_range_text_and_bytes_agree(void **state)
{
    (void)state;
    ASSERT_AGREE(pg_int4range, PG_OID_INT4RANGE, "[1,4)", "\2\0\0\0\4\0\0\0\1\0\0\0\4\0\0\0\4");
    ASSERT_AGREE(pg_int4range, PG_OID_INT4RANGE, "(-1,4]",
                 "\4\0\0\0\4\xFF\xFF\xFF\xFF\0\0\0\4\0\0\0\4");
    ASSERT_AGREE(pg_int4range, PG_OID_INT4RANGE, "(,4)", "\x08\0\0\0\4\0\0\0\4");
    ASSERT_AGREE(pg_int4range, PG_OID_INT4RANGE, "[1,)", "\x12\0\0\0\4\0\0\0\1");
    ASSERT_AGREE(pg_int4range, PG_OID_INT4RANGE, "(,)", "\x18");
    ASSERT_AGREE(pg_int4range, PG_OID_INT4RANGE, "empty", "\1");
    ASSERT_AGREE(pg_int8range, PG_OID_INT8RANGE, "[1,)", "\x12\0\0\0\x08\0\0\0\0\0\0\0\1");
    ASSERT_AGREE(pg_numrange, PG_OID_NUMRANGE, "(1.50,NaN]",
                 "\4\0\0\0\x0C\0\2\0\0\0\0\0\2\0\1\x13\x88\0\0\0\x08\0\0\0\0\xC0\0\0\0");
    ASSERT_AGREE(pg_daterange, PG_OID_DATERANGE, "[2000-01-02,infinity)",
                 "\2\0\0\0\4\0\0\0\1\0\0\0\4\x7F\xFF\xFF\xFF");
    ASSERT_AGREE(pg_daterange, PG_OID_DATERANGE, "[\"0001-12-31 BC\",)",
                 "\x12\0\0\0\4\xFF\xF4\xDB\xF8");
    ASSERT_AGREE(pg_tsrange, PG_OID_TSRANGE, "[\"2000-01-01 00:00:01\",)",
                 "\x12\0\0\0\x08\0\0\0\0\0\x0F\x42\x40");
    ASSERT_AGREE(pg_tstzrange, PG_OID_TSTZRANGE, "(,\"2000-01-01 00:00:01+00\"]",
                 "\x0C\0\0\0\x08\0\0\0\0\0\x0F\x42\x40");
    ASSERT_AGREE(pg_tstzrange, PG_OID_TSTZRANGE, "(-infinity,infinity)",
                 "\0\0\0\0\x08\x80\0\0\0\0\0\0\0\0\0\0\x08\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
}

static void test_range_several_in_text_and_bytes_agree(void **state)
{
    (void)state;
    ASSERT_AGREE(pg_int4multirange, PG_OID_INT4MULTIRANGE, "{}", "\0\0\0\0");
    ASSERT_AGREE(
        pg_int4multirange, PG_OID_INT4MULTIRANGE, "{[1,2),[5,)}",
        "\0\0\0\2\0\0\0\x11\2\0\0\0\4\0\0\0\1\0\0\0\4\0\0\0\2\0\0\0\x09\x12\0\0\0\4\0\0\0\5");
    ASSERT_AGREE(pg_int8multirange, PG_OID_INT8MULTIRANGE, "{(,)}", "\0\0\0\1\0\0\0\1\x18");
    ASSERT_AGREE(pg_nummultirange, PG_OID_NUMMULTIRANGE, "{(,0]}",
                 "\0\0\0\1\0\0\0\x0D\x0C\0\0\0\x08\0\0\0\0\0\0\0\0");
    ASSERT_AGREE(pg_datemultirange, PG_OID_DATEMULTIRANGE, "{[2000-01-02,infinity)}",
                 "\0\0\0\1\0\0\0\x11\2\0\0\0\4\0\0\0\1\0\0\0\4\x7F\xFF\xFF\xFF");
    ASSERT_AGREE(pg_tsmultirange, PG_OID_TSMULTIRANGE, "{[\"2000-01-01 00:00:01\",)}",
                 "\0\0\0\1\0\0\0\x0D\x12\0\0\0\x08\0\0\0\0\0\x0F\x42\x40");
    ASSERT_AGREE(pg_tstzmultirange, PG_OID_TSTZMULTIRANGE, "{[\"2000-01-01 00:00:01+00\",)}",
                 "\0\0\0\1\0\0\0\x0D\x12\0\0\0\x08\0\0\0\0\0\x0F\x42\x40");
}

static void test_range_of_any_zone_and_quoting_is_read(void **state)
{
    (void)state;
    pg_tstzrange stay;
    assert_true(pg_tstzrange_parse(
        &memory, STR("[\"2000-01-01 01:00:01+01\",\"1999-12-31 \\19:00:02-05\")"), &stay));
    assert_true(stay.lower.us == 1000000 && stay.upper.us == 2000000);
    pg_int4range range;
    assert_true(pg_int4range_parse(&memory, STR("(1,\"2\"]"), &range));
    assert_true(range.lower_exclusive && range.upper_inclusive && range.upper == 2);
    assert_true(pg_int4range_parse(&memory, STR("[,]"), &range));
    assert_true(range.lower_unbounded && range.upper_unbounded && !range.upper_inclusive);
}

static void test_range_of_zeros_but_for_its_bounds_is_half_open(void **state)
{
    (void)state;
    const pg_int8range range = { .lower = 1, .upper = 4 };
    assert_str_equal(pg_int8range_format(&memory, &range), STR("[1,4)"));
    const pg_int8range items[] = { { .upper = 4, .lower_unbounded = true }, { .empty = true } };
    const pg_int8multirange ranges = { items, 2 };
    assert_str_equal(pg_int8multirange_format(&memory, &ranges), STR("{(,4),empty}"));
}

#define ASSERT_NONE(name, oid_, format_, bytes_)                                              \
    do {                                                                                      \
        name value;                                                                           \
        const str copy = exact_copy(bytes_);                                                  \
        const error e = pg_decode_##name(&memory, &(pg_cell){ oid_, format_, copy }, &value); \
        exact_free(copy);                                                                     \
        if (!error_is(e, &PG_TYPE_MISMATCH))                                                  \
            fail_msg("\"%.*s\" is read as %s", STR_ARG(bytes_), #name);                       \
    } while (0)

static void test_range_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "",         "[",      "[1",      "[1,",     "[1,2",    "1,2)",         "[1,2)x",
        "[1 ,2)",   "[x,2)",  "[1,2,3)", "Empty",   "emptyx",  "[1,\"2)",      "[1,2\\",
        "[\"\",2)", "[(1,2)", "[1,2)),", "[1.5,2)", "{[1,2)}", "[2147483648,)"
    };
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++)
        ASSERT_NONE(pg_int4range, PG_OID_INT4RANGE, PG_TEXT, str_from_c(TEXTS[i]));
    static const char *const SEVERAL[] = { "",         "{",         "}",        "{[1,2)",
                                           "[1,2)",    "{[1,2),}",  "{,[1,2)}", "{[1,2)[3,4)}",
                                           "{[1,2)}}", "{{[1,2)}}", "{empty}",  "{[1,2),x}",
                                           "{,}",      "{[1,2)x}" };
    for (size_t i = 0; i < ARRAY_LEN(SEVERAL); i++)
        ASSERT_NONE(pg_int4multirange, PG_OID_INT4MULTIRANGE, PG_TEXT, str_from_c(SEVERAL[i]));
    static const str BYTES[] = {
        { "\2\0\0\0\4\0\0\0\1\0\0\0\4\0\0\0\2x", 18 }, /* more behind it */
        { "\x22", 1 },                                 /* a flag that is none */
        { "\1\0\0\0\4\0\0\0\1", 9 },                   /* empty, with a bound */
        { "\2\0\0\0\2\0\1\0\0\0\4\0\0\0\2", 15 },      /* a bound of another width */
        { "\2\xFF\xFF\xFF\xFF\0\0\0\4\0\0\0\2", 13 },  /* NULL as a bound */
    };
    for (size_t i = 0; i < ARRAY_LEN(BYTES); i++)
        ASSERT_NONE(pg_int4range, PG_OID_INT4RANGE, PG_BINARY, BYTES[i]);
    static const str SEVERAL_BYTES[] = {
        { "\0\0\0\1\0\0\0\1\1", 9 },           /* one that is empty */
        { "\0\0\0\1\0\0\0\1\x18\0", 10 },      /* more behind it */
        { "\xFF\xFF\xFF\xFF\0\0\0\1\x18", 9 }, /* more than there are */
        { "\0\0\0\0\0\0\0\1\x18", 9 },         /* less than there are */
        { "\0\0\0\1\0\0\0\2\x18\x18", 10 },    /* a length that is too long */
    };
    for (size_t i = 0; i < ARRAY_LEN(SEVERAL_BYTES); i++)
        ASSERT_NONE(pg_int4multirange, PG_OID_INT4MULTIRANGE, PG_BINARY, SEVERAL_BYTES[i]);
    ASSERT_NONE(pg_int4range, PG_OID_INT8RANGE, PG_TEXT, STR("[1,2)"));
    ASSERT_NONE(pg_int4range, PG_OID_INT4MULTIRANGE, PG_TEXT, STR("[1,2)"));
    ASSERT_NONE(pg_int4range, PG_OID_TEXT, PG_TEXT, STR("[1,2)"));
}

static void test_range_lists_are_arrays(void **state)
{
    (void)state;
    pg_numrange_list ranges;
    const pg_cell cell = { PG_OID_NUMRANGE_ARRAY, PG_TEXT, STR("{\"[1,2)\",empty,\"(,2.5]\"}") };
    assert_ok(pg_decode_pg_numrange_list(&memory, &cell, &ranges));
    assert_int_equal(ranges.count, 3);
    assert_true(ranges.items[1].empty);
    const pg_value value = pg_param(ranges);
    const size_t size = pg_value_size(&value);
    char *bytes = arena_alloc(&memory, size, 1);
    assert_ptr_equal(pg_value_put(&value, bytes), bytes + size);
    opt_pg_numrange_list back;
    assert_ok(pg_decode_opt_pg_numrange_list(
        &memory, &(pg_cell){ PG_OID_NUMRANGE_ARRAY, PG_BINARY, { bytes, size } }, &back));
    for (size_t i = 0; i < ranges.count; i++)
        assert_str_equal(pg_numrange_format(&memory, &back.items[i].value),
                         pg_numrange_format(&memory, &ranges.items[i]));
}

static int run(void)
{
    const struct CMUnitTest group[] = {
        TEST(test_range_text_and_bytes_agree),
        TEST(test_range_several_in_text_and_bytes_agree),
        TEST(test_range_of_any_zone_and_quoting_is_read),
        TEST(test_range_of_zeros_but_for_its_bounds_is_half_open),
        TEST(test_range_that_is_none_is_refused),
        TEST(test_range_lists_are_arrays),
    };
    return cmocka_run_group_tests_name("pg range", group, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
