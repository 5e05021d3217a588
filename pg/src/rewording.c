/* A comment changes nothing of what a statement means, where its errors point to, or what it is
 * counted as by pg_stat_statements. Behind a text that ends in a comment it is part of that. */
#include "rewording.h"

#include "core/base.h"
#include "core/scope.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define PLACES ARRAY_LEN(((pg_rewording *)NULL)->marks)

uint32_t pg_rewording_mark(const pg_rewording *r, uint64_t hash)
{
    return r->marks[hash % PLACES];
}

void pg_rewording_renew(pg_rewording *r, uint64_t hash)
{
    uint32_t *mark = &r->marks[hash % PLACES];
    uint32_t number = 0;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number)
        number = *mark + 1; /* the system has none yet */
    *mark = number != 0 && number != *mark ? number : *mark + 1;
}

str pg_reworded(str sql, uint32_t mark)
{
    char comment[24];
    if (LIKELY(mark == 0))
        return sql;
    const int len = snprintf(comment, sizeof comment, " /* again: %08x */", mark);
    invariant(len > 0 && (size_t)len < sizeof comment);
    char *text = arena_try_alloc(fiber_arena(), sql.len + (size_t)len, 1);
    if (!text)
        return STR_NONE;
    if (sql.len > 0)
        memcpy(text, sql.ptr, sql.len);
    memcpy(text + sql.len, comment, (size_t)len);
    return (str){ text, sql.len + (size_t)len };
}
