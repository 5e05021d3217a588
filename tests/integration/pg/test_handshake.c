/* Handshakes that no real server has: TLS refused, faked or broken off, SCRAM talked down, versions
 * of the protocol that never were, hosts that hang, start up, or are of the wrong kind. */
#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"
#include "tests/support/tls_files.h"

#include <signal.h>

#define COLUMN     "n\0\0\0\0\0\0\0\0\0\0\24\0\10\377\377\377\377\0\0" /* n int8 */
#define ONE_COLUMN "T\0\0\0\32\0\1" COLUMN
#define PREPARED   "1\0\0\0\4t\0\0\0\6\0\0" ONE_COLUMN MOCK_READY
#define ANSWER     "2\0\0\0\4D\0\0\0\22\0\1\0\0\0\10\0\0\0\0\0\0\0\7C\0\0\0\15SELECT 1\0" MOCK_READY
#define CANCELED_  "E\0\0\0\44SERROR\0VERROR\0C57014\0Mcanceled\0\0" MOCK_READY

#define STARTING_UP "E\0\0\0\36SFATAL\0VFATAL\0C57P03\0Mno\0\0"
#define REFUSED     "E\0\0\0\36SFATAL\0VFATAL\0C28P01\0Mno\0\0"
#define NO_ENTRY    "E\0\0\0\36SFATAL\0VFATAL\0C28000\0Mno\0\0"

#define STANDBY_ON    "S\0\0\0\26in_hot_standby\0on\0"
#define STANDBY_OFF   "S\0\0\0\27in_hot_standby\0off\0"
#define READ_ONLY_ON  "S\0\0\0\45default_transaction_read_only\0on\0"
#define READ_ONLY_OFF "S\0\0\0\46default_transaction_read_only\0off\0"
#define SAID_ON       ONE_COLUMN "D\0\0\0\14\0\1\0\0\0\2onC\0\0\0\11SHOW\0" MOCK_READY
#define SAID_FALSE    ONE_COLUMN "D\0\0\0\13\0\1\0\0\0\1fC\0\0\0\15SELECT 1\0" MOCK_READY
#define SAID_TRUE     ONE_COLUMN "D\0\0\0\13\0\1\0\0\0\1tC\0\0\0\15SELECT 1\0" MOCK_READY

#define ANSWERS    MOCK_EXPECT("PDS"), MOCK_SEND(PREPARED), MOCK_EXPECT("BES"), MOCK_SEND(ANSWER)
#define WITH_TLS   MOCK_ACCEPT_ASKED, MOCK_SEND("S"), MOCK_TLS, MOCK_STARTUP
#define IS_KIND(k) MOCK_ACCEPT, MOCK_SEND(MOCK_AUTH_OK k MOCK_STARTED)

#define STEPS(...) \
    (const mock_pg_step[]){ __VA_ARGS__ }, ARRAY_LEN(((const mock_pg_step[]){ __VA_ARGS__ }))

/* --- asking ----------------------------------------------------------------------------------- */

typedef struct outcome {
    bool answered;
    char text[1024]; /* of the error */
} outcome;

typedef struct asking {
    pg_pool *db;
    outcome *out;
} asking;

static error ask(void *arg)
{
    const asking *a = arg;
    pg_rows rows;
    int64_t n = 0;
    error e = pg_query(a->db, &rows, "select n");
    if (!e.kind)
        e = pg_get(&rows, 0, 0, &n);
    a->out->answered = !e.kind && n == 7;
    if (e.kind)
        error_describe(e, a->out->text, sizeof a->out->text);
    return OK;
}

/* One query; a deadline that nothing should need. */
static outcome ask_at(const char *conninfo)
{
    outcome out = { 0 };
    pg_pool *db;
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(conninfo), .connections_max = 1 }, &db));
    asking a = { db, &out };
    const error e = scope_call(&(scope_options){ .deadline_ms = 20000 }, ask, &a);
    pg_pool_close(&db);
    assert_ok(e);
    return out;
}

static const char *conninfo_of(const mock_pg *m, const char *more)
{
    return str_to_c(fiber_arena(), str_format(fiber_arena(), "%s %s", m->conninfo, more));
}

typedef struct handshake_row {
    const char *name;
    const char *more; /* of the connection string */
    const mock_pg_step *steps;
    size_t count;
    const char *said; /* in the error; NULL: the query is answered */
    const char *alpn;
} handshake_row;

static bool goes_as_told(const handshake_row *row)
{
    mock_pg m;
    char certificate[128];
    (void)snprintf(certificate, sizeof certificate, "%s", tls_file_path("server"));
    mock_pg_start(&m, &(mock_pg_options){ .steps = row->steps,
                                          .step_count = row->count,
                                          .certificate = certificate,
                                          .alpn = row->alpn });
    const outcome out = ask_at(conninfo_of(&m, row->more));
    const char *problem = mock_pg_stop(&m);
    if (!row->said && (!out.answered || problem))
        print_error("%s: %s (%s)\n", row->name, out.text, problem ? problem : "no problem");
    else if (row->said && out.answered)
        print_error("%s: answered\n", row->name);
    else if (row->said && !strstr(out.text, row->said))
        print_error("%s: \"%s\" is not in: %s (%s)\n", row->name, row->said, out.text,
                    problem ? problem : "no problem");
    else if (strstr(out.text, "pencil") || strstr(out.text, "hunter2"))
        print_error("%s tells a secret: %s\n", row->name, out.text);
    else
        return true;
    return false;
}

static void assert_as_told(const handshake_row *rows, size_t count)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++)
        wrong += !goes_as_told(&rows[i]);
    assert_int_equal(wrong, 0);
}

/* --- the request for TLS ---------------------------------------------------------------------- */

static void test_handshake_request_for_tls_is_answered_by_one_byte(void **state)
{
    (void)state;
    const handshake_row rows[] = {
        { "TLS", "sslmode=require", STEPS(WITH_TLS, MOCK_SEND(MOCK_WELCOME), ANSWERS), NULL, NULL },
        { "no TLS, none needed", "sslmode=prefer",
          STEPS(MOCK_ACCEPT_ASKED, MOCK_SEND("N"), MOCK_STARTUP, MOCK_SEND(MOCK_WELCOME), ANSWERS),
          NULL, NULL },
        { "no TLS, and it is needed", "sslmode=require",
          STEPS(MOCK_ACCEPT_ASKED, MOCK_SEND("N"), MOCK_STALL), "does not speak TLS", NULL },
        { "an error, which may be anybody's", "sslmode=require",
          STEPS(MOCK_ACCEPT_ASKED, MOCK_SEND("E\0\0\0\43SFATAL\0VFATAL\0C28000\0Mhunter2\0\0"),
                MOCK_STALL),
          "refused the request for TLS", NULL },
        { "an error, and another connection without", "sslmode=prefer",
          STEPS(MOCK_ACCEPT_ASKED, MOCK_SEND("E\0\0\0\43SFATAL\0VFATAL\0C28000\0Mhunter2\0\0"),
                MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), ANSWERS),
          NULL, NULL },
        { "something else", "sslmode=require",
          STEPS(MOCK_ACCEPT_ASKED, MOCK_SEND("HTTP/1.1 400\r\n\r\n"), MOCK_STALL),
          "no PostgreSQL server", NULL },
        { "nothing", "sslmode=require", STEPS(MOCK_ACCEPT_ASKED, MOCK_CLOSE), "closed", NULL },
        { "bytes behind the answer", "sslmode=require",
          STEPS(MOCK_ACCEPT_ASKED, MOCK_SEND("S" MOCK_WELCOME), MOCK_STALL), "plaintext", NULL },
        { "bytes instead of a handshake", "sslmode=require",
          STEPS(MOCK_ACCEPT_ASKED, MOCK_SEND("S"), MOCK_PAUSE(100), MOCK_SEND(MOCK_WELCOME),
                MOCK_STALL),
          "", NULL },
        { "the end instead of a handshake", "sslmode=require",
          STEPS(MOCK_ACCEPT_ASKED, MOCK_SEND("S"), MOCK_CLOSE), "TLS handshake", NULL },
        { "TLS that breaks off, and another connection without", "sslmode=prefer",
          STEPS(MOCK_ACCEPT_ASKED, MOCK_SEND("S"), MOCK_RESET, MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME),
                ANSWERS),
          NULL, NULL },
        { "no entry without TLS, and another connection with it", "sslmode=allow",
          STEPS(MOCK_ACCEPT, MOCK_SEND(NO_ENTRY), WITH_TLS, MOCK_SEND(MOCK_WELCOME), ANSWERS), NULL,
          NULL },
        { "a wrong password is not sent again in clear", "sslmode=prefer",
          STEPS(WITH_TLS, MOCK_SEND("R\0\0\0\10\0\0\0\3"), MOCK_EXPECT("p"), MOCK_SEND(REFUSED)),
          "28P01", NULL },
        { "no certificate of these roots", "sslrootcert=system",
          STEPS(MOCK_ACCEPT_ASKED, MOCK_SEND("S"), MOCK_TLS), "certificate verify failed", NULL },
    };
    assert_as_told(rows, ARRAY_LEN(rows));
}

static void test_handshake_direct_tls_needs_the_protocols_name(void **state)
{
    (void)state;
    const handshake_row rows[] = {
        { "agreed", "sslmode=require sslnegotiation=direct",
          STEPS(MOCK_ACCEPT_RAW, MOCK_TLS, MOCK_STARTUP, MOCK_SEND(MOCK_WELCOME), ANSWERS), NULL,
          "postgresql" },
        { "not agreed", "sslmode=require sslnegotiation=direct",
          STEPS(MOCK_ACCEPT_RAW, MOCK_TLS, MOCK_STALL), "did not agree on postgresql", NULL },
        { "another protocol", "sslmode=require sslnegotiation=direct",
          STEPS(MOCK_ACCEPT_RAW, MOCK_TLS, MOCK_STALL), "did not agree on postgresql", "h2" },
    };
    assert_as_told(rows, ARRAY_LEN(rows));
}

/* --- SCRAM over TLS --------------------------------------------------------------------------- */

static void test_handshake_scram_is_not_talked_down(void **state)
{
    (void)state;
    const handshake_row rows[] = {
        { "bound", "sslmode=require",
          STEPS(WITH_TLS, MOCK_SCRAM(MOCK_SCRAM_PLUS), MOCK_SEND(MOCK_STARTED), ANSWERS), NULL,
          NULL },
        { "bound as required", "sslmode=require channel_binding=require",
          STEPS(WITH_TLS, MOCK_SCRAM(MOCK_SCRAM_PLUS), MOCK_SEND(MOCK_STARTED), ANSWERS), NULL,
          NULL },
        { "the offer is missing: the server is told that we would", "sslmode=require",
          STEPS(WITH_TLS, MOCK_SCRAM(MOCK_SCRAM_PLUS_HIDDEN), MOCK_SEND(MOCK_STARTED), ANSWERS),
          NULL, NULL },
        { "we do not bind", "sslmode=require channel_binding=disable",
          STEPS(WITH_TLS, MOCK_SCRAM(MOCK_SCRAM_GOOD), MOCK_SEND(MOCK_STARTED), ANSWERS), NULL,
          NULL },
        { "the offer is missing and required", "sslmode=require channel_binding=require",
          STEPS(WITH_TLS, MOCK_SEND("R\0\0\0\27\0\0\0\12SCRAM-SHA-256\0\0"), MOCK_STALL),
          "does not offer it", NULL },
        { "no challenge at all, and binding is required", "sslmode=require channel_binding=require",
          STEPS(WITH_TLS, MOCK_SEND(MOCK_WELCOME), MOCK_STALL), "channel_binding=require", NULL },
        { "clear text, and binding is required", "sslmode=require channel_binding=require",
          STEPS(WITH_TLS, MOCK_SEND("R\0\0\0\10\0\0\0\3"), MOCK_STALL), "channel_binding=require",
          NULL },
        { "clear text, and SCRAM is required", "sslmode=require require_auth=scram-sha-256",
          STEPS(WITH_TLS, MOCK_SEND("R\0\0\0\10\0\0\0\3"), MOCK_STALL), "require_auth", NULL },
        { "nothing asked, and SCRAM is required", "sslmode=require require_auth=scram-sha-256",
          STEPS(WITH_TLS, MOCK_SEND(MOCK_WELCOME), MOCK_STALL), "require_auth", NULL },
        { "mechanisms of later times", "sslmode=require",
          STEPS(WITH_TLS, MOCK_SEND("R\0\0\0\34\0\0\0\12SCRAM-SHA-512-PLUS\0\0"), MOCK_STALL),
          "not spoken", NULL },
        { "two challenges to choose from, the first unknown", "sslmode=disable",
          STEPS(MOCK_ACCEPT, MOCK_SEND("R\0\0\0\45\0\0\0\12SCRAM-SHA-512\0SCRAM-SHA-256\0\0"),
                MOCK_EXPECT("p"), MOCK_SEND(REFUSED)),
          "28P01", NULL },
    };
    assert_as_told(rows, ARRAY_LEN(rows));
}

/* --- versions of the protocol ----------------------------------------------------------------- */

#define NEGOTIATE(minor) "v\0\0\0\14\0\3\0" minor "\0\0\0\0"
#define KEY_12           "K\0\0\0\24\0\0\0\1abcdefghijkl"

static void test_handshake_versions_are_stepped_down_to(void **state)
{
    (void)state;
    const handshake_row rows[] = {
        { "3.2 is spoken", "sslmode=disable max_protocol_version=3.2",
          STEPS(MOCK_ACCEPT, MOCK_SEND(MOCK_AUTH_OK MOCK_UTF8 KEY_12 MOCK_READY), ANSWERS), NULL,
          NULL },
        { "3.0 is spoken", "sslmode=disable max_protocol_version=latest",
          STEPS(MOCK_ACCEPT, MOCK_SEND(NEGOTIATE("\0") MOCK_WELCOME), ANSWERS), NULL, NULL },
        { "3.0 is not enough", "sslmode=disable min_protocol_version=3.2",
          STEPS(MOCK_ACCEPT, MOCK_SEND(NEGOTIATE("\0") MOCK_WELCOME), MOCK_STALL),
          "min_protocol_version", NULL },
        { "3.1 never was", "sslmode=disable max_protocol_version=3.2",
          STEPS(MOCK_ACCEPT, MOCK_SEND(NEGOTIATE("\1") MOCK_WELCOME), MOCK_STALL), "no step down",
          NULL },
        { "a step to where we are", "sslmode=disable max_protocol_version=3.2",
          STEPS(MOCK_ACCEPT, MOCK_SEND(NEGOTIATE("\2") MOCK_WELCOME), MOCK_STALL), "no step down",
          NULL },
        { "a step up", "sslmode=disable max_protocol_version=3.2",
          STEPS(MOCK_ACCEPT, MOCK_SEND(NEGOTIATE("\3") MOCK_WELCOME), MOCK_STALL), "no step down",
          NULL },
        { "an extension that was not asked for", "sslmode=disable max_protocol_version=3.2",
          STEPS(MOCK_ACCEPT, MOCK_SEND("v\0\0\0\23\0\3\0\0\0\0\0\1_pq_.x\0" MOCK_WELCOME),
                MOCK_STALL),
          "malformed NegotiateProtocolVersion", NULL },
        { "two steps", "sslmode=disable max_protocol_version=3.2",
          STEPS(MOCK_ACCEPT, MOCK_SEND(NEGOTIATE("\0") NEGOTIATE("\0") MOCK_WELCOME), MOCK_STALL),
          "0x76", NULL },
        { "a key too long for 3.0", "sslmode=disable",
          STEPS(MOCK_ACCEPT, MOCK_SEND(MOCK_AUTH_OK MOCK_UTF8 KEY_12 MOCK_READY), MOCK_STALL),
          "malformed BackendKeyData", NULL },
        { "a key too long after a step down", "sslmode=disable max_protocol_version=3.2",
          STEPS(MOCK_ACCEPT, MOCK_SEND(NEGOTIATE("\0") MOCK_AUTH_OK MOCK_UTF8 KEY_12 MOCK_READY),
                MOCK_STALL),
          "malformed BackendKeyData", NULL },
        { "a key too short", "sslmode=disable max_protocol_version=3.2",
          STEPS(MOCK_ACCEPT, MOCK_SEND(MOCK_AUTH_OK "K\0\0\0\13\0\0\0\1abc"), MOCK_STALL),
          "malformed BackendKeyData", NULL },
        { "more than an opening needs", "sslmode=disable",
          STEPS(MOCK_ACCEPT, MOCK_SEND("R\0\1\0\1"), MOCK_STALL), "no PostgreSQL server", NULL },
    };
    assert_as_told(rows, ARRAY_LEN(rows));
}

static void test_handshake_key_of_256_bytes_is_taken_and_no_longer_one(void **state)
{
    (void)state;
    static char message[sizeof "K\0\0\1\10\0\0\0\1" - 1 + 257] = "K\0\0\1\10\0\0\0\1";
    for (size_t len = 256; len <= 257; len++) {
        message[4] = (char)(8 + len - 256);
        memset(message + 9, 'k', len);
        const mock_pg_step steps[] = {
            MOCK_ACCEPT,
            MOCK_SEND(MOCK_AUTH_OK MOCK_UTF8),
            { .action = MOCK_DO_SEND, .bytes = { message, 9 + len } },
            MOCK_SEND(MOCK_READY),
            ANSWERS,
        };
        const handshake_row row = { "a long key",
                                    "sslmode=disable max_protocol_version=3.2",
                                    steps,
                                    len == 256 ? ARRAY_LEN(steps) : 4,
                                    len == 256 ? NULL : "malformed BackendKeyData",
                                    NULL };
        assert_as_told(&row, 1);
    }
}

static void test_handshake_startup_message_says_who_and_which_version(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = { MOCK_ACCEPT, MOCK_SEND(REFUSED) };
    mock_pg m;
    mock_pg_start(&m, &(mock_pg_options){ SCRIPT, ARRAY_LEN(SCRIPT) });
    setenv("PGTZ", "Asia/Tokyo", 1);
    (void)ask_at(conninfo_of(&m, "sslmode=disable max_protocol_version=3.2 options='-c a=b'"));
    unsetenv("PGTZ");
    assert_null(mock_pg_stop(&m));
    static const char SAID[] = "\0\3\0\2user\0ada\0database\0shop\0options\0-c a=b\0"
                               "client_encoding\0UTF8\0"
                               "idle_in_transaction_session_timeout\00060000\0"
                               "timezone\0Asia/Tokyo\0";
    assert_int_equal(m.body_len, sizeof SAID);
    assert_memory_equal(m.body, SAID, sizeof SAID);
}

/* --- several hosts ---------------------------------------------------------------------------- */

static int port_of(const mock_pg *m)
{
    int port = 0;
    assert_int_equal(sscanf(m->conninfo, "host=127.0.0.1 port=%d", &port), 1);
    return port;
}

typedef struct pair_row {
    const char *name;
    const char *more;
    const mock_pg_step *first;
    size_t first_count;
    const mock_pg_step *second;
    size_t second_count;
    const char *said; /* in the error; NULL: the query is answered */
    bool stops;       /* the second is not asked at all */
} pair_row;

static bool pair_goes_as_told(const pair_row *row)
{
    mock_pg one, two;
    mock_pg_start(&one, &(mock_pg_options){ row->first, row->first_count });
    mock_pg_start(&two, &(mock_pg_options){ row->second, row->second_count });
    const outcome out = ask_at(str_to_c(
        fiber_arena(),
        str_format(fiber_arena(), "%s host=127.0.0.1,127.0.0.1 port=%d,%d sslmode=disable %s",
                   one.conninfo, port_of(&one), port_of(&two), row->more)));
    const char *first = mock_pg_stop(&one), *second = mock_pg_stop(&two);
    if ((first || second) && !row->stops)
        print_error("%s: %s, %s (%s)\n", row->name, first ? first : "", second ? second : "",
                    out.text);
    else if (row->stops && two.sent > 0)
        print_error("%s: the second was asked\n", row->name);
    else if (row->said ? !strstr(out.text, row->said) : !out.answered)
        print_error("%s: %s\n", row->name, out.text);
    else
        return true;
    return false;
}

#define GOOD STEPS(MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), ANSWERS)

static void test_handshake_hosts_are_passed_over_for_a_reason(void **state)
{
    (void)state;
    const pair_row rows[] = {
        { "it hangs", "connect_timeout=1", STEPS(MOCK_ACCEPT_RAW, MOCK_STALL), GOOD, NULL, false },
        { "it hangs half-way", "connect_timeout=1",
          STEPS(MOCK_ACCEPT, MOCK_SEND(MOCK_AUTH_OK), MOCK_STALL), GOOD, NULL, false },
        { "it hangs up", "", STEPS(MOCK_ACCEPT, MOCK_RESET), GOOD, NULL, false },
        { "it starts up", "", STEPS(MOCK_ACCEPT, MOCK_SEND(STARTING_UP)), GOOD, NULL, false },
        { "it is no server", "", STEPS(MOCK_ACCEPT, MOCK_SEND("HTTP/1.1 400 Bad\r\n\r\n")), GOOD,
          NULL, false },
        { "it refuses us", "", STEPS(MOCK_ACCEPT, MOCK_SEND(REFUSED)), GOOD, "28P01", true },
        { "it asks for what is not allowed", "require_auth=scram-sha-256",
          STEPS(MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), MOCK_STALL), GOOD, "require_auth", true },
        { "it does not prove itself", "",
          STEPS(MOCK_ACCEPT, MOCK_SCRAM(MOCK_SCRAM_WRONG_SIGNATURE), MOCK_STALL), GOOD,
          "signature is wrong", true },
    };
    size_t wrong = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        wrong += !pair_goes_as_told(&rows[i]);
    assert_int_equal(wrong, 0);
}

#define PRIMARY STANDBY_OFF READ_ONLY_OFF
#define GUARDED STANDBY_OFF READ_ONLY_ON /* a primary whose sessions begin read-only */
#define STANDBY STANDBY_ON READ_ONLY_OFF

static void test_handshake_hosts_of_the_wrong_kind_are_passed_over(void **state)
{
    (void)state;
    const pair_row rows[] = {
        { "read-write passes a standby", "target_session_attrs=read-write", STEPS(IS_KIND(STANDBY)),
          STEPS(IS_KIND(PRIMARY), ANSWERS), NULL, false },
        { "read-write passes what begins read-only", "target_session_attrs=read-write",
          STEPS(IS_KIND(GUARDED)), STEPS(IS_KIND(PRIMARY), ANSWERS), NULL, false },
        { "primary takes what begins read-only", "target_session_attrs=primary",
          STEPS(IS_KIND(STANDBY)), STEPS(IS_KIND(GUARDED), ANSWERS), NULL, false },
        { "read-only passes a primary", "target_session_attrs=read-only", STEPS(IS_KIND(PRIMARY)),
          STEPS(IS_KIND(STANDBY), ANSWERS), NULL, false },
        { "read-only takes what begins so", "target_session_attrs=read-only",
          STEPS(IS_KIND(PRIMARY)), STEPS(IS_KIND(GUARDED), ANSWERS), NULL, false },
        { "standby passes a primary", "target_session_attrs=standby", STEPS(IS_KIND(GUARDED)),
          STEPS(IS_KIND(STANDBY), ANSWERS), NULL, false },
        { "standby finds none", "target_session_attrs=standby", STEPS(IS_KIND(PRIMARY)),
          STEPS(IS_KIND(PRIMARY)), "is no standby", false },
        { "prefer-standby passes a primary", "target_session_attrs=prefer-standby",
          STEPS(IS_KIND(PRIMARY)), STEPS(IS_KIND(STANDBY), ANSWERS), NULL, false },
        { "prefer-standby takes the first when there is none",
          "target_session_attrs=prefer-standby", STEPS(IS_KIND(PRIMARY), IS_KIND(PRIMARY), ANSWERS),
          STEPS(IS_KIND(PRIMARY)), NULL, false },
        { "an old server is asked whether it writes", "target_session_attrs=read-write",
          STEPS(IS_KIND(""), MOCK_EXPECT("Q"), MOCK_SEND(SAID_FALSE), MOCK_EXPECT("Q"),
                MOCK_SEND(SAID_ON)),
          STEPS(IS_KIND(PRIMARY), ANSWERS), NULL, false },
        { "an old server is asked whether it is a standby", "target_session_attrs=primary",
          STEPS(IS_KIND(""), MOCK_EXPECT("Q"), MOCK_SEND(SAID_TRUE)),
          STEPS(IS_KIND(""), MOCK_EXPECT("Q"), MOCK_SEND(SAID_FALSE), ANSWERS), NULL, false },
        { "an old server does not say", "target_session_attrs=primary",
          STEPS(IS_KIND(""), MOCK_EXPECT("Q"), MOCK_SEND("C\0\0\0\15SELECT 0\0" MOCK_READY)),
          STEPS(IS_KIND(PRIMARY), ANSWERS), NULL, false },
    };
    size_t wrong = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        wrong += !pair_goes_as_told(&rows[i]);
    assert_int_equal(wrong, 0);
}

/* --- how long ----------------------------------------------------------------------------------
 */

/* Longer than PG_CONNECT_TIMEOUT, which is not for who says how long. */
static void test_handshake_without_connect_timeout_takes_as_long_as_it_takes(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        MOCK_ACCEPT,         MOCK_PAUSE(600),    MOCK_SEND(MOCK_WELCOME), MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED), MOCK_EXPECT("BES"), MOCK_SEND(ANSWER)
    };
    mock_pg m;
    pg_pool *db;
    pg_rows rows;
    mock_pg_start(&m, &(mock_pg_options){ .steps = SCRIPT, .step_count = ARRAY_LEN(SCRIPT) });
    assert_int_equal(setenv("PG_CONNECT_TIMEOUT", "100ms", 1), 0);
    const str conninfo = str_from_c(conninfo_of(&m, "sslmode=disable connect_timeout=0"));
    const error opened =
        pg_pool_open(&(pg_pool_options){ .conninfo = conninfo, .acquire_timeout_ms = 20000 }, &db);
    assert_int_equal(unsetenv("PG_CONNECT_TIMEOUT"), 0);
    assert_ok(opened);
    const error e = pg_query(db, &rows, "select n");
    pg_pool_close(&db);
    const char *problem = mock_pg_stop(&m);
    if (problem)
        fail_msg("%s", problem);
    assert_ok(e);
}

/* --- cancel ----------------------------------------------------------------------------------- */

typedef struct cancel_row {
    const char *name;
    const char *more;
    const mock_pg_step *steps;
    size_t count;
    const char *alpn;
} cancel_row;

static error wait_for_row(void *arg)
{
    pg_rows rows;
    return pg_query((pg_pool *)arg, &rows, "select n");
}

static void assert_canceled(const cancel_row *row)
{
    mock_pg m;
    pg_pool *db;
    char certificate[128];
    (void)snprintf(certificate, sizeof certificate, "%s", tls_file_path("server"));
    mock_pg_start(&m, &(mock_pg_options){ .steps = row->steps,
                                          .step_count = row->count,
                                          .certificate = certificate,
                                          .alpn = row->alpn });
    assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = str_from_c(conninfo_of(&m, row->more)),
                                               .connections_max = 1,
                                               .acquire_timeout_ms = 20000 },
                           &db));
    const error e = scope_call(&(scope_options){ .deadline_ms = 300 }, wait_for_row, db);
    assert_fails(TIMED_OUT, e);
    /* The connection is given out again when the cancel is done. */
    const error again = scope_call(&(scope_options){ .deadline_ms = 20000 }, wait_for_row, db);
    pg_pool_close(&db);
    const char *problem = mock_pg_stop(&m);
    if (problem)
        fail_msg("%s: %s", row->name, problem);
    assert_ok(again);
}

#define HANGS     MOCK_EXPECT("PDS"), MOCK_SEND(PREPARED), MOCK_EXPECT("BES")
#define REQUESTED "\4\322\26\56\0\0\0\1"
#define SHORT_ONE MOCK_STARTUP_OF(REQUESTED "\0\0\0\2")
#define TLS_ASKED MOCK_STARTUP_OF("\4\322\26\57")
#define OTHER     MOCK_LEAVE, MOCK_ACCEPT_RAW
#define ENDS      MOCK_BACK, MOCK_SEND(CANCELED_), MOCK_EXPECT("BES"), MOCK_SEND(ANSWER)

static void test_handshake_cancel_goes_the_way_the_connection_went(void **state)
{
    (void)state;
    const cancel_row rows[] = {
        { "in clear", "sslmode=disable",
          STEPS(MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), HANGS, OTHER, SHORT_ONE, ENDS), NULL },
        { "over TLS", "sslmode=require",
          STEPS(WITH_TLS, MOCK_SEND(MOCK_WELCOME), HANGS, OTHER, TLS_ASKED, MOCK_SEND("S"),
                MOCK_TLS, SHORT_ONE, ENDS),
          NULL },
        { "over direct TLS", "sslmode=require sslnegotiation=direct",
          STEPS(MOCK_ACCEPT_RAW, MOCK_TLS, MOCK_STARTUP, MOCK_SEND(MOCK_WELCOME), HANGS, OTHER,
                MOCK_TLS, SHORT_ONE, ENDS),
          "postgresql" },
        { "with a key of 3.2", "sslmode=disable max_protocol_version=3.2",
          STEPS(MOCK_ACCEPT, MOCK_SEND(MOCK_AUTH_OK MOCK_UTF8 KEY_12 MOCK_READY), HANGS, OTHER,
                MOCK_STARTUP_OF(REQUESTED "abcdefghijkl"), ENDS),
          NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_canceled(&rows[i]);
}

/* A server that has TLS for the connection and none for the cancel is not told the key. */
static void test_handshake_cancel_is_not_sent_in_clear_instead(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = { WITH_TLS,  MOCK_SEND(MOCK_WELCOME), HANGS,       OTHER,
                                           TLS_ASKED, MOCK_SEND("N"),          MOCK_STARTUP };
    mock_pg m;
    pg_pool *db;
    char certificate[128];
    (void)snprintf(certificate, sizeof certificate, "%s", tls_file_path("server"));
    mock_pg_start(&m, &(mock_pg_options){ .steps = SCRIPT,
                                          .step_count = ARRAY_LEN(SCRIPT),
                                          .certificate = certificate });
    assert_ok(
        pg_pool_open(&(pg_pool_options){ .conninfo = str_from_c(conninfo_of(&m, "sslmode=require")),
                                         .connections_max = 1,
                                         .acquire_timeout_ms = 20000 },
                     &db));
    assert_fails(TIMED_OUT, scope_call(&(scope_options){ .deadline_ms = 300 }, wait_for_row, db));
    /* Until the script has ended, and with it the connection. */
    assert_true(scope_call(&(scope_options){ .deadline_ms = 20000 }, wait_for_row, db).kind !=
                NULL);
    pg_pool_close(&db);
    assert_string_equal(mock_pg_stop(&m), "the client left");
}

/* --- the group -------------------------------------------------------------------------------- */

static int make_files(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN); /* the mock's TLS writes to clients that have left */
    setenv("HOME", "/nonexistent", 1);
    return tls_files_make() ? 0 : -1;
}

static int remove_files(void **state)
{
    (void)state;
    tls_files_remove();
    return 0;
}

static int run_group(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake_request_for_tls_is_answered_by_one_byte),
        cmocka_unit_test(test_handshake_direct_tls_needs_the_protocols_name),
        cmocka_unit_test(test_handshake_scram_is_not_talked_down),
        cmocka_unit_test(test_handshake_versions_are_stepped_down_to),
        cmocka_unit_test(test_handshake_key_of_256_bytes_is_taken_and_no_longer_one),
        cmocka_unit_test(test_handshake_startup_message_says_who_and_which_version),
        cmocka_unit_test(test_handshake_hosts_are_passed_over_for_a_reason),
        cmocka_unit_test(test_handshake_hosts_of_the_wrong_kind_are_passed_over),
        cmocka_unit_test(test_handshake_without_connect_timeout_takes_as_long_as_it_takes),
        cmocka_unit_test(test_handshake_cancel_goes_the_way_the_connection_went),
        cmocka_unit_test(test_handshake_cancel_is_not_sent_in_clear_instead),
    };
    return cmocka_run_group_tests_name("handshake", tests, make_files, remove_files);
}

int main(void)
{
    return run_in_fiber(run_group);
}
