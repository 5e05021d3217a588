/* A few keys, looked through one by one. They open what the password opens, so they are erased like
 * one. */
#include "scram_cache.h"

#include <string.h>

bool pg_scram_cache_find(const pg_scram_cache *cache, str password, pg_scram *s)
{
    invariant(s->step == PG_SCRAM_CHALLENGED);
    for (size_t i = 0; i < PG_SCRAM_CACHE_MAX; i++) {
        const pg_scram_keys *keys = &cache->places[i];
        if (keys->salt_len == 0 || keys->salt_len != s->salt_len ||
            keys->iterations != s->iterations || memcmp(keys->salt, s->salt, s->salt_len) != 0 ||
            !str_eq(keys->password, password))
            continue;
        pg_scram_use(s, keys->client_key, keys->server_key);
        return true;
    }
    return false;
}

void pg_scram_cache_keep(pg_scram_cache *cache, str password, const pg_scram *s)
{
    invariant(s->step == PG_SCRAM_DERIVED);
    pg_scram_keys *keys = &cache->places[cache->next++ % PG_SCRAM_CACHE_MAX];
    *keys = (pg_scram_keys){ .password = password,
                             .iterations = s->iterations,
                             .salt_len = s->salt_len };
    memcpy(keys->salt, s->salt, s->salt_len);
    memcpy(keys->client_key, s->client_key, sizeof keys->client_key);
    memcpy(keys->server_key, s->server_key, sizeof keys->server_key);
}

void pg_scram_cache_wipe(pg_scram_cache *cache)
{
    explicit_bzero(cache, sizeof *cache);
}
