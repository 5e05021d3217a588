/* The shared cells. A slot is one worker's: all its tables one after another, each beginning on a
 * cache line of its own, so that no two workers write one line.
 *
 *   [slot 0: table 0 cells | table 1 cells …] [slot 1: …] …
 *
 * Of a table with a label each worker has a list of its own, of the values that it has met, and its
 * readers put together what is of one value. So a worker asks nobody when it meets another:
 *
 *   [how many] [value | cells] [value | cells] … [METRICS_OTHER | cells]
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
#define LAST_LE_NUMBER  12 /* of a distribution: 4,095 */
#define VALUE_CELLS     (METRICS_VALUE_BYTES_MAX / sizeof(uint64_t))

typedef struct registered {
    const metrics_table *table;
    uint32_t *offsets;
    uint32_t first_cell; /* in a slot */
    uint32_t cells;
    uint32_t entry_cells; /* of a table with a label: of one value, its text first */
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
    case METRIC_DISTRIBUTION:
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

static uint32_t to_lines(uint32_t cells)
{
    return (cells + LINE_CELLS - 1) / LINE_CELLS * LINE_CELLS;
}

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
        invariant(!table->label || table->items[i].type != METRIC_GAUGE);
        r->offsets[i] = r->cells;
        r->cells += cells_of(&table->items[i]);
    }
    r->cells = to_lines(r->cells);
    if (table->label) {
        const char *behind = skip_name(table->label);
        invariant(behind && *behind == '\0' && table->values_max > 0);
        r->entry_cells = (uint32_t)VALUE_CELLS + r->cells;
        invariant(table->values_max < CELLS_MAX / r->entry_cells);
        r->cells = LINE_CELLS + (table->values_max + 1) * r->entry_cells;
    }
    return true;
}

/* The next table to be opened: that on `table`, or the first on the list. */
static const metrics_table *next_table(const metrics_table *table,
                                       const metrics_table *const **list, uint32_t *left)
{
    if (table && table->next)
        return table->next;
    if (*left == 0)
        return NULL;
    (*left)--;
    return *(*list)++;
}

error metrics_open(const metrics_table *const *tables, uint32_t count, uint32_t workers)
{
    invariant(all.cells == NULL && all.count == 0);
    invariant(workers >= 1 && workers <= WORKERS_MAX);
    for (const metrics_table *t = NULL; (t = next_table(t, &tables, &count));) {
        invariant(all.count < METRICS_TABLES_MAX);
        registered *r = &all.tables[all.count];
        if (!lay_out(r, t))
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

/* What one worker counts of a table. */
static uint64_t *slot_cells_of(const registered *r, uint32_t worker)
{
    return all.cells + (size_t)worker * all.slot_cells + r->first_cell;
}

static uint64_t *own_cells_of(const registered *r)
{
    return r->shared ? slot_cells_of(r, all.slot) : r->private_cells;
}

void metrics_use_slot(uint32_t worker)
{
    invariant(worker < all.workers);
    all.slot = worker;
    for (uint32_t t = 0; t < all.count; t++) {
        const registered *r = &all.tables[t];
        for (uint32_t i = 0; r->shared && i < r->table->count; i++) {
            if (r->table->items[i].type == METRIC_GAUGE)
                metrics_set((metrics_cells){ own_cells_of(r), r->offsets }, i, 0);
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

/* The table, made private to the process when it was not opened. */
static registered *find_or_make(const metrics_table *table)
{
    registered *r = find(table);
    if (r)
        return r;
    invariant(all.count < METRICS_TABLES_MAX);
    r = &all.tables[all.count];
    const bool laid_out = lay_out(r, table);
    invariant(laid_out);
    r->private_cells = calloc(r->cells ? r->cells : 1, sizeof(uint64_t));
    invariant(r->private_cells != NULL);
    all.count++;
    return r;
}

metrics_cells metrics_cells_of(const metrics_table *table)
{
    invariant(!table->label);
    const registered *r = find_or_make(table);
    return (metrics_cells){ own_cells_of(r), r->offsets };
}

/* --- values of a label ------------------------------------------------------------------------ */

/* How many values a worker has met; `cells` are its own of the table. Published after the last
 * one's text. */
static uint32_t values_of(const uint64_t *cells)
{
    return (uint32_t)__atomic_load_n(cells, __ATOMIC_ACQUIRE);
}

/* One value and its cells; past the last one: METRICS_OTHER. */
static uint64_t *entry_of(const registered *r, uint64_t *cells, uint32_t index)
{
    return cells + LINE_CELLS + (size_t)index * r->entry_cells;
}

static const char *value_in(const uint64_t *entry)
{
    return (const char *)entry;
}

/* As it is kept, and can stand between quotes. */
static void value_text(char out[METRICS_VALUE_BYTES_MAX], str value)
{
    const size_t len =
        value.len < METRICS_VALUE_BYTES_MAX ? value.len : METRICS_VALUE_BYTES_MAX - 1;
    memset(out, 0, METRICS_VALUE_BYTES_MAX);
    for (size_t i = 0; i < len; i++) {
        const char c = value.ptr[i];
        out[i] = c >= ' ' && c <= '~' && c != '"' && c != '\\' ? c : '_';
    }
}

static uint64_t *find_entry(const registered *r, uint64_t *cells, const char *text)
{
    const uint32_t count = values_of(cells);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t *entry = entry_of(r, cells, i);
        if (memcmp(entry, text, METRICS_VALUE_BYTES_MAX) == 0)
            return entry;
    }
    uint64_t *other = entry_of(r, cells, r->table->values_max);
    return memcmp(other, text, METRICS_VALUE_BYTES_MAX) == 0 ? other : NULL;
}

metrics_cells metrics_cells_of_value(const metrics_table *table, str value)
{
    char text[METRICS_VALUE_BYTES_MAX];
    invariant(table->label);
    const registered *r = find_or_make(table);
    uint64_t *cells = own_cells_of(r);
    const uint32_t count = values_of(cells);
    value_text(text, value);
    uint64_t *entry = find_entry(r, cells, text);
    if (!entry && (count == table->values_max || str_eq(value, STR(METRICS_OTHER)))) {
        entry = entry_of(r, cells, table->values_max);
        value_text((char *)entry, STR(METRICS_OTHER));
    } else if (!entry) {
        entry = entry_of(r, cells, count);
        memcpy(entry, text, sizeof text);
        __atomic_store_n(cells, count + 1, __ATOMIC_RELEASE);
    }
    return (metrics_cells){ entry + VALUE_CELLS, r->offsets };
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

/* What is summed for one line: the cells of each worker, which lie at equal distances, or those of
 * one value in each worker that has met it. */
typedef struct addends {
    const uint64_t *first;
    size_t distance;
    const uint64_t *const *entries; /* with a value's text first; NULL: see above */
    uint32_t count;
} addends;

static uint64_t sum(const addends *a, uint32_t cell)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        const uint64_t *cells =
            a->entries ? a->entries[i] + VALUE_CELLS : a->first + i * a->distance;
        total += __atomic_load_n(cells + cell, __ATOMIC_RELAXED);
    }
    return total;
}

static addends all_of(const registered *r)
{
    return r->shared ? (addends){ slot_cells_of(r, 0), all.slot_cells, NULL, all.workers }
                     : (addends){ r->private_cells, 0, NULL, 1 };
}

/* Of a histogram's or summary's how many there were. */
static uint64_t total_of(const registered *r, uint32_t index, const addends *a)
{
    const metric_type type = r->table->items[index].type;
    const uint32_t first = r->offsets[index];
    if (type == METRIC_SUMMARY)
        return sum(a, first + 1);
    if (type != METRIC_HISTOGRAM && type != METRIC_DISTRIBUTION)
        return sum(a, first);
    uint64_t total = 0;
    for (uint32_t i = 0; i < BUCKETS; i++)
        total += sum(a, first + 1 + i);
    return total;
}

uint64_t metrics_total(const metrics_table *table, uint32_t index)
{
    const registered *r = find(table);
    if (!r)
        return 0;
    const addends a = all_of(r);
    return total_of(r, index, &a);
}

uint64_t metrics_total_of(const metrics_table *table, str value, uint32_t index)
{
    char text[METRICS_VALUE_BYTES_MAX];
    uint64_t total = 0;
    const registered *r = find(table);
    value_text(text, value);
    for (uint32_t w = 0; r && w < (r->shared ? all.workers : 1); w++) {
        uint64_t *cells = r->shared ? slot_cells_of(r, w) : r->private_cells;
        const uint64_t *entry = find_entry(r, cells, text);
        const addends a = { .entries = &entry, .count = entry ? 1 : 0 };
        total += total_of(r, index, &a);
    }
    return total;
}

/* One metric, of one value if its table has a label. */
typedef struct exposed {
    const metric *metric;
    uint32_t cell;
    addends addends;
    const char *label; /* NULL: none */
    const char *value;
} exposed;

static void expose_label(buf *out, bool *first, const char *name, const char *value)
{
    buf_append_format(out, "%s%s=\"%s\"", *first ? "" : ",", name, value);
    *first = false;
}

/* "name_suffix{labels,le="…"} ": `le` may be NULL. */
static void expose_front(buf *out, const exposed *x, const char *suffix, const char *le)
{
    bool first = true;
    buf_append_format(out, "%s%s", x->metric->name, suffix);
    if (x->metric->labels || x->label || le) {
        buf_append_char(out, '{');
        if (x->metric->labels) {
            buf_append(out, str_from_c(x->metric->labels));
            first = false;
        }
        if (x->label)
            expose_label(out, &first, x->label, x->value);
        if (le)
            expose_label(out, &first, "le", le);
        buf_append_char(out, '}');
    }
    buf_append_char(out, ' ');
}

static void expose_count(buf *out, const exposed *x, const char *suffix, const char *le,
                         uint64_t count)
{
    expose_front(out, x, suffix, le);
    buf_append_uint64(out, count);
    buf_append_char(out, '\n');
}

/* A number in its unit, whatever the locale; NUL-terminated. */
static const char *number(char text[FLOAT8_TEXT_MAX + 1], const metric *m, uint64_t n)
{
    const double units = m->type == METRIC_DISTRIBUTION ? 1 : 1e6;
    text[float8_format(text, (double)n / units)] = '\0';
    return text;
}

/* How long all took together, and how many there were. */
static void expose_sum(buf *out, const exposed *x, uint64_t count)
{
    char text[FLOAT8_TEXT_MAX + 1];
    expose_front(out, x, "_sum", NULL);
    buf_append(out, str_from_c(number(text, x->metric, sum(&x->addends, x->cell))));
    buf_append_char(out, '\n');
    expose_count(out, x, "_count", NULL, count);
}

/* A bucket holds whole numbers below its bound. What lasted the bound itself and less than the next
 * microsecond is past it; of numbers the largest that is in it is the bound. */
static void expose_histogram(buf *out, const exposed *x)
{
    char text[FLOAT8_TEXT_MAX + 1];
    const bool numbers = x->metric->type == METRIC_DISTRIBUTION;
    const uint32_t last = numbers ? LAST_LE_NUMBER : LAST_LE_POWER;
    uint64_t count = 0;
    uint32_t bucket = 0;
    for (uint32_t power = numbers ? 1 : FIRST_LE_POWER; power <= last; power++) {
        for (; bucket < bucket_of_power(power); bucket++)
            count += sum(&x->addends, x->cell + 1 + bucket);
        const uint64_t bound = ((uint64_t)1 << power) - (numbers ? 1 : 0);
        expose_count(out, x, "_bucket", number(text, x->metric, bound), count);
    }
    for (; bucket < BUCKETS; bucket++)
        count += sum(&x->addends, x->cell + 1 + bucket);
    expose_count(out, x, "_bucket", "+Inf", count);
    expose_sum(out, x, count);
}

static const char *type_name(metric_type type)
{
    switch (type) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_GAUGE:
        return "gauge";
    case METRIC_HISTOGRAM:
    case METRIC_DISTRIBUTION:
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

static void expose_one(buf *out, const exposed *x)
{
    switch (x->metric->type) {
    case METRIC_HISTOGRAM:
    case METRIC_DISTRIBUTION:
        expose_histogram(out, x);
        return;
    case METRIC_SUMMARY:
        expose_sum(out, x, sum(&x->addends, x->cell + 1));
        return;
    case METRIC_COUNTER:
    case METRIC_GAUGE:
        expose_count(out, x, "", NULL, sum(&x->addends, x->cell));
        return;
    }
    unreachable();
}

/* The entries of all workers, those of one value together; `count` of them. NULL without memory. */
static const uint64_t **gather(const registered *r, size_t *count)
{
    const uint64_t **entries =
        calloc((size_t)all.workers * (r->table->values_max + 1), sizeof *entries);
    *count = 0;
    for (uint32_t w = 0; entries && w < all.workers; w++) {
        uint64_t *cells = slot_cells_of(r, w);
        const uint32_t values = values_of(cells);
        for (uint32_t i = 0; i < values; i++)
            entries[(*count)++] = entry_of(r, cells, i);
        const uint64_t *other = entry_of(r, cells, r->table->values_max);
        if (value_in(other)[0] != '\0')
            entries[(*count)++] = other;
    }
    return entries;
}

static int by_value(const void *a, const void *b)
{
    return memcmp(*(const uint64_t *const *)a, *(const uint64_t *const *)b,
                  METRICS_VALUE_BYTES_MAX);
}

/* One metric of all values. */
static void expose_values(buf *out, const registered *r, uint32_t index,
                          const uint64_t *const *entries, size_t count)
{
    const metric *m = &r->table->items[index];
    for (size_t i = 0, behind; i < count; i = behind) {
        for (behind = i + 1; behind < count && by_value(&entries[i], &entries[behind]) == 0;)
            behind++;
        const exposed x = { m,
                            r->offsets[index],
                            { .entries = &entries[i], .count = (uint32_t)(behind - i) },
                            r->table->label,
                            value_in(entries[i]) };
        if (!m->labels || total_of(r, index, &x.addends) > 0)
            expose_one(out, &x);
    }
}

static void expose_table(buf *out, const registered *r)
{
    str before = STR_NONE;
    size_t count = 0;
    const uint64_t **entries = r->table->label ? gather(r, &count) : NULL;
    if (entries)
        qsort(entries, count, sizeof *entries, by_value);
    for (uint32_t i = 0; i < r->table->count; i++) {
        const metric *m = &r->table->items[i];
        if (!str_eq(before, str_from_c(m->name)))
            expose_head(out, m);
        before = str_from_c(m->name);
        const exposed x = { m, r->offsets[i], all_of(r), NULL, NULL };
        if (!r->table->label)
            expose_one(out, &x);
        else if (entries)
            expose_values(out, r, i, entries, count);
    }
    free(entries);
}

void metrics_expose(buf *out)
{
    for (uint32_t i = 0; i < all.count; i++) {
        if (all.tables[i].shared)
            expose_table(out, &all.tables[i]);
    }
}
