/* COPY to and from a real server: every format, all or nothing, either side stopping early. */
#include "core/scope.h"
#include "tests/support/database.h"

#include <string.h>

static pg_pool *db;

static int open_pool(void **state)
{
    (void)state;
    assert_ok(
        pg_pool_open(&(pg_pool_options){ .connections_max = 2, .acquire_timeout_ms = 2000 }, &db));
    assert_ok(pg_execute(db, NULL, "drop table if exists copied"));
    assert_ok(pg_execute(db, NULL,
                         "create table copied (id bigint primary key, name text, at timestamptz, "
                         "ratio float8, tags text[])"));
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "drop table copied"));
    pg_pool_close(&db);
    return 0;
}

static int empty_table(void **state)
{
    (void)state;
    assert_ok(pg_execute(db, NULL, "truncate copied"));
    return 0;
}

static int64_t count(void)
{
    pg_rows rows;
    int64_t n = -1;
    assert_ok(pg_query(db, &rows, "select count(*) from copied"));
    assert_ok(pg_get(&rows, 0, 0, &n));
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
    return n;
}

static void test_copy_in_takes_text_cut_anywhere(void **state)
{
    (void)state;
    const str text =
        STR("1\tone\t\\N\t0.5\t{a,b}\n2\t\\N\t\\N\t\\N\t\\N\n3\tth\\tree\t\\N\t1\t{}\n");
    for (size_t part = 1; part <= text.len; part += 7) {
        pg_copy *c;
        uint64_t affected = 0;
        assert_ok(pg_copy_in(db, &c, "copy copied from stdin"));
        for (size_t at = 0; at < text.len; at += part)
            assert_ok(pg_copy_write(c, str_slice(text, at, part)));
        assert_ok(pg_copy_finish(&c, &affected));
        assert_null(c);
        assert_int_equal(affected, 3);
        assert_int_equal(count(), 3);
        empty_table(state);
    }
}

static void test_copy_in_takes_csv(void **state)
{
    (void)state;
    pg_copy *c;
    pg_rows rows;
    str name;
    assert_ok(pg_copy_in(db, &c, "copy copied (id, name) from stdin (format csv, header)"));
    assert_ok(pg_copy_write(c, STR("id,name\n1,\"a \"\"quoted\"\"\nline\"\n")));
    assert_ok(pg_copy_finish(&c, NULL));
    assert_ok(pg_query(db, &rows, "select name from copied"));
    assert_ok(pg_get(&rows, 0, 0, &name));
    assert_str_equal(name, STR("a \"quoted\"\nline"));
}

/* The last row is more than is kept for a reader, and the end comes with it. */
static void test_copy_out_of_a_row_of_megabytes_ends(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        pg_copy *c;
        str bytes;
        size_t total = 0;
        assert_ok(pg_copy_out(db, &c, "copy (select repeat('x', 3000000)) to stdout"));
        do {
            assert_ok(pg_copy_read(c, &bytes));
            total += bytes.len;
        } while (bytes.len > 0);
        assert_int_equal(total, 3000001);
        assert_ok(pg_copy_finish(&c, NULL));
    }
}

static void test_copy_rows_of_values_arrive_as_they_went(void **state)
{
    (void)state;
    static const int64_t ROWS = 20000;
    pg_copy *c;
    uint64_t affected;
    pg_rows rows;
    str words[] = { STR("a"), STR("b") };
    const text_list tags = { words, 2 };
    assert_ok(pg_copy_in(db, &c, "copy copied from stdin (format binary)"));
    for (int64_t i = 0; i < ROWS; i++) {
        const opt_text name = { .has = i % 2 == 0, .value = STR("even") };
        const timestamptz at = { i };
        assert_ok(pg_copy_row(c, i, name, at, (double)i / 2, tags));
    }
    assert_ok(pg_copy_finish(&c, &affected));
    assert_int_equal(affected, ROWS);
    assert_ok(pg_query(db, &rows,
                       "select count(*), count(name), sum(id)::int8, sum(ratio), "
                       "bool_and(tags = '{a,b}') from copied"));
    int64_t all, named, sum;
    double ratio;
    bool tagged;
    assert_ok(pg_get(&rows, 0, 0, &all));
    assert_ok(pg_get(&rows, 0, 1, &named));
    assert_ok(pg_get(&rows, 0, 2, &sum));
    assert_ok(pg_get(&rows, 0, 3, &ratio));
    assert_ok(pg_get(&rows, 0, 4, &tagged));
    assert_int_equal(all, ROWS);
    assert_int_equal(named, ROWS / 2);
    assert_int_equal(sum, ROWS * (ROWS - 1) / 2);
    assert_true(ratio == (double)sum / 2 && tagged);
}

#define EVERY_FIELDS(F)     \
    F(b, bool)              \
    F(i2, int2)             \
    F(i4, int4)             \
    F(i8, int8)             \
    F(f8, float8)           \
    F(t, text)              \
    F(by, bytea)            \
    F(at, timestamptz)      \
    F(id, uuid)             \
    F(j, jsonb)             \
    F(ob, opt_bool)         \
    F(ot, opt_text)         \
    F(oat, opt_timestamptz) \
    F(li, int4_list)        \
    F(lt, text_list)
SHAPE(every, EVERY_FIELDS)

static every every_of(int32_t n)
{
    static int32_t numbers[] = { 1, -2, 3 };
    static str words[] = { STR("a"), STR("b \"c\"") };
    static const uint8_t raw[] = { 0, 1, 255 };
    return (every){ .b = n % 2,
                    .i2 = (int16_t)-n,
                    .i4 = n,
                    .i8 = (int64_t)n << 33,
                    .f8 = n / 4.0,
                    .t = str_format(fiber_arena(), "text, \"%d\"\n\t", n),
                    .by = { raw, sizeof raw },
                    .at = { n * 1000000LL },
                    .id = { { (uint8_t)n, 1 } },
                    .j = { STR("{\"a\": [1, null]}") },
                    .ob = { .has = n % 3 == 0, .value = true },
                    .ot = { .has = n % 3 == 1, .value = STR("") },
                    .oat = { .has = n % 3 == 2, .value = { n } },
                    .li = { numbers, (size_t)(n % 4) },
                    .lt = { words, (size_t)(n % 3) } };
}

static void assert_same(const every *a, const every *b)
{
    assert_true(a->b == b->b && a->i2 == b->i2 && a->i4 == b->i4 && a->i8 == b->i8 &&
                a->f8 == b->f8 && a->at.us == b->at.us &&
                memcmp(&a->id, &b->id, sizeof a->id) == 0);
    assert_str_equal(a->t, b->t);
    assert_int_equal(a->by.len, b->by.len);
    assert_memory_equal(a->by.ptr, b->by.ptr, a->by.len);
    assert_str_equal(a->j.text, b->j.text);
    assert_true(a->ob.has == b->ob.has && a->ot.has == b->ot.has && a->oat.has == b->oat.has);
    assert_true(!a->ob.has || a->ob.value == b->ob.value);
    assert_true(!a->ot.has || str_eq(a->ot.value, b->ot.value));
    assert_true(!a->oat.has || a->oat.value.us == b->oat.value.us);
    assert_int_equal(a->li.count, b->li.count);
    for (size_t i = 0; i < a->li.count; i++)
        assert_int_equal(a->li.items[i], b->li.items[i]);
    assert_int_equal(a->lt.count, b->lt.count);
    for (size_t i = 0; i < a->lt.count; i++)
        assert_str_equal(a->lt.items[i], b->lt.items[i]);
}

static void test_copy_of_structs_gives_them_back(void **state)
{
    (void)state;
    enum {
        COUNT = 5000
    };
    pg_tx *tx;
    pg_copy *c;
    every got;
    uint64_t copied = 0;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_execute(tx, NULL,
                         "create temp table every (b bool, i2 int2, i4 int4, i8 int8, f8 float8, "
                         "t text, by bytea, at timestamptz, id uuid, j jsonb, ob bool, ot text, "
                         "oat timestamptz, li int4[], lt text[]) on commit drop"));
    assert_ok(pg_copy_in(tx, &c, "copy every from stdin (format binary)"));
    for (int32_t i = 0; i < COUNT; i++) {
        const every e = every_of(i);
        assert_ok(pg_copy_item(c, every, &e));
    }
    assert_ok(pg_copy_finish(&c, &copied));
    assert_int_equal(copied, COUNT);
    assert_ok(
        pg_copy_out(tx, &c, "copy (select * from every order by i4) to stdout (format binary)"));
    int32_t count = 0;
    for (bool more;; count++) {
        assert_ok(pg_copy_next(c, every, &got, &more));
        if (!more)
            break;
        const every sent = every_of(count);
        assert_same(&sent, &got);
    }
    assert_int_equal(count, COUNT);
    assert_ok(pg_copy_finish(&c, &copied));
    assert_int_equal(copied, COUNT);
    assert_ok(pg_commit(&tx));
}

#define PAIR_FIELDS(F) F(n, int8) F(name, text)
SHAPE(pair, PAIR_FIELDS)

static void test_copy_next_of_another_row_is_a_mismatch(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        const error_kind *kind;
    } rows[] = {
        { "copy (select 1::int8, 'a') to stdout", &PG_INVALID_ARGUMENT },
        { "copy (select 1::int8) to stdout (format binary)", &PG_TYPE_MISMATCH },
        { "copy (select 1::int4, 'a') to stdout (format binary)", &PG_TYPE_MISMATCH },
        { "copy (select 1::int8, null) to stdout (format binary)", &PG_TYPE_MISMATCH },
        { "copy (select 1::int8, 'a', 2) to stdout (format binary)", &PG_TYPE_MISMATCH },
        { "copy (select 1 / (50000 - n)::int8, 'a' from generate_series(1, 90000) n) to stdout (format "
          "binary)",
          &PG_DATA_EXCEPTION },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        pg_copy *c;
        pair p;
        bool more = true;
        error e = OK;
        assert_ok(pg_copy_out(db, &c, rows[i].sql));
        while (!e.kind && more)
            e = pg_copy_next(c, pair, &p, &more);
        assert_fails(*rows[i].kind, e);
        const error end = pg_copy_finish(&c, NULL);
        assert_true(!end.kind || error_is(end, &PG_DATA_EXCEPTION));
    }
    (void)count();
}

/* All of it, as text. */
static str copied_out(const char *sql)
{
    pg_copy *c;
    str bytes;
    buf all;
    buf_init_arena(&all, fiber_arena(), 1 << 20);
    assert_ok(pg_copy_out(db, &c, sql));
    do {
        assert_ok(pg_copy_read(c, &bytes));
        buf_append(&all, bytes);
    } while (bytes.len > 0);
    assert_ok(pg_copy_finish(&c, NULL));
    return buf_str(&all);
}

#define VALUES_OF_ALL_KINDS                                                             \
    "(values (1::int2, 'a\"b, \\ c'::text, null::text, ''::text, true, 1.50::numeric, " \
    "'2026-01-31'::date, '{1,null}'::int4[], '\\x00ff'::bytea), "                       \
    "(null, null, null, null, null, null, null, null, null)) v"

static void test_copy_out_writes_each_format(void **state)
{
    (void)state;
    assert_str_equal(copied_out("copy (select * from " VALUES_OF_ALL_KINDS ") to stdout"),
                     STR("1\ta\"b, \\\\ c\t\\N\t\tt\t1.50\t2026-01-31\t{1,NULL}\t\\\\x00ff\n"
                         "\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n"));
    assert_str_equal(
        copied_out("copy (select * from " VALUES_OF_ALL_KINDS ") to stdout (format csv, header)"),
        STR("column1,column2,column3,column4,column5,column6,column7,column8,column9\n"
            "1,\"a\"\"b, \\ c\",,\"\",t,1.50,2026-01-31,\"{1,NULL}\",\\x00ff\n"
            ",,,,,,,,\n"));
    const str binary =
        copied_out("copy (select * from " VALUES_OF_ALL_KINDS ") to stdout (format binary)");
    assert_true(str_starts_with(binary, (str){ "PGCOPY\n\377\r\n\0", 11 }));
}

/* What comes out in a format goes in again, and is the same: of every type that a table may have.
 */
static void test_copy_of_every_type_goes_round_in_each_format(void **state)
{
    (void)state;
    static const char *const formats[] = { "text", "csv", "binary" };
    static const char TABLE[] =
        "create temp table %s (a bool, b \"char\", c name, d int2, e int4, f int8, g oid, h float4, "
        "i float8, j numeric, k money, l text, m varchar(9), n char(3), o bytea, p date, q time, "
        "r timetz, s timestamp, t timestamptz, u interval, v uuid, w json, x jsonb, y inet, z cidr, "
        "aa macaddr, ab macaddr8, ac bit(3), ad varbit, ae point, af line, ag lseg, ah box, ai path, "
        "aj polygon, ak circle, al tsvector, am tsquery, an int4range, ao nummultirange, ap "
        "tstzrange, aq int4[], ar text[][], as_ pg_lsn, at_ xid8, au tid, av jsonpath) on commit drop";
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        pg_tx *tx;
        pg_copy *c;
        pg_rows rows;
        str bytes, text;
        buf all;
        bool same = false;
        buf_init_arena(&all, fiber_arena(), 1 << 20);
        assert_ok(pg_begin(db, &tx));
        assert_ok(pg_script(tx, str_format(fiber_arena(), TABLE, "one")));
        assert_ok(pg_script(tx, str_format(fiber_arena(), TABLE, "two")));
        assert_ok(pg_script(
            tx, STR("insert into one values (true, 'x', 'na', -1, 2, -3, 4, 1.5, 'nan', "
                    "'-12345678901234567890.0123', '12.34', e'a\\tb\\n\\\\ \"c\"', 'v,', 'ch', "
                    "'\\x00ff0a', '2026-01-31', '24:00', '12:00:01.5+02', 'infinity', "
                    "'0044-03-15 BC', '1 mon -2 days 3.5 s', gen_random_uuid(), '{\"a\" : 1}', "
                    "'[null]', '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', "
                    "'08:00:2b:01:02:03:04:05', '101', '1', '(1,2)', '{1,2,3}', '[(0,0),(1,1)]', "
                    "'((0,0),(1,1))', '[(0,0),(1,2)]', '((0,0),(1,1),(2,0))', '<(0,0),1>', "
                    "'a:1A b', 'a & !b', '[1,5)', '{[1.5,2),(3,)}', '(,infinity)', '{1,NULL,3}', "
                    "'{{a,\"b c\"},{NULL,\"\"}}', '16/B374D848', '7', '(1,2)', '$.a[*]'); "
                    "insert into one default values")));
        assert_ok(pg_copy_out(
            tx, &c, str_format(fiber_arena(), "copy one to stdout (format %s)", formats[i])));
        do {
            assert_ok(pg_copy_read(c, &bytes));
            buf_append(&all, bytes);
        } while (bytes.len > 0);
        assert_ok(pg_copy_finish(&c, NULL));
        assert_ok(pg_copy_in(
            tx, &c, str_format(fiber_arena(), "copy two from stdin (format %s)", formats[i])));
        assert_ok(pg_copy_write(c, buf_str(&all)));
        assert_ok(pg_copy_finish(&c, NULL));
        assert_ok(pg_query(tx, &rows,
                           "select (select string_agg(one::text, e'\n') from one) = (select "
                           "string_agg(two::text, e'\n') from two), (select "
                           "string_agg(two::text, e'\n') from two)"));
        assert_ok(pg_get(&rows, 0, 0, &same));
        assert_ok(pg_get(&rows, 0, 1, &text));
        assert_true(same && text.len > 500);
        assert_ok(pg_commit(&tx));
    }
}

static void test_copy_of_no_rows_is_no_error(void **state)
{
    (void)state;
    static const char *const STATEMENTS[] = { "copy copied from stdin (format binary)",
                                              "copy copied from stdin" };
    for (size_t i = 0; i < ARRAY_LEN(STATEMENTS); i++) {
        pg_copy *c;
        uint64_t affected = 1;
        assert_ok(pg_copy_in(db, &c, STATEMENTS[i]));
        assert_ok(pg_copy_finish(&c, &affected));
        assert_int_equal(affected, 0);
    }
}

static void test_copy_in_that_fails_leaves_nothing(void **state)
{
    (void)state;
    pg_copy *c;
    assert_ok(pg_copy_in(db, &c, "copy copied (id) from stdin"));
    assert_ok(pg_copy_write(c, STR("1\n2\nthree\n")));
    error e = pg_copy_finish(&c, NULL);
    assert_string_equal(error_detail_of(e)->sqlstate, "22P02");
    assert_int_equal(count(), 0);
    /* What the server has found wrong is told before all of it was sent. */
    assert_ok(pg_copy_in(db, &c, "copy copied (id) from stdin"));
    e = pg_copy_write(c, STR("one\n"));
    for (int i = 0; i < 1000 && !e.kind; i++) {
        assert_ok(fiber_sleep(1));
        e = pg_copy_write(c, STR("1\n"));
    }
    assert_string_equal(error_detail_of(e)->sqlstate, "22P02");
    e = pg_copy_finish(&c, NULL);
    assert_string_equal(error_detail_of(e)->sqlstate, "22P02");
    assert_fails(PG_UNDEFINED_TABLE, pg_copy_in(db, &c, "copy no_such_table from stdin"));
    assert_null(c);
    assert_int_equal(count(), 0);
}

static error copy_and_return(void *arg)
{
    pg_copy *c;
    (void)arg;
    TRY(pg_copy_in(db, &c, "copy copied (id) from stdin"));
    TRY(pg_copy_write(c, STR("1\n2\n")));
    return error_set(&PG_FAILED, "for a reason of its own");
}

static error copy_out_and_return(void *arg)
{
    pg_copy *c;
    str bytes;
    (void)arg;
    TRY(pg_copy_out(db, &c, "copy (select generate_series(1, 1000000)) to stdout"));
    return pg_copy_read(c, &bytes);
}

static int32_t server_process(void)
{
    pg_rows rows;
    int32_t process = 0;
    assert_ok(pg_query(db, &rows, "select pg_backend_pid()"));
    assert_ok(pg_get(&rows, 0, 0, &process));
    return process;
}

static void test_copy_left_by_a_return_leaves_nothing(void **state)
{
    (void)state;
    const int32_t process = server_process();
    for (int i = 0; i < 4; i++) {
        assert_fails(PG_FAILED, scope_call(NULL, copy_and_return, NULL));
        assert_ok(scope_call(NULL, copy_out_and_return, NULL));
        assert_int_equal(count(), 0);
    }
    pg_rows rows; /* the connection is good */
    int64_t left = 0;
    assert_ok(pg_query(db, &rows, "select count(*) from pg_stat_activity where pid = $1", process));
    assert_ok(pg_get(&rows, 0, 0, &left));
    assert_int_equal(left, 1);
}

static error copy_slowly(void *arg)
{
    pg_copy *c;
    (void)arg;
    TRY(pg_copy_in(db, &c, "copy copied (id) from stdin"));
    TRY(pg_copy_write(c, STR("1\n")));
    TRY(fiber_sleep(10000));
    return pg_copy_finish(&c, NULL);
}

static void test_copy_past_its_deadline_leaves_nothing(void **state)
{
    (void)state;
    assert_fails(TIMED_OUT, scope_call(&(scope_options){ .deadline_ms = 100 }, copy_slowly, NULL));
    assert_int_equal(count(), 0);
}

static void test_copy_out_gives_all_rows(void **state)
{
    (void)state;
    pg_copy *c;
    uint64_t affected = 0, lines = 0;
    assert_ok(pg_copy_out(db, &c, "copy (select n from generate_series(1, 300000) n) to stdout"));
    for (;;) {
        str bytes;
        assert_ok(pg_copy_read(c, &bytes));
        if (bytes.len == 0)
            break;
        assert_int_equal(bytes.ptr[bytes.len - 1], '\n');
        for (size_t i = 0; i < bytes.len; i++)
            lines += bytes.ptr[i] == '\n';
    }
    assert_ok(pg_copy_finish(&c, &affected));
    assert_int_equal(lines, 300000);
    assert_int_equal(affected, 300000);
}

/* One that is not read keeps the server waiting, not the data in memory; others go on. */
static void test_copy_out_goes_as_fast_as_it_is_read(void **state)
{
    (void)state;
    pg_copy *c;
    uint64_t bytes_read = 0;
    size_t most = 0;
    assert_ok(pg_copy_out(
        db, &c, "copy (select repeat('x', 10000) from generate_series(1, 20000)) to stdout"));
    assert_ok(fiber_sleep(100));
    assert_ok(pg_execute(db, NULL, "select 1"));
    for (;;) {
        str bytes;
        assert_ok(pg_copy_read(c, &bytes));
        if (bytes.len == 0)
            break;
        bytes_read += bytes.len;
        most = bytes.len > most ? bytes.len : most;
    }
    assert_ok(pg_copy_finish(&c, NULL));
    assert_int_equal(bytes_read, 20000 * 10001);
    assert_true(most < (1 << 20));
}

static void test_copy_in_a_transaction_is_part_of_it(void **state)
{
    (void)state;
    pg_tx *tx;
    pg_copy *c;
    uint64_t affected;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_copy_in(tx, &c, "copy copied (id) from stdin"));
    assert_ok(pg_copy_write(c, STR("1\n2\n")));
    assert_ok(pg_copy_finish(&c, &affected));
    assert_ok(pg_execute(tx, NULL, "insert into copied (id) values (3)"));
    assert_ok(pg_rollback(&tx));
    assert_int_equal(count(), 0);
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_copy_in(tx, &c, "copy copied (id) from stdin"));
    assert_ok(pg_copy_finish(&c, &affected));
    assert_int_equal(affected, 0);
    assert_ok(pg_commit(&tx));
}

static void test_copy_of_another_kind_is_refused(void **state)
{
    (void)state;
    pg_copy *c;
    assert_fails(PG_INVALID_ARGUMENT, pg_copy_in(db, &c, "select 1"));
    assert_fails(PG_INVALID_ARGUMENT, pg_copy_in(db, &c, ""));
    assert_fails(PG_INVALID_ARGUMENT, pg_copy_in(db, &c, "copy copied to stdout"));
    assert_fails(PG_INVALID_ARGUMENT, pg_copy_out(db, &c, "copy copied from stdin"));
    assert_null(c);
    assert_int_equal(count(), 0);
}

/* More than either socket holds. */
static void test_copy_in_of_megabytes_waits_for_the_server(void **state)
{
    (void)state;
    enum {
        BYTES = 1000000
    };
    pg_copy *c;
    char *line = arena_alloc(fiber_arena(), BYTES + 16, 1);
    assert_ok(pg_copy_in(db, &c, "copy copied (id, name) from stdin"));
    for (int i = 0; i < 50; i++) {
        const int at = snprintf(line, 16, "%d\t", i);
        memset(line + at, 'x', BYTES);
        line[at + BYTES] = '\n';
        assert_ok(pg_copy_write(c, (str){ line, (size_t)at + BYTES + 1 }));
    }
    assert_ok(pg_copy_finish(&c, NULL));
    assert_int_equal(count(), 50);
}

/* Refused before any of it is sent: the rows around it are copied. */
static void test_copy_row_past_64_mib_is_refused_alone(void **state)
{
    (void)state;
    static char megabytes[65 << 20];
    pg_copy *c;
    uint64_t affected;
    const str one = { megabytes, 1000000 };
    const str half = { megabytes, (size_t)33 << 20 }, all = { megabytes, sizeof megabytes };
    assert_ok(pg_copy_in(db, &c, "copy copied (id, name) from stdin (format binary)"));
    assert_ok(pg_copy_row(c, (int64_t)1, STR("first")));
    assert_fails(PG_MESSAGE_TOO_LARGE, pg_copy_row(c, (int64_t)2, all));
    assert_fails(PG_MESSAGE_TOO_LARGE, pg_copy_row(c, half, half));
    memset(megabytes, 'x', one.len);
    assert_ok(pg_copy_row(c, (int64_t)3, one));
    assert_ok(pg_copy_finish(&c, &affected));
    assert_int_equal(affected, 2);
    assert_int_equal(count(), 2);
}

#define TEST(name) cmocka_unit_test_setup(name, empty_table)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_copy_in_takes_text_cut_anywhere),
        TEST(test_copy_in_takes_csv),
        TEST(test_copy_rows_of_values_arrive_as_they_went),
        TEST(test_copy_of_structs_gives_them_back),
        TEST(test_copy_next_of_another_row_is_a_mismatch),
        TEST(test_copy_out_writes_each_format),
        TEST(test_copy_of_every_type_goes_round_in_each_format),
        TEST(test_copy_of_no_rows_is_no_error),
        TEST(test_copy_in_that_fails_leaves_nothing),
        TEST(test_copy_left_by_a_return_leaves_nothing),
        TEST(test_copy_past_its_deadline_leaves_nothing),
        TEST(test_copy_out_gives_all_rows),
        TEST(test_copy_out_of_a_row_of_megabytes_ends),
        TEST(test_copy_out_goes_as_fast_as_it_is_read),
        TEST(test_copy_in_a_transaction_is_part_of_it),
        TEST(test_copy_of_another_kind_is_refused),
        TEST(test_copy_in_of_megabytes_waits_for_the_server),
        TEST(test_copy_row_past_64_mib_is_refused_alone),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
