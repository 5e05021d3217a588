/* Interim answers (RFC 9110, 15.2): heads that leave at once, while the handler still works on the
 * one answer that counts. Written as soon as asked for, they reach the client with the loop's turn,
 * that is when the handler first waits.
 *
 * What it promises: none to a client of HTTP/1.0, which would take it for the answer; none behind
 * the beginning of the answer itself. */
#include "conn.h"
#include "status.h"

#define HEAD_BYTES 64 /* but the field's value */

/* 100 answers Expect, and is the engine's; 101 would change the protocol. */
static bool is_interim(int status)
{
    return status >= 102 && status <= 199;
}

error http_reply_interim(http_request *req, int status, str name, str value)
{
    buf out;
    invariant(!req->streaming);
    if (!is_interim(status))
        return error_set(&HTTP_BAD_STATUS, "%d is no interim answer of a handler", status);
    if (name.ptr)
        TRY(http_field_check(name, value));
    if (!req->conn->stream)
        return error_set(&HTTP_CLIENT_GONE, "before an interim answer");
    if (req->head.minor_version == 0)
        return OK;
    buf_init_arena(&out, &req->conn->arena, HEAD_BYTES + HTTP_HEADERS_BYTES_MAX);
    buf_append_format(&out, "HTTP/1.1 %d ", status);
    buf_append(&out, http_status_text(status));
    if (name.ptr)
        buf_append_format(&out, "\r\n%.*s: ", STR_ARG(name));
    buf_append(&out, value);
    buf_append(&out, STR("\r\n\r\n"));
    if (out.failed)
        return error_set(&HTTP_BAD_HEADER, "an interim answer of over %zu bytes", out.bytes_max);
    stream_write(req->conn->stream, buf_str(&out));
    return http_reply_wait(req);
}
