/* Origins and the rules for them, and the options of layers that keep a program from starting. */
#include "layer.h"
#include "origin.h"
#include "router.h"

#include "tests/support/in_fiber.h"

static int setup(void **state)
{
    static arena memory;
    arena_init(&memory, (size_t)16 << 20);
    *state = &memory;
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(*state);
    return 0;
}

static void test_origin_text_is_normal_or_refused(void **state)
{
    static const char *const good[] = {
        "https://a",          "http://a.example:8080",    "http://127.0.0.1",
        "http://[::1]:3000",  "app+x.y-z://a-b.c",        "https://a_b.example",
        "http://localhost:1", "https://xn--bcher-kva.de", "http://a:65535",
    };
    static const char *const bad[] = {
        "",
        "null",
        "*",
        "https://",
        "https:/a",
        "https:a",
        "https://a/",
        "https://a?b",
        "https://a.",
        "https://.a",
        "https://a..b",
        "https://u@a",
        "https://A",
        "HTTPS://a",
        "1http://a",
        "://a",
        "https://a:",
        "https://a:0",
        "https://a:080",
        "https://a:65536",
        "https://a b",
        "https://a,https://b",
        "https://[::1",
        "https://[]",
        "https://[::g]",
        "https://a:b:1",
        "https://*.a.b",
        "https://a%2e",
        "https://\xC3\xBC.de",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(http_is_origin(str_from_c(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (http_is_origin(str_from_c(bad[i])))
            fail_msg("%s is taken for an origin", bad[i]);
    }
    assert_false(http_is_origin(STR_NONE));
}

typedef struct rule_case {
    const char *rule;
    const char *origin;
    bool matches;
} rule_case;

static void test_origin_rule_names_only_what_it_says(void **state)
{
    static const rule_case cases[] = {
        { "https://a.example", "https://a.example", true },
        { "https://a.example", "http://a.example", false },
        { "https://a.example", "https://a.example:8443", false },
        { "https://a.example", "https://b.a.example", false },
        { "https://*.a.example", "https://b.a.example", true },
        { "https://*.a.example", "https://c.b.a.example", true },
        { "https://*.a.example", "https://a.example", false },
        { "https://*.a.example", "https://.a.example", false },
        { "https://*.a.example", "https://evila.example", false },
        { "https://*.a.example", "https://b.a.example:8443", false },
        { "https://*.a.example", "https://b.a.example.evil", false },
        { "https://*.a.example", "http://b.a.example", false },
        { "https://*.a.example:8443", "https://b.a.example:8443", true },
        { "https://*.a.example:8443", "https://b.a.example", false },
        { "https://*.a.example:8443", "https://b.a.example:18443", false },
        { "https://*.a.example:43", "https://b.a.example:8443", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const rule_case *c = &cases[i];
        assert_true(http_is_origin_rule(str_from_c(c->rule)));
        if (http_origin_matches(str_from_c(c->rule), str_from_c(c->origin)) != c->matches)
            fail_msg("%s and %s", c->rule, c->origin);
    }
    assert_false(http_is_origin_rule(STR("https://*.com")));
    assert_false(http_is_origin_rule(STR("https://*")));
    assert_false(http_is_origin_rule(STR("https://*a.example")));
    assert_false(http_is_origin_rule(STR("https://a.*.example")));
    assert_false(http_is_origin_rule(STR("*.a.example")));
    assert_true(http_is_origin_rule(STR("http://*.localhost:3000")));
}

static const http_cors_options CORS_EMPTY = { .credentials = false };
static const http_cors_options CORS_STAR_CREDENTIALS = { .origins = { "*" }, .credentials = true };
static const http_cors_options CORS_STAR_BESIDE = { .origins = { "https://a.example", "*" } };
static const http_cors_options CORS_BAD_ORIGIN = { .origins = { "https://a.example/" } };
static const http_cors_options CORS_NULL_ORIGIN = { .origins = { "null" } };
static const http_cors_options CORS_BAD_HEADER = { .origins = { "*" }, .headers = { "X A" } };
static const http_cors_options CORS_STAR_HEADER = { .origins = { "https://a.example" },
                                                    .headers = { "*" },
                                                    .credentials = true };
static const http_security_options SECURITY_FRAME = { .frame_options = "ALLOWALL" };
static const http_security_options SECURITY_BREAK = { .referrer_policy = "a\r\nb" };
static const http_security_options SECURITY_HSTS = { .hsts_subdomains = true };

typedef struct option_case {
    const char *name;
    http_layer layer;
} option_case;

static const option_case BAD_OPTIONS[] = {
    { "cors without options", { http_cors, NULL } },
    { "cors without origins", { http_cors, &CORS_EMPTY } },
    { "cors for everybody with credentials", { http_cors, &CORS_STAR_CREDENTIALS } },
    { "cors for everybody beside an origin", { http_cors, &CORS_STAR_BESIDE } },
    { "cors with a path", { http_cors, &CORS_BAD_ORIGIN } },
    { "cors for null", { http_cors, &CORS_NULL_ORIGIN } },
    { "cors with a bad header name", { http_cors, &CORS_BAD_HEADER } },
    { "cors with every header and credentials", { http_cors, &CORS_STAR_HEADER } },
    { "a frame option there is not", { http_security_headers, &SECURITY_FRAME } },
    { "a line break in a field", { http_security_headers, &SECURITY_BREAK } },
    { "subdomains without an age", { http_security_headers, &SECURITY_HSTS } },
};

static void test_layer_options_that_are_bad_refuse_to_start(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(BAD_OPTIONS); i++) {
        const http_group group = { .layers = { BAD_OPTIONS[i].layer } };
        router *r;
        const error e = http_router_build(*state, NULL, &group, 1, &r);
        if (!error_is(e, &HTTP_LAYER_INVALID))
            fail_msg("%s: is taken", BAD_OPTIONS[i].name);
        assert_fails(HTTP_LAYER_INVALID,
                     http_router_build(*state, group.layers, &(http_group){ 0 }, 1, &r));
    }
}

static error own_layer(http_request *req, const http_next *next)
{
    return http_proceed(req, next);
}

static void test_layer_with_the_same_options_is_prepared_once(void **state)
{
    static const http_security_options other = { .frame_options = "" };
    http_prepared *known = NULL;
    const http_layer layer = { http_security_headers, NULL }, differs = { layer.run, &other };
    const http_layer own = { own_layer, &other };
    http_layer a, b, c, d;
    assert_ok(http_layer_prepare(*state, &known, &layer, &a));
    assert_ok(http_layer_prepare(*state, &known, &differs, &b));
    assert_ok(http_layer_prepare(*state, &known, &layer, &c));
    assert_ok(http_layer_prepare(*state, &known, &own, &d));
    assert_ptr_equal(a.options, c.options);
    assert_ptr_not_equal(a.options, b.options);
    assert_ptr_equal(d.options, &other);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origin_text_is_normal_or_refused),
        cmocka_unit_test(test_origin_rule_names_only_what_it_says),
        cmocka_unit_test(test_layer_options_that_are_bad_refuse_to_start),
        cmocka_unit_test(test_layer_with_the_same_options_is_prepared_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

int main(void)
{
    return run_in_fiber(run);
}
