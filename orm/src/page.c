/* Pages by key: a page begins behind the last row of the one before, so that every page costs the
 * same and rows that come or go meanwhile are neither skipped nor shown twice.
 *
 * A cursor is base64url of a fingerprint of table and order, then the keys of that row: eight bytes
 * for what fits, else length and bytes. It is the client's to keep and may come back as anything:
 * its values only ever become parameters. */
#include "sql.h"

#include <string.h>

ERROR_KIND(ORM_BAD_CURSOR, ERROR_INVALID, "The cursor does not belong to this list.");

#define CURSOR_BYTES_MAX ((size_t)64 << 10)
#define FINGERPRINT_SEED 0x6272696F70616765U

static error bad_cursor(const orm_table *table)
{
    return error_set(&ORM_BAD_CURSOR, "a cursor that is not of this list of %.*s",
                     STR_ARG(table->name));
}

static uint64_t fingerprint(const orm_sql *sql, orm_order order)
{
    uint64_t hash = str_hash(sql->table->name, FINGERPRINT_SEED);
    for (uint32_t i = 0; i < order.count; i++)
        hash = str_hash(orm_field(sql->shape, order.keys[i].offset)->name,
                        hash + order.keys[i].falling);
    return hash;
}

/* --- cursors ---------------------------------------------------------------------------------- */

/* Bytes of a key that is kept as it stands in the struct; 0 for text and bytes. */
static size_t fixed_bytes(const shape_field *field)
{
    invariant(field->type->arity == SHAPE_ONE);
    switch (field->type->kind) {
    case SHAPE_BOOL:
    case SHAPE_INT2:
    case SHAPE_INT4:
    case SHAPE_INT8:
    case SHAPE_FLOAT8:
    case SHAPE_TIMESTAMPTZ:
    case SHAPE_UUID:
        return field->type->bytes;
    case SHAPE_TEXT:
    case SHAPE_BYTEA:
        return 0;
    case SHAPE_JSONB:
    case SHAPE_STRUCT:
        break;
    }
    unreachable(); /* these have no order */
}

/* The order with the primary key behind it: no two rows are equal in it. */
static orm_order total_order(const shape *of, orm_order order)
{
    const bool falling = order.count > 0 && order.keys[0].falling;
    bool has_key = false;
    for (uint32_t i = 0; i < order.count; i++)
        invariant(order.keys[i].falling == falling);
    for (uint32_t i = 0; i < of->field_count; i++) {
        const shape_field *field = &of->fields[i];
        bool there = !field->primary_key;
        has_key = has_key || field->primary_key;
        for (uint32_t k = 0; k < order.count; k++)
            there = there || order.keys[k].offset == field->offset;
        if (!there)
            order = orm_order_join(order, (orm_order){ { { field->offset, falling } }, 1 });
    }
    invariant(has_key);
    for (uint32_t i = 0; i < order.count; i++) /* now, not when there is a second page */
        (void)fixed_bytes(orm_field(of, order.keys[i].offset));
    return order;
}

static void put_key(buf *out, const shape_field *field, const char *member)
{
    const size_t bytes = fixed_bytes(field);
    if (bytes > 0) {
        buf_append(out, (str){ member, bytes });
        return;
    }
    str text;
    memcpy(&text, member, sizeof text); /* a bytea has the same layout */
    const uint32_t len = (uint32_t)text.len;
    buf_append(out, (str){ (const char *)&len, sizeof len });
    buf_append(out, text);
}

/* The key at the front of `*rest`, into the struct; false when it is not there. */
static bool take_key(str *rest, const shape_field *field, char *member)
{
    size_t bytes = fixed_bytes(field);
    uint32_t len;
    if (bytes == 0) {
        if (rest->len < sizeof len)
            return false;
        memcpy(&len, rest->ptr, sizeof len);
        *rest = str_slice(*rest, sizeof len, rest->len);
        bytes = len;
    }
    if (rest->len < bytes)
        return false;
    const str value = str_slice(*rest, 0, bytes);
    *rest = str_slice(*rest, bytes, rest->len);
    if (fixed_bytes(field) == 0)
        memcpy(member, &value, sizeof value);
    else if (field->type->kind == SHAPE_BOOL)
        *member = value.ptr[0] != 0; /* any other byte is no bool */
    else
        memcpy(member, value.ptr, bytes);
    return field->type->kind != SHAPE_TEXT ||
           (str_is_utf8(value) && str_index(value, '\0') == value.len);
}

static error make_cursor(const orm_sql *sql, orm_order order, const char *row, opt_text *out)
{
    buf bytes;
    const uint64_t print = fingerprint(sql, order);
    buf_init_arena(&bytes, fiber_arena(), CURSOR_BYTES_MAX);
    buf_append(&bytes, (str){ (const char *)&print, sizeof print });
    for (uint32_t i = 0; i < order.count; i++) {
        const shape_field *field = orm_field(sql->shape, order.keys[i].offset);
        put_key(&bytes, field, row + field->offset);
    }
    if (buf_status(&bytes).kind)
        return error_set(&PG_MESSAGE_TOO_LARGE, "a row of %.*s has keys of over 64 KiB: no cursor",
                         STR_ARG(sql->table->name));
    const bytea all = { (const uint8_t *)bytes.data, bytes.len };
    *out = (opt_text){ .has = true, .value = base64url_encode(fiber_arena(), all) };
    return OK;
}

/* The keys of the cursor's row, in a struct that is otherwise zero. */
static error read_cursor(const orm_sql *sql, orm_order order, str cursor, char **row)
{
    bytea bytes;
    uint64_t print;
    if (cursor.len > 2 * CURSOR_BYTES_MAX || !base64url_decode(fiber_arena(), cursor, &bytes) ||
        bytes.len < sizeof print)
        return bad_cursor(sql->table);
    memcpy(&print, bytes.ptr, sizeof print);
    if (print != fingerprint(sql, order))
        return bad_cursor(sql->table);
    str rest = { (const char *)bytes.ptr + sizeof print, bytes.len - sizeof print };
    *row = arena_alloc_zero(fiber_arena(), 1, sql->shape->bytes, 16);
    for (uint32_t i = 0; i < order.count; i++) {
        const shape_field *field = orm_field(sql->shape, order.keys[i].offset);
        if (!take_key(&rest, field, *row + field->offset))
            return bad_cursor(sql->table);
    }
    return rest.len == 0 ? OK : bad_cursor(sql->table);
}

/* --- pages ------------------------------------------------------------------------------------ */

/* (a, b) > ($1, $2): the rows behind the cursor's. */
static void put_behind(orm_sql *sql, orm_order order, const char *row)
{
    orm_sql_put(sql, STR("("));
    for (uint32_t i = 0; i < order.count; i++) {
        orm_sql_put(sql, i == 0 ? STR("") : STR(", "));
        orm_sql_put_name(sql, orm_field(sql->shape, order.keys[i].offset)->name);
    }
    orm_sql_put(sql, order.keys[0].falling ? STR(") < (") : STR(") > ("));
    for (uint32_t i = 0; i < order.count; i++) {
        const shape_field *field = orm_field(sql->shape, order.keys[i].offset);
        orm_sql_put(sql, i == 0 ? STR("") : STR(", "));
        orm_sql_put_value(sql, pg_param_member(field->type, row + field->offset));
    }
    orm_sql_put(sql, STR(")"));
}

static error put_page(orm_sql *sql, page_query query, orm_order order, const orm_filter *filter)
{
    orm_sql_put(sql, STR("select "));
    orm_sql_put_columns(sql);
    orm_sql_put(sql, STR(" from "));
    orm_sql_put_table(sql);
    orm_sql_put(sql, STR(" where "));
    orm_sql_put_condition(sql, filter);
    if (query.cursor.ptr) {
        char *row = NULL;
        TRY(read_cursor(sql, order, query.cursor, &row));
        orm_sql_put(sql, STR(" and "));
        put_behind(sql, order, row);
    }
    orm_sql_put_order(sql, order);
    orm_sql_put_limit(sql, (uint64_t)query.limit + 1); /* one more tells whether there is a next */
    return OK;
}

error orm_page_rows(pg_target on, const orm_table *table, page_query query, orm_order order,
                    const orm_filter *filter, void **items, size_t *count, opt_text *next)
{
    orm_sql sql;
    pg_rows rows;
    *items = NULL;
    *count = 0;
    *next = (opt_text){ .is_null = true };
    TRY(query.invalid);
    invariant(query.limit > 0 && query.limit <= PAGE_LIMIT_MAX);
    orm_sql_init(&sql, table, ORM_PAGE);
    order = total_order(sql.shape, order);
    TRY(put_page(&sql, query, order, filter));
    TRY(orm_sql_query(&sql, on, &rows));
    const size_t kept = rows.count < query.limit ? rows.count : query.limit;
    char *structs = arena_alloc_zero(fiber_arena(), kept, sql.shape->bytes, 16);
    for (size_t i = 0; i < kept; i++)
        TRY(orm_read_row(&sql, &rows, i, structs + i * sql.shape->bytes));
    if (rows.count > kept)
        TRY(make_cursor(&sql, order, structs + (kept - 1) * sql.shape->bytes, next));
    *items = structs;
    *count = kept;
    return OK;
}
