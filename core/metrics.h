/* Metrics: counters, gauges and histograms in one shared mapping, made before the workers are
 * forked.
 *
 * A library or program describes its metrics in a constant table; their places in the table are an
 * enum of its own:
 *
 *   enum { ORDERS, ORDER_TIME };
 *   static const metric SHOP_METRIC_ROWS[] = {
 *       [ORDERS] = { "shop_orders_total", NULL, METRIC_COUNTER, "Orders taken." },
 *       [ORDER_TIME] = { "shop_order_seconds", NULL, METRIC_HISTOGRAM, "Time to take an order." },
 *   };
 *   static const metrics_table SHOP_METRICS = { SHOP_METRIC_ROWS, ARRAY_LEN(SHOP_METRIC_ROWS) };
 *
 *   static metrics_cells shop;
 *   shop = metrics_cells_of(&SHOP_METRICS);  // in on_worker_start; the http_app lists SHOP_METRICS
 *   metrics_add(shop, ORDERS, 1);            // in a handler
 *
 * Each worker writes only its own cells, with plain relaxed stores: no lock, no shared line. A
 * reader in any process sums the workers. A worker that is replaced goes on with its slot's cells,
 * so counters never go back; its gauges begin at zero. Without metrics_open, cells are private to
 * the process. A table with a label finds out its values by itself (metrics_cells_of_value). */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H

#include "core/buf.h"
#include "core/error.h"

typedef enum metric_type {
    METRIC_COUNTER = 1,
    METRIC_GAUGE,        /* summed over the workers */
    METRIC_HISTOGRAM,    /* of microseconds; exposed in seconds */
    METRIC_SUMMARY,      /* the same without its buckets: how many there were, and their sum */
    METRIC_DISTRIBUTION, /* a histogram of plain numbers: sizes, depths */
} metric_type;

typedef struct metric {
    const char *name;   /* "http_requests_total"; all of one name are neighbours, of one type */
    const char *labels; /* "class=\"2xx\"", escaped as Prometheus has it, or NULL */
    metric_type type;
    const char *help; /* one sentence; of neighbours of one name the first's is shown */
} metric;

typedef struct metrics_table {
    const metric *items;
    uint32_t count;
    /* Rows that stand once for each value of a label, which becomes known as the program runs: a
     * statement's name, say. Such a table has no gauges, and of its rows with labels of their own
     * those that count nothing are left out. NULL: each row stands once. */
    const char *label;
    uint32_t values_max;              /* told apart; any further one counts as METRICS_OTHER */
    const struct metrics_table *next; /* opened together with this one; NULL: none */
} metrics_table;

#define METRICS_TABLES_MAX      32
#define METRICS_VALUE_BYTES_MAX 64 /* of a label's value; what is longer is cut */
#define METRICS_OTHER           "other"

/* The calling worker's cells of one table. */
typedef struct metrics_cells {
    uint64_t *base;
    const uint32_t *offsets; /* of each metric, in cells */
} metrics_cells;

/* Maps the cells of `count` tables for `workers` slots (1..1024). Once, before forking and before
 * the first metrics_cells_of.
 *   fails  OUT_OF_MEMORY */
error metrics_open(const metrics_table *const *tables, uint32_t count, uint32_t workers);
/* Undoes it, and forgets private tables too: for tests that open one app after the other. No cells
 * may be used after it. */
void metrics_close(void);
/* Says which slot this process writes, and sets its gauges to zero; after the fork. */
void metrics_use_slot(uint32_t worker);
/* The cells of a table: shared when it was given to metrics_open, else private to the process (and
 * not exposed). Valid for the process's life. */
metrics_cells metrics_cells_of(const metrics_table *table);

/* The same of a table with a label, for one value of that; characters other than printable ASCII
 * become "_". It looks for the value: who counts often keeps the cells. */
metrics_cells metrics_cells_of_value(const metrics_table *table, str value);

/* Owner only. */
static inline void metrics_add(metrics_cells cells, uint32_t index, uint64_t n)
{
    uint64_t *cell = cells.base + cells.offsets[index];
    __atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}
static inline void metrics_subtract(metrics_cells cells, uint32_t index, uint64_t n)
{
    metrics_add(cells, index, -n);
}
static inline void metrics_set(metrics_cells cells, uint32_t index, uint64_t value)
{
    __atomic_store_n(cells.base + cells.offsets[index], value, __ATOMIC_RELAXED);
}
/* Counts one duration of a summary. */
static inline void metrics_sum_us(metrics_cells cells, uint32_t index, uint64_t us)
{
    uint64_t *sum = cells.base + cells.offsets[index], *count = sum + 1;
    __atomic_store_n(sum, __atomic_load_n(sum, __ATOMIC_RELAXED) + us, __ATOMIC_RELAXED);
    __atomic_store_n(count, __atomic_load_n(count, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}
/* Counts one duration of a histogram. Buckets are log-linear, four to each power of two: an error
 * below 25 %. */
void metrics_record_us(metrics_cells cells, uint32_t index, uint64_t us);
/* Counts one number of a distribution, in such buckets; those exposed are exact: 1, 3, 7, 15, … */
static inline void metrics_record(metrics_cells cells, uint32_t index, uint64_t number)
{
    metrics_record_us(cells, index, number);
}

/* Appends everything in the Prometheus text format 0.0.4. */
void metrics_expose(buf *out);
/* One metric summed over all workers (a histogram's or summary's count): for tests. */
uint64_t metrics_total(const metrics_table *table, uint32_t index);
/* The same of a table with a label, for one value of that; 0 when nobody has met it. */
uint64_t metrics_total_of(const metrics_table *table, str value, uint32_t index);

#endif
