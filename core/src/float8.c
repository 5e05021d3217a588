/* Doubles in decimal.
 *
 * Formatting is Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles"): the
 * shortest decimal in the rounding interval, by three 64x128-bit products.
 *
 * Parsing tries three ways, each only where it is certain: small numbers divide or multiply exactly
 * (Clinger); most others are one product with a 128-bit power of ten, whose error is known and must
 * not reach the point where rounding turns; the rest, such as exact ties and subnormals, goes to
 * the C library in its "C" locale. */
#include "pow10_table.h"

#include "core/scalar.h"

#include <locale.h>
#include <math.h>
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

#define DIGITS_KEPT   19  /* of a number's significant digits: as many as a uint64_t always holds */
#define DIGITS_MAX    800 /* more cannot change the nearest double, but for a sticky one */
#define EXPONENT_MAX  308 /* 10^309 is past every double */
#define EXPONENT_LEAP 1000000000000 /* no text is so long that more could matter */

/* A JSON number taken apart: digits * 10^exponent, and a bit more when `cut`. */
typedef struct number {
    uint64_t digits; /* the first DIGITS_KEPT without leading zeros */
    uint32_t count;
    bool negative;
    bool cut; /* a digit that was left out is not zero */
    int64_t exponent;
} number;

static bool is_digit(str s, size_t at)
{
    return at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9';
}

/* Takes the digits at `at`; returns where they end. */
static size_t take_digits(str s, size_t at, bool fraction, number *n)
{
    for (; is_digit(s, at); at++) {
        const char digit = s.ptr[at];
        if (n->count < DIGITS_KEPT) {
            n->digits = n->digits * 10 + (uint64_t)(digit - '0');
            n->count += n->digits != 0;
            n->exponent -= fraction;
        } else {
            n->cut |= digit != '0';
            n->exponent += !fraction;
        }
    }
    return at;
}

/* What follows the digits: e or E, a sign, digits. */
static bool take_exponent(str s, size_t at, number *n)
{
    if (s.ptr[at] != 'e' && s.ptr[at] != 'E')
        return false;
    at++;
    const bool minus = at < s.len && s.ptr[at] == '-';
    at += at < s.len && (s.ptr[at] == '-' || s.ptr[at] == '+');
    if (!is_digit(s, at))
        return false;
    int64_t exponent = 0;
    for (; is_digit(s, at); at++) {
        if (exponent < EXPONENT_LEAP)
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
    if (!is_digit(s, at) || (s.ptr[at] == '0' && is_digit(s, at + 1)))
        return false;
    at = take_digits(s, at, false, n);
    if (at < s.len && s.ptr[at] == '.') {
        at++;
        if (!is_digit(s, at))
            return false;
        at = take_digits(s, at, true, n);
    }
    return at == s.len || take_exponent(s, at, n);
}

/* Up to 2^53 and 10^22: both factors, and so their product or quotient, are rounded once. */
static bool exact(const number *n, double *out)
{
    static const double POWERS[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                     1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                     1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    if (n->cut || n->digits > 2 * HIDDEN_BIT || n->exponent < -22 || n->exponent > 22)
        return false;
    const double value = (double)n->digits;
    *out = n->exponent < 0 ? value / POWERS[-n->exponent] : value * POWERS[n->exponent];
    return true;
}

/* The digits, moved up to 64 bits, times the 128-bit power of ten, of which the upper 128 bits are
 * `product`. The table rounds up by less than one, so the true value lies between product - 1 and
 * product + 1 + `slack`; false when the middle between two doubles lies there too. */
static bool by_product(const number *n, double *out)
{
    if (n->exponent < POW10_MIN || n->exponent > EXPONENT_MAX)
        return false;
    const int shift = __builtin_clzll(n->digits);
    const uint64_t moved = n->digits << shift;
    const pow10_entry g = POW10_TABLE[n->exponent - POW10_MIN];
    const __uint128_t low = (__uint128_t)g.low * moved;
    const __uint128_t product = (__uint128_t)g.high * moved + (uint64_t)(low >> 64);
    const __uint128_t slack = n->cut ? (__uint128_t)1 << (64 + shift) : 0;
    const int dropped = (product >> 127 ? 127 : 126) - SIGNIFICAND_BITS;
    const __uint128_t half = (__uint128_t)1 << (dropped - 1);
    const __uint128_t rest = product & (2 * half - 1);
    const bool up = rest > half;
    if (!up && rest + 1 + slack > half)
        return false;
    uint64_t significand = (uint64_t)(product >> dropped) + up;
    int32_t exponent =
        EXPONENT_BIAS + dropped - shift - 63 + floor_log2_pow10((int32_t)n->exponent);
    if (significand == 2 * HIDDEN_BIT) {
        significand = HIDDEN_BIT;
        exponent++;
    }
    if (exponent < 1 || exponent > 2046)
        return false;
    const uint64_t bits = (uint64_t)exponent << SIGNIFICAND_BITS | (significand & (HIDDEN_BIT - 1));
    memcpy(out, &bits, sizeof *out);
    return true;
}

/* By the C library, from "0.DIGITSeEXPONENT". */
static bool nearest(str s, const number *n, double *out)
{
    const int64_t point = n->count + n->exponent; /* where it stands, from the first digit */
    *out = 0.0;
    if (point > EXPONENT_MAX + 1)
        return false;
    if (point < -EXPONENT_MAX - 20)
        return true; /* less than half of the least subnormal */
    char text[DIGITS_MAX + 32];
    size_t len = put(text, STR("0."));
    bool sticky = false;
    for (size_t i = 0; i < s.len && s.ptr[i] != 'e' && s.ptr[i] != 'E'; i++) {
        const char c = s.ptr[i];
        if (c == '-' || c == '.' || (len == 2 && c == '0'))
            continue;
        if (len < DIGITS_MAX + 2)
            text[len++] = c;
        else
            sticky |= c != '0';
    }
    if (sticky)
        text[len++] = '1';
    text[len++] = 'e';
    len += int64_format(text + len, point);
    text[len] = '\0';
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
    if (n.digits != 0 && !exact(&n, &value) && !by_product(&n, &value) && !nearest(s, &n, &value))
        return false;
    *out = n.negative ? -value : value;
    return true;
}
