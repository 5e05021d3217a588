/* Kernel TLS. Where the kernel has it, these tests and all others of TLS go through it (in a
 * virtual machine: tests/integration/core/kernel_tls.sh); where it has not, the same bytes must
 * arrive. */
#include "stream_layer.h"
#include "tls_kernel.h"

#include "tests/support/tls_pair.h"

#include <fcntl.h>
#include <stdio.h>

#define FILE_BYTES ((size_t)3 << 20)

/* --- what is learned -------------------------------------------------------------------------- */

/* RFC 8448, section 3: the server's traffic secret, its key and its iv. */
static const char LINE[] =
    "SERVER_TRAFFIC_SECRET_0 cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7 "
    "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";

static void assert_bytes(const uint8_t *bytes, size_t len, const char *hex)
{
    for (size_t i = 0; i < len; i++) {
        char two[3];
        snprintf(two, sizeof two, "%02x", bytes[i]);
        assert_memory_equal(two, hex + 2 * i, 2);
    }
}

static void test_kernel_key_follows_from_the_secret(void **state)
{
    (void)state;
    tls_kernel k = { 0 };
    uint8_t key[16], nonce[TLS_NONCE_BYTES];
    tls_kernel_learn(&k, LINE);
    assert_int_equal(k.secret_bytes, 32);
    assert_true(tls_kernel_derive(&k, EVP_sha256(), key, sizeof key, nonce));
    assert_bytes(key, sizeof key, "9f02283b6c9c07efc26bb9f2ac92e356");
    assert_bytes(nonce, sizeof nonce, "cf782b88dd83549aadf1e984");
    assert_false(tls_kernel_derive(&k, EVP_sha384(), key, sizeof key, nonce));
}

static void test_kernel_learns_no_other_secret(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "CLIENT_TRAFFIC_SECRET_0 00 11223344",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET 00 11223344",
        "SERVER_TRAFFIC_SECRET_0 00 1122334",
        "SERVER_TRAFFIC_SECRET_0 00 11x23344",
        "SERVER_TRAFFIC_SECRET_0 00",
        "SERVER_TRAFFIC_SECRET_0 ",
        "SERVER_TRAFFIC_SECRET_0 00 00112233445566778899aabbccddeeff00112233445566778899aabbccdd"
        "eeff00112233445566778899aabbccddeeff0011",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        tls_kernel k = { 0 };
        tls_kernel_learn(&k, lines[i]);
        assert_int_equal(k.secret_bytes, 0);
    }
}

static void test_kernel_counts_records_of_its_key_only(void **state)
{
    (void)state;
    static const uint8_t ticket[] = { SSL3_MT_NEWSESSION_TICKET, 0, 0, 1, 1 };
    static const uint8_t update[] = { SSL3_MT_KEY_UPDATE, 0, 0, 1, SSL_KEY_UPDATE_NOT_REQUESTED };
    static const uint8_t request[] = { SSL3_MT_KEY_UPDATE, 0, 0, 1, SSL_KEY_UPDATE_REQUESTED };
    tls_kernel k = { 0 };
    tls_kernel_watch(&k, 1, SSL3_RT_HEADER, "", 0);
    tls_kernel_learn(&k, LINE);
    assert_int_equal(k.records, 0);
    tls_kernel_watch(&k, 1, SSL3_RT_HEADER, "", 0);
    tls_kernel_watch(&k, 0, SSL3_RT_HEADER, "", 0);
    tls_kernel_watch(&k, 1, SSL3_RT_HANDSHAKE, ticket, sizeof ticket);
    tls_kernel_watch(&k, 1, SSL3_RT_HANDSHAKE, update, 0);
    tls_kernel_watch(&k, 0, SSL3_RT_HANDSHAKE, update, sizeof update);
    assert_int_equal(k.records, 1);
    assert_int_equal(k.secret_bytes, 32);
    assert_false(k.renewed);
    tls_kernel_watch(&k, 1, SSL3_RT_HANDSHAKE, update, sizeof update);
    assert_int_equal(k.secret_bytes, 0);
    assert_true(k.renewed);
    tls_kernel asked = { 0 };
    tls_kernel_learn(&asked, LINE);
    tls_kernel_watch(&asked, 0, SSL3_RT_HANDSHAKE, request, sizeof request);
    assert_int_equal(asked.secret_bytes, 0);
    assert_true(asked.renewed);
}

/* --- on streams ------------------------------------------------------------------------------- */

/* A nameless file of the pattern's first bytes. */
static stream_file *make_file(size_t bytes)
{
    stream_file *file = NULL;
    const int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (size_t at = 0; at < bytes; at += PATTERN_BYTES) {
        const str part = pattern(at, bytes - at < PATTERN_BYTES ? bytes - at : PATTERN_BYTES);
        assert_int_equal(pwrite(fd, part.ptr, part.len, (off_t)at), (ssize_t)part.len);
    }
    assert_ok(stream_file_new(fd, &file));
    return file;
}

/* Files among all else that a stream sends. */
typedef struct part {
    bool is_file;
    size_t from;
    size_t bytes;
} part;
static const part PARTS[] = {
    { false, 7, 5000 }, { true, 0, FILE_BYTES }, { false, 3, 70 },
    { true, 0, 100 },   { false, 0, 40000 },     { true, 1, FILE_BYTES - 1 },
};

static void send_parts(stream *s)
{
    stream_file *file = make_file(FILE_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
        if (PARTS[i].is_file)
            stream_write_file(s, file, PARTS[i].from, PARTS[i].bytes);
        else
            stream_write(s, pattern(PARTS[i].from, PARTS[i].bytes));
    }
    stream_file_release(&file);
}

static void assert_parts(str got)
{
    for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
        assert_true(pattern_is(PARTS[i].from, str_slice(got, 0, PARTS[i].bytes)));
        got = str_slice(got, PARTS[i].bytes, got.len);
    }
    assert_int_equal(got.len, 0);
}

static void take_parts(void)
{
    eventually(client.at_end);
    assert_parts(buf_str(&client.got));
    buf_reset(&client.got);
}

static void test_kernel_sends_files_among_all_else(void **state)
{
    (void)state;
    configure(NULL, NULL);
    open_both(NULL, "localhost");
    talk();
    buf_reset(&client.got);
    buf_reset(&server.got);
    assert_false(stream_tls_in_kernel(server.stream));
    send_parts(server.stream);
    stream_write(client.stream, pattern(5, 3000)); /* the other way is as it was */
    eventually(server.got.len == 3000);
    assert_true(pattern_is(5, buf_str(&server.got)));
    stream_end(server.stream);
    take_parts();
    assert_true(stream_tls_in_kernel(server.stream) == tls_kernel_is_there());
    assert_false(stream_tls_in_kernel(client.stream));
    close_both();
}

static void test_kernel_sends_a_file_before_all_else(void **state)
{
    (void)state;
    configure(NULL, NULL);
    connect_plain(NULL);
    start_both("localhost");
    send_parts(server.stream); /* leaves behind the handshake */
    stream_close(server.stream, 10000);
    take_parts();
    close_both();
}

static void test_kernel_is_spared_for_small_files(void **state)
{
    (void)state;
    configure(NULL, NULL);
    open_both(NULL, "localhost");
    stream_file *file = make_file(TLS_KERNEL_BYTES_MIN);
    stream_write_file(server.stream, file, 1, TLS_KERNEL_BYTES_MIN - 1);
    stream_file_release(&file);
    eventually(client.got.len == TLS_KERNEL_BYTES_MIN - 1);
    assert_true(pattern_is(1, buf_str(&client.got)));
    assert_false(stream_tls_in_kernel(server.stream));
    close_both();
}

static void test_kernel_is_left_out_where_it_is_not_wanted(void **state)
{
    (void)state;
    const tls_server_options old = { .certificate.cert_file = tls_file_name("server"),
                                     .without_kernel = true };
    const tls_client_options without_1_3 = { .ca_file = tls_file_name("ca"), .without_1_3 = true };
    for (int i = 0; i < 2; i++) {
        configure(i == 0 ? &old : NULL, i == 1 ? &without_1_3 : NULL);
        open_both(NULL, "localhost");
        send_parts(server.stream);
        stream_end(server.stream);
        take_parts();
        assert_false(stream_tls_in_kernel(server.stream));
        close_both();
    }
}

/* A server's stream before a client of OpenSSL's own. */
static void open_foreign(const char *suites)
{
    configure(NULL, NULL);
    connect_bare(&server, false);
    foreign_new(true, TLS1_3_VERSION);
    assert_int_equal(SSL_set_ciphersuites(foreign, suites), 1);
    assert_ok(stream_start_tls_server(server.stream, server_config));
    assert_true(foreign_shake());
    eventually(server.opened);
}

static void test_kernel_seals_each_suite(void **state)
{
    (void)state;
    static const char *const suites[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                          "TLS_CHACHA20_POLY1305_SHA256" };
    for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
        open_foreign(suites[i]);
        foreign_send(pattern(0, 100));
        eventually(server.got.len == 100);
        send_parts(server.stream);
        stream_end(server.stream);
        foreign_receive(&client.got, SIZE_MAX);
        assert_parts(buf_str(&client.got));
        assert_int_equal(SSL_get_shutdown(foreign) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
        assert_true(stream_tls_in_kernel(server.stream) == (i < 2 && tls_kernel_is_there()));
        SSL_free(foreign);
        foreign = NULL;
        close(bare);
        bare = -1;
        eventually(server.closed);
        forget(&server);
        forget(&client);
    }
}

/* It takes all in its own time, with little room: the end comes when the socket is full. */
static void test_kernel_ends_behind_a_full_socket(void **state)
{
    (void)state;
    const size_t bytes = (size_t)256 << 10;
    open_foreign("TLS_AES_128_GCM_SHA256");
    peer_buffers(bare, 32768);
    peer_buffers(stream_layer_socket(server.stream), 32768);
    stream_file *file = make_file(bytes);
    stream_write_file(server.stream, file, 0, bytes);
    stream_file_release(&file);
    stream_close(server.stream, 20000);
    assert_ok(fiber_sleep(50));
    assert_false(server.closed);
    foreign_receive(&client.got, SIZE_MAX);
    assert_int_equal(client.got.len, bytes);
    assert_true(pattern_is(0, buf_str(&client.got)));
    assert_int_equal(SSL_get_shutdown(foreign) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    close(bare);
    bare = -1;
    eventually(server.closed);
    assert_ok(server.why);
}

/* Before it seals anything, our answer moves the session to keys that it would not know; behind
 * that, it cannot take them. */
static void test_kernel_and_a_peer_that_renews_keys(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        open_foreign("TLS_AES_128_GCM_SHA256");
        if (late) {
            send_parts(server.stream);
            foreign_receive(&client.got, FILE_BYTES);
        }
        assert_int_equal(SSL_key_update(foreign, SSL_KEY_UPDATE_REQUESTED), 1);
        foreign_send(pattern(0, 10));
        if (late && tls_kernel_is_there()) {
            foreign_receive(&client.got, SIZE_MAX);
            eventually(server.closed);
            assert_fails(TLS_FAILED, server.why);
            assert_non_null(strstr(server.why_text, "new keys"));
        } else {
            eventually(server.got.len == 10);
            if (!late)
                send_parts(server.stream);
            stream_close(server.stream, 10000);
            foreign_receive(&client.got, SIZE_MAX);
            assert_parts(buf_str(&client.got));
            assert_ok(server.why);
        }
        SSL_free(foreign);
        foreign = NULL;
        close(bare);
        bare = -1;
        eventually(server.closed);
        forget(&server);
        forget(&client);
    }
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_kernel_key_follows_from_the_secret),
        PAIR_TEST(test_kernel_learns_no_other_secret),
        PAIR_TEST(test_kernel_counts_records_of_its_key_only),
        PAIR_TEST(test_kernel_sends_files_among_all_else),
        PAIR_TEST(test_kernel_sends_a_file_before_all_else),
        PAIR_TEST(test_kernel_is_spared_for_small_files),
        PAIR_TEST(test_kernel_is_left_out_where_it_is_not_wanted),
        PAIR_TEST(test_kernel_seals_each_suite),
        PAIR_TEST(test_kernel_ends_behind_a_full_socket),
        PAIR_TEST(test_kernel_and_a_peer_that_renews_keys),
    };
    print_message("this kernel %s TLS\n", tls_kernel_is_there() ? "has" : "has no");
    return cmocka_run_group_tests_name("tls_kernel", tests, NULL, NULL);
}

int main(void)
{
    return run_with_files(run);
}
