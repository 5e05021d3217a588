/* Migration files: their names, their sections, and the directory they are in. */
#ifndef ORM_SRC_MIGRATE_FILE_H
#define ORM_SRC_MIGRATE_FILE_H

#include "core/arena.h"
#include "core/error.h"

#define ORM_MIGRATION_BYTES_MAX 16777216 /* of one file */
#define ORM_MIGRATIONS_MAX      10000    /* in one directory */
#define ORM_CHECKSUM_BYTES      32

typedef struct orm_migration {
    int64_t version;                      /* from 1 on */
    str title;                            /* "0001_create_accounts" */
    str name;                             /* "create_accounts", a part of `title` */
    str path;                             /* "migrations/notes/0001_create_accounts.sql" */
    uint8_t checksum[ORM_CHECKSUM_BYTES]; /* of the up section, once read */
    bool reversible;                      /* has statements to go down, once read */
} orm_migration;

typedef struct orm_migrations {
    orm_migration *items; /* by version, which are unique */
    size_t count;
} orm_migrations;

/* One file's sections, views of its text. */
typedef struct orm_migration_text {
    str up;
    uint32_t up_line; /* the first line of `up` */
    str down;         /* empty without a section */
    uint32_t down_line;
} orm_migration_text;

/* Whether `name` is what a migration may be called: 1 to 200 of a-z, 0-9 and _. */
bool orm_migration_name_is_good(str name);
/* Takes "0001_create_accounts.sql" apart; `title` and `name` are views of it.
 *   returns false when it is anything else */
bool orm_migration_parse_name(str file_name, orm_migration *out);

/* Finds the sections in the text of the file at `path`, and checks all statements.
 *   reversible  set when the down section has a statement
 *   fails       ORM_MIGRATION_BAD, naming file and line */
error orm_migration_parse(str path, str text, orm_migration_text *out, bool *reversible);
/* SHA-256 of a section, not counting white space around it and the CR of CRLF line ends.
 *   fails  OUT_OF_MEMORY */
error orm_migration_checksum(str section, uint8_t out[ORM_CHECKSUM_BYTES]);

/* The directory's migrations by their names, sorted; the files are not looked into. All lives in
 * `a`. fails  SYSTEM_FAILED; ORM_MIGRATION_BAD: an .sql file with another kind of name, or two of
 * one number */
error orm_migrations_list(arena *a, str dir, orm_migrations *out);
/* Reads every file, checks it, and fills in `checksum` and `reversible`.
 *   fails  SYSTEM_FAILED, ORM_MIGRATION_BAD, OUT_OF_MEMORY */
error orm_migrations_read(arena *a, orm_migrations *migrations);
/* Reads one again to run it; its text lives in `a`.
 *   fails  as orm_migrations_read; ORM_MIGRATION_BAD also when it changed since then */
error orm_migration_load(arena *a, const orm_migration *m, orm_migration_text *out);

/* Makes the file of the next number in `dir`, with two empty sections; its path, in `a`, to `path`.
 *   fails  SYSTEM_FAILED, also when somebody else just made it; as orm_migrations_list */
error orm_migration_new(arena *a, str dir, str name, str *path);

#endif
