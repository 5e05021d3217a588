/* Core's scalars from the server's text. Their binary form is what is asked for; text comes where a
 * type around them has none that is known here, and says the same. */
#include "text.h"

#include "core/arena.h"
#include "pg/date.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool pg_bool_parse(str text, bool *out)
{
    if (text.len != 1 || (text.ptr[0] != 't' && text.ptr[0] != 'f'))
        return false;
    *out = text.ptr[0] == 't';
    return true;
}

bool pg_int_parse(str text, int64_t least, int64_t most, int64_t *out)
{
    int64_t value;
    if (!str_to_int64(text, &value) || value < least || value > most)
        return false;
    *out = value;
    return true;
}

/* --- floats ----------------------------------------------------------------------------------- */

static bool special_float(str text, double *out)
{
    const bool minus = str_starts_with(text, STR("-"));
    if (str_eq(text, STR("NaN")))
        *out = (double)NAN;
    else if (str_eq(str_slice(text, minus, text.len), STR("Infinity")))
        *out = minus ? -(double)INFINITY : (double)INFINITY;
    else
        return false;
    return true;
}

bool pg_float8_parse(str text, double *out)
{
    return special_float(text, out) || float8_parse(text, out);
}

/* Whether a double lies in the middle between two floats, one of which it is rounded to. */
static bool is_midway(double value, float rounded)
{
    const float other = nextafterf(rounded, value > (double)rounded ? INFINITY : -INFINITY);
    return value - (double)rounded == (double)other - value;
}

#define FLOAT_TEXT_MAX 120 /* what is longer is nobody's text of a float */

/* The nearest double's nearest float is the text's too, unless that double lies midway: then the
 * text may be a little more or less, which only the text tells. */
bool pg_float4_parse(str text, float *out)
{
    double wide;
    if (special_float(text, &wide)) {
        *out = (float)wide;
        return true;
    }
    if (!float8_parse(text, &wide) || isinf((float)wide))
        return false;
    *out = (float)wide;
    if (!is_midway(wide, *out) || text.len >= FLOAT_TEXT_MAX)
        return true;
    char copy[FLOAT_TEXT_MAX];
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* glibc's constant one: no memory */
    *out = strtof_l(copy, NULL, c);
    freelocale(c);
    return true;
}

/* A decimal number: 0.DIGITS * 10^point. */
typedef struct decimal {
    char digits[FLOAT8_TEXT_MAX];
    size_t count;
    int64_t point;
} decimal;

/* That of a double that is greater than zero, by the text that core writes of it. */
static decimal decimal_of(double value)
{
    char text[FLOAT8_TEXT_MAX];
    str rest = { text, float8_format(text, value) };
    decimal d = { 0 };
    const str mantissa = str_cut(&rest, 'e');
    int64_t exponent = 0;
    invariant(!rest.ptr || str_to_int64(rest, &exponent));
    d.point = (int64_t)str_index(mantissa, '.') + exponent;
    for (size_t i = 0; i < mantissa.len; i++) {
        if (mantissa.ptr[i] == '.')
            continue;
        if (d.count == 0 && mantissa.ptr[i] == '0')
            d.point--;
        else
            d.digits[d.count++] = mantissa.ptr[i];
    }
    return d;
}

/* At most `count` of its digits, rounded up or down, without zeros at the end. */
static decimal rounded(decimal d, size_t count, bool up)
{
    up = up && d.count > count;
    if (d.count > count)
        d.count = count;
    size_t at = d.count;
    if (up) {
        while (at > 0 && d.digits[at - 1] == '9')
            d.digits[--at] = '0';
        if (at > 0) {
            d.digits[at - 1]++;
        } else {
            d.digits[0] = '1';
            d.point++;
        }
    }
    while (d.count > 1 && d.digits[d.count - 1] == '0')
        d.count--;
    return d;
}

static bool reads_as(const decimal *d, float value)
{
    char text[FLOAT8_TEXT_MAX + 32];
    memcpy(text, "0.", 2);
    memcpy(text + 2, d->digits, d->count);
    size_t len = 2 + d->count;
    text[len++] = 'e';
    len += int64_format(text + len, d->point);
    float back;
    return pg_float4_parse((str){ text, len }, &back) && back == value;
}

static size_t put_text(char *out, str text)
{
    memcpy(out, text.ptr, text.len);
    return text.len;
}

/* "1.234567e+06" */
static size_t put_scientific(char *out, const decimal *d)
{
    const int64_t exponent = d->point - 1;
    const unsigned ten = (unsigned)(exponent < 0 ? -exponent : exponent);
    size_t len = put_text(out, (str){ d->digits, 1 });
    if (d->count > 1) {
        out[len++] = '.';
        len += put_text(out + len, (str){ d->digits + 1, d->count - 1 });
    }
    out[len++] = 'e';
    out[len++] = exponent < 0 ? '-' : '+';
    out[len++] = (char)('0' + ten / 10);
    out[len++] = (char)('0' + ten % 10);
    return len;
}

/* "0.00012", "123456", "1.5" */
static size_t put_fixed(char *out, const decimal *d)
{
    const int64_t count = (int64_t)d->count;
    size_t len = d->point <= 0 ? put_text(out, STR("0.")) : 0;
    for (int64_t i = d->point; i < 0; i++)
        out[len++] = '0';
    for (int64_t i = 0; i < count || i < d->point; i++) {
        if (i == d->point && i > 0)
            out[len++] = '.';
        out[len++] = i < count ? d->digits[i] : '0';
    }
    return len;
}

/* With an exponent from 10^6 on and below 10^-4. */
static size_t put_decimal(char *out, const decimal *d)
{
    const bool fixed = d->point - 1 >= -4 && d->point - 1 < 6;
    return fixed ? put_fixed(out, d) : put_scientific(out, d);
}

/* Whether the nearest of `count` digits is above; in the middle the even one is the nearest. */
static bool is_above(const decimal *d, size_t count)
{
    if (d->count <= count)
        return false;
    if (d->digits[count] == '5' && d->count == count + 1)
        return (d->digits[count - 1] - '0') % 2 != 0;
    return d->digits[count] >= '5';
}

/* The fewest digits that read as the value, and of those the nearest to it. At a power of two the
 * reals below are closer together than those above, so that what is further away, but above, may do
 * where the nearest does not. */
static decimal shortest(float value)
{
    const decimal exact = decimal_of((double)value);
    int exponent;
    const bool is_power = frexpf(value, &exponent) == 0.5F;
    /* reals of so few digits all differ, but for those that are too small to have all their bits */
    const size_t least = value < FLT_MIN ? 1 : FLT_DIG;
    for (size_t count = least; count < FLT_DECIMAL_DIG; count++) {
        decimal d = rounded(exact, count, is_above(&exact, count));
        if (reads_as(&d, value))
            return d;
        d = rounded(exact, count, true);
        if (is_power && reads_as(&d, value))
            return d;
    }
    return rounded(exact, FLT_DECIMAL_DIG, is_above(&exact, FLT_DECIMAL_DIG));
}

size_t pg_float4_format(char out[PG_FLOAT4_TEXT_MAX], float value)
{
    if (isnan(value))
        return put_text(out, STR("NaN"));
    size_t len = 0;
    if (signbit(value))
        out[len++] = '-';
    const float positive = fabsf(value);
    if (isinf(positive))
        return len + put_text(out + len, STR("Infinity"));
    if (positive == 0.0F)
        return len + put_text(out + len, STR("0"));
    const decimal d = shortest(positive);
    return len + put_decimal(out + len, &d);
}

/* --- bytes ------------------------------------------------------------------------------------ */

static bool parse_hex(str digits, uint8_t *out)
{
    for (size_t i = 0; i + 1 < digits.len; i += 2) {
        const int high = str_hex_digit(digits.ptr[i]);
        const int low = str_hex_digit(digits.ptr[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return digits.len % 2 == 0;
}

static bool is_octal(char c, char most)
{
    return c >= '0' && c <= most;
}

/* Bytes of which a backslash is two, and others that cannot be shown \ooo. */
static bool parse_escapes(str text, uint8_t *out, size_t *len)
{
    *len = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *at = text.ptr + i;
        const size_t left = text.len - i;
        if (at[0] != '\\') {
            out[(*len)++] = (uint8_t)at[0];
        } else if (left >= 2 && at[1] == '\\') {
            out[(*len)++] = '\\';
            i++;
        } else if (left >= 4 && is_octal(at[1], '3') && is_octal(at[2], '7') &&
                   is_octal(at[3], '7')) {
            out[(*len)++] = (uint8_t)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
            i += 3;
        } else {
            return false;
        }
    }
    return true;
}

bool pg_bytea_parse(arena *a, str text, bytea *out)
{
    invariant(a != NULL);
    uint8_t *bytes = arena_try_alloc(a, text.len + 1, 1);
    if (!bytes)
        return false;
    size_t len = text.len / 2 - 1;
    const bool hex = str_starts_with(text, STR("\\x"));
    if (hex ? !parse_hex(str_slice(text, 2, text.len), bytes) : !parse_escapes(text, bytes, &len))
        return false;
    *out = (bytea){ bytes, len };
    return true;
}

/* --- instants --------------------------------------------------------------------------------- */

/* "+01", "-05:30", "+00:53:28": seconds east of UTC. */
static bool parse_zone(str text, int64_t *seconds)
{
    int64_t total = 0;
    static const int64_t UNITS[] = { 3600, 60, 1 };
    str rest = str_slice(text, 1, text.len);
    for (size_t i = 0; rest.ptr; i++) {
        const str part = str_cut(&rest, ':');
        int64_t value;
        if (i == ARRAY_LEN(UNITS) || part.len != 2 || part.ptr[0] == '-' ||
            !str_to_int64(part, &value) || value > 59)
            return false;
        total += value * UNITS[i];
    }
    *seconds = text.ptr[0] == '-' ? -total : total;
    return true;
}

#define TIMESTAMP_TEXT_MAX 64
#define ZONE_BEHIND        10 /* characters of a date at least: what signs come later are a zone's */

bool pg_timestamptz_parse(str text, timestamptz *out)
{
    pg_timestamp local;
    if (pg_timestamp_parse(text, &local) &&
        (local.us == PG_TIMESTAMP_INFINITY.us || local.us == PG_TIMESTAMP_MINUS_INFINITY.us)) {
        *out = (timestamptz){ local.us };
        return true;
    }
    const str era = str_ends_with(text, STR(" BC")) ? STR(" BC") : STR("");
    const str clock = str_slice(text, 0, text.len - era.len);
    size_t sign = clock.len;
    while (sign > ZONE_BEHIND && clock.ptr[sign - 1] != '+' && clock.ptr[sign - 1] != '-')
        sign--;
    int64_t seconds;
    char buffer[TIMESTAMP_TEXT_MAX];
    if (sign <= ZONE_BEHIND || sign + era.len > sizeof buffer ||
        !parse_zone(str_slice(clock, sign - 1, clock.len), &seconds))
        return false;
    sign--;
    memcpy(buffer, clock.ptr, sign);
    memcpy(buffer + sign, era.ptr, era.len);
    int64_t us;
    if (!pg_timestamp_parse((str){ buffer, sign + era.len }, &local) ||
        __builtin_sub_overflow(local.us, seconds * 1000000, &us) || us == TIMESTAMPTZ_INFINITY.us ||
        us == TIMESTAMPTZ_MINUS_INFINITY.us)
        return false;
    *out = (timestamptz){ us };
    return true;
}
