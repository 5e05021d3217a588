/* Authorities, checked in one pass: the bytes of a name, which is what nearly all have, then a
 * port. Only what begins with a bracket is looked at more closely.
 *
 * A dotted quad is read as a name: each is one by its grammar, and nothing here connects to it. */
#include "authority.h"

#include "core/stream.h"

#include <string.h>

#define IP6_LITERAL_BYTES_MAX 47 /* brackets and 45 */
#define PORT_DIGITS_MAX       5

/* unreserved and sub-delims (RFC 3986, 2.2 and 2.3): a name is of these and of escapes. */
static const bool NAME[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['-'] = true, ['.'] = true,
    ['_'] = true,         ['~'] = true,         ['!'] = true,         ['$'] = true, ['&'] = true,
    ['\''] = true,        ['('] = true,         [')'] = true,         ['*'] = true, ['+'] = true,
    [','] = true,         [';'] = true,         ['='] = true,
};

/* Whether an escape begins at `at`, and not that of NUL. */
static bool is_escape(str s, size_t at)
{
    if (s.len - at < 3 || s.ptr[at] != '%')
        return false;
    const int high = str_hex_digit(s.ptr[at + 1]), low = str_hex_digit(s.ptr[at + 2]);
    return high >= 0 && low >= 0 && high + low > 0;
}

/* How many bytes at the front are a reg-name. */
static size_t scan_name(str s)
{
    size_t at = 0;
    for (;;) {
        while (at < s.len && NAME[(unsigned char)s.ptr[at]])
            at++;
        if (LIKELY(at == s.len || !is_escape(s, at)))
            return at;
        at += 3;
    }
}

bool http_is_ip6_literal(str s)
{
    address number;
    char text[IP6_LITERAL_BYTES_MAX + 2];
    if (s.len < 2 || s.len > IP6_LITERAL_BYTES_MAX || s.ptr[0] != '[')
        return false;
    memcpy(text, s.ptr, s.len);
    memcpy(text + s.len, ":1", 2);
    return address_parse((str){ text, s.len + 2 }, &number);
}

/* "[v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" ) "]": of a version that is to come. */
static bool is_future_literal(str s)
{
    size_t at = 2;
    if (s.len < 2 || (s.ptr[1] != 'v' && s.ptr[1] != 'V'))
        return false;
    while (at < s.len && str_hex_digit(s.ptr[at]) >= 0)
        at++;
    if (at == 2 || at == s.len || s.ptr[at++] != '.')
        return false;
    const size_t from = at;
    while (at < s.len && (NAME[(unsigned char)s.ptr[at]] || s.ptr[at] == ':'))
        at++;
    return at > from && at == s.len - 1; /* where the bracket is */
}

/* How many bytes at the front are a literal in brackets; 0: it is malformed. */
static size_t scan_literal(str s)
{
    const size_t close = str_index(s, ']');
    const str literal = str_slice(s, 0, close + 1);
    if (close == s.len)
        return 0;
    return http_is_ip6_literal(literal) || is_future_literal(literal) ? literal.len : 0;
}

/* What stands behind a host: nothing, or ":" and digits, which may be none (RFC 3986, 3.2.3). */
static bool take_port(str s, int32_t *port)
{
    int32_t number = 0;
    *port = -1;
    if (s.len == 0)
        return true;
    if (s.ptr[0] != ':' || s.len > 1 + PORT_DIGITS_MAX)
        return false;
    for (size_t i = 1; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        number = number * 10 + (s.ptr[i] - '0');
        *port = number;
    }
    return number <= UINT16_MAX;
}

bool http_authority_parse(str s, http_authority *out)
{
    const size_t len = s.len > 0 && s.ptr[0] == '[' ? scan_literal(s) : scan_name(s);
    out->host = str_slice(s, 0, len);
    return take_port(str_slice(s, len, s.len), &out->port) && (len > 0 || s.len == 0);
}

bool http_is_authority(str s)
{
    http_authority parts;
    int32_t port;
    size_t at = 0;
    while (at < s.len && NAME[(unsigned char)s.ptr[at]])
        at++;
    if (LIKELY(at == s.len))
        return true;
    if (at > 0 && s.ptr[at] == ':')
        return take_port((str){ s.ptr + at, s.len - at }, &port);
    return http_authority_parse(s, &parts);
}

bool http_authority_same(const http_authority *a, const http_authority *b, int32_t usual_port)
{
    return str_eq_nocase(a->host, b->host) &&
           (a->port < 0 ? usual_port : a->port) == (b->port < 0 ? usual_port : b->port);
}
