/* What SASLprep needs to know of Unicode; of the characters of Unicode 3.2, as RFC 3454 has it.
 * saslprep_table.c is made by tools/make_saslprep_table.py. */
#ifndef PG_SRC_SASLPREP_TABLE_H
#define PG_SRC_SASLPREP_TABLE_H

#include <stdint.h>

#define PG_SASLPREP_SPACES_COUNT        6
#define PG_SASLPREP_NOTHING_COUNT       8
#define PG_SASLPREP_REFUSED_COUNT       386
#define PG_SASLPREP_RIGHT_TO_LEFT_COUNT 33
#define PG_SASLPREP_LEFT_TO_RIGHT_COUNT 360
#define PG_SASLPREP_CLASSES_COUNT       163
#define PG_SASLPREP_RUNS_COUNT          1779
#define PG_SASLPREP_PLACES_COUNT        2108
#define PG_SASLPREP_POOL_COUNT          4491
#define PG_SASLPREP_PAIRS_COUNT         917

/* All tables are sorted by their first column. */
typedef struct pg_code_range {
    uint32_t first;
    uint32_t last;
} pg_code_range;

typedef struct pg_code_class {
    uint32_t first;
    uint32_t last;
    uint8_t value; /* canonical combining class; of others it is 0 */
} pg_code_class;

/* `count` code points from `first` on stand for as many from `to` on. */
typedef struct pg_code_run {
    uint32_t first;
    uint32_t count;
    uint32_t to;
} pg_code_run;

/* The code point stands for `len` ones of the pool. */
typedef struct pg_code_place {
    uint32_t code;
    uint16_t at;
    uint16_t len;
} pg_code_place;

/* Two that compose to one. */
typedef struct pg_code_pair {
    uint16_t first;
    uint16_t second;
    uint16_t composed;
} pg_code_pair;

extern const pg_code_range PG_SASLPREP_SPACES[PG_SASLPREP_SPACES_COUNT];
extern const pg_code_range PG_SASLPREP_NOTHING[PG_SASLPREP_NOTHING_COUNT];
extern const pg_code_range PG_SASLPREP_REFUSED[PG_SASLPREP_REFUSED_COUNT];
extern const pg_code_range PG_SASLPREP_RIGHT_TO_LEFT[PG_SASLPREP_RIGHT_TO_LEFT_COUNT];
extern const pg_code_range PG_SASLPREP_LEFT_TO_RIGHT[PG_SASLPREP_LEFT_TO_RIGHT_COUNT];
extern const pg_code_class PG_SASLPREP_CLASSES[PG_SASLPREP_CLASSES_COUNT];
extern const pg_code_run PG_SASLPREP_RUNS[PG_SASLPREP_RUNS_COUNT];
extern const pg_code_place PG_SASLPREP_PLACES[PG_SASLPREP_PLACES_COUNT];
extern const uint32_t PG_SASLPREP_POOL[PG_SASLPREP_POOL_COUNT];
extern const pg_code_pair PG_SASLPREP_PAIRS[PG_SASLPREP_PAIRS_COUNT];

#endif
