/* From a request to an identity. The token is read once a request: guards may call one another.
 *
 * Challenges follow RFC 6750 section 3: no error code for who brought no token, invalid_token for
 * one that does not hold, insufficient_scope for one that holds and is not enough.
 *
 * Invariant: USER is set on a request exactly when its token was verified. */
#include "auth/guard.h"

ERROR_KIND(AUTH_TOKEN_MISSING, ERROR_UNAUTHENTICATED, "This resource needs a bearer token.");
ERROR_KIND(AUTH_FORBIDDEN, ERROR_FORBIDDEN, "This account may not do that.");

static const http_key USER = { "auth.user" };

#define CHALLENGE "Bearer realm=\"api\""

static error challenge(http_request *req, str value, error why)
{
    TRY(http_set_header(req, STR("WWW-Authenticate"), value));
    return why;
}

/* The token of "Bearer <token>", or STR_NONE when there is none. */
static str bearer_token(const http_request *req)
{
    str rest = http_header(req, STR("Authorization"));
    const str scheme = str_cut(&rest, ' ');
    const str token = str_trim(rest, STR(" "));
    return str_eq_nocase(scheme, STR("Bearer")) && token.len > 0 ? token : STR_NONE;
}

static error refuse_token(http_request *req, error why)
{
    if (error_is(why, &AUTH_TOKEN_EXPIRED))
        return challenge(req,
                         STR(CHALLENGE ", error=\"invalid_token\""
                                       ", error_description=\"The token has expired\""),
                         why);
    if (error_is(why, &AUTH_TOKEN_INVALID))
        return challenge(req, STR(CHALLENGE ", error=\"invalid_token\""), why);
    return why; /* ours, not the client's */
}

error auth_required(http_request *req)
{
    if (http_value(req, &USER))
        return OK;
    const str token = bearer_token(req);
    if (!token.ptr)
        return challenge(req, STR(CHALLENGE), error_set(&AUTH_TOKEN_MISSING, "no bearer token"));
    auth_identity *user = ARENA_NEW(http_request_arena(req), auth_identity);
    const error e = auth_verify_token(token, user);
    if (e.kind)
        return refuse_token(req, e);
    http_set_value(req, &USER, user);
    return OK;
}

error auth_require_role(http_request *req, str role)
{
    TRY(auth_required(req));
    if (str_eq(auth_user(req)->role, role))
        return OK;
    return challenge(req, STR(CHALLENGE ", error=\"insufficient_scope\""),
                     error_set(&AUTH_FORBIDDEN, "needs the role %.*s", STR_ARG(role)));
}

const auth_identity *auth_user(const http_request *req)
{
    const auth_identity *user = http_value(req, &USER);
    invariant(user != NULL); /* the route's guard is auth_required, or calls it */
    return user;
}
