/* The scans 16 bytes at a time; compiled for SSE4.2 and called only where the CPU has it. */
#include "scan.h"
#include "scan_class.h"

#include <immintrin.h>

/* One bit for each of 16 bytes that is of the class. */
__attribute__((target("sse4.2"))) static inline unsigned members(__m128i bytes, __m128i columns)
{
    const __m128i rows = _mm_setr_epi8(ROW_BITS);
    const __m128i low = _mm_set1_epi8(0x0F);
    const __m128i column = _mm_shuffle_epi8(columns, bytes); /* zero for bytes from 0x80 on */
    const __m128i row = _mm_shuffle_epi8(rows, _mm_and_si128(_mm_srli_epi16(bytes, 4), low));
    const __m128i outside = _mm_cmpeq_epi8(_mm_and_si128(column, row), _mm_setzero_si128());
    return ~(unsigned)_mm_movemask_epi8(outside) & 0xFFFF;
}

/* `rest` scans the last bytes. */
__attribute__((target("sse4.2"))) static inline size_t scan_class(const char *p, const char *end,
                                                                  __m128i columns,
                                                                  http_scan_fn *rest)
{
    const char *at = p;
    for (; end - at >= 16; at += 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        const unsigned others = ~members(bytes, columns) & 0xFFFF;
        if (others)
            return (size_t)(at - p) + (size_t)__builtin_ctz(others);
    }
    return (size_t)(at - p) + rest(at, end);
}

__attribute__((target("sse4.2"))) static size_t scan_token(const char *p, const char *end)
{
    return scan_class(p, end, _mm_setr_epi8(COLUMNS(IS_TOKEN)), HTTP_SCAN_SCALAR.token);
}

__attribute__((target("sse4.2"))) static size_t scan_target(const char *p, const char *end)
{
    return scan_class(p, end, _mm_setr_epi8(COLUMNS(IS_TARGET)), HTTP_SCAN_SCALAR.target);
}

/* Few bytes are no part of a value: control characters but for the tab, and DEL. */
__attribute__((target("sse4.2"))) static size_t scan_value(const char *p, const char *end)
{
    const __m128i tab = _mm_set1_epi8('\t'), delete = _mm_set1_epi8(0x7F);
    const __m128i last_control = _mm_set1_epi8(0x1F);
    const char *at = p;
    for (; end - at >= 16; at += 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        const __m128i control = _mm_andnot_si128(
            _mm_cmpeq_epi8(bytes, tab),
            _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes)); /* unsigned <= 0x1F */
        const unsigned others =
            (unsigned)_mm_movemask_epi8(_mm_or_si128(control, _mm_cmpeq_epi8(bytes, delete)));
        if (others)
            return (size_t)(at - p) + (size_t)__builtin_ctz(others);
    }
    return (size_t)(at - p) + HTTP_SCAN_SCALAR.value(at, end);
}

const http_scan HTTP_SCAN_SSE42 = { "sse4.2", scan_token, scan_value, scan_target };
