/* For tests of types against a real server: a pool, and a value's way there and back. */
#ifndef TESTS_INTEGRATION_PG_ROUND_TRIP_H
#define TESTS_INTEGRATION_PG_ROUND_TRIP_H

#include "tests/support/database.h"
#include "tests/support/random.h"

#include <string.h>

static pg_pool *db;

UNUSED static int open_pool(void **state)
{
    (void)state;
    return error_is_ok(pg_pool_open(NULL, &db)) ? 0 : -1;
}

UNUSED static int close_pool(void **state)
{
    (void)state;
    pg_pool_close(&db);
    return 0;
}

/* The value that `sent_` is comes in the format that rows for something have, alone and in a list,
 * and is the one that the server's text says. */
#define CAME_AS(as_, name, sql_type, oid_)                                                \
    do {                                                                                  \
        pg_rows as_rows_;                                                                 \
        name as_got_;                                                                     \
        name##_list as_list_;                                                             \
        const pg_sql as_sql_ =                                                            \
            PG_SQL("select x, array[x, x] from (select $1::" sql_type " as x) as y");     \
        assert_ok(pg_query(db, &as_rows_, pg_sql_as(as_sql_, as_), sent_));               \
        assert_int_equal(as_rows_.columns[0].format, pg_type_format_as((oid_), (as_)));   \
        assert_int_equal(as_rows_.columns[0].format, (as_) == PG_ROWS_AS_VALUES ? 1 : 0); \
        assert_int_equal(as_rows_.columns[1].format, (as_) == PG_ROWS_AS_VALUES ? 1 : 0); \
        assert_ok(pg_get(&as_rows_, 0, 0, &as_got_));                                     \
        assert_str_equal(name##_format(fiber_arena(), &as_got_), ours_);                  \
        assert_ok(pg_get(&as_rows_, 0, 1, &as_list_));                                    \
        assert_int_equal(as_list_.count, 2);                                              \
        assert_str_equal(name##_format(fiber_arena(), &as_list_.items[1]), ours_);        \
    } while (0)

/* A value's way: `written` is what we write of `value`. Asks the server for its own text of it, for
 * the value as a column, and for the bytes of its binary form, and wants the same of all. */
#define ROUND_TRIP(name, sql_type, value, oid_) \
    ROUND_TRIP_BY(name, sql_type, sql_type "_send", value, oid_)
/* The same for a type whose function for the binary form has another name. */
#define ROUND_TRIP_BY(name, sql_type, send, value, oid_)                                       \
    do {                                                                                       \
        const name sent_ = (value);                                                            \
        pg_rows rows_;                                                                         \
        name got_;                                                                             \
        str server_;                                                                           \
        bytea sent_bytes_;                                                                     \
        assert_ok(pg_query(db, &rows_,                                                         \
                           "select format('%s', $1), $1, " send "($1), array[$1, $1] from "    \
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
        CAME_AS(PG_ROWS_AS_VALUES, name, sql_type, (oid_));                                    \
        CAME_AS(PG_ROWS_AS_TEXT, name, sql_type, (oid_));                                      \
        pg_rows again_;                                                                        \
        bool same_;                                                                            \
        assert_ok(pg_query(db, &again_,                                                        \
                           "select ($1::" sql_type "[])::text = (array[$2, $2])::text", list_, \
                           sent_));                                                            \
        assert_ok(pg_get(&again_, 0, 0, &same_));                                              \
        assert_true(same_);                                                                    \
    } while (0)

/* A random number in a range that is as likely small as large. */
UNUSED static int64_t random_between(random_state *r, int64_t least, int64_t most)
{
    const uint64_t bits = random_next(r) >> random_below(r, 64);
    const int64_t value = (int64_t)(random_below(r, 2) ? bits : 0 - bits);
    if (value >= least && value <= most)
        return value;
    const uint64_t span = (uint64_t)most - (uint64_t)least;
    return (int64_t)((uint64_t)least + random_next(r) % span);
}

UNUSED static void random_bytes(random_state *r, uint8_t *out, size_t len)
{
    const bool sparse = random_below(r, 2);
    for (size_t i = 0; i < len; i++)
        out[i] = sparse && random_below(r, 4) ? 0 : (uint8_t)random_next(r);
}

#endif
