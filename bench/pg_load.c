/* The clock is looked at once in CHECK_EVERY operations, so that looking costs nothing where an
 * operation takes less than a microsecond.
 *
 * Invariant: what is counted lies between two looks, and nothing of the warm-up is in it. */
#include "pg_load.h"

#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define WARM_NS     0.3e9
#define CHECK_EVERY 64

static double cpu_us(void)
{
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) < 0)
        return 0;
    return ((double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec) * 1e6 +
           (double)used.ru_utime.tv_usec + (double)used.ru_stime.tv_usec;
}

bool load_init(load *l, int argc, char **argv)
{
    *l = (load){ 0 };
    if (argc != 3)
        return false;
    char *end;
    const uint64_t number = strtoull(argv[2], &end, 10);
    l->name = argv[1];
    if (strcmp(end, "s") == 0)
        l->seconds = (double)number;
    else if (*end == '\0')
        l->count = number;
    l->until_ns = measure_clock_ns() + WARM_NS;
    return number > 0 && (l->seconds > 0 || l->count > 0);
}

static void look_at_clock(load *l)
{
    const double now_ns = measure_clock_ns();
    if (now_ns < l->until_ns)
        return;
    if (l->began_ns > 0) {
        l->ended_ns = now_ns;
        l->ended_us = cpu_us();
        l->over = true;
        return;
    }
    l->began_ns = now_ns;
    l->began_us = cpu_us();
    l->began_done = l->done;
    l->until_ns = now_ns + l->seconds * 1e9;
}

bool load_goes_on(load *l, uint64_t more)
{
    if (l->over)
        return false;
    l->done += more;
    l->unchecked += more;
    if (l->seconds == 0) {
        l->over = l->done >= l->count;
    } else if (l->unchecked >= CHECK_EVERY || more == 0) {
        l->unchecked = 0;
        look_at_clock(l);
    }
    return !l->over;
}

void load_print(const load *l)
{
    const double done = (double)(l->done - l->began_done);
    if (l->seconds > 0)
        printf("%s rate %.0f\n%s cpu_us %.4f\n", l->name,
               done / ((l->ended_ns - l->began_ns) / 1e9), l->name,
               (l->ended_us - l->began_us) / done);
}

int64_t load_note_id(void)
{
    static uint64_t seed = 88172645463325252ULL;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return 1 + (int64_t)(seed % LOAD_NOTES);
}

uint64_t load_copy_rows(const load *l)
{
    return l->seconds > 0 ? LOAD_COPY_ROWS : l->count;
}
