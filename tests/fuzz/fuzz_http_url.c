/* Any text as a URL to call, and as the place that a redirect names. What is accepted is plain: it
 * holds nothing that ends a line or a host, and reads the same again. */
#include "url.h"

#include "core/arena.h"
#include "tests/support/fuzz.h"

static void check(arena *a, const http_url *url)
{
    http_url again;
    invariant(url->port > 0 && url->host.len > 0 && url->host.len <= HTTP_HOST_BYTES_MAX);
    for (size_t i = 0; i < url->host.len; i++) {
        const char c = url->host.ptr[i];
        invariant((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                  c == '.' || (c == ':' && url->is_ip6));
    }
    invariant(url->target.len > 0 && url->target.ptr[0] == '/');
    for (size_t i = 0; i < url->target.len; i++)
        invariant(url->target.ptr[i] > ' ' && url->target.ptr[i] < 0x7F &&
                  url->target.ptr[i] != '#' && url->target.ptr[i] != '\\');
    if (url->text.len > HTTP_URL_BYTES_MAX) /* "http://a?" becomes longer by the path's slash */
        return;
    invariant(!http_url_parse(a, url->text, &again));
    invariant(http_url_same_origin(url, &again) && str_eq(url->target, again.target));
    invariant(str_eq(url->text, again.text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const str text = fuzz_text(data, len);
    arena a;
    http_url url, base;
    arena_init(&a, (size_t)16 << 20);
    if (!http_url_parse(&a, text, &url))
        check(&a, &url);
    invariant(!http_url_parse(&a, STR("https://a.example:8443/b/c?d"), &base));
    if (!http_url_resolve(&a, &base, text, &url))
        check(&a, &url);
    arena_deinit(&a);
    return 0;
}
