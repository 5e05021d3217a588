/* The log on real sinks: pipes that stall, break and fill, a terminal, a full disk, forks. */
#include "log_line.h"

#include "core/block.h"
#include "core/crash.h"
#include "core/json.h"
#include "core/log.h"
#include "core/offload.h"
#include "tests/support/in_fiber.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- a sink that the test reads --------------------------------------------------------------- */

typedef struct sink {
    int reader, writer;
    buf text;
} sink;

static sink out;

static int setup(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    out = (sink){ .reader = ends[0], .writer = ends[1] };
    buf_init(&out.text, (size_t)64 << 20);
    log_set_request_id(STR_NONE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    log_close();
    if (out.reader >= 0)
        close(out.reader);
    if (out.writer >= 0)
        close(out.writer);
    buf_deinit(&out.text);
    block_pool_trim();
    return 0;
}

/* Takes what is there; false at the end of file, or when nothing came for `ms`. */
static bool read_some(int fd, int ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    if (poll(&p, 1, ms) <= 0)
        return false;
    char *to = buf_reserve(&out.text, 65536);
    const ssize_t got = read(fd, to, 65536);
    if (got <= 0)
        return false;
    buf_commit(&out.text, (size_t)got);
    return true;
}

/* Everything logged so far, read while it is written. */
static str flushed(void)
{
    while (!log_flush(1)) {
        while (read_some(out.reader, 0))
            ;
    }
    while (read_some(out.reader, 0))
        ;
    return buf_str(&out.text);
}

static bool has(str text, const char *part)
{
    return text.len > 0 && memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

static size_t count_lines(str text)
{
    size_t lines = 0;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    return lines;
}

/* Parses the only line there is. */
static void parse_only_line(arena *a, str text, json *line)
{
    assert_int_equal(count_lines(text), 1);
    assert_int_equal(text.ptr[text.len - 1], '\n');
    text.len--;
    assert_ok(json_parse(a, text, line));
    assert_int_equal(line->type, JSON_OBJECT);
}

static str member_string(const json *line, const char *key)
{
    const json *member = json_find(line, str_from_c(key));
    if (!member || member->type != JSON_STRING)
        fail_msg("no string %s", key);
    return member->string;
}

/* --- lines ----------------------------------------------------------------------------------- */

static ERROR_KIND(BOOM, ERROR_INTERNAL, "boom");

static void test_log_json_line_has_time_level_message_and_typed_fields(void **state)
{
    (void)state;
    assert_ok(log_open(out.writer, LOG_INFO, LOG_AUTO)); /* a pipe: JSON */
    log_warn("worker started", LOG_INT("pid", -12), LOG_STR("name", STR("w\"1")),
             LOG_UINT("big", UINT64_MAX), LOG_DOUBLE("load", 0.1), LOG_BOOL("ok", true),
             LOG_CSTR("none", NULL), LOG_DOUBLE("nan", (double)NAN));
    arena a;
    arena_init(&a, 1 << 20);
    json line;
    const str text = flushed();
    parse_only_line(&a, text, &line);
    const str time = member_string(&line, "time");
    timestamptz parsed;
    assert_int_equal(time.len, 24);
    assert_true(timestamptz_parse(time, &parsed));
    const int64_t age_us = timestamptz_now().us - parsed.us;
    assert_true(age_us >= 0 && age_us < (int64_t)3600 * 1000000);
    assert_str_equal(member_string(&line, "level"), STR("warn"));
    assert_str_equal(member_string(&line, "message"), STR("worker started"));
    assert_int_equal(json_find(&line, STR("pid"))->integer, -12);
    assert_str_equal(member_string(&line, "name"), STR("w\"1"));
    assert_true(has(text, "\"big\":18446744073709551615,\"load\":0.1,\"ok\":true"));
    assert_str_equal(member_string(&line, "none"), STR(""));
    assert_int_equal(json_find(&line, STR("nan"))->type, JSON_NULL);
    assert_null(json_find(&line, STR("request_id")));
    assert_null(json_find(&line, STR("cut")));
    arena_deinit(&a);
}

static void test_log_terminal_gets_logfmt(void **state)
{
    (void)state;
    int master, terminal;
    assert_int_equal(openpty(&master, &terminal, NULL, NULL, NULL), 0);
    assert_ok(log_open(terminal, LOG_INFO, LOG_AUTO));
    log_set_request_id(STR("r-1"));
    log_info("hello world", LOG_INT("n", 7), LOG_CSTR("plain", "a/b"), LOG_CSTR("spaced", "a b"),
             LOG_CSTR("assigned", "a=b"), LOG_CSTR("empty", ""),
             LOG_DOUBLE("inf", (double)INFINITY));
    assert_true(log_flush(5000));
    while (!has(buf_str(&out.text), "\n") && read_some(master, 5000))
        ;
    assert_true(has(buf_str(&out.text),
                    " level=info message=\"hello world\" request_id=r-1 n=7 plain=a/b "
                    "spaced=\"a b\" assigned=\"a=b\" empty=\"\" inf=inf\r\n"));
    assert_true(str_starts_with(buf_str(&out.text), STR("time=20")));
    log_close();
    close(master);
    close(terminal);
}

static void test_log_error_comes_with_its_causes(void **state)
{
    (void)state;
    assert_ok(log_open(out.writer, LOG_INFO, LOG_JSON));
    error e = error_set(&TIMED_OUT, "after %d ms", 30);
    e = error_wrap(e, &BOOM, "line one\nline two");
    log_error("query failed", LOG_ERR(e), LOG_INT("after", 1));
    arena a;
    arena_init(&a, 1 << 20);
    json line;
    parse_only_line(&a, flushed(), &line);
    const str text = member_string(&line, "error");
    assert_true(has(text, "BOOM: line one\nline two"));
    assert_true(has(text, "TIMED_OUT: after 30 ms"));
    assert_int_equal(json_find(&line, STR("after"))->integer, 1);
    arena_deinit(&a);
}

static void test_log_values_cannot_forge_lines_or_fields(void **state)
{
    (void)state;
    static const struct {
        str value;
        const char *shown;
    } rows[] = {
        { { "a\nlevel=error message=forged", 28 }, "v=\"a\\nlevel=error message=forged\"" },
        { { "a\r\nb", 4 }, "v=\"a\\r\\nb\"" },
        { { "x\" admin=\"true", 14 }, "v=\"x\\\" admin=\\\"true\"" },
        { { "back\\slash", 10 }, "v=\"back\\\\slash\"" },
        { { "\x1b[2J\x07", 5 }, "v=\"\\u001b[2J\\u0007\"" },
        { { "nul\0nul", 7 }, "v=\"nul\\u0000nul\"" },
        { { "del\x7F", 4 }, "v=\"del\\u007f\"" },
        { { "c1\xC2\x9B", 4 }, "v=\"c1\\u009b\"" },
        { { "ls\xE2\x80\xA8", 5 }, "v=\"ls\\u2028\"" },
        { { "rtl\xE2\x80\xAE", 6 }, "v=\"rtl\\u202e\"" },
        { { "bom\xEF\xBB\xBF", 6 }, "v=\"bom\\ufeff\"" },
        { { "bad\xFF\xC3", 5 }, "v=\"bad\\ufffd\\ufffd\"" },
        { { "gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80", 15 },
          "v=\"gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80\"" },
    };
    arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_ok(log_open(out.writer, LOG_INFO, LOG_LOGFMT));
        buf_reset(&out.text);
        log_info("m", LOG_STR("v", rows[i].value));
        str text = flushed();
        assert_int_equal(count_lines(text), 1);
        if (!has(text, rows[i].shown))
            fail_msg("%.*s lacks %s", STR_ARG(text), rows[i].shown);
        assert_ok(log_open(out.writer, LOG_INFO, LOG_JSON));
        buf_reset(&out.text);
        log_info("m", LOG_STR("v", rows[i].value));
        text = flushed();
        assert_int_equal(count_lines(text), 1);
        /* NUL is RFC 8259's, but not of our reader, which refuses what text cannot hold. */
        assert_int_equal(json_is_valid(str_trim(text, STR("\n"))), !has(text, "\\u0000"));
        assert_true(has(text, strchr(rows[i].shown, '"')));
    }
    arena_deinit(&a);
}

static void test_log_message_id_and_key_are_escaped_too(void **state)
{
    (void)state;
    assert_ok(log_open(out.writer, LOG_INFO, LOG_LOGFMT));
    log_set_request_id(STR("id\nx"));
    log_info("two\nlines", LOG_INT("a key=1\n", 5));
    const str text = flushed();
    assert_int_equal(count_lines(text), 1);
    assert_true(has(text, " message=\"two\\nlines\" request_id=\"id\\nx\" a_key_1_=5\n"));
}

/* Every length around the ceiling, in the message, a value, and many fields: the line stays whole.
 */
static void test_log_line_too_long_is_cut_and_stays_valid(void **state)
{
    (void)state;
    static char text[3 * LOG_LINE_BYTES_MAX];
    static char memory[LOG_LINE_BYTES_MAX];
    for (size_t i = 0; i + 3 <= sizeof text; i += 3)
        memcpy(text + i, i % 2 ? "\xE2\x82\xAC" : "\x01\"x", 3);
    for (log_format format = LOG_LOGFMT; format <= LOG_JSON; format++) {
        for (size_t len = 0; len < sizeof text; len += len < 7000 ? 499 : 7) {
            const log_field fields[] = { LOG_INT("one", 1), LOG_STR("v", ((str){ text, len })),
                                         LOG_INT("two", 2), LOG_STR("w", ((str){ text, len })) };
            log_line line = { .text = memory, .bytes_max = sizeof memory, .format = format };
            log_line_begin(&line, (struct timespec){ 0 }, LOG_INFO, (str){ text, len / 4 },
                           STR("r"));
            for (size_t i = 0; i < ARRAY_LEN(fields); i++)
                log_line_field(&line, &fields[i]);
            log_line_end(&line);
            const str s = { line.text, line.len };
            assert_true(s.len <= LOG_LINE_BYTES_MAX);
            assert_int_equal(count_lines(s), 1);
            assert_true(str_is_utf8(s));
            const bool is_json = json_is_valid(str_trim(s, STR("\n")));
            assert_int_equal(is_json, format == LOG_JSON);
            assert_int_equal(line.cut, has(s, format == LOG_JSON ? "\"cut\":true" : " cut=true"));
            assert_true(line.cut || has(s, format == LOG_JSON ? "\"two\":2" : " two=2"));
        }
    }
}

static void test_log_plain_text_too_long_fills_the_line_to_the_mark(void **state)
{
    (void)state;
    static char text[100000];
    memset(text, 'x', sizeof text);
    assert_ok(log_open(out.writer, LOG_INFO, LOG_LOGFMT));
    log_info("m", LOG_STR("v", ((str){ text, sizeof text })), LOG_INT("after", 1));
    const str s = flushed();
    assert_in_range(s.len, LOG_LINE_BYTES_MAX - 64, LOG_LINE_BYTES_MAX);
    assert_true(str_ends_with(s, STR("xxx\xE2\x80\xA6\" cut=true\n")));
}

static void test_log_time_agrees_with_the_c_library(void **state)
{
    (void)state;
    char memory[LOG_LINE_BYTES_MIN];
    for (int64_t t = 0; t < 253402300800; t += 7777777 + t / 1000) {
        log_line line = { .text = memory, .bytes_max = sizeof memory, .format = LOG_LOGFMT };
        log_line_begin(&line, (struct timespec){ .tv_sec = t, .tv_nsec = 987654321 }, LOG_INFO,
                       STR("m"), STR_NONE);
        struct tm utc;
        char expected[64];
        gmtime_r(&(time_t){ t }, &utc);
        const size_t len = strftime(expected, sizeof expected, "time=%Y-%m-%dT%H:%M:%S.987Z", &utc);
        assert_memory_equal(line.text, expected, len);
    }
}

/* --- levels ---------------------------------------------------------------------------------- */

static int evaluated;
static int64_t evaluate(void)
{
    return ++evaluated;
}

static void test_log_below_the_level_evaluates_nothing(void **state)
{
    (void)state;
    assert_ok(log_open(out.writer, LOG_WARN, LOG_JSON));
    log_debug("d", LOG_INT("n", evaluate()));
    log_info("i", LOG_INT("n", evaluate()));
    assert_int_equal(evaluated, 0);
    log_warn("w", LOG_INT("n", evaluate()));
    log_error("e");
    assert_int_equal(evaluated, 1);
    assert_int_equal(count_lines(flushed()), 2);
    assert_ok(log_open(out.writer, LOG_OFF, LOG_JSON));
    log_error("e");
    assert_int_equal(count_lines(flushed()), 2);
}

/* --- sinks that fail -------------------------------------------------------------------------- */

/* Fills the pipe, so that the sink takes nothing until something is read. Returns how much. */
static size_t fill_pipe(void)
{
    static const char filler[4096];
    size_t bytes = 0;
    assert_int_equal(fcntl(out.writer, F_SETFL, O_NONBLOCK), 0);
    for (ssize_t n = 0; n >= 0; bytes += n > 0 ? (size_t)n : 0)
        n = write(out.writer, filler, sizeof filler);
    assert_int_equal(fcntl(out.writer, F_SETFL, 0), 0);
    return bytes;
}

static void test_log_stalled_sink_drops_lines_and_tells_how_many(void **state)
{
    (void)state;
    enum {
        LINES = 30000
    };
    const size_t filler = fill_pipe();
    assert_ok(log_open(out.writer, LOG_INFO, LOG_JSON));
    for (int i = 0; i < LINES; i++) /* nobody reads: more than the ring holds */
        log_info("a line that is long enough to fill the ring soon", LOG_INT("n", i));
    const uint64_t dropped = log_dropped();
    assert_in_range(dropped, 1, LINES);
    assert_false(log_flush(20));
    flushed();
    buf_consume(&out.text, filler);
    assert_int_equal(count_lines(buf_str(&out.text)), LINES - dropped);
    buf_reset(&out.text);
    log_info("back again");
    log_info("and again");
    str rest = flushed();
    assert_int_equal(count_lines(rest), 3);
    char expected[64];
    snprintf(expected, sizeof expected, "\"message\":\"log lines dropped\",\"count\":%lu}",
             (unsigned long)dropped);
    const str note = str_cut(&rest, '\n');
    assert_true(json_is_valid(note));
    assert_true(has(note, expected));
    assert_true(has(note, "\"time\":\"20"));
    assert_true(has(str_cut(&rest, '\n'), "back again"));
    assert_int_equal(log_dropped(), dropped);
}

static void test_log_lines_through_a_slow_pipe_are_whole_and_in_order(void **state)
{
    (void)state;
    enum {
        LINES = 5000
    };
    static char filler[3000];
    memset(filler, 'f', sizeof filler);
    assert_ok(log_open(out.writer, LOG_INFO, LOG_JSON));
    int64_t dropped_before = 0;
    for (int i = 0; i < LINES; i++) {
        log_info("l", LOG_INT("n", i), LOG_STR("f", ((str){ filler, (size_t)(i * 7 % 3000) })));
        if (i % 50 == 0)
            flushed();
    }
    str rest = flushed();
    arena a;
    arena_init(&a, 1 << 20);
    int64_t last = -1, lines = 0;
    while (rest.len > 0) {
        json line;
        assert_ok(json_parse(&a, str_cut(&rest, '\n'), &line));
        const json *n = json_find(&line, STR("n")), *lost = json_find(&line, STR("count"));
        if (lost) {
            dropped_before += lost->integer;
            continue;
        }
        assert_true(n->integer > last);
        last = n->integer;
        lines++;
        arena_reset(&a);
    }
    assert_true(lines + (int64_t)log_dropped() == LINES);
    assert_true(dropped_before <= (int64_t)log_dropped());
    arena_deinit(&a);
}

static void test_log_broken_pipe_costs_lines_only(void **state)
{
    (void)state;
    assert_ok(log_open(out.writer, LOG_INFO, LOG_JSON));
    close(out.reader);
    out.reader = -1;
    for (int i = 0; i < 100; i++)
        log_info("into the void");
    assert_true(log_flush(5000));
    assert_int_equal(log_dropped(), 100);
}

static void test_log_full_disk_costs_lines_only(void **state)
{
    (void)state;
    const int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_ok(log_open(fd, LOG_INFO, LOG_JSON));
    log_info("one");
    log_info("two");
    assert_true(log_flush(5000));
    assert_int_equal(log_dropped(), 2);
    log_close();
    close(fd);
}

/* A file that may not grow takes a line's beginning, then nothing; later it takes all again. */
static void test_log_sink_that_recovers_gets_whole_lines_and_the_count(void **state)
{
    (void)state;
    const int fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(fd >= 0);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_ok(log_open(fd, LOG_INFO, LOG_LOGFMT));
    assert_int_equal(
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){ .rlim_cur = 10, .rlim_max = before.rlim_max }),
        0);
    for (int i = 0; i < 5; i++) {
        log_info("lost");
        assert_true(log_flush(5000)); /* one by one: each comes with a note, which is lost too */
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(log_dropped(), 5);
    log_info("back");
    assert_true(log_flush(5000));
    assert_int_equal(log_dropped(), 5);
    char text[1000];
    const ssize_t len = pread(fd, text, sizeof text, 0);
    assert_true(len > 0);
    str rest = { text, (size_t)len };
    assert_int_equal(count_lines(rest), 3);
    assert_int_equal(str_cut(&rest, '\n').len, 10); /* the torn line, ended */
    assert_true(has(str_cut(&rest, '\n'), " message=\"log lines dropped\" count=5"));
    assert_true(has(str_cut(&rest, '\n'), " message=back"));
    log_close();
    close(fd);
}

static void test_log_nonblocking_sink_gets_everything(void **state)
{
    (void)state;
    assert_int_equal(fcntl(out.writer, F_SETFL, O_NONBLOCK), 0);
    assert_ok(log_open(out.writer, LOG_INFO, LOG_JSON));
    for (int i = 0; i < 3000; i++)
        log_info("a line into a pipe that says EAGAIN", LOG_INT("n", i));
    assert_int_equal(count_lines(flushed()), 3000);
    assert_int_equal(log_dropped(), 0);
}

static void test_log_close_with_a_stalled_sink_comes_back(void **state)
{
    (void)state;
    assert_ok(log_open(out.writer, LOG_INFO, LOG_JSON));
    for (int i = 0; i < 3000; i++)
        log_info("a line that nobody will ever read, because the reader sleeps", LOG_INT("n", i));
    assert_false(log_flush(1));
    log_close();
    assert_int_equal(log_dropped(), 0);
    assert_true(log_flush(0));
}

/* --- threads, forks, faults ------------------------------------------------------------------- */

enum {
    THREADS = 4,
    LINES_A_THREAD = 2000
};

static void *log_many(void *arg)
{
    for (int i = 0; i < LINES_A_THREAD; i++)
        log_info("from a thread", LOG_INT("thread", *(int *)arg), LOG_INT("n", i));
    block_pool_trim();
    return NULL;
}

static void test_log_threads_do_not_mix_their_lines(void **state)
{
    (void)state;
    assert_ok(log_open(out.writer, LOG_INFO, LOG_JSON));
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    str rest = flushed();
    arena a;
    arena_init(&a, 1 << 20);
    int64_t next[THREADS] = { 0 };
    size_t lines = 0;
    while (rest.len > 0) {
        json line;
        assert_ok(json_parse(&a, str_cut(&rest, '\n'), &line));
        lines++;
        if (json_find(&line, STR("count")))
            continue;
        const int64_t thread = json_find(&line, STR("thread"))->integer;
        const int64_t n = json_find(&line, STR("n"))->integer;
        assert_in_range(thread, 0, THREADS - 1);
        assert_true(n >= next[thread]);
        next[thread] = n + 1;
        arena_reset(&a);
    }
    assert_true(lines >= THREADS * LINES_A_THREAD - log_dropped());
    arena_deinit(&a);
}

/* Runs `child` in a forked process; returns its wait status. */
static int in_child(void (*child)(void))
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        child();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void log_in_child(void)
{
    log_info("directly");
    if (!error_is_ok(log_open(out.writer, LOG_INFO, LOG_JSON)))
        _exit(1);
    log_info("by its own writer");
    if (!log_flush(5000))
        _exit(2);
    log_close();
}

static void test_log_forked_child_logs_at_once_and_then_by_a_writer_of_its_own(void **state)
{
    (void)state;
    assert_ok(log_open(out.writer, LOG_INFO, LOG_JSON));
    log_info("parent before");
    assert_int_equal(in_child(log_in_child), 0);
    log_info("parent after");
    const str text = flushed();
    assert_int_equal(count_lines(text), 4);
    assert_true(has(text, "{") && has(text, "\"message\":\"directly\"") &&
                has(text, "\"message\":\"by its own writer\"") && has(text, "parent after"));
}

static void test_log_direct_lines_have_the_level_and_format_that_were_set(void **state)
{
    (void)state;
    log_set_direct(out.writer, LOG_WARN, LOG_AUTO); /* a pipe: JSON */
    log_info("too fine");
    log_warn("in json");
    log_set_direct(out.writer, LOG_DEBUG, LOG_LOGFMT);
    log_debug("in logfmt");
    const str text = flushed();
    assert_int_equal(count_lines(text), 2);
    assert_true(has(text, "\"message\":\"in json\"") && has(text, "message=\"in logfmt\""));
    log_set_direct(STDERR_FILENO, LOG_INFO, LOG_LOGFMT);
}

static void on_segv(int signo)
{
    log_emergency(STR("fault\nin the \"handler\""));
    signal(signo, SIG_DFL);
    raise(signo);
}

static void die_in_child(void)
{
    if (!error_is_ok(log_open(out.writer, LOG_INFO, LOG_JSON)))
        _exit(1);
    log_set_request_id(STR("r-9"));
    signal(SIGSEGV, on_segv);
    log_info("before the fault");
    raise(SIGSEGV);
}

static void test_log_emergency_writes_the_last_line_of_a_dying_process(void **state)
{
    (void)state;
    const int status = in_child(die_in_child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    while (read_some(out.reader, 0))
        ;
    str rest = buf_str(&out.text);
    assert_int_equal(count_lines(rest), 2);
    assert_true(has(str_cut(&rest, '\n'), "before the fault"));
    const str last = str_cut(&rest, '\n');
    assert_true(json_is_valid(last));
    assert_true(has(last, "\"level\":\"error\",\"message\":\"fault\\nin the \\\"handler\\\"\","
                          "\"request_id\":\"r-9\"}"));
}

static void test_log_emergency_into_a_stalled_pipe_comes_back(void **state)
{
    (void)state;
    assert_ok(log_open(out.writer, LOG_INFO, LOG_JSON));
    for (int i = 0; i < 3000; i++)
        log_info("a line that nobody will ever read, because the reader sleeps", LOG_INT("n", i));
    log_emergency(STR("nobody will see this"));
    assert_false(has(flushed(), "nobody will see this"));
}

/* --- fibers ---------------------------------------------------------------------------------- */

static error log_with_own_id(void *arg)
{
    log_set_request_id(str_from_c(arg));
    for (int i = 0; i < 3; i++) {
        log_info("turn", LOG_INT("turn", i), LOG_CSTR("own", arg));
        TRY(fiber_yield());
    }
    return OK;
}

static error log_in_two_fibers(void *arg)
{
    (void)arg;
    static char one[] = "req-1", two[] = "req-2";
    wait_group group;
    wait_group_init(&group);
    TRY(wait_group_start(&group, log_with_own_id, one));
    TRY(wait_group_start(&group, log_with_own_id, two));
    TRY(wait_group_wait(&group));
    log_info("no id here");
    return OK;
}

static void test_log_request_id_follows_its_fiber(void **state)
{
    (void)state;
    assert_ok(log_open(out.writer, LOG_INFO, LOG_LOGFMT));
    assert_ok(loop_run_fiber(log_in_two_fibers, NULL));
    str rest = flushed();
    assert_int_equal(count_lines(rest), 7);
    for (int i = 0; i < 6; i++) {
        const str line = str_cut(&rest, '\n');
        const bool first = has(line, "request_id=req-1") && has(line, "own=req-1");
        const bool second = has(line, "request_id=req-2") && has(line, "own=req-2");
        assert_true(first != second);
    }
    assert_false(has(str_cut(&rest, '\n'), "request_id"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_log_json_line_has_time_level_message_and_typed_fields),
        TEST(test_log_terminal_gets_logfmt),
        TEST(test_log_error_comes_with_its_causes),
        TEST(test_log_values_cannot_forge_lines_or_fields),
        TEST(test_log_message_id_and_key_are_escaped_too),
        TEST(test_log_line_too_long_is_cut_and_stays_valid),
        TEST(test_log_plain_text_too_long_fills_the_line_to_the_mark),
        TEST(test_log_time_agrees_with_the_c_library),
        TEST(test_log_below_the_level_evaluates_nothing),
        TEST(test_log_stalled_sink_drops_lines_and_tells_how_many),
        TEST(test_log_lines_through_a_slow_pipe_are_whole_and_in_order),
        TEST(test_log_broken_pipe_costs_lines_only),
        TEST(test_log_full_disk_costs_lines_only),
        TEST(test_log_sink_that_recovers_gets_whole_lines_and_the_count),
        TEST(test_log_nonblocking_sink_gets_everything),
        TEST(test_log_close_with_a_stalled_sink_comes_back),
        TEST(test_log_threads_do_not_mix_their_lines),
        TEST(test_log_forked_child_logs_at_once_and_then_by_a_writer_of_its_own),
        TEST(test_log_direct_lines_have_the_level_and_format_that_were_set),
        TEST(test_log_emergency_writes_the_last_line_of_a_dying_process),
        TEST(test_log_emergency_into_a_stalled_pipe_comes_back),
        TEST(test_log_request_id_follows_its_fiber),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
