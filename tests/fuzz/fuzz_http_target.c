/* Any bytes as a request target that the head would let through, then routed. A path that was taken
 * is normal for good and has no way out of the root; what the router hands out is text without NUL.
 */
#include "router.h"
#include "target.h"

#include "tests/support/fuzz.h"

#define ARENA_BYTES ((size_t)64 << 20)

static error handler(http_request *req)
{
    (void)req;
    return OK;
}

static const http_route ROUTES[] = {
    { HTTP_GET, "/", handler, http_public },
    { HTTP_GET, "/a/:id<int8>", handler, http_public },
    { HTTP_GET, "/a/:key<uuid>/b", handler, http_public },
    { HTTP_POST, "/a/:slug", handler, http_public },
    { HTTP_GET, "/a/:slug/:more", handler, http_public },
    { HTTP_GET, "/a/b/c", handler, http_public },
    { HTTP_GET, "/files/*path", handler, http_public },
};

/* The forms that http_head_parse accepts; it refuses all others before. */
static bool head_accepts(str target)
{
    return str_starts_with(target, STR("/")) || str_eq(target, STR("*")) ||
           (str_eq_nocase(str_slice(target, 0, 7), STR("http://")) && target.len > 7) ||
           (str_eq_nocase(str_slice(target, 0, 8), STR("https://")) && target.len > 8);
}

static void check_path(arena *a, str path)
{
    http_target again;
    invariant(path.len > 0 && (path.ptr[0] == '/' || str_eq(path, STR("*"))));
    invariant(str_index(path, '?') == path.len);
    invariant(http_target_parse(a, path, &again));
    invariant(str_eq(again.path, path) && !again.query.ptr);
    for (str rest = path; rest.ptr;) {
        str segment = str_cut(&rest, '/');
        if (http_percent_decode(a, segment, false, &segment))
            invariant(!str_eq(segment, STR(".")) && !str_eq(segment, STR("..")));
    }
}

static void check_match(const router_match *m)
{
    invariant(m->param_count <= ROUTER_PARAMS_MAX);
    invariant(!m->route || m->allowed != 0);
    for (uint32_t i = 0; i < m->param_count; i++) {
        const str value = m->params[i].value;
        int64_t number;
        invariant(str_is_utf8(value));
        if (str_eq((str){ m->params[i].name, m->params[i].name_len }, STR("id")))
            invariant(str_to_int64(value, &number));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const str text = fuzz_text(data, len);
    const http_group group = { .routes = HTTP_ROUTES(ROUTES) };
    arena a;
    router *r;
    http_target t;
    arena_init(&a, ARENA_BYTES);
    invariant(error_is_ok(http_router_build(&a, NULL, &group, 1, &r)));
    if (head_accepts(text) && http_target_parse(&a, text, &t)) {
        router_match m;
        check_path(&a, t.path);
        http_router_find(r, &a, HTTP_HEAD, t.path, &m);
        check_match(&m);
        const str value = http_query_find(&a, t.query, STR("a"));
        invariant(!value.ptr || str_is_utf8(value));
    }
    str decoded;
    if (http_percent_decode(&a, text, true, &decoded))
        invariant(decoded.len <= text.len && str_is_utf8(decoded));
    arena_deinit(&a);
    return 0;
}
