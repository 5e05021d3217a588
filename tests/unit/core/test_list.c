/* Intrusive lists: order, unlinking in the middle, unlinking while walking, joining. */
#include "core/list.h"
#include "tests/support/in_fiber.h"

typedef struct item {
    int number;
    list_node node;
} item;

/* The numbers in order, checked both ways round. */
static void assert_list_is(list *l, const int *numbers, size_t count)
{
    size_t at = 0;
    LIST_EACH (item, i, l, node) {
        assert_true(at < count);
        assert_int_equal(i->number, numbers[at]);
        at++;
    }
    assert_int_equal(at, count);
    for (list_node *n = l->head.prev; n != &l->head; n = n->prev) {
        at--;
        assert_int_equal(CONTAINER_OF(n, item, node)->number, numbers[at]);
    }
    assert_int_equal(at, 0);
    assert_int_equal(list_is_empty(l), count == 0);
}
#define ASSERT_LIST_IS(l, ...) \
    assert_list_is((l), (const int[]){ __VA_ARGS__ }, sizeof((const int[]){ __VA_ARGS__ }) / 4)

static void fill(list *l, item *items, int count)
{
    list_init(l);
    for (int i = 0; i < count; i++) {
        items[i] = (item){ .number = i };
        list_append(l, &items[i].node);
    }
}

static void test_list_appends_and_prepends_in_order(void **state)
{
    (void)state;
    list l;
    item items[4];
    fill(&l, items, 3);
    ASSERT_LIST_IS(&l, 0, 1, 2);
    items[3] = (item){ .number = 3 };
    assert_false(list_linked(&items[3].node));
    list_prepend(&l, &items[3].node);
    assert_true(list_linked(&items[3].node));
    ASSERT_LIST_IS(&l, 3, 0, 1, 2);
}

static void test_list_remove_leaves_the_others_and_is_safe_twice(void **state)
{
    (void)state;
    list l;
    item items[3];
    fill(&l, items, 3);
    list_remove(&items[1].node);
    list_remove(&items[1].node);
    assert_false(list_linked(&items[1].node));
    ASSERT_LIST_IS(&l, 0, 2);
    list_insert_after(&items[2].node, &items[1].node);
    ASSERT_LIST_IS(&l, 0, 2, 1);
}

static void test_list_take_first_empties_in_order(void **state)
{
    (void)state;
    list l;
    item items[3];
    fill(&l, items, 3);
    for (int i = 0; i < 3; i++) {
        list_node *n = list_take_first(&l);
        assert_non_null(n);
        assert_int_equal(CONTAINER_OF(n, item, node)->number, i);
        assert_false(list_linked(n));
    }
    assert_null(list_take_first(&l));
    assert_true(list_is_empty(&l));
}

static void test_list_each_allows_unlinking_the_item(void **state)
{
    (void)state;
    list l;
    item items[5];
    fill(&l, items, 5);
    LIST_EACH (item, i, &l, node) {
        if (i->number % 2 == 0)
            list_remove(&i->node);
    }
    ASSERT_LIST_IS(&l, 1, 3);
    LIST_EACH (item, i, &l, node)
        list_remove(&i->node);
    assert_true(list_is_empty(&l));
}

static void test_list_each_ends_at_break(void **state)
{
    (void)state;
    list l;
    item items[3];
    int seen = 0;
    fill(&l, items, 3);
    LIST_EACH (item, i, &l, node) {
        if (i->number == 1)
            break;
        seen++;
    }
    assert_int_equal(seen, 1);
}

static void test_list_append_all_moves_everything(void **state)
{
    (void)state;
    list a, b;
    item first[2], second[2];
    fill(&a, first, 2);
    fill(&b, second, 2);
    list_append_all(&a, &b);
    ASSERT_LIST_IS(&a, 0, 1, 0, 1);
    assert_true(list_is_empty(&b));
    list_append_all(&a, &b);
    ASSERT_LIST_IS(&a, 0, 1, 0, 1);
    list_append_all(&b, &a);
    assert_true(list_is_empty(&a));
    ASSERT_LIST_IS(&b, 0, 1, 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_appends_and_prepends_in_order),
        cmocka_unit_test(test_list_remove_leaves_the_others_and_is_safe_twice),
        cmocka_unit_test(test_list_take_first_empties_in_order),
        cmocka_unit_test(test_list_each_allows_unlinking_the_item),
        cmocka_unit_test(test_list_each_ends_at_break),
        cmocka_unit_test(test_list_append_all_moves_everything),
    };
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
