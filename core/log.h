/* Structured log: a message and typed fields a line; logfmt to a terminal, JSON lines otherwise.
 *
 *   log_info("worker started", LOG_INT("pid", getpid()), LOG_CSTR("backend", "epoll"));
 *
 * Lines go through a bounded ring to a writer thread, so the loop never waits for the sink: when it
 * stalls, lines are dropped and counted, and the next line that gets through says how many. Each
 * line made while a request is handled carries its id. What is logged cannot forge lines: control
 * characters and quotes are escaped. Lines are cut at LOG_LINE_BYTES_MAX. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include "core/error.h"
#include "core/str.h"

#define LOG_LINE_BYTES_MAX 8192

typedef enum log_level {
    LOG_DEBUG = 0,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
    LOG_OFF,
} log_level;

typedef enum log_format {
    LOG_AUTO = 0, /* logfmt to a terminal, else JSON */
    LOG_LOGFMT,
    LOG_JSON,
} log_format;

typedef enum log_field_type {
    LOG_FIELD_STR = 1,
    LOG_FIELD_INT,
    LOG_FIELD_UINT,
    LOG_FIELD_DOUBLE,
    LOG_FIELD_BOOL,
    LOG_FIELD_ERROR,
} log_field_type;

typedef struct log_field {
    const char *key;
    log_field_type type;
    union {
        str string;
        int64_t integer;
        uint64_t natural;
        double number;
        bool boolean;
        error error;
    };
} log_field;

/* Of a str only: a C string, which would be taken for its first member, does not compile. */
#define LOG_STR(key_, value_) \
    ((log_field){ (key_), LOG_FIELD_STR, { .string = _Generic((value_), str : (value_)) } })
#define LOG_CSTR(key_, value_) \
    ((log_field){ (key_), LOG_FIELD_STR, { .string = str_from_c(value_) } })
#define LOG_INT(key_, value_)    ((log_field){ (key_), LOG_FIELD_INT, { .integer = (value_) } })
#define LOG_UINT(key_, value_)   ((log_field){ (key_), LOG_FIELD_UINT, { .natural = (value_) } })
#define LOG_DOUBLE(key_, value_) ((log_field){ (key_), LOG_FIELD_DOUBLE, { .number = (value_) } })
#define LOG_BOOL(key_, value_)   ((log_field){ (key_), LOG_FIELD_BOOL, { .boolean = (value_) } })
/* An error with its details and causes, under the key "error". */
#define LOG_ERR(value_)          ((log_field){ "error", LOG_FIELD_ERROR, { .error = (value_) } })

/* The arguments are evaluated only when the level is on. */
#define log_debug(...) LOG_AT_(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  LOG_AT_(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  LOG_AT_(LOG_WARN, __VA_ARGS__)
#define log_error(...) LOG_AT_(LOG_ERROR, __VA_ARGS__)

/* Expands to: if the level is on, log_write(level, message, array of fields, their number). The
 * leading empty field keeps the array from being empty. */
#define LOG_AT_(level_, message_, ...)                                                    \
    do {                                                                                  \
        if (log_enabled(level_)) {                                                        \
            const log_field log_fields_[] = { { 0 }, ##__VA_ARGS__ };                     \
            log_write((level_), (message_), log_fields_ + 1, ARRAY_LEN(log_fields_) - 1); \
        }                                                                                 \
    } while (0)

/* Whether lines of that level are written: what is costly to find out need not be found out. */
bool log_enabled(log_level level);
/* Writes one line, whatever the level in force: what the macros expand to. Keeps nothing. */
void log_write(log_level level, const char *message, const log_field *fields, size_t count);

/* Starts the writer thread of this process on `fd` (kept open, stays the caller's). A log that is
 * open already is closed first. A process that was forked calls log_open again: until then, and
 * before the first log_open, lines are written at once, by the caller (then to standard error).
 *   fails  OUT_OF_MEMORY, SYSTEM_FAILED */
error log_open(int fd, log_level level, log_format format);
/* How lines are written at once, while no log is open: for a process that only forks and waits, and
 * may not have threads. */
void log_set_direct(int fd, log_level level, log_format format);
/* Waits at most `timeout_ms` until everything logged so far is written. Returns whether it is. */
bool log_flush(uint32_t timeout_ms);
/* Flushes for at most a second, then stops the writer; lines go to standard error again. No other
 * thread may be logging. */
void log_close(void);
/* Lines dropped since log_open: the ring was full, or the sink refused them. */
uint64_t log_dropped(void);

/* One last line, at level error, for a process that is about to die: waits a moment for what was
 * logged before, then writes to the sink itself. Async-signal-safe; takes at most 0.2 s unless the
 * sink is a stalled disk. The line is cut at 1 KiB. */
void log_emergency(str message);

/* The id that the running fiber's lines carry from here on; STR_NONE: none. Not copied. */
void log_set_request_id(str id);

#endif
