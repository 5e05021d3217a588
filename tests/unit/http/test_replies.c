/* Answers as handlers stage them: status, header fields, what an error keeps of them, and what no
 * field may carry. A client reads the head itself, so that a line too many is seen. */
#include "http/test.h"
#include "tests/support/in_fiber.h"

#include <strings.h>

static const str NUL = { "", 1 };

/* --- an app whose handler is the test's ------------------------------------------------------- */

static http_handler *act;
static int asked_status;
static str asked_name, asked_value;

static error do_it(http_request *req)
{
    return act(req);
}

static error say_html(http_request *req, const http_next *next)
{
    http_default_header(req, STR("Content-Type"), STR("text/html"));
    http_default_header(req, STR("Cache-Control"), STR("public, max-age=60"));
    http_default_header(req, STR("X-Layer"), STR("here"));
    return http_proceed(req, next);
}

static const http_route plain[] = {
    { HTTP_GET, "/do", do_it, http_public },
    { HTTP_POST, "/do", do_it, http_public },
    { HTTP_GET, "/static/*path", do_it, http_public },
};
static const http_route tagged[] = { { HTTP_GET, "/tagged", do_it, http_public } };
static const http_route layered[] = { { HTTP_GET, "/layered", do_it, http_public } };
static const http_group groups[] = {
    { NULL, HTTP_ROUTES(tagged), { { http_etag } } },
    { NULL, HTTP_ROUTES(layered), { { say_html } } },
};
static const http_app app = {
    .name = "replies",
    .routes = HTTP_ROUTES(plain),
    .groups = HTTP_GROUPS(groups),
};

static http_test *t;

static int setup(void **state)
{
    (void)state;
    static const http_test_options options = { .settings = { { "LOG_LEVEL", "off" } } };
    assert_ok(http_test_open(&app, &options, &t));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_ok(http_test_close(&t));
    return 0;
}

/* How often the head has a field of that name. */
static int times(const http_test_reply *r, const char *name)
{
    const size_t len = strlen(name);
    str rest = r->head;
    int count = 0;
    while (rest.ptr) {
        const str line = str_cut(&rest, '\n');
        count += line.len > len && line.ptr[len] == ':' && strncasecmp(line.ptr, name, len) == 0;
    }
    return count;
}

static void expect_field(const http_test_reply *r, const char *name, const char *value)
{
    const bool right =
        value ? times(r, name) == 1 && str_eq(http_test_header(r, name), str_from_c(value))
              : times(r, name) == 0;
    if (!right)
        print_error("%s should be %s in\n%.*s", name, value ? value : "absent", STR_ARG(r->head));
    assert_true(right);
}

static http_test_reply get_by(http_handler *handler, const char *target)
{
    act = handler;
    return http_test_get(t, target);
}

static http_test_reply get(http_handler *handler)
{
    return get_by(handler, "/do");
}

static void expect_status(const http_test_reply *r, int status)
{
    if (r->status != status || !r->whole)
        print_error("%d wanted:\n%.*s%.*s\n", status, STR_ARG(r->head), STR_ARG(r->body));
    assert_int_equal(r->status, status);
    assert_true(r->whole);
}

/* --- the type --------------------------------------------------------------------------------- */

#define POINT_FIELDS(F) F(x, int4)
SHAPE(point, POINT_FIELDS)

#define SET_TYPE(req) TRY(http_set_header((req), STR("Content-Type"), STR("application/x-own")))

static error typed_text(http_request *req)
{
    SET_TYPE(req);
    return http_reply_text(req, 200, STR("text"));
}

static error typed_after(http_request *req)
{
    TRY(http_reply_text(req, 200, STR("text")));
    return http_set_header(req, STR("content-type"), STR("application/x-own"));
}

static error typed_twice(http_request *req)
{
    TRY(http_set_header(req, STR("Content-Type"), STR("text/first")));
    TRY(http_reply_text(req, 200, STR("text")));
    TRY(http_set_header(req, STR("Content-Type"), STR("text/second")));
    return http_replace_header(req, STR("CONTENT-TYPE"), STR("application/x-own"));
}

static error typed_shape(http_request *req)
{
    const point p = { .x = 1 };
    SET_TYPE(req);
    return http_reply(req, 200, point, &p);
}

static error typed_stream(http_request *req)
{
    SET_TYPE(req);
    TRY(http_reply_start(req, 200, STR("text/plain")));
    return http_reply_write(req, STR("piece"));
}

static error typed_items(http_request *req)
{
    SET_TYPE(req);
    return http_reply_items_start(req, 200);
}

static error typed_file(http_request *req)
{
    SET_TYPE(req);
    return http_reply_file(req, "tests/integration/http/static", STR("page.html"));
}

static error typed_nothing(http_request *req)
{
    SET_TYPE(req);
    return http_reply_empty(req, 204);
}

static error typed_events(http_request *req)
{
    SET_TYPE(req);
    TRY(http_events_start(req));
    return http_event_send(req, &(http_event){ .data = STR("x") });
}

static error typed_and_failed(http_request *req)
{
    SET_TYPE(req);
    return error_set(&HTTP_NOT_FOUND, "on purpose");
}

static error tells_its_type(http_request *req)
{
    assert_null(http_reply_header(req, STR("Content-Type")).ptr);
    TRY(http_reply_text(req, 200, STR("x")));
    assert_str_equal(http_reply_header(req, STR("content-type")), STR("text/plain; charset=utf-8"));
    SET_TYPE(req);
    assert_str_equal(http_reply_header(req, STR("Content-Type")), STR("application/x-own"));
    return http_reply_empty(req, 200);
}

static void test_type_that_is_set_stands_once_in_place_of_what_is_staged(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        http_handler *handler;
        const char *type; /* NULL: none */
    } cases[] = {
        { "text", typed_text, "application/x-own" },
        { "after", typed_after, "application/x-own" },
        { "twice", typed_twice, "application/x-own" },
        { "shape", typed_shape, "application/x-own" },
        { "stream", typed_stream, "application/x-own" },
        { "items", typed_items, "application/x-own" },
        { "file", typed_file, "application/x-own" },
        { "no body", typed_nothing, NULL },
        { "events", typed_events, "text/event-stream" },
        { "error", typed_and_failed, "application/problem+json" },
        { "reading it", tells_its_type, "application/x-own" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const http_test_reply r = get(cases[i].handler);
        if (!r.whole)
            print_error("%s\n", cases[i].name);
        assert_true(r.whole);
        expect_field(&r, "Content-Type", cases[i].type);
    }
}

static void test_type_of_ranges_is_set_on_each_part(void **state)
{
    (void)state;
    act = typed_file;
    const http_test_reply r =
        http_test_send(t, "GET", "/do", STR("Range: bytes=0-1,4-5\r\n"), STR_NONE);
    expect_status(&r, 206);
    assert_int_equal(times(&r, "Content-Type"), 1);
    assert_true(str_starts_with(http_test_header(&r, "Content-Type"),
                                STR("multipart/byteranges; boundary=")));
    static const char part[] = "\r\nContent-Type: application/x-own\r\nContent-Range: ";
    assert_non_null(memmem(r.body.ptr, r.body.len, part, sizeof part - 1));
}

static error plain_text(http_request *req)
{
    return http_reply_text(req, 200, STR("x"));
}

static error untyped(http_request *req)
{
    return http_reply_bytes(req, 200, STR_NONE, STR("x"));
}

static void test_type_by_default_is_for_answers_without_one(void **state)
{
    (void)state;
    const http_test_reply with = get_by(plain_text, "/layered");
    expect_field(&with, "Content-Type", "text/plain; charset=utf-8");
    const http_test_reply without = get_by(untyped, "/layered");
    expect_field(&without, "Content-Type", "text/html");
}

static error typed_at_length(http_request *req)
{
    char *type = arena_alloc(http_request_arena(req), 1025, 1);
    memset(type, 'a', 1025);
    TRY(http_set_header(req, STR("Content-Type"), (str){ type, 1024 }));
    assert_fails(HTTP_BAD_HEADER, http_set_header(req, STR("Content-Type"), (str){ type, 1025 }));
    return http_reply_text(req, 200, STR("x"));
}

static void test_type_of_over_1_kib_is_refused(void **state)
{
    (void)state;
    const http_test_reply r = get(typed_at_length);
    expect_status(&r, 200);
    assert_int_equal(http_test_header(&r, "Content-Type").len, 1024);
}

/* --- fields of the server's ------------------------------------------------------------------- */

static error set_asked(http_request *req)
{
    assert_fails(HTTP_BAD_HEADER, http_replace_header(req, asked_name, STR("1")));
    TRY(http_set_header(req, asked_name, STR("1")));
    return http_reply_text(req, 200, STR("x"));
}

static error default_asked(http_request *req)
{
    http_default_header(req, asked_name, STR("1"));
    return http_reply_text(req, 200, STR("x"));
}

static void test_field_that_is_the_servers_is_refused_in_any_case(void **state)
{
    (void)state;
    static const str names[] = {
        STR("Connection"), STR("connection"), STR("Content-Length"),    STR("CONTENT-LENGTH"),
        STR("Date"),       STR("dAtE"),       STR("Transfer-Encoding"), STR("transfer-encoding")
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        asked_name = names[i];
        for (int n = 0; n < 2; n++) {
            const http_test_reply r = get(n == 0 ? set_asked : default_asked);
            expect_status(&r, 500);
            assert_int_equal(times(&r, "Content-Length"), 1);
            assert_int_equal(times(&r, "Date"), 1);
            assert_int_equal(times(&r, "Connection") + times(&r, "Transfer-Encoding"), 0);
        }
    }
}

/* --- Cache-Control ---------------------------------------------------------------------------- */

static error one_event(http_request *req)
{
    TRY(http_events_start(req));
    return http_event_send(req, &(http_event){ .data = STR("x") });
}

static error one_kept_event(http_request *req)
{
    TRY(http_set_header(req, STR("cache-control"), STR("no-cache, no-transform")));
    return one_event(req);
}

static void test_events_have_one_cache_control_the_handlers_first(void **state)
{
    (void)state;
    const http_test_reply by_itself = get(one_event);
    expect_field(&by_itself, "Cache-Control", "no-store");
    const http_test_reply own = get(one_kept_event);
    expect_field(&own, "Cache-Control", "no-cache, no-transform");
    const http_test_reply layered_one = get_by(one_event, "/layered");
    expect_field(&layered_one, "Cache-Control", "no-store");
}

static error control_asked(http_request *req)
{
    if (asked_name.ptr)
        TRY(http_set_header(req, STR("Cache-Control"), asked_name));
    TRY(http_set_header(req, STR("Cache-Control"), asked_value));
    return http_reply_text(req, 200, STR("body"));
}

static void test_etag_is_not_made_where_nothing_may_be_stored(void **state)
{
    (void)state;
    static const struct {
        str first, value;
        bool tagged;
    } cases[] = {
        { STR_NONE, STR("no-store"), false },
        { STR_NONE, STR("No-Store"), false },
        { STR_NONE, STR("no-store, max-age=0"), false },
        { STR_NONE, STR("private,no-store"), false },
        { STR_NONE, STR("private , no-store\t, max-age=0"), false },
        { STR("no-store"), STR("private"), false },
        { STR("private"), STR("no-store"), false },
        { STR_NONE, STR("no-cache"), true },
        { STR_NONE, STR("private, max-age=60"), true },
        { STR_NONE, STR("x-no-store"), true },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        asked_name = cases[i].first;
        asked_value = cases[i].value;
        const http_test_reply r = get_by(control_asked, "/tagged");
        expect_status(&r, 200);
        if (times(&r, "ETag") != cases[i].tagged)
            print_error("%.*s\n", STR_ARG(cases[i].value));
        assert_int_equal(times(&r, "ETag"), cases[i].tagged);
    }
}

/* --- what an error keeps ---------------------------------------------------------------------- */

/* Everything a body may be said to be, then an error. */
static const char *const ABOUT_THE_BODY[][2] = {
    { "Content-Type", "text/html" },
    { "Content-Encoding", "gzip" },
    { "Content-Language", "fr" },
    { "Content-Location", "/there" },
    { "Content-Disposition", "attachment" },
    { "Content-Range", "bytes 0-1/2" },
    { "Content-Digest", "sha-256=:AA==:" },
    { "Repr-Digest", "sha-256=:AA==:" },
    { "Content-MD5", "AA==" },
    { "Digest", "sha-256=AA==" },
    { "ETag", "\"x\"" },
    { "Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT" },
    { "Expires", "Sun, 06 Nov 2094 08:49:37 GMT" },
    { "Accept-Ranges", "bytes" },
    { "CDN-Cache-Control", "max-age=60" },
    { "Surrogate-Control", "max-age=60" },
    { "Location", "/notes/7" },
};
static const char *const ABOUT_ALL_ELSE[][2] = {
    { "Set-Cookie", "a=b" },
    { "Vary", "Cookie" },
    { "Link", "</terms>; rel=terms-of-service" },
    { "Content-Security-Policy", "default-src 'none'" },
    { "WWW-Authenticate", "Basic realm=\"x\"" },
    { "Retry-After", "7" },
    { "X-Own", "1" },
};

static error label_and_fail(http_request *req)
{
    TRY(http_set_header(req, STR("X-First"), STR("1")));
    for (size_t i = 0; i < ARRAY_LEN(ABOUT_THE_BODY); i++)
        TRY(http_set_header(req, str_from_c(ABOUT_THE_BODY[i][0]),
                            str_from_c(ABOUT_THE_BODY[i][1])));
    TRY(http_set_header(req, STR("Cache-Control"), STR("public, max-age=3600")));
    TRY(http_set_header(req, STR("Cache-Control"), STR("immutable")));
    for (size_t i = 0; i < ARRAY_LEN(ABOUT_ALL_ELSE); i++)
        TRY(http_set_header(req, str_from_c(ABOUT_ALL_ELSE[i][0]),
                            str_from_c(ABOUT_ALL_ELSE[i][1])));
    TRY(http_reply_text(req, 200, STR("never seen")));
    return error_set(&HTTP_NOT_FOUND, "on purpose");
}

static void test_error_drops_the_fields_about_the_discarded_body(void **state)
{
    (void)state;
    const http_test_reply r = get(label_and_fail);
    expect_status(&r, 404);
    expect_field(&r, "Content-Type", "application/problem+json");
    for (size_t i = 1; i < ARRAY_LEN(ABOUT_THE_BODY); i++)
        expect_field(&r, ABOUT_THE_BODY[i][0], NULL);
    expect_field(&r, "Cache-Control", "no-store");
    expect_field(&r, "X-First", "1");
    for (size_t i = 0; i < ARRAY_LEN(ABOUT_ALL_ELSE); i++)
        expect_field(&r, ABOUT_ALL_ELSE[i][0], ABOUT_ALL_ELSE[i][1]);
    assert_null(memmem(r.body.ptr, r.body.len, "never", 5));
}

static error just_fail(http_request *req)
{
    (void)req;
    return error_set(&HTTP_NOT_FOUND, "on purpose");
}

static void test_error_drops_defaults_about_the_discarded_body(void **state)
{
    (void)state;
    const http_test_reply layered_one = get_by(just_fail, "/layered");
    expect_status(&layered_one, 404);
    expect_field(&layered_one, "Content-Type", "application/problem+json");
    expect_field(&layered_one, "Cache-Control", "no-store");
    expect_field(&layered_one, "X-Layer", "here");
    const http_test_reply r = get(just_fail);
    expect_status(&r, 404);
    expect_field(&r, "Cache-Control", NULL);
}

static error unsatisfiable(http_request *req)
{
    TRY(http_set_header(req, STR("Content-Range"), STR("bytes */7")));
    return error_set(&HTTP_RANGE_UNSATISFIABLE, "on purpose");
}

static void test_error_416_keeps_its_range(void **state)
{
    (void)state;
    const http_test_reply r = get(unsatisfiable);
    expect_status(&r, 416);
    expect_field(&r, "Content-Range", "bytes */7");
}

/* --- status ----------------------------------------------------------------------------------- */

/* IANA's registry of status codes, but for 306 and 418 ("(Unused)"). */
static const struct {
    int status;
    const char *phrase;
} REGISTERED[] = {
    { 200, "OK" },
    { 201, "Created" },
    { 202, "Accepted" },
    { 203, "Non-Authoritative Information" },
    { 204, "No Content" },
    { 205, "Reset Content" },
    { 206, "Partial Content" },
    { 207, "Multi-Status" },
    { 208, "Already Reported" },
    { 226, "IM Used" },
    { 300, "Multiple Choices" },
    { 301, "Moved Permanently" },
    { 302, "Found" },
    { 303, "See Other" },
    { 304, "Not Modified" },
    { 305, "Use Proxy" },
    { 307, "Temporary Redirect" },
    { 308, "Permanent Redirect" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 402, "Payment Required" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 407, "Proxy Authentication Required" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 410, "Gone" },
    { 411, "Length Required" },
    { 412, "Precondition Failed" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 416, "Range Not Satisfiable" },
    { 417, "Expectation Failed" },
    { 421, "Misdirected Request" },
    { 422, "Unprocessable Content" },
    { 423, "Locked" },
    { 424, "Failed Dependency" },
    { 425, "Too Early" },
    { 426, "Upgrade Required" },
    { 428, "Precondition Required" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 451, "Unavailable For Legal Reasons" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
    { 506, "Variant Also Negotiates" },
    { 507, "Insufficient Storage" },
    { 508, "Loop Detected" },
    { 510, "Not Extended" },
    { 511, "Network Authentication Required" },
};

static const char *phrase_of(int status)
{
    static const char *const classes[] = { "Successful", "Redirection", "Client Error",
                                           "Server Error" };
    for (size_t i = 0; i < ARRAY_LEN(REGISTERED); i++) {
        if (REGISTERED[i].status == status)
            return REGISTERED[i].phrase;
    }
    return classes[status / 100 - 2];
}

static error status_asked(http_request *req)
{
    return http_reply_text(req, asked_status, STR("a body"));
}

static error status_asked_in_pieces(http_request *req)
{
    TRY(http_reply_start(req, asked_status, STR("text/plain")));
    return http_reply_write(req, STR("a body"));
}

/* On one connection, so that a byte too many or too few would spoil the next. */
static void test_status_from_200_to_599_is_sent_with_its_phrase(void **state)
{
    (void)state;
    http_test_conn *c = http_test_connect(t);
    act = status_asked;
    for (asked_status = 200; asked_status <= 599; asked_status++) {
        char line[80];
        const bool bodiless = asked_status == 204 || asked_status == 304;
        (void)snprintf(line, sizeof line, "HTTP/1.1 %d %s\r\n", asked_status,
                       phrase_of(asked_status));
        http_test_request(c, "GET", "/do", STR_NONE, STR_NONE);
        const http_test_reply r = http_test_read(c);
        expect_status(&r, asked_status);
        assert_str_equal(str_slice(r.head, 0, strlen(line)), str_from_c(line));
        assert_int_equal(times(&r, "Content-Length"), !bodiless);
        assert_str_equal(r.body, bodiless || asked_status == 205 ? STR("") : STR("a body"));
    }
    http_test_disconnect(&c);
}

static void test_status_that_is_no_answer_is_500(void **state)
{
    (void)state;
    static const int statuses[] = { -1, 0, 99, 100, 101, 102, 103, 199, 600, 999, 65736 };
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        asked_status = statuses[i];
        const http_test_reply staged = get(status_asked);
        expect_status(&staged, 500);
        const http_test_reply in_pieces = get(status_asked_in_pieces);
        expect_status(&in_pieces, 500);
    }
}

static void test_status_without_a_body_cannot_come_in_pieces(void **state)
{
    (void)state;
    static const int statuses[] = { 204, 205, 304 };
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        asked_status = statuses[i];
        const http_test_reply r = get(status_asked_in_pieces);
        expect_status(&r, 500);
    }
    asked_status = 451;
    const http_test_reply r = get(status_asked_in_pieces);
    expect_status(&r, 451);
    assert_str_equal(r.body, STR("a body"));
}

/* --- interim answers -------------------------------------------------------------------------- */

#define STYLE "</app.css>; rel=preload; as=style"

static error hint_then_wait(http_request *req)
{
    TRY(http_set_header(req, STR("X-Own"), STR("1")));
    TRY(http_reply_interim(req, 102, STR_NONE, STR_NONE));
    TRY(http_reply_interim(req, 103, STR("Link"), STR(STYLE)));
    TRY(fiber_sleep(1000));
    return http_reply_text(req, 200, STR("late"));
}

static void test_interim_answers_come_before_the_answer(void **state)
{
    (void)state;
    http_test_conn *c = http_test_connect(t);
    act = hint_then_wait;
    for (int i = 0; i < 2; i++) { /* the connection goes on */
        http_test_request(c, "GET", "/do", STR_NONE, STR_NONE);
        assert_str_equal(http_test_received(c),
                         STR("HTTP/1.1 102 Processing\r\n\r\n"
                             "HTTP/1.1 103 Early Hints\r\nLink: " STYLE "\r\n\r\n"));
        for (int status = 102; status <= 103; status++) {
            const http_test_reply interim = http_test_read(c);
            expect_status(&interim, status);
        }
        http_test_advance(t, 1000);
        const http_test_reply r = http_test_read(c);
        expect_status(&r, 200);
        expect_field(&r, "Link", NULL);
        expect_field(&r, "X-Own", "1");
        assert_str_equal(r.body, STR("late"));
    }
    http_test_disconnect(&c);
}

static void test_interim_answers_are_not_for_clients_of_1_0(void **state)
{
    (void)state;
    http_test_conn *c = http_test_connect(t);
    act = hint_then_wait;
    http_test_write(c, STR("GET /do HTTP/1.0\r\n\r\n"));
    assert_int_equal(http_test_received(c).len, 0);
    http_test_advance(t, 1000);
    assert_true(str_starts_with(http_test_received(c), STR("HTTP/1.1 200 OK\r\n")));
    http_test_disconnect(&c);
}

static error hint_as_asked(http_request *req)
{
    TRY(http_reply_interim(req, asked_status, asked_name, asked_value));
    return http_reply_text(req, 200, STR("x"));
}

static void test_interim_answer_that_may_not_be_is_refused(void **state)
{
    (void)state;
    static const struct {
        int status;
        str name, value;
    } cases[] = {
        { 100, STR_NONE, STR_NONE },
        { 101, STR_NONE, STR_NONE },
        { 99, STR_NONE, STR_NONE },
        { 200, STR_NONE, STR_NONE },
        { 103, STR("Content-Length"), STR("5") },
        { 103, STR("Link"), STR("a\r\nX-Forged: 1") },
        { 103, STR("Link"), STR("a\nX-Forged: 1") },
        { 103, STR("Link"), STR("a\0b") },
        { 103, STR("X\r\nX-Forged"), STR("1") },
        { 103, STR(""), STR("1") },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        asked_status = cases[i].status;
        asked_name = cases[i].name;
        asked_value = cases[i].value;
        const http_test_reply r = get(hint_as_asked);
        expect_status(&r, 500);
        expect_field(&r, "X-Forged", NULL);
    }
}

/* --- bytes that no field may carry ------------------------------------------------------------ */

static error forbidden_in_value(http_request *req)
{
    TRY(http_set_header(req, STR("X-Value"), asked_value));
    return http_reply_text(req, 200, STR("x"));
}

static error forbidden_in_replacement(http_request *req)
{
    TRY(http_set_header(req, STR("X-Value"), STR("good")));
    TRY(http_replace_header(req, STR("X-Value"), asked_value));
    return http_reply_text(req, 200, STR("x"));
}

static error forbidden_in_default(http_request *req)
{
    http_default_header(req, STR("X-Value"), asked_value);
    return http_reply_text(req, 200, STR("x"));
}

static error forbidden_in_name(http_request *req)
{
    TRY(http_set_header(req, asked_value, STR("1")));
    return http_reply_text(req, 200, STR("x"));
}

static error forbidden_in_default_name(http_request *req)
{
    http_default_header(req, asked_value, STR("1"));
    return http_reply_text(req, 200, STR("x"));
}

static error forbidden_in_type(http_request *req)
{
    return http_reply_bytes(req, 200, asked_value, STR("x"));
}

static error forbidden_in_set_type(http_request *req)
{
    TRY(http_set_header(req, STR("Content-Type"), asked_value));
    return http_reply_text(req, 200, STR("x"));
}

static error forbidden_in_type_of_pieces(http_request *req)
{
    return http_reply_start(req, 200, asked_value);
}

static error forbidden_in_location(http_request *req)
{
    return http_redirect(req, 303, asked_value);
}

static error forbidden_in_cookie(http_request *req)
{
    TRY(http_set_cookie(req, &(http_cookie_options){ .name = STR("a"), .value = asked_value }));
    return http_reply_text(req, 200, STR("x"));
}

static error forbidden_in_cookie_name(http_request *req)
{
    TRY(http_set_cookie(req, &(http_cookie_options){ .name = asked_value, .value = STR("a") }));
    return http_reply_text(req, 200, STR("x"));
}

static error forbidden_in_cookie_path(http_request *req)
{
    TRY(http_set_cookie(
        req, &(http_cookie_options){ .name = STR("a"), .value = STR("b"), .path = asked_value }));
    return http_reply_text(req, 200, STR("x"));
}

static error forbidden_in_interim(http_request *req)
{
    TRY(http_reply_interim(req, 103, STR("Link"), asked_value));
    return http_reply_text(req, 200, STR("x"));
}

/* NUL, CR and LF at the beginning, in the middle and at the end, in every place that a handler may
 * fill; and the other control characters but the tab. */
static void test_field_with_a_control_character_is_refused_wherever_it_is_set(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        http_handler *handler;
    } places[] = {
        { "value", forbidden_in_value },
        { "replacement", forbidden_in_replacement },
        { "default", forbidden_in_default },
        { "name", forbidden_in_name },
        { "default's name", forbidden_in_default_name },
        { "type", forbidden_in_type },
        { "set type", forbidden_in_set_type },
        { "type of pieces", forbidden_in_type_of_pieces },
        { "location", forbidden_in_location },
        { "cookie", forbidden_in_cookie },
        { "cookie's name", forbidden_in_cookie_name },
        { "cookie's path", forbidden_in_cookie_path },
        { "interim", forbidden_in_interim },
    };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        for (int c = 0; c <= 0x7F; c = c == 0x1F ? 0x7F : c + 1) {
            char text[] = "abcXX-Forged";
            if (c == '\t')
                continue;
            for (size_t at = 0; at < 5; at += 2) {
                memcpy(text, "abcXX", 5);
                text[at] = (char)c;
                asked_value = (str){ text, at + (at < 4 ? sizeof text - 1 - at : 1) };
                const http_test_reply r = get(places[i].handler);
                if (r.status != 500)
                    print_error("%s, 0x%02X at %zu\n", places[i].name, (unsigned)c, at);
                expect_status(&r, 500);
                assert_null(memmem(r.head.ptr, r.head.len, "Forged", 6));
                assert_null(memchr(r.head.ptr, '\0', r.head.len));
            }
        }
    }
}

static error nul_alone(http_request *req)
{
    TRY(http_set_header(req, STR("X-Value"), NUL));
    return http_reply_text(req, 200, STR("x"));
}

static error tab_and_the_like(http_request *req)
{
    TRY(http_set_header(req, STR("X-Value"), STR("a\tb \x80\xFF")));
    return http_reply_text(req, 200, STR("x"));
}

static void test_field_with_a_tab_or_other_bytes_is_sent(void **state)
{
    (void)state;
    const http_test_reply bad = get(nul_alone);
    expect_status(&bad, 500);
    const http_test_reply good = get(tab_and_the_like);
    expect_status(&good, 200);
    expect_field(&good, "X-Value", "a\tb \x80\xFF");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_type_that_is_set_stands_once_in_place_of_what_is_staged),
        cmocka_unit_test(test_type_of_ranges_is_set_on_each_part),
        cmocka_unit_test(test_type_by_default_is_for_answers_without_one),
        cmocka_unit_test(test_type_of_over_1_kib_is_refused),
        cmocka_unit_test(test_field_that_is_the_servers_is_refused_in_any_case),
        cmocka_unit_test(test_events_have_one_cache_control_the_handlers_first),
        cmocka_unit_test(test_etag_is_not_made_where_nothing_may_be_stored),
        cmocka_unit_test(test_error_drops_the_fields_about_the_discarded_body),
        cmocka_unit_test(test_error_drops_defaults_about_the_discarded_body),
        cmocka_unit_test(test_error_416_keeps_its_range),
        cmocka_unit_test(test_status_from_200_to_599_is_sent_with_its_phrase),
        cmocka_unit_test(test_status_that_is_no_answer_is_500),
        cmocka_unit_test(test_status_without_a_body_cannot_come_in_pieces),
        cmocka_unit_test(test_interim_answers_come_before_the_answer),
        cmocka_unit_test(test_interim_answers_are_not_for_clients_of_1_0),
        cmocka_unit_test(test_interim_answer_that_may_not_be_is_refused),
        cmocka_unit_test(test_field_with_a_control_character_is_refused_wherever_it_is_set),
        cmocka_unit_test(test_field_with_a_tab_or_other_bytes_is_sent),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
