/* traceparent: what the standard calls valid, to the letter. */
#include "trace.h"

#include "tests/support/in_fiber.h"

#define ID   "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static void test_traceparent_that_is_valid_is_taken_apart(void **state)
{
    static const char *const good[] = {
        "00-" ID "-" SPAN "-01",  "00-" ID "-" SPAN "-ff",
        "01-" ID "-" SPAN "-01",  "cc-" ID "-" SPAN "-01-what-comes-later",
        "cc-" ID "-" SPAN "-01-",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        http_traceparent parent;
        assert_true(http_traceparent_parse(str_from_c(good[i]), &parent));
        assert_str_equal(parent.trace_id, STR(ID));
        assert_str_equal(parent.parent_id, STR(SPAN));
        assert_int_equal(parent.flags, i == 1 ? 0xFF : 1);
    }
}

static void test_traceparent_that_is_invalid_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "00",
        "00-" ID "-" SPAN,
        "00-" ID "-" SPAN "-0",
        "00-" ID "-" SPAN "-1g",
        "00-" ID "-" SPAN "-01-",
        "00-" ID "-" SPAN "-01-x",
        "01-" ID "-" SPAN "-01x",
        "ff-" ID "-" SPAN "-01",
        "0x-" ID "-" SPAN "-01",
        "CC-" ID "-" SPAN "-01",
        "00_" ID "-" SPAN "-01",
        "00-" ID "_" SPAN "-01",
        "00-" ID "-" SPAN "_01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" ID "-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
        "00-" ID "-B7AD6B7169203331-01",
        "00-zaf7651916cd43dd8448eb211c80319c-" SPAN "-01",
    };
    (void)state;
    http_traceparent parent;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (http_traceparent_parse(str_from_c(bad[i]), &parent))
            fail_msg("\"%s\" is taken", bad[i]);
    }
    assert_false(http_traceparent_parse(STR_NONE, &parent));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traceparent_that_is_valid_is_taken_apart),
        cmocka_unit_test(test_traceparent_that_is_invalid_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
