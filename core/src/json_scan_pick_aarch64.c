/* Which scan this CPU gets: every AArch64 has NEON. */
#include "json_scan.h"

size_t json_scan_plain(const char *p, size_t len)
{
    return json_scan_plain_neon(p, len);
}
