/* Which scans an x86-64 CPU gets. */
#include "scan.h"

const http_scan *http_scan_pick(void)
{
    if (__builtin_cpu_supports("avx2"))
        return &HTTP_SCAN_AVX2;
    return __builtin_cpu_supports("sse4.2") ? &HTTP_SCAN_SSE42 : &HTTP_SCAN_SCALAR;
}

const http_scan *const *http_scan_all(size_t *count)
{
    static const http_scan *const all[] = { &HTTP_SCAN_SCALAR, &HTTP_SCAN_SSE42, &HTTP_SCAN_AVX2 };
    *count = __builtin_cpu_supports("avx2") ? 3 : __builtin_cpu_supports("sse4.2") ? 2 : 1;
    return all;
}
