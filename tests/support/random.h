/* Random input for property tests. The seed is printed, and taken from BRIO_TEST_SEED when that is
 * set, so that a failure can be run again. */
#ifndef TESTS_SUPPORT_RANDOM_H
#define TESTS_SUPPORT_RANDOM_H

#include "tests/support/in_fiber.h"

#include <time.h>

typedef struct random_state {
    uint64_t state;
} random_state;

static inline random_state random_start(void)
{
    const char *given = getenv("BRIO_TEST_SEED");
    const uint64_t seed =
        given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 1000003 + (uint64_t)clock();
    print_message("BRIO_TEST_SEED=%llu\n", (unsigned long long)seed);
    return (random_state){ seed };
}

/* splitmix64: each value is a hash of a counter. */
static inline uint64_t random_next(random_state *r)
{
    uint64_t x = r->state += 0x9E3779B97F4A7C15U;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31);
}

/* 0 <= result < bound */
static inline size_t random_below(random_state *r, size_t bound)
{
    return (size_t)(random_next(r) % bound);
}

#endif
