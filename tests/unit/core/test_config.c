/* Settings: every type's good and bad values, secrets that stay secret, all problems at once. */
#include "core/config.h"
#include "tests/support/in_fiber.h"

typedef enum color {
    RED = 0,
    GREEN,
    BLUE,
} color;

typedef struct settings {
    bool verbose;
    int64_t port;
    int64_t offset;
    int64_t count;
    int64_t big;
    int64_t timeout_ms;
    int64_t body_bytes;
    int64_t color;
    str name;
    str url;
    str key;
    uint32_t untouched;
} settings;

static const char *const COLORS[] = { "red", "green", "blue", NULL };
static const char *const SCHEMES[] = { "postgres", "postgresql", NULL };

#define AT(member_) .offset = offsetof(settings, member_)

static const config_entry TABLE[] = {
    { "T_VERBOSE", CONFIG_BOOL, "yes", .meaning = "says more", AT(verbose) },
    { "T_PORT", CONFIG_INT, "8080", 1, 65535, .meaning = "port to listen on", AT(port) },
    { "T_OFFSET", CONFIG_INT, "-5", -10, 0, .meaning = "may be negative", AT(offset) },
    { "T_COUNT", CONFIG_INT, "3", 1, .unit = "things", .meaning = "one or more", AT(count) },
    { "T_BIG", CONFIG_INT, "0", .meaning = "the whole range", AT(big) },
    { "T_TIMEOUT", CONFIG_DURATION, "30s", 100, 3600000, .meaning = "how long", AT(timeout_ms) },
    { "T_BODY", CONFIG_BYTES, "1M", 1024, 1073741824, .meaning = "how much", AT(body_bytes) },
    { "T_COLOR", CONFIG_CHOICE, "green", .choices = COLORS, .meaning = "which", AT(color) },
    { "T_NAME", CONFIG_TEXT, "nobody", 2, 20, .meaning = "who", AT(name) },
    { "T_URL", CONFIG_URL, .choices = SCHEMES, .meaning = "where", AT(url) },
    { "T_KEY", CONFIG_SECRET, NULL, 8, 64, .meaning = "what", AT(key) },
    { 0 },
};

static const char *const NAMES[] = { "T_VERBOSE", "T_PORT",    "T_OFFSET", "T_COUNT",
                                     "T_BIG",     "T_TIMEOUT", "T_BODY",   "T_COLOR",
                                     "T_NAME",    "T_URL",     "T_KEY",    "T_MUST" };

static buf problems;

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        unsetenv(NAMES[i]);
    buf_init(&problems, 1 << 16);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_deinit(&problems);
    return 0;
}

static bool says(const char *part)
{
    return memmem(buf_str(&problems).ptr, problems.len, part, strlen(part)) != NULL;
}

static void assert_defaults(const settings *s)
{
    assert_true(s->verbose);
    assert_int_equal(s->port, 8080);
    assert_int_equal(s->offset, -5);
    assert_int_equal(s->count, 3);
    assert_int_equal(s->big, 0);
    assert_int_equal(s->timeout_ms, 30000);
    assert_int_equal(s->body_bytes, 1048576);
    assert_int_equal(s->color, GREEN);
    assert_str_equal(s->name, STR("nobody"));
    assert_null(s->url.ptr);
    assert_null(s->key.ptr);
}

static void test_config_unset_and_empty_variables_give_defaults(void **state)
{
    (void)state;
    settings s = { .untouched = 77 };
    assert_ok(config_read(TABLE, &s));
    assert_defaults(&s);
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        setenv(NAMES[i], "", 1);
    memset(&s, 0xEE, sizeof s);
    s.untouched = 77;
    assert_ok(config_read(TABLE, &s));
    assert_defaults(&s);
    assert_int_equal(s.untouched, 77);
    assert_int_equal(problems.len, 0);
}

static void test_config_good_values_are_stored(void **state)
{
    (void)state;
    setenv("T_VERBOSE", "OFF", 1);
    setenv("T_PORT", "65535", 1);
    setenv("T_OFFSET", "-10", 1);
    setenv("T_COUNT", "9223372036854775807", 1);
    setenv("T_BIG", "-9223372036854775808", 1);
    setenv("T_TIMEOUT", "1h", 1);
    setenv("T_BODY", "64k", 1);
    setenv("T_COLOR", "Blue", 1);
    setenv("T_NAME", "gr\xC3\xBC\xC3\x9F", 1);
    setenv("T_URL", "postgresql://u:p@[::1]:5432/db?x=1", 1);
    setenv("T_KEY", "\x01 any bytes \xFF", 1);
    settings s = { 0 };
    assert_ok(config_read(TABLE, &s));
    assert_false(s.verbose);
    assert_int_equal(s.port, 65535);
    assert_int_equal(s.offset, -10);
    assert_true(s.count == INT64_MAX);
    assert_true(s.big == INT64_MIN);
    assert_int_equal(s.timeout_ms, 3600000);
    assert_int_equal(s.body_bytes, 65536);
    assert_int_equal(s.color, BLUE);
    assert_str_equal(s.name, STR("gr\xC3\xBC\xC3\x9F"));
    assert_str_equal(s.url, STR("postgresql://u:p@[::1]:5432/db?x=1"));
    assert_str_equal(s.key, STR("\x01 any bytes \xFF"));
}

static void test_config_units_multiply(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t ms;
    } rows[] = {
        { "100", 100 },   { "100ms", 100 },  { "2s", 2000 },
        { "5m", 300000 }, { "1H", 3600000 }, { "0000150MS", 150 },
    };
    settings s;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        setenv("T_TIMEOUT", rows[i].text, 1);
        assert_ok(config_read(TABLE, &s));
        assert_int_equal(s.timeout_ms, rows[i].ms);
    }
    static const struct {
        const char *text;
        size_t bytes;
    } sizes[] = { { "1024", 1024 }, { "1K", 1024 }, { "3m", 3145728 }, { "1G", 1073741824 } };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        setenv("T_BODY", sizes[i].text, 1);
        assert_ok(config_read(TABLE, &s));
        assert_int_equal(s.body_bytes, sizes[i].bytes);
    }
}

static void test_config_every_bad_value_is_refused_by_name_and_rule(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *rule;
    } rows[] = {
        { "T_VERBOSE", "maybe", "true or false" },
        { "T_VERBOSE", "2", "true or false" },
        { "T_VERBOSE", "true ", "true or false" },
        { "T_PORT", "0", "an integer from 1 to 65535" },
        { "T_PORT", "65536", "an integer from 1 to 65535" },
        { "T_PORT", "-1", "an integer from 1 to 65535" },
        { "T_PORT", "80 ", "an integer from 1 to 65535" },
        { "T_PORT", "+80", "an integer from 1 to 65535" },
        { "T_PORT", "0x50", "an integer from 1 to 65535" },
        { "T_PORT", "8o80", "an integer from 1 to 65535" },
        { "T_PORT", "99999999999999999999999", "an integer from 1 to 65535" },
        { "T_OFFSET", "1", "an integer from -10 to 0" },
        { "T_OFFSET", "-11", "an integer from -10 to 0" },
        { "T_COUNT", "0", "an integer of at least 1 (things)" },
        { "T_COUNT", "-1", "an integer of at least 1 (things)" },
        { "T_BIG", "9223372036854775808", "an integer\n" },
        { "T_BIG", "1e3", "an integer\n" },
        { "T_TIMEOUT", "99ms", "a duration from 100ms to 1h" },
        { "T_TIMEOUT", "3601s", "a duration from 100ms to 1h" },
        { "T_TIMEOUT", "1.5s", "a duration from 100ms to 1h" },
        { "T_TIMEOUT", "10 s", "a duration from 100ms to 1h" },
        { "T_TIMEOUT", "s", "a duration from 100ms to 1h" },
        { "T_TIMEOUT", "-5s", "a duration from 100ms to 1h" },
        { "T_TIMEOUT", "5d", "a duration from 100ms to 1h" },
        { "T_TIMEOUT", "9223372036854775807h", "a duration from 100ms to 1h" },
        { "T_BODY", "1023", "a size in bytes from 1K to 1G" },
        { "T_BODY", "2G", "a size in bytes from 1K to 1G" },
        { "T_BODY", "1KB", "a size in bytes from 1K to 1G" },
        { "T_BODY", "1T", "a size in bytes from 1K to 1G" },
        { "T_BODY", "-1K", "a size in bytes from 1K to 1G" },
        { "T_BODY", "8589934592G", "a size in bytes from 1K to 1G" },
        { "T_COLOR", "mauve", "one of red, green, blue" },
        { "T_COLOR", "re", "one of red, green, blue" },
        { "T_COLOR", "1", "one of red, green, blue" },
        { "T_NAME", "x", "printable text of 2 to 20 bytes" },
        { "T_NAME", "123456789012345678901", "printable text of 2 to 20 bytes" },
        { "T_NAME", "two\nlines", "printable text of 2 to 20 bytes" },
        { "T_NAME", "\xFF\xFE", "printable text of 2 to 20 bytes" },
        { "T_NAME", "\x7F\x7F\x7F", "printable text of 2 to 20 bytes" },
        { "T_URL", "localhost:5432",
          "a URL starting with one of postgres://, postgresql:// of at most" },
        { "T_URL", "mysql://h/db", "a URL starting with one of postgres://, postgresql://" },
        { "T_URL", "postgres:/h", "a URL starting" },
        { "T_URL", "postgres://", "a URL starting" },
        { "T_URL", "postgres://h/a b", "a URL starting" },
        { "T_URL", "postgres://h/\xC3\xBC", "a URL starting" },
        { "T_URL", "://h", "a URL starting" },
        { "T_KEY", "1234567", "a secret of 8 to 64 bytes" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        setenv(rows[i].name, rows[i].text, 1);
        settings s = { 0 };
        buf_reset(&problems);
        assert_fails(CONFIG_INVALID, config_read(TABLE, &s));
        const error e = config_check(TABLE, &problems);
        if (!error_is(e, &CONFIG_INVALID))
            fail_msg("%s=%s was taken", rows[i].name, rows[i].text);
        if (!says(rows[i].rule) || !says(rows[i].name))
            fail_msg("%s=%s: %.*s", rows[i].name, rows[i].text, STR_ARG(buf_str(&problems)));
        assert_defaults(&s);
        unsetenv(rows[i].name);
    }
}

static void test_config_check_tells_all_problems_one_line_each(void **state)
{
    (void)state;
    setenv("T_VERBOSE", "maybe", 1);
    setenv("T_PORT", "port\n80\x1b[31m\"\\", 1);
    setenv("T_COLOR", "mauve", 1);
    assert_fails(CONFIG_INVALID, config_check(TABLE, &problems));
    assert_str_equal(buf_str(&problems),
                     STR("T_VERBOSE=\"maybe\": must be true or false\n"
                         "T_PORT=\"port\\x0a80\\x1b[31m\\\"\\\\\": must be an integer from 1 to "
                         "65535\n"
                         "T_COLOR=\"mauve\": must be one of red, green, blue\n"));
}

static void test_config_read_names_the_problems_in_its_error(void **state)
{
    (void)state;
    setenv("T_VERBOSE", "maybe", 1);
    setenv("T_COLOR", "mauve", 1);
    settings s = { 0 };
    const error e = config_read(TABLE, &s);
    assert_fails(CONFIG_INVALID, e);
    assert_int_equal(s.color, GREEN);
    char text[600];
    error_describe(e, text, sizeof text);
    assert_non_null(strstr(text, "2 bad setting(s): T_VERBOSE=\"maybe\": must be true or false\n"));
    assert_non_null(strstr(text, "T_COLOR=\"mauve\": must be one of red, green, blue"));
}

static void test_config_long_values_are_shown_cut(void **state)
{
    (void)state;
    char text[5000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    setenv("T_PORT", text, 1);
    setenv("T_KEY", text, 1);
    assert_fails(CONFIG_INVALID, config_check(TABLE, &problems));
    assert_in_range(problems.len, 100, 400);
}

static void test_config_secrets_and_urls_are_never_shown(void **state)
{
    (void)state;
    setenv("T_KEY", "hunter2", 1);
    setenv("T_URL", "mysql://root:hunter2@h/", 1);
    settings s = { 0 };
    const error e = config_read(TABLE, &s);
    assert_fails(CONFIG_INVALID, e);
    char text[600];
    error_describe(e, text, sizeof text);
    assert_null(strstr(text, "hunter2"));
    assert_null(s.key.ptr);
    assert_null(s.url.ptr);
    assert_fails(CONFIG_INVALID, config_check(TABLE, &problems));
    assert_false(says("hunter2"));
    assert_true(says("the value given is not shown"));
}

static void test_config_required_variable_must_be_set(void **state)
{
    (void)state;
    static const config_entry MUST[] = {
        { "T_MUST", CONFIG_SECRET, .min = 4, .required = true, .meaning = "needed", AT(key) },
        { "T_COUNT", CONFIG_INT, .meaning = "a number without a default", AT(count) },
        { 0 },
    };
    settings s = { .count = 5 };
    assert_fails(CONFIG_INVALID, config_read(MUST, &s));
    assert_int_equal(s.count, 0);
    assert_fails(CONFIG_INVALID, config_check(MUST, &problems));
    assert_str_equal(buf_str(&problems), STR("T_MUST: must be set to a secret of at least 4 bytes\n"
                                             "T_COUNT: must be set to an integer\n"));
    setenv("T_MUST", "abcd", 1);
    setenv("T_COUNT", "-7", 1);
    assert_ok(config_read(MUST, &s));
    assert_str_equal(s.key, STR("abcd"));
    assert_int_equal(s.count, -7);
}

static void test_config_read_into_nothing_only_checks(void **state)
{
    (void)state;
    setenv("T_PORT", "nope", 1);
    assert_fails(CONFIG_INVALID, config_read(TABLE, NULL));
    setenv("T_PORT", "80", 1);
    assert_ok(config_read(TABLE, NULL));
    assert_ok(config_check(TABLE, &problems));
    assert_int_equal(problems.len, 0);
}

static void test_config_describes_type_range_default_and_meaning(void **state)
{
    (void)state;
    setenv("T_KEY", "hunter2hunter2", 1);
    config_describe(&problems, TABLE);
    assert_ok(buf_status(&problems));
    assert_true(says("  T_PORT                     port to listen on\n"
                     "                             an integer from 1 to 65535; default 8080\n"));
    assert_true(says("true or false; default yes\n"));
    assert_true(says("a duration from 100ms to 1h (units ms, s, m, h); default 30s\n"));
    assert_true(says("a size in bytes from 1K to 1G (units K, M, G); default 1M\n"));
    assert_true(says("one of red, green, blue; default green\n"));
    assert_true(says("a secret of 8 to 64 bytes\n"));
    assert_false(says("hunter2"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_config_unset_and_empty_variables_give_defaults),
        TEST(test_config_good_values_are_stored),
        TEST(test_config_units_multiply),
        TEST(test_config_every_bad_value_is_refused_by_name_and_rule),
        TEST(test_config_check_tells_all_problems_one_line_each),
        TEST(test_config_read_names_the_problems_in_its_error),
        TEST(test_config_long_values_are_shown_cut),
        TEST(test_config_secrets_and_urls_are_never_shown),
        TEST(test_config_required_variable_must_be_set),
        TEST(test_config_read_into_nothing_only_checks),
        TEST(test_config_describes_type_range_default_and_meaning),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
