/* Schema migrations: numbered SQL files, applied in order, each in one transaction, and written
 * down in the table brio_migrations.
 *
 *   .commands = { orm_migrate_command("migrations/notes") }
 *
 *   notes migrate up          applies what is pending
 *   notes migrate down [N]    reverts the newest one, or the newest N
 *   notes migrate status      shows each with the time it was applied
 *   notes migrate new NAME    makes the next file
 *
 * A file is NNNN_name.sql, with a section that begins with the line `-- migrate:up` and usually one
 * that begins with `-- migrate:down`. What was applied must stay as it was: a file that is changed,
 * missing, or numbered below an applied one is refused before anything runs. Runs at the same time
 * are safe: they take turns. docs/migrations.md is the manual. */
#ifndef ORM_MIGRATE_H
#define ORM_MIGRATE_H

#include "core/command.h"
#include "core/config.h"

extern const error_kind ORM_MIGRATE_USAGE;     /* INVALID: the command line */
extern const error_kind ORM_MIGRATION_BAD;     /* INTERNAL: a file is not what it must be */
extern const error_kind ORM_MIGRATION_REFUSED; /* CONFLICT: files and database disagree */
extern const error_kind ORM_MIGRATION_FAILED;  /* INTERNAL: the server refused a statement */

/* The command `migrate` for the SQL files in `dir`, relative to the working directory; the
 * environment's MIGRATIONS_DIR wins. */
#define orm_migrate_command(dir)                              \
    ((command){ .name = "migrate",                            \
                .usage = "up | down [N] | status | new NAME", \
                .run = orm_migrate_run,                       \
                .argument = (dir) })

/* Environment variables of the command: MIGRATIONS_DIR. */
extern const config_entry ORM_MIGRATE_SETTINGS[];

/* Runs the command on a loop of its own, in the database of DATABASE_URL (`new` needs none). Prints
 * to standard output, and to standard error while it waits for locks.
 *   fails  the kinds above; SYSTEM_FAILED; CONFIG_INVALID; PG_* when there is no database. All that
 *          was reported as applied or reverted stays so; nothing is half done */
error orm_migrate_run(const command *self, int argc, char **argv);

#endif
