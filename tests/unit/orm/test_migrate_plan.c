/* Files and ledger side by side: every way to agree and to disagree. */
#include "migrate_plan.h"

#include "orm/migrate.h"
#include "tests/support/in_fiber.h"

#define ROWS_MAX 5

/* One letter a version, the version being its place: in `files` the letter names what is in the up
 * section, in `ledger` what was there when it was applied; a blank is none. An upper-case letter in
 * the ledger stands for another name. `states` as below. */
typedef struct plan_row {
    const char *name;
    const char *files;
    const char *ledger;
    const char *states;  /* A applied, P pending, L late, C changed, R renamed, M missing */
    const char *refused; /* the beginning of the message; NULL: good */
    bool down_is_good;
} plan_row;

static const plan_row PLANS[] = {
    { "nothing", "", "", "", NULL, true },
    { "all pending", "ab", "", "PP", NULL, true },
    { "some applied", "abc", "a", "APP", NULL, true },
    { "all applied", "abc", "abc", "AAA", NULL, true },
    { "gaps in the numbers", " b d", " b", "AP", NULL, true },
    { "late", "abc", "a c", "ALA", "0002_b is not applied, but 0003, which is newer, is", true },
    { "late first", "ab", " b", "LA", "0001_a is not applied, but 0002", true },
    { "changed", "abc", "ax", "ACP", "0002_b was changed after it was applied", false },
    { "changed, though newest", "a", "x", "C", "0001_a was changed", false },
    { "renamed", "ab", "aB", "AR", "0002 was applied as 0002_other, but the file is dir/0002_b.sql",
      false },
    { "missing", "a c", "ab", "AMP", "0002_applied is applied, but its file is missing", false },
    { "missing newest", "a", "abc", "AMM", "0002_applied is applied, but", false },
    { "no files any more", "", "a", "M", "0001_applied is applied, but", false },
    { "the first of several", "abcd", "x  d", "CLLA", "0001_a was changed", false },
};

static orm_migration file_of(size_t place, char letter)
{
    arena *a = fiber_arena();
    orm_migration m = { .version = (int64_t)place + 1 };
    m.title = str_format(a, "%04zu_%c", place + 1, letter);
    m.name = str_slice(m.title, 5, 1);
    m.path = str_format(a, "dir/%.*s.sql", STR_ARG(m.title));
    memset(m.checksum, letter, sizeof m.checksum);
    return m;
}

/* `file` is the letter of the same version's file, or a blank. */
static orm_applied applied_of(size_t place, char letter, char file)
{
    arena *a = fiber_arena();
    const bool renamed = letter >= 'A' && letter <= 'Z';
    uint8_t *sum = ARENA_NEW_ARRAY(a, uint8_t, ORM_CHECKSUM_BYTES);
    memset(sum, renamed ? letter + 'a' - 'A' : letter, ORM_CHECKSUM_BYTES);
    orm_applied row = { .version = (int64_t)place + 1, .checksum = { sum, ORM_CHECKSUM_BYTES } };
    if (renamed)
        row.name = STR("other");
    else
        row.name = file == ' ' ? STR("applied") : str_format(a, "%c", file);
    return row;
}

static char letter_of(orm_plan_state state)
{
    return " APLCRM"[state];
}

static void check_plan(const plan_row *row)
{
    orm_migration files[ROWS_MAX];
    orm_applied applied[ROWS_MAX];
    orm_migrations all = { files, 0 };
    orm_ledger ledger = { applied, 0 };
    const size_t file_places = strlen(row->files);
    for (size_t i = 0; i < file_places; i++) {
        if (row->files[i] != ' ')
            files[all.count++] = file_of(i, row->files[i]);
    }
    for (size_t i = 0; row->ledger[i]; i++) {
        if (row->ledger[i] != ' ')
            applied[ledger.count++] =
                applied_of(i, row->ledger[i], i < file_places ? row->files[i] : ' ');
    }
    orm_plan plan;
    orm_plan_make(fiber_arena(), &all, &ledger, &plan);
    if (plan.count != strlen(row->states))
        fail_msg("%s: %zu rows", row->name, plan.count);
    for (size_t i = 0; i < plan.count; i++) {
        if (letter_of(plan.rows[i].state) != row->states[i])
            fail_msg("%s: row %zu is %c", row->name, i, letter_of(plan.rows[i].state));
    }
    const error up = orm_plan_check(&plan, false);
    const error down = orm_plan_check(&plan, true);
    if (error_is_ok(down) != row->down_is_good)
        fail_msg("%s: going down is %s", row->name, down.kind ? "refused" : "good");
    if (!row->refused)
        return;
    const error again = orm_plan_check(&plan, false); /* for the slot, which `down` may have set */
    if (!error_is(up, &ORM_MIGRATION_REFUSED) || !error_is(again, &ORM_MIGRATION_REFUSED))
        fail_msg("%s: going up is not refused", row->name);
    if (!str_starts_with(error_detail_of(again)->text, str_from_c(row->refused)))
        fail_msg("%s: %.*s", row->name, STR_ARG(error_detail_of(again)->text));
}

static void test_plan_of_files_and_ledger_has_states(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(PLANS); i++)
        check_plan(&PLANS[i]);
}

static void test_plan_next_and_newest_are_found(void **state)
{
    (void)state;
    orm_migration files[] = { file_of(0, 'a'), file_of(1, 'b'), file_of(2, 'c') };
    orm_applied applied[] = { applied_of(0, 'a', 'a'), applied_of(1, 'b', 'b') };
    orm_plan plan;
    orm_plan_make(fiber_arena(), &(orm_migrations){ files, 3 }, &(orm_ledger){ applied, 2 }, &plan);
    assert_ptr_equal(orm_plan_next(&plan)->file, &files[2]);
    assert_ptr_equal(orm_plan_newest(&plan, 0)->file, &files[1]);
    assert_ptr_equal(orm_plan_newest(&plan, 1)->file, &files[0]);
    assert_null(orm_plan_newest(&plan, 2));
    orm_plan_make(fiber_arena(), &(orm_migrations){ files, 2 }, &(orm_ledger){ applied, 2 }, &plan);
    assert_null(orm_plan_next(&plan));
}

static void test_plan_checksum_of_wrong_length_is_changed(void **state)
{
    (void)state;
    orm_migration files[] = { file_of(0, 'a') };
    orm_applied applied[] = { applied_of(0, 'a', 'a') };
    applied[0].checksum.len = 0;
    orm_plan plan;
    orm_plan_make(fiber_arena(), &(orm_migrations){ files, 1 }, &(orm_ledger){ applied, 1 }, &plan);
    assert_int_equal(plan.rows[0].state, ORM_PLAN_CHANGED);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_of_files_and_ledger_has_states),
        cmocka_unit_test(test_plan_next_and_newest_are_found),
        cmocka_unit_test(test_plan_checksum_of_wrong_length_is_changed),
    };
    return cmocka_run_group_tests_name("migrate_plan", tests, NULL, NULL);
}

int main(void)
{
    return run_in_fiber(run);
}
