/* Authentication, straight-line on the opener's fiber. Before anything secret leaves, what the
 * server asks for is held against what is allowed (require_auth, channel_binding): a server, or
 * somebody in between, that asks for less than it could is refused.
 *
 *   cleartext   over TLS or a Unix socket only, but where require_auth names it
 *   md5         as PostgreSQL has it: salted, and no proof of the server's
 *   SCRAM       both sides prove that they know the password; over TLS bound to the server's
 *               certificate, so that nobody can pass the proof on
 *   nothing     trust, or our certificate
 *
 * SCRAM's keys cost milliseconds of CPU and are derived on an offload thread, once: the pool keeps
 * them, and a server that asks with the same salt again is answered at once. */
#include "login.h"

#include "md5.h"
#include "pool.h"
#include "saslprep.h"
#include "scram.h"
#include "startup.h"

#include "core/log.h"
#include "core/offload.h"
#include "core/tls.h"

enum auth_code {
    AUTH_OK = 0,
    AUTH_CLEARTEXT = 3,
    AUTH_MD5 = 5,
    AUTH_GSS = 7,
    AUTH_SSPI = 9,
    AUTH_SASL = 10,
    AUTH_SASL_CONTINUE = 11,
    AUTH_SASL_FINAL = 12,
};

#define SCRAM_PLAIN STR("SCRAM-SHA-256")
#define SCRAM_PLUS  STR("SCRAM-SHA-256-PLUS")

#define ITERATIONS_USUAL 4096 /* RFC 7677, section 4; PostgreSQL's default */

static void write_password(pg_writer *w, const void *arg)
{
    pg_write_password(w, *(const str *)arg);
}

/* The next request of the server's, which must be of this code. */
static error await_code(pg_conn *c, uint32_t code, const char *otherwise, str *data)
{
    pg_message m;
    TRY(pg_startup_next(c, &m));
    if (m.type != PG_MSG_AUTHENTICATION)
        return pg_startup_unexpected(&m);
    pg_reader r = pg_reader_of(m.body);
    const uint32_t got = pg_reader_u32(&r);
    if (r.failed || got != code)
        return error_set(&PG_AUTH_FAILED, "%s", otherwise);
    *data = pg_reader_rest(&r);
    return OK;
}

/* --- SCRAM ------------------------------------------------------------------------------------ */

typedef struct derivation {
    pg_scram *scram;
    str password;
} derivation;

static error derive(void *arg)
{
    const derivation *d = arg;
    return pg_scram_derive(d->scram, d->password);
}

typedef struct initial {
    str mechanism;
    str data;
} initial;

static void write_initial(pg_writer *w, const void *arg)
{
    const initial *i = arg;
    pg_write_sasl_initial(w, i->mechanism, i->data);
}

typedef struct offer {
    bool plain;
    bool plus;
} offer;

static offer read_offer(pg_reader mechanisms)
{
    offer o = { 0 };
    for (;;) {
        const str name = pg_reader_cstring(&mechanisms);
        if (mechanisms.failed || name.len == 0)
            return o;
        o.plain = o.plain || str_eq(name, SCRAM_PLAIN);
        o.plus = o.plus || str_eq(name, SCRAM_PLUS);
    }
}

/* How the exchange is bound to the TLS connection. */
static error choose_binding(const pg_conn *c, offer o, pg_scram_channel *out,
                            uint8_t hash[TLS_HASH_BYTES_MAX])
{
    const pg_channel_binding wanted = c->pool->info.channel_binding;
    const bool has_tls = stream_is_tls(c->stream);
    size_t len;
    *out = (pg_scram_channel){ PG_SCRAM_UNBOUND, STR("") };
    if (o.plus && !has_tls)
        return error_set(&PG_AUTH_FAILED, "the server offers channel binding without TLS");
    if (wanted != PG_CHANNEL_BINDING_DISABLE && o.plus) {
        const error e = stream_tls_server_end_point(c->stream, hash, &len);
        if (!e.kind)
            *out = (pg_scram_channel){ PG_SCRAM_BOUND, { (const char *)hash, len } };
        else if (wanted == PG_CHANNEL_BINDING_REQUIRE)
            return error_wrap(e, &PG_AUTH_FAILED, "channel_binding=require");
    } else if (wanted != PG_CHANNEL_BINDING_DISABLE && has_tls) {
        out->binding = PG_SCRAM_NOT_OFFERED; /* who took the offer away is found out */
    }
    if (out->binding != PG_SCRAM_BOUND && wanted == PG_CHANNEL_BINDING_REQUIRE)
        return error_set(&PG_AUTH_FAILED,
                         "channel_binding=require, and the server does not offer it");
    if (out->binding != PG_SCRAM_BOUND && !o.plain)
        return error_set(&PG_AUTH_FAILED, "the server offers only mechanisms that are not spoken");
    return OK;
}

/* From the cache, or by long work elsewhere. */
static error find_keys(pg_conn *c, pg_scram *scram)
{
    const str password = c->login.password;
    if (pg_scram_cache_find(&c->pool->scram_keys, password, scram))
        return OK;
    derivation d = { scram, password };
    TRY(pg_saslprep(fiber_arena(), password, &d.password));
    TRY(offload(derive, &d));
    pg_scram_cache_keep(&c->pool->scram_keys, password, scram);
    return OK;
}

/* What a server asks for is what an attacker in its place has to spend for each password tried. */
static error check_iterations(pg_conn *c, uint32_t iterations)
{
    pg_pool *pool = c->pool;
    if (iterations < pool->scram_iterations_min)
        return error_set(&PG_AUTH_FAILED,
                         "the server asks for %u iterations of SCRAM, PG_SCRAM_ITERATIONS_MIN is "
                         "%u",
                         iterations, pool->scram_iterations_min);
    if (iterations < ITERATIONS_USUAL && !pool->told_iterations) {
        pool->told_iterations = true;
        log_warn("the password is kept with few iterations of SCRAM: set it anew",
                 LOG_STR("host", pg_host_text(c->host)), LOG_UINT("iterations", iterations),
                 LOG_UINT("usual", ITERATIONS_USUAL));
    }
    return OK;
}

static error exchange(pg_conn *c, const pg_scram_channel *channel, pg_scram *scram)
{
    static const char SHORT[] = "the server cut the SCRAM exchange short";
    arena *a = fiber_arena();
    str message, answer;
    TRY(pg_scram_first(scram, a, channel, &message));
    const initial first = { channel->binding == PG_SCRAM_BOUND ? SCRAM_PLUS : SCRAM_PLAIN,
                            message };
    TRY(pg_conn_write(c, write_initial, &first));
    TRY(await_code(c, AUTH_SASL_CONTINUE, SHORT, &answer));
    TRY(pg_scram_server_first(scram, a, answer));
    TRY(check_iterations(c, scram->iterations));
    TRY(find_keys(c, scram));
    TRY(pg_scram_final(scram, a, &message));
    TRY(pg_conn_write(c, write_password, &message));
    TRY(await_code(c, AUTH_SASL_FINAL, SHORT, &answer));
    TRY(pg_scram_server_final(scram, answer));
    return await_code(c, AUTH_OK, SHORT, &answer);
}

static error by_scram(pg_conn *c, pg_reader mechanisms)
{
    uint8_t hash[TLS_HASH_BYTES_MAX];
    pg_scram_channel channel;
    TRY(choose_binding(c, read_offer(mechanisms), &channel, hash));
    pg_scram scram = { .step = PG_SCRAM_NEW };
    const error e = exchange(c, &channel, &scram);
    pg_scram_wipe(&scram);
    return e;
}

/* --- passwords -------------------------------------------------------------------------------- */

static error send_password(pg_conn *c, str answer)
{
    str nothing;
    TRY(pg_conn_write(c, write_password, &answer));
    return await_code(c, AUTH_OK, "the server asked twice for a password", &nothing);
}

static error in_clear(pg_conn *c)
{
    if (!stream_is_tls(c->stream) && !pg_host_is_unix(c->host) && !c->pool->info.clear_allowed)
        return error_set(&PG_AUTH_FAILED,
                         "the server asks for the password in clear text without TLS; only "
                         "require_auth=password allows it");
    /* with the NUL that ends it */
    return send_password(c, str_format(fiber_arena(), "%.*s%c", STR_ARG(c->login.password), 0));
}

static error by_md5(pg_conn *c, pg_reader r)
{
    const str salt = pg_reader_bytes(&r, PG_MD5_SALT_BYTES);
    char answer[PG_MD5_ANSWER_BYTES];
    if (!pg_reader_done(&r))
        return error_set(&PG_PROTOCOL_VIOLATION, "a malformed authentication request");
    TRY(pg_md5_answer(c->login.user, c->login.password, salt, answer));
    return send_password(c, (str){ answer, sizeof answer });
}

/* --- what is asked ---------------------------------------------------------------------------- */

static uint32_t method_of(uint32_t code)
{
    switch (code) {
    case AUTH_OK:
        return PG_AUTH_NONE;
    case AUTH_CLEARTEXT:
        return PG_AUTH_PASSWORD;
    case AUTH_MD5:
        return PG_AUTH_MD5;
    case AUTH_GSS:
        return PG_AUTH_GSS;
    case AUTH_SSPI:
        return PG_AUTH_SSPI;
    case AUTH_SASL:
        return PG_AUTH_SCRAM;
    default:
        return 0;
    }
}

static const char *name_of(uint32_t method)
{
    switch (method) {
    case PG_AUTH_NONE:
        return "none";
    case PG_AUTH_PASSWORD:
        return "password in clear text";
    case PG_AUTH_MD5:
        return "md5";
    case PG_AUTH_SCRAM:
        return "scram-sha-256";
    case PG_AUTH_GSS:
        return "gss";
    case PG_AUTH_SSPI:
        return "sspi";
    default:
        return "unknown";
    }
}

/* Whether what the server asks for may be answered. */
static error check_method(const pg_conn *c, uint32_t code)
{
    const pg_conninfo *info = &c->pool->info;
    const uint32_t method = method_of(code);
    const char *name = name_of(method);
    if (method == 0 || (method & (PG_AUTH_GSS | PG_AUTH_SSPI)) != 0)
        return error_set(&PG_AUTH_FAILED,
                         "the server asks for authentication of type %u (%s), which is not spoken",
                         code, name);
    if ((method & info->auth_methods) == 0)
        return error_set(&PG_AUTH_FAILED,
                         "require_auth does not allow what the server asks for: %s", name);
    if (method != PG_AUTH_SCRAM && info->channel_binding == PG_CHANNEL_BINDING_REQUIRE)
        return error_set(&PG_AUTH_FAILED, "channel_binding=require, and the server asks for: %s",
                         name);
    if (method == PG_AUTH_NONE || c->login.password.len > 0)
        return OK;
    const str problem = info->passfile_problem;
    return error_set(&PG_AUTH_FAILED, "the server asks for a password (%s) and none is set%s%.*s",
                     name, problem.len > 0 ? "; the password file was not used: " : "",
                     STR_ARG(problem));
}

error pg_authenticate(pg_conn *c)
{
    pg_message m;
    TRY(pg_startup_next(c, &m));
    if (m.type == PG_MSG_NEGOTIATE_VERSION) {
        TRY(pg_startup_negotiate(c, &m));
        TRY(pg_startup_next(c, &m));
    }
    if (m.type != PG_MSG_AUTHENTICATION)
        return pg_startup_unexpected(&m);
    c->auth_begun = true;
    pg_reader r = pg_reader_of(m.body);
    const uint32_t code = pg_reader_u32(&r);
    if (r.failed)
        return error_set(&PG_PROTOCOL_VIOLATION, "a malformed authentication request");
    TRY(check_method(c, code));
    if (c->pool->info.ssl.cert_mode == PG_CERT_REQUIRE && !stream_tls_showed_certificate(c->stream))
        return error_set(&PG_AUTH_FAILED,
                         "sslcertmode=require, and the server did not ask for our certificate");
    switch (code) {
    case AUTH_CLEARTEXT:
        return in_clear(c);
    case AUTH_MD5:
        return by_md5(c, r);
    case AUTH_SASL:
        return by_scram(c, r);
    default:
        return OK;
    }
}
