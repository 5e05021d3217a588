/* The router: the closest route wins, every mistake in a table is refused and named. */
#include "router.h"

#include "tests/support/in_fiber.h"

static error handler(http_request *req)
{
    (void)req;
    return OK;
}

static int setup(void **state)
{
    static arena memory;
    arena_init(&memory, (size_t)16 << 20);
    *state = &memory;
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(*state);
    return 0;
}

static const http_route ROUTES[] = {
    { HTTP_GET, "/", handler, http_public },
    { HTTP_GET, "/notes", handler, http_public },
    { HTTP_POST, "/notes", handler, http_public },
    { HTTP_GET, "/notes/:id<int8>", handler, http_public },
    { HTTP_PATCH, "/notes/:id<int8>", handler, http_public },
    { HTTP_GET, "/notes/new", handler, http_public },
    { HTTP_GET, "/notes/:key<uuid>", handler, http_public },
    { HTTP_GET, "/notes/:slug", handler, http_public },
    { HTTP_GET, "/notes/:id<int8>/tags/:tag", handler, http_public },
    { HTTP_HEAD, "/own-head", handler, http_public },
    { HTTP_GET, "/own-head", handler, http_public },
    { HTTP_GET, "/files/*path", handler, http_public },
    { HTTP_GET, "/files/index", handler, http_public },
    { HTTP_DELETE, "/files/:name<text>", handler, http_public },
    { HTTP_GET, "/a/b/c", handler, http_public },
    { HTTP_GET, "/a/:x/d", handler, http_public },
    { HTTP_GET, "/a/*rest", handler, http_public },
    { HTTP_GET, "/slash/", handler, http_public },
    { HTTP_OPTIONS, "/options", handler, http_public },
};

static router *build(arena *a)
{
    const http_group group = { .routes = HTTP_ROUTES(ROUTES) };
    router *r;
    assert_ok(http_router_build(a, NULL, &group, 1, &r));
    return r;
}

#define UUID "123e4567-e89b-12d3-a456-426614174000"

typedef struct find_case {
    http_method method;
    const char *path;
    const char *pattern;    /* NULL: no route */
    const char *parameters; /* "name=value,…" */
} find_case;

static const find_case FINDS[] = {
    { HTTP_GET, "/", "/", "" },
    { HTTP_GET, "/notes", "/notes", "" },
    { HTTP_GET, "/notes/7", "/notes/:id<int8>", "id=7" },
    { HTTP_GET, "/notes/-9223372036854775808", "/notes/:id<int8>", "id=-9223372036854775808" },
    { HTTP_GET, "/notes/9223372036854775808", "/notes/:slug", "slug=9223372036854775808" },
    { HTTP_GET, "/notes/new", "/notes/new", "" },
    { HTTP_GET, "/notes/%6eew", "/notes/new", "" },
    { HTTP_GET, "/notes/" UUID, "/notes/:key<uuid>", "key=" UUID },
    { HTTP_GET, "/notes/a%2Fb", "/notes/:slug", "slug=a/b" },
    { HTTP_PATCH, "/notes/7", "/notes/:id<int8>", "id=7" },
    { HTTP_GET, "/notes/7/tags/x", "/notes/:id<int8>/tags/:tag", "id=7,tag=x" },
    { HTTP_HEAD, "/notes", "/notes", "" },
    { HTTP_HEAD, "/own-head", "/own-head", "" },
    { HTTP_GET, "/files/index", "/files/index", "" },
    { HTTP_GET, "/files/a/b/c", "/files/*path", "path=a/b/c" },
    { HTTP_GET, "/files/", "/files/*path", "path=" },
    { HTTP_GET, "/files/index/x", "/files/*path", "path=index/x" },
    { HTTP_DELETE, "/files/index", "/files/:name<text>", "name=index" },
    { HTTP_GET, "/a/b/c", "/a/b/c", "" },
    { HTTP_GET, "/a/b/d", "/a/:x/d", "x=b" },
    { HTTP_GET, "/a/b/e", "/a/*rest", "rest=b/e" },
    { HTTP_GET, "/slash/", "/slash/", "" },
    { HTTP_OPTIONS, "/options", "/options", "" },
    { HTTP_GET, "/slash", NULL, NULL },
    { HTTP_GET, "/nothing", NULL, NULL },
    { HTTP_GET, "/notes/", NULL, NULL },
    { HTTP_GET, "/notes/7/tags/", NULL, NULL },
    { HTTP_GET, "/notes/7/tags", NULL, NULL },
    { HTTP_GET, "/notes/x/tags/y", NULL, NULL },
    { HTTP_GET, "/files", NULL, NULL },
    { HTTP_GET, "/notes/%FF", NULL, NULL },
    { HTTP_GET, "//notes", NULL, NULL },
    { HTTP_GET, "*", NULL, NULL },
    { HTTP_GET, "", NULL, NULL },
};

static void test_router_finds_the_closest_route(void **state)
{
    const router *r = build(*state);
    for (size_t i = 0; i < ARRAY_LEN(FINDS); i++) {
        const find_case *c = &FINDS[i];
        router_match m;
        char parameters[256] = "";
        http_router_find(r, *state, c->method, str_from_c(c->path), &m);
        for (uint32_t p = 0; p < m.param_count && m.route; p++) {
            char one[128];
            (void)snprintf(one, sizeof one, "%s%.*s=%.*s", p ? "," : "", (int)m.params[p].name_len,
                           m.params[p].name, STR_ARG(m.params[p].value));
            strcat(parameters, one);
        }
        if ((m.route != NULL) != (c->pattern != NULL))
            print_error("%s: found %s\n", c->path, m.route ? m.route->pattern : "nothing");
        assert_true((m.route != NULL) == (c->pattern != NULL));
        if (!c->pattern)
            continue;
        assert_string_equal(m.route->pattern, c->pattern);
        assert_string_equal(parameters, c->parameters);
    }
    router_match m;
    http_router_find(r, *state, HTTP_HEAD, STR("/own-head"), &m);
    assert_int_equal(m.route->method, HTTP_HEAD);
}

static void test_router_without_the_method_tells_what_is_allowed(void **state)
{
    const router *r = build(*state);
    router_match m;
    http_router_find(r, *state, HTTP_DELETE, STR("/notes/7"), &m);
    assert_null(m.route);
    assert_int_equal(m.allowed, 1U << HTTP_GET | 1U << HTTP_HEAD | 1U << HTTP_PATCH);
    http_router_find(r, *state, HTTP_METHOD_OTHER, STR("/notes"), &m);
    assert_null(m.route);
    assert_int_equal(m.allowed, 1U << HTTP_GET | 1U << HTTP_HEAD | 1U << HTTP_POST);
    http_router_find(r, *state, HTTP_POST, STR("/nothing"), &m);
    assert_null(m.route);
    assert_int_equal(m.allowed, 0);
}

/* A mistake in a table is told with all the routes it concerns. */
typedef struct mistake {
    http_route routes[2];
    const char *says[2];
} mistake;

#define DEEP \
    "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30/31/32"
#define WIDE "/:a/:b/:c/:d/:e/:f/:g/:h/:i/:j/:k/:l/:m/:n/:o/:p"

static const mistake MISTAKES[] = {
    { { { HTTP_GET, "/a", handler, NULL } }, { "GET /a", "guard" } },
    { { { HTTP_GET, "/a", NULL, http_public } }, { "GET /a", "handler" } },
    { { { HTTP_GET, NULL, handler, http_public } }, { "GET", "pattern" } },
    { { { HTTP_GET, "a", handler, http_public } }, { "GET a", "begins with /" } },
    { { { 0, "/a", handler, http_public } }, { "/a", "method" } },
    { { { HTTP_CONNECT, "/a", handler, http_public } }, { "/a", "method" } },
    { { { HTTP_METHOD_OTHER, "/a", handler, http_public } }, { "/a", "method" } },
    { { { HTTP_GET, "/a", handler, http_public }, { HTTP_GET, "/a", handler, http_public } },
      { "GET /a", "the same" } },
    { { { HTTP_GET, "/a/:b", handler, http_public },
        { HTTP_GET, "/a/:b<text>", handler, http_public } },
      { "GET /a/:b ", "GET /a/:b<text>" } },
    { { { HTTP_GET, "/a/:b", handler, http_public }, { HTTP_GET, "/a/:c", handler, http_public } },
      { "GET /a/:b ", "GET /a/:c " } },
    { { { HTTP_GET, "/a/:b/x", handler, http_public },
        { HTTP_PUT, "/a/:c/y", handler, http_public } },
      { "GET /a/:b/x", "PUT /a/:c/y" } },
    { { { HTTP_GET, "/a/*b", handler, http_public }, { HTTP_POST, "/a/*c", handler, http_public } },
      { "GET /a/*b", "POST /a/*c" } },
    { { { HTTP_GET, "/*a/b", handler, http_public } }, { "/*a/b", "last" } },
    { { { HTTP_GET, "/*", handler, http_public } }, { "/*", "last" } },
    { { { HTTP_GET, "/:", handler, http_public } }, { "/:", ":name" } },
    { { { HTTP_GET, "/:1a", handler, http_public } }, { "/:1a", ":name" } },
    { { { HTTP_GET, "/:a<int9>", handler, http_public } }, { "/:a<int9>", "<int8>" } },
    { { { HTTP_GET, "/:a<int8", handler, http_public } }, { "/:a<int8", "<int8>" } },
    { { { HTTP_GET, DEEP "/33", handler, http_public } }, { "/33", "segments" } },
    { { { HTTP_GET, WIDE "/:q", handler, http_public } }, { "/:q", "parameters" } },
};

static void test_router_refuses_a_table_with_a_mistake_and_names_it(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(MISTAKES); i++) {
        const mistake *c = &MISTAKES[i];
        const http_group group = { .routes = { c->routes, c->routes[1].handler ? 2 : 1 } };
        router *r;
        char text[1024];
        const error e = http_router_build(*state, NULL, &group, 1, &r);
        assert_fails(HTTP_ROUTES_INVALID, e);
        error_describe(e, text, sizeof text);
        if (!strstr(text, c->says[0]) || !strstr(text, c->says[1]))
            print_error("no \"%s\" or \"%s\" in: %s\n", c->says[0], c->says[1], text);
        assert_non_null(strstr(text, c->says[0]));
        assert_non_null(strstr(text, c->says[1]));
    }
}

static void test_router_conflict_between_tables_is_found(void **state)
{
    const http_route mine[] = { { HTTP_GET, "/health", handler, http_public } };
    const http_route theirs[] = { { HTTP_GET, "/health", handler, http_public } };
    const http_group groups[] = { { .routes = HTTP_ROUTES(mine) },
                                  { .routes = HTTP_ROUTES(theirs) } };
    router *r;
    assert_fails(HTTP_ROUTES_INVALID, http_router_build(*state, NULL, groups, 2, &r));
}

static error layer(http_request *req, const http_next *next)
{
    return http_proceed(req, next);
}

static error another_layer(http_request *req, const http_next *next)
{
    return http_proceed(req, next);
}

static void test_router_groups_have_prefix_and_layers(void **state)
{
    const http_route plain[] = { { HTTP_GET, "/things", handler, http_public } };
    const http_route things[] = { { HTTP_GET, "", handler, http_public },
                                  { HTTP_GET, "/:id", handler, http_public } };
    const http_route bare[] = { { HTTP_GET, "/bare", handler, http_public } };
    const http_layer outer[] = { { layer, "outer" }, { 0 } };
    const http_group groups[] = {
        { .routes = HTTP_ROUTES(plain) },
        { "/v1/:tenant/things", HTTP_ROUTES(things), { { another_layer, "inner" } } },
    };
    router *r;
    router_match m;
    assert_ok(http_router_build(*state, outer, groups, ARRAY_LEN(groups), &r));
    assert_ok(http_router_add_bare(*state, r, HTTP_ROUTES(bare)));
    http_router_find(r, *state, HTTP_GET, STR("/things"), &m);
    assert_ptr_equal(m.route, &plain[0]);
    assert_ptr_equal(m.layers[0].run, layer);
    assert_string_equal(m.layers[0].options, "outer");
    assert_null(m.layers[1].run);
    http_router_find(r, *state, HTTP_GET, STR("/v1/acme/things/7"), &m);
    assert_ptr_equal(m.route, &things[1]);
    assert_string_equal(m.pattern, "/v1/:tenant/things/:id");
    assert_int_equal(m.param_count, 2);
    assert_ptr_equal(m.layers[0].run, layer);
    assert_ptr_equal(m.layers[1].run, another_layer);
    assert_null(m.layers[2].run);
    http_router_find(r, *state, HTTP_GET, STR("/v1/acme/things"), &m);
    assert_ptr_equal(m.route, &things[0]);
    http_router_find(r, *state, HTTP_GET, STR("/bare"), &m);
    assert_null(m.layers[0].run);
    http_router_find(r, *state, HTTP_GET, STR("/nowhere"), &m);
    assert_null(m.route);
    assert_null(m.pattern);
    assert_ptr_equal(m.layers[0].run, layer);
}

/* The closest that says something counts, each limit for itself; requests meet no such layer. */
static void test_router_limits_are_those_of_the_closest_layer(void **state)
{
    static const http_limits_options wide = { 1000, 2000 }, narrow = { .body_bytes_max = 10 };
    static const http_limits_options late = { .timeout_ms = 30 };
    const http_route app[] = { { HTTP_GET, "/app", handler, http_public },
                               { HTTP_GET, "/own", handler, http_public, .body_bytes_max = 5000 } };
    const http_route in[] = { { HTTP_GET, "/group", handler, http_public },
                              { HTTP_GET, "/own", handler, http_public, .timeout_ms = 7 } };
    const http_route bare[] = { { HTTP_GET, "/bare", handler, http_public } };
    const http_layer outer[] = { { http_limits, &wide }, { layer, "outer" }, { 0 } };
    const http_group groups[] = {
        { .routes = HTTP_ROUTES(app) },
        { "/in",
          HTTP_ROUTES(in),
          { { http_limits, &late }, { another_layer }, { http_limits, &narrow } } },
    };
    static const struct {
        const char *path;
        size_t body_bytes_max;
        uint32_t timeout_ms;
    } rows[] = { { "/app", 1000, 2000 },
                 { "/own", 5000, 2000 },
                 { "/in/group", 10, 30 },
                 { "/in/own", 10, 7 },
                 { "/bare", 0, 0 } };
    router *r;
    router_match m;
    assert_ok(http_router_build(*state, outer, groups, ARRAY_LEN(groups), &r));
    assert_ok(http_router_add_bare(*state, r, HTTP_ROUTES(bare)));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        http_router_find(r, *state, HTTP_GET, str_from_c(rows[i].path), &m);
        assert_int_equal(m.endpoint->limits.body_bytes_max, rows[i].body_bytes_max);
        assert_int_equal(m.endpoint->limits.timeout_ms, rows[i].timeout_ms);
    }
    http_router_find(r, *state, HTTP_GET, STR("/in/group"), &m);
    assert_ptr_equal(m.layers[0].run, layer);
    assert_ptr_equal(m.layers[1].run, another_layer);
    assert_null(m.layers[2].run);
}

static void test_router_limits_without_options_are_refused(void **state)
{
    static const http_limits_options nothing = { 0 };
    const http_layer without[] = { { http_limits }, { 0 } };
    const http_layer empty[] = { { http_limits, &nothing }, { 0 } };
    router *r;
    assert_fails(HTTP_LAYER_INVALID, http_router_build(*state, without, NULL, 0, &r));
    assert_fails(HTTP_LAYER_INVALID, http_router_build(*state, empty, NULL, 0, &r));
}

static void test_router_conflict_between_groups_names_whole_patterns(void **state)
{
    const http_route one[] = { { HTTP_GET, "/a/b", handler, http_public } };
    const http_route two[] = { { HTTP_GET, "/b", handler, http_public } };
    const http_group groups[] = { { .routes = HTTP_ROUTES(one) },
                                  { "/a", HTTP_ROUTES(two), { { 0 } } } };
    router *r;
    char text[512];
    const error e = http_router_build(*state, NULL, groups, 2, &r);
    assert_fails(HTTP_ROUTES_INVALID, e);
    error_describe(e, text, sizeof text);
    assert_non_null(strstr(text, "GET /a/b and GET /a/b"));
}

static void test_router_takes_the_deepest_and_widest_patterns(void **state)
{
    const http_route routes[] = { { HTTP_GET, DEEP, handler, http_public },
                                  { HTTP_GET, WIDE, handler, http_public } };
    const http_group group = { .routes = HTTP_ROUTES(routes) };
    router *r;
    router_match m;
    assert_ok(http_router_build(*state, NULL, &group, 1, &r));
    http_router_find(r, *state, HTTP_GET, STR(DEEP), &m);
    assert_ptr_equal(m.route, &routes[0]);
    http_router_find(r, *state, HTTP_GET, STR("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16"), &m);
    assert_ptr_equal(m.route, &routes[1]);
    assert_int_equal(m.param_count, ROUTER_PARAMS_MAX);
    assert_str_equal(m.params[15].value, STR("16"));
}

/* Every node leaves four ways open and none leads on: a search visits each node once, whatever the
 * path, so 4^8 nodes' worth of choices end. */
static void test_router_search_is_bounded_by_its_patterns(void **state)
{
    const http_route routes[] = {
        { HTTP_GET, "/1/1/1/1/1/1/1/1/end", handler, http_public },
        { HTTP_GET, "/:a<int8>/:a<int8>/:a<int8>/:a<int8>/:a<int8>/:a<int8>/:a<int8>/:a<int8>/end",
          handler, http_public },
        { HTTP_GET, "/:a/:a/:a/:a/:a/:a/:a/:a/end", handler, http_public },
        { HTTP_POST, "/*all", handler, http_public },
    };
    const http_group group = { .routes = HTTP_ROUTES(routes) };
    router *r;
    router_match m;
    assert_ok(http_router_build(*state, NULL, &group, 1, &r));
    http_router_find(r, *state, HTTP_GET, STR("/1/1/1/1/1/1/1/1/no"), &m);
    assert_null(m.route);
    assert_int_equal(m.allowed, 1U << HTTP_POST);
    static char longest[8192];
    for (size_t i = 0; i < sizeof longest; i++)
        longest[i] = i % 2 ? '1' : '/';
    http_router_find(r, *state, HTTP_POST, (str){ longest, sizeof longest }, &m);
    assert_ptr_equal(m.route, &routes[3]);
}

#define router_test(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        router_test(test_router_finds_the_closest_route),
        router_test(test_router_without_the_method_tells_what_is_allowed),
        router_test(test_router_refuses_a_table_with_a_mistake_and_names_it),
        router_test(test_router_conflict_between_tables_is_found),
        router_test(test_router_groups_have_prefix_and_layers),
        router_test(test_router_limits_are_those_of_the_closest_layer),
        router_test(test_router_limits_without_options_are_refused),
        router_test(test_router_conflict_between_groups_names_whole_patterns),
        router_test(test_router_takes_the_deepest_and_widest_patterns),
        router_test(test_router_search_is_bounded_by_its_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
