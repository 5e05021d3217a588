/* From what was given to what is done: the parameters of a connection are checked, converted and
 * completed here, in libpq's order and with its defaults.
 *
 * Each reader takes one parameter, or a few that belong together, and fills its part of the result;
 * the first that refuses ends it. */
#include "conninfo.h"

#include "conninfo_text.h"
#include "hosts.h"
#include "service_file.h"
#include "small_file.h"

#include "core/stream.h"

#include <assert.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PASSWD_BYTES 1024
#define SPACES       " \t\n\v\f\r"

/* A word, and the number that it stands for: its place in a list that NULL ends. */
static error read_word(const pg_parameters *p, pg_parameter which, const char *const *words,
                       const char *why, int *out)
{
    const str given = p->given[which].value;
    if (!given.ptr)
        return OK;
    for (int i = 0; words[i]; i++) {
        if (str_eq(given, str_from_c(words[i]))) {
            *out = i;
            return OK;
        }
    }
    return pg_parameters_refuse(p, which, why);
}

/* Given, and 0 or less. */
static bool is_none(const pg_parameters *p, pg_parameter which, uint32_t number)
{
    return number == 0 && p->given[which].value.len > 0;
}

/* A whole number as libpq reads it, spaces around it allowed; 0 and less, and none: 0. */
static error read_count(const pg_parameters *p, pg_parameter which, const char *why, uint32_t *out)
{
    const str text = str_trim(pg_parameters_get(p, which), STR(SPACES));
    int64_t number = 0;
    *out = 0;
    if (p->given[which].value.len > 0 &&
        (!str_to_int64(text, &number) || number < INT32_MIN || number > INT32_MAX))
        return pg_parameters_refuse(p, which, why);
    *out = number > 0 ? (uint32_t)number : 0;
    return OK;
}

/* --- who ------------------------------------------------------------------------------------- */

/* The name of the user that the process runs as. */
static error read_system_user(arena *a, str *out)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char room[PASSWD_BYTES];
    const int failed = getpwuid_r(geteuid(), &entry, room, sizeof room, &found);
    if (failed || !found || !found->pw_name[0])
        return error_set_errno(&PG_CONNINFO_INVALID, failed,
                               "no user is given, and that of the process has no name");
    const size_t len = strlen(found->pw_name);
    char *name = arena_try_alloc(a, len, 1);
    if (!name)
        return error_set(&OUT_OF_MEMORY, "no memory for the user's name");
    memcpy(name, found->pw_name, len);
    *out = (str){ name, len };
    return OK;
}

static error read_user(const pg_parameters *p, arena *a, pg_conninfo *out)
{
    out->user = pg_parameters_get(p, PG_PARAM_USER);
    if (out->user.len == 0)
        TRY(read_system_user(a, &out->user));
    const str database = pg_parameters_get(p, PG_PARAM_DATABASE);
    out->database = database.len > 0 ? database : out->user;
    return OK;
}

/* The user that the server's process must run as. */
static error read_peer(const pg_parameters *p, pg_conninfo *out)
{
    struct passwd entry, *found = NULL;
    char room[PASSWD_BYTES], name[64];
    const str given = pg_parameters_get(p, PG_PARAM_REQUIRE_PEER);
    out->peer_uid = PG_NO_UID;
    if (given.len == 0)
        return OK;
    if (given.len < sizeof name) {
        memcpy(name, given.ptr, given.len);
        name[given.len] = '\0';
        if (getpwnam_r(name, &entry, room, sizeof room, &found) == 0 && found) {
            out->peer_uid = found->pw_uid;
            return OK;
        }
    }
    return pg_parameters_refuse(p, PG_PARAM_REQUIRE_PEER, "the system has no such user");
}

/* --- what is sent at the start ---------------------------------------------------------------- */

static error read_session(const pg_parameters *p, pg_conninfo *out)
{
    static const struct {
        pg_parameter which;
        const char *name;
    } settings[] = {
        { PG_PARAM_DATESTYLE, "datestyle" },
        { PG_PARAM_TIMEZONE, "timezone" },
        { PG_PARAM_GEQO, "geqo" },
    };
    static_assert(ARRAY_LEN(settings) * 2 == ARRAY_LEN(out->session), "a place for each");
    const str name = pg_parameters_get(p, PG_PARAM_APPLICATION_NAME);
    out->application_name =
        name.len > 0 ? name : pg_parameters_get(p, PG_PARAM_FALLBACK_APPLICATION_NAME);
    out->options = pg_parameters_get(p, PG_PARAM_OPTIONS);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        const str value = pg_parameters_get(p, settings[i].which);
        out->session[2 * i] = str_from_c(settings[i].name);
        out->session[2 * i + 1] = str_eq_nocase(value, STR("default")) ? STR("") : value;
    }
    return OK;
}

/* The parameters that are accepted only where they ask for what is done anyway. */
static error check_fixed(const pg_parameters *p)
{
    static const struct {
        pg_parameter which;
        const char *allowed[5];
        const char *why;
    } rows[] = {
        { PG_PARAM_CLIENT_ENCODING, { "UTF8", "UTF-8", "auto", "" }, "it is always UTF8" },
        { PG_PARAM_GSSENCMODE, { "disable", "prefer" }, "GSSAPI is not spoken" },
        { PG_PARAM_SSLCOMPRESSION, { "0", "1", "" }, "it must be 0 or 1; nothing is compressed" },
        { PG_PARAM_REPLICATION,
          { "false", "off", "no", "0", "" },
          "replication connections are not made" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const str value = p->given[rows[i].which].value;
        bool good = !value.ptr;
        for (size_t k = 0; k < ARRAY_LEN(rows[i].allowed) && rows[i].allowed[k]; k++)
            good = good || str_eq_nocase(value, str_from_c(rows[i].allowed[k]));
        if (!good)
            return pg_parameters_refuse(p, rows[i].which, rows[i].why);
    }
    return OK;
}

/* --- how to reach it -------------------------------------------------------------------------- */

static error read_network(const pg_parameters *p, pg_conninfo *out)
{
    static const char SECONDS[] = "it must be a whole number of seconds";
    uint32_t seconds, keepalives;
    TRY(read_count(p, PG_PARAM_CONNECT_TIMEOUT, SECONDS, &seconds));
    out->connect_timeout_ms = seconds > UINT32_MAX / 1000 ? UINT32_MAX : seconds * 1000;
    out->without_connect_timeout = is_none(p, PG_PARAM_CONNECT_TIMEOUT, seconds);
    TRY(read_count(p, PG_PARAM_KEEPALIVES_IDLE, SECONDS, &out->keepalive_idle_s));
    TRY(read_count(p, PG_PARAM_KEEPALIVES_INTERVAL, SECONDS, &out->keepalive_interval_s));
    TRY(read_count(p, PG_PARAM_KEEPALIVES_COUNT, "it must be a whole number",
                   &out->keepalive_probes));
    TRY(read_count(p, PG_PARAM_TCP_USER_TIMEOUT, "it must be a whole number of milliseconds",
                   &out->peer_timeout_ms));
    TRY(read_count(p, PG_PARAM_KEEPALIVES, "it must be 0 or 1", &keepalives));
    out->without_peer_timeout = is_none(p, PG_PARAM_TCP_USER_TIMEOUT, out->peer_timeout_ms);
    out->without_keepalive = is_none(p, PG_PARAM_KEEPALIVES, keepalives);
    return OK;
}

static error read_choice_of_hosts(const pg_parameters *p, pg_conninfo *out)
{
    static const char *const ATTRS[] = {
        [PG_SESSION_ANY] = "any",
        [PG_SESSION_READ_WRITE] = "read-write",
        [PG_SESSION_READ_ONLY] = "read-only",
        [PG_SESSION_PRIMARY] = "primary",
        [PG_SESSION_STANDBY] = "standby",
        [PG_SESSION_PREFER_STANDBY] = "prefer-standby",
        NULL,
    };
    static const char *const BALANCING[] = { "disable", "random", "least-latency", NULL };
    int attrs = PG_SESSION_ANY, balancing = 0;
    TRY(read_word(p, PG_PARAM_TARGET_SESSION_ATTRS, ATTRS,
                  "it must be one of any, read-write, read-only, primary, standby, prefer-standby",
                  &attrs));
    TRY(read_word(p, PG_PARAM_LOAD_BALANCE_HOSTS, BALANCING,
                  "it must be disable, random or least-latency", &balancing));
    out->session_attrs = (pg_session_attrs)attrs;
    out->balances_hosts = balancing == 1;
    out->least_latency = balancing == 2;
    return OK;
}

/* --- the protocol and who proves what --------------------------------------------------------- */

static error read_protocol(const pg_parameters *p, pg_conninfo *out)
{
    static const char *const VERSIONS[] = { "3.0", "3.2", "latest", NULL };
    static const char WHY[] = "it must be 3.0, 3.2 or latest";
    int lowest = 0, highest = 0;
    TRY(read_word(p, PG_PARAM_MIN_PROTOCOL_VERSION, VERSIONS, WHY, &lowest));
    TRY(read_word(p, PG_PARAM_MAX_PROTOCOL_VERSION, VERSIONS, WHY, &highest));
    out->protocol_min = lowest > 0 ? 2 : 0;
    out->protocol_max = highest > 0 ? 2 : 0;
    if (!p->given[PG_PARAM_MAX_PROTOCOL_VERSION].value.ptr) /* 3.0: many poolers break on 3.2 */
        out->protocol_max = out->protocol_min;
    return out->protocol_min <= out->protocol_max
               ? OK
               : pg_parameters_refuse(p, PG_PARAM_MIN_PROTOCOL_VERSION,
                                      "it is above max_protocol_version");
}

static uint32_t method_of(str name)
{
    static const struct {
        const char *name;
        pg_auth_method method;
    } methods[] = {
        { "password", PG_AUTH_PASSWORD },   { "md5", PG_AUTH_MD5 },   { "gss", PG_AUTH_GSS },
        { "scram-sha-256", PG_AUTH_SCRAM }, { "sspi", PG_AUTH_SSPI }, { "none", PG_AUTH_NONE },
        { "oauth", PG_AUTH_OAUTH },
    };
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (str_eq(name, str_from_c(methods[i].name)))
            return methods[i].method;
    }
    return 0;
}

/* "scram-sha-256,none": only these; "!password,!md5": all but these. */
static error read_auth_methods(const pg_parameters *p, pg_conninfo *out)
{
    str rest = p->given[PG_PARAM_REQUIRE_AUTH].value;
    out->auth_methods = PG_AUTH_ALL;
    if (rest.len == 0)
        return OK;
    const bool negated = rest.ptr[0] == '!';
    uint32_t named = 0;
    while (rest.ptr) {
        str name = str_cut(&rest, ',');
        if (str_starts_with(name, STR("!")) != negated)
            return pg_parameters_refuse(p, PG_PARAM_REQUIRE_AUTH,
                                        "methods with and without ! cannot be mixed");
        const uint32_t method = method_of(negated ? str_slice(name, 1, name.len) : name);
        if (method == 0)
            return pg_parameters_refuse(p, PG_PARAM_REQUIRE_AUTH,
                                        "a method is none of password, md5, gss, sspi, "
                                        "scram-sha-256, oauth, none");
        if ((named & method) != 0)
            return pg_parameters_refuse(p, PG_PARAM_REQUIRE_AUTH, "a method is named twice");
        named |= method;
    }
    out->auth_methods = negated ? PG_AUTH_ALL & ~named : named;
    out->clear_allowed = !negated && (named & PG_AUTH_PASSWORD) != 0;
    return OK;
}

static error read_authentication(const pg_parameters *p, pg_conninfo *out)
{
    static const char *const BINDING[] = { "disable", "prefer", "require", NULL };
    int binding = PG_CHANNEL_BINDING_PREFER;
    TRY(read_word(p, PG_PARAM_CHANNEL_BINDING, BINDING,
                  "it must be one of disable, prefer, require", &binding));
    out->channel_binding = (pg_channel_binding)binding;
    TRY(read_auth_methods(p, out));
    TRY(read_peer(p, out));
    return read_protocol(p, out);
}

/* --- TLS -------------------------------------------------------------------------------------- */

/* Whether a connection leaves the machine, as far as names tell. */
static bool is_elsewhere(const pg_host *host)
{
    const str at = host->address.len > 0 ? host->address : host->name;
    char text[80];
    address numeric;
    if (pg_host_is_unix(host) || str_eq_nocase(at, STR("localhost")))
        return false;
    const bool is_v6 = str_index(at, ':') < at.len;
    const int len =
        snprintf(text, sizeof text, is_v6 ? "[%.*s]:1" : "%.*s:1", STR_ARG(str_slice(at, 0, 64)));
    return !address_parse((str){ text, (size_t)len }, &numeric) || !address_is_local(&numeric);
}

static bool has_elsewhere(const pg_conninfo *info)
{
    for (uint32_t i = 0; i < info->host_count; i++) {
        if (is_elsewhere(&info->hosts[i]))
            return true;
    }
    return false;
}

/* Who names roots wants them used; who has some at the usual place wants so for what leaves the
 * machine. */
static bool verifies_by_default(const pg_parameters *p, const pg_conninfo *info)
{
    return info->ssl.root_file.len > 0 &&
           (p->given[PG_PARAM_SSLROOTCERT].value.len > 0 || has_elsewhere(info));
}

static error read_sslmode(const pg_parameters *p, bool verifies, pg_ssl *out)
{
    static const char *const MODES[] = {
        [PG_SSLMODE_DISABLE] = "disable",
        [PG_SSLMODE_ALLOW] = "allow",
        [PG_SSLMODE_PREFER] = "prefer",
        [PG_SSLMODE_REQUIRE] = "require",
        [PG_SSLMODE_VERIFY_CA] = "verify-ca",
        [PG_SSLMODE_VERIFY_FULL] = "verify-full",
        NULL,
    };
    static const char *const NEGOTIATIONS[] = { "postgres", "direct", NULL };
    int mode = verifies ? PG_SSLMODE_VERIFY_FULL : PG_SSLMODE_PREFER, negotiation = 0;
    out->mode_is_default = !p->given[PG_PARAM_SSLMODE].value.ptr;
    TRY(read_word(p, PG_PARAM_SSLMODE, MODES,
                  "it must be one of disable, allow, prefer, require, verify-ca, verify-full",
                  &mode));
    TRY(read_word(p, PG_PARAM_SSLNEGOTIATION, NEGOTIATIONS, "it must be postgres or direct",
                  &negotiation));
    out->mode = (pg_sslmode)mode;
    out->direct = negotiation == 1;
    if (out->direct && out->mode < PG_SSLMODE_REQUIRE)
        return pg_parameters_refuse(p, PG_PARAM_SSLNEGOTIATION,
                                    "direct needs an sslmode of require or stricter");
    if (str_eq(out->root_file, STR(PG_SYSTEM_CAS)) && out->mode != PG_SSLMODE_VERIFY_FULL)
        return pg_parameters_refuse(p, PG_PARAM_SSLROOTCERT,
                                    "system needs an sslmode of verify-full: anybody can get a "
                                    "certificate of those authorities");
    return OK;
}

/* Versions before 1.2 are never spoken: as a lower bound they mean 1.2, as an upper one nothing. */
static error read_tls_versions(const pg_parameters *p, pg_ssl *out)
{
    static const str VERSIONS[] = {
        { "TLSv1", 5 }, { "TLSv1.1", 7 }, { "TLSv1.2", 7 }, { "TLSv1.3", 7 }
    };
    static const pg_parameter BOUNDS[] = { PG_PARAM_SSL_MIN_PROTOCOL_VERSION,
                                           PG_PARAM_SSL_MAX_PROTOCOL_VERSION };
    size_t bounds[] = { 2, 3 };
    for (size_t i = 0; i < ARRAY_LEN(BOUNDS); i++) {
        const str given = pg_parameters_get(p, BOUNDS[i]);
        size_t at = 0;
        while (at < ARRAY_LEN(VERSIONS) && !str_eq_nocase(given, VERSIONS[at]))
            at++;
        if (given.len > 0 && at == ARRAY_LEN(VERSIONS))
            return pg_parameters_refuse(p, BOUNDS[i],
                                        "it must be one of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3");
        if (given.len > 0)
            bounds[i] = at;
    }
    if (bounds[1] < 2)
        return pg_parameters_refuse(p, BOUNDS[1], "TLS before 1.2 is not spoken");
    if (bounds[0] > bounds[1])
        return pg_parameters_refuse(p, BOUNDS[0], "it is above ssl_max_protocol_version");
    out->only_1_3 = bounds[0] == 3;
    out->without_1_3 = bounds[1] == 2;
    return OK;
}

/* A file that is not named is the one at its usual place, if it is there. */
static error find_file(const pg_parameters *p, pg_parameter which, const char *usual, arena *a,
                       str *out)
{
    *out = pg_parameters_get(p, which);
    if (out->len > 0)
        return OK;
    TRY(pg_small_file_at_home(a, usual, out));
    if (!out->ptr || !pg_small_file_exists(*out))
        *out = STR("");
    return OK;
}

static error find_files(const pg_parameters *p, arena *a, pg_ssl *out)
{
    out->crl_file = pg_parameters_get(p, PG_PARAM_SSLCRL);
    out->crl_directory = pg_parameters_get(p, PG_PARAM_SSLCRLDIR);
    if (out->crl_file.len == 0 && out->crl_directory.len == 0)
        TRY(find_file(p, PG_PARAM_SSLCRL, ".postgresql/root.crl", a, &out->crl_file));
    if (out->cert_mode != PG_CERT_DISABLE)
        TRY(find_file(p, PG_PARAM_SSLCERT, ".postgresql/postgresql.crt", a, &out->cert_file));
    if (out->cert_file.len > 0)
        TRY(find_file(p, PG_PARAM_SSLKEY, ".postgresql/postgresql.key", a, &out->key_file));
    out->key_password = pg_parameters_get(p, PG_PARAM_SSLPASSWORD);
    if (out->mode >= PG_SSLMODE_VERIFY_CA && out->root_file.len == 0)
        return pg_parameters_refuse(p, PG_PARAM_SSLMODE,
                                    "no root certificate to verify the server's with: name one in "
                                    "sslrootcert, or \"system\"");
    return OK;
}

static error read_ssl(const pg_parameters *p, arena *a, pg_conninfo *info)
{
    static const char *const CERT_MODES[] = { "disable", "allow", "require", NULL };
    static const char *const FLAGS[] = { "0", "1", "", NULL };
    pg_ssl *out = &info->ssl;
    int cert_mode = PG_CERT_ALLOW, sni = 1;
    TRY(read_word(p, PG_PARAM_SSLCERTMODE, CERT_MODES, "it must be one of disable, allow, require",
                  &cert_mode));
    TRY(read_word(p, PG_PARAM_SSLSNI, FLAGS, "it must be 0 or 1", &sni));
    out->cert_mode = (pg_cert_mode)cert_mode;
    out->without_sni = sni == 0;
    TRY(find_file(p, PG_PARAM_SSLROOTCERT, ".postgresql/root.crt", a, &out->root_file));
    TRY(read_sslmode(p, verifies_by_default(p, info), out));
    TRY(read_tls_versions(p, out));
    if (out->mode == PG_SSLMODE_DISABLE)
        return OK;
    return find_files(p, a, out);
}

/* --- together --------------------------------------------------------------------------------- */

static error read_all(const pg_parameters *p, arena *a, pg_conninfo *out)
{
    TRY(check_fixed(p));
    TRY(read_user(p, a, out));
    TRY(read_session(p, out));
    TRY(read_network(p, out));
    TRY(read_choice_of_hosts(p, out));
    TRY(read_authentication(p, out));
    TRY(pg_hosts_read(p, a, out));
    return read_ssl(p, a, out);
}

error pg_conninfo_parse(arena *a, str text, pg_conninfo *out)
{
    pg_parameters *p = arena_try_alloc(a, sizeof *p, _Alignof(pg_parameters));
    if (!p)
        return error_set(&OUT_OF_MEMORY, "no memory for a connection's parameters");
    *p = (pg_parameters){ 0 };
    TRY(pg_conninfo_text_parse(a, text, p));
    TRY(pg_service_file_apply(a, p));
    TRY(pg_parameters_fill(p, a));
    pg_conninfo info = { 0 };
    TRY(read_all(p, a, &info));
    *out = info;
    return OK;
}
