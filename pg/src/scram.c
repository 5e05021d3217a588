/* SCRAM-SHA-256 for PostgreSQL: prove that one knows the password without sending it, and have the
 * server prove the same, so that an impostor's server is found out before the first query.
 *
 * Everything a server sends is parsed strictly (RFC 5802 section 7) and bounded: the iteration
 * count because it costs CPU, the salt and the message because they cost memory. Base64 must be
 * canonical. Signatures are compared in constant time. Error texts never hold what the messages
 * hold. Passwords come prepared (saslprep.h).
 *
 * Invariant: `step` only moves forward, and to PG_SCRAM_FAILED from everywhere. */
#include "scram.h"

#include <assert.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#define NONCE_RANDOM_BYTES 18
#define NONCE_TEXT_BYTES   24 /* of base64, without padding */
#define KEY_TEXT_BYTES     44 /* of a key in base64 */
#define GS2_BYTES_MAX      24
#define BINDING_BYTES_MAX  (GS2_BYTES_MAX + PG_SCRAM_CHANNEL_BYTES_MAX)
#define BINDING_TEXT_BYTES ((BINDING_BYTES_MAX + 2) / 3 * 4)
#define ERROR_SHOWN_MAX    60

static_assert(PG_SCRAM_KEY_BYTES == SHA256_DIGEST_LENGTH, "keys are SHA-256 digests");
static_assert(NONCE_RANDOM_BYTES % 3 == 0 && NONCE_TEXT_BYTES == NONCE_RANDOM_BYTES / 3 * 4,
              "the nonce has no padding");

static error crypto_failed(void)
{
    return error_set(&SYSTEM_FAILED, "libcrypto could not compute a key");
}

/* The concatenation of `count` slices, in the arena; STR_NONE without memory. The connection calls
 * from the loop, where an arena must not end the fiber. */
static str concat(arena *a, const str *parts, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += parts[i].len;
    char *to = arena_try_alloc(a, total, 1);
    if (!to)
        return STR_NONE;
    char *at = to;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0)
            memcpy(at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    return str_between(to, at);
}

static error out_of_memory(void)
{
    return error_set(&OUT_OF_MEMORY, "no memory for an authentication message");
}

/* Fails the authentication. */
static error fail(pg_scram *s, error e)
{
    s->step = PG_SCRAM_FAILED;
    return e;
}

static error malformed(pg_scram *s, const char *what)
{
    return fail(s, error_set(&PG_AUTH_FAILED, "the server's SCRAM message is malformed: %s", what));
}

static bool hmac(const uint8_t key[PG_SCRAM_KEY_BYTES], str data, uint8_t out[PG_SCRAM_KEY_BYTES])
{
    unsigned int len = 0;
    return HMAC(EVP_sha256(), key, PG_SCRAM_KEY_BYTES, (const unsigned char *)data.ptr, data.len,
                out, &len) != NULL &&
           len == PG_SCRAM_KEY_BYTES;
}

/* --- base64 ----------------------------------------------------------------------------------- */

static bool is_base64(str text)
{
    size_t digits = text.len;
    while (digits > 0 && text.len - digits < 2 && text.ptr[digits - 1] == '=')
        digits--;
    for (size_t i = 0; i < digits; i++) {
        const char c = text.ptr[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '+' && c != '/')
            return false;
    }
    return text.len > 0 && text.len % 4 == 0;
}

/* Decodes at most PG_SCRAM_SALT_BYTES_MAX bytes; false unless `text` is what encoding them gives.
 */
static bool decode_base64(str text, uint8_t out[PG_SCRAM_SALT_BYTES_MAX], size_t *len)
{
    unsigned char decoded[PG_SCRAM_SALT_BYTES_MAX + 2];
    unsigned char again[sizeof decoded / 3 * 4 + 1];
    static_assert(sizeof decoded % 3 == 0, "whole groups fit");
    if (!is_base64(text) || text.len / 4 * 3 > sizeof decoded)
        return false;
    const int got = EVP_DecodeBlock(decoded, (const unsigned char *)text.ptr, (int)text.len);
    if (got < 3)
        return false;
    size_t bytes = (size_t)got;
    for (size_t i = text.len; text.ptr[i - 1] == '='; i--)
        bytes--;
    const int encoded = EVP_EncodeBlock(again, decoded, (int)bytes);
    if (bytes > PG_SCRAM_SALT_BYTES_MAX || !str_eq(text, (str){ (char *)again, (size_t)encoded }))
        return false;
    memcpy(out, decoded, bytes);
    *len = bytes;
    return true;
}

/* --- the client's first message --------------------------------------------------------------- */

/* What tells the server whether we bind. */
static str gs2_header(pg_scram_binding binding)
{
    switch (binding) {
    case PG_SCRAM_UNBOUND:
        return STR("n,,");
    case PG_SCRAM_NOT_OFFERED:
        return STR("y,,");
    case PG_SCRAM_BOUND:
        return STR("p=tls-server-end-point,,");
    }
    unreachable();
}

error pg_scram_first(pg_scram *s, arena *a, const pg_scram_channel *channel,
                     str *client_first_message)
{
    unsigned char random[NONCE_RANDOM_BYTES];
    unsigned char text[NONCE_TEXT_BYTES + 1];
    if (RAND_bytes(random, sizeof random) != 1)
        return error_set(&SYSTEM_FAILED, "libcrypto has no random bytes");
    EVP_EncodeBlock(text, random, sizeof random);
    const pg_scram_vector vector = { *channel, STR(""), { (char *)text, NONCE_TEXT_BYTES } };
    return pg_scram_first_with(s, a, &vector, client_first_message);
}

error pg_scram_first_with(pg_scram *s, arena *a, const pg_scram_vector *vector,
                          str *client_first_message)
{
    const str user = vector->user, nonce = vector->nonce, hash = vector->channel.end_point;
    const str header = gs2_header(vector->channel.binding);
    invariant(nonce.len > 0 && str_index(nonce, ',') == nonce.len);
    invariant(str_index(user, ',') == user.len && str_index(user, '=') == user.len);
    invariant((hash.len > 0) == (vector->channel.binding == PG_SCRAM_BOUND));
    invariant(hash.len <= PG_SCRAM_CHANNEL_BYTES_MAX && header.len <= GS2_BYTES_MAX);
    const str parts[] = { header, STR("n="), user, STR(",r="), nonce };
    pg_scram_wipe(s);
    s->binding = vector->channel.binding;
    s->end_point_len = hash.len;
    if (hash.len > 0)
        memcpy(s->end_point, hash.ptr, hash.len);
    const str message = concat(a, parts, ARRAY_LEN(parts));
    if (!message.ptr)
        return out_of_memory();
    s->client_first_bare = str_slice(message, header.len, message.len);
    s->client_nonce = str_slice(message, message.len - nonce.len, nonce.len);
    s->step = PG_SCRAM_STARTED;
    *client_first_message = message;
    return OK;
}

/* --- the server's first message --------------------------------------------------------------- */

/* Cuts "k=value" from `*rest`; false when the next attribute is not `key`. */
static bool cut_attribute(str *rest, char key, str *value)
{
    const str attribute = str_cut(rest, ',');
    if (attribute.len < 2 || attribute.ptr[0] != key || attribute.ptr[1] != '=')
        return false;
    *value = str_slice(attribute, 2, attribute.len);
    return true;
}

/* RFC 5802's "printable": ASCII without space and comma. */
static bool is_printable(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7F || s.ptr[i] == ',')
            return false;
    }
    return true;
}

/* RFC 5802's "posit-number": digits, the first not 0. */
static bool parse_iterations(str text, uint32_t *out)
{
    uint64_t value;
    if (text.len == 0 || text.ptr[0] == '0' || !str_to_uint64(text, &value) ||
        value > PG_SCRAM_ITERATIONS_MAX)
        return false;
    *out = (uint32_t)value;
    return true;
}

error pg_scram_server_first(pg_scram *s, arena *a, str server_first_message)
{
    if (s->step != PG_SCRAM_STARTED)
        return fail(s, error_set(&PG_PROTOCOL_VIOLATION, "a SCRAM challenge out of turn"));
    if (server_first_message.len > PG_SCRAM_MESSAGE_BYTES_MAX)
        return malformed(s, "it is too long");
    s->server_first = concat(a, &server_first_message, 1);
    if (!s->server_first.ptr)
        return fail(s, out_of_memory());

    str rest = s->server_first;
    str salt;
    str iterations;
    if (!cut_attribute(&rest, 'r', &s->nonce)) /* also "m=": an extension one must understand */
        return malformed(s, "it does not begin with a nonce");
    if (!is_printable(s->nonce) || s->nonce.len <= s->client_nonce.len ||
        !str_starts_with(s->nonce, s->client_nonce))
        return malformed(s, "its nonce does not extend the client's");
    if (!cut_attribute(&rest, 's', &salt) || !decode_base64(salt, s->salt, &s->salt_len))
        return malformed(s, "no salt");
    if (!cut_attribute(&rest, 'i', &iterations))
        return malformed(s, "no iteration count");
    if (!parse_iterations(iterations, &s->iterations))
        return malformed(s, "its iteration count is not one of 1 to 1,000,000");
    if (rest.ptr)
        return malformed(s, "something follows the iteration count");
    s->step = PG_SCRAM_CHALLENGED;
    return OK;
}

/* --- keys and proofs -------------------------------------------------------------------------- */

error pg_scram_derive(pg_scram *s, str password)
{
    invariant(s->step == PG_SCRAM_CHALLENGED);
    invariant(s->iterations >= 1 && s->iterations <= PG_SCRAM_ITERATIONS_MAX);
    if (password.len == 0) /* which PostgreSQL refuses for every role */
        return fail(s, error_set(&PG_AUTH_FAILED, "the server asks for a password, none is given"));
    if (password.len > INT_MAX)
        return fail(s, error_set(&PG_AUTH_FAILED, "the password is too long"));
    uint8_t salted[PG_SCRAM_KEY_BYTES];
    const bool good =
        PKCS5_PBKDF2_HMAC(password.ptr, (int)password.len, s->salt, (int)s->salt_len,
                          (int)s->iterations, EVP_sha256(), sizeof salted, salted) == 1 &&
        hmac(salted, STR("Client Key"), s->client_key) &&
        hmac(salted, STR("Server Key"), s->server_key);
    OPENSSL_cleanse(salted, sizeof salted);
    if (!good)
        return fail(s, crypto_failed());
    s->step = PG_SCRAM_DERIVED;
    return OK;
}

void pg_scram_use(pg_scram *s, const uint8_t client_key[PG_SCRAM_KEY_BYTES],
                  const uint8_t server_key[PG_SCRAM_KEY_BYTES])
{
    invariant(s->step == PG_SCRAM_CHALLENGED);
    memcpy(s->client_key, client_key, sizeof s->client_key);
    memcpy(s->server_key, server_key, sizeof s->server_key);
    s->step = PG_SCRAM_DERIVED;
}

/* The header and what is bound to, in base64; to `text`. */
static str binding_of(const pg_scram *s, unsigned char text[BINDING_TEXT_BYTES + 1])
{
    unsigned char bytes[BINDING_BYTES_MAX];
    const str header = gs2_header(s->binding);
    memcpy(bytes, header.ptr, header.len);
    memcpy(bytes + header.len, s->end_point, s->end_point_len);
    const int len = EVP_EncodeBlock(text, bytes, (int)(header.len + s->end_point_len));
    return (str){ (char *)text, (size_t)len };
}

/* ClientProof = ClientKey xor HMAC(H(ClientKey), messages), in base64. */
static bool prove(const pg_scram *s, str messages, unsigned char text[KEY_TEXT_BYTES + 1])
{
    uint8_t stored_key[PG_SCRAM_KEY_BYTES];
    uint8_t proof[PG_SCRAM_KEY_BYTES];
    const bool good = SHA256(s->client_key, sizeof s->client_key, stored_key) &&
                      hmac(stored_key, messages, proof);
    if (good) {
        for (size_t i = 0; i < sizeof proof; i++)
            proof[i] ^= s->client_key[i];
        EVP_EncodeBlock(text, proof, sizeof proof);
    }
    OPENSSL_cleanse(stored_key, sizeof stored_key);
    return good;
}

error pg_scram_final(pg_scram *s, arena *a, str *client_final_message)
{
    invariant(s->step == PG_SCRAM_DERIVED);
    unsigned char binding_text[BINDING_TEXT_BYTES + 1];
    const str binding = binding_of(s, binding_text);
    const str signed_parts[] = {
        s->client_first_bare, STR(","), s->server_first, STR(",c="), binding, STR(",r="), s->nonce,
    };
    const str messages = concat(a, signed_parts, ARRAY_LEN(signed_parts));
    if (!messages.ptr)
        return fail(s, out_of_memory());
    unsigned char proof[KEY_TEXT_BYTES + 1];
    if (!prove(s, messages, proof) || !hmac(s->server_key, messages, s->server_signature))
        return fail(s, crypto_failed());
    const str parts[] = { STR("c="), binding,    STR(",r="),
                          s->nonce,  STR(",p="), { (char *)proof, KEY_TEXT_BYTES } };
    const str message = concat(a, parts, ARRAY_LEN(parts));
    if (!message.ptr)
        return fail(s, out_of_memory());
    s->step = PG_SCRAM_PROVED;
    *client_final_message = message;
    return OK;
}

/* --- the server's final message --------------------------------------------------------------- */

error pg_scram_server_final(pg_scram *s, str server_final_message)
{
    if (s->step != PG_SCRAM_PROVED)
        return fail(s, error_set(&PG_PROTOCOL_VIOLATION, "a SCRAM signature out of turn"));
    str rest = server_final_message;
    str value;
    if (cut_attribute(&rest, 'e', &value)) {
        const str shown = str_slice(value, 0, ERROR_SHOWN_MAX);
        return fail(s, error_set(&PG_AUTH_FAILED, "the server refused the SCRAM proof: %.*s",
                                 is_printable(shown) ? (int)shown.len : 0, shown.ptr));
    }
    rest = server_final_message;
    uint8_t signature[PG_SCRAM_SALT_BYTES_MAX];
    size_t len;
    if (!cut_attribute(&rest, 'v', &value) || !decode_base64(value, signature, &len) || rest.ptr)
        return malformed(s, "no signature");
    if (len != PG_SCRAM_KEY_BYTES ||
        CRYPTO_memcmp(signature, s->server_signature, PG_SCRAM_KEY_BYTES) != 0)
        return fail(s, error_set(&PG_AUTH_FAILED, "the server's SCRAM signature is wrong: it does "
                                                  "not know the password"));
    s->step = PG_SCRAM_VERIFIED;
    return OK;
}

void pg_scram_wipe(pg_scram *s)
{
    OPENSSL_cleanse(s, sizeof *s);
}
