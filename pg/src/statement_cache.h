/* What is known of statements: those that a connection has prepared, or that a pool has had
 * described. Found by their whole text and parameter types; given up when there are too many, when
 * they take too much, or when nothing has used them for long.
 *
 *   PREPARING --described--> READY --given up, out of date--> gone (Close is sent)
 *
 * A prepared statement's name follows from its text and types (and the search_path, where the
 * server tells that) alone, so that all connections of all processes call it the same: who shares a
 * server's session with others meets their statement, and it is the right one. Only what could be
 * taken for another one here has a number behind it: a statement whose name another one of the
 * cache has, and all that are prepared after one went out of date, because somebody may be about to
 * use the old form by its name.
 *
 * A statement is freed when it has left the cache and no request uses it any more. */
#ifndef PG_SRC_STATEMENT_CACHE_H
#define PG_SRC_STATEMENT_CACHE_H

#include "core/fiber.h"
#include "core/list.h"
#include "pg/type.h"

#define PG_STATEMENTS_MAX      256                 /* a cache */
#define PG_STATEMENT_BYTES_MAX ((size_t)1 << 20)   /* a cache: texts and columns */
#define PG_STATEMENT_UNUSED_MS ((uint64_t)1800000) /* then it is given up */

typedef struct pg_statement_cache pg_statement_cache;

typedef struct pg_statement {
    list_node used;            /* in the cache, most recent first; or in `closing` */
    list_node bucket;          /* in the cache */
    pg_statement_cache *cache; /* NULL: in none */
    uint64_t hash;             /* of text, types and context */
    uint64_t context;          /* the cache's when it was added */
    uint64_t used_ms;
    size_t bytes;
    str sql;
    const pg_oid *oids; /* of the parameters */
    uint32_t oid_count;
    uint32_t references; /* requests that use it; the cache counts as one */
    char name[28];       /* "s1f0…", a NUL behind it; "": it has none */
    uint8_t name_len;
    bool ready;         /* described by the server */
    bool dml;           /* and it has run: its tag said so */
    pg_column *columns; /* by type; NULL when it returns no rows */
    pg_column *as[3];   /* as values, as text, as JSON, once asked for; perhaps `columns` */
    uint32_t column_count;
    uint32_t cost_ns; /* of the server's time, see backlog.h; 0: not known yet */
    list waiters;     /* of pg_statement_waiter */
} pg_statement;

/* A fiber that waits until another one's Parse is answered. Stands on its stack. */
typedef struct pg_statement_waiter {
    list_node node;
    fiber *fiber;
} pg_statement_waiter;

struct pg_statement_cache {
    list used;
    list buckets[64];
    pg_statement *guesses[64]; /* by where texts stood when they were last found; in the cache */
    list closing;              /* gone, and the server is to be told; each is kept by the list */
    uint32_t count;
    size_t bytes;
    bool named;
    uint32_t renamed; /* the number behind new names; 0: none */
    uint64_t context; /* what else a text's meaning depends on: only those of the same are found */
};

/* `named`: of a connection, with names. */
void pg_statement_cache_init(pg_statement_cache *cache, bool named);
/* Frees what no request uses any more; the connection is gone. */
void pg_statement_cache_deinit(pg_statement_cache *cache);

/* The statement, now the most recently used one, or NULL. */
pg_statement *pg_statement_find(pg_statement_cache *cache, str sql, const pg_value *values,
                                size_t value_count, uint64_t now_ms);
/* The same statement as one of another cache, or NULL. */
pg_statement *pg_statement_twin(pg_statement_cache *cache, const pg_statement *of);
/* A new one, not ready. NULL without memory. There must be none of that text and types. */
pg_statement *pg_statement_add(pg_statement_cache *cache, str sql, const pg_value *values,
                               size_t value_count, uint64_t now_ms);
/* One of no cache, without a name. NULL without memory. */
pg_statement *pg_statement_new(str sql, const pg_value *values, size_t value_count);
/* It has been described: takes the columns. */
void pg_statement_described(pg_statement *statement, pg_column *columns, uint32_t column_count);
/* Those who wait for that look again: it is there, or will not be. */
void pg_statement_wake(pg_statement *statement);
/* Makes its columns known in the formats of rows that are for something. False without memory. */
bool pg_statement_show_as(pg_statement *statement, pg_rows_as as);
/* One to give up before another is added: the least recently used that no request uses, if they are
 * too many or it is too old; or NULL. */
pg_statement *pg_statement_surplus(pg_statement_cache *cache, uint64_t now_ms);
/* Takes it out of its cache, if it is in one. */
void pg_statement_evict(pg_statement *statement);
/* The same, and the server is to be told. */
void pg_statement_close(pg_statement_cache *cache, pg_statement *statement);
/* The same, and it is out of date: its name will not be used again. */
void pg_statement_expire(pg_statement_cache *cache, pg_statement *statement);
/* The same for all that are ready. */
void pg_statement_expire_all(pg_statement_cache *cache);
/* Whether the server may be told of one in `closing`: nobody is about to use it by its name. */
static inline bool pg_statement_may_close(const pg_statement *statement)
{
    return !statement->ready || statement->references == 1;
}
/* The server was told of those in `closing` that may be closed. */
void pg_statement_cache_closed(pg_statement_cache *cache);

static inline pg_statement *pg_statement_keep(pg_statement *statement)
{
    statement->references++;
    return statement;
}
/* Nulls the pointer; NULL is allowed. */
void pg_statement_release(pg_statement **owner);

/* Its columns, in the formats that pg_statement_show_as has made known. */
static inline const pg_column *pg_statement_columns(const pg_statement *statement, pg_rows_as as)
{
    return as == PG_ROWS_BY_TYPE ? statement->columns : statement->as[as - PG_ROWS_AS_VALUES];
}

static inline str pg_statement_name(const pg_statement *statement)
{
    return (str){ statement->name, statement->name_len };
}

#endif
