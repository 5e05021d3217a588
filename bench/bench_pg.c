/* The PostgreSQL client without HTTP, case by case, beside bench_libpq, which does the same with
 * libpq; see pg_load.h for how both measure.
 *
 *   one         a fiber that asks for a note again and again
 *   shared      64 such fibers on one connection, a Sync a query
 *   pool        the same on a pool of eight connections
 *   read_only   the same on one connection of the read-only lane
 *   write       four fibers that insert a row again and again, on the pool of eight
 *   sequence    twenty of these queries one after the other; pipeline, batch: together
 *   decode      a hundred rows of ten columns, by pg_get into structs; decode_orm: by orm_list
 *   rows_json   the same rows as JSON, by pg_rows_json; structs_json: by pg_get and a shape
 *   bills       a hundred rows of amounts, dates and times, by pg_get; bills_values: as values
 *   copy_in     rows into an empty table; copy_out: a table's rows, as text and dropped
 *
 * DATABASE_URL has the tables that bench/pg_rows.sh makes. */
#include "pg_load.h"

#include "core/json.h"
#include "core/loop.h"
#include "core/scope.h"
#include "orm/orm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_FIELDS(F)             \
    F(id, int8, .primary_key = true) \
    F(account_id, int8)              \
    F(parent_id, opt_int8)           \
    F(cents, int8)                   \
    F(seen, int4)                    \
    F(rank, int4)                    \
    F(score, float8)                 \
    F(is_open, bool)                 \
    F(name, text)                    \
    F(note, text)
ORM_TABLE(sample, "samples", SAMPLE_FIELDS)

/* What none of a shape's types is. */
typedef struct bill {
    int64_t id;
    pg_numeric net;
    pg_numeric tax;
    pg_numeric total;
    pg_date issued;
    pg_date due;
    pg_timestamp booked;
    timestamptz seen;
    pg_time opens;
    pg_interval took;
} bill;

static load run_load;
static pg_pool *db;

/* --- one query at a time, or many ------------------------------------------------------------- */

static error take_note(const pg_rows *rows, int64_t id)
{
    int64_t found;
    str title;
    if (rows->count != 1)
        return error_set(&PG_FAILED, "no note %lld of account 1", (long long)id);
    TRY(pg_get(rows, 0, 0, &found));
    TRY(pg_get(rows, 0, 2, &title));
    invariant(found == id && title.len > 0);
    return OK;
}

static error fetch(pg_target on)
{
    const int64_t id = load_note_id();
    pg_rows rows;
    TRY(pg_query(on, &rows, LOAD_NOTE_SQL, id, (int64_t)1));
    return take_note(&rows, id);
}

static error fetch_again_and_again(void *arg)
{
    const pg_target on = *(const pg_target *)arg;
    do {
        arena_reset(fiber_arena());
        TRY(fetch(on));
    } while (load_goes_on(&run_load, 1));
    return OK;
}

static error fetch_by_many(pg_target on)
{
    static fiber *handles[LOAD_DEPTH];
    const fiber_options options = { .name = "fetch", .joinable = true };
    for (size_t i = 0; i < LOAD_DEPTH; i++)
        TRY(fiber_start(loop_self(), &options, fetch_again_and_again, &on, &handles[i]));
    error first = OK;
    for (size_t i = 0; i < LOAD_DEPTH; i++) {
        const error e = fiber_join(&handles[i]);
        if (!first.kind)
            first = e;
    }
    return first;
}

/* A few that write one row each, again and again. */
static error write_again_and_again(void *arg)
{
    (void)arg;
    do {
        arena_reset(fiber_arena());
        TRY(pg_execute(db, NULL, "insert into points values ($1, $2, 'a point')", load_note_id(),
                       (int32_t)1));
    } while (load_goes_on(&run_load, 1));
    return OK;
}

static error run_writers(void)
{
    fiber *handles[LOAD_WRITERS];
    const fiber_options options = { .name = "write", .joinable = true };
    for (size_t i = 0; i < LOAD_WRITERS; i++)
        TRY(fiber_start(loop_self(), &options, write_again_and_again, NULL, &handles[i]));
    error first = OK;
    for (size_t i = 0; i < LOAD_WRITERS; i++) {
        const error e = fiber_join(&handles[i]);
        if (!first.kind)
            first = e;
    }
    return first;
}

static error run_one(void)
{
    pg_target on = PG_TARGET(db);
    return fetch_again_and_again(&on);
}

static error run_shared(void)
{
    return fetch_by_many(PG_TARGET(db));
}

static error run_read_only(void)
{
    return fetch_by_many(pg_read_only(db));
}

/* --- twenty queries of one request ------------------------------------------------------------ */

static error run_sequence(void)
{
    do {
        arena_reset(fiber_arena());
        for (size_t i = 0; i < LOAD_REQUEST; i++)
            TRY(fetch(PG_TARGET(db)));
    } while (load_goes_on(&run_load, 1));
    return OK;
}

static error fetch_together(bool sync_each)
{
    pg_batch *b = pg_batch_new();
    pg_rows rows[LOAD_REQUEST];
    int64_t ids[LOAD_REQUEST];
    for (size_t i = 0; i < LOAD_REQUEST; i++) {
        ids[i] = load_note_id();
        pg_batch_query(b, &rows[i], LOAD_NOTE_SQL, ids[i], (int64_t)1);
    }
    TRY(sync_each ? pg_pipeline_run(db, b) : pg_batch_run(db, b));
    for (size_t i = 0; i < LOAD_REQUEST; i++)
        TRY(take_note(&rows[i], ids[i]));
    return OK;
}

static error run_together(bool sync_each)
{
    do {
        arena_reset(fiber_arena());
        TRY(fetch_together(sync_each));
    } while (load_goes_on(&run_load, 1));
    return OK;
}

static error run_pipeline(void)
{
    return run_together(true);
}

static error run_batch(void)
{
    return run_together(false);
}

/* --- rows into structs ------------------------------------------------------------------------ */

static error take_samples(const sample *samples, size_t count)
{
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += samples[i].id + samples[i].seen + (int64_t)samples[i].note.len;
    if (count != LOAD_ROWS || sum <= 0)
        return error_set(&PG_FAILED, "%zu samples", count);
    return OK;
}

static error decode_sample(const pg_rows *rows, size_t i, sample *s)
{
    TRY(pg_get(rows, i, 0, &s->id));
    TRY(pg_get(rows, i, 1, &s->account_id));
    TRY(pg_get(rows, i, 2, &s->parent_id));
    TRY(pg_get(rows, i, 3, &s->cents));
    TRY(pg_get(rows, i, 4, &s->seen));
    TRY(pg_get(rows, i, 5, &s->rank));
    TRY(pg_get(rows, i, 6, &s->score));
    TRY(pg_get(rows, i, 7, &s->is_open));
    TRY(pg_get(rows, i, 8, &s->name));
    return pg_get(rows, i, 9, &s->note);
}

static error fetch_samples(sample **samples, size_t *count)
{
    pg_rows rows;
    arena_reset(fiber_arena());
    TRY(pg_query(db, &rows, LOAD_SAMPLES_SQL, load_note_id() / 2));
    *samples = arena_alloc(fiber_arena(), rows.count * sizeof(sample), _Alignof(sample));
    *count = rows.count;
    for (size_t i = 0; i < rows.count; i++)
        TRY(decode_sample(&rows, i, &(*samples)[i]));
    return OK;
}

static error run_decode(void)
{
    sample *samples;
    size_t count;
    do {
        TRY(fetch_samples(&samples, &count));
        TRY(take_samples(samples, count));
    } while (load_goes_on(&run_load, 1));
    return OK;
}

static error decode_bill(const pg_rows *rows, size_t i, bill *b)
{
    TRY(pg_get(rows, i, 0, &b->id));
    TRY(pg_get(rows, i, 1, &b->net));
    TRY(pg_get(rows, i, 2, &b->tax));
    TRY(pg_get(rows, i, 3, &b->total));
    TRY(pg_get(rows, i, 4, &b->issued));
    TRY(pg_get(rows, i, 5, &b->due));
    TRY(pg_get(rows, i, 6, &b->booked));
    TRY(pg_get(rows, i, 7, &b->seen));
    TRY(pg_get(rows, i, 8, &b->opens));
    return pg_get(rows, i, 9, &b->took);
}

static error run_bills(bool as_values)
{
    const pg_sql sql = PG_SQL(LOAD_BILLS_SQL);
    do {
        arena_reset(fiber_arena());
        pg_rows rows;
        int64_t days = 0;
        TRY(pg_query(db, &rows, as_values ? PG_AS_VALUES(sql) : sql, load_note_id() / 2));
        bill *bills = arena_alloc(fiber_arena(), rows.count * sizeof(bill), _Alignof(bill));
        for (size_t i = 0; i < rows.count; i++) {
            TRY(decode_bill(&rows, i, &bills[i]));
            days += bills[i].due.days - bills[i].issued.days;
        }
        if (rows.count != LOAD_ROWS || days != INT64_C(30) * LOAD_ROWS)
            return error_set(&PG_FAILED, "%zu bills, %lld days", rows.count, (long long)days);
    } while (load_goes_on(&run_load, 1));
    return OK;
}

static error run_bills_by_type(void)
{
    return run_bills(false);
}

static error run_bills_as_values(void)
{
    return run_bills(true);
}

static error run_decode_orm(void)
{
    do {
        arena_reset(fiber_arena());
        sample_list samples;
        TRY(orm_list(db, sample, &samples, orm_asc(sample, id), LOAD_ROWS,
                     orm_where(sample, id, GT, load_note_id() / 2)));
        TRY(take_samples(samples.items, samples.count));
    } while (load_goes_on(&run_load, 1));
    return OK;
}

/* --- rows as JSON ----------------------------------------------------------------------------- */

static error take_json(str text)
{
    const bool whole = str_starts_with(text, STR("[{\"id\":")) && str_ends_with(text, STR("}]"));
    return whole && text.len > UINT64_C(100) * LOAD_ROWS
               ? OK
               : error_set(&PG_FAILED, "no samples as JSON");
}

static error run_rows_json(void)
{
    do {
        pg_rows rows;
        str text;
        arena_reset(fiber_arena());
        TRY(pg_query(db, &rows, PG_AS_JSON(LOAD_SAMPLES_SQL), load_note_id() / 2));
        TRY(pg_rows_json(&rows, &text));
        TRY(take_json(text));
    } while (load_goes_on(&run_load, 1));
    return OK;
}

static error run_structs_json(void)
{
    sample *samples;
    size_t count;
    do {
        buf out;
        TRY(fetch_samples(&samples, &count));
        buf_init_arena(&out, fiber_arena(), PG_JSON_BYTES_MAX);
        json_write_shape_list(&out, SHAPE_OF(sample)(), samples, count);
        TRY(buf_status(&out));
        TRY(take_json(buf_str(&out)));
    } while (load_goes_on(&run_load, 1));
    return OK;
}

/* --- COPY ------------------------------------------------------------------------------------- */

static error copy_rows_in(void *arg)
{
    const uint64_t rows = *(const uint64_t *)arg;
    pg_copy *c;
    uint64_t copied;
    TRY(pg_execute(db, NULL, "truncate points"));
    TRY(pg_copy_in(db, &c, "copy points from stdin (format binary)"));
    for (uint64_t i = 0; i < rows; i++)
        TRY(pg_copy_row(c, (int64_t)i, (int32_t)(i % 1000), STR("a point of some name")));
    TRY(pg_copy_finish(&c, &copied));
    return copied == rows ? OK : error_set(&PG_FAILED, "%llu rows", (unsigned long long)copied);
}

static error copy_rows_out(void *arg)
{
    const uint64_t rows = *(const uint64_t *)arg;
    pg_copy *c;
    str bytes;
    uint64_t copied, total = 0;
    TRY(pg_copy_out(db, &c,
                    str_format(fiber_arena(),
                               "copy (select * from points_full limit %llu) to stdout",
                               (unsigned long long)rows)));
    do {
        TRY(pg_copy_read(c, &bytes));
        total += bytes.len;
    } while (bytes.len > 0);
    TRY(pg_copy_finish(&c, &copied));
    return copied == rows && total > rows ? OK : error_set(&PG_FAILED, "a short copy");
}

static error run_copy(error (*copy)(void *arg))
{
    uint64_t rows = load_copy_rows(&run_load);
    do {
        arena_reset(fiber_arena());
        TRY(scope_call(NULL, copy, &rows));
    } while (load_goes_on(&run_load, rows));
    return OK;
}

static error run_copy_in(void)
{
    return run_copy(copy_rows_in);
}

static error run_copy_out(void)
{
    return run_copy(copy_rows_out);
}

/* --- which ------------------------------------------------------------------------------------ */

static const struct pg_case {
    const char *name;
    error (*run)(void);
    uint32_t connections;
} CASES[] = {
    { "one", run_one, 1 },
    { "shared", run_shared, 1 },
    { "pool", run_shared, LOAD_CONNECTIONS },
    { "read_only", run_read_only, 1 },
    { "write", run_writers, LOAD_CONNECTIONS },
    { "sequence", run_sequence, 1 },
    { "pipeline", run_pipeline, 1 },
    { "batch", run_batch, 1 },
    { "decode", run_decode, 1 },
    { "decode_orm", run_decode_orm, 1 },
    { "rows_json", run_rows_json, 1 },
    { "structs_json", run_structs_json, 1 },
    { "bills", run_bills_by_type, 1 },
    { "bills_values", run_bills_as_values, 1 },
    { "copy_in", run_copy_in, 1 },
    { "copy_out", run_copy_out, 1 },
};

static error run_case(void *arg)
{
    const struct pg_case *c = arg;
    const pg_pool_options options = { .connections_max = c->connections };
    TRY(pg_pool_open(&options, &db));
    TRY(c->run());
    pg_pool_close(&db);
    return OK;
}

int main(int argc, char **argv)
{
    const struct pg_case *found = NULL;
    if (load_init(&run_load, argc, argv))
        for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
            found = strcmp(CASES[i].name, run_load.name) == 0 ? &CASES[i] : found;
    if (!found) {
        (void)fprintf(stderr, "usage: bench_pg CASE SECONDSs|COUNT\n");
        return 2;
    }
    struct pg_case chosen = *found;
    const error e = loop_run_fiber(run_case, &chosen);
    if (error_is_ok(e)) {
        load_print(&run_load);
        return 0;
    }
    char text[512];
    error_describe(e, text, sizeof text);
    (void)fprintf(stderr, "bench_pg: %s\n", text);
    return 1;
}
