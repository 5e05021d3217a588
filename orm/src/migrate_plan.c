/* Files and ledger, both sorted by version, merged into one list with a state a row. The history of
 * a database is a line: it must be a prefix of the files, unchanged. Everything else is refused,
 * because what a changed or a late file would do was never tried on such a database. */
#include "migrate_plan.h"

#include "orm/migrate.h"

#include <string.h>

static orm_plan_state applied_state(const orm_migration *file, const orm_applied *applied)
{
    if (!str_eq(file->name, applied->name))
        return ORM_PLAN_RENAMED;
    if (applied->checksum.len != ORM_CHECKSUM_BYTES ||
        memcmp(file->checksum, applied->checksum.ptr, ORM_CHECKSUM_BYTES) != 0)
        return ORM_PLAN_CHANGED;
    return ORM_PLAN_APPLIED;
}

/* The row of the older one of the two, or of both when they are the same version; either may be
 * NULL, not both. */
static orm_plan_row merge_one(const orm_migration *file, const orm_applied *applied,
                              int64_t newest_applied)
{
    invariant(file || applied);
    if (!file || (applied && applied->version < file->version))
        return (orm_plan_row){ NULL, applied, ORM_PLAN_MISSING };
    if (applied && applied->version == file->version)
        return (orm_plan_row){ file, applied, applied_state(file, applied) };
    const bool late = file->version < newest_applied;
    return (orm_plan_row){ file, NULL, late ? ORM_PLAN_LATE : ORM_PLAN_PENDING };
}

void orm_plan_make(arena *a, const orm_migrations *files, const orm_ledger *ledger, orm_plan *out)
{
    const int64_t newest = ledger->count ? ledger->items[ledger->count - 1].version : INT64_MIN;
    size_t f = 0;
    size_t l = 0;
    out->count = 0;
    out->rows = ARENA_NEW_ARRAY(a, orm_plan_row, files->count + ledger->count);
    while (f < files->count || l < ledger->count) {
        const orm_plan_row row = merge_one(f < files->count ? &files->items[f] : NULL,
                                           l < ledger->count ? &ledger->items[l] : NULL, newest);
        f += row.file != NULL;
        l += row.applied != NULL;
        out->rows[out->count++] = row;
    }
    invariant(out->count <= files->count + ledger->count);
}

static error refuse(const orm_plan *plan, const orm_plan_row *row)
{
    const orm_applied *applied = row->applied;
    const orm_migration *file = row->file;
    const orm_plan_row *newest = orm_plan_newest(plan, 0);
    const long long newest_version = newest ? newest->applied->version : 0;
    switch (row->state) {
    case ORM_PLAN_APPLIED:
    case ORM_PLAN_PENDING:
        break;
    case ORM_PLAN_LATE:
        return error_set(&ORM_MIGRATION_REFUSED,
                         "%.*s is not applied, but %04lld, which is newer, is: give it a higher "
                         "number",
                         STR_ARG(file->title), newest_version);
    case ORM_PLAN_CHANGED:
        return error_set(
            &ORM_MIGRATION_REFUSED,
            "%.*s was changed after it was applied: restore its up section in %.*s, and "
            "write a new migration for the change",
            STR_ARG(file->title), STR_ARG(file->path));
    case ORM_PLAN_RENAMED:
        return error_set(
            &ORM_MIGRATION_REFUSED,
            "%04lld was applied as %04lld_%.*s, but the file is %.*s: give it its name "
            "back",
            (long long)applied->version, (long long)applied->version, STR_ARG(applied->name),
            STR_ARG(file->path));
    case ORM_PLAN_MISSING:
        return error_set(
            &ORM_MIGRATION_REFUSED,
            "%04lld_%.*s is applied, but its file is missing: is this an older version "
            "of the program?",
            (long long)applied->version, STR_ARG(applied->name));
    }
    unreachable();
}

error orm_plan_check(const orm_plan *plan, bool late_is_good)
{
    for (size_t i = 0; i < plan->count; i++) {
        const orm_plan_row *row = &plan->rows[i];
        if (row->state == ORM_PLAN_APPLIED || row->state == ORM_PLAN_PENDING)
            continue;
        if (row->state == ORM_PLAN_LATE && late_is_good)
            continue;
        return refuse(plan, row);
    }
    return OK;
}

const orm_plan_row *orm_plan_next(const orm_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->rows[i].state == ORM_PLAN_PENDING)
            return &plan->rows[i];
    }
    return NULL;
}

const orm_plan_row *orm_plan_newest(const orm_plan *plan, uint32_t nth)
{
    for (size_t i = plan->count; i > 0; i--) {
        if (plan->rows[i - 1].applied && nth-- == 0)
            return &plan->rows[i - 1];
    }
    return NULL;
}
