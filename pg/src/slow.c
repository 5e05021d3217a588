/* A line for each call that took long: what it was, how long it took and what of that it waited for
 * a connection, where it ran, what came of it. Values of parameters stand in it only when the
 * program was told so. */
#include "slow.h"

#include "value.h"

#include "core/log.h"
#include "core/loop.h"

#define SQL_BYTES_MAX        200
#define PARAMETERS_MAX       16
#define PARAMETER_BYTES_MAX  64
#define PARAMETERS_BYTES_MAX 2048
#define FIELDS_MAX           14

/* --- what it was ------------------------------------------------------------------------------ */

/* Of several that were sent together the one that the server had longest. */
static size_t slowest(const pg_watch *w, const pg_call *calls, size_t count)
{
    uint64_t before_us = w->began_us, longest_us = 0;
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        const pg_result *result = &calls[i].result;
        if (!result->answered)
            return result->skipped ? found : i; /* nobody waited for its end */
        if (result->ended_us - before_us > longest_us) {
            longest_us = result->ended_us - before_us;
            found = i;
        }
        before_us = result->ended_us;
    }
    return found;
}

/* The beginning of a statement on one line. */
static str shorten(char out[SQL_BYTES_MAX], str sql)
{
    size_t len = 0;
    bool space = false;
    for (size_t i = 0; i < sql.len && len + 2 < SQL_BYTES_MAX; i++) {
        const char c = sql.ptr[i];
        if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
            space = len > 0;
            continue;
        }
        if (space)
            out[len++] = ' ';
        space = false;
        out[len++] = c;
    }
    const bool cut = len + 2 >= SQL_BYTES_MAX;
    while (cut && len > 0 && (out[len - 1] & 0x80))
        len--; /* no half of a character */
    return (str){ out, len };
}

/* --- its parameters --------------------------------------------------------------------------- */

static void put_text(buf *out, str text)
{
    const bool cut = text.len > PARAMETER_BYTES_MAX;
    buf_append_char(out, '\'');
    buf_append(out, str_slice(text, 0, cut ? PARAMETER_BYTES_MAX : text.len));
    buf_append(out, cut ? STR("…'") : STR("'"));
}

static void put_uuid(buf *out, uuid value)
{
    char text[UUID_TEXT_LEN];
    buf_append(out, (str){ text, uuid_format(text, value) });
}

static void put_instant(buf *out, timestamptz value)
{
    char text[TIMESTAMPTZ_TEXT_MAX];
    buf_append(out, (str){ text, timestamptz_format(text, value) });
}

static void put_parameter(buf *out, const pg_value *v)
{
    if (v->is_null) {
        buf_append(out, STR("null"));
        return;
    }
    switch (v->oid) {
    case PG_OID_BOOL:
        buf_append(out, v->as.boolean ? STR("true") : STR("false"));
        return;
    case PG_OID_INT2:
        buf_append_int64(out, v->as.int2);
        return;
    case PG_OID_INT4:
        buf_append_int64(out, v->as.int4);
        return;
    case PG_OID_INT8:
        buf_append_int64(out, v->as.int8);
        return;
    case PG_OID_FLOAT8:
        buf_append_format(out, "%.17g", v->as.float8);
        return;
    case PG_OID_TEXT:
    case PG_OID_JSON:
    case PG_OID_JSONB:
    case 0:
        put_text(out, v->as.text);
        return;
    case PG_OID_UUID:
        put_uuid(out, v->as.uuid);
        return;
    case PG_OID_TIMESTAMPTZ:
        put_instant(out, v->as.instant);
        return;
    default: /* its length tells something too */
        buf_append_format(out, "(%zu bytes of type %u)", pg_value_size(v), v->oid);
        return;
    }
}

static void put_parameters(buf *out, pg_values values)
{
    for (size_t i = 0; i < values.count && i < PARAMETERS_MAX; i++) {
        buf_append_format(out, "%s$%zu=", i > 0 ? ", " : "", i + 1);
        put_parameter(out, &values.items[i]);
    }
    if (values.count > PARAMETERS_MAX)
        buf_append_format(out, ", %zu more", values.count - PARAMETERS_MAX);
}

/* --- the line --------------------------------------------------------------------------------- */

typedef struct line {
    log_field fields[FIELDS_MAX];
    size_t count;
} line;

static void add(line *l, log_field field)
{
    invariant(l->count < FIELDS_MAX);
    l->fields[l->count++] = field;
}

static void describe(line *l, const pg_watch *w, const pg_call *call, char sql[SQL_BYTES_MAX])
{
    if (call->name)
        add(l, LOG_CSTR("statement", call->name));
    else
        add(l, LOG_STR("sql", shorten(sql, call->sql)));
    if (call->result.answered) {
        add(l, LOG_UINT("rows", pg_watch_rows(&call->result)));
        add(l, LOG_UINT("bytes", call->result.bytes));
    }
    if (w->waited_us > 0)
        add(l, LOG_UINT("waited_ms", w->waited_us / 1000));
    if (!w->host)
        return;
    add(l, LOG_STR("host", pg_host_text(w->host)));
    add(l, LOG_UINT("process", w->process));
}

void pg_slow_tell(const pg_watch *w, const pg_call *calls, size_t count, uint64_t us, error e)
{
    char sql[SQL_BYTES_MAX];
    uint64_t kept_back;
    pg_pool *pool = w->pool;
    const pg_call *call = &calls[slowest(w, calls, count)];
    line l = { 0 };
    buf parameters;
    pg_pool_count(pool, PG_METRIC_SLOW_QUERIES, 1);
    if (!log_enabled(LOG_WARN) ||
        !pg_pace_take(&pool->slow.pace, loop_now_ms(pool->loop), &kept_back))
        return;
    add(&l, LOG_UINT("ms", us / 1000));
    describe(&l, w, call, sql);
    if (count > 1)
        add(&l, LOG_UINT("statements", count));
    if (e.kind)
        add(&l, LOG_CSTR("failed", e.kind->name));
    buf_init(&parameters, PARAMETERS_BYTES_MAX);
    if (pool->slow.parameters) {
        put_parameters(&parameters, call->values);
        add(&l, LOG_STR("parameters", buf_str(&parameters)));
    }
    if (kept_back > 0)
        add(&l, LOG_UINT("kept_back", kept_back));
    log_write(LOG_WARN, "slow query", l.fields, l.count);
    buf_deinit(&parameters);
}
