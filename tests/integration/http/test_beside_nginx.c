/* Brio beside Debian's nginx: both serve the same directory and are asked the same, several hundred
 * requests, and what they answer must mean the same. Where it does not, the difference stands in
 * DIFFERENCES with its reason, and both sides are held to what is written there; one that has gone
 * fails the test too. Bodies that nginx hands on to Brio as a proxy must arrive as those that come
 * straight. Of malformed requests Brio refuses each, nginx or not.
 *
 * After each answer one more request goes over the same connection: so the framing is compared too,
 * and whether the connection lives. */
#include "tests/support/http_test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NGINX    "/usr/sbin/nginx"
#define OLD_S    784111777
#define OLD_DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define EARLIER  "Sat, 05 Nov 1994 08:49:37 GMT"
#define LATER    "Mon, 07 Nov 1994 08:49:37 GMT"

typedef enum side {
    BRIO,
    BESIDE, /* nginx */
    SIDES,
} side;

static char folder[64];
static server_process nginx, echoer; /* and `server`, which serves the files */
static uint16_t ports[SIDES];
static char ten_etag[SIDES][64]; /* each server's tag of ten.txt */
static int compared, differing, failures;

/* --- the differences ---------------------------------------------------------------------------
 */

typedef enum difference {
    SAME,
    NO_CONNECT,
    NOBODY_HAS_TWO_HOSTS,
    TRACE_IS_ONE_REQUEST,
    UNREAD_CHUNKS_END_IT,
    POST_TO_A_DIRECTORY,
    POST_TO_NOTHING,
    RANGE_OF_NOTHING,
    METHODS_ARE_TOKENS,
    OPTIONS_IS_ANSWERED,
    HEAD_HAS_NO_RANGES,
    RANGES_THAT_CANNOT_BE_READ,
    RANGES_THAT_OVERLAP,
    EXPECTATION_UNKNOWN,
    SLASHES_ARE_DATA,
    DOTFILES_ARE_HIDDEN,
    LINKS_ARE_HIDDEN,
    NOTHING_IS_LISTED,
    MATCH_BEFORE_DATE,
    TAG_BEFORE_DATE,
    VOID_DATE,
    DIFFERENCES_COUNT,
} difference;

static const struct {
    int brio, nginx; /* statuses; 0: as the RFC's rules say, see condition_status */
    const char *why;
} DIFFERENCES[DIFFERENCES_COUNT] = {
    [NO_CONNECT] = { 501, 400, "9.3.6: CONNECT is for proxies; 501 says that nobody here does it" },
    [NOBODY_HAS_TWO_HOSTS] = { 400, 200,
                               "RFC 9112, 3.2: Host is the target's; decisions/0030 says why" },
    [TRACE_IS_ONE_REQUEST] = { 405, 405, "9.3.8: a refused method need not end the connection" },
    [UNREAD_CHUNKS_END_IT] = { 200, 200, "RFC 9112, 9.3: an unread body is drained, or ends it" },
    [POST_TO_A_DIRECTORY] = { 405, 301, "15.5.6: what serves files takes no POST, wherever" },
    [POST_TO_NOTHING] = { 405, 404, "the same" },
    [METHODS_ARE_TOKENS] = { 405, 400, "9.1: a method is any token, and case-sensitive" },
    [OPTIONS_IS_ANSWERED] = { 204, 405, "9.3.7: OPTIONS asks what there is, and is told" },
    [HEAD_HAS_NO_RANGES] = { 200, 206, "14.2: Range is defined for GET only, else to be ignored" },
    [RANGE_OF_NOTHING] = { 416, 200, "14.1.2: no position of an empty file can be satisfied" },
    [RANGES_THAT_CANNOT_BE_READ] = { 200, 416, "14.2: an invalid ranges-specifier may be ignored" },
    [RANGES_THAT_OVERLAP] = { 200, 206, "14.2, 17.15: overlapping ranges may be ignored" },
    [EXPECTATION_UNKNOWN] = { 417, 200, "10.1.1: an unknown expectation may be refused" },
    [SLASHES_ARE_DATA] = { 404, 200, "RFC 3986, 3.3: an empty or encoded segment is its own" },
    [DOTFILES_ARE_HIDDEN] = { 404, 200, "15.5.5: existence need not be disclosed" },
    [LINKS_ARE_HIDDEN] = { 404, 200, "15.5.5: what a link leads to was not published" },
    [NOTHING_IS_LISTED] = { 404, 403, "15.5.4: 404 hides that there is a directory" },
    [MATCH_BEFORE_DATE] = { 0, 412, "13.1.4: If-Unmodified-Since is void beside If-Match" },
    [TAG_BEFORE_DATE] = { 0, 200, "13.1.3: If-Modified-Since is void beside If-None-Match" },
    [VOID_DATE] = { 0, 412, "13.1.4: If-Unmodified-Since without a valid date is void" },
};

/* Fields that one of them leaves out, and what they need not agree on. */
static const struct {
    const char *field;
    int status;
    const char *why;
} FREE_FIELDS[] = {
    { "Accept-Ranges", 206, "14.3: may be sent; that it is a 206 says it already" },
    { "Last-Modified", 304, "15.4.5: beside an ETag it should not be sent, and helps nobody" },
    { "Connection", 412, "RFC 9112, 9.3: an error with a length need not end the connection" },
    { "Content-Length", 301, "of a text of its own" },
    { "Content-Type", 301, "of a text of its own" },
};

/* --- the two servers ---------------------------------------------------------------------------
 */

static void make_file(const char *path, const char *bytes, size_t len)
{
    const int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    const struct timespec times[2] = { { .tv_sec = OLD_S }, { .tv_sec = OLD_S } };
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static void make_site(void)
{
    static const char *const names[] = {
        "ten.txt",       "page.html",  "data.json",  "with space.txt", "per%cent.txt",
        "\xc3\xbc.txt",  "plus+.txt",  "semi;c.txt", "tilde~.txt",     "UPPER.TXT",
        "unknown.xyzzy", "none",       "image.png",  "style.css",      "docs/index.html",
        "docs/a.txt",    "bare/b.txt", ".hidden",    "a..b.txt",       "docs/deep/index.html",
    };
    static char large[3000000];
    assert_int_equal(mkdir("site", 0700), 0);
    assert_int_equal(mkdir("site/docs", 0700), 0);
    assert_int_equal(mkdir("site/docs/deep", 0700), 0);
    assert_int_equal(mkdir("site/bare", 0700), 0);
    assert_int_equal(mkdir("temporary", 0700), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "site/%s", names[i]);
        make_file(path, "0123456789", 10);
    }
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)(i * 2654435761U >> 24);
    make_file("site/large.bin", large, sizeof large);
    make_file("site/empty.txt", "", 0);
    assert_int_equal(symlink("ten.txt", "site/link.txt"), 0);
    assert_int_equal(symlink("site", "static"), 0); /* nginx takes the prefix for a name */
}

/* A port that was free a moment ago. */
static uint16_t free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr *const address = (struct sockaddr *)(void *)&at;
    socklen_t len = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, address, len) == 0 && getsockname(fd, address, &len) == 0);
    close(fd);
    return ntohs(at.sin_port);
}

static void launch_nginx(uint16_t port)
{
    static char config[2048];
    const int len = snprintf(
        config, sizeof config,
        "daemon off; master_process off; pid nginx.pid; error_log stderr error;\n"
        "events { worker_connections 256; }\n"
        "http { include /etc/nginx/mime.types; default_type application/octet-stream;\n"
        "  access_log off; absolute_redirect off; merge_slashes off; index index.html; server_tokens off;\n"
        "  if_modified_since before;\n"
        "  client_body_temp_path temporary/a; proxy_temp_path temporary/b;\n"
        "  fastcgi_temp_path temporary/c; uwsgi_temp_path temporary/d;\n"
        "  scgi_temp_path temporary/e; client_max_body_size 0;\n"
        "  server { listen 127.0.0.1:%u; root %s;\n"
        "    location /echo { proxy_pass http://127.0.0.1:%u; proxy_http_version 1.1; } } }\n",
        port, folder, echoer.port);
    assert_true(len > 0 && (size_t)len < sizeof config);
    make_file("nginx.conf", config, (size_t)len);
    program_launch(&nginx, ENVIRONMENT(NGINX, "-p", folder, "-c", "nginx.conf", "-e", "stderr"),
                   NULL);
}

/* Where somebody was faster to the port, nginx ends, and is told another. */
static void start_nginx(void)
{
    for (int tries = 0; tries < 10; tries++) {
        ports[BESIDE] = free_port();
        launch_nginx(ports[BESIDE]);
        while (waitpid(nginx.pid, NULL, WNOHANG) == 0) {
            answer a;
            http_get(ports[BESIDE], "/static/ten.txt", &a);
            const bool serves =
                a.status == 200 && str_eq(answer_header(&a, "Server"), STR("nginx"));
            answer_free(&a);
            if (serves)
                return;
            test_pause_ms(5);
        }
        server_print_log(&nginx);
        server_kill(&nginx);
    }
    fail_msg("nginx does not start");
}

static int setup(void **state)
{
    (void)state;
    if (access(NGINX, X_OK) != 0) {
        (void)fprintf(stderr, "there is no " NGINX "\n");
        exit(77);
    }
    (void)snprintf(folder, sizeof folder, "/tmp/brio-beside-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    make_site();
    server_start(&server, getenv("FILER"), ENVIRONMENT("WORKERS=1"));
    server_start(&echoer, getenv("FAULTY"), ENVIRONMENT("WORKERS=1"));
    ports[BRIO] = server.port;
    start_nginx();
    for (side s = BRIO; s < SIDES; s++) {
        answer a;
        http_get(ports[s], "/static/ten.txt", &a);
        if (a.status != 200)
            server_print_log(s == BRIO ? &server : &nginx);
        assert_int_equal(a.status, 200);
        (void)snprintf(ten_etag[s], sizeof ten_etag[s], "%.*s", STR_ARG(answer_header(&a, "ETag")));
        assert_int_equal(ten_etag[s][0], '"');
        answer_free(&a);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    server_kill(&nginx);
    server_kill(&echoer);
    server_kill(&server);
    char command[128];
    assert_int_equal(chdir("/"), 0);
    (void)snprintf(command, sizeof command, "exec rm -rf %s", folder);
    return system(command); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a folder of our own */
}

/* --- one request to both -----------------------------------------------------------------------
 */

typedef struct exchange {
    answer a;
    bool lives; /* the connection answered another request */
} exchange;

/* `text` with each {etag} replaced by that server's tag of ten.txt. */
static void expand(const char *text, side s, char *out, size_t bytes)
{
    size_t at = 0;
    while (*text) {
        const bool tag = strncmp(text, "{etag}", 6) == 0;
        const int len =
            snprintf(out + at, bytes - at, "%.*s", tag ? 64 : 1, tag ? ten_etag[s] : text);
        assert_true(len > 0 && at + (size_t)len < bytes);
        at += (size_t)len;
        text += tag ? 6 : 1;
    }
    out[at] = '\0';
}

static void exchange_with(side s, uint16_t port, const char *text, exchange *out)
{
    static const char PROBE[] = "GET /static/ten.txt HTTP/1.1\r\nHost: x\r\n\r\n";
    char request[4096];
    peer p;
    answer second;
    expand(text, s, request, sizeof request);
    *out = (exchange){ 0 };
    peer_connect(&p, port);
    peer_send(&p, str_from_c(request));
    do {
        answer_free(&out->a);
        peer_read(&p, strncmp(request, "HEAD ", 5) == 0, &out->a);
    } while (out->a.status == 100);
    if (out->a.status != 0 && !p.ended) {
        peer_send(&p, str_from_c(PROBE));
        peer_read(&p, false, &second);
        out->lives = second.status != 0;
        if (out->lives && port != echoer.port) {
            assert_int_equal(second.status, 200);
            assert_true(str_eq(second.body, STR("0123456789")));
        }
        answer_free(&second);
    }
    peer_close(&p);
}

/* The value without what each server is free to choose. */
static str meaning_of(const answer *a, const char *name)
{
    str value = answer_header(a, name);
    if (strcmp(name, "Content-Type") == 0) {
        str media = value; /* whether text is said to be UTF-8 is the site's to know */
        return str_cut(&media, ';');
    }
    if (strcmp(name, "ETag") == 0) /* opaque: strong or weak is all there is to compare */
        return str_slice(value, 0, value.len > 0);
    if (strcmp(name, "Location") == 0) { /* RFC 3986, 5.2: "./a/" and "/static/a/" are the same */
        const char *slash = value.len > 1 ? memrchr(value.ptr, '/', value.len - 1) : NULL;
        return slash ? str_slice(value, (size_t)(slash - value.ptr), value.len) : value;
    }
    return value;
}

/* "Content-Range, type, bytes" of each part of a multipart/byteranges, a line each. */
static str parts_of(const answer *a, char *out, size_t bytes)
{
    str type = answer_header(a, "Content-Type");
    char boundary[128];
    str_cut(&type, '=');
    (void)snprintf(boundary, sizeof boundary, "\r\n--%.*s", STR_ARG(type));
    const size_t boundary_len = strlen(boundary);
    const char *at = a->body.ptr, *end = at + a->body.len;
    size_t len = 0;
    if (a->body.len > 2 && at[0] == '-') /* the first line break is optional */
        at += boundary_len - 2;
    else
        at = memmem(at, a->body.len, boundary, boundary_len) ? at + boundary_len : end;
    while (at + 2 < end && memcmp(at, "--", 2) != 0) {
        const char *blank = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
        assert_non_null(blank);
        const char *next = memmem(blank + 4, (size_t)(end - blank - 4), boundary, boundary_len);
        assert_non_null(next);
        answer part = { .head = { at, (size_t)(blank + 2 - at) } };
        len += (size_t)snprintf(out + len, bytes - len, "%.*s, %.*s, %.*s\n",
                                STR_ARG(answer_header(&part, "Content-Range")),
                                STR_ARG(meaning_of(&part, "Content-Type")), (int)(next - blank - 4),
                                blank + 4);
        assert_true(len < bytes);
        at = next + boundary_len;
    }
    return (str){ out, len };
}

static bool is_multipart(const answer *a)
{
    return str_starts_with(answer_header(a, "Content-Type"), STR("multipart/byteranges"));
}

static bool bodies_agree(const exchange *x)
{
    static char parts[SIDES][65536];
    if (x[BRIO].a.status / 100 != 2)
        return true; /* an error's text is the server's own */
    if (is_multipart(&x[BRIO].a) && is_multipart(&x[BESIDE].a)) {
        const str ours = parts_of(&x[BRIO].a, parts[BRIO], sizeof parts[BRIO]);
        return ours.len > 0 &&
               str_eq(ours, parts_of(&x[BESIDE].a, parts[BESIDE], sizeof parts[BESIDE]));
    }
    return str_eq(x[BRIO].a.body, x[BESIDE].a.body);
}

static bool is_free(const char *field, const answer *a)
{
    for (size_t i = 0; i < ARRAY_LEN(FREE_FIELDS); i++) {
        if (FREE_FIELDS[i].status == a->status && strcmp(FREE_FIELDS[i].field, field) == 0)
            return true;
    }
    /* The boundary is the server's own; the parts have been compared. */
    return is_multipart(a) && strncmp(field, "Content-", 8) == 0;
}

/* Returns the first thing in which they differ, or NULL. */
static const char *disagreement(const exchange *x)
{
    static const char *const fields[] = { "Content-Type",  "Content-Length",  "Content-Range",
                                          "Accept-Ranges", "Last-Modified",   "ETag",
                                          "Location",      "Content-Encoding" };
    const answer *ours = &x[BRIO].a, *theirs = &x[BESIDE].a;
    if (ours->status != theirs->status)
        return "status";
    if (x[BRIO].lives != x[BESIDE].lives && !is_free("Connection", ours))
        return "whether the connection lives";
    if (!bodies_agree(x))
        return "body";
    if (ours->status >= 400)
        return str_eq(answer_header(ours, "Content-Range"), answer_header(theirs, "Content-Range"))
                   ? NULL
                   : "Content-Range";
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!is_free(fields[i], ours) &&
            !str_eq(meaning_of(ours, fields[i]), meaning_of(theirs, fields[i])))
            return fields[i];
    }
    return NULL;
}

static void complain(const char *name, const char *text, const char *what, const exchange *x)
{
    failures++;
    print_error("%s: %s\n--- asked:\n%s\n--- Brio (%s):\n%.*s\n--- nginx (%s):\n%.*s\n", name, what,
                text, x[BRIO].lives ? "lives" : "ends", STR_ARG(x[BRIO].a.head),
                x[BESIDE].lives ? "lives" : "ends", STR_ARG(x[BESIDE].a.head));
}

/* `rfc_status`: what Brio answers when the difference leaves it open. */
static void compare(const char *name, const char *text, difference d, int rfc_status)
{
    exchange x[SIDES];
    for (side s = BRIO; s < SIDES; s++)
        exchange_with(s, ports[s], text, &x[s]);
    const char *what = disagreement(x);
    compared++;
    if (d == SAME) {
        if (what)
            complain(name, text, what, x);
        else if (rfc_status && x[BRIO].a.status != rfc_status)
            complain(name, text, "both are wrong", x);
    } else {
        const int brio = DIFFERENCES[d].brio ? DIFFERENCES[d].brio : rfc_status;
        differing++;
        if (x[BRIO].a.status != brio || x[BESIDE].a.status != DIFFERENCES[d].nginx)
            complain(name, text, DIFFERENCES[d].why, x);
    }
    for (side s = BRIO; s < SIDES; s++)
        answer_free(&x[s].a);
}

static void report(const char *what)
{
    const int failed = failures;
    print_message("%s: %d compared, %d differ for a reason, %d failed\n", what, compared, differing,
                  failures);
    compared = differing = failures = 0;
    assert_int_equal(failed, 0);
}

/* --- paths, methods, connections ---------------------------------------------------------------
 */

static const struct {
    const char *target;
    difference d;
} TARGETS[] = {
    { "/static/ten.txt", SAME },
    { "/static/page.html", SAME },
    { "/static/data.json", SAME },
    { "/static/image.png", SAME },
    { "/static/style.css", SAME },
    { "/static/unknown.xyzzy", SAME },
    { "/static/none", SAME },
    { "/static/empty.txt", SAME },
    { "/static/large.bin", SAME },
    { "/static/UPPER.TXT", SAME },
    { "/static/upper.txt", SAME },
    { "/static/with%20space.txt", SAME },
    { "/static/per%25cent.txt", SAME },
    { "/static/%C3%BC.txt", SAME },
    { "/static/%c3%bc.txt", SAME },
    { "/static/plus+.txt", SAME },
    { "/static/plus%2B.txt", SAME },
    { "/static/semi;c.txt", SAME },
    { "/static/tilde~.txt", SAME },
    { "/static/tilde%7e.txt", SAME },
    { "/static/%74en.txt", SAME },
    { "/%73tatic/ten.txt", SAME },
    { "/static/ten.txt?", SAME },
    { "/static/ten.txt?a=1&b=%20", SAME },
    { "/static/ten.txt?../docs", SAME },
    { "/static/./ten.txt", SAME },
    { "/static/docs/../ten.txt", SAME },
    { "/static/docs/deep/../../ten.txt", SAME },
    { "/static/%2e/ten.txt", SAME },
    { "/static/docs/%2E%2e/ten.txt", SAME },
    { "/static/nothing/../ten.txt", SAME },
    { "/./static/ten.txt", SAME },
    { "/static/a..b.txt", SAME },
    { "/static/docs/", SAME },
    { "/static/docs", SAME },
    { "/static/docs?a=1", SAME },
    { "/static/docs/?a=1", SAME },
    { "/static/docs/.", SAME },
    { "/static/docs/deep/..", SAME },
    { "/static/docs/deep", SAME },
    { "/static/docs/index.html", SAME },
    { "/static/docs/nothing", SAME },
    { "/static/nothing.txt", SAME },
    { "/static/nothing/", SAME },
    { "/static/ten.txt/", SAME },
    { "/static/ten.txt/x", SAME },
    { "/static/bare", SAME },
    { "/static/bare/", NOTHING_IS_LISTED },
    { "/static/bare/b.txt", SAME },
    { "/static//ten.txt", SLASHES_ARE_DATA },
    { "/static/docs//a.txt", SLASHES_ARE_DATA },
    { "/static/docs%2Fa.txt", SAME },
    { "/static/.hidden", DOTFILES_ARE_HIDDEN },
    { "/static/link.txt", LINKS_ARE_HIDDEN },
    { "http://x/static/ten.txt", SAME },
    { "http://x:80/static/docs", SAME },
    { "HTTP://x/static/ten.txt?a", SAME },
};

static void test_paths_and_methods_are_answered_alike(void **state)
{
    (void)state;
    static const char *const methods[] = { "GET", "HEAD", "PUT", "DELETE", "PATCH" };
    for (size_t i = 0; i < ARRAY_LEN(TARGETS); i++) {
        for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
            char text[256], name[128];
            const bool reads = m < 2;
            (void)snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", methods[m],
                           TARGETS[i].target, reads ? "" : "Content-Length: 0\r\n");
            (void)snprintf(name, sizeof name, "%s %s", methods[m], TARGETS[i].target);
            compare(name, text, reads ? TARGETS[i].d : SAME, 0);
        }
    }
    report("paths and methods");
}

#define GET_TEN(lines_)  "GET /static/ten.txt HTTP/1.1\r\nHost: x\r\n" lines_ "\r\n"
#define HEAD_TEN(lines_) "HEAD /static/ten.txt HTTP/1.1\r\nHost: x\r\n" lines_ "\r\n"

static void test_connections_and_odd_requests_are_treated_alike(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        difference d;
    } rows[] = {
        { "1.1", GET_TEN(""), SAME },
        { "1.1 close", GET_TEN("Connection: close\r\n"), SAME },
        { "1.1 Close", GET_TEN("Connection: Close\r\n"), SAME },
        { "1.1 keep-alive", GET_TEN("Connection: keep-alive\r\n"), SAME },
        { "1.0", "GET /static/ten.txt HTTP/1.0\r\n\r\n", SAME },
        { "1.0 with a host", "GET /static/ten.txt HTTP/1.0\r\nHost: x\r\n\r\n", SAME },
        { "1.0 keep-alive", "GET /static/ten.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
          SAME },
        { "1.0 close", "GET /static/ten.txt HTTP/1.0\r\nConnection: close\r\n\r\n", SAME },
        { "1.0 head", "HEAD /static/ten.txt HTTP/1.0\r\n\r\n", SAME },
        { "1.0 head keep-alive", "HEAD /static/ten.txt HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
          SAME },
        { "1.0 range", "GET /static/ten.txt HTTP/1.0\r\nRange: bytes=0-3\r\n\r\n", SAME },
        { "1.0 not found", "GET /static/nothing HTTP/1.0\r\n\r\n", SAME },
        { "1.0 directory", "GET /static/docs HTTP/1.0\r\nHost: x\r\n\r\n", SAME },
        { "not found close", "GET /static/n HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
          SAME },
        { "304 close", GET_TEN("If-None-Match: *\r\nConnection: close\r\n"), SAME },
        { "304 1.0", "GET /static/ten.txt HTTP/1.0\r\nIf-None-Match: *\r\n\r\n", SAME },
        { "blank line before", "\r\n" GET_TEN(""), SAME },
        { "fields in another case",
          "GET /static/ten.txt HTTP/1.1\r\nhOST: x\r\ncOnNeCtIoN: cLoSe\r\n\r\n", SAME },
        { "field values with spaces", GET_TEN("Connection: \t close \t\r\n"), SAME },
        { "empty field", GET_TEN("X-Empty:\r\n"), SAME },
        { "bytes past ASCII in a field", GET_TEN("X-Name: \xc3\xbc\r\n"), SAME },
        { "host with a port", "GET /static/ten.txt HTTP/1.1\r\nHost: x:8080\r\n\r\n", SAME },
        { "host of IPv6", "GET /static/ten.txt HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", SAME },
        { "accept that excludes it", GET_TEN("Accept: image/png\r\n"), SAME },
        { "an encoding there is not", GET_TEN("Accept-Encoding: gzip, br\r\n"), SAME },
        { "upgrade to the unknown", GET_TEN("Connection: upgrade\r\nUpgrade: x/1\r\n"), SAME },
        { "get with a body", GET_TEN("Content-Length: 3\r\n") "abc", SAME },
        { "get with chunks", GET_TEN("Transfer-Encoding: chunked\r\n") "3\r\nabc\r\n0\r\n\r\n",
          UNREAD_CHUNKS_END_IT },
        { "expects what there is not", GET_TEN("Expect: miracles\r\n"), EXPECTATION_UNKNOWN },
        { "expects to go on, without a body", GET_TEN("Expect: 100-continue\r\n"), SAME },
        { "unknown method", "BREW /static/ten.txt HTTP/1.1\r\nHost: x\r\n\r\n", SAME },
        { "method in small letters", "get /static/ten.txt HTTP/1.1\r\nHost: x\r\n\r\n",
          METHODS_ARE_TOKENS },
        { "post", "POST /static/ten.txt HTTP/1.1\r\nHost: x\r\n\r\n", SAME },
        { "post with a body",
          "POST /static/ten.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", SAME },
        { "post to a directory", "POST /static/docs HTTP/1.1\r\nHost: x\r\n\r\n",
          POST_TO_A_DIRECTORY },
        { "post to nothing", "POST /static/nothing HTTP/1.1\r\nHost: x\r\n\r\n", POST_TO_NOTHING },
        { "trace", "TRACE /static/ten.txt HTTP/1.1\r\nHost: x\r\n\r\n", TRACE_IS_ONE_REQUEST },
        { "options", "OPTIONS /static/ten.txt HTTP/1.1\r\nHost: x\r\n\r\n", OPTIONS_IS_ANSWERED },
        { "connect", "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", NO_CONNECT },
        { "absolute form beside another host",
          "GET http://y/static/ten.txt HTTP/1.1\r\nHost: x\r\n\r\n", NOBODY_HAS_TWO_HOSTS },
        { "version 2.0", "GET /static/ten.txt HTTP/2.0\r\nHost: x\r\n\r\n", SAME },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        compare(rows[i].name, rows[i].text, rows[i].d, 0);
    report("connections");
}

/* --- ranges ------------------------------------------------------------------------------------
 */

static void test_ranges_are_answered_alike(void **state)
{
    (void)state;
    static const char *const files[] = { "ten.txt", "large.bin", "image.png" };
    static const struct {
        const char *range;
        difference get;
    } rows[] = {
        { "bytes=0-0", SAME },
        { "bytes=0-3", SAME },
        { "bytes=2-", SAME },
        { "bytes=9-", SAME },
        { "bytes=9-9", SAME },
        { "bytes=-1", SAME },
        { "bytes=-4", SAME },
        { "bytes=-99999999", SAME },
        { "bytes=0-99999999", SAME },
        { "bytes=5-99999999", SAME },
        { "bytes=99999999-", SAME },
        { "bytes=99999999-99999999", SAME },
        { "bytes=-0", SAME },
        { "bytes=0-1,4-5", SAME },
        { "bytes=0-0,-1", SAME },
        { "bytes=0-0, 2-2, 4-4", SAME },
        { "bytes=4-5,0-1", SAME },
        { "bytes=0-1 , 8-9", SAME },
        { "bytes=0-0,99999999-", SAME },
        { "bytes=99999999-,0-0", SAME },
        { "bytes=99999998-,99999999-", SAME },
        { "bytes=0-3,2-4", RANGES_THAT_OVERLAP },
        { "bytes=3-1", RANGES_THAT_CANNOT_BE_READ },
        { "bytes=abc", RANGES_THAT_CANNOT_BE_READ },
        { "bytes=", SAME },
        { "bytes=1-2-3", RANGES_THAT_CANNOT_BE_READ },
        { "lines=0-1", SAME },
        { "0-1", SAME },
    };
    for (size_t f = 0; f < ARRAY_LEN(files); f++) {
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            char text[256], name[128];
            (void)snprintf(text, sizeof text,
                           "GET /static/%s HTTP/1.1\r\nHost: x\r\nRange: %s\r\n\r\n", files[f],
                           rows[i].range);
            (void)snprintf(name, sizeof name, "%s of %s", rows[i].range, files[f]);
            compare(name, text, rows[i].get, 0);
        }
    }
    compare("head", HEAD_TEN("Range: bytes=0-3\r\n"), HEAD_HAS_NO_RANGES, 0);
    compare("of nothing", "GET /static/empty.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=0-\r\n\r\n",
            RANGE_OF_NOTHING, 0);
    compare("last of nothing",
            "GET /static/empty.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=-3\r\n\r\n", SAME, 0);
    compare("of a directory", "GET /static/docs HTTP/1.1\r\nHost: x\r\nRange: bytes=0-3\r\n\r\n",
            SAME, 0);
    compare("of an index", "GET /static/docs/ HTTP/1.1\r\nHost: x\r\nRange: bytes=0-3\r\n\r\n",
            SAME, 0);
    static const char *const ifs[] = { "{etag}", "\"other\"", "W/{etag}", OLD_DATE,
                                       EARLIER,  LATER,       "yesterday" };
    for (size_t i = 0; i < ARRAY_LEN(ifs); i++) {
        char text[256];
        (void)snprintf(text, sizeof text, GET_TEN("Range: bytes=1-2\r\nIf-Range: %s\r\n"), ifs[i]);
        compare(ifs[i], text, SAME, 0);
        (void)snprintf(text, sizeof text,
                       GET_TEN("If-Range: %s\r\nRange: bytes=99999-\r\nIf-Match: *\r\n"), ifs[i]);
        compare(ifs[i], text, SAME, 0);
    }
    report("ranges");
}

/* --- conditions --------------------------------------------------------------------------------
 */

typedef struct conditions {
    const char *match, *unmodified, *none_match, *modified; /* NULL: absent */
} conditions;

/* RFC 9110, 13.2.2, for a file of OLD_DATE whose tag is {etag}. */
static int condition_status(const conditions *c)
{
    if (c->match) {
        if (strcmp(c->match, "*") != 0 && strncmp(c->match, "{etag}", 6) != 0)
            return 412;
    } else if (c->unmodified && strcmp(c->unmodified, EARLIER) == 0) {
        return 412;
    }
    if (c->none_match)
        return strcmp(c->none_match, "*") == 0 || strstr(c->none_match, "{etag}") ? 304 : 200;
    const bool dated =
        c->modified && (strcmp(c->modified, OLD_DATE) == 0 || strcmp(c->modified, LATER) == 0);
    return dated ? 304 : 200;
}

/* Where nginx is known to read on. */
static difference condition_difference(const conditions *c, int rfc_status)
{
    const bool match_holds =
        !c->match || condition_status(&(conditions){ .match = c->match }) != 412;
    if (c->unmodified && strcmp(c->unmodified, "never") == 0 && match_holds)
        return VOID_DATE;
    if (c->match && match_holds && c->unmodified && strcmp(c->unmodified, EARLIER) == 0)
        return MATCH_BEFORE_DATE;
    const bool date_would_send =
        c->modified && (strcmp(c->modified, EARLIER) == 0 || strcmp(c->modified, "never") == 0);
    if (rfc_status == 304 && c->none_match && date_would_send)
        return TAG_BEFORE_DATE;
    return SAME;
}

static void put_condition(char *text, size_t bytes, const char *name, const char *value)
{
    const size_t len = strlen(text);
    if (value)
        (void)snprintf(text + len, bytes - len, "%s: %s\r\n", name, value);
}

static void compare_conditions(const char *method, const conditions *c)
{
    char text[1024];
    (void)snprintf(text, sizeof text, "%s /static/ten.txt HTTP/1.1\r\nHost: x\r\n", method);
    put_condition(text, sizeof text, "If-Match", c->match);
    put_condition(text, sizeof text, "If-Unmodified-Since", c->unmodified);
    put_condition(text, sizeof text, "If-None-Match", c->none_match);
    put_condition(text, sizeof text, "If-Modified-Since", c->modified);
    (void)snprintf(text + strlen(text), sizeof text - strlen(text), "\r\n");
    const int rfc_status = condition_status(c);
    compare("conditions", text, condition_difference(c, rfc_status), rfc_status);
}

/* Every combination. */
static void test_conditions_are_heeded_alike(void **state)
{
    (void)state;
    static const char *const matches[] = { NULL, "*", "{etag}", "\"other\"", "W/{etag}" };
    static const char *const unmodifieds[] = { NULL, OLD_DATE, EARLIER, LATER, "never" };
    static const char *const none_matches[] = { NULL,       "*",         "{etag}",
                                                "W/{etag}", "\"other\"", "\"a\", {etag}" };
    static const char *const modifieds[] = { NULL, OLD_DATE, EARLIER, LATER, "never" };
    for (size_t i = 0; i < (size_t)5 * 5 * 6 * 5; i++) {
        const conditions c = { matches[i % 5], unmodifieds[i / 5 % 5], none_matches[i / 25 % 6],
                               modifieds[i / 150] };
        compare_conditions("GET", &c);
        compare_conditions("HEAD", &c);
    }
    report("conditions");
}

/* --- bodies ------------------------------------------------------------------------------------
 */

#define ECHO(version_, lines_, body_) \
    "POST /echo HTTP/" version_ "\r\nHost: x\r\n" lines_ "\r\n" body_
#define CHUNKS(body_) ECHO("1.1", "Transfer-Encoding: chunked\r\n", body_)

/* What nginx makes of a body and hands on is what Brio makes of it. */
static void test_bodies_are_understood_alike(void **state)
{
    (void)state;
    static const struct {
        const char *text, *body;
    } rows[] = {
        { ECHO("1.1", "Content-Length: 5\r\n", "hello"), "hello" },
        { ECHO("1.1", "Content-Length: 0\r\n", ""), "" },
        { ECHO("1.1", "", ""), "" },
        { ECHO("1.1", "Content-Length: 0005\r\n", "hello"), "hello" },
        { ECHO("1.0", "Content-Length: 5\r\n", "hello"), "hello" },
        { ECHO("1.1", "Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"), "hello" },
        { ECHO("1.1", "Content-Length: 5\r\nExpect: 100-Continue\r\n", "hello"), "hello" },
        { ECHO("1.1", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", "0\r\n\r\n"), "" },
        { CHUNKS("5\r\nhello\r\n0\r\n\r\n"), "hello" },
        { CHUNKS("0\r\n\r\n"), "" },
        { CHUNKS("00000005\r\nhello\r\n000\r\n\r\n"), "hello" },
        { CHUNKS("1\r\nh\r\n1\r\ne\r\n3\r\nllo\r\n0\r\n\r\n"), "hello" },
        { CHUNKS("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), "01234567890123456789" },
        { CHUNKS("5;name=value\r\nhello\r\n0\r\n\r\n"), "hello" },
        { CHUNKS("5;name\r\nhello\r\n0;last\r\n\r\n"), "hello" },
        { CHUNKS("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), "hello" },
        { CHUNKS("5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"), "hello" },
        { CHUNKS("2\r\n\r\n\r\n0\r\n\r\n"), "\r\n" },
        { CHUNKS("7\r\n0\r\n\r\nab\r\n0\r\n\r\n"), "0\r\n\r\nab" },
        { ECHO("1.1", "Transfer-Encoding: Chunked\r\n", "1\r\na\r\n0\r\n\r\n"), "a" },
    };
    ports[BRIO] = echoer.port;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        exchange x[SIDES];
        for (side s = BRIO; s < SIDES; s++) {
            exchange_with(s, s == BRIO ? echoer.port : ports[s], rows[i].text, &x[s]);
            if (x[s].a.status != 200 || !str_eq(x[s].a.body, str_from_c(rows[i].body)))
                complain("body", rows[i].text, "is not what was sent", x);
        }
        if (x[BRIO].lives != x[BESIDE].lives)
            complain("body", rows[i].text, "whether the connection lives", x);
        for (side s = BRIO; s < SIDES; s++)
            answer_free(&x[s].a);
        compared++;
    }
    report("bodies");
}

/* --- malformed ---------------------------------------------------------------------------------
 */

/* Brio refuses every one, and closes unless it is well framed; `nginx_too` tells which nginx
 * refuses. */
static void test_malformed_requests_are_refused_at_least_where_nginx_does(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool nginx_too, well_framed;
    } rows[] = {
        { "GET /static/ten.txt HTTP/1.1\r\n\r\n", true },
        { "GET /static/ten.txt HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", true },
        { "GET /static/ten.txt HTTP/1.1\r\nHost: x/y\r\n\r\n", true },
        { "GET /static/ten.txt HTTP/1.1\r\nHost: x y\r\n\r\n", true },
        { "GET /static/ten.txt HTTP/3.0\r\nHost: x\r\n\r\n", true },
        { "GET /static/ten.txt HTTP/1.1x\r\nHost: x\r\n\r\n", true },
        { "GET /static/ten.txt HTTX/1.1\r\nHost: x\r\n\r\n", true },
        { "GET static/ten.txt HTTP/1.1\r\nHost: x\r\n\r\n", true },
        { "GET /static/../../ten.txt HTTP/1.1\r\nHost: x\r\n\r\n", true, true },
        { "GET /static/%zz HTTP/1.1\r\nHost: x\r\n\r\n", true, true },
        { "GET /static/%00 HTTP/1.1\r\nHost: x\r\n\r\n", true, true },
        { "G@T /static/ten.txt HTTP/1.1\r\nHost: x\r\n\r\n", true },
        { ECHO("1.1", "Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), true },
        { ECHO("1.1", "Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), true },
        { ECHO("1.1", "Content-Length: 5, 5\r\n", "hello"), true },
        { ECHO("1.1", "Content-Length: +5\r\n", "hello"), true },
        { ECHO("1.1", "Content-Length: -5\r\n", "hello"), true },
        { ECHO("1.1", "Content-Length: 5a\r\n", "hello"), true },
        { ECHO("1.1", "Content-Length: 0x5\r\n", "hello"), true },
        { ECHO("1.1", "Content-Length:\r\n", "hello"), true },
        { ECHO("1.1", "Content-Length: 99999999999999999999\r\n", "hello"), true },
        { ECHO("1.1", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), true },
        { ECHO("1.1", "Transfer-Encoding: gzip\r\n", "0\r\n\r\n"), true },
        { ECHO("1.1", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), true },
        { ECHO("1.1", "Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), true },
        { ECHO("1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
          true },
        { ECHO("1.0", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), true },
        { CHUNKS("g\r\nhello\r\n0\r\n\r\n"), true },
        { CHUNKS("-5\r\nhello\r\n0\r\n\r\n"), true },
        { CHUNKS("5\r\nhelloXX0\r\n\r\n"), true },
        { CHUNKS("ffffffffffffffffff\r\nhello"), true },
        { "GET /static/ten.txt HTTP/1.1\r\nHost: x\r\nX-Nul: a\1b\r\n\r\n", false },
        { "GET /static/ten.txt HTTP/1.1\r\nHost: x\r\nX Y: a\r\n\r\n", true },
        { "GET /static/ten.txt HTTP/1.1\r\nHost : x\r\n\r\n", true },
        { "GET /static/ten.txt HTTP/1.1\r\nHost: x\r\nX-A: a\r\n folded\r\n\r\n", true },
        { "GET /static/ten.txt HTTP/1.1\nHost: x\n\n", false },
        { "GET  /static/ten.txt HTTP/1.1\r\nHost: x\r\n\r\n", false },
        { "GET /static/ten.txt  HTTP/1.1\r\nHost: x\r\n\r\n", false },
        { "GET /static/ten.txt\r\n\r\n", false },
        { CHUNKS("5 \r\nhello\r\n0\r\n\r\n"), false },
        { CHUNKS("5\nhello\n0\n\n"), false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        exchange x[SIDES];
        exchange_with(BRIO, strstr(rows[i].text, " /echo ") ? echoer.port : server.port,
                      rows[i].text, &x[BRIO]);
        exchange_with(BESIDE, ports[BESIDE], rows[i].text, &x[BESIDE]);
        if (x[BRIO].a.status < 400 || x[BRIO].lives != rows[i].well_framed)
            complain("malformed", rows[i].text, "Brio takes it", x);
        const bool refused = x[BESIDE].a.status >= 400;
        if (refused != rows[i].nginx_too)
            complain("malformed", rows[i].text, refused ? "nginx refuses it" : "nginx takes it", x);
        for (side s = BRIO; s < SIDES; s++)
            answer_free(&x[s].a);
        compared++;
    }
    report("malformed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_and_methods_are_answered_alike),
        cmocka_unit_test(test_connections_and_odd_requests_are_treated_alike),
        cmocka_unit_test(test_ranges_are_answered_alike),
        cmocka_unit_test(test_conditions_are_heeded_alike),
        cmocka_unit_test(test_bodies_are_understood_alike),
        cmocka_unit_test(test_malformed_requests_are_refused_at_least_where_nginx_does),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
