/* Messages, byte for byte: those we write against hand-written ones, those of servers that are
 * whole, cut and wrong. */
#include "wire.h"

#include "core/memory.h"
#include "tests/support/exact_copy.h"
#include "tests/support/in_fiber.h"

/* --- frames ----------------------------------------------------------------------------------- */

#define LONGEST ((uint32_t)64 << 20)

static void test_wire_frame_is_whole_when_all_of_it_is_there(void **state)
{
    (void)state;
    const str input = STR("D\0\0\0\6abZ");
    pg_message m;
    size_t bytes = 0;
    for (size_t len = 0; len < 7; len++) {
        const str copy = exact_copy(str_slice(input, 0, len));
        assert_int_equal(pg_frame_read(copy, LONGEST, &m, &bytes), PG_FRAME_PARTIAL);
        exact_free(copy);
    }
    assert_int_equal(pg_frame_read(input, LONGEST, &m, &bytes), PG_FRAME_WHOLE);
    assert_int_equal(bytes, 7);
    assert_int_equal(m.type, 'D');
    assert_str_equal(m.body, STR("ab"));
    assert_int_equal(pg_frame_read(STR("Z\0\0\0\4"), LONGEST, &m, &bytes), PG_FRAME_WHOLE);
    assert_int_equal(m.body.len, 0);
}

static void test_wire_frame_lengths_are_judged_before_the_bytes_come(void **state)
{
    (void)state;
    pg_message m;
    size_t bytes = 0;
    assert_int_equal(pg_frame_read(STR("D\0\0\0\0"), LONGEST, &m, &bytes), PG_FRAME_BAD);
    assert_int_equal(pg_frame_read(STR("D\0\0\0\3"), LONGEST, &m, &bytes), PG_FRAME_BAD);
    assert_int_equal(pg_frame_read(STR("D\200\0\0\0"), LONGEST, &m, &bytes), PG_FRAME_BAD);
    assert_int_equal(pg_frame_read(STR("D\377\377\377\377"), LONGEST, &m, &bytes), PG_FRAME_BAD);
    assert_int_equal(pg_frame_read(STR("D\4\0\0\0"), LONGEST, &m, &bytes), PG_FRAME_PARTIAL);
    assert_int_equal(pg_frame_read(STR("D\4\0\0\1"), LONGEST, &m, &bytes), PG_FRAME_TOO_LONG);
    assert_int_equal(bytes, LONGEST + 2);
    assert_int_equal(m.type, 'D');
    assert_int_equal(pg_frame_read(STR("D\177\377\377\377"), LONGEST, &m, &bytes),
                     PG_FRAME_TOO_LONG);
    assert_int_equal(bytes, 0x80000000U);
}

/* --- reports ---------------------------------------------------------------------------------- */

#define REPORT                                                                            \
    "SFEHLER\0VERROR\0C23505\0Mdup\0DKey (a)=(secret) exists.\0Hhint\0P15\0p1\0qselect\0" \
    "Wwhere\0spublic\0tnotes\0ctitle\0dtext\0nnotes_key\0Ffile\0L1\0Rroutine\0zlater\0\0"

static void test_wire_report_has_all_fields(void **state)
{
    (void)state;
    pg_report r;
    assert_true(pg_report_read(STR(REPORT), &r));
    assert_str_equal(r.severity, STR("ERROR"));
    assert_str_equal(r.severity_shown, STR("FEHLER"));
    assert_str_equal(r.sqlstate, STR("23505"));
    assert_str_equal(r.message, STR("dup"));
    assert_str_equal(r.detail, STR("Key (a)=(secret) exists."));
    assert_str_equal(r.hint, STR("hint"));
    assert_str_equal(r.position, STR("15"));
    assert_str_equal(r.internal_position, STR("1"));
    assert_str_equal(r.internal_query, STR("select"));
    assert_str_equal(r.where, STR("where"));
    assert_str_equal(r.schema, STR("public"));
    assert_str_equal(r.table, STR("notes"));
    assert_str_equal(r.column, STR("title"));
    assert_str_equal(r.data_type, STR("text"));
    assert_str_equal(r.constraint, STR("notes_key"));
    assert_str_equal(r.file, STR("file"));
    assert_str_equal(r.line, STR("1"));
    assert_str_equal(r.routine, STR("routine"));
}

/* PgBouncer, and servers before 9.6. */
static void test_wire_report_without_v_has_the_severity_that_is_shown(void **state)
{
    (void)state;
    pg_report r;
    assert_true(pg_report_read(STR("SFATAL\0C08P01\0Mquery_wait_timeout\0\0"), &r));
    assert_str_equal(r.severity, STR("FATAL"));
    assert_true(pg_report_is_fatal(&r));
    assert_true(pg_report_read(STR("SERROR\0C08P01\0Mno\0\0"), &r));
    assert_false(pg_report_is_fatal(&r));
}

static void test_wire_report_without_sqlstate_is_one(void **state)
{
    (void)state;
    pg_report r;
    assert_true(pg_report_read(STR("SERROR\0Mno\0\0"), &r));
    assert_int_equal(r.sqlstate.len, 0);
    assert_ptr_equal(pg_error_kind(r.sqlstate), &PG_FAILED);
}

static void test_wire_report_cut_anywhere_is_none(void **state)
{
    (void)state;
    const str whole = STR(REPORT);
    pg_report r;
    for (size_t len = 0; len < whole.len; len++) {
        const str copy = exact_copy(str_slice(whole, 0, len));
        assert_false(pg_report_read(copy, &r));
        exact_free(copy);
    }
    assert_false(pg_report_read(STR(REPORT "x"), &r));
    assert_true(pg_report_read(STR("\0"), &r));
    assert_null(r.message.ptr);
}

static void test_wire_report_becomes_an_error_with_its_sqlstate(void **state)
{
    (void)state;
    pg_report r;
    assert_true(pg_report_read(STR(REPORT), &r));
    const error e = pg_report_error(&r);
    assert_fails(PG_UNIQUE_VIOLATION, e);
    const error_detail *detail = error_detail_of(e);
    assert_string_equal(detail->sqlstate, "23505");
    assert_str_equal(detail->constraint, STR("notes_key"));
    assert_false(pg_report_is_fatal(&r));
    r = (pg_report){ .severity = STR("FATAL") };
    assert_true(pg_report_is_fatal(&r));
    assert_fails(PG_FAILED, pg_report_error(&r)); /* without a SQLSTATE */
    r = (pg_report){ .sqlstate = STR("2350") };
    assert_fails(PG_FAILED, pg_report_error(&r));
    assert_string_equal(error_detail_of((error){ &PG_FAILED })->sqlstate, "");
}

static void test_wire_reports_text_quotes_no_data(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        const char *message;
        const char *text;
    } rows[] = {
        { "22P02", "invalid input syntax for type integer: \"secret\"",
          "ERROR 22P02: invalid input syntax for type integer" },
        { "22003", "value \"secret\" is out of range for type integer", "ERROR 22003: value" },
        { "22008", "date/time field value out of range: \"secret\"",
          "ERROR 22008: date/time field value out of range" },
        { "22001", "value too long for type character varying(20)",
          "ERROR 22001: value too long for type character varying(20)" },
        { "42703", "column \"title\" does not exist",
          "ERROR 42703: column \"title\" does not exist" },
        { "23505", "duplicate key value violates unique constraint \"notes_key\"",
          "ERROR 23505: duplicate key value violates unique constraint \"notes_key\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const pg_report r = { .severity = STR("ERROR"),
                              .sqlstate = str_from_c(rows[i].sqlstate),
                              .message = str_from_c(rows[i].message),
                              .detail = STR("Key (a)=(secret) exists.") };
        char text[256];
        pg_report_text(&r, text, sizeof text);
        assert_string_equal(text, rows[i].text);
    }
}

/* --- columns and rows ------------------------------------------------------------------------- */

#define COLUMN_ID   "id\0\0\0\100\1\0\1\0\0\0\24\0\10\377\377\377\377\0\0"
#define COLUMN_NAME "name\0\0\0\100\1\0\2\0\0\4\23\377\377\0\0\0\30\0\0"

static void test_wire_columns_are_read_with_their_names(void **state)
{
    (void)state;
    pg_column *columns;
    uint32_t count;
    assert_ok(pg_columns_read(STR("\0\2" COLUMN_ID COLUMN_NAME), false, &columns, &count));
    assert_int_equal(count, 2);
    assert_str_equal(columns[0].name, STR("id"));
    assert_int_equal(columns[0].oid, PG_OID_INT8);
    assert_int_equal(columns[0].format, PG_BINARY);
    assert_int_equal(columns[0].table, 16385);
    assert_int_equal(columns[0].attribute, 1);
    assert_int_equal(columns[0].type_modifier, -1);
    assert_str_equal(columns[1].name, STR("name"));
    assert_int_equal(columns[1].oid, PG_OID_VARCHAR);
    assert_int_equal(columns[1].type_modifier, 24);
    memory_free(columns);
    assert_ok(pg_columns_read(STR("\0\0"), false, &columns, &count));
    assert_null(columns);
    assert_int_equal(count, 0);
}

static void test_wire_columns_cut_or_miscounted_are_refused(void **state)
{
    (void)state;
    const str whole = STR("\0\2" COLUMN_ID COLUMN_NAME);
    pg_column *columns;
    uint32_t count;
    for (size_t len = 0; len < whole.len; len++) {
        const str copy = exact_copy(str_slice(whole, 0, len));
        assert_fails(PG_PROTOCOL_VIOLATION, pg_columns_read(copy, false, &columns, &count));
        assert_null(columns);
        exact_free(copy);
    }
    static const str WRONG[] = {
        { "\0\1" COLUMN_ID COLUMN_NAME, sizeof(COLUMN_ID COLUMN_NAME) + 1 },
        { "\0\3" COLUMN_ID COLUMN_NAME, sizeof(COLUMN_ID COLUMN_NAME) + 1 },
        { "\377\377" COLUMN_ID COLUMN_NAME, sizeof(COLUMN_ID COLUMN_NAME) + 1 },
        { "\0\0x", 3 },
    };
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++)
        assert_fails(PG_PROTOCOL_VIOLATION, pg_columns_read(WRONG[i], false, &columns, &count));
}

static void test_wire_row_has_exactly_its_cells(void **state)
{
    (void)state;
    const str whole = STR("\0\3\0\0\0\2ab\377\377\377\377\0\0\0\0");
    str cells[3];
    assert_true(pg_row_read(whole, cells, 3));
    assert_str_equal(cells[0], STR("ab"));
    assert_null(cells[1].ptr);
    assert_true(cells[2].ptr && cells[2].len == 0);
    for (size_t len = 0; len < whole.len; len++) {
        const str copy = exact_copy(str_slice(whole, 0, len));
        assert_false(pg_row_read(copy, cells, 3));
        exact_free(copy);
    }
    assert_false(pg_row_read(whole, cells, 2));
    assert_false(pg_row_read(STR("\0\1\0\0\0\1ab"), cells, 1));
    assert_false(pg_row_read(STR("\0\1\377\377\377\376"), cells, 1));
    assert_false(pg_row_read(STR("\0\1\177\377\377\377a"), cells, 1));
    assert_true(pg_row_read(STR("\0\0"), cells, 0));
}

static void test_wire_tag_tells_the_rows(void **state)
{
    (void)state;
    assert_int_equal(pg_tag_rows(STR("INSERT 0 5")), 5);
    assert_int_equal(pg_tag_rows(STR("SELECT 18446744073709551615")), UINT64_MAX);
    assert_int_equal(pg_tag_rows(STR("CREATE TABLE")), 0);
    assert_int_equal(pg_tag_rows(STR("BEGIN")), 0);
    assert_int_equal(pg_tag_rows(STR("UPDATE 99999999999999999999")), 0);
    assert_int_equal(pg_tag_rows(STR("UPDATE -1")), 0);
    assert_int_equal(pg_tag_rows(STR("")), 0);
    assert_int_equal(pg_tag_rows(STR(" ")), 0);
}

/* --- what we say ------------------------------------------------------------------------------ */

static const pg_value VALUES[] = {
    { .oid = PG_OID_INT4, .as.int4 = 7 },
    { .oid = PG_OID_TEXT, .is_null = true },
    { .oid = 0, .as.text = { "1.5", 3 } },
};

static void parse(pg_writer *w)
{
    pg_write_parse(w, STR("s1"), STR("select $1"), VALUES, ARRAY_LEN(VALUES));
}
static void describe(pg_writer *w)
{
    pg_write_describe_statement(w, STR("s1"));
}
static void bind_values(pg_writer *w)
{
    static const pg_column COLUMNS[] = { { .format = PG_BINARY }, { .format = PG_TEXT } };
    pg_write_bind(w, STR("p"), STR("s1"), VALUES, ARRAY_LEN(VALUES), COLUMNS, ARRAY_LEN(COLUMNS));
}
static void execute(pg_writer *w)
{
    pg_write_execute(w, STR("p"), 258);
}
static void close_portal(pg_writer *w)
{
    pg_write_close_portal(w, STR("p"));
}
static void copy_data(pg_writer *w)
{
    pg_write_copy_data(w, STR("a\tb\n"));
}
static void copy_row(pg_writer *w)
{
    pg_write_copy_row(w, VALUES, ARRAY_LEN(VALUES));
}
static void copy_fail(pg_writer *w)
{
    pg_write_copy_fail(w, STR("why"));
}
static void close_statement(pg_writer *w)
{
    pg_write_close_statement(w, STR("s1"));
}
static void query(pg_writer *w)
{
    pg_write_query(w, STR("select 1"));
}
static void startup(pg_writer *w)
{
    const str pairs[] = { STR("user"), STR("ada"),      STR("options"),
                          STR(""),     STR("database"), STR("shop") };
    pg_write_startup(w, 0, pairs, ARRAY_LEN(pairs));
}
static void password(pg_writer *w)
{
    pg_write_password(w, STR("c=biws"));
}
static void sasl_initial(pg_writer *w)
{
    pg_write_sasl_initial(w, STR("SCRAM-SHA-256"), STR("n,,n=,r=x"));
}

static void test_wire_messages_are_written_as_counted(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*write)(pg_writer *w);
        str bytes;
    } rows[] = {
        { "Parse", parse, STR("P\0\0\0\37s1\0select $1\0\0\3\0\0\0\27\0\0\0\31\0\0\0\0") },
        { "Describe", describe, STR("D\0\0\0\10Ss1\0") },
        { "Bind", bind_values,
          STR("B\0\0\0\54p\0s1\0\0\3\0\1\0\1\0\0\0\3\0\0\0\4\0\0\0\7\377\377\377\377\0\0\0\3"
              "1.5\0\2\0\1\0\0") },
        { "Execute", execute, STR("E\0\0\0\12p\0\0\0\1\2") },
        { "Sync", pg_write_sync, STR("S\0\0\0\4") },
        { "Terminate", pg_write_terminate, STR("X\0\0\0\4") },
        { "Close", close_statement, STR("C\0\0\0\10Ss1\0") },
        { "Close of a portal", close_portal, STR("C\0\0\0\7Pp\0") },
        { "CopyData", copy_data, STR("d\0\0\0\10a\tb\n") },
        { "a copied row", copy_row,
          STR("\0\3\0\0\0\4\0\0\0\7\377\377\377\377\0\0\0\3"
              "1.5") },
        { "CopyDone", pg_write_copy_done, STR("c\0\0\0\4") },
        { "CopyFail", copy_fail, STR("f\0\0\0\10why\0") },
        { "Query", query, STR("Q\0\0\0\15select 1\0") },
        { "Startup", startup, STR("\0\0\0\40\0\3\0\0user\0ada\0database\0shop\0\0") },
        { "Password", password, STR("p\0\0\0\12c=biws") },
        { "SASL", sasl_initial, STR("p\0\0\0\37SCRAM-SHA-256\0\0\0\0\11n,,n=,r=x") },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char room[128];
        pg_writer counted = { 0 };
        pg_writer written = { .at = room };
        rows[i].write(&counted);
        assert_in_range(counted.bytes, 1, sizeof room);
        rows[i].write(&written);
        assert_int_equal(written.bytes, counted.bytes);
        assert_ptr_equal(written.at, room + written.bytes);
        if (!str_eq((str){ room, written.bytes }, rows[i].bytes))
            fail_msg("%s: %zu bytes instead of %zu", rows[i].name, written.bytes,
                     rows[i].bytes.len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire_frame_is_whole_when_all_of_it_is_there),
        cmocka_unit_test(test_wire_frame_lengths_are_judged_before_the_bytes_come),
        cmocka_unit_test(test_wire_report_has_all_fields),
        cmocka_unit_test(test_wire_report_without_v_has_the_severity_that_is_shown),
        cmocka_unit_test(test_wire_report_without_sqlstate_is_one),
        cmocka_unit_test(test_wire_report_cut_anywhere_is_none),
        cmocka_unit_test(test_wire_report_becomes_an_error_with_its_sqlstate),
        cmocka_unit_test(test_wire_reports_text_quotes_no_data),
        cmocka_unit_test(test_wire_columns_are_read_with_their_names),
        cmocka_unit_test(test_wire_columns_cut_or_miscounted_are_refused),
        cmocka_unit_test(test_wire_row_has_exactly_its_cells),
        cmocka_unit_test(test_wire_tag_tells_the_rows),
        cmocka_unit_test(test_wire_messages_are_written_as_counted),
    };
    return cmocka_run_group_tests_name("pg wire", tests, NULL, NULL);
}
