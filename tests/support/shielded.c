/* A server with the layers that come with the engine: what test_builtin_layers.c talks to. */
#include <brio/http.h>
#include <stdlib.h>
#include <unistd.h>

static error hello(http_request *req)
{
    return http_reply_text(req, 200, STR("hello"));
}

static error fails(http_request *req)
{
    (void)req;
    return error_set(&HTTP_BAD_REQUEST, "told to");
}

/* Knows better than the layer. */
static error framed(http_request *req)
{
    TRY(http_set_header(req, STR("x-frame-options"), STR("SAMEORIGIN")));
    return hello(req);
}

/* A file, which is sent after the layers have returned. */
static error filed(http_request *req)
{
    return http_reply_file(req, getenv("FILES"), http_path_text(req, "path"));
}

static error streamed(http_request *req)
{
    TRY(http_set_header(req, STR("Referrer-Policy"), STR("origin")));
    TRY(http_reply_start(req, 200, STR("text/plain")));
    return http_reply_write(req, STR("hello"));
}

/* Sets, replaces and reads fields. */
static error replaced(http_request *req)
{
    TRY(http_set_header(req, STR("X-A"), STR("1")));
    TRY(http_set_header(req, STR("X-B"), STR("2")));
    TRY(http_set_header(req, STR("x-a"), STR("3")));
    TRY(http_replace_header(req, STR("X-A"), STR("4")));
    TRY(http_replace_header(req, STR("X-C"), STR("5")));
    const error e = http_replace_header(req, STR("X-B"), STR("a\nb"));
    if (!error_is(e, &HTTP_BAD_HEADER))
        return http_reply_text(req, 500, STR("a line break was taken"));
    http_default_header(req, STR("X-B"), STR("6"));
    http_default_header(req, STR("X-D"), STR("7"));
    http_default_header(req, STR("X-D"), STR("8"));
    const str missing = http_reply_header(req, STR("X-E"));
    return http_reply_text(
        req, 200, missing.ptr ? STR("there is an X-E") : http_reply_header(req, STR("x-b")));
}

static const http_route plain[] = {
    { HTTP_GET, "/hello", hello, http_public },
    { HTTP_GET, "/fails", fails, http_public },
    { HTTP_GET, "/framed", framed, http_public },
    { HTTP_GET, "/streamed", streamed, http_public },
    { HTTP_GET, "/files/*path", filed, http_public },
    { HTTP_GET, "/replaced", replaced, http_public },
};

static const http_security_options CAREFUL = { .referrer_policy = "",
                                               .frame_options = "SAMEORIGIN",
                                               .hsts_max_age_s = 31536000,
                                               .hsts_subdomains = true };
static const http_route careful[] = {
    { HTTP_GET, "/hello", hello, http_public },
};

static const http_cors_options LISTED = {
    .origins = { "https://app.example", "http://*.dev.example:3000" },
    .exposed = { "X-Total", "ETag" },
    .credentials = true,
    .max_age_s = 600,
};
static const http_cors_options EVERYBODY = {
    .origins = { "*" },
    .methods = { "GET", "PURGE" },
    .headers = { "*" },
};
static const http_route shared[] = {
    { HTTP_GET, "/hello", hello, http_public },
    { HTTP_DELETE, "/hello", hello, http_public },
    { HTTP_GET, "/fails", fails, http_public },
    { HTTP_GET, "/streamed", streamed, http_public },
};

/* What the engine knows of where the request came from. */
static error whence(http_request *req)
{
    const http_trace *trace = http_request_trace(req);
    log_info("asked", LOG_CSTR("what", "whence"));
    TRY(http_set_header(req, STR("X-Client"), http_client_address(req)));
    TRY(http_set_header(req, STR("X-Trace"), trace->trace_id));
    TRY(http_set_header(req, STR("X-Caller"), trace->parent_id.ptr ? trace->parent_id : STR("-")));
    TRY(http_set_header(req, STR("X-State"), trace->state.ptr ? trace->state : STR("-")));
    TRY(http_set_header(req, STR("X-Parent"), http_request_trace(req)->parent));
    return http_reply_text(req, 200, http_request_id(req));
}

static const http_request_ids_options PROXIED_IDS = { .header = "X-Correlation-Id",
                                                      .from_proxies_only = true };
static const http_route whences[] = {
    { HTTP_GET, "/whence", whence, http_public },
};

static str key_of_query(http_request *req)
{
    return http_query(req, STR("key"));
}

static error which(http_request *req)
{
    return http_reply_text(req, 200, str_format(http_request_arena(req), "%d", (int)getpid()));
}

/* Nothing comes back while a test runs. */
static const http_rate_limit_options BY_ADDRESS = { .requests = 1, .per_ms = 3600000, .burst = 20 };
static const http_rate_limit_options BY_KEY = {
    .requests = 2, .per_ms = 7200000, .key = key_of_query, .name = "keys"
};
static const http_route counted[] = {
    { HTTP_GET, "/which", which, http_public },
    { HTTP_GET, "/fails", fails, http_public },
};

static error versioned(http_request *req)
{
    TRY(http_set_header(req, STR("ETag"), STR("W/\"v7\"")));
    return hello(req);
}

static error secret(http_request *req)
{
    TRY(http_set_header(req, STR("Cache-Control"), STR("no-store")));
    return hello(req);
}

static error typed(http_request *req)
{
    return http_reply_bytes(req, 200, STR("text/csv"), STR("hello"));
}

static error created(http_request *req)
{
    return http_reply_text(req, 201, STR("hello"));
}

static error large(http_request *req)
{
    return http_reply_text(req, 200, STR("hello, hello"));
}

static const http_etag_options SMALL = { .body_bytes_max = 8 };
static const http_route tagged[] = {
    { HTTP_GET, "/hello", hello, http_public },
    { HTTP_POST, "/hello", hello, http_public },
    { HTTP_GET, "/fails", fails, http_public },
    { HTTP_GET, "/streamed", streamed, http_public },
    { HTTP_GET, "/versioned", versioned, http_public },
    { HTTP_GET, "/secret", secret, http_public },
    { HTTP_GET, "/typed", typed, http_public },
    { HTTP_GET, "/created", created, http_public },
    { HTTP_GET, "/large", large, http_public },
};

static const http_group groups[] = {
    { "/tagged", HTTP_ROUTES(tagged), { { http_etag, &SMALL } } },
    { "/addresses", HTTP_ROUTES(counted), { { http_rate_limit, &BY_ADDRESS } } },
    { "/also", HTTP_ROUTES(counted), { { http_rate_limit, &BY_ADDRESS } } },
    { "/keys", HTTP_ROUTES(counted), { { http_rate_limit, &BY_KEY } } },
    { "/named", HTTP_ROUTES(whences), { { http_request_ids } } },
    { "/proxied", HTTP_ROUTES(whences), { { http_request_ids, &PROXIED_IDS } } },
    { "/careful", HTTP_ROUTES(careful), { { http_security_headers, &CAREFUL } } },
    { "/listed", HTTP_ROUTES(shared), { { http_cors, &LISTED } } },
    { "/everybody", HTTP_ROUTES(shared), { { http_cors, &EVERYBODY } } },
};

/* For the test of a program that does not start. */
static const http_cors_options CAREFREE = { .origins = { "*" }, .credentials = true };

int main(int argc, char **argv)
{
    if (getenv("CAREFREE"))
        return http_main(argc, argv,
                         &(http_app){ .name = "carefree", .layers = { { http_cors, &CAREFREE } } });
    return http_main(argc, argv,
                     &(http_app){ .name = "shielded",
                                  .routes = HTTP_ROUTES(plain),
                                  .groups = HTTP_GROUPS(groups),
                                  .layers = { { http_security_headers } } });
}
