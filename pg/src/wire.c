/* PostgreSQL's messages. Ours are built twice, first to count their bytes and then to write them,
 * so that a whole group leaves from one piece of memory without a copy. Theirs are read by a cursor
 * that cannot pass the end.
 *
 * Invariant: a message written is as long as the same message counted. */
#include "wire.h"

#include "value.h"

#include "core/fiber.h"
#include "core/memory.h"

#include <stdio.h>

#define PROTOCOL_3_0   196608U
#define SSL_REQUEST    80877103U
#define CANCEL_REQUEST 80877102U
#define COLUMNS_MAX    1664 /* PostgreSQL's MaxTupleAttributeNumber */
#define SQLSTATE_BYTES 5

/* --- reading ---------------------------------------------------------------------------------- */

pg_frame pg_frame_read(str input, uint32_t bytes_max, pg_message *out, size_t *bytes)
{
    if (input.len < PG_HEADER_BYTES)
        return PG_FRAME_PARTIAL;
    const uint32_t len = pg_get32(input.ptr + 1); /* itself included */
    if (len < 4 || len > INT32_MAX)
        return PG_FRAME_BAD;
    out->type = input.ptr[0];
    *bytes = (size_t)len + 1;
    if (len > bytes_max)
        return PG_FRAME_TOO_LONG;
    if (input.len < *bytes)
        return PG_FRAME_PARTIAL;
    out->body = (str){ input.ptr + PG_HEADER_BYTES, len - 4 };
    return PG_FRAME_WHOLE;
}

static str *report_field(pg_report *report, char code)
{
    switch (code) {
    case 'S':
        return &report->severity_shown;
    case 'V':
        return &report->severity;
    case 'C':
        return &report->sqlstate;
    case 'M':
        return &report->message;
    case 'D':
        return &report->detail;
    case 'H':
        return &report->hint;
    case 'P':
        return &report->position;
    case 'W':
        return &report->where;
    case 's':
        return &report->schema;
    case 't':
        return &report->table;
    case 'c':
        return &report->column;
    case 'n':
        return &report->constraint;
    case 'd':
        return &report->data_type;
    case 'p':
        return &report->internal_position;
    case 'q':
        return &report->internal_query;
    case 'F':
        return &report->file;
    case 'L':
        return &report->line;
    case 'R':
        return &report->routine;
    default:
        return NULL; /* others, and those of later servers */
    }
}

bool pg_report_read(str body, pg_report *out)
{
    *out = (pg_report){ 0 };
    pg_reader r = pg_reader_of(body);
    for (;;) {
        const char code = (char)pg_reader_u8(&r);
        if (code == 0)
            break;
        const str text = pg_reader_cstring(&r);
        str *field = report_field(out, code);
        if (field)
            *field = text;
    }
    if (!out->severity.ptr) /* servers before 9.6, and poolers in words of their own */
        out->severity = out->severity_shown;
    return pg_reader_done(&r);
}

bool pg_report_is_fatal(const pg_report *report)
{
    return str_eq(report->severity, STR("FATAL")) || str_eq(report->severity, STR("PANIC"));
}

/* The message up to the first thing that class 22 (data exception) quotes: a value, mostly. */
static str message_without_data(const pg_report *report)
{
    const str message = report->message;
    if (!str_starts_with(report->sqlstate, STR("22")))
        return message;
    return str_trim(str_slice(message, 0, str_index(message, '"')), STR(": "));
}

void pg_report_text(const pg_report *report, char *out, size_t bytes)
{
    const str message = message_without_data(report);
    (void)snprintf(out, bytes, "%.*s %.*s: %.*s%s%.*s", STR_ARG(report->severity),
                   STR_ARG(report->sqlstate), STR_ARG(message),
                   report->position.len > 0 ? " at character " : "", STR_ARG(report->position));
}

error pg_report_error(const pg_report *report)
{
    return pg_report_error_as(report, pg_error_kind(report->sqlstate), "");
}

error pg_report_error_as(const pg_report *report, const error_kind *kind, const char *advice)
{
    char text[512];
    pg_report_text(report, text, sizeof text);
    char state[6] = "";
    if (report->sqlstate.len == SQLSTATE_BYTES)
        memcpy(state, report->sqlstate.ptr, SQLSTATE_BYTES);
    const error e = error_set(kind, "%s%s", text, advice);
    pg_report *kept = fiber_self() ? ARENA_NEW(fiber_arena(), pg_report) : NULL;
    if (kept)
        *kept = *report;
    error_add_sqlstate(state, report->constraint, kept);
    return e;
}

/* The bytes that all names take, or SIZE_MAX when the description is malformed. */
static size_t column_name_bytes(str body, uint32_t *count)
{
    pg_reader r = pg_reader_of(body);
    *count = pg_reader_u16(&r);
    size_t bytes = 0;
    if (*count > COLUMNS_MAX)
        return SIZE_MAX;
    for (uint32_t i = 0; i < *count; i++) {
        bytes += pg_reader_cstring(&r).len;
        pg_reader_take(&r, 18);
    }
    return pg_reader_done(&r) ? bytes : SIZE_MAX;
}

/* One of a portal has its format, that of a statement not yet: text is said. */
static pg_column read_column(pg_reader *r, bool of_portal)
{
    pg_column c = { .name = pg_reader_cstring(r) };
    c.table = pg_reader_u32(r);
    c.attribute = pg_reader_u16(r);
    c.oid = pg_reader_u32(r);
    pg_reader_u16(r); /* the type's size: told by each value's length */
    c.type_modifier = pg_reader_i32(r);
    const uint16_t format = pg_reader_u16(r);
    c.format = !of_portal ? pg_type_format(c.oid) : format == 0 ? PG_TEXT : PG_BINARY;
    r->failed = r->failed || format > 1;
    return c;
}

error pg_columns_read(str body, bool of_portal, pg_column **out, uint32_t *count)
{
    *out = NULL;
    const size_t name_bytes = column_name_bytes(body, count);
    if (name_bytes == SIZE_MAX)
        return (error){ &PG_PROTOCOL_VIOLATION };
    if (*count == 0)
        return OK;
    char *memory = memory_new(1, *count * sizeof(pg_column) + name_bytes);
    if (!memory)
        return (error){ &OUT_OF_MEMORY };
    pg_column *columns = (pg_column *)(void *)memory;
    char *names = memory + *count * sizeof(pg_column);
    pg_reader r = pg_reader_of(body);
    pg_reader_u16(&r);
    for (uint32_t i = 0; i < *count; i++) {
        const pg_column c = read_column(&r, of_portal);
        columns[i] = c;
        columns[i].name.ptr = names;
        names = pg_put_bytes(names, c.name.ptr, c.name.len);
    }
    if (r.failed) {
        memory_free(memory);
        return (error){ &PG_PROTOCOL_VIOLATION };
    }
    *out = columns;
    return OK;
}

const pg_column *pg_columns_copy(arena *a, const pg_column *columns, uint32_t count)
{
    size_t name_bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        name_bytes += columns[i].name.len;
    char *memory = arena_try_alloc(a, count * sizeof(pg_column) + name_bytes, _Alignof(pg_column));
    if (!memory)
        return NULL;
    pg_column *copies = (pg_column *)(void *)memory;
    char *names = memory + count * sizeof(pg_column);
    for (uint32_t i = 0; i < count; i++) {
        copies[i] = columns[i];
        copies[i].name.ptr = names;
        names = pg_put_bytes(names, columns[i].name.ptr, columns[i].name.len);
    }
    return copies;
}

bool pg_columns_match(str body, const pg_column *columns, uint32_t count)
{
    pg_reader r = pg_reader_of(body);
    if (pg_reader_u16(&r) != count)
        return false;
    for (uint32_t i = 0; i < count && !r.failed; i++) {
        const pg_column c = read_column(&r, true);
        const pg_column *is = &columns[i];
        if (c.oid != is->oid || c.format != is->format || c.table != is->table ||
            c.attribute != is->attribute || c.type_modifier != is->type_modifier ||
            !str_eq(c.name, is->name))
            return false;
    }
    return pg_reader_done(&r);
}

bool pg_row_read(str body, str *cells, uint32_t count)
{
    const char *at = body.ptr, *const end = body.ptr + body.len;
    if (body.len < 2 || pg_get16(at) != count)
        return false;
    at += 2;
    for (uint32_t i = 0; i < count; i++) {
        if (end - at < 4)
            return false;
        const uint32_t len = pg_get32(at);
        at += 4;
        if (len == UINT32_MAX) {
            cells[i] = STR_NONE;
            continue;
        }
        if (len > (size_t)(end - at))
            return false;
        cells[i] = (str){ at, len };
        at += len;
    }
    return at == end;
}

uint64_t pg_tag_rows(str tag)
{
    size_t at = tag.len;
    while (at > 0 && tag.ptr[at - 1] != ' ')
        at--;
    uint64_t rows = 0;
    return str_to_uint64(str_slice(tag, at, tag.len), &rows) ? rows : 0;
}

bool pg_tag_is_dml(str tag)
{
    return str_starts_with(tag, STR("SELECT ")) || str_starts_with(tag, STR("INSERT ")) ||
           str_starts_with(tag, STR("UPDATE ")) || str_starts_with(tag, STR("DELETE ")) ||
           str_starts_with(tag, STR("MERGE "));
}

/* --- writing ---------------------------------------------------------------------------------- */

static void put8(pg_writer *w, uint8_t value)
{
    if (w->at)
        w->at = pg_put8(w->at, value);
    w->bytes += 1;
}

static void put16(pg_writer *w, uint16_t value)
{
    if (w->at)
        w->at = pg_put16(w->at, value);
    w->bytes += 2;
}

static void put32(pg_writer *w, uint32_t value)
{
    if (w->at)
        w->at = pg_put32(w->at, value);
    w->bytes += 4;
}

static void put_bytes(pg_writer *w, str bytes)
{
    if (w->at)
        w->at = pg_put_bytes(w->at, bytes.ptr, bytes.len);
    w->bytes += bytes.len;
}

static void put_cstring(pg_writer *w, str text)
{
    put_bytes(w, text);
    put8(w, 0);
}

/* A message's type and the place of its length, which message_end fills in. */
typedef struct message_start {
    char *length;
    size_t bytes;
} message_start;

static message_start message_begin(pg_writer *w, char type)
{
    if (type)
        put8(w, (uint8_t)type);
    const message_start start = { w->at, w->bytes };
    put32(w, 0);
    return start;
}

static void message_end(pg_writer *w, message_start start)
{
    if (start.length)
        pg_put32(start.length, (uint32_t)(w->bytes - start.bytes));
}

static void write_empty(pg_writer *w, char type)
{
    message_end(w, message_begin(w, type));
}

void pg_write_parse(pg_writer *w, str name, str sql, const pg_value *values, size_t value_count)
{
    const message_start start = message_begin(w, 'P');
    put_cstring(w, name);
    put_cstring(w, sql);
    put16(w, (uint16_t)value_count);
    for (size_t i = 0; i < value_count; i++)
        put32(w, values[i].oid);
    message_end(w, start);
}

void pg_write_describe_statement(pg_writer *w, str name)
{
    const message_start start = message_begin(w, 'D');
    put8(w, 'S');
    put_cstring(w, name);
    message_end(w, start);
}

void pg_write_describe_portal(pg_writer *w, str name)
{
    const message_start start = message_begin(w, 'D');
    put8(w, 'P');
    put_cstring(w, name);
    message_end(w, start);
}

/* Each behind its length. */
static size_t values_size(const pg_value *values, size_t count)
{
    size_t bytes = 4 * count;
    for (size_t i = 0; i < count; i++)
        bytes += pg_value_size(&values[i]);
    return bytes;
}

static char *put_value(char *at, const pg_value *value)
{
    if (value->is_null)
        return pg_put32(at, UINT32_MAX);
    char *end = pg_value_put(value, at + 4);
    pg_put32(at, (uint32_t)(end - at - 4));
    return end;
}

static char *put_values(char *at, const pg_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        at = put_value(at, &values[i]);
    return at;
}

/* What was put at once by other means than the writer's. */
static void advance(pg_writer *w, char *at)
{
    w->bytes += (size_t)(at - w->at);
    w->at = at;
}

/* The messages of every statement and of every copied row are counted by their formula, and written
 * without asking at each field which of the two it is. */
void pg_write_bind(pg_writer *w, str portal, str name, const pg_value *values, size_t value_count,
                   const pg_column *columns, uint32_t column_count)
{
    if (!w->at) {
        w->bytes += PG_HEADER_BYTES + portal.len + 1 + name.len + 1 + 2 + 2 * value_count + 2 +
                    values_size(values, value_count) + 2 + 2 * (size_t)column_count;
        return;
    }
    char *length = pg_put8(w->at, 'B');
    char *at = pg_put_bytes(length + 4, portal.ptr, portal.len);
    at = pg_put_bytes(pg_put8(at, 0), name.ptr, name.len);
    at = pg_put16(pg_put8(at, 0), (uint16_t)value_count);
    for (size_t i = 0; i < value_count; i++)
        at = pg_put16(at, (uint16_t)pg_value_format(&values[i]));
    at = put_values(pg_put16(at, (uint16_t)value_count), values, value_count);
    at = pg_put16(at, (uint16_t)column_count);
    for (uint32_t i = 0; i < column_count; i++)
        at = pg_put16(at, (uint16_t)columns[i].format);
    pg_put32(length, (uint32_t)(at - length));
    advance(w, at);
}

void pg_write_execute(pg_writer *w, str portal, uint32_t rows_max)
{
    const message_start start = message_begin(w, 'E');
    put_cstring(w, portal);
    put32(w, rows_max);
    message_end(w, start);
}

void pg_write_run(pg_writer *w, str sql)
{
    pg_write_parse(w, STR(""), sql, NULL, 0);
    pg_write_bind(w, STR(""), STR(""), NULL, 0, NULL, 0);
    pg_write_execute(w, STR(""), 0);
}

void pg_write_sync(pg_writer *w)
{
    write_empty(w, 'S');
}

void pg_write_terminate(pg_writer *w)
{
    write_empty(w, 'X');
}

void pg_write_close_statement(pg_writer *w, str name)
{
    const message_start start = message_begin(w, 'C');
    put8(w, 'S');
    put_cstring(w, name);
    message_end(w, start);
}

void pg_write_close_portal(pg_writer *w, str portal)
{
    const message_start start = message_begin(w, 'C');
    put8(w, 'P');
    put_cstring(w, portal);
    message_end(w, start);
}

void pg_write_copy_data(pg_writer *w, str bytes)
{
    const message_start start = message_begin(w, 'd');
    put_bytes(w, bytes);
    message_end(w, start);
}

void pg_write_copy_row(pg_writer *w, const pg_value *values, size_t value_count)
{
    if (w->at)
        advance(w, put_values(pg_put16(w->at, (uint16_t)value_count), values, value_count));
    else
        w->bytes += 2 + values_size(values, value_count);
}

void pg_write_copy_done(pg_writer *w)
{
    write_empty(w, 'c');
}

void pg_write_copy_fail(pg_writer *w, str why)
{
    const message_start start = message_begin(w, 'f');
    put_cstring(w, why);
    message_end(w, start);
}

void pg_write_query(pg_writer *w, str sql)
{
    const message_start start = message_begin(w, 'Q');
    put_cstring(w, sql);
    message_end(w, start);
}

void pg_write_startup(pg_writer *w, uint16_t minor_version, const str *pairs, size_t count)
{
    const message_start start = message_begin(w, 0);
    put32(w, PROTOCOL_3_0 + minor_version);
    for (size_t i = 0; i + 1 < count; i += 2) {
        if (pairs[i + 1].len == 0)
            continue;
        put_cstring(w, pairs[i]);
        put_cstring(w, pairs[i + 1]);
    }
    put8(w, 0);
    message_end(w, start);
}

void pg_write_ssl_request(pg_writer *w)
{
    const message_start start = message_begin(w, 0);
    put32(w, SSL_REQUEST);
    message_end(w, start);
}

void pg_write_cancel(pg_writer *w, uint32_t process, str key)
{
    const message_start start = message_begin(w, 0);
    put32(w, CANCEL_REQUEST);
    put32(w, process);
    put_bytes(w, key);
    message_end(w, start);
}

void pg_write_password(pg_writer *w, str bytes)
{
    const message_start start = message_begin(w, 'p');
    put_bytes(w, bytes);
    message_end(w, start);
}

void pg_write_sasl_initial(pg_writer *w, str mechanism, str data)
{
    const message_start start = message_begin(w, 'p');
    put_cstring(w, mechanism);
    put32(w, (uint32_t)data.len);
    put_bytes(w, data);
    message_end(w, start);
}
