/* One ask from its beginning to its end, and the judgement of it. */
#ifndef TESTS_UNIT_PG_WALK_ASK_H
#define TESTS_UNIT_PG_WALK_ASK_H

#include "walk_actor.h"

/* A new one of the actor's, which waits for it from now on. */
walk_ask *walk_ask_begin(walk_actor *a, bool in_tx);
/* The same one asks again: for a cursor's next rows. */
void walk_ask_again(walk_ask *k);
/* Its caller was told `e`: is that right? In a transaction its effect hangs on that, else it is
 * there or not from now on. */
void walk_ask_end(walk_ask *k, error e);
/* The same for a COPY, which ends in several ways. */
void walk_ask_end_loosely(walk_ask *k, error e);
/* The same for those of a batch. */
void walk_asks_end(walk_ask *const *asks, uint32_t count, const pg_batch *b, error e);
/* Its caller knows what has become of its effect. */
void walk_ask_tell(walk_ask *k, walk_effect told);

/* All of the actor's transaction, from its `from`-th statement on, is undone. */
void walk_tx_undone(walk_actor *a, uint32_t from);
void walk_tx_tell(walk_actor *a, walk_effect told);
/* Commits, and judges what comes of it. */
YIELDS error walk_tx_commit(walk_actor *a, pg_tx **tx);

#endif
