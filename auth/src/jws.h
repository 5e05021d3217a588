/* JSON Web Signature (RFC 7515), compact form, HS256 only: header "." payload "." signature. */
#ifndef AUTH_SRC_JWS_H
#define AUTH_SRC_JWS_H

#include "mac.h"

#define AUTH_JWS_BYTES_MAX 8192 /* of a whole token */

typedef struct auth_keys {
    auth_mac *current; /* signs and verifies */
    auth_mac *old;     /* verifies only; NULL: none */
} auth_keys;

/* Signs a payload that is small enough for AUTH_JWS_BYTES_MAX; the token lives in `a`.
 *   fails  SYSTEM_FAILED */
error auth_jws_sign(arena *a, const auth_keys *keys, str payload, str *out);
/* Checks size, form, signature and header, in this order; nothing is decoded before the signature
 * has held.
 *   owns   `*payload` lives in `a`
 *   fails  AUTH_TOKEN_INVALID, SYSTEM_FAILED */
error auth_jws_verify(arena *a, const auth_keys *keys, str token, str *payload);

#endif
