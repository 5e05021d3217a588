/* Whether client and model are in the same state. */
#include "walk_compare.h"

#include "hub.h"
#include "pool.h"

static bool same_request(const pg_request *r, const walk_request *m, uint64_t delivered)
{
    const walk_ask *k = walk_ask_of(m->tag);
    const char *sql = m->kind == PG_REQUEST_QUERY || m->kind == PG_REQUEST_PREPARE ? m->sql : "";
    const str own = r->statement ? r->statement->sql : STR("");
    const bool is_last_words = strcmp(m->sql, "commit") == 0;
    if (r->kind != m->kind || r->syncs != m->syncs || !str_eq(own, str_from_c(sql)))
        return false;
    if (r->partly != m->partly)
        return false;
    if (r->kind != PG_REQUEST_SCRIPT && r->done != (m->done_at <= delivered))
        return false;
    if (r->begins != (m->begins && m->begun_at > delivered))
        return r->done; /* it has failed with what it was sent for */
    if (r->fiber && k && r->fiber != k->actor->fiber)
        return false;
    return !m->tag || is_last_words || m->kind == PG_REQUEST_COPY ||
           (r->fiber != NULL) == (k != NULL);
}

static void compare_requests(const walk_backend *b, const pg_conn *c)
{
    uint64_t id = b->first;
    uint32_t abandoned = 0, batches = 0;
    LIST_EACH (pg_request, r, &c->requests, node) {
        const walk_request *m = walk_backend_request(b, id++);
        if (!m) {
            walk_problem("connection %u: the client waits for %d more than the model", b->process,
                         (int)r->kind);
            return;
        }
        abandoned += r->fiber == NULL && !r->sink;
        batches += r->batch;
        if (!same_request(r, m, b->delivered)) {
            walk_problem("connection %u: request %llu \"%s\" of %llu differs", b->process,
                         (unsigned long long)(id - 1), m->sql, (unsigned long long)m->tag);
            return;
        }
    }
    if (id != b->next)
        walk_problem("connection %u: the client does not wait for \"%s\"", b->process,
                     walk_backend_request(b, id)->sql);
    if (b->group_open || b->begin_pending)
        walk_problem("connection %u: somebody waits without a Sync on the way", b->process);
    if (batches != c->batches)
        walk_problem("connection %u: %u batches, %u counted", b->process, batches, c->batches);
    if (abandoned < c->abandoned)
        walk_problem("connection %u: %u requests without fibers, %u counted", b->process, abandoned,
                     c->abandoned);
}

static void compare_lease(const walk_backend *b, const pg_conn *c)
{
    if (!c->lessee)
        return;
    if (c->load != 1)
        walk_problem("connection %u is leased, and %u use it", b->process, c->load);
    for (uint64_t id = b->first; id < b->next; id++) {
        const walk_ask *k = walk_ask_of(walk_backend_request(b, id)->tag);
        if (k && k->actor->fiber != c->lessee)
            walk_problem("connection %u is leased, and %llu is another's", b->process,
                         (unsigned long long)k->tag);
    }
}

/* Who uses one that retires may do so until they are done; nobody else begins. */
static void compare_retirement(walk_backend *b, const pg_conn *c)
{
    if (b->retires && c->load > b->retiring_load)
        walk_problem("connection %u retires, and is given out", b->process);
    b->retires = c->retiring;
    b->retiring_load = c->load;
}

/* What has come is read, unless somebody takes his rows slowly. */
static void compare_reading(const walk_backend *b)
{
    if (b->sent - b->delivered > WALK_WIDE_BYTES + 32 && !walk_holds_up(b))
        walk_problem("connection %u: %llu bytes have come, and nobody reads them", b->process,
                     (unsigned long long)(b->sent - b->delivered));
}

/* While a statement is left on one, or a cancel is under way, nobody is given it; and who has it
 * sends nothing while a cancel is, that might be struck. */
static void compare_cancel(walk_backend *b, const pg_conn *c)
{
    const bool cancels = c->cancel.stream != NULL, is_taken = cancels || c->abandoned > 0;
    uint64_t id = b->first;
    if (is_taken && b->was_taken && c->load > b->taken_load)
        walk_problem("connection %u is given out while a %s", b->process,
                     cancels ? "cancel is under way" : "statement is left on it");
    if (!cancels || !b->is_canceled)
        b->canceled_at = b->next;
    b->was_taken = is_taken;
    b->taken_load = c->load;
    b->is_canceled = cancels;
    LIST_EACH (pg_request, r, &c->requests, node) {
        if (id++ >= b->canceled_at && r->fiber)
            walk_problem("connection %u: somebody asks while a cancel is under way", b->process);
    }
}

static void compare_backend(walk_backend *b)
{
    const pg_conn *c = b->conn;
    walk_backend_settle(b);
    if (!c || c->state != PG_CONN_READY || b->stage == WALK_FREE)
        return;
    if (b->violates_at <= b->delivered) {
        walk_problem("connection %u goes on after what made no sense", b->process);
        return;
    }
    compare_reading(b);
    compare_requests(b, c);
    compare_lease(b, c);
    compare_retirement(b, c);
    compare_cancel(b, c);
    if (c->tx_status != b->client_status)
        walk_problem("connection %u: the transaction is %c, the client takes it for %c", b->process,
                     b->client_status, c->tx_status);
    if (!c->lessee && b->client_status != 'I')
        walk_problem("connection %u is left in a transaction", b->process);
    if (!list_is_empty(&c->held) && c->batches == 0 && !c->cancel.stream)
        walk_problem("connection %u: reads are held, and nothing is under way", b->process);
}

/* The fiber that keeps the listening connection waits for one as anybody. */
static uint32_t hub_may_wait(const pg_pool *pool)
{
    return pool->hub && !pool->listening;
}

/* Returns whether it waits for a connection. */
static bool compare_actor(const walk_actor *a)
{
    const char *what = fiber_waits_for(a->fiber);
    const walk_ask *k = a->ask_count > 0 ? a->asks[0] : NULL;
    const uint64_t kept = k && k->streams && !k->closing ? walk_ask_kept(k) : 0;
    if (k && kept > WALK_KEPT_BYTES + WALK_READ_BYTES)
        walk_problem("%llu has %llu bytes of rows, and they still come", (unsigned long long)k->tag,
                     (unsigned long long)kept);
    if (k && walk_actor_must_be_done(a))
        walk_problem("%llu was answered, and its fiber waits (%s) [%d %s %u asks att %u]",
                     (unsigned long long)k->tag, what ? what : "?", k->verdict, k->state,
                     a->ask_count, k->attempts);
    if (!what)
        return false;
    if (a->listens && a->arrived > a->heard && strcmp(what, "pg notification") == 0)
        walk_problem("number %llu of c%u has come, and who listens waits",
                     (unsigned long long)a->arrived, a->listens - 1);
    return strcmp(what, "pg connection") == 0;
}

static void compare_pool(const pg_pool *pool)
{
    uint32_t ready = 0, leased = 0, waiting = 0;
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        ready += c->state == PG_CONN_READY;
        leased += c->lessee != NULL;
    }
    const pg_pool_stats stats = pg_pool_stats_of(pool);
    if (stats.open != ready || stats.leased < leased)
        walk_problem("the pool counts %u open, %u leased; there are %u, %u", stats.open,
                     stats.leased, ready, leased);
    for (size_t i = 0; i < WALK_ACTORS; i++) {
        const walk_actor *a = &the_actors->all[i];
        waiting += a->fiber && compare_actor(a);
    }
    if (stats.waiting < waiting || stats.waiting > waiting + hub_may_wait(pool))
        walk_problem("the pool counts %u waiting, there are %u", stats.waiting, waiting);
}

void walk_compare(void)
{
    uint64_t open = 0;
    for (size_t i = 0; i < WALK_BACKENDS; i++)
        compare_backend(&the_server->backends[i]);
    for (size_t i = 0; i < WALK_ACTORS; i++)
        open += the_actors->all[i].fiber ? the_actors->all[i].ask_count : 0;
    if (the_actors->started != the_actors->finished + open)
        walk_problem("%llu asks begun, %llu ended, %llu open",
                     (unsigned long long)the_actors->started,
                     (unsigned long long)the_actors->finished, (unsigned long long)open);
    compare_pool(the_actors->pool);
}

void walk_compare_empty(void)
{
    const pg_pool *pool = the_actors->pool;
    const pg_pool_stats stats = pg_pool_stats_of(pool);
    if (stats.leased > pool->listening || stats.waiting > hub_may_wait(pool) ||
        stats.acquired - stats.released != stats.leased)
        walk_problem("%u leased, %u waiting, %llu given out, %llu given back, and nobody there",
                     stats.leased, stats.waiting, (unsigned long long)stats.acquired,
                     (unsigned long long)stats.released);
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        if (!pg_hub_has(c) && (c->load + c->batches > 0 || !list_is_empty(&c->held)))
            walk_problem("a connection has %u users, %u batches", c->load, c->batches);
    }
    if (the_actors->started != the_actors->finished)
        walk_problem("asks are left");
}
