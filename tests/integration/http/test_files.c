/* Files, over real sockets and of a real directory that each test fills: conditions, ranges,
 * neighbours, directories, and what a file that changes or a client that waits does. */
#include "tests/support/http_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define OLD_S    784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */
#define OLD_DATE "Sun, 06 Nov 1994 08:49:37 GMT"

static char folder[64];

static void make_file_at(const char *path, const char *text, time_t modified_s)
{
    const int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    const struct timespec times[2] = { { .tv_sec = modified_s }, { .tv_sec = modified_s } };
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static void make_file(const char *path, const char *text)
{
    make_file_at(path, text, OLD_S);
}

/* A file of so many bytes, most of which take no room on the disk. */
static void make_large(const char *path, off_t bytes)
{
    make_file(path, "begin");
    assert_int_equal(truncate(path, bytes), 0);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "end", 3, bytes - 3), 3);
    close(fd);
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/brio-files-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(mkdir("site", 0700), 0);
    make_file("site/ten.txt", "0123456789");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    server_kill(&server);
    char command[128];
    assert_int_equal(chdir("/"), 0);
    (void)snprintf(command, sizeof command, "exec rm -rf %s", folder);
    return system(command); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a folder of our own */
}

static void serve_files(void)
{
    server_start(&server, getenv("FILER"), ENVIRONMENT("WORKERS=1"));
}

/* Sends a request with further lines of head, and reads its answer. */
static void ask(const char *method, const char *path, const char *lines, answer *a)
{
    peer p;
    peer_connect(&p, server.port);
    peer_sendf(&p, "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", method, path, lines);
    peer_read(&p, strcmp(method, "HEAD") == 0, a);
    peer_close(&p);
}

static void check_field_at(const answer *a, const char *name, const char *expected, int line)
{
    const str value = answer_header(a, name);
    if (expected ? str_eq(value, str_from_c(expected)) : !value.ptr)
        return;
    print_error("%s is \"%.*s\"\n", name, STR_ARG(value));
    _fail(__FILE__, line);
}
#define check_field(answer_, name_, expected_) \
    check_field_at((answer_), (name_), (expected_), __LINE__)

static void check_body_at(const answer *a, const char *expected, int line)
{
    if (str_eq(a->body, str_from_c(expected)))
        return;
    print_error("the body is \"%.*s\"\n", STR_ARG(a->body));
    _fail(__FILE__, line);
}
#define check_body(answer_, expected_) check_body_at((answer_), (expected_), __LINE__)

/* The entity tag of a file, in `out`. */
static void etag_of(const char *path, const char *lines, char out[64])
{
    answer a;
    ask("GET", path, lines, &a);
    check_status(path, &a, 200);
    const str tag = answer_header(&a, "ETag");
    assert_true(tag.len > 2 && tag.len < 64);
    (void)snprintf(out, 64, "%.*s", STR_ARG(tag));
    answer_free(&a);
}

static void test_file_answer_describes_the_file(void **state)
{
    (void)state;
    answer a;
    serve_files();
    static const char *const methods[] = { "GET", "HEAD" };
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        ask(methods[i], "/one/ten.txt", "", &a);
        check_status("file", &a, 200);
        check_field(&a, "Content-Type", "text/plain; charset=utf-8");
        check_field(&a, "Content-Length", "10");
        check_field(&a, "Last-Modified", OLD_DATE);
        check_field(&a, "Accept-Ranges", "bytes");
        check_field(&a, "Cache-Control", "max-age=60");
        check_field(&a, "Vary", NULL);
        check_field(&a, "Content-Encoding", NULL);
        assert_true(str_starts_with(answer_header(&a, "ETag"), STR("\"")));
        check_body(&a, i == 0 ? "0123456789" : "");
        answer_free(&a);
    }
    make_file("site/empty", "");
    ask("GET", "/one/empty", "", &a);
    check_status("empty file", &a, 200);
    check_field(&a, "Content-Type", "application/octet-stream");
    check_field(&a, "Content-Length", "0");
    answer_free(&a);
}

static void test_file_tag_is_weak_while_it_may_change_unseen(void **state)
{
    (void)state;
    char tag[64], lines[128];
    answer a;
    serve_files();
    make_file_at("site/new.txt", "new", time(NULL) + 1000);
    etag_of("/one/new.txt", "", tag);
    assert_memory_equal(tag, "W/\"", 3);
    (void)snprintf(lines, sizeof lines, "If-None-Match: %s\r\n", tag);
    ask("GET", "/one/new.txt", lines, &a);
    check_status("the same", &a, 304);
    answer_free(&a);
    (void)snprintf(lines, sizeof lines, "Range: bytes=0-0\r\nIf-Range: %s\r\n", tag);
    ask("GET", "/one/new.txt", lines, &a);
    check_status("too weak for a part", &a, 200);
    answer_free(&a);
    (void)snprintf(lines, sizeof lines, "If-Match: %s\r\n", tag);
    ask("GET", "/one/new.txt", lines, &a);
    check_status("too weak to be matched", &a, 412);
    answer_free(&a);
}

static void test_file_conditions_are_heeded(void **state)
{
    (void)state;
    char tag[64], lines[256];
    serve_files();
    etag_of("/one/ten.txt", "", tag);
    static const struct {
        const char *name, *field, *value; /* NULL: the tag */
        int status;
    } rows[] = {
        { "same tag", "If-None-Match", NULL, 304 },
        { "any tag", "If-None-Match", "*", 304 },
        { "another tag", "If-None-Match", "\"x\"", 200 },
        { "same date", "If-Modified-Since", OLD_DATE, 304 },
        { "same date, older form", "If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT", 304 },
        { "same date, oldest form", "If-Modified-Since", "Sun Nov  6 08:49:37 1994", 304 },
        { "earlier date", "If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT", 200 },
        { "no date", "If-Modified-Since", "yesterday", 200 },
        { "tag matches", "If-Match", NULL, 200 },
        { "tag does not match", "If-Match", "\"x\"", 412 },
        { "unmodified", "If-Unmodified-Since", OLD_DATE, 200 },
        { "modified", "If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:36 GMT", 412 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        static const char *const methods[] = { "GET", "HEAD" };
        for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
            answer a;
            (void)snprintf(lines, sizeof lines, "%s: %s\r\n", rows[i].field,
                           rows[i].value ? rows[i].value : tag);
            ask(methods[m], "/one/ten.txt", lines, &a);
            check_status(rows[i].name, &a, rows[i].status);
            if (a.status == 304) {
                check_field(&a, "ETag", tag);
                check_field(&a, "Cache-Control", "max-age=60");
                check_field(&a, "Content-Length", NULL);
                check_field(&a, "Content-Type", NULL);
            }
            answer_free(&a);
        }
    }
    /* Two lines are one list. */
    answer a;
    (void)snprintf(lines, sizeof lines, "If-None-Match: \"x\"\r\nIf-None-Match: %s\r\n", tag);
    ask("GET", "/one/ten.txt", lines, &a);
    check_status("two lines", &a, 304);
    answer_free(&a);
    /* To a POST the file is an answer, not what is asked about. */
    (void)snprintf(lines, sizeof lines, "Content-Length: 0\r\nIf-None-Match: %s\r\n", tag);
    ask("POST", "/one/ten.txt", lines, &a);
    check_status("post", &a, 200);
    answer_free(&a);
}

static void test_file_range_is_answered_alone(void **state)
{
    (void)state;
    static const struct {
        const char *range;
        int status;
        const char *content_range, *body;
    } rows[] = {
        { "bytes=2-4", 206, "bytes 2-4/10", "234" },
        { "bytes=7-", 206, "bytes 7-9/10", "789" },
        { "bytes=-2", 206, "bytes 8-9/10", "89" },
        { "bytes=-20", 206, "bytes 0-9/10", "0123456789" },
        { "bytes=5-500", 206, "bytes 5-9/10", "56789" },
        { "bytes=0-0,50-", 206, "bytes 0-0/10", "0" },
        { "bytes=2-1", 200, NULL, "0123456789" },
        { "bytes=0-5,5-6", 200, NULL, "0123456789" },
        { "chars=0-5", 200, NULL, "0123456789" },
        { "bytes=10-", 416, "bytes */10", NULL },
        { "bytes=-0", 416, "bytes */10", NULL },
    };
    serve_files();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        answer a;
        char lines[128];
        (void)snprintf(lines, sizeof lines, "Range: %s\r\n", rows[i].range);
        ask("GET", "/one/ten.txt", lines, &a);
        check_status(rows[i].range, &a, rows[i].status);
        check_field(&a, "Content-Range", rows[i].content_range);
        if (rows[i].body)
            check_body(&a, rows[i].body);
        answer_free(&a);
        ask("HEAD", "/one/ten.txt", lines, &a); /* RFC 9110, 14.2: of a GET only */
        check_status(rows[i].range, &a, 200);
        check_field(&a, "Content-Length", "10");
        answer_free(&a);
    }
}

static void test_file_ranges_come_as_parts(void **state)
{
    (void)state;
    answer a;
    char expected[1024];
    serve_files();
    ask("GET", "/one/ten.txt", "Range: bytes=8-9, 0-1, 4-4\r\n", &a);
    check_status("parts", &a, 206);
    check_field(&a, "Content-Range", NULL);
    const str type = answer_header(&a, "Content-Type");
    const str before = STR("multipart/byteranges; boundary=");
    assert_true(str_starts_with(type, before));
    const str boundary = str_slice(type, before.len, type.len);
    (void)snprintf(expected, sizeof expected,
                   "--%.*s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                   "Content-Range: bytes 8-9/10\r\n\r\n89"
                   "\r\n--%.*s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                   "Content-Range: bytes 0-1/10\r\n\r\n01"
                   "\r\n--%.*s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                   "Content-Range: bytes 4-4/10\r\n\r\n4"
                   "\r\n--%.*s--\r\n",
                   STR_ARG(boundary), STR_ARG(boundary), STR_ARG(boundary), STR_ARG(boundary));
    check_body(&a, expected);
    answer_free(&a);
}

static void test_file_if_range_guards_the_range(void **state)
{
    (void)state;
    char tag[64], lines[256];
    serve_files();
    etag_of("/one/ten.txt", "", tag);
    const struct {
        const char *value;
        int status;
    } rows[] = {
        { tag, 206 },
        { "\"x\"", 200 },
        { OLD_DATE, 206 },
        { "Sun, 06 Nov 1994 08:49:38 GMT", 200 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        answer a;
        (void)snprintf(lines, sizeof lines, "Range: bytes=0-1\r\nIf-Range: %s\r\n", rows[i].value);
        ask("GET", "/one/ten.txt", lines, &a);
        check_status(rows[i].value, &a, rows[i].status);
        check_body(&a, rows[i].status == 206 ? "01" : "0123456789");
        answer_free(&a);
    }
}

static void test_file_neighbour_is_chosen_by_the_client(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *coding, *body;
    } rows[] = {
        { "", NULL, "plain" },
        { "Accept-Encoding: gzip\r\n", "gzip", "gzipped" },
        { "Accept-Encoding: gzip, br\r\n", "br", "brotlied" },
        { "Accept-Encoding: gzip, br;q=0.5\r\n", "gzip", "gzipped" },
        { "Accept-Encoding: br;q=0.5\r\nAccept-Encoding: gzip\r\n", "gzip", "gzipped" },
        { "Accept-Encoding: zstd\r\n", NULL, "plain" }, /* stale */
        { "Accept-Encoding: identity, gzip;q=0.5\r\n", NULL, "plain" },
        { "Accept-Encoding: gzip\r\nRange: bytes=0-99\r\n", NULL, "plain" },
    };
    char plain[64], gzipped[64], lines[128];
    make_file("site/a.css", "plain");
    make_file("site/a.css.gz", "gzipped");
    make_file("site/a.css.br", "brotlied");
    make_file_at("site/a.css.zst", "stale", OLD_S - 100);
    make_file("site/b.png", "picture");
    make_file("site/b.png.gz", "gzipped");
    serve_files();
    answer a;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ask("GET", "/static/a.css", rows[i].lines, &a);
        check_status(rows[i].lines, &a, strstr(rows[i].lines, "Range") ? 206 : 200);
        check_field(&a, "Content-Type", "text/css; charset=utf-8");
        check_field(&a, "Content-Encoding", rows[i].coding);
        check_field(&a, "Vary", "Accept-Encoding");
        check_field(&a, "Accept-Ranges", rows[i].coding ? NULL : "bytes");
        check_body(&a, rows[i].body);
        answer_free(&a);
    }
    etag_of("/static/a.css", "", plain);
    etag_of("/static/a.css", "Accept-Encoding: gzip\r\n", gzipped);
    assert_string_not_equal(plain, gzipped);
    (void)snprintf(lines, sizeof lines, "Accept-Encoding: gzip\r\nIf-None-Match: %s\r\n", gzipped);
    ask("GET", "/static/a.css", lines, &a);
    check_status("gzipped and known", &a, 304);
    check_field(&a, "Vary", "Accept-Encoding");
    answer_free(&a);
    ask("GET", "/static/b.png", "Accept-Encoding: gzip\r\n", &a);
    check_body(&a, "picture");
    check_field(&a, "Vary", NULL);
    answer_free(&a);
}

static void test_directory_has_an_index_and_a_slash(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status;
        const char *location;
    } rows[] = {
        { "/static", 301, "./static/" },
        { "/static?a=1", 301, "./static/?a=1" },
        { "/static/", 200, NULL },
        { "/static/inner", 301, "./inner/" },
        { "/static/inner?x=%20", 301, "./inner/?x=%20" },
        { "/static/inner/", 200, NULL },
        { "/static/inner/index.html", 200, NULL },
        { "/static/bare", 301, "./bare/" },
        { "/static/bare/", 404, NULL },
        { "/static/ten.txt", 200, NULL },
        { "/static/ten.txt/", 404, NULL },
        { "/static/none", 404, NULL },
        { "/static//inner", 404, NULL },
        { "/static/inner//", 404, NULL },
        { "/static/.hidden", 404, NULL },
        { "/static/.git/", 404, NULL },
        { "/static/..%2fsecret", 404, NULL },
        { "/static/out", 404, NULL },
        { "/static/linked/", 404, NULL },
        { "/static/pipe", 404, NULL },
        { "/one/inner", 404, NULL },
    };
    make_file("secret", "secret");
    make_file("site/index.html", "top");
    make_file("site/.hidden", "hidden");
    assert_int_equal(mkdir("site/.git", 0700), 0);
    make_file("site/.git/index.html", "hidden");
    assert_int_equal(mkdir("site/bare", 0700), 0);
    assert_int_equal(mkdir("site/inner", 0700), 0);
    make_file("site/inner/index.html", "inner");
    assert_int_equal(mkfifo("site/pipe", 0600), 0);
    assert_int_equal(symlink("../secret", "site/out"), 0);
    assert_int_equal(symlink("inner", "site/linked"), 0);
    serve_files();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        answer a;
        ask("GET", rows[i].path, "", &a);
        check_status(rows[i].path, &a, rows[i].status);
        check_field(&a, "Location", rows[i].location);
        answer_free(&a);
    }
}

static void test_directory_that_is_missing_keeps_from_starting(void **state)
{
    (void)state;
    char log[4096];
    assert_int_equal(rename("site", "moved"), 0);
    assert_int_equal(server_run_to_end(getenv("FILER"), ENVIRONMENT("WORKERS=1"), log, sizeof log),
                     1);
    assert_non_null(strstr(log, "directory site"));
    assert_non_null(strstr(log, "/static"));
}

static void test_redirect_location_is_a_url(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status;
        const char *location;
    } rows[] = {
        { "/go/301?to=/a", 301, "/a" },
        { "/go/302?to=https://a.example/b%3Fc%3Dd%26e", 302, "https://a.example/b?c=d&e" },
        { "/go/303?to=/a%20b", 303, "/a%20b" },
        { "/go/307?to=/%C3%A9", 307, "/%C3%A9" },
        { "/go/308?to=/%5Cevil.example", 308, "/%5Cevil.example" },
        { "/go/302?to=/a%2520b", 302, "/a%20b" },
        { "/go/302?to=/100%25", 302, "/100%25" },
        { "/go/302?to=%22%3C%3E", 302, "%22%3C%3E" },
        { "/go/302?to=/a%0D%0ASet-Cookie:%20b=c", 500, NULL },
        { "/go/302?to=/a%0Ab", 500, NULL },
        { "/go/302?to=", 500, NULL },
    };
    serve_files();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        answer a;
        ask("GET", rows[i].path, "", &a);
        check_status(rows[i].path, &a, rows[i].status);
        check_field(&a, "Location", rows[i].location);
        check_field(&a, "Set-Cookie", NULL);
        answer_free(&a);
    }
}

static void test_file_answer_replaced_leaves_no_trace(void **state)
{
    (void)state;
    answer a;
    serve_files();
    ask("GET", "/other/ten.txt", "If-None-Match: \"x\"\r\n", &a);
    check_status("other", &a, 200);
    check_body(&a, "other");
    check_field(&a, "ETag", NULL);
    check_field(&a, "Last-Modified", NULL);
    answer_free(&a);
}

/* The handler's time is 300 ms; the client takes the file later. */
static void test_file_large_arrives_whole_by_and_by(void **state)
{
    (void)state;
    const off_t bytes = (off_t)24 << 20; /* more than sockets hold */
    peer p;
    answer a;
    make_large("site/large.bin", bytes);
    serve_files();
    peer_connect(&p, server.port);
    for (int i = 0; i < 2; i++) /* the connection lives */
        peer_sendf(&p, "GET /one/large.bin HTTP/1.%d\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
                   i);
    test_pause_ms(600);
    check_get("/health", 200);
    for (int i = 0; i < 2; i++) {
        peer_read(&p, false, &a);
        check_status("large", &a, 200);
        check_field(&a, "Transfer-Encoding", NULL);
        assert_int_equal(a.body.len, bytes);
        assert_true(str_starts_with(a.body, STR("begin")));
        assert_true(str_ends_with(a.body, STR("end")));
        answer_free(&a);
    }
    peer_close(&p);
}

/* A byte of the files that make_pattern makes; no window's size is a multiple of its period. */
static char pattern_byte(size_t at)
{
    return (char)(at % 251 ^ at / 251 % 241);
}

static void make_pattern(const char *path, size_t bytes)
{
    char *text = malloc(bytes + 1);
    assert_non_null(text);
    for (size_t i = 0; i < bytes; i++)
        text[i] = pattern_byte(i);
    const int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, bytes), (ssize_t)bytes);
    close(fd);
    free(text);
}

static void check_pattern_at(str bytes, size_t from, size_t len, int line)
{
    bool same = bytes.len == len;
    for (size_t i = 0; i < len && same; i++)
        same = bytes.ptr[i] == pattern_byte(from + i);
    if (!same) {
        print_error("%zu bytes instead of %zu from %zu on, or others\n", bytes.len, len, from);
        _fail(__FILE__, line);
    }
}
#define check_pattern(bytes_, from_, len_) check_pattern_at((bytes_), (from_), (len_), __LINE__)

/* Read with their head, sent in one window, in several: all of them whole, one behind the other. */
static void test_file_of_every_size_arrives_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1,      4096,   16383,  16384,  16385,  65536,
                                    262143, 262144, 262145, 524289, 3000017 };
    char path[64];
    peer p;
    answer a;
    serve_files();
    peer_connect(&p, server.port);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        (void)snprintf(path, sizeof path, "site/%zu.bin", sizes[i]);
        make_pattern(path, sizes[i]);
        for (int j = 0; j < 2; j++)
            peer_sendf(&p, "GET /one/%zu.bin HTTP/1.1\r\nHost: x\r\n\r\n", sizes[i]);
        peer_sendf(&p, "HEAD /one/%zu.bin HTTP/1.1\r\nHost: x\r\n\r\n", sizes[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (int j = 0; j < 3; j++) {
            peer_read(&p, j == 2, &a);
            check_status("pattern", &a, 200);
            check_pattern(a.body, 0, j == 2 ? 0 : sizes[i]);
            answer_free(&a);
        }
    }
    peer_close(&p);
}

static void test_file_of_many_windows_is_cut_to_ranges(void **state)
{
    (void)state;
    answer a;
    make_pattern("site/pattern.bin", 2000000);
    serve_files();
    ask("GET", "/one/pattern.bin", "Range: bytes=77-1700076\r\n", &a);
    check_status("range", &a, 206);
    check_pattern(a.body, 77, 1700000);
    answer_free(&a);
    ask("GET", "/one/pattern.bin", "Range: bytes=5-9,1000-901000,1900000-1916383,-20000\r\n", &a);
    check_status("parts", &a, 206);
    static const struct {
        size_t from, len;
    } parts[] = { { 5, 5 }, { 1000, 900001 }, { 1900000, 16384 }, { 1980000, 20000 } };
    str rest = a.body;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const char *end = memmem(rest.ptr, rest.len, "\r\n\r\n", 4);
        assert_non_null(end);
        rest = str_slice(rest, (size_t)(end - rest.ptr) + 4, rest.len);
        check_pattern(str_slice(rest, 0, parts[i].len), parts[i].from, parts[i].len);
        rest = str_slice(rest, parts[i].len, rest.len);
    }
    assert_true(str_ends_with(rest, STR("--\r\n")) && rest.len < 100);
    answer_free(&a);
}

/* From the disk, where the kernel has forgotten it: names and bytes. */
static void test_file_the_kernel_has_forgotten_arrives_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1000, 16385, 3000000 };
    answer a;
    serve_files();
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        make_pattern("site/cold.bin", sizes[i]);
        const int fd = open("site/cold.bin", O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(fsync(fd), 0);
        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        close(fd);
        ask("GET", "/one/cold.bin", "", &a);
        check_status("cold", &a, 200);
        check_pattern(a.body, 0, sizes[i]);
        answer_free(&a);
    }
}

static void test_file_larger_than_memory_is_announced_and_cut_to_ranges(void **state)
{
    (void)state;
    answer a;
    make_large("site/huge.bin", (off_t)10 << 30);
    serve_files();
    ask("HEAD", "/one/huge.bin", "", &a);
    check_status("head", &a, 200);
    check_field(&a, "Content-Length", "10737418240");
    answer_free(&a);
    ask("GET", "/one/huge.bin", "Range: bytes=-3\r\n", &a);
    check_status("end", &a, 206);
    check_field(&a, "Content-Range", "bytes 10737418237-10737418239/10737418240");
    check_body(&a, "end");
    answer_free(&a);
    ask("GET", "/one/huge.bin", "Range: bytes=0-199999,10737318240-\r\n", &a);
    check_status("two large parts", &a, 206);
    assert_true(a.body.len > 300000 && a.body.len < 301000);
    assert_non_null(memmem(a.body.ptr, a.body.len, "end\r\n--brio-", 11));
    answer_free(&a);
}

static void test_file_cut_shorter_breaks_the_connection_off(void **state)
{
    (void)state;
    char piece[4096];
    size_t got = 0;
    peer p;
    make_large("site/shrinks.bin", (off_t)100 << 20);
    serve_files();
    peer_connect(&p, server.port);
    peer_sendf(&p, "GET /one/shrinks.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(recv(p.fd, piece, sizeof piece, 0) > 0);
    assert_int_equal(truncate("site/shrinks.bin", 1000), 0);
    for (ssize_t n = 1; n > 0; got += n > 0 ? (size_t)n : 0)
        n = recv(p.fd, piece, sizeof piece, 0);
    assert_true(got < (size_t)100 << 20);
    peer_close(&p);
    check_get("/health", 200);
    for (int i = 0; i < 500 && !server_logged(&server, "broken off"); i++)
        test_pause_ms(10); /* the log is written by and by */
    assert_true(server_logged(&server, "broken off"));
}

/* One that is replaced, as it should be, is sent to its end. */
static void test_file_replaced_meanwhile_arrives_as_it_was(void **state)
{
    (void)state;
    const size_t bytes = (size_t)24 << 20; /* more than sockets hold */
    peer p;
    answer a;
    make_pattern("site/old.bin", bytes);
    make_file("site/new.bin", "new");
    serve_files();
    peer_connect(&p, server.port);
    peer_sendf(&p, "GET /one/old.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    char first;
    assert_int_equal(recv(p.fd, &first, 1, MSG_PEEK), 1);
    assert_int_equal(rename("site/new.bin", "site/old.bin"), 0);
    peer_sendf(&p, "GET /one/old.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_read(&p, false, &a);
    check_status("old", &a, 200);
    check_pattern(a.body, 0, bytes);
    answer_free(&a);
    peer_read(&p, false, &a);
    check_body(&a, "new");
    answer_free(&a);
    peer_close(&p);
}

static pid_t worker_of_server(void)
{
    char path[64];
    int worker = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)server.pid,
                   (int)server.pid);
    FILE *children = fopen(path, "r");
    assert_non_null(children);
    assert_int_equal(fscanf(children, "%d", &worker), 1);
    (void)fclose(children);
    return worker;
}

static void test_file_without_a_descriptor_is_unavailable(void **state)
{
    (void)state;
    struct rlimit before;
    peer p;
    answer a;
    make_pattern("site/large.bin", 1000000);
    serve_files();
    const pid_t worker = worker_of_server();
    assert_int_equal(prlimit(worker, RLIMIT_NOFILE, NULL, &before), 0);
    const struct rlimit none = { .rlim_cur = 3, .rlim_max = before.rlim_max };
    peer_connect(&p, server.port);
    for (int i = 0; i < 3; i++) {
        static const char *const paths[] = { "ten.txt", "large.bin" };
        for (size_t j = 0; j < ARRAY_LEN(paths); j++) {
            if (i == 1)
                assert_int_equal(prlimit(worker, RLIMIT_NOFILE, &none, NULL), 0);
            peer_sendf(&p, "GET /one/%s HTTP/1.1\r\nHost: x\r\n\r\n", paths[j]);
            peer_read(&p, false, &a);
            assert_int_equal(prlimit(worker, RLIMIT_NOFILE, &before, NULL), 0);
            check_status(paths[j], &a, i == 1 ? 503 : 200);
            answer_free(&a);
        }
    }
    peer_close(&p);
}

/* The most memory that a worker has had, in KiB. */
static long worker_peak_kib(void)
{
    char path[64], line[256];
    long kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)worker_of_server());
    FILE *status = fopen(path, "r");
    assert_non_null(status);
    while (fgets(line, sizeof line, status))
        (void)sscanf(line, "VmHWM: %ld", &kib);
    (void)fclose(status);
    return kib;
}

static void test_file_of_any_size_takes_the_same_memory(void **state)
{
    (void)state;
    static char piece[1 << 18];
    const size_t bytes = (size_t)512 << 20;
    size_t got = 0;
    peer p;
    make_large("site/large.bin", (off_t)bytes);
    serve_files();
    check_get("/one/ten.txt", 200);
    const long before = worker_peak_kib();
    peer_connect(&p, server.port);
    peer_sendf(&p, "GET /one/large.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    for (ssize_t n = 1; n > 0; got += n > 0 ? (size_t)n : 0)
        n = recv(p.fd, piece, sizeof piece, 0);
    assert_true(got > bytes && got < bytes + 4096);
    peer_close(&p);
    assert_true(before > 0 && worker_peak_kib() - before < 32768);
}

/* Over a Unix socket, which holds little: so the server sees each step. */
static int connect_unix(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    assert_int_equal(connect(fd, (const struct sockaddr *)(const void *)&at, sizeof at), 0);
    return fd;
}

/* 400 KiB a second, where 128 are asked for: no window of a file is taken within the time. */
static void test_file_client_that_takes_its_share_gets_all_of_it(void **state)
{
    (void)state;
    static char piece[40960];
    const size_t bytes = (size_t)16 << 20;
    size_t got = 0;
    char listen[128];
    make_large("site/large.bin", (off_t)bytes);
    (void)snprintf(listen, sizeof listen, "LISTEN=127.0.0.1:0 unix:%s/socket", folder);
    server_start(&server, getenv("FILER"),
                 ENVIRONMENT("WORKERS=1", listen, "HTTP_WRITE_TIMEOUT=2s"));
    const int fd = connect_unix("socket");
    const char request[] = "GET /one/large.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_int_equal(send(fd, request, sizeof request - 1, 0), sizeof request - 1);
    for (ssize_t n = 1; n > 0; got += n > 0 ? (size_t)n : 0) {
        n = recv(fd, piece, sizeof piece, MSG_WAITALL);
        if (got < (size_t)1800 << 10)
            test_pause_ms(100);
    }
    close(fd);
    assert_true(got > bytes && got < bytes + 4096);
}

/* More clients that wait than there are offload threads. */
static void test_file_clients_that_wait_hold_nobody_up(void **state)
{
    (void)state;
    peer peers[16];
    answer a;
    make_large("site/large.bin", (off_t)64 << 20);
    serve_files();
    for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
        peer_connect(&peers[i], server.port);
        peer_sendf(&peers[i], "GET /one/large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    test_pause_ms(100);
    ask("GET", "/one/ten.txt", "", &a);
    check_status("file beside them", &a, 200);
    check_body(&a, "0123456789");
    answer_free(&a);
    for (size_t i = 0; i < ARRAY_LEN(peers); i++)
        peer_reset(&peers[i]);
    for (int i = 0; i < 3000 && http_metric(server.port, "http_connections") > 1; i++)
        test_pause_ms(10);
    assert_true(http_metric(server.port, "http_connections") <= 1);
}

static void test_sized_answer_has_the_bytes_it_announced(void **state)
{
    (void)state;
    peer p;
    answer a;
    serve_files();
    peer_connect(&p, server.port);
    peer_sendf(&p, "GET /sized/10 HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_sendf(&p, "HEAD /sized/10 HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_sendf(&p, "GET /sized/10 HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        peer_read(&p, i == 1, &a);
        check_status("sized", &a, 200);
        check_field(&a, "Content-Length", "10");
        check_body(&a, i == 1 ? "" : "xxxxxxxxxx");
        answer_free(&a);
    }
    peer_close(&p);
    for (int bytes = 9; bytes <= 11; bytes += 2) {
        char seen[4096];
        size_t len = 0;
        peer_connect(&p, server.port);
        peer_sendf(&p, "GET /sized/%d HTTP/1.1\r\nHost: x\r\n\r\n", bytes);
        for (ssize_t n = 1; n > 0 && len<sizeof seen; len += n> 0 ? (size_t)n : 0)
            n = recv(p.fd, seen + len, sizeof seen - len, 0);
        assert_null(memmem(seen, len, "xxxxxxxxxxx", 11));
        peer_close(&p);
    }
}

#define FILE_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(test_file_answer_describes_the_file),
        FILE_TEST(test_file_tag_is_weak_while_it_may_change_unseen),
        FILE_TEST(test_file_conditions_are_heeded),
        FILE_TEST(test_file_range_is_answered_alone),
        FILE_TEST(test_file_ranges_come_as_parts),
        FILE_TEST(test_file_if_range_guards_the_range),
        FILE_TEST(test_file_neighbour_is_chosen_by_the_client),
        FILE_TEST(test_directory_has_an_index_and_a_slash),
        FILE_TEST(test_directory_that_is_missing_keeps_from_starting),
        FILE_TEST(test_redirect_location_is_a_url),
        FILE_TEST(test_file_answer_replaced_leaves_no_trace),
        FILE_TEST(test_file_large_arrives_whole_by_and_by),
        FILE_TEST(test_file_of_every_size_arrives_whole),
        FILE_TEST(test_file_of_many_windows_is_cut_to_ranges),
        FILE_TEST(test_file_the_kernel_has_forgotten_arrives_whole),
        FILE_TEST(test_file_larger_than_memory_is_announced_and_cut_to_ranges),
        FILE_TEST(test_file_replaced_meanwhile_arrives_as_it_was),
        FILE_TEST(test_file_without_a_descriptor_is_unavailable),
        FILE_TEST(test_file_of_any_size_takes_the_same_memory),
        FILE_TEST(test_file_cut_shorter_breaks_the_connection_off),
        FILE_TEST(test_file_client_that_takes_its_share_gets_all_of_it),
        FILE_TEST(test_file_clients_that_wait_hold_nobody_up),
        FILE_TEST(test_sized_answer_has_the_bytes_it_announced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
