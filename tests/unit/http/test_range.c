/* The Range field against sizes. */
#include "range.h"

#include "tests/support/in_fiber.h"

#include <string.h>

/* "0+5 9+1" */
static void describe(const http_range *parts, size_t count, char *out, size_t bytes)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(out + at, bytes - at, "%s%llu+%llu", i ? " " : "",
                               (unsigned long long)parts[i].at, (unsigned long long)parts[i].bytes);
}

static void test_range_field_is_read_against_the_size(void **state)
{
    static const struct {
        const char *value;
        uint64_t size;
        http_range_result result;
        const char *parts;
    } rows[] = {
        { NULL, 10, HTTP_RANGE_WHOLE, "" },
        { "bytes=0-4", 10, HTTP_RANGE_PARTS, "0+5" },
        { "BYTES=0-4", 10, HTTP_RANGE_PARTS, "0+5" },
        { "bytes=0-0", 10, HTTP_RANGE_PARTS, "0+1" },
        { "bytes=9-9", 10, HTTP_RANGE_PARTS, "9+1" },
        { "bytes=9-10", 10, HTTP_RANGE_PARTS, "9+1" },
        { "bytes=3-", 10, HTTP_RANGE_PARTS, "3+7" },
        { "bytes=-3", 10, HTTP_RANGE_PARTS, "7+3" },
        { "bytes=-30", 10, HTTP_RANGE_PARTS, "0+10" },
        { "bytes=0-99999999999999999999999", 10, HTTP_RANGE_PARTS, "0+10" },
        { "bytes=-99999999999999999999999", 10, HTTP_RANGE_PARTS, "0+10" },
        { "bytes=0-18446744073709551615", 10, HTTP_RANGE_PARTS, "0+10" },
        { "bytes=0-1, 3-4 ,\t-1", 10, HTTP_RANGE_PARTS, "0+2 3+2 9+1" },
        { "bytes=5-6,0-1", 10, HTTP_RANGE_PARTS, "5+2 0+2" },
        { "bytes=,,0-1,,", 10, HTTP_RANGE_PARTS, "0+2" },
        { "bytes=0-1,20-30", 10, HTTP_RANGE_PARTS, "0+2" },
        { "bytes=10-", 10, HTTP_RANGE_BEHIND_END, "" },
        { "bytes=10-20", 10, HTTP_RANGE_BEHIND_END, "" },
        { "bytes=99999999999999999999999-", 10, HTTP_RANGE_BEHIND_END, "" },
        { "bytes=-0", 10, HTTP_RANGE_BEHIND_END, "" },
        { "bytes=0-", 0, HTTP_RANGE_BEHIND_END, "" },
        { "bytes=-5", 0, HTTP_RANGE_WHOLE, "" },
        { "bytes=0-4,4-5", 10, HTTP_RANGE_WHOLE, NULL },
        { "bytes=0-,-1", 10, HTTP_RANGE_WHOLE, NULL },
        { "bytes=4-3", 10, HTTP_RANGE_WHOLE, NULL },
        { "bytes=", 10, HTTP_RANGE_WHOLE, NULL },
        { "bytes=,", 10, HTTP_RANGE_WHOLE, NULL },
        { "bytes", 10, HTTP_RANGE_WHOLE, NULL },
        { "bytes=-", 10, HTTP_RANGE_WHOLE, NULL },
        { "bytes=a-b", 10, HTTP_RANGE_WHOLE, NULL },
        { "bytes=+1-2", 10, HTTP_RANGE_WHOLE, NULL },
        { "bytes=1-2-3", 10, HTTP_RANGE_WHOLE, NULL },
        { "bytes=1 - 2", 10, HTTP_RANGE_WHOLE, NULL },
        { "bytes=--2", 10, HTTP_RANGE_WHOLE, NULL },
        { "lines=0-1", 10, HTTP_RANGE_WHOLE, NULL },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        http_range parts[HTTP_RANGES_MAX];
        size_t count;
        char text[256];
        const http_range_result result =
            http_range_parse(str_from_c(rows[i].value), rows[i].size, parts, &count);
        describe(parts, count, text, sizeof text);
        if (result != rows[i].result || (rows[i].parts && strcmp(text, rows[i].parts) != 0))
            fail_msg("\"%s\" gives %d: %s", rows[i].value ? rows[i].value : "(none)", (int)result,
                     text);
    }
}

static void test_range_too_many_give_the_whole(void **state)
{
    char value[256] = "bytes=";
    http_range parts[HTTP_RANGES_MAX];
    size_t count, len = strlen(value);
    (void)state;
    for (int i = 0; i < HTTP_RANGES_MAX; i++)
        len += (size_t)snprintf(value + len, sizeof value - len, "%d-%d,", 10 * i, 10 * i + 1);
    assert_int_equal(http_range_parse((str){ value, len }, 1000, parts, &count), HTTP_RANGE_PARTS);
    assert_int_equal(count, HTTP_RANGES_MAX);
    len += (size_t)snprintf(value + len, sizeof value - len, "900-901");
    assert_int_equal(http_range_parse((str){ value, len }, 1000, parts, &count), HTTP_RANGE_WHOLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_range_field_is_read_against_the_size),
        cmocka_unit_test(test_range_too_many_give_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
