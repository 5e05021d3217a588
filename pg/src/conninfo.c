/* Connection strings, as libpq reads them: its two grammars, its variables, its defaults, so that a
 * string which works with psql works here. What cannot be honoured is refused by name; nothing is
 * silently ignored.
 *
 * First the text becomes settings, one slot a parameter, the last one winning; then the environment
 * fills what was not given; then the settings are checked and converted. Decoding never lengthens,
 * so one buffer as long as the text takes all values.
 *
 * Error texts hold a parameter's name and its place, never a value nor a piece of the text: either
 * may be the password, also when the string is malformed. An unknown name is shown when it looks
 * like one. */
#include "conninfo.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_HOST         "/var/run/postgresql"
#define DEFAULT_PORT         5432
#define SOCKET_NAME_LONGEST  "/.s.PGSQL.65535"
#define PASSWD_BYTES         4096
#define NAME_SHOWN_BYTES_MAX 40
#define SPACES               " \t\n\v\f\r"

typedef enum param {
    PARAM_HOST,
    PARAM_PORT,
    PARAM_USER,
    PARAM_PASSWORD,
    PARAM_DATABASE,
    PARAM_APPLICATION_NAME,
    PARAM_FALLBACK_APPLICATION_NAME,
    PARAM_OPTIONS,
    PARAM_CONNECT_TIMEOUT,
    PARAM_SSLMODE,
    PARAM_CLIENT_ENCODING,
    PARAM_TARGET_SESSION_ATTRS,
    PARAM_CHANNEL_BINDING,
    PARAM_GSSENCMODE,
    PARAM_COUNT,
} param;

typedef struct param_row {
    const char *name;
    const char *variable;   /* in the environment, or NULL */
    const char *allowed[4]; /* the only values that can be honoured; none: any */
} param_row;

static const param_row PARAMS[PARAM_COUNT] = {
    [PARAM_HOST] = { "host", "PGHOST", { NULL } },
    [PARAM_PORT] = { "port", "PGPORT", { NULL } },
    [PARAM_USER] = { "user", "PGUSER", { NULL } },
    [PARAM_PASSWORD] = { "password", "PGPASSWORD", { NULL } },
    [PARAM_DATABASE] = { "dbname", "PGDATABASE", { NULL } },
    [PARAM_APPLICATION_NAME] = { "application_name", "PGAPPNAME", { NULL } },
    [PARAM_FALLBACK_APPLICATION_NAME] = { "fallback_application_name", NULL, { NULL } },
    [PARAM_OPTIONS] = { "options", "PGOPTIONS", { NULL } },
    [PARAM_CONNECT_TIMEOUT] = { "connect_timeout", "PGCONNECT_TIMEOUT", { NULL } },
    [PARAM_SSLMODE] = { "sslmode", "PGSSLMODE", { NULL } },
    [PARAM_CLIENT_ENCODING] = { "client_encoding", NULL, { "UTF8", "UTF-8", "auto" } },
    [PARAM_TARGET_SESSION_ATTRS] = { "target_session_attrs", NULL, { "any" } },
    [PARAM_CHANNEL_BINDING] = { "channel_binding", NULL, { "disable", "prefer" } },
    [PARAM_GSSENCMODE] = { "gssencmode", NULL, { "disable", "prefer" } },
};

/* What libpq knows and Brio does not, up to PostgreSQL 18. */
static const char *const UNSUPPORTED[] = {
    "authtype",
    "gssdelegation",
    "gsslib",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_issuer",
    "oauth_scope",
    "passfile",
    "replication",
    "require_auth",
    "requirepeer",
    "scram_client_key",
    "scram_server_key",
    "service",
    "servicefile",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslkeylogfile",
    "sslnegotiation",
    "sslpassword",
    "sslrootcert",
    "sslsni",
    "tcp_user_timeout",
};

typedef struct setting {
    str value;       /* STR_NONE: not given */
    size_t position; /* in the text, from 1; 0: from the environment */
} setting;

typedef struct parser {
    const char *start;
    const char *at;
    const char *end;
    char *room; /* for what is decoded: as much as is left of the text, and more */
    setting settings[PARAM_COUNT];
} parser;
/* Invariant: start <= at <= end. */

/* --- errors ----------------------------------------------------------------------------------- */

static size_t position_of(const parser *p, const char *at)
{
    return (size_t)(at - p->start) + 1;
}

static error malformed(const parser *p, const char *at, const char *what)
{
    return error_set(&PG_CONNINFO_INVALID, "the connection string is malformed at byte %zu: %s",
                     position_of(p, at), what);
}

/* Whether a name can be shown: what stands where a name should may be a piece of a password.
 * Letters and underscores make a name. */
static bool is_showable(str name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.ptr[i];
        if (!(c >= 'a' && c <= 'z') && c != '_')
            return false;
    }
    return name.len > 0 && name.len <= NAME_SHOWN_BYTES_MAX;
}

static error refuse_name(str name, size_t position)
{
    for (size_t i = 0; i < ARRAY_LEN(UNSUPPORTED); i++) {
        if (str_eq(name, str_from_c(UNSUPPORTED[i])))
            return error_set(&PG_CONNINFO_INVALID,
                             "the parameter %s at byte %zu of the connection string is not "
                             "supported yet",
                             UNSUPPORTED[i], position);
    }
    const bool shown = is_showable(name);
    return error_set(
        &PG_CONNINFO_INVALID, "the connection string has an unknown parameter%s%.*s at byte %zu",
        shown ? " " : "", shown ? (int)name.len : 0, name.ptr ? name.ptr : "", position);
}

static error refuse_value(const parser *p, param which, const char *why)
{
    const param_row *row = &PARAMS[which];
    const size_t position = p->settings[which].position;
    if (position == 0)
        return error_set(&PG_CONNINFO_INVALID, "the variable %s: %s", row->variable, why);
    return error_set(&PG_CONNINFO_INVALID,
                     "the parameter %s at byte %zu of the connection string: %s", row->name,
                     position, why);
}

/* --- settings --------------------------------------------------------------------------------- */

static void set(parser *p, param which, str value, size_t position)
{
    p->settings[which] = (setting){ .value = value, .position = position };
}

static error set_by_name(parser *p, str name, str value, size_t position)
{
    if (str_eq(name, STR("requiressl"))) { /* its name before there were six modes */
        const bool required = str_starts_with(value, STR("1"));
        set(p, PARAM_SSLMODE, required ? STR("require") : STR("prefer"), position);
        return OK;
    }
    for (size_t i = 0; i < PARAM_COUNT; i++) {
        if (str_eq(name, str_from_c(PARAMS[i].name))) {
            set(p, (param)i, value, position);
            return OK;
        }
    }
    return refuse_name(name, position);
}

/* --- pairs: host=db dbname='a b' -------------------------------------------------------------- */

static bool is_space(char c)
{
    return str_index(STR(SPACES), c) < sizeof SPACES - 1;
}

static void skip_spaces(parser *p)
{
    while (p->at < p->end && is_space(*p->at))
        p->at++;
}

/* A value up to a space or, when it begins with a quote, to the next one. A backslash takes the
 * next byte as it is; the last byte of the text, it counts as nothing. */
static error parse_pair_value(parser *p, str *value)
{
    const char *opening = p->at;
    const bool quoted = p->at < p->end && *p->at == '\'';
    char *const from = p->room;
    if (quoted)
        p->at++;
    for (; p->at < p->end; p->at++) {
        if (quoted ? *p->at == '\'' : is_space(*p->at))
            break;
        if (*p->at == '\\' && ++p->at == p->end)
            break;
        *p->room++ = *p->at;
    }
    if (quoted) {
        if (p->at == p->end)
            return malformed(p, opening, "a quote is not closed");
        p->at++;
    }
    *value = str_between(from, p->room);
    return OK;
}

static error parse_pairs(parser *p)
{
    for (skip_spaces(p); p->at < p->end; skip_spaces(p)) {
        const char *name_at = p->at;
        while (p->at < p->end && *p->at != '=' && !is_space(*p->at))
            p->at++;
        const str name = str_between(name_at, p->at);
        skip_spaces(p);
        if (p->at == p->end || *p->at != '=')
            return malformed(p, name_at, "a parameter's name without \"=\" behind it");
        p->at++;
        skip_spaces(p);
        str value;
        TRY(parse_pair_value(p, &value));
        TRY(set_by_name(p, name, value, position_of(p, name_at)));
    }
    return OK;
}

/* --- URIs ------------------------------------------------------------------------------------- */

/* The byte at the cursor; 0, which the text does not hold, at its end. */
static char peek(const parser *p)
{
    return p->at < p->end ? *p->at : '\0';
}

/* Moves to the first of the bytes in `stops`, or to the end; returns what was passed. */
static str take_until(parser *p, str stops)
{
    const char *from = p->at;
    while (p->at < p->end && str_index(stops, *p->at) == stops.len)
        p->at++;
    return str_between(from, p->at);
}

/* Percent-decodes; '+' is a plus. */
static error decode(parser *p, str encoded, str *out)
{
    char *const from = p->room;
    for (size_t i = 0; i < encoded.len; i++) {
        if (encoded.ptr[i] != '%') {
            *p->room++ = encoded.ptr[i];
            continue;
        }
        const str digits = str_slice(encoded, i + 1, 2);
        const int high = digits.len == 2 ? str_hex_digit(digits.ptr[0]) : -1;
        const int low = digits.len == 2 ? str_hex_digit(digits.ptr[1]) : -1;
        if (high < 0 || low < 0)
            return malformed(p, encoded.ptr + i, "\"%\" without two hexadecimal digits");
        if (high + low == 0)
            return malformed(p, encoded.ptr + i, "%00 is not allowed");
        *p->room++ = (char)(high << 4 | low);
        i += 2;
    }
    *out = str_between(from, p->room);
    return OK;
}

/* A part of the URI before its query; an empty one counts as not given. */
static error set_part(parser *p, param which, str encoded)
{
    if (encoded.len == 0)
        return OK;
    str value;
    TRY(decode(p, encoded, &value));
    set(p, which, value, position_of(p, encoded.ptr));
    return OK;
}

/* user:password@, when there is an '@' before the first '/'. */
static error parse_credentials(parser *p)
{
    const char *from = p->at;
    str password = take_until(p, STR("@/"));
    if (peek(p) != '@') {
        p->at = from;
        return OK;
    }
    p->at++;
    const str user = str_cut(&password, ':');
    TRY(set_part(p, PARAM_USER, user));
    return password.ptr ? set_part(p, PARAM_PASSWORD, password) : OK;
}

static error parse_bracketed_host(parser *p, str *host)
{
    const char *opening = p->at++;
    *host = take_until(p, STR("]"));
    if (p->at == p->end)
        return malformed(p, opening, "\"[\" is not closed");
    if (host->len == 0)
        return malformed(p, opening, "an empty IPv6 address");
    p->at++;
    const char next = peek(p);
    if (next && str_index(STR(":/?,"), next) == 4)
        return malformed(p, p->at, "what follows \"]\" is none of : / ?");
    return OK;
}

static error parse_host_and_port(parser *p)
{
    str host;
    if (peek(p) == '[')
        TRY(parse_bracketed_host(p, &host));
    else
        host = take_until(p, STR(":/?,"));
    TRY(set_part(p, PARAM_HOST, host));
    if (peek(p) == ':') {
        p->at++;
        TRY(set_part(p, PARAM_PORT, take_until(p, STR("/?,"))));
    }
    if (peek(p) == ',')
        return malformed(p, p->at, "several hosts are not supported yet");
    return OK;
}

static error parse_query_parameter(parser *p)
{
    const char *name_at = p->at;
    const str encoded_name = take_until(p, STR("=&"));
    if (peek(p) != '=')
        return malformed(p, name_at, "a parameter without \"=\"");
    p->at++;
    const str encoded_value = take_until(p, STR("=&"));
    if (peek(p) == '=')
        return malformed(p, name_at, "a parameter with a second \"=\"");
    if (peek(p) == '&')
        p->at++;
    str name;
    str value;
    TRY(decode(p, encoded_name, &name));
    TRY(decode(p, encoded_value, &value));
    if (str_eq(name, STR("ssl")) && str_eq(value, STR("true"))) { /* JDBC's way */
        name = STR("sslmode");
        value = STR("require");
    }
    return set_by_name(p, name, value, position_of(p, name_at));
}

/* The cursor is behind "postgresql://". */
static error parse_uri(parser *p)
{
    TRY(parse_credentials(p));
    TRY(parse_host_and_port(p));
    if (peek(p) == '/') {
        p->at++;
        TRY(set_part(p, PARAM_DATABASE, take_until(p, STR("?"))));
    }
    if (peek(p) == '?')
        p->at++;
    while (p->at < p->end)
        TRY(parse_query_parameter(p));
    return OK;
}

static error parse_text(parser *p, arena *a, str text)
{
    if (text.len > PG_CONNINFO_BYTES_MAX)
        return error_set(&PG_CONNINFO_INVALID, "the connection string is longer than %d bytes",
                         PG_CONNINFO_BYTES_MAX);
    p->start = p->at = text.ptr ? text.ptr : "";
    p->end = p->start + text.len;
    const size_t nul = str_index(text, '\0');
    if (nul < text.len)
        return malformed(p, p->start + nul, "a NUL");
    p->room = arena_try_alloc(a, text.len, 1);
    if (!p->room)
        return error_set(&OUT_OF_MEMORY, "no memory for a connection string");
    static const str SCHEMES[] = { { "postgresql://", 13 }, { "postgres://", 11 } };
    for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++) {
        if (str_starts_with(text, SCHEMES[i])) {
            p->at += SCHEMES[i].len;
            return parse_uri(p);
        }
    }
    return parse_pairs(p);
}

/* --- the environment, and what is left -------------------------------------------------------- */

/* NUL-terminated text as a slice of its own; STR_NONE without memory. */
static str copy_text(arena *a, const char *text)
{
    const size_t len = strlen(text);
    char *to = arena_try_alloc(a, len, 1);
    if (!to)
        return STR_NONE;
    memcpy(to, text, len);
    return (str){ to, len };
}

/* An empty variable is as good as none. */
static error fill_from_environment(parser *p, arena *a)
{
    for (size_t i = 0; i < PARAM_COUNT; i++) {
        const char *name = PARAMS[i].variable;
        const char *text = name && !p->settings[i].value.ptr ? getenv(name) : NULL;
        if (!text || !text[0])
            continue;
        if (strlen(text) > PG_CONNINFO_BYTES_MAX)
            return error_set(&PG_CONNINFO_INVALID, "the variable %s is longer than %d bytes", name,
                             PG_CONNINFO_BYTES_MAX);
        const str value = copy_text(a, text);
        if (!value.ptr)
            return error_set(&OUT_OF_MEMORY, "no memory for the variable %s", name);
        set(p, (param)i, value, 0);
    }
    return OK;
}

static str value_or(const parser *p, param which, str otherwise)
{
    const str value = p->settings[which].value;
    return value.len > 0 ? value : otherwise;
}

static error read_host(const parser *p, str *out)
{
    const str host = value_or(p, PARAM_HOST, STR(DEFAULT_HOST));
    if (str_index(host, ',') < host.len)
        return refuse_value(p, PARAM_HOST, "several hosts are not supported yet");
    if (str_starts_with(host, STR("@")))
        return refuse_value(p, PARAM_HOST, "abstract Unix sockets are not supported yet");
    const size_t path_max = sizeof((struct sockaddr_un *)NULL)->sun_path;
    if (str_starts_with(host, STR("/")) && host.len + sizeof SOCKET_NAME_LONGEST > path_max)
        return refuse_value(p, PARAM_HOST, "the path of the Unix socket would be too long");
    *out = host;
    return OK;
}

static error read_port(const parser *p, uint16_t *out)
{
    const str text = str_trim(value_or(p, PARAM_PORT, STR("")), STR(SPACES));
    uint64_t port = DEFAULT_PORT;
    if (p->settings[PARAM_PORT].value.len > 0 &&
        (!str_to_uint64(text, &port) || port < 1 || port > UINT16_MAX))
        return refuse_value(p, PARAM_PORT, "a port is a number from 1 to 65535");
    *out = (uint16_t)port;
    return OK;
}

/* 0 and less mean no limit, as for libpq. */
static error read_connect_timeout(const parser *p, uint32_t *out_ms)
{
    const str text = str_trim(value_or(p, PARAM_CONNECT_TIMEOUT, STR("0")), STR(SPACES));
    int64_t seconds;
    if (!str_to_int64(text, &seconds) || seconds < INT32_MIN || seconds > INT32_MAX)
        return refuse_value(p, PARAM_CONNECT_TIMEOUT, "it must be a whole number of seconds");
    if (seconds < 0)
        seconds = 0;
    const int64_t ms = seconds * 1000;
    *out_ms = ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
    return OK;
}

static error read_sslmode(const parser *p, pg_sslmode *out)
{
    static const char *const MODES[] = {
        [PG_SSLMODE_DISABLE] = "disable",     [PG_SSLMODE_ALLOW] = "allow",
        [PG_SSLMODE_PREFER] = "prefer",       [PG_SSLMODE_REQUIRE] = "require",
        [PG_SSLMODE_VERIFY_CA] = "verify-ca", [PG_SSLMODE_VERIFY_FULL] = "verify-full",
    };
    const str given = p->settings[PARAM_SSLMODE].value;
    *out = PG_SSLMODE_PREFER;
    if (!given.ptr)
        return OK;
    for (size_t i = 0; i < ARRAY_LEN(MODES); i++) {
        if (!str_eq(given, str_from_c(MODES[i])))
            continue;
        if (i >= PG_SSLMODE_REQUIRE)
            return refuse_value(p, PARAM_SSLMODE, "TLS is not supported yet");
        *out = (pg_sslmode)i;
        return OK;
    }
    return refuse_value(p, PARAM_SSLMODE,
                        "it must be one of disable, allow, prefer, require, verify-ca, "
                        "verify-full");
}

/* The parameters that are accepted only where they ask for what is done anyway. */
static error check_allowed(const parser *p)
{
    for (size_t i = 0; i < PARAM_COUNT; i++) {
        const param_row *row = &PARAMS[i];
        const str value = p->settings[i].value;
        bool good = !row->allowed[0] || !value.ptr;
        for (size_t k = 0; k < ARRAY_LEN(row->allowed) && row->allowed[k]; k++)
            good = good || str_eq_nocase(value, str_from_c(row->allowed[k]));
        if (!good)
            return refuse_value(p, (param)i, "this value is not supported yet");
    }
    return OK;
}

/* The name of the user that the process runs as. */
static error read_system_user(arena *a, str *out)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char *room = arena_try_alloc(a, PASSWD_BYTES, 1);
    if (!room)
        return error_set(&OUT_OF_MEMORY, "no memory for the user's name");
    const int failed = getpwuid_r(geteuid(), &entry, room, PASSWD_BYTES, &found);
    if (failed || !found || !found->pw_name[0])
        return error_set_errno(&PG_CONNINFO_INVALID, failed,
                               "no user is given, and that of the process has no name");
    *out = str_from_c(found->pw_name);
    return OK;
}

error pg_conninfo_parse(arena *a, str text, pg_conninfo *out)
{
    parser p = { .start = NULL };
    TRY(parse_text(&p, a, text));
    TRY(fill_from_environment(&p, a));
    TRY(check_allowed(&p));

    pg_conninfo info = {
        .user = value_or(&p, PARAM_USER, STR("")),
        .password = value_or(&p, PARAM_PASSWORD, STR("")),
        .application_name = value_or(&p, PARAM_APPLICATION_NAME,
                                     value_or(&p, PARAM_FALLBACK_APPLICATION_NAME, STR(""))),
        .options = value_or(&p, PARAM_OPTIONS, STR("")),
    };
    TRY(read_host(&p, &info.host));
    TRY(read_port(&p, &info.port));
    TRY(read_connect_timeout(&p, &info.connect_timeout_ms));
    TRY(read_sslmode(&p, &info.sslmode));
    if (info.user.len == 0)
        TRY(read_system_user(a, &info.user));
    info.database = value_or(&p, PARAM_DATABASE, info.user);
    *out = info;
    return OK;
}
