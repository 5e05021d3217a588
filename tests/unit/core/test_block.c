/* Blocks: the pool hands out the hottest first, keeps its books, and survives a lack of memory. */
#include "core/block.h"
#include "core/fault.h"
#include "tests/support/in_fiber.h"

#include <pthread.h>

static int trim(void **state)
{
    (void)state;
    fault_clear();
    block_pool_trim();
    return 0;
}

static void test_block_released_last_is_handed_out_first(void **state)
{
    (void)state;
    block *a = block_acquire(1), *b = block_acquire(BLOCK_CAPACITY);
    assert_ptr_not_equal(a, b);
    assert_int_equal(a->capacity, BLOCK_CAPACITY);
    assert_int_equal((uintptr_t)a->data % 16, 0);
    memset(a->data, 0x5A, a->capacity);
    memset(b->data, 0xA5, b->capacity);
    block *const hot = a, *const cold = b;
    block_release(&b);
    block_release(&a);
    a = block_acquire(100);
    b = block_acquire(100);
    assert_ptr_equal(a, hot);
    assert_ptr_equal(b, cold);
    block_release(&a);
    block_release(&b);
}

static void test_block_statistics_tell_pool_from_system(void **state)
{
    (void)state;
    const block_stats before = block_pool_stats();
    assert_int_equal(before.pooled, 0);
    block *b = block_acquire(10);
    block_release(&b);
    b = block_acquire(10);
    const block_stats after = block_pool_stats();
    assert_int_equal(after.acquired - before.acquired, 2);
    assert_int_equal(after.system - before.system, 1);
    assert_int_equal(after.pooled, 0);
    block_release(&b);
    assert_int_equal(block_pool_stats().pooled, 1);
    block_pool_trim();
    assert_int_equal(block_pool_stats().pooled, 0);
}

static void test_block_larger_than_pooled_goes_back_to_the_system(void **state)
{
    (void)state;
    block *b = block_acquire(BLOCK_CAPACITY + 1);
    assert_non_null(b);
    assert_int_equal(b->capacity, BLOCK_CAPACITY + 1);
    memset(b->data, 1, b->capacity);
    block_release(&b);
    assert_int_equal(block_pool_stats().pooled, 0);
}

static void test_block_beyond_the_limit_or_memory_gives_null(void **state)
{
    (void)state;
    assert_null(block_acquire(((size_t)1 << 30) + 1));
    assert_null(block_acquire(SIZE_MAX));
    fault_at("block.acquire", 1);
    const block_stats before = block_pool_stats();
    assert_null(block_acquire(10));
    assert_int_equal(block_pool_stats().acquired, before.acquired);
    block *b = block_acquire(10);
    assert_non_null(b);
    block_release(&b);
}

static void test_block_references_keep_it_out_of_the_pool(void **state)
{
    (void)state;
    block *b = block_acquire(100), *second = block_keep(b), *third = block_keep(b);
    block_release(&b);
    assert_null(b);
    block_release(&b); /* NULL is allowed */
    block_release(&second);
    assert_int_equal(block_pool_stats().pooled, 0);
    block_release(&third);
    assert_int_equal(block_pool_stats().pooled, 1);
}

static void *count_own_pool(void *arg)
{
    block *b = block_acquire(10);
    block_release(&b);
    *(block_stats *)arg = block_pool_stats();
    block_pool_trim();
    return NULL;
}

static void test_block_pools_of_two_threads_are_apart(void **state)
{
    (void)state;
    const block_stats before = block_pool_stats();
    block_stats other;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, count_own_pool, &other), 0);
    pthread_join(thread, NULL);
    assert_int_equal(other.acquired, 1);
    assert_int_equal(other.pooled, 1);
    assert_int_equal(block_pool_stats().acquired, before.acquired);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_block_released_last_is_handed_out_first, trim),
        cmocka_unit_test_teardown(test_block_statistics_tell_pool_from_system, trim),
        cmocka_unit_test_teardown(test_block_larger_than_pooled_goes_back_to_the_system, trim),
        cmocka_unit_test_teardown(test_block_beyond_the_limit_or_memory_gives_null, trim),
        cmocka_unit_test_teardown(test_block_references_keep_it_out_of_the_pool, trim),
        cmocka_unit_test_teardown(test_block_pools_of_two_threads_are_apart, trim),
    };
    return cmocka_run_group_tests_name("block", tests, NULL, NULL);
}
