/* Any bytes as a connection string, here and in libpq's own parser: what that refuses is refused,
 * what both take means the same, and what only libpq takes has a parameter that is refused by name.
 * Only tests know libpq. */
#include "conninfo_text.h"

#include "tests/support/fuzz.h"

#include <libpq-fe.h>
#include <string.h>

#define ARENA_BYTES    ((size_t)1 << 20)
#define TEXT_BYTES_MAX 1024

/* PG_PARAM_COUNT for those that are refused by name. */
static pg_parameter parameter_of(const char *keyword)
{
    for (int i = 0; i < PG_PARAM_COUNT; i++) {
        const char *name = pg_parameters_name((pg_parameter)i);
        if (name && strcmp(name, keyword) == 0)
            return (pg_parameter)i;
    }
    return PG_PARAM_COUNT;
}

/* Whether it gives one that this libpq is too old for. */
static bool has_newer(const pg_parameters *ours)
{
    static PQconninfoOption *known;
    if (!known)
        known = PQconndefaults();
    invariant(known != NULL);
    for (int i = 0; i < PG_PARAM_COUNT; i++) {
        const char *name = pg_parameters_name((pg_parameter)i);
        const PQconninfoOption *o = known;
        while (name && o->keyword && strcmp(o->keyword, name) != 0)
            o++;
        if (name && !o->keyword && ours->given[i].value.ptr)
            return true;
    }
    return false;
}

static void compare(const PQconninfoOption *options, const pg_parameters *ours)
{
    for (; options->keyword; options++) {
        const pg_parameter which = parameter_of(options->keyword);
        if (which == PG_PARAM_COUNT) {
            invariant(!options->val);
            continue;
        }
        const str given = ours->given[which].value, theirs = str_from_c(options->val);
        invariant(!given.ptr == !theirs.ptr && str_eq(given, theirs));
    }
}

static bool has_refused(const PQconninfoOption *options)
{
    for (; options->keyword; options++) {
        if (options->val && parameter_of(options->keyword) == PG_PARAM_COUNT)
            return true;
    }
    return false;
}

/* Before 18 libpq took spaces in a URI as they stand. */
static bool is_differently_spaced(const char *text)
{
    return PQlibVersion() < 180000 && strncmp(text, "postgres", 8) == 0 && strchr(text, ' ');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[TEXT_BYTES_MAX + 1];
    arena a;
    pg_parameters ours = { 0 };
    if (len > TEXT_BYTES_MAX || (len > 0 && memchr(data, 0, len)))
        return 0;
    if (len > 0)
        memcpy(text, data, len);
    text[len] = '\0';
    if (is_differently_spaced(text))
        return 0;
    arena_init(&a, ARENA_BYTES);
    const error e = pg_conninfo_text_parse(&a, fuzz_text(data, len), &ours);
    invariant(error_is_ok(e) || error_is(e, &PG_CONNINFO_INVALID));
    PQconninfoOption *options = PQconninfoParse(text, NULL);
    if (!options)
        invariant(!error_is_ok(e) || has_newer(&ours));
    else if (error_is_ok(e))
        compare(options, &ours);
    else
        invariant(has_refused(options));
    PQconninfoFree(options);
    arena_deinit(&a);
    return 0;
}
