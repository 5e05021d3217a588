/* Entity tags, and the order of preconditions. */
#include "conditional.h"

#include "tests/support/in_fiber.h"

#define NOW      1700000000 /* 2023-11-14 */
#define MODIFIED 784111777  /* 1994-11-06 08:49:37 */
#define DATE     "Sun, 06 Nov 1994 08:49:37 GMT"
#define EARLIER  "Sun, 06 Nov 1994 08:49:36 GMT"
#define LATER    "Sun, 06 Nov 1994 08:49:38 GMT"

static void test_etags_are_found_in_lists(void **state)
{
    static const struct {
        const char *tags;
        const char *etag;
        bool strong, weak;
    } rows[] = {
        { "\"a\"", "\"a\"", true, true },
        { "*", "\"a\"", true, true },
        { "*", "W/\"a\"", true, true },
        { "W/\"a\"", "\"a\"", false, true },
        { "\"a\"", "W/\"a\"", false, true },
        { "W/\"a\"", "W/\"a\"", false, true },
        { "\"b\", \"a\"", "\"a\"", true, true },
        { ",\"b\" ,,\t\"a\",", "\"a\"", true, true },
        { "\"b,a\",\"c\"", "\"a\"", false, false },
        { "\"b\"", "\"a\"", false, false },
        { "", "\"a\"", false, false },
        { "a", "\"a\"", false, false },
        { "\"a", "\"a\"", false, false },
        { "\"a\" \"b\"", "\"a\"", false, false },
        { "\"a\"b", "\"a\"", false, false },
        { "*, \"a\"", "\"a\"", false, false },
        { "w/\"a\"", "\"a\"", false, false },
        { "\"\"", "\"\"", true, true },
        { "\"a b\"", "\"a b\"", false, false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const str tags = str_from_c(rows[i].tags), etag = str_from_c(rows[i].etag);
        if (http_etags_have(tags, etag, true) != rows[i].strong ||
            http_etags_have(tags, etag, false) != rows[i].weak)
            fail_msg("row %zu: %s in %s", i, rows[i].etag, rows[i].tags);
    }
}

static const http_validators STRONG = { { "\"a\"", 3 }, MODIFIED, true };
static const http_validators WEAK = { { "W/\"a\"", 5 }, MODIFIED, false };

static void test_conditions_are_evaluated_in_order(void **state)
{
    static const struct {
        const char *name, *match, *unmodified, *none_match, *modified;
        http_condition strong;
    } rows[] = {
        { "none", NULL, NULL, NULL, NULL, HTTP_CONDITION_MET },
        { "match", "\"a\"", NULL, NULL, NULL, HTTP_CONDITION_MET },
        { "no match", "\"b\"", NULL, NULL, NULL, HTTP_CONDITION_FAILED },
        { "match any", "*", NULL, NULL, NULL, HTTP_CONDITION_MET },
        { "match hides unmodified", "\"a\"", EARLIER, NULL, NULL, HTTP_CONDITION_MET },
        { "unmodified", NULL, DATE, NULL, NULL, HTTP_CONDITION_MET },
        { "modified since", NULL, EARLIER, NULL, NULL, HTTP_CONDITION_FAILED },
        { "unmodified since nonsense", NULL, "x", NULL, NULL, HTTP_CONDITION_MET },
        { "412 before 304", "\"b\"", NULL, "\"a\"", NULL, HTTP_CONDITION_FAILED },
        { "both met", "\"a\"", NULL, "\"a\"", NULL, HTTP_CONDITION_NOT_MODIFIED },
        { "none match", NULL, NULL, "\"b\"", NULL, HTTP_CONDITION_MET },
        { "none match but it does", NULL, NULL, "W/\"a\"", NULL, HTTP_CONDITION_NOT_MODIFIED },
        { "none match any", NULL, NULL, "*", NULL, HTTP_CONDITION_NOT_MODIFIED },
        { "none match hides modified", NULL, NULL, "\"b\"", LATER, HTTP_CONDITION_MET },
        { "not modified", NULL, NULL, NULL, DATE, HTTP_CONDITION_NOT_MODIFIED },
        { "not modified for long", NULL, NULL, NULL, LATER, HTTP_CONDITION_NOT_MODIFIED },
        { "modified", NULL, NULL, NULL, EARLIER, HTTP_CONDITION_MET },
        { "modified since nonsense", NULL, NULL, NULL, "yesterday", HTTP_CONDITION_MET },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const http_conditions c = { .if_match = str_from_c(rows[i].match),
                                    .if_unmodified_since = str_from_c(rows[i].unmodified),
                                    .if_none_match = str_from_c(rows[i].none_match),
                                    .if_modified_since = str_from_c(rows[i].modified) };
        if (http_conditions_check(&c, &STRONG, NOW) != rows[i].strong)
            fail_msg("%s", rows[i].name);
    }
    const http_conditions match = { .if_match = STR("W/\"a\"") };
    assert_int_equal(http_conditions_check(&match, &WEAK, NOW), HTTP_CONDITION_FAILED);
}

static void test_if_range_holds_for_the_very_state_only(void **state)
{
    static const struct {
        const char *value;
        bool strong;
    } rows[] = {
        { NULL, true },       { "\"a\"", true }, { "\"b\"", false },
        { "W/\"a\"", false }, { "*", false },    { "\"a\", \"b\"", false },
        { DATE, true },       { LATER, false },  { EARLIER, false },
        { "", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const http_conditions c = { .if_range = str_from_c(rows[i].value) };
        if (http_if_range_holds(&c, &STRONG, NOW) != rows[i].strong)
            fail_msg("%s", rows[i].value);
        assert_int_equal(http_if_range_holds(&c, &WEAK, NOW), rows[i].value == NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_etags_are_found_in_lists),
        cmocka_unit_test(test_conditions_are_evaluated_in_order),
        cmocka_unit_test(test_if_range_holds_for_the_very_state_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
