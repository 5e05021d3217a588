/* base64 and base64url (RFC 4648): one alphabet and one padding rule apart. */
#include "core/arena.h"
#include "core/scalar.h"

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char ALPHABET_URL[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static str encode(arena *a, bytea in, const char *alphabet, bool padded)
{
    char *out = arena_alloc(a, (in.len + 2) / 3 * 4, 1);
    size_t len = 0;
    for (size_t i = 0; i < in.len; i += 3) {
        const size_t left = in.len - i;
        const uint32_t group = (uint32_t)in.ptr[i] << 16 |
                               (left > 1 ? (uint32_t)in.ptr[i + 1] << 8 : 0) |
                               (left > 2 ? (uint32_t)in.ptr[i + 2] : 0);
        out[len++] = alphabet[group >> 18];
        out[len++] = alphabet[group >> 12 & 63];
        if (left > 1)
            out[len++] = alphabet[group >> 6 & 63];
        else if (padded)
            out[len++] = '=';
        if (left > 2)
            out[len++] = alphabet[group & 63];
        else if (padded)
            out[len++] = '=';
    }
    return (str){ out, len };
}

static int value_of(char c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    if (c == (url ? '_' : '/'))
        return 63;
    return -1;
}

static bool decode(arena *a, str in, bool url, bytea *result)
{
    if (!url) {
        if (in.len % 4 != 0)
            return false;
        for (int i = 0; i < 2 && in.len > 0 && in.ptr[in.len - 1] == '='; i++)
            in.len--;
    }
    if (in.len % 4 == 1)
        return false;
    uint8_t *out = arena_alloc(a, in.len / 4 * 3 + 2, 1);
    size_t len = 0;
    uint32_t bits = 0, count = 0;
    for (size_t i = 0; i < in.len; i++) {
        const int value = value_of(in.ptr[i], url);
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

str base64_encode(arena *a, bytea bytes)
{
    return encode(a, bytes, ALPHABET, true);
}

bool base64_decode(arena *a, str s, bytea *out)
{
    return decode(a, s, false, out);
}

str base64url_encode(arena *a, bytea bytes)
{
    return encode(a, bytes, ALPHABET_URL, false);
}

bool base64url_decode(arena *a, str s, bytea *out)
{
    return decode(a, s, true, out);
}
