/* The PostgreSQL client without HTTP: many fibers, each of which fetches a note by its id again and
 * again, on one worker's pool. bench/run.sh makes the notes, and has pgbench do the same.
 *
 *   bench_pg FIBERS SECONDS FIRST COUNT [read_only]
 *       ids FIRST to FIRST + COUNT - 1, in DATABASE_URL; on the pool, or on its read-only lane
 *
 * Prints queries a second, and the microseconds of CPU that this process spent on each. */
#include "measure.h"

#include "core/loop.h"
#include "pg/pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define FIBERS_MAX   1000
#define WARM_SECONDS 0.3

typedef struct load {
    pg_pool *pool;
    uint64_t fibers;
    double seconds;
    int64_t first;
    int64_t count;
    bool read_only;
    uint64_t queries;
    bool stopped;
} load;

static int64_t random_id(const load *l)
{
    static uint64_t seed = 88172645463325252ULL; /* the same run every time */
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return l->first + (int64_t)(seed % (uint64_t)l->count);
}

static error fetch_one(load *l)
{
    const int64_t id = random_id(l);
    int64_t found;
    str title;
    pg_rows rows;
    const pg_target on = l->read_only ? pg_read_only(l->pool) : PG_TARGET(l->pool);
    TRY(pg_query(on, &rows,
                 "select id, account_id, title, body, created_at from notes "
                 "where id = $1 and account_id = $2",
                 id, (int64_t)1));
    if (rows.count != 1)
        return error_set(&PG_FAILED, "no note %lld of account 1", (long long)id);
    TRY(pg_get(&rows, 0, 0, &found));
    TRY(pg_get(&rows, 0, 2, &title));
    invariant(found == id && title.len > 0);
    l->queries++;
    return OK;
}

static error fetch(void *arg)
{
    load *l = arg;
    while (!l->stopped) {
        TRY(fetch_one(l));
        arena_reset(fiber_arena());
    }
    return OK;
}

static double cpu_us(void)
{
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) < 0)
        return 0;
    return ((double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec) * 1e6 +
           (double)used.ru_utime.tv_usec + (double)used.ru_stime.tv_usec;
}

static error run(void *arg)
{
    load *l = arg;
    static fiber *handles[FIBERS_MAX];
    const fiber_options options = { .name = "fetch", .joinable = true };
    TRY(pg_pool_open(NULL, &l->pool));
    for (uint64_t i = 0; i < l->fibers; i++)
        TRY(fiber_start(loop_self(), &options, fetch, l, &handles[i]));
    TRY(fiber_sleep((uint32_t)(WARM_SECONDS * 1000)));
    const uint64_t queries = l->queries;
    const double began_ns = measure_clock_ns(), began_us = cpu_us();
    TRY(fiber_sleep((uint32_t)(l->seconds * 1000)));
    const double done = (double)(l->queries - queries);
    printf("pg_queries_a_second %.0f\npg_cpu_us_a_query %.2f\n",
           done / ((measure_clock_ns() - began_ns) / 1e9), (cpu_us() - began_us) / done);
    l->stopped = true;
    for (uint64_t i = 0; i < l->fibers; i++)
        TRY(fiber_join(&handles[i]));
    pg_pool_close(&l->pool);
    return OK;
}

int main(int argc, char **argv)
{
    load l = { 0 };
    if (argc == 5 || argc == 6) {
        l.fibers = strtoull(argv[1], NULL, 10);
        l.seconds = (double)strtoull(argv[2], NULL, 10);
        l.first = strtoll(argv[3], NULL, 10);
        l.count = strtoll(argv[4], NULL, 10);
        l.read_only = argc == 6;
    }
    if (l.fibers == 0 || l.fibers > FIBERS_MAX || l.seconds == 0 || l.count <= 0) {
        (void)fprintf(stderr, "usage: bench_pg FIBERS SECONDS FIRST COUNT [read_only]\n");
        return 2;
    }
    const error e = loop_run_fiber(run, &l);
    if (error_is_ok(e))
        return 0;
    char text[512];
    error_describe(e, text, sizeof text);
    (void)fprintf(stderr, "bench_pg: %s\n", text);
    return 1;
}
