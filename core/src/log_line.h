/* One line of the log as text: bounded, and on one line whatever is in it. */
#ifndef CORE_SRC_LOG_LINE_H
#define CORE_SRC_LOG_LINE_H

#include "core/log.h"

#include <time.h>

typedef struct log_line {
    char *text; /* the caller's memory */
    size_t len;
    size_t bytes_max; /* of `text`, at least LOG_LINE_BYTES_MIN */
    log_format format;
    bool cut; /* something did not fit */
} log_line;
/* Invariant: there is room for log_line_end, always. */

#define LOG_LINE_BYTES_MIN 256

/* Time, level, message, and the request's id unless it is STR_NONE. */
void log_line_begin(log_line *line, struct timespec now, log_level level, str message,
                    str request_id);
void log_line_field(log_line *line, const log_field *field);
/* "cut" if something was, and the line's end. */
void log_line_end(log_line *line);

#endif
