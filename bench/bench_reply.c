/* What a whole request costs by the kind of its answer, without a kernel: requests come and answers
 * go through a connection in memory, 32 of them a run. */
#include "measure.h"

#include "http/test.h"

#include <stdio.h>

#define REQUESTS 32 /* together: as many as a connection has answered in a row */
#define RUNS     64 /* of a connection, which keeps all that came */

HTTP_CONSTANT(plain, .content_type = "text/plain; charset=utf-8", .body = STR("Hello, world!"));
HTTP_CONSTANT(labelled, .content_type = "text/plain; charset=utf-8",
              .fields = { { "Cache-Control", "max-age=60" }, { "X-Own", "1" } },
              .body = STR("Hello, world!"));

static error reply_text(http_request *req)
{
    return http_reply_text(req, 200, STR("Hello, world!"));
}

static error reply_constant(http_request *req)
{
    return http_reply_constant(req, &plain);
}

static error reply_text_labelled(http_request *req)
{
    TRY(http_set_header(req, STR("Cache-Control"), STR("max-age=60")));
    TRY(http_set_header(req, STR("X-Own"), STR("1")));
    return http_reply_text(req, 200, STR("Hello, world!"));
}

static error reply_constant_labelled(http_request *req)
{
    return http_reply_constant(req, &labelled);
}

static const http_route routes[] = {
    { HTTP_GET, "/a", reply_text, http_public },
    { HTTP_GET, "/b", reply_constant, http_public },
    { HTTP_GET, "/c", reply_text_labelled, http_public },
    { HTTP_GET, "/d", reply_constant_labelled, http_public },
};
static const http_app app = { .name = "replies", .routes = HTTP_ROUTES(routes) };
static http_test *t;

typedef struct requests {
    char text[REQUESTS * 64];
    size_t len;
} requests;

static void answer(void *state)
{
    static http_test_conn *c;
    static int runs;
    const requests *r = state;
    if (runs++ % RUNS == 0) {
        http_test_disconnect(&c);
        c = http_test_connect(t);
    }
    http_test_write(c, (str){ r->text, r->len });
}

static void make(requests *r, char path)
{
    for (int i = 0; i < REQUESTS; i++) {
        const int len = snprintf(r->text + r->len, sizeof r->text - r->len,
                                 "GET /%c HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
        r->len += (size_t)len;
    }
}

int main(int argc, char **argv)
{
    static requests all[ARRAY_LEN(routes)];
    const measure_case cases[] = {
        { "reply_32_texts", answer, &all[0] },
        { "reply_32_constants", answer, &all[1] },
        { "reply_32_texts_2_fields", answer, &all[2] },
        { "reply_32_constants_2_fields", answer, &all[3] },
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        make(&all[i], (char)('a' + i));
    if (http_test_open(&app, NULL, &t).kind)
        return 1;
    const int status = measure_main(argc, argv, cases, ARRAY_LEN(cases));
    return http_test_close(&t).kind ? 1 : status;
}
