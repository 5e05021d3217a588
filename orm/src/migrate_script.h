/* SQL text cut into statements, without understanding more of it than where they end.
 *
 * Each is run by itself, so that an error has the line of its statement, and what would end the
 * migration's transaction is found before anything runs. */
#ifndef ORM_SRC_MIGRATE_SCRIPT_H
#define ORM_SRC_MIGRATE_SCRIPT_H

#include "core/error.h"

typedef struct orm_statement {
    str sql;       /* a view, without the semicolon and without comments around it */
    uint32_t line; /* of its first word, counted from 1 */
} orm_statement;

typedef struct orm_script {
    str file;        /* for messages */
    const char *pos; /* what is left: [pos, end) */
    const char *end;
    uint32_t line; /* at `pos` */
} orm_script;

/* Starts at the beginning of `text`, whose first line is `line` of `file`. */
void orm_script_init(orm_script *s, str file, str text, uint32_t line);
/* The next statement; at the end one with empty `sql`.
 *   fails  ORM_MIGRATION_BAD: a quote or comment that does not end, or a statement that cannot be
 *          part of a migration: transaction control, COPY from or to the client, psql's commands */
error orm_script_next(orm_script *s, orm_statement *out);

#endif
