/* Each case runs as often as fills RUN_NS, RUNS times; the best run stands, because whatever else
 * the machine did can only have made it longer. bench/run.sh takes the median over several
 * programs started one after the other.
 *
 * Invariant: all cases are warm before they are timed. */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUN_NS 20e6
#define RUNS   5

double measure_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double run_ns(const measure_case *c, uint64_t count)
{
    const double began_ns = measure_clock_ns();
    for (uint64_t i = 0; i < count; i++)
        c->run(c->state);
    return measure_clock_ns() - began_ns;
}

static double best_ns(const measure_case *c)
{
    uint64_t count = 1;
    double ns = run_ns(c, count);
    while (ns < RUN_NS) {
        count *= 2;
        ns = run_ns(c, count);
    }
    double best = ns / (double)count;
    for (int i = 1; i < RUNS; i++) {
        ns = run_ns(c, count) / (double)count;
        best = ns < best ? ns : best;
    }
    return best;
}

int measure_main(int argc, char **argv, const measure_case *cases, size_t case_count)
{
    for (size_t i = 0; i < case_count; i++) {
        if (argc < 2) {
            printf("%s %.1f\n", cases[i].name, best_ns(&cases[i]));
        } else if (argc == 3 && strcmp(argv[1], cases[i].name) == 0) {
            (void)run_ns(&cases[i], strtoull(argv[2], NULL, 10));
            return 0;
        }
    }
    return argc < 2 ? 0 : 2;
}
