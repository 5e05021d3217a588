/* Slices: comparison, cutting, decimal conversion, hashing, UTF-8. Nothing here keeps state or
 * reads past a slice. */
#include "core/str.h"

#include "utf8.h"

#include "core/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

str str_slice(str s, size_t from, size_t len)
{
    if (from > s.len)
        from = s.len;
    if (len > s.len - from)
        len = s.len - from;
    return (str){ s.ptr ? s.ptr + from : NULL, len };
}

str str_from_c(const char *text)
{
    return text ? (str){ text, strlen(text) } : STR_NONE;
}

bool str_eq(str a, str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* Eight bytes, A-Z made lower case: what stands between 'A' and 'Z' and is ASCII gets bit 5. */
static uint64_t lower_all(uint64_t bytes)
{
    const uint64_t ones = 0x0101010101010101U;
    const uint64_t low7 = bytes & 0x7F * ones;
    const uint64_t from_a = low7 + (0x80 - 'A') * ones, past_z = low7 + (0x7F - 'Z') * ones;
    return bytes | ((from_a ^ past_z) & ~bytes & 0x80 * ones) >> 2;
}

static uint64_t lower8(const char *p)
{
    uint64_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    return lower_all(bytes);
}

/* The first four bytes and the last four. */
static uint64_t lower4and4(str s)
{
    uint32_t first, last;
    memcpy(&first, s.ptr, sizeof first);
    memcpy(&last, s.ptr + s.len - sizeof last, sizeof last);
    return lower_all((uint64_t)last << 32 | first);
}

bool str_eq_nocase(str a, str b)
{
    if (a.len != b.len)
        return false;
    size_t i = 0;
    for (; i + 8 <= a.len; i += 8) {
        if (lower8(a.ptr + i) != lower8(b.ptr + i))
            return false;
    }
    if (i > 0 && i < a.len) /* the last eight, some of them again */
        return lower8(a.ptr + a.len - 8) == lower8(b.ptr + a.len - 8);
    if (i == 0 && a.len >= 4)
        return lower4and4(a) == lower4and4(b);
    for (; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool str_eq_constant_time(str a, str b)
{
    if (a.len != b.len)
        return false;
    unsigned char difference = 0;
    for (size_t i = 0; i < a.len; i++)
        difference |= (unsigned char)(a.ptr[i] ^ b.ptr[i]);
    return difference == 0;
}

bool str_starts_with(str s, str prefix)
{
    return s.len >= prefix.len && str_eq(str_slice(s, 0, prefix.len), prefix);
}

bool str_ends_with(str s, str suffix)
{
    return s.len >= suffix.len && str_eq(str_slice(s, s.len - suffix.len, suffix.len), suffix);
}

int str_compare(str a, str b)
{
    const size_t common = a.len < b.len ? a.len : b.len;
    const int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

size_t str_index(str s, char c)
{
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return at ? (size_t)(at - s.ptr) : s.len;
}

str str_trim(str s, str set)
{
    while (s.len > 0 && str_index(set, s.ptr[0]) < set.len)
        s = str_slice(s, 1, s.len);
    while (s.len > 0 && str_index(set, s.ptr[s.len - 1]) < set.len)
        s.len--;
    return s;
}

str str_cut(str *rest, char separator)
{
    const str all = *rest;
    const char *at = all.len ? memchr(all.ptr, separator, all.len) : NULL;
    if (!at) {
        *rest = STR_NONE;
        return all;
    }
    const size_t len = (size_t)(at - all.ptr);
    *rest = (str){ at + 1, all.len - len - 1 };
    return (str){ all.ptr, len };
}

bool str_to_uint64(str s, uint64_t *out)
{
    uint64_t value = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool str_to_int64(str s, int64_t *out)
{
    const bool negative = s.len > 0 && s.ptr[0] == '-';
    uint64_t magnitude;
    if (negative)
        s = (str){ s.ptr + 1, s.len - 1 };
    if (!str_to_uint64(s, &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return false;
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

int str_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* --- hash: eight bytes a step, folded by a 128-bit multiplication ----------------------------- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    const __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t str_hash(str s, uint64_t seed)
{
    static const uint64_t ODD1 = 0x9E3779B97F4A7C15U, ODD2 = 0xD6E8FEB86659FD93U;
    uint64_t h = seed ^ mix(s.len ^ ODD1, ODD2);
    const char *p = s.ptr;
    size_t left = s.len;
    for (; left >= 8; p += 8, left -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = mix(h ^ word, ODD1);
    }
    if (left > 0) {
        uint64_t word = 0;
        memcpy(&word, p, left);
        h = mix(h ^ word, ODD2);
    }
    return mix(h ^ ODD2, ODD1);
}

/* --- copies ---------------------------------------------------------------------------------- */

str str_copy(arena *a, str s)
{
    if (!s.ptr)
        return STR_NONE;
    char *to = arena_alloc(a, s.len, 1);
    if (s.len)
        memcpy(to, s.ptr, s.len);
    return (str){ to, s.len };
}

char *str_to_c(arena *a, str s)
{
    char *to = arena_alloc(a, s.len + 1, 1);
    if (s.len)
        memcpy(to, s.ptr, s.len);
    to[s.len] = '\0';
    return to;
}

str str_format(arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    invariant(len >= 0);
    char *to = arena_alloc(a, (size_t)len + 1, 1);
    va_start(args, format);
    const int written = vsnprintf(to, (size_t)len + 1, format, args);
    va_end(args);
    invariant(written == len);
    return (str){ to, (size_t)len };
}

/* --- UTF-8 ----------------------------------------------------------------------------------- */

size_t utf8_sequence(const unsigned char *p, size_t left)
{
    const unsigned char first = p[0];
    if (first < 0x80)
        return 1;
    size_t len = 0;
    unsigned char low = 0x80, high = 0xBF; /* of the second byte */
    if (first >= 0xC2 && first <= 0xDF) {
        len = 2;
    } else if (first >= 0xE0 && first <= 0xEF) {
        len = 3;
        low = first == 0xE0 ? 0xA0 : 0x80;
        high = first == 0xED ? 0x9F : 0xBF;
    } else if (first >= 0xF0 && first <= 0xF4) {
        len = 4;
        low = first == 0xF0 ? 0x90 : 0x80;
        high = first == 0xF4 ? 0x8F : 0xBF;
    }
    if (len == 0 || len > left || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    return len;
}

bool str_is_utf8(str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t left = s.len;
    while (left > 0) {
        uint64_t word;
        if (left >= 8 && (memcpy(&word, p, 8), (word & 0x8080808080808080U) == 0)) {
            p += 8;
            left -= 8;
            continue;
        }
        const size_t len = utf8_sequence(p, left);
        if (len == 0)
            return false;
        p += len;
        left -= len;
    }
    return true;
}
