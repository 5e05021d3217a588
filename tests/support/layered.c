/* A server with groups and layers: what test_layers.c talks to. */
#include <brio/http.h>

/* Leaves its name in the header X-Layers, on the way in and, behind a minus, on the way out. */
static error trace(http_request *req, const http_next *next)
{
    const str name = str_from_c(next->options);
    TRY(http_set_header(req, STR("X-Layers"), name));
    const error e = http_proceed(req, next);
    TRY(http_set_header(req, STR("X-Layers"),
                        str_format(fiber_arena(), "-%.*s%s", STR_ARG(name), e.kind ? "!" : "")));
    return e;
}

/* Answers itself when the query says so. */
static error gate(http_request *req, const http_next *next)
{
    const str shut = http_query(req, STR("shut"));
    if (str_eq(shut, STR("yes")))
        return http_reply_text(req, 403, STR("shut"));
    if (str_eq(shut, STR("silent")))
        return OK;
    return http_proceed(req, next);
}

/* Makes an error something else. */
static error forgive(http_request *req, const http_next *next)
{
    const error e = http_proceed(req, next);
    if (error_is(e, &HTTP_BAD_REQUEST))
        return http_reply_text(req, 200, STR("forgiven"));
    return e;
}

static error hello(http_request *req)
{
    return http_reply_text(req, 200, str_from_c(http_request_pattern(req)));
}

static error fails(http_request *req)
{
    (void)req;
    return error_set(&HTTP_BAD_REQUEST, "told to");
}

static error locked(http_request *req)
{
    TRY(http_set_header(req, STR("X-Layers"), STR("guard")));
    return error_set(&HTTP_NOT_FOUND, "nobody gets in");
}

static const http_route plain[] = {
    { HTTP_GET, "/hello", hello, http_public },
    { HTTP_GET, "/locked", hello, locked },
};
static const http_route inner[] = {
    { HTTP_GET, "", hello, http_public },
    { HTTP_GET, "/hello", hello, http_public },
    { HTTP_GET, "/fails", fails, http_public },
};
static const http_group groups[] = {
    { "/api/:version", HTTP_ROUTES(inner), { { trace, "b" }, { gate }, { forgive } } },
};

int main(int argc, char **argv)
{
    return http_main(argc, argv,
                     &(http_app){ .name = "layered",
                                  .routes = HTTP_ROUTES(plain),
                                  .groups = HTTP_GROUPS(groups),
                                  .layers = { { trace, "a" } } });
}
