/* A small hash table over an LRU list. Text, types and statement stand in one piece of memory.
 *
 * Invariant: a statement stands in `used` and in its bucket and has `cache` set, or is in no cache;
 * while it is, the cache holds one reference, and so does `closing` of what stands there. */
#include "statement_cache.h"

#include "core/memory.h"

#include <stdio.h>
#include <string.h>

#define BUCKETS   ARRAY_LEN(((pg_statement_cache *)NULL)->buckets)
#define GUESSES   ARRAY_LEN(((pg_statement_cache *)NULL)->guesses)
#define NAME_SEED 0x6272696FU /* the same everywhere: see the head of the header */

void pg_statement_cache_init(pg_statement_cache *cache, bool named)
{
    *cache = (pg_statement_cache){ .named = named };
    list_init(&cache->used);
    list_init(&cache->closing);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&cache->buckets[i]);
}

void pg_statement_cache_deinit(pg_statement_cache *cache)
{
    LIST_EACH (pg_statement, s, &cache->used, used)
        pg_statement_evict(s);
    LIST_EACH (pg_statement, s, &cache->closing, used) {
        list_remove(&s->used);
        pg_statement_release(&s);
    }
}

/* --- finding ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t with)
{
    hash = (hash ^ with) * 0x9E3779B97F4A7C15U;
    return hash ^ hash >> 32;
}

static uint64_t hash_of(uint64_t context, str sql, const pg_value *values, size_t value_count)
{
    uint64_t hash = mix(str_hash(sql, NAME_SEED), context);
    for (size_t i = 0; i < value_count; i++)
        hash = mix(hash, values[i].oid);
    return hash;
}

/* A text that stands where one stood before is most likely the same, and costs no hash: that of a
 * constant, of a function that is called again. It is compared all the same, because memory is used
 * for other texts too. */
static pg_statement **guess_at(pg_statement_cache *cache, str sql)
{
    const uint64_t place = (uint64_t)(uintptr_t)sql.ptr ^ (uint64_t)sql.len << 48;
    return &cache->guesses[(place * 0x9E3779B97F4A7C15U >> 32) % GUESSES];
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

static bool is_same(const pg_statement_cache *cache, const pg_statement *s, str sql,
                    const pg_value *values, size_t value_count)
{
    return s->context == cache->context && str_eq(s->sql, sql) &&
           same_types(s, values, value_count);
}

static pg_statement *look_up(pg_statement_cache *cache, str sql, const pg_value *values,
                             size_t value_count)
{
    const uint64_t hash = hash_of(cache->context, sql, values, value_count);
    LIST_EACH (pg_statement, s, &cache->buckets[hash % BUCKETS], bucket) {
        if (s->hash == hash && is_same(cache, s, sql, values, value_count))
            return s;
    }
    return NULL;
}

pg_statement *pg_statement_find(pg_statement_cache *cache, str sql, const pg_value *values,
                                size_t value_count, uint64_t now_ms)
{
    pg_statement **guess = guess_at(cache, sql);
    pg_statement *s = *guess;
    if (!s || !is_same(cache, s, sql, values, value_count)) {
        s = look_up(cache, sql, values, value_count);
        if (!s)
            return NULL;
        *guess = s;
    }
    list_remove(&s->used);
    list_prepend(&cache->used, &s->used);
    s->used_ms = now_ms;
    return s;
}

pg_statement *pg_statement_twin(pg_statement_cache *cache, const pg_statement *of)
{
    LIST_EACH (pg_statement, s, &cache->buckets[of->hash % BUCKETS], bucket) {
        if (s->hash == of->hash && s->context == of->context && str_eq(s->sql, of->sql) &&
            s->oid_count == of->oid_count &&
            memcmp(s->oids, of->oids, s->oid_count * sizeof(pg_oid)) == 0)
            return s;
    }
    return NULL;
}

/* --- coming ----------------------------------------------------------------------------------- */

pg_statement *pg_statement_new(str sql, const pg_value *values, size_t value_count)
{
    const size_t bytes = sizeof(pg_statement) + value_count * sizeof(pg_oid) + sql.len;
    char *memory = memory_new(1, bytes);
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
    s->bytes = bytes;
    s->references = 1;
    list_init(&s->waiters);
    return s;
}

static void name_it(pg_statement_cache *cache, pg_statement *s)
{
    const unsigned long long hash = s->hash;
    LIST_EACH (pg_statement, other, &cache->buckets[hash % BUCKETS], bucket) {
        if (other->hash == hash) { /* another text, or other types */
            cache->renamed++;
            break;
        }
    }
    const int len = cache->renamed > 0
                        ? snprintf(s->name, sizeof s->name, "s%016llx_%x", hash, cache->renamed)
                        : snprintf(s->name, sizeof s->name, "s%016llx", hash);
    invariant(len > 0 && (size_t)len < sizeof s->name);
    s->name_len = (uint8_t)len;
}

pg_statement *pg_statement_add(pg_statement_cache *cache, str sql, const pg_value *values,
                               size_t value_count, uint64_t now_ms)
{
    pg_statement *s = pg_statement_new(sql, values, value_count);
    if (!s)
        return NULL;
    s->context = cache->context;
    s->hash = hash_of(s->context, sql, values, value_count);
    if (cache->named)
        name_it(cache, s);
    s->cache = cache;
    s->used_ms = now_ms;
    list_prepend(&cache->used, &s->used);
    list_append(&cache->buckets[s->hash % BUCKETS], &s->bucket);
    cache->count++;
    cache->bytes += s->bytes;
    return s;
}

static void grow(pg_statement *s, size_t bytes)
{
    s->bytes += bytes;
    if (s->cache)
        s->cache->bytes += bytes;
}

void pg_statement_described(pg_statement *s, pg_column *columns, uint32_t column_count)
{
    size_t bytes = column_count * sizeof(pg_column);
    for (uint32_t i = 0; i < column_count; i++)
        bytes += columns[i].name.len;
    s->columns = columns;
    s->column_count = column_count;
    s->ready = true;
    grow(s, bytes);
}

/* Names stay where they are. */
static pg_column *columns_as(const pg_statement *s, pg_rows_as as)
{
    bool same = true;
    for (uint32_t i = 0; i < s->column_count && same; i++)
        same = pg_type_format_as(s->columns[i].oid, as) == s->columns[i].format;
    if (same)
        return s->columns;
    pg_column *columns = memory_new(s->column_count, sizeof *columns);
    for (uint32_t i = 0; columns && i < s->column_count; i++) {
        columns[i] = s->columns[i];
        columns[i].format = pg_type_format_as(columns[i].oid, as);
    }
    return columns;
}

void pg_statement_wake(pg_statement *s)
{
    LIST_EACH (pg_statement_waiter, w, &s->waiters, node) {
        list_remove(&w->node);
        fiber_wake(w->fiber, OK);
    }
}

bool pg_statement_show_as(pg_statement *s, pg_rows_as as)
{
    if (LIKELY(as == PG_ROWS_BY_TYPE || !s->columns))
        return true;
    pg_column **made = &s->as[as - PG_ROWS_AS_VALUES];
    if (*made)
        return true;
    *made = columns_as(s, as);
    if (*made && *made != s->columns)
        grow(s, s->column_count * sizeof(pg_column));
    return *made != NULL;
}

/* --- going ------------------------------------------------------------------------------------ */

pg_statement *pg_statement_surplus(pg_statement_cache *cache, uint64_t now_ms)
{
    const bool full = cache->count >= PG_STATEMENTS_MAX || cache->bytes >= PG_STATEMENT_BYTES_MAX;
    for (list_node *n = cache->used.head.prev; n != &cache->used.head; n = n->prev) {
        pg_statement *s = CONTAINER_OF(n, pg_statement, used);
        if (!full && now_ms - s->used_ms < PG_STATEMENT_UNUSED_MS)
            return NULL; /* and all others were used later */
        if (s->references == 1 && s->ready)
            return s;
    }
    return NULL;
}

static void take_out(pg_statement *s)
{
    for (size_t i = 0; i < GUESSES; i++) {
        if (s->cache->guesses[i] == s)
            s->cache->guesses[i] = NULL;
    }
    list_remove(&s->used);
    list_remove(&s->bucket);
    s->cache->count--;
    s->cache->bytes -= s->bytes;
    s->cache = NULL;
}

void pg_statement_evict(pg_statement *s)
{
    if (!s->cache)
        return;
    take_out(s);
    pg_statement_release(&s);
}

void pg_statement_close(pg_statement_cache *cache, pg_statement *s)
{
    if (list_linked(&s->used) && !s->cache)
        return; /* it stands there already */
    if (s->cache)
        take_out(s);
    else
        pg_statement_keep(s);
    if (cache->named)
        list_append(&cache->closing, &s->used);
    else
        pg_statement_release(&s);
}

void pg_statement_expire(pg_statement_cache *cache, pg_statement *s)
{
    cache->renamed++;
    pg_statement_close(cache, s);
}

void pg_statement_expire_all(pg_statement_cache *cache)
{
    cache->renamed++;
    LIST_EACH (pg_statement, s, &cache->used, used) {
        if (s->ready)
            pg_statement_close(cache, s);
    }
}

void pg_statement_cache_closed(pg_statement_cache *cache)
{
    LIST_EACH (pg_statement, s, &cache->closing, used) {
        if (!pg_statement_may_close(s))
            continue;
        list_remove(&s->used);
        pg_statement_release(&s);
    }
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
    for (size_t i = 0; i < ARRAY_LEN(s->as); i++) {
        if (s->as[i] != s->columns)
            memory_free(s->as[i]);
    }
    memory_free(s->columns);
    memory_free(s);
}
