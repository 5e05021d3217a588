/* How the benchmarks that need no server measure.
 *
 *   bench_NAME              every case: a line "case nanoseconds", the best of several runs
 *   bench_NAME CASE COUNT   runs one case COUNT times and prints nothing: for tools that count
 *                           instructions (bench/run.sh takes the difference of two counts) */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

typedef struct measure_case {
    const char *name;         /* one word */
    void (*run)(void *state); /* one operation */
    void *state;              /* its input, prepared before */
} measure_case;

/* CLOCK_MONOTONIC. */
double measure_clock_ns(void);
/* The whole program, once its cases are prepared. Returns the exit status. */
int measure_main(int argc, char **argv, const measure_case *cases, size_t case_count);

#endif
