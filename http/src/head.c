/* The request head, a line at a time: the request line, then fields, then what they say of framing.
 *
 *   START --one empty line--> START
 *   START --request line--> FIELDS --field line--> FIELDS --empty line--> DONE
 *   any --fault--> BAD */
#include "head.h"

#include "authority.h"
#include "framing.h"
#include "method.h"
#include "target.h"

#include <string.h>

enum {
    STATE_START = 0,
    STATE_REQUEST_LINE, /* after an empty line */
    STATE_FIELDS,
    STATE_DONE,
    STATE_BAD,
};

void http_head_init(http_head *h)
{
    memset(h, 0, offsetof(http_head, fields));
    http_fields_init(&h->fields);
}

static http_head_result bad(http_head *h, uint16_t status, const char *reason)
{
    h->state = STATE_BAD;
    h->status = status;
    h->reason = reason;
    return HTTP_HEAD_BAD;
}

/* --- request line ---------------------------------------------------------------------------- */

/* RFC 9112 section 3.2: which forms a target may have is up to the method. */
static bool target_form_fits(http_method method, str target)
{
    if (target.ptr[0] == '/')
        return true;
    if (str_eq(target, STR("*")))
        return method == HTTP_OPTIONS;
    const str scheme = str_slice(target, 0, 7);
    return (str_eq_nocase(scheme, STR("http://")) && target.len > 7) ||
           (str_eq_nocase(str_slice(target, 0, 8), STR("https://")) && target.len > 8);
}

/* `bytes`: all that was given; scans may read past the line, which ends in a byte of no class. */
static http_head_result parse_request_line(http_head *h, str bytes, str line)
{
    const char *end = bytes.ptr + bytes.len;
    const str method = str_slice(line, 0, h->fields.scan->token(line.ptr, end));
    if (method.len == 0 || method.len >= line.len || line.ptr[method.len] != ' ')
        return bad(h, 400, "malformed method");
    line = str_slice(line, method.len + 1, line.len);
    const str target = str_slice(line, 0, h->fields.scan->target(line.ptr, end));
    if (target.len == 0 || target.len >= line.len || line.ptr[target.len] != ' ')
        return bad(h, 400, "malformed request target");
    const str version = str_slice(line, target.len + 1, line.len);
    if (version.len != 8 || !str_starts_with(version, STR("HTTP/")) || version.ptr[6] != '.' ||
        version.ptr[5] < '0' || version.ptr[5] > '9' || version.ptr[7] < '0' ||
        version.ptr[7] > '9')
        return bad(h, 400, "malformed HTTP version");
    if (version.ptr[5] != '1')
        return bad(h, 505, "HTTP version not supported");
    h->minor_version =
        version.ptr[7] > '0'; /* RFC 9110 section 2.5: a later 1.x is spoken to as 1.1 */
    h->method = http_method_of(method);
    if (h->method == HTTP_CONNECT)
        return bad(h, 501, "no tunnels");
    if (!target_form_fits(h->method, target))
        return bad(h, 400, "request target does not fit the method");
    h->method_at = (uint32_t)(method.ptr - bytes.ptr);
    h->method_len = (uint32_t)method.len;
    h->target_at = (uint32_t)(target.ptr - bytes.ptr);
    h->target_len = (uint32_t)target.len;
    h->state = STATE_FIELDS;
    return HTTP_HEAD_INCOMPLETE;
}

/* --- fields ---------------------------------------------------------------------------------- */

static http_head_result parse_field(http_head *h, str bytes, str line,
                                    const http_head_limits *limits)
{
    const char *reason;
    switch (http_fields_add(&h->fields, bytes, line, limits->fields_max, &reason)) {
    case HTTP_FIELD_GOOD:
        return HTTP_HEAD_INCOMPLETE;
    case HTTP_FIELD_MALFORMED:
        return bad(h, 400, reason);
    case HTTP_FIELD_TOO_MANY:
        return bad(h, 431, reason);
    }
    unreachable();
}

static http_head_result take_host(http_head *h, str value, bool *has_host)
{
    if (*has_host || !http_is_authority(value)) /* RFC 9112, 3.2 */
        return bad(h, 400, "bad Host");
    *has_host = true;
    return HTTP_HEAD_INCOMPLETE;
}

static http_head_result take_expect(http_head *h, str value)
{
    if (h->minor_version == 0)
        return HTTP_HEAD_INCOMPLETE;
    if (!str_eq_nocase(value, STR("100-continue")))
        return bad(h, 417, "unknown expectation");
    h->expects_continue = true;
    return HTTP_HEAD_INCOMPLETE;
}

static http_head_result take_field(http_head *h, uint32_t index, http_framing *framing,
                                   bool *has_host)
{
    const char *reason;
    const str value = h->fields.items[index].value;
    const http_field_name name = http_fields_name(&h->fields, index);
    if (name == HTTP_FIELD_HOST)
        return take_host(h, value, has_host);
    if (name == HTTP_FIELD_EXPECT)
        return take_expect(h, value);
    const uint16_t status = http_framing_take(framing, name, value, &reason);
    return status ? bad(h, status, reason) : HTTP_HEAD_INCOMPLETE;
}

/* RFC 9112, 3.2.2: whom a target in absolute-form names is who is meant, and stands for Host from
 * here on. Clients send both alike (3.2). Where they differ, somebody on the way may have believed
 * the other one: refused, like two lengths. */
static http_head_result take_authority(http_head *h)
{
    str path;
    http_authority named, host;
    const str authority = http_target_authority(h->target, &path);
    if (!authority.ptr)
        return HTTP_HEAD_INCOMPLETE;
    if (!http_authority_parse(authority, &named) || named.host.len == 0)
        return bad(h, 400, "malformed authority in the request target");
    const uint8_t field = h->fields.first[HTTP_FIELD_HOST];
    if (field == 0) /* of 1.0 */
        return HTTP_HEAD_INCOMPLETE;
    str *value = &h->fields.items[field - 1].value;
    const bool tls = str_eq_nocase(str_slice(h->target, 0, 6), STR("https:"));
    if (!http_authority_parse(*value, &host) || !http_authority_same(&named, &host, tls ? 443 : 80))
        return bad(h, 400, "Host is not whom the request target names");
    *value = authority;
    return HTTP_HEAD_INCOMPLETE;
}

/* All lines are there: makes the slices and settles the framing. */
static http_head_result finish(http_head *h, const char *base)
{
    const char *reason;
    http_framing framing;
    bool has_host = false;
    http_framing_init(&framing, h->minor_version);
    h->method_name = (str){ base + h->method_at, h->method_len };
    h->target = (str){ base + h->target_at, h->target_len };
    http_fields_slice(&h->fields, base);
    for (uint32_t i = 0; i < h->fields.count; i++) {
        if (take_field(h, i, &framing, &has_host) == HTTP_HEAD_BAD)
            return HTTP_HEAD_BAD;
    }
    if (h->minor_version == 1 && !has_host)
        return bad(h, 400, "Host is missing");
    if (UNLIKELY(h->target.ptr[0] != '/') && take_authority(h) == HTTP_HEAD_BAD)
        return HTTP_HEAD_BAD;
    const uint16_t status = http_framing_finish(&framing, &reason);
    if (status)
        return bad(h, status, reason);
    h->keep_alive = framing.keep_alive;
    h->chunked = framing.chunked;
    h->has_content_length = framing.has_content_length;
    h->content_length = framing.content_length;
    h->bytes = h->lines.at;
    h->state = STATE_DONE;
    return HTTP_HEAD_DONE;
}

/* --- lines ----------------------------------------------------------------------------------- */

/* `line_bytes`: of the present line, as far as they were given. */
static bool past_limit(http_head *h, size_t line_bytes, const http_head_limits *limits)
{
    if (h->state == STATE_FIELDS) {
        if (h->lines.at - h->fields_start <= limits->fields_bytes_max)
            return false;
        bad(h, 431, "header too large");
    } else {
        if (line_bytes <= limits->request_line_bytes_max)
            return false;
        bad(h, 414, "request line too long");
    }
    return true;
}

/* A line without its CRLF. */
static http_head_result take_line(http_head *h, str bytes, str line, const http_head_limits *limits)
{
    if (h->state == STATE_FIELDS) {
        if (line.len == 0)
            return finish(h, bytes.ptr);
        return parse_field(h, bytes, line, limits);
    }
    if (line.len > 0) {
        h->fields_start = h->lines.at;
        return parse_request_line(h, bytes, line);
    }
    if (h->state == STATE_REQUEST_LINE)
        return bad(h, 400, "empty lines before the request");
    h->state = STATE_REQUEST_LINE; /* RFC 9112 section 2.2: one is forgiven */
    return HTTP_HEAD_INCOMPLETE;
}

http_head_result http_head_parse(http_head *h, str bytes, const http_head_limits *limits)
{
    invariant(h->state != STATE_DONE && h->state != STATE_BAD);
    while (h->lines.at < bytes.len) {
        str line;
        const http_line_result part = http_lines_next(&h->lines, bytes, &line);
        if (past_limit(h, (size_t)(bytes.ptr + h->lines.at - line.ptr), limits))
            return HTTP_HEAD_BAD;
        if (part == HTTP_LINE_PART)
            break;
        if (part == HTTP_LINE_BAD)
            return bad(h, 400, "a line ends without CR");
        const http_head_result r = take_line(h, bytes, line, limits);
        if (r != HTTP_HEAD_INCOMPLETE)
            return r;
    }
    return HTTP_HEAD_INCOMPLETE;
}

str http_head_find(const http_head *h, str name)
{
    return http_fields_find(&h->fields, name);
}
