/* Any bytes as a server's two SCRAM messages, with a NUL between them. The second is believed
 * exactly when it is the one signature that follows from the first. */
#include "scram.h"

#include "tests/support/fuzz.h"

#include <openssl/evp.h>

#define ARENA_BYTES        ((size_t)1 << 20)
#define ITERATIONS_RUN_MAX 64 /* what more would cost is time only */

static void check_final(arena *a, pg_scram *s, str server_final)
{
    str message;
    unsigned char signature[64];
    invariant(error_is_ok(pg_scram_derive(s, STR("pencil"))));
    invariant(error_is_ok(pg_scram_final(s, a, &message)));
    invariant(str_starts_with(message, STR("c=biws,r=rOprNGfwEbeRWgbNEkqO")));
    const int len = EVP_EncodeBlock(signature, s->server_signature, PG_SCRAM_KEY_BYTES);
    const str right = str_format(a, "v=%.*s", len, (const char *)signature);

    pg_scram other = *s;
    const error e = pg_scram_server_final(&other, server_final);
    invariant(error_is_ok(e) == str_eq(server_final, right));
    invariant(error_is_ok(e) == pg_scram_is_verified(&other));
    invariant(error_is_ok(e) || error_is(e, &PG_AUTH_FAILED));
    invariant(error_is_ok(pg_scram_server_final(s, right)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    str rest = fuzz_text(data, len);
    const str server_first = str_cut(&rest, '\0');
    arena a;
    arena_init(&a, ARENA_BYTES);
    pg_scram s;
    str message;
    invariant(error_is_ok(pg_scram_first_with(
        &s, &a, &(pg_scram_vector){ .user = STR("user"), .nonce = STR("rOprNGfwEbeRWgbNEkqO") },
        &message)));
    const error e = pg_scram_server_first(&s, &a, server_first);
    if (error_is_ok(e)) {
        invariant(s.iterations >= 1 && s.iterations <= PG_SCRAM_ITERATIONS_MAX);
        invariant(s.salt_len >= 1 && s.salt_len <= PG_SCRAM_SALT_BYTES_MAX);
        if (s.iterations <= ITERATIONS_RUN_MAX)
            check_final(&a, &s, rest);
    } else {
        invariant(error_is(e, &PG_AUTH_FAILED));
    }
    pg_scram_wipe(&s);
    arena_deinit(&a);
    return 0;
}
