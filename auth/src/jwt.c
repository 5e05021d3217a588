/* Claims (RFC 7519): sub, role, iat, exp and iss are written; these and nbf are read. Unknown
 * claims are ignored, as section 4 asks, but for "aud", which names whom the token is for: nobody
 * here has such a name, so a token with one is somebody else's (section 4.1.3).
 *
 * Invariant: an identity leaves this file only if its token was signed by us and is valid at the
 * time given. */
#include "claims.h"
#include "settings.h"

#include "core/fiber.h"
#include "core/json.h"

#include <math.h>

#define CLAIMS_BYTES_MAX 4096
#define EXACT_DOUBLE_MAX 9007199254740992.0 /* 2^53 */

ERROR_KIND(AUTH_TOKEN_INVALID, ERROR_UNAUTHENTICATED, "The token is not valid.");
ERROR_KIND(AUTH_TOKEN_EXPIRED, ERROR_UNAUTHENTICATED, "The token has expired.");

static error refuse(const char *why)
{
    return error_set(&AUTH_TOKEN_INVALID, "%s", why);
}

static bool role_is_valid(str role)
{
    return role.len > 0 && role.len <= AUTH_ROLE_BYTES_MAX && str_is_utf8(role) &&
           str_index(role, '\0') == role.len;
}

/* --- writing --------------------------------------------------------------------------------- */

error auth_token_make(arena *a, const auth_policy *policy, const auth_identity *who, int64_t now_s,
                      str *out)
{
    invariant(role_is_valid(who->role));
    buf claims;
    buf_init_arena(&claims, a, CLAIMS_BYTES_MAX);
    buf_append(&claims, STR("{\"sub\":\""));
    buf_append_int64(&claims, who->id);
    buf_append(&claims, STR("\",\"role\":"));
    json_write_string(&claims, who->role);
    if (policy->issuer.len > 0) {
        buf_append(&claims, STR(",\"iss\":"));
        json_write_string(&claims, policy->issuer);
    }
    buf_append(&claims, STR(",\"iat\":"));
    buf_append_int64(&claims, now_s);
    buf_append(&claims, STR(",\"exp\":"));
    buf_append_int64(&claims, now_s + policy->lifetime_s);
    buf_append_char(&claims, '}');
    TRY(buf_status(&claims));
    return auth_jws_sign(a, &policy->keys, buf_str(&claims), out);
}

/* --- reading --------------------------------------------------------------------------------- */

/* "sub": the number as we would write it. */
static bool read_id(const json *claim, int64_t *out)
{
    char written[INT64_TEXT_MAX];
    if (!claim || claim->type != JSON_STRING || !str_to_int64(claim->string, out))
        return false;
    const size_t len = int64_format(written, *out);
    return str_eq(claim->string, (str){ written, len });
}

/* A NumericDate: seconds since 1970, which may have a fraction (section 2). */
static bool read_date(const json *claim, int64_t *out)
{
    if (claim->type == JSON_INTEGER) {
        *out = claim->integer;
        return true;
    }
    if (claim->type != JSON_NUMBER || !(fabs(claim->number) <= EXACT_DOUBLE_MAX))
        return false;
    *out = (int64_t)floor(claim->number);
    return true;
}

/* A time that must not lie ahead: "iat" and "nbf". */
static error check_begun(const json *claim, int64_t now_s)
{
    int64_t date;
    if (!claim)
        return OK;
    if (!read_date(claim, &date))
        return refuse("a date is not a number");
    return date > now_s + AUTH_LEEWAY_S ? refuse("the token is not valid yet") : OK;
}

static error check_expiry(const json *claim, int64_t now_s)
{
    int64_t date;
    if (!claim || !read_date(claim, &date))
        return refuse("there is no expiry date");
    if (date <= now_s - AUTH_LEEWAY_S)
        return error_set(&AUTH_TOKEN_EXPIRED, "at %lld", (long long)date);
    return OK;
}

static error check_issuer(const json *claim, str issuer)
{
    if (claim && claim->type != JSON_STRING)
        return refuse("the issuer is not a string");
    if (issuer.len > 0 && !(claim && str_eq(claim->string, issuer)))
        return refuse("another issuer");
    return OK;
}

error auth_token_read(arena *a, const auth_policy *policy, str token, int64_t now_s,
                      auth_identity *out)
{
    str payload;
    json claims;
    TRY(auth_jws_verify(a, &policy->keys, token, &payload));
    if (json_parse(a, payload, &claims).kind || claims.type != JSON_OBJECT)
        return refuse("the claims are not a JSON object without duplicates");
    if (json_find(&claims, STR("aud")))
        return refuse("the token is for another audience");
    TRY(check_issuer(json_find(&claims, STR("iss")), policy->issuer));
    TRY(check_begun(json_find(&claims, STR("iat")), now_s));
    TRY(check_begun(json_find(&claims, STR("nbf")), now_s));
    TRY(check_expiry(json_find(&claims, STR("exp")), now_s));
    const json *role = json_find(&claims, STR("role"));
    if (!read_id(json_find(&claims, STR("sub")), &out->id))
        return refuse("the subject is not a number");
    if (!role || role->type != JSON_STRING || !role_is_valid(role->string))
        return refuse("there is no role");
    out->role = role->string;
    return OK;
}

/* --- by the settings, now --------------------------------------------------------------------- */

static int64_t clock_s(void)
{
    return timestamptz_to_unix(timestamptz_now());
}

static error issue(const auth_identity *who, str *out)
{
    const auth_policy *policy;
    TRY(auth_settings_policy(&policy));
    return auth_token_make(fiber_arena(), policy, who, clock_s(), out);
}

str auth_issue(int64_t id, str role)
{
    str token;
    const error e = issue(&(auth_identity){ id, role }, &token);
    if (e.kind)
        fiber_end_now(e);
    return token;
}

error auth_verify_token(str token, auth_identity *out)
{
    const auth_policy *policy;
    TRY(auth_settings_policy(&policy));
    return auth_token_read(fiber_arena(), policy, token, clock_s(), out);
}
