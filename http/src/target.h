/* Request targets: path and query, decoded and normalised before anything is routed. */
#ifndef HTTP_SRC_TARGET_H
#define HTTP_SRC_TARGET_H

#include "core/arena.h"
#include "core/str.h"

typedef struct http_target {
    str path;  /* raw, as routed: dot-segments removed, still percent-encoded */
    str query; /* raw, without the '?'; STR_NONE without one */
} http_target;

/* The authority of a target, STR_NONE in origin- and asterisk-form. `*rest`: path and query. */
str http_target_authority(str target, str *rest);
/* Splits a target in origin-, absolute- or asterisk-form; dot-segments are removed (RFC
 * 3986 5.2.4), also those written with %2e. False on bad or NUL escapes and on a path that leaves
 * the root. An authority is the head's to judge. */
bool http_target_parse(arena *a, str target, http_target *out);
/* Whether a path is made of letters, digits and "/-_~" only: it is its own decoding, and normal. */
bool http_path_is_plain(str path);
/* Percent-decodes; `plus_is_space` for queries. A view when nothing was encoded. False on a bad
 * escape, %00, or a result that is no UTF-8. */
bool http_percent_decode(arena *a, str s, bool plus_is_space, str *out);
/* The first parameter of that name in a query, decoded; STR_NONE when there is none (or it cannot
 * be decoded). */
str http_query_find(arena *a, str query, str name);
/* Whether there is one, decodable or not. */
bool http_query_has(arena *a, str query, str name);

#endif
