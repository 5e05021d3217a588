/* The plain-byte scan, 32 bytes at a time; compiled for AVX2 and called only where the CPU has it.
 */
#include "json_scan.h"

#include <immintrin.h>

__attribute__((target("avx2"))) size_t json_scan_plain_avx2(const char *p, size_t len)
{
    const __m256i quote = _mm256_set1_epi8('"');
    const __m256i backslash = _mm256_set1_epi8('\\');
    const __m256i space = _mm256_set1_epi8(0x20);
    size_t i = 0;
    for (; i + 32 <= len; i += 32) {
        const __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
        const __m256i special = _mm256_or_si256(
            _mm256_cmpgt_epi8(space, bytes),
            _mm256_or_si256(_mm256_cmpeq_epi8(bytes, quote), _mm256_cmpeq_epi8(bytes, backslash)));
        const unsigned mask = (unsigned)_mm256_movemask_epi8(special);
        if (mask)
            return i + (size_t)__builtin_ctz(mask);
    }
    return i + json_scan_plain_sse2(p + i, len - i);
}
