/* Powers of ten as 128-bit significands with the top bit set: entry k is the smallest integer not
 * below 10^k * 2^(127 - floor(log2(10^k))). */
#ifndef CORE_SRC_POW10_TABLE_H
#define CORE_SRC_POW10_TABLE_H

#include "core/base.h"

#define POW10_MIN (-292)
#define POW10_MAX 324

typedef struct pow10_entry {
    uint64_t high;
    uint64_t low;
} pow10_entry;

extern const pow10_entry POW10_TABLE[POW10_MAX - POW10_MIN + 1];

#endif
