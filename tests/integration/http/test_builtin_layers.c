/* The engine's own layers over the wire. */
#include "tests/support/http_test.h"

#include <stdio.h>
#include <string.h>

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
        /* the inner layer's are closer */
        { "/careful/hello", 200, "no-referrer", "SAMEORIGIN", hsts },
    };
    (void)state;
    begin(ENVIRONMENT("WORKERS=1"));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_security_headers_go_with_every_answer_once, server_teardown),
        cmocka_unit_test_teardown(test_header_fields_replaced_and_defaulted_stand_once,
                                  server_teardown),
        cmocka_unit_test_teardown(test_cors_answers_by_origin, server_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
