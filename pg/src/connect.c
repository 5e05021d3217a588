/* Opening a connection, straight-line on a fiber: find a server, connect, agree on TLS, introduce
 * ourselves, prove who we are, and look whether it is the kind of server that is wanted.
 *
 *   for each host, in the order given or at random
 *     for each of its addresses
 *       connect_timeout: connect -> [TLS] -> startup -> authentication -> ready -> right kind
 *       sslmode=prefer, allow: the same once more, without or with TLS, if that was in the way
 *
 * What a server refuses, wrong passwords first, ends it all: the others share the passwords, and
 * trying on would only lock the role out. Only who is not there, does not answer, is starting up,
 * or is the wrong kind is passed over.
 *
 * Nothing that a server says before TLS stands is believed but the one byte that is asked for. */
#include "chance.h"
#include "encryption.h"
#include "hooks.h"
#include "login.h"
#include "lookup.h"
#include "pool.h"
#include "startup.h"

#include "core/log.h"

/* One try of one address. */
typedef struct attempt {
    pg_conn *conn;
    const address *to;
    pg_session_attrs wanted;
    bool tls;
    bool connected; /* somebody was there */
    bool refused;   /* TLS, politely: the same connection went on without */
} attempt;

/* --- one stream ------------------------------------------------------------------------------- */

static error start_tls(pg_conn *c)
{
    return stream_start_tls_client(c->stream, c->pool->tls, c->host->name);
}

/* The user that the server runs as, behind a Unix socket. */
static error check_peer(const pg_conn *c)
{
    const uint32_t wanted = c->pool->info.peer_uid;
    uint32_t uid;
    if (wanted == PG_NO_UID || !pg_host_is_unix(c->host))
        return OK;
    if (!stream_peer_uid(c->stream, &uid))
        return error_set(&PG_AUTH_FAILED, "requirepeer: the system does not say who the server is");
    return uid == wanted ? OK
                         : error_set(&PG_AUTH_FAILED,
                                     "requirepeer: the server runs as another user (uid %u)", uid);
}

static error open_stream(const attempt *t)
{
    pg_conn *c = t->conn;
    const pg_conninfo *info = &c->pool->info;
    const stream_options options = {
        .input_bytes_max = (size_t)c->pool->message_bytes_max + 65536,
        .output_bytes_high = PG_OUTPUT_BYTES_HIGH,
        .full_duplex = true,
        .peer_timeout_ms = info->peer_timeout_ms,
        .keepalive_idle_s = info->keepalive_idle_s,
        .keepalive_interval_s = info->keepalive_interval_s,
        .keepalive_probes = info->keepalive_probes,
        .keepalive = true,
        .without_keepalive = info->without_keepalive,
    };
    TRY(stream_connect(c->pool->loop, t->to, &PG_CONN_STREAM, &options, c, &c->stream));
    if (t->tls && info->ssl.direct)
        TRY(start_tls(c));
    TRY(pg_conn_await(c, "pg connect"));
    return check_peer(c);
}

/* A server that speaks something else, on the port that answers us, must not take us for one of its
 * own: it has to have agreed on the protocol. */
static error check_alpn(const pg_conn *c)
{
    return str_eq(stream_tls_alpn(c->stream), STR(PG_ALPN))
               ? OK
               : error_set(&PG_CONNECT_FAILED,
                           "sslnegotiation=direct, and the server did not agree on " PG_ALPN);
}

static void write_ssl_request(pg_writer *w, const void *arg)
{
    (void)arg;
    pg_write_ssl_request(w);
}

/* Asks for TLS and, if the server agrees, begins it. What else it says may be anybody's. */
static error encrypt(attempt *t)
{
    pg_conn *c = t->conn;
    char answer;
    TRY(pg_conn_write(c, write_ssl_request, NULL));
    TRY(pg_conn_await_byte(c, "pg TLS", &answer));
    switch (answer) {
    case 'S':
        TRY(start_tls(c));
        return pg_conn_await(c, "pg TLS");
    case 'N':
        t->refused = true;
        return c->pool->info.ssl.mode <= PG_SSLMODE_PREFER
                   ? OK
                   : error_set(&PG_CONNECT_FAILED, "the server does not speak TLS, sslmode asks "
                                                   "for it");
    case 'E':
        return error_set(&PG_CONNECT_FAILED, "the server refused the request for TLS");
    default:
        return error_set(&PG_PROTOCOL_VIOLATION,
                         "0x%02x in answer to the request for TLS: this is no PostgreSQL server",
                         (unsigned char)answer);
    }
}

/* Somebody who says nothing about TLS may not know that there is none, or that it proves nothing.
 */
static void tell_open(const attempt *t)
{
    pg_pool *pool = t->conn->pool;
    const pg_ssl *ssl = &pool->info.ssl;
    const bool encrypted = stream_is_tls(t->conn->stream);
    const bool verified =
        encrypted && (ssl->root_file.len > 0 || ssl->mode >= PG_SSLMODE_VERIFY_CA);
    if (pool->told_open || !ssl->mode_is_default || verified || address_is_local(t->to))
        return;
    pool->told_open = true;
    log_warn(encrypted ? "PostgreSQL's certificate is not verified: set sslmode=verify-full"
                       : "connections to PostgreSQL are not encrypted: set sslmode=verify-full",
             LOG_STR("host", pg_host_text(t->conn->host)));
}

static error try_once(void *arg)
{
    attempt *t = arg;
    pg_conn *c = t->conn;
    TRY(open_stream(t));
    t->connected = true;
    if (t->tls)
        TRY(c->pool->info.ssl.direct ? check_alpn(c) : encrypt(t));
    TRY(pg_startup_send(c));
    TRY(pg_authenticate(c));
    TRY(pg_startup_await_ready(c));
    if (c->looks)
        return pg_startup_look(c);
    TRY(pg_startup_check_session(c, t->wanted));
    if (c->pool->hooks) {
        TRY(pg_hooks_after_connect(c));
        TRY(pg_startup_set_up(c));
    }
    tell_open(t);
    return OK;
}

/* --- one address ------------------------------------------------------------------------------ */

/* Whether the way of connecting, and not the server, was what failed. */
static bool may_change_way(const attempt *t, error e)
{
    return t->connected && !t->refused && !t->conn->auth_begun && !error_is(e, &TIMED_OUT) &&
           !error_is(e, &PG_CANNOT_CONNECT_NOW) && t->conn->state == PG_CONN_OPENING;
}

/* What the server need not take is left out the next time. */
static error try_way(attempt *t)
{
    pg_conn *c = t->conn;
    for (;;) {
        const uint32_t limits = pg_limits_asked(c->pool);
        const bool read_only = pg_startup_asks_read_only(c);
        t->connected = t->refused = false;
        pg_conn_restart(c);
        const error e = scope_call(
            &(scope_options){ .deadline_ms = c->pool->info.connect_timeout_ms }, try_once, t);
        if (!e.kind)
            return OK;
        TRY(pg_conn_drop(c));
        if (!pg_limits_refused(c, limits, e) && !pg_startup_read_only_refused(c, read_only, e))
            return e;
    }
}

static error try_address(pg_conn *c, const address *to, pg_session_attrs wanted)
{
    const pg_ssl *ssl = &c->pool->info.ssl;
    const bool can = c->pool->tls && !pg_host_is_unix(c->host);
    const bool both = can && (ssl->mode == PG_SSLMODE_ALLOW || ssl->mode == PG_SSLMODE_PREFER);
    bool tls = can && ssl->mode != PG_SSLMODE_ALLOW;
    error e = OK;
    for (int ways = both ? 2 : 1; ways > 0; ways--, tls = !tls) {
        attempt t = { .conn = c, .to = to, .wanted = wanted, .tls = tls };
        e = try_way(&t);
        if (!e.kind || !may_change_way(&t, e))
            return e;
    }
    return e;
}

/* --- all of them ------------------------------------------------------------------------------ */

/* Whether another host, or another address, may do better. */
static bool goes_on(const pg_conn *c, error e)
{
    if (c->state != PG_CONN_OPENING || error_is(e, &PG_AUTH_FAILED) || error_is(e, &CANCELED))
        return false;
    return error_is(e, &PG_CANNOT_CONNECT_NOW) || !pg_error_report(e);
}

static void shuffle(const pg_pool *pool, uint32_t *order, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    for (uint32_t i = count; pool->info.balances_hosts && i > 1; i--) {
        const uint32_t k = pg_chance_below(i), kept = order[k];
        order[k] = order[i - 1];
        order[i - 1] = kept;
    }
}

static error resolve(pg_conn *c, pg_addresses *found)
{
    const pg_host *host = c->host;
    str name = host->address.len > 0 ? host->address : host->name;
    if (pg_host_is_unix(host))
        name = str_format(fiber_arena(), "%.*s/.s.PGSQL.%u", STR_ARG(name), host->port);
    if (pg_host_is_unix(host) || host->address.len > 0) /* no name */
        TRY(address_resolve(name, host->port, found->items, PG_ADDRESSES_MAX, &found->count));
    else
        TRY(pg_lookup_addresses(c, name, host->port, found));
    return found->count > 0 ? OK : error_set(&PG_CONNECT_FAILED, "the host has no address");
}

static error try_host(pg_conn *c, pg_session_attrs wanted)
{
    pg_addresses found;
    uint32_t order[PG_ADDRESSES_MAX];
    c->login = (pg_login){ c->pool->info.user, c->host->password };
    if (c->pool->hooks)
        TRY(pg_hooks_before_connect(c));
    TRY(resolve(c, &found));
    const uint32_t count = (uint32_t)found.count;
    invariant(count > 0 && count <= PG_ADDRESSES_MAX);
    shuffle(c->pool, order, count);
    error e = OK;
    for (uint32_t i = 0; i < count; i++) {
        e = try_address(c, &found.items[order[i]], wanted);
        if (!e.kind || !goes_on(c, e))
            return e;
    }
    return e;
}

/* Says where it was. */
static error locate(const pg_host *host, error e)
{
    const error_detail *detail = error_detail_of(e);
    const str text = detail ? detail->text : str_from_c(e.kind->name);
    return error_wrap(e, &PG_CONNECT_FAILED, "%.*s, port %u: %.*s", STR_ARG(pg_host_text(host)),
                      host->port, STR_ARG(text));
}

static error try_hosts(pg_conn *c, const uint32_t *order, pg_session_attrs wanted, bool *on)
{
    const pg_conninfo *info = &c->pool->info;
    error e = OK;
    *on = false;
    for (uint32_t i = 0; i < info->host_count; i++) {
        c->host = &info->hosts[order[i]];
        if (wanted == PG_SESSION_PREFER_STANDBY &&
            pg_prober_class_of(c->pool, order[i]) == PG_HOST_LAGS) {
            e = error_set(&PG_CONNECT_FAILED, "the standby lags behind");
            continue; /* better is the primary */
        }
        e = try_host(c, wanted);
        if (!e.kind || !goes_on(c, e))
            return e;
        e = locate(c->host, e);
    }
    *on = true;
    return e;
}

error pg_conn_open(pg_conn *c)
{
    const pg_conninfo *info = &c->pool->info;
    uint32_t order[PG_HOSTS_MAX] = { 0 };
    bool on;
    shuffle(c->pool, order, info->host_count);
    pg_prober_rank(c->pool, order, info->host_count);
    const error e = try_hosts(c, order, info->session_attrs, &on);
    if (!e.kind || !on || info->session_attrs != PG_SESSION_PREFER_STANDBY)
        return e;
    return try_hosts(c, order, PG_SESSION_ANY, &on);
}

error pg_conn_look(pg_conn *c)
{
    return try_host(c, PG_SESSION_ANY);
}
