/* What a transaction leaves in its session, and how that is taken back before the connection is
 * anybody else's.
 *
 * Nobody reads SQL here: the server says what it has done, in the tags of its answers. SET, LISTEN,
 * CREATE and their like are taken back by their opposites, and prepared statements stay. What it
 * does not say (a lock or a setting by a function's call) is the transaction's to announce
 * (pg_tx_options.session), and then all of the session is discarded. */
#ifndef PG_SRC_SESSION_H
#define PG_SRC_SESSION_H

#include "core/str.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct pg_conn pg_conn;

/* Bits of pg_conn.changed. */
enum {
    PG_SESSION_SETTINGS = 1,  /* SET, SET ROLE; also SET LOCAL, which looks the same */
    PG_SESSION_CHANNELS = 2,  /* LISTEN */
    PG_SESSION_CURSORS = 4,   /* DECLARE … WITH HOLD */
    PG_SESSION_TEMPORARY = 8, /* CREATE of anything, also SELECT INTO: perhaps a temporary table */
    PG_SESSION_ALL = 16,      /* anything */
};

/* What a statement that was carried out may have changed, by its command tag; `rows`: it returns
 * some. */
uint32_t pg_session_change_of(str tag, bool rows);

/* Takes back what has changed; until that is answered the connection takes nobody
 * (pg_conn.resetting). When it cannot be done the connection ends. */
void pg_session_reset(pg_conn *c);
/* When that is answered: runs again what the session has begun with (pg_hooks.after_connect).
 * Returns whether there is such a thing; the connection goes on `resetting` then. */
bool pg_session_set_up(pg_conn *c);

#endif
