/* Pairs into structs: what test_forms.c, over the wire, cannot see. */
#include "conn.h"

#include "tests/support/in_fiber.h"

#define CHOICE_FIELDS(F) F(tag, text_list) F(n, int8_list) F(name, opt_text)
SHAPE(choice, CHOICE_FIELDS)

#define PAIRS 1000

/* A list that grows by one each time, between escaped values that stand behind it in the arena,
 * would leave 8 MB of copies here. */
static void test_form_list_of_many_pairs_takes_memory_in_proportion(void **state)
{
    (void)state;
    static char text[PAIRS * sizeof "tag=%41&"];
    arena a;
    choice out;
    size_t len = 0;
    arena_init(&a, 256 << 10);
    for (int i = 0; i < PAIRS; i++)
        len +=
            (size_t)snprintf(text + len, sizeof text - len, "%stag=%%4%d", i ? "&" : "", i % 9 + 1);
    assert_ok(http_pairs_bind(&a, (str){ text, len }, choice_shape(), &out));
    assert_int_equal(out.tag.count, PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        const char letter = (char)('A' + i % 9);
        assert_str_equal(out.tag.items[i], ((str){ &letter, 1 }));
    }
    arena_deinit(&a);
}

static void test_form_lists_side_by_side_keep_their_items(void **state)
{
    (void)state;
    static char text[400 * sizeof "tag=100&n=100&"];
    arena a;
    choice out;
    size_t len = 0;
    arena_init(&a, 1 << 20);
    for (int i = 0; i < 400; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "tag=%d&n=%d&", i, -i);
    assert_ok(http_pairs_bind(&a, (str){ text, len }, choice_shape(), &out));
    assert_int_equal(out.tag.count, 400);
    assert_int_equal(out.n.count, 400);
    for (int i = 0; i < 400; i++) {
        assert_str_equal(out.tag.items[i], str_format(&a, "%d", i));
        assert_int_equal(out.n.items[i], -i);
    }
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form_list_of_many_pairs_takes_memory_in_proportion),
        cmocka_unit_test(test_form_lists_side_by_side_keep_their_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
