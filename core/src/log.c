/* The log: lines are formatted on the caller's thread into a ring of bytes, and a writer thread
 * writes them out. The ring's lock is held for one copy on either side; the writer never holds it
 * while it writes, so a stalled sink costs lines, not time.
 *
 * Invariant: the ring holds whole lines only. */
#include "core/log.h"

#include "worker.h"

#include "core/buf.h"
#include "core/json.h"
#include "core/scalar.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RING_BYTES      1048576 /* about 5,000 lines */
#define WRITE_BYTES     65536   /* at most, in one call */
#define ERROR_BYTES_MAX 2048

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled;  /* for the writer */
    pthread_cond_t emptied; /* for log_flush */
    pthread_t writer;
    char *ring;        /* NULL: not open */
    size_t first, len; /* of the ring's bytes */
    bool writing;      /* the writer has bytes that are no longer in the ring */
    bool stopping;
    uint64_t dropped;
    uint64_t dropped_told;
    int fd;
    log_format format;
    _Atomic int level;
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER,
           .filled = PTHREAD_COND_INITIALIZER,
           .emptied = PTHREAD_COND_INITIALIZER,
           .fd = STDERR_FILENO,
           .format = LOG_LOGFMT,
           .level = LOG_INFO };

bool log_enabled(log_level level)
{
    return (int)level >= atomic_load_explicit(&sink.level, memory_order_relaxed);
}

void log_set_request_id(str id)
{
    worker_self.log_request_id = id;
}

/* --- one line -------------------------------------------------------------------------------- */

static str level_name(log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return STR("debug");
    case LOG_INFO:
        return STR("info");
    case LOG_WARN:
        return STR("warn");
    case LOG_ERROR:
        return STR("error");
    case LOG_OFF:
        break;
    }
    return STR("off");
}

/* Milliseconds are all a reader needs, and always three digits keep lines aligned. */
static void append_time(buf *out)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    buf_append_format(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", utc.tm_year + 1900,
                      utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                      now.tv_nsec / 1000000);
}

static bool plain_in_logfmt(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        const unsigned char c = (unsigned char)s.ptr[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7F)
            return false;
    }
    return s.len > 0;
}

static void append_string(buf *out, log_format format, str s)
{
    if (format == LOG_LOGFMT && plain_in_logfmt(s))
        buf_append(out, s);
    else
        json_write_string(out, s);
}

static void append_value(buf *out, log_format format, const log_field *field)
{
    switch (field->type) {
    case LOG_FIELD_STR:
        append_string(out, format, field->string);
        return;
    case LOG_FIELD_INT:
        buf_append_int64(out, field->integer);
        return;
    case LOG_FIELD_UINT:
        buf_append_uint64(out, field->natural);
        return;
    case LOG_FIELD_DOUBLE:
        json_write_double(out, field->number);
        return;
    case LOG_FIELD_BOOL:
        buf_append(out, field->boolean ? STR("true") : STR("false"));
        return;
    case LOG_FIELD_ERROR: {
        char text[ERROR_BYTES_MAX - 512];
        error_describe(field->error, text, sizeof text);
        append_string(out, format, str_from_c(text));
        return;
    }
    }
    unreachable();
}

static void append_key(buf *out, log_format format, const char *key)
{
    if (format == LOG_LOGFMT) {
        buf_append_char(out, ' ');
        buf_append(out, str_from_c(key));
        buf_append_char(out, '=');
        return;
    }
    buf_append_char(out, ',');
    json_write_string(out, str_from_c(key));
    buf_append_char(out, ':');
}

static void append_head(buf *out, log_format format, log_level level, str message)
{
    const bool braces = format == LOG_JSON;
    buf_append(out, braces ? STR("{\"time\":\"") : STR("time="));
    append_time(out);
    buf_append(out, braces ? STR("\",\"level\":\"") : STR(" level="));
    buf_append(out, level_name(level));
    buf_append(out, braces ? STR("\",\"message\":") : STR(" message="));
    append_string(out, format, message);
    if (worker_self.log_request_id.ptr) {
        append_key(out, format, "request_id");
        append_string(out, format, worker_self.log_request_id);
    }
}

/* A line that passed the ceiling keeps what fits: fields are left out from the first that does not.
 */
static void format_line(buf *out, log_format format, log_level level, str message,
                        const log_field *fields, size_t count)
{
    const str end = format == LOG_JSON ? STR("}\n") : STR("\n");
    const str cut = format == LOG_JSON ? STR(",\"cut\":true") : STR(" cut=true");
    append_head(out, format, level, message);
    size_t whole = out->len;
    bool is_cut = out->failed;
    for (size_t i = 0; i < count && !is_cut; i++) {
        append_key(out, format, fields[i].key);
        append_value(out, format, &fields[i]);
        is_cut = out->failed || out->len + cut.len + end.len > LOG_LINE_BYTES_MAX;
        if (!is_cut)
            whole = out->len;
    }
    out->failed = false;
    out->len = whole;
    out->bytes_max = LOG_LINE_BYTES_MAX + 64;
    if (is_cut)
        buf_append(out, cut);
    buf_append(out, end);
}

/* --- the ring -------------------------------------------------------------------------------- */

static void ring_put(str bytes)
{
    const size_t at = (sink.first + sink.len) % RING_BYTES;
    const size_t part = bytes.len < RING_BYTES - at ? bytes.len : RING_BYTES - at;
    memcpy(sink.ring + at, bytes.ptr, part);
    memcpy(sink.ring, bytes.ptr + part, bytes.len - part);
    sink.len += bytes.len;
}

/* Under the lock: tells of lines lost, then the line, if both fit. */
static void ring_put_line(str line)
{
    char told[160];
    buf note;
    buf_init(&note, sizeof told);
    note.data = told;
    note.capacity = sizeof told;
    if (sink.dropped > sink.dropped_told) {
        const uint64_t lost = sink.dropped - sink.dropped_told;
        if (sink.format == LOG_JSON)
            buf_append_format(
                &note, "{\"level\":\"warn\",\"message\":\"log lines dropped\",\"count\":%lu}\n",
                (unsigned long)lost);
        else
            buf_append_format(&note, "level=warn message=\"log lines dropped\" count=%lu\n",
                              (unsigned long)lost);
    }
    if (line.len + note.len > RING_BYTES - sink.len) {
        sink.dropped++;
        return;
    }
    if (note.len > 0) {
        sink.dropped_told = sink.dropped;
        ring_put(buf_str(&note));
    }
    ring_put(line);
    pthread_cond_signal(&sink.filled);
}

static void write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        const ssize_t written = write(fd, bytes, len);
        if (written < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN) {
                const struct timespec pause = { .tv_nsec = 5000000 };
                nanosleep(&pause, NULL);
                continue;
            }
            return; /* a sink that is gone takes its lines along */
        }
        bytes += written;
        len -= (size_t)written;
    }
}

static void *writer_main(void *arg)
{
    (void)arg;
    char *bytes = malloc(WRITE_BYTES);
    pthread_mutex_lock(&sink.lock);
    while (bytes) {
        while (sink.len == 0 && !sink.stopping)
            pthread_cond_wait(&sink.filled, &sink.lock);
        if (sink.len == 0)
            break;
        size_t part = sink.len < WRITE_BYTES ? sink.len : WRITE_BYTES;
        if (part > RING_BYTES - sink.first)
            part = RING_BYTES - sink.first;
        memcpy(bytes, sink.ring + sink.first, part);
        sink.first = (sink.first + part) % RING_BYTES;
        sink.len -= part;
        sink.writing = true;
        pthread_mutex_unlock(&sink.lock);
        write_all(sink.fd, bytes, part);
        pthread_mutex_lock(&sink.lock);
        sink.writing = false;
        if (sink.len == 0)
            pthread_cond_broadcast(&sink.emptied);
    }
    pthread_mutex_unlock(&sink.lock);
    free(bytes);
    return NULL;
}

void log_write(log_level level, const char *message, const log_field *fields, size_t count)
{
    block *memory = block_acquire(BLOCK_CAPACITY);
    if (!memory)
        return;
    buf line;
    buf_init(&line, LOG_LINE_BYTES_MAX);
    line.data = memory->data;
    line.capacity = memory->capacity;
    format_line(&line, sink.format, level, str_from_c(message), fields, count);
    if (sink.ring) {
        pthread_mutex_lock(&sink.lock);
        ring_put_line(buf_str(&line));
        pthread_mutex_unlock(&sink.lock);
    } else {
        write_all(sink.fd, line.data, line.len);
    }
    block_release(&memory);
}

/* --- life ------------------------------------------------------------------------------------ */

error log_open(int fd, log_level level, log_format format)
{
    /* After a fork the parent's writer does not exist here, and its lock may have been held. */
    pthread_mutex_init(&sink.lock, NULL);
    pthread_cond_init(&sink.filled, NULL);
    pthread_cond_init(&sink.emptied, NULL);
    if (!sink.ring)
        sink.ring = malloc(RING_BYTES);
    if (!sink.ring)
        return error_set(&OUT_OF_MEMORY, "no memory for the log's ring");
    sink.first = sink.len = 0;
    sink.writing = sink.stopping = false;
    sink.dropped = sink.dropped_told = 0;
    sink.fd = fd;
    sink.format = format != LOG_AUTO ? format : isatty(fd) ? LOG_LOGFMT : LOG_JSON;
    atomic_store_explicit(&sink.level, (int)level, memory_order_relaxed);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&sink.writer, NULL, writer_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        free(sink.ring);
        sink.ring = NULL;
        return error_set_errno(&SYSTEM_FAILED, failed, "pthread_create");
    }
    return OK;
}

bool log_flush(uint32_t timeout_ms)
{
    if (!sink.ring)
        return true;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&sink.lock);
    int waited = 0;
    while ((sink.len > 0 || sink.writing) && waited == 0)
        waited = pthread_cond_timedwait(&sink.emptied, &sink.lock, &until);
    const bool all = sink.len == 0 && !sink.writing;
    pthread_mutex_unlock(&sink.lock);
    return all;
}

void log_close(void)
{
    if (!sink.ring)
        return;
    const bool flushed = log_flush(1000);
    pthread_mutex_lock(&sink.lock);
    sink.stopping = true;
    sink.len = flushed ? sink.len : 0;
    pthread_cond_signal(&sink.filled);
    pthread_mutex_unlock(&sink.lock);
    if (!flushed)
        return; /* the writer hangs in a stalled sink: it goes with the process, and keeps the ring
                 */
    pthread_join(sink.writer, NULL);
    free(sink.ring);
    sink.ring = NULL;
    sink.fd = STDERR_FILENO;
    sink.format = LOG_LOGFMT;
}

uint64_t log_dropped(void)
{
    pthread_mutex_lock(&sink.lock);
    const uint64_t dropped = sink.dropped;
    pthread_mutex_unlock(&sink.lock);
    return dropped;
}
