/* Migrations against a database. One step is one migration: a fiber with a transaction of its own,
 *
 *   begin -> try the lock --no--> BUSY: end, wait a little, again
 *              |yes
 *            ledger -> plan -> refused, or nothing left
 *                        |
 *                      statements -> row of the ledger -> commit
 *
 * so that whatever ends a step early rolls it back, and that its memory goes with it. The lock
 * lives as long as the transaction; the ledger is read after it was taken. Waiting holds no
 * transaction, no snapshot and no connection, so nothing waits for the waiter.
 *
 * A statement may leave settings behind (SET search_path, SET ROLE); they are reset before the
 * ledger is written.
 *
 * Invariant: a row of the ledger is written or removed in the transaction of its statements. */
#include "migrate_run.h"

#include "migrate_plan.h"
#include "migrate_script.h"
#include "migrate_watch.h"

#include "core/loop.h"
#include "orm/migrate.h"

#include <stdarg.h>
#include <stdio.h>

#define LOCK_KEY            0x6272696f206d6967 /* "brio mig" */
#define LOCK_POLL_MS        200
#define LOCK_REPORT_MS      10000
#define TIMESTAMP_TEXT_ROOM (TIMESTAMPTZ_TEXT_MAX + 1)

typedef enum step_result {
    STEP_DONE = 1,
    STEP_BUSY,    /* another run has the lock */
    STEP_NOTHING, /* left to do */
} step_result;

typedef struct migrate_run {
    pg_pool *db;
    const orm_migrations *files;
    orm_watch watch;
    bool report_lock; /* the next step that finds the lock taken says by whom */
    step_result result;
    uint32_t done;
    uint32_t count;   /* to go down */
    int64_t *targets; /* their versions, planned by the first step; NULL before */
} migrate_run;

/* Shown at once: the next line may take an hour. */
static void PRINTF_LIKE(1, 2) say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)fflush(stdout);
}

/* --- the ledger ------------------------------------------------------------------------------ */

static error has_ledger(pg_target on, bool *out)
{
    pg_rows rows;
    TRY(pg_query(on, &rows, "select to_regclass('brio_migrations') is not null"));
    return pg_get(&rows, 0, 0, out);
}

static error read_row(const pg_rows *rows, size_t i, orm_applied *out)
{
    TRY(pg_get(rows, i, 0, &out->version));
    TRY(pg_get(rows, i, 1, &out->name));
    TRY(pg_get(rows, i, 2, &out->checksum));
    return pg_get(rows, i, 3, &out->applied_at);
}

/* Empty when there is no table. */
static error read_ledger(pg_target on, orm_ledger *out)
{
    bool there;
    pg_rows rows;
    *out = (orm_ledger){ 0 };
    TRY(has_ledger(on, &there));
    if (!there)
        return OK;
    TRY(pg_query(
        on, &rows,
        "select version, name, checksum, applied_at from brio_migrations order by version"));
    orm_applied *items = ARENA_NEW_ARRAY(fiber_arena(), orm_applied, rows.count);
    for (size_t i = 0; i < rows.count; i++)
        TRY(read_row(&rows, i, &items[i]));
    *out = (orm_ledger){ items, rows.count };
    return OK;
}

static error make_ledger(pg_tx *tx)
{
    bool there;
    TRY(has_ledger(pg_target_tx(tx), &there));
    if (there)
        return OK;
    return pg_script(tx, STR("create table brio_migrations ("
                             " version bigint primary key,"
                             " name text not null,"
                             " checksum bytea not null,"
                             " applied_at timestamptz not null default now())"));
}

static error make_plan(const orm_migrations *files, pg_target on, orm_plan *out)
{
    orm_ledger ledger;
    const error e = read_ledger(on, &ledger);
    if (error_class_of(e) == ERROR_UNAVAILABLE) /* the server, not the table */
        return e;
    if (e.kind)
        return error_wrap(e, &ORM_MIGRATION_FAILED, "cannot read the table brio_migrations");
    orm_plan_make(fiber_arena(), files, &ledger, out);
    return OK;
}

/* --- one transaction ------------------------------------------------------------------------- */

/* The database's or role's defaults may be anything; a migration takes as long as it takes. READ
 * COMMITTED: the ledger is read as it is after the lock was taken. The last: a server that can is
 * to notice when this process was killed, instead of finishing a long statement for nobody. */
#define SESSION                                                             \
    STR("set transaction isolation level read committed, read write;"       \
        "set local statement_timeout = 0;"                                  \
        "set local lock_timeout = 0;"                                       \
        "set local idle_in_transaction_session_timeout = 0;"                \
        "select set_config('transaction_timeout', '0', true)"               \
        " where current_setting('server_version_num')::int >= 170000;"      \
        "select set_config('client_connection_check_interval', '1s', true)" \
        " where current_setting('server_version_num')::int >= 140000 and version() ~ 'linux'")

static error begin(migrate_run *run, pg_tx **tx)
{
    TRY(pg_begin(run->db, tx));
    return pg_script(*tx, SESSION);
}

static error try_lock(migrate_run *run, pg_tx *tx, bool *taken)
{
    pg_rows rows;
    TRY(pg_query(tx, &rows, "select pg_try_advisory_xact_lock($1)", (int64_t)LOCK_KEY));
    TRY(pg_get(&rows, 0, 0, taken));
    if (!*taken && run->report_lock)
        orm_watch_report_runner(pg_target_tx(tx), LOCK_KEY);
    return OK;
}

typedef struct session {
    int32_t server_pid;
    int64_t transaction;
} session;

static error read_session(pg_tx *tx, session *out)
{
    pg_rows rows;
    TRY(pg_query(tx, &rows, "select pg_backend_pid(), txid_current()"));
    TRY(pg_get(&rows, 0, 0, &out->server_pid));
    return pg_get(&rows, 0, 1, &out->transaction);
}

static error explain(error e, const orm_migration *m, uint32_t line)
{
    if (error_is(e, &PG_INVALID_ARGUMENT))
        return error_wrap(e, &ORM_MIGRATION_FAILED,
                          "%.*s:%u: what was done until here stays, and is not in brio_migrations",
                          STR_ARG(m->path), line);
    return error_wrap(e, &ORM_MIGRATION_FAILED,
                      "%.*s:%u: this statement failed; nothing of the migration was kept",
                      STR_ARG(m->path), line);
}

static error run_statements(pg_tx *tx, const orm_migration *m, str section, uint32_t line)
{
    orm_script script;
    orm_statement s;
    orm_script_init(&script, m->path, section, line);
    for (;;) {
        TRY(orm_script_next(&script, &s));
        if (s.sql.len == 0)
            return OK;
        const error e = pg_script(tx, s.sql);
        if (e.kind)
            return explain(e, m, s.line);
    }
}

/* Statements that begin or end transactions are refused when the file is read. This is for those
 * that were taken for something else there: COMMIT; BEGIN leaves a transaction behind, but another.
 */
static error check_transaction(pg_tx *tx, const orm_migration *m, const session *before)
{
    session after;
    TRY(read_session(tx, &after));
    if (after.transaction == before->transaction)
        return OK;
    return error_set(&ORM_MIGRATION_FAILED,
                     "%.*s: the script ended its transaction: what it did until then stays, and is "
                     "not in brio_migrations",
                     STR_ARG(m->path));
}

static error run_section(migrate_run *run, pg_tx *tx, const orm_migration *m, str section,
                         uint32_t line)
{
    session before;
    TRY(read_session(tx, &before));
    orm_watch_set(&run->watch, before.server_pid, m->title);
    const error e = run_statements(tx, m, section, line);
    orm_watch_set(&run->watch, 0, STR_NONE);
    TRY(e);
    TRY(check_transaction(tx, m, &before));
    return pg_script(tx, STR("reset session authorization; reset role; reset all"));
}

static error commit(pg_tx **tx, const orm_migration *m)
{
    const error e = pg_commit(tx);
    if (error_is(e, &PG_COMMIT_UNKNOWN))
        return error_wrap(
            e, &ORM_MIGRATION_FAILED,
            "%.*s: the connection was lost at its end: `migrate status` tells whether "
            "it was kept",
            STR_ARG(m->path));
    if (e.kind)
        return error_wrap(e, &ORM_MIGRATION_FAILED,
                          "%.*s: failed at its end; nothing of the migration was kept",
                          STR_ARG(m->path));
    return OK;
}

/* --- steps ----------------------------------------------------------------------------------- */

static error step_up(void *arg)
{
    migrate_run *run = arg;
    pg_tx *tx;
    bool locked;
    orm_plan plan;
    orm_migration_text text;
    TRY(begin(run, &tx));
    TRY(try_lock(run, tx, &locked));
    run->result = locked ? STEP_DONE : STEP_BUSY;
    if (!locked)
        return OK;
    TRY(make_ledger(tx));
    TRY(make_plan(run->files, pg_target_tx(tx), &plan));
    TRY(orm_plan_check(&plan, false));
    const orm_plan_row *next = orm_plan_next(&plan);
    if (!next) {
        run->result = STEP_NOTHING;
        return pg_commit(&tx);
    }
    const orm_migration *m = next->file;
    TRY(orm_migration_load(fiber_arena(), m, &text));
    TRY(run_section(run, tx, m, text.up, text.up_line));
    const bytea checksum = { m->checksum, sizeof m->checksum };
    TRY(pg_execute(tx, NULL,
                   "insert into brio_migrations (version, name, checksum) values ($1, $2, $3)",
                   m->version, m->name, checksum));
    TRY(commit(&tx, m));
    say("applied %.*s\n", STR_ARG(m->title));
    return OK;
}

/* Fixes what will be reverted, so that what others do meanwhile cannot add to it. */
static error plan_down(migrate_run *run, arena *a, const orm_plan *plan)
{
    run->targets = ARENA_NEW_ARRAY(a, int64_t, run->count);
    for (uint32_t i = 0; i < run->count; i++) {
        const orm_plan_row *row = orm_plan_newest(plan, i);
        if (!row)
            return error_set(&ORM_MIGRATION_REFUSED, "cannot revert %u: only %u are applied",
                             run->count, i);
        if (!row->file->reversible)
            return error_set(&ORM_MIGRATION_REFUSED,
                             "%.*s cannot be reverted: %.*s has nothing in a section "
                             "\"-- migrate:down\"",
                             STR_ARG(row->file->title), STR_ARG(row->file->path));
        run->targets[i] = row->file->version;
    }
    return OK;
}

static error revert(migrate_run *run, pg_tx *tx, const orm_migration *m)
{
    uint64_t removed;
    orm_migration_text text;
    TRY(orm_migration_load(fiber_arena(), m, &text));
    TRY(run_section(run, tx, m, text.down, text.down_line));
    TRY(pg_execute(tx, &removed, "delete from brio_migrations where version = $1", m->version));
    if (removed != 1)
        return error_set(&ORM_MIGRATION_FAILED,
                         "%.*s: its own statements took it out of brio_migrations",
                         STR_ARG(m->path));
    return OK;
}

typedef struct step_down_arg {
    migrate_run *run;
    arena *arena; /* outlives the step */
} step_down_arg;

static error step_down(void *arg)
{
    migrate_run *run = ((step_down_arg *)arg)->run;
    pg_tx *tx;
    bool locked;
    orm_plan plan;
    TRY(begin(run, &tx));
    TRY(try_lock(run, tx, &locked));
    run->result = locked ? STEP_DONE : STEP_BUSY;
    if (!locked)
        return OK;
    TRY(make_plan(run->files, pg_target_tx(tx), &plan));
    TRY(orm_plan_check(&plan, true));
    const orm_plan_row *newest = orm_plan_newest(&plan, 0);
    if (!newest && !run->targets) {
        run->result = STEP_NOTHING;
        return pg_rollback(&tx);
    }
    if (!run->targets)
        TRY(plan_down(run, ((step_down_arg *)arg)->arena, &plan));
    invariant(!newest || newest->file != NULL); /* a missing file was refused */
    if (!newest || newest->file->version != run->targets[run->done])
        return error_set(&ORM_MIGRATION_REFUSED,
                         "another run changed what is applied; look at `migrate status`");
    TRY(revert(run, tx, newest->file));
    TRY(commit(&tx, newest->file));
    say("reverted %.*s\n", STR_ARG(newest->file->title));
    return OK;
}

/* Runs one step on a fiber of its own, until it gets the lock. */
static error run_step(migrate_run *run, fiber_fn step, void *arg)
{
    const fiber_options options = { .name = "migration", .joinable = true };
    for (uint32_t waited_ms = 0;; waited_ms += LOCK_POLL_MS) {
        fiber *f;
        run->report_lock = waited_ms % LOCK_REPORT_MS == 0;
        TRY(fiber_start(loop_self(), &options, step, arg, &f));
        TRY(fiber_join(&f));
        if (run->result != STEP_BUSY)
            return OK;
        TRY(fiber_sleep(LOCK_POLL_MS));
    }
}

/* --- verbs ----------------------------------------------------------------------------------- */

error orm_migrate_up(pg_pool *db, const orm_migrations *files)
{
    migrate_run *run = ARENA_NEW(fiber_arena(), migrate_run);
    *run = (migrate_run){ .db = db, .files = files };
    TRY(orm_watch_start(&run->watch, db));
    for (;;) {
        TRY(run_step(run, step_up, run));
        if (run->result == STEP_NOTHING)
            break;
        run->done++;
    }
    if (run->done == 0)
        say("nothing to do\n");
    return OK;
}

error orm_migrate_down(pg_pool *db, const orm_migrations *files, uint32_t count)
{
    invariant(count > 0 && count <= ORM_MIGRATIONS_MAX);
    migrate_run *run = ARENA_NEW(fiber_arena(), migrate_run);
    *run = (migrate_run){ .db = db, .files = files, .count = count };
    step_down_arg arg = { run, fiber_arena() };
    TRY(orm_watch_start(&run->watch, db));
    for (; run->done < count; run->done++) {
        TRY(run_step(run, step_down, &arg));
        if (run->result == STEP_NOTHING) {
            say("nothing to do\n");
            break;
        }
    }
    return OK;
}

static const char *remark(orm_plan_state state)
{
    switch (state) {
    case ORM_PLAN_APPLIED:
        return "";
    case ORM_PLAN_PENDING:
        return "pending";
    case ORM_PLAN_LATE:
        return "pending, but older than an applied one";
    case ORM_PLAN_CHANGED:
        return ", changed since";
    case ORM_PLAN_RENAMED:
        return ", under another name";
    case ORM_PLAN_MISSING:
        return ", file missing";
    }
    unreachable();
}

static str row_version(const orm_plan_row *row)
{
    if (row->file)
        return str_slice(row->file->title, 0, str_index(row->file->title, '_'));
    return str_format(fiber_arena(), "%04lld", (long long)row->applied->version);
}

static str row_name(const orm_plan_row *row)
{
    return row->file ? row->file->name : row->applied->name;
}

static void print_row(const orm_plan_row *row, int version_width, int name_width)
{
    char when[TIMESTAMP_TEXT_ROOM];
    const str version = row_version(row);
    const str name = row_name(row);
    const size_t len = row->applied ? timestamptz_format(when, row->applied->applied_at) : 0;
    say("%-*.*s  %-*.*s  %.*s%s\n", version_width, STR_ARG(version), name_width, STR_ARG(name),
        (int)len, when, remark(row->state));
}

error orm_migrate_status(pg_pool *db, const orm_migrations *files)
{
    orm_plan plan;
    size_t version_width = sizeof "version" - 1;
    size_t name_width = sizeof "name" - 1;
    TRY(make_plan(files, pg_target_pool(db), &plan));
    for (size_t i = 0; i < plan.count; i++) {
        const size_t version = row_version(&plan.rows[i]).len;
        const size_t name = row_name(&plan.rows[i]).len;
        version_width = version > version_width ? version : version_width;
        name_width = name > name_width ? name : name_width;
    }
    say("%-*s  %-*s  applied_at\n", (int)version_width, "version", (int)name_width, "name");
    for (size_t i = 0; i < plan.count; i++)
        print_row(&plan.rows[i], (int)version_width, (int)name_width);
    return orm_plan_check(&plan, false);
}
