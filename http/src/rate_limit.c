/* So many requests a key and time, over all workers: the table is mapped when the router is built,
 * before they are forked. The fields are those of draft-ietf-httpapi-ratelimit-headers: RateLimit
 * and RateLimit-Policy.
 *
 * Invariant: a request that is refused costs its client no token. */
#include "conn.h"
#include "layer.h"
#include "rate_table.h"

#define PER_MS_DEFAULT  60000
#define PER_MS_MAX      86400000
#define KEYS_DEFAULT    65536
#define KEYS_MAX        (1U << 24)
#define WHOLE_MS_MAX    ((uint64_t)30 * 86400000) /* of an empty bucket, until it is full */
#define NAME_LEN_MAX    64
#define NS_PER_MS       1000000U
#define NS_PER_S        1000000000U
#define IPV6_SITE_BYTES 8 /* a customer gets a /64 at least */

ERROR_KIND(HTTP_RATE_LIMITED, ERROR_TOO_MANY, "Too many requests; try again later.");

typedef struct rate_limit {
    http_rate_table table;
    http_rate rate;
    http_rate_key *key;
    str name;   /* quoted */
    str policy; /* the value of RateLimit-Policy */
} rate_limit;

/* --- the start ------------------------------------------------------------------------------- */

static error invalid(const char *why)
{
    return error_set(&HTTP_LAYER_INVALID, "http_rate_limit: %s", why);
}

/* What stands between quotes in a structured field (RFC 9651, 3.3.3). */
static bool is_plain(str name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        if (c < 0x20 || c > 0x7E || c == '"' || c == '\\')
            return false;
    }
    return name.len > 0 && name.len <= NAME_LEN_MAX;
}

error http_rate_limit_prepare(arena *a, const void *given, const void **out)
{
    const http_rate_limit_options *options = given;
    if (!options || options->requests == 0)
        return invalid("it needs options, and in them the number of requests");
    const uint32_t per_ms = options->per_ms ? options->per_ms : PER_MS_DEFAULT;
    const uint32_t keys = options->keys_max ? options->keys_max : KEYS_DEFAULT;
    const str name = options->name ? str_from_c(options->name) : STR("default");
    rate_limit *limit = ARENA_NEW(a, rate_limit);
    if (per_ms > PER_MS_MAX)
        return invalid("per_ms is over a day");
    if (keys > KEYS_MAX)
        return invalid("keys_max is over 16,777,216");
    if (!is_plain(name))
        return invalid("a name is 1 to 64 printable ASCII characters without quotes");
    limit->key = options->key;
    limit->rate.interval_ns = (uint64_t)per_ms * NS_PER_MS / options->requests;
    limit->rate.burst = options->burst ? options->burst : options->requests;
    if (limit->rate.interval_ns == 0)
        return invalid("more than a thousand million requests a second");
    if (limit->rate.burst > WHOLE_MS_MAX * NS_PER_MS / limit->rate.interval_ns)
        return invalid("a burst that takes over 30 days to come back");
    limit->name = str_format(a, "\"%.*s\"", STR_ARG(name));
    limit->policy = str_format(a, "%.*s;q=%u;w=%u", STR_ARG(limit->name), options->requests,
                               (per_ms + 999) / 1000);
    TRY(http_rate_table_open(&limit->table, keys));
    *out = limit;
    return OK;
}

/* --- requests -------------------------------------------------------------------------------- */

/* IPv4 whole, IPv6 as far as it tells customers apart; all whose address is unknown have one. */
static str address_key(http_request *req)
{
    const http_ip *ip = http_client_ip(req);
    if (!ip)
        return STR("");
    const bool is_ipv6 = str_index(http_client_address(req), ':') < http_client_address(req).len;
    return (str){ (const char *)ip->bytes, is_ipv6 ? IPV6_SITE_BYTES : sizeof ip->bytes };
}

static uint64_t whole_seconds(uint64_t ns)
{
    return (ns + NS_PER_S - 1) / NS_PER_S;
}

error http_rate_limit(http_request *req, const http_next *next)
{
    const rate_limit *limit = next->options;
    arena *a = http_request_arena(req);
    const str key = limit->key ? limit->key(req) : address_key(req);
    if (!key.ptr)
        return http_proceed(req, next);
    const http_rate_result r = http_rate_take(&limit->table, limit->rate, key, clock_ns());
    const uint64_t until_s = whole_seconds(r.left > 0 ? r.full_ns : r.wait_ns);
    TRY(http_set_header(req, STR("RateLimit-Policy"), limit->policy));
    TRY(http_set_header(req, STR("RateLimit"),
                        str_format(a, "%.*s;r=%llu;t=%llu", STR_ARG(limit->name),
                                   (unsigned long long)r.left, (unsigned long long)until_s)));
    if (r.allowed)
        return http_proceed(req, next);
    TRY(http_set_header(req, STR("Retry-After"),
                        str_format(a, "%llu", (unsigned long long)until_s)));
    return error_set(&HTTP_RATE_LIMITED, "rate limit %.*s", STR_ARG(limit->name));
}
