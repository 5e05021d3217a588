/* Arenas over pooled blocks: alignment, caps, reuse without malloc. */
#include "core/arena.h"
#include "core/block.h"
#include "core/fault.h"
#include "tests/support/in_fiber.h"

static void test_arena_allocations_are_aligned_and_distinct(void **state)
{
    (void)state;
    arena a;
    arena_init(&a, 1 << 22);
    char *before = NULL;
    for (size_t align = 1; align <= 64; align *= 2) {
        for (size_t bytes = 0; bytes < 300; bytes += 7) {
            char *p = arena_alloc(&a, bytes, align);
            assert_int_equal((uintptr_t)p % align, 0);
            memset(p, 0x5A, bytes);
            assert_true(p != before);
            before = bytes ? p : NULL;
        }
    }
    char *large = arena_alloc(&a, 100000, 16);
    memset(large, 1, 100000);
    char *small = arena_alloc(&a, 8, 8);
    assert_true(small < large || small >= large + 100000);
    arena_deinit(&a);
    arena_deinit(&a);
}

static void test_arena_cap_gives_null_outside_a_fiber(void **state)
{
    (void)state;
    arena a;
    arena_init(&a, 2 * BLOCK_CAPACITY);
    assert_non_null(arena_try_alloc(&a, BLOCK_CAPACITY / 2, 1));
    assert_null(arena_try_alloc(&a, 2 * BLOCK_CAPACITY, 1));
    assert_null(arena_try_alloc(&a, SIZE_MAX, 1));
    assert_non_null(arena_try_alloc(&a, BLOCK_CAPACITY - 64, 1));
    assert_null(arena_try_alloc(&a, BLOCK_CAPACITY - 64, 1));
    arena_deinit(&a);
}

static void test_arena_reset_in_steady_state_takes_no_memory_from_the_system(void **state)
{
    (void)state;
    arena a;
    arena_init(&a, 1 << 22);
    arena_alloc(&a, 3 * BLOCK_CAPACITY / 2, 1);
    for (int i = 0; i < 4; i++)
        arena_alloc(&a, BLOCK_CAPACITY - 100, 1);
    arena_reset(&a);
    for (int i = 0; i < 4; i++)
        arena_alloc(&a, BLOCK_CAPACITY - 100, 1);
    arena_reset(&a);
    const uint64_t system = block_pool_stats().system;
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 4; i++)
            arena_alloc(&a, BLOCK_CAPACITY - 100, 1);
        arena_reset(&a);
    }
    assert_int_equal(block_pool_stats().system, system);
    arena_deinit(&a);
}

static void test_arena_grow_extends_in_place_or_moves(void **state)
{
    (void)state;
    arena a;
    arena_init(&a, 1 << 22);
    char *p = arena_grow(&a, NULL, 0, 10, 1);
    memcpy(p, "0123456789", 10);
    assert_ptr_equal(arena_grow(&a, p, 10, 20, 1), p);
    arena_alloc(&a, 1, 1);
    char *moved = arena_grow(&a, p, 20, 40, 1);
    assert_ptr_not_equal(moved, p);
    assert_memory_equal(moved, "0123456789", 10);
    arena_deinit(&a);
}

static void test_arena_without_memory_gives_null(void **state)
{
    (void)state;
    arena a;
    arena_init(&a, 1 << 22);
    block_pool_trim();
    fault_at("block.acquire", 1);
    assert_null(arena_try_alloc(&a, 10, 1));
    assert_non_null(arena_try_alloc(&a, 10, 1));
    fault_clear();
    arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_allocations_are_aligned_and_distinct),
        cmocka_unit_test(test_arena_cap_gives_null_outside_a_fiber),
        cmocka_unit_test(test_arena_reset_in_steady_state_takes_no_memory_from_the_system),
        cmocka_unit_test(test_arena_grow_extends_in_place_or_moves),
        cmocka_unit_test(test_arena_without_memory_gives_null),
    };
    const int failed = cmocka_run_group_tests_name("arena", tests, NULL, NULL);
    block_pool_trim();
    return failed;
}
