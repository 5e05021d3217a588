/* Fault injection: named points in the code that a test makes fail.
 *
 *   if (fault_point("pg.send")) return error_set(…);      // in the library
 *   fault_at("pg.send", 3);                               // in the test: the third call fails
 *
 * Nothing armed costs one load and one branch. Points are armed per thread, so a test of one loop
 * cannot disturb another. */
#ifndef CORE_FAULT_H
#define CORE_FAULT_H

#include "core/base.h"

/* Whether this passage through `name` (a string literal) shall fail. */
#define fault_point(name) (UNLIKELY(fault_armed_count() > 0) && fault_hit(name))

/* Lets the n-th passage from now through `name` fail, once; n = 1 is the next one. At most 16
 * points are armed at a time. */
void fault_at(const char *name, uint32_t n);
/* Lets every passage through `name` fail until fault_clear. */
void fault_always(const char *name);
/* Disarms all. */
void fault_clear(void);
/* Passages through `name` since it was armed. */
uint32_t fault_passed(const char *name);

/* What fault_point expands to. */
uint32_t fault_armed_count(void);
bool fault_hit(const char *name);

#endif
