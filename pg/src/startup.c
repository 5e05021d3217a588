/* From the startup message to the first ReadyForQuery, on the opener's fiber.
 *
 * Servers since PostgreSQL 14 report whether they are standbys and whether sessions begin
 * read-only; others are asked by a query, while nobody else can use the connection. */
#include "startup.h"

#include "pool.h"

#include "core/clock.h"
#include "core/log.h"

#include <assert.h>
#include <string.h>

#define PAIRS_MAX 32

/* --- messages --------------------------------------------------------------------------------- */

/* Poolers take only parameters that they can set again for each client. */
static bool is_poolers(const pg_report *report)
{
    return str_starts_with(report->message, STR("unsupported startup parameter"));
}

error pg_startup_next(pg_conn *c, pg_message *out)
{
    do {
        *out = (pg_message){ 0 };
        TRY(pg_conn_await(c, "pg handshake"));
        *out = c->message;
    } while (out->type == PG_MSG_NOTICE);
    pg_report report;
    if (out->type != PG_MSG_ERROR || !pg_report_read(out->body, &report))
        return OK;
    const bool from_pooler = is_poolers(&report);
    c->pool->behind_pooler = c->pool->behind_pooler || from_pooler;
    return pg_report_error_as(&report, pg_error_kind(report.sqlstate),
                              from_pooler ? "; a pooler: have it ignore that "
                                            "(ignore_startup_parameters), and set it for the role "
                                            "instead"
                                          : "");
}

error pg_startup_unexpected(const pg_message *m)
{
    return error_set(&PG_PROTOCOL_VIOLATION, "a message of type 0x%02x during the handshake",
                     (unsigned char)m->type);
}

/* --- the startup message ---------------------------------------------------------------------- */

bool pg_startup_asks_read_only(const pg_conn *c)
{
    return c->read_only && !pg_conn_preamble(c).ptr;
}

/* A session that is others' too: see pg_conn_preamble. */
static void say_read_only(const pg_conn *c, str why)
{
    c->pool->behind_pooler = true;
    if (!c->pool->says_read_only) /* and no other attempt has found out meanwhile */
        log_info("each batch of reads says that it only reads, because sessions cannot begin so",
                 LOG_STR("host", pg_host_text(c->host)), LOG_STR("why", why));
    c->pool->says_read_only = true;
}

bool pg_startup_read_only_refused(pg_conn *c, bool asked, error e)
{
    static const str PREFIX = { "default_transaction_", 20 };
    const pg_report *report = pg_error_report(e);
    if (!asked || !report || report->message.len < PREFIX.len ||
        !memmem(report->message.ptr, report->message.len, PREFIX.ptr, PREFIX.len))
        return false;
    say_read_only(c, report->message);
    return true;
}

static void write_startup(pg_writer *w, const void *arg)
{
    const pg_conn *c = arg;
    const pg_conninfo *info = &c->pool->info;
    const pg_limit *limits = c->pool->limits;
    const bool begins_read_only = pg_startup_asks_read_only(c);
    const str fixed[] = {
        STR("user"),
        c->login.user,
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
        begins_read_only ? STR("on") : STR_NONE,
        STR("default_transaction_isolation"),
        begins_read_only ? STR("read committed") : STR_NONE,
    };
    str pairs[PAIRS_MAX];
    size_t count = ARRAY_LEN(fixed);
    static_assert(ARRAY_LEN(fixed) + 2 * (size_t)PG_LIMITS + ARRAY_LEN(info->session) <= PAIRS_MAX,
                  "all fit");
    memcpy(pairs, fixed, sizeof fixed);
    for (size_t i = 0; i < PG_LIMITS; i++) { /* what a pooler refuses of the others is told first */
        pairs[count++] = limits[i].name;
        pairs[count++] = limits[i].value;
    }
    memcpy(pairs + count, info->session, sizeof info->session);
    pg_write_startup(w, c->protocol, pairs, count + ARRAY_LEN(info->session));
}

error pg_startup_send(pg_conn *c)
{
    c->protocol = c->pool->info.protocol_max;
    return pg_conn_write(c, write_startup, c);
}

error pg_startup_negotiate(pg_conn *c, const pg_message *m)
{
    pg_reader r = pg_reader_of(m->body);
    const uint32_t version = pg_reader_u32(&r);
    const uint32_t refused = pg_reader_u32(&r); /* extensions, of which we ask for none */
    const uint32_t minor = version & 0xFFFF;
    if (!pg_reader_done(&r) || refused != 0 || (version >> 16 != 3 && version >> 16 != 0))
        return error_set(&PG_PROTOCOL_VIOLATION, "a malformed NegotiateProtocolVersion");
    if (minor >= c->protocol || minor == 1) /* 3.1 never was */
        return error_set(&PG_PROTOCOL_VIOLATION,
                         "the server answers protocol 3.%u with 3.%u, which is no step down",
                         c->protocol, minor);
    if (minor < c->pool->info.protocol_min)
        return error_set(&PG_CONNECT_FAILED,
                         "the server speaks protocol 3.%u, min_protocol_version asks for 3.%u",
                         minor, c->pool->info.protocol_min);
    c->protocol = (uint16_t)minor;
    return OK;
}

/* --- ready ------------------------------------------------------------------------------------ */

static error read_parameter(pg_conn *c, const pg_message *m)
{
    static const struct {
        str name;
        str value;
    } needed[] = {
        { { "client_encoding", 15 }, { "UTF8", 4 } },
        { { "integer_datetimes", 17 }, { "on", 2 } },
        { { "standard_conforming_strings", 27 }, { "on", 2 } },
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
    pg_reported_keep(&c->reported, name, value);
    if (str_eq(name, STR("search_path")))
        c->statements.context = str_hash(value, 0);
    const pg_known known = str_eq(value, STR("on")) ? PG_KNOWN_ON : PG_KNOWN_OFF;
    if (str_eq(name, STR("in_hot_standby")))
        c->in_hot_standby = known;
    else if (str_eq(name, STR("default_transaction_read_only")))
        c->begins_read_only = known;
    return OK;
}

/* Of four bytes in protocol 3.0, up to 256 in 3.2. */
static error take_key(pg_conn *c, const pg_message *m)
{
    pg_reader r = pg_reader_of(m->body);
    const uint32_t process = pg_reader_u32(&r);
    const str key = pg_reader_rest(&r);
    const size_t longest = c->protocol >= 2 ? PG_CANCEL_KEY_BYTES_MAX : 4;
    if (r.failed || key.len < 4 || key.len > longest)
        return error_set(&PG_PROTOCOL_VIOLATION, "a malformed BackendKeyData");
    c->cancel.process = process;
    c->cancel.key_bytes = (uint32_t)key.len;
    memcpy(c->cancel.key, key.ptr, key.len);
    return OK;
}

/* A pooler may have swallowed what makes the lane safe. */
static void check_read_only(const pg_conn *c)
{
    if (pg_startup_asks_read_only(c) && c->begins_read_only == PG_KNOWN_OFF)
        say_read_only(c, STR("the session does not begin read-only, as was asked"));
}

error pg_startup_await_ready(pg_conn *c)
{
    for (;;) {
        pg_message m;
        TRY(pg_startup_next(c, &m));
        if (m.type == PG_MSG_READY_FOR_QUERY) {
            check_read_only(c);
            return OK;
        }
        if (m.type == PG_MSG_PARAMETER_STATUS)
            TRY(read_parameter(c, &m));
        else if (m.type == PG_MSG_BACKEND_KEY_DATA)
            TRY(take_key(c, &m));
        else
            return pg_startup_unexpected(&m);
    }
}

/* --- what the session begins with ---------------------------------------------------------------
 */

static void write_setup(pg_writer *w, const void *arg)
{
    pg_write_query(w, ((const pg_conn *)arg)->setup);
}

static error set_up(pg_conn *c)
{
    pg_message m;
    TRY(pg_conn_write(c, write_setup, c));
    do {
        TRY(pg_startup_next(c, &m));
        if (m.type == PG_MSG_PARAMETER_STATUS)
            TRY(read_parameter(c, &m));
        else if (!strchr("TDCIAZ", m.type) || m.type == '\0')
            return pg_startup_unexpected(&m);
    } while (m.type != PG_MSG_READY_FOR_QUERY);
    return str_eq(m.body, STR("I"))
               ? OK
               : error_set(&PG_AUTH_FAILED, "after_connect: its SQL leaves a transaction open");
}

error pg_startup_set_up(pg_conn *c)
{
    const error e = c->setup.len > 0 ? set_up(c) : OK;
    const pg_report *report = e.kind ? pg_error_report(e) : NULL;
    if (!report)
        return e;
    return error_wrap(e, &PG_AUTH_FAILED, "after_connect: its SQL is refused: %.*s %.*s",
                      STR_ARG(report->sqlstate), STR_ARG(report->message));
}

/* --- target_session_attrs --------------------------------------------------------------------- */

static void write_question(pg_writer *w, const void *arg)
{
    pg_write_query(w, *(const str *)arg);
}

/* Runs a text of one statement, and takes the cells of its last row. */
static error ask_cells(pg_conn *c, str sql, str *cells, uint32_t count)
{
    pg_message m;
    TRY(pg_conn_write(c, write_question, &sql));
    do {
        TRY(pg_startup_next(c, &m));
        if (m.type == PG_MSG_DATA_ROW && !pg_row_read(m.body, cells, count))
            return pg_startup_unexpected(&m);
        if (m.type == PG_MSG_PARAMETER_STATUS)
            TRY(read_parameter(c, &m));
        else if (!strchr("TDCIZ", m.type) || m.type == '\0')
            return pg_startup_unexpected(&m);
    } while (m.type != PG_MSG_READY_FOR_QUERY);
    return OK;
}

/* Asks for one boolean, by a query of one row and one column. */
static error ask(pg_conn *c, str sql, pg_known *out)
{
    str cell = STR_NONE;
    TRY(ask_cells(c, sql, &cell, 1));
    const bool on = str_eq(cell, STR("on")) || str_eq(cell, STR("t"));
    if (!on && !str_eq(cell, STR("off")) && !str_eq(cell, STR("f")))
        return error_set(&PG_PROTOCOL_VIOLATION, "the server did not say which kind it is");
    *out = on ? PG_KNOWN_ON : PG_KNOWN_OFF;
    return OK;
}

static error is_standby(pg_conn *c, bool *out)
{
    if (c->in_hot_standby == PG_KNOWN_NOT)
        TRY(ask(c, STR("select pg_catalog.pg_is_in_recovery()"), &c->in_hot_standby));
    *out = c->in_hot_standby == PG_KNOWN_ON;
    return OK;
}

/* On a read-only connection of ours, sessions begin so because we asked for it. */
static error is_read_only(pg_conn *c, bool *out)
{
    TRY(is_standby(c, out));
    if (*out || c->read_only)
        return OK;
    if (c->begins_read_only == PG_KNOWN_NOT)
        TRY(ask(c, STR("show transaction_read_only"), &c->begins_read_only));
    *out = c->begins_read_only == PG_KNOWN_ON;
    return OK;
}

static error wrong_kind(const char *what)
{
    return error_set(&PG_CONNECT_FAILED, "the server %s", what);
}

error pg_startup_check_session(pg_conn *c, pg_session_attrs wanted)
{
    bool is;
    switch (wanted) {
    case PG_SESSION_ANY:
        return OK;
    case PG_SESSION_READ_WRITE:
        TRY(is_read_only(c, &is));
        return is ? wrong_kind("begins sessions read-only") : OK;
    case PG_SESSION_READ_ONLY:
        TRY(is_read_only(c, &is));
        return is || c->read_only ? OK : wrong_kind("begins sessions read-write");
    case PG_SESSION_PRIMARY:
        TRY(is_standby(c, &is));
        return is ? wrong_kind("is a standby") : OK;
    case PG_SESSION_STANDBY:
    case PG_SESSION_PREFER_STANDBY:
        TRY(is_standby(c, &is));
        return is ? OK : wrong_kind("is no standby");
    }
    unreachable();
}

/* --- looking ---------------------------------------------------------------------------------- */

/* A standby that has replayed all that it has got is up to date, as long as it gets anything. */
#define LOOK                                                                                  \
    "select pg_catalog.pg_is_in_recovery(), case when not pg_catalog.pg_is_in_recovery() or " \
    "(pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn() and exists " \
    "(select from pg_catalog.pg_stat_get_wal_receiver() where pid is not null)) then 0 else " \
    "least(2147483647, coalesce(extract(epoch from pg_catalog.clock_timestamp() - "           \
    "pg_catalog.pg_last_xact_replay_timestamp()) * 1000, 2147483647))::int4 end"

error pg_startup_look(pg_conn *c)
{
    str cells[2] = { STR_NONE, STR_NONE };
    int64_t lag_ms = 0;
    TRY(ask_cells(c, STR(LOOK), cells, 2));
    if (!str_to_int64(cells[1], &lag_ms))
        return error_set(&PG_PROTOCOL_VIOLATION, "the server did not say how far it is behind");
    const uint64_t from_us = clock_us(); /* now that it is awake */
    TRY(ask_cells(c, STR(""), cells + 1, 0));
    const uint64_t latency_us = clock_us() - from_us;
    c->view.standby = str_eq(cells[0], STR("t"));
    c->view.lag_ms = lag_ms > 0 ? (uint32_t)lag_ms : 0;
    c->view.latency_us = latency_us < UINT32_MAX ? (uint32_t)latency_us + 1 : UINT32_MAX;
    return OK;
}
