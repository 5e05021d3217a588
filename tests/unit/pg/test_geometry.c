/* Points and what is made of them: their text as the server writes it, and their bytes. */
#include "type_test.h"
#include "value.h"

#include <math.h>

/* The text is read, from memory of its size; written as a parameter of that type and so many bytes;
 * read from those, and from no fewer; and gives the text again. */
#define TEXT_AND_BYTES(name, oid_, text_, size_)                                           \
    do {                                                                                   \
        name value_;                                                                       \
        PARSES(&memory, name, (oid_), text_, &value_);                                     \
        const pg_value parameter_ = pg_param(value_);                                      \
        assert_int_equal(parameter_.oid, (oid_));                                          \
        assert_int_equal(pg_value_size(&parameter_), (size_));                             \
        char bytes_[size_];                                                                \
        assert_ptr_equal(pg_value_put(&parameter_, bytes_), bytes_ + (size_));             \
        for (size_t len_ = 0; len_ <= (size_); len_++) {                                   \
            const str cut_ = exact_copy((str){ bytes_, len_ });                            \
            name again_;                                                                   \
            const error f_ =                                                               \
                pg_decode_##name(&memory, &(pg_cell){ (oid_), PG_BINARY, cut_ }, &again_); \
            exact_free(cut_);                                                              \
            if (len_ < (size_))                                                            \
                assert_fails(PG_TYPE_MISMATCH, f_);                                        \
            else                                                                           \
                assert_ok(f_);                                                             \
            if (len_ == (size_))                                                           \
                assert_str_equal(name##_format(&memory, &again_), (text_));                \
        }                                                                                  \
        name other_;                                                                       \
        const pg_cell text_cell_ = { PG_OID_TEXT, PG_TEXT, (text_) };                      \
        assert_fails(PG_TYPE_MISMATCH, pg_decode_##name(&memory, &text_cell_, &other_));   \
    } while (0)

static void test_geometry_text_and_bytes_agree(void **state)
{
    (void)state;
    TEXT_AND_BYTES(pg_point, PG_OID_POINT, STR("(1.5,-2)"), 16);
    TEXT_AND_BYTES(pg_point, PG_OID_POINT, STR("(NaN,-Infinity)"), 16);
    TEXT_AND_BYTES(pg_line, PG_OID_LINE, STR("{1,-1,0}"), 24);
    TEXT_AND_BYTES(pg_lseg, PG_OID_LSEG, STR("[(0,0),(1,2)]"), 32);
    TEXT_AND_BYTES(pg_box, PG_OID_BOX, STR("(3,4),(1,2)"), 32);
    TEXT_AND_BYTES(pg_circle, PG_OID_CIRCLE, STR("<(0,-0),2.5>"), 24);
    TEXT_AND_BYTES(pg_path, PG_OID_PATH, STR("((0,0),(1,0),(1,1))"), 53);
    TEXT_AND_BYTES(pg_path, PG_OID_PATH, STR("[(0,0),(1,0)]"), 37);
    TEXT_AND_BYTES(pg_path, PG_OID_PATH, STR("[(0,0)]"), 21);
    TEXT_AND_BYTES(pg_polygon, PG_OID_POLYGON, STR("((0,0),(1,0),(1,1))"), 52);
}

static void test_geometry_bytes_are_in_network_order(void **state)
{
    (void)state;
    const pg_point points[] = { { 1, -2 }, { 0, 0.5 } };
    const pg_value path = pg_param(((pg_path){ points, 2, true }));
    char bytes[37];
    assert_ptr_equal(pg_value_put(&path, bytes), bytes + 37);
    assert_memory_equal(bytes,
                        "\1\0\0\0\2\x3F\xF0\0\0\0\0\0\0\xC0\0\0\0\0\0\0\0"
                        "\0\0\0\0\0\0\0\0\x3F\xE0\0\0\0\0\0\0",
                        37);
    const pg_value box = pg_param(((pg_box){ { 1, 2 }, { -1, -2 } }));
    assert_ptr_equal(pg_value_put(&box, bytes), bytes + 32);
    assert_memory_equal(bytes,
                        "\x3F\xF0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0"
                        "\xBF\xF0\0\0\0\0\0\0\xC0\0\0\0\0\0\0\0",
                        32);
}

static void test_geometry_numbers_are_written_as_the_server_writes_them(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } ROWS[] = {
        { 0, "0" },
        { -0.0, "-0" },
        { 1, "1" },
        { 100, "100" },
        { 0.1, "0.1" },
        { 123.456, "123.456" },
        { 0.0001, "0.0001" },
        { 0.00012345, "0.00012345" },
        { 0.00001, "1e-05" },
        { 0.000012345, "1.2345e-05" },
        { 100000000000000, "100000000000000" },
        { 123456789012345, "123456789012345" },
        { 12345678901234.5, "12345678901234.5" },
        { 1e15, "1e+15" },
        { 1234567890123456, "1.234567890123456e+15" },
        { -1e100, "-1e+100" },
        { 21863784137497312, "2.1863784137497312e+16" }, /* …731e+16 is midway */
        { -21863784137497312, "-2.1863784137497312e+16" },
        { 1e22, "1e+22" },
        { 5e-324, "5e-324" },
        { 1.7976931348623157e308, "1.7976931348623157e+308" },
        { 0.30000000000000004, "0.30000000000000004" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const pg_point point = { ROWS[i].value, 0 };
        const str expected = str_format(&memory, "(%s,0)", ROWS[i].text);
        assert_str_equal(pg_point_format(&memory, &point), expected);
        pg_point again;
        assert_true(pg_point_parse(expected, &again));
        assert_memory_equal(&again, &point, sizeof point);
    }
}

#define REFUSES(expression, type, texts)                     \
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {          \
        type value;                                          \
        const str text = exact_copy(str_from_c((texts)[i])); \
        if (expression)                                      \
            fail_msg("\"%s\" parses as " #type, (texts)[i]); \
        exact_free(text);                                    \
    }

static void test_geometry_text_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const POINTS[] = { "",        "(",      "()",      "(1)",       "(1,)",
                                          "(1,2",    "1,2",    "(1,2)x",  "(1,2,3)",   "(1, 2)",
                                          "(+1,2)",  "(1.,2)", "(0x1,2)", "(1e400,2)", "(inf,1)",
                                          "(nan,1)", "(1,2))", "((1,2)" };
    REFUSES(pg_point_parse(text, &value), pg_point, POINTS)
    static const char *const LINES[] = { "", "{}", "{1,2}", "{1,2,3", "{1,2,3,4}", "(1,2,3)" };
    REFUSES(pg_line_parse(text, &value), pg_line, LINES)
    static const char *const LSEGS[] = {
        "", "[]", "[(1,2)]", "[(1,2),(3,4)", "((1,2),(3,4))", "[(1,2),(3,4),(5,6)]"
    };
    REFUSES(pg_lseg_parse(text, &value), pg_lseg, LSEGS)
    static const char *const BOXES[] = { "", "(1,2)", "(1,2),", "(1,2),(3,4),", "((1,2),(3,4))" };
    REFUSES(pg_box_parse(text, &value), pg_box, BOXES)
    static const char *const CIRCLES[] = { "",         "<(1,2)>", "<(1,2),-1>",
                                           "<(1,2),1", "<1,2,3>", "((1,2),3)" };
    REFUSES(pg_circle_parse(text, &value), pg_circle, CIRCLES)
    static const char *const PATHS[] = { "",        "()",       "[]",           "((1,2)]",
                                         "[(1,2))", "((1,2),)", "((1,2)(3,4))", "((1,2)",
                                         "(1,2)",   "(((1,2)",  "[(1,2)]]",     "((((((((" };
    REFUSES(pg_path_parse(&memory, text, &value), pg_path, PATHS)
    static const char *const POLYGONS[] = { "", "()", "[(1,2)]", "(1,2)", "((1,2),(3,4)" };
    REFUSES(pg_polygon_parse(&memory, text, &value), pg_polygon, POLYGONS)
}

static void test_geometry_bytes_that_are_none_are_refused(void **state)
{
    (void)state;
    const str paths[] = {
        STR("\1\0\0\0\0"),                                         /* no point */
        STR("\2\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),         /* neither open nor closed */
        STR("\1\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),         /* one that is missing */
        STR("\1\xFF\xFF\xFF\xFF\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), /* many */
        STR("\1\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),       /* a byte behind */
    };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        pg_path path;
        pg_polygon polygon;
        const pg_cell as_path = { PG_OID_PATH, PG_BINARY, paths[i] };
        const pg_cell as_polygon = { PG_OID_POLYGON, PG_BINARY,
                                     str_slice(paths[i], 1, paths[i].len) };
        assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_path(&memory, &as_path, &path));
        if (i != 1)
            assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_polygon(&memory, &as_polygon, &polygon));
    }
    pg_circle circle;
    const pg_cell negative = { PG_OID_CIRCLE, PG_BINARY,
                               STR("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xBF\xF0\0\0\0\0\0\0") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_circle(NULL, &negative, &circle));
}

static void test_geometry_of_too_many_points_has_no_size(void **state)
{
    (void)state;
    const pg_point point = { 0, 0 };
    const pg_path path = { &point, SIZE_MAX, false };
    const pg_polygon polygon = { &point, SIZE_MAX / 16 };
    const pg_value values[] = { pg_param(path), pg_param(polygon),
                                pg_param(((pg_path_list){ (pg_path[]){ path }, 1 })) };
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        assert_true(pg_value_size(&values[i]) == SIZE_MAX);
}

static void test_geometry_without_memory_is_refused(void **state)
{
    (void)state;
    arena none;
    arena_init(&none, 0);
    pg_path path;
    const pg_cell text = { PG_OID_PATH, PG_TEXT, STR("((0,0))") };
    const pg_cell binary = { PG_OID_PATH, PG_BINARY,
                             STR("\1\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_path(&none, &text, &path));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_path(&none, &binary, &path));
    arena_deinit(&none);
}

static void test_geometry_lists_are_read_from_both_formats(void **state)
{
    (void)state;
    pg_box_list boxes;
    const pg_cell semicolons = { PG_OID_BOX_ARRAY, PG_TEXT, STR("{(3,4),(1,2);(1,1),(0,0)}") };
    assert_ok(pg_decode_pg_box_list(&memory, &semicolons, &boxes));
    assert_int_equal(boxes.count, 2);
    assert_str_equal(pg_box_format(&memory, &boxes.items[1]), STR("(1,1),(0,0)"));
    const pg_value value = pg_param(boxes);
    char room[128];
    const size_t size = pg_value_size(&value);
    assert_true(size <= sizeof room);
    assert_ptr_equal(pg_value_put(&value, room), room + size);
    const pg_cell binary = { PG_OID_BOX_ARRAY, PG_BINARY, { room, size } };
    assert_ok(pg_decode_pg_box_list(&memory, &binary, &boxes));
    assert_int_equal(boxes.count, 2);
    assert_str_equal(pg_box_format(&memory, &boxes.items[0]), STR("(3,4),(1,2)"));
    pg_path_list paths;
    const pg_cell quoted = { PG_OID_PATH_ARRAY, PG_TEXT, STR("{\"((0,0),(1,1))\",\"[(2,2)]\"}") };
    assert_ok(pg_decode_pg_path_list(&memory, &quoted, &paths));
    assert_int_equal(paths.count, 2);
    assert_true(paths.items[0].closed && !paths.items[1].closed);
}

int main(void)
{
    const struct CMUnitTest group[] = {
        TEST(test_geometry_text_and_bytes_agree),
        TEST(test_geometry_bytes_are_in_network_order),
        TEST(test_geometry_numbers_are_written_as_the_server_writes_them),
        TEST(test_geometry_text_that_is_none_is_refused),
        TEST(test_geometry_bytes_that_are_none_are_refused),
        TEST(test_geometry_of_too_many_points_has_no_size),
        TEST(test_geometry_without_memory_is_refused),
        TEST(test_geometry_lists_are_read_from_both_formats),
    };
    return cmocka_run_group_tests_name("pg geometry", group, NULL, NULL);
}
