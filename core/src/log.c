/* The log's way out. A line is formatted on the caller's thread and copied into a ring of bytes; a
 * writer thread writes whole lines from the ring to the sink. A sink that stalls costs lines, not
 * time: what does not fit is dropped and counted.
 *
 * `head` and `tail` count the bytes ever put and ever written. Producers share a spin lock for the
 * length of one copy; the writer alone moves `tail` and takes no lock. `head` is moved last, so the
 * lock's holder may vanish at any point (a fiber abandoned by crash containment) and leave a whole
 * ring: its thread, the only one that can meet its own mark in the lock, then goes on.
 *
 *   log_write -> [tail … whole lines … head) -> writer -> fd
 *
 * Invariant: head - tail <= RING_BYTES, and both stand at line ends. */
#include "core/log.h"

#include "log_line.h"
#include "worker.h"

#include "core/clock.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define RING_BYTES         1048576 /* about 5,000 lines */
#define WRITE_BYTES        65536   /* at most, in one call */
#define NOTE_BYTES         512     /* of the line about dropped ones */
#define EMERGENCY_BYTES    1024
#define POLL_MS            100
#define DIRECT_WAIT_MS     1000
#define CLOSE_WAIT_MS      1000
#define SPINS_BEFORE_SLEEP 100
#define LINES_MEMORY_BYTES (LOG_LINE_BYTES_MAX + NOTE_BYTES)

typedef enum sink_state {
    SINK_RUNNING = 0,
    SINK_DRAINING,  /* ends when the ring is empty */
    SINK_GIVING_UP, /* ends at once */
    SINK_ENDED,     /* the writer is gone */
} sink_state;

typedef struct log_sink {
    int fd;
    log_format format;
    size_t write_bytes_max; /* whole lines up to here go out in one call */
    _Atomic uint64_t head;
    _Atomic uint64_t tail;
    _Atomic uintptr_t holder; /* of the producers' lock: its thread's mark, 0: free */
    _Atomic uint64_t dropped;
    _Atomic uint64_t told;       /* of `dropped`, by notes that are written or in the ring */
    _Atomic uint64_t note_end;   /* of the last note; at most one is past `tail` */
    _Atomic uint64_t note_count; /* the lines it tells of */
    _Atomic int state;
    sem_t wake; /* for the writer */
    pthread_t writer;
    bool torn; /* the writer's: the sink's last line has no end */
    char ring[RING_BYTES];
} log_sink;

/* One a process, unlike all other state: offload threads log too. */
static struct {
    _Atomic(log_sink *) open;
    _Atomic int level;
    int fd; /* of lines that are written at once, without a sink */
    log_format format;
    log_sink *inherited; /* after a fork: memory whose writer is in the parent */
} process = { .level = LOG_INFO, .fd = STDERR_FILENO, .format = LOG_LOGFMT };

bool log_enabled(log_level level)
{
    return (int)level >= atomic_load_explicit(&process.level, memory_order_relaxed);
}

void log_set_request_id(str id)
{
    worker_self.log_request_id = id;
}

static void sleep_ms(uint32_t ms)
{
    const struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
    nanosleep(&pause, NULL);
}

/* --- the producers' side ---------------------------------------------------------------------- */

/* Returns whether the calling thread held the lock already, in a fiber that is no more. */
static bool sink_lock(log_sink *s)
{
    const uintptr_t self = (uintptr_t)&worker_self;
    for (uint32_t spins = 0;; spins++) {
        uintptr_t holder = 0;
        if (atomic_compare_exchange_weak_explicit(&s->holder, &holder, self, memory_order_acquire,
                                                  memory_order_relaxed))
            return false;
        if (holder == self)
            return true;
        if (spins < SPINS_BEFORE_SLEEP)
            sched_yield();
        else
            sleep_ms(1);
    }
}

static void sink_unlock(log_sink *s)
{
    atomic_store_explicit(&s->holder, 0, memory_order_release);
}

static void ring_copy_in(log_sink *s, uint64_t at, str bytes)
{
    const size_t from = at % RING_BYTES;
    const size_t part = bytes.len < RING_BYTES - from ? bytes.len : RING_BYTES - from;
    memcpy(s->ring + from, bytes.ptr, part);
    memcpy(s->ring, bytes.ptr + part, bytes.len - part);
}

/* The line that tells of `lost` others, in the note's memory. */
static void write_dropped_note(uint64_t lost, log_line *note)
{
    const log_field count = LOG_UINT("count", lost);
    log_line_begin(note, clock_wall(), LOG_WARN, STR("log lines dropped"), STR_NONE);
    log_line_field(note, &count);
    log_line_end(note);
}

/* Puts the line, after one (in the memory of `note`) that tells of lines lost before it; both or
 * neither. */
static void sink_put(log_sink *s, str line, log_line *note)
{
    const bool taken_over = sink_lock(s);
    const uint64_t head = atomic_load(&s->head), tail = atomic_load(&s->tail);
    const uint64_t dropped = atomic_load(&s->dropped), untold = dropped - atomic_load(&s->told);
    if (atomic_load(&s->note_end) > head)
        atomic_store(&s->note_end, 0); /* it never came to be: its fiber was abandoned */
    if (untold > 0 && atomic_load(&s->note_end) <= tail)
        write_dropped_note(untold, note);
    if (note->len + line.len > RING_BYTES - (head - tail)) {
        atomic_fetch_add(&s->dropped, 1);
    } else {
        ring_copy_in(s, head, (str){ note->text, note->len });
        ring_copy_in(s, head + note->len, line);
        if (note->len > 0) {
            atomic_store(&s->note_end, head + note->len);
            atomic_store(&s->note_count, untold);
            atomic_fetch_add(&s->told, untold);
        }
        atomic_store(&s->head, head + note->len + line.len);
        if (atomic_load(&s->tail) == head || taken_over)
            sem_post(&s->wake);
    }
    sink_unlock(s);
}

/* --- writing --------------------------------------------------------------------------------- */

/* Waits until the sink takes bytes, or is broken. */
static bool wait_writable(int fd, int ms)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    return poll(&p, 1, ms) > 0;
}

/* Without a writer thread: a command-line program, or a process that has just been forked. A sink
 * that stalls for long loses the line's rest. */
static void write_directly(int fd, str bytes)
{
    while (bytes.len > 0) {
        if (!wait_writable(fd, DIRECT_WAIT_MS))
            return;
        const ssize_t written = write(fd, bytes.ptr, bytes.len);
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            return;
        if (written > 0)
            bytes = str_slice(bytes, (size_t)written, bytes.len);
    }
}

/* Bytes from `tail` on that go out together: whole lines, as many as one call may take, so that
 * processes that share a sink do not tear each other's lines. */
static size_t chunk_len(const log_sink *s, uint64_t tail, uint64_t head)
{
    if (head - tail <= s->write_bytes_max)
        return (size_t)(head - tail);
    size_t len = s->write_bytes_max;
    while (len > 0 && s->ring[(tail + len - 1) % RING_BYTES] != '\n')
        len--;
    if (len > 0)
        return len;
    len = s->write_bytes_max + 1; /* one long line */
    while (s->ring[(tail + len - 1) % RING_BYTES] != '\n')
        len++;
    return len;
}

/* Writes from the ring, after the end that a torn line lacks. Returns how many bytes of the ring
 * went out, or -1 with errno. */
static ssize_t ring_write(log_sink *s, uint64_t from, size_t len)
{
    char line_end = '\n';
    const size_t at = from % RING_BYTES;
    const size_t part = len < RING_BYTES - at ? len : RING_BYTES - at;
    const struct iovec pieces[] = {
        { .iov_base = &line_end, .iov_len = s->torn },
        { .iov_base = s->ring + at, .iov_len = part },
        { .iov_base = s->ring, .iov_len = len - part },
    };
    const ssize_t written = writev(s->fd, pieces, ARRAY_LEN(pieces));
    if (written <= 0 || !s->torn)
        return written;
    s->torn = false;
    return written - 1;
}

/* What the sink does not take for good is lost, and counted; but for a note, whose lines are told
 * of again. */
static void lose(log_sink *s, uint64_t from, uint64_t to, uint64_t chunk)
{
    if (from > chunk)
        s->torn = s->ring[(from - 1) % RING_BYTES] != '\n';
    for (; from < to; from++) {
        if (s->ring[from % RING_BYTES] != '\n')
            continue;
        if (from + 1 == atomic_load(&s->note_end))
            atomic_fetch_sub(&s->told, atomic_load(&s->note_count));
        else
            atomic_fetch_add(&s->dropped, 1);
    }
}

/* Writes [tail, to) or loses what cannot be written. False when told to give up. */
static bool write_chunk(log_sink *s, uint64_t tail, uint64_t to)
{
    uint64_t at = tail;
    while (at < to) {
        const bool writable = wait_writable(s->fd, POLL_MS);
        if (atomic_load(&s->state) == SINK_GIVING_UP)
            return false;
        if (!writable)
            continue;
        const ssize_t written = ring_write(s, at, (size_t)(to - at));
        if (written >= 0) {
            at += (uint64_t)written;
        } else if (errno != EINTR && errno != EAGAIN) {
            lose(s, at, to, tail);
            return true;
        }
    }
    return true;
}

static void *writer_main(void *arg)
{
    log_sink *s = arg;
    for (;;) {
        const uint64_t tail = atomic_load(&s->tail), head = atomic_load(&s->head);
        if (tail == head) {
            if (atomic_load(&s->state) != SINK_RUNNING)
                break;
            while (sem_wait(&s->wake) < 0 && errno == EINTR)
                ;
            continue;
        }
        const uint64_t to = tail + chunk_len(s, tail, head);
        if (!write_chunk(s, tail, to))
            break;
        atomic_store(&s->tail, to);
    }
    atomic_store(&s->state, SINK_ENDED);
    return NULL;
}

/* --- what callers see ------------------------------------------------------------------------- */

void log_write(log_level level, const char *message, const log_field *fields, size_t count)
{
    static_assert(LINES_MEMORY_BYTES <= BLOCK_CAPACITY, "a line and a note fit a block");
    log_sink *s = atomic_load(&process.open);
    block *memory = block_acquire(LINES_MEMORY_BYTES);
    if (!memory) {
        if (s)
            atomic_fetch_add(&s->dropped, 1);
        return;
    }
    log_line line = { .text = memory->data,
                      .bytes_max = LOG_LINE_BYTES_MAX,
                      .format = s ? s->format : process.format };
    log_line_begin(&line, clock_wall(), level, str_from_c(message), worker_self.log_request_id);
    for (size_t i = 0; i < count; i++)
        log_line_field(&line, &fields[i]);
    log_line_end(&line);
    const str text = { line.text, line.len };
    log_line note = { .text = memory->data + LOG_LINE_BYTES_MAX,
                      .bytes_max = NOTE_BYTES,
                      .format = line.format };
    if (s)
        sink_put(s, text, &note);
    else
        write_directly(process.fd, text);
    block_release(&memory);
}

void log_emergency(str message)
{
    const int errno_before = errno;
    log_sink *s = atomic_load(&process.open);
    for (uint32_t ms = 0; s && ms < POLL_MS && atomic_load(&s->head) != atomic_load(&s->tail); ms++)
        sleep_ms(1);
    char text[EMERGENCY_BYTES];
    log_line line = { .text = text,
                      .bytes_max = sizeof text,
                      .format = s ? s->format : process.format };
    log_line_begin(&line, clock_wall(), LOG_ERROR, message, worker_self.log_request_id);
    log_line_end(&line);
    const int fd = s ? s->fd : process.fd;
    if (wait_writable(fd, POLL_MS) && write(fd, line.text, line.len) < 0)
        errno = errno_before; /* nobody is left to be told */
    errno = errno_before;
}

bool log_flush(uint32_t timeout_ms)
{
    log_sink *s = atomic_load(&process.open);
    if (!s)
        return true;
    const uint64_t until = atomic_load(&s->head);
    for (uint32_t ms = 0; atomic_load(&s->tail) < until; ms++) {
        if (ms >= timeout_ms)
            return false;
        sleep_ms(1);
    }
    return true;
}

uint64_t log_dropped(void)
{
    log_sink *s = atomic_load(&process.open);
    return s ? atomic_load(&s->dropped) : 0;
}

/* --- life ------------------------------------------------------------------------------------ */

/* The lines in the ring are the parent's, which writes them. The child writes directly until it
 * opens a sink of its own. */
static void forked(void)
{
    log_sink *s = atomic_load(&process.open);
    if (!s)
        return;
    atomic_store(&process.open, NULL);
    process.inherited = s;
}

static void watch_forks(void)
{
    const int failed = pthread_atfork(NULL, NULL, forked);
    invariant(failed == 0);
}

/* Signals are the loop's, so the writer takes none; SIGPIPE of its sink included. */
static int start_writer(log_sink *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&s->writer, NULL, writer_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static log_format format_for(int fd, log_format format)
{
    return format != LOG_AUTO ? format : isatty(fd) ? LOG_LOGFMT : LOG_JSON;
}

void log_set_direct(int fd, log_level level, log_format format)
{
    process.fd = fd;
    process.format = format_for(fd, format);
    atomic_store(&process.level, (int)level);
}

error log_open(int fd, log_level level, log_format format)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    log_close();
    log_sink *s = process.inherited ? process.inherited : malloc(sizeof *s);
    process.inherited = NULL;
    if (!s)
        return error_set(&OUT_OF_MEMORY, "no memory for the log's ring");
    memset(s, 0, offsetof(log_sink, ring));
    struct stat about;
    const bool atomic_up_to_pipe_buf = fstat(fd, &about) == 0 && S_ISFIFO(about.st_mode);
    s->fd = fd;
    s->format = format_for(fd, format);
    s->write_bytes_max = atomic_up_to_pipe_buf ? PIPE_BUF : WRITE_BYTES;
    sem_init(&s->wake, 0, 0);
    const int failed = start_writer(s);
    if (failed) {
        free(s);
        return error_set_errno(&SYSTEM_FAILED, failed, "pthread_create");
    }
    process.fd = s->fd;
    process.format = s->format;
    atomic_store(&process.level, (int)level);
    atomic_store(&process.open, s);
    return OK;
}

/* A writer that hangs in its sink cannot be joined: it and its ring go with the process. */
static void stop_writer(log_sink *s, bool flushed)
{
    atomic_store(&s->state, flushed ? SINK_DRAINING : SINK_GIVING_UP);
    sem_post(&s->wake);
    for (uint32_t ms = 0; ms < 3 * POLL_MS && atomic_load(&s->state) != SINK_ENDED; ms++)
        sleep_ms(1);
    if (atomic_load(&s->state) != SINK_ENDED) {
        pthread_detach(s->writer);
        return;
    }
    pthread_join(s->writer, NULL);
    sem_destroy(&s->wake);
    free(s);
}

void log_close(void)
{
    log_sink *s = atomic_load(&process.open);
    if (!s)
        return;
    const bool flushed = log_flush(CLOSE_WAIT_MS);
    atomic_store(&process.open, NULL);
    process.fd = STDERR_FILENO;
    process.format = LOG_LOGFMT;
    stop_writer(s, flushed);
}
