/* Answers as handlers stage them: nothing is sent here. */
#include "conn.h"

#define REPLY_BYTES_MAX ((size_t)64 << 20)

/* RFC 9110 section 15. */
// clang-format off
str http_status_text(int status)
{
    switch (status) {
    case 100: return STR("Continue");
    case 101: return STR("Switching Protocols");
    case 200: return STR("OK");
    case 201: return STR("Created");
    case 202: return STR("Accepted");
    case 204: return STR("No Content");
    case 206: return STR("Partial Content");
    case 301: return STR("Moved Permanently");
    case 302: return STR("Found");
    case 303: return STR("See Other");
    case 304: return STR("Not Modified");
    case 307: return STR("Temporary Redirect");
    case 308: return STR("Permanent Redirect");
    case 400: return STR("Bad Request");
    case 401: return STR("Unauthorized");
    case 403: return STR("Forbidden");
    case 404: return STR("Not Found");
    case 405: return STR("Method Not Allowed");
    case 408: return STR("Request Timeout");
    case 409: return STR("Conflict");
    case 410: return STR("Gone");
    case 412: return STR("Precondition Failed");
    case 413: return STR("Content Too Large");
    case 414: return STR("URI Too Long");
    case 415: return STR("Unsupported Media Type");
    case 416: return STR("Range Not Satisfiable");
    case 417: return STR("Expectation Failed");
    case 422: return STR("Unprocessable Content");
    case 429: return STR("Too Many Requests");
    case 431: return STR("Request Header Fields Too Large");
    case 500: return STR("Internal Server Error");
    case 501: return STR("Not Implemented");
    case 502: return STR("Bad Gateway");
    case 503: return STR("Service Unavailable");
    case 504: return STR("Gateway Timeout");
    case 505: return STR("HTTP Version Not Supported");
    default: return STR("Status");
    }
}

// clang-format on
static ERROR_KIND(HTTP_REPLY_TOO_LARGE, ERROR_INTERNAL,
                  "The server could not complete the request.");

/* The content type is good. */
static error stage(http_request *req, int status, str content_type, str body)
{
    invariant(status >= 200 && status <= 599);
    req->status = status;
    req->content_type = content_type;
    req->reply = body;
    req->sends_file = false;
    return OK;
}

error http_reply_bytes(http_request *req, int status, str content_type, str body)
{
    if (content_type.len > HTTP_CONTENT_TYPE_BYTES_MAX || !http_is_value(content_type))
        return error_set(&HTTP_BAD_HEADER, "content type of %zu bytes", content_type.len);
    return stage(req, status, content_type, body);
}

error http_reply_text(http_request *req, int status, str text)
{
    return stage(req, status, STR("text/plain; charset=utf-8"), text);
}

error http_reply_empty(http_request *req, int status)
{
    return stage(req, status, STR_NONE, STR(""));
}

error http_reply_shape(http_request *req, int status, shape_fn *of, const void *value)
{
    buf out;
    buf_init_arena(&out, &req->conn->arena, REPLY_BYTES_MAX);
    json_write_shape(&out, of(), value);
    const error e = buf_status(&out);
    if (e.kind)
        return error_wrap(e, &HTTP_REPLY_TOO_LARGE, "reply of over %zu bytes", REPLY_BYTES_MAX);
    return stage(req, status, STR("application/json"), buf_str(&out));
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

error http_set_header(http_request *req, str name, str value)
{
    if (!is_field_name(name))
        return error_set(&HTTP_BAD_HEADER, "header name of %zu bytes is no token", name.len);
    if (is_reserved(name))
        return error_set(&HTTP_BAD_HEADER, "header %.*s is the server's", STR_ARG(name));
    if (!http_is_value(value))
        return error_set(&HTTP_BAD_HEADER, "control character in header %.*s", STR_ARG(name));
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
