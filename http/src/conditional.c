/* Preconditions: what a client still has, or believes to be there, against what is there.
 *
 *   If-Match, else If-Unmodified-Since      fails: 412
 *   If-None-Match, else If-Modified-Since   fails: 304
 *   If-Range                                fails: the whole instead of a part
 *
 * A date that cannot be read makes its field void; a list of tags that cannot be read has no tag
 * that matches, so that If-Match fails on the safe side and If-None-Match sends the whole. */
#include "conditional.h"

#include "core/base.h"

#include <string.h>

#define WHITE_SPACE STR(" \t")

/* --- dates -------------------------------------------------------------------------------------
 */

static const char *const DAYS[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                    "Thursday", "Friday", "Saturday" };
static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days since 1970 of a date in the proleptic Gregorian calendar; years from March on, so that the
 * leap day is the last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const int64_t year_of_era = year - era * 400;
    const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static void date_of(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    days += 719468;
    const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const int64_t day_of_era = days - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted + (shifted < 10 ? 3 : -9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

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
    int64_t year, month, day;
    if (!digits(&s, 2, &d->day) || !skip(&s, STR("-")) || !month_name(&s, &d->month) ||
        !skip(&s, STR("-")) || !digits(&s, 2, &d->year) || !skip(&s, STR(" ")) ||
        !clock_time(&s, d) || !str_eq(s, STR(" GMT")))
        return false;
    date_of(now_s / 86400, &year, &month, &day);
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
    *out = days_of(d.year, d.month, d.day) * 86400 + d.hour * 3600 + d.minute * 60 + d.second;
    return true;
}

static char *put_digits(char *out, int64_t value, size_t count)
{
    for (size_t i = count; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + count;
}

static char *put_text(char *out, const char *text, size_t len)
{
    memcpy(out, text, len);
    return out + len;
}

void http_date_format(char out[HTTP_DATE_LEN + 1], int64_t seconds)
{
    const int64_t first = -62167219200, last = 253402300799; /* years 0 and 9999 */
    int64_t year, month, day;
    seconds = seconds < first ? first : seconds > last ? last : seconds;
    const int64_t days = (seconds - (seconds < 0 ? 86399 : 0)) / 86400;
    const int64_t of_day = seconds - days * 86400;
    date_of(days, &year, &month, &day);
    const int64_t weekday = ((days + 4) % 7 + 7) % 7; /* 1970 began on a Thursday */
    char *at = put_text(out, DAYS[weekday], 3);
    at = put_text(at, ", ", 2);
    at = put_digits(at, day, 2);
    *at++ = ' ';
    at = put_text(at, MONTHS + 3 * (month - 1), 3);
    *at++ = ' ';
    at = put_digits(at, year, 4);
    *at++ = ' ';
    at = put_digits(at, of_day / 3600, 2);
    *at++ = ':';
    at = put_digits(at, of_day / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, of_day % 60, 2);
    at = put_text(at, " GMT", 5); /* and its NUL */
    invariant(at - out == HTTP_DATE_LEN + 1);
}

/* --- entity tags -------------------------------------------------------------------------------
 */

/* Cuts one tag off the front of `*rest`, weak mark and quotes included. */
static bool cut_etag(str *rest, str *tag)
{
    size_t at = str_starts_with(*rest, STR("W/")) ? 2 : 0;
    if (at >= rest->len || rest->ptr[at] != '"')
        return false;
    for (at++; at < rest->len && rest->ptr[at] != '"'; at++) {
        const unsigned char c = (unsigned char)rest->ptr[at];
        if (c <= 0x20 || c == 0x7F) /* RFC 9110, 8.8.3: etagc */
            return false;
    }
    if (at == rest->len)
        return false;
    *tag = str_slice(*rest, 0, at + 1);
    *rest = str_slice(*rest, at + 1, rest->len);
    return true;
}

static bool is_weak(str tag)
{
    return str_starts_with(tag, STR("W/"));
}

static bool etags_equal(str a, str b, bool strong)
{
    if (strong && (is_weak(a) || is_weak(b)))
        return false;
    return str_eq(str_slice(a, is_weak(a) ? 2 : 0, a.len), str_slice(b, is_weak(b) ? 2 : 0, b.len));
}

/* Drops white space and commas: empty members are nothing. */
static size_t drop_separators(str *rest)
{
    size_t at = 0, commas = 0;
    while (at < rest->len &&
           (rest->ptr[at] == ' ' || rest->ptr[at] == '\t' || rest->ptr[at] == ','))
        commas += rest->ptr[at++] == ',';
    *rest = str_slice(*rest, at, rest->len);
    return commas;
}

bool http_etags_have(str list, str etag, bool strong)
{
    str rest = str_trim(list, WHITE_SPACE), tag;
    bool found = false;
    if (str_eq(rest, STR("*")))
        return true;
    drop_separators(&rest);
    while (rest.len > 0) {
        if (!cut_etag(&rest, &tag))
            return false;
        found = found || etags_equal(tag, etag, strong);
        if (drop_separators(&rest) == 0 && rest.len > 0)
            return false;
    }
    return found;
}

/* --- conditions --------------------------------------------------------------------------------
 */

http_condition http_conditions_check(const http_conditions *c, const http_validators *v,
                                     int64_t now_s)
{
    int64_t date;
    if (c->if_match.ptr) {
        if (!http_etags_have(c->if_match, v->etag, true))
            return HTTP_CONDITION_FAILED;
    } else if (c->if_unmodified_since.ptr &&
               http_date_parse(c->if_unmodified_since, now_s, &date) && v->modified_s > date) {
        return HTTP_CONDITION_FAILED;
    }
    if (c->if_none_match.ptr)
        return http_etags_have(c->if_none_match, v->etag, false) ? HTTP_CONDITION_NOT_MODIFIED
                                                                 : HTTP_CONDITION_MET;
    if (c->if_modified_since.ptr && http_date_parse(c->if_modified_since, now_s, &date) &&
        v->modified_s <= date)
        return HTTP_CONDITION_NOT_MODIFIED;
    return HTTP_CONDITION_MET;
}

bool http_if_range_holds(const http_conditions *c, const http_validators *v, int64_t now_s)
{
    int64_t date;
    str tag, rest = c->if_range;
    if (!rest.ptr)
        return true;
    if (cut_etag(&rest, &tag))
        return rest.len == 0 && etags_equal(tag, v->etag, true);
    return v->modified_strong && http_date_parse(c->if_range, now_s, &date) &&
           date == v->modified_s;
}
