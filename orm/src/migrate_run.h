/* Migrations against a database: what the verbs up, down and status do. */
#ifndef ORM_SRC_MIGRATE_RUN_H
#define ORM_SRC_MIGRATE_RUN_H

#include "migrate_file.h"

#include "pg/pg.h"

/* All three run on a fiber. `files` have been read (orm_migrations_read) and live until they
 * return. What is done is printed at once, so that it is seen also when a later one fails. */

/* Applies every pending migration, each in a transaction of its own.
 *   fails  ORM_MIGRATION_REFUSED before anything ran; ORM_MIGRATION_FAILED, ORM_MIGRATION_BAD,
 *          SYSTEM_FAILED: that one left nothing behind, those printed stay; PG_* */
YIELDS error orm_migrate_up(pg_pool *db, const orm_migrations *files);
/* Reverts the newest `count`, likewise. Refused as a whole when one of them has no way down. */
YIELDS error orm_migrate_down(pg_pool *db, const orm_migrations *files, uint32_t count);
/* Prints a line for each migration of files and ledger; takes no lock and changes nothing.
 *   fails  ORM_MIGRATION_REFUSED, after printing, when files and ledger disagree; PG_* */
YIELDS error orm_migrate_status(pg_pool *db, const orm_migrations *files);

#endif
