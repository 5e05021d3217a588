/* TLS on streams: what goes over the wire. Peers that cut, flip, flood, stall and lie, and one of
 * OpenSSL's own for what a stream never does. */
#include "tests/support/random.h"
#include "tests/support/tls_pair.h"

/* --- a wire that the test carries by hand ---------------------------------------------------- */

/* Sockets between the two streams: bytes for one, from the other. */
static int at_client = -1, at_server = -1;

/* Connects the two through the test's hands, TLS begun. */
static void open_by_hand(const stream_options *options)
{
    const pair_kind connecting = { .name = "client", .is_client = true };
    const pair_kind accepted = { .name = "server" };
    at_client = pair_open(&connecting, options, 0, &client);
    at_server = pair_open(&accepted, options, 0, &server);
    client.opened = false;
    start_both("localhost");
}

static void close_hands(void)
{
    if (at_client >= 0)
        close(at_client);
    if (at_server >= 0)
        close(at_server);
    at_client = at_server = -1;
}

static int hands_teardown(void **state)
{
    close_hands();
    return pair_teardown(state);
}

/* What was carried so far, either way. */
static size_t carried;
/* The byte that is changed on its way; SIZE_MAX: none. */
static size_t flipped;

/* Carries what is there, in pieces of `step` bytes; whether there was something. */
static bool carry(int from, int to, size_t step)
{
    char bytes[4096];
    const ssize_t got = recv(from, bytes, step < sizeof bytes ? step : sizeof bytes, 0);
    if (got == 0)
        shutdown(to, SHUT_WR);
    if (got <= 0)
        return false;
    if (flipped >= carried && flipped - carried < (size_t)got)
        bytes[flipped - carried] ^= 0x20;
    carried += (size_t)got;
    return send(to, bytes, (size_t)got, MSG_NOSIGNAL) == got;
}

static bool carry_both(size_t step)
{
    const bool there = carry(at_client, at_server, step);
    return carry(at_server, at_client, step) || there;
}

static void carry_until_idle(size_t step)
{
    for (int idle = 0; idle < 8;) {
        idle = carry_both(step) ? 0 : idle + 1;
        assert_ok(idle ? fiber_sleep(1) : fiber_yield());
    }
}

static void test_tls_wire_of_single_bytes_works(void **state)
{
    (void)state;
    flipped = SIZE_MAX;
    configure(NULL, NULL);
    open_by_hand(NULL);
    carry_until_idle(1);
    assert_true(client.opened && server.opened);
    stream_write(client.stream, pattern(3, 3000));
    stream_write(server.stream, pattern(4, 3000));
    stream_end(client.stream);
    carry_until_idle(1);
    assert_true(pattern_is(3, buf_str(&server.got)) && pattern_is(4, buf_str(&client.got)));
    assert_int_equal(server.got.len, 3000);
    assert_int_equal(client.got.len, 3000);
    assert_true(server.at_end && !client.at_end);
}

/* A byte that is changed on its way ends the handshake or the stream, and never passes for data.
 * Only the version in a plain record's header is nobody's business (RFC 8446, 5.1). */
static void test_tls_flipped_byte_never_passes(void **state)
{
    (void)state;
    size_t total = SIZE_MAX, passed = 0;
    configure(NULL, NULL);
    for (size_t at = SIZE_MAX; at == SIZE_MAX || at < total; at = at == SIZE_MAX ? 0 : at + 37) {
        flipped = at;
        carried = 0;
        open_by_hand(NULL);
        carry_until_idle(4096);
        if (client.stream && client.opened)
            stream_write(client.stream, pattern(0, 200));
        if (server.stream && server.opened)
            stream_write(server.stream, pattern(0, 200));
        carry_until_idle(4096);
        if (at == SIZE_MAX) {
            total = carried;
            assert_int_equal(server.got.len + client.got.len, 400);
        } else if (at < carried) {
            passed += server.got.len + client.got.len == 400;
        }
        assert_true(pattern_is(0, buf_str(&server.got)) && pattern_is(0, buf_str(&client.got)));
        close_hands();
        eventually((client.closed || !client.stream) && (server.closed || !server.stream));
        assert_false(client.at_end || server.at_end);
        forget(&client);
        forget(&server);
    }
    assert_true(total > 1000);
    assert_true(passed <= 3);
}

/* --- at random ------------------------------------------------------------------------------- */

static random_state dice;

static size_t take_some(side *s, str bytes)
{
    const size_t part = random_below(&dice, bytes.len + 1);
    buf_append(&s->got, str_slice(bytes, 0, part));
    if (random_below(&dice, 4) == 0)
        stream_pause(s->stream);
    return part;
}

typedef struct writer {
    side *side;
    size_t written;
    bool may_end; /* when both had, the streams would be gone */
    bool ended;
} writer;

/* One thing that an owner may do. */
static void act(writer *w)
{
    stream *s = w->side->stream;
    const size_t len =
        random_below(&dice, 3) ? random_below(&dice, 100) : random_below(&dice, 60000);
    switch (random_below(&dice, 8)) {
    case 0:
    case 1:
    case 2:
        if (w->ended || w->written > 300000)
            break;
        stream_write(s, pattern(w->written, len));
        w->written += len;
        break;
    case 3:
        stream_pause(s);
        break;
    case 4:
        if (w->may_end && w->written > 300000) {
            stream_end(s);
            w->ended = true;
        }
        break;
    default:
        stream_resume(s);
        break;
    }
}

static bool is_complete(const writer *w, const side *reader)
{
    return w->written > 300000 && reader->got.len == w->written && w->ended == w->may_end &&
           reader->at_end == w->may_end;
}

/* Whatever the pieces on the wire, the pauses and the limits: all arrives, in order, and the end.
 */
static void test_tls_random_schedules_lose_nothing(void **state)
{
    (void)state;
    flipped = SIZE_MAX;
    configure(NULL, NULL);
    dice = random_start();
    for (uint32_t round = 0; round < 12; round++) {
        const stream_options options = { .output_bytes_high = 1000 + round % 3 * 50000,
                                         .full_duplex = round % 2 == 0 };
        open_by_hand(&options);
        client.take = server.take = take_some;
        writer writers[] = { { &client, 0, round % 2 == 0, false },
                             { &server, 0, round % 2 == 1, false } };
        for (int i = 0; i < 200000; i++) {
            if (is_complete(&writers[0], &server) && is_complete(&writers[1], &client))
                break;
            act(&writers[random_below(&dice, 2)]);
            for (size_t n = random_below(&dice, 4); n > 0; n--)
                (void)carry_both(1 + random_below(&dice, 4096));
            assert_false(client.closed || server.closed);
            assert_ok(i % 16 == 0 ? fiber_sleep(1) : fiber_yield());
        }
        assert_true(is_complete(&writers[0], &server) && is_complete(&writers[1], &client));
        assert_true(pattern_is(0, buf_str(&server.got)) && pattern_is(0, buf_str(&client.got)));
        client.take = server.take = NULL;
        stream_close(client.stream, 50);
        stream_close(server.stream, 50);
        eventually(client.closed && server.closed);
        assert_ok(client.why);
        assert_ok(server.why);
        close_hands();
        forget(&client);
        forget(&server);
    }
}

/* --- cut off --------------------------------------------------------------------------------- */

static void test_tls_end_without_close_notify_is_no_end(void **state)
{
    (void)state;
    for (int paused = 0; paused < 2; paused++) {
        configure(NULL, NULL);
        open_both(NULL, "localhost");
        if (paused)
            stream_pause(client.stream);
        stream_write(server.stream, pattern(0, 5000));
        eventually(stream_queued(server.stream) == 0);
        stream_abort(server.stream);
        assert_ok(fiber_sleep(5));
        if (paused)
            stream_resume(client.stream);
        eventually(client.closed);
        assert_fails(STREAM_CLOSED, client.why);
        assert_int_equal(client.got.len, 5000);
        assert_false(client.at_end);
        forget(&client);
        forget(&server);
    }
}

static void test_tls_peer_that_leaves_in_the_handshake_is_told(void **state)
{
    (void)state;
    configure(NULL, NULL);
    connect_bare(&server, false);
    assert_ok(stream_start_tls_server(server.stream, server_config));
    peer_send(bare, STR("\x16\x03\x01\x02")); /* the beginning of a hello */
    assert_ok(fiber_sleep(2));
    shutdown(bare, SHUT_WR);
    eventually(server.closed);
    assert_fails(TLS_FAILED, server.why);
    assert_non_null(strstr(server.why_text, "hung up"));
    assert_false(server.opened || server.at_end);
}

static void test_tls_reset_in_the_handshake_is_told(void **state)
{
    (void)state;
    configure(NULL, NULL);
    connect_bare(&client, true);
    assert_ok(stream_start_tls_client(client.stream, client_config, STR("localhost")));
    assert_ok(fiber_sleep(2));
    peer_reset(&bare);
    eventually(client.closed);
    assert_fails(STREAM_CLOSED, client.why);
    assert_int_equal(client.why_errno, ECONNRESET);
    assert_false(client.opened);
}

static void test_tls_connection_that_is_refused_is_told(void **state)
{
    (void)state;
    address at;
    configure(NULL, NULL);
    close(pair_listen(false, &at));
    assert_ok(stream_connect(loop_self(), &at, &SIDE_HANDLER, NULL, &client, &client.stream));
    assert_ok(stream_start_tls_client(client.stream, client_config, STR("localhost")));
    stream_write(client.stream, STR("never sent"));
    eventually(client.closed);
    assert_fails(STREAM_CONNECT_FAILED, client.why);
    assert_false(client.opened);
}

static void test_tls_half_closed_stream_carries_much(void **state)
{
    (void)state;
    configure(NULL, NULL);
    open_both(NULL, "localhost");
    stream_end(client.stream);
    eventually(server.at_end);
    for (size_t at = 0; at < 2000000; at += 50000)
        stream_write(server.stream, pattern(at, 50000));
    eventually(client.got.len == 2000000);
    assert_true(pattern_is(0, buf_str(&client.got)));
    assert_false(client.at_end);
    close_both();
}

/* --- garbage --------------------------------------------------------------------------------- */

static void test_tls_garbage_ends_the_handshake(void **state)
{
    (void)state;
    static const str rows[] = {
        STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        STR("\x16\x03\x01\xff\xff\x01"),
        STR("\x16\x03\x01\x00\x04\x01\xff\xff\xff\x00\x00\x00\x00\x00\x00"),
        STR("\x15\x03\x03\x00\x02\x02\x28"),
        STR("\x17\x03\x03\x00\x05hello"),
        STR("\x16\x03\x00\x00\x00\x16\x03\x00\x00\x00"),
        STR("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"),
        STR("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
    };
    for (size_t i = 0; i < 2 * ARRAY_LEN(rows) + 40; i++) {
        const bool is_client = i % 2 == 1;
        side *s = is_client ? &client : &server;
        configure(NULL, NULL);
        connect_bare(s, is_client);
        if (is_client)
            assert_ok(stream_start_tls_client(s->stream, client_config, STR("localhost")));
        else
            assert_ok(stream_start_tls_server(s->stream, server_config));
        peer_send(bare, i / 2 < ARRAY_LEN(rows) ? rows[i / 2] : pattern(i * 977, 700));
        shutdown(bare, SHUT_WR);
        eventually(s->closed);
        assert_true(error_is(s->why, &TLS_FAILED) || error_is(s->why, &STREAM_CLOSED));
        assert_false(s->opened);
        close(bare);
        bare = -1;
        forget(s);
    }
}

/* The peer that broke the protocol is told so by an alert. */
static void test_tls_garbage_is_answered_by_an_alert(void **state)
{
    (void)state;
    configure(NULL, NULL);
    connect_bare(&server, false);
    assert_ok(stream_start_tls_server(server.stream, server_config));
    peer_send(bare, STR("\x17\x03\x03\x00\x05hello"));
    buf heard;
    buf_init(&heard, 1 << 20);
    peer_receive_to_end(bare, &heard);
    assert_int_equal(heard.len, 7);
    assert_true(str_starts_with(buf_str(&heard), STR("\x15\x03")));
    buf_deinit(&heard);
    close(bare);
    bare = -1;
    eventually(server.closed);
    assert_fails(TLS_FAILED, server.why);
}

/* --- time ------------------------------------------------------------------------------------ */

static void test_tls_handshake_has_a_deadline(void **state)
{
    (void)state;
    tls_server_options s = server_options();
    tls_client_options c = client_options();
    s.handshake_ms_max = c.handshake_ms_max = 20;
    configure(&s, &c);
    for (int i = 0; i < 2; i++) {
        side *who = i ? &client : &server;
        connect_bare(who, i == 1);
        if (i)
            assert_ok(stream_start_tls_client(who->stream, client_config, STR("localhost")));
        else
            assert_ok(stream_start_tls_server(who->stream, server_config));
        for (int n = 0; n < 1000 && !who->closed; n++) { /* slowly is not in time */
            (void)peer_send_some(bare, i ? STR("") : STR("\x16"));
            assert_ok(fiber_sleep(10));
            if (!i && n == 0)
                (void)peer_send_some(bare, STR("\x03\x01\x20\0"));
        }
        assert_true(who->closed);
        assert_fails(TIMED_OUT, who->why);
        assert_false(who->opened);
        close(bare);
        bare = -1;
    }
}

static void test_tls_owners_timeout_counts_in_the_handshake(void **state)
{
    (void)state;
    configure(NULL, NULL);
    connect_bare(&client, true);
    assert_ok(stream_start_tls_client(client.stream, client_config, STR("localhost")));
    stream_set_timeout(client.stream, 5);
    eventually(client.timeouts == 1);
    stream_abort(client.stream);
    eventually(client.closed);
    assert_ok(client.why);
}

/* --- in the middle of a stream --------------------------------------------------------------- */

static size_t start_on_yes(side *s, str bytes)
{
    if (stream_is_tls(s->stream)) {
        buf_append(&s->got, bytes);
        return bytes.len;
    }
    if (bytes.len == 0)
        return 0;
    if (!error_is_ok(stream_start_tls_client(s->stream, client_config, STR("localhost"))))
        stream_abort(s->stream);
    stream_write(s->stream, STR("secret"));
    return 1;
}

static size_t answer_yes(side *s, str bytes)
{
    if (stream_is_tls(s->stream)) {
        buf_append(&s->got, bytes);
        return bytes.len;
    }
    if (bytes.len < 8)
        return 0;
    stream_write(s->stream, STR("S"));
    if (!error_is_ok(stream_start_tls_server(s->stream, server_config)))
        stream_abort(s->stream);
    stream_write(s->stream, STR("hidden"));
    return 8;
}

static void test_tls_may_start_after_plaintext(void **state)
{
    (void)state;
    configure(NULL, NULL);
    connect_plain(NULL);
    client.take = start_on_yes;
    server.take = answer_yes;
    stream_write(client.stream, STR("\0\0\0\x08\x04\xd2\x16\x2f"));
    eventually(server.got.len == 6 && client.got.len == 6);
    assert_true(client.opened && server.opened);
    assert_str_equal(buf_str(&server.got), STR("secret"));
    assert_str_equal(buf_str(&client.got), STR("hidden"));
    close_both();
}

/* Somebody in between puts words behind the answer, for the client to take for the server's. */
static void test_tls_plaintext_behind_the_start_is_refused(void **state)
{
    (void)state;
    configure(NULL, NULL);
    connect_bare(&client, true);
    client.take = start_on_yes;
    peer_send(bare, STR("Sinjected"));
    eventually(client.closed);
    assert_fails(TLS_FAILED, client.why);
    assert_non_null(strstr(client.why_text, "plaintext"));
    assert_int_equal(client.got.len, 0);
    assert_false(client.opened);
}

/* Wants four bytes before TLS. */
static size_t start_behind_header(side *s, str bytes)
{
    if (stream_is_tls(s->stream)) {
        buf_append(&s->got, bytes);
        return bytes.len;
    }
    if (bytes.len < 4)
        return 0;
    if (!error_is_ok(stream_start_tls_server_behind(s->stream, server_config)))
        stream_abort(s->stream);
    return 4;
}

/* The client does not wait: header and handshake come in one piece, or not. */
static void test_tls_behind_a_header_takes_what_came_with_it(void **state)
{
    (void)state;
    configure(NULL, NULL);
    for (int apart = 0; apart < 2; apart++) {
        connect_plain(NULL);
        server.take = start_behind_header;
        stream_write(client.stream, STR("head"));
        if (apart) {
            eventually(server.data_calls > 0);
            assert_ok(fiber_sleep(10));
        }
        assert_ok(stream_start_tls_client(client.stream, client_config, STR("localhost")));
        stream_write(client.stream, STR("secret"));
        eventually(server.got.len == 6 || server.closed);
        assert_true(server.opened && client.opened);
        assert_str_equal(buf_str(&server.got), STR("secret"));
        buf_reset(&server.got);
        talk();
        close_both();
    }
}

static void test_tls_behind_a_header_refuses_what_is_no_handshake(void **state)
{
    (void)state;
    static char garbage[3 * BLOCK_CAPACITY];
    static const size_t sizes[] = { 1, 600, BLOCK_CAPACITY, sizeof garbage };
    memset(garbage, 'x', sizeof garbage);
    configure(NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        connect_bare(&server, false);
        server.take = start_behind_header;
        peer_send(bare, STR("hea"));
        eventually(server.data_calls > 0);
        peer_send(bare, STR("d"));
        peer_send(bare, (str){ garbage, sizes[i] });
        close(bare);
        bare = -1;
        eventually(server.closed);
        assert_false(error_is_ok(server.why));
        assert_false(server.opened);
        assert_int_equal(server.got.len, 0);
        forget(&server);
    }
}

/* All that a read brings may be left, but no more than a block holds. */
static size_t start_when_much_is_there(side *s, str bytes)
{
    if (bytes.len < 2 * BLOCK_CAPACITY)
        return 0;
    return start_behind_header(s, bytes);
}

static void test_tls_behind_a_header_with_too_much_is_refused(void **state)
{
    (void)state;
    static char garbage[3 * BLOCK_CAPACITY];
    configure(NULL, NULL);
    connect_bare(&server, false);
    server.take = start_when_much_is_there;
    peer_send(bare, (str){ garbage, sizeof garbage });
    eventually(server.closed);
    assert_fails(TLS_FAILED, server.why);
    assert_non_null(strstr(server.why_text, "too much"));
}

static size_t take_nothing(side *s, str bytes)
{
    (void)s;
    (void)bytes;
    return 0;
}

static void test_tls_unconsumed_plaintext_is_refused(void **state)
{
    (void)state;
    configure(NULL, NULL);
    connect_bare(&client, true);
    client.take = take_nothing;
    peer_send(bare, STR("injected"));
    eventually(client.data_calls > 0);
    assert_fails(TLS_FAILED,
                 stream_start_tls_client(client.stream, client_config, STR("localhost")));
    assert_false(stream_is_tls(client.stream));
    stream_abort(client.stream);
    eventually(client.closed);
    assert_ok(client.why);
}

/* --- much ------------------------------------------------------------------------------------ */

typedef struct flow {
    size_t written, received, queued_max;
    bool wrong;
} flow;
static flow flows[2];

#define FLOW_BYTES ((size_t)64 << 20)

static flow *flow_of(const side *s)
{
    return &flows[s == &server];
}

static void flow_on(side *s, side_event event)
{
    flow *f = flow_of(s);
    if (event != SIDE_NOTHING && event != SIDE_DRAINED)
        return;
    while (f->written < FLOW_BYTES && stream_queued(s->stream) <= 262144) {
        const size_t left = FLOW_BYTES - f->written;
        const size_t part = left < 50000 ? left : 50000;
        stream_write(s->stream, pattern(f->written, part));
        f->written += part;
    }
    if (stream_queued(s->stream) > f->queued_max)
        f->queued_max = stream_queued(s->stream);
    if (f->written == FLOW_BYTES)
        stream_end(s->stream);
}

static size_t flow_take(side *s, str bytes)
{
    flow *f = flow_of(s);
    f->wrong = f->wrong || !pattern_is(f->received, bytes);
    f->received += bytes.len;
    return bytes.len;
}

static void test_tls_64_mib_both_ways_at_once_arrive_intact(void **state)
{
    (void)state;
    memset(flows, 0, sizeof flows);
    configure(NULL, NULL);
    open_both(&(stream_options){ .full_duplex = true }, "localhost");
    client.take = server.take = flow_take;
    client.hook = server.hook = flow_on;
    flow_on(&client, SIDE_NOTHING);
    flow_on(&server, SIDE_NOTHING);
    eventually(client.at_end && server.at_end);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(flows[i].received, FLOW_BYTES);
        assert_false(flows[i].wrong);
        assert_true(flows[i].queued_max < 262144 + 2 * 50000);
    }
    client.hook = server.hook = NULL;
}

/* Small writes of a turn leave in one record: the overhead of 22 bytes is paid once. */
static void test_tls_writes_of_a_turn_share_a_record(void **state)
{
    (void)state;
    flipped = SIZE_MAX;
    configure(NULL, NULL);
    open_by_hand(NULL);
    carry_until_idle(4096);
    assert_true(client.opened && server.opened);
    carried = 0;
    for (size_t i = 0; i < 1000; i++)
        stream_write(client.stream, pattern(i, 1));
    block *kept = block_acquire(100);
    assert_non_null(kept);
    memcpy(kept->data, pattern(1000, 100).ptr, 100);
    stream_write_block(client.stream, kept, (str){ kept->data, 100 });
    block_release(&kept);
    carry_until_idle(4096);
    assert_int_equal(carried, 1100 + 22);
    assert_int_equal(server.got.len, 1100);
    assert_true(pattern_is(0, buf_str(&server.got)));
}

/* --- a foreign peer -------------------------------------------------------------------------- */

static void foreign_opens(int version)
{
    configure(NULL, NULL);
    connect_bare(&server, false);
    foreign_new(true, version);
    assert_ok(stream_start_tls_server(server.stream, server_config));
    assert_true(foreign_shake());
    eventually(server.opened);
}

static void test_tls_1_2_is_spoken_too(void **state)
{
    (void)state;
    buf heard;
    foreign_opens(TLS1_2_VERSION);
    assert_str_equal(stream_tls_version(server.stream), STR("TLSv1.2"));
    foreign_send(pattern(0, 50000));
    stream_write(server.stream, pattern(5, 50000));
    buf_init(&heard, 1 << 20);
    foreign_receive(&heard, 50000);
    eventually(server.got.len == 50000);
    assert_true(pattern_is(0, buf_str(&server.got)) && pattern_is(5, buf_str(&heard)));
    buf_deinit(&heard);
    SSL_shutdown(foreign);
    eventually(server.at_end);
    stream_close(server.stream, 1000);
    shutdown(bare, SHUT_WR);
    eventually(server.closed);
    assert_ok(server.why);
}

static void test_tls_older_versions_are_refused(void **state)
{
    (void)state;
    tls_server_options s = server_options();
    s.version_min = TLS_VERSION_1_3;
    configure(&s, NULL);
    connect_bare(&server, false);
    foreign_new(true, TLS1_2_VERSION);
    assert_ok(stream_start_tls_server(server.stream, server_config));
    assert_false(foreign_shake());
    close(bare);
    bare = -1;
    eventually(server.closed);
    assert_fails(TLS_FAILED, server.why);
}

static void test_tls_renegotiation_is_refused(void **state)
{
    (void)state;
    foreign_opens(TLS1_2_VERSION);
    SSL_renegotiate(foreign);
    assert_false(foreign_shake());
    close(bare);
    bare = -1;
    eventually(server.closed);
    assert_true(server.why.kind != NULL);
    assert_int_equal(server.got.len, 0);
}

static void test_tls_key_updates_are_followed(void **state)
{
    (void)state;
    buf heard;
    buf_init(&heard, 1 << 20);
    foreign_opens(TLS1_3_VERSION);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(SSL_key_update(foreign, SSL_KEY_UPDATE_REQUESTED), 1);
        foreign_send(pattern(i * 10, 10));
        stream_write(server.stream, pattern(i * 10, 10));
        foreign_receive(&heard, (i + 1) * 10);
    }
    eventually(server.got.len == 1000);
    assert_true(pattern_is(0, buf_str(&server.got)) && pattern_is(0, buf_str(&heard)));
    buf_deinit(&heard);
}

static void test_tls_flood_of_key_updates_ends_the_stream(void **state)
{
    (void)state;
    foreign_opens(TLS1_3_VERSION);
    for (int i = 0; i < 100000 && !server.closed; i++) {
        ERR_clear_error();
        if (SSL_key_update(foreign, SSL_KEY_UPDATE_REQUESTED) != 1 ||
            SSL_do_handshake(foreign) != 1) {
            if (!SSL_want_write(foreign))
                break;
        }
        assert_ok(i % 10 == 0 ? fiber_sleep(1) : OK);
    }
    close(bare); /* nothing it sends is waited for */
    bare = -1;
    eventually(server.closed);
    assert_fails(TLS_FAILED, server.why);
    assert_non_null(strstr(server.why_text, "flood"));
}

/* --- no memory ------------------------------------------------------------------------------- */

static void test_tls_without_blocks_is_closed(void **state)
{
    (void)state;
    for (uint32_t n = 1; n < 12; n++) {
        configure(NULL, NULL);
        connect_plain(NULL);
        block_pool_trim();
        fault_at("block.acquire", n);
        start_both("localhost");
        for (int i = 0; i < 2000 && !(client.closed || server.closed) &&
                        !(client.got.len == 40000 && server.got.len == 40000);
             i++) {
            if (i == 20 && client.stream && server.stream) {
                stream_write(client.stream, pattern(0, 40000));
                stream_write(server.stream, pattern(0, 40000));
            }
            block_pool_trim();
            assert_ok(fiber_sleep(1));
        }
        fault_clear();
        const bool client_out = error_is(client.why, &OUT_OF_MEMORY);
        const bool server_out = error_is(server.why, &OUT_OF_MEMORY);
        assert_true(client_out || server_out || (!client.closed && !server.closed));
        side_deinit(&client);
        side_deinit(&server);
        forget(&client);
        forget(&server);
    }
}

#define HANDS_TEST(name) cmocka_unit_test_setup_teardown(name, pair_setup, hands_teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        HANDS_TEST(test_tls_wire_of_single_bytes_works),
        HANDS_TEST(test_tls_flipped_byte_never_passes),
        HANDS_TEST(test_tls_random_schedules_lose_nothing),
        HANDS_TEST(test_tls_writes_of_a_turn_share_a_record),
        PAIR_TEST(test_tls_end_without_close_notify_is_no_end),
        PAIR_TEST(test_tls_peer_that_leaves_in_the_handshake_is_told),
        PAIR_TEST(test_tls_reset_in_the_handshake_is_told),
        PAIR_TEST(test_tls_connection_that_is_refused_is_told),
        PAIR_TEST(test_tls_half_closed_stream_carries_much),
        PAIR_TEST(test_tls_garbage_ends_the_handshake),
        PAIR_TEST(test_tls_garbage_is_answered_by_an_alert),
        PAIR_TEST(test_tls_handshake_has_a_deadline),
        PAIR_TEST(test_tls_owners_timeout_counts_in_the_handshake),
        PAIR_TEST(test_tls_may_start_after_plaintext),
        PAIR_TEST(test_tls_plaintext_behind_the_start_is_refused),
        PAIR_TEST(test_tls_unconsumed_plaintext_is_refused),
        PAIR_TEST(test_tls_behind_a_header_takes_what_came_with_it),
        PAIR_TEST(test_tls_behind_a_header_refuses_what_is_no_handshake),
        PAIR_TEST(test_tls_behind_a_header_with_too_much_is_refused),
        PAIR_TEST(test_tls_64_mib_both_ways_at_once_arrive_intact),
        PAIR_TEST(test_tls_1_2_is_spoken_too),
        PAIR_TEST(test_tls_older_versions_are_refused),
        PAIR_TEST(test_tls_renegotiation_is_refused),
        PAIR_TEST(test_tls_key_updates_are_followed),
        PAIR_TEST(test_tls_flood_of_key_updates_ends_the_stream),
        PAIR_TEST(test_tls_without_blocks_is_closed),
    };
    return cmocka_run_group_tests_name("tls wire", tests, NULL, NULL);
}

int main(void)
{
    return run_with_files(run);
}
