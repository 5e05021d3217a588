/* Origins are compared as bytes, as the Fetch standard does; that works because what browsers send
 * is normal: lower case, no user, no path, no default port. Whatever is not so matches nothing, and
 * a rule that could never match is refused. */
#include "origin.h"

#define ORIGIN_BYTES_MAX 512

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_scheme(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.ptr[i];
        if (!is_lower_or_digit(c) && c != '+' && c != '-' && c != '.')
            return false;
    }
    return s.len > 0 && s.ptr[0] >= 'a' && s.ptr[0] <= 'z';
}

/* Labels of a name, without an empty one. */
static bool is_name(str s)
{
    char before = '.';
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.ptr[i];
        if (!is_lower_or_digit(c) && c != '-' && c != '_' && (c != '.' || before == '.'))
            return false;
        before = c;
    }
    return s.len > 0 && before != '.';
}

/* "[::1]" */
static bool is_ipv6(str s)
{
    if (s.len < 4 || s.ptr[0] != '[' || s.ptr[s.len - 1] != ']')
        return false;
    for (size_t i = 1; i + 1 < s.len; i++) {
        const char c = s.ptr[i];
        if (str_hex_digit(c) < 0 && c != ':' && c != '.')
            return false;
        if (c >= 'A' && c <= 'Z')
            return false;
    }
    return true;
}

/* Takes ":8080" off the end; false when there is something else. */
static bool cut_port(str *host)
{
    size_t at = host->len;
    uint64_t port;
    while (at > 0 && host->ptr[at - 1] >= '0' && host->ptr[at - 1] <= '9')
        at--;
    if (at == 0 || host->ptr[at - 1] != ':')
        return true;
    if (!str_to_uint64(str_slice(*host, at, host->len), &port) || port == 0 || port > 65535 ||
        host->ptr[at] == '0')
        return false;
    host->len = at - 1;
    return true;
}

/* Splits into scheme and what follows "://". */
static bool split(str text, str *scheme, str *host)
{
    const size_t colon = str_index(text, ':');
    *scheme = str_slice(text, 0, colon);
    *host = str_slice(text, colon, text.len);
    if (!is_scheme(*scheme) || !str_starts_with(*host, STR("://")))
        return false;
    *host = str_slice(*host, 3, host->len);
    return text.len <= ORIGIN_BYTES_MAX;
}

bool http_is_origin(str text)
{
    str scheme, host;
    return split(text, &scheme, &host) && cut_port(&host) && (is_name(host) || is_ipv6(host));
}

bool http_is_origin_rule(str text)
{
    str scheme, host;
    if (str_eq(text, STR("*")) || http_is_origin(text))
        return true;
    if (!split(text, &scheme, &host) || !str_starts_with(host, STR("*.")))
        return false;
    host = str_slice(host, 2, host.len);
    if (!cut_port(&host) || !is_name(host))
        return false;
    return str_index(host, '.') < host.len || str_eq(host, STR("localhost"));
}

bool http_origin_matches(str rule, str origin)
{
    str scheme, host, rule_scheme, rule_host;
    if (str_eq(rule, origin))
        return true;
    if (!split(rule, &rule_scheme, &rule_host) || !str_starts_with(rule_host, STR("*.")) ||
        !split(origin, &scheme, &host) || !str_eq(scheme, rule_scheme))
        return false;
    /* ".example.org", and a port where the rule has one: an origin's name is before its port, so
     * a suffix with a port stands for just that, and one without for none. */
    const str suffix = str_slice(rule_host, 1, rule_host.len);
    return host.len > suffix.len && str_ends_with(host, suffix) &&
           is_name(str_slice(host, 0, host.len - suffix.len));
}
