/* Origins (RFC 6454, as browsers send them) and the rules that name some of them. */
#ifndef HTTP_SRC_ORIGIN_H
#define HTTP_SRC_ORIGIN_H

#include "core/str.h"

/* Whether it is scheme://host or scheme://host:port, in lower case. "null" is none. */
bool http_is_origin(str text);
/* Whether it is "*", an origin, or one with "*." before its name, which then has two labels or
 * more, or is localhost. */
bool http_is_origin_rule(str text);
/* Whether a rule that is not "*" names `origin`, which is one. */
bool http_origin_matches(str rule, str origin);

#endif
