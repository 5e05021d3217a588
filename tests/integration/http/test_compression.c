/* http_compress over the wire: what is compressed and how, that it decodes to what was not, and
 * what a cache is told. */
#include "tests/support/decoder.h"
#include "tests/support/http_test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DECODED_BYTES_MAX ((size_t)4 << 20)

static char decoded[DECODED_BYTES_MAX];

static void begin(void)
{
    server_start(&server, getenv("COMPRESSOR"), ENVIRONMENT("WORKERS=1"));
}

/* Sends a request with those field lines on a connection of its own. */
static void ask_by(const char *method, const char *path, const char *fields, answer *out)
{
    peer p;
    peer_connect(&p, server.port);
    peer_sendf(&p, "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", method, path, fields);
    peer_read(&p, strcmp(method, "HEAD") == 0, out);
    peer_close(&p);
}

static void ask(const char *path, const char *fields, answer *out)
{
    ask_by("GET", path, fields, out);
}

static size_t count_fields(str head, const char *name)
{
    size_t count = 0;
    while (head.ptr) {
        const str line = str_cut(&head, '\n');
        count += str_eq_nocase(str_slice(line, 0, str_index(line, ':')), str_from_c(name));
    }
    return count;
}

/* Exactly one field with that value; NULL: none. */
static void check_field_at(const char *what, const answer *a, const char *name, const char *value,
                           int line)
{
    const str found = answer_header(a, name);
    const size_t wanted = value ? 1 : 0;
    if (count_fields(a->head, name) == wanted && (!value || str_eq(found, str_from_c(value))))
        return;
    print_error("%s: %s is \"%.*s\" instead of \"%s\" in:\n%.*s\n", what, name, STR_ARG(found),
                value ? value : "(none)", STR_ARG(a->head));
    server_print_log(&server);
    _fail(__FILE__, line);
}
#define check_field(what_, answer_, name_, value_) \
    check_field_at((what_), (answer_), (name_), (value_), __LINE__)

/* The body as it was before its coding. */
static str decode(const answer *a)
{
    const str coding = answer_header(a, "content-encoding");
    char name[16] = "identity";
    size_t len = 0;
    if (coding.ptr)
        (void)snprintf(name, sizeof name, "%.*s", STR_ARG(coding));
    if (!decode_all(name, a->body, decoded, sizeof decoded, &len))
        fail_msg("%zu bytes of %s do not decode", a->body.len, name);
    return (str){ decoded, len };
}

/* What `path` gives in `coding` is, undone, what it gives without. */
static void check_same_body(const char *path, const char *coding)
{
    answer plain, packed;
    char fields[64];
    (void)snprintf(fields, sizeof fields, "Accept-Encoding: %s\r\n", coding);
    ask(path, "", &plain);
    ask(path, fields, &packed);
    check_field(path, &plain, "Content-Encoding", NULL);
    check_field(path, &packed, "Content-Encoding", coding);
    check_field(path, &plain, "Vary", "Accept-Encoding");
    check_field(path, &packed, "Vary", "Accept-Encoding");
    assert_true(str_eq(decode(&packed), plain.body));
    assert_true(packed.body.len < plain.body.len);
    answer_free(&plain);
    answer_free(&packed);
}

/* --- what is chosen --------------------------------------------------------------------------- */

static void test_compression_coding_is_the_best_that_is_taken(void **state)
{
    static const struct {
        const char *path;
        const char *accepted; /* NULL: no such field */
        const char *coding;   /* NULL: none */
    } rows[] = {
        { "/text/4096", NULL, NULL },
        { "/text/4096", "", NULL },
        { "/text/4096", "gzip", "gzip" },
        { "/text/4096", "x-gzip", "gzip" },
        { "/text/4096", "br", "br" },
        { "/text/4096", "zstd", "zstd" },
        { "/text/4096", "gzip, deflate, br, zstd", "zstd" },
        { "/text/4096", "gzip, deflate, br", "br" },
        { "/text/4096", "*", "zstd" },
        { "/text/4096", "gzip;q=0.9, br;q=0.8, zstd;q=0.7", "gzip" },
        { "/text/4096", "zstd;q=0, *", "br" },
        { "/text/4096", "identity, gzip;q=0.5", NULL },
        { "/text/4096", "deflate, compress", NULL },
        { "/text/4096", "gzip;q=0", NULL },
        { "/text/4096", "identity;q=0", NULL }, /* nothing is left: the body as it is */
        { "/text/4096", "*;q=0", NULL },
        { "/text/100", "gzip, identity;q=0", "gzip" },
        { "/noise/100", "gzip, *;q=0", "gzip" },
        { "/otherwise/typed/4096?type=application/json", "zstd, br, gzip", "gzip" },
        { "/otherwise/typed/4096?type=application/json", "zstd, br", "br" },
        { "/otherwise/typed/4096?type=application/json", "zstd", NULL },
        { "/otherwise/typed/10?type=image/x", "identity;q=0, br", "br" },
        { "/otherwise/typed/100000?type=image/x", "br", "br" },
        { "/otherwise/typed/100001?type=image/x", "br", NULL },
        { "/otherwise/text/4096", "br", NULL },
        { "/slow/text/4096", "gzip", "gzip" },
        { "/slow/text/4096", "br", "br" },
        { "/slow/text/4096", "zstd", "zstd" },
    };
    (void)state;
    begin();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char fields[128] = "", what[256];
        answer a;
        if (rows[i].accepted)
            (void)snprintf(fields, sizeof fields, "Accept-Encoding: %s\r\n", rows[i].accepted);
        (void)snprintf(what, sizeof what, "%s for %s", rows[i].path, fields);
        ask(rows[i].path, fields, &a);
        check_status(what, &a, 200);
        check_field(what, &a, "Content-Encoding", rows[i].coding);
        answer_free(&a);
    }
}

static void test_compression_hostile_accept_encoding_is_harmless(void **state)
{
    static const char *const values[] = {
        ",,,,;;;;q=q=q=", "gzip;q=1e9, br;q=-1", "gzip;q=99999999999999999999", "\"gzip\"",
        "gzip;;q=1",      "*;q=0.5;q=0",         "gzip\t;\tq=0.0001",           ";q=1",
    };
    (void)state;
    static char many[6000];
    answer a;
    begin();
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        char fields[128];
        (void)snprintf(fields, sizeof fields, "Accept-Encoding: %s\r\n", values[i]);
        ask("/text/4096", fields, &a);
        check_status(values[i], &a, 200);
        assert_int_equal(decode(&a).len, 4096);
        answer_free(&a);
    }
    /* What stands far behind is not read, in one line or in many. */
    size_t at = (size_t)snprintf(many, sizeof many, "Accept-Encoding: ");
    while (at < 5000)
        at += (size_t)snprintf(many + at, sizeof many - at, "x-%zu;q=0.5,", at);
    (void)snprintf(many + at, sizeof many - at, "gzip\r\n");
    ask("/text/4096", many, &a);
    check_status("many", &a, 200);
    check_field("many", &a, "Content-Encoding", NULL);
    answer_free(&a);
    ask("/text/4096", "Accept-Encoding: br;q=0.1\r\naccept-encoding: gzip\r\n", &a);
    check_field("two lines", &a, "Content-Encoding", "gzip");
    answer_free(&a);
}

/* --- which answers ---------------------------------------------------------------------------- */

static void test_compression_sizes_around_every_limit_decode(void **state)
{
    static const char *const codings[] = { "zstd", "br", "gzip" };
    static const size_t sizes[] = { 1024,  1025,  4096,  8191,  8192,   8193,   16384,
                                    40000, 65535, 65536, 65537, 300000, 2000000 };
    (void)state;
    begin();
    for (size_t c = 0; c < ARRAY_LEN(codings); c++) {
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            char path[64];
            (void)snprintf(path, sizeof path, "/text/%zu", sizes[i]);
            check_same_body(path, codings[c]);
        }
    }
}

static void test_compression_leaves_what_is_not_worth_it(void **state)
{
    static const struct {
        const char *path;
        int status;
        const char *vary; /* NULL: none */
    } rows[] = {
        { "/text/0", 200, NULL },
        { "/text/1023", 200, NULL },
        { "/noise/4096", 200, "Accept-Encoding" }, /* would not become smaller */
        { "/noise/70000", 200, "Accept-Encoding" },
        { "/typed/4096?type=image/png", 200, NULL },
        { "/typed/4096?type=application/octet-stream", 200, NULL },
        { "/typed/4096?type=", 200, NULL },
        { "/typed/4096?type=text/plain&name=Content-Encoding&value=x-own", 200, NULL },
        { "/typed/4096?type=text/plain&name=Cache-Control&value=private,%20No-Transform", 200,
          NULL },
        { "/typed/4096?type=text/plain&name=Content-Digest&value=x", 200, NULL },
        { "/typed/4096?type=text/plain&name=Repr-Digest&value=x", 200, NULL },
        { "/typed/4096?type=text/plain&name=Content-Range&value=x", 200, NULL },
        { "/secret/4096", 200, NULL },
        { "/secret-pieces/4096", 200, NULL },
        { "/told/4096", 200, NULL },
        { "/told-pieces/4096", 200, NULL },
        { "/partial", 206, NULL },
        { "/status/204", 204, NULL },
        { "/crowded", 200, NULL }, /* no room to say so */
        { "/few/text/1000", 200, NULL },
        { "/nowhere", 404, NULL },
        { "/health", 200, NULL },
    };
    (void)state;
    begin();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        answer a;
        ask(rows[i].path, "Accept-Encoding: gzip, br, zstd\r\n", &a);
        check_status(rows[i].path, &a, rows[i].status);
        check_field(rows[i].path, &a, "Vary", rows[i].vary);
        assert_false(str_eq(answer_header(&a, "content-encoding"), STR("gzip")) ||
                     str_eq(answer_header(&a, "content-encoding"), STR("zstd")));
        answer_free(&a);
    }
}

static void test_compression_types_that_are_text_are_packed(void **state)
{
    static const char *const types[] = {
        "application/json",
        "application/problem%2Bjson",
        "application/vnd.x%2Bxml",
        "Text/Whatever",
        "text/html;charset=utf-8",
        "application/json%20;%20x=1",
        "application/xml",
        "application/wasm",
        "application/manifest%2Bjson",
        "text/event-stream",
        "image/svg%2Bxml",
        "image/bmp",
    };
    (void)state;
    begin();
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        char path[96];
        (void)snprintf(path, sizeof path, "/typed/4096?type=%s", types[i]);
        check_same_body(path, "br");
    }
}

static void test_compression_errors_and_other_statuses_are_packed(void **state)
{
    (void)state;
    answer a;
    begin();
    ask("/fails", "Accept-Encoding: zstd\r\n", &a);
    check_status("/fails", &a, 422);
    check_field("/fails", &a, "Content-Encoding", "zstd");
    check_field("/fails", &a, "Vary", "Accept-Encoding");
    assert_true(str_starts_with(decode(&a), STR("{\"type\":\"about:blank\"")));
    answer_free(&a);
    ask("/status/404", "Accept-Encoding: zstd\r\n", &a);
    check_status("404", &a, 404);
    check_field("404", &a, "Content-Encoding", "zstd");
    answer_free(&a);
}

static void test_compression_head_is_that_of_get(void **state)
{
    static const char *const paths[] = { "/text/5000",  "/text/200000", "/pieces/5000",
                                         "/sized/5000", "/rows/1000",   "/fails" };
    (void)state;
    begin();
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        answer get, head;
        ask_by("GET", paths[i], "Accept-Encoding: gzip\r\n", &get);
        ask_by("HEAD", paths[i], "Accept-Encoding: gzip\r\n", &head);
        check_field(paths[i], &get, "Content-Encoding", "gzip");
        static const char *const names[] = { "Content-Encoding",  "Content-Length",
                                             "Content-Type",      "ETag",
                                             "Transfer-Encoding", "Vary" };
        for (size_t k = 0; k < ARRAY_LEN(names); k++)
            assert_true(str_eq(answer_header(&get, names[k]), answer_header(&head, names[k])));
        assert_int_equal(get.status, head.status);
        assert_int_equal(head.body.len, 0);
        answer_free(&get);
        answer_free(&head);
    }
}

static void test_compression_vary_is_merged_into_one(void **state)
{
    (void)state;
    answer a;
    begin();
    ask("/varied", "Accept-Encoding: gzip\r\n", &a);
    check_field("/varied", &a, "Vary", "Origin, Accept-Language, X-Other, Accept-Encoding");
    answer_free(&a);
    ask("/typed/4096?type=text/plain&name=Vary&value=*", "Accept-Encoding: gzip\r\n", &a);
    check_field("star", &a, "Vary", "*");
    check_field("star", &a, "Content-Encoding", "gzip");
    answer_free(&a);
    ask("/typed/4096?type=text/plain&name=Vary&value=x,%20accept-encoding", "", &a);
    check_field("there", &a, "Vary", "x, accept-encoding");
    answer_free(&a);
}

static void make_file(const char *directory, const char *name, long bytes)
{
    char path[80];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, bytes) == 0);
    close(fd);
}

static void test_compression_files_leave_as_they_are(void **state)
{
    static const char *const names[] = { "small.css", "large.css" };
    (void)state;
    char files[] = "FILES=/tmp/brio-compression-XXXXXX", path[80];
    char *directory = files + strlen("FILES=");
    assert_non_null(mkdtemp(directory));
    make_file(directory, names[0], 5000);
    make_file(directory, names[1], 200000);
    server_start(&server, getenv("COMPRESSOR"), ENVIRONMENT("WORKERS=1", files));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        answer a;
        (void)snprintf(path, sizeof path, "/files/%s", names[i]);
        ask(path, "Accept-Encoding: gzip, br, zstd\r\n", &a);
        check_status(path, &a, 200);
        check_field(path, &a, "Content-Encoding", NULL);
        check_field(path, &a, "Vary", NULL);
        assert_int_equal(a.body.len, i ? 200000 : 5000);
        answer_free(&a);
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(directory), 0);
}

/* --- entity tags ------------------------------------------------------------------------------ */

static void test_compression_tags_are_of_the_coding(void **state)
{
    (void)state;
    answer a;
    begin();
    ask("/versioned?tag=%22v1%22", "Accept-Encoding: gzip\r\n", &a);
    check_field("strong", &a, "ETag", "\"v1--gzip\"");
    answer_free(&a);
    ask("/versioned?tag=%22v1%22", "", &a);
    check_field("plain", &a, "ETag", "\"v1\"");
    answer_free(&a);
    ask("/versioned?tag=W/%22v1%22", "Accept-Encoding: gzip\r\n", &a);
    check_field("weak", &a, "ETag", "W/\"v1\"");
    check_field("weak", &a, "Content-Encoding", "gzip");
    answer_free(&a);
    ask("/pieces/5000", "Accept-Encoding: zstd\r\n", &a);
    check_field("pieces", &a, "ETag", "\"pieces--zstd\"");
    answer_free(&a);
}

/* Wherever http_etag stands, a client that has the body in a coding that it still takes is told so,
 * by the tag of what it has. */
static void test_compression_not_modified_names_what_the_client_has(void **state)
{
    static const char *const groups[] = { "/tagged-inside", "/tagged-outside" };
    static const struct {
        const char *accepted;
        const char *none_match; /* with %s for the tag without its quotes */
        int status;
        const char *tag; /* the same */
    } rows[] = {
        { "gzip", "\"%s--gzip\"", 304, "\"%s--gzip\"" },
        { "gzip, zstd", "\"%s--gzip\"", 304, "\"%s--gzip\"" },
        { "gzip, zstd", "\"a\", \"%s--zstd\",\"b--gzip\"", 304, "\"%s--zstd\"" },
        { "gzip", "\"%s\"", 304, "\"%s\"" },
        { "gzip", "\"%s\", \"%s--gzip\"", 304, "\"%s\"" },
        { "gzip", "*", 304, "\"%s\"" },
        { "gzip", "\"%s--zstd\"", 200, "\"%s--gzip\"" },
        { "identity", "\"%s--gzip\"", 200, "\"%s\"" },
        { "gzip", "\"other--gzip\"", 200, "\"%s--gzip\"" },
    };
    (void)state;
    begin();
    for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
        char path[64], tag[64], fields[256], none[128], wanted[80];
        answer a;
        (void)snprintf(path, sizeof path, "%s/text/4096", groups[g]);
        ask(path, "", &a);
        const str plain = str_trim(answer_header(&a, "etag"), STR("\""));
        (void)snprintf(tag, sizeof tag, "%.*s", STR_ARG(plain));
        assert_int_equal(strlen(tag), 32);
        answer_free(&a);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            (void)snprintf(none, sizeof none, rows[i].none_match, tag, tag);
            (void)snprintf(wanted, sizeof wanted, rows[i].tag, tag);
            (void)snprintf(fields, sizeof fields, "Accept-Encoding: %s\r\nIf-None-Match: %s\r\n",
                           rows[i].accepted, none);
            ask(path, fields, &a);
            check_status(fields, &a, rows[i].status);
            check_field(fields, &a, "ETag", wanted);
            check_field(fields, &a, "Vary", "Accept-Encoding");
            answer_free(&a);
        }
        (void)snprintf(fields, sizeof fields, "If-Match: \"%s--gzip\"\r\n", tag);
        ask(path, fields, &a);
        check_status("if-match", &a, 200);
        answer_free(&a);
        ask(path, "If-Match: \"other--gzip\"\r\nAccept-Encoding: gzip\r\n", &a);
        check_status("if-match of another", &a, 412);
        answer_free(&a);
    }
}

static void test_compression_handlers_see_tags_as_they_set_them(void **state)
{
    (void)state;
    answer a;
    begin();
    ask_by("PUT", "/conditions",
           "If-Match: \"a--zstd\", W/\"b--br\"\r\nIf-None-Match: \"c--gzip\", \"d--zstd\"\r\n"
           "Accept-Encoding: gzip\r\n",
           &a);
    assert_true(str_eq(a.body, STR("\"c\", \"d--zstd\"|\"a\", W/\"b\"")));
    answer_free(&a);
    ask_by("PUT", "/conditions", "If-Match: \"a--zstd\r\nIf-None-Match: --gzip\"--gzip\r\n", &a);
    assert_true(str_eq(a.body, STR("--gzip\"--gzip|\"a--zstd")));
    answer_free(&a);
}

/* --- pieces ----------------------------------------------------------------------------------- */

static void test_compression_pieces_decode_to_the_whole(void **state)
{
    static const char *const codings[] = { "zstd", "br", "gzip" };
    static const char *const paths[] = {
        "/pieces/1",   "/pieces/5000",  "/pieces/5000?piece=1",          "/pieces/20000?piece=7",
        "/sized/1024", "/sized/500000", "/pieces/3000000?piece=3000000", "/rows/0",
        "/rows/1",     "/rows/20000",
    };
    (void)state;
    begin();
    for (size_t c = 0; c < ARRAY_LEN(codings); c++) {
        for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
            answer plain, packed;
            char fields[64];
            (void)snprintf(fields, sizeof fields, "Accept-Encoding: %s\r\n", codings[c]);
            ask(paths[i], "", &plain);
            ask(paths[i], fields, &packed);
            check_field(paths[i], &packed, "Content-Encoding", codings[c]);
            check_field(paths[i], &packed, "Content-Length", NULL);
            check_field(paths[i], &packed, "Transfer-Encoding", "chunked");
            assert_true(str_eq(decode(&packed), plain.body));
            answer_free(&plain);
            answer_free(&packed);
        }
    }
}

/* A sized body below the minimum keeps its length; a connection is used again behind a coded one.
 */
static void test_compression_pieces_leave_the_connection_usable(void **state)
{
    (void)state;
    peer p;
    answer a;
    begin();
    peer_connect(&p, server.port);
    for (int i = 0; i < 3; i++) {
        peer_sendf(&p, "GET /sized/1023 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n\r\n"
                       "GET /pieces/9000 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n\r\n"
                       "GET /text/9000 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n\r\n");
        peer_read(&p, false, &a);
        check_field("small", &a, "Content-Encoding", NULL);
        check_field("small", &a, "Content-Length", "1023");
        answer_free(&a);
        for (int k = 0; k < 2; k++) {
            peer_read(&p, false, &a);
            check_field("coded", &a, "Content-Encoding", "br");
            assert_int_equal(decode(&a).len, 9000);
            answer_free(&a);
        }
    }
    peer_close(&p);
}

static void test_compression_to_a_client_of_1_0_ends_with_the_connection(void **state)
{
    (void)state;
    static char bytes[65536];
    peer p;
    size_t len = 0, plain = 0;
    begin();
    peer_connect(&p, server.port);
    peer_sendf(&p, "GET /sized/9000 HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n");
    ssize_t got;
    while ((got = read(p.fd, bytes + len, sizeof bytes - len)) > 0)
        len += (size_t)got;
    const char *body = memmem(bytes, len, "\r\n\r\n", 4);
    assert_non_null(body);
    assert_null(memmem(bytes, (size_t)(body - bytes), "ontent-Length", 13));
    assert_true(
        decode_all("gzip", str_between(body + 4, bytes + len), decoded, sizeof decoded, &plain));
    assert_int_equal(plain, 9000);
    peer_close(&p);
}

/* Undoes complete chunks in place; returns how many bytes they have. */
static size_t unchunk(char *bytes, size_t len)
{
    size_t from = 0, to = 0;
    while (from < len) {
        char *end;
        const size_t size = strtoul(bytes + from, &end, 16);
        from = (size_t)(end - bytes) + 2;
        if (size == 0 || from + size + 2 > len)
            break;
        memmove(bytes + to, bytes + from, size);
        to += size;
        from += size + 2;
    }
    return to;
}

/* An event that was sent can be read before there is another one. */
static void test_compression_events_arrive_one_by_one(void **state)
{
    static const char *const codings[] = { "zstd", "br", "gzip" };
    (void)state;
    begin();
    for (size_t c = 0; c < ARRAY_LEN(codings); c++) {
        static char bytes[16384], copy[16384];
        peer p;
        size_t len = 0, read_so_far = 0;
        const uint64_t until = test_clock_ms() + PEER_WAIT_MS;
        peer_connect(&p, server.port);
        peer_sendf(&p, "GET /events HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %s\r\n\r\n",
                   codings[c]);
        const str first = STR("data: first\n\n");
        while (read_so_far < first.len) { /* nothing more comes before /go */
            assert_true(test_clock_ms() < until);
            const ssize_t got = read(p.fd, bytes + len, sizeof bytes - 1 - len);
            assert_true(got > 0);
            len += (size_t)got;
            bytes[len] = '\0';
            char *body = memmem(bytes, len, "\r\n\r\n", 4);
            if (!body)
                continue;
            body += 4;
            const size_t chunks = len - (size_t)(body - bytes);
            memcpy(copy, body, chunks + 1);
            decoder *d = decoder_new(codings[c]);
            read_so_far = 0;
            assert_true(decoder_take(d, (str){ copy, unchunk(copy, chunks) }, decoded,
                                     sizeof decoded, &read_so_far));
            decoder_free(&d);
        }
        assert_true(str_eq(((str){ decoded, read_so_far }), first));
        check_get("/go", 204);
        peer_close(&p);
    }
}

static void test_compression_length_that_was_announced_still_counts(void **state)
{
    static const char *const paths[] = { "/sized/5000?off=1", "/sized/5000?off=-1", "/breaks" };
    (void)state;
    begin();
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        answer a;
        ask(paths[i], "Accept-Encoding: gzip\r\n", &a);
        assert_int_equal(a.status, 0); /* broken off */
        answer_free(&a);
    }
    check_get("/health", 200);
}

/* A client that takes nothing holds up its handler, and gives its encoder back when it goes. */
static void test_compression_slow_client_takes_no_memory(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 70; i++) { /* more than there may be encoders at once */
        peer p;
        char head[512];
        peer_connect(&p, server.port);
        peer_sendf(&p, "GET /endless HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
        ssize_t got = read(p.fd, head, sizeof head - 1);
        assert_true(got > 0);
        head[got] = '\0';
        assert_non_null(strstr(head, "Content-Encoding: gzip\r\n"));
        peer_reset(&p);
        test_pause_ms(5);
        check_get("/health", 200);
    }
}

/* --- when there is not enough ----------------------------------------------------------------- */

/* Streams that live long do not take compression from all others. */
static void test_compression_past_its_encoders_leaves_pieces_as_they_are(void **state)
{
    (void)state;
    char head[1024];
    peer p;
    answer a;
    begin();
    peer_connect(&p, server.port);
    peer_sendf(&p, "GET /few/events HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_true(read(p.fd, head, sizeof head) > 0);
    ask("/few/text/4096", "Accept-Encoding: gzip\r\n", &a);
    check_field("staged", &a, "Content-Encoding", "gzip");
    answer_free(&a);
    ask("/few/pieces/4096", "Accept-Encoding: gzip\r\n", &a);
    check_field("second", &a, "Content-Encoding", NULL);
    check_field("second", &a, "Vary", "Accept-Encoding");
    check_field("second", &a, "ETag", "\"pieces\"");
    answer_free(&a);
    peer_reset(&p);
    for (int i = 0; i < 1000; i++) { /* until the server has seen that */
        ask("/few/pieces/4096", "Accept-Encoding: gzip\r\n", &a);
        const bool coded = answer_header(&a, "content-encoding").ptr != NULL;
        answer_free(&a);
        if (coded)
            return;
        test_pause_ms(10);
    }
    fail_msg("the encoder does not come back");
}

/* Asks for threads until `held` have one and the others wait for theirs. */
static void hold_threads(peer *holders, size_t count, const char *held)
{
    answer a;
    for (size_t i = 0; i < count; i++) {
        peer_connect(&holders[i], server.port);
        peer_sendf(&holders[i], "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for (bool all = false; !all; answer_free(&a)) {
        ask("/held", "", &a);
        all = str_eq(a.body, str_from_c(held));
    }
}

/* Two threads run, 64 calls wait; one more is refused, and the body leaves all the same. */
static void test_compression_without_a_thread_leaves_large_bodies_as_they_are(void **state)
{
    enum {
        THREADS = 2,
        HOLDERS = 66
    };
    (void)state;
    peer holders[HOLDERS];
    answer a;
    begin();
    hold_threads(holders, THREADS, "2 2");
    hold_threads(holders + THREADS, HOLDERS - THREADS, "2 66");
    ask("/text/100000", "Accept-Encoding: gzip\r\n", &a);
    check_status("large", &a, 200);
    check_field("large", &a, "Content-Encoding", NULL);
    check_field("large", &a, "Vary", "Accept-Encoding");
    assert_int_equal(a.body.len, 100000);
    answer_free(&a);
    ask("/text/60000", "Accept-Encoding: gzip\r\n", &a);
    check_field("small", &a, "Content-Encoding", "gzip");
    answer_free(&a);
    ask("/slow/text/2000", "Accept-Encoding: gzip\r\n", &a); /* needs one for any size */
    check_field("slow", &a, "Content-Encoding", NULL);
    answer_free(&a);
    ask("/slow/pieces/2000", "Accept-Encoding: gzip\r\n", &a);
    check_field("slow pieces", &a, "Content-Encoding", "gzip");
    assert_int_equal(decode(&a).len, 2000);
    answer_free(&a);
    check_get("/let-go", 204);
    for (size_t i = 0; i < HOLDERS; i++) {
        peer_read(&holders[i], false, &a);
        check_status("holder", &a, 204);
        answer_free(&a);
        peer_close(&holders[i]);
    }
    ask("/text/100000", "Accept-Encoding: gzip\r\n", &a);
    check_field("again", &a, "Content-Encoding", "gzip");
    answer_free(&a);
}

static void test_compression_many_at_once_decode(void **state)
{
    enum {
        CLIENTS = 40
    };
    static const char *const codings[] = { "zstd", "br", "gzip" };
    (void)state;
    peer clients[CLIENTS];
    answer a;
    begin();
    for (size_t i = 0; i < CLIENTS; i++) {
        peer_connect(&clients[i], server.port);
        peer_sendf(&clients[i], "GET /%s/%zu HTTP/1.1\r\nHost: x\r\nAccept-Encoding: %s\r\n\r\n",
                   i % 2 ? "text" : "pieces", 50000 + i * 1000, codings[i % 3]);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        peer_read(&clients[i], false, &a);
        check_status("one of many", &a, 200);
        assert_int_equal(decode(&a).len, 50000 + i * 1000);
        answer_free(&a);
        peer_close(&clients[i]);
    }
}

/* A fault in the middle of a coded answer costs that answer, and the encoder stays whole. */
static void test_compression_of_a_crashed_handler_breaks_off(void **state)
{
    (void)state;
    peer p;
    answer a;
    begin();
    peer_connect(&p, server.port); /* served by the worker that is about to retire */
    ask("/text/4096", "Accept-Encoding: gzip\r\n", &a);
    check_status("before", &a, 200);
    answer_free(&a);
    ask("/crashes", "Accept-Encoding: gzip\r\n", &a);
    assert_int_equal(a.status, 0);
    answer_free(&a);
    peer_sendf(&p, "GET /text/5000 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    peer_read(&p, false, &a);
    check_status("beside", &a, 200);
    assert_int_equal(decode(&a).len, 5000);
    answer_free(&a);
    peer_close(&p);
    check_get("/text/4096", 200);
}

/* Under LeakSanitizer the status tells more: nothing is left over. */
static void test_compression_ends_with_its_worker(void **state)
{
    static const char *const codings[] = { "zstd", "br", "gzip" };
    (void)state;
    server_start(&server, getenv("COMPRESSOR"), ENVIRONMENT("WORKERS=0"));
    for (size_t c = 0; c < ARRAY_LEN(codings); c++) {
        check_same_body("/text/5000", codings[c]);
        check_same_body("/text/100000", codings[c]);
        check_same_body("/pieces/100000", codings[c]);
    }
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    assert_int_equal(server_wait(&server), 0);
}

static void test_compression_that_is_wrong_does_not_start(void **state)
{
    static const struct {
        const char *variable;
        const char *says;
    } rows[] = {
        { "WRONG=0", "http_compress: gzip_level 10 is not one of 1 to 9" },
        { "WRONG=1", "http_compress: coding \"deflate\" is not zstd, br or gzip" },
        { "WRONG=2", "http_compress: coding br twice" },
        { "WRONG=3", "http_compress: \"json\" is no media type" },
        { "WRONG=4", "http_compress: body_bytes_min over body_bytes_max" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char log[4096];
        assert_int_equal(
            server_run_to_end(getenv("COMPRESSOR"), ENVIRONMENT(rows[i].variable), log, sizeof log),
            1);
        if (!strstr(log, rows[i].says))
            fail_msg("%s: %s", rows[i].variable, log);
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, server_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_compression_coding_is_the_best_that_is_taken),
        TEST(test_compression_hostile_accept_encoding_is_harmless),
        TEST(test_compression_sizes_around_every_limit_decode),
        TEST(test_compression_leaves_what_is_not_worth_it),
        TEST(test_compression_types_that_are_text_are_packed),
        TEST(test_compression_errors_and_other_statuses_are_packed),
        TEST(test_compression_head_is_that_of_get),
        TEST(test_compression_vary_is_merged_into_one),
        TEST(test_compression_files_leave_as_they_are),
        TEST(test_compression_tags_are_of_the_coding),
        TEST(test_compression_not_modified_names_what_the_client_has),
        TEST(test_compression_handlers_see_tags_as_they_set_them),
        TEST(test_compression_pieces_decode_to_the_whole),
        TEST(test_compression_pieces_leave_the_connection_usable),
        TEST(test_compression_to_a_client_of_1_0_ends_with_the_connection),
        TEST(test_compression_events_arrive_one_by_one),
        TEST(test_compression_length_that_was_announced_still_counts),
        TEST(test_compression_slow_client_takes_no_memory),
        TEST(test_compression_past_its_encoders_leaves_pieces_as_they_are),
        TEST(test_compression_without_a_thread_leaves_large_bodies_as_they_are),
        TEST(test_compression_many_at_once_decode),
        TEST(test_compression_of_a_crashed_handler_breaks_off),
        TEST(test_compression_ends_with_its_worker),
        TEST(test_compression_that_is_wrong_does_not_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
