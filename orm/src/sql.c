/* Statements of the typed queries. The same call always gives the same text, values being
 * parameters, so that the driver's cache of prepared statements finds it again.
 *
 * Field names are C identifiers and table names constants of the program: quoting is for reserved
 * words, not against strangers. No value ever stands in the text. */
#include "sql.h"

#include <string.h>

#define TEXT_BYTES_MAX ((size_t)1 << 20)
#define VALUES_FIRST   16

void orm_sql_init(orm_sql *sql, const orm_table *table, orm_operation operation)
{
    *sql =
        (orm_sql){ .table = table, .shape = table->shape(), .name = table->statements[operation] };
    buf_init_arena(&sql->text, fiber_arena(), TEXT_BYTES_MAX);
}

void orm_sql_put(orm_sql *sql, str text)
{
    buf_append(&sql->text, text);
}

static void put_quoted(orm_sql *sql, str name)
{
    char *at = buf_reserve(&sql->text, name.len + 2);
    if (!at)
        return;
    at[0] = '"';
    memcpy(at + 1, name.ptr, name.len);
    at[name.len + 1] = '"';
    buf_commit(&sql->text, name.len + 2);
}

void orm_sql_put_name(orm_sql *sql, str name)
{
    const str first = str_cut(&name, '.');
    put_quoted(sql, first);
    if (!name.ptr)
        return;
    orm_sql_put(sql, STR("."));
    put_quoted(sql, name);
}

void orm_sql_put_value(orm_sql *sql, pg_value value)
{
    if (sql->value_count == sql->value_capacity) {
        const size_t capacity = sql->value_capacity ? 2 * sql->value_capacity : VALUES_FIRST;
        sql->values = arena_grow(fiber_arena(), sql->values, sql->value_capacity * sizeof(pg_value),
                                 capacity * sizeof(pg_value), _Alignof(pg_value));
        sql->value_capacity = capacity;
    }
    sql->values[sql->value_count++] = value;
    buf_append_char(&sql->text, '$');
    buf_append_uint64(&sql->text, sql->value_count);
}

void orm_sql_put_columns(orm_sql *sql)
{
    for (uint32_t i = 0; i < sql->shape->field_count; i++) {
        if (i > 0)
            orm_sql_put(sql, STR(", "));
        put_quoted(sql, sql->shape->fields[i].name);
    }
}

void orm_sql_put_table(orm_sql *sql)
{
    orm_sql_put_name(sql, sql->table->name);
}

/* --- conditions ------------------------------------------------------------------------------- */

static void put_comparison(orm_sql *sql, const orm_filter *f)
{
    static const str operators[] = {
        [ORM_EQ] = { " = ", 3 },      [ORM_NE] = { " <> ", 4 },       [ORM_LT] = { " < ", 3 },
        [ORM_LE] = { " <= ", 4 },     [ORM_GT] = { " > ", 3 },        [ORM_GE] = { " >= ", 4 },
        [ORM_LIKE] = { " like ", 6 }, [ORM_ILIKE] = { " ilike ", 7 },
    };
    put_quoted(sql, orm_field(sql->shape, f->offset)->name);
    if (f->value.is_null && f->op == ORM_EQ) {
        orm_sql_put(sql, STR(" is null"));
    } else if (f->value.is_null && f->op == ORM_NE) {
        orm_sql_put(sql, STR(" is not null"));
    } else if (f->op == ORM_IN) {
        orm_sql_put(sql, STR(" = any("));
        orm_sql_put_value(sql, f->value);
        orm_sql_put(sql, STR(")"));
    } else {
        orm_sql_put(sql, operators[f->op]);
        orm_sql_put_value(sql, f->value);
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as ORM_FILTER_DEPTH_MAX */
static void put_filter(orm_sql *sql, const orm_filter *f, uint32_t depth)
{
    if (depth == ORM_FILTER_DEPTH_MAX) {
        sql->too_deep = true;
        return;
    }
    if (f->op < ORM_ALL) {
        put_comparison(sql, f);
        return;
    }
    if (f->count == 0) {
        orm_sql_put(sql, f->op == ORM_ALL ? STR("true") : STR("false"));
        return;
    }
    const bool alone = f->count == 1 && f->op != ORM_NOT;
    if (!alone)
        orm_sql_put(sql, STR("("));
    for (size_t i = 0; i < f->count; i++) {
        if (i > 0)
            orm_sql_put(sql, f->op == ORM_ANY ? STR(" or ") : STR(" and "));
        put_filter(sql, f->items[i], depth + 1);
    }
    if (!alone)
        orm_sql_put(sql, STR(")"));
    if (f->op == ORM_NOT) /* a row about which the condition is unknown does not meet it */
        orm_sql_put(sql, STR(" is not true"));
}

void orm_sql_put_condition(orm_sql *sql, const orm_filter *filter)
{
    put_filter(sql, filter, 0);
}

void orm_sql_put_where(orm_sql *sql, const orm_filter *filter)
{
    if (!filter || (filter->op == ORM_ALL && filter->count == 0))
        return;
    orm_sql_put(sql, STR(" where "));
    orm_sql_put_condition(sql, filter);
}

void orm_sql_put_order(orm_sql *sql, orm_order order)
{
    for (uint32_t i = 0; i < order.count; i++) {
        const shape_field *field = orm_field(sql->shape, order.keys[i].offset);
        orm_sql_put(sql, i == 0 ? STR(" order by ") : STR(", "));
        put_quoted(sql, field->name);
        if (!order.keys[i].falling)
            continue;
        orm_sql_put(sql,
                    field->type->arity == SHAPE_OPTIONAL ? STR(" desc nulls last") : STR(" desc"));
    }
}

void orm_sql_put_limit(orm_sql *sql, uint64_t limit)
{
    invariant(limit <= INT64_MAX);
    orm_sql_put(sql, STR(" limit "));
    orm_sql_put_value(sql, pg_param_int8((int64_t)limit));
}

/* --- running ---------------------------------------------------------------------------------- */

static error check(const orm_sql *sql)
{
    if (sql->too_deep)
        return error_set(&PG_INVALID_ARGUMENT, "a filter on %.*s is nested deeper than %d",
                         STR_ARG(sql->table->name), ORM_FILTER_DEPTH_MAX);
    return buf_status(&sql->text);
}

error orm_sql_query(const orm_sql *sql, pg_target on, pg_rows *rows)
{
    TRY(check(sql));
    return pg_query_values(on, (pg_sql){ buf_str(&sql->text), sql->name },
                           (pg_values){ sql->values, sql->value_count }, rows);
}

error orm_sql_execute(const orm_sql *sql, pg_target on, uint64_t *affected)
{
    TRY(check(sql));
    return pg_execute_values(on, (pg_sql){ buf_str(&sql->text), sql->name },
                             (pg_values){ sql->values, sql->value_count }, affected);
}

const shape_field *orm_field(const shape *of, uint32_t offset)
{
    for (uint32_t i = 0; i < of->field_count; i++) {
        if (of->fields[i].offset == offset)
            return &of->fields[i];
    }
    unreachable(); /* the compiler has checked that there is such a member */
}

error orm_read_row(const orm_sql *sql, const pg_rows *rows, size_t row, void *out)
{
    const shape *of = sql->shape;
    arena *const a = fiber_arena();
    if (rows->column_count != of->field_count)
        return error_set(&PG_TYPE_MISMATCH, "%u columns for the %u of table %.*s",
                         rows->column_count, of->field_count, STR_ARG(sql->table->name));
    invariant(row < rows->count);
    const str *cells = rows->items[row].cells;
    for (uint32_t i = 0; i < of->field_count; i++) {
        const shape_field *field = &of->fields[i];
        const pg_column *column = &rows->columns[i];
        const pg_cell cell = { column->oid, column->format, cells[i] };
        const error e = pg_decode_member(a, &cell, field->type, (char *)out + field->offset);
        if (e.kind)
            return error_wrap(e, e.kind, "column %.*s of table %.*s", STR_ARG(field->name),
                              STR_ARG(sql->table->name));
    }
    return OK;
}
