/* A list: it is written when a session begins or changes, and read once in a while.
 *
 * Invariant: `bytes` are those of all names and values, at most PG_REPORTED_BYTES_MAX. */
#include "reported.h"

#include "pool.h"

#include "core/memory.h"

#include <string.h>

typedef struct reported {
    list_node node;
    str name, value; /* of what follows */
    char bytes[];
} reported;

void pg_reported_init(pg_reported_list *r)
{
    *r = (pg_reported_list){ 0 };
    list_init(&r->items);
}

static void drop(pg_reported_list *r, reported *it)
{
    list_remove(&it->node);
    r->count--;
    r->bytes -= it->name.len + it->value.len;
    memory_free(it);
}

void pg_reported_clear(pg_reported_list *r)
{
    LIST_EACH (reported, it, &r->items, node)
        drop(r, it);
}

static reported *find(const pg_reported_list *r, str name)
{
    LIST_EACH (reported, it, &r->items, node) {
        if (str_eq(it->name, name))
            return it;
    }
    return NULL;
}

void pg_reported_keep(pg_reported_list *r, str name, str value)
{
    const size_t bytes = name.len + value.len;
    reported *old = find(r, name);
    if (old)
        drop(r, old);
    if (r->count == PG_REPORTED_MAX || bytes > PG_REPORTED_BYTES_MAX - r->bytes)
        return;
    reported *it = memory_new(1, sizeof *it + bytes);
    if (!it) /* as if it had not been said */
        return;
    *it =
        (reported){ .name = { it->bytes, name.len }, .value = { it->bytes + name.len, value.len } };
    if (name.len > 0)
        memcpy(it->bytes, name.ptr, name.len);
    if (value.len > 0)
        memcpy(it->bytes + name.len, value.ptr, value.len);
    list_append(&r->items, &it->node);
    r->count++;
    r->bytes += bytes;
}

str pg_reported_find(const pg_reported_list *r, str name)
{
    const reported *it = find(r, name);
    return it ? it->value : STR_NONE;
}

/* --- of whom ---------------------------------------------------------------------------------- */

/* Those of the shared lane begin as the server has it. */
static const pg_conn *any_of(const pg_pool *pool)
{
    const pg_conn *found = NULL;
    LIST_EACH (const pg_conn, c, &pool->conns, node) {
        if (c->state != PG_CONN_READY)
            continue;
        if (!c->read_only && !c->lessee)
            return c;
        found = found && !found->read_only ? found : c;
    }
    return found;
}

str pg_reported_on(pg_target on, const char *name)
{
    const pg_conn *c = on.tx ? on.tx->conn : any_of(on.pool);
    const str value = c ? pg_reported_find(&c->reported, str_from_c(name)) : STR_NONE;
    return value.ptr ? str_copy(fiber_arena(), value) : STR_NONE;
}
