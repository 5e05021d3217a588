/* Tokens under explicit rules and at an explicit time. */
#ifndef AUTH_SRC_CLAIMS_H
#define AUTH_SRC_CLAIMS_H

#include "jws.h"

#include "auth/jwt.h"

#define AUTH_LEEWAY_S 30 /* what two clocks may be apart */

typedef struct auth_policy {
    auth_keys keys;
    str issuer; /* STR_NONE: none is written, any is taken */
    int64_t lifetime_s;
} auth_policy;

/* The token of an identity at `now_s` (seconds since 1970); lives in `a`.
 *   fails  SYSTEM_FAILED */
error auth_token_make(arena *a, const auth_policy *policy, const auth_identity *who, int64_t now_s,
                      str *out);
/* Reads a token at `now_s`; strings of `*out` live in `a`.
 *   fails  AUTH_TOKEN_INVALID, AUTH_TOKEN_EXPIRED, SYSTEM_FAILED */
error auth_token_read(arena *a, const auth_policy *policy, str token, int64_t now_s,
                      auth_identity *out);

#endif
