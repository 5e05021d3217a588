/* The shared cells. A slot is one worker's: all its tables one after another, each beginning on a
 * cache line of its own, so that no two workers write one line.
 *
 *   [slot 0: table 0 cells | table 1 cells …] [slot 1: …] …
 *
 * Invariant: offsets and slot size are fixed by metrics_open, before the first fork. */
#include "core/metrics.h"

#include "core/scalar.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SUB_BITS        2
#define SUB_BUCKETS     (1U << SUB_BITS)
#define POWERS          40 /* up to 2^40 us, 12 days; longer ones count in the last bucket */
#define BUCKETS         (POWERS * SUB_BUCKETS)
#define HISTOGRAM_CELLS (BUCKETS + 1) /* the sum stands first */
#define SUMMARY_CELLS   2             /* here too */
#define CELLS_MAX       (1U << 24)    /* of a table */
#define LINE_CELLS      8
#define WORKERS_MAX     1024
#define FIRST_LE_POWER  4  /* the least bound exposed: 16 us */
#define LAST_LE_POWER   26 /* the largest: 67 s */

typedef struct registered {
    const metrics_table *table;
    uint32_t *offsets;
    uint32_t first_cell; /* in a slot */
    uint32_t cells;
    bool shared;
    uint64_t *private_cells;
} registered;

/* Written before the fork, but for `slot` and the private tables of this process. */
static struct {
    registered tables[METRICS_TABLES_MAX];
    uint32_t count;
    uint32_t workers;
    uint32_t slot_cells;
    uint32_t slot;
    uint64_t *cells;
} all;

static uint32_t cells_of(const metric *m)
{
    switch (m->type) {
    case METRIC_HISTOGRAM:
        return HISTOGRAM_CELLS;
    case METRIC_SUMMARY:
        return SUMMARY_CELLS;
    case METRIC_COUNTER:
    case METRIC_GAUGE:
        return 1;
    }
    unreachable();
}

/* --- what a table may say --------------------------------------------------------------------- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* [a-zA-Z_][a-zA-Z0-9_]* at the front of `text`; returns what follows, or NULL. */
static const char *skip_name(const char *text)
{
    if (!is_letter(*text))
        return NULL;
    while (is_letter(*text) || (*text >= '0' && *text <= '9'))
        text++;
    return text;
}

/* name="value",… where a value has its backslashes, quotes and line ends escaped. */
static bool are_labels(const char *text)
{
    for (;;) {
        text = skip_name(text);
        if (!text || text[0] != '=' || text[1] != '"')
            return false;
        for (text += 2; *text != '"'; text++) {
            if (*text == '\\' && (text[1] == '\\' || text[1] == '"' || text[1] == 'n'))
                text++;
            else if (*text == '\\' || *text == '\n' || *text == '\0')
                return false;
        }
        text++;
        if (*text == '\0')
            return true;
        if (*text++ != ',')
            return false;
    }
}

/* Its lines can be read, and stand together with the others of its name. */
static bool is_well_described(const metrics_table *table, uint32_t index)
{
    const metric *m = &table->items[index];
    const char *behind = skip_name(m->name);
    if (!behind || *behind != '\0' || (m->labels && !are_labels(m->labels)))
        return false;
    for (uint32_t i = index; i-- > 0;) {
        const metric *other = &table->items[i];
        if (str_eq(str_from_c(other->name), str_from_c(m->name)))
            return i + 1 == index && other->type == m->type;
    }
    return true;
}

/* --- cells ----------------------------------------------------------------------------------- */

/* Lays one table out; false without memory. */
static bool lay_out(registered *r, const metrics_table *table)
{
    *r = (registered){ .table = table };
    r->offsets = calloc(table->count ? table->count : 1, sizeof *r->offsets);
    if (!r->offsets)
        return false;
    for (uint32_t i = 0; i < table->count; i++) {
        invariant(r->cells <= CELLS_MAX);
        invariant(is_well_described(table, i));
        r->offsets[i] = r->cells;
        r->cells += cells_of(&table->items[i]);
    }
    r->cells = (r->cells + LINE_CELLS - 1) / LINE_CELLS * LINE_CELLS;
    return true;
}

error metrics_open(const metrics_table *const *tables, uint32_t count, uint32_t workers)
{
    invariant(all.cells == NULL && all.count == 0);
    invariant(workers >= 1 && workers <= WORKERS_MAX);
    invariant(count <= METRICS_TABLES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        registered *r = &all.tables[i];
        if (!lay_out(r, tables[i]))
            return error_set(&OUT_OF_MEMORY, "no memory for metrics");
        r->shared = true;
        r->first_cell = all.slot_cells;
        all.slot_cells += r->cells;
        all.count++;
    }
    const size_t bytes = (size_t)workers * (all.slot_cells ? all.slot_cells : 1) * sizeof(uint64_t);
    void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
        return error_set(&OUT_OF_MEMORY, "no memory for metrics");
    all.cells = mapped;
    all.workers = workers;
    return OK;
}

void metrics_close(void)
{
    const size_t bytes =
        (size_t)all.workers * (all.slot_cells ? all.slot_cells : 1) * sizeof(uint64_t);
    if (all.cells)
        munmap(all.cells, bytes);
    for (uint32_t i = 0; i < all.count; i++) {
        free(all.tables[i].offsets);
        free(all.tables[i].private_cells);
    }
    memset(&all, 0, sizeof all);
}

static uint64_t *slot_cells_of(const registered *r)
{
    return all.cells + (size_t)all.slot * all.slot_cells + r->first_cell;
}

void metrics_use_slot(uint32_t worker)
{
    invariant(worker < all.workers);
    all.slot = worker;
    for (uint32_t t = 0; t < all.count; t++) {
        const registered *r = &all.tables[t];
        for (uint32_t i = 0; r->shared && i < r->table->count; i++) {
            if (r->table->items[i].type == METRIC_GAUGE)
                metrics_set((metrics_cells){ slot_cells_of(r), r->offsets }, i, 0);
        }
    }
}

static registered *find(const metrics_table *table)
{
    for (uint32_t i = 0; i < all.count; i++) {
        if (all.tables[i].table == table)
            return &all.tables[i];
    }
    return NULL;
}

metrics_cells metrics_cells_of(const metrics_table *table)
{
    registered *r = find(table);
    if (!r) {
        invariant(all.count < METRICS_TABLES_MAX);
        r = &all.tables[all.count];
        const bool laid_out = lay_out(r, table);
        invariant(laid_out);
        r->private_cells = calloc(r->cells ? r->cells : 1, sizeof(uint64_t));
        invariant(r->private_cells != NULL);
        all.count++;
    }
    return (metrics_cells){ r->shared ? slot_cells_of(r) : r->private_cells, r->offsets };
}

/* --- histograms ------------------------------------------------------------------------------ */

static uint32_t bucket_of(uint64_t us)
{
    if (us < SUB_BUCKETS)
        return (uint32_t)us;
    const uint32_t power = 63 - (uint32_t)__builtin_clzll(us);
    const uint32_t sub = (uint32_t)(us >> (power - SUB_BITS)) & (SUB_BUCKETS - 1);
    const uint32_t bucket = (power - SUB_BITS + 1) * SUB_BUCKETS + sub;
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/* The first bucket that holds values of 2^power or more. */
static uint32_t bucket_of_power(uint32_t power)
{
    return bucket_of((uint64_t)1 << power);
}

void metrics_record_us(metrics_cells cells, uint32_t index, uint64_t us)
{
    uint64_t *histogram = cells.base + cells.offsets[index];
    uint64_t *sum = histogram;
    uint64_t *bucket = (histogram + 1 + bucket_of(us));
    __atomic_store_n(sum, __atomic_load_n(sum, __ATOMIC_RELAXED) + us, __ATOMIC_RELAXED);
    __atomic_store_n(bucket, __atomic_load_n(bucket, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

/* --- reading --------------------------------------------------------------------------------- */

static uint64_t sum_over_workers(const registered *r, uint32_t cell)
{
    if (!r->shared)
        return __atomic_load_n(r->private_cells + cell, __ATOMIC_RELAXED);
    uint64_t total = 0;
    for (uint32_t w = 0; w < all.workers; w++) {
        const uint64_t *at = all.cells + (size_t)w * all.slot_cells + r->first_cell + cell;
        total += __atomic_load_n(at, __ATOMIC_RELAXED);
    }
    return total;
}

uint64_t metrics_total(const metrics_table *table, uint32_t index)
{
    const registered *r = find(table);
    if (!r)
        return 0;
    const uint32_t first = r->offsets[index];
    if (table->items[index].type == METRIC_SUMMARY)
        return sum_over_workers(r, first + 1);
    if (table->items[index].type != METRIC_HISTOGRAM)
        return sum_over_workers(r, first);
    uint64_t total = 0;
    for (uint32_t i = 0; i < BUCKETS; i++)
        total += sum_over_workers(r, first + 1 + i);
    return total;
}

/* "name_suffix{labels,le="…"} ": `le` may be NULL. */
static void expose_front(buf *out, const metric *m, const char *suffix, const char *le)
{
    buf_append_format(out, "%s%s", m->name, suffix);
    if (m->labels || le)
        buf_append_format(out, "{%s%s%s%s%s}", m->labels ? m->labels : "",
                          m->labels && le ? "," : "", le ? "le=\"" : "", le ? le : "",
                          le ? "\"" : "");
    buf_append_char(out, ' ');
}

static void expose_count(buf *out, const metric *m, const char *suffix, const char *le,
                         uint64_t count)
{
    expose_front(out, m, suffix, le);
    buf_append_uint64(out, count);
    buf_append_char(out, '\n');
}

/* Microseconds in seconds, whatever the locale; NUL-terminated. */
static const char *seconds(char text[FLOAT8_TEXT_MAX + 1], uint64_t us)
{
    text[float8_format(text, (double)us / 1e6)] = '\0';
    return text;
}

/* How long all took together, and how many there were. */
static void expose_sum(buf *out, const registered *r, const metric *m, uint32_t cell,
                       uint64_t count)
{
    char text[FLOAT8_TEXT_MAX + 1];
    expose_front(out, m, "_sum", NULL);
    buf_append(out, str_from_c(seconds(text, sum_over_workers(r, cell))));
    buf_append_char(out, '\n');
    expose_count(out, m, "_count", NULL, count);
}

/* A bucket holds whole microseconds below its bound: what lasted the bound itself and less than the
 * next one is past it. */
static void expose_histogram(buf *out, const registered *r, const metric *m, uint32_t first)
{
    char text[FLOAT8_TEXT_MAX + 1];
    uint64_t count = 0;
    uint32_t bucket = 0;
    for (uint32_t power = FIRST_LE_POWER; power <= LAST_LE_POWER; power++) {
        for (; bucket < bucket_of_power(power); bucket++)
            count += sum_over_workers(r, first + 1 + bucket);
        expose_count(out, m, "_bucket", seconds(text, (uint64_t)1 << power), count);
    }
    for (; bucket < BUCKETS; bucket++)
        count += sum_over_workers(r, first + 1 + bucket);
    expose_count(out, m, "_bucket", "+Inf", count);
    expose_sum(out, r, m, first, count);
}

static const char *type_name(metric_type type)
{
    switch (type) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_GAUGE:
        return "gauge";
    case METRIC_HISTOGRAM:
        return "histogram";
    case METRIC_SUMMARY:
        return "summary";
    }
    unreachable();
}

static void expose_head(buf *out, const metric *m)
{
    buf_append_format(out, "# HELP %s ", m->name);
    for (const char *c = m->help; *c != '\0'; c++) {
        if (*c == '\n' || *c == '\\')
            buf_append(out, *c == '\n' ? STR("\\n") : STR("\\\\"));
        else
            buf_append_char(out, *c);
    }
    buf_append_format(out, "\n# TYPE %s %s\n", m->name, type_name(m->type));
}

static void expose_table(buf *out, const registered *r)
{
    str before = STR_NONE;
    for (uint32_t i = 0; i < r->table->count; i++) {
        const metric *m = &r->table->items[i];
        if (!str_eq(before, str_from_c(m->name)))
            expose_head(out, m);
        before = str_from_c(m->name);
        const uint32_t cell = r->offsets[i];
        if (m->type == METRIC_HISTOGRAM)
            expose_histogram(out, r, m, cell);
        else if (m->type == METRIC_SUMMARY)
            expose_sum(out, r, m, cell, sum_over_workers(r, cell + 1));
        else
            expose_count(out, m, "", NULL, sum_over_workers(r, cell));
    }
}

void metrics_expose(buf *out)
{
    for (uint32_t i = 0; i < all.count; i++) {
        if (all.tables[i].shared)
            expose_table(out, &all.tables[i]);
    }
}
