/* Errors as answers: problem details (RFC 9457). A client reads the kind's constant message and the
 * list of wrong fields; the details are for the log. */
#include "conn.h"
#include "status.h"

#include "http/multipart.h"

#include <stdio.h>

#define PROBLEM_BYTES_MAX 65536

/* The one place where a class becomes a status. */
static int status_of_class(error_class class)
{
    switch (class) {
    case ERROR_INVALID:
        return 400;
    case ERROR_UNAUTHENTICATED:
        return 401;
    case ERROR_FORBIDDEN:
        return 403;
    case ERROR_NOT_FOUND:
        return 404;
    case ERROR_CONFLICT:
        return 409;
    case ERROR_TOO_LARGE:
        return 413;
    case ERROR_TOO_MANY:
        return 429;
    case ERROR_CANCELED:
    case ERROR_UNAVAILABLE:
        return 503;
    case ERROR_TIMED_OUT:
        return 504;
    case ERROR_NONE:
    case ERROR_INTERNAL:
        return 500;
    }
    unreachable();
}

int http_status_of(error e)
{
    const error_detail *detail = error_detail_of(e);
    if (error_is(e, &HTTP_UNSUPPORTED_MEDIA) || error_is(e, &HTTP_FORM_EXPECTED) ||
        error_is(e, &HTTP_MULTIPART_EXPECTED))
        return 415;
    if (error_is(e, &HTTP_METHOD_NOT_ALLOWED))
        return 405;
    if (error_is(e, &HTTP_BODY_LATE))
        return 408;
    if (error_is(e, &HTTP_PRECONDITION_FAILED))
        return 412;
    if (error_is(e, &HTTP_RANGE_UNSATISFIABLE))
        return 416;
    if (error_is(e, &HTTP_STORAGE_FULL))
        return 507;
    if (detail && detail->field_count > 0)
        return 422;
    return status_of_class(error_class_of(e));
}

static void write_pair(buf *out, str key, str value)
{
    buf_append_char(out, ',');
    json_write_string(out, key);
    buf_append_char(out, ':');
    json_write_string(out, value);
}

static void write_fields(buf *out, const error_detail *detail)
{
    buf_append(out, STR(",\"errors\":["));
    for (size_t i = 0; i < detail->field_count; i++) {
        const error_field *f = &detail->fields[i];
        buf_append(out, i ? STR(",{\"path\":") : STR("{\"path\":"));
        json_write_string(out, f->path);
        write_pair(out, STR("code"), f->code);
        write_pair(out, STR("message"), f->message);
        buf_append_char(out, '}');
    }
    buf_append_char(out, ']');
}

static void log_problem(const http_request *req, error e, int status)
{
    const char *pattern = req->match.pattern;
    if (status >= 500 && !error_is(e, &HTTP_CLIENT_GONE))
        log_error("request failed", LOG_STR("method", req->head.method_name),
                  LOG_CSTR("route", pattern), LOG_INT("status", status), LOG_ERR(e));
    else
        log_debug("request refused", LOG_STR("method", req->head.method_name),
                  LOG_CSTR("route", pattern), LOG_INT("status", status), LOG_ERR(e));
}

void http_problem_stage(http_request *req, error e)
{
    const int status = http_status_of(e);
    const error_detail *detail = error_detail_of(e);
    log_problem(req, e, status);
    buf out;
    buf_init_arena(&out, &req->conn->arena, PROBLEM_BYTES_MAX);
    buf_append(&out, STR("{\"type\":\"about:blank\",\"title\":"));
    json_write_string(&out, http_status_text(status));
    buf_append_format(&out, ",\"status\":%d", status);
    write_pair(&out, STR("detail"), str_from_c(e.kind->message));
    if (detail && detail->field_count > 0)
        write_fields(&out, detail);
    buf_append_char(&out, '}');
    /* A list of faults that passes the ceiling leaves the brief form. */
    if (out.failed)
        out.len = http_problem_brief(out.data, out.capacity, status, e.kind->message);
    http_reply_disown(req, status);
    /* RFC 9110, 15.5.2: a 401 names a scheme. A guard that knows more has said so itself. */
    if (status == 401 && !req->challenges)
        buf_append(&req->headers, STR("WWW-Authenticate: Bearer\r\n"));
    if (error_class_of(e) == ERROR_UNAVAILABLE && status == 503 && !req->says_when)
        buf_append(&req->headers, STR("Retry-After: 1\r\n"));
    req->status = status;
    req->content_type = STR("application/problem+json");
    req->reply = buf_str(&out);
}

size_t http_problem_brief(char *out, size_t bytes, int status, const char *detail)
{
    const str title = http_status_text(status);
    const int len =
        snprintf(out, bytes, "{\"type\":\"about:blank\",\"title\":\"%.*s\",\"status\":%d%s%s%s}",
                 STR_ARG(title), status, detail ? ",\"detail\":\"" : "", detail ? detail : "",
                 detail ? "\"" : "");
    invariant(len > 0 && (size_t)len < bytes);
    return (size_t)len;
}
