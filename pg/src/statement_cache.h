/* The statements a connection has prepared, found by their whole text and parameter types, least
 * recently used ones closed past a limit.
 *
 *   PREPARING --described--> READY --evicted, or the server lost it--> gone (Close is sent)
 *
 * A statement is freed when it has left the cache and no request uses it any more. */
#ifndef PG_SRC_STATEMENT_CACHE_H
#define PG_SRC_STATEMENT_CACHE_H

#include "core/fiber.h"
#include "core/list.h"
#include "pg/type.h"

#define PG_STATEMENTS_MAX 256 /* a connection */

typedef struct pg_statement {
    list_node used;   /* in the cache, most recent first */
    list_node bucket; /* in the cache */
    uint64_t hash;
    str sql;
    const pg_oid *oids; /* of the parameters */
    uint32_t oid_count;
    uint32_t references; /* requests that use it; the cache counts as one */
    char name[16];       /* "s1" */
    bool ready;          /* described by the server */
    pg_column *columns;  /* NULL when it returns no rows */
    uint32_t column_count;
    uint32_t cost_ns; /* of the server's time, see backlog.h; 0: not known yet */
    list waiters;     /* of pg_statement_waiter */
} pg_statement;

/* A fiber that waits until another one's Parse is answered. Stands on its stack. */
typedef struct pg_statement_waiter {
    list_node node;
    fiber *fiber;
} pg_statement_waiter;

typedef struct pg_statement_cache {
    list used;
    list buckets[64];
    uint32_t count;
    uint32_t next_name;
    uint64_t seed;
} pg_statement_cache;

void pg_statement_cache_init(pg_statement_cache *cache, uint64_t seed);
/* Frees what no request uses any more; the connection is gone. */
void pg_statement_cache_deinit(pg_statement_cache *cache);

/* The statement, now the most recently used one, or NULL. */
pg_statement *pg_statement_find(pg_statement_cache *cache, str sql, const pg_value *values,
                                size_t value_count);
/* A new one, not ready. NULL without memory. There must be none of that text and types. */
pg_statement *pg_statement_add(pg_statement_cache *cache, str sql, const pg_value *values,
                               size_t value_count);
/* The one to close when the cache is full: the least recently used that no request uses; or NULL.
 */
pg_statement *pg_statement_surplus(pg_statement_cache *cache);
/* Takes it out of the cache, if it is there. */
void pg_statement_evict(pg_statement_cache *cache, pg_statement *statement);

static inline pg_statement *pg_statement_keep(pg_statement *statement)
{
    statement->references++;
    return statement;
}
/* Nulls the pointer; NULL is allowed. */
void pg_statement_release(pg_statement **owner);

static inline str pg_statement_name(const pg_statement *statement)
{
    return str_from_c(statement->name);
}

#endif
