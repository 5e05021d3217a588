/* The server of the integration tests: what DATABASE_URL names (./dev test starts one). Without it
 * a test is skipped. */
#ifndef TESTS_SUPPORT_DATABASE_H
#define TESTS_SUPPORT_DATABASE_H

#include "pg/pg.h"
#include "tests/support/in_fiber.h"

#define EXIT_SKIPPED 77

/* As run_in_fiber, or skipped without a server. */
UNUSED static int run_with_database(int (*run)(void))
{
    if (!getenv("DATABASE_URL")) {
        (void)fprintf(stderr, "skipped: DATABASE_URL is not set\n");
        return EXIT_SKIPPED;
    }
    return run_in_fiber(run);
}

#endif
