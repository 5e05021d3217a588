/* What the server says to requests. Every answer belongs to the oldest one. Its messages are
 * checked against what was asked: what makes no sense ends the connection, because nobody could
 * tell any more whose answer is whose. */
#include "health.h"
#include "hub.h"
#include "pool.h"
#include "session.h"
#include "upkeep.h"
#include "watch.h"

#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"

#include <string.h>

static void fail(const pg_request *r, const error_kind *kind, const char *text)
{
    if (!r->fiber || r->result->failure)
        return;
    r->result->failure = kind;
    r->result->failure_text = text;
}

/* Copies the row into the waiting fiber's arena: cells and bytes in one piece. */
static void add_row(pg_conn *c, const pg_request *r, str body)
{
    pg_result *result = r->result;
    if (!r->fiber || !r->statement || result->failure || result->report.ptr)
        return;
    const uint32_t count = result->column_count;
    const size_t cell_bytes = sizeof(pg_row_node) + count * sizeof(str);
    pg_row_node *row = arena_try_alloc(result->arena, cell_bytes + body.len, _Alignof(pg_row_node));
    if (!row) {
        fail(r, &ARENA_FULL, "no room for the answer");
        return;
    }
    char *bytes = (char *)row + cell_bytes;
    memcpy(bytes, body.ptr, body.len);
    if (!pg_row_read((str){ bytes, body.len }, row->cells, count)) {
        pg_conn_violation(c, "a row does not match its description");
        return;
    }
    row->next = NULL;
    if (result->last)
        result->last->next = row;
    else
        result->first = row;
    result->last = row;
    result->count++;
    result->bytes += body.len;
}

static void statement_described(pg_conn *c, pg_request *r, str body, bool has_columns)
{
    pg_column *columns = NULL;
    uint32_t count = 0;
    error e = OK;
    r->done = true;
    if (has_columns)
        e = pg_columns_read(body, false, &columns, &count);
    if (!e.kind)
        pg_statement_described(r->statement, columns, count);
    if (error_is(e, &PG_PROTOCOL_VIOLATION))
        pg_conn_violation(c, "a malformed description of columns");
    else if (e.kind)
        fail(r, e.kind, "no memory for a description");
}

/* The rows that are about to come are not those that Bind was made for: whoever reads them is told
 * what they are. */
static void portal_changed(pg_conn *c, const pg_request *r, str body, bool has_columns)
{
    pg_result *result = r->result;
    pg_column *columns = NULL;
    uint32_t count = 0;
    const error e = has_columns ? pg_columns_read(body, true, &columns, &count) : OK;
    if (error_is(e, &PG_PROTOCOL_VIOLATION)) {
        pg_conn_violation(c, "a malformed description of columns");
        return;
    }
    pg_statement_evict(r->statement); /* the next one asks */
    if (!r->fiber)
        return;
    result->redescribed = true;
    result->columns = e.kind ? NULL : pg_columns_copy(result->arena, columns, count);
    result->column_count = count;
    if (!result->columns)
        fail(r, &ARENA_FULL, "no room for a description");
    for (uint32_t i = 0; columns && i < count; i++)
        result->outdated =
            result->outdated || columns[i].format != pg_type_format_as(columns[i].oid, r->rows_as);
    memory_free(columns);
}

static void portal_described(pg_conn *c, pg_request *r, str body, bool has_columns)
{
    const pg_statement *s = r->statement;
    r->describes = false;
    const pg_column *columns = pg_statement_columns(s, r->rows_as);
    if (has_columns ? !pg_columns_match(body, columns, s->column_count) : s->column_count > 0)
        portal_changed(c, r, body, has_columns);
}

/* The server has said how it ended. */
static void done(pg_request *r)
{
    r->done = true;
    if (!r->syncs)
        pg_request_end(r);
}

/* A shared connection's session is everybody's, and must stay as it was. */
static void note_change(const pg_request *r, str tag, bool rows)
{
    uint32_t change = pg_session_change_of(tag, rows);
    if (LIKELY(change == 0) || r->resets)
        return;
    if (!r->leased)
        change &= ~(uint32_t)PG_SESSION_TEMPORARY; /* a table, for all that one can tell */
    r->conn->changed |= change;
    if (change && !r->leased)
        fail(r, &PG_INVALID_ARGUMENT,
             "the statement changed the session of a shared connection: use pg_begin");
}

static void command_complete(pg_request *r, str body)
{
    pg_reader reader = pg_reader_of(body);
    const str tag = pg_reader_cstring(&reader);
    if (r->begins) {
        r->begins = r->parsed = r->bound = false;
        if (r->fiber)
            r->result->began = true;
        return;
    }
    note_change(r, tag, r->statement && r->statement->columns);
    if (UNLIKELY(r->statement && !r->statement->dml))
        r->statement->dml = pg_tag_is_dml(tag);
    if (r->fiber) {
        r->result->affected = pg_tag_rows(tag);
        r->result->rolled_back = str_eq(tag, STR("ROLLBACK"));
    }
    done(r);
}

/* The server passes over the rest of the group: up to its Sync, which is on the way. */
static void skip_group(pg_conn *c)
{
    for (pg_request *r; (r = pg_request_oldest(c));) {
        if (r->fiber)
            r->result->skipped = true;
        r->done = true;
        if (r->syncs)
            return;
        pg_request_end(r);
    }
}

/* Keeps the server's words for the fiber that waits. */
static void keep_report(const pg_request *r, str body)
{
    pg_result *result = r->result;
    if (!r->fiber || result->skipped || result->report.ptr)
        return;
    char *copy = arena_try_alloc(result->arena, body.len + 1, 1);
    if (!copy) {
        fail(r, &ARENA_FULL, "no room for the answer");
        return;
    }
    memcpy(copy, body.ptr, body.len);
    result->report = (str){ copy, body.len };
}

static void server_error(pg_conn *c, pg_request *r, str body)
{
    pg_report report;
    if (!pg_report_read(body, &report)) {
        pg_conn_violation(c, "a malformed error");
        return;
    }
    pg_watch_server_error(&report);
    if (pg_report_is_fatal(&report))
        pg_report_text(&report, c->why, sizeof c->why);
    if (str_eq(report.sqlstate, STR("42P05")))
        pg_pool_count(c->pool, PG_METRIC_DUPLICATES, 1);
    pg_health_error(c, report.sqlstate);
    if (!r || c->state != PG_CONN_READY)
        return;
    if (r->resets) {
        pg_conn_end(c, false, &PG_CONNECTION_LOST, "a session could not be reset");
        return;
    }
    if (r->fiber && r->exposed && r->repeats)
        r->result->struck = str_eq(report.sqlstate, STR("57014"));
    keep_report(r, body);
    r->done = true;
    if (r->syncs)
        return;
    pg_request_end(r);
    skip_group(c);
}

void pg_conn_fail_oldest(pg_conn *c, const error_kind *kind, const char *text)
{
    fail(pg_request_oldest(c), kind, text);
}

static void ready_for_query(pg_conn *c, pg_request *r, str body)
{
    if (body.len != 1 || !strchr("ITE", body.ptr[0]) || body.ptr[0] == '\0') {
        pg_conn_violation(c, "a malformed ReadyForQuery");
        return;
    }
    if (!r->done || !r->syncs) { /* no rows, and no description, is not what it means */
        pg_conn_violation(c, "a ReadyForQuery without an answer before it");
        return;
    }
    c->tx_status = body.ptr[0];
    const bool left_open = c->tx_status != 'I' && (!r->leased || r->resets);
    const bool left_changed = c->changed != 0 && !r->leased, was_reset = r->resets;
    if (left_open && !r->resets)
        fail(r, &PG_INVALID_ARGUMENT, "the statement left a transaction open: use pg_begin");
    pg_request_end(r);
    if (left_open) { /* nobody else may get into it */
        pg_conn_end(c, false, &PG_CONNECTION_LOST,
                    "a statement left a transaction open: use pg_begin");
    } else if (left_changed) {
        pg_conn_end(c, false, &PG_CONNECTION_LOST,
                    "a statement changed the session of a shared connection: use pg_begin");
    } else {
        if (was_reset && !pg_session_set_up(c))
            pg_health_session_reset(c);
        pg_upkeep_unused(c);
        pg_health_heard(c);
        pg_pool_serve(c->pool);
    }
}

/* Warnings are logged, and what is less with the details of everything. */
static void notice(pg_conn *c, str body)
{
    pg_report report;
    uint64_t kept_back;
    pg_pool *pool = c->pool;
    pg_pool_count(pool, PG_METRIC_NOTICES, 1);
    if (!pg_report_read(body, &report))
        return;
    if (pool->trace && pool->trace->notice)
        pool->trace->notice(pool->trace->arg, &report);
    const log_level level = str_eq(report.severity, STR("WARNING")) ? LOG_WARN : LOG_DEBUG;
    if (!log_enabled(level) || !pg_pace_take(&pool->notices, loop_now_ms(pool->loop), &kept_back))
        return;
    const log_field fields[] = {
        LOG_STR("severity", report.severity),   LOG_STR("sqlstate", report.sqlstate),
        LOG_STR("text", report.message),        LOG_STR("host", pg_host_text(c->host)),
        LOG_UINT("process", c->cancel.process), LOG_UINT("kept_back", kept_back)
    };
    log_write(level, "pg notice", fields, ARRAY_LEN(fields) - (kept_back == 0));
}

/* A transaction may change them by itself; others are told of what the server's configuration says.
 */
static void parameter_status(pg_conn *c, const pg_request *oldest, str body)
{
    const bool leased = c->lessee && oldest && oldest->leased;
    pg_reader r = pg_reader_of(body);
    const str name = pg_reader_cstring(&r), value = pg_reader_cstring(&r);
    const bool is_off = str_eq(value, STR("off"));
    if (!pg_reader_done(&r)) {
        pg_conn_violation(c, "a malformed ParameterStatus");
        return;
    }
    pg_reported_keep(&c->reported, name, value);
    if (str_eq(name, STR("search_path")))
        c->statements.context = str_hash(value, 0);
    else if (str_eq(name, STR("client_encoding")) && !str_eq(value, STR("UTF8")))
        pg_conn_violation(c, "client_encoding must stay UTF8");
    else if (!c->lessee && is_off && str_eq(name, STR("standard_conforming_strings")))
        pg_conn_violation(c, "standard_conforming_strings must stay on");
    else
        pg_health_parameter(c, name, value);
    if (leased && !str_eq(name, STR("in_hot_standby")))
        c->changed |= PG_SESSION_SETTINGS;
}

/* The server waits for data that nobody has: it will never come to the next request. */
static void copy_in(pg_conn *c, pg_request *r)
{
    fail(r, &PG_INVALID_ARGUMENT, "COPY FROM STDIN cannot be run as a query");
    pg_request_end(r);
    pg_conn_end(c, false, &PG_CONNECTION_LOST, "a statement was COPY FROM STDIN");
}

/* Each of these takes one message of the oldest request's answer, and returns false when it makes
 * no sense there. */
static bool answer_prepare(pg_conn *c, pg_request *r, const pg_message *m)
{
    if (r->done)
        return false;
    switch (m->type) {
    case PG_MSG_PARSE_COMPLETE:
    case PG_MSG_PARAMETER_DESCRIPTION:
        return true;
    case PG_MSG_ROW_DESCRIPTION:
    case PG_MSG_NO_DATA:
        statement_described(c, r, m->body, m->type == PG_MSG_ROW_DESCRIPTION);
        return true;
    default:
        return false;
    }
}

/* Whether what is answered next was sent with a Parse. */
static bool parses(const pg_request *r)
{
    return r->begins ? r->begin_parses : r->parses;
}

static bool answer_parse(pg_request *r)
{
    if (!parses(r) || r->parsed || r->done)
        return false;
    return r->parsed = true;
}

static bool answer_bind(pg_request *r)
{
    if (r->bound || r->done || r->parsed != parses(r))
        return false;
    r->bound = true;
    if (r->fiber && !r->begins)
        r->result->bound = true;
    return true;
}

/* What goes before a statement; it may have a row, which nobody wants. */
static bool answer_begin(pg_request *r, const pg_message *m)
{
    if (m->type != PG_MSG_COMMAND_COMPLETE)
        return m->type == PG_MSG_DATA_ROW && r->begin_parses;
    command_complete(r, m->body);
    return true;
}

static bool answer_description(pg_conn *c, pg_request *r, const pg_message *m)
{
    if (m->type != PG_MSG_ROW_DESCRIPTION && m->type != PG_MSG_NO_DATA)
        return false;
    portal_described(c, r, m->body, m->type == PG_MSG_ROW_DESCRIPTION);
    return true;
}

static bool answer_query(pg_conn *c, pg_request *r, const pg_message *m)
{
    if (m->type == PG_MSG_PARSE_COMPLETE)
        return answer_parse(r);
    if (m->type == PG_MSG_BIND_COMPLETE)
        return answer_bind(r);
    if (!r->bound || r->done)
        return false;
    if (r->begins)
        return answer_begin(r, m);
    if (r->describes)
        return answer_description(c, r, m);
    switch (m->type) {
    case PG_MSG_COMMAND_COMPLETE:
        command_complete(r, m->body);
        return true;
    case PG_MSG_DATA_ROW:
        add_row(c, r, m->body);
        if (c->state == PG_CONN_READY && r->sink)
            r->sink->data(r->sink_arg, m->body);
        return true;
    case PG_MSG_EMPTY_QUERY:
        done(r);
        return true;
    case PG_MSG_PORTAL_SUSPENDED:
        if (!r->partly)
            return false;
        if (r->fiber)
            r->result->suspended = true;
        done(r);
        return true;
    case PG_MSG_COPY_OUT: /* its data is dropped */
    case PG_MSG_COPY_DATA:
    case PG_MSG_COPY_DONE:
        return true;
    case PG_MSG_COPY_IN:
    case PG_MSG_COPY_BOTH:
        copy_in(c, r);
        return true;
    default:
        return false;
    }
}

static void script_command_complete(pg_request *r, str body)
{
    pg_reader reader = pg_reader_of(body);
    note_change(r, pg_reader_cstring(&reader), r->bound);
    r->bound = false;
    r->done = true;
}

static bool answer_script(pg_conn *c, pg_request *r, const pg_message *m)
{
    switch (m->type) {
    case PG_MSG_COMMAND_COMPLETE:
        script_command_complete(r, m->body);
        return true;
    case PG_MSG_EMPTY_QUERY:
        r->done = true;
        return true;
    case PG_MSG_ROW_DESCRIPTION:
        r->bound = true; /* there are rows; what they are is of no interest */
        return true;
    case PG_MSG_DATA_ROW:
    case PG_MSG_COPY_OUT:
    case PG_MSG_COPY_DATA:
    case PG_MSG_COPY_DONE:
        return true;
    case PG_MSG_COPY_IN:
    case PG_MSG_COPY_BOTH:
        copy_in(c, r);
        return true;
    default:
        return false;
    }
}

static void write_refusal(pg_writer *w, const void *arg)
{
    (void)arg;
    pg_write_copy_fail(w, STR("nobody sends data any more"));
}

/* The server is ready for data, or will send some. */
static void copy_opened(pg_conn *c, pg_request *r, const pg_message *m)
{
    const bool takes_data = m->type == PG_MSG_COPY_IN;
    r->bound = true;
    if (r->sink)
        r->sink->opened(r->sink_arg, takes_data, m->body.len > 0 && m->body.ptr[0] == 1);
    else if (takes_data && pg_conn_write(c, write_refusal, NULL).kind)
        pg_conn_end(c, false, &PG_CONNECTION_LOST, "a COPY that nobody fills");
}

static bool answer_copy(pg_conn *c, pg_request *r, const pg_message *m)
{
    switch (m->type) {
    case PG_MSG_COPY_IN:
    case PG_MSG_COPY_OUT:
        if (r->bound || r->done)
            return false;
        copy_opened(c, r, m);
        return true;
    case PG_MSG_COPY_DATA:
        if (r->sink && r->bound)
            r->sink->data(r->sink_arg, m->body);
        return r->bound && !r->done;
    case PG_MSG_COPY_DONE:
        return r->bound && !r->done;
    case PG_MSG_COMMAND_COMPLETE:
        command_complete(r, m->body);
        return true;
    case PG_MSG_EMPTY_QUERY:
        done(r);
        return true;
    case PG_MSG_ROW_DESCRIPTION: /* it was none */
    case PG_MSG_DATA_ROW:
        return !r->bound;
    default:
        return false;
    }
}

/* Messages that need a request; `r` is the oldest. */
static void answer(pg_conn *c, pg_request *r, const pg_message *m)
{
    if (m->type == PG_MSG_READY_FOR_QUERY) {
        ready_for_query(c, r, m->body);
        return;
    }
    bool sense = false;
    switch (r->kind) {
    case PG_REQUEST_PREPARE:
        sense = answer_prepare(c, r, m);
        break;
    case PG_REQUEST_QUERY:
        sense = answer_query(c, r, m);
        break;
    case PG_REQUEST_SCRIPT:
        sense = answer_script(c, r, m);
        break;
    case PG_REQUEST_COPY:
        sense = answer_copy(c, r, m);
        break;
    }
    if (sense)
        return;
    if (m->type == PG_MSG_DATA_ROW)
        pg_conn_violation(c, "a row that was not asked for");
    else if (m->type == PG_MSG_ROW_DESCRIPTION || m->type == PG_MSG_NO_DATA)
        pg_conn_violation(c, "a description that was not asked for");
    else
        pg_conn_violation(c, "a message out of place");
}

void pg_conn_answer(pg_conn *c, const pg_message *m)
{
    pg_request *r = pg_request_oldest(c);
    switch (m->type) {
    case PG_MSG_NOTICE:
        notice(c, m->body);
        break;
    case PG_MSG_PARAMETER_STATUS:
        parameter_status(c, r, m->body);
        break;
    case PG_MSG_NOTIFICATION:
        if (!pg_hub_told(c, m->body))
            pg_conn_violation(c, "a malformed notification");
        break;
    case PG_MSG_CLOSE_COMPLETE:
        break;
    case PG_MSG_ERROR:
        server_error(c, r, m->body);
        break;
    default:
        if (r)
            answer(c, r, m);
        else
            pg_conn_violation(c, "an answer that nobody asked for");
    }
}
