/* What the integration tests of http share: the server under test, and checks of its answers that
 * print what came instead. */
#ifndef TESTS_SUPPORT_HTTP_TEST_H
#define TESTS_SUPPORT_HTTP_TEST_H

#include "tests/support/http_client.h"

/* cmocka.h needs the four before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>

#define ENVIRONMENT(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* The server of the test that is running; killed by server_teardown. */
static server_process server;

UNUSED static void serve(const char *const *environment)
{
    server_start(&server, getenv("FAULTY"), environment);
}

UNUSED static int server_teardown(void **state)
{
    (void)state;
    server_kill(&server);
    return 0;
}

UNUSED static void check_status_at(const char *what, answer *a, int status, const char *file,
                                   int line)
{
    if (a->status == status)
        return;
    print_error("%s: answered %d instead of %d: %.*s\n", what, a->status, status, STR_ARG(a->body));
    server_print_log(&server);
    _fail(file, line);
}
#define check_status(what_, answer_, status_) \
    check_status_at((what_), (answer_), (status_), __FILE__, __LINE__)

UNUSED static void check_get(const char *path, int status)
{
    answer a;
    http_get(server.port, path, &a);
    check_status(path, &a, status);
    answer_free(&a);
}

#endif
