/* The scans a byte at a time: what a CPU without a known vector unit does, and all do with the last
 * bytes. */
#include "scan.h"
#include "scan_class.h"

#define ROW(IS, c) \
    IS(c), IS((c) + 1), IS((c) + 2), IS((c) + 3), IS((c) + 4), IS((c) + 5), IS((c) + 6), IS((c) + 7)
#define ROWS(IS, c)                                                                          \
    ROW(IS, (c)), ROW(IS, (c) + 8), ROW(IS, (c) + 16), ROW(IS, (c) + 24), ROW(IS, (c) + 32), \
        ROW(IS, (c) + 40), ROW(IS, (c) + 48), ROW(IS, (c) + 56)
#define TABLE(IS)                                               \
    {                                                           \
        ROWS(IS, 0), ROWS(IS, 64), ROWS(IS, 128), ROWS(IS, 192) \
    }

static const bool TOKEN[256] = TABLE(IS_TOKEN);
static const bool VALUE[256] = TABLE(IS_VALUE);
static const bool TARGET[256] = TABLE(IS_TARGET);

static size_t scan(const char *p, const char *end, const bool class[256])
{
    const char *at = p;
    while (at < end && class[(unsigned char)*at])
        at++;
    return (size_t)(at - p);
}

static size_t scan_token(const char *p, const char *end)
{
    return scan(p, end, TOKEN);
}

static size_t scan_value(const char *p, const char *end)
{
    return scan(p, end, VALUE);
}

static size_t scan_target(const char *p, const char *end)
{
    return scan(p, end, TARGET);
}

const http_scan HTTP_SCAN_SCALAR = { "scalar", scan_token, scan_value, scan_target };

bool http_is_token(str s)
{
    return s.len > 0 && scan_token(s.ptr, s.ptr + s.len) == s.len;
}

bool http_is_value(str s)
{
    return s.len == 0 || http_scan_pick()->value(s.ptr, s.ptr + s.len) == s.len;
}
