/* The pool: its settings, its life, and what connections tell it. Opening them is opener.c; who
 * gets which, and who waits, is line.c. */
#include "pool.h"

#include "budget.h"
#include "encryption.h"
#include "health.h"
#include "hooks.h"
#include "hub.h"
#include "opener.h"
#include "upkeep.h"
#include "watch.h"

#include "core/log.h"
#include "core/memory.h"

#define POOL_ARENA_BYTES    1048576 /* of conninfo's text, and a service file */
#define CONNECTIONS_MAX     1000
#define SPARE_REQUESTS_GROW 32

typedef struct pg_settings {
    str url;
    int64_t connections_max;
    int64_t connections_min;
    int64_t process_max;
    int64_t read_only_max;
    int64_t acquire_timeout_ms;
    int64_t connect_timeout_ms;
    int64_t idle_tx_timeout_ms;
    int64_t tx_timeout_ms;
    int64_t statement_timeout_ms;
    int64_t hosts_interval_ms;
    int64_t replica_lag_ms;
    int64_t peer_timeout_ms;
    int64_t scram_iterations_min;
    int64_t statements;
    int64_t pipeline_max;
    int64_t slow_query_ms;
    bool log_parameters;
    bool busy_polls;
    int64_t waiting_max;
    int64_t message_bytes_max;
    int64_t queue_target_ms;
    int64_t queue_interval_ms;
    int64_t idle_timeout_ms;
    int64_t lifetime_ms;
} pg_settings;

static const char *const STATEMENTS[] = { "named", "unnamed", "off", NULL }; /* from NAMED */

const config_entry PG_SETTINGS[] = {
    { "DATABASE_URL", CONFIG_SECRET, .max = 8192,
      .meaning = "the PostgreSQL server: postgresql://user:password@host:port/database; what it "
                 "leaves out comes from PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE",
      .offset = offsetof(pg_settings, url) },
    { "PG_POOL_MAX", CONFIG_INT, "8", .min = 1, .max = CONNECTIONS_MAX,
      .meaning = "connections a worker may open", .offset = offsetof(pg_settings, connections_max),
      .unit = "connections" },
    { "PG_POOL_MIN", CONFIG_INT, "1", .max = CONNECTIONS_MAX,
      .meaning = "connections a worker keeps open",
      .offset = offsetof(pg_settings, connections_min), .unit = "connections" },
    { "PG_CONNECTIONS_MAX", CONFIG_INT, "0", .max = 1000000,
      .meaning = "connections that all workers together may open; 0: as many as each may",
      .offset = offsetof(pg_settings, process_max), .unit = "connections" },
    { "PG_READ_ONLY_MAX", CONFIG_INT, "2", .min = 1, .max = CONNECTIONS_MAX,
      .meaning = "connections a worker may open beside these for pg_read_only",
      .offset = offsetof(pg_settings, read_only_max), .unit = "connections" },
    { "PG_ACQUIRE_TIMEOUT", CONFIG_DURATION, "5s", .min = 1, .max = 3600000,
      .meaning = "how long a query may wait for a connection",
      .offset = offsetof(pg_settings, acquire_timeout_ms) },
    { "PG_WAITING_MAX", CONFIG_INT, "1000", .min = 0, .max = 1000000,
      .meaning = "how many fibers of a worker may wait for a connection; more are refused at once",
      .offset = offsetof(pg_settings, waiting_max), .unit = "fibers" },
    { "PG_MESSAGE_MAX", CONFIG_BYTES, "64M", .min = 1 << 20, .max = PG_MESSAGE_BYTES_MAX,
      .meaning = "the longest message, either way: a row, or a statement with its parameters",
      .offset = offsetof(pg_settings, message_bytes_max) },
    { "PG_QUEUE_TARGET", CONFIG_DURATION, "50ms", .min = 0, .max = 3600000,
      .meaning = "how long one should wait for a connection at most; 0: no matter",
      .offset = offsetof(pg_settings, queue_target_ms) },
    { "PG_QUEUE_INTERVAL", CONFIG_DURATION, "1s", .min = 1, .max = 3600000,
      .meaning = "when all have waited longer than that for so long, those who have waited over "
                 "twice that are dropped",
      .offset = offsetof(pg_settings, queue_interval_ms) },
    { "PG_CONNECT_TIMEOUT", CONFIG_DURATION, "5s", .min = 1, .max = 3600000,
      .meaning = "how long looking a host up, and connecting to one address, may take",
      .offset = offsetof(pg_settings, connect_timeout_ms) },
    { "PG_PEER_TIMEOUT", CONFIG_DURATION, "30s", .min = 0, .max = 86400000,
      .meaning =
          "after how long a server's host that is silent, and acknowledges nothing, is gone; "
          "0: as the system has it",
      .offset = offsetof(pg_settings, peer_timeout_ms) },
    { "PG_SCRAM_ITERATIONS_MIN", CONFIG_INT, "1", .min = 1, .max = PG_SCRAM_ITERATIONS_MAX,
      .meaning = "a server that asks for fewer iterations of SCRAM gets no proof: what listens in "
                 "its place could try passwords cheaply",
      .offset = offsetof(pg_settings, scram_iterations_min), .unit = "iterations" },
    { "PG_IDLE_IN_TRANSACTION_TIMEOUT", CONFIG_DURATION, "1m", .max = INT32_MAX,
      .meaning = "how long a transaction may ask for nothing, by the server's clock, before the "
                 "server ends its session; 0: as the server has it",
      .offset = offsetof(pg_settings, idle_tx_timeout_ms) },
    { "PG_TRANSACTION_TIMEOUT", CONFIG_DURATION, "0", .max = INT32_MAX,
      .meaning = "how long a transaction may take, by the clock of a server of PostgreSQL 17 or "
                 "later; 0: as the server has it",
      .offset = offsetof(pg_settings, tx_timeout_ms) },
    { "PG_STATEMENT_TIMEOUT", CONFIG_DURATION, "0", .max = INT32_MAX,
      .meaning = "how long a statement may take, COPY too, by the server's clock; 0: as the server "
                 "has it",
      .offset = offsetof(pg_settings, statement_timeout_ms) },
    { "PG_HOSTS_INTERVAL", CONFIG_DURATION, "10s", .max = 3600000,
      .meaning = "between looks at all hosts, where the choice of one depends on what is seen; "
                 "0: never",
      .offset = offsetof(pg_settings, hosts_interval_ms) },
    { "PG_REPLICA_LAG_MAX", CONFIG_DURATION, "0", .max = 86400000,
      .meaning = "standbys that are further behind are used only when there is nothing better; 0: "
                 "no matter",
      .offset = offsetof(pg_settings, replica_lag_ms) },
    { "PG_STATEMENTS", CONFIG_CHOICE, "named",
      .meaning = "how statements are prepared: named, once a connection; behind a pooler in "
                 "transaction mode unnamed, or off, where nothing is remembered of them",
      .choices = STATEMENTS, .offset = offsetof(pg_settings, statements) },
    { "PG_PIPELINE_MAX", CONFIG_INT, "0", .max = 10000,
      .meaning = "requests under way on a connection, each up to its answer; 1 for poolers that do "
                 "not speak pipelining, 0: no limit",
      .offset = offsetof(pg_settings, pipeline_max), .unit = "requests" },
    { "PG_BUSY_POLL", CONFIG_BOOL, "on",
      .meaning =
          "whether a worker that awaits few answers looks for them, 50 us at most, before it "
          "sleeps: as long as they come that soon, and nobody else wants the core",
      .offset = offsetof(pg_settings, busy_polls) },
    { "PG_SLOW_QUERY", CONFIG_DURATION, "1s", .max = 86400000,
      .meaning = "statements that take as long are logged; 0: none",
      .offset = offsetof(pg_settings, slow_query_ms) },
    { "PG_LOG_PARAMETERS", CONFIG_BOOL, "off",
      .meaning = "whether the log of slow statements has the values of their parameters",
      .offset = offsetof(pg_settings, log_parameters) },
    { "PG_IDLE_TIMEOUT", CONFIG_DURATION, "10m", .max = 86400000,
      .meaning = "how long a connection that nobody uses is kept, beyond PG_POOL_MIN; 0: for ever",
      .offset = offsetof(pg_settings, idle_timeout_ms) },
    { "PG_MAX_LIFETIME", CONFIG_DURATION, "60m", .max = 604800000,
      .meaning = "how long a connection is used, up to a tenth less by chance; 0: for ever",
      .offset = offsetof(pg_settings, lifetime_ms) },
    { 0 },
};

static const metric METRICS[PG_METRIC_COUNT] = {
    [PG_METRIC_QUERIES] = { "pg_queries_total", NULL, METRIC_COUNTER, "Requests answered." },
    [PG_METRIC_CONNECTIONS] = { "pg_connections", NULL, METRIC_GAUGE, "Open connections." },
    [PG_METRIC_CONNECTIONS_IDLE] = { "pg_connections_idle", NULL, METRIC_GAUGE,
                                     "Open connections that nobody uses." },
    [PG_METRIC_CONNECTIONS_OPENING] = { "pg_connections_opening", NULL, METRIC_GAUGE,
                                        "Connections that are being opened." },
    [PG_METRIC_CONNECTIONS_MAX] = { "pg_connections_max", NULL, METRIC_GAUGE,
                                    "Connections that pools may open, each by its own limit." },
    [PG_METRIC_TRANSACTIONS] = { "pg_transactions", NULL, METRIC_GAUGE,
                                 "Connections leased to a transaction." },
    [PG_METRIC_WAITING] = { "pg_waiting", NULL, METRIC_GAUGE,
                            "Fibers that wait for a connection." },
    [PG_METRIC_ACQUIRE_WAIT] = { "pg_acquire_wait_seconds", NULL, METRIC_HISTOGRAM,
                                 "Time that fibers waited until they got a connection." },
    [PG_METRIC_ACQUIRE_TIMEOUTS] = { "pg_acquire_timeouts_total", NULL, METRIC_COUNTER,
                                     "Waits for a connection that ended without one." },
    [PG_METRIC_ACQUIRE_SHED] = { "pg_acquire_shed_total", NULL, METRIC_COUNTER,
                                 "Fibers dropped from an overloaded line for connections." },
    [PG_METRIC_ACQUIRE_REFUSED] = { "pg_acquire_refused_total", NULL, METRIC_COUNTER,
                                    "Fibers refused because the line for connections was full." },
    [PG_METRIC_CONNECT_FAILURES] = { "pg_connect_failures_total", NULL, METRIC_COUNTER,
                                     "Attempts to connect that failed." },
    [PG_METRIC_CONNECTIONS_LOST] = { "pg_connections_lost_total", NULL, METRIC_COUNTER,
                                     "Connections that ended otherwise than by us." },
    [PG_METRIC_QUERY_DURATION] = { "pg_query_duration_seconds", NULL, METRIC_HISTOGRAM,
                                   "From asking for a statement or batch to its answer." },
    [PG_METRIC_LEASE_DURATION] = { "pg_lease_duration_seconds", NULL, METRIC_HISTOGRAM,
                                   "How long a transaction had a connection." },
    [PG_METRIC_PORTALS] = { "pg_portals_total", NULL, METRIC_COUNTER, "Cursors opened." },
    [PG_METRIC_PARSES] = { "pg_parses_total", NULL, METRIC_COUNTER,
                           "Statements that servers were asked to parse." },
    [PG_METRIC_REQUEUES] = { "pg_requeues_total", NULL, METRIC_COUNTER,
                             "Statements that were sent again, not having run: out of date, or "
                             "skipped with their batch." },
    [PG_METRIC_DUPLICATES] = { "pg_duplicates_total", NULL, METRIC_COUNTER,
                               "Prepared statements whose name was taken by somebody else in "
                               "their session." },
    [PG_METRIC_ABANDONED] = { "pg_abandoned_total", NULL, METRIC_COUNTER,
                              "Statements whose fiber stopped waiting before the answer." },
    [PG_METRIC_CANCELS] = { "pg_cancels_total", NULL, METRIC_COUNTER,
                            "Requests to servers to cancel a statement." },
    [PG_METRIC_CANCELS_LATER] = { "pg_cancels_put_off_total", NULL, METRIC_COUNTER,
                                  "Times that a cancel was put off, because a pool had sent as many "
                                  "within the second as it may." },
    [PG_METRIC_SLOW_QUERIES] = { "pg_slow_queries_total", NULL, METRIC_COUNTER,
                                 "Statements that took PG_SLOW_QUERY or longer." },
    [PG_METRIC_NOTICES] = { "pg_notices_total", NULL, METRIC_COUNTER,
                            "Notices and warnings of servers." },
    [PG_METRIC_COMMITS] = { "pg_transactions_total", "end=\"commit\"", METRIC_COUNTER,
                            "Transactions by how they ended; those that were begun by pg_begin." },
    [PG_METRIC_ROLLBACKS] = { "pg_transactions_total", "end=\"rollback\"", METRIC_COUNTER, "" },
    [PG_METRIC_BYTES_SENT] = { "pg_sent_bytes_total", NULL, METRIC_COUNTER,
                               "Bytes of messages to servers." },
    [PG_METRIC_BYTES_RECEIVED] = { "pg_received_bytes_total", NULL, METRIC_COUNTER,
                                   "Bytes of messages from servers." },
    [PG_METRIC_PIPELINE_DEPTH] = { "pg_pipeline_depth", NULL, METRIC_DISTRIBUTION,
                                   "Requests under way on a connection when one more is sent." },
    [PG_METRIC_BATCH_SIZE] = { "pg_batch_size", NULL, METRIC_DISTRIBUTION,
                               "Statements of a batch on a read-only connection." },
    [PG_METRIC_CONNECTIONS_RETIRED] = { "pg_connections_retired_total", NULL, METRIC_COUNTER,
                                        "Connections that were old, idle, or needed elsewhere." },
};

const metrics_table PG_METRICS = { METRICS, PG_METRIC_COUNT, .next = &PG_SQLSTATE_METRICS };

/* --- requests --------------------------------------------------------------------------------- */

struct pg_request_chunk {
    struct pg_request_chunk *next;
    pg_request items[SPARE_REQUESTS_GROW];
};

pg_request *pg_pool_take_request(pg_pool *pool)
{
    if (list_is_empty(&pool->spare_requests)) {
        pg_request_chunk *chunk = MEMORY_NEW(pg_request_chunk);
        if (!chunk)
            return NULL;
        chunk->next = pool->request_chunks;
        pool->request_chunks = chunk;
        for (size_t i = 0; i < SPARE_REQUESTS_GROW; i++)
            list_append(&pool->spare_requests, &chunk->items[i].node);
    }
    return CONTAINER_OF(list_take_first(&pool->spare_requests), pg_request, node);
}

void pg_pool_give_request(pg_pool *pool, pg_request *request)
{
    list_prepend(&pool->spare_requests, &request->node);
}

/* --- what connections tell -------------------------------------------------------------------- */

void pg_pool_count_answer(pg_pool *pool)
{
    pool->queries++;
    pg_pool_count(pool, PG_METRIC_QUERIES, 1);
}

void pg_pool_conn_ended(pg_conn *c, bool was_ready, const char *why)
{
    pg_pool *pool = c->pool;
    if (!was_ready)
        return;
    if (UNLIKELY(pool->hooks))
        pg_hooks_before_close(c);
    pg_hub_conn_ended(c);
    pool->open--;
    pool->open_read_only -= c->read_only;
    pg_pool_count(pool, PG_METRIC_CONNECTIONS, -1);
    if (c->load == 0)
        pg_pool_count(pool, PG_METRIC_CONNECTIONS_IDLE, -1);
    pg_upkeep_end(c);
    pg_health_end(c);
    if (c->retired) {
        pg_pool_count(pool, PG_METRIC_CONNECTIONS_RETIRED, 1);
    } else if (!pool->closed) {
        pg_pool_count(pool, PG_METRIC_CONNECTIONS_LOST, 1);
        log_warn("PostgreSQL connection lost", LOG_CSTR("why", why));
        pg_opener_lost_one(pool);
    }
    pg_upkeep_fill(pool);
    pg_pool_serve(pool);
}

static bool is_at_work(const pg_pool *pool)
{
    return !list_is_empty(&pool->conns) || !list_is_empty(&pool->lookups);
}

static void wake_closer(pg_pool *pool)
{
    fiber *closer = is_at_work(pool) ? NULL : pool->closer;
    if (closer) {
        pool->closer = NULL;
        fiber_wake(closer, OK);
    }
}

void pg_pool_conn_closed(pg_conn *c)
{
    pg_pool *pool = c->pool;
    if (c->stream || c->cancel.stream || c->opener || !list_linked(&c->node))
        return;
    list_remove(&c->node);
    pg_budget_give(pool);
    wake_closer(pool);
    pg_conn_release(&c);
}

void pg_pool_lookup_ended(pg_pool *pool)
{
    wake_closer(pool);
}

/* --- life ------------------------------------------------------------------------------------- */

static void set_limits(pg_pool *pool, const pg_pool_options *o, const pg_settings *settings)
{
    pg_conninfo *info = &pool->info;
    if (info->connect_timeout_ms == 0 && !info->without_connect_timeout)
        info->connect_timeout_ms = (uint32_t)settings->connect_timeout_ms;
    if (info->peer_timeout_ms == 0 && !info->without_peer_timeout)
        info->peer_timeout_ms = (uint32_t)settings->peer_timeout_ms;
    pool->message_bytes_max = (uint32_t)settings->message_bytes_max;
    pool->scram_iterations_min = (uint32_t)settings->scram_iterations_min;
    pool->cancel_timeout_ms = (uint32_t)settings->connect_timeout_ms;
    pool->connections_max =
        o->connections_max ? o->connections_max : (uint32_t)settings->connections_max;
    pool->connections_min = (uint32_t)settings->connections_min;
    if (pool->connections_min > pool->connections_max)
        pool->connections_min = pool->connections_max;
    pool->process_max = (uint32_t)settings->process_max;
    pool->read_only_max = (uint32_t)settings->read_only_max;
    pool->acquire_timeout_ms =
        o->acquire_timeout_ms ? o->acquire_timeout_ms : (uint32_t)settings->acquire_timeout_ms;
    pool->idle_timeout_ms = (uint32_t)settings->idle_timeout_ms;
    pool->lifetime_ms = (uint32_t)settings->lifetime_ms;
    pool->waiting_max = (uint32_t)settings->waiting_max;
    pg_waiting_line_init(&pool->line, pool, (uint32_t)settings->queue_target_ms,
                         (uint32_t)settings->queue_interval_ms);
    pg_waiting_line_init(&pool->read_only_line, pool, (uint32_t)settings->queue_target_ms,
                         (uint32_t)settings->queue_interval_ms);
    pool->slow.from_us =
        settings->slow_query_ms ? (uint64_t)settings->slow_query_ms * 1000 : INT64_MAX;
    pool->slow.parameters = settings->log_parameters;
}

error pg_pool_open(const pg_pool_options *options, pg_pool **out)
{
    static const pg_pool_options defaults = { 0 };
    const pg_pool_options *o = options ? options : &defaults;
    pg_settings settings;
    *out = NULL;
    invariant(loop_self() != NULL);
    TRY(config_read(PG_SETTINGS, &settings));
    pg_pool *pool = MEMORY_NEW(pg_pool);
    if (!pool)
        return error_set(&OUT_OF_MEMORY, "no memory for a pool");
    pool->loop = loop_self();
    pool->metrics = metrics_cells_of(&PG_METRICS);
    pool->references = 1;
    arena_init(&pool->arena, POOL_ARENA_BYTES);
    list_init(&pool->conns);
    list_init(&pool->lookups);
    list_init(&pool->spare_requests);
    pool->statements =
        o->statements ? o->statements : (pg_statements)(PG_STATEMENTS_NAMED + settings.statements);
    pg_statement_cache_init(&pool->descriptions, false);
    pool->pipeline_max = o->pipeline_max ? o->pipeline_max : (uint32_t)settings.pipeline_max;
    error e =
        pg_conninfo_parse(&pool->arena, o->conninfo.ptr ? o->conninfo : settings.url, &pool->info);
    if (!e.kind)
        e = pg_encryption_config(&pool->info, o->hooks, &pool->tls);
    if (e.kind) {
        pg_pool_unref(&pool);
        return e;
    }
    pool->busy_polls = settings.busy_polls;
    set_limits(pool, o, &settings);
    pg_limits_init(pool, (const int64_t[]){
                             [PG_LIMIT_IDLE_IN_TRANSACTION] = settings.idle_tx_timeout_ms,
                             [PG_LIMIT_TRANSACTION] = settings.tx_timeout_ms,
                             [PG_LIMIT_STATEMENT] = settings.statement_timeout_ms,
                         });
    pool->trace = o->trace;
    pool->hooks = o->hooks;
    pg_pool_count(pool, PG_METRIC_CONNECTIONS_MAX, pool->connections_max);
    pg_opener_init(pool);
    pg_budget_init(pool);
    pg_opener_begin(pool);
    pg_prober_begin(pool, (uint32_t)settings.hosts_interval_ms, (uint32_t)settings.replica_lag_ms);
    *out = pool;
    return OK;
}

static void closer_forgotten(void *arg)
{
    pg_pool *pool = arg;
    pool->closer = NULL;
}

void pg_pool_close(pg_pool **owner)
{
    pg_pool *pool = *owner;
    *owner = NULL;
    if (!pool)
        return;
    pool->closed = true;
    pg_pool_count(pool, PG_METRIC_CONNECTIONS_MAX, -(int64_t)pool->connections_max);
    pg_hub_close(&pool->hub);
    pg_opener_stop(pool);
    pg_prober_stop(pool);
    pg_budget_stop(pool);
    pg_pool_serve(pool);
    LIST_EACH (pg_conn, c, &pool->conns, node) {
        pg_conn_end(c, c->state == PG_CONN_READY, &PG_POOL_CLOSED, "the pool was closed");
        if (c->in_hook)
            fiber_cancel(c->opener, &PG_POOL_CLOSED);
        pg_cancel_abort(c);
        pg_pool_conn_closed(c);
    }
    if (is_at_work(pool)) {
        pool->closer = fiber_self();
        if (fiber_park("pg pool close", closer_forgotten, pool).kind)
            log_warn("PostgreSQL connections were still closing");
    }
    pg_pool_unref(&pool);
}

pg_pool *pg_pool_ref(pg_pool *pool)
{
    pool->references++;
    return pool;
}

void pg_pool_unref(pg_pool **owner)
{
    pg_pool *pool = *owner;
    *owner = NULL;
    if (--pool->references > 0)
        return;
    pg_request_chunk *chunk;
    while ((chunk = pool->request_chunks)) {
        pool->request_chunks = chunk->next;
        memory_free(chunk);
    }
    pg_statement_cache_deinit(&pool->descriptions);
    memory_free(pool->names);
    pg_scram_cache_wipe(&pool->scram_keys);
    tls_config_free(&pool->tls);
    arena_deinit(&pool->arena);
    memory_free(pool);
}

pg_pool_stats pg_pool_stats_of(const pg_pool *pool)
{
    const uint64_t longest_ms = pg_waiting_line_longest_ms(&pool->line),
                   read_only_ms = pg_waiting_line_longest_ms(&pool->read_only_line);
    pg_pool_stats stats = { .open = pool->open,
                            .open_max = pool->connections_max,
                            .opening = pool->opening,
                            .leased = pool->leased,
                            .waiting = pool->waiting,
                            .longest_wait_ms =
                                longest_ms > read_only_ms ? longest_ms : read_only_ms,
                            .queries = pool->queries,
                            .acquired = pool->line_counts.acquired,
                            .released = pool->line_counts.released,
                            .timed_out = pool->line_counts.timed_out,
                            .shed = pool->line_counts.shed,
                            .refused = pool->line_counts.refused };
    LIST_EACH (pg_conn, c, &pool->conns, node)
        stats.idle += c->state == PG_CONN_READY && c->load == 0 && list_is_empty(&c->requests);
    return stats;
}
