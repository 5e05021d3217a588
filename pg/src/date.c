/* Days, times and spans, and their text in the forms that the server uses by default.
 *
 * Text is read through a cursor that consumes what it knows and tells whether it did; a value is
 * good when the cursor is at the end. The calendar is core's. All sums are of 64 bits and checked
 * where the text can make them large. */
#include "pg/date.h"

#include "core/buf.h"

#include <stdlib.h>
#include <string.h>

#define US_PER_SECOND  INT64_C(1000000)
#define US_PER_DAY     (INT64_C(86400) * US_PER_SECOND)
#define YEAR_MAX       INT64_C(6000000) /* past all that 32 bits of days reach */
#define ZONE_HOURS_MAX 15
#define TEXT_BYTES     96 /* of any of the values */

/* --- the calendar ----------------------------------------------------------------------------- */

static int64_t days_of_civil(pg_civil c)
{
    return scalar_days_from_civil(c.year, c.month, c.day);
}

static pg_civil civil_of_days(int64_t days)
{
    int64_t year;
    int month, day;
    scalar_civil_from_days(days, &year, &month, &day);
    return (pg_civil){ year, month, day };
}

pg_civil pg_date_to_civil(pg_date date)
{
    invariant(!pg_date_is_infinite(date));
    return civil_of_days(date.days);
}

/* The days of a day that there is. */
static bool days_of_checked(pg_civil day, int64_t *out)
{
    if (day.year < -YEAR_MAX || day.year > YEAR_MAX || day.month < 1 || day.month > 12 ||
        day.day < 1 || day.day > 31)
        return false;
    const int64_t days = days_of_civil(day);
    const pg_civil back = civil_of_days(days);
    if (back.day != day.day || back.month != day.month)
        return false;
    *out = days;
    return true;
}

bool pg_date_from_civil(pg_civil day, pg_date *out)
{
    int64_t days;
    if (!days_of_checked(day, &days) || days <= INT32_MIN || days >= INT32_MAX)
        return false;
    *out = (pg_date){ (int32_t)days };
    return true;
}

/* --- reading text ----------------------------------------------------------------------------- */

static bool take(str *rest, str word)
{
    if (!str_starts_with(*rest, word))
        return false;
    *rest = str_slice(*rest, word.len, rest->len);
    return true;
}

/* At least `least` digits, and at most 18. */
static bool take_number(str *rest, size_t least, int64_t *out)
{
    size_t len = 0;
    int64_t value = 0;
    while (len < rest->len && len < 18 && rest->ptr[len] >= '0' && rest->ptr[len] <= '9')
        value = value * 10 + (rest->ptr[len++] - '0');
    if (len < least)
        return false;
    *rest = str_slice(*rest, len, rest->len);
    *out = value;
    return true;
}

static bool take_two(str *rest, int64_t max, int64_t *out)
{
    const size_t before = rest->len;
    return take_number(rest, 2, out) && before - rest->len == 2 && *out <= max;
}

/* 04:05:06.5, with `hours_max` hours. The sum fits into 64 bits without a sign. */
static bool take_clock(str *rest, int64_t hours_max, uint64_t *us)
{
    int64_t hours;
    int64_t minutes;
    int64_t seconds;
    if (!take_number(rest, 2, &hours) || hours > hours_max || !take(rest, STR(":")) ||
        !take_two(rest, 59, &minutes) || !take(rest, STR(":")) || !take_two(rest, 59, &seconds))
        return false;
    int64_t fraction = 0;
    if (take(rest, STR("."))) {
        const size_t before = rest->len;
        if (!take_number(rest, 1, &fraction) || before - rest->len > 6)
            return false;
        for (size_t places = before - rest->len; places < 6; places++)
            fraction *= 10;
    }
    *us = ((uint64_t)hours * 3600 + (uint64_t)minutes * 60 + (uint64_t)seconds) * 1000000 +
          (uint64_t)fraction;
    return true;
}

static bool take_civil(str *rest, pg_civil *out)
{
    int64_t year;
    int64_t month;
    int64_t day;
    if (!take_number(rest, 4, &year) || year < 1 || year > YEAR_MAX || !take(rest, STR("-")) ||
        !take_two(rest, 12, &month) || !take(rest, STR("-")) || !take_two(rest, 31, &day))
        return false;
    *out = (pg_civil){ year, (int)month, (int)day };
    return true;
}

/* 0 when it is none, else its sign. */
static int infinity_of(str text)
{
    if (str_eq(text, STR("infinity")))
        return 1;
    return str_eq(text, STR("-infinity")) ? -1 : 0;
}

static str infinity_text(bool negative)
{
    return negative ? STR("-infinity") : STR("infinity");
}

/* What follows the date or time: nothing, or " BC". */
static bool take_era(str *rest, pg_civil *day)
{
    if (take(rest, STR(" BC")))
        day->year = 1 - day->year;
    return rest->len == 0;
}

bool pg_date_parse(str text, pg_date *out)
{
    const int infinity = infinity_of(text);
    if (infinity != 0) {
        *out = infinity > 0 ? PG_DATE_INFINITY : PG_DATE_MINUS_INFINITY;
        return true;
    }
    pg_civil day;
    return take_civil(&text, &day) && take_era(&text, &day) && pg_date_from_civil(day, out);
}

bool pg_time_parse(str text, pg_time *out)
{
    uint64_t us;
    if (!take_clock(&text, 24, &us) || text.len > 0 || us > (uint64_t)US_PER_DAY)
        return false;
    *out = (pg_time){ (int64_t)us };
    return true;
}

/* "+02", "-03:30", "+05:30:15". */
static bool take_zone(str *rest, int32_t *west_s)
{
    int64_t parts[3] = { 0 };
    const bool west = take(rest, STR("-"));
    if ((!west && !take(rest, STR("+"))) || !take_two(rest, ZONE_HOURS_MAX, &parts[0]))
        return false;
    for (size_t i = 1; i < ARRAY_LEN(parts) && take(rest, STR(":")); i++) {
        if (!take_two(rest, 59, &parts[i]))
            return false;
    }
    const int32_t seconds = (int32_t)(parts[0] * 3600 + parts[1] * 60 + parts[2]);
    *west_s = west ? seconds : -seconds;
    return true;
}

bool pg_timetz_parse(str text, pg_timetz *out)
{
    uint64_t us;
    int32_t west_s;
    if (!take_clock(&text, 24, &us) || us > (uint64_t)US_PER_DAY || !take_zone(&text, &west_s) ||
        text.len > 0)
        return false;
    *out = (pg_timetz){ (int64_t)us, west_s };
    return true;
}

bool pg_timestamp_parse(str text, pg_timestamp *out)
{
    const int infinity = infinity_of(text);
    if (infinity != 0) {
        *out = infinity > 0 ? PG_TIMESTAMP_INFINITY : PG_TIMESTAMP_MINUS_INFINITY;
        return true;
    }
    pg_civil day;
    uint64_t us;
    int64_t days;
    int64_t total;
    if (!take_civil(&text, &day) || !(take(&text, STR(" ")) || take(&text, STR("T"))) ||
        !take_clock(&text, 24, &us) || us > (uint64_t)US_PER_DAY || !take_era(&text, &day) ||
        !days_of_checked(day, &days))
        return false;
    /* the first day that 64 bits reach is one whose midnight they do not */
    if (days < 0) {
        days++;
        us = (uint64_t)US_PER_DAY - us;
        if (__builtin_mul_overflow(days, US_PER_DAY, &total) ||
            __builtin_sub_overflow(total, (int64_t)us, &total))
            return false;
    } else if (__builtin_mul_overflow(days, US_PER_DAY, &total) ||
               __builtin_add_overflow(total, (int64_t)us, &total)) {
        return false;
    }
    if (total == INT64_MAX || total == INT64_MIN)
        return false;
    *out = (pg_timestamp){ total };
    return true;
}

/* --- writing text ----------------------------------------------------------------------------- */

/* Digits of `us` below a second, without the zeros at their end. */
static void put_fraction(buf *b, uint64_t us)
{
    if (us == 0)
        return;
    size_t places = 6;
    for (; us % 10 == 0; us /= 10)
        places--;
    buf_append_format(b, ".%0*u", (int)places, (unsigned)us);
}

static void put_clock(buf *b, uint64_t us)
{
    const uint64_t seconds = us / (uint64_t)US_PER_SECOND;
    buf_append_format(b, "%02llu:%02u:%02u", (unsigned long long)(seconds / 3600),
                      (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60));
    put_fraction(b, us % (uint64_t)US_PER_SECOND);
}

static void put_civil(buf *b, pg_civil day)
{
    const int64_t year = day.year > 0 ? day.year : 1 - day.year;
    buf_append_format(b, "%04lld-%02d-%02d", (long long)year, day.month, day.day);
}

static void put_era(buf *b, pg_civil day)
{
    if (day.year <= 0)
        buf_append(b, STR(" BC"));
}

str pg_date_format(arena *a, const pg_date *date)
{
    if (pg_date_is_infinite(*date))
        return infinity_text(date->days < 0);
    buf b;
    buf_init_arena(&b, a, TEXT_BYTES);
    const pg_civil day = civil_of_days(date->days);
    put_civil(&b, day);
    put_era(&b, day);
    return buf_str(&b);
}

str pg_time_format(arena *a, const pg_time *time)
{
    buf b;
    buf_init_arena(&b, a, TEXT_BYTES);
    put_clock(&b, (uint64_t)time->us);
    return buf_str(&b);
}

str pg_timetz_format(arena *a, const pg_timetz *time)
{
    buf b;
    buf_init_arena(&b, a, TEXT_BYTES);
    put_clock(&b, (uint64_t)time->us);
    const unsigned seconds = (unsigned)(time->west_s > 0 ? time->west_s : -time->west_s);
    buf_append_format(&b, "%c%02u", time->west_s > 0 ? '-' : '+', seconds / 3600);
    if (seconds % 3600 > 0)
        buf_append_format(&b, ":%02u", seconds / 60 % 60);
    if (seconds % 60 > 0)
        buf_append_format(&b, ":%02u", seconds % 60);
    return buf_str(&b);
}

str pg_timestamp_format(arena *a, const pg_timestamp *timestamp)
{
    const int64_t us = timestamp->us;
    if (pg_timestamp_is_infinite(*timestamp))
        return infinity_text(us < 0);
    const int64_t days = us / US_PER_DAY - (us % US_PER_DAY < 0);
    const int64_t of_day = us % US_PER_DAY + (us % US_PER_DAY < 0 ? US_PER_DAY : 0);
    buf b;
    buf_init_arena(&b, a, TEXT_BYTES);
    const pg_civil day = civil_of_days(days);
    put_civil(&b, day);
    buf_append_char(&b, ' ');
    put_clock(&b, (uint64_t)of_day);
    put_era(&b, day);
    return buf_str(&b);
}

/* --- spans ------------------------------------------------------------------------------------ */

/* "-3 days" behind what there is; a positive part behind a negative one shows its sign. */
static void put_part(buf *b, int64_t count, const char *unit, bool *after_negative)
{
    if (count == 0)
        return;
    const char *space = buf_str(b).len > 0 ? " " : "";
    const char *sign = *after_negative && count > 0 ? "+" : "";
    buf_append_format(b, "%s%s%lld %s%s", space, sign, (long long)count, unit,
                      count == 1 ? "" : "s");
    *after_negative = count < 0;
}

str pg_interval_format(arena *a, const pg_interval *interval)
{
    if (pg_interval_is_infinite(*interval))
        return infinity_text(interval->us < 0);
    buf b;
    buf_init_arena(&b, a, TEXT_BYTES);
    bool after_negative = false;
    put_part(&b, interval->months / 12, "year", &after_negative);
    put_part(&b, interval->months % 12, "mon", &after_negative);
    put_part(&b, interval->days, "day", &after_negative);
    if (interval->us == 0 && buf_str(&b).len > 0)
        return buf_str(&b);
    if (buf_str(&b).len > 0)
        buf_append_char(&b, ' ');
    if (interval->us < 0)
        buf_append_char(&b, '-');
    else if (after_negative)
        buf_append_char(&b, '+');
    put_clock(&b, interval->us < 0 ? 0 - (uint64_t)interval->us : (uint64_t)interval->us);
    return buf_str(&b);
}

static bool take_sign(str *rest)
{
    if (take(rest, STR("-")))
        return true;
    take(rest, STR("+"));
    return false;
}

/* "mon" or "mons", up to a space or the end. */
static bool take_unit(str *rest, str unit)
{
    str after = *rest;
    if (!take(&after, unit))
        return false;
    take(&after, STR("s"));
    if (after.len > 0 && !take(&after, STR(" ")))
        return false;
    *rest = after;
    return true;
}

/* "-3 days " and its like: `*found` tells whether there is one. False: it does not fit. */
static bool take_part(str *rest, str unit, int64_t *out, bool *found)
{
    str after = *rest;
    int64_t count;
    const bool negative = take_sign(&after);
    *found = take_number(&after, 1, &count) && take(&after, STR(" ")) && take_unit(&after, unit);
    if (!*found)
        return true;
    if (count > (int64_t)INT32_MAX + 1)
        return false;
    *out = negative ? -count : count;
    *rest = after;
    return true;
}

static bool take_signed_clock(str *rest, int64_t *out)
{
    uint64_t us;
    const bool negative = take_sign(rest);
    if (!take_clock(rest, INT64_C(2562047788), &us) || us > (uint64_t)INT64_MAX + negative)
        return false;
    *out = (int64_t)(negative ? 0 - us : us);
    return true;
}

bool pg_interval_parse(str text, pg_interval *out)
{
    const int infinity = infinity_of(text);
    if (infinity != 0) {
        *out = infinity > 0 ? PG_INTERVAL_INFINITY : PG_INTERVAL_MINUS_INFINITY;
        return true;
    }
    static const str UNITS[] = { { "year", 4 }, { "mon", 3 }, { "day", 3 } };
    int64_t counts[ARRAY_LEN(UNITS)] = { 0 };
    bool any = false;
    const bool ends_in_space = text.len > 0 && text.ptr[text.len - 1] == ' ';
    for (size_t i = 0; i < ARRAY_LEN(UNITS); i++) {
        bool found;
        if (!take_part(&text, UNITS[i], &counts[i], &found))
            return false;
        any = any || found;
    }
    int64_t us = 0;
    if (ends_in_space || (text.len == 0 && !any) ||
        (text.len > 0 && !take_signed_clock(&text, &us)))
        return false;
    const int64_t months = counts[0] * 12 + counts[1];
    if (text.len > 0 || months < INT32_MIN || months > INT32_MAX || counts[2] < INT32_MIN ||
        counts[2] > INT32_MAX)
        return false;
    *out = (pg_interval){ us, (int32_t)counts[2], (int32_t)months };
    return true;
}
