/* URLs that are called: their parts, what is refused, and what references mean beside them. */
#include "url.h"

#include "tests/support/exact_copy.h"
#include "tests/support/in_fiber.h"

static int setup(void **state)
{
    static arena memory;
    arena_init(&memory, (size_t)64 << 20);
    *state = &memory;
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(*state);
    return 0;
}

typedef struct url_case {
    const char *url;
    const char *text; /* what it is the same as; NULL: refused */
    const char *host;
    uint16_t port;
    const char *authority;
    const char *target;
} url_case;

static const url_case URLS[] = {
    { "http://a", "http://a/", "a", 80, "a", "/" },
    { "https://a", "https://a/", "a", 443, "a", "/" },
    { "HTTPS://Issuer.Example/.well-known/jwks.json",
      "https://issuer.example/.well-known/jwks.json", "issuer.example", 443, "issuer.example",
      "/.well-known/jwks.json" },
    { "http://a:80/", "http://a/", "a", 80, "a", "/" },
    { "https://a:80/", "https://a:80/", "a", 80, "a:80", "/" },
    { "http://a:65535/b", "http://a:65535/b", "a", 65535, "a:65535", "/b" },
    { "http://a?b=c", "http://a/?b=c", "a", 80, "a", "/?b=c" },
    { "http://a/?", "http://a/?", "a", 80, "a", "/?" },
    { "http://a/b#c", "http://a/b", "a", 80, "a", "/b" },
    { "http://a#b", "http://a/", "a", 80, "a", "/" },
    { "http://a/b/../c/./d", "http://a/c/d", "a", 80, "a", "/c/d" },
    { "http://a/%2e%2E/b", NULL },
    { "http://a/b%20c?d=%41", "http://a/b%20c?d=%41", "a", 80, "a", "/b%20c?d=%41" },
    { "http://a//b", "http://a//b", "a", 80, "a", "//b" },
    { "http://127.0.0.1:8080/", "http://127.0.0.1:8080/", "127.0.0.1", 8080, "127.0.0.1:8080",
      "/" },
    { "http://[::1]/", "http://[::1]/", "::1", 80, "[::1]", "/" },
    { "http://[2001:DB8::1]:81/", "http://[2001:db8::1]:81/", "2001:db8::1", 81, "[2001:db8::1]:81",
      "/" },
    { "http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/", "xn--bcher-kva.example", 80,
      "xn--bcher-kva.example", "/" },
    { "http://my_service.internal/", "http://my_service.internal/", "my_service.internal", 80,
      "my_service.internal", "/" },
    { "http://a/@b:c", "http://a/@b:c", "a", 80, "a", "/@b:c" },
    /* no URL of ours */
    { "" },
    { "a" },
    { "/a" },
    { "//a/b" },
    { "ftp://a/" },
    { "http:/a" },
    { "http//a" },
    { "http:\\\\a" },
    { " http://a/" },
    { "file:///etc/passwd" },
    /* authorities that are read in two ways, or in none */
    { "http://" },
    { "http:///a" },
    { "http://?a" },
    { "http://user@a/" },
    { "http://user:word@a/" },
    { "http://a@b@c/" },
    { "http://@a/" },
    { "http://a\\@b/" },
    { "http://a\\b/" },
    { "http://a b/" },
    { "http://a\tb/" },
    { "http://a%41/" },
    { "http://a%00/" },
    { "http://b\xC3\xBC"
      "cher.example/" },
    { "http://a,b/" },
    { "http://-a/" },
    { "http://a-/" },
    { "http://a./" },
    { "http://.a/" },
    { "http://a..b/" },
    { "http://a:/" },
    { "http://a:0/" },
    { "http://a:080/" },
    { "http://a:65536/" },
    { "http://a:+80/" },
    { "http://a:-1/" },
    { "http://a:8a/" },
    { "http://a:80:81/" },
    { "http://::1/" },
    { "http://[::1/" },
    { "http://[::1]a/" },
    { "http://[::1]:/" },
    { "http://[fe80::1%25eth0]/" },
    { "http://[127.0.0.1]/" },
    { "http://[]/" },
    { "http://[a]/" },
    /* numbers that some take for addresses */
    { "http://1/" },
    { "http://127.1/" },
    { "http://2130706433/" },
    { "http://0x7f.0.0.1/" },
    { "http://0x7f000001/" },
    { "http://127.0.0.0x1/" },
    { "http://127.0.0.1.1/" },
    { "http://0177.0.0.1/" },
    { "http://256.0.0.1/" },
    /* targets */
    { "http://a/b c" },
    { "http://a/%" },
    { "http://a/%4" },
    { "http://a/%4g" },
    { "http://a/%00" },
    { "http://a/?%00" },
    { "http://a/.." },
    { "http://a/b\r\nHost: c" },
    { "http://a/\x7F" },
    { "http://a/\xC3\xBC" },
    { "http://a/\"" },
    { "http://a/\\b" },
};

static void test_urls_are_taken_apart_or_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(URLS); i++) {
        const url_case *c = &URLS[i];
        const str text = exact_copy(str_from_c(c->url));
        http_url url, again;
        const char *wrong = http_url_parse(*state, text, &url);
        if (!wrong != (c->text != NULL))
            fail_msg("%s: %s", c->url, wrong ? wrong : "taken");
        if (!wrong) {
            assert_str_equal(url.text, str_from_c(c->text));
            assert_str_equal(url.host, str_from_c(c->host));
            assert_str_equal(url.authority, str_from_c(c->authority));
            assert_str_equal(url.target, str_from_c(c->target));
            assert_int_equal(url.port, c->port);
            assert_null(http_url_parse(*state, url.text, &again));
            assert_str_equal(again.text, url.text);
            assert_true(http_url_same_origin(&url, &again));
        }
        exact_free(text);
    }
}

static void test_url_with_a_nul_is_refused(void **state)
{
    static const str texts[] = {
        { "http://a\0b/", 11 },    { "http://a/\0b", 11 },  { "http://a?\0b", 11 },
        { "http://[::1\0]/", 14 }, { "http://a:8\0/", 12 },
    };
    http_url url;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_non_null(http_url_parse(*state, texts[i], &url));
}

static void test_url_at_its_limits_is_taken(void **state)
{
    http_url url;
    char text[HTTP_URL_BYTES_MAX + 2] = "http://a/";
    memset(text + 9, 'b', sizeof text - 10);
    assert_null(http_url_parse(*state, (str){ text, HTTP_URL_BYTES_MAX }, &url));
    assert_non_null(http_url_parse(*state, (str){ text, HTTP_URL_BYTES_MAX + 1 }, &url));
    memset(text + 7, 'a', 63); /* a label */
    text[70] = '/';
    assert_null(http_url_parse(*state, (str){ text, 100 }, &url));
    text[70] = 'a';
    text[71] = '/';
    assert_non_null(http_url_parse(*state, (str){ text, 100 }, &url));
    for (size_t i = 0; i < 256; i++) /* a name of 253 bytes, and of 254 */
        text[7 + i] = i % 2 ? '.' : 'a';
    text[7 + 253] = '/';
    assert_null(http_url_parse(*state, (str){ text, 300 }, &url));
    assert_int_equal(url.host.len, HTTP_HOST_BYTES_MAX);
    text[7 + 253] = 'a';
    text[7 + 254] = '/';
    assert_non_null(http_url_parse(*state, (str){ text, 300 }, &url));
}

static void test_references_mean_what_the_rfc_says(void **state)
{
    static const struct {
        const char *reference;
        const char *text; /* NULL: refused */
    } rows[] = {
        /* RFC 3986, 5.4, as far as it leads to http and stays below the root */
        { "g", "http://a/b/c/g" },
        { "./g", "http://a/b/c/g" },
        { "g/", "http://a/b/c/g/" },
        { "/g", "http://a/g" },
        { "//g", "http://g/" },
        { "?y", "http://a/b/c/d;p?y" },
        { "g?y", "http://a/b/c/g?y" },
        { "#s", "http://a/b/c/d;p?q" },
        { "g#s", "http://a/b/c/g" },
        { "g?y#s", "http://a/b/c/g?y" },
        { ";x", "http://a/b/c/;x" },
        { "", "http://a/b/c/d;p?q" },
        { ".", "http://a/b/c/" },
        { "..", "http://a/b/" },
        { "../g", "http://a/b/g" },
        { "../..", "http://a/" },
        { "../../g", "http://a/g" },
        { "../../../g", NULL },
        { "g:h", NULL },
        { "./g:h", "http://a/b/c/g:h" },
        { "?a:b", "http://a/b/c/d;p?a:b" },
        { "https://g", "https://g/" },
        { "//user@g", NULL },
        { "/g h", NULL },
        { "javascript:alert(1)", NULL },
        { "\\\\g", NULL },
    };
    http_url base, url;
    assert_null(http_url_parse(*state, STR("http://a/b/c/d;p?q"), &base));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *wrong = http_url_resolve(*state, &base, str_from_c(rows[i].reference), &url);
        if (!wrong != (rows[i].text != NULL))
            fail_msg("%s: %s", rows[i].reference, wrong ? wrong : "taken");
        if (!wrong)
            assert_str_equal(url.text, str_from_c(rows[i].text));
    }
    assert_non_null(http_url_resolve(*state, &base, (str){ "/g\0h", 4 }, &url));
}

static void test_origins_differ_by_scheme_host_and_port(void **state)
{
    static const struct {
        const char *other;
        bool same;
    } rows[] = {
        { "http://a:8080/c?d", true }, { "http://A:8080", true },   { "http://a", false },
        { "https://a:8080/", false },  { "http://b:8080/", false },
    };
    http_url base, other;
    assert_null(http_url_parse(*state, STR("http://a:8080/b"), &base));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_null(http_url_parse(*state, str_from_c(rows[i].other), &other));
        assert_int_equal(http_url_same_origin(&base, &other), rows[i].same);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls_are_taken_apart_or_refused),
        cmocka_unit_test(test_url_with_a_nul_is_refused),
        cmocka_unit_test(test_url_at_its_limits_is_taken),
        cmocka_unit_test(test_references_mean_what_the_rfc_says),
        cmocka_unit_test(test_origins_differ_by_scheme_host_and_port),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
