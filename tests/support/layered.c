/* A server with groups, layers, forms and cookies: what test_layers.c and test_forms.c talk to. */
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

#define SIGNUP_FIELDS(F)                       \
    F(name, text, .min_len = 1, .max_len = 20) \
    F(age, int4, .range = SHAPE_RANGE(0, 150)) \
    F(news, opt_bool)                          \
    F(tags, text_list, .max_len = 3)
SHAPE(signup, SIGNUP_FIELDS)

static error show_signup(http_request *req, const signup *in)
{
    return http_reply(req, 200, signup, in);
}

static error sign_up(http_request *req)
{
    signup in;
    TRY(http_form(req, signup, &in));
    return show_signup(req, &in);
}

static error search(http_request *req)
{
    signup in;
    TRY(http_query_as(req, signup, &in));
    return show_signup(req, &in);
}

/* Sets the cookies that the query's `kind` says. */
static error set_cookies(http_request *req)
{
    const str kind = http_query(req, STR("kind"));
    http_cookie_options c = { .name = STR("session"), .value = STR("abc.def-_=") };
    if (str_eq(kind, STR("free")))
        c = (http_cookie_options){ .name = STR("theme"),
                                   .value = STR("dark"),
                                   .path = STR("/app"),
                                   .domain = STR("example.com"),
                                   .max_age_s = 3600,
                                   .same_site = HTTP_SAME_SITE_STRICT,
                                   .over_plain_http = true,
                                   .readable_by_scripts = true };
    else if (str_eq(kind, STR("delete")))
        c.max_age_s = -1;
    else if (str_eq(kind, STR("split")))
        c.value = STR("a;b");
    else if (str_eq(kind, STR("newline")))
        c.value = STR("a\nSet-Cookie: b=c");
    else if (str_eq(kind, STR("name")))
        c.name = STR("a b");
    else if (str_eq(kind, STR("host")))
        c = (http_cookie_options){ .name = STR("__Host-s"), .domain = STR("example.com") };
    else if (str_eq(kind, STR("secure")))
        c = (http_cookie_options){ .name = STR("__Secure-s"), .over_plain_http = true };
    else if (str_eq(kind, STR("none")))
        c = (http_cookie_options){ .name = STR("s"),
                                   .same_site = HTTP_SAME_SITE_NONE,
                                   .over_plain_http = true };
    TRY(http_set_cookie(req, &c));
    return http_reply_empty(req, 204);
}

static error show_cookie(http_request *req)
{
    const str value = http_cookie(req, STR("session"));
    return http_reply_text(req, 200, value.ptr ? value : STR("(none)"));
}

static const http_route plain[] = {
    { HTTP_POST, "/signup", sign_up, http_public, .body = SHAPE_OF(signup) },
    { HTTP_GET, "/search", search, http_public },
    { HTTP_GET, "/cookies", set_cookies, http_public },
    { HTTP_GET, "/cookie", show_cookie, http_public },
    { HTTP_GET, "/hello", hello, http_public },
    { HTTP_GET, "/locked", hello, locked },
};
static const http_route inner[] = {
    { HTTP_GET, "", hello, http_public },
    { HTTP_GET, "/hello", hello, http_public },
    { HTTP_GET, "/fails", fails, http_public },
};
static error take_body(http_request *req)
{
    str body;
    TRY(http_body_bytes(req, &body));
    return http_reply_text(req, 200, STR("taken"));
}

static error sleep_long(http_request *req)
{
    TRY(fiber_sleep(60000));
    return http_reply_text(req, 200, STR("slept"));
}

static const http_limits_options tight = { .body_bytes_max = 10, .timeout_ms = 200 };
static const http_route limited[] = {
    { HTTP_POST, "/body", take_body, http_public },
    { HTTP_POST, "/body/own", take_body, http_public, .body_bytes_max = 20, .timeout_ms = 60000 },
    { HTTP_GET, "/sleep", sleep_long, http_public },
};
static const http_group groups[] = {
    { "/limited", HTTP_ROUTES(limited), { { http_limits, &tight } } },
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
