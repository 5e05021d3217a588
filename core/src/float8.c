/* Doubles in decimal.
 *
 * Formatting is Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles"): the
 * shortest decimal in the rounding interval, by three 64x128-bit products. Parsing takes Clinger's
 * exact path for up to 15 digits and small exponents, and the C library in its "C" locale for the
 * rest. */
#include "pow10_table.h"

#include "core/scalar.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGNIFICAND_BITS 52
#define HIDDEN_BIT       ((uint64_t)1 << SIGNIFICAND_BITS)
#define EXPONENT_BIAS    (1023 + SIGNIFICAND_BITS)

/* value = digits * 10^exponent */
typedef struct decimal {
    uint64_t digits;
    int32_t exponent;
} decimal;

/* floor(g * c / 2^128), its lowest bit set when anything was cut off. */
static uint64_t round_to_odd(pow10_entry g, uint64_t c)
{
    const __uint128_t low = (__uint128_t)g.low * c;
    const __uint128_t high = (__uint128_t)g.high * c + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

static int32_t floor_log2_pow10(int32_t e)
{
    return (e * 1741647) >> 19;
}

static decimal shortest(uint64_t significand, uint32_t exponent)
{
    uint64_t c = significand;
    int32_t q = 1 - EXPONENT_BIAS;
    if (exponent != 0) {
        c |= HIDDEN_BIT;
        q = (int32_t)exponent - EXPONENT_BIAS;
        if (q <= 0 && -q <= SIGNIFICAND_BITS && (c & (((uint64_t)1 << -q) - 1)) == 0)
            return (decimal){ c >> -q, 0 }; /* an integer */
    }
    const bool even = c % 2 == 0;
    const bool lower_is_closer = significand == 0 && exponent > 1;
    const int32_t k = (q * 1262611 - (lower_is_closer ? 524031 : 0)) >> 22;
    const int32_t h = q + floor_log2_pow10(-k) + 1;
    const pow10_entry g = POW10_TABLE[-k - POW10_MIN];
    const uint64_t below = round_to_odd(g, (4 * c - 2 + lower_is_closer) << h) + !even;
    const uint64_t value = round_to_odd(g, (4 * c) << h);
    const uint64_t above = round_to_odd(g, (4 * c + 2) << h) - !even;
    const uint64_t s = value / 4;
    if (s >= 10) {
        const uint64_t tens = s / 10;
        const bool down_fits = below <= 40 * tens;
        const bool up_fits = 40 * tens + 40 <= above;
        if (down_fits != up_fits)
            return (decimal){ tens + up_fits, k + 1 };
    }
    const bool down_fits = below <= 4 * s;
    const bool up_fits = 4 * s + 4 <= above;
    if (down_fits != up_fits)
        return (decimal){ s + up_fits, k };
    const uint64_t middle = 4 * s + 2;
    const bool up = value > middle || (value == middle && (s & 1) != 0);
    return (decimal){ s + up, k };
}

static size_t put(char *out, str text)
{
    memcpy(out, text.ptr, text.len);
    return text.len;
}

/* 123.45 style for exponents -7..20, else 1.2345e-9. `point` is where the decimal point stands,
 * counted from the first digit. */
static size_t put_decimal(char *out, const char *digits, size_t count, int32_t point)
{
    size_t len = 0;
    if (point > 21 || point < -6) {
        out[len++] = digits[0];
        if (count > 1) {
            out[len++] = '.';
            len += put(out + len, (str){ digits + 1, count - 1 });
        }
        out[len++] = 'e';
        return len + int64_format(out + len, point - 1);
    }
    if (point <= 0) {
        len += put(out, STR("0."));
        for (int32_t i = point; i < 0; i++)
            out[len++] = '0';
        return len + put(out + len, (str){ digits, count });
    }
    for (int32_t i = 0; i < point; i++)
        out[len++] = (size_t)i < count ? digits[i] : '0';
    if (count > (size_t)point) {
        out[len++] = '.';
        len += put(out + len, (str){ digits + point, count - (size_t)point });
    }
    return len;
}

size_t float8_format(char out[FLOAT8_TEXT_MAX], double value)
{
    if (isnan(value))
        return put(out, STR("NaN"));
    if (isinf(value))
        return put(out, value > 0 ? STR("Infinity") : STR("-Infinity"));
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    size_t len = 0;
    if (bits >> 63)
        out[len++] = '-';
    const uint64_t significand = bits & (HIDDEN_BIT - 1);
    const uint32_t exponent = (uint32_t)(bits >> SIGNIFICAND_BITS) & 0x7FF;
    if (significand == 0 && exponent == 0)
        return len + put(out + len, STR("0"));
    decimal d = shortest(significand, exponent);
    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent++;
    }
    char digits[UINT64_TEXT_MAX];
    const size_t count = uint64_format(digits, d.digits);
    return len + put_decimal(out + len, digits, count, (int32_t)count + d.exponent);
}

/* --- parsing --------------------------------------------------------------------------------- */

#define DIGITS_MAX 800 /* more cannot change the nearest double, but as a sticky one */

/* A JSON number taken apart: digits without leading zeros, and the power of ten behind them. */
typedef struct number {
    bool negative;
    char digits[DIGITS_MAX + 2];
    size_t count;
    bool sticky; /* a non-zero digit was left out */
    int64_t exponent;
} number;

static bool is_digit(str s, size_t at)
{
    return at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9';
}

static void add_digit(number *n, char digit, bool fraction)
{
    if (fraction)
        n->exponent--;
    if (n->count == 0 && digit == '0')
        return;
    if (n->count < DIGITS_MAX) {
        n->digits[n->count++] = digit;
        return;
    }
    n->sticky |= digit != '0';
    n->exponent++;
}

/* What follows the digits: e or E, a sign, digits. */
static bool take_exponent(str s, number *n)
{
    if (s.ptr[0] != 'e' && s.ptr[0] != 'E')
        return false;
    size_t at = 1;
    const bool minus = at < s.len && s.ptr[at] == '-';
    at += at < s.len && (s.ptr[at] == '-' || s.ptr[at] == '+');
    if (!is_digit(s, at))
        return false;
    int64_t exponent = 0;
    for (; is_digit(s, at); at++) {
        if (exponent < 1000000)
            exponent = exponent * 10 + (s.ptr[at] - '0');
    }
    n->exponent += minus ? -exponent : exponent;
    return at == s.len;
}

/* RFC 8259 section 6: [-] int [frac] [exp]. */
static bool take_apart(str s, number *n)
{
    size_t at = 0;
    n->negative = s.len > 0 && s.ptr[0] == '-';
    at += n->negative;
    if (!is_digit(s, at))
        return false;
    if (s.ptr[at] == '0' && is_digit(s, at + 1))
        return false;
    for (; is_digit(s, at); at++)
        add_digit(n, s.ptr[at], false);
    if (at < s.len && s.ptr[at] == '.') {
        at++;
        if (!is_digit(s, at))
            return false;
        for (; is_digit(s, at); at++)
            add_digit(n, s.ptr[at], true);
    }
    return at == s.len || take_exponent(str_slice(s, at, s.len), n);
}

/* Up to 15 digits and 10^22: both factors and their product or quotient are exact (Clinger). */
static bool exact(const number *n, double *out)
{
    static const double POWERS[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    if (n->count > 15 || n->sticky || n->exponent < -22 || n->exponent > 22)
        return false;
    uint64_t digits = 0;
    for (size_t i = 0; i < n->count; i++)
        digits = digits * 10 + (uint64_t)(n->digits[i] - '0');
    const double value = (double)digits;
    *out = n->exponent < 0 ? value / POWERS[-n->exponent] : value * POWERS[n->exponent];
    return true;
}

static bool nearest(number *n, double *out)
{
    if (n->count + (size_t)(n->exponent > 0 ? n->exponent : 0) > 400 && n->exponent > 0)
        return false; /* past 1e400 */
    if (n->sticky) {
        n->digits[n->count++] = '1';
        n->exponent--;
    }
    n->digits[n->count] = '\0';
    char text[DIGITS_MAX + 32];
    if (n->exponent < -1000000)
        n->exponent = -1000000;
    if (snprintf(text, sizeof text, "%se%lld", n->digits, (long long)n->exponent) < 0)
        return false;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* glibc's constant one: no memory */
    *out = strtod_l(text, NULL, c);
    freelocale(c);
    return isfinite(*out);
}

bool float8_parse(str s, double *out)
{
    number n = { 0 };
    if (!take_apart(s, &n))
        return false;
    double value = 0.0;
    if (n.count > 0 && !exact(&n, &value) && !nearest(&n, &value))
        return false;
    *out = n.negative ? -value : value;
    return true;
}
