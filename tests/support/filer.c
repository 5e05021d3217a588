/* A server of files and redirects: what test_files.c talks to. It serves the directory "site" of
 * where it is started. */
#include <brio/http.h>

static error serve_one(http_request *req)
{
    TRY(http_set_header(req, STR("Cache-Control"), STR("max-age=60")));
    return http_reply_file(req, "site", http_path_text(req, "path"));
}

/* The last answer counts, and has nothing of the one before. */
static error serve_other(http_request *req)
{
    TRY(http_reply_file(req, "site", http_path_text(req, "path")));
    return http_reply_text(req, 200, STR("other"));
}

static error go(http_request *req)
{
    return http_redirect(req, (int)http_path_int8(req, "status"), http_query(req, STR("to")));
}

/* Ten bytes are announced, and so many written. */
static error sized(http_request *req)
{
    TRY(http_reply_start_sized(req, 200, STR("text/plain"), 10));
    for (int64_t left = http_path_int8(req, "bytes"); left > 0; left--)
        TRY(http_reply_write(req, STR("x")));
    return OK;
}

static const http_route routes[] = {
    HTTP_FILES("/static", "site", http_public),
    { HTTP_GET, "/one/*path", serve_one, http_public, .timeout_ms = 300 },
    { HTTP_POST, "/one/*path", serve_one, http_public },
    { HTTP_GET, "/other/*path", serve_other, http_public },
    { HTTP_GET, "/go/:status<int8>", go, http_public },
    { HTTP_GET, "/sized/:bytes<int8>", sized, http_public },
};

int main(int argc, char **argv)
{
    return http_main(argc, argv, &(http_app){ .name = "filer", .routes = HTTP_ROUTES(routes) });
}
