/* Constant answers: what a worker has put together once, and copies.
 *
 * The image is a whole answer to a request of HTTP/1.1 on a connection that goes on:
 *
 *   HTTP/1.1 200 OK | Date: … | Content-Type, Content-Length | the constant's fields | empty | body
 *
 * A copy gets the date over the image's; what else a request may add to it (Connection, fields of
 * layers) goes in before the empty line. What changes it in any other way, a layer that codes the
 * body or replaces a field, first melts it into an ordinary answer of the same fields and body.
 *
 * An image hangs in a slot beside the constant, so that it is found without a search, and in the
 * list of the server, which frees it and empties the slot.
 *
 * Invariant: while `req->constant` is set, the answer is that image and the lines of
 * `req->headers`. */
#include "http/constant.h"

#include "conditional.h"
#include "etag.h"
#include "head_fields.h"
#include "prebuilt.h"
#include "status.h"

#include <assert.h>
#include <string.h>

#define HEAD_BYTES_MAX   512 /* but for type and fields, as in conn.c */
#define FIELDS_BYTES_MAX 2048
#define DATE_LINE        "\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT"

static_assert(sizeof DATE_LINE - 1 == HTTP_DATE_FIELD_BYTES, "a date takes another's place");
static_assert(2 * HEAD_BYTES_MAX + FIELDS_BYTES_MAX + HTTP_CONTENT_TYPE_BYTES_MAX +
                      HTTP_HEADERS_BYTES_MAX <=
                  BLOCK_CAPACITY,
              "a head fits into a block, whatever is added to it");

/* --- once ------------------------------------------------------------------------------------- */

static error append_field(buf *image, str name, str value)
{
    TRY(http_field_check(name, value));
    if (str_eq_nocase(name, STR("Content-Type")))
        return error_set(&HTTP_BAD_HEADER, "a constant's type is its .content_type");
    buf_append(image, name);
    buf_append(image, STR(": "));
    buf_append(image, value);
    buf_append(image, STR("\r\n"));
    return OK;
}

static error append_fields(http_prebuilt *p, const http_constant *c)
{
    const size_t from = p->image.len;
    char tag[HTTP_BODY_TAG_LEN];
    for (size_t i = 0; i < HTTP_CONSTANT_FIELDS_MAX && c->fields[i].name; i++)
        TRY(append_field(&p->image, str_from_c(c->fields[i].name), str_from_c(c->fields[i].value)));
    if (c->tagged) {
        if (p->status != 200)
            return error_set(&HTTP_BAD_STATUS, "%d has no tag", p->status);
        TRY(http_body_tag(tag, p->content_type, p->body));
        TRY(append_field(&p->image, STR("ETag"), (str){ tag, sizeof tag }));
        p->tag.len = sizeof tag;
    }
    p->fields.len = p->image.len - from;
    return p->fields.len <= FIELDS_BYTES_MAX
               ? OK
               : error_set(&HTTP_BAD_HEADER, "a constant's fields have over 2 KiB");
}

static error append_head(http_prebuilt *p, const http_constant *c)
{
    buf *image = &p->image;
    buf_append_format(image, "HTTP/1.1 %d ", p->status);
    buf_append(image, http_status_text(p->status));
    p->date = image->len;
    buf_append(image, STR(DATE_LINE));
    if (p->content_type.len) {
        buf_append(image, STR("\r\nContent-Type: "));
        buf_append(image, p->content_type);
    }
    if (http_status_has_body(p->status))
        buf_append_format(image, "\r\nContent-Length: %zu", p->body.len);
    buf_append(image, STR("\r\n"));
    TRY(append_fields(p, c));
    buf_append(image, STR("\r\n"));
    p->head = image->len;
    return buf_status(image);
}

static error build(http_prebuilt *p, const http_constant *c)
{
    p->status = c->status ? c->status : 200;
    if (!http_status_is_final(p->status))
        return error_set(&HTTP_BAD_STATUS, "%d is no answer", p->status);
    p->body = STR("");
    if (http_status_has_body(p->status))
        p->content_type = str_from_c(c->content_type);
    if (http_status_has_body(p->status) && p->status != 205 && c->body.ptr)
        p->body = c->body;
    TRY(http_content_type_check(p->content_type));
    TRY(append_head(p, c));
    p->has_body = p->body.len <= BLOCK_CAPACITY - p->head;
    if (p->has_body)
        buf_append(&p->image, p->body);
    TRY(buf_status(&p->image));
    /* The image stays where it is from here on. */
    const size_t fields_end = p->head - 2;
    p->fields.ptr = p->image.data + fields_end - p->fields.len;
    if (p->tag.len)
        p->tag.ptr = p->image.data + fields_end - 2 - p->tag.len;
    return OK;
}

static error prebuild(http_server *server, const http_constant *c, const http_prebuilt **out)
{
    http_prebuilt *p = MEMORY_NEW(http_prebuilt);
    if (!p)
        return error_set(&OUT_OF_MEMORY, "no memory for a constant answer");
    buf_init(&p->image, BLOCK_CAPACITY);
    const error e = build(p, c);
    if (e.kind) {
        buf_deinit(&p->image);
        memory_free(p);
        return e;
    }
    p->server = server;
    p->slot = c->prebuilt;
    p->next = server->constants;
    server->constants = p;
    *p->slot = p;
    *out = p;
    return OK;
}

void http_constants_free(http_server *server)
{
    http_prebuilt *next;
    for (http_prebuilt *p = server->constants; p; p = next) {
        next = p->next;
        *p->slot = NULL;
        buf_deinit(&p->image);
        memory_free(p);
    }
    server->constants = NULL;
}

/* --- staged ----------------------------------------------------------------------------------- */

str http_constant_fields(const http_request *req)
{
    return req->constant ? req->constant->fields : STR("");
}

error http_constant_melt(http_request *req)
{
    buf *headers = &req->headers;
    const http_prebuilt *p = req->constant;
    if (!p)
        return OK;
    if (p->fields.len > headers->bytes_max - headers->len)
        return error_set(&HTTP_BAD_HEADER, "header fields of over %zu bytes", headers->bytes_max);
    buf_append(headers, p->fields);
    TRY(buf_status(headers));
    req->constant = NULL;
    return OK;
}

/* RFC 9110, 13.2.2; there is no date to compare. `*is_known`: the client has it already. */
static error check_conditions(const http_request *req, str tag, bool *is_known)
{
    arena *a = &req->conn->arena;
    const str match = http_head_list(a, &req->head, STR("If-Match"));
    const str none_match = http_head_list(a, &req->head, STR("If-None-Match"));
    if (match.ptr && !http_etags_have(match, tag, true))
        return error_set(&HTTP_PRECONDITION_FAILED, "If-Match names another state");
    *is_known = none_match.ptr && http_etags_have(none_match, tag, false);
    return OK;
}

error http_reply_constant(http_request *req, const http_constant *constant)
{
    invariant(constant->prebuilt); /* it is one of HTTP_CONSTANT's */
    const http_prebuilt *p = *constant->prebuilt;
    bool is_known = false;
    if (UNLIKELY(!p))
        TRY(prebuild(req->conn->server, constant, &p));
    invariant(p && p->server == req->conn->server);
    if (p->tag.len && (req->head.method == HTTP_GET || req->head.method == HTTP_HEAD))
        TRY(check_conditions(req, p->tag, &is_known));
    TRY(http_reply_stage(req, p->status, p->content_type, p->body));
    req->constant = p;
    if (LIKELY(!is_known && !req->own_type.ptr))
        return OK;
    TRY(http_constant_melt(req));
    return is_known ? http_reply_empty(req, 304) : OK;
}

/* --- sent ------------------------------------------------------------------------------------- */

static size_t put(char *out, size_t at, str s)
{
    memcpy(out + at, s.ptr, s.len);
    return at + s.len;
}

static size_t put_image(char *out, str image, size_t head, str connection, str headers)
{
    if (LIKELY(connection.len + headers.len == 0))
        return put(out, 0, image);
    size_t len = put(out, 0, str_slice(image, 0, head - 2));
    len = put(out, len, connection);
    len = put(out, len, headers);
    return put(out, len, str_slice(image, head - 2, image.len));
}

void http_constant_send(const http_request *req, const char *date, bool close)
{
    const http_prebuilt *p = req->constant;
    stream *s = req->conn->stream;
    const bool sends_body = req->head.method != HTTP_HEAD;
    const str headers = buf_str(&req->headers);
    str connection = STR("");
    if (close)
        connection = STR("Connection: close\r\n");
    else if (req->head.minor_version == 0)
        connection = STR("Connection: keep-alive\r\n");
    str image = buf_str(&p->image);
    size_t room = image.len + connection.len + headers.len;
    const bool together = sends_body && p->has_body && room <= BLOCK_CAPACITY;
    if (!together) {
        room -= image.len - p->head;
        image.len = p->head;
    }
    char *out = stream_reserve(s, room);
    if (!out)
        return;
    const size_t len = put_image(out, image, p->head, connection, headers);
    memcpy(out + p->date, date, HTTP_DATE_FIELD_BYTES);
    stream_commit(s, len);
    if (!together && sends_body)
        stream_write(s, p->body);
}
