/* Guards: who may call a route. One is a column of the route table:
 *
 *   { HTTP_GET, "/notes", list_notes, auth_required, … }
 *
 * They read the token of `Authorization: Bearer …` (RFC 6750). What they refuse gets a
 * WWW-Authenticate header that says why. */
#ifndef AUTH_GUARD_H
#define AUTH_GUARD_H

#include "auth/jwt.h"
#include "http/request.h"

extern const error_kind AUTH_TOKEN_MISSING; /* UNAUTHENTICATED: 401 */
extern const error_kind AUTH_FORBIDDEN;     /* FORBIDDEN: 403 */

/* Lets in who brings a valid token; from then on auth_user answers.
 *   fails  AUTH_TOKEN_MISSING, AUTH_TOKEN_INVALID, AUTH_TOKEN_EXPIRED */
error auth_required(http_request *req);

/* The same, and the token must name `role`. For guards of one's own:
 *   static error auth_admin(http_request *req) { return auth_require_role(req, STR("admin")); }
 *   fails  as auth_required; AUTH_FORBIDDEN */
error auth_require_role(http_request *req, str role);

/* Who is asking. Asking on a route whose guard lets in anybody is a programmer's error.
 *   owns   lives as long as the request */
const auth_identity *auth_user(const http_request *req) RETURNS_NONNULL;

#endif
