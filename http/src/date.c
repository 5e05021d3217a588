/* HTTP's dates. The calendar is the C library's; the three forms are read here, strictly: all of
 * the text, names in their own case, and no day that does not exist. */
#include "date.h"

#include <stdio.h>
#include <time.h>

static const char *const DAYS[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                    "Thursday", "Friday", "Saturday" };
static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static bool digits(str *rest, size_t count, int64_t *out)
{
    int64_t value = 0;
    if (rest->len < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (rest->ptr[i] < '0' || rest->ptr[i] > '9')
            return false;
        value = value * 10 + (rest->ptr[i] - '0');
    }
    *rest = str_slice(*rest, count, rest->len);
    *out = value;
    return true;
}

static bool skip(str *rest, str text)
{
    if (!str_starts_with(*rest, text))
        return false;
    *rest = str_slice(*rest, text.len, rest->len);
    return true;
}

static bool month_name(str *rest, int64_t *out)
{
    for (size_t i = 0; i < 12; i++) {
        if (skip(rest, (str){ MONTHS + 3 * i, 3 })) {
            *out = (int64_t)i + 1;
            return true;
        }
    }
    return false;
}

typedef struct date_parts {
    int64_t year, month, day, hour, minute, second;
} date_parts;

static bool clock_time(str *rest, date_parts *d)
{
    return digits(rest, 2, &d->hour) && skip(rest, STR(":")) && digits(rest, 2, &d->minute) &&
           skip(rest, STR(":")) && digits(rest, 2, &d->second);
}

/* "06 Nov 1994 08:49:37 GMT" */
static bool imf_fixdate(str s, date_parts *d)
{
    return digits(&s, 2, &d->day) && skip(&s, STR(" ")) && month_name(&s, &d->month) &&
           skip(&s, STR(" ")) && digits(&s, 4, &d->year) && skip(&s, STR(" ")) &&
           clock_time(&s, d) && str_eq(s, STR(" GMT"));
}

/* "06-Nov-94 08:49:37 GMT" */
static bool rfc850_date(str s, int64_t now_s, date_parts *d)
{
    struct tm now;
    const time_t now_time = now_s;
    if (!digits(&s, 2, &d->day) || !skip(&s, STR("-")) || !month_name(&s, &d->month) ||
        !skip(&s, STR("-")) || !digits(&s, 2, &d->year) || !skip(&s, STR(" ")) ||
        !clock_time(&s, d) || !str_eq(s, STR(" GMT")))
        return false;
    gmtime_r(&now_time, &now);
    const int64_t year = now.tm_year + 1900;
    d->year += year - year % 100;
    if (d->year > year + 50) /* RFC 9110, 5.6.7: that is a year of the past */
        d->year -= 100;
    return true;
}

/* "Nov  6 08:49:37 1994" */
static bool asctime_date(str s, date_parts *d)
{
    if (!month_name(&s, &d->month) || !skip(&s, STR(" ")))
        return false;
    const bool day = skip(&s, STR(" ")) ? digits(&s, 1, &d->day) : digits(&s, 2, &d->day);
    return day && skip(&s, STR(" ")) && clock_time(&s, d) && skip(&s, STR(" ")) &&
           digits(&s, 4, &d->year) && s.len == 0;
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool is_date(const date_parts *d)
{
    static const uint8_t lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const int64_t length = lengths[d->month - 1] + (d->month == 2 && is_leap(d->year));
    return d->day >= 1 && d->day <= length && d->hour < 24 && d->minute < 60 && d->second < 60;
}

static bool parse_behind_day(str s, size_t day, int64_t now_s, date_parts *d)
{
    const str whole = str_from_c(DAYS[day]);
    str rest = s;
    if (skip(&rest, whole))
        return skip(&rest, STR(", ")) && rfc850_date(rest, now_s, d);
    if (!skip(&rest, str_slice(whole, 0, 3)))
        return false;
    return skip(&rest, STR(", ")) ? imf_fixdate(rest, d)
                                  : skip(&rest, STR(" ")) && asctime_date(rest, d);
}

bool http_date_parse(str s, int64_t now_s, int64_t *out)
{
    date_parts d = { 0 };
    bool found = false;
    for (size_t day = 0; day < ARRAY_LEN(DAYS) && !found; day++)
        found = parse_behind_day(s, day, now_s, &d);
    if (!found || !is_date(&d))
        return false;
    struct tm t = { .tm_year = (int)d.year - 1900,
                    .tm_mon = (int)d.month - 1,
                    .tm_mday = (int)d.day,
                    .tm_hour = (int)d.hour,
                    .tm_min = (int)d.minute,
                    .tm_sec = (int)d.second };
    *out = timegm(&t);
    return true;
}

void http_date_format(char out[HTTP_DATE_LEN + 1], int64_t seconds)
{
    const int64_t first = -62167219200, last = 253402300799; /* years 0 and 9999 */
    const time_t clipped = seconds < first ? first : seconds > last ? last : seconds;
    struct tm t;
    gmtime_r(&clipped, &t);
    /* Not by strftime, whose names are those of a locale. */
    const int len = snprintf(out, HTTP_DATE_LEN + 1, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                             DAYS[t.tm_wday], t.tm_mday, MONTHS + 3 * (size_t)t.tm_mon,
                             t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
    invariant(len == HTTP_DATE_LEN);
}
