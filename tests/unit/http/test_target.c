/* Targets, escapes and queries: normal forms, refusals, and no way out of the root. */
#include "target.h"

#include "tests/support/in_fiber.h"

#include <time.h>

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

typedef struct target_case {
    const char *target;
    const char *path; /* NULL: refused */
    const char *query;
} target_case;

static const target_case TARGETS[] = {
    { "/", "/", NULL },
    { "/a/b", "/a/b", NULL },
    { "/a?b=c", "/a", "b=c" },
    { "/a?", "/a", "" },
    { "/a?b?c", "/a", "b?c" },
    { "*", "*", NULL },
    { "/a//b/", "/a//b/", NULL },
    { "/a%2Fb", "/a%2Fb", NULL },
    { "/a/./b", "/a/b", NULL },
    { "/a/../b", "/b", NULL },
    { "/a/b/..", "/a/", NULL },
    { "/a/b/.", "/a/b/", NULL },
    { "/.", "/", NULL },
    { "/a/..", "/", NULL },
    { "/a/b/../../c", "/c", NULL },
    { "/a//../b", "/a/b", NULL },
    { "/a/%2e/b", "/a/b", NULL },
    { "/a/%2E%2e/b", "/b", NULL },
    { "/a/.%2e/b", "/b", NULL },
    { "/a/%2e./b", "/b", NULL },
    { "/...", "/...", NULL },
    { "/.a/..b/c.", "/.a/..b/c.", NULL },
    { "/a%252e%252e/b", "/a%252e%252e/b", NULL },
    { "/a?b=/../c", "/a", "b=/../c" },
    { "/..", NULL, NULL },
    { "/../a", NULL, NULL },
    { "/a/../../b", NULL, NULL },
    { "/%2e%2e", NULL, NULL },
    { "/%", NULL, NULL },
    { "/%4", NULL, NULL },
    { "/%4g", NULL, NULL },
    { "/a%00", NULL, NULL },
    { "/a?%", NULL, NULL },
    { "/a?b=%00", NULL, NULL },
    { "http://x", "/", NULL },
    { "http://x/", "/", NULL },
    { "http://x/a/../b?c", "/b", "c" },
    { "http://x?a", "/", "a" },
    { "http://x?a/b", "/", "a/b" },
    { "https://x:1/a", "/a", NULL },
    { "http://x/..", NULL, NULL },
    { "http://x?%", NULL, NULL },
};

static void test_target_cases_are_split_and_normalised(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(TARGETS); i++) {
        const target_case *c = &TARGETS[i];
        http_target t;
        const bool good = http_target_parse(*state, str_from_c(c->target), &t);
        if (good != (c->path != NULL))
            print_error("%s: %s\n", c->target, good ? "taken" : "refused");
        assert_true(good == (c->path != NULL));
        if (!good)
            continue;
        assert_str_equal(t.path, str_from_c(c->path));
        assert_true((t.query.ptr != NULL) == (c->query != NULL));
        if (c->query)
            assert_str_equal(t.query, str_from_c(c->query));
    }
}

/* A path that was taken stays in the root, has no dot segments left, and is not changed again. */
static void test_target_random_paths_are_normalised_once_for_all(void **state)
{
    static const char *const pieces[] = {
        "/", "/", ".", "..", "%2e", "%2E", "a", "%2F", "%41", "//"
    };
    const unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srandom(seed);
    for (int round = 0; round < 20000; round++) {
        char text[128] = "/";
        for (int count = (int)(random() % 12); count > 0; count--)
            strcat(text, pieces[(size_t)random() % ARRAY_LEN(pieces)]);
        http_target once, twice;
        if (!http_target_parse(*state, str_from_c(text), &once))
            continue;
        assert_true(once.path.len > 0 && once.path.ptr[0] == '/');
        assert_true(once.path.len <= strlen(text));
        assert_true(http_target_parse(*state, once.path, &twice));
        assert_str_equal(once.path, twice.path);
        for (str rest = once.path; rest.ptr;) {
            str segment = str_cut(&rest, '/');
            assert_true(http_percent_decode(*state, segment, false, &segment));
            assert_false(str_eq(segment, STR(".")) || str_eq(segment, STR("..")));
        }
    }
}

typedef struct decode_case {
    const char *text;
    bool plus;
    const char *decoded; /* NULL: refused */
} decode_case;

static const decode_case DECODINGS[] = {
    { "", false, "" },
    { "plain", false, "plain" },
    { "a+b", false, "a+b" },
    { "a+b", true, "a b" },
    { "%2B+%2b", true, "+ +" },
    { "%41%7a", false, "Az" },
    { "%C3%A9", false, "\xC3\xA9" },
    { "\xC3\xA9", false, "\xC3\xA9" },
    { "%25%32%35", false, "%25" },
    { "%E2%82", false, NULL },
    { "%C0%AF", false, NULL },
    { "%ED%A0%80", false, NULL },
    { "\xFF", false, NULL },
    { "%", false, NULL },
    { "%2", false, NULL },
    { "%%41", false, NULL },
    { "% 1", false, NULL },
    { "%00", false, NULL },
    { "a%00b", true, NULL },
};

static void test_percent_decode_cases(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(DECODINGS); i++) {
        const decode_case *c = &DECODINGS[i];
        str out;
        const bool good = http_percent_decode(*state, str_from_c(c->text), c->plus, &out);
        if (good != (c->decoded != NULL))
            print_error("%s: %s\n", c->text, good ? "taken" : "refused");
        assert_true(good == (c->decoded != NULL));
        if (good)
            assert_str_equal(out, str_from_c(c->decoded));
    }
}

static void test_percent_decode_of_plain_text_is_a_view(void **state)
{
    const str plain = STR("plain");
    str out;
    assert_true(http_percent_decode(*state, plain, true, &out));
    assert_ptr_equal(out.ptr, plain.ptr);
}

static void test_query_find_takes_the_first_and_decodes(void **state)
{
    static const struct {
        const char *query, *name, *value;
    } rows[] = {
        { "a=1&b=2", "a", "1" }, { "a=1&b=2", "b", "2" },
        { "a=1&a=2", "a", "1" }, { "a=b=c", "a", "b=c" },
        { "a", "a", "" },        { "a=", "a", "" },
        { "&&a=1&", "a", "1" },  { "%61%20b=c+d%26", "a b", "c d&" },
        { "a+b=1", "a b", "1" }, { "=1", "", "1" },
        { "aa=1", "a", NULL },   { "a=%", "a", NULL },
        { "%=1&a=2", "a", "2" }, { "", "a", NULL },
        { "a=%FF", "a", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const str value =
            http_query_find(*state, str_from_c(rows[i].query), str_from_c(rows[i].name));
        if ((value.ptr != NULL) != (rows[i].value != NULL))
            print_error("%s of %s\n", rows[i].name, rows[i].query);
        assert_true((value.ptr != NULL) == (rows[i].value != NULL));
        if (value.ptr)
            assert_str_equal(value, str_from_c(rows[i].value));
    }
    assert_null(http_query_find(*state, STR_NONE, STR("a")).ptr);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_target_cases_are_split_and_normalised, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_target_random_paths_are_normalised_once_for_all, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_percent_decode_cases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_percent_decode_of_plain_text_is_a_view, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_query_find_takes_the_first_and_decodes, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
