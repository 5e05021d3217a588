/* Chance, for what must not happen everywhere at once. */
#ifndef PG_SRC_CHANCE_H
#define PG_SRC_CHANCE_H

#include <stdint.h>
#include <sys/random.h>

/* 0 <= result < limit, of a few thousand: no bias that counts. 0 when the system has none yet. */
static inline uint32_t pg_chance_below(uint32_t limit)
{
    uint32_t number = 0;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number)
        return 0;
    return number % limit;
}

#endif
