/* Two streams with TLS between them, or one and a session of OpenSSL's own that does what ours
 * never would. For test programs whose tests run in one fiber. */
#ifndef TESTS_SUPPORT_TLS_PAIR_H
#define TESTS_SUPPORT_TLS_PAIR_H

#include "core/fault.h"
#include "core/tls.h"
#include "tests/support/stream_pair.h"
#include "tests/support/tls_files.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>

static side server, client;
static tls_config *server_config, *client_config;
static int bare = -1; /* a peer without a stream */
static SSL *foreign;  /* and its session, if it has one */

static inline int pair_setup(void **state)
{
    (void)state;
    side_init(&server);
    side_init(&client);
    fault_clear();
    return 0;
}

static inline int pair_teardown(void **state)
{
    (void)state;
    fault_clear();
    side_deinit(&server);
    side_deinit(&client);
    tls_config_free(&server_config);
    tls_config_free(&client_config);
    SSL_free(foreign);
    foreign = NULL;
    if (bare >= 0)
        close(bare);
    bare = -1;
    return server.stream || client.stream || server.calls_after_closed || client.calls_after_closed
               ? -1
               : 0;
}

static inline tls_server_options server_options(void)
{
    return (tls_server_options){ .certificate.cert_file = tls_file_name("server") };
}

static inline tls_client_options client_options(void)
{
    return (tls_client_options){ .ca_file = tls_file_name("ca") };
}

static inline void configure(const tls_server_options *s, const tls_client_options *c)
{
    const tls_server_options usual_server = server_options();
    const tls_client_options usual_client = client_options();
    tls_config_free(&server_config);
    tls_config_free(&client_config);
    assert_ok(tls_config_server(s ? s : &usual_server, &server_config));
    assert_ok(tls_config_client(c ? c : &usual_client, &client_config));
}

/* Connects the two, plain. */
static inline void connect_plain(const stream_options *options)
{
    address at;
    const int listening = pair_listen(false, &at);
    assert_ok(stream_connect(loop_self(), &at, &SIDE_HANDLER, options, &client, &client.stream));
    const int fd = peer_accept(listening);
    close(listening);
    assert_ok(stream_from_fd(loop_self(), fd, &SIDE_HANDLER, options, &server, &server.stream));
    eventually(client.opened);
    client.opened = false;
}

/* One of them, plain; `bare` is its peer. */
static inline void connect_bare(side *s, bool is_client)
{
    const pair_kind kind = { .name = "bare", .is_client = is_client };
    bare = pair_open(&kind, NULL, 0, s);
    s->opened = false;
}

static inline void start_both(const char *name)
{
    assert_ok(stream_start_tls_server(server.stream, server_config));
    assert_ok(stream_start_tls_client(client.stream, client_config, str_from_c(name)));
}

/* Connects the two and waits until the handshake is done. */
static inline void open_both(const stream_options *options, const char *name)
{
    connect_plain(options);
    start_both(name);
    eventually((client.opened && server.opened) || client.closed || server.closed);
    assert_true(client.opened && server.opened);
}

/* The same, when it is not to succeed: until both are closed. */
static inline void fail_both(const char *name)
{
    connect_plain(NULL);
    start_both(name);
    eventually(client.closed && server.closed);
}

static inline void forget(side *s)
{
    buf_deinit(&s->got);
    side_init(s);
}

static inline void close_both(void)
{
    if (client.stream)
        stream_close(client.stream, 1000);
    if (server.stream)
        stream_close(server.stream, 1000);
    eventually(client.closed && server.closed);
    assert_ok(client.why);
    assert_ok(server.why);
    forget(&client);
    forget(&server);
}

/* Some bytes each way. */
static inline void talk(void)
{
    stream_write(client.stream, pattern(1, 3000));
    stream_write(server.stream, pattern(2, 40000));
    eventually(server.got.len == 3000 && client.got.len == 40000);
    assert_true(pattern_is(1, buf_str(&server.got)));
    assert_true(pattern_is(2, buf_str(&client.got)));
}

/* --- a session of OpenSSL's own on `bare` ------------------------------------------------------
 */

static inline void foreign_new(bool is_client, int version_max)
{
    SSL_CTX *c = SSL_CTX_new(is_client ? TLS_client_method() : TLS_server_method());
    assert_non_null(c);
    SSL_CTX_set_max_proto_version(c, version_max);
    assert_int_equal(SSL_CTX_use_certificate_chain_file(c, tls_file_path("server")), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(c, tls_file_path("server"), SSL_FILETYPE_PEM), 1);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    foreign = SSL_new(c);
    SSL_CTX_free(c);
    assert_non_null(foreign);
    SSL_set_fd(foreign, bare);
    if (is_client)
        SSL_set_connect_state(foreign);
    else
        SSL_set_accept_state(foreign);
}

/* Whether it succeeded; false when it failed or did not end. */
static inline bool foreign_shake(void)
{
    for (int i = 0; i < 20000; i++) {
        ERR_clear_error();
        const int n = SSL_do_handshake(foreign);
        if (n == 1)
            return true;
        if (SSL_get_error(foreign, n) != SSL_ERROR_WANT_READ)
            return false;
        assert_ok(fiber_sleep(1));
    }
    return false;
}

static inline void foreign_send(str bytes)
{
    for (int idle = 0; bytes.len > 0; idle++) {
        ERR_clear_error();
        const int n = SSL_write(foreign, bytes.ptr, (int)bytes.len);
        if (n > 0)
            bytes = str_slice(bytes, (size_t)n, bytes.len);
        else
            assert_ok(fiber_sleep(1));
        assert_true(idle < 20000);
    }
}

/* Reads until `b` holds `bytes`, or the session ends. */
static inline void foreign_receive(buf *b, size_t bytes)
{
    for (int idle = 0; b->len < bytes && idle < 20000;) {
        char *to = buf_reserve(b, 16384);
        assert_non_null(to);
        ERR_clear_error();
        const int n = SSL_read(foreign, to, 16384);
        if (n > 0) {
            buf_commit(b, (size_t)n);
            idle = 0;
            continue;
        }
        if (SSL_get_error(foreign, n) != SSL_ERROR_WANT_READ)
            return;
        idle++;
        assert_ok(fiber_sleep(1));
    }
}

/* For main: makes the files, runs the group, removes them. */
static inline int run_with_files(int (*run)(void))
{
    if (!tls_files_make())
        return 1;
    signal(SIGPIPE, SIG_IGN); /* of OpenSSL's own writes */
    const int failed = run_in_fiber(run);
    tls_files_remove();
    return failed;
}

#define PAIR_TEST(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

#endif
