/* Authorities: RFC 3986's grammar, case by case and beside a regular expression of it. */
#include "authority.h"

#include "tests/support/in_fiber.h"
#include "tests/support/random.h"

#include <regex.h>

typedef struct authority_case {
    const char *text;
    const char *host; /* NULL: refused */
    int32_t port;
} authority_case;

static const authority_case CASES[] = {
    { "", "", -1 },
    { "x", "x", -1 },
    { "api.example.com", "api.example.com", -1 },
    { "API.Example.com:8080", "API.Example.com", 8080 },
    { "x:", "x", -1 }, /* RFC 3986, 3.2.3: a port may be empty */
    { "x:0", "x", 0 },
    { "x:00080", "x", 80 },
    { "x:65535", "x", 65535 },
    { "127.0.0.1:1", "127.0.0.1", 1 },
    { "999.1.1.1", "999.1.1.1", -1 }, /* a name by the grammar */
    { "x.", "x.", -1 },
    { "a_b~c-d!$&'()*+,;=", "a_b~c-d!$&'()*+,;=", -1 },
    { "%41%c3%A9.example:7", "%41%c3%A9.example", 7 },
    { "[::1]", "[::1]", -1 },
    { "[::]:80", "[::]", 80 },
    { "[2001:DB8::7]:", "[2001:DB8::7]", -1 },
    { "[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]", -1 },
    { "[1:2:3:4:5:6:7:8]:443", "[1:2:3:4:5:6:7:8]", 443 },
    { "[v1.a:b]", "[v1.a:b]", -1 },
    { "[vF0.!$&'()*+,;=~]:5", "[vF0.!$&'()*+,;=~]", 5 },
    { ":80" },
    { ":" },
    { "x:65536" },
    { "x:99999" },
    { "x:000080" },
    { "x:port" },
    { "x:-1" },
    { "x:+1" },
    { "x: 1" },
    { "x:1 " },
    { "a:b:c" },
    { "::1" },
    { "a b" },
    { "a/b" },
    { "a?b" },
    { "a#b" },
    { "a\\b" },
    { "user@x" },
    { "user:secret@x" },
    { "@x" },
    { "a|b" },
    { "a\"b" },
    { "<x>" },
    { "{x}" },
    { "a^b" },
    { "a`b" },
    { "x\x7F" },
    { "\xC3\xA9.example" },
    { "%" },
    { "%4" },
    { "%zz" },
    { "%4g" },
    { "a%" },
    { "%00" },
    { "a%00b" },
    { "[" },
    { "]" },
    { "[]" },
    { "[::1" },
    { "::1]" },
    { "[::1]x" },
    { "[::1]80" },
    { "[::1]:x" },
    { "x[::1]" },
    { "[[::1]]" },
    { "[:1]" },
    { "[1:2:3:4:5:6:7]" },
    { "[1:2:3:4:5:6:7:8:9]" },
    { "[1::2::3]" },
    { "[12345::]" },
    { "[127.0.0.1]" },
    { "[::1.2.3]" },
    { "[::1.2.3.256]" },
    { "[::1.2.3.04]" },
    { "[fe80::1%25eth0]" }, /* a zone means something on one machine only */
    { "[fe80::1%eth0]" },
    { "[v.a]" },
    { "[v1]" },
    { "[v1.]" },
    { "[v1.a/b]" },
    { "[v1.a%41]" },
    { "[w1.a]" },
    { "[example.com]" },
};

static void test_authority_cases_are_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const authority_case *c = &CASES[i];
        http_authority out;
        const bool good = http_authority_parse(str_from_c(c->text), &out);
        if (good != (c->host != NULL))
            print_error("%s: %s\n", c->text, good ? "taken" : "refused");
        assert_true(good == (c->host != NULL));
        if (!good)
            continue;
        assert_str_equal(out.host, str_from_c(c->host));
        assert_int_equal(out.port, c->port);
    }
}

/* What ABNF says, in the order of RFC 3986's appendix A; `%00` aside. */
#define SUB    "!$&'()*+,;="
#define UNRES  "A-Za-z0-9._~-"
#define H      "[0-9A-Fa-f]{1,4}"
#define DEC    "([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
#define V4     DEC "\\." DEC "\\." DEC "\\." DEC
#define LS     "(" H ":" H "|" V4 ")"
#define G(n_)  "(" H ":){" n_ "}"
#define UP(n_) "((" H ":){0," n_ "}" H ")?::"
#define V6                                                                                         \
    "(" G("6") LS "|::" G("5") LS "|(" H ")?::" G("4") LS "|" UP("1") G("3") LS "|" UP("2") G("2") \
        LS "|" UP("3") H ":" LS "|" UP("4") LS "|" UP("5") H "|" UP("6") ")"
#define FUTURE  "[vV][0-9A-Fa-f]+\\.[:" SUB UNRES "]+"
#define NAME    "([" SUB UNRES "]|%[0-9A-Fa-f]{2})+"
#define GRAMMAR "^((\\[(" V6 "|" FUTURE ")\\]|" NAME ")(:[0-9]{0,5})?)?$"

/* The grammar, and what goes beyond it: ports that there are, and no NUL. */
static bool expected(const regex_t *grammar, const char *text)
{
    const char *colon = strrchr(text, ':');
    if (regexec(grammar, text, 0, NULL, 0) != 0 || strstr(text, "%00"))
        return false;
    return !colon || strchr(colon, ']') || atoi(colon + 1) <= 65535;
}

static void check_beside(const regex_t *grammar, const char *text)
{
    http_authority out;
    char *exact = malloc(strlen(text) + !*text); /* so that a look behind it is found */
    memcpy(exact, text, strlen(text));
    const bool good = http_authority_parse((str){ exact, strlen(text) }, &out);
    assert_true(http_is_authority((str){ exact, strlen(text) }) == good);
    if (good != expected(grammar, text))
        print_error("%s: %s\n", text, good ? "taken" : "refused");
    assert_true(good == expected(grammar, text));
    free(exact);
}

/* A text of pieces that there is always room for. */
typedef struct pieced {
    char text[256];
    size_t len;
} pieced;

static void add(pieced *p, const char *piece)
{
    const size_t len = strlen(piece);
    assert_true(p->len + len < sizeof p->text);
    memcpy(p->text + p->len, piece, len + 1);
    p->len += len;
}

static void make_any(random_state *r, pieced *out)
{
    static const char *const pieces[] = {
        "a",  "g", "7", "0", "12", "ffff", "%41", "%",   "%0", "0",  "::", ":",
        "::", ":", "[", "]", ".",  "v1.",  "|",   "255", "@",  "/1", ",",  "192.0.2.1",
    };
    *out = (pieced){ .len = 0 };
    if (random_below(r, 2))
        add(out, "[");
    for (size_t count = random_below(r, 12); count > 0; count--)
        add(out, pieces[random_below(r, ARRAY_LEN(pieces))]);
    if (out->text[0] == '[' && random_below(r, 4))
        add(out, random_below(r, 2) ? "]" : "]:80");
}

/* Addresses are rare among those: of groups only, with one gap or none. */
static void make_ip6(random_state *r, pieced *out)
{
    const size_t groups = random_below(r, 9), gap = random_below(r, 12);
    *out = (pieced){ .len = 0 };
    add(out, "[");
    for (size_t i = 0; i <= groups; i++) {
        if (i == gap)
            add(out, i ? ":" : "::");
        if (i < groups)
            add(out, random_below(r, 20) ? "ab" : "1.2.3.4");
        if (i + 1 < groups)
            add(out, ":");
    }
    add(out, "]");
}

static void test_authority_random_texts_are_judged_as_the_grammar_does(void **state)
{
    (void)state;
    pieced p;
    regex_t grammar;
    random_state r = random_start();
    assert_int_equal(regcomp(&grammar, GRAMMAR, REG_EXTENDED | REG_NOSUB), 0);
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        check_beside(&grammar, CASES[i].text);
    for (int round = 0; round < 30000; round++) {
        make_any(&r, &p);
        check_beside(&grammar, p.text);
        make_ip6(&r, &p);
        check_beside(&grammar, p.text);
    }
    regfree(&grammar);
}

static void test_authority_same_is_of_host_and_port(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        { "x", "x", true },        { "Example.com", "eXAMPLE.COM", true },
        { "x", "x:80", true },     { "x:", "x:80", true },
        { "x:080", "x:80", true }, { "[::A]", "[::a]:80", true },
        { "x", "y", false },       { "x", "x:81", false },
        { "x", "", false },        { "x:80", "x:8080", false },
        { "x", "x.", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        http_authority a, b;
        assert_true(http_authority_parse(str_from_c(rows[i].a), &a));
        assert_true(http_authority_parse(str_from_c(rows[i].b), &b));
        assert_int_equal(http_authority_same(&a, &b, 80), rows[i].same);
        assert_int_equal(http_authority_same(&b, &a, 80), rows[i].same);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_authority_cases_are_taken_apart),
        cmocka_unit_test(test_authority_random_texts_are_judged_as_the_grammar_does),
        cmocka_unit_test(test_authority_same_is_of_host_and_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
