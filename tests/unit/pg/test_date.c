/* Dates, times and spans: their text as the server writes it, and their bytes. */
#include "type_test.h"
#include "value.h"

/* Every row's text parses to the row's bytes, which read gives the text again. */
#define TEXT_AND_BYTES(name, oid, rows)                                                \
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {                                     \
        name value_;                                                                   \
        name again_;                                                                   \
        PARSES(NULL, name, (oid), str_from_c((rows)[i].text), &value_);                \
        assert_str_equal(name##_format(&memory, &value_), str_from_c((rows)[i].text)); \
        const pg_value parameter_ = pg_param(value_);                                  \
        char bytes_[16];                                                               \
        const size_t size_ = pg_value_size(&parameter_);                               \
        assert_true(size_ <= sizeof bytes_);                                           \
        assert_ptr_equal(pg_value_put(&parameter_, bytes_), bytes_ + size_);           \
        const str expected_ = { (rows)[i].bytes, size_ };                              \
        assert_str_equal(((str){ bytes_, size_ }), expected_);                         \
        const pg_cell cell_ = { (oid), PG_BINARY, { bytes_, size_ } };                 \
        assert_ok(pg_decode_##name(NULL, &cell_, &again_));                            \
        assert_str_equal(name##_format(&memory, &again_), str_from_c((rows)[i].text)); \
        const pg_cell cut_ = { (oid), PG_BINARY, { bytes_, size_ - 1 } };              \
        assert_fails(PG_TYPE_MISMATCH, pg_decode_##name(NULL, &cut_, &again_));        \
    }

#define REFUSES(name, texts)                                  \
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {           \
        name value_;                                          \
        const str copy_ = exact_copy(str_from_c((texts)[i])); \
        if (name##_parse(copy_, &value_))                     \
            fail_msg("\"%s\" parses as " #name, (texts)[i]);  \
        exact_free(copy_);                                    \
    }

typedef struct text_row {
    const char *text;
    const char *bytes;
} text_row;

static void test_date_text_and_bytes_agree(void **state)
{
    (void)state;
    static const text_row ROWS[] = {
        { "2000-01-01", "\0\0\0\0" },
        { "1999-12-31", "\xFF\xFF\xFF\xFF" },
        { "2000-02-29", "\0\0\0\x3B" },
        { "1970-01-01", "\xFF\xFF\xD5\x33" },
        { "0001-01-01", "\xFF\xF4\xDB\xF9" },
        { "0001-12-31 BC", "\xFF\xF4\xDB\xF8" },
        { "4714-11-24 BC", "\xFF\xDA\x97\xA7" },
        { "5874897-12-31", "\x7F\xDA\x97\x0C" },
        { "infinity", "\x7F\xFF\xFF\xFF" },
        { "-infinity", "\x80\0\0\0" },
    };
    TEXT_AND_BYTES(pg_date, PG_OID_DATE, ROWS)
}

static void test_time_text_and_bytes_agree(void **state)
{
    (void)state;
    static const text_row ROWS[] = {
        { "00:00:00", "\0\0\0\0\0\0\0\0" },
        { "00:00:00.000001", "\0\0\0\0\0\0\0\1" },
        { "00:00:00.5", "\0\0\0\0\0\x07\xA1\x20" },
        { "23:59:59.999999", "\0\0\0\x14\x1D\xD7\x5F\xFF" },
        { "24:00:00", "\0\0\0\x14\x1D\xD7\x60\0" },
    };
    TEXT_AND_BYTES(pg_time, PG_OID_TIME, ROWS)
}

static void test_timetz_text_and_bytes_agree(void **state)
{
    (void)state;
    static const text_row ROWS[] = {
        { "00:00:00+00", "\0\0\0\0\0\0\0\0\0\0\0\0" },
        { "00:00:00.000001+02", "\0\0\0\0\0\0\0\1\xFF\xFF\xE3\xE0" },
        { "00:00:00-03:30", "\0\0\0\0\0\0\0\0\0\0\x31\x38" },
        { "00:00:00+00:00:01", "\0\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF" },
        { "24:00:00-15:59:59", "\0\0\0\x14\x1D\xD7\x60\0\0\0\xE0\xFF" },
        { "24:00:00+15:59:59", "\0\0\0\x14\x1D\xD7\x60\0\xFF\xFF\x1F\1" },
    };
    TEXT_AND_BYTES(pg_timetz, PG_OID_TIMETZ, ROWS)
    static const char *const WRONG[] = {
        "",
        "12:00:00",
        "12:00:00+",
        "12:00:00+2",
        "12:00:00+16",
        "12:00:00 +02",
        "12:00:00+02:",
        "12:00:00+02:60",
        "12:00:00+02:3",
        "12:00:00+02:00:60",
        "12:00:00Z",
        "24:00:01+00",
        "12:00:00+02:00:00:00",
        "+02",
        "12:00:00+-2",
    };
    REFUSES(pg_timetz, WRONG)
    static const char *const BYTES[] = {
        "\0\0\0\0\0\0\0\0\0\0\xE1\0",               /* 16 hours */
        "\0\0\0\0\0\0\0\0\xFF\xFF\x1F\0",           /* and the other way */
        "\0\0\0\x14\x1D\xD7\x60\1\0\0\0\0",         /* past the day */
        "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\0", /* before it */
    };
    for (size_t i = 0; i < ARRAY_LEN(BYTES); i++) {
        pg_timetz time;
        const pg_cell cell = { PG_OID_TIMETZ, PG_BINARY, { BYTES[i], 12 } };
        assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_timetz(NULL, &cell, &time));
    }
}

static void test_timestamp_text_and_bytes_agree(void **state)
{
    (void)state;
    static const text_row ROWS[] = {
        { "2000-01-01 00:00:00", "\0\0\0\0\0\0\0\0" },
        { "1999-12-31 23:59:59.999999", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF" },
        { "0001-01-01 00:00:00", "\xFF\x1F\xE2\xFF\xC5\x9C\x60\0" },
        { "0001-12-31 23:59:59.999999 BC", "\xFF\x1F\xE2\xFF\xC5\x9C\x5F\xFF" },
        { "infinity", "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF" },
        { "-infinity", "\x80\0\0\0\0\0\0\0" },
    };
    TEXT_AND_BYTES(pg_timestamp, PG_OID_TIMESTAMP, ROWS)
    pg_timestamp t;
    assert_true(pg_timestamp_parse(STR("2000-01-01T24:00:00"), &t));
    assert_true(t.us == INT64_C(86400000000));
}

static void test_interval_text_and_bytes_agree(void **state)
{
    (void)state;
    static const text_row ROWS[] = {
        { "00:00:00", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" },
        { "1 year 2 mons", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0E" },
        { "-1 years", "\0\0\0\0\0\0\0\0\0\0\0\0\xFF\xFF\xFF\xF4" },
        { "1 mon -1 days", "\0\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\0\0\0\1" },
        { "-1 mons +2 days", "\0\0\0\0\0\0\0\0\0\0\0\2\xFF\xFF\xFF\xFF" },
        { "1 day -00:00:00.000001", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\0\0\0\1\0\0\0\0" },
        { "-1 days +00:00:01", "\0\0\0\0\0\x0F\x42\x40\xFF\xFF\xFF\xFF\0\0\0\0" },
        { "100:00:00", "\0\0\0\x53\xD1\xAC\x10\0\0\0\0\0\0\0\0\0" },
        { "-2562047788:00:54.775808", "\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" },
        { "-178956970 years -8 mons", "\0\0\0\0\0\0\0\0\0\0\0\0\x80\0\0\0" },
        { "infinity", "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\xFF\xFF\xFF\x7F\xFF\xFF\xFF" },
        { "-infinity", "\x80\0\0\0\0\0\0\0\x80\0\0\0\x80\0\0\0" },
    };
    TEXT_AND_BYTES(pg_interval, PG_OID_INTERVAL, ROWS)
}

static void test_date_text_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const DATES[] = {
        "",           "2000",          "2000-01",    "2000-13-01",    "2000-00-01",
        "2000-01-00", "2001-02-29",    "1900-02-29", "2000-01-01x",   "0000-01-01",
        "200-01-01",  "2000-1-01",     "2000/01/01", "2000-01-01 AD", "99999999-01-01",
        "Infinity",   "5881611-01-01", "01-31-2000", "-2000-01-01",   "2000-01-001",
    };
    REFUSES(pg_date, DATES)
    static const char *const TIMES[] = {
        "",         "12:00",     "24:00:01",          "12:60:00",
        "12:00:60", "12:00:00.", "12:00:00.0000001",  "-12:00:00",
        "1:00:00",  "12-00-00",  "24:00:00.000001",   "12:00:00 BC",
        "infinity", "25:00:00",  "999999999999:00:00"
    };
    REFUSES(pg_time, TIMES)
    static const char *const TIMESTAMPS[] = {
        "",
        "2000-01-01",
        "2000-01-01 ",
        "2000-01-01 12:00:00+00",
        "2000-01-01  12:00:00",
        "2000-01-01 25:00:00",
        "294277-01-09 04:00:54.775807", /* the form of infinity */
        "294277-01-09 04:00:54.775808",
        "999999-01-01 00:00:00",
        "290279-12-21 19:59:05.224191 BC",
    };
    REFUSES(pg_timestamp, TIMESTAMPS)
    static const char *const INTERVALS[] = { "",
                                             "1",
                                             "1 day ",
                                             "1 days 1 mon",
                                             "P1D",
                                             "1 fortnight",
                                             "1 dayss",
                                             "1 day1 mon",
                                             "+",
                                             "1  day",
                                             "00:00:00 1 day",
                                             "infinity 1",
                                             "2147483648 days",
                                             "178956971 years",
                                             "00:00:60",
                                             "2562047788:00:54.775808",
                                             "99999999999:00:00" };
    REFUSES(pg_interval, INTERVALS)
}

static void test_date_infinities_are_told(void **state)
{
    (void)state;
    assert_true(pg_date_is_infinite(PG_DATE_INFINITY));
    assert_true(pg_date_is_infinite(PG_DATE_MINUS_INFINITY));
    assert_false(pg_date_is_infinite((pg_date){ INT32_MAX - 1 }));
    assert_true(pg_timestamp_is_infinite(PG_TIMESTAMP_INFINITY));
    assert_true(pg_timestamp_is_infinite(PG_TIMESTAMP_MINUS_INFINITY));
    assert_false(pg_timestamp_is_infinite((pg_timestamp){ INT64_MIN + 1 }));
    assert_true(pg_interval_is_infinite(PG_INTERVAL_INFINITY));
    assert_true(pg_interval_is_infinite(PG_INTERVAL_MINUS_INFINITY));
    assert_false(pg_interval_is_infinite((pg_interval){ INT64_MAX, INT32_MAX, INT32_MAX - 1 }));
    assert_false(pg_interval_is_infinite((pg_interval){ INT64_MIN, INT32_MAX, INT32_MAX }));
    assert_true(timestamptz_is_infinite(TIMESTAMPTZ_INFINITY));
    assert_true(timestamptz_is_infinite(TIMESTAMPTZ_MINUS_INFINITY));
    assert_false(timestamptz_is_infinite((timestamptz){ 0 }));
}

static void test_date_calendar_is_the_gregorian(void **state)
{
    (void)state;
    static const struct {
        pg_civil day;
        bool exists;
        int32_t days;
    } ROWS[] = {
        { { 2000, 3, 1 }, true, 60 },      { { 2100, 2, 29 }, false, 0 },
        { { 0, 2, 29 }, true, -730426 },   { { 2024, 4, 31 }, false, 0 },
        { { INT64_MAX, 1, 1 }, false, 0 }, { { INT64_MIN, 1, 1 }, false, 0 },
        { { 2000, 0, 1 }, false, 0 },      { { 2000, 13, 1 }, false, 0 },
        { { 2000, 1, 0 }, false, 0 },      { { 2000, 1, 32 }, false, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        pg_date date = { 7 };
        assert_int_equal(pg_date_from_civil(ROWS[i].day, &date), ROWS[i].exists);
        assert_int_equal(date.days, ROWS[i].exists ? ROWS[i].days : 7);
    }
    for (int32_t days = -2500000; days < 2500000; days += 97) {
        const pg_civil day = pg_date_to_civil((pg_date){ days });
        pg_date back;
        assert_true(pg_date_from_civil(day, &back));
        assert_int_equal(back.days, days);
    }
}

static void test_time_out_of_the_day_is_refused(void **state)
{
    (void)state;
    pg_time t;
    const pg_cell late = { PG_OID_TIME, PG_BINARY, STR("\0\0\0\x14\x1D\xD7\x60\1") };
    const pg_cell early = { PG_OID_TIME, PG_BINARY, STR("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF") };
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_time(NULL, &late, &t));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_time(NULL, &early, &t));
}

static void test_date_types_do_not_mix(void **state)
{
    (void)state;
    const pg_cell stamp = { PG_OID_TIMESTAMP, PG_TEXT, STR("2000-01-01 00:00:00") };
    const pg_cell instant = { PG_OID_TIMESTAMPTZ, PG_BINARY, STR("\0\0\0\0\0\0\0\0") };
    pg_timestamp t;
    timestamptz z;
    pg_date d;
    str text;
    assert_ok(pg_decode_pg_timestamp(NULL, &stamp, &t));
    assert_ok(pg_decode_text(NULL, &stamp, &text));
    assert_str_equal(text, stamp.bytes);
    assert_fails(PG_TYPE_MISMATCH, pg_decode_timestamptz(NULL, &stamp, &z));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_timestamp(NULL, &instant, &t));
    assert_fails(PG_TYPE_MISMATCH, pg_decode_pg_date(NULL, &stamp, &d));
}

static void test_date_lists_are_read_from_text(void **state)
{
    (void)state;
    const pg_cell cell = { PG_OID_TIMESTAMP_ARRAY, PG_TEXT,
                           STR("{\"2000-01-01 00:00:01\",infinity}") };
    pg_timestamp_list stamps;
    assert_ok(pg_decode_pg_timestamp_list(&memory, &cell, &stamps));
    assert_int_equal(stamps.count, 2);
    assert_true(stamps.items[0].us == 1000000 && stamps.items[1].us == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest group[] = {
        TEST(test_date_text_and_bytes_agree),
        TEST(test_time_text_and_bytes_agree),
        TEST(test_timetz_text_and_bytes_agree),
        TEST(test_timestamp_text_and_bytes_agree),
        TEST(test_interval_text_and_bytes_agree),
        TEST(test_date_text_that_is_none_is_refused),
        cmocka_unit_test(test_date_infinities_are_told),
        TEST(test_date_calendar_is_the_gregorian),
        TEST(test_time_out_of_the_day_is_refused),
        TEST(test_date_types_do_not_mix),
        TEST(test_date_lists_are_read_from_text),
    };
    return cmocka_run_group_tests_name("pg date", group, NULL, NULL);
}
