/* Reading and writing rows of a table.
 *
 * What is meant for one row changes one row: orm_update and orm_delete send nothing unless the
 * filter fixes the primary key or a unique column. */
#include "sql.h"

ERROR_KIND(ORM_NOT_FOUND, ERROR_NOT_FOUND, "There is no such thing.");
ERROR_KIND(ORM_MANY_ROWS, ERROR_INTERNAL, "The server could not complete the request.");

static error not_found(const orm_table *table)
{
    return error_set(&ORM_NOT_FOUND, "no row of %.*s meets the conditions", STR_ARG(table->name));
}

static void put_select(orm_sql *sql)
{
    orm_sql_put(sql, STR("select "));
    orm_sql_put_columns(sql);
    orm_sql_put(sql, STR(" from "));
    orm_sql_put_table(sql);
}

static void put_returning(orm_sql *sql)
{
    orm_sql_put(sql, STR(" returning "));
    orm_sql_put_columns(sql);
}

/* --- reading ---------------------------------------------------------------------------------- */

error orm_find_row(pg_target on, const orm_table *table, void *out, bool *known,
                   const orm_filter *filter)
{
    orm_sql sql;
    pg_rows rows;
    *known = false;
    orm_sql_init(&sql, table, ORM_FIND);
    put_select(&sql);
    orm_sql_put_where(&sql, filter);
    orm_sql_put_limit(&sql, 2);
    TRY(orm_sql_query(&sql, on, &rows));
    if (rows.count > 1)
        return error_set(&ORM_MANY_ROWS, "several rows of %.*s meet the conditions",
                         STR_ARG(table->name));
    if (rows.count == 1)
        TRY(orm_read_row(&sql, &rows, 0, out));
    *known = rows.count == 1;
    return OK;
}

error orm_get_row(pg_target on, const orm_table *table, void *out, const orm_filter *filter)
{
    bool known;
    TRY(orm_find_row(on, table, out, &known, filter));
    return known ? OK : not_found(table);
}

error orm_list_rows(pg_target on, const orm_table *table, orm_order order, uint32_t limit,
                    const orm_filter *filter, void **items, size_t *count)
{
    orm_sql sql;
    pg_rows rows;
    *count = 0;
    *items = NULL;
    orm_sql_init(&sql, table, ORM_LIST);
    put_select(&sql);
    orm_sql_put_where(&sql, filter);
    orm_sql_put_order(&sql, order);
    orm_sql_put_limit(&sql, limit);
    TRY(orm_sql_query(&sql, on, &rows));
    char *structs = arena_alloc_zero(fiber_arena(), rows.count, sql.shape->bytes, 16);
    for (size_t i = 0; i < rows.count; i++)
        TRY(orm_read_row(&sql, &rows, i, structs + i * sql.shape->bytes));
    *items = structs;
    *count = rows.count;
    return OK;
}

error orm_count_rows(pg_target on, const orm_table *table, const orm_filter *filter, int64_t *out)
{
    orm_sql sql;
    pg_rows rows;
    orm_sql_init(&sql, table, ORM_COUNT);
    orm_sql_put(&sql, STR("select count(*) from "));
    orm_sql_put_table(&sql);
    orm_sql_put_where(&sql, filter);
    TRY(orm_sql_query(&sql, on, &rows));
    if (rows.count != 1 || rows.column_count != 1)
        return error_set(&PG_PROTOCOL_VIOLATION, "count(*) gave %zu rows of %u columns", rows.count,
                         rows.column_count);
    return pg_get(&rows, 0, 0, out);
}

/* --- inserting -------------------------------------------------------------------------------- */

static bool is_inserted(const shape_field *field, const char *row)
{
    if (field->generated)
        return false;
    if (field->type->arity != SHAPE_OPTIONAL)
        return true;
    /* The front of every opt_X: has, is_null. */
    const bool has = row[field->offset] != 0;
    const bool is_null = row[field->offset + offsetof(opt_bool, is_null)] != 0;
    return has || is_null;
}

static void put_insert(orm_sql *sql, const char *row)
{
    const shape *of = sql->shape;
    bool any = false;
    orm_sql_put(sql, STR("insert into "));
    orm_sql_put_table(sql);
    for (uint32_t i = 0; i < of->field_count; i++) {
        if (!is_inserted(&of->fields[i], row))
            continue;
        orm_sql_put(sql, any ? STR(", ") : STR(" ("));
        orm_sql_put_name(sql, of->fields[i].name);
        any = true;
    }
    if (!any) {
        orm_sql_put(sql, STR(" default values"));
        return;
    }
    any = false;
    for (uint32_t i = 0; i < of->field_count; i++) {
        const shape_field *field = &of->fields[i];
        if (!is_inserted(field, row))
            continue;
        orm_sql_put(sql, any ? STR(", ") : STR(") values ("));
        orm_sql_put_value(sql, pg_param_member(field->type, row + field->offset));
        any = true;
    }
    orm_sql_put(sql, STR(")"));
}

error orm_insert_row(pg_target on, const orm_table *table, void *row)
{
    orm_sql sql;
    pg_rows rows;
    orm_sql_init(&sql, table, ORM_INSERT);
    put_insert(&sql, row);
    put_returning(&sql);
    TRY(orm_sql_query(&sql, on, &rows));
    if (rows.count != 1) /* a rule or a trigger has kept it out */
        return not_found(table);
    return orm_read_row(&sql, &rows, 0, row);
}

/* --- changing --------------------------------------------------------------------------------- */

/* Whether the filter lets only rows pass in which the column equals one value. */
/* NOLINTNEXTLINE(misc-no-recursion): as deep as ORM_FILTER_DEPTH_MAX */
static bool fixes(const orm_filter *f, uint32_t offset, uint32_t depth)
{
    if (f->op == ORM_EQ)
        return f->offset == offset && !f->value.is_null;
    if (depth == ORM_FILTER_DEPTH_MAX || (f->op != ORM_ALL && !(f->op == ORM_ANY && f->count == 1)))
        return false;
    for (size_t i = 0; i < f->count; i++) {
        if (fixes(f->items[i], offset, depth + 1))
            return true;
    }
    return false;
}

static bool fixes_one_row(const shape *of, const orm_filter *filter)
{
    bool whole_key = true, has_key = false;
    for (uint32_t i = 0; i < of->field_count; i++) {
        const shape_field *field = &of->fields[i];
        const bool fixed = fixes(filter, field->offset, 0);
        if (field->unique && fixed)
            return true;
        has_key = has_key || field->primary_key;
        whole_key = whole_key && (!field->primary_key || fixed);
    }
    return has_key && whole_key;
}

static error check_one_row(const orm_sql *sql, const orm_filter *filter)
{
    if (fixes_one_row(sql->shape, filter))
        return OK;
    return error_set(&ORM_MANY_ROWS,
                     "the filter on %.*s fixes neither its primary key nor a unique "
                     "column: nothing was done",
                     STR_ARG(sql->table->name));
}

/* Changes stand newest first; the statement has them in the order they were written. */
static void put_changes(orm_sql *sql, const orm_change *changes)
{
    size_t count = 0;
    for (const orm_change *c = changes; c; c = c->before)
        count++;
    const orm_change **in_order = ARENA_NEW_ARRAY(fiber_arena(), const orm_change *, count);
    size_t at = count;
    for (const orm_change *c = changes; c; c = c->before)
        in_order[--at] = c;
    for (size_t i = 0; i < count; i++) {
        orm_sql_put(sql, i == 0 ? STR(" set ") : STR(", "));
        orm_sql_put_name(sql, orm_field(sql->shape, in_order[i]->offset)->name);
        orm_sql_put(sql, STR(" = "));
        orm_sql_put_value(sql, in_order[i]->value);
    }
}

static void put_update(orm_sql *sql, const orm_filter *filter, const orm_change *changes)
{
    orm_sql_put(sql, STR("update "));
    orm_sql_put_table(sql);
    put_changes(sql, changes);
    orm_sql_put_where(sql, filter);
}

error orm_update_row(pg_target on, const orm_table *table, void *out, const orm_filter *filter,
                     const orm_change *changes)
{
    orm_sql sql;
    pg_rows rows;
    orm_sql_init(&sql, table, ORM_UPDATE);
    TRY(check_one_row(&sql, filter));
    if (!changes)
        return orm_get_row(on, table, out, filter);
    put_update(&sql, filter, changes);
    put_returning(&sql);
    TRY(orm_sql_query(&sql, on, &rows));
    return rows.count > 0 ? orm_read_row(&sql, &rows, 0, out) : not_found(table);
}

error orm_update_rows(pg_target on, const orm_table *table, uint64_t *affected,
                      const orm_filter *filter, const orm_change *changes)
{
    orm_sql sql;
    if (affected)
        *affected = 0;
    if (!changes)
        return OK;
    orm_sql_init(&sql, table, ORM_UPDATE_ALL);
    put_update(&sql, filter, changes);
    return orm_sql_execute(&sql, on, affected);
}

static void put_delete(orm_sql *sql, const orm_filter *filter)
{
    orm_sql_put(sql, STR("delete from "));
    orm_sql_put_table(sql);
    orm_sql_put_where(sql, filter);
}

error orm_delete_row(pg_target on, const orm_table *table, const orm_filter *filter)
{
    orm_sql sql;
    uint64_t affected;
    orm_sql_init(&sql, table, ORM_DELETE);
    TRY(check_one_row(&sql, filter));
    put_delete(&sql, filter);
    TRY(orm_sql_execute(&sql, on, &affected));
    return affected > 0 ? OK : not_found(table);
}

error orm_delete_rows(pg_target on, const orm_table *table, uint64_t *affected,
                      const orm_filter *filter)
{
    orm_sql sql;
    orm_sql_init(&sql, table, ORM_DELETE_ALL);
    put_delete(&sql, filter);
    return orm_sql_execute(&sql, on, affected);
}
