/* How far a run of bytes of one class reaches: the inner loops of the head's parser. One file a
 * vector unit, all with the same answers.
 *
 * Each takes the bytes [p, end), which may reach past the line, and gives the number of bytes at
 * the front that are of the class:
 *   token   tchar (RFC 9110, 5.6.2): methods and field names
 *   value   VCHAR, obs-text, space and tab (RFC 9110, 5.5): field values
 *   target  what may stand in a request target (RFC 3986); all else must be percent-encoded */
#ifndef HTTP_SRC_SCAN_H
#define HTTP_SRC_SCAN_H

#include "core/str.h"

typedef size_t http_scan_fn(const char *p, const char *end);
typedef struct http_scan {
    const char *name;
    http_scan_fn *token;
    http_scan_fn *value;
    http_scan_fn *target;
} http_scan;

/* The best that this CPU has. */
const http_scan *http_scan_pick(void);
/* All that this CPU has, `count` of them, the scalar one first: for tests. */
const http_scan *const *http_scan_all(size_t *count);

extern const http_scan HTTP_SCAN_SCALAR;
extern const http_scan HTTP_SCAN_SSE42; /* these exist on x86-64 only */
extern const http_scan HTTP_SCAN_AVX2;
extern const http_scan HTTP_SCAN_NEON; /* and this one on aarch64 */

/* Whether all of `s`, which a program has at hand, is of the class. An empty token is none. */
bool http_is_token(str s);
bool http_is_value(str s);

#endif
