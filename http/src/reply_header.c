/* Header fields of an answer that were set already: found, replaced, and filled up with defaults.
 *
 * The fields stand as lines in one buffer, as they will be sent. A layer that runs before the
 * handler cannot know what that will set, and once a streamed answer has begun it is too late; so
 * a default is noted and becomes a line when the head is about to leave.
 *
 * Invariant: `req->headers` is whole lines, each "Name: value\r\n". */
#include "conn.h"

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

str http_reply_header(const http_request *req, str name)
{
    str rest = buf_str(&req->headers), at, value;
    while (cut_line(&rest, &at, &value).ptr) {
        if (str_eq_nocase(at, name))
            return value;
    }
    return STR_NONE;
}

str http_reply_list(const http_request *req, str name)
{
    buf all;
    buf_init_arena(&all, &req->conn->arena, HTTP_HEADERS_BYTES_MAX);
    str rest = buf_str(&req->headers), at, value, first = STR_NONE;
    while (cut_line(&rest, &at, &value).ptr) {
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

error http_replace_header(http_request *req, str name, str value)
{
    buf *headers = &req->headers;
    str rest = buf_str(headers), at, old, line;
    size_t kept = 0;
    /* The old lines go only when the new one stands. */
    const size_t before = headers->len;
    TRY(http_set_header(req, name, value));
    rest = (str){ headers->data, before };
    while ((line = cut_line(&rest, &at, &old)).ptr) {
        if (str_eq_nocase(at, name))
            continue;
        memmove(headers->data + kept, line.ptr, line.len);
        kept += line.len;
    }
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
