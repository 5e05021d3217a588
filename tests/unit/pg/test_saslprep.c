/* SASLprep: RFC 4013's examples, what PostgreSQL leaves as it is, and Unicode's own list of what
 * form NFKC is. Also md5's answer, the other thing that is made of a password. */
#include "md5.h"
#include "saslprep.h"

#include "tests/support/exact_copy.h"
#include "tests/support/in_fiber.h"

#include <stdio.h>
#include <stdlib.h>

#define NORMALIZATION_TEST "bzcat /usr/share/unicode/NormalizationTest.txt.bz2 2>/dev/null"

static arena memory;

static int set_up(void **state)
{
    (void)state;
    arena_init(&memory, 4 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&memory);
    return 0;
}

static str prepared(str password)
{
    str out;
    const str copy = exact_copy(password);
    assert_ok(pg_saslprep(&memory, copy, &out));
    const str kept = str_copy(&memory, out); /* it may be the copy itself */
    exact_free(copy);
    return kept;
}

typedef struct password_row {
    const char *name;
    const char *typed;
    const char *becomes; /* NULL: itself */
} password_row;

static void test_saslprep_passwords_become_what_the_server_makes_of_them(void **state)
{
    (void)state;
    static const password_row ROWS[] = {
        { "ASCII", "pencil", NULL },
        { "ASCII controls, which are not looked for", "a\001\177b", NULL },
        { "RFC 4013: soft hyphen", "I\xC2\xADX", "IX" },
        { "RFC 4013: case is kept", "USER", NULL },
        { "RFC 4013: feminine ordinal", "\xC2\xAA", "a" },
        { "RFC 4013: Roman nine", "\xE2\x85\xA8", "IX" },
        { "RFC 4013: a control", "\xC2\xAA\x07", "\xC2\xAA\x07" },
        { "RFC 4013: both directions", "\xD8\xA7\x31", NULL },
        { "a letter and its accent", "e\xCC\x81", "\xC3\xA9" },
        { "one letter with its accent", "\xC3\xA9", NULL },
        { "two accents in the other order", "q\xCC\x87\xCC\xA3", "q\xCC\xA3\xCC\x87" },
        { "a ligature", "\xEF\xAC\x81sh", "fish" },
        { "full width", "\xEF\xBC\xA1\xEF\xBC\x91", "A1" },
        { "a no-break space", "a\xC2\xA0z", "a z" },
        { "an ideographic space", "a\xE3\x80\x80z", "a z" },
        { "a zero-width space", "a\xE2\x80\x8Bz", "a z" },
        { "a zero-width joiner", "a\xE2\x80\x8Dz", "az" },
        { "nothing is left", "\xC2\xAD", NULL },
        { "Hangul letters", "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "\xED\x95\x9C" },
        { "a Hangul syllable", "\xED\x95\x9C", NULL },
        { "Hebrew throughout", "\xD7\x90\xD7\x91", NULL },
        { "Hebrew and Latin", "\xD7\x90x", NULL },
        { "a ligature beside Hebrew and Latin", "\xEF\xAC\x81\xD7\x90", NULL },
        { "a character of a later Unicode", "\xEF\xAC\x81\xF0\x9F\x98\x80", NULL },
        { "a private character", "\xEF\xAC\x81\xEE\x80\x80", NULL },
        { "not UTF-8", "\xEF\xAC\x81\xFF", NULL },
        { "half a character", "\xC3", NULL },
        { "eighteen for one", "\xEF\xB7\xBA",
          "\xD8\xB5\xD9\x84\xD9\x89 \xD8\xA7\xD9\x84\xD9\x84\xD9\x87 "
          "\xD8\xB9\xD9\x84\xD9\x8A\xD9\x87 \xD9\x88\xD8\xB3\xD9\x84\xD9\x85" },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const char *told = ROWS[i].becomes ? ROWS[i].becomes : ROWS[i].typed;
        const str got = prepared(str_from_c(ROWS[i].typed));
        if (!str_eq(got, str_from_c(told)))
            fail_msg("%s: \"%.*s\" instead of \"%s\"", ROWS[i].name, STR_ARG(got), told);
    }
}

/* --- Unicode's list --------------------------------------------------------------------------- */

/* "00C5 0301" as UTF-8. */
static str encode(str codes)
{
    char *to = arena_alloc(&memory, codes.len * 4 + 1, 1);
    size_t len = 0;
    while (codes.len > 0) {
        const str digits = str_cut(&codes, ' ');
        uint32_t code = 0;
        for (size_t i = 0; i < digits.len; i++)
            code = code << 4 | (uint32_t)str_hex_digit(digits.ptr[i]);
        if (code < 0x80) {
            to[len++] = (char)code;
        } else if (code < 0x800) {
            to[len++] = (char)(0xC0 | code >> 6);
            to[len++] = (char)(0x80 | (code & 0x3F));
        } else if (code < 0x10000) {
            to[len++] = (char)(0xE0 | code >> 12);
            to[len++] = (char)(0x80 | (code >> 6 & 0x3F));
            to[len++] = (char)(0x80 | (code & 0x3F));
        } else {
            to[len++] = (char)(0xF0 | code >> 18);
            to[len++] = (char)(0x80 | (code >> 12 & 0x3F));
            to[len++] = (char)(0x80 | (code >> 6 & 0x3F));
            to[len++] = (char)(0x80 | (code & 0x3F));
        }
    }
    return (str){ to, len };
}

/* A line's columns are source; NFC; NFD; NFKC; NFKD. What is not allowed stays as it is: of later
 * versions of Unicode, mapped before it is normalized, or of both directions. */
static void test_saslprep_normalizes_as_unicode_says(void **state)
{
    (void)state;
    FILE *file = popen(NORMALIZATION_TEST, "re");
    assert_non_null(file);
    char line[2048];
    size_t equal = 0, kept = 0;
    while (fgets(line, sizeof line, file)) {
        str rest = str_from_c(line);
        if (!str_hex_digit(line[0]) && line[0] != '0')
            continue;
        if (str_hex_digit(line[0]) < 0)
            continue;
        const str source = encode(str_cut(&rest, ';'));
        (void)str_cut(&rest, ';');
        (void)str_cut(&rest, ';');
        const str nfkc = encode(str_cut(&rest, ';'));
        const str got = prepared(source);
        if (str_eq(got, nfkc))
            equal++;
        else if (str_eq(got, source))
            kept++;
        else
            fail_msg("%s: \"%.*s\" instead of \"%.*s\"", line, STR_ARG(got), STR_ARG(nfkc));
        arena_reset(&memory);
    }
    (void)pclose(file);
    print_message("%zu as Unicode says, %zu not allowed\n", equal, kept);
    if (equal + kept == 0) {
        print_message("unicode-data or bzip2 is not installed\n");
        skip();
    }
    assert_true(equal > 10000);
}

/* --- md5 -------------------------------------------------------------------------------------- */

/* The value was computed apart, by Python's hashlib. */
static void test_md5_answer_is_salted_twice(void **state)
{
    (void)state;
    char answer[PG_MD5_ANSWER_BYTES];
    assert_ok(pg_md5_answer(STR("ada"), STR("pencil"), STR("\1\2\3\4"), answer));
    assert_int_equal(memchr(answer, 0, sizeof answer) == answer + 35, 1);
    assert_string_equal(answer, "md5d1b13b8314d3b5545feef5ce8ab91e15");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_saslprep_passwords_become_what_the_server_makes_of_them),
        TEST(test_saslprep_normalizes_as_unicode_says),
        TEST(test_md5_answer_is_salted_twice),
    };
    return cmocka_run_group_tests_name("saslprep", tests, NULL, NULL);
}
