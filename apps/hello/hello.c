/* hello: everything a server without a database does. Benchmarks and protocol tests use it. */
#include "hello.h"

#define MESSAGE_FIELDS(F) F(message, text)
SHAPE(message, MESSAGE_FIELDS)

static error plaintext(http_request *req)
{
    return http_reply_text(req, 200, STR("Hello, World!"));
}

static error show_message(http_request *req)
{
    const message m = { .message = STR("Hello, World!") };
    return http_reply(req, 200, message, &m);
}

/* Any body comes back with its type. */
static error echo(http_request *req)
{
    str body;
    TRY(http_body_bytes(req, &body));
    const str type = http_header(req, STR("content-type"));
    return http_reply_bytes(req, 200, type.ptr ? type : STR("application/octet-stream"), body);
}

static error show_cookie(http_request *req)
{
    const str cookie = http_header(req, STR("cookie"));
    return http_reply_text(req, 200, cookie.ptr ? cookie : STR(""));
}

static error serve_file(http_request *req)
{
    return http_reply_file(req, "apps/hello/static", http_path_text(req, "path"));
}

static const http_route routes[] = {
    { HTTP_GET, "/", plaintext, http_public },
    { HTTP_GET, "/plaintext", plaintext, http_public },
    { HTTP_GET, "/json", show_message, http_public, .reply = SHAPE_OF(message) },
    { HTTP_POST, "/echo", echo, http_public },
    { HTTP_GET, "/cookie", show_cookie, http_public },
    { HTTP_GET, "/static/*path", serve_file, http_public },
};

const http_app hello_app = { .name = "hello", .routes = HTTP_ROUTES(routes) };
