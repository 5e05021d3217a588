/* Lookups of names run on fibers of their own, which wait for the system's resolver however long it
 * takes. The fiber that opens a connection waits for that as it does for messages: until its
 * deadline, or the connection's end.
 *
 *   AWAITED --done--> the opener is woken
 *     |  ^
 *     |  +-- the next who asks for the same name; so a resolver that hangs does not get more and
 *     |      more threads to wait in
 *     +--the opener goes on--> LEFT --done--> dropped
 *
 * Invariant: a connection points to a lookup only while its opener waits for it. */
#include "lookup.h"

#include "pool.h"

#include "core/memory.h"

#include <stdio.h>
#include <string.h>

typedef struct pg_lookup {
    list_node node; /* in the pool's lookups */
    pg_pool *pool;  /* a reference */
    pg_conn *conn;  /* whose opener waits; NULL: left */
    str name;       /* behind this struct */
    uint16_t port;
    pg_addresses found;
    const error_kind *failure; /* NULL: it has found some */
    char text[256];
} pg_lookup;

static error look_up(void *arg)
{
    pg_lookup *l = arg;
    const error e =
        address_resolve(l->name, l->port, l->found.items, PG_ADDRESSES_MAX, &l->found.count);
    const error_detail *detail = error_detail_of(e);
    l->failure = e.kind;
    if (e.kind)
        (void)snprintf(l->text, sizeof l->text, "%.*s",
                       STR_ARG(detail ? detail->text : str_from_c(e.kind->name)));
    return OK;
}

static void free_lookup(pg_lookup *l)
{
    list_remove(&l->node);
    pg_pool_lookup_ended(l->pool);
    pg_pool_unref(&l->pool);
    memory_free(l);
}

static void tell_opener(const pg_lookup *l, pg_conn *c)
{
    fiber *opener = c->reader;
    c->lookup = NULL;
    c->reader = NULL;
    if (!opener) /* woken in this turn, for another reason */
        return;
    *c->addresses = l->found;
    fiber_wake(opener, l->failure ? fiber_error_set(opener, l->failure, "%s", l->text) : OK);
}

static void look_up_ended(fiber *f, error result, void *arg)
{
    (void)f;
    pg_lookup *l = arg;
    if (result.kind) { /* it was ended before it could say so */
        l->failure = result.kind;
        (void)snprintf(l->text, sizeof l->text, "%s", result.kind->name);
    }
    if (l->conn)
        tell_opener(l, l->conn);
    free_lookup(l);
}

/* One that somebody has left. */
static pg_lookup *find_left(const pg_pool *pool, str name, uint16_t port)
{
    LIST_EACH (pg_lookup, l, &pool->lookups, node) {
        if (!l->conn && l->port == port && str_eq(l->name, name))
            return l;
    }
    return NULL;
}

static error start(pg_pool *pool, str name, uint16_t port, pg_lookup **out)
{
    pg_lookup *l = memory_new(1, sizeof *l + name.len);
    if (!l)
        return error_set(&OUT_OF_MEMORY, "no memory to look a host up");
    memcpy(l + 1, name.ptr, name.len);
    l->name = (str){ (const char *)(l + 1), name.len };
    l->port = port;
    const fiber_options options = { .name = "pg lookup", .ended = look_up_ended, .ended_arg = l };
    const error e = fiber_start(pool->loop, &options, look_up, l, NULL);
    if (e.kind) {
        memory_free(l);
        return e;
    }
    l->pool = pg_pool_ref(pool);
    list_append(&pool->lookups, &l->node);
    *out = l;
    return OK;
}

static void forget_opener(void *arg)
{
    pg_conn *c = arg;
    c->reader = NULL;
}

static error await(pg_conn *c)
{
    c->reader = fiber_self();
    const error e = fiber_park("pg lookup", forget_opener, c);
    if (c->lookup) /* it goes on without us */
        c->lookup->conn = NULL;
    c->lookup = NULL;
    return e;
}

typedef struct asking {
    pg_conn *conn;
    str name;
    uint16_t port;
} asking;

static error ask(void *arg)
{
    const asking *a = arg;
    pg_conn *c = a->conn;
    pg_lookup *l = find_left(c->pool, a->name, a->port);
    if (!l)
        TRY(start(c->pool, a->name, a->port, &l));
    invariant(l != NULL);
    l->conn = c;
    c->lookup = l;
    return await(c);
}

error pg_lookup_addresses(pg_conn *c, str name, uint16_t port, pg_addresses *out)
{
    asking a = { c, name, port };
    if (c->state != PG_CONN_OPENING)
        return error_set(&PG_POOL_CLOSED, "the pool was closed");
    c->addresses = out;
    return scope_call(&(scope_options){ .deadline_ms = c->pool->info.connect_timeout_ms }, ask, &a);
}
