/* The client and servers that lie, break off and babble: every case ends in an answer that is right
 * or in a clean error, never in a hang, a crash or a wrong row. */
#include "core/fault.h"
#include "core/log.h"
#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"
#include "tests/support/random.h"

#include <unistd.h>

/* --- messages --------------------------------------------------------------------------------- */

#define PARSED     "1\0\0\0\4"
#define BOUND      "2\0\0\0\4"
#define NO_PARAMS  "t\0\0\0\6\0\0"
#define NO_DATA    "n\0\0\0\4"
#define COLUMN     "n\0\0\0\0\0\0\0\0\0\0\24\0\10\377\377\377\377\0\0" /* n int8 */
#define ONE_COLUMN "T\0\0\0\32\0\1" COLUMN
#define ROW_7      "D\0\0\0\22\0\1\0\0\0\10\0\0\0\0\0\0\0\7"
#define ROW_8      "D\0\0\0\22\0\1\0\0\0\10\0\0\0\0\0\0\0\10"
#define DONE       "C\0\0\0\15SELECT 1\0"
#define READY      MOCK_READY
#define PREPARED   PARSED NO_PARAMS ONE_COLUMN READY
#define ANSWER_7   BOUND ROW_7 DONE READY
#define ANSWER_8   BOUND ROW_8 DONE READY
#define DUPLICATE  "E\0\0\0\44SERROR\0VERROR\0C23505\0Mdup\0nkey\0\0"
#define SHUTDOWN   "E\0\0\0\37SFATAL\0VFATAL\0C57P01\0Mbye\0\0"

#define ESCAPES      "S\0\0\0\44standard_conforming_strings\0off\0"
#define WAIT_TIMEOUT "E\0\0\0\41SFATAL\0C08P01\0Mwait_timeout\0\0"

#define CONNECTED MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME)
#define ASKED     CONNECTED, MOCK_EXPECT("PDS"), MOCK_SEND(PREPARED), MOCK_EXPECT("BES")

/* --- asking ----------------------------------------------------------------------------------- */

/* What became of a query, and of the script. */
typedef struct outcome {
    const error_kind *kind; /* NULL: it has an answer */
    int64_t n;
    char text[768];
    char problem[256]; /* of the script; "" when it was played to its end */
    size_t sent;       /* bytes, by the server */
} outcome;

/* One row of one column that is not NULL, or an error. */
static error ask(pg_pool *db, int64_t *n)
{
    pg_rows rows;
    TRY(pg_query(db, &rows, "select n"));
    if (rows.count != 1 || rows.column_count != 1)
        return error_set(&PG_FAILED, "%zu rows of %u columns", rows.count, rows.column_count);
    return pg_get(&rows, 0, 0, n);
}

typedef struct asking {
    pg_pool *db;
    outcome *out;
} asking;

static error ask_and_note(void *arg)
{
    const asking *a = arg;
    const error e = ask(a->db, &a->out->n);
    a->out->kind = e.kind;
    if (e.kind)
        error_describe(e, a->out->text, sizeof a->out->text);
    return OK;
}

static pg_pool *open_pool(const mock_pg *m, const char *more)
{
    const str conninfo = str_format(fiber_arena(), "%s %s", m->conninfo, more);
    pg_pool *db;
    assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = conninfo, .connections_max = 1 }, &db));
    return db;
}

static void stop(mock_pg *m, outcome *out)
{
    const char *problem = mock_pg_stop(m);
    (void)snprintf(out->problem, sizeof out->problem, "%s", problem ? problem : "");
    out->sent = m->sent;
}

/* One query on a pool of its own, with a deadline that nothing should need. */
static outcome ask_mock(const mock_pg_options *options)
{
    outcome out = { .n = -1 };
    mock_pg m;
    mock_pg_start(&m, options);
    pg_pool *db = open_pool(&m, "connect_timeout=10");
    asking a = { db, &out };
    const error e = scope_call(&(scope_options){ .deadline_ms = 20000 }, ask_and_note, &a);
    pg_pool_close(&db);
    stop(&m, &out);
    assert_ok(e);
    return out;
}

#define ASK(script)           ask_mock(&(mock_pg_options){ script, ARRAY_LEN(script) })
#define ASK_ALSO(script, ...) ask_mock(&(mock_pg_options){ script, ARRAY_LEN(script), __VA_ARGS__ })

static void assert_answer(const outcome *out, int64_t n)
{
    if (out->kind)
        fail_msg("%s (%s)", out->text, out->problem);
    assert_int_equal(out->n, n);
    assert_string_equal(out->problem, "");
}

typedef struct mock_row {
    const char *name;
    const mock_pg_step *steps;
    size_t count;
    const error_kind *kind;
    const char *said; /* in the error's text */
} mock_row;

#define STEPS(...) \
    (const mock_pg_step[]){ __VA_ARGS__ }, ARRAY_LEN(((const mock_pg_step[]){ __VA_ARGS__ }))

/* Whether the row ended as it must; says why not. */
static bool fails_as_told(const mock_row *row)
{
    const outcome out =
        ask_mock(&(mock_pg_options){ .steps = row->steps, .step_count = row->count });
    if (!out.kind)
        print_error("%s: answered with %lld\n", row->name, (long long)out.n);
    else if (out.kind != row->kind)
        print_error("%s: %s\n", row->name, out.text);
    else if (!strstr(out.text, row->said))
        print_error("%s: \"%s\" is not in: %s\n", row->name, row->said, out.text);
    else if (strstr(out.text, "pencil"))
        print_error("%s tells the password: %s\n", row->name, out.text);
    else
        return true;
    return false;
}

static void assert_fails_as_told(const mock_row *rows, size_t count)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++)
        wrong += !fails_as_told(&rows[i]);
    assert_int_equal(wrong, 0);
}

/* --- servers that are right ------------------------------------------------------------------- */

static const mock_pg_step TRUSTING[] = { ASKED, MOCK_SEND(ANSWER_7) };
static const mock_pg_step CAREFUL[] = {
    MOCK_ACCEPT,         MOCK_SCRAM(MOCK_SCRAM_GOOD), MOCK_SEND(MOCK_STARTED), MOCK_EXPECT("PDS"),
    MOCK_SEND(PREPARED), MOCK_EXPECT("BES"),          MOCK_SEND(ANSWER_7),
};

static void test_mock_right_server_is_answered(void **state)
{
    (void)state;
    outcome out = ASK(TRUSTING);
    assert_answer(&out, 7);
    out = ASK(CAREFUL);
    assert_answer(&out, 7);
}

static void test_mock_bytes_one_at_a_time_make_the_same_answer(void **state)
{
    (void)state;
    const outcome out = ASK_ALSO(CAREFUL, .slowly = true);
    assert_answer(&out, 7);
}

static void test_mock_notices_and_parameters_between_all_messages_change_nothing(void **state)
{
    (void)state;
    outcome out = ASK_ALSO(TRUSTING, .noisy = true);
    assert_answer(&out, 7);
    out = ASK_ALSO(CAREFUL, .noisy = true);
    assert_answer(&out, 7);
    out = ASK_ALSO(CAREFUL, .noisy = true, .slowly = true);
    assert_answer(&out, 7);
}

static void test_mock_second_query_uses_the_prepared_statement(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = { ASKED, MOCK_SEND(ANSWER_7), MOCK_EXPECT("BES"),
                                           MOCK_SEND(ANSWER_8) };
    mock_pg m;
    outcome out;
    int64_t n = 0;
    mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
    pg_pool *db = open_pool(&m, "");
    assert_ok(ask(db, &n));
    assert_int_equal(n, 7);
    assert_ok(ask(db, &n));
    assert_int_equal(n, 8);
    pg_pool_close(&db);
    stop(&m, &out);
    assert_string_equal(out.problem, "");
}

/* --- the handshake ---------------------------------------------------------------------------- */

static const mock_row HANDSHAKES[] = {
    { "silence and goodbye", STEPS(MOCK_ACCEPT, MOCK_CLOSE), &PG_CONNECT_FAILED, "closed" },
    { "a reset", STEPS(MOCK_ACCEPT, MOCK_RESET), &PG_CONNECT_FAILED, "" },
    { "a web server", STEPS(MOCK_ACCEPT, MOCK_SEND("HTTP/1.1 400 Bad Request\r\n\r\n")),
      &PG_CONNECT_FAILED, "no PostgreSQL server" },
    { "a length of 3", STEPS(MOCK_ACCEPT, MOCK_SEND("R\0\0\0\3")), &PG_CONNECT_FAILED,
      "no PostgreSQL server" },
    { "a negative length", STEPS(MOCK_ACCEPT, MOCK_SEND("R\377\377\377\377")), &PG_CONNECT_FAILED,
      "no PostgreSQL server" },
    { "a huge length", STEPS(MOCK_ACCEPT, MOCK_SEND("R\177\377\377\377")), &PG_CONNECT_FAILED,
      "no PostgreSQL server" },
    { "an authentication without a code", STEPS(MOCK_ACCEPT, MOCK_SEND("R\0\0\0\4")),
      &PG_CONNECT_FAILED, "malformed authentication" },
    { "a password in clear text", STEPS(MOCK_ACCEPT, MOCK_SEND("R\0\0\0\10\0\0\0\3")),
      &PG_CONNECT_FAILED, "clear text" },
    { "md5 twice",
      STEPS(MOCK_ACCEPT, MOCK_SEND("R\0\0\0\14\0\0\0\5salt"), MOCK_EXPECT("p"),
            MOCK_SEND("R\0\0\0\14\0\0\0\5salt")),
      &PG_CONNECT_FAILED, "asked twice" },
    { "md5 without salt", STEPS(MOCK_ACCEPT, MOCK_SEND("R\0\0\0\10\0\0\0\5")), &PG_CONNECT_FAILED,
      "malformed authentication" },
    { "GSS", STEPS(MOCK_ACCEPT, MOCK_SEND("R\0\0\0\10\0\0\0\7")), &PG_CONNECT_FAILED, "type 7" },
    { "an unknown authentication", STEPS(MOCK_ACCEPT, MOCK_SEND("R\0\0\0\10\0\0\1\0")),
      &PG_CONNECT_FAILED, "type 256" },
    { "no mechanism", STEPS(MOCK_ACCEPT, MOCK_SEND("R\0\0\0\11\0\0\0\12\0")), &PG_CONNECT_FAILED,
      "mechanisms that are not spoken" },
    { "mechanisms without an end", STEPS(MOCK_ACCEPT, MOCK_SEND("R\0\0\0\11\0\0\0\12X")),
      &PG_CONNECT_FAILED, "mechanisms that are not spoken" },
    { "SCRAM over TLS only",
      STEPS(MOCK_ACCEPT, MOCK_SEND("R\0\0\0\34\0\0\0\12SCRAM-SHA-256-PLUS\0\0")),
      &PG_CONNECT_FAILED, "channel binding without TLS" },
    { "a challenge at once", STEPS(MOCK_ACCEPT, MOCK_SEND("R\0\0\0\10\0\0\0\13")),
      &PG_CONNECT_FAILED, "type 11" },
    { "a row at once", STEPS(MOCK_ACCEPT, MOCK_SEND(ROW_7)), &PG_CONNECT_FAILED, "0x44" },
    { "ready at once", STEPS(MOCK_ACCEPT, MOCK_SEND(READY)), &PG_CONNECT_FAILED, "0x5a" },
    { "an unknown message", STEPS(MOCK_ACCEPT, MOCK_SEND(MOCK_AUTH_OK "~\0\0\0\4")),
      &PG_CONNECT_FAILED, "0x7e" },
    { "another protocol version",
      STEPS(MOCK_ACCEPT, MOCK_SEND("v\0\0\0\14\0\3\0\0\0\0\0\0" MOCK_WELCOME)), &PG_CONNECT_FAILED,
      "no step down" },
    { "authenticated twice", STEPS(MOCK_ACCEPT, MOCK_SEND(MOCK_AUTH_OK MOCK_WELCOME)),
      &PG_CONNECT_FAILED, "0x52" },
    { "a parameter without an end", STEPS(MOCK_ACCEPT, MOCK_SEND(MOCK_AUTH_OK "S\0\0\0\6ab" READY)),
      &PG_CONNECT_FAILED, "malformed ParameterStatus" },
    { "another encoding",
      STEPS(MOCK_ACCEPT, MOCK_SEND(MOCK_AUTH_OK "S\0\0\0\33client_encoding\0LATIN1\0" READY)),
      &PG_CONNECT_FAILED, "client_encoding" },
    { "dates as floats",
      STEPS(MOCK_ACCEPT, MOCK_SEND(MOCK_AUTH_OK "S\0\0\0\32integer_datetimes\0off\0" READY)),
      &PG_CONNECT_FAILED, "integer_datetimes" },
    { "strings with escapes", STEPS(MOCK_ACCEPT, MOCK_SEND(MOCK_AUTH_OK ESCAPES READY)),
      &PG_CONNECT_FAILED, "standard_conforming_strings" },
    { "too many clients",
      STEPS(MOCK_ACCEPT, MOCK_SEND("E\0\0\0\40SFATAL\0VFATAL\0C53300\0Mfull\0\0"), MOCK_CLOSE),
      &PG_CONNECT_FAILED, "53300" },
    { "starting up",
      STEPS(MOCK_ACCEPT, MOCK_SEND("E\0\0\0\40SFATAL\0VFATAL\0C57P03\0Mwait\0\0"), MOCK_CLOSE),
      &PG_CONNECT_FAILED, "57P03" },
    { "an error after authentication",
      STEPS(MOCK_ACCEPT, MOCK_SEND(MOCK_AUTH_OK SHUTDOWN), MOCK_CLOSE), &PG_CONNECT_FAILED,
      "57P01" },
    { "an error without fields", STEPS(MOCK_ACCEPT, MOCK_SEND("E\0\0\0\5\0"), MOCK_CLOSE),
      &PG_CONNECT_FAILED, "" },
    { "an error of broken fields", STEPS(MOCK_ACCEPT, MOCK_SEND("E\0\0\0\7abc"), MOCK_CLOSE),
      &PG_CONNECT_FAILED, "" },
    { "nothing but notices", STEPS(MOCK_ACCEPT, MOCK_FLOOD("N\0\0\0\5\0", 1000), MOCK_CLOSE),
      &PG_CONNECT_FAILED, "closed" },
};

static void test_mock_handshakes_that_go_wrong_fail_by_name(void **state)
{
    (void)state;
    assert_fails_as_told(HANDSHAKES, ARRAY_LEN(HANDSHAKES));
}

#define SCRAM_ROW(name, fault, said)                                                              \
    {                                                                                             \
        name, STEPS(MOCK_ACCEPT, MOCK_SCRAM(fault), MOCK_SEND(MOCK_STARTED)), &PG_CONNECT_FAILED, \
            said                                                                                  \
    }
static const mock_row SCRAM_FAULTS[] = {
    SCRAM_ROW("nothing asked", MOCK_SCRAM_NOTHING_ASKED, "cut the SCRAM exchange short"),
    SCRAM_ROW("nothing proved", MOCK_SCRAM_NOTHING_PROVED, "cut the SCRAM exchange short"),
    SCRAM_ROW("a wrong signature", MOCK_SCRAM_WRONG_SIGNATURE, "signature is wrong"),
    SCRAM_ROW("another password", MOCK_SCRAM_SIGNATURE_OF_OTHER, "signature is wrong"),
    SCRAM_ROW("a foreign nonce", MOCK_SCRAM_FOREIGN_NONCE, "nonce"),
    SCRAM_ROW("the same nonce", MOCK_SCRAM_SAME_NONCE, "nonce"),
    SCRAM_ROW("no iterations", MOCK_SCRAM_NO_ITERATIONS, "iteration count"),
    SCRAM_ROW("too many iterations", MOCK_SCRAM_TOO_MANY_ITERATIONS, "iteration count"),
    SCRAM_ROW("challenged twice", MOCK_SCRAM_CHALLENGED_TWICE, "SCRAM exchange"),
    SCRAM_ROW("signed twice", MOCK_SCRAM_SIGNED_TWICE, "SCRAM exchange"),
    SCRAM_ROW("an error attribute", MOCK_SCRAM_ERROR_ATTRIBUTE, "invalid-proof"),
    SCRAM_ROW("refused", MOCK_SCRAM_REFUSED, "28P01"),
    SCRAM_ROW("a row between", MOCK_SCRAM_ROW_BETWEEN, "0x44"),
};

static void test_mock_scram_that_proves_nothing_is_refused(void **state)
{
    (void)state;
    assert_fails_as_told(SCRAM_FAULTS, ARRAY_LEN(SCRAM_FAULTS));
}

static void test_mock_server_that_never_greets_is_given_up(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = { MOCK_ACCEPT, MOCK_STALL };
    mock_pg m;
    outcome out = { .n = -1 };
    mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
    pg_pool *db = open_pool(&m, "connect_timeout=1");
    int64_t n;
    assert_fails(PG_CONNECT_FAILED, ask(db, &n));
    pg_pool_close(&db);
    stop(&m, &out);
    assert_string_equal(out.problem, "");
}

/* --- answers ---------------------------------------------------------------------------------- */

#define PREPARE_ROW(name, kind, said, bytes)                                                    \
    {                                                                                           \
        name, STEPS(CONNECTED, MOCK_EXPECT("PDS"), MOCK_SEND(bytes), MOCK_CLOSE), &(kind), said \
    }
#define ANSWER_ROW(name, kind, said, bytes)                             \
    {                                                                   \
        name, STEPS(ASKED, MOCK_SEND(bytes), MOCK_CLOSE), &(kind), said \
    }

static const mock_row DESCRIPTIONS[] = {
    PREPARE_ROW("ready without a description", PG_PROTOCOL_VIOLATION, "", READY),
    PREPARE_ROW("parsed, and ready without a description", PG_PROTOCOL_VIOLATION, "", PARSED READY),
    PREPARE_ROW("a row", PG_PROTOCOL_VIOLATION, "row", PARSED NO_PARAMS ROW_7 READY),
    PREPARE_ROW("two descriptions", PG_PROTOCOL_VIOLATION, "description",
                PARSED NO_PARAMS ONE_COLUMN ONE_COLUMN READY),
    PREPARE_ROW("no count of columns", PG_PROTOCOL_VIOLATION, "description",
                PARSED NO_PARAMS "T\0\0\0\4" READY),
    PREPARE_ROW("fewer columns than counted", PG_PROTOCOL_VIOLATION, "description",
                PARSED NO_PARAMS "T\0\0\0\32\0\2" COLUMN READY),
    PREPARE_ROW("more columns than counted", PG_PROTOCOL_VIOLATION, "description",
                PARSED NO_PARAMS "T\0\0\0\32\0\0" COLUMN READY),
    PREPARE_ROW("65535 columns", PG_PROTOCOL_VIOLATION, "description",
                PARSED NO_PARAMS "T\0\0\0\32\377\377" COLUMN READY),
    PREPARE_ROW("a name without an end", PG_PROTOCOL_VIOLATION, "description",
                PARSED NO_PARAMS "T\0\0\0\10\0\1nn" READY),
    PREPARE_ROW("an unknown message", PG_PROTOCOL_VIOLATION, "", PARSED "~\0\0\0\4" READY),
    PREPARE_ROW("authentication anew", PG_PROTOCOL_VIOLATION, "", MOCK_AUTH_OK),
    PREPARE_ROW("a syntax error", PG_SYNTAX, "42601",
                "E\0\0\0\40SERROR\0VERROR\0C42601\0Mnope\0\0" READY),
    PREPARE_ROW("a syntax error and goodbye", PG_CONNECTION_LOST, "",
                "E\0\0\0\40SERROR\0VERROR\0C42601\0Mnope\0\0"),
};

static void test_mock_descriptions_that_make_no_sense_end_the_connection(void **state)
{
    (void)state;
    assert_fails_as_told(DESCRIPTIONS, ARRAY_LEN(DESCRIPTIONS));
}

static const mock_row ANSWERS[] = {
    ANSWER_ROW("a row of no columns", PG_PROTOCOL_VIOLATION, "row",
               BOUND "D\0\0\0\6\0\0" DONE READY),
    ANSWER_ROW("a row of two columns", PG_PROTOCOL_VIOLATION, "row",
               BOUND "D\0\0\0\16\0\2\0\0\0\0\0\0\0\0" DONE READY),
    ANSWER_ROW("a row of 65535 columns", PG_PROTOCOL_VIOLATION, "row",
               BOUND "D\0\0\0\6\377\377" DONE READY),
    ANSWER_ROW("a row without a count", PG_PROTOCOL_VIOLATION, "row", BOUND "D\0\0\0\4" DONE READY),
    ANSWER_ROW("a cell past the row", PG_PROTOCOL_VIOLATION, "row",
               BOUND "D\0\0\0\16\0\1\0\0\0\10\0\0\0\0" DONE READY),
    ANSWER_ROW("a cell of 2^31 - 1 bytes", PG_PROTOCOL_VIOLATION, "row",
               BOUND "D\0\0\0\16\0\1\177\377\377\377\0\0\0\0" DONE READY),
    ANSWER_ROW("a cell of -2 bytes", PG_PROTOCOL_VIOLATION, "row",
               BOUND "D\0\0\0\12\0\1\377\377\377\376" DONE READY),
    ANSWER_ROW("bytes behind the last cell", PG_PROTOCOL_VIOLATION, "row",
               BOUND "D\0\0\0\23\0\1\0\0\0\10\0\0\0\0\0\0\0\7x" DONE READY),
    ANSWER_ROW("a cell of the wrong size", PG_TYPE_MISMATCH, "of 4 bytes",
               BOUND "D\0\0\0\16\0\1\0\0\0\4\0\0\0\7" DONE READY),
    ANSWER_ROW("a NULL", PG_TYPE_MISMATCH, "NULL",
               BOUND "D\0\0\0\12\0\1\377\377\377\377" DONE READY),
    ANSWER_ROW("two rows", PG_FAILED, "2 rows", BOUND ROW_7 ROW_8 DONE READY),
    ANSWER_ROW("a description again", PG_PROTOCOL_VIOLATION, "description",
               BOUND ONE_COLUMN ROW_7 DONE READY),
    ANSWER_ROW("ready at once", PG_PROTOCOL_VIOLATION, "", READY),
    ANSWER_ROW("bound and ready", PG_PROTOCOL_VIOLATION, "", BOUND READY),
    ANSWER_ROW("a row and ready", PG_PROTOCOL_VIOLATION, "", BOUND ROW_7 READY),
    ANSWER_ROW("a row after the end", PG_PROTOCOL_VIOLATION, "", BOUND DONE ROW_7 READY),
    ANSWER_ROW("ready in no state", PG_PROTOCOL_VIOLATION, "ReadyForQuery",
               BOUND ROW_7 DONE "Z\0\0\0\5X"),
    ANSWER_ROW("ready in a NUL", PG_PROTOCOL_VIOLATION, "ReadyForQuery",
               BOUND ROW_7 DONE "Z\0\0\0\5\0"),
    ANSWER_ROW("ready without a state", PG_PROTOCOL_VIOLATION, "ReadyForQuery",
               BOUND ROW_7 DONE "Z\0\0\0\4"),
    ANSWER_ROW("ready with two states", PG_PROTOCOL_VIOLATION, "ReadyForQuery",
               BOUND ROW_7 DONE "Z\0\0\0\6II"),
    ANSWER_ROW("a transaction left open", PG_INVALID_ARGUMENT, "transaction open",
               BOUND ROW_7 DONE "Z\0\0\0\5T"),
    ANSWER_ROW("an unknown message", PG_PROTOCOL_VIOLATION, "", BOUND "~\0\0\0\4" ROW_7 DONE READY),
    ANSWER_ROW("a length of 3", PG_PROTOCOL_VIOLATION, "length", BOUND "D\0\0\0\3"),
    ANSWER_ROW("a length of -1", PG_PROTOCOL_VIOLATION, "length", BOUND "D\377\377\377\377"),
    ANSWER_ROW("a tag that is too long", PG_PROTOCOL_VIOLATION, "too long",
               BOUND "C\177\377\377\377"),
    ANSWER_ROW("another encoding", PG_PROTOCOL_VIOLATION, "client_encoding",
               "S\0\0\0\33client_encoding\0LATIN1\0" ANSWER_7),
    ANSWER_ROW("a parameter without an end", PG_PROTOCOL_VIOLATION, "ParameterStatus",
               "S\0\0\0\6ab" ANSWER_7),
    ANSWER_ROW("COPY FROM STDIN", PG_INVALID_ARGUMENT, "COPY", BOUND "G\0\0\0\7\0\0\0" READY),
    ANSWER_ROW("a suspended portal", PG_PROTOCOL_VIOLATION, "", BOUND ROW_7 "s\0\0\0\4" READY),
    ANSWER_ROW("a unique violation", PG_UNIQUE_VIOLATION, "23505", BOUND DUPLICATE READY),
    ANSWER_ROW("a row and then an error", PG_UNIQUE_VIOLATION, "23505",
               BOUND ROW_7 DUPLICATE READY),
    ANSWER_ROW("an error without a SQLSTATE", PG_FAILED, "dup",
               BOUND "E\0\0\0\30SERROR\0VERROR\0Mdup\0\0" READY),
    ANSWER_ROW("an error with a short SQLSTATE", PG_FAILED, "dup",
               BOUND "E\0\0\0\35SERROR\0VERROR\0C235\0Mdup\0\0" READY),
    ANSWER_ROW("an error without fields", PG_FAILED, "", BOUND "E\0\0\0\5\0" READY),
    ANSWER_ROW("an error without an end", PG_PROTOCOL_VIOLATION, "malformed error",
               BOUND "E\0\0\0\13SERROR\0" READY),
    ANSWER_ROW("an empty error", PG_PROTOCOL_VIOLATION, "malformed error", "E\0\0\0\4" READY),
    ANSWER_ROW("a shutdown", PG_CONNECTION_LOST, "57P01", BOUND ROW_7 SHUTDOWN),
    ANSWER_ROW("strings with escapes", PG_PROTOCOL_VIOLATION, "standard_conforming_strings",
               ESCAPES ANSWER_7),
    ANSWER_ROW("a pooler's last words, without V", PG_CONNECTION_LOST, "FATAL 08P01: wait_timeout",
               WAIT_TIMEOUT),
    ANSWER_ROW("two fatal errors", PG_CONNECTION_LOST, "57P01", SHUTDOWN SHUTDOWN),
    ANSWER_ROW("goodbye", PG_CONNECTION_LOST, "closed", BOUND),
    { "a reset in a row", STEPS(ASKED, MOCK_SEND(BOUND "D\0\0\0\22\0\1\0\0"), MOCK_RESET),
      &PG_CONNECTION_LOST, "" },
    { "a reset at once", STEPS(ASKED, MOCK_RESET), &PG_CONNECTION_LOST, "" },
};

static void test_mock_answers_that_make_no_sense_are_clean_errors(void **state)
{
    (void)state;
    assert_fails_as_told(ANSWERS, ARRAY_LEN(ANSWERS));
}

static void test_mock_error_keeps_the_connection_and_names_the_constraint(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = { ASKED, MOCK_SEND(BOUND DUPLICATE READY),
                                           MOCK_EXPECT("BES"), MOCK_SEND(ANSWER_7) };
    mock_pg m;
    outcome out;
    int64_t n = 0;
    mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
    pg_pool *db = open_pool(&m, "");
    const error e = ask(db, &n);
    assert_fails(PG_UNIQUE_VIOLATION, e);
    assert_string_equal(error_detail_of(e)->sqlstate, "23505");
    assert_str_equal(error_detail_of(e)->constraint, STR("key"));
    assert_ok(ask(db, &n));
    assert_int_equal(n, 7);
    pg_pool_close(&db);
    stop(&m, &out);
    assert_string_equal(out.problem, "");
}

/* --- everywhere ------------------------------------------------------------------------------- */

static bool is_of_a_connection(const error_kind *kind)
{
    return kind == &PG_CONNECT_FAILED || kind == &PG_CONNECTION_LOST;
}

static void test_mock_connection_cut_after_any_byte_is_a_clean_error(void **state)
{
    (void)state;
    const outcome whole = ASK(CAREFUL);
    assert_answer(&whole, 7);
    for (size_t cut = 1; cut < whole.sent; cut++) {
        const outcome out = ASK_ALSO(CAREFUL, .cut_after = cut);
        if (!is_of_a_connection(out.kind))
            fail_msg("cut after %zu of %zu bytes: %s %s", cut, whole.sent,
                     out.kind ? out.kind->name : "answered", out.text);
        assert_string_equal(out.problem, "cut");
    }
}

/* A byte that changed may be one of the value, or of a text; anything else is found. */
static void test_mock_any_byte_changed_is_an_answer_or_an_error(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = { ASKED, MOCK_SEND(ANSWER_7), MOCK_CLOSE };
    const outcome whole = ASK(SCRIPT);
    assert_answer(&whole, 7);
    random_state random = random_start();
    unsigned answered = 0;
    for (size_t at = 1; at <= whole.sent; at++) {
        const outcome out = ASK_ALSO(SCRIPT, .flip_at = at, .patience_ms = 200,
                                     .flips = (unsigned char)(1 + random_below(&random, 255)));
        answered += !out.kind;
    }
    assert_in_range(answered, 8, whole.sent - 1);
}

/* A fiber of its own asks: memory that is out ends it on the spot. */
static outcome ask_with_fault(const char *point, uint32_t n, bool *passed)
{
    outcome out = { .n = -1 };
    mock_pg m;
    fiber *asker = NULL;
    mock_pg_start(&m, &(mock_pg_options){ CAREFUL, ARRAY_LEN(CAREFUL) });
    pg_pool *db = open_pool(&m, "");
    asking a = { db, &out };
    fault_at(point, n);
    error e = fiber_start(loop_self(), &(fiber_options){ .joinable = true, .deadline_ms = 20000 },
                          ask_and_note, &a, &asker);
    if (!e.kind)
        e = fiber_join(&asker);
    *passed = fault_passed(point) >= n;
    fault_clear();
    if (e.kind)
        out.kind = e.kind;
    pg_pool_close(&db);
    stop(&m, &out);
    return out;
}

static void test_mock_anything_that_fails_here_is_a_clean_error(void **state)
{
    (void)state;
    static const char *const POINTS[] = { "memory", "stream.new", "stream.send" };
    for (size_t i = 0; i < ARRAY_LEN(POINTS); i++) {
        bool passed = true;
        uint32_t n = 1;
        for (; passed && n < 1000; n++) {
            const outcome out = ask_with_fault(POINTS[i], n, &passed);
            if (out.kind == &TIMED_OUT)
                fail_msg("%s, %u: %s", POINTS[i], n, out.text);
            if (!out.kind)
                assert_int_equal(out.n, 7);
            if (!passed)
                assert_answer(&out, 7);
        }
        assert_in_range(n, 3, 999); /* the last one had nothing left to fail */
        print_message("%s: failed in %u places\n", POINTS[i], n - 2);
    }
}

/* --- time and size ---------------------------------------------------------------------------- */

static void test_mock_server_that_never_answers_meets_the_deadline(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = { ASKED, MOCK_SEND(BOUND), MOCK_STALL };
    mock_pg m;
    outcome out = { .n = -1 };
    mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
    pg_pool *db = open_pool(&m, "");
    asking a = { db, &out };
    assert_ok(scope_call(&(scope_options){ .deadline_ms = 100 }, ask_and_note, &a));
    assert_ptr_equal(out.kind, &TIMED_OUT);
    pg_pool_close(&db);
    stop(&m, &out);
}

#define BYTES_16 "0123456789abcdef"
#define BYTES_256                                                                             \
    BYTES_16 BYTES_16 BYTES_16 BYTES_16 BYTES_16 BYTES_16 BYTES_16 BYTES_16 BYTES_16 BYTES_16 \
        BYTES_16 BYTES_16 BYTES_16 BYTES_16 BYTES_16 BYTES_16
#define BYTES_4096                                                                            \
    BYTES_256 BYTES_256 BYTES_256 BYTES_256 BYTES_256 BYTES_256 BYTES_256 BYTES_256 BYTES_256 \
        BYTES_256 BYTES_256 BYTES_256 BYTES_256 BYTES_256 BYTES_256 BYTES_256

/* 66 MiB in one cell: read past, and the connection goes on. */
static void test_mock_row_past_the_limit_fails_its_query_only(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        ASKED,
        MOCK_SEND(BOUND "D\4\40\0\12\0\1\4\40\0\0"),
        MOCK_FLOOD(BYTES_4096, 16896),
        MOCK_SEND(DONE READY),
        MOCK_EXPECT("BES"),
        MOCK_SEND(ANSWER_7),
    };
    mock_pg m;
    outcome out;
    int64_t n = 0;
    mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
    pg_pool *db = open_pool(&m, "");
    assert_fails(PG_MESSAGE_TOO_LARGE, ask(db, &n));
    assert_ok(ask(db, &n));
    assert_int_equal(n, 7);
    pg_pool_close(&db);
    stop(&m, &out);
    assert_string_equal(out.problem, "");
}

/* --- nobody gets another's row ---------------------------------------------------------------- */

static void test_mock_answer_that_nobody_waits_for_any_more_is_dropped(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        MOCK_ACCEPT,         MOCK_SEND(MOCK_AUTH_OK MOCK_UTF8 MOCK_READY), /* no key to cancel by */
        MOCK_EXPECT("PDS"),  MOCK_SEND(PREPARED),
        MOCK_EXPECT("BES"),  MOCK_SEND(ANSWER_7),
        MOCK_EXPECT("BES"),  MOCK_PAUSE(300), /* who asked has given up by then */
        MOCK_SEND(ANSWER_7), MOCK_EXPECT("BES"),
        MOCK_SEND(ANSWER_8),
    };
    mock_pg m;
    outcome out = { .n = -1 };
    int64_t n = 0;
    mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
    pg_pool *db = open_pool(&m, "");
    asking a = { db, &out };
    assert_ok(ask(db, &n));
    assert_ok(scope_call(&(scope_options){ .deadline_ms = 20 }, ask_and_note, &a));
    assert_ptr_equal(out.kind, &TIMED_OUT);
    assert_ok(ask(db, &n));
    assert_int_equal(n, 8);
    pg_pool_close(&db);
    stop(&m, &out);
    assert_string_equal(out.problem, "");
}

static void test_mock_pipelined_queries_get_their_own_answers(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        ASKED,
        MOCK_SEND(ANSWER_7),
        MOCK_EXPECT("BESBESBES"),
        MOCK_SEND(ANSWER_7 BOUND DUPLICATE READY ANSWER_8),
    };
    mock_pg m;
    int64_t n = 0;
    outcome outs[3] = { 0 };
    mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
    pg_pool *db = open_pool(&m, "");
    assert_ok(ask(db, &n));
    wait_group group;
    asking askings[ARRAY_LEN(outs)];
    wait_group_init(&group);
    for (size_t i = 0; i < ARRAY_LEN(outs); i++) {
        askings[i] = (asking){ db, &outs[i] };
        assert_ok(wait_group_start(&group, ask_and_note, &askings[i]));
    }
    assert_ok(wait_group_wait(&group));
    assert_true(!outs[0].kind && outs[0].n == 7);
    assert_ptr_equal(outs[1].kind, &PG_UNIQUE_VIOLATION);
    assert_true(!outs[2].kind && outs[2].n == 8);
    pg_pool_close(&db);
    stop(&m, &outs[0]);
    assert_string_equal(outs[0].problem, "");
}

static void test_mock_connection_lost_fails_all_that_wait_on_it(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        ASKED, MOCK_SEND(ANSWER_7), MOCK_EXPECT("BESBES"), MOCK_SEND(ANSWER_7 BOUND), MOCK_RESET,
    };
    mock_pg m;
    int64_t n = 0;
    outcome outs[2] = { 0 };
    mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
    pg_pool *db = open_pool(&m, "");
    assert_ok(ask(db, &n));
    wait_group group;
    asking askings[ARRAY_LEN(outs)];
    wait_group_init(&group);
    for (size_t i = 0; i < ARRAY_LEN(outs); i++) {
        askings[i] = (asking){ db, &outs[i] };
        assert_ok(wait_group_start(&group, ask_and_note, &askings[i]));
    }
    assert_ok(wait_group_wait(&group));
    /* A reset may overtake what was sent before it. */
    assert_true((!outs[0].kind && outs[0].n == 7) || outs[0].kind == &PG_CONNECTION_LOST);
    assert_ptr_equal(outs[1].kind, &PG_CONNECTION_LOST);
    pg_pool_close(&db);
    stop(&m, &outs[0]);
}

/* What an extra answer is whose: nobody's, and so the connection is ended. */
static void test_mock_answer_too_many_never_becomes_the_next_querys(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        ASKED,
        MOCK_SEND(ANSWER_7 ANSWER_8),
        MOCK_STALL,
        MOCK_ACCEPT,
        MOCK_SEND(MOCK_WELCOME),
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("BES"),
        MOCK_SEND(ANSWER_7),
    };
    mock_pg m;
    outcome out;
    int64_t n = 0;
    mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
    pg_pool *db = open_pool(&m, "");
    assert_ok(ask(db, &n));
    assert_int_equal(n, 7);
    error e = ask(db, &n); /* before or after the pool has seen it */
    if (e.kind) {
        assert_fails(PG_PROTOCOL_VIOLATION, e);
        e = ask(db, &n);
    }
    assert_ok(e);
    assert_int_equal(n, 7);
    pg_pool_close(&db);
    stop(&m, &out);
    assert_string_equal(out.problem, "");
}

/* --- coming and going ------------------------------------------------------------------------- */

static void test_mock_pool_comes_back_after_a_reset(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = { ASKED,
                                           MOCK_SEND(BOUND "D"),
                                           MOCK_RESET,
                                           CONNECTED,
                                           MOCK_EXPECT("PDS"),
                                           MOCK_SEND(PREPARED),
                                           MOCK_EXPECT("BES"),
                                           MOCK_SEND(ANSWER_8) };
    mock_pg m;
    outcome out;
    int64_t n = 0;
    mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
    pg_pool *db = open_pool(&m, "");
    assert_fails(PG_CONNECTION_LOST, ask(db, &n));
    assert_ok(ask(db, &n));
    assert_int_equal(n, 8);
    pg_pool_close(&db);
    stop(&m, &out);
    assert_string_equal(out.problem, "");
}

/* Starts `count` fibers that ask, and lets them run until they wait. */
static void start_asking(wait_group *group, asking *askings, outcome *outs, size_t count,
                         pg_pool *db)
{
    wait_group_init(group);
    for (size_t i = 0; i < count; i++) {
        askings[i] = (asking){ db, &outs[i] };
        assert_ok(wait_group_start(group, ask_and_note, &askings[i]));
    }
    assert_ok(fiber_yield());
}

static void test_mock_pool_closed_while_a_server_stalls_fails_who_waits(void **state)
{
    (void)state;
    static const mock_pg_step GREETING[] = { MOCK_ACCEPT, MOCK_STALL };
    static const mock_pg_step ANSWER[] = { ASKED, MOCK_STALL };
    static const mock_pg_options SERVERS[] = { { GREETING, ARRAY_LEN(GREETING) },
                                               { ANSWER, ARRAY_LEN(ANSWER) } };
    for (size_t i = 0; i < ARRAY_LEN(SERVERS); i++) {
        mock_pg m;
        wait_group group;
        asking askings[3];
        outcome outs[3] = { 0 };
        mock_pg_start(&m, &SERVERS[i]);
        pg_pool *db = open_pool(&m, "");
        start_asking(&group, askings, outs, ARRAY_LEN(outs), db);
        assert_ok(fiber_sleep(20));
        pg_pool_close(&db);
        assert_ok(wait_group_wait(&group));
        for (size_t k = 0; k < ARRAY_LEN(outs); k++)
            assert_ptr_equal(outs[k].kind, &PG_POOL_CLOSED);
        stop(&m, &outs[0]);
    }
}

static void test_mock_fibers_that_want_one_statement_share_what_becomes_of_it(void **state)
{
    (void)state;
    static const mock_pg_step GOOD[] = { CONNECTED, MOCK_EXPECT("PDS"), MOCK_SEND(PREPARED),
                                         MOCK_EXPECT("BESBES"), MOCK_SEND(ANSWER_7 ANSWER_8) };
    static const mock_pg_step LOST[] = { CONNECTED, MOCK_EXPECT("PDS"), MOCK_SEND(PARSED),
                                         MOCK_RESET };
    mock_pg m;
    wait_group group;
    asking askings[2];
    outcome outs[2] = { 0 };
    mock_pg_start(&m, &(mock_pg_options){ GOOD, ARRAY_LEN(GOOD) });
    pg_pool *db = open_pool(&m, "");
    start_asking(&group, askings, outs, ARRAY_LEN(outs), db);
    assert_ok(wait_group_wait(&group));
    assert_true(!outs[0].kind && !outs[1].kind);
    assert_int_equal(outs[0].n + outs[1].n, 7 + 8); /* whoever was first */
    pg_pool_close(&db);
    stop(&m, &outs[0]);
    assert_string_equal(outs[0].problem, "");

    mock_pg_start(&m, &(mock_pg_options){ LOST, ARRAY_LEN(LOST) });
    db = open_pool(&m, "");
    start_asking(&group, askings, outs, ARRAY_LEN(outs), db);
    assert_ok(wait_group_wait(&group));
    assert_true(is_of_a_connection(outs[0].kind) && is_of_a_connection(outs[1].kind));
    pg_pool_close(&db);
    stop(&m, &outs[0]);
}

/* The description comes after the fiber that asked for it has gone: the next one uses it. */
static void test_mock_statement_outlives_the_fiber_that_prepared_it(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        CONNECTED,           MOCK_EXPECT("PDS"), MOCK_PAUSE(200),
        MOCK_SEND(PREPARED), MOCK_EXPECT("BES"), MOCK_SEND(ANSWER_7),
    };
    mock_pg m;
    outcome out = { .n = -1 };
    int64_t n = 0;
    mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
    pg_pool *db = open_pool(&m, "");
    asking a = { db, &out };
    assert_ok(scope_call(&(scope_options){ .deadline_ms = 50 }, ask_and_note, &a));
    assert_ptr_equal(out.kind, &TIMED_OUT);
    assert_ok(ask(db, &n));
    assert_int_equal(n, 7);
    pg_pool_close(&db);
    stop(&m, &out);
    assert_string_equal(out.problem, "");
}

/* --- statements that went stale, transactions ------------------------------------------------- */

#define STALE "E\0\0\0\70SERROR\0VERROR\0C0A000\0Mstale\0RRevalidateCachedQuery\0\0"

static void test_mock_stale_statement_is_prepared_again_once(void **state)
{
    (void)state;
    static const mock_pg_step ONCE[] = { ASKED,
                                         MOCK_SEND(STALE READY),
                                         MOCK_EXPECT("CPDS"),
                                         MOCK_SEND("3\0\0\0\4" PREPARED),
                                         MOCK_EXPECT("BES"),
                                         MOCK_SEND(ANSWER_7) };
    outcome out = ASK(ONCE);
    assert_answer(&out, 7);
    static const mock_pg_step AGAIN[] = {
        ASKED,
        MOCK_SEND(STALE READY),
        MOCK_EXPECT("CPDS"),
        MOCK_SEND("3\0\0\0\4" PREPARED),
        MOCK_EXPECT("BES"),
        MOCK_SEND(STALE READY),
    };
    out = ASK(AGAIN);
    assert_ptr_equal(out.kind, &PG_STATEMENT_STALE);
    static const mock_pg_step TOO_LATE[] = { ASKED, MOCK_SEND(BOUND STALE READY) };
    out = ASK(TOO_LATE); /* it has begun to run: not twice */
    assert_ptr_equal(out.kind, &PG_FAILED);
    assert_string_equal(out.problem, "");
}

#define TX_READY       "Z\0\0\0\5T"
#define TX_PREPARED    PARSED NO_PARAMS NO_DATA READY
#define TX_IN_PREPARED PARSED NO_PARAMS NO_DATA TX_READY
#define BEGAN          BOUND "C\0\0\0\12BEGIN\0"

/* Up to COMMIT on the wire: BEGIN and the statement are prepared, then run together. */
#define COMMITTING                                                                             \
    CONNECTED, MOCK_EXPECT("PDS"), MOCK_SEND(TX_PREPARED), MOCK_EXPECT("PDS"),                 \
        MOCK_SEND(PREPARED), MOCK_EXPECT("BEBES"), MOCK_SEND(BEGAN BOUND ROW_7 DONE TX_READY), \
        MOCK_EXPECT("PDS"), MOCK_SEND(TX_IN_PREPARED), MOCK_EXPECT("BES")

static error commit_on(const mock_pg_step *steps, size_t count, outcome *out)
{
    mock_pg m;
    mock_pg_start(&m, &(mock_pg_options){ .steps = steps, .step_count = count });
    pg_pool *db = open_pool(&m, "");
    pg_tx *tx;
    pg_rows rows;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_query(tx, &rows, "select n"));
    assert_int_equal(rows.count, 1);
    const error e = pg_commit(&tx);
    assert_null(tx);
    pg_pool_close(&db);
    stop(&m, out);
    return e;
}

static void test_mock_commit_tells_what_is_known(void **state)
{
    (void)state;
    outcome out;
    static const mock_pg_step GOOD[] = { COMMITTING, MOCK_SEND(BOUND "C\0\0\0\13COMMIT\0" READY) };
    assert_ok(commit_on(GOOD, ARRAY_LEN(GOOD), &out));
    assert_string_equal(out.problem, "");
    static const mock_pg_step UNDONE[] = { COMMITTING,
                                           MOCK_SEND(BOUND "C\0\0\0\15ROLLBACK\0" READY) };
    assert_fails(PG_ROLLED_BACK, commit_on(UNDONE, ARRAY_LEN(UNDONE), &out));
    static const mock_pg_step LOST[] = { COMMITTING, MOCK_RESET };
    assert_fails(PG_COMMIT_UNKNOWN, commit_on(LOST, ARRAY_LEN(LOST), &out));
    static const mock_pg_step HALF[] = { COMMITTING, MOCK_SEND(BOUND "C\0\0\0\13COMMIT\0"),
                                         MOCK_CLOSE };
    assert_fails(PG_COMMIT_UNKNOWN, commit_on(HALF, ARRAY_LEN(HALF), &out));
    static const mock_pg_step REFUSED[] = {
        COMMITTING, MOCK_SEND(BOUND "E\0\0\0\40SERROR\0VERROR\0C40001\0Mretr\0\0" READY)
    };
    assert_fails(PG_SERIALIZATION_FAILURE, commit_on(REFUSED, ARRAY_LEN(REFUSED), &out));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mock_right_server_is_answered),
        cmocka_unit_test(test_mock_bytes_one_at_a_time_make_the_same_answer),
        cmocka_unit_test(test_mock_notices_and_parameters_between_all_messages_change_nothing),
        cmocka_unit_test(test_mock_second_query_uses_the_prepared_statement),
        cmocka_unit_test(test_mock_handshakes_that_go_wrong_fail_by_name),
        cmocka_unit_test(test_mock_scram_that_proves_nothing_is_refused),
        cmocka_unit_test(test_mock_server_that_never_greets_is_given_up),
        cmocka_unit_test(test_mock_descriptions_that_make_no_sense_end_the_connection),
        cmocka_unit_test(test_mock_answers_that_make_no_sense_are_clean_errors),
        cmocka_unit_test(test_mock_error_keeps_the_connection_and_names_the_constraint),
        cmocka_unit_test(test_mock_connection_cut_after_any_byte_is_a_clean_error),
        cmocka_unit_test(test_mock_any_byte_changed_is_an_answer_or_an_error),
        cmocka_unit_test(test_mock_anything_that_fails_here_is_a_clean_error),
        cmocka_unit_test(test_mock_server_that_never_answers_meets_the_deadline),
        cmocka_unit_test(test_mock_row_past_the_limit_fails_its_query_only),
        cmocka_unit_test(test_mock_answer_that_nobody_waits_for_any_more_is_dropped),
        cmocka_unit_test(test_mock_pipelined_queries_get_their_own_answers),
        cmocka_unit_test(test_mock_connection_lost_fails_all_that_wait_on_it),
        cmocka_unit_test(test_mock_answer_too_many_never_becomes_the_next_querys),
        cmocka_unit_test(test_mock_pool_comes_back_after_a_reset),
        cmocka_unit_test(test_mock_pool_closed_while_a_server_stalls_fails_who_waits),
        cmocka_unit_test(test_mock_fibers_that_want_one_statement_share_what_becomes_of_it),
        cmocka_unit_test(test_mock_statement_outlives_the_fiber_that_prepared_it),
        cmocka_unit_test(test_mock_stale_statement_is_prepared_again_once),
        cmocka_unit_test(test_mock_commit_tells_what_is_known),
    };
    return cmocka_run_group_tests_name("pg mock", tests, NULL, NULL);
}

int main(void)
{
    /* Hundreds of servers fail here on purpose. */
    if (log_open(STDERR_FILENO, LOG_OFF, LOG_AUTO).kind)
        return 1;
    const int failed = run_in_fiber(run);
    log_close();
    return failed;
}
