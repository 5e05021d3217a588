/* Constant answers: the same as the one that a handler would stage, to the byte, whatever client,
 * connection and layers make of it. */
#include "core/fault.h"
#include "http/test.h"
#include "tests/support/in_fiber.h"

#define LARGE_BYTES 50000

static char large_body[LARGE_BYTES];
static char coded_body[4096];

HTTP_CONSTANT(brief, .content_type = "text/plain; charset=utf-8", .body = STR("brief"));
HTTP_CONSTANT(labelled, .content_type = "text/css",
              .fields = { { "Cache-Control", "max-age=60" }, { "X-Own", "1" } }, .tagged = true,
              .body = STR("body{}"));
HTTP_CONSTANT(large, .content_type = "application/octet-stream", .fields = { { "X-Own", "1" } },
              .body = { large_body, LARGE_BYTES });
HTTP_CONSTANT(coded, .content_type = "text/plain", .fields = { { "X-Own", "1" } }, .tagged = true,
              .body = { coded_body, sizeof coded_body });
HTTP_CONSTANT(nothing, .status = 204, .body = STR("not sent"));
HTTP_CONSTANT(reset, .status = 205, .content_type = "text/plain", .body = STR("not sent"));
HTTP_CONSTANT(refusal, .status = 451, .content_type = "text/plain", .body = STR("no"));
HTTP_CONSTANT(bare, .fields = { { "X-Own", "1" } });
HTTP_CONSTANT(untyped, .body = STR("untyped"));
HTTP_CONSTANT(untagged, .content_type = "text/css", .fields = { { "Cache-Control", "max-age=60" } },
              .body = STR("body{}"));

/* --- an app with each constant, and its twin that is staged each time ------------------------- */

static const http_constant *shown;
static http_handler *act;

static error show(http_request *req)
{
    return http_reply_constant(req, shown);
}

/* What it should be the same as. */
static error stage_twin(http_request *req)
{
    const char *type = shown->content_type;
    for (size_t i = 0; shown->fields[i].name; i++)
        TRY(http_set_header(req, str_from_c(shown->fields[i].name),
                            str_from_c(shown->fields[i].value)));
    return http_reply_bytes(req, shown->status ? shown->status : 200, str_from_c(type),
                            shown->body);
}

static error do_it(http_request *req)
{
    return act(req);
}

static const http_security_options security = { .hsts_max_age_s = 60 };
static const http_cors_options cors = { .origins = { "https://app.example" } };

#define ROUTES(name_)                                  \
    static const http_route name_[] = {                \
        { HTTP_GET, "/" #name_, do_it, http_public },  \
        { HTTP_POST, "/" #name_, do_it, http_public }, \
    }
ROUTES(plain);
ROUTES(etagged);
ROUTES(layered);
ROUTES(packed);
static const http_group groups[] = {
    { NULL, HTTP_ROUTES(etagged), { { http_etag } } },
    { NULL,
      HTTP_ROUTES(layered),
      { { http_request_ids }, { http_security_headers, &security }, { http_cors, &cors } } },
    { NULL, HTTP_ROUTES(packed), { { http_compress }, { http_etag } } },
};
static const http_app app = {
    .name = "constants",
    .routes = HTTP_ROUTES(plain),
    .groups = HTTP_GROUPS(groups),
};

static http_test *t;

static int open_app(void)
{
    static const http_test_options options = { .starts_at_s = 784111777,
                                               .settings = { { "LOG_LEVEL", "off" } } };
    assert_ok(http_test_open(&app, &options, &t));
    return 0;
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof large_body; i++)
        large_body[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < sizeof coded_body; i++)
        coded_body[i] = (char)('a' + i % 7);
    return open_app();
}

static int teardown(void **state)
{
    (void)state;
    assert_ok(http_test_close(&t));
    return 0;
}

/* All that comes for one request of these bytes, until the app waits for another. */
static str answer_to(http_handler *handler, const http_constant *constant, str request)
{
    http_test_conn *c = http_test_connect(t);
    act = handler;
    shown = constant;
    http_test_write(c, request);
    const str got = http_test_received(c);
    return got;
}

static http_test_reply send(const http_constant *constant, const char *method, const char *target,
                            const char *fields)
{
    act = show;
    shown = constant;
    return http_test_send(t, method, target, str_from_c(fields), STR_NONE);
}

static void expect_same(const char *what, str a, str b)
{
    if (!str_eq(a, b))
        print_error("%s:\n%.*s\ninstead of\n%.*s\n", what, STR_ARG(a), STR_ARG(b));
    assert_true(str_eq(a, b));
}

/* --- the same as staged ----------------------------------------------------------------------- */

static const struct {
    const char *name;
    const http_constant *constant;
} ALL[] = {
    { "brief", &brief },     { "large", &large },       { "nothing", &nothing },
    { "bare", &bare },       { "reset", &reset },       { "refusal", &refusal },
    { "untyped", &untyped }, { "untagged", &untagged },
};

/* Lines may stand in another order. */
static bool same_lines(str a, str b)
{
    if (a.len != b.len)
        return false;
    while (a.ptr && a.len > 0) {
        const str line = str_cut(&a, '\n');
        str rest = b;
        bool found = false;
        while (rest.ptr && !found)
            found = str_eq(str_cut(&rest, '\n'), line);
        if (!found)
            return false;
    }
    return true;
}

static void test_constant_answers_like_one_that_is_staged(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n",
        "HEAD /%s HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "HEAD /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /%s HTTP/1.0\r\n\r\n",
        "GET /%s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "HEAD /%s HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /%s HTTP/1.1\r\nHost: x\r\nOrigin: https://app.example\r\nX-Request-Id: 7\r\n\r\n",
        "GET /%s HTTP/1.1\r\nHost: x\r\n\r\nGET /%s HTTP/1.1\r\nHost: x\r\n\r\n",
    };
    static const char *const paths[] = { "plain", "layered", "etagged", "packed" };
    for (size_t i = 0; i < ARRAY_LEN(ALL); i++) {
        for (size_t k = 0; k < ARRAY_LEN(requests) * ARRAY_LEN(paths); k++) {
            char request[256], what[300];
            const char *path = paths[k % ARRAY_LEN(paths)];
            /* A request of its own has an id of its own. */
            if (strcmp(path, "layered") == 0 && !strstr(requests[k / ARRAY_LEN(paths)], "Id: 7"))
                continue;
            (void)snprintf(request, sizeof request, requests[k / ARRAY_LEN(paths)], path, path);
            (void)snprintf(what, sizeof what, "%s, %s", ALL[i].name, request);
            const str is = answer_to(show, ALL[i].constant, str_from_c(request));
            const str wanted = answer_to(stage_twin, ALL[i].constant, str_from_c(request));
            assert_true(wanted.len > 0);
            if (!same_lines(is, wanted))
                expect_same(what, is, wanted);
        }
    }
}

static void test_constant_date_is_of_its_second(void **state)
{
    (void)state;
    http_test_reply r = send(&brief, "GET", "/plain", "");
    const str first = http_test_header(&r, "Date");
    assert_int_equal(first.len, 29);
    http_test_advance(t, 3600000);
    r = send(&brief, "GET", "/plain", "");
    assert_false(str_eq(http_test_header(&r, "Date"), first));
    act = stage_twin;
    const http_test_reply twin = http_test_get(t, "/plain");
    assert_str_equal(http_test_header(&r, "Date"), http_test_header(&twin, "Date"));
}

static void test_constant_outlives_its_worker(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        const http_test_reply r = send(&labelled, "GET", "/plain", "");
        assert_int_equal(r.status, 200);
        assert_non_null(*labelled.prebuilt);
        teardown(NULL);
        assert_null(*labelled.prebuilt);
        open_app();
    }
}

/* --- conditions ------------------------------------------------------------------------------- */

static void expect_status(const http_test_reply *r, int status)
{
    if (r->status != status || !r->whole)
        print_error("%d wanted:\n%.*s%.*s\n", status, STR_ARG(r->head), STR_ARG(r->body));
    assert_int_equal(r->status, status);
    assert_true(r->whole);
}

static size_t lines_of(const http_test_reply *r, const char *text)
{
    size_t count = 0;
    str rest = r->head;
    while (rest.ptr)
        count += str_starts_with(str_cut(&rest, '\n'), str_from_c(text));
    return count;
}

static void test_constant_that_the_client_has_is_304(void **state)
{
    (void)state;
    static const struct {
        const char *method, *fields; /* %s: the tag */
        int status;
    } cases[] = {
        { "GET", "", 200 },
        { "HEAD", "", 200 },
        { "GET", "If-None-Match: %s\r\n", 304 },
        { "HEAD", "If-None-Match: %s\r\n", 304 },
        { "GET", "If-None-Match: W/%s\r\n", 304 },
        { "GET", "If-None-Match: \"x\", %s\r\n", 304 },
        { "GET", "If-None-Match: \"x\"\r\nIf-None-Match: %s\r\n", 304 },
        { "GET", "If-None-Match: *\r\n", 304 },
        { "GET", "If-None-Match: \"x\"\r\n", 200 },
        { "GET", "If-None-Match: rubbish\r\n", 200 },
        { "GET", "If-Match: %s\r\n", 200 },
        { "GET", "If-Match: *\r\n", 200 },
        { "GET", "If-Match: \"x\"\r\n", 412 },
        { "GET", "If-Match: W/%s\r\n", 412 },
        { "GET", "If-Match: %s\r\nIf-None-Match: %s\r\n", 304 },
        { "POST", "If-None-Match: %s\r\n", 200 },
        { "POST", "If-Match: \"x\"\r\n", 200 },
    };
    static const char *const paths[] = { "/plain", "/etagged" };
    for (size_t k = 0; k < ARRAY_LEN(paths); k++) {
        char tag[64];
        const http_test_reply first = send(&labelled, "GET", paths[k], "");
        const str etag = http_test_header(&first, "ETag");
        assert_int_equal(etag.len, 34);
        (void)snprintf(tag, sizeof tag, "%.*s", STR_ARG(etag));
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            char fields[256];
            (void)snprintf(fields, sizeof fields, cases[i].fields, tag, tag);
            const http_test_reply r = send(&labelled, cases[i].method, paths[k], fields);
            expect_status(&r, cases[i].status);
            const bool kept = cases[i].status != 412;
            assert_str_equal(http_test_header(&r, "ETag"), kept ? etag : STR_NONE);
            assert_int_equal(lines_of(&r, "Cache-Control: max-age=60\r"), kept);
            if (cases[i].status == 304)
                assert_null(http_test_header(&r, "Content-Type").ptr);
        }
    }
}

/* The tag is the one that the layer makes. */
static void test_constant_tag_is_that_of_the_layer(void **state)
{
    (void)state;
    const http_test_reply own = send(&labelled, "GET", "/plain", "");
    const http_test_reply layers = send(&untagged, "GET", "/etagged", "");
    assert_str_equal(http_test_header(&own, "ETag"), http_test_header(&layers, "ETag"));
    const http_test_reply known = send(&untagged, "GET", "/etagged", "If-None-Match: *\r\n");
    expect_status(&known, 304);
    assert_str_equal(http_test_header(&known, "Cache-Control"), STR("max-age=60"));
}

/* --- layers, and what comes behind ------------------------------------------------------------ */

static void test_constant_is_compressed_for_who_takes_that(void **state)
{
    (void)state;
    const http_test_reply as_it_is = send(&coded, "GET", "/packed", "");
    expect_status(&as_it_is, 200);
    assert_int_equal(as_it_is.body.len, sizeof coded_body);
    assert_str_equal(http_test_header(&as_it_is, "Vary"), STR("Accept-Encoding"));
    const str tag = http_test_header(&as_it_is, "ETag");
    for (int i = 0; i < 2; i++) {
        const http_test_reply r = send(&coded, "GET", "/packed", "Accept-Encoding: gzip\r\n");
        expect_status(&r, 200);
        assert_str_equal(http_test_header(&r, "Content-Encoding"), STR("gzip"));
        assert_str_equal(http_test_header(&r, "X-Own"), STR("1"));
        assert_true(r.body.len < sizeof coded_body / 4);
        const str coded_tag = http_test_header(&r, "ETag");
        assert_true(str_starts_with(coded_tag, str_slice(tag, 0, tag.len - 1)));
        assert_true(coded_tag.len > tag.len);
        assert_str_equal(http_test_header(&r, "Vary"), STR("Accept-Encoding"));
    }
    const http_test_reply head = send(&coded, "HEAD", "/packed", "Accept-Encoding: gzip\r\n");
    expect_status(&head, 200);
    assert_str_equal(http_test_header(&head, "Content-Encoding"), STR("gzip"));
    const http_test_reply again = send(&coded, "GET", "/packed", "");
    assert_str_equal(again.body, coded.body);
    const http_test_reply known = send(&coded, "GET", "/packed", "If-None-Match: *\r\n");
    expect_status(&known, 304);
}

static error show_then_another(http_request *req)
{
    TRY(http_reply_constant(req, &labelled));
    assert_str_equal(http_reply_header(req, STR("X-Own")), STR("1"));
    return http_reply_text(req, 200, STR("another"));
}

static error show_twice(http_request *req)
{
    TRY(http_reply_constant(req, &labelled));
    return http_reply_constant(req, &labelled);
}

static error show_then_fail(http_request *req)
{
    TRY(http_reply_constant(req, &labelled));
    return error_set(&HTTP_NOT_FOUND, "on purpose");
}

static error show_then_stream(http_request *req)
{
    TRY(http_reply_constant(req, &labelled));
    TRY(http_reply_start(req, 200, STR("text/plain")));
    return http_reply_write(req, STR("streamed"));
}

static error show_then_change(http_request *req)
{
    TRY(http_set_header(req, STR("X-Before"), STR("1")));
    TRY(http_reply_constant(req, &labelled));
    TRY(http_set_header(req, STR("X-After"), STR("1")));
    return http_replace_header(req, STR("Cache-Control"), STR("no-cache"));
}

static error show_with_a_type(http_request *req)
{
    TRY(http_reply_constant(req, &labelled));
    return http_set_header(req, STR("Content-Type"), STR("text/x-own"));
}

static error show_behind_a_type(http_request *req)
{
    TRY(http_set_header(req, STR("Content-Type"), STR("text/x-own")));
    return http_reply_constant(req, &labelled);
}

static void test_constant_that_is_replaced_takes_its_fields_along(void **state)
{
    (void)state;
    static const struct {
        http_handler *handler;
        int status;
        const char *body;
    } cases[] = {
        { show_then_another, 200, "another" },
        { show_then_fail, 404, NULL },
        { show_then_stream, 200, "streamed" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        act = cases[i].handler;
        const http_test_reply r = http_test_get(t, "/plain");
        expect_status(&r, cases[i].status);
        assert_null(http_test_header(&r, "ETag").ptr);
        assert_null(http_test_header(&r, "X-Own").ptr);
        if (cases[i].body)
            assert_str_equal(r.body, str_from_c(cases[i].body));
    }
}

static void test_constant_takes_what_is_set_beside_it(void **state)
{
    (void)state;
    act = show_twice;
    const http_test_reply twice = http_test_get(t, "/plain");
    assert_int_equal(lines_of(&twice, "ETag:") + lines_of(&twice, "X-Own:"), 2);
    act = show_then_change;
    const http_test_reply r = http_test_get(t, "/plain");
    expect_status(&r, 200);
    assert_str_equal(r.body, STR("body{}"));
    assert_int_equal(lines_of(&r, "Cache-Control:"), 1);
    assert_str_equal(http_test_header(&r, "Cache-Control"), STR("no-cache"));
    static const char *const kept[] = { "X-Before", "X-After", "X-Own" };
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        assert_str_equal(http_test_header(&r, kept[i]), STR("1"));
    http_handler *const typed[] = { show_with_a_type, show_behind_a_type };
    for (size_t i = 0; i < ARRAY_LEN(typed); i++) {
        act = typed[i];
        const http_test_reply own = http_test_get(t, "/plain");
        expect_status(&own, 200);
        assert_int_equal(lines_of(&own, "Content-Type:"), 1);
        assert_str_equal(http_test_header(&own, "Content-Type"), STR("text/x-own"));
        assert_str_equal(http_test_header(&own, "X-Own"), STR("1"));
        assert_str_equal(own.body, STR("body{}"));
    }
}

#define FIELD_LINE "X-Filling: " /* and 100 bytes, and CRLF */

/* So many fields that the block has room for them beside the head, but not beside the body. */
static error show_among_many(http_request *req)
{
    static char value[101];
    memset(value, 'v', 100);
    for (int i = 0; i < 70; i++)
        TRY(http_set_header(req, STR("X-Filling"), (str){ value, 100 }));
    return http_reply_constant(req, shown);
}

static void test_constant_with_many_fields_is_whole(void **state)
{
    (void)state;
    static char body[16000];
    HTTP_CONSTANT(nearly_a_block, .content_type = "text/plain", .body = { body, sizeof body });
    memset(body, 'b', sizeof body);
    const http_constant *const constants[] = { &nearly_a_block, &labelled, &large };
    for (size_t i = 0; i < ARRAY_LEN(constants); i++) {
        act = show_among_many;
        shown = constants[i];
        const http_test_reply r = http_test_get(t, "/plain");
        expect_status(&r, 200);
        assert_int_equal(lines_of(&r, FIELD_LINE), 70);
        assert_true(str_eq(r.body, constants[i]->body));
    }
}

/* --- what is wrong ---------------------------------------------------------------------------- */

static void test_constant_that_is_wrong_is_500_each_time(void **state)
{
    (void)state;
    static char long_value[3000];
    memset(long_value, 'x', sizeof long_value - 1);
    HTTP_CONSTANT(line_break, .fields = { { "X-A", "a\r\nX-Forged: 1" } });
    HTTP_CONSTANT(bad_name, .fields = { { "X A", "1" } });
    HTTP_CONSTANT(reserved, .fields = { { "Content-Length", "1" } });
    HTTP_CONSTANT(type_as_field, .fields = { { "content-type", "text/plain" } });
    HTTP_CONSTANT(bad_type, .content_type = "text/plain\n");
    HTTP_CONSTANT(interim, .status = 103);
    HTTP_CONSTANT(no_status, .status = 600);
    HTTP_CONSTANT(tagged_204, .status = 204, .tagged = true);
    HTTP_CONSTANT(too_long, .fields = { { "X-A", long_value } });
    const http_constant *const wrong[] = { &line_break,    &bad_name,   &reserved,
                                           &type_as_field, &bad_type,   &interim,
                                           &no_status,     &tagged_204, &too_long };
    for (size_t i = 0; i < ARRAY_LEN(wrong) * 2; i++) {
        const http_test_reply r = send(wrong[i / 2], "GET", "/plain", "");
        expect_status(&r, 500);
        assert_null(http_test_header(&r, "X-Forged").ptr);
        assert_null(*wrong[i / 2]->prebuilt);
    }
}

static void test_constant_without_memory_is_refused_and_then_sent(void **state)
{
    (void)state;
    HTTP_CONSTANT(late, .body = STR("late"));
    int refused = 0;
    for (uint32_t n = 1; n < 20 && !*late.prebuilt; n++) {
        http_test_conn *c = http_test_connect(t);
        act = show;
        shown = &late;
        fault_at("memory", n);
        http_test_request(c, "GET", "/plain", STR_NONE, STR_NONE);
        fault_clear();
        const http_test_reply r = http_test_read(c);
        refused += r.status >= 500;
        http_test_disconnect(&c);
    }
    assert_true(refused > 0);
    const http_test_reply r = send(&late, "GET", "/plain", "");
    expect_status(&r, 200);
    assert_str_equal(r.body, STR("late"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant_answers_like_one_that_is_staged),
        cmocka_unit_test(test_constant_date_is_of_its_second),
        cmocka_unit_test(test_constant_outlives_its_worker),
        cmocka_unit_test(test_constant_that_the_client_has_is_304),
        cmocka_unit_test(test_constant_tag_is_that_of_the_layer),
        cmocka_unit_test(test_constant_is_compressed_for_who_takes_that),
        cmocka_unit_test(test_constant_that_is_replaced_takes_its_fields_along),
        cmocka_unit_test(test_constant_takes_what_is_set_beside_it),
        cmocka_unit_test(test_constant_with_many_fields_is_whole),
        cmocka_unit_test(test_constant_that_is_wrong_is_500_each_time),
        cmocka_unit_test(test_constant_without_memory_is_refused_and_then_sent),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
