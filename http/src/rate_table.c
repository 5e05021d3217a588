/* Invariant: a bucket's time moves on only by whole tokens that were taken, so that among them the
 * processes never let more through than the rule says, but for one token a key when two of them
 * give it a bucket in the same moment. */
#include "rate_table.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/random.h>

#define CLAIM_TRIES 8

static size_t table_bytes(const http_rate_table *table)
{
    return (table->set_mask + 1) * HTTP_RATE_WAYS * sizeof *table->buckets;
}

error http_rate_table_open(http_rate_table *table, uint32_t keys)
{
    uint64_t sets = 1;
    while (sets * HTTP_RATE_WAYS < keys)
        sets *= 2;
    table->set_mask = sets - 1;
    if (getrandom(&table->seed, sizeof table->seed, 0) != sizeof table->seed)
        return error_set_errno(&SYSTEM_FAILED, errno, "getrandom");
    void *mapped =
        mmap(NULL, table_bytes(table), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED)
        return error_set_errno(&SYSTEM_FAILED, errno, "mapping %zu bytes for a rate limit",
                               table_bytes(table));
    table->buckets = mapped;
    return OK;
}

void http_rate_table_close(http_rate_table *table)
{
    if (table->buckets)
        (void)munmap(table->buckets, table_bytes(table));
    table->buckets = NULL;
}

/* The bucket of `tag`, if the set has one; else in `*victim` the first to be full. */
static http_rate_bucket *find(http_rate_bucket *set, uint64_t tag, http_rate_bucket **victim)
{
    uint64_t least = UINT64_MAX;
    *victim = set;
    for (size_t i = 0; i < HTTP_RATE_WAYS; i++) {
        if (atomic_load_explicit(&set[i].tag, memory_order_relaxed) == tag)
            return &set[i];
        const uint64_t full_at = atomic_load_explicit(&set[i].full_at_ns, memory_order_relaxed);
        if (full_at < least) {
            least = full_at;
            *victim = &set[i];
        }
    }
    return NULL;
}

/* Another process may be after the same bucket. After some tries they share it for this once. */
static http_rate_bucket *bucket_of(const http_rate_table *table, uint64_t tag)
{
    http_rate_bucket *set = &table->buckets[(tag >> 32 & table->set_mask) * HTTP_RATE_WAYS];
    http_rate_bucket *victim = set;
    for (int tries = 0; tries < CLAIM_TRIES; tries++) {
        http_rate_bucket *found = find(set, tag, &victim);
        if (found)
            return found;
        uint64_t before = atomic_load_explicit(&victim->tag, memory_order_relaxed);
        if (atomic_compare_exchange_strong(&victim->tag, &before, tag))
            break;
    }
    return victim;
}

http_rate_result http_rate_take(const http_rate_table *table, http_rate rate, str key,
                                uint64_t now_ns)
{
    const uint64_t hash = str_hash(key, table->seed);
    http_rate_bucket *bucket = bucket_of(table, hash ? hash : 1);
    const uint64_t whole_ns = rate.interval_ns * rate.burst;
    uint64_t before = atomic_load(&bucket->full_at_ns);
    for (;;) {
        const uint64_t from = before > now_ns ? before : now_ns;
        const uint64_t missing_ns = from - now_ns;
        if (missing_ns + rate.interval_ns > whole_ns)
            return (http_rate_result){ .wait_ns = missing_ns + rate.interval_ns - whole_ns,
                                       .full_ns = missing_ns };
        if (!atomic_compare_exchange_weak(&bucket->full_at_ns, &before, from + rate.interval_ns))
            continue;
        const uint64_t spare_ns = whole_ns - missing_ns - rate.interval_ns;
        const uint64_t left = spare_ns / rate.interval_ns;
        return (http_rate_result){ .allowed = true,
                                   .left = left,
                                   .wait_ns = left > 0 ? 0 : rate.interval_ns - spare_ns,
                                   .full_ns = missing_ns + rate.interval_ns };
    }
}
