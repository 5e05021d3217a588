/* The comparison of client and model; what differs is a walk_problem. */
#ifndef TESTS_UNIT_PG_WALK_COMPARE_H
#define TESTS_UNIT_PG_WALK_COMPARE_H

#include "walk_actor.h"

/* After each step, when nothing more happens. */
void walk_compare(void);
/* When everybody has come to an end: nothing may be left of what they did. */
void walk_compare_empty(void);

#endif
