/* Pairs of streams in memory: what the stream suite (test_stream.c), whose peer stands behind a
 * relay, does not see. */
#include "core/fault.h"
#include "core/stream.h"
#include "core/tls.h"
#include "tests/support/stream_pair.h"
#include "tests/support/tls_files.h"

static side a, b;

static int setup(void **state)
{
    (void)state;
    side_init(&a);
    side_init(&b);
    fault_clear();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fault_clear();
    side_deinit(&a);
    side_deinit(&b);
    return a.stream || b.stream || a.calls_after_closed || b.calls_after_closed ? -1 : 0;
}

static error open_pair(size_t bytes, const stream_options *options)
{
    const stream_pair_end ends[2] = {
        { .handler = &SIDE_HANDLER, .options = options, .owner = &a },
        { .handler = &SIDE_HANDLER, .options = options, .owner = &b },
    };
    stream *both[2];
    TRY(stream_pair(loop_self(), ends, bytes, both));
    a.stream = both[0];
    b.stream = both[1];
    return OK;
}

/* --- bytes ----------------------------------------------------------------------------------- */

/* Any room on the way, down to one byte: all arrives, in order, both ways at once. */
static void test_pair_of_any_size_loses_nothing(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 2, 3, 7, 64, 511, 512, 513, 65521, 65536, 0 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        setup(NULL);
        const size_t total = sizes[i] > 0 && sizes[i] < 64 ? 3000 : 60000;
        assert_ok(open_pair(sizes[i], NULL));
        stream_write(a.stream, pattern(0, total));
        stream_write(b.stream, pattern(1, total));
        eventually(a.got.len == total && b.got.len == total);
        assert_true(pattern_is(1, buf_str(&a.got)));
        assert_true(pattern_is(0, buf_str(&b.got)));
        assert_int_equal(stream_queued(a.stream) + stream_queued(b.stream), 0);
        assert_int_equal(teardown(NULL), 0);
    }
    setup(NULL);
}

static void test_pair_reader_that_stops_leaves_just_so_much_on_the_way(void **state)
{
    (void)state;
    assert_ok(open_pair(1000, &(stream_options){ .output_bytes_high = 5000 }));
    stream_pause(b.stream);
    stream_write(a.stream, pattern(0, 7000));
    for (int i = 0; i < 10; i++)
        assert_ok(fiber_yield());
    assert_int_equal(stream_queued(a.stream), 6000);
    assert_int_equal(a.drained, 0);
    stream_resume(b.stream);
    eventually(b.got.len == 7000 && a.drained == 1);
    assert_true(pattern_is(0, buf_str(&b.got)));
}

static int depth, depth_max;

static void write_back(side *s, side_event event)
{
    if (event != SIDE_DATA)
        return;
    depth++;
    depth_max = depth > depth_max ? depth : depth_max;
    if (s->got.len < 1000)
        stream_write(s->stream, STR("x"));
    depth--;
}

static void test_pair_never_calls_back_inside_a_call(void **state)
{
    (void)state;
    assert_ok(open_pair(0, NULL));
    a.hook = b.hook = write_back;
    depth_max = 0;
    stream_write(a.stream, STR("x"));
    assert_int_equal(b.got.len, 0);
    eventually(b.got.len == 1000);
    assert_int_equal(a.got.len, 999);
    assert_int_equal(depth_max, 1);
    a.hook = b.hook = NULL;
}

/* --- ends ------------------------------------------------------------------------------------ */

static void test_pair_end_of_one_side_leaves_the_other(void **state)
{
    (void)state;
    assert_ok(open_pair(10, NULL));
    stream_write(a.stream, pattern(0, 100));
    stream_end(a.stream);
    eventually(b.at_end);
    assert_int_equal(b.got.len, 100);
    assert_false(a.at_end || a.closed || b.closed);
    stream_write(b.stream, pattern(0, 100));
    stream_close(b.stream, 1000);
    eventually(a.at_end && b.closed);
    assert_int_equal(a.got.len, 100);
    assert_ok(b.why);
}

static void test_pair_aborted_with_bytes_unread_is_broken(void **state)
{
    (void)state;
    assert_ok(open_pair(0, NULL));
    stream_pause(b.stream);
    stream_write(a.stream, STR("unread"));
    for (int i = 0; i < 3; i++)
        assert_ok(fiber_yield());
    stream_abort(b.stream);
    eventually(a.closed && b.closed);
    assert_ok(b.why);
    assert_fails(STREAM_CLOSED, a.why);
    assert_int_equal(a.why_errno, ECONNRESET);
}

static void test_pair_written_to_after_the_other_is_gone_fails(void **state)
{
    (void)state;
    assert_ok(open_pair(0, NULL));
    stream_write(b.stream, STR("last words"));
    assert_ok(fiber_yield());
    stream_abort(b.stream);
    stream_write(a.stream, STR("too late"));
    eventually(a.closed && b.closed);
    assert_str_equal(buf_str(&a.got), STR("last words"));
    assert_fails(STREAM_CLOSED, a.why);
}

static void test_pair_knows_the_peers_it_was_told(void **state)
{
    (void)state;
    address at;
    stream *both[2];
    assert_true(address_parse(STR("192.0.2.7:99"), &at));
    const stream_pair_end ends[2] = {
        { .handler = &SIDE_HANDLER, .owner = &a, .peer = &at },
        { .handler = &SIDE_HANDLER, .owner = &b },
    };
    assert_ok(stream_pair(loop_self(), ends, 0, both));
    a.stream = both[0];
    b.stream = both[1];
    const address is = stream_peer(a.stream);
    assert_str_equal(address_text(fiber_arena(), &is), STR("192.0.2.7:99"));
    assert_int_equal(stream_peer(b.stream).len, 0);
    assert_ptr_equal(stream_loop(b.stream), loop_self());
}

/* --- no memory ------------------------------------------------------------------------------- */

static void test_pair_without_memory_is_neither(void **state)
{
    (void)state;
    static const char *const points[] = { "memory", "stream.new" };
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        uint32_t n = 1;
        for (error e = error_set(&OUT_OF_MEMORY, "first"); e.kind; n++) {
            fault_at(points[i], n);
            e = open_pair(0, NULL);
            fault_clear();
            if (e.kind)
                assert_fails(OUT_OF_MEMORY, e);
        }
        assert_int_equal(n, i == 0 ? 6 : 4); /* two ends and their transports; two streams */
        assert_false(a.closed || b.closed);
        assert_int_equal(teardown(NULL), 0);
        setup(NULL);
    }
}

/* --- TLS ------------------------------------------------------------------------------------- */

static void test_pair_carries_tls(void **state)
{
    (void)state;
    tls_config *server, *client;
    assert_ok(tls_config_server(
        &(tls_server_options){ .certificate.cert_file = tls_file_name("server") }, &server));
    assert_ok(tls_config_client(&(tls_client_options){ .ca_file = tls_file_name("ca") }, &client));
    assert_ok(open_pair(333, NULL));
    assert_ok(stream_start_tls_server(a.stream, server));
    assert_ok(stream_start_tls_client(b.stream, client, STR("localhost")));
    stream_write(b.stream, pattern(0, 50000));
    eventually(a.opened && b.opened && a.got.len == 50000);
    stream_write(a.stream, pattern(0, 50000));
    stream_close(a.stream, 1000);
    eventually(b.at_end);
    assert_int_equal(b.got.len, 50000);
    assert_true(pattern_is(0, buf_str(&a.got)) && pattern_is(0, buf_str(&b.got)));
    stream_close(b.stream, 1000);
    eventually(a.closed && b.closed);
    assert_ok(a.why);
    tls_config_free(&server);
    tls_config_free(&client);
}

#define PAIR_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_pair_of_any_size_loses_nothing),
        PAIR_TEST(test_pair_reader_that_stops_leaves_just_so_much_on_the_way),
        PAIR_TEST(test_pair_never_calls_back_inside_a_call),
        PAIR_TEST(test_pair_end_of_one_side_leaves_the_other),
        PAIR_TEST(test_pair_aborted_with_bytes_unread_is_broken),
        PAIR_TEST(test_pair_written_to_after_the_other_is_gone_fails),
        PAIR_TEST(test_pair_knows_the_peers_it_was_told),
        PAIR_TEST(test_pair_without_memory_is_neither),
        PAIR_TEST(test_pair_carries_tls),
    };
    return cmocka_run_group_tests_name("stream in memory", tests, NULL, NULL);
}

int main(void)
{
    if (!tls_files_make())
        return 1;
    const int failed = run_in_fiber(run);
    tls_files_remove();
    return failed != 0;
}
