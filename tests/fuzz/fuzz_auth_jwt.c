/* Tokens and password hashes from outside. The input is read three ways:
 *   as a token: refused, because nobody has guessed a signature;
 *   as header NUL claims, signed with the key that verifies, so that what lies behind the signature
 *   is reached too: an identity that comes out must survive being written and read again;
 *   as a stored hash: one that parses is in the only spelling there is. */
#include "claims.h"
#include "phc.h"

#include "core/arena.h"
#include "tests/support/fuzz.h"

#define ARENA_BYTES_MAX ((size_t)4 << 20)
#define NOW_S           1800000000

static auth_policy policy = { .lifetime_s = 3600 };

static str forge(arena *a, str header, str claims)
{
    uint8_t mac[AUTH_MAC_BYTES];
    const str first = base64url_encode(a, (bytea){ (const uint8_t *)header.ptr, header.len });
    const str second = base64url_encode(a, (bytea){ (const uint8_t *)claims.ptr, claims.len });
    const str text = str_format(a, "%.*s.%.*s", STR_ARG(first), STR_ARG(second));
    invariant(error_is_ok(auth_mac_sign(policy.keys.current, text, mac)));
    const str third = base64url_encode(a, (bytea){ mac, sizeof mac });
    return str_format(a, "%.*s.%.*s", STR_ARG(text), STR_ARG(third));
}

static void read_forged(arena *a, str input)
{
    auth_identity who, again;
    str token, claims = input;
    const str header = str_cut(&claims, '\0');
    const error e = auth_token_read(a, &policy, forge(a, header, claims), NOW_S, &who);
    if (e.kind) {
        invariant(error_is(e, &AUTH_TOKEN_INVALID) || error_is(e, &AUTH_TOKEN_EXPIRED));
        return;
    }
    invariant(error_is_ok(auth_token_make(a, &policy, &who, NOW_S, &token)));
    invariant(error_is_ok(auth_token_read(a, &policy, token, NOW_S, &again)));
    invariant(again.id == who.id && str_eq(again.role, who.role));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const str input = fuzz_text(data, len);
    auth_identity who;
    auth_phc phc;
    arena a;
    if (!policy.keys.current)
        invariant(error_is_ok(
            auth_mac_new(STR("0123456789abcdef0123456789abcdef"), &policy.keys.current)));
    if (len > 2 * (size_t)AUTH_JWS_BYTES_MAX)
        return 0;
    arena_init(&a, ARENA_BYTES_MAX);
    invariant(error_is(auth_token_read(&a, &policy, input, NOW_S, &who), &AUTH_TOKEN_INVALID));
    read_forged(&a, input);
    if (auth_phc_parse(&a, input, &phc))
        invariant(str_eq(auth_phc_format(&a, &phc), input));
    arena_deinit(&a);
    return 0;
}
