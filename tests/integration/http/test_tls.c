/* Listeners with TLS, over real sockets and by OpenSSL's own client: who is let in, what a request
 * knows of it, tickets that are good with every worker, certificates that change under load; and
 * all that HTTP does in plaintext, once more. */
#include "core/buf.h"
#include "tests/support/http_load.h"
#include "tests/support/secured.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LISTEN  "LISTEN=127.0.0.1:0 tls:127.0.0.1:0"
#define RELOADS 6
#define CLIENTS 3

static void serve_tls(const char *workers, const char *more, const char *even_more)
{
    server_start(
        &server, getenv("SECURED"),
        ENVIRONMENT(workers, LISTEN, file_variable("TLS_CERT_FILE", "server"), more, even_more));
}

static bool try_ask(peer *p, const tls_ask *ask)
{
    return tls_peer_connect(p, port_of("tls:"), ask);
}

static void connect_tls(peer *p, const tls_ask *ask)
{
    const bool connected = try_ask(p, ask);
    if (!connected)
        server_print_log(&server);
    assert_true(connected);
}

/* On a connection of its own; false when it is not let in. */
static bool let_in(const tls_ask *ask)
{
    peer p;
    answer a;
    if (!try_ask(&p, ask))
        return false;
    peer_sendf(&p, "GET /fast HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_read(&p, false, &a); /* by TLS 1.3 a client learns only now that its own is refused */
    const bool answered = a.status == 200;
    answer_free(&a);
    peer_close(&p);
    return answered;
}

static double handshakes(const char *result)
{
    char label[64];
    (void)snprintf(label, sizeof label, "result=\"%s\"", result);
    return counted("http_tls_handshakes_total", label);
}

/* --- who is let in ---------------------------------------------------------------------------- */

static void test_tls_request_knows_its_protection(void **state)
{
    (void)state;
    peer p;
    serve_tls("WORKERS=1", NULL, NULL);
    connect_tls(&p, &(tls_ask){ 0 });
    expect_text(&p, "/tls", "TLSv1.3 localhost full unknown -");
    expect_text(&p, "/client", "127.0.0.1");
    expect_text(&p, "/tls", "TLSv1.3 localhost full unknown -");
    peer_close(&p);
    connect_tls(&p, &(tls_ask){ .version = TLS1_2_VERSION, .name = "" });
    expect_text(&p, "/tls", "TLSv1.2 - full unknown -");
    peer_close(&p);
    peer_connect(&p, server.port);
    expect_text(&p, "/tls", "plain");
    peer_close(&p);
    assert_true(handshakes("full") == 2);
    assert_true(handshakes("failed") == 0);
}

static void test_tls_protocol_is_agreed_on(void **state)
{
    (void)state;
    peer p;
    const unsigned char *chosen;
    unsigned len;
    serve_tls("WORKERS=1", NULL, NULL);
    connect_tls(&p, &(tls_ask){ .protocols = "\x02h2\x08http/1.1" });
    SSL_get0_alpn_selected(p.session, &chosen, &len);
    assert_true(str_eq((str){ (const char *)chosen, len }, STR("http/1.1")));
    expect_text(&p, "/fast", "fast");
    peer_close(&p);
    assert_false(let_in(&(tls_ask){ .protocols = "\x02h2" }));
    assert_true(let_in(&(tls_ask){ 0 }));
}

static void test_tls_certificate_is_chosen_by_the_name(void **state)
{
    (void)state;
    static const char *const names[] = { "rsa.test", "a.wild.test", "localhost", "127.0.0.1" };
    char others[256];
    peer p;
    (void)snprintf(others, sizeof others, "TLS_OTHER_CERT_FILES=%s %s,%s", tls_file_path("rsa"),
                   tls_file_path("wild"), tls_file_path("wild"));
    serve_tls("WORKERS=1", others, NULL);
    for (size_t i = 0; i < 3; i++) {
        char wanted[64];
        connect_tls(&p, &(tls_ask){ .name = names[i] }); /* which is checked */
        (void)snprintf(wanted, sizeof wanted, "TLSv1.3 %s full unknown -", names[i]);
        expect_text(&p, "/tls", wanted);
        peer_close(&p);
    }
    assert_false(
        let_in(&(tls_ask){ .name = "other.test" })); /* by the client, who is shown the first */
}

static void test_tls_version_below_the_floor_is_refused(void **state)
{
    (void)state;
    serve_tls("WORKERS=1", "TLS_VERSION_MIN=1.3", NULL);
    assert_false(let_in(&(tls_ask){ .version = TLS1_2_VERSION }));
    assert_true(let_in(&(tls_ask){ .version = TLS1_3_VERSION }));
    wait_until(handshakes("failed") == 1);
}

static void test_tls_client_certificates_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *mode, *certificate;
        const char *text; /* NULL: not let in */
    } rows[] = {
        { "TLS_CLIENT_CERT=required", "client", "%s localhost full verified CN=ada,O=Brio tests" },
        { "TLS_CLIENT_CERT=required", "foreign-client", NULL },
        { "TLS_CLIENT_CERT=required", NULL, NULL },
        { "TLS_CLIENT_CERT=optional", "client", "%s localhost full verified CN=ada,O=Brio tests" },
        { "TLS_CLIENT_CERT=optional", "foreign-client", NULL },
        { "TLS_CLIENT_CERT=optional", NULL, "%s localhost full unknown -" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        serve_tls("WORKERS=1", file_variable("TLS_CLIENT_CA_FILE", "ca"), rows[i].mode);
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            const tls_ask ask = { .certificate = rows[i].certificate, .version = version };
            assert_int_equal(let_in(&ask), rows[i].text != NULL);
            if (!rows[i].text)
                continue;
            peer p;
            char wanted[128];
            const char *name = version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3";
            (void)snprintf(wanted, sizeof wanted, "%s%s", name, rows[i].text + 2);
            connect_tls(&p, &ask);
            expect_text(&p, "/tls", wanted);
            peer_close(&p);
        }
        server_kill(&server);
    }
}

/* --- settings --------------------------------------------------------------------------------- */

typedef struct bad_setting {
    const char *listen;
    const char *variables[3];
    const char *says;
} bad_setting;

static void check_bad_setting(const bad_setting *row)
{
    char log[8192];
    const int status = server_run_to_end(getenv("SECURED"),
                                         ENVIRONMENT("WORKERS=1", row->listen, row->variables[0],
                                                     row->variables[1], row->variables[2]),
                                         log, sizeof log);
    if (status == 2 && strstr(log, row->says))
        return;
    print_error("%s: status %d, log:\n%s\n", row->says, status, log);
    fail();
}

static void test_tls_bad_settings_are_refused(void **state)
{
    (void)state;
    const char *const good = file_variable("TLS_CERT_FILE", "server");
    const bad_setting rows[] = {
        { LISTEN, { "TLS_VERSION_MIN=1.2" }, "tls:127.0.0.1:0 needs TLS_CERT_FILE" },
        { LISTEN, { "TLS_CERT_FILE=/nowhere.pem" }, "/nowhere.pem" },
        { "LISTEN=127.0.0.1:0", { "TLS_CERT_FILE=/nowhere.pem" }, "/nowhere.pem" },
        { LISTEN, { "TLS_CERT_FILE=/dev/null" }, "/dev/null" },
        { LISTEN, { good, file_variable("TLS_KEY_FILE", "rsa") }, "rsa.pem" },
        { LISTEN, { good, "TLS_KEY_FILE=/nowhere.key" }, "/nowhere.key" },
        { LISTEN, { good, "TLS_OTHER_CERT_FILES=/nowhere.pem" }, "/nowhere.pem" },
        { LISTEN, { good, "TLS_OTHER_CERT_FILES=a,b,c" }, "\"a,b,c\"" },
        { LISTEN, { good, "TLS_OTHER_CERT_FILES=a," }, "\"a,\"" },
        { LISTEN, { good, "TLS_OTHER_CERT_FILES=,a" }, "\",a\"" },
        { LISTEN, { good, "TLS_CLIENT_CERT=required" }, "TLS_CLIENT_CA_FILE" },
        { LISTEN, { good, "TLS_CLIENT_CERT=optional", "TLS_CLIENT_CA_FILE=/nowhere" }, "/nowhere" },
        { LISTEN, { good, file_variable("TLS_CLIENT_CA_FILE", "ca") }, "TLS_CLIENT_CERT" },
        { LISTEN, { good, "TLS_CLIENT_CERT=maybe" }, "TLS_CLIENT_CERT" },
        { LISTEN, { good, "TLS_VERSION_MIN=1.1" }, "TLS_VERSION_MIN" },
        { LISTEN, { good, "TLS_TICKET_ROTATION=25h" }, "TLS_TICKET_ROTATION" },
        { "LISTEN=127.0.0.1:0", { "TLS_KEY_FILE=x" }, "TLS_CERT_FILE" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_bad_setting(&rows[i]);
}

/* --- tickets ---------------------------------------------------------------------------------- */

/* Visits with `*session` and takes what the server gives instead; whether it was resumed. `worker`:
 * who answered. */
static bool visit(SSL_SESSION **session, int version, long *worker)
{
    peer p;
    answer a;
    connect_tls(&p, &(tls_ask){ .session = *session, .version = version });
    const bool resumed = SSL_session_reused(p.session) == 1;
    peer_sendf(&p, "GET /worker HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_read(&p, false, &a); /* tickets of TLS 1.3 come before it */
    check_status("/worker", &a, 200);
    *worker = strtol(a.body.ptr + strcspn(a.body.ptr, ":") + 1, NULL, 10);
    answer_free(&a);
    SSL_SESSION_free(*session);
    *session = SSL_get1_session(p.session);
    peer_close(&p);
    return resumed;
}

/* What the ticket's key is called. */
static str key_name(const SSL_SESSION *session)
{
    const unsigned char *ticket;
    size_t len;
    SSL_SESSION_get0_ticket(session, &ticket, &len);
    assert_true(len > 16);
    return (str){ (const char *)ticket, 16 };
}

static void test_tls_session_resumes_with_every_worker(void **state)
{
    (void)state;
    serve_tls("WORKERS=2", NULL, NULL);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_SESSION *session = NULL;
        long before, now;
        int changes = 0;
        assert_false(visit(&session, version, &before));
        for (int visits = 0; visits < 1000 && changes < 5; visits++, before = now) {
            assert_true(visit(&session, version, &now));
            changes += now != before;
        }
        assert_int_equal(changes, 5);
        SSL_SESSION_free(session);
    }
    assert_true(handshakes("full") == 2);
    assert_true(handshakes("resumed") >= 10);
}

static void reload_and_wait(const char *outcome)
{
    assert_false(server_logged(&server, outcome));
    kill(server.pid, SIGHUP);
    wait_until(server_logged(&server, outcome));
}

static void test_tls_session_resumes_after_a_reload(void **state)
{
    (void)state;
    SSL_SESSION *session = NULL;
    long before, now;
    serve_tls("WORKERS=1", NULL, NULL);
    assert_false(visit(&session, 0, &before));
    reload_and_wait("\"reloaded\"");
    do
        assert_true(visit(&session, 0, &now));
    while (now == before);
    SSL_SESSION_free(session);
}

/* The supervisor's, and that of a server without one. */
static void test_tls_session_resumes_after_a_rotation(void **state)
{
    (void)state;
    static const char *const workers[] = { "WORKERS=2", "WORKERS=0" };
    for (size_t i = 0; i < ARRAY_LEN(workers); i++) {
        SSL_SESSION *old = NULL, *young = NULL;
        long worker;
        serve_tls(workers[i], "TLS_TICKET_ROTATION=4s", NULL);
        assert_false(visit(&old, 0, &worker));
        do { /* until there is a new key */
            test_pause_ms(20);
            SSL_SESSION_free(young);
            young = NULL;
            assert_false(visit(&young, 0, &worker));
        } while (str_eq(key_name(young), key_name(old)));
        assert_true(visit(&old, 0, &worker)); /* which is good for 12 s more */
        assert_true(str_eq(key_name(young), key_name(old)));
        SSL_SESSION_free(young);
        SSL_SESSION_free(old);
        server_kill(&server);
    }
}

/* --- reloading -------------------------------------------------------------------------------- */

static char current[96]; /* a link to one of the files */

static void make_current(const char *name)
{
    char fresh[104];
    (void)snprintf(current, sizeof current, "%s/current", tls_files_directory);
    (void)snprintf(fresh, sizeof fresh, "%s.new", current);
    unlink(fresh);
    assert_int_equal(symlink(tls_file_path(name), fresh), 0);
    assert_int_equal(rename(fresh, current), 0);
}

static void serve_current(const char *workers)
{
    char variable[128];
    (void)snprintf(variable, sizeof variable, "TLS_CERT_FILE=%s", current);
    server_start(&server, getenv("SECURED"), ENVIRONMENT(workers, LISTEN, variable));
}

static int count_logged(const char *text)
{
    static char log[1 << 20];
    const ssize_t got = pread(server.log_fd, log, sizeof log - 1, 0);
    int count = 0;
    log[got > 0 ? got : 0] = '\0';
    for (const char *at = log; (at = strstr(at, text)); at += strlen(text))
        count++;
    return count;
}

static void test_tls_certificate_changes_under_load_without_a_failed_request(void **state)
{
    (void)state;
    make_current("server");
    serve_current("WORKERS=2");
    peer before;
    connect_tls(&before, &(tls_ask){ 0 });
    expect_text(&before, "/fast", "fast");
    http_load *load = load_start_by(tls_peer_try_connect, port_of("tls:"), CLIENTS, 20);
    for (int i = 0; i < RELOADS; i++) {
        const bool rsa = i % 2 == 0;
        const uint64_t answered = atomic_load(&load->answered);
        make_current(rsa ? "rsa" : "server");
        kill(server.pid, SIGHUP);
        wait_until(count_logged("\"reloaded\"") == i + 1);
        if (i == 0)
            expect_text(&before, "/tls", "TLSv1.3 localhost full unknown -"); /* goes on */
        wait_until(let_in(&(tls_ask){ .name = rsa ? "rsa.test" : "localhost" }) &&
                   !let_in(&(tls_ask){ .name = rsa ? "localhost" : "rsa.test" }));
        wait_until(atomic_load(&load->answered) > answered + 50);
    }
    assert_true(load_end(load));
    print_message("%d new certificates: %lu requests answered, %lu failed\n", RELOADS,
                  (unsigned long)load->answered, (unsigned long)load->failed);
    if (load->failed > 0)
        server_print_log(&server);
    assert_int_equal(load->failed, 0);
    load_free(load);
    peer_close(&before);
    assert_int_equal(count_logged("worker died"), 0);
    assert_int_equal(count_logged("worker ended"), 0);
    unlink(current);
}

static void test_tls_reload_with_a_bad_file_changes_nothing(void **state)
{
    (void)state;
    make_current("server");
    serve_current("WORKERS=1");
    peer before;
    connect_tls(&before, &(tls_ask){ 0 });
    unlink(current);
    reload_and_wait("reload refused");
    expect_text(&before, "/fast", "fast");
    peer_close(&before);
    assert_true(let_in(&(tls_ask){ 0 }));
    assert_int_equal(count_logged("\"reloaded\""), 0);
}

/* Whoever was verified by an issuer that is trusted no more is not let in by a ticket of before. */
static void test_tls_ticket_does_not_outlive_its_issuer(void **state)
{
    (void)state;
    char ca[128];
    SSL_SESSION *session = NULL;
    peer p;
    make_current("ca");
    (void)snprintf(ca, sizeof ca, "TLS_CLIENT_CA_FILE=%s", current);
    serve_tls("WORKERS=1", ca, "TLS_CLIENT_CERT=optional");
    for (int i = 0; i < 2; i++) {
        connect_tls(&p, &(tls_ask){ .certificate = "client", .session = session });
        expect_text(&p, "/tls",
                    i == 0 ? "TLSv1.3 localhost full verified CN=ada,O=Brio tests"
                           : "TLSv1.3 localhost resumed verified CN=ada,O=Brio tests");
        SSL_SESSION_free(session);
        session = SSL_get1_session(p.session);
        peer_close(&p);
    }
    make_current("foreign-ca");
    reload_and_wait("\"reloaded\"");
    wait_until(!let_in(&(tls_ask){ .certificate = "client" }));
    connect_tls(&p, &(tls_ask){ .session = session });
    expect_text(&p, "/tls", "TLSv1.3 localhost full unknown -");
    peer_close(&p);
    SSL_SESSION_free(session);
    unlink(current);
}

static uint16_t free_port(const char *ip)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = { .sin_family = AF_INET };
    socklen_t len = sizeof in;
    assert_true(fd >= 0 && inet_pton(AF_INET, ip, &in.sin_addr) == 1);
    assert_int_equal(bind(fd, (struct sockaddr *)(void *)&in, sizeof in), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&in, &len), 0);
    close(fd);
    return ntohs(in.sin_port);
}

static void write_config(const char *path, const char *scheme, const char *ip, uint16_t port)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fprintf(f, "LISTEN=127.0.0.1:0 %s%s:%u\nTLS_CERT_FILE=%s\n", scheme, ip,
                        (unsigned)port, tls_file_path("server")) > 0);
    assert_int_equal(fclose(f), 0);
}

/* On the same address and port, to and fro; the socket stays, so nobody is refused. */
static void test_tls_address_becomes_plain_and_secure_again_by_reloads(void **state)
{
    (void)state;
    char variable[128], ip[32];
    char *path = variable + strlen("CONFIG_FILE=");
    const unsigned pid = (unsigned)getpid();
    (void)snprintf(ip, sizeof ip, "127.%u.%u.%u", 1 + (pid >> 16) % 250, (pid >> 8) & 255,
                   pid & 255);
    (void)snprintf(variable, sizeof variable, "CONFIG_FILE=%s/config", tls_files_directory);
    const uint16_t port = free_port(ip);
    write_config(path, "", ip, port);
    server_start(&server, getenv("SECURED"), ENVIRONMENT("WORKERS=2", variable));
    for (int i = 1; i <= 4; i++) {
        const bool secure = i % 2 == 1;
        write_config(path, secure ? "tls:" : "", ip, port);
        kill(server.pid, SIGHUP);
        wait_until(count_logged("\"reloaded\"") == i);
        for (int good = 0; good < 20;) { /* old workers may still take some */
            struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
            assert_int_equal(inet_pton(AF_INET, ip, &to.sin_addr), 1);
            peer p = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
            assert_int_equal(connect(p.fd, (struct sockaddr *)(void *)&to, sizeof to), 0);
            if (secure && !tls_peer_start(&p, &(tls_ask){ 0 }))
                continue;
            answer a;
            peer_sendf(&p, "GET /fast HTTP/1.1\r\nHost: x\r\n\r\n");
            peer_read(&p, false, &a);
            good += a.status == 200;
            answer_free(&a);
            peer_close(&p);
        }
    }
    assert_int_equal(count_logged("no longer listening"), 0);
    unlink(path);
}

/* --- HTTP as it is in plaintext --------------------------------------------------------------- */

static void check_letters(const answer *a, size_t len)
{
    assert_int_equal(a->status, 200);
    assert_int_equal(a->body.len, len);
    for (size_t i = 0; i < len; i++) {
        if (a->body.ptr[i] != (char)('a' + i % 26))
            fail_msg("byte %zu is wrong", i);
    }
}

static void test_tls_bodies_of_every_size_arrive(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 16383, 16384, 16385, 100000, 3000000 };
    peer p;
    answer a;
    serve_tls("WORKERS=1", NULL, NULL);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        connect_tls(&p, &(tls_ask){ .version = version });
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            peer_sendf(&p, "GET /big/%zu HTTP/1.1\r\nHost: x\r\n\r\n", sizes[i]);
            peer_read(&p, false, &a);
            check_letters(&a, sizes[i]);
            peer_sendf(&p, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                       sizes[i]);
            peer_send(&p, a.body);
            answer_free(&a);
            peer_read(&p, false, &a);
            check_letters(&a, sizes[i]);
            answer_free(&a);
            peer_sendf(&p, "GET /pieces/%zu HTTP/1.1\r\nHost: x\r\n\r\n", sizes[i]);
            peer_read(&p, false, &a);
            check_letters(&a, sizes[i]);
            answer_free(&a);
        }
        peer_close(&p);
    }
}

static void test_tls_files_arrive(void **state)
{
    (void)state;
    static const size_t len = (size_t)26 * 200000;
    peer p;
    answer a;
    FILE *f = fopen("site/letters.txt", "we");
    assert_non_null(f);
    for (size_t i = 0; i < len / 26; i++)
        assert_true(fputs("abcdefghijklmnopqrstuvwxyz", f) >= 0);
    assert_int_equal(fclose(f), 0);
    serve_tls("WORKERS=1", NULL, NULL);
    connect_tls(&p, &(tls_ask){ 0 });
    peer_sendf(&p, "GET /static/letters.txt HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_read(&p, false, &a);
    check_letters(&a, len);
    answer_free(&a);
    peer_sendf(&p, "GET /static/letters.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=26-51\r\n\r\n");
    peer_read(&p, false, &a);
    check_status("a range", &a, 206);
    assert_true(str_eq(a.body, STR("abcdefghijklmnopqrstuvwxyz")));
    answer_free(&a);
    peer_close(&p);
    unlink("site/letters.txt");
}

static void test_tls_slow_reader_gets_all(void **state)
{
    (void)state;
    static const size_t len = 12000000;
    static const char *const paths[] = { "big", "pieces" };
    serve_tls("WORKERS=1", NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        peer p;
        answer a;
        connect_tls(&p, &(tls_ask){ 0 });
        peer_sendf(&p, "GET /%s/%zu HTTP/1.1\r\nHost: x\r\n\r\n", paths[i], len);
        test_pause_ms(300); /* the server has long written what is taken off its hands */
        assert_true(let_in(&(tls_ask){ 0 }));
        peer_read(&p, false, &a);
        check_letters(&a, len);
        answer_free(&a);
        expect_text(&p, "/fast", "fast");
        peer_close(&p);
    }
}

static void test_tls_pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    enum {
        COUNT = 200
    };
    peer p;
    answer a;
    buf all;
    buf_init(&all, 1 << 20);
    for (unsigned i = 0; i < COUNT; i++)
        buf_append_format(&all, "GET /big/%u HTTP/1.1\r\nHost: x\r\n\r\n", i);
    serve_tls("WORKERS=1", NULL, NULL);
    connect_tls(&p, &(tls_ask){ 0 });
    peer_send(&p, buf_str(&all));
    for (size_t i = 0; i < COUNT; i++) {
        peer_read(&p, false, &a);
        check_letters(&a, i);
        answer_free(&a);
    }
    peer_close(&p);
    buf_deinit(&all);
}

/* Each part is a record of its own. */
static void test_tls_request_cut_at_every_byte_is_the_same(void **state)
{
    (void)state;
    const str requests[] = {
        STR("HEAD /big/100 HTTP/1.1\r\nHost: x\r\nX-Some: thing\r\n\r\n"),
        STR("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 26\r\n\r\nabcdefghijklmnopqrstuvwxyz"),
    };
    peer p;
    answer a;
    serve_tls("WORKERS=1", NULL, NULL);
    connect_tls(&p, &(tls_ask){ 0 });
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        for (size_t cut = 1; cut < requests[i].len; cut++) {
            peer_send(&p, str_slice(requests[i], 0, cut));
            if (cut % 4 == 1)
                test_pause_ms(1); /* a read of its own */
            peer_send(&p, str_slice(requests[i], cut, requests[i].len));
            peer_read(&p, i == 0, &a);
            check_status("cut", &a, 200);
            assert_int_equal(a.body.len, i == 0 ? 0 : 26);
            answer_free(&a);
        }
    }
    peer_close(&p);
}

static void test_tls_connection_is_closed_with_a_word(void **state)
{
    (void)state;
    peer p;
    answer a;
    serve_tls("WORKERS=1", "HTTP_IDLE_TIMEOUT=200ms", NULL);
    connect_tls(&p, &(tls_ask){ 0 });
    peer_sendf(&p, "GET /fast HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    peer_read(&p, false, &a);
    check_status("the last", &a, 200);
    answer_free(&a);
    assert_true(peer_sees_end(&p));
    assert_false(p.reset); /* close_notify: nobody has cut it off */
    peer_close(&p);
    connect_tls(&p, &(tls_ask){ 0 });
    expect_text(&p, "/fast", "fast");
    assert_true(peer_sees_end(&p)); /* idle */
    assert_false(p.reset);
    peer_close(&p);
}

static void test_tls_unix_socket_is_served(void **state)
{
    (void)state;
    char listen[192];
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    (void)snprintf(un.sun_path, sizeof un.sun_path, "%s/tls.sock", tls_files_directory);
    (void)snprintf(listen, sizeof listen, "LISTEN=127.0.0.1:0 tls:unix:%s", un.sun_path);
    server_start(&server, getenv("SECURED"),
                 ENVIRONMENT("WORKERS=2", listen, file_variable("TLS_CERT_FILE", "server")));
    peer p = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    assert_int_equal(connect(p.fd, (struct sockaddr *)(void *)&un, sizeof un), 0);
    assert_true(tls_peer_start(&p, &(tls_ask){ 0 }));
    expect_text(&p, "/tls", "TLSv1.3 localhost full unknown -");
    expect_text(&p, "/client", "-");
    peer_close(&p);
}

/* --- those who do not get through ------------------------------------------------------------- */

static void test_tls_handshake_that_fails_is_counted_and_not_logged(void **state)
{
    (void)state;
    static const char *const nonsense[] = { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01",
                                            "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03" };
    serve_tls("WORKERS=1", NULL, NULL);
    const int lines = count_logged("\n");
    for (size_t i = 0; i < 30; i++) {
        peer p;
        peer_connect(&p, port_of("tls:"));
        peer_send(&p, str_from_c(nonsense[i % 3]));
        peer_end(&p);
        peer_sees_end(&p);
        peer_close(&p);
    }
    wait_until(handshakes("failed") == 30);
    assert_true(handshakes("full") == 0);
    wait_until(http_metric(server.port, "http_connections") == 1);
    assert_int_equal(count_logged("\n"), lines);
}

static void test_tls_flood_of_idle_handshakes_passes(void **state)
{
    (void)state;
    enum {
        CROWD = 300
    };
    static peer crowd[CROWD];
    serve_tls("WORKERS=1", "TLS_HANDSHAKE_TIMEOUT=1500ms", NULL);
    const uint16_t port = port_of("tls:");
    for (size_t i = 0; i < CROWD; i++) {
        peer_connect(&crowd[i], port);
        if (i % 2 == 1)
            peer_send(&crowd[i], STR("\x16\x03\x01\x02\x00\x01"));
    }
    assert_true(let_in(&(tls_ask){ 0 })); /* meanwhile */
    assert_true(http_metric(server.port, "http_connections") > 1);
    for (size_t i = 0; i < CROWD; i++) {
        peer_sees_end(&crowd[i]);
        peer_close(&crowd[i]);
    }
    wait_until(handshakes("late") == CROWD);
    wait_until(http_metric(server.port, "http_connections") == 1);
    assert_true(let_in(&(tls_ask){ 0 }));
}

/* They are connections like others: at the cap they give way. */
static void test_tls_idle_handshakes_give_way_at_the_cap(void **state)
{
    (void)state;
    enum {
        CAP = 16
    };
    peer crowd[CAP];
    serve_tls("WORKERS=1", "HTTP_CONNECTIONS_MAX=16", "TLS_HANDSHAKE_TIMEOUT=60s");
    for (size_t i = 0; i < CAP; i++)
        peer_connect(&crowd[i], port_of("tls:"));
    test_pause_ms(150);
    for (int i = 0; i < 8; i++)
        assert_true(let_in(&(tls_ask){ 0 }));
    assert_true(http_metric(server.port, "http_connections_displaced_total") >= 1);
    for (size_t i = 0; i < CAP; i++)
        peer_close(&crowd[i]);
}

static void test_tls_idle_handshakes_do_not_hold_up_the_end(void **state)
{
    (void)state;
    enum {
        CROWD = 20
    };
    peer crowd[CROWD], slow;
    answer a;
    serve_tls("WORKERS=1", "TLS_HANDSHAKE_TIMEOUT=600s", "HTTP_DRAIN_TIMEOUT=600s");
    for (size_t i = 0; i < CROWD; i++) {
        peer_connect(&crowd[i], port_of("tls:"));
        if (i % 2 == 1)
            peer_send(&crowd[i], STR("\x16\x03\x01\x02\x00\x01"));
    }
    connect_tls(&slow, &(tls_ask){ 0 });
    peer_sendf(&slow, "GET /slow/500 HTTP/1.1\r\nHost: x\r\n\r\n");
    test_pause_ms(100);
    kill(server.pid, SIGTERM);
    peer_read(&slow, false, &a); /* is still answered */
    check_status("in flight", &a, 200);
    assert_true(a.closes);
    answer_free(&a);
    peer_close(&slow);
    assert_int_equal(server_wait(&server), 0);
    for (size_t i = 0; i < CROWD; i++)
        peer_close(&crowd[i]);
}

#define tls_test(name_) cmocka_unit_test_teardown(name_, server_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        tls_test(test_tls_request_knows_its_protection),
        tls_test(test_tls_protocol_is_agreed_on),
        tls_test(test_tls_certificate_is_chosen_by_the_name),
        tls_test(test_tls_version_below_the_floor_is_refused),
        tls_test(test_tls_client_certificates_are_checked),
        tls_test(test_tls_bad_settings_are_refused),
        tls_test(test_tls_session_resumes_with_every_worker),
        tls_test(test_tls_session_resumes_after_a_reload),
        tls_test(test_tls_session_resumes_after_a_rotation),
        tls_test(test_tls_certificate_changes_under_load_without_a_failed_request),
        tls_test(test_tls_reload_with_a_bad_file_changes_nothing),
        tls_test(test_tls_ticket_does_not_outlive_its_issuer),
        tls_test(test_tls_address_becomes_plain_and_secure_again_by_reloads),
        tls_test(test_tls_bodies_of_every_size_arrive),
        tls_test(test_tls_files_arrive),
        tls_test(test_tls_slow_reader_gets_all),
        tls_test(test_tls_pipelined_requests_are_answered_in_order),
        tls_test(test_tls_request_cut_at_every_byte_is_the_same),
        tls_test(test_tls_connection_is_closed_with_a_word),
        tls_test(test_tls_unix_socket_is_served),
        tls_test(test_tls_handshake_that_fails_is_counted_and_not_logged),
        tls_test(test_tls_flood_of_idle_handshakes_passes),
        tls_test(test_tls_idle_handshakes_give_way_at_the_cap),
        tls_test(test_tls_idle_handshakes_do_not_hold_up_the_end),
    };
    return cmocka_run_group_tests(tests, secured_begin, secured_end);
}
