/* The error slot: details, causes, and their limits. */
#include "core/error.h"
#include "tests/support/in_fiber.h"

static ERROR_KIND(INNER, ERROR_UNAVAILABLE, "inner");
static ERROR_KIND(OUTER, ERROR_INTERNAL, "outer");

static error fails(void)
{
    return error_set(&INNER, "row %d", 7);
}

static error wraps(void)
{
    const error e = fails();
    return error_wrap(e, &OUTER, "loading");
}

static error tries(bool *reached)
{
    TRY(fails());
    *reached = true;
    return OK;
}

static void test_error_try_hands_on_and_stops(void **state)
{
    (void)state;
    bool reached = false;
    assert_fails(INNER, tries(&reached));
    assert_false(reached);
}

static void test_error_wrap_keeps_the_cause(void **state)
{
    (void)state;
    const error e = wraps();
    const error_detail *detail = error_detail_of(e);
    assert_non_null(detail);
    assert_ptr_equal(detail->kind, &OUTER);
    assert_ptr_equal(detail->cause->kind, &INNER);
    assert_null(detail->cause->cause);
    char text[300];
    error_describe(e, text, sizeof text);
    assert_non_null(strstr(text, "OUTER: loading"));
    assert_non_null(strstr(text, " <- INNER: row 7 ("));
}

static void test_error_long_chains_keep_root_and_last(void **state)
{
    (void)state;
    error e = fails();
    for (int i = 0; i < 20; i++)
        e = error_wrap(e, &OUTER, "level %d", i);
    const error_detail *detail = error_detail_of(e);
    assert_str_equal(detail->text, STR("level 19"));
    while (detail->cause)
        detail = detail->cause;
    assert_str_equal(detail->text, STR("row 7"));
}

static void test_error_text_is_cut_and_may_quote_the_slot(void **state)
{
    (void)state;
    char large[2000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    error e = error_set(&INNER, "%s", large);
    assert_true(error_detail_of(e)->text.len < 1000);
    e = error_set(&INNER, "abc");
    const str old = error_detail_of(e)->text;
    e = error_set(&OUTER, "<%.*s>", STR_ARG(old));
    assert_str_equal(error_detail_of(e)->text, STR("<abc>"));
}

static void test_error_detail_of_another_kind_is_not_given(void **state)
{
    (void)state;
    const error e = error_set(&INNER, "x");
    assert_non_null(error_detail_of(e));
    assert_null(error_detail_of((error){ &OUTER }));
    assert_null(error_detail_of(OK));
}

static void test_error_fields_and_sqlstate_are_kept(void **state)
{
    (void)state;
    static const error_field fields[] = {
        { { "a", 1 }, { "required", 8 }, { "is required", 11 } }
    };
    error e = error_set_fields(&INNER, fields, 1);
    assert_int_equal(error_detail_of(e)->field_count, 1);
    e = error_set(&INNER, "db");
    error_add_sqlstate("23505", STR("accounts_email_key"), NULL);
    assert_string_equal(error_detail_of(e)->sqlstate, "23505");
    assert_str_equal(error_detail_of(e)->constraint, STR("accounts_email_key"));
    char text[8];
    error_describe(e, text, sizeof text);
    assert_int_equal(strlen(text), sizeof text - 1);
    error_describe(error_set_errno(&SYSTEM_FAILED, 2, "open"), text, sizeof text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_try_hands_on_and_stops),
        cmocka_unit_test(test_error_wrap_keeps_the_cause),
        cmocka_unit_test(test_error_long_chains_keep_root_and_last),
        cmocka_unit_test(test_error_text_is_cut_and_may_quote_the_slot),
        cmocka_unit_test(test_error_detail_of_another_kind_is_not_given),
        cmocka_unit_test(test_error_fields_and_sqlstate_are_kept),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
