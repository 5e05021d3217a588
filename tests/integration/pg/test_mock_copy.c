/* What a server may do to a COPY that no real one does: change its mind, say too much, leave in the
 * middle. Each is a clean error, and nobody waits for ever. */
#include "core/scope.h"
#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"

#define PARSED      "1\0\0\0\4"
#define NO_PARAMS   "t\0\0\0\6\0\0"
#define NO_DATA     "n\0\0\0\4"
#define BOUND       "2\0\0\0\4"
#define BEGUN       "C\0\0\0\12BEGIN\0"
#define IN_TX       "Z\0\0\0\5T"
#define TAKES_DATA  "G\0\0\0\11\0\0\1\0\0"
#define GIVES_DATA  "H\0\0\0\11\0\0\1\0\0"
#define DATA        "d\0\0\0\6a\n"
#define DATA_DONE   "c\0\0\0\4"
#define COPIED      "C\0\0\0\13COPY 1\0"
#define FAILURE     "E\0\0\0\44SERROR\0VERROR\0C23505\0Mdup\0nkey\0\0"
#define COMMITTED   "C\0\0\0\13COMMIT\0"
#define ROLLED_BACK "C\0\0\0\15ROLLBACK\0"

/* BEGIN is prepared and run. */
#define BEGIN_DONE                                                          \
    MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), MOCK_EXPECT("PDS"),               \
        MOCK_SEND(PARSED NO_PARAMS NO_DATA MOCK_READY), MOCK_EXPECT("BES"), \
        MOCK_SEND(BOUND BEGUN IN_TX), MOCK_EXPECT("Q")
/* The word behind it: COMMIT, ROLLBACK. */
#define THEN(tag)                                                                      \
    MOCK_EXPECT("PDS"), MOCK_SEND(PARSED NO_PARAMS NO_DATA IN_TX), MOCK_EXPECT("BES"), \
        MOCK_SEND(BOUND tag MOCK_READY)

static error copy_in(void *arg)
{
    pg_copy *c;
    TRY(pg_copy_in((pg_pool *)arg, &c, "copy t from stdin"));
    TRY(pg_copy_write(c, STR("a\n")));
    return pg_copy_finish(&c, NULL);
}

static error copy_out(void *arg)
{
    pg_copy *c;
    str bytes;
    TRY(pg_copy_out((pg_pool *)arg, &c, "copy t to stdout"));
    do
        TRY(pg_copy_read(c, &bytes));
    while (bytes.len > 0);
    return pg_copy_finish(&c, NULL);
}

/* Plays the script to a copy; returns what became of that, and of the script. */
static error play(const mock_pg_step *steps, size_t count, error (*fn)(void *arg),
                  const char **problem)
{
    static mock_pg m;
    pg_pool *db;
    mock_pg_start(&m, &(mock_pg_options){ steps, count });
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(m.conninfo), .connections_max = 1 }, &db));
    const error e = scope_call(&(scope_options){ .deadline_ms = 20000 }, fn, db);
    pg_pool_close(&db);
    *problem = mock_pg_stop(&m);
    return e;
}

#define PLAY(script, fn) play(script, ARRAY_LEN(script), fn, &problem)

static void test_mock_copy_both_ways_is_said_right(void **state)
{
    (void)state;
    static const mock_pg_step IN[] = {
        BEGIN_DONE,      MOCK_SEND(TAKES_DATA), MOCK_EXPECT("dc"), MOCK_SEND(COPIED IN_TX),
        THEN(COMMITTED),
    };
    static const mock_pg_step OUT[] = {
        BEGIN_DONE,
        MOCK_SEND(GIVES_DATA DATA DATA DATA_DONE COPIED IN_TX),
        THEN(COMMITTED),
    };
    const char *problem;
    assert_ok(PLAY(IN, copy_in));
    assert_null(problem);
    assert_ok(PLAY(OUT, copy_out));
    assert_null(problem);
}

static void test_mock_copy_error_at_any_time_is_told(void **state)
{
    (void)state;
    static const mock_pg_step AT_ONCE[] = {
        BEGIN_DONE,
        MOCK_SEND(FAILURE "Z\0\0\0\5E"),
        THEN(ROLLED_BACK),
    };
    static const mock_pg_step AFTER_DATA[] = {
        BEGIN_DONE,        MOCK_SEND(TAKES_DATA),
        MOCK_EXPECT("dc"), MOCK_SEND(FAILURE "Z\0\0\0\5E"),
        THEN(ROLLED_BACK),
    };
    static const mock_pg_step IN_DATA[] = {
        BEGIN_DONE,
        MOCK_SEND(GIVES_DATA DATA FAILURE "Z\0\0\0\5E"),
        THEN(ROLLED_BACK),
    };
    const char *problem;
    assert_fails(PG_UNIQUE_VIOLATION, PLAY(AT_ONCE, copy_in));
    assert_null(problem);
    assert_fails(PG_UNIQUE_VIOLATION, PLAY(AFTER_DATA, copy_in));
    assert_null(problem);
    assert_fails(PG_UNIQUE_VIOLATION, PLAY(IN_DATA, copy_out));
    assert_null(problem);
}

static void test_mock_copy_that_makes_no_sense_ends_the_connection(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        mock_pg_step answer;
        error (*fn)(void *arg);
    } rows[] = {
        { "data before it opens", MOCK_SEND(DATA), copy_out },
        { "opened twice", MOCK_SEND(GIVES_DATA GIVES_DATA), copy_out },
        { "a row in data", MOCK_SEND(GIVES_DATA "D\0\0\0\6\0\0"), copy_out },
        { "data behind its end", MOCK_SEND(GIVES_DATA COPIED DATA), copy_out },
        { "data behind an error", MOCK_SEND(GIVES_DATA FAILURE DATA), copy_out },
        { "ready without an end", MOCK_SEND(GIVES_DATA DATA IN_TX), copy_out },
        { "both ways", MOCK_SEND("W\0\0\0\11\0\0\1\0\0"), copy_out },
        { "bound", MOCK_SEND(BOUND), copy_in },
        { "a portal", MOCK_SEND("s\0\0\0\4"), copy_in },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const mock_pg_step script[] = { BEGIN_DONE, rows[i].answer, MOCK_STALL };
        const char *problem;
        const error e = PLAY(script, rows[i].fn);
        if (!error_is(e, &PG_PROTOCOL_VIOLATION))
            fail_msg("%s: %s", rows[i].name, e.kind ? e.kind->name : "OK");
    }
}

static void test_mock_copy_whose_connection_is_lost_fails(void **state)
{
    (void)state;
    static const mock_pg_step OPENING[] = { BEGIN_DONE, MOCK_CLOSE };
    static const mock_pg_step WRITING[] = { BEGIN_DONE, MOCK_SEND(TAKES_DATA), MOCK_EXPECT("d"),
                                            MOCK_CLOSE };
    static const mock_pg_step READING[] = { BEGIN_DONE, MOCK_SEND(GIVES_DATA DATA "d\0\0"),
                                            MOCK_CLOSE };
    const char *problem;
    assert_fails(PG_CONNECTION_LOST, PLAY(OPENING, copy_in));
    assert_fails(PG_CONNECTION_LOST, PLAY(WRITING, copy_in));
    assert_fails(PG_CONNECTION_LOST, PLAY(READING, copy_out));
}

/* What the connection was lost by is told, however long ago that was. */
static void test_mock_copy_whose_connection_breaks_says_how(void **state)
{
    (void)state;
    static const mock_pg_step OPENING[] = { BEGIN_DONE, MOCK_RESET };
    static const mock_pg_step WRITING[] = { BEGIN_DONE, MOCK_SEND(TAKES_DATA), MOCK_EXPECT("d"),
                                            MOCK_RESET };
    const char *problem;
    const error opening = PLAY(OPENING, copy_in);
    assert_fails(PG_CONNECTION_LOST, opening);
    assert_true(str_starts_with(error_detail_of(opening)->text, STR("STREAM_CLOSED")));
    const error writing = PLAY(WRITING, copy_in);
    assert_fails(PG_CONNECTION_LOST, writing);
    assert_true(str_starts_with(error_detail_of(writing)->text, STR("STREAM_CLOSED")));
}

static error give_up_in_the_middle(void *arg)
{
    pg_copy *c;
    TRY(pg_copy_in((pg_pool *)arg, &c, "copy t from stdin"));
    TRY(pg_copy_write(c, STR("a\n")));
    return error_set(&PG_FAILED, "for a reason of its own");
}

static void test_mock_copy_given_up_is_refused_to_the_server(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        BEGIN_DONE,        MOCK_SEND(TAKES_DATA),
        MOCK_EXPECT("df"), MOCK_SEND(FAILURE "Z\0\0\0\5E"),
        THEN(ROLLED_BACK),
    };
    const char *problem;
    assert_fails(PG_FAILED, PLAY(SCRIPT, give_up_in_the_middle));
    assert_null(problem);
}

/* --- rows of the binary format ---------------------------------------------------------------- */

#define POINT_FIELDS(F) F(x, int8) F(label, opt_text)
SHAPE(point, POINT_FIELDS)

#define BINARY_OUT "H\0\0\0\13\1\0\2\0\1\0\1"
#define SIGNATURE  "PGCOPY\n\377\r\n\0"
#define HEADER     SIGNATURE "\0\0\0\0\0\0\0\0"
#define ROW_OF(xx) "\0\2\0\0\0\10\0\0\0\0\0\0\0" xx
#define ROW        ROW_OF("\7") "\0\0\0\2ab"
#define NULL_ROW   ROW_OF("\10") "\377\377\377\377"
#define TRAILER    "\377\377"
#define GOOD       HEADER ROW NULL_ROW ROW TRAILER
#define BYTES(text)               \
    {                             \
        "" text, sizeof(text) - 1 \
    }

static int64_t sum;
static uint32_t labels;

static error read_points(void *arg)
{
    pg_copy *c;
    point p;
    sum = labels = 0;
    TRY(pg_copy_out((pg_pool *)arg, &c, "copy t to stdout (format binary)"));
    for (bool more;;) {
        TRY(pg_copy_next(c, point, &p, &more));
        if (!more)
            break;
        sum += p.x;
        labels += p.label.has && str_eq(p.label.value, STR("ab"));
    }
    bool more = true;
    TRY(pg_copy_next(c, point, &p, &more)); /* the end stays the end */
    assert_false(more);
    return pg_copy_finish(&c, NULL);
}

/* Sends the data in messages of `piece` bytes. */
static error read_points_of(str data, size_t piece)
{
    static char said[8192];
    size_t len = sizeof BINARY_OUT - 1;
    memcpy(said, BINARY_OUT, len);
    for (size_t at = 0; at < data.len; at += piece) {
        const str part = str_slice(data, at, piece);
        assert_true(len + part.len + 64 < sizeof said);
        said[len] = 'd';
        memcpy(said + len + 1, (const char[]){ 0, 0, 0, (char)(4 + part.len) }, 4);
        memcpy(said + len + 5, part.ptr, part.len);
        len += 5 + part.len;
    }
    static const char END[] = DATA_DONE COPIED IN_TX;
    memcpy(said + len, END, sizeof END - 1);
    len += sizeof END - 1;
    const mock_pg_step good[] = {
        BEGIN_DONE,         { .action = MOCK_DO_SEND, .bytes = { said, len } },
        MOCK_EXPECT("PDS"), MOCK_SEND(PARSED NO_PARAMS NO_DATA IN_TX),
        MOCK_EXPECT("BES"), MOCK_SEND(BOUND COMMITTED MOCK_READY)
    };
    const char *problem;
    return PLAY(good, read_points);
}

static void test_mock_copy_rows_come_in_pieces_of_any_size(void **state)
{
    (void)state;
    static const str data = BYTES(GOOD);
    for (size_t piece = 1; piece <= data.len; piece++) {
        assert_ok(read_points_of(data, piece));
        assert_int_equal(sum, 22);
        assert_int_equal(labels, 2);
    }
    assert_ok(read_points_of((str)BYTES(HEADER TRAILER), 100));
    assert_int_equal(sum, 0);
    /* An extension of the header that nobody knows, and a flag that need not be known. */
    assert_ok(read_points_of((str)BYTES(SIGNATURE "\0\0\0\1\0\0\0\3xyz" ROW TRAILER), 100));
    assert_int_equal(sum, 7);
}

static void test_mock_copy_rows_cut_at_any_byte_are_refused(void **state)
{
    (void)state;
    static const str data = BYTES(GOOD);
    for (size_t len = 0; len < data.len; len++) {
        const error e = read_points_of(str_slice(data, 0, len), len % 2 ? 3 : 100);
        if (!error_is(e, &PG_PROTOCOL_VIOLATION))
            fail_msg("%zu bytes gave %s", len, e.kind ? e.kind->name : "OK");
    }
}

static void test_mock_copy_rows_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        str data;
        const error_kind *kind;
    } rows[] = {
        { "another signature", BYTES("PGCOPY\n\377\r\n\1" ROW TRAILER), &PG_PROTOCOL_VIOLATION },
        { "text", BYTES("7\tab\n"), &PG_PROTOCOL_VIOLATION },
        { "a flag that one must know", BYTES(SIGNATURE "\0\1\0\0\0\0\0\0" ROW TRAILER),
          &PG_PROTOCOL_VIOLATION },
        { "an endless extension", BYTES(SIGNATURE "\0\0\0\0\377\377\377\377" ROW TRAILER),
          &PG_PROTOCOL_VIOLATION },
        { "fewer columns", BYTES(HEADER "\0\1\0\0\0\10\0\0\0\0\0\0\0\7" TRAILER),
          &PG_TYPE_MISMATCH },
        { "more columns", BYTES(HEADER "\0\3" ROW TRAILER), &PG_TYPE_MISMATCH },
        { "a negative number of columns", BYTES(HEADER "\377\376" ROW TRAILER),
          &PG_PROTOCOL_VIOLATION },
        { "a value of a negative length", BYTES(HEADER "\0\2\377\377\377\376" TRAILER),
          &PG_PROTOCOL_VIOLATION },
        { "a value of two gigabytes", BYTES(HEADER "\0\2\177\377\377\377" TRAILER),
          &PG_PROTOCOL_VIOLATION },
        { "a value of another length", BYTES(HEADER "\0\2\0\0\0\4\0\0\0\7\0\0\0\2ab" TRAILER),
          &PG_TYPE_MISMATCH },
        { "NULL where none may be", BYTES(HEADER "\0\2\377\377\377\377\0\0\0\2ab" TRAILER),
          &PG_TYPE_MISMATCH },
        { "something behind the end", BYTES(GOOD "\0"), &PG_PROTOCOL_VIOLATION },
        { "a row behind the end", BYTES(GOOD ROW), &PG_PROTOCOL_VIOLATION },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t piece = 1; piece <= 100; piece += 33) {
            const error e = read_points_of(rows[i].data, piece);
            if (!error_is(e, rows[i].kind))
                fail_msg("%s gave %s", rows[i].name, e.kind ? e.kind->name : "OK");
        }
    }
}

static error run_slow_script(void *arg)
{
    return pg_script((pg_tx *)arg, STR("select 1"));
}

static error read_a_copy(void *arg)
{
    pg_copy *c;
    str bytes;
    TRY(pg_copy_out((pg_tx *)arg, &c, "copy t to stdout"));
    return pg_copy_read(c, &bytes);
}

static error give_up_both(void *arg)
{
    pg_tx *tx;
    const scope_options soon = { .deadline_ms = 20 };
    TRY(pg_begin((pg_pool *)arg, &tx));
    const error script = scope_call(&soon, run_slow_script, tx);
    if (!error_is(script, &TIMED_OUT))
        return error_set(&PG_FAILED, "the script was answered");
    return scope_call(&soon, read_a_copy, tx);
}

/* Behind a statement that was given up, and that may be canceled, it is not even sent. */
static void test_mock_copy_behind_a_statement_given_up_is_not_sent(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        BEGIN_DONE, /* and the script is there */
        MOCK_LISTEN(60),
        MOCK_SEND("C\0\0\0\15SELECT 1\0" IN_TX),
        THEN(ROLLED_BACK),
    };
    const char *problem;
    assert_fails(TIMED_OUT, PLAY(SCRIPT, give_up_both));
    assert_null(problem);
}

static error give_up_unopened(void *arg)
{
    pg_tx *tx;
    TRY(pg_begin((pg_pool *)arg, &tx));
    TRY(pg_execute(tx, NULL, "select 1"));
    return scope_call(&(scope_options){ .deadline_ms = 20 }, read_a_copy, tx);
}

/* The server has not said yet what it wants: what comes is nobody's. */
static void test_mock_copy_given_up_before_its_turn_hears_no_more(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        MOCK_ACCEPT,          MOCK_SEND(MOCK_WELCOME),
        MOCK_EXPECT("PDS"),   MOCK_SEND(PARSED NO_PARAMS NO_DATA MOCK_READY),
        MOCK_EXPECT("PDS"),   MOCK_SEND(PARSED NO_PARAMS NO_DATA MOCK_READY),
        MOCK_EXPECT("BEBES"), MOCK_SEND(BOUND BEGUN BOUND "C\0\0\0\15SELECT 0\0" IN_TX),
        MOCK_EXPECT("Qf"),    MOCK_SEND(GIVES_DATA DATA DATA DATA_DONE COPIED IN_TX),
        THEN(ROLLED_BACK),
    };
    const char *problem;
    assert_fails(TIMED_OUT, PLAY(SCRIPT, give_up_unopened));
    assert_null(problem);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mock_copy_both_ways_is_said_right),
        cmocka_unit_test(test_mock_copy_error_at_any_time_is_told),
        cmocka_unit_test(test_mock_copy_that_makes_no_sense_ends_the_connection),
        cmocka_unit_test(test_mock_copy_whose_connection_is_lost_fails),
        cmocka_unit_test(test_mock_copy_whose_connection_breaks_says_how),
        cmocka_unit_test(test_mock_copy_rows_come_in_pieces_of_any_size),
        cmocka_unit_test(test_mock_copy_rows_cut_at_any_byte_are_refused),
        cmocka_unit_test(test_mock_copy_rows_that_make_no_sense_are_refused),
        cmocka_unit_test(test_mock_copy_given_up_is_refused_to_the_server),
        cmocka_unit_test(test_mock_copy_behind_a_statement_given_up_is_not_sent),
        cmocka_unit_test(test_mock_copy_given_up_before_its_turn_hears_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
