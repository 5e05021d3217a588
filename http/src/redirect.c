/* Redirects: a status and a Location (RFC 9110, 10.2.2) that is a URL whatever the handler gave.
 *
 * What it promises: one line, of characters that a URL may have. Escapes that are there stay; a
 * backslash, which browsers take for a slash, is encoded like all that does not belong. */
#include "conn.h"

#define LOCATION_BYTES_MAX 4096

static bool is_url_character(unsigned char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    const str others = STR("-._~:/?#[]@!$&'()*+,;=");
    return str_index(others, (char)c) < others.len;
}

static bool is_escape(str s, size_t at)
{
    return s.ptr[at] == '%' && at + 2 < s.len && str_hex_digit(s.ptr[at + 1]) >= 0 &&
           str_hex_digit(s.ptr[at + 2]) >= 0;
}

error http_redirect(http_request *req, int status, str location)
{
    static const char hex[] = "0123456789ABCDEF";
    invariant(status == 301 || status == 302 || status == 303 || status == 307 || status == 308);
    if (location.len == 0)
        return error_set(&HTTP_BAD_HEADER, "a redirect to nowhere");
    buf out;
    buf_init_arena(&out, &req->conn->arena, LOCATION_BYTES_MAX);
    for (size_t i = 0; i < location.len; i++) {
        const unsigned char c = (unsigned char)location.ptr[i];
        if (c < 0x20 || c == 0x7F)
            return error_set(&HTTP_BAD_HEADER, "control character in a redirect's location");
        if (is_url_character(c) || is_escape(location, i)) {
            buf_append_char(&out, (char)c);
            continue;
        }
        buf_append(&out, (str){ (const char[]){ '%', hex[c >> 4], hex[c & 15] }, 3 });
    }
    if (out.failed)
        return error_set(&HTTP_BAD_HEADER, "a location of over %d bytes", LOCATION_BYTES_MAX);
    TRY(http_replace_header(req, STR("Location"), buf_str(&out)));
    return http_reply_empty(req, status);
}
