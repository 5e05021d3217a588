/* Two rounds of MD5, the second over the first's digits. */
#include "md5.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#define DIGEST_BYTES 16
#define DIGIT_BYTES  32

/* The hexadecimal digits of MD5(first second). */
static bool digits_of(str first, str second, char out[DIGIT_BYTES])
{
    static const char DIGITS[] = "0123456789abcdef";
    uint8_t digest[DIGEST_BYTES];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool good = context && EVP_DigestInit_ex(context, EVP_md5(), NULL) == 1 &&
                      EVP_DigestUpdate(context, first.ptr, first.len) == 1 &&
                      EVP_DigestUpdate(context, second.ptr, second.len) == 1 &&
                      EVP_DigestFinal_ex(context, digest, NULL) == 1;
    EVP_MD_CTX_free(context);
    for (size_t i = 0; good && i < DIGEST_BYTES; i++) {
        out[2 * i] = DIGITS[digest[i] >> 4];
        out[2 * i + 1] = DIGITS[digest[i] & 15];
    }
    return good;
}

error pg_md5_answer(str user, str password, str salt, char out[PG_MD5_ANSWER_BYTES])
{
    char stored[DIGIT_BYTES];
    memcpy(out, "md5", 3);
    out[PG_MD5_ANSWER_BYTES - 1] = '\0';
    const bool good = digits_of(password, user, stored) &&
                      digits_of((str){ stored, sizeof stored }, salt, out + 3);
    OPENSSL_cleanse(stored, sizeof stored);
    return good ? OK : error_set(&SYSTEM_FAILED, "libcrypto does not compute MD5");
}
