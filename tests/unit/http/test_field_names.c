/* The perfect hash of field names: every name is found, in any case, and nothing else is. */
#include "field_names.h"
#include "head.h"

#include "tests/support/in_fiber.h"

static void test_field_names_are_all_found_in_any_case(void **state)
{
    (void)state;
    for (int i = HTTP_FIELD_OTHER + 1; i < HTTP_FIELD_NAMES; i++) {
        const str text = http_field_name_text((http_field_name)i);
        char upper[64];
        assert_true(text.len > 0 && text.len < sizeof upper);
        assert_int_equal(http_field_name_of(text), i);
        for (size_t k = 0; k < text.len; k++)
            upper[k] =
                (char)(text.ptr[k] >= 'a' && text.ptr[k] <= 'z' ? text.ptr[k] - 32 : text.ptr[k]);
        assert_int_equal(http_field_name_of((str){ upper, text.len }), i);
        upper[text.len / 2] ^= 1;
        assert_int_not_equal(http_field_name_of((str){ upper, text.len }), i);
    }
}

static void test_field_names_others_are_none(void **state)
{
    (void)state;
    static const str others[] = { { "", 0 },        { "h", 1 },
                                  { "hos", 3 },     { "hosts", 5 },
                                  { "x-host", 6 },  { "\0host", 5 },
                                  { "HOSU", 4 },    { "\xE8ost", 4 },
                                  { "cookie2", 7 }, { "conte\x0Et-length", 14 } };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(http_field_name_of(others[i]), HTTP_FIELD_OTHER);
}

static void test_field_names_find_the_first_of_several(void **state)
{
    (void)state;
    static http_head h;
    const http_head_limits limits = { 8192, 32768, HTTP_FIELDS_MAX };
    const str bytes = STR("GET / HTTP/1.1\r\nX-A: 1\r\nAccept: a\r\nHost: x\r\nACCEPT: b\r\n"
                          "x-a: 2\r\n\r\n");
    http_head_init(&h);
    assert_int_equal(http_head_parse(&h, bytes, &limits), HTTP_HEAD_DONE);
    assert_str_equal(http_head_find(&h, STR("accept")), STR("a"));
    assert_str_equal(http_head_find(&h, STR("Host")), STR("x"));
    assert_str_equal(http_head_find(&h, STR("X-a")), STR("1"));
    assert_null(http_head_find(&h, STR("cookie")).ptr);
    http_head_init(&h); /* used again, it has forgotten them */
    assert_int_equal(http_head_parse(&h, STR("GET / HTTP/1.1\r\nHost: y\r\n\r\n"), &limits),
                     HTTP_HEAD_DONE);
    assert_null(http_head_find(&h, STR("accept")).ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_field_names_are_all_found_in_any_case),
        cmocka_unit_test(test_field_names_others_are_none),
        cmocka_unit_test(test_field_names_find_the_first_of_several),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
