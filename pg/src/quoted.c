/* Quoting of the server's rangetypes.c and rowtypes.c, which is that of neither SQL nor arrays; and
 * that of arrayfuncs.c and hstore_io.c. */
#include "quoted.h"

#include <string.h>

static bool is_one_of(char c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

/* Where the text ends; `rest.len` when it does not. `*plain`: it has neither quote nor backslash.
 */
static size_t find_stop(str rest, const char *stops, bool *plain)
{
    bool quoted = false;
    *plain = true;
    for (size_t i = 0; i < rest.len; i++) {
        const char c = rest.ptr[i];
        if (c == '\\') {
            *plain = false;
            i++;
        } else if (c == '"') {
            *plain = false;
            quoted = !quoted;
        } else if (!quoted && is_one_of(c, stops)) {
            return i;
        }
    }
    return rest.len;
}

/* The text without its quotes and backslashes; `quotes` was checked to end. */
static bool strip(arena *a, str text, str *out)
{
    invariant(a != NULL);
    char *to = arena_try_alloc(a, text.len, 1);
    if (!to)
        return false;
    size_t len = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '"') {
            const bool doubled = quoted && i + 1 < text.len && text.ptr[i + 1] == '"';
            if (!doubled) {
                quoted = !quoted;
                continue;
            }
            i++;
        } else if (c == '\\') {
            c = text.ptr[++i];
        }
        to[len++] = c;
    }
    *out = (str){ to, len };
    return true;
}

bool pg_quoted_take(arena *a, str *rest, const char *stops, str *out)
{
    bool plain;
    const size_t end = find_stop(*rest, stops, &plain);
    if (end == rest->len)
        return false;
    str text = str_slice(*rest, 0, end);
    if (!plain && !strip(a, text, &text))
        return false;
    *out = end > 0 ? text : STR_NONE;
    *rest = str_slice(*rest, end, rest->len);
    return true;
}

void pg_quoted_put(buf *out, str text, const char *specials)
{
    bool quote = text.len == 0;
    for (size_t i = 0; i < text.len && !quote; i++)
        quote = is_one_of(text.ptr[i], " \t\n\v\f\r\"\\") || is_one_of(text.ptr[i], specials);
    if (!quote) {
        buf_append(out, text);
        return;
    }
    buf_append_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            buf_append_char(out, text.ptr[i]);
        buf_append_char(out, text.ptr[i]);
    }
    buf_append_char(out, '"');
}

/* --- arrays and hstore ------------------------------------------------------------------------ */

bool pg_quoted_take_item(str *rest, str *out, bool *escaped)
{
    size_t end = 1;
    *escaped = false;
    for (; end < rest->len && rest->ptr[end] != '"'; end++) {
        if (rest->ptr[end] == '\\') {
            *escaped = true;
            end++;
        }
    }
    if (end >= rest->len || rest->ptr[0] != '"')
        return false;
    *out = str_slice(*rest, 1, end - 1);
    *rest = str_slice(*rest, end + 1, rest->len);
    return true;
}

size_t pg_quoted_plain(str item, char *to)
{
    size_t len = 0;
    for (size_t i = 0; i < item.len; i++) {
        i += item.ptr[i] == '\\';
        to[len++] = item.ptr[i];
    }
    return len;
}
