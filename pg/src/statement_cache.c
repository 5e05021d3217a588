/* A small hash table over an LRU list. Text, types and statement stand in one piece of memory.
 *
 * Invariant: a statement stands in `used` and in its bucket, or in neither; while it does, the
 * cache holds one reference. */
#include "statement_cache.h"

#include "core/memory.h"

#include <stdio.h>
#include <string.h>

#define BUCKETS ARRAY_LEN(((pg_statement_cache *)NULL)->buckets)

void pg_statement_cache_init(pg_statement_cache *cache, uint64_t seed)
{
    cache->count = 0;
    cache->next_name = 0;
    cache->seed = seed;
    list_init(&cache->used);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&cache->buckets[i]);
}

void pg_statement_cache_deinit(pg_statement_cache *cache)
{
    LIST_EACH (pg_statement, s, &cache->used, used)
        pg_statement_evict(cache, s);
}

static uint64_t hash_of(const pg_statement_cache *cache, str sql, const pg_value *values,
                        size_t value_count)
{
    uint64_t hash = str_hash(sql, cache->seed);
    for (size_t i = 0; i < value_count; i++)
        hash = (hash ^ values[i].oid) * 0x9E3779B97F4A7C15U;
    return hash;
}

static bool same_types(const pg_statement *s, const pg_value *values, size_t value_count)
{
    if (s->oid_count != value_count)
        return false;
    for (size_t i = 0; i < value_count; i++) {
        if (s->oids[i] != values[i].oid)
            return false;
    }
    return true;
}

pg_statement *pg_statement_find(pg_statement_cache *cache, str sql, const pg_value *values,
                                size_t value_count)
{
    const uint64_t hash = hash_of(cache, sql, values, value_count);
    LIST_EACH (pg_statement, s, &cache->buckets[hash % BUCKETS], bucket) {
        if (s->hash != hash || !str_eq(s->sql, sql) || !same_types(s, values, value_count))
            continue;
        list_remove(&s->used);
        list_prepend(&cache->used, &s->used);
        return s;
    }
    return NULL;
}

pg_statement *pg_statement_add(pg_statement_cache *cache, str sql, const pg_value *values,
                               size_t value_count)
{
    char *memory = memory_new(1, sizeof(pg_statement) + value_count * sizeof(pg_oid) + sql.len);
    if (!memory)
        return NULL;
    pg_statement *s = (pg_statement *)(void *)memory;
    pg_oid *oids = (pg_oid *)(void *)(memory + sizeof(pg_statement));
    for (size_t i = 0; i < value_count; i++)
        oids[i] = values[i].oid;
    char *text = (char *)(oids + value_count);
    memcpy(text, sql.ptr, sql.len);
    s->sql = (str){ text, sql.len };
    s->oids = oids;
    s->oid_count = (uint32_t)value_count;
    s->hash = hash_of(cache, sql, values, value_count);
    s->references = 1;
    list_init(&s->waiters);
    (void)snprintf(s->name, sizeof s->name, "s%u", ++cache->next_name);
    list_prepend(&cache->used, &s->used);
    list_append(&cache->buckets[s->hash % BUCKETS], &s->bucket);
    cache->count++;
    return s;
}

pg_statement *pg_statement_surplus(pg_statement_cache *cache)
{
    if (cache->count <= PG_STATEMENTS_MAX)
        return NULL;
    for (list_node *n = cache->used.head.prev; n != &cache->used.head; n = n->prev) {
        pg_statement *s = CONTAINER_OF(n, pg_statement, used);
        if (s->references == 1 && s->ready)
            return s;
    }
    return NULL;
}

void pg_statement_evict(pg_statement_cache *cache, pg_statement *s)
{
    if (!list_linked(&s->used))
        return;
    list_remove(&s->used);
    list_remove(&s->bucket);
    cache->count--;
    pg_statement_release(&s);
}

void pg_statement_release(pg_statement **owner)
{
    pg_statement *s = *owner;
    *owner = NULL;
    if (!s)
        return;
    invariant(s->references > 0);
    if (--s->references > 0)
        return;
    invariant(list_is_empty(&s->waiters));
    memory_free(s->columns);
    memory_free(s);
}
