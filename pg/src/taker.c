/* The loop gives, a fiber takes, and each may be faster. Why the connection was lost is kept,
 * because that may be between two calls of the fiber's. */
#include "taker.h"

#include "query.h"

#include <stdio.h>

void pg_taker_wake(void *taker)
{
    pg_taker *t = taker;
    fiber *waiter = t->waiter;
    t->waiter = NULL;
    if (waiter)
        fiber_wake(waiter, OK);
}

void pg_taker_end(void *taker, const error_kind *lost, const char *text)
{
    pg_taker *t = taker;
    t->ended = true;
    t->lost = lost;
    if (lost)
        (void)snprintf(t->lost_text, sizeof t->lost_text, "%s", text);
    pg_taker_wake(t);
}

static void forget(void *arg)
{
    pg_taker *t = arg;
    t->waiter = NULL;
}

error pg_taker_wait(pg_taker *t, const char *what)
{
    t->waiter = fiber_self();
    return fiber_park(what, forget, t);
}

error pg_taker_feed(pg_taker *t, pg_conn *c, pg_write_fn *write, const void *arg,
                    const pg_request *request)
{
    pg_request mine = *request;
    mine.sink_arg = t;
    t->lost = NULL;
    t->ended = false;
    const error e = pg_conn_feed(c, write, arg, &mine);
    t->ended = t->ended || e.kind;
    return e;
}

void pg_taker_leave(pg_taker *t, pg_conn *c)
{
    t->ended = true;
    pg_conn_forget_sink(c, t);
    if (c->stream)
        stream_resume(c->stream);
}

error pg_taker_error(const pg_taker *t, const pg_result *result)
{
    return t->lost ? error_set(t->lost, "%s", t->lost_text) : pg_result_error(result);
}
