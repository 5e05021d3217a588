/* Header fields of an answer that were set already: found, replaced, filled up with defaults, and
 * taken back.
 *
 * The fields stand as lines in one buffer, as they will be sent. A layer that runs before the
 * handler cannot know what that will set, and once a streamed answer has begun it is too late; so
 * a default is noted and becomes a line when the head is about to leave.
 *
 * Invariant: `req->headers` is whole lines, each "Name: value\r\n". */
#include "prebuilt.h"

#include <string.h>

typedef struct default_field default_field;
struct default_field {
    str name;
    str value;
    default_field *next;
};

static const http_key DEFAULTS = { "default header fields" };

/* Cuts one line off `*rest`; STR_NONE at the end. */
static str cut_line(str *rest, str *name, str *value)
{
    if (!rest->ptr || rest->len == 0)
        return STR_NONE;
    const char *begin = rest->ptr;
    str line = str_cut(rest, '\n');
    const str whole = { begin, line.len + 1 };
    line.len -= line.len > 0; /* the CR */
    *name = str_cut(&line, ':');
    *value = str_trim(line, STR(" "));
    return whole;
}

/* The next field of those that were set, then of a constant's. */
static bool cut_next(str *set, str *of_constant, str *name, str *value)
{
    return cut_line(set, name, value).ptr || cut_line(of_constant, name, value).ptr;
}

str http_reply_header(const http_request *req, str name)
{
    if (str_eq_nocase(name, STR("Content-Type")))
        return req->content_type.len ? req->content_type : STR_NONE;
    str set = buf_str(&req->headers), of_constant = http_constant_fields(req), at, value;
    while (cut_next(&set, &of_constant, &at, &value)) {
        if (str_eq_nocase(at, name))
            return value;
    }
    return STR_NONE;
}

str http_reply_list(const http_request *req, str name)
{
    buf all;
    buf_init_arena(&all, &req->conn->arena, HTTP_HEADERS_BYTES_MAX);
    str set = buf_str(&req->headers), of_constant = http_constant_fields(req);
    str at, value, first = STR_NONE;
    while (cut_next(&set, &of_constant, &at, &value)) {
        if (!str_eq_nocase(at, name))
            continue;
        if (!first.ptr) {
            first = value;
            continue;
        }
        if (all.len == 0)
            buf_append(&all, first);
        buf_append(&all, STR(", "));
        buf_append(&all, value);
    }
    return all.len > 0 ? buf_str(&all) : first;
}

bool http_reply_lists(const http_request *req, str name, str member)
{
    str rest = http_reply_list(req, name);
    while (rest.ptr) {
        if (str_eq_nocase(str_trim(str_cut(&rest, ','), STR(" \t")), member))
            return true;
    }
    return false;
}

static bool is_among(str name, const str *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq_nocase(names[i], name))
            return true;
    }
    return false;
}

/* Takes the lines of these names out of the first `bytes`; returns how many bytes are left. */
static size_t drop_lines(char *lines, size_t bytes, const str *names, size_t count)
{
    str rest = { lines, bytes }, line, name, value;
    size_t kept = 0;
    while ((line = cut_line(&rest, &name, &value)).ptr) {
        if (is_among(name, names, count))
            continue;
        memmove(lines + kept, line.ptr, line.len);
        kept += line.len;
    }
    return kept;
}

error http_replace_header(http_request *req, str name, str value)
{
    buf *headers = &req->headers;
    TRY(http_constant_melt(req));
    /* The old lines go only when the new one stands. */
    const size_t before = headers->len;
    TRY(http_set_header(req, name, value));
    if (headers->len == before)
        return OK; /* it is the type, which is no line */
    const size_t kept = drop_lines(headers->data, before, &name, 1);
    memmove(headers->data + kept, headers->data + before, headers->len - before);
    headers->len = kept + headers->len - before;
    return OK;
}

void http_default_header(http_request *req, str name, str value)
{
    default_field *first = http_value(req, &DEFAULTS);
    default_field *field = ARENA_NEW(&req->conn->arena, default_field);
    *field = (default_field){ name, value, NULL };
    if (!first) {
        http_set_value(req, &DEFAULTS, field);
        return;
    }
    default_field *last = first;
    for (; last; last = last->next) {
        if (str_eq_nocase(last->name, name)) { /* the innermost layer's is the closest */
            last->value = value;
            return;
        }
        if (!last->next)
            break;
    }
    last->next = field;
}

error http_reply_seal(http_request *req)
{
    for (default_field *d = http_value(req, &DEFAULTS); d; d = d->next) {
        const bool wanted = d->value.ptr && !http_reply_header(req, d->name).ptr;
        const str value = d->value;
        d->value = STR_NONE; /* sealed twice, it is set once */
        if (wanted)
            TRY(http_set_header(req, d->name, value));
    }
    return OK;
}

/* Representation metadata (RFC 9110, 8), and what else is said of one body only: whether its bytes
 * may be cut, saved or kept. Content-Security-Policy and its like are no such fields. The last is
 * kept by 416, whose subject it is. */
static const str ABOUT_A_BODY[] = {
    STR("Accept-Ranges"),
    STR("Cache-Control"),
    STR("CDN-Cache-Control"),
    STR("Content-Digest"),
    STR("Content-Disposition"),
    STR("Content-Encoding"),
    STR("Content-Language"),
    STR("Content-Location"),
    STR("Content-MD5"),
    STR("Digest"),
    STR("ETag"),
    STR("Expires"),
    STR("Last-Modified"),
    STR("Location"),
    STR("Repr-Digest"),
    STR("Surrogate-Control"),
    STR("Content-Range"),
};

void http_reply_disown(http_request *req, int status)
{
    const size_t count = ARRAY_LEN(ABOUT_A_BODY) - (status == 416);
    buf *headers = &req->headers;
    bool cached = http_reply_header(req, STR("Cache-Control")).ptr;
    for (default_field *d = http_value(req, &DEFAULTS); d; d = d->next) {
        if (!d->value.ptr || !is_among(d->name, ABOUT_A_BODY, count))
            continue;
        cached = cached || str_eq_nocase(d->name, STR("Cache-Control"));
        d->value = STR_NONE;
    }
    if (headers->len)
        headers->len = drop_lines(headers->data, headers->len, ABOUT_A_BODY, count);
    req->own_type = STR_NONE;
    req->constant = NULL;
    /* Without the field an error may be kept too: RFC 9111, 4.2.2. */
    if (cached)
        buf_append(headers, STR("Cache-Control: no-store\r\n"));
}
