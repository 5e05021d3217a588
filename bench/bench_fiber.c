/* What a fiber costs: a switch there and back between the loop and a few fibers, the same when the
 * loop goes round 10,000 of them (whose stacks compete for the caches), and a fiber's whole life.
 * Prints lines "case nanoseconds", each the best of several runs. */
#include "measure.h"

#include "core/fiber.h"
#include "core/loop.h"

#include <stdio.h>

#define RUNS        5
#define FIBERS_FEW  50 /* a turn of the loop, with its system call, is shared by them */
#define FIBERS_MANY 10000

typedef struct ring {
    uint32_t yields; /* of each fiber */
    uint32_t fibers;
    uint32_t running;
    double began_ns; /* when the last one had started: all stacks are touched */
    double ended_ns; /* when the first one was done */
} ring;

static error go_round(void *arg)
{
    ring *r = arg;
    TRY(fiber_yield());
    if (++r->running == r->fibers)
        r->began_ns = measure_clock_ns();
    for (uint32_t i = 0; i < r->yields; i++)
        TRY(fiber_yield());
    if (r->ended_ns == 0)
        r->ended_ns = measure_clock_ns();
    return OK;
}

/* Nanoseconds a round trip of one fiber: into it and back to the loop. */
static error measure_ring(uint32_t fibers, uint32_t yields, double *best_ns)
{
    static fiber *handles[FIBERS_MANY];
    for (int run = 0; run < RUNS; run++) {
        ring r = { .fibers = fibers, .yields = yields };
        const fiber_options options = { .name = "ring", .joinable = true };
        for (uint32_t i = 0; i < fibers; i++)
            TRY(fiber_start(loop_self(), &options, go_round, &r, &handles[i]));
        for (uint32_t i = 0; i < fibers; i++)
            TRY(fiber_join(&handles[i]));
        const double ns = (r.ended_ns - r.began_ns) / ((double)fibers * yields);
        if (run == 0 || ns < *best_ns)
            *best_ns = ns;
    }
    return OK;
}

static error nothing(void *arg)
{
    (void)arg;
    return OK;
}

static error measure_life(double *best_ns)
{
    enum {
        LIVES = 200000
    };
    const fiber_options options = { .name = "life", .joinable = true };
    for (int run = 0; run < RUNS; run++) {
        const double began_ns = measure_clock_ns();
        for (int i = 0; i < LIVES; i++) {
            fiber *f;
            TRY(fiber_start(loop_self(), &options, nothing, NULL, &f));
            TRY(fiber_join(&f));
        }
        const double ns = (measure_clock_ns() - began_ns) / LIVES;
        if (run == 0 || ns < *best_ns)
            *best_ns = ns;
    }
    return OK;
}

static error bench(void *arg)
{
    (void)arg;
    double few_ns = 0, many_ns = 0, life_ns = 0;
    TRY(measure_ring(FIBERS_FEW, 40000, &few_ns));
    TRY(measure_ring(FIBERS_MANY, 200, &many_ns));
    TRY(measure_life(&life_ns));
    printf("fiber_switch %.1f\nfiber_switch_of_%d %.1f\nfiber_life %.1f\n", few_ns / 2, FIBERS_MANY,
           many_ns / 2, life_ns);
    return OK;
}

int main(void)
{
    const error e = loop_run_fiber(bench, NULL);
    if (error_is_ok(e))
        return 0;
    char text[512];
    error_describe(e, text, sizeof text);
    (void)fprintf(stderr, "bench_fiber: %s\n", text);
    return 1;
}
