/* Dates: three forms read, one written. */
#include "date.h"

#include "tests/support/in_fiber.h"

#include <time.h>

#define NOW      1700000000 /* 2023-11-14 */
#define MODIFIED 784111777  /* 1994-11-06 08:49:37 */
#define DATE     "Sun, 06 Nov 1994 08:49:37 GMT"

static void test_date_of_three_forms_is_read(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        { DATE, MODIFIED },
        { "Sunday, 06-Nov-94 08:49:37 GMT", MODIFIED },
        { "Sun Nov  6 08:49:37 1994", MODIFIED },
        { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
        { "Wed, 31 Dec 1969 23:59:59 GMT", -1 },
        { "Thu, 29 Feb 2024 12:00:00 GMT", 1709208000 },
        { "Thursday, 29-Feb-24 12:00:00 GMT", 1709208000 },
        { "Sunday, 01-Jan-73 00:00:00 GMT", 3250454400 }, /* 2073: 50 years ahead */
        { "Tuesday, 01-Jan-74 00:00:00 GMT", 126230400 }, /* 1974 */
        { "Fri Feb 16 00:00:00 2024", 1708041600 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t seconds = 1;
        if (!http_date_parse(str_from_c(rows[i].text), NOW, &seconds) || seconds != rows[i].seconds)
            fail_msg("\"%s\" gives %lld", rows[i].text, (long long)seconds);
    }
}

static void test_date_of_any_other_form_is_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "Sun",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Wed, 29 Feb 2023 12:00:00 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:60 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "1994-11-06T08:49:37Z",
        "784111777",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t seconds;
        if (http_date_parse(str_from_c(rows[i]), NOW, &seconds))
            fail_msg("\"%s\" is taken", rows[i]);
    }
}

static void test_date_is_written_as_the_c_library_does(void **state)
{
    (void)state;
    for (int64_t s = -62000000000; s < 250000000000; s += 1234567891) {
        char ours[HTTP_DATE_LEN + 1], theirs[64];
        const time_t t = (time_t)s;
        struct tm utc;
        int64_t back;
        gmtime_r(&t, &utc);
        (void)strftime(theirs, sizeof theirs, "%a, %d %b ", &utc);
        (void)snprintf(theirs + 12, sizeof theirs - 12, "%04d %02d:%02d:%02d GMT",
                       utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
        http_date_format(ours, s);
        assert_string_equal(ours, theirs);
        assert_true(http_date_parse((str){ ours, HTTP_DATE_LEN }, NOW, &back));
        assert_int_equal(back, s);
    }
    char edge[HTTP_DATE_LEN + 1];
    http_date_format(edge, INT64_MAX);
    assert_string_equal(edge, "Fri, 31 Dec 9999 23:59:59 GMT");
    http_date_format(edge, INT64_MIN);
    assert_string_equal(edge, "Sat, 01 Jan 0000 00:00:00 GMT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_date_of_three_forms_is_read),
        cmocka_unit_test(test_date_of_any_other_form_is_refused),
        cmocka_unit_test(test_date_is_written_as_the_c_library_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
