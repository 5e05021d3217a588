/* TLS on streams: who is let in. Names, certificates on both sides, protocols, tickets, channel
 * binding, and configurations that cannot be. What goes over the wire is test_tls_wire.c's; that
 * the stream behaves as without, its own suite's, which runs over TLS too. */
#include "tests/support/tls_pair.h"

static void assert_why(const side *s, const char *text)
{
    assert_fails(TLS_FAILED, s->why);
    if (!strstr(s->why_text, text))
        print_error("\"%s\" has no \"%s\"\n", s->why_text, text);
    assert_non_null(strstr(s->why_text, text));
}

/* --- handshakes ------------------------------------------------------------------------------ */

static void test_tls_streams_carry_bytes_both_ways(void **state)
{
    (void)state;
    configure(NULL, NULL);
    open_both(NULL, "localhost");
    assert_str_equal(stream_tls_version(client.stream), STR("TLSv1.3"));
    assert_true(stream_is_tls(client.stream) && stream_is_tls(server.stream));
    assert_str_equal(stream_tls_server_name(server.stream), STR("localhost"));
    assert_true(stream_tls_peer_verified(client.stream));
    assert_false(stream_tls_peer_verified(server.stream));
    assert_null(stream_tls_peer_subject(server.stream, fiber_arena()).ptr);
    assert_str_equal(stream_tls_peer_subject(client.stream, fiber_arena()),
                     STR("CN=localhost,O=Brio tests"));
    talk();
    close_both();
}

static void test_tls_plain_stream_answers_none(void **state)
{
    (void)state;
    connect_plain(NULL);
    uint8_t hash[TLS_HASH_BYTES_MAX];
    size_t len;
    assert_false(stream_is_tls(client.stream));
    assert_null(stream_tls_alpn(client.stream).ptr);
    assert_null(stream_tls_version(client.stream).ptr);
    assert_null(stream_tls_server_name(server.stream).ptr);
    assert_false(stream_tls_resumed(client.stream) || stream_tls_peer_verified(client.stream));
    assert_null(stream_tls_peer_subject(client.stream, fiber_arena()).ptr);
    assert_fails(TLS_FAILED, stream_tls_server_end_point(client.stream, hash, &len));
    close_both();
}

static void test_tls_right_after_connect_opens_once(void **state)
{
    (void)state;
    configure(NULL, NULL);
    address at;
    const int listening = pair_listen(false, &at);
    assert_ok(stream_connect(loop_self(), &at, &SIDE_HANDLER, NULL, &client, &client.stream));
    assert_ok(stream_start_tls_client(client.stream, client_config, STR("localhost")));
    stream_write(client.stream, pattern(0, 60000)); /* leaves after the handshake */
    const int fd = peer_accept(listening);
    close(listening);
    assert_ok(fiber_sleep(5));
    assert_false(client.opened);
    assert_ok(stream_from_fd(loop_self(), fd, &SIDE_HANDLER, NULL, &server, &server.stream));
    assert_ok(stream_start_tls_server(server.stream, server_config));
    stream_write(server.stream, pattern(7, 60000));
    eventually(server.got.len == 60000 && client.got.len == 60000);
    assert_true(client.opened && server.opened);
    assert_true(pattern_is(0, buf_str(&server.got)));
    assert_true(pattern_is(7, buf_str(&client.got)));
    close_both();
}

static void test_tls_closed_before_the_handshake_is_told_once(void **state)
{
    (void)state;
    configure(NULL, NULL);
    connect_plain(NULL);
    start_both("localhost");
    stream_abort(client.stream);
    stream_close(server.stream, 50);
    eventually(client.closed && server.closed);
    assert_ok(client.why);
    assert_ok(server.why);
    assert_false(client.opened || server.opened);
}

/* What was queued and closed before the handshake arrives after it. */
static void test_tls_close_sends_what_waits_for_the_handshake(void **state)
{
    (void)state;
    configure(NULL, NULL);
    connect_plain(NULL);
    start_both("localhost");
    stream_write(server.stream, pattern(0, 50000));
    stream_close(server.stream, 2000);
    eventually(client.at_end);
    assert_int_equal(client.got.len, 50000);
    assert_true(pattern_is(0, buf_str(&client.got)));
    assert_false(server.opened);
    close_both();
}

static void test_tls_starts_once(void **state)
{
    (void)state;
    configure(NULL, NULL);
    open_both(NULL, "localhost");
    assert_fails(STREAM_CLOSED, stream_start_tls_server(server.stream, server_config));
    stream_close(client.stream, 1000);
    eventually(server.at_end);
    assert_fails(STREAM_CLOSED, stream_start_tls_server(server.stream, server_config));
    close_both();
}

static void test_tls_config_may_be_freed_while_it_is_used(void **state)
{
    (void)state;
    configure(NULL, NULL);
    connect_plain(NULL);
    start_both("localhost");
    tls_config_free(&server_config);
    tls_config_free(&client_config);
    tls_config_free(&client_config);
    eventually(client.opened && server.opened);
    talk();
    close_both();
}

/* --- the server's certificate ---------------------------------------------------------------- */

typedef struct refusal {
    const char *certificate;
    const char *name;
    const char *why; /* NULL: let in */
    tls_verify verify;
} refusal;

static void test_tls_server_is_who_it_says(void **state)
{
    (void)state;
    static const refusal rows[] = {
        { "server", "localhost", NULL, TLS_VERIFY_FULL },
        { "server", "LOCALHOST", NULL, TLS_VERIFY_FULL },
        { "server", "localhost.", NULL, TLS_VERIFY_FULL },
        { "server", "127.0.0.1", NULL, TLS_VERIFY_FULL },
        { "server", "other.test", "ostname mismatch", TLS_VERIFY_FULL },
        { "server", "127.0.0.2", "IP address mismatch", TLS_VERIFY_FULL },
        { "server", "other.test", NULL, TLS_VERIFY_CHAIN },
        { "server", "", NULL, TLS_VERIFY_CHAIN },
        { "wild", "a.wild.test", NULL, TLS_VERIFY_FULL },
        { "wild", "wild.test", "ostname mismatch", TLS_VERIFY_FULL },
        { "wild", "a.b.wild.test", "ostname mismatch", TLS_VERIFY_FULL },
        { "expired", "localhost", "expired", TLS_VERIFY_FULL },
        { "expired", "localhost", "expired", TLS_VERIFY_CHAIN },
        { "expired", "localhost", NULL, TLS_VERIFY_NONE },
        { "self", "localhost", "self-signed", TLS_VERIFY_FULL },
        { "self", "localhost", "self-signed", TLS_VERIFY_CHAIN },
        { "self", "localhost", NULL, TLS_VERIFY_NONE },
        { "client", "ada", "", TLS_VERIFY_CHAIN }, /* not for servers */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const refusal *row = &rows[i];
        tls_server_options s = server_options();
        tls_client_options c = client_options();
        s.certificate.cert_file = tls_file_name(row->certificate);
        c.verify = row->verify;
        configure(&s, &c);
        if (!row->why) {
            open_both(NULL, row->name);
            assert_int_equal(stream_tls_peer_verified(client.stream),
                             row->verify != TLS_VERIFY_NONE);
            talk();
            close_both();
            continue;
        }
        fail_both(row->name);
        assert_false(client.opened);
        assert_why(&client, row->why);
        assert_why(&server, "alert"); /* the server hears what was the matter */
        forget(&client);
        forget(&server);
    }
}

static void test_tls_system_roots_do_not_know_our_authority(void **state)
{
    (void)state;
    configure(NULL, &(tls_client_options){ 0 });
    fail_both("localhost");
    assert_why(&client, "certificate");
}

static void test_tls_name_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {
        "", ".", "a b", "a/b", "ex\xc3\xa4mple.test", ".a", "[::1]"
    };
    configure(NULL, NULL);
    connect_plain(NULL);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_fails(TLS_MISCONFIGURED,
                     stream_start_tls_client(client.stream, client_config, str_from_c(names[i])));
    assert_fails(TLS_MISCONFIGURED,
                 stream_start_tls_client(client.stream, client_config, STR_NONE));
    assert_fails(TLS_MISCONFIGURED,
                 stream_start_tls_client(client.stream, client_config, pattern(0, 254)));
    assert_fails(TLS_MISCONFIGURED,
                 stream_start_tls_client(client.stream, client_config, STR("local\0host")));
    stream_write(client.stream, STR("still plain"));
    eventually(server.got.len == 11);
    close_both();
}

static void test_tls_certificate_is_chosen_by_name(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "localhost", "CN=localhost,O=Brio tests" },
        { "rsa.test", "CN=rsa.test,O=Brio tests" },
        { "x.wild.test", "CN=wild.test,O=Brio tests" },
        { "else.test", "CN=localhost,O=Brio tests" },
        { "", "CN=localhost,O=Brio tests" },
        { "127.0.0.1", "CN=localhost,O=Brio tests" },
    };
    const tls_certificate others[] = { { .cert_file = tls_file_name("rsa") },
                                       { .cert_file = tls_file_name("wild") } };
    tls_server_options s = server_options();
    tls_client_options c = client_options();
    s.others = others;
    s.other_count = ARRAY_LEN(others);
    s.alpn = c.alpn = STR("http/1.1");
    c.verify = TLS_VERIFY_CHAIN;
    configure(&s, &c);
    for (int round = 0; round < 2; round++) { /* the second resumes, where a name is asked for */
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            open_both(NULL, rows[i][0]);
            assert_str_equal(stream_tls_peer_subject(client.stream, fiber_arena()),
                             str_from_c(rows[i][1]));
            assert_str_equal(stream_tls_alpn(server.stream), STR("http/1.1"));
            talk();
            close_both();
        }
    }
}

/* --- the client's certificate ---------------------------------------------------------------- */

static void test_tls_client_certificate_is_asked_for(void **state)
{
    (void)state;
    tls_server_options s = server_options();
    tls_client_options c = client_options();
    s.client_ca_file = tls_file_name("ca");
    c.certificate.cert_file = tls_file_name("client");
    configure(&s, &c);
    for (int round = 0; round < 2; round++) { /* in full, and resumed */
        open_both(NULL, "localhost");
        assert_int_equal(stream_tls_resumed(server.stream), round);
        assert_true(stream_tls_peer_verified(server.stream));
        assert_str_equal(stream_tls_peer_subject(server.stream, fiber_arena()),
                         STR("CN=ada,O=Brio tests"));
        talk();
        close_both();
    }
}

static void test_tls_client_without_a_good_certificate_is_refused(void **state)
{
    (void)state;
    static const char *const certificates[] = { NULL, "foreign-client", "self", "server" };
    for (size_t i = 0; i < ARRAY_LEN(certificates); i++) {
        for (int optional = 0; optional < 2; optional++) {
            tls_server_options s = server_options();
            tls_client_options c = client_options();
            s.client_ca_file = tls_file_name("ca");
            s.client_optional = optional == 1;
            if (certificates[i])
                c.certificate.cert_file = tls_file_name(certificates[i]);
            configure(&s, &c);
            if (optional && !certificates[i]) {
                open_both(NULL, "localhost");
                assert_false(stream_tls_peer_verified(server.stream));
                talk();
                close_both();
                continue;
            }
            fail_both("localhost");
            assert_fails(TLS_FAILED, server.why);
            assert_false(server.opened);
            assert_why(&client, "alert");
            forget(&client);
            forget(&server);
        }
    }
}

/* --- protocols ------------------------------------------------------------------------------- */

static void test_tls_protocol_is_the_servers_choice(void **state)
{
    (void)state;
    static const struct {
        str server, client, chosen;
        bool fails;
    } rows[] = {
        { STR("h2,http/1.1"), STR("http/1.1,h2"), STR("h2"), false },
        { STR("http/1.1,h2"), STR("h2,http/1.1"), STR("http/1.1"), false },
        { STR("h2,http/1.1"), STR("spdy,http/1.1"), STR("http/1.1"), false },
        { STR("h2,http/1.1"), { NULL, 0 }, { NULL, 0 }, false },
        { { NULL, 0 }, STR("h2"), { NULL, 0 }, false },
        { STR("h2"), STR("http/1.1"), { NULL, 0 }, true },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tls_server_options s = server_options();
        tls_client_options c = client_options();
        s.alpn = rows[i].server;
        c.alpn = rows[i].client;
        configure(&s, &c);
        if (rows[i].fails) {
            fail_both("localhost");
            assert_why(&client, "application protocol");
            continue;
        }
        open_both(NULL, "localhost");
        assert_str_equal(stream_tls_alpn(server.stream), rows[i].chosen);
        assert_str_equal(stream_tls_alpn(client.stream), rows[i].chosen);
        close_both();
    }
}

/* --- tickets --------------------------------------------------------------------------------- */

static const uint8_t ticket_keys[3][TLS_TICKET_KEY_BYTES] = { { 1, 2, 3 }, { 4, 5, 6 }, { 7, 8 } };

/* Connects, says something each way (tickets come behind the handshake); whether it was resumed. */
static bool connect_once(void)
{
    open_both(NULL, "localhost");
    talk();
    const bool resumed = stream_tls_resumed(client.stream);
    assert_int_equal(stream_tls_resumed(server.stream), resumed);
    assert_true(stream_tls_peer_verified(client.stream));
    close_both();
    return resumed;
}

/* Another process of the server: a configuration of its own with these keys. */
static void restart_server(const tls_server_options *options, size_t first_key, size_t count)
{
    const tls_server_options usual = server_options();
    tls_config_free(&server_config);
    assert_ok(tls_config_server(options ? options : &usual, &server_config));
    if (count > 0)
        assert_ok(tls_config_set_ticket_keys(server_config, ticket_keys + first_key, count));
}

static void test_tls_reconnecting_client_resumes(void **state)
{
    (void)state;
    configure(NULL, NULL);
    assert_false(connect_once());
    for (int i = 0; i < 30; i++)
        assert_true(connect_once());
    restart_server(NULL, 0, 0);
    assert_false(connect_once()); /* with random keys nobody else reads its tickets */
}

static void test_tls_shared_ticket_keys_outlive_the_server(void **state)
{
    (void)state;
    configure(NULL, NULL);
    restart_server(NULL, 1, 1);
    assert_false(connect_once());
    restart_server(NULL, 1, 1);
    assert_true(connect_once());
    restart_server(NULL, 0, 2); /* rotated: the old one still opens */
    assert_true(connect_once());
    restart_server(NULL, 0, 1); /* and was renewed */
    assert_true(connect_once());
    restart_server(NULL, 2, 1);
    assert_false(connect_once());
}

/* A ticket is good where it was given only: not past a check of clients, not for another server. */
static void test_tls_ticket_does_not_get_around_the_client_check(void **state)
{
    (void)state;
    configure(NULL, NULL);
    restart_server(NULL, 0, 1);
    assert_false(connect_once());
    tls_server_options s = server_options();
    s.client_ca_file = tls_file_name("ca");
    restart_server(&s, 0, 1);
    fail_both("localhost");
    assert_fails(TLS_FAILED, server.why);
    assert_false(server.opened);
}

/* Nor does one that was given to a client of an issuer who is trusted no more, when the file that
 * says who is has changed. */
static void test_tls_ticket_does_not_outlive_the_issuers_file(void **state)
{
    (void)state;
    char link[128];
    tls_server_options s = server_options();
    tls_client_options c = client_options();
    (void)snprintf(link, sizeof link, "%s/issuers", tls_files_directory);
    s.client_ca_file = str_from_c(link);
    s.client_optional = true;
    c.certificate.cert_file = tls_file_name("client");
    assert_int_equal(symlink(tls_file_path("ca"), link), 0);
    configure(&s, &c);
    restart_server(&s, 0, 1);
    assert_false(connect_once());
    restart_server(&s, 0, 1);
    assert_true(connect_once());
    unlink(link);
    assert_int_equal(symlink(tls_file_path("foreign-ca"), link), 0);
    s.certificate.cert_file = tls_file_name("server"); /* its text is of limited life */
    restart_server(&s, 0, 1);
    unlink(link);
    fail_both("localhost");
    assert_fails(TLS_FAILED, server.why);
    assert_false(server.opened);
}

static void test_tls_ticket_keys_are_of_servers(void **state)
{
    (void)state;
    configure(NULL, NULL);
    assert_fails(TLS_MISCONFIGURED, tls_config_set_ticket_keys(client_config, ticket_keys, 1));
    assert_fails(TLS_MISCONFIGURED, tls_config_set_ticket_keys(server_config, ticket_keys, 0));
    assert_fails(TLS_MISCONFIGURED, tls_config_set_ticket_keys(server_config, ticket_keys, 5));
}

/* --- channel binding ------------------------------------------------------------------------- */

static void test_tls_end_point_is_the_certificates_hash(void **state)
{
    (void)state;
    static const struct {
        const char *certificate, *hash;
    } rows[] = { { "server", "SHA256" }, { "rsa", "SHA384" }, { "ed25519", NULL } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tls_server_options s = server_options();
        tls_client_options c = client_options();
        s.certificate.cert_file = tls_file_name(rows[i].certificate);
        c.verify = TLS_VERIFY_NONE;
        configure(&s, &c);
        for (int round = 0; round < 2; round++) {
            open_both(NULL, "localhost");
            uint8_t ours[TLS_HASH_BYTES_MAX], theirs[TLS_HASH_BYTES_MAX];
            uint8_t expected[EVP_MAX_MD_SIZE];
            size_t our_len = 0, their_len = 0;
            unsigned len = 0;
            talk();
            if (rows[i].hash) {
                assert_ok(stream_tls_server_end_point(client.stream, ours, &our_len));
                assert_ok(stream_tls_server_end_point(server.stream, theirs, &their_len));
                FILE *f = fopen(tls_file_path(rows[i].certificate), "r");
                X509 *certificate = PEM_read_X509(f, NULL, NULL, NULL);
                fclose(f);
                X509_digest(certificate, EVP_get_digestbyname(rows[i].hash), expected, &len);
                X509_free(certificate);
                assert_int_equal(our_len, len);
                assert_int_equal(their_len, len);
                assert_memory_equal(ours, expected, len);
                assert_memory_equal(theirs, expected, len);
            } else {
                assert_fails(TLS_FAILED,
                             stream_tls_server_end_point(client.stream, ours, &our_len));
            }
            close_both();
        }
    }
}

/* --- what cannot be configured --------------------------------------------------------------- */

static void test_tls_bad_files_are_named(void **state)
{
    (void)state;
    const str good = tls_file_name("server"), none = tls_file_name("none"), key = STR("/dev/null");
    const tls_server_options servers[] = {
        { .certificate.cert_file = STR_NONE },
        { .certificate.cert_file = none },
        { .certificate.cert_file = STR("/tmp") },
        { .certificate = { good, key } },
        { .certificate = { good, tls_file_name("rsa") } }, /* the key of another */
        { .certificate = { STR("a\0b"), good } },
        { .certificate.cert_file = good, .client_ca_file = none },
        { .certificate.cert_file = good, .client_ca_file = key },
        { .certificate.cert_file = good, .alpn = STR("") },
        { .certificate.cert_file = good, .alpn = STR("h2,,http/1.1") },
        { .certificate.cert_file = good, .alpn = pattern(0, 256) },
        { .certificate.cert_file = good,
          .others = &(tls_certificate){ .cert_file = none },
          .other_count = 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
        assert_fails(TLS_MISCONFIGURED, tls_config_server(&servers[i], &server_config));
        assert_null(server_config);
    }
    const error e = tls_config_server(&servers[1], &server_config);
    char text[1024];
    error_describe(e, text, sizeof text);
    assert_non_null(strstr(text, "/none.pem: No such file"));
    const tls_client_options clients[] = {
        { .ca_file = none },
        { .ca_file = key },
        { .ca_file = tls_file_name("ca"), .certificate.cert_file = none },
    };
    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        assert_fails(TLS_MISCONFIGURED, tls_config_client(&clients[i], &client_config));
}

/* An encrypted key asks nobody for its password. */
static void test_tls_encrypted_key_is_refused(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *f = fopen(tls_file_path("encrypted"), "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, key, EVP_aes_128_cbc(),
                                          (const unsigned char *)"secret", 6, NULL, NULL),
                     1);
    fclose(f);
    EVP_PKEY_free(key);
    tls_server_options s = server_options();
    s.certificate.key_file = tls_file_name("encrypted");
    assert_fails(TLS_MISCONFIGURED, tls_config_server(&s, &server_config));
    unlink(tls_file_path("encrypted"));
}

static void test_tls_without_memory_is_refused(void **state)
{
    (void)state;
    const tls_server_options s = server_options();
    const tls_client_options c = client_options();
    for (uint32_t n = 1; n <= 2; n++) {
        fault_at("memory", n);
        assert_fails(OUT_OF_MEMORY, tls_config_server(&s, &server_config));
        fault_at("memory", n);
        assert_fails(OUT_OF_MEMORY, tls_config_client(&c, &client_config));
    }
    fault_clear();
    configure(NULL, NULL);
    connect_plain(NULL);
    fault_at("memory", 1);
    assert_fails(OUT_OF_MEMORY, stream_start_tls_server(server.stream, server_config));
    fault_at("tls.session", 1);
    assert_fails(OUT_OF_MEMORY,
                 stream_start_tls_client(client.stream, client_config, STR("localhost")));
    fault_clear();
    stream_write(client.stream, STR("still plain"));
    eventually(server.got.len == 11);
    close_both();
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_tls_streams_carry_bytes_both_ways),
        PAIR_TEST(test_tls_plain_stream_answers_none),
        PAIR_TEST(test_tls_right_after_connect_opens_once),
        PAIR_TEST(test_tls_closed_before_the_handshake_is_told_once),
        PAIR_TEST(test_tls_close_sends_what_waits_for_the_handshake),
        PAIR_TEST(test_tls_starts_once),
        PAIR_TEST(test_tls_config_may_be_freed_while_it_is_used),
        PAIR_TEST(test_tls_server_is_who_it_says),
        PAIR_TEST(test_tls_system_roots_do_not_know_our_authority),
        PAIR_TEST(test_tls_name_that_is_none_is_refused),
        PAIR_TEST(test_tls_certificate_is_chosen_by_name),
        PAIR_TEST(test_tls_client_certificate_is_asked_for),
        PAIR_TEST(test_tls_client_without_a_good_certificate_is_refused),
        PAIR_TEST(test_tls_protocol_is_the_servers_choice),
        PAIR_TEST(test_tls_reconnecting_client_resumes),
        PAIR_TEST(test_tls_shared_ticket_keys_outlive_the_server),
        PAIR_TEST(test_tls_ticket_does_not_get_around_the_client_check),
        PAIR_TEST(test_tls_ticket_does_not_outlive_the_issuers_file),
        PAIR_TEST(test_tls_ticket_keys_are_of_servers),
        PAIR_TEST(test_tls_end_point_is_the_certificates_hash),
        PAIR_TEST(test_tls_bad_files_are_named),
        PAIR_TEST(test_tls_encrypted_key_is_refused),
        PAIR_TEST(test_tls_without_memory_is_refused),
    };
    return cmocka_run_group_tests_name("tls", tests, NULL, NULL);
}

int main(void)
{
    return run_with_files(run);
}
