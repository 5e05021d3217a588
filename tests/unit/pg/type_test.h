/* For tests of types without a server: memory that a test begins with, and texts read from memory
 * of just their size. */
#ifndef TESTS_UNIT_PG_TYPE_TEST_H
#define TESTS_UNIT_PG_TYPE_TEST_H

#include "pg/pg.h"
#include "tests/support/exact_copy.h"
#include "tests/support/in_fiber.h"

static arena memory;

UNUSED static int set_up(void **state)
{
    (void)state;
    arena_init(&memory, 16 << 20);
    return 0;
}

UNUSED static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&memory);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* The text, of that type, is read into `out`, from memory of its size. `arena_`: NULL where none is
 * needed. */
#define PARSES(arena_, name, oid, text_, out)                                                      \
    do {                                                                                           \
        const str exact_ = exact_copy(text_);                                                      \
        const error read_ = pg_decode_##name((arena_), &(pg_cell){ (oid), PG_TEXT, exact_ }, out); \
        exact_free(exact_);                                                                        \
        assert_ok(read_);                                                                          \
    } while (0)

#endif
