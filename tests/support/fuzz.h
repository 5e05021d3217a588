/* What a fuzz target defines. It aborts (an invariant, a sanitizer) on what must never be; anything
 * else it returns from with 0. */
#ifndef TESTS_SUPPORT_FUZZ_H
#define TESTS_SUPPORT_FUZZ_H

#include "core/base.h"
#include "core/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static inline str fuzz_text(const uint8_t *data, size_t len)
{
    return (str){ data ? (const char *)data : "", len };
}

#endif
