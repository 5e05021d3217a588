/* HMAC-SHA-256 by libcrypto. The keyed context is made once and started over for each message, so
 * that a request neither fetches an algorithm nor hashes the key again. */
#include "mac.h"

#include "core/fault.h"
#include "core/memory.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>

struct auth_mac {
    EVP_MAC_CTX *context;
};

static bool start_with_key(EVP_MAC_CTX *context, str key)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_init(context, (const unsigned char *)key.ptr, key.len, params) == 1;
}

error auth_mac_new(str key, auth_mac **out)
{
    invariant(key.len > 0);
    auth_mac *mac = MEMORY_NEW(auth_mac);
    if (!mac)
        return error_set(&OUT_OF_MEMORY, "no memory for a signing key");
    EVP_MAC *algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
    mac->context = algorithm ? EVP_MAC_CTX_new(algorithm) : NULL;
    EVP_MAC_free(algorithm);
    if (!mac->context || !start_with_key(mac->context, key)) {
        auth_mac_free(&mac);
        return error_set(&SYSTEM_FAILED, "libcrypto has no HMAC-SHA-256");
    }
    *out = mac;
    return OK;
}

void auth_mac_free(auth_mac **owner)
{
    auth_mac *mac = *owner;
    *owner = NULL;
    if (!mac)
        return;
    EVP_MAC_CTX_free(mac->context);
    memory_free(mac);
}

error auth_mac_sign(auth_mac *mac, str data, uint8_t out[AUTH_MAC_BYTES])
{
    size_t len = 0;
    if (fault_point("auth.mac") || EVP_MAC_init(mac->context, NULL, 0, NULL) != 1 ||
        EVP_MAC_update(mac->context, (const unsigned char *)data.ptr, data.len) != 1 ||
        EVP_MAC_final(mac->context, out, &len, AUTH_MAC_BYTES) != 1)
        return error_set(&SYSTEM_FAILED, "HMAC-SHA-256 failed");
    invariant(len == AUTH_MAC_BYTES);
    return OK;
}
