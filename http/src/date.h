/* Dates as HTTP writes them (RFC 9110, 5.6.7). */
#ifndef HTTP_SRC_DATE_H
#define HTTP_SRC_DATE_H

#include "core/str.h"

#define HTTP_DATE_LEN 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* Seconds since 1970 from any of the three forms (RFC 9110, 5.6.7). A two-digit year is the one of
 * its century that lies at most 50 years behind `now_s`.
 *   returns false on anything else, leap seconds included */
bool http_date_parse(str s, int64_t now_s, int64_t *out);
/* The first form; NUL-terminated. Of years 0 to 9999, what lies outside becomes the nearest. */
void http_date_format(char out[HTTP_DATE_LEN + 1], int64_t seconds);

#endif
