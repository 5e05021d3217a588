/* Digests: a wrapper, so that the rooms above see no header of OpenSSL's. */
#include "core/digest.h"

#include <openssl/evp.h>

error digest_sha256(const str *pieces, size_t count, uint8_t out[DIGEST_SHA256_BYTES])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; good && i < count; i++)
        good = EVP_DigestUpdate(context, pieces[i].ptr, pieces[i].len) == 1;
    good = good && EVP_DigestFinal_ex(context, out, NULL) == 1;
    EVP_MD_CTX_free(context);
    return good ? OK : error_set(&OUT_OF_MEMORY, "no memory for a digest");
}
