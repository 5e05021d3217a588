/* The table of libpq's parameters: their names, and the variables of the environment that stand in
 * for them. What cannot be honoured is refused by name; nothing is silently ignored.
 *
 * An unknown name is shown in an error only when it looks like one: what stands where a name should
 * may be a piece of a password. */
#include "parameters.h"

#include <stdlib.h>
#include <string.h>

#define NAME_SHOWN_BYTES_MAX 40

typedef struct parameter_row {
    const char *name;     /* NULL: only a variable */
    const char *variable; /* in the environment, or NULL */
} parameter_row;

static const parameter_row ROWS[PG_PARAM_COUNT] = {
    [PG_PARAM_SERVICE] = { "service", "PGSERVICE" },
    [PG_PARAM_SERVICE_FILE] = { "servicefile", "PGSERVICEFILE" },
    [PG_PARAM_HOST] = { "host", "PGHOST" },
    [PG_PARAM_HOST_ADDRESS] = { "hostaddr", "PGHOSTADDR" },
    [PG_PARAM_PORT] = { "port", "PGPORT" },
    [PG_PARAM_USER] = { "user", "PGUSER" },
    [PG_PARAM_PASSWORD] = { "password", "PGPASSWORD" },
    [PG_PARAM_PASSFILE] = { "passfile", "PGPASSFILE" },
    [PG_PARAM_DATABASE] = { "dbname", "PGDATABASE" },
    [PG_PARAM_APPLICATION_NAME] = { "application_name", "PGAPPNAME" },
    [PG_PARAM_FALLBACK_APPLICATION_NAME] = { "fallback_application_name", NULL },
    [PG_PARAM_OPTIONS] = { "options", "PGOPTIONS" },
    [PG_PARAM_CLIENT_ENCODING] = { "client_encoding", "PGCLIENTENCODING" },
    [PG_PARAM_REPLICATION] = { "replication", NULL },
    [PG_PARAM_CONNECT_TIMEOUT] = { "connect_timeout", "PGCONNECT_TIMEOUT" },
    [PG_PARAM_KEEPALIVES] = { "keepalives", NULL },
    [PG_PARAM_KEEPALIVES_IDLE] = { "keepalives_idle", NULL },
    [PG_PARAM_KEEPALIVES_INTERVAL] = { "keepalives_interval", NULL },
    [PG_PARAM_KEEPALIVES_COUNT] = { "keepalives_count", NULL },
    [PG_PARAM_TCP_USER_TIMEOUT] = { "tcp_user_timeout", NULL },
    [PG_PARAM_TARGET_SESSION_ATTRS] = { "target_session_attrs", "PGTARGETSESSIONATTRS" },
    [PG_PARAM_LOAD_BALANCE_HOSTS] = { "load_balance_hosts", "PGLOADBALANCEHOSTS" },
    [PG_PARAM_REQUIRE_PEER] = { "requirepeer", "PGREQUIREPEER" },
    [PG_PARAM_REQUIRE_AUTH] = { "require_auth", "PGREQUIREAUTH" },
    [PG_PARAM_CHANNEL_BINDING] = { "channel_binding", "PGCHANNELBINDING" },
    [PG_PARAM_GSSENCMODE] = { "gssencmode", "PGGSSENCMODE" },
    [PG_PARAM_SSLMODE] = { "sslmode", "PGSSLMODE" },
    [PG_PARAM_SSLNEGOTIATION] = { "sslnegotiation", "PGSSLNEGOTIATION" },
    [PG_PARAM_SSLCOMPRESSION] = { "sslcompression", "PGSSLCOMPRESSION" },
    [PG_PARAM_SSLCERT] = { "sslcert", "PGSSLCERT" },
    [PG_PARAM_SSLKEY] = { "sslkey", "PGSSLKEY" },
    [PG_PARAM_SSLPASSWORD] = { "sslpassword", NULL },
    [PG_PARAM_SSLCERTMODE] = { "sslcertmode", "PGSSLCERTMODE" },
    [PG_PARAM_SSLROOTCERT] = { "sslrootcert", "PGSSLROOTCERT" },
    [PG_PARAM_SSLCRL] = { "sslcrl", "PGSSLCRL" },
    [PG_PARAM_SSLCRLDIR] = { "sslcrldir", "PGSSLCRLDIR" },
    [PG_PARAM_SSLSNI] = { "sslsni", "PGSSLSNI" },
    [PG_PARAM_SSL_MIN_PROTOCOL_VERSION] = { "ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION" },
    [PG_PARAM_SSL_MAX_PROTOCOL_VERSION] = { "ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION" },
    [PG_PARAM_MIN_PROTOCOL_VERSION] = { "min_protocol_version", "PGMINPROTOCOLVERSION" },
    [PG_PARAM_MAX_PROTOCOL_VERSION] = { "max_protocol_version", "PGMAXPROTOCOLVERSION" },
    [PG_PARAM_DATESTYLE] = { NULL, "PGDATESTYLE" },
    [PG_PARAM_TIMEZONE] = { NULL, "PGTZ" },
    [PG_PARAM_GEQO] = { NULL, "PGGEQO" },
};

/* What libpq knows, up to PostgreSQL 18, and Brio does not. */
static const char *const UNSUPPORTED[] = {
    "authtype",         "gssdelegation",       "gsslib",        "krbsrvname",
    "oauth_client_id",  "oauth_client_secret", "oauth_issuer",  "oauth_scope",
    "scram_client_key", "scram_server_key",    "sslkeylogfile",
};

/* --- errors ----------------------------------------------------------------------------------- */

static const char *place_of(pg_origin origin)
{
    return origin == PG_ORIGIN_SERVICE ? "line" : "byte";
}

static const char *source_of(pg_origin origin)
{
    return origin == PG_ORIGIN_SERVICE ? "service file" : "connection string";
}

/* Letters and underscores make a name. */
static bool is_showable(str name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        if (!(c >= 'a' && c <= 'z') && c != '_')
            return false;
    }
    return name.len > 0 && name.len <= NAME_SHOWN_BYTES_MAX;
}

static error refuse_name(str name, const pg_given *given)
{
    const char *source = source_of(given->origin), *place = place_of(given->origin);
    for (size_t i = 0; i < ARRAY_LEN(UNSUPPORTED); i++) {
        if (str_eq(name, str_from_c(UNSUPPORTED[i])))
            return error_set(&PG_CONNINFO_INVALID,
                             "the parameter %s at %s %zu of the %s is not supported",
                             UNSUPPORTED[i], place, given->position, source);
    }
    const bool shown = is_showable(name);
    return error_set(&PG_CONNINFO_INVALID, "the %s has an unknown parameter%s%.*s at %s %zu",
                     source, shown ? " " : "", shown ? (int)name.len : 0, name.ptr ? name.ptr : "",
                     place, given->position);
}

const char *pg_parameters_name(pg_parameter which)
{
    return ROWS[which].name;
}

error pg_parameters_refuse(const pg_parameters *p, pg_parameter which, const char *why)
{
    const parameter_row *row = &ROWS[which];
    const pg_given *given = &p->given[which];
    if (given->origin == PG_ORIGIN_NONE)
        return error_set(&PG_CONNINFO_INVALID, "the parameter %s: %s", row->name, why);
    if (given->origin == PG_ORIGIN_VARIABLE)
        return error_set(&PG_CONNINFO_INVALID, "the variable %s: %s", row->variable, why);
    return error_set(&PG_CONNINFO_INVALID, "the parameter %s at %s %zu of the %s: %s", row->name,
                     place_of(given->origin), given->position, source_of(given->origin), why);
}

/* --- values ----------------------------------------------------------------------------------- */

static void set(pg_parameters *p, pg_parameter which, pg_given given)
{
    if (given.origin == PG_ORIGIN_TEXT || p->given[which].origin == PG_ORIGIN_NONE)
        p->given[which] = given;
}

error pg_parameters_set(pg_parameters *p, str name, pg_given given)
{
    invariant(given.origin != PG_ORIGIN_NONE);
    if (given.origin == PG_ORIGIN_TEXT && str_eq(name, STR("requiressl"))) {
        /* its name before there were six modes */
        given.value = str_starts_with(given.value, STR("1")) ? STR("require") : STR("prefer");
        name = STR("sslmode");
    }
    for (size_t i = 0; i < PG_PARAM_COUNT; i++) {
        if (ROWS[i].name && str_eq(name, str_from_c(ROWS[i].name))) {
            set(p, (pg_parameter)i, given);
            return OK;
        }
    }
    return refuse_name(name, &given);
}

error pg_parameters_variable(arena *a, const char *name, str *out)
{
    const char *text = getenv(name);
    *out = STR_NONE;
    if (!text || !text[0])
        return OK;
    const size_t len = strlen(text);
    if (len > PG_PARAMETER_BYTES_MAX)
        return error_set(&PG_CONNINFO_INVALID, "the variable %s is longer than %d bytes", name,
                         PG_PARAMETER_BYTES_MAX);
    char *to = arena_try_alloc(a, len, 1);
    if (!to)
        return error_set(&OUT_OF_MEMORY, "no memory for the variable %s", name);
    memcpy(to, text, len);
    *out = (str){ to, len };
    return OK;
}

error pg_parameters_fill(pg_parameters *p, arena *a)
{
    for (size_t i = 0; i < PG_PARAM_COUNT; i++) {
        if (!ROWS[i].variable || p->given[i].origin != PG_ORIGIN_NONE)
            continue;
        pg_given given = { .origin = PG_ORIGIN_VARIABLE };
        TRY(pg_parameters_variable(a, ROWS[i].variable, &given.value));
        if (given.value.ptr)
            set(p, (pg_parameter)i, given);
    }
    const char *requires = getenv("PGREQUIRESSL"); /* as requiressl above */
    if (requires && requires[0] == '1')
        set(p, PG_PARAM_SSLMODE, (pg_given){ STR("require"), PG_ORIGIN_VARIABLE, 0 });
    return OK;
}
