/* Opening a connection, straight-line on a fiber: find the server, connect, introduce ourselves,
 * prove who we are and have the server prove the same, wait until it is ready.
 *
 * The password's key takes milliseconds of CPU and is derived on an offload thread. */
#include "pool.h"
#include "scram.h"

#include "core/offload.h"

#define ADDRESSES_MAX    8
#define HIGH_WATER_BYTES ((size_t)4 << 20)
#define PEER_TIMEOUT_MS  30000 /* a host that is off or cut off sends no reset */

enum auth_code {
    AUTH_OK = 0,
    AUTH_CLEARTEXT = 3,
    AUTH_MD5 = 5,
    AUTH_SASL = 10,
    AUTH_SASL_CONTINUE = 11,
    AUTH_SASL_FINAL = 12,
};

/* The next message but for notices and the like; what the server refuses is the error. */
static error next_message(pg_conn *c, pg_message *out)
{
    do {
        *out = (pg_message){ 0 };
        TRY(pg_conn_await(c, "pg handshake"));
        *out = c->message;
    } while (out->type == PG_MSG_NOTICE);
    pg_report report;
    return out->type == PG_MSG_ERROR && pg_report_read(out->body, &report)
               ? pg_report_error(&report)
               : OK;
}

static error unexpected(const pg_message *m)
{
    return error_set(&PG_PROTOCOL_VIOLATION, "a message of type 0x%02x during the handshake",
                     (unsigned char)m->type);
}

/* --- finding and connecting ------------------------------------------------------------------- */

static error connect_to(pg_conn *c, const address *to)
{
    const stream_options options = { .input_bytes_max = (size_t)PG_MESSAGE_BYTES_MAX + 65536,
                                     .output_bytes_high = HIGH_WATER_BYTES,
                                     .full_duplex = true,
                                     .peer_timeout_ms = PEER_TIMEOUT_MS };
    c->all_read = false;
    TRY(stream_connect(c->pool->loop, to, &PG_CONN_STREAM, &options, c, &c->stream));
    return pg_conn_await(c, "pg connect");
}

static error connect_any(pg_conn *c)
{
    const pg_conninfo *info = &c->pool->info;
    address found[ADDRESSES_MAX];
    size_t count;
    str host = info->host;
    if (pg_conninfo_is_unix(info))
        host = str_format(fiber_arena(), "%.*s/.s.PGSQL.%u", STR_ARG(host), info->port);
    TRY(address_resolve(host, info->port, found, ADDRESSES_MAX, &count));
    error e = error_set(&PG_CONNECT_FAILED, "the host has no address");
    for (size_t i = 0; i < count; i++) {
        e = connect_to(c, &found[i]);
        if (!error_is(e, &PG_CONNECT_FAILED) && !error_is(e, &STREAM_CONNECT_FAILED))
            return e;
    }
    return error_wrap(e, &PG_CONNECT_FAILED, "%.*s, port %u", STR_ARG(host), info->port);
}

static void write_startup(pg_writer *w, const void *arg)
{
    const pg_conn *c = arg;
    const pg_conninfo *info = &c->pool->info;
    const str pairs[] = {
        STR("user"),
        info->user,
        STR("database"),
        info->database,
        STR("application_name"),
        info->application_name,
        STR("options"),
        info->options,
        STR("client_encoding"),
        STR("UTF8"),
        /* what a batch may be made of: see request.h */
        STR("default_transaction_read_only"),
        c->read_only ? STR("on") : STR_NONE,
        STR("default_transaction_isolation"),
        c->read_only ? STR("read committed") : STR_NONE,
    };
    pg_write_startup(w, pairs, ARRAY_LEN(pairs));
}

/* --- authentication --------------------------------------------------------------------------- */

typedef struct derivation {
    pg_scram *scram;
    str password;
} derivation;

static error derive(void *arg)
{
    const derivation *d = arg;
    return pg_scram_derive(d->scram, d->password);
}

static void write_first(pg_writer *w, const void *arg)
{
    pg_write_sasl_initial(w, STR("SCRAM-SHA-256"), *(const str *)arg);
}

static void write_final(pg_writer *w, const void *arg)
{
    pg_write_password(w, *(const str *)arg);
}

static bool offers_scram(pg_reader mechanisms)
{
    for (;;) {
        const str name = pg_reader_cstring(&mechanisms);
        if (mechanisms.failed || name.len == 0)
            return false;
        if (str_eq(name, STR("SCRAM-SHA-256")))
            return true;
    }
}

/* The next step of the exchange, which must be of this code. */
static error sasl_step(pg_conn *c, uint32_t code, str *data)
{
    pg_message m;
    TRY(next_message(c, &m));
    if (m.type != PG_MSG_AUTHENTICATION)
        return unexpected(&m);
    pg_reader r = pg_reader_of(m.body);
    const uint32_t got = pg_reader_u32(&r);
    if (r.failed || got != code)
        return error_set(&PG_AUTH_FAILED, "the server cut the SCRAM exchange short");
    *data = pg_reader_rest(&r);
    return OK;
}

static error exchange(pg_conn *c, pg_scram *scram)
{
    arena *a = fiber_arena();
    derivation d = { scram, c->pool->info.password };
    str message, answer;
    TRY(pg_scram_first(scram, a, &message));
    TRY(pg_conn_write(c, write_first, &message));
    TRY(sasl_step(c, AUTH_SASL_CONTINUE, &answer));
    TRY(pg_scram_server_first(scram, a, answer));
    TRY(offload(derive, &d));
    TRY(pg_scram_final(scram, a, &message));
    TRY(pg_conn_write(c, write_final, &message));
    TRY(sasl_step(c, AUTH_SASL_FINAL, &answer));
    TRY(pg_scram_server_final(scram, answer));
    TRY(sasl_step(c, AUTH_OK, &answer));
    return OK;
}

static error authenticate(pg_conn *c)
{
    pg_message m;
    TRY(next_message(c, &m));
    pg_reader r = pg_reader_of(m.body);
    if (m.type != PG_MSG_AUTHENTICATION)
        return unexpected(&m);
    const uint32_t code = pg_reader_u32(&r);
    if (r.failed)
        return error_set(&PG_PROTOCOL_VIOLATION, "a malformed authentication request");
    if (code == AUTH_OK)
        return OK;
    if (code != AUTH_SASL || !offers_scram(r))
        return error_set(&PG_AUTH_FAILED,
                         "the server asks for authentication of type %u%s; only SCRAM-SHA-256 is "
                         "spoken",
                         code,
                         code == AUTH_MD5         ? " (md5)"
                         : code == AUTH_CLEARTEXT ? " (password in clear text)"
                                                  : "");
    if (c->pool->info.password.len == 0)
        return error_set(&PG_AUTH_FAILED, "the server asks for a password and none is set");
    pg_scram scram = { .step = PG_SCRAM_NEW };
    const error e = exchange(c, &scram);
    pg_scram_wipe(&scram);
    return e;
}

/* --- ready ------------------------------------------------------------------------------------ */

static error check_parameter(const pg_message *m)
{
    static const struct {
        str name;
        str value;
    } needed[] = {
        { { "client_encoding", 15 }, { "UTF8", 4 } },
        { { "integer_datetimes", 17 }, { "on", 2 } },
    };
    pg_reader r = pg_reader_of(m->body);
    const str name = pg_reader_cstring(&r), value = pg_reader_cstring(&r);
    if (!pg_reader_done(&r))
        return error_set(&PG_PROTOCOL_VIOLATION, "a malformed ParameterStatus");
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        if (str_eq(name, needed[i].name) && !str_eq(value, needed[i].value))
            return error_set(&PG_CONNECT_FAILED, "the server's %.*s is %.*s, it must be %.*s",
                             STR_ARG(name), STR_ARG(value), STR_ARG(needed[i].value));
    }
    return OK;
}

static error take_key(pg_conn *c, const pg_message *m)
{
    pg_reader r = pg_reader_of(m->body);
    c->cancel.process = pg_reader_u32(&r);
    c->cancel.key = pg_reader_u32(&r);
    return pg_reader_done(&r) ? OK
                              : error_set(&PG_PROTOCOL_VIOLATION, "a malformed BackendKeyData");
}

static error await_ready(pg_conn *c)
{
    for (;;) {
        pg_message m;
        TRY(next_message(c, &m));
        if (m.type == PG_MSG_READY_FOR_QUERY)
            return OK;
        if (m.type == PG_MSG_PARAMETER_STATUS)
            TRY(check_parameter(&m));
        else if (m.type == PG_MSG_BACKEND_KEY_DATA)
            TRY(take_key(c, &m));
        else
            return unexpected(&m);
    }
}

error pg_conn_open(pg_conn *c)
{
    TRY(connect_any(c));
    TRY(pg_conn_write(c, write_startup, c));
    TRY(authenticate(c));
    return await_ready(c);
}
