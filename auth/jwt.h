/* Tokens: JSON Web Tokens (RFC 7519) signed with HMAC-SHA-256, and nothing else.
 *
 * The key is AUTH_SECRET. To change it, start with the new one there and the former one in
 * AUTH_SECRET_OLD, which still verifies but no longer signs; drop that after AUTH_TOKEN_LIFETIME.
 * A token cannot be called back: it holds until it expires or its key is gone. */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include "core/error.h"

#define AUTH_ROLE_BYTES_MAX 128

/* Who a token speaks for. */
typedef struct auth_identity {
    int64_t id; /* the account's key: claim "sub" */
    str role;
} auth_identity;

extern const error_kind AUTH_TOKEN_INVALID; /* UNAUTHENTICATED: 401 */
extern const error_kind AUTH_TOKEN_EXPIRED; /* UNAUTHENTICATED: 401 */

/* A token for an account, good for AUTH_TOKEN_LIFETIME from now.
 *   role  1 to AUTH_ROLE_BYTES_MAX bytes of UTF-8 without NUL
 *   owns  the token lives in the running fiber's arena
 *   ends  the fiber with AUTH_NOT_CONFIGURED (500) when there is no good AUTH_SECRET, which cannot
 *         be in a program that lists AUTH_SETTINGS */
str auth_issue(int64_t id, str role);

/* Reads a token that need not be one: at most 8 KiB, signed by one of our keys, of our issuer if
 * AUTH_ISSUER is set, and valid now (give or take 30 s between clocks).
 *   owns   `out->role` is a view of memory in the running fiber's arena
 *   fails  AUTH_TOKEN_INVALID, AUTH_TOKEN_EXPIRED; AUTH_NOT_CONFIGURED */
error auth_verify_token(str token, auth_identity *out);

#endif
