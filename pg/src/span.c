/* Spans: begun and ended. A tracer's functions are the program's own: they find the error's details
 * in place, and must not wait. */
#include "span.h"

#include "core/loop.h"

static void tell(void (*function)(pg_span *span), pg_span *span)
{
    if (!function)
        return;
    const bool on_fiber = fiber_self() != NULL; /* a fiber that faulted gives back on the loop */
    if (on_fiber)
        fiber_no_yield_begin();
    function(span);
    if (on_fiber)
        fiber_no_yield_end();
}

void pg_span_start(const pg_pool *pool, const pg_tracer *tracer, pg_span *span)
{
    span->arg = pool->trace->arg;
    tell(tracer->started, span);
}

void pg_span_tell_end(const pg_tracer *tracer, pg_span *span, error e)
{
    span->result = e;
    tell(tracer->ended, span);
}

void pg_span_end(const pg_pool *pool, const pg_tracer *tracer, pg_span *span, const pg_conn *c,
                 uint64_t began_us, error e)
{
    span->us = loop_now_us(pool->loop) - began_us;
    if (c && c->host) {
        span->host = pg_host_text(c->host);
        span->process = c->cancel.process;
    }
    pg_span_tell_end(tracer, span, e);
}
