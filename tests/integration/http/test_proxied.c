/* Listeners behind proxies: connections that begin with a PROXY header, with and without TLS behind
 * it. Who has none, or a bad one, or is late with it, gets no answer. */
#include "core/buf.h"
#include "tests/support/secured.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LINE      "PROXY TCP4 192.0.2.7 198.51.100.7 49152 443\r\n"
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define FOUR      "\xC0\x00\x02\x07\xC6\x33\x64\x07\xC0\x00\x01\xBB"
#define SIX                                      \
    "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x07" \
    "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x08\xC0\x00\x01\xBB"
#define REQUEST "GET /client HTTP/1.1\r\nHost: x\r\n\r\n"
#define LISTEN  "LISTEN=127.0.0.1:0 tls:127.0.0.1:0 proxy:127.0.0.1:0 proxy+tls:127.0.0.1:0"

static void serve_proxied(const char *more)
{
    server_start(&server, getenv("SECURED"),
                 ENVIRONMENT("WORKERS=1", LISTEN, file_variable("TLS_CERT_FILE", "server"), more));
}

static void connect_proxied(peer *p, str header)
{
    peer_connect(p, port_of("proxy:"));
    peer_send(p, header);
}

typedef struct header_case {
    const char *name;
    str header;
    const char *client;
} header_case;

#define HEADER(name_, text_, client_)                      \
    {                                                      \
        (name_), { (text_), sizeof(text_) - 1 }, (client_) \
    }

static const header_case HEADERS[] = {
    HEADER("a line", LINE, "192.0.2.7"),
    HEADER("a line of IPv6", "PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "2001:db8::7"),
    HEADER("a line that knows nothing", "PROXY UNKNOWN\r\n", "127.0.0.1"),
    HEADER("binary", SIGNATURE "\x21\x11\x00\x0C" FOUR, "192.0.2.7"),
    HEADER("binary of IPv6", SIGNATURE "\x21\x21\x00\x24" SIX, "2001:db8::7"),
    HEADER("binary with extensions", SIGNATURE "\x21\x11\x00\x0F" FOUR "\x04\x00\x00", "192.0.2.7"),
    HEADER("binary of the proxy itself", SIGNATURE "\x20\x00\x00\x00", "127.0.0.1"),
};

static void test_proxied_request_has_the_address_of_the_header(void **state)
{
    (void)state;
    serve_proxied(NULL);
    for (size_t i = 0; i < ARRAY_LEN(HEADERS); i++) {
        peer p;
        connect_proxied(&p, HEADERS[i].header);
        for (int requests = 0; requests < 3; requests++) /* as long as the connection */
            expect_text(&p, "/client", HEADERS[i].client);
        expect_text(&p, "/tls", "plain");
        peer_close(&p);
    }
}

static void test_proxied_client_of_a_unix_socket_has_no_address(void **state)
{
    (void)state;
    static char header[16 + 216];
    memcpy(header, SIGNATURE "\x21\x31\x00\xD8", 16);
    serve_proxied("HTTP_TRUSTED_PROXIES=unix 127.0.0.1");
    peer p;
    answer a;
    connect_proxied(&p, (str){ header, sizeof header });
    peer_sendf(&p, "GET /client HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n");
    peer_read(&p, false, &a);
    check_status("/client", &a, 200);
    assert_true(str_eq(a.body, STR("-")));
    answer_free(&a);
    peer_close(&p);
}

/* Header and request, cut at every byte; and a byte at a time. */
static void test_proxied_connection_cut_at_every_byte_is_the_same(void **state)
{
    (void)state;
    serve_proxied(NULL);
    for (size_t i = 0; i < ARRAY_LEN(HEADERS); i++) {
        buf whole;
        buf_init(&whole, 65536);
        buf_append(&whole, HEADERS[i].header);
        buf_append(&whole, STR(REQUEST));
        for (size_t cut = 0; cut <= whole.len; cut++) {
            peer p;
            answer a;
            peer_connect(&p, port_of("proxy:"));
            const str bytes = buf_str(&whole);
            peer_send(&p, str_slice(bytes, 0, cut));
            if (cut % 4 == 1)
                test_pause_ms(1); /* else they may come together after all */
            peer_send(&p, str_slice(bytes, cut, bytes.len));
            peer_read(&p, false, &a);
            check_status(HEADERS[i].name, &a, 200);
            assert_true(str_eq(a.body, str_from_c(HEADERS[i].client)));
            answer_free(&a);
            peer_close(&p);
        }
        peer slow;
        answer a;
        peer_connect(&slow, port_of("proxy:"));
        for (size_t at = 0; at < whole.len; at++) {
            peer_send(&slow, str_slice(buf_str(&whole), at, 1));
            if (at % 8 == 0)
                test_pause_ms(1);
        }
        peer_read(&slow, false, &a);
        check_status(HEADERS[i].name, &a, 200);
        answer_free(&a);
        peer_close(&slow);
        buf_deinit(&whole);
    }
}

static void test_proxied_trust_begins_at_the_header(void **state)
{
    (void)state;
    static const struct {
        const char *header, *client;
    } rows[] = {
        { "PROXY TCP4 10.1.1.1 127.0.0.1 1 2\r\n", "203.0.113.9" }, /* a proxy before the proxy */
        { "PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n", "192.0.2.7" },  /* a client who makes it up */
        { "PROXY UNKNOWN\r\n", "127.0.0.1" },
    };
    serve_proxied("HTTP_TRUSTED_PROXIES=10.0.0.0/8");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        peer p;
        answer a;
        connect_proxied(&p, str_from_c(rows[i].header));
        peer_sendf(&p, "GET /client HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
        peer_read(&p, false, &a);
        check_status(rows[i].header, &a, 200);
        assert_true(str_eq(a.body, str_from_c(rows[i].client)));
        answer_free(&a);
        peer_close(&p);
    }
}

static void test_proxied_connection_without_a_good_header_gets_no_answer(void **state)
{
    (void)state;
    static const str bad[] = {
        { REQUEST, sizeof REQUEST - 1 },
        { "PROXY TCP4 192.0.2.7\r\n" REQUEST, sizeof REQUEST + 21 },
        { SIGNATURE "\x21\x11\xFF\xFF" FOUR, 28 },
        { SIGNATURE "\x11\x11\x00\x0C" FOUR, 28 },
        { "\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03", 11 }, /* TLS at once */
        { LINE LINE REQUEST, 2 * (sizeof LINE - 1) + sizeof REQUEST - 1 },
    };
    serve_proxied(NULL);
    for (size_t i = 0; i < 5; i++) {
        peer p;
        connect_proxied(&p, bad[i]);
        assert_true(peer_sees_end(&p));
        peer_close(&p);
        assert_true(counted("http_proxy_headers_refused_total", "reason=\"malformed\"") ==
                    (double)(i + 1));
    }
    peer twice; /* the second is a request, and a bad one */
    answer a;
    connect_proxied(&twice, bad[5]);
    peer_read(&twice, false, &a);
    check_status("two headers", &a, 400);
    answer_free(&a);
    peer_close(&twice);
    peer plain; /* and on a listener that wants none, the first is */
    peer_connect(&plain, server.port);
    peer_send(&plain, STR(LINE REQUEST));
    peer_read(&plain, false, &a);
    check_status("an unwanted header", &a, 400);
    answer_free(&a);
    peer_close(&plain);
}

static void test_proxied_header_that_does_not_come_is_not_waited_for(void **state)
{
    (void)state;
    serve_proxied("HTTP_HEADER_TIMEOUT=200ms");
    peer silent, half, drip;
    peer_connect(&silent, port_of("proxy:"));
    connect_proxied(&half, STR("PROXY TCP4 192.0.2.7 "));
    peer_connect(&drip, port_of("proxy+tls:"));
    for (int i = 0; i < 20; i++) { /* no byte gives it more time */
        peer_send(&drip, str_slice(STR("PROXY UNKNOWN xxxxxx"), (size_t)i, 1));
        test_pause_ms(25);
    }
    assert_true(peer_sees_end(&silent));
    assert_true(peer_sees_end(&half));
    assert_true(peer_sees_end(&drip));
    peer_close(&silent);
    peer_close(&half);
    peer_close(&drip);
    wait_until(counted("http_proxy_headers_refused_total", "reason=\"late\"") == 3);
    wait_until(http_metric(server.port, "http_connections") == 1);
}

static void test_proxied_connection_that_ends_early_is_forgotten(void **state)
{
    (void)state;
    serve_proxied(NULL);
    for (int i = 0; i < 50; i++) { /* as those who only look whether somebody is there */
        peer p;
        peer_connect(&p, port_of(i % 2 ? "proxy:" : "proxy+tls:"));
        if (i % 3 == 0)
            peer_send(&p, STR("PROXY TC"));
        else if (i % 6 == 1)
            peer_send(&p, STR(LINE));
        if (i % 5 == 0)
            peer_reset(&p);
        else
            peer_close(&p);
    }
    wait_until(http_metric(server.port, "http_connections") == 1);
    assert_true(counted("http_proxy_headers_refused_total", "reason=\"malformed\"") == 0);
    assert_true(counted("http_tls_handshakes_total", "result=\"failed\"") == 0);
}

/* The client's first bytes of TLS come in one segment with the header, or long after it. */
static void test_proxied_header_before_tls_is_in_plaintext(void **state)
{
    (void)state;
    const int on = 1, off = 0;
    serve_proxied(NULL);
    for (size_t i = 0; i < ARRAY_LEN(HEADERS); i++) {
        for (int together = 0; together < 2; together++) {
            peer p;
            peer_connect(&p, port_of("proxy+tls:"));
            if (together)
                setsockopt(p.fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
            peer_send(&p, HEADERS[i].header);
            if (!together)
                test_pause_ms(10);
            assert_true(tls_peer_start(&p, &(tls_ask){ 0 }));
            setsockopt(p.fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
            expect_text(&p, "/client", HEADERS[i].client);
            expect_text(&p, "/tls", "TLSv1.3 localhost full unknown -");
            peer_close(&p);
        }
    }
    peer p; /* without a header there is no handshake either */
    assert_false(tls_peer_connect(&p, port_of("proxy+tls:"), &(tls_ask){ 0 }));
    assert_true(counted("http_proxy_headers_refused_total", "reason=\"malformed\"") == 1);
}

/* Bytes that are no TLS, of every length, in one segment with the header. */
static void test_proxied_garbage_behind_the_header_ends_the_connection(void **state)
{
    (void)state;
    static char garbage[40000];
    memset(garbage, 0x16, sizeof garbage);
    serve_proxied(NULL);
    int sent = 0;
    for (size_t len = 600; len <= sizeof garbage; len += 4925, sent++) {
        peer p;
        buf whole;
        buf_init(&whole, 65536);
        buf_append(&whole, STR(LINE));
        buf_append(&whole, (str){ garbage, len });
        peer_connect(&p, port_of("proxy+tls:"));
        peer_send(&p, buf_str(&whole));
        peer_end(&p);
        peer_sees_end(&p); /* an alert may have come before */
        peer_close(&p);
        buf_deinit(&whole);
    }
    wait_until(counted("http_tls_handshakes_total", "result=\"failed\"") >= 1);
    wait_until(http_metric(server.port, "http_connections") == 1);
    check_get("/fast", 200);
}

static void test_proxied_unix_socket_is_served(void **state)
{
    (void)state;
    char listen[192];
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    (void)snprintf(un.sun_path, sizeof un.sun_path, "%s/proxied.sock", tls_files_directory);
    (void)snprintf(listen, sizeof listen, "LISTEN=127.0.0.1:0 proxy+tls:unix:%s?mode=600",
                   un.sun_path);
    server_start(&server, getenv("SECURED"),
                 ENVIRONMENT("WORKERS=0", listen, file_variable("TLS_CERT_FILE", "server")));
    peer p = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    assert_int_equal(connect(p.fd, (struct sockaddr *)(void *)&un, sizeof un), 0);
    peer_send(&p, STR(LINE));
    assert_true(tls_peer_start(&p, &(tls_ask){ 0 }));
    expect_text(&p, "/client", "192.0.2.7");
    peer_close(&p);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
}

#define proxied_test(name_) cmocka_unit_test_teardown(name_, server_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        proxied_test(test_proxied_request_has_the_address_of_the_header),
        proxied_test(test_proxied_client_of_a_unix_socket_has_no_address),
        proxied_test(test_proxied_connection_cut_at_every_byte_is_the_same),
        proxied_test(test_proxied_trust_begins_at_the_header),
        proxied_test(test_proxied_connection_without_a_good_header_gets_no_answer),
        proxied_test(test_proxied_header_that_does_not_come_is_not_waited_for),
        proxied_test(test_proxied_connection_that_ends_early_is_forgotten),
        proxied_test(test_proxied_header_before_tls_is_in_plaintext),
        proxied_test(test_proxied_garbage_behind_the_header_ends_the_connection),
        proxied_test(test_proxied_unix_socket_is_served),
    };
    return cmocka_run_group_tests(tests, secured_begin, secured_end);
}
