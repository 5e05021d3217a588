/* The scans 32 bytes at a time; compiled for AVX2 and called only where the CPU has it. Names of
 * fields are short: they stay with 16. */
#include "scan.h"
#include "scan_class.h"

#include <immintrin.h>

__attribute__((target("avx2"))) static size_t scan_target(const char *p, const char *end)
{
    const __m256i columns = _mm256_setr_epi8(COLUMNS(IS_TARGET), COLUMNS(IS_TARGET));
    const __m256i rows = _mm256_setr_epi8(ROW_BITS, ROW_BITS);
    const __m256i low = _mm256_set1_epi8(0x0F);
    const char *at = p;
    for (; end - at >= 32; at += 32) {
        const __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)at);
        const __m256i column = _mm256_shuffle_epi8(columns, bytes);
        const __m256i row =
            _mm256_shuffle_epi8(rows, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), low));
        const unsigned others = (unsigned)_mm256_movemask_epi8(
            _mm256_cmpeq_epi8(_mm256_and_si256(column, row), _mm256_setzero_si256()));
        if (others)
            return (size_t)(at - p) + (size_t)__builtin_ctz(others);
    }
    return (size_t)(at - p) + HTTP_SCAN_SSE42.target(at, end);
}

__attribute__((target("avx2"))) static size_t scan_value(const char *p, const char *end)
{
    const __m256i tab = _mm256_set1_epi8('\t'), delete = _mm256_set1_epi8(0x7F);
    const __m256i last_control = _mm256_set1_epi8(0x1F);
    const char *at = p;
    for (; end - at >= 32; at += 32) {
        const __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)at);
        const __m256i control =
            _mm256_andnot_si256(_mm256_cmpeq_epi8(bytes, tab),
                                _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, last_control), bytes));
        const unsigned others = (unsigned)_mm256_movemask_epi8(
            _mm256_or_si256(control, _mm256_cmpeq_epi8(bytes, delete)));
        if (others)
            return (size_t)(at - p) + (size_t)__builtin_ctz(others);
    }
    return (size_t)(at - p) + HTTP_SCAN_SSE42.value(at, end);
}

static size_t scan_token(const char *p, const char *end)
{
    return HTTP_SCAN_SSE42.token(p, end);
}

const http_scan HTTP_SCAN_AVX2 = { "avx2", scan_token, scan_value, scan_target };
