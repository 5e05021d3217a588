/* Text forms of integers, instants and UUIDs. Dates are computed with the civil-calendar arithmetic
 * of days since a March-based epoch, so there is no table and no library call. */
#include "core/scalar.h"

#include "core/clock.h"

#include <string.h>
#include <sys/random.h>

#define US_PER_SECOND        INT64_C(1000000)
#define SECONDS_PER_DAY      INT64_C(86400)
#define UNIX_TO_2000_SECONDS INT64_C(946684800)
#define YEAR_1_US            (INT64_C(-63082281600) * US_PER_SECOND) /* 0001-01-01 from 2000 */
#define YEAR_10000_US        (INT64_C(252455616000) * US_PER_SECOND)

static const char DIGIT_PAIRS[] = "0001020304050607080910111213141516171819"
                                  "2021222324252627282930313233343536373839"
                                  "4041424344454647484950515253545556575859"
                                  "6061626364656667686970717273747576777879"
                                  "8081828384858687888990919293949596979899";

/* How many digits it has. */
static size_t digits_of(uint64_t value)
{
    size_t count = 1;
    for (; value >= 10000; value /= 10000)
        count += 4;
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

size_t uint64_format(char out[UINT64_TEXT_MAX], uint64_t value)
{
    const size_t len = digits_of(value);
    size_t at = len;
    for (; value >= 100; value /= 100) {
        at -= 2;
        memcpy(out + at, DIGIT_PAIRS + 2 * (value % 100), 2);
    }
    if (at == 2)
        memcpy(out, DIGIT_PAIRS + 2 * value, 2);
    else
        out[0] = (char)('0' + value);
    return len;
}

size_t int64_format(char out[INT64_TEXT_MAX], int64_t value)
{
    if (value >= 0)
        return uint64_format(out, (uint64_t)value);
    char digits[UINT64_TEXT_MAX];
    const size_t len = uint64_format(digits, 0 - (uint64_t)value);
    out[0] = '-';
    memcpy(out + 1, digits, len);
    return len + 1;
}

/* --- instants -------------------------------------------------------------------------------- */

/* Days from 2000-01-01 to a date of the proleptic Gregorian calendar. Years run from March, so the
 * leap day is a year's last. */
int64_t scalar_days_from_civil(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const int64_t year_of_era = year - era * 400;
    const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    const int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 730425;
}

void scalar_civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += 730425;
    const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const int64_t day_of_era = days - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

static int64_t divide_down(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static void put_digits(char *out, int64_t value, size_t count)
{
    for (size_t i = count; i-- > 0; value /= 10)
        out[i] = (char)('0' + value % 10);
}

static size_t put_text(char *out, str text)
{
    memcpy(out, text.ptr, text.len);
    return text.len;
}

size_t scalar_civil_format(char out[SCALAR_CIVIL_TEXT_MAX], int64_t days)
{
    int64_t year;
    int month, day;
    scalar_civil_from_days(days, &year, &month, &day);
    size_t len = 0, year_digits = 4;
    if (year < 0) {
        out[len++] = '-';
        year = -year;
    }
    for (int64_t more = year / 10000; more > 0; more /= 10)
        year_digits++;
    put_digits(out + len, year, year_digits);
    len += year_digits;
    memcpy(out + len, "-00-00", 6);
    put_digits(out + len + 1, month, 2);
    put_digits(out + len + 4, day, 2);
    return len + 6;
}

size_t timestamptz_format(char out[TIMESTAMPTZ_TEXT_MAX], timestamptz t)
{
    if (t.us == INT64_MAX)
        return put_text(out, STR("infinity"));
    if (t.us == INT64_MIN)
        return put_text(out, STR("-infinity"));
    const int64_t seconds = divide_down(t.us, US_PER_SECOND);
    int64_t fraction = t.us % US_PER_SECOND;
    if (fraction < 0)
        fraction += US_PER_SECOND;
    const int64_t days = divide_down(seconds, SECONDS_PER_DAY);
    const int64_t of_day = seconds - days * SECONDS_PER_DAY;
    size_t len = scalar_civil_format(out, days);
    memcpy(out + len, "T00:00:00", 9);
    put_digits(out + len + 1, of_day / 3600, 2);
    put_digits(out + len + 4, of_day / 60 % 60, 2);
    put_digits(out + len + 7, of_day % 60, 2);
    len += 9;
    if (fraction) {
        out[len++] = '.';
        size_t digits = 6;
        for (; fraction % 10 == 0; fraction /= 10)
            digits--;
        put_digits(out + len, fraction, digits);
        len += digits;
    }
    out[len++] = 'Z';
    return len;
}

/* Exactly `count` digits at the front of `*s`. */
static bool take_digits(str *s, size_t count, int64_t *out)
{
    uint64_t value;
    if (s->len < count || !str_to_uint64(str_slice(*s, 0, count), &value))
        return false;
    *out = (int64_t)value;
    *s = str_slice(*s, count, s->len);
    return true;
}

static bool take_char(str *s, char c)
{
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    *s = str_slice(*s, 1, s->len);
    return true;
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const int8_t DAYS[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return DAYS[month - 1] + (month == 2 && leap);
}

static bool take_date(str *s, int64_t *days)
{
    int64_t year, month, day;
    if (!take_digits(s, 4, &year) || !take_char(s, '-') || !take_digits(s, 2, &month) ||
        !take_char(s, '-') || !take_digits(s, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *days = scalar_days_from_civil(year, month, day);
    return true;
}

/* hh:mm:ss[.ffffff…]; digits past the microsecond are cut, a leap second is the next minute. */
static bool take_time(str *s, int64_t *us)
{
    int64_t hour, minute, second, fraction = 0;
    if (!take_digits(s, 2, &hour) || !take_char(s, ':') || !take_digits(s, 2, &minute) ||
        !take_char(s, ':') || !take_digits(s, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 60)
        return false;
    if (take_char(s, '.')) {
        size_t digits = 0;
        for (int64_t digit; take_digits(s, 1, &digit); digits++) {
            if (digits < 6)
                fraction = fraction * 10 + digit;
        }
        if (digits == 0)
            return false;
        for (; digits < 6; digits++)
            fraction *= 10;
    }
    *us = ((hour * 60 + minute) * 60 + second) * US_PER_SECOND + fraction;
    return true;
}

static bool take_offset(str *s, int64_t *seconds)
{
    *seconds = 0;
    if (take_char(s, 'Z') || take_char(s, 'z'))
        return true;
    const bool minus = take_char(s, '-');
    int64_t hours, minutes;
    if ((!minus && !take_char(s, '+')) || !take_digits(s, 2, &hours) || !take_char(s, ':') ||
        !take_digits(s, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *seconds = (hours * 60 + minutes) * (minus ? -60 : 60);
    return true;
}

bool timestamptz_parse(str s, timestamptz *out)
{
    if (str_eq(s, STR("infinity"))) {
        *out = TIMESTAMPTZ_INFINITY;
        return true;
    }
    if (str_eq(s, STR("-infinity"))) {
        *out = TIMESTAMPTZ_MINUS_INFINITY;
        return true;
    }
    int64_t days, us, offset;
    if (!take_date(&s, &days))
        return false;
    if (!take_char(&s, 'T') && !take_char(&s, 't') && !take_char(&s, ' '))
        return false;
    if (!take_time(&s, &us) || !take_offset(&s, &offset) || s.len > 0)
        return false;
    us += (days * SECONDS_PER_DAY - offset) * US_PER_SECOND;
    if (us < YEAR_1_US || us >= YEAR_10000_US)
        return false; /* the offset moved it out of the years that can be written */
    out->us = us;
    return true;
}

timestamptz timestamptz_now(void)
{
    const struct timespec now = clock_wall();
    return (timestamptz){ ((int64_t)now.tv_sec - UNIX_TO_2000_SECONDS) * US_PER_SECOND +
                          now.tv_nsec / 1000 };
}

int64_t timestamptz_to_unix(timestamptz t)
{
    return divide_down(t.us, US_PER_SECOND) + UNIX_TO_2000_SECONDS;
}

timestamptz timestamptz_from_unix(int64_t seconds)
{
    int64_t us;
    if (__builtin_sub_overflow(seconds, UNIX_TO_2000_SECONDS, &us) ||
        __builtin_mul_overflow(us, US_PER_SECOND, &us))
        return seconds < 0 ? TIMESTAMPTZ_MINUS_INFINITY : TIMESTAMPTZ_INFINITY;
    return (timestamptz){ us };
}

/* --- UUIDs ----------------------------------------------------------------------------------- */

size_t uuid_format(char out[UUID_TEXT_LEN], uuid value)
{
    static const char HEX[] = "0123456789abcdef";
    size_t len = 0;
    for (size_t i = 0; i < sizeof value.bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[len++] = '-';
        out[len++] = HEX[value.bytes[i] >> 4];
        out[len++] = HEX[value.bytes[i] & 15];
    }
    return len;
}

bool uuid_parse(str s, uuid *out)
{
    uuid parsed;
    size_t at = 0;
    if (s.len != UUID_TEXT_LEN)
        return false;
    for (size_t i = 0; i < sizeof parsed.bytes; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && s.ptr[at++] != '-')
            return false;
        const int high = str_hex_digit(s.ptr[at]), low = str_hex_digit(s.ptr[at + 1]);
        if (high < 0 || low < 0)
            return false;
        parsed.bytes[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    *out = parsed;
    return true;
}

/* Sixteen random bytes with the version and the variant set over them. */
static uuid uuid_random(uint8_t version)
{
    uuid value;
    /* the kernel gives up to 256 bytes at once and whole, from boot on */
    invariant(getrandom(value.bytes, sizeof value.bytes, 0) == sizeof value.bytes);
    value.bytes[6] = (uint8_t)((value.bytes[6] & 0x0F) | version << 4);
    value.bytes[8] = (value.bytes[8] & 0x3F) | 0x80;
    return value;
}

uuid uuid_v4(void)
{
    return uuid_random(4);
}

/* RFC 9562 section 5.7, with section 6.2's method 3: the twelve bits behind the milliseconds are a
 * fraction of one. */
uuid uuid_v7(void)
{
    uuid value = uuid_random(7);
    const struct timespec now = clock_wall();
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    const uint64_t fraction = (uint64_t)now.tv_nsec % 1000000 * 4096 / 1000000;
    for (size_t i = 6; i > 0; i--, ms >>= 8)
        value.bytes[i - 1] = (uint8_t)ms;
    value.bytes[6] = (uint8_t)(0x70 | fraction >> 8);
    value.bytes[7] = (uint8_t)fraction;
    return value;
}
