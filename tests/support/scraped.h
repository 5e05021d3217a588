/* What /metrics would say: the worth of one line of it. The tables are to be opened first, by
 * metrics_open. */
#ifndef TESTS_SUPPORT_SCRAPED_H
#define TESTS_SUPPORT_SCRAPED_H

#include "core/metrics.h"

#include <stdlib.h>
#include <string.h>

/* Of the line that begins with "name " or "name{labels} "; -1: there is none. */
UNUSED static double scraped(const char *line_start)
{
    double value = -1;
    buf out;
    buf_init(&out, (size_t)16 << 20);
    metrics_expose(&out);
    buf_append_char(&out, '\0');
    const size_t len = strlen(line_start);
    for (const char *at = out.data; at && *at; at = strchr(at, '\n') + 1) {
        if (strncmp(at, line_start, len) == 0 && at[len] == ' ')
            value = strtod(at + len, NULL);
    }
    buf_deinit(&out);
    return value;
}

#endif
