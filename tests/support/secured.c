/* A server that tells how a request came to it: what test_tls.c and test_proxied.c talk to. */
#include "core/fiber.h"

#include <brio/http.h>
#include <unistd.h>

static error fast(http_request *req)
{
    return http_reply_text(req, 200, STR("fast"));
}

static error slow(http_request *req)
{
    TRY(fiber_sleep((uint32_t)http_path_int8(req, "ms")));
    return http_reply_text(req, 200, STR("slow"));
}

static error big(http_request *req)
{
    const size_t len = (size_t)http_path_int8(req, "bytes");
    char *bytes = arena_alloc(http_request_arena(req), len, 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)('a' + i % 26);
    return http_reply_bytes(req, 200, STR("text/plain"), (str){ bytes, len });
}

/* The same bytes, in pieces. */
static error pieces(http_request *req)
{
    char piece[2600];
    for (size_t i = 0; i < sizeof piece; i++)
        piece[i] = (char)('a' + i % 26);
    int64_t left = http_path_int8(req, "bytes");
    TRY(http_reply_start(req, 200, STR("text/plain")));
    for (; left > 0; left -= (int64_t)sizeof piece)
        TRY(http_reply_write(
            req, (str){ piece, left < (int64_t)sizeof piece ? (size_t)left : sizeof piece }));
    return OK;
}

static error echo(http_request *req)
{
    str body;
    TRY(http_body_bytes(req, &body));
    return http_reply_bytes(req, 200, STR("application/octet-stream"), body);
}

static error worker(http_request *req)
{
    return http_reply_text(req, 200,
                           str_format(http_request_arena(req), "{\"pid\":%d}", (int)getpid()));
}

static str or_none(str s)
{
    return s.ptr ? s : STR("-");
}

/* "TLSv1.3 localhost full verified CN=ada", or "plain". */
static error protection(http_request *req)
{
    const http_tls *tls = http_request_tls(req);
    if (!tls)
        return http_reply_text(req, 200, STR("plain"));
    return http_reply_text(req, 200,
                           str_format(http_request_arena(req), "%.*s %.*s %s %s %.*s",
                                      STR_ARG(tls->version), STR_ARG(or_none(tls->server_name)),
                                      tls->resumed ? "resumed" : "full",
                                      tls->client_verified ? "verified" : "unknown",
                                      STR_ARG(or_none(tls->client_subject))));
}

static error client(http_request *req)
{
    return http_reply_text(req, 200, or_none(http_client_address(req)));
}

static const http_route routes[] = {
    HTTP_FILES("/static", "site", http_public),
    { HTTP_GET, "/fast", fast, http_public },
    { HTTP_GET, "/slow/:ms<int8>", slow, http_public },
    { HTTP_GET, "/big/:bytes<int8>", big, http_public },
    { HTTP_GET, "/pieces/:bytes<int8>", pieces, http_public },
    { HTTP_POST, "/echo", echo, http_public, .body_bytes_max = (size_t)64 << 20 },
    { HTTP_GET, "/worker", worker, http_public },
    { HTTP_GET, "/tls", protection, http_public },
    { HTTP_GET, "/client", client, http_public },
};

int main(int argc, char **argv)
{
    return http_main(argc, argv, &(http_app){ .name = "secured", .routes = HTTP_ROUTES(routes) });
}
