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
/* The same for one that goes on. */
void walk_ask_judge(const walk_ask *k, error e);
/* Its caller has lost interest before the answer, or in it. */
void walk_ask_leave(walk_ask *k);
/* The same for those of a batch. */
void walk_asks_end(walk_ask *const *asks, uint32_t count, const pg_batch *b, error e);
/* Its caller knows what has become of its effect. */
void walk_ask_tell(walk_ask *k, walk_effect told);

/* All of the actor's transaction, from its `from`-th statement on, is undone. */
void walk_tx_undone(walk_actor *a, uint32_t from);
void walk_tx_tell(walk_actor *a, walk_effect told);
/* Commits, and judges what comes of it: alone, with a last statement, and what is nested with one.
 */
YIELDS error walk_tx_commit(walk_actor *a, pg_tx **tx);
YIELDS error walk_tx_commit_with(walk_actor *a, pg_tx **tx);
YIELDS error walk_join_with(walk_actor *a, pg_tx **inner);

/* For the judgement of it: whether the client has its whole answer; whether it waits at the server,
 * or for what the server says; whether it comes again; whether the server has said so; and whether
 * something else explains it. */
bool walk_ask_answered(const walk_ask *k);
bool walk_ask_in_flight(const walk_ask *k);
bool walk_ask_comes_again(const walk_ask *k);
bool walk_ask_is_dead(const walk_ask *k);
bool walk_ask_is_said(const walk_ask *k, error e);
bool walk_ask_is_explained(const walk_ask *k, error e);
/* What ends a wait before the answer. */
bool walk_ask_is_cut_off(const walk_ask *k, error e);
/* Without a judgement: its effect is there if the caller knows that, or was told so. */
void walk_ask_close(walk_ask *k, bool good, error e);

#endif
