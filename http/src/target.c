/* Targets. The path is normalised in its encoded form and decoded a segment at a time after
 * routing, so that an encoded slash stays data and never becomes a separator. */
#include "target.h"

#include <string.h>

/* What stands in most paths: letters, digits, '/', '-', '_' and '~'. */
static const bool PLAIN[256] = {
    ['/'] = true,         ['-'] = true,         ['_'] = true,         ['~'] = true,
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
};

bool http_path_is_plain(str path)
{
    size_t i = 0;
    while (i < path.len && PLAIN[(unsigned char)path.ptr[i]])
        i++;
    return i == path.len;
}

/* Every escape is whole and none is NUL. */
static bool escapes_are_good(str s)
{
    for (size_t at = str_index(s, '%'); at < s.len;) {
        if (s.len - at < 3 || str_hex_digit(s.ptr[at + 1]) < 0 ||
            str_hex_digit(s.ptr[at + 2]) < 0 || (s.ptr[at + 1] == '0' && s.ptr[at + 2] == '0'))
            return false;
        s = str_slice(s, at + 3, s.len);
        at = str_index(s, '%');
    }
    return true;
}

bool http_percent_decode(arena *a, str s, bool plus_is_space, str *out)
{
    if (!escapes_are_good(s))
        return false;
    const bool plain = str_index(s, '%') == s.len && !(plus_is_space && str_index(s, '+') < s.len);
    if (plain) {
        *out = s;
        return str_is_utf8(s);
    }
    char *to = arena_alloc(a, s.len, 1);
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '%') {
            to[len++] = (char)(str_hex_digit(s.ptr[i + 1]) << 4 | str_hex_digit(s.ptr[i + 2]));
            i += 2;
        } else {
            to[len++] = plus_is_space && s.ptr[i] == '+' ? ' ' : s.ptr[i];
        }
    }
    *out = (str){ to, len };
    return str_is_utf8(*out);
}

/* Number of dots when the segment is "." or ".." (also as %2e), else 0. */
static int dots(str segment)
{
    int count = 0;
    while (segment.len > 0 && count < 3) {
        if (segment.ptr[0] == '.')
            segment = str_slice(segment, 1, segment.len);
        else if (segment.len >= 3 && str_eq_nocase(str_slice(segment, 0, 3), STR("%2e")))
            segment = str_slice(segment, 3, segment.len);
        else
            return 0;
        count++;
    }
    return segment.len > 0 || count > 2 ? 0 : count;
}

static bool has_dot_segments(str path)
{
    for (str rest = path; rest.ptr;) {
        if (dots(str_cut(&rest, '/')) > 0)
            return true;
    }
    return false;
}

/* RFC 3986 section 5.2.4, segment by segment. False when ".." would leave the root. */
static bool remove_dot_segments(arena *a, str path, str *out)
{
    char *to = arena_alloc(a, path.len + 1, 1);
    size_t len = 0;
    str rest = str_slice(path, 1, path.len);
    while (rest.ptr) {
        const str segment = str_cut(&rest, '/');
        const int count = dots(segment);
        if (count == 2) {
            if (len == 0)
                return false;
            while (to[--len] != '/')
                ;
        } else if (count == 0) {
            to[len++] = '/';
            memcpy(to + len, segment.ptr, segment.len);
            len += segment.len;
        }
        if (count > 0 && !rest.ptr)
            to[len++] = '/';
    }
    if (len == 0)
        to[len++] = '/';
    *out = (str){ to, len };
    return true;
}

str http_target_authority(str target, str *rest)
{
    *rest = target;
    if (target.ptr[0] == '/' || str_eq(target, STR("*")))
        return STR_NONE;
    const str behind = str_slice(target, str_index(target, ':') + 3, target.len);
    const size_t slash = str_index(behind, '/'), question = str_index(behind, '?');
    const size_t end = slash < question ? slash : question;
    *rest = str_slice(behind, end, behind.len);
    return str_slice(behind, 0, end);
}

bool http_target_parse(arena *a, str target, http_target *out)
{
    str rest = target;
    if (target.ptr[0] == '/' && http_path_is_plain(target)) {
        *out = (http_target){ target, STR_NONE };
        return true;
    }
    if (http_target_authority(target, &rest).ptr && (rest.len == 0 || rest.ptr[0] == '?')) {
        out->path = STR("/");
        out->query = rest.len ? str_slice(rest, 1, rest.len) : STR_NONE;
        return escapes_are_good(rest);
    }
    out->path = str_cut(&rest, '?');
    out->query = rest;
    if (!escapes_are_good(out->path) || (out->query.ptr && !escapes_are_good(out->query)))
        return false;
    if (has_dot_segments(out->path))
        return remove_dot_segments(a, out->path, &out->path);
    return true;
}

/* Cuts pairs off `*query` until one has that name; false when none has. Its value is still encoded.
 */
static bool find_pair(arena *a, str *query, str name, str *value)
{
    while (query->ptr) {
        *value = str_cut(query, '&');
        str key = str_cut(value, '=');
        if (http_percent_decode(a, key, true, &key) && str_eq(key, name))
            return true;
    }
    return false;
}

str http_query_find(arena *a, str query, str name)
{
    str value;
    if (!find_pair(a, &query, name, &value))
        return STR_NONE;
    if (!value.ptr)
        return STR("");
    return http_percent_decode(a, value, true, &value) ? value : STR_NONE;
}

bool http_query_has(arena *a, str query, str name)
{
    str value;
    return find_pair(a, &query, name, &value);
}
