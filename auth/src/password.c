/* Passwords against their hashes. Whatever stands in the place of a hash, a verification runs
 * Argon2id once and compares once: an account that does not exist, or whose hash is damaged, costs
 * what one at the present cost does.
 *
 * Invariant: OK is returned only after a comparison in constant time said so, and only for a hash
 * that parsed. */
#include "auth/password.h"

#include "phc.h"
#include "settings.h"

#include "core/fault.h"
#include "core/fiber.h"
#include "core/log.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#define SALT_BYTES 16
#define HASH_BYTES 32

ERROR_KIND(AUTH_WRONG_CREDENTIALS, ERROR_UNAUTHENTICATED,
           "The account does not exist or the password is wrong.");
ERROR_KIND(AUTH_PASSWORD_REFUSED, ERROR_INVALID, "The password is empty or too long.");

error auth_hash_password(str password, str *out)
{
    auth_phc phc;
    uint8_t salt[SALT_BYTES], hash[HASH_BYTES];
    if (password.len == 0 || password.len > AUTH_PASSWORD_BYTES_MAX)
        return error_set(&AUTH_PASSWORD_REFUSED, "%zu bytes", password.len);
    TRY(auth_settings_cost(&phc.cost));
    if (fault_point("auth.random") || RAND_bytes(salt, sizeof salt) != 1)
        return error_set(&SYSTEM_FAILED, "no random bytes for a salt");
    phc.salt = (bytea){ salt, sizeof salt };
    phc.hash = (bytea){ hash, sizeof hash };
    const auth_kdf_input input = { phc.cost, password, phc.salt };
    TRY(auth_kdf_run(&input, hash, sizeof hash));
    *out = auth_phc_format(fiber_arena(), &phc);
    return OK;
}

/* What is compared with when there is nothing to compare with. */
static auth_phc stand_in(const auth_cost *cost)
{
    static const uint8_t SALT[SALT_BYTES], HASH[HASH_BYTES];
    return (auth_phc){ *cost, { SALT, sizeof SALT }, { HASH, sizeof HASH } };
}

error auth_verify_password(str password, str hash)
{
    auth_cost cost;
    auth_phc phc;
    uint8_t derived[AUTH_DERIVED_BYTES_MAX];
    TRY(auth_settings_cost(&cost));
    const bool usable = auth_phc_parse(fiber_arena(), hash, &phc);
    if (!usable) {
        phc = stand_in(&cost);
        if (hash.ptr)
            log_warn("a stored password hash is malformed or too costly, and never matches");
    }
    const auth_kdf_input input = { phc.cost, str_slice(password, 0, AUTH_PASSWORD_BYTES_MAX),
                                   phc.salt };
    TRY(auth_kdf_run(&input, derived, phc.hash.len));
    const bool same = CRYPTO_memcmp(derived, phc.hash.ptr, phc.hash.len) == 0;
    OPENSSL_cleanse(derived, sizeof derived);
    if (!usable || !same || password.len > AUTH_PASSWORD_BYTES_MAX)
        return error_set(&AUTH_WRONG_CREDENTIALS, "%s",
                         usable ? "the password does not match" : "there is no usable hash");
    return OK;
}
