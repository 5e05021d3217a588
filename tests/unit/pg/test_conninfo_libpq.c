/* Connection strings against libpq's own parser: what it refuses is refused, and what both take
 * means the same. Half of the strings are made of the grammars' pieces, so that most are nearly
 * right. */
#include "conninfo_test.h"

#include "tests/support/random.h"

#include <libpq-fe.h>

#define STRINGS      60000
#define PIECES_MAX   12
#define STRING_BYTES 512

static const char *const PAIR_PIECES[] = {
    "host=",
    "port=",
    "user=",
    "password=",
    "dbname=",
    "application_name=",
    "options=",
    "sslmode=",
    "host",
    "port",
    "=",
    " ",
    "  ",
    "\t",
    "\n",
    "'",
    "'",
    "\\",
    "\\'",
    "\\\\",
    "a",
    "db",
    "5432",
    "1",
    "'a b'",
    "disable",
    "prefer",
    "%41",
    "+",
    ",",
    "hots=",
    "sslcert=",
    "\v",
    "\xC3\xA9",
    "",
    "requiressl=",
    "\f",
    "\r",
    "user = ada",
    "''",
    "connect_timeout=",
};
static const char *const URI_PIECES[] = {
    "user",
    "password",
    "host",
    "port",
    "dbname",
    "application_name",
    "sslmode",
    "disable",
    "=",
    "=",
    "&",
    "&",
    "?",
    "?",
    "/",
    "/",
    ":",
    ":",
    "@",
    "@",
    "[",
    "]",
    "[::1]",
    "5432",
    "%41",
    "%2F",
    "%00",
    "%",
    "%zz",
    "%4",
    "a",
    "db",
    " ",
    "+",
    ",",
    "hots",
    "\xC3\xA9",
    "'",
    "\\",
    "#",
    "ssl=true",
    "options",
    "connect_timeout=1",
    "%61",
    "%25",
    "%3D",
    "%26",
};

typedef struct text_buffer {
    char bytes[STRING_BYTES];
    size_t len;
} text_buffer;

static void append(text_buffer *to, const char *piece)
{
    const size_t len = strlen(piece);
    assert_true(to->len + len < sizeof to->bytes);
    memcpy(to->bytes + to->len, piece, len + 1);
    to->len += len;
}

static void append_pieces(text_buffer *to, random_state *r, const char *const *pieces, size_t count)
{
    for (size_t n = random_below(r, PIECES_MAX); n > 0; n--)
        append(to, pieces[random_below(r, count)]);
}

static void append_pair(text_buffer *to, random_state *r)
{
    static const char *const VALUES[] = { "a",     "'a b'",   "'it\\'s'", "db",  "5432", "''",
                                          "x\\ y", "disable", "1",        "\\a", "7 ",   "a'b" };
    append(to, PAIR_PIECES[random_below(r, 8)]);
    append(to, VALUES[random_below(r, ARRAY_LEN(VALUES))]);
    append(to, " ");
}

static text_buffer random_text(random_state *r)
{
    text_buffer text = { .len = 0 };
    if (random_below(r, 2)) {
        append(&text, random_below(r, 4) ? "postgresql://" : "postgres://");
        append_pieces(&text, r, URI_PIECES, ARRAY_LEN(URI_PIECES));
        return text;
    }
    if (random_below(r, 2)) {
        for (size_t n = random_below(r, 5); n > 0; n--)
            append_pair(&text, r);
        if (random_below(r, 3))
            return text;
    }
    append_pieces(&text, r, PAIR_PIECES, ARRAY_LEN(PAIR_PIECES));
    return text;
}

/* A value as libpq understood it; STR_NONE when it was not given. */
static str value_of(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword; options++) {
        if (strcmp(options->keyword, keyword) == 0)
            return str_from_c(options->val);
    }
    fail_msg("libpq has no %s", keyword);
    return STR_NONE;
}

static bool is_number(str text, int64_t min, int64_t max)
{
    int64_t number;
    return text.len == 0 || (str_to_int64(str_trim(text, STR(" \t\n\v\f\r")), &number) &&
                             number >= min && number <= max);
}

/* Whether Brio must take what libpq's parser took: it checks values too, and knows fewer. */
static bool is_supported(const PQconninfoOption *options)
{
    static const char *const KNOWN[] = { "host",     "port",    "user",
                                         "password", "dbname",  "application_name",
                                         "options",  "sslmode", "connect_timeout" };
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        bool known = !o->val;
        for (size_t i = 0; i < ARRAY_LEN(KNOWN); i++)
            known = known || strcmp(o->keyword, KNOWN[i]) == 0;
        if (!known)
            return false;
    }
    const str host = value_of(options, "host");
    const str sslmode = value_of(options, "sslmode");
    const bool plain = !sslmode.ptr || str_eq(sslmode, STR("disable")) ||
                       str_eq(sslmode, STR("allow")) || str_eq(sslmode, STR("prefer"));
    return plain && str_index(host, ',') == host.len && !str_starts_with(host, STR("@")) &&
           !(str_starts_with(host, STR("/")) && host.len > 92) &&
           is_number(value_of(options, "port"), 1, 65535) &&
           is_number(value_of(options, "connect_timeout"), INT32_MIN, INT32_MAX);
}

static void assert_same(str given, str ours, str otherwise, const char *text)
{
    if (!str_eq(ours, given.len > 0 ? given : otherwise))
        fail_msg("%s: \"%.*s\" here and \"%.*s\" there", text, STR_ARG(ours), (int)given.len,
                 given.ptr ? given.ptr : "");
}

static void compare(const PQconninfoOption *options, const pg_conninfo *info, const char *text)
{
    const str user = value_of(options, "user");
    assert_same(value_of(options, "host"), info->host, STR("/var/run/postgresql"), text);
    assert_same(user, info->user, system_user(), text);
    assert_same(value_of(options, "password"), info->password, STR(""), text);
    assert_same(value_of(options, "dbname"), info->database, info->user, text);
    assert_same(value_of(options, "application_name"), info->application_name, STR(""), text);
    assert_same(value_of(options, "options"), info->options, STR(""), text);
    int64_t port = 5432;
    (void)str_to_int64(str_trim(value_of(options, "port"), STR(" \t\n\v\f\r")), &port);
    assert_int_equal(info->port, port);
}

static void test_conninfo_agrees_with_libpq(void **state)
{
    (void)state;
    random_state random = random_start();
    unsigned taken = 0;
    unsigned refused = 0;
    for (unsigned i = 0; i < STRINGS; i++) {
        const text_buffer text = random_text(&random);
        pg_conninfo info;
        const error e = parse((str){ text.bytes, text.len }, &info);
        assert_true(error_is_ok(e) || error_is(e, &PG_CONNINFO_INVALID));
        PQconninfoOption *options = PQconninfoParse(text.bytes, NULL);
        if (!options) {
            refused++;
            if (error_is_ok(e))
                fail_msg("libpq refuses what was taken: %s", text.bytes);
            continue;
        }
        taken++;
        /* A list of hosts in a URI is refused before a parameter can override it. */
        const bool has_list = str_index((str){ text.bytes, text.len }, ',') < text.len;
        if (error_is_ok(e) != is_supported(options) && !(has_list && !error_is_ok(e))) {
            char told[512];
            error_describe(e, told, sizeof told);
            fail_msg("libpq differs on %s (%s)", text.bytes, told);
        }
        if (error_is_ok(e))
            compare(options, &info, text.bytes);
        PQconninfoFree(options);
        arena_reset(&memory);
    }
    print_message("libpq took %u and refused %u\n", taken, refused);
    assert_true(taken > STRINGS / 20 && refused > STRINGS / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(test_conninfo_agrees_with_libpq) };
    return cmocka_run_group_tests_name("conninfo_libpq", tests, NULL, NULL);
}
