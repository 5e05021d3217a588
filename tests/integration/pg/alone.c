/* The client used alone: a program with a main of its own, linked with the archives of pg and core
 * and nothing else of Brio's. It counts in a table that it makes, in a transaction, a batch and a
 * read, and ends with 0 when all is as it should be. */
#include "core/loop.h"
#include "pg/pg.h"

#include <stdio.h>
#include <stdlib.h>

static ERROR_KIND(WRONG_COUNT, ERROR_INTERNAL, "Not what was written.");

static error write_three(pg_pool *db)
{
    pg_tx *tx;
    TRY(pg_begin(db, &tx));
    TRY(pg_execute(tx, NULL, "create temporary table alone (n int8) on commit drop"));
    pg_batch *b = pg_batch_new();
    for (int64_t n = 1; n <= 3; n++)
        pg_batch_execute(b, NULL, "insert into alone values ($1)", n);
    TRY(pg_batch_run(tx, b));
    pg_rows rows;
    int64_t sum = 0;
    TRY(pg_query(tx, &rows, "select sum(n)::int8 from alone"));
    TRY(pg_get(&rows, 0, 0, &sum));
    TRY(sum == 6 ? OK : error_set(&WRONG_COUNT, "%lld", (long long)sum));
    return pg_commit(&tx);
}

static error run(void *arg)
{
    (void)arg;
    pg_pool *db;
    pg_rows rows;
    bool gone = false;
    TRY(pg_pool_open(NULL, &db));
    error e = write_three(db);
    if (!e.kind)
        e = pg_query(pg_read_only(db), &rows, "select to_regclass('alone') is null");
    if (!e.kind)
        e = pg_get(&rows, 0, 0, &gone);
    if (!e.kind && !gone)
        e = error_set(&WRONG_COUNT, "the table is still there");
    pg_pool_close(&db);
    return e;
}

int main(void)
{
    if (!getenv("DATABASE_URL")) {
        (void)fprintf(stderr, "skipped: DATABASE_URL is not set\n");
        return 77;
    }
    const error e = loop_run_fiber(run, NULL);
    char text[512];
    if (!e.kind)
        return 0;
    error_describe(e, text, sizeof text);
    (void)fprintf(stderr, "%s\n", text);
    return 1;
}
