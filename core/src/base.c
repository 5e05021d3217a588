/* What happens when a programmer's promise is broken: one line on standard error, then abort(), so
 * that a debugger or the crash containment sees the very frame. The C library that abort() goes
 * through keeps no frame pointers: the containment is told where the program's own frames begin. */
#include "core/base.h"

#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void invariant_failed(const char *what, const char *file, int line)
{
    char text[512];
    int len = snprintf(text, sizeof text, "%s:%d: invariant failed: %s\n", file, line, what);
    if (len > (int)sizeof text - 1)
        len = (int)sizeof text - 1;
    worker_self.invariant = (str){ text, len > 0 ? (size_t)len - 1 : 0 };
    worker_self.invariant_frame = (uintptr_t)__builtin_frame_address(0);
    if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0)
        abort();
    abort();
}
