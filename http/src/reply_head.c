/* The reply's head, a line at a time: status line, fields, then what they say of framing.
 *
 *   START --status line--> FIELDS --field line--> FIELDS --empty line--> DONE
 *   any --fault--> FAILED
 *
 * A body is never guessed: 204 and 304 and replies to HEAD have none whatever their fields say, and
 * where a sender that means otherwise would put bytes, the connection is not used again. */
#include "reply_head.h"

#include <string.h>

enum {
    STATE_START = 0,
    STATE_FIELDS,
    STATE_DONE,
    STATE_FAILED,
};

void http_reply_head_init(http_reply_head *h)
{
    memset(h, 0, offsetof(http_reply_head, fields));
    http_fields_init(&h->fields);
}

static http_reply_result fail(http_reply_head *h, http_reply_result result, const char *reason)
{
    h->state = STATE_FAILED;
    h->reason = reason;
    return result;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* HTTP/1.x SP 3DIGIT [ SP reason-phrase ]. Some servers leave the last space out where nothing
 * follows it; that can be read in one way only. */
static http_reply_result parse_status_line(http_reply_head *h, str line)
{
    if (line.len < 12 || !str_starts_with(line, STR("HTTP/")) || !is_digit(line.ptr[5]) ||
        line.ptr[6] != '.' || !is_digit(line.ptr[7]) || line.ptr[8] != ' ')
        return fail(h, HTTP_REPLY_BAD, "malformed HTTP version");
    if (line.ptr[5] != '1')
        return fail(h, HTTP_REPLY_BAD, "HTTP version not supported");
    const char *code = line.ptr + 9;
    if (!is_digit(code[0]) || !is_digit(code[1]) || !is_digit(code[2]) ||
        (line.len > 12 && code[3] != ' '))
        return fail(h, HTTP_REPLY_BAD, "malformed status");
    h->status = (uint16_t)((code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0'));
    if (h->status < 100 || h->status > 599)
        return fail(h, HTTP_REPLY_BAD, "status out of range");
    const str phrase = str_slice(line, 13, line.len);
    if (h->fields.scan->value(phrase.ptr, phrase.ptr + phrase.len) != phrase.len)
        return fail(h, HTTP_REPLY_BAD, "forbidden character in the reason phrase");
    h->minor_version = line.ptr[7] > '0';
    h->state = STATE_FIELDS;
    return HTTP_REPLY_INCOMPLETE;
}

static http_reply_result parse_field(http_reply_head *h, str bytes, str line)
{
    const char *reason;
    switch (http_fields_add(&h->fields, bytes, line, HTTP_FIELDS_MAX, &reason)) {
    case HTTP_FIELD_GOOD:
        return HTTP_REPLY_INCOMPLETE;
    case HTTP_FIELD_MALFORMED:
        return fail(h, HTTP_REPLY_BAD, reason);
    case HTTP_FIELD_TOO_MANY:
        return fail(h, HTTP_REPLY_TOO_LARGE, reason);
    }
    unreachable();
}

static http_reply_result finish(http_reply_head *h, const char *base)
{
    const char *reason;
    http_framing_init(&h->framing, h->minor_version);
    http_fields_slice(&h->fields, base);
    for (uint32_t i = 0; i < h->fields.count; i++) {
        const http_field_name name = http_fields_name(&h->fields, i);
        if (http_framing_take(&h->framing, name, h->fields.items[i].value, &reason))
            return fail(h, HTTP_REPLY_BAD, reason);
    }
    if (http_framing_finish(&h->framing, &reason))
        return fail(h, HTTP_REPLY_BAD, reason);
    h->bytes = h->lines.at;
    h->state = STATE_DONE;
    return HTTP_REPLY_DONE;
}

http_reply_result http_reply_head_parse(http_reply_head *h, str bytes, size_t bytes_max)
{
    invariant(h->state == STATE_START || h->state == STATE_FIELDS);
    while (h->lines.at < bytes.len) {
        str line;
        const http_line_result part = http_lines_next(&h->lines, bytes, &line);
        if (h->lines.at > bytes_max)
            return fail(h, HTTP_REPLY_TOO_LARGE, "header too large");
        if (part == HTTP_LINE_PART)
            break;
        if (part == HTTP_LINE_BAD)
            return fail(h, HTTP_REPLY_BAD, "a line ends without CR");
        http_reply_result r;
        if (h->state == STATE_START)
            r = parse_status_line(h, line);
        else
            r = line.len > 0 ? parse_field(h, bytes, line) : finish(h, bytes.ptr);
        if (r != HTTP_REPLY_INCOMPLETE)
            return r;
    }
    return HTTP_REPLY_INCOMPLETE;
}

static bool has_no_body(const http_reply_head *h, http_method asked)
{
    return asked == HTTP_HEAD || h->status < 200 || h->status == 204 || h->status == 304;
}

http_reply_body http_reply_body_of(const http_reply_head *h, http_method asked)
{
    invariant(h->state == STATE_DONE);
    if (has_no_body(h, asked))
        return HTTP_REPLY_NO_BODY;
    if (h->framing.chunked)
        return HTTP_REPLY_CHUNKED;
    if (!h->framing.has_content_length)
        return HTTP_REPLY_UNTIL_CLOSE;
    return h->framing.content_length > 0 ? HTTP_REPLY_SIZED : HTTP_REPLY_NO_BODY;
}

bool http_reply_keeps_alive(const http_reply_head *h, http_method asked)
{
    if (http_reply_body_of(h, asked) == HTTP_REPLY_UNTIL_CLOSE)
        return false;
    /* RFC 9110, 8.6 and 9112, 6.1: a 204 has no length; one that announces a body may send it. */
    const bool doubtful = h->status == 204 && (h->framing.chunked || h->framing.content_length > 0);
    return h->framing.keep_alive && !doubtful;
}
