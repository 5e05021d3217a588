/* Where a database is, who asks, and what is demanded of the connection: a connection string, the
 * service that it names, what PG* variables say where both are silent, a password file, and libpq's
 * defaults where nobody says anything. */
#ifndef PG_SRC_CONNINFO_H
#define PG_SRC_CONNINFO_H

#include "parameters.h"

#define PG_HOSTS_MAX  64
#define PG_NO_UID     UINT32_MAX
#define PG_SYSTEM_CAS "system" /* as sslrootcert: the roots that the system trusts */

/* libpq's words, the least strict first. */
typedef enum pg_sslmode {
    PG_SSLMODE_DISABLE,
    PG_SSLMODE_ALLOW,
    PG_SSLMODE_PREFER,
    PG_SSLMODE_REQUIRE,
    PG_SSLMODE_VERIFY_CA,
    PG_SSLMODE_VERIFY_FULL,
} pg_sslmode;

typedef enum pg_channel_binding {
    PG_CHANNEL_BINDING_DISABLE,
    PG_CHANNEL_BINDING_PREFER,
    PG_CHANNEL_BINDING_REQUIRE,
} pg_channel_binding;

typedef enum pg_session_attrs {
    PG_SESSION_ANY,
    PG_SESSION_READ_WRITE,
    PG_SESSION_READ_ONLY,
    PG_SESSION_PRIMARY,
    PG_SESSION_STANDBY,
    PG_SESSION_PREFER_STANDBY,
} pg_session_attrs;

/* How a server may ask who we are; require_auth chooses among them. */
typedef enum pg_auth_method {
    PG_AUTH_NONE = 1 << 0, /* not at all: trust, or a client's certificate */
    PG_AUTH_PASSWORD = 1 << 1,
    PG_AUTH_MD5 = 1 << 2,
    PG_AUTH_SCRAM = 1 << 3,
    PG_AUTH_GSS = 1 << 4, /* this and the following are never spoken */
    PG_AUTH_SSPI = 1 << 5,
    PG_AUTH_OAUTH = 1 << 6,
    PG_AUTH_ALL = (1 << 7) - 1,
} pg_auth_method;

typedef enum pg_cert_mode {
    PG_CERT_DISABLE,
    PG_CERT_ALLOW,
    PG_CERT_REQUIRE, /* the server must ask for it */
} pg_cert_mode;

/* None of the slices in these holds a NUL; empty: not given. */
typedef struct pg_host {
    str name; /* a name, a numeric address, or the directory of a Unix socket (/path, @abstract) */
    str address; /* numeric, to connect to instead of looking the name up */
    uint16_t port;
    str password;
} pg_host;

typedef struct pg_ssl {
    pg_sslmode mode;
    bool mode_is_default;
    bool direct; /* without asking first: sslnegotiation=direct */
    bool without_sni;
    bool without_1_3;
    bool only_1_3;
    pg_cert_mode cert_mode;
    str root_file; /* or PG_SYSTEM_CAS */
    str crl_file;
    str crl_directory;
    str cert_file;
    str key_file;
    str key_password;
} pg_ssl;

typedef struct pg_conninfo {
    const pg_host *hosts;
    uint32_t host_count;
    str user;
    str database;
    str application_name;
    str options;                 /* the server's command-line options */
    str session[6];              /* name, value of what else is set at the start */
    uint32_t connect_timeout_ms; /* of each address; 0: not given, or */
    bool without_connect_timeout;
    uint32_t peer_timeout_ms; /* tcp_user_timeout; 0: not given, or */
    bool without_peer_timeout;
    uint32_t keepalive_idle_s; /* 0 here and below: not given */
    uint32_t keepalive_interval_s;
    uint32_t keepalive_probes;
    bool without_keepalive;
    pg_session_attrs session_attrs;
    bool balances_hosts;   /* tries hosts and addresses in random order */
    bool least_latency;    /* hosts in the order in which they answered: see prober.h */
    uint32_t peer_uid;     /* who must own the server behind a Unix socket; PG_NO_UID: anybody */
    uint32_t auth_methods; /* pg_auth_method's bits: what the server may ask for */
    bool clear_allowed;    /* a password may be sent in clear, also without TLS */
    pg_channel_binding channel_binding;
    uint16_t protocol_min; /* of 3.x */
    uint16_t protocol_max;
    pg_ssl ssl;
    str passfile_problem; /* why a password file was not used; empty: it was, or there is none */
} pg_conninfo;

/* Whether the host is the directory of a Unix socket. */
static inline bool pg_host_is_unix(const pg_host *host)
{
    return host->address.len == 0 && host->name.len > 0 &&
           (host->name.ptr[0] == '/' || host->name.ptr[0] == '@');
}
/* What to show of it: its name, else its address. */
static inline str pg_host_text(const pg_host *host)
{
    return host->name.len > 0 ? host->name : host->address;
}

/* Reads a connection string, as pg_conninfo_text_parse has it; STR_NONE or "": all from elsewhere.
 * Reads the service file and the password file if there are any: for start-up.
 *   fails  PG_CONNINFO_INVALID, whose text names the parameter and its place, never a value:
 *          malformed text, a parameter that is unknown, not supported, or contradicts another;
 *          OUT_OF_MEMORY
 *   owns   the slices live in `a` */
error pg_conninfo_parse(arena *a, str text, pg_conninfo *out);

#endif
