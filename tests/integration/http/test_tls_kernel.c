/* Files over TLS by the HTTP server, sealed by the kernel: the whole way of a request, on a Linux
 * that has kernel TLS. The machine's own may have none, so this runs in a virtual machine
 * (tools/tls_kernel.sh), beside core's test of the same; without kernel TLS it is skipped.
 *
 * The program is its own server, told so by a variable. What the kernel did is in its statistics.
 */
#include "tests/support/secured.h"

#include <brio/http.h>
#include <fcntl.h>

#define FILE_BYTES ((size_t)3 << 20)
#define STATISTICS "/proc/net/tls_stat"

static char bytes[FILE_BYTES];

static error fast(http_request *req)
{
    return http_reply_text(req, 200, STR("fast"));
}

static const http_route routes[] = {
    HTTP_FILES("/static", "site", http_public),
    { HTTP_GET, "/fast", fast, http_public },
};

/* How many connections the kernel has sealed for so far; -1: it cannot. */
static long sealed(void)
{
    char name[64];
    long value = -1, found;
    FILE *file = fopen(STATISTICS, "re");
    while (file && fscanf(file, "%63s %ld", name, &found) == 2) {
        if (strcmp(name, "TlsTxSw") == 0 || strcmp(name, "TlsTxDevice") == 0)
            value = found + (value > 0 ? value : 0);
    }
    if (file)
        (void)fclose(file);
    return value;
}

static void make_file(const char *path, size_t len)
{
    const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    close(fd);
}

/* Asks for the file, or its range, and compares what comes with what is there. */
static void expect_part(peer *p, const char *path, size_t from, size_t len)
{
    answer a;
    const bool whole = len == FILE_BYTES || len <= 1000;
    peer_sendf(p, "GET %s HTTP/1.1\r\nHost: x\r\n", path);
    if (!whole)
        peer_sendf(p, "Range: bytes=%zu-%zu\r\n", from, from + len - 1);
    peer_sendf(p, "\r\n");
    peer_read(p, false, &a);
    check_status(path, &a, whole ? 200 : 206);
    assert_int_equal(a.body.len, len);
    assert_memory_equal(a.body.ptr, bytes + from, len);
    answer_free(&a);
}

/* `by_kernel`: how many connections it seals for. */
static void run(int version, int by_kernel)
{
    peer p;
    const long before = sealed();
    assert_true(tls_peer_connect(&p, port_of("tls:"), &(tls_ask){ .version = version }));
    expect_text(&p, "/fast", "fast");
    expect_part(&p, "/static/small.bin", 0, 1000);
    assert_int_equal(sealed(), before); /* not for what is small */
    expect_part(&p, "/static/large.bin", 0, FILE_BYTES);
    assert_int_equal(sealed(), before + by_kernel);
    expect_part(&p, "/static/large.bin", 70001, 1234567);
    expect_text(&p, "/fast", "fast"); /* what is not a file goes the same way from here on */
    expect_part(&p, "/static/small.bin", 0, 1000);
    expect_part(&p, "/static/large.bin", 0, FILE_BYTES);
    assert_int_equal(sealed(), before + by_kernel);
    peer_close(&p);
}

static void start(const char *setting)
{
    server_start(&server, "/proc/self/exe",
                 ENVIRONMENT("SERVES=1", "WORKERS=1", "LISTEN=127.0.0.1:0 tls:127.0.0.1:0",
                             file_variable("TLS_CERT_FILE", "server"), setting));
}

static void test_tls_files_are_sealed_by_the_kernel(void **state)
{
    (void)state;
    start("TLS_KERNEL=on");
    run(TLS1_3_VERSION, 1);
    run(TLS1_2_VERSION, 0);
    kill(server.pid, SIGTERM);
    assert_int_equal(server_wait(&server), 0);
}

static void test_tls_files_are_not_when_told_so(void **state)
{
    (void)state;
    peer p;
    start("TLS_KERNEL=off");
    const long before = sealed();
    assert_true(tls_peer_connect(&p, port_of("tls:"), &(tls_ask){ .name = NULL }));
    expect_part(&p, "/static/large.bin", 0, FILE_BYTES);
    assert_int_equal(sealed(), before);
    peer_close(&p);
}

static int begin(void **state)
{
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 2654435761U >> 13);
    if (secured_begin(state) != 0)
        return -1;
    make_file("site/large.bin", FILE_BYTES);
    make_file("site/small.bin", 1000);
    return 0;
}

static int end(void **state)
{
    unlink("site/large.bin");
    unlink("site/small.bin");
    return secured_end(state);
}

#define kernel_test(name_) cmocka_unit_test_teardown(name_, server_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        kernel_test(test_tls_files_are_sealed_by_the_kernel),
        kernel_test(test_tls_files_are_not_when_told_so),
    };
    if (getenv("SERVES"))
        return http_main(argc, argv,
                         &(http_app){ .name = "kernel", .routes = HTTP_ROUTES(routes) });
    if (sealed() < 0) {
        (void)fprintf(stderr, "this kernel has no TLS\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, begin, end);
}
