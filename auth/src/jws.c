/* Signed text. The algorithm is ours to choose, never the token's: the signature is computed as
 * HS256 before anything else is believed, and a header that names another algorithm is refused
 * although its signature held (RFC 8725 sections 2.1 and 3.1).
 *
 * Invariant: no byte of header or payload is decoded unless one of our keys signed it. */
#include "jws.h"

#include "auth/jwt.h"
#include "core/arena.h"
#include "core/json.h"

#include <openssl/crypto.h>

/* {"alg":"HS256","typ":"JWT"} */
static const str HEADER = { "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", 36 };

static error refuse(const char *why)
{
    return error_set(&AUTH_TOKEN_INVALID, "%s", why);
}

error auth_jws_sign(arena *a, const auth_keys *keys, str payload, str *out)
{
    uint8_t mac[AUTH_MAC_BYTES];
    const str body = base64url_encode(a, (bytea){ (const uint8_t *)payload.ptr, payload.len });
    const str signed_part = str_format(a, "%.*s.%.*s", STR_ARG(HEADER), STR_ARG(body));
    TRY(auth_mac_sign(keys->current, signed_part, mac));
    const str signature = base64url_encode(a, (bytea){ mac, sizeof mac });
    *out = str_format(a, "%.*s.%.*s", STR_ARG(signed_part), STR_ARG(signature));
    invariant(out->len <= AUTH_JWS_BYTES_MAX);
    return OK;
}

static error signed_by(auth_mac *key, str data, bytea signature, bool *held)
{
    uint8_t mac[AUTH_MAC_BYTES];
    TRY(auth_mac_sign(key, data, mac));
    *held = CRYPTO_memcmp(mac, signature.ptr, sizeof mac) == 0;
    return OK;
}

static error check_signature(arena *a, const auth_keys *keys, str data, str text)
{
    bytea signature;
    bool held = false;
    if (!base64url_decode(a, text, &signature) || signature.len != AUTH_MAC_BYTES)
        return refuse("the signature is not one of HS256");
    TRY(signed_by(keys->current, data, signature, &held));
    if (!held && keys->old)
        TRY(signed_by(keys->old, data, signature, &held));
    return held ? OK : refuse("the signature does not hold");
}

static error decode(arena *a, str text, str *out)
{
    bytea bytes;
    if (!base64url_decode(a, text, &bytes))
        return refuse("a part is not base64url");
    *out = (str){ (const char *)bytes.ptr, bytes.len };
    return OK;
}

/* RFC 7515 section 4.1. Parameters we do not know are ignored, but for "crit", which forbids that;
 * we know no extension. */
static error check_header(arena *a, str text)
{
    json header;
    if (json_parse(a, text, &header).kind || header.type != JSON_OBJECT)
        return refuse("the header is not a JSON object");
    const json *alg = json_find(&header, STR("alg"));
    const json *typ = json_find(&header, STR("typ"));
    if (!alg || alg->type != JSON_STRING || !str_eq(alg->string, STR("HS256")))
        return refuse("the algorithm is not HS256");
    if (typ && (typ->type != JSON_STRING || !str_eq_nocase(typ->string, STR("JWT"))))
        return refuse("the type is not JWT");
    if (json_find(&header, STR("crit")))
        return refuse("the header has critical extensions");
    return OK;
}

error auth_jws_verify(arena *a, const auth_keys *keys, str token, str *payload)
{
    if (token.len > AUTH_JWS_BYTES_MAX)
        return refuse("the token is too long");
    str rest = token;
    const str header = str_cut(&rest, '.');
    const str body = str_cut(&rest, '.');
    if (!rest.ptr || header.len == 0 || body.len == 0)
        return refuse("the token does not have three parts");
    const str signed_part = str_between(header.ptr, body.ptr + body.len);
    TRY(check_signature(a, keys, signed_part, rest));
    str header_text;
    TRY(decode(a, header, &header_text));
    TRY(check_header(a, header_text));
    return decode(a, body, payload);
}
