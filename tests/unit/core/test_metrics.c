/* Metrics: what is exposed can be read as Prometheus reads it, and what workers count adds up. */
#include "core/metrics.h"
#include "tests/support/random.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    HITS,
    MISSES,
    OPEN,
    DURATION_A,
    DURATION_B,
    WAIT_A,
    WAIT_B,
    COUNT
};
static const metric METRICS[] = {
    [HITS] = { "hits_total", "kind=\"a\"", METRIC_COUNTER, "A line\nand a back\\slash." },
    [MISSES] = { "hits_total", "kind=\"q\\\"b\\\\n\\n\",other=\"\xC3\xBC{},=\"", METRIC_COUNTER,
                 "" },
    [OPEN] = { "open", NULL, METRIC_GAUGE, "Open things." },
    [DURATION_A] = { "time_seconds", "route=\"/a\"", METRIC_HISTOGRAM, "Times." },
    [DURATION_B] = { "time_seconds", "route=\"/b\"", METRIC_HISTOGRAM, "" },
    [WAIT_A] = { "wait_seconds", "route=\"/a\"", METRIC_SUMMARY, "Waits." },
    [WAIT_B] = { "wait_seconds", "route=\"/b\"", METRIC_SUMMARY, "" },
};
static const metrics_table TABLE = { METRICS, COUNT };

static const metric OTHERS[] = { { "plain_seconds", NULL, METRIC_HISTOGRAM, "Plain." },
                                 { "plain_total", NULL, METRIC_COUNTER, "Plain." } };
static const metrics_table OTHER = { OTHERS, 2 };

enum {
    CALL_TIME,
    CALLS_FAILED_A,
    CALLS_FAILED_B,
    NAMES_MAX = 3
};
static const metric CALL_METRICS[] = {
    [CALL_TIME] = { "call_seconds", NULL, METRIC_HISTOGRAM, "Calls." },
    [CALLS_FAILED_A] = { "calls_failed_total", "class=\"a\"", METRIC_COUNTER, "Failed calls." },
    [CALLS_FAILED_B] = { "calls_failed_total", "class=\"b\"", METRIC_COUNTER, "" },
};
static const metrics_table CALLS = { CALL_METRICS, 3, .label = "call", .values_max = NAMES_MAX };
static const metric SIZES[] = { { "batch_size", NULL, METRIC_DISTRIBUTION, "Sizes." } };
static const metrics_table SIZE = { SIZES, 1, .next = &CALLS };

static const metric PRIVATE[] = { { "private_total", NULL, METRIC_COUNTER, "Not shared." } };
static const metrics_table PRIVATE_TABLE = { PRIVATE, 1 };

enum {
    WORKERS = 8
};

static int open_metrics(void **state)
{
    (void)state;
    static const metrics_table *const tables[] = { &TABLE, &SIZE, &OTHER };
    return error_is_ok(metrics_open(tables, 3, WORKERS)) ? 0 : 1;
}

/* Runs `child` in a process of its own; returns its wait status. */
static int in_child(void (*child)(uint32_t), uint32_t arg)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        child(arg);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* --- reading as Prometheus does -------------------------------------------------------------- */

typedef struct sample {
    str name;
    str labels; /* without le */
    str le;     /* STR_NONE: none */
    double value;
} sample;

typedef struct exposition {
    sample samples[1024];
    size_t count;
} exposition;

static bool is_name(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.ptr[i];
        const bool letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.len > 0;
}

/* Takes name="value" off the front. */
static void take_label(str *rest, str *name, str *value)
{
    const size_t equals = str_index(*rest, '=');
    *name = str_slice(*rest, 0, equals);
    assert_true(is_name(*name));
    *rest = str_slice(*rest, equals + 1, rest->len);
    assert_true(str_starts_with(*rest, STR("\"")));
    size_t at = 1;
    while (at < rest->len && rest->ptr[at] != '"') {
        if (rest->ptr[at] == '\\') {
            at++;
            assert_true(at < rest->len && strchr("\\\"n", rest->ptr[at]) != NULL);
        }
        at++;
    }
    assert_true(at < rest->len);
    *value = str_slice(*rest, 1, at - 1);
    *rest = str_slice(*rest, at + 1, rest->len);
}

static void read_sample(str line, sample *s)
{
    size_t at = 0;
    while (at < line.len && line.ptr[at] != '{' && line.ptr[at] != ' ')
        at++;
    *s = (sample){ .name = str_slice(line, 0, at) };
    assert_true(is_name(s->name));
    str rest = str_slice(line, at, line.len);
    if (str_starts_with(rest, STR("{"))) {
        const char *first = rest.ptr + 1, *behind = first;
        do {
            str name, value;
            rest = str_slice(rest, 1, rest.len);
            take_label(&rest, &name, &value);
            if (str_eq(name, STR("le"))) {
                s->le = value;
                assert_true(str_starts_with(rest, STR("}"))); /* ours stands last */
            } else {
                behind = rest.ptr;
            }
        } while (str_starts_with(rest, STR(",")));
        assert_true(str_starts_with(rest, STR("}")));
        s->labels = str_between(first, behind);
        rest = str_slice(rest, 1, rest.len);
    }
    assert_true(str_starts_with(rest, STR(" ")));
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)rest.len - 1, rest.ptr + 1);
    char *end;
    s->value = strtod(text, &end);
    assert_true(end != text && *end == '\0');
}

static bool belongs(str name, str family, str type)
{
    if (!str_starts_with(name, family))
        return false;
    const str suffix = str_slice(name, family.len, name.len);
    const bool histogram = str_eq(type, STR("histogram"));
    if (histogram || str_eq(type, STR("summary")))
        return str_eq(suffix, STR("_sum")) || str_eq(suffix, STR("_count")) ||
               (histogram && str_eq(suffix, STR("_bucket")));
    return suffix.len == 0;
}

/* "# HELP name …", "# TYPE name type", then its samples: once a name, and nothing else. */
static void read_exposition(str text, exposition *e)
{
    str families[16];
    size_t family_count = 0;
    str type = STR_NONE;
    e->count = 0;
    assert_true(str_ends_with(text, STR("\n")));
    while (text.len > 0) {
        str line = str_cut(&text, '\n');
        if (str_starts_with(line, STR("# HELP "))) {
            str rest = str_slice(line, 7, line.len);
            const str name = str_cut(&rest, ' ');
            assert_true(is_name(name) && rest.ptr != NULL);
            for (size_t i = 0; i < family_count; i++)
                assert_false(str_eq(families[i], name));
            assert_true(family_count < ARRAY_LEN(families));
            families[family_count++] = name;
            line = str_cut(&text, '\n');
            assert_true(str_starts_with(line, STR("# TYPE ")));
            rest = str_slice(line, 7, line.len);
            assert_str_equal(str_cut(&rest, ' '), name);
            type = rest;
            assert_true(str_eq(type, STR("histogram")) || str_eq(type, STR("summary")) ||
                        str_eq(type, STR("counter")) || str_eq(type, STR("gauge")));
            continue;
        }
        assert_true(family_count > 0 && e->count < ARRAY_LEN(e->samples));
        sample *s = &e->samples[e->count++];
        read_sample(line, s);
        assert_true(belongs(s->name, families[family_count - 1], type));
        for (size_t i = 0; i + 1 < e->count; i++) {
            const sample *other = &e->samples[i];
            assert_false(str_eq(s->name, other->name) && str_eq(s->labels, other->labels) &&
                         str_eq(s->le, other->le));
        }
    }
}

static double value_of(const exposition *e, str name, str labels, str le)
{
    for (size_t i = 0; i < e->count; i++) {
        const sample *s = &e->samples[i];
        if (str_eq(s->name, name) && str_eq(s->labels, labels) && str_eq(s->le, le))
            return s->value;
    }
    fail_msg("no sample %.*s{%.*s}", STR_ARG(name), STR_ARG(labels));
    return 0;
}

static buf out;

static void expose(exposition *e)
{
    buf_deinit(&out);
    buf_init(&out, 1 << 20);
    metrics_expose(&out);
    assert_ok(buf_status(&out));
    read_exposition(buf_str(&out), e);
}

static exposition seen;

static void test_metrics_exposition_follows_the_text_format(void **state)
{
    (void)state;
    const metrics_cells cells = metrics_cells_of(&TABLE);
    metrics_add(cells, HITS, 3);
    metrics_add(cells, MISSES, 4);
    metrics_set(cells, OPEN, 5);
    expose(&seen);
    assert_true(value_of(&seen, STR("hits_total"), STR("kind=\"a\""), STR_NONE) == 3);
    assert_true(value_of(&seen, STR("hits_total"),
                         STR("kind=\"q\\\"b\\\\n\\n\",other=\"\xC3\xBC{},=\""), STR_NONE) == 4);
    assert_true(value_of(&seen, STR("open"), STR_NONE, STR_NONE) == 5);
    const str text = buf_str(&out);
    assert_non_null(
        memmem(text.ptr, text.len, "# HELP hits_total A line\\nand a back\\\\slash.\n", 44));
    assert_null(memmem(text.ptr, text.len, "private_total", 13));
}

/* Buckets rise, end at +Inf, and hold what was recorded up to their bound. */
static void check_histogram(const exposition *e, str family, str labels, const uint64_t *us,
                            size_t count)
{
    char bucket[64];
    snprintf(bucket, sizeof bucket, "%.*s_bucket", STR_ARG(family));
    double bound_before = -1, value_before = 0, last = -1;
    for (size_t i = 0; i < e->count; i++) {
        const sample *s = &e->samples[i];
        if (!str_eq(s->name, str_from_c(bucket)) || !str_eq(s->labels, labels))
            continue;
        char text[32];
        snprintf(text, sizeof text, "%.*s", STR_ARG(s->le));
        const double bound = strtod(text, NULL);
        assert_true(bound > bound_before && s->value >= value_before);
        double expected = 0;
        for (size_t n = 0; n < count; n++)
            expected += (double)us[n] / 1e6 < bound;
        assert_true(s->value == expected);
        bound_before = bound;
        value_before = s->value;
        last = bound;
    }
    assert_true(last > 1e300); /* +Inf */
    char name[64];
    snprintf(name, sizeof name, "%.*s_count", STR_ARG(family));
    assert_true(value_of(e, str_from_c(name), labels, STR_NONE) == (double)count);
    snprintf(name, sizeof name, "%.*s_sum", STR_ARG(family));
    double sum = 0;
    for (size_t n = 0; n < count; n++)
        sum += (double)us[n];
    const double found = value_of(e, str_from_c(name), labels, STR_NONE);
    assert_true(found >= sum / 1e6 * (1 - 1e-9) && found <= sum / 1e6 * (1 + 1e-9));
}

static void test_metrics_histogram_buckets_are_cumulative(void **state)
{
    (void)state;
    static uint64_t us[600];
    random_state r = random_start();
    size_t count = 0;
    for (uint64_t power = 0; power < 40; power++) { /* both sides of every bound */
        us[count++] = ((uint64_t)1 << power) - 1;
        us[count++] = (uint64_t)1 << power;
    }
    while (count < ARRAY_LEN(us))
        us[count++] = random_next(&r) >> (24 + random_below(&r, 40));
    const metrics_cells cells = metrics_cells_of(&TABLE), others = metrics_cells_of(&OTHER);
    for (size_t i = 0; i < count; i++) {
        metrics_record_us(cells, DURATION_A, us[i]);
        metrics_record_us(others, 0, us[i]);
    }
    expose(&seen);
    check_histogram(&seen, STR("time_seconds"), STR("route=\"/a\""), us, count);
    check_histogram(&seen, STR("time_seconds"), STR("route=\"/b\""), NULL, 0);
    check_histogram(&seen, STR("plain_seconds"), STR_NONE, us, count);
    assert_true(metrics_total(&TABLE, DURATION_A) == count);
    assert_true(metrics_total(&TABLE, DURATION_B) == 0);
}

static void record_for_ever(uint32_t slot)
{
    metrics_use_slot(slot);
    metrics_record_us(metrics_cells_of(&TABLE), DURATION_B, UINT64_MAX / 2);
}

static void test_metrics_summary_has_sum_and_count(void **state)
{
    (void)state;
    const str name = STR("wait_seconds_sum"), labels = STR("route=\"/a\"");
    const metrics_cells cells = metrics_cells_of(&TABLE);
    metrics_sum_us(cells, WAIT_A, 250000);
    metrics_sum_us(cells, WAIT_A, 1500000);
    expose(&seen);
    assert_true(value_of(&seen, name, labels, STR_NONE) == 1.75);
    assert_true(value_of(&seen, STR("wait_seconds_count"), labels, STR_NONE) == 2);
    assert_true(value_of(&seen, name, STR("route=\"/b\""), STR_NONE) == 0);
    assert_int_equal(metrics_total(&TABLE, WAIT_A), 2);
}

static void test_metrics_gauge_goes_down_again(void **state)
{
    (void)state;
    const metrics_cells cells = metrics_cells_of(&TABLE);
    metrics_set(cells, OPEN, 3);
    metrics_subtract(cells, OPEN, 2);
    assert_int_equal(metrics_total(&TABLE, OPEN), 1);
}

static void test_metrics_longest_duration_counts_in_the_last_bucket(void **state)
{
    (void)state;
    const uint64_t before = metrics_total(&TABLE, DURATION_B);
    assert_int_equal(in_child(record_for_ever, 7), 0);
    assert_true(metrics_total(&TABLE, DURATION_B) == before + 1);
    expose(&seen);
    assert_true(value_of(&seen, STR("time_seconds_bucket"), STR("route=\"/b\""), STR("+Inf")) ==
                (double)before + 1);
}

/* --- workers --------------------------------------------------------------------------------- */

enum {
    ROUNDS = 10000
};

static void work(uint32_t slot)
{
    metrics_use_slot(slot);
    const metrics_cells cells = metrics_cells_of(&OTHER), table = metrics_cells_of(&TABLE);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        metrics_add(cells, 1, slot + 1);
        metrics_record_us(cells, 0, i);
    }
    metrics_set(table, OPEN, 10 * slot);
}

static void test_metrics_of_all_workers_add_up(void **state)
{
    (void)state;
    const uint64_t durations = metrics_total(&OTHER, 0);
    assert_int_equal(metrics_total(&OTHER, 1), 0);
    pid_t pids[WORKERS];
    for (uint32_t w = 0; w < WORKERS; w++) { /* all at once */
        pids[w] = fork();
        assert_true(pids[w] >= 0);
        if (pids[w] == 0) {
            work(w);
            _exit(0);
        }
    }
    for (uint32_t w = 0; w < WORKERS; w++) {
        int status;
        assert_int_equal(waitpid(pids[w], &status, 0), pids[w]);
        assert_int_equal(status, 0);
    }
    const uint64_t expected = (uint64_t)ROUNDS * WORKERS * (WORKERS + 1) / 2;
    assert_true(metrics_total(&OTHER, 1) == expected);
    assert_true(metrics_total(&OTHER, 0) == durations + (uint64_t)ROUNDS * WORKERS);
    assert_true(metrics_total(&TABLE, OPEN) == 10 * WORKERS * (WORKERS - 1) / 2);
    expose(&seen);
    assert_true(value_of(&seen, STR("plain_total"), STR_NONE, STR_NONE) == (double)expected);
}

static void begin(uint32_t slot)
{
    metrics_use_slot(slot);
    metrics_add(metrics_cells_of(&OTHER), 1, 1);
}

static void test_metrics_worker_that_is_replaced_keeps_counters_and_drops_gauges(void **state)
{
    (void)state;
    const uint64_t hits = metrics_total(&OTHER, 1), open = metrics_total(&TABLE, OPEN);
    assert_int_equal(in_child(begin, 3), 0);
    assert_true(metrics_total(&OTHER, 1) == hits + 1);
    assert_true(metrics_total(&TABLE, OPEN) == open - 30);
}

static void test_metrics_table_that_was_not_opened_is_private(void **state)
{
    (void)state;
    const metrics_cells cells = metrics_cells_of(&PRIVATE_TABLE);
    metrics_add(cells, 0, 2);
    assert_ptr_equal(metrics_cells_of(&PRIVATE_TABLE).base, cells.base);
    assert_int_equal(metrics_total(&PRIVATE_TABLE, 0), 2);
    expose(&seen);
    for (size_t i = 0; i < seen.count; i++)
        assert_false(str_eq(seen.samples[i].name, STR("private_total")));
}

/* --- values of a label ------------------------------------------------------------------------ */

static void test_metrics_distribution_has_exact_bounds(void **state)
{
    (void)state;
    const metrics_cells cells = metrics_cells_of(&SIZE);
    const uint64_t sizes[] = { 0, 1, 2, 3, 4, 7, 8, 4095, 4096 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        metrics_record(cells, 0, sizes[i]);
    expose(&seen);
    const str name = STR("batch_size_bucket");
    assert_true(value_of(&seen, name, STR_NONE, STR("1")) == 2);
    assert_true(value_of(&seen, name, STR_NONE, STR("3")) == 4);
    assert_true(value_of(&seen, name, STR_NONE, STR("7")) == 6);
    assert_true(value_of(&seen, name, STR_NONE, STR("15")) == 7);
    assert_true(value_of(&seen, name, STR_NONE, STR("4095")) == 8);
    assert_true(value_of(&seen, name, STR_NONE, STR("+Inf")) == 9);
    assert_true(value_of(&seen, STR("batch_size_sum"), STR_NONE, STR_NONE) == 8216);
    assert_int_equal(metrics_total(&SIZE, 0), 9);
}

static void call_in_worker(uint32_t slot)
{
    metrics_use_slot(slot);
    const metrics_cells first = metrics_cells_of_value(&CALLS, STR("list"));
    const metrics_cells again = metrics_cells_of_value(&CALLS, STR("list"));
    if (first.base != again.base)
        _exit(1);
    metrics_record_us(first, CALL_TIME, 1000);
    if (slot == 2)
        metrics_record_us(metrics_cells_of_value(&CALLS, STR("show")), CALL_TIME, 2000);
    metrics_add(first, CALLS_FAILED_B, slot);
}

static void test_metrics_label_values_of_all_workers_are_put_together(void **state)
{
    (void)state;
    for (uint32_t slot = 1; slot <= 3; slot++)
        assert_int_equal(in_child(call_in_worker, slot), 0);
    assert_int_equal(in_child(call_in_worker, 3), 0); /* replaced: it goes on with the same cells */
    expose(&seen);
    const str count = STR("call_seconds_count"), failed = STR("calls_failed_total");
    assert_true(value_of(&seen, count, STR("call=\"list\""), STR_NONE) == 4);
    assert_true(value_of(&seen, count, STR("call=\"show\""), STR_NONE) == 1);
    assert_true(value_of(&seen, failed, STR("class=\"b\",call=\"list\""), STR_NONE) == 9);
    for (size_t i = 0; i < seen.count; i++) /* none has counted: left out */
        assert_false(str_starts_with(seen.samples[i].labels, STR("class=\"a\",call")));
    assert_true(metrics_total_of(&CALLS, STR("list"), CALL_TIME) == 4);
    assert_true(metrics_total_of(&CALLS, STR("list"), CALLS_FAILED_B) == 9);
    assert_true(metrics_total_of(&CALLS, STR("never"), CALL_TIME) == 0);
}

static void use_many_names(uint32_t slot)
{
    static const char *const names[] = {
        "q\"\\\n\xC3\xBC", "two", "three", "four", "five", "other"
    };
    metrics_use_slot(slot);
    for (uint32_t i = 0; i < 2 * ARRAY_LEN(names); i++)
        metrics_record_us(metrics_cells_of_value(&CALLS, str_from_c(names[i / 2])), CALL_TIME, 1);
}

static void test_metrics_label_values_past_the_limit_are_one(void **state)
{
    (void)state;
    assert_int_equal(in_child(use_many_names, 5), 0);
    expose(&seen);
    const str count = STR("call_seconds_count");
    assert_true(value_of(&seen, count, STR("call=\"q_____\""), STR_NONE) == 2);
    assert_true(value_of(&seen, count, STR("call=\"three\""), STR_NONE) == 2);
    assert_true(value_of(&seen, count, STR("call=\"other\""), STR_NONE) == 6);
    assert_true(metrics_total_of(&CALLS, STR("other"), CALL_TIME) == 6);
}

static void test_metrics_label_value_that_is_long_is_cut(void **state)
{
    (void)state;
    char text[METRICS_VALUE_BYTES_MAX + 10];
    memset(text, 'x', sizeof text);
    const metrics_cells a = metrics_cells_of_value(&CALLS, (str){ text, sizeof text });
    const metrics_cells b =
        metrics_cells_of_value(&CALLS, (str){ text, METRICS_VALUE_BYTES_MAX - 1 });
    assert_ptr_equal(a.base, b.base);
    assert_ptr_not_equal(metrics_cells_of_value(&CALLS, (str){ text, 5 }).base, a.base);
}

/* --- mistakes -------------------------------------------------------------------------------- */

static const metric WRONG[][3] = {
    { { "", NULL, METRIC_COUNTER, "" } },
    { { "1st", NULL, METRIC_COUNTER, "" } },
    { { "with space", NULL, METRIC_COUNTER, "" } },
    { { "a", "", METRIC_COUNTER, "" } },
    { { "a", "l=x", METRIC_COUNTER, "" } },
    { { "a", "l=\"x", METRIC_COUNTER, "" } },
    { { "a", "l=\"x\",", METRIC_COUNTER, "" } },
    { { "a", "l=\"x\"m=\"y\"", METRIC_COUNTER, "" } },
    { { "a", "l=\"\n\"", METRIC_COUNTER, "" } },
    { { "a", "l=\"\\x\"", METRIC_COUNTER, "" } },
    { { "a", NULL, METRIC_COUNTER, "" }, { "a", NULL, METRIC_GAUGE, "" } },
    { { "a", NULL, METRIC_COUNTER, "" },
      { "b", NULL, METRIC_COUNTER, "" },
      { "a", NULL, METRIC_COUNTER, "" } },
};

static void open_wrong(uint32_t row)
{
    const int quiet =
        open("/dev/null", O_WRONLY | O_CLOEXEC); /* the invariant's message, and no core file */
    dup2(quiet, STDERR_FILENO);
    signal(SIGABRT, SIG_DFL);
    static metrics_table table;
    table = (metrics_table){ WRONG[row], 0 };
    while (table.count < 3 && WRONG[row][table.count].name)
        table.count++;
    (void)metrics_cells_of(&table);
}

static void test_metrics_description_that_cannot_be_read_is_a_mistake(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < ARRAY_LEN(WRONG); i++) {
        const int status = in_child(open_wrong, i);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
            fail_msg("row %u was taken", i);
    }
}

static int close_metrics(void **state)
{
    (void)state;
    buf_deinit(&out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_exposition_follows_the_text_format),
        cmocka_unit_test(test_metrics_histogram_buckets_are_cumulative),
        cmocka_unit_test(test_metrics_summary_has_sum_and_count),
        cmocka_unit_test(test_metrics_gauge_goes_down_again),
        cmocka_unit_test(test_metrics_longest_duration_counts_in_the_last_bucket),
        cmocka_unit_test(test_metrics_of_all_workers_add_up),
        cmocka_unit_test(test_metrics_worker_that_is_replaced_keeps_counters_and_drops_gauges),
        cmocka_unit_test(test_metrics_table_that_was_not_opened_is_private),
        cmocka_unit_test(test_metrics_distribution_has_exact_bounds),
        cmocka_unit_test(test_metrics_label_values_of_all_workers_are_put_together),
        cmocka_unit_test(test_metrics_label_values_past_the_limit_are_one),
        cmocka_unit_test(test_metrics_label_value_that_is_long_is_cut),
        cmocka_unit_test(test_metrics_description_that_cannot_be_read_is_a_mistake),
    };
    return cmocka_run_group_tests_name("metrics", tests, open_metrics, close_metrics);
}
