/* Which scans an ARM64 CPU gets. */
#include "scan.h"

const http_scan *http_scan_pick(void)
{
    return &HTTP_SCAN_NEON;
}

const http_scan *const *http_scan_all(size_t *count)
{
    static const http_scan *const all[] = { &HTTP_SCAN_SCALAR, &HTTP_SCAN_NEON };
    *count = ARRAY_LEN(all);
    return all;
}
