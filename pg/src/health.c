/* Looking after connections that were not used, and after servers that change their kind. */
#include "health.h"

#include "request.h"
#include "upkeep.h"

#define LOOK_IDLE_MS   1000
#define ASK_IDLE_MS    30000
#define ASK_LATE_MS    250   /* then others are looked at, or opened, beside it */
#define ASK_GIVE_UP_MS 5000  /* then it ends */
#define SETTLED_MS     10000 /* younger ones have just been found to be of the right kind */

/* --- idle ones -------------------------------------------------------------------------------- */

/* The pool need not count on it soon. */
static void stop_counting(pg_conn *c)
{
    if (c->health == PG_HEALTH_ASKED)
        c->pool->asked[c->read_only]--;
}

static void asked_for_long(timer *t)
{
    pg_conn *c = CONTAINER_OF(t, pg_conn, ask);
    pg_pool *pool = c->pool;
    if (c->health == PG_HEALTH_LATE) {
        pg_conn_end(c, false, &PG_CONNECTION_LOST, "the server does not answer");
        return;
    }
    stop_counting(c);
    c->health = PG_HEALTH_LATE;
    loop_timer_arm(pool->loop, &c->ask, ASK_GIVE_UP_MS - ASK_LATE_MS);
    pg_pool_serve(pool);
}

static void ask(pg_conn *c)
{
    const str nothing = STR(""); /* the answer to which shows that the server is there */
    c->ask.fire = asked_for_long;
    if (pg_conn_tell(c, pg_request_write_query, &nothing, false).kind) { /* it has ended */
        c->health = PG_HEALTH_UNHEARD;
        return;
    }
    c->health = PG_HEALTH_ASKED;
    c->pool->asked[c->read_only]++;
    loop_timer_arm(c->pool->loop, &c->ask, ASK_LATE_MS);
}

bool pg_health_check(pg_conn *c)
{
    const uint64_t from_ms = c->heard_at_ms > c->idle_since_ms ? c->heard_at_ms : c->idle_since_ms;
    const uint64_t idle_ms = loop_now_ms(c->pool->loop) - from_ms;
    if (idle_ms < LOOK_IDLE_MS)
        return true;
    if (!stream_is_silent(c->stream)) {
        c->health = PG_HEALTH_UNHEARD;
        return false;
    }
    if (idle_ms < ASK_IDLE_MS)
        return true;
    ask(c);
    return false;
}

void pg_health_heard(pg_conn *c)
{
    const pg_health was = c->health;
    if (was == PG_HEALTH_GOOD || !list_is_empty(&c->requests))
        return;
    stop_counting(c);
    loop_timer_cancel(c->pool->loop, &c->ask);
    c->health = PG_HEALTH_GOOD;
    if (was != PG_HEALTH_UNHEARD)
        c->heard_at_ms = loop_now_ms(c->pool->loop);
    pg_pool_serve(c->pool);
}

void pg_health_end(pg_conn *c)
{
    stop_counting(c);
    c->health = PG_HEALTH_GOOD;
    loop_timer_cancel(c->pool->loop, &c->ask);
}

/* --- servers that change ---------------------------------------------------------------------- */

/* As far as it is known. */
static bool is_of_the_kind_wanted(const pg_conn *c)
{
    const bool standby = c->in_hot_standby == PG_KNOWN_ON;
    const bool reads_only = standby || (!c->read_only && c->begins_read_only == PG_KNOWN_ON);
    switch (c->pool->info.session_attrs) {
    case PG_SESSION_ANY:
    case PG_SESSION_PREFER_STANDBY:
        return true;
    case PG_SESSION_READ_WRITE:
        return !reads_only;
    case PG_SESSION_PRIMARY:
        return !standby;
    case PG_SESSION_STANDBY:
        return c->in_hot_standby != PG_KNOWN_OFF;
    case PG_SESSION_READ_ONLY:
        return c->read_only || reads_only || c->begins_read_only == PG_KNOWN_NOT ||
               c->in_hot_standby == PG_KNOWN_NOT;
    }
    unreachable();
}

/* Its host is no longer what it was: all that lead there are opened anew, and the hosts tried. */
static void leave_host(const pg_conn *from)
{
    static const char why[] = "its host is not of the kind that is wanted any more";
    const struct pg_host *host = from->host;
    LIST_EACH (pg_conn, c, &from->pool->conns, node) {
        if (c->host == host)
            pg_upkeep_retire(c, why);
    }
}

void pg_health_parameter(pg_conn *c, str name, str value)
{
    const pg_known known = str_eq(value, STR("on")) ? PG_KNOWN_ON : PG_KNOWN_OFF;
    if (str_eq(name, STR("in_hot_standby")))
        c->in_hot_standby = known;
    else if (str_eq(name, STR("default_transaction_read_only")))
        c->begins_read_only = known;
    else
        return;
    const bool by_caller = (c->lessee || c->resetting) && str_starts_with(name, STR("default"));
    if (!by_caller && !is_of_the_kind_wanted(c))
        leave_host(c);
}

void pg_health_session_reset(const pg_conn *c)
{
    if (c->state == PG_CONN_READY && !is_of_the_kind_wanted(c))
        leave_host(c);
}

/* A statement that writes was refused. Newer servers say of themselves whether they take some; then
 * it was the statement's own transaction that did not. */
static void write_refused(pg_conn *c)
{
    const pg_session_attrs wanted = c->pool->info.session_attrs;
    const bool known = c->in_hot_standby == PG_KNOWN_OFF && c->begins_read_only == PG_KNOWN_OFF;
    if (c->read_only || c->declared_read_only || known ||
        loop_now_ms(c->pool->loop) - c->opened_at_ms < SETTLED_MS)
        return;
    if (wanted == PG_SESSION_READ_WRITE || wanted == PG_SESSION_PRIMARY)
        leave_host(c);
    else
        pg_upkeep_retire(c, "its host refuses to write");
}

/* It closes the connection now, or when it has answered what it has. */
static void shuts_down(pg_conn *c)
{
    if (c->load > 0)
        pg_upkeep_retire(c, "the server shuts down");
    else
        pg_conn_end(c, false, &PG_CONNECTION_LOST, c->why[0] ? c->why : "the server shuts down");
}

void pg_health_error(pg_conn *c, str sqlstate)
{
    if (str_eq(sqlstate, STR("57P01")) || str_eq(sqlstate, STR("57P02")) ||
        str_eq(sqlstate, STR("57P03")))
        shuts_down(c);
    else if (str_eq(sqlstate, STR("25006")))
        write_refused(c);
}
