/* SCRAM's keys of earlier connections: derived from a password with a server's salt, they are good
 * for every later connection that it asks for with the same salt. */
#ifndef PG_SRC_SCRAM_CACHE_H
#define PG_SRC_SCRAM_CACHE_H

#include "scram.h"

#define PG_SCRAM_CACHE_MAX 4 /* hosts with passwords of their own; replicas share the salt */

typedef struct pg_scram_keys {
    str password; /* a view; its owner outlives the cache */
    uint32_t iterations;
    size_t salt_len; /* 0: an empty place */
    uint8_t salt[PG_SCRAM_SALT_BYTES_MAX];
    uint8_t client_key[PG_SCRAM_KEY_BYTES];
    uint8_t server_key[PG_SCRAM_KEY_BYTES];
} pg_scram_keys;

/* Zeroed: empty. */
typedef struct pg_scram_cache {
    pg_scram_keys places[PG_SCRAM_CACHE_MAX];
    uint32_t next; /* to be replaced */
} pg_scram_cache;

/* Gives a challenged exchange its keys, which then is derived; false when there are none. */
bool pg_scram_cache_find(const pg_scram_cache *cache, str password, pg_scram *s);
/* Keeps the keys of a derived exchange, in the place of the oldest if need be. */
void pg_scram_cache_keep(pg_scram_cache *cache, str password, const pg_scram *s);
/* Erases them. */
void pg_scram_cache_wipe(pg_scram_cache *cache);

#endif
