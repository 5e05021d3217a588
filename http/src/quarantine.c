/* Faults by route, in shared memory: a route that takes worker after worker down is closed, to all
 * workers, until a reload. A table of routes that have ever faulted, found by their address, which
 * is the same in all workers of a program; each with the times of its last faults.
 *
 * Workers write without locks: a fault takes the next of the route's times, and looks at the one
 * that is `faults` before it. Two that fault in the same moment see each other or are one fault
 * late, which is as good.
 *
 * Invariant: an entry's route is set once and never changes; what is closed stays closed. */
#include "quarantine.h"

#include <stdatomic.h>
#include <sys/mman.h>

#define ROUTES_MAX 256 /* that may fault; more are not counted */

typedef struct entry {
    _Atomic(const http_route *) route; /* NULL: free */
    _Atomic uint32_t faults;
    _Atomic bool closed;
    _Atomic uint64_t times_ms[HTTP_QUARANTINE_FAULTS_MAX];
} entry;

struct http_quarantine {
    _Atomic uint32_t closed; /* routes: with none there is nothing to look up */
    entry entries[ROUTES_MAX];
};

error http_quarantine_new(http_quarantine **out)
{
    void *memory =
        mmap(NULL, sizeof **out, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return error_set(&OUT_OF_MEMORY, "no memory for faults by route");
    *out = memory;
    return OK;
}

void http_quarantine_free(http_quarantine **owner)
{
    if (*owner)
        munmap(*owner, sizeof **owner);
    *owner = NULL;
}

/* The route's entry, made if there is room; NULL otherwise. */
static entry *entry_of(http_quarantine *q, const http_route *route)
{
    for (size_t i = 0; i < ROUTES_MAX; i++) {
        const http_route *there = NULL;
        if (atomic_compare_exchange_strong(&q->entries[i].route, &there, route) || there == route)
            return &q->entries[i];
    }
    return NULL;
}

bool http_quarantine_count(http_quarantine *q, const http_route *route, uint64_t now_ms,
                           uint32_t faults, uint64_t window_ms)
{
    invariant(faults <= HTTP_QUARANTINE_FAULTS_MAX);
    entry *e = faults > 0 ? entry_of(q, route) : NULL;
    if (!e)
        return false;
    const uint32_t turn = atomic_fetch_add(&e->faults, 1);
    atomic_store(&e->times_ms[turn % HTTP_QUARANTINE_FAULTS_MAX], now_ms);
    if (turn + 1 < faults)
        return false;
    const uint32_t first = (turn + 1 - faults) % HTTP_QUARANTINE_FAULTS_MAX;
    if (now_ms - atomic_load(&e->times_ms[first]) > window_ms || atomic_exchange(&e->closed, true))
        return false;
    atomic_fetch_add(&q->closed, 1);
    return true;
}

bool http_quarantine_holds(const http_quarantine *q, const http_route *route)
{
    if (LIKELY(atomic_load_explicit(&q->closed, memory_order_relaxed) == 0))
        return false;
    for (size_t i = 0; i < ROUTES_MAX; i++) {
        const http_route *there = atomic_load(&q->entries[i].route);
        if (!there)
            return false;
        if (there == route)
            return atomic_load(&q->entries[i].closed);
    }
    return false;
}
