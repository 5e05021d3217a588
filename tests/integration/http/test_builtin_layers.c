/* The engine's own layers over the wire. */
#include "tests/support/http_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void begin(const char *const *environment)
{
    server_start(&server, getenv("SHIELDED"), environment);
}

/* The number of fields of that name. */
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
    _fail(__FILE__, line);
}
#define check_field(what_, answer_, name_, value_) \
    check_field_at((what_), (answer_), (name_), (value_), __LINE__)

/* Sends a request with those field lines on a connection of its own. */
static void ask(const char *method, const char *path, const char *fields, answer *out)
{
    peer p;
    peer_connect(&p, server.port);
    peer_sendf(&p, "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", method, path, fields);
    peer_read(&p, false, out);
    peer_close(&p);
}

/* --- security headers ------------------------------------------------------------------------- */

static void make_file(const char *directory, const char *name, long bytes)
{
    char path[80];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, bytes) == 0);
    close(fd);
}

/* A directory with a file that is sent at once and one that is not; "FILES=" and its path. */
static void make_files(char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "FILES=/tmp/brio-layers-XXXXXX");
    assert_non_null(mkdtemp(out + strlen("FILES=")));
    make_file(out + strlen("FILES="), "small", 10);
    make_file(out + strlen("FILES="), "large", 1 << 20);
}

static void remove_files(const char *files)
{
    static const char *const names[] = { "small", "large" };
    char path[80];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", files + strlen("FILES="), names[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(files + strlen("FILES=")), 0);
}

typedef struct security_case {
    const char *path;
    int status;
    const char *referrer;
    const char *frame;
    const char *transport;
} security_case;

static void test_security_headers_go_with_every_answer_once(void **state)
{
    static const char hsts[] = "max-age=31536000; includeSubDomains";
    static const security_case cases[] = {
        { "/hello", 200, "no-referrer", "DENY", NULL },
        { "/fails", 400, "no-referrer", "DENY", NULL },
        { "/nowhere", 404, "no-referrer", "DENY", NULL },
        { "/framed", 200, "no-referrer", "SAMEORIGIN", NULL },
        { "/streamed", 200, "origin", "DENY", NULL },
        { "/files/small", 200, "no-referrer", "DENY", NULL },
        { "/files/large", 200, "no-referrer", "DENY", NULL },
        { "/files/none", 404, "no-referrer", "DENY", NULL },
        /* the inner layer's are closer */
        { "/careful/hello", 200, "no-referrer", "SAMEORIGIN", hsts },
    };
    (void)state;
    char files[64];
    make_files(files, sizeof files);
    begin(ENVIRONMENT("WORKERS=1", files));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const security_case *c = &cases[i];
        answer a;
        http_get(server.port, c->path, &a);
        check_status(c->path, &a, c->status);
        check_field(c->path, &a, "X-Content-Type-Options", "nosniff");
        check_field(c->path, &a, "Content-Security-Policy", "frame-ancestors 'none'");
        check_field(c->path, &a, "Cross-Origin-Opener-Policy", "same-origin");
        check_field(c->path, &a, "Cross-Origin-Resource-Policy", "same-origin");
        check_field(c->path, &a, "Referrer-Policy", c->referrer);
        check_field(c->path, &a, "X-Frame-Options", c->frame);
        check_field(c->path, &a, "Strict-Transport-Security", c->transport);
        answer_free(&a);
    }
    remove_files(files);
}

static void test_header_fields_replaced_and_defaulted_stand_once(void **state)
{
    (void)state;
    answer a;
    begin(ENVIRONMENT("WORKERS=1"));
    http_get(server.port, "/replaced", &a);
    check_status("/replaced", &a, 200);
    assert_true(str_eq(a.body, STR("2")));
    check_field("replaced", &a, "X-A", "4");
    check_field("kept", &a, "X-B", "2");
    check_field("replaced nothing", &a, "X-C", "5");
    check_field("defaulted twice", &a, "X-D", "8");
    answer_free(&a);
}

/* --- CORS ------------------------------------------------------------------------------------- */

#define APP       "Origin: https://app.example\r\n"
#define PREFLIGHT "Access-Control-Request-Method: DELETE\r\n"

typedef struct cors_case {
    const char *method, *path, *fields;
    int status;
    const char *origin; /* Access-Control-Allow-Origin */
    const char *credentials;
    const char *methods;
    const char *headers;
    const char *exposed;
    const char *max_age;
} cors_case;

static const cors_case CORS_CASES[] = {
    { "GET", "/listed/hello", APP, 200, "https://app.example", "true", NULL, NULL, "X-Total, ETag",
      NULL },
    { "GET", "/listed/fails", APP, 400, "https://app.example", "true", NULL, NULL, "X-Total, ETag",
      NULL },
    { "GET", "/listed/streamed", APP, 200, "https://app.example", "true", NULL, NULL,
      "X-Total, ETag", NULL },
    { "POST", "/listed/hello", APP, 405, "https://app.example", "true", NULL, NULL, "X-Total, ETag",
      NULL },
    { "OPTIONS", "/listed/hello", APP PREFLIGHT, 204, "https://app.example", "true",
      "GET, HEAD, DELETE", "Authorization, Content-Type", NULL, "600" },
    /* no preflight: the path's own answer */
    { "OPTIONS", "/listed/hello", APP, 204, "https://app.example", "true", NULL, NULL,
      "X-Total, ETag", NULL },
    { "GET", "/listed/hello", "Origin: http://a.dev.example:3000\r\n", 200,
      "http://a.dev.example:3000", "true", NULL, NULL, "X-Total, ETag", NULL },
    /* not listed, or not an origin: handled, but not to be read */
    { "GET", "/listed/hello", "", 200, NULL, NULL, NULL, NULL, NULL, NULL },
    { "GET", "/listed/hello", "Origin: http://app.example\r\n", 200, NULL, NULL, NULL, NULL, NULL,
      NULL },
    { "GET", "/listed/hello", "Origin: https://app.example.evil\r\n", 200, NULL, NULL, NULL, NULL,
      NULL, NULL },
    { "GET", "/listed/hello", "Origin: null\r\n", 200, NULL, NULL, NULL, NULL, NULL, NULL },
    { "GET", "/listed/hello", "Origin: \r\n", 200, NULL, NULL, NULL, NULL, NULL, NULL },
    { "GET", "/listed/hello", APP APP, 200, NULL, NULL, NULL, NULL, NULL, NULL },
    { "OPTIONS", "/listed/hello", "Origin: https://evil.example\r\n" PREFLIGHT, 204, NULL, NULL,
      NULL, NULL, NULL, NULL },
    { "GET", "/everybody/hello", APP, 200, "*", NULL, NULL, NULL, NULL, NULL },
    { "GET", "/everybody/hello", "Origin: null\r\n", 200, "*", NULL, NULL, NULL, NULL, NULL },
    { "OPTIONS", "/everybody/hello", APP PREFLIGHT, 204, "*", NULL, "GET, PURGE", "*", NULL, NULL },
};

static void test_cors_answers_by_origin(void **state)
{
    (void)state;
    begin(ENVIRONMENT("WORKERS=1"));
    for (size_t i = 0; i < ARRAY_LEN(CORS_CASES); i++) {
        const cors_case *c = &CORS_CASES[i];
        char what[256];
        answer a;
        (void)snprintf(what, sizeof what, "%zu: %s %s %s", i, c->method, c->path, c->fields);
        ask(c->method, c->path, c->fields, &a);
        check_status(what, &a, c->status);
        check_field(what, &a, "Vary", "Origin");
        check_field(what, &a, "Access-Control-Allow-Origin", c->origin);
        check_field(what, &a, "Access-Control-Allow-Credentials", c->credentials);
        check_field(what, &a, "Access-Control-Allow-Methods", c->methods);
        check_field(what, &a, "Access-Control-Allow-Headers", c->headers);
        check_field(what, &a, "Access-Control-Expose-Headers", c->exposed);
        check_field(what, &a, "Access-Control-Max-Age", c->max_age);
        answer_free(&a);
    }
}

static void test_layer_options_that_are_bad_are_told_at_the_start(void **state)
{
    (void)state;
    char log[4096];
    assert_int_equal(
        server_run_to_end(getenv("SHIELDED"), ENVIRONMENT("CAREFREE=1"), log, sizeof log), 1);
    assert_non_null(strstr(log, "http_cors: credentials need a list of origins, not \"*\""));
}

/* --- where a request comes from --------------------------------------------------------------- */

static bool is_own_id(str id)
{
    return id.len == 16 && str_trim(id, STR("0123456789abcdef")).len == 0;
}

typedef struct id_case {
    const char *path;
    const char *field;
    const char *value; /* NULL: none */
    bool taken;
} id_case;

#define LONGEST                                                        \
    "0123456789012345678901234567890123456789012345678901234567890123" \
    "0123456789012345678901234567890123456789012345678901234567890123"

static const id_case IDS[] = {
    { "/named/whence", "X-Request-Id", "a-B_9.:+/=~@", true },
    { "/named/whence", "X-Request-Id", LONGEST, true },
    { "/named/whence", "X-Request-Id", NULL, false },
    { "/named/whence", "X-Request-Id", "", false },
    { "/named/whence", "X-Request-Id", LONGEST "0", false },
    { "/named/whence", "X-Request-Id", "a b", false },
    { "/named/whence", "X-Request-Id", "a\"b", false },
    { "/named/whence", "X-Request-Id", "a\xC3\xBC", false },
    { "/proxied/whence", "X-Correlation-Id", "from-anybody", false },
};

static void test_request_id_that_is_harmless_is_taken_over(void **state)
{
    (void)state;
    begin(ENVIRONMENT("WORKERS=1"));
    for (size_t i = 0; i < ARRAY_LEN(IDS); i++) {
        const id_case *c = &IDS[i];
        char line[256] = "";
        answer a;
        if (c->value)
            (void)snprintf(line, sizeof line, "%s: %s\r\n", c->field, c->value);
        ask("GET", c->path, line, &a);
        check_status(c->path, &a, 200);
        if (c->taken != !is_own_id(a.body) || (c->taken && !str_eq(a.body, str_from_c(c->value))))
            fail_msg("%s%s: %.*s", line, c->path, STR_ARG(a.body));
        assert_true(str_eq(answer_header(&a, c->field), a.body));
        answer_free(&a);
    }
    assert_true(server_logged(&server, "a-B_9.:+/=~@"));
    assert_false(server_logged(&server, "from-anybody"));
}

static void test_request_id_of_a_trusted_proxy_is_taken_over(void **state)
{
    (void)state;
    answer a;
    begin(ENVIRONMENT("WORKERS=1", "HTTP_TRUSTED_PROXIES=127.0.0.0/8"));
    ask("GET", "/proxied/whence", "X-Correlation-Id: from-a-proxy\r\n", &a);
    assert_true(str_eq(a.body, STR("from-a-proxy")));
    check_field("proxied", &a, "X-Correlation-Id", "from-a-proxy");
    answer_free(&a);
}

#define TRACE_ID "0af7651916cd43dd8448eb211c80319c"
#define SPAN_ID  "b7ad6b7169203331"

static void test_trace_that_is_valid_goes_on_and_another_begins(void **state)
{
    (void)state;
    answer a;
    char parent[64];
    begin(ENVIRONMENT("WORKERS=1"));
    ask("GET", "/named/whence",
        "traceparent: 00-" TRACE_ID "-" SPAN_ID "-01\r\ntracestate: a=1\r\ntracestate: b=2\r\n",
        &a);
    check_field("valid", &a, "X-Trace", TRACE_ID);
    check_field("valid", &a, "X-Caller", SPAN_ID);
    check_field("valid", &a, "X-State", "a=1,b=2");
    (void)snprintf(parent, sizeof parent, "00-" TRACE_ID "-%.*s-01", STR_ARG(a.body));
    check_field("valid", &a, "X-Parent", parent);
    answer_free(&a);
    ask("GET", "/named/whence", "traceparent: 00-" TRACE_ID "-" SPAN_ID "\r\ntracestate: a=1\r\n",
        &a);
    const str fresh = answer_header(&a, "X-Trace");
    assert_true(fresh.len == 32 && !str_eq(fresh, STR(TRACE_ID)));
    check_field("invalid", &a, "X-Caller", "-");
    check_field("invalid", &a, "X-State", "-");
    (void)snprintf(parent, sizeof parent, "00-%.*s-%.*s-00", STR_ARG(fresh), STR_ARG(a.body));
    check_field("invalid", &a, "X-Parent", parent);
    answer_free(&a);
}

typedef struct client_case {
    const char *fields;
    const char *client;
} client_case;

static void check_clients(const client_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        answer a;
        ask("GET", "/named/whence", cases[i].fields, &a);
        check_status(cases[i].fields, &a, 200);
        check_field(cases[i].fields, &a, "X-Client", cases[i].client);
        answer_free(&a);
    }
}

static void test_client_address_is_what_trusted_proxies_say(void **state)
{
    static const client_case cases[] = {
        { "", "127.0.0.1" },
        { "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1" },
        { "X-Forwarded-For: 203.0.113.9, 192.0.2.1\r\nX-Forwarded-For: 10.0.0.1\r\n", "192.0.2.1" },
        { "X-Forwarded-For: 192.0.2.1, rubbish\r\n", "127.0.0.1" },
        { "Forwarded: for=192.0.2.1\r\n", "127.0.0.1" },
    };
    (void)state;
    begin(ENVIRONMENT("WORKERS=1", "HTTP_TRUSTED_PROXIES=127.0.0.1, 10.0.0.0/8"));
    check_clients(cases, ARRAY_LEN(cases));
}

static void test_client_address_stands_in_the_access_log(void **state)
{
    (void)state;
    answer a;
    const uint64_t until = test_clock_ms() + PEER_WAIT_MS;
    begin(ENVIRONMENT("WORKERS=1", "HTTP_ACCESS_LOG=on", "LOG_FORMAT=logfmt",
                      "HTTP_TRUSTED_PROXIES=127.0.0.1"));
    ask("GET", "/hello", "X-Forwarded-For: 192.0.2.1\r\n", &a);
    answer_free(&a);
    while (!server_logged(&server, "client=192.0.2.1") && test_clock_ms() < until)
        test_pause_ms(10);
    assert_true(server_logged(&server, "client=192.0.2.1"));
}

static void test_client_address_from_forwarded_when_told_so(void **state)
{
    static const client_case cases[] = {
        { "Forwarded: for=\"[2001:db8::7]:80\";proto=https\r\n", "2001:db8::7" },
        { "X-Forwarded-For: 192.0.2.1\r\n", "127.0.0.1" },
    };
    (void)state;
    begin(
        ENVIRONMENT("WORKERS=1", "HTTP_TRUSTED_PROXIES=127.0.0.1", "HTTP_PROXY_HEADER=forwarded"));
    check_clients(cases, ARRAY_LEN(cases));
}

static void test_client_address_of_an_untrusted_peer_is_its_own(void **state)
{
    static const client_case cases[] = {
        { "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n", "127.0.0.1" },
    };
    (void)state;
    begin(ENVIRONMENT("WORKERS=1", "HTTP_TRUSTED_PROXIES=10.0.0.0/8"));
    check_clients(cases, ARRAY_LEN(cases));
}

static void test_trusted_proxies_that_are_bad_refuse_to_start(void **state)
{
    (void)state;
    char log[4096];
    assert_int_equal(server_run_to_end(getenv("SHIELDED"),
                                       ENVIRONMENT("HTTP_TRUSTED_PROXIES=10.0.0.1/8"), log,
                                       sizeof log),
                     2);
    assert_non_null(strstr(log, "HTTP_TRUSTED_PROXIES"));
    assert_non_null(strstr(log, "10.0.0.1/8"));
}

/* --- rate limits ------------------------------------------------------------------------------ */

static void test_rate_limit_holds_over_all_workers(void **state)
{
    (void)state;
    int allowed = 0, refused = 0;
    char first[16] = "", last[16] = "";
    bool two_workers = false;
    begin(ENVIRONMENT("WORKERS=2"));
    for (int i = 0; i < 80; i++) {
        answer a;
        http_get(server.port, i % 3 == 0 ? "/also/which" : "/addresses/which", &a);
        check_field("each", &a, "RateLimit-Policy", "\"default\";q=1;w=3600");
        if (a.status == 200) {
            char left[64];
            (void)snprintf(left, sizeof left, "\"default\";r=%d;t=", 19 - allowed);
            assert_true(str_starts_with(answer_header(&a, "RateLimit"), str_from_c(left)));
            check_field("allowed", &a, "Retry-After", NULL);
            (void)snprintf(last, sizeof last, "%.*s", STR_ARG(a.body));
            if (allowed++ == 0)
                memcpy(first, last, sizeof first);
            two_workers = two_workers || strcmp(first, last) != 0;
        } else {
            uint64_t wait;
            check_status("refused", &a, 429);
            assert_true(str_to_uint64(answer_header(&a, "Retry-After"), &wait));
            assert_in_range(wait, 3000, 3600);
            assert_true(str_starts_with(answer_header(&a, "RateLimit"), STR("\"default\";r=0;t=")));
            refused++;
        }
        answer_free(&a);
    }
    assert_int_equal(allowed, 20);
    assert_int_equal(refused, 60);
    assert_true(two_workers);
}

typedef struct key_case {
    const char *path;
    const char *fields;
    int status;
} key_case;

static void check_statuses(const key_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        answer a;
        ask("GET", cases[i].path, cases[i].fields, &a);
        check_status(cases[i].path, &a, cases[i].status);
        answer_free(&a);
    }
}

static void test_rate_limit_counts_by_the_key_it_is_told(void **state)
{
    static const key_case cases[] = {
        { "/keys/which?key=a", "", 200 }, { "/keys/fails?key=a", "", 400 },
        { "/keys/which?key=a", "", 429 }, { "/keys/which?key=b", "", 200 },
        { "/keys/which", "", 200 }, /* counts for nobody */
        { "/keys/which", "", 200 },       { "/keys/which", "", 200 },
    };
    (void)state;
    begin(ENVIRONMENT("WORKERS=1"));
    check_statuses(cases, ARRAY_LEN(cases));
    answer a;
    http_get(server.port, "/keys/which", &a);
    check_field("nobody", &a, "RateLimit", NULL);
    answer_free(&a);
}

static void use_up(const char *fields)
{
    for (int i = 0; i < 20; i++) {
        const key_case once = { "/addresses/which", fields, 200 };
        check_statuses(&once, 1);
    }
}

static void test_rate_limit_counts_by_the_address_that_proxies_tell(void **state)
{
    static const key_case cases[] = {
        { "/addresses/which", "X-Forwarded-For: 192.0.2.1\r\n", 429 },
        { "/addresses/which", "X-Forwarded-For: 192.0.2.2\r\n", 200 },
        { "/addresses/which", "X-Forwarded-For: 2001:db8:1:2:ffff::1\r\n", 429 }, /* its /64 */
        { "/addresses/which", "X-Forwarded-For: 2001:db8:1:3::1\r\n", 200 },
        { "/addresses/which", "", 200 },
    };
    (void)state;
    begin(ENVIRONMENT("WORKERS=1", "HTTP_TRUSTED_PROXIES=127.0.0.1"));
    use_up("X-Forwarded-For: 192.0.2.1\r\n");
    use_up("X-Forwarded-For: 2001:db8:1:2::1\r\n");
    check_statuses(cases, ARRAY_LEN(cases));
}

/* --- entity tags ------------------------------------------------------------------------------ */

/* "text/plain; charset=utf-8", NUL, "hello", by sha256sum. */
#define TAG   "\"1e4f55df03e63805c74cb62285767914\""
#define OTHER "\"00000000000000000000000000000000\""

typedef struct tag_case {
    const char *method, *path, *fields;
    int status;
    const char *tag; /* NULL: none */
} tag_case;

static const tag_case TAGS[] = {
    { "GET", "/tagged/hello", "", 200, TAG },
    { "GET", "/tagged/hello", "If-None-Match: " TAG "\r\n", 304, TAG },
    { "GET", "/tagged/hello", "If-None-Match: W/" TAG "\r\n", 304, TAG },
    { "GET", "/tagged/hello", "If-None-Match: *\r\n", 304, TAG },
    { "GET", "/tagged/hello", "If-None-Match: " OTHER ", " TAG "\r\n", 304, TAG },
    { "GET", "/tagged/hello", "If-None-Match: " OTHER "\r\nIf-None-Match: " TAG "\r\n", 304, TAG },
    { "GET", "/tagged/hello", "If-None-Match: " OTHER "\r\n", 200, TAG },
    { "GET", "/tagged/hello", "If-None-Match: rubbish\r\n", 200, TAG },
    { "GET", "/tagged/hello", "If-None-Match: \r\n", 200, TAG },
    { "GET", "/tagged/hello", "If-Match: " TAG "\r\n", 200, TAG },
    { "GET", "/tagged/hello", "If-Match: *\r\n", 200, TAG },
    { "GET", "/tagged/hello", "If-Match: W/" TAG "\r\n", 412, NULL },
    { "GET", "/tagged/hello", "If-Match: " OTHER "\r\n", 412, NULL },
    { "GET", "/tagged/hello", "If-Match: " TAG "\r\nIf-None-Match: " TAG "\r\n", 304, TAG },
    { "POST", "/tagged/hello", "Content-Length: 0\r\nIf-Match: " OTHER "\r\n", 200, NULL },
    { "GET", "/tagged/fails", "If-Match: " OTHER "\r\n", 400, NULL },
    { "GET", "/tagged/streamed", "If-None-Match: *\r\n", 200, NULL },
    { "GET", "/tagged/created", "If-None-Match: *\r\n", 201, NULL },
    { "GET", "/tagged/secret", "If-None-Match: *\r\n", 200, NULL },
    { "GET", "/tagged/large", "If-None-Match: *\r\n", 200, NULL },
    { "GET", "/tagged/versioned", "If-None-Match: \"v7\"\r\n", 304, "W/\"v7\"" },
    { "GET", "/tagged/versioned", "If-None-Match: \"v8\"\r\n", 200, "W/\"v7\"" },
    { "GET", "/tagged/versioned", "If-Match: W/\"v7\"\r\n", 412, NULL },
};

static void test_etag_names_the_bytes_and_saves_sending_them(void **state)
{
    (void)state;
    begin(ENVIRONMENT("WORKERS=2"));
    for (size_t i = 0; i < ARRAY_LEN(TAGS); i++) {
        const tag_case *c = &TAGS[i];
        char what[256];
        answer a;
        (void)snprintf(what, sizeof what, "%zu: %s %s %s", i, c->method, c->path, c->fields);
        ask(c->method, c->path, c->fields, &a);
        check_status(what, &a, c->status);
        check_field(what, &a, "ETag", c->tag);
        assert_true(c->status != 304 || a.body.len == 0);
        answer_free(&a);
    }
}

static void test_etag_differs_by_type_and_is_the_same_to_head(void **state)
{
    (void)state;
    answer a;
    peer p;
    begin(ENVIRONMENT("WORKERS=1"));
    http_get(server.port, "/tagged/typed", &a);
    assert_int_equal(answer_header(&a, "ETag").len, strlen(TAG));
    assert_false(str_eq(answer_header(&a, "ETag"), STR(TAG)));
    answer_free(&a);
    peer_connect(&p, server.port);
    peer_sendf(&p, "HEAD /tagged/hello HTTP/1.1\r\nHost: x\r\n\r\n");
    peer_read(&p, true, &a);
    check_status("HEAD", &a, 200);
    check_field("HEAD", &a, "ETag", TAG);
    answer_free(&a);
    peer_sendf(&p, "HEAD /tagged/hello HTTP/1.1\r\nHost: x\r\nIf-None-Match: " TAG "\r\n\r\n");
    peer_read(&p, true, &a);
    check_status("HEAD", &a, 304);
    answer_free(&a);
    peer_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_security_headers_go_with_every_answer_once, server_teardown),
        cmocka_unit_test_teardown(test_header_fields_replaced_and_defaulted_stand_once,
                                  server_teardown),
        cmocka_unit_test_teardown(test_cors_answers_by_origin, server_teardown),
        cmocka_unit_test_teardown(test_layer_options_that_are_bad_are_told_at_the_start,
                                  server_teardown),
        cmocka_unit_test_teardown(test_request_id_that_is_harmless_is_taken_over, server_teardown),
        cmocka_unit_test_teardown(test_request_id_of_a_trusted_proxy_is_taken_over,
                                  server_teardown),
        cmocka_unit_test_teardown(test_trace_that_is_valid_goes_on_and_another_begins,
                                  server_teardown),
        cmocka_unit_test_teardown(test_client_address_is_what_trusted_proxies_say, server_teardown),
        cmocka_unit_test_teardown(test_client_address_stands_in_the_access_log, server_teardown),
        cmocka_unit_test_teardown(test_client_address_from_forwarded_when_told_so, server_teardown),
        cmocka_unit_test_teardown(test_client_address_of_an_untrusted_peer_is_its_own,
                                  server_teardown),
        cmocka_unit_test_teardown(test_trusted_proxies_that_are_bad_refuse_to_start,
                                  server_teardown),
        cmocka_unit_test_teardown(test_rate_limit_holds_over_all_workers, server_teardown),
        cmocka_unit_test_teardown(test_rate_limit_counts_by_the_key_it_is_told, server_teardown),
        cmocka_unit_test_teardown(test_rate_limit_counts_by_the_address_that_proxies_tell,
                                  server_teardown),
        cmocka_unit_test_teardown(test_etag_names_the_bytes_and_saves_sending_them,
                                  server_teardown),
        cmocka_unit_test_teardown(test_etag_differs_by_type_and_is_the_same_to_head,
                                  server_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
