/* Tags of coded bodies, there and back. */
#include "coded_tag.h"

#include "tests/support/in_fiber.h"

#define EVERY ((1U << HTTP_CODING_IDENTITY) - 1)

static void test_coded_tag_of_a_strong_tag_has_the_name(void **state)
{
    static const struct {
        const char *tag;
        http_coding coding;
        const char *coded;
    } rows[] = {
        { "\"a\"", HTTP_CODING_GZIP, "\"a--gzip\"" },
        { "\"a\"", HTTP_CODING_BR, "\"a--br\"" },
        { "\"\"", HTTP_CODING_ZSTD, "\"--zstd\"" },
        { "\"a\"", HTTP_CODING_IDENTITY, "\"a\"" },
        { "W/\"a\"", HTTP_CODING_GZIP, "W/\"a\"" },
        { "a", HTTP_CODING_GZIP, "a" },
        { "\"", HTTP_CODING_GZIP, "\"" },
        { "", HTTP_CODING_GZIP, "" },
    };
    (void)state;
    arena a;
    arena_init(&a, 65536);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_str_equal(http_coded_tag(&a, str_from_c(rows[i].tag), rows[i].coding),
                         str_from_c(rows[i].coded));
    arena_deinit(&a);
}

static void test_coded_tags_undone_are_as_before(void **state)
{
    static const struct {
        const char *list;
        uint32_t codings;
        const char *plain;
    } rows[] = {
        { "\"a--gzip\"", EVERY, "\"a\"" },
        { "\"a--gzip\"", 1U << HTTP_CODING_GZIP, "\"a\"" },
        { "\"a--gzip\"", 1U << HTTP_CODING_BR, "\"a--gzip\"" },
        { "\"a--gzip\"", 0, "\"a--gzip\"" },
        { "\"a--br\", W/\"b--zstd\" ,\"c\"", EVERY, "\"a\", W/\"b\" ,\"c\"" },
        { "\"a--gzip--br\"", EVERY, "\"a--gzip\"" },
        { "\"a---br\"", EVERY, "\"a-\"" },
        { "\"a--brx\"", EVERY, "\"a--brx\"" },
        { "\"a--BR\"", EVERY, "\"a--BR\"" },
        { "\"a--identity\"", EVERY, "\"a--identity\"" },
        { "\"--br\"", EVERY, "\"\"" },
        { "\"a--br", EVERY, "\"a--br" },
        { "a--br", EVERY, "a--br" },
        { "--", EVERY, "--" },
        { "*", EVERY, "*" },
        { "", EVERY, "" },
    };
    (void)state;
    arena a;
    arena_init(&a, 65536);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_str_equal(http_coded_tags_undo(&a, str_from_c(rows[i].list), rows[i].codings),
                         str_from_c(rows[i].plain));
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coded_tag_of_a_strong_tag_has_the_name),
        cmocka_unit_test(test_coded_tags_undone_are_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
