/* Text between quotes, as it stands in ranges and composites: (a,"b ""c""",). A quote or backslash
 * in it is doubled, and a backslash may stand before any character. */
#ifndef PG_SRC_QUOTED_H
#define PG_SRC_QUOTED_H

#include "core/arena.h"
#include "core/buf.h"

/* Takes the text up to the first of `stops` that is not quoted, which must be there and stays.
 *   out      the text without quotes; STR_NONE when there is nothing at all. A view of `rest`, or
 *            in `a` when something in it is quoted
 *   returns  false when no stop is there, a quote does not end, or `a` has no room */
bool pg_quoted_take(arena *a, str *rest, const char *stops, str *out);
/* Appends the text, between quotes where it is empty or has white space, a quote, a backslash or
 * one of `specials` in it. */
void pg_quoted_put(buf *out, str text, const char *specials);

#endif
