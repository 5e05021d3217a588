/* Migration files: any text is refused or gives sections and statements that lie within it, in
 * order; and a statement cut again by itself is the same statement. */
#include "migrate_file.h"
#include "migrate_script.h"

#include "orm/migrate.h"
#include "tests/support/fuzz.h"

static bool is_within(str inner, str outer)
{
    return inner.len == 0 ||
           (inner.ptr >= outer.ptr && inner.ptr + inner.len <= outer.ptr + outer.len);
}

static void check_statement(const orm_statement *s)
{
    orm_script script;
    orm_statement again;
    orm_script_init(&script, STR("f"), s->sql, s->line);
    error e = orm_script_next(&script, &again);
    invariant(error_is_ok(e) && str_eq(again.sql, s->sql) && again.line == s->line);
    e = orm_script_next(&script, &again);
    invariant(error_is_ok(e) && again.sql.len == 0);
}

/* Returns the number of statements. All of them were accepted before. */
static size_t check_section(str section, uint32_t line)
{
    orm_script script;
    const char *last = section.ptr;
    orm_script_init(&script, STR("f"), section, line);
    for (size_t count = 0;; count++) {
        orm_statement s;
        const error e = orm_script_next(&script, &s);
        invariant(error_is_ok(e));
        if (s.sql.len == 0)
            return count;
        invariant(is_within(s.sql, section) && s.sql.ptr >= last && s.line >= line);
        last = s.sql.ptr + s.sql.len;
        check_statement(&s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const str text = fuzz_text(data, len);
    orm_migration_text t;
    bool reversible;
    uint8_t sum[ORM_CHECKSUM_BYTES];
    const error e = orm_migration_parse(STR("f"), text, &t, &reversible);
    invariant(error_is_ok(e) || error_is(e, &ORM_MIGRATION_BAD));
    if (e.kind)
        return 0;
    invariant(is_within(t.up, text) && is_within(t.down, text));
    invariant(check_section(t.up, t.up_line) > 0);
    invariant((check_section(t.down, t.down_line) > 0) == reversible);
    const error summed = orm_migration_checksum(t.up, sum);
    invariant(error_is_ok(summed));
    return 0;
}
