/* Connection strings against libpq's own parser: what it refuses is refused, and what both take
 * means the same. Half of the strings are made of the grammars' pieces, so that most are nearly
 * right. */
#include "conninfo_test.h"
#include "conninfo_text.h"

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
    "h1,h2",
    ":1,",
    ",[::1]:2",
    "%2C",
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

/* Before 18 libpq took spaces in a URI as they stand. */
static bool is_differently_spaced(const char *text)
{
    return PQlibVersion() < 180000 && strncmp(text, "postgres", 8) == 0 && strchr(text, ' ');
}

/* All that libpq knows. */
static PQconninfoOption *keywords;
static size_t keyword_count;

/* One of them, often with its '='. */
static void append_keyword(text_buffer *to, random_state *r)
{
    append(to, keywords[random_below(r, keyword_count)].keyword);
    append(to, random_below(r, 8) ? "=" : "");
}

static void append_pieces(text_buffer *to, random_state *r, const char *const *pieces, size_t count)
{
    for (size_t n = random_below(r, PIECES_MAX); n > 0; n--) {
        if (random_below(r, 6) == 0)
            append_keyword(to, r);
        else
            append(to, pieces[random_below(r, count)]);
    }
}

static void append_pair(text_buffer *to, random_state *r)
{
    static const char *const VALUES[] = { "a",     "'a b'",   "'it\\'s'", "db",  "5432", "''",
                                          "x\\ y", "disable", "1",        "\\a", "7 ",   "a'b" };
    append_keyword(to, r);
    append(to, VALUES[random_below(r, ARRAY_LEN(VALUES))]);
    append(to, " ");
}

static text_buffer random_text(random_state *r)
{
    text_buffer text = { .len = 0 };
    if (random_below(r, 2)) {
        append(&text, random_below(r, 4) ? "postgresql://" : "postgres://");
        append_pieces(&text, r, URI_PIECES, ARRAY_LEN(URI_PIECES));
        for (size_t n = random_below(r, 4); n > 0; n--) {
            append(&text, strchr(text.bytes, '?') ? "&" : "?");
            append_keyword(&text, r);
            append(&text, URI_PIECES[random_below(r, ARRAY_LEN(URI_PIECES))]);
        }
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

/* The parameter of that name, PG_PARAM_COUNT for those that are refused by name. */
static pg_parameter parameter_of(const char *keyword)
{
    for (int i = 0; i < PG_PARAM_COUNT; i++) {
        const char *name = pg_parameters_name((pg_parameter)i);
        if (name && strcmp(name, keyword) == 0)
            return (pg_parameter)i;
    }
    return PG_PARAM_COUNT;
}

/* Whether the text uses a parameter that libpq knows and Brio refuses. */
static bool is_refused(const PQconninfoOption *options)
{
    for (; options->keyword; options++) {
        if (options->val && parameter_of(options->keyword) == PG_PARAM_COUNT)
            return true;
    }
    return false;
}

static void compare(const PQconninfoOption *options, const pg_parameters *ours, const char *text)
{
    for (; options->keyword; options++) {
        const pg_parameter which = parameter_of(options->keyword);
        if (which == PG_PARAM_COUNT)
            continue;
        const str given = ours->given[which].value, theirs = str_from_c(options->val);
        if (!given.ptr != !theirs.ptr || !str_eq(given, theirs))
            fail_msg("%s: %s is \"%.*s\" here and \"%.*s\" there", text, options->keyword,
                     (int)given.len, given.ptr ? given.ptr : "", (int)theirs.len,
                     theirs.ptr ? theirs.ptr : "");
    }
}

static void test_conninfo_agrees_with_libpq(void **state)
{
    (void)state;
    random_state random = random_start();
    unsigned taken = 0;
    unsigned refused = 0;
    keywords = PQconndefaults();
    assert_non_null(keywords);
    for (keyword_count = 0; keywords[keyword_count].keyword;)
        keyword_count++;
    for (unsigned i = 0; i < STRINGS; i++) {
        const text_buffer text = random_text(&random);
        if (is_differently_spaced(text.bytes))
            continue;
        pg_parameters ours = { 0 };
        const str copy = exact_copy((str){ text.bytes, text.len });
        const error e = pg_conninfo_text_parse(&memory, copy, &ours);
        exact_free(copy);
        assert_true(error_is_ok(e) || error_is(e, &PG_CONNINFO_INVALID));
        PQconninfoOption *options = PQconninfoParse(text.bytes, NULL);
        if (!options) {
            refused++;
            if (error_is_ok(e))
                fail_msg("libpq refuses what was taken: %s", text.bytes);
            continue;
        }
        taken++;
        if (error_is_ok(e) == is_refused(options)) {
            char told[512];
            error_describe(e, told, sizeof told);
            fail_msg("libpq differs on %s (%s)", text.bytes, told);
        }
        if (error_is_ok(e))
            compare(options, &ours, text.bytes);
        PQconninfoFree(options);
        arena_reset(&memory);
    }
    PQconninfoFree(keywords);
    print_message("libpq took %u and refused %u\n", taken, refused);
    assert_true(taken > STRINGS / 20 && refused > STRINGS / 20);
}

/* --- variables -------------------------------------------------------------------------------- */

/* Of what is not spoken: what they say is of no use here. docs/pg.md has them. */
static bool is_left_out(const char *variable)
{
    static const char *const LEFT_OUT[] = { "PGGSSDELEGATION", "PGGSSLIB", "PGKRBSRVNAME",
                                            "PGREALM", "PGSSLKEYLOGFILE" };
    for (size_t i = 0; i < ARRAY_LEN(LEFT_OUT); i++) {
        if (strcmp(variable, LEFT_OUT[i]) == 0)
            return true;
    }
    return strncmp(variable, "PGOAUTH", 7) == 0;
}

/* Each variable that libpq reads stands in for the same parameter here, or is known not to. */
static void test_conninfo_variables_are_those_of_libpq(void **state)
{
    (void)state;
    unsigned compared = 0;
    PQconninfoOption *options = PQconndefaults();
    assert_non_null(options);
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        const pg_parameter which = parameter_of(o->keyword);
        pg_parameters ours = { 0 };
        if (!o->envvar)
            continue;
        if (which == PG_PARAM_COUNT) {
            if (!is_left_out(o->envvar))
                fail_msg("%s, for %s, is not known", o->envvar, o->keyword);
            continue;
        }
        const char *was = getenv(o->envvar);
        const str kept = was ? str_copy(&memory, str_from_c(was)) : STR_NONE;
        assert_int_equal(setenv(o->envvar, "said so", 1), 0);
        assert_ok(pg_parameters_fill(&ours, &memory));
        assert_int_equal(
            kept.ptr ? setenv(o->envvar, str_to_c(&memory, kept), 1) : unsetenv(o->envvar), 0);
        for (int i = 0; i < PG_PARAM_COUNT; i++) {
            const bool said = str_eq(ours.given[i].value, STR("said so"));
            if (said != (i == (int)which))
                fail_msg("%s is %sread for %s", o->envvar, said ? "" : "not ",
                         pg_parameters_name((pg_parameter)i) ? pg_parameters_name((pg_parameter)i)
                                                             : "a setting");
        }
        compared++;
    }
    PQconninfoFree(options);
    assert_true(compared > 20);
}

/* --- values ----------------------------------------------------------------------------------- */

/* Whether libpq gets as far as the socket, where nobody is. */
static bool libpq_takes(const char *text)
{
    PGconn *c = PQconnectdb(text);
    const bool taken = strstr(PQerrorMessage(c), "connection to server") != NULL;
    PQfinish(c);
    return taken;
}

/* What libpq takes and refuses, and this too. */
static void test_conninfo_values_are_those_of_libpq(void **state)
{
    (void)state;
    static const char *const ROWS[] = {
        "",
        "port=",
        "port=1",
        "port=' 1 '",
        "port=0",
        "port=65535",
        "port=65536",
        "port=x",
        "port=1,2",
        "port=1,2 host=/nonexistent,/nonexistent",
        "port=1,2,3 host=/nonexistent,/nonexistent",
        "port=,2 host=/nonexistent,/nonexistent",
        "host=/nonexistent, port=1",
        "host=/nonexistent,/nonexistent hostaddr=127.0.0.1",
        "connect_timeout=1",
        "connect_timeout=0",
        "connect_timeout=-5",
        "connect_timeout=''",
        "sslmode=disable",
        "sslmode=allow",
        "sslmode=prefer",
        "sslmode=require",
        "sslmode=Require",
        "sslmode=''",
        "sslmode=verify",
        "target_session_attrs=any",
        "target_session_attrs=read-write",
        "target_session_attrs=read-only",
        "target_session_attrs=primary",
        "target_session_attrs=standby",
        "target_session_attrs=prefer-standby",
        "target_session_attrs=prefer_standby",
        "target_session_attrs=''",
        "channel_binding=disable",
        "channel_binding=prefer",
        "channel_binding=require",
        "channel_binding=on",
        "channel_binding=''",
        "gssencmode=disable",
        "gssencmode=prefer",
        "gssencmode=no",
        "ssl_min_protocol_version=TLSv1",
        "ssl_min_protocol_version=tlsv1.3",
        "ssl_min_protocol_version=SSLv3",
        "ssl_min_protocol_version=''",
        "ssl_max_protocol_version=TLSv1.2",
        "ssl_max_protocol_version=''",
        "ssl_max_protocol_version=TLSv1.4",
        "ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2",
        "ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.3",
        "sslsni=0",
        "sslsni=1",
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        char text[256];
        const bool has_host = strstr(ROWS[i], "host=") != NULL;
        (void)snprintf(text, sizeof text, "%s user=ada %s", has_host ? "" : "host=/nonexistent",
                       ROWS[i]);
        pg_conninfo info;
        const bool ours = error_is_ok(parse(str_from_c(text), &info));
        if (ours != libpq_takes(text))
            fail_msg("%s: %s here", text, ours ? "taken" : "refused");
    }
}

int main(void)
{
    print_message("libpq %d\n", PQlibVersion());
    const struct CMUnitTest tests[] = {
        TEST(test_conninfo_agrees_with_libpq),
        TEST(test_conninfo_variables_are_those_of_libpq),
        TEST(test_conninfo_values_are_those_of_libpq),
    };
    return cmocka_run_group_tests_name("conninfo_libpq", tests, NULL, NULL);
}
