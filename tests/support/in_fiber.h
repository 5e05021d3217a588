/* Runs a whole cmocka group inside one fiber: cmocka fails by longjmp, which must not cross a
 * switch. */
#ifndef TESTS_SUPPORT_IN_FIBER_H
#define TESTS_SUPPORT_IN_FIBER_H

#include "core/buf.h"
#include "core/fiber.h"
#include "core/loop.h"
#include "core/scope.h"

/* cmocka.h needs the four before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define assert_ok(e)           assert_ok_at((e), #e, __FILE__, __LINE__)
#define assert_fails(kind_, e) assert_fails_at(&(kind_), (e), #e, __FILE__, __LINE__)
#define assert_str_equal(a, b) assert_str_equal_at((a), (b), __FILE__, __LINE__)

UNUSED static void assert_ok_at(error e, const char *what, const char *file, int line)
{
    if (error_is_ok(e))
        return;
    char text[1024];
    error_describe(e, text, sizeof text);
    print_error("%s failed: %s\n", what, text);
    _fail(file, line);
}

UNUSED static void assert_fails_at(const error_kind *kind, error e, const char *what,
                                   const char *file, int line)
{
    if (error_is(e, kind))
        return;
    char text[1024];
    error_describe(e, text, sizeof text);
    print_error("%s gave %s instead of %s\n", what, text, kind->name);
    _fail(file, line);
}

UNUSED static void assert_str_equal_at(str a, str b, const char *file, int line)
{
    if (str_eq(a, b))
        return;
    print_error("\"%.*s\" is not \"%.*s\"\n", STR_ARG(a), STR_ARG(b));
    _fail(file, line);
}

typedef struct in_fiber_group {
    int (*run)(void);
    int failed;
} in_fiber_group;

UNUSED static error in_fiber_run(void *arg)
{
    in_fiber_group *group = arg;
    group->failed = group->run();
    return OK;
}

/* For main(): runs `run`, which calls cmocka_run_group_tests, on a fiber; returns the exit status.
 */
UNUSED static int run_in_fiber(int (*run)(void))
{
    in_fiber_group group = { .run = run };
    const error e = loop_run_fiber(in_fiber_run, &group);
    return e.kind ? 1 : group.failed;
}

#endif
