/* Settings from the environment. Every type is one row of the same three questions: does the text
 * parse, is it in range, how is that said to a human. What must hold is phrased once, by
 * append_rule, for messages and for help alike.
 *
 * Invariant: a default is checked like a given value, so a table that contradicts itself stops the
 * program at its first start. */
#include "core/config.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES_MAX    80 /* of a bad value */
#define URL_BYTES_MAX      4096
#define HELP_NAME_COLUMNS  26
#define PROBLEMS_BYTES_MAX 4096

ERROR_KIND(CONFIG_INVALID, ERROR_INVALID, "A setting is not what it must be.");

typedef struct value {
    int64_t number; /* bool, int, duration, bytes, choice */
    str text;
} value;

typedef struct unit {
    str suffix;
    int64_t factor;
} unit;

/* The smallest first, the one that may be left out in front. */
static const unit DURATION_UNITS[] = {
    { { "ms", 2 }, 1 },
    { { "s", 1 }, 1000 },
    { { "m", 1 }, 60000 },
    { { "h", 1 }, 3600000 },
};
static const unit BYTES_UNITS[] = {
    { { "", 0 }, 1 },
    { { "K", 1 }, 1024 },
    { { "M", 1 }, 1048576 },
    { { "G", 1 }, 1073741824 },
};

/* --- ranges ---------------------------------------------------------------------------------- */

static int64_t unlimited_max(const config_entry *e)
{
    return e->type == CONFIG_URL ? URL_BYTES_MAX : INT64_MAX;
}

static bool has_range(const config_entry *e)
{
    return e->min != 0 || e->max != 0;
}

static int64_t range_min(const config_entry *e)
{
    return !has_range(e) && e->type == CONFIG_INT ? INT64_MIN : e->min;
}

static int64_t range_max(const config_entry *e)
{
    return e->max == 0 && e->min >= 0 ? unlimited_max(e) : e->max;
}

static bool in_range(const config_entry *e, int64_t number)
{
    return number >= range_min(e) && number <= range_max(e);
}

/* --- reading one value ------------------------------------------------------------------------ */

static bool parse_bool(str text, int64_t *out)
{
    static const char *const WORDS[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
        if (str_eq_nocase(text, str_from_c(WORDS[i]))) {
            *out = (int64_t)(i & 1);
            return true;
        }
    }
    return false;
}

/* Digits and one of the units, of either case. */
static bool parse_with_unit(str text, const unit *units, size_t unit_count, int64_t *out)
{
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    const str suffix = str_slice(text, digits, text.len);
    int64_t number;
    if (!str_to_int64(str_slice(text, 0, digits), &number))
        return false;
    for (size_t i = 0; i < unit_count; i++) {
        if (str_eq_nocase(suffix, units[i].suffix) || (i == 0 && suffix.len == 0))
            return !__builtin_mul_overflow(number, units[i].factor, out);
    }
    return false;
}

static bool parse_choice(const config_entry *e, str text, int64_t *out)
{
    for (size_t i = 0; e->choices[i]; i++) {
        if (str_eq_nocase(text, str_from_c(e->choices[i]))) {
            *out = (int64_t)i;
            return true;
        }
    }
    return false;
}

static bool is_text(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7F)
            return false;
    }
    return str_is_utf8(s);
}

static bool is_scheme(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.ptr[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool other = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (!letter && (i == 0 || !other))
            return false;
    }
    return s.len > 0;
}

/* RFC 3986 section 3 as far as every scheme has it; the rest is judged by who opens it. */
static bool is_url(const config_entry *e, str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7F)
            return false;
    }
    str rest = s;
    const str scheme = str_cut(&rest, ':');
    if (!is_scheme(scheme) || !str_starts_with(rest, STR("//")) || rest.len == 2)
        return false;
    int64_t which;
    return !e->choices || parse_choice(e, scheme, &which);
}

/* Whether `text` is a value of the entry's type and in its range. */
static bool parse(const config_entry *e, str text, value *out)
{
    *out = (value){ .text = text };
    switch (e->type) {
    case CONFIG_BOOL:
        return parse_bool(text, &out->number);
    case CONFIG_INT:
        return str_to_int64(text, &out->number) && in_range(e, out->number);
    case CONFIG_DURATION:
        return parse_with_unit(text, DURATION_UNITS, ARRAY_LEN(DURATION_UNITS), &out->number) &&
               in_range(e, out->number);
    case CONFIG_BYTES:
        return parse_with_unit(text, BYTES_UNITS, ARRAY_LEN(BYTES_UNITS), &out->number) &&
               in_range(e, out->number);
    case CONFIG_CHOICE:
        return parse_choice(e, text, &out->number);
    case CONFIG_TEXT:
        return is_text(text) && in_range(e, (int64_t)text.len);
    case CONFIG_URL:
        return is_url(e, text) && in_range(e, (int64_t)text.len);
    case CONFIG_SECRET:
        return in_range(e, (int64_t)text.len);
    }
    unreachable();
}

static bool is_str(const config_entry *e)
{
    return e->type == CONFIG_TEXT || e->type == CONFIG_URL || e->type == CONFIG_SECRET;
}

static void store(const config_entry *e, const value *v, void *out)
{
    void *member = (char *)out + e->offset;
    if (e->type == CONFIG_BOOL)
        *(bool *)member = v->number != 0;
    else if (is_str(e))
        *(str *)member = v->text;
    else
        *(int64_t *)member = v->number;
}

/* --- telling a human -------------------------------------------------------------------------- */

/* `number` in the largest unit that has it whole. */
static void append_with_unit(buf *out, int64_t number, const unit *units, size_t unit_count)
{
    size_t at = unit_count - 1;
    while (at > 0 && (number == 0 || number % units[at].factor != 0))
        at--;
    buf_append_int64(out, number / units[at].factor);
    buf_append(out, units[at].suffix);
}

static void append_number(buf *out, const config_entry *e, int64_t number)
{
    if (e->type == CONFIG_DURATION)
        append_with_unit(out, number, DURATION_UNITS, ARRAY_LEN(DURATION_UNITS));
    else if (e->type == CONFIG_INT)
        buf_append_int64(out, number);
    else
        append_with_unit(out, number, BYTES_UNITS, ARRAY_LEN(BYTES_UNITS));
}

/* " from 1 to 10", " of at least 1", or nothing where everything goes. */
static void append_range(buf *out, const config_entry *e)
{
    if (!has_range(e))
        return;
    const bool bounded = range_max(e) < INT64_MAX;
    buf_append(out, bounded ? STR(" from ") : STR(" of at least "));
    append_number(out, e, range_min(e));
    if (bounded) {
        buf_append(out, STR(" to "));
        append_number(out, e, range_max(e));
    }
}

static void append_length(buf *out, const config_entry *e)
{
    const int64_t min = range_min(e), max = range_max(e);
    if (min > 0 && max < unlimited_max(e))
        buf_append_format(out, " of %lld to %lld bytes", (long long)min, (long long)max);
    else if (min > 0)
        buf_append_format(out, " of at least %lld bytes", (long long)min);
    else if (max < INT64_MAX)
        buf_append_format(out, " of at most %lld bytes", (long long)max);
}

static void append_choices(buf *out, const char *const *choices, const char *after)
{
    for (size_t i = 0; choices[i]; i++)
        buf_append_format(out, "%s%s%s", i ? ", " : "", choices[i], after);
}

/* What the value must be: "an integer from 1 to 65535". */
static void append_rule(buf *out, const config_entry *e)
{
    switch (e->type) {
    case CONFIG_BOOL:
        buf_append(out, STR("true or false"));
        return;
    case CONFIG_INT:
        buf_append(out, STR("an integer"));
        append_range(out, e);
        if (e->unit)
            buf_append_format(out, " (%s)", e->unit);
        return;
    case CONFIG_DURATION:
        buf_append(out, STR("a duration"));
        append_range(out, e);
        buf_append(out, STR(" (units ms, s, m, h)"));
        return;
    case CONFIG_BYTES:
        buf_append(out, STR("a size in bytes"));
        append_range(out, e);
        buf_append(out, STR(" (units K, M, G)"));
        return;
    case CONFIG_CHOICE:
        buf_append(out, STR("one of "));
        append_choices(out, e->choices, "");
        return;
    case CONFIG_TEXT:
        buf_append(out, STR("printable text"));
        append_length(out, e);
        return;
    case CONFIG_URL:
        buf_append(out, STR("a URL"));
        if (e->choices) {
            buf_append(out, STR(" starting with one of "));
            append_choices(out, e->choices, "://");
        }
        append_length(out, e);
        return;
    case CONFIG_SECRET:
        buf_append(out, STR("a secret"));
        append_length(out, e);
        return;
    }
    unreachable();
}

/* In quotes, on one line whatever is in it, cut where it gets long. */
static void append_shown(buf *out, str given)
{
    const str shown = str_slice(given, 0, SHOWN_BYTES_MAX);
    buf_append_char(out, '"');
    for (size_t i = 0; i < shown.len; i++) {
        const unsigned char c = (unsigned char)shown.ptr[i];
        if (c < ' ' || c >= 0x7F)
            buf_append_format(out, "\\x%02x", c);
        else if (c == '"' || c == '\\')
            buf_append_format(out, "\\%c", c);
        else
            buf_append_char(out, (char)c);
    }
    buf_append(out, shown.len < given.len ? STR("\"…") : STR("\""));
}

static void append_problem(buf *out, const config_entry *e, str given)
{
    const bool shows = e->type != CONFIG_SECRET && e->type != CONFIG_URL;
    buf_append(out, str_from_c(e->name));
    if (given.len > 0 && shows) {
        buf_append_char(out, '=');
        append_shown(out, given);
    }
    buf_append(out, given.len > 0 ? STR(": must be ") : STR(": must be set to "));
    append_rule(out, e);
    if (!shows && given.len > 0)
        buf_append(out, STR("; the value given is not shown"));
    buf_append_char(out, '\n');
}

/* --- tables ----------------------------------------------------------------------------------- */

static void check_entry(const config_entry *e)
{
    static const str NAME_CHARACTERS = { "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", 37 };
    invariant(str_trim(str_from_c(e->name), NAME_CHARACTERS).len == 0);
    invariant(e->type >= CONFIG_BOOL && e->type <= CONFIG_URL);
    invariant(e->meaning != NULL);
    invariant(e->type != CONFIG_CHOICE || (e->choices && e->choices[0]));
    invariant(e->type != CONFIG_SECRET || !e->default_value);
    invariant(range_min(e) <= range_max(e));
}

/* The value of the environment, or the default; false when what is given, or missing, is wrong. */
static bool read_entry(const config_entry *e, str given, value *out)
{
    check_entry(e);
    *out = (value){ .text = STR_NONE };
    if (e->default_value) {
        const bool default_is_good = parse(e, str_from_c(e->default_value), out);
        invariant(default_is_good);
    }
    if (given.len == 0)
        return !e->required && (e->default_value || is_str(e));
    value v;
    if (!parse(e, given, &v))
        return false;
    *out = v;
    return true;
}

/* Appends a line a problem, counts them in `*bad`. */
static void read_table(const config_entry *table, void *out, buf *problems, size_t *bad)
{
    for (const config_entry *e = table; e->name; e++) {
        const str given = str_from_c(getenv(e->name));
        value v;
        if (!read_entry(e, given, &v)) {
            append_problem(problems, e, given);
            (*bad)++;
        }
        if (out)
            store(e, &v, out);
    }
}

error config_read(const config_entry *table, void *out)
{
    size_t bad = 0;
    buf problems;
    buf_init(&problems, PROBLEMS_BYTES_MAX);
    read_table(table, out, &problems, &bad);
    const str lines = str_trim(buf_str(&problems), STR("\n"));
    const error e =
        bad ? error_set(&CONFIG_INVALID, "%zu bad setting(s): %.*s", bad, STR_ARG(lines)) : OK;
    buf_deinit(&problems);
    return e;
}

error config_check(const config_entry *table, buf *problems)
{
    size_t bad = 0;
    read_table(table, NULL, problems, &bad);
    return bad ? error_set(&CONFIG_INVALID, "%zu bad setting(s)", bad) : OK;
}

void config_describe(buf *out, const config_entry *table)
{
    for (const config_entry *e = table; e->name; e++) {
        check_entry(e);
        buf_append_format(out, "  %-*s %s\n  %*s ", HELP_NAME_COLUMNS, e->name, e->meaning,
                          HELP_NAME_COLUMNS, "");
        append_rule(out, e);
        if (e->required || (!e->default_value && !is_str(e)))
            buf_append(out, STR("; required"));
        else if (e->default_value)
            buf_append_format(out, "; default %s", e->default_value);
        buf_append_char(out, '\n');
    }
}
