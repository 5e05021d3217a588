/* Cookies that are set: what the prefixes of their names promise is kept, or nothing is set. */
#include "conn.h"

#include "tests/support/in_fiber.h"

typedef struct cookie_case {
    http_cookie_options cookie;
    const char *header; /* NULL: refused */
} cookie_case;

#define TEXT(literal_)                    \
    {                                     \
        "" literal_, sizeof(literal_) - 1 \
    }
#define SAFE "; Path=/; Secure; HttpOnly; SameSite=Lax"

static const cookie_case CASES[] = {
    /* RFC 6265bis, 4.1.3.2: Secure, Path=/ and no Domain */
    { { TEXT("__Host-s"), TEXT("v") }, "__Host-s=v" SAFE },
    { { TEXT("__Host-s"), TEXT("v"), .path = TEXT("/") }, "__Host-s=v" SAFE },
    { { TEXT("__Host-s"), TEXT("v"), .path = TEXT("/app") }, NULL },
    { { TEXT("__Host-s"), TEXT("v"), .path = TEXT("//") }, NULL },
    { { TEXT("__Host-s"), TEXT("v"), .domain = TEXT("example.com") }, NULL },
    { { TEXT("__Host-s"), TEXT("v"), .over_plain_http = true }, NULL },
    { { TEXT("__Host-s"), TEXT("v"), .readable_by_scripts = true, .max_age_s = 5 },
      "__Host-s=v; Path=/; Max-Age=5; Secure; SameSite=Lax" },
    { { TEXT("__Host-"), TEXT("v"), .domain = TEXT("example.com") }, NULL },
    /* 4.1.3.1: Secure */
    { { TEXT("__Secure-s"), TEXT("v") }, "__Secure-s=v" SAFE },
    { { TEXT("__Secure-s"), TEXT("v"), .path = TEXT("/a"), .domain = TEXT("example.com") },
      "__Secure-s=v; Path=/a; Domain=example.com; Secure; HttpOnly; SameSite=Lax" },
    { { TEXT("__Secure-s"), TEXT("v"), .over_plain_http = true }, NULL },
    /* browsers look for the prefixes without case */
    { { TEXT("__host-s"), TEXT("v") }, "__host-s=v" SAFE },
    { { TEXT("__host-s"), TEXT("v"), .path = TEXT("/app") }, NULL },
    { { TEXT("__HOST-s"), TEXT("v"), .domain = TEXT("example.com") }, NULL },
    { { TEXT("__hOsT-s"), TEXT("v"), .over_plain_http = true }, NULL },
    { { TEXT("__secure-s"), TEXT("v"), .over_plain_http = true }, NULL },
    { { TEXT("__SECURE-s"), TEXT("v"), .over_plain_http = true }, NULL },
    /* and no other name is one of these */
    { { TEXT("__Host"), TEXT("v"), .path = TEXT("/a") },
      "__Host=v; Path=/a; Secure; HttpOnly; SameSite=Lax" },
    { { TEXT("_Host-s"), TEXT("v"), .over_plain_http = true },
      "_Host-s=v; Path=/; HttpOnly; SameSite=Lax" },
    { { TEXT("x__Secure-s"), TEXT("v"), .over_plain_http = true },
      "x__Secure-s=v; Path=/; HttpOnly; SameSite=Lax" },
    { { TEXT("s"), TEXT("v"), .same_site = HTTP_SAME_SITE_NONE },
      "s=v; Path=/; Secure; HttpOnly; SameSite=None" },
    { { TEXT("s"), TEXT("v"), .same_site = HTTP_SAME_SITE_NONE, .over_plain_http = true }, NULL },
    { { TEXT("s"), TEXT("v"), .path = TEXT("a") }, NULL },
    { { TEXT("s"), TEXT("v"), .path = TEXT("/a;b") }, NULL },
    { { TEXT("s"), TEXT("v"), .domain = TEXT("a;b") }, NULL },
    { { TEXT(""), TEXT("v") }, NULL },
};

static void test_cookie_keeps_what_its_name_promises_or_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        static http_conn c;
        static http_request req;
        c = (http_conn){ .request = &req };
        req = (http_request){ .conn = &c };
        arena_init(&c.arena, 1 << 20);
        buf_init_arena(&req.headers, &c.arena, HTTP_HEADERS_BYTES_MAX);
        const error e = http_set_cookie(&req, &CASES[i].cookie);
        const str set = http_reply_header(&req, STR("Set-Cookie"));
        if (error_is_ok(e) != (CASES[i].header != NULL))
            print_error("%.*s, case %zu\n", STR_ARG(CASES[i].cookie.name), i);
        if (CASES[i].header) {
            assert_ok(e);
            assert_str_equal(set, str_from_c(CASES[i].header));
        } else {
            assert_true(error_is(e, &HTTP_BAD_COOKIE));
            assert_null(set.ptr);
        }
        arena_deinit(&c.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cookie_keeps_what_its_name_promises_or_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
