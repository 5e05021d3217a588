/* Large objects of a real server: bytes and holes, transactions, scopes, errors, streams. */
#include "tests/support/database.h"

#define GIB (UINT64_C(1) << 30)

static pg_pool *db;

static int open_pool(void **state)
{
    (void)state;
    assert_ok(
        pg_pool_open(&(pg_pool_options){ .connections_max = 2, .acquire_timeout_ms = 3000 }, &db));
    return 0;
}

static int close_pool(void **state)
{
    (void)state;
    pg_pool_close(&db);
    return 0;
}

/* Bytes in which a piece that is lost, doubled or out of place shows. */
static char pattern(uint64_t at)
{
    return (char)(at * 31 + at / 251 + at / 65521);
}

static str make_pattern(size_t bytes)
{
    char *made = arena_alloc(fiber_arena(), bytes + 1, 1);
    for (size_t i = 0; i < bytes; i++)
        made[i] = pattern(i);
    return (str){ made, bytes };
}

static bool exists(pg_oid id)
{
    pg_rows rows;
    assert_ok(pg_query(db, &rows, "select 1 from pg_largeobject_metadata where oid = $1::oid",
                       (int64_t)id));
    return rows.count == 1;
}

/* A new object of these bytes. */
static pg_oid make_object(str bytes)
{
    pg_tx *tx;
    pg_lo *lo;
    pg_oid id;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_lo_create(tx, &id));
    assert_ok(pg_lo_open(tx, id, PG_LO_WRITE, &lo));
    assert_ok(pg_lo_write(lo, bytes));
    assert_int_equal(pg_lo_tell(lo), bytes.len);
    assert_ok(pg_lo_close(&lo));
    assert_null(lo);
    assert_ok(pg_commit(&tx));
    return id;
}

/* All of an object, read in pieces of at most `bytes_max`. */
static str read_object(pg_oid id, size_t bytes_max)
{
    pg_tx *tx;
    pg_lo *lo;
    buf all;
    buf_init(&all, 64U << 20);
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_lo_open(tx, id, PG_LO_READ, &lo));
    for (;;) {
        str piece;
        assert_ok(pg_lo_read(lo, bytes_max, &piece));
        if (piece.len == 0)
            break;
        assert_true(piece.len <= bytes_max && piece.len <= PG_LO_PIECE_BYTES);
        buf_append(&all, piece);
        assert_int_equal(pg_lo_tell(lo), all.len);
    }
    assert_ok(pg_lo_close(&lo));
    assert_ok(pg_commit(&tx));
    const str copy = str_copy(fiber_arena(), buf_str(&all));
    buf_deinit(&all);
    return copy;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static void test_large_object_of_any_size_is_read_as_written(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        0,
        1,
        2047,
        2048,
        2049,
        PG_LO_PIECE_BYTES - 1,
        PG_LO_PIECE_BYTES,
        PG_LO_PIECE_BYTES + 1,
        3000000,
    };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        const str bytes = make_pattern(sizes[i]);
        const pg_oid id = make_object(bytes);
        assert_true(id > 0 && exists(id));
        assert_true(str_eq(read_object(id, SIZE_MAX), bytes));
        assert_true(str_eq(read_object(id, 100000), bytes));
        assert_ok(pg_lo_unlink(db, id));
        assert_false(exists(id));
    }
}

static void test_large_object_part_of_it_is_read_and_overwritten(void **state)
{
    (void)state;
    const pg_oid id = make_object(STR("one two three"));
    pg_tx *tx;
    pg_lo *lo;
    str word;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_lo_open(tx, id, PG_LO_WRITE, &lo));
    assert_ok(pg_lo_seek(lo, 4));
    assert_ok(pg_lo_read(lo, 3, &word));
    assert_str_equal(word, STR("two"));
    assert_int_equal(pg_lo_tell(lo), 7);
    assert_ok(pg_lo_seek(lo, 4));
    assert_ok(pg_lo_write(lo, STR("2.0")));
    assert_ok(pg_lo_write(lo, STR_NONE));
    assert_ok(pg_lo_read(lo, 0, &word));
    assert_int_equal(word.len, 0);
    assert_ok(pg_lo_read(lo, 100, &word));
    assert_str_equal(word, STR(" three"));
    assert_ok(pg_lo_close(&lo));
    assert_ok(pg_lo_close(&lo)); /* of NULL */
    assert_ok(pg_commit(&tx));
    assert_str_equal(read_object(id, 5), STR("one 2.0 three"));
    assert_ok(pg_lo_unlink(db, id));
}

/* What was never written takes no room, and reads as zeros. */
static void test_large_object_past_4_gib_has_a_hole_of_zeros(void **state)
{
    (void)state;
    const pg_oid id = make_object(STR("begin"));
    pg_tx *tx;
    pg_lo *lo;
    str bytes;
    uint64_t size;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_lo_open(tx, id, PG_LO_WRITE, &lo));
    assert_ok(pg_lo_seek(lo, 5 * GIB));
    assert_int_equal(pg_lo_tell(lo), 5 * GIB);
    assert_ok(pg_lo_read(lo, 10, &bytes));
    assert_int_equal(bytes.len, 0); /* behind the end */
    assert_ok(pg_lo_write(lo, STR("end")));
    assert_int_equal(pg_lo_tell(lo), 5 * GIB + 3);
    assert_ok(pg_lo_size(lo, &size));
    assert_int_equal(size, 5 * GIB + 3);
    assert_int_equal(pg_lo_tell(lo), 5 * GIB + 3); /* stays */
    assert_ok(pg_lo_seek(lo, 5 * GIB - 4));
    assert_ok(pg_lo_read(lo, 100, &bytes));
    assert_str_equal(bytes, ((str){ "\0\0\0\0end", 7 }));
    assert_ok(pg_lo_seek(lo, 2));
    assert_ok(pg_lo_read(lo, 6, &bytes));
    assert_str_equal(bytes, ((str){ "gin\0\0\0", 6 }));
    assert_ok(pg_lo_close(&lo));
    assert_ok(pg_commit(&tx));
    assert_ok(pg_lo_unlink(db, id));
}

static void test_large_object_is_truncated_and_extended(void **state)
{
    (void)state;
    const pg_oid id = make_object(STR("abcdef"));
    pg_tx *tx;
    pg_lo *lo;
    uint64_t size;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_lo_open(tx, id, PG_LO_WRITE, &lo));
    assert_ok(pg_lo_truncate(lo, 3));
    assert_ok(pg_lo_size(lo, &size));
    assert_int_equal(size, 3);
    assert_int_equal(pg_lo_tell(lo), 0);
    assert_ok(pg_lo_truncate(lo, 5));
    assert_ok(pg_commit(&tx));   /* still open: its transaction has closed it */
    assert_ok(pg_lo_close(&lo)); /* which is no mistake */
    assert_str_equal(read_object(id, 100), ((str){ "abc\0\0", 5 }));

    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_lo_open(tx, id, PG_LO_WRITE, &lo));
    assert_ok(pg_lo_truncate(lo, 6 * GIB));
    assert_ok(pg_lo_size(lo, &size));
    assert_int_equal(size, 6 * GIB);
    assert_ok(pg_lo_truncate(lo, 0));
    assert_ok(pg_lo_size(lo, &size));
    assert_int_equal(size, 0);
    assert_ok(pg_lo_close(&lo));
    assert_ok(pg_rollback(&tx));
    assert_int_equal(read_object(id, 100).len, 5);
    assert_ok(pg_lo_unlink(db, id));
}

/* --- errors ----------------------------------------------------------------------------------- */

static void test_large_object_that_is_not_there_is_undefined(void **state)
{
    (void)state;
    const pg_oid id = make_object(STR("gone"));
    pg_tx *tx;
    pg_lo *lo;
    assert_ok(pg_lo_unlink(db, id));
    assert_fails(PG_UNDEFINED_OBJECT, pg_lo_unlink(db, id));
    assert_ok(pg_begin(db, &tx));
    assert_fails(PG_UNDEFINED_OBJECT, pg_lo_open(tx, id, PG_LO_READ, &lo));
    assert_null(lo);
    assert_fails(PG_IN_FAILED_TRANSACTION, pg_lo_open(tx, id, PG_LO_READ, &lo));
    assert_ok(pg_rollback(&tx));
}

/* Found before the server is asked: the transaction goes on. */
static void test_large_object_opened_to_be_read_is_not_written(void **state)
{
    (void)state;
    const pg_oid id = make_object(STR("fixed"));
    pg_tx *tx;
    pg_lo *lo;
    str bytes;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_lo_open(tx, id, PG_LO_READ, &lo));
    assert_fails(PG_INVALID_ARGUMENT, pg_lo_write(lo, STR("x")));
    assert_fails(PG_INVALID_ARGUMENT, pg_lo_truncate(lo, 0));
    assert_fails(PG_DATA_EXCEPTION, pg_lo_seek(lo, UINT64_MAX));
    assert_ok(pg_lo_read(lo, 10, &bytes));
    assert_str_equal(bytes, STR("fixed"));
    assert_ok(pg_lo_close(&lo));
    assert_ok(pg_commit(&tx));
    assert_ok(pg_lo_unlink(db, id));
}

/* 4 TiB is the server's limit, and an error of the server's fails the transaction. */
static void test_large_object_past_its_limit_is_a_data_exception(void **state)
{
    (void)state;
    const pg_oid id = make_object(STR("small"));
    pg_tx *tx;
    pg_lo *lo;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_lo_open(tx, id, PG_LO_WRITE, &lo));
    const error e = pg_lo_seek(lo, 5000 * GIB);
    assert_fails(PG_DATA_EXCEPTION, e);
    assert_string_equal(error_detail_of(e)->sqlstate, "22023");
    assert_ok(pg_lo_close(&lo)); /* the server has, with the error */
    assert_non_null(pg_error_report(e));
    assert_true(pg_error_report(e)->message.len > 0); /* outlives the object's memory */
    assert_ok(pg_rollback(&tx));
    assert_str_equal(read_object(id, 100), STR("small"));
    assert_ok(pg_lo_unlink(db, id));
}

/* --- transactions and scopes ------------------------------------------------------------------ */

static void test_large_object_of_a_rolled_back_transaction_is_as_before(void **state)
{
    (void)state;
    const pg_oid id = make_object(STR("before"));
    pg_tx *tx, *inner;
    pg_lo *lo;
    pg_oid made;
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_lo_create(tx, &made));
    assert_ok(pg_lo_open(tx, id, PG_LO_WRITE, &lo));
    assert_ok(pg_lo_write(lo, STR("after!")));
    assert_ok(pg_rollback(&tx));
    assert_ok(pg_lo_close(&lo));
    assert_str_equal(read_object(id, 100), STR("before"));
    assert_false(exists(made));

    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_lo_open(tx, id, PG_LO_WRITE, &lo));
    assert_ok(pg_lo_write(lo, STR("BE")));
    assert_ok(pg_begin(tx, &inner));
    pg_lo *undone;
    assert_ok(pg_lo_open(inner, id, PG_LO_WRITE, &undone));
    assert_ok(pg_lo_truncate(undone, 1));
    assert_ok(pg_rollback(&inner));
    assert_ok(pg_lo_close(&undone));
    assert_ok(pg_lo_write(lo, STR("F"))); /* goes on where it was */
    assert_ok(pg_lo_close(&lo));
    assert_ok(pg_commit(&tx));
    assert_str_equal(read_object(id, 100), STR("BEFore"));
    assert_ok(pg_lo_unlink(db, id));
}

typedef struct opened {
    pg_tx *tx;
    pg_oid id;
} opened;

static error open_and_return(void *arg)
{
    const opened *o = arg;
    pg_lo *lo;
    str bytes;
    TRY(pg_lo_open(o->tx, o->id, PG_LO_READ, &lo));
    return pg_lo_read(lo, 2, &bytes);
}

/* The server's numbers begin again at 0 when the ones before are closed. */
static void test_large_object_is_closed_with_its_scope(void **state)
{
    (void)state;
    opened o = { .id = make_object(STR("scope")) };
    pg_rows rows;
    int32_t descriptor;
    assert_ok(pg_begin(db, &o.tx));
    for (int i = 0; i < 3; i++)
        assert_ok(scope_call(NULL, open_and_return, &o));
    assert_ok(pg_query(o.tx, &rows, "select lo_open($1::oid, 262144)", (int64_t)o.id));
    assert_ok(pg_get(&rows, 0, 0, &descriptor));
    assert_int_equal(descriptor, 0);
    assert_ok(pg_commit(&o.tx));
    assert_ok(pg_lo_unlink(db, o.id));
}

static error write_behind_a_lock(void *arg)
{
    const opened *o = arg;
    pg_lo *lo;
    TRY(pg_lo_open(o->tx, o->id, PG_LO_WRITE, &lo));
    TRY(pg_lo_read(lo, 1, &(str){ 0 }));
    return pg_lo_write(lo, STR("mine"));
}

/* Another transaction has written the same bytes and has not ended. */
static void test_large_object_write_cut_short_leaves_nothing(void **state)
{
    (void)state;
    opened o = { .id = make_object(STR("same")) };
    pg_tx *other;
    pg_lo *lo;
    assert_ok(pg_begin(db, &other));
    assert_ok(pg_lo_open(other, o.id, PG_LO_WRITE, &lo));
    assert_ok(pg_lo_write(lo, STR("thei")));
    assert_ok(pg_begin(db, &o.tx));
    assert_fails(TIMED_OUT,
                 scope_call(&(scope_options){ .deadline_ms = 200 }, write_behind_a_lock, &o));
    assert_ok(pg_rollback(&o.tx));
    assert_ok(pg_lo_close(&lo));
    assert_ok(pg_commit(&other));
    assert_str_equal(read_object(o.id, 100), STR("thei"));
    assert_ok(pg_lo_unlink(db, o.id));
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
}

/* --- streams ---------------------------------------------------------------------------------- */

typedef struct flow {
    uint64_t bytes; /* so far */
    uint64_t bytes_max;
    size_t piece_bytes;
    uint64_t fails_at; /* 0: never */
    bool sleeps;       /* at the end, instead */
    bool zeros;        /* are what is to come */
} flow;

static char flowing[70000]; /* the piece */

static error give(void *arg, str *piece)
{
    flow *f = arg;
    if (f->fails_at && f->bytes >= f->fails_at)
        return error_set(&CANCELED, "the source gave up");
    const uint64_t left = f->bytes_max - f->bytes;
    const size_t len = left < f->piece_bytes ? (size_t)left : f->piece_bytes;
    if (len == 0 && f->sleeps)
        TRY(fiber_sleep(60000));
    for (size_t i = 0; i < len; i++)
        flowing[i] = pattern(f->bytes + i);
    f->bytes += len;
    *piece = (str){ flowing, len };
    return OK;
}

static error take(void *arg, str piece)
{
    flow *f = arg;
    if (f->fails_at && f->bytes >= f->fails_at)
        return error_set(&CANCELED, "the sink gave up");
    for (size_t i = 0; i < piece.len; i++, f->bytes++) {
        if (piece.ptr[i] != (f->zeros ? 0 : pattern(f->bytes)))
            return error_set(&PG_FAILED, "a wrong byte at %llu", (unsigned long long)f->bytes);
    }
    return OK;
}

static void test_large_object_streams_in_and_out(void **state)
{
    (void)state;
    static const size_t piece_bytes[] = { 1000, 70000 };
    for (size_t i = 0; i < ARRAY_LEN(piece_bytes); i++) {
        flow in = { .bytes_max = 1234567, .piece_bytes = piece_bytes[i] }, out = { 0 },
             twice = { 0 };
        pg_oid id;
        assert_ok(pg_lo_import(db, give, &in, &id));
        assert_ok(pg_lo_export(db, id, take, &out));
        assert_int_equal(out.bytes, in.bytes_max);
        assert_ok(pg_lo_export(pg_read_only(db), id, take, &twice));
        assert_int_equal(twice.bytes, in.bytes_max);
        assert_ok(pg_lo_unlink(db, id));
    }
}

/* More than a fiber's arena could hold. */
static void test_large_object_streams_through_the_memory_of_a_piece(void **state)
{
    (void)state;
    const uint64_t bytes = UINT64_C(192) << 20;
    const pg_oid id = make_object(STR(""));
    pg_tx *tx;
    pg_lo *lo;
    flow out = { .zeros = true };
    assert_ok(pg_begin(db, &tx));
    assert_ok(pg_lo_open(tx, id, PG_LO_WRITE, &lo));
    assert_ok(pg_lo_truncate(lo, bytes));
    assert_ok(pg_lo_close(&lo));
    assert_ok(pg_lo_export(tx, id, take, &out));
    assert_int_equal(out.bytes, bytes);
    assert_ok(pg_commit(&tx));
    assert_ok(pg_lo_unlink(db, id));
}

static int64_t count_objects(void)
{
    pg_rows rows;
    int64_t count;
    assert_ok(pg_query(db, &rows, "select count(*) from pg_largeobject_metadata"));
    assert_ok(pg_get(&rows, 0, 0, &count));
    return count;
}

static void test_large_object_import_that_fails_leaves_none(void **state)
{
    (void)state;
    const int64_t before = count_objects();
    flow in = { .bytes_max = 1000000, .piece_bytes = 50000, .fails_at = 400000 };
    pg_tx *tx;
    pg_oid id;
    assert_fails(CANCELED, pg_lo_import(db, give, &in, &id));
    assert_int_equal(id, 0);
    assert_int_equal(count_objects(), before);

    in.bytes = 0; /* and the transaction around it goes on */
    assert_ok(pg_begin(db, &tx));
    assert_fails(CANCELED, pg_lo_import(tx, give, &in, &id));
    in = (flow){ .bytes_max = 5, .piece_bytes = 5 };
    assert_ok(pg_lo_import(tx, give, &in, &id));
    flow out = { .fails_at = 1 };
    assert_fails(PG_UNDEFINED_OBJECT, pg_lo_export(tx, 4000000000, take, &out));
    assert_ok(pg_lo_export(tx, id, take, &out));
    assert_ok(pg_commit(&tx));
    assert_int_equal(count_objects(), before + 1);
    assert_fails(CANCELED, pg_lo_export(db, id, take, &out)); /* it has taken enough */
    assert_ok(pg_lo_unlink(db, id));
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
}

static error import_on_a_fiber(void *arg)
{
    pg_oid id;
    return pg_lo_import(db, give, arg, &id);
}

static void test_large_object_import_canceled_leaves_none(void **state)
{
    (void)state;
    const int64_t before = count_objects();
    flow in = { .bytes_max = 600000, .piece_bytes = 70000, .sleeps = true };
    fiber *importer;
    assert_ok(fiber_start(loop_self(), &(fiber_options){ .name = "import", .joinable = true },
                          import_on_a_fiber, &in, &importer));
    while (in.bytes < in.bytes_max)
        assert_ok(fiber_sleep(1));
    fiber_cancel(importer, &CANCELED);
    assert_fails(CANCELED, fiber_join(&importer));
    assert_int_equal(count_objects(), before);
    assert_int_equal(pg_pool_stats_of(db).leased, 0);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_object_of_any_size_is_read_as_written),
        cmocka_unit_test(test_large_object_part_of_it_is_read_and_overwritten),
        cmocka_unit_test(test_large_object_past_4_gib_has_a_hole_of_zeros),
        cmocka_unit_test(test_large_object_is_truncated_and_extended),
        cmocka_unit_test(test_large_object_that_is_not_there_is_undefined),
        cmocka_unit_test(test_large_object_opened_to_be_read_is_not_written),
        cmocka_unit_test(test_large_object_past_its_limit_is_a_data_exception),
        cmocka_unit_test(test_large_object_of_a_rolled_back_transaction_is_as_before),
        cmocka_unit_test(test_large_object_is_closed_with_its_scope),
        cmocka_unit_test(test_large_object_write_cut_short_leaves_nothing),
        cmocka_unit_test(test_large_object_streams_in_and_out),
        cmocka_unit_test(test_large_object_streams_through_the_memory_of_a_piece),
        cmocka_unit_test(test_large_object_import_that_fails_leaves_none),
        cmocka_unit_test(test_large_object_import_canceled_leaves_none),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}

int main(void)
{
    return run_with_database(run);
}
