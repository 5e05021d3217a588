/* The tokens of JSON text over a bounds-checked cursor, shared by the readers. Every function
 * leaves the cursor behind what it took, or notes the first reason why the text is malformed and
 * where. */
#ifndef CORE_SRC_JSON_CURSOR_H
#define CORE_SRC_JSON_CURSOR_H

#include "core/arena.h"
#include "core/json.h"

typedef struct json_cursor {
    const char *start;
    const char *at;
    const char *end;
    arena *arena;       /* where strings with escapes are decoded to; NULL: only checked */
    const char *reason; /* NULL: well-formed so far */
    const char *bad;    /* where it is not */
} json_cursor;

void json_cursor_init(json_cursor *c, arena *a, str text);
/* Notes the reason, if it is the first; returns false. */
bool json_cursor_fail(json_cursor *c, const char *reason);
/* The next significant byte without taking it; '\0' at the end (or a NUL, which starts nothing). */
char json_cursor_peek(json_cursor *c);
/* Takes `c` after white space, if it is there. */
bool json_cursor_take(json_cursor *c, char byte);
/* After the value: only white space may follow. */
bool json_cursor_finish(json_cursor *c);

/* A quoted string, decoded. A view of the text when it has no escapes. */
bool json_cursor_string(json_cursor *c, str *out);
/* "true", "false", "null". */
bool json_cursor_literal(json_cursor *c, str word);
/* A number's text (RFC 8259 section 6); `*integer` says that it has neither fraction nor exponent.
 */
bool json_cursor_number(json_cursor *c, str *out, bool *integer);
/* Any value, checked and dropped; `*out`, if given, is its text. */
bool json_cursor_skip(json_cursor *c, uint32_t depth, str *out);

/* Room in the arena for one element more of `bytes` behind the `count` at `items`: its array grows
 * in capacities of 4, 8, 16… */
void *json_cursor_room(json_cursor *c, void *items, size_t count, size_t bytes);

/* The malformed text as an error. */
error json_cursor_error(const json_cursor *c);

#endif
