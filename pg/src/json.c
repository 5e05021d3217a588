/* Rows as JSON. What is the same in all rows is made once: the escaped name of each column behind
 * what separates it from the one before, and what its cells are. A row is then, for most columns,
 * two copies into room that is asked for once.
 *
 * Invariant: a buffer holds whole rows; what was begun of one that cannot be written is taken back.
 */
#include "pg/json.h"

#include "json_cell.h"

#include "core/fiber.h"
#include "core/json.h"

#include <string.h>

#define WORD_BYTES   16               /* names are copied in pieces of this */
#define ROW_BYTES    (WORD_BYTES + 2) /* of a row: behind its last name, braces */
#define NAMES_BYTES  ((size_t)1 << 20)
#define SCRATCH_MAX  (SIZE_MAX / 2) /* as long as a cell */
#define SLOTS_A_NAME 2
#define EXPECTED_MAX ((size_t)1 << 20) /* before they are there */

typedef struct json_column {
    pg_json_type type;
    pg_oid oid;
    uint32_t name_at; /* of `{"name":`, in the first column, or `,"name":`, in `names` */
    uint32_t name_len;
} json_column;

struct pg_json {
    const pg_column *known; /* the columns that were last found to be these */
    uint32_t column_count;
    size_t row_bytes; /* of a row at most, besides its cells' own */
    bool begun;       /* a list whose beginning was given */
    json_column *columns;
    buf names;
    buf scratch;
    buf piece;
};

static void json_init(pg_json *j)
{
    arena *a = fiber_arena();
    *j = (pg_json){ 0 };
    buf_init_arena(&j->names, a, NAMES_BYTES);
    buf_init_arena(&j->scratch, a, SCRATCH_MAX);
    buf_init_arena(&j->piece, a, PG_JSON_BYTES_MAX);
}

/* --- columns ---------------------------------------------------------------------------------- */

static str name_of(const pg_json *j, const json_column *c)
{
    return (str){ j->names.data + c->name_at, c->name_len };
}

/* Puts the name's column into a free slot; false: one of that name has one. As they are written:
 * names that are not UTF-8 may be mended into the same. */
static bool claim_slot(const pg_json *j, uint16_t *slots, size_t slot_count, uint16_t column)
{
    const str name = str_slice(name_of(j, &j->columns[column]), 1, SIZE_MAX);
    size_t at = str_hash(name, 0) & (slot_count - 1);
    for (; slots[at]; at = (at + 1) & (slot_count - 1)) {
        const str other = name_of(j, &j->columns[slots[at] - 1]);
        if (str_eq(str_slice(other, 1, SIZE_MAX), name))
            return false;
    }
    slots[at] = (uint16_t)(column + 1);
    return true;
}

static error check_names(const pg_json *j, const pg_rows *rows)
{
    size_t slot_count = 1;
    while (slot_count < (size_t)j->column_count * SLOTS_A_NAME)
        slot_count *= 2;
    uint16_t *slots = ARENA_NEW_ARRAY(fiber_arena(), uint16_t, slot_count);
    for (uint32_t i = 0; i < j->column_count; i++) {
        if (!claim_slot(j, slots, slot_count, (uint16_t)i))
            return error_set(&PG_INVALID_ARGUMENT, "two columns of rows as JSON have the name %.*s",
                             STR_ARG(rows->columns[i].name));
    }
    return OK;
}

static void add_name(pg_json *j, json_column *c, str name)
{
    const size_t at = j->names.len;
    buf_append_char(&j->names, at == 0 ? '{' : ',');
    json_write_string(&j->names, name);
    buf_append_char(&j->names, ':');
    c->name_at = (uint32_t)at;
    c->name_len = (uint32_t)(j->names.len - at);
}

COLD static error not_as_json(const pg_column *c)
{
    return error_set(&PG_INVALID_ARGUMENT,
                     "the column %.*s (%s) was not asked for as JSON: write PG_AS_JSON",
                     STR_ARG(c->name), pg_type_name(c->oid));
}

/* Makes what all rows share, of the first rows that are given. */
static error learn_columns(pg_json *j, const pg_rows *rows)
{
    if (rows->column_count > PG_JSON_COLUMNS_MAX)
        return error_set(&PG_INVALID_ARGUMENT, "%u columns as JSON", rows->column_count);
    j->columns = ARENA_NEW_ARRAY(fiber_arena(), json_column, rows->column_count);
    j->column_count = rows->column_count;
    buf_reset(&j->names);
    for (uint32_t i = 0; i < rows->column_count; i++) {
        const pg_column *from = &rows->columns[i];
        json_column *c = &j->columns[i];
        c->oid = from->oid;
        c->type = pg_json_type_of(from->oid);
        if (from->format != c->type.format)
            return not_as_json(from);
        add_name(j, c, from->name);
    }
    j->row_bytes = j->names.len + (size_t)j->column_count * PG_JSON_CELL_BYTES + ROW_BYTES;
    buf_reserve(&j->names, WORD_BYTES); /* the last name is copied in whole words too */
    TRY(buf_status(&j->names));
    TRY(check_names(j, rows));
    j->known = rows->columns;
    return OK;
}

static bool is_column(pg_json *j, const json_column *c, const pg_column *other)
{
    buf_reset(&j->scratch);
    json_write_string(&j->scratch, other->name);
    return other->oid == c->oid && other->format == c->type.format &&
           str_eq(buf_str(&j->scratch), str_slice(name_of(j, c), 1, c->name_len - 2));
}

/* Each piece of a result brings its own description, which says the same. */
static error meet_columns(pg_json *j, const pg_rows *rows)
{
    if (!j->known)
        return learn_columns(j, rows);
    bool same = rows->column_count == j->column_count;
    for (uint32_t i = 0; i < rows->column_count && same; i++)
        same = is_column(j, &j->columns[i], &rows->columns[i]);
    if (!same)
        return error_set(&PG_INVALID_ARGUMENT, "rows as JSON of several results");
    j->known = rows->columns;
    return OK;
}

/* --- rows ------------------------------------------------------------------------------------- */

/* Copies a name to where there is room for a word more; returns the end. */
static char *put_name(char *to, const char *name, size_t len)
{
    memcpy(to, name, WORD_BYTES);
    if (UNLIKELY(len > WORD_BYTES))
        memcpy(to + WORD_BYTES, name + WORD_BYTES, len - WORD_BYTES);
    return to + len;
}

/* What is not written as most are: looks closer, appends. False: it is no such value. */
static bool append_cell(buf *out, pg_json *j, const json_column *c, str cell)
{
    return c->type.element ? pg_json_append_array(out, &c->type, cell, &j->scratch)
                           : pg_json_append(out, c->type.kind, cell);
}

COLD static error mismatch(const pg_column *c, size_t bytes)
{
    return error_set(&PG_TYPE_MISMATCH, "%zu bytes of the column %.*s (%s, OID %u) are no JSON",
                     bytes, STR_ARG(c->name), pg_type_name(c->oid), c->oid);
}

/* Room for all of a row whose cells are written as most are. */
static size_t room_of(const pg_json *j, const str *cells)
{
    size_t bytes = j->row_bytes;
    for (uint32_t i = 0; i < j->column_count; i++)
        bytes += cells[i].len;
    return bytes;
}

/* What of it is for these columns. */
__attribute__((noinline)) static size_t room_between(const pg_json *j, const str *cells,
                                                     uint32_t from, uint32_t to)
{
    size_t bytes = 0;
    for (uint32_t i = from; i < to; i++)
        bytes += j->columns[i].name_len + PG_JSON_CELL_BYTES + cells[i].len;
    return bytes;
}

/* Appends one row, or a part of it when it fails. The columns are those of `rows`. */
static error append_row(buf *out, pg_json *j, const pg_rows *rows, const str *cells)
{
    size_t room = room_of(j, cells);
    uint32_t written = 0; /* columns that `room` is without */
    char *from = buf_reserve(out, room);
    char *to = from;
    if (!from)
        return buf_status(out);
    for (uint32_t i = 0; i < j->column_count; i++) {
        const json_column *c = &j->columns[i];
        const str cell = cells[i];
        to = put_name(to, j->names.data + c->name_at, c->name_len);
        if (!cell.ptr) {
            memcpy(to, "null", 4);
            to += 4;
            continue;
        }
        const size_t len = c->type.element ? 0 : pg_json_put(to, c->type.kind, cell);
        to += len;
        if (len > 0)
            continue;
        buf_commit(out, (size_t)(to - from));
        if (!append_cell(out, j, c, cell))
            return mismatch(&rows->columns[i], cell.len);
        room -= room_between(j, cells, written, i + 1);
        written = i + 1;
        from = to = buf_reserve(out, room);
        if (!from)
            return buf_status(out);
    }
    if (j->column_count == 0)
        *to++ = '{';
    *to++ = '}';
    buf_commit(out, (size_t)(to - from));
    return OK;
}

static error write_row(buf *out, pg_json *j, const pg_rows *rows, size_t row)
{
    const size_t begin = out->len;
    const error e = append_row(out, j, rows, rows->items[row].cells);
    if (UNLIKELY(e.kind != NULL))
        out->len = begin;
    return e;
}

error pg_json_write_row(buf *out, pg_json *j, const pg_rows *rows, size_t row)
{
    invariant(row < rows->count);
    if (UNLIKELY(rows->columns != j->known || rows->column_count != j->column_count || !j->known))
        TRY(meet_columns(j, rows));
    return write_row(out, j, rows, row);
}

/* --- lists ------------------------------------------------------------------------------------ */

/* Makes room for the others, which may be about as long as this one. */
static void expect(buf *out, size_t row_bytes, size_t rows_left)
{
    size_t bytes;
    if (!__builtin_mul_overflow(row_bytes + row_bytes / 16 + 1, rows_left, &bytes) &&
        bytes <= EXPECTED_MAX && bytes <= out->bytes_max - out->len)
        buf_reserve(out, bytes);
}

/* Rows with commas between them. */
static error write_rows(buf *out, pg_json *j, const pg_rows *rows)
{
    TRY(meet_columns(j, rows));
    for (size_t i = 0; i < rows->count; i++) {
        const size_t begin = out->len;
        if (i > 0)
            buf_append_char(out, ',');
        TRY(write_row(out, j, rows, i));
        if (i == 0)
            expect(out, out->len - begin, rows->count - 1);
    }
    return OK;
}

error pg_rows_json(const pg_rows *rows, str *out)
{
    pg_json j;
    json_init(&j);
    buf_append_char(&j.piece, '[');
    if (rows->count > 0)
        TRY(write_rows(&j.piece, &j, rows));
    buf_append_char(&j.piece, ']');
    TRY(buf_status(&j.piece));
    *out = buf_str(&j.piece);
    return OK;
}

pg_json *pg_json_new(void)
{
    pg_json *j = ARENA_NEW(fiber_arena(), pg_json);
    json_init(j);
    return j;
}

error pg_json_next(pg_json *j, const pg_rows *rows, str *piece)
{
    buf *out = &j->piece;
    buf_reset(out);
    if (rows->count == 0) {
        *piece = j->begun ? STR("]") : STR("[]");
        return OK;
    }
    buf_append_char(out, j->begun ? ',' : '[');
    TRY(write_rows(out, j, rows));
    TRY(buf_status(out));
    j->begun = true;
    *piece = buf_str(out);
    return OK;
}
