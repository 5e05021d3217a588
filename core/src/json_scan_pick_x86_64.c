/* Which scan this CPU gets: asked of the CPU each time, which is one load of libgcc's cached
 * answer. */
#include "json_scan.h"

size_t json_scan_plain(const char *p, size_t len)
{
    if (len >= 32 && __builtin_cpu_supports("avx2"))
        return json_scan_plain_avx2(p, len);
    return json_scan_plain_sse2(p, len);
}
