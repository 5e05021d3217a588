/* The client against whole servers: Brio's own and Debian's nginx, in the clear and over TLS, and
 * from inside a handler of a third. */
#include "http/client.h"
#include "tests/support/http_test.h"
#include "tests/support/in_fiber.h"
#include "tests/support/tls_files.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NGINX       "/usr/sbin/nginx"
#define FILE_BYTES  ((size_t)300000)
#define LOAD_BYTES  ((size_t)20000000)
#define PIECE_BYTES 65536

static http_client *client;
static server_process streamer, nginx;
static char folder[64];
static uint16_t nginx_port, nginx_tls_port;
static char large[FILE_BYTES];

static str url_at(uint16_t port, const char *path)
{
    return str_format(fiber_arena(), "http://127.0.0.1:%u%s", port, path);
}

static int setup(void **state)
{
    (void)state;
    server_start(&streamer, getenv("STREAMER"), ENVIRONMENT("WORKERS=1"));
    const http_client_options options = { .tls.ca_file = tls_file_name("ca") };
    return http_client_open(&options, &client).kind ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    http_client_close(&client);
    server_kill(&streamer);
    server_kill(&server);
    server_kill(&nginx);
    return 0;
}

/* --- Brio ------------------------------------------------------------------------------------- */

static void test_answers_of_brio_are_taken(void **state)
{
    (void)state;
    http_client_reply reply;
    assert_ok(http_client_get(client, url_at(streamer.port, "/numbers/3"), &reply));
    assert_int_equal(reply.status, 200);
    assert_str_equal(reply.body, STR("[{\"n\":0},{\"n\":1},{\"n\":2}]"));
    assert_ok(http_client_get(client, url_at(streamer.port, "/nothing"), &reply));
    assert_int_equal(reply.status, 404);
    assert_str_equal(http_client_header(&reply, STR("content-type")),
                     STR("application/problem+json"));
    const http_client_request head = { .method = HTTP_HEAD,
                                       .url = url_at(streamer.port, "/bytes/1000") };
    assert_ok(http_client_send(client, &head, &reply));
    assert_int_equal(reply.status, 200);
    assert_str_equal(reply.body, STR(""));
    assert_str_equal(http_client_header(&reply, STR("x-before")), STR("yes"));
    for (int i = 0; i < 200; i++) {
        assert_ok(http_client_get(client, url_at(streamer.port, "/numbers/1"), &reply));
        assert_str_equal(reply.body, STR("[{\"n\":0}]"));
    }
    assert_int_equal(http_client_stats_of(client).open, 1);
}

static void test_answer_of_brio_that_breaks_off_is_none(void **state)
{
    (void)state;
    http_client_reply reply;
    assert_fails(HTTP_CALL_LOST, http_client_get(client, url_at(streamer.port, "/breaks"), &reply));
    assert_fails(HTTP_CALL_LOST,
                 http_client_get(client, url_at(streamer.port, "/crashes"), &reply));
    assert_int_equal(http_client_stats_of(client).open, 0);
}

static void test_endless_answer_of_brio_is_bounded(void **state)
{
    (void)state;
    http_client_reply reply;
    http_client_request request = { .url = url_at(streamer.port, "/endless") };
    assert_fails(HTTP_CALL_REPLY_TOO_LARGE, http_client_send(client, &request, &reply));
    assert_int_equal(http_client_stats_of(client).open, 0);
}

/* As the server counts: FNV-1a. */
static uint64_t hash_more(uint64_t hash, str bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (unsigned char)bytes.ptr[i]) * 0x100000001b3U;
    return hash;
}

static error upload(uint64_t announced, http_client_reply *reply, str *told, uint64_t *hash)
{
    http_call *call;
    const http_client_request request = { .method = HTTP_POST,
                                          .url = url_at(streamer.port, "/upload"),
                                          .body_streamed = announced };
    TRY(http_call_begin(client, &request, &call));
    *hash = 0xcbf29ce484222325U;
    for (size_t at = 0; at < LOAD_BYTES;) {
        const size_t from = at % (FILE_BYTES - PIECE_BYTES);
        const size_t part = LOAD_BYTES - at < PIECE_BYTES ? LOAD_BYTES - at : PIECE_BYTES;
        const str piece = { large + from, part };
        *hash = hash_more(*hash, piece);
        TRY(http_call_write(call, piece));
        at += part;
    }
    TRY(http_call_receive(call, reply));
    TRY(http_call_read(call, told));
    *told = str_copy(fiber_arena(), *told);
    http_call_end(&call);
    return OK;
}

static void test_large_bodies_arrive_whole(void **state)
{
    (void)state;
    static const uint64_t announced[] = { LOAD_BYTES, HTTP_CLIENT_LENGTH_NONE };
    for (size_t i = 0; i < ARRAY_LEN(announced); i++) {
        http_client_reply reply;
        str told;
        uint64_t hash = 0;
        assert_ok(upload(announced[i], &reply, &told, &hash));
        assert_int_equal(reply.status, 200);
        const str expected =
            str_format(fiber_arena(), " %zu %016llx", LOAD_BYTES, (unsigned long long)hash);
        assert_true(str_ends_with(told, expected));
    }
}

static void test_body_that_brio_refuses_is_answered(void **state)
{
    (void)state;
    http_client_reply reply;
    const http_client_request request = { .method = HTTP_POST,
                                          .url = url_at(streamer.port, "/small"),
                                          .body = { large, FILE_BYTES } };
    assert_ok(http_client_send(client, &request, &reply));
    assert_int_equal(reply.status, 413);
}

/* --- from a handler --------------------------------------------------------------------------- */

static void start_caller(void)
{
    static char upstream[64];
    snprintf(upstream, sizeof upstream, "UPSTREAM=http://127.0.0.1:%u", streamer.port);
    server_start(&server, getenv("CALLER"), ENVIRONMENT("WORKERS=1", upstream));
}

static void test_handlers_call_other_servers(void **state)
{
    (void)state;
    answer a;
    start_caller();
    for (int i = 0; i < 20; i++) {
        http_get(server.port, "/ask", &a);
        check_status("/ask", &a, 200);
        assert_str_equal(a.body, STR("[{\"n\":0},{\"n\":1},{\"n\":2}]"));
        answer_free(&a);
    }
    assert_true(http_metric(server.port, "http_client_requests_total") == 20);
    assert_true(http_metric(server.port, "http_client_connections_opened_total") == 1);
    assert_true(http_metric(server.port, "http_client_connections_reused_total") == 19);
    check_get("/misread", 503);
    check_get("/nobody", 503);
    check_get("/glance", 200);
    check_get("/endless", 504);
    assert_true(http_metric(server.port, "http_client_errors_total") >= 1);
}

static void test_handler_that_faults_in_a_call_costs_one_request(void **state)
{
    (void)state;
    start_caller();
    check_get("/crash", 500);
    check_get("/ask", 200);
}

/* --- nginx ------------------------------------------------------------------------------------ */

static void write_file(const char *name, const char *bytes, size_t len)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static uint16_t free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr *const to = (struct sockaddr *)(void *)&at;
    socklen_t len = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, to, len) == 0 && getsockname(fd, to, &len) == 0);
    close(fd);
    return ntohs(at.sin_port);
}

static void launch_nginx(void)
{
    static char config[4096];
    nginx_port = free_port();
    nginx_tls_port = free_port();
    const int len = snprintf(
        config, sizeof config,
        "daemon off; master_process off; pid nginx.pid; error_log stderr error;\n"
        "events { worker_connections 256; }\n"
        "http { access_log off; absolute_redirect off; keepalive_requests 5;\n"
        "  client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d;\n"
        "  scgi_temp_path e; client_max_body_size 1k;\n"
        "  server { listen 127.0.0.1:%u; listen 127.0.0.1:%u ssl; root %s;\n"
        "    ssl_certificate %s; ssl_certificate_key %s;\n"
        "    location /closes { return 444; }\n"
        "    location /chunks/ { proxy_pass http://127.0.0.1:%u/bytes/; proxy_http_version 1.1; }\n"
        "    location /elsewhere { return 302 /site/large.bin; } } }\n",
        nginx_port, nginx_tls_port, folder, tls_file_path("server"), tls_file_path("server"),
        streamer.port);
    assert_true(len > 0 && (size_t)len < sizeof config);
    write_file("nginx.conf", config, (size_t)len);
    program_launch(&nginx, ENVIRONMENT(NGINX, "-p", folder, "-c", "nginx.conf", "-e", "stderr"),
                   NULL);
}

/* Where somebody was faster to a port, nginx ends, and is told another. */
static int nginx_setup(void **state)
{
    char path[96];
    if (access(NGINX, X_OK) != 0) {
        (void)fprintf(stderr, "there is no " NGINX "\n");
        exit(77);
    }
    if (setup(state) != 0)
        return -1;
    snprintf(folder, sizeof folder, "/tmp/brio-called-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/site", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file("site/large.bin", large, sizeof large);
    for (int tries = 0; tries < 10; tries++) {
        launch_nginx();
        while (waitpid(nginx.pid, NULL, WNOHANG) == 0) {
            answer a;
            http_get(nginx_port, "/site/none", &a);
            const int status = a.status;
            answer_free(&a);
            if (status == 404)
                return 0;
            test_pause_ms(5);
        }
        server_kill(&nginx);
    }
    return -1;
}

static int nginx_teardown(void **state)
{
    char command[128];
    (void)teardown(state);
    snprintf(command, sizeof command, "exec rm -rf %s", folder);
    return system(command); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a folder of our own */
}

static void check_nginx(str base)
{
    http_client_reply reply;
    const str file = str_format(fiber_arena(), "%.*s/site/large.bin", STR_ARG(base));
    for (int i = 0; i < 12; i++) { /* every fifth ends its connection */
        assert_ok(http_client_get(client, file, &reply));
        assert_int_equal(reply.status, 200);
        assert_str_equal(reply.body, ((str){ large, sizeof large }));
    }
    const http_client_request head = { .method = HTTP_HEAD, .url = file };
    assert_ok(http_client_send(client, &head, &reply));
    assert_str_equal(http_client_header(&reply, STR("content-length")), STR("300000"));
    assert_str_equal(reply.body, STR(""));
    const http_client_request part = {
        .url = file, .headers = HTTP_CLIENT_HEADERS({ STR("Range"), STR("bytes=5-9") })
    };
    assert_ok(http_client_send(client, &part, &reply));
    assert_int_equal(reply.status, 206);
    assert_str_equal(reply.body, ((str){ large + 5, 5 }));
    assert_ok(http_client_get(
        client, str_format(fiber_arena(), "%.*s/chunks/100000", STR_ARG(base)), &reply));
    assert_int_equal(reply.body.len, 100000);
    assert_str_equal(http_client_header(&reply, STR("transfer-encoding")), STR("chunked"));
    assert_fails(
        HTTP_CALL_LOST,
        http_client_get(client, str_format(fiber_arena(), "%.*s/closes", STR_ARG(base)), &reply));
    const http_client_request post = { .method = HTTP_POST,
                                       .url = file,
                                       .body = { large, sizeof large } };
    assert_ok(http_client_send(client, &post, &reply));
    assert_int_equal(reply.status, 413);
}

static void test_nginx_is_understood(void **state)
{
    (void)state;
    check_nginx(url_at(nginx_port, ""));
}

static void test_nginx_is_understood_over_tls(void **state)
{
    (void)state;
    check_nginx(str_format(fiber_arena(), "https://localhost:%u", nginx_tls_port));
}

static void test_redirect_of_nginx_is_followed(void **state)
{
    (void)state;
    http_client_reply reply;
    http_client *follower;
    assert_ok(http_client_open(&(http_client_options){ .redirects_max = 2 }, &follower));
    assert_ok(http_client_get(follower, url_at(nginx_port, "/elsewhere"), &reply));
    assert_int_equal(reply.status, 200);
    assert_int_equal(reply.body.len, sizeof large);
    assert_str_equal(reply.url, url_at(nginx_port, "/site/large.bin"));
    http_client_close(&follower);
}

static int run(void)
{
#define BRIO_TEST(name_)  cmocka_unit_test_setup_teardown(name_, setup, teardown)
#define NGINX_TEST(name_) cmocka_unit_test_setup_teardown(name_, nginx_setup, nginx_teardown)
    const struct CMUnitTest tests[] = {
        BRIO_TEST(test_answers_of_brio_are_taken),
        BRIO_TEST(test_answer_of_brio_that_breaks_off_is_none),
        BRIO_TEST(test_endless_answer_of_brio_is_bounded),
        BRIO_TEST(test_large_bodies_arrive_whole),
        BRIO_TEST(test_body_that_brio_refuses_is_answered),
        BRIO_TEST(test_handlers_call_other_servers),
        BRIO_TEST(test_handler_that_faults_in_a_call_costs_one_request),
        NGINX_TEST(test_nginx_is_understood),
        NGINX_TEST(test_nginx_is_understood_over_tls),
        NGINX_TEST(test_redirect_of_nginx_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)(i * 2654435761U >> 24);
    if (!tls_files_make())
        return 1;
    const int failed = run_in_fiber(run);
    tls_files_remove();
    return failed;
}
