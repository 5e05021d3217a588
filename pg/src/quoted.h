/* Text between quotes. In ranges and composites, (a,"b ""c""",), a quote or backslash in it is
 * doubled, and a backslash may stand before any character; in arrays and hstore, {"b \"c\""}, only
 * the latter. */
#ifndef PG_SRC_QUOTED_H
#define PG_SRC_QUOTED_H

#include "core/arena.h"
#include "core/buf.h"

/* Takes the text up to the first of `stops` that is not quoted, which must be there and stays.
 *   out      the text without quotes; STR_NONE when there is nothing at all. A view of `rest`, or
 *            in `a` when something in it is quoted
 *   returns  false when no stop is there, a quote does not end, or `a` has no room */
bool pg_quoted_take(arena *a, str *rest, const char *stops, str *out);
/* Takes what stands between two quotes at the beginning of `rest`, of an array or an hstore, with
 * the backslashes in it.
 *   escaped  whether there are any: then pg_quoted_plain
 *   returns  false when it does not begin or end so */
bool pg_quoted_take_item(str *rest, str *out, bool *escaped);
/* Copies it to `to`, which has room for all of it, without its backslashes. Returns its length. */
size_t pg_quoted_plain(str item, char *to);
/* Appends the text, between quotes where it is empty or has white space, a quote, a backslash or
 * one of `specials` in it. */
void pg_quoted_put(buf *out, str text, const char *specials);

#endif
