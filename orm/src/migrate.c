/* The command `migrate`: reads its arguments, then does everything on a fiber of a loop of its own.
 *
 * All files are read and checked before the database is asked anything, so a mistake in the last of
 * them is found before the first runs. */
#include "orm/migrate.h"

#include "migrate_file.h"
#include "migrate_run.h"

#include "core/loop.h"
#include "core/scope.h"

#include <errno.h>
#include <stdio.h>

#define CONNECTIONS 2 /* one migrates, one watches it */

ERROR_KIND(ORM_MIGRATE_USAGE, ERROR_INVALID, "The command line is not understood.");
ERROR_KIND(ORM_MIGRATION_BAD, ERROR_INTERNAL, "A migration file is malformed.");
ERROR_KIND(ORM_MIGRATION_REFUSED, ERROR_CONFLICT, "Migration files and database disagree.");
ERROR_KIND(ORM_MIGRATION_FAILED, ERROR_INTERNAL, "A migration failed.");

typedef enum verb {
    VERB_UP = 1,
    VERB_DOWN,
    VERB_STATUS,
    VERB_NEW,
} verb;

typedef struct migrate_command {
    verb verb;
    str dir;
    uint32_t count; /* VERB_DOWN */
    str name;       /* VERB_NEW */
} migrate_command;

const config_entry ORM_MIGRATE_SETTINGS[] = {
    { "MIGRATIONS_DIR", CONFIG_TEXT, .min = 1, .max = 1024,
      .meaning = "directory of the SQL migrations, instead of the program's own",
      .offset = offsetof(migrate_command, dir) },
    { 0 },
};

/* --- arguments ------------------------------------------------------------------------------- */

static error parse_count(str text, uint32_t *out)
{
    int64_t count;
    if (!str_to_int64(text, &count) || count < 1 || count > ORM_MIGRATIONS_MAX)
        return error_set(&ORM_MIGRATE_USAGE, "down %.*s: is not a number from 1 to %d",
                         STR_ARG(text), ORM_MIGRATIONS_MAX);
    *out = (uint32_t)count;
    return OK;
}

static error parse_name(str text, str *out)
{
    if (!orm_migration_name_is_good(text))
        return error_set(&ORM_MIGRATE_USAGE,
                         "new %.*s: a migration's name is of a-z, 0-9 and _, at most 200",
                         STR_ARG(str_slice(text, 0, 80)));
    *out = text;
    return OK;
}

static error parse(const command *self, int argc, char **argv, migrate_command *out)
{
    const str word = argc > 0 ? str_from_c(argv[0]) : STR("");
    const str argument = argc > 1 ? str_from_c(argv[1]) : STR_NONE;
    out->count = 1;
    if (str_eq(word, STR("up")) && argc == 1)
        out->verb = VERB_UP;
    else if (str_eq(word, STR("status")) && argc == 1)
        out->verb = VERB_STATUS;
    else if (str_eq(word, STR("down")) && argc <= 2)
        out->verb = VERB_DOWN;
    else if (str_eq(word, STR("new")) && argc == 2)
        out->verb = VERB_NEW;
    else
        return error_set(&ORM_MIGRATE_USAGE, "usage: %s %s", self->name, self->usage);
    if (out->verb == VERB_DOWN && argument.ptr)
        return parse_count(argument, &out->count);
    if (out->verb == VERB_NEW)
        return parse_name(argument, &out->name);
    return OK;
}

/* --- on the fiber ---------------------------------------------------------------------------- */

static error close_pool(void *arg)
{
    pg_pool *db = arg;
    pg_pool_close(&db);
    return OK;
}

static error run_new(const migrate_command *c)
{
    str path;
    TRY(orm_migration_new(fiber_arena(), c->dir, c->name, &path));
    (void)printf("made %.*s\n", STR_ARG(path));
    return OK;
}

static error run(void *arg)
{
    static const cleanup CLOSE_POOL = { .run = close_pool, .name = "migration pool" };
    const migrate_command *c = arg;
    orm_migrations files;
    pg_pool *db;
    if (c->verb == VERB_NEW)
        return run_new(c);
    TRY(orm_migrations_list(fiber_arena(), c->dir, &files));
    TRY(orm_migrations_read(fiber_arena(), &files));
    TRY(pg_pool_open(&(pg_pool_options){ .connections_max = CONNECTIONS }, &db));
    (void)scope_defer(&CLOSE_POOL, db);
    if (c->verb == VERB_UP)
        return orm_migrate_up(db, &files);
    if (c->verb == VERB_DOWN)
        return orm_migrate_down(db, &files, c->count);
    invariant(c->verb == VERB_STATUS);
    return orm_migrate_status(db, &files);
}

error orm_migrate_run(const command *self, int argc, char **argv)
{
    invariant(self->argument != NULL && loop_self() == NULL);
    migrate_command c = { 0 };
    TRY(parse(self, argc, argv, &c));
    TRY(config_read(ORM_MIGRATE_SETTINGS, &c));
    if (!c.dir.ptr)
        c.dir = str_from_c(self->argument);
    TRY(loop_run_fiber(run, &c));
    if (fflush(stdout) != 0 || ferror(stdout))
        return error_set_errno(&SYSTEM_FAILED, errno, "cannot write to standard output");
    return OK;
}
