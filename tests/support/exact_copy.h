/* Input in memory of exactly its size, so that AddressSanitizer sees a read one byte too far. */
#ifndef TESTS_SUPPORT_EXACT_COPY_H
#define TESTS_SUPPORT_EXACT_COPY_H

#include "core/str.h"

#include <stdlib.h>
#include <string.h>

/* Freed by exact_free. */
static inline str exact_copy(str s)
{
    char *memory = malloc(s.len ? s.len : 1);
    if (!memory)
        abort();
    if (s.len > 0)
        memcpy(memory, s.ptr, s.len);
    /* Of the empty string, one past the end: any read is out of bounds. */
    return (str){ s.len ? memory : memory + 1, s.len };
}

static inline void exact_free(str s)
{
    union {
        const char *constant;
        char *memory;
    } as = { .constant = s.len ? s.ptr : s.ptr - 1 };
    free(as.memory);
}

#endif
