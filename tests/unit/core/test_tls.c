/* TLS on streams, over real sockets: both ends ours (this file), and foreign ones by the openssl
 * program (test_tls_openssl.c). What may differ from a plain stream is tested here; that the rest
 * does not, by the stream's own suite, which runs over TLS too. */
#include "core/fault.h"
#include "core/tls.h"
#include "tests/support/stream_pair.h"
#include "tests/support/tls_files.h"

static side server, client;
static tls_config *server_config, *client_config;

static int setup(void **state)
{
    (void)state;
    side_init(&server);
    side_init(&client);
    fault_clear();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fault_clear();
    side_deinit(&server);
    side_deinit(&client);
    tls_config_free(&server_config);
    tls_config_free(&client_config);
    return server.stream || client.stream || server.calls_after_closed || client.calls_after_closed
               ? -1
               : 0;
}

/* --- making one ------------------------------------------------------------------------------ */

static tls_server_options server_options(void)
{
    return (tls_server_options){ .certificate.cert_file = tls_file_name("server") };
}

static tls_client_options client_options(void)
{
    return (tls_client_options){ .ca_file = tls_file_name("ca") };
}

static void configure_server(const tls_server_options *options)
{
    tls_config_free(&server_config);
    assert_ok(tls_config_server(options, &server_config));
}

static void configure_client(const tls_client_options *options)
{
    tls_config_free(&client_config);
    assert_ok(tls_config_client(options, &client_config));
}

static void configure_both(void)
{
    const tls_server_options s = server_options();
    const tls_client_options c = client_options();
    configure_server(&s);
    configure_client(&c);
}

/* Connects the two, plain. */
static void connect_plain(const stream_options *options)
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

static void start(const char *name)
{
    assert_ok(stream_start_tls_server(server.stream, server_config));
    assert_ok(stream_start_tls_client(client.stream, client_config, str_from_c(name)));
}

/* Connects the two and waits until the handshake is done. */
static void open_both(const stream_options *options, const char *name)
{
    connect_plain(options);
    start(name);
    eventually((client.opened && server.opened) || client.closed || server.closed);
    assert_true(client.opened && server.opened);
}

static void close_both(void)
{
    if (client.stream)
        stream_close(client.stream, 1000);
    if (server.stream)
        stream_close(server.stream, 1000);
    eventually(client.closed && server.closed);
    assert_ok(client.why);
    assert_ok(server.why);
    server.closed = client.closed = server.opened = client.opened = false;
    server.at_end = client.at_end = false;
    server.got.len = client.got.len = 0;
}

/* The words that both sides can exchange. */
static void talk(void)
{
    stream_write(client.stream, pattern(1, 3000));
    stream_write(server.stream, pattern(2, 40000));
    eventually(server.got.len == 3000 && client.got.len == 40000);
    assert_true(pattern_is(1, buf_str(&server.got)));
    assert_true(pattern_is(2, buf_str(&client.got)));
}

/* --- handshakes ------------------------------------------------------------------------------ */

static void test_tls_both_versions_carry_bytes_both_ways(void **state)
{
    (void)state;
    for (int version = TLS_VERSION_1_2; version <= TLS_VERSION_1_3; version++) {
        tls_server_options s = server_options();
        tls_client_options c = client_options();
        s.version_min = c.version_min = (tls_version)version;
        configure_server(&s);
        configure_client(&c);
        open_both(NULL, "localhost");
        assert_str_equal(stream_tls_version(client.stream), STR("TLSv1.3"));
        assert_true(stream_is_tls(client.stream) && stream_is_tls(server.stream));
        assert_str_equal(stream_tls_server_name(server.stream), STR("localhost"));
        assert_true(stream_tls_peer_verified(client.stream));
        assert_false(stream_tls_peer_verified(server.stream));
        talk();
        close_both();
    }
}

static void test_tls_end_is_told_after_the_last_byte(void **state)
{
    (void)state;
    configure_both();
    open_both(NULL, "localhost");
    stream_write(client.stream, pattern(0, 50000));
    stream_end(client.stream);
    eventually(server.at_end);
    assert_int_equal(server.got.len, 50000);
    stream_write(server.stream, pattern(0, 60000)); /* the other half still stands */
    eventually(client.got.len == 60000);
    assert_false(client.at_end);
    close_both();
}

#define TLS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(test_tls_both_versions_carry_bytes_both_ways),
        TLS_TEST(test_tls_end_is_told_after_the_last_byte),
    };
    return cmocka_run_group_tests_name("tls", tests, NULL, NULL);
}

int main(void)
{
    if (!tls_files_make())
        return 1;
    const int failed = run_in_fiber(run);
    tls_files_remove();
    return failed;
}
