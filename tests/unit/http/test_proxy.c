/* Addresses, trusted networks, and which hop of a forwarded request is believed. */
#include "proxy.h"

#include "core/config.h"
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

static void test_ip_text_is_normal_again(void **state)
{
    static const char *const cases[][2] = {
        { "192.0.2.1", "192.0.2.1" },
        { "::ffff:192.0.2.1", "192.0.2.1" },
        { "2001:DB8:0::1", "2001:db8::1" },
        { "::", "::" },
        { "::1", "::1" },
        { "0.0.0.0", "0.0.0.0" },
        { "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" },
    };
    static const char *const bad[] = {
        "",           "1.2.3",
        "1.2.3.4.5",  "256.1.1.1",
        "01.2.3.4",   "1.2.3.4 ",
        "fe80::1%1",  "localhost",
        "[::1]",      "1:2",
        ":::",        "12345::",
        "1.2.3.4:80", "unknown",
        "0x1.2.3.4",  "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"
    };
    http_ip ip;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(http_ip_parse(str_from_c(cases[i][0]), &ip));
        assert_str_equal(http_ip_text(*state, &ip), str_from_c(cases[i][1]));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (http_ip_parse(str_from_c(bad[i]), &ip))
            fail_msg("\"%s\" is taken for an address", bad[i]);
    }
    assert_false(http_ip_parse(STR("1.2.3.4\0"), &ip));
    assert_false(http_ip_parse(STR_NONE, &ip));
}

typedef struct trust_case {
    const char *trust;
    const char *ip;
    bool trusted;
} trust_case;

static void test_trust_is_of_the_networks_named(void **state)
{
    static const trust_case cases[] = {
        { "10.0.0.0/8", "10.255.1.2", true },
        { "10.0.0.0/8", "11.0.0.1", false },
        { "10.0.0.0/8", "::ffff:10.1.1.1", true },
        { "10.0.0.0/8", "a00::1", false },
        { "10.128.0.0/9", "10.127.255.255", false },
        { "10.128.0.0/9", "10.128.0.0", true },
        { "192.0.2.7", "192.0.2.7", true },
        { "192.0.2.7", "192.0.2.6", false },
        { "192.0.2.7/32", "192.0.2.7", true },
        { "0.0.0.0/0", "203.0.113.9", true },
        { "0.0.0.0/0", "2001:db8::1", false },
        { "2001:db8::/33", "2001:db8:7fff::1", true },
        { "2001:db8::/33", "2001:db8:8000::1", false },
        { "::1, 10.0.0.0/8 192.0.2.0/24,", "192.0.2.200", true },
        { "::1, 10.0.0.0/8 192.0.2.0/24,", "::1", true },
        { "::1, 10.0.0.0/8 192.0.2.0/24,", "::2", false },
        { "", "127.0.0.1", false },
        { "unix", "127.0.0.1", false },
    };
    static const char *const bad[] = { "10.0.0.0/33", "10.0.0.1/8",  "::1/129", "10.0.0.0/",
                                       "10.0.0.0/-1", "10.0.0.0/8/", "proxy",   "/8",
                                       "::1/127",     "10.0.0.0/+8" };
    (void)state;
    http_trust trust;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const trust_case *c = &cases[i];
        http_ip ip;
        assert_ok(http_trust_parse(str_from_c(c->trust), &trust));
        assert_true(http_ip_parse(str_from_c(c->ip), &ip));
        if (http_trusts(&trust, &ip) != c->trusted)
            fail_msg("\"%s\" and %s", c->trust, c->ip);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(CONFIG_INVALID, http_trust_parse(str_from_c(bad[i]), &trust));
    assert_ok(http_trust_parse(STR("unix ::1"), &trust));
    assert_true(trust.unix_sockets);
    assert_int_equal(trust.count, 1);
}

typedef struct hop_case {
    const char *first;  /* the fields, in order */
    const char *second; /* NULL: none */
    const char *client; /* NULL: the peer's address stays */
} hop_case;

static void check_hops(arena *a, http_proxy_field field, const hop_case *c)
{
    http_trust trust;
    http_hops hops = { .count = 0 };
    http_ip ip;
    assert_ok(http_trust_parse(STR("10.0.0.0/8 2001:db8::/32"), &trust));
    http_hops_add(&hops, field, str_from_c(c->first));
    if (c->second)
        http_hops_add(&hops, field, str_from_c(c->second));
    const bool found = http_hops_client(&hops, &trust, &ip);
    const str text = found ? http_ip_text(a, &ip) : STR_NONE;
    if (found != (c->client != NULL) || !str_eq(text, str_from_c(c->client)))
        fail_msg("%s + %s: %.*s instead of %s", c->first, c->second ? c->second : "nothing",
                 STR_ARG(text), c->client ? c->client : "the peer");
}

static void test_x_forwarded_for_gives_the_newest_hop_not_trusted(void **state)
{
    static const hop_case cases[] = {
        { "192.0.2.1", NULL, "192.0.2.1" },
        { "203.0.113.9, 192.0.2.1", NULL, "192.0.2.1" }, /* the left one is a claim */
        { "192.0.2.1, 10.1.1.1, 10.2.2.2", NULL, "192.0.2.1" },
        { "10.1.1.1,10.2.2.2", NULL, "10.1.1.1" },
        { "192.0.2.1", "10.1.1.1", "192.0.2.1" },
        { "192.0.2.1", "192.0.2.2", "192.0.2.2" },
        { "rubbish, 192.0.2.1", NULL, "192.0.2.1" },
        { "192.0.2.1, rubbish", NULL, NULL },
        { "192.0.2.1, rubbish, 10.1.1.1", NULL, NULL },
        { "192.0.2.1:4711", NULL, "192.0.2.1" },
        { "[2001:db9::1]:4711", NULL, "2001:db9::1" },
        { "[2001:db9::1]", NULL, "2001:db9::1" },
        { "2001:db9::1", NULL, "2001:db9::1" },
        { "192.0.2.1, 2001:db8::5", NULL, "192.0.2.1" },
        { "\t192.0.2.1 ,, ", NULL, "192.0.2.1" },
        { "", NULL, NULL },
        { ",", ", ,", NULL },
        { "[192.0.2.1]", NULL, NULL },
        { "192.0.2.1:", NULL, NULL },
        { "192.0.2.1:80x", NULL, NULL },
        { "192.0.2.1:123456", NULL, NULL },
        { "[2001:db9::1", NULL, NULL },
        { "[2001:db9::1]x", NULL, NULL },
        { "unknown", NULL, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_hops(*state, HTTP_PROXY_X_FORWARDED_FOR, &cases[i]);
}

static void test_forwarded_gives_the_newest_hop_not_trusted(void **state)
{
    static const hop_case cases[] = {
        { "for=192.0.2.1", NULL, "192.0.2.1" },
        { "For=\"[2001:DB9::1]:4711\"", NULL, "2001:db9::1" },
        { "for=192.0.2.1;proto=http;by=203.0.113.43", NULL, "192.0.2.1" },
        { "proto=https; for=192.0.2.1 ; host=\"a,b;for=1.1.1.1\"", NULL, "192.0.2.1" },
        { "for=203.0.113.9, for=192.0.2.1, for=10.1.1.1", NULL, "192.0.2.1" },
        { "for=192.0.2.1", "for=10.1.1.1", "192.0.2.1" },
        { "for=\"192.0.2.1:80\"", NULL, "192.0.2.1" },
        { "for=\"192.0.2\\.1\"", NULL, "192.0.2.1" },
        { ", for=192.0.2.1,", NULL, "192.0.2.1" },
        { ";for=192.0.2.1;", NULL, "192.0.2.1" },
        { "for=192.0.2.1, for=unknown", NULL, NULL },
        { "for=192.0.2.1, for=_hidden", NULL, NULL },
        { "for=192.0.2.1, proto=http", NULL, NULL }, /* a hop that hides its client */
        { "for=192.0.2.1, for=10.1.1.1;for=10.2.2.2", NULL, NULL },
        { "for=192.0.2.1, for=\"10.1.1.1", NULL, NULL },
        { "for=192.0.2.1, for=10.1.1.1\\", NULL, NULL },
        { "for=192.0.2.1, for=\"10.1.1.1\\", NULL, NULL },
        { "for=192.0.2.1, for =10.1.1.1", NULL, NULL },
        { "for=192.0.2.1, for=", NULL, NULL },
        { "for=192.0.2.1, =10.1.1.1", NULL, NULL },
        { "for=192.0.2.1 for=10.1.1.1", NULL, NULL },
        { "for=\"x", "for=192.0.2.1", "192.0.2.1" }, /* one field's quote does not reach on */
        { "for=192.0.2.1:80", NULL, NULL },          /* needs quotes */
        { "192.0.2.1", NULL, NULL },
        { "", NULL, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_hops(*state, HTTP_PROXY_FORWARDED, &cases[i]);
}

static void test_hops_past_the_limit_are_the_oldest(void **state)
{
    http_trust trust;
    http_hops hops = { .count = 0 };
    http_ip ip;
    assert_ok(http_trust_parse(STR("10.0.0.0/8"), &trust));
    http_hops_add(&hops, HTTP_PROXY_X_FORWARDED_FOR, STR("192.0.2.1"));
    for (int i = 1; i < HTTP_HOPS_MAX; i++)
        http_hops_add(&hops, HTTP_PROXY_X_FORWARDED_FOR, STR("10.1.1.1"));
    assert_true(http_hops_client(&hops, &trust, &ip));
    assert_str_equal(http_ip_text(*state, &ip), STR("192.0.2.1"));
    http_hops_add(&hops, HTTP_PROXY_X_FORWARDED_FOR, STR("10.1.1.1"));
    assert_false(http_hops_client(&hops, &trust, &ip));
    http_hops_add(&hops, HTTP_PROXY_X_FORWARDED_FOR, STR("192.0.2.2"));
    assert_true(http_hops_client(&hops, &trust, &ip));
    assert_str_equal(http_ip_text(*state, &ip), STR("192.0.2.2"));
}

static void test_address_of_a_socket_without_ip_is_none(void **state)
{
    (void)state;
    address at;
    http_ip ip;
    assert_true(address_parse(STR("[2001:db8::1]:80"), &at));
    assert_true(http_ip_of(&at, &ip));
    assert_true(address_parse(STR("@nothing"), &at));
    assert_false(http_ip_of(&at, &ip));
    assert_false(http_ip_of(&(address){ 0 }, &ip));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ip_text_is_normal_again),
        cmocka_unit_test(test_trust_is_of_the_networks_named),
        cmocka_unit_test(test_x_forwarded_for_gives_the_newest_hop_not_trusted),
        cmocka_unit_test(test_forwarded_gives_the_newest_hop_not_trusted),
        cmocka_unit_test(test_hops_past_the_limit_are_the_oldest),
        cmocka_unit_test(test_address_of_a_socket_without_ip_is_none),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

int main(void)
{
    return run_in_fiber(run);
}
