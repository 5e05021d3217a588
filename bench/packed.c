/* A server of two bodies of JSON, 4 KiB and 64 KiB, behind http_compress: what ./dev bench compress
 * loads. The bodies are made once, so that what a request costs is its compression. */
#include <brio/http.h>

static char large[65536];

/* Orders as an API has them: names that repeat, ids and times that do not. */
static error make_bodies(void)
{
    static const char *const words[] = { "alpha", "morning", "spoon", "ledger", "quiet",
                                         "river", "table",   "seven", "market", "paper" };
    uint64_t state = 1;
    buf out;
    buf_init(&out, 2 * sizeof large);
    buf_append(&out, STR("{\"orders\":["));
    while (out.len < sizeof large) {
        unsigned r[8];
        for (size_t i = 0; i < ARRAY_LEN(r); i++) {
            state = state * 6364136223846793005U + 1442695040888963407U;
            r[i] = (unsigned)(state >> 33);
        }
        buf_append_format(&out,
                          "{\"id\":%u,\"customer\":\"%s %s\",\"comment\":\"%s %s %s\","
                          "\"placed_at\":\"2026-11-%02uT07:%02u:%02uZ\",\"paid\":%s,"
                          "\"total\":%u.%02u,\"token\":\"%08x%08x\"},",
                          1000000 + r[0] % 90000, words[r[1] % 10], words[r[2] % 10],
                          words[r[3] % 10], words[r[4] % 10], words[r[5] % 10], 1 + r[0] % 28,
                          r[1] % 60, r[2] % 60, r[3] & 1 ? "true" : "false", r[4] % 900, r[5] % 100,
                          r[6], r[7]);
    }
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = out.data[i];
    buf_deinit(&out);
    return OK;
}

static error small_body(http_request *req)
{
    return http_reply_bytes(req, 200, STR("application/json"), (str){ large, 4096 });
}

static error large_body(http_request *req)
{
    return http_reply_bytes(req, 200, STR("application/json"), (str){ large, sizeof large });
}

static const http_route routes[] = {
    { HTTP_GET, "/4096", small_body, http_public },
    { HTTP_GET, "/65536", large_body, http_public },
};

int main(int argc, char **argv)
{
    return http_main(argc, argv,
                     &(http_app){ .name = "packed",
                                  .routes = HTTP_ROUTES(routes),
                                  .layers = { { http_compress } },
                                  .on_worker_start = make_bodies });
}
