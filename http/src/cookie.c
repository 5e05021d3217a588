/* Cookies (RFC 6265): those the client sends, and those we set, whose attributes are safe unless
 * the handler says otherwise. */
#include "conn.h"

#include <string.h>

#define SET_COOKIE_BYTES_MAX 4096 /* browsers take no longer ones */

ERROR_KIND(HTTP_BAD_COOKIE, ERROR_INTERNAL, "The server could not complete the request.");

str http_cookie(const http_request *req, str name)
{
    for (uint32_t i = 0; i < req->head.fields.count; i++) {
        if (!str_eq_nocase(req->head.fields.items[i].name, STR("cookie")))
            continue;
        str rest = req->head.fields.items[i].value;
        while (rest.ptr) {
            str value = str_trim(str_cut(&rest, ';'), STR(" \t"));
            const str key = str_cut(&value, '=');
            if (value.ptr && str_eq(key, name))
                return value;
        }
    }
    return STR_NONE;
}

/* cookie-octet: visible ASCII but " , ; and the backslash. */
static bool is_cookie_value(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        const unsigned char c = (unsigned char)s.ptr[i];
        if (c <= ' ' || c >= 0x7F || c == '"' || c == ',' || c == ';' || c == '\\')
            return false;
    }
    return true;
}

/* Of Path and Domain: anything but what ends an attribute. */
static bool is_attribute(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        const unsigned char c = (unsigned char)s.ptr[i];
        if (c < ' ' || c >= 0x7F || c == ';')
            return false;
    }
    return true;
}

static error bad(const http_cookie_options *c, const char *why)
{
    return error_set(&HTTP_BAD_COOKIE, "cookie of %zu bytes of name: %s", c->name.len, why);
}

/* Browsers look for these in any case of letters (RFC 6265bis, 4.1.3): a name that they take for a
 * promise is held to it. */
static bool has_prefix(str name, str prefix)
{
    return str_eq_nocase(str_slice(name, 0, prefix.len), prefix);
}

static error check_cookie(const http_cookie_options *c, str path)
{
    if (!http_is_token(c->name))
        return bad(c, "the name is no token");
    if (!is_cookie_value(c->value))
        return bad(c, "the value has a character that a cookie cannot hold");
    if (!is_attribute(path) || !is_attribute(c->domain) || path.ptr[0] != '/')
        return bad(c, "its path or domain is malformed");
    if (c->same_site == HTTP_SAME_SITE_NONE && c->over_plain_http)
        return bad(c, "SameSite=None needs Secure");
    if (has_prefix(c->name, STR("__Secure-")) && c->over_plain_http)
        return bad(c, "__Secure- needs Secure");
    if (has_prefix(c->name, STR("__Host-")) &&
        (c->over_plain_http || c->domain.len > 0 || !str_eq(path, STR("/"))))
        return bad(c, "__Host- needs Secure, Path=/ and no domain");
    return OK;
}

error http_set_cookie(http_request *req, const http_cookie_options *c)
{
    static const char *const same_site[] = {
        [HTTP_SAME_SITE_LAX] = "; SameSite=Lax",
        [HTTP_SAME_SITE_STRICT] = "; SameSite=Strict",
        [HTTP_SAME_SITE_NONE] = "; SameSite=None",
    };
    const str path = c->path.len > 0 ? c->path : STR("/");
    TRY(check_cookie(c, path));
    buf out;
    buf_init_arena(&out, &req->conn->arena, SET_COOKIE_BYTES_MAX);
    buf_append(&out, c->name);
    buf_append_char(&out, '=');
    buf_append(&out, c->value);
    buf_append(&out, STR("; Path="));
    buf_append(&out, path);
    if (c->domain.len > 0) {
        buf_append(&out, STR("; Domain="));
        buf_append(&out, c->domain);
    }
    if (c->max_age_s != 0)
        buf_append_format(&out, "; Max-Age=%lld", c->max_age_s > 0 ? (long long)c->max_age_s : 0LL);
    if (!c->over_plain_http)
        buf_append(&out, STR("; Secure"));
    if (!c->readable_by_scripts)
        buf_append(&out, STR("; HttpOnly"));
    buf_append(&out, str_from_c(same_site[c->same_site]));
    if (out.failed)
        return bad(c, "it is over 4 KiB");
    return http_set_header(req, STR("Set-Cookie"), buf_str(&out));
}
