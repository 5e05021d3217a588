/* The plain-byte scan, 16 bytes at a time. Signed comparison with 0x20 catches control characters
 * and bytes past ASCII at once. */
#include "json_scan.h"

#include <arm_neon.h>

size_t json_scan_plain_neon(const char *p, size_t len)
{
    const uint8x16_t quote = vdupq_n_u8('"');
    const uint8x16_t backslash = vdupq_n_u8('\\');
    const int8x16_t space = vdupq_n_s8(0x20);
    size_t i = 0;
    for (; i + 16 <= len; i += 16) {
        const uint8x16_t bytes = vld1q_u8((const uint8_t *)(p + i));
        const uint8x16_t special =
            vorrq_u8(vcltq_s8(vreinterpretq_s8_u8(bytes), space),
                     vorrq_u8(vceqq_u8(bytes, quote), vceqq_u8(bytes, backslash)));
        if (vmaxvq_u8(special))
            return i + json_scan_plain_scalar(p + i, 16);
    }
    return i + json_scan_plain_scalar(p + i, len - i);
}
