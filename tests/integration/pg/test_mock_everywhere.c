/* Everything that a server says in every kind of conversation, done wrong in every way: cut after
 * each byte, each message shorter by any number of bytes, longer, of an impossible length, left
 * out, said twice, before its time, and each of the protocol's messages put before each. The cases
 * are made of the conversations below, not written down.
 *
 * Whatever comes: who asked has an error or the right values, in time, and nothing stays taken. */
#include "core/log.h"
#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"

#include <unistd.h>

#define PARSED     "1\0\0\0\4"
#define NO_PARAMS  "t\0\0\0\6\0\0"
#define NO_DATA    "n\0\0\0\4"
#define ONE_COLUMN "T\0\0\0\32\0\1n\0\0\0\0\0\0\0\0\0\0\24\0\10\377\377\377\377\0\0"
#define BOUND      "2\0\0\0\4"
#define ROW        "D\0\0\0\22\0\1\0\0\0\10\0\0\0\0\0\0\0\7"
#define SELECTED   "C\0\0\0\15SELECT 1\0"
#define SUSPENDED  "s\0\0\0\4"
#define BEGUN      "C\0\0\0\12BEGIN\0"
#define COMMITTED  "C\0\0\0\13COMMIT\0"
#define LISTENS    "C\0\0\0\13LISTEN\0"
#define COPIED     "C\0\0\0\13COPY 1\0"
#define IN_TX      "Z\0\0\0\5T"
#define TAKES_DATA "G\0\0\0\11\0\0\1\0\0"
#define GIVES_DATA "H\0\0\0\13\1\0\2\0\1\0\1"
#define DATA_DONE  "c\0\0\0\4"
#define TOLD       "A\0\0\0\15\0\0\0\7x\0hi\0"
#define PREPARED   PARSED NO_PARAMS ONE_COLUMN
#define ANSWER     BOUND ROW ROW SELECTED
#define POINT      "\0\1\0\0\0\10\0\0\0\0\0\0\0\7"
#define POINTS                                     \
    "d\0\0\0\27PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0" \
    "d\0\0\0\22" POINT "d\0\0\0\22" POINT "d\0\0\0\6\377\377"

#define START MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME), MOCK_EXPECT("PDS")
#define TX_BEGUN                                                               \
    START, MOCK_SEND(PARSED NO_PARAMS NO_DATA MOCK_READY), MOCK_EXPECT("BES"), \
        MOCK_SEND(BOUND BEGUN IN_TX)
#define TX_COMMITTED                                                                   \
    MOCK_EXPECT("PDS"), MOCK_SEND(PARSED NO_PARAMS NO_DATA IN_TX), MOCK_EXPECT("BES"), \
        MOCK_SEND(BOUND COMMITTED MOCK_READY), MOCK_CLOSE

/* --- what is asked: the server has nothing but sevens ------------------------------------------
 */

static const error_kind WRONG = { ERROR_INTERNAL, "WRONG", "a value that nobody sent" };

static error check(const pg_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        int64_t n = 0;
        TRY(pg_get(rows, i, 0, &n));
        if (n != 7)
            return error_set(&WRONG, "%lld", (long long)n);
    }
    return OK;
}

static error query(void *arg)
{
    pg_rows rows;
    TRY(pg_query((pg_pool *)arg, &rows, "select 7"));
    return check(&rows);
}

static error run_batch(pg_pool *db, error (*fn)(pg_target on, pg_batch *batch))
{
    pg_rows rows[2];
    pg_batch *b = pg_batch_new();
    for (int i = 0; i < 2; i++)
        pg_batch_query(b, &rows[i], "select 7");
    const error e = fn(PG_TARGET(db), b);
    for (size_t i = 0; i < 2; i++) {
        const error own = pg_batch_error(b, i);
        if (!own.kind && (fn == pg_pipeline_run_on || !e.kind))
            TRY(check(&rows[i]));
        if (own.kind && !e.kind)
            return error_set(&WRONG, "one failed and the batch did not");
    }
    return e;
}

static error batch(void *arg)
{
    return run_batch(arg, pg_batch_run_on);
}

static error pipeline(void *arg)
{
    return run_batch(arg, pg_pipeline_run_on);
}

static error transaction(void *arg)
{
    pg_tx *tx;
    pg_rows rows;
    TRY(pg_begin((pg_pool *)arg, &tx));
    TRY(pg_query(tx, &rows, "select 7"));
    TRY(check(&rows));
    return pg_commit(&tx);
}

static error cursor(void *arg)
{
    pg_cursor *c;
    pg_rows rows;
    TRY(pg_cursor_open((pg_pool *)arg, &c, "select 7"));
    do {
        TRY(pg_cursor_next(c, &rows));
        TRY(check(&rows));
    } while (rows.count > 0);
    return pg_cursor_close(&c);
}

static error stream_rows(void *arg)
{
    pg_stream *s;
    pg_rows rows;
    TRY(pg_stream_open((pg_pool *)arg, &s, "select 7"));
    do {
        TRY(pg_stream_next(s, &rows));
        TRY(check(&rows));
    } while (rows.count > 0);
    return pg_stream_close(&s);
}

static error copy_in(void *arg)
{
    pg_copy *c;
    TRY(pg_copy_in((pg_pool *)arg, &c, "copy t from stdin"));
    TRY(pg_copy_write(c, STR("7\n")));
    return pg_copy_finish(&c, NULL);
}

#define POINT_FIELDS(F) F(x, int8)
SHAPE(point, POINT_FIELDS)

static error copy_out(void *arg)
{
    pg_copy *c;
    point p;
    TRY(pg_copy_out((pg_pool *)arg, &c, "copy t to stdout (format binary)"));
    for (bool more;;) {
        TRY(pg_copy_next(c, point, &p, &more));
        if (!more)
            return pg_copy_finish(&c, NULL);
        if (p.x != 7)
            return error_set(&WRONG, "%lld", (long long)p.x);
    }
}

static error listen_once(void *arg)
{
    pg_listener *l;
    pg_notification n;
    TRY(pg_listen((pg_pool *)arg, STR("x"), &l));
    TRY(pg_listener_next(l, &n));
    if (!n.gap && (!str_eq(n.payload, STR("hi")) || !str_eq(n.channel, STR("x"))))
        return error_set(&WRONG, "%.*s", STR_ARG(n.payload));
    pg_unlisten(&l);
    return OK;
}

static error script(void *arg)
{
    pg_tx *tx;
    TRY(pg_begin((pg_pool *)arg, &tx));
    TRY(pg_script(tx, STR("select 7; select 7")));
    return pg_commit(&tx);
}

/* --- conversations ---------------------------------------------------------------------------- */

static const mock_pg_step QUERY[] = { START, MOCK_SEND(PREPARED MOCK_READY), MOCK_EXPECT("BES"),
                                      MOCK_SEND(ANSWER MOCK_READY), MOCK_CLOSE };
static const mock_pg_step BATCH[] = { START, MOCK_SEND(PREPARED MOCK_READY), MOCK_EXPECT("BEBES"),
                                      MOCK_SEND(ANSWER ANSWER MOCK_READY), MOCK_CLOSE };
static const mock_pg_step PIPELINE[] = { START, MOCK_SEND(PREPARED MOCK_READY),
                                         MOCK_EXPECT("BESBES"),
                                         MOCK_SEND(ANSWER MOCK_READY ANSWER MOCK_READY),
                                         MOCK_CLOSE };
static const mock_pg_step TRANSACTION[] = {
    START,
    MOCK_SEND(PARSED NO_PARAMS NO_DATA MOCK_READY),
    MOCK_EXPECT("PDS"),
    MOCK_SEND(PREPARED MOCK_READY),
    MOCK_EXPECT("BEBES"),
    MOCK_SEND(BOUND BEGUN ANSWER IN_TX),
    TX_COMMITTED,
};
static const mock_pg_step CURSOR[] = {
    TX_BEGUN,
    MOCK_EXPECT("PDS"),
    MOCK_SEND(PREPARED IN_TX),
    MOCK_EXPECT("BES"),
    MOCK_SEND(BOUND ROW SUSPENDED IN_TX),
    MOCK_EXPECT("ES"),
    MOCK_SEND(ROW SELECTED IN_TX),
    TX_COMMITTED,
};
static const mock_pg_step COPY_IN[] = {
    TX_BEGUN,          MOCK_EXPECT("Q"),        MOCK_SEND(TAKES_DATA),
    MOCK_EXPECT("dc"), MOCK_SEND(COPIED IN_TX), TX_COMMITTED,
};
static const mock_pg_step COPY_OUT[] = {
    TX_BEGUN,
    MOCK_EXPECT("Q"),
    MOCK_SEND(GIVES_DATA POINTS DATA_DONE COPIED IN_TX),
    TX_COMMITTED,
};
static const mock_pg_step SCRIPT[] = {
    TX_BEGUN,
    MOCK_EXPECT("Q"),
    MOCK_SEND(ONE_COLUMN ROW SELECTED ONE_COLUMN ROW SELECTED IN_TX),
    TX_COMMITTED,
};
/* What is told comes with the answer: the listener hears it when it looks. */
static const mock_pg_step LISTEN[] = {
    START,
    MOCK_SEND(PARSED NO_PARAMS NO_DATA MOCK_READY),
    MOCK_EXPECT("BES"),
    MOCK_SEND(BOUND LISTENS MOCK_READY TOLD),
    MOCK_STALL,
};

typedef struct conversation {
    const char *name;
    const mock_pg_step *steps;
    size_t step_count;
    error (*fn)(void *arg);
    bool endless; /* who asks comes again and again: a deadline ends it */
} conversation;

#define TALK(name_, steps_, fn_)                                                         \
    {                                                                                    \
        .name = (name_), .steps = (steps_), .step_count = ARRAY_LEN(steps_), .fn = (fn_) \
    }
static const conversation CONVERSATIONS[] = {
    TALK("a query", QUERY, query),
    TALK("a batch", BATCH, batch),
    TALK("a pipeline", PIPELINE, pipeline),
    TALK("a transaction", TRANSACTION, transaction),
    TALK("a cursor", CURSOR, cursor),
    TALK("a stream", QUERY, stream_rows),
    TALK("COPY in", COPY_IN, copy_in),
    TALK("COPY out", COPY_OUT, copy_out),
    TALK("a script", SCRIPT, script),
    { "a listener", LISTEN, ARRAY_LEN(LISTEN), listen_once, true },
};

/* One of each that a server may send, and some that none does. */
static const str ALPHABET[] = {
    STR(MOCK_AUTH_OK),
    STR("R\0\0\0\27\0\0\0\12SCRAM-SHA-256\0\0"),
    STR("R\0\0\0\14\0\0\0\5salt"),
    STR(MOCK_KEY),
    STR(MOCK_UTF8),
    STR("S\0\0\0\30client_encoding\0SQL\0"),
    STR("v\0\0\0\14\0\0\0\0\0\0\0\0"),
    STR(MOCK_READY),
    STR(IN_TX),
    STR("Z\0\0\0\5E"),
    STR(PARSED),
    STR(BOUND),
    STR("3\0\0\0\4"),
    STR(NO_PARAMS),
    STR("t\0\0\0\12\0\1\0\0\0\24"),
    STR(NO_DATA),
    STR(ONE_COLUMN),
    STR(ROW),
    STR("D\0\0\0\6\0\0"),
    STR(SELECTED),
    STR(COMMITTED),
    STR("C\0\0\0\15ROLLBACK\0"),
    STR(SUSPENDED),
    STR("I\0\0\0\4"),
    STR("E\0\0\0\44SERROR\0VERROR\0C23505\0Mdup\0nkey\0\0"),
    STR("E\0\0\0\37SFATAL\0VFATAL\0C57P01\0Mbye\0\0"),
    STR("N\0\0\0\44SNOTICE\0VNOTICE\0C00000\0Mwell\0\0\0\0"),
    STR("A\0\0\0\14\0\0\0\7y\0z\0"),
    STR(TAKES_DATA),
    STR(GIVES_DATA),
    STR("W\0\0\0\7\0\0\0"),
    STR("d\0\0\0\6ab"),
    STR(DATA_DONE),
    STR("V\0\0\0\10\377\377\377\377"),
    STR("?\0\0\0\4"),
    STR("\0\0\0\0\4"),
};

/* --- playing ---------------------------------------------------------------------------------- */

static uint32_t played, answered;
static char what[128]; /* is done now, for who reads a failure */

typedef enum expectation {
    ANY_END,   /* the right values, or an error */
    ANY_VALUE, /* the values of COPY's data, of which one message is not told from the next */
    AN_ANSWER, /* the right values */
    AN_ERROR,
} expectation;

static void play(const conversation *talk, const mock_pg_options *options, expectation expected)
{
    static mock_pg m;
    pg_pool *db;
    const bool untouched = expected == AN_ANSWER;
    mock_pg_start(&m, options);
    assert_ok(pg_pool_open(
        &(pg_pool_options){ .conninfo = str_from_c(m.conninfo), .connections_max = 1 }, &db));
    const scope_options until = { .deadline_ms = talk->endless && !untouched ? 10 : 20000 };
    const error e = scope_call(&until, talk->fn, db);
    const pg_pool_stats stats = pg_pool_stats_of(db);
    const bool late = error_is(e, &TIMED_OUT), taken = stats.leased > 0 || stats.waiting > 0;
    const bool wrong = error_is(e, &WRONG) && expected != ANY_VALUE;
    if (wrong || (!talk->endless && (late || taken)) || (expected == AN_ANSWER && e.kind) ||
        (expected == AN_ERROR && !e.kind))
        fail_msg("%s, %s: %s, %u leased, %u waiting", talk->name, what,
                 e.kind ? e.kind->name : "OK", stats.leased, stats.waiting);
    pg_pool_close(&db);
    (void)mock_pg_stop(&m);
    played++;
    answered += !e.kind;
}

/* --- messages --------------------------------------------------------------------------------- */

#define STEPS_MAX    32
#define MESSAGES_MAX 64

/* Where the conversation's messages are: those of the server. */
typedef struct place {
    size_t step;
    str bytes;
} place;

static size_t frame_len(const char *at)
{
    const unsigned char *u = (const unsigned char *)at;
    return 1 + ((size_t)u[1] << 24 | (size_t)u[2] << 16 | (size_t)u[3] << 8 | u[4]);
}

static size_t find_messages(const conversation *talk, place places[MESSAGES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < talk->step_count; i++) {
        const str bytes = talk->steps[i].bytes;
        if (talk->steps[i].action != MOCK_DO_SEND)
            continue;
        for (size_t at = 0, len; at < bytes.len; at += len) {
            len = frame_len(bytes.ptr + at);
            assert_true(at + len <= bytes.len && count < MESSAGES_MAX);
            places[count++] = (place){ i, { bytes.ptr + at, len } };
        }
    }
    return count;
}

/* The conversation with `instead` for the message there. */
static void play_with(const conversation *talk, const place *p, str instead, expectation expected)
{
    static char said[1024];
    mock_pg_step steps[STEPS_MAX];
    const str all = talk->steps[p->step].bytes;
    const size_t before = (size_t)(p->bytes.ptr - all.ptr), after = before + p->bytes.len;
    assert_true(talk->step_count <= STEPS_MAX && all.len + instead.len < sizeof said);
    memcpy(steps, talk->steps, talk->step_count * sizeof *steps);
    memcpy(said, all.ptr, before);
    memcpy(said + before, instead.ptr, instead.len);
    memcpy(said + before + instead.len, all.ptr + after, all.len - after);
    steps[p->step].bytes = (str){ said, all.len - p->bytes.len + instead.len };
    if (expected == ANY_END &&
        (p->bytes.ptr[0] == 'd' || (instead.len > 0 && instead.ptr[0] == 'd')))
        expected = ANY_VALUE;
    play(talk,
         &(mock_pg_options){ .steps = steps, .step_count = talk->step_count, .patience_ms = 25 },
         expected);
}

static void put_length(char *message, uint32_t len)
{
    for (int i = 0; i < 4; i++)
        message[1 + i] = (char)(len >> (24 - 8 * i));
}

static void for_each_message(void (*fn)(const conversation *talk, const place *p,
                                        const place *next))
{
    for (size_t i = 0; i < ARRAY_LEN(CONVERSATIONS); i++) {
        place places[MESSAGES_MAX];
        const size_t count = find_messages(&CONVERSATIONS[i], places);
        for (size_t j = 0; j < count; j++) {
            const bool has_next = j + 1 < count && places[j + 1].step == places[j].step;
            fn(&CONVERSATIONS[i], &places[j], has_next ? &places[j + 1] : NULL);
        }
    }
}

static void name_case(const char *how, const place *p, size_t n)
{
    (void)snprintf(what, sizeof what, "%s, %c in step %zu, %zu", how, p->bytes.ptr[0], p->step, n);
}

/* --- cases ------------------------------------------------------------------------------------ */

static void test_mock_conversations_as_they_are_are_answered(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CONVERSATIONS); i++) {
        const conversation *talk = &CONVERSATIONS[i];
        const mock_pg_options options = { .steps = talk->steps, .step_count = talk->step_count };
        (void)snprintf(what, sizeof what, "as it is");
        play(talk, &options, AN_ANSWER);
        mock_pg_options slow = options;
        slow.slowly = true;
        (void)snprintf(what, sizeof what, "a byte at a time");
        play(talk, &slow, AN_ANSWER);
        mock_pg_options noisy = options;
        noisy.noisy = true;
        (void)snprintf(what, sizeof what, "with notices everywhere");
        play(talk, &noisy, AN_ANSWER);
    }
}

/* The last message of some is of no use to who asked. */
static void test_mock_conversations_cut_after_any_byte_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CONVERSATIONS); i++) {
        const conversation *talk = &CONVERSATIONS[i];
        place places[MESSAGES_MAX];
        const size_t count = find_messages(talk, places);
        size_t bytes = 0;
        for (size_t j = 0; j < count; j++)
            bytes += places[j].bytes.len;
        for (size_t cut = 1; cut < bytes; cut++) {
            (void)snprintf(what, sizeof what, "cut after %zu of %zu", cut, bytes);
            play(talk,
                 &(mock_pg_options){
                     .steps = talk->steps, .step_count = talk->step_count, .cut_after = cut },
                 talk->endless ? ANY_END : AN_ERROR);
        }
    }
}

/* The frame says so: what follows is where it should be. */
static void shorten(const conversation *talk, const place *p, const place *next)
{
    char message[256];
    (void)next;
    memcpy(message, p->bytes.ptr, p->bytes.len);
    for (size_t len = 5; len < p->bytes.len; len++) {
        name_case("shortened", p, len);
        put_length(message, (uint32_t)(len - 1));
        play_with(talk, p, (str){ message, len }, ANY_END);
    }
}

static void test_mock_messages_too_short_are_an_answer_or_an_error(void **state)
{
    (void)state;
    for_each_message(shorten);
}

static void lengthen(const conversation *talk, const place *p, const place *next)
{
    char message[256] = { 0 };
    (void)next;
    memcpy(message, p->bytes.ptr, p->bytes.len);
    for (size_t more = 1; more <= 4; more++) {
        name_case("lengthened", p, more);
        put_length(message, (uint32_t)(p->bytes.len - 1 + more));
        play_with(talk, p, (str){ message, p->bytes.len + more }, ANY_END);
    }
}

/* The body is as it was: what follows is taken for more of it, or its end for the next. */
static void lie_about_length(const conversation *talk, const place *p, const place *next)
{
    static const uint32_t lengths[] = { 0,         3,         0x7fffffff, 0xffffffff,
                                        67108868U, 67108869U, 0x80000000 };
    char message[256];
    (void)next;
    memcpy(message, p->bytes.ptr, p->bytes.len);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        name_case("of a false length", p, lengths[i]);
        put_length(message, lengths[i]);
        play_with(talk, p, (str){ message, p->bytes.len }, talk->endless ? ANY_END : AN_ERROR);
    }
    for (uint32_t off = 1; off <= 2; off++) {
        name_case("of a length that is off", p, off);
        put_length(message, (uint32_t)p->bytes.len - 1 + off);
        play_with(talk, p, (str){ message, p->bytes.len }, ANY_END);
    }
}

static void test_mock_messages_too_long_are_an_answer_or_an_error(void **state)
{
    (void)state;
    for_each_message(lengthen);
    for_each_message(lie_about_length);
}

static void displace(const conversation *talk, const place *p, const place *next)
{
    char both[512];
    name_case("left out", p, 0);
    play_with(talk, p, STR(""), ANY_END);
    name_case("said twice", p, 0);
    memcpy(both, p->bytes.ptr, p->bytes.len);
    memcpy(both + p->bytes.len, p->bytes.ptr, p->bytes.len);
    play_with(talk, p, (str){ both, 2 * p->bytes.len }, ANY_END);
    if (!next)
        return;
    name_case("after its next", p, 0);
    memcpy(both, next->bytes.ptr, next->bytes.len);
    memcpy(both + next->bytes.len, p->bytes.ptr, p->bytes.len);
    const place pair = { p->step, { p->bytes.ptr, p->bytes.len + next->bytes.len } };
    play_with(talk, &pair, (str){ both, pair.bytes.len }, ANY_END);
}

static void test_mock_messages_out_of_order_are_an_answer_or_an_error(void **state)
{
    (void)state;
    for_each_message(displace);
}

static void put_each_before(const conversation *talk, const place *p, const place *next)
{
    char both[512];
    (void)next;
    for (size_t i = 0; i < ARRAY_LEN(ALPHABET); i++) {
        name_case("another before", p, i);
        memcpy(both, ALPHABET[i].ptr, ALPHABET[i].len);
        memcpy(both + ALPHABET[i].len, p->bytes.ptr, p->bytes.len);
        play_with(talk, p, (str){ both, ALPHABET[i].len + p->bytes.len }, ANY_END);
    }
}

static void test_mock_messages_put_before_each_are_an_answer_or_an_error(void **state)
{
    (void)state;
    for_each_message(put_each_before);
    print_message("%u conversations, %u of them answered\n", played, answered);
    assert_true(answered > played / 50 && answered < played / 2);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mock_conversations_as_they_are_are_answered),
        cmocka_unit_test(test_mock_conversations_cut_after_any_byte_end),
        cmocka_unit_test(test_mock_messages_too_short_are_an_answer_or_an_error),
        cmocka_unit_test(test_mock_messages_too_long_are_an_answer_or_an_error),
        cmocka_unit_test(test_mock_messages_out_of_order_are_an_answer_or_an_error),
        cmocka_unit_test(test_mock_messages_put_before_each_are_an_answer_or_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    if (log_open(STDERR_FILENO, LOG_OFF, LOG_AUTO).kind) /* thousands of connections are lost */
        return 1;
    return run_in_fiber(run);
}
