/* Accept-Encoding, by what is chosen. */
#include "accept.h"

#include "tests/support/in_fiber.h"

#define ALL 0xFU

static void test_accept_encoding_best_of_what_is_offered(void **state)
{
    static const struct {
        const char *value; /* NULL: no such field */
        uint32_t offered;
        http_coding best;
    } rows[] = {
        { NULL, ALL, HTTP_CODING_IDENTITY },
        { "", ALL, HTTP_CODING_IDENTITY },
        { "gzip", ALL, HTTP_CODING_GZIP },
        { "GZip", ALL, HTTP_CODING_GZIP },
        { "x-gzip", ALL, HTTP_CODING_GZIP },
        { "gzip, deflate, br, zstd", ALL, HTTP_CODING_BR },
        { "gzip, zstd", ALL, HTTP_CODING_ZSTD },
        { "gzip;q=1.0, br;q=0.9", ALL, HTTP_CODING_GZIP },
        { "gzip ; q=0.001 ,br;Q=0.002", ALL, HTTP_CODING_BR },
        { "br;q=0, gzip", ALL, HTTP_CODING_GZIP },
        { "br;q=0.000, *", ALL, HTTP_CODING_ZSTD },
        { "*", ALL, HTTP_CODING_BR },
        { "*;q=0", ALL, HTTP_CODING_IDENTITY },
        { "identity;q=1, *;q=0", ALL, HTTP_CODING_IDENTITY },
        { "identity, gzip;q=0.5", ALL, HTTP_CODING_IDENTITY },
        { "identity;q=0, gzip;q=0.1", ALL, HTTP_CODING_GZIP },
        { "identity;q=0", ALL, HTTP_CODING_IDENTITY },
        { "br", ALL & ~(1U << HTTP_CODING_BR), HTTP_CODING_IDENTITY },
        { "br;q=2, gzip", ALL, HTTP_CODING_GZIP },
        { "br;q=1.001, gzip", ALL, HTTP_CODING_GZIP },
        { "br;q=0.1234, gzip;q=0.1", ALL, HTTP_CODING_GZIP },
        { "br;q=, gzip;q=0.1", ALL, HTTP_CODING_GZIP },
        { "br;q=.5, gzip;q=0.1", ALL, HTTP_CODING_GZIP },
        { "br;x=1, gzip;q=0.1", ALL, HTTP_CODING_GZIP },
        { ",, ;q=1 ,gzip,", ALL, HTTP_CODING_GZIP },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const http_accepted a = http_accept_encoding(str_from_c(rows[i].value));
        const http_coding best = http_accept_best(&a, rows[i].offered);
        if (best != rows[i].best)
            fail_msg("\"%s\" gives %.*s", rows[i].value ? rows[i].value : "(none)",
                     STR_ARG(http_coding_name(best)));
    }
}

static void test_accept_encoding_first_of_those_liked_as_much(void **state)
{
    static const http_coding all[] = { HTTP_CODING_ZSTD, HTTP_CODING_BR, HTTP_CODING_GZIP };
    static const http_coding two[] = { HTTP_CODING_GZIP, HTTP_CODING_BR };
    static const struct {
        const char *value; /* NULL: no such field */
        http_coding of_all, of_two;
    } rows[] = {
        { NULL, HTTP_CODING_IDENTITY, HTTP_CODING_IDENTITY },
        { "", HTTP_CODING_IDENTITY, HTTP_CODING_IDENTITY },
        { "br, gzip, zstd", HTTP_CODING_ZSTD, HTTP_CODING_GZIP },
        { "*", HTTP_CODING_ZSTD, HTTP_CODING_GZIP },
        { "br;q=0.9, gzip;q=0.8, zstd;q=0.7", HTTP_CODING_BR, HTTP_CODING_BR },
        { "gzip, br", HTTP_CODING_BR, HTTP_CODING_GZIP },
        { "zstd", HTTP_CODING_ZSTD, HTTP_CODING_IDENTITY },
        { "identity, br;q=0.9", HTTP_CODING_IDENTITY, HTTP_CODING_IDENTITY },
        { "identity, br", HTTP_CODING_BR, HTTP_CODING_BR },
        { "identity;q=0, br;q=0.001", HTTP_CODING_BR, HTTP_CODING_BR },
        { "*;q=0", HTTP_CODING_IDENTITY, HTTP_CODING_IDENTITY },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const http_accepted a = http_accept_encoding(str_from_c(rows[i].value));
        if (http_accept_first(&a, all, ARRAY_LEN(all)) != rows[i].of_all ||
            http_accept_first(&a, two, ARRAY_LEN(two)) != rows[i].of_two)
            fail_msg("\"%s\" gives another", rows[i].value ? rows[i].value : "(none)");
        assert_int_equal(http_accept_first(&a, all, 0), HTTP_CODING_IDENTITY);
    }
}

static void test_accept_encoding_identity_may_be_refused(void **state)
{
    (void)state;
    assert_int_equal(http_accept_encoding(STR("identity;q=0")).quality[HTTP_CODING_IDENTITY], 0);
    assert_int_equal(http_accept_encoding(STR("gzip, *;q=0")).quality[HTTP_CODING_IDENTITY], 0);
    assert_int_not_equal(http_accept_encoding(STR("gzip")).quality[HTTP_CODING_IDENTITY], 0);
    assert_int_not_equal(http_accept_encoding(STR("*;q=0.5")).quality[HTTP_CODING_IDENTITY], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept_encoding_best_of_what_is_offered),
        cmocka_unit_test(test_accept_encoding_first_of_those_liked_as_much),
        cmocka_unit_test(test_accept_encoding_identity_may_be_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
