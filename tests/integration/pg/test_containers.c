/* Values made of values against a real server: what goes out as a parameter comes back the same in
 * both formats, and our text of it is the server's. */
#include "round_trip.h"

#define ROUNDS 200

static str random_text(random_state *r)
{
    static const char LETTERS[] = "ab{}()[]\",\\ \t\n=>NULL'x\xC3\xA9";
    const size_t len = random_below(r, 6);
    char *text = arena_alloc(fiber_arena(), len * 2 + 1, 1);
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        const char c = LETTERS[random_below(r, sizeof LETTERS - 1)];
        if ((unsigned char)c >= 0x80) {
            text[at++] = (char)0xC3;
            text[at++] = (char)0xA9;
        } else {
            text[at++] = c;
        }
    }
    return (str){ text, at };
}

/* --- lists with NULLs ------------------------------------------------------------------------- */

/* Sends a list whose items are `value` or NULL; wants it back from the column and from the server's
 * text of it. */
#define OPTIONAL_LIST_TRIP(name, sql_array, oid, value_)                                         \
    do {                                                                                         \
        opt_##name items_[8];                                                                    \
        memset(items_, 0, sizeof items_);                                                        \
        const opt_##name##_list sent_ = { items_, random_below(&r, ARRAY_LEN(items_) + 1) };     \
        for (size_t i_ = 0; i_ < sent_.count; i_++) {                                            \
            items_[i_].has = random_below(&r, 3) != 0;                                           \
            items_[i_].value = (value_);                                                         \
        }                                                                                        \
        pg_rows rows_;                                                                           \
        opt_##name##_list got_;                                                                  \
        opt_##name##_list read_;                                                                 \
        str text_;                                                                               \
        bool same_;                                                                              \
        assert_ok(                                                                               \
            pg_query(db, &rows_, "select $1::" sql_array ", $1::" sql_array "::text", sent_));   \
        assert_ok(pg_get(&rows_, 0, 0, &got_));                                                  \
        assert_ok(pg_get(&rows_, 0, 1, &text_));                                                 \
        const pg_cell cell_ = { (oid), PG_TEXT, text_ };                                         \
        assert_ok(pg_decode_opt_##name##_list(fiber_arena(), &cell_, &read_));                   \
        assert_int_equal(got_.count, sent_.count);                                               \
        for (size_t i_ = 0; i_ < sent_.count; i_++)                                              \
            assert_int_equal(got_.items[i_].is_null, !items_[i_].has);                           \
        assert_ok(pg_query(db, &rows_, "select $1::" sql_array " = $2 and $1 = $3", sent_, got_, \
                           read_));                                                              \
        assert_ok(pg_get(&rows_, 0, 0, &same_));                                                 \
        assert_true(same_);                                                                      \
    } while (0)

static uuid random_uuid(random_state *r)
{
    uuid id;
    for (size_t i = 0; i < sizeof id.bytes; i++)
        id.bytes[i] = (uint8_t)random_next(r);
    return id;
}

static double random_double(random_state *r)
{
    const uint64_t bits = random_next(r);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Years 4713 BC to some 290,000. */
static int64_t random_us(random_state *r)
{
    const uint64_t span = UINT64_C(9223371244800000000) + UINT64_C(210000000000000000);
    const uint64_t us = random_below(r, 2) ? random_next(r) % span : random_next(r) >> 12;
    return (int64_t)(us - UINT64_C(210000000000000000));
}

static void test_lists_with_nulls_go_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const str bytes = random_text(&r);
        OPTIONAL_LIST_TRIP(bool, "bool[]", PG_OID_BOOL_ARRAY, random_below(&r, 2) != 0);
        OPTIONAL_LIST_TRIP(int2, "int2[]", PG_OID_INT2_ARRAY, (int16_t)random_next(&r));
        OPTIONAL_LIST_TRIP(int4, "int4[]", PG_OID_INT4_ARRAY, (int32_t)random_next(&r));
        OPTIONAL_LIST_TRIP(int8, "int8[]", PG_OID_INT8_ARRAY, (int64_t)random_next(&r));
        OPTIONAL_LIST_TRIP(float8, "float8[]", PG_OID_FLOAT8_ARRAY, random_double(&r));
        OPTIONAL_LIST_TRIP(text, "text[]", PG_OID_TEXT_ARRAY, random_text(&r));
        OPTIONAL_LIST_TRIP(uuid, "uuid[]", PG_OID_UUID_ARRAY, random_uuid(&r));
        OPTIONAL_LIST_TRIP(bytea, "bytea[]", PG_OID_BYTEA_ARRAY,
                           ((bytea){ (const uint8_t *)bytes.ptr, bytes.len }));
        OPTIONAL_LIST_TRIP(jsonb, "jsonb[]", PG_OID_JSONB_ARRAY, (jsonb){ STR("{\"a\": [1]}") });
        OPTIONAL_LIST_TRIP(timestamptz, "timestamptz[]", PG_OID_TIMESTAMPTZ_ARRAY,
                           (timestamptz){ random_us(&r) });
        OPTIONAL_LIST_TRIP(pg_timestamp, "timestamp[]", PG_OID_TIMESTAMP_ARRAY,
                           (pg_timestamp){ random_us(&r) });
        OPTIONAL_LIST_TRIP(pg_date, "date[]", PG_OID_DATE_ARRAY,
                           (pg_date){ (int32_t)(random_next(&r) >> 40) });
        OPTIONAL_LIST_TRIP(
            pg_numeric, "numeric[]", PG_OID_NUMERIC_ARRAY,
            pg_numeric_of_int8((int64_t)random_next(&r), (unsigned)random_below(&r, 19)));
        OPTIONAL_LIST_TRIP(pg_interval, "interval[]", PG_OID_INTERVAL_ARRAY,
                           ((pg_interval){ (int64_t)(random_next(&r) >> 20),
                                           (int32_t)(random_next(&r) >> 40), -7 }));
    }
}

/* Instants in the text of any zone, also of those that once were no whole minutes off. */
static void test_instants_of_any_zone_are_read(void **state)
{
    (void)state;
    static const char *const ZONES[] = { "UTC", "Europe/Berlin", "America/St_Johns",
                                         "Asia/Kathmandu", "Africa/Monrovia" };
    random_state r = random_start();
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    for (size_t i = 0; i < ROUNDS; i++) {
        pg_rows rows;
        str text;
        timestamptz read;
        const timestamptz sent = { random_us(&r) };
        assert_ok(pg_execute(tx, NULL, "select set_config('TimeZone', $1, true)",
                             str_from_c(ZONES[i % ARRAY_LEN(ZONES)])));
        assert_ok(pg_query(tx, &rows, "select $1::timestamptz::text", sent));
        assert_ok(pg_get(&rows, 0, 0, &text));
        const pg_cell cell = { PG_OID_TIMESTAMPTZ, PG_TEXT, text };
        assert_ok(pg_decode_timestamptz(NULL, &cell, &read));
        if (read.us != sent.us)
            fail_msg("%.*s is read as %lld", STR_ARG(text), (long long)read.us);
    }
    assert_ok(pg_rollback(&tx));
}

/* Arrays of types that have no OID here come as text, and are read all the same. */
static void test_lists_of_unknown_types_are_read(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_rows rows;
    text_list labels;
    opt_text_list maybe;
    opt_int4_list numbers;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_script(tx, STR("create type mood as enum ('sad', 'so, so', '\"happy\"');"
                                "create domain positive as int check (value > 0)")));
    assert_ok(pg_query(tx, &rows,
                       "select array['sad', 'so, so', '\"happy\"']::mood[],"
                       " array['sad', null]::mood[], array[1, null, 3]::positive[]"));
    assert_ok(pg_get(&rows, 0, 0, &labels));
    assert_int_equal(labels.count, 3);
    assert_str_equal(labels.items[1], STR("so, so"));
    assert_str_equal(labels.items[2], STR("\"happy\""));
    assert_ok(pg_get(&rows, 0, 1, &maybe));
    assert_true(maybe.items[0].has && maybe.items[1].is_null);
    assert_ok(pg_get(&rows, 0, 2, &numbers));
    assert_int_equal(numbers.count, 3);
    assert_int_equal(numbers.items[2].value, 3);
    assert_ok(pg_rollback(&tx));
}

/* --- ranges ----------------------------------------------------------------------------------- */

#define TIMESTAMP_LEAST INT64_C(-211810204800000000)
#define TIMESTAMP_MOST  INT64_C(9223371331199999999)

typedef struct span {
    int64_t lower;
    int64_t upper;
} span;

/* Two different numbers in their order. */
static span random_span(random_state *r, int64_t least, int64_t most)
{
    for (;;) {
        const int64_t a = random_between(r, least, most);
        const int64_t b = random_between(r, least, most);
        if (a != b)
            return a < b ? (span){ a, b } : (span){ b, a };
    }
}

#define OTHER_FLAGS(range)                                  \
    do {                                                    \
        (range).lower_exclusive = random_below(&r, 2);      \
        (range).upper_inclusive = random_below(&r, 2);      \
        (range).lower_unbounded = random_below(&r, 6) == 0; \
        (range).upper_unbounded = random_below(&r, 6) == 0; \
        (range).empty = random_below(&r, 10) == 0;          \
    } while (0)

#define RANGE_QUERY(sql)                                                          \
    "select x, x::text, range_send(x), x = $2::text::" sql "range, m, m::text,"   \
    " multirange_send(m), array[x, null] from (select $1::" sql "range) as t(x)," \
    " lateral (select " sql "multirange(x, " sql "range(null, null))) as s(m)"

/* The server reads our bytes and our text as the same range, and what it makes of it (of integers
 * and days another one) we read of its text and its bytes, alone, in a multirange and in an array,
 * and write as it does. `continuous`: it comes back as it went. */
#define RANGE_TRIP(name, multi, sql, oid, range, continuous)                                       \
    do {                                                                                           \
        const name sent_ = (range);                                                                \
        const str ours_ = name##_format(fiber_arena(), &sent_);                                    \
        pg_rows rows_;                                                                             \
        name got_;                                                                                 \
        multi several_;                                                                            \
        opt_##name##_list list_;                                                                   \
        str text_;                                                                                 \
        bytea bytes_;                                                                              \
        bool same_;                                                                                \
        assert_ok(pg_query(db, &rows_, RANGE_QUERY(sql), sent_, ours_));                           \
        assert_ok(pg_get(&rows_, 0, 1, &text_));                                                   \
        if (continuous)                                                                            \
            assert_str_equal(ours_, text_);                                                        \
        assert_ok(pg_get(&rows_, 0, 0, &got_));                                                    \
        assert_str_equal(name##_format(fiber_arena(), &got_), text_);                              \
        assert_ok(pg_get(&rows_, 0, 2, &bytes_));                                                  \
        const pg_cell cell_ = { oid##RANGE, PG_BINARY, { (const char *)bytes_.ptr, bytes_.len } }; \
        assert_ok(pg_decode_##name(fiber_arena(), &cell_, &got_));                                 \
        assert_str_equal(name##_format(fiber_arena(), &got_), text_);                              \
        assert_ok(pg_get(&rows_, 0, 7, &list_));                                                   \
        assert_int_equal(list_.count, 2);                                                          \
        assert_true(list_.items[1].is_null);                                                       \
        assert_str_equal(name##_format(fiber_arena(), &list_.items[0].value), text_);              \
        assert_ok(pg_get(&rows_, 0, 3, &same_));                                                   \
        assert_true(same_);                                                                        \
        assert_ok(pg_get(&rows_, 0, 5, &text_));                                                   \
        assert_ok(pg_get(&rows_, 0, 4, &several_));                                                \
        assert_str_equal(multi##_format(fiber_arena(), &several_), text_);                         \
        assert_ok(pg_get(&rows_, 0, 6, &bytes_));                                                  \
        const pg_cell m_ = { oid##MULTIRANGE,                                                      \
                             PG_BINARY,                                                            \
                             { (const char *)bytes_.ptr, bytes_.len } };                           \
        assert_ok(pg_decode_##multi(fiber_arena(), &m_, &several_));                               \
        assert_str_equal(multi##_format(fiber_arena(), &several_), text_);                         \
        assert_ok(pg_query(db, &rows_,                                                             \
                           "select $1::" sql "multirange::text = $2::text and $3::" sql            \
                           "range[] = array[$4, null]::" sql "range[]",                            \
                           several_, text_, list_, sent_));                                        \
        assert_ok(pg_get(&rows_, 0, 0, &same_));                                                   \
        assert_true(same_);                                                                        \
    } while (0)

static void test_int4range_goes_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const span s = random_span(&r, -2000000000, 2000000000);
        pg_int4range range = { .lower = (int32_t)s.lower, .upper = (int32_t)s.upper };
        OTHER_FLAGS(range);
        RANGE_TRIP(pg_int4range, pg_int4multirange, "int4", PG_OID_INT4, range, false);
    }
}

static void test_int8range_goes_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const span s = random_span(&r, -(INT64_C(1) << 62), INT64_C(1) << 62);
        pg_int8range range = { .lower = s.lower, .upper = s.upper };
        OTHER_FLAGS(range);
        RANGE_TRIP(pg_int8range, pg_int8multirange, "int8", PG_OID_INT8, range, false);
    }
}

static void test_numrange_goes_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const span s = random_span(&r, INT64_MIN, INT64_MAX);
        pg_numrange range = { .lower = pg_numeric_of_int8(s.lower, 5),
                              .upper = pg_numeric_of_int8(s.upper, 5) };
        OTHER_FLAGS(range);
        RANGE_TRIP(pg_numrange, pg_nummultirange, "num", PG_OID_NUM, range, true);
    }
}

static void test_tsrange_goes_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const span s = random_span(&r, TIMESTAMP_LEAST, TIMESTAMP_MOST);
        pg_tsrange range = { .lower = (pg_timestamp){ s.lower },
                             .upper = (pg_timestamp){ s.upper } };
        OTHER_FLAGS(range);
        RANGE_TRIP(pg_tsrange, pg_tsmultirange, "ts", PG_OID_TS, range, true);
    }
}

static void test_tstzrange_goes_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const span s = random_span(&r, TIMESTAMP_LEAST, TIMESTAMP_MOST);
        pg_tstzrange range = { .lower = (timestamptz){ s.lower },
                               .upper = (timestamptz){ s.upper } };
        OTHER_FLAGS(range);
        RANGE_TRIP(pg_tstzrange, pg_tstzmultirange, "tstz", PG_OID_TSTZ, range, true);
    }
}

static void test_daterange_goes_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const span s = random_span(&r, -2400000, 2100000000);
        pg_daterange range = { .lower = (pg_date){ (int32_t)s.lower },
                               .upper = (pg_date){ (int32_t)s.upper } };
        OTHER_FLAGS(range);
        RANGE_TRIP(pg_daterange, pg_datemultirange, "date", PG_OID_DATE, range, false);
    }
}

static void test_ranges_of_infinities_are_not_those_without_an_end(void **state)
{
    (void)state;
    random_state r = random_start();
    (void)r;
    const pg_tstzrange ever = { .lower = TIMESTAMPTZ_MINUS_INFINITY,
                                .upper = TIMESTAMPTZ_INFINITY };
    RANGE_TRIP(pg_tstzrange, pg_tstzmultirange, "tstz", PG_OID_TSTZ, ever, true);
    const pg_daterange days = { .lower = PG_DATE_MINUS_INFINITY, .upper = PG_DATE_INFINITY };
    RANGE_TRIP(pg_daterange, pg_datemultirange, "date", PG_OID_DATE, days, true);
    pg_rows rows;
    bool unbounded;
    assert_ok(pg_query(db, &rows, "select upper_inf($1) or lower_inf($1)", ever));
    assert_ok(pg_get(&rows, 0, 0, &unbounded));
    assert_false(unbounded);
    const pg_int4range wrong = { .lower = 2, .upper = 1 };
    assert_fails(PG_DATA_EXCEPTION, pg_query(db, &rows, "select $1", wrong));
}

static void test_multiranges_are_unnested_as_the_server_does(void **state)
{
    (void)state;
    pg_rows rows;
    pg_rows unnested;
    pg_int8multirange ranges;
    const pg_int8range items[] = { { .lower = 7, .upper = 9 },
                                   { .lower = 1, .upper = 2 },
                                   { .empty = true },
                                   { .lower = 2, .upper = 3 },
                                   { .lower = 100, .upper_unbounded = true } };
    const pg_int8multirange sent = { items, ARRAY_LEN(items) };
    assert_ok(pg_query(db, &rows, "select $1", sent));
    assert_ok(pg_query(db, &unnested, "select unnest($1::int8multirange)", sent));
    assert_ok(pg_get(&rows, 0, 0, &ranges));
    assert_int_equal(ranges.count, 3);
    assert_int_equal(unnested.count, 3);
    for (size_t i = 0; i < ranges.count; i++) {
        pg_int8range range;
        assert_ok(pg_get(&unnested, i, 0, &range));
        assert_str_equal(pg_int8range_format(fiber_arena(), &range),
                         pg_int8range_format(fiber_arena(), &ranges.items[i]));
    }
}

/* --- cells ------------------------------------------------------------------------------------ */

/* Arrays of several dimensions: what we write of values is what the server makes of it, and what it
 * sends goes back as it came. */
static void test_arrays_of_dimensions_go_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        uint32_t counts[PG_ARRAY_DIMENSIONS_MAX];
        const uint32_t dimensions = (uint32_t)random_below(&r, PG_ARRAY_DIMENSIONS_MAX + 1);
        size_t count = dimensions > 0;
        for (uint32_t d = 0; d < dimensions; d++)
            count *= counts[d] = 1 + (uint32_t)random_below(&r, 3);
        pg_value *values = ARENA_NEW_ARRAY(fiber_arena(), pg_value, count);
        opt_text_list items = { ARENA_NEW_ARRAY(fiber_arena(), opt_text, count), count };
        for (size_t j = 0; j < count; j++) {
            items.items[j] = (opt_text){ random_below(&r, 4) != 0, false, random_text(&r) };
            values[j] = pg_param(items.items[j]);
        }
        pg_array array;
        assert_ok(
            pg_array_of(fiber_arena(), (pg_values){ values, count }, dimensions, counts, &array));
        array.element = PG_OID_TEXT;
        for (uint32_t d = 0; d < dimensions && random_below(&r, 2); d++)
            array.sides[d].lower = (int32_t)random_between(&r, -100, 100);
        pg_rows rows;
        pg_array got;
        pg_array read;
        str text;
        bool same;
        assert_ok(pg_query(db, &rows,
                           "select $1, $1::text, coalesce(array_ndims($1), 0) = $2 and"
                           " array(select unnest($1)) = $3",
                           array, (int64_t)dimensions, items));
        assert_ok(pg_get(&rows, 0, 2, &same));
        assert_true(same);
        assert_ok(pg_get(&rows, 0, 0, &got)); /* binary */
        assert_ok(pg_get(&rows, 0, 1, &text));
        const pg_cell cell = { PG_OID_TEXT_ARRAY, PG_TEXT, text };
        assert_ok(pg_decode_pg_array(fiber_arena(), &cell, &read));
        assert_int_equal(got.dimensions, dimensions);
        for (uint32_t d = 0; d < dimensions; d++) {
            assert_int_equal(got.sides[d].count, counts[d]);
            assert_int_equal(got.sides[d].lower, array.sides[d].lower);
        }
        assert_ok(pg_query(db, &rows, "select $1 = $2 and $2 = $3 and $1::text = $4", array, got,
                           read, text));
        assert_ok(pg_get(&rows, 0, 0, &same));
        assert_true(same);
    }
}

static void test_arrays_past_the_servers_limits_are_its_errors(void **state)
{
    (void)state;
    pg_rows rows;
    pg_array array;
    assert_ok(pg_array_of(fiber_arena(), PG_VALUES(1, 2), 1, (const uint32_t[]){ 2 }, &array));
    array.sides[0].lower = INT32_MAX;
    const error e = pg_query(db, &rows, "select $1", array);
    assert_true(error_is(e, &PG_DATA_EXCEPTION) || error_is(e, &PG_FAILED)); /* up to 17, from 18 */
}

/* The server reads our text of a composite as the fields that it was made of, and writes the same
 * text; its own text is read as those fields. */
static void test_composites_go_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_script(tx, STR("create type part as (name text, count bigint);"
                                "create type whole as (title text, price numeric, part part,"
                                " tags text[], parts part[], since timestamptz)")));
    for (size_t i = 0; i < ROUNDS; i++) {
        const opt_text title = { random_below(&r, 4) != 0, false, random_text(&r) };
        const pg_numeric price = pg_numeric_of_int8((int64_t)random_next(&r), 2);
        str words[] = { random_text(&r), random_text(&r) };
        const text_list tags = { words, random_below(&r, 3) };
        const timestamptz since = { random_us(&r) };
        pg_record part;
        pg_record other;
        pg_record whole;
        pg_array parts;
        assert_ok(pg_record_of(fiber_arena(), PG_VALUES(random_text(&r), (int64_t)random_next(&r)),
                               &part));
        assert_ok(
            pg_record_of(fiber_arena(), PG_VALUES(random_text(&r), pg_param_null(0)), &other));
        assert_ok(pg_array_of(fiber_arena(), PG_VALUES(part, pg_param_null(0), other), 1,
                              (const uint32_t[]){ 3 }, &parts));
        assert_ok(
            pg_record_of(fiber_arena(), PG_VALUES(title, price, part, tags, parts, since), &whole));
        pg_rows rows;
        assert_ok(pg_query(tx, &rows,
                           "select x, x::text, (x).title, (x).part, (x).parts, row((x).*) from"
                           " (select $1::whole) as t(x)",
                           whole));
        str text;
        pg_record got;
        pg_record anonymous;
        pg_record_list several;
        opt_pg_record_list maybe;
        assert_ok(pg_get(&rows, 0, 1, &text));
        assert_str_equal(pg_record_format(fiber_arena(), &whole), text);
        assert_ok(pg_get(&rows, 0, 0, &got));
        assert_int_equal(got.count, 6);
        assert_str_equal(pg_record_format(fiber_arena(), &got), text);
        opt_text got_title;
        pg_numeric got_price;
        pg_record got_part;
        text_list got_tags;
        timestamptz got_since;
        assert_ok(pg_get_cell(pg_record_cell(&got, 0), &got_title));
        assert_int_equal(got_title.has, title.has);
        if (title.has)
            assert_str_equal(got_title.value, title.value);
        assert_ok(pg_get_cell(pg_record_cell(&got, 1), &got_price));
        assert_str_equal(pg_numeric_format(fiber_arena(), &got_price),
                         pg_numeric_format(fiber_arena(), &price));
        assert_ok(pg_get_cell(pg_record_cell(&got, 2), &got_part));
        assert_str_equal(pg_record_format(fiber_arena(), &got_part),
                         pg_record_format(fiber_arena(), &part));
        assert_ok(pg_get_cell(pg_record_cell(&got, 3), &got_tags));
        assert_int_equal(got_tags.count, tags.count);
        for (size_t j = 0; j < tags.count; j++)
            assert_str_equal(got_tags.items[j], words[j]);
        assert_ok(pg_get_cell(pg_record_cell(&got, 4), &maybe));
        assert_int_equal(maybe.count, 3);
        assert_true(maybe.items[1].is_null);
        assert_fails(PG_TYPE_MISMATCH, pg_get_cell(pg_record_cell(&got, 4), &several));
        assert_ok(pg_get_cell(pg_record_cell(&got, 5), &got_since));
        assert_true(got_since.us == since.us);
        assert_ok(pg_get(&rows, 0, 5, &anonymous));
        assert_int_equal(rows.columns[5].oid, PG_OID_RECORD);
        assert_str_equal(pg_record_format(fiber_arena(), &anonymous), text);
    }
    assert_ok(pg_rollback(&tx));
}

/* In the binary form a composite has the types of its fields: as record_send writes it. */
static void test_composites_are_read_from_binary(void **state)
{
    (void)state;
    pg_rows rows;
    bytea bytes;
    pg_record record;
    int32_t seven;
    opt_text null;
    pg_numeric price;
    assert_ok(pg_query(db, &rows, "select record_send(row(7, null::text, 1.50, 'a'::\"char\"))"));
    assert_ok(pg_get(&rows, 0, 0, &bytes));
    const pg_cell cell = { PG_OID_RECORD, PG_BINARY, { (const char *)bytes.ptr, bytes.len } };
    assert_ok(pg_decode_pg_record(fiber_arena(), &cell, &record));
    assert_int_equal(record.count, 4);
    assert_ok(pg_get_cell(pg_record_cell(&record, 0), &seven));
    assert_int_equal(seven, 7);
    assert_ok(pg_get_cell(pg_record_cell(&record, 1), &null));
    assert_true(null.is_null);
    assert_ok(pg_get_cell(pg_record_cell(&record, 2), &price));
    assert_int_equal(price.scale, 2);
}

static void test_ranges_of_a_databases_own_go_there_and_back(void **state)
{
    (void)state;
    random_state r = random_start();
    pg_tx *tx;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_script(tx, STR("create type textrange as range (subtype = text, collation = \"C\","
                                " multirange_type_name = textmultirange)")));
    for (size_t i = 0; i < ROUNDS; i++) {
        str lower = random_text(&r);
        str upper = random_text(&r);
        if (str_compare(lower, upper) >= 0)
            upper = str_format(fiber_arena(), "%.*sx", STR_ARG(lower));
        pg_range range;
        pg_range got;
        pg_rows rows;
        str text;
        str bound;
        pg_multirange several;
        assert_ok(pg_range_of(fiber_arena(), pg_param(lower), pg_param(upper), &range));
        range.lower_exclusive = random_below(&r, 2);
        range.upper_inclusive = random_below(&r, 2);
        assert_ok(pg_query(tx, &rows,
                           "select x, x::text, lower(x), textmultirange(x),"
                           " textmultirange(x)::text from (select $1::textrange) as t(x)",
                           range));
        assert_ok(pg_get(&rows, 0, 1, &text));
        assert_str_equal(pg_range_format(fiber_arena(), &range), text);
        assert_ok(pg_get(&rows, 0, 0, &got));
        assert_str_equal(pg_range_format(fiber_arena(), &got), text);
        assert_ok(pg_get_cell(&got.lower, &bound));
        assert_str_equal(bound, lower);
        assert_ok(pg_get(&rows, 0, 4, &text));
        assert_ok(pg_get(&rows, 0, 3, &several));
        assert_int_equal(several.count, 1);
        assert_str_equal(pg_multirange_format(fiber_arena(), &several), text);
        assert_ok(pg_query(tx, &rows, "select $1::textmultirange::text", several));
        str again;
        assert_ok(pg_get(&rows, 0, 0, &again));
        assert_str_equal(again, text);
    }
    assert_ok(pg_rollback(&tx));
}

static int run(void)
{
    const struct CMUnitTest group[] = {
        cmocka_unit_test(test_lists_with_nulls_go_there_and_back),
        cmocka_unit_test(test_instants_of_any_zone_are_read),
        cmocka_unit_test(test_lists_of_unknown_types_are_read),
        cmocka_unit_test(test_int4range_goes_there_and_back),
        cmocka_unit_test(test_int8range_goes_there_and_back),
        cmocka_unit_test(test_numrange_goes_there_and_back),
        cmocka_unit_test(test_tsrange_goes_there_and_back),
        cmocka_unit_test(test_tstzrange_goes_there_and_back),
        cmocka_unit_test(test_daterange_goes_there_and_back),
        cmocka_unit_test(test_ranges_of_infinities_are_not_those_without_an_end),
        cmocka_unit_test(test_multiranges_are_unnested_as_the_server_does),
        cmocka_unit_test(test_arrays_of_dimensions_go_there_and_back),
        cmocka_unit_test(test_arrays_past_the_servers_limits_are_its_errors),
        cmocka_unit_test(test_composites_go_there_and_back),
        cmocka_unit_test(test_composites_are_read_from_binary),
        cmocka_unit_test(test_ranges_of_a_databases_own_go_there_and_back),
    };
    return cmocka_run_group_tests(group, open_pool, close_pool);
}

int main(void)
{
    setenv("PGTZ", "UTC", 1); /* in which we write instants */
    return run_with_database(run);
}
