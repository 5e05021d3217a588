/* The text and the parameters of one statement, as they are put together. Private to orm/. */
#ifndef ORM_SRC_SQL_H
#define ORM_SRC_SQL_H

#include "core/buf.h"
#include "orm/orm.h"

/* Lives in the fiber's arena. */
typedef struct orm_sql {
    const orm_table *table;
    const shape *shape;
    const char *name; /* of the statement */
    buf text;
    pg_value *values;
    size_t value_count;
    size_t value_capacity;
    bool too_deep; /* a filter is nested deeper than ORM_FILTER_DEPTH_MAX: it will not run */
} orm_sql;

void orm_sql_init(orm_sql *sql, const orm_table *table, orm_operation operation);
void orm_sql_put(orm_sql *sql, str text);
/* A name in double quotes; "schema.table" is two. */
void orm_sql_put_name(orm_sql *sql, str name);
/* $n, and the value as parameter n. */
void orm_sql_put_value(orm_sql *sql, pg_value value);
/* All columns of the table, with commas. */
void orm_sql_put_columns(orm_sql *sql);
void orm_sql_put_table(orm_sql *sql);
/* " where …", or nothing. */
void orm_sql_put_where(orm_sql *sql, const orm_filter *filter);
/* "…", a condition. */
void orm_sql_put_condition(orm_sql *sql, const orm_filter *filter);
/* " order by …", or nothing. */
void orm_sql_put_order(orm_sql *sql, orm_order order);
/* " limit $n". */
void orm_sql_put_limit(orm_sql *sql, uint64_t limit);

/* Runs it. `rows` NULL: `affected` is of interest. */
YIELDS error orm_sql_query(const orm_sql *sql, pg_target on, pg_rows *rows);
YIELDS error orm_sql_execute(const orm_sql *sql, pg_target on, uint64_t *affected);

/* The field at an offset: must be there. */
const shape_field *orm_field(const shape *of, uint32_t offset);
/* Decodes a row of all columns into a struct of the table's shape. */
error orm_read_row(const orm_sql *sql, const pg_rows *rows, size_t row, void *out);

#endif
