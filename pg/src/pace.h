/* How many lines of a kind a pool may log: so many a second. What is kept back is counted, and the
 * next line says how many those were. */
#ifndef PG_SRC_PACE_H
#define PG_SRC_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PG_PACE_LINES_MAX 10 /* a second */

typedef struct pg_pace {
    uint64_t since_ms; /* of the second that runs */
    uint32_t lines;    /* in it */
    uint64_t kept_back;
} pg_pace;

/* Whether a line may be written now; `*kept_back`: how many were not, since the last one. */
static inline bool pg_pace_take(pg_pace *p, uint64_t now_ms, uint64_t *kept_back)
{
    if (now_ms - p->since_ms >= 1000) {
        p->since_ms = now_ms;
        p->lines = 0;
    }
    if (p->lines == PG_PACE_LINES_MAX) {
        p->kept_back++;
        return false;
    }
    p->lines++;
    *kept_back = p->kept_back;
    p->kept_back = 0;
    return true;
}

#endif
