/* URLs: scheme, authority, then path and query, which are judged as a request's target is.
 *
 * Invariant: what http_url_parse gives in `text` it reads again as the same URL. */
#include "url.h"

#include "authority.h"
#include "scan.h"
#include "target.h"

#include "core/stream.h"

#include <string.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_label_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

static bool is_label(str label)
{
    for (size_t i = 0; i < label.len; i++) {
        if (!is_label_char(label.ptr[i]))
            return false;
    }
    return label.len > 0 && label.len <= 63 && label.ptr[0] != '-' &&
           label.ptr[label.len - 1] != '-';
}

/* A name's last label that is a number, decimal or 0x…: resolvers make addresses of such (127.1).
 */
static bool is_number(str label)
{
    size_t digits = 0;
    while (digits < label.len && is_digit(label.ptr[digits]))
        digits++;
    return digits == label.len || str_starts_with(label, STR("0x"));
}

/* A DNS name or a dotted quad, in lower case. */
static bool is_name(str host)
{
    address number;
    char text[HTTP_HOST_BYTES_MAX + 3];
    str label = STR("");
    if (host.len == 0 || host.len > HTTP_HOST_BYTES_MAX)
        return false;
    for (str rest = host; rest.ptr;) {
        label = str_cut(&rest, '.');
        if (!is_label(label))
            return false;
    }
    if (!is_number(label))
        return true;
    memcpy(text, host.ptr, host.len);
    memcpy(text + host.len, ":1", 2);
    return address_parse((str){ text, host.len + 2 }, &number);
}

static str copy_lower(arena *a, str s)
{
    char *to = arena_alloc(a, s.len, 1);
    for (size_t i = 0; i < s.len; i++)
        to[i] = lower(s.ptr[i]);
    return (str){ to, s.len };
}

static bool parse_port(str text, uint16_t *out)
{
    uint64_t port;
    if (text.len > 5 || !str_to_uint64(text, &port) || port == 0 || port > UINT16_MAX ||
        text.ptr[0] == '0')
        return false;
    *out = (uint16_t)port;
    return true;
}

/* host [ ":" port ], where the port is the scheme's without one. */
static const char *parse_authority(arena *a, str authority, http_url *out)
{
    const uint16_t usual = out->tls ? 443 : 80;
    str host, port = STR_NONE;
    if (str_index(authority, '@') < authority.len)
        return "a user name in the URL";
    out->is_ip6 = str_starts_with(authority, STR("["));
    if (out->is_ip6) {
        const size_t end = str_index(authority, ']');
        host = str_slice(authority, 1, end > 0 ? end - 1 : 0);
        const str behind = str_slice(authority, end + 1, authority.len);
        if (end == authority.len || (behind.len > 0 && behind.ptr[0] != ':'))
            return "a malformed IPv6 address";
        port = behind.len > 0 ? str_slice(behind, 1, behind.len) : STR_NONE;
    } else {
        port = authority;
        host = str_cut(&port, ':');
    }
    out->host = copy_lower(a, host);
    if (out->is_ip6 ? !http_is_ip6_literal(str_slice(authority, 0, host.len + 2))
                    : !is_name(out->host))
        return "a malformed host";
    out->port = usual;
    if (port.ptr && !parse_port(port, &out->port))
        return "a malformed port";
    const char *open = out->is_ip6 ? "[" : "", *close = out->is_ip6 ? "]" : "";
    if (out->port == usual)
        out->authority = str_format(a, "%s%.*s%s", open, STR_ARG(out->host), close);
    else
        out->authority = str_format(a, "%s%.*s%s:%u", open, STR_ARG(out->host), close, out->port);
    return NULL;
}

static bool is_plain(str text)
{
    return http_scan_pick()->target(text.ptr, text.ptr + text.len) == text.len;
}

/* Path and query, without a fragment; "" is "/". */
static const char *parse_target(arena *a, str text, http_url *out)
{
    http_target target;
    if (!is_plain(text))
        return "a character that must be percent-encoded";
    if (text.len == 0 || text.ptr[0] == '?')
        text = str_format(a, "/%.*s", STR_ARG(text));
    if (!http_target_parse(a, text, &target))
        return "a malformed path or query";
    out->target = target.query.ptr
                      ? str_format(a, "%.*s?%.*s", STR_ARG(target.path), STR_ARG(target.query))
                      : target.path;
    return NULL;
}

const char *http_url_parse(arena *a, str text, http_url *out)
{
    *out = (http_url){ 0 };
    if (text.len > HTTP_URL_BYTES_MAX)
        return "over 8 KiB";
    if (str_eq_nocase(str_slice(text, 0, 8), STR("https://")))
        out->tls = true;
    else if (!str_eq_nocase(str_slice(text, 0, 7), STR("http://")))
        return "neither http:// nor https://";
    str rest = str_slice(text, out->tls ? 8 : 7, text.len);
    rest = str_slice(rest, 0, str_index(rest, '#'));
    const size_t slash = str_index(rest, '/'), question = str_index(rest, '?');
    const size_t end = slash < question ? slash : question;
    const char *wrong = parse_authority(a, str_slice(rest, 0, end), out);
    if (!wrong)
        wrong = parse_target(a, str_slice(rest, end, rest.len), out);
    if (!wrong)
        out->text = str_format(a, "%s://%.*s%.*s", out->tls ? "https" : "http",
                               STR_ARG(out->authority), STR_ARG(out->target));
    return wrong;
}

/* Whether it begins with a scheme (RFC 3986, 3.1): a colon before any slash or question mark. */
static bool has_scheme(str reference)
{
    const size_t colon = str_index(reference, ':');
    return colon < reference.len && colon < str_index(reference, '/') &&
           colon < str_index(reference, '?');
}

const char *http_url_resolve(arena *a, const http_url *base, str reference, http_url *out)
{
    if (reference.len > HTTP_URL_BYTES_MAX)
        return "over 8 KiB";
    reference = str_slice(reference, 0, str_index(reference, '#'));
    if (!is_plain(reference))
        return "a character that must be percent-encoded";
    if (has_scheme(reference))
        return http_url_parse(a, reference, out);
    const char *scheme = base->tls ? "https" : "http";
    str target = base->target;
    const str path = str_cut(&target, '?');
    if (str_starts_with(reference, STR("//")))
        return http_url_parse(a, str_format(a, "%s:%.*s", scheme, STR_ARG(reference)), out);
    str before = STR(""); /* what of the base's path and query goes before the reference */
    if (reference.len == 0) {
        before = base->target;
    } else if (reference.ptr[0] == '?') {
        before = path;
    } else if (reference.ptr[0] != '/') {
        before = path;
        while (before.ptr[before.len - 1] != '/')
            before.len--;
    }
    return http_url_parse(a,
                          str_format(a, "%s://%.*s%.*s%.*s", scheme, STR_ARG(base->authority),
                                     STR_ARG(before), STR_ARG(reference)),
                          out);
}

bool http_url_same_origin(const http_url *a, const http_url *b)
{
    return a->tls == b->tls && a->port == b->port && str_eq(a->host, b->host);
}
