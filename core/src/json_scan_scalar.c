/* The plain-byte scan, a byte at a time: the reference, and the tail of the vector variants. */
#include "json_scan.h"

size_t json_scan_plain_scalar(const char *p, size_t len)
{
    size_t i = 0;
    while (i < len && (unsigned char)p[i] >= 0x20 && (unsigned char)p[i] < 0x80 && p[i] != '"' &&
           p[i] != '\\')
        i++;
    return i;
}
