/* Calls over TLS: whom the client believes, and what it does when somebody cuts in. */
#include "core/tls.h"
#include "tests/support/called.h"
#include "tests/support/tls_files.h"

#include <fcntl.h>

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"

/* A server on the test's own loop: answers every request with `text`, then may cut the connection
 * off. */
static struct {
    listener *listener;
    tls_config *config;
    const char *text;
    bool ends;  /* the connection, after it */
    int socket; /* of the newest, a duplicate; -1: none */
    uint32_t connections;
    uint32_t open;
    char alpn[32];
    char name[64];
} host;

static size_t host_data(stream *s, str bytes)
{
    if (stream_at_end(s)) {
        stream_close(s, 1000);
        return bytes.len;
    }
    if (!str_ends_with(bytes, STR("\r\n\r\n")))
        return 0;
    snprintf(host.alpn, sizeof host.alpn, "%.*s", STR_ARG(stream_tls_alpn(s)));
    snprintf(host.name, sizeof host.name, "%.*s", STR_ARG(stream_tls_server_name(s)));
    stream_write(s, str_from_c(host.text));
    if (host.ends)
        stream_close(s, 1000);
    return bytes.len;
}

static void host_closed(stream *s, error why)
{
    (void)s;
    (void)why;
    host.open--;
}

static const stream_handler HOST = { .data = host_data, .closed = host_closed };

static void host_accepted(int fd, void *arg)
{
    (void)arg;
    stream *s;
    if (host.socket >= 0)
        close(host.socket);
    host.socket = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (stream_from_fd(loop_self(), fd, &HOST, NULL, NULL, &s).kind)
        return;
    host.connections++;
    host.open++;
    if (host.config && stream_start_tls_server(s, host.config).kind)
        stream_abort(s);
}

/* Serves with the certificate of that name, or, NULL, in plain text. */
static void serve_as(const char *certificate, str client_ca)
{
    tls_config_free(&host.config);
    host.text = ANSWER;
    host.ends = false;
    host.connections = 0;
    if (!certificate)
        return;
    const tls_server_options options = { .certificate.cert_file = tls_file_name(certificate),
                                         .client_ca_file = client_ca,
                                         .alpn = STR("http/1.1") };
    assert_ok(tls_config_server(&options, &host.config));
}

static int setup(void **state)
{
    if (called_setup(state) != 0)
        return -1;
    host.socket = -1;
    return listener_start(loop_self(), listening, host_accepted, NULL, &host.listener).kind ? -1
                                                                                            : 0;
}

static int teardown(void **state)
{
    http_client_close(&client);
    for (int i = 0; i < 10000 && host.open > 0; i++) {
        if (fiber_sleep(1).kind)
            break;
    }
    listener_stop(&host.listener);
    if (host.socket >= 0)
        close(host.socket);
    tls_config_free(&host.config);
    return called_teardown(state);
}

static str https_url(const char *name)
{
    const str at = address_text(fiber_arena(), &listening_at);
    return str_format(fiber_arena(), "https://%s%.*s/", name,
                      STR_ARG(str_slice(at, str_index(at, ':'), at.len)));
}

static void test_server_is_believed_only_with_its_certificate(void **state)
{
    (void)state;
    static const struct {
        const char *certificate;
        const char *name;
        const char *ca; /* NULL: the system's */
        tls_verify verify;
        bool believed;
    } rows[] = {
        { "server", "localhost", "ca", TLS_VERIFY_FULL, true },
        { "server", "127.0.0.1", "ca", TLS_VERIFY_FULL, true },
        { "rsa", "localhost", "ca", TLS_VERIFY_FULL, false },
        { "rsa", "localhost", "ca", TLS_VERIFY_CHAIN, true },
        { "expired", "localhost", "ca", TLS_VERIFY_FULL, false },
        { "expired", "localhost", "ca", TLS_VERIFY_CHAIN, false },
        { "self", "localhost", "ca", TLS_VERIFY_FULL, false },
        { "self", "localhost", "ca", TLS_VERIFY_NONE, true },
        { "server", "localhost", "foreign-ca", TLS_VERIFY_FULL, false },
        { "server", "localhost", NULL, TLS_VERIFY_FULL, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        serve_as(rows[i].certificate, STR_NONE);
        open_client(&(http_client_options){
            .tls = { .verify = rows[i].verify,
                     .ca_file = rows[i].ca ? tls_file_name(rows[i].ca) : STR_NONE } });
        asked a = { .request.url = https_url(rows[i].name) };
        ask(&a);
        answered(&a);
        if (a.result.kind != (rows[i].believed ? NULL : &TLS_FAILED))
            fail_msg("%s as %s by %s: %s", rows[i].certificate, rows[i].name,
                     rows[i].ca ? rows[i].ca : "the system", a.result.kind ? a.why : "believed");
        if (!rows[i].believed) {
            assert_int_equal(http_client_stats_of(client).open, 0);
            continue;
        }
        assert_str_equal(a.reply.body, STR("secret"));
        assert_string_equal(host.alpn, "http/1.1");
        assert_string_equal(host.name, strcmp(rows[i].name, "127.0.0.1") ? rows[i].name : "");
    }
}

static void test_protected_connection_is_used_again_for_the_same_server_only(void **state)
{
    (void)state;
    serve_as("server", STR_NONE);
    open_client(&(http_client_options){ .tls.ca_file = tls_file_name("ca") });
    for (int i = 0; i < 3; i++) {
        asked a = { .request.url = https_url("localhost") };
        ask(&a);
        assert_answer(&a, 200, "secret");
    }
    assert_int_equal(host.connections, 1);
    asked a = { .request.url = https_url("127.0.0.1") };
    ask(&a);
    assert_answer(&a, 200, "secret");
    assert_int_equal(host.connections, 2);
    /* never the protected one for a URL that is not, on the same port */
    asked plain = { .request.url = url_of("/") };
    ask(&plain);
    answered(&plain);
    assert_non_null(plain.result.kind);
    assert_int_equal(host.connections, 3);
}

static void test_plain_server_is_not_talked_to_in_place_of_a_protected_one(void **state)
{
    (void)state;
    serve_as(NULL, STR_NONE);
    open_client(
        &(http_client_options){ .tls.ca_file = tls_file_name("ca"), .connect_timeout_ms = 300 });
    asked a = { .request.url = https_url("localhost") };
    ask(&a);
    answered(&a);
    assert_non_null(a.result.kind);
    assert_int_equal(a.reply.status, 0);
}

static void test_redirect_to_plain_text_is_not_followed(void **state)
{
    (void)state;
    serve_as("server", STR_NONE);
    host.text = "HTTP/1.1 302 X\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n";
    open_client(&(http_client_options){ .tls.ca_file = tls_file_name("ca"), .redirects_max = 2 });
    asked a = { .request.url = https_url("localhost") };
    ask(&a);
    assert_no_answer(HTTP_CALL_BAD_REDIRECT, &a);
}

static void test_client_shows_its_certificate_when_asked(void **state)
{
    (void)state;
    serve_as("server", tls_file_name("ca"));
    open_client(
        &(http_client_options){ .tls = { .ca_file = tls_file_name("ca"),
                                         .certificate.cert_file = tls_file_name("client") } });
    asked a = { .request.url = https_url("localhost") };
    ask(&a);
    assert_answer(&a, 200, "secret");
    open_client(&(http_client_options){ .tls.ca_file = tls_file_name("ca") });
    asked none = { .request.url = https_url("localhost") };
    ask(&none);
    answered(&none);
    assert_non_null(none.result.kind);
}

/* Somebody in between ends the TCP connection behind an answer whose end is the connection's. */
static error read_while_cut_off(asked *a)
{
    http_call *call;
    str piece;
    TRY(http_call_begin(client, &a->request, &call));
    TRY(http_call_receive(call, &a->reply));
    shutdown(host.socket, SHUT_WR);
    do
        TRY(http_call_read(call, &piece));
    while (piece.len > 0);
    http_call_end(&call);
    return OK;
}

static void test_answer_until_close_that_is_cut_off_is_no_answer(void **state)
{
    (void)state;
    serve_as("server", STR_NONE);
    host.text = "HTTP/1.1 200 OK\r\n\r\nsecret";
    host.ends = true;
    open_client(&(http_client_options){ .tls.ca_file = tls_file_name("ca") });
    asked a = { .request.url = https_url("localhost") };
    ask(&a);
    assert_answer(&a, 200, "secret");
    host.ends = false;
    asked cut = { .request.url = https_url("localhost"), .instead = read_while_cut_off };
    ask(&cut);
    assert_no_answer(HTTP_CALL_LOST, &cut); /* no close_notify: nobody knows whether that was all */
}

static void test_bad_tls_files_do_not_open_a_client(void **state)
{
    (void)state;
    http_client *none;
    assert_fails(
        TLS_MISCONFIGURED,
        http_client_open(&(http_client_options){ .tls.ca_file = STR("/none.pem") }, &none));
    assert_null(none);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_is_believed_only_with_its_certificate),
        cmocka_unit_test(test_protected_connection_is_used_again_for_the_same_server_only),
        cmocka_unit_test(test_plain_server_is_not_talked_to_in_place_of_a_protected_one),
        cmocka_unit_test(test_redirect_to_plain_text_is_not_followed),
        cmocka_unit_test(test_client_shows_its_certificate_when_asked),
        cmocka_unit_test(test_answer_until_close_that_is_cut_off_is_no_answer),
        cmocka_unit_test(test_bad_tls_files_do_not_open_a_client),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

int main(void)
{
    if (!tls_files_make())
        return 1;
    const int failed = run_in_fiber(run);
    tls_files_remove();
    return failed;
}
