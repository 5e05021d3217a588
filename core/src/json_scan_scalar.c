/* The plain-byte scan in general registers, eight bytes at a time, and what is built on whichever
 * scan the CPU gets. It is also the tail of the vector variants.
 *
 * A byte's top bit is set in `special` when the byte is; a borrow may set it in bytes above a
 * special one too, but never below, and only the lowest is asked for. */
#include "json_scan.h"

#include <assert.h>
#include <string.h>

#define EVERY(byte) (0x0101010101010101U * (uint64_t)(byte))

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");

/* Top bits of bytes that are zero. */
static uint64_t zeros(uint64_t word)
{
    return (word - EVERY(0x01)) & ~word;
}

size_t json_scan_plain_scalar(const char *p, size_t len)
{
    size_t i = 0;
    for (; len - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        const uint64_t special =
            ((word - EVERY(0x20)) | word | zeros(word ^ EVERY('"')) | zeros(word ^ EVERY('\\'))) &
            EVERY(0x80);
        if (special)
            return i + (size_t)__builtin_ctzll(special) / 8;
    }
    while (i < len && (unsigned char)p[i] >= 0x20 && (unsigned char)p[i] < 0x80 && p[i] != '"' &&
           p[i] != '\\')
        i++;
    return i;
}

size_t json_scan_text(const char *p, size_t len, bool *ascii)
{
    size_t i = json_scan_plain(p, len);
    *ascii = i == len || (unsigned char)p[i] < 0x80;
    while (i < len && (unsigned char)p[i] >= 0x80) {
        while (i < len && (unsigned char)p[i] >= 0x80)
            i++;
        i += json_scan_plain(p + i, len - i);
    }
    return i;
}
