/* Whole answers: the call and its body in one, and bodies as shapes. */
#include "client.h"

#include "core/json.h"

#include <string.h>

#define JSON_BYTES_MAX ((size_t)64 << 20)

/* Reads the body into the call's arena; a buffer grows with what comes, not by what was announced.
 */
static error read_whole(http_call *call, size_t bytes_max, str *out)
{
    buf body;
    str piece;
    buf_init_arena(&body, call->arena, bytes_max);
    if (call->pieces.kind == HTTP_REPLY_SIZED && call->pieces.left > bytes_max)
        return error_set(&HTTP_CALL_REPLY_TOO_LARGE, "a body of over %zu bytes", bytes_max);
    do {
        TRY(http_call_read(call, &piece));
        buf_append(&body, piece);
        const error e = buf_status(&body);
        if (error_is(e, &BUF_FULL))
            return error_wrap(e, &HTTP_CALL_REPLY_TOO_LARGE, "a body of over %zu bytes", bytes_max);
        TRY(e);
    } while (piece.len > 0);
    *out = buf_str(&body);
    return OK;
}

error http_client_send(http_client *client, const http_client_request *request,
                       http_client_reply *out)
{
    invariant(request->body_streamed == 0);
    const size_t bytes_max =
        request->body_bytes_max ? request->body_bytes_max : client->options.body_bytes_max;
    http_call *call;
    TRY(http_call_begin(client, request, &call));
    error e = http_call_receive(call, out);
    if (!e.kind)
        e = read_whole(call, bytes_max, &out->body);
    http_call_end(&call);
    return e;
}

error http_client_get(http_client *client, str url, http_client_reply *out)
{
    return http_client_send(client, &(http_client_request){ .url = url }, out);
}

str http_client_header(const http_client_reply *reply, str name)
{
    return reply->head ? http_fields_find(&reply->head->fields, name) : STR_NONE;
}

error http_client_send_shape(http_client *client, const http_client_request *request, shape_fn *of,
                             const void *value, http_client_reply *out)
{
    http_client_request r = *request;
    buf body;
    buf_init_arena(&body, fiber_arena(), JSON_BYTES_MAX);
    json_write_shape(&body, of(), value);
    TRY(buf_status(&body));
    r.content_type = STR("application/json");
    r.body = buf_str(&body);
    return http_client_send(client, &r, out);
}

static bool is_json(str content_type)
{
    const str type = str_trim(str_cut(&content_type, ';'), STR(" \t"));
    return str_eq_nocase(type, STR("application/json")) ||
           (type.len > 5 && str_eq_nocase(str_slice(type, type.len - 5, 5), STR("+json")));
}

error http_client_body_shape(const http_client_reply *reply, shape_fn *of, void *out)
{
    if (reply->status / 100 != 2)
        return error_set(&HTTP_CALL_BAD_REPLY, "status %d from %.*s", reply->status,
                         STR_ARG(reply->url));
    if (!is_json(http_client_header(reply, STR("content-type"))))
        return error_set(&HTTP_CALL_BAD_REPLY, "not JSON from %.*s", STR_ARG(reply->url));
    const shape *s = of();
    memset(out, 0, s->bytes);
    const error e = json_parse_shape_foreign(fiber_arena(), reply->body, s, out);
    return e.kind ? error_wrap(e, &HTTP_CALL_BAD_REPLY, "JSON from %.*s", STR_ARG(reply->url)) : OK;
}
