/* Texts of statements that were out of date: prepared anew they are sent with a comment behind
 * them.
 *
 * A pooler that knows prepared statements keeps one for all clients that have prepared the same
 * text, whatever they call it. When a table changes under it, its servers go on having the old
 * form, and whoever prepares the text again gets that. Another text is another statement there.
 *
 * Marks are a pool's, so that its connections go on sharing; random, because other workers, and
 * those of yesterday, have marked the same texts; and of few places, by the texts' hashes: who
 * shares one is reworded for nothing, which changes nothing. */
#ifndef PG_SRC_REWORDING_H
#define PG_SRC_REWORDING_H

#include "core/str.h"

#include <stdint.h>

typedef struct pg_pool pg_pool;

/* In it all zero: nothing is marked. */
typedef struct pg_rewording {
    uint32_t marks[64];
} pg_rewording;

/* What a text of that hash (pg_statement.hash) is marked by; 0: it is sent as it is. */
uint32_t pg_rewording_mark(const pg_rewording *r, uint64_t hash);
/* From now on by something that it never was. */
void pg_rewording_renew(pg_rewording *r, uint64_t hash);
/* The text marked by it, in the fiber's arena or, without a mark, itself. STR_NONE: no room. */
str pg_reworded(str sql, uint32_t mark);

#endif
