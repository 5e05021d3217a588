/* The settings, and the one place where auth keeps anything: values and keyed MACs that are made
 * when first needed, in the worker that needs them, and stay as long as its process. http_main
 * checks the same table before it serves, so reading it fails only in a program that did not list
 * it.
 *
 * Invariant: what is marked read is complete and never changes again. */
#include "settings.h"

#include "auth/auth.h"

#define SECRET_BYTES_MIN 32 /* RFC 7518 section 3.2: no shorter than the hash */
#define SECRET_BYTES_MAX 1024
#define ISSUER_BYTES_MAX 200
#define SECOND_MS        1000
#define MONTH_MS         (30 * 86400LL * SECOND_MS)

ERROR_KIND(AUTH_NOT_CONFIGURED, ERROR_INTERNAL, "The server could not complete the request.");

typedef struct settings {
    str secret;
    str secret_old;
    str issuer;
    int64_t token_lifetime_ms;
    int64_t memory_bytes;
    int64_t passes;
    int64_t lanes;
} settings;

#define AT(member) offsetof(settings, member)
const config_entry AUTH_SETTINGS[] = {
    { "AUTH_SECRET", CONFIG_SECRET, .min = SECRET_BYTES_MIN, .max = SECRET_BYTES_MAX,
      .required = true, .meaning = "signs and verifies tokens; the same in all processes",
      .offset = AT(secret) },
    { "AUTH_SECRET_OLD", CONFIG_SECRET, .min = SECRET_BYTES_MIN, .max = SECRET_BYTES_MAX,
      .meaning = "the former AUTH_SECRET while its tokens live: verifies, does not sign",
      .offset = AT(secret_old) },
    { "AUTH_ISSUER", CONFIG_TEXT, .min = 1, .max = ISSUER_BYTES_MAX,
      .meaning = "claim iss of tokens; when set, no other is taken", .offset = AT(issuer) },
    { "AUTH_TOKEN_LIFETIME", CONFIG_DURATION, "1h", .min = SECOND_MS, .max = MONTH_MS,
      .meaning = "how long a token is good for", .offset = AT(token_lifetime_ms) },
#define PASSWORD_ENTRIES 4 /* the index of the first entry that only passwords need */
    { "AUTH_ARGON2_MEMORY", CONFIG_BYTES, "19M", .min = 1048576,
      .max = AUTH_MEMORY_KIB_MAX * INT64_C(1024),
      .meaning = "memory to hash a password; two are hashed at once in a worker",
      .offset = AT(memory_bytes) },
    { "AUTH_ARGON2_PASSES", CONFIG_INT, "2", .min = 1, .max = AUTH_PASSES_MAX,
      .meaning = "passes over that memory", .offset = AT(passes), .unit = "passes" },
    { "AUTH_ARGON2_LANES", CONFIG_INT, "1", .min = 1, .max = AUTH_LANES_MAX,
      .meaning = "lanes of that memory, computed one after the other", .offset = AT(lanes),
      .unit = "lanes" },
    { 0 },
};
#undef AT

static struct {
    bool cost_is_read;
    bool policy_is_read;
    auth_cost cost;
    auth_policy policy;
} state;

static error read_cost(auth_cost *out)
{
    settings s;
    const error e = config_read(&AUTH_SETTINGS[PASSWORD_ENTRIES], &s);
    if (e.kind)
        return error_wrap(e, &AUTH_NOT_CONFIGURED, "the program must list AUTH_SETTINGS");
    *out = (auth_cost){ (uint32_t)(s.memory_bytes / 1024), (uint32_t)s.passes, (uint32_t)s.lanes };
    invariant(auth_cost_is_allowed(out));
    return OK;
}

static error read_policy(auth_policy *out)
{
    settings s;
    const error e = config_read(AUTH_SETTINGS, &s);
    if (e.kind)
        return error_wrap(e, &AUTH_NOT_CONFIGURED, "the program must list AUTH_SETTINGS");
    auth_policy policy = { .issuer = s.issuer, .lifetime_s = s.token_lifetime_ms / SECOND_MS };
    TRY(auth_mac_new(s.secret, &policy.keys.current));
    const error made = s.secret_old.len > 0 ? auth_mac_new(s.secret_old, &policy.keys.old) : OK;
    if (made.kind) {
        auth_mac_free(&policy.keys.current);
        return made;
    }
    *out = policy;
    return OK;
}

error auth_settings_cost(auth_cost *out)
{
    if (!state.cost_is_read)
        TRY(read_cost(&state.cost));
    state.cost_is_read = true;
    *out = state.cost;
    return OK;
}

error auth_settings_policy(const auth_policy **out)
{
    if (!state.policy_is_read)
        TRY(read_policy(&state.policy));
    state.policy_is_read = true;
    *out = &state.policy;
    return OK;
}
