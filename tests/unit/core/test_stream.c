/* The stream suite: the same tests for every backend, over TCP and Unix sockets, TLS and memory,
 * with the stream as the accepted and as the connecting end. The peer is a bare socket, so that it
 * can do what a well-behaved stream never would. */
#include "backend.h"

#include "core/fault.h"
#include "core/offload.h"
#include "tests/support/memory_relay.h"
#include "tests/support/stream_pair.h"
#include "tests/support/tls_relay.h"

#include <fcntl.h>
#include <time.h>

#define SMALL_BUFFER_BYTES 16384

static const pair_kind *kind; /* the variant that runs */
static side a, b;
static int peer;
static buf heard; /* by the peer */

static int setup(void **state)
{
    (void)state;
    side_init(&a);
    side_init(&b);
    buf_init(&heard, (size_t)1 << 28);
    peer = -1;
    fault_clear();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fault_clear();
    side_deinit(&a);
    side_deinit(&b);
    buf_deinit(&heard);
    if (peer >= 0)
        close(peer);
    /* Every call stayed within the stream's life, and the stream is gone. */
    return a.stream || b.stream || a.calls_after_closed || b.calls_after_closed ? -1 : 0;
}

static void open_a(const stream_options *options)
{
    peer = pair_open(kind, options, 0, &a);
}

/* Whether somebody stands between the stream and the bare socket. */
static bool is_relayed(void)
{
    return kind->dress || kind->open;
}

/* Of the stream's own socket, where it has one. */
static void stream_buffers(int bytes)
{
    if (stream_fd(a.stream) >= 0)
        peer_buffers(stream_fd(a.stream), bytes);
}

/* With little room in the kernel: a write of some kilobytes is refused. */
static void open_a_with_small_buffers(void)
{
    peer = pair_open(kind, NULL, SMALL_BUFFER_BYTES, &a);
    stream_buffers(SMALL_BUFFER_BYTES);
}

/* `b` is a stream too, on the other end of a's connection. */
static void open_both(const stream_options *options)
{
    open_a(options);
    const int fd = peer;
    peer = -1;
    assert_ok(stream_from_fd(loop_self(), fd, &SIDE_HANDLER, options, &b, &b.stream));
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

/* --- the peer's end --------------------------------------------------------------------------- */

static void test_stream_that_is_paused_is_told_of_the_end_once(void **state)
{
    (void)state;
    open_a(NULL);
    stream_pause(a.stream);
    assert_ok(fiber_yield());
    assert_false(stream_peer_has_ended(a.stream));
    peer_send(peer, pattern(0, 100));
    shutdown(peer, SHUT_WR);
    eventually(a.ended == 1);
    assert_true(stream_peer_has_ended(a.stream));
    assert_false(stream_at_end(a.stream));
    assert_int_equal(a.got.len, 0);
    stream_resume(a.stream);
    eventually(a.at_end);
    assert_int_equal(a.got.len, 100);
    assert_int_equal(a.ended, 1);
    stream_write(a.stream, pattern(0, 100)); /* the peer still reads */
    peer_receive(peer, &heard, 100);
    close_a();
}

static void test_stream_that_reads_is_told_of_the_end_by_data_only(void **state)
{
    (void)state;
    open_a(NULL);
    peer_send(peer, pattern(0, 100));
    shutdown(peer, SHUT_WR);
    eventually(a.at_end);
    assert_true(stream_peer_has_ended(a.stream));
    assert_int_equal(a.ended, 0);
    close_a();
}

/* --- bytes ----------------------------------------------------------------------------------- */

static void test_stream_one_byte_writes_arrive_in_order(void **state)
{
    (void)state;
    enum {
        BYTES = 3000
    };
    open_a(NULL);
    for (size_t i = 0; i < BYTES; i++) {
        peer_send(peer, pattern(i, 1));
        stream_write(a.stream, pattern(i, 1));
        if (i % 3 == 0)
            assert_ok(fiber_yield());
    }
    peer_receive(peer, &heard, BYTES);
    eventually(a.got.len >= BYTES);
    assert_true(pattern_is(0, buf_str(&heard)));
    assert_true(pattern_is(0, buf_str(&a.got)));
    assert_int_equal(stream_queued(a.stream), 0);
    close_a();
}

static void test_stream_writes_of_a_turn_leave_in_one_call(void **state)
{
    (void)state;
    open_a(NULL);
    fault_at("stream.send", 1000000);
    for (size_t i = 0; i < 100; i++)
        stream_write(a.stream, pattern(i * 10, 10));
    assert_int_equal(fault_passed("stream.send"), 0);
    peer_receive(peer, &heard, 1000);
    assert_int_equal(fault_passed("stream.send"), 1);
    assert_true(pattern_is(0, buf_str(&heard)));
}

static void test_stream_reserve_and_blocks_are_sent_in_order(void **state)
{
    (void)state;
    open_a(NULL);
    block *kept = block_acquire(BLOCK_CAPACITY);
    assert_non_null(kept);
    size_t at = 0;
    for (int round = 0; round < 50; round++) {
        char *to = stream_reserve(a.stream, 300);
        assert_non_null(to);
        memcpy(to, pattern(at, 200).ptr, 200);
        stream_commit(a.stream, 200); /* less than was reserved */
        at += 200;
        const size_t from = (size_t)round * 300;
        memcpy(kept->data + from, pattern(at, 300).ptr, 300);
        stream_write_block(a.stream, kept, (str){ kept->data + from, 300 });
        at += 300;
        stream_write(a.stream, pattern(at, 77));
        at += 77;
        assert_non_null(stream_reserve(a.stream, BLOCK_CAPACITY)); /* and nothing committed */
    }
    stream_write(a.stream, STR(""));
    assert_true(kept->references > 1);
    assert_int_equal(stream_queued(a.stream), at);
    peer_receive(peer, &heard, at);
    assert_true(pattern_is(0, buf_str(&heard)));
    eventually(stream_queued(a.stream) == 0);
    assert_int_equal(kept->references, 1);
    block_release(&kept);
    close_a();
}

static void test_stream_full_socket_buffers_lose_nothing(void **state)
{
    (void)state;
    enum {
        BYTES = 1 << 20
    };
    open_a_with_small_buffers();
    size_t written = 0, sent = 0;
    unsigned x = 1;
    for (int idle = 0; heard.len < BYTES || a.got.len < BYTES; idle++) {
        assert_true(idle < 100000);
        x = x * 1103515245U + 12345U;
        while (written < BYTES && stream_queued(a.stream) < 20000) {
            const size_t part = x % 7000 + 1 < BYTES - written ? x % 7000 + 1 : BYTES - written;
            stream_write(a.stream, pattern(written, part));
            written += part;
        }
        if (sent < BYTES) {
            const size_t part = x % 5000 + 1 < BYTES - sent ? x % 5000 + 1 : BYTES - sent;
            const ssize_t taken = peer_send_some(peer, pattern(sent, part));
            assert_true(taken >= 0);
            sent += (size_t)taken;
        }
        if (peer_receive_some(peer, &heard, x % 3000 + 1) == -1)
            assert_ok(fiber_sleep(1));
        assert_ok(fiber_yield());
    }
    assert_true(pattern_is(0, buf_str(&heard)));
    assert_true(pattern_is(0, buf_str(&a.got)));
    close_a();
}

/* Writes the pattern up to a total as the stream drains, and checks what comes. */
typedef struct flow {
    size_t written;
    size_t received;
    size_t total;
    size_t queued_max;
    bool wrong;
} flow;
static flow flow_a, flow_b;

static flow *flow_of(const side *s)
{
    return s == &a ? &flow_a : &flow_b;
}

static void flow_on(side *s, side_event event)
{
    flow *f = flow_of(s);
    if (event != SIDE_NOTHING && event != SIDE_DRAINED)
        return;
    while (f->written < f->total && stream_queued(s->stream) <= 262144) {
        const size_t left = f->total - f->written;
        const size_t part = left < 50000 ? left : 50000;
        stream_write(s->stream, pattern(f->written, part));
        f->written += part;
    }
    if (stream_queued(s->stream) > f->queued_max)
        f->queued_max = stream_queued(s->stream);
    if (f->written == f->total)
        stream_end(s->stream);
}

static size_t flow_take(side *s, str bytes)
{
    flow *f = flow_of(s);
    f->wrong = f->wrong || !pattern_is(f->received, bytes);
    f->received += bytes.len;
    return bytes.len;
}

static void test_stream_64_mib_both_ways_at_once_arrive_intact(void **state)
{
    (void)state;
    enum {
        BYTES = 64 << 20
    };
    open_both(&(stream_options){ .full_duplex = true });
    flow_a = flow_b = (flow){ .total = BYTES };
    a.take = b.take = flow_take;
    a.hook = b.hook = flow_on;
    flow_on(&a, SIDE_NOTHING);
    flow_on(&b, SIDE_NOTHING);
    eventually(a.at_end && b.at_end);
    assert_int_equal(flow_a.received, BYTES);
    assert_int_equal(flow_b.received, BYTES);
    assert_false(flow_a.wrong || flow_b.wrong);
    assert_true(flow_a.queued_max < 262144 + 2 * 50000);
    a.hook = b.hook = NULL;
}

/* --- ends ------------------------------------------------------------------------------------ */

static void test_stream_peer_that_ended_can_still_be_written_to(void **state)
{
    (void)state;
    open_a(NULL);
    peer_send(peer, pattern(0, 5000));
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    eventually(a.at_end);
    assert_true(stream_at_end(a.stream));
    assert_int_equal(a.got.len, 5000);
    assert_ok(fiber_sleep(5));
    assert_false(a.closed);
    stream_write(a.stream, pattern(0, 60000));
    stream_close(a.stream, 1000);
    peer_receive_to_end(peer, &heard);
    assert_int_equal(heard.len, 60000);
    assert_true(pattern_is(0, buf_str(&heard)));
    eventually(a.closed);
    assert_ok(a.why);
}

static void test_stream_is_silent_until_the_peer_sends_or_ends(void **state)
{
    (void)state;
    open_a(NULL);
    if (is_relayed() || stream_fd(a.stream) < 0)
        skip(); /* the peer's bytes are not on its socket at once */
    assert_true(stream_is_silent(a.stream));
    peer_send(peer, STR("x"));
    assert_false(stream_is_silent(a.stream)); /* the loop has not had its turn */
    eventually(a.got.len == 1);
    assert_true(stream_is_silent(a.stream));
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    assert_false(stream_is_silent(a.stream));
    eventually(a.at_end);
    close_a();
}

static void test_stream_end_keeps_reading(void **state)
{
    (void)state;
    open_a(NULL);
    stream_write(a.stream, pattern(0, 60000));
    stream_end(a.stream);
    stream_write(a.stream, STR("ignored"));
    assert_null(stream_reserve(a.stream, 10));
    peer_receive_to_end(peer, &heard);
    assert_int_equal(heard.len, 60000);
    peer_send(peer, pattern(0, 60000));
    eventually(a.got.len == 60000);
    assert_false(a.at_end);
    close(peer);
    peer = -1;
    eventually(a.at_end);
    assert_true(pattern_is(0, buf_str(&a.got)));
    if (a.stream)
        stream_close(a.stream, 1000);
    eventually(a.closed);
}

/* Everything the peer sent before it left comes, however late it is read. */
static void test_stream_paused_while_both_sides_end_loses_nothing(void **state)
{
    (void)state;
    open_a(NULL);
    stream_pause(a.stream);
    stream_end(a.stream);
    peer_receive_to_end(peer, &heard);
    peer_send(peer, pattern(0, 40000));
    close(peer);
    peer = -1;
    assert_ok(fiber_sleep(10));
    assert_false(a.closed);
    assert_int_equal(a.got.len, 0);
    stream_resume(a.stream);
    eventually(a.at_end);
    assert_int_equal(a.got.len, 40000);
    assert_true(pattern_is(0, buf_str(&a.got)));
}

static void reset_by_peer(void)
{
    stream_write(a.stream, STR("unread")); /* makes a Unix peer's close a reset */
    assert_ok(fiber_sleep(2));
    peer_reset(&peer);
}

static void test_stream_reset_closes_with_an_error(void **state)
{
    (void)state;
    open_a(NULL);
    reset_by_peer();
    eventually(a.closed);
    assert_fails(STREAM_CLOSED, a.why);
    assert_int_equal(a.why_errno, ECONNRESET);
}

static void test_stream_reset_reaches_a_paused_stream(void **state)
{
    (void)state;
    open_a(NULL);
    stream_pause(a.stream);
    reset_by_peer();
    eventually(a.closed);
    assert_fails(STREAM_CLOSED, a.why);
    assert_int_equal(a.why_errno, ECONNRESET);
}

static void test_stream_reset_drops_what_is_queued(void **state)
{
    (void)state;
    open_a(NULL);
    for (int i = 0; i < 200; i++)
        stream_write(a.stream, pattern(0, 60000));
    assert_ok(fiber_sleep(5));
    assert_true(stream_queued(a.stream) > 0);
    peer_reset(&peer);
    eventually(a.closed);
    assert_fails(STREAM_CLOSED, a.why);
}

/* What a server says before it hangs up is heard even when writing fails first. */
static void test_stream_last_words_are_heard_when_writing_fails(void **state)
{
    (void)state;
    if (is_relayed())
        skip(); /* words and reset take more than a moment through it */
    open_a(NULL);
    assert_ok(fiber_sleep(5));
    assert_int_equal(peer_send_some(peer, STR("last words")), 10);
    peer_reset(&peer);
    stream_write(a.stream, STR("too late")); /* leaves before the loop looks at the socket */
    eventually(a.closed);
    assert_fails(STREAM_CLOSED, a.why);
    assert_str_equal(buf_str(&a.got), STR("last words"));
}

/* --- back-pressure --------------------------------------------------------------------------- */

static void test_stream_reader_that_stops_bounds_the_writer(void **state)
{
    (void)state;
    enum {
        BYTES = 8 << 20
    };
    open_both(NULL);
    flow_a = (flow){ .total = BYTES };
    flow_b = (flow){ 0 };
    a.hook = flow_on;
    b.take = flow_take;
    stream_pause(b.stream);
    flow_on(&a, SIDE_NOTHING);
    /* What the kernel takes grows for a while; then nothing drains, and nothing more is written. */
    size_t written = 0;
    for (int calm = 0; calm < 5; calm++) {
        assert_ok(fiber_sleep(20));
        if (flow_a.written != written)
            calm = 0;
        written = flow_a.written;
    }
    assert_int_equal(flow_b.received, 0);
    assert_true(stream_queued(a.stream) > 0);
    assert_true(written < BYTES);
    assert_true(flow_a.queued_max < 262144 + 2 * 50000);
    stream_resume(b.stream);
    eventually(b.at_end);
    assert_int_equal(flow_b.received, BYTES);
    assert_false(flow_b.wrong);
    a.hook = NULL;
}

static size_t echo(side *s, str bytes)
{
    stream_write(s->stream, bytes);
    return bytes.len;
}

/* A peer that sends and never reads: the stream stops reading it. */
static void test_stream_queue_past_the_watermark_stops_reading(void **state)
{
    (void)state;
    open_a(&(stream_options){ .output_bytes_high = 100000 });
    stream_buffers(20000);
    a.take = echo;
    size_t sent = 0, queued_max = 0;
    const int idle_max = is_relayed() ? 300 : 30; /* of ms: windows of two hops open slowly */
    for (int idle = 0; idle < idle_max;) {
        const ssize_t taken = peer_send_some(peer, pattern(sent, 10000));
        assert_true(taken >= 0);
        sent += (size_t)taken;
        assert_true(sent < (size_t)64 << 20);
        if (stream_queued(a.stream) > queued_max)
            queued_max = stream_queued(a.stream);
        idle = taken > 0 ? 0 : idle + 1;
        assert_ok(taken > 0 ? fiber_yield() : fiber_sleep(1));
    }
    assert_true(queued_max > 100000);
    assert_true(queued_max < 100000 + 16 * (size_t)BLOCK_CAPACITY + (size_t)BLOCK_CAPACITY);
    peer_receive(peer, &heard, sent);
    assert_true(pattern_is(0, buf_str(&heard)));
    assert_int_equal(a.drained > 0, 1);
    close_a();
}

static void pause_in_data(side *s, side_event event)
{
    if (event == SIDE_DATA)
        stream_pause(s->stream);
}

static size_t take_at_most_100(side *s, str bytes)
{
    const size_t part = bytes.len < 100 ? bytes.len : 100;
    buf_append(&s->got, str_slice(bytes, 0, part));
    return part;
}

static void test_stream_resume_gives_the_rest_again(void **state)
{
    (void)state;
    open_a(NULL);
    a.take = take_at_most_100;
    a.hook = pause_in_data;
    peer_send(peer, pattern(0, 1000));
    for (size_t i = 1; i <= 10; i++) {
        eventually(a.got.len == i * 100);
        assert_ok(fiber_sleep(1));
        assert_int_equal(a.got.len, i * 100);
        stream_resume(a.stream);
        stream_resume(a.stream);
    }
    assert_true(pattern_is(0, buf_str(&a.got)));
    a.hook = NULL;
    close_a();
}

/* --- input that is not consumed -------------------------------------------------------------- */

static size_t wait_for_200000(side *s, str bytes)
{
    if (bytes.len < 200000 && !s->at_end)
        return 0;
    buf_append(&s->got, bytes);
    return bytes.len;
}

static void test_stream_unconsumed_input_grows_across_blocks(void **state)
{
    (void)state;
    open_a(NULL);
    a.take = wait_for_200000;
    for (size_t at = 0; at < 200000; at += 1000) {
        peer_send(peer, pattern(at, 1000));
        assert_ok(fiber_yield());
    }
    eventually(a.got.len > 0);
    assert_int_equal(a.got.len, 200000);
    assert_true(a.data_calls > 10);
    assert_true(pattern_is(0, buf_str(&a.got)));
    close_a();
}

static size_t take_odd_parts(side *s, str bytes)
{
    const size_t part = bytes.len - (size_t)s->data_calls * 2654435761U % (bytes.len + 1);
    buf_append(&s->got, str_slice(bytes, 0, part));
    return part;
}

static void test_stream_partly_consumed_input_comes_again(void **state)
{
    (void)state;
    enum {
        BYTES = 500000
    };
    open_a(NULL);
    a.take = take_odd_parts;
    for (size_t at = 0; at < BYTES; at += 1250) {
        peer_send(peer, pattern(at, 1250));
        assert_ok(fiber_yield());
    }
    for (int i = 0; i < 10000 && a.got.len < BYTES; i++) {
        stream_pause(a.stream);
        stream_resume(a.stream); /* what is left comes without more from the peer */
        assert_ok(fiber_sleep(1));
    }
    assert_int_equal(a.got.len, BYTES);
    assert_true(pattern_is(0, buf_str(&a.got)));
    close_a();
}

static struct {
    block *blocks[64];
    str slices[64];
    size_t count;
    bool none;
} kept;

static size_t keep(side *s, str bytes)
{
    block *held = stream_keep_block(s->stream);
    if (!held) {
        kept.none = true;
    } else if (kept.count < ARRAY_LEN(kept.blocks)) {
        kept.blocks[kept.count] = held;
        kept.slices[kept.count++] = bytes;
    } else {
        block_release(&held);
    }
    return bytes.len;
}

static void test_stream_kept_blocks_keep_their_bytes(void **state)
{
    (void)state;
    memset(&kept, 0, sizeof kept);
    open_a(NULL);
    a.take = keep;
    size_t sent = 0;
    while (kept.count < ARRAY_LEN(kept.blocks)) {
        peer_send(peer, pattern(sent, 997));
        sent += 997;
        assert_ok(fiber_yield());
        assert_true(sent < 10000000);
    }
    size_t at = 0;
    for (size_t i = 0; i < kept.count; i++) {
        assert_true(pattern_is(at, kept.slices[i]));
        at += kept.slices[i].len;
        block_release(&kept.blocks[i]);
    }
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    eventually(a.at_end);
    assert_true(kept.none); /* the end alone has no block */
    close_a();
}

static void test_stream_idle_owns_no_block(void **state)
{
    (void)state;
    open_a(NULL);
    const block_stats before = block_pool_stats();
    for (int i = 0; i < 20; i++) {
        peer_send(peer, pattern(0, 3000));
        stream_write(a.stream, pattern(0, 3000));
        eventually(a.got.len == (size_t)(i + 1) * 3000);
        peer_receive(peer, &heard, (size_t)(i + 1) * 3000);
    }
    const block_stats after = block_pool_stats();
    assert_int_equal(after.system - after.pooled, before.system - before.pooled);
    assert_true(after.system - before.system <= 2);
    close_a();
}

static size_t take_nothing(side *s, str bytes)
{
    (void)s;
    (void)bytes;
    return 0;
}

static void test_stream_past_its_input_limit_is_closed(void **state)
{
    (void)state;
    open_a(&(stream_options){ .input_bytes_max = 50000 });
    a.take = take_nothing;
    size_t sent = 0;
    for (int i = 0; i < 10000 && !a.closed; i++) {
        const ssize_t taken = peer_send_some(peer, pattern(sent, 5000));
        sent += taken > 0 ? (size_t)taken : 0;
        assert_ok(fiber_sleep(1));
    }
    assert_true(a.closed);
    assert_fails(STREAM_INPUT_FULL, a.why);
    assert_true(sent >= 50000);
}

/* --- closing --------------------------------------------------------------------------------- */

static void test_stream_close_sends_all_and_drops_what_still_comes(void **state)
{
    (void)state;
    open_a(NULL);
    for (size_t at = 0; at < 600000; at += 60000)
        stream_write(a.stream, pattern(at, 60000));
    stream_close(a.stream, 2000);
    stream_close(a.stream, 1);
    stream_write(a.stream, STR("ignored"));
    /* The peer sends all the while: a plain close would answer with a reset and lose bytes. */
    for (int i = 0; i < 50; i++) {
        assert_true(peer_send_some(peer, pattern(0, 10000)) >= 0);
        (void)peer_receive_some(peer, &heard, 1000);
        assert_ok(fiber_yield());
    }
    peer_receive_to_end(peer, &heard);
    assert_int_equal(heard.len, 600000);
    assert_true(pattern_is(0, buf_str(&heard)));
    assert_false(a.closed);
    close(peer);
    peer = -1;
    eventually(a.closed);
    assert_ok(a.why);
    assert_int_equal(a.got.len, 0);
}

/* A slow peer that goes on reading gets everything, though it takes longer than linger_ms. What is
 * read in one step makes room in the kernel, so the wait begins anew twenty times in linger_ms. */
static void test_stream_close_waits_for_a_slow_reader(void **state)
{
    (void)state;
    enum {
        BYTES = 900000
    };
    if (kind->is_client)
        return; /* closing does not know who has connected */
    open_a_with_small_buffers();
    for (size_t at = 0; at < BYTES; at += 60000)
        stream_write(a.stream, pattern(at, 60000));
    stream_close(a.stream, 1500);
    for (int i = 0; i < 70; i++) {
        const size_t before = heard.len;
        for (int tries = 0; heard.len < before + 8000 && tries < 100; tries++)
            (void)peer_receive_some(peer, &heard, before + 8000 - heard.len);
        assert_ok(fiber_sleep(30));
    }
    peer_receive_to_end(peer, &heard);
    assert_int_equal(heard.len, BYTES);
    assert_true(pattern_is(0, buf_str(&heard)));
}

static void test_stream_close_gives_up_on_a_peer_that_does_not_read(void **state)
{
    (void)state;
    open_a(NULL);
    for (int i = 0; i < 200; i++)
        stream_write(a.stream, pattern(0, 60000));
    stream_close(a.stream, 30);
    stream_set_timeout(a.stream, 0); /* no business of the owner's any more */
    eventually(a.closed);
    assert_ok(a.why);
    assert_int_equal(a.timeouts, 0);
}

static void test_stream_close_gives_up_on_a_peer_that_does_not_end(void **state)
{
    (void)state;
    open_a(NULL);
    stream_write(a.stream, STR("bye"));
    stream_close(a.stream, 30);
    peer_receive_to_end(peer, &heard);
    eventually(a.closed);
    assert_ok(a.why);
}

/* The rate is what counts: a peer that takes a little now and then is as good as gone. */
static void stall(uint32_t rate_min, size_t step)
{
    const stream_options options = { .send_timeout_ms = 100, .send_rate_min = rate_min };
    open_a(&options);
    for (int i = 0; i < 200; i++)
        stream_write(a.stream, pattern(0, 60000));
    for (int i = 0; i < 3000 && !a.closed; i++) {
        if (step > 0)
            (void)peer_receive_some(peer, &heard, step);
        assert_ok(fiber_sleep(10));
    }
    assert_true(a.closed);
    assert_fails(STREAM_STALLED, a.why);
    assert_int_equal(a.timeouts, 0);
}

static void test_stream_peer_that_takes_nothing_is_gone(void **state)
{
    (void)state;
    stall(0, 0);
}

static void test_stream_peer_that_takes_too_little_is_gone(void **state)
{
    (void)state;
    stall(1 << 30, 100);
}

/* Far longer than send_timeout_ms, and always with more to take. */
static void test_stream_peer_that_takes_enough_gets_all(void **state)
{
    (void)state;
    enum {
        BYTES = 200 * 60000
    };
    const stream_options options = { .send_timeout_ms = 2000, .send_rate_min = 1000 };
    open_a(&options);
    for (size_t at = 0; at < BYTES; at += 60000)
        stream_write(a.stream, pattern(at, 60000));
    for (size_t wanted = 0; wanted < BYTES; wanted += BYTES / 100) {
        while (heard.len < wanted && peer_receive_some(peer, &heard, wanted - heard.len) != 0)
            assert_ok(fiber_yield());
        assert_ok(fiber_sleep(30));
    }
    peer_receive(peer, &heard, BYTES);
    assert_true(pattern_is(0, buf_str(&heard)));
    close_a();
}

static void test_stream_abort_drops_what_is_queued(void **state)
{
    (void)state;
    open_a(NULL);
    stream_write(a.stream, pattern(0, 1000));
    stream_abort(a.stream);
    assert_false(a.closed); /* never inside a call of the owner's */
    stream_write(a.stream, STR("ignored"));
    stream_close(a.stream, 100);
    stream_abort(a.stream);
    eventually(a.closed);
    assert_ok(a.why);
    peer_receive_to_end(peer, &heard);
    assert_int_equal(heard.len, 0);
}

static void test_stream_reset_is_seen_by_the_peer(void **state)
{
    (void)state;
    open_a(NULL);
    stream_write(a.stream, pattern(0, 100));
    peer_receive(peer, &heard, 100);
    stream_reset(a.stream);
    stream_reset(a.stream);
    eventually(a.closed);
    assert_ok(a.why);
    ssize_t got = -1;
    for (int i = 0; i < 10000 && got == -1; i++) {
        got = peer_receive_some(peer, &heard, 100);
        assert_ok(fiber_sleep(1));
    }
    assert_int_equal(got, kind->is_unix ? 0 : -2); /* Unix sockets have no resets */
}

/* How a callback ends its stream. */
static side_event end_in;
static bool end_aborts;

static void end_inside(side *s, side_event event)
{
    if (event != end_in || !s->stream)
        return;
    stream_write(s->stream, STR("ignored or not"));
    if (end_aborts)
        stream_abort(s->stream);
    else
        stream_close(s->stream, 50);
    stream_write(s->stream, STR("ignored"));
    stream_pause(s->stream);
    stream_resume(s->stream);
    stream_end(s->stream);
    stream_set_timeout(s->stream, 1);
}

static void test_stream_may_be_ended_inside_any_callback(void **state)
{
    static const side_event events[] = { SIDE_OPENED, SIDE_DATA, SIDE_DRAINED, SIDE_TIMEOUT };
    for (size_t i = 0; i < ARRAY_LEN(events) * 2; i++) {
        end_in = events[i / 2];
        end_aborts = i % 2 == 1;
        if (end_in == SIDE_OPENED && !kind->is_client)
            continue;
        setup(state);
        a.hook = end_inside;
        open_a(&(stream_options){ .output_bytes_high = 1000 });
        if (a.stream) {
            for (int n = 0; end_in == SIDE_DRAINED && n < 100; n++)
                stream_write(a.stream, pattern(0, 60000));
            if (end_in == SIDE_TIMEOUT)
                stream_set_timeout(a.stream, 1);
        }
        for (int n = 0; n < 5000 && !a.closed; n++) {
            (void)peer_send_some(peer, pattern(0, 100));
            (void)peer_receive_some(peer, &heard, 1000000);
            assert_ok(fiber_sleep(1));
        }
        assert_true(a.closed);
        assert_ok(a.why);
        assert_int_equal(teardown(state), 0);
    }
    setup(state);
}

static void close_at_end(side *s, side_event event)
{
    if (event == SIDE_DATA && s->at_end)
        stream_close(s->stream, 1000);
}

static void test_stream_closed_at_the_peers_end_is_gone_at_once(void **state)
{
    (void)state;
    open_a(NULL);
    a.hook = close_at_end;
    peer_send(peer, pattern(0, 100));
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    eventually(a.closed);
    assert_ok(a.why);
    assert_int_equal(a.got.len, 100);
    peer_receive_to_end(peer, &heard);
}

/* --- time ------------------------------------------------------------------------------------ */

static void test_stream_timeout_can_be_moved_and_disarmed(void **state)
{
    (void)state;
    open_a(NULL);
    stream_set_timeout(a.stream, 1);
    stream_set_timeout(a.stream, 0);
    assert_ok(fiber_sleep(10));
    assert_int_equal(a.timeouts, 0);
    stream_set_timeout(a.stream, 100000);
    stream_set_timeout(a.stream, 1);
    eventually(a.timeouts == 1);
    assert_ok(fiber_sleep(10));
    assert_int_equal(a.timeouts, 1); /* once */
    stream_set_timeout(a.stream, 1);
    stream_set_timeout(a.stream, 100000);
    assert_ok(fiber_sleep(10));
    assert_int_equal(a.timeouts, 1);
    close_a();
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double armed_at, timed_out_at;

static void time_out_after_data(side *s, side_event event)
{
    if (event == SIDE_DATA) {
        armed_at = seconds();
        stream_set_timeout(s->stream, 150);
    } else if (event == SIDE_TIMEOUT) {
        timed_out_at = seconds();
    }
}

static error send_after_300_ms(void *arg)
{
    (void)arg;
    usleep(300000);
    return send(peer, "x", 1, MSG_NOSIGNAL) == 1 ? OK : error_set(&SYSTEM_FAILED, "send");
}

/* The loop has slept for longer than the timeout when the data that arms it comes. */
static void test_stream_timeout_counts_from_the_call(void **state)
{
    (void)state;
    open_a(NULL);
    a.hook = time_out_after_data;
    assert_ok(offload(send_after_300_ms, NULL));
    eventually(a.timeouts == 1);
    assert_true(timed_out_at - armed_at >= 0.150);
    a.hook = NULL;
    close_a();
}

/* --- connecting ------------------------------------------------------------------------------ */

static void test_stream_connect_refused_is_told(void **state)
{
    (void)state;
    address at;
    close(pair_listen(kind->is_unix, &at)); /* nobody is there any more */
    const error e = stream_connect(loop_self(), &at, &SIDE_HANDLER, NULL, &a, &a.stream);
    if (e.kind) {
        assert_true(kind->is_unix);
        assert_int_equal(error_detail_of(e)->system_errno, ECONNREFUSED);
        assert_fails(STREAM_CONNECT_FAILED, e);
        return;
    }
    eventually(a.closed);
    assert_false(a.opened);
    assert_fails(STREAM_CONNECT_FAILED, a.why);
    assert_int_equal(a.why_errno, ECONNREFUSED);
}

static void test_stream_used_before_it_is_connected_works(void **state)
{
    (void)state;
    address at;
    const int listening = pair_listen(kind->is_unix, &at);
    assert_ok(stream_connect(loop_self(), &at, &SIDE_HANDLER, NULL, &a, &a.stream));
    stream_pause(a.stream);
    stream_resume(a.stream);
    stream_write(a.stream, pattern(0, 30000));
    stream_end(a.stream);
    peer = peer_accept(listening);
    close(listening);
    peer_send(peer, pattern(0, 5000));
    peer_receive_to_end(peer, &heard);
    assert_true(a.opened);
    assert_int_equal(heard.len, 30000);
    assert_true(pattern_is(0, buf_str(&heard)));
    eventually(a.got.len == 5000);
}

static void test_stream_closed_before_it_is_connected_is_told_once(void **state)
{
    (void)state;
    address at;
    const int listening = pair_listen(kind->is_unix, &at);
    assert_ok(stream_connect(loop_self(), &at, &SIDE_HANDLER, NULL, &a, &a.stream));
    stream_write(a.stream, STR("never sent"));
    stream_close(a.stream, 1000);
    eventually(a.closed);
    assert_false(a.opened);
    assert_ok(a.why);
    close(listening);
}

static void test_stream_knows_its_ends(void **state)
{
    (void)state;
    if (is_relayed())
        skip(); /* the test's socket is not the peer's */
    open_a(NULL);
    assert_ptr_equal(stream_owner(a.stream), &a);
    assert_ptr_equal(stream_loop(a.stream), loop_self());
    const address at = stream_peer(a.stream), mine = listener_address(peer);
    assert_int_equal(at.len, mine.len);
    assert_memory_equal(at.sockaddr, mine.sockaddr, at.len);
    close_a();
}

static int int_option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

/* That the kernel then does what it is told needs a network that can be cut. */
static void test_stream_peer_timeout_is_the_kernels_to_watch(void **state)
{
    (void)state;
    address at;
    const int listening = pair_listen(kind->is_unix, &at);
    const stream_options options = { .peer_timeout_ms = 30000 };
    assert_ok(stream_connect(loop_self(), &at, &SIDE_HANDLER, &options, &a, &a.stream));
    const int fd = stream_fd(a.stream);
    if (!kind->is_unix) {
        assert_int_equal(int_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 30000);
        assert_int_equal(int_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
        assert_int_equal(int_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 10);
        assert_int_equal(int_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    }
    stream_abort(a.stream);
    eventually(a.closed);
    close(listening);
}

/* --- no memory ------------------------------------------------------------------------------- */

static void test_stream_without_memory_to_read_is_closed(void **state)
{
    (void)state;
    open_a(NULL);
    block_pool_trim();
    fault_always("block.acquire");
    assert_int_equal(peer_send_some(peer, STR("x")), 1);
    eventually(a.closed);
    assert_fails(OUT_OF_MEMORY, a.why);
}

static void test_stream_without_memory_to_write_is_closed(void **state)
{
    (void)state;
    open_a(NULL);
    block_pool_trim();
    fault_always("block.acquire");
    stream_write(a.stream, STR("x"));
    assert_false(a.closed);
    assert_null(stream_reserve(a.stream, 10));
    eventually(a.closed);
    assert_fails(OUT_OF_MEMORY, a.why);
}

static void test_stream_that_cannot_be_made_closes_its_descriptor(void **state)
{
    (void)state;
    open_a(NULL);
    fault_at("stream.new", 1);
    assert_fails(OUT_OF_MEMORY,
                 stream_from_fd(loop_self(), peer, &SIDE_HANDLER, NULL, &b, &b.stream));
    assert_int_equal(fcntl(peer, F_GETFD), -1);
    peer = -1;
    eventually(a.at_end);
}

static void test_stream_send_that_fails_closes(void **state)
{
    (void)state;
    open_a(NULL);
    fault_at("stream.send", 2);
    stream_write(a.stream, STR("1"));
    peer_receive(peer, &heard, 1);
    stream_write(a.stream, STR("2"));
    eventually(a.closed);
    assert_fails(STREAM_CLOSED, a.why);
    peer_receive_to_end(peer, &heard);
    assert_int_equal(heard.len, 1);
}

#define STREAM_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run_kind(void)
{
    const struct CMUnitTest tests[] = {
        STREAM_TEST(test_stream_that_is_paused_is_told_of_the_end_once),
        STREAM_TEST(test_stream_that_reads_is_told_of_the_end_by_data_only),
        STREAM_TEST(test_stream_one_byte_writes_arrive_in_order),
        STREAM_TEST(test_stream_writes_of_a_turn_leave_in_one_call),
        STREAM_TEST(test_stream_reserve_and_blocks_are_sent_in_order),
        STREAM_TEST(test_stream_full_socket_buffers_lose_nothing),
        STREAM_TEST(test_stream_64_mib_both_ways_at_once_arrive_intact),
        STREAM_TEST(test_stream_peer_that_ended_can_still_be_written_to),
        STREAM_TEST(test_stream_is_silent_until_the_peer_sends_or_ends),
        STREAM_TEST(test_stream_end_keeps_reading),
        STREAM_TEST(test_stream_paused_while_both_sides_end_loses_nothing),
        STREAM_TEST(test_stream_reset_closes_with_an_error),
        STREAM_TEST(test_stream_reset_reaches_a_paused_stream),
        STREAM_TEST(test_stream_reset_drops_what_is_queued),
        STREAM_TEST(test_stream_last_words_are_heard_when_writing_fails),
        STREAM_TEST(test_stream_reader_that_stops_bounds_the_writer),
        STREAM_TEST(test_stream_queue_past_the_watermark_stops_reading),
        STREAM_TEST(test_stream_resume_gives_the_rest_again),
        STREAM_TEST(test_stream_unconsumed_input_grows_across_blocks),
        STREAM_TEST(test_stream_partly_consumed_input_comes_again),
        STREAM_TEST(test_stream_kept_blocks_keep_their_bytes),
        STREAM_TEST(test_stream_idle_owns_no_block),
        STREAM_TEST(test_stream_past_its_input_limit_is_closed),
        STREAM_TEST(test_stream_close_sends_all_and_drops_what_still_comes),
        STREAM_TEST(test_stream_close_waits_for_a_slow_reader),
        STREAM_TEST(test_stream_close_gives_up_on_a_peer_that_does_not_read),
        STREAM_TEST(test_stream_close_gives_up_on_a_peer_that_does_not_end),
        STREAM_TEST(test_stream_peer_that_takes_nothing_is_gone),
        STREAM_TEST(test_stream_peer_that_takes_too_little_is_gone),
        STREAM_TEST(test_stream_peer_that_takes_enough_gets_all),
        STREAM_TEST(test_stream_abort_drops_what_is_queued),
        STREAM_TEST(test_stream_reset_is_seen_by_the_peer),
        STREAM_TEST(test_stream_may_be_ended_inside_any_callback),
        STREAM_TEST(test_stream_closed_at_the_peers_end_is_gone_at_once),
        STREAM_TEST(test_stream_timeout_can_be_moved_and_disarmed),
        STREAM_TEST(test_stream_timeout_counts_from_the_call),
        STREAM_TEST(test_stream_connect_refused_is_told),
        STREAM_TEST(test_stream_used_before_it_is_connected_works),
        STREAM_TEST(test_stream_closed_before_it_is_connected_is_told_once),
        STREAM_TEST(test_stream_peer_timeout_is_the_kernels_to_watch),
        STREAM_TEST(test_stream_knows_its_ends),
        STREAM_TEST(test_stream_without_memory_to_read_is_closed),
        STREAM_TEST(test_stream_without_memory_to_write_is_closed),
        STREAM_TEST(test_stream_that_cannot_be_made_closes_its_descriptor),
        STREAM_TEST(test_stream_send_that_fails_closes),
    };
    char name[64];
    (void)snprintf(name, sizeof name, "stream %s %s", loop_backend_name(loop_self()), kind->name);
    const int failed = cmocka_run_group_tests_name(name, tests, NULL, NULL);
    memory_relays_wait();
    return failed;
}

int main(void)
{
    /* Under an emulated CPU the relays' cryptography takes longer than any wait has patience, and
     * TLS does not depend on the CPU. */
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
