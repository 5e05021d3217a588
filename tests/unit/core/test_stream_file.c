/* Files as what streams send: over TCP and Unix sockets, TLS and memory, mixed with other writes,
 * into sockets with little room, from files that shrink, and where the kernel does not send files.
 */
#include "backend.h"

#include "core/fault.h"
#include "tests/support/memory_relay.h"
#include "tests/support/stream_pair.h"
#include "tests/support/tls_relay.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define SMALL_BUFFER_BYTES 16384

static const pair_kind *kind; /* the variant that runs */
static side a;
static int peer;
static buf heard; /* by the peer */
static stream_file *file;
static int file_fd; /* the same file, the test's own */

static int count_descriptors(void)
{
    int count = 0;
    DIR *all = opendir("/proc/self/fd");
    assert_non_null(all);
    while (readdir(all)) /* NOLINT(concurrency-mt-unsafe): a stream of our own */
        count++;
    closedir(all);
    return count;
}

static int setup(void **state)
{
    (void)state;
    side_init(&a);
    buf_init(&heard, (size_t)1 << 28);
    peer = file_fd = -1;
    file = NULL;
    fault_clear();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fault_clear();
    side_deinit(&a);
    buf_deinit(&heard);
    stream_file_release(&file);
    if (peer >= 0)
        close(peer);
    if (file_fd >= 0)
        close(file_fd);
    return a.stream || a.calls_after_closed ? -1 : 0;
}

static void open_a(int buffer_bytes)
{
    peer = pair_open(kind, NULL, buffer_bytes, &a);
    if (buffer_bytes && stream_fd(a.stream) >= 0)
        peer_buffers(stream_fd(a.stream), buffer_bytes);
}

/* A nameless file of the pattern's first `bytes`. */
static void make_file(size_t bytes)
{
    file_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(file_fd >= 0);
    for (size_t at = 0; at < bytes; at += PATTERN_BYTES) {
        const str part = pattern(at, bytes - at < PATTERN_BYTES ? bytes - at : PATTERN_BYTES);
        assert_int_equal(pwrite(file_fd, part.ptr, part.len, (off_t)at), (ssize_t)part.len);
    }
    const int fd = fcntl(file_fd, F_DUPFD_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_ok(stream_file_new(fd, &file));
    assert_int_equal(stream_file_fd(file), fd);
}

/* Closes the stream's end properly and looks that nothing was the matter. */
static void close_a(void)
{
    stream_close(a.stream, 1000);
    close(peer);
    peer = -1;
    eventually(a.closed);
    assert_ok(a.why);
}

/* --- order and bytes -------------------------------------------------------------------------- */

static void test_stream_file_among_other_writes_is_sent_in_order(void **state)
{
    (void)state;
    enum {
        BYTES = 400000
    };
    open_a(0);
    make_file(BYTES);
    block *kept = block_acquire(BLOCK_CAPACITY);
    assert_non_null(kept);
    size_t at = 0;
    for (unsigned i = 0; at < BYTES; i++) {
        const size_t step = i * 7919 % 9000 + 1;
        const size_t part = BYTES - at < step ? BYTES - at : step;
        if (i % 3 == 0) {
            stream_write(a.stream, pattern(at, part));
        } else if (i % 3 == 1 && at + part <= BLOCK_CAPACITY) {
            memcpy(kept->data + at, pattern(at, part).ptr, part);
            stream_write_block(a.stream, kept, (str){ kept->data + at, part });
        } else {
            stream_write_file(a.stream, file, at, part);
            assert_non_null(stream_reserve(a.stream, 100)); /* and nothing committed */
            stream_write_file(a.stream, file, at, 0);
        }
        at += part;
        if (i % 11 == 0)
            assert_ok(fiber_yield());
    }
    stream_file_release(&file); /* the stream keeps it */
    peer_receive(peer, &heard, BYTES);
    assert_true(pattern_is(0, buf_str(&heard)));
    eventually(stream_queued(a.stream) == 0);
    assert_int_equal(kept->references, 1);
    block_release(&kept);
    close_a();
}

static void test_stream_file_is_closed_once_it_is_sent(void **state)
{
    (void)state;
    open_a(0);
    make_file(100000);
    const int fd = stream_file_fd(file);
    stream_write_file(a.stream, file, 10, 50000);
    stream_write_file(a.stream, file, 50010, 49990);
    assert_int_equal(stream_queued(a.stream), 99990);
    stream_file_release(&file);
    assert_null(file);
    assert_true(fcntl(fd, F_GETFD) >= 0);
    peer_receive(peer, &heard, 99990);
    assert_true(pattern_is(10, buf_str(&heard)));
    eventually(fcntl(fd, F_GETFD) == -1);
    close_a();
}

static void test_stream_file_leaves_with_the_turns_other_writes(void **state)
{
    (void)state;
    open_a(0);
    make_file(1000);
    fault_at("stream.send", 1000000);
    stream_write(a.stream, pattern(0, 100));
    stream_write_file(a.stream, file, 100, 800);
    stream_write(a.stream, pattern(900, 100));
    assert_int_equal(fault_passed("stream.send"), 0);
    peer_receive(peer, &heard, 1000);
    assert_int_equal(fault_passed("stream.send"), 1);
    assert_true(pattern_is(0, buf_str(&heard)));
}

static void test_stream_file_through_full_sockets_loses_nothing(void **state)
{
    (void)state;
    enum {
        BYTES = 700000
    };
    open_a(SMALL_BUFFER_BYTES);
    make_file(BYTES);
    stream_write(a.stream, pattern(0, 3));
    stream_write_file(a.stream, file, 3, BYTES - 6);
    stream_write(a.stream, pattern(BYTES - 3, 3));
    unsigned x = 1;
    for (int idle = 0; heard.len < BYTES; idle++) {
        assert_true(idle < 100000);
        x = x * 1103515245U + 12345U;
        if (peer_receive_some(peer, &heard, x % 3000 + 1) == -1)
            assert_ok(fiber_sleep(1));
        assert_ok(fiber_yield());
    }
    assert_true(pattern_is(0, buf_str(&heard)));
    eventually(stream_queued(a.stream) == 0);
    assert_int_equal(a.drained > 0, 1); /* more than the high watermark was queued */
    close_a();
}

static void test_stream_file_beyond_four_gib_is_sent(void **state)
{
    (void)state;
    const uint64_t far = ((uint64_t)5 << 30) + 12345;
    open_a(0);
    make_file(10);
    for (size_t at = 0; at < 300000; at += 60000) {
        const str part = pattern(at, 60000);
        assert_int_equal(pwrite(file_fd, part.ptr, part.len, (off_t)(far + at)), 60000);
    }
    assert_ok(stream_file_load(file, far, 300000));
    stream_write_file(a.stream, file, far - 5, 5);
    stream_write_file(a.stream, file, far, 300000);
    peer_receive(peer, &heard, 300005);
    assert_str_equal(str_slice(buf_str(&heard), 0, 5), ((str){ "\0\0\0\0\0", 5 }));
    assert_true(pattern_is(0, str_slice(buf_str(&heard), 5, heard.len)));
    close_a();
}

static void test_stream_file_the_kernel_does_not_send_is_read(void **state)
{
    (void)state;
    enum {
        BYTES = 500000
    };
    open_a(SMALL_BUFFER_BYTES);
    make_file(BYTES);
    fault_always("stream.sendfile");
    stream_write(a.stream, pattern(0, 7));
    stream_write_file(a.stream, file, 7, BYTES - 7);
    peer_receive(peer, &heard, BYTES);
    assert_true(pattern_is(0, buf_str(&heard)));
    close_a();
}

/* --- many bytes ------------------------------------------------------------------------------- */

/* Reads the pattern of an endless peer until `total` have come. */
static void receive_pattern(size_t total)
{
    for (size_t got = 0; got < total;) {
        buf_reset(&heard);
        peer_receive(peer, &heard, total - got < 60000 ? total - got : 60000);
        assert_true(pattern_is(got, buf_str(&heard)));
        got += heard.len;
    }
}

/* One that takes all there is does not keep the loop from its timers. */
static void test_stream_file_of_many_megabytes_leaves_others_their_turn(void **state)
{
    (void)state;
    const size_t bytes = (size_t)64 << 20;
    open_a(0);
    make_file(bytes);
    const uint64_t queued = stream_queued(a.stream);
    assert_int_equal(queued, 0);
    stream_write_file(a.stream, file, 0, bytes);
    assert_int_equal(stream_queued(a.stream), bytes);
    receive_pattern(bytes); /* it sleeps and yields on the same loop */
    eventually(stream_queued(a.stream) == 0);
    close_a();
}

static void test_stream_file_and_the_end_behind_it_arrive(void **state)
{
    (void)state;
    open_a(0);
    make_file(3000000);
    stream_write_file(a.stream, file, 0, 3000000);
    stream_close(a.stream, 1000);
    stream_write_file(a.stream, file, 0, 100); /* too late */
    assert_ok(fiber_sleep(5));
    peer_receive_to_end(peer, &heard);
    assert_int_equal(heard.len, 3000000);
    assert_true(pattern_is(0, buf_str(&heard)));
    close(peer);
    peer = -1;
    eventually(a.closed);
    assert_ok(a.why);
}

/* --- ends ------------------------------------------------------------------------------------- */

static void test_stream_aborted_in_a_file_closes_it(void **state)
{
    (void)state;
    open_a(SMALL_BUFFER_BYTES);
    make_file(4000000);
    const int fd = stream_file_fd(file);
    stream_write(a.stream, pattern(0, 10));
    stream_write_file(a.stream, file, 10, 3999990);
    stream_file_release(&file);
    peer_receive(peer, &heard, 1000);
    assert_true(stream_queued(a.stream) > 0);
    stream_abort(a.stream);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    eventually(a.closed);
    assert_ok(a.why);
}

/* The kernel raises SIGPIPE for files sent to nobody. */
static void test_stream_file_to_a_peer_that_has_gone_closes_with_an_error(void **state)
{
    (void)state;
    open_a(SMALL_BUFFER_BYTES);
    make_file(4000000);
    stream_write_file(a.stream, file, 0, 4000000);
    peer_receive(peer, &heard, 1000);
    peer_reset(&peer);
    stream_write_file(a.stream, file, 0, 4000000);
    eventually(a.closed);
    assert_fails(STREAM_CLOSED, a.why);
}

static void shrink_in_the_middle(bool copies)
{
    const size_t bytes = (size_t)16 << 20;
    open_a(SMALL_BUFFER_BYTES);
    make_file(bytes);
    if (copies)
        fault_always("stream.sendfile");
    stream_write_file(a.stream, file, 0, bytes);
    stream_write(a.stream, STR("behind"));
    peer_receive(peer, &heard, 2000);
    assert_false(a.closed);
    assert_int_equal(ftruncate(file_fd, 5000000), 0);
    for (ssize_t got = 1; got != 0 && got != -2;) {
        got = peer_receive_some(peer, &heard, 65536);
        if (got == -1)
            assert_ok(fiber_sleep(1));
    }
    assert_true(heard.len <= 5000000);
    assert_true(pattern_is(0, buf_str(&heard)));
    eventually(a.closed);
    assert_fails(STREAM_FILE_FAILED, a.why);
}

static void test_stream_file_cut_shorter_closes_with_an_error(void **state)
{
    (void)state;
    shrink_in_the_middle(false);
}

static void test_stream_file_that_is_read_cut_shorter_closes_with_an_error(void **state)
{
    (void)state;
    shrink_in_the_middle(true);
}

static void test_stream_file_that_cannot_be_read_closes_with_an_error(void **state)
{
    (void)state;
    open_a(0);
    const int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_ok(stream_file_new(fd, &file));
    stream_write(a.stream, pattern(0, 10));
    stream_write_file(a.stream, file, 0, 100);
    eventually(a.closed);
    assert_fails(STREAM_FILE_FAILED, a.why);
    assert_int_equal(a.why_errno, EISDIR);
}

static void test_stream_file_behind_the_end_of_ours_is_ignored(void **state)
{
    (void)state;
    open_a(0);
    make_file(1000);
    stream_write_file(a.stream, file, 0, 1000);
    stream_end(a.stream);
    stream_write_file(a.stream, file, 0, 1000);
    peer_receive_to_end(peer, &heard);
    assert_int_equal(heard.len, 1000);
}

/* --- what is not there ------------------------------------------------------------------------ */

static void test_stream_file_without_memory_closes_its_descriptor(void **state)
{
    (void)state;
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    fault_at("stream.file", 1);
    assert_fails(OUT_OF_MEMORY, stream_file_new(fd, &file));
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/* Sending takes no descriptors but the file's own. */
static void test_stream_file_is_sent_when_descriptors_are_out(void **state)
{
    (void)state;
    struct rlimit before;
    open_a(SMALL_BUFFER_BYTES);
    make_file(300000);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit none = { .rlim_cur = 3, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    stream_write_file(a.stream, file, 0, 150000);
    fault_at("stream.sendfile", 20);
    stream_write_file(a.stream, file, 150000, 150000);
    peer_receive(peer, &heard, 300000);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(pattern_is(0, buf_str(&heard)));
    close_a();
}

static void test_stream_file_is_loaded_by_a_thread_when_it_is_cold(void **state)
{
    (void)state;
    enum {
        BYTES = 300000
    };
    open_a(0);
    make_file(BYTES);
    fault_always("stream.file_cold");
    assert_ok(stream_file_load(file, 1000, BYTES - 1000));
    assert_ok(stream_file_load(file, BYTES, 0));
    assert_fails(STREAM_FILE_FAILED, stream_file_load(file, 0, BYTES + 1));
    fault_clear();
    assert_ok(stream_file_load(file, 0, BYTES));
    assert_fails(STREAM_FILE_FAILED, stream_file_load(file, BYTES - 10, 20));
    stream_write_file(a.stream, file, 0, BYTES);
    peer_receive(peer, &heard, BYTES);
    assert_true(pattern_is(0, buf_str(&heard)));
    close_a();
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run_kind(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(test_stream_file_among_other_writes_is_sent_in_order),
        FILE_TEST(test_stream_file_is_closed_once_it_is_sent),
        FILE_TEST(test_stream_file_leaves_with_the_turns_other_writes),
        FILE_TEST(test_stream_file_through_full_sockets_loses_nothing),
        FILE_TEST(test_stream_file_beyond_four_gib_is_sent),
        FILE_TEST(test_stream_file_the_kernel_does_not_send_is_read),
        FILE_TEST(test_stream_file_of_many_megabytes_leaves_others_their_turn),
        FILE_TEST(test_stream_file_and_the_end_behind_it_arrive),
        FILE_TEST(test_stream_aborted_in_a_file_closes_it),
        FILE_TEST(test_stream_file_to_a_peer_that_has_gone_closes_with_an_error),
        FILE_TEST(test_stream_file_cut_shorter_closes_with_an_error),
        FILE_TEST(test_stream_file_that_is_read_cut_shorter_closes_with_an_error),
        FILE_TEST(test_stream_file_that_cannot_be_read_closes_with_an_error),
        FILE_TEST(test_stream_file_behind_the_end_of_ours_is_ignored),
        FILE_TEST(test_stream_file_without_memory_closes_its_descriptor),
        FILE_TEST(test_stream_file_is_sent_when_descriptors_are_out),
        FILE_TEST(test_stream_file_is_loaded_by_a_thread_when_it_is_cold),
    };
    char name[64];
    (void)snprintf(name, sizeof name, "stream files %s %s", loop_backend_name(loop_self()),
                   kind->name);
    const int before = count_descriptors();
    const int failed = cmocka_run_group_tests_name(name, tests, NULL, NULL);
    memory_relays_wait();
    return failed + (count_descriptors() > before);
}

int main(void)
{
    /* As in test_stream.c. */
    const size_t tls_kinds = getenv("BRIO_TEST_EMULATED") ? 0 : ARRAY_LEN(TLS_KINDS);
    if (!relays_begin())
        return 1;
    int failed = 0;
    kind = &MEMORY_KIND;
    failed += run_in_fiber(run_kind);
    for (size_t i = 0; i < ARRAY_LEN(PAIR_KINDS) + tls_kinds; i++) {
        kind = i < ARRAY_LEN(PAIR_KINDS) ? &PAIR_KINDS[i] : &TLS_KINDS[i - ARRAY_LEN(PAIR_KINDS)];
        failed += run_in_fiber(run_kind);
    }
    relays_end();
    return failed != 0;
}
