/* One connection that listens for all listeners of a pool, kept by a fiber:
 *
 *   NO CONNECTION --leased--> SERVING: LISTEN and UNLISTEN what is wanted, then wait
 *        ^                       |      for wishes, for the heartbeat, for the end
 *        +-- closed, lost -------+      and every listener will be told of the gap
 *
 * A connection that is cut off without a word would look like silence: the heartbeat asks it
 * something now and then.
 *
 * Invariant: a channel is `heard` when the present connection listens to it. */
#include "hub.h"

#include "query.h"

#include "core/log.h"
#include "core/memory.h"
#include "pg/listen.h"

#include <stdio.h>
#include <string.h>

#define HEARTBEAT_MS     30000
#define ANSWER_MS        10000 /* for what the hub asks */
#define RETRY_MS         250
#define QUEUED_BYTES_MAX ((size_t)4 << 20) /* of a listener */

typedef struct channel {
    list_node node;
    str name; /* behind this struct */
    list listeners;
    bool heard;
} channel;

typedef struct told {
    list_node node;
    timestamptz since; /* the hub's when it came */
    int32_t process;
    str payload; /* behind this struct */
} told;

struct pg_listener {
    list_node node;
    pg_hub *hub; /* NULL: closed */
    channel *channel;
    list queue; /* of told, the oldest first */
    uint32_t count;
    size_t bytes;
    told *current;     /* given out last */
    bool missed;       /* something, since the connection went or the queue was full */
    timestamptz since; /* what was told before that it has heard, if it has missed something */
    fiber *waiter;
    const error_kind *failure; /* of the hub, while nothing is heard yet */
    char failure_text[128];
    deferred *left;
};

struct pg_hub {
    pg_pool *pool;
    pg_conn *conn; /* NULL: none */
    list channels;
    fiber *keeper;
    fiber *waiter; /* the keeper, while it waits */
    timer timer;
    timestamptz since; /* when what was answered last was asked: all told before that was heard */
    bool beat;         /* the time has come to ask */
    bool told_pooler;  /* the log says that a pooler is in between */
    bool is_foreign;   /* the last session was one that others have too */
    bool closed;
};

/* --- listeners -------------------------------------------------------------------------------- */

static void wake_listener(pg_listener *l)
{
    fiber *waiter = l->waiter;
    l->waiter = NULL;
    if (waiter)
        fiber_wake(waiter, OK);
}

static void miss(pg_listener *l, timestamptz since)
{
    if (!l->missed || since.us < l->since.us)
        l->since = since;
    l->missed = true;
}

static const told *first_told(const pg_listener *l)
{
    return CONTAINER_OF(l->queue.head.next, told, node);
}

static void drop_queue(pg_listener *l)
{
    for (list_node *n; (n = list_take_first(&l->queue));)
        memory_free(CONTAINER_OF(n, told, node));
    l->count = 0;
    l->bytes = 0;
}

static void wake_hub(pg_hub *hub)
{
    fiber *waiter = hub->waiter;
    hub->waiter = NULL;
    if (waiter)
        fiber_wake(waiter, OK);
}

static void tell(pg_listener *l, int32_t process, str payload)
{
    told *t = NULL;
    if (l->count < PG_LISTENER_QUEUE_MAX && l->bytes + payload.len <= QUEUED_BYTES_MAX)
        t = memory_new(1, sizeof *t + payload.len);
    if (!t) { /* what it has not taken is of no use either, when it must look for itself */
        miss(l, list_is_empty(&l->queue) ? l->hub->since : first_told(l)->since);
        drop_queue(l);
        wake_listener(l);
        return;
    }
    memcpy(t + 1, payload.ptr, payload.len);
    t->since = l->hub->since;
    t->process = process;
    t->payload = (str){ (const char *)(t + 1), payload.len };
    list_append(&l->queue, &t->node);
    l->count++;
    l->bytes += payload.len;
    wake_listener(l);
}

static channel *find(const pg_hub *hub, str name)
{
    LIST_EACH (channel, ch, &hub->channels, node) {
        if (str_eq(ch->name, name))
            return ch;
    }
    return NULL;
}

bool pg_hub_told(pg_conn *c, str body)
{
    pg_reader r = pg_reader_of(body);
    const int32_t process = pg_reader_i32(&r);
    const str name = pg_reader_cstring(&r), payload = pg_reader_cstring(&r);
    if (!pg_reader_done(&r))
        return false;
    const pg_hub *hub = c->pool->hub;
    const channel *ch = hub && hub->conn == c ? find(hub, name) : NULL;
    if (!ch)
        return true;
    LIST_EACH (pg_listener, l, &ch->listeners, node)
        tell(l, process, payload);
    return true;
}

/* --- the keeper ------------------------------------------------------------------------------- */

static str word_for(const channel *ch)
{
    buf text;
    buf_init_arena(&text, fiber_arena(), 256);
    buf_append(&text, list_is_empty(&ch->listeners) ? STR("unlisten \"") : STR("listen \""));
    for (size_t i = 0; i < ch->name.len; i++) {
        if (ch->name.ptr[i] == '"')
            buf_append_char(&text, '"');
        buf_append_char(&text, ch->name.ptr[i]);
    }
    buf_append_char(&text, '"');
    return buf_str(&text);
}

typedef struct question {
    pg_conn *conn;
    str sql;
} question;

static error ask(void *arg)
{
    const question *q = arg;
    pg_call call = { .sql = q->sql };
    return pg_run_on(q->conn, &(pg_run){ .lane = PG_LANE_LEASED }, &call, 1);
}

static error ask_in_time(pg_hub *hub, str sql)
{
    question q = { hub->conn, sql };
    const timestamptz now = timestamptz_now();
    TRY(scope_call(&(scope_options){ .deadline_ms = ANSWER_MS }, ask, &q));
    hub->since = now;
    return OK;
}

/* The next channel that is not as it is wanted; drops those that nobody knows of. */
static channel *wish(pg_hub *hub)
{
    LIST_EACH (channel, ch, &hub->channels, node) {
        if (ch->heard == list_is_empty(&ch->listeners))
            return ch;
        if (ch->heard)
            continue;
        list_remove(&ch->node);
        memory_free(ch);
    }
    return NULL;
}

/* Its listeners come and go meanwhile. */
static error fulfil(pg_hub *hub, channel *ch)
{
    const bool listens = !list_is_empty(&ch->listeners);
    ch->heard = false; /* who comes while UNLISTEN is under way waits for the next LISTEN */
    TRY(ask_in_time(hub, word_for(ch)));
    ch->heard = listens;
    LIST_EACH (pg_listener, l, &ch->listeners, node)
        wake_listener(l);
    return OK;
}

static void forget_waiter(void *arg)
{
    pg_hub *hub = arg;
    hub->waiter = NULL;
}

static void timer_fired(timer *t)
{
    pg_hub *hub = CONTAINER_OF(t, pg_hub, timer);
    hub->beat = true;
    wake_hub(hub);
}

static error wait_ms(pg_hub *hub, uint32_t ms)
{
    hub->waiter = fiber_self();
    loop_timer_arm(hub->pool->loop, &hub->timer, ms);
    const error e = fiber_park("pg listen", forget_waiter, hub);
    loop_timer_cancel(hub->pool->loop, &hub->timer);
    return e;
}

static error ask_process(void *arg)
{
    const question *q = arg;
    pg_rows rows = { 0 };
    int32_t process;
    pg_call call = { .sql = q->sql, .rows = &rows };
    TRY(pg_run_on(q->conn, &(pg_run){ .lane = PG_LANE_LEASED }, &call, 1));
    if (rows.count != 1 || rows.column_count != 1)
        return error_set(&PG_PROTOCOL_VIOLATION, "a process without a number");
    TRY(pg_get(&rows, 0, 0, &process));
    if ((uint32_t)process == q->conn->cancel.process)
        return OK;
    return error_set(&PG_INVALID_ARGUMENT,
                     "a pooler is in between (PG_STATEMENTS is not named), which gives what is "
                     "told to others: listen on a pool that leads to the server itself");
}

/* A pooler in transaction mode passes LISTEN on, to a server that it then gives to others. The
 * number that we were told of is the pooler's own. With named statements it may be one in session
 * mode, behind which all is heard: these look the same. */
static error check_session(pg_hub *hub)
{
    question q = { hub->conn, STR("select pg_backend_pid()") };
    const bool named = pg_conn_is_named(hub->conn);
    if (named && (!hub->pool->behind_pooler || hub->told_pooler))
        return OK;
    const error e = scope_call(&(scope_options){ .deadline_ms = ANSWER_MS }, ask_process, &q);
    hub->is_foreign = !named && error_is(e, &PG_INVALID_ARGUMENT);
    if (!named || !error_is(e, &PG_INVALID_ARGUMENT))
        return e;
    hub->told_pooler = true;
    log_warn("a pooler is in between: listeners hear nothing unless it is in session mode",
             LOG_STR("host", pg_host_text(hub->conn->host)));
    return OK;
}

/* Until the connection is gone. */
static error serve(pg_hub *hub)
{
    TRY(check_session(hub));
    hub->beat = false;
    while (hub->conn->state == PG_CONN_READY) {
        arena_reset(fiber_arena());
        channel *ch = wish(hub);
        if (ch) {
            TRY(fulfil(hub, ch));
        } else if (hub->beat) {
            TRY(ask_in_time(hub, STR("select 1")));
            hub->beat = false;
        } else {
            TRY(wait_ms(hub, HEARTBEAT_MS));
        }
    }
    return OK;
}

/* Nothing is heard any more. Those that waited to be heard for the first time are told why. */
static void fall_silent(pg_hub *hub, error why)
{
    const error_detail *detail = error_detail_of(why);
    LIST_EACH (channel, ch, &hub->channels, node) {
        LIST_EACH (pg_listener, l, &ch->listeners, node) {
            if (ch->heard)
                miss(l, hub->since);
            if (ch->heard || !why.kind)
                continue;
            l->failure = why.kind;
            (void)snprintf(l->failure_text, sizeof l->failure_text, "%.*s",
                           STR_ARG(detail ? detail->text : str_from_c(why.kind->name)));
            wake_listener(l);
        }
        ch->heard = false;
    }
}

/* Nobody else may have it: it listens. */
static void serve_and_release(pg_hub *hub)
{
    hub->pool->listening = 1;
    pg_pool_serve(hub->pool); /* there may be another one in its place */
    fall_silent(hub, serve(hub));
    pg_conn_end(hub->conn, true, &PG_CONNECTION_LOST, "the listener let it go");
    hub->pool->listening = 0;
    pg_pool_release(&hub->conn, true);
}

static error keep(void *arg)
{
    pg_hub *hub = arg;
    while (!hub->closed) {
        arena_reset(fiber_arena());
        if (hub->is_foreign && !wish(hub)) { /* nor need it be tried for nobody */
            TRY(wait_ms(hub, HEARTBEAT_MS));
            continue;
        }
        const error e = pg_pool_acquire(hub->pool, PG_LANE_LEASED, NULL, &hub->conn);
        if (e.kind)
            fall_silent(hub, e);
        else
            serve_and_release(hub);
        TRY(scope_status());
        if (!hub->closed)
            TRY(wait_ms(hub, hub->is_foreign ? HEARTBEAT_MS : RETRY_MS));
    }
    return OK;
}

bool pg_hub_has(const pg_conn *c)
{
    const pg_hub *hub = c->pool->hub;
    return hub && hub->conn == c;
}

void pg_hub_conn_ended(const pg_conn *c)
{
    if (pg_hub_has(c))
        wake_hub(c->pool->hub);
}

/* --- life ------------------------------------------------------------------------------------- */

static error open_hub(pg_pool *pool)
{
    if (pool->hub)
        return OK;
    if (pool->closed)
        return error_set(&PG_POOL_CLOSED, "the pool was closed");
    pg_hub *hub = MEMORY_NEW(pg_hub);
    if (!hub)
        return error_set(&OUT_OF_MEMORY, "no memory for listeners");
    hub->pool = pool;
    hub->timer.fire = timer_fired;
    list_init(&hub->channels);
    const fiber_options options = { .name = "pg listen", .joinable = true };
    const error e = fiber_start(pool->loop, &options, keep, hub, &hub->keeper);
    if (e.kind)
        memory_free(hub);
    else
        pool->hub = hub;
    return e;
}

void pg_hub_close(pg_hub **owner)
{
    pg_hub *hub = *owner;
    if (!hub)
        return;
    hub->closed = true;
    fiber_cancel(hub->keeper, &CANCELED);
    if (fiber_join(&hub->keeper).kind)
        log_debug("the listening connection is closed");
    *owner = NULL;
    LIST_EACH (channel, ch, &hub->channels, node) {
        LIST_EACH (pg_listener, l, &ch->listeners, node) {
            list_remove(&l->node);
            l->hub = NULL;
            wake_listener(l);
        }
        list_remove(&ch->node);
        memory_free(ch);
    }
    memory_free(hub);
}

static channel *channel_of(pg_hub *hub, str name)
{
    channel *ch = find(hub, name);
    if (ch)
        return ch;
    ch = memory_new(1, sizeof *ch + name.len);
    if (!ch)
        return NULL;
    memcpy(ch + 1, name.ptr, name.len);
    ch->name = (str){ (const char *)(ch + 1), name.len };
    ch->heard = false;
    list_init(&ch->listeners);
    list_append(&hub->channels, &ch->node);
    return ch;
}

static void stop(pg_listener *l)
{
    if (l->hub) {
        list_remove(&l->node);
        wake_hub(l->hub);
    }
    l->hub = NULL;
    drop_queue(l);
    if (l->current)
        memory_free(l->current);
    l->current = NULL;
}

static error listener_left(void *arg)
{
    stop(arg);
    return OK;
}

static void listener_abandoned(void *arg)
{
    stop(arg);
}

static const cleanup LISTENER_LEFT = { .run = listener_left,
                                       .abandon = listener_abandoned,
                                       .name = "pg unlisten" };

static void forget_listener(void *arg)
{
    pg_listener *l = arg;
    l->waiter = NULL;
}

static error wait_for_hub(pg_listener *l)
{
    l->waiter = fiber_self();
    return fiber_park("pg notification", forget_listener, l);
}

static error wait_until_heard(pg_listener *l)
{
    while (l->hub && !l->channel->heard) {
        if (l->failure)
            return error_set(l->failure, "%s", l->failure_text);
        TRY(wait_for_hub(l));
    }
    return l->hub ? OK : error_set(&PG_POOL_CLOSED, "the pool was closed");
}

static error check_channel(str name)
{
    if (name.len == 0 || name.len > PG_CHANNEL_BYTES_MAX || !str_is_utf8(name) ||
        memchr(name.ptr, '\0', name.len))
        return error_set(&PG_INVALID_ARGUMENT, "a channel's name has 1 to %d bytes of text",
                         PG_CHANNEL_BYTES_MAX);
    return OK;
}

error pg_listen(pg_pool *pool, str name, pg_listener **out)
{
    *out = NULL;
    TRY(check_channel(name));
    TRY(open_hub(pool));
    pg_listener *l = ARENA_NEW(fiber_arena(), pg_listener);
    l->left = scope_defer(&LISTENER_LEFT, l);
    list_init(&l->queue);
    l->channel = channel_of(pool->hub, name);
    if (!l->channel) {
        scope_disarm(&l->left);
        return error_set(&OUT_OF_MEMORY, "no memory for a channel");
    }
    l->hub = pool->hub;
    list_append(&l->channel->listeners, &l->node);
    wake_hub(l->hub);
    const error e = wait_until_heard(l);
    l->failure = NULL;
    if (e.kind)
        pg_unlisten(&l);
    *out = l;
    return e;
}

void pg_unlisten(pg_listener **owner)
{
    pg_listener *l = *owner;
    *owner = NULL;
    if (!l)
        return;
    scope_disarm(&l->left);
    stop(l);
}

error pg_listener_next(pg_listener *l, pg_notification *out)
{
    if (l->current)
        memory_free(l->current);
    l->current = NULL;
    while (l->hub && list_is_empty(&l->queue) && !(l->missed && l->channel->heard))
        TRY(wait_for_hub(l));
    if (!l->hub)
        return error_set(&PG_POOL_CLOSED, "the pool was closed");
    *out = (pg_notification){ .channel = l->channel->name, .payload = STR("") };
    if (l->missed && l->channel->heard) {
        l->missed = false;
        out->gap = true;
        out->since = l->since;
        return OK;
    }
    l->current = CONTAINER_OF(l->queue.head.next, told, node);
    list_remove(&l->current->node);
    l->count--;
    l->bytes -= l->current->payload.len;
    out->payload = l->current->payload;
    out->process = l->current->process;
    return OK;
}

error pg_notify_on(pg_target on, str name, str payload)
{
    TRY(check_channel(name));
    if (payload.len > PG_NOTIFICATION_BYTES_MAX)
        return error_set(&PG_INVALID_ARGUMENT, "a payload of over %d bytes",
                         PG_NOTIFICATION_BYTES_MAX);
    return pg_execute(on, NULL, "select pg_notify($1, $2)", name, payload);
}
