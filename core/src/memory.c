/* The heap behind one fault point. */
#include "core/memory.h"

#include "core/fault.h"

#include <stdlib.h>

void *memory_new(size_t count, size_t bytes)
{
    return fault_point("memory") ? NULL : calloc(count, bytes);
}

void memory_free(void *memory)
{
    free(memory);
}
