/* What statements are on the wire in each mode, how what is known of them goes out of date, and
 * servers that lie about it. */
#include "core/scope.h"
#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"
#include "tests/support/random.h"

#define PARSED     "1\0\0\0\4"
#define BOUND      "2\0\0\0\4"
#define CLOSED     "3\0\0\0\4"
#define NO_PARAMS  "t\0\0\0\6\0\0"
#define NO_DATA    "n\0\0\0\4"
#define COLUMN     "n\0\0\0\0\0\0\0\0\0\0\24\0\10\377\377\377\377\0" /* n int8, in format … */
#define WAS_TEXT   "n\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0\0" /* n text */
#define TO_COME    "T\0\0\0\32\0\1" COLUMN "\0"                           /* of a statement */
#define COMES      "T\0\0\0\32\0\1" COLUMN "\1" /* of a portal, in binary */
#define COMES_TEXT "T\0\0\0\32\0\1" COLUMN "\0"
#define ROW(n)     "D\0\0\0\22\0\1\0\0\0\10\0\0\0\0\0\0\0" n
#define ROW_TEXT   "D\0\0\0\13\0\1\0\0\0\0017"
#define DONE       "C\0\0\0\15SELECT 1\0"
#define READY      MOCK_READY
#define TX_READY   "Z\0\0\0\5T"
#define BROKEN     "Z\0\0\0\5E"
#define PREPARED   PARSED NO_PARAMS TO_COME READY
#define ANSWER(n) \
    BOUND ROW(n)  \
    DONE READY
#define AT_ONCE(n)            \
    PARSED BOUND COMES ROW(n) \
    DONE READY /* without a name */
#define BEGAN    BOUND "C\0\0\0\12BEGIN\0"
#define ROLLED   BOUND "C\0\0\0\15ROLLBACK\0" READY
#define INSERTED BOUND "C\0\0\0\17INSERT 0 1\0" READY

#define CHANGED "E\0\0\0\70SERROR\0VERROR\0C0A000\0Mstale\0RRevalidateCachedQuery\0\0"
#define UNKNOWN "E\0\0\0\40SERROR\0VERROR\0C26000\0Mgone\0\0"
#define TAKEN   "E\0\0\0\40SERROR\0VERROR\0C42P05\0Mgone\0\0"
#define SYNTAX  "E\0\0\0\40SERROR\0VERROR\0C42601\0Mgone\0\0"
#define FORMATS "E\0\0\0\70SERROR\0VERROR\0C08P01\0Mcount\0RPortalSetResultFormat\0\0"
#define PATH(p) "S\0\0\0\22search_path\0" p "\0"

#define CONNECTED MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME)

static mock_pg m;

static pg_pool *play(const mock_pg_step *steps, size_t count, pg_statements statements)
{
    pg_pool *db;
    mock_pg_start(&m, &(mock_pg_options){ .steps = steps, .step_count = count });
    assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = str_from_c(m.conninfo),
                                               .connections_max = 1,
                                               .statements = statements },
                           &db));
    return db;
}

#define PLAY(script, statements) play(script, ARRAY_LEN(script), statements)

static void stop(pg_pool *db)
{
    pg_pool_close(&db);
    const char *problem = mock_pg_stop(&m);
    assert_string_equal(problem ? problem : "", "");
}

static error ask_on(pg_target on, const char *sql, int64_t *n)
{
    pg_rows rows;
    *n = -1;
    TRY(pg_query(on, &rows, sql));
    if (rows.count != 1 || rows.column_count != 1)
        return error_set(&PG_FAILED, "%zu rows of %u columns", rows.count, rows.column_count);
    return pg_get(&rows, 0, 0, n);
}

static void assert_answer(pg_pool *db, const char *sql, int64_t expected)
{
    int64_t n;
    assert_ok(ask_on(PG_TARGET(db), sql, &n));
    assert_int_equal(n, expected);
}

static uint64_t count_of(const char *name)
{
    for (uint32_t i = 0; i < PG_METRICS.count; i++) {
        if (strcmp(PG_METRICS.items[i].name, name) == 0)
            return metrics_total(&PG_METRICS, i);
    }
    fail_msg("no metric %s", name);
    return 0;
}

/* --- on the wire ------------------------------------------------------------------------------ */

static void test_unnamed_is_described_once_and_parsed_with_its_parameters(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        CONNECTED,
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("PBDES"),
        MOCK_SEND(AT_ONCE("\7")),
        MOCK_EXPECT("PBDES"),
        MOCK_SEND(AT_ONCE("\10")),
    };
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_UNNAMED);
    assert_answer(db, "select n", 7);
    assert_answer(db, "select n", 8);
    stop(db);
}

static void test_unnamed_description_is_known_on_all_connections(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        CONNECTED,  MOCK_EXPECT("PDS"), MOCK_SEND(PREPARED),  MOCK_EXPECT("PBDES"),
        MOCK_CLOSE, CONNECTED,          MOCK_EXPECT("PBDES"), MOCK_SEND(AT_ONCE("\7")),
    };
    int64_t n;
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_UNNAMED);
    assert_fails(PG_CONNECTION_LOST, ask_on(PG_TARGET(db), "select n", &n));
    assert_answer(db, "select n", 7);
    stop(db);
}

static void test_off_is_described_each_time(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        CONNECTED,
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("PBDES"),
        MOCK_SEND(AT_ONCE("\7")),
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("PBDES"),
        MOCK_SEND(AT_ONCE("\10")),
    };
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_OFF);
    assert_answer(db, "select n", 7);
    assert_answer(db, "select n", 8);
    stop(db);
}

static void test_unnamed_without_rows_is_never_described(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        CONNECTED,
        MOCK_EXPECT("PBES"),
        MOCK_SEND(PARSED INSERTED),
        MOCK_EXPECT("PBES"), /* … returning: of no interest */
        MOCK_SEND(PARSED BOUND ROW("\1") "C\0\0\0\17INSERT 0 2\0" READY),
    };
    for (int i = 0; i < 2; i++) {
        uint64_t affected;
        pg_pool *db = PLAY(SCRIPT, i == 0 ? PG_STATEMENTS_UNNAMED : PG_STATEMENTS_OFF);
        assert_ok(pg_execute(db, &affected, "insert"));
        assert_int_equal(affected, 1);
        assert_ok(pg_execute(db, &affected, "insert returning n"));
        assert_int_equal(affected, 2);
        stop(db);
    }
}

static void test_unnamed_transaction_begins_with_its_first_statement(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        CONNECTED,
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("PBEPBDES"),
        MOCK_SEND(PARSED BEGAN PARSED BOUND COMES ROW("\7") DONE TX_READY),
        MOCK_EXPECT("PBES"),
        MOCK_SEND(PARSED BOUND "C\0\0\0\13COMMIT\0" READY),
    };
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_UNNAMED);
    pg_tx *tx;
    int64_t n;
    assert_ok(pg_begin(db, &tx));
    assert_ok(ask_on(PG_TARGET(tx), "select n", &n));
    assert_int_equal(n, 7);
    assert_ok(pg_commit(&tx));
    stop(db);
}

/* Each batch on a read-only connection says so itself: the session is not ours. */
static void test_unnamed_reads_say_that_they_only_read(void **state)
{
    (void)state;
#define SAID PARSED BOUND "D\0\0\0\14\0\1\0\0\0\2on" DONE
    static const mock_pg_step SCRIPT[] = {
        CONNECTED,
        MOCK_LEAVE,
        CONNECTED,
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("PBEPBDES"),
        MOCK_SEND(SAID AT_ONCE("\7")),
        MOCK_EXPECT("PBEPBDEPBDES"),
        MOCK_SEND(SAID PARSED BOUND COMES ROW("\7") DONE AT_ONCE("\10")),
        MOCK_EXPECT("PBEPBDESPBEPBDES"),
        MOCK_SEND(SAID AT_ONCE("\7") SAID AT_ONCE("\10")),
    };
    int64_t n;
    pg_rows first, second;
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_UNNAMED);
    assert_ok(ask_on(pg_read_only(db), "select n", &n));
    assert_int_equal(n, 7);
    pg_batch *b = pg_batch_new();
    pg_batch_query(b, &first, "select n");
    pg_batch_query(b, &second, "select n");
    assert_ok(pg_batch_run(pg_read_only(db), b));
    assert_int_equal(second.count, 1);
    assert_ok(pg_pipeline_run(pg_read_only(db), b));
    assert_ok(pg_get(&second, 0, 0, &n));
    assert_int_equal(n, 8);
    stop(db);
}

/* So does one of a named pool, once a pooler has refused to begin sessions so. */
static void test_named_reads_say_that_they_only_read_where_the_session_cannot(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        CONNECTED,
        MOCK_LEAVE,
        MOCK_ACCEPT,
        MOCK_SEND("E\0\0\0\106SFATAL\0VFATAL\0C08P01\0Munsupported: "
                  "default_transaction_read_only\0\0"),
        MOCK_CLOSE,
        CONNECTED,
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("PBEBES"),
        MOCK_SEND(SAID ANSWER("\7")),
        MOCK_EXPECT("PBEBEBES"),
        MOCK_SEND(SAID BOUND ROW("\7") DONE ANSWER("\10")),
        MOCK_EXPECT("PBEBESPBEBES"),
        MOCK_SEND(SAID ANSWER("\7") SAID ANSWER("\10")),
    };
    int64_t n;
    pg_rows first, second;
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_NAMED);
    assert_ok(ask_on(pg_read_only(db), "select n", &n));
    assert_int_equal(n, 7);
    pg_batch *b = pg_batch_new();
    pg_batch_query(b, &first, "select n");
    pg_batch_query(b, &second, "select n");
    assert_ok(pg_batch_run(pg_read_only(db), b));
    assert_int_equal(second.count, 1);
    assert_ok(pg_pipeline_run(pg_read_only(db), b));
    assert_ok(pg_get(&second, 0, 0, &n));
    assert_int_equal(n, 8);
    stop(db);
}

static void test_unnamed_fibers_do_not_meet_in_the_statement_without_a_name(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        CONNECTED,
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("PBDESPBDESPBDES"), /* whole groups, one behind the other */
        MOCK_SEND(AT_ONCE("\1") AT_ONCE("\2") AT_ONCE("\3")),
    };
    pg_rows rows[3];
    pg_batch *b = pg_batch_new();
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_UNNAMED);
    for (int i = 0; i < 3; i++)
        pg_batch_query(b, &rows[i], "select n");
    assert_ok(pg_pipeline_run(db, b));
    for (int i = 0; i < 3; i++) {
        int64_t n;
        assert_ok(pg_get(&rows[i], 0, 0, &n));
        assert_int_equal(n, i + 1);
    }
    stop(db);
}

/* --- out of date ------------------------------------------------------------------------------ */

#define NAMED_7 \
    CONNECTED, MOCK_EXPECT("PDS"), MOCK_SEND(PREPARED), MOCK_EXPECT("BES"), MOCK_SEND(ANSWER("\7"))

static void test_named_that_the_server_forgot_forgets_the_session(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        NAMED_7,
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("BES"),
        MOCK_SEND(ANSWER("\10")),
        MOCK_EXPECT("BES"), /* the first one, of which the server knows nothing */
        MOCK_SEND(UNKNOWN READY),
        MOCK_EXPECT("CCPDS"),
        MOCK_SEND(CLOSED CLOSED PREPARED),
        MOCK_EXPECT("BES"),
        MOCK_SEND(ANSWER("\11")),
        MOCK_EXPECT("PDS"), /* nor does it of the second */
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("BES"),
        MOCK_SEND(ANSWER("\12")),
    };
    const uint64_t requeues = count_of("pg_requeues_total");
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_NAMED);
    assert_answer(db, "select n", 7);
    assert_answer(db, "select m", 8);
    assert_int_equal(count_of("pg_requeues_total"), requeues);
    assert_answer(db, "select n", 9);
    assert_int_equal(count_of("pg_requeues_total"), requeues + 1);
    assert_answer(db, "select m", 10);
    stop(db);
}

static void test_named_that_is_gone_again_tells_what_to_set(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        NAMED_7,
        MOCK_EXPECT("BES"),
        MOCK_SEND(UNKNOWN READY),
        MOCK_EXPECT("CPDS"),
        MOCK_SEND(CLOSED PREPARED),
        MOCK_EXPECT("BES"),
        MOCK_SEND(UNKNOWN READY),
    };
    int64_t n;
    char text[512];
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_NAMED);
    assert_answer(db, "select n", 7);
    const error e = ask_on(PG_TARGET(db), "select n", &n);
    assert_ptr_equal(e.kind, &PG_STATEMENT_STALE);
    error_describe(e, text, sizeof text);
    assert_non_null(strstr(text, "PG_STATEMENTS=unnamed"));
    assert_string_equal(error_detail_of(e)->sqlstate, "26000");
    assert_str_equal(pg_error_report(e)->message, STR("gone"));
    stop(db);
}

static void test_named_whose_name_is_taken_closes_it_first(void **state)
{
    (void)state;
    static const mock_pg_step ONCE[] = {
        CONNECTED,
        MOCK_EXPECT("PDS"),
        MOCK_SEND(TAKEN READY),
        MOCK_EXPECT("CPDS"),
        MOCK_SEND(CLOSED PREPARED),
        MOCK_EXPECT("BES"),
        MOCK_SEND(ANSWER("\7")),
    };
    const uint64_t duplicates = count_of("pg_duplicates_total");
    pg_pool *db = PLAY(ONCE, PG_STATEMENTS_NAMED);
    assert_answer(db, "select n", 7);
    assert_int_equal(count_of("pg_duplicates_total"), duplicates + 1);
    stop(db);
    static const mock_pg_step AGAIN[] = {
        CONNECTED,
        MOCK_EXPECT("PDS"),
        MOCK_SEND(TAKEN READY),
        MOCK_EXPECT("CPDS"),
        MOCK_SEND(CLOSED TAKEN READY),
    };
    int64_t n;
    db = PLAY(AGAIN, PG_STATEMENTS_NAMED);
    assert_fails(PG_STATEMENT_STALE, ask_on(PG_TARGET(db), "select n", &n));
    stop(db);
}

static void test_named_that_fails_otherwise_is_not_tried_again(void **state)
{
    (void)state;
    /* 0A000 of another origin is the statement's own. */
#define UNSUPPORTED "E\0\0\0\40SERROR\0VERROR\0C0A000\0Mnope\0\0"
    static const mock_pg_step SCRIPT[] = {
        NAMED_7,
        MOCK_EXPECT("BES"),
        MOCK_SEND(UNSUPPORTED READY),
        MOCK_EXPECT("PDS"),
        MOCK_SEND(SYNTAX READY),
        MOCK_EXPECT("CBES"), /* a pooler may have kept its name */
        MOCK_SEND(CLOSED ANSWER("\10")),
        MOCK_EXPECT("BES"),
        MOCK_SEND(ANSWER("\11")),
    };
    int64_t n;
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_NAMED);
    assert_answer(db, "select n", 7);
    assert_fails(PG_FAILED, ask_on(PG_TARGET(db), "select n", &n));
    assert_fails(PG_SYNTAX, ask_on(PG_TARGET(db), "selekt", &n));
    assert_answer(db, "select n", 8);
    assert_answer(db, "select n", 9);
    stop(db);
}

/* As a pooler does that keeps one statement for all who prepare the same text. */
static void test_named_that_is_out_of_date_when_it_is_prepared_is_prepared_again(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        NAMED_7,
        MOCK_EXPECT("BES"),
        MOCK_SEND(CHANGED READY),
        MOCK_EXPECT("CPDS"),
        MOCK_SEND(CLOSED PARSED CHANGED READY),
        MOCK_EXPECT("CPDS"), /* its name is in use */
        MOCK_SEND(CLOSED PREPARED),
        MOCK_EXPECT("BES"),
        MOCK_SEND(ANSWER("\10")),
    };
    static const mock_pg_step ALWAYS[] = {
        CONNECTED,
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PARSED CHANGED READY),
        MOCK_EXPECT("CPDS"),
        MOCK_SEND(CLOSED PARSED CHANGED READY),
    };
    int64_t n;
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_NAMED);
    assert_answer(db, "select n", 7);
    assert_answer(db, "select n", 8);
    stop(db);
    db = PLAY(ALWAYS, PG_STATEMENTS_NAMED);
    assert_fails(PG_STATEMENT_STALE, ask_on(PG_TARGET(db), "select n", &n));
    stop(db);
}

static error ask_two(void *arg)
{
    pg_rows first, second;
    int64_t n;
    pg_pool *db = arg;
    pg_batch *b = pg_batch_new();
    pg_batch_query(b, &first, "select n");
    pg_batch_query(b, &second, "select m");
    TRY(pg_pipeline_run(db, b));
    TRY(pg_get(&second, 0, 0, &n));
    return n == 8 ? OK : error_set(&PG_FAILED, "%lld", (long long)n);
}

static error ask_one(void *arg)
{
    int64_t n;
    pg_pool *db = arg;
    TRY(ask_on(PG_TARGET(db), "select n", &n));
    return n == 9 ? OK : error_set(&PG_FAILED, "%lld", (long long)n);
}

/* A pooler ends the connection of who uses a name that it does not know. */
static void test_named_is_not_closed_under_who_is_about_to_use_it(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        NAMED_7,
        MOCK_EXPECT("BESPDS"), /* one; and two, of which one is known and waits for the other */
        MOCK_SEND(CHANGED READY),
        MOCK_EXPECT("PDS"), /* one again */
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("BESBES"), /* two, by the old name */
        MOCK_SEND(PREPARED ANSWER("\7") ANSWER("\10")),
        MOCK_EXPECT("BES"),
        MOCK_SEND(ANSWER("\11")),
        MOCK_EXPECT("CPDS"),
        MOCK_SEND(CLOSED PREPARED),
        MOCK_EXPECT("BES"),
        MOCK_SEND(ANSWER("\12")),
    };
    wait_group group;
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_NAMED);
    assert_answer(db, "select n", 7);
    wait_group_init(&group);
    assert_ok(wait_group_start(&group, ask_one, db));
    assert_ok(wait_group_start(&group, ask_two, db));
    assert_ok(wait_group_wait(&group));
    assert_answer(db, "select o", 10);
    stop(db);
}

typedef struct attempts {
    pg_pool *db;
    int count;
    int64_t n;
} attempts;

static error ask_in_tx(pg_tx *tx, void *arg)
{
    attempts *a = arg;
    a->count++;
    return ask_on(PG_TARGET(tx), "select n", &a->n);
}

/* Nothing can be run again in a transaction that has failed; all of it can. */
static void test_named_stale_in_a_transaction_fails_it_and_pg_transaction_runs_it_again(
    void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        NAMED_7,
        MOCK_EXPECT("PDS"), /* begin */
        MOCK_SEND(PARSED NO_PARAMS NO_DATA READY),
        MOCK_EXPECT("BEBES"),
        MOCK_SEND(BEGAN CHANGED BROKEN),
        MOCK_EXPECT("CPDS"), /* rollback; and what is out of date is closed */
        MOCK_SEND(CLOSED PARSED NO_PARAMS NO_DATA BROKEN),
        MOCK_EXPECT("BES"),
        MOCK_SEND(ROLLED),
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("BEBES"),
        MOCK_SEND(BEGAN BOUND ROW("\10") DONE TX_READY),
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PARSED NO_PARAMS NO_DATA TX_READY),
        MOCK_EXPECT("BES"),
        MOCK_SEND(BOUND "C\0\0\0\13COMMIT\0" READY),
    };
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_NAMED);
    attempts a = { .db = db };
    assert_answer(db, "select n", 7);
    assert_ok(pg_transaction(db, NULL, ask_in_tx, &a));
    assert_int_equal(a.count, 2);
    assert_int_equal(a.n, 8);
    stop(db);
}

static void test_named_under_another_search_path_is_another_statement(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        NAMED_7,
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PARSED NO_PARAMS NO_DATA READY),
        MOCK_EXPECT("BES"),
        MOCK_SEND(BOUND "C\0\0\0\15UPDATE 1\0" PATH("b") READY),
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("BES"),
        MOCK_SEND(ANSWER("\10")),
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PARSED NO_PARAMS NO_DATA READY),
        MOCK_EXPECT("BES"),
        MOCK_SEND(BOUND "C\0\0\0\15UPDATE 1\0" PATH("a")
                      READY), /* not the first one's: none was told */
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("BES"),
        MOCK_SEND(PATH("b") ANSWER("\11")),
        MOCK_EXPECT("BES"), /* here it was before */
        MOCK_SEND(ANSWER("\12")),
    };
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_NAMED);
    assert_answer(db, "select n", 7);
    assert_ok(pg_execute(db, NULL, "update, and a function sets it"));
    assert_answer(db, "select n", 8);
    assert_ok(pg_execute(db, NULL, "update, and another one"));
    assert_answer(db, "select n", 9);
    assert_answer(db, "select n", 10);
    stop(db);
}

#define UNNAMED_7                                                             \
    CONNECTED, MOCK_EXPECT("PDS"), MOCK_SEND(PREPARED), MOCK_EXPECT("PBDES"), \
        MOCK_SEND(AT_ONCE("\7"))

static void test_unnamed_with_another_count_of_columns_is_described_again(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        UNNAMED_7,
        MOCK_EXPECT("PBDES"),
        MOCK_SEND(PARSED FORMATS READY),
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("PBDES"),
        MOCK_SEND(AT_ONCE("\10")),
    };
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_UNNAMED);
    assert_answer(db, "select n", 7);
    assert_answer(db, "select n", 8);
    stop(db);
}

/* The column was text when it was described, and is int8 now: it comes as text. */
#define WAS_TEXT_NOW_INT8(middle)                                                               \
    CONNECTED, MOCK_EXPECT("PDS"), MOCK_SEND(PARSED NO_PARAMS "T\0\0\0\32\0\1" WAS_TEXT READY), \
        MOCK_EXPECT(middle "PBDES")

static void test_unnamed_with_another_type_is_never_misread(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        WAS_TEXT_NOW_INT8(""), MOCK_SEND(PARSED BOUND COMES_TEXT ROW_TEXT DONE READY),
        MOCK_EXPECT("PDS"),    MOCK_SEND(PREPARED),
        MOCK_EXPECT("PBDES"),  MOCK_SEND(AT_ONCE("\10")),
    };
    int64_t n;
    pg_rows rows;
    str text;
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_UNNAMED);
    assert_ok(pg_query(db, &rows, "select n"));
    assert_int_equal(rows.columns[0].oid, PG_OID_INT8);
    assert_int_equal(rows.columns[0].format, PG_TEXT);
    assert_ok(pg_get(&rows, 0, 0, &n)); /* it has run once, and this is its answer */
    assert_int_equal(n, 7);
    assert_ok(pg_get(&rows, 0, 0, &text));
    assert_str_equal(text, STR("7"));
    assert_answer(db, "select n", 8);
    stop(db);
}

static void test_unnamed_with_another_type_in_a_transaction_is_run_again_with_it(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        WAS_TEXT_NOW_INT8("PBE"),
        MOCK_SEND(PARSED BEGAN PARSED BOUND COMES_TEXT ROW_TEXT DONE TX_READY),
        MOCK_EXPECT("PBES"),
        MOCK_SEND(PARSED ROLLED),
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PREPARED),
        MOCK_EXPECT("PBEPBDES"),
        MOCK_SEND(PARSED BEGAN PARSED BOUND COMES ROW("\10") DONE TX_READY),
        MOCK_EXPECT("PBES"),
        MOCK_SEND(PARSED BOUND "C\0\0\0\13COMMIT\0" READY),
    };
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_UNNAMED);
    attempts a = { .db = db };
    assert_ok(pg_transaction(db, NULL, ask_in_tx, &a));
    assert_int_equal(a.count, 2);
    assert_int_equal(a.n, 8);
    stop(db);
}

static void test_unnamed_cursor_with_other_columns_fails_as_stale(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        CONNECTED,
        MOCK_EXPECT("PBES"),
        MOCK_SEND(PARSED BEGAN TX_READY),
        MOCK_EXPECT("PDS"),
        MOCK_SEND(PARSED NO_PARAMS "T\0\0\0\32\0\1" WAS_TEXT TX_READY),
        MOCK_EXPECT("PBDES"),
        MOCK_SEND(PARSED BOUND COMES_TEXT ROW_TEXT DONE TX_READY),
        MOCK_EXPECT("PBES"),
        MOCK_SEND(PARSED ROLLED),
    };
    pg_cursor *c;
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_UNNAMED);
    assert_fails(PG_STATEMENT_STALE, pg_cursor_open(db, &c, "select n"));
    assert_null(c);
    stop(db);
}

/* --- servers that lie ------------------------------------------------------------------------- */

typedef struct lie {
    const char *name;
    str answer; /* to PBDES */
} lie;

#define LIE(name, literal)                  \
    {                                       \
        name,                               \
        {                                   \
            "" literal, sizeof(literal) - 1 \
        }                                   \
    }

static void test_unnamed_answers_that_make_no_sense_end_the_connection(void **state)
{
    (void)state;
    static const lie LIES[] = {
        LIE("no ParseComplete", BOUND COMES ROW("\7") DONE READY),
        LIE("two of them", PARSED PARSED BOUND COMES ROW("\7") DONE READY),
        LIE("one behind Bind", PARSED BOUND PARSED COMES ROW("\7") DONE READY),
        LIE("no description", PARSED BOUND ROW("\7") DONE READY),
        LIE("no description and no row", PARSED BOUND DONE READY),
        LIE("two descriptions", PARSED BOUND COMES COMES ROW("\7") DONE READY),
        LIE("a description behind a row", PARSED BOUND COMES ROW("\7") COMES DONE READY),
        LIE("a description before Bind", PARSED COMES BOUND ROW("\7") DONE READY),
        LIE("a row of no columns", PARSED BOUND NO_DATA ROW("\7") DONE READY),
        LIE("format 2", PARSED BOUND "T\0\0\0\32\0\1" COLUMN "\2" ROW("\7") DONE READY),
        LIE("a description of half a column", PARSED BOUND "T\0\0\0\10\0\1n\0" DONE READY),
    };
    for (size_t i = 0; i < ARRAY_LEN(LIES); i++) {
        const mock_pg_step script[] = { CONNECTED,
                                        MOCK_EXPECT("PDS"),
                                        MOCK_SEND(PREPARED),
                                        MOCK_EXPECT("PBDES"),
                                        { .action = MOCK_DO_SEND, .bytes = LIES[i].answer } };
        int64_t n;
        pg_pool *db = PLAY(script, PG_STATEMENTS_UNNAMED);
        const error e = ask_on(PG_TARGET(db), "select n", &n);
        if (!error_is(e, &PG_PROTOCOL_VIOLATION))
            fail_msg("%s: %s", LIES[i].name, e.kind ? e.kind->name : "an answer");
        stop(db);
    }
}

static void test_unnamed_any_byte_changed_or_missing_is_an_answer_or_an_error(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = { UNNAMED_7, MOCK_CLOSE };
    random_state random = random_start();
    size_t whole = 1;
    for (size_t at = 0; at <= whole; at++) {
        const bool cuts = random_below(&random, 2) == 0;
        int64_t n = -1;
        pg_pool *db;
        mock_pg_start(
            &m, &(mock_pg_options){ .steps = SCRIPT,
                                    .step_count = ARRAY_LEN(SCRIPT),
                                    .patience_ms = 200,
                                    .cut_after = cuts ? at : 0,
                                    .flip_at = cuts ? 0 : at,
                                    .flips = (unsigned char)(1 + random_below(&random, 255)) });
        assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = str_from_c(m.conninfo),
                                                   .connections_max = 1,
                                                   .statements = PG_STATEMENTS_UNNAMED },
                               &db));
        const error e = ask_on(PG_TARGET(db), "select n", &n);
        if (at == 0)
            assert_ok(e);
        pg_pool_close(&db);
        (void)mock_pg_stop(&m);
        if (at == 0)
            whole = m.sent;
    }
}

static void test_statement_forgotten_as_often_as_it_is_prepared_is_given_up(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        CONNECTED,
        MOCK_EXPECT("PDS"),
        MOCK_SEND(TAKEN READY),
        MOCK_EXPECT("CPDS"),
        MOCK_SEND(CLOSED TAKEN READY),
        MOCK_EXPECT("CPDS"),
        MOCK_SEND(CLOSED PREPARED),
        MOCK_EXPECT("BES"),
        MOCK_SEND(ANSWER("\7")),
    };
    int64_t n;
    pg_pool *db = PLAY(SCRIPT, PG_STATEMENTS_NAMED);
    assert_fails(PG_STATEMENT_STALE, ask_on(PG_TARGET(db), "select n", &n));
    assert_answer(db, "select n", 7); /* and not for ever */
    stop(db);
}

/* --- poolers that do not speak pipelining ----------------------------------------------------- */

static error ask_once(void *arg)
{
    int64_t n;
    return ask_on(PG_TARGET((pg_pool *)arg), "select n", &n);
}

#define ONE_7 MOCK_EXPECT("PBDES"), MOCK_LISTEN(30), MOCK_SEND(AT_ONCE("\7"))

static pg_pool *play_single(const mock_pg_step *steps, size_t count)
{
    pg_pool *db;
    mock_pg_start(&m, &(mock_pg_options){ .steps = steps, .step_count = count });
    assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = str_from_c(m.conninfo),
                                               .connections_max = 1,
                                               .statements = PG_STATEMENTS_UNNAMED,
                                               .pipeline_max = 1 },
                           &db));
    return db;
}

static void test_pipeline_of_one_waits_for_each_answer(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        CONNECTED,       MOCK_EXPECT("PDS"),
        MOCK_LISTEN(30), MOCK_SEND(PREPARED),
        ONE_7,           ONE_7,
        ONE_7,           ONE_7,
        ONE_7,           ONE_7,
    };
    wait_group group;
    wait_group_init(&group);
    pg_pool *db = play_single(SCRIPT, ARRAY_LEN(SCRIPT));
    for (int i = 0; i < 3; i++)
        assert_ok(wait_group_start(&group, ask_once, db));
    assert_ok(wait_group_wait(&group));
    pg_rows rows[3];
    pg_batch *b = pg_batch_new();
    for (int i = 0; i < 3; i++)
        pg_batch_query(b, &rows[i], "select n");
    assert_ok(pg_pipeline_run(db, b));
    for (int i = 0; i < 3; i++)
        assert_int_equal(rows[i].count, 1);
    stop(db);
}

/* What a server takes as one, a pooler has to take as one too. */
static void test_pipeline_of_one_sends_a_batch_at_once(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        CONNECTED,
        MOCK_EXPECT("PBEPBES"),
        MOCK_LISTEN(30),
        MOCK_SEND(PARSED BOUND "C\0\0\0\17INSERT 0 1\0" PARSED INSERTED),
    };
    pg_batch *b = pg_batch_new();
    pg_pool *db = play_single(SCRIPT, ARRAY_LEN(SCRIPT));
    pg_batch_execute(b, NULL, "insert");
    pg_batch_execute(b, NULL, "insert");
    assert_ok(pg_batch_run(db, b));
    stop(db);
}

static error insert_in_time(void *arg)
{
    return pg_execute((pg_tx *)arg, NULL, "insert");
}

/* Nobody waits for the statement any more; the rollback does, for its answer. */
static void test_pipeline_of_one_rolls_back_behind_the_answer_that_was_given_up(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        CONNECTED,
        MOCK_EXPECT("PBEPBES"),
        MOCK_SEND(PARSED BEGAN PARSED BOUND "C\0\0\0\17INSERT 0 1\0" TX_READY),
        MOCK_EXPECT("PBES"),
        MOCK_LISTEN(80), /* the fiber has waited 20 ms */
        MOCK_SEND(PARSED BOUND "C\0\0\0\17INSERT 0 1\0" TX_READY),
        MOCK_EXPECT("PBES"),
        MOCK_SEND(PARSED ROLLED),
    };
    pg_tx *tx;
    pg_pool *db = play_single(SCRIPT, ARRAY_LEN(SCRIPT));
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "insert"));
    assert_fails(TIMED_OUT, scope_call(&(scope_options){ .deadline_ms = 20 }, insert_in_time, tx));
    assert_ok(pg_rollback(&tx));
    stop(db);
}

static error select_in_time(void *arg)
{
    int64_t n;
    return ask_on(PG_TARGET((pg_tx *)arg), "select n", &n);
}

/* One that waits for room and gives up leaves nothing behind. */
static void test_pipeline_of_one_may_be_given_up_by_who_waits(void **state)
{
    (void)state;
    static const mock_pg_step SCRIPT[] = {
        CONNECTED,
        MOCK_EXPECT("PBEPBES"),
        MOCK_SEND(PARSED BEGAN PARSED BOUND "C\0\0\0\17INSERT 0 1\0" TX_READY),
        MOCK_EXPECT("PBES"),
        MOCK_LISTEN(80),
        MOCK_SEND(PARSED BOUND "C\0\0\0\17INSERT 0 1\0" TX_READY),
        MOCK_EXPECT("PBES"),
        MOCK_SEND(PARSED ROLLED),
    };
    pg_tx *tx;
    pg_pool *db = play_single(SCRIPT, ARRAY_LEN(SCRIPT));
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL, "insert"));
    assert_fails(TIMED_OUT, scope_call(&(scope_options){ .deadline_ms = 10 }, insert_in_time, tx));
    assert_fails(TIMED_OUT, scope_call(&(scope_options){ .deadline_ms = 10 }, select_in_time, tx));
    assert_ok(pg_rollback(&tx));
    stop(db);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unnamed_is_described_once_and_parsed_with_its_parameters),
        cmocka_unit_test(test_unnamed_description_is_known_on_all_connections),
        cmocka_unit_test(test_off_is_described_each_time),
        cmocka_unit_test(test_unnamed_without_rows_is_never_described),
        cmocka_unit_test(test_unnamed_transaction_begins_with_its_first_statement),
        cmocka_unit_test(test_unnamed_reads_say_that_they_only_read),
        cmocka_unit_test(test_named_reads_say_that_they_only_read_where_the_session_cannot),
        cmocka_unit_test(test_unnamed_fibers_do_not_meet_in_the_statement_without_a_name),
        cmocka_unit_test(test_named_that_the_server_forgot_forgets_the_session),
        cmocka_unit_test(test_named_that_is_gone_again_tells_what_to_set),
        cmocka_unit_test(test_named_whose_name_is_taken_closes_it_first),
        cmocka_unit_test(test_named_that_fails_otherwise_is_not_tried_again),
        cmocka_unit_test(test_named_that_is_out_of_date_when_it_is_prepared_is_prepared_again),
        cmocka_unit_test(test_named_is_not_closed_under_who_is_about_to_use_it),
        cmocka_unit_test(
            test_named_stale_in_a_transaction_fails_it_and_pg_transaction_runs_it_again),
        cmocka_unit_test(test_named_under_another_search_path_is_another_statement),
        cmocka_unit_test(test_unnamed_with_another_count_of_columns_is_described_again),
        cmocka_unit_test(test_unnamed_with_another_type_is_never_misread),
        cmocka_unit_test(test_unnamed_with_another_type_in_a_transaction_is_run_again_with_it),
        cmocka_unit_test(test_unnamed_cursor_with_other_columns_fails_as_stale),
        cmocka_unit_test(test_unnamed_answers_that_make_no_sense_end_the_connection),
        cmocka_unit_test(test_unnamed_any_byte_changed_or_missing_is_an_answer_or_an_error),
        cmocka_unit_test(test_statement_forgotten_as_often_as_it_is_prepared_is_given_up),
        cmocka_unit_test(test_pipeline_of_one_waits_for_each_answer),
        cmocka_unit_test(test_pipeline_of_one_sends_a_batch_at_once),
        cmocka_unit_test(test_pipeline_of_one_rolls_back_behind_the_answer_that_was_given_up),
        cmocka_unit_test(test_pipeline_of_one_may_be_given_up_by_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
