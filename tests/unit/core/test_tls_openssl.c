/* TLS on streams against the openssl program, as a client and as a server: that what we speak is
 * what others speak. Each child is bounded in time and ended by its pid. */
#include "tests/support/tls_pair.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

#define ARGUMENTS_MAX 32

static struct {
    pid_t pid; /* 0: none */
    int in;    /* its standard input */
    int out;   /* its output and errors */
    buf said;
} child;

static void child_start(const char *const *arguments)
{
    int in[2], out[2];
    const char *argv[ARGUMENTS_MAX] = { "timeout", "60", "openssl" };
    size_t count = 3;
    for (; *arguments; arguments++) {
        assert_true(count + 1 < ARGUMENTS_MAX);
        argv[count++] = *arguments;
    }
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, out[1], 2);
    assert_int_equal(
        posix_spawnp(&child.pid, "timeout", &actions, NULL, (char *const *)argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    child.in = in[1];
    child.out = out[0];
    assert_int_equal(fcntl(child.out, F_SETFL, O_NONBLOCK), 0);
    buf_init(&child.said, 1 << 20);
}

/* Whether it has said `text` by now. */
static bool child_said(const char *text)
{
    char *to;
    ssize_t got;
    while ((to = buf_reserve(&child.said, 4096)) && (got = read(child.out, to, 4096)) > 0)
        buf_commit(&child.said, (size_t)got);
    const str said = buf_str(&child.said);
    return said.len > 0 && memmem(said.ptr, said.len, text, strlen(text));
}

/* As assert_true(child_said(…)), with what it said instead. */
static void assert_said(const char *text)
{
    for (int i = 0; i < 10000 && !child_said(text); i++)
        assert_ok(fiber_sleep(1));
    if (!child_said(text))
        print_error("no \"%s\" in:\n%.*s\n", text, STR_ARG(buf_str(&child.said)));
    assert_true(child_said(text));
}

static void child_tell(const char *text)
{
    assert_int_equal(write(child.in, text, strlen(text)), strlen(text));
}

static void child_close_input(void)
{
    if (child.in >= 0)
        close(child.in);
    child.in = -1;
}

static void child_end(void)
{
    if (child.pid == 0)
        return;
    child_close_input();
    kill(child.pid, SIGTERM);
    waitpid(child.pid, NULL, 0);
    close(child.out);
    buf_deinit(&child.said);
    child.pid = 0;
}

static int child_teardown(void **state)
{
    child_end();
    return pair_teardown(state);
}

/* --- openssl s_client ------------------------------------------------------------------------ */

static size_t echo(side *s, str bytes)
{
    stream_write(s->stream, bytes);
    buf_append(&s->got, bytes);
    if (s->at_end)
        stream_close(s->stream, 1000);
    return bytes.len;
}

/* Lets the program connect to `server`, with `more` arguments, until it is accepted. */
static void client_connects(const char *const *more)
{
    address at;
    const int listening = pair_listen(false, &at);
    const str where = address_text(fiber_arena(), &at);
    const char *arguments[ARGUMENTS_MAX] = {
        "s_client", "-connect",          str_to_c(fiber_arena(), where),
        "-CAfile",  tls_file_path("ca"), "-verify_return_error"
    };
    for (size_t i = 6; *more && i + 1 < ARGUMENTS_MAX; i++)
        arguments[i] = *more++;
    child_start(arguments);
    const int fd = peer_accept(listening);
    close(listening);
    server.take = echo;
    assert_ok(stream_from_fd(loop_self(), fd, &SIDE_HANDLER, NULL, &server, &server.stream));
    assert_ok(stream_start_tls_server(server.stream, server_config));
}

typedef struct client_row {
    const char *arguments[12];
    const char *says[4];
    const char *protocol; /* stream_tls_version */
} client_row;

static void test_tls_openssl_client_is_served(void **state)
{
    (void)state;
    const client_row rows[] = {
        { { "-tls1_3", "-servername", "localhost", "-verify_hostname", "localhost" },
          { "Verification: OK", "subject=O = Brio tests, CN = localhost" },
          "TLSv1.3" },
        { { "-tls1_2", "-servername", "localhost", "-verify_hostname", "localhost" },
          { "Verification: OK", "Secure Renegotiation IS supported", "Compression: NONE" },
          "TLSv1.2" },
        { { "-tls1_3", "-servername", "rsa.test", "-verify_hostname", "rsa.test", "-alpn", "x,h2" },
          { "Verification: OK", "CN = rsa.test", "ALPN protocol: h2" },
          "TLSv1.3" },
        { { "-tls1_2", "-servername", "rsa.test", "-verify_hostname", "rsa.test", "-alpn", "x,h2" },
          { "Verification: OK", "CN = rsa.test", "ALPN protocol: h2" },
          "TLSv1.2" },
        { { "-noservername", "-alpn", "http/1.1", "-groups", "P-384" },
          { "CN = localhost", "ALPN protocol: http/1.1", "Early data was not sent" },
          "TLSv1.3" },
    };
    tls_server_options s = server_options();
    s.others = &(tls_certificate){ .cert_file = tls_file_name("rsa") };
    s.other_count = 1;
    s.alpn = STR("h2,http/1.1");
    configure(&s, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        client_connects(rows[i].arguments);
        eventually(server.opened || server.closed);
        assert_ok(server.why);
        assert_str_equal(stream_tls_version(server.stream), str_from_c(rows[i].protocol));
        child_tell("to and fro\n");
        eventually(server.got.len >= 11);
        for (size_t n = 0; n < ARRAY_LEN(rows[i].says) && rows[i].says[n]; n++)
            assert_said(rows[i].says[n]);
        assert_said("\nto and fro\n");
        child_close_input(); /* it then says close_notify and leaves */
        eventually(server.closed);
        assert_ok(server.why);
        assert_true(server.at_end);
        child_end();
        forget(&server);
    }
}

static void test_tls_openssl_client_shows_its_certificate(void **state)
{
    (void)state;
    tls_server_options s = server_options();
    s.client_ca_file = tls_file_name("ca");
    configure(&s, NULL);
    const char *versions[] = { "-tls1_2", "-tls1_3" };
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        client_connects((const char *[]){ versions[i], "-cert", tls_file_path("client"), "-key",
                                          tls_file_path("client"), NULL });
        eventually(server.opened || server.closed);
        assert_ok(server.why);
        assert_true(stream_tls_peer_verified(server.stream));
        assert_str_equal(stream_tls_peer_subject(server.stream, fiber_arena()),
                         STR("CN=ada,O=Brio tests"));
        child_close_input();
        eventually(server.closed);
        child_end();
        forget(&server);
        client_connects((const char *[]){ versions[i], NULL }); /* and without one */
        eventually(server.closed);
        assert_fails(TLS_FAILED, server.why);
        assert_false(server.opened);
        assert_said("alert");
        child_end();
        forget(&server);
    }
}

static void test_tls_openssl_client_of_old_versions_is_refused(void **state)
{
    (void)state;
    configure(NULL, NULL);
    client_connects((const char *[]){ "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0", NULL });
    eventually(server.closed);
    assert_fails(TLS_FAILED, server.why);
    assert_said("protocol version");
}

static void test_tls_openssl_client_without_forward_secrecy_is_refused(void **state)
{
    (void)state;
    tls_server_options s = server_options();
    s.certificate.cert_file = tls_file_name("rsa");
    configure(&s, NULL);
    client_connects((const char *[]){ "-tls1_2", "-cipher", "AES256-GCM-SHA384", NULL });
    eventually(server.closed);
    assert_fails(TLS_FAILED, server.why);
    assert_said("handshake failure");
}

/* --- openssl s_server ------------------------------------------------------------------------ */

/* Starts the program with `more` arguments and connects `client` to it. */
static void client_opens(const char *const *more, const char *name)
{
    const char *arguments[ARGUMENTS_MAX] = { "s_server", "-accept", "127.0.0.1:0", "-rev" };
    size_t count = 4;
    while (*more && count + 1 < ARGUMENTS_MAX)
        arguments[count++] = *more++;
    arguments[count] = NULL;
    child_start(arguments);
    assert_said("ACCEPT ");
    eventually(child_said("\n"));
    const str said = buf_str(&child.said);
    const char *where = memmem(said.ptr, said.len, "ACCEPT ", 7);
    str text = str_slice(str_between(where, said.ptr + said.len), 7, said.len);
    text = str_slice(text, 0, str_index(text, '\n'));
    address at;
    assert_true(address_parse(text, &at));
    assert_ok(stream_connect(loop_self(), &at, &SIDE_HANDLER, NULL, &client, &client.stream));
    assert_ok(stream_start_tls_client(client.stream, client_config, str_from_c(name)));
    eventually(client.opened || client.closed);
}

static void test_tls_openssl_server_is_talked_to(void **state)
{
    (void)state;
    const char *versions[] = { "-tls1_2", "-tls1_3" };
    tls_client_options c = client_options();
    c.alpn = STR("postgresql");
    c.certificate.cert_file = tls_file_name("client");
    configure(NULL, &c);
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        client_opens((const char *[]){ versions[i], "-cert", tls_file_path("server"), "-key",
                                       tls_file_path("server"), "-alpn", "postgresql", "-Verify",
                                       "2", "-CAfile", tls_file_path("ca"), "-verify_return_error",
                                       NULL },
                     "localhost");
        assert_ok(client.why);
        assert_true(client.opened);
        assert_str_equal(stream_tls_version(client.stream),
                         str_from_c(versions[i][6] == '2' ? "TLSv1.2" : "TLSv1.3"));
        assert_str_equal(stream_tls_alpn(client.stream), STR("postgresql"));
        assert_true(stream_tls_peer_verified(client.stream));
        stream_write(client.stream, STR("live\n"));
        eventually(client.got.len >= 5);
        assert_str_equal(buf_str(&client.got), STR("evil\n"));
        assert_said("CN = ada");
        stream_close(client.stream, 1000);
        eventually(client.closed);
        assert_ok(client.why);
        child_end();
        forget(&client);
    }
}

static void test_tls_openssl_server_that_is_not_trusted_is_refused(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        { "self", "localhost", "self-signed" },
        { "expired", "localhost", "expired" },
        { "server", "example.test", "ostname mismatch" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        configure(NULL, NULL);
        client_opens((const char *[]){ "-cert", tls_file_path(rows[i][0]), "-key",
                                       tls_file_path(rows[i][0]), NULL },
                     rows[i][1]);
        assert_true(client.closed);
        assert_fails(TLS_FAILED, client.why);
        assert_non_null(strstr(client.why_text, rows[i][2]));
        assert_said("alert");
        child_end();
        forget(&client);
    }
}

#define CHILD_TEST(name) cmocka_unit_test_setup_teardown(name, pair_setup, child_teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        CHILD_TEST(test_tls_openssl_client_is_served),
        CHILD_TEST(test_tls_openssl_client_shows_its_certificate),
        CHILD_TEST(test_tls_openssl_client_of_old_versions_is_refused),
        CHILD_TEST(test_tls_openssl_client_without_forward_secrecy_is_refused),
        CHILD_TEST(test_tls_openssl_server_is_talked_to),
        CHILD_TEST(test_tls_openssl_server_that_is_not_trusted_is_refused),
    };
    return cmocka_run_group_tests_name("tls openssl", tests, NULL, NULL);
}

int main(void)
{
    if (access("/usr/bin/openssl", X_OK) != 0) {
        puts("skipped: no openssl program");
        return 77;
    }
    return run_with_files(run);
}
