/* How bench_pg and bench_libpq measure: the same cases on the same tables (bench/pg_rows.sh makes
 * them), the same clock, the same count.
 *
 *   PROGRAM CASE 2s     two seconds, once warm: prints "CASE rate N" (operations a second) and
 *                       "CASE cpu_us N" (of this process, user and system, an operation)
 *   PROGRAM CASE 1000   that many operations, and prints nothing: for tools that count, which take
 *                       the difference of two such runs
 *
 * An operation is what a case says: a query, a request of twenty, a row of a COPY. */
#ifndef BENCH_PG_LOAD_H
#define BENCH_PG_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#define LOAD_NOTES       1000 /* ids 1 to this */
#define LOAD_DEPTH       64   /* queries under way where many are */
#define LOAD_CONNECTIONS 8    /* where there is more than one */
#define LOAD_WRITERS     4
#define LOAD_GROUP       32  /* reads that share a Sync */
#define LOAD_REQUEST     20  /* queries of one request */
#define LOAD_ROWS        100 /* of a decoded answer */
#define LOAD_COPY_ROWS   1000000

/* One note by its id. */
#define LOAD_NOTE_SQL                                            \
    "select id, account_id, title, body, created_at from notes " \
    "where id = $1 and account_id = $2"
/* LOAD_ROWS rows of ten columns. */
#define LOAD_SAMPLES_SQL                                                               \
    "select id, account_id, parent_id, cents, seen, rank, score, is_open, name, note " \
    "from samples where id > $1 order by id limit 100"
/* The same of numbers, dates and times that come as text unless asked for as values. */
#define LOAD_BILLS_SQL                                                               \
    "select id, net, tax, total, issued, due, booked, seen, opens, took from bills " \
    "where id > $1 order by id limit 100"

typedef struct load {
    const char *name;
    double seconds; /* 0: `count` operations instead */
    uint64_t count;
    uint64_t done;
    uint64_t unchecked; /* since the last look at the clock */
    double began_ns;    /* 0: not warm yet */
    double began_us;
    double until_ns; /* the end of the warm-up, then of the run */
    uint64_t began_done;
    double ended_ns;
    double ended_us;
    bool over;
} load;

/* Reads the arguments. Returns false when they are none of the above. */
bool load_init(load *l, int argc, char **argv);
/* Adds operations that are done; returns whether there are to be more. */
bool load_goes_on(load *l, uint64_t more);
/* Prints what was measured. */
void load_print(const load *l);
/* An id of a note: the same ones in the same order every time. */
int64_t load_note_id(void);
/* Rows that one COPY is to have. */
uint64_t load_copy_rows(const load *l);

#endif
