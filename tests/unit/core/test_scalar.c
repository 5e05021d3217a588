/* Scalars as text: integers, doubles, instants, UUIDs, base64. */
#include "core/arena.h"
#include "core/clock.h"
#include "core/scalar.h"
#include "tests/support/exact_copy.h"
#include "tests/support/random.h"

#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>

/* Literals may hold NULs. */
#define TEXT(literal)                \
    {                                \
        literal, sizeof(literal) - 1 \
    }

/* --- integers -------------------------------------------------------------------------------- */

static void check_int64(int64_t value)
{
    char text[INT64_TEXT_MAX], expected[32];
    const str found = { text, int64_format(text, value) };
    snprintf(expected, sizeof expected, "%" PRId64, value);
    assert_str_equal(found, str_from_c(expected));
    int64_t back;
    assert_true(str_to_int64(found, &back));
    assert_true(back == value);
}

static void check_uint64(uint64_t value)
{
    char text[UINT64_TEXT_MAX], expected[32];
    const str found = { text, uint64_format(text, value) };
    snprintf(expected, sizeof expected, "%" PRIu64, value);
    assert_str_equal(found, str_from_c(expected));
}

static void test_scalar_integers_are_formatted_as_printf_does(void **state)
{
    (void)state;
    random_state r = random_start();
    uint64_t power = 1;
    for (int i = 0; i < 20; i++, power *= 10) {
        for (uint64_t near = power - 1; near != power + 2; near++) {
            check_uint64(near);
            check_int64((int64_t)near);
            check_int64((int64_t)(0 - near));
        }
    }
    check_uint64(UINT64_MAX);
    check_int64(INT64_MAX);
    check_int64(INT64_MIN);
    for (int i = 0; i < 50000; i++) {
        const uint64_t value = random_next(&r) >> random_below(&r, 64);
        check_uint64(value);
        check_int64((int64_t)value);
        check_int64((int64_t)(0 - value));
    }
}

/* --- doubles --------------------------------------------------------------------------------- */

static str format(char text[FLOAT8_TEXT_MAX], double value)
{
    return (str){ text, float8_format(text, value) };
}

static void test_scalar_double_has_the_expected_text(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        { 0.0, "0" },
        { -0.0, "-0" },
        { 1.0, "1" },
        { -1.5, "-1.5" },
        { 0.1, "0.1" },
        { 0.1 + 0.2, "0.30000000000000004" },
        { 123456789.125, "123456789.125" },
        { 0x1p53, "9007199254740992" },
        { 0x1p64, "18446744073709552000" },
        { 1e20, "100000000000000000000" },
        { 1e21, "1e21" },
        { 1.5e300, "1.5e300" },
        { 0.000001, "0.000001" },
        { 0.0000001, "0.0000001" },
        { 1e-8, "1e-8" },
        { 1.25e-8, "1.25e-8" },
        { DBL_MAX, "1.7976931348623157e308" },
        { DBL_MIN, "2.2250738585072014e-308" },
        { 0x1p-1074, "5e-324" },
        { 0x0.fffffffffffffp-1022, "2.225073858507201e-308" },
        { 0x1p-20, "0.00000095367431640625" },
        { (double)NAN, "NaN" },
        { (double)INFINITY, "Infinity" },
        { -(double)INFINITY, "-Infinity" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[FLOAT8_TEXT_MAX];
        assert_str_equal(format(text, rows[i].value), str_from_c(rows[i].text));
    }
}

/* The significant digits of a decimal text, without leading and trailing zeros. */
static size_t digits_of(str text, char *digits)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len && text.ptr[i] != 'e'; i++) {
        const char c = text.ptr[i];
        if (c >= '0' && c <= '9' && (len > 0 || c != '0'))
            digits[len++] = c;
    }
    while (len > 0 && digits[len - 1] == '0')
        len--;
    digits[len] = '\0';
    return len;
}

/* Reads back the same, and with the digits of the shortest printf that does so. Below a power of
 * two doubles stand closer, so there a shorter text than the nearest of its length may do. */
static void check_shortest(double value)
{
    char text[FLOAT8_TEXT_MAX], c_text[40], digits[40], c_digits[40];
    const str found = format(text, value);
    double back;
    assert_true(float8_parse(found, &back));
    if (memcmp(&back, &value, sizeof back) != 0)
        fail_msg("%a became %.*s", value, STR_ARG(found));
    int precision = 0;
    do {
        snprintf(c_text, sizeof c_text, "%.*e", precision++, value);
    } while (strtod(c_text, NULL) != value);
    const size_t count = digits_of(found, digits),
                 c_count = digits_of(str_from_c(c_text), c_digits);
    int exponent;
    const bool power = frexp(fabs(value), &exponent) == 0.5;
    if (power ? count > c_count : strcmp(digits, c_digits) != 0)
        fail_msg("%a is %.*s, C has %s", value, STR_ARG(found), c_text);
}

static void test_scalar_double_text_is_shortest_and_reads_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (int i = 0; i < 60000; i++) {
        uint64_t bits = random_next(&r);
        if (i % 4 == 1)
            bits &= ~(UINT64_MAX >> (12 + random_below(&r, 52))); /* few bits set */
        if (i % 4 == 2)
            bits &= UINT64_MAX >> (12 + random_below(&r, 52)); /* subnormal */
        double value;
        memcpy(&value, &bits, sizeof value);
        if (i % 4 == 3) /* people's numbers */
            value = (double)random_below(&r, 100000000) / 1000;
        if (isfinite(value) && value != 0)
            check_shortest(value);
    }
    for (int e = -1074; e < 1024; e++)
        check_shortest(ldexp(1, e));
}

static void test_scalar_double_text_that_is_no_json_number_is_refused(void **state)
{
    (void)state;
    static const str rows[] = { TEXT(""),
                                TEXT("-"),
                                TEXT("+1"),
                                TEXT(".5"),
                                TEXT("1."),
                                TEXT("1.e1"),
                                TEXT("01"),
                                TEXT("-01"),
                                TEXT("1e"),
                                TEXT("1e+"),
                                TEXT("1e1.5"),
                                TEXT("0x1p3"),
                                TEXT(" 1"),
                                TEXT("1 "),
                                TEXT("1,5"),
                                TEXT("inf"),
                                TEXT("NaN"),
                                TEXT("nan"),
                                TEXT("Infinity"),
                                TEXT("-Infinity"),
                                TEXT("1\0"),
                                TEXT("1f"),
                                TEXT("1e5x"),
                                TEXT("--1"),
                                TEXT("1e309"),
                                TEXT("-1e309"),
                                TEXT("1.7976931348623159e308"),
                                TEXT("1e99999999999999999999") };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double value = 42;
        const str copy = exact_copy(rows[i]);
        if (float8_parse(copy, &value) || value != 42)
            fail_msg("taken: %.*s", STR_ARG(rows[i]));
        exact_free(copy);
    }
}

static void test_scalar_double_is_parsed_to_the_nearest(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } rows[] = {
        { "0", 0.0 },
        { "-0", -0.0 },
        { "0e999999", 0.0 },
        { "-0.000e+5", -0.0 },
        { "1E2", 100 },
        { "1e-2", 0.01 },
        { "9007199254740993", 9007199254740992.0 },
        { "9007199254740995", 9007199254740996.0 },
        { "9007199254740993.0000000000000000000000000000000001", 9007199254740994.0 },
        { "9007199254740992999999999999999999e-18", 9007199254740992.0 },
        { "123456789012345678901234567890", 123456789012345678901234567890.0 },
        { "1.7976931348623158e308", DBL_MAX },
        { "2.4703282292062327e-324", 0.0 },
        { "2.4703282292062328e-324", 0x1p-1074 },
        { "2.2250738585072011e-308", 0x0.fffffffffffffp-1022 },
        { "2.2250738585072012e-308", 0x1p-1022 },
        { "1e-400", 0.0 },
        { "-1e-99999999999999999999", -0.0 },
        { "0.00000000000000000000000000000000000000001e41", 1 },
        { "100000000000000000000000000000000000000000e-41", 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double value;
        const str copy = exact_copy(str_from_c(rows[i].text));
        assert_true(float8_parse(copy, &value));
        if (memcmp(&value, &rows[i].value, sizeof value) != 0)
            fail_msg("%s became %a", rows[i].text, value);
        exact_free(copy);
    }
}

/* Ours and the C library's answers to one text. */
static void check_parse(const char *text)
{
    const double expected = strtod(text, NULL);
    double value = 42;
    const bool parsed = float8_parse(str_from_c(text), &value);
    if (parsed != (isfinite(expected) != 0) ||
        (parsed && memcmp(&value, &expected, sizeof value) != 0))
        fail_msg("%s became %a instead of %a", text, value, expected);
}

static void test_scalar_double_parses_as_the_c_library_does(void **state)
{
    (void)state;
    random_state r = random_start();
    for (int i = 0; i < 100000; i++) {
        char text[64];
        size_t len = 0;
        if (random_below(&r, 2))
            text[len++] = '-';
        text[len++] = (char)('1' + random_below(&r, 9));
        const size_t digits = random_below(&r, i % 2 ? 20 : 42), point = random_below(&r, 30);
        for (size_t d = 0; d < digits; d++) {
            if (d == point)
                text[len++] = '.';
            text[len++] = (char)('0' + random_below(&r, 10));
        }
        snprintf(text + len, sizeof text - len, "e%d", (int)random_below(&r, 680) - 350);
        check_parse(text);
    }
}

/* The exact middle between two doubles, a little less and a little more. A long double holds it. */
static void test_scalar_double_ties_go_to_even(void **state)
{
    (void)state;
    random_state r = random_start();
    static char text[2000];
    for (int i = 0; i < 5000; i++) {
        uint64_t bits = random_next(&r) >> 1;
        if (i % 3 == 0)
            bits >>= random_below(&r, 60); /* subnormals too */
        double value;
        memcpy(&value, &bits, sizeof value);
        const double next = nextafter(value, (double)INFINITY);
        if (!isfinite(value) || !isfinite(next))
            continue;
        const long double middle = ((long double)value + (long double)next) / 2;
        int len = snprintf(text, sizeof text - 8, "%.1080Le", middle);
        assert_in_range(len, 1080, sizeof text - 9);
        check_parse(text);
        char *exponent = strchr(text, 'e');
        assert_non_null(exponent);
        memmove(exponent + 1, exponent, strlen(exponent) + 1);
        *exponent = '1'; /* past the middle, by a digit that must not be lost */
        check_parse(text);
        const double up = value == 0 ? next : strtod(text, NULL);
        assert_true(up == next);
    }
}

/* 0.000…1e1000001 and 1000…0e-1000000: the exponent and the zeros cancel out. */
static void test_scalar_double_long_zeros_and_exponents_cancel_out(void **state)
{
    (void)state;
    enum {
        ZEROS = 12000000
    };
    char *text = malloc(ZEROS + 32);
    assert_non_null(text);
    double value;
    memset(text, '0', ZEROS + 2);
    text[1] = '.';
    size_t len = ZEROS + 2;
    len += (size_t)sprintf(text + len, "1e%d", ZEROS + 1);
    assert_true(float8_parse((str){ text, len }, &value));
    assert_true(value == 1);
    memset(text, '0', ZEROS + 1);
    text[0] = '7';
    len = ZEROS + 1;
    len += (size_t)sprintf(text + len, "e-%d", ZEROS);
    assert_true(float8_parse((str){ text, len }, &value));
    assert_true(value == 7);
    free(text);
}

static void test_scalar_double_ignores_the_locale(void **state)
{
    (void)state;
    /* Not every machine has a locale with a decimal comma; with one, this must change nothing. */
    static const char *const LOCALES[] = { "de_DE.UTF-8", "de_DE", "fr_FR.UTF-8" };
    for (size_t i = 0; i < ARRAY_LEN(LOCALES) && !setlocale(LC_ALL, LOCALES[i]); i++)
        ;
    char text[FLOAT8_TEXT_MAX];
    double value;
    assert_str_equal(format(text, 0.5), STR("0.5"));
    assert_true(float8_parse(STR("9007199254740993.5"), &value));
    assert_true(value == 9007199254740994.0);
    assert_true(float8_parse(STR("2.4703282292062328e-324"), &value));
    assert_true(value == 0x1p-1074);
    assert_false(float8_parse(STR("0,5"), &value));
    setlocale(LC_ALL, "C");
}

/* --- instants -------------------------------------------------------------------------------- */

#define SECOND INT64_C(1000000)

static void test_scalar_instant_is_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *normal; /* NULL: the same */
    } rows[] = {
        { "2000-01-01T00:00:00Z", NULL },
        { "1970-01-01T00:00:00Z", NULL },
        { "0001-01-01T00:00:00Z", NULL },
        { "9999-12-31T23:59:59.999999Z", NULL },
        { "2026-01-31T12:00:00.5Z", NULL },
        { "2024-02-29T00:00:00Z", NULL },
        { "1900-02-28T00:00:00Z", NULL },
        { "2000-02-29T23:59:59.000001Z", NULL },
        { "infinity", NULL },
        { "-infinity", NULL },
        { "2026-01-31t12:00:00z", "2026-01-31T12:00:00Z" },
        { "2026-01-31 12:00:00Z", "2026-01-31T12:00:00Z" },
        { "2026-01-31T12:00:00.500Z", "2026-01-31T12:00:00.5Z" },
        { "2026-01-31T12:00:00.000000Z", "2026-01-31T12:00:00Z" },
        { "2026-01-31T12:00:00.1234569Z", "2026-01-31T12:00:00.123456Z" },
        { "2026-01-31T12:00:00+00:00", "2026-01-31T12:00:00Z" },
        { "2026-01-31T12:00:00-00:00", "2026-01-31T12:00:00Z" },
        { "2026-01-31T00:30:00+01:00", "2026-01-30T23:30:00Z" },
        { "2026-12-31T23:30:00-01:00", "2027-01-01T00:30:00Z" },
        { "2026-01-31T12:00:00+05:45", "2026-01-31T06:15:00Z" },
        { "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z" },
        { "0001-01-01T00:30:00+00:30", "0001-01-01T00:00:00Z" },
        { "9999-12-31T23:00:00-00:59", "9999-12-31T23:59:00Z" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        timestamptz t;
        char text[TIMESTAMPTZ_TEXT_MAX];
        const str copy = exact_copy(str_from_c(rows[i].text));
        if (!timestamptz_parse(copy, &t))
            fail_msg("refused: %s", rows[i].text);
        const char *expected = rows[i].normal ? rows[i].normal : rows[i].text;
        assert_str_equal(((str){ text, timestamptz_format(text, t) }), str_from_c(expected));
        exact_free(copy);
    }
}

static void test_scalar_instant_that_is_none_is_refused(void **state)
{
    (void)state;
    static const str rows[] = {
        TEXT(""),
        TEXT("2026"),
        TEXT("2026-01-31"),
        TEXT("2026-01-31T12:00:00"),
        TEXT("2026-01-31T12:00Z"),
        TEXT("2026-01-31T12:00:00.Z"),
        TEXT("2026-01-31T12:00:00,5Z"),
        TEXT("2026-01-31T12:00:00Zx"),
        TEXT("2026-01-31T12:00:00Z\0"),
        TEXT(" 2026-01-31T12:00:00Z"),
        TEXT("2026-01-31X12:00:00Z"),
        TEXT("2026-1-31T12:00:00Z"),
        TEXT("2026-13-01T12:00:00Z"),
        TEXT("2026-00-01T12:00:00Z"),
        TEXT("2026-01-00T12:00:00Z"),
        TEXT("2026-01-32T12:00:00Z"),
        TEXT("2026-04-31T12:00:00Z"),
        TEXT("2026-02-29T12:00:00Z"),
        TEXT("1900-02-29T12:00:00Z"),
        TEXT("2026-01-31T24:00:00Z"),
        TEXT("2026-01-31T12:60:00Z"),
        TEXT("2026-01-31T12:00:61Z"),
        TEXT("2026-01-31T12:00:-1Z"),
        TEXT("2026-01-31T12:00:-0Z"),
        TEXT("2026-01-31T12:00:00.-1Z"),
        TEXT("2026-01-31T12:00:00+-0:00"),
        TEXT("-026-01-31T12:00:00Z"),
        TEXT("2026-01-31T12:00:00+1:00"),
        TEXT("2026-01-31T12:00:00+0100"),
        TEXT("2026-01-31T12:00:00+01"),
        TEXT("2026-01-31T12:00:00+24:00"),
        TEXT("2026-01-31T12:00:00+01:60"),
        TEXT("2026-01-31T12:00:00 Z"),
        TEXT("0000-01-01T00:00:00Z"),
        TEXT("0001-01-01T00:00:00+00:01"),
        TEXT("9999-12-31T23:59:60Z"),
        TEXT("9999-12-31T23:59:59-00:01"),
        TEXT("10000-01-01T00:00:00Z"),
        TEXT("Infinity"),
        TEXT("infinit"),
        TEXT("now"),
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        timestamptz t = { 42 };
        const str copy = exact_copy(rows[i]);
        if (timestamptz_parse(copy, &t) || t.us != 42)
            fail_msg("taken: %.*s", STR_ARG(rows[i]));
        exact_free(copy);
    }
}

static void check_instant(timestamptz t)
{
    char text[TIMESTAMPTZ_TEXT_MAX], expected[64];
    const str found = { text, timestamptz_format(text, t) };
    struct tm utc;
    const int64_t unix_seconds = timestamptz_to_unix(t);
    gmtime_r(&(time_t){ unix_seconds }, &utc);
    snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d:%02d:%02d", utc.tm_year + 1900,
             utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
    assert_true(str_starts_with(found, str_from_c(expected)));
    timestamptz back;
    assert_true(timestamptz_parse(found, &back));
    assert_true(back.us == t.us);
    const int64_t fraction = t.us - timestamptz_from_unix(unix_seconds).us;
    assert_true(fraction >= 0 && fraction < SECOND);
}

static void test_scalar_instant_agrees_with_the_c_library(void **state)
{
    (void)state;
    random_state r = random_start();
    const int64_t first = -62135596800, behind = 253402300800; /* years 1 to 9999 */
    for (int i = 0; i < 50000; i++) {
        const int64_t at = first + (int64_t)random_below(&r, (size_t)(behind - first));
        const int64_t fraction = i % 2 ? 0 : (int64_t)random_below(&r, (size_t)SECOND);
        check_instant((timestamptz){ timestamptz_from_unix(at).us + fraction });
    }
    for (int64_t day = first; day < behind; day += 86400 * 17) {
        check_instant(timestamptz_from_unix(day));
        check_instant((timestamptz){ timestamptz_from_unix(day).us + 86400 * SECOND - 1 });
    }
}

static void test_scalar_instant_of_any_value_has_a_bounded_text(void **state)
{
    (void)state;
    random_state r = random_start();
    char text[TIMESTAMPTZ_TEXT_MAX];
    for (int i = 0; i < 50000; i++) {
        const timestamptz t = { (int64_t)random_next(&r) };
        assert_in_range(timestamptz_format(text, t), 8, TIMESTAMPTZ_TEXT_MAX);
    }
    assert_str_equal(((str){ text, timestamptz_format(text, (timestamptz){ INT64_MAX - 1 }) }),
                     STR("294277-01-09T04:00:54.775806Z"));
    assert_str_equal(((str){ text, timestamptz_format(text, (timestamptz){ INT64_MIN + 1 }) }),
                     STR("-290278-12-22T19:59:05.224193Z"));
}

static void test_scalar_instant_converts_to_unix_and_back(void **state)
{
    (void)state;
    assert_true(timestamptz_to_unix((timestamptz){ 0 }) == 946684800);
    assert_true(timestamptz_to_unix((timestamptz){ -1 }) == 946684799); /* down, not to zero */
    assert_true(timestamptz_from_unix(946684800).us == 0);
    assert_true(timestamptz_from_unix(0).us == -946684800 * SECOND);
    assert_true(timestamptz_from_unix(INT64_MAX).us == INT64_MAX);
    assert_true(timestamptz_from_unix(INT64_MIN).us == INT64_MIN);
    const time_t before = time(NULL);
    const int64_t now = timestamptz_to_unix(timestamptz_now());
    assert_true(now >= before - 1 && now <= time(NULL) + 1);
}

/* --- UUIDs ----------------------------------------------------------------------------------- */

static void test_scalar_uuid_comes_back_the_same(void **state)
{
    (void)state;
    uuid u;
    char text[UUID_TEXT_LEN];
    assert_true(uuid_parse(STR("00112233-4455-6677-8899-aAbBcCdDeEfF"), &u));
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(u.bytes[i], i * 0x11);
    assert_int_equal(uuid_format(text, u), UUID_TEXT_LEN);
    assert_memory_equal(text, "00112233-4455-6677-8899-aabbccddeeff", UUID_TEXT_LEN);
    random_state r = random_start();
    for (int i = 0; i < 10000; i++) {
        const uint64_t halves[2] = { random_next(&r), random_next(&r) };
        uuid back;
        memcpy(u.bytes, halves, sizeof u.bytes);
        uuid_format(text, u);
        assert_true(uuid_parse((str){ text, sizeof text }, &back));
        assert_memory_equal(back.bytes, u.bytes, sizeof u.bytes);
    }
}

static void test_scalar_uuid_with_any_byte_wrong_is_refused(void **state)
{
    (void)state;
    const str good = STR("00112233-4455-6677-8899-aabbccddeeff");
    uuid u = { { 42 } };
    for (size_t i = 0; i < good.len; i++) {
        static const char WRONG[] = "g-G /:@`0\n\xFF";
        for (size_t w = 0; w < sizeof WRONG; w++) { /* the NUL too */
            const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
            if (dash ? WRONG[w] == '-' : WRONG[w] == '0')
                continue;
            char text[UUID_TEXT_LEN];
            memcpy(text, good.ptr, sizeof text);
            text[i] = WRONG[w];
            assert_false(uuid_parse((str){ text, sizeof text }, &u));
        }
        const str copy = exact_copy(str_slice(good, 0, i));
        assert_false(uuid_parse(copy, &u));
        exact_free(copy);
    }
    assert_false(uuid_parse(STR("00112233-4455-6677-8899-aabbccddeeff0"), &u));
    assert_false(uuid_parse(STR("{00112233-4455-6677-8899-aabbccddeeff}"), &u));
    assert_false(uuid_parse(STR("00112233445566778899aabbccddeeff"), &u));
    assert_int_equal(u.bytes[0], 42);
}

/* --- base64 ---------------------------------------------------------------------------------- */

static bytea bytes_of(str s)
{
    return (bytea){ (const uint8_t *)s.ptr, s.len };
}

static str text_of(bytea b)
{
    return (str){ (const char *)b.ptr, b.len };
}

static void test_scalar_base64_has_the_texts_of_the_rfc(void **state)
{
    (void)state;
    static const struct {
        str bytes, padded, url;
    } rows[] = {
        { TEXT(""), TEXT(""), TEXT("") },
        { TEXT("f"), TEXT("Zg=="), TEXT("Zg") },
        { TEXT("fo"), TEXT("Zm8="), TEXT("Zm8") },
        { TEXT("foo"), TEXT("Zm9v"), TEXT("Zm9v") },
        { TEXT("foob"), TEXT("Zm9vYg=="), TEXT("Zm9vYg") },
        { TEXT("fooba"), TEXT("Zm9vYmE="), TEXT("Zm9vYmE") },
        { TEXT("foobar"), TEXT("Zm9vYmFy"), TEXT("Zm9vYmFy") },
        { TEXT("\xFB\xEF\xFF"), TEXT("++//"), TEXT("--__") },
        { TEXT("\0\0\0\0"), TEXT("AAAAAA=="), TEXT("AAAAAA") },
    };
    arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bytea back;
        const str padded = exact_copy(rows[i].padded), url = exact_copy(rows[i].url);
        assert_str_equal(base64_encode(&a, bytes_of(rows[i].bytes)), rows[i].padded);
        assert_str_equal(base64url_encode(&a, bytes_of(rows[i].bytes)), rows[i].url);
        assert_true(base64_decode(&a, padded, &back));
        assert_str_equal(text_of(back), rows[i].bytes);
        assert_true(base64url_decode(&a, url, &back));
        assert_str_equal(text_of(back), rows[i].bytes);
        exact_free(padded);
        exact_free(url);
    }
    arena_deinit(&a);
}

static void test_scalar_base64_has_one_text_a_value(void **state)
{
    (void)state;
    static const str PADDED[] = { TEXT("Z"),     TEXT("Zg"),      TEXT("Zg="),   TEXT("Zm9vYg="),
                                  TEXT("Zh=="),  TEXT("Zm9="),    TEXT("===="),  TEXT("Z==="),
                                  TEXT("Zg==="), TEXT("="),       TEXT("=Zg="),  TEXT("Zg==Zg=="),
                                  TEXT("Zm 9v"), TEXT("Zm9v\n"),  TEXT("Zm\n9"), TEXT("--__"),
                                  TEXT("Zm9\0"), TEXT("Zm9\xFF"), TEXT("Zm9~"),  TEXT("Zm9v====") };
    static const str URL[] = {
        TEXT("Z"),    TEXT("Zg=="),  TEXT("Zm8="),  TEXT("Zh"), TEXT("Zm9"),
        TEXT("++//"), TEXT("Zm9v "), TEXT("Zm9vZ"), TEXT("="),  TEXT("Zg.g")
    };
    arena a;
    arena_init(&a, 1 << 20);
    bytea out = { NULL, 42 };
    for (size_t i = 0; i < ARRAY_LEN(PADDED); i++) {
        if (base64_decode(&a, PADDED[i], &out))
            fail_msg("taken: %.*s", STR_ARG(PADDED[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(URL); i++) {
        if (base64url_decode(&a, URL[i], &out))
            fail_msg("taken as base64url: %.*s", STR_ARG(URL[i]));
    }
    assert_true(out.ptr == NULL && out.len == 42);
    arena_deinit(&a);
}

static void test_scalar_base64_random_bytes_come_back_the_same(void **state)
{
    (void)state;
    random_state r = random_start();
    arena a;
    arena_init(&a, 1 << 20);
    for (int i = 0; i < 20000; i++) {
        char bytes[200];
        const str s = { bytes, random_below(&r, sizeof bytes) };
        for (size_t at = 0; at < s.len; at++)
            bytes[at] = (char)random_next(&r);
        bytea back;
        const str padded = base64_encode(&a, bytes_of(s)), url = base64url_encode(&a, bytes_of(s));
        assert_int_equal(padded.len, (s.len + 2) / 3 * 4);
        assert_true(base64_decode(&a, padded, &back));
        assert_str_equal(text_of(back), s);
        assert_true(base64url_decode(&a, url, &back));
        assert_str_equal(text_of(back), s);
        arena_reset(&a);
    }
    arena_deinit(&a);
}

static void test_scalar_uuid_made_has_its_version_and_is_no_other(void **state)
{
    (void)state;
    uuid made[64];
    for (size_t i = 0; i < ARRAY_LEN(made); i++) {
        made[i] = i % 2 ? uuid_v7() : uuid_v4();
        assert_int_equal(made[i].bytes[6] >> 4, i % 2 ? 7 : 4);
        assert_int_equal(made[i].bytes[8] >> 6, 2);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(&made[i], &made[j], sizeof made[i]);
    }
}

static void test_scalar_uuid_v7_begins_with_the_time(void **state)
{
    (void)state;
    clock_fake_begin(1645557742); /* 2022-02-22 19:22:22 UTC, of RFC 9562 appendix A.6 */
    const uuid first = uuid_v7();
    clock_fake_advance(500);
    const uuid second = uuid_v7();
    clock_fake_advance(499500);
    const uuid third = uuid_v7();
    clock_fake_end();
    assert_memory_equal(first.bytes, "\x01\x7F\x22\xE2\x79\xB0\x70\x00", 8);
    assert_memory_equal(second.bytes, "\x01\x7F\x22\xE2\x79\xB0\x78\x00", 8);
    assert_memory_equal(third.bytes, "\x01\x7F\x22\xE2\x7B\xA4\x70\x00", 8);
}

static void test_scalar_day_is_written_as_iso_8601_has_it(void **state)
{
    (void)state;
    static const struct {
        int64_t year, month, day;
        const char *text;
    } rows[] = {
        { 2026, 11, 21, "2026-11-21" },       { 2000, 1, 1, "2000-01-01" },
        { 999, 2, 3, "0999-02-03" },          { 0, 12, 31, "0000-12-31" },
        { -43, 3, 15, "-0043-03-15" },        { 10000, 1, 1, "10000-01-01" },
        { 5874897, 12, 31, "5874897-12-31" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[SCALAR_CIVIL_TEXT_MAX];
        const int64_t days = scalar_days_from_civil(rows[i].year, rows[i].month, rows[i].day);
        const str found = { text, scalar_civil_format(text, days) };
        assert_str_equal(found, str_from_c(rows[i].text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalar_integers_are_formatted_as_printf_does),
        cmocka_unit_test(test_scalar_double_has_the_expected_text),
        cmocka_unit_test(test_scalar_double_text_is_shortest_and_reads_back),
        cmocka_unit_test(test_scalar_double_text_that_is_no_json_number_is_refused),
        cmocka_unit_test(test_scalar_double_is_parsed_to_the_nearest),
        cmocka_unit_test(test_scalar_double_parses_as_the_c_library_does),
        cmocka_unit_test(test_scalar_double_ties_go_to_even),
        cmocka_unit_test(test_scalar_double_long_zeros_and_exponents_cancel_out),
        cmocka_unit_test(test_scalar_double_ignores_the_locale),
        cmocka_unit_test(test_scalar_instant_is_parsed),
        cmocka_unit_test(test_scalar_instant_that_is_none_is_refused),
        cmocka_unit_test(test_scalar_instant_agrees_with_the_c_library),
        cmocka_unit_test(test_scalar_instant_of_any_value_has_a_bounded_text),
        cmocka_unit_test(test_scalar_instant_converts_to_unix_and_back),
        cmocka_unit_test(test_scalar_uuid_comes_back_the_same),
        cmocka_unit_test(test_scalar_uuid_with_any_byte_wrong_is_refused),
        cmocka_unit_test(test_scalar_uuid_made_has_its_version_and_is_no_other),
        cmocka_unit_test(test_scalar_uuid_v7_begins_with_the_time),
        cmocka_unit_test(test_scalar_day_is_written_as_iso_8601_has_it),
        cmocka_unit_test(test_scalar_base64_has_the_texts_of_the_rfc),
        cmocka_unit_test(test_scalar_base64_has_one_text_a_value),
        cmocka_unit_test(test_scalar_base64_random_bytes_come_back_the_same),
    };
    return cmocka_run_group_tests_name("scalar", tests, NULL, NULL);
}
