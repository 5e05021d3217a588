/* Methods and their names. */
#include "method.h"

#include "tests/support/in_fiber.h"

static void test_method_known_name_is_the_name_of_its_method(void **state)
{
    static const char *const names[] = { "GET",    "HEAD",    "POST",  "PUT",    "PATCH",
                                         "DELETE", "OPTIONS", "TRACE", "CONNECT" };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const http_method method = http_method_of(str_from_c(names[i]));
        assert_int_equal(method, HTTP_GET + i);
        assert_string_equal(http_method_name(method), names[i]);
    }
}

static void test_method_unknown_name_is_another_method(void **state)
{
    static const str names[] = { { "", 0 },       { "get", 3 },    { "GE", 2 },
                                 { "GETS", 4 },   { "GET\0", 4 },  { "PROPFIND", 8 },
                                 { "Delete", 6 }, { "OPTION", 6 }, { "?", 1 } };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_int_equal(http_method_of(names[i]), HTTP_METHOD_OTHER);
    assert_string_equal(http_method_name(HTTP_METHOD_OTHER), "?");
}

static void test_method_list_names_those_whose_bit_is_set(void **state)
{
    arena a;
    (void)state;
    arena_init(&a, 65536);
    const uint32_t all = (1U << HTTP_CONNECT) - 1;
    const str some = http_method_list(&a, 1U << HTTP_OPTIONS | 1U << HTTP_GET);
    assert_true(str_eq(some, STR("GET, OPTIONS")));
    assert_true(str_eq(http_method_list(&a, all),
                       STR("GET, HEAD, POST, PUT, PATCH, DELETE, TRACE, OPTIONS")));
    assert_int_equal(http_method_list(&a, 0).len, 0);
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_method_known_name_is_the_name_of_its_method),
        cmocka_unit_test(test_method_unknown_name_is_another_method),
        cmocka_unit_test(test_method_list_names_those_whose_bit_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
