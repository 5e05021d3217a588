/* Finding the next byte of a string that is not copied as it is: a quote, a backslash, a control
 * character, or a byte past ASCII. One file a vector unit, all with the same answer. */
#ifndef CORE_SRC_JSON_SCAN_H
#define CORE_SRC_JSON_SCAN_H

#include "core/base.h"

/* Number of bytes at the front of [p, p + len) that are plain: 0x20..0x7F, but not " or \. */
size_t json_scan_plain(const char *p, size_t len);
/* The same, going on over bytes past ASCII; `*ascii` says that there were none. */
size_t json_scan_text(const char *p, size_t len, bool *ascii);

/* The variants, for tests; those of other CPUs do not exist. */
size_t json_scan_plain_scalar(const char *p, size_t len);
size_t json_scan_plain_sse2(const char *p, size_t len);
size_t json_scan_plain_avx2(const char *p, size_t len);
size_t json_scan_plain_neon(const char *p, size_t len);

#endif
