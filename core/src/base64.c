/* base64 and base64url (RFC 4648): one alphabet and one padding rule apart. Encoding is three bytes
 * a step; decoding looks each character up and refuses every second spelling of the same bytes. */
#include "base64.h"

#include "core/arena.h"

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char ALPHABET_URL[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* One more than the value of a character in either alphabet; 0: in none. */
// clang-format off
static const uint8_t VALUES[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 63, 0, 63, 0, 64,
    53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 0, 0, 0, 0, 0, 0,
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 0, 0, 0, 0, 64,
    0, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41,
    42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 0, 0, 0, 0, 0,
};
// clang-format on

/* The last one or two bytes. */
static size_t put_tail(char *out, const uint8_t *in, size_t left, const char *alphabet, bool padded)
{
    const uint32_t group = (uint32_t)in[0] << 16 | (left == 2 ? (uint32_t)in[1] << 8 : 0);
    size_t len = 0;
    out[len++] = alphabet[group >> 18];
    out[len++] = alphabet[group >> 12 & 63];
    if (left == 2)
        out[len++] = alphabet[group >> 6 & 63];
    while (padded && len < 4)
        out[len++] = '=';
    return len;
}

static size_t put(char *out, bytea in, const char *alphabet, bool padded)
{
    size_t len = 0, i = 0;
    for (; in.len - i >= 3; i += 3) {
        const uint32_t group =
            (uint32_t)in.ptr[i] << 16 | (uint32_t)in.ptr[i + 1] << 8 | in.ptr[i + 2];
        out[len++] = alphabet[group >> 18];
        out[len++] = alphabet[group >> 12 & 63];
        out[len++] = alphabet[group >> 6 & 63];
        out[len++] = alphabet[group & 63];
    }
    return i < in.len ? len + put_tail(out + len, in.ptr + i, in.len - i, alphabet, padded) : len;
}

/* -1 when the character is not of the alphabet. */
static int value_of(char c, const char *alphabet)
{
    const unsigned char byte = (unsigned char)c;
    const int value = byte < sizeof VALUES ? VALUES[byte] - 1 : -1;
    return value < 62 || alphabet[value] == c ? value : -1;
}

/* `in` without padding. */
static bool decode(arena *a, str in, const char *alphabet, bytea *result)
{
    if (in.len % 4 == 1)
        return false;
    uint8_t *out = arena_alloc(a, in.len / 4 * 3 + 2, 1);
    size_t len = 0;
    uint32_t bits = 0, count = 0;
    for (size_t i = 0; i < in.len; i++) {
        const int value = value_of(in.ptr[i], alphabet);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            out[len++] = (uint8_t)(bits >> count);
            bits &= ((uint32_t)1 << count) - 1;
        }
    }
    if (bits != 0)
        return false; /* trailing bits must be zero: one text a value */
    *result = (bytea){ out, len };
    return true;
}

size_t base64_put(char *out, bytea in)
{
    return put(out, in, ALPHABET, true);
}

str base64_encode(arena *a, bytea bytes)
{
    char *out = arena_alloc(a, base64_len(bytes.len), 1);
    return (str){ out, put(out, bytes, ALPHABET, true) };
}

bool base64_decode(arena *a, str s, bytea *out)
{
    if (s.len % 4 != 0)
        return false;
    for (int i = 0; i < 2 && s.len > 0 && s.ptr[s.len - 1] == '='; i++)
        s.len--;
    return decode(a, s, ALPHABET, out);
}

str base64url_encode(arena *a, bytea bytes)
{
    char *out = arena_alloc(a, base64_len(bytes.len), 1);
    return (str){ out, put(out, bytes, ALPHABET_URL, false) };
}

bool base64url_decode(arena *a, str s, bytea *out)
{
    return decode(a, s, ALPHABET_URL, out);
}
