/* The backlog of a connection, kept as requests come and go. */
#include "backlog.h"

#include "pool.h"

#define COST_NS_MAX 4000000000U

void pg_backlog_add(pg_conn *c, pg_request *r)
{
    r->cost_ns = r->statement && r->statement->cost_ns ? r->statement->cost_ns : PG_COST_UNKNOWN_NS;
    c->backlog_ns += r->cost_ns;
}

void pg_backlog_remove(pg_conn *c, const pg_request *r, bool answered)
{
    invariant(c->backlog_ns >= r->cost_ns);
    c->backlog_ns -= r->cost_ns;
    if (!answered)
        return;
    const uint64_t now_us = loop_now_us(c->pool->loop);
    const uint64_t from_us = r->since_us > c->answered_us ? r->since_us : c->answered_us;
    c->answered_us = now_us;
    pg_statement *s = r->statement;
    if (!s || r->kind != PG_REQUEST_QUERY || r->sink) /* a sink takes its time */
        return;
    uint64_t cost_ns = now_us > from_us ? (now_us - from_us) * 1000 : 1;
    if (s->cost_ns)
        cost_ns = (s->cost_ns * 7ULL + cost_ns) / 8;
    s->cost_ns = cost_ns < COST_NS_MAX ? (uint32_t)cost_ns + !cost_ns : COST_NS_MAX;
}

uint64_t pg_backlog_us(const pg_conn *c, uint64_t now_us)
{
    const pg_request *r = pg_request_oldest(c);
    const uint64_t age_us = r && now_us > r->since_us ? now_us - r->since_us : 0;
    const uint64_t expected_us = c->backlog_ns / 1000;
    return age_us > expected_us ? age_us : expected_us;
}

uint64_t pg_backlog_oldest_us(const pg_conn *c, uint64_t now_us)
{
    const pg_request *r = pg_request_oldest(c);
    if (!r)
        return 0;
    const uint64_t from_us = r->since_us > c->answered_us ? r->since_us : c->answered_us;
    const uint64_t age_us = now_us > from_us ? now_us - from_us : 0,
                   expected_us = r->cost_ns / 1000;
    return age_us > expected_us ? age_us : expected_us;
}
