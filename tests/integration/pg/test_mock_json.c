/* Rows as JSON of a server that sends what is no value of its column: what is written is valid
 * JSON, or there is an error that says so, and the connection goes on. */
#include "core/json.h"
#include "pg/pg.h"
#include "tests/support/in_fiber.h"
#include "tests/support/mock_pg.h"
#include "tests/support/random.h"

static str message(char type, str body)
{
    char length[4];
    const uint32_t len = __builtin_bswap32((uint32_t)body.len + 4);
    memcpy(length, &len, sizeof length);
    buf b;
    buf_init_arena(&b, fiber_arena(), 1 << 20);
    buf_append_char(&b, type);
    buf_append(&b, (str){ length, sizeof length });
    buf_append(&b, body);
    return buf_str(&b);
}

static void put_number(buf *b, uint32_t value, size_t bytes)
{
    while (bytes-- > 0)
        buf_append_char(b, (char)(value >> 8 * bytes));
}

/* What answers Parse, and what answers Bind with one cell of that type. */
static str described(pg_oid oid)
{
    buf columns, all;
    buf_init_arena(&columns, fiber_arena(), 4096);
    buf_init_arena(&all, fiber_arena(), 4096);
    put_number(&columns, 1, 2);
    buf_append(&columns, (str){ "x\0\0\0\0\0\0\0", 8 });
    put_number(&columns, oid, 4);
    buf_append(&columns, (str){ "\377\377\377\377\377\377\0\0", 8 });
    buf_append(&all, (str){ "1\0\0\0\4t\0\0\0\6\0\0", 12 });
    buf_append(&all, message('T', buf_str(&columns)));
    buf_append(&all, (str){ MOCK_READY, sizeof MOCK_READY - 1 });
    return buf_str(&all);
}

static str answered(str cell)
{
    buf row, all;
    buf_init_arena(&row, fiber_arena(), 4096);
    buf_init_arena(&all, fiber_arena(), 4096);
    put_number(&row, 1, 2);
    put_number(&row, (uint32_t)cell.len, 4);
    buf_append(&row, cell);
    buf_append(&all, (str){ "2\0\0\0\4", 5 });
    buf_append(&all, message('D', buf_str(&row)));
    buf_append(&all, (str){ "C\0\0\0\15SELECT 1\0" MOCK_READY, 14 + sizeof MOCK_READY - 1 });
    return buf_str(&all);
}

/* A value as the server would send it, with some bytes of it changed, or anything. */
static str random_cell(random_state *r)
{
    static const str GOOD[] = { { "12345678", 8 },
                                { "-1.5e+10", 8 },
                                { "{1,NULL,{}}", 11 },
                                { "{\"a\": [1]}", 10 },
                                { "\1{\"a\":1}", 8 },
                                { "\0\0\0\1", 4 },
                                { "\1", 1 },
                                { "NaN", 3 },
                                { "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1\0\0\0\1x", 25 } };
    const str good = GOOD[random_below(r, ARRAY_LEN(GOOD))];
    char *cell = arena_alloc(fiber_arena(), good.len, 1);
    memcpy(cell, good.ptr, good.len);
    for (size_t n = random_below(r, 3); n > 0; n--)
        cell[random_below(r, good.len)] = (char)random_next(r);
    return (str){ cell, random_below(r, 4) ? good.len : random_below(r, good.len) };
}

#define LIES ((size_t)40)

/* What became of them. */
typedef struct outcomes {
    size_t written;
    size_t refused;
} outcomes;

static void ask(pg_pool *pool, outcomes *sum)
{
    pg_rows rows;
    str text;
    assert_ok(pg_query(pool, &rows, PG_AS_JSON("select x")));
    const error e = pg_rows_json(&rows, &text);
    if (e.kind) {
        assert_fails(PG_TYPE_MISMATCH, e);
        sum->refused++;
        return;
    }
    if (!json_is_valid(text))
        fail_msg("%.*s is no JSON", STR_ARG(text));
    sum->written++;
}

/* All of them on one connection, which is as good as before after each. */
static void check_lies(pg_oid oid, random_state *r, outcomes *sum)
{
    static const mock_pg_step FIRST[] = { MOCK_ACCEPT, MOCK_SEND(MOCK_WELCOME),
                                          MOCK_EXPECT("PDS") };
    static mock_pg_step steps[ARRAY_LEN(FIRST) + 2 * LIES];
    size_t count = ARRAY_LEN(FIRST);
    memcpy(steps, FIRST, sizeof FIRST);
    steps[count++] = (mock_pg_step){ .action = MOCK_DO_SEND, .bytes = described(oid) };
    for (size_t i = 1; i < LIES; i++) {
        steps[count++] = (mock_pg_step)MOCK_EXPECT("BES");
        steps[count++] =
            (mock_pg_step){ .action = MOCK_DO_SEND, .bytes = answered(random_cell(r)) };
    }
    mock_pg m;
    pg_pool *pool;
    mock_pg_start(&m, &(mock_pg_options){ steps, count });
    assert_ok(pg_pool_open(&(pg_pool_options){ .conninfo = str_from_c(m.conninfo),
                                               .connections_max = 1,
                                               .statements = PG_STATEMENTS_NAMED },
                           &pool));
    for (size_t i = 1; i < LIES; i++)
        ask(pool, sum);
    pg_pool_close(&pool);
    assert_null(mock_pg_stop(&m));
}

static void test_mock_rows_as_json_are_valid_or_none(void **state)
{
    (void)state;
    static const pg_oid OIDS[] = { PG_OID_INT4,       PG_OID_NUMERIC,   PG_OID_FLOAT8,
                                   PG_OID_BOOL,       PG_OID_JSON,      PG_OID_JSONB,
                                   PG_OID_TEXT,       PG_OID_DATE,      PG_OID_TIMESTAMPTZ,
                                   PG_OID_INT4_ARRAY, PG_OID_XML_ARRAY, PG_OID_TEXT_ARRAY,
                                   PG_OID_JSONB_ARRAY };
    random_state r = random_start();
    outcomes sum = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(OIDS); i++)
        check_lies(OIDS[i], &r, &sum);
    assert_true(sum.written > LIES / 2 && sum.refused > LIES);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mock_rows_as_json_are_valid_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
