/* What files and ledger say together: which migrations are applied, which are to come, and where
 * the two disagree. Pure. */
#ifndef ORM_SRC_MIGRATE_PLAN_H
#define ORM_SRC_MIGRATE_PLAN_H

#include "migrate_file.h"

#include "core/scalar.h"

/* A row of the ledger. */
typedef struct orm_applied {
    int64_t version;
    str name;
    bytea checksum;
    timestamptz applied_at;
} orm_applied;

typedef struct orm_ledger {
    const orm_applied *items; /* by version, which are unique */
    size_t count;
} orm_ledger;

typedef enum orm_plan_state {
    ORM_PLAN_APPLIED = 1,
    ORM_PLAN_PENDING,
    ORM_PLAN_LATE,    /* pending, but older than one that is applied */
    ORM_PLAN_CHANGED, /* applied, and the file has another up section now */
    ORM_PLAN_RENAMED, /* applied under another name */
    ORM_PLAN_MISSING, /* applied, and there is no file */
} orm_plan_state;

typedef struct orm_plan_row {
    const orm_migration *file;  /* NULL when missing */
    const orm_applied *applied; /* NULL when pending or late */
    orm_plan_state state;
} orm_plan_row;

typedef struct orm_plan {
    orm_plan_row *rows; /* by version */
    size_t count;
} orm_plan;
/* Invariant: applied is set exactly in the states APPLIED, CHANGED, RENAMED and MISSING; file in
 * all but MISSING. */

/* Lays files and ledger side by side. The rows live in `a` and refer to both. */
void orm_plan_make(arena *a, const orm_migrations *files, const orm_ledger *ledger, orm_plan *out);
/* Whether migrations may run: names the first disagreement, and what to do about it.
 *   late_is_good  what is pending does not matter: for going down
 *   fails         ORM_MIGRATION_REFUSED */
error orm_plan_check(const orm_plan *plan, bool late_is_good);
/* The first row that is pending, or NULL. The plan must have passed orm_plan_check. */
const orm_plan_row *orm_plan_next(const orm_plan *plan);
/* The `nth` newest applied row, from 0 on, or NULL. */
const orm_plan_row *orm_plan_newest(const orm_plan *plan, uint32_t nth);

#endif
