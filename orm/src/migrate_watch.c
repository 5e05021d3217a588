/* The watcher is a fiber that sleeps, and now and then asks the server whether the connection that
 * runs a migration waits for a lock, and whose. It only informs: when it cannot ask, it says
 * nothing and tries again later, and it never fails.
 *
 * Invariant: the watcher's result is OK, so that joining it leaves the error of what it watched. */
#include "migrate_watch.h"

#include "core/loop.h"
#include "core/scope.h"

#include <stdio.h>

#define WATCH_FIRST_MS 2000
#define WATCH_MOST_MS  60000 /* the pause doubles up to this */
#define BLOCKERS_MAX   5     /* named in one report */

static void report_blocker(const orm_watch *w, const pg_rows *rows, size_t row)
{
    int32_t pid;
    str who;
    str state;
    str what;
    const bool read =
        error_is_ok(pg_get(rows, row, 0, &pid)) && error_is_ok(pg_get(rows, row, 1, &who)) &&
        error_is_ok(pg_get(rows, row, 2, &state)) && error_is_ok(pg_get(rows, row, 3, &what));
    if (read)
        (void)fprintf(stderr, "%.*s waits for a lock on %.*s: process %d has it (%.*s, %.*s)\n",
                      STR_ARG(w->title), STR_ARG(what), pid, STR_ARG(who), STR_ARG(state));
}

/* Returns whether the migration is waiting. */
static bool report_blockers(const orm_watch *w)
{
    pg_rows rows;
    const int32_t pid = w->server_pid;
    const error e = pg_query(
        w->db, &rows,
        "select b.pid,"
        " coalesce(nullif(a.application_name, ''), a.usename::text, 'unknown'),"
        " coalesce(a.state, 'state unknown'),"
        " coalesce((select l.relation::regclass::text from pg_locks l"
        "           where l.pid = $1 and not l.granted and l.relation is not null limit 1),"
        "          'a transaction')"
        " from unnest(pg_blocking_pids($1)) as b (pid)"
        " left join pg_stat_activity a on a.pid = b.pid limit $2",
        pid, BLOCKERS_MAX);
    if (e.kind || w->server_pid != pid) /* over meanwhile */
        return false;
    for (size_t i = 0; i < rows.count; i++)
        report_blocker(w, &rows, i);
    return rows.count > 0;
}

static error watch(void *arg)
{
    orm_watch *w = arg;
    uint32_t pause_ms = WATCH_FIRST_MS;
    while (error_is_ok(fiber_sleep(pause_ms))) {
        const bool waiting = w->server_pid != 0 && report_blockers(w);
        if (!waiting)
            pause_ms = WATCH_FIRST_MS;
        else if (pause_ms < WATCH_MOST_MS)
            pause_ms *= 2;
    }
    return OK;
}

static error watch_end(void *arg)
{
    orm_watch *w = arg;
    fiber_cancel(w->fiber, &CANCELED);
    return fiber_join(&w->fiber);
}

error orm_watch_start(orm_watch *w, pg_pool *db)
{
    static const cleanup END = { .run = watch_end, .name = "migration lock watch" };
    *w = (orm_watch){ .db = db };
    const fiber_options options = { .name = "migration lock watch", .joinable = true };
    TRY(fiber_start(loop_self(), &options, watch, w, &w->fiber));
    (void)scope_defer(&END, w);
    return OK;
}

void orm_watch_set(orm_watch *w, int32_t server_pid, str title)
{
    invariant(server_pid >= 0);
    w->server_pid = server_pid;
    w->title = title;
}

void orm_watch_report_runner(pg_target on, int64_t lock_key)
{
    pg_rows rows;
    int32_t pid = 0;
    str who = STR("unknown");
    /* An advisory lock's 64-bit key is shown as two halves, with objsubid 1. */
    const error e = pg_query(
        on, &rows,
        "select l.pid, coalesce(nullif(a.application_name, ''), a.usename::text, 'unknown')"
        " from pg_locks l left join pg_stat_activity a on a.pid = l.pid"
        " where l.locktype = 'advisory' and l.granted and l.objsubid = 1"
        " and l.database = (select oid from pg_database where datname = current_database())"
        " and (l.classid::bigint << 32 | l.objid::bigint) = $1 limit 1",
        lock_key);
    const bool found = !e.kind && rows.count == 1 && error_is_ok(pg_get(&rows, 0, 0, &pid)) &&
                       error_is_ok(pg_get(&rows, 0, 1, &who));
    if (found)
        (void)fprintf(stderr, "waiting for another run: process %d migrates (%.*s)\n", pid,
                      STR_ARG(who));
    else
        (void)fprintf(stderr, "waiting for another run\n");
}
