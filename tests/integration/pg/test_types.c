/* Types of pg/ against a real server: random values and specials go out as parameters and come back
 * as text and in the binary form, and what we write of them is what the server writes. */
#include "tests/support/database.h"
#include "tests/support/random.h"

#include <string.h>

#define ROUNDS 300

static pg_pool *db;

static int open_pool(void **state)
{
    (void)state;
    return error_is_ok(pg_pool_open(NULL, &db)) ? 0 : -1;
}

static int close_pool(void **state)
{
    (void)state;
    pg_pool_close(&db);
    return 0;
}

/* A value's way: `written` is what we write of `value`. Asks the server for its own text of it, for
 * the value as a column, and for the bytes of its binary form, and wants the same of all. */
#define ROUND_TRIP(name, sql_type, value, oid_)                                                \
    do {                                                                                       \
        const name sent_ = (value);                                                            \
        pg_rows rows_;                                                                         \
        name got_;                                                                             \
        str server_;                                                                           \
        bytea sent_bytes_;                                                                     \
        assert_ok(pg_query(db, &rows_,                                                         \
                           "select $1::text, $1, " sql_type "_send($1), array[$1, $1] from "   \
                           "(select $1::" sql_type ") as x",                                   \
                           sent_));                                                            \
        const str ours_ = name##_format(fiber_arena(), &sent_);                                \
        assert_ok(pg_get(&rows_, 0, 0, &server_));                                             \
        assert_str_equal(ours_, server_);                                                      \
        assert_ok(pg_get(&rows_, 0, 1, &got_));                                                \
        assert_str_equal(name##_format(fiber_arena(), &got_), server_);                        \
        assert_ok(pg_get(&rows_, 0, 1, &server_));                                             \
        assert_str_equal(ours_, server_);                                                      \
        assert_ok(pg_get(&rows_, 0, 2, &sent_bytes_));                                         \
        const pg_cell cell_ = { (oid_),                                                        \
                                PG_BINARY,                                                     \
                                { (const char *)sent_bytes_.ptr, sent_bytes_.len } };          \
        assert_ok(pg_decode_##name(fiber_arena(), &cell_, &got_));                             \
        assert_str_equal(name##_format(fiber_arena(), &got_), server_);                        \
        name##_list list_;                                                                     \
        assert_ok(pg_get(&rows_, 0, 3, &list_));                                               \
        assert_int_equal(list_.count, 2);                                                      \
        assert_str_equal(name##_format(fiber_arena(), &list_.items[1]), server_);              \
        pg_rows again_;                                                                        \
        bool same_;                                                                            \
        assert_ok(                                                                             \
            pg_query(db, &again_, "select $1::" sql_type "[] = array[$2, $2]", list_, sent_)); \
        assert_ok(pg_get(&again_, 0, 0, &same_));                                              \
        assert_true(same_);                                                                    \
    } while (0)

static str random_digits(random_state *r, size_t max)
{
    const size_t len = random_below(r, max + 1);
    char *text = arena_alloc(fiber_arena(), len + 1, 1);
    const bool sparse = random_below(r, 2);
    for (size_t i = 0; i < len; i++)
        text[i] = sparse && random_below(r, 8) ? '0' : (char)('0' + random_below(r, 10));
    return (str){ text, len };
}

static void test_numeric_goes_there_and_back(void **state)
{
    (void)state;
    static const char *const SPECIALS[] = { "0",         "NaN",    "Infinity",
                                            "-Infinity", "0.000",  "-0.0001",
                                            "10000",     "0.0001", "99999999.99999999" };
    for (size_t i = 0; i < ARRAY_LEN(SPECIALS); i++) {
        pg_numeric n;
        assert_true(pg_numeric_parse(fiber_arena(), str_from_c(SPECIALS[i]), &n));
        ROUND_TRIP(pg_numeric, "numeric", n, PG_OID_NUMERIC);
    }
    random_state r = random_start();
    for (size_t i = 0; i < ROUNDS; i++) {
        const size_t max = i % 10 == 0 ? 2000 : 24;
        const str whole = random_digits(&r, max);
        const str fraction = random_digits(&r, max);
        const str text = str_format(fiber_arena(), "%s0%.*s.%.*s", random_below(&r, 2) ? "-" : "",
                                    STR_ARG(whole), STR_ARG(fraction));
        pg_numeric n;
        assert_true(pg_numeric_parse(fiber_arena(), text, &n));
        ROUND_TRIP(pg_numeric, "numeric", n, PG_OID_NUMERIC);
    }
}

static int run(void)
{
    const struct CMUnitTest group[] = {
        cmocka_unit_test(test_numeric_goes_there_and_back),
    };
    return cmocka_run_group_tests(group, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
