/* The plain-byte scan, 16 bytes at a time. Signed comparison with 0x20 catches control characters
 * and bytes past ASCII at once. */
#include "json_scan.h"

#include <emmintrin.h>

size_t json_scan_plain_sse2(const char *p, size_t len)
{
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(0x20);
    size_t i = 0;
    for (; i + 16 <= len; i += 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        const __m128i special = _mm_or_si128(
            _mm_cmplt_epi8(bytes, space),
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
        const unsigned mask = (unsigned)_mm_movemask_epi8(special);
        if (mask)
            return i + (size_t)__builtin_ctz(mask);
    }
    return i + json_scan_plain_scalar(p + i, len - i);
}
