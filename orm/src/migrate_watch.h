/* Tells whom a migration waits for: while its statement is stuck behind another session's lock,
 * says so on standard error, less and less often. Asks over a connection of its own. */
#ifndef ORM_SRC_MIGRATE_WATCH_H
#define ORM_SRC_MIGRATE_WATCH_H

#include "core/fiber.h"
#include "pg/pg.h"

typedef struct orm_watch {
    pg_pool *db;
    fiber *fiber;
    int32_t server_pid; /* of the connection that runs statements; 0: none does */
    str title;          /* of the migration, while server_pid is set */
} orm_watch;

/* Starts watching, until the running scope ends; `w` must live as long.
 *   fails  as fiber_start */
error orm_watch_start(orm_watch *w, pg_pool *db);
/* From here on the server's process `server_pid` runs `title`'s statements; 0: none. */
void orm_watch_set(orm_watch *w, int32_t server_pid, str title);
/* Prints who holds the lock that lets one run migrate at a time. */
YIELDS void orm_watch_report_runner(pg_target on, int64_t lock_key);

#endif
