/* Any bytes in the fields that tell of the caller: X-Forwarded-For, Forwarded, Origin, traceparent.
 * Whatever a client sends there, what a trusted proxy adds behind it is what counts, or the peer's
 * own address; no origin matches a rule that does not name it; a trace is read as it was written.
 */
#include "origin.h"
#include "proxy.h"
#include "trace.h"

#include "core/buf.h"
#include "tests/support/fuzz.h"

#include <stdlib.h>
#include <string.h>

static bool client_of(const http_trust *trust, http_proxy_field field, str first, str second,
                      http_ip *out)
{
    http_hops hops = { .count = 0 };
    http_hops_add(&hops, field, first);
    if (second.ptr)
        http_hops_add(&hops, field, second);
    return http_hops_client(&hops, trust, out);
}

/* `added` is how a proxy writes the address `ip` behind what came. */
static void check_proxy(const http_trust *trust, http_proxy_field field, str came, str added,
                        str ip)
{
    http_ip wanted, found;
    buf joined;
    invariant(http_ip_parse(ip, &wanted));
    invariant(client_of(trust, field, came, added, &found));
    invariant(memcmp(&found, &wanted, sizeof found) == 0);
    buf_init(&joined, came.len + added.len + 2);
    buf_append(&joined, came);
    buf_append(&joined, STR(", "));
    buf_append(&joined, added);
    const bool any = client_of(trust, field, buf_str(&joined), STR_NONE, &found);
    invariant(!any || memcmp(&found, &wanted, sizeof found) == 0);
    invariant(any || field == HTTP_PROXY_FORWARDED); /* an open quote hides what follows */
    buf_deinit(&joined);
}

static void check_forwarded(str bytes)
{
    http_trust trust = { .count = 0 };
    http_ip ip;
    invariant(error_is_ok(http_trust_parse(STR("10.0.0.0/8 2001:db8::/32"), &trust)));
    (void)client_of(&trust, HTTP_PROXY_X_FORWARDED_FOR, bytes, STR_NONE, &ip);
    check_proxy(&trust, HTTP_PROXY_X_FORWARDED_FOR, bytes, STR("192.0.2.77"), STR("192.0.2.77"));
    check_proxy(&trust, HTTP_PROXY_X_FORWARDED_FOR, bytes, STR("2001:db9::1, 10.1.1.1"),
                STR("2001:db9::1"));
    check_proxy(&trust, HTTP_PROXY_FORWARDED, bytes, STR("for=192.0.2.77"), STR("192.0.2.77"));
    check_proxy(&trust, HTTP_PROXY_FORWARDED, bytes,
                STR("proto=https;for=\"[2001:db9::1]:80\";host=\"a,b\", for=10.1.1.1"),
                STR("2001:db9::1"));
}

static void check_origin(str bytes)
{
    const str rule = STR("https://*.a.example");
    if (!http_is_origin(bytes))
        return;
    invariant(http_is_origin_rule(bytes) && http_origin_matches(bytes, bytes));
    invariant(!http_origin_matches(rule, bytes) ||
              (str_starts_with(bytes, STR("https://")) && str_ends_with(bytes, STR(".a.example"))));
}

static void check_trace(str bytes)
{
    http_traceparent parent;
    if (!http_traceparent_parse(bytes, &parent))
        return;
    invariant(parent.trace_id.ptr == bytes.ptr + 3 && parent.trace_id.len == TRACE_ID_LEN);
    invariant(parent.parent_id.ptr == bytes.ptr + 36 && parent.parent_id.len == TRACE_SPAN_LEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const str bytes = fuzz_text(data, len);
    check_forwarded(bytes);
    check_origin(bytes);
    check_trace(bytes);
    return 0;
}
