/* A table in the order of the codes, which is that of the enum. */
#include "pg/sqlstate.h"

#include <string.h>

#define CODE_BYTES 5

typedef struct state_row {
    char code[CODE_BYTES + 1];
    const char *name;
} state_row;

static const state_row ROWS[] = { [PG_SQLSTATE_UNKNOWN] = { "", "" },
#define ROW_OF(name, code, text) [PG_SQLSTATE_##name] = { code, text },
                                  PG_SQLSTATES(ROW_OF)
#undef ROW_OF
};

pg_sqlstate pg_sqlstate_parse(str code)
{
    size_t from = 1, to = ARRAY_LEN(ROWS);
    if (code.len != CODE_BYTES)
        return PG_SQLSTATE_UNKNOWN;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        const int order = memcmp(ROWS[middle].code, code.ptr, CODE_BYTES);
        if (order == 0)
            return (pg_sqlstate)middle;
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return PG_SQLSTATE_UNKNOWN;
}

str pg_sqlstate_code(pg_sqlstate state)
{
    invariant((size_t)state < ARRAY_LEN(ROWS));
    return str_from_c(ROWS[state].code);
}

str pg_sqlstate_name(pg_sqlstate state)
{
    invariant((size_t)state < ARRAY_LEN(ROWS));
    return str_from_c(ROWS[state].name);
}

/* "" without one. */
static const char *code_of(error e)
{
    const error_detail *detail = error_detail_of(e);
    while (detail && !detail->sqlstate[0])
        detail = detail->cause;
    return detail ? detail->sqlstate : "";
}

pg_sqlstate pg_sqlstate_of(error e)
{
    return pg_sqlstate_parse(str_from_c(code_of(e)));
}

bool pg_error_in_class(error e, const char *two)
{
    invariant(strlen(two) == 2);
    return strncmp(code_of(e), two, 2) == 0;
}
