/* What the next one must not find in a session. The reset leaves as one Query, for which no fiber
 * waits; an error in its answer, or none, ends the connection. */
#include "session.h"

#include "pool.h"

#include <stdio.h>

typedef struct tag_change {
    const char *tag;
    uint32_t change;
} tag_change;

uint32_t pg_session_change_of(str tag, bool rows)
{
    static const tag_change changes[] = {
        { "SET", PG_SESSION_SETTINGS },    { "RESET", PG_SESSION_SETTINGS },
        { "LISTEN", PG_SESSION_CHANNELS }, { "DECLARE CURSOR", PG_SESSION_CURSORS },
        { "PREPARE", PG_SESSION_ALL },
    };
    if (str_starts_with(tag, STR("SELECT")))
        return rows ? 0 : PG_SESSION_TEMPORARY;
    if (str_starts_with(tag, STR("INSERT")) || str_starts_with(tag, STR("UPDATE")))
        return 0; /* what most are that change something */
    if (str_starts_with(tag, STR("CREATE ")))
        return PG_SESSION_TEMPORARY;
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        if (str_eq(tag, str_from_c(changes[i].tag)))
            return changes[i].change;
    }
    return 0;
}

/* Nobody uses them now. */
static void forget_statements(pg_conn *c)
{
    LIST_EACH (pg_statement, s, &c->statements.used, used)
        pg_statement_evict(s);
}

static void write_reset(pg_writer *w, const void *arg)
{
    const uint32_t changed = *(const uint32_t *)arg;
    char text[160];
    if (changed & PG_SESSION_ALL) {
        pg_write_query(w, STR("discard all"));
        return;
    }
    const int len = snprintf(
        text, sizeof text, "%s%s%s%s",
        changed & PG_SESSION_SETTINGS ? "reset session authorization; reset role; reset all; " : "",
        changed & PG_SESSION_CHANNELS ? "unlisten *; " : "",
        changed & PG_SESSION_CURSORS ? "close all; " : "",
        changed & PG_SESSION_TEMPORARY ? "discard temp" : "");
    invariant(len > 0 && (size_t)len < sizeof text);
    pg_write_query(w, (str){ text, (size_t)len });
}

void pg_session_reset(pg_conn *c)
{
    if (c->changed == 0 || c->state != PG_CONN_READY || c->retiring)
        return;
    const uint32_t changed = c->changed;
    c->changed = 0;
    c->sets_up = c->setup.len > 0;
    if (changed & PG_SESSION_ALL)
        forget_statements(c);
    if (pg_conn_tell(c, write_reset, &changed, true).kind)
        pg_conn_end(c, false, &PG_CONNECTION_LOST, "a session could not be reset");
}

static void write_setup(pg_writer *w, const void *arg)
{
    pg_write_query(w, *(const str *)arg);
}

bool pg_session_set_up(pg_conn *c)
{
    if (!c->sets_up || c->state != PG_CONN_READY)
        return false;
    c->sets_up = false;
    if (pg_conn_tell(c, write_setup, &c->setup, true).kind)
        pg_conn_end(c, false, &PG_CONNECTION_LOST, "a session could not be set up again");
    return true;
}
