/* Answers as handlers stage them: nothing is sent here. */
#include "prebuilt.h"
#include "status.h"

#define REPLY_BYTES_MAX ((size_t)64 << 20)

ERROR_KIND(HTTP_BAD_STATUS, ERROR_INTERNAL, "The server could not complete the request.");
static ERROR_KIND(HTTP_REPLY_TOO_LARGE, ERROR_INTERNAL,
                  "The server could not complete the request.");

error http_reply_stage(http_request *req, int status, str content_type, str body)
{
    if (UNLIKELY(!http_status_is_final(status)))
        return error_set(&HTTP_BAD_STATUS, "%d is no answer", status);
    const bool resets = status == 205; /* RFC 9110, 15.3.6: without content, but framed */
    req->status = status;
    req->content_type = req->own_type.ptr ? req->own_type : content_type;
    req->reply = resets ? STR("") : body;
    req->sends_file = false;
    req->constant = NULL;
    return OK;
}

error http_content_type_check(str content_type)
{
    return content_type.len <= HTTP_CONTENT_TYPE_BYTES_MAX && http_is_value(content_type)
               ? OK
               : error_set(&HTTP_BAD_HEADER, "content type of %zu bytes", content_type.len);
}

error http_reply_bytes(http_request *req, int status, str content_type, str body)
{
    TRY(http_content_type_check(content_type));
    return http_reply_stage(req, status, content_type, body);
}

error http_reply_text(http_request *req, int status, str text)
{
    return http_reply_stage(req, status, STR("text/plain; charset=utf-8"), text);
}

error http_reply_empty(http_request *req, int status)
{
    return http_reply_stage(req, status, STR_NONE, STR(""));
}

error http_reply_shape(http_request *req, int status, shape_fn *of, const void *value)
{
    buf out;
    buf_init_arena(&out, &req->conn->arena, REPLY_BYTES_MAX);
    json_write_shape(&out, of(), value);
    const error e = buf_status(&out);
    if (e.kind)
        return error_wrap(e, &HTTP_REPLY_TOO_LARGE, "reply of over %zu bytes", REPLY_BYTES_MAX);
    return http_reply_stage(req, status, STR("application/json"), buf_str(&out));
}

/* What every client and proxy takes for a name, which is less than a token may be. */
static bool is_field_name(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return false;
    }
    return s.len > 0;
}

/* How a message ends, and when it was sent, is the engine's to say. */
static bool is_reserved(str name)
{
    static const str names[] = {
        { "Connection", 10 },
        { "Content-Length", 14 },
        { "Date", 4 },
        { "Transfer-Encoding", 17 },
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq_nocase(names[i], name))
            return true;
    }
    return false;
}

error http_field_check(str name, str value)
{
    if (!is_field_name(name))
        return error_set(&HTTP_BAD_HEADER, "header name of %zu bytes is no token", name.len);
    if (is_reserved(name))
        return error_set(&HTTP_BAD_HEADER, "header %.*s is the server's", STR_ARG(name));
    if (!http_is_value(value))
        return error_set(&HTTP_BAD_HEADER, "control character in header %.*s", STR_ARG(name));
    return OK;
}

/* The type stands beside the fields: an answer has one, staged before or after. */
static error set_type(http_request *req, str content_type)
{
    TRY(http_content_type_check(content_type));
    TRY(http_constant_melt(req));
    req->own_type = str_copy(&req->conn->arena, content_type.ptr ? content_type : STR(""));
    req->content_type = req->own_type;
    return OK;
}

error http_set_header(http_request *req, str name, str value)
{
    TRY(http_field_check(name, value));
    if (str_eq_nocase(name, STR("Content-Type")))
        return set_type(req, value);
    buf *headers = &req->headers;
    const size_t before = headers->len;
    buf_append(headers, name);
    buf_append(headers, STR(": "));
    buf_append(headers, value);
    buf_append(headers, STR("\r\n"));
    if (headers->failed) {
        buf_reset(headers); /* half a line is none */
        headers->len = before;
        return error_set(&HTTP_BAD_HEADER, "header fields of over %zu bytes", headers->bytes_max);
    }
    req->challenges = req->challenges || str_eq_nocase(name, STR("WWW-Authenticate"));
    req->says_when = req->says_when || str_eq_nocase(name, STR("Retry-After"));
    return OK;
}

void http_reply_uncompressed(http_request *req)
{
    req->uncompressed = true;
}
